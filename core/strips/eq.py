"""Equalisers: minimum-phase second-order sections in float64.

Formulas are those of the Audio EQ Cookbook (R. Bristow-Johnson, W3C note 2021); steep cuts are Butterworth cascades,
whose section Qs are 1 / (2 cos(theta)) of the pole angles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import UnbakeError
from core.session.processors import (
    HIGHEST_SHARE,
    AllPass,
    Bell,
    HighCut,
    HighShelf,
    LowCut,
    LowShelf,
    Notch,
    Processor,
    Tilt,
)
from core.strips.stage import Block

Sections = NDArray[np.float64]
"""Second-order sections [n, 6]: b0 b1 b2 1 a1 a2 each."""

Curve = NDArray[np.float64]
"""Values over frequency: float64 [n]."""

FADED_DB = 180.0
"""What a filter's ringing falls by until it is forgotten: -140 dB after boosts of up to 40 dB."""
_SILENCE = 1e-150
"""States below this are let go: far under any sample format, and before denormal numbers slow the filter down."""


def sections(processor: Processor, sample_rate: int) -> Sections:
    """The filter of an equaliser at a sample rate in Hz.

    Raises UnbakeError when its frequency is above 0.49 of the rate.
    """
    match processor:
        case Tilt(freq_hz=freq_hz, gain_db=gain_db):
            check_frequency(freq_hz, sample_rate)
            return np.array(
                [
                    _shelf(freq_hz, -gain_db / 2, 0.5, sample_rate, high=False),
                    _shelf(freq_hz, gain_db / 2, 0.5, sample_rate, high=True),
                ]
            )
        case Bell(freq_hz=freq_hz, gain_db=gain_db, q=q):
            check_frequency(freq_hz, sample_rate)
            return np.array([_bell(freq_hz, gain_db, q, sample_rate)])
        case LowShelf(freq_hz=freq_hz, gain_db=gain_db, slope=slope):  # HighShelf is one too
            check_frequency(freq_hz, sample_rate)
            return np.array([_shelf(freq_hz, gain_db, slope, sample_rate, high=isinstance(processor, HighShelf))])
        case LowCut(freq_hz=freq_hz, slope_db_oct=slope_db_oct):  # HighCut is one too
            check_frequency(freq_hz, sample_rate)
            return _cut(freq_hz, slope_db_oct // 6, sample_rate, high_cut=isinstance(processor, HighCut))
        case AllPass(freq_hz=freq_hz, q=q):
            check_frequency(freq_hz, sample_rate)
            return np.array([_all_pass(freq_hz, q, sample_rate)])
        case Notch(freq_hz=freq_hz, q=q):
            check_frequency(freq_hz, sample_rate)
            return np.array([_notch(freq_hz, q, sample_rate)])
        case _:
            raise TypeError(f"{type(processor).__name__} is not an equaliser")


def response(
    equalisers: Sequence[Processor], freqs_hz: NDArray[np.float64], sample_rate: int
) -> NDArray[np.complex128]:
    """Complex gain of active equalisers in a row, at the given frequencies in Hz."""
    gain = np.ones(len(freqs_hz), dtype=np.complex128)
    z = np.exp(-2j * np.pi * freqs_hz / sample_rate)
    powers = np.stack([np.ones_like(z), z, z * z])
    for equaliser in equalisers:
        if equaliser.active:
            for section in sections(equaliser, sample_rate):
                gain *= (section[:3] @ powers) / (section[3:] @ powers)
    return gain


def response_db(
    equalisers: Sequence[Processor], freqs_hz: NDArray[np.float64], sample_rate: int
) -> NDArray[np.float64]:
    """Gain in dB of active equalisers in a row, at the given frequencies in Hz."""
    return 20.0 * np.log10(np.abs(response(equalisers, freqs_hz, sample_rate)))


def memory_of(filters: Sections) -> int:
    """Frames until the ringing of second-order sections has fallen by `FADED_DB`.

    Each section falls by the radius of its outer pole per frame; one after another they take no longer than the sum.
    """
    frames = 0
    for row in filters:
        radius = max(np.abs(np.roots(row[3:])), default=0.0)
        if radius > 0.0:
            frames += math.ceil(-FADED_DB / 20.0 * math.log(10.0) / math.log(radius))
    return frames


class Equaliser:
    """Second-order sections as a stage. No latency; phase is minimum phase."""

    latency = 0

    def __init__(self, filters: Sections, channels: int) -> None:
        from scipy.signal import sosfilt  # slow to import: only when sound flows

        self._sosfilt = sosfilt
        self._sections = np.ascontiguousarray(filters)
        self._state = np.zeros((len(filters), channels, 2))
        self.memory = memory_of(filters)

    def process(self, block: Block) -> Block:
        """Filters a block float64 [channels, frames]."""
        filtered, self._state = self._sosfilt(self._sections, block, axis=1, zi=self._state)
        self._state[np.abs(self._state) < _SILENCE] = 0.0
        return filtered

    def reset(self) -> None:
        """Empties the filter's memory."""
        self._state[:] = 0.0


def check_frequency(freq_hz: float, sample_rate: int) -> None:
    """Raises UnbakeError for a frequency in Hz that a file of this rate can't have."""
    if freq_hz > HIGHEST_SHARE * sample_rate:
        highest = HIGHEST_SHARE * sample_rate
        raise UnbakeError(f"freq_hz is {freq_hz:g}, above {highest:g} Hz, the highest a {sample_rate} Hz file can take")


def _bell(freq_hz: float, gain_db: float, q: float, sample_rate: int) -> list[float]:
    amplitude = 10 ** (gain_db / 40)
    w0 = 2 * math.pi * freq_hz / sample_rate
    alpha = math.sin(w0) / (2 * q)
    b = (1 + alpha * amplitude, -2 * math.cos(w0), 1 - alpha * amplitude)
    a = (1 + alpha / amplitude, -2 * math.cos(w0), 1 - alpha / amplitude)
    return _normalised(b, a)


def _notch(freq_hz: float, q: float, sample_rate: int) -> list[float]:
    w0 = 2 * math.pi * freq_hz / sample_rate
    alpha = math.sin(w0) / (2 * q)
    return _normalised((1, -2 * math.cos(w0), 1), (1 + alpha, -2 * math.cos(w0), 1 - alpha))


def _all_pass(freq_hz: float, q: float, sample_rate: int) -> list[float]:
    w0 = 2 * math.pi * freq_hz / sample_rate
    alpha = math.sin(w0) / (2 * q)
    return _normalised((1 - alpha, -2 * math.cos(w0), 1 + alpha), (1 + alpha, -2 * math.cos(w0), 1 - alpha))


def _shelf(freq_hz: float, gain_db: float, slope: float, sample_rate: int, *, high: bool) -> list[float]:
    amplitude = 10 ** (gain_db / 40)
    w0 = 2 * math.pi * freq_hz / sample_rate
    alpha = math.sin(w0) / 2 * math.sqrt((amplitude + 1 / amplitude) * (1 / slope - 1) + 2)
    root = 2 * math.sqrt(amplitude) * alpha
    # the high shelf is the low shelf mirrored at a quarter of the rate: the cosine changes its sign, b1 and a1 theirs
    side = -1 if high else 1
    cosine = side * math.cos(w0)
    up, down = amplitude + 1, amplitude - 1
    b = (
        amplitude * (up - down * cosine + root),
        side * 2 * amplitude * (down - up * cosine),
        amplitude * (up - down * cosine - root),
    )
    a = (up + down * cosine + root, side * -2 * (down + up * cosine), up + down * cosine - root)
    return _normalised(b, a)


def _cut(freq_hz: float, order: int, sample_rate: int, *, high_cut: bool) -> Sections:
    w0 = 2 * math.pi * freq_hz / sample_rate
    rows: list[list[float]] = []
    cosine, side = math.cos(w0), 1 if high_cut else -1
    for pair in range(order // 2):
        theta = math.pi * (2 * pair + 1 + (order % 2)) / (2 * order)
        alpha = math.sin(w0) * math.cos(theta)  # sin(w0) / 2Q
        edge = (1 - side * cosine) / 2
        rows.append(_normalised((edge, side * 2 * edge, edge), (1 + alpha, -2 * cosine, 1 - alpha)))
    if order % 2:
        k = math.tan(w0 / 2)
        numerator = (k, k, 0.0) if high_cut else (1.0, -1.0, 0.0)
        rows.append(_normalised(numerator, (k + 1, k - 1, 0.0)))
    return np.array(rows)


def _normalised(b: Sequence[float], a: Sequence[float]) -> list[float]:
    return [*(value / a[0] for value in b), 1.0, *(value / a[0] for value in a[1:])]
