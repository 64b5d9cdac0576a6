"""Strips that listen to other stems: these ride along as further channels of the block, behind the strip's own.

Every stage of such a strip takes and gives all of them. The ones that are only listened to are delayed by as much as
the strip's own, so that the two meet in time wherever in the chain they do.
"""

from __future__ import annotations

import numpy as np

from core.strips.bands import Delay
from core.strips.dynamic_eq import DynamicBellStage
from core.strips.stage import Block, Stage


class Riding:
    """A stage on the first channels; the others ride along in time with them."""

    def __init__(self, stage: Stage, channels: int, others: int) -> None:
        self._stage = stage
        self.parts = (stage,)
        self._channels = channels
        self._others = Delay(stage.latency, others)
        self.latency, self.memory = stage.latency, stage.memory
        self.copyable = getattr(stage, "copyable", True)

    def process(self, block: Block) -> Block:
        """A block float64 [channels and others, frames]."""
        own = self._stage.process(block[: self._channels])
        return np.concatenate([own, self._others.process(block[self._channels :])])

    def reset(self) -> None:
        """Resets the stage, and forgets the others."""
        self._stage.reset()
        self._others.reset()

    def start(self, frame: int) -> None:
        """Says which frame of the source comes next."""
        if (start := getattr(self._stage, "start", None)) is not None:
            start(frame)

    def close(self) -> None:
        """Lets go of what the stage holds outside this process."""
        if (close := getattr(self._stage, "close", None)) is not None:
            close()


class Keyed:
    """A stage that treats the first channels by what it hears in others, which are those from `first` on."""

    def __init__(self, stage: DynamicBellStage, channels: int, first: int) -> None:
        self._stage = stage
        self.parts = (stage,)
        self._channels = channels
        self._key = slice(first, first + channels)
        self.latency, self.memory = stage.latency, stage.memory

    def process(self, block: Block) -> Block:
        """A block float64 [channels and others, frames]."""
        own = self._stage.treat(block[: self._channels], block[self._key])
        return np.concatenate([own, block[self._channels :]])

    def reset(self) -> None:
        """Resets the stage."""
        self._stage.reset()


class Own:
    """Lets go of all but the first channels: the one stage whose output has fewer of them."""

    latency = 0
    memory = 0

    def __init__(self, channels: int) -> None:
        self._channels = channels

    def process(self, block: Block) -> Block:
        """A block float64 [channels and others, frames] to [channels, frames]."""
        return block[: self._channels]

    def reset(self) -> None:
        """Nothing is remembered."""
