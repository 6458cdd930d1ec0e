"""The ledger: one line of evidence for each input of each check, in a file that people sign off and compare with.

The file carries the SHA-256 of its own lines, so that one that was edited by hand is refused. That is no protection against
somebody who computes it anew: :mod:`verify.gate.audit` derives every line again from network, data and evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import verify
from verify.files import keep
from verify.gate.outcome import GateOutcome, Line
from verify.gate.policy import Check

FORMAT = 1
STATES = ("verified", "falsified", "unknown", "error")


@dataclass(frozen=True)
class Account:
    """One check as a ledger holds it: what was asked (:meth:`Check.facts`), the network's identity, and the lines by index."""

    name: str
    asked: Mapping[str, Any]
    network: str
    versions: Mapping[str, Any]
    lines: Mapping[int, Line]


@dataclass(frozen=True)
class Ledger:
    """The accounts by the name of their check; ``file``: where they were read."""

    file: Path
    accounts: Mapping[str, Account]

    def account(self, check: Check) -> Account:
        """That of a check. Raises UsageError where there is none, or it is about another model or data file."""
        found = self.accounts.get(check.name)
        if found is None:
            raise verify.UsageError(
                f"{self.file}: the baseline has no check {check.name!r} (it has {', '.join(self.accounts)}): sign off a new one"
            )
        for key in ("model", "data"):
            ours, theirs = check.facts()[key], found.asked.get(key)
            if ours != theirs:
                raise verify.UsageError(
                    f"{self.file}: the baseline of {check.name!r} is of {key} {theirs!r}, and the policy says {ours!r}: "
                    "sign off a new baseline"
                )
        return found


def ledger_text(outcome: GateOutcome) -> str:
    """The file: JSON with one line an input."""
    accounts = []
    for check in outcome.checks:
        head = {
            "name": check.check.name,
            "asked": check.check.facts(),
            "network": check.network,
            "versions": outcome.versions,
        }
        lines = ",\n".join(f"   {json.dumps(asdict(line), allow_nan=False)}" for line in check.lines)
        accounts.append(f'  {json.dumps(head)[:-1]}, "lines": [\n{lines}\n  ]}}')
    body = ",\n".join(accounts)
    checks_text = f"[\n{body}\n ]"
    return (
        f'{{"format": {FORMAT},\n "sha256": "{lines_digest(json.loads(checks_text))}",\n "checks": {checks_text}\n}}\n'
    )


def write_ledger(path: str | Path, outcome: GateOutcome) -> None:
    """Write the ledger of a gate. Raises UsageError where that fails."""
    keep(Path(path), ledger_text(outcome).encode())


def read_ledger(path: str | Path) -> Ledger:
    """The ledger in a file. Raises LoadError where there is none, or it is damaged or was edited."""
    file = Path(path)
    try:
        whole = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise verify.LoadError(
            f"{file}: the ledger cannot be read ({error.strerror}); `reluproof gate --no-baseline --ledger FILE` writes a first one"
        ) from None
    except ValueError as error:
        raise verify.LoadError(f"{file}: no ledger ({error})") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise verify.LoadError(f"{file}: no ledger of format {FORMAT}: sign off a new one")
    if whole.get("sha256") != lines_digest(whole.get("checks")):
        raise verify.LoadError(f"{file}: the ledger was edited or damaged: its SHA-256 is not that of its lines")
    try:
        accounts = [_account(entry) for entry in whole["checks"]]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise verify.LoadError(f"{file}: not a ledger's lines ({type(error).__name__}: {error})") from None
    return Ledger(file, {account.name: account for account in accounts})


def _account(entry: dict[str, Any]) -> Account:
    lines = {}
    names = {f.name for f in fields(Line)}
    for said in entry["lines"]:
        if (
            set(said) != names
            or said["state"] not in STATES
            or type(said["index"]) is not int
            or said["index"] in lines
        ):
            raise ValueError(f"the line {said!s:.200}")
        lines[said["index"]] = Line(**said)
    return Account(entry["name"], entry["asked"], entry["network"], entry["versions"], lines)


def lines_digest(checks: Any) -> str:
    """SHA-256 of the accounts, as the file carries it."""
    return hashlib.sha256(json.dumps(checks, sort_keys=True).encode()).hexdigest()
