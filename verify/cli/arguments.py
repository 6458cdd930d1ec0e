"""The command line's words; nothing heavy is imported here, so that --help is quick."""

from __future__ import annotations

import argparse
from typing import Any

_EXAMPLES = """examples:
  reluproof demo
  reluproof certify model.onnx --data digits.npz --index 0:20 --epsilon 0.1 --clip 0 1
  reluproof compare model.pt --arch my_nets:make_net --data mnist/ --index 0 --epsilon 8/255 --clip 0 1
  reluproof verify model.onnx property.vnnlib --timeout 60
  reluproof certify model.onnx --data digits.npz --epsilon 0.1 --clip 0 1 --certificates proofs/
  reluproof check proofs/0.reluproof --network model.onnx
  reluproof transfer proofs/*.reluproof --out new/ finetuned.onnx
  reluproof train config.toml --data mnist/ --out trained/ --hold-out 5000
  reluproof attack model.onnx --data digits.npz --index 0:100 --epsilon 0.1 --clip 0 1 --restarts 5 --out found/
  reluproof run model.onnx --data mnist/ --epsilon 0.1 --clip 0 1 --timeout 20 --out runs/mlp-0.1
  reluproof explain model.onnx --data digits.npz --index 7 --epsilon 0.1 --clip 0 1 --timeout 20
  reluproof radius model.onnx --data digits.npz --index 0:20 --most 0.3 --resolution 0.005 --clip 0 1 --timeout 10
  reluproof plot surface standard.onnx robust.onnx --data digits.npz --index 0 --epsilon 0.1 --clip 0 1 --out around.svg
  reluproof gate --policy reluproof.toml --baseline ledger.json --junit gate.xml
  reluproof report runs/mlp-0.1 --data mnist/ --out report.html
  reluproof info model.onnx

exit codes of certify and compare: 0 every input verified, 1 one falsified (or --fail-under missed), 2 misuse,
3 some unknown, 4 a contradiction was found and no number of the run can be trusted; of verify: 0 unsat (the property
holds), 1 sat (a counterexample), 3 unknown or timeout; of attack: 0 no counterexample found, 1 one found; of run and
merge: 0, or 3 where some inputs ended in an error; of radius and report: 0; of gate: 0 passed, 1 failed, 3 not decided in
time; of check: 0 accepted, 1 rejected"""

_METHODS = "auto (default: complete), or interval, dual, crown, alpha, lp, milp, complete, linear"
_POLICY = "reluproof.toml"
_EPSILON = "radius in the data's units: 0.1 or 8/255"


