"""The diagnosis: what is beyond its limit, by how much, where, and the preset that would treat it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from core.diagnosis.findings import Finding
from tui import actions
from tui.desk.bench import Bench
from tui.desk.timeline import clock
from tui.jobs import Jobs
from tui.panels.panel import Panel, heading, wrapped
from tui.panels.preview import measuring
from tui.widgets.line import Piece
from tui.widgets.rows import Cell, Row

if TYPE_CHECKING:
    from core.measure.inspect import Fault

JOB_TITLE = "diagnosing"
KIND_CELLS, STRIP_CELLS, FIGURE_CELLS, LIMIT_CELLS, PLACE_CELLS, PRESET_CELLS = 17, 9, 11, 15, 6, 21
WIDE = 110
"""From so many cells on, a line has room for the words that are below it otherwise."""


class Wish(NamedTuple):
    """What the panel gives: a preset to preview by its name, or a place in seconds to go to."""

    preset: str | None = None
    seconds: float | None = None


class DiagnosisPanel(Panel[Wish]):
    """Lists findings, then what is within its limits, then faults of the file. The desk has them measured."""

    title_text = "diagnosis"
    choice_title = "preview its preset"
    hints: ClassVar[tuple[str, ...]] = ("list.choose", "list.place", "list.filter", "list.close")

    def __init__(self, bench: Bench, jobs: Jobs, *, roughly: bool = False) -> None:
        super().__init__()
        self._bench = bench
        self._jobs = jobs
        self._roughly = roughly

    def about(self) -> list[Piece]:
        """How much was found, or how far it is."""
        found = self._bench.diagnosis
        if found is None:
            said = measuring(self._jobs, JOB_TITLE, roughly=self._roughly) if self._bench.diagnosing else ""
            return [(f"  {said}", "$foreground 60%")]
        count = len(found.found)
        limits = "its limit" if count == 1 else "their limits"
        said = f"{count or 'no'} of {len(found.findings)} figures beyond {limits}"
        estimate = f"; an estimate: {found.model} estimated the stems" if found.estimated else ""
        return [(f"  {said}{estimate}", "$foreground 60%")]

    def show_progress(self) -> None:
        """The measurement got on, or is over."""
        if self.composed:
            self.renew(self.list.chosen)

    def rows(self) -> list[Row]:
        """One line a figure."""
        found, report = self._bench.diagnosis, self._bench.report
        faults = found.faults if found is not None else () if report is None else tuple(report.faults)
        if found is None:
            return [*self._missing(), *self._of_file(faults)]
        rows = [self._row(each) for each in found.found]
        if not rows:
            rows = [Row((Cell("  no figure is beyond its limit", "good"),), choice=False)]
        within = [self._row(each) for each in found.findings if not each.found]
        return [*rows, heading("within limits"), *within, *self._of_file(faults)]

    def _missing(self) -> list[Row]:
        """Why there is nothing yet."""
        if self._bench.diagnosing:
            said, style = "being measured; Esc goes back to work meanwhile", "dim"
        elif not self._bench.stems:
            separate = actions.key("panel.separate")
            said, style = f"a diagnosis hears the stems, and there are none yet: {separate} separates", "warn"
        else:
            said, style = f"not measured: {actions.key('panel.diagnosis')} on the desk measures", "dim"
        return [Row((Cell(f"  {said}", style),), choice=False)]

    @staticmethod
    def _of_file(faults: Sequence[Fault]) -> list[Row]:
        if not faults:
            return []
        return [
            heading("the file"),
            *(
                Row((Cell("  "), Cell(fault.kind.replace("_", " "), "warn", KIND_CELLS), Cell(fault.detail)), key=fault)
                for fault in faults
            ),
        ]

    def _row(self, finding: Finding) -> Row:
        quiet = "" if finding.found else "dim"
        treated = finding.presets[0] if finding.presets else ""
        cells = (
            Cell("  "),
            Cell(finding.kind.replace("_", " "), quiet or "name", KIND_CELLS),
            Cell(finding.strip, quiet, STRIP_CELLS),
            Cell(_figure(finding.value, finding.unit), quiet or "value", FIGURE_CELLS),
            Cell(_limit(finding), "dim", LIMIT_CELLS),
            Cell(_time(finding.from_seconds), quiet, PLACE_CELLS),
            Cell(treated, "accent", PRESET_CELLS if self.width >= WIDE else 0),
            Cell(finding.detail if self.width >= WIDE else "", "dim"),
        )
        return Row(cells, key=finding)

    def detail(self, key: object) -> Sequence[Row]:
        """What the figure means, where it is, and what would treat it."""
        if not isinstance(key, Finding):
            return self.unread()
        finding, said = key, key.detail
        if finding.from_seconds is not None:
            said += f"; most from {_time(finding.from_seconds)} to {_time(finding.to_seconds)}"
        elif finding.found:
            said += "; no place stands out"
        lines = wrapped(said, self.room)
        if len(finding.presets) > 1:
            others = ", ".join(finding.presets[1:])
            lines += wrapped(f"it is what {others} {'is' if len(finding.presets) == 2 else 'are'} for, too", self.room)
        elif finding.found and not finding.presets:
            lines.append("no preset treats it")
        return [Row((Cell(f"  {line}"),)) for line in lines]

    def choose(self, key: object) -> None:
        """Gives the preset of the finding."""
        if isinstance(key, Finding) and key.presets:
            self.dismiss(Wish(preset=key.presets[0]))
        else:
            within = isinstance(key, Finding) and not key.found
            self.app.notify("it is within its limit" if within else "no preset treats this", markup=False)

    def action_list_place(self) -> None:
        """Goes to where the finding is at its worst."""
        key = self.list.chosen_key
        seconds = key.from_seconds if isinstance(key, Finding) else None
        if seconds is None:
            self.app.notify("no place stands out", markup=False)
        else:
            self.dismiss(Wish(seconds=seconds))


def _figure(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".rstrip()


def _limit(finding: Finding) -> str:
    """The limit, and on which side of it figures are right; nothing where there is none to be compared with."""
    if finding.value == finding.limit:
        return ""
    above_is_wrong = finding.found == (finding.value > finding.limit)
    return f"{'at most' if above_is_wrong else 'at least'} {_figure(finding.limit, finding.unit)}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else clock(round(seconds), 1, thousandths=False)
