"""The half-done separation on disk: what goes into the network, what came out so far, and how far that is safe.

One folder holds raw float32 files, interleaved [frames, channels] at the network's rate: one input per channel group
and one file per group and stem. `state.json` is replaced whole after the files were flushed to the disk, so whatever
it calls done is there, also after a kill -9 or a power cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, BinaryIO

import msgspec
import numpy as np

from core.atomic import write_bytes_atomically, write_error
from core.errors import UnbakeError, os_error
from core.separation.engine import Scale
from core.separation.order import Span, frames_in, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from core.separation.layout import Group

SAVE_SECONDS = 3.0
"""How much work a kill -9 may cost, at most, in seconds of computing, besides the chunk that is under way."""
SAMPLE = np.dtype("<f4")


class State(msgspec.Struct, frozen=True):
    """How far a half-done separation is.

    `frames` is the length at the network's rate, 0 until all inputs are written; `scales` says per channel group what
    the network hears of it. `done` says per group which frames of every stem are safe. They were computed by
    `computed_by` in batches of `batch` chunks: frames of another device or library have other last bits, so they are
    not continued.
    """

    frames: int = 0
    done: dict[str, tuple[Span, ...]] = {}
    scales: dict[str, Scale] = {}
    computed_by: str = ""
    batch: int = 0

    def done_frames(self) -> int:
        """How many frames of all groups are safe."""
        return sum(frames_in(spans) for spans in self.done.values())


class Work:
    """The folder of one half-done separation. The caller holds the lock of its entry."""

    def __init__(self, folder: Path, groups: Sequence[Group], stems: Sequence[str]) -> None:
        self.folder = folder
        self.groups = {group.name: group for group in groups}
        self.stems = tuple(stems)
        self.state = State()

    def open(self) -> None:
        """Makes the folder, or takes up what an earlier run left in it; what doesn't fit together is made afresh."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.state = msgspec.json.decode((self.folder / "state.json").read_bytes(), type=State)
        except FileNotFoundError:
            self.state = State()
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.state = State()
        except OSError as error:
            raise os_error(error, self.folder) from error
        if not self._whole():
            self.state = State()

    def _whole(self) -> bool:
        """Whether every file is at least as long as the state says."""
        for name, group in self.groups.items():
            wide = SAMPLE.itemsize * len(group.channels)
            files = [(self.input_file(name), self.state.frames)]
            end = max((end for _, end in self.state.done.get(name, ())), default=0)
            files += [(self.stem_file(name, stem), end) for stem in self.stems]
            if any(size_of(file) < frames * wide for file, frames in files):
                return False
        return True

    def input_file(self, group: str) -> Path:
        """What the network hears of a channel group."""
        return self.folder / f"{group}.input.f32"

    def stem_file(self, group: str, stem: str) -> Path:
        """What the network made of a channel group for one stem."""
        return self.folder / f"{group}.{stem}.f32"

    def save(self, state: State) -> None:
        """Replaces the state. The files it speaks of must have reached the disk before."""
        write_bytes_atomically(self.folder / "state.json", msgspec.json.encode(state), force=True)
        self.state = state

    @contextlib.contextmanager
    def writing(self, group: str) -> Iterator[StemFiles]:
        """The stem files of a group. Whatever ends it, what was written is made safe."""
        files = StemFiles(self, group)
        try:
            yield files
            files.make_safe()
        except OSError as error:
            raise write_error(error, self.folder) from error
        except BaseException:
            # Cancelled or failed: what was computed since the last time is kept too, if the disk still takes it.
            with contextlib.suppress(OSError, UnbakeError):
                files.make_safe()
            raise
        finally:
            files.close()

    @contextlib.contextmanager
    def inputs(self) -> Iterator[Mapping[str, BinaryIO]]:
        """The input files by group, empty and opened for writing, flushed to the disk on the way out."""
        with contextlib.ExitStack() as stack:
            try:
                files = {name: stack.enter_context(self.input_file(name).open("wb")) for name in self.groups}
                yield files
                for file in files.values():
                    flush_to_disk(file)
            except OSError as error:
                raise write_error(error, self.folder) from error

    def reset(self) -> None:
        """Starts anew with an empty folder."""
        self.discard()
        self.open()

    def discard(self) -> None:
        """Removes the folder and all work in it."""
        self.state = State()
        shutil.rmtree(self.folder, ignore_errors=True)


