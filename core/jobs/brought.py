"""Stems that were brought, as files in the stem store: the engineer's file laid on the source, made when needed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from core.audio.hashes import check_unchanged, fingerprint, hashing
from core.audio.probe import probe
from core.audio.read import AudioReader, open_reader
from core.errors import UnbakeError
from core.events import Note, Operation
from core.measure.contained import Laid
from core.measure.levels import to_amplitude
from core.measure.placement import Placement
from core.separation.separate import describe, put, reuse_or_make, stored_bytes
from core.separation.store import Recipe, StemSet, Store
from core.session.document import Brought, Session, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo

MODEL = "brought"
VERSION = "laid-1"
"""Raised whenever other samples come out of the same file and placement."""


def stems_of(
    session: Session, names: Iterable[str], store: Store | None = None
) -> Operation[tuple[Session, dict[str, StemSet]]]:
    """The brought ones among stems, out of the store or made now, and the session with their hashes pinned.

    A stem that comes out otherwise than it was pinned is announced in a Note. The caller vouches for the source.
    """
    made: dict[str, StemSet] = {}
    pinned = dict(session.brought)
    for name, brought in session.brought.items():
        if name not in names:
            continue
        made[name] = yield from stem_of(session.source, name, brought, store)
        digest = made[name].hashes[name]
        if brought.hash not in ("", digest):
            yield Note(
                f"the stem {name} differs from the one this session was made with "
                f"({digest[:12]} instead of {brought.hash[:12]}): another library made it"
            )
        pinned[name] = msgspec.structs.replace(brought, hash=digest)
    return msgspec.structs.replace(session, brought=pinned), made


def stem_of(source: Source, name: str, brought: Brought, store: Store | None = None) -> Operation[StemSet]:
    """One brought stem as a set of its own: 32-bit float of the source's rate, channels and length, and a residual.

    Where it is in the store, the engineer's file is not looked at. Raises UnbakeError when it has to be made and the
    file is gone, was changed since it was brought, or has channels that don't go with the source's.
    """
    store = store or Store()
    recipe = recipe_of(source, name, brought)
    return (yield from reuse_or_make(recipe, store, lambda: _make(source, name, brought, recipe, store)))


def recipe_of(source: Source, name: str, brought: Brought) -> Recipe:
    """What decides the samples of a brought stem."""
    made_of = hashlib.sha256(msgspec.json.encode(brought.recipe, order="sorted")).hexdigest()
    return Recipe(source_sha256=source.sha256, model=MODEL, network_version=f"{VERSION}-{made_of}", stems=(name,))


def _make(source: Source, name: str, brought: Brought, recipe: Recipe, store: Store) -> Operation[StemSet]:
    """Makes the set. The caller holds the lock of its recipe."""
    path = Path(brought.path)
    if not path.exists():
        raise UnbakeError(
            f"the file of the stem {name} is gone",
            where=path,
            remedy=f"put it back, set brought.{name}.path, or take the stem out: unbake session drop SESSION {name}",
        )
    before = fingerprint(path), fingerprint(Path(source.path))
    if (yield from hashing(path)) != brought.sha256:
        raise UnbakeError(
            f"the file of the stem {name} has changed since it was brought (its SHA-256 differs)",
            where=path,
            remedy=f"put the old file back, or unbake session drop SESSION {name} and bring the new one",
        )
    info = probe(source.path)
    check_channels(probe(path), info)
    folder = store.partial_folder(recipe.key())

    def check_files() -> None:
        check_unchanged(path, before[0])
        check_unchanged(Path(source.path), before[1])

    try:
        describe(folder, info, recipe)
        store.check_room(stored_bytes(info, 1))
        tracks = functools.partial(_tracks, name, brought, info)
        return (yield from put(recipe, info, tracks, store, check_files, device="none", computed_by=MODEL))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_channels(stem: AudioInfo, source: AudioInfo) -> None:
    """Refuses a file whose channels don't go with the source's: mono goes with all, and all go with mono."""
    if stem.channels != source.channels and 1 not in (stem.channels, source.channels):
        what = f"has {stem.channels} channels, the source has {source.channels}"
        raise UnbakeError(what, where=stem.path, remedy="export it in mono, or with as many as the source")


@contextlib.contextmanager
def _tracks(name: str, brought: Brought, info: AudioInfo) -> Iterator[Mapping[str, _Track]]:
    with open_reader(brought.path) as reader:
        yield {name: _Track(reader, info, brought)}


class _Track:
    """The engineer's file as it lies in the source."""

    def __init__(self, reader: AudioReader, info: AudioInfo, brought: Brought) -> None:
        placement = Placement(brought.delay_samples, brought.drift_ppm)
        self._laid = Laid(reader, info.sample_rate, info.channels, placement)
        self._level = brought.polarity * to_amplitude(brought.gain_db)

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        return (self._laid.read(frames) * self._level).astype(np.float32)
