"""Gain that follows level: compressor, expander and gate, de-esser. Feed-forward, in dB, all channels linked.

After D. Giannoulis, M. Massberg and J. Reiss, "Digital Dynamic Range Compressor Design" (JAES 60/6, 2012): level
detector, static curve with a soft knee, then their decoupled peak detector on the gain reduction. Its release is that
of a leaky maximum, which can be taken over a whole block at once: log y falls in a straight line.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.session.processors import Compressor, DeEsser, Gate
from core.strips.bands import Band
from core.strips.image import db_to_gain
from core.strips.stage import Block, Moving

Curve = NDArray[np.float64]
"""One value a frame: float64 [frames]."""

SILENT_DB = -200.0
"""The level of digital silence, where a logarithm has none."""
UNHEARD_DB = 1e-7
"""Gain changes smaller than this are none (-160 dB of the sound): far below a threshold samples pass as they are."""
DEEPEST_DB = 100.0
LOUDEST_DB = 12.0


def level_db(block: Block) -> Curve:
    """The highest magnitude of all channels in dBFS, frame by frame."""
    return 20.0 * np.log10(np.maximum(np.abs(block).max(axis=0), 10.0 ** (SILENT_DB / 20.0)))


class Falling:
    """A maximum that falls in a straight line: dB that rise at once and fall by so many a second.

    Below `lowest_db` nobody asks what it is: from the loudest there is it takes `memory` frames to fall there.
    """

    def __init__(self, fall_db_per_s: float, sample_rate: int, lowest_db: float) -> None:
        self._slope = fall_db_per_s / sample_rate
        self.memory = math.ceil((LOUDEST_DB - lowest_db) / self._slope)
        self.reset()

    def process(self, curve: Curve) -> Curve:
        """The next values: float64 [frames], in dB."""
        if len(curve) == 0:
            return curve
        fallen = self._slope * np.arange(1.0, len(curve) + 1)
        found = np.maximum.accumulate(np.concatenate([[self._last], curve + fallen]))[1:] - fallen
        self._last = float(found[-1])
        return found

    def reset(self) -> None:
        """Nothing was heard."""
        self._last = SILENT_DB


class Smoothing:
    """A one-pole low-pass that goes 1 - 1/e of the way in its time."""

    def __init__(self, time_ms: float, sample_rate: int, start: float = 0.0) -> None:
        from scipy.signal import lfilter

        self._lfilter = lfilter
        frames = max(time_ms * sample_rate / 1000.0, 1e-3)
        self._pole = math.exp(-1.0 / frames)
        self._start = start
        self.memory = math.ceil(frames * math.log(DEEPEST_DB / UNHEARD_DB))
        self.reset()

    def process(self, curve: Curve) -> Curve:
        """The next values: float64 [frames]."""
        found, self._state = self._lfilter([1.0 - self._pole], [1.0, -self._pole], curve, zi=self._state)
        return found

    def reset(self) -> None:
        """It has stood at its start for ever."""
        self._state = np.array([self._pole * self._start])


class Ballistics:
    """Reduction in dB, 0 or more: it comes with the attack, and goes with the release, by 1 - 1/e in either time."""

    def __init__(self, attack_ms: float, release_ms: float, sample_rate: int) -> None:
        frames = release_ms * sample_rate / 1000.0
        self._fall = 1.0 / frames
        self._attack = Smoothing(attack_ms, sample_rate)
        self.memory = self._attack.memory + math.ceil(frames * math.log(DEEPEST_DB / UNHEARD_DB))
        self.reset()

    def process(self, wanted_db: Curve) -> Curve:
        """The next values: float64 [frames]; those that can't be heard are 0."""
        if len(wanted_db) == 0:
            return wanted_db
        fallen = self._fall * np.arange(1, len(wanted_db) + 1)
        with np.errstate(divide="ignore"):
            logs = np.log(wanted_db) + fallen
        held = np.maximum.accumulate(np.concatenate([[self._last], logs]))[1:] - fallen
        self._last = float(held[-1])
        found = self._attack.process(np.exp(held))
        found[found < UNHEARD_DB] = 0.0
        return found

    def reset(self) -> None:
        """Nothing is reduced."""
        self._last = -math.inf
        self._attack.reset()


def over_db(levels_db: Curve, threshold_db: float, knee_db: float) -> Curve:
    """dB by which levels are over a threshold, rounded off over the width of the knee around it."""
    over = levels_db - threshold_db
    if knee_db == 0.0:
        return np.maximum(over, 0.0)
    within = np.clip(over + knee_db / 2, 0.0, knee_db) ** 2 / (2 * knee_db)
    return np.where(over > knee_db / 2, over, within)


