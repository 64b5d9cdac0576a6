"""The keys in the last lines of a full-screen panel: the most needed first, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from tui import actions
from tui.widgets.line import Piece

QUIET = "$foreground 70%"
Hint = tuple[str, ...]
"""An action and its own title, an action and another one; or two actions and what they are for."""


def hint_lines(
    hints: Sequence[Hint], last: Sequence[Hint], keymap: actions.Keymap, width: int, lines: int
) -> list[Piece]:
    """So many lines of keys; those of `last` are always there, at the end."""
    ending = [_said(each, keymap) for each in last]
    kept: list[list[tuple[str, str]]] = [[] for _ in range(lines)]
    rooms = [width] * lines
    rooms[-1] -= sum(len(key) + len(title) + 3 for key, title in ending)
    for key, title in (_said(each, keymap) for each in hints):
        for number, room in enumerate(rooms):
            cells = len(key) + len(title) + 3
            if key and cells <= room:
                kept[number].append((key, title))
                rooms[number] -= cells
                break
    kept[-1] += ending
    pieces: list[Piece] = []
    for place, line in enumerate(kept):
        if place:
            pieces.append(("\n", ""))
        for key, title in line:
            pieces += [(f" {key}", "$accent bold"), (f" {title} ", QUIET)]
    return pieces


def _said(parts: Hint, keymap: actions.Keymap) -> tuple[str, str]:
    if len(parts) == 3:
        return actions.brief_pair(parts[0], parts[1], keymap), parts[2]
    title = parts[1] if len(parts) == 2 else actions.by_id(parts[0]).title
    return actions.brief(parts[0], keymap), title
