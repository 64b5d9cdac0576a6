"""Faults that were put into a file are found, with their figures and places, and clean files have none."""

from __future__ import annotations

from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from core.audio.samples import place
from core.events import Note, finish
from core.measure.inspect import FileReport, inspect_file

RATE = 44_100


def music(seconds: float = 3.0, channels: int = 2) -> NDArray[np.float64]:
    """Noise under a low tone, channels alike by half, [channels, frames], peaks at about -8 dBFS."""
    rng = np.random.default_rng(6)
    frames = round(seconds * RATE)
    time = np.arange(frames) / RATE
    noise = rng.standard_normal((channels, frames)) + rng.standard_normal(frames)
    signal = 0.2 * noise + np.sin(2 * np.pi * 60 * time)
    return 0.4 * signal / np.abs(signal).max()


def report(path: Path, samples: NDArray[np.float64], subtype: str = "DOUBLE") -> FileReport:
    soundfile.write(path / "x.wav", samples.T, RATE, subtype=subtype)
    return finish(inspect_file(path / "x.wav"))


def details(found: FileReport) -> dict[str, str]:
    return {fault.kind: fault.detail for fault in found.faults}


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_clean_file_has_no_faults(tmp_path: Path, subtype: str) -> None:
    found = report(tmp_path, music(), subtype)
    assert found.faults == []
    assert found.streams == []
    assert (found.format, found.subtype, found.sample_rate, found.channels) == ("WAV", subtype, RATE, 2)
    assert (found.frames, found.seconds) == (3 * RATE, 3.0)
    assert found.sample_peak_dbfs == pytest.approx(-7.96, abs=0.01)
    assert found.correlation is not None
    assert 0.5 < found.correlation < 1.0


def test_the_json_is_the_contracts(tmp_path: Path) -> None:
    keys = ["schema", "path", "format", "subtype", "sample_rate", "channels", "frames", "seconds"]
    keys += ["streams", "lufs_i", "lra_lu"]
    found = msgspec.json.decode(msgspec.json.encode(report(tmp_path, music() + 0.01)))
    assert list(found) == [*keys, "true_peak_dbtp", "sample_peak_dbfs", "correlation", "faults"]
    assert [list(fault) for fault in found["faults"]] == [["kind", "severity", "detail"]]


def test_bad_samples_are_counted_placed_and_measured_as_silence(tmp_path: Path) -> None:
    samples = music()
    samples[1, [70_000, 70_001, 120_000]] = np.nan
    samples[0, 88_200] = -np.inf
    soundfile.write(tmp_path / "x.wav", samples.T, RATE, subtype="DOUBLE")
    assert sum(isinstance(event, Note) for event in inspect_file(tmp_path / "x.wav")) == 1
    found = finish(inspect_file(tmp_path / "x.wav"))
    assert "3 NaN samples, first at 0:01.587 (frame 70000) in channel 2" in details(found)["nan"]
    assert "1 infinite sample, first at 0:02.000 (frame 88200) in channel 1" in details(found)["inf"]
    assert [fault.severity for fault in found.faults] == ["error", "error"]
    clean = report(tmp_path, np.where(np.isfinite(samples), samples, 0.0))
    assert (found.lufs_i, found.true_peak_dbtp) == (clean.lufs_i, clean.true_peak_dbtp)


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_clipping_is_found_at_full_scale_and_below(tmp_path: Path, gain: float, subtype: str) -> None:
    samples = gain * np.clip(4.0 * music(), -1.0, 0.9999)
    level = np.abs(samples).max()
    found = report(tmp_path, samples, subtype)
    fault = next(fault for fault in found.faults if fault.kind == "clipping")
    assert fault.severity == "warning"
    assert f"at up to {20 * np.log10(level):.2f} dBFS" in fault.detail
    flat = samples[0] == samples[0].max()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    assert (np.diff(edges)[::2] >= 3).sum() > 10
    runs = int(fault.detail.split()[0])
    everything = 0
    for channel in samples:
        for value in (channel.max(), channel.min()):
            marks = np.flatnonzero(np.diff(np.concatenate([[False], channel == value, [False]]).astype(int)))
            everything += int((np.diff(marks)[::2] >= 3).sum())
    assert runs == everything


def test_a_run_over_the_border_of_two_blocks_is_one(tmp_path: Path) -> None:
    samples = 0.5 * music()
    samples[0, 65_500:65_600] = 0.75
    found = details(report(tmp_path, samples))
    assert found["clipping"].startswith("1 flat top of 3 samples or more at up to -2.50 dBFS, the longest 100 samples")
    assert "(frame 65500) in channel 1" in found["clipping"]


@pytest.mark.parametrize("hz", [20.0, 100.0, 441.0])
def test_a_tone_at_16_bit_is_not_clipped(tmp_path: Path, hz: float) -> None:
    tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE)
    assert "clipping" not in details(report(tmp_path, np.stack([tone, 0.9 * tone]), "PCM_16"))


def test_true_peak_over_full_scale(tmp_path: Path) -> None:
    time = np.arange(RATE)
    hot = 0.99 * np.sqrt(2) * np.sin(np.pi / 2 * time + np.pi / 4)
    found = report(tmp_path, np.stack([hot, -0.5 * hot * np.sin(time)]), "PCM_24")
    assert found.sample_peak_dbfs is not None
    assert found.sample_peak_dbfs < 0.0
    assert details(found)["true_peak_over"] == f"true peak is {found.true_peak_dbtp:+.2f} dBTP, over full scale"
    assert found.true_peak_dbtp == pytest.approx(2.9, abs=0.2)


