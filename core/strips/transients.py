"""The transient shaper: attacks and tails made louder or quieter, whatever the level of the sound.

Two differences of envelopes in dB say where the sound is in a note, as in the SPL Transient Designer (1998) and its
successors. Peaks that fall slowly, less the same smoothed, are large while a sound begins; peaks that fall slower
still, less those, are large while it dies away. A difference of `FULL_DB` counts as all of it. Both are differences of
levels, so a sound that is twice as loud is treated the same.
"""

from __future__ import annotations

import numpy as np

from core.session.processors import TransientShaper
from core.strips.bands import Band, Delay, Fir
from core.strips.dynamics import Curve, Falling, Smoothing, level_db, trailing_maximum
from core.strips.image import db_to_gain
from core.strips.stage import Block, Moving

FULL_DB = 12.0
FALL_DB_PER_S = 100.0
"""Of the envelope itself: it follows a drum's decay."""
RIPPLE_DB = 1.5
"""A difference up to it counts as none: so much the envelope falls in half a period of 33 Hz, and no note ends."""
TAIL_FALL_DB_PER_S = 15.0
FLOOR_DB = -90.0
"""What lies under it is no sound: the noise before a note does not make its attack any larger."""
SMOOTH_MS = 2.0
"""The gain moves along a Hann window of this length, which is also how far the shaper looks ahead."""


class TransientStage(Moving):
    """Shapes attacks and tails of a band (or of all), with one gain for all channels."""

    def __init__(self, processor: TransientShaper, sample_rate: int, channels: int) -> None:
        self._attack_db, self._sustain_db, self._mix = processor.attack_db, processor.sustain_db, processor.mix
        self._guard = processor.guard
        self._band = Band(processor.low_hz, processor.high_hz, sample_rate, channels)
        self._falling = Falling(FALL_DB_PER_S, sample_rate, FLOOR_DB)
        self._tail = Falling(TAIL_FALL_DB_PER_S, sample_rate, FLOOR_DB)
        self._behind = Smoothing(processor.attack_ms, sample_rate, start=FLOOR_DB)
        half = max(1, round(SMOOTH_MS * sample_rate / 2000.0))
        window = np.hanning(2 * half + 3)[1:-1]
        self._smooth = Fir(window / window.sum(), 1)
        self._whole_falling = Falling(FALL_DB_PER_S, sample_rate, FLOOR_DB)
        self._margin = db_to_gain(FALL_DB_PER_S * half / sample_rate)
        self._limit = Delay(half, 1)
        self._wanted = Delay(half, 1)
        self._sound = Delay(2 * half, 2 * channels)
        self.latency = self._band.latency + 2 * half
        self.memory = sum(part.memory for part in (self._band, self._tail, self._behind, self._smooth))
        self._channels = channels

    def process(self, block: Block) -> Block:
        """Shapes a block float64 [channels, frames], `latency` frames late."""
        if block.shape[1] == 0:
            return block
        whole, band = self._band.split(block)
        peaks = self._falling.process(np.maximum(level_db(band), FLOOR_DB))
        beginning = share_of(peaks - self._behind.process(peaks))
        dying = share_of(self._tail.process(peaks) - peaks)
        gain_db = self._attack_db * beginning + self._sustain_db * dying
        self.moved_db = float(gain_db[np.abs(gain_db).argmax()])
        share = self._wanted.process((self._mix * (10.0 ** (gain_db / 20.0) - 1.0))[np.newaxis])
        if self._guard:
            share = np.minimum(share, self._allowed(whole, peaks))
        share = self._smooth.process(share)
        late = self._sound.process(np.concatenate([whole, band]))
        return late[: self._channels] + share * late[self._channels :]

    def _allowed(self, whole: Block, peaks: Curve) -> Curve:
        """What of the band may be added at most: nothing that lifts a peak over full scale, or one that is over it.

        The least of all that the smoothing will mix, half a window late: float64 [frames].
        """
        band_peak = self._margin * 10.0 ** (peaks / 20.0)
        whole_peak = self._margin * 10.0 ** (self._whole_falling.process(level_db(whole)) / 20.0)
        room = np.maximum(1.0 - whole_peak, 0.0) / band_peak
        held = np.concatenate([self._limit.held[0], room])
        self._limit.process(room[np.newaxis])
        return -trailing_maximum(-held, self._limit.latency + 1)

    def reset(self) -> None:
        """Forgets everything heard."""
        parts = (
            self._band, self._falling, self._tail, self._behind, self._smooth,
            self._whole_falling, self._limit, self._wanted, self._sound,
        )  # fmt: skip
        for part in parts:
            part.reset()


def share_of(difference_db: Curve) -> Curve:
    """A difference of envelopes as 0 to 1."""
    return np.clip((difference_db - RIPPLE_DB) / (FULL_DB - RIPPLE_DB), 0.0, 1.0)
