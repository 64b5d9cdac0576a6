"""Undo as a tree of whole documents, kept on disk beside the session so that no edit is ever lost.

Every saved value is one line of JSON in `NAME.unbake.history`, only ever appended and flushed to the disk; undo and
redo append a line that says where the engineer stands now. A line torn by a crash is the last one and is ignored.
"""

from __future__ import annotations

import datetime
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from core import atomic
from core.errors import UnbakeError, os_error
from core.session import files, toml
from core.session.document import Session


class Edit(Struct, frozen=True, tag="edit"):
    """One saved value: its parent's number (None for a first one), when, what was done, and the document as TOML."""

    number: int
    parent: int | None
    at: str
    what: str
    document: str

    @property
    def session(self) -> Session:
        """The document as it was saved."""
        where = f"edit {self.number} of the history"
        return files.from_tables(toml.parse(self.document, where), toml.Origin(where, self.document))


class Move(Struct, frozen=True, tag="move"):
    """The engineer went to another edit by undo or redo."""

    to: int


class History(Struct, frozen=True):
    """All edits of a session and which of them is the present one."""

    edits: tuple[Edit, ...] = ()
    current: int | None = None

    @property
    def present(self) -> Edit | None:
        """The edit the document stands at."""
        return None if self.current is None else self.edits[self.current]

    def stands_at(self, session: Session) -> bool:
        """Whether the present edit is this very document."""
        return self.present is not None and self.present.document == files.dumps(session)

    def push(self, session: Session, what: str, at: str) -> History:
        """A new edit after the present one; earlier futures stay in the tree."""
        edit = Edit(len(self.edits), self.current, at, what, files.dumps(session))
        return History((*self.edits, edit), edit.number)

    def undo(self) -> History:
        """Back to the value before. Raises UnbakeError at the first one."""
        if self.present is None or self.present.parent is None:
            raise UnbakeError("nothing to undo")
        return History(self.edits, self.present.parent)

    def redo(self) -> History:
        """Forward to the newest value made from this one. Raises UnbakeError when there is none."""
        children = [edit.number for edit in self.edits if edit.parent == self.current]
        if not children:
            raise UnbakeError("nothing to redo")
        return History(self.edits, children[-1])


def path_for(session_path: Path) -> Path:
    """The history file of a session file."""
    return session_path.with_name(session_path.name.removesuffix(".toml") + ".history")


def load(session_path: Path) -> History:
    """The history of a session file; empty where there is none yet."""
    path = path_for(session_path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return History()
    except OSError as error:
        raise os_error(error, path) from error
    history = History()
    decoder = msgspec.json.Decoder(Edit | Move)
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            entry = decoder.decode(line) if line else None
        except msgspec.DecodeError as error:
            if number == len(lines):
                break  # torn by a crash while it was appended: never announced as saved
            raise UnbakeError(f"line {number} of the history is damaged", where=path) from error
        if isinstance(entry, Edit):
            history = History((*history.edits, entry), entry.number)
        elif isinstance(entry, Move) and entry.to < len(history.edits):
            history = History(history.edits, entry.to)
    return history


def edit(session_path: Path, change: Callable[[Session | None], Session], what: str) -> Session:
    """Changes a session on disk and appends the result to its history; gives the document as it then is.

    `change` gets what is on disk (None for nothing) and runs under a lock, so that two commands at once lose nothing.
    A file that was edited by hand since the last save goes into the history first, as it was found; a change to what
    is already there appends nothing.
    """
    with _held(session_path):
        history = load(session_path)
        found = files.load(session_path) if session_path.exists() else None
        session = change(found)
        entries: list[Edit | Move] = []
        if found is not None and not history.stands_at(found):
            history = history.push(found, "as found on disk", _now())
            entries.append(history.edits[-1])
        if found != session:
            history = history.push(session, what, _now())
            entries.append(history.edits[-1])
        _append(session_path, entries)
        _write(session_path, session)
        return session


def save(session_path: Path, session: Session, what: str) -> None:
    """Puts a session on disk, whatever was there before, which stays in its history."""
    edit(session_path, lambda _: session, what)


def undo(session_path: Path) -> Session:
    """Goes back one edit on disk and gives the document as it then is."""
    return _move(session_path, History.undo)


def redo(session_path: Path) -> Session:
    """Goes forward one edit on disk and gives the document as it then is."""
    return _move(session_path, History.redo)


def _move(session_path: Path, step) -> Session:
    with _held(session_path):
        history = load(session_path)
        found = files.load(session_path)
        if not history.stands_at(found):
            history = history.push(found, "as found on disk", _now())
            _append(session_path, [history.edits[-1]])
        moved = step(history)
        present = moved.present
        assert present is not None
        _append(session_path, [Move(present.number)])
        _write(session_path, present.session)
        return present.session


@contextmanager
def _held(session_path: Path) -> Iterator[None]:
    """Holds a session for a read-change-write. The history file carries the lock: it is never replaced."""
    path = path_for(session_path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            try:
                yield
            finally:
                if path.stat().st_size == 0:
                    path.unlink()  # what failed before its first line leaves no file behind
    except OSError as error:
        raise os_error(error, path) from error


def _locked(path: Path) -> BinaryIO:
    """The file at `path`, made if missing, locked until it is closed."""
    while True:
        file = path.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX)
        # it may have been removed between opening and locking: then the lock would guard nothing
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()


def _append(session_path: Path, entries: list[Edit | Move]) -> None:
    if not entries:
        return
    path = path_for(session_path)
    data = path.read_bytes()
    torn = data and not data.endswith(b"\n")
    with path.open("ab") as file:
        if torn:
            file.truncate(data.rfind(b"\n") + 1)
        for entry in entries:
            file.write(msgspec.json.encode(entry) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _write(session_path: Path, session: Session) -> None:
    atomic.write_text_atomically(session_path, files.dumps(session, session_path.parent), force=True)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
