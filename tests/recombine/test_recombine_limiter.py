"""The limiter: under its ceiling, exact where it is not needed, in time with its input."""

from __future__ import annotations

import numpy as np
import pytest

from core.measure.loudness import LoudnessMeter
from core.recombine.limiter import TruePeakLimiter
from core.strips.stage import Aligned


def limited(sound: np.ndarray, ceiling_dbtp: float, rate: int, size: int) -> np.ndarray:
    at = 0

    def read(frames: int) -> np.ndarray:
        nonlocal at
        block = sound[:, at : at + frames]
        at += frames
        return np.pad(block, ((0, 0), (0, frames - block.shape[1])))

    aligned = Aligned(TruePeakLimiter(ceiling_dbtp, rate, len(sound)), read)
    frames = sound.shape[1]
    return np.concatenate([aligned.read(min(size, frames - start)) for start in range(0, frames, size)], axis=1)


@pytest.mark.parametrize("rate", [44_100, 96_000, 192_000])
def test_the_ceiling_holds_between_the_samples_too(rate: int) -> None:
    rng = np.random.default_rng(5)
    sound = rng.standard_normal((2, rate)) * 0.3
    sound += 0.7 * np.sin(2 * np.pi * rate / 4 * np.arange(rate) / rate + np.pi / 4)
    out = limited(sound, -1.0, rate, 4096)
    meter = LoudnessMeter(rate, ("L", "R"))
    meter.push(out)
    true_peak = meter.result().true_peak_dbtp
    assert true_peak is not None
    assert true_peak <= -1.0 + 0.1


def test_sound_under_the_ceiling_passes_bit_for_bit() -> None:
    sound = np.random.default_rng(5).standard_normal((2, 30_000)) * 0.05
    assert np.array_equal(limited(sound, -1.0, 44_100, 1000), sound)
    sound[:, 15_000] = 2.0
    out = limited(sound, -1.0, 44_100, 1000)
    assert np.array_equal(out[:, :14_000], sound[:, :14_000])
    assert np.abs(out).max() <= 10 ** (-1 / 20) + 1e-12


def test_block_sizes_do_not_matter() -> None:
    sound = np.random.default_rng(6).standard_normal((2, 9000)) * 0.5
    whole = limited(sound, -3.0, 44_100, 9000)
    for size in (1, 7, 1024):
        assert limited(sound, -3.0, 44_100, size) == pytest.approx(whole, abs=1e-12)
