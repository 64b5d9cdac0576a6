"""What a clean-up does, to be looked at: spectrograms before, after and of what is taken away; and how much that is."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES
from core.audio.read import open_reader
from core.audio.speakers import mask_of_speakers
from core.audio.write import OutputFormat, open_writer
from core.events import Operation, Progress
from core.measure.levels import power_to_db
from core.measure.spectrogram import Spectrogram, spectrogram
from core.recombine.graph import CleanupDelta, read_padded
from core.session.cleaning import CleanupStep

if TYPE_CHECKING:
    from core.audio.formats import AudioInfo
    from core.audio.read import AudioReader

MARGIN_FRAMES = 1 << 13
"""Heard on either side of a stretch, since windows reach over its ends."""


class Views(msgspec.Struct, frozen=True, eq=False):
    """Spectrograms of one stretch, all over the same frequencies; `top_db` is the loudest level in any of them.

    Without steps that were carried out there is only what was before.
    """

    before: Spectrogram
    after: Spectrogram | None
    removed: Spectrogram | None
    top_db: float

    def of(self, name: str) -> Spectrogram | None:
        """One of them by its name."""
        return getattr(self, name)


def views_of(
    path: Path,
    steps: Sequence[CleanupStep] | None,
    taken: Mapping[str, Path],
    span: tuple[int, int],
    columns: int,
    rows: int,
) -> Operation[Views]:
    """Frames `span` of a file as it is, as `steps` leave it, and what they take away.

    `taken` are the files of that by `removed_name`, for steps of the master; None for steps that were not carried out.
    Raises UnbakeError where a file can't be read, doesn't fit, or there is no room for a copy of the stretch.
    """
    before = yield from spectrogram(path, *span, columns, rows)
    after = removed = None
    if steps is not None:
        with tempfile.TemporaryDirectory(prefix="unbake-") as folder:
            files = yield from _sides(path, steps, taken, span, Path(folder))
            inside = (span[0] - files.first, span[1] - files.first)
            after = yield from spectrogram(files.after, *inside, columns, rows)
            removed = yield from spectrogram(files.removed, *inside, columns, rows)
    made = [each for each in (before, after, removed) if each is not None]
    return Views(before, after, removed, max(float(each.levels_db.max(initial=-math.inf)) for each in made))


def level_of(path: Path) -> Operation[float | None]:
    """The RMS of a whole file in dBFS, all channels together; None for digital silence."""
    with open_reader(path) as reader:
        total, samples = 0.0, 0
        while (block := reader.read(BLOCK_FRAMES)).shape[1]:
            total += float(np.einsum("ij,ij->", block, block))
            samples += block.size
            yield Progress("measuring", reader.frame, reader.info.frames)
    return power_to_db(total / samples) if samples else None


class _Sides(msgspec.Struct, frozen=True):
    """Copies of a stretch; `first` is the frame that they begin at."""

    after: Path
    removed: Path
    first: int


def _sides(
    path: Path, steps: Sequence[CleanupStep], taken: Mapping[str, Path], span: tuple[int, int], folder: Path
) -> Operation[_Sides]:
    """Writes what is behind steps, and what they take away."""
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(path))
        info = reader.info
        first, last = max(0, span[0] - MARGIN_FRAMES), min(info.frames, span[1] + MARGIN_FRAMES)
        delta = CleanupDelta(steps, taken, info, stack)
        fmt = _format(info)
        sides = _Sides(folder / "after.wav", folder / "removed.wav", first)
        after = stack.enter_context(open_writer(sides.after, fmt, frames=last - first, force=True))
        removed = stack.enter_context(open_writer(sides.removed, fmt, frames=last - first, force=True))
        yield from _go_to(reader, first)
        delta.seek(first)
        for start in range(first, last, BLOCK_FRAMES):
            frames = min(BLOCK_FRAMES, last - start)
            block, change = read_padded(reader, frames), delta.read(frames)
            after.write(block + change)
            removed.write(-change)
            yield Progress("spectrogram", start - first, last - first)
        for writer in (after, removed):
            writer.finish()
            writer.commit()
    return sides


def _format(info: AudioInfo) -> OutputFormat:
    mask = mask_of_speakers(info.speakers) if info.channels > 2 else None
    return OutputFormat("WAV", "FLOAT", info.sample_rate, info.channels, info.speakers, mask)


def _go_to(reader: AudioReader, frame: int) -> Operation[None]:
    """Goes to a frame, in steps that can be cancelled where all that lies before must be decoded."""
    if reader.random_access:
        reader.seek(frame)
    while reader.frame < frame:
        reader.read(min(frame - reader.frame, BLOCK_FRAMES))
        yield Progress("reading", reader.frame, frame)
