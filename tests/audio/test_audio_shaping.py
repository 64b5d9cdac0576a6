"""Noise-shaped rounding: the published filter, the same bits however it is cut, and noise where it should be."""

import itertools

import numpy as np
import pytest
from scipy.signal import welch

from core.audio import shaping
from core.audio.quantise import TpdfDither, codes_to_float
from core.audio.shaping import F_WEIGHTED, NoiseShaper, f_weighted, predicted, response, round_in_order, worst_lsb
from core.errors import UnbakeError

RATES = (8000, 22_050, 44_100, 48_000, 96_000, 192_000)


def music(rate: int, seconds: float = 12.0) -> np.ndarray:
    rng = np.random.default_rng(4)
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.3 * np.sin(2 * np.pi * 220 * time), 0.2 * np.sin(2 * np.pi * 331 * time)]) + 0.01 * (
        rng.standard_normal((2, len(time)))
    )


def shaped(block: np.ndarray, rate: int, bits: int = 16) -> np.ndarray:
    noise = TpdfDither(b"key", len(block)).block(0, block.shape[1])
    return codes_to_float(NoiseShaper(rate, len(block)).quantise(block, bits, noise), bits)


def test_the_filter_at_44100_is_the_published_one_and_the_method_for_other_rates_gives_it_back() -> None:
    assert tuple(f_weighted(44_100)) == F_WEIGHTED
    np.testing.assert_allclose(predicted(44_100), F_WEIGHTED, atol=1e-9)


@pytest.mark.parametrize("rate", RATES)
def test_the_error_has_the_spectrum_of_the_filter_its_power_and_no_dc(rate: int) -> None:
    block = music(rate)
    error = (shaped(block, rate) - block) * 2**15
    freq_hz, density = welch(error, rate, nperseg=4096, detrend=False)  # pyright: ignore[reportArgumentType]: scipy takes it
    # a quarter of a squared LSB is the power of one rounding with triangular dither (1/12 + 1/6), spread to rate / 2
    expected = 0.25 / (rate / 2) * response(f_weighted(rate), freq_hz, rate) ** 2
    edges = np.geomspace(max(100.0, rate / 500), 0.49 * rate, 25)
    for low, high in itertools.pairwise(edges):
        band = (freq_hz >= low) & (freq_hz < high)
        if band.sum() >= 3:
            off_db = 10 * np.log10(density[:, band].mean() / expected[band].mean())
            assert abs(off_db) < 1.0, (low, high, off_db)
    power = 0.25 * (1.0 + np.square(f_weighted(rate)).sum())
    assert 10 * np.log10(np.square(error).mean() / power) == pytest.approx(0.0, abs=0.1)
    assert np.abs(error.mean(axis=1)).max() < 5 * np.sqrt(0.25) / np.sqrt(error.shape[1])
    assert np.abs(error).max() <= worst_lsb(rate)


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_there_is_less_noise_where_the_ear_is_keen_than_flat_dither_leaves(rate: int) -> None:
    freq_hz = np.linspace(2000.0, 5000.0, 100)
    kept_db = 10 * np.log10(np.square(response(f_weighted(rate), freq_hz, rate)).mean())
    assert kept_db < -20.0


def test_any_cut_gives_the_same_codes_as_the_whole() -> None:
    block = music(44_100, 0.2)
    noise = TpdfDither(b"key", 2).block(0, block.shape[1])
    whole = NoiseShaper(44_100, 2).quantise(block, 16, noise)
    for size in (1, 7, 4096):
        shaper = NoiseShaper(44_100, 2)
        cuts = [slice(at, at + size) for at in range(0, block.shape[1], size)]
        parts = [shaper.quantise(block[:, cut], 16, noise[:, cut]) for cut in cuts]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_the_compiled_loop_gives_the_bits_of_the_loop_in_python() -> None:
    levels = music(44_100, 0.05) * 2**15
    noise = TpdfDither(b"key", 2).block(0, levels.shape[1])
    taps, held = f_weighted(44_100), np.zeros((2, 9))
    mine, theirs, other = levels.copy(), levels.copy(), held.copy()
    shaping._compiled()(mine, noise, taps, held)
    round_in_order(theirs, noise, taps, other)
    np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(held, other)


def test_what_falls_off_the_rails_does_not_come_back_as_noise() -> None:
    block = np.concatenate([np.full((1, 2000), 3.0), np.full((1, 2000), -3.0), np.zeros((1, 4000))], axis=1)
    found = shaped(block, 44_100)
    assert found[:, :2000].max() == 1 - 2**-15
    assert (found[:, 2000:4000] == -1.0).all()
    assert np.abs(found[:, 4000:]).max() <= worst_lsb(44_100) / 2**15


def test_one_sample_and_none_and_what_is_not_a_number() -> None:
    assert shaped(np.zeros((1, 1)), 44_100).shape == (1, 1)
    assert shaped(np.zeros((3, 0)), 44_100).shape == (3, 0)
    with pytest.raises(UnbakeError, match="not numbers"):
        shaped(np.array([[0.0, np.nan]]), 44_100)


def test_a_folder_that_can_not_be_written_only_costs_the_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    plain = numba.njit

    def njit(*words, cache: bool = False, **named):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return plain(*words, **named)

    monkeypatch.setattr(numba, "njit", njit)
    shaping._compiled.cache_clear()
    try:
        assert shaped(np.zeros((1, 10)), 44_100).shape == (1, 10)
    finally:
        shaping._compiled.cache_clear()
