"""What the drawing widgets share: a canvas of cells, and repainting only what differs from what is on the screen.

A widget paints the whole of its canvas when its data changes; the rows are compared with those shown, and only spans
of cells that differ are refreshed. Colours come from component classes, one for each layer of a drawing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.signs import GlyphSet
from tui.widgets.glyphs import BLANK, Cells

FREQUENCIES_HZ = (100, 1000, 10_000, 20, 20_000, 50, 500, 5000, 200, 2000)
"""The frequencies that are labelled where there is room, those that matter most first."""


def frequency_text(freq_hz: int) -> str:
    """A labelled frequency as engineers say it: 200, 2k."""
    return f"{freq_hz // 1000}k" if freq_hz >= 1000 else str(freq_hz)


def label_columns(columns: int) -> int:
    """How many columns at the left of a plot go to its labels: four, or none where it is narrow."""
    return 4 if columns >= 24 else 0


class Canvas:
    """Code points, layers and grounds, [rows, columns] each.

    Layer 0 is where nothing was drawn; ground 0 is the widget's own background.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.cells: Cells = np.full((rows, columns), BLANK, np.uint32)
        self.layers: NDArray[np.uint16] = np.zeros((rows, columns), np.uint16)
        self.grounds: NDArray[np.uint8] = np.zeros((rows, columns), np.uint8)

    @property
    def rows(self) -> int:
        """Height in cells."""
        return self.cells.shape[0]

    @property
    def columns(self) -> int:
        """Width in cells."""
        return self.cells.shape[1]

    def write(self, row: int, column: int, text: str, layer: int) -> None:
        """Puts a text of narrow characters; what lies outside is cut off."""
        if not 0 <= row < self.rows:
            return
        start, end = max(0, column), min(self.columns, column + len(text))
        if start < end:
            self.cells[row, start:end] = [ord(glyph) for glyph in text[start - column : end - column]]
            self.layers[row, start:end] = layer

    def lay(self, row: int, column: int, cells: Cells, layer: int) -> None:
        """Puts the cells that are not blank over what is there."""
        rows, columns = cells.shape
        drawn = cells != BLANK
        self.cells[row : row + rows, column : column + columns][drawn] = cells[drawn]
        self.layers[row : row + rows, column : column + columns][drawn] = layer

    def changed(self, shown: Canvas) -> list[Region]:
        """The span of cells in every row that differs from another canvas of this size."""
        differs = (self.cells != shown.cells) | (self.layers != shown.layers) | (self.grounds != shown.grounds)
        rows = np.flatnonzero(differs.any(axis=1))
        first = differs.argmax(axis=1)
        last = self.columns - differs[:, ::-1].argmax(axis=1)
        return [Region(int(first[row]), int(row), int(last[row] - first[row]), 1) for row in rows]

    def runs(self, row: int) -> list[tuple[str, int, int]]:
        """A row as texts with layer and ground, as few as possible: where nothing is, the layer beside it goes on."""
        grounds = self.grounds[row]
        layers = _continued(self.layers[row], grounds)
        layers = _continued(layers[::-1], grounds[::-1])[::-1]
        text = self.cells[row].astype("<u4").tobytes().decode("utf-32-le")
        changes = np.flatnonzero((np.diff(layers) != 0) | (np.diff(grounds) != 0)) + 1
        edges = [0, *changes.tolist(), len(text)]
        return [(text[start:end], int(layers[start]), int(grounds[start])) for start, end in pairwise(edges)]


def _continued(layers: NDArray[np.uint16], grounds: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The layers of a row, where nothing is those of the cell drawn last on the same ground."""
    last = np.maximum.accumulate(np.where(layers > 0, np.arange(len(layers)), 0))
    return np.where(grounds[last] == grounds, layers[last], layers)


class Drawing(Widget):
    """A widget that paints a canvas. Subclasses `paint`, and name component classes for their layers and grounds."""

    ALLOW_SELECT = False
    LAYERS: ClassVar[tuple[str, ...]] = ()
    """From layer 1 on."""
    GROUNDS: ClassVar[tuple[str, ...]] = ()
    """From ground 1 on."""
    glyphs: GlyphSet = GlyphSet.BRAILLE
    """What all drawings use that were not told otherwise when they were made."""

    def __init__(
        self,
        *,
        glyphs: GlyphSet | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        if glyphs is not None:
            self.glyphs = glyphs
        self._shown = Canvas(0, 0)
        self._strips: dict[int, Strip] = {}
        self._styles_of: dict[tuple[int, int], Style] = {}

    def paint(self, canvas: Canvas) -> None:
        """Draws everything on a blank canvas of at least one cell."""
        raise NotImplementedError

    def style_of(self, layer: int, ground: int) -> Style:
        """The colours and attributes of a layer with the background of a ground."""
        style = self.get_component_rich_style(self.LAYERS[layer - 1]) if layer else self.rich_style
        if not ground:
            return style
        under = self.get_component_rich_style(self.GROUNDS[ground - 1])
        return style + Style(bgcolor=under.bgcolor, underline=under.underline, reverse=under.reverse)

    def repaint(self) -> None:
        """Paints afresh and refreshes what differs from what is shown."""
        columns, rows = self.size
        if not (rows and columns and self.is_mounted):
            return
        if self._shown.cells.shape != (rows, columns):
            self.refresh()
            return
        canvas = Canvas(rows, columns)
        self.paint(canvas)
        regions = canvas.changed(self._shown)
        if regions:
            self._shown = canvas
            for region in regions:
                self._strips.pop(region.y, None)
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """One row of what was painted, from the cache where there is one."""
        columns, rows = self.size
        if self._shown.cells.shape != (rows, columns):
            self._shown = Canvas(rows, columns)
            self._strips.clear()
            if rows and columns:
                self.paint(self._shown)
        if y >= rows:
            return Strip.blank(columns, self.rich_style)
        if y not in self._strips:
            self._strips[y] = self._strip(y)
        return self._strips[y]

    def _strip(self, y: int) -> Strip:
        if not self._shown.columns:
            return Strip([], 0)
        runs = self._shown.runs(y)
        return Strip([Segment(text, self._style(layer, ground)) for text, layer, ground in runs], self._shown.columns)

    def _style(self, layer: int, ground: int) -> Style:
        if (layer, ground) not in self._styles_of:
            self._styles_of[layer, ground] = self.style_of(layer, ground)
        return self._styles_of[layer, ground]

    def notify_style_update(self) -> None:
        """Forgets what was drawn in the old colours."""
        super().notify_style_update()
        self._forget()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """As Textual's; without regions everything is painted afresh."""
        if not regions and repaint:
            self._forget()
        super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self

    def _forget(self) -> None:
        self._shown = Canvas(0, 0)
        self._strips.clear()
        self._styles_of.clear()
