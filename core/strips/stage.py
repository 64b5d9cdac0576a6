"""What every processor is once it runs: a stage that takes blocks in and gives blocks out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float64]
"""Audio inside the graph: float64 [channels, frames]."""


class Stage(Protocol):
    """A processor built for one sample rate and channel layout.

    It remembers what it must from block to block, so that block sizes never matter. One whose memory is out of reach
    or too large to be kept many times says `copyable = False`; one that lives in another process has a `close`. One
    that acts at certain times has a `start(frame)`, which says which frame of the source it hears next (below 0 before
    the first).
    """

    latency: int
    """Frames by which the output lags behind the input. The graph takes it out."""
    memory: int
    """Frames that a start in the middle has to hear: what came before them sounds on by less than -140 dB."""

    def process(self, block: Block) -> Block:
        """The next block, of the same shape. The input is not altered."""
        ...

    def reset(self) -> None:
        """Forgets everything heard so far."""
        ...


class Moving:
    """What a stage adds whose gain follows the sound: how far it moved, for whoever has a meter.

    `place` is the place of its processor in the chain, `moved_db` the gain in dB of the last block, where it was
    furthest from none.
    """

    place = 0
    moved_db = 0.0


def moving(stage: object) -> Iterator[Moving]:
    """The stages within a stage whose gain follows the sound. Those that hold others name them in `parts`."""
    if isinstance(stage, Moving):
        yield stage
    for part in getattr(stage, "parts", ()):
        yield from moving(part)


class Series:
    """Stages one after another; their latencies and memories add up."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.parts = tuple(stages)
        self.latency = sum(stage.latency for stage in self.parts)
        self.memory = sum(stage.memory for stage in self.parts)
        self.copyable = all(getattr(stage, "copyable", True) for stage in self.parts)
        self.start(0)

    def process(self, block: Block) -> Block:
        """The block through all stages in order."""
        for stage in self.parts:
            block = stage.process(block)
        return block

    def reset(self) -> None:
        """Resets every stage."""
        for stage in self.parts:
            stage.reset()
        self.start(0)

    def start(self, frame: int) -> None:
        """Says which frame of the source comes next: later stages hear it by the latency of earlier ones later."""
        for stage in self.parts:
            if (start := getattr(stage, "start", None)) is not None:
                start(frame)
            frame -= stage.latency

    def close(self) -> None:
        """Lets go of what stages hold outside this process; none of them may be used any more."""
        for stage in self.parts:
            if (close := getattr(stage, "close", None)) is not None:
                close()


AlignedState = tuple[Stage, bool]
"""What an `Aligned` remembers; nobody alters it."""


class Aligned:
    """A stage without its latency: frame n out belongs to frame n in.

    Pulls from `read(frames)`, which must give silence past the end, and so runs `stage.latency` frames ahead of what
    it hands out.
    """

    def __init__(self, stage: Stage, read: Callable[[int], Block]) -> None:
        self._stage = stage
        self._read = read
        self.memory = stage.memory
        self.copyable = getattr(stage, "copyable", True)
        """Whether `state` can be asked for."""
        self._primed = False

    def read(self, frames: int) -> Block:
        """The next `frames` frames of the processed signal, in time with the source."""
        if self._primed or self._stage.latency == 0:
            return self._stage.process(self._read(frames))
        self._primed = True
        ahead = self._stage.latency
        return self._stage.process(self._read(frames + ahead))[:, ahead:]

    def reset(self, frame: int = 0) -> None:
        """Begins anew at a frame of the source: what is read next is as if nothing had been heard."""
        self._stage.reset()
        if (start := getattr(self._stage, "start", None)) is not None:
            start(frame)
        self._primed = False

    def state(self) -> AlignedState:
        """What it remembers, to be given to `resume` of this or another one of the same stage."""
        return copy.deepcopy(self._stage), self._primed

    def resume(self, state: AlignedState) -> None:
        """Goes on as if it had heard what the state had; what it reads must go on there, too."""
        stage, self._primed = state
        self._stage = copy.deepcopy(stage)

    def moved_db(self) -> dict[int, float]:
        """How far gains that follow the sound were moved in the last block, in dB by place in the chain."""
        return {each.place: each.moved_db for each in moving(self._stage)}

    def close(self) -> None:
        """Lets go of what the stage holds outside this process."""
        if (close := getattr(self._stage, "close", None)) is not None:
            close()
