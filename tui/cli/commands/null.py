"""`unbake null`."""

from __future__ import annotations

from argparse import Namespace

from core.errors import UnbakeError
from core.measure.null import Level, null_test
from tui.cli.terminal import drive, emit, level, table


def run(options: Namespace) -> int:
    """Exit 1 when the difference is above the threshold."""
    listen, force = options.listen, options.force
    if force and listen is None:
        raise UnbakeError("--force is about an output", remedy="give --listen OUT too")
    operation = null_test(
        options.a, options.b, threshold_dbfs=options.threshold, align=options.align, listen=listen, force=force
    )
    report = drive(operation, options)
    rows = [
        ("verdict", f"{'passes' if report.pass_ else 'FAILS'} at {report.threshold_dbfs:g} dBFS peak"),
        ("identical", "yes, sample for sample" if report.identical else "no"),
        ("residual", _of(report.residual)),
        ("delay", f"{report.delay_samples:+.3f} samples (positive: B is later)"),
        ("gain", f"{report.gain_db:+.3f} dB (positive: B is louder)"),
        ("polarity", "same" if report.polarity == 1 else "inverted"),
        ("correlation", f"{report.correlation:+.6f}"),
    ]
    if listen is not None:
        rows.append(("written", str(listen)))
    if report.aligned_residual:
        rows.insert(3, ("aligned", _of(report.aligned_residual)))
    if not report.identical:
        rows += [
            ("band", f"{band.low_hz:7.0f} - {band.high_hz:5.0f} Hz  {level(band.rms_dbfs, 'dBFS rms')}")
            for band in report.bands
        ]
    emit(options, report, table(rows))
    return 0 if report.pass_ else 1


def _of(found: Level) -> str:
    if found.peak_dbfs is None:
        return "none: digital silence"
    return f"peak {level(found.peak_dbfs, 'dBFS')}, rms {level(found.rms_dbfs, 'dBFS')}, {level(found.lufs, 'LUFS')}"
