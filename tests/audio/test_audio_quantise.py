"""Rounding, rails, dither and the bound that the certificate relies on."""

import numpy as np
import pytest

from core.audio.formats import integer_bits
from core.audio.quantise import (
    TpdfDither,
    bits_of,
    codes_to_float,
    count_overs,
    error_bound_dbfs,
    quantise,
)
from core.errors import UnbakeError


def test_rounds_half_to_even_and_not_down():
    levels = np.array([[-2.5, -1.5, -0.5, -0.49, 0.49, 0.5, 1.5, 2.5, 2.51]])
    np.testing.assert_array_equal(quantise(levels / 32768, 16), [[-2, -2, 0, 0, 0, 0, 2, 2, 3]])


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_codes_survive_the_way_to_float_and_back(bits):
    half = 2 ** (bits - 1)
    codes = np.random.default_rng(0).integers(-half, half, (2, 5000)).astype(np.int32)
    codes[:, :2] = -half, half - 1
    block = codes_to_float(codes, bits)
    assert block[0, 0] == -1.0
    assert block[0, 1] == (half - 1) / half
    np.testing.assert_array_equal(quantise(block, bits), codes)
    assert count_overs(block, bits) == 0


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_clamps_at_the_rails(bits):
    half = 2 ** (bits - 1)
    block = np.array([[-5.0, -1.0, 1.0, 7.0, np.inf, -np.inf]])
    np.testing.assert_array_equal(quantise(block, bits), [[-half, -half, half - 1, half - 1, half - 1, -half]])
    assert quantise(block, bits).dtype == np.int32


def test_dither_can_not_wrap_round():
    square = np.tile([[32767.0 / 32768, -1.0]], 5000)
    codes = quantise(square, 16, TpdfDither(b"key", 1).block(0, 10000))
    assert set(np.unique(codes[0, ::2])) == {32766, 32767}
    assert set(np.unique(codes[0, 1::2])) == {-32768, -32767}


def test_samples_that_are_not_numbers_are_refused():
    with pytest.raises(UnbakeError, match="not numbers"):
        quantise(np.array([[0.0, np.nan]]), 16)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_overs_are_what_rounding_can_not_hold(bits):
    half = 2.0 ** (bits - 1)
    block = np.array([[half - 1, half - 0.51, half - 0.5, half, -half, -half - 0.5, -half - 0.51, -half - 1]]) / half
    with np.errstate(all="raise"):
        rounded = np.rint(block * half)
    assert count_overs(block, bits) == np.count_nonzero((rounded > half - 1) | (rounded < -half)) == 4


@pytest.mark.parametrize("shape", ["flat", "highpass"])
def test_dither_is_triangular_in_one_lsb_either_way(shape):
    noise = TpdfDither(b"session", 2, shape).block(0, 400_000)
    assert noise.shape == (2, 400_000)
    assert noise.min() > -1.0
    assert noise.max() < 1.0
    assert noise.min() < -0.99
    assert noise.max() > 0.99
    # A triangle on (-1, 1): mean 0, variance 1/6, a quarter of the values beyond half an LSB.
    np.testing.assert_allclose(noise.mean(axis=1), 0.0, atol=0.005)
    np.testing.assert_allclose(noise.var(axis=1), 1 / 6, rtol=0.01)
    np.testing.assert_allclose((np.abs(noise) > 0.5).mean(axis=1), 0.25, atol=0.005)
    assert abs(np.mean(noise[0] * noise[1])) < 0.002


def test_shapes_of_the_spectrum():
    for noise, neighbours in (
        (TpdfDither(b"session", 1, "flat").block(0, 200_000)[0], 0.0),
        (TpdfDither(b"session", 1, "highpass").block(0, 200_000)[0], -0.5),
    ):
        assert np.mean(noise[1:] * noise[:-1]) * 6 == pytest.approx(neighbours, abs=0.01)


@pytest.mark.parametrize("shape", ["flat", "highpass"])
def test_dither_does_not_depend_on_block_sizes_or_order(shape):
    dither = TpdfDither(b"session", 3, shape)
    whole = dither.block(0, 20_000)
    for size in (1, 999, 4096, 8191):
        starts = range(0, 20_000 if size > 1 else 5000, size)
        parts = {start: dither.block(start, min(size, 20_000 - start)) for start in reversed(starts)}
        joined = np.concatenate([parts[start] for start in starts], axis=1)
        np.testing.assert_array_equal(joined, whole[:, : joined.shape[1]])
    np.testing.assert_array_equal(TpdfDither(b"session", 3, shape).block(4095, 3), whole[:, 4095:4098])
    assert dither.block(17, 0).shape == (3, 0)


def test_dither_depends_on_the_key():
    one = TpdfDither(b"session 1", 2).block(0, 1000)
    other = TpdfDither(b"session 2", 2).block(0, 1000)
    assert abs(np.mean(one[0] * other[0])) < 0.03
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one, TpdfDither(b"session 1", 2).block(0, 1000))


def test_dither_repeats_nowhere_near():
    noise = TpdfDither(b"k", 1).block(0, 3 * 4096)[0]
    assert len(np.unique(noise[:4096])) > 4090
    assert not np.array_equal(noise[:4096], noise[4096:8192])
    far = TpdfDither(b"k", 1).block(2**40, 4096)[0]
    assert not np.array_equal(noise[:4096], far)


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("dithered", [False, True])
def test_the_error_bound_holds_and_is_tight(bits, dithered):
    block = np.random.default_rng(2).uniform(-0.9, 0.9, (2, 50_000))
    noise = TpdfDither(b"k", 2).block(0, 50_000) if dithered else None
    error = np.abs(codes_to_float(quantise(block, bits, noise), bits) - block).max()
    bound_dbfs = error_bound_dbfs(f"PCM_{bits}" if bits > 8 else "PCM_U8", dithered, 0.9)
    assert bound_dbfs is not None
    assert 20 * np.log10(error) <= bound_dbfs
    assert 20 * np.log10(error) > bound_dbfs - (1.0 if dithered else 0.01)


def test_the_error_bound_of_floating_point():
    block = np.random.default_rng(2).uniform(-1.9, 1.9, 100_000)
    error = np.abs(block.astype(np.float32) - block).max()
    bound_dbfs = error_bound_dbfs("FLOAT", False, np.abs(block).max())
    assert bound_dbfs is not None
    assert bound_dbfs - 0.1 < 20 * np.log10(error) <= bound_dbfs
    assert error_bound_dbfs("DOUBLE", True, 1.0) == pytest.approx(20 * np.log10(2.0**-53))
    assert error_bound_dbfs("VORBIS", False, 1.0) is None


def test_which_formats_hold_integers():
    assert [bits_of(subtype) for subtype in ("PCM_U8", "PCM_S8", "PCM_24", "ALAC_20")] == [8, 8, 24, 20]
    assert [integer_bits(subtype) for subtype in ("FLOAT", "DOUBLE", "AAC", "VORBIS")] == [None] * 4
    with pytest.raises(ValueError, match="VORBIS"):
        bits_of("VORBIS")
