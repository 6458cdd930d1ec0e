"""Index text means what it says; nothing is clamped."""

from __future__ import annotations

import pytest

from verify.errors import UsageError
from verify.load.data import parse_index


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", [0]),
        ("99", [99]),
        ("0:20", list(range(20))),
        (":20", list(range(20))),
        ("95:", [95, 96, 97, 98, 99]),
        (":", list(range(100))),
        ("0:100:25", [0, 25, 50, 75]),
        ("3,7,9", [3, 7, 9]),
        ("9, 3", [9, 3]),
        ("3,10:12", [3, 10, 11]),
    ],
)
def test_index_text_is_read_in_its_order(text: str, wanted: list[int]) -> None:
    assert parse_index(text, 100) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100", "input 100 does not exist"),
        ("0:101", "ends after the last input"),
        ("5:5", "is empty"),
        ("7:3", "is empty"),
        ("100:", "is empty"),
        ("0:10:0", "the step of '0:10:0' is 0"),
        ("", "'' is neither a number nor a range"),
        ("-1", "'-1' is neither"),
        ("1,", "'' is neither"),
        ("ten", "'ten' is neither"),
        ("1.5", "'1.5' is neither"),
        ("1:2:3:4", "'1:2:3:4' is neither"),
        ("1_0", "'1_0' is neither"),
        ("0:-5", "'0:-5' is neither"),
    ],
)
def test_wrong_index_text_is_refused_and_the_count_is_said(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"{message}.*there are 100 inputs .0 to 99."):
        parse_index(text, 100)


def test_an_input_is_asked_for_once() -> None:
    with pytest.raises(UsageError, match="input 3 is asked for twice"):
        parse_index("3,0:5", 100)


@pytest.mark.parametrize("text", ["0", ":"])
def test_without_inputs_every_index_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="there are no inputs"):
        parse_index(text, 0)
