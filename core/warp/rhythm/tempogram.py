"""How a rhythm repeats: which tempi it has, and how they go over time.

Everything here is made of `Heard.envelope`; where the beats lie is left to `tracking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.errors import UnbakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOWEST_BPM: Final = 30.0
FASTEST_BPM: Final = 360.0
STEPS_AN_OCTAVE: Final = 60
TEMPI: Final = SLOWEST_BPM * 2.0 ** (
    np.arange(round(np.log2(FASTEST_BPM / SLOWEST_BPM) * STEPS_AN_OCTAVE) + 1) / STEPS_AN_OCTAVE
)
"""The tempi that are told apart, beats a minute, float64 [tempi]."""
WINDOW_SECONDS: Final = 8.0
STEP_SECONDS: Final = 2.0
TEETH: Final = 4
"""A rhythm is held against itself one beat later, two, and so on to this many."""

USUAL_BPM: Final = 120.0
USUAL_OCTAVES: Final = 0.8
"""People tap at about 120 a minute: how far from it, as a standard deviation."""
DRIFT_OCTAVES: Final = 0.02
"""By how much a tempo drifts from one window to the next, as a standard deviation."""
JUMP_COST: Final = 5.0
"""What a change of tempo costs at most, as a logarithm: tempi do jump."""
OCTAVE_COST: Final = 40.0
"""And what twice or half the tempo costs: it is nearly always the same one, counted otherwise."""
OCTAVE_NEAR: Final = 0.05

STILL: Final = 1e-3
"""In windows whose rhythm has less power nothing repeats; 1 is usual."""

SMOOTH_HOPS: Final = 1.5
AROUND_SECONDS: Final = 1.0
LEVEL_SECONDS: Final = 8.0
LEVEL_FLOOR: Final = 0.1
LEAST_RISE_DB: Final = 0.05
"""A spectrum that rises by less, as a root mean square, has no rhythm."""


class Tempogram(NamedTuple):
    """Likeness of the rhythm to itself at every tempo, window by window."""

    likeness: NDArray[np.float64]
    """0 to 1, float64 [windows, tempi]."""
    step_hops: int
    """From window to window."""
    centre_hops: float
    """The middle of the first window."""


def check_range(bpm_range: tuple[float, float]) -> None:
    """Raises UnbakeError for a range of tempi that can't be looked for."""
    low, high = bpm_range
    if not SLOWEST_BPM <= low < high <= FASTEST_BPM:
        raise UnbakeError(
            f"tempi from {low:g} to {high:g} bpm", remedy=f"give a range within {SLOWEST_BPM:g} to {FASTEST_BPM:g}"
        )


def novelty(envelope: NDArray[np.float32], hops_a_second: float) -> NDArray[np.float64]:
    """An envelope less what is usual around it, evened out over some seconds so that quiet passages count: [hops]."""
    from scipy.ndimage import gaussian_filter1d, uniform_filter1d

    if not len(envelope):
        return np.zeros(0)
    smooth = gaussian_filter1d(envelope.astype(np.float64), SMOOTH_HOPS)
    above = np.maximum(0.0, smooth - uniform_filter1d(smooth, max(1, round(AROUND_SECONDS * hops_a_second))))
    power = uniform_filter1d(np.square(above), max(1, round(LEVEL_SECONDS * hops_a_second)))
    level = np.sqrt(np.maximum(power, 0.0))
    return above / np.maximum(level, max(LEVEL_FLOOR * float(level.max()), LEAST_RISE_DB))


def tempogram(rhythm: NDArray[np.float64], hops_a_second: float) -> Tempogram:
    """How alike a rhythm is to itself one to four beats later, at every tempo of `TEMPI`.

    The autocorrelation tempogram of P. Grosche, M. Mueller & F. Kurth, "Cyclic tempogram", ICASSP 2010, summed over
    multiples as M. Davies & M. Plumbley do, "Context-dependent beat tracking of musical audio", IEEE TASLP 15, 2007.
    """
    window = round(WINDOW_SECONDS * hops_a_second)
    step = max(1, round(STEP_SECONDS * hops_a_second))
    starts = range(0, max(1, len(rhythm) - window + step), step)
    rows = [_likeness(rhythm[start : start + window], window, hops_a_second) for start in starts]
    return Tempogram(np.array(rows), step, min(window, len(rhythm)) / 2.0)


def _likeness(rhythm: NDArray[np.float64], window: int, hops_a_second: float) -> NDArray[np.float64]:
    count = len(rhythm)
    spectrum = np.fft.rfft(rhythm - rhythm.mean() if count else rhythm, 2 * window)
    correlation = np.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag))[:window]
    if correlation[0] < STILL * count:
        return np.zeros(len(TEMPI))
    # by how much overlaps, but not where that is so little that chance decides
    correlation *= count / correlation[0] / np.maximum(count - np.arange(window), 0.2 * count)
    lags = 60.0 * hops_a_second / TEMPI
    total, teeth = np.zeros(len(TEMPI)), np.zeros(len(TEMPI))
    for tooth in range(1, TEETH + 1):
        known = tooth * lags < min(window, count) - 1
        total += np.where(known, np.interp(tooth * lags, np.arange(window), correlation), 0.0)
        teeth += known
    return np.clip(total / np.maximum(teeth, 1.0), 0.0, 1.0)


def usualness(bpm: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """How usual tempi are, as people tap them: 1 at the most usual, float64 of the same shape."""
    return np.exp(-0.5 * np.square(np.log2(bpm / USUAL_BPM) / USUAL_OCTAVES))


def course_of(found: Tempogram, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The most likely tempo of every window, as indices of `TEMPI` that are `allowed`: int64 [windows].

    Viterbi's algorithm: likeness, times how usual the tempo is, against the cost of changing it.
    """
    octaves = np.log2(TEMPI)
    change = np.abs(octaves[:, None] - octaves[None, :])
    cost = np.minimum(0.5 * np.square(change / DRIFT_OCTAVES), JUMP_COST)
    cost[np.abs(change - 1.0) < OCTAVE_NEAR] = OCTAVE_COST
    # a floor, so that windows in which nothing repeats have no say
    scores = np.log((0.05 + found.likeness) * np.where(allowed, usualness(TEMPI), 1e-12))
    best, came_from = scores[0], np.zeros(scores.shape, np.int64)
    for row in range(1, len(scores)):
        ways = best[None, :] - cost
        came_from[row] = ways.argmax(axis=1)
        best = ways[np.arange(len(TEMPI)), came_from[row]] + scores[row]
    path = np.empty(len(scores), np.int64)
    path[-1] = int(best.argmax())
    for row in range(len(scores) - 1, 0, -1):
        path[row - 1] = came_from[row, path[row]]
    return path
