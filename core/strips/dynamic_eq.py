"""An equaliser that follows level: a bell whose gain moves while its filter stands still.

The form of P. Regalia and S. Mitra, "Tunable digital frequency response equalization filters" (IEEE Trans. ASSP 35/1,
1987): what a fixed all-pass leaves of the sound is a band, of which g - 1 times as much is added. No coefficient ever
changes, so nothing can become unstable or click however fast the gain moves.
"""

from __future__ import annotations

import math

import numpy as np

from core.session.processors import DynamicBell
from core.strips.dynamics import SILENT_DB, Ballistics, Curve, Falling, over_db
from core.strips.eq import Equaliser, Sections
from core.strips.stage import Block, Moving

KNEE_DB = 6.0
"""Width over which it sets in, half of it on either side of the threshold."""
FALL_DB_PER_PERIOD = 12.0
"""A level that falls faster, within a period of the band's centre, is only its wave."""


class DynamicBellStage(Moving):
    """`x + (g - 1) band(x)`, with the gain of all channels from the loudest one of the stem that is heard."""

    latency = 0

    def __init__(self, processor: DynamicBell, sample_rate: int, channels: int) -> None:
        freq_hz, range_db = processor.freq_hz, processor.range_db
        self._threshold_db, self._range_db = processor.threshold_db, range_db
        self._below = processor.acts == "below"
        # the poles of a bell of the RBJ cookbook at its whole gain, which is then what the range comes to
        self._band = Equaliser(band_pass(freq_hz, processor.q * 10.0 ** (range_db / 40.0), sample_rate), channels)
        self._heard = Equaliser(band_pass(freq_hz, processor.q, sample_rate), channels)
        self._turned = Equaliser(quarter_turn(freq_hz, sample_rate), channels)
        lowest_db = processor.threshold_db - KNEE_DB / 2 - abs(range_db)
        self._falling = Falling(FALL_DB_PER_PERIOD * freq_hz, sample_rate, lowest_db)
        self._ballistics = Ballistics(processor.attack_ms, processor.release_ms, sample_rate)
        parts = (self._band, self._heard, self._turned, self._falling, self._ballistics)
        self.memory = sum(part.memory for part in parts)

    def process(self, block: Block) -> Block:
        """Treats a block float64 [channels, frames] by its own level."""
        return self.treat(block, block)

    def treat(self, block: Block, heard: Block) -> Block:
        """Treats a block float64 [channels, frames] by the level of another one of that shape."""
        level_db = self._level_db(heard)
        if self._below:
            over = over_db(-self._falling.process(level_db), -self._threshold_db, KNEE_DB)
        else:
            over = over_db(level_db, self._threshold_db, KNEE_DB)
        reached_db = self._ballistics.process(np.minimum(over, abs(self._range_db)))
        self.moved_db = math.copysign(float(reached_db.max(initial=0.0)), self._range_db)
        gain = 10.0 ** (math.copysign(1.0, self._range_db) * reached_db / 20.0)
        return block + (gain - 1.0) * self._band.process(block)

    def _level_db(self, heard: Block) -> Curve:
        """The level of the band in dBFS, that of a tone at its centre without its wave: float64 [frames]."""
        band = self._heard.process(heard)
        power = np.square(band) + np.square(self._turned.process(band))
        return 10.0 * np.log10(np.maximum(power.max(axis=0), 10.0 ** (SILENT_DB / 10.0)))

    def reset(self) -> None:
        """Forgets everything heard."""
        for part in (self._band, self._heard, self._turned, self._falling, self._ballistics):
            part.reset()


def band_pass(freq_hz: float, q: float, sample_rate: int) -> Sections:
    """A band of gain 1 at its centre (RBJ cookbook BPF): half of what the all-pass of that Q leaves of a sound."""
    w0 = 2.0 * math.pi * freq_hz / sample_rate
    alpha = math.sin(w0) / (2.0 * q)
    whole = 1.0 + alpha
    return np.array([[alpha / whole, 0.0, -alpha / whole, 1.0, -2.0 * math.cos(w0) / whole, (1.0 - alpha) / whole]])


def quarter_turn(freq_hz: float, sample_rate: int) -> Sections:
    """An all-pass of first order, 90 degrees late at its frequency: beside it, a tone has a level at every frame."""
    k = math.tan(math.pi * freq_hz / sample_rate)
    pole = (k - 1.0) / (k + 1.0)
    return np.array([[pole, 1.0, 0.0, 1.0, pole, 0.0]])
