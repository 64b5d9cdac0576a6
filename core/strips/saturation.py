"""Saturation: harmonics of a soft curve, computed at several times the sample rate so that they do not fold back.

Only what the curve adds is brought down again and added to the sound, which itself is never filtered: what is quiet
stays as it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.session.processors import Saturation
from core.strips.bands import Delay
from core.strips.image import db_to_gain
from core.strips.stage import Block

REACH = 24
"""Frames of the resampling filters on either side of a frame."""
EDGE = 0.45
"""Their -6 dB point as a share of the sample rate: harmonics above fade out before they could fold."""
BETA = 10.0
"""Of their Kaiser window: images and aliases are 100 dB down, from 0.55 of the rate on."""


class SaturationStage:
    """`tanh(k x) / k` of every sample, with the linear part left alone. Oversampled 8, 4 or 2 times."""

    def __init__(self, processor: Saturation, sample_rate: int, channels: int) -> None:
        from scipy.signal import upfirdn

        self._upfirdn = upfirdn
        self._drive, self._mix = db_to_gain(processor.drive_db) - 1.0, processor.mix
        self._times = 8 if sample_rate < 64_000 else 4 if sample_rate < 128_000 else 2
        self._taps = low_pass(self._times)
        self._channels = channels
        self.latency = 2 * REACH
        self.memory = 4 * REACH
        self._dry = Delay(self.latency, channels)
        self.reset()

    def process(self, block: Block) -> Block:
        """Saturates a block float64 [channels, frames], `latency` frames late."""
        if block.shape[1] == 0:
            return block
        heard = np.concatenate([self._heard, block], axis=1)
        self._heard = heard[:, -2 * REACH :]
        # of the full convolution only what has all of its input: the same samples whatever the blocks
        first = 2 * REACH * self._times
        fine = self._upfirdn(self._times * self._taps, heard, up=self._times, axis=1)
        fine = fine[:, first : first + block.shape[1] * self._times]
        added = np.concatenate([self._added, np.tanh(self._drive * fine) / self._drive - fine], axis=1)
        self._added = added[:, -first:]
        coarse = self._upfirdn(self._taps, added, down=self._times, axis=1)
        coarse = coarse[:, 2 * REACH : 2 * REACH + block.shape[1]]
        return self._dry.process(block) + self._mix * coarse

    def reset(self) -> None:
        """Forgets everything heard."""
        self._dry.reset()
        self._heard = np.zeros((self._channels, 2 * REACH))
        self._added = np.zeros((self._channels, 2 * REACH * self._times))


def low_pass(times: int) -> NDArray[np.float64]:
    """The filter at `times` the rate that keeps what the rate itself can hold: float64 [2 * REACH * times + 1]."""
    at = np.arange(-REACH * times, REACH * times + 1) / times
    taps = np.sinc(2 * EDGE * at) * np.kaiser(len(at), BETA)
    found: NDArray[np.float64] = taps / taps.sum()
    return found
