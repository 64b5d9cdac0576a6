"""Drums cut into slices at their attacks, and every slice moved whole to where a time map has it.

Attacks stay as they were recorded, sample for sample. What is lost or added lies in the tails: where the next slice
comes sooner the tail ends sooner, where it comes later the tail is made longer, or fades out. Nothing but the map and
the given onsets decides anything, so the engine is linear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from core.warp.engines.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.session.timemap import TimeMap
    from core.warp.engines.sound import Sound

Tail = Literal["crossfade", "gate"]

FADE_MS: Final = 3.0
"""How long one slice takes to fade into the next, just before that begins."""
GATE_MS: Final = 20.0
"""How long a tail takes to fade out where nothing follows it at once."""
LONGEST_MS: Final = 250.0
"""Between onsets that are further apart than this, slices begin at even distances."""
SHORTEST_MS: Final = 5.0
"""No slice of an onset is shorter."""
SAME_MS: Final = 10.0
"""An onset this near to an anchor is what the anchor is about: both are moved as the anchor is."""
JUMP_MS: Final = 30.0
"""A tail is made longer by going back this far at most, as often as it takes."""
TAIL_FADE_MS: Final = 15.0
"""How long the pieces of a tail that is made longer overlap."""
CHUNK_FRAMES: Final = 65_536


class Slices:
    """Sounds warped by moving slices of them: a `Warper`.

    The sounds are of `frames` frames at `sample_rate` Hz. Slices begin at `onsets` (source frames, int64 [n], rising),
    at the map's anchors, and, where that leaves more than `LONGEST_MS`, evenly in between: without any onset, on a grid
    between the anchors. Each slice begins on its mapped frame, rounded; slices that are moved equally far stay one
    piece. With `tail` "crossfade" the second half of a slice that is too short is repeated in overlapping pieces, with
    "gate" it fades out over `GATE_MS`. Raises UnbakeError when the map is not for `frames` frames. Reading raises what
    reading the sounds does.
    """

    def __init__(
        self,
        sounds: Sequence[Sound],
        time_map: TimeMap,
        frames: int,
        sample_rate: int,
        onsets: NDArray[np.int64],
        tail: Tail = "crossfade",
    ) -> None:
        time_map.check_fits(frames)
        self.frames = time_map.length(frames)
        self._window = Window(sounds, frames)
        self._grains = _grains(_slices(time_map, frames, sample_rate, onsets), sample_rate, tail)
        self._frame = 0
        self._place = 0

    def read(self, frames: int) -> list[Block]:
        """The next `frames` frames of every sound, float64 [its channels, frames]; silent after the end."""
        block = np.zeros((self._window.channels, frames))
        stop = min(frames, self.frames - self._frame)
        for start in range(0, stop, CHUNK_FRAMES):
            self._fill(block[:, start : min(start + CHUNK_FRAMES, stop)])
        return self._window.split(block)

    def _fill(self, block: Block) -> None:
        """Fills silence with the next frames, all of them before the end."""
        grains = self._grains
        start, stop = self._frame, self._frame + block.shape[1]
        self._frame = stop
        while self._place < len(grains.stops) and grains.stops[self._place] <= start:
            self._place += 1
        for place in range(self._place, len(grains.starts)):
            if grains.starts[place] >= stop:
                break
            if place == self._place:
                here = max(start, int(grains.starts[place])) + int(grains.shifts[place])
                self._window.forget(min(here, int(grains.needed[place])))
            self._add(place, block, start)

    def _add(self, place: int, block: Block, start: int) -> None:
        """Adds a grain to the block that begins at target frame `start`."""
        grains = self._grains
        first, last, shift = int(grains.starts[place]), int(grains.stops[place]), int(grains.shifts[place])
        rise, fall = int(grains.rises[place]), int(grains.falls[place])
        for low, high in ((first, first + rise), (first + rise, last - fall), (last - fall, last)):
            low_here, high_here = max(low, start), min(high, start + block.shape[1])
            if low_here >= high_here:
                continue
            piece = self._window.piece(low_here + shift, high_here + shift)
            part = block[:, low_here - start : high_here - start]
            along = (np.arange(low_here, high_here) - low + 0.5) / (high - low)
            if low == first and rise:
                part += np.sin(0.5 * np.pi * along) * piece
            elif high == last and fall:
                part += np.cos(0.5 * np.pi * along) * piece
            else:
                part[:] = piece


class _Grains(NamedTuple):
    """Pieces of the source, each moved as a whole, that add up to the target, in order; int64, each [n].

    Each sounds on target frames `starts` to `stops`, from the source `shifts` later, and fades in over its first
    `rises` frames and out over its last `falls`. `needed`: before which source frame those after it need nothing.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    shifts: NDArray[np.int64]
    rises: NDArray[np.int64]
    falls: NDArray[np.int64]
    needed: NDArray[np.int64]


