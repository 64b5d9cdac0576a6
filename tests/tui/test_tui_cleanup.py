"""The clean-up bench under a pilot: damage is looked for, steps are edited, carried out, seen and heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from test_tui_panels import covers
from tui_player import FakePlayer

from core.audition import messages as player
from core.cleanup import proposal
from core.cleanup.cleaner import Finding
from core.errors import UnbakeError
from core.events import Operation, Progress, finish
from core.jobs import cleanup_picture, cleanups, opening, sessions
from core.jobs.cleanups import CleanedUp
from core.separation.store import StemSet
from core.session import cleaning, files, history
from core.session.cleaning import NOTHING, CleanupStep, Declick, Declip, Dehum, Dereverb, removed_name
from core.session.document import Session
from models import registry
from tui.config import Config
from tui.desk import proving, taken
from tui.panels.cleanup import CleanupPanel
from tui.panels.cleanuplists import CleanupPresets, StepModels, StepsPanel
from tui.panels.help import HelpPanel
from tui.widgets.spectrogram import SpectrogramView

RATE, FRAMES = 44_100, 70_001
SHARE = 0.25
"""What a faked step takes away of its source."""
CLEAN = frozenset({"declick"})
"""Types that find nothing in any file."""
FOUND = (
    Finding(type="declip", found=True, confidence=0.97, detail="121 samples at -0.3 dBFS"),
    Finding(type="declick", found=False, confidence=0.0, detail="no clicks"),
    Finding(type="dehum", found=True, confidence=0.9, detail="50.02 Hz and 17 harmonics, -41 dBFS"),
    Finding(type="denoise", found=True, confidence=0.4, detail="steady, but it may be a pad"),
)


class Bench:
    """What the worker does in place of the steps: each takes a quarter of the source away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: tuple[Finding, ...] = FOUND
        self.looked_at: list[Path] = []
        self.carried_out: list[Session] = []
        self.problem: UnbakeError | None = None

    def findings(self, path: Path) -> Operation[tuple[Finding, ...]]:
        yield Progress("looking", 1, 1)
        self.looked_at.append(path)
        return self.found

    def carry_out(self, session: Session, stems: Mapping[str, Path], device: str = "auto") -> Operation[CleanedUp]:
        yield Progress("cleaning", 1, 1)
        assert device == "auto"
        self.carried_out.append(session)
        if self.problem is not None:
            raise self.problem
        done = CleanedUp(session, {}, {}, {}, {})
        hashes: dict[str, str] = {}
        for strip in ("", *session.strips):
            heard = Path(session.source.path) if not strip else stems.get(strip)
            if heard is None:
                continue
            steps = taken.steps_of(session, strip)
            for place, step in enumerate(steps):
                if step.active:
                    self._one(done, hashes, step, removed_name(place, strip), heard)
        for name in cleaning.taken_away(session.cleanup):
            if hashes[name] != NOTHING:
                done.paths[name] = done.taken[name]
        done.paths.update({name: path for name, path in done.taken.items() if not name.startswith("cleanup/")})
        return msgspec.structs.replace(done, session=taken.with_hashes(session, hashes))

    def _one(self, done: CleanedUp, hashes: dict[str, str], step: CleanupStep, name: str, heard: Path) -> None:
        kind = str(step.__struct_config__.tag)
        clean = kind in CLEAN
        done.findings[name] = Finding(
            type=kind, found=not clean, confidence=0.0 if clean else 0.96, detail="no clicks" if clean else "17 places"
        )
        hashes[name] = NOTHING if clean else f"{abs(hash(step)):x}"[:8]
        if not clean:
            sound, rate = soundfile.read(heard)
            path = self.folder / f"{name.replace('/', '-')}-{hashes[name]}.wav"
            soundfile.write(path, SHARE * sound, rate, subtype="FLOAT")
            done.taken[name] = str(path)


