"""The screens as they are, at 80x24 and at 200x50: each is held against a kept picture, as text and as SVG.

When a screen was changed on purpose, look at what it is now (`pictures/*.found.svg`) and keep it:
`UNBAKE_PIN=1 pytest tests/tui/test_tui_pictures.py`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from textual.screen import Screen
from tui_pictures import KEPT, PIN, Picture, differences, strips, taken, tidy
from tui_player import FakePlayer

from core import recent
from core.audition import messages as player
from core.cleanup import proposal
from core.cleanup.cleaner import Finding as Damage
from core.diagnosis.findings import Diagnosis, Finding
from core.diagnosis.fitting import FittedPreset
from core.errors import UnbakeError
from core.events import Operation, Progress, finish
from core.jobs import machine, opening, operations, sessions
from core.measure.inspect import Fault
from core.recombine.check import SessionCheck
from core.session import history
from core.session.document import Session
from core.session.editor import Editor
from core.session.fits import Value
from core.session.presets import Preset
from models import registry
from models.registry import Score
from models.weights import Weights
from tui.config import Config
from tui.jobs import Job
from tui.panels.ask import Answer, Ask
from tui.panels.null import ComparisonPanel

SIZES = ((80, 24), (200, 50))
EDITS = [
    "strips.bass.gain_db=-1.5",
    'strips.bass.chain[0]={type="low_cut", freq_hz=28, slope_db_oct=24}',
    'strips.bass.chain[1]={type="bell", freq_hz=247, gain_db=-4.8, q=0.9}',
    'strips.bass.chain[2]={type="high_shelf", freq_hz=5200, gain_db=1.5, bypass=true}',
    'strips.vocals.chain[0]={type="bell", freq_hz=440, gain_db=1.5, q=1.2}',
    'master[0]={type="limiter", ceiling_dbtp=-1.0}',
]
MODES = [
    "strips.vocals.mode=cancel",
    "strips.drums.mode=parallel",
    "strips.drums.blend=0.35",
    "strips.drums.gain_db=3",
    "strips.bass.polarity=-1",
    "strips.other.pan=-0.2",
    'strips.other.chain[0]={type="bell", freq_hz=3100, gain_db=1.5, q=1.2, bypass=true}',
    "strips.residual.gain_db=-12.5",
]


@pytest.fixture(autouse=True)
def same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the screen depends on the machine, the clock, or where the test runs."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UNBAKE_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("UNBAKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(machine, "glance", lambda: "H200 12/139 GB")
    monkeypatch.setattr(history, "now", lambda **_: "2026-11-22T17:04:00+00:00")
    monkeypatch.setattr(registry, "is_installed", lambda card: card.name in HERE)
    monkeypatch.setattr(operations, "check_session", _check)


CHECK = operations.check_session
HERE = ("spleeter-2stems", "starter")
"""Models that every picture has installed, whatever cards there are."""


def _check(session: Session, stems: Mapping[str, Path]) -> Operation[SessionCheck]:
    """The live check, but for a figure that is rounding noise, and another one on every processor."""
    found = yield from CHECK(session, stems)
    return found if found.rest_dbfs is None else msgspec.structs.replace(found, rest_dbfs=-300.0)


STILL = 4
"""Looks in a row that find the same: screens that lie below others are laid out in more than one go."""


class Album:
    """Takes pictures of an app at all sizes, and says in the end which are not as they were."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.complaints: list[str] = []

    async def press(self, *keys: str) -> None:
        await self.driver.press(*keys)

    async def take(
        self,
        name: str,
        *,
        meanwhile: str = "asking",
        over: Callable[[], Screen] | None = None,
        sizes: Sequence[tuple[int, int]] = SIZES,
    ) -> None:
        """Takes what is on the screen, at every size; workers of the group `meanwhile` may still be at it.

        With `over` such a screen is laid over it each time.
        """
        for size in sizes:
            await self.driver.pilot.resize_terminal(*size)
            if over is not None:
                # what lies below finds out whether it needs a scrollbar when it comes to it: let it come to rest first
                await self._settled(meanwhile)
                self.driver.app.push_screen(over())
            complaint = differences(f"{name}-{size[0]}x{size[1]}", await self._settled(meanwhile))
            if complaint:
                self.complaints.append(complaint)
            if over is not None:
                self.driver.app.pop_screen()
                await self.driver.pilot.pause()

    async def _settled(self, meanwhile: str) -> Picture:
        """What is on the screen once nothing more comes."""
        before, same, end = None, 0, time.monotonic() + 20.0
        while time.monotonic() < end:
            await asyncio.sleep(0.03)
            now = None if self._busy(meanwhile) else strips(self.driver.app)
            same = same + 1 if now is not None and now == before else 0
            if same == STILL:
                return taken(self.driver.app)
            before = now
        raise AssertionError("the screen does not come to rest")

    def _busy(self, meanwhile: str) -> bool:
        bench = self.driver.desk.bench
        session = bench.session
        proved = session is None or session.untouched or bench.needs_stems or bench.check is not None
        return not proved or any(each.is_running and each.group != meanwhile for each in self.driver.app.workers)


