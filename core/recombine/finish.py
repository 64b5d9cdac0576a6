"""What follows the graph on its way to a file: sample rate, level, ceiling, in blocks.

It is what a delivery asks for, never part of the document; `delivery` decides how much of it, `output` rounds.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES, Block
from core.audio.rates import Converter, frames_at
from core.recombine.graph import Graph
from core.recombine.limiter import TruePeakLimiter
from core.strips.stage import Aligned


class Finish(msgspec.Struct, frozen=True):
    """Sample rate in Hz, then a gain, a limiter (None: none), and a trim after it.

    Without a change of any of them the graph's samples pass bit for bit.
    """

    sample_rate: int
    gain_db: float = 0.0
    limiter_dbtp: float | None = None
    trim_db: float = 0.0

    @property
    def moves_level(self) -> bool:
        """Whether it does anything beside the sample rate."""
        return self.gain_db != 0.0 or self.limiter_dbtp is not None or self.trim_db != 0.0

    def alters(self, source_rate: int) -> bool:
        """Whether it does anything at all to sound of a rate in Hz."""
        return self.moves_level or self.sample_rate != source_rate


class Finished:
    """A graph and what follows it, from the first frame to the last."""

    def __init__(self, graph: Graph, finish: Finish) -> None:
        self._graph = graph
        info = graph.info
        self.frames = frames_at(info.frames, info.sample_rate, finish.sample_rate)
        self._gain = 10.0 ** (finish.gain_db / 20.0)
        self._trim = 10.0 ** (finish.trim_db / 20.0)
        read = graph.read
        if finish.sample_rate != info.sample_rate:
            read = _Converted(graph, finish.sample_rate, self.frames).read
        self._pull = read
        self._limited = None
        if finish.limiter_dbtp is not None:
            limiter = TruePeakLimiter(finish.limiter_dbtp, finish.sample_rate, info.channels)
            self._limited = Aligned(limiter, self._louder)

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Block]:
        """All of it, float64 [channels, up to frames]. Raises UnbakeError as the graph does."""
        for start in range(0, self.frames, frames):
            yield self.read(min(frames, self.frames - start))

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames]."""
        block = self._louder(frames) if self._limited is None else self._limited.read(frames)
        return block if self._trim == 1.0 else block * self._trim

    def _louder(self, frames: int) -> Block:
        block = self._pull(frames)
        return block if self._gain == 1.0 else block * self._gain


class _Converted:
    """A graph at another rate (soxr, VHQ): in time with it, silent after its end."""

    def __init__(self, graph: Graph, sample_rate: int, frames: int) -> None:
        self._graph = graph
        self._left = graph.info.frames
        self._converter = Converter(graph.info.sample_rate, sample_rate, graph.info.channels, frames, "float64")
        self._held = np.zeros((graph.info.channels, 0))

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames]."""
        parts, have = [self._held], self._held.shape[1]
        while have < frames:
            parts.append(self._more(frames - have))
            have += parts[-1].shape[1]
        joined = np.concatenate(parts, axis=1)
        self._held = joined[:, frames:]
        return np.ascontiguousarray(joined[:, :frames])

    def _more(self, frames: int) -> Block:
        """What the next block of the graph gives: perhaps nothing yet, and `frames` of silence after the end."""
        if self._left:
            taken = min(BLOCK_FRAMES, self._left)
            self._left -= taken
            made = self._converter.push(self._graph.read(taken).T)
            if not self._left:
                made = np.concatenate([made, self._converter.finish()])
            return np.asarray(made.T)
        return np.zeros((len(self._held), frames))
