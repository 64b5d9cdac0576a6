"""Where one file is found against another, and what it sounds like once it lies there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from core.audio.read import open_reader
from core.events import finish
from core.measure.align import shift
from core.measure.placement import NOT_FOUND, Placed, Placement, locate, trend

RATE = 44_100
Samples = NDArray[np.float64]


def music(seconds: float, channels: int = 2, seed: int = 1) -> Samples:
    """Pink noise that swells and fades, up to 0.44 of the rate: float64 [channels, frames]."""
    frames = round(seconds * RATE)
    noise = np.random.default_rng(seed).standard_normal((channels, frames))
    spectrum = np.fft.rfft(noise)
    bins = np.arange(spectrum.shape[1])
    pink = np.fft.irfft(spectrum / np.sqrt(1.0 + bins) * (bins < 0.88 * len(bins)), frames)
    swell = 1.1 + np.sin(2 * np.pi * 0.21 * np.arange(frames) / RATE)
    return 0.3 * pink * swell / np.abs(pink * swell).max()


def faster(samples: Samples, ppm: float) -> Samples:
    """The same music from a clock that ran fast."""
    return soxr.resample(samples.T, RATE, RATE * (1.0 + ppm * 1e-6), "VHQ").T


def found(folder: Path, a: Samples, b: Samples, rate_a: int = RATE, rate_b: int = RATE) -> Placement:
    soundfile.write(folder / "a.wav", a.T, rate_a, subtype="DOUBLE")
    soundfile.write(folder / "b.wav", b.T, rate_b, subtype="DOUBLE")
    with open_reader(folder / "a.wav") as one, open_reader(folder / "b.wav") as other:
        return finish(locate(one, other))


def left(folder: Path, placement: Placement, frames: int) -> float:
    """What is left of A when B is laid on it and taken away, in dB relative to A, the first and last second aside."""
    with open_reader(folder / "a.wav") as one, open_reader(folder / "b.wav") as other:
        a = one.read(frames)
        b = Placed(other, one.info.sample_rate, one.info.channels, placement, level=True).read(frames)
    rate = one.info.sample_rate
    inside = slice(rate, frames - rate)
    return 10 * np.log10(np.square(a - b)[:, inside].mean() / np.square(a)[:, inside].mean() + 1e-40)


@pytest.mark.parametrize("delay", [0.05, 100.6, 20_000.0, -4321.25, 29.5 * RATE])
def test_delays_in_noise_20_db_down(tmp_path: Path, delay: float) -> None:
    a = music(40)
    whole = int(np.floor(delay))
    b = shift(a, delay - whole)
    b = np.pad(b, ((0, 0), (whole, 0))) if whole > 0 else b[:, -whole:]
    noise = np.random.default_rng(5).standard_normal(b.shape) * 0.1 * a.std()
    placement = found(tmp_path, a, -0.5 * (b + noise))
    assert placement.delay_samples == pytest.approx(delay, abs=0.01)
    assert (placement.drift_ppm, placement.polarity) == (0.0, -1)
    assert placement.gain_db == pytest.approx(-6.02, abs=0.02)


@pytest.mark.parametrize("ppm", [1.0, -200.0, 900.0])
def test_a_clock_that_runs_fast_or_slow(tmp_path: Path, ppm: float) -> None:
    a = music(30)
    placement = found(tmp_path, a, np.pad(faster(a, ppm), ((0, 0), (500, 0))))
    assert placement.drift_ppm == pytest.approx(ppm, abs=0.1)
    assert placement.delay_samples == pytest.approx(500.0, abs=0.05)
    assert left(tmp_path, placement, a.shape[1]) < -60.0


def test_whole_frames_are_found_exactly_and_moved_as_they_are(tmp_path: Path) -> None:
    a = music(12)
    placement = found(tmp_path, a, np.pad(a, ((0, 0), (12_345, 0))))
    assert placement == Placement(12_345.0, 0.0, 1, 0.0, 1.0)
    with open_reader(tmp_path / "b.wav") as reader:
        assert np.array_equal(Placed(reader, RATE, 2, placement).read(a.shape[1]), a)
    with open_reader(tmp_path / "b.wav") as reader:
        assert np.array_equal(Placed(reader, RATE, 2, placement, start=77_777).read(5000), a[:, 77_777:82_777])


@pytest.mark.parametrize(("rate_a", "rate_b"), [(44_100, 48_000), (8_000, 192_000), (48_000, 44_100)])
def test_other_rates(tmp_path: Path, rate_a: int, rate_b: int) -> None:
    whole = music(15)
    a, b = (soxr.resample(whole.T, RATE, rate, "VHQ").T for rate in (rate_a, rate_b))
    placement = found(tmp_path, a, b, rate_a, rate_b)
    assert placement.delay_samples == pytest.approx(0.0, abs=0.005)
    assert placement.drift_ppm == 0.0
    assert left(tmp_path, placement, a.shape[1]) < -70.0


def test_one_file_inside_the_other_wherever_it_is(tmp_path: Path) -> None:
    whole = music(100)
    part = whole[:, 77 * RATE : 92 * RATE]
    assert found(tmp_path, whole, part).delay_samples == -77.0 * RATE
    assert found(tmp_path, part, whole).delay_samples == 77.0 * RATE


def test_a_loop_is_found_where_it_is_the_same(tmp_path: Path) -> None:
    bar = music(2, seed=3)
    loop = np.concatenate([np.tile(bar, 10), music(5, seed=4)], axis=1) + 0.001 * music(25, seed=9)
    placement = found(tmp_path, loop, loop[:, 6 * RATE :])
    assert placement.delay_samples == -6.0 * RATE


def test_what_has_nothing_in_common_is_not_found(tmp_path: Path) -> None:
    assert found(tmp_path, music(8, seed=1), music(8, seed=2)) == NOT_FOUND
    assert found(tmp_path, music(3), np.zeros((2, 3 * RATE))) == NOT_FOUND
    assert found(tmp_path, np.full((2, 3 * RATE), 0.1), music(3)) == NOT_FOUND


@pytest.mark.parametrize("frames", [1, 2, 10, 300, 5000])
def test_short_files(tmp_path: Path, frames: int) -> None:
    a = music(1)[:, 1000 : 1000 + frames]
    placement = found(tmp_path, a, -0.5 * a)
    assert placement.delay_samples == pytest.approx(0.0, abs=1e-6)
    assert placement.drift_ppm == 0.0


def test_mono_is_heard_on_every_channel(tmp_path: Path) -> None:
    a = np.repeat(music(5, 1), 2, axis=0)
    placement = found(tmp_path, a, a[:1])
    assert placement == Placement(0.0, 0.0, 1, 0.0, 1.0)


def test_a_splice_does_not_make_a_drift(tmp_path: Path) -> None:
    a = music(40)
    b = np.concatenate([a[:, : 34 * RATE], np.zeros((2, 700)), a[:, 34 * RATE :]], axis=1)
    placement = found(tmp_path, a, b)
    assert placement.drift_ppm == 0.0
    assert placement.delay_samples == pytest.approx(0.0, abs=1e-3)


def test_a_slope_needs_more_than_the_scatter() -> None:
    frames = np.arange(20, dtype=np.float64) * 1e5
    scatter = np.random.default_rng(1).normal(0.0, 0.1, 20)
    assert trend(frames, scatter, 2e6)[1] == 0.0
    assert trend(frames, 1e-6 * frames + scatter / 100, 2e6)[1] == pytest.approx(1e-6, rel=0.01)


def test_real_music_from_another_clock(data: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(data / "masters/wesnoth_love_theme.flac", 60 * RATE, always_2d=True)
    assert rate == RATE
    a = np.asarray(samples, np.float64).T
    noise = np.random.default_rng(2).standard_normal(a.shape) * 0.1 * a.std()
    placement = found(tmp_path, a, faster(a + noise, 37.0))
    assert placement.drift_ppm == pytest.approx(37.0, abs=0.2)
    assert placement.delay_samples == pytest.approx(0.0, abs=0.1)
