"""The time map: which frame of the source lands on which frame of the warped file, as a value and as text.

Counting is in frames at the source's rate. What warps sound along it is `core.warp`.
"""

from __future__ import annotations

import itertools
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta

from core.errors import UnbakeError
from core.session.processors import Checked

Anchor = tuple[int, int]
"""A frame of the source, and the frame it is moved to."""
Vertex = tuple[float, float]

STEEPEST: Final = 8.0
"""No part may become more than this many times as long, or as short."""
PIECE_FRAMES: Final = 1024
"""A smooth curve is drawn as straight pieces of this many frames of the source at most."""
MOST_ANCHORS: Final = 1_000_000
LAST_FRAME: Final = 10**15 - 1
"""What an anchor can be at most: no file is as long, and all arithmetic is exact below it."""
_MOST_DIGITS: Final = 15

Curve = Annotated[
    Literal["straight", "smooth"],
    Meta(
        title="curve",
        description="between anchors the speed is constant, or glides from one to the next",
        extra={"unit": ""},
    ),
]


StripWarp = Annotated[
    Literal["linked", "beats", "repitch", "tones", "texture"],
    Meta(
        title="warp mode",
        description="how the processed stem is carried along the time map; linked is one with the master",
        extra={"unit": ""},
    ),
]
WarpMode = Literal["linked", "beats", "repitch", "tones", "texture", "rubberband"]
"""How sound is carried along a map. With any but the last, parts add up to their sum."""


class TimeMap(Checked, frozen=True, omit_defaults=True):
    """Anchors (source frame, target frame), both rising; at constant speed between them, or smoothly.

    Outside the anchors nothing is stretched: the sound there is moved by whole frames. Without anchors nothing is
    moved at all. Raises ValueError that names the anchor, counted from 1, that is below 0, out of order, doubled, or
    more than `STEEPEST` times further from the one before it in the target than in the source, or the other way round.
    """

    anchors: tuple[Anchor, ...] = ()
    curve: Curve = "straight"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.anchors)

    @property
    def identity(self) -> bool:
        """Whether every frame stays where it is."""
        return all(source == target for source, target in self.anchors)

    def length(self, frames: int) -> int:
        """How many frames a file of `frames` frames becomes."""
        if not self.anchors:
            return frames
        source, target = self.anchors[-1]
        return target + frames - source

    def check_fits(self, frames: int, where: str | None = None) -> None:
        """Raises UnbakeError when the map is not for a file of so many frames."""
        if self.anchors and self.anchors[-1][0] > frames:
            place = next(place for place, anchor in enumerate(self.anchors, 1) if anchor[0] > frames)
            raise UnbakeError(
                f"anchor {place} is at source frame {self.anchors[place - 1][0]}, but the file has {frames}",
                where=where,
                remedy="use a map that was made for this file",
            )
        if frames and self.length(frames) < 1:
            raise UnbakeError("nothing of the file would be left", where=where)

    def vertices(self, frames: int) -> list[Vertex]:
        """The map of a file of `frames` frames as straight pieces, from source frame 0 to `frames` inclusive.

        Targets may begin below 0 (what lies there is cut off) or above (silence comes first).
        """
        if not self.anchors:
            return [(0.0, 0.0), (float(frames), float(frames))]
        first, last = self.anchors[0], self.anchors[-1]
        found: list[Vertex] = []
        if first[0] > 0:
            found.append((0.0, float(first[1] - first[0])))
        if self.curve == "straight":
            found += [(float(source), float(target)) for source, target in self.anchors]
        else:
            found += _smooth(self.anchors)
        if last[0] < frames:
            found.append((float(frames), float(self.length(frames))))
        return found


class Drawn:
    """A time map of a file of a certain length, to be asked where single frames go."""

    def __init__(self, time_map: TimeMap, frames: int) -> None:
        vertices = time_map.vertices(frames)
        self._sources = [source for source, _ in vertices]
        self._targets = [target for _, target in vertices]

    def target(self, source: float) -> float:
        """Where a frame of the source lands; outside the file with speed 1."""
        return _along(self._sources, self._targets, source)

    def source(self, target: float) -> float:
        """What lands on a frame of the target."""
        return _along(self._targets, self._sources, target)

    def speed(self, source: float) -> float:
        """How many frames of the source pass per frame of the target, from a frame of the source on."""
        place = bisect_right(self._sources, source)
        if not 0 < place < len(self._sources):
            return 1.0
        return (self._sources[place] - self._sources[place - 1]) / (self._targets[place] - self._targets[place - 1])


