"""The small waveform of a stem's lane as text, for a row of cells."""

from __future__ import annotations

import numpy as np

from tui.signs import GlyphSet
from tui.widgets.drawing import Canvas
from tui.widgets.waveform import Samples, paint_lane


def lane_text(low: Samples, high: Samples, glyphs: GlyphSet) -> str:
    """One row of cells, `glyphs.across` columns of extremes to each; blank where there is nothing."""
    columns = len(low) // glyphs.across
    if not columns:
        return ""
    canvas = Canvas(1, columns)
    used = columns * glyphs.across
    paint_lane(canvas, np.maximum(np.abs(low[:used]), np.abs(high[:used])), glyphs)
    return canvas.cells[0].astype("<u4").tobytes().decode("utf-32-le")
