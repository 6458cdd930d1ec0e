"""``verify.certify`` and ``verify.compare``: from a user's arrays to results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from verify.certify.methods import METHODS
from verify.certify.options import Options
from verify.certify.prove import with_certificates
from verify.certify.run import margin_table, proved_bounds
from verify.errors import UsageError
from verify.executed import executed, meant
from verify.network import Network, Semantics
from verify.region import ball
from verify.specification import Query, classification
from verify.verdict import Counterexample, Evidence, MarginTable, Result, Verdict

COMPARED = ("interval", "dual", "crown", "alpha", "lp", "milp", "complete")


def certify(
    network: Network,
    x: Any,
    label: int,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    method: str = "auto",
    **options: Any,
) -> Result:
    """Is every input within ``epsilon`` of ``x`` classified as ``label``?

    ``x``: one input, array or tensor of the network's input shape (or as many numbers in row-major order). ``epsilon``
    and ``clip`` are in the units of ``x`` and read as decimals (``"8/255"`` too). Further keywords are those of
    :class:`verify.certify.options.Options`. Raises UsageError for anything that does not fit, and with
    ``semantics="float32"`` where no claim about executions can be made (docs/semantics.md).
    """
    images = batch_of(network, x, single=True)
    labels = torch.tensor([int(label)])
    return certify_batch(network, images, labels, epsilon=epsilon, clip=clip, norm=norm, method=method, **options)[0]


def certify_batch(
    network: Network,
    x: Any,
    labels: Any,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    method: str = "auto",
    **options: Any,
) -> list[Result]:
    """:func:`certify` for many inputs (N, *shape) and labels (N,), several at a time where the method allows."""
    typed = read_options(options)
    network = meant(network, typed.semantics)
    query = classification_query(network, x, labels, epsilon=epsilon, clip=clip, norm=norm)
    return answered(query, batch_of(network, x), torch.as_tensor(labels), method, typed)


def answered(query: Query, inputs: Tensor, labels: Tensor, method: str, options: Options) -> list[Result]:
    """The results of a classification query about ``inputs`` (N, *shape) float64, whose labels (N,) it asks for."""
    table, witnesses = margin_table(query, method, options)
    # A few at a time: the activations of a whole data set may not fit.
    predicted = torch.cat([predictions(query.network, part) for part in inputs.split(256)])
    found = results(table, witnesses, labels, predicted, options.semantics)
    return with_certificates(query, found, options) if options.certificates else found


def lower_bounds(
    network: Network,
    x: Any,
    labels: Any,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    method: str = "alpha",
    **options: Any,
) -> Tensor:
    """The recomputed lower bounds of :func:`certify_batch` alone, (N, S) in target order; nothing is attacked.

    The certified error of a data set is the share of rows whose smallest bound is not positive.
    """
    typed = read_options(options)
    network = meant(network, typed.semantics)
    query = classification_query(network, x, labels, epsilon=epsilon, clip=clip, norm=norm)
    return proved_bounds(query, method, typed)


@dataclass(frozen=True)
class Comparison:
    """One question answered by several methods: results by method, and the best upper bound of each target."""

    results: dict[str, Result]
    targets: tuple[int, ...]
    upper: tuple[float, ...]

    def gap(self, method: str) -> tuple[float, ...]:
        """How far each lower bound of ``method`` is below the best upper bound; the true margin lies in between."""
        rows = self.results[method].margins
        return tuple(best - row.lower for best, row in zip(self.upper, rows, strict=True))


def compare(
    network: Network,
    x: Any,
    label: int,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    methods: Sequence[str] = COMPARED,
    **options: Any,
) -> Comparison:
    """:func:`certify` by each of ``methods``, side by side; every method is checked against every evaluated point.

    By default all of ``COMPARED``, but for ``milp`` with ``semantics="float32"``.
    """
    if not methods:
        raise UsageError("no methods to compare: name at least one")
    typed = read_options(options)
    network = meant(network, typed.semantics)
    if methods is COMPARED and typed.semantics != "real":
        methods = tuple(m for m in COMPARED if not METHODS[m].claims)
    images, labels = batch_of(network, x, single=True), torch.tensor([int(label)])
    query = classification_query(network, images, labels, epsilon=epsilon, clip=clip, norm=norm)
    predicted = predictions(network, images)
    answers = {m: margin_table(query, m, typed) for m in dict.fromkeys(methods)}
    upper = torch.stack([table.upper for table, _ in answers.values()]).amin(0)
    # Every lower bound must stand against every method's points: the table refuses where it does not.
    tables = {m: replace(table, upper=upper) for m, (table, _) in answers.items()}
    found = {
        m: results(tables[m], witnesses, labels, predicted, typed.semantics)[0] for m, (_, witnesses) in answers.items()
    }
    return Comparison(found, tuple(int(t) for t in query.specification.targets[0]), tuple(upper[0].tolist()))


def classification_query(
    network: Network,
    x: Any,
    labels: Any,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
) -> Query:
    """The query behind :func:`certify_batch`."""
    images, classes = batch_of(network, x), torch.as_tensor(labels).long()
    if classes.shape != (len(images),):
        raise UsageError(f"{len(images)} inputs need as many labels, got {tuple(classes.shape)}")
    if not len(images):
        raise UsageError("there are no inputs: the selection is empty")
    return Query(network, ball(images, epsilon, norm=norm, clip=clip), classification(classes, network.outputs))


def batch_of(network: Network, x: Any, *, single: bool = False) -> Tensor:
    """``x`` as float64 (N, *input_shape); with ``single`` it is one input. Refuses sizes that do not fit."""
    tensor = torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x).detach().to(torch.float64)
    size = int(np.prod(network.input_shape))
    count = 1 if single else (len(tensor) if tensor.dim() else 0)
    if tensor.numel() != count * size:
        wanted = network.input_shape if single else ("N", *network.input_shape)
        raise UsageError(f"the network takes inputs of shape {wanted}, got {tuple(tensor.shape)}")
    return tensor.reshape(count, *network.input_shape)


def predictions(network: Network, x: Tensor) -> Tensor:
    """The class of each input (N, *shape): in float64, or as torch executes a network with the semantics float32."""
    return (executed(network, x) if network.semantics == "float32" else network(x)).argmax(1)


def read_options(options: dict[str, Any]) -> Options:
    """Keyword options as an Options; an unknown one is named together with those that exist."""
    known = [name for name in Options.__dataclass_fields__ if name not in ("deadline", "record", "team")]
    for name in options:
        if name not in known:
            raise UsageError(f"unknown option {name!r}: choose from {', '.join(known)}")
    return Options(**options)


def results(
    table: MarginTable,
    witnesses: Sequence[Counterexample | None],
    labels: Tensor,
    predicted: Tensor,
    semantics: Semantics = "real",
) -> list[Result]:
    """One Result for each input of a table. A falsified one carries its counterexample."""
    found = []
    for i, judged in enumerate(table.verdicts()):
        witness = witnesses[i]
        # Without a counterexample of its own to show (the point was another method's), a method falsifies nothing.
        verdict = Verdict.FALSIFIED if witness is not None else _without_witness(judged)
        rows = table.rows(i)
        proved = all(row.proved > 0 for row in rows)
        found.append(
            Result(
                verdict=verdict,
                margins=rows,
                counterexample=witness,
                label=int(labels[i]),
                predicted=int(predicted[i]),
                method=table.method,
                evidence=Evidence.RECOMPUTED if proved or verdict is not Verdict.VERIFIED else Evidence.SOLVER_CLAIM,
                seconds=table.seconds_of(i),
                reason=_reason(table, i) if verdict is Verdict.UNKNOWN else "",
                layers=table.layers if len(table.lower) == 1 else {},
                semantics=semantics,
            )
        )
    return found


def _without_witness(judged: Verdict) -> Verdict:
    return Verdict.UNKNOWN if judged is Verdict.FALSIFIED else judged


def _reason(table: MarginTable, i: int) -> str:
    claimed = bool((torch.maximum(table.lower[i], table.proved[i]) > 0).all())
    if claimed:
        return "solver's claim only"
    reason = table.reason_of(i)
    return "incomplete method" if reason in ("", "solver claim") else reason