@pytest.fixture
def album(workstation: Any) -> Callable[..., AbstractAsyncContextManager[Album]]:
    """Opens the app, once its file is read: `async with album(path, config=...) as pictures`."""

    @asynccontextmanager
    async def open_(path: Path | None = None, **words: Any) -> AsyncIterator[Album]:
        async with workstation(path, **words) as driver:
            pictures = Album(driver)
            if path is not None:
                await driver.opened()
            yield pictures
            assert not pictures.complaints, "".join(pictures.complaints) + f"\n{PIN}=1 keeps what was found"

    return open_


@pytest.fixture
def session_with(make_song: Callable[..., Path], tmp_path: Path) -> Callable[[list[str]], Path]:
    """The maker of a session with the true stems and some edits."""

    def make(edits: list[str]) -> Path:
        song = make_song(tmp_path / "masters")
        path, _ = finish(sessions.create(song, None, stems_from=song.parent / "stems"))
        if edits:
            sessions.set_values(path, edits)
        return path

    return make


async def test_nothing_is_open(album, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path.home()
    lately = [home / "masters" / "night_drive.unbake.toml", home / "masters" / "夜のドライブ.wav"]
    monkeypatch.setattr(recent, "paths", lambda: lately)
    away = msgspec.structs.replace(
        registry.find("starter"),
        name="some-network",
        architecture="htdemucs",
        about="Far better, once it is fetched.",
        caution="",
        licence=registry.NONE_STATED,
        jobs=("karaoke",),
        weights=(Weights("https://weights.example/net.ckpt", "ab" * 32, 912_885_624, "torch"),),
        scores=(Score("SDR", "an exam", "a paper", {"vocals": 9.5, "bass": 8.25}),),
    )
    cards = {card.name: card for card in (away, registry.find("spleeter-2stems"), registry.find("starter"))}
    monkeypatch.setattr(registry, "all_cards", lambda: (cards, []))
    monkeypatch.setattr(registry, "is_installed", lambda card: card is not away)
    async with album() as pictures:
        await pictures.take("empty")
        await pictures.press("M")
        await pictures.take("models")


async def test_a_file_is_being_read(album, make_song, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song, read, load = make_song(tmp_path / "masters"), threading.Event(), opening.load

    def held(*words: Any) -> Operation[Editor]:
        while not read.wait(0.02):
            yield Progress("reading", 64, 100)
        return (yield from load(*words))

    monkeypatch.setattr(opening, "load", held)
    async with album() as pictures:
        desk = pictures.driver.desk
        desk.ask(desk.open(song))
        await pictures.driver.until(lambda: desk.bench.report is not None, "the loudness")
        await pictures.take("reading", meanwhile="opening-files")
        read.set()
        await pictures.driver.opened()


async def test_nothing_is_separated_yet(album, make_song, tmp_path: Path) -> None:
    song = make_song(tmp_path / "masters")
    named = song.rename(song.with_name("夜のドライブ 最終マスター v12 🎛️ アナログ・サミング.wav"))
    async with album(named) as pictures:
        await pictures.take("not-separated")
        await pictures.press("o")
        await pictures.take("open")


async def test_the_desk(album, session_with) -> None:
    async with album(session_with(EDITS)) as pictures:
        await pictures.press("3")
        await pictures.take("lanes")
        await pictures.press("e")
        await pictures.take("equaliser")
        await pictures.press("0")
        await pictures.take("master")
        await pictures.press("3", "shift+tab", "shift+tab", *["l"] * 9, "left_square_bracket", "apostrophe")
        await pictures.press(*["l"] * 20, "right_square_bracket", "l", "l", "apostrophe")
        await pictures.take("loop")
        await pictures.press("v")
        await pictures.take("spectrogram")
        await pictures.press("v", *["plus"] * 11)
        await pictures.take("samples")


async def test_the_panels(album, session_with) -> None:
    async with album(session_with(EDITS)) as pictures:
        await pictures.press("3", "P", "j")
        await pictures.take("presets")
        await pictures.press("escape", "N")
        await pictures.take("null")
        await pictures.press("escape", "right", "p", "u", "u", "e", "right", "H")
        await pictures.take("history")
        await pictures.press("escape", "I")
        await pictures.take("file")
        await pictures.press("escape", "question_mark")
        await pictures.take("help")
        await pictures.press("escape", "colon", *"mu")
        await pictures.take("palette")
        await pictures.press("escape", "i", "j")
        await pictures.take("insert")


async def test_the_null_after_a_render_and_of_two_files(album, session_with) -> None:
    path = session_with(EDITS)
    sound, rate = soundfile.read(path.with_name("song.wav"))
    later = 0.9 * np.concatenate([np.zeros((3, 2)), sound[:-3]])
    soundfile.write(path.with_name("other.wav"), later, rate, subtype="PCM_24")
    async with album(path) as pictures:
        desk, app = pictures.driver.desk, pictures.driver.app
        await pictures.press("3", "R", "enter")
        await pictures.driver.until(lambda: desk.bench.rendered is not None, "the render")
        await pictures.press("N", "tab", "enter")
        await pictures.take("null-after")
        await pictures.press("escape", "A", "ctrl+u", *str(path.with_name("other.wav")), "enter")
        await pictures.driver.until(lambda: isinstance(app.screen, ComparisonPanel), "the null test")
        await pictures.take("comparison")


async def test_diagnosis_and_presets_that_measure(album, session_with, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "diagnose_stems", _diagnosed)
    monkeypatch.setattr(operations, "fit_stems", _fitted)
    async with album(session_with(EDITS)) as pictures:
        desk = pictures.driver.desk
        await pictures.press("3", "D")
        await pictures.driver.until(lambda: desk.bench.diagnosis is not None, "the diagnosis")
        await pictures.take("diagnosis")
        await pictures.press("enter")
        await pictures.driver.until(lambda: pictures.driver.app.screen.list.chosen >= 0, "the values")
        await pictures.take("preview")


def _diagnosed(session: Session, stems: Mapping[str, Path]) -> Operation[Diagnosis]:
    """A diagnosis that does not hang on the last figure of a measurement."""
    yield Progress("diagnosing", 1, 1)
    found = (
        Finding("low_mid_excess", "bass", True, 4.13, "dB", 0.0, WHY, ("muddy-low-end",), 61.2, 65.2),
        Finding("dullness", "drums", True, 5.29, "dB", 6.0, "hits stand 5.3 dB out", ("dull-drums",), 6.1, 10.1),
        Finding("hum", "master", True, 21.5, "dB", 15.0, "three lines or more of 50 Hz stand 22 dB out"),
        Finding("vocal_deficit", "vocals", False, -4.39, "LU", -9.0, "the voice is -4.4 LU against the rest"),
        Finding("mono_loss", "master", False, 0.51, "LU", 3.0, "in mono it is 0.5 LU quieter"),
    )
    assert set(stems) == {"vocals", "drums", "bass", "other", "residual"}
    fault = Fault("clipping", "note", "12 runs of samples at full scale")
    return Diagnosis(
        path=session.source.path, model="starter", estimated=True, seconds=1.0, findings=found, faults=(fault,)
    )


def _fitted(preset: Preset, session: Session, stems: Mapping[str, Path]) -> Operation[FittedPreset]:
    """The values that go with it."""
    yield Progress("diagnosing", 1, 1)
    assert set(stems) >= set(session.separation.stems)
    values = {"freq_hz": 283.0, "gain_db": -3.2, "q": 1.0}
    bass = ("strips", "bass", "chain", 0)
    fitted = preset.fitted({(*bass, name): value for name, value in values.items()})
    fitted = fitted.fitted({("strips", "other", "chain", 0, "bypass"): True})
    told = [Value(f"strips.bass.chain[0].{name}", "low_mid_excess", value, WHY) for name, value in values.items()]
    quiet = "the build-up is more likely on the bass alone; nothing is done"
    told += [Value(f"strips.other.chain[0].{name}", "low_mid_excess", None, quiet) for name in values]
    return FittedPreset(fitted, tuple(told))


async def test_the_clean_up_bench(album, session_with, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposal, "findings", _damage)
    async with album(session_with([])) as pictures:
        await pictures.press("C", "p")
        await pictures.driver.until(lambda: pictures.driver.desk.bench.damage, "the findings")
        await pictures.press("v", "v")
        await pictures.take("clean-up", sizes=((80, 24), (120, 36)))


def _damage(path: Path) -> Operation[tuple[Damage, ...]]:
    """Damage that does not hang on the last figure of a measurement."""
    yield Progress("looking", 1, 1)
    assert path.exists()
    return (
        Damage(type="declip", found=False, confidence=0.0, detail="no flat tops that share a level"),
        Damage(type="declick", found=True, confidence=0.62, detail="31 clicks, 0.4 a second; they may be of the drums"),
        Damage(type="dehum", found=True, confidence=0.97, detail="50.02 Hz and 17 harmonics, -41 dBFS"),
    )


WHY = "about 4.1 dB at 283 Hz (chance 71%): 3 dB less is expected to bring the sum 1.8 dB nearer to what it was"


async def test_what_follows_levels(album, session_with) -> None:
    compressor = '{type="compressor", threshold_db=-24, ratio=4, knee_db=12, makeup_db=3}'
    async with album(session_with([f"strips.bass.chain[0]={compressor}"])) as pictures:
        await pictures.press("3", "tab", *["j"] * 4)
        await pictures.take("dynamics")


async def test_forms_questions_and_notices(album, session_with) -> None:
    async with album(session_with(EDITS)) as pictures:
        desk, app = pictures.driver.desk, pictures.driver.app
        await pictures.press("3", "S")
        await pictures.take("separate")
        await pictures.press("escape", "R", "equals_sign", "ctrl+u", *"/nowhere/x.wav", "enter", "enter")
        await pictures.take("render")
        await pictures.press("escape", "e", "equals_sign", *"bla", "enter")
        await pictures.take("typed")
        await pictures.press("escape")
        answers = [Answer("s", "save it and quit"), Answer("l", "leave it and quit: the journal keeps every edit")]
        await pictures.take("question", over=lambda: Ask("song.unbake.toml is not saved.", answers))
        desk.complain(UnbakeError("no space left on device", where="song.unbake.toml", remedy="make room"))
        await pictures.take("notice")
        app.clear_notifications()
        desk.jobs._jobs["device", 99] = Held(99, "device", "stems of starter", False, asyncio.Future())
        desk.show_jobs()
        await pictures.take("job")
        desk.jobs._jobs.clear()


async def test_listening(album, session_with, make_player, players: list[FakePlayer]) -> None:
    async with album(session_with(EDITS), make_player=make_player) as pictures:
        driver = pictures.driver
        await pictures.press("3", "space")
        (fake,) = players
        page = "http://127.0.0.1:8765/gEHEdCq0Yk/"
        fake.tell(player.Opened("browser", url=page, tunnel="ssh -N -L 8765:127.0.0.1:8765 you@box"))
        fake.tell(player.Heard(True, 40_000, gain_db=-0.4, source_lufs=-14.3, repair_lufs=-13.9, pages=1))
        await driver.until(lambda: driver.desk.bench.heard.playing, "the playing")
        driver.app.clear_notifications()
        await pictures.press("G")
        fake.tell(player.Outlets((("Babyface Pro: USB Audio (hw:1,0)", 12, 48_000), ("default", 32, 44_100))))
        await driver.until(lambda: "Babyface" in driver.text(), "the cards")
        await pictures.take("where")
        await pictures.press("escape", "X")
        for key in "1221":
            for stream in ("source", "x"):
                fake.tell(player.Heard(True, 40_000, stream=stream, source_lufs=-14.3, repair_lufs=-13.9, pages=1))
                await driver.until(lambda stream=stream: driver.desk.bench.heard.stream == stream, "the stream")
            await pictures.press(key)
        await pictures.take("blind")


class Held(Job):
    """A job that stands still."""

    @property
    def share(self) -> float:
        return 0.71

    @property
    def speed(self) -> float:
        return 38.2

    @property
    def seconds_left(self) -> float:
        return 203.0


async def test_what_a_strip_can_be(album, session_with) -> None:
    async with album(session_with(MODES)) as pictures:
        await pictures.press("2")
        await pictures.take("modes")


async def test_twelve_stems(album, tmp_path: Path) -> None:
    folder = tmp_path / "masters"
    (folder / "stems").mkdir(parents=True)
    names = "lead-vocal backing-vocals kick snare hi-hat toms overheads bass guitar-left guitar-right piano synth"
    time_s = np.arange(44_100) / 44_100
    total = np.zeros(44_100)
    for number, name in enumerate(names.split()):
        sound = 0.02 * (number + 1) * np.sin(2 * np.pi * 55 * (number + 1) * time_s) * (time_s * (number % 4 + 1) % 1)
        sound = np.rint(sound * 2**20) / 2**20
        soundfile.write(folder / "stems" / f"{name}.wav", sound, 44_100, subtype="FLOAT")
        total += sound
    soundfile.write(folder / "band.wav", total, 44_100, subtype="FLOAT")
    path, _ = finish(sessions.create(folder / "band.wav", None, stems_from=folder / "stems"))
    async with album(path) as pictures:
        await pictures.press(*"jjjjjjjjj")
        await pictures.take("twelve-stems")


@pytest.mark.parametrize("theme", ["light", "contrast"])
async def test_another_theme(album, session_with, theme: str) -> None:
    async with album(session_with(EDITS), config=Config(theme=theme)) as pictures:
        await pictures.press("3", "e")
        await pictures.take(f"theme-{theme}")


async def test_no_colours(album, session_with, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with album(session_with(EDITS)) as pictures:
        await pictures.press("3", "e")
        await pictures.take("no-colour")


async def test_a_terminal_of_ascii(album, session_with) -> None:
    async with album(session_with(EDITS), config=Config(glyphs="ascii")) as pictures:
        await pictures.press("3", "e")
        await pictures.take("ascii")


def test_no_picture_is_kept_that_nobody_takes() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    kept = {path.stem.rpartition("-")[0] for path in KEPT.iterdir() if ".found" not in path.name}
    for name in kept:
        assert f'"{name}"' in source or name.startswith("theme-"), name


def test_the_pictures_stay_small() -> None:
    assert sum(path.stat().st_size for path in KEPT.iterdir() if ".found" not in path.name) < 2_000_000


def test_a_tidied_picture_begins_where_its_blanks_begin() -> None:
    clipped = 'x="0.125" clip-path="url(#terminal-1-line-0)"'
    svg = f'<svg class="x"><text class="terminal-1-r1" {clipped}>&#160;0.125</text></svg>'
    assert tidy(svg) == '<svg xml:space="preserve" class="x"><text class="r1" x="0.1"> 0.125</text>\n</svg>\n'
