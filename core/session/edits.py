"""Edits: a session in, another one out, with the words for its history.

Nothing here has a memory or touches a file; `editor` keeps what comes out. Every result is checked as a session that
is read from a file is. `strip` is everywhere the name of a stem, `RESIDUAL`, or `MASTER` for the master stage. A strip
that is back at its defaults is left out of the session, so that what was undone by hand equals what was never done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import UnbakeError
from core.session import files, words
from core.session.cleaning import Step, unpinned
from core.session.document import Brought, Mode, Session, Strip
from core.session.parameters import master_kinds, parameter_of, strip_kinds, title_of
from core.session.presets import Preset
from core.session.processors import Processor
from core.session.timemap import TimeMap
from core.session.toml import Origin, Steps

MASTER = "master"
_ORIGIN = Origin("this edit")


class Change(Struct, frozen=True):
    """An edited session, what was done to it, and what makes it one with the change before it.

    Changes with an equal `merge_key` that follow each other at once (a parameter held down) are one step of undo; None
    always is a step of its own.
    """

    session: Session
    what: str
    merge_key: str | None = None


def strip_names(session: Session) -> tuple[str, ...]:
    """Every strip that can be edited, the master stage aside: stems, residual, then the stems that were brought."""
    return session.strip_names


def chain_of(session: Session, strip: str) -> tuple[Processor, ...]:
    """The processors of a strip or of the master stage, in order. Raises UnbakeError for a strip that is not made."""
    return session.master if strip == MASTER else _strip(session, strip).chain


def set_strip(session: Session, strip: str, field: str, value: Any) -> Change:
    """Sets gain_db, pan, polarity, mode or blend of a strip.

    Raises UnbakeError for a value out of range, a pan of a mono file, and for the master stage, which has no fader.
    """
    if strip == MASTER:
        raise UnbakeError("the master stage has no fader of its own", remedy="put a gain into it")
    parameter_of(Strip, field)
    before = _strip(session, strip)
    fields = {name: getattr(before, name) for name in before.__struct_fields__ if name != "chain"}
    made = _ORIGIN.convert({**fields, field: _without_sign_of_zero(value)}, Strip, ("strips", strip))
    made = msgspec.structs.replace(made, chain=before.chain)
    return Change(
        _with_strip(session, strip, made),
        f"{strip}: {words.of_value(made, field, titled=True)}",
        merge_key=f"{strip} {field}",
    )


def insert(session: Session, strip: str, place: int, processor: Processor) -> Change:
    """Puts a processor before the one at `place`, or at the end. Raises UnbakeError for one that does not go there."""
    _check_kind(strip, processor)
    chain = chain_of(session, strip)
    if not 0 <= place <= len(chain):
        raise _no_place(chain, strip, place)
    made = _with_chain(session, strip, (*chain[:place], processor, *chain[place:]))
    return Change(made, f"{strip}: + {words.of_processor(processor)}")


def delete(session: Session, strip: str, place: int) -> Change:
    """Takes a processor out of a chain."""
    gone = processor_at(session, strip, place)
    chain = chain_of(session, strip)
    made = _with_chain(session, strip, (*chain[:place], *chain[place + 1 :]))
    return Change(made, f"{strip}: - {words.of_processor(gone)}")


def move(session: Session, strip: str, place: int, by: int) -> Change:
    """Moves a processor towards the end of its chain (or the beginning, below zero), at most to the last place."""
    moved = processor_at(session, strip, place)
    chain = list(chain_of(session, strip))
    target = min(max(place + by, 0), len(chain) - 1)
    chain.insert(target, chain.pop(place))
    return Change(
        _with_chain(session, strip, tuple(chain)), f"{strip}: {words.of_processor(moved)} moved to place {target + 1}"
    )


def set_parameter(session: Session, strip: str, place: int, name: str, value: Any) -> Change:
    """Sets one field of a processor. Raises UnbakeError for a value out of range and for a field it does not have."""
    before = processor_at(session, strip, place)
    steps: Steps = ("master", place) if strip == MASTER else ("strips", strip, "chain", place)
    fields = {**msgspec.structs.asdict(before), name: _without_sign_of_zero(value)}
    made = _ORIGIN.convert(fields, type(before), steps)
    title = title_of(type(made))
    said = (
        _bypass_words(title, made.bypass) if name == "bypass" else f"{title} {words.of_value(made, name, titled=True)}"
    )
    return Change(_with_processor(session, strip, place, made), f"{strip}: {said}", merge_key=f"{strip} {place} {name}")


def replace_processor(session: Session, strip: str, place: int, processor: Processor) -> Change:
    """Puts another processor in the place of one."""
    _check_kind(strip, processor)
    before = processor_at(session, strip, place)
    return Change(
        _with_processor(session, strip, place, processor),
        f"{strip}: {title_of(type(before))} -> {words.of_processor(processor)}",
    )


def toggle_bypass(session: Session, strip: str, place: int) -> Change:
    """Bypasses a processor, or takes it back in."""
    before = processor_at(session, strip, place)
    after = msgspec.structs.replace(before, bypass=not before.bypass)
    made = _with_processor(session, strip, place, after)
    return Change(made, f"{strip}: {_bypass_words(title_of(type(after)), after.bypass)}")


def bypass_all(session: Session, strip: str) -> Change:
    """Bypasses the whole chain, or takes all of it back in when nothing in it is on. Raises UnbakeError when empty."""
    chain = chain_of(session, strip)
    if not chain:
        raise UnbakeError("there is nothing to bypass", where=strip)
    bypass = not all(processor.bypass for processor in chain)
    made = _with_chain(session, strip, tuple(msgspec.structs.replace(one, bypass=bypass) for one in chain))
    return Change(made, f"{strip}: {_bypass_words('whole chain', bypass)}")


def reset_strip(session: Session, strip: str) -> Change:
    """Takes everything back that was done to a strip, or empties the master stage."""
    if strip == MASTER:
        return Change(_with_chain(session, strip, ()), f"{strip}: reset")
    _strip(session, strip)
    return Change(_with_strip(session, strip, Strip()), f"{strip}: reset")


def cleanup_of(session: Session, strip: str | None = None) -> tuple[Step, ...]:
    """The steps over the source, or before the chain of a strip. Raises UnbakeError for a strip that is not made."""
    return session.cleanup if strip is None else _strip(session, strip).cleanup


def set_cleanup(
    session: Session,
    steps: tuple[Step, ...],
    strip: str | None = None,
    *,
    what: str | None = None,
    merge_key: str | None = None,
) -> Change:
    """Gives the source, or what the chain of a strip hears, this clean-up; none takes it out.

    `what` are its words where it is less than all of the steps. Raises UnbakeError for a strip that is not made.
    """
    where = "clean-up" if strip is None else f"{strip} clean-up"
    if strip is None:
        made = session.with_cleanup(steps)
    else:
        before = _strip(session, strip)
        steps = unpinned(steps, before.cleanup)
        made = _with_strip(session, strip, msgspec.structs.replace(before, cleanup=steps))
    said = what or "; ".join(words.of_processor(step) for step in steps) or "taken out"
    return Change(_checked(made), f"{where}: {said}", merge_key=merge_key)


def set_step(session: Session, place: int, name: str, value: Any, strip: str | None = None) -> Change:
    """Sets one field of a step of the clean-up. Raises UnbakeError for a value that can't be, or no such step."""
    steps = cleanup_of(session, strip)
    if not 0 <= place < len(steps):
        raise UnbakeError(f"has no step {place + 1}; there are {len(steps)}", where="clean-up")
    before = steps[place]
    fields = {**msgspec.structs.asdict(before), name: _without_sign_of_zero(value)}
    where: Steps = ("cleanup", place) if strip is None else ("strips", strip, "cleanup", place)
    made = _ORIGIN.convert(fields, type(before), where)
    title = title_of(type(made))
    said = (
        _bypass_words(title, made.bypass) if name == "bypass" else f"{title} {words.of_value(made, name, titled=True)}"
    )
    key = None if name == "bypass" else f"{strip or ''}/cleanup/{place} {name}"
    return set_cleanup(session, (*steps[:place], made, *steps[place + 1 :]), strip, what=said, merge_key=key)


