"""Slices: attacks whole and on their frame, nothing moved that the map does not move, sums that stay sums."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from core.errors import UnbakeError
from core.session.timemap import Curve, Drawn, TimeMap
from core.warp.engines.slices import FADE_MS, GATE_MS, Slices, Tail
from tests.warp.engine_sounds import Endless, Samples, drained, noise, null_db

RATE = 44_100
NONE = np.zeros(0, np.int64)
TAILS: tuple[Tail, ...] = ("crossfade", "gate")


def sliced(
    sound: np.ndarray, time_map: TimeMap, onsets: Any = NONE, tail: Tail = "crossfade", rate: int = RATE
) -> np.ndarray:
    onsets = np.asarray(onsets, np.int64)
    return drained(Slices([Samples(sound)], time_map, sound.shape[1], rate, onsets, tail))[0]


def clicks(frames: int, places: np.ndarray, channels: int = 1) -> np.ndarray:
    sound = np.zeros((channels, frames))
    sound[:, places] = 1.0
    return sound


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("curve", ["straight", "smooth"])
@pytest.mark.parametrize("factor", [0.125, 0.6, 0.93, 1.0, 1.07, 1.5, 8.0])
def test_clicks_land_on_their_frame_each_once(factor: float, curve: Curve, tail: Tail) -> None:
    frames = 5 * RATE
    onsets = np.arange(3000, frames - 1000, 7919)
    time_map = TimeMap(((20_000, 20_000), (180_000, 20_000 + round(160_000 * factor))), curve)
    made = sliced(clicks(frames, onsets), time_map, onsets, tail)
    drawn = Drawn(time_map, frames)
    wanted = [round(drawn.target(float(onset))) for onset in onsets]
    found = np.flatnonzero(made[0])
    assert len(found) == len(wanted)
    assert np.abs(found - wanted).max() <= 1
    assert np.all(made[0, found] == 1.0)


def test_an_attack_keeps_its_very_samples_from_before_the_onset_to_the_middle_of_its_slice() -> None:
    frames = RATE
    onsets = np.array([10_000, 20_000, 30_000])
    sound = noise(frames)
    for factor in (0.8, 1.3):
        time_map = TimeMap(((0, 0), (frames, round(frames * factor))))
        made = sliced(sound, time_map, onsets)
        for onset in onsets:
            target = round(onset * factor)
            np.testing.assert_array_equal(made[:, target : target + 3500], sound[:, onset : onset + 3500])


@pytest.mark.parametrize("tail", TAILS)
def test_outside_of_a_local_warp_every_sample_is_the_source_s_own(tail: Tail) -> None:
    frames = 3 * RATE
    sound = noise(frames)
    onsets = np.sort(np.random.default_rng(3).integers(1, frames, 60))
    anchors = ((40_000, 40_300), (60_000, 63_000), (70_000, 73_000), (90_000, 90_007))
    made = sliced(sound, TimeMap(anchors), onsets, tail)
    assert made.shape[1] == frames + 7
    assert not made[:, :300].any()
    np.testing.assert_array_equal(made[:, 300:40_300], sound[:, :40_000])
    np.testing.assert_array_equal(made[:, 63_000:73_000], sound[:, 60_000:70_000])
    np.testing.assert_array_equal(made[:, 90_007:], sound[:, 90_000:])


def test_a_head_that_the_map_cuts_off_is_cut_off() -> None:
    sound = noise(20_000)
    made = sliced(sound, TimeMap(((1000, 0), (9000, 9000))), [500, 4000])
    assert made.shape[1] == 20_000
    np.testing.assert_array_equal(made[:, 9000:], sound[:, 9000:])


@pytest.mark.parametrize("time_map", [TimeMap(), TimeMap(((0, 0), (5000, 5000))), TimeMap(((7, 7),), "smooth")])
def test_an_identity_is_one_to_the_bit(time_map: TimeMap) -> None:
    sound = noise(10_000)
    sound[:, 500] = -0.0
    assert sliced(sound, time_map, [100, 700, 6000]).tobytes() == sound.tobytes()


@pytest.mark.parametrize("tail", TAILS)
def test_sums_stay_sums_and_company_changes_nothing(tail: Tail) -> None:
    frames = RATE
    parts = [noise(frames, channels, seed) for seed, channels in enumerate((2, 2, 2))]
    time_map = TimeMap(((1000, 1500), (20_000, 23_000), (40_000, 38_000)), "smooth")
    onsets = np.arange(500, frames, 3001)

    def engine(*sounds: np.ndarray) -> list[np.ndarray]:
        return drained(Slices([Samples(each) for each in sounds], time_map, frames, RATE, onsets, tail))

    *warped, whole = engine(*parts, sum(parts, np.zeros((2, frames))))
    assert null_db(sum(warped) - whole, whole) < -250.0
    np.testing.assert_array_equal(engine(parts[1])[0], warped[1])
    np.testing.assert_array_equal(engine(parts[1][:1])[0], warped[1][:1])


@pytest.mark.parametrize("tail", TAILS)
def test_the_sizes_of_blocks_never_matter(tail: Tail) -> None:
    sound, frames = noise(30_000), 30_000
    time_map = TimeMap(((0, 50), (9000, 12_000), (20_000, 19_000)))
    onsets = np.array([3000, 3100, 9005, 15_000])

    def read(*blocks: int) -> np.ndarray:
        return drained(Slices([Samples(sound)], time_map, frames, RATE, onsets, tail), blocks)[0]

    whole = read(1 << 20)
    for blocks in ((1, 700, 13), (4096,), (65_536,)):
        np.testing.assert_array_equal(read(*blocks), whole)


def test_a_longer_tail_keeps_the_level_of_noise_and_a_gated_one_ends_in_silence() -> None:
    frames = 2 * RATE
    sound = noise(frames, 1)
    onsets = np.arange(RATE // 5, frames, RATE // 5)
    time_map = TimeMap(((0, 0), (frames, round(1.5 * frames))))
    level = np.sqrt(np.square(sliced(sound, time_map, onsets)).reshape(-1, 630).mean(axis=1))
    assert np.abs(20 * np.log10(level / 0.1)).max() < 2.0
    gated = sliced(sound, time_map, onsets, "gate")[0]
    fade, slot = round(FADE_MS * RATE / 1000), round(1.5 * RATE / 5)
    for number in range(1, 9):
        start = number * slot
        assert not gated[start + RATE // 5 : start + slot - fade].any()
        fading = gated[start + RATE // 5 - round(GATE_MS * RATE / 1000) : start + RATE // 5]
        assert 0.0 < np.abs(fading[-50:]).max() < 0.1 * np.abs(fading[:50]).max()


def test_without_onsets_slices_lie_on_a_grid_and_anchors_on_their_frames() -> None:
    frames = 3 * RATE
    sound = noise(frames, 1)
    time_map = TimeMap(((0, 0), (RATE, round(1.1 * RATE)), (2 * RATE, round(1.9 * RATE))))
    made = sliced(sound, time_map)
    for source, target in time_map.anchors:
        np.testing.assert_array_equal(made[:, target : target + 3000], sound[:, source : source + 3000])
    quarter = RATE // 4
    np.testing.assert_array_equal(
        made[:, round(1.1 * quarter) : round(1.1 * quarter) + 3000], sound[:, quarter : quarter + 3000]
    )


def test_an_onset_just_before_an_anchor_goes_with_it_whole() -> None:
    frames = RATE
    sound = noise(frames, 1)
    time_map = TimeMap(((0, 0), (20_000, 22_000), (30_000, 35_000)))
    made = sliced(sound, time_map, [19_900])
    np.testing.assert_array_equal(made[:, 21_900:24_000], sound[:, 19_900:22_000])


@pytest.mark.parametrize(("channels", "rate"), [(1, 8000), (8, 384_000)])
@pytest.mark.parametrize("tail", TAILS)
def test_any_rate_count_of_channels_and_length_goes(channels: int, rate: int, tail: Tail) -> None:
    for frames in (1, 2, 50, 5000):
        sound = noise(frames, channels)
        for anchors in (((0, 0), (frames, 8 * frames)), ((0, 3), (frames, 3 + -(-frames // 8))), ((0, 5),)):
            time_map = TimeMap(anchors)
            made = sliced(sound, time_map, np.arange(-5, frames + 5), tail, rate)
            assert made.shape == (channels, time_map.length(frames))
            assert np.isfinite(made).all()
            assert not sliced(np.zeros_like(sound), time_map, [], tail, rate).any()


def test_onsets_in_any_order_doubled_or_outside_are_taken_as_they_should_be() -> None:
    sound = noise(20_000)
    time_map = TimeMap(((0, 0), (20_000, 22_000)))
    np.testing.assert_array_equal(
        sliced(sound, time_map, [9000, 4000, 9000, -3, 0, 20_000, 999_999]), sliced(sound, time_map, [4000, 9000])
    )


def test_a_map_for_a_longer_file_is_refused() -> None:
    with pytest.raises(UnbakeError, match="anchor 2 is at source frame 101, but the file has 100"):
        Slices([Samples(noise(100))], TimeMap(((0, 0), (101, 90))), 100, RATE, NONE)


@pytest.mark.parametrize("anchors", [((0, 0),), ((0, 0), (4_000_000, 4_400_000)), ((2_000_000, 0),)])
def test_memory_does_not_grow_with_the_length(anchors: tuple[tuple[int, int], ...]) -> None:
    frames, onsets = 4_000_000, np.arange(0, 4_000_000, 4000)
    warper = Slices([Endless(2)], TimeMap(anchors), frames, 8000, onsets)
    tracemalloc.start()
    try:
        for _ in range(0, warper.frames, 8192):
            warper.read(8192)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
