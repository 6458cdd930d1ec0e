"""The command: exit codes, words and JSON, quickly, without torch, and the same under ``python -O``."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from support.worked_example import NETWORK, STEPS, example

from verify.check import check
from verify.check.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    contents = {
        "good": example().data(),
        "lemma dropped": example(steps=[*STEPS[:3], *STEPS[4:]]).data(),
        "margin raised": example(margins=[1.0000001, 0]).data(),
        "damaged": example().data()[:-3],
        "network": NETWORK,
        "other": b"\x08\x07ONNX?",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in [*contents, "missing"]}


CASES = [
    ("good", "network", 0, "ACCEPTED"),
    ("lemma dropped", "network", 1, "REJECTED\nstep 3 (tree): part 0: the derived bound is -1.75"),
    ("margin raised", "network", 1, "REJECTED\nclause 0: derived margin"),
    ("damaged", "network", 2, "UNREADABLE\n"),
    ("good", "other", 2, "UNREADABLE\nthe network is neither"),
    ("good", "good", 2, "UNREADABLE\n"),
    ("network", "network", 2, "UNREADABLE\n"),
    ("missing", "network", 2, "No such file"),
]


@pytest.mark.parametrize(("file", "network", "code", "text"), CASES)
def test_the_exit_code_and_the_words(
    file: str, network: str, code: int, text: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([files[file], "--network", files[network]]) == code
    assert text in capsys.readouterr().out


def test_misuse_is_exit_code_2(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], [files["good"]], [files["good"], "--network", files["network"], "--arithmetic", "decimal"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert not check(example().data(), NETWORK, arithmetic="decimal").readable


def test_json_has_the_derived_numbers(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([files["good"], "--network", files["network"], "--json", "--arithmetic", "exact"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["margins"] == {"0": 1.0}
    assert (report["semantics"], report["arithmetic"], report["lemmas"], report["leaves"]) == ("real", "exact", 3, 2)


def test_a_limit_of_bytes_is_kept(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([files["good"], "--network", files["network"], "--max-bytes", "400"]) == 2
    assert "over the limit of 400" in capsys.readouterr().out


def test_with_assertions_off_the_verdicts_are_the_same(files: dict[str, str]) -> None:
    """One process for all: ``python -O`` removes every assert, and no check may be one."""
    program = "import sys\nfrom verify.check.__main__ import main\nassert False\n"
    program += "print([main([f, '--network', n, '--json']) for f, n in zip(sys.argv[1::2], sys.argv[2::2])])\n"
    program += "print(sorted(name for name in ('torch', 'scipy', 'verify.network', 'onnx') if name in sys.modules))\n"
    arguments = [files[name] for case in CASES for name in case[:2]]
    command = [sys.executable, "-O", "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-2:] == [str([code for *_, code, _ in CASES]), "[]"]


def test_no_check_is_an_assert() -> None:
    for file in (ROOT / "verify" / "check").glob("*.py"):
        assert "assert " not in file.read_text(encoding="utf-8"), file


# Lines of the checker and of its reader of ONNX: all, and those of code alone. Its worth is that all of it can be read.
MOST = {"checker": (1110, 799), "reader": (402, 299)}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def code_lines(text: str) -> int:
    """Lines that hold more than blanks, a comment or documentation."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string.strip() and token.type != tokenize.COMMENT:
            held |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            held -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(held)


def test_the_checker_stays_small() -> None:
    """Whoever makes one of these larger says why a reader's time is well spent on it."""
    lines = {part: [0, 0] for part in MOST}
    for file in (ROOT / "verify" / "check").glob("*.py"):
        found, text = (
            lines["reader" if file.name in ("onnx_reader.py", "protobuf.py") else "checker"],
            file.read_text(encoding="utf-8"),
        )
        found[0] += len(text.splitlines())
        found[1] += code_lines(text)
    assert {
        part: tuple(count) for part, count in lines.items() if count[0] > MOST[part][0] or count[1] > MOST[part][1]
    } == {}
    assert all(count[0] > MOST[part][0] - 50 for part, count in lines.items())  # so that the limits follow
