"""How beats come onto a grid: strength, tempo, swing, and where the first of them goes."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, cast

from core.errors import UnbakeError
from tui.panels.form import Field, Form

AS_PLAYED = "as played"
STARTS = {"stays where it is": "stay", "goes to a bar line": "bar", "goes to the beginning": "cut"}


class GridWish(NamedTuple):
    """What was asked for: `strength` 0 to 1, `bpm` None for the beats' own, `swing` None for as it was played."""

    strength: float
    bpm: float | None
    swing: float | None
    start: Literal["stay", "bar", "cut"]


class GridForm(Form[GridWish]):
    """Gives a wish."""

    title_text = "bring the beats onto a grid"
    go_title = "straighten"

    def __init__(self, bpm: float, swing: float | None, *, local: bool = False) -> None:
        super().__init__()
        if local:
            self.title_text = "bring the beats of the loop onto a grid"
        own = f"own, {bpm:.2f}"
        played = "" if swing is None else f": {swing:.2f}"
        self.fields = [
            Field("strength", "strength", "100%", about="0% leaves all as it was played", check=percent),
            Field("bpm", "BPM", own, about="= types another tempo", check=tempo),
            Field("swing", "swing", AS_PLAYED + played, about="= types one: 1 is straight, 2 a triplet", check=ratio),
            Field("start", "first bar", next(iter(STARTS)), tuple(STARTS)),
        ]
        if local:  # its ends stay
            self.fields = [each for each in self.fields if each.name in ("strength", "swing")]

    def go(self, values: dict[str, str]) -> GridWish:
        """What the fields say."""
        start = cast("Literal['stay', 'bar', 'cut']", STARTS.get(values.get("start", ""), "stay"))
        return GridWish(percent(values["strength"]), tempo(values.get("bpm", "")), ratio(values["swing"]), start)


def percent(text: str) -> float:
    """`80%`, `80` or `0.8` as a share of 1; a number up to 1 without a sign is a share. Raises UnbakeError."""
    value = number(text.rstrip("% "))
    share = value / 100.0 if "%" in text or value > 1.0 else value
    if not 0.0 <= share <= 1.0:
        raise UnbakeError(f"a strength of {text}", remedy="0% (as played) to 100% (on the grid)")
    return share


def tempo(text: str) -> float | None:
    """A tempo; None for `own`. Raises UnbakeError."""
    if not text.strip() or text.strip().startswith("own"):
        return None
    value = number(re.sub(r"\s*bpm\s*$", "", text, flags=re.IGNORECASE))
    if not 1.0 <= value <= 1000.0:
        raise UnbakeError(f"a tempo of {text}", remedy="1 to 1000 BPM")
    return value


def ratio(text: str) -> float | None:
    """A swing; None for `as played`. Raises UnbakeError."""
    if not text.strip() or text.strip().startswith(AS_PLAYED):
        return None
    value = number(text)
    if not 0.25 <= value <= 4.0:
        raise UnbakeError(f"a swing of {text}", remedy="0.25 to 4; 1 is straight, 2 a triplet")
    return value


def number(text: str) -> float:
    """A plain number, with a point or a comma. Raises UnbakeError."""
    found = text.strip().replace(",", ".")
    if not re.fullmatch(r"\d{1,6}(\.\d*)?|\.\d+", found):
        raise UnbakeError(f"{text.strip()!r} is no number")
    return float(found)
