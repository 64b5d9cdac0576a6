"""Diagnosis and measured presets from the command line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.session import presets
from core.session.processors import Bell
from tests.diagnosis.diagnosis_sounds import RATE, STEMS, bass_line, beats, pad, treated, voice

FAULT = Bell(freq_hz=220.0, gain_db=11.0, q=0.8)


@pytest.fixture(scope="module")
def muddy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song with a fault on its bass, the true stems beside it, and the song without the fault."""
    folder = tmp_path_factory.mktemp("muddy")
    stems = dict(zip(STEMS, (voice(), beats(), bass_line(), pad()), strict=True))
    soundfile.write(folder / "clean.wav", 0.5 * np.sum(list(stems.values()), axis=0).T, RATE, subtype="FLOAT")
    stems["bass"] = treated(stems["bass"], FAULT)
    (folder / "stems").mkdir()
    for name, sound in stems.items():
        soundfile.write(folder / "stems" / f"{name}.wav", 0.5 * sound.T, RATE, subtype="FLOAT")
    soundfile.write(folder / "song.wav", 0.5 * np.sum(list(stems.values()), axis=0).T, RATE, subtype="FLOAT")
    return folder


def test_a_diagnosis_tells_figures_places_and_presets(unbake, muddy: Path) -> None:
    done = unbake("diagnose", muddy / "song.wav", "--stems-from", muddy / "stems", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["schema"] == 1
    assert found["estimated"] is False
    by_kind = {(finding["kind"], finding["strip"]): finding for finding in found["findings"]}
    mud = by_kind["low_mid_excess", "bass"]
    assert mud["found"]
    assert "muddy-low-end" in mud["presets"]
    assert 0.0 <= mud["from_seconds"] < mud["to_seconds"] <= 12.0
    names = {preset.name for preset in presets.built_in()}
    for finding in found["findings"]:
        assert {"value", "unit", "limit", "detail"} <= set(finding)
        assert set(finding["presets"]) <= names
        assert finding["found"] or not finding["presets"]
    places = [finding["found"] for finding in found["findings"]]
    assert places == sorted(places, reverse=True), "findings come first"
    assert sorted(path.name for path in muddy.iterdir()) == ["clean.wav", "song.wav", "stems"], "nothing is written"


def test_in_words_what_is_within_limits_is_told_when_asked(unbake, muddy: Path) -> None:
    words = ("diagnose", muddy / "song.wav", "--stems-from", muddy / "stems")
    brief, whole = unbake(*words).out, unbake(*words, "--all").out
    assert "low_mid_excess  bass" in brief
    assert "-> muddy-low-end" in brief
    assert "(mono_loss)" in whole
    assert "mono_loss" not in brief


def test_a_measured_preset_says_each_value_and_its_session_renders_the_same(
    unbake, muddy: Path, tmp_path: Path
) -> None:
    session, out = tmp_path / "song.unbake.toml", tmp_path / "out.wav"
    words = ("--stems-from", muddy / "stems", "--session", session, "-o", out)
    done = unbake("repair", muddy / "song.wav", "--preset", "muddy-low-end", *words, "--json")
    assert done.code == 0, done.err
    assert "strips.bass.chain[0]: freq_hz = " in done.err
    assert "strips.other.chain[0]: the build-up is more likely on the bass alone; nothing is done" in done.err
    assert done.json["changed"] == ["bass"]
    gain = next(each for each in done.json["fitted"] if each["path"] == "strips.bass.chain[0].gain_db")
    assert gain["value"] < -2.0
    assert gain["why"]
    assert "fit" not in session.read_text(), "the session holds plain values"
    clean, muddled, repaired = (soundfile.read(path)[0] for path in (muddy / "clean.wav", muddy / "song.wav", out))
    assert np.sum((repaired - clean) ** 2) < 0.6 * np.sum((muddled - clean) ** 2)
    again = tmp_path / "again.wav"
    assert unbake("render", session, "-o", again).code == 0
    assert again.read_bytes() == out.read_bytes()


def test_with_a_reference_it_comes_nearer(unbake, muddy: Path, tmp_path: Path) -> None:
    clean, muddled = (soundfile.read(muddy / f"{name}.wav")[0] for name in ("clean", "song"))
    left = []
    for name, more in (("without", ()), ("with", ("--reference", muddy / "clean.wav"))):
        words = ("--stems-from", muddy / "stems", "--session", tmp_path / f"{name}.unbake.toml")
        out = tmp_path / f"{name}.wav"
        done = unbake("repair", muddy / "song.wav", "--preset", "muddy-low-end", *words, "-o", out, *more)
        assert done.code == 0, done.err
        left.append(np.sum((soundfile.read(out)[0] - clean) ** 2) / np.sum((muddled - clean) ** 2))
    assert left[1] < 0.2
    assert left[1] < left[0]


def test_nothing_to_repair_is_left_bit_for_bit(unbake, muddy: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros((30_000, 2)), RATE, subtype="PCM_24")
    (tmp_path / "stems").mkdir()
    for name in STEMS:
        soundfile.write(tmp_path / "stems" / f"{name}.wav", np.zeros((30_000, 2)), RATE, subtype="FLOAT")
    fitted = [preset.name for preset in presets.built_in() if preset.fits and preset.name != "vocal-lift"]
    for name in fitted:
        out = tmp_path / f"{name}.wav"
        words = ("--stems-from", tmp_path / "stems", "--session", tmp_path / f"{name}.unbake.toml", "-o", out)
        done = unbake("repair", silent, "--preset", name, *words, "--json")
        assert done.code == 0, done.err
        assert done.json["changed"] == [], name
        assert done.json["certificate"]["identical"] is True


def test_what_can_not_be_asked_is_one_line(unbake, muddy: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros((5000, 2)), RATE)
    song, stems = muddy / "song.wav", muddy / "stems"
    out = tmp_path / "out.wav"
    cases = [
        (("diagnose", tmp_path / "none.wav"), "no such file"),
        (("diagnose", song, "--stems-from", stems, "--model", "starter"), "exclude each other"),
        (("diagnose", song, "--stems-from", stems, "--precision", "bf16"), "--precision is about stems made here"),
        (("diagnose", song, "--stems-from", stems, "--reference", tmp_path / "none.wav"), "none.wav"),
        (("diagnose", song, "--stems-from", stems, "--reference", tmp_path / "silent.wav"), "can't be a reference"),
        (
            ("repair", song, "--preset", "tame-drums", "--stems-from", stems, "--reference", song, "-o", out),
            "preset tame-drums measures nothing",
        ),
    ]
    for words, complaint in cases:
        done = unbake(*words)
        assert done.code == 2, words
        last = done.err.strip().splitlines()[-1]
        assert last.startswith("unbake: error:")
        assert complaint in last
    assert not out.exists()


def test_what_can_be_refused_is_refused_before_the_first_minute_of_work(unbake, muddy: Path, tmp_path: Path) -> None:
    """Also by presets that measure on stems: none are made."""
    song, session = muddy / "song.wav", tmp_path / "song.unbake.toml"
    text = tmp_path / "mine.toml"
    text.write_text(
        'name = "mine"\nabout = "For testing."\n'
        '[[strips.bass.chain]]\ntype = "bell"\ngain_db = { fit = "bass_boom" }\nfreq_hz = 60.0\n'
        '[[strips.bass.chain]]\ntype = "high_shelf"\nfreq_hz = 30000.0\ngain_db = -1.0\n'
    )
    cases = [
        (("--preset", "muddy-low-end", "--reference", tmp_path / "none.wav"), "none.wav"),
        (("--preset", text), "freq_hz: is 30000, above 21609"),
        (("--preset", "tame-drums", "--reference", song), "measures nothing"),
    ]
    for words, complaint in cases:
        done = unbake("repair", song, *words, "--session", session, "-o", tmp_path / "out.wav")
        assert done.code == 2
        assert complaint in done.err.strip().splitlines()[-1]
        assert "stems by" not in done.err
    assert not session.exists()
    assert not list(Path(os.environ["UNBAKE_CACHE"]).rglob("*.wav"))
