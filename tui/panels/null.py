"""Does it null: the live check of the session, the file of its last render, and any two files held together."""

from __future__ import annotations

from pathlib import Path

from core.jobs.plugins import used_by
from core.measure.null import NullReport
from core.recombine.check import SessionCheck
from tui import actions
from tui.desk.bench import Bench
from tui.panels.instrument import QUIET, Ears, Instrument
from tui.panels.panel import heading
from tui.panels.residuals import Residual, of_check, of_file, of_files, of_render, of_report, of_session
from tui.widgets.line import Piece
from tui.widgets.rows import Row

HERE = "$accent bold"


class NullPanel(Instrument):
    """Source against render: before, as the live check has it, and after, as the last written file was proved."""

    title_text = "null"

    def __init__(self, bench: Bench, ears: Ears) -> None:
        super().__init__(bench, ears)
        self._after = False
        self._last: SessionCheck | None = None
        """The last check there was: what is drawn while a new one is under way."""

    def about(self) -> list[Piece]:
        """Which side is shown, and whether it is up to date."""
        rendered = self._bench.rendered
        file = "" if rendered is None else f"after: {Path(rendered.certificate.output).name}"
        pieces = [("  before: live check ", QUIET if self._showing_file else HERE)]
        if file:
            pieces.append((f" {file} ", HERE if self._showing_file else QUIET))
        session = self._bench.session
        if self._bench.check is None and self.residuals() and session is not None and not self._showing_file:
            pieces.append((" as before the last edit: being checked", "$warning"))
        return pieces

    def residuals(self) -> list[Residual]:
        """The change and its strips; of the written file what it is off the source, and off what was predicted."""
        bench = self._bench
        if bench.rendered is not None and self._showing_file:
            return of_render(bench.rendered)
        self._last = bench.check or self._last
        if bench.session is None or bench.session.untouched or bench.needs_stems or self._last is None:
            return []
        return of_check(self._last, bench.names)

    def figures(self) -> list[Row]:
        """What the live check or the certificate says."""
        bench = self._bench
        if bench.session is None:
            return []
        if bench.rendered is not None and self._showing_file:
            return of_file(bench.rendered, bench.sample_rate, edited_since=bench.edited_since_render)
        return [
            heading("source against what a render would be, before its sample format"),
            *of_session(
                bench.session,
                bench.check,
                needs_stems=bench.needs_stems and not bench.needs_cleanup,
                stem_sum_dbfs=bench.stem_sum_dbfs,
                unsteady=[each.file for each in used_by(bench.session)],
            ),
        ]

    @property
    def view(self) -> object:
        """Before or after."""
        return self._showing_file

    @property
    def audible(self) -> bool:
        """The desk plays the session's difference: the file's where nothing was edited since."""
        return not (self._showing_file and self._bench.edited_since_render)

    @property
    def _showing_file(self) -> bool:
        return self._after and self._bench.rendered is not None

    def hinted(self) -> list[tuple[str, str]]:
        """With the other side, where there is one."""
        found = super().hinted()
        if self._bench.rendered is not None:
            found.insert(0, ("null.side", "before" if self._showing_file else "after"))
        return found

    def action_null_side(self) -> None:
        """The other side."""
        if self._bench.rendered is None:
            render = actions.key("file.render")
            self.app.notify(f"nothing was rendered yet: {render} on the desk renders", markup=False)
            return
        self._after = not self._after
        self.renew()

    def no_such(self, number: int) -> str:
        """A strip that is not changed has nothing to show."""
        names = self._bench.names[:-1]
        if self._showing_file or number > len(names):
            return super().no_such(number)
        return f"{names[number - 1]} is not changed: it adds nothing"


class ComparisonPanel(Instrument):
    """Two files, one taken from the other."""

    title_text = "null test"

    def __init__(self, bench: Bench, ears: Ears, a: Path, b: Path, report: NullReport) -> None:
        super().__init__(bench, ears)
        self._a, self._b, self._report = a, b, report

    def about(self) -> list[Piece]:
        """Which files, and whether they null."""
        verdict = ("passes", "$success") if self._report.pass_ else ("FAILS", "$error")
        return [(f"  {self._a.name} - {self._b.name}  ", QUIET), verdict]

    def residuals(self) -> list[Residual]:
        """A less B."""
        return of_report(self._report)

    def figures(self) -> list[Row]:
        """All of `unbake null`."""
        return of_files(self._a, self._b, self._report)

    @property
    def seconds(self) -> float:
        """The longer of the two files."""
        report = self._report
        if report.frames_a == report.frames_b or not report.windows:
            return report.frames_a / report.sample_rate
        return max(report.frames_a / report.sample_rate, report.windows[-1].seconds + report.window_seconds)

    @property
    def reachable(self) -> bool:
        """Whether the two are as long as the source that is open, which A must be."""
        report, located = self._report, self._bench.located
        return located is not None and located.source == self._a and report.frames_a == report.frames_b

    @property
    def audible(self) -> bool:
        """Whether what the desk plays as the difference is that of these two: B is the last render, as it was made."""
        rendered = self._bench.rendered
        if rendered is None or self._bench.edited_since_render:
            return False
        return self._b.absolute() == Path(rendered.certificate.output)
