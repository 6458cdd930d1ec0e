"""Checkpoints: everything that the next epoch depends on, written whole or not at all, and refused elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from verify.errors import LoadError, UsageError
from verify.load.dataset import Dataset
from verify.train.config import Training
from verify.train.engine import State
from verify.train.evaluate import Errors
from verify.train.outcome import Epoch

NAME = "checkpoint.pt"
_VERSION = 1


def fingerprint(state: State, data: Dataset, settings: Training) -> str:
    """SHA-256 of the config, the module's layout and the training data: what a checkpoint is of."""
    found = hashlib.sha256(settings.identity.encode())
    found.update(repr([(k, tuple(v.shape), str(v.dtype)) for k, v in state.module.state_dict().items()]).encode())
    for stored in (data.inputs, data.labels):
        found.update(stored.contiguous().numpy().data)
    return found.hexdigest()


def save(state: State, path: Path, identity: str) -> None:
    """Write the checkpoint beside ``path`` and move it there, so that ``path`` always holds a whole one."""
    content = {
        "version": _VERSION,
        "identity": identity,
        "epoch": state.epoch,
        "step": state.step,
        "module": state.module.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "order": state.order.get_state(),
        "points": state.points.get_state(),
        "history": [_plain(epoch) for epoch in state.history],
    }
    partial = path.with_name(path.name + ".partial")
    try:
        torch.save(content, partial)
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None


def restore(state: State, path: Path, identity: str) -> None:
    """Set ``state`` to what the checkpoint holds.

    Raises LoadError for a missing or damaged file, UsageError for a checkpoint of another config, module or data set.
    """
    if not path.is_file():
        raise LoadError(f"{path}: no checkpoint to resume from; start without resume")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        version, known = content["version"], content["identity"]
    except Exception as error:  # torch.load raises whatever its unpickler meets
        raise LoadError(f"{path}: is no whole checkpoint ({type(error).__name__}); start without resume") from None
    if version != _VERSION:
        raise LoadError(f"{path}: a checkpoint of version {version}, this one reads {_VERSION}; start without resume")
    if known != identity:
        raise UsageError(
            f"{path}: the checkpoint is of another config, network or data set; give the ones it was begun with, or start "
            "without resume in another folder"
        )
    state.module.load_state_dict(content["module"])
    state.optimiser.load_state_dict(content["optimiser"])
    state.order.set_state(content["order"])
    state.points.set_state(content["points"])
    state.epoch, state.step = content["epoch"], content["step"]
    state.history = tuple(_epoch(entry) for entry in content["history"])


def _plain(epoch: Epoch) -> dict[str, Any]:
    entry = asdict(epoch)
    if epoch.errors is not None:
        entry["errors"]["epsilon"] = str(epoch.errors.epsilon)
    return entry


def _epoch(entry: dict[str, Any]) -> Epoch:
    errors = entry["errors"]
    if errors is not None:
        errors = Errors(**{**errors, "epsilon": Fraction(errors["epsilon"])})
    return Epoch(**{**entry, "errors": errors})
