"""Every format says every outcome: all of it, harmlessly, the same each time, within the limits of the place it is read in."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from support.gates import HELD, HOSTILE, OUTCOMES, check, gate, held

from verify.errors import UsageError
from verify.gate.formats.github import append_step_summary
from verify.gate.formats.markdown import LIMIT, markdown
from verify.gate.formats.rules import INPUT_LOST, RULES
from verify.gate.formats.table import GATE_FORMATS
from verify.gate.formats.text import text
from verify.gate.formats.words import location, printable, ranges, share, uri
from verify.gate.outcome import Status
from verify.gate.policy import Thresholds

every_outcome = pytest.mark.parametrize("name", OUTCOMES)
VISIBLE = printable(HOSTILE)


@every_outcome
@pytest.mark.parametrize("form", GATE_FORMATS)
def test_every_format_can_be_written_and_holds_no_control_character(form, name):
    written = GATE_FORMATS[form](OUTCOMES[name])
    written.encode("utf-8")
    assert printable(written.replace("\n", "")) == written.replace("\n", "")


@every_outcome
@pytest.mark.parametrize("form", [name for name in GATE_FORMATS if name != "junit"])
def test_the_same_outcome_gives_the_same_text(form, name):
    outcome = OUTCOMES[name]
    again = replace(outcome, versions=dict(reversed(outcome.versions.items())))
    assert GATE_FORMATS[form](outcome) == GATE_FORMATS[form](again)


@pytest.mark.parametrize("form", GATE_FORMATS)
def test_every_format_names_what_failed_in_which_check(form):
    written = GATE_FORMATS[form](gate(check(held("drop", Status.FAILED), name="mnist"), check(name="cifar")))
    assert "mnist" in written and "drop" in written and "at most 0.01" in written and "0.05" in written
    assert ("cifar" in written) is (form not in ("sarif", "github"))  # which only say what is wrong


def test_every_threshold_of_a_policy_has_a_rule_and_so_has_what_always_holds_or_fails():
    always = {"errors", "evidence", "baseline"}
    assert {field.name for field in fields(Thresholds)} | always == set(RULES)
    assert INPUT_LOST not in RULES and set(RULES) <= set(HELD)


# The terminal


def test_the_terminal_says_what_held_what_was_lost_gained_and_shrunk():
    said = text(OUTCOMES["lost and gained"])
    assert "lost   input 1: now falsified\n" in said and "lost   input 2: now unknown (timeout)\n" in said
    assert "gained input 0: was unknown" in said and "shrunk mlp.onnx, input 1: 0.1 to none\n" in said
    assert "failed  digits  lost                at most 0      1         -1\n" in said
    assert "passed  digits  certified_accuracy  at least 0.95  0.9    +0.05\n" in said
    assert "3 checked again from the cache, 1 computed" in said and "a certificate of the cache was rejected" in said
    assert said.endswith("gate failed: of 2 thresholds 1 failed\nexit 1: a threshold does not hold\n")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("passed", "gate passed: 3 thresholds of 2 checks held\nexit 0: every threshold holds\n"),
        ("undecided", "1 undecided\nexit 3: time was up before every threshold was decided\n"),
        (
            "undecided fails",
            "exit 1: time was up before every threshold was decided, which this policy counts as failed\n",
        ),
    ],
)
def test_the_terminal_says_in_words_what_the_exit_code_means(name, end):
    assert text(OUTCOMES[name]).endswith(end)


def test_no_line_of_the_terminal_can_be_taken_for_a_workflow_command():
    assert not [line for line in text(OUTCOMES["hostile names"]).splitlines() if line.strip().startswith("::")]


def test_the_terminal_shows_few_of_ten_thousand_and_counts_the_rest():
    said = text(OUTCOMES["ten thousand lost"])
    assert len(said.splitlines()) < 100 and said.count("and 9980 more") == 3


# Markdown


def rendered(outcome):
    return MarkdownIt("commonmark").enable("table").render(markdown(outcome))


@every_outcome
def test_a_comment_stays_within_what_github_takes(name):
    assert len(markdown(OUTCOMES[name])) <= LIMIT


def test_a_comment_that_is_too_long_says_how_many_lines_are_left_out():
    shown = markdown(OUTCOMES["ten thousand lost"])
    assert "Lost certificates (10000)" in shown and "Radii that shrank (10000)" in shown
    assert shown.count("\n9800 more lines are left out: the JSON report has all.\n") == 2


def test_a_comment_that_leaves_out_lines_keeps_all_headings_and_the_next_step():
    shown = markdown(OUTCOMES["many long names"])
    headings = (
        "Failed thresholds (300)",
        "Checks (300)",
        "Lost certificates (600)",
        "Where the answers come from",
        "Next",
    )
    assert all(heading in shown for heading in headings)


def test_a_comment_says_the_verdict_first_then_what_failed_then_all_else():
    shown = markdown(OUTCOMES["lost and gained"])
    assert shown.startswith("## ❌ reluproof gate failed: of 2 thresholds 1 failed\n")
    titles = [
        "Failed thresholds",
        "Checks",
        "Lost certificates",
        "Gained",
        "Radii",
        "Held",
        "Where the answers",
        "Next",
    ]
    assert sorted(titles, key=shown.index) == titles and shown.count(RULES["lost"].remedy) == 1


def test_names_in_a_comment_are_text_and_nothing_else():
    page = rendered(OUTCOMES["hostile names"])
    shown = page.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert f"<td><code>{VISIBLE}</code></td>" in shown
    assert not [tag for tag in ("<b>", "<a", "<em>", "<strong>", "<img") if tag in page]
    assert {row.count("<td") for row in page.split("<tr>")[1:]} == {0, 2, 4, 6, 10}


@pytest.mark.parametrize("sign", ["@", "www.", "https:", " #1", "::", "|b", "<b"])
def test_no_mention_link_or_table_cell_of_a_name_stands_in_a_comment(sign):
    assert sign in VISIBLE and sign not in markdown(OUTCOMES["hostile names"])


# GitHub Actions


def test_annotations_name_the_policy_and_escape_what_the_runner_would_read():
    lines = GATE_FORMATS["github"](OUTCOMES["hostile names"]).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning", "::notice"]
    for line in lines:
        head, message = line[2:].split("::", 1)
        assert head.split(" ", 1)[1].startswith(
            "file=a folder/pölicy%2C%3A%25.toml,title=reluproof gate%3A %3A%3Aerror"
        )
        assert head.count(",") == 1 and "%250A" in line and message


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("passed", ["notice"]),
        ("undecided", ["warning"]),
        ("undecided fails", ["error"]),
        ("lost and gained", ["error", "notice"]),
        ("without checks", ["notice"]),
    ],
)
def test_annotations_have_the_level_that_the_policy_gives_them(name, levels):
    assert [line[2:].split(" ")[0] for line in GATE_FORMATS["github"](OUTCOMES[name]).splitlines()] == levels


def test_annotations_of_one_level_are_ten_and_the_last_counts_the_rest():
    lines = GATE_FORMATS["github"](OUTCOMES["many long names"]).splitlines()
    assert len(lines) == 20 and sum(line.startswith("::error") for line in lines) == 10
    assert lines[9].endswith("title=reluproof gate::291 more of this level: see the summary")


def test_a_step_summary_is_appended_where_one_is_asked_for(tmp_path):
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    outcome = OUTCOMES["hostile names"]
    assert append_step_summary(outcome, {"GITHUB_STEP_SUMMARY": str(file)})
    assert file.read_text(encoding="utf-8") == "before\n" + markdown(outcome)


@pytest.mark.parametrize("environ", [{}, {"GITHUB_STEP_SUMMARY": ""}])
def test_no_step_summary_is_written_where_none_is_asked_for(environ):
    assert not append_step_summary(OUTCOMES["passed"], environ)


def test_a_step_summary_is_left_as_it_is_where_github_would_drop_it_whole(tmp_path):
    file = tmp_path / "summary.md"
    file.write_bytes(b"x" * (1024 * 1024 - 100))
    assert not append_step_summary(OUTCOMES["passed"], {"GITHUB_STEP_SUMMARY": str(file)})
    assert file.stat().st_size == 1024 * 1024 - 100


def test_a_step_summary_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(
        UsageError, match=r"cannot write the step summary .*: Is a directory; unset GITHUB_STEP_SUMMARY"
    ):
        append_step_summary(OUTCOMES["passed"], {"GITHUB_STEP_SUMMARY": str(tmp_path)})


# Words


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "-"), (0, 3, "0.00%"), (1, 3, "33.33%"), (2, 3, "66.66%"), (99_999, 100_000, "99.99%"), (7, 7, "100.00%")],
)
def test_only_all_of_them_are_a_hundred_per_cent(part, whole, said):
    assert share(part, whole) == said


@pytest.mark.parametrize(
    ("indices", "most", "said"),
    [
        ((), None, ""),
        ((3,), 1, "3"),
        ((2, 0, 1, 7, 7), None, "0-2, 7"),
        ((0, 2, 4, 5, 6), 2, "0, 2, and 3 more"),
    ],
)
def test_inputs_are_named_in_order_with_neighbours_joined(indices, most, said):
    assert ranges(indices, most) == said


def test_control_characters_stay_visible():
    assert printable("a\x00\x1b[0m\x85\n\t\u2028\ud800\ufffe") == r"a\x00\x1b[0m\x85\n\t\u2028\ud800\ufffe"


def test_the_policy_is_named_as_the_code_host_names_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    below, outside = tmp_path / "a b" / "p#.toml", Path("/elsewhere/p#.toml")
    assert (location(below), uri(below)) == ("a b/p#.toml", "a%20b/p%23.toml")
    assert (location(Path("p.toml")), uri(Path("p.toml"))) == ("p.toml", "p.toml")
    assert (location(outside), uri(outside)) == ("/elsewhere/p#.toml", "file:///elsewhere/p%23.toml")
