"""From samples to short-time spectra and back: a square-root Hann window, four frames over every sample."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.audio.formats import Block
from core.audio.read import AudioReader

Spectra = NDArray[np.complex64]
"""complex64 [channels, bins, frames]."""

FRAME_S: Final = 0.093
"""Long, so that a tail of half a second is some twenty frames, and filters stay small."""
OVERLAP: Final = 4


class Frames:
    """The frames of a file. Frame t begins at its sample `hop * (t - 3)`; what lies outside of it is silence."""

    def __init__(self, sample_rate: int, length: int) -> None:
        self.size = 1 << max(6, round(np.log2(FRAME_S * sample_rate)))
        self.hop = self.size // OVERLAP
        self.hop_s = self.hop / sample_rate
        self.length = length
        self.count = -(-length // self.hop) + OVERLAP - 1
        self.hertz = np.arange(self.size // 2 + 1) * sample_rate / self.size
        self.window = np.sqrt(np.hanning(self.size + 1)[:-1])

    def read(self, reader: AudioReader, first: int, last: int) -> Spectra:
        """Spectra of frames `first` up to `last`; both may lie outside of the file."""
        start = self.hop * (first - OVERLAP + 1)
        stop = start + self.hop * (last - first) + self.size - self.hop
        begin, end = min(max(start, 0), self.length), min(max(stop, 0), self.length)
        reader.seek(begin)
        heard = reader.read(end - begin)
        block = np.zeros((heard.shape[0], stop - start))
        block[:, begin - start : end - start] = heard
        cut = np.lib.stride_tricks.sliding_window_view(block, self.size, axis=1)[:, :: self.hop]
        return np.ascontiguousarray(np.fft.rfft(cut * self.window).transpose(0, 2, 1), dtype=np.complex64)


class Joiner:
    """Spectra in order to samples in order."""

    def __init__(self, frames: Frames, channels: int) -> None:
        self._frames = frames
        self._left = frames.length
        # the first frame ends with the first hop of the file
        self._skip = frames.size - frames.hop
        self._open = np.zeros((channels, frames.size - frames.hop))

    def push(self, spectra: Spectra) -> Block:
        """The samples that are whole after these frames: float64 [channels, n], n may be 0."""
        frames, count = self._frames, spectra.shape[2]
        parts = (
            np.fft.irfft(spectra.astype(np.complex128), frames.size, axis=1) * (frames.window / (OVERLAP / 2))[:, None]
        )
        sound = np.zeros((len(parts), frames.hop * count + frames.size - frames.hop))
        sound[:, : self._open.shape[1]] = self._open
        for number in range(count):
            sound[:, number * frames.hop : number * frames.hop + frames.size] += parts[:, :, number]
        whole, self._open = sound[:, : frames.hop * count], sound[:, frames.hop * count :].copy()
        skipped = min(self._skip, whole.shape[1])
        self._skip -= skipped
        whole = whole[:, skipped : skipped + self._left]
        self._left -= whole.shape[1]
        return np.ascontiguousarray(whole)
