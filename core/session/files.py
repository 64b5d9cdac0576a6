"""Sessions on disk: beside their source as `NAME.unbake.toml`, whole or not at all."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from core import places
from core.errors import UnbakeError
from core.session import toml
from core.session.cleaning import Step
from core.session.document import SCHEMA, TAKEN, Brought, MasterProcessor, Separation, Session, Source, Strip
from core.session.processors import AT_A_FREQUENCY, HIGHEST_SHARE, DynamicBell, Processor, needs_pair
from core.session.timemap import TimeMap
from core.session.toml import Origin, Steps

SUFFIX = ".unbake.toml"
BROUGHT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""What a stem that was brought can be called."""


def default_path(source: Path) -> Path:
    """Where the session of a source lies: beside it, or under `UNBAKE_HOME` when that folder can't be written.

    An existing session is found in either place. Under `UNBAKE_HOME` a hash of the source's full path keeps two
    sources of one name apart.
    """
    source = source.absolute()
    beside = source.with_name(source.stem + SUFFIX)
    if beside.exists() or os.access(source.parent, os.W_OK):
        return beside
    mark = hashlib.sha256(os.fsencode(source)).hexdigest()[:8]
    return places.home() / "sessions" / f"{source.stem}-{mark}{SUFFIX}"


def load(path: Path) -> Session:
    """Reads and validates a session. Raises UnbakeError that names file, line and key.

    Paths of source and brought stems come back absolute: in the file they may be relative to the session's folder.
    """
    text = toml.read_text(path)
    session = from_tables(toml.parse(text, str(path)), Origin(str(path), text))
    folder = path.absolute().parent
    source = msgspec.structs.replace(session.source, path=os.path.normpath(folder / session.source.path))
    brought = {
        name: msgspec.structs.replace(each, path=os.path.normpath(folder / each.path))
        for name, each in session.brought.items()
    }
    return msgspec.structs.replace(session, source=source, brought=brought)


def dumps(session: Session, folder: Path | None = None) -> str:
    """The session as TOML; files inside `folder` are named relative to it, so that all can be moved together."""
    tables = to_tables(session)
    for named in (tables["source"], *tables.get("brought", {}).values()):
        path = Path(named["path"])
        if folder is not None and path.is_absolute() and path.is_relative_to(folder.absolute()):
            named["path"] = str(path.relative_to(folder.absolute()))
    return toml.dump(tables)


def to_tables(session: Session) -> dict[str, Any]:
    """The session as plain tables, `schema` first."""
    tables: dict[str, Any] = msgspec.to_builtins(
        session, builtin_types=(datetime.datetime, datetime.date, datetime.time)
    )
    return {"schema": session.schema, **{key: value for key, value in tables.items() if key != "schema"}}


def from_tables(tables: dict[str, Any], origin: Origin, *, check: bool = True) -> Session:
    """Validates plain tables as a session; complaints name where `origin` says they came from.

    `check=False` leaves `check_strips` to the caller.
    """
    schema = tables.get("schema", SCHEMA)
    if isinstance(schema, int) and schema > SCHEMA:
        origin.fail(f"made by a newer unbake (schema {schema}, this one reads {SCHEMA})", ("schema",))
    known = Session.__struct_fields__
    for key in tables:
        if key not in known:
            origin.fail("no such key", (key,), f"known keys: {', '.join(known)}")
    if "source" not in tables:
        origin.fail("is missing", ("source",))
    strips, brought = tables.get("strips", {}), tables.get("brought", {})
    for key, value in (("strips", strips), ("brought", brought)):
        if not isinstance(value, dict):
            origin.fail("must be a table", (key,))
    session = Session(
        schema=origin.convert(schema, int, ("schema",)),
        source=origin.convert(tables["source"], Source, ("source",)),
        cleanup=convert_cleanup(tables.get("cleanup", []), origin),
        separation=origin.convert(tables.get("separation", {}), Separation, ("separation",)),
        brought={name: origin.convert(value, Brought, ("brought", name)) for name, value in brought.items()},
        strips={name: origin.convert(value, Strip, ("strips", name)) for name, value in strips.items()},
        warp=origin.convert(tables.get("warp", {}), TimeMap, ("warp",)),
        master=convert_master(tables.get("master", []), origin),
        rights=origin.convert(tables.get("rights", {}), dict[str, Any], ("rights",)),
    )
    if check:
        check_strips(session, origin)
    return session


