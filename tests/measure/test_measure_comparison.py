"""The figures of the phase lab, against independent computations and on damage with a known answer."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal import butter, sosfilt

from core.errors import UnbakeError
from core.events import finish
from core.measure.align import shift
from core.measure.bands import Bands, band_edges
from core.measure.figures import Cause
from core.measure.null import NullReport, null_test

RATE = 44_100
Samples = NDArray[np.float64]


def music(seconds: float = 20.0, seed: int = 1) -> Samples:
    """Pink noise in stereo that swells, with something of its own on either side: float64 [2, frames]."""
    frames = round(seconds * RATE)
    noise = np.random.default_rng(seed).standard_normal((2, frames))
    noise[1] += noise[0]
    spectrum = np.fft.rfft(noise)
    bins = np.arange(spectrum.shape[1])
    lowest = round(30 * seconds)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(bins, lowest)) * (bins < 0.9 * len(bins)) * (bins > 0), frames)
    swell = 1.2 + np.sin(2 * np.pi * 0.3 * np.arange(frames) / RATE)
    return 0.3 * pink * swell / np.abs(pink * swell).max()


def against(folder: Path, a: Samples, b: Samples, subtype: str = "DOUBLE", **asked: object) -> NullReport:
    for name, samples in (("a.wav", a), ("b.wav", b)):
        soundfile.write(folder / name, samples.T, RATE, subtype=subtype)
    return finish(null_test(folder / "a.wav", folder / "b.wav", **asked))  # pyright: ignore[reportArgumentType]


def causes(report: NullReport) -> dict[str, Cause]:
    return {cause.kind: cause for cause in report.explanation.causes}


def test_third_octaves_are_scipys(data: Path) -> None:
    for name in ("masters/wesnoth_love_theme.flac", "masters/singularity_Awakening.flac"):
        read, rate = soundfile.read(data / name, 90 * RATE, always_2d=True)
        assert rate == RATE
        samples = np.ascontiguousarray(np.asarray(read, np.float64).T)
        bands = Bands(RATE, 2, 3)
        for start in range(0, samples.shape[1], 50_000):
            bands.push(samples[:, start : start + 50_000])
        found = bands.result(samples.shape[1])
        # One FFT of all of it: a band's power to the hertz.
        size = 1 << 23
        power = np.square(np.abs(np.asarray(rfft(samples, size)))).mean(axis=0)
        power[1:-1] *= 2.0
        power /= size * samples.shape[1]
        freqs = np.arange(len(power)) * RATE / size
        for band in found:
            level = 10 * np.log10(power[(freqs >= band.low_hz) & (freqs < band.high_hz)].sum())
            assert band.rms_dbfs == pytest.approx(level, abs=0.05), (name, band)


def test_thirds_are_the_standards() -> None:
    edges = band_edges(24_000, 3)
    assert edges[:4] == [0.0, 17.783, 22.387, 28.184]
    middle = [edge for edge in edges if 800 < edge < 1300]
    assert middle == [891.251, 1122.018]
    assert edges[-2:] == [22_387.211, 24_000]


def test_loudness_is_ffmpegs(data: Path) -> None:
    source = data / "masters/wesnoth_love_theme.flac"
    found = finish(null_test(source, source)).a

    def said(meter: str) -> subprocess.CompletedProcess[str]:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", source, "-af", meter, "-f", "null", "-"]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    figures = said("loudnorm=print_format=json").stderr
    assert found.lufs_i == pytest.approx(float(re.findall(r'"input_i" : "(-[\d.]+)"', figures)[0]), abs=0.05)
    course = said("ebur128=metadata=1,ametadata=print:file=-").stdout
    for key, ours in (("M", found.max_momentary_lufs), ("S", found.max_short_term_lufs)):
        assert ours == pytest.approx(max(map(float, re.findall(rf"r128\.{key}=(-?[\d.]+)", course))), abs=0.05)


def test_what_an_untouched_copy_shows(tmp_path: Path) -> None:
    a = music(6)
    report = against(tmp_path, a, a)
    assert (report.differing_samples, report.first_difference, report.worst, report.depth_db) == (0, None, None, None)
    assert (report.delay_samples, report.drift_ppm, report.delay_spread_samples, report.gain_db) == (0.0, 0.0, 0.0, 0.0)
    assert [window.delay_samples for window in report.windows] == [0.0] * 3
    heard = [band for band in report.bands if band.coherence is not None]
    assert len(heard) > 25
    assert all(band.coherence == pytest.approx(1.0) and band.phase_deg == 0.0 for band in heard)
    assert not report.comb.found
    assert report.a == report.b
    assert report.explanation.causes == ()


def test_the_first_and_the_worst_difference_are_placed(tmp_path: Path) -> None:
    a = music(6)
    b = a.copy()
    b[1, 100_000] += 1e-4
    b[0, 200_000] -= 0.25
    report = against(tmp_path, a, b)
    assert (report.differing_samples, report.first_difference) == (2, 100_000)
    assert report.worst is not None
    assert (report.worst.frame, report.worst.channel) == (200_000, 0)
    assert report.worst.seconds == pytest.approx(200_000 / RATE)
    assert report.worst.peak_dbfs == pytest.approx(20 * np.log10(0.25))
    peaks = [window.peak_dbfs for window in report.windows]
    assert peaks[0] is None
    assert peaks[1] is not None
    assert peaks[2] == pytest.approx(report.worst.peak_dbfs)


@pytest.mark.parametrize("delay", [0.1, 2.3])
def test_a_delay_is_the_reason(tmp_path: Path, delay: float) -> None:
    a = music(8)
    report = against(tmp_path, a, shift(a, delay))
    cause = causes(report)["delay"]
    assert report.explanation.causes[0] is cause
    assert cause.left_dbfs == pytest.approx(report.residual.rms_dbfs, abs=1.0)
    assert report.explanation.ceiling is not None
    assert report.explanation.ceiling.rms_dbfs is not None
    assert report.residual.rms_dbfs is not None
    assert report.explanation.ceiling.rms_dbfs < report.residual.rms_dbfs - 30.0


def test_a_tenth_of_a_sample_and_a_hundredth_of_a_db_limit_a_null_as_they_must(tmp_path: Path) -> None:
    white = 0.1 * np.random.default_rng(1).standard_normal((2, 8 * RATE))
    late = against(tmp_path, white, shift(white, 0.1))
    assert late.depth_db == pytest.approx(10 * np.log10(2 * (1 - np.sinc(0.1))), abs=0.2)
    loud = against(tmp_path, white, white * 10 ** (0.01 / 20))
    assert loud.depth_db == pytest.approx(-58.8, abs=0.1)
    assert causes(loud)["gain"].left_dbfs == pytest.approx(loud.residual.rms_dbfs, abs=0.01)


def test_drift_polarity_and_gain_are_named_with_their_share(tmp_path: Path) -> None:
    a = music(20)
    b = -0.7 * soxr.resample(a.T, RATE, RATE * (1 + 40e-6), "VHQ").T
    report = against(tmp_path, a, b, align=True)
    found = causes(report)
    assert set(found) >= {"drift", "polarity", "gain"}
    assert report.drift_ppm == pytest.approx(40.0, abs=0.2)
    assert found["polarity"].left_dbfs == pytest.approx(10 * np.log10(4 * np.square(a).mean()), abs=0.01)
    assert report.aligned_residual
    assert report.aligned_residual.rms_dbfs is not None
    assert report.residual.rms_dbfs is not None
    assert report.aligned_residual.rms_dbfs < report.residual.rms_dbfs - 50.0


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24)])
def test_rounding_is_told_from_other_noise(tmp_path: Path, subtype: str, bits: int) -> None:
    a = music(8)
    step = 2.0 ** (1 - bits)
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, (2, *a.shape)).sum(axis=0)
    soundfile.write(tmp_path / "a.wav", a.T, RATE, subtype="DOUBLE")
    codes = np.round(a / step + noise).astype(np.int32) << (32 - bits)
    soundfile.write(tmp_path / "b.wav", codes.T, RATE, subtype=subtype)
    report = finish(null_test(tmp_path / "a.wav", tmp_path / "b.wav"))
    assert report.residual.rms_dbfs == pytest.approx(20 * np.log10(step / 2), abs=0.05)
    assert causes(report)["rounding"].detail == f"rounding with TPDF dither to {bits} bit"
    assert "noise" not in causes(report)


def test_an_equaliser_is_told_by_what_a_filter_could_do(tmp_path: Path) -> None:
    a = music(12)
    report = against(tmp_path, a, np.asarray(sosfilt(butter(2, 200, "high", fs=RATE, output="sos"), a)))
    assert "filter" in causes(report)
    assert report.explanation.filtered_dbfs is not None
    assert report.residual.rms_dbfs is not None
    assert report.explanation.filtered_dbfs < report.residual.rms_dbfs - 10.0
    under = [band for band in report.bands if band.high_hz < 150 and band.gain_db is not None]
    assert all(band.gain_db is not None and band.gain_db < -4.0 for band in under)


def test_lossy_coding_is_the_reason(tmp_path: Path) -> None:
    a = music(8)
    soundfile.write(tmp_path / "a.wav", a.T, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "b.mp3", a.T, RATE, format="MP3")
    found = causes(finish(null_test(tmp_path / "a.wav", tmp_path / "b.mp3")))
    assert "MPEG_LAYER_III" in found["lossy"].detail


@pytest.mark.parametrize(("gain", "delay_ms"), [(0.05, 3.0), (0.4, 11.0), (-0.2, 1.3)])
def test_a_comb_is_found_with_its_delay_and_ripple(tmp_path: Path, gain: float, delay_ms: float) -> None:
    a = music(12)
    delay = round(delay_ms * RATE / 1e3)
    b = a.copy()
    b[:, delay:] += gain * a[:, :-delay]
    comb = against(tmp_path, a, b).comb
    assert comb.found
    assert comb.delay_ms == pytest.approx(delay / RATE * 1e3, abs=0.03)
    assert comb.cepstral_peak == pytest.approx(abs(gain), rel=0.1)
    assert comb.ripple_db == pytest.approx(20 * np.log10((1 + abs(gain)) / (1 - abs(gain))), rel=0.15)


def test_an_equaliser_is_no_comb(tmp_path: Path) -> None:
    a = music(12)
    for edge in (300, 3000, 12_000):
        assert not against(tmp_path, a, np.asarray(sosfilt(butter(4, edge, fs=RATE, output="sos"), a))).comb.found


def test_the_image_of_a_mix(tmp_path: Path) -> None:
    one = music(6)
    wide = np.stack([one[0], -one[0]])
    wide[:, : 3 * RATE] = one[0, : 3 * RATE]
    report = against(tmp_path, np.repeat(one[:1], 2, axis=0), wide)
    assert report.a.correlation == pytest.approx(1.0)
    assert report.a.mono_loss_lu == pytest.approx(0.0, abs=1e-9)
    assert report.b.least_correlation == pytest.approx(-1.0)
    assert report.b.least_correlation_seconds == pytest.approx(3.0, abs=0.01)
    apart = np.random.default_rng(1).standard_normal((2, 6 * RATE)) * 0.1
    assert against(tmp_path, apart, apart).a.mono_loss_lu == pytest.approx(3.01, abs=0.1)
    mono = against(tmp_path, one[:1], one[:1]).a
    assert (mono.correlation, mono.mono_loss_lu) == (None, None)


def test_a_passage_and_windows(tmp_path: Path) -> None:
    a = music(10)
    b = a.copy()
    b[:, 7 * RATE :] *= 0.5
    whole = against(tmp_path, a, b, window_seconds=0.5)
    assert [window.seconds for window in whole.windows] == pytest.approx(np.arange(20) / 2)
    assert [window.rms_dbfs is None for window in whole.windows] == [True] * 14 + [False] * 6
    before = against(tmp_path, a, b, from_seconds=2.0, to_seconds=7.0)
    assert before.residual.peak_dbfs is None
    assert before.start_seconds == 2.0
    after = against(tmp_path, a, b, from_seconds=6.0)
    assert after.first_difference == 7 * RATE
    assert after.windows[0].seconds == 6.0
    for asked in ({"from_seconds": 11.0}, {"from_seconds": 3.0, "to_seconds": 2.0}, {"window_seconds": 60.0}):
        with pytest.raises(UnbakeError):
            finish(null_test(tmp_path / "a.wav", tmp_path / "b.wav", **asked))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("window_seconds", [0.1, 10.0])
def test_the_length_of_windows_is_no_matter_to_the_other_figures(tmp_path: Path, window_seconds: float) -> None:
    a = music(12)
    b = -0.8 * shift(a, 3.4)
    usual, other = (against(tmp_path, a, b, window_seconds=seconds) for seconds in (2.0, window_seconds))
    assert other.delay_samples == pytest.approx(usual.delay_samples, abs=1e-3)
    assert other.gain_db == pytest.approx(usual.gain_db, abs=0.01)
    assert (other.polarity, other.residual) == (usual.polarity, usual.residual)
    assert all(window.delay_samples == pytest.approx(3.4, abs=0.01) for window in other.windows)
    assert sum(band.coherence is not None for band in other.bands) > 25


def test_quick_gives_the_same_identity_peak_and_rms(tmp_path: Path) -> None:
    a = music(6)
    b = a + 1e-3 * music(6, seed=2)
    slow, quick = (against(tmp_path, a, b, quick=quick) for quick in (False, True))
    assert (quick.residual.peak_dbfs, quick.residual.rms_dbfs) == (slow.residual.peak_dbfs, slow.residual.rms_dbfs)
    assert (quick.differing_samples, quick.first_difference, quick.worst) == (
        slow.differing_samples, slow.first_difference, slow.worst,
    )  # fmt: skip
    assert quick.gain_db == pytest.approx(slow.gain_db, abs=1e-9)
    assert (quick.bands, quick.windows, quick.residual.lufs) == ([], [], None)


def test_dc_and_silence_have_no_delay(tmp_path: Path) -> None:
    for b in (np.full((2, 5 * RATE), 0.25), np.zeros((2, 5 * RATE))):
        report = against(tmp_path, music(5), b)
        assert (report.delay_samples, report.drift_ppm, report.polarity) == (0.0, 0.0, 1)
        assert not report.pass_
        assert not report.comb.found


def test_the_very_same_file_and_an_empty_one(tmp_path: Path) -> None:
    a = music(3)
    soundfile.write(tmp_path / "a.wav", a.T, RATE, subtype="PCM_24")
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    assert finish(null_test(tmp_path / "a.wav", tmp_path / "link.wav")).identical
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 2)), RATE)
    with pytest.raises(UnbakeError, match=r"none\.wav"):
        finish(null_test(tmp_path / "a.wav", tmp_path / "none.wav"))
