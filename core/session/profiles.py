"""Delivery profiles: what a place where masters go asks of loudness, peak, rate and word length.

A profile is a flat TOML file: `name`, `about`, and any of `target_lufs`, `ceiling_dbtp`, `most_limiting_db`,
`sample_rate`, `subtype`, `dither`. It is chosen when a session is rendered and is no part of the document.
"""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core import places
from core.errors import UnbakeError
from core.session import toml
from core.session.processors import Checked, DitherShape


class Profile(Checked, frozen=True, kw_only=True):
    """One profile; what is None is left as the source and the session have it.

    `most_limiting_db` is how much the limiter may take off the highest peak for the sake of target and ceiling; what
    is more is left undone, or lowered as a whole. `dither` is what is due where the session names no dither of its own.
    """

    name: Annotated[str, Meta(min_length=1)]
    about: str
    target_lufs: Annotated[float, Meta(ge=-60.0, le=0.0, description="integrated loudness, BS.1770-4")] | None = None
    ceiling_dbtp: Annotated[float, Meta(ge=-24.0, le=0.0, description="highest true peak")] | None = None
    most_limiting_db: Annotated[float, Meta(ge=0.0, le=24.0, description="the most that limiting may take off")] = 6.0
    sample_rate: Annotated[int, Meta(ge=8000, le=384_000, description="Hz")] | None = None
    subtype: Literal["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"] | None = None
    dither: DitherShape | None = None
    origin: str = "built in"

    def words(self) -> list[str]:
        """What it asks for, a line each."""
        limiting = f"the limiter takes {self.most_limiting_db:g} dB off the highest peak at most"
        if self.most_limiting_db == 0.0:
            limiting = "by lowering the whole, never by limiting"
        asked = [
            None if self.target_lufs is None else f"loudness {self.target_lufs:g} LUFS",
            None if self.ceiling_dbtp is None else f"true peak at most {self.ceiling_dbtp:g} dBTP; {limiting}",
            None if self.sample_rate is None else f"sample rate {self.sample_rate} Hz",
            None if self.subtype is None else f"sample format {self.subtype}",
            None if self.dither is None else f"dither {self.dither}",
        ]
        return [line for line in asked if line is not None]


_KEYS = tuple(name for name in Profile.__struct_fields__ if name != "origin")


def parse(text: str, where: str, origin_name: str) -> Profile:
    """A profile from its TOML. Raises UnbakeError naming file, line and key."""
    tables = toml.parse(text, where)
    origin = toml.Origin(where, text)
    for key, value in tables.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            origin.fail(
                "no such key", (key,), f"did you mean {near[0]}?" if near else f"known keys: {', '.join(_KEYS)}"
            )
        if isinstance(value, bool):
            origin.fail("must not be true or false", (key,))
    return msgspec.structs.replace(origin.convert(tables, Profile), origin=origin_name)


def read(path: Path) -> Profile:
    """A profile from a file of the user's."""
    return parse(toml.read_text(path), str(path), str(path))


def built_in() -> list[Profile]:
    """The profiles that ship with unbake, by name."""
    folder = resources.files("presets").joinpath("delivery")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    loaded = [parse(entry.read_text(encoding="utf-8"), f"presets/delivery/{entry.name}", "built in") for entry in found]
    return sorted(loaded, key=lambda profile: profile.name)


def user_folder() -> Path:
    """Where the user's own profiles lie."""
    return places.home() / "presets" / "delivery"


def all_profiles() -> tuple[list[Profile], list[tuple[str, str]]]:
    """The profiles that ship with unbake, then the user's own; and the user's broken files, each with its problem."""
    found, broken = built_in(), []
    for path in _user_files():
        try:
            found.append(read(path))
        except UnbakeError as error:
            broken.append((str(path), error.line()))
    return found, broken


def find(wanted: str) -> Profile:
    """A profile by name, the user's own before one that is built in, or by the path of its file.

    Raises UnbakeError with the nearest names when there is none.
    """
    if wanted.endswith(".toml") or "/" in wanted:
        return read(Path(wanted).expanduser())
    found, broken = all_profiles()
    for profile in reversed(found):
        if profile.name == wanted:
            return profile
    for path, _ in broken:
        if Path(path).stem == wanted:
            return read(Path(path))  # which says what is wrong with it
    names = [profile.name for profile in found]
    near = difflib.get_close_matches(wanted, names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    raise UnbakeError("no such delivery profile", where=wanted or None, remedy=hint)


def brief(profile: Profile) -> dict[str, Any]:
    """A profile as plain values, for programs."""
    return msgspec.structs.asdict(profile)


def _user_files() -> list[Path]:
    folder = user_folder()
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []
