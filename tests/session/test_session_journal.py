"""The history as a journal: what goes on replaces what was written of it, and damage is named, never guessed at."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import files, history
from core.session.document import Separation, Session, Source, Strip
from core.session.history import Entry, History, Move

SOURCE = Source("/music/song.wav", "ab", 44_100, 2, 10, "WAV", "PCM_16")
BASE = Session(source=SOURCE, separation=Separation(stems=("bass",)))
OLD = (
    '{"type":"edit","number":0,"parent":null,"at":"2026-01-01T00:00:00+00:00","what":"made","document":DOC0}\n'
    '{"type":"edit","number":1,"parent":0,"at":"2026-01-01T00:00:01+00:00","what":"set","document":DOC1}\n'
    '{"type":"move","to":0}\n'
)


def with_gain(gain_db: float) -> Session:
    return msgspec.structs.replace(BASE, strips={"bass": Strip(gain_db=gain_db)})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "song.unbake.toml"


def written(path: Path, *entries: Entry) -> Path:
    file = history.path_for(path)
    file.write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))
    return file


def pushed(*gains: float) -> History:
    tree = History()
    for gain in gains:
        tree = tree.push(with_gain(gain), f"gain {gain}", "now")
    return tree


def test_a_history_of_an_older_unbake_is_read(path: Path) -> None:
    documents = [msgspec.json.encode(files.dumps(each)).decode() for each in (BASE, with_gain(-1.0))]
    history.path_for(path).write_text(OLD.replace("DOC0", documents[0]).replace("DOC1", documents[1]))
    path.write_text(files.dumps(BASE))
    found = history.load(path)
    assert [edit.session for edit in found.edits] == [BASE, with_gain(-1.0)]
    assert found.current == 0
    assert history.redo(path) == with_gain(-1.0)


def test_an_edit_that_went_on_is_what_it_came_to(path: Path) -> None:
    before = pushed(-1.0, -2.0)
    after = before.amend(with_gain(-3.0), "gain -3", "later")
    file = written(path, *before.edits, *after.since(before))
    assert b'"type":"amend"' in file.read_bytes()
    found = history.load(path)
    assert found == after
    assert [edit.session.strips["bass"].gain_db for edit in found.edits] == [-1.0, -3.0]
    assert (found.edits[1].what, found.edits[1].at, found.edits[1].parent) == ("gain -3", "later", 0)


@pytest.mark.parametrize("seen", [0, 1, 2, 3])
def test_what_is_missing_is_told_from_any_state_that_is_there(path: Path, seen: int) -> None:
    states = [pushed(-1.0)]
    states.append(states[-1].push(with_gain(-2.0), "two", "now"))
    states.append(states[-1].amend(with_gain(-2.5), "two and a half", "now"))
    states.append(states[-1].undo())
    states.append(states[-1].push(with_gain(-4.0), "four", "now").undo())
    written(path, *states[seen].since(History()), *states[-1].since(states[seen]))
    assert history.load(path) == states[-1]
    assert states[-1].since(states[-1]) == []


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish",
        b"\xff\xfe",
        b'{"type":"edit","number":7,"parent":0,"at":"","what":"","document":""}',
        b'{"type":"edit","number":1,"parent":5,"at":"","what":"","document":""}',
        b'{"type":"amend","number":5,"at":"","what":"","document":""}',
        b'{"type":"swap"}',
    ],
)
def test_damage_is_named_with_its_line_and_what_to_do(path: Path, line: bytes) -> None:
    tree = pushed(-1.0)
    file = written(path, *tree.edits)
    file.write_bytes(file.read_bytes() + line + b"\n" + msgspec.json.encode(Move(0)) + b"\n")
    with pytest.raises(UnbakeError) as caught:
        history.load(path)
    assert caught.value.what == "line 2 of the history is damaged"
    assert caught.value.remedy
    found = history.read(path)
    assert found.history == tree
    assert found.length == len(msgspec.json.encode(tree.edits[0])) + 1


def test_a_last_line_without_its_end_was_never_written(path: Path) -> None:
    tree = pushed(-1.0, -2.0)
    file = written(path, *tree.edits)
    file.write_bytes(file.read_bytes()[:-1])
    path.write_text(files.dumps(with_gain(-1.0)))
    assert history.load(path) == pushed(-1.0)
    history.save(path, with_gain(-5.0), "next")
    assert [edit.what for edit in history.load(path).edits] == ["gain -1.0", "next"]


def test_a_session_file_that_stands_at_an_earlier_edit_is_gone_on_with_from_there(path: Path) -> None:
    written(path, *pushed(-1.0, -2.0, -3.0).edits)
    path.write_text(files.dumps(with_gain(-1.0)))
    history.save(path, with_gain(-9.0), "another way")
    found = history.load(path)
    assert [edit.parent for edit in found.edits] == [None, 0, 1, 0]
    assert history.undo(path) == with_gain(-1.0)


def test_a_tree_can_be_walked_to_any_edit() -> None:
    tree = pushed(-1.0, -2.0)
    assert tree.go_to(0).current == 0
    with pytest.raises(UnbakeError, match="no edit 2 in the history"):
        tree.go_to(2)
    assert tree.find(with_gain(-1.0)) == 0
    assert tree.find(BASE) is None
    again = tree.push(with_gain(-1.0), "again", "now").push(with_gain(-3.0), "on", "now")
    assert again.find(with_gain(-1.0)) == 2
    assert again.go_to(1).find(with_gain(-1.0)) == 0, "the nearest it came from, not the newest"


def test_a_write_that_fails_leaves_the_history_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history.save(path, BASE, "made")
    before = history.path_for(path).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UnbakeError, match="no space left in this folder"):
            history.save(path, with_gain(-1.0), "too much")
    assert history.path_for(path).read_bytes() == before
    history.save(path, with_gain(-1.0), "now it fits")
    assert [edit.what for edit in history.load(path).edits] == ["made", "now it fits"]


def test_undo_of_a_session_that_is_not_there_leaves_no_trace(path: Path) -> None:
    with pytest.raises(UnbakeError, match="no such file or folder"):
        history.undo(path)
    assert not list(path.parent.iterdir())
