"""A waveform out of extremes: the large one of the timeline, and the one-row one of a stem's lane.

Where the extremes come from, which stretch of the file they cover and what a click means is left to the screen.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from textual import events
from textual.message import Message

from tui.signs import GlyphSet
from tui.widgets.drawing import Canvas, Drawing
from tui.widgets.glyphs import BLANK, Cells, between, pack

Samples = NDArray[np.float32]

WAVE, UNKNOWN = 1, 2
SELECTED = 1
QUIETEST = 10 ** (-60 / 20)
"""What a lane shows of an amplitude under it: nothing."""
SILENCE = {GlyphSet.BLOCKS: "─", GlyphSet.ASCII: "-"}
DOT = {GlyphSet.BRAILLE: "⠂", GlyphSet.BLOCKS: "·", GlyphSet.ASCII: "."}
LANE_STEPS = {GlyphSet.BRAILLE: 4, GlyphSet.BLOCKS: 2, GlyphSet.ASCII: 3}
LANE_GLYPHS = {GlyphSet.BLOCKS: " ▄█", GlyphSet.ASCII: " _=#"}


class Waveform(Drawing):
    """Samples over time, symmetrical around the middle; `compact` draws amplitudes upwards in one row.

    A lane (`compact`) draws the square root of the amplitude, so that -24 dBFS still fills two of its four dots.
    """

    LAYERS = ("waveform--wave", "waveform--unknown")
    GROUNDS = ("waveform--selected",)
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS, *GROUNDS}
    DEFAULT_CSS = """
    Waveform { width: 1fr; height: 1fr; min-height: 1; }
    Waveform.-compact { height: 1; }
    Waveform > .waveform--wave { color: $primary; }
    Waveform > .waveform--unknown { color: $foreground 60%; }
    Waveform > .waveform--selected { background: $primary 25%; }
    Waveform:ansi > .waveform--selected { background: $background; text-style: underline; }
    """

    class Pointed(Message):
        """The mouse went down at `start` and is at `cell` now; `done` once the button was let go.

        `cell` and `start` count from the left of the drawing, `x` is where the pointer is in the drawing's width, 0 to
        1. A click is a message with `cell == start` and `done`; a drag is many, the last of which is `done`.
        """

        def __init__(self, waveform: Waveform, cell: int, x: float, shift: bool, start: int, done: bool) -> None:
            super().__init__()
            self.waveform = waveform
            self.cell = cell
            self.x = x
            self.shift = shift
            self.start = start
            self.done = done

        @property
        def control(self) -> Waveform:
            """The waveform that was pointed at."""
            return self.waveform

    class Wheeled(Message):
        """The wheel was turned one notch, `up` or down, with the pointer at `cell`."""

        def __init__(self, waveform: Waveform, up: bool, cell: int) -> None:
            super().__init__()
            self.waveform = waveform
            self.up = up
            self.cell = cell

        @property
        def control(self) -> Waveform:
            """The waveform over which it was turned."""
            return self.waveform

    def __init__(
        self,
        *,
        compact: bool = False,
        glyphs: GlyphSet | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, name=name, id=id, classes=classes)
        self.set_class(compact, "-compact")
        self._compact = compact
        self._low: Samples = np.zeros(0, np.float32)
        self._high: Samples = np.zeros(0, np.float32)
        self._selected: tuple[int, int] | None = None
        self._start: int | None = None
        self._at = 0

    @property
    def wanted(self) -> int:
        """How many columns of extremes fill the width."""
        return self.size.width * self.glyphs.across

    def draw(self, low: ArrayLike, high: ArrayLike, *, scale: float = 1.0) -> None:
        """Shows the lowest and highest sample of every column, [n] each, -1 to 1; NaN is not known yet.

        `scale` multiplies them. Any n will do: more columns than there is room for are drawn together, fewer are
        stretched.
        """
        self._low = np.asarray(low, np.float32) * np.float32(scale)
        self._high = np.asarray(high, np.float32) * np.float32(scale)
        if self._low.shape != self._high.shape or self._low.ndim != 1:
            raise ValueError(f"lowest and highest samples differ in shape: {self._low.shape}, {self._high.shape}")
        self.repaint()

    def select(self, first_cell: int | None, last_cell: int | None) -> None:
        """Marks the cells from first to last, both included, on another ground; None marks nothing."""
        selected = None if first_cell is None or last_cell is None else (max(0, first_cell), last_cell)
        if selected != self._selected:
            self._selected = selected
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draws the extremes, then the ground of what is selected."""
        if self._low.size:
            low, high = self._fitted(canvas.columns * self.glyphs.across)
            if self._compact:
                paint_lane(canvas, np.maximum(np.abs(low), np.abs(high)), self.glyphs)
            else:
                paint_wave(canvas, low, high, self.glyphs)
        if self._selected is not None:
            first, last = self._selected
            canvas.grounds[:, first : last + 1] = SELECTED

    def _fitted(self, columns: int) -> tuple[Samples, Samples]:
        """As many columns of extremes as there is room for."""
        count = len(self._low)
        starts = np.arange(columns) * count // columns
        if count > columns:
            return np.fmin.reduceat(self._low, starts), np.fmax.reduceat(self._high, starts)
        return self._low[starts], self._high[starts]

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Takes the mouse until the button is let go."""
        if event.button == 1:
            event.stop()
            self._start = self._at = self._cell(event)
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Says where a drag is."""
        if self._start is not None and self._cell(event) != self._at:
            self._point(event, done=False)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Ends a click or a drag."""
        if self._start is not None:
            event.stop()
            self._point(event, done=True)
            self._start = None
            self.release_mouse()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Says that the wheel was turned."""
        self._wheel(event, up=True)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Says that the wheel was turned."""
        self._wheel(event, up=False)

    def _wheel(self, event: events.MouseEvent, *, up: bool) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, up, self._cell(event)))

    def _point(self, event: events.MouseEvent, *, done: bool) -> None:
        if self._start is not None:
            self._at = self._cell(event)
            x = (event.pointer_x - self.gutter.left) / max(1, self.size.width)
            self.post_message(self.Pointed(self, self._at, min(1.0, max(0.0, x)), event.shift, self._start, done))

    def _cell(self, event: events.MouseEvent) -> int:
        return min(max(0, self.size.width - 1), max(0, event.get_content_offset_capture(self).x))


def joined(low: Samples, high: Samples) -> tuple[Samples, Samples]:
    """The extremes of columns with what lies between neighbours that do not overlap, so that a line has no gaps."""
    low, high = low.copy(), high.copy()
    before_low, before_high = low[:-1].copy(), high[:-1].copy()
    after_low, after_high = low[1:], high[1:]
    after_low[...] = np.where(before_high < after_low, before_high, after_low)
    after_high[...] = np.where(before_low > after_high, before_low, after_high)
    return low, high


def paint_wave(canvas: Canvas, low: Samples, high: Samples, glyphs: GlyphSet) -> None:
    """Draws extremes around the middle, as many columns as there are dots across the canvas."""
    dot_rows = canvas.rows * glyphs.down
    low, high = joined(low, high)
    known = ~(np.isnan(low) | np.isnan(high))
    half = dot_rows / 2
    top = np.floor(half * (1 - np.where(known, high, 0))).clip(0, dot_rows - 1).astype(np.int64)
    bottom = (np.ceil(half * (1 - np.where(known, low, 0))) - 1).clip(0, dot_rows - 1).astype(np.int64)
    dots = between(np.minimum(top, bottom), bottom, dot_rows) & known
    canvas.lay(0, 0, pack(dots, glyphs), WAVE)
    across = known.reshape(canvas.columns, glyphs.across)
    unknown = np.equal(np.count_nonzero(across, axis=1), 0)
    middle = (canvas.rows - 1) // 2
    if glyphs in SILENCE:
        silent = across[:, 0] & (low == 0) & (high == 0)
        canvas.cells[:, silent] = BLANK
        canvas.layers[:, silent] = 0
        canvas.cells[middle, silent] = ord(SILENCE[glyphs])
        canvas.layers[middle, silent] = WAVE
    _dot(canvas, middle, unknown, _unknown_glyph(canvas.rows, glyphs))


def _unknown_glyph(rows: int, glyphs: GlyphSet) -> str:
    if glyphs is GlyphSet.BRAILLE and rows % 2 == 0:
        return "⡀"  # the lowest dot of the row above the middle
    return DOT[glyphs]


def paint_lane(canvas: Canvas, amplitude: Samples, glyphs: GlyphSet) -> None:
    """Draws amplitudes upwards, as many columns as there are dots across the canvas."""
    known = ~np.isnan(amplitude)
    root = np.sqrt(np.where(known & (amplitude >= QUIETEST), amplitude, 0).clip(0, 1))
    steps = LANE_STEPS[glyphs] * canvas.rows
    level = np.ceil(root * steps).astype(np.int64)
    if glyphs is GlyphSet.BRAILLE:
        cells = pack(between(steps - level, np.full_like(level, steps - 1), steps), glyphs)
    else:
        cells = _stacked(level, canvas.rows, LANE_GLYPHS[glyphs])
    canvas.lay(0, 0, cells, WAVE)
    unknown = np.equal(np.count_nonzero(known.reshape(canvas.columns, glyphs.across), axis=1), 0)
    _dot(canvas, canvas.rows - 1, unknown, "⡀" if glyphs is GlyphSet.BRAILLE else DOT[glyphs])


def _stacked(level: NDArray[np.int64], rows: int, glyphs: str) -> Cells:
    """Bars of `level` steps upwards, out of glyphs from empty to full."""
    full = len(glyphs) - 1
    below = (np.arange(rows)[::-1] * full)[:, None]
    return np.array([ord(glyph) for glyph in glyphs], np.uint32)[(level - below).clip(0, full)]


def _dot(canvas: Canvas, row: int, columns: NDArray[np.bool_], glyph: str) -> None:
    """A dotted line where nothing is known yet: every other cell, so that it is no line of signal."""
    columns = columns & (np.arange(canvas.columns) % 2 == 0)
    canvas.cells[row, columns] = ord(glyph)
    canvas.layers[row, columns] = UNKNOWN
