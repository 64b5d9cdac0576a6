"""Keys of the panels and forms over the desk, pressed by a pilot on a real session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from core.errors import UnbakeError
from core.events import finish
from core.jobs import bring as bringing
from core.jobs import messages, sessions
from core.session import files, presets
from tui.desk.bench import Fader
from tui.panels.doctor import DoctorPanel
from tui.panels.help import HelpPanel
from tui.panels.history import HistoryPanel
from tui.panels.info import InfoPanel
from tui.panels.models import ModelsPanel
from tui.panels.open import OpenPanel, StemPanel
from tui.panels.palette import PalettePanel
from tui.panels.presets import PresetsPanel
from tui.panels.render import RenderForm
from tui.panels.separate import SeparateForm
from tui.panels.store import StorePanel

COVERED: set[str] = set()


def covers(*ids: str) -> Callable[[Any], Any]:
    """Notes which actions a test presses the keys of."""
    COVERED.update(ids)
    return lambda test: test


def gain_of(desk: Any, name: str) -> float:
    return desk.bench.session.strips[name].gain_db if name in desk.bench.session.strips else 0.0


@covers("app.help", "list.close")
async def test_help_shows_every_key_and_every_processor(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await driver.opened()
        await driver.press("question_mark")
        panel = driver.app.screen
        assert isinstance(panel, HelpPanel)
        said = "\n".join("".join(cell.text for cell in row.cells) for row in panel.rows())
        for words in ("edit.undo", "Goes back one edit.", "low cut", "frequency", "limiter"):
            assert words in said
        assert "here (lanes)" in driver.text()
        await driver.press("escape")
        assert driver.app.screen is desk


@covers("list.next", "list.previous", "list.first", "list.last", "list.page_down", "list.page_up")
async def test_the_cursor_of_a_list_moves(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        await driver.press("question_mark")
        rows = driver.app.screen.list
        first = rows.chosen
        await driver.press("j")
        assert rows.chosen == first + 1
        await driver.press("k")
        assert rows.chosen == first
        await driver.press("pagedown")
        assert rows.chosen > first + 10
        await driver.press("pageup")
        assert rows.chosen == first
        await driver.press("end")
        assert rows.chosen == len(rows.rows) - 1
        assert rows.scroll_offset.y > 0
        await driver.press("home")
        assert rows.chosen == first


@covers("app.palette", "list.filter", "list.choose")
async def test_the_palette_finds_an_action_or_takes_a_value(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "colon")
        assert isinstance(driver.app.screen, PalettePanel)
        await driver.press(*"polarity", "enter")
        await driver.until(lambda: desk.bench.session.strips.get("bass"), "the edit")
        assert desk.bench.session.strips["bass"].polarity == -1
        await driver.press("colon", *"strips.drums.gain_db", "equals_sign", "minus", "2", "enter")
        assert gain_of(desk, "drums") == -2.0
        await driver.press("colon", *"strips.nobody.gain_db", "equals_sign", "1", "enter")
        await driver.until(lambda: "no such stem" in driver.text(), "the notice")
        await driver.press("question_mark", "slash", *"zoom to", "enter")
        assert all("zoom" in "".join(cell.text for cell in row.cells).lower() for row in driver.app.screen.list.rows)
        await driver.press("enter")
        assert driver.app.screen is desk


@covers("panel.presets", "list.own")
async def test_a_preset_is_previewed_applied_and_saved(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 40)) as driver:
        desk = await driver.opened()
        await driver.press("P")
        assert isinstance(driver.app.screen, PresetsPanel)
        await driver.press("slash", *"tame-drums", "enter")
        assert "+ drums" in driver.text() or "drums:" in driver.text()
        await driver.press("enter")
        assert "drums" in desk.bench.session.strips
        await driver.press("P", "w", *"mine", "enter")
        await driver.until(lambda: presets.user_files(), "the file")
        assert presets.find("mine").strips.keys() == {"drums"}
        await driver.press("escape", "u")
        assert "drums" not in desk.bench.session.strips


@covers("panel.history")
async def test_the_history_goes_to_any_edit(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        desk = await driver.opened()
        start = desk.bench.session
        await driver.press("3", "comma", "p", "u", "2", "comma")
        branched = desk.bench.session
        await driver.press("H")
        assert isinstance(driver.app.screen, HistoryPanel)
        assert len(driver.app.screen.rows()) == 4
        await driver.press("end", "enter")
        assert desk.bench.session == start
        await driver.press("H", "home", "enter")
        assert desk.bench.session == branched


@covers("panel.models")
async def test_models_say_whether_they_are_here_and_their_licence(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        await driver.opened()
        await driver.press("M")
        assert isinstance(driver.app.screen, ModelsPanel)
        assert "starter" in driver.text()
        assert "installed" in driver.text()


@covers("panel.info")
async def test_the_file_panel_shows_loudness_and_faults(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        await driver.opened()
        await driver.press("I")
        assert isinstance(driver.app.screen, InfoPanel)
        assert "LUFS-I" in driver.text()
        assert "PCM_24" in driver.text()


@covers("panel.store", "list.remove")
async def test_the_store_lists_and_removes(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        await driver.opened()
        await driver.press("B")
        assert isinstance(driver.app.screen, StorePanel)
        await driver.until(lambda: driver.app.screen.rows(), "the list")
        panel = driver.app.screen
        assert "song.wav" in driver.text()
        await driver.press("d")
        await driver.until(lambda: "Remove these stems?" in driver.text(), "the question")
        await driver.press("r")
        await driver.until(lambda: not panel.rows(), "the removal")
        await driver.until(lambda: "the store is empty" in driver.text(), "the word")


@covers("panel.doctor")
async def test_the_doctor_finds_what_is_here(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        await driver.opened()
        await driver.press("exclamation_mark")
        assert isinstance(driver.app.screen, DoctorPanel)
        await driver.until(lambda: driver.app.screen.rows(), "the findings", 60.0)
        assert "libsndfile" in driver.text()


@covers("file.open")
async def test_another_file_is_opened_from_the_browser(workstation, song: Path, session_path: Path) -> None:
    other = song.with_name("other.wav")
    soundfile.write(other, np.full((4_000, 2), 0.1), 48_000)
    async with workstation(session_path, size=(100, 30)) as driver:
        desk = await driver.opened()
        await driver.press("o")
        assert isinstance(driver.app.screen, OpenPanel)
        said = driver.text()
        assert "stems/" in said
        assert "song.unbake.toml" in said
        await driver.press("slash", *"other.wav", "enter", "enter")
        await driver.until(lambda: desk.bench.located and desk.bench.located.source == other, "the file")
        await driver.opened()
        assert desk.bench.timeline.sample_rate == 48_000


async def test_the_browser_walks_and_takes_a_typed_path(workstation, song: Path, session_path: Path) -> None:
    async with workstation(session_path, size=(100, 30)) as driver:
        desk = await driver.opened()
        await driver.press("o")
        panel = driver.app.screen
        folder = song.parent
        panel._go(folder / "stems")
        await driver.pilot.pause()
        assert "bass.wav" in driver.text()
        await driver.press("left")
        assert panel.list.chosen_key == folder / "stems"
        await driver.press("right")
        assert "bass.wav" in driver.text()
        await driver.press("equals_sign")
        await driver.press("ctrl+u", *str(song), "enter")
        await driver.until(lambda: desk.bench.located and desk.bench.located.source == song, "the file")


@covers("form.next", "form.previous", "form.less", "form.more", "form.type", "form.close", "form.go", "file.render")
async def test_rendering_asks_where_and_how_and_proves(workstation, song: Path, session_path: Path, unbake) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma", "W", "R")
        form = driver.app.screen
        assert isinstance(form, RenderForm)
        await driver.press("j", "j")
        await driver.press("right")
        assert form.field("container").value == "RF64"
        await driver.press("left")
        assert form.field("container").value == "WAV"
        await driver.press("k", "k", "equals_sign", "ctrl+u", *str(song.with_name("app.wav")), "enter")
        await driver.press("enter")
        await driver.until(lambda: desk.bench.certificate is not None, "the render")
        assert "rest exact" in driver.text()
        await driver.press("R", "escape")
        assert driver.app.screen is desk
        await driver.press("W", "q")
    unbake("render", session_path, "-o", song.with_name("command.wav"))
    assert song.with_name("app.wav").read_bytes() == song.with_name("command.wav").read_bytes()


async def test_a_render_over_a_file_is_refused_in_the_form(workstation, song: Path, session_path: Path) -> None:
    song.with_name("song.repaired.wav").write_bytes(b"mine")
    async with workstation(session_path, size=(110, 30)) as driver:
        await driver.opened()
        await driver.press("R", "enter")
        assert "exists already" in driver.text()
        assert isinstance(driver.app.screen, RenderForm)
    assert song.with_name("song.repaired.wav").read_bytes() == b"mine"


async def test_the_dither_of_the_form_is_an_edit(workstation, song: Path, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        desk = await driver.opened()
        await driver.press("R", "j", "j", "j", "j", "j", "right", "right", "enter")
        await driver.until(lambda: desk.bench.certificate is not None, "the render")
        assert desk.bench.session.dither.shape == "highpass"
        await driver.press("u")
        assert desk.bench.session.dither is None
    assert song.with_name("song.repaired.wav").exists()


async def test_a_delivery_is_chosen_in_the_form(workstation, song: Path, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        desk = await driver.opened()
        await driver.press("R", "j", "right", "right")
        form = driver.app.screen
        assert isinstance(form, RenderForm)
        assert form.field("profile").value == "cd"
        assert (form.field("subtype").value, form.field("rate").value) == ("PCM_16", "44100")
        assert "f_weighted" in form.field("dither").about
        await driver.press("right", "right")
        assert form.field("profile").value == "film"
        assert (form.field("subtype").value, form.field("rate").value) == ("PCM_24", "48000")
        assert "-24 LUFS" in driver.text()
        await driver.press("enter")
        await driver.until(lambda: desk.bench.certificate is not None, "the render")
        assert desk.bench.certificate.delivery.profile == "film"
        assert desk.bench.certificate.sample_rate == 48_000
    assert soundfile.info(song.with_name("song.repaired.wav")).samplerate == 48_000


@covers("panel.separate")
async def test_stems_are_made_from_the_form(workstation, song: Path) -> None:
    async with workstation(song, size=(110, 30)) as driver:
        desk = await driver.opened()
        assert "not separated yet" in driver.text()
        await driver.press("S")
        assert isinstance(driver.app.screen, SeparateForm)
        await driver.press("enter")
        await driver.until(lambda: desk.bench.stems, "the stems", 60.0)
        assert set(desk.bench.stems) == {"vocals", "drums", "bass", "other", "residual"}
        assert desk.bench.session.separation.hashes.keys() == set(desk.bench.stems)


async def test_how_exactly_and_where_first_is_chosen(workstation, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[messages.Request] = []
    async with workstation(song, size=(110, 30)) as driver:
        desk = await driver.opened()

        async def listening(request: messages.Request, *words: Any, **named: Any) -> Any:
            asked.append(request)
            raise UnbakeError("heard enough")

        monkeypatch.setattr(desk.jobs, "run", listening)
        await driver.press("end", "S", "down", "down", "right", "down", "right", "enter")
        assert "tf32 is a number format of GPUs" in driver.text()
        await driver.press("right", "enter")
        await driver.until(lambda: asked, "the request")
        (request,) = asked
        assert isinstance(request, messages.MakeStems)
        assert (request.session.separation.precision, request.device) == ("bf16", "cpu")
        assert request.from_seconds == pytest.approx(desk.bench.timeline.playhead / 44100)
        assert request.from_seconds > 1.0


async def test_how_sensitive_each_stem_is_can_be_typed(workstation, song: Path) -> None:
    async with workstation(song, size=(110, 30)) as driver:
        desk = await driver.opened()
        await driver.press("S", *["down"] * 6, "equals_sign", *"vocals=11", "enter")
        assert "figures from 0 to 10" in driver.text()
        await driver.press(*["backspace"] * 9, *"strings=3", "enter", "enter")
        assert "starter makes no stem strings" in driver.text()
        await driver.press("equals_sign", *["backspace"] * 9, *"vocals=3,drums=7", "enter", "enter")
        await driver.until(lambda: desk.bench.stems, "the stems", 60.0)
        assert desk.bench.session.separation.sensitivity == {"vocals": 3.0, "drums": 7.0}
        await driver.press("S")
        assert "vocals=3,drums=7" in driver.text()


async def test_stems_of_another_tool_are_taken_in(workstation, song: Path) -> None:
    async with workstation(song, size=(110, 30)) as driver:
        desk = await driver.opened()
        await driver.press("S", *["down"] * 4, "equals_sign", *str(song.parent / "stems"), "enter", "enter")
        await driver.until(lambda: desk.bench.stems, "the stems", 60.0)
        assert desk.bench.session.separation.model == "external"
        assert desk.bench.names[:4] == ("vocals", "drums", "bass", "other")


@covers("file.export")
async def test_stems_are_exported(workstation, song: Path, session_path: Path) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        await driver.opened()
        await driver.press("E", "enter")
        folder = song.with_name("song stems")
        await driver.until(lambda: (folder / "residual.wav").exists(), "the stems", 60.0)
        await driver.until(lambda: "5 files in" in driver.text(), "the word")


@covers("file.demo")
async def test_the_demo_is_done_and_opened(workstation, tmp_path: Path) -> None:
    async with workstation(None, size=(110, 30)) as driver:
        await driver.press("O", "ctrl+u", *str(tmp_path / "demo"), "enter")
        await driver.until(lambda: driver.desk.bench.located, "the song", 120.0)
        desk = await driver.opened()
        assert desk.bench.session.changed == ("vocals",)
        await driver.until(lambda: "rest exact" in driver.text(), "the proof", 60.0)


@covers("job.cancel")
async def test_a_job_is_stopped_after_asking(workstation, session_path: Path, monkeypatch) -> None:
    async with workstation(session_path, size=(110, 30)) as driver:
        desk = await driver.opened()
        hold = driver.hold_jobs(monkeypatch)
        await driver.press("3", "comma", "R", "enter")
        await driver.until(lambda: desk.jobs.shown is not None, "the job")
        assert "rendering" in driver.text()
        await driver.press("escape")
        await driver.until(lambda: "Stop rendering?" in driver.text(), "the question")
        await driver.press("s")
        hold.set()
        await driver.until(lambda: desk.jobs.shown is None, "the end")
        await driver.until(lambda: "stopped" in driver.text(), "the word")
    assert not list(session_path.parent.glob("*repaired*"))
    assert files.load(session_path).strips == {}


@covers("file.bring", "strip.drop")
async def test_a_stem_is_brought_shown_as_a_lane_and_dropped_again(
    workstation, session_path: Path, tmp_path: Path
) -> None:
    sound, rate = soundfile.read(session_path.parent / "stems" / "drums.wav", always_2d=True)
    theirs = tmp_path / "own" / "Drum bus.wav"
    theirs.parent.mkdir()
    soundfile.write(theirs, np.pad(-0.5 * sound, ((300, 0), (0, 0))), rate, subtype="FLOAT")
    twin = session_path.with_name("twin.unbake.toml")
    twin.write_bytes(session_path.read_bytes())
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await driver.opened()
        before = desk.bench.session
        await driver.press("ampersand")
        assert isinstance(driver.app.screen, StemPanel)
        assert "song.unbake.toml" not in driver.text()
        await driver.press("equals_sign", "ctrl+u", *str(theirs), "enter")
        await driver.until(lambda: "drum-bus" in desk.bench.brought, "the stem")
        assert desk.bench.strip == "drum-bus"
        assert "drum-bus is Drum bus.wav, 300 frames later, inverted, at +6.1" in desk.said
        await driver.until(lambda: desk.bench.check, "the proof")
        assert desk.bench.check.passed
        assert any("drum-bus" in line and "cancelled" in line for line in driver.text().splitlines())
        await driver.until(lambda: desk.bench.overviews["drum-bus"].complete, "the overview")
        brought = desk.bench.session.brought
        stem = desk.bench.brought["drum-bus"].read_bytes()
        await driver.press("colon", *"brought.drum-bus.gain_db", "equals_sign", "3", "enter")
        await driver.until(
            lambda: "drum-bus" in desk.bench.brought and desk.bench.brought["drum-bus"].read_bytes() != stem, "it anew"
        )
        await driver.until(
            lambda: desk.bench.session.brought["drum-bus"].hash not in ("", brought["drum-bus"].hash), "pin"
        )
        await driver.press("u", "u")
        await driver.until(lambda: desk.bench.session.brought == brought, "the level as before")
        await driver.until(lambda: "drum-bus" in desk.bench.brought, "the stem")
        assert desk.bench.brought["drum-bus"].read_bytes() == stem
        await driver.press("underscore")
        assert desk.bench.session == before
        assert "drum-bus" not in desk.bench.names
        await driver.press("1", "underscore")
        assert "vocals was not brought" in driver.text()
    session, found = finish(bringing.bring(twin, theirs))
    assert session.brought == brought
    assert Path(finish(sessions.stems_for(session))[1].paths[found.name]).read_bytes() == stem


async def test_a_file_that_is_no_stem_is_refused_and_one_that_went_is_told(
    workstation, session_path: Path, tmp_path: Path, unbake
) -> None:
    bass = session_path.parent / "stems" / "bass.wav"
    theirs = tmp_path / "low.wav"
    theirs.write_bytes(bass.read_bytes())
    soundfile.write(tmp_path / "silence.wav", np.zeros((9000, 2)), 44_100)
    assert unbake("session", "bring", session_path, theirs).code == 0
    theirs.unlink()
    unbake("store", "prune", "--all")
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await driver.opened()
        await driver.until(lambda: "the file of the stem low is gone" in driver.notices(), "the notice")
        assert "needs stems" in driver.text()
        await driver.press("ampersand", "equals_sign", "ctrl+u", *str(tmp_path / "silence.wav"), "enter")
        await driver.until(lambda: "holds nothing but silence" in driver.notices(), "the refusal")
        assert list(desk.bench.session.brought) == ["low"]


async def test_the_chain_offers_treated_copies_among_what_was_brought(workstation, session_path: Path, unbake) -> None:
    bass = session_path.parent / "stems" / "bass.wav"
    for name in ("low", "lower"):
        assert unbake("session", "bring", session_path, bass, "--name", name, "--mode", "replace").code == 0
    async with workstation(session_path, size=(120, 45)) as driver:
        desk = await driver.opened()
        desk.pick("low")
        desk.to_row(Fader("treated"))
        desk.set_focus(desk.query_one("#chain"))
        await driver.press("right")
        assert desk.bench.session.strips["low"].treated == "lower"
        assert "treated copy" in driver.text()
        await driver.until(lambda: desk.bench.check, "the proof")
        assert desk.bench.check.passed
        assert desk.bench.check.identical
