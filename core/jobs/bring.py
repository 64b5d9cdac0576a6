"""A file of the engineer's becomes a stem of a session: found in the source, laid on it, subtracted, measured."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.audio.formats import BLOCK_FRAMES
from core.audio.hashes import hashing
from core.audio.probe import probe
from core.audio.read import open_reader
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.jobs import sessions
from core.jobs.brought import check_channels, stem_of
from core.measure.contained import Contained, Depth, Given, contained, depth
from core.measure.placement import NOT_FOUND, locate
from core.separation.separate import refuse_unusable
from core.session import edits, files, history
from core.session.document import TAKEN, Brought, Mode, Session
from core.session.toml import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.audio.formats import AudioInfo
    from core.session.edits import Change

TREATED = "-treated"
LONGEST_NAME = 40
REMEDY = "--delay FRAMES and --gain DB say where it lies and how loud, where you know"


class Found(msgspec.Struct, frozen=True):
    """A file and how it lies in the source of a session. What it is subtracted by is in `brought`, and pinned.

    `correlation` is that with the source where both were looked at; `alone_db` is an estimate of how far the stem goes
    down where it stands alone (None where nothing is left of it), `depth` how far the source does. `treated` is the
    name and the file of a treated copy.
    """

    name: str
    brought: Brought
    correlation: float
    alone_db: float | None
    depth: Depth
    treated: tuple[str, Brought] | None = None

    def change(self, session: Session, mode: Mode | None = None) -> Change:
        """The edit that brings it to a session; by default it is cancelled, or replaced by the treated copy."""
        return edits.bring(session, self.name, self.brought, mode=mode_of(mode, self.treated), treated=self.treated)


def find(
    session: Session,
    path: Path,
    *,
    name: str | None = None,
    treated: Path | None = None,
    given: Given | None = None,
) -> Operation[Found]:
    """Finds a file in the source of a session, makes the stem that is subtracted, and measures what that leaves.

    What is `given` is not looked for. `treated` lies as the file does. The caller vouches for the source. Raises
    UnbakeError when a file can't be read, is silent, holds what is no number or channels that don't go with the
    source's, when the name is taken, and when nothing of the file is found and its place and level are not given.
    """
    given = given or Given()
    name = free_name(session, path, copied=treated is not None) if name is None else name
    for each in (name, *([name + TREATED] if treated is not None else [])):
        files.check_name(session, each, Origin("this stem"))
        if each in session.brought:
            remedy = "choose another with --name, or take that one out: unbake session drop"
            raise UnbakeError("a stem of this name was brought already", where=each, remedy=remedy)
    _brought(name, path, "", msgspec.structs.asdict(given))  # a number that can't be is refused before the search
    source = probe(session.source.path)
    digest = yield from _examined(path, source)
    copied = None if treated is None else (yield from _examined(treated, source))
    lies = yield from _placed(source, path, given)
    placed = _brought(name, path, digest, msgspec.structs.asdict(lies))
    stem = yield from stem_of(session.source, name, placed)
    copy = None
    if treated is not None and copied is not None:
        other = msgspec.structs.replace(placed, path=str(treated.absolute()), sha256=copied)
        made = yield from stem_of(session.source, name + TREATED, other)
        copy = name + TREATED, msgspec.structs.replace(other, hash=made.hashes[name + TREATED])
    with open_reader(session.source.path) as whole, open_reader(stem.stems[name]) as part:
        left = yield from depth(whole, part)
    placed = msgspec.structs.replace(placed, hash=stem.hashes[name])
    return Found(name, placed, lies.correlation, lies.alone_db, left, copy)


def bring(
    session_path: Path,
    path: Path,
    *,
    name: str | None = None,
    mode: Mode | None = None,
    treated: Path | None = None,
    given: Given | None = None,
) -> Operation[tuple[Session, Found]]:
    """Brings a file to a session on disk, as one edit of its history; gives the session and what was found.

    Raises UnbakeError as `find` does, and for a session that is open in the workstation.
    """
    session = sessions.load(session_path)
    history.check_free(session_path)
    mode_of(mode, treated)
    yield Progress("checking the source", 0, 1)
    sessions.check_source(session, session_path)
    found = yield from find(session, path, name=name, treated=treated, given=given)

    def change(before: Session | None) -> Session:
        return found.change(sessions.load(session_path) if before is None else before, mode).session

    return history.edit(session_path, change, found.change(session, mode).what), found


def drop(session_path: Path, name: str) -> Session:
    """Takes a brought stem out of a session on disk again, as one edit of its history. Raises as `edits.drop`."""
    what = edits.drop(sessions.load(session_path), name).what

    def change(before: Session | None) -> Session:
        return edits.drop(sessions.load(session_path) if before is None else before, name).session

    return history.edit(session_path, change, what)


def mode_of(mode: Mode | None, treated: object) -> Mode:
    """What the strip of a brought stem does. Refuses a treated copy that nobody would hear."""
    if treated is None:
        return mode or "cancel"
    if mode == "cancel":
        raise UnbakeError("of a strip that is cancelled no treated copy is heard", remedy="--mode replace or parallel")
    return mode or "replace"


def free_name(session: Session, path: Path, *, copied: bool = False) -> str:
    """What a stem is called after its file, with a number where that is taken; with room for a copy if `copied`."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:LONGEST_NAME] or "stem"
    taken = {*TAKEN, *session.strip_names}
    numbered = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
    return next(name for name in numbered if name not in taken and not (copied and name + TREATED in taken))


def _brought(name: str, path: Path, sha256: str, lies: Mapping[str, Any]) -> Brought:
    """A file as the session has it, from what is known of how it lies. Raises UnbakeError for a number out of range."""
    known = {key: lies[key] for key in Given.__struct_fields__ if lies[key] is not None}
    values = {"path": str(path.absolute()), "sha256": sha256, **known}
    return Origin("this stem").convert(values, Brought, ("brought", name))


def _examined(path: Path, source: AudioInfo) -> Operation[str]:
    """The SHA-256 of a file that can be a stem of the source. Refuses one that can't."""
    info = probe(path)
    if path.samefile(source.path):
        raise UnbakeError("is the source itself", where=path)
    if not info.frames:
        raise UnbakeError("holds no audio", where=path)
    check_channels(info, source)
    if not info.lossless:
        yield Note(f"{path.name} is lossy ({info.subtype}): what its coder changed is not nulled")
    sounds, done = False, 0
    with open_reader(path) as reader:
        while (block := reader.read(BLOCK_FRAMES)).shape[1]:
            refuse_unusable(block, done, info)
            sounds = sounds or bool(block.any())
            done += block.shape[1]
            yield Progress("reading the stem", done, info.frames, info.seconds)
    if not sounds:
        raise UnbakeError("holds nothing but silence", where=path)
    return (yield from hashing(path))


def _placed(source: AudioInfo, path: Path, given: Given) -> Operation[Contained]:
    with open_reader(source.path) as whole, open_reader(path) as part:
        found = NOT_FOUND if given.delay_samples is not None else (yield from locate(whole, part))
        lies = yield from contained(whole, part, found, given)
    if lies is None and given.delay_samples is not None:
        what = f"nothing of it is in the source with a delay of {given.delay_samples:g} frames"
        raise UnbakeError(
            what, where=path, remedy="give another --delay, positive where the file is late, or --gain too"
        )
    if lies is None:
        raise UnbakeError("has nothing in common with the source that could be found", where=path, remedy=REMEDY)
    return lies
