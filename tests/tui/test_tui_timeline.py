"""Where the engineer is in time: what is taken up from the last visit, and what is said of the playhead."""

from __future__ import annotations

from pathlib import Path

from core.session.workspace import Loop, Marker, Workspace
from tui.desk.timeline import Timeline

FRAMES, RATE = 480_000, 48_000
REMEMBERED = Workspace(markers=(Marker(9_000, "1"),), loop=Loop(10, 20, True), playhead=4_000, view=(1_000, 5_000))


def test_place_and_view_are_taken_up_where_they_were_left() -> None:
    timeline = Timeline.whole(FRAMES, RATE).resumed(REMEMBERED)
    assert (timeline.first, timeline.last, timeline.playhead) == (1_000, 5_000, 4_000)
    assert (timeline.loop, timeline.markers) == (REMEMBERED.loop, REMEMBERED.markers)


def test_one_who_moved_while_the_file_was_read_stays_there_and_no_marker_is_lost() -> None:
    moved = Timeline.whole(FRAMES, RATE).moved_seconds(5).zoomed(0.5).marked()
    timeline = moved.resumed(REMEMBERED)
    assert (timeline.first, timeline.last, timeline.playhead) == (moved.first, moved.last, moved.playhead)
    assert timeline.loop == REMEMBERED.loop
    assert [marker.frame for marker in timeline.markers] == [9_000, 240_000]
    looped = moved.loop_switched().resumed(REMEMBERED)
    assert looped.loop == Loop(moved.first, moved.last, True)


async def test_every_step_of_the_playhead_is_told_to_the_millisecond(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        assert "▼ 0:00.000" in driver.text()
        await driver.press("greater_than_sign")
        assert "0:01.587 ▼" in driver.text()  # the end of a short song
