"""The palette: any action by its name, or a value by its path, such as strips.bass.gain_db=-2."""

from __future__ import annotations

from textual import on
from textual.widgets import Input

from tui import actions
from tui.panels.panel import Panel
from tui.widgets.rows import Cell, Row


class PalettePanel(Panel[str]):
    """Gives an action's id, or the typed PATH=VALUE."""

    title_text = "do"
    choice_title = "do it"

    def begin(self) -> None:
        """Typing is what it is for."""
        field = self.query_one("#filter", Input)
        field.placeholder = "an action, or PATH=VALUE such as strips.bass.gain_db=-2"
        field.display = True
        self.set_focus(field)

    def rows(self) -> list[Row]:
        """Every action of the desk."""
        keymap = getattr(self.app, "keymap", {})
        return [
            Row(
                (
                    Cell("  "),
                    Cell(action.title, "name", 14),
                    Cell(actions.brief(action.id, keymap), "accent", 10),
                    Cell(action.about),
                    Cell(f"  {action.id}", "dim"),
                ),
                key=action.id,
            )
            for action in actions.ACTIONS
            if action.where == "desk" and action.id != "app.palette"
        ]

    def choose(self, key: object) -> None:
        """Gives the action."""
        self.dismiss(str(key))

    @on(Input.Submitted, "#filter")
    def _typed(self, event: Input.Submitted) -> None:
        event.stop()
        event.prevent_default()
        if "=" in event.value:
            self.dismiss(event.value.strip())
        elif self.list.chosen >= 0:
            self.choose(self.list.chosen_key)

    def leave_filter(self) -> None:
        """Esc closes the palette at once."""
        self.dismiss(None)
