"""Crackle: dense ticks of a few samples, in what neither past nor future foretells.

Ticks are short enough that the sound around them says what belongs in their place. Whether a file crackles at all is
asked of the whole of it: a worn record crackles in the quiet as in the loud, and all the time; a voice, a reed or a
drum whose waveform has spikes does not. Spikes that return at one distance are the waveform of a pitch, and no ticks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.audio.formats import Block
from core.cleanup.cleaner import MOST_PLACES, Cleaner, Finding, Place
from core.cleanup.prediction import Grid, Samples, Section, fill, grid, sections, unforetold
from core.events import Operation, Progress
from core.session.cleaning import Decrackle

OWN_HOPS: Final = 512
MARGIN_HOPS: Final = 16
LONGEST: Final = 8
"""Frames of a tick at the most, at 44.1 kHz, with its edges."""
AROUND: Final = 1024
"""What is usual is learnt from so many frames."""
USUAL_SHARE: Final = 0.95
"""And is what the errors of prediction are under, for such a share of them."""
TOWERS: Final = 3.5
"""By how much a tick is over that, at a sensitivity of 5: for noise, 6 standard deviations."""
SENSITIVITY: Final = 1.12
"""Each unit divides that by so much."""
EDGE: Final = 0.3
"""A tick reaches as far as it is over this share of its height."""
NEAR: Final = 256
"""Ticks are filled from so many frames on either side."""
PERIODS: Final = (16, 2048)
"""Distances at which spikes return that are a pitch: 2756 to 22 Hz,"""
RETURNS: Final = ((-2, -1, 1, 2), (1, 2, 3, 4), (-4, -3, -2, -1))
"""if there are so many of them, around, after or before,"""
RETURNS_SHARE: Final = 0.4
"""all of them over this share of the first one's height,"""
OFF: Final = 2
"""no more than so many frames off their place."""
OFTEN: Final = 8.0
"""Crackle is so many ticks a second,"""
OFTEN_SHARE: Final = 0.4
"""in such a share of all seconds, also of silent ones: a record crackles there, too."""


class Ticks(NamedTuple):
    """Of one channel: first and one past the last frame of each, int64 [ticks]."""

    firsts: np.ndarray
    lasts: np.ndarray