def test_dc_offset(tmp_path: Path) -> None:
    samples = music()
    samples[1] += 0.01 - samples[1].mean()
    assert details(report(tmp_path, samples))["dc"].startswith("DC offset of -40.0 dBFS (+0.01000)")
    assert "in channel 2 (R)" in details(report(tmp_path, samples))["dc"]
    assert "dc" not in details(report(tmp_path, music() + 0.0005))


def test_silence_and_a_dead_channel(tmp_path: Path) -> None:
    silent = report(tmp_path, np.zeros((2, RATE)))
    assert details(silent) == {"silence": "digital silence throughout"}
    assert (silent.lufs_i, silent.true_peak_dbtp, silent.sample_peak_dbfs, silent.correlation) == (None,) * 4
    samples = music()
    samples[0] = 0.0
    dead = report(tmp_path, samples)
    assert details(dead) == {"silence": "digital silence throughout in channel 1 (L)"}
    assert dead.correlation is None


def test_polarity_and_dual_mono(tmp_path: Path) -> None:
    one = music()[:1]
    opposed = report(tmp_path, np.concatenate([one, -0.7 * one]))
    assert opposed.correlation == pytest.approx(-1.0)
    assert list(details(opposed)) == ["polarity"]
    same = report(tmp_path, np.concatenate([one, one]))
    assert same.correlation == pytest.approx(1.0)
    assert [(fault.kind, fault.severity) for fault in same.faults] == [("dual_mono", "note")]
    louder = report(tmp_path, np.concatenate([one, 0.9 * one]))
    assert louder.faults == []


def test_mono_has_no_correlation(tmp_path: Path) -> None:
    found = report(tmp_path, music(channels=1))
    assert found.correlation is None
    assert found.faults == []


def test_short_files(tmp_path: Path) -> None:
    found = report(tmp_path, music()[:, : RATE // 4])
    assert details(found) == {"short": "250 ms is too short for loudness, which takes 400 ms"}
    assert found.lufs_i is None
    assert list(details(report(tmp_path, np.array([[0.3], [0.1]])))) == ["dc", "short"]


def test_bits_that_are_never_used(tmp_path: Path) -> None:
    sixteen = np.round(music() * 2**15) / 2**15
    found = details(report(tmp_path, sixteen, "PCM_24"))
    assert found == {"bit_depth": "24-bit file whose low 8 bits are always zero: 16 bits are used"}
    assert details(report(tmp_path, sixteen, "PCM_16")) == {}
    assert details(report(tmp_path, sixteen, "FLOAT")) == {}
    sixteen[0, -1] += 2**-23
    assert details(report(tmp_path, sixteen, "PCM_24")) == {}


def test_six_channels(tmp_path: Path) -> None:
    samples = music(channels=6)
    samples[4] = 0.0
    found = report(tmp_path, samples)
    assert found.channels == 6
    assert details(found) == {"silence": "digital silence throughout in channel 5 (Ls)"}
    assert found.correlation is not None


def with_streams(path: Path, gains: dict[str, float]) -> Path:
    """A file with an audio stream of music for each title, "" for none, the music at that gain."""
    samples = music(0.5).astype(np.float32)
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_f32le", rate=RATE, layout="stereo") for _ in gains]
        for stream, title in zip(streams, gains, strict=True):
            stream.metadata["title"] = title
        for stream, gain in zip(streams, gains.values(), strict=True):
            interleaved = np.ascontiguousarray((samples * gain).T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout="stereo")
            frame.sample_rate = RATE
            container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_several_streams_are_named_and_the_first_is_measured(tmp_path: Path) -> None:
    found = finish(inspect_file(with_streams(tmp_path / "x.mkv", {"": 1.0, "Bass": 0.5, "Vox": 0.1})))
    assert found.streams == ["stream 1", "Bass", "Vox"]
    assert found.frames == RATE // 2
    assert found.sample_peak_dbfs == pytest.approx(-7.96, abs=0.01)
    assert finish(inspect_file(with_streams(tmp_path / "one.mkv", {"Mix": 1.0}))).streams == []


def test_a_stem_file_whose_manifest_is_damaged_is_measured_all_the_same(tmp_path: Path, stem_file: Path) -> None:
    real = stem_file.read_bytes()
    (tmp_path / "good.stem.mp4").write_bytes(real)
    (tmp_path / "bad.stem.mp4").write_bytes(real.replace(b'{"mastering_dsp"', b'["mastering_dsp"'))
    good, bad = (finish(inspect_file(tmp_path / f"{name}.stem.mp4")) for name in ("good", "bad"))
    assert good.streams == ["mixture", "Drums", "Bass", "Other", "Vox"]
    assert bad.streams == []
    assert "stem manifest that can't be read; the first is measured" in details(bad)["streams"]
    assert bad.lufs_i == good.lufs_i
    assert "streams" not in details(good)


def test_real_masters_are_not_called_clipped(data: Path) -> None:
    found = finish(inspect_file(data / "multitracks/waveform-playlist/mixture.flac"))
    assert found.faults == []
    assert found.lufs_i == pytest.approx(-13.2, abs=0.1)


def test_places_read_as_minutes_and_seconds() -> None:
    assert place(0, RATE) == "0:00.000 (frame 0)"
    assert place(61 * RATE + RATE // 2, RATE) == f"1:01.500 (frame {61 * RATE + RATE // 2})"
