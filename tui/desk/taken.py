"""What the clean-up of a session takes away, as far as the desk knows: of what, for which steps, and where it lies.

Pure functions of a session and of what is known of the outcome of its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core.session.cleaning import Step, removed_name, taken_away, told
from core.session.document import Session

if TYPE_CHECKING:
    from core.cleanup.cleaner import Finding

PINNED = "clean-up pinned"
"""What the history calls an edit that only notes what came of steps."""
SOURCE = ""
"""The target that is the whole master; all others are strips."""
Make = Callable[[tuple[Step, ...]], tuple[Step, ...]]
"""What becomes of the steps of a target."""
Deciding = tuple[object, ...]
"""All that decides what a step takes away. Equal where that must be the same."""


class Removed(NamedTuple):
    """A file that a render subtracts; None where a step found nothing to take away."""

    of: Deciding
    path: Path | None
    hash: str


class Taken(NamedTuple):
    """What a step found in what it hears on the bench, and took away from that: None for nothing.

    `rms_dbfs` of the whole file at full strength, once it was measured.
    """

    of: Deciding
    finding: Finding
    path: Path | None
    rms_dbfs: float | None = None


def steps_of(session: Session, target: str) -> tuple[Step, ...]:
    """The clean-up of the source, or of a strip."""
    if target == SOURCE:
        return session.cleanup
    return session.strips[target].cleanup if target in session.strips else ()


def is_cancelled(session: Session, target: str) -> bool:
    """Whether nobody hears the clean-up of a strip: its stem is taken out as it is."""
    return target in session.strips and session.strips[target].mode == "cancel"


def heard_by(session: Session, target: str, sounds: Mapping[str, Path]) -> Path | None:
    """The file that a clean-up hears; None where a stem is not there."""
    if target == SOURCE:
        return Path(session.source.path)
    treated = session.strips[target].treated if target in session.strips else ""
    return sounds.get(treated or target)


def deciding(steps: Sequence[Step], place: int, heard: Path | None) -> Deciding:
    """What decides what the step at `place` takes away: what it is told at full strength, and all before it."""
    own = msgspec.structs.replace(steps[place], strength=1.0, hash="", apply="separation", bypass=False)
    return (str(heard), *told(steps[:place]), own)


def on_the_bench(session: Session, sounds: Mapping[str, Path], target: str) -> dict[str, Deciding]:
    """What decides what each active step of a target takes away, all of those before it heard."""
    steps, heard = steps_of(session, target), heard_by(session, target, sounds)
    if heard is None or is_cancelled(session, target):
        return {}
    return {
        removed_name(place, target): deciding(steps, place, heard) for place, step in enumerate(steps) if step.active
    }


def wanted(session: Session, sounds: Mapping[str, Path]) -> dict[str, Deciding]:
    """The files that a render subtracts for the clean-up, with what decides them.

    Steps of the master hear those of the master. Of strips, those whose stems are at hand.
    """
    found: dict[str, Deciding] = {}
    if names := taken_away(session.cleanup):
        steps, heard = without_networks_only(session).cleanup, heard_by(session, SOURCE, sounds)
        found |= {name: deciding(steps, _place(name), heard) for name in names}
    for strip, each in session.strips.items():
        heard = heard_by(session, strip, sounds)
        if heard is not None and not is_cancelled(session, strip):
            found |= {name: deciding(each.cleanup, _place(name), heard) for name in taken_away(each.cleanup, strip)}
    return found


def without_networks_only(session: Session) -> Session:
    """The session without the steps that only networks hear, all others at their places."""
    steps = tuple(
        step if step.apply == "master" else msgspec.structs.replace(step, bypass=True) for step in session.cleanup
    )
    return msgspec.structs.replace(session, cleanup=steps)


def with_hashes(session: Session, hashes: Mapping[str, str]) -> Session:
    """The session with these hashes of what its steps take away."""
    if not hashes:
        return session

    def hashed(steps: tuple[Step, ...], strip: str) -> tuple[Step, ...]:
        names = (removed_name(place, strip) for place in range(len(steps)))
        return tuple(
            msgspec.structs.replace(step, hash=hashes.get(name, step.hash))
            for step, name in zip(steps, names, strict=True)
        )

    strips = {
        name: msgspec.structs.replace(strip, cleanup=hashed(strip.cleanup, name)) if strip.cleanup else strip
        for name, strip in session.strips.items()
    }
    return msgspec.structs.replace(session, cleanup=hashed(session.cleanup, SOURCE), strips=strips)


def bare(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps without the hashes of what came of them."""
    return tuple(msgspec.structs.replace(step, hash="") for step in steps)


def bare_session(session: Session) -> Session:
    """A session whose steps are without the hashes of what came of them."""
    strips = {
        name: msgspec.structs.replace(strip, cleanup=bare(strip.cleanup)) if strip.cleanup else strip
        for name, strip in session.strips.items()
    }
    return msgspec.structs.replace(session, cleanup=bare(session.cleanup), strips=strips)


def pinned(now: Session, before: Session, after: Session) -> Session:
    """The session with the outcomes that a job pinned in `after`, where the steps are those it was given still."""

    def pins(target: str) -> dict[str, str]:
        ours, given, made = (steps_of(each, target) for each in (now, before, after))
        if bare(ours) != bare(given):
            return {}
        return {removed_name(place, target): step.hash for place, step in enumerate(made) if step.hash}

    hashes: dict[str, str] = {}
    for target in (SOURCE, *now.strips):
        hashes |= pins(target)
    return with_hashes(now, hashes)


def _place(name: str) -> int:
    return int(name.rpartition("/")[2])
