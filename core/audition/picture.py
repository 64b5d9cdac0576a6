"""What the page draws behind: the whole source as a row of peaks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from core.events import finish
from core.measure import overview

COLUMNS: Final = 2000


def peaks_of(path: Path) -> list[float]:
    """The largest magnitude, 0 to 1, of each of `COLUMNS` equal stretches of a file; reads all of it.

    Raises UnbakeError when it can't be read.
    """
    whole = finish(overview.scan(path))
    if not whole.frames:
        return []
    low, high = whole.columns(0, whole.frames, COLUMNS)
    found = np.maximum(np.abs(low), np.abs(high))
    return np.clip(np.nan_to_num(found), 0.0, 1.0).tolist()