@pytest.fixture(autouse=True)
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The worker's part."""
    made = Bench(tmp_path)
    monkeypatch.setattr(proposal, "findings", made.findings)
    monkeypatch.setattr(cleanups, "carry_out", made.carry_out)
    monkeypatch.setattr(proving, "CLEAN_AFTER_SECONDS", 0.05)
    return made


@pytest.fixture
def bench(workstation: Any, session_path: Path) -> Any:
    """Opens the clean-up bench: `async with bench() as (driver, desk, panel)`."""

    @asynccontextmanager
    async def open_(steps: tuple[Any, ...] = (), **words: Any) -> AsyncIterator[tuple[Any, Any, CleanupPanel]]:
        if steps:
            begin_with(session_path, *steps)
        async with workstation(session_path, **words) as driver:
            desk = await driver.opened()
            await driver.press("C")
            assert isinstance(driver.app.screen, CleanupPanel)
            await driver.until(lambda: driver.app.screen._pictured is not None, "the picture")
            yield driver, desk, driver.app.screen

    return open_


def begin_with(session_path: Path, *steps: Any) -> None:
    """Has a session have a clean-up from the beginning."""
    session = msgspec.structs.replace(files.load(session_path), cleanup=steps)
    history.path_for(session_path).unlink()
    session_path.write_text(files.dumps(session))


def kinds(desk: Any, strip: str = "") -> list[str]:
    return [str(step.__struct_config__.tag) for step in taken.steps_of(desk.bench.session, strip)]


def cleanup(desk: Any) -> tuple[Any, ...]:
    return taken.bare(desk.bench.session.cleanup)


async def carried_out(driver: Any, desk: Any) -> None:
    await driver.press("c")
    await driver.until(lambda: not desk.bench.cleaning and desk.bench.taken, "the steps")
    await driver.until(lambda: all(each.rms_dbfs or not each.path for each in desk.bench.taken.values()), "levels")
    await driver.until(lambda: driver.app.screen._pictured.asked == driver.app.screen._asked, "the picture")


# ---- looking for damage ---------------------------------------------------------------------------------------------


@covers("panel.cleanup", "cleanup.propose", "cleanup.help", "cleanup.close", "cleanup.stop")
async def test_damage_is_listed_and_what_is_sure_becomes_steps_in_one_edit(bench, fakes: Bench) -> None:
    async with bench(size=(120, 40)) as (driver, desk, panel):
        assert "p looks for damage and proposes" in driver.text()
        await driver.press("p")
        await driver.until(lambda: desk.bench.damage, "the findings")
        assert kinds(desk) == ["declip", "dehum"]
        assert fakes.looked_at == [Path(desk.bench.session.source.path)]
        text = driver.text()
        assert "121 samples at -0.3 dBFS" in text
        assert "not carried out; 50.02 Hz" in text
        assert "unsure" in text
        assert "no clicks" in text
        await driver.press("p")
        await driver.until(lambda: "in the list already" in driver.text(), "what is said")
        await driver.press("u")
        assert kinds(desk) == []
        await driver.press("question_mark")
        assert isinstance(driver.app.screen, HelpPanel)
        assert "Looks for damage" in driver.text()
        await driver.press("escape")
        assert driver.app.screen is panel
        await driver.press("escape")
        assert driver.app.screen is desk
        await driver.press("C", "q")
        assert driver.app.screen is desk


async def test_what_is_not_sure_can_be_taken_into_the_list(bench, fakes: Bench) -> None:
    fakes.found = FOUND[1:2] + FOUND[3:]
    async with bench(size=(120, 40)) as (driver, desk, _):
        await driver.press("p")
        await driver.until(lambda: "nothing that is sure enough" in driver.text(), "the findings")
        assert kinds(desk) == []
        await driver.press("j")
        assert "it may be a pad. Turns down steady noise" in driver.text()
        await driver.press("enter")
        assert kinds(desk) == ["denoise"]
        await driver.press("end", *["j"] * 9, "enter")
        assert "denoise is in the list already" in driver.text()
        assert kinds(desk) == ["denoise"]


