"""What a gate asks for: models, data, regions and thresholds, as nouns. :mod:`verify.gate.reading` reads them from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

Undecided: TypeAlias = Literal["fail", "report"]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What must hold of the inputs of one check; None: not asked for. Errors of computation are never allowed.

    Shares of all inputs, 0 to 1: ``certified_accuracy`` (verified) is a least value; ``certified_error`` (not verified),
    ``attacked_error`` (falsified) and ``clean_error`` (misclassified as they are) are most values. ``unknown``: at most so many
    inputs may be neither verified nor falsified. ``verified``: inputs that must be verified, by index. Against the baseline: at
    most ``lost`` inputs may lose their certificate, and certified accuracy may ``drop`` by at most this share.
    """

    certified_accuracy: float | None = None
    certified_error: float | None = None
    attacked_error: float | None = None
    clean_error: float | None = None
    unknown: int | None = None
    verified: tuple[int, ...] | None = None
    lost: int | None = None
    drop: float | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question about many inputs. ``model`` and ``data`` are named as in the policy, relative to its folder.

    ``epsilon``, ``clip``, ``norm``, ``method`` and the options are those of :func:`verify.certify`; ``timeout``: seconds for an
    input. ``index``: which inputs. ``retry``: ask again about inputs that the baseline knows to be unknown to the same question.
    """

    name: str
    model: str
    data: str
    epsilon: str
    thresholds: Thresholds
    index: str = "all"
    norm: str = "linf"
    clip: tuple[str, str] | None = None
    method: str = "auto"
    timeout: float = 60.0
    semantics: Literal["real", "float32"] = "real"
    trust_solver: bool = False
    seed: int = 0
    retry: bool = False
    arch: str | None = None
    input_shape: tuple[int, ...] | None = None
    split: Literal["test", "train"] = "test"
    label_column: Literal["first", "last"] = "first"
    scale: str | None = None

    def facts(self) -> Mapping[str, Any]:
        """What the question is, as plain data."""
        return {
            "model": self.model,
            "data": self.data,
            "index": self.index,
            "epsilon": self.epsilon,
            "norm": self.norm,
            "clip": None if self.clip is None else list(self.clip),
            "method": self.method,
            "timeout": self.timeout,
            "semantics": self.semantics,
            "trust_solver": self.trust_solver,
            "seed": self.seed,
        }


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All checks. ``budget``: seconds for the whole gate. ``undecided``: what becomes of a threshold that time did not decide.

    ``cache``: the folder of evidence; ``baseline``: the ledger to compare with. ``file``: where the policy was read.
    """

    file: Path
    checks: tuple[Check, ...]
    budget: float | None = None
    undecided: Undecided = "report"
    cache: Path | None = None
    baseline: Path | None = None
