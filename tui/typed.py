"""What people type, in options and in forms, read the same way. Only the standard library."""

from __future__ import annotations

import math
from collections.abc import Mapping

from core.errors import UnbakeError


def sensitivity(text: str) -> dict[str, float]:
    """Stems and figures, such as `vocals=3,drums=7`. Raises UnbakeError for anything else."""
    found: dict[str, float] = {}
    for part in text.split(","):
        stem, _, figure = (piece.strip() for piece in part.partition("="))
        try:
            value = float(figure)
        except ValueError:
            value = math.nan
        if not stem or stem in found or not 0.0 <= value <= 10.0:
            raise UnbakeError("must be stems with figures from 0 to 10, such as vocals=3,drums=7", where=text)
        found[stem] = value
    return found


def sensitivity_text(levels: Mapping[str, float]) -> str:
    """The same as it is typed."""
    return ",".join(f"{stem}={value:g}" for stem, value in levels.items())


def bpm_range(text: str) -> tuple[float, float]:
    """Two tempi, such as `90,140`, the lower one first. Raises UnbakeError for anything else."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not 0.0 < low < high < math.inf:
        raise UnbakeError("must be two tempi in bpm, the lower one first, such as 90,140", where=text)
    return low, high