def test_what_is_proposed_comes_in_its_order_among_what_is_there() -> None:
    from tui.desk.cleaning import with_new

    steps = with_new((Dehum(), Declip()), [Declick(), Dereverb()])
    assert [str(step.__struct_config__.tag) for step in steps] == ["declick", "dehum", "declip", "dereverb"]


# ---- steps ----------------------------------------------------------------------------------------------------------


@covers(
    "cleanup.add", "cleanup.remove", "cleanup.bypass", "cleanup.up", "cleanup.down", "cleanup.apply", "cleanup.next",
    "cleanup.previous", "cleanup.undo", "cleanup.redo",
)  # fmt: skip
async def test_steps_are_added_moved_bypassed_and_deleted_and_that_is_undone(bench) -> None:
    async with bench() as (driver, desk, panel):
        await driver.press("d")
        assert "choose a step first: i adds one" in driver.text()
        await driver.press("i")
        assert isinstance(driver.app.screen, StepsPanel)
        assert "mains hum" in driver.text()
        await driver.press("enter", "i", "j", "j", "j", "enter")
        assert kinds(desk) == ["declip", "dehum"]
        assert panel.place == 1
        await driver.press("left_parenthesis")
        assert (kinds(desk), panel.place) == (["dehum", "declip"], 0)
        await driver.press("left_parenthesis", "right_parenthesis")
        assert (kinds(desk), panel.place) == (["declip", "dehum"], 1)
        await driver.press("y", "m")
        assert cleanup(desk)[1] == Dehum(bypass=True, apply="master")
        assert "bypassed" in driver.text()
        await driver.press("u", "u", "u", "U", "U", "U")
        assert cleanup(desk)[1] == Dehum(bypass=True, apply="master")
        await driver.press("k")
        assert panel.place == 0
        await driver.press("d")
        assert kinds(desk) == ["dehum"]
        await driver.press("j", "d")
        assert kinds(desk) == []


@covers(
    "cleanup.less", "cleanup.more", "cleanup.much_less", "cleanup.much_more", "cleanup.type", "cleanup.default",
)  # fmt: skip
async def test_values_are_edited_as_those_of_inserts(bench) -> None:
    async with bench((Dehum(), cleaning.Denoise())) as (driver, desk, _):
        await driver.press("left", "comma", "right", "semicolon", "comma")
        assert cleanup(desk)[0].strength == pytest.approx(0.9)
        await driver.press("u")
        assert cleanup(desk)[0].strength == 1.0  # held down, it is one edit
        await driver.press("j", "j", "j")
        assert "of the fundamental" in driver.text()
        await driver.press("equals_sign", "ctrl+u", *"50.02", "enter")
        assert cleanup(desk)[0].freq_hz == 50.02
        await driver.press("equals_sign", "ctrl+u", *"5000", "enter")
        assert "0 Hz to 1 kHz" in driver.text()
        await driver.press("escape", "backspace")
        assert cleanup(desk)[0].freq_hz == 0.0
        await driver.press("j", "j", *["j"] * 5, "semicolon")  # noise from 1 s on, to 0 s
        assert "not after from_seconds" in driver.notices()
        assert cleanup(desk)[1] == cleaning.Denoise()


async def test_a_network_is_chosen_among_those_that_clean(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "is_installed", lambda card: card.name == "mel-roformer-denoise")
    async with bench() as (driver, desk, _):
        await driver.press("i", "end", "enter")
        assert isinstance(driver.app.screen, StepModels)
        first = driver.app.screen.list.rows[0].cells
        assert [first[1].text, first[2].text] == ["mel-roformer-denoise", "here"]
        assert not any("karaoke" in cell.text for row in driver.app.screen.list.rows for cell in row.cells)
        await driver.press("j", "enter")
        assert "is not here yet: M on the desk fetches it" in driver.notices()
        await driver.press("home", "enter")
        assert desk.bench.session.cleanup[0].model == "mel-roformer-denoise"
        await driver.press("i", "end", "enter", "end", "enter", *"starter", "enter")
        assert [step.model for step in desk.bench.session.cleanup] == ["mel-roformer-denoise", "starter"]


