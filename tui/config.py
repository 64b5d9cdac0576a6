"""What `config.toml` in `UNBAKE_HOME` says of the screen. A broken one is a notice, never a closed app.

theme = "light"            # dark, light, contrast
low_bandwidth = true       # fewer repaints over a slow line
glyphs = "blocks"          # braille, blocks, ascii

[keys]
"edit.undo" = "u"
"strip.next" = ["j", "down"]
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from textual.keys import Keys, _character_to_key

from core import settings
from core.errors import UnbakeError
from core.settings import path
from tui import actions

THEMES = ("dark", "light", "contrast")
GLYPHS = ("braille", "blocks", "ascii")
KEYS = ("theme", "low_bandwidth", "glyphs", "keys", "models")
MODIFIERS = frozenset(("ctrl", "shift", "alt"))
RESERVED = ("ctrl+c", "ctrl+q")
"""They say how to leave, and leave, whatever screen there is."""
KEY_NAMES = frozenset(
    [key.value for key in Keys if key.value.isalnum()]
    + [key for key in map(_character_to_key, map(chr, range(0x21, 0x7F))) if len(key) > 1]
)
"""Keys that are written as a word."""
Refuse = Callable[[str, str], None]
"""Notes what of a key's value can't be used."""


@dataclass(frozen=True)
class Config:
    """What the user chose. `problems` are lines that say what of the file could not be used."""

    theme: str = "dark"
    low_bandwidth: bool = False
    glyphs: str | None = None
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def load() -> Config:
    """The settings; what is wrong with them is among their problems, and the rest holds."""
    try:
        return parse(settings.tables())
    except UnbakeError as error:
        return Config(problems=(error.line(),))


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
    given = tables.get("keys", {})
    if not isinstance(given, dict):
        refuse("keys", "must be a table of action = key")
        given = {}
    keys = _without_clashes(_keys(given, refuse), refuse)
    try:
        settings.mirrors(tables)
    except UnbakeError as error:
        problems.append(error.line())
    return Config(theme, low_bandwidth, glyphs, keys, tuple(problems))


def _keys(given: dict[str, Any], refuse: Refuse) -> dict[str, tuple[str, ...]]:
    """The keys that can be, by the ids of actions that there are. `edit.undo` may be written without quotes."""
    found: dict[str, tuple[str, ...]] = {}
    known = {action.id for action in actions.ACTIONS}
    for action_id, wanted in _flat(given):
        names = [wanted] if isinstance(wanted, str) else wanted
        if action_id not in known:
            refuse(f"keys.{action_id}", "no such action (unbake's help lists them with ?)")
        elif not (isinstance(names, list) and names and all(isinstance(name, str) and name for name in names)):
            refuse(f"keys.{action_id}", 'must be a key such as "u", or a list of keys')
        else:
            keys = [_key(name) for name in names]
            for name, key in zip(names, keys, strict=True):
                if key is None:
                    refuse(f"keys.{action_id}", f"no such key: {name}{_perhaps(name)}")
                elif key in RESERVED:
                    refuse(f"keys.{action_id}", f"{key} can't be given to anything")
            if not {None, *RESERVED}.intersection(keys):
                found[action_id] = tuple(dict.fromkeys(key for key in keys if key is not None))
    return found


def _flat(given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """`edit.undo = "u"` is a table in a table to TOML."""
    for name, value in given.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{rest}", each) for rest, each in _flat(value))
        else:
            yield name, value


def _without_clashes(keys: dict[str, tuple[str, ...]], refuse: Refuse) -> dict[str, tuple[str, ...]]:
    """Leaves out what would take a key from another action, so that none is without one: both keep their defaults."""
    kept = dict(keys)
    while clashes := actions.clashing(kept):
        for key, *both in clashes:
            for action in both:
                if action.id in kept:
                    del kept[action.id]
                    own = ", ".join(actions.shown(each) for each in action.keys)
                    other = next(each for each in both if each is not action)
                    refuse(f"keys.{action.id}", f"{actions.shown(key)} is the key of {other.id} too; it stays {own}")
    return kept


def _key(name: str) -> str | None:
    """A key as Textual names it; None for one that no keyboard sends. People write `<`, Textual `less_than_sign`."""
    if len(name) == 1:
        shown = name.isprintable() and name != " "
        return (_character_to_key(name) if name.isascii() else name) if shown else None
    *modifiers, key = name.lower().split("+")
    key = {sign.lower(): textual for textual, sign in actions.DISPLAY.items()}.get(key, key)
    if not set(modifiers) <= MODIFIERS or not (key in KEY_NAMES or (modifiers and len(key) == 1)):
        return None
    if modifiers == ["shift"] and len(key) == 1:
        return key.upper()
    return "+".join((*modifiers, key))


def _perhaps(name: str) -> str:
    """What was meant, where that can be guessed."""
    close = difflib.get_close_matches(name.lower(), KEY_NAMES, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _choice(tables: dict[str, Any], key: str, choices: tuple[str, ...], refuse: Refuse) -> str | None:
    value = tables.get(key)
    if value is None or value in choices:
        return value
    refuse(key, f"{value!r} is none of {', '.join(choices)}")
    return None
