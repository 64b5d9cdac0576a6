"""Attacks: found to the sample, and only where something begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.errors import UnbakeError
from core.warp.rhythm.onsets import Heard
from tests.warp.rhythms import RATE, heard, heard_in, laid, ring


def places(rate: int = RATE, count: int = 12) -> list[int]:
    """Frames that keep to no grid of hops."""
    rng = np.random.default_rng(2)
    return [round((0.3 + 0.4 * each) * rate) + int(rng.integers(0, 300)) for each in range(count)]


def off(found: Heard, frames: list[int]) -> list[int]:
    """How late what was found is, attack by attack; none may be missing or too many."""
    assert len(found.onsets) == len(frames), found.onsets
    return [int(found.onsets[n] - frame) for n, frame in enumerate(frames)]


@pytest.mark.parametrize("name", ["click", "kick", "snare", "hat"])
def test_an_attack_out_of_silence_begins_at_its_first_loud_sample(tmp_path: Path, name: str) -> None:
    frames = places()
    found = heard_in(tmp_path, laid(5.6, [(frame, name) for frame in frames]))
    assert all(-4 <= late <= 0 for late in off(found, frames))
    assert found.onsets.dtype == np.int64
    assert found.strengths_db.min() > 10.0


@pytest.mark.parametrize("rate", [8000, 11025, 48_000, 192_000])
@pytest.mark.parametrize("channels", [1, 8])
def test_rates_and_channels_make_no_difference(tmp_path: Path, rate: int, channels: int) -> None:
    frames = places(rate, 6)
    time = np.arange(round(3.2 * rate)) / rate
    pad = 0.05 * np.sin(2 * np.pi * 220 * time) + 0.03 * np.sin(2 * np.pi * 331 * time)
    found = heard_in(tmp_path, laid(3.2, [(frame, "click") for frame in frames], rate) + pad, channels, rate)
    assert all(-2 <= late <= 0 for late in off(found, frames))


def test_what_cancels_in_mono_is_heard(tmp_path: Path) -> None:
    frames = places()
    sound = laid(5.6, [(frame, "click") for frame in frames])
    soundfile.write(tmp_path / "wide.wav", np.stack([sound, -sound], axis=1), RATE, subtype="FLOAT")
    assert all(-2 <= late <= 0 for late in off(heard(tmp_path / "wide.wav"), frames))


def test_attacks_are_found_in_noise_and_over_held_chords(tmp_path: Path) -> None:
    frames = places()
    rng = np.random.default_rng(3)
    sound = laid(5.6, [(frame, "snare") for frame in frames])
    time = np.arange(len(sound)) / RATE
    chord = sum(0.05 * np.sin(2 * np.pi * freq_hz * time) for freq_hz in (110.0, 138.6, 164.8, 440.5))
    found = heard_in(tmp_path, sound + chord + 0.003 * rng.standard_normal(len(sound)))
    assert all(-4 <= late <= 30 for late in off(found, frames))


def test_a_note_that_swells_begins_within_milliseconds(tmp_path: Path) -> None:
    frames = places()
    sound = np.zeros(round(5.6 * RATE))
    time = np.arange(round(0.3 * RATE)) / RATE
    note = sum(np.sin(2 * np.pi * 220 * part * time) / part for part in range(1, 9))
    for frame in frames:
        sound[frame : frame + len(time)] += 0.2 * note * np.minimum(1.0, time / 0.02) * np.exp(-14 * time)
    found = heard_in(tmp_path, sound)
    assert all(0 <= late <= 0.005 * RATE for late in off(found, frames))


def test_flams_thirty_milliseconds_apart_are_two(tmp_path: Path) -> None:
    frames = [frame + extra for frame in places() for extra in (0, round(0.03 * RATE))]
    found = heard_in(tmp_path, laid(5.6, [(frame, "click") for frame in frames]))
    assert np.abs(np.array(off(found, frames))).max() < 30


def steady_sounds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    time = np.arange(10 * RATE) / RATE
    swing = np.sin(2 * np.pi * 5.5 * time)
    return {
        "silence": np.zeros(len(time)),
        "tone": 0.5 * np.sin(2 * np.pi * 440 * time),
        "low tone": 0.5 * np.sin(2 * np.pi * 41 * time),
        "vibrato": 0.4 * np.sin(2 * np.pi * 440 * time + 20 * swing),
        "tremolo": 0.4 * np.sin(2 * np.pi * 440 * time) * (1 + 0.5 * swing),
        "white noise": 0.1 * rng.standard_normal(len(time)),
        "the last bit": np.rint(0.7 * rng.standard_normal(len(time))) / 32768,
        "fade in": 0.4 * np.sin(2 * np.pi * 300 * time) * time / 10,
    }


@pytest.mark.parametrize("name", list(steady_sounds()))
def test_nothing_begins_in_what_goes_on(tmp_path: Path, name: str) -> None:
    found = heard_in(tmp_path, steady_sounds()[name])
    assert not len(found.onsets)
    assert len(found.envelope) == len(found.low) == -(-10 * RATE // found.hop)


def test_a_file_may_begin_and_end_with_an_attack(tmp_path: Path) -> None:
    frames = [0, RATE, 2 * RATE - 2000]
    assert off(heard_in(tmp_path, laid(2.0, [(frame, "click") for frame in frames])), frames) == [0, 0, 0]


@pytest.mark.parametrize("frames", [1, 2, 100, 1500])
def test_files_shorter_than_a_window_hold_nothing(tmp_path: Path, frames: int) -> None:
    found = heard_in(tmp_path, np.full(frames, 0.3), channels=1)
    assert not len(found.onsets)
    assert found.frames == frames


def test_blocks_do_not_show(tmp_path: Path) -> None:
    """Attacks around the borders of the blocks that a file is read in are found like any other."""
    frames = [65_536 * n + late for n in range(1, 5) for late in (-3000, 0, 5000)]
    found = heard_in(tmp_path, laid(7.0, [(frame, "click") for frame in frames]))
    assert off(found, frames) == [0] * len(frames)


def test_louder_attacks_have_higher_levels(tmp_path: Path) -> None:
    frames = places()
    sound = np.zeros(round(5.6 * RATE))
    for number, frame in enumerate(frames):
        part = ring(900.0, 60.0) * (1.0 if number % 2 else 0.1)
        sound[frame : frame + len(part)] += part
    found = heard_in(tmp_path, sound)
    assert np.allclose(found.levels_db[1::2] - found.levels_db[::2], 20.0, atol=0.5)


def test_a_sample_that_is_no_number_is_refused(tmp_path: Path) -> None:
    sound = laid(2.0, [(RATE, "click")])
    sound[12_345] = np.nan
    with pytest.raises(UnbakeError, match=r"NaN at 0:00\.279"):
        heard_in(tmp_path, sound)


def test_real_drums_are_found_in_their_mix(data: Path) -> None:
    """Of the strong hits of real drum stems nearly all are found in the mix, within a few milliseconds."""
    found, total = 0, 0
    for song in ("eif-caesium", "eif-sodium", "trackswitch"):
        drums, mix = (heard(data / "multitracks" / song / f"{name}.flac") for name in ("drums", "mixture"))
        strong = drums.onsets[drums.strengths_db > 12.0]
        away = np.abs(strong[:, None] - mix.onsets[None, :]).min(axis=1)
        found, total = found + int((away < 0.01 * RATE).sum()), total + len(strong)
    assert total > 60
    assert found >= 0.93 * total


def test_real_ambience_begins_nowhere(data: Path) -> None:
    """An orchestra that plays legato, 95 s of it, has few attacks."""
    assert len(heard(data / "masters" / "wesnoth_love_theme.flac").onsets) < 30
