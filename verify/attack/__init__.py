"""Attacks propose points; only verify.witness says whether one is a counterexample."""

from verify._callable import callable_package

callable_package(__name__, "verify.attack.api:attack")