@covers("cleanup.presets")
async def test_the_steps_of_a_preset_are_taken(bench) -> None:
    async with bench((Declip(),)) as (driver, desk, _):
        await driver.press("P")
        assert isinstance(driver.app.screen, CleanupPresets)
        await driver.press("slash", *"vinyl", "enter", "enter")
        assert kinds(desk) == ["declick", "decrackle", "dehum", "denoise"]
        await driver.press("u")
        assert kinds(desk) == ["declip"]


# ---- outcome --------------------------------------------------------------------------------------------------------


@covers("cleanup.carry_out", "cleanup.view")
async def test_steps_are_carried_out_and_what_they_took_is_said_and_drawn(bench, fakes: Bench) -> None:
    steps = (Declip(), cleaning.Declick(), Dehum(strength=0.5))
    async with bench(steps) as (driver, desk, panel):
        assert "not carried out: c does it" in driver.text()
        await carried_out(driver, desk)
        text = driver.text()
        assert "carried out" in text
        assert "17 places" in text
        assert "nothing: no clicks" in text
        level = desk.bench.taken["cleanup/0"].rms_dbfs
        assert f"{level:.1f} dB" in text
        assert f"{level - 6.02:.1f} dB" in text
        assert [step.hash for step in desk.bench.session.cleanup].count(NOTHING) == 1
        assert len(fakes.carried_out) == 1
        views = panel._pictured.views
        # three eighths of the sound are left by the two
        assert np.median(views.after.levels_db - views.before.levels_db) == pytest.approx(20 * np.log10(0.625), abs=0.2)
        assert np.median(views.removed.levels_db - views.before.levels_db) == pytest.approx(-8.52, abs=0.2)
        assert views.top_db == views.before.levels_db.max()
        shown = [view.id for view in panel.query("View") if view.display]
        await driver.press("v", "v")
        assert [view.id for view in panel.query("View") if view.display] != shown
        await driver.pilot.resize_terminal(140, 40)
        await driver.pilot.pause()
        assert all(view.display for view in panel.query("View"))
        await driver.press("u")
        assert "nothing to undo" in driver.text()  # that the outcome was noted is no edit of anybody's
        assert cleanup(desk) == steps


@covers("cleanup.alone")
async def test_one_step_alone_and_what_an_edit_makes_unknown(bench) -> None:
    async with bench((Declip(), Dehum())) as (driver, desk, panel):
        await carried_out(driver, desk)
        await driver.press("s")
        await driver.until(lambda: panel._pictured.asked == panel._asked, "the picture")
        assert len(panel._asked.steps) == 1
        assert "after of step 1 alone" in driver.text()
        await driver.press("s")
        assert len(panel._asked.steps) == 2
        await driver.press("left")
        assert desk.known_of("", 0) is not None
        assert desk.known_of("", 1) is None
        assert "1 of 2 steps carried out" in driver.text()
        await driver.press("u")
        assert desk.known_of("", 1) is not None


# ---- listening ------------------------------------------------------------------------------------------------------


