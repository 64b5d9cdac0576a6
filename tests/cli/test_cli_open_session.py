"""The command line beside an app that has a session open: nothing is lost, and nobody waits for a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.session import history
from core.session.lock import SessionLock


@pytest.fixture
def session(unbake, song: Path) -> Path:
    """A session with an edit, on stems that lie beside the song."""
    path = song.with_name("song.unbake.toml")
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems").code == 0
    assert unbake("session", "set", path, "strips.bass.gain_db=-2").code == 0
    return path


def test_what_would_write_to_an_open_session_is_refused_before_any_work(unbake, song: Path, session: Path) -> None:
    before = {path.name: path.read_bytes() for path in session.parent.iterdir() if path.is_file()}
    with SessionLock(session) as lock:
        lock.acquire()
        for words in (
            ("session", "set", session, "strips.bass.gain_db=-3"),
            ("session", "undo", session),
            ("session", "new", song, "--force"),
            ("repair", song, "--preset", "muddy-low-end"),
            ("repair", song, "--preset", "muddy-low-end", "--session", session),
        ):
            done = unbake(*words)
            assert done.code == 2, words
            assert "is open in the workstation (process " in done.err
            assert "(close it there, or edit it there)" in done.err
    assert {path.name: path.read_bytes() for path in session.parent.iterdir() if path.is_file()} == before
    assert unbake("session", "undo", session).code == 0


def test_what_only_reads_an_open_session_goes_on(unbake, session: Path, tmp_path: Path) -> None:
    with SessionLock(session) as lock:
        lock.acquire()
        assert unbake("session", "show", session).code == 0
        assert unbake("session", "log", session).code == 0
        assert unbake("render", session, "-o", tmp_path / "out.wav").code == 0
    assert len(history.load(session).edits) == 2


def test_a_render_that_has_to_pin_its_stems_is_refused_early(unbake, session: Path, tmp_path: Path) -> None:
    assert unbake("session", "set", session, "separation.hashes=").code == 0
    with SessionLock(session) as lock:
        lock.acquire()
        done = unbake("render", session, "-o", tmp_path / "out.wav")
    assert done.code == 2
    assert "is open in the workstation" in done.err
    assert not (tmp_path / "out.wav").exists()
    assert unbake("render", session, "-o", tmp_path / "out.wav").code == 0
