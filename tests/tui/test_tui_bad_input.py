"""Files and sessions that are broken, gone, in use or not what they were: the app stays up and says what to do."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio import hashes
from core.errors import UnbakeError, os_error
from core.jobs import opening
from core.session import files, history
from core.session.document import Session
from core.session.lock import SessionLock
from tui.desk import keeping
from tui.desk.bench import Bench
from tui.desk.messages import About

NOISE = np.random.default_rng(3).standard_normal((30_000, 8)) * 0.1


def write(folder: Path, name: str, samples: np.ndarray, rate: int = 44_100, subtype: str = "FLOAT") -> Path:
    path = folder / name
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def gain_of(desk, strip: str) -> float:
    session: Session = desk.bench.session
    return session.strips[strip].gain_db if strip in session.strips else 0.0


# ---- what is opened -----------------------------------------------------------------------------------------------

ODD: dict[str, Callable[[Path], Path]] = {
    "one sample": lambda folder: write(folder, "one.wav", NOISE[:1, :2]),
    "two samples": lambda folder: write(folder, "two.wav", NOISE[:2, :1]),
    "silence": lambda folder: write(folder, "silence.wav", np.zeros((30_000, 2))),
    "full scale": lambda folder: write(folder, "loud.wav", np.ones((30_000, 2)), subtype="PCM_16"),
    "NaN and infinity": lambda folder: write(
        folder, "nan.wav", np.where(np.arange(30_000)[:, None] % 7 == 3, np.nan, np.full((30_000, 2), np.inf))
    ),
    "mono": lambda folder: write(folder, "mono.wav", NOISE[:, 0], subtype="PCM_24"),
    "8 channels": lambda folder: write(folder, "eight.wav", NOISE, subtype="PCM_24"),
    "8 kHz": lambda folder: write(folder, "telephone.wav", NOISE[:, :2], 8_000, "PCM_U8"),
    "384 kHz": lambda folder: write(folder, "fine.wav", NOISE[:, :2], 384_000, "PCM_32"),
    "a name of signs": lambda folder: write(folder, "[b]ö /日本[red] $x {}.wav".replace("/", "‾"), NOISE[:, :2]),
    "a long name": lambda folder: write(folder, "n" * 230 + ".wav", NOISE[:, :2]),
}


@pytest.mark.parametrize("kind", ODD)
async def test_odd_but_sound_files_are_worked_on_like_any_other(workstation, tmp_path: Path, kind: str) -> None:
    path = ODD[kind](tmp_path)
    async with workstation(path, size=(100, 30)) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma", "e", "j", "right", "1", "p", "0", "i", "enter")
        assert gain_of(desk, "bass") == -1.0
        await driver.press("tab", *["plus"] * 12, "end", "v", "home", "v", "I", "escape", "N", "escape", "R", "escape")
        await driver.press("W")
        assert files.load(desk.bench.editor.path) == desk.bench.session


@pytest.mark.parametrize("name", ["gone.wav", "folder", "text.wav", "empty.wav", "no frames.wav", "cut.wav"])
async def test_what_is_no_audio_is_said_and_another_file_can_be_opened(
    workstation, session_path: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name != "gone.wav":
        path.write_bytes({"text.wav": b"dear diary", "cut.wav": b"RIFF\x24\x00\x00\x00WAVEfmt "}.get(name, b""))
    if name == "no frames.wav":
        write(tmp_path, name, NOISE[:0, :2])
    async with workstation(path) as driver:
        await driver.until(lambda: driver.desk.bench.not_opened, "the refusal")
        assert name in driver.notices()
        assert "not opened" in driver.text()
        await driver.press("3", "p", "W", "R", "v", "plus", "S", "E", "A", "N", "I", "H", "u", "escape")
        driver.desk.ask(driver.desk.open(session_path))
        desk = await driver.opened()
        assert desk.bench.not_opened is None


async def test_a_file_that_may_not_be_read_is_said(workstation, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise os_error(PermissionError(errno.EACCES, "Permission denied"), path)

    monkeypatch.setattr(opening, "probe", refuse)
    async with workstation(song) as driver:
        await driver.until(lambda: driver.desk.bench.not_opened, "the refusal")
        assert "song.wav: permission denied" in driver.notices()


@pytest.mark.parametrize("by", ["its session", "its master"])
async def test_a_broken_session_is_said_with_its_line(workstation, session_path: Path, song: Path, by: str) -> None:
    session_path.write_text(session_path.read_text() + "\n[strips.bass]\ngain_db = loud\n")
    async with workstation(session_path if by == "its session" else song) as driver:
        await driver.until(lambda: driver.desk.bench.not_opened, "the refusal")
        assert session_path.name in driver.notices()
        assert "line" in driver.notices()
        await driver.press("3", "p")
        assert "not opened" in driver.text()
        assert SessionLock(session_path).holder() is None


async def test_a_session_whose_master_is_gone_says_which(workstation, session_path: Path, song: Path) -> None:
    song.unlink()
    async with workstation(session_path) as driver:
        await driver.until(lambda: driver.desk.bench.not_opened, "the refusal")
        assert "the source of this session is gone" in driver.notices()
        assert "put it back" in driver.notices()


async def test_a_session_whose_master_is_another_file_says_so_in_the_header(
    workstation, session_path: Path, song: Path
) -> None:
    write(song.parent, song.name, NOISE[:, :2], subtype="PCM_24")
    async with workstation(session_path, size=(160, 40)) as driver:
        await driver.until(lambda: "source changed" in driver.text(), "the finding")
        assert "the source has changed since the session was made" in driver.notices()


async def test_a_damaged_history_is_set_aside_and_edits_go_on(workstation, session_path: Path) -> None:
    damaged = history.path_for(session_path)
    damaged.write_bytes(damaged.read_bytes() + b'{"type": "edit"\n')
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        assert "damaged" in driver.notices()
        await driver.press("3", "p")
        await driver.until(lambda: desk.bench.editor.journaled, "the journal")
    assert damaged.with_name(f"{damaged.name}.damaged-1").exists()
    assert len(history.load(session_path).edits) == 2


async def test_a_broken_workspace_costs_only_what_it_remembered(workstation, session_path: Path) -> None:
    session_path.with_name("song.unbake.workspace").write_text("playhead = -3")
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        assert "begin afresh" in driver.notices()
        assert desk.bench.timeline.playhead == 0


async def test_a_master_in_a_folder_that_can_not_be_written_has_its_session_at_home(
    workstation, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != song.parent and access(path, mode))
    async with workstation(song) as driver:
        desk = await driver.opened()
        await driver.press("3", "p", "W")
        assert not desk.bench.read_only
        assert files.load(desk.bench.editor.path).strips["bass"].polarity == -1
        assert desk.bench.editor.path.parent != song.parent


# ---- what changes while it is open ---------------------------------------------------------------------------------


async def test_a_master_that_vanishes_leaves_the_edits_and_says_what_can_not_be_done(
    workstation, session_path: Path, song: Path
) -> None:
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await driver.opened()
        song.unlink()
        await driver.press("3", "comma")
        await driver.until(lambda: "source changed" in driver.text(), "the finding")
        await driver.press("tab", "tab", *["plus"] * 14)
        await driver.until(lambda: "is gone" in driver.notices(), "the notice of the zoom")
        await driver.press("v")
        await driver.until(lambda: not desk.workers._workers or "is gone" in driver.notices(), "the spectrogram")
        await driver.press("R")
        assert "song.wav" in driver.notices()
        await driver.press("escape", "S", "enter")
        await driver.until(lambda: desk.jobs.shown is None, "the end of the job")
        assert "put it back" in driver.notices()
        await driver.press("W")
        assert files.load(session_path).strips["bass"].gain_db == -1.0


async def test_the_same_notice_is_not_given_again_and_again(workstation, session_path: Path, song: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        song.unlink()
        await driver.press("tab", "tab", *["plus"] * 14, *["right", "left"] * 10)
        await driver.until(lambda: "is gone" in driver.notices(), "the notice")
        assert driver.notices().count("is gone\n") == 1


async def test_a_master_that_is_written_over_is_noticed_at_the_next_edit(
    workstation, session_path: Path, song: Path
) -> None:
    async with workstation(session_path, size=(120, 40)) as driver:
        desk = await driver.opened()
        sound = song.read_bytes()
        write(song.parent, song.name, NOISE[:, :2], subtype="PCM_24")
        await driver.press("3", "comma")
        await driver.until(lambda: "source changed" in driver.text(), "the finding")
        song.write_bytes(sound)  # as it was, but for its date
        await driver.press("comma")
        await driver.until(lambda: "source changed" not in driver.text(), "the all-clear")
        await driver.until(lambda: "rest exact" in driver.text(), "the proof")
        assert desk.bench.source_problem is None


@pytest.mark.parametrize("answer", ["w", "t", "escape"])
async def test_a_session_that_was_edited_by_hand_is_asked_about_when_saving(
    workstation, session_path: Path, answer: str
) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma")
        by_hand = session_path.read_text() + "\n[strips.drums]\npolarity = -1\n"
        session_path.write_text(by_hand)
        await driver.press("W")
        assert "was changed by another program" in driver.text()
        await driver.press(answer)
        if answer == "escape":
            assert session_path.read_text() == by_hand
            assert "not saved" in driver.text()
            return
        if answer == "t":
            assert desk.bench.session.strips["drums"].polarity == -1
            assert gain_of(desk, "bass") == 0.0
            await driver.press("W")
        assert files.load(session_path) == desk.bench.session
        values = [edit.session.strips for edit in desk.bench.editor.history.edits]
        assert any("drums" in strips for strips in values)
        assert any("bass" in strips for strips in values)


async def test_a_session_that_was_deleted_is_written_anew(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma")
        session_path.unlink()
        await driver.press("W")
        assert "is gone since it was opened" in driver.text()
        await driver.press("w")
        assert files.load(session_path) == desk.bench.session


async def test_a_session_that_was_broken_by_hand_is_saved_as_a_copy(workstation, session_path: Path) -> None:
    copy = session_path.with_name("song-2.unbake.toml")
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma")
        session_path.write_text("nonsense")
        await driver.press("W", "w")
        assert "can't be saved" in driver.text()
        await driver.press("c")
        assert desk.bench.editor.path == copy
        assert files.load(copy).strips["bass"].gain_db == -1.0
        await driver.press("comma")
        await driver.until(lambda: desk.bench.editor.journaled, "the journal of the copy")
        assert SessionLock(copy).holder() is not None
        assert SessionLock(session_path).holder() is None
    assert session_path.read_text() == "nonsense"
    assert len(history.load(copy).edits) == 2


async def test_a_history_that_another_program_wrote_to_is_said_and_a_copy_offered(
    workstation, session_path: Path
) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        with history.path_for(session_path).open("ab") as file:
            file.write(b"\n")
        await driver.press("3", "comma")
        await driver.until(lambda: "not on disk" in driver.text(), "the notice")
        assert "another program wrote to the history" in driver.notices()
        await driver.press("W", "c")
        assert "saved song-2.unbake.toml" in driver.text()
        assert "not on disk" not in driver.text()
        await driver.press("u")
        assert "nothing to undo" in driver.text()
        assert gain_of(desk, "bass") == -1.0


# ---- the disk ----------------------------------------------------------------------------------------------------


class Disk:
    """A disk that is full, or not any more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.tries = 0
        write_all = history._write_all

        def write(file, data: bytes) -> None:
            self.tries += 1
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            write_all(file, data)

        monkeypatch.setattr(history, "_write_all", write)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_on_a_full_disk_edits_are_kept_and_the_next_one_brings_all_of_them_there(
    workstation, session_path: Path, disk: Disk
) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        disk.full = True
        await driver.press("3", "comma")
        await driver.until(lambda: "not on disk" in driver.text(), "the notice")
        assert "no space left" in driver.notices()
        assert "free some room" in driver.notices()
        assert "it is tried again every 10 s" in driver.notices()
        disk.full = False
        await driver.press("p")
        await driver.until(lambda: "not on disk" not in driver.text(), "the journal")
        assert "every edit is on the disk again" in driver.notices()
        assert gain_of(desk, "bass") == -1.0
    assert len(history.load(session_path).edits) == 3


