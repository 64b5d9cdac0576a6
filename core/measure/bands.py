"""Power of a stream in octaves or third octaves, from 0 Hz to the Nyquist frequency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import soxr

from core.audio.formats import BLOCK_FRAMES, Block
from core.measure.figures import Band
from core.measure.levels import power_to_db

if TYPE_CHECKING:
    from numpy.typing import NDArray

Division = Literal[1, 3]
"""Bands an octave."""

SEGMENT_FRAMES: Final[dict[Division, int]] = {1: 8192, 3: 65_536}
SAMPLES_AT_ONCE: Final = 32_768  # stay in the cache
LOW_RATE: Final = 3000
"""In Hz: thirds under LOW_HZ are measured at this rate."""
LOW_FRAMES: Final = 262_144  # 87 s: even a tone beside the edge of a band of 5 Hz counts in the right one
LOW_HZ: Final = 500.0


class Bands:
    """The bands of one stream that comes in blocks.

    By Parseval they add up to the power of the stream exactly, be it a tone or a single click. What lies on the edge of
    two bands counts in both by the part of it that lies there. Thirds under 500 Hz share what there is of it as a
    slower copy of the stream says (soxr, HQ), in which even a window's lobe is narrow beside the band at 20 Hz.
    """

    def __init__(self, sample_rate: int, channels: int, division: Division = 1) -> None:
        self._nyquist = sample_rate / 2.0
        self._edges = band_edges(self._nyquist, division)
        self._whole = _Spectrum(SEGMENT_FRAMES[division], channels)
        self._low = _Low(sample_rate, channels) if division == 3 and sample_rate > LOW_RATE else None
        self._silence = np.zeros((channels, BLOCK_FRAMES))
        self._quiet = self._whole.size
        """Frames of silence that came last, those before the start among them."""

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        self._quiet = 0
        for start in range(0, block.shape[1], BLOCK_FRAMES):
            self._take(block[:, start : start + BLOCK_FRAMES])

    def push_silence(self, frames: int) -> None:
        """Takes so many frames of silence, which cost nothing where there was silence before them."""
        taken = min(frames, self._whole.size - self._quiet)
        for start in range(0, taken, BLOCK_FRAMES):
            self._take(self._silence[:, : taken - start])
        self._quiet = min(self._whole.size, self._quiet + frames)

    def result(self, frames: int) -> list[Band]:
        """The bands as mean squares over `frames` frames and all channels. Ends the stream."""
        upto = _Upto(self._whole.power(), self._nyquist)
        sums = np.diff(upto.at(self._edges)) / frames
        if self._low is not None:
            count = sum(edge <= LOW_HZ for edge in self._edges) - 1
            shares = np.diff(_Upto(self._low.power(), LOW_RATE / 2.0).at(self._edges[: count + 1]))
            if shares.sum() > 0.0:
                sums[:count] = sums[:count].sum() * shares / shares.sum()
        # An FFT's rounding lies some 300 dB below what is in it; a band that holds only that holds nothing.
        nothing = 1e-26 * float(sums.sum())
        return [
            Band(low, high, power_to_db(value) if value > nothing else None)
            for low, high, value in zip(self._edges[:-1], self._edges[1:], sums.tolist(), strict=True)
        ]

    def _take(self, block: Block) -> None:
        self._whole.push(block)
        if self._low is not None:
            self._low.push(block)


class _Spectrum:
    """The power spectrum of a stream, from FFTs that overlap by an eighth.

    Over the overlap the window rises and falls as the Vorbis window does; its squares add up to one (the condition of
    Princen & Bradley 1986), so that no power is lost.
    """

    def __init__(self, size: int, channels: int) -> None:
        self.size = size
        self._overlap = size // 8
        self._hop = size - self._overlap
        rise = np.sin(np.pi / 2.0 * np.sin(np.pi / 2.0 * (np.arange(self._overlap) + 0.5) / self._overlap) ** 2)
        self._window = np.concatenate([rise, np.ones(size - 2 * self._overlap), rise[::-1]])
        self._power = np.zeros(size // 2 + 1)
        # Buffers are kept: fresh memory for every block costs more than the FFT.
        self._stream = np.zeros((channels, size + BLOCK_FRAMES))
        self._held = self._overlap
        self._at_once = max(1, SAMPLES_AT_ONCE // size)
        self._segments = np.empty((self._at_once, size))
        self._spectra = np.empty((self._at_once, size // 2 + 1), dtype=np.complex128)

    def push(self, block: Block) -> None:
        """Takes up to BLOCK_FRAMES frames, float64 [channels, frames], and works off whole segments."""
        self._stream[:, self._held : self._held + block.shape[1]] = block
        self._held += block.shape[1]
        whole = max(0, (self._held - self._overlap) // self._hop)
        for channel in self._stream:
            windows = np.lib.stride_tricks.sliding_window_view(channel, self.size)[:: self._hop][:whole]
            for start in range(0, whole, self._at_once):
                some = windows[start : start + self._at_once]
                segments = np.multiply(some, self._window, out=self._segments[: len(some)])
                spectra = np.fft.rfft(segments, out=self._spectra[: len(some)]).view(np.float64)
                power = np.einsum("ij,ij->j", spectra, spectra)
                self._power += power[0::2] + power[1::2]
        used = whole * self._hop
        if used:
            self._stream[:, : self._held - used] = self._stream[:, used : self._held].copy()
            self._held -= used

    def power(self) -> NDArray[np.float64]:
        """Sum of squares in every bin, the mean of all channels. Ends the stream."""
        silence = np.zeros((len(self._stream), BLOCK_FRAMES))
        for start in range(0, self.size, BLOCK_FRAMES):
            self.push(silence[:, : self.size - start])
        power = self._power / (self.size * len(self._stream))
        power[1:-1] *= 2.0
        return power


class _Low:
    """The power spectrum of a stream's low end, at a rate of its own."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._slower = soxr.ResampleStream(sample_rate, LOW_RATE, channels, "float64", "HQ")
        self._spectrum = _Spectrum(LOW_FRAMES, channels)
        self._channels = channels

    def push(self, block: Block) -> None:
        """Takes up to BLOCK_FRAMES frames, float64 [channels, frames]."""
        self._spectrum.push(self._slower.resample_chunk(np.ascontiguousarray(block.T)).T)

    def power(self) -> NDArray[np.float64]:
        """As `_Spectrum.power`, from 0 Hz to half of LOW_RATE."""
        rest = self._slower.resample_chunk(np.zeros((0, self._channels)), last=True).T
        for start in range(0, rest.shape[1], BLOCK_FRAMES):
            self._spectrum.push(rest[:, start : start + BLOCK_FRAMES])
        return self._spectrum.power()


