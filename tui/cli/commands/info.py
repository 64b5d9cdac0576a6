"""`unbake info`."""

from __future__ import annotations

from argparse import Namespace

from core.measure.inspect import inspect_file
from tui.cli.terminal import drive, duration, emit, level, table


def run(options: Namespace) -> int:
    """Format, length, loudness, faults."""
    report = drive(inspect_file(options.file), options)
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
    rows += [(fault.severity, f"{fault.kind}: {fault.detail}") for fault in report.faults]
    emit(options, report, table(rows))
    return 0
