"""`unbake diagnose`."""

from __future__ import annotations

from argparse import Namespace

from core.diagnosis.findings import Diagnosis, Finding
from core.jobs.diagnose import diagnose
from tui.cli.terminal import drive, emit, table


def run(options: Namespace) -> int:
    """What is wrong with a master, and what would treat it."""
    operation = diagnose(
        options.file,
        model=options.model,
        precision=options.precision,
        stems_from=options.stems_from,
        align=options.align,
        device=options.device,
        reference=options.reference,
    )
    found = drive(operation, options)
    emit(options, found, in_words(found, everything=options.all))
    return 0


def in_words(diagnosis: Diagnosis, *, everything: bool = False) -> str:
    """One line a finding: what, where, how much, what would treat it."""
    told = diagnosis.findings if everything else diagnosis.found
    rows = [_row(finding) for finding in told]
    rows += [(fault.kind, "file", fault.detail) for fault in diagnosis.faults]
    if not diagnosis.found and not diagnosis.faults:
        rows.insert(0, ("nothing", "", "no figure is beyond its limit (--all shows them all)"))
    lines = [table(rows)]
    if diagnosis.estimated:
        lines.append(f"measured on stems that {diagnosis.model} estimated: what is said of a stem is an estimate, too")
    return "\n".join(lines)


def _row(finding: Finding) -> tuple[str, str, str]:
    said = finding.detail
    if finding.from_seconds is not None:
        minutes, seconds = divmod(round(finding.from_seconds), 60)
        said += f", most at {minutes}:{seconds:02d}"
    if finding.presets:
        said += f" -> {' or '.join(finding.presets)}"
    return (finding.kind if finding.found else f"({finding.kind})"), finding.strip, said