async def test_a_full_disk_is_tried_again_without_an_edit_and_only_while_it_is_needed(
    workstation, session_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "RETRY_SECONDS", 0.05)
    async with workstation(session_path) as driver:
        await driver.opened()
        disk.full = True
        await driver.press("3", "comma")
        await driver.until(lambda: disk.tries > 3, "several tries")
        assert driver.notices().count("no space left") == 1
        disk.full = False
        await driver.until(lambda: "not on disk" not in driver.text(), "the journal")
        tries = disk.tries
        await asyncio.sleep(0.3)
        assert disk.tries == tries
    assert len(history.load(session_path).edits) == 2


async def test_who_leaves_with_a_full_disk_is_told_what_would_be_lost(
    workstation, session_path: Path, disk: Disk
) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        disk.full = True
        await driver.press("3", "comma")
        await driver.until(lambda: "not on disk" in driver.text(), "the notice")
        await driver.press("q", "l")
        assert "can't be written to the disk" in driver.text()
        await driver.press("escape")
        assert gain_of(desk, "bass") == -1.0
        await driver.press("q", "l", "x")
        await driver.until(lambda: not driver.app.is_running, "the end")


async def test_a_save_that_fails_leaves_what_was_there(workstation, session_path: Path, disk: Disk) -> None:
    before = session_path.read_text()
    async with workstation(session_path) as driver:
        await driver.opened()
        disk.full = True
        await driver.press("3", "comma", "W")
        assert "can't be saved: no space left" in driver.text()
        await driver.press("c")  # the copy lies on the same disk
        assert session_path.read_text() == before
        assert not session_path.with_name("song-2.unbake.toml").exists()
        await driver.press("escape", "q", "escape")
        assert driver.app.is_running


