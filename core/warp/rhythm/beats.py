"""The beats of a recording as a value: where they are, how they are counted, and how a person puts them right.

Finding them is left to `tracking`.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from core.errors import UnbakeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_BEATS: Final = 4
"""Fewer have no tempo."""
STEADY_SECONDS: Final = 0.015
STEADY_SHARE: Final = 0.9
"""A tempo is steady when so many of the beats are so near to a grid without any play."""
FREE_SHARE: Final = 0.08
"""Bars whose tempi differ by more than this are not drift any more."""
MOST_METER: Final = 32
_ROUNDS: Final = 12
_TUKEY: Final = 4.685


class Candidate(msgspec.Struct, frozen=True):
    """A tempo that the beats could have, too.

    `support` is how alike the rhythm is to itself one, two, three and four beats later: 0 is chance, 1 is exactly.
    """

    bpm: float
    support: float


class Section(msgspec.Struct, frozen=True):
    """From the beat of this index on, bars have `meter` beats; that beat is the first of one."""

    first: int
    meter: int


class Place(NamedTuple):
    """How a beat is counted: bars from `Beats.first_bar`, what is in front of it down from there; beats from 1."""

    bar: int
    beat: int


class TempoAt(msgspec.Struct, frozen=True):
    """The tempo of the bar that begins at a frame."""

    frame: int
    bpm: float


class Beats(msgspec.Struct, frozen=True, kw_only=True):
    """The beats of a file: `at` are their frames, rising; `strengths_db` how much the spectrum rises at each.

    `bpm` is None, and everything else empty, where no beats were found. `confidence` is 0 to 1. `steady`: the tempo is
    one and the same; where it is not, `bpm` is the usual one. `swing` is how many times as long as the second half of a
    beat the first one is: 1 is straight, 2 a triplet; None where nothing sounds between the beats. `meter_confidence`
    is how sure the places of the bars are.
    """

    sample_rate: int
    frames: int
    at: tuple[int, ...] = ()
    strengths_db: tuple[float, ...] = ()
    sections: tuple[Section, ...] = (Section(0, 4),)
    first_bar: int = 1
    bpm: float | None = None
    confidence: float = 0.0
    steady: bool = False
    candidates: tuple[Candidate, ...] = ()
    swing: float | None = None
    meter_confidence: float = 0.0

    @property
    def meter(self) -> int:
        """Beats of a bar, where the file begins."""
        return self.sections[0].meter

    def places(self) -> list[Place]:
        """How each beat is counted."""
        found: list[Place] = []
        bar = self.first_bar
        for section, after in itertools.zip_longest(self.sections, self.sections[1:]):
            start = section.first if found else 0
            end = len(self.at) if after is None else after.first
            counts = [divmod(index - section.first, section.meter) for index in range(start, end)]
            found += [Place(bar + bars, beat + 1) for bars, beat in counts]
            bar = found[-1].bar + 1 if found else bar
        return found

    def course(self) -> list[TempoAt]:
        """The tempo of each bar, from the first downbeat on."""
        downbeats = [index for index, place in enumerate(self.places()) if place.beat == 1]
        return [
            TempoAt(self.at[start], 60.0 * self.sample_rate * (end - start) / (self.at[end] - self.at[start]))
            for start, end in itertools.pairwise(downbeats)
        ]

    def moves(self) -> str:
        """Whether the tempo is "steady", "drifts" by little, or is "free": rubato, or more than one tempo."""
        tempi = [each.bpm for each in self.course()]
        if self.steady or not tempi:
            return "steady"
        low, high = np.percentile(tempi, [5.0, 95.0])
        return "drifts" if high <= low * (1.0 + FREE_SHARE) else "free"


def with_downbeat(beats: Beats, index: int) -> Beats:
    """Bars begin at this beat; bars of the same section before and after it move along."""
    _check_index(beats, index)
    number = _section_of(beats, index)
    section = beats.sections[number]
    first = section.first + (index - section.first) % section.meter if number else index % section.meter
    sections = list(beats.sections)
    sections[number] = Section(first, section.meter)
    return msgspec.structs.replace(beats, sections=_tidy(sections), meter_confidence=1.0)


def with_meter(beats: Beats, meter: int, index: int | None = None) -> Beats:
    """Bars have `meter` beats, in the whole file or from a beat on, which becomes a downbeat."""
    if not 1 <= meter <= MOST_METER:
        raise UnbakeError(f"a bar of {meter} beats", remedy=f"1 to {MOST_METER}")
    if index is None:
        sections = [Section(beats.sections[0].first % meter, meter)]
    else:
        _check_index(beats, index)
        before = [section for section in beats.sections if section.first < index]
        sections = [*before, Section(index, meter)]
    return msgspec.structs.replace(beats, sections=_tidy(sections))


def with_first_bar(beats: Beats, number: int) -> Beats:
    """The first whole bar has this number."""
    return msgspec.structs.replace(beats, first_bar=number)


def halved(beats: Beats) -> Beats:
    """Every other beat is left away, downbeats kept; bars have as many beats as before, so that they are twice as long.

    Raises UnbakeError when too few would be left.
    """
    if len(beats.at) // 2 < LEAST_BEATS:
        raise UnbakeError(f"half of {len(beats.at)} beats is too few for a tempo", remedy=f"at least {LEAST_BEATS}")
    first = beats.sections[0].first % 2
    sections = [Section((section.first - first + 1) // 2, section.meter) for section in beats.sections]
    return msgspec.structs.replace(
        beats,
        at=beats.at[first::2],
        strengths_db=beats.strengths_db[first::2],
        sections=_tidy(sections),
        bpm=None if beats.bpm is None else beats.bpm / 2.0,
        swing=None,
    )


def doubled(beats: Beats) -> Beats:
    """A beat more in the middle between every two."""
    between = [((a + b) // 2, 0.0) for a, b in itertools.pairwise(beats.at) if b - a > 1]
    both = sorted([*zip(beats.at, beats.strengths_db, strict=True), *between])
    at = tuple(frame for frame, _ in both)
    sections = [Section(bisect_left(at, beats.at[section.first]), section.meter) for section in beats.sections]
    return msgspec.structs.replace(
        beats,
        at=at,
        strengths_db=tuple(strength for _, strength in both),
        sections=_tidy(sections) if beats.at else beats.sections,
        bpm=None if beats.bpm is None else beats.bpm * 2.0,
        swing=None,
    )


def moved(beats: Beats, index: int, frame: int) -> Beats:
    """One beat at another frame, between its neighbours. Raises UnbakeError where it can't be."""
    _check_index(beats, index)
    low = beats.at[index - 1] + 1 if index else 0
    high = beats.at[index + 1] - 1 if index + 1 < len(beats.at) else beats.frames
    if not low <= frame <= high:
        raise UnbakeError(f"beat {index + 1} can't be moved to frame {frame}", remedy=f"{low} to {high}")
    return _with_frames(beats, (*beats.at[:index], frame, *beats.at[index + 1 :]), beats.strengths_db)