def convert_master(value: Any, origin: Origin) -> tuple[MasterProcessor, ...]:
    """The master stage from plain tables."""
    return origin.convert(value, tuple[MasterProcessor, ...], ("master",))


def convert_cleanup(value: Any, origin: Origin) -> tuple[Step, ...]:
    """The steps of the clean-up from plain tables."""
    return origin.convert(value, tuple[Step, ...], ("cleanup",))


def check_strips(session: Session, origin: Origin) -> None:
    """Refuses what the session's own source and separation can't do.

    A time map of a longer file, strips and sensitivities of stems that are not made, brought stems whose names are
    taken, treated copies that were not brought, an equaliser above 0.49 of the sample rate, and in a mono file what
    needs a left-right pair.
    """
    stems = session.separation.stems
    for name in session.separation.sensitivity:
        if stems and name not in stems:
            steps = ("separation", "sensitivity", name)
            origin.fail("no such stem", steps, f"{session.separation.model} makes {', '.join(stems)}")
    for name in session.brought:
        check_name(session, name, origin)
    for name, strip in session.strips.items():
        if stems and name not in session.strip_names:
            origin.fail("no such stem", ("strips", name), words_of_strips(session))
        if session.source.channels == 1 and strip.pan != 0.0:
            origin.fail("a balance needs a left-right pair, and the source is mono", ("strips", name, "pan"))
        _check_treated(session, name, strip, origin)
        _check_processors(session, strip.chain, ("strips", name, "chain"), origin)
        _check_sidechains(session, name, strip.chain, origin)
    try:
        session.warp.check_fits(session.source.frames)
    except UnbakeError as error:
        origin.fail(error.what, ("warp", "anchors"), error.remedy or "")
    _check_processors(session, session.master, ("master",), origin)
    for place, processor in enumerate(session.master):
        if isinstance(processor, DynamicBell) and processor.sidechain:
            origin.fail("the master stage has no side-chain", ("master", place, "sidechain"))


def words_of_strips(session: Session) -> str:
    """Which strips a session has: `starter makes vocals, drums, bass, other, residual; brought: guitar`."""
    made = [name for name in session.strip_names if name not in session.brought]
    said = f"{session.separation.model} makes {', '.join(made)}"
    return f"{said}; brought: {', '.join(session.brought)}" if session.brought else said


def check_name(session: Session, name: str, origin: Origin) -> None:
    """Refuses what a brought stem can't be called: no plain word, or the name of something else."""
    steps = ("brought", name)
    if not BROUGHT_NAME.fullmatch(name):
        origin.fail(
            f'"{name}" can\'t be the name of a stem', steps, "small letters, digits, - and _ only, such as guitar"
        )
    if name in TAKEN or name in session.separation.stems:
        origin.fail(f"{name} is the name of another strip or stream", steps, "choose another name")


def _check_treated(session: Session, name: str, strip: Strip, origin: Origin) -> None:
    steps = ("strips", name, "treated")
    if strip.treated == name:
        origin.fail("a stem can't be its own treated copy", steps, 'leave it out, or ""')
    if strip.treated and strip.treated not in session.brought:
        others = [each for each in session.brought if each != name]
        remedy = f"there are {', '.join(others)}" if others else "unbake session bring SESSION FILE brings one"
        origin.fail(f"no stem {strip.treated} was brought", steps, remedy)


def _check_processors(session: Session, chain: Sequence[Processor], steps: Steps, origin: Origin) -> None:
    highest_hz = HIGHEST_SHARE * session.source.sample_rate
    for place, processor in enumerate(chain):
        if isinstance(processor, AT_A_FREQUENCY) and processor.active and processor.freq_hz > highest_hz:
            what = f"is {processor.freq_hz:g}, above {highest_hz:g}, the highest for {session.source.sample_rate} Hz"
            origin.fail(what, (*steps, place, "freq_hz"))
        paired = needs_pair(processor) if processor.active and session.source.channels == 1 else None
        if paired is not None:
            origin.fail(f"{paired} needs a left-right pair, and the source is mono", (*steps, place))


