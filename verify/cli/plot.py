"""``reluproof plot``: the surface around an input, a gallery of attacked images, or error against radius."""

from __future__ import annotations

import argparse

import verify
from verify.cli.inputs import read_question
from verify.plot import check

DRAWN = 0


def run(arguments: argparse.Namespace) -> int:
    """Draw the picture that is asked for, and say where it is."""
    check(arguments.out)
    words = _PICTURES[arguments.picture](arguments)
    print(f"{words}\nwritten to {arguments.out}")
    return DRAWN


def _surface(arguments: argparse.Namespace) -> str:
    models = arguments.model
    arguments.model = models[0]
    question = read_question(arguments, options={})
    if len(question.index) != 1:
        raise verify.UsageError(
            f"a surface is drawn around one input, {len(question.index)} are chosen: give one --index"
        )
    if arguments.norm != "linf":
        raise verify.UsageError(f"a surface is drawn with the linf ball, not {arguments.norm!r}: leave --norm out")
    others = [verify.load(path, arch=arguments.arch, input_shape=arguments.input_shape) for path in models[1:]]
    label = int(question.labels[0])
    surface = verify.surface(
        [question.network, *others],
        question.inputs[0],
        label,
        epsilon=arguments.epsilon,
        clip=question.where["clip"],
        quantity=arguments.quantity,
        reach=arguments.reach,
        points=arguments.points,
        seed=arguments.seed,
    )
    verify.plot_surface(surface, arguments.out)
    ranges = (
        f"{name}: {surface.quantity} from {values.min():.4g} to {values.max():.4g}"
        for name, values in zip(surface.names, surface.values, strict=True)
    )
    return "\n".join([f"around input {question.index[0]} of class {label}", *ranges])


def _gallery(arguments: argparse.Namespace) -> str:
    question = read_question(arguments, options={})
    report = verify.attack(
        question.network,
        question.inputs,
        question.labels,
        **{**question.where, "epsilon": None if arguments.epsilon == "inf" else arguments.epsilon},
        method=arguments.method,
        restarts=arguments.restarts,
        steps=arguments.steps,
        seed=arguments.seed,
        diagnose=False,
    )
    name = question.network.source.rsplit("/", 1)[-1]
    verify.plot_gallery(report, question.inputs, arguments.out, title=name)
    return f"{report.method}: clean error {report.clean_error:.1%}, attacked error {report.attacked_error:.1%}"


def _radii(arguments: argparse.Namespace) -> str:
    curves = [verify.read_radii(path) for path in arguments.radii]
    verify.plot_radii(curves, arguments.out)
    return "\n".join(
        f"{one.name}: error under attack at {float(one.most):g} between {one.attacked_error(one.most):.1%} and "
        f"{one.certified_error(one.most):.1%}"
        for one in curves
    )


_PICTURES = {"surface": _surface, "gallery": _gallery, "radii": _radii}
