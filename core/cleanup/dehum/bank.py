"""Lines of a stretch brought down to 0 Hz, smoothed there, and brought back."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, interpolate, ndimage, signal

from core.audio.formats import AudioInfo
from core.cleanup.dehum.stretches import LOOKS_HZ, Complexes, Reals, stretch_seconds
from core.cleanup.dehum.tracking import Track

NOTCH_HZ: Final = (0.75, 2.75)
"""Notches take all out to the first, and nothing from the second on."""
SLOW_SECONDS: Final = 6.0
"""What each line does on its own is followed so slowly."""
TURNS: Final = 0.01
"""How fast the drift that the track leaves changes, rad/s^2 of the fundamental."""
SWELLS: Final = 0.3
"""How fast the level of hum changes, as parts of it per s^2."""
MOST_SWELL: Final = 3.0
"""Hum is not said to be so many times louder or softer than it mostly is."""
COMMON_ROUNDS: Final = 3
FEWEST_LOOKS: Final = 50
BEYOND_LOOKS: Final = 10
BLUR: Final = 1.6
"""Half the length of a band's impulse response, in turns of its edge."""


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
        return np.clip(2.0 * (1.0 - apart / _band_edge(freq_hz)), 0.0, 1.0)

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
        sounding = np.flatnonzero(row)
        if not len(sounding):
            return np.zeros(self._frames)
        own = slice(int(sounding[0]), int(sounding[-1]) + 1)
        looked_at = self.seconds * self._rate
        there = (inside > 0.5) & (looked_at >= own.start) & (looked_at < own.stop)
        sure = np.asarray(ndimage.binary_erosion(there, iterations=_blurred(freq_hz)), dtype=bool)
        smooth = _hum_in(lines, sure if sure.any() else there, numbers, method)
        lag = track.cycles_at(seconds) - freq_hz * self.seconds
        back = smooth * np.exp(2j * np.pi * np.outer(numbers, lag)) / self._slip(numbers, freq_hz)
        hum = np.zeros(self._frames)
        hum[own] = self._up(back, numbers, freq_hz)[own]
        return hum

    def _up(self, lines: Complexes, numbers: NDArray[np.int64], freq_hz: float) -> Reals:
        """The sum of lines at the file's own rate: float64 [frames]."""
        spectrum = np.zeros(self._frames // 2 + 1, dtype=complex)
        offsets = fft.fftfreq(self._looks, 1.0 / self._looks).astype(int)
        for one, middle in zip(np.asarray(fft.fft(lines, axis=1)), self._middles(numbers, freq_hz), strict=True):
            bins = middle + offsets
            good = (bins > 0) & (bins < len(spectrum))
            np.add.at(spectrum, bins[good], one[good])
        return np.asarray(fft.irfft(spectrum * (self._frames / (2.0 * self._looks)), self._frames))


def _band_edge(freq_hz: float) -> float:
    """How far from a line its band reaches, in Hz."""
    return min(8.0, freq_hz / 3.0)


def _blurred(freq_hz: float) -> int:
    """So many looks beside where hum begins or ends, its band smears the one into the other."""
    return math.ceil(BLUR / _band_edge(freq_hz) * LOOKS_HZ)


def _hum_in(lines: Complexes, sure: NDArray[np.bool_], numbers: NDArray[np.int64], method: str) -> Complexes:
    """What of turned lines is hum: what they do together, and what each does slowly on its own; beyond `sure`, too."""
    trust = _trust(lines, sure)
    common = np.ones_like(lines)
    for _ in range(COMMON_ROUNDS):
        common *= _common(lines / common, _fitted(lines / common, trust), trust, numbers)
    hum = common * _fitted(lines / common, trust)
    return hum + _within(np.where(sure, lines - hum, 0.0)) if method == "notch" else hum


def _trust(lines: Complexes, sure: NDArray[np.bool_]) -> Reals:
    """How much each moment of each line counts: the less, the more moves near the line, which is music mostly."""
    near = ndimage.uniform_filter1d(lines, round(LOOKS_HZ), axis=1)
    music = ndimage.uniform_filter1d(np.square(np.abs(lines - near)), round(0.5 * LOOKS_HZ), axis=1)
    typical = np.median(music[:, sure], axis=1, keepdims=True) if sure.any() else 1.0
    return sure / (music + 0.1 * typical + 1e-20)


def _common(lines: Complexes, smooth: Complexes, trust: Reals, numbers: NDArray[np.int64]) -> Complexes:
    """How all lines turn and swell together, beyond the track and what is slow: factors [harmonics, looks]."""
    there = smooth != 0.0
    off: Complexes = (lines / np.where(there, smooth, 1.0) - 1.0) * there
    swelling = trust * np.square(np.abs(smooth))
    turning = swelling * numbers[:, None]
    swell = _course((swelling * off.real).sum(axis=0), swelling.sum(axis=0), SWELLS)
    turn = _course((turning * off.imag).sum(axis=0), (turning * numbers[:, None]).sum(axis=0), TURNS)
    turned: Complexes = np.exp(1j * np.outer(numbers, turn))
    return turned * np.clip(1.0 + swell, 1.0 / MOST_SWELL, MOST_SWELL)


def _course(weighted: Reals, weights: Reals, most: float) -> Reals:
    """A smooth course through moments of unequal weight: its second derivative is about `most` per s^2."""
    at = np.flatnonzero(weights > 0.0)
    if len(at) < FEWEST_LOOKS:
        return np.zeros(len(weights))
    values = weighted[at] / weights[at]
    course = interpolate.make_smoothing_spline(at / LOOKS_HZ, values, weights[at], lam=1.0 / most**2)
    return course(np.clip(np.arange(len(weights)), at[0] - BEYOND_LOOKS, at[-1] + BEYOND_LOOKS) / LOOKS_HZ)


def _fitted(lines: Complexes, trust: Reals) -> Complexes:
    """Slow amplitudes, known from where they are trusted, and going on beyond."""
    taps = np.hanning(2 * round(0.5 * SLOW_SECONDS * LOOKS_HZ) + 1)[None, :]
    above, below = (signal.oaconvolve(each, taps, mode="same", axes=1) for each in (lines * trust, trust))
    known = below > 1e-9 * below.max(axis=1, keepdims=True, initial=1e-300)
    return np.where(known, above / np.where(known, below, 1.0), 0.0)


def _within(lines: Complexes) -> Complexes:
    """What is within a notch's width of 0 Hz."""
    low, high = NOTCH_HZ
    half = round(0.85 * LOOKS_HZ)
    cut = (low + high) / LOOKS_HZ
    taps = np.kaiser(2 * half + 1, 4.5) * np.sinc(cut * np.arange(-half, half + 1))
    wide = np.pad(lines, ((0, 0), (half, half)))
    return np.asarray(signal.oaconvolve(wide, taps[None, :] / taps.sum(), mode="valid", axes=1))
