"""Files that appear whole or not at all: a hidden temporary file in the same folder, fsync, rename."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from core.errors import UnbakeError, os_error

_OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EACCES)


class PendingFile:
    """A file that is being written: `path` is the temporary one, `target` the name it will get.

    `commit` makes it appear; `discard`, or leaving the `with` block without a commit, removes it.
    """

    def __init__(self, out: str | os.PathLike[str], *, force: bool) -> None:
        self.out = Path(out)
        self.force = force
        # A link that stands at OUT goes on pointing where it pointed; what it points to is replaced.
        self.target = Path(os.path.realpath(self.out))
        self.path = self.target.parent / f".unbake-{secrets.token_hex(8)}.part"
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
        except OSError as error:
            raise os_error(error, self.target.parent) from error
        self._done = False

    def commit(self) -> None:
        """Gives the file its name, durably. UnbakeError when OUT appeared meanwhile and `force` is not set."""
        try:
            sync(self.path)
            self._rename()
            sync(self.target.parent)
        except FileExistsError as error:
            raise exists_already(self.out) from error
        except OSError as error:
            raise write_error(error, self.out) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Removes the temporary file if it is still there; safe to call twice."""
        if not self._done:
            self._done = True
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> PendingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _rename(self) -> None:
        if self.force:
            if self.target.exists():
                shutil.copymode(self.target, self.path)
            self.path.replace(self.target)
            self._done = True
            return
        try:
            # A link fails where the name is taken, which a rename does not.
            os.link(self.path, self.target)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if os.path.lexists(self.target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
            self.path.replace(self.target)
            self._done = True


def check_output(out: str | os.PathLike[str], sources: Iterable[str | os.PathLike[str]], force: bool) -> None:
    """UnbakeError when `out` may not be written: no folder for it, a directory, one of the sources, or there already.

    A source is recognised through symbolic and hard links, and is refused with `force` too.
    """
    out = Path(out)
    if str(out) == "-":
        raise UnbakeError("writing to standard output is not supported", where="-", remedy="name a file")
    if out.is_dir():
        raise UnbakeError("is a directory, not a file", where=out)
    if not out.parent.is_dir():
        raise UnbakeError("the folder to write to does not exist", where=out, remedy=f"make {out.parent} first")
    for source in sources:
        if same_file(out, Path(source)):
            raise UnbakeError(
                f"is the source itself ({source}), which is never written to", where=out, remedy="choose another name"
            )
    if os.path.lexists(out) and not force:
        raise exists_already(out)


def write_bytes_atomically(path: str | os.PathLike[str], content: bytes, *, force: bool) -> None:
    """Writes a small file whole or not at all. UnbakeError when it is there already without `force`, or can't be."""
    check_output(path, (), force)
    with PendingFile(path, force=force) as pending:
        try:
            pending.path.write_bytes(content)
        except OSError as error:
            raise write_error(error, path, needed_bytes=len(content)) from error
        pending.commit()


def write_text_atomically(path: str | os.PathLike[str], text: str, *, force: bool) -> None:
    """Writes a text as UTF-8, with the line ends it has, whole or not at all; errors as `write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode(), force=force)


def check_room(out: str | os.PathLike[str], needed_bytes: int) -> None:
    """UnbakeError when the folder of `out` has less free room than `needed_bytes`."""
    folder = Path(os.path.realpath(out)).parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise os_error(error, folder) from error
    if free < needed_bytes:
        raise _no_room(folder, needed_bytes, free)


def write_error(error: OSError, out: str | os.PathLike[str], needed_bytes: int | None = None) -> UnbakeError:
    """What stopped the writing of `out`, in words; a full disk is named with its folder and what is needed."""
    if error.errno not in _OUT_OF_ROOM:
        return os_error(error, out)
    folder = Path(os.path.realpath(out)).parent
    return _no_room(folder, needed_bytes, None)


def exists_already(out: str | os.PathLike[str]) -> UnbakeError:
    """The refusal to replace a file."""
    return UnbakeError("exists already", where=out, remedy="choose another name or use --force")


def size_in_words(size: int) -> str:
    """A number of bytes as people say it: 512 bytes, 1.4 MB, 2.1 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def _no_room(folder: Path, needed_bytes: int | None, free_bytes: int | None) -> UnbakeError:
    what = "no space left in this folder"
    if needed_bytes is not None:
        what += f": {size_in_words(needed_bytes)} needed"
    if free_bytes is not None:
        what += f", {size_in_words(free_bytes)} free"
    return UnbakeError(what, where=folder, remedy="free some room or write elsewhere")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file, through links too, or would be once it is there."""
    try:
        return one.samefile(other)
    except OSError:
        # One of them is not there: then only the names can be the same.
        return os.path.realpath(one) == os.path.realpath(other)


def sync(path: Path) -> None:
    """Returns when a file's content, or the names in a folder, are on the disk. OSError when they can't be."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
