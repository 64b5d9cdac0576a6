"""Deliveries: loudness, true peak, rate and word length as asked, held against FFmpeg's meter and SoX's converter."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import soxr

from core.audio.shaping import f_weighted, worst_lsb

LIMITED = 'master=[{type="limiter", ceiling_dbtp=-1.0}]'


class Meter(NamedTuple):
    lufs_i: float
    true_peak_dbtp: float


def ffmpeg(path: Path) -> Meter:
    """What FFmpeg's ebur128 reads at the end, to the thousandth it prints (of the peak as an amplitude)."""
    chain = "ebur128=peak=true:metadata=1,ametadata=mode=print:file=-"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-af", chain, "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loudness = re.findall(r"lavfi\.r128\.I=(\S+)", said)[-1]
    peaks = re.findall(r"lavfi\.r128\.true_peaks_ch\d=(\S+)", said)[-8:]
    return Meter(float(loudness), 20 * math.log10(max(map(float, peaks))))


def programme(seconds: float = 8.0, rate: int = 44_100, peak: float = 0.9, channels: int = 2) -> np.ndarray:
    """Something with a bass, hits, and a top that peaks between the samples: [frames, channels]."""
    rng = np.random.default_rng(8)
    time = np.arange(round(seconds * rate)) / rate
    hits = rng.standard_normal(len(time)) * np.exp(-25 * (time % 0.5))
    top = np.sin(2 * np.pi * rate / 4 * time + np.pi / 4) * np.exp(-9 * (time % 0.25))
    sound = 0.4 * np.sin(2 * np.pi * 70 * time) + 0.5 * hits + 0.25 * top
    sound = sound[:, None] * np.linspace(0.8, 1.0, channels)
    return sound / np.abs(sound).max() * peak


@pytest.fixture
def delivered(unbake, tmp_path: Path) -> Callable[..., Any]:
    """Renders a session without an edit, or with the one given, of some sound; gives what `--json` says, and notes."""

    def deliver(
        sound: np.ndarray, *words: object, rate: int = 44_100, subtype: str = "PCM_24", out: str = "out.wav", edit=None
    ) -> Any:
        source = tmp_path / "song.wav"
        soundfile.write(source, sound, rate, subtype=subtype)
        session = tmp_path / "song.toml"
        assert unbake("session", "new", source, "-o", session, "--force").code == 0
        if edit is not None:
            assert unbake("session", "set", session, edit).code == 0
        done = unbake("render", session, "-o", tmp_path / out, "--force", "--json", *words)
        assert done.code == 0, done.err
        return done

    return deliver


def profile(tmp_path: Path, **fields: object) -> Path:
    lines = [f"{key} = {value!r}" for key, value in fields.items()]
    path = tmp_path / "own.toml"
    path.write_text("\n".join(['name = "own"', 'about = "of a test"', *lines, ""]))
    return path


@pytest.mark.parametrize("peak", [0.1, 0.9, 2.5])
@pytest.mark.parametrize("target", [-23.0, -14.0, -9.0])
def test_loudness_and_true_peak_are_what_was_asked_by_ffmpegs_meter(
    delivered, tmp_path: Path, peak: float, target: float
) -> None:
    own = profile(tmp_path, target_lufs=target, ceiling_dbtp=-1.0, most_limiting_db=18.0, subtype="PCM_24")
    found = delivered(programme(peak=peak), "--profile", own, subtype="FLOAT").json
    heard = ffmpeg(tmp_path / "out.wav")
    assert heard.lufs_i == pytest.approx(target, abs=0.1)
    assert heard.true_peak_dbtp <= -1.0 + 0.05
    assert found["delivery"]["target_met"] is True
    assert found["loudness"]["after"]["lufs_i"] == pytest.approx(heard.lufs_i, abs=0.1)
    proof = found["certificate"]
    assert proof["untouched_residual_dbfs"] is None
    assert proof["render_residual_dbfs"] <= proof["quantisation_dbfs"]


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 96_000, 192_000])
def test_a_limiter_of_the_sessions_own_is_held_to_its_ceiling_too(delivered, tmp_path: Path, rate: int) -> None:
    sound = programme(3.0, rate, peak=1.0) * 3.0
    found = delivered(sound, rate=rate, subtype="FLOAT", edit=LIMITED).json
    assert ffmpeg(tmp_path / "out.wav").true_peak_dbtp <= -1.0 + 0.05
    assert found["delivery"]["ceiling_dbtp"] == -1.0
    assert found["delivery"]["profile"] is None
    assert found["certificate"]["render_residual_dbfs"] <= found["certificate"]["quantisation_dbfs"]


