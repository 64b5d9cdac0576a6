"""One line of text in pieces, each in a style: the header, the titles of panes, the jobs line and the footer."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

Piece = tuple[str, str]
"""A text and its style, such as ("identical", "$success")."""


class Line(Widget):
    """One line, redrawn only when its pieces change."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._pieces: tuple[Piece, ...] = ()

    @property
    def text(self) -> str:
        """What it says."""
        return "".join(text for text, _ in self._pieces)

    def show(self, pieces: Sequence[Piece]) -> None:
        """Says something else."""
        if tuple(pieces) != self._pieces:
            self._pieces = tuple(pieces)
            self.refresh()

    def render(self) -> RenderResult:
        """The pieces in a row; what does not fit is cut off."""
        return Content.assemble(*self._pieces)


def spread(left: Sequence[Piece], right: Sequence[Piece], width: int) -> list[Piece]:
    """Pieces at the left and at the right end of a line, and what is between them."""
    used = sum(cell_len(text) for text, _ in (*left, *right))
    return [*left, (" " * max(1, width - used), ""), *right]
