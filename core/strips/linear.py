"""Equalisers without phase: the magnitude of second-order sections as one symmetrical FIR.

What such a filter rings on for, it rings before as well, as long as its latency. Its length is the shortest of eight,
from 1/128 s to 1 s on either side, that meets the magnitude; narrow filters in the deep bass need more than the
longest, and are then off by what `deviation` says.
"""

from __future__ import annotations

import copy
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.strips.eq import Sections
from core.strips.stage import Block

Curve = NDArray[np.float64]

LONGEST_SECONDS = 1.0
"""Of either side, which is also the longest latency, a partition aside."""
LENGTHS = 8
LOWEST_HZ = 10.0
HIGHEST_SHARE = 0.49
TOLERANCE_DB = 0.05
FLOOR = 1e-3
"""Of a gain: where a filter takes out nearly all, being off by 60 dB less than the whole is near enough."""
FLAT = 0.5
"""Share of the window that is 1; outside it falls along half a period of a cosine."""
MOST_COPIED_BYTES = 1 << 20
"""What a stage may remember and be copied: who listens keeps many copies, and of longer ones hears the pre-roll."""
ON_CIRCLE = 1e-6
"""Zeros so near the unit circle take their frequency out altogether."""


@lru_cache(maxsize=32)
def _designed(filters: bytes, sample_rate: int) -> tuple[Curve, float]:
    """Taps and deviation of sections given as bytes, so that an edit elsewhere in a session designs nothing anew."""
    found = np.frombuffer(filters).reshape(-1, 6)
    halves = [max(16, round(LONGEST_SECONDS * sample_rate / 2**halved)) for halved in reversed(range(LENGTHS))]
    resolving = [half for half in halves if half >= _least(found)] or halves[-1:]
    taps, off = _fitted(found, sample_rate, resolving[0])
    for half in resolving[1:]:
        if off <= 1.0:
            break
        taps, off = _fitted(found, sample_rate, half)
    taps.flags.writeable = False
    return taps, off


def _least(filters: Sections) -> float:
    """Frames on either side below which the narrowest peak of sections would fall between the points looked at."""
    roots = np.concatenate([np.roots(part) for row in filters for part in (row[:3], row[3:])])
    radii = np.abs(roots[np.abs(roots) > 0.0])
    falls = np.abs(np.log(radii[np.abs(radii - 1.0) > ON_CIRCLE]))
    return math.pi / (4.0 * float(falls.min(initial=math.pi)))


def linear_taps(filters: Sections, sample_rate: int) -> Curve:
    """The symmetrical FIR with the magnitude of second-order sections: an odd number of taps, the middle one at 0.

    From 10 Hz to 0.49 of the rate it is off by at most 0.05 dB, and 0.001 of the whole where that is more; unless the
    longest filter does not do.
    """
    return _designed(np.ascontiguousarray(filters).tobytes(), sample_rate)[0]


def deviation(filters: Sections, sample_rate: int) -> float:
    """How far `linear_taps` are off at worst, as a multiple of what they should be at most."""
    return _designed(np.ascontiguousarray(filters).tobytes(), sample_rate)[1]


