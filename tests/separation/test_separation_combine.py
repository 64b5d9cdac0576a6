from collections.abc import Callable

import numpy as np
import pytest
from separation_stand_ins import noise

from core.separation.combine import HOP, SIZE, Less, Mean, Median, Spectral, by_bands, loudest, quietest

RATE = 44100


class Signal:
    """An array as a track, silent past its end."""

    def __init__(self, audio: np.ndarray) -> None:
        self.audio, self.at = audio.astype(np.float32), 0

    def read(self, frames: int) -> np.ndarray:
        block = np.zeros((len(self.audio), frames), np.float32)
        given = self.audio[:, self.at : self.at + frames]
        block[:, : given.shape[1]] = given
        self.at += frames
        return block


def whole(track, frames: int, sizes: tuple[int, ...] = (1, 4097, 700, 65_536)) -> np.ndarray:
    """A track read in pieces of many sizes."""
    blocks, at = [], 0
    while at < frames:
        size = min(sizes[len(blocks) % len(sizes)], frames - at)
        blocks.append(track.read(size))
        assert blocks[-1].dtype == np.float32
        assert blocks[-1].shape[1] == size
        at += size
    return np.concatenate(blocks, axis=1)


def tracks(count: int, frames: int = 30_000) -> list[Signal]:
    return [Signal(noise(2, frames, seed)) for seed in range(count)]


def test_mean_counts_by_weight():
    one, other = tracks(2)
    got = whole(Mean([one, other], [3.0, 1.0]), 30_000)
    assert np.abs(got - (0.75 * one.audio + 0.25 * other.audio)).max() < 4e-8


def test_one_estimate_alone_is_itself_bit_for_bit():
    for combine in (Mean, Median):
        (one,) = tracks(1)
        assert whole(combine([one]), 30_000).tobytes() == one.audio.tobytes()


def test_median_leaves_an_outlier_out():
    one, other, odd = tracks(3)
    got = whole(Median([one, other, odd]), 30_000)
    assert np.array_equal(got, np.median([one.audio, other.audio, odd.audio], axis=0))


def test_less_is_the_rest():
    one, other = tracks(2)
    rest = whole(Less(one, [other]), 30_000)
    assert np.abs(rest + other.audio - one.audio).max() < 1e-7


@pytest.mark.parametrize("frames", [1, HOP, SIZE - 1, 30_000])
@pytest.mark.parametrize("choose", [quietest, loudest, by_bands([0.0], RATE)])
def test_spectra_of_equal_estimates_give_them_back(frames: int, choose: Callable):
    same = noise(2, frames)
    count = 1 if choose not in (quietest, loudest) else 3
    got = whole(Spectral([Signal(same) for _ in range(count)], choose), frames)
    assert np.abs(got - same.astype(np.float32)).max() < 1e-7


def tone(freq_hz: float, gain: float = 0.1, frames: int = 60_000) -> np.ndarray:
    return gain * np.sin(2 * np.pi * freq_hz / RATE * np.arange(frames))[None].repeat(2, axis=0)


def level(audio: np.ndarray, freq_hz: float) -> float:
    """The amplitude of a tone in the middle of a signal."""
    middle = audio[0, SIZE:-SIZE].astype(np.float64)
    turn = np.exp(-2j * np.pi * freq_hz / RATE * np.arange(len(middle)))
    window = np.hanning(len(middle))
    return float(2 * np.abs(np.sum(middle * turn * window)) / window.sum())


def test_quietest_drops_what_one_estimate_has_alone_and_loudest_keeps_it():
    voice, bleed = tone(440.0), tone(3000.0, 0.05)
    for choose, wanted in ((quietest, 0.0), (loudest, 0.05)):
        got = whole(Spectral([Signal(voice), Signal(voice + bleed)], choose), 60_000)
        assert abs(level(got, 440.0) - 0.1) < 1e-4
        assert abs(level(got, 3000.0) - wanted) < 2e-4


def test_bands_come_from_their_own_estimate_and_joints_add_up():
    low, high = tone(200.0) + tone(5000.0, 0.02), tone(200.0, 0.03) + tone(5000.0)
    got = whole(Spectral([Signal(low), Signal(high)], by_bands([0.0, 1000.0], RATE)), 60_000)
    assert abs(level(got, 200.0) - 0.1) < 1e-4
    assert abs(level(got, 5000.0) - 0.1) < 1e-4
    same = noise(2, 30_000)
    together = whole(Spectral([Signal(same) for _ in range(3)], by_bands([0.0, 300.0, 4000.0], RATE)), 30_000)
    assert np.abs(together - same).max() < 1e-7
