"""Queries and pre-activation bounds become linear and mixed-integer programs."""
