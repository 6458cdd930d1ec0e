"""Certificates: what a proof used is recorded while it is found, and written to a file that verify/check can read."""
