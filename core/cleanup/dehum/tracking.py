"""The fundamental as it drifts."""

from __future__ import annotations

import functools
import math
from typing import Final, NamedTuple

import numpy as np
from scipy import fft, linalg

from core.cleanup.dehum.stretches import LOOKS_HZ, Complexes, Reals

WANDER_HZ: Final = 0.12
"""The fundamental may wander so far from its mean."""
WINDOW_SECONDS: Final = 3.0
"""The frequency is measured in such windows, once a second."""
LEAST_HEARD: Final = 0.05
"""A window with less of its weight in the file tells nothing."""
_WINDOW: Final = round(WINDOW_SECONDS * LOOKS_HZ)
_COARSE: Final = (-WANDER_HZ, WANDER_HZ, 0.004)
_FINE: Final = (-0.006, 0.006, 0.0005)
_COARSE_HZ, _FINE_HZ = (np.arange(low, high + 1e-9, step) for low, high, step in (_COARSE, _FINE))


class Track(NamedTuple):
    """The fundamental over time: Hz once a second from frame 0, and the cycles that it went through up to there."""

    freqs_hz: Reals
    cycles: Reals

    def cycles_at(self, seconds: Reals) -> Reals:
        """Cycles since frame 0: the frequency goes in straight lines from second to second, level off the ends."""
        whole = np.clip(np.floor(seconds).astype(int), 0, len(self.freqs_hz) - 2)
        part = seconds - whole
        slope = self.freqs_hz[whole + 1] - self.freqs_hz[whole]
        inner = np.clip(part, 0.0, 1.0)
        beyond = np.where(part < 0.0, self.freqs_hz[whole], self.freqs_hz[whole + 1]) * (part - inner)
        return self.cycles[whole] + self.freqs_hz[whole] * inner + 0.5 * slope * inner**2 + beyond


def offset_at(lines: Complexes, look: int) -> tuple[float, float]:
    """By how many Hz the fundamental is off at a look, and how sure that is; lines are [channels, harmonics, looks]."""
    size = _WINDOW
    low = int(np.clip(look - size // 2, 0, lines.shape[2] - size))
    part = lines[:, :, low : low + size] * np.hanning(size)
    spectrum = np.square(np.abs(np.asarray(fft.fft(part, axis=2))))
    apart = np.abs(fft.fftfreq(size, 1.0 / LOOKS_HZ))
    music = np.median(spectrum[:, :, (apart > 1.0) & (apart < 5.0)], axis=2) / math.log(2.0) + 1e-20
    coarse = _COARSE_HZ[int(np.argmax(first := _sum_over_lines(part, music, _turns(12, _COARSE), 0.0, _COARSE_HZ)))]
    fine = _sum_over_lines(part, music, _turns(60, _FINE), float(coarse), _FINE_HZ)
    offset = float(coarse + _FINE_HZ[int(np.argmax(fine))])
    return offset, float(max(0.0, first.max() - np.median(first)) ** 2)


def course(offsets: Reals, weights: Reals, file_seconds: float) -> Reals:
    """A smooth course through offsets measured once a second; windows at the ends of the file tell of what is in it."""
    late = np.array([_late(second, file_seconds) for second in range(len(offsets))])
    found = _smoothed(offsets, weights)
    for _ in range(2):
        found = _smoothed(offsets - np.gradient(found) * late, weights) if len(found) > 1 else found
    return found


def _late(second: int, file_seconds: float) -> float:
    """How much later than its middle a window tells the frequency of, where it reaches out of the file."""
    time = (np.arange(_WINDOW) - _WINDOW // 2) / LOOKS_HZ
    whole = np.hanning(_WINDOW)
    window = whole * ((second + time >= 0.0) & (second + time <= file_seconds))
    if window.sum() < LEAST_HEARD * whole.sum():
        return 0.0
    off = time - np.average(time, weights=window)
    # the line through the phase of a tone that rises steadily, by least squares
    return float((window * off * np.square(time)).sum() / (2.0 * (window * np.square(off)).sum()))


def _smoothed(offsets: Reals, weights: Reals) -> Reals:
    """A smooth course through values of unequal weight; those far off it are given up (Whittaker, Tukey's weights)."""
    count = len(offsets)
    if count < 4:
        return np.full(count, np.average(offsets, weights=weights + 1e-12))
    weights = weights / max(float(weights.max()), 1e-12) + 1e-9
    bands = np.zeros((3, count))
    for row in range(count - 2):
        for one, left in enumerate((1.0, -2.0, 1.0)):
            for other, right in enumerate((1.0, -2.0, 1.0)):
                if other >= one:
                    bands[2 - (other - one), row + other] += 3.0 * left * right
    trust = np.ones(count)
    middle = _weighted_median(offsets, weights)
    trust = np.where(np.abs(offsets - middle) < 0.06, 1.0, 1e-6)
    course = offsets
    for _ in range(6):
        system = bands.copy()
        system[2] += weights * trust
        course = linalg.solveh_banded(system, weights * trust * offsets)
        off = np.abs(offsets - course)
        scale = max(0.002, 1.5 * _weighted_median(off, weights))
        trust = np.square(np.clip(1.0 - np.square(off / (4.0 * scale)), 1e-3, 1.0))
    return course


@functools.cache
def _turns(most: int, grid: tuple[float, float, float]) -> Complexes:
    """What brings the harmonics 1 to `most` to rest at each offset of a grid: [harmonics, looks, offsets]."""
    offsets = np.arange(grid[0], grid[1] + 1e-9, grid[2])
    time = (np.arange(_WINDOW) - _WINDOW // 2) / LOOKS_HZ
    return np.exp(-2j * np.pi * np.arange(1, most + 1)[:, None, None] * np.outer(time, offsets))


def _sum_over_lines(part: Complexes, music: Reals, turns: Complexes, near_hz: float, offsets: Reals) -> Reals:
    """How well each offset, counted from `near_hz`, fits: logarithms summed, so that no single line decides."""
    count = min(len(turns), part.shape[1])
    numbers = np.arange(1, count + 1)
    time = (np.arange(_WINDOW) - _WINDOW // 2) / LOOKS_HZ
    near = part[:, :count] * np.exp(-2j * np.pi * near_hz * np.outer(numbers, time))
    # not through BLAS: its sums depend on how many threads it takes
    lines = np.einsum("cln,lno->clo", near, turns[:count])
    power = (np.square(np.abs(lines)) / music[:, :count, None]).sum(axis=0)
    reached = np.abs(np.outer(numbers, near_hz + offsets)) < 4.0
    return np.log1p(0.25 * np.where(reached, power, 0.0)).sum(axis=0)


def _weighted_median(values: Reals, weights: Reals) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[min(len(values) - 1, int(np.searchsorted(total, 0.5 * total[-1])))]])
