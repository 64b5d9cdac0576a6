"""What became of A on the way to B, band by band, from their spectra: likeness, phase, gain, and combs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from core.measure.cross import CrossSpectrum, window
from core.measure.figures import Band, BandFigures, Comb
from core.measure.levels import power_to_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COMB_DB: Final = 0.5
"""Ripple from trough to crest from which there is a comb."""
COMB_MS: Final = (0.4, 40.0)
"""Shorter delays are equalisers, longer ones echoes."""
COMB_HZ: Final = (80.0, 16_000.0)
COMB_COHERENCE: Final = 0.5
ALONE_MS: Final = (0.13, 1.5)
"""As far from a comb's peak, to either side, nothing else is half as high."""
LEAST_BINS: Final = 256
STANDS_OUT: Final = 10.0
"""A comb's peak in the cepstrum is so many times the median of what is around it."""
BAND_FLOOR: Final = 1e-14
"""Of the power in all bands: what is under it is leakage of a window and rounding."""


def band_figures(
    bands: Sequence[Band],
    cross: CrossSpectrum,
    sample_rate: int,
    powers: tuple[float, float],
    *,
    delay_samples: float,
    polarity: int,
) -> list[BandFigures]:
    """Bands of a residual with levels, coherence, phase and gain of A and B in them.

    `powers` are the mean squares of A and B, which the spectra's own are scaled to. `delay_samples` is what of B's
    delay is still in the spectra; it and the polarity are no part of the phase. Bands narrower than a bin take the bins
    that they touch.
    """
    spacing = sample_rate / cross.size
    omega = 2.0 * np.pi * np.arange(len(cross.cross)) / cross.size
    turned = polarity * cross.cross * np.exp(1j * omega * delay_samples)
    coherence = cross.coherence()
    level = np.sqrt(cross.power_a * cross.power_b) * cross.heard()
    scales = [
        power / total if total > 0.0 else 0.0
        for power, total in zip(powers, (cross.power_a.sum(), cross.power_b.sum()), strict=True)
    ]
    floors = [BAND_FLOOR * float(power.sum()) for power in (cross.power_a, cross.power_b)]
    found = []
    for band in bands:
        share = _overlap(band, spacing, len(level))
        touched = share > 0.0
        a, b = float(share @ cross.power_a), float(share @ cross.power_b)
        rms = {
            "a_rms_dbfs": power_to_db(a * scales[0]) if a > floors[0] else None,
            "b_rms_dbfs": power_to_db(b * scales[1]) if b > floors[1] else None,
        }
        if None in rms.values() or not level[touched].any():
            found.append(BandFigures(band.low_hz, band.high_hz, band.rms_dbfs, **rms))
            continue
        summed = complex(turned[touched].sum())
        found.append(
            BandFigures(
                band.low_hz,
                band.high_hz,
                band.rms_dbfs,
                **rms,
                coherence=float(np.average(coherence[touched], weights=level[touched])),
                phase_deg=math.degrees(math.atan2(summed.imag, summed.real)) + 0.0,
                gain_db=10.0 * math.log10(b / a),
            )
        )
    return found


def _overlap(band: Band, spacing_hz: float, bins: int) -> NDArray[np.float64]:
    """How much of each bin lies in a band, 0 to 1, float64 [bins]."""
    centres = np.arange(bins) * spacing_hz
    low = np.maximum(centres - spacing_hz / 2.0, band.low_hz)
    high = np.minimum(centres + spacing_hz / 2.0, band.high_hz)
    return np.maximum(high - low, 0.0) / spacing_hz


def comb_of(cross: CrossSpectrum, sample_rate: int) -> Comb:
    """The strongest comb in the transfer function from A to B.

    A copy g times as loud, D later, makes ln |H| a sum of cosines over frequency of which the first is g cos(2 pi f D):
    a peak of height g at D in the cepstrum (Bogert, Healy & Tukey 1963), and a ripple of 20 log10((1 + g) / (1 - g)).
    Bins that are not coherent are left out. What equalisers, notches and cut-offs do to the cepstrum dies away over
    many milliseconds, broad or ringing; a comb's peak stands alone.
    """
    spacing = sample_rate / cross.size
    centres = np.arange(len(cross.cross)) * spacing
    used = (centres >= COMB_HZ[0]) & (centres <= min(COMB_HZ[1], 0.45 * sample_rate))
    used &= (cross.coherence() >= COMB_COHERENCE) & (np.abs(cross.cross) > 0.0)
    if cross.count < 2 or int(used.sum()) < LEAST_BINS:
        return Comb(found=False)
    log_gain = np.zeros(len(centres))
    log_gain[used] = np.log(np.abs(cross.cross[used]) / cross.power_a[used])
    weight = np.zeros(len(centres))
    first, last = np.flatnonzero(used)[[0, -1]]
    weight[first : last + 1] = np.sin(np.pi * (np.arange(last + 1 - first) + 0.5) / (last + 1 - first)) ** 2
    weight *= used
    log_gain = np.where(used, log_gain - np.average(log_gain, weights=weight), 0.0)
    lags = np.arange(cross.size // 2)
    # Twice, for a cosine's mean square; irfft gives twice the sum over size, too.
    cepstrum = np.fft.irfft(log_gain * weight, cross.size)[: len(lags)] * cross.size / weight.sum()
    delays_ms = lags / sample_rate * 1e3
    looked_at = (delays_ms >= COMB_MS[0]) & (delays_ms <= min(COMB_MS[1], delays_ms[-1] / 2.0))
    if int(looked_at.sum()) < LEAST_BINS:
        return Comb(found=False)
    cepstrum /= _window_overlap(cross.size, lags)
    heights = np.abs(cepstrum)
    at = int(np.argmax(np.where(looked_at, heights, 0.0)))
    height = float(heights[at])
    away_ms = np.abs(delays_ms - delays_ms[at])
    beside = heights[(away_ms >= ALONE_MS[0]) & (away_ms <= ALONE_MS[1]) & (lags > 0)]
    around = heights[looked_at & (away_ms >= ALONE_MS[0])]
    g = min(height, 0.999)
    ripple_db = 20.0 * math.log10((1.0 + g) / (1.0 - g))
    stands_out = height >= max(STANDS_OUT * float(np.median(around)), 2.0 * float(beside.max(initial=0.0)))
    return Comb(
        found=ripple_db >= COMB_DB and stands_out,
        delay_ms=float(delays_ms[at]),
        ripple_db=ripple_db,
        cepstral_peak=height,
    )


def _window_overlap(size: int, lags: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of a segment's window a copy so many frames later still falls under, 1 for none."""
    taper = window(size)
    spectrum = np.fft.rfft(taper, 2 * size)
    overlap = np.fft.irfft(np.abs(spectrum) ** 2, 2 * size)[lags]
    return np.maximum(overlap / overlap[0], 0.05)
