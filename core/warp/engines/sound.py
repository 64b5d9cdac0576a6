"""What an engine hears, and what it gives: both in blocks from the first frame to the last."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from core.audio.samples import refuse_bad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.audio.formats import Block
    from core.audio.read import AudioReader


class Sound(Protocol):
    """A sound that is read once, in order. Those that are warped together are of one rate and length."""

    @property
    def channels(self) -> int:
        """How many channels its blocks have."""
        ...

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames], silent after the end."""
        ...


class Warper(Protocol):
    """Sounds on their way along a time map, all in step."""

    frames: int
    """How many frames each of them becomes."""

    def read(self, frames: int) -> list[Block]:
        """The next `frames` frames of every sound, warped: float64 [its channels, frames], silent after the end."""
        ...


class FileSound:
    """An open file as a `Sound`. The reader belongs to whoever opened it, and must not be used by others meanwhile."""

    def __init__(self, reader: AudioReader) -> None:
        self._reader = reader
        self.channels = reader.info.channels

    def read(self, frames: int) -> Block:
        """As `Sound` has it. UnbakeError as the reader raises it, and for a NaN or infinite sample."""
        start = self._reader.frame
        block = self._reader.read(frames)
        refuse_bad(block, start, self._reader.info)
        missing = frames - block.shape[1]
        return np.pad(block, ((0, 0), (0, missing))) if missing else block


class WarpedSound:
    """One of the sounds that a `Warper` gives, as a `Sound`: `warped_sounds` makes them."""

    def __init__(self, source: _Warped, number: int, channels: int) -> None:
        self.channels = channels
        self._source = source
        self._number = number

    def read(self, frames: int) -> Block:
        """As `Sound` has it; raises what the warper raises."""
        return self._source.read(self._number, frames)


class _Warped:
    """What a warper gave and not every one of its sounds has handed on yet."""

    def __init__(self, warper: Warper, channels: Sequence[int]) -> None:
        self._warper = warper
        self._waiting: list[deque[Block]] = [deque() for _ in channels]
        self._held = [0] * len(channels)
        self._channels = channels

    def read(self, number: int, frames: int) -> Block:
        if (missing := frames - self._held[number]) > 0:
            for place, block in enumerate(self._warper.read(missing)):
                self._waiting[place].append(block)
                self._held[place] += missing
        waiting = self._waiting[number]
        taken: list[Block] = [np.zeros((self._channels[number], 0))]
        left = frames
        while left:
            block = waiting.popleft()
            if block.shape[1] > left:
                waiting.appendleft(block[:, left:])
                block = block[:, :left]
            taken.append(block)
            left -= block.shape[1]
        self._held[number] -= frames
        return np.concatenate(taken, axis=1)


def warped_sounds(warper: Warper, channels: Sequence[int]) -> list[WarpedSound]:
    """The sounds that a warper gives, of so many channels each, to be heard by another engine.

    They are as long as `warper.frames`. Whoever reads them reads them in step, as engines do: what one has read and
    another has not is kept in memory. The warper must not be read by others meanwhile.
    """
    source = _Warped(warper, channels)
    return [WarpedSound(source, number, count) for number, count in enumerate(channels)]
