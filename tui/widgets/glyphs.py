"""Dots packed into characters.

Braille gives eight dots to a cell. The Linux console has no braille, only the glyphs of code page 437; a locale that is
not UTF-8 has ASCII alone: `tui.signs` chooses. What is drawn with the dots is left to the widgets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tui.signs import GlyphSet

Dots = NDArray[np.bool_]
"""What is lit, [dot rows, dot columns], top row first."""
Cells = NDArray[np.uint32]
"""Code points, one a cell: [rows, columns]."""

BLANK = 0x20
BRAILLE_BLANK = 0x2800
_BRAILLE_WEIGHTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)
_HALVES_WEIGHTS = np.array([[1], [2]], np.uint32)
_HALVES = {
    GlyphSet.BLOCKS: np.array([ord(glyph) for glyph in " ▀▄█"], np.uint32),
    GlyphSet.ASCII: np.array([ord(glyph) for glyph in " '.#"], np.uint32),
}


def pack(dots: Dots, glyphs: GlyphSet) -> Cells:
    """Dots [rows * down, columns * across] as cells [rows, columns]; a cell without a dot is a space."""
    rows, columns = dots.shape[0] // glyphs.down, dots.shape[1] // glyphs.across
    weights = _BRAILLE_WEIGHTS if glyphs is GlyphSet.BRAILLE else _HALVES_WEIGHTS
    tiles = dots.reshape(rows, glyphs.down, columns, glyphs.across)
    codes = np.einsum("rdca,da->rc", tiles, weights).astype(np.uint32)
    if glyphs is GlyphSet.BRAILLE:
        return np.where(codes == 0, np.uint32(BLANK), codes + np.uint32(BRAILLE_BLANK))
    return _HALVES[glyphs][codes]


def between(top: NDArray[np.int64], bottom: NDArray[np.int64], dot_rows: int) -> Dots:
    """Columns lit from dot row `top` to dot row `bottom`, both included; where top is below bottom, nothing is lit."""
    rows = np.arange(dot_rows)[:, None]
    return (rows >= top) & (rows <= bottom)