@pytest.mark.parametrize("to", [44_100, 48_000])
def test_what_comes_out_over_the_ceiling_is_rendered_again_lower(delivered, tmp_path: Path, to: int) -> None:
    done = delivered(programme(peak=3.0), "--rate", to, subtype="FLOAT", edit=LIMITED)
    assert done.json["delivery"]["trim_db"] < -0.05
    assert done.json["delivery"]["why"].startswith("the master's limiter holds -1 dBTP, with the whole lowered by")
    assert "rendered again, lower" in done.err
    assert done.json["certificate"]["untouched_residual_dbfs"] is None
    assert ffmpeg(tmp_path / "out.wav").true_peak_dbtp <= -1.0 + 0.05


@pytest.mark.parametrize("name", ["streaming", "cd", "club", "film"])
def test_real_masters_are_delivered_as_asked(unbake, data: Path, tmp_path: Path, name: str) -> None:
    masters = sorted((data / "masters").glob("*.flac"))
    if not masters:
        pytest.skip("no masters here")
    with soundfile.SoundFile(masters[-1]) as file:
        sound, rate = file.read(file.samplerate * 30), file.samplerate
    soundfile.write(tmp_path / "hot.wav", sound * 1.5, rate, subtype="FLOAT")  # as hot as masters come
    unbake("session", "new", tmp_path / "hot.wav", "-o", tmp_path / "hot.toml")
    out = tmp_path / "out.wav"
    found = unbake("render", tmp_path / "hot.toml", "--profile", name, "-o", out, "--json").json
    heard, asked = ffmpeg(out), found["delivery"]
    assert heard.true_peak_dbtp <= asked["ceiling_dbtp"] + 0.05
    assert heard.lufs_i == pytest.approx(found["loudness"]["after"]["lufs_i"], abs=0.1)
    if asked["target_met"]:
        assert heard.lufs_i == pytest.approx(asked["target_lufs"], abs=0.1)


def test_what_is_chosen_is_said_before_anything_is_written(unbake, tmp_path: Path, monkeypatch) -> None:
    from core.recombine import render as rendering

    written: list[str] = []
    monkeypatch.setattr(rendering, "open_writer", lambda *words, **named: written.append("a file") or 1 / 0)
    soundfile.write(tmp_path / "song.wav", programme(2.0), 44_100)
    unbake("session", "new", tmp_path / "song.wav", "-o", tmp_path / "song.toml")
    with pytest.raises(ZeroDivisionError):
        unbake("render", tmp_path / "song.toml", "--profile", "streaming")
    assert written == ["a file"]


def test_a_target_that_would_take_too_much_limiting_is_said_plainly_and_not_met(delivered, tmp_path: Path) -> None:
    own = profile(tmp_path, target_lufs=-3.0, ceiling_dbtp=-1.0, most_limiting_db=4.0)
    done = delivered(programme(), "--profile", own)
    asked = done.json["delivery"]
    assert asked["target_met"] is False
    assert asked["limiting_db"] == pytest.approx(4.0, abs=0.1)
    assert "not at -3: that would take more than the 4 dB" in done.err
    assert asked["why"] in done.err
    assert ffmpeg(tmp_path / "out.wav").true_peak_dbtp <= -0.95


