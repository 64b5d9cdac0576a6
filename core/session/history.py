"""Undo as a tree of whole documents, kept on disk beside the session so that no edit is ever lost.

Every saved value is one line of JSON in `NAME.unbake.history`, only ever appended and flushed to the disk; undo and
redo append a line that says where the engineer stands now, an edit that goes on (a fader held down) a line that puts
another document in the place of the last one, an answer in a blind listening test a line that nothing undoes. A line
torn by a crash is the last one and is ignored.

The functions here change a session on disk in one go, for commands; an app that keeps it open is `editor`.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from core import atomic
from core.errors import UnbakeError, os_error, refusal
from core.session import files, toml
from core.session.blind import Trial
from core.session.document import Session
from core.session.lock import SessionLock, check_free

FOUND = "as found on disk"
"""What is said of a value that somebody wrote into the session file by hand."""


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


class Amend(Struct, frozen=True, tag="amend"):
    """The last edit went on: what it is now in the place of what was written of it."""

    number: int
    at: str
    what: str
    document: str


class Move(Struct, frozen=True, tag="move"):
    """The engineer went to another edit by undo or redo."""

    to: int


Entry = Edit | Amend | Move | Trial


class History(Struct, frozen=True):
    """All edits of a session and which of them is the present one, and every answer of a blind test."""

    edits: tuple[Edit, ...] = ()
    current: int | None = None
    trials: tuple[Trial, ...] = ()

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
        return History((*self.edits, edit), edit.number, self.trials)

    def amend(self, session: Session, what: str, at: str) -> History:
        """The present edit, which must be the newest, with another outcome."""
        last = self.edits[-1]
        assert self.current == last.number, "only the newest edit can go on"
        edit = Edit(last.number, last.parent, at, what, files.dumps(session))
        return History((*self.edits[:-1], edit), edit.number, self.trials)

    def go_to(self, number: int) -> History:
        """To any edit of the tree. Raises UnbakeError when there is none of that number."""
        if not 0 <= number < len(self.edits):
            raise UnbakeError(f"no edit {number} in the history", remedy=f"there are 0 to {len(self.edits) - 1}")
        return History(self.edits, number, self.trials)

    def undo(self) -> History:
        """Back to the value before. Raises UnbakeError at the first one."""
        if self.present is None or self.present.parent is None:
            raise UnbakeError("nothing to undo")
        return History(self.edits, self.present.parent, self.trials)

    def redo(self) -> History:
        """Forward to the newest value made from this one. Raises UnbakeError when there is none."""
        children = [edit.number for edit in self.edits if edit.parent == self.current]
        if not children:
            raise UnbakeError("nothing to redo")
        return History(self.edits, children[-1], self.trials)

    def judge(self, trial: Trial) -> History:
        """One more answer of a blind test."""
        return History(self.edits, self.current, (*self.trials, trial))

    def line_to(self, number: int | None) -> list[int]:
        """The numbers from an edit back to the first one it came from."""
        line: list[int] = []
        while number is not None:
            line.append(number)
            number = self.edits[number].parent
        return line

    def find(self, session: Session) -> int | None:
        """The edit that is this very document: the present one, else the nearest before it, else the newest."""
        document = files.dumps(session)
        others = (edit.number for edit in reversed(self.edits))
        return next((n for n in (*self.line_to(self.current), *others) if self.edits[n].document == document), None)

    def found(self, session: Session, at: str) -> History:
        """Standing where the session file stands: at the edit that is this document, or at a new one."""
        number = self.find(session)
        return self.push(session, FOUND, at) if number is None else self.go_to(number)

    def since(self, before: History) -> list[Entry]:
        """The lines that make an earlier state of this history into this one."""
        known = len(before.edits)
        lines: list[Entry] = []
        # only the newest edit can go on, so of what was known at most the last one is another now
        if known and self.edits[known - 1] != before.edits[-1]:
            last = self.edits[known - 1]
            lines.append(Amend(last.number, last.at, last.what, last.document))
        lines.extend(self.edits[known:])
        stands_at = self.edits[-1].number if lines else before.current
        if self.current is not None and self.current != stands_at:
            lines.append(Move(self.current))
        lines.extend(self.trials[len(before.trials) :])
        return lines


class Found(Struct, frozen=True):
    """What a history file of `size` bytes holds: the edits, the bytes they take, and the first damage.

    What comes after `length` is a line torn by a crash, or begins with the damaged line.
    """

    history: History
    length: int
    size: int
    problem: UnbakeError | None = None


def path_for(session_path: Path) -> Path:
    """The history file of a session file."""
    return session_path.with_name(session_path.name.removesuffix(".toml") + ".history")


def load(session_path: Path) -> History:
    """The history of a session file; empty where there is none yet. Raises UnbakeError when it is damaged."""
    return _sound(read(session_path))


def read(session_path: Path) -> Found:
    """What there is of a history, up to the first damaged line. Raises UnbakeError when the file can't be read."""
    path = path_for(session_path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Found(History(), 0, 0)
    except OSError as error:
        raise os_error(error, path) from error
    edits: list[Edit] = []
    trials: list[Trial] = []
    current: int | None = None
    length = 0
    decoder = msgspec.json.Decoder(Entry)
    # What follows the last line end was torn while it was appended: never announced as saved.
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            current = _take_in(decoder.decode(line), edits, trials, current) if line else current
        except (msgspec.DecodeError, ValueError) as error:
            problem = UnbakeError(
                f"line {number} of the history is damaged",
                where=path,
                remedy="give the history file another name: a new one is begun, and the session stays as it is",
            )
            problem.__cause__ = error
            return Found(History(tuple(edits), current, tuple(trials)), length, len(data), problem)
        length += len(line) + 1
    return Found(History(tuple(edits), current, tuple(trials)), length, len(data))


def _take_in(entry: Entry, edits: list[Edit], trials: list[Trial], current: int | None) -> int | None:
    """Adds one line to what there is and gives where it leads to. ValueError for one that does not belong there."""
    if isinstance(entry, Trial):
        trials.append(entry)
        return current
    if isinstance(entry, Move):
        return entry.to if 0 <= entry.to < len(edits) else current
    if isinstance(entry, Edit):
        if entry.number != len(edits) or (entry.parent is not None and not 0 <= entry.parent < entry.number):
            raise ValueError("an edit out of its order")
        edits.append(entry)
        return entry.number
    if not edits or entry.number != len(edits) - 1:
        raise ValueError("only the last edit can go on")
    edits[-1] = Edit(entry.number, edits[-1].parent, entry.at, entry.what, entry.document)
    return entry.number


def _sound(found: Found) -> History:
    if found.problem is not None:
        raise found.problem
    return found.history


def edit(session_path: Path, change: Callable[[Session | None], Session], what: str) -> Session:
    """Changes a session on disk and appends the result to its history; gives the document as it then is.

    `change` gets what is on disk (None for nothing) and runs under a lock, so that two commands at once lose nothing.
    A file that was edited by hand since the last save goes into the history first, as it was found; a change to what
    is already there appends nothing. Raises UnbakeError for a session that an app has open.
    """
    make_folder(session_path)
    with held(session_path):
        before = read(session_path)
        history = _sound(before)
        found = files.load(session_path) if session_path.exists() else None
        session = change(found)
        if found is not None:
            history = history.found(found, now())
        if found != session:
            history = history.push(session, what, now())
        append(session_path, history.since(before.history), before.length)
        write(session_path, session)
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


def _move(session_path: Path, step: Callable[[History], History]) -> Session:
    files.load(session_path)  # one that is missing or broken is refused before anything is touched
    with held(session_path):
        before = read(session_path)
        found = files.load(session_path)
        moved = step(_sound(before).found(found, now()))
        assert moved.present is not None
        session = moved.present.session
        append(session_path, moved.since(before.history), before.length)
        write(session_path, session)
        return session


def make_folder(session_path: Path) -> None:
    """Makes the folder of a session that is to be begun there."""
    try:
        session_path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, session_path.parent) from error


