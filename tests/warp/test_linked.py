"""The linked stretch: sums, channels, attacks and all that is not stretched come through it as they must."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import signal

from core.session.timemap import TimeMap
from core.warp.engines import linked
from core.warp.engines.course import Attacks, no_attacks
from core.warp.engines.linked import LinkedWarp
from core.warp.engines.voicing import LINKED, TEXTURE, TONES, Voicing
from tests.warp.engine_sounds import Samples, drained, noise

RATE = 44_100


def warped(
    sounds: Sequence[np.ndarray],
    anchors: Sequence[tuple[int, int]],
    *,
    guide: np.ndarray | None = None,
    attacks: Attacks | None = None,
    voicing: Voicing = LINKED,
    rate: int = RATE,
    block: int | None = None,
    curve: str = "straight",
) -> list[np.ndarray]:
    time_map = TimeMap(tuple(anchors), curve)  # pyright: ignore[reportArgumentType]
    frames = sounds[0].shape[1]
    heard = Samples(sounds[0] if guide is None else guide)
    warp = LinkedWarp(
        heard, [Samples(each) for each in sounds], time_map, frames, rate, attacks or no_attacks(), voicing
    )
    return drained(warp, (block or warp.frames,))


def beats(frames: int, every: int = 11_025) -> tuple[np.ndarray, Attacks]:
    """A chord with a burst of noise on every beat, and where those begin."""
    time = np.arange(frames) / RATE
    sound = 0.1 * np.sum([np.sin(2 * np.pi * hz * time) for hz in (110.0, 165.0, 220.0)], axis=0)
    rng = np.random.default_rng(5)
    at = np.arange(every, frames - every, every)
    for start in at:
        sound[start : start + 4000] += 0.4 * rng.standard_normal(4000) * np.exp(-np.arange(4000) / 700)
    return np.stack([sound, np.roll(sound, 7)]), (at, np.ones(len(at)))


def dbfs(samples: np.ndarray) -> float:
    peak = float(np.abs(samples).max(initial=0.0))
    return 20 * math.log10(peak) if peak else -math.inf


@pytest.mark.parametrize("anchors", [(), ((0, 0),), ((500, 500), (9_000, 9_000))])
def test_a_map_that_moves_nothing_gives_the_very_samples(anchors: tuple[tuple[int, int], ...]) -> None:
    sound = noise(30_000)
    assert np.array_equal(warped([sound], anchors)[0], sound)


def test_outside_a_local_warp_every_sample_is_the_sources_moved_by_whole_frames() -> None:
    sound = noise(3 * RATE)
    (found,) = warped([sound], [(40_000, 40_000), (60_000, 63_001), (80_001, 80_001)])
    assert found.shape == sound.shape
    assert np.array_equal(found[:, :40_000], sound[:, :40_000])
    assert np.array_equal(found[:, 80_001:], sound[:, 80_001:])
    (found,) = warped([sound], [(40_000, 40_000), (60_000, 63_001)])
    assert found.shape[1] == sound.shape[1] + 3_001
    assert np.array_equal(found[:, 63_001:], sound[:, 60_000:])
    assert dbfs(found[:, 45_000:60_000] - sound[:, 45_000:60_000]) > -40.0


def test_sound_that_is_moved_later_begins_with_silence_and_what_is_moved_earlier_is_cut() -> None:
    sound = noise(20_000)
    (later,) = warped([sound], [(1_000, 5_000)])
    assert np.array_equal(later[:, 4_000:], sound)
    assert not later[:, :4_000].any()
    (earlier,) = warped([sound], [(5_000, 1_000)])
    assert np.array_equal(earlier, sound[:, 4_000:])


def test_warped_stems_add_up_to_the_warped_sum_and_so_does_the_fold_down() -> None:
    mix, attacks = beats(3 * RATE)
    rng = np.random.default_rng(2)
    drums = mix * rng.uniform(0.2, 0.8)
    voice = noise(mix.shape[1], seed=9)
    mono = noise(mix.shape[1], channels=1, seed=10)
    rest = mix - drums - voice - mono
    anchors = [(0, 0), (50_000, 53_000), (100_000, 101_000), (mix.shape[1], 140_000)]
    whole, *stems = warped([mix, drums, voice, mono, rest], anchors, guide=mix, attacks=attacks)
    assert whole.shape[1] == 140_000
    assert dbfs(sum(stems) - whole) < -250.0
    assert dbfs(sum(stem.mean(axis=0) for stem in stems) - whole.mean(axis=0)) < -250.0
    written = sum(stem.astype(np.float32).astype(float) for stem in stems)
    assert dbfs(written - whole.astype(np.float32)) < -130.0


def test_sound_in_opposite_polarity_guides_as_well_as_any() -> None:
    mix, attacks = beats(2 * RATE)
    length = round(mix.shape[1] * 1.07)
    anchors = [(0, 0), (mix.shape[1], length)]
    against = mix * np.array([[1.0], [-1.0]])
    (found,) = warped([against], anchors, attacks=attacks)
    (same,) = warped([mix], anchors, attacks=attacks)
    assert dbfs(found * np.array([[1.0], [-1.0]]) - same) < -250.0


def test_channels_keep_their_phase_against_each_other() -> None:
    time = np.arange(2 * RATE) / RATE
    left = np.sin(2 * np.pi * 440 * time)
    sound = np.stack([left, 0.5 * np.sin(2 * np.pi * 440 * time + 1.0)])
    (found,) = warped([sound], [(0, 0), (sound.shape[1], round(1.1 * sound.shape[1]))])
    inner = np.asarray(signal.hilbert(found))[:, RATE // 2 : -RATE // 2]
    turned = np.angle(inner[1] * inner[0].conj())
    assert np.abs(turned - 1.0).max() < 1e-3
    assert np.abs(np.abs(inner[1]) / np.abs(inner[0]) - 0.5).max() < 1e-3


@pytest.mark.parametrize("ratio", [0.9, 1.07, 1.12])
@pytest.mark.parametrize("tones_hz", [(55.0,), (440.0,), (110.0, 164.8, 220.0), (220.0, 277.18, 329.63, 880.0, 3520.0)])
def test_steady_tones_stay_steady(tones_hz: tuple[float, ...], ratio: float) -> None:
    time = np.arange(4 * RATE) / RATE
    sound = np.asarray([sum(np.sin(2 * np.pi * hz * time + hz) for hz in tones_hz)]) * 0.2
    (found,) = warped([sound], [(0, 0), (sound.shape[1], round(ratio * sound.shape[1]))])
    inner = found[0, RATE // 2 : -RATE // 2]
    power = np.abs(np.fft.rfft(inner * signal.get_window(("kaiser", 25.0), len(inner)))) ** 2
    off = power.copy()
    for hz in tones_hz:
        at = round(hz * len(inner) / RATE)
        off[max(0, at - 25) : at + 26] = 0.0
    assert 10 * math.log10(off.sum() / power.sum()) < -70.0
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(np.sqrt(np.mean(sound**2)), rel=3e-3)


@pytest.mark.parametrize("ratio", [0.25, 0.9, 1.12, 2.0, 6.0])
def test_clicks_land_on_their_frames(ratio: float) -> None:
    at = np.arange(10_000, 3 * RATE, 12_000)
    sound = np.zeros((1, 3 * RATE + 5_000))
    sound[0, at] = 0.5
    anchors = [(0, 0), *((int(place), round(place * ratio) + 13 * (place % 3)) for place in at)]
    (found,) = warped([sound], anchors)
    for source, target in anchors[1:]:
        around = found[0, target - 1_000 : target + 1_000]
        assert np.abs(around).argmax() == 1_000, source
        assert around.max() == pytest.approx(0.5, abs=0.02)


def hits_of(frames: int, attacks: Attacks) -> np.ndarray:
    hits = np.zeros((1, frames))
    for start in attacks[0]:
        hits[0, start : start + 2_000] = 4 * noise(2_000, 1, seed=int(start))[0] * np.exp(-np.arange(2_000) / 500)
    return hits


def test_attacks_between_anchors_come_out_as_they_were_and_nothing_sounds_ahead_of_them() -> None:
    chord, attacks = beats(4 * RATE)
    hits = hits_of(chord.shape[1], attacks)
    length = round(1.1 * hits.shape[1])
    (found,) = warped([hits], [(0, 0), (hits.shape[1], length)], guide=hits + 0.1 * chord, attacks=attacks)
    for start in attacks[0]:
        target = round(start * 1.1)
        hit, there = hits[0, start : start + 600], found[0, target : target + 600]
        assert np.dot(hit, there) / np.dot(hit, hit) > 0.9
        ahead = np.sum(found[0, target - 1_300 : target] ** 2)
        assert ahead < 0.01 * np.sum(there**2)


def test_a_steady_partial_goes_through_attacks_undisturbed() -> None:
    frames = 4 * RATE
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(frames) / RATE)[None]
    _, attacks = beats(frames)
    hits = hits_of(frames, attacks)
    (found,) = warped([tone], [(0, 0), (frames, round(1.1 * frames))], guide=tone + hits, attacks=attacks)
    inner = found[0, RATE // 2 : -RATE // 2]
    power = np.abs(np.fft.rfft(inner * signal.get_window(("kaiser", 25.0), len(inner)))) ** 2
    at = round(440 * len(inner) / RATE)
    off = power.sum() - power[at - 30 : at + 31].sum()
    assert 10 * math.log10(off / power.sum()) < -35.0


@pytest.mark.parametrize("block", [1, 777, 16_384])
def test_how_much_is_read_at_a_time_never_matters(block: int) -> None:
    sound = noise(9_000 if block == 1 else 60_000)
    anchors = [(2_000, 2_000), (sound.shape[1], sound.shape[1] + 700)]
    assert np.array_equal(warped([sound], anchors, block=block)[0], warped([sound], anchors)[0])


def test_how_much_is_made_at_a_time_matters_to_rounding_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, attacks = beats(2 * RATE)
    anchors = [(5_000, 5_000), (30_000, 33_000), (40_000, 43_000), (70_000, 70_000)]
    (whole,) = warped([sound], anchors, attacks=attacks)
    monkeypatch.setattr(linked, "BLOCK", 5_000)
    (pieces,) = warped([sound], anchors, attacks=attacks)
    assert dbfs(whole - pieces) < -250.0


def test_where_the_guide_is_silent_sound_still_comes_through_at_its_level() -> None:
    sound = noise(2 * RATE)
    (found,) = warped([sound], [(0, 0), (sound.shape[1], 100_000)], guide=np.zeros_like(sound))
    level = np.sqrt(np.mean(found[:, 9_000:-9_000] ** 2)) / np.sqrt(np.mean(sound**2))
    assert np.isfinite(found).all()
    assert 0.4 < level < 1.3


@pytest.mark.parametrize("rate", [8_000, 48_000, 192_000, 384_000])
@pytest.mark.parametrize("channels", [1, 8])
def test_every_rate_and_channel_count(rate: int, channels: int) -> None:
    sound = noise(rate // 3, channels)
    length = round(1.2 * sound.shape[1])
    (found,) = warped([sound], [(0, 0), (sound.shape[1], length)], rate=rate)
    assert found.shape == (channels, length)
    inner = found[:, length // 4 : -length // 4]
    assert 0.8 < np.sqrt(np.mean(inner**2)) / 0.1 < 1.2


@pytest.mark.parametrize("frames", [1, 2, 100])
def test_a_few_frames_are_warped_too(frames: int) -> None:
    sound = noise(frames)
    (found,) = warped([sound], [(0, 0), (frames, 3 * frames)])
    assert found.shape == (2, 3 * frames)
    assert np.isfinite(found).all()
    assert not warped([np.zeros((2, frames))], [(0, 0), (frames, 3 * frames)])[0].any()


def test_a_short_stretch_between_two_copies_does_not_click() -> None:
    sound = 0.5 * np.sin(2 * np.pi * 200 * np.arange(20_000) / RATE)[None]
    (found,) = warped([sound], [(5_000, 5_000), (5_200, 5_221)])
    assert np.array_equal(found[:, 5_221:], sound[:, 5_200:])
    assert np.abs(np.diff(found)).max() < 4 * np.abs(np.diff(sound)).max()


@pytest.mark.parametrize("voicing", [LINKED, TONES, TEXTURE])
@pytest.mark.parametrize("curve", ["straight", "smooth"])
def test_every_voicing_and_curve_gives_the_length_and_level_asked_for(voicing: Voicing, curve: str) -> None:
    sound = noise(2 * RATE)
    anchors = [(0, 0), (30_000, 34_000), (60_000, 61_000), (sound.shape[1], 90_001)]
    (found,) = warped([sound], anchors, voicing=voicing, curve=curve)
    assert found.shape[1] == 90_001
    assert 0.75 < np.sqrt(np.mean(found**2)) / np.sqrt(np.mean(sound**2)) < 1.1
