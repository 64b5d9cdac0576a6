"""A part of the spectrum, taken out without turning its phase, so that it can be louder or quieter in the whole.

A linear-phase FIR (windowed sinc, Hann) gives the band; what is added to the delayed whole is some multiple of it, so a
gain of 1 gives the whole back as it was, and no crossover is ever summed up again.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.session.processors import HIGHEST_SHARE
from core.strips.stage import Block

LOWEST_HZ = 10.0
"""A lower edge here is none: nothing below is heard."""
WIDTHS = 3.3
"""Length of the filter in periods of its transition's width: that of a Hann-windowed sinc is 3.1, and a little more."""
TRANSITION_OCTAVES = 1.0


class Fir:
    """A finite impulse response as a stage; `latency` is that of a symmetrical one."""

    def __init__(self, taps: NDArray[np.float64], channels: int) -> None:
        from scipy.signal import oaconvolve

        self._convolve = oaconvolve
        self._taps = taps[np.newaxis]
        self._channels = channels
        self.latency = (len(taps) - 1) // 2
        self.memory = len(taps)
        self.reset()

    def process(self, block: Block) -> Block:
        """Filters a block float64 [channels, frames]."""
        if block.shape[1] == 0:
            return block
        heard = np.concatenate([self._heard, block], axis=1)
        self._heard = heard[:, heard.shape[1] - self._heard.shape[1] :]
        return self._convolve(heard, self._taps, mode="valid", axes=1)

    def reset(self) -> None:
        """Hears silence before the first frame."""
        self._heard = np.zeros((self._channels, self._taps.shape[1] - 1))


class Delay:
    """Whole frames of delay, as a stage."""

    def __init__(self, frames: int, channels: int) -> None:
        self.latency = self.memory = frames
        self._channels = channels
        self.held = np.zeros((channels, frames))
        """What was heard and not given yet."""

    def process(self, block: Block) -> Block:
        """The block, later."""
        held = np.concatenate([self.held, block], axis=1)
        self.held = held[:, block.shape[1] :]
        return held[:, : block.shape[1]]

    def reset(self) -> None:
        """Holds silence."""
        self.held = np.zeros((self._channels, self.latency))


class Band:
    """Splits blocks into the whole, delayed, and what of it lies between two edges, in time with it.

    Edges are the -6 dB points. A lower one at 10 Hz or below is none, nor is an upper one at 0.49 of the rate or above;
    without either the band is the whole and there is no latency. A lower edge above what the file holds leaves nothing.
    """

    def __init__(self, low_hz: float, high_hz: float, sample_rate: int, channels: int) -> None:
        taps = band_taps(low_hz, high_hz, sample_rate)
        self._fir = None if taps is None else Fir(taps, channels)
        self.latency = 0 if self._fir is None else self._fir.latency
        self.memory = 0 if self._fir is None else self._fir.memory
        self._whole = Delay(self.latency, channels)

    def split(self, block: Block) -> tuple[Block, Block]:
        """The whole and the band, float64 [channels, frames] both, `latency` frames late."""
        if self._fir is None:
            return block, block
        return self._whole.process(block), self._fir.process(block)

    def reset(self) -> None:
        """Forgets everything heard."""
        self._whole.reset()
        if self._fir is not None:
            self._fir.reset()


def band_taps(low_hz: float, high_hz: float, sample_rate: int) -> NDArray[np.float64] | None:
    """An odd number of taps whose edges fall within about an octave; None where there is no edge.

    ValueError unless the lower edge lies below the upper one.
    """
    if low_hz >= high_hz:
        raise ValueError(f"no band from {low_hz:g} to {high_hz:g} Hz")
    if low_hz >= HIGHEST_SHARE * sample_rate:
        return np.zeros(1)
    edges = [edge for edge in (low_hz, high_hz) if LOWEST_HZ < edge < HIGHEST_SHARE * sample_rate]
    if not edges:
        return None
    lower = low_hz > LOWEST_HZ
    width_hz = min(edges) * (2.0 ** (TRANSITION_OCTAVES / 2) - 2.0 ** (-TRANSITION_OCTAVES / 2))
    half = math.ceil(WIDTHS / 2 * sample_rate / width_hz)
    at = np.arange(-half, half + 1)
    window = np.hanning(2 * half + 3)[1:-1]

    def low_pass(edge_hz: float) -> NDArray[np.float64]:
        share = 2.0 * edge_hz / sample_rate
        taps: NDArray[np.float64] = share * np.sinc(share * at) * window
        return taps / taps.sum()

    whole = (at == 0).astype(np.float64)
    upper = low_pass(high_hz) if high_hz in edges else whole
    return upper - low_pass(low_hz) if lower else upper
