"""The loop: one step after another, an epoch's figures to whoever watches, a checkpoint when an epoch is done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from verify.errors import LoadError, TrainingFailed, UnsupportedOperator
from verify.floating import parse_decimal
from verify.load.dataset import Dataset
from verify.load.pytorch import from_torch
from verify.region import ball
from verify.train.augment import moved
from verify.train.config import Training
from verify.train.evaluate import Errors, error_rates
from verify.train.initialise import regulariser
from verify.train.live import Live
from verify.train.methods import METHODS, Moment
from verify.train.outcome import Epoch
from verify.train.schedule import radius_at, ramp_at, rate_at


@dataclass
class State:
    """Everything that the next epoch depends on, and what a checkpoint therefore holds."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    order: torch.Generator
    points: torch.Generator
    epoch: int
    step: int
    history: tuple[Epoch, ...]


def begin(module: nn.Module, settings: Training) -> State:
    """The state before the first epoch, for a module that is on its device already."""
    return State(
        module=module,
        optimiser=torch.optim.Adam(module.parameters(), lr=settings.rate),
        order=torch.Generator().manual_seed(settings.seed),
        points=torch.Generator().manual_seed(settings.seed + 1),
        epoch=0,
        step=0,
        history=(),
    )


def run(
    state: State,
    live: Live,
    data: Dataset,
    settings: Training,
    *,
    watched: Dataset | None,
    done: Callable[[State], None],
) -> None:
    """Train to the last epoch, in place; ``done`` is called after each one, with ``state.history`` up to date.

    Raises TrainingFailed, naming step, epoch and cause, when a loss or a gradient is not finite: the module then has the
    weights from before that step.
    """
    like = next(state.module.parameters())
    batches = len(data) // settings.batch
    background = 0.0 if settings.clip is None else float(parse_decimal(settings.clip[0]))
    while state.epoch < settings.epochs:
        begun = time.perf_counter()
        state.module.train()
        rate = rate_at(settings, state.epoch)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        order = torch.randperm(len(data), generator=state.order)
        total = 0.0
        for k in range(batches):
            rows = order[k * settings.batch : (k + 1) * settings.batch]
            ramp = ramp_at(settings, state.epoch + k / batches)
            x, y = data.inputs[rows].to(like), data.labels[rows].to(like.device)
            if settings.shift:
                x = moved(x, settings.shift, background, state.points)
            total += _step(state, live, x, y, Moment(settings, ramp, state.points))
        radius = float(radius_at(settings, ramp))
        state.epoch += 1
        errors = None if watched is None else _errors(state, watched, settings)
        seconds = time.perf_counter() - begun
        state.history += (Epoch(state.epoch, total / batches, radius, rate, seconds, errors),)
        done(state)


def _step(state: State, live: Live, x: Tensor, y: Tensor, now: Moment) -> float:
    """One step of the optimiser; the loss."""
    settings = now.settings
    try:
        bound = live.bind(x)
    except UnsupportedOperator:
        raise
    except LoadError as error:  # a weight became infinite in the step before
        raise _failed(state, now, str(error)) from None
    region = ball(x, radius_at(settings, now.ramp), norm=settings.norm, clip=settings.clip).to(dtype=x.dtype)
    method = METHODS[settings.method if now.ramp > 0 else "standard"]
    loss = method.loss(bound, x, y, region, now)
    if settings.regularise and now.ramp < 1:
        loss = loss + settings.regularise * (1 - now.ramp) * regulariser(bound.network, region)
    if settings.l1:
        loss = loss + settings.l1 * sum(w.abs().sum() for w in state.module.parameters() if w.dim() > 1)
    value = float(loss.detach())
    state.optimiser.zero_grad(set_to_none=True)
    if math.isfinite(value):
        loss.backward()
        length = float(nn.utils.clip_grad_norm_(state.module.parameters(), settings.clip_gradient))
    if not math.isfinite(value) or not math.isfinite(length):
        what = f"the loss is {value}" if not math.isfinite(value) else f"the gradient's norm is {length}"
        raise _failed(state, now, what)
    state.optimiser.step()
    state.step += 1
    return value


def _failed(state: State, now: Moment, what: str) -> TrainingFailed:
    settings = now.settings
    return TrainingFailed(
        f"step {state.step + 1} (epoch {state.epoch + 1}, radius {float(radius_at(settings, now.ramp)):.4g}): {what}; rate is "
        f"{rate_at(settings, state.epoch):g} and clip_gradient {settings.clip_gradient:g}: lower them, or make the ramp longer"
    )


def _errors(state: State, watched: Dataset, settings: Training) -> Errors:
    network = from_torch(state.module, input_shape=watched.inputs.shape[1:])
    return error_rates(
        network,
        watched.inputs,
        watched.labels,
        epsilon=settings.epsilon,
        norm=settings.norm,
        clip=settings.clip,
        steps=settings.watched_steps,
        seed=settings.seed,
    )
