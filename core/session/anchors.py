"""Anchors of a time map as a person handles them: gone to, dragged with what is around them, and read out.

All arithmetic on the map itself is `timemap`; how beats come onto a grid is `core.warp.maps.grid`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from core.errors import UnbakeError
from core.session import edits
from core.session.document import Session
from core.session.edits import Change
from core.session.timemap import Anchor, Drawn, TimeMap, local, shifted


class Reading(NamedTuple):
    """What a map does at a frame of the source: where that goes, by how many frames it is moved, and how fast the sound
    before and after it passes: frames of the source per frame of the target, 1.02 is 2% faster."""

    source: int
    target: float
    shift: float
    before: float
    after: float


def reading(drawn: Drawn, source: int) -> Reading:
    """What a map that was drawn does at a frame of the source."""
    target = drawn.target(source)
    return Reading(source, target, target - source, drawn.speed(source - 0.5), drawn.speed(source))


def place_of(time_map: TimeMap, source: int) -> int | None:
    """Which anchor lies on a frame of the source, from 0."""
    place = bisect_left(time_map.anchors, (source, -1))
    return place if place < len(time_map.anchors) and time_map.anchors[place][0] == source else None


def sources(time_map: TimeMap) -> list[int]:
    """The frames of the source that have an anchor."""
    return [source for source, _ in time_map.anchors]


def before(places: Sequence[int], frame: int) -> int | None:
    """The last of rising places that is before a frame."""
    place = bisect_left(places, frame)
    return places[place - 1] if place else None


def after(places: Sequence[int], frame: int) -> int | None:
    """The first of rising places that is after a frame."""
    place = bisect_right(places, frame)
    return places[place] if place < len(places) else None


def nearest(places: Sequence[int], frame: int) -> int | None:
    """Which of rising places is nearest to a frame, as an index."""
    place = bisect_left(places, frame)
    near = [each for each in (place - 1, place) if 0 <= each < len(places)]
    return min(near, key=lambda each: abs(places[each] - frame), default=None)


def dragged(time_map: TimeMap, source: int, target: int, frames: int, reach: int, *, alone: bool) -> TimeMap:
    """The anchor at a frame of the source on another frame of the target, in a file of `frames` frames.

    `alone`: the anchors beside it hold what is outside where it is. Otherwise only the one before it does, and all that
    comes after it moves along as one piece. Where nothing is stretched on a side, a new anchor `reach` frames of the
    source away holds it. Raises ValueError as `TimeMap` does.
    """
    if alone:
        return local(time_map, source, target, frames, reach)
    place = place_of(time_map, source)
    assert place is not None
    held = _held_before(time_map, place, reach)
    place += len(held.anchors) - len(time_map.anchors)
    return shifted(held, target - held.anchors[place][1], place)


def _held_before(time_map: TimeMap, place: int, reach: int) -> TimeMap:
    """With what holds the sound before an anchor, where that is not stretched and would move along, or all of it be."""
    source, target = time_map.anchors[place]
    shift = target - source
    furthest = max(source - reach, 0, -shift)
    if place:
        inner = time_map.anchors[place - 1]
        if inner[1] - inner[0] != shift or inner[0] >= furthest:
            return time_map
    if furthest >= source:
        return time_map
    pin: Anchor = (furthest, furthest + shift)
    return TimeMap((*time_map.anchors[:place], pin, *time_map.anchors[place:]), time_map.curve)


def changed(
    session: Session, make: Callable[[TimeMap], TimeMap], what: str | None = None, merge_key: str | None = None
) -> Change:
    """An edit of a session's map, one with others of its `merge_key`. Raises UnbakeError for what no map can be."""
    try:
        made = make(session.warp)
    except ValueError as error:
        raise UnbakeError(str(error), where="warp") from error
    return msgspec.structs.replace(edits.set_warp(session, made, what), merge_key=merge_key)


def in_ms(frames: float, sample_rate: int) -> str:
    """A number of frames as it is read out: `+12.345 ms`."""
    return f"{1000.0 * frames / sample_rate:+.3f} ms"


def in_percent(speed: float, places: int = 2) -> str:
    """A speed as it is read out: `+2.10%` is faster, `-0.04%` slower, `x2.50` two and a half times; `as it is` is 1."""
    if speed == 1.0:
        return "as it is"
    if speed >= 2.0 or speed <= 0.5:
        return f"x{speed:.{places}f}"
    percent = 100.0 * (speed - 1.0)
    return f"{percent:+.{min(places, 1) if abs(percent) >= 9.95 else places}f}%"
