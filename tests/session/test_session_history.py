"""History: nothing that was saved is ever lost, whatever comes after it."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import files, history
from core.session.document import Separation, Session, Source, Strip


@pytest.fixture
def base(tmp_path: Path) -> Session:
    source = Source(str(tmp_path / "song.wav"), "ab", 44_100, 2, 10, "WAV", "PCM_16")
    return Session(source=source, separation=Separation(stems=("bass",)))


def with_gain(session: Session, gain_db: float) -> Session:
    return msgspec.structs.replace(session, strips={"bass": Strip(gain_db=gain_db)})


def test_undo_and_redo_walk_the_saved_values(tmp_path: Path, base: Session) -> None:
    path = tmp_path / "song.unbake.toml"
    values = [base, with_gain(base, -1.0), with_gain(base, -2.0)]
    for number, value in enumerate(values):
        history.save(path, value, f"edit {number}")
    assert history.undo(path) == values[1]
    assert files.load(path) == values[1]
    assert history.undo(path) == values[0]
    with pytest.raises(UnbakeError, match="nothing to undo"):
        history.undo(path)
    assert history.redo(path) == values[1]
    assert history.redo(path) == values[2]
    with pytest.raises(UnbakeError, match="nothing to redo"):
        history.redo(path)


def test_an_edit_after_undo_keeps_the_other_branch(tmp_path: Path, base: Session) -> None:
    path = tmp_path / "song.unbake.toml"
    for value in (base, with_gain(base, -1.0)):
        history.save(path, value, "edit")
    history.undo(path)
    history.save(path, with_gain(base, -3.0), "another way")
    found = history.load(path)
    assert [edit.session for edit in found.edits] == [base, with_gain(base, -1.0), with_gain(base, -3.0)]
    assert [edit.parent for edit in found.edits] == [None, 0, 0]


def test_saving_the_same_twice_is_one_edit(tmp_path: Path, base: Session) -> None:
    path = tmp_path / "song.unbake.toml"
    history.save(path, base, "once")
    history.save(path, base, "twice")
    assert len(history.load(path).edits) == 1


def test_what_was_edited_by_hand_is_kept_before_it_is_replaced(tmp_path: Path, base: Session) -> None:
    path = tmp_path / "song.unbake.toml"
    history.save(path, base, "made")
    path.write_text(files.dumps(with_gain(base, -7.0)))
    history.save(path, with_gain(base, -1.0), "replaced")
    assert history.undo(path) == with_gain(base, -7.0)


def test_a_line_torn_by_a_crash_is_ignored_and_mended(tmp_path: Path, base: Session) -> None:
    path = tmp_path / "song.unbake.toml"
    history.save(path, base, "made")
    with history.path_for(path).open("ab") as file:
        file.write(b'{"type":"edit","number":1,"par')
    assert len(history.load(path).edits) == 1
    history.save(path, with_gain(base, -1.0), "after the crash")
    assert [edit.what for edit in history.load(path).edits] == ["made", "after the crash"]


def test_a_line_damaged_in_the_middle_is_named(tmp_path: Path, base: Session) -> None:
    path = tmp_path / "song.unbake.toml"
    history.save(path, base, "made")
    history.save(path, with_gain(base, -1.0), "edit")
    file = history.path_for(path)
    file.write_bytes(b"rubbish\n" + file.read_bytes())
    with pytest.raises(UnbakeError, match="line 1 of the history is damaged"):
        history.load(path)


def test_many_writers_at_once_lose_nothing(tmp_path: Path, base: Session) -> None:
    path = tmp_path / "song.unbake.toml"
    history.save(path, base, "made")

    def write(number: int) -> None:
        history.edit(path, lambda _: with_gain(base, -number / 10), f"edit {number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {edit.what for edit in history.load(path).edits} == {"made", *(f"edit {number}" for number in range(1, 9))}