class StemFiles:
    """The stem files of one channel group while they are filled, in any order."""

    def __init__(self, work: Work, group: str) -> None:
        self.work, self.group = work, group
        self.channels = len(work.groups[group].channels)
        self.done = work.state.done.get(group, ())
        self.batch = work.state.batch
        self.saved_at = time.monotonic()
        self.files: list[BinaryIO] = []
        try:
            for stem in work.stems:
                file = work.stem_file(group, stem)
                self.files.append(file.open("r+b" if file.exists() else "w+b"))
        except OSError as error:
            self.close()
            raise os_error(error, work.folder) from error

    def write(self, start: int, audio: NDArray[np.float32], batch: int) -> None:
        """Writes float32 [stems, 2, n] from a frame on; of a mono group the mean of both sides.

        Makes it safe every few seconds.
        """
        if audio.shape[-1]:
            for file, stem in zip(self.files, audio, strict=True):
                frames = stem if self.channels == 2 else stem.mean(axis=0, keepdims=True)
                file.seek(start * self.channels * SAMPLE.itemsize)
                file.write(np.ascontiguousarray(frames.T, SAMPLE).data)
            self.done = merged((*self.done, (start, start + audio.shape[-1])))
        self.batch = batch
        if time.monotonic() - self.saved_at >= SAVE_SECONDS:
            self.make_safe()

    def make_safe(self) -> None:
        """Flushes the files to the disk, then says so in the state."""
        for file in self.files:
            flush_to_disk(file)
        state = self.work.state
        done = {**state.done, self.group: self.done}
        self.work.save(msgspec.structs.replace(state, done=done, batch=self.batch))
        self.saved_at = time.monotonic()

    def close(self) -> None:
        """Closes the files."""
        for file in self.files:
            # A full disk is reported where it was first seen; here only the descriptors are given back.
            with contextlib.suppress(OSError):
                file.close()


def read_extended(file: BinaryIO, channels: int, length: int, start: int, frames: int) -> NDArray[np.float32]:
    """Float32 [2, frames] of an input of `length` frames from `start` on, which may lie before 0 or past the length.

    Outside, the signal is mirrored at its first and last frame for as far as it goes, and is zero beyond: a network
    that hears the cut edge of a recording as a step from silence takes it for a click. A mono input stands on both
    sides.
    """
    last = length - 1
    audio = np.zeros((2, frames), np.float32)
    # Frame n is frame -n before the head, and 2 last - n after the tail.
    for begin, end, mirror in ((-last, 0, 0), (0, length, None), (length, length + last, 2 * last)):
        low, high = max(begin, start), min(end, start + frames)
        if low < high:
            inside = (low, high) if mirror is None else (mirror - high + 1, mirror - low + 1)
            data = read_frames(file, channels, *inside)
            audio[:, low - start : high - start] = (data if mirror is None else data[::-1]).T
    return audio


def read_frames(file: BinaryIO, channels: int, begin: int, end: int) -> NDArray[np.float32]:
    """The frames from `begin` to before `end` of a raw file, float32 [end - begin, channels]."""
    wide = channels * SAMPLE.itemsize
    file.seek(begin * wide)
    return np.frombuffer(file.read((end - begin) * wide), SAMPLE).reshape(-1, channels)


def flush_to_disk(file: BinaryIO) -> None:
    """Returns when what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def size_of(file: Path) -> int:
    """Bytes of a file, 0 when there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    return sum(size_of(file) for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
