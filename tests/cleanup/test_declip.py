"""Declipping: what was clipped is found and made anew, everything else is left bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from core.audio.read import open_reader, read_all
from core.cleanup.cleaner import MOST_PLACES, Finding
from core.cleanup.declip import Declipper
from core.cleanup.steps import cleaner
from core.events import finish
from core.measure.inspect import inspect_file
from core.session.cleaning import Declip

RATE = 44_100
Samples = NDArray[np.float64]


class Outcome(NamedTuple):
    finding: Finding
    was: Samples
    now: Samples


def declipped(
    path: Path, sound: Samples, *, rate: int = RATE, subtype: str = "FLOAT", level_dbfs: float = 0.0
) -> Outcome:
    """Writes float64 [frames] or [channels, frames] to a file, looks for clipping, and reads what comes out."""
    soundfile.write(path, np.atleast_2d(sound).T, rate, subtype=subtype)
    with open_reader(path) as reader:
        step = cleaner(reader, Declip(level_dbfs=level_dbfs))
        assert isinstance(step, Declipper)
        finding = finish(step.find())
        now = np.concatenate(list(step.blocks()), axis=1)
    was = read_all(path)
    assert now.shape == was.shape
    assert now.dtype == np.float64
    assert np.isfinite(now).all()
    return Outcome(finding, was, now)


def chord(seconds: float = 1.0, rate: int = RATE) -> Samples:
    """Decaying partials as of a piano, struck every second: peaks at 1.0."""
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    rng = np.random.default_rng(6)
    for freq_hz in (110.0, 138.6, 164.8, 220.0):
        for partial in range(1, 8):
            sound += (
                np.exp(-0.6 * partial * (time % 1.0))
                / partial**1.3
                * np.sin(2 * np.pi * freq_hz * partial * time + rng.uniform(0.0, 6.3))
            )
    sound *= np.minimum(1.0, (time % 1.0) / 0.005)
    return sound / np.abs(sound).max()


def level_of(sound: Samples, share: float) -> float:
    """The level over which that share of the samples lies."""
    return float(np.quantile(np.abs(sound), 1.0 - share))


def sdr_db(true: Samples, found: Samples, over: NDArray[np.bool_]) -> float:
    return float(10 * np.log10(np.square(true[over]).sum() / np.square((true - found)[over]).sum()))


def gain_db(true: Samples, outcome: Outcome, over: NDArray[np.bool_], channel: int = 0) -> float:
    """By how much the SDR over the clipped samples rose."""
    before, after = (sdr_db(true, sound[channel], over) for sound in (outcome.was, outcome.now))
    return after - before


def excerpt(path: Path, start: float, seconds: float) -> Samples:
    with soundfile.SoundFile(path) as file:
        file.seek(round(start * file.samplerate))
        sound = file.read(round(seconds * file.samplerate), always_2d=True)[:, 0]
    return sound / np.abs(sound).max()


@pytest.mark.parametrize("share", [0.01, 0.02, 0.04, 0.08])
def test_tones_gain_12_db(tmp_path: Path, share: float) -> None:
    sound = chord()
    level = level_of(sound, share)
    over = np.abs(sound) > level
    outcome = declipped(tmp_path / "a.wav", np.clip(sound, -level, level))
    assert outcome.finding.found
    assert outcome.finding.confidence > 0.8
    assert gain_db(sound, outcome, over) > 12.0
    assert abs(outcome.finding.figures["clipped_samples"] - over.sum()) < 0.01 * over.sum() + 3


MISSED = pytest.mark.xfail(strict=True, reason="12 dB on all that is tonal is the aim, and missed here")


@pytest.mark.parametrize(
    ("name", "start", "share", "least_db"),
    [
        ("masters/wesnoth_love_theme.flac", 40.0, 0.01, 18.0),
        ("masters/wesnoth_love_theme.flac", 40.0, 0.06, 18.0),
        ("masters/singularity_Awakening.flac", 20.0, 0.04, 12.0),
        ("multitracks/fof-sectoid-feelings/guitar.flac", 8.0, 0.08, 15.0),
        ("multitracks/eif-lithium/bass.flac", 10.0, 0.04, 12.0),
        ("multitracks/eif-lithium/vocals.flac", 4.0, 0.01, 12.0),
        pytest.param("masters/wesnoth_love_theme.flac", 60.0, 0.08, 12.0, marks=MISSED),
        pytest.param("multitracks/synth-hobo/bass.flac", 4.0, 0.04, 12.0, marks=MISSED),
        pytest.param("multitracks/waveform-playlist/vocals.flac", 4.0, 0.04, 12.0, marks=MISSED),
        ("multitracks/trackswitch/drums.flac", 4.0, 0.08, 0.0),
        ("multitracks/eif-lithium/drums.flac", 4.0, 0.02, 0.0),
    ],
)
def test_real_sound_gains(data: Path, tmp_path: Path, name: str, start: float, share: float, least_db: float) -> None:
    sound = excerpt(data / name, start, 2.0)
    level = level_of(sound, share)
    outcome = declipped(tmp_path / "a.wav", np.clip(sound, -level, level) / level, subtype="PCM_16")
    assert gain_db(sound / level, outcome, np.abs(sound) > level) > least_db


def test_what_was_not_clipped_is_exact_and_what_was_is_beyond(tmp_path: Path) -> None:
    sound = chord() * 1.4
    outcome = declipped(tmp_path / "a.wav", np.clip(sound, -0.9, 0.9), subtype="PCM_24")
    was, now = outcome.was[0], outcome.now[0]
    over = np.abs(was) >= np.abs(was).max() - 2.0**-22  # libsndfile rounds down
    assert np.array_equal(was[~over], now[~over])
    assert (now[over] * np.sign(was[over]) >= np.abs(was[over])).all()
    assert np.abs(now).max() > 1.2
    assert outcome.finding.figures["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(now).max()), abs=1.0)


@pytest.mark.parametrize("kind", ["turned down", "dither", "offset", "high-passed", "asymmetric", "knee"])
def test_clipping_is_found_however_it_was_treated_since(tmp_path: Path, kind: str) -> None:
    sound = chord(1.0)
    rng = np.random.default_rng(3)
    level = level_of(sound, 0.03)
    over = np.abs(sound) > level
    clipped, true, subtype = np.clip(sound, -level, level), sound, "FLOAT"
    if kind == "turned down":
        clipped, true = 0.7079 * clipped, 0.7079 * true
    elif kind == "dither":
        clipped = np.rint(clipped * 32768 + rng.random(len(sound)) - rng.random(len(sound))) / 32768
        subtype = "PCM_16"
    elif kind == "offset":
        clipped, true = clipped + 0.03, true + 0.03
    elif kind == "high-passed":
        # a constant offset taken away after clipping: the levels differ by it
        clipped, true = clipped - clipped.mean() - 0.02, true - clipped.mean() - 0.02
    elif kind == "asymmetric":
        over = (sound > level) | (sound < -1.2 * level)
        clipped = np.clip(sound, -1.2 * level, level)
    elif kind == "knee":
        corner, rest = 0.9 * level, 0.1 * level
        soft = corner + rest * np.tanh((np.abs(sound) - corner) / rest)
        clipped = np.where(np.abs(sound) > corner, np.sign(sound) * soft, sound)
    outcome = declipped(tmp_path / "a.wav", clipped, subtype=subtype)
    assert outcome.finding.found
    assert gain_db(true, outcome, over) > (4.0 if kind == "knee" else 14.0)


def test_one_channel_of_two(tmp_path: Path) -> None:
    sound = chord()
    outcome = declipped(tmp_path / "a.wav", np.stack([0.8 * sound, np.clip(sound, -0.6, 0.6)]))
    assert np.array_equal(outcome.was[0], outcome.now[0])
    assert gain_db(sound, outcome, np.abs(sound) > 0.6, channel=1) > 16.0
    assert {place.channel for place in outcome.finding.places} == {1}
    for place in outcome.finding.places:
        assert 0 <= place.first < place.last <= len(sound)


def test_levels_that_change_are_followed(tmp_path: Path) -> None:
    sound = chord(2.0)
    parts = [np.clip(sound, -0.6, 0.6), 0.5 * np.clip(sound, -0.7, 0.7), 0.3 * sound]
    outcome = declipped(tmp_path / "a.wav", np.concatenate(parts), subtype="PCM_16")
    changed = (outcome.was != outcome.now)[0].reshape(3, -1).sum(axis=1)
    over = [(np.abs(sound) > 0.6).sum(), (np.abs(sound) > 0.7).sum()]
    assert changed[0] > 0.9 * over[0]
    assert changed[1] > 0.6 * over[1]
    assert changed[2] == 0


def test_a_level_that_is_given_holds_whatever_is_measured(tmp_path: Path) -> None:
    sound = 0.9 * chord()
    outcome = declipped(tmp_path / "a.wav", sound, level_dbfs=-3.0)
    over = np.abs(outcome.was[0]) >= 10 ** (-3 / 20)
    assert outcome.finding.found
    assert outcome.finding.figures["clipped_samples"] == over.sum()
    assert np.array_equal(outcome.was[0][~over], outcome.now[0][~over])
    assert (outcome.was[0][over] != outcome.now[0][over]).any()
    quiet = declipped(tmp_path / "b.wav", 0.1 * sound, level_dbfs=-3.0)
    assert not quiet.finding.found
    assert "-3 dBFS" in quiet.finding.detail


def test_what_is_proposed_does_the_same(tmp_path: Path) -> None:
    sound = np.clip(chord(0.5), -0.6, 0.6)
    found = declipped(tmp_path / "a.wav", sound)
    level_dbfs = found.finding.proposal["level_dbfs"]
    assert isinstance(level_dbfs, float)
    told = declipped(tmp_path / "a.wav", sound, level_dbfs=level_dbfs)
    assert np.array_equal(found.now, told.now)


def noise(frames: int = 60_000) -> Samples:
    return np.random.default_rng(4).standard_normal(frames)


def tone(freq_hz: float, frames: int = 90_000, rate: int = RATE) -> Samples:
    return np.sin(2 * np.pi * freq_hz * np.arange(frames) / rate)


UNTOUCHED = {
    "one sample": np.ones(1),
    "five samples": np.full(5, -1.0),
    "shorter than a frame": 0.5 * tone(440.0, 300),
    "silence": np.zeros(70_000),
    "full-scale offset": np.ones(70_000),
    "square wave": np.sign(tone(50.0) + 1e-9),
    "pulses": np.where(tone(110.0) > 0.8, 0.9, -0.1),
    "all clipped": np.clip(50.0 * noise(), -1.0, 1.0),
    "ten times over": np.clip(10.0 * tone(50.0), -1.0, 1.0),
    "full-scale tone": tone(440.0),
    "low tone": tone(30.0) * 32767 / 32768,
    "quiet low tone": 0.01 * tone(30.0),
    "flattened by its third harmonic": 0.8 * tone(100.0) + 0.8 / 9 * tone(300.0),
    "beyond full scale": 1.8 * tone(440.0) + 0.4 * tone(331.0),
    "noise": 0.2 * noise(),
}


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
@pytest.mark.parametrize("name", UNTOUCHED)
@pytest.mark.filterwarnings("error")
def test_nothing_is_changed(tmp_path: Path, name: str, subtype: str) -> None:
    if name == "beyond full scale" and subtype != "FLOAT":
        pytest.skip("would be clipped")
    outcome = declipped(tmp_path / "a.wav", UNTOUCHED[name], subtype=subtype)
    assert not outcome.finding.found
    assert outcome.finding.confidence < 0.5
    assert outcome.finding.places == ()
    assert np.array_equal(outcome.was, outcome.now)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rate", [8000, 48_000])
@pytest.mark.parametrize("channels", [1, 6])
def test_rates_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    sound = 1.6 * chord(0.25, rate)
    outcome = declipped(tmp_path / "a.wav", np.clip(np.tile(sound, (channels, 1)), -1.2, 1.2), rate=rate)
    over = np.abs(sound) > 1.2
    assert all(gain_db(sound, outcome, over, channel) > 10.0 for channel in range(channels))


@pytest.mark.parametrize("level_dbfs", [-60.0, -20.0, -6.0])
@pytest.mark.filterwarnings("error")
def test_absurd_levels_stay_stable(tmp_path: Path, level_dbfs: float) -> None:
    sound = np.concatenate([0.2 * noise(30_000), chord(0.7)])
    outcome = declipped(tmp_path / "a.wav", sound, level_dbfs=level_dbfs)
    assert np.abs(outcome.now).max() <= 8.0 * np.abs(outcome.was).max()


def test_runs_too_long_are_left_and_told(tmp_path: Path) -> None:
    sound = np.clip(1.3 * chord(), -0.9, 0.9)
    sound[20_000:22_000] = 0.9
    outcome = declipped(tmp_path / "a.wav", sound)
    assert np.array_equal(outcome.was[0, 20_000:22_000], outcome.now[0, 20_000:22_000])
    assert outcome.finding.figures["left_samples"] >= 2000
    assert "left" in outcome.finding.detail


@pytest.mark.parametrize(
    "name",
    [
        "masters/singularity_Awakening.flac",
        "mixes/Kevin_MacLeod_-_Vibe_Ace.hq.ogg",
        "mixes/demucs_test.mp3",
        "multitracks/eif-sodium/bass.flac",
        "multitracks/eif-sodium/drums.flac",
        "multitracks/waveform-playlist/vocals.flac",
        "multitracks/synth-hobo/bass.flac",
        "speech/3436-172162-0000.hq.ogg",
        "speech/dfn_noise_freesound_573577.flac",
    ],
)
def test_nothing_is_found_in_sound_that_was_not_clipped(data: Path, name: str) -> None:
    with open_reader(data / name) as reader:
        finding = finish(Declipper(reader, Declip()).find())
    assert not finding.found
    assert finding.confidence < 0.5


def test_the_report_on_a_file_says_the_same(data: Path, tmp_path: Path) -> None:
    sound = excerpt(data / "multitracks" / "eif-lithium" / "mixture.flac", 4.0, 1.5)
    for share in (0.0, 0.001, 0.02):
        level = level_of(sound, share)
        outcome = declipped(tmp_path / "a.wav", np.clip(sound, -level, level) * 0.7, subtype="PCM_16")
        faults = finish(inspect_file(tmp_path / "a.wav")).faults
        assert outcome.finding.found == (share > 0.0) == any(fault.kind == "clipping" for fault in faults)


def test_same_bits_with_one_thread_and_two(tmp_path: Path) -> None:
    sound = np.clip(chord(0.4), -0.5, 0.5)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(declipped(tmp_path / "a.wav", sound).now)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(found[0], found[1])


def test_places_are_capped_and_counted(tmp_path: Path) -> None:
    rate = 8000
    sound = np.zeros(1100 * 1600)
    burst = np.clip(1.4 * np.hanning(200) * tone(200.0, 200, rate), -0.8, 0.8)
    for start in range(0, len(sound), 1600):
        sound[start : start + 200] = burst
    soundfile.write(tmp_path / "a.wav", sound, rate, subtype="PCM_16")
    with open_reader(tmp_path / "a.wav") as reader:
        finding = finish(Declipper(reader, Declip()).find())
    assert len(finding.places) == MOST_PLACES
    assert finding.figures["regions"] == 1100
    assert [place.first for place in finding.places] == sorted(place.first for place in finding.places)
