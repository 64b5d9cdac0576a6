"""Loudness and true peak against the EBU's own test signals and against two independent meters."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from core.errors import UnbakeError
from core.measure.loudness import Loudness, LoudnessMeter, channel_weights, interpolator, k_weighting

STEREO = ("L", "R")
RATE = 48_000


def measure(samples: NDArray[np.float64], rate: int = RATE, speakers: tuple[str, ...] = STEREO) -> Loudness:
    meter = LoudnessMeter(rate, speakers)
    meter.push(samples)
    return meter.result()


def sine(
    dbfs: float, seconds: float, hz: float = 1000.0, rate: int = RATE, channels: int = 2, degrees: float = 0.0
) -> NDArray[np.float64]:
    time = np.arange(round(seconds * rate)) / rate
    tone = 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * time + np.deg2rad(degrees))
    return np.broadcast_to(tone, (channels, len(time)))


def steps(*parts: tuple[float, float]) -> NDArray[np.float64]:
    mono = np.concatenate([sine(level, seconds, channels=1) for level, seconds in parts], axis=1)
    return np.broadcast_to(mono, (2, mono.shape[1]))


def programme(seconds: float = 30.0, rate: int = 44_100, seed: int = 3) -> NDArray[np.float64]:
    """Noise with a low end whose level wanders by 20 dB, with clicks: something to gate, range over and peak."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    swell = 10 ** ((-22 + 10 * np.sin(2 * np.pi * time / 11.0)) / 20)
    bass = 2.0 * np.sin(2 * np.pi * 55 * time)
    return swell * (rng.standard_normal((2, len(time))) * [[0.7], [0.5]] + bass + 0.4 * np.sin(2 * np.pi * 9000 * time))


