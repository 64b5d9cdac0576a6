"""Out of the bus: the float64 sum turned into the output's sample format, once.

Integer output is dithered (TPDF) over the whole file when anything is active and not at all when nothing is; an
explicit `dither` of the master stage replaces that rule, and a delivery may choose the shape of its noise.
"""

from __future__ import annotations

import math

import numpy as np

from core.audio.formats import Block, integer_bits
from core.audio.quantise import TpdfDither, codes_to_float, count_overs, error_bound_dbfs, quantise
from core.audio.shaping import WORST_LSB, NoiseShaper
from core.audio.write import AudioWriter
from core.errors import UnbakeError
from core.session.document import Session, audible_key
from core.session.processors import DitherShape


def overs_of(block: Block, word_bits: int | None) -> int:
    """How many samples of a block are beyond full scale: outside what `word_bits` hold, for floats above 1.0."""
    return int(np.count_nonzero(np.abs(block) > 1.0)) if word_bits is None else count_overs(block, word_bits)


class BusOutput:
    """Writes blocks of the bus, in order, and counts the overs on the way.

    `overs` is how many samples are beyond full scale: outside what the word length holds, or above 1.0 in floating
    point, which holds them unless `clip` asks for them to be cut. `peak` is the largest magnitude of the bus, linear.
    `altered` says that what comes is not the session's own sum, which makes dither due. `shape` is the delivery's: it
    takes the place of flat dither, and makes it due where the output has fewer bits than the source. Raises UnbakeError
    when the session dithers to more bits than the format has.
    """

    def __init__(
        self,
        session: Session,
        subtype: str,
        channels: int,
        sample_rate: int,
        *,
        clip: bool = False,
        altered: bool = False,
        shape: DitherShape | None = None,
    ) -> None:
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
        active = not session.untouched or altered or (shape is not None and self._narrows(session.source.subtype))
        due = explicit is not None or (session.dither is None and active)
        self._dither: TpdfDither | None = None
        self._shaper: NoiseShaper | None = None
        if due and self.word_bits is not None:
            chosen = explicit.shape if explicit is not None else shape or "flat"
            if chosen == "f_weighted":
                self._shaper = NoiseShaper(sample_rate, channels)
            noise = "highpass" if chosen == "highpass" else "flat"
            self._dither = TpdfDither(audible_key(session), channels, noise)

    def _narrows(self, source_subtype: str) -> bool:
        """Whether a source's samples have to be rounded to fit."""
        source_bits = integer_bits(source_subtype)
        return self.word_bits is not None and (source_bits is None or source_bits > self.word_bits)

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
            worst_lsb = self._shaper.worst_lsb if self._shaper else WORST_LSB if self.dithered else 0.5
            return 20 * math.log10(worst_lsb * 2.0 ** (1 - self.word_bits))
        return error_bound_dbfs(self._subtype, False, max(self.peak, float(np.finfo(np.float32).tiny)))

    @property
    def noise_dbfs(self) -> float | None:
        """The rms of what rounding under TPDF dither adds; None without dither, and where its noise is shaped.

        A quarter of a step squared (Lipshitz, Wannamaker & Vanderkooy, "Quantization and dither", JAES 40, 1992).
        """
        if self.word_bits is None or self._dither is None or self._shaper is not None:
            return None
        return 20.0 * math.log10(0.5 * 2.0 ** (1 - self.word_bits))

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
        if self._shaper is not None and noise is not None:
            codes = self._shaper.quantise(block, self.word_bits, noise)
        else:
            codes = quantise(block, self.word_bits, noise)
        if self._stored_bits is None:
            writer.write(codes_to_float(codes, self.word_bits))
        else:
            writer.write_codes(codes << (self._stored_bits - self.word_bits))
