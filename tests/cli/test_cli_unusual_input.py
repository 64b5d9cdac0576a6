"""Unusual input that must work: odd rates and channel counts, tiny files, silence, extremes, names of every kind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile


def check(unbake, source: Path, *words: object) -> dict:
    """Separates with the starter, cuts the bass, and checks what a certificate promises."""
    done = unbake("repair", source, "--preset", "de-mud-bass-only", "--overs", "trim", "--json", *words)
    assert done.code == 0, done.err
    assert done.json["changed"] == ["bass"]
    proof = done.json["certificate"]
    assert proof["stem_sum_residual_dbfs"] is None or proof["stem_sum_residual_dbfs"] <= -140
    assert proof["render_residual_dbfs"] is None or proof["render_residual_dbfs"] <= proof["quantisation_dbfs"]
    before, after = soundfile.info(source), soundfile.info(done.json["output"])
    assert (before.samplerate, before.channels, before.frames, before.subtype) == (
        after.samplerate,
        after.channels,
        after.frames,
        after.subtype,
    )
    return done.json


@pytest.mark.parametrize("channels", [1, 3, 6, 8])
def test_any_number_of_channels(unbake, make_song, tmp_path: Path, channels: int) -> None:
    check(unbake, make_song(tmp_path / "m", channels=channels, frames=30_000))


@pytest.mark.parametrize("rate", [8000, 48_000, 384_000])
def test_any_sample_rate(unbake, make_song, tmp_path: Path, rate: int) -> None:
    check(unbake, make_song(tmp_path / "m", rate=rate, frames=rate // 2))


@pytest.mark.parametrize("frames", [1, 2, 1000])
def test_files_shorter_than_a_chunk(unbake, make_song, tmp_path: Path, frames: int) -> None:
    check(unbake, make_song(tmp_path / "m", frames=frames))


EXTREMES = {
    "silence": np.zeros((20_000, 2)),
    "dc": np.full((20_000, 2), 0.5),
    "square": np.where(np.arange(20_000)[:, None] % 100 < 50, 1.0, -1.0) * np.ones((1, 2)),
    "left only": np.random.default_rng(1).standard_normal((20_000, 2)) * [0.2, 0.0],
}


@pytest.mark.parametrize("kind", EXTREMES)
def test_extreme_signals(unbake, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.wav"
    soundfile.write(path, EXTREMES[kind], 44_100, subtype="PCM_24")
    found = check(unbake, path)
    if kind == "silence":
        assert found["loudness"]["before"]["lufs_i"] is None


def test_names_that_are_not_ascii(unbake, make_song, tmp_path: Path) -> None:
    folder = tmp_path / "Mäster – 最終 mix"
    source = make_song(folder, frames=20_000).rename(folder / "Señor «Blues» №1.wav")
    assert Path(check(unbake, source)["output"]).name == "Señor «Blues» №1.repaired.wav"


def test_a_song_of_real_life(unbake, data: Path, tmp_path: Path) -> None:
    source = tmp_path / "demucs_test.mp3"
    source.write_bytes((data / "mixes" / "demucs_test.mp3").read_bytes())
    done = unbake("repair", source, "--preset", "vocal-lift", "--json")
    assert done.code == 0, done.err
    assert done.json["subtype"] == "FLOAT"
    assert done.json["certificate"]["untouched_residual_dbfs"] <= done.json["certificate"]["quantisation_dbfs"]


def test_info_says_which_of_several_streams_it_measured(unbake, stem_file: Path, song: Path) -> None:
    assert "streams      mixture (measured), Drums, Bass, Other, Vox\n" in unbake("info", stem_file).out
    assert unbake("info", stem_file, "--json").json["streams"][1:] == ["Drums", "Bass", "Other", "Vox"]
    assert "streams" not in unbake("info", song).out


@pytest.mark.parametrize("odd", ["source", "source and what goes beside it", "output", "session"])
def test_a_name_that_is_no_text_is_refused_before_anything_is_written(
    unbake, make_song, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    def render(*_: object, **__: object) -> None:
        raise AssertionError("rendered all the same")

    monkeypatch.setattr("core.jobs.repair.render", render)
    source = make_song(tmp_path / "m", frames=1000)
    named = source.with_name(os.fsdecode(b"s\xf6ng"))
    words: list[object] = ["-o", source.with_name("out.wav"), "--session", source.with_name("s.toml")]
    if odd == "source":
        source = source.rename(named.with_suffix(".wav"))
    elif odd == "source and what goes beside it":
        source, words = source.rename(named.with_suffix(".wav")), []
    elif odd == "output":
        words[1] = named.with_suffix(".wav")
    else:
        words[3] = named.with_suffix(".toml")
    before = sorted(source.parent.iterdir())
    done = unbake("repair", source, "--preset", "untouched", *words)
    assert done.code == 2
    assert "not valid UTF-8" in done.err
    assert sorted(source.parent.iterdir()) == before
