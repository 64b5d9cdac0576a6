"""How one recording lies against another: delay, polarity, gain, and what is left of their likeness.

The delay comes from the phase of the cross-spectrum (Knapp & Carter, "The generalized correlation method for estimation
of time delay", IEEE Trans. ASSP 24, 1976): whitened (PHAT) to find the sample, weighted by coherence (their maximum
likelihood processor, after Hannan & Thomson) to find the fraction of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.errors import UnbakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block

MAX_DELAY_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 40.0  # of longer recordings, the loudest part as long as this is looked at
SEGMENT: Final = 4096
UPSAMPLING: Final = 16
SHIFT_TAPS: Final = 512  # to either side; flat to within 350 Hz of the Nyquist frequency at 44.1 kHz


class Alignment(msgspec.Struct, frozen=True):
    """B against A: B = 10^(gain_db / 20) * polarity * A, `delay_samples` later, and something else.

    Positive delay: B is later. Positive gain: B is louder. `correlation` is the coefficient of A and B after the delay
    is taken out, -1 to 1, with the sign of the polarity. Where either is silent: 0, 1, 0 and 0.
    """

    delay_samples: float
    polarity: int
    gain_db: float
    correlation: float


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
    return _refined(_without_mean(a[:, first:last]), _without_mean(b[:, first + lag : last + lag]), lag)


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


def _refined(a: Block, b: Block, lag: int) -> Alignment:
    """Polarity, gain, correlation, and the fraction of a sample, of two blocks of one shape that are `lag` apart."""
    size = min(SEGMENT, 1 << max(4, a.shape[1].bit_length() - 1))
    power_a, power_b, cross, count = _welch(a, b, size)
    omega = 2.0 * np.pi * np.arange(size // 2 + 1) / size
    level = np.sqrt(power_a * power_b)
    # Below this the window's side lobes speak, with the phase of the loud bins they leaked from.
    heard = level > 1e-9 * level.max(initial=0.0)
    heard[0] = False
    coherence = np.divide(np.abs(cross) ** 2, power_a * power_b, out=np.zeros_like(level), where=heard)
    if count >= 8:
        # A mean over n segments finds 1/n where there is nothing.
        coherence = np.clip((coherence - 1.0 / count) / (1.0 - 1.0 / count), 0.0, 1.0)
        weight = np.where(heard, coherence / (1.0 - coherence + 1e-3), 0.0)
    else:
        weight = np.where(heard, level, 0.0)
    phasor = np.divide(cross, np.abs(cross), out=np.zeros_like(cross), where=np.abs(cross) > 0.0) * weight
    fraction, peak = _summit(phasor, omega)
    turned = float((cross * np.exp(1j * omega * fraction)).real[1:].sum())
    sums = float(power_a[1:].sum()), float(power_b[1:].sum())
    if min(sums) <= 0.0 or turned == 0.0 or peak == 0.0:
        return NOTHING_IN_COMMON
    return Alignment(
        delay_samples=lag + fraction,
        polarity=1 if peak > 0.0 else -1,
        gain_db=20.0 * math.log10(abs(turned) / sums[0]),
        correlation=max(-1.0, min(1.0, turned / math.sqrt(sums[0] * sums[1]))),
    )


def _welch(
    a: Block, b: Block, size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.complex128], int]:
    """Power spectra of A and B and conj(A) * B, [size / 2 + 1], over all channels and half-overlapped segments."""
    turn = 2.0 * np.pi * (np.arange(size) + 0.5) / size
    # Blackman-Harris, 92 dB: side lobes must stay under what is counted as heard.
    window = 0.35875 - 0.48829 * np.cos(turn) + 0.14128 * np.cos(2 * turn) - 0.01168 * np.cos(3 * turn)
    bins = size // 2 + 1
    power_a, power_b, cross = np.zeros(bins), np.zeros(bins), np.zeros(bins, dtype=complex)
    if a.shape[1] < size:
        a, b = (np.pad(block, ((0, 0), (0, size - block.shape[1]))) for block in (a, b))
    count = 0
    for one, other in zip(a, b, strict=True):
        frames_a, frames_b = (np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2] for x in (one, other))
        for at in range(0, len(frames_a), 64):
            spectrum_a = np.fft.rfft(frames_a[at : at + 64] * window)
            spectrum_b = np.fft.rfft(frames_b[at : at + 64] * window)
            power_a += np.square(np.abs(spectrum_a)).sum(axis=0)
            power_b += np.square(np.abs(spectrum_b)).sum(axis=0)
            cross += (np.conj(spectrum_a) * spectrum_b).sum(axis=0)
        count += len(frames_a)
    return power_a, power_b, cross, count


def _summit(phasor: NDArray[np.complex128], omega: NDArray[np.float64]) -> tuple[float, float]:
    """Where within 1.5 samples the weighted correlation is largest in magnitude, in samples, and its value there."""
    reach = 3 * UPSAMPLING // 2
    steps = np.arange(-reach, reach + 1) / UPSAMPLING
    # A spectrum padded with silence is a correlation with points in between.
    ring = np.fft.irfft(phasor, 2 * (len(phasor) - 1) * UPSAMPLING)
    values = np.concatenate([ring[-reach:], ring[: reach + 1]])
    # Among equals (a tone of a short period) the one nearest to no delay.
    best = min(np.flatnonzero(np.abs(values) >= np.abs(values).max() * (1 - 1e-9)), key=lambda i: abs(steps[i]))
    at = float(steps[best])
    if 0 < best < len(steps) - 1:
        before, here, after = values[best - 1 : best + 2]
        curve = before - 2.0 * here + after
        if curve != 0.0:
            at += 0.5 * float((before - after) / curve) / UPSAMPLING
    # The parabola is right to a thousandth; two Newton steps on the slope take it to the summit itself.
    for _ in range(2):
        turned = np.exp(1j * omega * at) * phasor
        slope, bend = -float((omega * turned.imag).sum()), -float((omega**2 * turned.real).sum())
        step = -slope / bend if bend != 0.0 else 0.0
        at += step if abs(step) < 1.0 / UPSAMPLING else 0.0
    return at, float((np.exp(1j * omega * at) * phasor).real.sum())
