"""The stem store: what it holds, and making room."""

from __future__ import annotations

from typing import ClassVar

from core.atomic import size_in_words
from core.errors import UnbakeError
from core.jobs import messages
from core.jobs.store import Holding
from tui.jobs import Jobs, JobStoppedError
from tui.panels.ask import Answer, Ask
from tui.panels.panel import Panel
from tui.paths import short
from tui.widgets.line import Piece
from tui.widgets.rows import Cell, Row

KINDS = {"stems": "good", "partial": "accent", "damaged": "bad", "newer": "warn"}


class StorePanel(Panel[None]):
    """Lists the entries; removes the chosen one."""

    title_text = "stem store"
    choice_title = "back"
    hints: ClassVar[tuple[str, ...]] = ("list.choose", "list.filter", "list.remove", "list.close")
    empty = "looking into the store ..."

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._held: Holding | None = None

    def begin(self) -> None:
        """Asks for the list."""
        self.run_worker(self._look())

    def about(self) -> list[Piece]:
        """How much it is."""
        if self._held is None:
            return []
        return [(f"  {size_in_words(self._held.bytes)} in {short(self._held.folder)}", "$foreground 60%")]

    def rows(self) -> list[Row]:
        """One line an entry."""
        return [
            Row(
                (
                    Cell("  "),
                    Cell(each.source or "?", "name", 34),
                    Cell(f"  {each.kind}", KINDS[each.kind], 10),
                    Cell(size_in_words(each.bytes), "", -10),
                    Cell(f"  {each.days:.0f} days  ", "dim", -12),
                    Cell("in use " if each.in_use else "", "warn"),
                    Cell(f"{each.model}: {', '.join(each.stems)}", "dim"),
                ),
                key=each.id,
            )
            for each in (self._held.entries if self._held else ())
        ]

    def choose(self, key: object) -> None:
        """Nothing to choose: back."""
        del key
        self.dismiss(None)

    def action_list_remove(self) -> None:
        """Removes the chosen entry, after asking."""
        if isinstance(self.list.chosen_key, str):
            self.run_worker(self._remove(self.list.chosen_key))

    async def _remove(self, entry: str) -> None:
        if await self.app.push_screen_wait(Ask("Remove these stems? They can be made again.", [Answer("r", "remove")])):
            try:
                cleared = await self._jobs.run(
                    messages.PruneStore(ids=(entry,)), "making room", lane="analysis", quiet=True
                )
            except (UnbakeError, JobStoppedError) as error:
                self.app.notify(str(error), severity="error", markup=False)
            else:
                self.app.notify(f"{size_in_words(cleared.bytes_freed)} freed")
            await self._look()

    async def _look(self) -> None:
        try:
            self._held = await self._jobs.run(messages.ListStore(), "looking", lane="analysis", quiet=True)
        except (UnbakeError, JobStoppedError) as error:
            self.list.show([], empty=f"  {error}")
        else:
            self.list.show(self.list.rows, empty="  the store is empty")
            self.renew()