def _grains(cuts: NDArray[np.int64], sample_rate: int, tail: Tail) -> _Grains:
    """What is played of slices, the source and target frames of whose cuts are `cuts`, [n + 1, 2]."""
    lengths, slots = np.diff(cuts, axis=0).T
    starts = cuts[:-1, 1]
    shifts = cuts[:-1, 0] - starts
    fades = np.minimum(_in_frames(FADE_MS, sample_rate), np.minimum(lengths, slots) // 2)
    fades = np.concatenate([[0], fades])
    stops, rises, falls = cuts[1:, 1], fades[:-1], fades[1:].copy()
    falls[-1] = 0
    longer = slots > lengths
    if tail == "gate":
        stops = np.where(longer, starts + lengths, stops)
        falls = np.where(longer, np.minimum(_in_frames(GATE_MS, sample_rate), lengths // 2), falls)
    else:
        whole = lengths // 2
        added = np.maximum(slots - lengths, 0)
        count = -(-added // np.minimum(_in_frames(JUMP_MS, sample_rate), lengths - whole))
        slice_of = np.repeat(np.arange(len(count)), count + 1)
        jump = np.arange(len(slice_of)) - np.repeat(np.cumsum(count + 1) - count - 1, count + 1)
        later = jump > 0
        every = (slots - whole) / (count + 1)
        starts = starts[slice_of] + np.where(
            later, np.rint(whole[slice_of] + jump * every[slice_of]).astype(np.int64), 0
        )
        back = np.rint(jump * added[slice_of] / np.maximum(count[slice_of], 1)).astype(np.int64)
        shifts = shifts[slice_of] - back
        overlap = np.minimum(_in_frames(TAIL_FADE_MS, sample_rate), every.astype(np.int64) // 2)[slice_of]
        rises = np.where(later, overlap, rises[slice_of])
        stops = np.append(starts[1:], cuts[-1, 1])
        falls = np.append(rises[1:], 0)
    kept = np.flatnonzero(np.concatenate([[True], np.diff(shifts) != 0]))
    last = np.append(kept[1:], len(shifts)) - 1
    starts, shifts, rises = starts[kept] - rises[kept], shifts[kept], rises[kept]
    later = np.append((starts + shifts)[1:], np.iinfo(np.int64).max)
    needed = np.minimum.accumulate(later[::-1])[::-1]
    return _Grains(starts, stops[last], shifts, rises, falls[last], needed)


def _slices(time_map: TimeMap, frames: int, sample_rate: int, onsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where slices begin, source and target frame, and at last where the file ends, int64 [n + 1, 2]."""
    sources, targets = np.array(time_map.vertices(frames)).T

    def cut(places: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.stack([places, np.rint(np.interp(places, sources, targets)).astype(np.int64)], axis=1)

    anchors = np.array(time_map.anchors, np.int64).reshape(-1, 2)
    fixed = np.unique(np.concatenate([cut(np.array([0, frames])), anchors]), axis=0)
    onsets = np.unique(onsets[(onsets > 0) & (onsets < frames)])
    inner = anchors[anchors[:, 0] < frames, 0]
    fixed, free = _joined(fixed, onsets, inner, _in_frames(SAME_MS, sample_rate))
    cuts = _apart(fixed, cut(free), _in_frames(SHORTEST_MS, sample_rate))
    gaps = np.diff(cuts[:, 0])
    parts = -(-gaps // _in_frames(LONGEST_MS, sample_rate))
    gap_of = np.repeat(np.arange(len(gaps)), parts)
    part = np.arange(len(gap_of)) - np.repeat(np.cumsum(parts) - parts, parts)
    between = cut((cuts[gap_of, 0] + gaps[gap_of] * part // parts[gap_of])[part > 0])
    found = np.concatenate([cuts, between])
    return found[np.argsort(found[:, 0])]


def _joined(
    fixed: NDArray[np.int64], onsets: NDArray[np.int64], anchors: NDArray[np.int64], same: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cuts that must be, those at anchors put before onsets within `same` frames, and the onsets left over.

    What begins before its anchor is moved as far as the anchor is.
    """
    if not len(anchors) or not len(onsets):
        return fixed, onsets
    after = np.clip(np.searchsorted(anchors, onsets), 0, len(anchors) - 1)
    before = np.maximum(after - 1, 0)
    nearest = anchors[np.where(onsets - anchors[before] < anchors[after] - onsets, before, after)]
    joined = np.abs(onsets - nearest) <= same
    earliest = fixed[:, 0].copy()
    np.minimum.at(earliest, np.searchsorted(fixed[:, 0], nearest[joined]), onsets[joined])
    moved = fixed - (fixed[:, :1] - earliest[:, None])
    fits = np.concatenate([[False], (moved[1:] > fixed[:-1]).all(axis=1)])
    return np.where(fits[:, None], moved, fixed), onsets[~joined]


def _apart(fixed: NDArray[np.int64], free: NDArray[np.int64], shortest: int) -> NDArray[np.int64]:
    """All fixed cuts and those free ones that are far enough from them and from each other, in order."""
    after = np.searchsorted(fixed[:, 0], free[:, 0])
    far = ((free - fixed[after - 1] >= shortest) & (fixed[after] - free >= shortest)).all(axis=1)
    kept: list[NDArray[np.int64]] = []
    last = np.full(2, -shortest)
    for here in free[far]:
        if (here - last >= shortest).all():
            kept.append(here)
            last = here
    found = np.concatenate([fixed, np.array(kept, np.int64).reshape(-1, 2)])
    return found[np.argsort(found[:, 0])]


def _in_frames(milliseconds: float, sample_rate: int) -> int:
    return max(1, round(milliseconds * sample_rate / 1000.0))
