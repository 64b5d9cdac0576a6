"""A spectrogram in half-cell blocks, or in characters of rising weight where there are few colours.

The levels are computed elsewhere, once for each view: repainting a spectrogram is dear, so it is never on a timer.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.style import Style
from textual.color import Color, Lab, lab_to_rgb, rgb_to_lab

from tui.signs import GlyphSet
from tui.widgets.drawing import FREQUENCIES_HZ, Canvas, Drawing, frequency_text, label_columns
from tui.widgets.glyphs import BLANK

LABEL = 1
SHADES = 12
SHADES_FROM_LAYER = 2
"""Layers from here on are a pair of shades: upper * SHADES + lower."""
SHADED = 1
"""The ground under shades, so that the blank cells beside them stay without."""
RANGE_DB = 80.0
RAMPS = {GlyphSet.BRAILLE: " .:-=+*#%@", GlyphSet.BLOCKS: " ░▒▓█", GlyphSet.ASCII: " .:-=+*#%@"}
"""Characters from quiet to loud."""


class SpectrogramView(Drawing):
    """Levels over time and frequency, low frequencies at the bottom; a row of a cell holds two rows of levels."""

    LAYERS = ("spectrogram--label",)
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LAYERS, "spectrogram--loud", "spectrogram--tint"}
    DEFAULT_CSS = """
    SpectrogramView { width: 1fr; height: 1fr; min-height: 1; }
    SpectrogramView > .spectrogram--label { color: $foreground 70%; }
    SpectrogramView > .spectrogram--loud { color: $foreground; }
    SpectrogramView > .spectrogram--tint { color: $primary; }
    """

    def __init__(
        self,
        *,
        glyphs: GlyphSet | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, name=name, id=id, classes=classes)
        self._levels_db: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._low_hz = 0.0
        self._high_hz = 0.0
        self._top_db: float | None = None
        self._ramp: tuple[Color, ...] = ()

    @property
    def wanted(self) -> tuple[int, int]:
        """How many columns and rows of levels fill the widget."""
        return self.size.width, self.size.height * self._halves

    @property
    def shaded(self) -> bool:
        """Whether colours are there to draw with: not without braille, with NO_COLOR, nor on 16 colours."""
        plain = self.app.no_color or self.app.native_ansi_color
        return self.glyphs is GlyphSet.BRAILLE and not plain and self.app.console.color_system in ("256", "truecolor")

    def draw(self, levels_db: ArrayLike, low_hz: float, high_hz: float, *, top_db: float | None = None) -> None:
        """Shows levels in dB [rows, columns]: row 0 at `low_hz`, the last at `high_hz`, evenly spaced in octaves.

        80 dB are drawn from `top_db` down, or from the loudest level where it is None: give it to have the same shades
        wherever the view is scrolled to. NaN is nothing.
        """
        levels = np.asarray(levels_db, np.float32)
        if levels.ndim != 2 or not 0 < low_hz < high_hz:
            raise ValueError(f"levels of shape {levels.shape} from {low_hz} to {high_hz} Hz")
        self._levels_db, self._low_hz, self._high_hz, self._top_db = levels, low_hz, high_hz, top_db
        self.repaint()

    def paint(self, canvas: Canvas) -> None:
        """Draws the levels over the whole width, so that they stand under their times, and frequencies over them."""
        if not self._levels_db.size:
            return
        if self.shaded:
            shades = self._shades(2 * canvas.rows, canvas.columns, SHADES)
            upper, lower = shades[::2], shades[1::2]
            canvas.cells[:] = np.where(upper == lower, BLANK, ord("▀"))
            canvas.layers[:] = SHADES_FROM_LAYER + upper * SHADES + lower
            canvas.grounds[:] = SHADED
        else:
            ramp = np.array([ord(glyph) for glyph in RAMPS[self.glyphs]], np.uint32)
            canvas.cells[:] = ramp[self._shades(canvas.rows, canvas.columns, len(ramp))]
        left = label_columns(canvas.columns)
        if left:
            self._paint_frequencies(canvas, left)

    def style_of(self, layer: int, ground: int) -> Style:
        """The label's style, or the upper shade on the lower one."""
        if layer < SHADES_FROM_LAYER:
            return super().style_of(layer, ground)
        upper, lower = divmod(layer - SHADES_FROM_LAYER, SHADES)
        self._ramp = self._ramp or self._shades_of_theme()
        return Style(color=self._ramp[upper].rich_color, bgcolor=self._ramp[lower].rich_color)

    def _forget(self) -> None:
        super()._forget()
        self._ramp = ()

    @property
    def _halves(self) -> int:
        return 2 if self.shaded else 1

    def _shades(self, rows: int, columns: int, count: int) -> NDArray[np.int64]:
        """The shade of every dot, top row first, 0 to count - 1."""
        have_rows, have_columns = self._levels_db.shape
        row = (np.arange(rows)[::-1] * have_rows // rows)[:, None]
        levels = self._levels_db[row, np.arange(columns) * have_columns // columns]
        levels = np.where(np.isnan(levels), -np.inf, levels)
        top_db = float(self._levels_db[np.isfinite(self._levels_db)].max(initial=-np.inf))
        if self._top_db is not None:
            top_db = self._top_db
        if math.isinf(top_db):
            return np.zeros((rows, columns), np.int64)
        return ((levels - top_db + RANGE_DB) / RANGE_DB * count).clip(0, count - 1).astype(np.int64)

    def _shades_of_theme(self) -> tuple[Color, ...]:
        """From the background to the colour of what is loud, evenly in lightness, tinted on the way."""
        _, background = self.background_colors
        quiet, loud, tint = (
            rgb_to_lab(background + color)
            for color in (
                background,
                self.get_component_styles("spectrogram--loud").color,
                self.get_component_styles("spectrogram--tint").color,
            )
        )
        ramp = []
        for share in np.linspace(0, 1, SHADES).tolist():
            tinted = 4 * share * (1 - share)
            a = quiet.a + (loud.a - quiet.a) * share
            b = quiet.b + (loud.b - quiet.b) * share
            lightness = quiet.L + (loud.L - quiet.L) * share
            ramp.append(lab_to_rgb(Lab(lightness, a + (tint.a - a) * tinted, b + (tint.b - b) * tinted)))
        return tuple(ramp)

    def _paint_frequencies(self, canvas: Canvas, left: int) -> None:
        taken: list[int] = []
        octaves = math.log(self._high_hz / self._low_hz)
        for freq_hz in FREQUENCIES_HZ:
            if self._low_hz <= freq_hz <= self._high_hz:
                row = round((1 - math.log(freq_hz / self._low_hz) / octaves) * (canvas.rows - 1))
                if all(abs(row - other) > 1 for other in taken):
                    taken.append(row)
                    canvas.write(row, 0, f"{frequency_text(freq_hz):>{left - 1}} ", LABEL)
                    canvas.grounds[row, :left] = 0
