"""`unbake store list | prune`."""

from __future__ import annotations

from argparse import Namespace

from core.atomic import size_in_words
from core.jobs import store
from core.separation.store import Listed
from tui.cli.terminal import emit, table


def listing(options: Namespace) -> int:
    """What the store holds."""
    found = store.listing()
    text = f"{found.folder}: {size_in_words(found.bytes)}"
    rows = [_row(line) for line in found.entries]
    emit(options, found, "\n".join([text, table(rows)]) if rows else f"{text}, empty")
    return 0


def prune(options: Namespace) -> int:
    """Makes room."""
    found = store.prune(options.ids, older_than_days=options.older_than, keep_gb=options.keep, all=options.all)
    rows = [_row(line) for line in found.removed]
    text = [table(rows)] if rows else []
    text.append(f"removed {len(rows)} of the store's entries, {size_in_words(found.bytes_freed)}")
    if found.kept_in_use:
        text.append(f"kept {len(found.kept_in_use)} that a separation is working on")
    emit(options, found, "\n".join(text))
    return 0


def _row(line: Listed) -> tuple[str, ...]:
    state = "in use" if line.in_use else line.kind
    stems, days = ", ".join(line.stems), f"{line.days:.1f} days"
    return (line.id, state, size_in_words(line.bytes), days, line.model, line.how, stems, line.source)
