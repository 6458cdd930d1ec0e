"""The shared bounds module: every method's numbers come from here."""
