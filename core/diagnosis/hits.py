"""Hits of the drums: how sharp they are, and how the bass stands against them where the kick lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.measure.spectrum import to_db
from core.session.processors import HIGHEST_SHARE, HighCut, LowCut
from core.strips.eq import Equaliser, sections

if TYPE_CHECKING:
    from core.audio.formats import Block

STEP_MS: Final = 10.0
KICK_HZ: Final = (40.0, 120.0)
RISE_DB: Final = 9.0
"""What a step must be louder than the five before it to be a hit."""
BEFORE: Final = 5
AFTER: Final = 15
INAUDIBLE_DB: Final = -80.0
"""Steps that are no louder are no hits."""
QUIET_DB: Final = 25.0
"""Hits so far below the loudest one are not counted."""
MOST: Final = 20_000


class Hit(NamedTuple):
    """One hit: when, and levels in dB (0 for a full-scale square wave).

    `level_db`: of its loudest 10 ms. `body_db`: mean of the 150 ms that follow. `low_db`, `bass_db`: power of drums and
    of bass from 40 to 120 Hz in the 50 ms of its beginning.
    """

    seconds: float
    level_db: float
    body_db: float
    low_db: float
    bass_db: float


class HitMeter:
    """Takes drums and bass block by block and finds hits in the level of each 10 ms."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._step = max(1, round(STEP_MS * sample_rate / 1000.0))
        self._rate = sample_rate
        low, high = KICK_HZ
        fits = high <= HIGHEST_SHARE * sample_rate
        kick = np.concatenate(
            [sections(LowCut(freq_hz=low), sample_rate), sections(HighCut(freq_hz=high), sample_rate)]
        )
        self._filters = [Equaliser(kick, channels) for _ in range(2)] if fits else []
        self._held = np.zeros((3, 0))
        self._levels = np.zeros((3, 0))
        self._first = 0
        self._hits: list[Hit] = []

    def push(self, drums: Block, bass: Block | None) -> None:
        """Takes blocks float64 [channels, frames] of the same length."""
        if not self._filters:
            return
        bass = np.zeros_like(drums) if bass is None else bass
        powers = [np.square(drums).mean(axis=0)]
        powers += [
            np.square(one.process(block)).mean(axis=0) for one, block in zip(self._filters, (drums, bass), strict=True)
        ]
        held = np.concatenate([self._held, np.stack(powers)], axis=1)
        steps = held.shape[1] // self._step
        whole = held[:, : steps * self._step].reshape(3, steps, self._step).mean(axis=2)
        self._held = held[:, steps * self._step :]
        self._levels = np.concatenate([self._levels, whole], axis=1)
        self._find()

    def _find(self) -> None:
        """Looks at every step whose neighbours are all known."""
        levels = self._levels
        count = levels.shape[1] - AFTER
        if count <= BEFORE:
            return
        level_db = to_db(levels[0])
        before = np.max([level_db[BEFORE - back : count - back] for back in range(1, BEFORE + 1)], axis=0)
        here = level_db[BEFORE:count]
        after = np.max([level_db[BEFORE + ahead : count + ahead] for ahead in (1, 2)], axis=0)
        for place in np.flatnonzero((here > before + RISE_DB) & (here > INAUDIBLE_DB)):
            at = int(place) + BEFORE
            if len(self._hits) >= MOST:
                break
            begin = slice(at, at + 5)
            self._hits.append(
                Hit(
                    seconds=(self._first + at) * self._step / self._rate,
                    level_db=float(max(here[place], after[place])),
                    body_db=float(to_db(levels[0, at : at + AFTER].mean())),
                    low_db=float(to_db(levels[1, begin].mean())),
                    bass_db=float(to_db(levels[2, begin].mean())),
                )
            )
        done = count - BEFORE
        self._first += done
        self._levels = levels[:, done:]

    def result(self) -> list[Hit]:
        """The hits that count."""
        loudest = max((hit.level_db for hit in self._hits), default=INAUDIBLE_DB)
        return [hit for hit in self._hits if hit.level_db > loudest - QUIET_DB]
