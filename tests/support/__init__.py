"""What several test rooms share, imported as ``support.<name>``: pytest puts ``tests`` on the path."""
