"""From arguments to the question: the network, the inputs, and the options."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import verify
from verify import wording


@dataclass(frozen=True)
class Question:
    """What the command line asks about."""

    network: verify.Network
    data: verify.Dataset  # whole; the inputs below are those of `index`
    inputs: torch.Tensor
    labels: torch.Tensor
    index: list[int]
    where: dict[str, Any]  # epsilon, clip and norm
    options: dict[str, Any]


def importable_here() -> None:
    """Make the modules of the working directory importable, for ``module:attribute``."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def read_network(arguments: argparse.Namespace) -> verify.Network:
    """The network that the arguments name; the working directory is importable for ``--arch``."""
    importable_here()
    return verify.load(arguments.model, arch=arguments.arch, input_shape=arguments.input_shape)


def read_data(arguments: argparse.Namespace) -> verify.Dataset:
    """The labelled inputs that the arguments name."""
    scale = None if arguments.scale is None else float(verify.parse_decimal(arguments.scale, "scale"))
    return verify.load_data(arguments.data, label_column=arguments.label_column, split=arguments.split, scale=scale)


def read_question(arguments: argparse.Namespace, *, options: dict[str, Any] | None = None) -> Question:
    """The whole question, with the certifiers' options unless others are given; UsageError or LoadError with one line."""
    network = read_network(arguments)
    data = read_data(arguments)
    if arguments.epsilon != "inf":  # which only the attack knows
        verify.parse_decimal(arguments.epsilon)  # a bad radius is named before anything is computed
    text = f"0:{len(data)}" if arguments.index == "all" else arguments.index
    index = verify.parse_index(text, len(data))
    chosen = data.select(index)
    return Question(
        network=network,
        data=data,
        inputs=chosen.inputs,
        labels=chosen.labels,
        index=index,
        where={
            "epsilon": arguments.epsilon,
            "clip": None if arguments.clip is None else tuple(arguments.clip),
            "norm": arguments.norm,
        },
        options=_certifier_options(arguments) if options is None else options,
    )


def _certifier_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "pre_activation": arguments.pre_activation,
        "intersect": not arguments.raw,
        "timeout": arguments.timeout,
        "solver": arguments.solver,
        "trust_solver": arguments.trust_solver,
        "seed": arguments.seed,
        "workers": arguments.workers,
        "semantics": arguments.semantics,
    }


def claim(question: Question) -> str:
    """The claim that the numbers make, in words."""
    where = question.where
    return wording.claim(where["epsilon"], where["norm"], where["clip"], question.options["semantics"])
