"""The networks: what they split into, whether their weights are here, under which licence."""

from __future__ import annotations

from collections.abc import Sequence

from core.atomic import size_in_words
from models import registry
from tui.panels.panel import Panel, paragraph
from tui.widgets.rows import Cell, Row


class ModelsPanel(Panel[None]):
    """Reads the cards."""

    title_text = "models"
    choice_title = "back"

    def __init__(self) -> None:
        super().__init__()
        found, self._broken = registry.all_cards()
        self._cards = tuple(found.values())

    def rows(self) -> list[Row]:
        """One line a model."""
        rows = []
        for card in self._cards:
            here = registry.is_installed(card)
            size = sum(item.bytes for item in card.weights)
            cells = (
                Cell("  "),
                Cell(card.name, "name", 18),
                Cell("installed" if here else "not here", "good" if here else "warn", 9),
                Cell(size_in_words(size) if size else "no weights", "", -11),
                Cell("  "),
                Cell(", ".join(card.stems), "", 28),
                Cell("  "),
                Cell(card.licence, "dim"),
            )
            rows.append(Row(cells, key=card.name))
        return rows + [Row((Cell("  ! ", "bad"), Cell(problem, "bad")), choice=False) for problem in self._broken]

    def detail(self, key: object) -> Sequence[Row]:
        """The card."""
        card = next((each for each in self._cards if each.name == key), None)
        if card is None:
            return ()
        lines = [
            ("about", card.about),
            ("caution", card.caution),
            ("network", f"{card.architecture}, {card.sample_rate} Hz, {card.overlap:g} passes"),
            ("licence", card.licence),
            ("source", card.source),
            *((score.metric, _score(score)) for score in card.scores),
        ]
        return [row for name, text in lines if text for row in paragraph(name, text, self.room)]

    def choose(self, key: object) -> None:
        """Nothing to do with a model here: back."""
        del key
        self.dismiss(None)


def _score(score: registry.Score) -> str:
    values = ", ".join(f"{stem} {value:g}" for stem, value in score.values.items())
    return f"{values} dB on {score.test_set} ({score.source})"