def set_warp(session: Session, time_map: TimeMap, what: str | None = None) -> Change:
    """Gives the session a time map, or takes it out with one that has no anchors.

    Raises UnbakeError for the map of a longer file.
    """
    made = _checked(msgspec.structs.replace(session, warp=time_map))
    return Change(made, what or (words.of_warp(made) if time_map.anchors else "time map taken out"), merge_key=None)


def bring(
    session: Session, name: str, brought: Brought, *, mode: Mode = "cancel", treated: tuple[str, Brought] | None = None
) -> Change:
    """Adds a stem that was brought, with its strip, and the treated copy that the strip hears in its place.

    Raises UnbakeError for a name that is taken or can't be one.
    """
    come = {name: brought} if treated is None else {name: brought, treated[0]: treated[1]}
    for each in come:
        files.check_name(session, each, _ORIGIN)
        if each in session.brought:
            remedy = "choose another name, or take that one out first: unbake session drop"
            raise UnbakeError("a stem of this name was brought already", where=each, remedy=remedy)
    made = msgspec.structs.replace(session, brought={**session.brought, **come})
    strip = Strip(mode=mode, treated="" if treated is None else treated[0])
    return Change(_with_strip(made, name, strip), f"brought {' and '.join(come)}: {mode}")


def drop(session: Session, name: str) -> Change:
    """Takes a brought stem out again, with its strip, and with the treated copy that only this strip hears.

    A strip that heard it as its treated copy hears its own stem again. Raises UnbakeError for a stem that was not
    brought, and where another strip listens to it.
    """
    if name not in session.brought:
        have = f"there are {', '.join(session.brought)}" if session.brought else "none was"
        raise UnbakeError("no stem of this name was brought", where=name, remedy=have)
    copy = session.strips[name].treated if name in session.strips else ""
    left = {other: strip for other, strip in session.strips.items() if other != name}
    gone = {name, copy} - {""} if copy not in left and all(each.treated != copy for each in left.values()) else {name}
    made = msgspec.structs.replace(
        session, brought={other: each for other, each in session.brought.items() if other not in gone}, strips=left
    )
    for other, strip in left.items():
        if strip.treated == name:
            made = _with_strip(made, other, msgspec.structs.replace(strip, treated=""))
    return Change(_checked(made), f"took out {' and '.join(sorted(gone))}")