class CompressorStage(Moving):
    """Louder than the threshold becomes quieter. What never comes near it passes bit for bit (without make-up gain)."""

    latency = 0

    def __init__(self, processor: Compressor, sample_rate: int) -> None:
        self._threshold_db, self._knee_db = processor.threshold_db, processor.knee_db
        self._share = 1.0 - 1.0 / processor.ratio
        self._makeup, self._mix = db_to_gain(processor.makeup_db), processor.mix
        self._ballistics = Ballistics(processor.attack_ms, processor.release_ms, sample_rate)
        self.memory = self._ballistics.memory

    def process(self, block: Block) -> Block:
        """Compresses a block float64 [channels, frames]."""
        wanted = self._share * over_db(level_db(block), self._threshold_db, self._knee_db)
        reduction = self._ballistics.process(wanted)
        self.moved_db = -float(reduction.max(initial=0.0))
        gain = self._makeup * 10.0 ** (-reduction / 20.0)
        return block * gain if self._mix == 1.0 else block * (1.0 + self._mix * (gain - 1.0))

    def reset(self) -> None:
        """Forgets everything heard."""
        self._ballistics.reset()


class GateStage(Moving):
    """Quieter than the threshold becomes quieter still, down to its range; at a high ratio a gate.

    It hears a level that is held and then falls by 20 dB in the release time: the gain closes as the sound dies away.
    """

    latency = 0

    def __init__(self, processor: Gate, sample_rate: int) -> None:
        self._threshold_db, self._knee_db = processor.threshold_db, processor.knee_db
        self._slope, self._range_db = processor.ratio - 1.0, processor.range_db
        self._hold = round(processor.hold_ms * sample_rate / 1000.0)
        shut_db = processor.threshold_db - processor.knee_db / 2 - processor.range_db / self._slope
        self._falling = Falling(20.0 * 1000.0 / processor.release_ms, sample_rate, shut_db)
        self._opening = Smoothing(processor.attack_ms, sample_rate, start=processor.range_db)
        self.memory = self._hold + self._falling.memory + self._opening.memory
        self.reset()

    def process(self, block: Block) -> Block:
        """Expands a block float64 [channels, frames]."""
        if block.shape[1] == 0:
            return block
        levels = np.concatenate([self._levels, level_db(block)])
        self._levels = levels[len(levels) - self._hold :]
        heard = self._falling.process(trailing_maximum(levels, self._hold + 1))
        under = over_db(-heard, -self._threshold_db, self._knee_db)
        reduction = self._opening.process(np.minimum(self._slope * under, self._range_db))
        reduction[reduction < UNHEARD_DB] = 0.0
        self.moved_db = -float(reduction.max())
        return block * 10.0 ** (-reduction / 20.0)

    def reset(self) -> None:
        """It is closed."""
        self._levels = np.full(self._hold, SILENT_DB)
        self._falling.reset()
        self._opening.reset()


class DeEsserStage(Moving):
    """Takes the band of the sibilants down where it stands out of the whole, by as much as it does, up to its range."""

    def __init__(self, processor: DeEsser, sample_rate: int, channels: int) -> None:
        self._threshold_db, self._range_db = processor.threshold_db, processor.range_db
        self._band = Band(processor.freq_hz, processor.high_hz, sample_rate, channels)
        # long enough for a period of a voice to be one level
        self._whole_falls = Falling(200.0, sample_rate, SILENT_DB)
        self._band_falls = Falling(200.0, sample_rate, SILENT_DB)
        self._ballistics = Ballistics(processor.attack_ms, processor.release_ms, sample_rate)
        self.latency = self._band.latency
        self.memory = self._band.memory + self._whole_falls.memory + self._ballistics.memory

    def process(self, block: Block) -> Block:
        """De-esses a block float64 [channels, frames], `latency` frames late."""
        whole, band = self._band.split(block)
        loud = self._whole_falls.process(level_db(whole))
        stands_out = self._band_falls.process(level_db(band)) - loud - self._threshold_db
        wanted = np.clip(np.where(loud > SILENT_DB / 2, stands_out, 0.0), 0.0, self._range_db)
        reduction = self._ballistics.process(wanted)
        self.moved_db = -float(reduction.max(initial=0.0))
        return whole + (10.0 ** (-reduction / 20.0) - 1.0) * band

    def reset(self) -> None:
        """Forgets everything heard."""
        for part in (self._band, self._whole_falls, self._band_falls, self._ballistics):
            part.reset()


def trailing_maximum(values: Curve, length: int) -> Curve:
    """Largest of each `length` neighbours: float64 [n] to [n - length + 1]."""
    from scipy.ndimage import maximum_filter1d

    if length == 1:
        return values
    filtered = maximum_filter1d(values, length, mode="nearest")
    return filtered[length // 2 : length // 2 + len(values) - length + 1]
