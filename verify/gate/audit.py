"""A ledger checked as a whole, from the network, the data and the evidence alone: nothing that its lines say is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import verify
from verify.gate.answers import KINDS, Asked, read_asked
from verify.gate.evidence import CERTIFICATE, POINT, Evidence
from verify.gate.ledger import Account, read_ledger
from verify.gate.outcome import Line
from verify.gate.policy import Policy


@dataclass(frozen=True)
class Audit:
    """How many lines were confirmed by their evidence, by state; ``rejected``: the others that claim something, and why."""

    confirmed: Mapping[str, int]
    rejected: tuple[str, ...]
    undecided: int  # lines that claim nothing

    @property
    def accepted(self) -> bool:
        """Whether every line that claims something was confirmed."""
        return not self.rejected


def audit(ledger: str | Path, policy: Policy, *, cache: str | Path | None = None) -> Audit:
    """Check every line of a ledger against what its policy names: the networks, the data, and the cache of evidence.

    A ``verified`` line is confirmed by a certificate that the independent checker accepts for the question that network, data
    and policy ask, with the margin that the line says; a ``falsified`` one by a point that the network is evaluated to
    misclassify. Both must be the very files whose SHA-256 the line names. Raises UsageError or LoadError for what cannot be read.
    """
    read = read_ledger(ledger)
    folder = policy.cache if cache is None else Path(cache)
    if folder is None:
        raise verify.UsageError('there is no evidence to check with: say cache = "evidence" in the policy, or --cache')
    evidence = Evidence(folder)
    confirmed, rejected, undecided = {"verified": 0, "falsified": 0}, list[str](), 0
    names = {check.name for check in policy.checks}
    rejected += [f"{name}: the policy has no such check" for name in read.accounts if name not in names]
    for check in policy.checks:
        account = read.accounts.get(check.name)
        if account is None:
            rejected.append(f"{check.name}: the ledger has no such check")
            continue
        asked = read_asked(check, policy.file.parent)
        rejected += [f"{check.name}: {why}" for why in _whole(asked, account)]
        for place, index in enumerate(asked.index):
            line = account.lines.get(index)
            if line is None:
                continue  # said above
            if line.state not in confirmed:
                undecided += 1
                continue
            why = _unlike(asked, place, line, evidence)
            if why:
                rejected.append(f"{check.name}, input {index}: {why}")
            else:
                confirmed[line.state] += 1
    return Audit(confirmed, tuple(rejected), undecided)


def _whole(asked: Asked, account: Account) -> list[str]:
    """What does not fit of an account as a whole."""
    found = []
    if differ := [k for k, v in asked.check.facts().items() if account.asked.get(k) != v]:
        found.append(f"the ledger says another {', '.join(differ)} than the policy")
    if account.network != asked.claims[0].identity:
        found.append(f"the ledger is about the network {account.network}, the file holds {asked.claims[0].identity}")
    wanted, there = set(asked.index), set(account.lines)
    for words, some in (("have no line", wanted - there), ("are not asked for by the policy", there - wanted)):
        if some:
            found.append(f"{len(some)} inputs, such as {min(some)}, {words}")
    return found


def _unlike(asked: Asked, place: int, line: Line, evidence: Evidence) -> str:
    """Why a line is not confirmed, or nothing."""
    claim = asked.claims[place]
    if (line.question, line.label, line.predicted) != (claim.digest, claim.label, claim.predicted):
        return "network and data ask another question than the line answers, or the prediction differs"
    kind = CERTIFICATE if line.state == "verified" else POINT
    named = line.certificate if kind == CERTIFICATE else line.counterexample
    if named is None:
        return f"{line.state} ({line.evidence or 'no evidence'}), and the line names no file that shows it"
    content = evidence.read(claim, kind)
    if content is None:
        return f"the file {evidence.path(claim, kind).name} is missing"
    found = KINDS[kind](asked, place, content)
    if isinstance(found, str):
        return found
    return "" if found == line else "its evidence shows another line: " + _difference(found, line)


def _difference(found: Line, line: Line) -> str:
    names = [name for name in vars(found) if getattr(found, name) != getattr(line, name)]
    return ", ".join(f"{name} {getattr(found, name)!r}, the line says {getattr(line, name)!r}" for name in names)
