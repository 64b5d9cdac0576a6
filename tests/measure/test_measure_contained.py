"""How a recording lies inside another one: place, clock, polarity and level, with the rest of the music in the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.read import open_reader
from core.events import finish
from core.measure.contained import Contained, Depth, Given, Laid, contained, depth
from core.measure.placement import NOT_FOUND, Placement, locate

RATE = 44_100


def music(seconds: float, seed: int, channels: int = 2) -> np.ndarray:
    """Notes of one instrument, half of the time none: float64 [frames, channels]."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    time, sound = np.arange(frames) / RATE, np.zeros(frames)
    for start in np.arange(0.0, seconds, 0.25):
        if rng.random() < 0.5:
            note = 110.0 * 2.0 ** (rng.integers(0, 36) / 12.0)
            since = np.maximum(0.0, time - start - 0.05 * rng.random())
            sound += sum(np.sin(2 * np.pi * note * k * since) / k for k in (1, 2, 3, 5)) * np.exp(-8.0 * since) * since
    sound /= np.abs(sound).max()
    return sound[:, None] * np.linspace(0.3, 0.2, channels) + 1e-5 * rng.standard_normal((frames, channels))


def written(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, sound, rate, subtype="DOUBLE")
    return path


def found(a: Path, b: Path, given: Given | None = None, placement: Placement | None = None) -> Contained | None:
    with open_reader(a) as one, open_reader(b) as other:
        near = finish(locate(one, other)) if placement is None else placement
        return finish(contained(one, other, near, given))


@pytest.fixture
def stem() -> np.ndarray:
    return music(12.0, 1)


@pytest.fixture
def mix(tmp_path: Path, stem: np.ndarray) -> Path:
    return written(tmp_path / "mix.wav", stem + music(12.0, 2) + 0.5 * music(12.0, 3))


@pytest.mark.parametrize("delay", [0, 1, -4000, 300_000])
@pytest.mark.parametrize("level", [1.0, -0.25])
def test_whole_frames_are_found_exactly(tmp_path: Path, stem, mix: Path, delay: int, level: float) -> None:
    moved = np.pad(stem, ((max(0, delay), 0), (0, 0)))[max(0, -delay) :] / level
    lies = found(mix, written(tmp_path / "stem.wav", moved))
    assert lies is not None
    assert (lies.delay_samples, lies.drift_ppm, lies.polarity) == (delay, 0.0, 1 if level > 0.0 else -1)
    assert lies.gain_db == pytest.approx(20 * np.log10(abs(level)), abs=0.02)
    if level == 1.0:
        assert lies.gain_db == 0.0


def test_a_level_that_fits_as_well_as_none_is_not_rounded_to_it(tmp_path: Path, stem, mix: Path) -> None:
    lies = found(mix, written(tmp_path / "stem.wav", stem * 10 ** (-0.3 / 20)))
    assert lies is not None
    assert lies.gain_db == pytest.approx(0.3, abs=0.02)


def test_what_stands_beside_does_not_count_as_the_stem(tmp_path: Path, stem) -> None:
    """The rest plays the same notes 12 frames later, as a second microphone would; it sets in after 4 s."""
    chorus = np.roll(stem, 12, axis=0) * 0.8 + music(12.0, 2)
    chorus[: 4 * RATE] = 0.0
    a, b = written(tmp_path / "mix.wav", stem + chorus), written(tmp_path / "stem.wav", stem)
    lies = found(a, b)
    assert lies is not None
    assert (lies.delay_samples, lies.gain_db) == (0.0, 0.0)
    with open_reader(a) as one, open_reader(b) as other:
        x, y = one.read(10**6), other.read(10**6)
    assert 20 * np.log10(np.sum(x * y) / np.sum(y * y)) > 1.0  # what least squares say


def test_what_is_given_is_not_looked_for(tmp_path: Path, stem, mix: Path) -> None:
    path = written(tmp_path / "stem.wav", np.pad(stem, ((100, 0), (0, 0))))
    lies = found(mix, path, Given(delay_samples=100.0), NOT_FOUND)
    assert lies is not None
    assert (lies.delay_samples, lies.gain_db) == (100.0, 0.0)
    lies = found(mix, path, Given(7.5, 20.0, -1, -3.25), NOT_FOUND)
    assert lies is not None
    assert (lies.delay_samples, lies.drift_ppm, lies.polarity, lies.gain_db) == (7.5, 20.0, -1, -3.25)


def test_other_music_is_not_in_it(tmp_path: Path, mix: Path) -> None:
    other = written(tmp_path / "other.wav", music(12.0, 9))
    assert found(mix, other) is None
    assert found(mix, other, Given(delay_samples=0.0)) is None


def test_nothing_is_found_where_nothing_overlaps(tmp_path: Path, stem, mix: Path) -> None:
    path = written(tmp_path / "stem.wav", stem)
    assert found(mix, path, Given(1e9, None, None, 0.0), NOT_FOUND) is None


def test_silence_is_found_nowhere(tmp_path: Path, mix: Path) -> None:
    assert found(mix, written(tmp_path / "silence.wav", np.zeros((RATE, 2)))) is None


def test_of_a_long_file_excerpts_are_looked_at(tmp_path: Path) -> None:
    """140 s, of which the stem only sounds in the last 30."""
    stem = np.pad(music(30.0, 1, 1), ((110 * RATE, 0), (0, 0)))
    a = written(tmp_path / "mix.wav", stem + np.tile(music(10.0, 2, 1), (14, 1)))
    lies = found(a, written(tmp_path / "stem.wav", stem))
    assert lies is not None
    assert (lies.delay_samples, lies.gain_db) == (0.0, 0.0)


def test_mono_lies_on_every_channel_and_a_pair_in_mono_as_its_mean(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    mono, pair = rng.standard_normal((900, 1)), rng.standard_normal((900, 2))
    with open_reader(written(tmp_path / "mono.wav", mono)) as b:
        assert np.array_equal(Laid(b, RATE, 2, Placement()).read(900), np.repeat(mono.T, 2, axis=0))
    with open_reader(written(tmp_path / "pair.wav", pair)) as b:
        assert np.allclose(Laid(b, RATE, 1, Placement(10.0)).read(800), pair.T[:, 10:810].mean(axis=0), atol=1e-15)


def test_the_depth_is_that_of_the_subtraction(tmp_path: Path) -> None:
    time = np.arange(4 * RATE) / RATE
    low, high = (0.1 * np.sin(2 * np.pi * freq_hz * time)[:, None] for freq_hz in (100.0, 4000.0))
    a, b = written(tmp_path / "a.wav", low + high), written(tmp_path / "b.wav", 0.9 * low)
    with open_reader(a) as one, open_reader(b) as other:
        measured: Depth = finish(depth(one, other))
    assert measured.depth_db == pytest.approx(10 * np.log10((1.0 + 0.01) / 2.0), abs=0.01)
    at = {band.low_hz < 100.0 < band.high_hz: band.depth_db for band in measured.bands}
    assert at[True] == pytest.approx(-20.0, abs=0.1)
    beside = next(band for band in measured.bands if band.low_hz < 4000.0 < band.high_hz)
    assert beside.depth_db == pytest.approx(0.0, abs=0.1)
    with open_reader(a) as one, open_reader(a) as other:
        assert finish(depth(one, other)).depth_db is None
