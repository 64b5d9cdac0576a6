"""How loud the harmonics of a monophonic stem's notes are: what tells the sound of an instrument from its notes.

A filter that was put on a stem stands still while the notes move. So harmonics are told by note and by number, and a
level that goes with the frequency, whatever the note, is the filter's (a source-filter view).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST_HZ: Final = 30.0
CANDIDATES_HZ: Final = LOWEST_HZ * 2.0 ** (np.arange(72) / 24.0)
"""Fundamentals that are looked for, a quarter tone apart: 30 to 233 Hz."""
HARMONICS: Final = np.arange(1.0, 25.0)
TOP_HZ: Final = 2000.0
MOST_WINDOWS: Final = 1500
SILENT_SHARE: Final = 1e-4
"""Windows with less power than this share of the loudest so far are pauses."""
FEWEST: Final = 3
"""Windows that a note must be heard in."""
QUIET_DB: Final = 60.0


class Harmonic(NamedTuple):
    """One harmonic of one note: fundamental in Hz, number from 1, level in dB (of no fixed reference)."""

    fundamental_hz: float
    number: int
    level_db: float


class NoteMeter:
    """Finds notes in magnitude spectra and keeps the levels of their harmonics, note by note in semitones."""

    def __init__(self, sample_rate: int, size: int, windows: int) -> None:
        self._bin_hz = sample_rate / size
        self._bins = min(size // 2 + 1, int(TOP_HZ * 1.3 / self._bin_hz) + 2)
        self._every = max(1, -(-windows // MOST_WINDOWS))
        self._seen = 0
        self._loudest = 0.0
        self._notes: dict[int, list[NDArray[np.float64]]] = {}

    def push(self, spectra: NDArray[np.complex128]) -> None:
        """Takes the spectra of a window, complex128 [channels, bins]."""
        self._seen += 1
        if self._seen % self._every:
            return
        low = spectra[:, : self._bins]
        power = (low.real**2 + low.imag**2).sum(axis=0)
        total = float(power.sum())
        self._loudest = max(self._loudest, total)
        if total <= self._loudest * SILENT_SHARE:
            return
        # the highest of three bins: harmonics lie between bins
        near = np.maximum(np.maximum(power, np.roll(power, 1)), np.roll(power, -1))
        floor = 1e-7 * power.max()
        found = _fundamental(near, power, floor, self._bin_hz)
        if found is None:
            return
        row = np.concatenate([[found], _levels(near, HARMONICS * found, floor, self._bin_hz)])
        self._notes.setdefault(round(12 * np.log2(found / LOWEST_HZ)), []).append(row)

    def result(self) -> list[Harmonic]:
        """Median levels of what was heard often enough."""
        harmonics: list[Harmonic] = []
        for rows in self._notes.values():
            if len(rows) < FEWEST:
                continue
            fundamental_hz, *levels = np.median(rows, axis=0)
            loud = max(level for level in levels if np.isfinite(level))
            harmonics.extend(
                Harmonic(float(fundamental_hz), int(number), float(level))
                for number, level in zip(HARMONICS, levels, strict=True)
                if np.isfinite(level) and level > loud - QUIET_DB
            )
        return harmonics


def _fundamental(near: NDArray[np.float64], power: NDArray[np.float64], floor: float, bin_hz: float) -> float | None:
    """The fundamental in Hz that most of the power stands on, or None where there is none.

    What counts is how far harmonics stand above the gaps between them, and how much of the power they hold.
    """
    numbers = HARMONICS[:8]
    peaks = _levels(near, CANDIDATES_HZ[:, None] * numbers, floor, bin_hz)
    gaps = _levels(power, CANDIDATES_HZ[:, None] * (numbers - 0.5), floor, bin_hz)
    stands_out = (np.clip(peaks - gaps, -5.0, 25.0) * 0.85 ** (numbers - 1)).mean(axis=1)
    first = np.rint(CANDIDATES_HZ[:, None] * HARMONICS[:12] / bin_hz).astype(np.int64)
    held = np.where(first < len(near), near[np.minimum(first, len(near) - 1)], 0.0).sum(axis=1) / power.sum()
    best = int(np.argmax(stands_out + 8.0 * np.minimum(held, 0.6)))
    if stands_out[best] < 6.0 or held[best] < 0.25:
        return None
    exact = CANDIDATES_HZ[best] * (1.0 + np.linspace(-0.018, 0.018, 25))
    levels = _levels(power, exact[:, None] * HARMONICS[:12], floor, bin_hz)
    return float(exact[np.argmax(np.where(np.isfinite(levels), levels - 10 * np.log10(floor), 0.0).sum(axis=1))])


def _levels(power: NDArray[np.float64], freqs_hz: NDArray[Any], floor: float, bin_hz: float) -> NDArray[np.float64]:
    """Levels in dB at frequencies in Hz; NaN above `TOP_HZ`."""
    at = np.rint(freqs_hz / bin_hz).astype(np.int64)
    levels = 10.0 * np.log10(power[np.minimum(at, len(power) - 1)] + floor)
    return np.where((freqs_hz < TOP_HZ) & (at < len(power)), levels, np.nan)
