"""An average spectrum reads known tones and noises as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.read import open_reader
from core.errors import UnbakeError
from core.measure.spectrum import FLOOR_DB, average_spectrum, log_frequencies, read_windows

RATE = 48_000
FREQS = log_frequencies(120)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, subtype="DOUBLE")
    return path


def tone(hz: float, seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hz / rate * np.arange(round(seconds * rate)))


def test_frequencies_are_equal_in_pitch_with_both_ends() -> None:
    assert FREQS[[0, -1]] == pytest.approx([20.0, 20_000.0])
    assert np.diff(np.log(FREQS)) == pytest.approx([np.log(1000) / 119] * 119)
    assert log_frequencies(3, 100.0, 10_000.0) == pytest.approx([100.0, 1000.0, 10_000.0])


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("hz", [20.0, 31.7, 100.0, 997.0, 3500.0])
def test_a_full_scale_sine_reads_0_db_at_its_frequency(tmp_path: Path, rate: int, hz: float) -> None:
    sine = tone(hz, 1.5, rate)
    path = write(tmp_path / "x.wav", np.stack([sine, -sine], axis=1), rate)
    at = np.array([hz, 4 * hz, hz / 4])
    level, above, below = average_spectrum(path, 0, len(sine), at)
    assert level == pytest.approx(0.0, abs=0.1)
    assert max(above, below) < -40.0


def test_channels_are_averaged_in_power(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", np.stack([tone(1000.0), 0 * tone(1000.0)], axis=1))
    assert average_spectrum(path, 0, 2 * RATE, np.array([1000.0]))[0] == pytest.approx(-3.01, abs=0.05)


def test_white_noise_is_as_strong_as_its_sixth_of_an_octave_is_wide(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", 0.1 * np.random.default_rng(1).standard_normal(20 * RATE))
    freqs = log_frequencies(30, 200.0, 20_000.0)
    width = freqs * (2 ** (1 / 12) - 2 ** (-1 / 12))
    expected = 10 * np.log10(2 * 0.1**2 * width / (RATE / 2))
    assert average_spectrum(path, 0, 20 * RATE, freqs) == pytest.approx(expected, abs=0.6)


def test_pink_noise_is_level(tmp_path: Path) -> None:
    white = np.fft.rfft(np.random.default_rng(2).standard_normal(20 * RATE))
    pink = np.fft.irfft(white / np.sqrt(1.0 + np.arange(len(white))))
    path = write(tmp_path / "x.wav", 0.2 * pink / np.abs(pink).max())
    levels = average_spectrum(path, 0, 20 * RATE, log_frequencies(20, 200.0, 15_000.0))
    assert np.ptp(levels) < 1.5


def test_only_the_stretch_that_was_asked_for_is_heard(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", np.concatenate([np.zeros(2 * RATE), tone(1000.0), np.zeros(2 * RATE)]))
    at = np.array([1000.0])
    assert average_spectrum(path, 0, 2 * RATE, at)[0] == FLOOR_DB
    assert average_spectrum(path, 2 * RATE, 4 * RATE, at)[0] == pytest.approx(0.0, abs=0.05)
    assert average_spectrum(path, -100, 99 * RATE, at)[0] == pytest.approx(10 * np.log10(1 / 3), abs=0.3)


@pytest.mark.parametrize("frames", [1, 2, 100, 4800])
def test_stretches_shorter_than_a_window(tmp_path: Path, frames: int) -> None:
    path = write(tmp_path / "x.wav", tone(1000.0))
    levels = average_spectrum(path, 7000, 7000 + frames, FREQS)
    assert np.isfinite(levels).all()
    if frames == 4800:
        assert average_spectrum(path, 7000, 7000 + frames, np.array([1000.0]))[0] == pytest.approx(0.0, abs=0.1)


def test_silence_nothing_and_the_inaudible_read_the_floor(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", np.zeros((RATE, 2)))
    assert (average_spectrum(path, 0, RATE, FREQS) == FLOOR_DB).all()
    path = write(tmp_path / "x.wav", tone(1000.0))
    assert (average_spectrum(path, 500, 500, FREQS) == FLOOR_DB).all()
    assert (average_spectrum(path, 5 * RATE, 6 * RATE, FREQS) == FLOOR_DB).all()
    assert (average_spectrum(path, 0, RATE, np.array([30_000.0, 90_000.0])) == FLOOR_DB).all()


def test_bad_samples_are_silence_and_a_missing_file_is_named(tmp_path: Path) -> None:
    samples = tone(1000.0)
    samples[[100, 50_000]] = np.nan, np.inf
    found = average_spectrum(write(tmp_path / "x.wav", samples), 0, 2 * RATE, FREQS)
    samples[[100, 50_000]] = 0.0
    assert np.array_equal(found, average_spectrum(write(tmp_path / "x.wav", samples), 0, 2 * RATE, FREQS))
    with pytest.raises(UnbakeError, match="no such file"):
        average_spectrum(tmp_path / "gone.wav", 0, 10, FREQS)


@pytest.mark.parametrize("ending", ["wav", "ogg"])
def test_windows_are_the_frames_from_their_starts(tmp_path: Path, ending: str) -> None:
    soundfile.write(tmp_path / f"x.{ending}", 0.1 * np.random.default_rng(6).standard_normal((150_000, 2)), RATE)
    whole = soundfile.read(tmp_path / f"x.{ending}")[0].T
    padded = np.pad(whole, ((0, 0), (5000, 5000)))
    starts = [-3000, -1500, -1500, 0, 700, 1800, 30_000, 31_000, 120_000, 149_500, 152_000, 153_900]
    with open_reader(tmp_path / f"x.{ending}") as reader:
        windows = list(read_windows(reader, starts, 1000))
    for start, window in zip(starts, windows, strict=True):
        assert np.array_equal(window, padded[:, start + 5000 : start + 6000])