def parser(version: str) -> argparse.ArgumentParser:
    """The parser of every command."""
    top = argparse.ArgumentParser(
        prog="reluproof",
        description="Formal verification of ReLU networks: prove that no input within epsilon is classified differently, "
        "or find one.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"reluproof {version}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    certify = commands.add_parser("certify", help="certify inputs against an epsilon ball by one method")
    _network(certify)
    _question(certify, index="all")
    _how(certify)
    certify.add_argument(
        "--method",
        default="auto",
        help=_METHODS,
    )
    certify.add_argument("--fail-under", type=float, metavar="SHARE", help="exit 0 iff at least this share is verified")
    certify.add_argument(
        "--certificates", metavar="DIR", help="write a certificate for each verified input, and the network's file"
    )
    certify.add_argument("--save-counterexamples", metavar="FILE.npz", help="write the counterexamples found")

    compare = commands.add_parser("compare", help="several methods on one input, side by side")
    _network(compare)
    _question(compare, index="0")
    _how(compare)
    compare.add_argument(
        "--methods", nargs="+", metavar="METHOD", help="default: interval dual crown alpha lp milp complete"
    )

    attack = commands.add_parser("attack", help="search for counterexamples, and check what the search is worth")
    _network(attack)
    _question(attack, index="all", epsilon="radius in the data's units: 0.1 or 8/255; inf for the nearest example")
    _attack(attack)

    run = commands.add_parser("run", help="certify a whole data set: stages, journal, resume, workers, shards")
    _network(run)
    _question(run, index="all")
    _how(run)
    run.add_argument("--method", default="auto", help=_METHODS)
    run.add_argument(
        "--out", required=True, metavar="DIR", help="the folder of the run: journal, summary, counterexamples"
    )
    run.add_argument("--resume", action="store_true", help="go on with the run that DIR holds")
    run.add_argument("--budget", type=float, metavar="SECONDS", help="stop after so long in all; --resume goes on")
    run.add_argument("--shard", default="1/1", metavar="K/N", help="only the K-th of N parts (see merge)")
    run.add_argument("--scheduler", metavar="ADDRESS", help="work on a Dask cluster: tcp://host:8786")
    run.add_argument("--certificates", action="store_true", help="write a certificate for each verified input")
    run.add_argument("--quiet", action="store_true", help="say nothing before the summary")

    explain = commands.add_parser("explain", help="why an input stays unknown: where the bounds lose what")
    _network(explain)
    _question(explain, index="0")
    _how(explain)
    explain.add_argument(
        "--more",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="for complete, if its time was up (default 60; 0: none)",
    )

    radius = commands.add_parser("radius", help="the largest radius verified and the smallest broken, of each input")
    _network(radius)
    _question(radius, index="0", flag="--most", epsilon="the largest radius that is asked about, in the data's units")
    _how(radius)
    radius.add_argument("--resolution", required=True, metavar="STEP", help="radii are multiples of this, 0.001 say")
    radius.add_argument("--method", default="auto", help=_METHODS)

    merge = commands.add_parser("merge", help="join the shards of one run")
    merge.add_argument("shards", nargs="+", metavar="DIR", help="folders that `run --shard` wrote")
    merge.add_argument("--out", required=True, metavar="DIR", help="the new folder of the whole run")

    verify = commands.add_parser("verify", help="decide a VNN-LIB property: prints sat, unsat, unknown or timeout")
    _network(verify)
    verify.add_argument("property", help=".vnnlib[.gz], version 1.0 or 2.0; it describes the counterexample")
    verify.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="for starting, reading the files and the search together"
    )
    verify.add_argument(
        "--witness", metavar="FILE", help="write the result, and for sat the point, as VNN-COMP wants it"
    )
    verify.add_argument("--certificate", metavar="FILE", help="for unsat, write a certificate that `check` accepts")
    _semantics(verify)
    verify.add_argument("--seed", type=int, default=0, help="of every random choice (default 0)")
    _machine(verify)
    verify.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")
    verify.add_argument("-v", "--verbose", action="store_true", help="say more, below the result")

    check = commands.add_parser(
        "check", help="check a certificate with the independent checker (check --help), or a ledger (--ledger)"
    )
    _audit(check)  # without --ledger, the checker reads its own arguments

    gate = commands.add_parser("gate", help="do the certificates that a policy asks for still stand? for CI")
    _gate(gate)

    transfer = commands.add_parser("transfer", help="replay certificates of an older network on this one")
    _network(transfer)
    transfer.add_argument("certificates", nargs="+", metavar="CERTIFICATE", help="files of the older network")
    transfer.add_argument("--out", required=True, metavar="DIR", help="where certificates that still hold are written")
    transfer.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")

    plot = commands.add_parser("plot", help="pictures, PNG or SVG: the surface around an input, a gallery of attacks")
    _plot(plot.add_subparsers(dest="picture", metavar="PICTURE", required=True))

    report = commands.add_parser("report", help="runs as one HTML file: verdicts, bounds, counterexamples, every input")
    _report(report)

    train = commands.add_parser("train", help="train a network that can be certified, from a TOML config")
    _train(train)

    info = commands.add_parser("info", help="what a network file holds, and its hash")
    _network(info)
    info.add_argument("--save", metavar="FILE", help="write the network's canonical file, which `check` reads")
    info.add_argument("--json", action="store_true", help="print JSON instead of text")

    selftest = commands.add_parser(
        "selftest", help="every method against the exact truth, on this machine, in a minute"
    )
    selftest.add_argument("--seed", type=int, default=0, help="of the questions (default 0)")
    selftest.add_argument("--seconds", type=float, default=40.0, help="how long to ask (default 40)")
    selftest.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")

    demo = commands.add_parser("demo", help="certify and compare on a digit network that ships with reluproof")
    demo.add_argument("--json", action="store_true", help="print the comparison as JSON")
    _machine(demo)
    return top


