"""`unbake demo`."""

from __future__ import annotations

from argparse import Namespace

from core.jobs.demo import demonstrate
from tui.cli.commands.repair import in_words
from tui.cli.terminal import drive, emit, level, table


def run(options: Namespace) -> int:
    """The main job on a song that is already here; exit 1 when a proof fails."""
    found = drive(demonstrate(options.output, device=options.device, force=options.force), options)
    residual = found.repaired_null.residual
    stems = f"{', '.join(found.separation.stems)} by {found.separation.model}"
    speed = "from the stem store" if found.separation.reused else f"{found.separation.realtime_factor:.1f}x real time"
    untouched = "identical" if found.untouched_null.identical else "NOT identical"
    change = f"peak {level(residual.peak_dbfs, 'dBFS')}, rms {level(residual.rms_dbfs, 'dBFS')}"
    first = [("separated", f"{stems}, {speed}"), ("untouched", f"null test against the master: {untouched}")]
    last = [("null test", f"against the master: {change}, which is what the repair changed"), ("report", found.report)]
    emit(options, found, "\n".join([table(first), "", in_words(found.repaired), table(last)]))
    return 0 if found.passed else 1
