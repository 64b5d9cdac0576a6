"""Dynamics, transients, mono, delay and phase: what they promise, to the sample, whatever the blocks."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from core.errors import UnbakeError
from core.session.document import Strip
from core.session.processors import (
    AllPass,
    Bell,
    Compressor,
    DeEsser,
    Delay,
    DynamicBell,
    Gain,
    Gate,
    MonoBelow,
    Saturation,
    StripProcessor,
    TransientShaper,
)
from core.strips.chain import build_strip
from core.strips.stage import Aligned, Block

RATE = 44_100
STEREO = ("L", "R")
EVERY: tuple[StripProcessor, ...] = (
    TransientShaper(attack_db=9.0, sustain_db=-12.0),
    TransientShaper(attack_db=-6.0, sustain_db=6.0, low_hz=150.0, high_hz=4000.0, mix=0.7),
    TransientShaper(attack_db=12.0, high_hz=200.0, guard=False),
    Compressor(threshold_db=-30.0, ratio=4.0, makeup_db=3.0),
    Compressor(threshold_db=-24.0, ratio=20.0, knee_db=0.0, attack_ms=0.1, release_ms=20.0, mix=0.5),
    Gate(threshold_db=-20.0, ratio=3.0),
    Gate(threshold_db=-25.0, ratio=50.0, hold_ms=0.0, range_db=80.0),
    DynamicBell(freq_hz=200.0, q=1.0, threshold_db=-36.0, range_db=-9.0),
    DynamicBell(freq_hz=1500.0, threshold_db=-30.0, range_db=6.0, acts="below", attack_ms=2.0, release_ms=40.0),
    DeEsser(freq_hz=5000.0, range_db=12.0, threshold_db=-20.0),
    DeEsser(freq_hz=6000.0, high_hz=9000.0, range_db=6.0),
    Saturation(drive_db=12.0),
    Saturation(drive_db=30.0, mix=0.3),
    MonoBelow(freq_hz=150.0),
    Delay(frames=141.87),
    Delay(frames=-330.75),
    AllPass(freq_hz=200.0, q=0.7),
    Gain(gain_db=-1.0, points=((0.01, 0.0), (0.05, -12.0), (1.2, 6.0))),
)


def through(processor: StripProcessor, sound: Block, rate: int = RATE, size: int | None = None) -> Block:
    """A sound through a processor, in time with what went in."""
    speakers = STEREO[: sound.shape[0]] if sound.shape[0] == 2 else ("M",)
    at = 0

    def read(frames: int) -> Block:
        nonlocal at
        found = sound[:, at : at + frames]
        at += frames
        return np.pad(found, ((0, 0), (0, frames - found.shape[1])))

    aligned = Aligned(build_strip("x", Strip(chain=(processor,)), rate, speakers), read)
    step = size or sound.shape[1]
    parts = [aligned.read(min(step, sound.shape[1] - start)) for start in range(0, sound.shape[1], step)]
    return np.concatenate(parts, axis=1)


def hits(seconds: float = 2.0, rate: int = RATE) -> Block:
    """A drum every half second: 200 Hz that dies away by 40 dB a second."""
    time_s = np.arange(round(seconds * rate)) / rate
    since = time_s % 0.5
    sound = 0.3 * np.sin(2 * np.pi * 200.0 * since) * 10 ** (-40.0 * since / 20.0)
    return np.stack([sound, 0.8 * sound])


def tone(freq_hz: float, level_db: float = -12.0, seconds: float = 2.0, rate: int = RATE) -> Block:
    time_s = np.arange(round(seconds * rate)) / rate
    return np.stack([10 ** (level_db / 20) * np.sin(2 * np.pi * freq_hz * time_s)] * 2)


def music(frames: int = 3 * RATE) -> Block:
    rng = np.random.default_rng(5)
    swell = 0.2 * (1 + np.sin(2 * np.pi * 1.7 * np.arange(frames) / RATE))
    return rng.standard_normal((2, frames)) * swell + hits(frames / RATE)


def gain_db(out: Block, sound: Block, where: slice) -> float:
    return 10 * np.log10((out[:, where] ** 2).sum() / (sound[:, where] ** 2).sum())


@pytest.mark.parametrize("processor", EVERY, ids=lambda each: str(each.__struct_config__.tag))
@pytest.mark.parametrize("size", [1, 64, 4096])
def test_blocks_of_any_size_agree_to_200_db(processor: StripProcessor, size: int) -> None:
    sound = music(3000 if size == 1 else 3 * RATE)
    whole = through(processor, sound)
    assert np.abs(through(processor, sound, size=size) - whole).max() < 10 ** (-200 / 20)
    assert np.abs(whole - sound).max() > 1e-3, "it does something"


@pytest.mark.parametrize("processor", EVERY, ids=lambda each: str(each.__struct_config__.tag))
def test_a_stage_that_was_reset_begins_anew(processor: StripProcessor) -> None:
    sound = music(20_000)
    stage = build_strip("x", Strip(chain=(processor,)), RATE, STEREO)
    first = stage.process(sound)
    stage.reset()
    assert np.array_equal(stage.process(sound), first)


@pytest.mark.parametrize("processor", EVERY, ids=lambda each: str(each.__struct_config__.tag))
def test_what_came_before_the_memory_is_not_heard(processor: StripProcessor) -> None:
    """A start in the middle that hears the memory first gives the whole's samples to -120 dBFS."""
    stage = build_strip("x", Strip(chain=(processor,)), RATE, STEREO)
    before = stage.memory + stage.latency
    sound = music(before + RATE)
    sound[:, 100:2000] = 0.99  # something loud long ago
    late = stage.process(sound)[:, -RATE // 2 :]
    stage.reset()
    stage.start(RATE // 2)
    again = stage.process(sound[:, -(before + RATE // 2) :])[:, -RATE // 2 :]
    assert np.abs(late - again).max() < 10 ** (-120 / 20)


@pytest.mark.parametrize("rate", [8000, 192_000])
@pytest.mark.parametrize(
    "processor", [EVERY[0], EVERY[3], EVERY[5], EVERY[7], EVERY[8], EVERY[11], EVERY[14], EVERY[16]], ids=str
)
def test_unusual_rates_silence_and_one_frame(processor: StripProcessor, rate: int) -> None:
    assert not through(processor, np.zeros((2, 5000)), rate).any()
    assert through(processor, np.full((1, 1), 0.5), rate).shape == (1, 1)
    assert np.isfinite(through(processor, music(10_000), rate)).all()


@pytest.mark.parametrize(
    "processor",
    [
        TransientShaper(), TransientShaper(attack_db=6.0, mix=0.0),
        TransientShaper(attack_db=6.0, low_hz=200.0, high_hz=200.0), DynamicBell(freq_hz=200.0, sidechain="drums"),
        DeEsser(freq_hz=5000.0, high_hz=4000.0, range_db=6.0), Compressor(), Compressor(ratio=4.0, mix=0.0), Gate(),
        Gate(ratio=4.0, range_db=0.0), DeEsser(freq_hz=5000.0), Delay(), Saturation(),
        Saturation(drive_db=6.0, mix=0.0),
    ],
)  # fmt: skip
def test_neutral_settings_are_skipped(processor: StripProcessor) -> None:
    assert processor.neutral
    assert Strip(chain=(processor,)).neutral


# ---- transients


def test_attacks_are_lifted_and_tails_are_not() -> None:
    sound = hits()
    out = through(TransientShaper(attack_db=6.0), sound)
    for hit in (1, 2, 3):  # the first one rises out of nothing
        start = hit * RATE // 2
        assert gain_db(out, sound, slice(start, start + 200)) == pytest.approx(6.0, abs=1.0)
        assert abs(gain_db(out, sound, slice(start + RATE // 8, start + RATE // 2 - 500))) < 0.1


def test_tails_are_shortened_and_attacks_are_not() -> None:
    sound = hits()
    out = through(TransientShaper(sustain_db=-12.0), sound)
    for hit in (1, 2, 3):
        start = hit * RATE // 2
        assert abs(gain_db(out, sound, slice(start, start + 400))) < 0.3
        assert gain_db(out, sound, slice(start + RATE // 3, start + RATE // 2 - 500)) < -5.0


@pytest.mark.parametrize("level_db", [-40.0, -3.0])
def test_a_shaper_hears_no_level(level_db: float) -> None:
    sound, factor = hits(), 10 ** (level_db / 20)
    shaper = TransientShaper(attack_db=6.0, sustain_db=-9.0, guard=False)
    found = through(shaper, factor * sound)[:, RATE // 2 :]
    assert np.abs(found / factor - through(shaper, sound)[:, RATE // 2 :]).max() < 0.02


@pytest.mark.parametrize("freq_hz", [40.0, 50.0, 1000.0])
def test_a_steady_tone_is_left_alone(freq_hz: float) -> None:
    sound = tone(freq_hz)
    out = through(TransientShaper(attack_db=15.0, sustain_db=24.0), sound)
    settled = slice(RATE // 2, 2 * RATE - 2000)
    assert np.array_equal(out[:, settled], sound[:, settled])


def test_the_guard_lets_no_peak_over_full_scale_or_higher_than_it_was() -> None:
    loud = 3.2 * hits()  # peaks of 0.96
    assert np.abs(through(TransientShaper(attack_db=15.0, guard=False), loud)).max() > 2.0
    assert np.abs(through(TransientShaper(attack_db=15.0), loud)).max() <= 1.0
    assert np.abs(through(TransientShaper(attack_db=15.0, low_hz=100.0, high_hz=1000.0), loud)).max() <= 1.0
    clipped = 1.5 * loud
    assert np.abs(through(TransientShaper(attack_db=15.0), clipped)).max() <= np.abs(clipped).max()


def test_a_band_of_a_shaper_leaves_the_rest() -> None:
    sound = hits() + tone(5000.0)
    out = through(TransientShaper(attack_db=12.0, sustain_db=-12.0, high_hz=1000.0), sound)
    change = np.fft.rfft((out - sound)[0])
    freqs = np.fft.rfftfreq(sound.shape[1], 1 / RATE)
    far = np.abs(change[freqs > 3000.0]).max() / np.abs(change).max()
    assert 20 * np.log10(far) < -60


def test_a_band_above_what_the_file_holds_is_empty() -> None:
    sound = hits(rate=8000)
    assert np.array_equal(through(TransientShaper(attack_db=12.0, low_hz=4500.0), sound, 8000), sound)
    whole = through(TransientShaper(attack_db=12.0, high_hz=4500.0), sound, 8000)
    assert np.array_equal(whole, through(TransientShaper(attack_db=12.0), sound, 8000))


# ---- compressor and expander


@pytest.mark.parametrize(
    ("threshold_db", "ratio", "knee_db"), [(-30.0, 4.0, 6.0), (-20.0, 2.0, 0.0), (-12.0, 100.0, 12.0)]
)
def test_the_compressor_has_its_static_curve(threshold_db: float, ratio: float, knee_db: float) -> None:
    compressor = Compressor(threshold_db=threshold_db, ratio=ratio, knee_db=knee_db, attack_ms=5.0, release_ms=500.0)
    for level in (-50.0, threshold_db - 2.0, threshold_db, threshold_db + 2.0, threshold_db + 10.0):
        sound = tone(1000.0, level, seconds=2.0)
        over = level - threshold_db
        inside = abs(2 * over) <= knee_db
        expected = (over + knee_db / 2) ** 2 / (2 * knee_db) if inside and knee_db else max(over, 0.0)
        found = gain_db(through(compressor, sound), sound, slice(RATE, 2 * RATE))
        assert found == pytest.approx(-(1 - 1 / ratio) * expected, abs=0.05)


def test_what_stays_under_the_threshold_passes_bit_for_bit() -> None:
    quiet = 0.01 * music()
    assert np.array_equal(through(Compressor(threshold_db=-6.0, ratio=8.0), quiet), quiet)
    loud = np.clip(0.5 + 0.2 * music(), 0.2, 1.0)
    open_ = through(Gate(threshold_db=-40.0, ratio=8.0), loud)
    assert np.array_equal(open_[:, RATE:], loud[:, RATE:])


def test_attack_and_release_take_their_times() -> None:
    level = np.full((1, 4 * RATE), 0.01)
    level[:, RATE : 2 * RATE] = 1.0
    compressor = Compressor(threshold_db=-20.0, ratio=2.0, knee_db=0.0, attack_ms=50.0, release_ms=200.0)
    reduction_db = -20 * np.log10(through(compressor, level) / level)[0]
    assert reduction_db[RATE + round(0.05 * RATE)] == pytest.approx(10.0 * (1 - np.exp(-1)), abs=0.05)
    assert reduction_db[2 * RATE - 1] == pytest.approx(10.0, abs=0.01)
    assert reduction_db[2 * RATE + round(0.4 * RATE)] == pytest.approx(10.0 * np.exp(-2) * 4 / 3, rel=0.02)


def test_the_gate_takes_the_pauses_down_to_its_range() -> None:
    sound = np.concatenate([tone(1000.0, -10.0, 1.0), tone(1000.0, -50.0, 1.0), tone(1000.0, -10.0, 1.0)], axis=1)
    out = through(Gate(threshold_db=-40.0, ratio=2.0, knee_db=0.0, range_db=40.0), sound)
    assert gain_db(out, sound, slice(2 * RATE - RATE // 4, 2 * RATE)) == pytest.approx(-10.0, abs=0.1)
    assert abs(gain_db(out, sound, slice(RATE // 2, RATE))) < 0.01
    gated = through(Gate(threshold_db=-40.0, ratio=100.0, range_db=30.0), sound)
    assert gain_db(gated, sound, slice(2 * RATE - RATE // 4, 2 * RATE)) == pytest.approx(-30.0, abs=0.1)
    assert abs(gain_db(gated, sound, slice(2 * RATE + RATE // 50, 3 * RATE))) < 0.1, "it opens again"


def test_the_mix_is_a_share_of_what_is_compressed() -> None:
    sound = music()
    wet = through(Compressor(threshold_db=-30.0, ratio=4.0), sound)
    half = through(Compressor(threshold_db=-30.0, ratio=4.0, mix=0.5), sound)
    assert np.allclose(half, (sound + wet) / 2, atol=1e-12)


# ---- dynamic bell


@pytest.mark.parametrize("range_db", [-12.0, 9.0])
def test_at_its_whole_range_it_is_the_bell_of_that_gain_and_q(range_db: float) -> None:
    sound = music()
    dynamic = through(DynamicBell(freq_hz=400.0, q=1.3, threshold_db=-100.0, range_db=range_db, attack_ms=0.02), sound)
    static = through(Bell(freq_hz=400.0, q=1.3, gain_db=range_db), sound)
    assert np.abs(dynamic - static)[:, 200:].max() < 1e-6


@pytest.mark.parametrize(("acts", "range_db"), [("above", -9.0), ("above", 6.0), ("below", -9.0), ("below", 6.0)])
def test_every_db_past_the_threshold_is_one_of_gain_up_to_the_range(acts: Any, range_db: float) -> None:
    side = 1.0 if acts == "above" else -1.0
    bell = DynamicBell(freq_hz=1000.0, q=1.0, threshold_db=-30.0, range_db=range_db, acts=acts, release_ms=50.0)
    for past_db in (-10.0, -3.0, 0.0, 5.0, 20.0):
        sound = tone(1000.0, -30.0 + side * past_db, seconds=2.0)
        expected = 0.75 if past_db == 0.0 else min(max(past_db, 0.0), abs(range_db))  # half of a knee of 6 dB at it
        found = gain_db(through(bell, sound), sound, slice(RATE, 2 * RATE))
        assert found == pytest.approx(np.sign(range_db) * expected, abs=0.01)


def test_it_hears_its_band_and_treats_it_alone() -> None:
    loud, quiet = tone(4000.0, -6.0), tone(100.0, -60.0)
    bell = DynamicBell(freq_hz=100.0, q=2.0, threshold_db=-28.0, range_db=-12.0)
    assert np.array_equal(through(bell, loud + quiet), loud + quiet), "what is loud elsewhere is not heard"
    both = loud + tone(100.0, -12.0)
    change = (through(bell, both) - both)[0, RATE : 2 * RATE]
    levels = np.abs(np.fft.rfft(change)) / (RATE / 2)
    assert 20 * np.log10(levels[100]) == pytest.approx(-12.0 + 20 * np.log10(1 - 10 ** (-12 / 20)), abs=0.1)
    assert levels[4000] < 0.05 * levels[100]


def test_a_dynamic_bell_comes_and_goes_in_its_times() -> None:
    sound = tone(1000.0, 0.0, seconds=4.0)
    sound[:, :RATE] *= 0.001
    sound[:, 2 * RATE :] *= 0.001
    bell = DynamicBell(freq_hz=1000.0, q=0.5, threshold_db=-40.0, range_db=-10.0, attack_ms=50.0, release_ms=200.0)
    out = through(bell, sound)
    window = RATE // 100  # ten periods

    def reduction_db(at_s: float) -> float:
        return -gain_db(out, sound, slice(round(at_s * RATE) - window // 2, round(at_s * RATE) + window // 2))

    assert reduction_db(1.05) == pytest.approx(10.0 * (1 - np.exp(-1)), abs=0.3)
    assert reduction_db(1.99) == pytest.approx(10.0, abs=0.02)
    assert reduction_db(2.4) == pytest.approx(10.0 * np.exp(-2) * 4 / 3, rel=0.1)


def test_a_steady_tone_in_the_band_is_not_modulated() -> None:
    """The level beside it is that of the tone at every frame: no distortion at any attack."""
    sound = tone(200.0, -6.0, seconds=2.0)
    bell = DynamicBell(freq_hz=200.0, q=1.0, threshold_db=-10.0, range_db=-12.0, attack_ms=0.02, release_ms=5.0)
    settled = through(bell, sound)[0, RATE : 2 * RATE]
    levels = np.abs(np.fft.rfft(settled)) / (RATE / 2)
    assert levels[[400, 600, 800]].max() / levels[200] < 1e-6


# ---- de-esser


def test_sibilants_go_down_and_the_voice_stays() -> None:
    voice, ess = tone(300.0, -12.0), np.zeros((2, 2 * RATE))
    ess[:, RATE : RATE + RATE // 5] = tone(7500.0, -6.0, 0.2)
    quiet = np.where(ess.any(axis=0), 0.1, 1.0) * voice
    for factor in (1.0, 0.05):
        sound = factor * (quiet + ess)
        out = through(DeEsser(freq_hz=5000.0, range_db=9.0, threshold_db=-10.0), sound)
        inside = slice(RATE + RATE // 20, RATE + RATE // 6)
        assert gain_db(out, sound, inside) == pytest.approx(-9.0, abs=0.5)
        before = slice(RATE // 2, RATE - 2000)
        assert np.abs(out - sound)[:, before].max() < factor * 1e-5, "without sibilants nothing moves"


# ---- saturation


@pytest.mark.parametrize("drive_db", [6.0, 24.0])
def test_saturation_is_its_curve_and_leaves_what_is_quiet(drive_db: float) -> None:
    k = 10 ** (drive_db / 20) - 1
    sound = tone(100.0, -1.0)
    out = through(Saturation(drive_db=drive_db), sound)
    inside = slice(RATE, RATE + 5000)
    assert np.abs(out - np.tanh(k * sound) / k)[:, inside].max() < 1e-4
    quiet = 1e-5 * music()
    assert np.abs(through(Saturation(drive_db=drive_db), quiet) - quiet).max() < 1e-9


def test_what_folds_back_is_stated() -> None:
    """A full-scale 5 kHz tone at 12 dB of drive: harmonics, and nothing over -130 dBFS between them."""
    frames = 1 << 16
    bin_ = round(5000.0 / RATE * frames)
    sound = np.sin(2 * np.pi * bin_ * np.arange(4 * frames) / frames)[np.newaxis]
    out = through(Saturation(drive_db=12.0), sound)[0, frames : 2 * frames]
    levels = 20 * np.log10(np.abs(np.fft.rfft(out)) / (frames / 2) + 1e-15)
    harmonics = [bin_, 3 * bin_]
    assert levels[3 * bin_] > -40
    levels[harmonics] = -300.0
    assert levels.max() < -130


# ---- stereo, time and phase


def test_mono_below_and_as_it_was_above() -> None:
    low, high = tone(50.0), tone(1000.0)
    sound = low * np.array([[1.0], [-0.5]]) + high * np.array([[1.0], [-1.0]])
    out = through(MonoBelow(freq_hz=200.0), sound)
    middle = slice(RATE // 2, RATE)
    side, was = (out[0] - out[1])[middle], (sound[0] - sound[1])[middle]
    freqs = np.fft.rfftfreq(len(side), 1 / RATE)
    for freq_hz, expected in ((50.0, 0.0), (1000.0, 1.0)):
        bin_ = int(np.argmin(np.abs(freqs - freq_hz)))
        share = np.abs(np.fft.rfft(side))[bin_] / np.abs(np.fft.rfft(was))[bin_]
        assert share == pytest.approx(expected, abs=0.001)
    assert np.allclose((out[0] + out[1])[middle], (sound[0] + sound[1])[middle], atol=1e-12), "the middle stays"
    with pytest.raises(UnbakeError, match=r"strips\.x\.chain\[0\]: mono_below needs a left-right pair"):
        build_strip("x", Strip(chain=(MonoBelow(freq_hz=100.0),)), RATE, ("M",))


@pytest.mark.parametrize("frames", [0.01, 44.1, 543.21, 20_000.0, -0.01, -44.1, -543.21, -20_000.0])
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_a_delay_is_exact_to_the_part_of_a_frame(frames: float, rate: int) -> None:
    at = np.arange(3 * 20_000)
    out = through(Delay(frames=frames), np.sin(0.6 * np.pi * at)[np.newaxis], rate)[0]
    expected = np.sin(0.6 * np.pi * (at - frames))
    inside = slice(25_000, 35_000)
    assert np.abs(out - expected)[inside].max() < 1e-5


@pytest.mark.parametrize("frames", [1, 100, -1, -100])
def test_whole_frames_of_delay_move_samples_bit_for_bit(frames: int) -> None:
    sound = music(RATE)
    out = through(Delay(frames=float(frames)), sound)
    later, earlier = (out, sound) if frames > 0 else (sound, out)
    assert np.array_equal(later[:, abs(frames) :], earlier[:, : -abs(frames)])


def test_an_all_pass_turns_phase_and_leaves_levels() -> None:
    sound = np.zeros((1, 1 << 15))
    sound[0, 0] = 1.0
    spectrum = np.fft.rfft(through(AllPass(freq_hz=1000.0, q=0.7), sound)[0])
    assert np.allclose(np.abs(spectrum), 1.0, atol=1e-9)
    phase = np.unwrap(np.angle(spectrum))
    freqs = np.fft.rfftfreq(1 << 15, 1 / RATE)
    assert np.interp(1000.0, freqs, phase) == pytest.approx(-np.pi, abs=0.01)


# ---- what can't be


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TransientShaper, {"attack_db": 15.1}), (TransientShaper, {"sustain_db": -24.5}),
        (TransientShaper, {"attack_ms": 0.0}), (DynamicBell, {"range_db": 24.1, "freq_hz": 200.0}),
        (DynamicBell, {"threshold_db": float("nan"), "freq_hz": 200.0}), (DynamicBell, {"q": 0.05, "freq_hz": 200.0}),
        (Compressor, {"ratio": 0.9}), (Compressor, {"threshold_db": float("nan")}), (Compressor, {"mix": 1.1}),
        (Gate, {"hold_ms": -1.0}), (DeEsser, {"range_db": 25.0, "freq_hz": 5000.0}), (Delay, {"frames": 20_001.0}),
        (MonoBelow, {"freq_hz": 5.0}), (AllPass, {"freq_hz": float("inf")}),
    ],
)  # fmt: skip
def test_values_beyond_their_range_are_refused(kind: type[StripProcessor], values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        kind(**values)  # type: ignore[arg-type]


def test_at_their_limits_all_of_them_run() -> None:
    sound = music(4000)
    for processor in EVERY:
        kind = type(processor)
        for field in msgspec.structs.fields(kind):
            for end in ("ge", "le"):
                for meta in getattr(field.type, "__metadata__", ()):
                    value = getattr(meta, end, None)
                    if value is None or "hz" in field.name:
                        continue
                    found = through(msgspec.structs.replace(processor, **{field.name: value}), sound)
                    assert np.isfinite(found).all(), (kind, field.name, value)


def test_a_frequency_that_the_file_has_not_got_is_refused() -> None:
    every = (DynamicBell(freq_hz=20_000.0, range_db=1.0), MonoBelow(freq_hz=5000.0))
    for processor in (*every, DeEsser(freq_hz=6000.0, range_db=3.0), AllPass(freq_hz=4000.0)):
        with pytest.raises(UnbakeError, match=r"strips\.x\.chain\[0\]: freq_hz is \d+, above 3920 Hz"):
            build_strip("x", Strip(chain=(processor,)), 8000, STEREO)
