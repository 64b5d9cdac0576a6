"""Where sound goes: the listening page with its ssh line, the sound cards of this machine, and how it is going."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.audition.messages import Open
from tui.panels.panel import Panel, paragraph
from tui.widgets.rows import Cell, Row

if TYPE_CHECKING:
    from tui.desk.bench import Bench

PAGE = "the listening page"


class OutletsPanel(Panel[Open]):
    """Gives the way out to open."""

    title_text = "where to listen"
    choice_title = "listen there"

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    def show_progress(self) -> None:
        """Somebody came to the page, a block came late, the cards are known."""
        self.renew(self.list.chosen)

    def rows(self) -> list[Row]:
        """The page, then the cards."""
        outlet, cards = self._bench.outlet, self._bench.cards
        page = outlet is not None and outlet.way == "browser"
        rows = [self._row(PAGE, page, "in a browser on your own machine, over ssh", Open("browser"))]
        if cards is None:
            return [*rows, Row((Cell("  "), Cell("the sound cards are being looked for", "dim")), choice=False)]
        for name, channels, rate in cards.cards:
            here = outlet is not None and outlet.way == "card" and outlet.device == name
            rows.append(self._row(name, here, f"{channels} channels, {rate} Hz", Open("card", name)))
        if not cards.cards:
            rows.append(Row((Cell("  "), Cell(cards.why or "this machine has no sound card", "dim")), choice=False))
        return rows

    def detail(self, key: object) -> Sequence[Row]:
        """How it is going, where it is open."""
        outlet, heard = self._bench.outlet, self._bench.heard
        if outlet is None or not isinstance(key, Open) or (key.way, key.device or "") != (outlet.way, outlet.device):
            return self.unread()
        lines = []
        if outlet.way == "browser":
            lines += [("type", f"{outlet.tunnel} (in your clipboard)"), ("then open", outlet.url)]
            pages = f"{heard.pages} open; the one that came first has the controls" if heard.pages else "none is open"
            lines.append(("pages", f"{pages}{'; it waits for a click' if heard.suspended else ''}"))
        if heard.context_rate:
            rate = f"{heard.context_rate:.0f} Hz"
            other = round(heard.context_rate) != self._bench.sample_rate
            by = "the browser" if outlet.way == "browser" else "unbake"
            lines.append(("rate", f"{rate}, resampled by {by}" if other else f"{rate}, as the file"))
        if heard.caveat:
            lines.append(("caution", heard.caveat))
        if outlet.way == "card":
            lines.append(("late", f"{heard.late} blocks since it was opened" if heard.late else "nothing came late"))
        return [*self.unread(), *(row for name, text in lines for row in paragraph(name, text, self.room))]

    def choose(self, key: object) -> None:
        """Gives the way."""
        self.dismiss(key if isinstance(key, Open) else None)

    @staticmethod
    def _row(name: str, here: bool, about: str, way: Open) -> Row:
        state = Cell("listening" if here else "", "good", 12)
        return Row((Cell("  "), Cell(name, "name", 32), state, Cell(about, "dim")), key=way)