def ffmpeg(path: Path) -> tuple[float, float, float]:
    """I, LRA and true peak as FFmpeg's ebur128 has them, each to 0.1."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    run = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostats", "-i", path, "-af", "ebur128=peak=true", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    summary = run.stderr.rsplit("Summary:", 1)[1]
    found = [re.search(pattern, summary) for pattern in (r"I:\s+(\S+) LUFS", r"LRA:\s+(\S+) LU", r"Peak:\s+(\S+) dBFS")]
    first, second, third = (float(match.group(1)) for match in found if match)
    return first, second, third


def test_k_weighting_gives_the_standards_own_coefficients_at_48_khz() -> None:
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48_000), [shelf, high_pass], rtol=0, atol=1e-11)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 96_000, 192_000, 384_000])
def test_997_hz_at_full_scale_in_one_channel_reads_minus_3_01_at_any_rate(rate: int) -> None:
    result = measure(sine(0.0, 3.0, 997.0, rate, channels=1), rate, ("M",))
    # At 8 kHz the bilinear transform squeezes the shelf against the Nyquist frequency.
    assert result.lufs_i == pytest.approx(-3.01, abs=0.25 if rate < 12_000 else 0.02)
    assert result.sample_peak_dbfs == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(-23.0, 20)], -23.0),
        ([(-33.0, 20)], -33.0),
        ([(-36.0, 10), (-23.0, 60), (-36.0, 10)], -23.0),
        ([(-72.0, 10), (-36.0, 10), (-23.0, 60), (-36.0, 10), (-72.0, 10)], -23.0),
        ([(-26.0, 20), (-20.0, 20.1), (-26.0, 20)], -23.0),
    ],
    ids=["1", "2", "3", "4", "5"],
)
def test_ebu_3341_integrated_cases(parts: list[tuple[float, float]], expected: float) -> None:
    assert measure(steps(*parts)).lufs_i == pytest.approx(expected, abs=0.1)


def test_ebu_3341_case_6_weighs_surround_channels() -> None:
    levels = {"L": -28.0, "R": -28.0, "C": -24.0, "Ls": -30.0, "Rs": -30.0}
    channels = [sine(level, 20.0, channels=1) for level in levels.values()]
    assert measure(np.concatenate(channels), speakers=tuple(levels)).lufs_i == pytest.approx(-23.0, abs=0.1)


def test_ebu_3341_case_9_and_12_maxima() -> None:
    short_term = measure(np.tile(steps((-20.0, 1.34), (-30.0, 1.66)), 5))
    assert short_term.max_short_term_lufs == pytest.approx(-23.0, abs=0.1)
    momentary = measure(np.tile(steps((-20.0, 0.18), (-30.0, 0.22)), 25))
    assert momentary.max_momentary_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(
    ("rate", "hz_of_rate", "degrees", "level", "expected"),
    [
        (48_000, 1 / 4, 0.0, 0.5, -6.0),
        (48_000, 1 / 4, 45.0, 0.5, -6.0),
        (48_000, 1 / 6, 60.0, 0.5, -6.0),
        (48_000, 1 / 8, 67.5, 0.5, -6.0),
        (48_000, 1 / 4, 45.0, 1.41, 3.0),
        (44_100, 1 / 4, 45.0, 0.5, -6.0),
        (96_000, 1 / 4, 45.0, 0.5, -6.0),
    ],
    ids=["15", "16", "17", "18", "19", "44.1 kHz", "96 kHz"],
)
def test_ebu_3341_true_peak_cases(rate: int, hz_of_rate: float, degrees: float, level: float, expected: float) -> None:
    signal = sine(20 * np.log10(level), 1.0, hz_of_rate * rate, rate, degrees=degrees)
    fade = np.minimum(1.0, np.minimum(np.arange(rate), np.arange(rate)[::-1]) / (0.01 * rate))
    read = measure(signal * fade, rate).true_peak_dbtp
    assert read is not None
    assert expected - 0.4 <= read <= expected + 0.2


@pytest.mark.parametrize(("levels", "expected"), [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20)])
def test_ebu_3342_range_of_two_levels(levels: tuple[float, float], expected: float) -> None:
    assert measure(steps(*((level, 20.0) for level in levels))).lra_lu == pytest.approx(expected, abs=1.0)


def test_ebu_3342_case_4_gates_what_is_far_below() -> None:
    signal = steps((-50.0, 20), (-35.0, 20), (-20.0, 20), (-35.0, 20), (-50.0, 20))
    assert measure(signal).lra_lu == pytest.approx(15.0, abs=1.0)


def test_true_peak_skips_only_what_cannot_matter() -> None:
    signal = programme(4.0)
    kernel = interpolator(4)
    padded = np.pad(signal, ((0, 0), (40, 40)))
    between = max(np.abs(np.convolve(channel, phase)).max() for channel in padded for phase in kernel)
    expected = 20 * np.log10(max(between, np.abs(signal).max()))
    assert measure(signal, 44_100).true_peak_dbtp == pytest.approx(expected, abs=1e-10)
    assert between > 1.02 * np.abs(signal).max()


def test_true_peak_rings_on_after_the_last_sample() -> None:
    alternating = np.array([[0.5, -0.5] * 100 + [0.5, 0.5]])
    read = measure(alternating, speakers=("M",)).true_peak_dbtp
    assert read is not None
    assert read > -5.0


@pytest.mark.parametrize("size", [1_000, 4_097, 65_536, 200_000])
def test_the_answer_does_not_depend_on_the_cut(size: int) -> None:
    signal = programme(9.3)
    meter = LoudnessMeter(44_100, STEREO)
    for start in range(0, signal.shape[1], size):
        meter.push(signal[:, start : start + size])
    assert meter.result() == measure(signal, 44_100)


def test_asking_in_between_changes_nothing() -> None:
    signal = programme(7.7)
    meter = LoudnessMeter(44_100, STEREO)
    meter.push(signal[:, :150_001])
    assert meter.result() == measure(signal[:, :150_001], 44_100)
    meter.push(signal[:, 150_001:])
    assert meter.result() == measure(signal, 44_100)


def test_integrated_agrees_with_pyloudnorm() -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm")
    signal = programme()
    ours = measure(signal, 44_100)
    theirs = pyloudnorm.Meter(44_100, filter_class="DeMan")
    assert ours.lufs_i == pytest.approx(theirs.integrated_loudness(signal.T), abs=0.05)
    # It moves its 3 s window by a second where ours moves by 100 ms: other values to take percentiles of.
    assert ours.lra_lu == pytest.approx(theirs.loudness_range(signal.T), abs=0.4)


def test_ffmpeg_agrees_on_a_programme(tmp_path: Path) -> None:
    signal = programme()
    soundfile.write(tmp_path / "p.wav", signal.T, 44_100, subtype="DOUBLE")
    ours = measure(signal, 44_100)
    assert (ours.lufs_i, ours.lra_lu, ours.true_peak_dbtp) == pytest.approx(ffmpeg(tmp_path / "p.wav"), abs=0.15)


@pytest.mark.parametrize("name", ["masters/wesnoth_love_theme.flac", "multitracks/waveform-playlist/mixture.flac"])
def test_ffmpeg_agrees_on_music(data: Path, name: str, tmp_path: Path) -> None:
    samples, rate = soundfile.read(data / name, frames=44_100 * 40, dtype="float64")
    soundfile.write(tmp_path / "music.wav", samples, rate, subtype="PCM_16")
    ours = measure(np.asarray(samples.T, dtype=np.float64), rate)
    integrated, lra, true_peak = ffmpeg(tmp_path / "music.wav")
    assert ours.lufs_i == pytest.approx(integrated, abs=0.1)
    assert ours.lra_lu == pytest.approx(lra, abs=0.2)
    assert ours.true_peak_dbtp == pytest.approx(true_peak, abs=0.1)


def test_silence_has_no_level() -> None:
    assert measure(np.zeros((2, RATE * 4))) == Loudness(None, None, None, None, None, None)
    assert LoudnessMeter(RATE, STEREO).result() == Loudness(None, None, None, None, None, None)


def test_silence_after_sound_costs_no_accuracy() -> None:
    signal = np.concatenate([programme(5.0), np.zeros((2, 44_100 * 5))], axis=1)
    tail = measure(np.concatenate([signal, programme(5.0)], axis=1), 44_100)
    assert tail.lufs_i == pytest.approx(measure(programme(5.0), 44_100).lufs_i, abs=0.3)


def test_one_sample_has_a_peak_and_no_loudness() -> None:
    result = measure(np.array([[0.5], [0.25]]))
    assert result.sample_peak_dbfs == pytest.approx(-6.0206, abs=1e-4)
    assert result.true_peak_dbtp == pytest.approx(-6.0206, abs=1e-4)
    assert (result.lufs_i, result.lra_lu, result.max_momentary_lufs, result.max_short_term_lufs) == (None,) * 4


def test_400_ms_is_enough_for_loudness_and_3_s_not_for_a_range() -> None:
    assert measure(sine(-20, 0.399)).lufs_i is None
    assert measure(sine(-20, 0.4)).lufs_i == pytest.approx(-20.0, abs=0.1)
    three = measure(sine(-20, 3.0))
    assert three.max_short_term_lufs == pytest.approx(-20.0, abs=0.1)
    assert three.lra_lu is None


def test_the_lfe_is_not_heard_but_peaks() -> None:
    signal = np.zeros((6, RATE * 2))
    signal[3] = sine(-6.0, 2.0, 50.0, channels=1)
    result = measure(signal, speakers=("L", "R", "C", "LFE", "Ls", "Rs"))
    assert result.lufs_i is None
    assert result.sample_peak_dbfs == pytest.approx(-6.0, abs=0.01)


def test_weights_follow_the_layout() -> None:
    assert channel_weights(("L", "R", "C", "LFE", "Lb", "Rb")).tolist() == [1, 1, 1, 0, 1.41, 1.41]
    assert channel_weights(("L", "R", "C", "LFE", "Lb", "Rb", "Ls", "Rs")).tolist() == [1, 1, 1, 0, 1, 1, 1.41, 1.41]
    assert channel_weights(("L", "R", "C", "LFE", "Cs", "Ls", "Rs")).tolist() == [1, 1, 1, 0, 1, 1.41, 1.41]
    with pytest.raises(UnbakeError, match="speaker 'X'"):
        channel_weights(("X",))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(value: float) -> None:
    signal = programme(2.0)
    signal[1, 1234] = value
    with pytest.raises(UnbakeError, match="NaN or infinite"):
        measure(signal, 44_100)


def test_a_block_of_another_shape_is_refused() -> None:
    with pytest.raises(UnbakeError, match="2 channels"):
        LoudnessMeter(RATE, STEREO).push(np.zeros((1, 10)))


def test_above_192_khz_the_sample_peak_is_the_true_peak() -> None:
    result = measure(sine(-3.0, 1.0, 1000.0, 192_000), 192_000)
    assert result.true_peak_dbtp == result.sample_peak_dbfs


def test_ungated_level_of_what_lies_below_the_gate() -> None:
    meter = LoudnessMeter(RATE, STEREO)
    meter.push(sine(-90.0, 3.25))
    assert meter.result().lufs_i is None
    assert meter.ungated_lufs() == pytest.approx(-90.0, abs=0.1)
    assert LoudnessMeter(RATE, STEREO).ungated_lufs() is None
