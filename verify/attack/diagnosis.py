"""Does the network hide its gradients? Checks that every honest attack on an honest network passes (Athalye et al. 2018).

An attack that finds little shows robustness only if it would have found more were there more to find. Each check names
one way in which that fails; none of them is a proof, and none changes what was found.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.attack.directions import steepest
from verify.attack.judge import judge
from verify.attack.methods import ATTACKS, Method
from verify.attack.options import AttackOptions
from verify.attack.question import Question, names
from verify.attack.report import AttackedInput, Finding
from verify.attack.run import run, search_task

_INPUTS = 50  # correctly classified inputs that are looked at
_LUCK = 0.02  # share of them, and one at least, by which chance alone may tell two runs apart
_VANISHING = 0.05  # share of inputs without a usable gradient from which on gradients are called vanishing
_SHATTERED = 0.2  # share of inputs where a tiny step against the gradient does not lower the margin
_TINY_STEP = 0.01  # its length, in radii
_RANDOM = ("uniform", "signs", "square")
_RANDOM_STEPS = 100
_UNBOUNDED_RUNS, _UNBOUNDED_STEPS = 3, 40


@dataclass(frozen=True)
class _Case:
    """What the checks look at: the inputs of the sample, and which of them the white-box attack broke, (n,) bool."""

    sample: Question
    white: Method
    options: AttackOptions
    broken: Tensor
    surrogates: Sequence[Question]
    deadline: float | None

    @property
    def count(self) -> int:
        return self.sample.count

    @property
    def luck(self) -> int:
        return max(1, math.ceil(_LUCK * self.count))

    @property
    def late(self) -> bool:
        return self.deadline is not None and time.perf_counter() >= self.deadline

    def attacked(self, asked: Question, method: Method, **changes: object) -> Tensor:
        """Which inputs another attack breaks, (n,) bool."""
        options = replace(self.options, **changes)  # type: ignore[arg-type]
        if not method.transformable:
            options = replace(options, transformations=None)
        return _mask(run(asked, method, options, self.deadline))


def diagnose(
    asked: Question,
    method: Method,
    options: AttackOptions,
    answers: Sequence[AttackedInput],
    surrogates: Sequence[Question],
    certified: Tensor | None,
    deadline: float | None,
) -> tuple[Finding, ...]:
    """A finding for each check, on the first correctly classified inputs; a check that time does not allow says so."""
    index = torch.tensor([i for i, one in enumerate(answers) if one.correct][:_INPUTS], dtype=torch.long)
    compared = _certified(answers, certified)
    if not len(index):
        nothing = "not made: no input is classified correctly"
        return (*(Finding(name, None, nothing) for name in _CHECKS), compared)
    sample = asked.select(index)
    white, late = method, deadline is not None and time.perf_counter() >= deadline
    broken = torch.tensor([answers[i].attacked for i in index.tolist()])
    if not method.iterated and not late:  # one step, or none, is not the white-box attack that others are measured by
        white = ATTACKS["apgd"]
        broken = _mask(run(sample, white, options, deadline))
    case = _Case(sample, white, options, broken, [s.select(index) for s in surrogates], deadline)
    findings = [_made(name, check, case) for name, check in _CHECKS.items()]
    return (*findings, compared)


def _made(name: str, check: Callable[[_Case], Finding], case: _Case) -> Finding:
    if not case.late:
        found = check(case)
        if not case.late or found.passed is None:
            return found
    return Finding(name, None, "not made: time is up")


def _vanishing(case: _Case) -> Finding:
    useless: dict[str, int] = {}
    for loss in dict.fromkeys((case.options.loss, "cross_entropy")):
        task = search_task(case.sample, replace(case.options, loss=loss, transformations=None))
        gradient = task.slope(task.centre).gradient.flatten(1)
        usable = gradient.isfinite().all(1) & (gradient != 0).any(1)
        useless[loss] = int((~usable).sum())
    worst = max(useless, key=lambda loss: useless[loss])
    passed = useless[worst] <= _VANISHING * case.count
    meaning = "" if passed else ": attacks that follow it are blind there"
    return Finding(
        "vanishing gradients",
        passed,
        f"the gradient of {worst} is zero or not finite at {useless[worst]} of {case.count} inputs{meaning}",
    )


def _shattered(case: _Case) -> Finding:
    task = search_task(case.sample, replace(case.options, loss="margin", transformations=None))
    here = task.slope(task.centre)
    step = _TINY_STEP * task.radius * steepest(task.region, task.norm, task.centre, here.gradient)
    after, _ = task.look(task.region.project(task.centre + step))
    uphill = int((after >= here.margin).sum())
    passed = uphill <= _SHATTERED * case.count or task.radius == 0
    meaning = "" if passed else ": gradients do not say which way is down"
    words = f"a step of a hundredth of epsilon against the gradient does not lower the margin of {uphill} of {case.count} inputs"
    return Finding("shattered gradients", passed, words + meaning)


def _unbounded(case: _Case) -> Finding:
    broken = case.attacked(
        case.sample.within(None),
        case.white,
        step_size=None,
        restarts=max(_UNBOUNDED_RUNS, case.options.restarts),
        steps=max(_UNBOUNDED_STEPS, case.options.steps),
    )
    found = int(broken.sum())
    passed = found == case.count
    meaning = "" if passed else ": the others have counterexamples too, and the attack is blind to them"
    return Finding(
        "unbounded epsilon", passed, f"without a bound {case.white.name} breaks {found} of {case.count} inputs{meaning}"
    )


def _more(case: _Case) -> Finding:
    runs, steps = case.options.restarts, case.options.steps
    before, after = (
        int(case.broken.sum()),
        int(case.attacked(case.sample, case.white, steps=2 * steps, restarts=runs + 1).sum()),
    )
    passed = after >= before - case.luck
    meaning = "" if passed else ": more effort must not find less"
    words = (
        f"{runs} runs of {steps} steps break {before} of {case.count} inputs, {runs + 1} of {2 * steps} break {after}"
    )
    return Finding("more steps and restarts", passed, words + meaning)


def _one_step(case: _Case) -> Finding:
    alone = case.attacked(case.sample, ATTACKS["fgsm"], restarts=1, start="centre") & ~case.broken
    return _beats(case, "one step", "one step (fgsm)", alone)


def _random(case: _Case) -> Finding:
    steps = max(case.options.steps, _RANDOM_STEPS)
    masks = [case.attacked(case.sample, ATTACKS[name], steps=steps, restarts=1) for name in _RANDOM]
    return _beats(case, "random search", "random search", torch.stack(masks).any(0) & ~case.broken)


def _transfer(case: _Case) -> Finding:
    if not case.surrogates:
        return Finding("transfer", None, "not made: no surrogates given")
    masks = []
    for surrogate in case.surrogates:
        points = torch.stack([one.point for one in run(surrogate, case.white, case.options, case.deadline)])
        masks.append(torch.tensor([witness is not None for witness in judge(case.sample.query, points).witnesses]))
    called = ", ".join(names([s.query.network for s in case.surrogates]))
    return _beats(case, "transfer", f"examples of {called}", torch.stack(masks).any(0) & ~case.broken)


def _beats(case: _Case, check: str, rival: str, alone: Tensor) -> Finding:
    """The white-box attack must break what its rival breaks."""
    count = int(alone.sum())
    passed = count <= case.luck
    meaning = "" if passed else ": the gradients mislead the attack"
    words = f"{count} of {case.count} inputs are broken by {rival} and not by {case.white.name}{meaning}"
    return Finding(check, passed, words)


def _certified(answers: Sequence[AttackedInput], certified: Tensor | None) -> Finding:
    """An input that is verified and attacked: one of the two is wrong, and the counterexample was evaluated."""
    if certified is None:
        return Finding("certification", None, "not made: nothing given that is certified")
    both = (certified & _mask(answers)).nonzero().flatten().tolist()
    error = 1 - float(certified.double().mean())
    if both:
        named = ", ".join(map(str, both[:5])) + (" ..." if len(both) > 5 else "")
        return Finding(
            "certification",
            False,
            f"{len(both)} inputs are certified and have a counterexample ({named}): the certificate is wrong or is about "
            "another network, region or label",
        )
    return Finding("certification", True, f"no certified input is attacked; the certified error is {error:.1%}")


def _mask(answers: Sequence[AttackedInput]) -> Tensor:
    return torch.tensor([one.attacked for one in answers])


_CHECKS: Mapping[str, Callable[[_Case], Finding]] = {
    "vanishing gradients": _vanishing,
    "shattered gradients": _shattered,
    "unbounded epsilon": _unbounded,
    "more steps and restarts": _more,
    "one step": _one_step,
    "random search": _random,
    "transfer": _transfer,
}
