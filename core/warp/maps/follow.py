"""A time map that makes one recording follow another of the same music: a take at another tempo, or one to a click.

The way through both is found from coarse to fine, each step near the one before it, so that memory grows with the
length alone: M. Mueller, H. Mattes & F. Kurth, "An efficient multiscale approach to audio synchronization", ISMIR 2006.
What both attack is then brought together to the sample. What makes them alike is in `likeness`.
"""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.session.timemap import STEEPEST, Anchor, TimeMap
from core.warp.maps.likeness import (
    HOP_SECONDS,
    LEAST_SECONDS,
    SKIPPED,
    TONES,
    Music,
    best_path,
    features,
    hear,
    sounding_seconds,
    sounds,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo
    from core.audio.read import AudioReader

COARSE_SECONDS: Final = 0.1
MOST_COARSE: Final = 4000
"""So many steps at most are compared each with each."""
FINER: Final = 4
"""How much finer each level is than the one before it."""
NEAR_STEPS: Final = 4
"""How far from the path of a level the next one looks, in steps of that level."""
SURE: Final = 0.12
"""Of all that could be saved by likeness, recordings of other music save less than this."""
OTHER_KEY: Final = 0.3
"""And what saves less than this may be in another key."""
EVEN_SECONDS: Final = 0.8
"""The path is evened out over so much to either side."""
END_SECONDS: Final = 0.5
"""So much of the path at either end is not trusted,"""
BEYOND_SECONDS: Final = 3.0
"""but carried on from so much of what is."""
NEAR_SECONDS: Final = 0.015
"""Attacks so near to where the path has them are the same."""
LOOSE_SECONDS: Final = 0.003
"""Attacks need not lie nearer than this to the map: no anchor is set for less."""
VAGUE_SECONDS: Final = 0.012
"""What no attack says is known to so much."""
GAP_SECONDS: Final = 0.7
"""Where there is no attack for longer than this, the path is taken."""
FAR_SECONDS: Final = 0.04
"""Attacks may be so far from where the path has them as long as all of them are, the same way."""
LEAST_ATTACKS: Final = 8
"""Of fewer, nothing is said about how they are played."""
EXACT_SECONDS: Final = 0.003
"""Attacks that scatter by more than this around the line between their neighbours are evened out,"""
PLAYED_SECONDS: Final = 1.0
"""over so much to either side: nobody plays, and nothing hears, them better."""
ALIKE: Final = 0.6
"""What recordings save that differ in little but the tempo."""


class Followed(NamedTuple):
    """A map that makes a recording follow another one.

    `confidence` is 0 (other music) to 1 (the same sound); `attacks` are so many that both have, between
    `first_seconds` and `last_seconds` of the source: outside, nothing is stretched. `semitones` is by how many the
    other recording sounds higher.
    """

    time_map: TimeMap
    confidence: float
    attacks: int
    first_seconds: float
    last_seconds: float
    semitones: int = 0


def follow(reader: AudioReader, other: AudioReader) -> Operation[Followed]:
    """The map that brings what `reader` plays to where `other` plays it, counted in frames at the rate of `reader`.

    The first frame of the result is the first of `other`; either may begin or end earlier or later in the music.
    Another key is looked for where the same one does not fit. Raises UnbakeError where the two do not play the same
    music, for silence, for less than 2 s or more than 4 hours, and as the readers do.
    """
    one = yield from hear(reader)
    two = yield from hear(other)
    path, saved, semitones = yield from _coarse(one, two)
    if saved < SURE:
        raise UnbakeError(
            f"does not play the same music as {other.info.path}, as far as can be told",
            where=reader.info.path,
            remedy="follow another take of the same song, or make the map from beats",
        )
    if semitones:
        yield Note(f"{other.info.path} sounds {abs(semitones)} semitones {'higher' if semitones > 0 else 'lower'}")
        two = two.transposed(-semitones)
    steps = _steps(one, two)
    for level, (before, step) in enumerate(itertools.pairwise(steps), 1):
        yield Progress("following", level, len(steps))
        path = _refined(path, one, two, before, step)
    yield Progress("following", len(steps), len(steps))
    points = _points(one, two, (path.astype(np.float64) + 0.5) * np.float64(steps[-1]))
    return Followed(
        time_map=TimeMap(_anchors(points, one.info)),
        confidence=min(1.0, saved / ALIKE),
        attacks=int(np.count_nonzero(points[:, 2] != VAGUE_SECONDS)),
        first_seconds=float(points[0, 0]),
        last_seconds=float(points[-1, 0]),
        semitones=semitones,
    )


def _steps(one: Music, two: Music) -> list[float]:
    """Seconds of a step at each level, the coarsest first."""
    longest = max(one.info.seconds, two.info.seconds)
    steps = [max(COARSE_SECONDS, longest / MOST_COARSE)]
    while steps[-1] > 1.5 * HOP_SECONDS:
        steps.append(max(HOP_SECONDS, steps[-1] / FINER))
    return steps


def _coarse(one: Music, two: Music) -> Operation[tuple[NDArray[np.int64], float, int]]:
    """The path of the coarsest level, how much of what could be saved it saves, and semitones that `two` is higher."""
    step = _steps(one, two)[0]
    mine = features(one, step)
    steps = min(sounding_seconds(one), sounding_seconds(two)) / step
    yield Progress("comparing", 0, TONES)
    path, saved = _compared(mine, features(two, step), steps)
    found = [(saved, 0, path)]
    for semitones in (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6) if saved < OTHER_KEY else ():
        yield Progress("comparing", len(found), TONES)
        path, saved = _compared(mine, features(two.transposed(-semitones), step), steps)
        found.append((saved, semitones, path))
    yield Progress("comparing", TONES, TONES)
    saved, semitones, path = max(found, key=operator.itemgetter(0))
    return path, saved, semitones


def _compared(mine: NDArray[np.float32], theirs: NDArray[np.float32], steps: float) -> tuple[NDArray[np.int64], float]:
    """The cheapest path of all, and what it saves of what `steps` that are all alike would."""
    low = np.zeros(len(mine), np.int64)
    path, cost = best_path(mine, theirs, low, low + len(theirs))
    return path, (SKIPPED * (len(mine) + len(theirs)) - cost) / (2.0 * SKIPPED * steps)


def _refined(path: NDArray[np.int64], one: Music, two: Music, before: float, step: float) -> NDArray[np.int64]:
    """The path in steps of `step` seconds, near to that in steps of `before` seconds."""
    mine, theirs = features(one, step), features(two, step)
    places = (path + 0.5) * (before / step) - 0.5
    slack = NEAR_STEPS * before / step
    rows = np.arange(len(mine))
    last = len(places) - 1 - np.unique(places[::-1, 0], return_index=True)[1]
    row, first = np.unique(places[:, 0], return_index=True)
    low = np.floor(np.interp(rows, row, places[first, 1]) - slack)
    high = np.ceil(np.interp(rows, row, places[last, 1]) + slack) + 1
    low = np.clip(low, 0, len(theirs) - 1).astype(np.int64)
    return best_path(mine, theirs, low, np.clip(high, low + 1, len(theirs)).astype(np.int64))[0]


def _points(one: Music, two: Music, path: NDArray[np.float64]) -> NDArray[np.float64]:
    """What lies on what: seconds of the one and of the other, and to how many it is known, float64 [points, 3]."""
    heard = path[sounds(one, path[:, 0]) & sounds(two, path[:, 1])]
    if len(heard) < 2 or heard[-1, 0] - heard[0, 0] < LEAST_SECONDS:
        raise UnbakeError("too little of it is alike to follow", where=one.info.path)
    first, last = heard[0, 0], heard[-1, 0]
    # its ends are free, and bend to cover a little more
    inner = heard[(heard[:, 0] >= first + END_SECONDS) & (heard[:, 0] <= last - END_SECONDS)]
    mine, rows = np.unique(inner[:, 0], return_inverse=True)
    theirs = np.bincount(rows, inner[:, 1]) / np.bincount(rows)
    attacks = one.heard.onsets / one.heard.sample_rate
    attacks = attacks[(attacks >= first - END_SECONDS) & (attacks <= last + END_SECONDS)]
    expected = _line(mine, theirs, attacks, EVEN_SECONDS)
    found, late = _attacks(attacks, expected, two.heard.onsets / two.heard.sample_rate)
    scatter = _scatter(found)
    share = scatter**2 / (scatter**2 + EXACT_SECONDS**2)
    found[:, 1] += share * (_line(found[:, 0], found[:, 1], found[:, 0], PLAYED_SECONDS) - found[:, 1])
    known = np.full(len(found), max(LOOSE_SECONDS, scatter))
    between = _unattacked(np.concatenate([[first], found[:, 0], [last]]))
    between = between[sounds(one, between)]
    # between attacks the path is off by what it is off at them
    off = np.interp(between, found[:, 0], late) if len(found) else 0.0
    vague = np.stack([between, _line(mine, theirs, between, EVEN_SECONDS) + off], axis=1)
    # a line that is carried on needs to be longer than one between what is known
    beyond = (between < mine[0]) | (between > mine[-1])
    vague[beyond, 1] = _line(mine, theirs, between[beyond], BEYOND_SECONDS)
    points = np.concatenate(
        [np.column_stack([found, known]), np.column_stack([vague, np.full(len(vague), VAGUE_SECONDS)])]
    )
    points = points[np.argsort(points[:, 0], kind="stable")]
    return points[_rising(points)]


def _attacks(
    attacks: NDArray[np.float64], expected: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Attacks that both have, float64 [attacks, 2], and by how much later they are than was expected."""
    here, there = _paired(expected, others, FAR_SECONDS)
    # all of them are off by something, where tones of the one grow faster than those of the other
    off = float(np.median(others[there] - expected[here])) if len(here) >= LEAST_ATTACKS else 0.0
    here, there = _paired(expected + off, others, NEAR_SECONDS)
    found = np.stack([attacks[here], others[there]], axis=1)
    rising = _rising(found)
    return found[rising], (others[there] - expected[here])[rising]


def _line(x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """y at places, on lines through what is within `reach` of each, what is nearer counting for more."""
    if not len(at):
        return np.zeros(0)
    starts, ends = np.searchsorted(x, at - reach), np.searchsorted(x, at + reach)
    found = np.empty(len(at))
    for number, (start, end, place) in enumerate(zip(starts, ends, at, strict=True)):
        if end - start < 3:
            start, end = max(0, min(start, len(x) - 3)), min(len(x), max(end, start + 3))
        off = x[start:end] - place
        weights = np.maximum(1e-3, 1.0 - np.abs(off / reach) ** 3) ** 3
        mass = weights.sum()
        mean_x, mean_y = weights @ off / mass, weights @ y[start:end] / mass
        spread = weights @ np.square(off - mean_x)
        slope = weights @ ((off - mean_x) * (y[start:end] - mean_y)) / spread if spread > 0.0 else 1.0
        found[number] = mean_y - slope * mean_x
    return found


def _paired(
    expected: NDArray[np.float64], others: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of those that are each other's nearest, within `reach`."""
    if not len(expected) or not len(others):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.argsort(expected, kind="stable")
    nearest = _nearest(others, expected)
    back = order[_nearest(expected[order], others)]
    mutual = back[nearest] == np.arange(len(expected))
    here = np.flatnonzero(mutual & (np.abs(others[nearest] - expected) <= reach))
    return here, nearest[here]


def _nearest(rising: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.int64]:
    after = np.minimum(np.searchsorted(rising, to), len(rising) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(rising[before] - to) < np.abs(rising[after] - to), before, after)


def _rising(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Those that come after all before them, in both recordings."""
    if not len(points):
        return np.zeros(0, bool)
    highest = np.maximum.accumulate(points[:, 1])
    later = np.concatenate([[True], points[1:, 1] > highest[:-1]])
    return later & np.concatenate([[True], np.diff(points[:, 0]) > 0.0])


def _scatter(found: NDArray[np.float64]) -> float:
    """How far attacks are from the line between their neighbours, in seconds."""
    if len(found) < LEAST_ATTACKS:
        return 0.0
    (a, b), (x, y), (c, d) = found[:-2].T, found[1:-1].T, found[2:].T
    share = (x - a) / (c - a)
    off = y - b - share * (d - b)
    # of three points that scatter alike
    off /= np.sqrt(1.0 + np.square(share) + np.square(1.0 - share))
    return 1.4826 * float(np.median(np.abs(off)))


def _unattacked(attacks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places where there is no attack for longer than `GAP_SECONDS`, half as far apart."""
    found: list[NDArray[np.float64]] = []
    for start, end in itertools.pairwise(attacks):
        parts = int((end - start) / GAP_SECONDS * 2.0)
        if end - start > GAP_SECONDS:
            found.append(start + (end - start) * (np.arange(parts) + 0.5) / parts)
    return np.concatenate([np.zeros(0), *found])


def _anchors(points: NDArray[np.float64], info: AudioInfo) -> tuple[Anchor, ...]:
    """As few of the points as lead past all others as near as they are known, on whole frames."""
    kept = np.flatnonzero(_needed(points))
    found: list[Anchor] = []
    for place in kept:
        anchor = (
            min(max(0, round(points[place, 0] * info.sample_rate)), info.frames),
            round(points[place, 1] * info.sample_rate),
        )
        if anchor[1] < 0:
            continue
        if found:
            source, target = anchor[0] - found[-1][0], anchor[1] - found[-1][1]
            if not (0 < source <= STEEPEST * target and 0 < target <= STEEPEST * source):
                continue
        found.append(anchor)
    if len(found) < 2:
        raise UnbakeError("too little of it is alike to follow", where=info.path)
    return tuple(found)


def _needed(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """D. Douglas & T. Peucker, "Algorithms for the reduction of the number of points required to represent a digitized
    line or its caricature", Cartographica 10, 1973; vertically, each point with its own tolerance.
    """
    needed = np.zeros(len(points), bool)
    needed[[0, -1]] = True
    left = [(0, len(points) - 1)]
    while left:
        start, end = left.pop()
        if end - start < 2:
            continue
        x, y, known = points[start + 1 : end].T
        slope = (points[end, 1] - points[start, 1]) / (points[end, 0] - points[start, 0])
        off = np.abs(y - points[start, 1] - slope * (x - points[start, 0])) / known
        worst = int(np.argmax(off))
        if off[worst] > 1.0:
            middle = start + 1 + worst
            needed[middle] = True
            left += [(start, middle), (middle, end)]
    return needed
