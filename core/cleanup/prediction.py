"""Linear prediction from both sides: what neither past nor future of a sound foretells, and how gaps are filled.

Declick and decrackle look for their faults in these residuals. A click is foretold by neither side; the attack of a
note is foretold by what follows it, since a note dies away.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from core.audio.formats import Block
from core.audio.read import AudioReader

Samples = NDArray[np.float64]
"""One channel: float64 [frames]."""

ORDER: Final = 32
HOP_SECONDS: Final = 512 / 44_100
"""One predictor serves so long."""
WINDOW_HOPS: Final = 2
"""It is learnt from so many hops before (or, backwards, after) those that it serves, so that a click never teaches the
predictor that is to find it."""
NOISE: Final = 1e-9
"""Added to the power that predictors are learnt from: the steps of 16 bit, about."""
FILL_ORDER: Final = 200
FILL_CONTEXT: Final = 1536
"""Gaps are filled from so many frames on either side, at 44.1 kHz, if nothing else is asked."""
FILL_PASSES: Final = 3


class Grid(NamedTuple):
    """Lengths in frames that stand for the same times at any rate: those of 44.1 kHz times a power of two."""

    scale: float
    hop: int
    order: int

    def frames(self, at_44100: float) -> int:
        """How many frames stand for so many of 44.1 kHz, 1 at the least."""
        return max(1, round(at_44100 * self.scale))


def grid(sample_rate: int) -> Grid:
    """The grid for a rate in Hz."""
    scale = 2.0 ** round(math.log2(sample_rate / 44_100))
    return Grid(scale, round(HOP_SECONDS * 44_100 * scale), ORDER if scale >= 1 else max(12, round(ORDER * scale)))


def predictors(samples: Samples, order: int, hop: int) -> NDArray[np.float64]:
    """Prediction-error filters: float64 [hops, order + 1], the one of hop h learnt from frame h * hop onwards.

    Autocorrelation method on a Hann window, Levinson-Durbin recursion.
    """
    window = WINDOW_HOPS * hop
    hops = max(1, -(-len(samples) // hop))
    padded = np.pad(samples, (0, hops * hop - len(samples) + window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[: hops * hop : hop] * np.hanning(window)
    spectra = np.asarray(fft.rfft(frames, 2 * window))
    power = np.square(np.abs(spectra))
    correlations = np.ascontiguousarray(np.asarray(fft.irfft(power))[:, : order + 1])
    correlations[:, 0] = correlations[:, 0] * (1.0 + 1e-9) + NOISE
    return levinson(correlations)


def levinson(correlations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prediction-error filters, 1 first, of autocorrelations that are float64 [rows, order + 1], C-contiguous.

    Levinson-Durbin recursion. No correlation of lag 0 may be 0.
    """
    return _kernels().levinson(correlations)


def unforetold(samples: Samples, on: Grid) -> tuple[Samples, Samples]:
    """Errors of prediction from the past and from the future: two of float64 [frames]."""
    filters = predictors(samples, on.order, on.hop)
    padded = np.pad(samples, (on.order, on.order))
    return _kernels().residuals(padded, filters, on.hop)