@contextlib.contextmanager
def held(session_path: Path, lock: SessionLock | None = None) -> Iterator[None]:
    """Holds a session for a read-change-write. The history file carries the lock: it is never replaced.

    Raises UnbakeError for a session that an app has open, unless `lock` is the one by which the caller has it open.
    """
    path = path_for(session_path)
    try:
        with _locked(path):
            try:
                check_free(session_path, lock)
                yield
            finally:
                if path.exists() and path.stat().st_size == 0:
                    path.unlink()  # what failed before its first line leaves no file behind
    except OSError as error:
        raise atomic.write_error(error, path) from error


@contextlib.contextmanager
def at_rest(session_path: Path) -> Iterator[None]:
    """Keeps a session as it is while it is read. Makes no file, and needs no right to write."""
    path = path_for(session_path)
    try:
        file = path.open("rb")
    except OSError:
        yield  # no history to wait for; what else stops reading shows when it is read
        return
    with file:
        with contextlib.suppress(OSError):  # a file system without locks can still be read
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _locked(path: Path) -> BinaryIO:
    """The file at `path`, made if missing, locked until it is closed."""
    while True:
        file = path.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX)
        # it may have been removed between opening and locking: then the lock would guard nothing
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()


def append(session_path: Path, entries: list[Entry], length: int) -> int:
    """Writes lines behind the first `length` bytes of a history and gives the new length, all of it on the disk.

    What stood there is a line torn by a crash and makes room. The session must be `held`. Raises UnbakeError, and then
    nothing of the lines counts as written.
    """
    if not entries:
        return length
    path = path_for(session_path)
    try:
        data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    except UnicodeEncodeError as error:  # a folder or file whose name is no text
        raise refusal(error) or error from error
    try:
        with path.open("r+b", buffering=0) as file:
            file.truncate(length)
            file.seek(length)
            try:
                _write_all(file, data)
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(length)
                raise
        if length == 0:
            atomic.sync(path.parent)
    except OSError as error:
        raise atomic.write_error(error, path) from error
    return length + len(data)


def _write_all(file: io.FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def write(session_path: Path, session: Session) -> None:
    """Puts a session into its file, whole or not at all. The session must be `held`."""
    atomic.write_text_atomically(session_path, files.dumps(session, session_path.parent), force=True)


def now(*, fine: bool = False) -> str:
    """The time as edits carry it (ISO 8601, UTC); with `fine` to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds" if fine else "seconds")