class _Upto:
    """The power up to a frequency: every bin spread evenly over its width, the outer two over half of it."""

    def __init__(self, power: NDArray[np.float64], nyquist_hz: float) -> None:
        last = len(power) - 1
        self._edges_hz = np.clip(np.arange(last + 2) - 0.5, 0.0, last) * nyquist_hz / last
        self._sums = np.concatenate([[0.0], np.cumsum(power)])

    def at(self, edges_hz: list[float]) -> NDArray[np.float64]:
        """Sums at some frequencies, float64 [n]."""
        return np.interp(edges_hz, self._edges_hz, self._sums)


def band_edges(nyquist_hz: float, division: Division = 1) -> list[float]:
    """Edges in Hz from 0 to the Nyquist frequency, between them octaves around 1 kHz * 2^n or thirds of IEC 61260-1.

    Thirds are the standard's of base ten: around 1 kHz * 10^(n / 10), a twentieth of a decade to either side, from 18
    Hz on. The lowest edge of octaves is 22 Hz, or more where that would leave one with less than two bins of the FFT.
    """
    if division == 1:
        lowest = 4.0 * nyquist_hz / (SEGMENT_FRAMES[1] // 2)
        inner = [edge for edge in (1000.0 * 2.0 ** (n - 0.5) for n in range(-5, 12)) if edge >= lowest]
    else:
        highest = math.ceil(10.0 * math.log10(nyquist_hz / 1000.0))
        inner = [1000.0 * 10.0 ** ((n - 0.5) / 10.0) for n in range(-17, highest + 1)]
    return [0.0, *(round(edge, 3) for edge in inner if edge < nyquist_hz), nyquist_hz]
