"""`unbake separate`."""

from __future__ import annotations

from argparse import Namespace

from core.jobs.stems import separate_to
from core.separation.separate import SeparationRequest
from tui.cli.terminal import drive, emit, level, table


def run(options: Namespace) -> int:
    """Stems and residual into a folder."""
    stems = () if options.stems is None else tuple(name.strip() for name in options.stems.split(","))
    result = drive(
        separate_to(
            options.file,
            options.output,
            SeparationRequest(
                model=options.model,
                stems=stems,
                overlap=options.overlap,
                device=options.device,
                precision=options.precision,
                compiled=options.compile,
                from_seconds=options.from_seconds,
                sensitivity=options.sensitivity,
            ),
            force=options.force,
        ),
        options,
    )
    rows = [(name, path) for name, path in result.stems.items()]
    rows += [
        ("residual", result.residual),
        ("model", f"{result.model} on {result.device}, {result.precision}, {result.overlap:g} passes"),
        ("stem sum", f"{level(result.stem_sum_residual_dbfs, 'dBFS')} off the source"),
        ("took", f"{result.seconds:.1f} s, {result.realtime_factor:.1f}x real time"),
    ]
    if result.sensitivity:
        rows.insert(-2, ("sensitivity", ", ".join(f"{name} {value:g}" for name, value in result.sensitivity.items())))
    if result.stem_sum_residual_dbfs is None:
        rows[-2] = ("stem sum", "exactly the source")
    if result.reused:
        rows[-1] = ("took", f"{result.seconds:.1f} s (from the stem store)")
    emit(options, result, table(rows))
    return 0
