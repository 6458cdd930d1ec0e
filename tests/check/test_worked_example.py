"""The example of FORMAT.md, section 6: its bytes are accepted in both arithmetics, with the numbers of the text."""

from __future__ import annotations

import re
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import pytest
from support.certificates import ball
from support.worked_example import NETWORK, STEPS, example

import verify.check
from verify.check import check

TEXT = (
    (Path(verify.check.__file__).parent / "FORMAT.md").read_text(encoding="utf-8").split("## 6. An example by hand")[1]
)


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
def test_the_example_is_accepted_with_its_margin(arithmetic: str) -> None:
    report = check(example().data(), NETWORK, arithmetic=arithmetic)
    assert report.accepted, report.reason
    assert (report.lemmas, report.leaves, report.arithmetic) == (3, 2, arithmetic)
    assert report.margins == {0: 1.0} if arithmetic == "exact" else 1 - 1e-12 < report.margins[0] <= 1


def test_the_text_has_the_network_and_the_claim_of_the_bytes() -> None:
    assert sha256(NETWORK).hexdigest() in TEXT
    assert f"{len(NETWORK)} bytes" in TEXT
    for step in STEPS:
        assert re.search(rf'"op": "{step["op"]}"', TEXT)


def test_without_the_lemma_of_a_half_its_leaf_is_not_refuted() -> None:
    report = check(example(steps=[*STEPS[:3], *STEPS[4:]]).data(), NETWORK, arithmetic="exact")
    assert report.reason == "step 3 (tree): part 0: the derived bound is -1.75, not above 0"


def test_exact_arithmetic_needs_no_flint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.check.arithmetic._rational", Fraction)
    for norm in ("l2", "l1", "linf"):
        report = check(example(region=ball([0.0], "1", norm=norm)).data(), NETWORK, arithmetic="exact")
        assert report.accepted, report.reason
        assert 1 - 1e-12 < report.margins[0] <= 1
