"""Sounds side by side, and as much of them at hand as an engine that moves along them needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.audio.formats import Block
    from core.warp.engines.sound import Sound

PIECE_FRAMES: Final = 16_384


class Window:
    """The channels of several sounds of `frames` frames as one block that only moves on; silent outside of them."""

    def __init__(self, sounds: Sequence[Sound], frames: int) -> None:
        self.channels = sum(sound.channels for sound in sounds)
        self._sounds = sounds
        self._frames = frames
        self._first = 0
        self._read = 0
        self._start = 0
        self._held = np.zeros((self.channels, 0))

    def piece(self, start: int, stop: int) -> Block:
        """Source frames `start` to `stop`, float64 [all channels, stop - start]; a view where all of it is sound.

        ValueError for what `forget` let go of.
        """
        low, high = max(start, 0), min(stop, self._frames)
        if low >= high:
            return np.zeros((self.channels, stop - start))
        if low < self._first:
            raise ValueError(f"frame {low} was let go of, up to {self._first}")
        if high > self._read:
            self._load(high)
        found = self._held[:, low - self._start : high - self._start]
        if (low, high) == (start, stop):
            return found
        return np.pad(found, ((0, 0), (low - start, stop - high)))

    def forget(self, before: int) -> None:
        """Lets go of what lies before a frame of the source: nothing there is asked for again."""
        self._first = max(self._first, min(before, self._frames))

    def split(self, block: Block) -> list[Block]:
        """The channels of a block as the sounds they are of, each with memory of its own."""
        ends = np.cumsum([sound.channels for sound in self._sounds])[:-1]
        return [np.ascontiguousarray(part) for part in np.split(block, ends)]

    def _load(self, stop: int) -> None:
        """Has everything from the first frame that may be asked for up to `stop`, which is more than was read."""
        kept = [self._held[:, self._first - self._start :]]
        self._start = self._first
        while self._read < stop:
            count = min(PIECE_FRAMES, self._frames - self._read)
            block = np.concatenate([sound.read(count) for sound in self._sounds])
            skipped = max(0, self._first - self._read)
            self._read += count
            if skipped < count:
                kept.append(block[:, skipped:])
        self._held = np.concatenate(kept, axis=1)
