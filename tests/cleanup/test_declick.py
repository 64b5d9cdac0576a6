"""Clicks and crackle: found where they are, filled from around, and nothing else touched."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.prediction import fill, grid
from core.cleanup.steps import cleaner
from core.events import finish
from core.session.cleaning import CleanupStep, Declick, Decrackle

RATE = 44_100


def carried_out(folder: Path, sound: np.ndarray, step: CleanupStep, rate: int = RATE) -> tuple[Finding, np.ndarray]:
    """What a step finds in [frames] or [frames, channels], and what it makes of it, [frames, channels]."""
    path = folder / "sound.wav"
    soundfile.write(path, sound, rate, subtype="DOUBLE")
    with open_reader(path) as reader, warnings.catch_warnings():
        warnings.simplefilter("error")
        worker = cleaner(reader, step)
        found = finish(worker.find())
        return found, np.concatenate(list(worker.blocks()), axis=1).T


def song(seconds: float, rate: int = RATE, seed: int = 1) -> np.ndarray:
    """A chord, a plucked string twice a second and a little noise: [frames]."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    chord = sum(0.06 * np.sin(2 * np.pi * hertz * time) for hertz in (110.0, 164.8, 220.5, 331.0))
    age = time % 0.5
    pluck = sum(0.1 / n * np.sin(2 * np.pi * 247 * n * age) * np.exp(-6 * n * age) for n in range(1, 9))
    return chord + pluck + 0.002 * rng.standard_normal(len(time))


def bursts(sound: np.ndarray, places: list[int], seed: int = 2, scale: float = 1.0) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    spans = []
    for place in places:
        size = max(2, round(int(rng.integers(5, 61)) * scale))
        sound[place : place + size] += 0.25 * rng.standard_normal(size)
        spans.append((place, place + size))
    return spans


def hits(found: Finding, spans: list[tuple[int, int]]) -> int:
    return sum(any(one.first < last and one.last > first for one in found.places) for first, last in spans)


def test_clicks_are_found_and_all_else_is_exact(tmp_path: Path) -> None:
    clean = song(20.0)
    sound = clean.copy()
    spans = bursts(sound, [RATE // 3 + n * 17_321 for n in range(45)])
    found, done = carried_out(tmp_path, sound, Declick())
    assert hits(found, spans) >= 44
    assert found.figures["clicks"] <= 46
    touched = np.zeros(len(sound), dtype=bool)
    for place in found.places:
        touched[place.first : place.last] = True
    assert np.array_equal(done[~touched, 0], sound[~touched])
    gains = [
        10 * np.log10(np.square(sound - clean)[first:last].sum() / np.square(done[:, 0] - clean)[first:last].sum())
        for first, last in spans
    ]
    assert np.median(gains) > 25.0


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000, 96_000, 192_000])
def test_any_rate(tmp_path: Path, rate: int) -> None:
    sound = song(4.0, rate)
    spans = bursts(sound, [round((0.4 + 0.37 * n) * rate) for n in range(9)], scale=rate / RATE)
    found, _ = carried_out(tmp_path, sound, Declick(), rate)
    assert hits(found, spans) >= 8


def test_one_channel_of_six_is_repaired_alone(tmp_path: Path) -> None:
    sound = np.stack([np.roll(song(4.0), 97 * n) for n in range(6)], axis=1)
    damaged = sound.copy()
    channel = damaged[:, 3].copy()
    spans = bursts(channel, [40_000, 90_000])
    damaged[:, 3] = channel
    found, done = carried_out(tmp_path, damaged, Declick())
    assert {place.channel for place in found.places} == {3}
    assert hits(found, spans) == 2
    others = [0, 1, 2, 4, 5]
    assert np.array_equal(done[:, others], sound[:, others])


