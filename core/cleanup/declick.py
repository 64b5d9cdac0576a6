"""Clicks, found in what neither past nor future foretells, and filled from the sound on both sides.

S. Godsill and P. Rayner, "Digital Audio Restoration" (1998), chapter 5, is the frame of it. What is added: the two
predictors never hear the frames that they judge; a click must tower over everything for some 30 ms before and after
it; and the sound after it must be the sound before it, which is not so where a note begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.audio.formats import Block
from core.cleanup.cleaner import MOST_PLACES, Cleaner, Finding, Place
from core.cleanup.prediction import Grid, Samples, Section, fill, grid, peaks_db, sections, unforetold
from core.events import Operation, Progress
from core.session.cleaning import Declick

OWN_HOPS: Final = 512
MARGIN_HOPS: Final = 16
SIZE: Final = 64
"""Frames of a block, at 44.1 kHz as all lengths here."""
WIDTHS: Final = (3, 12, 48)
SIDE: Final = 20
"""A click is held against so many blocks on either side,"""
GUARD: Final = 2
"""but for the next ones, into which it reaches."""
TOWERS_DB: Final = 13.0
"""By how much a click towers over what is around it, at a sensitivity of 5."""
CLEAR_DB: Final = 9.0
"""One click of a file, at the least, must do so by so much more: faint ones alone may be music."""
SENSITIVITY_DB: Final = 2.5
"""What one unit of sensitivity makes of that."""
OTHER_CHANNEL_DB: Final = 8.0
"""A channel is held to so much less where the other one has a click."""
EDGE_DB: Final = 10.0
"""A click reaches as far as it is so much over the median around it."""
LOUD_PART: Final = 0.3
"""Or, where that is too far, over this share of its height."""
RAISED: Final = 1.0
"""For each dB that it takes to make it short enough, a click is believed so many dB less."""
HOLE: Final = 12
PAD: Final = 2
NEAR: Final = 40
FAR: Final = 540
"""How the sound goes on is heard from `NEAR` to `FAR` frames off the click."""


class Gap(NamedTuple):
    """A click of one channel: frames `first` up to `last`, and by how many dB it stands out."""

    channel: int
    first: int
    last: int
    score_db: float


class Declicker(Cleaner[Declick]):
    """Takes clicks out one by one; every sample outside of them is that of the file."""

    def find(self) -> Operation[Finding]:
        """Counts the clicks. Their confidence rises with how far the clearest tenth stand out over the threshold."""
        info, count, frames = self.info, 0, 0
        places: list[Place] = []
        highest: list[float] = []
        for section in self._sections():
            gaps = [gap for gap in self._gaps(section) if section.first <= gap.first < section.last]
            count += len(gaps)
            frames += sum(gap.last - gap.first for gap in gaps)
            places += [Place(gap.first, gap.last, gap.channel) for gap in gaps[: MOST_PLACES - len(places)]]
            highest = sorted([*highest, *(gap.score_db for gap in gaps)], reverse=True)[:MOST_PLACES]
            yield Progress("listening for clicks", section.last, info.frames, info.seconds)
        if not count:
            return Finding(type="declick", found=False, confidence=0.0, detail="no clicks")
        over = highest[len(highest) // 10] - _threshold_db(self.step)
        if highest[0] < _threshold_db(self.step) + CLEAR_DB:
            several = "1 place" if count == 1 else f"{count} places"
            return Finding(
                type="declick", found=False, confidence=0.0, detail=f"{several} like faint clicks, none of them clear"
            )
        minutes = info.seconds / 60.0
        return Finding(
            type="declick",
            found=True,
            confidence=float(np.clip(0.5 + over / 30.0 + (count - 1) / 40.0, 0.5, 0.99)),
            detail=_detail(count, minutes, 1000.0 * frames / count / info.sample_rate),
            figures={
                "clicks": float(count),
                "clicks_per_minute": count / minutes,
                "mean_ms": 1000.0 * frames / count / info.sample_rate,
                "stands_out_db": highest[len(highest) // 2],
            },
            places=tuple(places),
        )

    def blocks(self) -> Iterator[Block]:
        """The file with its clicks filled."""
        on = grid(self.info.sample_rate)
        for section in self._sections():
            block = section.block
            for gap in self._gaps(section):
                row, low, high = block[gap.channel], gap.first - section.at, gap.last - section.at
                row[low:high] = fill(row, low, high, on)
            yield block[:, section.first - section.at : section.last - section.at]

    def _sections(self) -> Iterator[Section]:
        return sections(self.reader, grid(self.info.sample_rate), OWN_HOPS, MARGIN_HOPS)

    def _gaps(self, section: Section) -> list[Gap]:
        return clicks(section, self.info.sample_rate, self.step)


def _threshold_db(step: Declick) -> float:
    return TOWERS_DB - SENSITIVITY_DB * (step.sensitivity - 5.0)


def _detail(count: int, minutes: float, mean_ms: float) -> str:
    words = "1 click" if count == 1 else f"{count} clicks"
    often = f", {count / minutes:.0f} a minute" if minutes > 1.0 else ""
    return f"{words}{often}, {mean_ms:.2f} ms long{' in the mean' if count > 1 else ''}"


def clicks(section: Section, sample_rate: int, step: Declick) -> list[Gap]:
    """All clicks of a stretch and its margins, in order of channel and time; none overlap, frames are the file's."""
    on = grid(sample_rate)
    threshold, longest = _threshold_db(step), round(step.longest_ms * sample_rate / 1000.0)
    found = [_candidates(row, section.at, number, on, threshold - OTHER_CHANNEL_DB, longest)
             for number, row in enumerate(section.block)]  # fmt: skip
    sure = [gap for gaps in found for gap in gaps if gap.score_db >= threshold]
    if not sure:
        return []
    middles = np.sort([(gap.first + gap.last) // 2 for gap in sure])
    near = on.frames(SIZE)
    kept: list[Gap] = []
    for gaps in found:
        last = -1
        for gap in gaps:
            place = np.searchsorted(middles, gap.first - near)
            if place < len(middles) and middles[place] <= gap.last + near and gap.first >= last:
                kept.append(gap)
                last = gap.last
    return kept


def _candidates(row: Samples, at: int, channel: int, on: Grid, least_db: float, longest: int) -> list[Gap]:
    if len(row) < 4 * on.order or not np.any(row):
        return []
    ahead, behind = unforetold(row, on)
    size = on.frames(SIZE)
    towers = np.max([_towers_db(peaks_db(ahead, behind, on.frames(width), size)) for width in WIDTHS], axis=0)
    smaller = np.minimum(np.abs(ahead), np.abs(behind))
    gaps: list[Gap] = []
    for block in np.flatnonzero(towers >= least_db).tolist():
        if towers[block] < towers[max(0, block - 2) : block + 3].max():
            continue
        low = max(0, (block - 1) * size)
        middle = low + int(np.argmax(smaller[low : (block + 2) * size]))
        first, last, raised_db = _extent(smaller, middle, on, longest)
        first, last = _with_dropout(row, first, last, longest)
        if last - first > longest or (gaps and first + at < gaps[-1].last):
            continue
        score = float(towers[block]) - _change_db(row, ahead, behind, first, last, on) - RAISED * raised_db
        if score >= least_db:
            gaps.append(Gap(channel, int(first) + at, int(last) + at, score))
    return gaps


def _towers_db(peaks: Samples) -> Samples:
    """By how many dB each block is over the second highest of those around it, on the side where that is higher."""
    around = np.pad(peaks, SIDE + GUARD, constant_values=-85.0)
    views = np.lib.stride_tricks.sliding_window_view(around, SIDE)
    second = np.partition(views, SIDE - 2, axis=1)[:, SIDE - 2]
    after = SIDE + 2 * GUARD + 1
    return peaks - np.maximum(second[: len(peaks)], second[after : after + len(peaks)])


def _extent(smaller: Samples, middle: int, on: Grid, longest: int) -> tuple[int, int, float]:
    """How far a click reaches around its highest error of prediction; where that is too far, its loud part.

    And by how many dB the edge was raised for that.
    """
    reach = longest + on.frames(FAR)
    low, high = max(0, middle - reach), min(len(smaller), middle + reach)
    part = smaller[low:high]
    lowest, pad = float(np.median(part)) * 10.0 ** (EDGE_DB / 20.0) + 1e-5, on.frames(PAD)
    edge = lowest
    while True:
        first, last = _run(part > edge, middle - low, on.frames(HOLE))
        if last - first + 2 * pad <= longest or edge > LOUD_PART * part[middle - low]:
            raised_db = 20.0 * math.log10(edge / lowest)
            return max(0, low + first - pad), min(len(smaller), low + last + pad), raised_db
        edge *= 1.5


def _run(over: NDArray[np.bool_], middle: int, hole: int) -> tuple[int, int]:
    """The run of frames that `middle` lies in, holes of up to `hole` frames included."""
    frames = np.flatnonzero(over)
    if not len(frames):
        return middle, middle + 1
    breaks = np.flatnonzero(np.diff(frames) > hole)
    starts, ends = frames[np.r_[0, breaks + 1]], frames[np.r_[breaks, len(frames) - 1]]
    number = max(0, int(np.searchsorted(starts, middle, "right")) - 1)
    return int(starts[number]), int(ends[number]) + 1


def _with_dropout(row: Samples, first: int, last: int, longest: int) -> tuple[int, int]:
    """A run of digital silence that begins or ends in the gap belongs to it, if it is short enough."""
    silent = row == 0.0
    low, high = first, last
    while high < len(row) and high - first <= longest and silent[high]:
        high += 1
    while low > 0 and last - low <= longest and silent[low - 1]:
        low -= 1
    return (low, high) if high - low <= longest else (first, last)


def _change_db(row: Samples, ahead: Samples, behind: Samples, first: int, last: int, on: Grid) -> float:
    """How different the sound is after a click: level, treble and noise, weighted, in dB.

    Infinite at the ends of a file, where there is nothing to compare with.
    """
    near, far = on.frames(NEAR), on.frames(FAR)
    before = slice(max(0, first - far), max(0, first - near))
    after = slice(last + near, last + far)
    if before.stop - before.start < on.order or len(row) - after.start < on.order:
        return math.inf

    def change(one: NDArray[np.float64], other: NDArray[np.float64], floor: float) -> float:
        return abs(10.0 * np.log10((np.mean(np.square(one)) + floor) / (np.mean(np.square(other)) + floor)))

    level = change(row[after], row[before], 1e-9)
    treble = change(np.diff(row[after]), np.diff(row[before]), 1e-9)
    noise = abs(20.0 * np.log10((np.median(np.abs(behind[after])) + 1e-5) / (np.median(np.abs(ahead[before])) + 1e-5)))
    return float(0.5 * treble + 0.3 * noise + 0.2 * level)
