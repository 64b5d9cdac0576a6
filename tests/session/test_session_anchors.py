"""Anchors as they are handled: dragged alone or with all that follows, read out."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UnbakeError
from core.events import finish
from core.jobs import sessions
from core.session import anchors, files
from core.session.timemap import Drawn, TimeMap

FRAMES, REACH = 100_000, 5_000
MAP = TimeMap(((10_000, 10_000), (20_000, 21_000), (60_000, 61_000)))


def test_neighbours_and_the_nearest_are_found() -> None:
    places = (10, 20, 30)
    assert [anchors.before(places, frame) for frame in (10, 11, 99)] == [None, 10, 30]
    assert [anchors.after(places, frame) for frame in (0, 10, 30)] == [10, 20, None]
    assert [anchors.nearest(places, frame) for frame in (0, 14, 16, 99)] == [0, 0, 1, 2]
    assert anchors.nearest((), 5) is None
    assert anchors.place_of(MAP, 20_000) == 1
    assert anchors.place_of(MAP, 20_001) is None


@pytest.mark.parametrize("source", [10_000, 20_000, 60_000])
@pytest.mark.parametrize("by", [-300, 1, 2_000])
def test_whole_moves_what_follows_as_one_piece_and_nothing_before(source: int, by: int) -> None:
    target = dict(MAP.anchors)[source] + by
    made = Drawn(anchors.dragged(MAP, source, target, FRAMES, REACH, alone=False), FRAMES)
    was = Drawn(MAP, FRAMES)
    held = {10_000: 5_000, 20_000: 10_000, 60_000: 55_000}[source]
    for frame in range(0, held + 1, 500):
        assert made.target(frame) == was.target(frame)
    for frame in range(source, FRAMES + 1, 500):
        assert made.target(frame) == was.target(frame) + by


def test_alone_moves_nothing_beyond_its_neighbours() -> None:
    made = Drawn(anchors.dragged(MAP, 20_000, 20_500, FRAMES, REACH, alone=True), FRAMES)
    was = Drawn(MAP, FRAMES)
    assert made.target(20_000) == 20_500
    for frame in (*range(0, 10_001, 500), *range(25_000, FRAMES + 1, 500)):
        assert made.target(frame) == was.target(frame)


def test_an_anchor_at_the_very_beginning_takes_everything_along() -> None:
    made = anchors.dragged(TimeMap(((0, 0), (50_000, 50_000))), 0, 100, FRAMES, REACH, alone=False)
    assert made.anchors == ((0, 100), (50_000, 50_100))


def test_what_no_map_can_be_is_refused_in_words(song: Path) -> None:
    path, _ = finish(sessions.create(song, None, stems_from=song.parent / "stems"))
    session = files.load(path)
    with pytest.raises(UnbakeError, match="times as long"):
        anchors.changed(session, lambda _: TimeMap(((0, 0), (100, 9_000))))
    change = anchors.changed(session, lambda _: TimeMap(((0, 0), (100, 120))), "moved", "key")
    assert (change.what, change.merge_key) == ("moved", "key")
    assert change.session.warp.anchors == ((0, 0), (100, 120))


def test_a_place_is_read_out() -> None:
    read = anchors.reading(Drawn(MAP, FRAMES), 20_000)
    assert (read.target, read.shift) == (21_000, 1_000)
    assert (read.before, read.after) == (pytest.approx(10 / 11), 1.0)
    assert anchors.in_ms(441, 44_100) == "+10.000 ms"
    said = [anchors.in_percent(speed) for speed in (1.0, 1.021, 0.9996, 1.25, 2.5, 0.4)]
    assert said == ["as it is", "+2.10%", "-0.04%", "+25.0%", "x2.50", "x0.40"]
    assert [anchors.in_percent(1.0212, places) for places in (1, 0)] == ["+2.1%", "+2%"]
