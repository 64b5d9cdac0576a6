"""Diagnosis, presets that are measured, and what is seen of processors that follow levels, under a pilot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from test_tui_panels import covers

from core.audition import messages as player
from core.errors import UnbakeError
from core.events import finish
from core.jobs import diagnose, messages, sessions
from core.recombine.graph import Moved
from core.session import files, presets
from core.session.processors import Bell
from tests.diagnosis.diagnosis_sounds import RATE, STEMS, bass_line, beats, pad, treated, voice
from tui.config import Config
from tui.desk.bench import Insert
from tui.panels.diagnosis import DiagnosisPanel
from tui.panels.presets import PresetsPanel
from tui.panels.preview import PreviewPanel
from tui.widgets.curve import Curve
from tui.widgets.transfer import Transfer

FAULT = Bell(freq_hz=220.0, gain_db=15.0, q=0.8)


@pytest.fixture
def muddy(tmp_path: Path) -> Path:
    """A song whose bass has a bell too much in its low mids, with the four stems it is the sum of."""
    sounds = dict(zip(STEMS, (voice(), beats(), treated(bass_line(), FAULT), pad()), strict=True))
    folder = tmp_path / "muddy"
    (folder / "stems").mkdir(parents=True)
    total = np.zeros_like(sounds["bass"])
    for name, sound in sounds.items():
        stem = np.rint(0.25 * (sound - sound.mean()) * 2**23) / 2**23
        soundfile.write(folder / "stems" / f"{name}.wav", stem.T, RATE, subtype="FLOAT")
        total += stem
    soundfile.write(folder / "song.wav", total.T, RATE, subtype="PCM_24")
    return folder / "song.wav"


@pytest.fixture
def muddy_session(muddy: Path) -> Path:
    """A session on it, without an edit."""
    path, _ = finish(sessions.create(muddy, None, stems_from=muddy.parent / "stems"))
    return path


def lines(panel: Any) -> list[str]:
    """The rows of a panel as text."""
    return ["".join(cell.text for cell in row.cells) for row in panel.list.rows]


async def diagnosed(driver: Any, desk: Any) -> Any:
    """The panel once there is something in it."""
    await driver.press("D")
    panel = driver.app.screen
    assert isinstance(panel, DiagnosisPanel)
    await driver.until(lambda: desk.bench.diagnosis is not None and panel.list.chosen >= 0, "the diagnosis")
    return panel


@covers("panel.diagnosis")
async def test_findings_are_listed_with_figure_limit_place_and_preset(workstation, muddy_session: Path) -> None:
    async with workstation(muddy_session, size=(80, 24)) as driver:
        desk = await driver.opened()
        panel = await diagnosed(driver, desk)
        found = desk.bench.diagnosis
        said = driver.text()
        assert f"{len(found.found)} of {len(found.findings)} figures beyond" in said
        mud = next(each for each in found.found if (each.kind, each.strip) == ("low_mid_excess", "bass"))
        (line,) = (line for line in lines(panel) if "low mid excess" in line and "muddy-low-end" in line)
        assert f"{mud.value:.4g} dB" in line
        assert "at most" in line
        assert "within limits" in said
        within = lines(panel).index(" within limits")
        assert within == len(found.found)
        rows = panel.list.rows[within + 1 : len(found.findings) + 1]
        assert all(row.cells[1].style == "dim" for row in rows if row.choice)
        panel.list.choose(lines(panel).index(line))
        panel._renew_detail()
        await driver.pilot.pause()
        assert mud.detail.split(":")[0] in " ".join(driver.text().split())
        await driver.press("escape")
        assert driver.app.screen is desk


async def test_a_diagnosis_costs_nothing_the_second_time(workstation, muddy_session: Path, monkeypatch: Any) -> None:
    async with workstation(muddy_session) as driver:
        desk = await driver.opened()
        await diagnosed(driver, desk)
        await driver.press("escape", "3", "comma")
        asked: list[messages.Request] = []
        submit = desk.jobs._workers["analysis"].submit
        monkeypatch.setattr(
            desk.jobs._workers["analysis"], "submit", lambda each: (asked.append(each), submit(each))[1]
        )
        await driver.press("D")
        assert lines(driver.app.screen)
        assert not any(isinstance(each, messages.Diagnose) for each in asked)


async def test_a_diagnosis_shows_its_progress_and_can_be_stopped(workstation, muddy_session: Path, monkeypatch) -> None:
    async with workstation(muddy_session, size=(100, 30)) as driver:
        desk = await driver.opened()
        hold = driver.hold_jobs(monkeypatch)
        await driver.press("D")
        await driver.until(lambda: "measuring ... 0%" in driver.text(), "the progress")
        await driver.press("escape")
        await driver.until(lambda: "diagnosing" in driver.text(), "the jobs line")
        await driver.press("escape")
        await driver.until(lambda: "Stop diagnosing?" in driver.text(), "the question")
        await driver.press("s")
        await driver.until(lambda: desk.jobs.shown is None, "the end")
        assert desk.bench.diagnosis is None
        assert not desk.bench.diagnosing
        hold.set()
        await diagnosed(driver, desk)


async def test_without_stems_there_is_a_word_for_what_to_press(workstation, muddy: Path) -> None:
    async with workstation(muddy, size=(80, 24)) as driver:
        await driver.opened()
        await driver.press("D")
        assert "there are none yet: S separates" in driver.text()
        await driver.press("escape", "P", "slash", *"muddy", "enter")
        assert "no stems to measure yet: S" in driver.text()
        await driver.press("enter")
        assert isinstance(driver.app.screen, PresetsPanel)
        assert "there are none yet" in driver.notices()


async def test_stems_that_were_estimated_make_it_an_estimate(workstation, song: Path) -> None:
    async with workstation(song, size=(110, 30)) as driver:
        desk = await driver.opened()
        await driver.press("S", "enter")
        await driver.until(lambda: desk.bench.stems, "the stems", 60.0)
        await driver.press("D")
        await driver.until(lambda: desk.bench.diagnosis is not None, "the diagnosis")
        await driver.until(lambda: "an estimate: starter estimated the stems" in driver.text(), "the word")


@covers("list.place")
async def test_a_key_goes_to_where_it_is_worst(workstation, muddy_session: Path) -> None:
    async with workstation(muddy_session) as driver:
        desk = await driver.opened()
        panel = await diagnosed(driver, desk)
        place = next(n for n, row in enumerate(panel.list.rows) if getattr(row.key, "from_seconds", None))
        panel.list.choose(place)
        seconds = panel.list.chosen_key.from_seconds
        await driver.press("t")
        assert driver.app.screen is desk
        assert desk.bench.timeline.playhead == round(seconds * RATE)
        panel = await diagnosed(driver, desk)
        panel.list.choose(len(desk.bench.diagnosis.findings))  # the last that is within its limit
        await driver.press("t")
        assert "no place stands out" in driver.notices()
        await driver.press("enter")
        assert "within its limit" in driver.notices()
        assert driver.app.screen is panel


async def test_one_key_previews_what_treats_a_finding_and_applies_it(workstation, muddy_session: Path) -> None:
    async with workstation(muddy_session, size=(80, 24)) as driver:
        desk = await driver.opened()
        before = desk.bench.session
        panel = await diagnosed(driver, desk)
        place = next(n for n, line in enumerate(lines(panel)) if "muddy-low-end" in line)
        panel.list.choose(place)
        await driver.press("enter")
        preview = driver.app.screen
        assert isinstance(preview, PreviewPanel)
        await driver.until(lambda: preview.list.chosen >= 0, "the values")
        said = driver.text()
        assert "nothing is changed yet" in said
        assert "strips.bass.chain[0]" in said
        assert "gain_db = -" in said
        assert "+ bass: + bell" in said
        assert desk.bench.session == before
        curve: Any = preview.query_one(Curve)
        assert curve.region.height > 4
        assert curve._gain_db.min() < -1.0
        assert not curve._was_db.any()
        await driver.press("escape")
        assert driver.app.screen is desk
        assert desk.bench.session == before
        await driver.press("D", "g")
        driver.app.screen.list.choose(place)
        await driver.press("enter")
        await driver.until(lambda: driver.app.screen.list.chosen >= 0, "the values")
        await driver.press("enter")
        assert driver.app.screen is desk
        assert desk.bench.session.strips["bass"].chain[0].gain_db < -1.0
        assert desk.bench.editor.present.what == "preset muddy-low-end"
        await driver.press("u")
        assert desk.bench.session == before


async def test_the_app_lays_the_very_preset_that_the_command_does(workstation, muddy: Path, unbake) -> None:
    done = unbake("repair", muddy, "--preset", "muddy-low-end", "--stems-from", muddy.parent / "stems", "--json")
    assert done.code == 0, done.err
    by_command = files.default_path(muddy)
    text = by_command.read_text()
    assert "gain_db" in text
    by_app = muddy.with_name("app.unbake.toml")
    finish(sessions.create(muddy, by_app, stems_from=muddy.parent / "stems"))
    async with workstation(by_app, size=(100, 30)) as driver:
        desk = await driver.opened()
        await driver.press("P", "slash", *"muddy", "enter")
        assert "measures" in driver.text()
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.app.screen, PreviewPanel), "the preview")
        await driver.until(lambda: driver.app.screen.list.chosen >= 0, "the values")
        await driver.press("enter", "W")
        await driver.until(lambda: desk.bench.editor.saved, "the session")
    assert by_app.read_text() == text


async def test_a_preview_that_is_closed_while_it_measures_stops(workstation, muddy_session: Path, monkeypatch) -> None:
    async with workstation(muddy_session, size=(100, 30)) as driver:
        desk = await driver.opened()
        before = desk.bench.session
        hold = driver.hold_jobs(monkeypatch)
        await driver.press("P", "slash", *"muddy", "enter", "enter")
        await driver.until(lambda: "measuring ... 0%" in driver.text(), "the progress")
        await driver.press("enter")
        assert isinstance(driver.app.screen, PreviewPanel)
        await driver.press("escape")
        await driver.until(lambda: not desk.jobs.on("analysis"), "the end")
        hold.set()
        assert driver.app.screen is desk
        assert desk.bench.session == before


async def test_values_that_mean_nothing_is_to_be_done_are_said_to(workstation, muddy_session: Path) -> None:
    async with workstation(muddy_session, size=(100, 30)) as driver:
        desk = await driver.opened()
        before = desk.bench.session
        await driver.press("P", "slash", *"low-end-mono", "enter", "enter")
        await driver.until(lambda: driver.app.screen.list.chosen >= 0, "the values")
        said = driver.text()
        assert "nothing is done" in said
        assert "there is nothing here that it would treat" in said
        await driver.press("enter")
        assert driver.app.screen is desk
        assert desk.bench.session == before
        assert "would change nothing here" in driver.notices()
        await driver.press("P", "slash", *"vocal-lift", "enter", "enter")
        await driver.until(lambda: driver.app.screen.list.chosen >= 0, "the values")
        assert "what it sets without measuring" in driver.text()


async def test_a_preset_that_measures_nothing_has_its_curve_in_the_list(workstation, muddy_session: Path) -> None:
    async with workstation(muddy_session, size=(110, 40)) as driver:
        desk = await driver.opened()
        await driver.press("P", "slash", *"tame-drums", "enter")
        curve = driver.app.screen.query_one(Curve)
        assert curve.region.height > 4
        assert curve._gain_db.min() == pytest.approx(-1.5, abs=0.6)
        await driver.press("escape", "P", "slash", *"parallel-vocal", "enter")
        transfer = driver.app.screen.query_one(Transfer)
        assert transfer.region.height > 4
        assert "level in -> out" in driver.text()
        await driver.press("enter")
        assert driver.app.screen is desk
        assert desk.bench.session.strips["vocals"].mode == "parallel"


async def test_progress_is_told_in_tens_over_a_slow_line(workstation, muddy_session: Path, monkeypatch: Any) -> None:
    async with workstation(muddy_session, size=(80, 24), config=Config(low_bandwidth=True)) as driver:
        desk = await driver.opened()
        hold = driver.hold_jobs(monkeypatch)
        await driver.press("D")
        await driver.until(lambda: desk.jobs.on("analysis"), "the job")
        (job,) = desk.jobs.on("analysis")
        job.done, job.total = 37, 100
        assert driver.app.screen.about()[0][0] == "  measuring ... 40%"
        hold.set()
        await driver.until(lambda: desk.bench.diagnosis is not None, "the diagnosis")


async def test_what_fails_while_measuring_is_said_and_changes_nothing(workstation, muddy_session: Path) -> None:
    async with workstation(muddy_session, size=(100, 30)) as driver:
        desk = await driver.opened()
        before = desk.bench.session
        desk.bench.stems["bass"].unlink()
        await driver.press("P", "slash", *"muddy", "enter", "enter")
        await driver.until(lambda: "bass" in driver.notices() and driver.app.screen is desk, "the notice")
        assert desk.bench.session == before


def test_requests_and_their_results_cross_the_pipe_whole(muddy_session: Path) -> None:
    from core.jobs import operations

    session = files.load(muddy_session)
    session, stems = finish(sessions.make_stems(session))
    paths = {name: str(path) for name, path in sessions.stem_paths(stems).items()}
    every = [messages.FitPreset(preset, session, paths) for preset in presets.built_in()]
    for request in (messages.Diagnose(session, paths), *every):
        order = messages.decode_order(messages.encode(messages.Run(1, request)))
        assert isinstance(order, messages.Run)
        assert messages.as_request(order.request) == request
        result = finish(operations.carry_out(order.request))
        answer = messages.decode_answer(messages.encode(messages.Finished(1, result)))
        assert isinstance(answer, messages.Finished)
        assert operations.typed(request, answer.result) == result


def test_what_was_measured_is_not_measured_again(muddy_session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.diagnosis import measure

    session, stems = finish(sessions.make_stems(files.load(muddy_session)))
    paths = sessions.stem_paths(stems)
    finish(diagnose.diagnose_stems(session, paths))
    monkeypatch.setattr(measure, "measure", None)
    fitted = finish(diagnose.fit_stems(presets.find("muddy-low-end"), session, paths))
    assert any(value.value is not None for value in fitted.values)
    monkeypatch.undo()
    paths["bass"].write_bytes(paths["drums"].read_bytes())
    fresh = finish(diagnose.fit_stems(presets.find("muddy-low-end"), session, paths))
    assert fresh != fitted


COMPRESSOR = 'strips.bass.chain[0]={type="compressor", threshold_db=-24, ratio=4}'


@pytest.fixture
def squashed(muddy_session: Path) -> Path:
    """A session with a compressor and a bell on the bass."""
    bell = 'strips.bass.chain[1]={type="bell", freq_hz=250, gain_db=-3}'
    sessions.set_values(muddy_session, [COMPRESSOR, bell])
    return muddy_session


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_curve_of_the_chosen_processor_is_drawn(workstation, squashed: Path, size: tuple[int, int]) -> None:
    async with workstation(squashed, size=size) as driver:
        desk = await driver.opened()
        curve, transfer = desk.query_one("#curve"), desk.query_one("#transfer")
        await driver.press("3")
        assert (curve.display, transfer.display) == (True, False)
        await driver.press("tab")
        desk.to_row(Insert(0))
        await driver.until(lambda: transfer.display and "level in -> out" in driver.text(), "the curve")
        assert not curve.display
        before = transfer._gain_db
        await driver.press("j", "j", "semicolon")
        await driver.until(lambda: (transfer._gain_db != before).any(), "the other ratio")
        while desk.bench.place == 0:
            await driver.press("j")
        await driver.until(lambda: curve.display, "the equaliser")
        assert not transfer.display
        await driver.press("1")
        await driver.pilot.pause()
        assert not transfer.display


async def test_the_meter_moves_while_it_plays(workstation, squashed: Path, make_player, players: list) -> None:
    async with workstation(squashed, size=(80, 24), make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("3", "tab", "space")
        desk.to_row(Insert(0))
        (fake,) = players
        moved = (Moved("bass", 0, -6.3), Moved("vocals", 0, -1.0), Moved("bass", 1, -2.0))
        fake.tell(player.Heard(True, 4_000, moved=moved))
        await driver.until(lambda: "-6.3 dB" in driver.text(), "the meter")
        bar = [line[79:80] for line in driver.text().splitlines()[12:22]]
        assert bar[0].strip()
        assert not bar[6].strip()
        fake.tell(player.Heard(False, 4_000))
        await driver.until(lambda: "-6.3 dB" not in driver.text(), "the rest")
        assert desk.bench.heard.moved == ()


async def test_over_a_slow_line_the_meter_moves_once_a_second(workstation, squashed, make_player, players) -> None:
    async with workstation(squashed, make_player=make_player, config=Config(low_bandwidth=True)) as driver:
        desk = await driver.opened()
        await driver.press("3", "tab", "space")
        desk.to_row(Insert(0))
        (fake,) = players
        shown: list[object] = []
        move = desk.query_one("#transfer", Transfer).move
        desk.query_one("#transfer", Transfer).move = lambda moved_db: (shown.append(moved_db), move(moved_db))
        for number in range(20):
            heard = player.Heard(True, 4_000 + number, moved=(Moved("bass", 0, -float(number)),))
            fake.tell(heard)
            await driver.until(lambda heard=heard: desk.bench.heard == heard, "the order")
        assert len(shown) <= 5
        await driver.until(lambda: shown[-1] == -19.0, "the last figure")


async def test_a_master_that_changed_meanwhile_is_not_measured(workstation, muddy_session: Path) -> None:
    async with workstation(muddy_session, size=(100, 30)) as driver:
        desk = await driver.opened()
        panel = await diagnosed(driver, desk)
        panel.list.choose(next(n for n, line in enumerate(lines(panel)) if "muddy-low-end" in line))
        desk.bench.source_problem = UnbakeError("the source has changed since")
        await driver.press("enter")
        await driver.until(lambda: "the source has changed since" in driver.notices(), "the notice")
        assert driver.app.screen is desk
        desk.bench.diagnosis = None
        await driver.press("D")
        await driver.until(lambda: "not measured" in driver.text(), "the panel")
        assert desk.bench.diagnosis is None
