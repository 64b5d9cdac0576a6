"""Whether a stretch of a recording keeps one tempo, and which, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.warp.rhythm.tempogram import usualness

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRONGEST_DB: Final = 10.0
"""Attacks that are stronger count no more than this."""
BEGIN_SECONDS: Final = 20.0
"""A tempo is first fitted to so much, then to twice as much, and so on: so the beats are never miscounted."""
SPREAD: Final = 0.02
"""By how much, as a share, the tempo to begin with may be off."""
HARMONICS: Final = (1, 2, 3, 4)
ON_SECONDS: Final = 0.015
"""What is so near to the grid is on it."""
DIVISIONS: Final = (4, 3)
"""Beats are divided into so many parts: attacks on any are on the grid."""
STEADY: Final = 0.45
"""Attacks must be so much more on it than chance would have them: 0 is chance, 1 is all."""
LEAST_ATTACKS: Final = 8
LEAST_A_BEAT: Final = 0.2
"""And so many to a beat."""
KEPT: Final = 0.9
"""Or so many of the beats are on it, whatever is between them."""
THIRDS: Final = 0.35
"""Where so much keeps to thirds of a beat, and `CLEARLY` as much as to quarters, the beat may be another."""
CLEARLY: Final = 1.5
RECKONINGS: Final = ((1.0, 3), (0.75, 4), (1.5, 2))
"""Tempi that have the same grid, as multiples of one whose beats are divided into three, and their divisions."""
_PHASES: Final = 400


class Pulse(NamedTuple):
    """A steady beat, in seconds: one at `start` + n * `period` for every n."""

    start: float
    period: float
    regularity: float
    """How much more attacks keep to it than chance would have them, 0 to 1."""


def pulse_of(
    attacks: NDArray[np.float64],
    strengths_db: NDArray[np.float32],
    beats: NDArray[np.float64],
    period: float,
    centre: float,
) -> Pulse | None:
    """The steady beat of attacks and of rough beats, all in seconds and rising; None where there is none.

    `period` is about what it is, `centre` where the tempo is clearest.
    """
    if len(beats) < 2 or len(attacks) < max(LEAST_ATTACKS, LEAST_A_BEAT * (beats[-1] - beats[0]) / period):
        return None
    weights = np.minimum(strengths_db, STRONGEST_DB).astype(np.float64)
    exact = _period(attacks, weights, period, centre)
    start = exact * _phase(beats / exact, ON_SECONDS / exact)
    regularity = max(_regularity((attacks - start) / exact, weights, exact, parts) for parts in DIVISIONS)
    on = np.abs(np.mod((beats - start) / exact + 0.5, 1.0) - 0.5) * exact < ON_SECONDS
    kept = len(beats) >= LEAST_ATTACKS and float(on.mean()) >= KEPT
    return Pulse(start, exact, regularity) if kept or regularity >= STEADY else None


def reckoned(
    attacks: NDArray[np.float64],
    strengths_db: NDArray[np.float32],
    levels_db: NDArray[np.float32],
    period: float,
    centre: float,
) -> tuple[float, ...]:
    """By what the tempo of a steady beat might be multiplied, best first, as far as its grid tells: mostly by 1.

    A rhythm in three parts of a beat is one in four of a beat that is a third longer. Where attacks are gathered on
    one of the parts, there are the beats.
    """
    if len(attacks) < LEAST_ATTACKS:
        return (1.0,)
    weights = np.minimum(strengths_db, STRONGEST_DB).astype(np.float64)
    exact = _period(attacks, weights, period, centre)
    start = exact * _phase(attacks / exact, ON_SECONDS / exact)
    quarters, thirds = (_regularity((attacks - start) / exact, weights, exact, parts) for parts in (4, 3))
    if thirds < max(THIRDS, CLEARLY * quarters):
        return (1.0,)
    loud = 10.0 ** (levels_db.astype(np.float64) / 20.0)
    gathered = [_gathered(attacks, loud, exact / factor, parts) for factor, parts in RECKONINGS]
    if gathered[0] >= max(gathered):
        return (1.0,)
    others = [factor for factor, _ in RECKONINGS[1:]]
    return (*sorted(others, key=lambda factor: -float(usualness(60.0 * factor / exact))), 1.0)


def _gathered(attacks: NDArray[np.float64], weights: NDArray[np.float64], period: float, parts: int) -> float:
    """How much of what is on a grid of so many parts is on one of them: 0 is what evenness would have, 1 all."""
    start = period * _phase(attacks / period, ON_SECONDS / period, weights)
    late = [np.abs(np.mod((attacks - start) * each / period + 0.5, 1.0) - 0.5) * period / each for each in (1, parts)]
    first, all_parts = (float(weights[each < ON_SECONDS].sum()) for each in late)
    return (first / max(all_parts, 1e-9) - 1.0 / parts) / (1.0 - 1.0 / parts)


def _period(attacks: NDArray[np.float64], weights: NDArray[np.float64], period: float, centre: float) -> float:
    """The period near `period` at which attacks line up best, over a stretch around `centre` that grows to the whole.

    The periodogram of the attacks as impulses, its harmonics summed.
    """
    whole = 2.0 * max(attacks[-1] - centre, centre - attacks[0], 1e-3)
    length, spread = min(BEGIN_SECONDS, whole), SPREAD
    while True:
        inside = np.abs(attacks - centre) <= length / 2.0
        times, weight = attacks[inside] - centre, weights[inside]
        step = period / (16.0 * length)
        count = int(np.ceil(spread / step))
        periods = period * (1.0 + step * np.arange(-count, count + 1))
        score = np.zeros(len(periods))
        for place, each in enumerate(periods):
            score[place] = sum(np.abs(weight @ np.exp(2j * np.pi * part / each * times)) ** 2 for part in HARMONICS)
        period = float(periods[score.argmax()])
        if length >= whole:
            return period
        spread = min(SPREAD, 0.75 * period / length)
        length = min(2.0 * length, whole)


def _phase(beats: NDArray[np.float64], near: float, weights: NDArray[np.float64] | None = None) -> float:
    """Where in a period most beats are, all in periods: 0 to 1."""
    places = beats % 1.0
    counts = np.bincount((places * _PHASES).astype(np.int64) % _PHASES, weights, _PHASES)
    reach = max(1, round(near * _PHASES))
    around = np.convolve(np.concatenate([counts[-reach:], counts, counts[:reach]]), np.ones(2 * reach + 1), "valid")
    best = (float(around.argmax()) + 0.5) / _PHASES
    late = np.mod(places - best + 0.5, 1.0) - 0.5
    close = late[np.abs(late) < near]
    return best + (float(np.median(close)) if len(close) else 0.0)


def _regularity(attacks: NDArray[np.float64], weights: NDArray[np.float64], period: float, parts: int) -> float:
    """How much more attacks, in beats, are on a grid of so many parts of a beat than chance would have them."""
    late = np.abs(np.mod(attacks * parts + 0.5, 1.0) - 0.5) * period / parts
    chance = min(0.99, 2.0 * ON_SECONDS * parts / period)
    share = float(weights[late < ON_SECONDS].sum() / weights.sum())
    return (share - chance) / (1.0 - chance)
