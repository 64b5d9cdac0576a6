"""`unbake store list | prune`."""

from __future__ import annotations

from argparse import Namespace

import msgspec

from core.atomic import size_in_words
from core.separation.store import Listed, Store
from tui.cli.terminal import emit, table


def listing(options: Namespace) -> int:
    """What the store holds."""
    store = Store()
    lines = store.listing()
    total = sum(line.bytes for line in lines)
    value = {
        "schema": 1,
        "folder": str(store.folder),
        "bytes": total,
        "entries": [msgspec.to_builtins(line) for line in lines],
    }
    text = f"{store.folder}: {size_in_words(total)}"
    emit(options, value, "\n".join([text, table([_row(line) for line in lines])]) if lines else f"{text}, empty")
    return 0


def prune(options: Namespace) -> int:
    """Makes room."""
    keep = None if options.keep is None else int(options.keep * 1e9)
    ids = options.ids or None
    pruned = Store().prune(keep_bytes=keep, older_than_days=options.older_than, all=options.all, ids=ids)
    value = {
        "schema": 1,
        "bytes_freed": pruned.bytes_freed,
        "removed": [msgspec.to_builtins(line) for line in pruned.removed],
        "kept_in_use": [msgspec.to_builtins(line) for line in pruned.kept_in_use],
    }
    rows = [_row(line) for line in pruned.removed]
    text = [table(rows)] if rows else []
    text.append(f"removed {len(rows)} of the store's entries, {size_in_words(pruned.bytes_freed)}")
    if pruned.kept_in_use:
        text.append(f"kept {len(pruned.kept_in_use)} that a separation is working on")
    emit(options, value, "\n".join(text))
    return 0


def _row(line: Listed) -> tuple[str, ...]:
    state = "in use" if line.in_use else line.kind
    stems, days = ", ".join(line.stems), f"{line.days:.1f} days"
    return (line.id, state, size_in_words(line.bytes), days, line.model, stems, line.source)
