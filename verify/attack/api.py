"""``verify.attack``: from a user's arrays to a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch

from verify.attack.diagnosis import diagnose as diagnosed
from verify.attack.methods import ATTACKS, Method
from verify.attack.options import AttackOptions
from verify.attack.question import Clip, Epsilon, Question, question
from verify.attack.report import AttackReport
from verify.attack.run import run
from verify.errors import UsageError
from verify.network import Network


def attack(
    network: Network,
    inputs: Any,
    labels: Any,
    *,
    epsilon: Epsilon,
    norm: str = "linf",
    clip: Clip = None,
    method: str | Method = "apgd",
    targets: Any = None,
    diagnose: bool = True,
    surrogates: Sequence[Network] = (),
    certified: Any = None,
    **options: Any,
) -> AttackReport:
    """Search for an input within ``epsilon`` of each of ``inputs`` (N, *shape) that is not classified as its label (N,).

    ``epsilon`` and ``clip`` are in the units of the inputs and read as decimals (``"8/255"`` too); ``epsilon=None`` means
    however far, for methods that look for the nearest example. ``method``: a name of ``verify.ATTACKS`` or a
    :class:`verify.attack.methods.Method`, such as the adapters make. ``targets``: None for any wrong class, ``"all"`` to
    aim at each in turn, or a class for each input (N,), whose score is then to reach the label's. Further keywords are
    those of :class:`verify.attack.options.AttackOptions`.

    ``diagnose`` adds the diagnosis of gradient masking, on the first 50 correctly classified inputs: about four attacks
    more. It transfers examples from the networks ``surrogates``, and compares with ``certified`` (N,) bool, which inputs
    somebody verified.

    Every counterexample of the report was evaluated by :mod:`verify.witness`: a float32 number, inside the region exactly,
    and misclassified in real arithmetic. Raises UsageError for anything that does not fit.
    """
    chosen = method_of(method)
    typed = read_options(options)
    asked = question(network, inputs, labels, epsilon=epsilon, norm=norm, clip=clip, targets=targets)
    proved = _certified(certified, asked)
    check(chosen, asked, typed)
    others = [asked.of(surrogate) for surrogate in surrogates]
    begun = time.perf_counter()
    deadline = None if typed.timeout is None else begun + typed.timeout
    answers = run(asked, chosen, typed, deadline)
    findings = diagnosed(asked, chosen, typed, answers, others, proved, deadline) if diagnose else ()
    return AttackReport(
        inputs=tuple(answers),
        method=chosen.name,
        norm=norm,
        epsilon=asked.epsilon,
        clip=asked.clip,
        options=typed,
        seconds=time.perf_counter() - begun,
        diagnosis=findings,
    )


def method_of(method: str | Method) -> Method:
    """The method of a name, or the method itself."""
    if isinstance(method, Method):
        return method
    if method not in ATTACKS:
        raise UsageError(f"unknown attack {method!r}: choose from {', '.join(ATTACKS)}")
    return ATTACKS[method]


def read_options(options: dict[str, Any]) -> AttackOptions:
    """Keyword options as AttackOptions; an unknown one is named together with those that exist."""
    known = [f.name for f in fields(AttackOptions)]
    for name in options:
        if name not in known:
            raise UsageError(f"unknown option {name!r}: choose from {', '.join(known)}")
    return AttackOptions(**options)


def check(method: Method, asked: Question, options: AttackOptions) -> None:
    """What a method cannot do is refused before anything is computed."""
    if asked.norm not in method.norms:
        raise UsageError(f"attack {method.name!r} knows the norm {', '.join(method.norms)}, not {asked.norm!r}")
    if options.transformations is not None and not method.transformable:
        able = ", ".join(m.name for m in ATTACKS.values() if m.transformable)
        raise UsageError(f"attack {method.name!r} takes no transformations: choose from {able}")
    classes, aimed = asked.query.network.outputs, asked.aimed
    if options.loss == "dlr" and classes < (4 if aimed else 3):
        raise UsageError(f"the dlr loss needs {4 if aimed else 3} classes, the network has {classes}: choose margin")
    if not method.relus and asked.query.network.relus:
        count = len(asked.query.network.relus)
        raise UsageError(
            f"attack {method.name!r} is exact for networks without ReLUs, this one has {count}: choose apgd"
        )
    if options.transformations is not None:  # an image is needed for some: said now, not after the first batch
        options.transformations.change(asked.centre[:1], torch.Generator().manual_seed(0))
    try:
        torch.zeros(1, device=options.device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {options.device!r} cannot be used: {str(error).splitlines()[0]}") from None


def _certified(certified: Any, asked: Question) -> torch.Tensor | None:
    if certified is None:
        return None
    proved = torch.as_tensor(certified)
    if proved.dtype != torch.bool or proved.shape != (asked.count,):
        raise UsageError(
            f"certified is {proved.dtype} of shape {tuple(proved.shape)}: say True or False for each of {asked.count} inputs"
        )
    return proved
