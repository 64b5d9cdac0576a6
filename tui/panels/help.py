"""Every key, by group, then every processor with its parameters: from the registry and the processors' words."""

from __future__ import annotations

from core.session import parameters
from tui import actions
from tui.panels.panel import Panel, heading
from tui.widgets.rows import Cell, Row


class HelpPanel(Panel[None]):
    """Reads like a page; Enter closes it."""

    title_text = "keys"
    choice_title = "back"

    def __init__(self, pane: str, sample_rate: int) -> None:
        super().__init__()
        self._pane = pane
        self._sample_rate = sample_rate

    def rows(self) -> list[Row]:
        """First the keys of the pane one comes from, then all of them."""
        rows = [heading(f"here ({self._pane})")]
        rows += [self._line(action) for action in actions.in_footer(self._pane)]
        for group, members in actions.groups().items():
            rows.append(heading(group))
            rows += [self._line(action) for action in members]
        rows.append(heading(f"processors: {actions.key('chain.insert')} inserts one"))
        for kind in parameters.master_kinds():
            rows.append(Row((Cell("  "), Cell(parameters.title_of(kind), "name", 16), Cell(parameters.about_of(kind)))))
            for parameter in parameters.parameters_of(kind):
                if parameter.name != "bypass":
                    possible = parameters.possible(parameter, self._sample_rate)
                    cells = (Cell("", "", 4), Cell(parameter.title, "", 14), Cell(possible, "", 22))
                    rows.append(Row((*cells, Cell("  "), Cell(parameter.about, "dim"))))
        return rows

    def choose(self, key: object) -> None:
        """Nothing to choose: back."""
        del key
        self.dismiss(None)

    def _line(self, action: actions.Action) -> Row:
        keymap = getattr(self.app, "keymap", {})
        keys = "  ".join(actions.shown(key) for key in actions.keys_of(action, keymap))
        cells = (Cell("  "), Cell(action.title, "name", 14), Cell(keys, "accent", 13), Cell(" "), Cell(action.about))
        return Row((*cells, Cell(f"  {action.id}", "dim")))
