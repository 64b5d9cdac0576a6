"""The stem store as a person sees it: what it holds, and making room. How it keeps stems is `core.separation.store`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from core.errors import UnbakeError
from core.separation.store import Listed, Store

BYTES_PER_GB = 1e9


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What `unbake store list --json` prints. `bytes` is the size of all entries, which come last used first."""

    schema: int = 1
    folder: str
    bytes: int
    entries: tuple[Listed, ...]


class Clearance(msgspec.Struct, frozen=True, kw_only=True):
    """What `unbake store prune --json` prints. `kept_in_use` were asked for, but a separation is working on them."""

    schema: int = 1
    bytes_freed: int
    removed: tuple[Listed, ...]
    kept_in_use: tuple[Listed, ...]


def listing() -> Holding:
    """What the store holds. Raises UnbakeError when it can't be read."""
    store = Store()
    entries = tuple(store.listing())
    return Holding(folder=str(store.folder), bytes=sum(line.bytes for line in entries), entries=entries)


def prune(
    ids: Sequence[str] = (),
    *,
    older_than_days: float | None = None,
    keep_gb: float | None = None,
    all: bool = False,  # noqa: A002 - the word of `unbake store prune --all`
) -> Clearance:
    """Makes room as `Store.prune` does; without ids what is of no use goes, and what the options add to it.

    Raises UnbakeError for an id that fits no entry or several, and for a limit that is negative or no number.
    """
    for limit in (older_than_days, keep_gb):
        if limit is not None and not 0.0 <= limit < math.inf:
            raise UnbakeError("must be a number, 0 or more", where=str(limit))
    keep_bytes = None if keep_gb is None else int(keep_gb * BYTES_PER_GB)
    pruned = Store().prune(keep_bytes=keep_bytes, older_than_days=older_than_days, all=all, ids=ids or None)
    return Clearance(bytes_freed=pruned.bytes_freed, removed=pruned.removed, kept_in_use=pruned.kept_in_use)
