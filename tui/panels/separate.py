"""How to make stems: by which model, in how many passes, where, how exactly; or whose of another tool to take in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from core.errors import UnbakeError
from core.jobs import sessions
from core.separation import stems
from core.separation.device import PRECISIONS, Precision, check_precision
from core.session.document import Separation, Session
from tui import actions, typed
from tui.panels.form import Field, Form
from tui.paths import short

STARTER = "starter"
DEVICES = ("auto", "cpu", "cuda")
OVERLAPS = ("1.25", "1.5", "2", "3", "4", "8")


class Wanted(NamedTuple):
    """What the form gives: how the session's stems are made or taken in, and on which device."""

    separation: Separation
    device: str


class SeparateForm(Form[Wanted]):
    """Model, passes, device, precision, or a folder; and the sensitivity of stems."""

    title_text = "separate"
    go_title = "separate"

    def __init__(self, session: Session, read_only: bool) -> None:
        super().__init__()
        self._session = session
        self._models = {name: choice for name, choice in stems.choices().items() if choice.installed}
        now = session.separation
        usual = (now.model, STARTER, *self._models)
        model = next((name for name in usual if name in self._models), "")
        choices = (now.model,) if read_only else tuple(self._models)
        stems_from = "" if now.stems_from is None else short(now.stems_from)
        self.fields = [
            Field("model", "model", model, choices),
            Field("overlap", "passes", f"{now.overlap:g}", OVERLAPS, check=_overlap),
            Field("device", "device", "auto", DEVICES),
            Field("precision", "precision", now.precision, PRECISIONS),
            Field("stems_from", "stems from", stems_from, about="instead: a folder of NAME.wav"),
            Field(
                "align", "align them", "yes" if now.align else "no", ("no", "yes"), about="take out an offset they have"
            ),
            Field(
                "sensitivity",
                "sensitivity",
                typed.sensitivity_text(now.sensitivity),
                about="such as vocals=3,drums=7; 0 to 10, 5 as it came",
                check=_sensitivity,
            ),
        ]
        self._describe()

    def changed(self, name: str) -> None:
        """Another model brings its own passes, and the precision that was verified for it."""
        if name == "model":
            usual = sessions.separation_by(self.field("model").value)
            self.field("overlap").value = f"{usual.overlap:g}"
            self.field("precision").value = usual.precision
        self._describe()

    def go(self, values: dict[str, str]) -> Wanted:
        """The separation as the session will have it."""
        if values["stems_from"]:
            folder = Path(values["stems_from"]).expanduser()
            if not folder.is_dir():
                raise UnbakeError("no such folder", where=folder)
            wanted = self._external(str(folder.absolute()), values["align"] == "yes")
            return Wanted(_with_sensitivity(wanted, values["sensitivity"]), values["device"])
        model = self._models.get(values["model"])
        if model is None:
            raise UnbakeError("no model is installed", remedy=f"{actions.key('panel.models')} lists the models")
        overlap = _overlap(values["overlap"])
        now = self._session.separation
        precision = cast("Precision", values["precision"])
        check_precision(precision, values["device"])
        wanted = (model.name, overlap, precision, None)
        same = (now.model, now.overlap, now.precision, now.stems_from) == wanted
        fresh = Separation(model=model.name, stems=model.stems, overlap=overlap, precision=precision)
        return Wanted(_with_sensitivity(now if same else fresh, values["sensitivity"]), values["device"])

    def _external(self, folder: str, align: bool) -> Separation:
        now = self._session.separation
        if (now.stems_from, now.align) == (folder, align):
            return now
        return Separation(model=sessions.EXTERNAL, stems_from=folder, align=align)

    def _describe(self) -> None:
        model = self._models.get(self.field("model").value)
        self.field("model").about = "" if model is None else ", ".join(model.stems)


def _sensitivity(text: str) -> dict[str, float]:
    return typed.sensitivity(text) if text.strip() else {}


def _with_sensitivity(separation: Separation, text: str) -> Separation:
    """The separation with these figures; other figures make other stems. UnbakeError for a stem it does not make."""
    levels = _sensitivity(text)
    if levels == separation.sensitivity:
        return separation
    unknown = sorted(levels.keys() - set(separation.stems)) if separation.stems else []
    if unknown:
        stems = ", ".join(separation.stems)
        raise UnbakeError(f"{separation.model} makes no stem {unknown[0]}", remedy=f"it makes: {stems}")
    return msgspec.structs.replace(separation, sensitivity=levels, hashes={})


def _overlap(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.25 <= value <= 16.0:
        raise UnbakeError("passes are a number from 1.25 to 16", where=text)
    return value
