"""What a training run is: a frozen noun, and the TOML file that says it."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from verify.errors import LoadError, UsageError
from verify.floating import parse_decimal
from verify.region import NORMS
from verify.train.methods import METHODS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Decimal: TypeAlias = str | float
"""A number that is read as a decimal: ``0.1``, ``"8/255"``."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained. The same config, data and build of torch give the same weights on a CPU.

    Attributes:
        architecture: a name of ``verify.train.ARCHITECTURES`` or ``module:function``, where no module is given.
        method: a name of ``verify.train.METHODS``.
        epsilon, norm, clip: the ball that robustness is wanted in and errors are measured in, in the units of the
            inputs; ``clip`` is the range of valid inputs, None (in a file ``clip = []``) for none.
        stretch: the radius trained on, as a multiple of epsilon.
        epochs, batch: passes over the data, and inputs a step (what is left of an epoch after whole batches is left out).
        rate, drops, drop: step size of Adam, and the epochs after which it is multiplied by ``drop``.
        warm_up, ramp: epochs with radius 0 and the clean loss, then epochs over which radius and ``kappa`` go linearly to
            their ends. Fractions are fine; with both 0 they start there.
        kappa: final weight of the clean loss, for methods with bounds; it starts at 1.
        alpha: weight of the clean loss in fgsm, pgd and noise; of the bound in mtl-ibp.
        beta: final part of CROWN in crown-ibp, which starts at 1; the rest is interval bounds.
        share: radius of SABR's small boxes over the region's.
        steps: gradient steps of the attacks trained on.
        initialise: ``default`` (torch's own) or ``ibp`` (Shi et al. 2021).
        regularise: weight of the regularisers of Shi et al. 2021 until the ramp ends, for methods with bounds.
        l1: weight of the sum of absolute weights.
        clip_gradient: largest norm of a step's gradient.
        shift: each training image is moved by up to so many pixels, anew in every epoch.
        seed: of the initial weights, the order of the inputs and every random point.
        device: ``cpu`` or ``cuda``; only a CPU repeats a run bit for bit.
        watched, watched_steps: how many validation inputs are evaluated after each epoch, attacked by so many gradient steps.
    """

    architecture: str = "wong-kolter"
    method: str = "ibp"
    epsilon: Decimal = "0.1"
    norm: str = "linf"
    clip: tuple[Decimal, Decimal] | None = ("0", "1")
    stretch: float = 1.0
    epochs: int = 10
    batch: int = 128
    rate: float = 5e-4
    drops: tuple[int, ...] = ()
    drop: float = 0.2
    warm_up: float = 1.0
    ramp: float = 4.0
    kappa: float = 0.5
    alpha: float = 0.5
    beta: float = 0.0
    share: float = 0.4
    steps: int = 7
    initialise: str = "default"
    regularise: float = 0.0
    l1: float = 0.0
    clip_gradient: float = 10.0
    shift: int = 0
    seed: int = 0
    device: str = "cpu"
    watched: int = 1000
    watched_steps: int = 10

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            value = getattr(self, name)
            if not rule.holds(value):
                raise UsageError(f"{name} is {value!r}: give {rule.wanted}")
        if parse_decimal(self.epsilon) < 0:
            raise UsageError(f"epsilon is {self.epsilon}: it must not be negative")
        for end in self.clip or ():
            parse_decimal(end, "clip")

    @property
    def identity(self) -> str:
        """SHA-256 of everything that decides the weights: a checkpoint of another config is refused by it."""
        said = {name: value for name, value in asdict(self).items() if name not in ("watched", "watched_steps")}
        text = json.dumps({**said, "epsilon": str(parse_decimal(self.epsilon))}, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _Rule:
    holds: Callable[[Any], bool]
    wanted: str


def _whole(least: int) -> _Rule:
    return _Rule(
        lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= least, f"a whole number of at least {least}"
    )


def _real(low: float, high: float = math.inf, *, above: bool = False) -> _Rule:
    edge = f"above {low:g}" if above else f"at least {low:g}"
    most = "" if high == math.inf else f" and at most {high:g}"

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return (value > low if above else value >= low) and value <= high

    return _Rule(holds, f"a number {edge}{most}")


def _one_of(names: Mapping[str, Any] | tuple[str, ...]) -> _Rule:
    return _Rule(lambda v: isinstance(v, str) and v in names, f"one of {', '.join(names)}")


_TEXT = _Rule(lambda v: isinstance(v, str) and bool(v), "a name")
_WHOLES = _Rule(
    lambda v: isinstance(v, tuple) and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in v),
    "epochs such as [8, 10]",
)
_ENDS = _Rule(lambda v: v is None or (isinstance(v, tuple) and len(v) == 2), "two numbers such as [0, 1]")

_RULES: Mapping[str, _Rule] = {
    "architecture": _TEXT,
    "method": _one_of(METHODS),
    "norm": _one_of(NORMS),
    "clip": _ENDS,
    "stretch": _real(0, above=True),
    "epochs": _whole(1),
    "batch": _whole(1),
    "rate": _real(0, above=True),
    "drops": _WHOLES,
    "drop": _real(0, 1, above=True),
    "warm_up": _real(0),
    "ramp": _real(0),
    "kappa": _real(0, 1),
    "alpha": _real(0, 1),
    "beta": _real(0, 1),
    "share": _real(0, 1, above=True),
    "steps": _whole(1),
    "initialise": _one_of(("default", "ibp")),
    "regularise": _real(0),
    "l1": _real(0),
    "clip_gradient": _real(0, above=True),
    "shift": _whole(0),
    "seed": _whole(0),
    "device": _one_of(("cpu", "cuda")),
    "watched": _whole(0),
    "watched_steps": _whole(1),
}


def read_training(path: str | Path) -> Training:
    """The config in a TOML file, whose keys are the attributes of :class:`Training`; all have defaults.

    Raises LoadError for a file that cannot be read, UsageError naming file, key, value and remedy.
    """
    file = Path(path)
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError(f"{file}: cannot be read ({error.strerror}); give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LoadError(f'{file}: is no TOML file ({error}); write lines such as method = "ibp"') from None
    known = [f.name for f in fields(Training)]
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"{file}: unknown key {key!r} (value {value!r}): choose from {', '.join(known)}")
    try:
        return Training(**{key: _as_python(key, value) for key, value in table.items()})
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def _as_python(key: str, value: Any) -> Any:
    """TOML has neither tuples nor None."""
    if not isinstance(value, list):
        return value
    return None if key == "clip" and not value else tuple(value)
