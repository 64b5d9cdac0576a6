"""Sounds played faster and slower along a time map, as a tape or a record would be: the pitch goes with the speed.

Every frame is interpolated at the place of the source that the map names, with a windowed sinc whose cut-off falls as
the speed rises (J. O. Smith & P. Gossett, "A flexible sampling-rate conversion method", ICASSP 1984). Nothing but the
map decides anything, so the engine is linear.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from core.session.timemap import STEEPEST
from core.warp.engines.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.session.timemap import TimeMap
    from core.warp.engines.sound import Sound

CROSSINGS: Final = 80
"""Zero crossings of the sinc on either side."""
STOP_BAND_DB: Final = 110.0
STEPS: Final = 128
"""Pieces that the sinc is tabled with from one crossing to the next, each a cubic."""
_TRANSITION: Final = (STOP_BAND_DB - 7.95) / (28.72 * CROSSINGS)
"""Kaiser's width of the transition, to either side of the cut-off, as a part of the cut-off."""
CUT_OFF: Final = 1.0 / (1.0 + _TRANSITION)
"""Where half of the amplitude is left at no more than the source's speed, as a part of half the sample rate."""
GLIDE_MS: Final = 5.0
"""How long the cut-off takes from that of one speed to that of another."""
CHUNK_FRAMES: Final = 8192


class Repitch:
    """Sounds warped by playing them at the speed of the map: a `Warper`.

    The sounds are of `frames` frames at `sample_rate` Hz. What runs at speed 1 and is moved by whole frames comes out
    sample for sample. Elsewhere it is flat (0.001 dB) to 0.91 of half the sample rate, at speeds above 1 of half the
    sample rate over the speed; what would alias is 110 dB down. Raises UnbakeError when the map is not for `frames`
    frames. Reading raises what reading the sounds does.
    """

    def __init__(self, sounds: Sequence[Sound], time_map: TimeMap, frames: int, sample_rate: int) -> None:
        time_map.check_fits(frames)
        self.frames = time_map.length(frames)
        self._window = Window(sounds, frames)
        self._pieces = _Pieces(time_map, frames, sample_rate)
        # of the sinc at its longest, and of the sound beside that goes on at its own speed
        self._reach = int(CROSSINGS / self._pieces.cut_offs.min() + STEEPEST * GLIDE_MS * sample_rate / 1000.0) + 2
        self._frame = 0

    def read(self, frames: int) -> list[Block]:
        """The next `frames` frames of every sound, float64 [its channels, frames]; silent after the end."""
        block = np.zeros((self._window.channels, frames))
        stop = min(frames, self.frames - self._frame)
        for start in range(0, stop, CHUNK_FRAMES):
            part = block[:, start : min(start + CHUNK_FRAMES, stop)]
            part[:] = self._next(part.shape[1])
        return self._window.split(block)

    def _next(self, frames: int) -> Block:
        """The next `frames` frames, all of them before the end, float64 [all channels, frames]."""
        made = np.zeros((self._window.channels, frames))
        targets = np.arange(self._frame, self._frame + frames)
        self._frame += frames
        sounding = targets >= self._pieces.targets[0]
        if not sounding.any():
            return made
        places = self._pieces.at(targets[sounding])
        first, last = int(places.whole[0]) - self._reach, int(places.whole[-1]) + self._reach
        heard = np.ascontiguousarray(self._window.piece(first, last + 1))
        self._window.forget(first)
        found = _interpolated(heard, places.whole - first, places.parts, places.cut_offs)
        if (near := places.remains > 0.0).any():
            copied, cut_offs = places.copied[near] - first, places.cut_offs[near]
            removed = heard[:, copied] - _interpolated(heard, copied, np.zeros(len(copied)), cut_offs)
            found[:, near] += places.remains[near] * removed
        made[:, sounding] = found
        return made


class _Places(NamedTuple):
    """For frames of the target, each [n]: the frame of the source, whole and its fraction, and the cut-off there.

    `remains`: how much is left of what the cut-off removes, of the sound beside, which is copied from frame `copied`.
    """

    whole: NDArray[np.int64]
    parts: NDArray[np.float64]
    cut_offs: NDArray[np.float64]
    remains: NDArray[np.float64]
    copied: NDArray[np.int64]


