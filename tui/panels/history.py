"""The undo tree as a list: every edit ever made, the branches indented, and what each changed."""

from __future__ import annotations

from collections.abc import Sequence

from core.session import changes
from core.session.history import Edit, History
from tui.panels.panel import Panel
from tui.panels.preview import difference
from tui.widgets.rows import Cell, Row


class HistoryPanel(Panel[int]):
    """Gives the number of the edit to go to."""

    title_text = "history"
    choice_title = "go there"
    empty = "no edits yet"

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history
        self._depths = depths(history)

    def begin(self) -> None:
        """Starts at the present."""
        numbers = [each.key for each in self.list.rows]
        if self._history.current in numbers:
            self.list.choose(numbers.index(self._history.current))
            self._renew_detail()

    def rows(self) -> list[Row]:
        """Newest first."""
        return [
            Row(
                (
                    Cell("  "),
                    Cell("now" if edit.number == self._history.current else "", "accent", 3),
                    Cell(str(edit.number), "dim", -5),
                    Cell(f"  {edit.at[:19].replace('T', ' ')}  ", "dim"),
                    Cell("│ " * self._depths[edit.number], "dim"),
                    Cell(edit.what, "value" if edit.number == self._history.current else ""),
                ),
                key=edit.number,
            )
            for edit in reversed(self._history.edits)
        ]

    def detail(self, key: object) -> Sequence[Row]:
        """What the edit changed."""
        edit = self._edit(key)
        if edit is None:
            return ()
        if edit.parent is None:
            return [*self.unread(), Row((Cell("  the first one", "dim"),))]
        found = changes.differences(self._history.edits[edit.parent].session, edit.session)
        if not found:
            return [*self.unread(), Row((Cell("  nothing that is heard", "dim"),))]
        return [*self.unread(), *(difference(each) for each in found[:8])]

    def choose(self, key: object) -> None:
        """Gives the number."""
        self.dismiss(key if isinstance(key, int) else None)

    def _edit(self, key: object) -> Edit | None:
        return self._history.edits[key] if isinstance(key, int) else None


def depths(history: History) -> dict[int, int]:
    """How many branches off the first line each edit is: the newest child stays on its parent's line."""
    children: dict[int | None, list[int]] = {}
    for edit in history.edits:
        children.setdefault(edit.parent, []).append(edit.number)
    found: dict[int, int] = {}
    for edit in history.edits:
        base = 0 if edit.parent is None else found[edit.parent]
        siblings = children[edit.parent]
        beside = 0 if edit.parent is None else len(siblings) - 1 - siblings.index(edit.number)
        found[edit.number] = base + beside
    return found
