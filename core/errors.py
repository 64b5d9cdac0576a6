"""The one exception for everything a person can put right.

The command line prints it as one line and exits 2; the app shows it as a notice. Anything else that is raised is a
defect of unbake. Every package may import this module; it imports nothing of ours.
"""

from __future__ import annotations

import os


class UnbakeError(Exception):
    """A request that can't be carried out: what is wrong, where, and what to do about it.

    `what` is a clause without a full stop ("the file is truncated: header says 100 frames, it holds 60"), `where` the
    file, key path or value it is about, `remedy` a short imperative ("free 2.1 GB or set UNBAKE_CACHE").
    """

    def __init__(self, what: str, *, where: str | os.PathLike[str] | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else os.fspath(where)
        self.remedy = remedy
        super().__init__(self.line())

    def line(self) -> str:
        """The whole message on one line: `where: what (remedy)`."""
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.remedy:
            text += f" ({self.remedy})"
        return " ".join(text.split())


def os_error(error: OSError, where: str | os.PathLike[str]) -> UnbakeError:
    """What the operating system refused, in words: missing, unreadable, a directory, no space left."""
    reasons: list[tuple[type[OSError], str]] = [
        (FileNotFoundError, "no such file or folder"),
        (PermissionError, "permission denied"),
        (IsADirectoryError, "is a directory, not a file"),
        (NotADirectoryError, "part of the path is not a folder"),
        (FileExistsError, "exists already"),
    ]
    for kind, words in reasons:
        if isinstance(error, kind):
            return UnbakeError(words, where=where)
    return UnbakeError((error.strerror or str(error)).lower(), where=where)


def refusal(error: BaseException) -> UnbakeError | None:
    """What a person is told when an exception ends what they asked for; None when it is a defect of unbake."""
    if isinstance(error, UnbakeError):
        return error
    if isinstance(error, OSError):
        return os_error(error, error.filename or "this machine")
    if isinstance(error, MemoryError):
        return UnbakeError("out of memory", remedy="close other programs, or give --device cpu")
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        before, after = error.object[: error.start], error.object[error.start :]
        near = before.rpartition("\n")[2][-60:] + after.partition("\n")[0][:60]
        return UnbakeError(f"a name that is not valid UTF-8: {near!a}", remedy="rename the file")
    return None
