"""Stems that another tool made, taken into the store so that everything after them is the same path."""

from __future__ import annotations

import functools
import hashlib
import math
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES
from core.audio.hashes import check_unchanged, fingerprint, sha256_file
from core.audio.probe import probe
from core.audio.read import open_reader
from core.errors import UnbakeError, os_error
from core.events import Note, Operation, Progress
from core.separation.assemble import RESIDUAL, file_tracks
from core.separation.separate import describe, put, refuse_unusable, reuse_or_make, stored_bytes
from core.separation.store import Recipe, StemSet, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from core.audio.formats import AudioInfo, Block

    OffsetOf = Callable[[Block, Block, int], tuple[float, int]]

MODEL = "external"
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".aif", ".aiff", ".aifc", ".caf", ".m4a"}
)
LOSSY_SUFFIXES = frozenset({".mp3", ".ogg", ".oga", ".opus", ".aac", ".wma", ".mp4"})
WHOLE = frozenset({"mix", "mixture"})
"""What collections of stems call the sum that they keep beside them."""
EXCERPT_SECONDS = 20.0
"""How much of the loudest part the offset is estimated from."""
LOUD_RESIDUAL_DB = -20.0
"""A residual above this, relative to the source, means that stems are missing, or aren't those of this source."""


def import_stems(
    source: Path,
    folder: Path,
    *,
    align: bool = False,
    offset_of: OffsetOf | None = None,
    source_sha256: str | None = None,
    store: Store | None = None,
) -> Operation[StemSet]:
    """The stems that lie in `folder` as NAME.wav, NAME.flac or another lossless file, as a set in the store.

    Names are taken in lower case. Rate, channels and length must be the source's. `offset_of(a, b, sample_rate)` gives
    how many frames the float64 block `b` [channels, frames] is later than `a`, and its polarity 1 or -1 (0.0 and 1
    where nothing fits); it is asked about the loudest 20 s of source and sum of stems. What it finds is said in a note,
    and taken out with `align`: whole frames exactly, never a part of a frame. The residual is source - sum of stems; a
    residual or a mix in the folder is left out. The files are copied as 32-bit float. Raises UnbakeError when there is
    nothing to take, or a file doesn't fit the source.
    """
    store = store or Store()
    before = fingerprint(source)
    info = probe(source)
    files, notes = stem_files(folder, source)
    for path in files.values():
        check_fits(probe(path), info)
    for text in notes:
        yield Note(text)
    prints = {path: fingerprint(path) for path in files.values()}
    hashes = {}
    for number, (name, path) in enumerate(files.items()):
        yield Progress("reading stems", number, len(files))
        hashes[name] = sha256_file(path)
    made_of = msgspec.json.encode({"files": hashes, "align": align}, order="sorted")
    recipe = Recipe(
        source_sha256=source_sha256 or sha256_file(source),
        model=MODEL,
        network_version=f"files-{hashlib.sha256(made_of).hexdigest()}",
        stems=tuple(files),
    )

    def check_sources() -> None:
        check_unchanged(source, before)
        for path, known in prints.items():
            check_unchanged(path, known)

    def make() -> Operation[StemSet]:
        return (yield from take_in(recipe, info, files, store, check_sources, offset_of, align=align))

    return (yield from reuse_or_make(recipe, store, make))


def stem_files(folder: Path, source: Path) -> tuple[dict[str, Path], list[str]]:
    """The stems in a folder by name, sorted, and what is to be said about files that are left out."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise os_error(error, folder) from error
    files: dict[str, Path] = {}
    notes: list[str] = []
    for path in inside:
        suffix, name = path.suffix.lower(), path.stem.strip().lower()
        if suffix in LOSSY_SUFFIXES:
            notes.append(f"{path.name} is left out: a lossy file is no stem of this source")
        elif suffix not in AUDIO_SUFFIXES:
            continue
        elif name == RESIDUAL:
            notes.append(f"{path.name} is left out: the residual is computed anew from the source")
        elif name in WHOLE or path.samefile(source):
            notes.append(f"{path.name} is left out: it is the mix, not a part of it")
        elif not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            what = f'"{path.stem}" can\'t be the name of a stem'
            raise UnbakeError(what, where=path, remedy="letters, digits, - and _ only, such as bass.wav")
        elif name in files:
            raise UnbakeError(f"is the stem {name} a second time, beside {files[name].name}", where=path)
        else:
            files[name] = path
    if not files:
        raise UnbakeError("holds no stems", where=folder, remedy="name them NAME.wav or NAME.flac, such as bass.wav")
    return dict(sorted(files.items())), notes


def check_fits(stem: AudioInfo, source: AudioInfo) -> None:
    """Refuses a stem that is lossy or whose rate, channels or length are not the source's."""
    if not stem.lossless:
        raise UnbakeError(f"is lossy ({stem.subtype})", where=stem.path, remedy="export it as WAV or FLAC")
    for what, unit, has, should in (
        ("sample rate", "Hz", stem.sample_rate, source.sample_rate),
        ("channel count", "channels", stem.channels, source.channels),
        ("length", "frames", stem.frames, source.frames),
    ):
        if has != should:
            raise UnbakeError(f"its {what} is {has} {unit}, the source's is {should} {unit}", where=stem.path)


