"""A few fields to fill in, over the desk: choices go left and right, texts are typed, Enter goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from core.errors import UnbakeError
from tui import actions
from tui.panels.ask import QUIET, Typed, refusal
from tui.panels.over import OverDesk
from tui.widgets.line import Line
from tui.widgets.rows import Cell, Row, Rows

Result = TypeVar("Result")


@dataclass
class Field:
    """One line of a form. With `choices` it is one of them, else a text that `check` refuses with an UnbakeError."""

    name: str
    title: str
    value: str
    choices: Sequence[str] = ()
    about: str = ""
    check: Callable[[str], object] = field(default=str)


class Form(OverDesk[Result]):
    """Fields in rows. Subclasses give `title_text`, `fields` and `go`."""

    DEFAULT_CSS = """
    Form { align: center middle;
        & > Vertical { width: 100; max-width: 100%; height: auto; max-height: 100%; background: $surface; }
        & .title { background: $panel; }
        & Rows { height: auto; max-height: 1fr; margin: 1 0; }
        & .wrong { color: $error; text-style: bold; height: auto; padding: 0 2; display: none; }
        & .keys { background: $panel; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("form")]
    title_text: str = ""
    go_title: str = "go"

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[Field] = []

    def compose(self) -> ComposeResult:
        """Title, fields, what is wrong, keys."""
        with Vertical():
            yield Line(classes="title")
            yield Rows(id="fields")
            yield Static("", classes="wrong", markup=False)
            yield Line(classes="keys")

    def on_mount(self) -> None:
        """Shows the fields."""
        self.query_one(".title", Line).show([(f" {self.title_text}", "bold")])
        hints = (
            (actions.brief("form.go", self.keymap), self.go_title),
            (actions.brief_pair("form.previous", "form.next", self.keymap), "field"),
            (actions.brief_pair("form.less", "form.more", self.keymap), "other value"),
            (actions.brief("form.type", self.keymap), "type"),
            (actions.brief("form.close", self.keymap), "back"),
        )
        pieces = [piece for key, title in hints for piece in ((f" {key}", "$accent bold"), (f" {title} ", QUIET))]
        self.query_one(".keys", Line).show(pieces)
        self.set_focus(self.query_one("#fields"))
        self.renew()

    @property
    def keymap(self) -> actions.Keymap:
        """The user's own keys."""
        return getattr(self.app, "keymap", {})

    def go(self, values: dict[str, str]) -> Result:
        """What the form gives. Raises UnbakeError for what can't be."""
        raise NotImplementedError

    def changed(self, name: str) -> None:
        """A field has another value: others may follow it."""

    def values(self) -> dict[str, str]:
        """The values by field name."""
        return {each.name: each.value for each in self.fields}

    def field(self, name: str) -> Field:
        """The field of a name."""
        return next(each for each in self.fields if each.name == name)

    def renew(self) -> None:
        """Draws the fields."""
        rows = [
            Row(
                (
                    Cell("  "),
                    Cell(each.title, "", 15),
                    Cell("◂ " if each.choices else "  ", "dim"),
                    Cell(each.value or "none", "value" if each.value else "dim"),
                    Cell(" ▸" if each.choices else "", "dim"),
                    Cell(f"   {each.about}" if each.about else "", "dim"),
                ),
                key=each.name,
            )
            for each in self.fields
        ]
        rows_widget = self.query_one("#fields", Rows)
        rows_widget.styles.height = len(rows)
        rows_widget.show(rows)

    def action_form_next(self) -> None:  # noqa: D102
        self.query_one("#fields", Rows).step(1)

    def action_form_previous(self) -> None:  # noqa: D102
        self.query_one("#fields", Rows).step(-1)

    def action_form_less(self) -> None:  # noqa: D102
        self._turn(-1)

    def action_form_more(self) -> None:  # noqa: D102
        self._turn(1)

    def action_form_type(self) -> None:
        """Types the chosen field; a choice can be typed too."""
        each = self._chosen()

        def check(text: str) -> object:
            if each.choices and text not in each.choices:
                raise UnbakeError(f"is none of {', '.join(each.choices)}", where=text)
            return each.check(text)

        def taken(text: str | None) -> None:
            if text is not None:
                self._put(each, text)

        self.app.push_screen(Typed(each.title, each.value, check), taken)

    def action_form_go(self) -> None:
        """Carries it out, or says what is wrong."""
        try:
            result = self.go(self.values())
        except UnbakeError as error:
            wrong = self.query_one(".wrong", Static)
            wrong.display = True
            wrong.update(refusal(error))
        else:
            self.dismiss(result)

    def action_form_close(self) -> None:  # noqa: D102
        self.dismiss(None)

    @on(Rows.Chosen)
    def _clicked(self, message: Rows.Chosen) -> None:
        if message.again:
            if self._chosen().choices:
                self._turn(1)
            else:
                self.action_form_type()

    def _chosen(self) -> Field:
        return self.field(str(self.query_one("#fields", Rows).chosen_key))

    def _turn(self, by: int) -> None:
        each = self._chosen()
        if each.choices:
            place = each.choices.index(each.value) if each.value in each.choices else 0
            self._put(each, each.choices[(place + by) % len(each.choices)])

    def _put(self, each: Field, value: str) -> None:
        each.value = value
        self.query_one(".wrong", Static).display = False
        self.changed(each.name)
        self.renew()
