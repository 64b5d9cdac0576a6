"""Keys on the desk, pressed by a pilot on a real session. Each test says which actions it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.session import edits, files
from core.session.document import Session, Strip
from core.session.processors import Bell, LowCut
from tui.desk.bench import MASTER, Fader, Insert, Value

COVERED: set[str] = set()


def covers(*ids: str) -> Callable[[Any], Any]:
    """Notes which actions a test presses the keys of."""
    COVERED.update(ids)
    return lambda test: test


def strip_of(desk: Any, name: str) -> Any:
    session: Session = desk.bench.session
    return session.strips.get(name, Strip())


@covers("time.back", "time.forward", "time.back_5", "time.forward_5", "time.start", "time.end")
async def test_the_playhead_moves(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        frames = desk.bench.timeline.frames
        await driver.press("end")
        assert desk.bench.timeline.playhead == frames
        await driver.press("home")
        assert desk.bench.timeline.playhead == 0
        await driver.press("l", "l")
        step = desk.bench.timeline.playhead // 2
        assert step == frames // 80
        await driver.press("h")
        assert desk.bench.timeline.playhead == step
        await driver.press("greater_than_sign")
        assert desk.bench.timeline.playhead == frames  # the song is shorter than five seconds
        await driver.press("less_than_sign")
        assert desk.bench.timeline.playhead == 0


@covers("loop.first", "loop.last", "loop.toggle", "view.loop", "view.all")
async def test_a_loop_is_set_shown_and_turned_off(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("l", "l", "l", "left_square_bracket")
        first = desk.bench.timeline.playhead
        await driver.press("l", "l", "right_square_bracket")
        loop = desk.bench.timeline.loop
        assert (loop.first, loop.last, loop.on) == (first, desk.bench.timeline.playhead, True)
        await driver.press("z")
        assert desk.bench.timeline.shown < desk.bench.timeline.frames / 4
        assert desk.bench.timeline.first <= first
        await driver.press("Z")
        assert desk.bench.timeline.shown == desk.bench.timeline.frames
        await driver.press("backslash")
        assert not desk.bench.timeline.loop.on
        assert "[" in driver.text()


@covers("marker.set", "marker.previous", "marker.next")
async def test_markers_are_set_and_gone_to(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("l", "apostrophe", "l", "l", "apostrophe")
        frames = [marker.frame for marker in desk.bench.timeline.markers]
        assert len(frames) == 2
        await driver.press("left_curly_bracket")
        assert desk.bench.timeline.playhead == frames[0]
        await driver.press("right_curly_bracket")
        assert desk.bench.timeline.playhead == frames[1]
        await driver.press("apostrophe")
        assert [marker.frame for marker in desk.bench.timeline.markers] == frames[:1]


@covers("view.zoom_in", "view.zoom_out", "view.follow")
async def test_zoom_goes_from_the_whole_file_to_samples(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        frames = desk.bench.timeline.frames
        await driver.press("plus")
        assert desk.bench.timeline.shown == pytest.approx(frames / 2, abs=1)
        await driver.press(*["plus"] * 20)
        assert desk.bench.timeline.shown == 8
        await driver.press("f", "end")
        assert desk.bench.timeline.first == 0  # the view stays where it is
        await driver.press("f", "end")
        assert desk.bench.timeline.last == frames
        await driver.press(*["minus"] * 30)
        assert desk.bench.timeline.shown == frames


@covers("view.spectrogram")
async def test_the_spectrogram_takes_the_place_of_the_waveform(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await driver.opened()
        await driver.press("v")
        assert desk.query_one("#spectrogram").display
        assert not desk.query_one("#waveform").display
        await driver.until(lambda: desk.query_one("#spectrogram")._shown.cells.any(), "the picture")
        await driver.press("v")
        assert desk.query_one("#waveform").display


@covers("view.pane", "view.pane_back")
async def test_tab_goes_through_the_panes(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        assert desk.pane == "lanes"
        await driver.press("tab")
        assert desk.pane == "chain"
        await driver.press("tab")
        assert desk.pane == "overview"
        await driver.press("shift+tab")
        assert desk.pane == "chain"


@covers(*(f"strip.pick_{number}" for number in range(1, 10)), "strip.master", "strip.next", "strip.previous")
async def test_strips_are_chosen_by_number_and_one_by_one(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        names = desk.bench.names
        assert names == ("vocals", "drums", "bass", "other", "residual", MASTER)
        for number in range(1, 6):
            await driver.press(str(number))
            assert desk.bench.strip == names[number - 1]
        for number in range(6, 10):
            await driver.press(str(number))
            assert desk.bench.strip == "residual"
            assert "there are 5 strips" in driver.text()
        await driver.press("0")
        assert desk.bench.strip == MASTER
        await driver.press("1", "j")
        assert desk.bench.strip == "drums"
        await driver.press("k", "k")
        assert desk.bench.strip == "vocals"


@covers("strip.polarity", "strip.mode", "strip.reset")
async def test_a_strip_is_inverted_set_to_a_mode_and_reset(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "p")
        assert strip_of(desk, "bass").polarity == -1
        assert "Ø" in driver.text()
        await driver.press("p", "r")
        assert strip_of(desk, "bass") == Strip(mode="parallel")
        await driver.press("r")
        assert strip_of(desk, "bass").mode == "cancel"
        assert "cancelled" in driver.text()
        await driver.press("V")
        assert "bass" not in desk.bench.session.strips


@covers("chain.eq", "value.less", "value.more", "value.much_less", "value.much_more", "value.default")
async def test_an_equaliser_is_inserted_and_set(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "e")
        assert desk.pane == "chain"
        assert desk.bench.row == Value(0, "freq_hz")
        before = strip_of(desk, "bass").chain[0]
        assert isinstance(before, Bell)
        await driver.press("j")
        assert desk.bench.row == Value(0, "gain_db")
        await driver.press("comma", "comma", "left")
        assert strip_of(desk, "bass").chain[0].gain_db == -2.1
        await driver.press("semicolon", "right")
        assert strip_of(desk, "bass").chain[0].gain_db == -1.0
        await driver.press("backspace")
        assert strip_of(desk, "bass").chain[0].gain_db == 0.0
        await driver.press("k", "shift+right")
        assert strip_of(desk, "bass").chain[0].freq_hz > before.freq_hz * 1.2
        await driver.press("e")
        assert len(strip_of(desk, "bass").chain) == 1  # there is one already: it is gone to


@covers("value.type")
async def test_a_value_is_typed_and_a_wrong_one_is_refused(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "e", "equals_sign", *"12k", "enter")
        assert strip_of(desk, "bass").chain[0].freq_hz == 12_000
        await driver.press("equals_sign", *"900k", "enter")
        assert "900k" in driver.text()
        assert strip_of(desk, "bass").chain[0].freq_hz == 12_000
        await driver.press("escape")
        await driver.press("3", "u")
        assert strip_of(desk, "bass").chain[0].freq_hz == 250


@covers("chain.insert", "chain.delete", "chain.bypass", "chain.bypass_all", "chain.up", "chain.down")
async def test_processors_are_inserted_moved_bypassed_and_deleted(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "e", "i")
        await driver.press("slash", *"low cut", "enter", "enter")
        assert [type(each) for each in strip_of(desk, "bass").chain] == [Bell, LowCut]
        assert desk.bench.row == Insert(1)
        await driver.press("left_parenthesis")
        assert [type(each) for each in strip_of(desk, "bass").chain] == [LowCut, Bell]
        await driver.press("right_parenthesis")
        assert [type(each) for each in strip_of(desk, "bass").chain] == [Bell, LowCut]
        await driver.press("y")
        assert strip_of(desk, "bass").chain[1].bypass
        assert "bypassed" in driver.text()
        await driver.press("Y")
        assert all(each.bypass for each in strip_of(desk, "bass").chain)
        await driver.press("Y")
        assert not any(each.bypass for each in strip_of(desk, "bass").chain)
        await driver.press("d")
        assert [type(each) for each in strip_of(desk, "bass").chain] == [Bell]


async def test_the_curve_is_that_of_what_one_sound_goes_through(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        chain = tuple(
            Bell(freq_hz=1000.0, gain_db=6.0, placement=placement) for placement in ("all", "mid", "side", "all")
        )
        for processor in reversed(chain):
            desk.edit(lambda session, processor=processor: edits.insert(session, "bass", 0, processor))
        await driver.press("3")
        for row, parts in (
            (Fader("gain_db"), ["all", "all"]),
            (Insert(1), ["all", "mid", "all"]),
            (Value(2, "q"), ["all", "side", "all"]),
            (Insert(3), ["all", "all"]),
        ):
            desk.to_row(row)
            assert [band.placement for band in desk.bench.equalisers] == parts


async def test_points_are_typed_and_a_side_chain_is_stepped_through(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "i", "slash", *"gain", "enter", "enter")
        desk.to_row(Value(0, "points"))
        await driver.press("equals_sign", *"0:00 0, 1:23.5 -3", "enter")
        assert strip_of(desk, "bass").chain[0].points == ((0.0, 0.0), (83.5, -3.0))
        assert "2 points" in driver.text()
        await driver.press("equals_sign", *"1:00 0, 0:30 3", "enter")
        assert "not after the one before it" in driver.text()
        await driver.press("escape", "right", "k", "right")
        changed = strip_of(desk, "bass").chain[0]
        assert (changed.gain_db, len(changed.points)) == (0.1, 2), "an arrow alters no points, and a gain none of them"
        await driver.press("i", "slash", *"dynamic", "enter", "enter")
        desk.to_row(Value(1, "sidechain"))
        await driver.press("right", "right")
        assert strip_of(desk, "bass").chain[1].sidechain == desk.bench.names[1]
        await driver.press("left", "left", "left")
        assert strip_of(desk, "bass").chain[1].sidechain == ""
        others = [name for name in desk.bench.names if name not in ("bass", MASTER)]
        await driver.press("equals_sign", *others[-1], "enter")
        assert strip_of(desk, "bass").chain[1].sidechain == others[-1]
        await driver.press("equals_sign", *"bass", "enter")
        assert "side-chain must be itself" in driver.text()


@covers("edit.undo", "edit.redo", "edit.repeat")
async def test_undo_redo_and_repeat(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        start = desk.bench.session
        await driver.press("3", "comma", "p")
        bass = strip_of(desk, "bass")
        assert (bass.gain_db, bass.polarity) == (-1.0, -1)
        await driver.press("2", "full_stop")
        assert strip_of(desk, "drums").polarity == -1
        changed = desk.bench.session
        await driver.press("u", "u", "u")
        assert desk.bench.session == start
        await driver.press("u")
        assert "nothing to undo" in driver.text()
        await driver.press("U", "ctrl+r", "U")
        assert desk.bench.session == changed


@covers("file.save")
async def test_saving_writes_the_session(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma")
        assert "not saved" in driver.text()
        assert files.load(session_path) != desk.bench.session
        await driver.press("W")
        assert files.load(session_path) == desk.bench.session
        assert "not saved" not in driver.text()


@covers("app.theme")
async def test_themes_go_round(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        seen = []
        for _ in range(3):
            await driver.press("F")
            seen.append(driver.app.theme)
        assert seen == ["light", "contrast", "dark"]


async def test_the_badge_goes_from_identical_to_rest_exact_and_back(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        assert "identical" in driver.text().splitlines()[0]
        await driver.press("3", "comma")
        await driver.until(lambda: "rest exact" in driver.text().splitlines()[0], "the proof")
        await driver.press("u")
        assert "identical" in driver.text().splitlines()[0]


async def test_edits_survive_a_crash_and_are_offered(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma", "p")
        await driver.until(lambda: desk.bench.editor.journaled, "the journal")
        left = desk.bench.session
        desk._lock_held.release()  # as the kernel does for a process that was killed
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.until(lambda: "without being saved" in driver.text(), "the question")
        await driver.press("r")
        assert desk.bench.session == left


async def test_leaving_asks_when_something_is_not_saved(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        await driver.press("3", "comma", "q")
        await driver.until(lambda: "is not saved" in driver.text(), "the question")
        await driver.press("escape")
        assert driver.app.is_running
        await driver.press("q")
        await driver.until(lambda: "is not saved" in driver.text(), "the question")
        await driver.press("s")
        await driver.until(lambda: not driver.app.is_running, "the end")
    assert files.load(session_path).strips["bass"].gain_db == -1.0


@covers("app.leave")
async def test_leaving_a_saved_session_asks_nothing(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running, "the end")


async def test_the_gain_of_a_lane_is_set_from_the_lanes(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("1", "left", "left")
        assert strip_of(desk, "vocals").gain_db == -0.2
        assert desk.bench.row == Fader("gain_db")
        assert len(desk.bench.editor.history.edits) == 2  # one step of undo
