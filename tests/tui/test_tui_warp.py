"""The warp editor under a pilot: beats, anchors, drags, the grid, taps, what is heard along the map, undo."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import soundfile
from test_tui_panels import covers
from tui_player import FakePlayer

from core.audition import messages as player
from core.events import Operation, Progress
from core.jobs import messages, operations
from core.jobs.warp_editor import Rhythm, keep_beats, kept_beats
from core.session import files, history
from core.session.document import Session
from core.session.timemap import TimeMap
from core.warp.rhythm.beats import Beats, Candidate
from tui.desk import warping
from tui.panels.grid import GridForm
from tui.panels.help import HelpPanel
from tui.panels.warp import WarpPanel
from tui.widgets.warp import Speeds, Warped

RATE, FRAMES = 44_100, 70_001
STEP = 11_025
MS = 44
BEATS = Beats(
    sample_rate=RATE, frames=FRAMES, at=tuple(range(2_000, FRAMES, STEP)), strengths_db=(6.0,) * 7, bpm=240.0,
    confidence=0.93, steady=True, candidates=(Candidate(240.0, 0.9), Candidate(120.0, 0.7)),
)  # fmt: skip
RHYTHM = Rhythm(BEATS, "drums", {"drums": 0.93}, (1_990, 7_000, 13_040, 24_050, 35_000))


@pytest.fixture(autouse=True)
def known_beats(monkeypatch: pytest.MonkeyPatch) -> list[Rhythm]:
    """What the worker finds."""
    found = [RHYTHM]

    def rhythm_of(session: Session, stems: Mapping[str, Path]) -> Operation[Rhythm]:
        yield Progress("listening", 1, 1)
        assert session.warp.identity
        return found[0]

    monkeypatch.setattr(operations, "rhythm_of", rhythm_of)
    return found


@pytest.fixture
def editor(workstation: Any, session_path: Path) -> Any:
    """Opens the warp editor once the beats are found: `async with editor() as (driver, desk, panel)`."""

    @asynccontextmanager
    async def open_(**words: Any) -> AsyncIterator[tuple[Any, Any, WarpPanel]]:
        async with workstation(session_path, **words) as driver:
            desk = await driver.opened()
            await driver.press("T")
            assert isinstance(driver.app.screen, WarpPanel)
            await driver.until(lambda: desk.bench.rhythm is not None, "the beats")
            yield driver, desk, driver.app.screen

    return open_


def warp_of(desk: Any) -> tuple[tuple[int, int], ...]:
    return desk.bench.session.warp.anchors


def cursor(desk: Any) -> int:
    return desk.bench.timeline.playhead


def lines(panel: WarpPanel, which: str) -> str:
    """A waveform as it is drawn."""
    widget = panel.query_one(f"#{which}", Warped)
    return "\n".join(widget.render_line(row).text for row in range(widget.size.height))


# ---- what is shown --------------------------------------------------------------------------------------------------


@covers("panel.warp", "warp.find", "warp.help", "warp.close")
async def test_beats_are_found_and_said_with_what_they_were_heard_in(editor, known_beats) -> None:
    async with editor() as (driver, desk, panel):
        assert "240.00 BPM steady  drums 0.93  7 beats, 4 a bar  or 120.0" in driver.text()
        assert "no anchors" in driver.text()
        assert lines(panel, "from").splitlines()[0].split() == ["▼", "1", "2"] or "1" in lines(panel, "from")
        known_beats[0] = Rhythm(Beats(sample_rate=RATE, frames=FRAMES), "mix", {}, ())
        await driver.press("f")
        await driver.until(lambda: "none were found in mix: tap them" in driver.text(), "none")
        await driver.press("g", "H", "greater_than_sign", "s")
        assert isinstance(driver.app.screen, WarpPanel)
        await driver.press("question_mark")
        assert isinstance(driver.app.screen, HelpPanel)
        assert "Drags the anchor by 1 ms." in driver.text()
        await driver.press("escape", "escape")
        assert driver.app.screen is desk


async def test_without_a_session_there_is_nothing_to_warp(workstation) -> None:
    async with workstation() as driver:
        await driver.press("T")
        assert driver.app.screen is driver.desk
        assert "nothing is open" in driver.desk.said


async def test_it_is_drawn_at_any_size(editor) -> None:
    async with editor() as (driver, _, panel):
        await driver.press("greater_than_sign", "greater_than_sign", "enter", *["semicolon"] * 3, "Z")
        for size in ((80, 24), (118, 36), (40, 12), (200, 50)):
            await driver.pilot.resize_terminal(*size)
            await driver.pilot.pause()
            await driver.pilot.pause()
            assert panel.query_one("#place").text.startswith(" anchor 2")
            assert "Esc" in driver.text()
            assert "◆" in panel.query_one("#speeds", Speeds).render_line(0).text
            above = lines(panel, "from").splitlines()
            column = above[0].index("◆", above[0].index("◆") + 1)
            assert {line[column] for line in above[1:]} == {"┃"}
            assert panel.query_one("#to").display is (size[1] >= 18)


# ---- going about ----------------------------------------------------------------------------------------------------


@covers(
    "warp.back", "warp.forward", "warp.beat_before", "warp.beat_after", "warp.attack_after", "warp.attack_before",
    "warp.anchor_before", "warp.anchor_after", "warp.start", "warp.end", "warp.snap",
)  # fmt: skip
async def test_the_cursor_goes_by_steps_beats_attacks_and_anchors(editor) -> None:
    async with editor() as (driver, desk, panel):
        await driver.press("l", "l", "h")
        assert cursor(desk) == FRAMES // 80
        await driver.press("greater_than_sign", "greater_than_sign")
        assert cursor(desk) == BEATS.at[1]
        assert "1.2" in panel.query_one("#place").text
        await driver.press("s")
        assert cursor(desk) == 13_040
        assert "1.2 +0 ms" not in panel.query_one("#place").text
        await driver.press("tab")
        assert cursor(desk) == 24_050
        await driver.press("shift+tab", "shift+tab")
        assert cursor(desk) == 7_000
        await driver.press("less_than_sign", "enter", "end")
        assert cursor(desk) == FRAMES
        await driver.press("left_curly_bracket")
        assert cursor(desk) == BEATS.at[0]
        assert panel.held == BEATS.at[0]
        await driver.press("left_curly_bracket")
        assert "no anchor comes before" in driver.text()
        await driver.press("home", "right_curly_bracket")
        assert cursor(desk) == BEATS.at[0]
        await driver.press("home")
        assert cursor(desk) == 0


@covers("warp.zoom_in", "warp.zoom_out", "warp.zoom_loop", "warp.zoom_all")
async def test_zoom(editor) -> None:
    async with editor() as (driver, desk, panel):
        await driver.press("plus", "plus")
        assert desk.bench.timeline.shown == pytest.approx(FRAMES / 4, abs=2)
        await driver.press("minus")
        assert desk.bench.timeline.shown == pytest.approx(FRAMES / 2, abs=2)
        await driver.press("Z")
        assert desk.bench.timeline.shown == FRAMES
        await driver.press(*["plus"] * 9)
        await driver.until(lambda: panel._near is not None, "the samples")
        await driver.press("z")  # four bars are more than there is
        assert desk.bench.timeline.shown == FRAMES
        await driver.press("escape", "tab", "tab", *["l"] * 9, "left_square_bracket", "T", "z")
        desk.look(desk.bench.timeline.looped((10_000, 20_000)))
        await driver.press("z")
        assert desk.bench.timeline.shown == 11_000


# ---- anchors --------------------------------------------------------------------------------------------------------


@covers("warp.set", "warp.remove", "warp.undo", "warp.redo")
async def test_anchors_are_set_taken_away_undone_and_saved_as_they_are_made(editor, session_path: Path) -> None:
    async with editor() as (driver, desk, panel):
        await driver.press("greater_than_sign", "greater_than_sign", "enter")
        assert warp_of(desk) == ((BEATS.at[1], BEATS.at[1]),)
        assert panel.held == BEATS.at[1]
        await driver.press("greater_than_sign", "i", "less_than_sign", "d")
        assert warp_of(desk) == ((BEATS.at[2], BEATS.at[2]),)
        await driver.press("u")
        assert len(warp_of(desk)) == 2
        await driver.press("u", "U")
        assert len(warp_of(desk)) == 2
        await driver.until(lambda: desk.bench.editor.journaled, "the journal")
        present = history.load(session_path).present
        assert present is not None
        assert present.session.warp.anchors == warp_of(desk)
        await driver.press("home", "d")
        assert "no anchor is here" in driver.text()


@covers("warp.earlier", "warp.later", "warp.much_earlier", "warp.much_later", "warp.frame_earlier", "warp.frame_later")
async def test_a_drag_moves_all_that_follows_and_is_one_step_of_undo(editor) -> None:
    async with editor() as (driver, desk, panel):
        await driver.press("greater_than_sign", "greater_than_sign", "right")
        assert "no anchor is here: Enter sets one" in driver.text()
        await driver.press("enter", "right", "right", "left", "semicolon", "comma", "shift+right", "right_parenthesis")
        await driver.press("right_parenthesis", "left_parenthesis")
        moved = MS + 441 + 1
        # a beat before it is held, so that only that beat is stretched
        assert warp_of(desk) == ((BEATS.at[0], BEATS.at[0]), (BEATS.at[1], BEATS.at[1] + moved))
        assert desk.bench.session.frames == FRAMES + moved
        assert "+11.020 ms" in panel.query_one("#place").text
        assert "speed -4.22%, then as it is" in panel.query_one("#place").text
        await driver.press("u")
        assert warp_of(desk) == ((BEATS.at[1], BEATS.at[1]),)


@covers("warp.alone", "warp.type", "warp.default")
async def test_a_local_drag_leaves_everything_outside_as_it_is(editor) -> None:
    async with editor() as (driver, desk, panel):
        await driver.press("greater_than_sign", "greater_than_sign", "enter", "o", "semicolon")
        assert "local" in driver.text().splitlines()[0]
        first, second, third = BEATS.at[:3]
        assert warp_of(desk) == ((first, first), (second, second + 441), (third, third))
        assert desk.bench.session.frames == FRAMES
        assert "speed -3.85%, then +4.17%" in panel.query_one("#place").text
        await driver.press("equals_sign", "ctrl+u", *"+20ms", "enter")
        assert warp_of(desk)[1] == (second, second + 882)
        await driver.press("equals_sign", "ctrl+u", *"nowhere", "enter")
        assert "is no place" in driver.text()
        await driver.press("escape", "backspace")
        assert warp_of(desk)[1] == (second, second)
        await driver.press("equals_sign", "ctrl+u", *"+1s", "enter")
        assert "anchor" in driver.notices()
        assert warp_of(desk)[1] == (second, second)


@covers("warp.curve", "warp.clear")
async def test_the_curve_glides_and_the_map_is_cleared(editor) -> None:
    async with editor() as (driver, desk, _):
        await driver.press("v", "V")
        assert "there is no map to take out" in driver.text()
        await driver.press("greater_than_sign", "greater_than_sign", "enter", "semicolon", "v")
        assert desk.bench.session.warp.curve == "smooth"
        assert "gliding" in driver.text()
        await driver.press("v")
        assert desk.bench.session.warp.curve == "straight"
        await driver.press("V")
        assert warp_of(desk) == ()
        await driver.press("u")
        assert len(warp_of(desk)) == 2


@covers("warp.grid", "warp.steady")
async def test_beats_come_onto_a_grid_and_all_of_it_to_another_tempo(editor) -> None:
    async with editor(size=(118, 36)) as (driver, desk, _):
        await driver.press("g")
        assert isinstance(driver.app.screen, GridForm)
        assert "own, 240.00" in driver.text()
        await driver.press("equals_sign", "ctrl+u", *"300%", "enter")
        assert "a strength of 300%" in driver.text()
        await driver.press("escape", "j", "equals_sign", "ctrl+u", *"250", "enter", "enter")
        assert len(warp_of(desk)) == 7
        steps = {after[1] - before[1] for before, after in zip(warp_of(desk), warp_of(desk)[1:], strict=False)}
        assert steps == {round(60 * RATE / 250)}
        assert "7 beats 100% onto a grid at 250 BPM" in driver.text()
        await driver.press("G", "ctrl+u", *"120", "enter")
        assert warp_of(desk) == ((0, 0), (FRAMES, FRAMES))  # 240 may be 120 counted twice
        await driver.press("G", "ctrl+u", *"130", "enter")
        assert warp_of(desk)[1] == (FRAMES, round(FRAMES * 120 / 130))
        await driver.press("G", "ctrl+u", *"9000", "enter")
        assert "a tempo of 9000" in driver.text()


# ---- beats ----------------------------------------------------------------------------------------------------------


@covers(
    "warp.half", "warp.double", "warp.downbeat", "warp.meter", "warp.number", "warp.put_beat", "warp.drop_beat",
    "warp.move_beat",
)  # fmt: skip
async def test_beats_are_put_right_and_that_is_undone_too(editor) -> None:
    async with editor() as (driver, desk, _):

        def beats() -> Beats:
            return desk.bench.rhythm.beats

        await driver.press("D")
        assert (len(beats().at), beats().bpm) == (13, 480.0)
        await driver.press("H")
        assert (beats().at, beats().bpm) == (BEATS.at, 240.0)
        await driver.press("H")
        assert "half of 7 beats is too few" in driver.notices()
        await driver.press("u", "u")
        assert beats() == BEATS
        await driver.press("U", "u", "greater_than_sign", "greater_than_sign", "B")
        assert [place.beat for place in beats().places()][:2] == [4, 1]
        await driver.press("M", "ctrl+u", "3", "enter")
        assert beats().meter == 3
        await driver.press("M", "ctrl+u", "9", "9", "enter")
        assert "a bar of 99 beats" in driver.text()
        await driver.press("escape", "N", "ctrl+u", "minus", "4", "enter")
        assert beats().first_bar == -4
        await driver.press("l", "l", "l", "p")
        assert len(beats().at) == 8
        await driver.press("x")
        assert len(beats().at) == 7
        await driver.press("l", "m")
        assert cursor(desk) in beats().at
        assert warp_of(desk) == ()
        await driver.press("enter", "u")
        assert cursor(desk) in beats().at  # the anchor was newer
        await driver.press("u")
        assert cursor(desk) not in beats().at
        await driver.press(*"uuuuu")
        assert beats() == BEATS


@covers("warp.tap", "warp.toggle")
async def test_taps_while_it_plays_become_beats(
    editor, make_player, players: list[FakePlayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with editor(make_player=make_player) as (driver, desk, _):
        await driver.press("t")
        assert "nothing plays: Space plays" in driver.text()
        await driver.press("space")
        (fake,) = players
        assert fake.last(player.Play) == player.Play(True, 0)
        now = [100.0]
        monkeypatch.setattr(warping, "time", SimpleNamespace(monotonic=lambda: now[0]))
        for number, beat in enumerate((2_000, 13_025, 24_050, 35_075, 46_100)):
            now[0] = 100.0 + beat / RATE
            desk.heard(player.Heard(True, beat, stream="repair"))
            now[0] += 0.02  # fingers are late
            await driver.press("t")
            assert f"tap {number + 1} at" in desk.said
        assert "5 taps" in driver.text()
        monkeypatch.undo()
        fake.tell(player.Heard(False, 50_000))
        await driver.until(lambda: desk.bench.rhythm.reference == "taps", "the beats")
        assert "5 beats of 5 taps" in driver.text()
        assert "ms late" in desk.said
        assert all(abs(one - other) <= 100 for one, other in zip(desk.bench.rhythm.beats.at, BEATS.at, strict=False))
        assert desk.bench.rhythm.beats.bpm == pytest.approx(240.0, abs=1.0)
        await driver.press("u")
        assert desk.bench.rhythm == RHYTHM


async def test_too_few_taps_are_no_beats(editor, make_player, players: list[FakePlayer]) -> None:
    async with editor(make_player=make_player) as (driver, desk, _):
        await driver.press("space")
        desk.heard(player.Heard(True, 2_000))
        await driver.press("t", "space")
        assert players[0].last(player.Play) == player.Play(False, None)
        assert "1 taps are too few" in driver.text()
        assert desk.bench.rhythm == RHYTHM


@covers("warp.loop_first", "warp.loop_last", "warp.loop")
async def test_local_with_a_loop_straightens_what_is_in_it_and_nothing_else(editor, known_beats) -> None:
    uneven = (2_000, 13_025, 25_000, 35_075, 46_100, 57_125, 68_150)
    known_beats[0] = msgspec.structs.replace(RHYTHM, beats=msgspec.structs.replace(BEATS, at=uneven))
    async with editor() as (driver, desk, _):
        await driver.press("o", "g")
        assert "local: [ and ] set the loop" in driver.text()
        await driver.press(*["greater_than_sign"] * 2, "left_square_bracket")
        await driver.press(*["greater_than_sign"] * 2, "right_square_bracket", "backslash", "backslash")
        loop = desk.bench.timeline.loop
        assert (loop.first, loop.last, loop.on) == (13_025, 35_075, True)
        await driver.press("g")
        assert "of the loop" in driver.text()
        await driver.press("enter")
        assert warp_of(desk) == ((13_025, 13_025), (25_000, 24_050), (35_075, 35_075))


async def test_beats_that_were_put_right_are_there_the_next_time(
    editor, workstation, session_path: Path, known_beats
) -> None:
    async with editor() as (driver, desk, _):
        await driver.press("greater_than_sign", "greater_than_sign", "B")
        right = desk.bench.rhythm
        await driver.until(lambda: kept_beats(session_path, desk.bench.session.source) == right, "the file")
        desk.let_go()
    known_beats.clear()
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("T")
        assert desk.bench.rhythm == right


def test_beats_of_another_file_are_not_taken(session_path: Path) -> None:
    source = files.load(session_path).source
    assert kept_beats(session_path, source) is None
    keep_beats(session_path, RHYTHM)
    assert kept_beats(session_path, source) == RHYTHM
    assert kept_beats(session_path, msgspec.structs.replace(source, frames=1)) is None
    session_path.with_name("song.unbake.beats").write_text("{}")
    assert kept_beats(session_path, source) is None


# ---- listening ------------------------------------------------------------------------------------------------------


@covers("warp.hear", "warp.click", "warp.source", "warp.repair")
async def test_what_it_becomes_is_heard_with_a_click_and_the_session_again_after_it(
    editor, make_player, players: list[FakePlayer]
) -> None:
    async with editor(make_player=make_player) as (driver, desk, _):
        await driver.press("a")
        (fake,) = players
        assert fake.last(player.Choose).stream == "source"
        fake.tell(player.Heard(False, 0, stream="source"))
        await driver.until(lambda: desk.bench.heard.stream == "source", "the stream")
        await driver.press("greater_than_sign", "greater_than_sign", "enter", "semicolon")
        before = cursor(desk)
        await driver.press("w")
        await driver.until(lambda: desk.heard_aside, "the stretch")
        show = fake.last(player.Show)
        sound, rate = soundfile.read(show.session.source.path)
        length = desk.bench.session.frames - (BEATS.at[1] + 441)
        assert (len(sound), rate) == (length, RATE)
        click, _ = soundfile.read(show.stems["click"])
        assert len(click) == length
        assert abs(click[:2]).max() < 0.05 < abs(click[:2000]).max()
        assert fake.last(player.Choose).stream == "repair"
        assert fake.last(player.MatchLevels).on is False
        assert fake.last(player.Play) == player.Play(True, 0)
        fake.tell(player.Heard(True, 5_000, match=False))
        await driver.until(lambda: "playing: warped" in driver.text(), "the playing")
        assert cursor(desk) == BEATS.at[1] + 5_000
        await driver.press("c")
        assert fake.last(player.Choose).stream == "source"
        await driver.press("t")
        assert "taps are beats of the source" in driver.text()
        fake.tell(player.Heard(False, length, match=False))
        await driver.until(lambda: not desk.heard_aside, "the end")
        assert cursor(desk) == before
        show = fake.last(player.Show)
        assert show.session == desk.bench.session.unwarped
        assert (fake.last(player.Choose).stream, fake.last(player.MatchLevels).on) == ("source", True)
        assert fake.last(player.Seek).frame == before
        await driver.press("w")
        await driver.until(lambda: desk.heard_aside, "the stretch")
        await driver.press("b")
        assert not desk.heard_aside
        assert fake.last(player.Choose).stream == "repair"


async def test_a_stretch_is_left_when_one_goes_elsewhere_and_when_the_editor_is(
    editor, make_player, players: list[FakePlayer]
) -> None:
    async with editor(make_player=make_player) as (driver, desk, _):
        for leave in ("greater_than_sign", "w", "space", "escape"):
            await driver.press("w")
            await driver.until(lambda: desk.heard_aside, "the stretch")
            await driver.press(leave)
            assert not desk.heard_aside, leave
            assert players[0].last(player.Show).session == desk.bench.session.unwarped
        assert driver.app.screen is desk


async def test_a_player_that_went_leaves_the_stretch(editor, make_player, players: list[FakePlayer]) -> None:
    async with editor(make_player=make_player) as (driver, desk, _):
        await driver.press("w")
        await driver.until(lambda: desk.heard_aside, "the stretch")
        players[0].tell(player.Gone("the player died"))
        await driver.until(lambda: not desk.heard_aside, "the end")
        assert "the player died" in driver.notices()


async def test_the_end_of_the_file_leaves_nothing_to_hear(editor) -> None:
    async with editor() as (driver, desk, _):
        await driver.press("end", "w")
        assert "nothing comes after the cursor" in driver.text()
        assert not desk.heard_aside


# ---- the desk -------------------------------------------------------------------------------------------------------


async def test_the_desk_says_that_there_is_a_map_and_the_badge_stays_right(editor) -> None:
    async with editor(size=(118, 36)) as (driver, desk, _):
        await driver.press("greater_than_sign", "greater_than_sign", "enter", "semicolon", "escape")
        assert "warp 2 anchors" in driver.text()
        await driver.until(lambda: desk.bench.check is not None, "the proof")
        await driver.until(lambda: "rest exact" in driver.text(), "the badge")
        await driver.press("T", "V", "escape")
        assert "warp" not in driver.text().splitlines()[9]
        await driver.until(lambda: "identical" in driver.text(), "the badge")


async def test_a_session_to_look_at_is_not_warped(workstation, session_path: Path) -> None:
    async with workstation(session_path, read_only=True) as driver:
        desk = await driver.opened()
        await driver.press("T", "enter")
        assert "read only" in driver.text()
        assert warp_of(desk) == ()


async def test_a_map_of_a_session_file_is_shown(workstation, session_path: Path) -> None:
    session = files.load(session_path)
    time_map = TimeMap(((0, 0), (40_000, 44_000)))
    session_path.write_text(files.dumps(msgspec.structs.replace(session, warp=time_map)))
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("T", "Z")
        assert "2 anchors  0:01.587 to 0:01.678" in driver.text()
        assert "-9.09%" in driver.text()
        await driver.press("right_curly_bracket")
        assert cursor(desk) == 40_000
        assert "+90.703 ms" in driver.text()


def test_the_requests_of_the_editor_go_over_the_wire(session_path: Path) -> None:
    session = files.load(session_path)
    for request in (
        messages.FindBeats(session=session, stems={"drums": "x.wav"}),
        messages.HearWarp(session=session, stems={}, first=1, last=2, beats=(1,), bars=(1,)),
    ):
        order = messages.decode_order(messages.encode(messages.Run(1, request)))
        assert isinstance(order, messages.Run)
        assert messages.as_request(order.request) == request
