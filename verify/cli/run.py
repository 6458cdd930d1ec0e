"""``reluproof run``: certify a whole data set into a folder, with a line that says where it stands."""

from __future__ import annotations

import argparse
import sys
import time

import verify
from verify.cli.inputs import Question, read_question
from verify.cli.output import write
from verify.wording import number, seconds, table

DONE, ERRORS = 0, 3  # exit codes
EVERY = {True: 0.2, False: 10.0}  # seconds between two lines, on a terminal and elsewhere


def run(arguments: argparse.Namespace) -> int:
    """Run, show the progress and the summary. Exit code 0, or 3 where some inputs ended in an error."""
    question = read_question(arguments)
    options = {k: v for k, v in question.options.items() if k != "workers"}
    done = verify.run(
        question.network,
        question.data,
        arguments.out,
        index=question.index,
        **question.where,
        method=arguments.method,
        execution=verify.Execution(
            workers=arguments.workers,
            scheduler=arguments.scheduler,
            resume=arguments.resume,
            shard=verify.parse_shard(arguments.shard),
            listen=None if arguments.quiet else Display(),
            budget=arguments.budget,
        ),
        **options,
        certificates=arguments.certificates,
    )
    code = finished(done, arguments.json)
    _draw(done, question, quiet=arguments.json == "-")
    return code


def _draw(done: verify.Run, question: Question, *, quiet: bool) -> None:
    """``counterexamples.png`` beside the journal, where the inputs are images and matplotlib is there."""
    shape = question.data.inputs.shape[1:]
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] not in (1, 3)):
        return
    file = done.folder / "counterexamples.png"
    try:
        drawn = verify.plot_counterexamples(done, question.data, file)
    except verify.MissingDependency as error:
        words = str(error)
    else:
        words = f"{drawn} counterexamples drawn in {file}" if drawn else ""
    if words and not quiet:
        print(words)


def finished(done: verify.Run, json: str | None) -> int:
    """Print the summary of a run, and give the exit code."""
    if json:
        write(verify.run_summary(done), json)
    if json != "-":
        print(report(done))
    return ERRORS if done.tally.states["error"] else DONE


def report(done: verify.Run) -> str:
    """The counts, the stages and what was noticed."""
    counts = done.tally
    spent = done.seconds
    rows = [[stage, str(counts.stages[stage]), seconds(spent[stage])] for stage in spent]
    lines = [table(["stage", "settled", "processor time"], rows), ""]
    lines.append(
        f"{counts.done} of {counts.total} inputs: "
        + ", ".join(f"{counts.states[state]} {state}" for state in ("verified", "falsified", "unknown", "error"))
    )
    lines += [f"  unknown, {reason}: {count}" for reason, count in sorted(counts.reasons.items())]
    lines.append(
        f"clean error {counts.clean_error:.2%}, error under attack between {counts.attacked_error:.2%} and "
        f"{counts.certified_error:.2%}"
    )
    return "\n".join([*lines, *(f"note: {note}" for note in done.notes), f"written to {done.folder}"])


class Display:
    """One line on stderr: rewritten in place on a terminal, else a new one every ten seconds and at each new stage."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage, self._last = "", 0.0

    def __call__(self, progress: verify.Progress) -> None:
        """Show it, unless the last one was a moment ago."""
        now, over = time.perf_counter(), progress.settled == progress.asked
        if progress.stage == self._stage and now - self._last < EVERY[self._terminal] and not (over and self._terminal):
            return
        self._stage, self._last = progress.stage, now
        end = "\n" if over or not self._terminal else ""
        print(("\r\x1b[K" if self._terminal else "") + line(progress), end=end, file=sys.stderr, flush=True)


def line(progress: verify.Progress) -> str:
    """Stage, counts, the bracket of the error so far, pace and time left."""
    counts, left = progress.tally, progress.left
    pace = progress.settled / progress.seconds if progress.seconds else 0.0
    return (
        f"{progress.stage} {progress.settled}/{progress.asked}  "
        + " ".join(f"{state} {counts.states[state]}" for state in ("verified", "falsified", "unknown", "error"))
        + f"  error {counts.clean_error:.1%} clean, {counts.attacked_error:.1%} to {counts.certified_error:.1%} attacked"
        + f"  {number(pace, 1)}/s"
        + ("" if left is None else f", {seconds(left)} left")
    )