def _check_sidechains(session: Session, name: str, chain: Sequence[Processor], origin: Origin) -> None:
    others = [stem for stem in session.strip_names if stem != name]
    for place, processor in enumerate(chain):
        heard = processor.sidechain if isinstance(processor, DynamicBell) else ""
        steps = ("strips", name, "chain", place, "sidechain")
        if heard == name:
            origin.fail("a stem can't be its own side-chain", steps, 'leave it out, or "", to hear the stem itself')
        if heard and session.separation.stems and heard not in others:
            origin.fail(f"there is no stem {heard}", steps, f"there are {', '.join(others)}")


def set_values(session: Session, assignments: list[str], *, check: bool = True) -> Session:
    """The session with `PATH=VALUE` assignments made in order, such as `strips.bass.gain_db=-2`.

    A value is TOML; a bare word is text. `chain[N]` with N one past the end appends. `PATH=` alone takes the key out,
    so that it falls back to its default. `check=False` leaves `check_strips` to the caller. Raises UnbakeError naming
    the assignment.
    """
    tables = to_tables(session)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UnbakeError("not an assignment; write PATH=VALUE", where=assignment)
        steps = toml.steps_of(path.strip())
        if steps[0] == "source" and steps != ("source", "path"):
            raise UnbakeError("what the source is was measured and can't be set", where=assignment)
        if steps[0] == "brought":
            _check_settable(steps, assignment)
        if text.strip():
            _assign(tables, steps, typed_value(text.strip(), assignment), assignment)
        else:
            _remove(tables, steps, assignment)
    return from_tables(tables, Origin(" ".join(assignments)), check=check)


def _check_settable(steps: Steps, assignment: str) -> None:
    """Refuses what of a brought stem is no placement: which file it is was hashed, and comes and goes as a whole."""
    if len(steps) < 3:
        remedy = "unbake session bring and unbake session drop do that"
        raise UnbakeError("a stem is brought and taken out as a whole", where=assignment, remedy=remedy)
    if steps[2] in ("sha256", "hash"):
        raise UnbakeError("what the file is was measured and can't be set", where=assignment)


def typed_value(text: str, assignment: str) -> Any:
    """A value as TOML has it; a bare word is text. Raises UnbakeError naming the assignment."""
    try:
        return toml.parse(f"value = {text}", assignment)["value"]
    except UnbakeError:
        if text[0] in "[{\"'":
            raise
        return text


def _assign(tables: Any, steps: tuple[str | int, ...], value: Any, assignment: str) -> None:
    for step, following in itertools.pairwise(steps):
        fresh: Any = [] if isinstance(following, int) else {}
        if isinstance(tables, dict) and isinstance(step, str):
            if isinstance(tables.get(step), tuple):
                tables[step] = list(tables[step])
            tables = tables.setdefault(step, fresh)
        elif isinstance(tables, list) and isinstance(step, int) and step < len(tables):
            tables = tables[step]
        else:
            raise UnbakeError(f"there is nothing at {step} to set a value in", where=assignment)
    last = steps[-1]
    if isinstance(tables, dict) and isinstance(last, str):
        tables[last] = value
    elif isinstance(tables, list) and isinstance(last, int) and last <= len(tables):
        tables[last : last + 1] = [value]
    else:
        raise UnbakeError(f"there is no place {last} to set", where=assignment, remedy="places count from 0")


def _remove(tables: Any, steps: tuple[str | int, ...], assignment: str) -> None:
    for step in steps[:-1]:
        try:
            tables[step] = list(tables[step]) if isinstance(tables[step], tuple) else tables[step]
            tables = tables[step]
        except (KeyError, IndexError, TypeError):
            raise UnbakeError("there is nothing to take out", where=assignment) from None
    try:
        del tables[steps[-1]]
    except (KeyError, IndexError, TypeError):
        raise UnbakeError("there is nothing to take out", where=assignment) from None