def added(beats: Beats, frame: int, strength_db: float = 0.0) -> Beats:
    """One beat more. Raises UnbakeError outside the file and where there is one."""
    if not 0 <= frame <= beats.frames:
        raise UnbakeError(f"frame {frame} is outside the file", remedy=f"0 to {beats.frames}")
    index = bisect_left(beats.at, frame)
    if index < len(beats.at) and beats.at[index] == frame:
        raise UnbakeError(f"there is a beat at frame {frame} already")
    sections = [Section(each.first + (each.first >= index and index > 0), each.meter) for each in beats.sections]
    more = msgspec.structs.replace(beats, sections=tuple(sections))
    strengths_db = (*beats.strengths_db[:index], strength_db, *beats.strengths_db[index:])
    return _with_frames(more, (*beats.at[:index], frame, *beats.at[index:]), strengths_db)


def removed(beats: Beats, index: int) -> Beats:
    """One beat less."""
    _check_index(beats, index)
    sections = [Section(each.first - (each.first > index), each.meter) for each in beats.sections]
    less = msgspec.structs.replace(beats, sections=_tidy(sections))
    strengths_db = (*beats.strengths_db[:index], *beats.strengths_db[index + 1 :])
    return _with_frames(less, (*beats.at[:index], *beats.at[index + 1 :]), strengths_db)


class Grid(NamedTuple):
    """The evenly spaced grid that lies nearest to beats: beat n is about `start` + `period` * counts[n]."""

    start: float
    period: float
    """Frames."""
    counts: NDArray[np.int64]
    off: NDArray[np.float64]
    """By how many frames each beat is late."""

    def steady(self, sample_rate: int) -> bool:
        """Whether the beats keep to it."""
        return float(np.mean(np.abs(self.off) <= STEADY_SECONDS * sample_rate)) >= STEADY_SHARE


def grid_of(at: Sequence[int] | NDArray[np.float64]) -> Grid:
    """The grid of two beats or more, of which some may be missing, late or wrong.

    A line by iteratively reweighted least squares with Tukey's biweight (P. J. Huber, Robust Statistics, 1981), begun
    at the median slope over half the length.
    """
    frames = np.asarray(at, np.float64)
    steps = np.diff(frames)
    usual = float(np.median(steps))
    counts = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(steps / usual).astype(np.int64)))])
    half = max(1, len(frames) // 2)
    period = float(np.median((frames[half:] - frames[:-half]) / (counts[half:] - counts[:-half])))
    start = float(np.median(frames - period * counts))
    for _ in range(_ROUNDS):
        off = frames - start - period * counts
        reach = _TUKEY * max(1.0, 1.4826 * float(np.median(np.abs(off))))
        weights = np.square(np.maximum(0.0, 1.0 - np.square(off / reach)))
        if np.count_nonzero(weights) < 2:
            break
        period, start = np.polyfit(counts, frames, 1, w=np.sqrt(weights))
    return Grid(float(start), float(period), counts, frames - start - period * counts)


def _with_frames(beats: Beats, at: tuple[int, ...], strengths_db: tuple[float, ...]) -> Beats:
    """Other beats, with the tempo that they have."""
    bpm, steady = None, False
    if len(at) >= 2:
        grid = grid_of(at)
        steady = len(at) >= LEAST_BEATS and grid.steady(beats.sample_rate)
        bpm = 60.0 * beats.sample_rate / (grid.period if steady else float(np.median(np.diff(at))))
    return msgspec.structs.replace(beats, at=at, strengths_db=strengths_db, bpm=bpm, steady=steady)


def _section_of(beats: Beats, index: int) -> int:
    return max(0, sum(section.first <= index for section in beats.sections) - 1)


def _tidy(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Sections in order; of those that begin at one beat the last is kept."""
    return tuple({section.first: section for section in sorted(sections, key=lambda each: each.first)}.values())


def _check_index(beats: Beats, index: int) -> None:
    if not 0 <= index < len(beats.at):
        raise UnbakeError(f"there is no beat {index + 1}", remedy=f"1 to {len(beats.at)}" if beats.at else None)
