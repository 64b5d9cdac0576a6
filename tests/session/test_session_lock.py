"""The lock: one app per session, gone with its holder, and respected by the command line."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import history
from core.session.document import Separation, Session, Source, Strip
from core.session.lock import UNKNOWN, Holder, SessionLock, check_free, copy_name, path_for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "song.unbake.toml"


def made(path: Path) -> Session:
    source = Source(str(path.parent / "song.wav"), "ab", 44_100, 2, 10, "WAV", "PCM_16")
    session = Session(source=source, separation=Separation(stems=("bass",)))
    history.save(path, session, "made")
    return session


def test_the_second_is_told_who_holds_it(path: Path) -> None:
    first, second = SessionLock(path, "unbake 1.0"), SessionLock(path)
    assert first.acquire() is None
    assert first.acquire() is None
    holder = second.acquire()
    assert isinstance(holder, Holder)
    assert (holder.pid, holder.host, holder.program) == (os.getpid(), socket.gethostname(), "unbake 1.0")
    assert holder.words() == f"process {os.getpid()} on {socket.gethostname()}"
    assert holder.since
    assert not second.held
    assert second.holder() == holder
    first.release()
    first.release()
    assert second.holder() is None
    assert second.acquire() is None
    second.release()


def test_a_clean_end_leaves_no_file(path: Path) -> None:
    with SessionLock(path) as lock:
        assert lock.acquire() is None
        assert path_for(path).name == "song.unbake.lock"
        assert path_for(path).exists()
    assert not list(path.parent.iterdir())


def test_a_killed_holder_holds_nothing(path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from core.session.lock import SessionLock\n"
        "lock = SessionLock(Path(sys.argv[1])); print(lock.acquire(), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "None\n"
        lock = SessionLock(path)
        holder = lock.acquire()
        assert holder is not None
        assert holder.pid == other.pid
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert path_for(path).exists()
    assert lock.holder() is None
    assert lock.acquire() is None
    lock.release()


def test_a_release_does_not_take_away_the_file_of_another(path: Path) -> None:
    first, second = SessionLock(path), SessionLock(path)
    first.acquire()
    path_for(path).unlink()
    assert second.acquire() is None
    first.release()
    assert path_for(path).exists()
    assert first.acquire() is not None
    second.release()


def test_a_file_that_vanishes_while_it_is_locked_is_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def slow(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        path_for(path).unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with SessionLock(path) as lock:
        assert lock.acquire() is None
        assert path_for(path).exists()
        assert SessionLock(path).acquire() is not None


def test_a_name_that_is_being_written_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SessionLock(path) as lock:
        lock.acquire()
        written = path_for(path).read_bytes()
        path_for(path).write_bytes(b"")

        def finish(_: float) -> None:
            path_for(path).write_bytes(written)

        monkeypatch.setattr(time, "sleep", finish)
        holder = SessionLock(path).holder()
        assert holder is not None
        assert holder.pid == os.getpid()


def test_of_many_at_once_one_gets_it_each_time(path: Path) -> None:
    inside, most, turns = [0], [0], []
    guard = threading.Lock()

    def take(number: int) -> None:
        lock = SessionLock(path)
        while lock.acquire() is not None:
            pass
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        turns.append(number)
        with guard:
            inside[0] -= 1
        lock.release()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == list(range(6))
    assert most[0] == 1
    assert not path_for(path).exists()


def test_who_only_looks_never_passes_for_a_holder(path: Path) -> None:
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            SessionLock(path).holder()

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(30):
            lock = SessionLock(path)
            assert lock.acquire() is None
            lock.release()
    finally:
        done.set()
        looker.join()


def test_a_holder_that_left_no_name_is_one_too(path: Path) -> None:
    lock = SessionLock(path)
    lock.acquire()
    path_for(path).write_text("{")
    assert SessionLock(path).acquire() == UNKNOWN
    assert UNKNOWN.words() == "another process"
    with pytest.raises(UnbakeError, match="is open in the workstation \\(another process\\)"):
        check_free(path)
    lock.release()


def test_a_folder_that_is_gone_or_read_only_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = SessionLock(path.parent / "gone" / path.name)
    assert lock.holder() is None
    with pytest.raises(UnbakeError, match=r"can't be locked for editing: no such file or folder .*open it read-only"):
        lock.acquire()

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnbakeError, match="can't be locked for editing: permission denied"):
        SessionLock(path).acquire()


@pytest.mark.parametrize(
    "do",
    [
        lambda path: history.save(path, msgspec.structs.replace(made_by(path), rights={"owner": "me"}), "edit"),
        history.undo,
        history.redo,
    ],
    ids=["save", "undo", "redo"],
)
def test_commands_leave_a_session_alone_that_is_open(path: Path, do: Callable[[Path], object]) -> None:
    session = made(path)
    history.save(path, msgspec.structs.replace(session, strips={"bass": Strip(gain_db=-1.0)}), "edit")
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}
    with SessionLock(path) as lock:
        lock.acquire()
        with pytest.raises(UnbakeError) as caught:
            do(path)
    said = f"is open in the workstation (process {os.getpid()} on {socket.gethostname()})"
    assert caught.value.line() == f"{path}: {said} (close it there, or edit it there)"
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before
    history.undo(path)


def made_by(path: Path) -> Session:
    edit = history.load(path).present
    assert edit is not None
    return edit.session


def test_a_new_session_is_not_begun_under_one_that_is_open(path: Path) -> None:
    with SessionLock(path) as lock:
        lock.acquire()
        with pytest.raises(UnbakeError, match="is open in the workstation"):
            made(path)
        assert [entry.name for entry in path.parent.iterdir()] == ["song.unbake.lock"]
        with history.held(path, lock):
            pass


def test_the_lock_of_another_session_opens_nothing(path: Path) -> None:
    other = SessionLock(path.with_name("other.unbake.toml"))
    with SessionLock(path) as lock, other:
        lock.acquire()
        other.acquire()
        with pytest.raises(UnbakeError, match="is open in the workstation"):
            check_free(path, other)
        check_free(path, lock)


def test_a_copy_gets_the_first_free_name(path: Path) -> None:
    path.touch()
    assert copy_name(path).name == "song-2.unbake.toml"
    path.with_name("song-2.unbake.toml").touch()
    path.with_name("song-3.unbake.history").touch()
    assert copy_name(path).name == "song-4.unbake.toml"
    assert copy_name(path.with_name("take-2.unbake.toml")).name == "take-2-2.unbake.toml"
    assert copy_name(path.with_name("odd.toml")).name == "odd-2.toml"
