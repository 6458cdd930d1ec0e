"""A package that can be called: ``verify.load(...)`` is the verb of the room ``verify.load``.

Importing a submodule binds it on its parent, so ``verify.load`` is the package as soon as anybody imports from it.
The rooms ``load``, ``certify``, ``selftest``, ``attack``, ``train``, ``gate`` and ``report`` therefore answer a call with their
verb, which is imported at the first call, so that importing ``verify`` stays cheap.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    _verb: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module, _, name = self._verb.partition(":")
        return getattr(import_module(module), name)(*args, **kwargs)


def callable_package(name: str, verb: str) -> None:
    """Make the package ``name`` answer a call with ``verb``, given as ``"module:function"``."""
    package = sys.modules[name]
    package.__class__ = _CallablePackage
    package._verb = verb  # type: ignore[attr-defined]