def test_a_dropout_and_a_bad_splice_are_clicks(tmp_path: Path) -> None:
    clean = song(6.0)
    sound = np.concatenate([clean[:100_000], clean[100_150:]])
    loud = 200_000 + int(np.argmax(np.abs(sound[200_000:200_400])))
    lost = slice(loud - 20, loud + 20)
    whole = sound[lost].copy()
    sound[lost] = 0.0
    found, done = carried_out(tmp_path, sound, Declick(sensitivity=7.0))
    assert any(place.first <= lost.start and place.last >= lost.stop for place in found.places)
    assert np.square(done[lost, 0] - whole).sum() < 0.05 * np.square(whole).sum()
    assert hits(found, [(99_996, 100_004)]) == 1


def test_parameters_matter(tmp_path: Path) -> None:
    sound = song(6.0)
    rng = np.random.default_rng(4)
    sound[100_000:100_150] += 0.4 * rng.standard_normal(150)
    sound[200_000:200_012] += 0.02 * rng.standard_normal(12)
    assert not hits(carried_out(tmp_path, sound, Declick())[0], [(100_000, 100_150)])
    assert hits(carried_out(tmp_path, sound, Declick(longest_ms=5.0))[0], [(100_000, 100_150)])
    sound[50_000:50_020] += 0.4 * rng.standard_normal(20)
    counts = [carried_out(tmp_path, sound, Declick(sensitivity=value))[0].figures["clicks"] for value in (0, 9)]
    assert counts[0] < counts[1]


def test_a_faint_click_alone_is_not_believed(tmp_path: Path) -> None:
    sound = song(6.0)
    sound[200_000:200_012] += 0.012 * np.random.default_rng(4).standard_normal(12)
    found, done = carried_out(tmp_path, sound, Declick())
    assert not found.found
    assert np.array_equal(done[:, 0], sound)
    assert "faint" in carried_out(tmp_path, sound, Declick(sensitivity=7.0))[0].detail


def test_filling_a_gap_in_a_chord_gives_back_the_chord() -> None:
    time = np.arange(8000) / RATE
    sound = sum(np.sin(2 * np.pi * hertz * time + n) for n, hertz in enumerate((220.0, 523.3, 1244.5)))
    assert isinstance(sound, np.ndarray)
    filled = fill(np.where((time * RATE > 3999.5) & (time * RATE < 4059.5), 0.0, sound), 4000, 4060, grid(RATE))
    assert np.abs(filled - sound[4000:4060]).max() < 0.02


def attacks() -> np.ndarray:
    """Drums and plucked strings, hard and dry, which are all music."""
    rng = np.random.default_rng(5)
    time = np.arange(12 * RATE) / RATE
    age = time % 0.5
    kick = 0.6 * np.sin(2 * np.pi * (50 * age + 12 * (1 - np.exp(-30 * age)))) * np.exp(-12 * age)
    hat = 0.2 * rng.standard_normal(len(time)) * np.exp(-60 * (time % 0.125))
    return 0.7 * (kick + hat) + song(12.0)


def test_attacks_are_no_clicks(tmp_path: Path) -> None:
    sound = attacks()
    found, done = carried_out(tmp_path, sound, Declick())
    assert not found.found
    assert np.array_equal(done[:, 0], sound)


ODD = {
    "one sample": np.full(1, 0.5),
    "forty samples": np.linspace(-1, 1, 40),
    "silence": np.zeros(30_000),
    "dc": np.full(30_000, 0.7),
    "square": np.where(np.arange(60_000) % 100 < 50, 1.0, -1.0),
    "all clipped": np.clip(20 * song(1.5), -1, 1),
    "beyond full scale": 9.0 * song(1.5),
    "six channels": np.stack([song(1.2)] * 6, axis=1),
    "an impulse in silence": np.where(np.arange(30_000) == 15_000, 1.0, 0.0),
}


@pytest.mark.parametrize("step", [Declick(), Declick(sensitivity=10.0), Decrackle(), Decrackle(sensitivity=10.0)])
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("rate", [8000, 192_000])
def test_odd_input_goes_through(tmp_path: Path, step: CleanupStep, name: str, rate: int) -> None:
    sound = ODD[name]
    _, done = carried_out(tmp_path, sound, step, rate)
    assert done.shape == sound.reshape(len(sound), -1).shape
    assert np.isfinite(done).all()


