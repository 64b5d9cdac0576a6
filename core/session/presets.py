"""Presets: partial sessions that are laid over the current one.

A preset is a TOML file of the session's own words: `name`, `about`, optional `[needs]`, `[[cleanup]]`, `[strips.X]`,
`[[strips.X.chain]]` and `[[master]]`. What it names it sets; what it does not name stays. A chain or a master stage is
set as a whole, and so is a clean-up, so that laying a preset over a session twice is the same as once.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from core import atomic, places
from core.errors import UnbakeError, os_error
from core.session import files, fits, toml
from core.session.cleaning import Step
from core.session.document import (
    RESIDUAL,
    Balance,
    Budget,
    EqPhase,
    MasterProcessor,
    Mode,
    Polarity,
    Session,
    Share,
    Strip,
    StripProcessor,
)
from core.session.fits import Fitted
from core.session.processors import Checked, FaderDb
from core.session.toml import Steps

_NAME = re.compile(r"\w(?:[\w .+&()-]*[\w)])?")
"""What names a preset and its file: begins and ends with a letter or figure, and no path in between."""


class StripPatch(Checked, frozen=True):
    """The fields of a strip that a preset sets."""

    gain_db: FaderDb | UnsetType = UNSET
    pan: Balance | UnsetType = UNSET
    polarity: Polarity | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    blend: Share | UnsetType = UNSET
    eq_phase: EqPhase | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    cleanup: tuple[Step, ...] | UnsetType = UNSET
    chain: tuple[StripProcessor, ...] | UnsetType = UNSET


def given(patch: StripPatch) -> dict[str, Any]:
    """What a patch sets, by field name."""
    return {key: value for key, value in msgspec.structs.asdict(patch).items() if value is not UNSET}


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a preset can't do without: stems that the separation must make; and the findings that call for it."""

    stems: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


class Preset(msgspec.Struct, frozen=True):
    """A repair that can be laid over any session whose model makes the stems it needs."""

    name: str
    about: str
    origin: str
    """"built in", or the path of the user's file."""
    needs: Needs = Needs()
    cleanup: tuple[Step, ...] | UnsetType = UNSET
    strips: dict[str, StripPatch] = {}
    master: tuple[MasterProcessor, ...] | UnsetType = UNSET
    fits: tuple[Fitted, ...] = ()
    """Values that are measured before it can be laid over anything; `strips` hold placeholders there."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Every stem the preset names: needed, treated, or listened to."""
        heard = (side for patch in self.strips.values() for side in Strip(**given(patch)).sidechains)
        return tuple(dict.fromkeys((*self.needs.stems, *self.strips, *heard)))

    def over(self, session: Session) -> Session:
        """The session with this preset laid over it.

        Raises UnbakeError when the session lacks a stem it names, and while values are to be measured.
        """
        self.check_stems(session)
        if self.fits:
            raise UnbakeError(f"preset {self.name} has values that are measured on the stems first")
        strips = dict(session.strips)
        for name, patch in self.strips.items():
            strips[name] = msgspec.structs.replace(strips.get(name, Strip()), **given(patch))
        master = session.master if self.master is UNSET else self.master
        laid = msgspec.structs.replace(session, strips=strips, master=master)
        return laid if self.cleanup is UNSET else laid.with_cleanup(self.cleanup)

    def check_stems(self, session: Session) -> None:
        """Raises UnbakeError when the session lacks a stem that is named here."""
        for stem in self.stems:
            if stem not in session.strip_names:
                made = ", ".join(session.separation.stems)
                came = f" and {', '.join(session.brought)} was brought" if session.brought else ""
                raise UnbakeError(
                    f"preset {self.name} needs the stem {stem}, but {session.separation.model} makes {made}{came}",
                    remedy="choose another model with --model; unbake models list shows their stems",
                )

    def fitted(self, values: Mapping[Steps, Any]) -> Preset:
        """This preset with these values, and nothing left to be measured. Raises UnbakeError for one out of range."""
        tables = fits.put_in(msgspec.to_builtins(self.strips), dict(values))
        origin = toml.Origin(f"preset {self.name}")
        strips = {name: origin.convert(value, StripPatch, ("strips", name)) for name, value in tables.items()}
        return msgspec.structs.replace(self, strips=strips, fits=())