class Decrackler(Cleaner[Decrackle]):
    """Fills ticks; every sample outside of them is that of the file."""

    def find(self) -> Operation[Finding]:
        """Counts ticks second by second. Confidence is how far the share of seconds that crackle is over the least."""
        info = self.info
        rate, count = info.sample_rate, 0
        seconds = max(1, -(-info.frames // rate))
        crackling, held = 0, 0
        places: list[Place] = []
        for section in self._sections():
            found = self._ticks(section)
            for second in range(section.first // rate, (section.last - 1) // rate + 1):
                low, high = max(section.first, second * rate), min(section.last, (second + 1) * rate)
                number = sum(int(((one.firsts >= low) & (one.firsts < high)).sum()) for one in found)
                held, count = held + number, count + number
                if high in ((second + 1) * rate, info.frames):
                    crackling += held >= max(1.0, OFTEN * (high - second * rate) / rate)
                    held = 0
            for channel, one in enumerate(found):
                mine = (one.firsts >= section.first) & (one.firsts < section.last)
                both = zip(one.firsts[mine].tolist(), one.lasts[mine].tolist(), strict=True)
                places += [Place(first, last, channel) for first, last in both][: MOST_PLACES - len(places)]
            yield Progress("listening for crackle", section.last, info.frames, info.seconds)
        share, often = crackling / seconds, count / info.seconds
        figures = {"ticks": float(count), "ticks_per_second": often, "crackling_share": share}
        if share < OFTEN_SHARE or count < OFTEN or seconds < 2:
            why = (
                "no ticks to speak of"
                if count < OFTEN
                else f"ticks crowd in {100 * share:.0f}% of all seconds only, so they may be music"
            )
            return Finding(type="decrackle", found=False, confidence=0.0, detail=why, figures=figures)
        return Finding(
            type="decrackle",
            found=True,
            confidence=float(np.clip(0.5 + (share - OFTEN_SHARE) + 0.02 * (often - OFTEN), 0.5, 0.99)),
            detail=f"{often:.0f} ticks a second, in {100 * share:.0f}% of all seconds",
            figures=figures,
            places=tuple(sorted(places, key=lambda place: place.first)),
        )

    def blocks(self) -> Iterator[Block]:
        """The file with its ticks filled."""
        on = grid(self.info.sample_rate)
        for section in self._sections():
            block = section.block
            for row, ticks in zip(block, self._ticks(section), strict=True):
                for first, last in zip((ticks.firsts - section.at).tolist(), (ticks.lasts - section.at).tolist(),
                                       strict=True):  # fmt: skip
                    row[first:last] = fill(row, first, last, on, order=on.order, passes=1, around=NEAR)
            yield block[:, section.first - section.at : section.last - section.at]

    def _sections(self) -> Iterator[Section]:
        return sections(self.reader, grid(self.info.sample_rate), OWN_HOPS, MARGIN_HOPS)

    def _ticks(self, section: Section) -> list[Ticks]:
        towers = TOWERS / SENSITIVITY ** (self.step.sensitivity - 5.0)
        return [_ticks(row, section.at, grid(self.info.sample_rate), towers) for row in section.block]


def _ticks(row: Samples, at: int, on: Grid, towers: float) -> Ticks:
    none = Ticks(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    around = on.frames(AROUND)
    if len(row) < around or not np.any(row):
        return none
    ahead, behind = unforetold(row, on)
    smaller = np.minimum(np.abs(ahead), np.abs(behind))
    usual = _usual(smaller, around)
    reach = on.frames(LONGEST)
    peaks = np.flatnonzero((smaller > towers * usual) & (smaller == ndimage.maximum_filter1d(smaller, 2 * reach + 1)))
    if not len(peaks):
        return none
    offsets = np.arange(-reach, reach + 1)
    frames = np.clip(peaks[:, None] + offsets, 0, len(row) - 1)
    over = smaller[frames] > np.maximum(EDGE * smaller[peaks], usual[peaks])[:, None]
    left = np.argmin(over[:, reach::-1], axis=1)
    right = np.argmin(over[:, reach:], axis=1)
    # where nothing in reach is under, argmin gives 0: such a burst is no tick
    good = (left > 0) & (right > 0) & (left + right - 1 <= reach)
    good &= ~_returning(smaller, peaks, on)
    firsts, lasts = peaks[good] - left[good], peaks[good] + right[good] + 1
    firsts, lasts = np.maximum(firsts, 0), np.minimum(lasts, len(row))
    apart = np.r_[True, firsts[1:] >= lasts[:-1]] if len(firsts) else np.zeros(0, dtype=bool)
    return Ticks(firsts[apart] + at, lasts[apart] + at)


def _returning(smaller: Samples, peaks: NDArray[np.int64], on: Grid) -> NDArray[np.bool_]:
    """Which peaks, int64 [peaks], come again and again at one distance, as those of a periodic waveform do."""
    far = 4 * on.frames(PERIODS[1])
    highest = np.pad(ndimage.maximum_filter1d(smaller, 2 * OFF + 1), far).astype(np.float32)
    periods = np.arange(on.frames(PERIODS[0]), on.frames(PERIODS[1]) + 1)
    found = np.zeros(len(peaks), dtype=bool)
    for number, peak in enumerate(peaks.tolist()):
        least = RETURNS_SHARE * smaller[peak]
        for returns in RETURNS:
            left = periods
            for times in returns:
                left = left[highest[peak + far + times * left] >= least]
            if len(left):
                found[number] = True
                break
    return found


def _usual(smaller: Samples, around: int) -> Samples:
    """What errors of prediction are under for most of them, block by block and never less than its neighbours'."""
    quarter = max(1, around // 4)
    blocks = -(-len(smaller) // quarter)
    padded = np.pad(smaller, (0, blocks * quarter - len(smaller)), mode="edge").reshape(blocks, quarter)
    each = np.partition(padded, int(USUAL_SHARE * quarter) - 1 if quarter > 1 else 0, axis=1)
    held = each[:, int(USUAL_SHARE * quarter) - 1 if quarter > 1 else 0]
    return np.repeat(ndimage.maximum_filter1d(held, 5), quarter)[: len(smaller)] + 3e-5