# ---- others at work ------------------------------------------------------------------------------------------------


async def test_the_second_app_on_a_session_may_look_at_it(workstation, session_path: Path) -> None:
    async with workstation(session_path) as first:
        await first.opened()
        async with workstation(session_path) as second:
            await second.until(lambda: "is open in another workstation" in second.text(), "the question")
            assert f"process {os.getpid()}" in second.text()
            await second.press("r")
            desk = await second.opened()
            assert "read only" in second.text()
            start = desk.bench.session
            for keys in (["3", "comma"], ["e"], ["p"], ["equals_sign"], ["W"], ["i"]):
                await second.press(*keys)
                assert "read only: another workstation" in second.text()
            assert desk.bench.session == start
            await second.press("q")
            await second.until(lambda: not second.app.is_running, "the end")
        await first.press("3", "comma", "W")
        assert files.load(session_path).strips["bass"].gain_db == -1.0


async def test_the_second_app_on_a_session_may_work_on_a_copy(workstation, session_path: Path) -> None:
    async with workstation(session_path) as first, workstation(session_path) as second:
        await first.opened()
        await second.until(lambda: "is open in another workstation" in second.text(), "the question")
        await second.press("c")
        desk = await second.opened()
        await second.press("3", "comma", "W")
        assert gain_of(first.desk, "bass") == 0.0
        assert files.load(session_path.with_name("song-2.unbake.toml")) == desk.bench.session
        assert "bass" not in files.load(session_path).strips


