"""A list to choose from, over the desk: filter, cursor, details. Panels with a subject are made from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Input

from tui import actions
from tui.panels.over import OverDesk
from tui.widgets.line import Line, Piece, spread
from tui.widgets.rows import Cell, Row, Rows

Result = TypeVar("Result")

LINES_AROUND = 3
"""Title, filter and keys."""
LEAST_LINES = 16
WIDEST = 130
LARGE_SCREEN_LINES = 30
"""From so many on, a panel lets the desk be seen around it."""


class Panel(OverDesk[Result]):
    """Rows with a filter above and details below. Subclasses give `title_text`, `rows`, `detail` and `choose`.

    On a large screen it is as high as what it has shown so far needs, so that filtering does not make it jump.
    """

    DEFAULT_CSS = """
    Panel { align: center middle;
        & > Vertical { width: 100%; max-width: WIDEST; height: 100%; background: $surface; }
        & .title { background: $panel; }
        & Input { border: none; height: 1; padding: 0 1; background: $panel; display: none; }
        & Input:focus { border: none; }
        & #list { height: 1fr; }
        & #detail { height: auto; max-height: 50%; border-top: solid $panel; display: none; overflow: hidden; }
        & .keys { background: $panel; }
    }
    """.replace("WIDEST", str(WIDEST))
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("list")]
    title_text: str = ""
    hints: ClassVar[tuple[str, ...]] = ("list.choose", "list.filter", "list.close")
    """Actions that the panel's last line shows."""
    choice_title: str = "choose"
    empty: str = "nothing here"

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[Size, int] = {}
        """The most lines it had to show so far, by the screen's size: what has room in one depends on its width."""

    def compose(self) -> ComposeResult:
        """Title, filter, list, details, keys."""
        with Vertical():
            yield Line(classes="title")
            field = Input(placeholder="words that a line must hold", id="filter")
            field.cursor_blink = False
            yield field
            yield Rows(id="list", empty=f"  {self.empty}")
            yield Rows(id="detail")
            yield from self.below()
            yield Line(classes="keys")

    def below(self) -> ComposeResult:
        """What else a panel has, between details and keys."""
        yield from ()

    def on_mount(self) -> None:
        """Shows what there is."""
        detail = self.query_one("#detail", Rows)
        detail.can_focus = False
        self.set_focus(self.list)
        self.renew()
        self.begin()

    def begin(self) -> None:
        """What a panel does once it is there. Textual calls `on_mount` of every base, so that is not overridden."""

    def rows(self) -> Sequence[Row]:
        """Every line of the list."""
        raise NotImplementedError

    def detail(self, key: object) -> Sequence[Row]:
        """What is said of the chosen line below the list: what it had no room for, unless a panel has more to say."""
        del key
        return self.unread()

    def choose(self, key: object) -> None:
        """Does what the panel is for."""
        raise NotImplementedError

    def renew(self, chosen: int | None = None) -> None:
        """Draws the lines that the filter lets through."""
        self.query_one("#list", Rows).show(self.let_through(), chosen)
        self.query_one(".title", Line).show([(f" {self.title_text}", "bold"), *self.about()])
        self.query_one(".keys", Line).show(self._keys())
        self._renew_detail()

    def let_through(self) -> list[Row]:
        """The lines that the filter lets through."""
        wanted = self.query_one("#filter", Input).value.lower().split()
        return [each for each in self.rows() if not wanted or (each.choice and _holds(each, wanted))]

    def _fit(self, lines: int) -> None:
        """Grows to show so many lines of list and details, as far as the screen goes."""
        most = self._lines[self.size] = max(self._lines.get(self.size, LEAST_LINES), lines + LINES_AROUND)
        if self.size.height:
            small = self.size.height < LARGE_SCREEN_LINES
            self.query_one(Vertical).styles.height = self.size.height if small else min(self.size.height, most)

    def about(self) -> Sequence[Piece]:
        """What stands beside the title."""
        return ()

    @property
    def composed(self) -> bool:
        """Whether there is anything to draw on yet: who opens a panel may be told something at once."""
        return bool(self.query("#list"))

    @property
    def list(self) -> Rows:
        """The list."""
        return self.query_one("#list", Rows)

    def on_resize(self) -> None:
        """Wide and narrow lines may differ, and with them how many there are."""
        self.call_after_refresh(self.renew)

    def action_list_next(self) -> None:  # noqa: D102
        self._step(1)

    def action_list_previous(self) -> None:  # noqa: D102
        self._step(-1)

    def action_list_first(self) -> None:  # noqa: D102
        self._step(-(10**9))

    def action_list_last(self) -> None:  # noqa: D102
        self._step(10**9)

    def action_list_page_down(self) -> None:  # noqa: D102
        self._step(max(1, self.list.size.height - 1))

    def action_list_page_up(self) -> None:  # noqa: D102
        self._step(-max(1, self.list.size.height - 1))

    def action_list_choose(self) -> None:  # noqa: D102
        if self.list.chosen >= 0:
            self.choose(self.list.chosen_key)

    def action_list_filter(self) -> None:  # noqa: D102
        field = self.query_one("#filter", Input)
        field.display = True
        self.set_focus(field)

    def action_list_close(self) -> None:  # noqa: D102
        self.dismiss(None)

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self.renew(0)
        names = [each.cells[1].text.lower() if len(each.cells) > 1 else "" for each in self.list.rows]
        wanted = event.value.lower().strip()
        if wanted:  # a line that is called so comes before one that only says so
            self.list.choose(next((place for place, name in enumerate(names) if name.startswith(wanted)), 0))
            self._renew_detail()

    @on(Input.Submitted, "#filter")
    def _filter_taken(self) -> None:
        self.set_focus(self.list)

    def leave_filter(self) -> None:
        """Esc in the filter: everything is shown again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self.set_focus(self.list)

    def on_key(self, event: events.Key) -> None:
        """In the filter, Esc leaves it and the arrows move the list; every other key is typed."""
        if not self.query_one("#filter", Input).has_focus:
            return
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.leave_filter()
        elif event.key in ("down", "up"):
            event.stop()
            event.prevent_default()
            self._step(1 if event.key == "down" else -1)

    @on(Rows.Chosen)
    def _clicked(self, message: Rows.Chosen) -> None:
        if message.rows is self.list:
            self._renew_detail()
            if message.again:
                self.action_list_choose()

    def _step(self, by: int) -> None:
        self.list.step(by)
        self._renew_detail()

    def _renew_detail(self) -> None:
        detail = self.query_one("#detail", Rows)
        rows = self.detail(self.list.chosen_key) if self.list.chosen >= 0 else ()
        detail.display = bool(rows)
        detail.show([each._replace(choice=False) for each in rows])
        detail.styles.height = len(rows) + 1
        self._fit(len(self.list.rows) + (len(rows) + 1 if rows else 0))

    def unread(self) -> list[Row]:
        """What the chosen line had no room for, in lines of its own."""
        return [Row((Cell(f"  {text}"),)) for text in wrapped(self.list.hidden(self.list.chosen), self.room)]

    @property
    def width(self) -> int:
        """Cells of a line, beside a scrollbar that may come."""
        return min(WIDEST, self.size.width) - 1

    @property
    def room(self) -> int:
        """Cells of a line of the details."""
        return max(20, self.width - 4)

    def _keys(self) -> list[Piece]:
        pieces: list[Piece] = []
        for action_id in self.hints:
            if action_id == "list.choose" and self.choice_title == "back":
                continue  # Esc says so already
            action = actions.by_id(action_id)
            key = actions.brief(action_id, getattr(self.app, "keymap", {}))
            title = self.choice_title if action_id == "list.choose" else action.title
            pieces += [(f" {key}", "$accent bold"), (f" {title} ", "$foreground 70%")]
        return spread(pieces, [], self.size.width)


def _holds(row: Row, wanted: Sequence[str]) -> bool:
    text = " ".join(cell.text for cell in row.cells).lower()
    return all(word in text for word in wanted)


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of so many cells at most, as far as its words are not longer."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def paragraph(name: str, text: str, width: int, cells: int = 10) -> list[Row]:
    """A text beside its name, in as many lines as it takes."""
    lines = wrapped(text, max(20, width - cells - 2))
    return [
        Row((Cell("  "), Cell("" if place else name, "dim", cells), Cell(line)), choice=False)
        for place, line in enumerate(lines)
    ]


def heading(text: str) -> Row:
    """A line between others that is no choice."""
    return Row((Cell(f" {text}", "head"),), choice=False)