@covers("cleanup.before", "cleanup.after", "cleanup.removed", "cleanup.flip", "cleanup.toggle")
async def test_before_after_and_what_is_taken_away_are_heard_over_and_over(
    bench, make_player, players: list[FakePlayer]
) -> None:
    async with bench((Declip(), Dehum(strength=0.5)), make_player=make_player) as (driver, desk, _):
        await driver.press("n")  # carries out what was not
        await driver.until(lambda: desk.heard_beside, "the sound")
        (fake,) = players
        show = fake.last(player.Show)
        assert show.session.source == desk.bench.session.source
        assert not show.session.strips
        assert [step.apply for step in show.session.cleanup] == ["master", "master"]
        assert show.session.cleanup[1].strength == 0.5
        assert {name: Path(path).exists() for name, path in show.stems.items()} == {
            "cleanup/0": True,
            "cleanup/1": True,
        }
        assert fake.last(player.Choose).stream == "difference"
        assert fake.last(player.SetLoop).loop == (0, FRAMES)
        assert fake.last(player.Play) == player.Play(True, 0)
        fake.tell(player.Heard(True, 5_000, stream="difference"))
        await driver.until(lambda: "playing: what is taken away" in driver.text(), "the playing")
        for key, stream in (("a", "source"), ("b", "repair"), ("x", "source"), ("x", "repair")):
            await driver.press(key)
            assert fake.last(player.Choose).stream == stream
        await driver.press("left")
        await driver.until(lambda: not desk.hears_stale, "what hears the first step")
        await driver.until(lambda: fake.last(player.Show).session.cleanup[0].strength == 0.99, "the new sound")
        await driver.press("space")
        assert not desk.heard_beside
        assert fake.last(player.Show).session == desk.bench.session.unwarped
        assert fake.last(player.SetLoop).loop is None
        fake.tell(player.Heard(False, 0))
        await driver.until(lambda: not desk.bench.heard.playing, "silence")
        await driver.press("space")
        assert desk.heard_beside
        await driver.press("escape")
        assert driver.app.screen is desk
        assert not desk.heard_beside


async def test_what_found_nothing_is_heard_as_it_was(bench, make_player, players: list[FakePlayer]) -> None:
    async with bench((cleaning.Declick(),), make_player=make_player) as (driver, desk, _):
        await driver.press("b")
        await driver.until(lambda: desk.heard_beside, "the sound")
        assert players[0].last(player.Show).session.cleanup == ()
        assert "nothing is taken away, both are the same" in driver.text()
        players[0].tell(player.Gone("the player died"))
        await driver.until(lambda: not desk.heard_beside, "the end of it")


