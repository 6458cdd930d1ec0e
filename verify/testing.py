"""Assertions about robustness for a test suite: ``from verify.testing import assert_certified, assert_not_falsified``.

Under pytest the option ``--reluproof-timeout`` sets each question's time, and a counterexample is kept as a file, which the
message names (:mod:`verify.pytest_plugin`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import verify

if TYPE_CHECKING:
    from torch import nn

Model: TypeAlias = "verify.Network | nn.Module | str | Path"
"""A network, a torch module that takes inputs of the shape of ``x``, or a file that :func:`verify.load` reads."""


@dataclass(frozen=True)
class Limits:
    """What a running test allows: seconds for a question (None: no limit), and the file for a counterexample, if one is kept."""

    timeout: float | None = None
    counterexample: Path | None = None


_LIMITS: ContextVar[Limits] = ContextVar("reluproof limits", default=Limits())  # noqa: B039 (frozen)


@contextmanager
def limits(chosen: Limits) -> Iterator[None]:
    """``chosen`` holds for the assertions inside the ``with`` statement."""
    token = _LIMITS.set(chosen)
    try:
        yield
    finally:
        _LIMITS.reset(token)


def assert_certified(
    model: Model,
    x: Any,
    label: int,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    **options: Any,
) -> verify.Result:
    """Fail unless every input within ``epsilon`` of ``x`` is proved to be classified as ``label``; the result otherwise.

    Arguments and errors are those of :func:`verify.certify`. An unknown verdict fails too, and says why it is unknown.
    """
    __tracebackhide__ = True  # pytest shows the test, not this
    result = _certified(model, x, label, {"epsilon": epsilon, "clip": clip, "norm": norm, **options})
    if result.verdict is not verify.Verdict.VERIFIED:
        raise AssertionError(_message(result, f"not certified within {norm} {epsilon}"))
    return result


def assert_not_falsified(
    model: Model,
    x: Any,
    label: int,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    **options: Any,
) -> verify.Result:
    """Fail if an input within ``epsilon`` of ``x`` was found that is not classified as ``label``; the result otherwise."""
    __tracebackhide__ = True  # pytest shows the test, not this
    result = _certified(model, x, label, {"epsilon": epsilon, "clip": clip, "norm": norm, **options})
    if result.counterexample is not None:
        raise AssertionError(_message(result, f"falsified within {norm} {epsilon}"))
    return result


def _certified(model: Model, x: Any, label: int, asked: dict[str, Any]) -> verify.Result:
    if isinstance(model, str | Path):
        network = verify.load(str(model))
    elif isinstance(model, verify.Network):
        network = model
    else:
        network = verify.from_torch(model, input_shape=tuple(x.shape))
    return verify.certify(network, x, label, **{"timeout": _LIMITS.get().timeout, **asked})


def _message(result: verify.Result, what: str) -> str:
    """The failing target and its margin, and where the counterexample is."""
    worst = min(result.margins, key=lambda row: row.lower)
    lines = [f"{what}: {result.verdict.value}{f' ({result.reason})' if result.reason else ''} by {result.method}"]
    lines.append(
        f"  label {result.label}, predicted {result.predicted}; against class {worst.target} the margin is between "
        f"{worst.lower:.6g} and {worst.upper:.6g}"
    )
    found = result.counterexample
    if found is not None:
        lines.append(f"  counterexample of class {found.predicted}, margin {found.margin:.6g}{_kept(found)}")
    return "\n".join(lines)


def _kept(found: verify.Counterexample) -> str:
    """Keep the counterexample where a file is named for it; the words that say so."""
    import numpy as np

    file = _LIMITS.get().counterexample
    if file is None:
        return ""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, found.x.numpy())
    return f", kept in {file}"
