"""What is left of one sound when another is taken from it: by third octaves beside the sound itself, and over time.

Measured elsewhere, only drawn here. Both drawings have a scale of levels at their left, in dBFS, that whoever draws
several of them may choose for all, so that they can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui.signs import GlyphSet
from tui.widgets.curve import AXIS, FOOT_FROM_ROWS, dot_rows, traced
from tui.widgets.drawing import FREQUENCIES_HZ, Canvas, Drawing, frequency_text
from tui.widgets.glyphs import BLANK, Dots, between, pack

Levels = NDArray[np.float64]

LOW_HZ, HIGH_HZ = 20.0, 20_000.0
LABEL, GRID, WHOLE, LEFT, WORST = 1, 2, 3, 4, 5
LABEL_COLUMNS = 5
"""Of the scale at the left: a sign, three figures, the axis."""
LABELS_FROM_COLUMNS = 24
LEAST_RANGE_DB = 60
SEEN_DB = 30.0
"""How much of the weakest residual a scale shows below its strongest band."""
DEEPEST_DB = -220.0
STEPS_DB = (10, 20, 40, 80, 160)
GAP_FROM_DOTS = 4
"""Bars as wide as this stand a dot apart."""
LINE = {GlyphSet.BRAILLE: "⠒", GlyphSet.BLOCKS: "·", GlyphSet.ASCII: "."}
BAR = {GlyphSet.BRAILLE: "⣿", GlyphSet.BLOCKS: "█", GlyphSet.ASCII: "#"}
LIGHT_BAR = {GlyphSet.BLOCKS: "░", GlyphSet.ASCII: ":"}


class Scale(NamedTuple):
    """The levels at the top and at the bottom of a drawing, in dBFS."""

    top_db: float
    bottom_db: float

    @classmethod
    def of(cls, strong: Iterable[float | None], weak: Iterable[float | None] = ()) -> Scale:
        """In tens: the strongest of all levels at the top, at the bottom enough to see those that are `weak`."""
        whole, least = [level for level in strong if level is not None], [level for level in weak if level is not None]
        top = min(60.0, 10.0 * math.ceil(max([*whole, *least], default=0.0) / 10.0))
        wanted = min(least, default=top) - SEEN_DB
        bottom = max(DEEPEST_DB, 10.0 * math.floor(min(top - LEAST_RANGE_DB, wanted) / 10.0))
        return cls(max(top, bottom + LEAST_RANGE_DB), bottom)

    def rows(self, levels_db: Levels, height: int) -> Levels:
        """The dot rows of levels, of so many, counted from the top one; NaN stays."""
        return dot_rows(levels_db, self.top_db, self.top_db - self.bottom_db, height)

    def labels(self, rows: int) -> dict[int, str]:
        """What stands at the left of which of so many rows of cells: round levels, two rows apart at least."""
        range_db = self.top_db - self.bottom_db
        step = next((step for step in STEPS_DB if step * (rows - 1) >= 2.0 * range_db), STEPS_DB[-1])
        found: dict[int, str] = {}
        for level in range(math.ceil(self.bottom_db / step) * step, math.floor(self.top_db) + 1, step):
            found[round((self.top_db - level) / range_db * (rows - 1))] = str(level)
        return found


def label_columns(columns: int) -> int:
    """How many columns go to the scale in a drawing of so many."""
    return LABEL_COLUMNS if columns >= LABELS_FROM_COLUMNS else 0


class Residual(Drawing):
    """What both drawings share."""

    LAYERS = ("residual--label", "residual--grid", "residual--whole", "residual--left", "residual--worst")
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS}
    DEFAULT_CSS = """
    Residual { width: 1fr; height: 1fr; min-height: 1; }
    Residual > .residual--label { color: $foreground 70%; }
    Residual > .residual--grid { color: $foreground 40%; }
    Residual > .residual--whole { color: $foreground 55%; }
    Residual > .residual--left { color: $accent; }
    Residual > .residual--worst { color: $error; text-style: bold; }
    """

    def paint_scale(self, canvas: Canvas, rows: int, scale: Scale) -> int:
        """Draws the scale beside so many rows; gives the column from which on there is room."""
        left = label_columns(canvas.columns)
        if left:
            bar, tick = AXIS[self.glyphs]
            labels = scale.labels(rows)
            for row in range(rows):
                canvas.write(row, 0, f"{labels.get(row, ''):>{left - 1}}", LABEL)
                canvas.write(row, left - 1, tick if row in labels else bar, GRID)
        return left

    def paint_words(self, canvas: Canvas, words: Sequence[tuple[str, int]]) -> None:
        """Says what is what at the right of the first row, where it has room, over what is drawn there."""
        length = sum(len(word) + 1 for word, _ in words)
        start = canvas.columns - length
        if start > canvas.columns // 3:
            canvas.write(0, start - 1, " " * (length + 1), LABEL)
            for word, layer in words:
                canvas.write(0, start, word, layer)
                start += len(word) + 1


class BandChart(Residual):
    """Third octaves from 20 Hz to 20 kHz: what is left as bars, the sound that it was taken from as a line."""

    def __init__(
        self,
        *,
        glyphs: GlyphSet | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, name=name, id=id, classes=classes)
        self._edges_hz: Levels = np.zeros(1)
        self._whole_db: Levels = np.zeros(0)
        self._left_db: Levels = np.zeros(0)
        self._scale = Scale(0.0, -float(LEAST_RANGE_DB))
        self._words = ("source", "change")

    def draw(
        self,
        edges_hz: Sequence[float],
        whole_db: Sequence[float | None],
        left_db: Sequence[float | None],
        scale: Scale,
        words: tuple[str, str] = ("source", "change"),
    ) -> None:
        """Shows levels [n] between edges [n + 1] that rise; None is nothing at all. `words` are what the two are."""
        edges = np.asarray(edges_hz, np.float64)
        if not len(edges) == len(whole_db) + 1 == len(left_db) + 1 or (np.diff(edges) <= 0.0).any():
            raise ValueError(f"{len(edges)} edges of {len(whole_db)} and {len(left_db)} bands")
        self._edges_hz, self._scale, self._words = edges, scale, words
        self._whole_db, self._left_db = _numbers(whole_db), _numbers(left_db)
        self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Bars, the line over them, scale, frequencies."""
        rows = canvas.rows - (canvas.rows >= FOOT_FROM_ROWS)
        left = self.paint_scale(canvas, rows, self._scale)
        columns = (canvas.columns - left) * self.glyphs.across
        if columns and len(self._whole_db):
            self._paint_bands(canvas, rows, left, columns)
            line, bar = LINE[self.glyphs], BAR[self.glyphs]
            self.paint_words(canvas, [(f"{line} {self._words[0]}", WHOLE), (f"{bar} {self._words[1]}", LEFT)])
        if rows < canvas.rows:
            self._paint_frequencies(canvas, rows, left)

    def _paint_bands(self, canvas: Canvas, rows: int, left: int, columns: int) -> None:
        height = rows * self.glyphs.down
        bands = np.searchsorted(self._edges_hz, _frequencies(columns), side="right") - 1
        known = (bands >= 0) & (bands < len(self._whole_db))
        bands = bands.clip(0, len(self._whole_db) - 1)
        levels = np.where(known, self._left_db[bands], np.nan)
        bars = _filled(self._scale.rows(levels, height), height)
        if np.diff(np.flatnonzero(np.diff(bands))).min(initial=columns) >= GAP_FROM_DOTS:
            bars[:, :-1] &= bands[1:] == bands[:-1]
        canvas.lay(0, left, pack(bars, self.glyphs), LEFT)
        line = traced(self._scale.rows(np.where(known, self._whole_db[bands], np.nan), height), height)
        cells = pack(line, self.glyphs)
        over = cells != BLANK
        if self.glyphs is GlyphSet.BRAILLE:
            cells = np.where(over, pack(line | bars, self.glyphs), cells)
        else:
            cells = np.where(over, np.uint32(ord(LINE[self.glyphs])), cells)
        canvas.lay(0, left, cells, WHOLE)

    def _paint_frequencies(self, canvas: Canvas, row: int, left: int) -> None:
        canvas.write(row, 0, f"{'Hz':>{left - 1}}" if left else "", LABEL)
        free = np.ones(canvas.columns, np.bool_)
        columns = canvas.columns - left
        for freq_hz in FREQUENCIES_HZ:
            text = frequency_text(freq_hz)
            cell = left + round(math.log(freq_hz / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ) * (columns - 1))
            start = min(max(left, cell - len(text) // 2), canvas.columns - len(text))
            if start >= left and free[max(0, start - 1) : start + len(text) + 1].all():
                free[start : start + len(text)] = False
                canvas.write(row, start, text, LABEL)


class CourseChart(Residual):
    """What is left over time: peaks as light bars, rms as heavy ones, and the worst place in a colour of its own."""

    def __init__(
        self,
        *,
        glyphs: GlyphSet | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, name=name, id=id, classes=classes)
        self._peak_db: Levels = np.zeros(0)
        self._rms_db: Levels = np.zeros(0)
        self._window_seconds = 0.0
        self._seconds = 0.0
        self._scale = Scale(0.0, -float(LEAST_RANGE_DB))
        self._worst: float | None = None
        self._said = ""

    def say(self, text: str) -> None:
        """Says why there is nothing to be seen."""
        if text != self._said:
            self._said = text
            self.repaint()

    def draw(
        self,
        peak_db: Sequence[float | None],
        rms_db: Sequence[float | None],
        window_seconds: float,
        seconds: float,
        scale: Scale,
        worst_seconds: float | None = None,
    ) -> None:
        """Shows windows of one length from the start on, [n] each, in a drawing that so many seconds fill."""
        if len(peak_db) != len(rms_db):
            raise ValueError(f"{len(peak_db)} peaks and {len(rms_db)} means")
        self._peak_db, self._rms_db = _numbers(peak_db), _numbers(rms_db)
        self._window_seconds, self._seconds, self._scale, self._worst = window_seconds, seconds, scale, worst_seconds
        self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Scale, peaks, rms, the worst place."""
        left = self.paint_scale(canvas, canvas.rows, self._scale)
        columns = (canvas.columns - left) * self.glyphs.across
        if not (columns and len(self._peak_db) and self._seconds > 0.0):
            canvas.write(canvas.rows // 2, left + 2, self._said, LABEL)
            return
        height = canvas.rows * self.glyphs.down
        peaks, means = (
            _filled(self._scale.rows(self._fitted(levels, columns), height), height)
            for levels in (self._peak_db, self._rms_db)
        )
        cells = pack(peaks, self.glyphs)
        if light := LIGHT_BAR.get(self.glyphs):
            cells = np.where(cells == BLANK, cells, np.uint32(ord(light)))
        canvas.lay(0, left, cells, WHOLE)
        cells = pack(means, self.glyphs)
        if self.glyphs is GlyphSet.BRAILLE:  # a cell that both end in shows how far the peak goes
            cells = np.where(cells == BLANK, cells, pack(peaks | means, self.glyphs))
        canvas.lay(0, left, cells, LEFT)
        if self._worst is not None:
            cell = left + min(columns - 1, int(self._worst / self._seconds * columns)) // self.glyphs.across
            drawn = canvas.cells[:, cell] != BLANK
            canvas.layers[drawn, cell] = WORST
        light = LIGHT_BAR.get(self.glyphs, BAR[self.glyphs])
        if canvas.rows > 2:
            self.paint_words(canvas, [(f"{light} peak", WHOLE), (f"{BAR[self.glyphs]} rms", LEFT)])

    def _fitted(self, levels_db: Levels, columns: int) -> Levels:
        """The largest level of what falls into each dot column; NaN past the last window."""
        edges = np.linspace(0.0, self._seconds / self._window_seconds, columns + 1)
        starts = np.floor(edges[:-1] + 1e-9).astype(np.int64)
        ends = np.maximum(starts + 1, np.ceil(edges[1:] - 1e-9).astype(np.int64))
        found = np.full(columns, np.nan)
        for column, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if start < len(levels_db):
                found[column] = np.fmax.reduce(levels_db[start:end])
        return found


def _numbers(levels_db: Sequence[float | None]) -> Levels:
    return np.array([math.nan if level is None else level for level in levels_db], np.float64)


def _frequencies(columns: int) -> Levels:
    """The middles of so many dot columns, in Hz."""
    return LOW_HZ * (HIGH_HZ / LOW_HZ) ** ((np.arange(columns) + 0.5) / columns)


def _filled(rows: Levels, height: int) -> Dots:
    """Everything from dot rows down to the bottom; NaN is nothing, what is over the top fills all."""
    top = np.where(np.isnan(rows), height, rows).astype(np.int64)
    return between(top, np.full(len(rows), height - 1), height)
