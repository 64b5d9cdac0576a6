"""A ruler of time along a span of frames, with the playhead, the loop and the markers on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from tui.signs import GlyphSet
from tui.widgets.drawing import Canvas, Drawing

LABEL, LOOP, MARKER, PLAYHEAD = 1, 2, 3, 4
STEPS_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(1000 * seconds for seconds in (1, 2, 5, 10, 15, 30)),
    *(60_000 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3_600_000 * hours for hours in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)
STEPS_SAMPLES = (1, 2, 5, 10, 20, 50, 100, 200)
GAP_CELLS = 6
"""At least so many between two labels."""
HEADS = {GlyphSet.BRAILLE: "▼", GlyphSet.BLOCKS: "▼", GlyphSet.ASCII: "v"}
MARKS = {GlyphSet.BRAILLE: "◆", GlyphSet.BLOCKS: "'", GlyphSet.ASCII: "'"}


class Ruler(Drawing):
    """Times above a drawing of the same width.

    Two rows: the times with loop and markers, and under them the playhead alone, because it moves. One row (`compact`,
    or less room): the playhead over the rest.
    """

    LAYERS = ("ruler--label", "ruler--loop", "ruler--marker", "ruler--playhead")
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS}
    DEFAULT_CSS = """
    Ruler { width: 1fr; height: 2; }
    Ruler.-compact { height: 1; }
    Ruler > .ruler--label { color: $foreground 70%; }
    Ruler > .ruler--loop { color: $secondary; }
    Ruler > .ruler--marker { color: $accent; }
    Ruler > .ruler--playhead { color: $foreground; text-style: bold; }
    """

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
        self._first = 0
        self._last = 0
        self._sample_rate = 1
        self._head: int | None = None
        self._head_at: tuple[int, int] | None = None
        self._head_time = ""
        self._exact = False
        self._loop: tuple[int, int, bool] | None = None
        self._markers: tuple[tuple[int, str], ...] = ()

    def span(self, first_frame: int, last_frame: int, sample_rate: int) -> None:
        """Shows the frames from first up to and without last; an empty span shows nothing."""
        if sample_rate < 1:
            raise ValueError(f"a sample rate of {sample_rate} Hz")
        span = (first_frame, last_frame, sample_rate)
        if span != (self._first, self._last, self._sample_rate):
            self._first, self._last, self._sample_rate = span
            self._head_at = None
            self.repaint()

    def playhead(self, frame: int | None, *, exact: bool = False) -> None:
        """Shows where the playhead is, or none.

        While it moves, its time is as fine as a cell is wide, and nothing is redrawn before it enters another cell.
        `exact` (at rest) gives the time to the millisecond, and the frame too where the ruler counts samples.
        """
        self._head, self._exact = frame, exact
        if frame is not None and not exact and self._head_at == (self._cell(frame), self.size.width):
            return
        self.repaint()

    def loop(self, first_frame: int | None, last_frame: int | None, on: bool = True) -> None:
        """Shows the loop from first up to and without last as [====], as [----] while it is off; None shows none."""
        loop = None if first_frame is None or last_frame is None else (first_frame, last_frame, on)
        if loop != self._loop:
            self._loop = loop
            self.repaint()

    def markers(self, markers: Sequence[tuple[int, str]]) -> None:
        """Shows marks at frames, with their names where there is room."""
        if tuple(markers) != self._markers:
            self._markers = tuple(markers)
            self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draws the things in the order in which they claim their cells."""
        if self._last > self._first:
            row = _Row(canvas)
            self._paint_playhead(canvas, row)
            seen = self._paint_loop_ends(row)
            marks = self._paint_marks(row)
            for cell, text in self._labels(canvas.columns):
                row.place(cell, text, LABEL)
            for cell, name in marks:
                row.place(cell + 1, name, MARKER, before=0)
            if seen is not None and self._loop is not None:
                row.fill(*seen, *(("loop", "=") if self._loop[2] else ("loop off", "-")), LOOP)

    def _paint_playhead(self, canvas: Canvas, row: _Row) -> None:
        if self._head is None:
            self._head_at = None
            return
        cell = self._cell(self._head)
        if self._exact or self._head_at != (cell, canvas.columns):
            self._head_at, self._head_time = (cell, canvas.columns), self._time_of(self._head)
        start, text = _with_time(cell, HEADS[self.glyphs], self._head_time, canvas.columns)
        canvas.write(min(1, canvas.rows - 1), start, text, PLAYHEAD)
        if canvas.rows == 1:
            row.claim(start, len(text))

    def _time_of(self, frame: int) -> str:
        """What stands beside the playhead."""
        step = step_for(self._first, self._last, self._sample_rate, self.size.width)
        if self._exact:
            time = clock(frame, self._sample_rate, 3)
            return f"{time}  {frame}" if step.samples else time
        if step.samples:
            return str(frame)
        frames_per_cell = (self._last - self._first) / self.size.width
        return clock(frame, self._sample_rate, sum(frames_per_cell * 10**n < self._sample_rate for n in range(3)))

    def _paint_loop_ends(self, row: _Row) -> tuple[int, int] | None:
        """The brackets; gives the cells of what is seen of the loop, first and last."""
        if self._loop is None:
            return None
        first, last, _ = self._loop
        if first >= last or first >= self._last or last <= self._first:
            return None
        starts, ends = self._cell(first), self._cell(last - 1)
        if starts == ends:
            starts, ends = (starts, ends + 1) if ends + 1 < row.columns else (starts - 1, ends)
        if starts >= 0:
            row.place(starts, "[", LOOP, before=0, after=0)
        if ends < row.columns:
            row.place(ends, "]", LOOP, before=0, after=0)
        return max(0, starts), min(row.columns - 1, ends)

    def _paint_marks(self, row: _Row) -> list[tuple[int, str]]:
        """The marks; gives their cells and names."""
        cells = [(self._cell(frame), name) for frame, name in self._markers]
        return [(cell, name) for cell, name in cells if row.place(cell, MARKS[self.glyphs], MARKER, before=0, after=0)]

    def _labels(self, columns: int) -> Iterator[tuple[int, str]]:
        """The cells and texts of the times."""
        step = step_for(self._first, self._last, self._sample_rate, columns)
        start, frames = self._first * step.per_second, (self._last - self._first) * step.per_second
        stride = step.units * self._sample_rate
        for number in range(-(-start // stride), -(-(start + frames) // stride)):
            yield (number * stride - start) * columns // frames, step.label(number * step.units)

    def _cell(self, frame: int) -> int:
        """The cell of a frame; -1 before the span, the width after it. The end of the span is in its last cell."""
        if frame < self._first or self._last <= self._first:
            return -1
        last_cell = self.size.width - (frame == self._last)
        return min(last_cell, (frame - self._first) * self.size.width // (self._last - self._first))


class Step(NamedTuple):
    """What is between two labels: `units` of which `per_second` make a second, milliseconds or samples."""

    units: int
    per_second: int
    samples: bool

    def label(self, units: int) -> str:
        """The text at so many units from the start."""
        return str(units) if self.samples else clock(units, 1000, 3 if self.units % 1000 else 0)


def step_for(first_frame: int, last_frame: int, sample_rate: int, columns: int) -> Step:
    """The finest round step whose labels have room: samples under a millisecond, else 1, 2, 5 ... ms up to hours."""
    samples = [Step(units, sample_rate, True) for units in STEPS_SAMPLES if units * 1000 < sample_rate]
    steps = [*samples, *(Step(units, 1000, False) for units in STEPS_MS)]
    frames = last_frame - first_frame
    for step in steps:
        longest = step.label(last_frame * step.per_second // sample_rate)
        if step.units * sample_rate * columns >= (len(longest) + GAP_CELLS) * frames * step.per_second:
            return step
    return steps[-1]


def clock(count: int, per_second: int, places: int) -> str:
    """`count / per_second` seconds as 1:02, 1:02.250 or 1:00:02, cut off after `places` decimals."""
    scale = 10**places
    seconds, fraction = divmod(count * scale // per_second, scale)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"{text}.{fraction:0{places}d}" if places else text


def _with_time(cell: int, head: str, time: str, columns: int) -> tuple[int, str]:
    """The playhead with its time on the side where there is room; < or > where it is outside."""
    if cell < 0 or cell >= columns:
        return (0, "<") if cell < 0 else (columns - 1, ">")
    beside = len(time) + 1
    if cell + 1 + beside <= columns:
        return cell, f"{head} {time}"
    return (cell - beside, f"{time} {head}") if cell >= beside else (cell, head)


class _Row:
    """The row of the times: whoever comes first has the cells."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._free = [True] * canvas.columns

    @property
    def columns(self) -> int:
        return self._canvas.columns

    def claim(self, cell: int, length: int) -> None:
        """Lets nobody else have the cells."""
        self._free[cell : cell + length] = [False] * len(self._free[cell : cell + length])

    def place(self, cell: int, text: str, layer: int, *, before: int = 1, after: int = 1) -> bool:
        """Writes the text where all of its cells and so many on either side are free."""
        end = cell + len(text)
        if not text or cell < 0 or end > self.columns or not all(self._free[max(0, cell - before) : end + after]):
            return False
        self._canvas.write(0, cell, text, layer)
        self.claim(cell, len(text))
        return True

    def fill(self, first: int, last: int, word: str, glyph: str, layer: int) -> None:
        """Fills the free cells from first to last, with the word in the longest stretch that has room for it."""
        stretches = [(0, first)]
        for cell in range(first, last + 1):
            length, start = stretches[-1]
            if self._free[cell]:
                stretches[-1] = (length + 1, start)
                self._canvas.write(0, cell, glyph, layer)
            else:
                stretches.append((0, cell + 1))
        length, start = max(stretches, key=lambda stretch: stretch[0])
        if length >= len(word) + 2:
            self._canvas.write(0, start + (length - len(word)) // 2, word, layer)
