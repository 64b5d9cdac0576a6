"""Delay, polarity and gain of recordings that were moved by a known amount."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from core.errors import UnbakeError
from core.measure.align import Alignment, estimate, shift

RATE = 44_100
SILENT = Alignment(delay_samples=0.0, polarity=1, gain_db=0.0, correlation=0.0)


def moved(samples: NDArray[np.float64], delay: float) -> NDArray[np.float64]:
    """The delay by a phase ramp over twice the length: another way than the one under test."""
    size = 2 * samples.shape[1]
    ramp = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * delay)
    return np.fft.irfft(np.fft.rfft(samples, size) * ramp, size)[:, : samples.shape[1]]


def pink(seconds: float = 4.0, seed: int = 5) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((2, round(seconds * RATE))))
    frequency = np.maximum(1.0, np.arange(spectrum.shape[1]))
    return 3.0 * np.fft.irfft(spectrum / np.sqrt(frequency) * (frequency < 0.45 * 2 * spectrum.shape[1]))


@pytest.fixture(scope="module")
def music(data: Path) -> NDArray[np.float64]:
    samples, _ = soundfile.read(data / "masters/wesnoth_love_theme.flac", start=30 * RATE, frames=15 * RATE)
    return np.asarray(samples.T, dtype=np.float64)


@pytest.mark.parametrize("delay", [0.05, 0.5, -0.5, 3.25, 100.6, -1000.0, 20_000.0])
@pytest.mark.parametrize("polarity", [1, -1])
def test_delay_polarity_and_gain_are_found(delay: float, polarity: int) -> None:
    a = pink()
    found = estimate(a, 0.5 * polarity * moved(a, delay), RATE)
    assert found.delay_samples == pytest.approx(delay, abs=1e-3)
    assert found.polarity == polarity
    assert found.gain_db == pytest.approx(-6.0206, abs=0.05)
    assert found.correlation == pytest.approx(polarity, abs=0.01)


@pytest.mark.parametrize("delay", [0.05, 1.5, -777.3, 20_000.0])
def test_delay_is_found_under_noise_20_db_down(music: NDArray[np.float64], delay: float) -> None:
    rng = np.random.default_rng(7)
    b = moved(music, delay)
    b += rng.standard_normal(b.shape) * np.sqrt(np.mean(b**2)) * 0.1
    found = estimate(music, b, RATE)
    assert found.delay_samples == pytest.approx(delay, abs=0.01)
    assert found.correlation == pytest.approx(1 / np.sqrt(1.01), abs=0.005)


def test_delay_of_seconds(music: NDArray[np.float64]) -> None:
    late = np.concatenate([np.zeros((2, 9 * RATE)), music], axis=1)
    assert estimate(music, late, RATE).delay_samples == pytest.approx(9 * RATE, abs=1e-3)
    assert estimate(late, music, RATE).delay_samples == pytest.approx(-9 * RATE, abs=1e-3)


def test_anti_phase_channels_do_not_hide_the_delay() -> None:
    one = pink()[:1]
    a = np.concatenate([one, -one])
    assert estimate(a, moved(a, 12.0), RATE).delay_samples == pytest.approx(12.0, abs=1e-3)


def test_identical_is_exactly_zero() -> None:
    a = pink(1.0)
    assert estimate(a, a.copy(), RATE) == Alignment(0.0, 1, 0.0, 1.0)


def test_gain_alone_is_no_delay() -> None:
    a = pink(1.0)
    found = estimate(a, a * 10 ** (0.5 / 20), RATE)
    assert found.delay_samples == pytest.approx(0.0, abs=1e-9)
    assert found.gain_db == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((2, 1000)), np.zeros((2, 1000))),
        (np.zeros((2, 1000)), pink(0.1)),
        (np.full((1, 5000), 0.3), np.full((1, 5000), 0.2)),
        (np.zeros((1, 0)), np.zeros((1, 0))),
        (np.ones((1, 1)), np.zeros((1, 1))),
    ],
    ids=["silence", "one silent", "dc", "empty", "one sample"],
)
def test_nothing_to_align(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    assert estimate(a, b, RATE) == SILENT


@pytest.mark.parametrize("delay", [0.3, 5.2, -3.1])
def test_a_tones_delay_is_the_nearest_of_its_periods(delay: float) -> None:
    time = np.arange(2 * RATE)
    here, there = (np.sin(2 * np.pi * 1000 * (time - at) / RATE)[None] for at in (0.0, delay))
    assert estimate(here, there, RATE).delay_samples == pytest.approx(delay, abs=0.02)


def test_short_blocks_can_be_aligned() -> None:
    a = np.random.default_rng(2).standard_normal((1, 200))
    assert estimate(a, np.roll(a, 3, axis=1), RATE).delay_samples == pytest.approx(3.0, abs=0.02)


def test_channels_must_match() -> None:
    with pytest.raises(UnbakeError, match="1 channels with 2"):
        estimate(np.zeros((1, 10)), np.zeros((2, 10)), RATE)


@pytest.mark.parametrize("delay", [0, 5, -5, 400])
def test_whole_shifts_move_samples_as_they_are(delay: int) -> None:
    a = pink(0.005)
    expected = np.zeros_like(a)
    for frame in range(a.shape[1]):
        if 0 <= frame - delay < a.shape[1]:
            expected[:, frame] = a[:, frame - delay]
    np.testing.assert_array_equal(shift(a, delay), expected)


@pytest.mark.parametrize("delay", [0.5, -0.25, 7.75, -300.1])
def test_fractional_shifts_agree_with_the_tone_they_should_give(delay: float) -> None:
    time = np.arange(8000)
    for cycles in (0.01, 0.2, 0.48):
        got = shift(np.sin(2 * np.pi * cycles * time)[None], delay)[0, 1000:-1000]
        np.testing.assert_allclose(got, np.sin(2 * np.pi * cycles * (time - delay))[1000:-1000], atol=2e-6)


def test_long_recordings_are_aligned_by_their_loudest_part() -> None:
    rng = np.random.default_rng(9)
    a = np.zeros((1, 100 * 8000))
    a[:, 70 * 8000 : 80 * 8000] = rng.standard_normal(10 * 8000)
    b = np.roll(a, 37, axis=1) + 1e-3 * rng.standard_normal(a.shape)
    assert estimate(a, b, 8000).delay_samples == pytest.approx(37.0, abs=1e-2)
