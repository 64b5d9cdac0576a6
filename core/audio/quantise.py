"""From the float64 bus to integer samples, once: rounding, dither, and what falls off the rails.

When dither is due is decided by the render; files are written by `write`.
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.audio.formats import Block, integer_bits
from core.errors import UnbakeError

Codes = NDArray[np.int32]
"""Integer samples [channels, frames], 0 is silence whatever the file's own sign convention."""

_UNIT_FRAMES = 4096
_UNIFORM_STEP = 2.0**-32


def bits_of(subtype: str) -> int:
    """Bits of one sample of an integer sample format, 8 to 32. ValueError for any other."""
    bits = integer_bits(subtype)
    if bits is None:
        raise ValueError(f"{subtype} does not hold integers")
    return bits


class TpdfDither:
    """Triangular dither noise whose value at a frame depends only on key, shape, channel count and frame.

    "flat" sums two independent uniform numbers a sample and is white; "highpass" is the first difference of one
    uniform sequence, triangular too, with its noise moved to high frequencies. A Philox counter generator makes it,
    so that blocks of any size, in any order and in any thread, see the same noise.
    """

    def __init__(self, key: bytes, channels: int, shape: Literal["flat", "highpass"] = "flat") -> None:
        label = f"unbake tpdf {shape} {channels} ".encode()
        self._key = int.from_bytes(hashlib.sha256(label + key).digest()[:16], "little")
        self._channels = channels
        self._shape = shape

    def block(self, start_frame: int, frames: int) -> Block:
        """The noise of `frames` frames from `start_frame` on: float64 [channels, frames], in LSB, inside (-1, 1)."""
        if frames <= 0:
            return np.zeros((self._channels, 0))
        # Highpass needs the frame before; units count from 1 so that frame -1 has one.
        first = start_frame - 1 + _UNIT_FRAMES
        first_unit = first // _UNIT_FRAMES
        last_unit = (start_frame + frames - 1 + _UNIT_FRAMES) // _UNIT_FRAMES
        draws = np.concatenate([self._unit(unit) for unit in range(first_unit, last_unit + 1)])
        begin = first - first_unit * _UNIT_FRAMES
        draws = draws[begin : begin + frames + 1]
        uniform = draws.view("<u4").reshape(frames + 1, self._channels, 2)
        if self._shape == "highpass":
            numbers = uniform[:, :, 0].astype(np.float64)
            noise = np.diff(numbers, axis=0)
        else:
            noise = uniform[1:, :, 0].astype(np.float64)
            noise += uniform[1:, :, 1]
            noise -= 2.0**32 - 1.0
        noise *= _UNIFORM_STEP
        return np.ascontiguousarray(noise.T)

    def _unit(self, unit: int) -> NDArray[np.uint64]:
        generator = np.random.Philox(key=self._key, counter=unit << 128)
        return generator.random_raw(_UNIT_FRAMES * self._channels).astype("<u8", copy=False).reshape(-1, self._channels)


def quantise(block: Block, bits: int, dither_lsb: Block | None = None) -> Codes:
    """Rounds a block to integers of `bits` bits, half to even, clamped at the rails.

    `block` is float64 [channels, frames], full scale 1.0; `dither_lsb` noise in LSB of the same shape. Returns int32
    codes in -2**(bits-1) .. 2**(bits-1)-1. UnbakeError when a sample is not a number.
    """
    scale = 2.0 ** (bits - 1)
    levels = block * scale
    if dither_lsb is not None:
        levels += dither_lsb
    np.rint(levels, out=levels)
    np.clip(levels, -scale, scale - 1.0, out=levels)
    check_numbers(levels)
    return levels.astype(np.int32)


def check_numbers(levels: Block) -> None:
    """Raises UnbakeError when a sample is not a number."""
    if np.isnan(levels).any():
        raise UnbakeError("the sum holds samples that are not numbers, which integers can't express")


def codes_to_float(codes: Codes, bits: int) -> Block:
    """The exact value of integer samples: float64 [channels, frames], code / 2**(bits-1)."""
    return codes.astype(np.float64) * 2.0 ** (1 - bits)


def count_overs(block: Block, bits: int) -> int:
    """How many samples round, without dither, to an integer that `bits` bits can't hold."""
    scale = 2.0 ** (bits - 1)
    # Half to even: +(scale - 0.5) rounds up to scale, -(scale + 0.5) rounds back to -scale.
    return int(np.count_nonzero(block >= (scale - 0.5) / scale) + np.count_nonzero(block < -(scale + 0.5) / scale))


def error_bound_dbfs(subtype: str, dithered: bool, peak: float) -> float | None:
    """The most that a written sample can differ from the bus, in dB below full scale; None for a lossy format.

    Integers: half an LSB, with dither one and a half. Floating point: half an ulp at `peak`, the largest absolute
    sample, linear.
    """
    bits = integer_bits(subtype)
    if bits is not None:
        bound = (1.5 if dithered else 0.5) * 2.0 ** (1 - bits)
    elif subtype == "FLOAT":
        bound = float(np.spacing(np.float32(peak))) / 2.0
    elif subtype == "DOUBLE":
        bound = float(np.spacing(peak)) / 2.0
    else:
        return None
    return 20.0 * math.log10(bound)
