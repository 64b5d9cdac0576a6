"""The clean-up of a session: carried out where something needs it, its outcome pinned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core.audio.hashes import hashing
from core.events import Note, Operation
from core.session import cleaning
from core.session.cleaning import removed_name
from core.session.document import Session, Strip

if TYPE_CHECKING:
    from core.cleanup.bench import Cleaned
    from core.session.cleaning import CleanupStep, Step


class Removed(msgspec.Struct, frozen=True):
    """What steps took away at full strength: files, and their SHA-256, by `removed_name`."""

    paths: dict[str, Path] = {}
    hashes: dict[str, str] = {}


def heard_by_networks(session: Session, device: str = "auto") -> Operation[Cleaned]:
    """The source behind all steps of its clean-up: what a separation hears. The caller vouches for the source."""
    source = session.source
    return (yield from _clean(Path(source.path), session.cleanup, source.sha256, device, onward=True))


def removed_from(
    session: Session, stems: Mapping[str, Path], hashes: Mapping[str, str], device: str = "auto"
) -> Operation[tuple[Session, Removed]]:
    """What the clean-up takes away from the master and from strips that have one of their own.

    `stems` are files by strip name, with their `hashes`. Gives the session with the outcome of each step pinned. What
    comes out otherwise than it was pinned is announced in a Note.
    """
    removed = Removed({}, {})

    def carried_out(source: Path, steps: tuple[Step, ...], sha256: str, strip: str = "") -> Operation[tuple[Step, ...]]:
        wanted = [step.active and (bool(strip) or step.apply == "master") for step in steps]
        cleaned = yield from _clean(
            source, [step for step, take in zip(steps, wanted, strict=True) if take], sha256, device, onward=False
        )
        done = iter(cleaned.done)
        pinned = list(steps)
        for place, take in enumerate(wanted):
            found = next(done) if take else None
            if found is None:
                continue
            before, after = steps[place].hash, found.pinned.hash
            if before not in ("", after):
                yield Note(
                    f"{strip or 'clean-up'}: what step {place + 1} takes away differs from what this session was made "
                    f"with ({after[:12]} instead of {before[:12]}): another library or device reckoned"
                )
            pinned[place] = msgspec.structs.replace(steps[place], hash=after)
            if found.removed is not None:
                removed.paths[removed_name(place, strip)] = found.removed
                removed.hashes[removed_name(place, strip)] = after
        return tuple(pinned)

    if session.cleanup:
        source = session.source
        steps = yield from carried_out(Path(source.path), session.cleanup, source.sha256)
        session = msgspec.structs.replace(session, cleanup=steps)
    strips = dict(session.strips)
    for name in _cleaned_strips(session, stems):
        strip = strips[name]
        heard = strip.treated or name
        sha256 = hashes.get(heard) or (yield from hashing(stems[heard]))
        steps = yield from carried_out(stems[heard], strip.cleanup, sha256, name)
        strips[name] = msgspec.structs.replace(strip, cleanup=steps)
    return msgspec.structs.replace(session, strips=strips), removed


def unpinned(before: Session, after: Session) -> Session:
    """An edited session without the hashes of clean-up and stems that are no longer what was made."""
    strips = {
        name: msgspec.structs.replace(
            strip, cleanup=cleaning.unpinned(strip.cleanup, before.strips.get(name, Strip()).cleanup)
        )
        for name, strip in after.strips.items()
    }
    steps = after.cleanup
    after = msgspec.structs.replace(after, strips=strips, cleanup=before.cleanup)
    return after.with_cleanup(steps)


def _cleaned_strips(session: Session, stems: Collection[str]) -> list[str]:
    """Strips with a clean-up of their own whose stems are at hand."""
    return [
        name
        for name, strip in session.strips.items()
        if strip.cleanup and strip.mode != "cancel" and name in stems and (strip.treated or name) in stems
    ]


def _clean(path: Path, steps: Collection[CleanupStep], sha256: str, device: str, *, onward: bool) -> Operation[Cleaned]:
    from core.cleanup.bench import clean

    return (yield from clean(path, tuple(steps), sha256=sha256, device=device, onward=onward))