def parse(text: str, where: str, origin_name: str) -> Preset:
    """A preset from its TOML. Raises UnbakeError naming file, line and key."""
    tables = toml.parse(text, where)
    origin = toml.Origin(where, text)
    known = ("name", "about", "needs", "cleanup", "strips", "master")
    for key in tables:
        if key not in known:
            origin.fail("no such key", (key,), f"known keys: {', '.join(known)}")
    for key in ("name", "about"):
        if key not in tables:
            origin.fail("is missing", (key,))
    strips: Any = tables.get("strips", {})
    if not isinstance(strips, dict):
        origin.fail("must be a table", ("strips",))
    strips, measured = fits.take_out(strips, origin)
    return Preset(
        name=origin.convert(tables["name"], str, ("name",)),
        about=origin.convert(tables["about"], str, ("about",)),
        origin=origin_name,
        needs=origin.convert(tables.get("needs", {}), Needs, ("needs",)),
        cleanup=files.convert_cleanup(tables["cleanup"], origin) if "cleanup" in tables else UNSET,
        strips={name: origin.convert(value, StripPatch, ("strips", name)) for name, value in strips.items()},
        master=files.convert_master(tables["master"], origin) if "master" in tables else UNSET,
        fits=measured,
    )


def read(path: Path) -> Preset:
    """A preset from a file of the user's."""
    return parse(toml.read_text(path), str(path), str(path))


def built_in() -> list[Preset]:
    """The presets that ship with unbake, by name."""
    found = [entry for entry in resources.files("presets").iterdir() if entry.name.endswith(".toml")]
    loaded = [parse(entry.read_text(encoding="utf-8"), f"presets/{entry.name}", "built in") for entry in found]
    return sorted(loaded, key=lambda preset: preset.name)


def user_folder() -> Path:
    """Where the user's own presets lie."""
    return places.home() / "presets"


def user_files() -> list[Path]:
    """The user's preset files, in name order, readable or not."""
    folder = user_folder()
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []


def all_presets() -> tuple[list[Preset], list[tuple[str, str]]]:
    """The presets that ship with unbake, then the user's own; and the user's broken files, each with its problem."""
    found, broken = built_in(), []
    for path in user_files():
        try:
            found.append(read(path))
        except UnbakeError as error:
            broken.append((str(path), error.line()))
    return found, broken


def save_own(
    name: str, about: str, session: Session, strips: tuple[str, ...], master: bool, *, force: bool = False
) -> Path:
    """Keeps strips of a session as a preset of the user's own, and its master stage if asked; gives the file.

    A strip is kept whole, so that laying the preset over any session gives that very strip. Raises UnbakeError for a
    name that can't be a file's, for one that is taken (without `force`), and when there is nothing to keep.
    """
    if not _NAME.fullmatch(name) or len(os.fsencode(name)) > 100 or name.lower().endswith(".toml"):
        raise UnbakeError(
            "can't be the name of a preset", where=name or None, remedy="use letters, figures, spaces, - and _"
        )
    untouched = [strip for strip in strips if strip not in session.strips]
    if untouched:
        raise UnbakeError(f"nothing is done to {', '.join(untouched)}", remedy="keep strips that are changed")
    for strip in strips:
        if session.strips[strip].treated:
            what = f"{strip} is heard as its treated copy, which no other session has"
            raise UnbakeError(what, remedy="choose other strips")
    if not strips and not (master and session.master):
        raise UnbakeError("there is nothing to keep in a preset", remedy="choose a strip, or the master stage")
    tables: dict[str, Any] = {"name": name, "about": about}
    heard = (side for strip in strips for side in session.strips[strip].sidechains)
    if needed := [strip for strip in dict.fromkeys((*strips, *heard)) if strip != RESIDUAL]:
        tables["needs"] = {"stems": needed}
    tables["strips"] = {strip: msgspec.to_builtins(session.strips[strip]) for strip in strips}
    if master:
        tables["master"] = msgspec.to_builtins(session.master)
    path = user_folder() / f"{name}.toml"
    for other in user_files():
        if other != path and _name_of(other) == name:
            raise UnbakeError("another preset has this name already", where=other, remedy="choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, path.parent) from error
    atomic.write_text_atomically(path, toml.dump(tables), force=force)
    return path


def find(wanted: str) -> Preset:
    """A preset by name, the user's own before one that is built in, or by the path of its file.

    Raises UnbakeError with the nearest names when there is none.
    """
    if wanted.endswith(".toml") or "/" in wanted:
        return read(Path(wanted).expanduser())
    for path in user_files():
        if path.stem == wanted or (path.stem != wanted and _name_of(path) == wanted):
            return read(path)
    ours = {preset.name: preset for preset in built_in()}
    if wanted in ours:
        return ours[wanted]
    names = [*ours, *(path.stem for path in user_files())]
    near = difflib.get_close_matches(wanted, names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    raise UnbakeError("no such preset", where=wanted, remedy=hint)


def _name_of(path: Path) -> str | None:
    """The name a user's file gives itself; None where the file is broken, which only matters to who asks for it."""
    try:
        return read(path).name
    except UnbakeError:
        return None


__all__ = [
    "Needs",
    "Preset",
    "StripPatch",
    "built_in",
    "find",
    "parse",
    "read",
    "save_own",
    "user_files",
    "user_folder",
]