def test_no_limiting_at_all_is_a_level_and_nothing_else(delivered, tmp_path: Path) -> None:
    sound = programme(peak=1.4)
    done = delivered(sound, "--profile", "vinyl-premaster", "--subtype", "float", subtype="FLOAT")
    asked = done.json["delivery"]
    assert "since the limiter may take no more than 0 dB" in done.err
    assert asked["limiter_dbtp"] is None
    written, source = soundfile.read(tmp_path / "out.wav")[0], soundfile.read(tmp_path / "song.wav")[0]
    np.testing.assert_allclose(written, source * 10 ** (asked["gain_db"] / 20), atol=1e-7)
    assert ffmpeg(tmp_path / "out.wav").true_peak_dbtp == pytest.approx(-3.0, abs=0.05)


def test_a_master_that_is_there_already_stays_bit_for_bit(delivered, unbake, tmp_path: Path) -> None:
    quiet = programme(peak=0.5)
    assert delivered(quiet, "--profile", "streaming").json["certificate"]["identical"] is False
    once = soundfile.read(tmp_path / "out.wav", always_2d=True)[0]
    again = delivered(once, "--profile", "streaming", out="again.wav").json
    assert again["certificate"]["identical"] is True
    assert again["dithered"] is False
    assert again["delivery"]["gain_db"] == 0.0
    assert again["delivery"]["limiter_dbtp"] is None


@pytest.mark.parametrize("sound", [np.zeros((60_000, 2)), np.full((1, 2), 0.5), programme(0.3, peak=0.5)])
def test_silence_and_what_is_too_short_get_no_gain_and_a_word(delivered, sound: np.ndarray) -> None:
    done = delivered(sound, "--profile", "streaming")
    asked = done.json["delivery"]
    assert (asked["gain_db"], asked["before_lufs"], asked["target_met"]) == (0.0, None, None)
    assert "no loudness that can be measured" in done.err
    assert done.json["certificate"]["identical"] is True


def test_a_mono_file_of_8_khz_is_delivered_too(delivered, tmp_path: Path) -> None:
    own = profile(tmp_path, target_lufs=-16.0, ceiling_dbtp=-1.0, most_limiting_db=18.0)
    found = delivered(programme(rate=8000, channels=1), "--profile", own, rate=8000).json
    assert found["delivery"]["target_met"] is True
    assert soundfile.info(tmp_path / "out.wav").channels == 1


def test_a_lossy_delivery_is_measured_as_it_is_decoded(delivered, tmp_path: Path) -> None:
    own = profile(tmp_path, target_lufs=-12.0, ceiling_dbtp=-1.0, most_limiting_db=18.0)
    found = delivered(programme(peak=0.9), "--profile", own, out="out.mp3").json
    heard = ffmpeg(tmp_path / "out.mp3")
    assert heard.true_peak_dbtp <= -1.0 + 0.05
    assert heard.lufs_i == pytest.approx(-12.0, abs=0.15)
    assert found["certificate"]["quantisation_dbfs"] is None


