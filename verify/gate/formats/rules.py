"""What each threshold means and what to do where it does not hold: for SARIF's rules and for the reader's next step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """``title`` of a few words, the ``meaning`` in a sentence, and the ``remedy``: what to do where it does not hold."""

    title: str
    meaning: str
    remedy: str


_LOST_REMEDY = (
    "Compare the network with the one of the baseline. If the loss is meant, commit the ledger that `--ledger` wrote as "
    "the new baseline; else retrain or take the change back."
)
_VERIFY_REMEDY = (
    "`reluproof explain` shows why an input stays unknown: give unknown inputs more time, retrain for falsified ones, or "
    "ask for a smaller epsilon."
)

RULES = {
    "certified_accuracy": Rule(
        "Certified accuracy is too low",
        "The share of inputs that are verified must not be below this value.",
        _VERIFY_REMEDY,
    ),
    "certified_error": Rule(
        "Certified error is too high",
        "The share of inputs that are not verified must not be above this value.",
        _VERIFY_REMEDY,
    ),
    "attacked_error": Rule(
        "Attacked error is too high",
        "The share of inputs with a counterexample must not be above this value.",
        "The counterexamples are real: look at them, then retrain with them or ask for a smaller epsilon.",
    ),
    "clean_error": Rule(
        "Clean error is too high",
        "The share of inputs that are misclassified as they are must not be above this value.",
        "Check that network and data belong together (order, scale, labels), then retrain.",
    ),
    "unknown": Rule(
        "Too many inputs are unknown",
        "At most so many inputs may be neither verified nor falsified.",
        "Give an input more time (`timeout`) or the gate a larger budget; `reluproof explain` shows what is missing.",
    ),
    "verified": Rule(
        "An input that must be verified is not",
        "The inputs that the policy names must all be verified.",
        _VERIFY_REMEDY,
    ),
    "lost": Rule(
        "Inputs lost their certificate",
        "At most so many inputs that are verified in the baseline may not be verified now.",
        _LOST_REMEDY,
    ),
    "drop": Rule(
        "Certified accuracy dropped",
        "Certified accuracy may be below that of the baseline by at most this share.",
        _LOST_REMEDY,
    ),
    "errors": Rule(
        "An input could not be computed",
        "No input may end in an error.",
        "The reason stands at the input in the JSON report and in the ledger; remove its cause and run the gate again.",
    ),
    "evidence": Rule(
        "Kept evidence does not hold up",
        "Every file in the cache of evidence must show what it is named for: the independent checker decides.",
        "The file was damaged or forged. Find out how, and delete it: the input is then decided afresh.",
    ),
    "baseline": Rule(
        "The baseline answers other questions",
        "Inputs of the baseline must ask the same question now: the same data, label and region.",
        "Check that the data were not changed or shuffled. If the change is meant, commit the ledger that `--ledger` wrote.",
    ),
}
"""By the name of the threshold."""

INPUT_LOST = "input_lost"
LOST = Rule(
    "An input lost its certificate", "The input is verified in the baseline and is not verified now.", _LOST_REMEDY
)
OTHER = Rule(
    "A threshold does not hold",
    "The policy asks for something that was not found.",
    "Compare what was wanted with what was found.",
)


def rule(name: str) -> Rule:
    """The rule of a threshold, or a general one."""
    return RULES.get(name, OTHER)
