"""The errors that reluproof raises; each message names the thing, its value and the remedy."""

from __future__ import annotations


class ReluproofError(Exception):
    """Base of every error that reluproof raises on purpose."""


class UsageError(ReluproofError, ValueError):
    """An argument is wrong: the message says which, what it was, and what to give instead."""


class LoadError(ReluproofError):
    """A file cannot be read as a network or as data: missing, truncated, or of another kind."""


class UnsupportedOperator(LoadError):
    """A network uses an operator or attribute that reluproof does not read. Nothing is ever ignored.

    ``node``, ``op`` and ``attribute`` name the place; ``remedy`` says what could be done.
    """

    def __init__(self, node: str, op: str, attribute: str = "", remedy: str = "") -> None:
        self.node, self.op, self.attribute, self.remedy = node, op, attribute, remedy
        detail = f" ({attribute})" if attribute else ""
        hint = f"; {remedy}" if remedy else ""
        super().__init__(f"node {node!r}: operator {op}{detail} is not supported{hint}")


class UnsupportedProperty(LoadError):
    """A VNN-LIB file asks something that reluproof does not answer. No assertion is ever dropped.

    ``assertion`` and ``line`` name the place; ``remedy`` says what is supported.
    """

    def __init__(self, source: str, line: int, assertion: str, why: str, remedy: str) -> None:
        self.source, self.line, self.assertion, self.why, self.remedy = source, line, assertion, why, remedy
        super().__init__(f"{source}, line {line}: {assertion} {why}: {remedy}")


class LoadMismatch(LoadError):
    """The loaded network and the source runtime disagree on the same input; ``difference`` is the largest."""

    def __init__(self, source: str, difference: float, tolerance: float) -> None:
        self.source, self.difference, self.tolerance = source, difference, tolerance
        super().__init__(
            f"the loaded network differs from {source} by {difference:.3g} (allowed {tolerance:.3g}) on random inputs; "
            "reluproof refuses to make claims about it: please report the model's operators"
        )


class MissingDependency(ReluproofError, ImportError):
    """An optional package is needed for this and is not installed."""


class SoundnessError(ReluproofError):
    """Two facts that cannot both be true, such as a lower bound above an evaluated point.

    No number of this run can be trusted: please report it with the network and the query.
    """


class WorkerFailed(ReluproofError):
    """A process that worked beside this one ended without an answer. Nothing it had not sent was used."""


class SolverError(ReluproofError):
    """A solver refused the problem or returned something that its interface does not allow."""


class TrainingFailed(ReluproofError):
    """Training cannot go on: a loss or a gradient is not finite. The message says at which step, and why."""
