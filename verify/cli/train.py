"""``reluproof train``: a config and a data set in, a network with its certified error out; a line for each epoch."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import verify
from verify.cli.output import versions, write
from verify.wording import seconds

_HEADER = ("epoch", "loss", "radius", "rate", "clean", "attacked", "certified", "time")
_WIDTHS = (5, 8, 7, 8, 7, 8, 9, 10)


def run(arguments: argparse.Namespace) -> int:
    """Train, write network and figures into the folder, and return the exit code."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # for an architecture of the user's own
    config = verify.read_training(arguments.config)
    data, watched = _data(arguments)
    test = None if arguments.test is None else _load(arguments, arguments.test, "test")
    out = Path(arguments.out)
    quiet = arguments.json == "-"
    if not quiet:
        print(
            _asked(config, data), "", _line(_HEADER), "-" * (sum(_WIDTHS) + 2 * len(_WIDTHS) - 2), sep="\n", flush=True
        )
    trained = verify.train(
        None,
        data,
        config,
        validation=watched,
        progress=None if quiet else lambda epoch: print(_line(_cells(epoch)), flush=True),
        folder=out,
        resume=arguments.resume,
    )
    network = verify.write_onnx(trained.module, out / "network.onnx", data.inputs.shape[1:])
    errors = None if test is None else _evaluated(network, test, config)
    found = as_data(trained, network, data, errors)
    write(found, str(out / "training.json"))
    if Path(arguments.config).resolve() != (out / "config.toml").resolve():
        shutil.copyfile(arguments.config, out / "config.toml")
    if arguments.json:
        write(found, arguments.json)
    if not quiet:
        print("", *_summary(out, test, errors), sep="\n")
    return 0


def _data(arguments: argparse.Namespace) -> tuple[verify.Dataset, verify.Dataset | None]:
    """What is trained on, and the last inputs, which are not and are watched."""
    data = _load(arguments, arguments.data, "train")
    held = arguments.hold_out
    if not 0 <= held < len(data):
        raise verify.UsageError(
            f"hold-out is {held}: give a number from 0 to {len(data) - 1}, fewer than there are inputs"
        )
    if not held:
        return data, None
    first = len(data) - held
    return data.select(range(first)), data.select(range(first, len(data)))


def _load(arguments: argparse.Namespace, spec: str, split: Any) -> verify.Dataset:
    scale = None if arguments.scale is None else float(verify.parse_decimal(arguments.scale, "scale"))
    return verify.load_data(spec, label_column=arguments.label_column, split=split, scale=scale)


def _asked(config: verify.Training, data: verify.Dataset) -> str:
    clip = "" if config.clip is None else f" within [{config.clip[0]}, {config.clip[1]}]"
    ball = f"|x - input|_{config.norm.replace('linf', 'inf')} <= {config.epsilon}"
    return f"train {config.architecture} by {config.method} on {len(data)} inputs; errors are about x{clip} with {ball}"


def _cells(epoch: verify.Epoch) -> tuple[str, ...]:
    errors = epoch.errors
    shares = (
        ("-",) * 3 if errors is None else tuple(f"{e:.2%}" for e in (errors.clean, errors.attacked, errors.certified))
    )
    return (
        str(epoch.number),
        f"{epoch.loss:.4f}",
        f"{epoch.radius:.4f}",
        f"{epoch.rate:.1e}",
        *shares,
        seconds(epoch.seconds),
    )


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


def _evaluated(network: verify.Network, test: verify.Dataset, config: verify.Training) -> verify.Errors:
    return verify.error_rates(
        network, test.inputs, test.labels, epsilon=config.epsilon, norm=config.norm, clip=config.clip, seed=config.seed
    )


def _summary(out: Path, test: verify.Dataset | None, errors: verify.Errors | None) -> list[str]:
    lines = [f"written to {out}: network.onnx, training.json, config.toml, checkpoint.pt"]
    if test is not None and errors is not None:
        lines.append(
            f"{errors.count} inputs of {test.source}: clean error {errors.clean:.2%}, attacked (PGD) {errors.attacked:.2%}, "
            f"certified (interval bounds) {errors.certified:.2%}"
        )
    return lines


def as_data(
    trained: verify.Trained, network: verify.Network, data: verify.Dataset, errors: verify.Errors | None
) -> dict[str, Any]:
    """The run as plain data."""
    return {
        "config": asdict(trained.config),
        "data": {"source": data.source, "inputs": len(data), "pixel_scale": data.pixel_scale},
        "network": {"identity": verify.identity(network), "sha256": network.sha256},
        "epochs": [{**asdict(epoch), "errors": _plain(epoch.errors)} for epoch in trained.history],
        "seconds": sum(epoch.seconds for epoch in trained.history),
        "test": _plain(errors),
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "versions": versions(),
    }


def _plain(errors: verify.Errors | None) -> dict[str, Any] | None:
    return None if errors is None else {**asdict(errors), "epsilon": str(errors.epsilon)}
