"""A grid for a part: even inside, untouched outside."""

from __future__ import annotations

from itertools import pairwise

import pytest

from core.errors import UnbakeError
from core.session.timemap import Drawn, TimeMap
from core.warp.maps.within import on_grid_within
from core.warp.rhythm.beats import Beats

FRAMES = 200_000
BEATS = Beats(
    sample_rate=44_100, frames=FRAMES, at=(1_000, 20_000, 42_000, 61_000, 83_000, 99_000, 121_000, 150_000), bpm=130.0
)


@pytest.mark.parametrize(
    "before", [TimeMap(), TimeMap(((500, 700), (30_000, 31_000), (140_000, 139_000), (160_000, 162_000)))]
)
def test_beats_inside_are_even_and_everything_outside_stays(before: TimeMap) -> None:
    made = on_grid_within(before, BEATS, 15_000, 125_000)
    drawn, was = Drawn(made, FRAMES), Drawn(before, FRAMES)
    goals = [drawn.target(beat) for beat in BEATS.at[1:7]]
    steps = [b - a for a, b in pairwise(goals)]
    assert max(steps) - min(steps) <= 1.0
    for frame in (*range(0, 20_001, 500), *range(121_000, FRAMES + 1, 500)):
        assert drawn.target(frame) == pytest.approx(was.target(frame), abs=0.6), frame
    assert made.length(FRAMES) == before.length(FRAMES)


def test_half_the_strength_goes_half_the_way() -> None:
    whole, half = (on_grid_within(TimeMap(), BEATS, 15_000, 125_000, strength=each) for each in (1.0, 0.5))
    for full, part in zip(whole.anchors, half.anchors, strict=True):
        assert part[1] - part[0] == pytest.approx((full[1] - full[0]) / 2, abs=1)


def test_too_few_beats_are_refused() -> None:
    with pytest.raises(UnbakeError, match="2 beats are there"):
        on_grid_within(TimeMap(), BEATS, 30_000, 70_000)
