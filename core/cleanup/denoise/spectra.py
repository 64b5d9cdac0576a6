"""Short spectra of a file: the frames that profile and suppression share.

A window is about 46 ms long, a power of two: long enough to part tones, short enough that what noise an attack lets
through stays within its masking. It is the square root of a Hann window, on the way in and on the way out, so that
windows a quarter of their length apart add up to 2 exactly.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.audio.read import AudioReader

WINDOW_SECONDS: Final = 2048 / 44_100
SHORTEST: Final = 256


def window_frames(sample_rate: int) -> int:
    """Frames of a window: a power of two."""
    return max(SHORTEST, 1 << round(math.log2(WINDOW_SECONDS * sample_rate)))


def window(size: int) -> NDArray[np.float64]:
    """The square root of the periodic Hann window: float64 [size]."""
    return np.sin(np.pi * np.arange(size) / size)


def spectra(sound: Block, size: int, hop: int) -> NDArray[np.complex128]:
    """Spectra of the whole windows in a sound: float64 [channels, frames] to complex128 [channels, windows, bins]."""
    return np.fft.rfft(sliding_window_view(sound, size, axis=1)[:, ::hop] * window(size))


class Padded:
    """A file with zeros before its beginning and behind its end, of which overlapping stretches are read in order.

    What two stretches share is kept, so that the reader never goes back from the second on.
    """

    def __init__(self, reader: AudioReader) -> None:
        self._reader = reader
        self._start = 0
        self._kept = np.zeros((reader.info.channels, 0))

    def read(self, first: int, last: int) -> Block:
        """Frames `first` up to `last`, `first` no less than that of the stretch before."""
        frames = self._reader.info.frames
        start, stop = min(max(first, 0), frames), min(max(last, 0), frames)
        shared = self._kept[:, start - self._start :] if self._kept.shape[1] else self._kept
        if start + shared.shape[1] != self._reader.frame:
            self._reader.seek(start + shared.shape[1])
        fresh = self._reader.read(max(0, stop - start - shared.shape[1]))
        self._start, self._kept = start, np.concatenate([shared, fresh], axis=1)
        return np.pad(self._kept, ((0, 0), (start - first, last - stop)))


def turned(sound: NDArray[Any], middle: bool) -> NDArray[Any]:
    """Left and right as middle and side, and back: the turn is its own inverse and keeps the power."""
    if not middle:
        return sound
    return np.stack([sound[0] + sound[1], sound[0] - sound[1]]) * math.sqrt(0.5)
