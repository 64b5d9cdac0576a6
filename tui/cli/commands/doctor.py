"""`unbake doctor`."""

from __future__ import annotations

from argparse import Namespace

from core.jobs.doctor import examine
from tui.cli.terminal import emit, table


def run(options: Namespace) -> int:
    """What this machine has; exit 1 when something is missing that unbake needs."""
    found = examine()
    marks = {"ok": "ok", "note": "note", "problem": "PROBLEM"}
    rows = [(marks[finding.state], finding.name, finding.detail) for finding in found.findings]
    emit(options, found, table(rows))
    return 0 if found.healthy else 1
