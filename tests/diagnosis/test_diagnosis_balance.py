"""What the diagnosis is made of: band powers, what parts have in common, the harmonics of notes."""

from __future__ import annotations

import numpy as np
import pytest

from core.diagnosis.balance import CENTRES_HZ, BalanceMeter, Windows, third_octaves
from core.diagnosis.notes import NoteMeter
from core.session.processors import Bell
from core.strips.eq import response_db
from tests.diagnosis.diagnosis_sounds import RATE, bass_line, stereo, time_s, treated


def balance(parts: list[np.ndarray], rate: int = RATE, block: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    windows = Windows(rate)
    meter = BalanceMeter(len(parts), rate, windows.size)
    for start in range(0, parts[0].shape[1], block):
        for window in windows.push([part[:, start : start + block] for part in parts]):
            meter.push(window)
    for window in windows.last():
        meter.push(window)
    return meter.result()


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_a_sine_is_in_its_band_at_its_level(rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000.0 * time_s(rate, 3.0))[None]
    power, common = balance([tone], rate)
    level_db = 10 * np.log10(np.maximum(power[0], 1e-20))
    place = int(np.argmax(level_db))
    assert CENTRES_HZ[place] == 1000.0
    assert level_db[place] == pytest.approx(-6.02, abs=0.1)
    assert 10 * np.log10(third_octaves(power)[0, place]) == pytest.approx(-6.02, abs=0.1)
    assert np.allclose(common[0, 0], power[0])


def test_blocks_do_not_matter() -> None:
    sound = np.random.default_rng(1).standard_normal((2, RATE))
    one, other = (balance([sound], block=block) for block in (RATE, 777))
    assert np.array_equal(one[0], other[0])


def test_common_powers_give_the_power_of_any_filtered_sum() -> None:
    rng = np.random.default_rng(5)
    shared = rng.standard_normal((2, 4 * RATE))
    first, second = shared + rng.standard_normal(shared.shape), np.roll(shared, 3, axis=1)
    _, common = balance([first, second])
    total, _ = balance([first + second])
    low = CENTRES_HZ < 2400.0
    assert np.allclose(common.sum(axis=(0, 1)).real[low], total[0][low], rtol=1e-9)
    gains = np.stack([np.full(len(CENTRES_HZ), 2.0j), np.full(len(CENTRES_HZ), -0.5)])
    reckoned = np.einsum("ik,ijk,jk->k", gains.conj(), common, gains).real
    # by i is a turn of a quarter: the analytic signal of the first part
    spectrum = np.fft.fft(first)
    spectrum[:, spectrum.shape[1] // 2 :] = 0.0
    turned = 2.0 * np.imag(np.fft.ifft(2.0 * spectrum)) * -1.0
    heard, _ = balance([turned - 0.5 * second])
    assert np.allclose(reckoned[low][12:], heard[0][low][12:], rtol=0.05)


def test_what_is_shorter_than_a_window_is_measured_once() -> None:
    power, _ = balance([np.ones((1, 1))])
    assert np.isfinite(power).all()
    assert power.sum() > 0.0
    assert balance([np.zeros((1, 0))])[0].sum() == 0.0


def harmonics_of(sound: np.ndarray, rate: int = RATE):
    windows = Windows(rate)
    meter, balances = NoteMeter(rate, windows.size, 1), BalanceMeter(1, rate, windows.size)
    for window in windows.push([sound]):
        meter.push(balances.push(window)[0])
    return meter.result()


def test_notes_are_found_with_the_levels_of_their_harmonics() -> None:
    at = time_s(seconds=4.0)
    levels_db = {1: 0.0, 2: -4.0, 3: -15.0, 4: -9.0, 5: -20.0, 7: -12.0}
    tone = sum(10 ** (level / 20) * np.sin(2 * np.pi * 73.4 * number * at) for number, level in levels_db.items())
    found = {one.number: one for one in harmonics_of(stereo(np.asarray(tone)))}
    assert all(one.fundamental_hz == pytest.approx(73.4, rel=0.003) for one in found.values())
    for number, level in levels_db.items():
        assert found[number].level_db - found[1].level_db == pytest.approx(level, abs=1.6)
    assert 6 not in found, "there is none"


def test_a_filter_shows_in_the_harmonics_at_its_frequency() -> None:
    bell = Bell(freq_hz=250.0, gain_db=10.0, q=1.0)
    plain, filtered = (
        {(round(one.fundamental_hz), one.number): one for one in harmonics_of(sound)}
        for sound in (bass_line(), treated(bass_line(), bell))
    )
    loud = {key for key, one in plain.items() if one.level_db > plain[key[0], 1].level_db - 30.0}
    both = loud & filtered.keys()
    assert len(both) > 60
    for key in both:
        freq_hz = plain[key].fundamental_hz * plain[key].number
        expected = response_db([bell], np.array([freq_hz]), RATE)[0]
        assert filtered[key].level_db - plain[key].level_db == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("sound", [np.zeros((2, RATE)), np.random.default_rng(0).standard_normal((2, RATE))])
def test_silence_and_noise_have_no_notes(sound: np.ndarray) -> None:
    assert len({one.fundamental_hz for one in harmonics_of(sound)}) <= 1