def lay(session: Session, preset: Preset) -> Change:
    """Lays a preset over the session. Raises UnbakeError when it lacks a stem, or its source is not fit for it."""
    made = preset.over(session)
    kept = {name: strip for name, strip in made.strips.items() if strip != Strip() or name not in preset.strips}
    return Change(_checked(msgspec.structs.replace(made, strips=kept)), f"preset {preset.name}")


def processor_at(session: Session, strip: str, place: int) -> Processor:
    """One processor of a chain, places counting from 0. Raises UnbakeError when there is none."""
    chain = chain_of(session, strip)
    if not 0 <= place < len(chain):
        raise _no_place(chain, strip, place)
    return chain[place]


def _no_place(chain: tuple[Processor, ...], strip: str, place: int) -> UnbakeError:
    return UnbakeError(f"has no place {place + 1}; its chain is {len(chain)} long", where=strip)


def _check_kind(strip: str, processor: Processor) -> None:
    kinds, others = (master_kinds(), strip_kinds()) if strip == MASTER else (strip_kinds(), master_kinds())
    if type(processor) not in kinds:
        elsewhere = "on a strip" if strip == MASTER else "on the master"
        where_it_goes = f", only {elsewhere}" if type(processor) in others else ""
        raise UnbakeError(f"the {title_of(type(processor))} does not go here{where_it_goes}", where=strip)


def _bypass_words(title: str, bypass: bool) -> str:
    return f"{title} bypassed" if bypass else f"{title} back in"


def _without_sign_of_zero(value: Any) -> Any:
    """-0.0 equals 0.0 but is another text in the file."""
    return 0.0 if isinstance(value, float) and value == 0.0 else value


def _strip(session: Session, strip: str) -> Strip:
    if session.separation.stems and strip not in strip_names(session):
        have = f"{files.words_of_strips(session)}; and there is {MASTER}"
        raise UnbakeError("no such strip", where=strip, remedy=have)
    return session.strips.get(strip, Strip())


def _with_processor(session: Session, strip: str, place: int, processor: Processor) -> Session:
    chain = chain_of(session, strip)
    return _with_chain(session, strip, (*chain[:place], processor, *chain[place + 1 :]))


def _with_chain(session: Session, strip: str, chain: tuple[Any, ...]) -> Session:
    if strip == MASTER:
        return _checked(msgspec.structs.replace(session, master=chain))
    return _with_strip(session, strip, msgspec.structs.replace(_strip(session, strip), chain=chain))


def _with_strip(session: Session, name: str, strip: Strip) -> Session:
    strips = {**session.strips, name: strip}
    if name not in session.strips:
        strips = dict(sorted(strips.items(), key=_place_among(session)))
    if strip == Strip():
        del strips[name]
    return _checked(msgspec.structs.replace(session, strips=strips))


def _place_among(session: Session) -> Callable[[tuple[str, Strip]], int]:
    order = strip_names(session)
    return lambda item: order.index(item[0]) if item[0] in order else len(order)


def _checked(session: Session) -> Session:
    files.check_strips(session, _ORIGIN)
    return session
