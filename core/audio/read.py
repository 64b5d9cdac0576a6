"""Samples out of an audio file, block by block, at exact positions.

What the file is comes from `probe`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import soundfile

from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block
from core.audio.probe import open_sound, probe
from core.errors import UnbakeError


class AudioReader:
    """An open audio file: `info`, the position `frame`, and blocks from there on. A context manager."""

    def __init__(self, info: AudioInfo) -> None:
        self.info = info
        self.frame = 0
        self._sound = open_sound(info.path)

    def read(self, frames: int) -> Block:
        """The next `frames` frames: float64 [channels, n], C-contiguous; n < frames at the end only, 0 past it.

        UnbakeError when the file is damaged here or holds less than it promised.
        """
        wanted = min(frames, self.info.frames - self.frame)
        try:
            samples = self._sound.read(wanted, dtype="float64", always_2d=True)
        except soundfile.SoundFileError as error:
            raise self._damaged() from error
        self.frame += len(samples)
        if len(samples) < wanted:
            raise self._damaged()
        return np.ascontiguousarray(samples.T, dtype=np.float64)

    def seek(self, frame: int) -> None:
        """Goes to `frame`, 0 to the length inclusive."""
        self._sound.seek(frame)
        self.frame = frame

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._sound.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _damaged(self) -> UnbakeError:
        return UnbakeError(f"is truncated or damaged at frame {self.frame}", where=self.info.path)


def open_reader(path: str | os.PathLike[str], stream: int = 0) -> AudioReader:
    """Opens an audio file for reading; `stream` counts the audio streams of a file that holds several (0 the master).

    UnbakeError as `probe` raises it.
    """
    return AudioReader(probe(path, stream))


def read_blocks(reader: AudioReader, frames: int = BLOCK_FRAMES) -> Iterator[Block]:
    """Blocks of `frames` frames (the last may be shorter) from the reader's position to its end."""
    while (block := reader.read(frames)).shape[1]:
        yield block


def read_all(path: str | os.PathLike[str]) -> Block:
    """A whole file as one block: for short files and tests, since memory grows with the length."""
    with open_reader(path) as reader:
        return reader.read(reader.info.frames)
