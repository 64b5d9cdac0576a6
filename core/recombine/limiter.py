"""The true-peak limiter of the master stage.

A look-ahead limiter whose gain is exactly 1 wherever nothing near exceeds the ceiling, so that what it does not have to
touch passes bit for bit; that is why it is ours and not a library's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.measure.loudness import TAPS, interpolator
from core.strips.stage import Block, Moving

LOOKAHEAD_MS = 5.0
RELEASE_DB_PER_S = 40.0
GRID = 2.0**40
DEEPEST_DB = 60.0
"""Limiting deeper than this is not expected of a master: a start in the middle then hears its release too short."""


class TruePeakLimiter(Moving):
    """Holds the oversampled peak of all channels, linked, under a ceiling.

    Peaks are found on the interpolator of the loudness meter (4x below 96 kHz, 2x below 192 kHz, BS.1770-4 Annex 2).
    The attenuation they need rises along a Hann ramp over the look-ahead, and falls again at 40 dB/s. Gain that moves
    can make new peaks between the samples: the ceiling is met within about 0.1 dB, and the render measures what came
    out. Every frame is computed in the same order of sums, so that blocks of any size give the same bits.
    """

    def __init__(self, ceiling_dbtp: float, sample_rate: int, channels: int) -> None:
        self._ceiling = 10.0 ** (ceiling_dbtp / 20.0)
        self._oversampling = 4 if sample_rate < 96_000 else 2 if sample_rate < 192_000 else 1
        self._ahead = max(2, round(LOOKAHEAD_MS * sample_rate / 1000.0))
        self._reach = TAPS // 2 if self._oversampling > 1 else 0
        self._fall_db = _on_grid(RELEASE_DB_PER_S / sample_rate)
        ramp = np.hanning(self._ahead + 2)[1:-1]
        self._ramp = ramp / ramp.sum()
        self._channels = channels
        self.latency = self._ahead + self._reach
        self.memory = 2 * self.latency + round(DEEPEST_DB / self._fall_db)
        self.reset()

    def reset(self) -> None:
        """Forgets everything heard so far."""
        self._sound = np.zeros((self._channels, self.latency))
        self._window = np.zeros((self._channels, 2 * self._reach))
        self._needed = np.zeros(self._ahead)
        self._duck = np.zeros(self._ahead - 1)
        self._last_db = 0.0

    def process(self, block: Block) -> Block:
        """Limits a block float64 [channels, frames], `latency` frames late."""
        frames = block.shape[1]
        if frames == 0:
            return block
        sound = np.concatenate([self._sound, block], axis=1)
        self._sound = sound[:, frames:]

        needed = np.concatenate([self._needed, self._attenuation_db(block)])
        self._needed = needed[frames:]
        held = _trailing_maximum(needed, self._ahead + 1)

        # a fall of so many dB a frame from every peak, and the highest of all those lines
        slope = self._fall_db * np.arange(1, frames + 1)
        fallen = np.maximum.accumulate(np.concatenate([[self._last_db], held + slope]))[1:] - slope
        fallen[fallen < 1e-9] = 0.0
        self._last_db = float(fallen[-1])
        self.moved_db = -float(fallen.max())

        duck = np.concatenate([self._duck, 1.0 - 10.0 ** (-fallen / 20.0)])
        self._duck = duck[frames:]
        if not duck.any():
            return sound[:, :frames].copy()
        return sound[:, :frames] * (1.0 - _filtered(duck, self._ramp))

    def _attenuation_db(self, block: Block) -> NDArray[np.float64]:
        """dB that each frame must lose, `reach` frames late: float64 [frames]."""
        window = np.concatenate([self._window, block], axis=1)
        self._window = window[:, block.shape[1] :]
        middle = window[:, self._reach : self._reach + block.shape[1]]
        peaks = np.abs(middle).max(axis=0)
        if self._reach:
            for phase in interpolator(self._oversampling):
                # output i lies between frames i and i + 1, and both of them must be low enough
                between = np.abs([_filtered(channel, phase[::-1]) for channel in window]).max(axis=0)
                np.maximum(peaks, between[1:], out=peaks)
                np.maximum(peaks, between[:-1], out=peaks)
        with np.errstate(divide="ignore"):
            return _on_grid(np.maximum(20.0 * np.log10(peaks / self._ceiling), 0.0))


def _on_grid(values_db: Any) -> Any:
    """dB rounded up to multiples of 2^-40: sums of such are exact, in whatever order."""
    return np.ceil(values_db * GRID) / GRID


def _filtered(signal: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """A convolution, where the taps lie within the signal: float64 [n] to [n - taps + 1]."""
    from scipy.signal import upfirdn

    return upfirdn(taps, signal)[len(taps) - 1 : len(signal)]


def _trailing_maximum(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Largest of each `length` neighbours: float64 [n] to [n - length + 1]."""
    from scipy.ndimage import maximum_filter1d

    filtered = maximum_filter1d(values, length, mode="nearest")
    return filtered[length // 2 : length // 2 + len(values) - length + 1]