def _plot(pictures: Any) -> None:
    surface = pictures.add_parser("surface", help="margin or loss around one input, a panel for each network")
    _network(surface, count="+")
    _question(surface, index="0")
    surface.add_argument("--quantity", default="margin", help="margin (default) or loss")
    surface.add_argument(
        "--reach", type=float, default=1.5, metavar="N", help="how far the plane goes, in epsilons (default 1.5)"
    )
    surface.add_argument("--points", type=int, default=41, metavar="N", help="in each direction (default 41)")
    surface.add_argument("--seed", type=int, default=0, help="of the random direction (default 0)")

    gallery = pictures.add_parser("gallery", help="inputs, what an attack changes, magnified, and the results")
    _network(gallery)
    _question(gallery, index="0:8")
    gallery.add_argument("--method", default="apgd", help="the attack: as for `attack`")
    gallery.add_argument("--restarts", type=int, default=1, metavar="N", help="runs for each input (default 1)")
    gallery.add_argument("--steps", type=int, default=40, metavar="N", help="steps of each run (default 40)")
    gallery.add_argument("--seed", type=int, default=0, help="of every random choice (default 0)")

    radii = pictures.add_parser(
        "radii", help="certified and attacked error against the radius, a curve for each network"
    )
    radii.add_argument("radii", nargs="+", metavar="FILE", help="what `radius --json` wrote")
    for picture in (surface, gallery, radii):
        picture.add_argument("--out", required=True, metavar="FILE", help="the picture: .png or .svg")
    for picture in (surface, gallery):
        _machine(picture)


def _audit(command: argparse.ArgumentParser) -> None:
    command.add_argument("--ledger", required=True, metavar="FILE", help="what `gate --ledger` wrote")
    command.add_argument(
        "--policy", default=_POLICY, metavar="FILE", help=f"whose networks and data (default {_POLICY})"
    )
    command.add_argument("--cache", metavar="DIR", help="the evidence (default: that of the policy)")
    command.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")


def _gate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--policy", default=_POLICY, metavar="FILE", help=f"what must stand (default {_POLICY})")
    command.add_argument("--baseline", metavar="FILE", help="the ledger to compare with (default: that of the policy)")
    command.add_argument("--no-baseline", action="store_true", help="compare with none, to sign off a first ledger")
    command.add_argument("--ledger", metavar="FILE", help="write the new ledger, to be signed off as the next baseline")
    command.add_argument("--json", metavar="FILE", help="write all of it (schema: verify/gate/gate.schema.json)")
    command.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    command.add_argument("--sarif", metavar="FILE", help="write SARIF 2.1.0")
    command.add_argument("--markdown", metavar="FILE", help="write a comment for a pull request")
    command.add_argument("--html", metavar="FILE", help="write a page for people (docs/report.md)")
    _workers(command)


def _report(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="+", metavar="RUN", help="folders that `run` or `merge` wrote")
    command.add_argument("--out", required=True, metavar="FILE", help="the report: an .html file")
    command.add_argument("--radii", nargs="+", default=[], metavar="FILE", help="curves of what `radius --json` wrote")
    group = command.add_argument_group("pictures of counterexamples")
    _data(group, required=False)
    group = command.add_argument_group("the ladder of bounds, computed for the report; it needs --data")
    group.add_argument("--ladder", type=int, default=0, metavar="N", help="ask every method about N inputs")
    group.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for each answer (default 10)")
    group.add_argument("--model", help="the network of the first run")
    _shape(group)


def _network(command: argparse.ArgumentParser, *, count: str | None = None) -> None:
    command.add_argument("model", nargs=count, help=".onnx[.gz], .pt/.pth, .pt2, .safetensors or .npz")
    _shape(command)


def _shape(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--arch", metavar="MODULE:CALLABLE", help="builds the torch module that a state dict belongs to"
    )
    command.add_argument(
        "--input-shape", type=int, nargs="+", metavar="N", help="shape of one input, for torch modules"
    )


