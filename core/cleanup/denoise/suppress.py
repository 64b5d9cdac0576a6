"""Noise that is known, turned down bin by bin: two passes of a decision-directed estimate, then a Wiener gain.

The a-priori SNR of a bin is estimated as by Y. Ephraim and D. Malah, "Speech enhancement using a minimum mean-square
error log-spectral amplitude estimator" (IEEE Trans. ASSP 33/2, 1985): their decision-directed mean of what was heard a
window ago and what is heard now. It is done forward and backward in time, and the mean of both is what follows attacks
without delay (in the spirit of I. Cohen, "Speech enhancement using a noncausal a priori SNR estimator", IEEE Signal
Processing Letters 11/9, 2004). Their log-spectral amplitude then is a first estimate of the sound. Its power, smoothed
over three windows and three bins, is the signal in the Wiener gain that is applied: chance peaks of the noise, which
are what musical noise is made of, have no neighbours and don't get through the smoothing. No gain is less than the
floor, so that what is left of the noise keeps its sound.

What is taken away is what is made from the spectra, and subtracted from the file: a gain of 1 leaves the very samples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
from scipy import fft, special

from core.cleanup.denoise.spectra import Padded, spectra, turned, window, window_frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.audio.read import AudioReader

HOPS: Final = 4
"""Hops in a window."""
BATCH: Final = 256
"""Windows that are done at once."""
AHEAD: Final = 32
"""The pass backward begins so many windows later: what it begins with is forgotten by then, to -14 dB a tenth of it."""
MEMORY: Final = 0.95
"""Of the decision-directed mean, per hop."""
LEAST_SNR: Final = 10.0**-2.5
"""A-priori."""
MOST_SNR: Final = 1e6
TABLE_LOG: Final = (-9.0, 4.0)
TABLE_STEPS: Final = 256
"""A unit of the natural logarithm."""


def suppressed(
    reader: AudioReader, power: NDArray[np.float64], *, middle: bool, reduction_db: float
) -> Iterator[Block]:
    """The file with its noise turned down by `reduction_db` at the most, in blocks of a few seconds.

    `power` is that of a `Profile`, float64 [channels, bins]; `middle` says that its channels are middle and side.
    """
    frames = reader.info.frames
    size = window_frames(reader.info.sample_rate)
    hop, lead = size // HOPS, size - size // HOPS
    windows = (frames + lead + hop - 1) // hop
    estimate = Estimate(power)
    shape, floor = window(size) * (2.0 / HOPS), 10.0 ** (-reduction_db / 20.0)
    padded = Padded(reader)
    tail = np.zeros((reader.info.channels, lead))
    for at in range(0, windows, BATCH):
        count = min(BATCH, windows - at)
        start = at * hop - lead
        ahead = min(AHEAD, windows - at - count)
        sound = padded.read(start, start + (count + ahead - 1) * hop + size)
        heard = spectra(turned(sound, middle), size, hop)
        taken = heard[:, :count] * (1.0 - np.maximum(estimate.gains(heard, count), floor))
        removed = np.zeros((len(sound), (count - 1) * hop + size))
        parts = fft.irfft(taken, size) * shape
        for part in range(HOPS):
            columns = slice(part * hop, (part + 1) * hop)
            ends = removed[:, part * hop : part * hop + count * hop]
            ends += parts[:, :, columns].reshape(len(sound), -1)
        removed[:, :lead] += tail
        done = count * hop
        tail = removed[:, done:]
        first, last = max(start, 0), min(start + done, frames)
        if last > first:
            inside = slice(first - start, last - start)
            yield sound[:, inside] - turned(removed[:, inside], middle)


class Estimate:
    """The gains of window after window; `power` is that of the noise, float64 [channels, bins]."""

    def __init__(self, power: NDArray[np.float64]) -> None:
        self._there = power.reshape(-1) > 0.0
        self._scale = np.where(self._there, 1.0 / np.where(self._there, power.reshape(-1), 1.0), 0.0)
        self._scale *= 2.0 / (2 * (power.shape[1] - 1))
        self._before = np.zeros(power.size)
        self._last = np.zeros((len(power), 1, power.shape[1]))

    def gains(self, heard: NDArray[np.complex128], count: int) -> NDArray[np.float64]:
        """Gains of the first `count` windows of spectra [channels, windows, bins]; those behind them are looked at.

        float64 [channels, count, bins], 0 to 1.
        """
        channels, windows, bins = heard.shape
        square = (np.square(heard.real) + np.square(heard.imag)).transpose(1, 0, 2).reshape(windows, -1)
        ratio = np.minimum(square * self._scale, MOST_SNR)
        first = np.empty_like(ratio)
        estimate_signal(ratio, self._before, count, _table(), first)
        signal = np.concatenate([self._last, first.reshape(windows, channels, bins).transpose(1, 0, 2)], axis=1)
        self._last = signal[:, count : count + 1]
        snr = np.maximum(_smoothed(signal)[:, :count], LEAST_SNR)
        gains = snr / (1.0 + snr)
        gains.transpose(1, 0, 2)[:, ~self._there.reshape(channels, bins)] = 1.0
        return gains


def _smoothed(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over three windows and three bins, of the second window on: [channels, windows + 1, bins] to one less."""
    power = np.concatenate([power, power[:, -1:]], axis=1)
    along = power[:, :-2] + power[:, 1:-1] + power[:, 2:]
    out = along.copy()
    out[:, :, 1:] += along[:, :, :-1]
    out[:, :, :-1] += along[:, :, 1:]
    out[:, :, 0] += along[:, :, 0]
    out[:, :, -1] += along[:, :, -1]
    return out * (1.0 / 9.0)


