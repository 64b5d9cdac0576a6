"""Repitching: as exact as the sinc promises, nothing aliased, copies that are copies, sums that stay sums."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import soxr
from scipy import signal
from scipy.signal import windows

from core.errors import UnbakeError
from core.session.timemap import Curve, Drawn, TimeMap
from core.warp.engines import repitch
from core.warp.engines.repitch import STOP_BAND_DB, Repitch
from core.warp.engines.sound import warped_sounds
from tests.warp.engine_sounds import Endless, Samples, drained, noise, null_db

RATE = 48_000


def repitched(sound: np.ndarray, time_map: TimeMap, rate: int = RATE) -> np.ndarray:
    return drained(Repitch([Samples(sound)], time_map, sound.shape[1], rate))[0]


def at_factor(factor: float, frames: int) -> TimeMap:
    return TimeMap(((0, 0), (frames, round(frames * factor))))


def tone(freq: float, frames: int) -> np.ndarray:
    """A tone at a part of the sample rate."""
    return np.sin(2 * np.pi * freq * np.arange(frames))[None]


def low_passed(sound: np.ndarray, share: float) -> np.ndarray:
    """Sound of which nothing is left far above a share of half the sample rate."""
    return np.asarray(signal.sosfilt(np.asarray(signal.butter(20, share, output="sos")), sound))


def level_db(sound: np.ndarray, besides: float | None = None) -> float:
    """The largest line in the spectrum of a sound's inner part, relative to a tone at full scale.

    What lies near to `besides`, a part of the sample rate, does not count.
    """
    inner = sound[len(sound) // 5 : -len(sound) // 5]
    window = windows.kaiser(len(inner), 25.0)
    lines = np.abs(np.fft.rfft(inner * window)) / (window.sum() / 2)
    if besides is not None:
        line = round(besides * len(inner))
        lines[line - 20 : line + 21] = 0.0
    return float(20 * np.log10(lines.max()))


@pytest.mark.parametrize("factor", [0.125, 0.5, 0.93, 1.0001, 1.07, 2.0, 8.0])
def test_a_tone_becomes_the_tone_that_it_must(factor: float) -> None:
    frames = 60_000
    time_map = at_factor(factor, frames)
    speed = frames / time_map.length(frames)
    freq = 0.9 * 0.4537 / max(speed, 1.0)
    made = repitched(tone(freq, frames), time_map)[0]
    wanted = np.sin(2 * np.pi * freq * speed * np.arange(len(made)))
    inner = slice(len(made) // 5, -len(made) // 5)
    assert null_db((made - wanted)[inner], wanted[inner]) < -115.0


@pytest.mark.parametrize("speed", [1.07, 1.5, 2.0, 7.5])
def test_nothing_aliases_and_the_pass_band_is_flat_to_nine_tenths(speed: float) -> None:
    frames = 100_000
    time_map = at_factor(1.0 / speed, frames)
    for beyond in (1.0, 1.01, 1.1):
        made = repitched(tone(min(0.5 * beyond / speed, 0.5), frames), time_map)[0]
        assert level_db(made) < -STOP_BAND_DB + 1.0
    made = repitched(tone(0.5 * 0.91 / speed, frames), time_map)[0]
    assert abs(level_db(made)) < 0.02


@pytest.mark.parametrize("speed", [0.3, 0.7, 0.93])
def test_slower_sound_has_no_images(speed: float) -> None:
    frames = 60_000
    time_map = at_factor(1.0 / speed, frames)
    made = repitched(tone(0.45, frames), time_map)[0]
    assert level_db(made, besides=0.45 * frames / time_map.length(frames)) < -STOP_BAND_DB


@pytest.mark.parametrize(("into", "out_of"), [(147, 160), (2, 1), (1, 2), (160, 147)])
def test_constant_speeds_give_what_soxr_gives(into: int, out_of: int) -> None:
    frames = out_of * (60_000 // out_of)
    sound = low_passed(noise(frames, 1), 0.7 * min(1, into / out_of))
    made = repitched(sound, TimeMap(((0, 0), (frames, frames * into // out_of))))[0]
    theirs = soxr.resample(sound[0], out_of, into, "VHQ")[: len(made)]
    # with ratios of large numbers soxr is 78 to 87 dB from the truth itself
    close_db = -110.0 if into + out_of == 3 else -78.0
    assert null_db((made - theirs)[500:-500], theirs[500:-500]) < close_db


def test_outside_of_a_local_warp_every_sample_is_the_source_s_own() -> None:
    frames = 90_000
    sound = noise(frames)
    anchors = ((20_000, 20_300), (30_000, 33_000), (40_000, 43_000), (60_000, 60_007))
    made = repitched(sound, TimeMap(anchors))
    assert made.shape[1] == frames + 7
    assert not made[:, :300].any()
    np.testing.assert_array_equal(made[:, 300:20_301], sound[:, :20_001])
    np.testing.assert_array_equal(made[:, 33_000:43_001], sound[:, 30_000:40_001])
    np.testing.assert_array_equal(made[:, 60_007:], sound[:, 60_000:])
    assert not (made[:, 20_302:20_400] == sound[:, 20_002:20_100]).any()


@pytest.mark.parametrize("time_map", [TimeMap(), TimeMap(((0, 0), (5000, 5000))), TimeMap(((7, 7),), "smooth")])
def test_an_identity_is_one_to_the_bit(time_map: TimeMap) -> None:
    sound = noise(10_000)
    sound[:, 500] = -0.0
    assert repitched(sound, time_map).tobytes() == sound.tobytes()


@pytest.mark.parametrize("curve", ["straight", "smooth"])
def test_clicks_land_on_their_frame(curve: Curve) -> None:
    frames = 100_000
    places = np.arange(1000, frames, 4999)
    sound = np.zeros((1, frames))
    sound[0, places] = 1.0
    time_map = TimeMap(((9000, 9000), (40_000, 47_000), (80_000, 78_000)), curve)
    made = np.abs(repitched(sound, time_map)[0])
    drawn = Drawn(time_map, frames)
    for place in places.tolist():
        target = drawn.target(place)
        near = made[round(target) - 200 : round(target) + 200]
        assert abs(int(near.argmax()) + round(target) - 200 - target) <= 1.0


@pytest.mark.parametrize(
    "anchors", [((30_000, 30_000), (60_000, 45_000)), ((0, 0), (30_000, 23_000), (60_000, 38_000))]
)
def test_a_change_of_speed_makes_no_click(anchors: tuple[tuple[int, int], ...]) -> None:
    """A tone that is beyond the cut-off on the far side goes without leaving anything where it was not."""
    joint = dict(anchors)[30_000]
    made = repitched(tone(15_000 / RATE, 60_000), TimeMap(anchors))[0]
    along = np.arange(-1000, 1001)
    low = np.sinc(along / 3) / 3 * windows.kaiser(2001, 14.0)  # up to 8 kHz
    around = np.convolve(made, low, "same")[joint - 3000 : joint + 3000]
    assert np.abs(around).max() < 10 ** (-95 / 20)


def test_sums_stay_sums_and_company_changes_nothing() -> None:
    frames = 30_000
    parts = [noise(frames, 2, seed) for seed in range(4)]
    time_map = TimeMap(((1000, 1500), (12_000, 14_000), (25_000, 21_000)), "smooth")

    def engine(*sounds: np.ndarray) -> list[np.ndarray]:
        return drained(Repitch([Samples(each) for each in sounds], time_map, frames, RATE))

    *warped, whole = engine(*parts, sum(parts, np.zeros((2, frames))))
    assert null_db(sum(warped) - whole, whole) < -250.0
    np.testing.assert_array_equal(engine(parts[1])[0], warped[1])
    np.testing.assert_array_equal(engine(parts[1][:1])[0], warped[1][:1])


def test_the_sizes_of_blocks_never_matter() -> None:
    sound, frames = noise(12_000), 12_000
    time_map = TimeMap(((0, 50), (3000, 5000), (9000, 7000)))

    def read(*blocks: int) -> np.ndarray:
        return drained(Repitch([Samples(sound)], time_map, frames, RATE), blocks)[0]

    whole = read(1 << 20)
    for blocks in ((1, 700, 13), (4096,)):
        np.testing.assert_array_equal(read(*blocks), whole)


def test_the_compiled_loop_gives_what_the_loop_in_python_gives() -> None:
    heard = noise(2000)
    places = np.array([700, 800, 900, 1000])
    parts, cut_offs = np.array([0.0, 0.25, 0.0, 0.99]), np.array([1.0, 0.96, 0.5, 0.2])
    mine, theirs = np.zeros((2, 4)), np.zeros((2, 4))
    repitch._compiled()(heard, places, parts, cut_offs, repitch._table(), mine)
    repitch.interpolate(heard, places, parts, cut_offs, repitch._table(), theirs)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(mine[:, 0], heard[:, 700])


@pytest.mark.parametrize(("channels", "rate"), [(1, 8000), (8, 384_000)])
def test_any_rate_count_of_channels_and_length_goes(channels: int, rate: int) -> None:
    for frames in (1, 2, 50, 5000):
        sound = noise(frames, channels)
        for anchors in (((0, 0), (frames, 8 * frames)), ((0, 3), (frames, 3 + -(-frames // 8))), ((0, 5),)):
            time_map = TimeMap(anchors)
            made = repitched(sound, time_map, rate)
            assert made.shape == (channels, time_map.length(frames))
            assert np.isfinite(made).all()
            assert not repitched(np.zeros_like(sound), time_map, rate).any()


def test_a_map_for_a_longer_file_is_refused() -> None:
    with pytest.raises(UnbakeError, match="anchor 2 is at source frame 101, but the file has 100"):
        Repitch([Samples(noise(100))], TimeMap(((0, 0), (101, 90))), 100, RATE)


@pytest.mark.parametrize("anchors", [((0, 0),), ((0, 0), (1_000_000, 1_100_000)), ((0, 0), (1_000_000, 125_000))])
def test_memory_does_not_grow_with_the_length(anchors: tuple[tuple[int, int], ...]) -> None:
    warper = Repitch([Endless(1)], TimeMap(anchors), 1_000_000, 8000)
    repitch._compiled()
    tracemalloc.start()
    try:
        for _ in range(0, warper.frames, 8192):
            warper.read(8192)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_what_one_engine_gives_another_can_hear_sound_by_sound() -> None:
    frames = 20_000
    sounds = [low_passed(noise(frames, channels, channels), 0.5) for channels in (1, 2)]
    there = Repitch([Samples(each) for each in sounds], TimeMap(((0, 0), (frames, 23_000))), frames, RATE)
    back = TimeMap(((0, 0), (23_000, frames)))
    again = drained(Repitch(warped_sounds(there, [1, 2]), back, there.frames, RATE), (700, 9000))
    for before, after in zip(sounds, again, strict=True):
        assert null_db((after - before)[:, 500:-500], before) < -105.0


def test_sounds_that_are_read_out_of_step_are_the_same() -> None:
    frames, time_map = 5000, TimeMap(((0, 0), (5000, 5500)))
    sounds = [noise(frames, 1), noise(frames, 2, 2)]
    wanted = drained(Repitch([Samples(each) for each in sounds], time_map, frames, RATE))
    one, two = warped_sounds(Repitch([Samples(each) for each in sounds], time_map, frames, RATE), [1, 2])
    assert (one.channels, two.channels) == (1, 2)
    first = [one.read(2000), one.read(0), one.read(1), one.read(3499)]
    second = [two.read(size) for size in itertools.chain([1, 1500], [999] * 3, [1002])]
    np.testing.assert_array_equal(np.concatenate(first, axis=1), wanted[0])
    np.testing.assert_array_equal(np.concatenate(second, axis=1), wanted[1])
    assert not one.read(10).any()
