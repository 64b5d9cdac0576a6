"""Noise that is known, turned down bin by bin: two passes of a decision-directed estimate, then a Wiener gain.

The a-priori SNR of a bin is estimated as by Y. Ephraim and D. Malah, "Speech enhancement using a minimum mean-square
error log-spectral amplitude estimator" (IEEE Trans. ASSP 33/2, 1985): their decision-directed mean of what was heard a
window ago and what is heard now. It is done forward and backward in time, and the mean of both is what follows attacks
without delay (in the spirit of I. Cohen, "Speech enhancement using a noncausal a priori SNR estimator", IEEE Signal
Processing Letters 11/9, 2004). Their log-spectral amplitude then is a first estimate of the sound. Its power, smoothed
over three windows and three bins, is the signal in the Wiener gain that is applied. No gain is less than the floor, so
that what is left of the noise keeps its sound.

Chance peaks of the noise would get through as single specks, which is musical noise. So a gain over the floor is given
by the share in which sound is believed to be there, as in I. Cohen and B. Berdugo, "Speech enhancement for
non-stationary noise environments" (Signal Processing 81/11, 2001), here linearly: the mean SNR over a quarter of a
second of a few bins (a tone), or over a moment of many (an attack), has to be more than it can be by chance.

What is taken away is what is made from the spectra, and subtracted from the file: a gain of 1 leaves the very samples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
from scipy import special
from scipy.ndimage import uniform_filter1d

from core.cleanup.denoise.spectra import Padded, spectra, turned, window, window_frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.audio.read import AudioReader

HOPS: Final = 4
"""Hops in a window."""
BATCH: Final = 256
BATCH_VALUES: Final = 1 << 20
"""Windows that are done at once, and the most values in them."""
AHEAD: Final = 32
"""The pass backward begins so many windows later: of what it begins with less than a fifth is left by then."""
MEMORY: Final = 0.95
"""Of the decision-directed mean, per hop."""
LEAST_SNR: Final = 10.0**-2.5
"""A-priori."""
MOST_SNR: Final = 1e6
LONG: Final = 21
WIDE: Final = 33
FEW: Final = 3
"""Windows, bins, and either across them, over which sound must be louder than noise is by chance."""
LASTING: Final = (2.3, 3.5)
SUDDEN: Final = (1.8, 2.3)
"""Means of the a-posteriori SNR there: noise has less than the first but a few times in a million, sound is sure from
the second on."""
MOST_OF_ONE: Final = 20.0
"""No bin counts for more in them."""
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
    estimate = Estimate(power, 10.0 ** (-reduction_db / 20.0))
    shape = window(size) * (2.0 / HOPS)
    padded = Padded(reader)
    tail = np.zeros((reader.info.channels, lead))
    batch = max(AHEAD, min(BATCH, BATCH_VALUES // (reader.info.channels * size)))
    for at in range(0, windows, batch):
        count = min(batch, windows - at)
        start = at * hop - lead
        ahead = min(AHEAD, windows - at - count)
        sound = padded.read(start, start + (count + ahead - 1) * hop + size)
        heard = spectra(turned(sound, middle), size, hop)
        taken = heard[:, :count] * (1.0 - estimate.gains(heard, count))
        removed = np.zeros((len(sound), (count - 1) * hop + size))
        parts = np.fft.irfft(taken, size) * shape
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

    def __init__(self, power: NDArray[np.float64], floor: float) -> None:
        self._floor = floor
        self._there = power > 0.0
        # a window of mean square 1 / 2
        self._scale = np.where(self._there, 1.0 / np.where(self._there, power, 1.0), 0.0) / (power.shape[1] - 1)
        self._before = np.zeros(power.size)
        self._last = np.zeros((1, *power.shape))
        self._past = np.ones((LONG // 2, *power.shape))

    def gains(self, heard: NDArray[np.complex128], count: int) -> NDArray[np.float64]:
        """Gains of the first `count` windows of spectra [channels, windows, bins]; those behind them are looked at.

        float64 [channels, count, bins], from the floor to 1; 1 where there is no noise.
        """
        square = np.square(heard.real) + np.square(heard.imag)
        ratio = np.ascontiguousarray(np.minimum(square.transpose(1, 0, 2) * self._scale, MOST_SNR))
        first = np.empty_like(ratio)
        flat = (len(ratio), -1)
        estimate_signal(ratio.reshape(flat), self._before, count, _table(), first.reshape(flat))
        signal = np.concatenate([self._last, first])
        self._last = signal[count : count + 1]
        snr = np.maximum(_smoothed(signal)[:count], LEAST_SNR)
        gains = np.maximum(snr / (1.0 + snr), self._floor)
        gains = self._floor + self._presence(ratio, count) * (gains - self._floor)
        gains[:, ~self._there] = 1.0
        return gains.transpose(1, 0, 2)

    def _presence(self, ratio: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """The share of the first `count` windows [windows, channels, bins] that is believed to be sound, 0 to 1."""
        known = np.minimum(np.concatenate([self._past, ratio]), MOST_OF_ONE)
        self._past = known[count : count + LONG // 2]
        known = known[: count + LONG - 1]
        few = uniform_filter1d(known, FEW, axis=2, mode="nearest")
        lasting = uniform_filter1d(few, LONG, axis=0, mode="nearest")[LONG // 2 :][:count]
        now = uniform_filter1d(known, FEW, axis=0, mode="nearest")[LONG // 2 :][:count]
        wide = uniform_filter1d(now, WIDE, axis=2, mode="nearest")
        return np.maximum(_between(lasting, LASTING), _between(wide, SUDDEN))


def _between(values: NDArray[np.float64], ends: tuple[float, float]) -> NDArray[np.float64]:
    return np.clip((values - ends[0]) * (1.0 / (ends[1] - ends[0])), 0.0, 1.0)


def _smoothed(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over three windows and three bins, of the second window on: [windows + 1, channels, bins] to one less."""
    power = np.concatenate([power, power[-1:]])
    along = power[:-2] + power[1:-1] + power[2:]
    out = along.copy()
    out[..., 1:] += along[..., :-1]
    out[..., :-1] += along[..., 1:]
    out[..., 0] += along[..., 0]
    out[..., -1] += along[..., -1]
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