def _fitted(filters: Sections, sample_rate: int, half: int) -> tuple[Curve, float]:
    """Taps of `half` on either side by sampling the magnitude, and their worst deviation between the samples."""
    points = 2 << (8 * half - 1).bit_length()
    wanted = magnitude(filters, points)
    found = np.fft.irfft(wanted[::2], points // 2)
    place = np.arange(-half, half + 1)
    window = 0.5 + 0.5 * np.cos(np.pi * np.clip((np.abs(place) / (half + 1) - FLAT) / (1.0 - FLAT), 0.0, 1.0))
    taps = np.concatenate([found[-half:], found[: half + 1]]) * window
    taps = taps - _left_at(zeros_of(filters), taps, place, window)
    padded = np.zeros(points)
    padded[: half + 1], padded[-half:] = taps[half:], taps[:half]
    heard = np.fft.rfft(padded).real
    first, last = math.ceil(LOWEST_HZ * points / sample_rate), math.floor(HIGHEST_SHARE * points)
    allowed = np.maximum((10.0 ** (TOLERANCE_DB / 20.0) - 1.0) * wanted, FLOOR)
    return taps, float((np.abs(heard - wanted) / allowed)[first : last + 1].max())


def magnitude(filters: Sections, points: int) -> Curve:
    """The gain of sections at 0 to half the rate, in `points // 2 + 1` equal steps."""
    z = np.exp(-2j * np.pi * np.arange(points // 2 + 1) / points)
    powers = z * z
    gain = np.ones(len(z))
    for row in filters:
        gain *= np.abs(row[0] + row[1] * z + row[2] * powers) / np.abs(1.0 + row[4] * z + row[5] * powers)
    return gain


def zeros_of(filters: Sections) -> list[float]:
    """Frequencies that sections take out altogether, in radians per frame."""
    found: set[float] = set()
    for row in filters:
        roots = np.roots(row[:3])
        found |= {round(abs(float(np.angle(root))), 9) for root in roots if abs(abs(root) - 1.0) < ON_CIRCLE}
    return sorted(found)


def _left_at(zeros: list[float], taps: Curve, place: NDArray[np.int64], window: Curve) -> Curve:
    """What taps hold at frequencies that they should not hold at all: a magnitude has a corner there, a window none."""
    if not zeros:
        return np.zeros(1)
    tones = np.cos(np.outer(zeros, place))
    shapes = tones * window
    shares = np.linalg.lstsq(tones @ shapes.T, tones @ taps, rcond=None)[0]
    return shares @ shapes


class PartitionedFir:
    """A long symmetrical FIR as a stage that costs the same whatever the blocks: overlap-save by partitions.

    Its latency is that of the FIR and one partition, for which it waits. After T. G. Stockham, "High-speed convolution
    and correlation" (AFIPS 1966), with the filter cut into equal parts.
    """

    def __init__(self, taps: Curve, channels: int) -> None:
        self._size = min(max(1024, 1 << (len(taps) // 8).bit_length()), 8192)
        parts = -(-len(taps) // self._size)
        padded = np.zeros(parts * self._size)
        padded[: len(taps)] = taps
        self._filters = np.fft.rfft(padded.reshape(parts, self._size), 2 * self._size, axis=1)
        self._channels = channels
        self.latency = (len(taps) - 1) // 2 + self._size
        self.memory = len(taps) + self._size
        self.copyable = parts * channels * (self._size + 1) * 16 <= MOST_COPIED_BYTES
        self.reset()

    def process(self, block: Block) -> Block:
        """Filters a block float64 [channels, frames], `latency` frames late."""
        waiting = np.concatenate([self._waiting, block], axis=1)
        done = waiting.shape[1] // self._size * self._size
        parts = [self._next(waiting[:, at : at + self._size]) for at in range(0, done, self._size)]
        self._waiting = waiting[:, done:]
        ready = np.concatenate([self._ready, *parts], axis=1)
        self._ready = ready[:, block.shape[1] :]
        return ready[:, : block.shape[1]]

    def _next(self, part: Block) -> Block:
        """The next partition of the output."""
        self._place = (self._place + 1) % len(self._filters)
        self._spectra[self._place] = np.fft.rfft(np.concatenate([self._before, part], axis=1), axis=1)
        self._before = part
        summed = self._spectra[self._place] * self._filters[0]
        for age in range(1, len(self._filters)):
            summed += self._spectra[self._place - age] * self._filters[age]
        return np.fft.irfft(summed, 2 * self._size, axis=1)[:, self._size :]

    def __deepcopy__(self, memo: dict[int, Any]) -> PartitionedFir:
        other = copy.copy(self)  # which shares the filter: nobody alters that
        for name in ("_waiting", "_before", "_ready", "_spectra"):
            setattr(other, name, getattr(self, name).copy())
        return other

    def reset(self) -> None:
        """Hears silence before the first frame."""
        self._waiting = np.zeros((self._channels, 0))
        self._before = np.zeros((self._channels, self._size))
        self._ready = np.zeros((self._channels, self._size))
        self._spectra = np.zeros((len(self._filters), self._channels, self._size + 1), np.complex128)
        self._place = 0
