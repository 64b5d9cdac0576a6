"""`unbake verify`."""

from __future__ import annotations

from argparse import Namespace

from core.jobs.verify import verify
from tui.cli.terminal import drive, emit, table


def run(options: Namespace) -> int:
    """Exit 1 when anything that the certificate says is otherwise."""
    found = drive(verify(options.certificate, device=options.device), options)
    words = {True: "yes", False: "NO", None: "-"}
    rows = [(check.what, words[check.passed], check.detail) for check in found.checks]
    emit(options, found, table([("verdict", "", "holds" if found.passed else "FAILS"), *rows]))
    return 0 if found.passed else 1
