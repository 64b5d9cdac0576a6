"""The null panels as instruments: what they draw and say as pure functions, and their keys under a pilot."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from test_tui_panels import covers
from tui_player import FakePlayer

from core.audition import messages as player
from core.handover.checks import Check
from core.measure.course import NO_COURSE, Course
from core.measure.figures import Band, Level, Place
from core.recombine.check import ChangeBand, SessionCheck, StripChange
from core.session import files
from core.session.document import Session
from core.session.edits import Change
from tui.config import Config
from tui.desk import base
from tui.panels import residuals
from tui.panels.instrument import BEFORE_SECONDS
from tui.panels.null import ComparisonPanel, NullPanel
from tui.panels.residuals import PREDICTION, WHOLE
from tui.widgets.residual import BandChart, CourseChart, Scale
from tui.widgets.rows import Row

RATE = 44_100
EDGES = (0.0, 100.0, 1000.0, 10_000.0)


def text_of(row: Row) -> str:
    """A row as it is read."""
    return " ".join(" ".join(cell.text for cell in row.cells).split())


def a_check(**fields: Any) -> SessionCheck:
    """A check of two strips, of which the first one is silent."""
    bands = [
        ChangeBand(low, high, -20.0, level)
        for (low, high), level in zip(pairwise(EDGES), (-60, -40, None), strict=True)
    ]
    of_bass = tuple(Band(band.low_hz, band.high_hz, band.change_rms_dbfs) for band in bands)
    silent = tuple(Band(band.low_hz, band.high_hz, None) for band in bands)
    bass = StripChange(
        "bass", -30.0, -39.9, of_bass, Place(66_150, 1, 1.5, -30.0), Course(1.0, (-50.0, -30.0), (-60.0, -41.0))
    )
    made = SessionCheck(
        identical=False, rest_dbfs=-310.0, master_active=False, change=Level(-30.0, -39.9, -41.0), bands=tuple(bands),
        strips=(StripChange("vocals", None, None, silent, None, Course(1.0, (None, None), (None, None))), bass),
        stem_sum_known=True, stem_sum_dbfs=None, overs=0, peak_dbfs=-3.0, worst=bass.worst, course=bass.course,
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


# ---- values and rows ------------------------------------------------------------------------------------------------


def test_a_check_gives_the_whole_change_and_every_strip_with_its_number_in_the_lanes() -> None:
    whole, vocals, bass = residuals.of_check(a_check(), ("vocals", "drums", "bass", "other", "residual", "master"))
    assert [(each.key, each.number, each.strip) for each in (whole, vocals, bass)] == [
        (WHOLE, 0, None),
        ("vocals", 1, "vocals"),
        ("bass", 3, "bass"),
    ]
    assert whole.edges_hz == bass.edges_hz == EDGES
    assert whole.whole_db == bass.whole_db == (-20.0, -20.0, -20.0)
    assert whole.left_db == bass.left_db == (-60, -40, None)
    assert whole.strongest == (100.0, 1000.0, -40)
    assert (vocals.strongest, vocals.worst) == (None, None)


def test_a_strip_beyond_the_ninth_lane_has_no_number() -> None:
    names = tuple(f"other-{number}" for number in range(9))
    _, vocals, bass = residuals.of_check(a_check(), (*names, "bass", "vocals"))
    assert (vocals.number, bass.number) == (None, None)


def test_what_can_be_chosen_says_peak_rms_place_and_band() -> None:
    whole, vocals, _ = residuals.of_check(a_check(), ("vocals", "bass"))
    assert text_of(residuals.choice(whole, True, RATE)) == "● 0 all of it -30.0 -39.9 0:01.500 100 - 1k Hz"
    assert text_of(residuals.choice(vocals, False, RATE)) == "1 vocals - -"


@pytest.mark.parametrize(
    ("fields", "expected", "style"),
    [
        ({}, "verdict rest exact to -310.0 dBFS peak (must be under -140)", "good"),
        ({"rest_dbfs": None}, "verdict rest exact to the last bit (must be under -140)", "good"),
        ({"rest_dbfs": -100.0}, "verdict the rest MOVED: -100.0 dBFS peak off source + changes", "bad"),
        ({"identical": True}, "verdict identical: the edits cancel, every sample is the source's", "good"),
    ],
)
def test_the_verdict_of_the_live_check(session_path: Path, fields: dict[str, Any], expected: str, style: str) -> None:
    session = with_an_edit(session_path)
    rows = residuals.of_session(
        session, a_check(**fields), needs_stems=False, stem_sum_dbfs=None, unsteady=("odd.vst3",)
    )
    assert text_of(rows[0]) == expected
    assert rows[0].cells[-1].style == style
    assert any("odd.vst3 does not give the same sound twice" in text_of(row) for row in rows) is (style == "bad")


def test_overs_and_the_sum_of_stems_are_told(session_path: Path) -> None:
    session = with_an_edit(session_path)
    check = a_check(overs=17, peak_dbfs=0.42, master_active=True)
    rows = residuals.of_session(session, check, needs_stems=False, stem_sum_dbfs=-151.0)
    said = [text_of(row) for row in rows]
    assert "overs 17 samples over full scale, peak 0.42 dBFS" in said
    assert "the change -41.0 LUFS; master stage included" in said
    assert "stem sum source less stems and residual: -151.0 dBFS peak" in said


def with_an_edit(session_path: Path) -> Session:
    """The session with an edit."""
    return files.set_values(files.load(session_path), ["strips.bass.gain_db=-6"])


@pytest.mark.parametrize(
    ("check", "expected", "style"),
    [
        (
            Check("predicted", -151.6271, "dBFS rms", "at most -120", True),
            "-151.6 dBFS rms predicted at most -120",
            "good",
        ),
        (Check("differ", 15_875_390.0, "", "none", False), "15875390 differ none", "bad"),
        (Check("stems", None, "dBFS peak", "at most -140", True), "none dBFS peak stems at most -140", "good"),
        (Check("drift", 0.0, "ppm", "", None), "0 ppm drift", "dim"),
        (Check("delay", -0.000005, "samples", "", None), "-0.000005 samples delay", "dim"),
    ],
)
def test_a_check_is_passed_failed_or_told(check: Check, expected: str, style: str) -> None:
    row = residuals.checked(check)
    assert text_of(row) == f"{ {'good': 'pass', 'bad': 'FAIL', 'dim': 'told'}[style] } {expected}"
    assert row.cells[1].style == style


def test_how_many_checks_there_are_is_counted_and_the_first_that_failed_named() -> None:
    good = [Check("null", -150.0, "dBFS", "", True), Check("drift", 0.0, "ppm", "", None)]
    assert text_of(residuals.counted(good)) == "checks 1 pass, 1 told"
    row = residuals.counted(
        [*good, Check("polarity", -1.0, "", "the same", False), Check("gain", 9.0, "dB", "", False)]
    )
    assert text_of(row) == "checks 1 pass, 1 told, 2 FAIL: polarity"
    assert row.cells[-1].style == "bad"


def test_the_sum_of_bands_is_their_power() -> None:
    assert residuals.sum_of([Band(0, 10, -100.0), Band(10, 20, None), Band(20, 30, -100.0)]) == pytest.approx(-96.9897)
    assert residuals.sum_of([Band(0, 10, None)]) is None


def test_scales_are_in_tens_and_show_the_weakest_too() -> None:
    assert Scale.of((-12.3, -40.0), (-45.0,)) == Scale(-10.0, -80.0)
    assert Scale.of((-12.3,), (-151.0,)) == Scale(-10.0, -190.0)
    assert Scale.of((), ()) == Scale(0.0, -60.0)
    assert Scale.of((None,), (-310.0,)) == Scale(-160.0, -220.0)
    assert Scale.of((-155.0,), (-165.0,)) == Scale(-150.0, -210.0)


def test_one_scale_is_for_all_strips() -> None:
    found = residuals.of_check(a_check(), ("vocals", "bass"))
    assert residuals.spectrum_scale(found) == Scale(-20.0, -80.0)
    assert residuals.course_scale(found) == Scale(-30.0, -90.0)


# ---- the panel ------------------------------------------------------------------------------------------------------


def bars(panel: Any) -> str:
    """The spectrum as it is drawn."""
    chart = panel.query_one(BandChart)
    return "\n".join(chart.render_line(row).text for row in range(chart.size.height))


def course(panel: Any) -> str:
    """The course as it is drawn."""
    chart = panel.query_one(CourseChart)
    return "\n".join(chart.render_line(row).text for row in range(chart.size.height))


async def edited(driver: Any) -> Any:
    """The desk with two strips changed, once that is proved."""
    desk = await driver.opened()
    await driver.press("3", "comma", "1", "comma")
    await driver.until(lambda: desk.bench.check is not None, "the proof")
    return desk


async def rendered(driver: Any, desk: Any) -> None:
    """Renders as the form suggests it."""
    await driver.press("R", "enter")
    await driver.until(lambda: desk.bench.rendered is not None, "the render")


@covers("panel.null", "null.pick_0", *(f"null.pick_{number}" for number in range(1, 10)))
async def test_the_null_panel_draws_the_change_or_what_one_strip_adds(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(120, 45)) as driver:
        desk = await driver.opened()
        await driver.press("N")
        panel = driver.app.screen
        assert isinstance(panel, NullPanel)
        assert "identical: nothing is edited" in driver.text()
        await driver.press("escape")
        desk = await edited(driver)
        await driver.press("N")
        panel = driver.app.screen
        await driver.until(lambda: "rest exact" in driver.text(), "the figures")
        assert panel.shown.key == WHOLE
        whole = bars(panel), course(panel)
        assert "⣿" in whole[0]
        assert "⣿" in whole[1]
        await driver.press("j")
        assert panel.shown.key == "vocals"
        vocals = bars(panel), course(panel)
        await driver.press("3")
        assert panel.shown.key == panel.list.chosen_key == "bass"
        assert len({whole, vocals, (bars(panel), course(panel))}) == 3
        await driver.press("2", "4", "5", "6", "7", "8", "9")
        assert panel.shown.key == "bass"
        assert "drums is not changed: it adds nothing" in driver.notices()
        assert "nothing has the number 9 here" in driver.notices()
        await driver.press("k")
        assert panel.shown.key == "vocals"
        await driver.press("0")
        assert (bars(panel), course(panel)) == whole
        await driver.press("1", "end")
        assert panel.shown.key == "vocals", "a figure is nothing to be drawn, so what was stays"
        assert desk.bench.check.strips[0].name == "vocals"


async def test_enter_goes_to_the_worst_place_and_the_panel_stays(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(80, 24)) as driver:
        desk = await edited(driver)
        await driver.press("N", "3", "enter")
        bass = desk.bench.check.strips[1]
        assert bass.worst.frame > 0
        assert desk.bench.timeline.playhead == bass.worst.frame
        assert isinstance(driver.app.screen, NullPanel)
        await driver.press("0", "enter")
        assert desk.bench.timeline.playhead == desk.bench.check.worst.frame
        assert "worst place" in driver.text().splitlines()[-1]


@covers("null.hear", "null.toggle", "null.source", "null.repair")
async def test_the_difference_is_heard_at_its_worst_place_of_one_strip_or_all(
    workstation, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(session_path, size=(80, 24), make_player=make_player) as driver:
        desk = await edited(driver)
        await driver.press("2", "m", "N", "3", "n")
        (fake,) = players
        worst = desk.bench.check.strips[1].worst.frame
        start = max(0, worst - round(BEFORE_SECONDS * RATE))
        assert fake.last(player.Choose).stream == "difference"
        assert fake.last(player.Play) == player.Play(True, start)
        assert fake.last(player.Show).listening.solo == {"bass"}
        fake.tell(player.Opened("card", device="Babyface"))
        fake.tell(player.Heard(playing=True, stream="difference", frame=worst + 100))
        await driver.until(lambda: "playing: difference, of bass" in driver.text().splitlines()[0], "what is heard")
        await driver.press("0", "n")
        assert not fake.last(player.Show).listening.solo
        assert fake.last(player.Show).listening.mute == {"drums"}, "as it was before"
        await driver.press("a")
        assert fake.last(player.Choose).stream == "source"
        await driver.press("b")
        assert fake.last(player.Choose).stream == "repair"
        await driver.press("space")
        assert fake.last(player.Play) == player.Play(False, None)
        await driver.press("3", "n", "escape")
        assert (desk.bench.solo, desk.bench.mute) == (frozenset(), {"drums"})
        assert fake.last(player.Show).listening.solo == frozenset()


async def test_the_playhead_moves_in_the_panel_and_seldom_over_a_slow_line(
    workstation, session_path: Path, make_player, players: list[FakePlayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "SELDOM_SECONDS", 0.4)
    slow = Config(low_bandwidth=True)
    async with workstation(session_path, size=(100, 30), make_player=make_player, config=slow) as driver:
        desk = await edited(driver)
        await driver.press("N", "space")
        panel, drawn = driver.app.screen, []
        monkeypatch.setattr(panel, "_draw_title", lambda: drawn.append(desk.bench.timeline.playhead))
        frames = [4000 * step for step in range(1, 13)]
        for frame in frames:
            players[0].tell(player.Heard(playing=True, frame=frame))
            await driver.until(lambda frame=frame: desk.bench.timeline.playhead == frame, "the playhead")
        await driver.until(lambda: frames[-1] in drawn, "the last place")
        assert len(drawn) < len(frames)
        await driver.press("escape")
        players[0].tell(player.Heard(playing=True, frame=60_000))
        await driver.until(lambda: desk.bench.timeline.playhead == 60_000, "the playhead")


async def test_the_panel_follows_an_edit_and_keeps_the_choice(
    workstation, session_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await edited(driver)
        await driver.press("N", "3")
        panel = driver.app.screen
        await driver.until(lambda: not desk.bench.checking and desk.bench.check is not None, "the check of opening it")
        before = bars(panel)
        hold = driver.hold_jobs(monkeypatch)
        desk.edit(lambda now: typed(now, ["strips.drums.gain_db=-3", "strips.bass.gain_db=-12"]))
        await driver.until(lambda: "being checked" in driver.text().splitlines()[0], "that it is old")
        assert bars(panel) == before
        hold.set()
        await driver.until(lambda: desk.bench.check is not None, "the new check")
        assert panel.shown.key == panel.list.chosen_key == "bass"
        assert bars(panel) != before
        assert [row.key for row in panel.list.rows if isinstance(row.key, str)] == [WHOLE, "vocals", "drums", "bass"]
        assert "being checked" not in driver.text()
        desk.edit(lambda now: typed(now, ["strips.bass.gain_db=0"]))
        await driver.until(lambda: desk.bench.check is not None, "the check without the bass")
        assert panel.shown.key == WHOLE


def typed(session: Session, assignments: list[str]) -> Change:
    """An edit as the palette makes it."""
    return Change(files.set_values(session, assignments), "set", None)


@covers("null.side")
async def test_after_a_render_the_written_file_is_shown_with_its_prediction_and_checks(
    workstation, session_path: Path
) -> None:
    async with workstation(session_path, size=(200, 50)) as driver:
        desk = await edited(driver)
        await driver.press("N", "tab")
        assert "nothing was rendered yet: R on the desk renders" in driver.notices()
        await driver.press("escape")
        await rendered(driver, desk)
        await driver.press("N")
        panel = driver.app.screen
        assert "after: song.repaired.wav" in driver.text().splitlines()[0]
        live = panel.shown
        await driver.press("tab")
        written = panel.shown
        figures = desk.bench.rendered.figures
        assert written.left_db == tuple(band.rms_dbfs for band in figures.bands)
        assert written.peak_dbfs == pytest.approx(live.peak_dbfs, abs=0.001)
        assert written.worst == figures.worst
        said = driver.text()
        for words in (
            "verdict         rest exact to -13",
            "deltas as predicted, worst third octave",
            "pass",
            "told",
            "loudness",
            "delay",
            "drift",
            "coherence",
            "comb",
        ):
            assert words in said, words
        await driver.press("1")
        assert panel.shown.key == PREDICTION
        assert panel.shown.left_db == tuple(band.rms_dbfs for band in desk.bench.rendered.prediction)
        assert max(level for level in panel.shown.left_db if level is not None) < -140.0
        assert "told by bands only" in course(panel)
        await driver.press("enter")
        assert "no place stands out" in driver.notices()
        await driver.press("0", "enter")
        assert desk.bench.timeline.playhead == figures.worst.frame
        await driver.press("tab")
        assert panel.shown.peak_dbfs == live.peak_dbfs


async def test_a_session_that_was_edited_since_is_not_taken_for_the_file(
    workstation, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(session_path, size=(100, 40), make_player=make_player) as driver:
        desk = await edited(driver)
        await rendered(driver, desk)
        await driver.press("N", "tab", "n")
        assert players[0].last(player.Choose).stream == "difference", "the session is still the file's"
        await driver.press("escape", "3", "comma")
        orders = len(players[0].orders)
        await driver.press("N", "tab", "n")
        assert "the session was edited since" in driver.text()
        assert "is that of the session, not this one" in driver.notices()
        assert not [order for order in players[0].orders[orders:] if isinstance(order, player.Choose)]
        assert "hear it" not in driver.text()
        assert desk.bench.edited_since_render
        await driver.press("escape", "u")
        assert not desk.bench.edited_since_render


async def test_a_file_that_is_not_what_the_session_says_fails_in_words(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await edited(driver)
        await rendered(driver, desk)
        whole = desk.bench.rendered
        proof = msgspec.structs.replace(whole.certificate.certificate, render_residual_dbfs=-60.0)
        certificate = msgspec.structs.replace(whole.certificate, certificate=proof, passed=False)
        desk.bench.rendered = msgspec.structs.replace(whole, certificate=certificate)
        await driver.press("N", "tab")
        assert "FAILS: -60.00 dBFS off source + changes (rounding + dither allow -13" in driver.text()


async def test_a_render_that_ends_while_the_panel_is_open_can_be_looked_at(
    workstation, session_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workstation(session_path, size=(100, 40)) as driver:
        desk = await edited(driver)
        hold = driver.hold_jobs(monkeypatch)
        await driver.press("R", "enter", "N")
        assert "after:" not in driver.text().splitlines()[0]
        hold.set()
        await driver.until(lambda: desk.bench.rendered is not None, "the render")
        await driver.until(lambda: "after: song.repaired.wav" in driver.text().splitlines()[0], "the other side")


async def test_a_render_of_nothing_is_identical(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(100, 40)) as driver:
        desk = await driver.opened()
        await rendered(driver, desk)
        await driver.press("N", "tab")
        assert "identical to the source, sample for sample" in driver.text()
        await driver.press("enter")
        assert "no place stands out" in driver.notices()


@covers("file.compare")
async def test_two_files_are_compared_gone_to_and_heard(
    workstation, song: Path, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    sound, rate = soundfile.read(song)
    sound[50_000, 1] += 0.25
    other = song.with_name("other.wav")
    soundfile.write(other, sound, rate, subtype="PCM_24")
    async with workstation(session_path, size=(160, 50), make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("A", "ctrl+u", *str(other), "enter")
        await driver.until(lambda: isinstance(driver.app.screen, ComparisonPanel), "the result")
        panel, said = driver.app.screen, driver.text()
        for words in ("song.wav - other.wav", "FAILS", "null depth", "why", "ceiling", "loudness", "comb", "0:01.133"):
            assert words in said, words
        assert "⣿" in bars(panel)
        await driver.press("enter")
        assert desk.bench.timeline.playhead == 50_000
        assert "hear it" not in driver.text()
        await driver.press("n")
        assert "is that of the session, not this one" in driver.notices()
        await driver.press("space")
        assert players[0].last(player.Play) == player.Play(True, 50_000)


async def test_the_last_render_is_what_the_source_is_compared_with_and_is_heard(
    workstation, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(session_path, size=(100, 40), make_player=make_player) as driver:
        desk = await edited(driver)
        await rendered(driver, desk)
        await driver.press("A", "enter")
        await driver.until(lambda: isinstance(driver.app.screen, ComparisonPanel), "the result")
        assert "hear it" in driver.text()
        await driver.press("n")
        assert players[0].last(player.Choose).stream == "difference"
        assert not players[0].last(player.Show).listening.solo


async def test_a_longer_file_has_no_places_in_what_is_open(workstation, song: Path, session_path: Path) -> None:
    sound, rate = soundfile.read(song)
    other = song.with_name("longer.wav")
    soundfile.write(other, np.concatenate([sound, 0.5 * sound]), rate, subtype="PCM_24")
    async with workstation(session_path, size=(100, 40)) as driver:
        desk = await driver.opened()
        await driver.press("l")
        here = desk.bench.timeline.playhead
        await driver.press("A", "ctrl+u", *str(other), "enter")
        await driver.until(lambda: isinstance(driver.app.screen, ComparisonPanel), "the result")
        panel = driver.app.screen
        assert panel.seconds > 2 * len(sound) / rate - 0.001
        assert "worst place" not in driver.text().splitlines()[-1]
        await driver.press("enter", "space", "n", "a", "b")
        assert "it is not as long as what is open" in driver.notices()
        assert desk.bench.timeline.playhead == here
        assert driver.app.player is None


async def test_files_that_are_the_same_null(workstation, song: Path, session_path: Path) -> None:
    other = song.with_name("other.wav")
    other.write_bytes(song.read_bytes())
    async with workstation(session_path, size=(110, 30)) as driver:
        await driver.opened()
        await driver.press("A", "ctrl+u", *str(other), "enter")
        await driver.until(lambda: isinstance(driver.app.screen, ComparisonPanel), "the result")
        assert "yes, sample for sample" in driver.text()
        assert driver.app.screen.shown.course != NO_COURSE
        await driver.press("enter")
        assert "no place stands out" in driver.notices()


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (143, 36), (144, 36), (200, 50)])
async def test_at_every_size_the_drawings_and_the_choices_are_seen(
    workstation, session_path: Path, size: tuple[int, int]
) -> None:
    async with workstation(session_path, size=size) as driver:
        await edited(driver)
        await driver.press("N")
        await driver.until(lambda: "rest exact" in driver.text(), "the figures")
        said = driver.text()
        for words in (
            "source",
            "change",
            "peak",
            "rms",
            "100",
            "10k",
            "0:01",
            "all of it",
            "vocals",
            "bass",
            "verdict",
        ):
            assert words in said, words
        assert all(len(line) <= size[0] for line in said.splitlines())
