"""How many verified queries have a certificate that the independent checker accepts, how large it is, and what checking costs.

Run: python benchmarks/certificates.py [SET ...] [--limit N] [--timeout-cap S] [--images N] [--workers N]. Sets are the VNN-COMP
folders of the reference data (all instances that are not known to be falsified) and image networks (the first N test images by
method complete). ``solve`` is the time to decide and record, ``check`` that of the checker. Exits 1 when a certificate is missing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from common import DATA, report
from networks import NETWORKS, TUTORIAL

sys.path.insert(0, str(Path(__file__).parent / "vnncomp"))

from run import instances

import verify
from verify.check import check
from verify.proof.canonical import canonical

SETS = ("test", "acasxu", "rl_benchmarks", "sat_relu", "mnist_fc", "oval21", "sri_resnet_a")
SECONDS = 20.0  # for an image

IMAGES = {reference.name: reference for reference in (*NETWORKS, *TUTORIAL)}


@dataclass(frozen=True)
class Verified:
    """A verified query: its certificate's size, or why there is none, and the seconds of solving and of checking."""

    name: str
    size: int
    reason: str
    solve: float
    check: float


def main() -> int:
    """Print a row per set."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("sets", nargs="*", default=[*SETS, *IMAGES])
    arguments.add_argument("--limit", type=int, help="only the first N instances of each VNN-COMP set")
    arguments.add_argument("--timeout-cap", type=float, metavar="S", help="no instance gets more than S seconds")
    arguments.add_argument("--images", type=int, default=200)
    arguments.add_argument("--workers", type=int, default=1, help="processes that search for one answer")
    asked = arguments.parse_args()
    rows, missing = [], 0
    for name in asked.sets:
        found = list(_images(name, asked) if name in IMAGES else _set(name, asked))
        missing += sum(not v.size for v in found)
        rows.append(_row(name, found))
    header = ["set", "verified", "accepted", "median bytes", "largest", "median check/solve", "solve s", "check s"]
    report("certificates", header, rows)
    return min(missing, 1)


def _row(name: str, found: list[Verified]) -> list[object]:
    accepted = [v for v in found if v.size]
    sizes, shares = [v.size for v in accepted], [v.check / max(v.solve, 1e-9) for v in accepted]
    return [
        name,
        len(found),
        len(accepted),
        int(statistics.median(sizes)) if sizes else 0,
        max(sizes, default=0),
        f"{statistics.median(shares):.0%}" if shares else "",
        f"{sum(v.solve for v in found):.1f}",
        f"{sum(v.check for v in accepted):.1f}",
    ]


def _set(name: str, asked: argparse.Namespace) -> Iterator[Verified]:
    for instance in instances(DATA / "vnncomp" / name)[: asked.limit]:
        if instance.truth == "sat":
            continue
        network = verify.load(instance.model)
        prop = verify.load_property(instance.prop, network)
        begun = time.perf_counter()
        timeout = min(instance.timeout, asked.timeout_cap or instance.timeout)
        decision = verify.decide(network, prop, timeout=timeout, workers=asked.workers, certificate=True)
        seconds = time.perf_counter() - begun
        if decision.verdict is verify.Verdict.VERIFIED:
            yield _said(_measured(f"{name} {instance.name}", network, decision.certificate, seconds))


def _images(name: str, asked: argparse.Namespace) -> Iterator[Verified]:
    network = IMAGES[name].load()
    digits = verify.load_data(DATA / "mnist")
    for i in range(asked.images):
        begun = time.perf_counter()
        (result,) = verify.certify_batch(
            network,
            digits.inputs[i : i + 1],
            digits.labels[i : i + 1],
            epsilon=IMAGES[name].epsilon,
            clip=(0, 1),
            timeout=SECONDS,
            workers=asked.workers,
            certificates=True,
        )
        seconds = time.perf_counter() - begun
        if result.verdict is verify.Verdict.VERIFIED:
            found = result.certificate or verify.Refused(result.reason)
            yield _said(_measured(f"{name} {i}", network, found, seconds))


def _measured(
    name: str, network: verify.Network, found: verify.Certificate | verify.Refused | None, seconds: float
) -> Verified:
    if not isinstance(found, verify.Certificate):
        return Verified(name, 0, getattr(found, "reason", "none"), seconds, 0.0)
    file, begun = canonical(network), time.perf_counter()
    accepted = check(found.data, file).accepted
    spent = time.perf_counter() - begun
    if not accepted:
        return Verified(name, 0, "rejected the second time", seconds, spent)
    return Verified(name, len(found.data), "", max(seconds - spent, 0.0), spent)


def _said(found: Verified) -> Verified:
    """Print what stands out."""
    if not found.size or found.size > 10**6 or found.check > 5:
        print(f"{found.name}: {found.size} bytes, solve {found.solve:.1f} s, check {found.check:.1f} s {found.reason}")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
