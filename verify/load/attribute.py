"""``module:attribute`` text becomes the Python object it names."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verify.errors import LoadError

ATTRIBUTE_SPEC = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)", re.ASCII)


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Put the working directory on the import path, as ``python -m`` does, and take it off again."""
    entry = str(Path.cwd())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def import_attribute(spec: str) -> object:
    """The object that ``module:attribute`` names; modules of the working directory can be named too.

    Importing runs the module's code: name only code that you trust.

    Raises:
        LoadError: the module cannot be imported, or has no such attribute.
    """
    match = ATTRIBUTE_SPEC.fullmatch(spec)
    if match is None:
        raise LoadError(f"{spec!r} does not have the form module:attribute, such as my_data:test_set")
    try:
        with _working_directory_importable():
            found: object = importlib.import_module(match[1])
    except Exception as error:  # whatever the user's module raises while it is imported
        raise LoadError(
            f"{spec}: importing {match[1]} failed ({type(error).__name__}: {error}); "
            "run from the folder that holds it, or install it"
        ) from error
    for name in match[2].split("."):
        if not hasattr(found, name):
            raise LoadError(f"{spec}: {match[1]} has no attribute {match[2]!r}; correct the name")
        found = getattr(found, name)
    return found
