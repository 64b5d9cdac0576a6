"""How an engine runs through the source along a time map: where it copies, where it stretches, where it holds speed 1.

A stretch that went straight through an attack would smear it. So the sound is held at its own speed around every anchor
and attack, and what lies between makes up for it: attacks stay sharp, and exactly where the map says.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.session.timemap import TimeMap

Attacks = tuple["NDArray[np.int64]", "NDArray[np.floating]"]
"""Source frames where sounds begin, rising, and how strongly."""
HELD_SHARE: Final = 0.3
"""How much of the way to the next attack is held at most, on either side: the rest must make up for it."""
NEAR_MS: Final = 20.0
"""Attacks nearer to an anchor, or to a stronger one, are held together with it."""


class Run(NamedTuple):
    """Frames `start` to `end` of the target that are the source's own, moved: target frame t is source t + `shift`.

    `before` and `after` are the stretched frames on either side, up to the next run or the ends of the file.
    """

    start: int
    end: int
    shift: int
    before: int = 0
    after: int = 0

    def cut(self, low: int, high: int) -> Run:
        """What of it lies within target frames `low` to `high`."""
        return self._replace(start=max(self.start, low), end=min(self.end, high))


class Held(NamedTuple):
    """Target frames `start` to `end` at speed 1 around what lands on `target`, source `source`.

    `whole`: everything has to be in place there, since what follows is, or what came before was, not stretched at all.
    """

    start: int
    end: int
    source: int
    target: int
    whole: bool


class Course:
    """A time map with its holds, asked by target frame.

    `hold_frames` are held on either side of anchors and `attacks` (source frames, rising, with their strengths), less
    where they are close together. `runs` are the stretches of target that are copied; they and what is between them
    cover the target from 0 to `frames`.
    """

    def __init__(
        self,
        time_map: TimeMap,
        frames: int,
        sample_rate: int,
        attacks: NDArray[np.int64],
        strengths: NDArray[np.floating],
        hold_frames: int,
    ) -> None:
        self.frames = time_map.length(frames)
        vertices = np.asarray(time_map.vertices(frames), np.float64)
        self._drawn = vertices[:, 0], vertices[:, 1]
        self.runs = _runs(vertices, self.frames)
        self._run_starts, self._run_ends = [run.start for run in self.runs], [run.end for run in self.runs]
        near = round(NEAR_MS * sample_rate / 1000.0)
        anchors = np.asarray(time_map.anchors, np.int64).reshape(-1, 2)
        centres = self._centres(anchors, attacks, strengths, near)
        self.held = self._hold(centres, hold_frames)
        self._sources, self._targets = self._held_vertices(vertices)
        self._held_starts, self._held_ends = [each.start for each in self.held], [each.end for each in self.held]

    def source(self, targets: NDArray[np.int64]) -> NDArray[np.int64]:
        """The source frame that is heard at each target frame, to the nearest whole one; at speed 1 outside."""
        at = _along(targets, self._targets, self._sources)
        return np.rint(at).astype(np.int64)

    def runs_within(self, low: int, high: int) -> list[Run]:
        """The runs that hold any target frame from `low` up to `high`."""
        first = bisect_right(self._run_ends, low)
        return self.runs[first : bisect_left(self._run_starts, high)]

    def stretched(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether anything from a target frame up to another is not copied, for many of them."""
        low, high = np.clip(low, 0, self.frames), np.clip(high, 0, self.frames)
        return (high > low) & ~self._within_runs(low, high)

    def held_from(self, target: int) -> Held | None:
        """The hold that a target frame lies in, or else the next one."""
        place = bisect_left(self._held_ends, target)
        return self.held[place] if place < len(self.held) else None

    def held_within(self, low: int, high: int) -> list[Held]:
        """Holds that reach into target frames `low` to `high`."""
        return self.held[bisect_left(self._held_ends, low) : bisect_right(self._held_starts, high)]

    def _within_runs(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether one run holds all from a target frame up to another, for many of them."""
        if not self.runs:
            return np.zeros(len(low), bool)
        place = np.searchsorted(self._run_starts, low, side="right") - 1
        return (place >= 0) & (high <= np.asarray(self._run_ends)[np.maximum(place, 0)])

    def _centres(
        self, anchors: NDArray[np.int64], attacks: NDArray[np.int64], strengths: NDArray[np.floating], near: int
    ) -> NDArray[np.int64]:
        """What is held, as rows of source and target frame: edges of runs, anchors, and attacks that are stretched."""
        edges = np.asarray(
            [(at + run.shift, at) for run in self.runs for at in (run.start, run.end)], np.int64
        ).reshape(-1, 2)
        fixed = np.unique(np.concatenate([edges, anchors]), axis=0)
        targets = np.rint(np.interp(attacks, *self._drawn)).astype(np.int64)
        moved = ~self._within_runs(targets, targets + 1)
        taken = _apart(fixed[:, 0], attacks[moved], strengths[moved], near)
        chosen = np.stack([attacks[moved][taken], targets[moved][taken]], axis=1)
        joined = np.concatenate([fixed, chosen])
        joined = joined[np.argsort(joined[:, 0], kind="stable")]
        rising = np.concatenate([[True], (np.diff(joined[:, 0]) > 0) & (np.diff(joined[:, 1]) > 0)])
        return joined[rising] if len(joined) else joined

    def _hold(self, centres: NDArray[np.int64], hold_frames: int) -> list[Held]:
        if not len(centres):
            return []
        gaps = np.minimum(np.diff(centres[:, 0]), np.diff(centres[:, 1]))
        sides = np.minimum(hold_frames, HELD_SHARE * gaps).astype(np.int64)
        left = np.concatenate([[hold_frames], sides])
        right = np.concatenate([sides, [hold_frames]])
        edges = {at for run in self.runs for at in (run.start, run.end)}
        return [
            Held(int(target - before), int(target + after), int(source), int(target), int(target) in edges)
            for (source, target), before, after in zip(centres, left, right, strict=True)
        ]

    def _held_vertices(self, vertices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The map with its holds: what they take or give is spread evenly over the way to the next one."""
        if not self.held:
            return vertices[:, 0], vertices[:, 1]
        held = np.asarray([(each.source, each.target, each.start, each.end) for each in self.held], np.float64)
        source, target, start, end = held.T
        shift = source - target
        knots_source = np.stack([start + shift, end + shift], axis=1).ravel()
        knots_target = np.stack([start, end], axis=1).ravel()
        off = knots_target - _along(knots_source, *self._drawn)
        inner = vertices[np.searchsorted(knots_source, vertices[:, 0]) % 2 == 0]
        inner = inner[(inner[:, 0] > knots_source[0]) & (inner[:, 0] < knots_source[-1])]
        bent = inner[:, 1] + np.interp(inner[:, 0], knots_source, off)
        sources = np.concatenate([knots_source, inner[:, 0]])
        targets = np.concatenate([knots_target, bent])
        rows = np.unique(np.stack([sources, targets], axis=1), axis=0)
        return rows[:, 0], rows[:, 1]


def _along(at: NDArray[Any], xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map from xs to ys at many places; at speed 1 outside of it."""
    before, after = ys[0] + (at - xs[0]), ys[-1] + (at - xs[-1])
    return np.where(at < xs[0], before, np.where(at > xs[-1], after, np.interp(at, xs, ys)))


def _runs(vertices: NDArray[np.float64], frames: int) -> list[Run]:
    """Pieces of the map that move the sound by whole frames, joined where they move it alike, within 0 to `frames`."""
    found: list[Run] = []
    for (s0, t0), (s1, t1) in itertools.pairwise(vertices):
        if s1 - s0 != t1 - t0 or not (float(s0).is_integer() and float(t0).is_integer()):
            continue
        start, end, shift = max(0, int(t0)), min(frames, int(t1)), int(s0 - t0)
        if found and found[-1].end == start and found[-1].shift == shift:
            start = found.pop().start
        if end > start:
            found.append(Run(start, end, shift))
    first = int(vertices[0, 1])
    if first > 0:  # silence comes first
        shift = -first
        if found and found[0].start == first and found[0].shift == shift:
            found[0] = Run(0, found[0].end, shift)
        else:
            found.insert(0, Run(0, first, shift))
    ends = [0, *(run.end for run in found)]
    starts = [*(run.start for run in found), frames]
    return [
        run._replace(before=run.start - ends[place], after=starts[place + 1] - run.end)
        for place, run in enumerate(found)
    ]


def _apart(
    fixed: NDArray[np.int64], attacks: NDArray[np.int64], strengths: NDArray[np.floating], near: int
) -> NDArray[np.int64]:
    """Places of the attacks that are further than `near` from what is fixed and from stronger ones, rising."""
    clear = np.ones(len(attacks), bool)
    if len(fixed) and len(attacks):
        place = np.searchsorted(fixed, attacks)
        below = attacks - fixed[np.maximum(place - 1, 0)]
        above = fixed[np.minimum(place, len(fixed) - 1)] - attacks
        clear = (np.abs(below) > near) & (np.abs(above) > near)
    taken = np.zeros(len(attacks), bool)
    for at in np.argsort(-np.asarray(strengths), kind="stable"):
        if not clear[at]:
            continue
        taken[at] = True
        low, high = np.searchsorted(attacks, (attacks[at] - near, attacks[at] + near + 1))
        clear[low:high] = False
    return np.flatnonzero(taken)


def no_attacks() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Attacks of a sound that has none."""
    return np.zeros(0, np.int64), np.zeros(0)