def _question(
    command: argparse.ArgumentParser, *, index: str, epsilon: str = _EPSILON, flag: str = "--epsilon"
) -> None:
    group = command.add_argument_group("the question")
    _data(group)
    group.add_argument("--index", default=index, help=f"which inputs: 3, 0:20, 1,5,9 or all (default: {index})")
    group.add_argument(flag, dest="epsilon", required=True, metavar="RADIUS", help=epsilon)
    group.add_argument("--clip", nargs=2, metavar=("LOW", "HIGH"), help="valid range of every input entry, e.g. 0 1")
    group.add_argument("--norm", default="linf", help="linf (default), l2 or l1")


def _data(group: argparse._ActionsContainer, *, required: bool = True) -> None:
    group.add_argument(
        "--data", required=required, help=".npz, X.npy:Y.npy, an MNIST folder, .csv[.gz] or module:attribute"
    )
    group.add_argument("--label-column", choices=("first", "last"), default="first", help="of a CSV file")
    group.add_argument("--split", choices=("test", "train"), default="test", help="of an MNIST folder")
    group.add_argument("--scale", help="multiply the stored inputs by this, 1/255 say")


def _machine(command: argparse._ActionsContainer) -> None:
    _workers(command)
    command.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu, the only one so far")


def _workers(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--workers", type=int, metavar="N", help="cores used at once (default: OMP_NUM_THREADS, or as many as are idle)"
    )


def _semantics(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--semantics",
        choices=("real", "float32"),
        default="real",
        help="real (default): exact arithmetic over the stored weights; float32: the network as any IEEE float32 execution "
        "computes it",
    )


def _how(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how")
    group.add_argument(
        "--pre-activation", metavar="METHOD", help="bounds of the ReLUs' inputs (default: the method's own)"
    )
    group.add_argument("--raw", action="store_true", help="do not intersect them with interval bounds")
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="time for each input (default: no limit)")
    group.add_argument("--solver", default="highs", help="highs (default), scipy or pulp")
    _semantics(group)
    group.add_argument("--trust-solver", action="store_true", help="let a MILP solver's claim verify")
    group.add_argument("--seed", type=int, default=0, help="of the attack (default 0)")
    _machine(group)
    group.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")


def _attack(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how")
    group.add_argument(
        "--method",
        default="apgd",
        help="apgd (default), pgd, fgsm, square, uniform, signs; nearest example: fab, deepfool, cw, lbfgs; "
        "linear networks: linear",
    )
    group.add_argument("--loss", default="soft_margin", help="soft_margin (default), margin, cross_entropy or dlr")
    group.add_argument("--targeted", action="store_true", help="aim at every wrong class in turn")
    group.add_argument("--restarts", type=int, default=1, metavar="N", help="runs for each input (default 1)")
    group.add_argument("--steps", type=int, default=40, metavar="N", help="steps of each run (default 40)")
    group.add_argument(
        "--start", default="auto", help="auto (default: the input, then random and odi), centre, random, odi"
    )
    group.add_argument(
        "--step-size", type=float, metavar="SIZE", help="in the data's units (default: the method's own)"
    )
    group.add_argument("--seed", type=int, default=0, help="of every random choice (default 0)")
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="for the whole search (default: no limit)")
    group.add_argument("--no-diagnosis", action="store_true", help="leave out the checks for gradient masking")
    group.add_argument(
        "--surrogate",
        action="append",
        default=[],
        metavar="MODEL",
        help="whose examples are tried too; may be repeated",
    )
    group.add_argument("--out", metavar="DIR", help="write the counterexamples to DIR/counterexamples.npz")
    group.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")
    _machine(group)


def _train(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", metavar="CONFIG.toml", help="what to do: docs/training.md says its keys")
    command.add_argument(
        "--data", required=True, help="to train on: .npz, X.npy:Y.npy, an MNIST folder, .csv[.gz] or module:attribute"
    )
    command.add_argument(
        "--out", required=True, metavar="DIR", help="for network.onnx, training.json and the checkpoint"
    )
    command.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    command.add_argument(
        "--hold-out", type=int, default=0, metavar="N", help="do not train on the last N inputs, and watch their errors"
    )
    command.add_argument(
        "--test", metavar="DATA", help="evaluate the trained network on this (of a folder, its test split)"
    )
    command.add_argument("--label-column", choices=("first", "last"), default="first", help="of a CSV file")
    command.add_argument("--scale", help="multiply the stored inputs by this, 1/255 say")
    command.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")
    _workers(command)
