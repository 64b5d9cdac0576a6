"""What there is to hear of a session: its source and its repair side by side, frame by frame, from any place.

Both come out of the graph that the render runs, so what is heard is what will be written. Solo and mute are for the
ears only: they are no part of the session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block
from core.audio.held import Held
from core.errors import UnbakeError
from core.recombine.graph import Graph, GraphState, Moved
from core.session.document import Session, Strip

Stream = Literal["source", "repair", "difference"]
"""A, B, and B less A."""
Choice = Literal["source", "repair", "difference", "x"]
"""What may be listened to: a stream, or in a blind test X, of which only the player knows whether it is A or B."""


class Listening(msgspec.Struct, frozen=True):
    """Strips that alone are heard (all where there are none), and strips that are not."""

    solo: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()

    @property
    def strips(self) -> frozenset[str]:
        """Those whose stems are needed whatever the session changes."""
        return self.solo | self.mute


class Sides(NamedTuple):
    """The same frames of the source and of the repair, float64 [channels, frames] each."""

    source: Block
    repair: Block

    def stream(self, name: Stream) -> Block:
        """One of the three streams."""
        if name == "difference":
            return self.repair - self.source
        return self.source if name == "source" else self.repair


class MonitorState(NamedTuple):
    """What a monitor remembers at a frame."""

    source: GraphState
    repair: GraphState


class Monitor:
    """Source and repair of a session, both before its time map, in time with each other. Use as a context manager.

    `stems` maps strips to their files: those the session changes, and those that `listening` names. A muted strip is
    taken out of both sides; with a solo each side is only what it holds of those strips, before the master stage.
    What is `held` of the files is not read from them. Raises UnbakeError for a stem that is missing or doesn't fit.
    """

    def __init__(
        self,
        session: Session,
        stems: Mapping[str, Path],
        listening: Listening | None = None,
        *,
        held: Held | None = None,
    ) -> None:
        listening = listening or Listening()
        order = session.strip_names
        unknown = sorted(name for name in listening.strips if name not in order)
        if unknown:
            raise UnbakeError(f'the session has no strip "{unknown[0]}"', remedy=f"it has: {', '.join(order)}")
        alone = None
        if listening.solo:
            alone = [name for name in order if name in listening.solo - listening.mute]
        gone = {name: Strip(mode="cancel") for name in order if name in listening.mute and alone is None}
        before = msgspec.structs.replace(session.unwarped, cleanup=(), strips=gone, master=())
        after = msgspec.structs.replace(session.unwarped, strips={**session.strips, **gone})
        self._open = ExitStack()
        try:
            self._source = self._open.enter_context(Graph(before, stems, alone=alone, held=held))
            self._repair = self._open.enter_context(Graph(after, stems, alone=alone, held=held))
        except BaseException:
            self._open.close()
            raise
        self.info: AudioInfo = self._source.info

    @property
    def frame(self) -> int:
        """The next frame that is given."""
        return self._source.frame

    @property
    def pre_roll(self) -> int:
        """Frames before a place that a `seek` hears."""
        return max(self._source.pre_roll, self._repair.pre_roll)

    def seek(self, frame: int, pre_roll: int | None = None) -> None:
        """Goes to a frame. With the whole pre-roll, what comes then is the whole render's to -120 dBFS.

        ValueError outside 0 .. frames of the source.
        """
        self._source.seek(frame, pre_roll)
        self._repair.seek(frame, pre_roll)

    def read(self, frames: int) -> Sides:
        """The next frames of both sides; past the end what the processors ring on with."""
        return Sides(self._source.read(frames), self._repair.read(frames))

    def moved(self) -> tuple[Moved, ...]:
        """How far the repair's gains that follow the sound were moved in what was read last."""
        return self._repair.moved()

    @property
    def copyable(self) -> bool:
        """Whether `state` can be asked for: not with a plug-in in either side."""
        return self._source.copyable and self._repair.copyable

    def state(self) -> MonitorState:
        """What it remembers; `resume` of this or another monitor of the same session goes on identically."""
        return MonitorState(self._source.state(), self._repair.state())

    def resume(self, state: MonitorState) -> None:
        """Goes on where the state was taken."""
        self._source.resume(state.source)
        self._repair.resume(state.repair)

    def close(self) -> None:
        """Closes its files."""
        self._open.close()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stretch(monitor: Monitor, first: int, last: int, frames: int = BLOCK_FRAMES) -> Iterator[Sides]:
    """Blocks of both sides from frame `first` to before `last`, going there first. ValueError outside the file."""
    if not 0 <= first <= last <= monitor.info.frames:
        raise ValueError(f"frames {first} to {last} are outside 0 .. {monitor.info.frames}")
    monitor.seek(first)
    while monitor.frame < last:
        yield monitor.read(min(frames, last - monitor.frame))
