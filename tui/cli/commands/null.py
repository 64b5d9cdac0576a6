"""`unbake null`."""

from __future__ import annotations

from argparse import Namespace

from core.errors import UnbakeError
from core.measure import tell
from core.measure.null import NullReport, null_test
from tui.cli.terminal import drive, emit, table


def run(options: Namespace) -> int:
    """Exit 1 when the difference is above the threshold."""
    listen, force = options.listen, options.force
    if force and listen is None:
        raise UnbakeError("--force is about an output", remedy="give --listen OUT too")
    if options.quick and (options.align or options.bands or options.window is not None):
        raise UnbakeError("--quick measures identity, peak and rms only", remedy="leave --quick away")
    operation = null_test(
        options.a,
        options.b,
        threshold_dbfs=options.threshold,
        align=options.align,
        **({} if options.window is None else {"window_seconds": options.window}),
        from_seconds=options.from_seconds,
        to_seconds=options.to_seconds,
        quick=options.quick,
        listen=listen,
        force=force,
    )
    report = drive(operation, options)
    emit(options, report, table(_rows(report, options)))
    return 0 if report.pass_ else 1


def _rows(report: NullReport, options: Namespace) -> list[tuple[str, str]]:
    rows = tell.of_null(report, quick=options.quick)
    if options.listen is not None:
        rows.append(("written", str(options.listen)))
    if options.bands:
        rows += tell.of_bands(report.bands)
    if options.window is not None:
        rows += tell.of_windows(report.windows)
    return rows
