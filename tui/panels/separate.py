"""How to make the stems: which model, how many passes, on which device; or stems that another tool made."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from core.errors import UnbakeError
from core.jobs.sessions import EXTERNAL
from core.session.document import Separation, Session
from models import registry
from tui import actions
from tui.panels.form import Field, Form
from tui.paths import short

DEVICES = ("auto", "cpu", "cuda")
OVERLAPS = ("1.25", "1.5", "2", "3", "4", "8")


class Wanted(NamedTuple):
    """What the form gives: how the session's stems are made or taken in, and on which device."""

    separation: Separation
    device: str


class SeparateForm(Form[Wanted]):
    """Model, passes, device, or a folder."""

    title_text = "separate"
    go_title = "separate"

    def __init__(self, session: Session, read_only: bool) -> None:
        super().__init__()
        self._session = session
        cards, _ = registry.all_cards()
        self._cards = {name: card for name, card in cards.items() if registry.is_installed(card)}
        now = session.separation
        model = now.model if now.model in self._cards else next(iter(self._cards), "")
        choices = (now.model,) if read_only else tuple(self._cards)
        stems_from = "" if now.stems_from is None else short(now.stems_from)
        self.fields = [
            Field("model", "model", model, choices),
            Field("overlap", "passes", f"{now.overlap:g}", OVERLAPS, check=_overlap),
            Field("device", "device", "auto", DEVICES),
            Field("stems_from", "stems from", stems_from, about="instead: a folder of NAME.wav"),
            Field(
                "align", "align them", "yes" if now.align else "no", ("no", "yes"), about="take out an offset they have"
            ),
        ]
        self._describe()

    def changed(self, name: str) -> None:
        """Another model brings its own passes."""
        if name == "model":
            self.field("overlap").value = f"{self._cards[self.field('model').value].overlap:g}"
        self._describe()

    def go(self, values: dict[str, str]) -> Wanted:
        """The separation as the session will have it."""
        if values["stems_from"]:
            folder = Path(values["stems_from"]).expanduser()
            if not folder.is_dir():
                raise UnbakeError("no such folder", where=folder)
            return Wanted(self._external(str(folder.absolute()), values["align"] == "yes"), values["device"])
        card = self._cards.get(values["model"])
        if card is None:
            raise UnbakeError("no model is installed", remedy=f"{actions.key('panel.models')} lists the models")
        overlap = _overlap(values["overlap"])
        now = self._session.separation
        same = (now.model, now.overlap, now.stems_from) == (card.name, overlap, None)
        separation = now if same else Separation(model=card.name, stems=card.stems, overlap=overlap)
        return Wanted(separation, values["device"])

    def _external(self, folder: str, align: bool) -> Separation:
        now = self._session.separation
        if (now.stems_from, now.align) == (folder, align):
            return now
        return Separation(model=EXTERNAL, stems_from=folder, align=align)

    def _describe(self) -> None:
        card = self._cards.get(self.field("model").value)
        self.field("model").about = "" if card is None else ", ".join(card.stems)


def _overlap(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.25 <= value <= 16.0:
        raise UnbakeError("passes are a number from 1.25 to 16", where=text)
    return value
