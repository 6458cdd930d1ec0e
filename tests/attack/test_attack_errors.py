"""What an attack refuses, each with one clear sentence."""

from __future__ import annotations

import math

import pytest
import torch

import verify
from verify.errors import UsageError
from verify.selftest.networks import network

GOOD = {"epsilon": "0.1", "clip": (0, 1)}
# (what is changed, words of the message)
WRONG = [
    ({"method": "nope"}, "unknown attack 'nope': choose from fgsm, pgd"),
    ({"norm": "l3"}, "unknown norm 'l3': choose from linf"),
    ({"loss": "nope"}, "unknown loss 'nope': choose from soft_margin"),
    ({"start": "nope"}, "unknown start 'nope': choose from auto"),
    ({"epsilon": -0.1}, "epsilon is -1/10: it must not be negative"),
    ({"epsilon": math.nan}, "epsilon is nan: give a finite number"),
    ({"epsilon": "a lot"}, "epsilon is 'a lot'"),
    ({"epsilon": 200}, "no two points of clip"),
    ({"clip": (1, 0)}, "the first must be below the second"),
    ({"clip": (0.9, 1)}, "entries outside clip"),
    ({"labels": [0, 7]}, "label 7 is out of range: the network has 3 outputs"),
    ({"labels": [0, -1]}, "label -1 is out of range"),
    ({"labels": [0]}, "2 inputs need as many labels"),
    ({"labels": [0.5, 1.0]}, "give whole numbers"),
    ({"inputs": torch.zeros(2, 5)}, "takes inputs of shape ('N', 4), got (2, 5)"),
    ({"inputs": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}, "the selection is empty"),
    ({"inputs": torch.full((2, 4), math.nan)}, "NaN"),
    ({"inputs": "digits"}, "not an array of numbers"),
    ({"targets": "some"}, "targets is 'some'"),
    ({"targets": [1]}, "2 inputs need as many targets"),
    ({"targets": [1, 9]}, "target 9 is out of range"),
    ({"targets": [0, 1]}, "the target of input 0 is its label 0"),
    ({"steps": 0}, "steps is 0: give a whole number of at least 1"),
    ({"steps": 2.5}, "steps is 2.5"),
    ({"restarts": 0}, "restarts is 0"),
    ({"batch": 0}, "batch is 0"),
    ({"step_size": 0.0}, "step_size is 0.0"),
    ({"timeout": 0}, "timeout is 0"),
    ({"seed": "one"}, "seed is 'one'"),
    ({"stepz": 3}, "unknown option 'stepz': choose from steps"),
    ({"device": "toaster"}, "device 'toaster' cannot be used"),
    ({"method": "cw"}, "attack 'cw' knows the norm l2, not 'linf'"),
    ({"method": "linear"}, "exact for networks without ReLUs, this one has 2"),
    ({"loss": "dlr", "targets": "all"}, "the dlr loss needs 4 classes, the network has 3"),
    ({"method": "fab", "transformations": verify.Transformations(noise=0.1)}, "takes no transformations"),
    ({"transformations": verify.Transformations(rotation=5)}, "cannot be rotated or shifted"),
    ({"certified": [True]}, "say True or False for each of 2 inputs"),
    ({"certified": [1.0, 0.0]}, "say True or False"),
    ({"surrogates": [network("residual", 0)]}, "networks must agree"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_a_wrong_argument_is_named(change, words):
    given = {"inputs": torch.full((2, 4), 0.5), "labels": [0, 1], **GOOD, **change}
    with pytest.raises(UsageError) as caught:
        verify.attack(network("mlp", 1), given.pop("inputs"), given.pop("labels"), **given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"rotation": -1}, "rotation is -1"), ({"noise": math.inf}, "noise is inf"), ({"samples": 0}, "samples is 0")],
)
def test_a_wrong_transformation_is_named(change, words):
    with pytest.raises(UsageError, match=words):
        verify.Transformations(**change)


def test_a_transfer_without_networks_is_refused():
    with pytest.raises(UsageError, match="there are no networks"):
        verify.transfer_matrix([], torch.zeros(1, 4), [0], epsilon="0.1")
