"""What a run asks of every input, and the identity without which no record of it may be used again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from verify.certify.api import classification_query
from verify.certify.options import Options
from verify.errors import UsageError
from verify.floating import parse_decimal
from verify.load.dataset import Dataset
from verify.network import Network
from verify.proof.canonical import identity
from verify.specification import Query

VERSIONS = ("reluproof", "torch", "numpy", "scipy", "highspy")
_NOT_ASKED = ("workers", "deadline", "record", "team")  # fields of Options that change no answer


@dataclass(frozen=True)
class Ball:
    """The region around each input: radius, norm and the valid range of every entry, as the user wrote them."""

    epsilon: Fraction | float | str
    norm: str = "linf"
    clip: tuple[float | str, float | str] | None = None

    def facts(self) -> dict[str, Any]:
        """Plain data in which equal balls are equal: 0.1, "0.1" and "1/10" are one radius."""
        ends = None if self.clip is None else [str(parse_decimal(end, "clip")) for end in self.clip]
        return {"epsilon": str(parse_decimal(self.epsilon)), "norm": self.norm, "clip": ends}


@dataclass(frozen=True)
class Question:
    """One question about each input: the network, the ball, the method with its options (``timeout`` is one input's)."""

    network: Network
    ball: Ball
    method: str
    options: Options

    def facts(self) -> dict[str, Any]:
        """All that an answer depends on but for the input, as plain data."""
        options = {f.name: getattr(self.options, f.name) for f in fields(Options) if f.name not in _NOT_ASKED}
        return {
            "network": identity(self.network),
            "specification": "classification",
            "region": self.ball.facts(),
            "method": self.method,
            "options": options,
            "versions": versions(),
        }

    def of(self, inputs: Tensor, labels: Tensor) -> Query:
        """The query about some inputs."""
        ball = self.ball
        return classification_query(self.network, inputs, labels, epsilon=ball.epsilon, norm=ball.norm, clip=ball.clip)


@dataclass(frozen=True)
class Selection:
    """Which inputs of a data set a run is about: ``index`` (N,) in the data set, of them the blocks of one shard.

    A block of ``BLOCK`` neighbours always goes through the cheap stages together, whoever works on it, since a bound's last
    digit may depend on what is computed beside it: so shards and workers change no answer.
    """

    index: tuple[int, ...]
    shard: tuple[int, int] = (1, 1)

    BLOCK = 50

    def __post_init__(self) -> None:
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise UsageError(f"shard {part}/{parts} does not exist: give K/N with K from 1 to N")
        if not self.blocks():
            most = -(-len(self.index) // self.BLOCK)
            raise UsageError(
                f"shard {part}/{parts} of {len(self.index)} inputs is empty: inputs are dealt in blocks of {self.BLOCK}, "
                f"which makes {most} shards at most"
            )

    def blocks(self) -> list[tuple[int, ...]]:
        """The positions in ``index`` of each block of this shard."""
        part, parts = self.shard
        everyone = range(len(self.index))
        starts = everyone[:: self.BLOCK][part - 1 :: parts]
        return [tuple(everyone[start : start + self.BLOCK]) for start in starts]


def parse_shard(text: str) -> tuple[int, int]:
    """``"3/8"`` as (3, 8). Raises UsageError for anything else."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise UsageError(f"shard is {text!r}: give K/N, such as 3/8 for the third of eight")
    return int(part), int(parts)


def digests_of(facts: Mapping[str, Any], inputs: Tensor, labels: Tensor) -> list[str]:
    """SHA-256 of the whole question about each input: of :meth:`Question.facts`, the input and its label."""
    text = json.dumps(facts, sort_keys=True).encode()
    pairs = zip(inputs, labels.tolist(), strict=True)
    return [hashlib.sha256(text + _bytes(x) + f"label {label}".encode()).hexdigest() for x, label in pairs]


def run_facts(facts: Mapping[str, Any], data: Dataset, selection: Selection) -> dict[str, Any]:
    """The identity of a whole run, :meth:`Question.facts` and the inputs: a journal that says anything else is of another run."""
    chosen = hashlib.sha256()
    for i in selection.index:
        chosen.update(f"{i} {int(data.labels[i])} ".encode() + _bytes(data.inputs[i]))
    return {
        **facts,
        "data": {"inputs": len(selection.index), "sha256": chosen.hexdigest()},
        "shard": list(selection.shard),
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any], *, where: str = "") -> list[str]:
    """Where two identities differ, each as ``name: old, now new``."""
    found: list[str] = []
    for name in sorted({*old, *new}):
        a, b, path = old.get(name), new.get(name), f"{where}{name}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, where=f"{path}.")
        elif a != b:
            found.append(f"{path}: {_short(a)}, now {_short(b)}")
    return found


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:16]}..."


def _bytes(x: Tensor) -> bytes:
    return x.detach().to(torch.float64).contiguous().numpy().tobytes()


def versions() -> dict[str, str | None]:
    """Of this process: what an answer may depend on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in VERSIONS}}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
