"""Stems of a network that heard something else than the source, such as the source cleaned up: laid against the source.

The stems are those that the network gave; the residual is what they leave of the source itself, so that the sum law
holds, and what was taken away before the network lies in the residual.
"""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.audio.hashes import check_unchanged, fingerprint
from core.audio.probe import probe
from core.separation.assemble import file_tracks
from core.separation.separate import describe, put, reuse_or_make, stored_bytes

if TYPE_CHECKING:
    from core.events import Operation
    from core.separation.store import Recipe, StemSet, Store


class Heard(NamedTuple):
    """A file that networks hear in the place of the source, of its rate, channels and length."""

    path: Path
    sha256: str


def laid(source: Path, made: StemSet, recipe: Recipe, store: Store) -> Operation[StemSet]:
    """The set of `recipe`, whose stems are those `made` of another file: out of the store, or put there."""
    return (yield from reuse_or_make(recipe, store, lambda: _lay(source, made, recipe, store)))


def _lay(source: Path, made: StemSet, recipe: Recipe, store: Store) -> Operation[StemSet]:
    """The caller holds the recipe's lock."""
    info, before = probe(source), fingerprint(source)
    folder = store.partial_folder(recipe.key())

    def check_source() -> None:
        check_unchanged(source, before)

    try:
        describe(folder, info, recipe)
        store.check_room(stored_bytes(info, len(recipe.stems)))
        tracks = functools.partial(file_tracks, {name: Path(made.stems[name]) for name in recipe.stems})
        by = f"taken from {Path(made.folder).name}"
        return (
            yield from put(
                recipe, info, tracks, store, check_source, device=made.device, computed_by=by, notes=made.notes
            )
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
