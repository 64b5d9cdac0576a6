"""A stream as a WAV file down a pipe: 32-bit float, its length in the header, so that any player takes it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from core.audio.formats import Block
from core.audio.speakers import mask_of_speakers

_FLOAT_GUID: Final = bytes.fromhex("0300000000001000800000aa00389b71")
_MOST_BYTES: Final = 0xFFFFFFFF


def write_wav(
    pipe: BinaryIO, blocks: Iterator[Block], *, sample_rate: int, speakers: tuple[str, ...], frames: int
) -> None:
    """Writes `frames` frames of blocks float64 [channels, n] as WAV, as RF64 (EBU Tech 3306) past 4 GB.

    Raises BrokenPipeError when who listens has left.
    """
    pipe.write(wav_header(sample_rate, speakers, frames))
    for block in blocks:
        pipe.write(np.ascontiguousarray(block.T, dtype="<f4").tobytes())
    pipe.flush()


def wav_header(sample_rate: int, speakers: tuple[str, ...], frames: int) -> bytes:
    """Everything before the samples: WAVE_FORMAT_EXTENSIBLE with the speakers' mask."""
    channels = len(speakers)
    data_bytes = 4 * channels * frames
    layout = struct.pack(
        "<HHIIHHHHI",
        0xFFFE,
        channels,
        sample_rate,
        4 * channels * sample_rate,
        4 * channels,
        32,
        22,
        32,
        mask_of_speakers(speakers),
    )
    fmt = b"fmt " + struct.pack("<I", len(layout) + 16) + layout + _FLOAT_GUID
    fact = b"fact" + struct.pack("<II", 4, min(frames, _MOST_BYTES))
    rest = len(fmt) + len(fact) + 8 + data_bytes
    if rest + 4 <= _MOST_BYTES:
        return b"RIFF" + struct.pack("<I", rest + 4) + b"WAVE" + fmt + fact + b"data" + struct.pack("<I", data_bytes)
    sizes = struct.pack("<QQQI", rest + 4 + 36, data_bytes, frames, 0)
    wide = b"ds64" + struct.pack("<I", len(sizes)) + sizes
    return (
        b"RF64"
        + struct.pack("<I", _MOST_BYTES)
        + b"WAVE"
        + wide
        + fmt
        + fact
        + b"data"
        + struct.pack("<I", _MOST_BYTES)
    )
