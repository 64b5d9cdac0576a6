"""`unbake clean`."""

from __future__ import annotations

from argparse import Namespace

from core.errors import UnbakeError
from core.jobs.clean import CleanReport, CleanRequest, StepOutcome, clean_file
from tui.cli.terminal import drive, emit, level, table


def run(options: Namespace) -> int:
    """A file through the clean-up bench."""
    if options.find and options.removed is None and (options.overs or options.subtype):
        raise UnbakeError("--find writes no cleaned file", remedy="leave --subtype and --overs out, or say -o OUT")
    request = CleanRequest(
        steps=options.steps,
        preset=options.preset,
        values=tuple(options.values),
        removed=options.removed,
        subtype=options.subtype,
        overs=options.overs,
        device=options.device,
    )
    report = drive(clean_file(options.file, options.output, request, force=options.force), options)
    emit(options, report, table(_rows(report)))
    return 0


def _rows(report: CleanReport) -> list[tuple[str, ...]]:
    only_found = report.output is None and report.removed is None
    passed_over = "" if only_found else ", not done unasked"
    rows: list[tuple[str, ...]] = [(step.finding.type, _told(step, passed_over)) for step in report.steps]
    if report.output is not None:
        rows.append(("written", f"{report.output}, {report.subtype}"))
    if report.removed is not None:
        rows.append(("taken away", report.removed))
    if not only_found:
        rows.append(("changed", _changed(report)))
    if report.overs:
        lowered = f"; the whole is {-report.trim_db:.3f} dB lower" if report.trim_db else ""
        rows.append(("overs", f"{report.overs} samples, peak {level(report.peak_dbfs, 'dBFS')}{lowered}"))
    rows.append(("took", f"{report.seconds:.1f} s, {report.realtime_factor:.1f}x real time"))
    return rows


def _changed(report: CleanReport) -> str:
    if report.identical:
        return "nothing, sample for sample"
    samples = report.frames * report.channels
    return f"{report.changed_samples} samples of {samples} ({100.0 * report.changed_samples / samples:.3g}%)"


def _told(step: StepOutcome, passed_over: str) -> str:
    finding = step.finding
    if not step.carried_out:
        sure = f" (confidence {finding.confidence:.0%}{passed_over})" if finding.found else ""
        return f"{finding.detail}{sure}"
    share = "" if step.strength == 1.0 else f" at {step.strength:.0%} strength"
    taken = level(step.removed_rms_dbfs, "dBFS")
    return f"{finding.detail} (confidence {finding.confidence:.0%}); taken away{share}: {taken} rms"
