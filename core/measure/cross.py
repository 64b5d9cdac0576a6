"""Two channels' worth of spectra: powers, cross-spectrum, and what they say of delay, gain, likeness and transfer.

The delay comes from the phase of the cross-spectrum (Knapp & Carter, "The generalized correlation method for estimation
of time delay", IEEE Trans. ASSP 24, 1976), weighted by coherence (their maximum likelihood processor, after Hannan &
Thomson): the summit of the correlation, 16 times upsampled, a parabola through it, and two steps of Newton's.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block

UPSAMPLING: Final = 16
NEAR_SAMPLES: Final = 1.5
CHANCE: Final = 5.0
LOBE_BINS: Final = 4  # of the window, from its summit to the first zero
LOBES: Final = 1e-8
SEGMENTS_AT_ONCE: Final = 16


class Alignment(msgspec.Struct, frozen=True):
    """B against A: B = 10^(gain_db / 20) * polarity * A, `delay_samples` later, and something else.

    Positive delay: B is later. Positive gain: B is louder. `correlation` is the coefficient of A and B after the delay
    is taken out, -1 to 1, with the sign of the polarity. Where either is silent: 0, 1, 0 and 0.
    """

    delay_samples: float
    polarity: int
    gain_db: float
    correlation: float


class CrossSpectrum:
    """Sums over segments of `size` frames (Blackman-Harris, half-overlapped) of all channels of A and B.

    `power_a`, `power_b` and `cross` (the conjugate of A times B) are [size / 2 + 1]; `count` is how many segments went
    into them, channels counted apart.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        bins = size // 2 + 1
        self.power_a, self.power_b = np.zeros(bins), np.zeros(bins)
        self.cross = np.zeros(bins, dtype=np.complex128)
        self.count = 0

    def push(self, a: Block, b: Block, starts: NDArray[np.int64] | None = None) -> None:
        """Takes two blocks of one shape: the segments from `starts`, or all half-overlapped ones.

        What is shorter than a segment is one, with silence after it.
        """
        if a.shape[1] < self.size:
            a, b = (np.pad(block, ((0, 0), (0, self.size - block.shape[1]))) for block in (a, b))
        taper = window(self.size)
        same = a is b
        for one, other in zip(a, b, strict=True):
            windows_a, windows_b = (np.lib.stride_tricks.sliding_window_view(x, self.size) for x in (one, other))
            chosen = np.arange(0, len(windows_a), self.size // 2) if starts is None else starts
            for at in range(0, len(chosen), SEGMENTS_AT_ONCE):
                some = chosen[at : at + SEGMENTS_AT_ONCE]
                spectra_a = np.fft.rfft(windows_a[some] * taper)
                spectra_b = spectra_a if same else np.fft.rfft(windows_b[some] * taper)
                power = np.einsum("ij,ij->j", spectra_a.conj(), spectra_a)
                self.power_a += power.real
                self.power_b += power.real if same else np.einsum("ij,ij->j", spectra_b.conj(), spectra_b).real
                self.cross += power if same else np.einsum("ij,ij->j", spectra_a.conj(), spectra_b)
            self.count += len(chosen)

    def add(self, other: CrossSpectrum) -> None:
        """Takes in the segments of another one of the same size."""
        self.power_a += other.power_a
        self.power_b += other.power_b
        self.cross += other.cross
        self.count += other.count

    def coherence(self) -> NDArray[np.float64]:
        """Magnitude-squared coherence of every bin, 0 to 1, less what n segments of nothing in common would show."""
        level = self.power_a * self.power_b
        found = np.divide(np.abs(self.cross) ** 2, level, out=np.zeros_like(level), where=self.heard())
        # A mean over n segments finds 1/n where there is nothing.
        chance = 1.0 / self.count if self.count > 1 else 0.0
        return np.clip((found - chance) / (1.0 - chance), 0.0, 1.0)

    def alignment(self, reach_samples: float = NEAR_SAMPLES) -> Alignment | None:
        """Delay within `reach_samples`, polarity, gain and correlation; None where there is nothing to go by."""
        omega = 2.0 * np.pi * np.arange(len(self.cross)) / self.size
        if self.count >= 8:
            coherence = self.coherence()
            # What chance shows now and then has no vote, for it would be cast by thousands of bins of noise.
            coherence[coherence < CHANCE / self.count] = 0.0
            weight = coherence / (1.0 - coherence + 1e-3)
        else:
            weight = np.where(self.heard(), np.sqrt(self.power_a * self.power_b), 0.0)
        magnitude = np.abs(self.cross)
        phasor = np.zeros_like(self.cross)
        np.divide(self.cross * weight, magnitude, out=phasor, where=magnitude > 0.0)
        fraction, peak = _summit(phasor, omega, reach_samples)
        turned = float((self.cross * np.exp(1j * omega * fraction)).real[1:].sum())
        sums = float(self.power_a[1:].sum()), float(self.power_b[1:].sum())
        if min(sums) <= 0.0 or turned == 0.0 or peak == 0.0 or any(map(_constant, (self.power_a, self.power_b))):
            return None
        return Alignment(
            delay_samples=fraction,
            polarity=1 if peak > 0.0 else -1,
            gain_db=20.0 * math.log10(abs(turned) / sums[0]),
            correlation=max(-1.0, min(1.0, turned / math.sqrt(sums[0] * sums[1]))),
        )

    def heard(self) -> NDArray[np.bool_]:
        """Bins that hold more than a window leaks and an FFT rounds: bool [bins]."""
        level = np.sqrt(self.power_a * self.power_b)
        # Below this the window's side lobes speak, with the phase of the loud bins they leaked from.
        heard = level > 1e-9 * level.max(initial=0.0)
        heard[0] = False
        return heard


def _constant(power: NDArray[np.float64]) -> bool:
    """Whether a spectrum holds a constant and no more than the window's side lobes of it."""
    return float(power[LOBE_BINS:].sum()) <= LOBES * float(power[:LOBE_BINS].sum())


@functools.cache
def window(size: int) -> NDArray[np.float64]:
    """Blackman-Harris, 92 dB: side lobes must stay under what is counted as heard."""
    turn = 2.0 * np.pi * (np.arange(size) + 0.5) / size
    return 0.35875 - 0.48829 * np.cos(turn) + 0.14128 * np.cos(2 * turn) - 0.01168 * np.cos(3 * turn)


def _summit(phasor: NDArray[np.complex128], omega: NDArray[np.float64], reach_samples: float) -> tuple[float, float]:
    """Where the weighted correlation is largest in magnitude, in samples, and its value there."""
    size = 2 * (len(phasor) - 1)
    reach = min(round(reach_samples * UPSAMPLING), size * UPSAMPLING // 2 - 1)
    steps = np.arange(-reach, reach + 1) / UPSAMPLING
    if reach <= NEAR_SAMPLES * UPSAMPLING:
        cosines, sines = _turns(size, reach)
        values = np.einsum("i,ji->j", phasor.real.copy(), cosines) - np.einsum("i,ji->j", phasor.imag.copy(), sines)
    else:
        # A spectrum padded with silence is a correlation with points in between.
        ring = np.fft.irfft(phasor, size * UPSAMPLING)
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


@functools.lru_cache(maxsize=4)
def _turns(size: int, reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What turns a spectrum into its correlation at few lags, float64 [lags, bins] each: less work than an FFT."""
    angles = 2.0 * np.pi / (size * UPSAMPLING) * np.arange(-reach, reach + 1)[:, None] * np.arange(size // 2 + 1)
    return np.cos(angles), np.sin(angles)
