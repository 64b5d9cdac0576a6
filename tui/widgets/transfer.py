"""What a processor of dynamics makes of levels, and how far it moves the gain just now: measured elsewhere, drawn here.

A curve of levels (in at the bottom, out at the left) lies over a line of dots where nothing would be changed; a curve
of gain has the scale of an equaliser's.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tui.signs import GlyphSet
from tui.widgets.curve import AXIS, BARS, Plot, dot_rows, fitting_scale, traced
from tui.widgets.drawing import Canvas, Drawing
from tui.widgets.glyphs import BLANK, between, pack

Levels = NDArray[np.float64]

GRID, LABEL, LINE, MARK, MOVED = 1, 2, 3, 4, 5
MOVED_RANGE_DB = 24.0
"""What a bar over the whole height is."""
BAR_FROM_COLUMNS = 16
"""Narrower than this there is no bar, only its figure."""
STEPS_DB = (6, 10, 20, 40)


class Transfer(Drawing):
    """A curve with its threshold, and at the right a bar of the gain: reduction hangs from the top, a boost stands."""

    LAYERS = ("transfer--grid", "transfer--label", "transfer--line", "transfer--mark", "transfer--moved")
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS}
    DEFAULT_CSS = """
    Transfer { width: 1fr; height: 1fr; min-height: 1; }
    Transfer > .transfer--grid { color: $foreground 40%; }
    Transfer > .transfer--label { color: $foreground 70%; }
    Transfer > .transfer--line { color: $accent; text-style: bold; }
    Transfer > .transfer--mark { color: $accent; }
    Transfer > .transfer--moved { color: $warning; text-style: bold; }
    """

    def __init__(
        self,
        *,
        glyphs: GlyphSet | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, name=name, id=id, classes=classes)
        self._heard = ""
        self._heard_db: Levels = np.zeros(0)
        self._gain_db: Levels = np.zeros(0)
        self._of_levels = False
        self._mark_db: float | None = None
        self._moved_db: float | None = None

    @property
    def wanted(self) -> int:
        """How many levels fill the width."""
        return self._plot(self.size.height, self.size.width).columns * self.glyphs.across

    def draw(
        self, heard: str, heard_db: ArrayLike, gain_db: ArrayLike, *, of_levels: bool, mark_db: float | None = None
    ) -> None:
        """Shows gains in dB at levels in dB that rise, [n] each; with `of_levels` what comes out, the two together."""
        levels, gains = np.asarray(heard_db, np.float64), np.asarray(gain_db, np.float64)
        if levels.ndim != 1 or levels.shape != gains.shape or (np.diff(levels) <= 0).any():
            raise ValueError("levels must rise, with a gain each")
        self._heard, self._heard_db, self._gain_db = heard, levels, gains
        self._of_levels, self._mark_db = of_levels, mark_db
        self.repaint()

    def move(self, moved_db: float | None) -> None:
        """Shows how far the gain is moved just now, in dB; None where nothing is heard."""
        moved_db = None if moved_db is None else round(moved_db, 1)
        if moved_db != self._moved_db:
            self._moved_db = moved_db
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draws from the back to the front: grid, threshold, curve, bar, words."""
        plot = self._plot(canvas.rows, canvas.columns)
        if len(self._heard_db) < 2 or plot.columns < 1:
            return
        columns, height = plot.columns * self.glyphs.across, plot.rows * self.glyphs.down
        heard = np.linspace(self._heard_db[0], self._heard_db[-1], columns)
        gain = np.interp(heard, self._heard_db, self._gain_db)
        top_db, range_db = self._scale()
        still = dot_rows(heard if self._of_levels else np.zeros(columns), top_db, range_db, height)
        dots = between(still.astype(np.int64), still.astype(np.int64), height)
        dots[:, 1::2] = False
        canvas.lay(0, plot.left, pack(dots, self.glyphs), GRID)
        self._paint_axis(canvas, plot, top_db, range_db)
        if self._mark_db is not None and (cell := self._cell(self._mark_db, plot)) is not None:
            for row in range(plot.rows):
                if canvas.cells[row, cell] == BLANK:
                    canvas.write(row, cell, BARS[self.glyphs], MARK)
        out = heard + gain if self._of_levels else gain
        canvas.lay(0, plot.left, pack(traced(dot_rows(out, top_db, range_db, height), height), self.glyphs), LINE)
        self._paint_bar(canvas, plot)
        self._paint_words(canvas, plot)
        self._paint_levels(canvas, plot)

    @staticmethod
    def _plot(rows: int, columns: int) -> Plot:
        """Room for the bar and a gap at the right, where there is enough."""
        return Plot.within(rows, columns - 2 * (columns >= BAR_FROM_COLUMNS))

    def _scale(self) -> tuple[float, float]:
        """The top of the scale and its range, in dB."""
        if self._of_levels:
            top_db = max(0.0, float(self._heard_db[-1]))
            return top_db, top_db - float(self._heard_db[0])
        scale = fitting_scale(self._gain_db)
        return float(scale), 2.0 * scale

    def _cell(self, level_db: float, plot: Plot) -> int | None:
        """The column of a level; None outside of the plot."""
        low, high = self._heard_db[[0, -1]]
        cell = math.floor((level_db - low) / (high - low) * (plot.columns - 1) + 0.5)
        return plot.left + cell if 0 <= cell < plot.columns else None

    def _paint_axis(self, canvas: Canvas, plot: Plot, top_db: float, range_db: float) -> None:
        if not plot.left:
            return
        bar, tick = AXIS[self.glyphs]
        sign = "" if self._of_levels else "+"
        labels = {0: f"{top_db:{sign}.0f}" if top_db else "0"}
        if plot.rows > 2:
            middle = int(dot_rows(np.array([top_db - range_db / 2]), top_db, range_db, plot.rows)[0])
            labels |= {middle: f"{top_db - range_db / 2:.0f}", plot.rows - 1: f"{top_db - range_db:.0f}"}
        for row in range(plot.rows):
            canvas.write(row, 0, f"{labels.get(row, ''):>{plot.left - 1}}", LABEL)
            canvas.write(row, plot.left - 1, tick if row in labels else bar, GRID)
        if plot.rows > 4:
            canvas.write(1, 0, f"{'dB':>{plot.left - 1}}", LABEL)

    def _paint_bar(self, canvas: Canvas, plot: Plot) -> None:
        if self._moved_db is None or canvas.columns < BAR_FROM_COLUMNS:
            return
        height = plot.rows * self.glyphs.down
        length = min(height, round(abs(self._moved_db) / MOVED_RANGE_DB * height))
        dots = np.zeros((height, self.glyphs.across), np.bool_)
        if self._moved_db < 0.0:
            dots[:length] = True
        else:
            dots[height - length :] = True
        canvas.lay(0, canvas.columns - 1, pack(dots, self.glyphs), MOVED)

    def _paint_words(self, canvas: Canvas, plot: Plot) -> None:
        """What is drawn and what the gain is just now, at the top left, which no curve of levels passes."""
        made = "out" if self._of_levels else "gain"
        words = f" {self._heard} -> {made} "
        if self._moved_db is None:
            canvas.write(0, plot.left, words[: plot.columns], LABEL)
            return
        moved = f"{self._moved_db:+.1f} dB "
        room = plot.columns - len(moved) - 1
        words = words if room >= len(words) else " "
        canvas.write(0, plot.left, words, LABEL)
        canvas.write(0, plot.left + len(words), moved[: plot.columns], MOVED)

    def _paint_levels(self, canvas: Canvas, plot: Plot) -> None:
        """Levels at the foot, as close as there is room for, from 0 on down."""
        if plot.rows == canvas.rows:
            return
        canvas.write(plot.rows, 0, f"{'in':>{plot.left - 1}}" if plot.left else "", LABEL)
        low, high = self._heard_db[[0, -1]]
        a_label = 6.0 / plot.columns * (high - low)
        step = next((step for step in STEPS_DB if step >= a_label), STEPS_DB[-1])
        for level_db in range(math.ceil(low / step) * step, math.floor(high) + 1, step):
            cell, text = self._cell(level_db, plot), str(level_db)
            if cell is not None:
                end = plot.left + plot.columns
                canvas.write(plot.rows, min(max(plot.left, cell - len(text) // 2), end - len(text)), text, LABEL)
