"""Which processor to insert: every kind there is, from the processors' own words."""

from __future__ import annotations

from collections.abc import Sequence

from core.session import parameters
from core.session.processors import Processor
from tui.panels.panel import Panel
from tui.widgets.rows import Cell, Row


class InsertPanel(Panel[type[Processor]]):
    """Gives the kind that was chosen."""

    title_text = "insert a processor"
    choice_title = "insert"

    def __init__(self, kinds: Sequence[type[Processor]]) -> None:
        super().__init__()
        self._kinds = tuple(kinds)

    def rows(self) -> list[Row]:
        """One line a kind."""
        return [
            Row((Cell("  "), Cell(parameters.title_of(kind), "name", 14), Cell(parameters.about_of(kind))), key=kind)
            for kind in self._kinds
        ]

    def choose(self, key: object) -> None:
        """Gives the kind."""
        self.dismiss(key if isinstance(key, type) else None)
