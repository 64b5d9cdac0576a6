"""Lines of a stretch brought down to 0 Hz, smoothed there, and brought back."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from core.audio.formats import AudioInfo
from core.cleanup.dehum.stretches import LOOKS_HZ, Complexes, Reals, stretch_seconds
from core.cleanup.dehum.tracking import Track

NOTCH_HZ: Final = (0.75, 2.75)
"""Notches take all out to the first, and nothing from the second on."""
SLOW_SECONDS: Final = (2.0, 6.0)


class Bank:
    """Brings lines of a stretch down to 0 Hz, and back."""

    def __init__(self, info: AudioInfo) -> None:
        sample_rate, self._stretch = info.sample_rate, stretch_seconds(info)
        self._rate, self._frames = sample_rate, self._stretch * sample_rate
        self._looks = round(self._stretch * LOOKS_HZ)
        self.seconds = np.arange(self._looks) / LOOKS_HZ
        ramp = np.sin(0.5 * np.pi * np.minimum(1.0, np.arange(self._frames) / sample_rate)) ** 2
        self._taper = ramp * ramp[::-1]

    def _spectrum(self, row: Reals) -> Complexes:
        return np.asarray(fft.rfft(row * self._taper))

    def _middles(self, numbers: NDArray[np.int64], freq_hz: float) -> NDArray[np.int64]:
        """The bin that each line is brought down by."""
        return np.rint(numbers * freq_hz * self._stretch).astype(int)

    def _band(self, freq_hz: float) -> Reals:
        """What counts as a line: a third of the way to the next ones, 8 Hz at most, with soft edges."""
        apart = np.abs(fft.fftfreq(self._looks, 1.0 / LOOKS_HZ))
        edge = min(8.0, freq_hz / 3.0)
        return np.clip(2.0 * (1.0 - apart / edge), 0.0, 1.0)

    def down(self, row: Reals, numbers: NDArray[np.int64], freq_hz: float) -> Complexes:
        """Lines as [harmonics, looks], complex amplitudes relative to harmonics of a steady `freq_hz`."""
        spectrum = self._spectrum(row)
        offsets = fft.fftfreq(self._looks, 1.0 / self._looks).astype(int)
        bins = self._middles(numbers, freq_hz)[:, None] + offsets
        inside = (bins > 0) & (bins < len(spectrum))
        part = np.where(inside, spectrum[np.clip(bins, 0, len(spectrum) - 1)], 0.0) * self._band(freq_hz)
        return np.asarray(fft.ifft(part, axis=1)) * (2.0 * self._looks / self._frames) * self._slip(numbers, freq_hz)

    def _slip(self, numbers: NDArray[np.int64], freq_hz: float) -> Complexes:
        """From the bins' own frequencies to true harmonics."""
        off = self._middles(numbers, freq_hz) / self._stretch - numbers * freq_hz
        return np.exp(2j * np.pi * np.outer(off, self.seconds))

    def turned(
        self, lines: Complexes, numbers: NDArray[np.int64], freq_hz: float, track: Track, seconds: Reals
    ) -> Complexes:
        """Lines relative to harmonics of the track, whose phases run on from stretch to stretch."""
        lag = track.cycles_at(seconds) - freq_hz * self.seconds
        return lines * np.exp(-2j * np.pi * np.outer(numbers, lag))

    def lines_out(
        self, row: Reals, numbers: NDArray[np.int64], track: Track, seconds: Reals, inside: Reals, method: str
    ) -> Reals:
        """The hum of a stretch: float64 [frames]."""
        freq_hz = float(np.mean(track.freqs_hz))
        lines = self.turned(self.down(row, numbers, freq_hz), numbers, freq_hz, track, seconds)
        there = (inside > 0.5) & self._in_file(row)
        smooth = _notched(lines, there) if method == "notch" else _fitted(lines, numbers, there)
        lag = track.cycles_at(seconds) - freq_hz * self.seconds
        back = smooth * np.exp(2j * np.pi * np.outer(numbers, lag)) / self._slip(numbers, freq_hz)
        part = np.asarray(fft.fft(back, axis=1))
        spectrum = np.zeros(self._frames // 2 + 1, dtype=complex)
        offsets = fft.fftfreq(self._looks, 1.0 / self._looks).astype(int)
        for one, middle in zip(part, self._middles(numbers, freq_hz), strict=True):
            bins = middle + offsets
            good = (bins > 0) & (bins < len(spectrum))
            np.add.at(spectrum, bins[good], one[good])
        return np.asarray(fft.irfft(spectrum * (self._frames / (2.0 * self._looks)), self._frames))

    def _in_file(self, row: Reals) -> NDArray[np.bool_]:
        """Which looks are at sound: before the file and after it there is none."""
        sounding = np.flatnonzero(row)
        if not len(sounding):
            return np.zeros(self._looks, dtype=bool)
        at = self.seconds * self._rate
        return (at >= sounding[0]) & (at <= sounding[-1])


def _notched(lines: Complexes, there: NDArray[np.bool_]) -> Complexes:
    """What is within the notch's width of 0 Hz, known from what is there alone."""
    low, high = NOTCH_HZ
    half = round(0.85 * LOOKS_HZ)
    cut = (low + high) / LOOKS_HZ
    taps = np.kaiser(2 * half + 1, 4.5) * np.sinc(cut * np.arange(-half, half + 1))
    return _averaged(lines, np.broadcast_to(there.astype(float), lines.shape), taps)


def _averaged(lines: Complexes, weights: Reals, taps: Reals) -> Complexes:
    """Means of lines under moving taps, weighted."""
    half = len(taps) // 2
    wide = np.pad(np.stack([lines * weights, weights.astype(complex)]), ((0, 0), (0, 0), (half, half)))
    above, below = signal.oaconvolve(wide, taps[None, None, :], mode="valid", axes=2)
    enough = below.real > 0.25 * taps.sum() * weights.max(initial=1e-300)
    return np.where(enough, above / np.where(enough, below.real, 1.0), 0.0)


def _fitted(lines: Complexes, numbers: NDArray[np.int64], there: NDArray[np.bool_]) -> Complexes:
    """Slow amplitudes, to which moments count less the more music there is near the line."""
    found = np.zeros_like(lines)
    for row, number in enumerate(numbers):
        seconds = float(np.clip(40.0 / number, *SLOW_SECONDS))
        taps = np.hanning(2 * round(0.5 * seconds * LOOKS_HZ) + 1)
        line = lines[row : row + 1]
        near = ndimage.uniform_filter1d(line, round(LOOKS_HZ), axis=1)
        music = ndimage.uniform_filter1d(np.square(np.abs(line - near)), round(0.5 * LOOKS_HZ), axis=1)
        typical = np.median(music[:, there]) if there.any() else 1.0
        weights = there / (music + 0.1 * typical + 1e-20)
        half = len(taps) // 2
        wide = np.pad(np.stack([line * weights, weights.astype(complex)]), ((0, 0), (0, 0), (half, half)))
        above, below = np.stack([[np.convolve(each[0], taps, "valid")] for each in wide])
        found[row] = np.where(there, above[0] / np.maximum(below[0].real, 1e-300), 0.0)
    return found
