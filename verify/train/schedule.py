"""How the radius and the weights move: nothing, then a straight line, then their ends."""

from __future__ import annotations

from fractions import Fraction

from verify.floating import parse_decimal
from verify.train.config import Training


def ramp_at(settings: Training, epoch: float) -> float:
    """How far the ramp has come after ``epoch`` epochs (fractions count): 0 during the warm-up, 1 at its end."""
    past = epoch - settings.warm_up
    if past < 0:
        return 0.0
    return 1.0 if past >= settings.ramp else past / settings.ramp


def radius_at(settings: Training, ramp: float) -> Fraction:
    """The radius trained on: ``epsilon * stretch`` at the end of the ramp."""
    return parse_decimal(settings.epsilon) * Fraction(settings.stretch * ramp)


def rate_at(settings: Training, epoch: int) -> float:
    """The step size during the epoch number ``epoch``, from 0."""
    return settings.rate * settings.drop ** sum(epoch >= after for after in settings.drops)