def take_in(
    recipe: Recipe,
    info: AudioInfo,
    files: Mapping[str, Path],
    store: Store,
    check_sources: Callable[[], None],
    offset_of: OffsetOf | None,
    *,
    align: bool,
) -> Operation[StemSet]:
    """Measures the stems against the source and writes the set. The caller holds the lock."""
    folder = store.partial_folder(recipe.key())
    delay, polarity, notes = 0, 1, []
    try:
        describe(folder, info, recipe)
        store.check_room(stored_bytes(info, len(files)))
        loudest = yield from loudest_part(info, files)
        if offset_of is not None and loudest is not None:
            offset, sign = offset_of(*excerpt(info, files, loudest), info.sample_rate)
            notes += offset_notes(offset, sign, align=align)
            if align:
                delay, polarity = round(offset), sign
        relative = yield from residual_level(info, files, delay, polarity)
        if relative is not None and relative > LOUD_RESIDUAL_DB:
            notes.append(
                f"the stems don't add up to the source: what is left is {relative:.1f} dB relative to it "
                "(a stem is missing, or they are of another mix, level or position)"
            )
        for text in notes:
            yield Note(text)
        tracks = functools.partial(file_tracks, files, delay=delay, polarity=polarity)
        return (
            yield from put(recipe, info, tracks, store, check_sources, device="none", computed_by=MODEL, notes=notes)
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def offset_notes(offset: float, polarity: int, *, align: bool) -> list[str]:
    """What is to be said about a constant offset of the stems, in frames (positive: they are late)."""
    notes = []
    whole = round(offset)
    where = f"{abs(offset):.2f} frames {'later' if offset > 0 else 'earlier'} than the source"
    if whole and align:
        rest = offset - whole
        left = f"; {rest:+.2f} of a frame is not taken out" if abs(rest) >= 0.05 else ""
        notes.append(f"the stems are {where}: moved by {abs(whole)} frames{left}")
    elif abs(offset) >= 0.05:
        remedy = "moving by less than a frame is left alone" if align or not whole else "--align takes it out"
        notes.append(f"the stems are {where}; {remedy}")
    if polarity < 0:
        notes.append(f"the stems are of opposite polarity{': turned over' if align else '; --align takes it out'}")
    return notes


def blocks_of(
    info: AudioInfo, files: Mapping[str, Path], delay: int = 0, polarity: int = 1
) -> Iterator[tuple[Block, Block]]:
    """Pairs of blocks, float64 [channels, frames]: the source's, and the sum of the stems there."""
    with open_reader(info.path) as reader, file_tracks(files, delay=delay, polarity=polarity) as tracks:
        while (block := reader.read(BLOCK_FRAMES)).shape[1]:
            total = np.zeros_like(block)
            for track in tracks.values():
                total += track.read(block.shape[1])
            yield block, total


def loudest_part(info: AudioInfo, files: Mapping[str, Path]) -> Operation[int | None]:
    """The frame at which the excerpt with the most energy starts; None when source or stems are silent.

    Refuses samples that are no numbers in the source or in a stem.
    """
    energies: list[float] = []
    sounds, done = False, 0
    with open_reader(info.path) as reader, file_tracks(files) as tracks:
        while (block := reader.read(BLOCK_FRAMES)).shape[1]:
            refuse_unusable(block, done, info)
            for name, track in tracks.items():
                stem = track.read(block.shape[1])
                refuse_unusable(stem, done, msgspec.structs.replace(info, path=str(files[name])))
                sounds = sounds or bool(stem.any())
            energies.append(float(np.square(block).sum()))
            done += block.shape[1]
            yield Progress("measuring stems", done, info.frames, info.seconds)
    if not sounds or not any(energies):
        return None
    wide = max(1, math.floor(EXCERPT_SECONDS * info.sample_rate / BLOCK_FRAMES))
    sums = np.convolve(energies, np.ones(min(wide, len(energies))), "valid")
    return int(np.argmax(sums)) * BLOCK_FRAMES


def excerpt(info: AudioInfo, files: Mapping[str, Path], start: int) -> tuple[Block, Block]:
    """Source and sum of stems from `start` on, for `EXCERPT_SECONDS` or to the end."""
    frames = min(round(EXCERPT_SECONDS * info.sample_rate), info.frames - start)
    with open_reader(info.path) as reader:
        reader.seek(start)
        block = reader.read(frames)
    total = np.zeros_like(block)
    for path in files.values():
        with open_reader(path) as reader:
            reader.seek(start)
            total += reader.read(frames)
    return block, total


def residual_level(info: AudioInfo, files: Mapping[str, Path], delay: int, polarity: int) -> Operation[float | None]:
    """RMS of source - stems relative to the source's, in dB; None when either is silent."""
    left, whole, done = 0.0, 0.0, 0
    for block, total in blocks_of(info, files, delay, polarity):
        whole += float(np.square(block).sum())
        left += float(np.square(block - total).sum())
        done += block.shape[1]
        yield Progress("measuring stems", done, info.frames, info.seconds)
    return 10.0 * math.log10(left / whole) if left > 0.0 and whole > 0.0 else None
