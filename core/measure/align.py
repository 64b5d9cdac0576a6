"""How one recording lies against another: delay, polarity, gain, and what is left of their likeness.

The whole sample comes from correlations, whitened (PHAT) and plain, over all of the two blocks; the fraction of it from
their `CrossSpectrum`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.errors import UnbakeError
from core.measure.cross import Alignment, CrossSpectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block

MAX_DELAY_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 40.0  # of longer recordings, the loudest part as long as this is looked at
SEGMENT: Final = 4096
SHIFT_TAPS: Final = 512  # to either side; flat to within 350 Hz of the Nyquist frequency at 44.1 kHz


NOTHING_IN_COMMON: Final = Alignment(delay_samples=0.0, polarity=1, gain_db=0.0, correlation=0.0)


def estimate(
    a: Block,
    b: Block,
    sample_rate: int,
    *,
    max_delay_seconds: float = MAX_DELAY_SECONDS,
) -> Alignment:
    """Where B lies against A, both float64 [channels, frames] that start at the same moment; lengths may differ.

    Delays up to `max_delay_seconds` (or the length, if shorter) are looked for. Exactly 0.0 for identical arrays.
    A tone repeats, so its delay is known up to whole periods: the smallest is given. Raises UnbakeError when the
    numbers of channels differ.
    """
    if len(a) != len(b):
        raise UnbakeError(f"can't align {len(a)} channels with {len(b)}")
    if a.shape == b.shape and np.array_equal(a, b):
        return Alignment(0.0, 1, 0.0, 1.0) if a.any() else NOTHING_IN_COMMON
    longest = round(LONGEST_SECONDS * sample_rate)
    start = _loudest(a, b, longest)
    a, b = a[:, start : start + longest], b[:, start : start + longest]
    centred_a, centred_b = _without_mean(a), _without_mean(b)
    # What is left of a constant after its mean is rounding.
    if _energy(centred_a) <= 1e-28 * _energy(a) or _energy(centred_b) <= 1e-28 * _energy(b):
        return NOTHING_IN_COMMON
    max_delay = round(max_delay_seconds * sample_rate)
    lag = whole_delay(centred_a, centred_b, max_delay)
    first = max(0, -lag)
    last = min(a.shape[1], b.shape[1] - lag)
    one, other = _without_mean(a[:, first:last]), _without_mean(b[:, first + lag : last + lag])
    cross = CrossSpectrum(min(SEGMENT, 1 << max(4, one.shape[1].bit_length() - 1)))
    cross.push(one, other)
    found = cross.alignment()
    return (
        NOTHING_IN_COMMON if found is None else msgspec.structs.replace(found, delay_samples=lag + found.delay_samples)
    )


def shift(block: Block, delay_samples: float) -> Block:
    """Moves float64 [channels, frames] later by `delay_samples` (earlier if negative), silence moving in.

    The length stays. Whole samples are moved as they are; fractions go through a Kaiser-windowed sinc that is flat to
    1.6 % below the Nyquist frequency.
    """
    whole = round(delay_samples)
    fraction = delay_samples - whole
    margin = SHIFT_TAPS if fraction else 0
    frames = block.shape[1]
    wide = np.zeros((len(block), frames + 2 * margin))
    first, last = max(0, margin + whole), min(wide.shape[1], margin + whole + frames)
    if first < last:
        wide[:, first:last] = block[:, first - margin - whole : last - margin - whole]
    return fractional(wide, fraction) if fraction else wide


def fractional(wide: Block, delay_samples: float) -> Block:
    """`wide` delayed by -1..1 sample, less the SHIFT_TAPS frames at either end that have no neighbours to come from."""
    taps = np.arange(-SHIFT_TAPS, SHIFT_TAPS + 1) - delay_samples
    window = np.i0(12.0 * np.sqrt(np.maximum(0.0, 1.0 - (taps / (SHIFT_TAPS + 1)) ** 2)))
    kernel = np.sinc(taps) * window / np.i0(12.0)
    frames = wide.shape[1]
    size = fft_size(frames)
    # Circular: what wraps round lands in the frames that are cut off.
    moved = np.fft.irfft(np.fft.rfft(wide, size) * np.fft.rfft(kernel, size), size)
    return moved[:, 2 * SHIFT_TAPS : frames]


def fft_size(at_least: int) -> int:
    """The smallest 2^n, 3 * 2^n or 5 * 2^n that is not less: lengths every FFT is quick at."""
    power = 1 << max(0, at_least - 1).bit_length()
    return min(size for size in (power, power * 3 // 4, power * 5 // 8) if size >= at_least)


def _without_mean(block: Block) -> Block:
    return block - block.mean(axis=1, keepdims=True) if block.size else block


def _energy(block: Block) -> float:
    return float(np.einsum("ij,ij->", block, block))


def _loudest(a: Block, b: Block, frames: int) -> int:
    """Where the part of `frames` frames starts in which the quieter of the two is loudest."""
    starts = range(0, max(1, min(a.shape[1], b.shape[1]) - frames // 2), max(1, frames // 2))
    if len(starts) == 1:
        return 0
    return max(starts, key=lambda at: min(_energy(a[:, at : at + frames]), _energy(b[:, at : at + frames])))


def whole_delay(a: Block, b: Block, max_delay: int) -> int:
    """The delay of B to the sample, at most `max_delay`: the best that PHAT, plain correlation and no delay offer.

    A and B are float64 [channels, frames] that start at the same moment and hold more than silence.
    """
    earliest, latest = -min(max_delay, a.shape[1] - 1), min(max_delay, b.shape[1] - 1)
    size = fft_size(max(a.shape[1] + latest, b.shape[1] - earliest))
    cross = np.zeros(size // 2 + 1, dtype=complex)
    for one, other in zip(a, b, strict=True):
        cross += np.conj(np.fft.rfft(one, size)) * np.fft.rfft(other, size)
    magnitude = np.abs(cross)
    # Bins that hold nothing but rounding have a phase too, and PHAT would let them vote.
    heard = magnitude > 1e-12 * magnitude.max(initial=0.0)
    whitened = np.divide(cross, magnitude, out=np.zeros_like(cross), where=heard)
    candidates = {0}
    for spectrum in (whitened, cross):
        correlation = np.abs(np.fft.irfft(spectrum, size))
        ring = np.concatenate([correlation[size + earliest :], correlation[: latest + 1]])
        candidates.add(int(np.argmax(ring)) + earliest)
        candidates.add(_nearest_summit(ring, -earliest) + earliest)
    scores = {lag: _summit_height(a, b, lag) for lag in candidates}
    best = max(scores.values())
    # A tone has as many summits as it has periods, of one height.
    return min((lag for lag, score in scores.items() if score >= best - 1e-5), key=abs)


def _nearest_summit(heights: NDArray[np.float64], origin: int) -> int:
    """The index nearest to `origin` from which `heights` falls to both sides, among those as high as the highest."""
    high = np.flatnonzero(heights >= 0.99 * heights.max())
    at = int(high[np.argmin(np.abs(high - origin))])
    while (up := max(range(max(0, at - 1), min(len(heights), at + 2)), key=lambda i: heights[i])) != at:
        at = up
    return at


def _summit_height(a: Block, b: Block, lag: int) -> float:
    """How alike A and B would be with the fraction of a sample around `lag` taken out too, about 0 to 1."""
    before, here, after = (_likeness(a, b, at) for at in (lag - 1, lag, lag + 1))
    if here < 0.0:
        before, here, after = -before, -here, -after
    curve = 2.0 * here - before - after
    if here < max(before, after) or curve <= 0.0:
        return here
    return here + (before - after) ** 2 / (8.0 * curve)


def _likeness(a: Block, b: Block, lag: int) -> float:
    """The correlation coefficient where A and B overlap, -1 to 1, 0 where too little of them does."""
    first = max(0, -lag)
    frames = max(0, min(a.shape[1], b.shape[1] - lag) - first)
    one, other = a[:, first : first + frames], b[:, first + lag : first + lag + frames]
    energies = _energy(one), _energy(other)
    if energies[0] <= 0.02 * _energy(a) or energies[1] <= 0.02 * _energy(b):
        return 0.0
    return float(np.einsum("ij,ij->", one, other)) / math.sqrt(energies[0] * energies[1])