def fill(
    samples: Samples,
    first: int,
    last: int,
    on: Grid,
    order: int = FILL_ORDER,
    passes: int = FILL_PASSES,
    around: int = FILL_CONTEXT,
) -> Samples:
    """What belongs into frames `first` up to `last`, from the sound around: float64 [last - first].

    The gap that makes the errors of prediction least, and the predictor of what is so filled, in turn. A. Janssen,
    R. Veldhuis, L. Vries, "Adaptive interpolation of discrete-time signals that can be modeled as autoregressive
    processes" (IEEE Trans. ASSP 34/2, 1986).
    """
    context = on.frames(around)
    low, high = max(0, first - context), min(len(samples), last + context)
    sound = samples[low:high].copy()
    first, last = first - low, last - low
    order = min(order, (len(sound) - (last - first)) // 3)
    left = sound[first - 1] if first else 0.0
    right = sound[last] if last < len(sound) else 0.0
    sound[first:last] = np.linspace(left, right, last - first + 2)[1:-1]
    if order < 1:
        return sound[first:last]
    window = np.hanning(len(sound) + 2)[1:-1]
    size = fft.next_fast_len(len(sound) + order + 1, real=True)
    for _ in range(passes):
        spectrum = np.asarray(fft.rfft(sound * window, size))
        correlation = np.asarray(fft.irfft(np.square(np.abs(spectrum)), size))[: order + 1]
        if correlation[0] <= 0.0:
            break
        correlation[0] = correlation[0] * (1.0 + 1e-9) + 1e-15
        filter_ = levinson(correlation[None])[0]
        sound[first:last] = _least_error(sound, first, last, filter_)
    return sound[first:last]


def _least_error(sound: Samples, first: int, last: int, filter_: Samples) -> Samples:
    """The gap whose errors of prediction, in it and after it, are least in the square: normal equations, solved."""
    order, frames = len(filter_) - 1, last - first
    shared = np.correlate(filter_, filter_, "full")[order:]
    around = np.zeros(frames + 2 * order)
    low, high = max(0, first - order), min(len(sound), last + order)
    around[low - first + order : high - first + order] = sound[low:high]
    around[order : order + frames] = 0.0
    wanted = -np.convolve(around, np.concatenate([shared[:0:-1], shared]), "valid")
    apart = np.abs(np.subtract.outer(np.arange(frames), np.arange(frames)))
    matrix = np.where(apart <= order, shared[np.minimum(apart, order)], 0.0)
    matrix[np.diag_indices(frames)] *= 1.0 + 1e-10
    return np.asarray(np.linalg.solve(matrix, wanted), dtype=np.float64)


class Section(NamedTuple):
    """A stretch of a file with sound around it: `block` begins at frame `at`, and `first` to `last` are its own."""

    block: Block
    at: int
    first: int
    last: int


def sections(reader: AudioReader, on: Grid, own: int, margin: int) -> Iterator[Section]:
    """The file in stretches of `own` hops, with `margin` hops more on either side where there is any."""
    frames = reader.info.frames
    for first in range(0, frames, own * on.hop):
        last = min(frames, first + own * on.hop)
        at = max(0, first - margin * on.hop)
        reader.seek(at)
        yield Section(reader.read(min(frames, last + margin * on.hop) - at), at, first, last)


class Kernels(NamedTuple):
    """What is compiled."""

    levinson: Callable[..., Any]
    residuals: Callable[..., Any]
    smallest: Callable[..., Any]


def _levinson(correlations: Any) -> Any:
    count, lags = correlations.shape
    filters = np.zeros((count, lags))
    held = np.zeros(lags)
    for row in range(count):
        one, known = filters[row], correlations[row]
        one[0] = 1.0
        error = known[0]
        for step in range(1, lags):
            total = known[step]
            for lag in range(1, step):
                total += one[lag] * known[step - lag]
            reflection = -total / error
            for lag in range(1, step):
                held[lag] = one[lag] + reflection * one[step - lag]
            for lag in range(1, step):
                one[lag] = held[lag]
            one[step] = reflection
            error *= 1.0 - reflection * reflection
            if error <= 0.0:
                break
    return filters


def _residuals(padded: Any, filters: Any, hop: int) -> Any:
    hops, lags = filters.shape
    order = lags - 1
    frames = len(padded) - 2 * order
    ahead, behind = np.empty(frames), np.empty(frames)
    for frame in range(frames):
        number = frame // hop
        before = filters[max(0, number - 2)]
        after = filters[min(hops - 1, number + 1)]
        one, other = 0.0, 0.0
        for lag in range(lags):
            one += before[lag] * padded[frame + order - lag]
            other += after[lag] * padded[frame + order + lag]
        ahead[frame] = one
        behind[frame] = other
    return ahead, behind


def _smallest(ahead: Any, behind: Any, width: int, size: int) -> Any:
    """Per block of `size` frames the highest of the smaller mean square over `width` frames of the two."""
    frames = len(ahead)
    blocks = -(-frames // size)
    found = np.zeros(blocks)
    half = width // 2
    one, other = 0.0, 0.0
    for frame in range(frames + half):
        if frame < frames:
            one += ahead[frame] * ahead[frame]
            other += behind[frame] * behind[frame]
        gone = frame - width
        if gone >= 0:
            one -= ahead[gone] * ahead[gone]
            other -= behind[gone] * behind[gone]
        middle = frame - half
        if middle >= 0:
            block = middle // size
            least = min(one, other) / width
            if least > found[block]:
                found[block] = least
    return found


@functools.cache
def _kernels() -> Kernels:
    """Machine code, kept on disk where there is a folder for it."""
    import numba

    def compiled(function: Callable[..., Any], signature: str, fast: bool = False) -> Callable[..., Any]:
        try:
            return numba.njit(signature, nogil=True, fastmath=fast, cache=True)(function)
        except RuntimeError:  # no folder that it could keep it in: then it is compiled every time
            return numba.njit(signature, nogil=True, fastmath=fast)(function)

    pair = "UniTuple(float64[::1], 2)"
    return Kernels(
        compiled(_levinson, "float64[:,::1](float64[:,::1])"),
        compiled(_residuals, f"{pair}(float64[::1], float64[:,::1], int64)", fast=True),
        compiled(_smallest, "float64[::1](float64[::1], float64[::1], int64, int64)"),
    )


def peaks_db(ahead: Samples, behind: Samples, width: int, size: int) -> Samples:
    """Per block of `size` frames the most that neither side foretold, over `width` frames: dB, [blocks]."""
    return 10.0 * np.log10(np.maximum(_kernels().smallest(ahead, behind, width, size), 0.0) + 10.0**-8.5)
