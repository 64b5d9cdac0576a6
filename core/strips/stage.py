"""What every processor is once it runs: a stage that takes blocks in and gives blocks out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float64]
"""Audio inside the graph: float64 [channels, frames]."""


class Stage(Protocol):
    """A processor built for one sample rate and channel layout.

    It remembers what it must from block to block, so that block sizes never matter.
    """

    latency: int
    """Frames by which the output lags behind the input. The graph takes it out."""

    def process(self, block: Block) -> Block:
        """The next block, of the same shape. The input is not altered."""
        ...

    def reset(self) -> None:
        """Forgets everything heard so far."""
        ...


class Series:
    """Stages one after another; their latencies add up."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)
        self.latency = sum(stage.latency for stage in self._stages)

    def process(self, block: Block) -> Block:
        """The block through all stages in order."""
        for stage in self._stages:
            block = stage.process(block)
        return block

    def reset(self) -> None:
        """Resets every stage."""
        for stage in self._stages:
            stage.reset()


class Aligned:
    """A stage without its latency: frame n out belongs to frame n in.

    Pulls from `read(frames)`, which must give silence past the end, and so runs `stage.latency` frames ahead of what
    it hands out.
    """

    def __init__(self, stage: Stage, read: Callable[[int], Block]) -> None:
        self._stage = stage
        self._read = read
        self._primed = False

    def read(self, frames: int) -> Block:
        """The next `frames` frames of the processed signal, in time with the source."""
        if self._primed or self._stage.latency == 0:
            return self._stage.process(self._read(frames))
        self._primed = True
        ahead = self._stage.latency
        return self._stage.process(self._read(frames + ahead))[:, ahead:]
