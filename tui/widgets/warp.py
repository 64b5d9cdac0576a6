"""A waveform with the beats, anchors and attacks of it, and the line that says how fast each part between anchors goes.

Places are shares of the width, 0 to 1: where they come from, in time of the source or of the target, is the panel's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tui.signs import GlyphSet
from tui.widgets.drawing import Canvas, Drawing
from tui.widgets.glyphs import BLANK
from tui.widgets.waveform import Waveform

BEAT, BAR, ATTACK, ANCHOR, CHOSEN, CURSOR = 3, 4, 5, 6, 7, 8
LAYER_NAMES = ("beat", "bar", "attack", "anchor", "chosen", "cursor")
SLOWER, SLOW, FAST, FASTER = 2, 3, 4, 5
GROUND_NAMES = ("slower", "slow", "fast", "faster")
CLEARLY = 0.03
"""A part that is so much faster or slower is drawn in the stronger colour."""
HARDLY = 0.0002
"""One that is off by less, in none."""
LEAST_BEAT_CELLS = 3
"""Beats that are nearer to each other than this are not drawn, only bars."""
LEAST_ANCHOR_CELLS = 4
"""Of anchors that are nearer to each other only the heads are drawn."""
BEATS = {GlyphSet.BRAILLE: "┊", GlyphSet.BLOCKS: "│", GlyphSet.ASCII: ":"}
LINES = {GlyphSet.BRAILLE: "│", GlyphSet.BLOCKS: "│", GlyphSet.ASCII: "|"}
HELD = {GlyphSet.BRAILLE: "┃", GlyphSet.BLOCKS: "║", GlyphSet.ASCII: "#"}
HEADS = {GlyphSet.BRAILLE: "◆", GlyphSet.BLOCKS: "♦", GlyphSet.ASCII: "*"}
DOWN = {GlyphSet.BRAILLE: "▼", GlyphSet.BLOCKS: "▼", GlyphSet.ASCII: "v"}
ATTACKS = {GlyphSet.BRAILLE: "'", GlyphSet.BLOCKS: "'", GlyphSet.ASCII: "'"}


class Beat(NamedTuple):
    """Where a beat is drawn; `bar` is the number of the bar that begins with it."""

    at: float
    bar: int | None = None


class Marks(NamedTuple):
    """What lies over a waveform; `chosen` is the anchor that is held. `speeds` are those of its columns, from left."""

    beats: Sequence[Beat] = ()
    attacks: Sequence[float] = ()
    anchors: Sequence[float] = ()
    chosen: float | None = None
    cursor: float | None = None
    speeds: NDArray[np.float64] | None = None


class Warped(Waveform):
    """The top row holds the numbers of bars, the lines below it are beats and anchors, the ground the speed."""

    LAYERS = (*Waveform.LAYERS, *(f"warped--{name}" for name in LAYER_NAMES))
    GROUNDS = (*Waveform.GROUNDS, *(f"warped--{name}" for name in GROUND_NAMES))
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS, *GROUNDS}
    DEFAULT_CSS = """
    Warped > .warped--beat { color: $foreground 45%; }
    Warped > .warped--bar { color: $foreground 80%; }
    Warped > .warped--attack { color: $secondary 80%; }
    Warped > .warped--anchor { color: $accent; }
    Warped > .warped--chosen { color: $accent; text-style: bold; }
    Warped > .warped--cursor { color: $foreground; text-style: bold; }
    Warped > .warped--slow { background: $secondary 14%; }
    Warped > .warped--slower { background: $secondary 30%; }
    Warped > .warped--fast { background: $warning 14%; }
    Warped > .warped--faster { background: $warning 30%; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._marks = Marks()

    def mark(self, marks: Marks) -> None:
        """Draws other marks over the waveform."""
        self._marks = marks
        self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """The waveform below the row of bars, then the marks over it."""
        marks = self._marks
        if canvas.rows < 3:
            super().paint(canvas)
        else:
            wave = Canvas(canvas.rows - 1, canvas.columns)
            super().paint(wave)
            canvas.cells[1:], canvas.layers[1:], canvas.grounds[1:] = wave.cells, wave.layers, wave.grounds
        self._paint_beats(canvas, marks.beats)
        for at in marks.attacks:
            self._behind(canvas, canvas.rows - 1, self._cell_at(canvas, at), ATTACKS[self.glyphs], ATTACK)
        head, line = HEADS[self.glyphs], LINES[self.glyphs]
        roomy = canvas.columns >= LEAST_ANCHOR_CELLS * len(marks.anchors)
        for at in marks.anchors:
            self._line(canvas, self._cell_at(canvas, at), head, line if roomy else None, ANCHOR)
        cursor, held = (None if at is None else self._cell_at(canvas, at) for at in (marks.cursor, marks.chosen))
        if cursor is not None and cursor != held:
            self._line(canvas, cursor, DOWN[self.glyphs], line, CURSOR)
        if held is not None:
            self._line(canvas, held, head, HELD[self.glyphs], CHOSEN)
        if marks.speeds is not None and len(marks.speeds) == canvas.columns:
            canvas.grounds[1:] = grounds_of(marks.speeds)

    def _paint_beats(self, canvas: Canvas, beats: Sequence[Beat]) -> None:
        cells = [self._cell_at(canvas, beat.at) for beat in beats]
        bars = [(cell, beat.bar) for cell, beat in zip(cells, beats, strict=True) if beat.bar is not None]
        roomy = canvas.columns >= LEAST_BEAT_CELLS * len(beats)
        if roomy:
            for cell, beat in zip(cells, beats, strict=True):
                if beat.bar is None:
                    self._behind_all(canvas, cell, BEATS[self.glyphs], BEAT)
        if canvas.columns >= LEAST_BEAT_CELLS * len(bars):
            for cell, _ in bars:
                self._behind_all(canvas, cell, LINES[self.glyphs], BAR)
        free = 0
        for cell, number in bars:
            text = str(number)
            if cell >= free and cell >= 0 and cell + len(text) <= canvas.columns:
                canvas.write(0, cell, text, BAR)
                free = cell + len(text) + 2

    def _behind_all(self, canvas: Canvas, cell: int, glyph: str, layer: int) -> None:
        for row in range(1, canvas.rows):
            self._behind(canvas, row, cell, glyph, layer)

    @staticmethod
    def _behind(canvas: Canvas, row: int, cell: int, glyph: str, layer: int) -> None:
        if 0 <= cell < canvas.columns and canvas.cells[row, cell] == BLANK:
            canvas.write(row, cell, glyph, layer)

    @staticmethod
    def _line(canvas: Canvas, cell: int, head: str, line: str | None, layer: int) -> None:
        canvas.write(0, cell, head, layer)
        for row in range(1, canvas.rows if line is not None else 1):
            canvas.write(row, cell, line or "", layer)

    @staticmethod
    def _cell_at(canvas: Canvas, at: float) -> int:
        return -1 if at < 0.0 else min(canvas.columns if at > 1.0 else canvas.columns - 1, int(at * canvas.columns))


def grounds_of(speeds: ArrayLike) -> NDArray[np.uint8]:
    """The ground of each column by its speed: none where nothing is stretched."""
    off = np.asarray(speeds, np.float64) - 1.0
    kinds = np.array([SLOWER, SLOW, 0, FAST, FASTER], np.uint8)
    return kinds[np.digitize(off, [-CLEARLY, -HARDLY, HARDLY, CLEARLY])]


class Part(NamedTuple):
    """From where to where a part between anchors goes, what is said of its speed (the first text that there is room
    for), and whether it is faster (1), slower (-1) or as it is (0)."""

    first: float
    last: float
    texts: tuple[str, ...]
    way: int


class Speeds(Drawing):
    """Between two waveforms: how fast each part goes, with the anchors it lies between."""

    LAYERS = tuple(f"speeds--{name}" for name in ("same", "slower", "faster", "anchor"))
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS}
    DEFAULT_CSS = """
    Speeds { width: 1fr; height: 1; background: $surface; }
    Speeds > .speeds--same { color: $foreground 60%; }
    Speeds > .speeds--slower { color: $secondary; }
    Speeds > .speeds--faster { color: $warning; }
    Speeds > .speeds--anchor { color: $accent; }
    """
    SAME, SLOWER, FASTER, ANCHOR = 1, 2, 3, 4

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._parts: tuple[Part, ...] = ()

    def show(self, parts: Sequence[Part]) -> None:
        """Says the speeds of other parts."""
        if tuple(parts) != self._parts:
            self._parts = tuple(parts)
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """A mark where two parts meet, the speed in the middle of each that has room for it."""
        for part in self._parts:
            first, last = (round(at * canvas.columns) for at in (part.first, part.last))
            if 0.0 < part.first < 1.0:
                canvas.write(0, int(part.first * canvas.columns), HEADS[self.glyphs], self.ANCHOR)
            low, high = max(0, first + 1), min(canvas.columns, last)
            text = next((each for each in part.texts if len(each) <= high - low), "")
            start = low + (high - low - len(text)) // 2
            canvas.write(0, start, text, {0: self.SAME, -1: self.SLOWER, 1: self.FASTER}[part.way])
