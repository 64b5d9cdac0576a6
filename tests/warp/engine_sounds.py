"""Arrays as the sounds that engines hear, and what engines give as arrays again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from core.warp.engines.sound import Warper


class Samples:
    """An array [channels, frames] as a `Sound`."""

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = samples
        self._at = 0
        self.channels = len(samples)

    def read(self, frames: int) -> np.ndarray:
        block = self._samples[:, self._at : self._at + frames]
        self._at += frames
        return np.pad(block, ((0, 0), (0, frames - block.shape[1])))


class Endless:
    """Noise that repeats, for as long as it is asked for: a `Sound` that takes no room."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._noise = noise(1 << 16, channels)

    def read(self, frames: int) -> np.ndarray:
        return np.resize(self._noise, (self.channels, frames))


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, frames))


def drained(warper: Warper, blocks: Sequence[int] = (65_536,)) -> list[np.ndarray]:
    """All that a warper gives, read in blocks of these sizes in turn."""
    parts = []
    left = warper.frames
    for size in itertools.cycle(blocks):
        if left <= 0:
            break
        parts.append(warper.read(min(size, left)))
        left -= size
    assert all(not block.any() for block in warper.read(100))
    return [np.concatenate(each, axis=1) for each in zip(*parts, strict=True)]


def null_db(difference: np.ndarray, whole: np.ndarray) -> float:
    """The level of a difference relative to what it is a difference of, of the root of their mean squares."""
    return float(10.0 * np.log10(np.square(difference).mean() / np.square(whole).mean() + 1e-40))
