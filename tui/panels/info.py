"""What the file is, how loud, and what is wrong with it: the figures of `unbake info`."""

from __future__ import annotations

from core.measure.inspect import FileReport
from tui.desk.bench import Bench
from tui.desk.timeline import clock
from tui.panels.panel import Panel
from tui.paths import short
from tui.widgets.rows import Cell, Row

SEVERITIES = {"note": "accent", "warning": "warn", "error": "bad"}


class InfoPanel(Panel[None]):
    """Figures and faults."""

    title_text = "file"
    choice_title = "back"

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    def rows(self) -> list[Row]:
        """What the probe said at once, and what the measurement adds."""
        located, report = self._bench.located, self._bench.report
        if located is None:
            return []
        info = located.info
        lines = [
            ("file", short(located.source)),
            ("session", short(located.session_path)),
            ("format", f"{info.container} {info.subtype}, {info.sample_rate} Hz, {', '.join(info.speakers)}"),
            ("length", f"{clock(info.frames, info.sample_rate)} ({info.frames} frames)"),
            ("kept", "every sample, bit for bit" if info.lossless else "as decoded: a lossy format"),
        ]
        rows = [Row((Cell("  "), Cell(name, "dim", 14), Cell(text))) for name, text in lines]
        if report is None:
            return [*rows, Row((Cell("  "), Cell("loudness", "dim", 14), Cell("being measured", "dim")))]
        return rows + measured(report)

    def choose(self, key: object) -> None:
        """Nothing to choose: back."""
        del key
        self.dismiss(None)


def measured(report: FileReport) -> list[Row]:
    """The figures and the faults of a report."""
    correlation = None if report.correlation is None else f"{report.correlation:+.3f}"
    lines = [
        ("loudness", level(report.lufs_i, "LUFS-I (BS.1770-4)")),
        ("range", level(report.lra_lu, "LU (EBU Tech 3342)")),
        ("true peak", level(report.true_peak_dbtp, "dBTP")),
        ("sample peak", level(report.sample_peak_dbfs, "dBFS")),
        ("correlation", correlation or "none: mono, or a side is silent"),
    ]
    rows = [Row((Cell("  "), Cell(name, "dim", 14), Cell(text))) for name, text in lines]
    for fault in report.faults:
        style = SEVERITIES[fault.severity]
        rows.append(Row((Cell("  "), Cell(fault.severity, style, 14), Cell(f"{fault.kind}: {fault.detail}", style))))
    if not report.faults:
        rows.append(Row((Cell("  "), Cell("faults", "dim", 14), Cell("none found", "good"))))
    return rows


def level(value: float | None, unit: str, digits: int = 1) -> str:
    """A figure with its unit; a dash where there is nothing to measure."""
    return "-" if value is None else f"{value:.{digits}f} {unit}"
