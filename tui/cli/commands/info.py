"""`unbake info`."""

from __future__ import annotations

from argparse import Namespace

from core.jobs.inspect import inspect
from core.measure.inspect import Fault
from tui.cli.terminal import drive, duration, emit, level, table


def run(options: Namespace) -> int:
    """Format, length, loudness, faults."""
    report = drive(inspect(options.file), options)
    rows = [
        ("file", report.path),
        ("format", f"{report.format} {report.subtype}, {report.sample_rate} Hz, {report.channels} channels"),
        ("length", f"{duration(report.seconds)} ({report.frames} frames)"),
        ("loudness", f"{level(report.lufs_i, 'LUFS')}, range {level(report.lra_lu, 'LU')}"),
        ("peak", f"{level(report.true_peak_dbtp, 'dBTP')} true, {level(report.sample_peak_dbfs, 'dBFS')} sample"),
        ("correlation", "-" if report.correlation is None else f"{report.correlation:+.3f}"),
    ]
    if report.streams:
        first, *others = report.streams
        rows.insert(3, ("streams", ", ".join([f"{first} (measured)", *others])))
    rows += [(fault.severity, _told(fault)) for fault in report.faults]
    emit(options, report, table(rows))
    return 0


def _told(fault: Fault) -> str:
    sure = (
        "" if fault.confidence is None else f" (confidence {fault.confidence:.0%}; unbake clean --steps {fault.step})"
    )
    return f"{fault.kind}: {fault.detail}{sure}"