def crackle(frames: int, often: float, level: float, seed: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ticks = np.zeros(frames)
    for first in rng.integers(50, frames - 50, int(often * frames / RATE)):
        size = int(rng.integers(1, 6))
        ticks[first : first + size] += level * rng.standard_normal(size)
    return ticks


@pytest.mark.parametrize("often", [30.0, 300.0])
def test_crackle_goes(tmp_path: Path, often: float) -> None:
    clean = song(6.0)
    sound = clean + crackle(len(clean), often, 0.05)
    found, done = carried_out(tmp_path, sound, Decrackle())
    assert found.found
    before, after = np.square(sound - clean).sum(), np.square(done[:, 0] - clean).sum()
    assert 10 * np.log10(before / after) > 6.0


def test_hiss_and_hard_attacks_are_no_crackle(tmp_path: Path) -> None:
    hiss = 0.02 * np.random.default_rng(7).standard_normal(10 * RATE)
    for sound in (hiss, attacks()):
        assert not carried_out(tmp_path, sound, Decrackle())[0].found


def waveform(freq_hz: float, kind: str, seconds: float) -> np.ndarray:
    """A saw or a square without aliases, which has a spike in every period: [frames]."""
    time = np.arange(round(seconds * RATE)) / RATE
    step = 2 if kind == "square" else 1
    numbers = range(1, int(19_000 / freq_hz), step)
    return 0.3 * np.sum([np.sin(2 * np.pi * freq_hz * n * time) / n for n in numbers], axis=0)


@pytest.mark.parametrize(("kind", "notes_hz"), [("square", [440.0]), ("saw", [110.0]), ("saw", [220, 262, 330, 440])])
def test_the_waveform_of_a_pitch_is_no_crackle(tmp_path: Path, kind: str, notes_hz: list[float]) -> None:
    attack = np.minimum(1.0, np.arange(RATE) / 441)
    sound = np.concatenate(
        [waveform(note_hz, kind, 1.0) * attack * attack[::-1] for _ in range(2) for note_hz in notes_hz]
    )
    assert not carried_out(tmp_path, sound, Decrackle())[0].found
    crackling = sound + crackle(len(sound), 100.0, 0.1)
    assert carried_out(tmp_path, crackling, Decrackle())[0].found


def test_a_file_that_ends_in_an_attack_has_no_click_there(tmp_path: Path) -> None:
    sound = attacks()
    first = int(np.flatnonzero(np.abs(sound) > 0.05)[0])
    for cut in (5, 30):
        # another attack begins so shortly before the end that nothing of it is heard behind it
        assert not carried_out(tmp_path, sound[first + cut :][:RATE], Declick())[0].found


@pytest.mark.parametrize("name", ["eif-lithium", "eif-potassium", "fof-sectoid-metal_madness", "synth-hobo"])
def test_real_music(tmp_path: Path, data: Path, name: str) -> None:
    clean, rate = soundfile.read(data / "multitracks" / name / "mixture.flac", always_2d=True)
    assert not carried_out(tmp_path, clean[: 12 * rate], Declick(), rate)[0].found
    assert not carried_out(tmp_path, clean[: 12 * rate], Decrackle(), rate)[0].found
    mono = clean[: 12 * rate, 0].copy()
    rng = np.random.default_rng(8)
    spans = []
    for place in range(rate, 11 * rate, rate // 2):
        size = int(rng.integers(5, 61))
        peak = np.abs(mono[place - 441 : place + 441]).max()
        burst = rng.standard_normal(size)
        mono[place : place + size] += burst * max(peak, 0.05) / np.abs(burst).max()
        spans.append((place, place + size))
    found, _ = carried_out(tmp_path, mono, Declick(), rate)
    assert hits(found, spans) >= 0.8 * len(spans)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    sound = song(5.0)
    bursts(sound, [50_000, 120_000])
    first, second = (carried_out(tmp_path, sound, Declick())[1] for _ in range(2))
    assert np.array_equal(first, second)
