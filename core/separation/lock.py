"""A lock between processes, for whoever works on one key of the stem store."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from core.errors import os_error


class Lock:
    """A lock that goes away with the process that holds it, however that ends (flock on a file of its own)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor: int | None = None

    def acquire(self) -> bool:
        """Takes the lock if it is free; whether that worked."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while True:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                if not self._take(descriptor):
                    return False
                # Somebody may have removed the file between opening and locking it: then this lock guards nothing.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                        break
                os.close(descriptor)
        except OSError as error:
            raise os_error(error, self.path) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self.descriptor = descriptor
        return True

    @staticmethod
    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        return True

    def release(self) -> None:
        """Gives the lock back; safe to call twice."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def is_held(self) -> bool:
        """Whether somebody holds it now. Makes no file where there is none."""
        if not self.path.exists():
            return False
        if not self.acquire():
            return True
        self.release()
        return False

    def holder(self) -> str:
        """The process that holds it, in words."""
        try:
            number = self.path.read_text()
        except OSError:
            number = ""
        return f"process {number}" if number.isdigit() else "another process"

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
