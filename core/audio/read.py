"""Samples out of an audio file, block by block, at exact positions.

What the file is comes from `probe`, the streams of a stem file from `stem_streams`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import soundfile

from core.audio import speakers as layouts
from core.audio.av_decoder import AvDecoder
from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block
from core.audio.hashes import Fingerprint, check_unchanged, fingerprint
from core.audio.held import Decoder, Held, HeldDecoder
from core.audio.probe import Examined, examine, open_sound
from core.audio.stem_streams import stem_streams
from core.errors import UnbakeError, os_error

__all__ = ["AudioReader", "open_reader", "read_all", "read_blocks", "stem_streams"]

# Their decoders carry state from packet to packet, and libsndfile's seek in Vorbis misses its aim at some positions.
_DECODED_FROM_THE_START = ("VORBIS", "OPUS", "MPEG_LAYER_III", "MPEG_LAYER_II", "MPEG_LAYER_I")
_SKIP_FRAMES = 1 << 16


class AudioReader:
    """An open audio file: `info`, the position `frame`, and blocks from there on. A context manager."""

    def __init__(self, examined: Examined, stream: int = 0, held: Held | None = None) -> None:
        self.info: AudioInfo = examined.info
        self.frame = 0
        self._fingerprint = fingerprint(self.info.path)
        if examined.ffmpeg_kind is not None:
            self._decoder: Decoder = AvDecoder(self.info.path, examined.ffmpeg_kind, stream)
        else:
            self._decoder = _SoundDecoder(self.info)
        if held is not None and self._decoder.random_access:
            self._decoder = HeldDecoder(self._decoder, self._fingerprint, held)

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the file when it was opened."""
        return self._fingerprint

    @property
    def random_access(self) -> bool:
        """Whether `seek` goes anywhere at once; where it does not, it decodes what lies before."""
        return self._decoder.random_access

    def read(self, frames: int) -> Block:
        """The next `frames` frames: float64 [channels, n], C-contiguous; n < frames at the end only, 0 past it.

        UnbakeError when the file is damaged here, holds less than it promised, or changed since it was opened.
        """
        wanted = max(0, min(frames, self.info.frames - self.frame))
        try:
            block = self._decoder.read(wanted)
        except (soundfile.SoundFileError, UnbakeError) as error:
            raise self._damaged() from error
        except OSError as error:
            raise os_error(error, self.info.path) from error
        self.frame += block.shape[1]
        if block.shape[1] < wanted:
            raise self._damaged()
        return block

    def seek(self, frame: int) -> None:
        """Goes to `frame`, 0 to the length inclusive: what is read there is what reading from the start gives.

        Lossy formats are decoded up to it. ValueError outside the file; UnbakeError when the file is damaged.
        """
        if not 0 <= frame <= self.info.frames:
            raise ValueError(f"frame {frame} is outside 0 .. {self.info.frames}")
        if frame == self.frame:
            return
        try:
            self._decoder.seek(frame)
        except (soundfile.SoundFileError, UnbakeError) as error:
            raise self._damaged() from error
        self.frame = frame

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._decoder.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _damaged(self) -> UnbakeError:
        check_unchanged(self.info.path, self._fingerprint)
        return UnbakeError(f"is truncated or damaged at frame {self.frame} of {self.info.frames}", where=self.info.path)


class _SoundDecoder:
    """libsndfile, with channels in the order of the WAVE mask and seeks that are exact."""

    def __init__(self, info: AudioInfo) -> None:
        self._path = info.path
        self.random_access = info.subtype not in _DECODED_FROM_THE_START
        order = layouts.vorbis_order(info.speakers) if info.container == "OGG" else None
        self._order = None if order is None else layouts.inverse(order)
        self._sound = open_sound(info.path)
        self._frame = 0

    def read(self, frames: int) -> Block:
        samples = self._sound.read(frames, dtype="float64", always_2d=True)
        self._frame += len(samples)
        if self._order is not None:
            samples = samples[:, self._order]
        return np.ascontiguousarray(samples.T, dtype=np.float64)

    def seek(self, frame: int) -> None:
        if self.random_access:
            self._sound.seek(frame)
            self._frame = frame
            return
        if frame < self._frame:
            self._sound.close()
            self._sound = open_sound(self._path)
            self._frame = 0
        while self._frame < frame and self.read(min(frame - self._frame, _SKIP_FRAMES)).shape[1]:
            pass

    def close(self) -> None:
        self._sound.close()


def open_reader(path: str | os.PathLike[str], stream: int = 0, *, held: Held | None = None) -> AudioReader:
    """Opens an audio file for reading; `stream` counts the audio streams of a file that holds several (0 the master).

    What is `held` of it is not read from the file again. UnbakeError as `probe` raises it.
    """
    return AudioReader(examine(path, stream), stream, held)


def read_blocks(reader: AudioReader, frames: int = BLOCK_FRAMES) -> Iterator[Block]:
    """Blocks of `frames` frames (the last may be shorter) from the reader's position to its end."""
    while (block := reader.read(frames)).shape[1]:
        yield block


def read_all(path: str | os.PathLike[str]) -> Block:
    """A whole file as one block: for short files and tests, since memory grows with the length."""
    with open_reader(path) as reader:
        return reader.read(reader.info.frames)
