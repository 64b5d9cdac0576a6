"""A list of rows with a cursor: lanes, chains, panels and forms are all drawn by it.

It only draws and scrolls. Which row is chosen is told by `chosen`, and said by `Chosen` when the mouse did it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

STYLES = ("dim", "name", "value", "accent", "good", "warn", "bad", "head", "wave")
CURSOR = "▸"
"""What stands at the start of the chosen row: its ground alone would be a sign in colour only."""


class Cell(NamedTuple):
    """A piece of a row: its text, one of STYLES or "", and the width it is padded or cut to (0: as long as it is).

    A negative width sets it flush right.
    """

    text: str
    style: str = ""
    width: int = 0


class Row(NamedTuple):
    """One row. `key` is whatever its owner knows it by; a row that is no choice is passed over by the cursor.

    `below` are the row's further lines, in a list whose rows have more than one.
    """

    cells: tuple[Cell, ...]
    key: object = None
    choice: bool = True
    below: tuple[tuple[Cell, ...], ...] = ()


def row(*cells: Cell | str, key: object = None, choice: bool = True) -> Row:
    """A row of cells or plain texts."""
    return Row(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells), key, choice)


class Rows(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows, the chosen one among them, all of `pitch` lines. Only rows that changed are drawn again."""

    DEFAULT_CSS = """
    Rows {
        scrollbar-size-vertical: 1;
        scrollbar-background: $surface; scrollbar-background-hover: $surface; scrollbar-background-active: $surface;
        scrollbar-color: $panel; scrollbar-color-hover: $primary; scrollbar-color-active: $primary;
        & > .rows--cursor { background: $primary 30%; text-style: bold; }
        & > .rows--resting { background: $panel; }
        &:ansi > .rows--cursor { text-style: reverse; }
        & > .rows--dim { color: $foreground 60%; }
        & > .rows--name { color: $primary; }
        & > .rows--value { color: $foreground; text-style: bold; }
        & > .rows--accent { color: $accent; }
        & > .rows--good { color: $success; }
        & > .rows--warn { color: $warning; }
        & > .rows--bad { color: $error; }
        & > .rows--head { color: $secondary; text-style: bold; }
        & > .rows--wave { color: $primary 80%; }
    }
    """
    COMPONENT_CLASSES = {f"rows--{name}" for name in (*STYLES, "cursor", "resting")}  # noqa: RUF012

    class Chosen(Message):
        """A row was clicked; `again` when it was the chosen one already."""

        def __init__(self, rows: Rows, index: int, again: bool) -> None:
            super().__init__()
            self.rows = rows
            self.index = index
            self.again = again

        @property
        def control(self) -> Rows:
            """The list it was clicked in."""
            return self.rows

    def __init__(self, *, id: str | None = None, classes: str | None = None, empty: str = "") -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._rows: tuple[Row, ...] = ()
        self._chosen = -1
        self._empty = empty
        self._pitch = 1
        self._styles_of: dict[str, Style] = {}

    @property
    def chosen(self) -> int:
        """Number of the chosen row; -1 when there is nothing to choose."""
        return self._chosen

    @property
    def chosen_key(self) -> object:
        """What the chosen row's owner knows it by; None when there is none."""
        return self._rows[self._chosen].key if 0 <= self._chosen < len(self._rows) else None

    @property
    def width(self) -> int:
        """Cells of a line: those that a scrollbar leaves."""
        return self.scrollable_content_region.width

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is shown."""
        return self._rows

    def show(
        self, rows: Sequence[Row], chosen: int | None = None, *, empty: str | None = None, pitch: int | None = None
    ) -> None:
        """Draws rows; those that are as before stay on the screen as they are."""
        before, self._rows = self._rows, tuple(rows)
        if pitch is not None and pitch != self._pitch:
            self._pitch, before = pitch, ()
        if empty is not None and empty != self._empty:
            self._empty = empty
            if not rows:
                self.refresh()
        if len(before) != len(self._rows):
            self.virtual_size = Size(0, len(self._rows) * self._pitch)
            self.refresh()
        else:
            for number, (old, new) in enumerate(zip(before, self._rows, strict=True)):
                if old != new:
                    self._redraw(number)
        self.choose(self._chosen if chosen is None else chosen)

    def choose(self, index: int, *, scroll: bool = True) -> None:
        """Puts the cursor on a row, or on the nearest that is a choice."""
        index = self._nearest(index)
        if index != self._chosen:
            before, self._chosen = self._chosen, index
            self._redraw(before)
            self._redraw(index)
        if scroll and index >= 0:
            height, top, y = self.size.height, self.scroll_offset.y, index * self._pitch
            if top and index == self._nearest(0) and y < height:
                self.scroll_to(y=0, animate=False)  # the heading above the first choice too
            elif height and not top <= y <= top + height - self._pitch:
                self.scroll_to(y=max(0, y - height // 2), animate=False)

    def step(self, by: int) -> int:
        """Moves the cursor by so many choices and gives where it is."""
        choices = [number for number, each in enumerate(self._rows) if each.choice]
        if choices:
            place = choices.index(self._chosen) if self._chosen in choices else 0
            self.choose(choices[min(max(place + by, 0), len(choices) - 1)])
        return self._chosen

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        width = self.width
        number, line = divmod(y + self.scroll_offset.y, self._pitch)
        if not self._rows:
            text = self._empty if y == 0 else ""
            return Strip([Segment(set_cell_size(text, width), self.get_component_rich_style("rows--dim"))], width)
        if number >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        cells = self._line(number, line)
        plain, ground = self.rich_style, Style()
        if number == self._chosen:
            ground = self._style("cursor" if self.has_focus else "resting")
        segments, used = [], 0
        for cell in cells:
            text = cut(fit(cell.text, cell.width), width - used)
            used += cell_len(text)
            style = plain + self._style(cell.style) if cell.style else plain
            segments.append(Segment(text, style + ground))
        segments.append(Segment(" " * (width - used), plain + ground))
        return Strip(segments, width)

    def _line(self, number: int, line: int) -> tuple[Cell, ...]:
        """The cells of one line of a row, the sign of the cursor where the chosen one leaves room for it."""
        row = self._rows[number]
        cells = row.cells if line == 0 else row.below[line - 1] if line <= len(row.below) else ()
        if number != self._chosen or line or not cells:
            return cells
        text = fit(cells[0].text, cells[0].width)
        if not text.startswith(" "):
            return cells
        sign = Cell(CURSOR, "accent" if self.has_focus else "dim")
        return (sign, Cell(text[1:], cells[0].style), *cells[1:])

    def hidden(self, index: int) -> str:
        """The text of a row from the first cell on that there was no room for; nothing when all of it is seen."""
        if not 0 <= index < len(self._rows):
            return ""
        used, cells = 0, self._rows[index].cells
        for place, cell in enumerate(cells):
            used += cell_len(cell.text.rstrip()) if place == len(cells) - 1 else cell_len(fit(cell.text, cell.width))
            if used > self.width or (cell.width and cell_len(cell.text) > abs(cell.width)):
                return " ".join("".join(each.text for each in cells[place:]).split())
        return ""

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._styles_of.clear()

    def _style(self, name: str) -> Style:
        """A style of STYLES in the theme's colours; a cursor is a ground and nothing else."""
        if name not in self._styles_of:
            found = self.get_component_rich_style(f"rows--{name}")
            ground = name in ("cursor", "resting")
            self._styles_of[name] = (
                Style(bgcolor=found.bgcolor, bold=found.bold, reverse=found.reverse)
                if ground
                else Style(color=found.color, bold=found.bold)
            )
        return self._styles_of[name]

    def on_focus(self) -> None:
        """The cursor shows where keys go."""
        self._redraw(self._chosen)

    def on_blur(self) -> None:
        """The cursor rests."""
        self._redraw(self._chosen)

    def on_click(self, event: events.Click) -> None:
        """Chooses the row under the mouse."""
        number = (event.y + self.scroll_offset.y) // self._pitch
        if 0 <= number < len(self._rows) and self._rows[number].choice:
            again = number == self._chosen
            self.choose(number, scroll=False)
            self.post_message(self.Chosen(self, number, again))

    def on_resize(self) -> None:
        """The cursor stays in sight."""
        self.choose(self._chosen)
        self.call_after_refresh(self._level_scrollbar)

    def _level_scrollbar(self) -> None:
        """A bar that was hidden meanwhile was not told where the rows are."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = self.scroll_y

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling draws everything again."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh()

    def _nearest(self, index: int) -> int:
        choices = [number for number, each in enumerate(self._rows) if each.choice]
        return min(choices, key=lambda number: abs(number - index)) if choices else -1

    def _redraw(self, number: int) -> None:
        y = number * self._pitch - self.scroll_offset.y
        if number >= 0 and -self._pitch < y < self.size.height:
            self.refresh(Region(0, max(0, y), self.size.width, self._pitch + min(0, y)))


def cut(text: str, room: int) -> str:
    """A text cut to the room that there is; an ellipsis where more than blanks went."""
    if cell_len(text) <= room:
        return text
    return fit(text.rstrip(), room) if room > 0 else ""


def fit(text: str, width: int) -> str:
    """A text padded or cut to a width; cut ones end in an ellipsis. Negative widths set it flush right."""
    if width == 0:
        return text
    room, taken = abs(width), cell_len(text)
    if taken > room:
        return set_cell_size(text, room - 1) + "…" if room > 1 else set_cell_size(text, room)
    return " " * (room - taken) + text if width < 0 else text + " " * (room - taken)
