"""From what the network made to files that any program opens: the stems, and the residual that makes them null.

One pass over the source in blocks. Every stem is a track, wherever it comes from: the work files of a network run, or
files of another tool.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES
from core.audio.hashes import sha256_file
from core.audio.rates import Converter
from core.audio.read import open_reader
from core.audio.speakers import mask_of_speakers
from core.audio.write import OutputFormat, open_writer
from core.errors import UnbakeError, os_error
from core.events import Operation, Progress
from core.separation.work import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo
    from core.audio.write import AudioWriter
    from core.separation.work import Work

RESIDUAL = "residual"
SUM_LIMIT = 10.0 ** (-140.0 / 20.0)
"""The null law: stems plus residual give back the source to -140 dBFS peak."""
LEAST_WORK_READ = 1024


class Track(Protocol):
    """One stem at the source's rate, in the source's channel order."""

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        ...


class StoredFile(msgspec.Struct, frozen=True):
    """A stem or residual as it lies in the store: its name in the folder, and what tells whether it is still whole."""

    file: str
    bytes: int
    mtime_ns: int
    sha256: str
    frames: int


class Assembled(msgspec.Struct, frozen=True):
    """The files of a set of stems, residual last, and the peak of source - (stems + residual) as stored.

    The peak is in dB below full scale, None where the difference is exactly zero everywhere.
    """

    files: dict[str, StoredFile]
    stem_sum_residual_dbfs: float | None


def assemble(
    info: AudioInfo, folder: Path, tracks: Callable[[], AbstractContextManager[Mapping[str, Track]]]
) -> Operation[Assembled]:
    """Writes NAME.wav for every track and residual.wav into `folder`: source minus tracks, 32-bit float.

    The residual is the difference in float64, rounded once. Where that rounding alone would break the null law (a
    floating-point source far over full scale: half an ulp is -138 dBFS from 2.0 on), the residual is written as
    64-bit float instead. Raises UnbakeError when the source holds less than `info` says, or the disk is full.
    """
    peak = yield from write_files(info, folder, tracks, residual_subtype="FLOAT")
    if peak > SUM_LIMIT:
        peak = yield from write_files(info, folder, tracks, residual_subtype="DOUBLE")
    files: dict[str, StoredFile] = {}
    # Sorted would put the residual among the stems; the tracks' own order is the model's.
    with tracks() as opened:
        names = [*opened, RESIDUAL]
    for number, name in enumerate(names):
        yield Progress("checking stems", number, len(names))
        path = folder / f"{name}.wav"
        digest = sha256_file(path)
        status = path.stat()
        files[name] = StoredFile(path.name, status.st_size, status.st_mtime_ns, digest, info.frames)
    yield Progress("checking stems", len(names), len(names))
    return Assembled(files, 20.0 * math.log10(peak) if peak > 0.0 else None)


def write_files(
    info: AudioInfo,
    folder: Path,
    tracks: Callable[[], AbstractContextManager[Mapping[str, Track]]],
    *,
    residual_subtype: str,
) -> Operation[float]:
    """The pass itself; gives the peak of source - (stems + residual), linear, from the values as stored."""
    peak, done = 0.0, 0
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_reader(info.path))
        opened = stack.enter_context(tracks())

        def writer_of(name: str, subtype: str) -> AudioWriter:
            mask = mask_of_speakers(info.speakers) if info.channels > 2 else None
            fmt = OutputFormat("WAV", subtype, info.sample_rate, info.channels, info.speakers, mask)
            return stack.enter_context(open_writer(folder / f"{name}.wav", fmt, frames=info.frames, force=True))

        writers = {name: writer_of(name, "FLOAT") for name in opened}
        residual_writer = writer_of(RESIDUAL, residual_subtype)
        precision = np.float32 if residual_subtype == "FLOAT" else np.float64
        while done < info.frames:
            block = source.read(min(BLOCK_FRAMES, info.frames - done))
            if block.shape[1] == 0:
                raise UnbakeError(f"ends at frame {done} of {info.frames}", where=info.path)
            total = np.zeros_like(block)
            for name, track in opened.items():
                stem = track.read(block.shape[1]).astype(np.float64)
                writers[name].write(stem)
                total += stem
            residual = (block - total).astype(precision).astype(np.float64)
            residual_writer.write(residual)
            total += residual
            peak = max(peak, float(np.abs(block - total).max()))
            done += block.shape[1]
            yield Progress("writing stems", done, info.frames, info.seconds)
        for writer in (*writers.values(), residual_writer):
            writer.commit()
    return peak


class WorkTrack:
    """One stem out of the work files, all channel groups together, back at the source's rate.

    Channels that no group holds (the LFE) are zero.
    """

    def __init__(self, work: Work, stem: str, stack: contextlib.ExitStack, network_rate: int, info: AudioInfo) -> None:
        self.channels = info.channels
        self.parts = []
        for name, group in work.groups.items():
            file = work.stem_file(name, stem)
            try:
                opened = stack.enter_context(file.open("rb"))
            except OSError as error:
                raise os_error(error, file) from error
            converter = Converter(network_rate, info.sample_rate, len(group.channels), info.frames)
            self.parts.append((list(group.channels), Pulled(opened, len(group.channels), converter)))

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        audio = np.zeros((self.channels, frames), np.float32)
        for channels, part in self.parts:
            audio[channels] = part.read(frames).T
        return audio


class Pulled:
    """A raw file behind a converter, read in pieces of any size."""

    def __init__(self, file: BinaryIO, channels: int, converter: Converter) -> None:
        self.file = file
        self.channels = channels
        self.converter = converter
        self.kept = np.zeros((0, channels), np.float32)

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames, float32 [frames, channels]."""
        pieces, count = [self.kept], len(self.kept)
        while count < frames:
            wide = max(LEAST_WORK_READ, math.ceil((frames - count) * self.converter.ratio))
            data = self.file.read(wide * self.channels * SAMPLE.itemsize)
            given = np.frombuffer(data, SAMPLE).reshape(-1, self.channels)
            pieces.append(self.converter.push(given) if len(given) else self.converter.finish())
            count += len(pieces[-1])
            if not len(given) and count < frames:
                raise ValueError("asked for more frames than the converter was made for")
        joined = np.concatenate(pieces)
        self.kept = joined[frames:].copy()
        return joined[:frames]


