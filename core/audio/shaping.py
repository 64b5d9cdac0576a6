"""Noise-shaped rounding: the error of the last samples is fed back, so that its noise lies where the ear is dull.

The filter is the nine-tap F-weighted one of R. A. Wannamaker, "Psychoacoustically Optimal Noise Shaping", JAES 40
(1992), no. 7/8, made for 44.1 kHz. Other rates get the filter that his method gives for the same ear.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.audio.formats import Block
from core.audio.quantise import Codes, check_numbers

F_WEIGHTED: Final = (2.412, -3.370, 3.937, -4.174, 3.353, -2.205, 1.281, -0.569, 0.0847)
"""Taps c of the noise transfer function 1 - sum c[k] z^-k at 44.1 kHz, c[1] first."""
DESIGN_RATE: Final = 44_100
GRID: Final = 1 << 14
WORST_LSB: Final = 1.5
"""What one rounding with TPDF dither can be off, before any shaping."""


@functools.cache
def f_weighted(sample_rate: int) -> NDArray[np.float64]:
    """The taps for a rate in Hz, float64 [9]: at 44.1 kHz the published ones, else `predicted`."""
    return np.array(F_WEIGHTED) if sample_rate == DESIGN_RATE else predicted(sample_rate)


def predicted(sample_rate: int) -> NDArray[np.float64]:
    """The taps that Wannamaker's method gives at a rate in Hz, float64 [9].

    He takes the filter that leaves least noise power as the ear weights it, which is linear prediction on the ear's
    curve. What nine taps leave to be known of that curve is their own inverse: 1 / |H|^2 of the published filter.
    Prediction on it at another rate, held at its last value above 22.05 kHz, gives that rate's filter, and at 44.1 kHz
    the published one back.
    """
    freq_hz = np.arange(GRID + 1) / GRID * sample_rate / 2.0
    weight = response(np.array(F_WEIGHTED), np.minimum(freq_hz, DESIGN_RATE / 2.0), DESIGN_RATE) ** -2.0
    correlation = np.fft.irfft(weight)[: len(F_WEIGHTED) + 1]
    places = np.arange(len(F_WEIGHTED))
    return np.asarray(np.linalg.solve(correlation[np.abs(places[:, None] - places)], correlation[1:]), np.float64)


def response(taps: NDArray[np.float64], freq_hz: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """How much of the error each frequency keeps, as an amplitude: float64 like `freq_hz`."""
    delays = np.arange(1, len(taps) + 1)
    return np.abs(1.0 - np.exp(-2j * math.pi * np.outer(freq_hz / sample_rate, delays)) @ taps)


class NoiseShaper:
    """Rounds a stream of blocks with its error fed back, channel by channel.

    `worst_lsb` is the most that a sample can be off: 1.5 LSB times the sum of the filter's magnitudes. What falls off
    the rails is not fed back. State goes from block to block, so that their sizes never matter.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._taps = f_weighted(sample_rate)
        self._held = np.zeros((channels, len(self._taps)))
        self.worst_lsb = worst_lsb(sample_rate)

    def quantise(self, block: Block, bits: int, dither_lsb: Block) -> Codes:
        """Rounds a block as `core.audio.quantise.quantise` does, of the same shapes and ranges.

        UnbakeError when a sample is not a number.
        """
        scale = 2.0 ** (bits - 1)
        levels = np.ascontiguousarray(block * scale)
        check_numbers(levels)
        _compiled()(levels, np.ascontiguousarray(dither_lsb), self._taps, self._held)
        np.clip(levels, -scale, scale - 1.0, out=levels)
        return levels.astype(np.int32)


def worst_lsb(sample_rate: int) -> float:
    """The most that a shaped sample can be off, in LSB, at a rate in Hz."""
    return WORST_LSB * (1.0 + float(np.abs(f_weighted(sample_rate)).sum()))


def round_in_order(
    levels: NDArray[np.float64], noise: NDArray[np.float64], taps: NDArray[np.float64], held: NDArray[np.float64]
) -> None:
    """Rounds `levels` (LSB, [channels, frames]) in place; `held` [channels, taps] has the last errors, newest first.

    Each sample needs the error of the one before, so there is no array form of it: this is the loop that is compiled.
    """
    channels, frames = levels.shape
    order = len(taps)
    for channel in range(channels):
        for frame in range(frames):
            wanted = levels[channel, frame]
            for back in range(order):
                wanted -= taps[back] * held[channel, back]
            rounded = np.rint(wanted + noise[channel, frame])
            for back in range(order - 1, 0, -1):
                held[channel, back] = held[channel, back - 1]
            held[channel, 0] = rounded - wanted
            levels[channel, frame] = rounded


@functools.cache
def _compiled() -> Callable[..., Any]:
    """`round_in_order` as machine code, kept on disk; without fast maths, so that it gives Python's very bits."""
    import numba  # half a second: only for those who shape noise

    signature = "void(float64[:,::1], float64[:,::1], float64[::1], float64[:,::1])"
    try:
        return numba.njit(signature, nogil=True, cache=True)(round_in_order)
    except RuntimeError:  # no folder that it could keep it in: then it is compiled every time
        return numba.njit(signature, nogil=True)(round_in_order)
