"""One app per session: a lock beside it that the kernel lets go of when its holder ends, however that happens.

`NAME.unbake.lock` says in JSON who holds it, for the message to the second one; what counts is the lock on it (flock).
Whoever comes second opens the session without a lock, to look, or a copy of it (`copy_name`).
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import itertools
import os
import socket
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from core.errors import UnbakeError, os_error

_TRIES = 10
_PAUSE_S = 0.01


class Holder(Struct, frozen=True):
    """Who holds a session: a process of a machine, since when (ISO 8601, UTC), and which program."""

    pid: int
    host: str
    since: str
    program: str

    def words(self) -> str:
        """`process 4711 on studio`."""
        return f"process {self.pid} on {self.host}" if self.pid else "another process"


UNKNOWN = Holder(0, "", "", "")
"""Somebody whose lock file can't be read."""


def path_for(session_path: Path) -> Path:
    """The lock file of a session file."""
    return session_path.with_name(session_path.name.removesuffix(".toml") + ".lock")


class SessionLock:
    """The right to edit a session, for one program at a time."""

    def __init__(self, session_path: Path, program: str = "unbake") -> None:
        self.path = path_for(session_path)
        self.program = program
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this very lock is held."""
        return self._descriptor is not None

    def acquire(self) -> Holder | None:
        """Takes the lock and gives None, or gives who holds it.

        Raises UnbakeError where no lock can be made: a folder that is missing or can't be written to.
        """
        if self.held:
            return None
        # A look at the lock (`holder`) takes it for a moment: only who still has it after several tries is a holder.
        for _ in range(_TRIES):
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                if (holder := self.holder()) is not None:
                    return holder  # somebody else's file
                raise self._no_lock(error) from error
            if self._take(descriptor):
                self._descriptor = descriptor
                return None
            os.close(descriptor)
            time.sleep(_PAUSE_S)
        return self._read()

    def release(self) -> None:
        """Gives the lock back and takes its file away; safe to call twice."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            if _is_at(self._descriptor, self.path):
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = None

    def holder(self) -> Holder | None:
        """Who holds it now, this program or another; None when it is free. Makes no file and needs no right to write.

        Where it can't be told (a file system without locks), nobody does.
        """
        for _ in range(_TRIES):
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found = self._read()
                if found != UNKNOWN:
                    return found
            except OSError:
                return None
            else:
                return None
            finally:
                os.close(descriptor)
            time.sleep(_PAUSE_S)  # taken a moment ago, and not written yet
        return UNKNOWN

    def __enter__(self) -> SessionLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            os.close(descriptor)
            raise self._no_lock(error) from error
        # It may have been removed between opening and locking: then this lock would guard nothing.
        if not _is_at(descriptor, self.path):
            return False
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        holder = Holder(os.getpid(), socket.gethostname(), now, self.program)
        with contextlib.suppress(OSError):  # on a full disk the lock holds without saying whose it is
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(holder), 0)
        return True

    def _read(self) -> Holder:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError):
            return UNKNOWN

    def _no_lock(self, error: OSError) -> UnbakeError:
        problem = os_error(error, self.path).what
        return UnbakeError(
            f"this session can't be locked for editing: {problem}",
            where=self.path,
            remedy="open it read-only, or copy it to a folder of your own",
        )


def check_free(session_path: Path, lock: SessionLock | None = None) -> None:
    """Refuses a session that an app has open. `lock` is one that the caller holds, and passes."""
    if lock is not None and lock.held and lock.path == path_for(session_path):
        return
    holder = SessionLock(session_path).holder()
    if holder is not None:
        raise UnbakeError(
            f"is open in the workstation ({holder.words()})",
            where=session_path,
            remedy="close it there, or edit it there",
        )


def copy_name(session_path: Path) -> Path:
    """The first free name for a copy beside a session: `NAME-2.unbake.toml`, free of a history too."""
    name, dot, rest = session_path.name.partition(".unbake.")
    for number in itertools.count(2):
        copy = session_path.with_name(f"{name}-{number}{dot}{rest}" if dot else f"{session_path.stem}-{number}.toml")
        begun = copy.name.removesuffix(".toml") + "."
        if not any(entry.name == copy.name or entry.name.startswith(begun) for entry in session_path.parent.iterdir()):
            return copy
    raise AssertionError("numbers never end")


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