class _Pieces:
    """The straight pieces of a map: where each begins in target and source, its speed and its cut-off.

    Where one meets another the cut-off glides on the side that could have the higher one, so that nothing aliases.
    Where one meets sound that is copied, what the cut-off removes ends there: it goes on at its own speed and fades.
    """

    def __init__(self, time_map: TimeMap, frames: int, sample_rate: int) -> None:
        vertices = np.array(time_map.vertices(frames))
        self.targets = vertices[:-1, 1]
        self._ends = vertices[1:, 1]
        self._sources = vertices[:-1, 0]
        steps = np.diff(vertices, axis=0)
        self._speeds = steps[:, 0] / steps[:, 1]
        shifts = self._sources - self.targets
        self._shifts = np.rint(shifts).astype(np.int64)
        copied = (steps[:, 0] == steps[:, 1]) & (shifts == self._shifts)
        self._copied = np.concatenate([[False], copied, [False]])
        self.cut_offs = np.where(copied, 1.0, CUT_OFF / np.maximum(self._speeds, 1.0))
        edges = np.minimum(self.cut_offs[:-1], self.cut_offs[1:])
        edges[copied[:-1] | copied[1:]] = 1.0
        self._edges = np.concatenate([self.cut_offs[:1], edges, self.cut_offs[-1:]])
        self._glides = np.minimum(GLIDE_MS * sample_rate / 1000.0, steps[:, 1] / 2.0)

    def at(self, targets: NDArray[np.int64]) -> _Places:
        """What sounds on frames of the target, none of them before the first piece."""
        here = np.searchsorted(self.targets, targets, side="right") - 1
        here -= (targets == self.targets[here]) & self._copied[here]  # the last frame of a copy is one, too
        passed = targets - self.targets[here]
        sources = self._sources[here] + passed * self._speeds[here]
        copied = self._copied[here + 1]
        sources = np.where(copied, targets + self._shifts[here], sources)
        whole = np.floor(sources)
        falls = _falling(passed / self._glides[here]), _falling((self._ends[here] - targets) / self._glides[here])
        own = self.cut_offs[here]
        cut_offs = own.copy()
        remains = np.zeros(len(targets))
        beside = np.zeros(len(targets), np.int64)
        for side, fall in zip((-1, 1), falls, strict=True):
            meets = self._copied[here + 1 + side] & ~copied & (fall > 0.0)
            remains[meets] = fall[meets]
            beside[meets] = here[meets] + side
            edge = self._edges[here + (side > 0)]
            cut_offs += np.where(edge < own, (edge - own) * fall, 0.0)
        return _Places(whole.astype(np.int64), sources - whole, cut_offs, remains, targets + self._shifts[beside])


def _falling(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1 at 0 to 0 at 1, and 0 from there on, smoothly."""
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(along, 0.0, 1.0)), np.float64)


def _interpolated(
    heard: Block, places: NDArray[np.int64], parts: NDArray[np.float64], cut_offs: NDArray[np.float64]
) -> Block:
    """As `interpolate` has it."""
    found = np.empty((len(heard), len(places)))
    _compiled()(heard, places, parts, cut_offs, _table(), found)
    return found


@functools.cache
def _table() -> NDArray[np.float64]:
    """The windowed sinc from 0 to its end, float64 [CROSSINGS * STEPS + 1, 4]: cubics a + bx + cx^2 + dx^3 a step.

    Each goes through four points of the curve. The last row is the silence after the end.
    """
    from scipy.signal import windows

    count = CROSSINGS * STEPS
    beta = 0.1102 * (STOP_BAND_DB - 8.7)
    along = np.arange(3 * count + 1) / (3 * STEPS)
    curve = np.sinc(along) * windows.kaiser(6 * count + 1, beta)[3 * count :]
    points = np.stack([curve[place : place + 3 * count : 3] for place in range(4)])
    through = np.vander(np.arange(4) / 3.0, increasing=True)
    cubics = np.linalg.solve(through, points).T
    return np.array(np.concatenate([cubics, np.zeros((1, 4))]), np.float64, order="C")


def interpolate(
    heard: NDArray[np.float64],
    places: NDArray[np.int64],
    parts: NDArray[np.float64],
    cut_offs: NDArray[np.float64],
    table: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Fills `out` [channels, n] with `heard` [channels, frames] at frames `places` + `parts` [n], where 0 <= part < 1.

    `cut_offs` [n] are parts of half the sample rate; at 1 and a part of 0 the sample itself is taken. `table` as
    `_table` has it. `heard` reaches the length of the sinc, in frames, beyond all places.
    """
    channels = heard.shape[0]
    last = table.shape[0] - 1
    weights = np.empty(heard.shape[1])
    for frame in range(len(places)):
        place, part, cut_off = places[frame], parts[frame], cut_offs[frame]
        if part == 0.0 and cut_off == 1.0:
            for channel in range(channels):
                out[channel, frame] = heard[channel, place]
            continue
        step = cut_off * STEPS
        reach = int(CROSSINGS / cut_off) + 1
        first = place - reach
        taps = 2 * reach + 1
        for tap in range(taps):
            along = abs(tap - reach - part) * step
            row = min(int(along), last)
            x = along - row
            weights[tap] = cut_off * (table[row, 0] + x * (table[row, 1] + x * (table[row, 2] + x * table[row, 3])))
        for channel in range(channels):
            around = heard[channel, first : first + taps]
            total = 0.0
            for tap in range(taps):
                total += weights[tap] * around[tap]
            out[channel, frame] = total


@functools.cache
def _compiled() -> Callable[..., Any]:
    """`interpolate` as machine code, kept on disk. The order of its sums is the compiler's, for all sounds alike."""
    import numba  # half a second: only for those who change the speed

    block, line = "float64[:,::1]", "float64[::1]"
    signature = f"void({block}, int64[::1], {line}, {line}, {block}, {block})"
    fast = {"reassoc", "contract"}
    try:
        return numba.njit(signature, nogil=True, fastmath=fast, cache=True)(interpolate)
    except RuntimeError:  # no folder that it could keep it in: then it is compiled every time
        return numba.njit(signature, nogil=True, fastmath=fast)(interpolate)
