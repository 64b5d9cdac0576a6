"""What the clean-up bench has chosen from lists: a kind of step, the model of a network, a preset's steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import UNSET

from core.session import presets, words
from core.session.presets import Preset
from models import registry
from models.registry import Card, Job
from tui import actions
from tui.panels.insert import InsertPanel
from tui.panels.panel import Panel, wrapped
from tui.widgets.rows import Cell, Row

CLEANING: tuple[Job, ...] = ("dereverb", "denoise", "decrowd")
"""What a network has to be for to be one that cleans."""


class StepsPanel(InsertPanel):
    """Gives the kind of step that was chosen."""

    title_text = "add a step"
    choice_title = "add"


class ModelChosen(NamedTuple):
    """A model by its name; none where one is to be typed."""

    name: str


class StepModels(Panel[ModelChosen]):
    """The networks that clean: those that are here, then those that could be fetched."""

    title_text = "which network"
    choice_title = "take it"

    def __init__(self) -> None:
        super().__init__()
        cards = [card for card in registry.cards().values() if set(card.jobs) & set(CLEANING)]
        self._here = {card.name: registry.is_installed(card) for card in cards}
        self._cards = sorted(cards, key=lambda card: (not self._here[card.name], card.jobs, card.name))

    def rows(self) -> list[Row]:
        """One line a network, and one for any other."""
        other = (Cell("  "), Cell("another one", "name", 34), Cell("any network by its name: say then what it keeps"))
        return [*(self._row(card) for card in self._cards), Row(other, key=ModelChosen(""))]

    def _row(self, card: Card) -> Row:
        here = self._here[card.name]
        cells = (
            Cell("  "),
            Cell(card.name, "name" if here else "dim", 34),
            Cell("here" if here else "not here", "good" if here else "dim", 10),
            Cell(", ".join(card.jobs), "" if here else "dim", 10),
            Cell(card.about, "" if here else "dim"),
        )
        return Row(cells, key=card)

    def choose(self, key: object) -> None:
        """Gives the network, if it is here."""
        if isinstance(key, ModelChosen):
            self.dismiss(key)
        elif isinstance(key, Card) and self._here[key.name]:
            self.dismiss(ModelChosen(key.name))
        elif isinstance(key, Card):
            said = f"{key.name} is not here yet: {actions.key('panel.models')} on the desk fetches it"
            self.app.notify(said, severity="warning", markup=False)


class CleanupPresets(Panel[Preset]):
    """The presets that have a clean-up; only that is taken of them."""

    title_text = "steps of a preset"
    choice_title = "take its steps"
    empty = "no preset has a clean-up"

    def __init__(self) -> None:
        super().__init__()
        self._presets = [preset for preset in presets.all_presets()[0] if preset.cleanup is not UNSET]

    def rows(self) -> list[Row]:
        """One line a preset."""
        return [
            Row((Cell("  "), Cell(preset.name, "name", 22), Cell(preset.about)), key=preset) for preset in self._presets
        ]

    def detail(self, key: object) -> Sequence[Row]:
        """Its steps."""
        if not isinstance(key, Preset) or key.cleanup is UNSET:
            return ()
        lines = wrapped(words.of_cleanup(key.cleanup), self.room)
        said = [*self.unread(), *(Row((Cell(f"  {line}"),)) for line in lines)]
        rest = [name for name, there in (("strips", key.strips), ("master stage", key.master is not UNSET)) if there]
        if rest:
            said.append(Row((Cell(f"  its {' and '.join(rest)}: {actions.key('panel.presets')} on the desk", "dim"),)))
        return said

    def choose(self, key: object) -> None:
        """Gives the preset."""
        self.dismiss(key if isinstance(key, Preset) else None)
