"""Whether a file is the one it was: its SHA-256, and a quick fingerprint to notice a change while it is read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from core.errors import UnbakeError, os_error
from core.events import Operation, Progress, finish

_CHUNK_BYTES = 1 << 20
_SAID_BYTES = 16 * _CHUNK_BYTES


class Fingerprint(msgspec.Struct, frozen=True):
    """What a file system says of a file's content without reading it: bytes, modification time in ns, inode."""

    size: int
    mtime_ns: int
    inode: int


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """The fingerprint of a file. UnbakeError when it can't be looked at."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise os_error(error, path) from error
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)


def check_unchanged(path: str | os.PathLike[str], before: Fingerprint) -> None:
    """UnbakeError when the file is gone or is no longer the one whose fingerprint was taken."""
    try:
        after = fingerprint(path)
    except UnbakeError as error:
        raise UnbakeError("was deleted while it was read", where=path) from error
    if after != before:
        raise UnbakeError("changed while it was read", where=path, remedy="start again when nothing writes to it")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits. UnbakeError when it can't be read."""
    return finish(hashing(path))


def hashing(path: str | os.PathLike[str]) -> Operation[str]:
    """As `sha256_file`, for files that take their time; `Progress` counts bytes."""
    digest, done = hashlib.sha256(), 0
    try:
        with Path(path).open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                if done % _SAID_BYTES == 0:
                    yield Progress("reading the source", done, max(total, done))
    except OSError as error:
        raise os_error(error, path) from error
    return digest.hexdigest()
