"""A session that an app has open: the present value, its history, and both on the disk.

Every change is one call and takes effect in memory at once; `journal` brings it into the history file and `save` into
the session file, both on whatever thread the app likes. What an edit does is `edits`, how a history is written down
`history`, who may edit at all `lock`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from core.errors import UnbakeError, os_error
from core.events import Note
from core.session import files, history
from core.session.blind import Trial
from core.session.document import Session
from core.session.edits import Change
from core.session.history import Edit, History
from core.session.lock import SessionLock, check_free

MERGE_WITHIN_S = 1.0
"""Changes of one parameter that follow each other within this time are one step of undo."""


class Recovery(Struct, frozen=True):
    """Edits that are in the history but not in a session file, as a crash leaves them.

    How many steps lie between the two, and when (ISO 8601, UTC) and by what the last of them was made.
    """

    edits: int
    at: str
    what: str

    def words(self) -> str:
        """`3 edits, the last one at 2026-11-22 17:04 UTC: bass: bell gain -4.8 dB`."""
        count = "1 edit" if self.edits == 1 else f"{self.edits} edits"
        return f"{count}, the last one at {self.at[:16].replace('T', ' ')} UTC: {self.what}"


class _Run(Struct, frozen=True):
    """Changes that are still becoming one step: of what, since when (the editor's clock, s), and from which value."""

    merge_key: str
    last_s: float
    began_at: Session


class _Stamp(Struct, frozen=True):
    """What tells that a file was written since it was last looked at."""

    inode: int
    size: int
    mtime_ns: int


class Editor:
    """An open session. Made by `open` or `create`; all methods can be called from any thread.

    `notes` are what the person should know about the opening.
    """

    def __init__(
        self,
        path: Path,
        session: Session,
        tree: History,
        *,
        lock: SessionLock | None,
        clock: Callable[[], float],
        read_only: bool = False,
        notes: tuple[Note, ...] = (),
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.notes = notes
        self.recovery: Recovery | None = None
        self._session = session
        self._history = tree
        self._lock = lock
        self._clock = clock
        self._run: _Run | None = None
        self._values: dict[int, Session] = {}
        # What the two files hold, as far as this editor knows.
        self._journaled = History()
        self._length = self._size = 0
        self._failed = False
        self._on_disk: Session | None = None
        self._stamp: _Stamp | None = None
        # `_memory` guards the value and is only ever held for a moment; `_disk` guards the files, and is taken first.
        self._memory = threading.RLock()
        self._disk = threading.RLock()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        lock: SessionLock | None = None,
        read_only: bool = False,
        set_aside: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> Editor:
        """Opens a session from its file and its history.

        Without the `lock` on it the session is refused when somebody else has it open, unless it is `read_only`.
        A damaged history is refused, too; with `set_aside` it gets another name, and what can be read of it goes on.
        When the session file is gone, the last value in the history is opened. `recovery` says whether edits were made
        after the last save. Raises UnbakeError.
        """
        if not read_only:
            check_free(path, lock)
        with history.at_rest(path):
            stamp = _stamp_of(path)
            read = history.read(path)
            on_disk = files.load(path) if stamp is not None else None
            notes: tuple[Note, ...] = ()
            if read.problem is not None:
                if not set_aside:
                    raise read.problem
                notes = (_set_aside(path, read, rename=not read_only),)
        if on_disk is None and read.history.present is None:
            raise UnbakeError("no such file or folder", where=path)
        session = on_disk if on_disk is not None else _present(read.history).session
        editor = cls(path, session, read.history, lock=lock, clock=clock, read_only=read_only, notes=notes)
        editor._on_disk, editor._stamp = on_disk, stamp
        if read.problem is None:
            editor._journaled, editor._length, editor._size = read.history, read.length, read.size
        if on_disk is None:
            editor.notes += (Note(f"{path.name} is gone: this is its last value in the history, not saved yet"),)
        else:
            editor._history = read.history.found(on_disk, history.now())
            was, stands_at = read.history.present, editor._history.current
            pushed = len(editor._history.edits) > len(read.history.edits)
            if was is not None and was.number != stands_at and not (pushed or read_only or read.problem):
                editor.recovery = Recovery(_steps_between(read.history, was.number, stands_at), was.at, was.what)
        editor._values[_present(editor._history).number] = session
        if read.problem is not None:
            with contextlib.suppress(UnbakeError):  # the next `journal` says what is wrong
                editor.journal()
        return editor

    @classmethod
    def create(
        cls,
        path: Path,
        session: Session,
        what: str,
        *,
        lock: SessionLock | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Editor:
        """Begins a session that is not on the disk yet; its folder is made. Nothing is written before `journal`.

        A history that lies there goes on; `recovery` says whether it has edits on the same source, of a session that
        was never saved. Raises UnbakeError when there is a session, or somebody else has it open.
        """
        history.make_folder(path)
        check_free(path, lock)
        if path.exists():
            raise UnbakeError("there is a session already", where=path, remedy="open it, or choose another name")
        with history.at_rest(path):
            read = history.read(path)
        if read.problem is not None:
            raise read.problem
        number, was = read.history.find(session), read.history.present
        tree = read.history.push(session, what, history.now()) if number is None else read.history.go_to(number)
        editor = cls(path, session, tree, lock=lock, clock=clock)
        if was is not None and session.source.sha256 in was.document:
            begun = read.history.line_to(was.number)[-1] if number is None else number
            if was.number != begun:
                editor.recovery = Recovery(_steps_between(read.history, was.number, begun), was.at, was.what)
        editor._journaled, editor._length, editor._size = read.history, read.length, read.size
        editor._values[_present(tree).number] = session
        return editor

    @property
    def session(self) -> Session:
        """The present value."""
        return self._session

    @property
    def history(self) -> History:
        """Every edit, and which of them is the present one."""
        return self._history

    @property
    def present(self) -> Edit:
        """The edit that the present value is."""
        return _present(self._history)

    @property
    def saved(self) -> bool:
        """Whether the session file holds the present value, as far as this editor wrote or read it."""
        with self._memory:
            return self._on_disk == self._session

    @property
    def journaled(self) -> bool:
        """Whether the history file holds every edit."""
        with self._memory:
            return self.recovery is not None or not self._history.since(self._journaled)

    def apply(self, change: Change) -> bool:
        """Makes an edited session the present value; False when it is that already.

        A change with the `merge_key` of the one before, less than `MERGE_WITHIN_S` after it, goes on with its edit.
        One that leads back to where the run began is an undo of it. Raises UnbakeError in a read-only session.
        """
        with self._memory:
            self._check_editable()
            if change.session == self._session:
                return False
            self.discard_recovery()
            seconds = self._clock()
            run = self._run
            if run is None or run.merge_key != change.merge_key or seconds - run.last_s > MERGE_WITHIN_S:
                began_at = self._session
                self._history = self._history.push(change.session, change.what, history.now())
            elif change.session == run.began_at:
                self._stand_at(self._history.undo())
                return True
            else:
                began_at = run.began_at
                self._history = self._history.amend(change.session, change.what, history.now())
            self._session = self._values[self.present.number] = change.session
            self._run = None if change.merge_key is None else _Run(change.merge_key, seconds, began_at)
            return True

    def undo(self) -> Edit:
        """Goes back one edit and gives the one that was undone. Raises UnbakeError at the first one."""
        with self._memory:
            self._check_editable()
            self.discard_recovery()
            undone = self.present
            self._stand_at(self._history.undo())
            return undone

    def redo(self) -> Edit:
        """Goes forward to the newest edit made from this one, and gives it. Raises UnbakeError when there is none."""
        with self._memory:
            self._check_editable()
            self.discard_recovery()
            self._stand_at(self._history.redo())
            return self.present

    def go_to(self, number: int) -> None:
        """Goes to any edit of the tree. Raises UnbakeError when there is none of that number."""
        with self._memory:
            self._check_editable()
            self.discard_recovery()
            self._stand_at(self._history.go_to(number))

    def judge(self, trial: Trial) -> None:
        """Writes an answer of a blind test down. Raises UnbakeError in a read-only session."""
        with self._memory:
            self._check_editable()
            self.discard_recovery()
            self._run = None  # the edit that was judged stays as it was heard
            self._history = self._history.judge(trial)

    def recover(self) -> None:
        """Takes up the edits that were not saved. Raises UnbakeError when the last of them can't be read."""
        with self._memory:
            if self.recovery is not None:
                self._stand_at(self._journaled)
                self.recovery = None

    def discard_recovery(self) -> None:
        """Goes on from what the session file holds, or a session begins with; what was not saved stays in the tree.

        So does the first edit.
        """
        with self._memory:
            self.recovery = None

    def journal(self) -> None:
        """Brings every edit that is not there yet into the history file, and returns when they are on the disk.

        Raises UnbakeError when they can't be written; nothing is lost then, and the next call tries all of them again.
        """
        with self._disk:
            if not self.journaled and not self.read_only:
                with history.held(self.path, self._lock):
                    self._append()

    def save(self) -> None:
        """Puts the present value into the session file, after the journal.

        What somebody else wrote there meanwhile goes into the tree first. Raises UnbakeError when it can't be written,
        or when what was written there is no session, which would be lost.
        """
        with self._disk:
            self._check_editable()
            with self._memory:
                self.discard_recovery()
            with history.held(self.path, self._lock):
                from_elsewhere = files.load(self.path) if self.changed_on_disk() and self.path.exists() else None
                with self._memory:
                    session = self._session
                    self._run = None  # what is saved must stay an edit of its own
                    if from_elsewhere is not None:
                        stands_at = self.present.number
                        self._history = self._history.found(from_elsewhere, history.now()).go_to(stands_at)
                self._append()
                if self._on_disk != session or self.changed_on_disk():
                    history.write(self.path, session)
                with self._memory:
                    self._on_disk, self._stamp = session, _stamp_of(self.path)

    def changed_on_disk(self) -> bool:
        """Whether somebody else wrote to the session file, or took it away, since it was opened or saved.

        The file is read only when its date, size or inode changed. False while it is being saved.
        """
        if not self._disk.acquire(blocking=False):
            return False
        try:
            stamp = _stamp_of(self.path)
            if stamp == self._stamp:
                return False
            try:
                found = files.load(self.path) if stamp is not None else None
            except UnbakeError:
                return True
            if found != self._on_disk:
                return True
            self._stamp = stamp
            return False
        finally:
            self._disk.release()

    def refresh(self) -> bool:
        """Takes what somebody else wrote to the session file as the present value, as an edit; False when it is that.

        Raises UnbakeError when the file is gone or no session.
        """
        with self._disk:
            with history.at_rest(self.path):
                stamp, found = _stamp_of(self.path), files.load(self.path)
            with self._memory:
                self._check_editable()
                self._on_disk, self._stamp = found, stamp
                if found == self._session:
                    return False
                self.discard_recovery()
                self._history = self._history.found(found, history.now())
                self._session = self._values[self.present.number] = found
                self._run = None
                return True

    def _check_editable(self) -> None:
        if self.read_only:
            raise UnbakeError("is open to look at only", where=self.path, remedy="edit a copy under another name")

    def _stand_at(self, tree: History) -> None:
        """Goes to another edit, whose value must be readable for that."""
        edit = _present(tree)
        session = self._values.get(edit.number)
        session = edit.session if session is None else session
        self._values[edit.number] = session
        self._history, self._session, self._run = tree, session, None

    def _append(self) -> None:
        """Writes what the history file lacks. The session must be held."""
        size = _size_of(history.path_for(self.path))
        if size == 0:
            self._journaled, self._length = History(), 0  # it was taken away: all of it is written again
        elif size < self._length or (size != self._size and not self._failed):
            raise UnbakeError(
                "another program wrote to the history of this session while it was open here",
                where=history.path_for(self.path),
                remedy="save a copy under another name, then open the session again",
            )
        with self._memory:
            goal = self._history
        self._failed = True
        self._length = history.append(self.path, goal.since(self._journaled), self._length)
        self._size = _size_of(history.path_for(self.path))
        self._failed = False
        with self._memory:
            self._journaled = goal


def _present(tree: History) -> Edit:
    assert tree.present is not None, "an open session has a value"
    return tree.present


def _steps_between(tree: History, one: int, other: int | None) -> int:
    """Steps of undo and redo from one edit to another by way of the newest that both came from."""
    line, other_line = tree.line_to(one), tree.line_to(other)
    shared = len(set(line) & set(other_line))
    return len(line) + len(other_line) - 2 * shared


def _set_aside(path: Path, read: history.Found, *, rename: bool) -> Note:
    """Gives a damaged history another name, and says so."""
    damaged = history.path_for(path)
    assert read.problem is not None
    kept = f"{len(read.history.edits)} edits before it could be read"
    if not rename:
        return Note(f"{read.problem.what}; {kept}")
    names = (damaged.with_name(f"{damaged.name}.damaged-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        damaged.rename(aside)
    except OSError as error:
        raise os_error(error, damaged) from error
    return Note(f"{read.problem.what}: it is now {aside.name}; {kept}")


def _stamp_of(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Stamp(found.st_ino, found.st_size, found.st_mtime_ns)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise os_error(error, path) from error
