"""Attacks propose points; only verify.witness says whether one is a counterexample."""