async def test_a_session_that_was_left_is_free_for_the_next(workstation, session_path: Path) -> None:
    for _ in range(2):
        async with workstation(session_path) as driver:
            desk = await driver.opened()
            assert not desk.bench.read_only
            await driver.press("q")
            await driver.until(lambda: not driver.app.is_running, "the end")


async def test_looking_only_changes_nothing_and_says_so(workstation, session_path: Path) -> None:
    before = {path: path.read_bytes() for path in session_path.parent.iterdir() if path.is_file()}
    async with workstation(session_path, read_only=True) as driver:
        await driver.opened()
        await driver.press("3", "comma")
        assert "read only: it was opened so" in driver.text()
        await driver.press("apostrophe", "W", "q")
        await driver.until(lambda: not driver.app.is_running, "the end")
    assert before == {path: path.read_bytes() for path in session_path.parent.iterdir() if path.is_file()}


async def test_a_master_that_was_only_looked_at_leaves_nothing_beside_it(workstation, song: Path) -> None:
    async with workstation(song) as driver:
        await driver.opened()
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running, "the end")
    assert {path.name for path in song.parent.iterdir()} == {"song.wav", "stems"}


# ---- another file in its place -------------------------------------------------------------------------------------


@pytest.fixture
def other(make_song, tmp_path: Path) -> Path:
    """Another master, shorter and in another folder."""
    return make_song(tmp_path / "other", frames=30_000)


async def test_a_file_that_is_still_being_read_gives_way_to_another(
    workstation, song: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), threading.Event()
    hashing = hashes.hashing

    def held(path: Path):
        if Path(path) == song:
            begun.set()
            go_on.wait(20)
        return (yield from hashing(path))

    monkeypatch.setattr("core.jobs.sessions.hashing", held)
    async with workstation(song) as driver:
        desk = driver.desk
        await driver.until(begun.is_set, "the reading of the first")
        await driver.press("3", "p")
        assert "still being read" in driver.text()
        desk.ask(desk.open(other))
        await driver.until(lambda: desk.bench.editor is not None, "the second")
        go_on.set()
        await driver.opened()
        await driver.until(lambda: all(worker.is_finished for worker in desk.workers), "the threads of the first")
        assert desk.bench.located.source == other
        assert desk.bench.session.source.frames == 30_000
        assert SessionLock(song.with_name("song.unbake.toml")).holder() is None
        await driver.press("3", "comma", "W")
        assert not song.with_name("song.unbake.toml").exists()


