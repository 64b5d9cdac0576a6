"""The words the audio packages share: a block of samples, and what an audio file is.

Opening files is left to `probe` and `read`, writing them to `write`.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float64]
"""Audio inside the graph: float64 [channels, frames], C-contiguous, full scale is 1.0."""

BLOCK_FRAMES = 65536
"""Frames that flow through the graph at a time, where nothing asks for another number."""

MAX_CHANNELS = 8
MIN_SAMPLE_RATE = 8000
MAX_SAMPLE_RATE = 384000

_BITS = {
    "PCM_U8": 8,
    "PCM_S8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "ALAC_16": 16,
    "ALAC_20": 20,
    "ALAC_24": 24,
    "ALAC_32": 32,
}
_LOSSLESS_FLOAT = ("FLOAT", "DOUBLE")


def integer_bits(subtype: str) -> int | None:
    """Bits of one sample of an integer sample format (8 to 32); None for floating point and lossy ones."""
    return _BITS.get(subtype)


def is_lossless(subtype: str) -> bool:
    """Whether the file holds its samples as they were given to it."""
    return subtype in _BITS or subtype in _LOSSLESS_FLOAT


def bytes_per_sample(subtype: str) -> int:
    """How many bytes one sample takes uncompressed in a file; 4 for what the table of sample formats doesn't know."""
    bits = integer_bits(subtype)
    if bits is not None:
        return (bits + 7) // 8
    return 8 if subtype == "DOUBLE" else 4


class AudioInfo(msgspec.Struct, frozen=True):
    """What an audio file is.

    `container` and `subtype` are libsndfile's names (WAV, RF64, W64, AIFF, FLAC, CAF, OGG, MP3; PCM_16, FLOAT,
    VORBIS ...); what only FFmpeg reads is MP4, MATROSKA, WAVPACK, and AAC, ALAC_24, OPUS .... `sample_rate` is in
    Hz, `frames` exact. `speakers` names each channel as the reader delivers it. `channel_mask` is the layout that the
    file itself states, as WAVE speaker bits (0 where it says "none in particular"); None where it states none.
    """

    path: str
    container: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int
    speakers: tuple[str, ...]
    lossless: bool
    channel_mask: int | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    @property
    def bits(self) -> int | None:
        """Bits of one sample; None for floating point and lossy sample formats."""
        return integer_bits(self.subtype)
