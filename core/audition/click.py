"""A click track: short tones that say where beats are, higher and louder where a bar begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from core.audio.formats import Block

CLICK_SECONDS: Final = 0.03
FADE_SECONDS: Final = 0.006
"""In which a click loses 63% of what it has."""
RISE_SECONDS: Final = 0.0005
BEAT_HZ: Final = 1000.0
BAR_HZ: Final = 1600.0
BEAT_PEAK: Final = 0.25
BAR_PEAK: Final = 0.35


def click_track(
    frames: int, beats: Sequence[int], bars: Sequence[int], sample_rate: int, channels: int, first: int = 0
) -> Block:
    """Clicks on the `beats`, those that are among `bars` as those of a bar, float64 [channels, frames] from `first`."""
    heard = np.zeros(frames)
    sounds = {False: _click(BEAT_HZ, BEAT_PEAK, sample_rate), True: _click(BAR_HZ, BAR_PEAK, sample_rate)}
    downbeats = set(bars)
    for beat in beats:
        sound, start = sounds[beat in downbeats], beat - first
        here = slice(max(0, start), max(0, min(frames, start + len(sound))))
        heard[here] += sound[here.start - start : here.stop - start] if here.stop > here.start else 0.0
    return np.tile(heard, (channels, 1))


def _click(freq_hz: float, peak: float, sample_rate: int) -> np.ndarray:
    time = np.arange(round(CLICK_SECONDS * sample_rate)) / sample_rate
    shape = np.minimum(1.0, time / RISE_SECONDS) * np.exp(-time / FADE_SECONDS)
    return peak * shape * np.sin(2.0 * np.pi * min(freq_hz, 0.4 * sample_rate) * time)
