"""Curves of error against radius say what the radii say, and files of another kind are refused."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

import verify

F = Fraction
RADII = verify.Radii(
    "net", certified=(F(1, 10), F(1, 5), None, F(0)), broken=(F(1, 5), None, F(0), F(1, 10)), most=F(3, 10), norm="linf"
)


@pytest.mark.parametrize(
    ("epsilon", "attacked", "certified"),
    [
        ("0", 0.25, 0.25),
        ("0.05", 0.25, 0.5),
        ("0.1", 0.5, 0.5),
        ("0.11", 0.5, 0.75),
        ("0.2", 0.75, 0.75),
        ("0.3", 0.75, 1),
    ],
)
def test_an_input_counts_up_to_its_certified_radius_and_from_its_broken_one(epsilon, attacked, certified):
    assert RADII.attacked_error(F(epsilon)) == attacked
    assert RADII.certified_error(F(epsilon)) == certified


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_of_several_networks_is_drawn(tmp_path, suffix):
    file = tmp_path / f"radii.{suffix}"
    verify.plot_radii([RADII, RADII], file)
    assert file.stat().st_size > 5000


def test_what_radius_writes_is_read(tmp_path):
    data = {
        "network": {"source": "some/net.onnx"},
        "region": {"norm": "l2"},
        "most": "3/10",
        "radii": [{"certified": "1/10", "broken": None}, {"certified": None, "broken": "0"}],
    }
    file = tmp_path / "radii.json"
    file.write_text(json.dumps(data))
    assert verify.read_radii(file) == verify.Radii("net.onnx", (F(1, 10), None), (None, F(0)), F(3, 10), "l2")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"radii": [{}]}'])
def test_another_file_is_refused(tmp_path, content):
    file = tmp_path / "radii.json"
    file.write_text(content)
    with pytest.raises(verify.LoadError, match="is not what `reluproof radius --json` writes"):
        verify.read_radii(file)


def test_no_networks_and_two_norms_are_refused(tmp_path):
    with pytest.raises(verify.UsageError, match="give one file at least"):
        verify.plot_radii([], tmp_path / "x.png")
    other = verify.Radii("b", (None,), (None,), F(1), "l2")
    with pytest.raises(verify.UsageError, match="radii in l2 and linf cannot share an axis"):
        verify.plot_radii([RADII, other], tmp_path / "x.png")
