"""``verify.train``: from a module, a data set and a config to a trained network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from verify.errors import TrainingFailed, UsageError
from verify.files import made
from verify.floating import parse_decimal
from verify.load.dataset import Dataset
from verify.load.pytorch import from_torch
from verify.region import ball
from verify.train.architectures import build
from verify.train.checkpoint import NAME, fingerprint, restore, save
from verify.train.config import Training
from verify.train.engine import State, begin, run
from verify.train.initialise import ibp_initialise
from verify.train.live import Live, trace
from verify.train.outcome import Epoch, Trained
from verify.train.schedule import radius_at


def train(
    module: nn.Module | str | None,
    data: Dataset,
    config: Training,
    *,
    validation: Dataset | None = None,
    progress: Callable[[Epoch], None] | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
) -> Trained:
    """Train ``module`` on ``data`` as ``config`` says.

    ``module``: a torch module, which is trained in place, or the name of an architecture, or None for the config's. Of
    ``validation`` the first ``config.watched`` inputs are evaluated after each epoch. ``progress`` is called with each
    :class:`~verify.train.outcome.Epoch`. With a ``folder``, which is made, a checkpoint is written there after each epoch, and
    ``resume`` goes on from it: on a CPU to the same bits as without the interruption.

    Returns the trained module, its network and the history. Raises UsageError for what does not fit (labels outside the
    scores, a batch larger than the data, a device that is absent, a folder with the checkpoint of another run),
    UnsupportedOperator for a layer that bounds do not know, and TrainingFailed when a loss is not finite; the last
    checkpoint is kept.
    """
    _check(data, config)
    if resume and folder is None:
        raise UsageError("resume needs the folder that holds the checkpoint: give folder as well")
    chosen = _module(module, config).to(config.device)
    live = _traced(chosen, data)
    state = begin(chosen, config)
    where = None if folder is None else made(folder) / NAME
    identity = "" if where is None else fingerprint(state, data, config)
    if where is not None and resume:
        restore(state, where, identity)
    elif where is not None and where.exists():
        raise UsageError(f"{where} is the checkpoint of another run: resume it, or give another folder")

    def done(after: State) -> None:
        if where is not None:
            save(after, where, identity)
        if progress is not None:
            progress(after.history[-1])

    watched = None
    if validation is not None and config.watched:
        watched = validation.select(range(min(config.watched, len(validation))))
    try:
        run(state, live, data, config, watched=watched, done=done)
    except TrainingFailed as error:
        kept = "" if where is None or not state.epoch else f"; {where} holds the end of epoch {state.epoch}"
        raise TrainingFailed(f"{error}{kept}") from None
    chosen = chosen.cpu().eval()
    network = from_torch(chosen, input_shape=data.inputs.shape[1:])
    return Trained(chosen, network, state.history, config)


def _check(data: Dataset, config: Training) -> None:
    if config.batch > len(data):
        raise UsageError(f"batch is {config.batch}, and there are {len(data)} inputs: give at most that many")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is 'cuda', and torch finds none here: give cpu")
    if config.clip is not None:
        low, high = (float(parse_decimal(end, "clip")) for end in config.clip)
        least, most = float(data.inputs.min()), float(data.inputs.max())
        if least < low or most > high:
            raise UsageError(
                f"{data.source}: inputs range over [{least:g}, {most:g}], outside clip [{low:g}, {high:g}]: scale the data or "
                "change clip"
            )
    # A radius that does not fit is refused now, not at the end of the ramp.
    ball(data.inputs[:1], radius_at(config, 1.0), norm=config.norm, clip=config.clip)


def _module(module: nn.Module | str | None, config: Training) -> nn.Module:
    """The module to train, with fresh weights where it was built here; torch's own random state is left as it was."""
    generator = torch.Generator().manual_seed(config.seed)
    if isinstance(module, nn.Module):
        chosen = module
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            chosen = build(module or config.architecture)
    if config.initialise == "ibp":
        ibp_initialise(chosen, generator)
    return chosen


def _traced(module: nn.Module, data: Dataset) -> Live:
    """The traced module; one without weights, and labels that it has no score for, are refused before the first epoch."""
    if not any(weight.requires_grad for weight in module.parameters()):
        raise UsageError(
            f"{type(module).__name__} has no parameter that requires a gradient: there is nothing to train"
        )
    live = trace(module, data.inputs.shape[1:])
    most = int(data.labels.max())
    if most >= live.outputs:
        row = int(data.labels.argmax())
        raise UsageError(
            f"{data.source}: input {row} has the label {most}, and the module gives {live.outputs} scores, 0 to "
            f"{live.outputs - 1}: widen its last layer or choose other data"
        )
    return live
