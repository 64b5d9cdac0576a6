"""Where sound was clipped: flat tops at a level they share, in either polarity of each channel, at any level.

A top is a run of samples near the highest of its segment. How steep the sound enters and leaves it says how high a
round top would stand (a parabola with those slopes); a clipped one stays flat. Tops of music are round, those of a
limiter are narrow, and those of square waves are entered without a slope: none of them is taken for clipping. Tops
that are flat only nearly (a soft knee, or clipping that was resampled or coded since) are looked for in wider bands.
Where a level was reached through a knee, the histogram of levels below it says how deep the knee goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.measure.inspect import CLIP_FLOOR, CLIP_RUN, MANY_RUNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo, Block

QUIETEST: Final = 1e-3
"""Peaks under -60 dBFS are not looked at: there, steps of 16 bits make flat tops of their own."""
STEP: Final = 2.0**-15
EXACT: Final = 3.5 * STEP
"""How far samples at one clip level lie apart after dither of 16 bits (TPDF and rounding: +-1.5 steps)."""
SAME: Final = 2.0**-22
SAME_SHARE: Final = 0.9
"""Where so many of them are the same, no dither was added since, and only those are clipped."""
SOFT_DB: Final = (0.1, 0.3, 1.0)
"""Bands in which tops are looked for that are flat only nearly."""
FLAT: Final = 0.25
"""A top is flat that rises by less than this share of what a round one would."""
SURE_STEPS: Final = 4.0
"""A round top would have had to rise by so many steps, so that rounding doesn't make it flat."""
LONGEST_SECONDS: Final = 0.0116
"""Longer runs are not tops of a wave that was clipped; nor could they be made anew."""
FEWEST: Final = 3
FEWEST_SOFT: Final = 12
"""So many flat tops share a level that counts as a clip level, exact (at the highest peak) or soft."""
SHARE: Final = 0.5
SHARE_SOFT: Final = 0.75
"""And so many of the tops there are flat."""
MOST_LEVELS: Final = 4096
CHANCE_TOPS: Final = 2.0
"""Each so many flat tops halve the chance that they share a level by accident."""

KNEE_BIN_DB: Final = 0.1
KNEE_BINS: Final = 60
"""A knee is looked for down to 6 dB under its level."""
CORNER: Final = 1e-3
"""A hard corner piles up at the level itself; under a knee the last 0.1% below the level holds a good share of it."""
CORNER_SHARE: Final = 0.2
KNEE_RATIO: Final = 1.5
"""A knee reaches down to where samples are so much denser than at their sparsest below."""
KNEE_COUNT: Final = 20
"""At their sparsest there must be so many samples in a bin for that to be said."""


class Tops(NamedTuple):
    """The tops of one segment in one polarity of one channel."""

    flat: int
    round: int
    longest: int


