"""How far sibilants stand out of a voice: a count of 10 ms steps by the level of 5 to 9 kHz over the voice's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from core.session.processors import HIGHEST_SHARE, HighCut, LowCut
from core.strips.eq import Equaliser, sections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block

BAND_HZ: Final = (5000.0, 9000.0)
STEP_MS: Final = 10.0
LOWEST_DB: Final = -60
HIGHEST_DB: Final = 20
LEVEL_S: Final = 1.0
"""Over how long the voice's own level is taken."""
SILENT: Final = 1e-10


class SibilanceMeter:
    """Takes a voice block by block; the usual level is the mean power of the second before."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        from scipy.signal import lfilter

        self._lfilter = lfilter
        low, high = BAND_HZ
        highest = HIGHEST_SHARE * sample_rate
        self._step = max(1, round(STEP_MS * sample_rate / 1000.0))
        self._filter = None
        if low < highest:
            rows = [sections(LowCut(freq_hz=low, slope_db_oct=24), sample_rate)]
            if high < highest:
                rows.append(sections(HighCut(freq_hz=high, slope_db_oct=24), sample_rate))
            self._filter = Equaliser(np.concatenate(rows), channels)
        self._pole = float(np.exp(-STEP_MS / 1000.0 / LEVEL_S))
        self._state = np.zeros(1)
        self._held = np.zeros((2, 0))
        self._counts = np.zeros(HIGHEST_DB - LOWEST_DB, dtype=np.int64)

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        if self._filter is None:
            return
        powers = [np.square(block).mean(axis=0), np.square(self._filter.process(block)).mean(axis=0)]
        held = np.concatenate([self._held, np.stack(powers)], axis=1)
        steps = held.shape[1] // self._step
        whole, band = held[:, : steps * self._step].reshape(2, steps, self._step).mean(axis=2)
        self._held = held[:, steps * self._step :]
        usual, self._state = self._lfilter([1.0 - self._pole], [1.0, -self._pole], whole, zi=self._state)
        sung = usual > SILENT
        over_db = 10.0 * np.log10(np.maximum(band[sung], 1e-30) / usual[sung])
        places = np.clip(np.floor(over_db) - LOWEST_DB, 0, len(self._counts) - 1).astype(np.int64)
        self._counts += np.bincount(places, minlength=len(self._counts))

    def result(self) -> NDArray[np.int64]:
        """Steps by dB over the voice's level, from `LOWEST_DB` up: int64 [80]."""
        return self._counts


def exceeded_db(counts: NDArray[np.int64], share: float) -> float | None:
    """The level in dB over the voice that this share of the steps exceeds; None where no voice was heard."""
    total = int(counts.sum())
    if total == 0:
        return None
    above = np.cumsum(counts[::-1])[::-1]
    return float(LOWEST_DB + int(np.flatnonzero(above >= share * total)[-1]))
