"""De-echo: a reflection is found to a fraction of a frame and divided out; what only repeats is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.deecho import Deechoer
from core.errors import UnbakeError
from core.events import Progress, finish
from core.session.cleaning import Deecho

RATE = 44_100
Sound = np.ndarray


def cleaned(path: Path, step: Deecho | None = None) -> tuple[Finding, Sound]:
    """What is found in a file, and [channels, frames] of the outcome, where something is."""
    with open_reader(path) as reader:
        cleaner = Deechoer(reader, step or Deecho())
        finding = finish(cleaner.find())
        sound = np.concatenate(list(cleaner.blocks()), axis=1)
        assert sound.shape == (reader.info.channels, reader.info.frames)
    return finding, sound


def written(path: Path, sound: Sound, rate: int = RATE) -> Path:
    soundfile.write(path, sound.T, rate, subtype="DOUBLE")
    return path


def delayed(sound: Sound, frames: float) -> Sound:
    """By the phase, so that a delay may end between frames."""
    size = sound.shape[-1] + int(frames) + 4096
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size * frames)
    return np.fft.irfft(np.fft.rfft(sound, size) * turn, size)[..., : sound.shape[-1]]


def reduction_db(clean: Sound, damaged: Sound, output: Sound) -> float:
    return 10 * np.log10(np.sum((damaged - clean) ** 2) / (np.sum((output - clean) ** 2) + 1e-30))


def crest_db(sound: Sound, clean: Sound, rate: int) -> float:
    """Peak over RMS of the fifth of a second around the peak of the clean sound."""
    at = int(np.argmax(np.abs(clean).max(axis=0)))
    part = sound[:, max(0, at - rate // 10) : at + rate // 10]
    return 20 * np.log10(np.abs(part).max() / np.sqrt(np.mean(part**2)))


def band(rate: int = RATE, seconds: float = 6.0, channels: int = 2, seed: int = 1) -> Sound:
    """Tones, and bursts of noise at odd times: float64 [channels, frames]."""
    rng = np.random.default_rng(seed)
    sound = 0.003 * rng.standard_normal((channels, round(seconds * rate)))
    time = np.arange(sound.shape[1]) / rate
    for place in rng.integers(0, sound.shape[1], round(5 * seconds)):
        part = time[: min(rate, len(time) - place)]
        tone = np.exp(-12 * part) * signal.sawtooth(2 * np.pi * rng.uniform(100, 700) * part)
        noise = np.exp(-12 * part) * rng.standard_normal((channels, len(part)))
        sound[:, place : place + len(part)] += 0.03 * (tone + noise)
    return sound


@pytest.mark.parametrize(
    ("name", "delay_ms", "level_db", "sign"),
    [
        ("multitracks/eif-lithium/drums.flac", 10.0, -6.0, 1),
        ("multitracks/eif-lithium/vocals.flac", 33.333, -9.0, -1),
        ("multitracks/waveform-playlist/mixture.flac", 80.0, -12.0, -1),
        ("multitracks/synth-hobo/mixture.flac", 21.7, -12.0, 1),
        ("speech/dfn_clean_freesound_33711.flac", 47.11, -12.0, 1),
        ("speech/5703-47212-0000.hq.ogg", 14.2, -6.0, -1),
    ],
)
def test_a_reflection_in_music_and_speech_goes(
    data: Path, tmp_path: Path, name: str, delay_ms: float, level_db: float, sign: int
) -> None:
    sound, rate = soundfile.read(data / name, always_2d=True)
    clean = 0.5 * sound.T[:, : 12 * rate]
    damaged = clean + sign * 10 ** (level_db / 20) * delayed(clean, delay_ms * rate / 1000)
    finding, output = cleaned(written(tmp_path / "damaged.wav", damaged, rate))
    assert finding.found
    assert finding.confidence >= 0.8
    assert finding.figures["delay_1_ms"] == pytest.approx(delay_ms, abs=0.01)
    assert finding.figures["level_1_db"] == pytest.approx(level_db, abs=1.5)
    assert np.sign(finding.figures["gain_1"]) == sign
    assert reduction_db(clean, damaged, output) > 20.0
    assert abs(crest_db(output, clean, rate) - crest_db(clean, clean, rate)) < 0.3


@pytest.mark.parametrize(
    "name",
    [
        "multitracks/eif-rubidium/bass.flac",
        "multitracks/eif-potassium/other.flac",
        "multitracks/eif-lithium/vocals.flac",
        "multitracks/synth-hobo/drums.flac",
        "multitracks/fof-sectoid-feelings/guitar.flac",
        "speech/198-209-0000.hq.ogg",
        "speech/dfn_noisy_snr0.flac",
        "masters/wesnoth_love_theme.flac",
    ],
)
def test_clean_music_and_speech_is_left_alone(data: Path, name: str) -> None:
    with open_reader(data / name) as reader:
        finding = finish(Deechoer(reader, Deecho()).find())
    assert not finding.found
    assert finding.confidence < 0.5
    assert "nearest" in finding.detail


def test_a_reflection_of_whole_frames_is_divided_out_exactly(tmp_path: Path) -> None:
    clean = band()
    damaged = clean.copy()
    damaged[:, 1000:] += 0.4 * clean[:, :-1000]
    step = Deecho(delay_ms=1e6 / RATE, level_db=20 * np.log10(0.4))
    finding, output = cleaned(written(tmp_path / "damaged.wav", damaged), step)
    assert finding.found
    assert np.abs(output - clean).max() < 1e-12


def test_what_was_found_can_be_held_fast(tmp_path: Path) -> None:
    clean = band()
    path = written(tmp_path / "damaged.wav", clean - 0.3 * delayed(clean, 1234.4))
    finding, output = cleaned(path)
    assert set(finding.proposal) == {"delay_ms", "level_db"}
    held, again = cleaned(path, Deecho(**finding.proposal))  # type: ignore[arg-type]
    assert held.figures["gain_1"] == pytest.approx(finding.figures["gain_1"])
    assert reduction_db(clean, output, again) > -0.5


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16_000, 6), (48_000, 1), (192_000, 1)])
def test_rates_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    clean = band(rate, 3.0, channels)
    damaged = clean + 0.35 * delayed(clean, 0.0301 * rate)
    finding, output = cleaned(written(tmp_path / "damaged.wav", damaged, rate))
    assert finding.found
    assert finding.figures["delay_1_ms"] == pytest.approx(30.1, abs=0.02)
    assert reduction_db(clean, damaged, output) > 15.0


def test_channels_may_have_reflections_of_their_own(tmp_path: Path) -> None:
    clean = band(channels=3)
    damaged = clean.copy()
    damaged[0] += 0.4 * delayed(clean[0], 900.3)
    damaged[1] -= 0.3 * delayed(clean[1], 1700.6)
    finding, output = cleaned(written(tmp_path / "damaged.wav", damaged))
    assert finding.figures["reflections"] == 2
    assert not finding.proposal
    assert reduction_db(clean[:2], damaged[:2], output[:2]) > 15.0
    assert np.array_equal(output[2], damaged[2])


def test_three_reflections_are_found_one_after_the_other(tmp_path: Path) -> None:
    clean = band(seconds=6.0)
    damaged = clean.copy()
    for delay, gain in ((700.3, 0.35), (1500.8, -0.3), (3100.1, 0.25)):
        damaged += gain * delayed(clean, delay)
    finding, output = cleaned(written(tmp_path / "damaged.wav", damaged))
    assert finding.figures["reflections"] == 3
    assert reduction_db(clean, damaged, output) > 15.0


def test_what_only_repeats_is_no_reflection(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    hit = rng.standard_normal(3000) * np.exp(-np.arange(3000) / 400.0)
    loop = np.zeros(8 * RATE)
    for place in range(0, len(loop) - 3000, 2756):
        loop[place : place + 3000] += 0.3 * hit
    sounds = {
        "the same hit every 62.5 ms": loop,
        "a square wave": np.where(np.arange(8 * RATE) % 882 < 441, 1.0, -1.0),
        "noise": 0.1 * rng.standard_normal(8 * RATE),
        "a sawtooth": 0.5 * signal.sawtooth(2 * np.pi * 55.0 * np.arange(8 * RATE) / RATE),
    }
    for name, sound in sounds.items():
        finding, output = cleaned(written(tmp_path / "repeats.wav", sound[None]))
        assert not finding.found, name
        assert np.array_equal(output[0], sound)


def test_a_level_that_is_given_is_taken_and_the_polarity_found(tmp_path: Path) -> None:
    clean = band()
    path = written(tmp_path / "damaged.wav", clean - 0.3 * delayed(clean, 1000.0))
    by_delay, _ = cleaned(path, Deecho(delay_ms=1e6 / RATE, level_db=-8.0))
    by_level, _ = cleaned(path, Deecho(level_db=-8.0))
    measured, _ = cleaned(path, Deecho(delay_ms=1e6 / RATE))
    assert by_delay.figures["gain_1"] == by_level.figures["gain_1"] == pytest.approx(-(10**-0.4))
    assert measured.figures["gain_1"] == pytest.approx(-0.3, abs=0.03)


def test_a_delay_without_a_reflection_needs_a_level(tmp_path: Path) -> None:
    path = written(tmp_path / "clean.wav", band())
    finding, _ = cleaned(path, Deecho(delay_ms=20.0))
    assert not finding.found
    assert "level" in finding.detail
    with open_reader(path) as reader, pytest.raises(UnbakeError, match="less than one frame"):
        finish(Deechoer(reader, Deecho(delay_ms=0.01)).find())


def bad_sounds() -> dict[str, Sound]:
    time = np.arange(2 * RATE) / RATE
    return {
        "one frame": np.full((2, 1), 0.5),
        "three frames": np.full((2, 3), -0.5),
        "a hundred frames": np.random.default_rng(1).standard_normal((2, 100)),
        "half a second": np.random.default_rng(1).standard_normal((1, RATE // 2)),
        "silence": np.zeros((2, 2 * RATE)),
        "one silent channel": np.stack([np.zeros(2 * RATE), 0.1 * np.random.default_rng(2).standard_normal(2 * RATE)]),
        "direct current": np.full((2, 2 * RATE), 0.7),
        "a square wave": np.sign(np.sin(2 * np.pi * 100.3 * time))[None],
        "over full scale": 30.0 * np.sin(2 * np.pi * 1000.0 * time)[None],
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", list(bad_sounds()))
@pytest.mark.parametrize("step", [Deecho(), Deecho(delay_ms=30.0, level_db=-6.0), Deecho(delay_ms=0.05, level_db=-1.0)])
def test_any_sound_can_be_handed_in(tmp_path: Path, name: str, step: Deecho) -> None:
    sound = bad_sounds()[name]
    finding, output = cleaned(written(tmp_path / "bad.wav", sound), step)
    assert finding.found == bool(step.level_db)
    assert np.isfinite(output).all()
    if not finding.found:
        assert np.array_equal(output, sound)
        assert finding.detail


def test_it_can_be_stopped_and_gives_the_same_again(tmp_path: Path, mixture: Callable[..., np.ndarray]) -> None:
    clean = mixture(8.0, RATE).T
    path = written(tmp_path / "damaged.wav", clean + 0.5 * delayed(clean, 777.7))
    with open_reader(path) as reader:
        operation = Deechoer(reader, Deecho()).find()
        assert isinstance(next(operation), Progress)
        operation.close()
    first, second = cleaned(path), cleaned(path)
    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])
