"""Decibels from linear values, with digital silence as None instead of minus infinity."""

from __future__ import annotations

import math


def to_dbfs(amplitude: float) -> float | None:
    """A linear amplitude (1.0 is full scale, sign ignored) in dBFS; None for digital silence.

    RMS values are referred to the same 1.0, so a full-scale sine reads -3.01 dBFS rms, not 0 (AES17 would say 0).
    """
    return None if amplitude == 0.0 else 20.0 * math.log10(abs(amplitude))


def power_to_db(power: float) -> float | None:
    """A mean square (1.0 is full scale) in dB; None for nothing at all."""
    return None if power <= 0.0 else 10.0 * math.log10(power)


def to_amplitude(db: float) -> float:
    """A level in dB as a linear factor."""
    return 10.0 ** (db / 20.0)