@contextlib.contextmanager
def work_tracks(work: Work, network_rate: int, info: AudioInfo) -> Iterator[Mapping[str, Track]]:
    """The finished work files as tracks, by stem."""
    with contextlib.ExitStack() as stack:
        yield {stem: WorkTrack(work, stem, stack, network_rate, info) for stem in work.stems}


class FileTrack:
    """A stem that is an audio file of the source's rate, channels and length.

    `delay` frames are taken off its head (zeros are put in front when it is negative), and `polarity` -1 turns it
    over.
    """

    def __init__(self, path: Path, stack: contextlib.ExitStack, *, delay: int = 0, polarity: int = 1) -> None:
        self.reader = stack.enter_context(open_reader(path))
        self.polarity = np.float32(polarity)
        self.silence = max(0, -delay)
        if delay > 0:
            self.reader.seek(min(delay, self.reader.info.frames))

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]; zeros past the file's end."""
        audio = np.zeros((self.reader.info.channels, frames), np.float32)
        begin = min(self.silence, frames)
        self.silence -= begin
        if begin < frames:
            block = self.reader.read(frames - begin)
            audio[:, begin : begin + block.shape[1]] = block
        audio *= self.polarity
        return audio


@contextlib.contextmanager
def file_tracks(files: Mapping[str, Path], *, delay: int = 0, polarity: int = 1) -> Iterator[Mapping[str, Track]]:
    """Audio files as tracks, by stem."""
    with contextlib.ExitStack() as stack:
        yield {name: FileTrack(path, stack, delay=delay, polarity=polarity) for name, path in files.items()}
