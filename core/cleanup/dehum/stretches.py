"""A file in stretches that overlap, for what is to be known of long tones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.audio.formats import AudioInfo, Block
from core.audio.read import AudioReader

Reals = NDArray[np.float64]
Complexes = NDArray[np.complex128]

LOOKS_HZ: Final = 25.0
"""Lines that were brought down to 0 Hz are looked at so often a second."""
STRETCH_SECONDS: Final = 40
"""Files go by in stretches of so many seconds, short ones in one that is shorter."""
MARGIN_SECONDS: Final = 5
"""Of each stretch so much at either end serves only to know the rest."""


class Stretch(NamedTuple):
    """A part of a file, zeros where there is no file: `at` is the frame of its first sample, and may be negative."""

    block: Block
    at: int
    first: int
    last: int


def stretch_seconds(info: AudioInfo) -> int:
    """How long each stretch of a file is."""
    return min(STRETCH_SECONDS, math.ceil(info.seconds) + 2 * MARGIN_SECONDS)


def stretches(reader: AudioReader) -> Iterator[Stretch]:
    """The file in stretches of 40 s, 30 of them their own."""
    rate, frames = reader.info.sample_rate, reader.info.frames
    size, margin = stretch_seconds(reader.info) * rate, MARGIN_SECONDS * rate
    for first in range(0, frames, size - 2 * margin):
        at = first - margin
        reader.seek(max(0, at))
        heard = reader.read(min(frames, at + size) - max(0, at))
        block = np.zeros((reader.info.channels, size))
        block[:, max(0, -at) : max(0, -at) + heard.shape[1]] = heard
        yield Stretch(block, at, first, min(frames, first + size - 2 * margin))
