"""`unbake clean`."""

from __future__ import annotations

from argparse import Namespace

from core.jobs.clean import CleanReport, CleanRequest, StepOutcome, clean_file
from tui.cli.terminal import drive, emit, level, table


def run(options: Namespace) -> int:
    """A file through the clean-up bench."""
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
    passed_over = "" if report.output is None else ", not done unasked"
    rows: list[tuple[str, ...]] = [(step.finding.type, _told(step, passed_over)) for step in report.steps]
    if report.output is not None:
        rows.append(("written", f"{report.output}, {report.subtype}"))
        rows.append(("changed", _changed(report)))
    if report.removed is not None:
        rows.append(("taken away", report.removed))
    if report.overs:
        rows.append(("overs", _overs(report)))
    rows.append(("took", f"{report.seconds:.1f} s, {report.realtime_factor:.1f}x real time"))
    return rows


def _overs(report: CleanReport) -> str:
    said = f"{report.overs} samples beyond full scale, peak {level(report.peak_dbfs, 'dBFS')}"
    if report.trim_db:
        return f"{said}; the whole is {-report.trim_db:.3f} dB lower for them"
    return said + ("; cut off at full scale" if report.clipped else "")


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
