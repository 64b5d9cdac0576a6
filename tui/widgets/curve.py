"""The response of an equaliser over the spectrum of what it works on: measured elsewhere, only drawn here."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tui.signs import GlyphSet
from tui.widgets.drawing import FREQUENCIES_HZ, Canvas, Drawing, frequency_text, label_columns
from tui.widgets.glyphs import BLANK, Cells, Dots, between, pack

Levels = NDArray[np.float64]

GRID, LABEL, BEFORE, AFTER, EQ, MARK, WAS = 1, 2, 3, 4, 5, 6, 7
SCALES_DB = (6, 12, 24)
SPECTRUM_RANGE_DB = 60.0
SILENCE_DB = 400.0
"""Levels are held within this, so that minus infinity can be drawn a line to."""
SPECTRUM_HEADROOM_DB = 6.0
FOOT_FROM_ROWS = 4
"""Lower than this there are no frequency labels."""
STEEP_DB = 0.5
"""A response that still falls by so much in the last third of an octave runs off the edge."""

AXIS = {GlyphSet.BRAILLE: "│┤", GlyphSet.BLOCKS: "│┤", GlyphSet.ASCII: "|+"}
ZERO = {GlyphSet.BLOCKS: "─", GlyphSet.ASCII: "-"}
LINES = {
    GlyphSet.BLOCKS: {BEFORE: "░", AFTER: "▒", WAS: "·"},
    GlyphSet.ASCII: {BEFORE: ":", AFTER: "o", EQ: "*", WAS: "."},
}
"""What a layer is drawn with where half-cell dots would make all layers look alike."""
BARS = {GlyphSet.BRAILLE: "┊", GlyphSet.BLOCKS: "│", GlyphSet.ASCII: "|"}
NODES = {GlyphSet.BRAILLE: "◆", GlyphSet.BLOCKS: "■", GlyphSet.ASCII: "@"}


class Curve(Drawing):
    """Gain in dB as a line (scale at the left), the spectrum before as a stippled shape, the one after as a line.

    The spectra have a scale of their own: 60 dB, with 6 dB over the loudest. Frequencies run logarithmically from the
    first to the last that was given.
    """

    LAYERS = ("curve--grid", "curve--label", "curve--before", "curve--after", "curve--eq", "curve--mark", "curve--was")
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS}
    DEFAULT_CSS = """
    Curve { width: 1fr; height: 1fr; min-height: 1; }
    Curve > .curve--grid { color: $foreground 40%; }
    Curve > .curve--label { color: $foreground 70%; }
    Curve > .curve--before { color: $foreground 50%; }
    Curve > .curve--after { color: $primary; }
    Curve > .curve--eq { color: $accent; text-style: bold; }
    Curve > .curve--mark { color: $accent; text-style: bold; }
    Curve > .curve--was { color: $foreground 80%; }
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
        self._freqs_hz: Levels = np.zeros(0)
        self._gain_db: Levels | None = None
        self._before_db: Levels | None = None
        self._after_db: Levels | None = None
        self._was_db: Levels | None = None
        self._mark_hz: float | None = None

    @property
    def wanted(self) -> int:
        """How many frequencies fill the width."""
        return Plot.within(self.size.height, self.size.width).columns * self.glyphs.across

    def draw(
        self,
        freqs_hz: ArrayLike,
        gain_db: ArrayLike | None,
        before_db: ArrayLike | None,
        after_db: ArrayLike | None,
        was_db: ArrayLike | None = None,
    ) -> None:
        """Shows gain and spectra in dB at frequencies, [n] each; frequencies are positive and rise. NaN is nothing.

        `was_db` is a gain that the other one would take the place of.
        """
        freqs = np.asarray(freqs_hz, np.float64)
        if freqs.ndim != 1 or (freqs <= 0).any() or (np.diff(freqs) <= 0).any():
            raise ValueError("frequencies must be positive and rise")
        self._freqs_hz = freqs
        self._gain_db, self._before_db, self._after_db, self._was_db = (
            _levels(values, freqs) for values in (gain_db, before_db, after_db, was_db)
        )
        self.repaint()

    def mark(self, freq_hz: float | None) -> None:
        """Marks a frequency, such as that of the selected band, or none."""
        if freq_hz is not None and not freq_hz > 0:
            raise ValueError(f"a mark at {freq_hz} Hz")
        if freq_hz != self._mark_hz:
            self._mark_hz = freq_hz
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draws from the back to the front: spectrum before, grid, mark, spectrum after, gain, words."""
        plot = Plot.within(canvas.rows, canvas.columns)
        if len(self._freqs_hz) < 2 or not plot.columns:
            return
        gain = self._fitted(self._gain_db, plot)
        was = self._fitted(self._was_db, plot)
        scale_db = max((fitting_scale(each) for each in (gain, was) if each is not None), default=0)
        top_db = self._top_db()
        before, after = self._fitted(self._before_db, plot), self._fitted(self._after_db, plot)
        height = plot.rows * self.glyphs.down
        if before is not None:
            self._lay(canvas, plot, _shape(dot_rows(before, top_db, SPECTRUM_RANGE_DB, height), height), BEFORE)
        self._paint_grid(canvas, plot, scale_db)
        self._paint_bar(canvas, plot)
        if after is not None:
            self._lay(canvas, plot, traced(dot_rows(after, top_db, SPECTRUM_RANGE_DB, height), height), AFTER)
        if was is not None:
            self._lay(canvas, plot, traced(dot_rows(was, scale_db, 2 * scale_db, height), height), WAS)
        if gain is not None:
            self._lay(canvas, plot, traced(dot_rows(gain, scale_db, 2 * scale_db, height), height), EQ)
            self._paint_node(canvas, plot, gain, scale_db)
        self._paint_legend(canvas, plot)
        self._paint_frequencies(canvas, plot)

    def _fitted(self, levels_db: Levels | None, plot: Plot) -> Levels | None:
        """Levels at the dot columns."""
        if levels_db is None:
            return None
        octaves = np.log(self._freqs_hz)
        wanted = np.linspace(octaves[0], octaves[-1], plot.columns * self.glyphs.across)
        return np.interp(wanted, octaves, levels_db)

    def _top_db(self) -> float:
        """The top of the spectra's scale."""
        spectra = [levels for levels in (self._before_db, self._after_db) if levels is not None]
        heard = [levels[levels > -SILENCE_DB] for levels in spectra]
        return max((float(levels.max()) for levels in heard if levels.size), default=0.0) + SPECTRUM_HEADROOM_DB

    def _dot(self, freq_hz: float, plot: Plot) -> int:
        """The dot column of a frequency; outside of the plot where it is outside of the frequencies."""
        low, high = np.log(self._freqs_hz[[0, -1]])
        return round((math.log(freq_hz) - low) / (high - low) * (plot.columns * self.glyphs.across - 1))

    def _lay(self, canvas: Canvas, plot: Plot, dots: Dots, layer: int) -> None:
        cells = pack(dots, self.glyphs)
        if glyph := LINES.get(self.glyphs, {}).get(layer):
            cells = np.where(cells == BLANK, cells, np.uint32(ord(glyph)))
        canvas.lay(0, plot.left, cells, layer)

    def _paint_grid(self, canvas: Canvas, plot: Plot, scale_db: int) -> None:
        """The axis at the left, and where a gain is drawn its labels and a line at 0 dB."""
        zero = int(dot_rows(np.zeros(1), 1.0, 2.0, plot.rows * self.glyphs.down)[0])
        row = zero // self.glyphs.down
        if plot.left:
            self._paint_axis(canvas, plot, row, scale_db)
        if not scale_db:
            return
        if self.glyphs in ZERO:
            line: Cells = np.full((1, plot.columns), ord(ZERO[self.glyphs]), np.uint32)
        else:
            dots = np.zeros((self.glyphs.down, plot.columns * self.glyphs.across), np.bool_)
            dots[zero % self.glyphs.down, :: self.glyphs.across] = True
            line = pack(dots, self.glyphs)
        blank = canvas.cells[row, plot.left :] == BLANK
        canvas.lay(row, plot.left, np.where(blank, line, np.uint32(BLANK)), GRID)

    def _paint_axis(self, canvas: Canvas, plot: Plot, zero_row: int, scale_db: int) -> None:
        bar, tick = AXIS[self.glyphs]
        labels = {0: f"+{scale_db}"} if scale_db else {}
        if scale_db and plot.rows > 2:
            labels |= {zero_row: "0", plot.rows - 1: f"-{scale_db}"}
        for row in range(plot.rows):
            canvas.write(row, 0, f"{labels.get(row, ''):>{plot.left - 1}}", LABEL)
            canvas.write(row, plot.left - 1, tick if row in labels else bar, GRID)
        if scale_db and plot.rows > 4:
            canvas.write(1, 0, f"{'dB':>{plot.left - 1}}", LABEL)

    def _paint_bar(self, canvas: Canvas, plot: Plot) -> None:
        if (
            self._mark_hz is not None
            and 0 <= (dot := self._dot(self._mark_hz, plot)) < plot.columns * self.glyphs.across
        ):
            for row in range(plot.rows):
                canvas.write(row, plot.left + dot // self.glyphs.across, BARS[self.glyphs], MARK)

    def _paint_node(self, canvas: Canvas, plot: Plot, gain_db: Levels, scale_db: int) -> None:
        if self._mark_hz is None:
            return
        dot, height = self._dot(self._mark_hz, plot), plot.rows * self.glyphs.down
        if 0 <= dot < len(gain_db) and not math.isnan(gain_db[dot]):
            at = int(dot_rows(gain_db[dot : dot + 1], scale_db, 2 * scale_db, height)[0].clip(0, height - 1))
            canvas.write(at // self.glyphs.down, plot.left + dot // self.glyphs.across, NODES[self.glyphs], MARK)

    def _paint_legend(self, canvas: Canvas, plot: Plot) -> None:
        """What is what, at the top right, or at the bottom right where the gain passes there."""
        before = "spectrum" if self._after_db is None else "before"
        eq = "eq" if self._was_db is None else "would be"
        drawn = (
            (self._gain_db, eq, EQ),
            (self._was_db, "is", WAS),
            (self._after_db, "after", AFTER),
            (self._before_db, before, BEFORE),
        )
        words = [(word, layer) for values, word, layer in drawn if values is not None]
        length = sum(len(word) + 1 for word, _ in words)
        start = canvas.columns - length
        if start <= plot.left or plot.rows < 2:
            return
        row = plot.rows - 1 if np.isin(canvas.layers[0, start:], (EQ, WAS)).any() else 0
        canvas.write(row, start - 1, " " * (length + 1), LABEL)
        for word, layer in words:
            canvas.write(row, start, word, layer)
            start += len(word) + 1

    def _paint_frequencies(self, canvas: Canvas, plot: Plot) -> None:
        if plot.rows == canvas.rows:
            return
        canvas.write(plot.rows, 0, f"{'Hz':>{plot.left - 1}}" if plot.left else "", LABEL)
        free = np.ones(canvas.columns, np.bool_)
        for freq_hz in FREQUENCIES_HZ:
            text = frequency_text(freq_hz)
            cell = plot.left + self._dot(freq_hz, plot) // self.glyphs.across
            if plot.left <= cell < canvas.columns:
                start = min(max(plot.left, cell - len(text) // 2), canvas.columns - len(text))
                if start >= plot.left and free[max(0, start - 1) : start + len(text) + 1].all():
                    free[start : start + len(text)] = False
                    canvas.write(plot.rows, start, text, LABEL)


class Plot(NamedTuple):
    """Where the curves are in the widget, in cells: `rows` from the top, `columns` from `left`."""

    rows: int
    columns: int
    left: int

    @classmethod
    def within(cls, rows: int, columns: int) -> Plot:
        """Leaves room for labels where there is enough."""
        left = label_columns(columns)
        return cls(rows - (rows >= FOOT_FROM_ROWS), columns - left, left)


def fitting_scale(gain_db: Levels) -> int:
    """The smallest scale in dB that shows a response [n]; cut filters that fall off an edge do not count."""
    body = _without_flank(_without_flank(gain_db[~np.isnan(gain_db)])[::-1])
    largest = float(np.abs(body).max(initial=0.0))
    return next((scale for scale in SCALES_DB if largest <= scale), SCALES_DB[-1])


def dot_rows(levels_db: Levels, top_db: float, range_db: float, height: int) -> Levels:
    """The dot rows of levels, counted from the top one; NaN stays."""
    return np.floor((top_db - levels_db) / range_db * (height - 1) + 0.5)


def _without_flank(gain_db: Levels) -> Levels:
    """A response without the rise at its start, where that is the slope of a filter that cuts everything below."""
    near = max(1, len(gain_db) // 30)
    if len(gain_db) <= near or gain_db[0] >= 0 or gain_db[near] - gain_db[0] < STEEP_DB:
        return gain_db
    falls = np.diff(gain_db) < 0
    return gain_db[int(falls.argmax()) if falls.any() else len(gain_db) - 1 :]


def _levels(values: ArrayLike | None, freqs_hz: Levels) -> Levels | None:
    if values is None:
        return None
    levels = np.asarray(values, np.float64)
    if levels.shape != freqs_hz.shape:
        raise ValueError(f"{levels.shape} levels at {freqs_hz.shape} frequencies")
    return levels.clip(-SILENCE_DB, SILENCE_DB)


def _shape(rows: Levels, height: int) -> Dots:
    """Everything under the level, stippled."""
    filled = between(_whole(rows, height), np.full(len(rows), height - 1), height)
    return filled & ((np.arange(height)[:, None] + np.arange(len(rows))) % 2 == 0)


def traced(rows: Levels, height: int) -> Dots:
    """A line without gaps; what is outside of the plot is not drawn."""
    before = np.concatenate((rows[:1], rows[:-1]))
    top = np.where(before < rows, before + 1, rows)
    bottom = np.where(before > rows, before - 1, rows)
    return between(_whole(top, height), np.where(np.isnan(bottom), -1, bottom).astype(np.int64), height)


def _whole(rows: Levels, height: int) -> NDArray[np.int64]:
    """Dot rows as integers; NaN is below the last."""
    return np.where(np.isnan(rows), height, rows).astype(np.int64)
