"""What a null test of two files promises."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from core.audio.probe import probe
from core.errors import UnbakeError
from core.events import Note, Progress, finish
from core.measure.align import shift
from core.measure.bands import Bands, band_edges
from core.measure.null import NullReport, default_threshold_dbfs, null_test

RATE = 44_100


def music(seconds: float = 3.0, channels: int = 2, rate: int = RATE) -> NDArray[np.float64]:
    """Pink noise with clicks up to 0.44 of the rate, [channels, frames], peaks at -8 dBFS."""
    noise = np.random.default_rng(4).standard_normal((channels, round(seconds * rate)))
    noise[:, :: rate // 3] += 20.0
    spectrum = np.fft.rfft(noise)
    bins = np.arange(spectrum.shape[1])
    signal = np.fft.irfft(spectrum / np.sqrt(1.0 + bins) * (bins < 0.88 * len(bins)), round(seconds * rate))
    return 0.4 * signal / np.abs(signal).max()


def write(path: Path, samples: NDArray[np.float64], subtype: str = "DOUBLE", rate: int = RATE) -> Path:
    soundfile.write(path, samples.T, rate, subtype=subtype)
    return path


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return write(tmp_path / "a.wav", music())


def against(a: Path, samples: NDArray[np.float64], *, align: bool = False, dbfs: float | None = None) -> NullReport:
    return finish(null_test(a, write(a.with_name("b.wav"), samples), align=align, threshold_dbfs=dbfs))


def test_identical_files(a: Path) -> None:
    report = against(a, music(), align=True)
    assert report.identical
    assert report.pass_
    assert (report.delay_samples, report.polarity, report.gain_db, report.correlation) == (0.0, 1, 0.0, 1.0)
    silent = {"peak_dbfs": None, "rms_dbfs": None, "lufs": None}
    assert msgspec.to_builtins(report.residual) == msgspec.to_builtins(report.aligned_residual) == silent
    assert all(band.rms_dbfs is None for band in report.bands)


def test_the_json_is_the_contracts(a: Path) -> None:
    verdict = {"schema", "identical", "pass", "threshold_dbfs", "residual", "bands"}
    cause = {"delay_samples", "polarity", "gain_db", "correlation"}
    plain = msgspec.json.decode(msgspec.json.encode(against(a, music() * 0.5)))
    assert plain.keys() >= verdict | cause
    assert list(plain["residual"]) == ["peak_dbfs", "rms_dbfs", "lufs"]
    assert plain["bands"][0].keys() >= {"low_hz", "high_hz", "rms_dbfs"}
    assert plain["schema"] == 1
    aligned = msgspec.json.decode(msgspec.json.encode(against(a, music() * 0.5, align=True)))
    assert aligned.keys() - plain.keys() == {"aligned_residual"}
    assert list(aligned["aligned_residual"]) == list(plain["residual"])


def test_one_step_of_16_bit_in_one_sample(tmp_path: Path) -> None:
    steps = np.round(music() * 32767).astype(np.int16)
    one, other = tmp_path / "a.flac", tmp_path / "b.flac"
    soundfile.write(one, steps.T, RATE, subtype="PCM_16")
    steps[1, 100_000] += 1
    soundfile.write(other, steps.T, RATE, subtype="PCM_16")
    report = finish(null_test(one, other))
    assert not report.identical
    assert report.residual.peak_dbfs == pytest.approx(-90.309, abs=1e-3)
    assert report.residual.rms_dbfs == pytest.approx(-90.309 - 10 * np.log10(steps.size), abs=1e-3)
    assert report.threshold_dbfs == -84.0
    assert report.pass_
    assert (report.delay_samples, report.polarity) == (0.0, 1)
    # A click is spread evenly over frequency, so each third octave holds 1 dB more than the one below.
    levels = [band.rms_dbfs for band in report.bands if band.rms_dbfs is not None]
    assert np.diff(levels[1:-1]) == pytest.approx([1.0] * (len(levels) - 3), abs=0.05)


def test_inverted(a: Path) -> None:
    report = against(a, -music())
    assert (report.polarity, report.delay_samples) == (-1, 0.0)
    assert report.correlation == pytest.approx(-1.0)
    assert report.gain_db == pytest.approx(0.0, abs=1e-9)
    assert report.residual.peak_dbfs == pytest.approx(20 * np.log10(0.8), abs=1e-6)
    assert not report.pass_


@pytest.mark.parametrize("delay", [0.5, 3.25, 1000.0, -1000.0, 60_000.0])
def test_delayed(a: Path, delay: float) -> None:
    report = against(a, shift(music(), delay), align=True)
    assert report.delay_samples == pytest.approx(delay, abs=1e-3)
    assert report.polarity == 1
    assert not report.pass_
    assert isinstance(report.aligned_residual, msgspec.Struct)
    rms, before = report.aligned_residual.rms_dbfs, report.residual.rms_dbfs
    assert before is not None
    assert before > -45.0
    assert rms is None or rms < -80.0


def test_louder_and_inverted_and_late_at_once(a: Path) -> None:
    report = against(a, -(10 ** (0.5 / 20)) * shift(music(), 1000), align=True)
    assert report.delay_samples == pytest.approx(1000.0, abs=1e-3)
    assert report.gain_db == pytest.approx(0.5, abs=0.01)
    assert report.polarity == -1


def test_gain_of_half_a_db(a: Path) -> None:
    report = against(a, music() * 10 ** (0.5 / 20), align=True)
    assert report.gain_db == pytest.approx(0.5, abs=1e-9)
    assert report.delay_samples == 0.0
    assert report.residual.peak_dbfs == pytest.approx(20 * np.log10(0.4 * (10 ** (0.5 / 20) - 1)), abs=1e-6)
    assert report.aligned_residual
    assert (report.aligned_residual.peak_dbfs or -400.0) < -280.0


def test_the_longer_files_rest_counts_against_silence(a: Path) -> None:
    longer = np.concatenate([music(), np.full((2, 50), 0.25)], axis=1)
    b = write(a.with_name("b.wav"), longer)
    for one, other, word in ((a, b, "second"), (b, a, "first")):
        events = list(null_test(one, other))
        notes = [event.text for event in events if isinstance(event, Note)]
        assert len(notes) == 1
        assert f"the {word} is 50 frames" in notes[0]
        report = finish(null_test(one, other))
        assert not report.pass_
        assert not report.identical
        assert report.residual.peak_dbfs == pytest.approx(20 * np.log10(0.25))
    silent_rest = against(a, np.concatenate([music(), np.zeros((2, 1))], axis=1))
    assert not silent_rest.pass_
    assert silent_rest.residual.peak_dbfs is None


@pytest.mark.parametrize("kind", ["noise", "click", "tone"])
def test_the_bands_add_up_to_the_residual(tmp_path: Path, kind: str) -> None:
    frames = 100_003
    residual = {
        "noise": 0.01 * np.random.default_rng(1).standard_normal((2, frames)),
        "click": 0.5 * (np.arange(frames) == 77_777) * np.ones((2, 1)),
        "tone": 0.3 * np.sin(2 * np.pi * 997 / RATE * np.arange(frames)) * np.ones((2, 1)),
    }[kind]
    one, other = write(tmp_path / "a.wav", residual), write(tmp_path / "b.wav", np.zeros((2, frames)))
    report = finish(null_test(one, other))
    total = 10 * np.log10(sum(10 ** (band.rms_dbfs / 10) for band in report.bands if band.rms_dbfs is not None))
    assert total == pytest.approx(report.residual.rms_dbfs, abs=1e-6)
    assert report.residual.rms_dbfs == pytest.approx(10 * np.log10(np.mean(residual**2)), abs=1e-9)
    edges = [(band.low_hz, band.high_hz) for band in report.bands]
    assert (edges[0][0], edges[-1][1]) == (0.0, RATE / 2)
    assert all(low[1] == high[0] for low, high in itertools.pairwise(edges))
    if kind == "tone":
        loudest = max(report.bands, key=lambda band: band.rms_dbfs or -999.0)
        assert loudest.low_hz < 997 < loudest.high_hz
        assert loudest.rms_dbfs == pytest.approx(report.residual.rms_dbfs, abs=0.01)


def test_bands_do_not_depend_on_the_cut() -> None:
    signal = music(2.0)
    whole, cut = Bands(RATE, 2), Bands(RATE, 2)
    whole.push(signal)
    for start in range(0, signal.shape[1], 999):
        cut.push(signal[:, start : start + 999])
    for one, other in zip(whole.result(signal.shape[1]), cut.result(signal.shape[1]), strict=True):
        assert one.rms_dbfs == pytest.approx(other.rms_dbfs, abs=1e-9)


@pytest.mark.parametrize("nyquist", [4_000, 22_050, 24_000, 192_000])
def test_edges_rise_to_the_nyquist_frequency(nyquist: float) -> None:
    edges = band_edges(nyquist)
    assert edges == sorted(set(edges))
    assert (edges[0], edges[-1]) == (0.0, nyquist)
    bands = Bands(round(2 * nyquist), 1)
    bands.push(np.random.default_rng(3).standard_normal((1, 100_000)))
    densities = [
        (band.rms_dbfs or -np.inf) - 10 * np.log10((band.high_hz - band.low_hz) / nyquist)
        for band in bands.result(100_000)
    ]
    # White noise holds the same power in every hertz: no band is without bins of its own.
    assert densities == pytest.approx([0.0] * (len(edges) - 1), abs=3.0)


def test_the_residuals_loudness_is_that_of_the_standard(a: Path) -> None:
    time = np.arange(3 * RATE) / RATE
    report = against(a, music() + 10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * time))
    assert report.residual.lufs == pytest.approx(-23.0, abs=0.1)
    quiet = against(a, music() + 10 ** (-93 / 20) * np.sin(2 * np.pi * 1000 * time))
    assert quiet.residual.lufs == pytest.approx(-93.0, abs=0.2)


def test_the_threshold_is_where_it_is_said_to_be(a: Path) -> None:
    b = music()
    b[0, 5000] += 1e-3
    assert against(a, b, dbfs=-59.9).pass_
    assert not against(a, b, dbfs=-60.1).pass_
    assert not against(a, b).pass_
    with pytest.raises(UnbakeError, match="not a number"):
        against(a, b, dbfs=float("nan"))


def test_default_thresholds(tmp_path: Path) -> None:
    infos = {
        subtype: probe(write(tmp_path / f"{subtype}.wav", music(0.1), subtype))
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT")
    }
    assert default_threshold_dbfs(infos["PCM_24"], infos["FLOAT"]) == -90.0
    assert default_threshold_dbfs(infos["PCM_16"], infos["FLOAT"]) == -84.0
    assert default_threshold_dbfs(infos["FLOAT"], infos["PCM_U8"]) == -84.0


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite")])
@pytest.mark.parametrize("which", [0, 1])
def test_bad_samples_are_named(tmp_path: Path, value: float, word: str, which: int) -> None:
    samples = music()
    bad = samples.copy()
    bad[1, 88_200] = value
    paths = [write(tmp_path / "good.wav", samples), write(tmp_path / "bad.wav", bad)]
    with pytest.raises(UnbakeError) as error:
        finish(null_test(paths[which], paths[1 - which]))
    assert error.value.where is not None
    assert error.value.where.endswith("bad.wav")
    assert f"sample is {word} at 0:02.000 (frame 88200), channel 2" in error.value.what


def notes_of(one: Path, other: Path) -> list[str]:
    return [event.text for event in null_test(one, other) if isinstance(event, Note)]


@pytest.mark.parametrize("rate", [8_000, 48_000, 96_000])
def test_another_rate_is_resampled_and_said(tmp_path: Path, rate: int) -> None:
    samples = music(6.0)
    low = samples if rate > RATE else soxr.resample(soxr.resample(samples.T, RATE, rate, "VHQ"), rate, RATE, "VHQ").T
    one = write(tmp_path / "a.wav", low)
    other = write(tmp_path / "b.wav", soxr.resample(low.T, RATE, rate, "VHQ").T, rate=rate)
    report = finish(null_test(one, other))
    above = "" if rate < RATE else "; what it holds above 22050 Hz is not compared"
    assert notes_of(one, other) == [f"B is resampled from {rate} to 44100 Hz (soxr, VHQ){above}"]
    assert not report.identical
    assert (report.sample_rate, report.drift_ppm) == (RATE, 0.0)
    assert report.delay_samples == pytest.approx(0.0, abs=0.005)
    assert report.residual.rms_dbfs is not None
    assert report.residual.rms_dbfs < -70.0


def test_mono_is_held_against_every_channel(a: Path) -> None:
    mono = write(a.with_name("mono.wav"), music()[:1])
    both = write(a.with_name("both.wav"), np.repeat(music()[:1], 2, axis=0))
    for one, other, word in ((mono, both, "A"), (both, mono, "B")):
        assert notes_of(one, other) == [f"{word} is mono, and held against every channel of the other"]
        report = finish(null_test(one, other))
        assert report.pass_
        assert not report.identical
        assert report.residual.peak_dbfs is None
    six = write(a.with_name("six.wav"), music(0.5, 6))
    with pytest.raises(UnbakeError, match=r"channels differ: .*a\.wav has 2, .*six\.wav 6"):
        finish(null_test(a, six))


def test_silence_against_silence_and_against_music(a: Path) -> None:
    report = against(a, np.zeros_like(music()))
    assert (report.delay_samples, report.polarity, report.gain_db, report.correlation) == (0.0, 1, 0.0, 0.0)
    silent = write(a.with_name("s.wav"), np.zeros((2, 1000)))
    assert finish(null_test(silent, silent)).identical


@pytest.mark.parametrize("rate", [8_000, 192_000])
def test_other_rates_mono_and_many_channels(tmp_path: Path, rate: int) -> None:
    for channels in (1, 6):
        samples = music(0.7, channels, rate)
        one = write(tmp_path / "one.wav", samples, rate=rate)
        other = write(tmp_path / "two.wav", samples * 0.5, rate=rate)
        report = finish(null_test(one, other))
        assert report.gain_db == pytest.approx(-6.0206, abs=1e-3)
        assert report.bands[-1].high_hz == rate / 2


def test_one_sample_and_short_files(tmp_path: Path) -> None:
    for frames in (1, 2, 300, 900):
        samples = music(1.0)[:, :frames]
        one, other = write(tmp_path / "one.wav", samples), write(tmp_path / "two.wav", -samples)
        report = finish(null_test(one, other, align=True))
        assert report.residual.peak_dbfs == pytest.approx(20 * np.log10(2 * np.abs(samples).max()))
        assert report.residual.lufs is not None


def test_short_files_a_fraction_apart_still_get_an_aligned_residual(tmp_path: Path) -> None:
    samples = music(1.0)[:, :1500] * np.hanning(1500)
    one, other = write(tmp_path / "one.wav", samples), write(tmp_path / "two.wav", shift(samples, 2.5))
    report = finish(null_test(one, other, align=True))
    assert report.delay_samples == pytest.approx(2.5, abs=0.02)
    assert report.aligned_residual
    assert report.aligned_residual.rms_dbfs is not None
    assert report.residual.rms_dbfs is not None
    assert report.aligned_residual.rms_dbfs < report.residual.rms_dbfs - 25.0


def test_progress_reaches_the_end_and_closing_leaves_no_thread(a: Path) -> None:
    events = [event for event in null_test(a, a) if isinstance(event, Progress)]
    assert events[-1].done == events[-1].total == 3 * RATE
    operation = null_test(a, a)
    while not (isinstance(event := next(operation), Progress) and event.stage == "null test"):
        pass
    assert any(thread.name.startswith("null-read") for thread in threading.enumerate())
    operation.close()
    assert not any(thread.name.startswith("null-read") for thread in threading.enumerate())


def test_real_music_against_itself_late_and_16_bit(data: Path, tmp_path: Path) -> None:
    source = data / "multitracks/waveform-playlist/mixture.flac"
    samples, rate = soundfile.read(source, dtype="int16")
    soundfile.write(tmp_path / "late.flac", np.roll(samples, 441, axis=0), rate, subtype="PCM_16")
    report = finish(null_test(source, tmp_path / "late.flac", align=True))
    assert report.delay_samples == pytest.approx(441.0, abs=1e-3)
    assert report.aligned_residual
    assert report.aligned_residual.peak_dbfs is None or report.aligned_residual.peak_dbfs < -90.0
