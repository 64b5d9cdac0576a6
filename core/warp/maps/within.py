"""A grid for a part of a recording: what is before it and after it stays on its frame."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from core.errors import UnbakeError
from core.session.timemap import Anchor, Drawn, TimeMap
from core.warp.maps.grid import on_grid

if TYPE_CHECKING:
    from core.warp.rhythm.beats import Beats

LEAST_BEATS: Final = 3
"""The first and the last of them stay."""


def on_grid_within(
    time_map: TimeMap,
    beats: Beats,
    first: int,
    last: int,
    *,
    strength: float = 1.0,
    swing: float | None = None,
    off_beats: Sequence[int] = (),
) -> TimeMap:
    """A map in which the beats from source frame `first` to `last` are evenly spaced, and nothing else is moved.

    The first and the last of these beats stay where the map has them. Otherwise as `on_grid`. Raises UnbakeError for
    fewer than three beats there, and as `on_grid` does.
    """
    at = beats.at[bisect_left(beats.at, first) : bisect_right(beats.at, last)]
    if len(at) < LEAST_BEATS:
        raise UnbakeError(f"{len(at)} beats are there", remedy=f"straighten {LEAST_BEATS} or more")
    part = msgspec.structs.replace(beats, at=at, strengths_db=(), sections=beats.sections[:1])
    inner = [each for each in off_beats if at[0] < each < at[-1]]
    made = on_grid(part, strength=strength, swing=swing, off_beats=inner)
    drawn = Drawn(time_map, beats.frames)
    low, high = round(drawn.target(at[0])), round(drawn.target(at[-1]))
    ratio = (high - low) / (at[-1] - at[0])
    moved: list[Anchor] = [(source, low + round((target - at[0]) * ratio)) for source, target in made.anchors]
    before = [anchor for anchor in time_map.anchors if anchor[0] < at[0]]
    after = [anchor for anchor in time_map.anchors if anchor[0] > at[-1]]
    try:
        return TimeMap((*before, *moved, *after), time_map.curve)
    except ValueError as error:
        raise UnbakeError(f"on this grid, {error}", remedy="check the beats: one may be missing or doubled") from error
