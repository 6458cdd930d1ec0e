"""What is left beside the journal for people and other programs: a summary, a table of the inputs, the counterexamples.

All of it is made from the journal and may be thrown away; nothing of ours reads it back.
"""

from __future__ import annotations

import csv
import io
import json
from importlib.util import find_spec
from typing import Any

import numpy as np

from verify.dataset.journal import content_of
from verify.dataset.record import STATES
from verify.dataset.result import COUNTEREXAMPLES, Run
from verify.files import keep
from verify.wording import decimal

COLUMNS = (
    *("index", "label", "predicted", "state", "reason", "stage", "evidence", "lower", "upper", "target", "seconds"),
    *("counterexample", "certificate", "question"),
)


def run_summary(run: Run) -> dict[str, Any]:
    """Counts, errors and times as plain data. Errors are shares of all inputs that were asked about."""
    counts = run.tally
    return {
        "inputs": counts.total,
        "states": dict(counts.states),
        "misclassified": counts.misclassified,
        "unknown_because": dict(counts.reasons),
        "settled_by": dict(counts.stages),
        "clean_error": counts.clean_error,
        "attacked_error": counts.attacked_error,
        "certified_error": counts.certified_error,
        "processor_seconds": {stage: round(seconds, 3) for stage, seconds in run.seconds.items()},
        "certificates": sum(record.certificate is not None for record in run.records.values()),
        "identity": run.identity,
        "notes": list(run.notes),
    }


def write_summary(run: Run) -> None:
    """``summary.json``, ``summary.md``, ``samples.csv``, ``samples.parquet`` where pyarrow is, ``counterexamples.npz``."""
    facts = run_summary(run)
    keep(run.folder / "summary.json", (json.dumps(facts, indent=2, allow_nan=False) + "\n").encode())
    keep(run.folder / "summary.md", markdown(facts).encode())
    rows = [_row(run, index) for index in run.records]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    table.writerows(["" if cell is None else cell for cell in row] for row in rows)
    keep(run.folder / "samples.csv", text.getvalue().encode())
    if find_spec("pyarrow") is not None:
        keep(run.folder / "samples.parquet", _parquet(rows))
    keep(run.folder / f"{COUNTEREXAMPLES}.npz", _counterexamples(run))


def markdown(facts: dict[str, Any]) -> str:
    """The summary as a page."""
    region, states, done = facts["identity"]["region"], facts["states"], sum(facts["states"].values())
    clip = "" if region["clip"] is None else f", clipped to [{region['clip'][0]}, {region['clip'][1]}]"
    lines = [
        f"# {facts['inputs']} inputs, {region['norm']} ball of radius {decimal(region['epsilon'])}{clip}",
        "",
        f"Network `{facts['identity']['network'][:16]}`, method {facts['identity']['method']}, "
        f"{facts['identity']['options']['semantics']} semantics.",
        "",
        "| " + " | ".join([*STATES, "not asked yet"]) + " |",
        "|---|---|---|---|---|",
        "| " + " | ".join(str(n) for n in [*(states.get(s, 0) for s in STATES), facts["inputs"] - done]) + " |",
        "",
        f"Clean error {facts['clean_error']:.2%}; error under attack between {facts['attacked_error']:.2%} (counterexamples found) "
        f"and {facts['certified_error']:.2%} (not verified).",
        "",
        "| stage | settled | processor seconds |",
        "|---|---|---|",
    ]
    for stage, seconds in facts["processor_seconds"].items():
        lines.append(f"| {stage} | {facts['settled_by'].get(stage, 0)} | {seconds:.1f} |")
    for reason, count in sorted(facts["unknown_because"].items()):
        lines += ["", f"Unknown, {reason}: {count}."]
    for note in facts["notes"]:
        lines += ["", f"Note: {note}."]
    return "\n".join(lines) + "\n"


def _row(run: Run, index: int) -> list[Any]:
    data = run.records[index].data()
    names = {"counterexample": "name", "certificate": "name"}
    return [data[c] if c not in names or data[c] is None else data[c][names[c]] for c in COLUMNS]


def _parquet(rows: list[list[Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({name: [row[k] for row in rows] for k, name in enumerate(COLUMNS)})
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    return content.getvalue()


def _counterexamples(run: Run) -> bytes:
    """Inputs (K, *shape), labels, predictions, indices: a data set that every command reads."""
    found = [(r, r.counterexample) for r in run.records.values() if r.counterexample is not None]
    points = [np.load(io.BytesIO(content_of(run.folder, witness))) for _, witness in found]
    content = io.BytesIO()
    np.savez(
        content,
        inputs=np.stack(points) if points else np.zeros((0, 1)),
        labels=np.array([record.label for record, _ in found], dtype=np.int64),
        predictions=np.array([witness.predicted for _, witness in found], dtype=np.int64),
        indices=np.array([record.index for record, _ in found], dtype=np.int64),
    )
    return content.getvalue()
