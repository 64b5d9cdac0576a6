"""The clean-up of a session: carried out where something needs it, its outcome pinned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core.audio.hashes import hashing
from core.cleanup import bench
from core.cleanup.cleaner import Finding
from core.events import Note, Operation
from core.session import cleaning
from core.session.cleaning import Step, removed_name
from core.session.document import Session, Strip

if TYPE_CHECKING:
    from core.cleanup.bench import Cleaned


class Removed(msgspec.Struct, frozen=True):
    """What steps took away at full strength: files, and their SHA-256, by `removed_name`."""

    paths: dict[str, Path] = {}
    hashes: dict[str, str] = {}


class CleanedUp(msgspec.Struct, frozen=True):
    """The clean-up of a session carried out: of its source, and of strips whose stems were at hand.

    `session` has the outcome of every step pinned; `paths` are the files that a graph of it opens for that. By
    `removed_name`: `findings` of every active step, `taken` the files of what each took away from what it heard. By
    strip, "" for the source: `cleaned` the file behind all of its steps.
    """

    session: Session
    paths: dict[str, str] = {}
    findings: dict[str, Finding] = {}
    taken: dict[str, str] = {}
    cleaned: dict[str, str] = {}


def heard_by_networks(session: Session, device: str = "auto") -> Operation[tuple[Session, Cleaned]]:
    """The source behind all steps of its clean-up, which a separation hears; steps that only networks hear are pinned.

    The caller vouches for the source.
    """
    source = session.source
    cleaned = yield from bench.clean(Path(source.path), session.cleanup, sha256=source.sha256, device=device)
    networks_only = [step.active and step.apply == "separation" for step in session.cleanup]
    steps = yield from _pinned(session.cleanup, cleaned, networks_only)
    return msgspec.structs.replace(session, cleanup=steps), cleaned


def at_hand(session: Session) -> Cleaned | None:
    """What networks hear as far as the store has it; None where a step would have to be carried out."""
    return bench.at_hand(Path(session.source.path), session.cleanup, session.source.sha256)


def removed_from(
    session: Session, stems: Mapping[str, Path], hashes: Mapping[str, str], device: str = "auto"
) -> Operation[tuple[Session, Removed]]:
    """What the clean-up takes away from the master and from strips that have one of their own.

    `stems` are files by strip name, with those of their `hashes` that are known. Gives the session with the outcome of
    each step pinned. What comes out otherwise than it was pinned is announced in a Note.
    """
    removed = Removed({}, {})
    if session.cleanup:
        master = [step.active and step.apply == "master" for step in session.cleanup]
        heard = [step for step, wanted in zip(session.cleanup, master, strict=True) if wanted]
        source = session.source
        cleaned = yield from bench.clean(Path(source.path), heard, sha256=source.sha256, device=device, onward=False)
        done = iter(cleaned.done)
        cleaned = cleaned._replace(done=tuple(next(done) if wanted else None for wanted in master))
        steps = yield from _pinned(session.cleanup, cleaned, master)
        _collect(removed, cleaned)
        session = msgspec.structs.replace(session, cleanup=steps)
    strips = dict(session.strips)
    for name in _cleaned_strips(session, stems):
        cleaned = yield from _strip_cleaned(strips[name], name, stems, hashes, device, onward=False)
        active = [step.active for step in strips[name].cleanup]
        steps = yield from _pinned(strips[name].cleanup, cleaned, active, name)
        _collect(removed, cleaned, name)
        strips[name] = msgspec.structs.replace(strips[name], cleanup=steps)
    return msgspec.structs.replace(session, strips=strips), removed


def carry_out(session: Session, stems: Mapping[str, Path], device: str = "auto") -> Operation[CleanedUp]:
    """Carries out every step of a session, for whoever looks at the bench. `stems` are files by strip name.

    The caller vouches for the source.
    """
    session, networks = yield from heard_by_networks(session, device)
    session, removed = yield from removed_from(session, stems, {}, device)
    found = CleanedUp(session, {name: str(path) for name, path in removed.paths.items()}, {}, {}, {})
    every = {"": networks}
    for name in _cleaned_strips(session, stems):
        every[name] = yield from _strip_cleaned(session.strips[name], name, stems, {}, device, onward=True)
    for strip, cleaned in every.items():
        found.cleaned[strip] = str(cleaned.path)
        for place, done in enumerate(cleaned.done):
            if done is not None:
                found.findings[removed_name(place, strip)] = done.finding
            if done is not None and done.removed is not None:
                found.taken[removed_name(place, strip)] = str(done.removed)
    return found


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


def _pinned(
    steps: Sequence[Step], cleaned: Cleaned, wanted: Sequence[bool], strip: str = ""
) -> Operation[tuple[Step, ...]]:
    """The steps with the outcome of the `wanted` ones; one that differs from what was pinned is announced."""
    pinned = list(steps)
    for place, done in enumerate(cleaned.done):
        if done is None or not wanted[place]:
            continue
        before, after = steps[place].hash, done.pinned.hash
        if before not in ("", after):
            yield Note(
                f"{strip or 'clean-up'}: what step {place + 1} takes away differs from what this session was made with "
                f"({after[:12]} instead of {before[:12]}): another library or device reckoned"
            )
        pinned[place] = msgspec.structs.replace(steps[place], hash=after)
    return tuple(pinned)


def _collect(removed: Removed, cleaned: Cleaned, strip: str = "") -> None:
    for place, done in enumerate(cleaned.done):
        if done is not None and done.removed is not None:
            removed.paths[removed_name(place, strip)] = done.removed
            removed.hashes[removed_name(place, strip)] = done.pinned.hash


def _cleaned_strips(session: Session, stems: Collection[str]) -> list[str]:
    """Strips with a clean-up of their own whose stems are at hand."""
    return [
        name
        for name, strip in session.strips.items()
        if strip.cleanup and strip.mode != "cancel" and (strip.treated or name) in stems
    ]


def _strip_cleaned(
    strip: Strip, name: str, stems: Mapping[str, Path], hashes: Mapping[str, str], device: str, *, onward: bool
) -> Operation[Cleaned]:
    """What the chain of a strip hears, behind the strip's clean-up."""
    heard = strip.treated or name
    sha256 = hashes.get(heard) or (yield from hashing(stems[heard]))
    return (yield from bench.clean(stems[heard], strip.cleanup, sha256=sha256, device=device, onward=onward))
