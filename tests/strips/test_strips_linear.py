"""Linear-phase equalisers: the curve they promise, no phase, no seams, latency to the frame, and honest limits."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from core.errors import UnbakeError
from core.session.document import Strip
from core.session.processors import (
    AllPass,
    Bell,
    EqualiserBand,
    Gain,
    HighCut,
    HighShelf,
    LowCut,
    LowShelf,
    Notch,
    StripProcessor,
)
from core.strips.chain import build_strip
from core.strips.eq import response_db, sections
from core.strips.linear import LONGEST_SECONDS, deviation, linear_taps
from core.strips.stage import Series

RATE = 44_100
STEREO = ("L", "R")
USUAL = (
    LowCut(freq_hz=30.0, slope_db_oct=24),
    Bell(freq_hz=250.0, gain_db=-4.0),
    LowShelf(freq_hz=100.0, gain_db=3.0),
    HighShelf(freq_hz=3000.0, gain_db=-2.0),
)


def linear(*chain: StripProcessor, rate: int = RATE, speakers: tuple[str, ...] = STEREO) -> Series:
    return build_strip("bass", Strip(eq_phase="linear", chain=chain), rate, speakers)


def noise(frames: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((channels, frames)) * 0.1


def gain_of(bands: tuple[EqualiserBand, ...], freqs_hz: np.ndarray, rate: int) -> np.ndarray:
    """The real gain of the taps: what they do to a cosine in their middle."""
    taps = linear_taps(np.concatenate([sections(band, rate) for band in bands]), rate)
    place = np.arange(len(taps)) - len(taps) // 2
    return np.array([np.cos(2 * np.pi * freq_hz / rate * place) @ taps for freq_hz in freqs_hz])


@pytest.mark.parametrize("rate", [8000, RATE, 384_000])
@pytest.mark.parametrize(
    "bands",
    [
        USUAL,
        (LowCut(freq_hz=10.0, slope_db_oct=6),),
        (LowCut(freq_hz=10.0, slope_db_oct=48),),
        (Bell(freq_hz=60.0, gain_db=9.0, q=4.0),),
    ],
    ids=["usual", "6 dB/oct at 10 Hz", "48 dB/oct at 10 Hz", "narrow in the bass"],
)
def test_the_curve_is_met_within_a_twentieth_of_a_db_from_10_hz(bands: tuple[EqualiserBand, ...], rate: int) -> None:
    freqs = np.geomspace(10.0, 0.49 * rate, 60)
    gain, wanted = gain_of(bands, freqs, rate), 10 ** (response_db(bands, freqs, rate) / 20)
    assert (np.abs(gain - wanted) <= np.maximum((10 ** (0.05 / 20) - 1) * wanted, 1e-3)).all()
    assert deviation(np.concatenate([sections(band, rate) for band in bands]), rate) <= 1.0


def test_the_phase_is_none_and_the_latency_is_to_the_frame() -> None:
    stage = linear(*USUAL)
    impulse = np.zeros((2, 3 * stage.latency))
    impulse[:, 0] = 1.0
    heard = stage.process(impulse)[0]
    middle = stage.latency
    assert heard[middle] == heard.max()
    assert heard[middle + 1 : 2 * middle] == pytest.approx(heard[middle - 1 : 0 : -1], abs=1e-15), "it is symmetrical"
    taps = linear_taps(np.concatenate([sections(band, RATE) for band in USUAL]), RATE)
    assert np.abs(heard[: middle - len(taps) // 2]).max() < 1e-15
    assert len(taps) // 2 / RATE < 0.13, "nothing is heard earlier than that"


@pytest.mark.parametrize("size", [1, 64, 4096])
def test_blocks_of_any_size_give_the_same_bits(size: int) -> None:
    sound = noise(3000 if size == 1 else 40_000)
    stage = linear(*USUAL, Gain(gain_db=1.0), Bell(freq_hz=900.0, gain_db=3.0, placement="side"))
    whole = stage.process(sound)
    stage.reset()
    parts = [stage.process(sound[:, at : at + size]) for at in range(0, sound.shape[1], size)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_what_came_before_the_memory_is_not_heard() -> None:
    stage = linear(*USUAL)
    before = stage.memory + stage.latency
    sound = noise(before + RATE)
    sound[:, 100:2000] = 0.99
    late = stage.process(sound)[:, -RATE // 2 :]
    stage.reset()
    again = stage.process(sound[:, -(before + RATE // 2) :])[:, -RATE // 2 :]
    assert np.abs(late - again).max() < 1e-12


def test_placements_are_delayed_alike_and_the_rest_only_that() -> None:
    stage = linear(Bell(freq_hz=250.0, gain_db=-9.0, placement="mid"))
    side = noise(20_000, 1) * np.array([[1.0], [-1.0]])
    out = stage.process(side)
    assert np.array_equal(out[:, stage.latency :], side[:, : -stage.latency])
    assert not out[:, : stage.latency].any()


def test_all_passes_turn_the_phase_as_they_always_do() -> None:
    sound = noise(20_000)
    turned = linear(AllPass(freq_hz=100.0))
    assert turned.latency == 0
    usual = build_strip("bass", Strip(chain=(AllPass(freq_hz=100.0),)), RATE, STEREO)
    assert np.array_equal(turned.process(sound), usual.process(sound))


def test_neighbours_are_one_filter_of_one_length() -> None:
    lengths = [linear(band).latency for band in USUAL]
    assert linear(*USUAL).latency <= max(lengths)
    assert linear().latency == linear(Bell(freq_hz=250.0)).latency == 0, "nothing active, nothing late"


@pytest.mark.parametrize("rate", [8000, RATE])
def test_a_notch_is_one_in_bounded_length(rate: int) -> None:
    """A corner of the magnitude has no end: a second on either side rounds it within a hertz or two."""
    notch = (Notch(freq_hz=50.0),)
    taps = linear_taps(sections(notch[0], rate), rate)
    assert len(taps) // 2 == LONGEST_SECONDS * rate
    assert abs(gain_of(notch, np.array([50.0]), rate)[0]) < 1e-4
    freqs = np.array([10.0, 40.0, 48.0, 52.0, 60.0, 1000.0])
    assert 20 * np.log10(gain_of(notch, freqs, rate)) == pytest.approx(response_db(notch, freqs, rate), abs=0.03)
    near = np.array([49.0, 51.0])
    assert 20 * np.log10(gain_of(notch, near, rate)) == pytest.approx(response_db(notch, near, rate), abs=0.4)
    assert deviation(sections(notch[0], rate), rate) > 1.0, "and it says so"


def test_what_is_too_narrow_for_a_second_says_so() -> None:
    """10 Hz with a Q of 40 rings for ten seconds."""
    narrow = sections(Bell(freq_hz=10.0, gain_db=12.0, q=40.0), 8000)
    assert len(linear_taps(narrow, 8000)) // 2 == 8000
    assert deviation(narrow, 8000) > 10.0


def test_silence_and_one_frame_and_what_can_not_be() -> None:
    stage = linear(*USUAL)
    assert not stage.process(np.zeros((2, 50_000))).any()
    assert linear(*USUAL, speakers=("M",)).process(np.ones((1, 1))).shape == (1, 1)
    with pytest.raises(UnbakeError, match=r"strips\.bass\.chain\[1\]: freq_hz is 20000, above 3920 Hz"):
        linear(USUAL[1], HighCut(freq_hz=20_000.0), rate=8000)
    with pytest.raises(UnbakeError, match=r"strips\.bass\.chain\[0\]: bell on mid needs a left-right pair"):
        linear(Bell(freq_hz=200.0, gain_db=1.0, placement="mid"), speakers=("M",))


def test_a_kept_copy_goes_on_alike_and_long_filters_are_not_copied() -> None:
    """The player keeps many copies: what a second on either side remembers is heard again instead."""
    sound = noise(30_000)
    stage = linear(*USUAL, Bell(freq_hz=900.0, gain_db=3.0, placement="side"))
    assert stage.copyable
    stage.process(sound[:, :10_001])
    kept = copy.deepcopy(stage)
    went_on = stage.process(sound[:, 10_001:])
    assert np.array_equal(kept.process(sound[:, 10_001:]), went_on)
    assert not linear(Notch(freq_hz=50.0)).copyable
    assert not linear(Notch(freq_hz=50.0, placement="mid")).copyable


def test_a_minimum_phase_strip_has_no_latency() -> None:
    assert build_strip("bass", Strip(chain=USUAL), RATE, STEREO).latency == 0
