"""The table of attacks: a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from verify.attack.apgd import apgd
from verify.attack.carlini_wagner import carlini_wagner
from verify.attack.deepfool import deepfool
from verify.attack.fab import fab
from verify.attack.fgsm import fgsm
from verify.attack.lbfgs import lbfgs
from verify.attack.linear import linear
from verify.attack.noise import signs, uniform
from verify.attack.projected import pgd
from verify.attack.square import square
from verify.attack.task import Task

Propose: TypeAlias = Callable[[Task, Tensor], Tensor]
"""A task of N inputs and starts (N, *shape) -> one candidate for each, (N, *shape). What it says of them is not asked."""

ALL_NORMS = ("linf", "l2", "l1")


@dataclass(frozen=True)
class Method:
    """An attack: its name, what it proposes, the norms that it understands, and what it looks for.

    ``nearest``: it looks for the closest example, anywhere in the box of valid inputs, so every restart is run and the
    shortest distance kept. Of the others, a run that succeeds is the last. ``transformable``: it follows the mean loss
    over transformations. ``iterated``: it follows gradients step by step, so others can be measured by it. ``relus``: it is
    for networks with ReLUs too.
    """

    name: str
    propose: Propose
    norms: tuple[str, ...] = ALL_NORMS
    nearest: bool = False
    transformable: bool = False
    iterated: bool = False
    relus: bool = True


ATTACKS: Mapping[str, Method] = {
    m.name: m
    for m in (
        Method("fgsm", fgsm, transformable=True),
        Method("pgd", pgd, iterated=True, transformable=True),
        Method("apgd", apgd, iterated=True, transformable=True),
        Method("cw", carlini_wagner, norms=("l2",), nearest=True, iterated=True),
        Method("lbfgs", lbfgs, norms=("l2",), nearest=True, iterated=True),
        Method("deepfool", deepfool, nearest=True, iterated=True),
        Method("fab", fab, nearest=True, iterated=True),
        Method("square", square),
        Method("uniform", uniform),
        Method("signs", signs),
        Method("linear", linear, relus=False),
    )
}