class Levels:
    """How many tops are flat at which level, in one polarity of one channel and one band.

    Levels are counted in bins of half the band's width, so that a level is found in two neighbours together.
    """

    def __init__(self, band_db: float) -> None:
        self.band_db = band_db
        self._bins: dict[int, list[int]] = {}
        self._depths: dict[int, NDArray[np.int64]] = {}
        self._any: bool | None = None
        self._highest = 0.0

    def _enough(self, peak: float, tops: Tops) -> bool:
        """Fewer tops will do at the highest peak of the file, where clipping stands by nature."""
        if self.band_db:
            return tops.flat >= FEWEST_SOFT
        if peak >= self._highest - 1.5 * EXACT:
            return tops.flat >= FEWEST or (tops.flat >= 2 and tops.longest > CLIP_RUN)
        return tops.flat >= MANY_RUNS and peak >= CLIP_FLOOR * self._highest

    def add(self, heights: NDArray[np.float64], peak: float, tops: Tops) -> None:
        """Counts the tops of a segment with that peak."""
        self._any = None
        self._highest = max(self._highest, peak)
        key = self._bin(peak)
        if (tops.flat or tops.round) and (key in self._bins or len(self._bins) < MOST_LEVELS):
            known = self._bins.setdefault(key, [0, 0, 0])
            known[0] += tops.flat
            known[1] += tops.round
            known[2] = max(known[2], tops.longest)
            if tops.flat and not self.band_db:
                self._depths[key] = self._depths.get(key, 0) + _depths(heights, peak)

    def threshold(self, peak: float) -> float:
        """From where on samples of a segment with that peak were clipped: the level, or where its knee begins."""
        if self.band_db:
            return threshold(peak, self.band_db)
        key = self._bin(peak)
        depths = np.zeros(KNEE_BINS + 3, np.int64)
        for step in (-1, 0, 1):
            depths += self._depths.get(key + step, 0)
        least = peak - SAME if depths[0] >= SAME_SHARE * depths[1] else threshold(peak, 0.0)
        return min(least, peak * 10.0 ** (-_knee_db(depths[1:]) / 20.0))

    def at(self, peak: float) -> Tops:
        """All tops at about that level."""
        key = self._bin(peak)
        near = [self._bins.get(key + step, [0, 0, 0]) for step in (-1, 0, 1)]
        return Tops(sum(each[0] for each in near), sum(each[1] for each in near), max(each[2] for each in near))

    def clipped(self, peak: float) -> bool:
        """Whether a segment with that peak was clipped at it."""
        tops = self.at(peak)
        share = SHARE_SOFT if self.band_db else SHARE
        return self._enough(peak, tops) and tops.flat >= share * (tops.flat + tops.round)

    def any_clipped(self) -> bool:
        """Whether any level is a clip level."""
        if self._any is None:
            self._any = any(self.clipped(self._level(key)) for key in self._bins)
        return self._any

    def best(self, *, clipped: bool = False) -> Tops:
        """The tops at the level that looks most like clipping, or of those that were clipped that with the most."""
        levels = [self._level(key) for key in self._bins]
        if clipped:
            return max((self.at(level) for level in levels if self.clipped(level)), default=Tops(0, 0, 0))
        return max((self.at(level) for level in levels), key=confidence, default=Tops(0, 0, 0))

    def _bin(self, peak: float) -> int:
        if self.band_db:
            return int(np.floor(20.0 * np.log10(peak) / (self.band_db / 2.0)))
        return int(np.floor(peak / EXACT))

    def _level(self, key: int) -> float:
        return 10.0 ** ((key + 0.5) * self.band_db / 40.0) if self.band_db else (key + 0.5) * EXACT


def _depths(heights: NDArray[np.float64], peak: float) -> NDArray[np.int64]:
    """How many samples lie how deep under the peak: right at it, within dither of it, in the 0.1% below that, and in
    bins of 0.1 dB.
    """
    high = heights[heights > peak * 10.0 ** (-KNEE_BIN_DB * KNEE_BINS / 20.0)]
    same = int(np.count_nonzero(high >= peak - SAME))
    exact = int(np.count_nonzero(high >= peak - EXACT))
    close = int(np.count_nonzero(high >= peak - EXACT - CORNER * peak)) - exact
    depth = np.minimum(-20.0 * np.log10(high / peak) / KNEE_BIN_DB, KNEE_BINS - 1).astype(np.int64)
    return np.concatenate([[same, exact, close], np.bincount(depth, minlength=KNEE_BINS)])


def _knee_db(depths: NDArray[np.int64]) -> float:
    """How far under the level its knee begins, 0 where the corner is hard, of `_depths` without the first."""
    exact, close = int(depths[0]), int(depths[1])
    if close < CORNER_SHARE * exact or not exact:
        return 0.0
    edges = 10.0 ** (-KNEE_BIN_DB * np.arange(KNEE_BINS + 1) / 20.0)
    density = depths[2:] / (edges[:-1] - edges[1:])
    sparsest = 1 + int(np.argmin(density[1:]))
    if depths[2 + sparsest] < KNEE_COUNT:
        return 0.0
    dense = np.flatnonzero(density[: sparsest + 1] < KNEE_RATIO * density[sparsest])
    return KNEE_BIN_DB * int(dense[0])


def grid_step(info: AudioInfo, samples: NDArray[np.float64]) -> float:
    """The smallest difference of neighbours that are not equal, at least a step of 16 bits (8 in a file of 8)."""
    coarse = STEP if info.bits is None else max(STEP, 2.0 ** (1 - info.bits))
    apart = np.abs(np.diff(samples))
    apart = apart[apart > 0.0]
    return max(coarse, float(apart.min())) if len(apart) else 2.0


def threshold(peak: float, band_db: float) -> float:
    """What lies at it or over it belongs to the top."""
    return peak * 10.0 ** (-band_db / 20.0) if band_db else peak - EXACT