def _along(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    place = bisect_left(xs, x)
    if place == len(xs):
        return ys[-1] + (x - xs[-1])
    if place == 0 or xs[place] == x:
        return ys[place] + (x - xs[place])
    (x0, x1), (y0, y1) = xs[place - 1 : place + 1], ys[place - 1 : place + 1]
    return y0 + (x - x0) * ((y1 - y0) / (x1 - x0))


def straightened(time_map: TimeMap) -> TimeMap:
    """The straight map that a smooth one is drawn as, its corners on whole frames; a straight one as it is."""
    if time_map.curve == "straight" or len(time_map.anchors) < 2:
        return TimeMap(time_map.anchors)
    corners = _smooth(time_map.anchors)
    kept: list[Anchor] = []
    ends = iter(time_map.anchors)
    end = next(ends)
    for source, target in corners:
        corner = (int(source), round(target))
        if corner[0] == end[0]:
            kept.append(end)
            end = next(ends, end)
        elif _step_fits(kept[-1], corner) and _step_fits(corner, end):  # rounding can be too steep, or stand still
            kept.append(corner)
    return TimeMap(tuple(kept))


def inverse(time_map: TimeMap) -> TimeMap:
    """The way back, from the warped file to the source: exact for a straight map, else to half a frame."""
    return TimeMap(tuple((target, source) for source, target in straightened(time_map).anchors))


def added(time_map: TimeMap, source: int, target: int | None = None) -> TimeMap:
    """With one more anchor; without a target it stays where it lies, to the nearest frame.

    Raises ValueError, as all edits do, where `TimeMap` would refuse the result, and where there is an anchor already.
    """
    place = _place(time_map, source)
    if place < len(time_map.anchors) and time_map.anchors[place][0] == source:
        raise ValueError(f"anchor {place + 1} is at source frame {source} already")
    if target is None:
        target = round(Drawn(time_map, max(source, _last_source(time_map))).target(source))
    anchors = time_map.anchors
    return _with(time_map, (*anchors[:place], (source, target), *anchors[place:]))


def removed(time_map: TimeMap, place: int) -> TimeMap:
    """Without the anchor at `place`, from 0."""
    return _with(time_map, (*time_map.anchors[:place], *time_map.anchors[place + 1 :]))


def moved(time_map: TimeMap, place: int, target: int) -> TimeMap:
    """With the anchor at `place`, from 0, on another frame of the target."""
    anchors = time_map.anchors
    return _with(time_map, (*anchors[:place], (anchors[place][0], target), *anchors[place + 1 :]))


def nudged(time_map: TimeMap, place: int, frames: int) -> TimeMap:
    """With the anchor at `place`, from 0, so many frames later, or as far that way as its neighbours let it go."""
    low, high = room(time_map, place)
    return moved(time_map, place, min(max(time_map.anchors[place][1] + frames, low), high))


def room(time_map: TimeMap, place: int) -> tuple[int, int]:
    """The first and the last frame of the target that the anchor at `place`, from 0, can be moved to."""
    source, _ = time_map.anchors[place]
    low, high = 0, LAST_FRAME
    steepest = int(STEEPEST)
    if place:
        before, at = time_map.anchors[place - 1]
        low, high = at - (before - source) // steepest, at + (source - before) * steepest
    if place + 1 < len(time_map.anchors):
        after, at = time_map.anchors[place + 1]
        low, high = max(low, at - (after - source) * steepest), min(high, at + (source - after) // steepest)
    return max(low, 0), high


def shifted(time_map: TimeMap, frames: int, first: int = 0) -> TimeMap:
    """With the anchor at `first`, from 0, and all after it so many frames later: what follows moves as one piece."""
    anchors = time_map.anchors
    return _with(time_map, (*anchors[:first], *((source, target + frames) for source, target in anchors[first:])))


def local(time_map: TimeMap, source: int, target: int, frames: int, reach: int) -> TimeMap:
    """With an anchor, old or new, on a frame of the target and everything from its neighbours on outwards as it was.

    The neighbours are the next anchors, or, where the sound is not stretched before or after it, new ones `reach`
    frames of the source away, within a file of `frames` frames. Raises ValueError where a smooth curve would bend
    beyond them.
    """
    others = tuple(anchor for anchor in time_map.anchors if anchor[0] != source)
    place = bisect_left(others, source, key=operator.itemgetter(0))
    before = _pin(time_map, source, -1, max(0, source - reach))
    after = _pin(time_map, source, 1, min(frames, source + reach))
    left, right = list(others[:place]), list(others[place:])
    if before is not None and left[-1:] != [before]:
        left.append(before)
    if after is not None and right[:1] != [after]:
        right.insert(0, after)
    edited = _with(time_map, (*left, (source, target), *right))
    if time_map.curve == "smooth":
        _check_outside(time_map, edited, len(left), frames)
    return edited


def _pin(time_map: TimeMap, source: int, side: Literal[-1, 1], furthest: int) -> Anchor | None:
    """What holds the sound on one side of a frame of the source; None where nothing lies there."""
    place = _place(time_map, source, after=side > 0)
    inner = time_map.anchors[place - 1] if place else None
    outer = time_map.anchors[place] if place < len(time_map.anchors) else None
    here, there = (inner, outer) if side > 0 else (outer, inner)
    known = here or there or (0, 0)
    shift = known[1] - known[0]
    if here is not None and there is not None and there[1] - there[0] != shift:
        return there
    at = max(furthest, -shift)  # what is cut off can't be held
    if there is not None:
        at = min(at, there[0]) if side > 0 else max(at, there[0])
    return (at, at + shift) if (at - source) * side > 0 else None


def _check_outside(before: TimeMap, after: TimeMap, place: int, frames: int) -> None:
    """`after` has its edited anchor at `place`; its neighbours must end what is changed."""
    first = after.anchors[place - 1][0] if place else 0
    last = after.anchors[place + 1][0] if place + 1 < len(after.anchors) else frames

    def outside(vertices: list[Vertex]) -> list[Vertex]:
        return [vertex for vertex in vertices if not first <= vertex[0] <= last]

    if outside(before.vertices(frames)) != outside(after.vertices(frames)):
        raise ValueError(
            f"with a smooth curve, moving anchor {place + 1} alone would bend the sound beyond its neighbours, too"
        )


def _place(time_map: TimeMap, source: int, after: bool = False) -> int:
    """How many anchors lie before a frame of the source, or up to and on it."""
    find = bisect_right if after else bisect_left
    return find(time_map.anchors, source, key=operator.itemgetter(0))


def _last_source(time_map: TimeMap) -> int:
    return time_map.anchors[-1][0] if time_map.anchors else 0


def _with(time_map: TimeMap, anchors: tuple[Anchor, ...]) -> TimeMap:
    return TimeMap(anchors, time_map.curve)


def check(anchors: Sequence[Sequence[int]], first: int = 1) -> None:
    """Raises ValueError as `TimeMap` has it; `first` is the number of the first of these anchors."""
    if len(anchors) > MOST_ANCHORS:
        raise ValueError(f"there are {len(anchors)} anchors, but {MOST_ANCHORS} at most can be")
    for place, (source, target) in enumerate(anchors, first):
        if source < 0 or target < 0:
            raise ValueError(f"anchor {place} ({source} to {target}) lies before the beginning")
        if source > LAST_FRAME or target > LAST_FRAME:
            raise ValueError(f"anchor {place} ({source} to {target}) lies beyond the end of any file")
    for place, (before, anchor) in enumerate(itertools.pairwise(anchors), first + 1):
        if not _step_fits(before, anchor):
            raise ValueError(_step_fault(place, before, anchor))


def _step_fits(before: Sequence[int], anchor: Sequence[int]) -> bool:
    source, target = anchor[0] - before[0], anchor[1] - before[1]
    return 0 < source <= STEEPEST * target and 0 < target <= STEEPEST * source


def _step_fault(place: int, before: Sequence[int], anchor: Sequence[int]) -> str:
    for name, frame, last in zip(("source", "target"), anchor, before, strict=True):
        if frame == last:
            return f"anchor {place} is at {name} frame {frame} again"
        if frame < last:
            return f"anchor {place} is at {name} frame {frame}, before the one in front of it at {last}"
    stretch = (anchor[1] - before[1]) / (anchor[0] - before[0])
    return (
        f"between anchors {place - 1} and {place} the sound would become {stretch:.4g} times as long, outside "
        f"{1.0 / STEEPEST:g} to {STEEPEST:g}"
    )


def _smooth(anchors: Sequence[Anchor]) -> list[Vertex]:
    """Cubics through the anchors as straight pieces that begin on whole frames of the source."""
    found: list[Vertex] = []
    for ((source, target), (next_source, next_target)), (d0, d1) in zip(
        itertools.pairwise(anchors), _slopes(anchors), strict=True
    ):
        h = next_source - source
        m = (next_target - target) / h
        pieces = 1 if d0 == d1 == m else -(-h // PIECE_FRAMES)
        for piece in range(pieces):
            step = h * piece // pieces
            u = step / h
            bent = (3.0 * m - 2.0 * d0 - d1) * u**2 + (d0 + d1 - 2.0 * m) * u**3
            found.append((float(source + step), target + h * (d0 * u + bent)))
    found.append((float(anchors[-1][0]), float(anchors[-1][1])))
    return found


def _slopes(anchors: Sequence[Anchor]) -> Iterator[tuple[float, float]]:
    """How steep each piece of a smooth curve is at its two ends: 1 where nothing is stretched on the other side.

    F. N. Fritsch & J. Butland, "A method for constructing local monotone piecewise cubic interpolants", SIAM J. Sci.
    Stat. Comput. 5, 1984: the slope at an anchor is the weighted harmonic mean of those on its sides.
    """
    steps = [(b[0] - a[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in itertools.pairwise(anchors)]
    slopes = [1.0]
    for (h0, m0), (h1, m1) in itertools.pairwise(steps):
        w0, w1 = 2 * h1 + h0, h1 + 2 * h0
        slopes.append(1.0 if 1.0 in (m0, m1) else (w0 + w1) / (w0 / m0 + w1 / m1))
    slopes.append(1.0)
    for place, (_, m) in enumerate(steps):
        yield _tamed(m, slopes[place], slopes[place + 1])


def _tamed(m: float, d0: float, d1: float) -> tuple[float, float]:
    """The slopes at the ends of a cubic of mean slope `m`, nearer to it where it would leave the limits in between.

    Towards `m`, all of the curve's slopes come nearer in proportion: the limits are kept exactly. Where that happens
    the speed is no longer even across an anchor.
    """
    bend, turn = 3.0 * m - 2.0 * d0 - d1, 3.0 * (d0 + d1 - 2.0 * m)
    extremes = [d0, d1]
    if turn and 0.0 < -bend / turn < 1.0:
        extremes.append(d0 - bend * bend / turn)
    over, under = max(extremes) - m, m - min(extremes)
    share = 1.0
    if over > STEEPEST - m:
        share = (STEEPEST - m) / over
    if under > m - 1.0 / STEEPEST:
        share = min(share, (m - 1.0 / STEEPEST) / under)
    return (d0, d1) if share == 1.0 else (m + share * (d0 - m), m + share * (d1 - m))


def read_text(text: str, where: str) -> TimeMap:
    """A map as a file has it: an anchor a line, source and target frame with white space between; `#` is a comment.

    Raises UnbakeError that names the line.
    """
    anchors: list[Anchor] = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not all(_is_frame(word) for word in words):
            raise UnbakeError(
                f"line {number} is not two frame numbers: {' '.join(words)[:60]!r}",
                where=where,
                remedy="write the source frame, then the target frame, both whole and from 0",
            )
        anchors.append((int(words[0]), int(words[1])))
        try:
            check(anchors[-2:], first=max(1, len(anchors) - 1))
        except ValueError as error:
            raise UnbakeError(f"line {number}: {error}", where=where) from error
    if not anchors:
        raise UnbakeError("holds no anchors", where=where, remedy="one a line: source frame, target frame")
    try:
        return TimeMap(tuple(anchors))
    except ValueError as error:
        raise UnbakeError(str(error), where=where) from error


def _is_frame(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS


def to_text(time_map: TimeMap, frames: int, sample_rate: int, also: Iterable[str] = ()) -> str:
    """The map of a file of `frames` frames as text that `read_text` reads; `also` are comments.

    A smooth curve is written as the straight pieces it is drawn with.
    """
    lines = [f"# source frame, target frame; {frames} frames at {sample_rate} Hz", *(f"# {line}" for line in also)]
    anchors = straightened(time_map).anchors or ((0, 0), *(((frames, frames),) if frames else ()))
    lines += [f"{source} {target}" for source, target in anchors]
    return "\n".join(lines) + "\n"
