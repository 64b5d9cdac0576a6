"""Out of the bus: the float64 sum turned into the output's sample format, once.

Integer output is dithered (TPDF) over the whole file when anything is active and not at all when nothing is; an
explicit `dither` of the master stage replaces that rule.
"""

from __future__ import annotations

import math

import numpy as np

from core.audio.formats import Block, integer_bits
from core.audio.quantise import TpdfDither, codes_to_float, count_overs, error_bound_dbfs, quantise
from core.audio.write import AudioWriter
from core.errors import UnbakeError
from core.session.document import Session, audible_key


def overs_of(block: Block, word_bits: int | None) -> int:
    """How many samples of a block are beyond full scale: outside what `word_bits` hold, for floats above 1.0."""
    return int(np.count_nonzero(np.abs(block) > 1.0)) if word_bits is None else count_overs(block, word_bits)


class BusOutput:
    """Writes blocks of the bus, in order, and counts the overs on the way.

    `overs` is how many samples are beyond full scale: outside what the word length holds, or above 1.0 in floating
    point, which holds them unless `clip` asks for them to be cut. `peak` is the largest magnitude of the bus, linear.
    Raises UnbakeError when the session dithers to more bits than the format has.
    """

    def __init__(self, session: Session, subtype: str, channels: int, *, clip: bool = False) -> None:
        self.overs = 0
        self.peak = 0.0
        self._frame = 0
        self._clip = clip
        self._subtype = subtype
        self._stored_bits = integer_bits(subtype)
        explicit = session.dither if session.dither is not None and not session.dither.bypass else None
        self.word_bits = explicit.bits if explicit is not None and explicit.bits else self._stored_bits
        """Bits that the bus is rounded to; None for floating point."""
        if self._stored_bits is not None and self.word_bits is not None and self.word_bits > self._stored_bits:
            raise UnbakeError(
                f"dither to {self.word_bits} bits, but {subtype} has {self._stored_bits}",
                where="master",
                remedy="set the dither's bits to 0 for those of the output",
            )
        due = explicit is not None or (session.dither is None and not session.untouched)
        shape = explicit.shape if explicit is not None else "flat"
        self._dither = TpdfDither(audible_key(session), channels, shape) if due and self.word_bits is not None else None

    @property
    def rails(self) -> tuple[float, float] | None:
        """Lowest and highest value that is written; None where everything is."""
        if self.word_bits is not None:
            return -1.0, 1.0 - 2.0 ** (1 - self.word_bits)
        return (-1.0, 1.0) if self._clip else None

    @property
    def dithered(self) -> bool:
        """Whether noise is added before rounding."""
        return self._dither is not None

    @property
    def bound_dbfs(self) -> float | None:
        """The most that a sample of the file can differ from the bus; None for a lossy format."""
        if self.word_bits is not None:
            return 20 * math.log10((1.5 if self.dithered else 0.5) * 2.0 ** (1 - self.word_bits))
        return error_bound_dbfs(self._subtype, False, max(self.peak, float(np.finfo(np.float32).tiny)))

    def write(self, block: Block, writer: AudioWriter) -> None:
        """Takes the next block of the bus, float64 [channels, frames], into the file."""
        if block.size:
            self.peak = max(self.peak, float(block.max()), -float(block.min()))
        start, self._frame = self._frame, self._frame + block.shape[1]
        self.overs += overs_of(block, self.word_bits)
        if self.word_bits is None:
            writer.write(np.clip(block, -1.0, 1.0) if self._clip else block)
            return
        noise = None if self._dither is None else self._dither.block(start, block.shape[1])
        codes = quantise(block, self.word_bits, noise)
        if self._stored_bits is None:
            writer.write(codes_to_float(codes, self.word_bits))
        else:
            writer.write_codes(codes << (self._stored_bits - self.word_bits))
