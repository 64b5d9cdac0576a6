"""The long-term balance of several files that run side by side: power in bands of a sixth of an octave, and how much
of it they have in common.

Welch's method (IEEE Trans. AU 15, 1967) on half-overlapped Hann windows of at least a third of a second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.measure.spectrum import hann

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from core.audio.formats import Block

WINDOW_SECONDS: Final = 0.33
LOWEST_HZ: Final = 31.25
OCTAVES: Final = 9
BANDS: Final = 6 * OCTAVES + 1
CENTRES_HZ: Final = LOWEST_HZ * 2.0 ** (np.arange(BANDS) / 6.0)
"""Middles of the bands: 31.25 Hz to 16 kHz."""
COMMON_HZ: Final = 2500.0
"""What files have in common is kept up to here; above it counts as nothing."""


class Windows:
    """Half-overlapped windows of a stream: blocks in, float64 [parts, channels, size] out, nothing remembered twice."""

    def __init__(self, sample_rate: int) -> None:
        self.size = 1 << math.ceil(math.log2(WINDOW_SECONDS * sample_rate))
        self._held: NDArray[np.float64] | None = None
        self._given = False

    def push(self, blocks: Sequence[Block]) -> Iterator[NDArray[np.float64]]:
        """Takes a block of every part, all of one shape, and gives the windows that are full."""
        fresh = np.stack(blocks)
        held = fresh if self._held is None else np.concatenate([self._held, fresh], axis=2)
        while held.shape[2] >= self.size:
            self._given = True
            yield held[:, :, : self.size]
            held = held[:, :, self.size // 2 :]
        self._held = held

    def last(self) -> Iterator[NDArray[np.float64]]:
        """The beginning of a window that never became full, followed by silence, when there was none before it."""
        if not self._given and self._held is not None and self._held.shape[2]:
            missing = self.size - self._held.shape[2]
            yield np.pad(self._held, ((0, 0), (0, 0), (0, missing)))


class BalanceMeter:
    """Sums up spectra, float64 [parts, channels, size] a window."""

    def __init__(self, parts: int, sample_rate: int, size: int) -> None:
        self._window = hann(size)
        self._rate = sample_rate
        bin_hz = sample_rate / size
        edges_hz = np.append(CENTRES_HZ * 2.0 ** (-1 / 12), CENTRES_HZ[-1] * 2.0 ** (1 / 12))
        self._edges = np.clip(edges_hz / bin_hz + 0.5, 0.0, size // 2 + 1)
        self._common_bins = min(size // 2 + 1, math.ceil(COMMON_HZ * 2.0 ** (1 / 12) / bin_hz) + 1)
        self._common = np.zeros((parts, parts, self._common_bins), dtype=np.complex128)
        self._power = np.zeros((parts, size // 2 + 1))
        self.windows = 0

    def push(self, window: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Takes a window and gives its spectra, complex128 [parts, channels, bins]."""
        spectra = np.fft.rfft(window * self._window)
        self._power += (spectra.real**2 + spectra.imag**2).sum(axis=1)
        low = spectra[:, :, : self._common_bins]
        for one in range(len(low)):
            self._common[one, one:] += np.einsum("cb,pcb->pb", low[one].conj(), low[one:])
        self.windows += 1
        return spectra

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
        """Powers float64 [parts, BANDS], and common powers complex128 [parts, parts, BANDS]: conj(row) times column.

        0 dB is a full-scale sine in one channel; channels are summed.
        """
        scale = 4.0 / (max(1, self.windows) * len(self._window) * np.square(self._window).sum())
        power = scale * _banded(self._power, self._edges)
        upper = scale * _banded(self._common, np.minimum(self._edges, self._common_bins))
        common = upper + upper.conj().swapaxes(0, 1)
        diagonal = np.arange(len(power))
        common[diagonal, diagonal] = power
        return power, common


def third_octaves(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power of third octaves a sixth apart, from that of sixths: [..., BANDS] both. The ends are taken as level."""
    halves = np.pad(power, [(0, 0)] * (power.ndim - 1) + [(1, 1)], mode="edge") / 2.0
    return halves[..., :-2] + power + halves[..., 2:]


def _banded(power: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[Any]:
    """Sums of bins between edges in bins, shares of bins too: [..., bins] to [..., len(edges) - 1]."""
    below = np.concatenate([np.zeros((*power.shape[:-1], 1)), np.cumsum(power, axis=-1)], axis=-1)
    whole = np.minimum(edges.astype(np.int64), below.shape[-1] - 2)
    share = edges - whole
    at = below[..., whole] + share * (below[..., whole + 1] - below[..., whole])
    return np.diff(at, axis=-1)
