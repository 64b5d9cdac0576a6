"""A question with a few answers, each a key; and a field for one typed value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from core.errors import UnbakeError
from tui.panels.over import OverDesk
from tui.widgets.line import Line, spread
from tui.widgets.rows import cut

QUIET = "$foreground 70%"


def refusal(error: UnbakeError) -> str:
    """What is wrong with what was filled in, that first; where it was filled in can be seen."""
    remedy = f" ({error.remedy})" if error.remedy else ""
    return f"{error.what}{remedy}" + ("" if error.where is None else f": {error.where}")


class Answer(NamedTuple):
    """One answer: its key, and what it does."""

    key: str
    title: str


class Ask(OverDesk[str | None]):
    """Asks; gives the key of the answer, None for Esc."""

    DEFAULT_CSS = """
    Ask { align: center middle;
        & > Vertical { width: 70; max-width: 100%; height: auto; max-height: 100%; padding: 1 2; }
        & > Vertical { background: $panel; border-left: thick $accent; }
        & Static { width: 1fr; height: auto; }
        & .question { text-style: bold; margin-bottom: 1; }
        & Horizontal { height: auto; }
        & .key { width: 5; margin-right: 2; color: $accent; text-style: bold; }
    }
    """

    def __init__(self, question: str, answers: Sequence[Answer]) -> None:
        super().__init__()
        self._question = question
        self._answers = tuple(answers)

    def compose(self) -> ComposeResult:
        """The question, then a line for each answer."""
        with Vertical():
            yield Static(self._question, classes="question", markup=False)
            for answer in (*self._answers, Answer("Esc", "back")):
                with Horizontal():
                    yield Static(f"{answer.key:>5}", classes="key", markup=False)
                    yield Static(answer.title, markup=False)

    def on_key(self, event: events.Key) -> None:
        """An answer's key answers; everything else is left alone."""
        event.stop()
        if event.key == "escape":
            self.dismiss(None)
        for answer in self._answers:
            if event.character == answer.key or event.key == answer.key.lower():
                self.dismiss(answer.key)
                return


class Typed(OverDesk[str | None]):
    """A field that takes every key until Enter or Esc. `check` raises UnbakeError for what can't be."""

    DEFAULT_CSS = """
    Typed { align: center bottom; background: transparent;
        & > Vertical { width: 100%; height: auto; background: $panel; padding: 0 1; }
        & .wrong { width: 1fr; height: auto; color: $error; text-style: bold; display: none; }
        & Input { border: none; height: 1; padding: 0; background: $surface; }
        & Input:focus { border: none; }
    }
    """

    def __init__(self, title: str, value: str, check: Callable[[str], object] = str) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._check = check

    def compose(self) -> ComposeResult:
        """What is asked, the field, and what was wrong with it."""
        with Vertical():
            yield Line(classes="title")
            field = Input(self._value, select_on_focus=True)
            field.cursor_blink = False
            yield field
            yield Static("", classes="wrong", markup=False)

    def on_mount(self) -> None:
        """Typing is what it is for."""
        self.set_focus(self.query_one(Input))

    def on_resize(self) -> None:
        """What is asked at the left, the keys at the right, once there is a width."""
        keys = [("  Enter", "$accent bold"), (" takes it", QUIET), ("  Esc", "$accent bold"), (" leaves it", QUIET)]
        width = self.size.width - 2
        title = cut(self._title, width - sum(len(text) for text, _ in keys))
        self.query_one(".title", Line).show(spread([(title, "bold")], keys, width))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the field."""
        self._take(event.value)

    def on_key(self, event: events.Key) -> None:
        """Esc leaves everything as it was; a key that was sent before the field had the focus is typed into it."""
        field = self.query_one(Input)
        if event.key == "escape":
            event.stop()
            self.dismiss(None)
        elif event.is_printable and event.character:
            event.stop()
            self.set_focus(field)
            field.replace(event.character, *field.selection)

    def _take(self, text: str) -> None:
        """Gives the value, or says what is wrong with it and stays."""
        try:
            self._check(text)
        except UnbakeError as error:
            wrong = self.query_one(".wrong", Static)
            wrong.display = True
            wrong.update(refusal(error))
        else:
            self.dismiss(text)
