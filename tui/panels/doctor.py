"""What this machine has of all that unbake can use: the findings of `unbake doctor`, made in a worker process."""

from __future__ import annotations

from core.errors import UnbakeError
from core.jobs import messages
from core.jobs.doctor import Examination
from tui.jobs import Jobs, JobStoppedError
from tui.panels.panel import Panel
from tui.widgets.rows import Cell, Row

STATES = {"ok": ("ok", "good"), "note": ("note", "accent"), "problem": ("problem", "bad")}


class DoctorPanel(Panel[None]):
    """Asks the worker, and lists what it found."""

    title_text = "doctor"
    choice_title = "back"
    empty = "looking at this machine ..."

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._found: Examination | None = None

    def begin(self) -> None:
        """Asks."""
        self.run_worker(self._examine())

    async def _examine(self) -> None:
        try:
            self._found = await self._jobs.run(messages.Examine(), "examining", lane="analysis", quiet=True)
        except (UnbakeError, JobStoppedError) as error:
            self.list.show([], empty=f"  {error}")
        else:
            self.renew()

    def rows(self) -> list[Row]:
        """One line a finding."""
        return [
            Row((Cell("  "), Cell(each.name, "name", 16), Cell(*STATES[each.state], 9), Cell(each.detail)))
            for each in (self._found.findings if self._found else ())
        ]

    def choose(self, key: object) -> None:
        """Nothing to choose: back."""
        del key
        self.dismiss(None)