async def test_stems_of_the_file_before_do_not_land_in_the_next(
    workstation, song: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workstation(song) as driver:
        desk = await driver.opened()
        go_on = driver.hold_jobs(monkeypatch)
        await driver.press("S", "enter")
        await driver.until(lambda: desk.jobs.shown is not None, "the job")
        desk.ask(desk.open(other))
        await driver.until(lambda: desk.bench.editor is not None, "the second file")
        assert desk.jobs.shown is not None
        go_on.set()
        await driver.opened()
        await driver.until(lambda: desk.jobs.shown is None, "the end of the job")
        assert desk.bench.stems == {}
        assert desk.bench.session.separation.hashes == {}
        assert "the stems of song.wav are made" in driver.text()


async def test_nothing_that_is_about_another_document_is_heard(workstation, session_path: Path) -> None:
    def kinds(base: type[About]) -> list[type[About]]:
        return [kind for each in base.__subclasses__() for kind in (each, *kinds(each))]

    async with workstation(session_path) as driver:
        desk = await driver.opened()
        before = vars(desk.bench).copy()
        assert len(kinds(About)) > 8
        for kind in kinds(About):
            message = kind.__new__(kind)
            About.__init__(message, Bench())
            desk.post_message(message)  # it holds nothing: a handler that took it would fail
        await driver.pilot.pause()
        assert vars(desk.bench) == before


async def test_stems_of_another_separation_are_let_go_by_an_undo(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        theirs = dict(desk.bench.stems)
        await driver.press("S")
        fields = driver.app.screen.fields
        fields[0].value = "starter"
        for field in fields:
            if field.name == "stems_from":
                field.value = ""
        await driver.press("enter")
        await driver.until(lambda: desk.bench.stems and desk.bench.stems != theirs, "the starter's stems")
        while desk.bench.session.separation.model == "starter":
            await driver.press("u")
        await driver.until(lambda: desk.bench.stems == theirs, "the stems of before")


# ---- leaving -------------------------------------------------------------------------------------------------------


async def test_leaving_while_a_job_runs_asks(workstation, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with workstation(song) as driver:
        desk = await driver.opened()
        go_on = driver.hold_jobs(monkeypatch)
        await driver.press("S", "enter")
        await driver.until(lambda: desk.jobs.shown is not None, "the job")
        await driver.press("q")
        assert "is running" in driver.text()
        await driver.press("escape")
        assert desk.jobs.shown is not None
        await driver.press("q", "q")
        await driver.until(lambda: not driver.app.is_running, "the end")
        go_on.set()


@pytest.mark.parametrize("over", ["", "question_mark", "R", "equals_sign"])
async def test_ctrl_q_leaves_as_politely_as_q_from_anywhere(workstation, session_path: Path, over: str) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma", *([over] if over else []), "ctrl+q", "ctrl+q")
        await driver.until(lambda: "is not saved" in driver.text(), "the question")
        await driver.press("escape")
        assert driver.app.is_running
        assert "is not saved" not in driver.text()
        assert gain_of(desk, "bass") == -1.0
        await driver.press("ctrl+q", "s")
        await driver.until(lambda: not driver.app.is_running, "the end")
    assert files.load(session_path).strips["bass"].gain_db == -1.0


@pytest.mark.parametrize("over", ["", "question_mark", "R", "equals_sign", "q"])
async def test_ctrl_c_ends_nothing_and_says_what_does(workstation, session_path: Path, over: str) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma", *([over] if over else []), *["ctrl+c"] * 3)
        assert driver.app.is_running
        assert gain_of(desk, "bass") == -1.0
        if not over:
            assert "q leaves" in driver.notices()


async def test_many_quick_q_ask_once(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        await driver.press("3", "comma")
        await driver.pilot.press(*["q"] * 12)
        await driver.until(lambda: "is not saved" in driver.text(), "the question")
        await driver.press("escape")
        assert "is not saved" not in driver.text()


async def test_an_error_that_nobody_foresaw_in_a_worker_is_a_notice(
    workstation, session_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise UnbakeError("the moon is full", remedy="wait")

    async with workstation(session_path) as driver:
        desk = await driver.opened()
        monkeypatch.setattr(desk.jobs, "run", refuse)
        await driver.press("3", "comma")
        await driver.until(lambda: "the moon is full" in driver.notices(), "the notice")
