"""Equalisers: the curves they promise, streaming without seams, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from core.errors import UnbakeError
from core.session.document import Strip
from core.session.processors import (
    Bell,
    Gain,
    HighCut,
    HighShelf,
    LowCut,
    LowShelf,
    Notch,
    Placement,
    StripProcessor,
    Tilt,
    Width,
)
from core.strips.chain import build_chain, build_strip
from core.strips.eq import response_db

FREQS = np.array([20.0, 60.0, 250.0, 1000.0, 4000.0, 12_000.0, 20_000.0])
STEREO = ("L", "R")


def noise(frames: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((channels, frames)) * 0.1


def test_a_bell_has_its_gain_at_its_centre_and_its_width() -> None:
    for rate in (8000, 44_100, 192_000):
        bell = Bell(freq_hz=500.0, gain_db=-6.0, q=2.0)
        assert response_db([bell], np.array([500.0]), rate)[0] == pytest.approx(-6.0, abs=1e-9)
    # half the gain in dB at the edges of the bandwidth, as the cookbook defines Q
    edges = 500.0 * np.array([2 ** (-0.3575), 2 ** (0.3575)])
    assert response_db([bell], edges, 192_000) == pytest.approx([-3.0, -3.0], abs=0.05)


@pytest.mark.parametrize("gain_db", [-9.0, 6.0])
def test_shelves_hold_their_gain_on_their_side_and_half_of_it_at_the_corner(gain_db: float) -> None:
    low = response_db([LowShelf(freq_hz=500.0, gain_db=gain_db)], np.array([1.0, 500.0, 20_000.0]), 44_100)
    high = response_db([HighShelf(freq_hz=500.0, gain_db=gain_db)], np.array([1.0, 500.0, 20_000.0]), 44_100)
    assert low == pytest.approx([gain_db, gain_db / 2, 0.0], abs=0.02)
    assert high == pytest.approx([0.0, gain_db / 2, gain_db], abs=0.02)


@pytest.mark.parametrize("slope", [6, 12, 18, 24, 30, 36, 42, 48])
@pytest.mark.parametrize(("kind", "btype"), [(LowCut, "highpass"), (HighCut, "lowpass")])
def test_cuts_are_butterworth(kind: type[LowCut], btype: str, slope: int) -> None:
    ours = response_db([kind(freq_hz=1000.0, slope_db_oct=slope)], FREQS, 44_100)  # type: ignore[arg-type]
    _, oracle = signal.sosfreqz(signal.butter(slope // 6, 1000.0, btype, fs=44_100, output="sos"), FREQS, fs=44_100)
    assert ours == pytest.approx(20 * np.log10(np.abs(oracle)), abs=1e-6)


def test_a_notch_takes_its_frequency_out_and_a_tilt_turns_around_its_own() -> None:
    assert response_db([Notch(freq_hz=50.0, q=10.0)], np.array([50.0]), 44_100)[0] < -100
    assert response_db([Notch(freq_hz=50.0, q=10.0)], np.array([80.0]), 44_100)[0] > -0.5
    tilt = response_db([Tilt(freq_hz=1000.0, gain_db=6.0)], np.array([10.0, 1000.0, 20_000.0]), 96_000)
    assert tilt == pytest.approx([-3.0, 0.0, 3.0], abs=0.1)


CHAIN: tuple[StripProcessor, ...] = (
    LowCut(freq_hz=30.0, slope_db_oct=18),
    Bell(freq_hz=250.0, gain_db=-5.0, q=0.8),
    Gain(gain_db=1.5),
    Width(amount=0.7),
    HighShelf(freq_hz=8000.0, gain_db=-2.0),
)


@pytest.mark.parametrize("size", [1, 64, 4096])
def test_blocks_of_any_size_give_the_same_as_one(size: int) -> None:
    sound = noise(5000)
    whole = build_strip("bass", Strip(chain=CHAIN, pan=0.3, gain_db=-2.0), 44_100, STEREO).process(sound)
    stage = build_strip("bass", Strip(chain=CHAIN, pan=0.3, gain_db=-2.0), 44_100, STEREO)
    parts = np.concatenate([stage.process(sound[:, at : at + size]) for at in range(0, 5000, size)], axis=1)
    assert np.array_equal(whole, parts)
    stage.reset()
    assert np.array_equal(whole, stage.process(sound))


def test_the_chain_does_what_its_curve_says() -> None:
    impulse = np.zeros((1, 1 << 15))
    impulse[0, 0] = 1.0
    equalisers = (CHAIN[0], CHAIN[1], CHAIN[4])
    heard = build_strip("bass", Strip(chain=equalisers), 44_100, ("M",)).process(impulse)[0]
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(heard)))
    freqs = np.arange((1 << 14) + 1) * 44_100 / (1 << 15)
    promised = response_db(equalisers, freqs[20:], 44_100)
    assert spectrum[20:] == pytest.approx(promised, abs=0.01)


SURROUND = ("L", "R", "C", "LFE", "Ls", "Rs")


def alone(sound: np.ndarray, *bands: StripProcessor) -> np.ndarray:
    """Every channel by itself through minimum-phase bands."""
    return np.concatenate([build_strip("bass", Strip(chain=bands), 44_100, ("M",)).process(row[None]) for row in sound])


@pytest.mark.parametrize("placement", ["mid", "side", "left", "right"])
def test_a_band_acts_on_its_part_of_every_pair_and_on_nothing_else(placement: Placement) -> None:
    sound = noise(4000, channels=6)
    bell = Bell(freq_hz=1000.0, gain_db=9.0, placement=placement)
    out = build_strip("bass", Strip(chain=(bell,)), 44_100, SURROUND).process(sound)
    assert np.array_equal(out[2:4], sound[2:4]), "centre and LFE are of no pair"
    for left, right in ((0, 1), (4, 5)):
        parts, treated = (
            {
                "left": each[left],
                "right": each[right],
                "mid": (each[left] + each[right]) / 2,
                "side": (each[left] - each[right]) / 2,
            }
            for each in (sound, out)
        )
        other = {"left": "right", "right": "left", "mid": "side", "side": "mid"}[placement]
        expected = alone(parts[placement][None], Bell(freq_hz=1000.0, gain_db=9.0))[0]
        assert treated[placement] == pytest.approx(expected, abs=1e-14)
        assert treated[other] == pytest.approx(parts[other], abs=1e-15)


def test_the_same_band_on_mid_and_side_is_the_band_on_all() -> None:
    sound = noise(4000)
    both = tuple(Bell(freq_hz=300.0, gain_db=-6.0, placement=placement) for placement in ("mid", "side"))
    out = build_strip("bass", Strip(chain=both), 44_100, STEREO).process(sound)
    assert out == pytest.approx(alone(sound, Bell(freq_hz=300.0, gain_db=-6.0)), abs=1e-14)


def test_neighbours_of_one_placement_are_one_cascade_in_the_order_of_the_chain() -> None:
    chain = tuple(Bell(freq_hz=200.0 * n, gain_db=3.0, placement="side" if n > 2 else "mid") for n in range(1, 6))
    stages = build_chain("strips.bass.chain", chain, 44_100, STEREO)
    assert len(stages) == 2
    plain = (Bell(freq_hz=250.0, gain_db=1.0), LowCut(freq_hz=30.0), Notch(freq_hz=50.0))
    assert len(build_chain("strips.bass.chain", plain, 44_100, STEREO)) == 1


def test_bypassed_and_neutral_processors_leave_every_bit() -> None:
    chain = (Bell(freq_hz=250.0), Bell(freq_hz=250.0, gain_db=-3.0, bypass=True), Width(), Gain())
    sound = noise(100)
    assert np.array_equal(build_strip("bass", Strip(chain=chain), 44_100, STEREO).process(sound), sound)


def test_balance_is_unity_at_the_centre_and_on_the_near_side() -> None:
    sound = np.ones((2, 4))
    right = build_strip("bass", Strip(pan=1.0), 44_100, STEREO).process(sound)
    assert right[:, 0].tolist() == [0.0, 1.0]
    half = build_strip("bass", Strip(pan=-0.5), 44_100, STEREO).process(sound)
    assert half[:, 0] == pytest.approx([1.0, np.sqrt(0.5)])
    surround = build_strip("bass", Strip(pan=-1.0), 44_100, ("L", "R", "C", "LFE", "Ls", "Rs"))
    assert surround.process(np.ones((6, 1)))[:, 0].tolist() == [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]


def test_width_scales_the_side_only() -> None:
    sound = noise(100)
    wide = build_strip("bass", Strip(chain=(Width(amount=2.0),)), 44_100, STEREO).process(sound)
    assert wide[0] + wide[1] == pytest.approx(sound[0] + sound[1])
    assert wide[0] - wide[1] == pytest.approx(2 * (sound[0] - sound[1]))
    mono = build_strip("bass", Strip(chain=(Width(amount=0.0),)), 44_100, STEREO).process(sound)
    assert np.array_equal(mono[0], mono[1])


def test_polarity_and_gain_are_exact_factors() -> None:
    sound = noise(100)
    assert np.array_equal(build_strip("bass", Strip(polarity=-1), 44_100, STEREO).process(sound), -sound)


@pytest.mark.parametrize(
    ("strip", "rate", "speakers", "said"),
    [
        (
            Strip(chain=(Gain(gain_db=1.0), Bell(freq_hz=20_000.0, gain_db=1.0))),
            8000,
            STEREO,
            "strips.bass.chain[1]: freq_hz is 20000, above 3920 Hz",
        ),
        (Strip(pan=0.5), 44_100, ("M",), "strips.bass.pan: pan needs a left-right pair"),
        (Strip(chain=(Width(amount=0.5),)), 44_100, ("M",), "strips.bass.chain[0]: width needs a left-right pair"),
        (
            Strip(chain=(LowCut(freq_hz=30.0), Notch(freq_hz=50.0, placement="side"))),
            44_100,
            ("M",),
            "strips.bass.chain[1]: notch on side needs a left-right pair",
        ),
    ],
)
def test_what_a_source_can_not_take_is_refused_by_key(
    strip: Strip, rate: int, speakers: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UnbakeError) as caught:
        build_strip("bass", strip, rate, speakers)
    assert said in caught.value.line()


def test_a_filter_left_in_silence_comes_to_rest() -> None:
    stage = build_strip("bass", Strip(chain=(Bell(freq_hz=5000.0, gain_db=6.0, q=0.5),)), 44_100, STEREO)
    stage.process(noise(1000))
    stage.process(np.zeros((2, 65_536)))
    assert not stage.process(np.zeros((2, 65_536))).any()
