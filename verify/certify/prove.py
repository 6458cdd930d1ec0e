"""The certificate of a verified input: its method once more on that input alone, with every multiplier recorded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from verify.certificate import Certificate, Refused
from verify.certify.methods import method_named
from verify.certify.options import Options
from verify.proof.recorder import Recorder, places
from verify.property import rows_as_clauses
from verify.specification import Query
from verify.verdict import Evidence, Result, Verdict


def with_certificates(query: Query, results: Sequence[Result], options: Options) -> list[Result]:
    """The results, those that are verified by recomputed bounds with a certificate or with the reason why there is none.

    An accepted certificate makes the evidence CERTIFIED. Slopes are rounded to what is stored before they are bounded
    with, so the margins that the checker derives may be a little lower than the result's.
    """
    return [
        _with_certificate(query.select(torch.tensor([i])), result, options)
        if result.verdict is Verdict.VERIFIED and result.evidence is Evidence.RECOMPUTED
        else result
        for i, result in enumerate(results)
    ]


def _with_certificate(query: Query, result: Result, options: Options) -> Result:
    found = prove(query, result.method, options, label=result.label)
    if isinstance(found, Certificate):
        return replace(result, certificate=found, evidence=Evidence.CERTIFIED)
    return replace(result, reason=found.reason)


def prove(query: Query, method: str, options: Options, *, label: int) -> Certificate | Refused:
    """A certificate that the one input of ``query``, a classification as ``label``, has no counterexample.

    It takes what the answer took, and more where multipliers are rounded: so it may take twice the timeout, and where that is
    not enough the reason says so. Trusted: nothing; the independent checker accepted it.
    """
    _, chosen = method_named(method)
    count = query.specification.C.shape[1]
    record = Recorder(query.network, places(range(count), [1] * count))
    longer = None if options.timeout is None else 2 * options.timeout
    deadline = None if longer is None else time.perf_counter() + longer
    alone = replace(options, record=record, timeout=longer, deadline=deadline, trust_solver=False, workers=1)
    chosen.certify(query, alone)
    late = deadline is not None and time.perf_counter() >= deadline
    from verify.proof.certificate import certified  # brings the checker, which most calls do without

    found = certified(query.network, rows_as_clauses(query).clauses, [record], label=label)
    return Refused(f"timeout of the record: {found.reason}") if late and isinstance(found, Refused) else found
