"""The user's own settings: `config.toml` in `UNBAKE_HOME`. A broken one is a notice, never a closed app.

theme = "light"            # dark, light, contrast
low_bandwidth = true       # fewer repaints over a slow line
glyphs = "blocks"          # braille, blocks, ascii

[keys]
"edit.undo" = "u"
"strip.next" = ["j", "down"]
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import UnbakeError, os_error
from core.places import home
from tui import actions

THEMES = ("dark", "light", "contrast")
GLYPHS = ("braille", "blocks", "ascii")
KEYS = ("theme", "low_bandwidth", "glyphs", "keys")


@dataclass(frozen=True)
class Config:
    """What the user chose. `problems` are lines that say what of the file could not be used."""

    theme: str = "dark"
    low_bandwidth: bool = False
    glyphs: str | None = None
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def path() -> Path:
    """Where the settings lie."""
    return home() / "config.toml"


def load() -> Config:
    """The settings; what is wrong with them is among their problems, and the rest holds."""
    try:
        text = path().read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except OSError as error:
        return Config(problems=(os_error(error, path()).line(),))
    except UnicodeDecodeError:
        return Config(problems=(UnbakeError("not a text file", where=path()).line(),))
    try:
        return parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        return Config(problems=(UnbakeError(f"not valid TOML: {str(error).lower()}", where=path()).line(),))


def parse(tables: dict[str, Any]) -> Config:
    """The settings of parsed TOML."""
    problems: list[str] = []

    def refuse(key: str, what: str) -> None:
        problems.append(f"{path()}: {key}: {what}")

    for key in tables:
        if key not in KEYS:
            refuse(key, f"no such setting (there are {', '.join(KEYS)})")
    theme = _choice(tables, "theme", THEMES, refuse) or "dark"
    glyphs = _choice(tables, "glyphs", GLYPHS, refuse)
    low_bandwidth = tables.get("low_bandwidth", False)
    if not isinstance(low_bandwidth, bool):
        refuse("low_bandwidth", "must be true or false")
        low_bandwidth = False
    keys: dict[str, tuple[str, ...]] = {}
    given = tables.get("keys", {})
    if not isinstance(given, dict):
        refuse("keys", "must be a table of action = key")
        given = {}
    known = {action.id for action in actions.ACTIONS}
    for action_id, wanted in given.items():
        if action_id not in known:
            refuse(f"keys.{action_id}", "no such action (unbake's help lists them with ?)")
        elif isinstance(wanted, str) and wanted:
            keys[action_id] = (_name(wanted),)
        elif isinstance(wanted, list) and wanted and all(isinstance(key, str) and key for key in wanted):
            keys[action_id] = tuple(_name(key) for key in wanted)
        else:
            refuse(f"keys.{action_id}", 'must be a key such as "u", or a list of keys')
    problems += [f"{path()}: keys: {clash}" for clash in actions.clashes(keys)]
    return Config(theme, low_bandwidth, glyphs, keys, tuple(problems))


def _choice(tables: dict[str, Any], key: str, choices: tuple[str, ...], refuse: Any) -> str | None:
    value = tables.get(key)
    if value is None or value in choices:
        return value
    refuse(key, f"{value!r} is none of {', '.join(choices)}")
    return None


def _name(key: str) -> str:
    """A key as Textual names it: people write `<`, Textual `less_than_sign`."""
    by_glyph = {glyph: name for name, glyph in actions.DISPLAY.items()}
    return by_glyph.get(key, key)