def tops(heights: NDArray[np.float64], least: float, step: float, longest: int) -> Tops:
    """Looks at the runs of heights (samples times their polarity) at `least` and over it: float64 [frames].

    Runs of less than three samples, and those that begin or end within two samples of an end, say nothing.
    """
    inside = heights >= least
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if inside[0]:
        edges = edges[1:]
    first, last = edges[: len(edges) // 2 * 2 : 2], edges[1::2]
    long = (last - first >= CLIP_RUN) & (first >= 2) & (last <= len(heights) - 2)
    first, last = first[long], last[long]
    if not len(first):
        return Tops(0, 0, 0)
    lengths = last - first
    rise, fall = heights[first - 1] - heights[first - 2], heights[last] - heights[last + 1]
    bent = (rise + fall) / (lengths + 2)
    expected = bent * (lengths - 1) ** 2 / 8.0
    bounds = np.stack([first, last], axis=1).ravel()
    highest = np.maximum.reduceat(heights, bounds)[::2]
    lowest = np.minimum.reduceat(heights, bounds)[::2]
    spread = highest - lowest
    apart = spread > step
    sure = expected >= SURE_STEPS * np.where(apart, np.maximum(step, EXACT), step)
    # one that is entered or left backwards (noise on it, or the edge of a square wave) says neither
    clear = (rise > 0.0) & (fall > 0.0) & sure
    flat = clear & (spread < FLAT * expected)
    short = flat & (lengths <= longest)
    most = int(lengths[short].max()) if short.any() else 0
    return Tops(int(np.count_nonzero(short)), int(np.count_nonzero(clear & ~flat)), most)


def runs(marked: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of True begin, and where they end (the first that is not): bool [frames]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return edges[::2], edges[1::2]


class Detector:
    """Learns the clip levels of a file segment by segment, then tells which samples of a segment were clipped."""

    def __init__(self, info: AudioInfo) -> None:
        self._info = info
        self._longest = max(CLIP_RUN, round(LONGEST_SECONDS * info.sample_rate))
        self._levels = [
            [[Levels(band_db) for band_db in (0.0, *SOFT_DB)] for _ in range(2)] for _ in range(info.channels)
        ]

    def learn(self, segment: Block) -> None:
        """Takes one segment, float64 [channels, frames]."""
        for channel, samples in enumerate(segment):
            step = 0.0
            for side, sign in enumerate((1.0, -1.0)):
                heights = samples * sign
                peak = float(heights.max(initial=0.0))
                if peak < QUIETEST or len(heights) < CLIP_RUN + 4:
                    continue
                step = step or grid_step(self._info, samples)
                for levels in self._levels[channel][side]:
                    found = tops(heights, threshold(peak, levels.band_db), step, self._longest)
                    levels.add(heights, peak, found)

    def marks(self, segment: Block) -> NDArray[np.int8]:
        """+1 and -1 where samples of a segment were clipped from above and below: int8 [channels, frames]."""
        signs = np.zeros(segment.shape, np.int8)
        for channel, samples in enumerate(segment):
            for side, sign in enumerate((1, -1)):
                heights = samples * sign
                least = self.threshold(channel, side, float(heights.max(initial=0.0)))
                if least is not None:
                    signs[channel, heights >= least] = sign
        return signs

    def threshold(self, channel: int, side: int, peak: float) -> float | None:
        """From where on samples of a segment with that peak were clipped; None where it was not."""
        if peak < QUIETEST:
            return None
        exact, *soft = self._levels[channel][side]
        if exact.clipped(peak):
            return exact.threshold(peak)
        if exact.any_clipped():
            # wider bands around a peak here would catch the exact level of another segment
            return None
        return next((levels.threshold(peak) for levels in soft if levels.clipped(peak)), None)

    def best(self) -> tuple[Tops, float]:
        """The tops at the level that looks most like clipping, and the band they lie in (dB; 0 where exact).

        Where levels are clipped it is the one of them with the most flat tops.
        """
        every = [levels for sides in self._levels for both in sides for levels in both]
        clipped = [(levels.best(clipped=True), levels.band_db) for levels in every]
        clipped = [each for each in clipped if each[0].flat]
        if clipped:
            return max(clipped, key=lambda each: (each[1] == 0.0, each[0].flat))
        return max(((levels.best(), levels.band_db) for levels in every), key=lambda each: confidence(each[0]))


def confidence(tops: Tops) -> float:
    """The chance that tops at a level were clipped: the share that is flat, times that of no accident, 0 to 1."""
    every = tops.flat + tops.round
    return 0.0 if not every else tops.flat / every * (1.0 - 0.5 ** (tops.flat / CHANCE_TOPS))
