"""The time map: which frame of the source lands on which frame of the warped file, as a value and as text.

Counting is in frames at the source's rate. What warps sound along it is `core.warp`.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

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

Curve = Annotated[
    Literal["straight", "smooth"],
    Meta(
        title="curve",
        description="between anchors the speed is constant, or glides from one to the next",
        extra={"unit": ""},
    ),
]


class TimeMap(Checked, frozen=True):
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
    if place == 0:
        return ys[0] + x - xs[0]
    if place == len(xs):
        return ys[-1] + x - xs[-1]
    (x0, x1), (y0, y1) = xs[place - 1 : place + 1], ys[place - 1 : place + 1]
    return y0 + (x - x0) * (y1 - y0) / (x1 - x0)


def check(anchors: Sequence[Sequence[int]], first: int = 1) -> None:
    """Raises ValueError as `TimeMap` has it; `first` is the number of the first of these anchors."""
    if len(anchors) > MOST_ANCHORS:
        raise ValueError(f"there are {len(anchors)} anchors, but {MOST_ANCHORS} at most can be")
    before: Sequence[int] | None = None
    for place, (source, target) in enumerate(anchors, first):
        if source < 0 or target < 0:
            raise ValueError(f"anchor {place} ({source} to {target}) lies before the beginning")
        if before is not None:
            _check_step(place, before, (source, target))
        before = source, target


def _check_step(place: int, before: Sequence[int], anchor: Sequence[int]) -> None:
    steps = [here - there for here, there in zip(anchor, before, strict=True)]
    for step, name, frame, last in zip(steps, ("source", "target"), anchor, before, strict=True):
        if step == 0:
            raise ValueError(f"anchor {place} is at {name} frame {frame} again")
        if step < 0:
            raise ValueError(f"anchor {place} is at {name} frame {frame}, before the one in front of it at {last}")
    stretch = steps[1] / steps[0]
    if not 1.0 / STEEPEST <= stretch <= STEEPEST:
        raise ValueError(
            f"between anchors {place - 1} and {place} the sound would become {stretch:.4g} times as long, outside "
            f"{1.0 / STEEPEST:g} to {STEEPEST:g}"
        )


def _smooth(anchors: Sequence[Anchor]) -> list[Vertex]:
    """Monotone cubics through the anchors, with slope 1 at either end, as straight pieces.

    F. N. Fritsch & J. Butland, "A method for constructing local monotone piecewise cubic interpolants", SIAM J. Sci.
    Stat. Comput. 5, 1984: the slope at an anchor is the weighted harmonic mean of those on its sides.
    """
    steps = [(b[0] - a[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in itertools.pairwise(anchors)]
    slopes = [1.0]
    for (h0, m0), (h1, m1) in itertools.pairwise(steps):
        w0, w1 = 2 * h1 + h0, h1 + 2 * h0
        slopes.append((w0 + w1) / (w0 / m0 + w1 / m1))
    slopes.append(1.0)
    if steps:  # no steeper than what keeps the curve rising
        slopes[0], slopes[-1] = min(1.0, 3.0 * steps[0][1]), min(1.0, 3.0 * steps[-1][1])
    found: list[Vertex] = []
    for place, (h, m) in enumerate(steps):
        source, target = anchors[place]
        d0, d1 = slopes[place], slopes[place + 1]
        pieces = -(-h // PIECE_FRAMES)
        for piece in range(pieces):
            u = piece / pieces
            bent = (3.0 * m - 2.0 * d0 - d1) * u**2 + (d0 + d1 - 2.0 * m) * u**3
            found.append((source + h * u, target + h * (d0 * u + bent)))
    found.append((float(anchors[-1][0]), float(anchors[-1][1])))
    return found


def read_text(text: str, where: str) -> TimeMap:
    """A map as a file has it: an anchor a line, source and target frame with white space between; `#` is a comment.

    Raises UnbakeError that names the line.
    """
    anchors: list[Anchor] = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
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


def to_text(time_map: TimeMap, frames: int, sample_rate: int, also: Iterable[str] = ()) -> str:
    """The map of a file of `frames` frames as text that `read_text` reads; `also` are comments.

    A smooth curve is written as the straight pieces it is drawn with.
    """
    lines = [f"# source frame, target frame; {frames} frames at {sample_rate} Hz", *(f"# {line}" for line in also)]
    anchors: Sequence[Sequence[Any]] = time_map.anchors
    if time_map.curve == "smooth" and anchors:
        rounded = [(round(source), round(target)) for source, target in _smooth(time_map.anchors)]
        anchors = [rounded[0]]
        for source, target in rounded[1:]:
            if source > anchors[-1][0] and target > anchors[-1][1]:
                anchors.append((source, target))
        if anchors[-1] != rounded[-1]:
            anchors[-1] = rounded[-1]
    lines += [f"{source} {target}" for source, target in anchors or ((0, 0), (frames, frames))]
    return "\n".join(lines) + "\n"
