"""What an engine hears, and what it gives: both in blocks from the first frame to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from core.audio.samples import refuse_bad

if TYPE_CHECKING:
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
