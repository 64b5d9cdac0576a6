"""A narrow meter of peak and RMS, upright or lying. Ballistics and what is measured are left to whoever feeds it."""

from __future__ import annotations

import math
from typing import ClassVar

from tui.signs import GlyphSet
from tui.widgets.drawing import Canvas, Drawing

LEVEL, OVER = 1, 2
FLOOR_DB = -60.0
ACROSS = {GlyphSet.BRAILLE: "╸━", GlyphSet.BLOCKS: "▌█", GlyphSet.ASCII: "#"}
UPWARDS = {GlyphSet.BRAILLE: "▁▂▃▄▅▆▇█", GlyphSet.BLOCKS: "▄█", GlyphSet.ASCII: ".:#"}
PEAK_ACROSS = {GlyphSet.BRAILLE: "│", GlyphSet.BLOCKS: "│", GlyphSet.ASCII: "|"}
PEAK_UPWARDS = {GlyphSet.BRAILLE: "▁─▔", GlyphSet.BLOCKS: "─", GlyphSet.ASCII: "-"}


class Meter(Drawing):
    """A bar from -60 to 0 dBFS: RMS filled and peak as a line, or the peak filled where it is all there is.

    The last cell shows `!` while the peak is over 0 dBFS.
    """

    LAYERS = ("meter--level", "meter--over")
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS}
    DEFAULT_CSS = """
    Meter { width: 12; height: 1; }
    Meter.-vertical { width: 1; height: 8; }
    Meter > .meter--level { color: $success; }
    Meter > .meter--over { color: $error; text-style: bold; }
    """

    def __init__(
        self,
        *,
        vertical: bool = False,
        glyphs: GlyphSet | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, name=name, id=id, classes=classes)
        self.set_class(vertical, "-vertical")
        self._vertical = vertical
        self._peak_db = -math.inf
        self._rms_db: float | None = None

    def show(self, peak_db: float | None, rms_db: float | None = None) -> None:
        """Shows levels in dBFS; None and NaN are silence."""
        levels = (_level(peak_db), None if rms_db is None else _level(rms_db))
        if levels != (self._peak_db, self._rms_db):
            self._peak_db, self._rms_db = levels
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draws the bar, the line and the sign."""
        length = canvas.rows if self._vertical else canvas.columns
        bar = bar_text(self._peak_db, self._rms_db, length, self.glyphs, vertical=self._vertical)
        over = self._peak_db > 0
        if self._vertical:
            for row, glyph in enumerate(reversed(bar)):
                canvas.write(row, 0, glyph * canvas.columns, LEVEL)
            if over:
                canvas.write(0, 0, "!" * canvas.columns, OVER)
        else:
            for row in range(canvas.rows):
                canvas.write(row, 0, bar, LEVEL)
                if over:
                    canvas.write(row, canvas.columns - 1, "!", OVER)


def bar_text(peak_db: float, rms_db: float | None, length: int, glyphs: GlyphSet, *, vertical: bool) -> str:
    """The glyphs of a bar of `length` cells from its foot to its end."""
    steps = (UPWARDS if vertical else ACROSS)[glyphs]
    level = _share(peak_db if rms_db is None else rms_db) * length
    whole, part = divmod(round(level * len(steps)), len(steps))
    cells = [*(steps[-1] * whole), *((steps[part - 1],) if part else ())]
    cells += [" "] * (length - len(cells))
    peak = _share(peak_db) * length
    if rms_db is not None and peak > 0:
        cell = min(length - 1, int(peak))
        lines = (PEAK_UPWARDS if vertical else PEAK_ACROSS)[glyphs]
        if cells[cell] == " ":
            cells[cell] = lines[min(len(lines) - 1, int((peak - cell) * len(lines)))]
    return "".join(cells)


def _level(level_db: float | None) -> float:
    return -math.inf if level_db is None or math.isnan(level_db) else level_db


def _share(level_db: float) -> float:
    """Where a level is between the floor and full scale, 0 to 1."""
    return min(1.0, max(0.0, 1.0 - level_db / FLOOR_DB))
