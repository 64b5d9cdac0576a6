"""What happens between a path that was typed and a session that can be edited."""

from __future__ import annotations

from pathlib import Path

import msgspec

from core.audio.formats import AudioInfo
from core.audio.hashes import Fingerprint, fingerprint
from core.audio.probe import probe
from core.errors import UnbakeError
from core.events import Operation
from core.jobs import cleanups, sessions
from core.separation.stems import recipe_of
from core.separation.store import StemSet, Store, Unusable
from core.session import files
from core.session.document import Session
from core.session.editor import Editor
from core.session.lock import SessionLock


class Located(msgspec.Struct, frozen=True):
    """A master and the place of its session, which may not be there yet; how the master's file was found."""

    source: Path
    session_path: Path
    exists: bool
    info: AudioInfo
    found: Fingerprint

    @property
    def as_found(self) -> bool:
        """Whether the master's file is still there and nobody wrote to it; cheap, so only date, size and inode."""
        try:
            return fingerprint(self.source) == self.found
        except UnbakeError:
            return False


def check_as_found(located: Located) -> None:
    """Refuses a master whose file is gone or was written to since it was opened."""
    if not located.as_found:
        what = "was changed by another program since it was opened" if located.source.exists() else "is gone"
        raise UnbakeError(what, where=located.source, remedy="put it back as it was, or open it again")


def locate(path: Path) -> Located:
    """The master and the session that a path is about; cheap, whatever the length of the file.

    `path` is an audio file or a session. Raises UnbakeError when it is neither, or the source of a session is gone.
    """
    if path.name.endswith(".toml"):
        session = files.load(path)
        source = Path(session.source.path)
        if not source.exists():
            raise UnbakeError(
                "the source of this session is gone", where=source, remedy=f"put it back, or set source.path in {path}"
            )
        return Located(source, path, exists=True, info=probe(source), found=fingerprint(source))
    info = probe(path)
    session_path = sessions.place_beside(path)
    return Located(path, session_path, exists=session_path.exists(), info=info, found=fingerprint(path))


def load(located: Located, lock: SessionLock | None, copy: Path | None = None) -> Operation[Editor]:
    """The session of a master, ready to be edited. A new one reads the whole file once, for its hash.

    `lock` is held by the caller; without one the session is only looked at. With `copy` it is a new session there that
    begins with the value of the one that is located. Raises UnbakeError for a session that is broken; whether its
    source is still the one it was made on takes reading all of it, and is left to `sessions.check_source`.
    """
    if not located.exists:
        session = yield from fresh(located.source)
        return Editor.create(located.session_path, session, f"new session on {located.source.name}", lock=lock)
    if copy is not None:
        value = files.load(located.session_path)
        return Editor.create(copy, value, f"copy of {located.session_path.name}", lock=lock)
    return Editor.open(located.session_path, lock=lock, read_only=lock is None, set_aside=True)


def stems_at_hand(session: Session) -> StemSet | None:
    """The stems of a session out of the store, where they are whole; computes nothing.

    None for stems of another tool: their folder has to be read to know whether they are the same still.
    """
    separation = session.separation
    if separation.stems_from is not None:
        return None
    heard = cleanups.at_hand(session)
    if heard is None:
        return None
    recipe = recipe_of(session.source.sha256, sessions.request_of(separation))
    if heard.sha256 != session.source.sha256:
        recipe = msgspec.structs.replace(recipe, heard=heard.sha256)
    try:
        return Store().find(recipe)
    except Unusable:
        return None  # who asks for them next sets them aside, and says so


def fresh(source: Path, model: str = "starter") -> Operation[Session]:
    """A session without an edit on a master. Reads the whole file once, for its hash."""
    separation = sessions.separation_by(model)
    return Session(source=(yield from sessions.describing_source(source)), separation=separation)