@functools.cache
def _table() -> NDArray[np.float64]:
    """exp(E1(v) / 2), by which the log-spectral amplitude exceeds Wiener's, at steps of log v."""
    steps = np.arange(round((TABLE_LOG[1] - TABLE_LOG[0]) * TABLE_STEPS) + 1)
    return np.exp(0.5 * special.exp1(np.exp(TABLE_LOG[0] + steps / TABLE_STEPS)))


def _machine_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as machine code, kept on disk; without fast maths, so that it gives Python's very bits."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder that it could keep it in: then it is compiled every time
        return numba.njit(nogil=True)(function)


@_machine_code
def power_of(snr: float, heard: float, table: NDArray[np.float64]) -> float:
    """The square of the log-spectral amplitude, over the noise: of a-priori and a-posteriori SNR."""
    gain = snr / (1.0 + snr)
    place = (np.log(max(gain * heard, 1e-30)) - TABLE_LOG[0]) * TABLE_STEPS
    if place < 0.0:
        gain *= table[0]
    elif place < len(table) - 1:
        gain *= table[int(place + 0.5)]
    gain = min(gain, 1.0)
    return gain * gain * heard


@_machine_code
def estimate_signal(
    ratio: NDArray[np.float64],
    before: NDArray[np.float64],
    count: int,
    table: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """The power of the sound over that of the noise, by the mean of a pass forward and one backward.

    `ratio` is the a-posteriori SNR, [windows, bins]; `before` the power found in the window before, and at the end that
    of the last of `count` windows. `out` is like `ratio`.
    """
    windows, bins = ratio.shape
    kept = np.empty(bins)
    passing = before.copy()
    for direction in range(2):
        if direction:
            passing[:] = np.maximum(ratio[windows - 1] - 1.0, 0.0)
        for step in range(windows):
            at = windows - 1 - step if direction else step
            for one in range(bins):
                heard = ratio[at, one]
                snr = max(MEMORY * passing[one] + (1.0 - MEMORY) * max(heard - 1.0, 0.0), LEAST_SNR)
                if direction:
                    out[at, one] = 0.5 * (out[at, one] + snr)
                else:
                    out[at, one] = snr
                passing[one] = power_of(snr, heard, table)
            if not direction and at == count - 1:
                kept[:] = passing
    before[:] = kept
    for at in range(windows):
        for one in range(bins):
            out[at, one] = power_of(out[at, one], ratio[at, one], table)