@covers(
    "cleanup.back", "cleanup.forward", "cleanup.back_5", "cleanup.forward_5", "cleanup.start", "cleanup.end",
    "cleanup.loop_first", "cleanup.loop_last", "cleanup.loop",
)  # fmt: skip
async def test_the_stretch_is_the_loop_or_what_is_around_the_playhead(bench) -> None:
    async with bench() as (driver, desk, panel):
        await driver.press("l", "l", "h")
        assert desk.bench.timeline.playhead == FRAMES // 80
        await driver.press("left_square_bracket", "end")
        assert panel._span == (FRAMES // 80, FRAMES)
        desk.look(desk.bench.timeline.at(FRAMES // 2))
        await driver.press("right_square_bracket", "backslash")
        assert panel._span == (0, FRAMES)
        await driver.press("backslash")
        assert panel._span[1] < FRAMES
        await driver.press("greater_than_sign")
        assert desk.bench.timeline.playhead == FRAMES
        await driver.press("less_than_sign")
        assert desk.bench.timeline.playhead == 0


# ---- a stem ---------------------------------------------------------------------------------------------------------


@covers("cleanup.target")
async def test_a_stem_has_a_clean_up_of_its_own(bench, fakes: Bench, make_player, players: list[FakePlayer]) -> None:
    async with bench(make_player=make_player) as (driver, desk, panel):
        await driver.press("t")
        assert panel.target == desk.bench.strip == "vocals"
        assert "stem vocals" in driver.text()
        await driver.press("p")
        await driver.until(lambda: desk.bench.damage, "the findings")
        assert fakes.looked_at == [desk.bench.stems["vocals"]]
        assert kinds(desk, "vocals") == ["declip", "dehum"]
        assert "heard by" not in driver.text().splitlines()[1]
        await driver.press("m")
        assert "the chain of a strip hears all" in driver.text()
        await driver.press("b")
        await driver.until(lambda: desk.heard_beside, "the sound")
        show = players[0].last(player.Show)
        assert show.session.source.path == str(desk.bench.stems["vocals"])
        assert show.session.source.frames == FRAMES
        await driver.press("q")
        await driver.until(lambda: desk.bench.check is not None and desk.bench.check.passed, "the proof")
        assert set(desk.bench.removed) == {"vocals/cleanup/0", "vocals/cleanup/1"}
        assert [each.name for each in desk.bench.check.strips] == ["vocals"]
        await driver.press("0", "C", "t")
        assert "the master stage has no clean-up" in driver.text()


# ---- the desk -------------------------------------------------------------------------------------------------------


async def test_a_session_that_cleans_its_master_is_carried_out_proved_and_pinned_when_it_is_opened(
    workstation, session_path: Path, fakes: Bench, make_player, players: list[FakePlayer]
) -> None:
    steps = (Dehum(), Declip(apply="master"))
    begin_with(session_path, *steps)
    async with workstation(session_path, size=(140, 45), make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.until(lambda: desk.bench.check is not None, "the proof")
        assert desk.bench.check.passed
        assert [each.name for each in desk.bench.check.strips] == ["clean-up"]
        # what only networks hear is not waited for
        assert [step.bypass for step in fakes.carried_out[0].cleanup] == [True, False]
        assert desk.bench.session.cleanup[1].hash
        assert not desk.bench.session.cleanup[0].hash
        text = driver.text()
        assert "rest exact" in text
        assert "clean-up 2 steps, the master" in text
        assert "dehum, networks only" in text
        await driver.press("space")
        show = players[0].last(player.Show)
        assert "cleanup/1" in show.stems
        assert show.session.cleanup[1].active
        await driver.press("H", "escape", "u")
        assert "nothing to undo" in driver.text()


async def test_who_looks_only_hears_the_clean_up_too_and_pins_nothing(
    workstation, session_path: Path, fakes: Bench
) -> None:
    begin_with(session_path, Declip(apply="master"), cleaning.Declick(apply="master"))
    async with workstation(session_path, read_only=True, size=(120, 40)) as driver:
        desk = await driver.opened()
        await driver.until(lambda: desk.bench.check is not None, "the proof")
        assert desk.bench.session.cleanup[0].hash == ""
        assert not desk.bench.needs_stems
        await driver.press("C", "i", "y")
        assert "read only" in driver.text()
        assert isinstance(driver.app.screen, CleanupPanel)
        await driver.press("p")
        await driver.until(lambda: desk.bench.damage, "the findings")
        assert "unsure" in driver.text()
        assert len(desk.bench.session.cleanup) == 2
        del fakes


async def test_while_the_clean_up_is_not_there_the_badge_says_so(workstation, session_path: Path, fakes: Bench) -> None:
    fakes.problem = UnbakeError("there is no room", where="the stem store")
    begin_with(session_path, Declip(apply="master"))
    async with workstation(session_path, size=(140, 45)) as driver:
        desk = await driver.opened()
        await driver.until(lambda: "there is no room" in driver.notices(), "the notice")
        assert "needs clean-up" in driver.text()
        assert "the clean-up was not carried out yet" in driver.text()
        await driver.press("3", "comma")
        await driver.press("N", "escape", "X")
        assert "the clean-up was not carried out yet" in driver.notices()
        before = len(fakes.carried_out)
        await driver.press("C", "c")
        await driver.until(lambda: len(fakes.carried_out) > before and not desk.bench.cleaning, "the refusal")
        assert "0 of 1 steps carried out" in driver.text()
        fakes.problem = None
        await driver.press("c", "q")
        await driver.until(lambda: desk.bench.check is not None, "the proof")
        assert "rest exact" in driver.text()


async def test_stems_of_a_network_that_heard_something_else_are_let_go(
    workstation, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stems = finish(sessions.new_session(song, stems_from=song.parent / "stems"))

    def at_hand(session: Session) -> StemSet | None:
        return stems if not cleaning.told(session.cleanup) else None

    monkeypatch.setattr(opening, "stems_at_hand", at_hand)
    path, _ = finish(sessions.create(song, tmp_path / "own.toml"))
    async with workstation(path) as driver:
        desk = await driver.opened()
        await driver.until(lambda: desk.bench.stems, "the stems")
        await driver.press("C", "i", "enter", "q")
        assert not desk.bench.stems
        assert "S separates" in driver.text()
        await driver.press("u")
        await driver.until(lambda: desk.bench.stems, "the stems of before")
        await driver.press("U")
        assert not desk.bench.stems
        await driver.press("C", "y", "q")  # nothing is told of a step that is bypassed
        await driver.until(lambda: desk.bench.stems, "the stems of before")


async def test_an_undo_takes_the_removed_files_with_it_and_a_redo_brings_them_back(
    workstation, session_path: Path, fakes: Bench
) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("C", "i", "enter", "m", "q")
        await driver.until(lambda: "cleanup/0" in desk.bench.sounds, "the file")
        await driver.until(lambda: desk.bench.session.cleanup[0].hash, "the pin")
        await driver.press("u")
        assert cleanup(desk) == (Declip(),)
        assert desk.bench.removed == {}
        await driver.press("U")
        assert cleanup(desk) == (Declip(apply="master"),)
        await driver.until(lambda: desk.bench.check is not None, "the proof")
        assert desk.bench.check.passed
        assert len(fakes.carried_out) == 2


async def test_without_a_session_there_is_no_bench(workstation) -> None:
    async with workstation() as driver:
        await driver.press("C")
        assert driver.app.screen is driver.desk
        assert "nothing is open" in driver.desk.said


async def test_over_a_slow_line_one_picture_is_drawn(bench) -> None:
    async with bench(size=(140, 40), config=Config(low_bandwidth=True)) as (_, _, panel):
        assert [view.id for view in panel.query("View") if view.display] == ["view-after"]


async def test_it_is_drawn_at_any_size(bench) -> None:
    async with bench((Declip(), Dehum())) as (driver, _, panel):
        for size in ((40, 12), (200, 60), (80, 24)):
            await driver.pilot.resize_terminal(*size)
            await driver.pilot.pause()
            await driver.pilot.pause()
            assert "Esc" in driver.text(), size
            assert "declip" in driver.text(), size
            assert any(view.size.height >= 1 for view in panel.query(SpectrogramView)), size


# ---- the pictures themselves ----------------------------------------------------------------------------------------


def test_a_picture_of_a_stretch_is_the_same_as_that_of_the_whole(tmp_path: Path) -> None:
    sound = np.random.default_rng(3).standard_normal((100_000, 2)) * 0.1
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", sound, RATE, subtype="FLOAT")
    step, span = Dehum(apply="master", strength=0.5), (30_000, 60_000)
    files_ = {removed_name(0): tmp_path / "b.wav"}
    views = finish(cleanup_picture.views_of(tmp_path / "a.wav", (step,), files_, span, 20, 20))
    assert views.after is not None
    assert views.removed is not None
    np.testing.assert_allclose(views.after.levels_db, views.before.levels_db - 6.0206, atol=0.01)
    np.testing.assert_allclose(views.removed.levels_db, views.after.levels_db, atol=0.01)
    none = finish(cleanup_picture.views_of(tmp_path / "a.wav", None, {}, span, 20, 20))
    assert (none.after, none.removed) == (None, None)
    assert finish(cleanup_picture.level_of(tmp_path / "a.wav")) == pytest.approx(-20.0, abs=0.1)
