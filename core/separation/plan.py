"""Where chunks lie and how they are added up again. Exact arithmetic on frame numbers, no audio here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from core.errors import UnbakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERLAP_RANGE = (1.25, 16.0)
"""Passes over the audio. Below 1.25 the joints are so short that they can be heard, whatever the window."""


class ChunkPlan(msgspec.Struct, frozen=True):
    """Overlap-add of a signal of `length` frames in chunks of `chunk` frames, one every `hop` frames.

    Chunk k covers the frames from `start(k)`, which is negative at the head, to `start(k) + chunk`, which passes
    `length` at the tail. The first chunk starts `chunk - hop` frames before the file, so frame 0 already lies in as
    many chunks as any other frame, and so does the last one: head and tail have no weaker joints than the middle.
    """

    length: int
    chunk: int
    hop: int

    def __post_init__(self) -> None:
        if self.length < 1 or not 1 <= self.hop < self.chunk:
            raise ValueError(f"no plan for length {self.length}, chunk {self.chunk}, hop {self.hop}")

    @property
    def count(self) -> int:
        """How many chunks it takes: every chunk that shares a frame with the file, none more."""
        return -(-(self.length + self.chunk - self.hop) // self.hop)

    def start(self, index: int) -> int:
        """The file's frame at which chunk `index` starts; negative before the head."""
        return (index + 1) * self.hop - self.chunk

    def finished(self, done: int) -> int:
        """How many frames from the head are final once the chunks 0 to `done - 1` are added up: 0 to `length`."""
        return min(self.length, max(0, self.start(done))) if done else 0

    def first_chunk(self, frame: int) -> int:
        """The first chunk that has a part in `frame` or any later one."""
        return min(frame // self.hop, self.count - 1)

    def chunks_until(self, frame: int) -> int:
        """How many chunks from the first it takes until all frames before `frame` are final."""
        return min(self.count, -(-(frame + self.chunk) // self.hop) - 1)


def hop_of(chunk: int, overlap: float) -> int:
    """Frames from one chunk to the next for `overlap` passes over the audio: chunk / overlap, rounded down.

    Refuses an overlap outside 1.25 to 16, and chunks of less than two frames.
    """
    low, high = OVERLAP_RANGE
    if not (math.isfinite(overlap) and low <= overlap <= high):
        raise UnbakeError(f"overlap {overlap:g} is outside {low:g} to {high:g} passes over the audio")
    if chunk < 2:
        raise UnbakeError(f"a chunk of {chunk} frames can't overlap", remedy="mend the model card")
    # The nudge keeps quotients that are whole in decimal (441000 / 2.4) from falling one below.
    return max(1, min(chunk - 1, math.floor(chunk / overlap + 1e-9)))


def weights(chunk: int, hop: int) -> NDArray[np.float32]:
    """What each frame of a chunk counts in the sum, float32 [chunk]: a Hann window over its own overlapped sum.

    Overlap-add gives back the signal when the shifted windows add up to one everywhere, sum_k w[n - k hop] = 1 (J. B.
    Allen, L. R. Rabiner, "A unified approach to short-time Fourier analysis and synthesis", Proc. IEEE 65(11), 1977).
    The Hann window sin^2(pi (n + 1/2) / chunk) does so only when chunk / hop is a whole number from 2 up, so it is
    divided by its sum at the same place in the hop, which makes the condition hold for every chunk and hop (the
    normalisation of the synthesis window in D. W. Griffin, J. S. Lim, IEEE TASSP 32(2), 1984). The half-sample shift
    keeps every weight above zero.
    """
    window = np.sin(np.pi * (np.arange(chunk) + 0.5) / chunk) ** 2
    padded = np.zeros(-(-chunk // hop) * hop)
    padded[:chunk] = window
    total = padded.reshape(-1, hop).sum(axis=0)
    return (window / np.resize(total, chunk)).astype(np.float32)
