"""Does it null: the figures of the live check, of the last render, of every strip; and of two files held together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.handover.certificate import Certificate
from core.jobs.plugins import used_by
from core.measure.figures import Level
from core.measure.null import NullReport
from core.recombine.check import SessionCheck, StripChange
from tui import actions
from tui.desk.bench import Bench
from tui.panels.info import level
from tui.panels.panel import Panel, heading
from tui.widgets.rows import Cell, Row

FLOOR_DB = -120.0
LONGEST_BAR = 60
BAND_CELLS = 20
LEVEL_CELLS = 8
SOURCE, CHANGE = "─", "━"


class NullPanel(Panel[None]):
    """Source against render, live, and what the last file proved."""

    title_text = "null"
    choice_title = "back"

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    def rows(self) -> list[Row]:
        """What is known now."""
        session, check = self._bench.session, self._bench.check
        if session is None:
            return []
        rows = [heading("source against what a render would be, before its sample format")]
        if session.untouched:
            rows.append(line("verdict", "identical: nothing is edited, so every sample is the source's", "good"))
        elif self._bench.needs_stems:
            rows.append(
                line("verdict", f"a changed strip has no stem yet: {actions.key('panel.separate')} separates", "warn")
            )
        elif check is None:
            rows.append(line("verdict", "being checked", "dim"))
        if check is not None and not session.untouched:
            rows += checked(check, self.width)
            if not check.passed and (files := [each.file for each in used_by(session)]):
                what = f"unless {' or '.join(files)} does not give the same sound twice, which would do this"
                rows.insert(2, line("", what, "warn"))
        if self._bench.stem_sum_dbfs is not None:
            rows.append(
                line("stem sum", f"source less stems and residual: {level(self._bench.stem_sum_dbfs, 'dBFS peak')}")
            )
        certificate = self._bench.certificate
        if certificate is not None:
            rows.append(heading(f"the file {Path(certificate.output).name}, read back"))
            rows += proved(certificate)
        return rows

    def choose(self, key: object) -> None:
        """Nothing to choose: back."""
        del key
        self.dismiss(None)


class ComparisonPanel(Panel[None]):
    """Two files, one taken from the other."""

    title_text = "null test"
    choice_title = "back"

    def __init__(self, a: Path, b: Path, report: NullReport) -> None:
        super().__init__()
        self._a, self._b, self._report = a, b, report

    def rows(self) -> list[Row]:
        """The figures of `unbake null`."""
        report = self._report
        verdict = "passes" if report.pass_ else "FAILS"
        rows = [
            line("A", str(self._a)),
            line("B", str(self._b)),
            line("verdict", f"{verdict} at {report.threshold_dbfs:g} dBFS peak", "good" if report.pass_ else "bad"),
            line("identical", "yes, sample for sample" if report.identical else "no"),
            line("residual", of_level(report.residual)),
        ]
        if report.aligned_residual:
            rows.append(line("aligned", of_level(report.aligned_residual)))
        rows += [
            line("delay", f"{report.delay_samples:+.3f} samples (positive: B is later)"),
            line("gain", f"{report.gain_db:+.3f} dB (positive: B is louder)"),
            line("polarity", "same" if report.polarity == 1 else "inverted"),
            line("correlation", f"{report.correlation:+.6f}"),
        ]
        if not report.identical:
            rows.append(heading("bands of the difference, dBFS rms"))
            rows += [band(each.low_hz, each.high_hz, (each.rms_dbfs,), self.width) for each in report.bands]
        return rows

    def choose(self, key: object) -> None:
        """Nothing to choose: back."""
        del key
        self.dismiss(None)


def checked(check: SessionCheck, width: int) -> list[Row]:
    """The live check, in rows so wide."""
    if check.identical:
        rows = [line("verdict", "identical: the edits cancel, every sample is the source's", "good")]
    elif check.passed:
        found = "nothing at all" if check.rest_dbfs is None else f"{check.rest_dbfs:.1f} dBFS peak"
        rows = [line("verdict", f"rest exact: {found} beside source + changes (must be under -140)", "good")]
    else:
        rows = [
            line("verdict", f"the rest MOVED: {level(check.rest_dbfs, 'dBFS peak')} beside source + changes", "bad")
        ]
    change = "master stage included" if check.master_active else "the repair itself, not an error"
    rows.append(line("change", f"{of_level(check.change)}; {change}"))
    if check.overs:
        rows.append(
            line("overs", f"{check.overs} samples over full scale, peak {level(check.peak_dbfs, 'dBFS', 2)}", "warn")
        )
    for strip in check.strips:
        figures = f"peak {level(strip.peak_dbfs, 'dBFS')}, rms {level(strip.rms_dbfs, 'dBFS')}{most_of(strip)}"
        said = "nothing: it is digital silence" if strip.peak_dbfs is None else figures
        rows.append(line(f"  {strip.name}", f"adds {said}"))
    if check.bands:
        rows.append(heading(f"bands: source and change {CHANGE}, dBFS rms"))
        rows += [
            band(each.low_hz, each.high_hz, (each.source_rms_dbfs, each.change_rms_dbfs), width) for each in check.bands
        ]
    return rows


def most_of(strip: StripChange) -> str:
    """In which band a strip adds most, after a comma."""
    found = strip.strongest
    return "" if found is None else f", most in {_edge(found.low_hz)} to {_edge(found.high_hz)} Hz"


def _edge(freq_hz: float) -> str:
    return f"{freq_hz:.0f}" if freq_hz < 1000.0 else f"{freq_hz / 1000.0:.1f}k"


def proved(certificate: Certificate) -> Sequence[Row]:
    """The proof of a written file."""
    proof = certificate.certificate
    if proof.identical:
        return [line("verdict", "identical to the source, sample for sample", "good")]
    if proof.quantisation_dbfs is None:
        return [line("verdict", "not provable: a lossy format does not keep samples", "warn")]
    residual = "nothing" if proof.render_residual_dbfs is None else f"{proof.render_residual_dbfs:.2f} dBFS"
    allowed = f"rounding{' and dither' if certificate.dithered else ''} allow {proof.quantisation_dbfs:.2f}"
    verdict, style = ("rest exact", "good") if certificate.passed else ("FAILS", "bad")
    return [line("verdict", f"{verdict}: at most {residual} off source + changes; {allowed}", style)]


def line(name: str, text: str, style: str = "") -> Row:
    """A figure with its name."""
    return Row((Cell("  "), Cell(name, "dim", 14), Cell(text, style)))


def band(low_hz: float, high_hz: float, levels_db: Sequence[float | None], width: int) -> Row:
    """A band with its levels and a bar from -120 dBFS: heavy for the last level, light as far as the first reaches."""
    figures = [Cell("-" if value is None else f"{value:.1f}", "", -LEVEL_CELLS) for value in levels_db]
    room = min(LONGEST_BAR, max(0, width - BAND_CELLS - LEVEL_CELLS * len(figures) - 4))
    first, last = (_bar_cells(value, room) for value in (levels_db[0], levels_db[-1]))
    bar = (Cell(CHANGE * last, "accent"), Cell(SOURCE * (first - last), "dim"))
    return Row((Cell(f"{_edge(low_hz)} - {_edge(high_hz)} Hz", "dim", -BAND_CELLS), *figures, Cell("  "), *bar))


def _bar_cells(level_db: float | None, room: int) -> int:
    return 0 if level_db is None else round(room * min(1.0, max(0.0, 1.0 - level_db / FLOOR_DB)))


def of_level(found: Level) -> str:
    """Peak, rms and loudness."""
    if found.peak_dbfs is None:
        return "none: digital silence"
    return f"peak {level(found.peak_dbfs, 'dBFS')}, rms {level(found.rms_dbfs, 'dBFS')}, {level(found.lufs, 'LUFS')}"
