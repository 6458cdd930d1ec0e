"""A policy file becomes a :class:`Policy`: TOML in, and one clear line for whatever is wrong with it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import verify
from verify.gate.policy import Check, Policy, Thresholds

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_policy(path: str | Path) -> Policy:
    """The policy in a TOML file (docs/gate.md). Raises LoadError for no such file or no TOML, UsageError for what it says."""
    file = Path(path)
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise verify.LoadError(f"{file}: the policy cannot be read ({error.strerror}); give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise verify.LoadError(f"{file}: the policy is no TOML file ({error})") from None
    entries = table.pop("check", [])
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise verify.UsageError(f"{file}: the policy has no checks: begin each with a line [[check]]")
    checks = tuple(_check(f"{file}, check {number}", entry) for number, entry in enumerate(entries, start=1))
    names = [check.name for check in checks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise verify.UsageError(f"{file}: two checks are called {twice!r}: give each a name of its own")
    said = _read(str(file), table, _TOP)
    folders = {key: file.parent / said.pop(key) for key in ("cache", "baseline") if key in said}
    return Policy(file=file, checks=checks, **said, **folders)


def _check(where: str, entry: dict[str, Any]) -> Check:
    wanted = entry.pop("thresholds", None)
    said = _read(where, entry, _CHECK)
    if "name" in said:
        where = f"{where} ({said['name']})"
    for name in (f.name for f in fields(Check) if f.default is MISSING and f.name != "thresholds"):
        if name not in said:
            raise verify.UsageError(f"{where}: {name} is missing: say {name} = {_CHECK[name].wanted}")
    if not isinstance(wanted, dict) or not wanted:
        raise verify.UsageError(
            f"{where}: it has no thresholds, so nothing could fail it: add [check.thresholds] with certified_accuracy = 0.9, say"
        )
    thresholds = Thresholds(**_read(f"{where}, thresholds", wanted, _THRESHOLDS))
    if said.get("method", "auto") not in ("auto", *verify.METHODS):
        raise verify.UsageError(f"{where}: method is {said['method']!r}: choose from auto, {', '.join(verify.METHODS)}")
    for name in ("epsilon", *(["scale"] if "scale" in said else [])):
        verify.parse_decimal(said[name], f"{where}: {name}")
    return Check(thresholds=thresholds, **said)


def _read(where: str, table: Mapping[str, Any], rules: Mapping[str, _Rule]) -> dict[str, Any]:
    """The values of a table as its rules understand them."""
    found = {}
    for key, value in table.items():
        if key not in rules:
            raise verify.UsageError(f"{where}: unknown key {key!r}: choose from {', '.join(rules)}")
        found[key] = rules[key].read(value)
        if found[key] is None:
            raise verify.UsageError(f"{where}: {key} is {value!r}: give {rules[key].wanted}")
    return found


@dataclass(frozen=True)
class _Rule:
    """``read`` gives the value, or None where it is not as ``wanted``."""

    read: Callable[[Any], Any]
    wanted: str


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _decimal(value: Any) -> str | None:
    """A number as text: what the file says is read exactly."""
    return str(value) if _number(value) else value if isinstance(value, str) and value else None


def _ends(value: Any) -> tuple[str, ...] | None:
    ends = tuple(_decimal(end) for end in value) if isinstance(value, list) and len(value) == 2 else (None,)
    return None if None in ends else ends  # type: ignore[return-value]


def _wholes(value: Any) -> tuple[int, ...] | None:
    good = isinstance(value, list) and value and all(_WHOLE.read(n) is not None for n in value)
    return tuple(value) if good else None


def _one_of(*words: str) -> _Rule:
    return _Rule(lambda v: v if v in words else None, " or ".join(f'"{word}"' for word in words))


_TEXT = _Rule(lambda v: v if isinstance(v, str) and v else None, '"a text"')
_WHOLE = _Rule(
    lambda v: v if isinstance(v, int) and not isinstance(v, bool) and v >= 0 else None, "a whole number, 0 or more"
)
_SHARE = _Rule(lambda v: float(v) if _number(v) and 0 <= v <= 1 else None, "a share between 0 and 1, such as 0.9")
_SECONDS = _Rule(lambda v: float(v) if _number(v) and v > 0 else None, "a positive number of seconds")
_DECIMAL = _Rule(_decimal, 'a decimal such as "0.1" or "8/255"')
_FLAG = _Rule(lambda v: v if isinstance(v, bool) else None, "true or false")

_TOP: Mapping[str, _Rule] = {
    "budget": _SECONDS,
    "undecided": _one_of("fail", "report"),
    "cache": _TEXT,
    "baseline": _TEXT,
}
_CHECK: Mapping[str, _Rule] = {
    **dict.fromkeys(("name", "model", "data", "index", "arch"), _TEXT),
    "method": _TEXT,
    **dict.fromkeys(("epsilon", "scale"), _DECIMAL),
    "norm": _one_of("linf", "l2", "l1"),
    "clip": _Rule(_ends, "two numbers such as [0, 1]"),
    "timeout": _SECONDS,
    "semantics": _one_of("real", "float32"),
    "trust_solver": _FLAG,
    "retry": _FLAG,
    "seed": _WHOLE,
    "input_shape": _Rule(_wholes, "whole numbers such as [1, 28, 28]"),
    "split": _one_of("test", "train"),
    "label_column": _one_of("first", "last"),
}
_THRESHOLDS: Mapping[str, _Rule] = {
    **dict.fromkeys(("certified_accuracy", "certified_error", "attacked_error", "clean_error", "drop"), _SHARE),
    **dict.fromkeys(("unknown", "lost"), _WHOLE),
    "verified": _Rule(_wholes, "inputs such as [0, 3, 17]"),
}