@pytest.mark.parametrize(("rate", "to"), [(44_100, 48_000), (96_000, 44_100), (48_000, 8000), (8000, 384_000)])
def test_a_rate_is_soxrs_very_high_quality_in_time_and_of_the_rounded_length(
    delivered, tmp_path: Path, rate: int, to: int
) -> None:
    sound = programme(1.37, rate, peak=0.5)
    found = delivered(sound, "--rate", to, "--subtype", "double", rate=rate, subtype="DOUBLE").json
    written, at = soundfile.read(tmp_path / "out.wav")
    assert at == to == found["sample_rate"]
    assert len(written) == math.floor(len(sound) * to / rate + 0.5)
    padded = np.pad(sound, ((0, rate // 10), (0, 0)))
    np.testing.assert_allclose(written, soxr.resample(padded, rate, to, "VHQ")[: len(written)], atol=1e-9)
    proof = found["certificate"]
    assert proof["identical"] is False
    assert proof["untouched_residual_dbfs"] is None
    assert proof["render_residual_dbfs"] is None or proof["render_residual_dbfs"] <= proof["quantisation_dbfs"]


def test_one_sample_and_silence_at_another_rate_are_never_called_identical(delivered, tmp_path: Path) -> None:
    for sound, frames in ((np.full((1, 2), 0.5), 1), (np.zeros((4410, 2)), 800)):
        found = delivered(sound, "--rate", 8000).json
        assert found["certificate"]["identical"] is False
        assert soundfile.info(tmp_path / "out.wav").frames == frames


def test_the_cd_is_16_bit_with_its_noise_where_the_filter_puts_it(delivered, tmp_path: Path) -> None:
    sound = programme(peak=0.4)
    found = delivered(sound, "--profile", "cd", subtype="PCM_24").json
    assert (found["subtype"], found["sample_rate"], found["dithered"]) == ("PCM_16", 44_100, True)
    source = soundfile.read(tmp_path / "song.wav")[0]
    error = (soundfile.read(tmp_path / "out.wav")[0] - source) * 2**15
    power = 0.25 * (1.0 + np.square(f_weighted(44_100)).sum())
    assert 10 * np.log10(np.square(error).mean() / power) == pytest.approx(0.0, abs=0.1)
    bound_dbfs = 20 * math.log10(worst_lsb(44_100) / 2**15)
    proof = found["certificate"]
    assert proof["quantisation_dbfs"] == pytest.approx(bound_dbfs)
    assert proof["render_residual_dbfs"] <= bound_dbfs
    assert np.abs(error).max() > 1.5, "flat dither would have done"


def test_the_dither_of_the_session_wins_over_the_profiles(delivered, tmp_path: Path) -> None:
    sound = programme(1.0, peak=0.4)
    off = delivered(sound, "--profile", "cd", edit='master=[{type="dither", bypass=true}]').json
    assert off["dithered"] is False
    shaped = delivered(sound, edit='master=[{type="dither", bits=16, shape="f_weighted"}]', out="shaped.wav").json
    assert shaped["certificate"]["quantisation_dbfs"] == pytest.approx(20 * math.log10(worst_lsb(44_100) / 2**15))
    assert shaped["certificate"]["render_residual_dbfs"] <= shaped["certificate"]["quantisation_dbfs"]


def test_what_is_typed_wins_over_the_profile(delivered, tmp_path: Path) -> None:
    delivered(programme(1.0, 48_000, peak=0.4), "--profile", "cd", "--subtype", 24, "--rate", 96_000, rate=48_000)
    found = soundfile.info(tmp_path / "out.wav")
    assert (found.subtype, found.samplerate) == ("PCM_24", 96_000)


def test_a_profile_without_a_level_leaves_it_and_passes_are_not_wasted(delivered, tmp_path: Path) -> None:
    found = delivered(programme(1.0), "--profile", profile(tmp_path, subtype="PCM_32")).json
    assert found["certificate"]["identical"] is True
    assert found["subtype"] == "PCM_32"


def test_a_ceiling_keeps_16_bits_from_overflowing_and_a_target_alone_does_not(
    unbake, delivered, tmp_path: Path
) -> None:
    own = profile(tmp_path, target_lufs=-8.0, ceiling_dbtp=0.0, most_limiting_db=18.0, subtype="PCM_16")
    found = delivered(programme(), "--profile", own).json
    assert found["overs"]["samples"] == 0
    own = profile(tmp_path, target_lufs=-4.0, subtype="PCM_16")
    refused = unbake("render", tmp_path / "song.toml", "--profile", own, "-o", tmp_path / "o.wav")
    assert refused.code == 2
    assert "exceed full scale" in refused.err
    assert not (tmp_path / "o.wav").exists()
    trimmed = unbake("render", tmp_path / "song.toml", "--profile", own, "-o", tmp_path / "o.wav", "--overs", "trim")
    assert trimmed.code == 0
    assert np.abs(soundfile.read(tmp_path / "o.wav")[0]).max() <= 1.0


def test_a_repair_is_delivered_in_one_go_and_still_proved(unbake, song: Path, tmp_path: Path) -> None:
    (tmp_path / "less.toml").write_text('name = "less bass"\nabout = ""\n[strips.bass]\ngain_db = -2\n')
    words = ("--preset", tmp_path / "less.toml", "--stems-from", song.parent / "stems", "--profile", "film")
    done = unbake("repair", song, *words, "-o", tmp_path / "out.flac", "--json")
    assert done.code == 0, done.err
    assert done.json["changed"] == ["bass"]
    assert ffmpeg(tmp_path / "out.flac").lufs_i == pytest.approx(-24.0, abs=0.1)
    proof = done.json["certificate"]
    assert proof["render_residual_dbfs"] <= proof["quantisation_dbfs"] == pytest.approx(-134.95, abs=0.01)
    saved = unbake("session", "show", song.with_name("song.unbake.toml")).out
    assert "film" not in saved, "a delivery is no part of the document"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--profile", "streming"), "did you mean streaming?"),
        (("--profile", "gone.toml"), "gone.toml"),
        (("--rate", "0"), "must be a sample rate"),
        (("--rate", "7999"), "must be a sample rate"),
        (("--rate", "384001"), "must be a sample rate"),
        (("--rate", "nan"), "must be a sample rate"),
        (("--profile", "streaming", "-o", "x.mp3"), "wants PCM_24, which can't be written there"),
        (("--rate", "44101", "-o", "x.mp3"), "only at 8000"),
    ],
)
def test_what_can_not_be_delivered_is_refused_in_one_line(
    unbake, tmp_path: Path, monkeypatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "song.wav", programme(0.2), 44_100)
    unbake("session", "new", "song.wav", "-o", "song.toml")
    before = sorted(tmp_path.iterdir())
    for command in (("render", "song.toml"), ("repair", "song.wav", "--preset", "untouched")):
        done = unbake(*command, *words)
        assert done.code == 2
        assert said in done.err
        assert done.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_broadcast_wave_keeps_its_time_of_day_at_another_rate(unbake, tmp_path: Path) -> None:
    from core.audio.tags import append_chunks, read_metadata

    soundfile.write(tmp_path / "song.wav", programme(0.5), 48_000, subtype="PCM_24")
    append_chunks(tmp_path / "song.wav", [(b"bext", bytes(338) + (48_000 * 60).to_bytes(8, "little") + bytes(256))])
    unbake("session", "new", tmp_path / "song.wav", "-o", tmp_path / "song.toml")
    done = unbake("render", tmp_path / "song.toml", "--rate", 96_000, "-o", tmp_path / "out.wav")
    assert done.code == 0, done.err
    bext = dict(read_metadata(tmp_path / "out.wav").chunks)[b"bext"]
    assert int.from_bytes(bext[338:346], "little") == 96_000 * 60


def test_profiles_are_listed_shown_and_checked(unbake, tmp_path: Path) -> None:
    assert "streaming" in unbake("profiles", "list").out
    names = [each["name"] for each in unbake("profiles", "list", "--json").json["profiles"]]
    assert {"streaming", "cd", "club", "film"} <= set(names)
    shown = unbake("profiles", "show", "streaming", "--json").json
    assert (shown["schema"], shown["target_lufs"], shown["ceiling_dbtp"]) == (1, -14.0, -1.0)
    assert unbake("profiles", "check", profile(tmp_path, target_lufs=-14.0)).code == 0
    broken = unbake("profiles", "check", profile(tmp_path, target_lufs=3.0))
    assert broken.code == 2
    assert "line 3: target_lufs" in broken.err


def test_the_report_says_what_the_delivery_did_and_why(delivered, tmp_path: Path) -> None:
    found = delivered(programme(2.0), "--profile", "streaming", "--report", tmp_path / "r.md").json
    page = (tmp_path / "r.md").read_text()
    assert f"Delivery: {found['delivery']['why']}." in page
    assert "44100 Hz" in page
