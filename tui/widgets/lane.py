"""The small waveform of a stem's lane as text, for rows of cells."""

from __future__ import annotations

import numpy as np

from tui.signs import GlyphSet
from tui.widgets.drawing import Canvas
from tui.widgets.waveform import Samples, paint_lane, paint_wave


def lane_text(low: Samples, high: Samples, glyphs: GlyphSet, rows: int = 1) -> tuple[str, ...]:
    """Rows of cells from the top, `glyphs.across` columns of extremes to each cell; blank where there is nothing."""
    columns = len(low) // glyphs.across
    if not columns:
        return ("",) * rows
    canvas = Canvas(rows, columns)
    used = columns * glyphs.across
    if rows == 1:
        paint_lane(canvas, np.maximum(np.abs(low[:used]), np.abs(high[:used])), glyphs)
    else:
        paint_wave(canvas, low[:used], high[:used], glyphs)
    return tuple(row.astype("<u4").tobytes().decode("utf-32-le") for row in canvas.cells)
