"""The live sum: source plus what clean-up and strips change, warped where there is a time map, then the master stage.

Block by block. One graph serves the render, its proof and whoever listens. It opens its own files, so two graphs share
no buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block
from core.audio.held import Held
from core.audio.read import AudioReader, open_reader
from core.audio.samples import refuse_bad
from core.errors import UnbakeError
from core.recombine.limiter import TruePeakLimiter
from core.recombine.warping import WarpedBus
from core.session.cleaning import CleanupStep, taken_away
from core.session.document import Session, Strip
from core.session.edits import MASTER
from core.session.processors import Dither, Limiter, Processor
from core.session.timemap import StripWarp
from core.strips.budget import Budget
from core.strips.chain import build_chain, build_strip, listener
from core.strips.stage import Aligned, AlignedState, Series, Stage
from core.warp.engines.sound import Sound

Part = Literal["whole", "wet", "dry"]


class StripState(NamedTuple):
    """What a strip remembers: how far its stem was read, its processors, and the stem they run ahead of.

    With an artefact budget also what weighs the delta, and how far the source was read for it.
    """

    frame: int
    processed: AlignedState
    unprocessed: Block
    weighed: AlignedState | None = None
    source_frame: int = 0


class GraphState(NamedTuple):
    """What a graph remembers at `frame`, the next one it gives; `heard` is how far its source was read."""

    frame: int
    heard: int
    strips: tuple[StripState, ...]
    output: AlignedState


class Moved(NamedTuple):
    """A gain that follows the sound: of a strip or the master stage, at a place in its chain, moved by so many dB."""

    strip: str
    place: int
    moved_db: float


class StripDelta:
    """What one active strip adds to the source: `wet * P(s) - dry * s`, in time with the source.

    The three modes are three settings of it: replace (1, 1), parallel (blend, 0), cancel (0, 1). `alone` gives what is
    left of the stem in the sum instead, which is `s` more. `sides` are the stems of `strip.sidechains`. With a `source`
    the delta is weighed by how certain the stem is, as `strip.budget` says. With a `treated` copy that is what P hears:
    `wet * P(t) - dry * s`; and less what a `cleanup` of the strip takes away from either. `part` gives only what comes
    out of P, or only what is taken out for it.
    """

    def __init__(
        self,
        name: str,
        strip: Strip,
        stem: AudioReader,
        sides: Sequence[AudioReader] = (),
        *,
        source: AudioReader | None = None,
        treated: AudioReader | None = None,
        cleanup: CleanupDelta | None = None,
        alone: bool = False,
        part: Part = "whole",
    ) -> None:
        self._wet, self._dry = {"replace": (1.0, 1.0), "parallel": (strip.blend, 0.0), "cancel": (0.0, 1.0)}[strip.mode]
        if part == "wet":
            self._dry = 0.0
        elif part == "dry":
            self._wet = 0.0
        if source is None:
            self._dry -= alone
        self.name = name
        self._stem = stem
        self._treated = treated
        self._cleanup = cleanup
        self._sides = tuple(sides)
        self.info: AudioInfo = stem.info
        self._processed = Aligned(build_strip(name, strip, stem.info.sample_rate, stem.info.speakers), self._pull)
        self._unprocessed = np.zeros((stem.info.channels, 0))
        self._source, self._weighed = source, None
        if source is not None:
            info, share = stem.info, 1.0 if alone else 0.0
            weights = Budget(strip.budget, info.sample_rate, info.speakers, stem_share=share)
            self._weighed = Aligned(weights, self._pull_beside_source)

    @property
    def channels(self) -> int:
        """How many channels its blocks have."""
        return self.info.channels

    @property
    def memory(self) -> int:
        """Frames that a start in the middle has to hear first."""
        return self._processed.memory + (0 if self._weighed is None else self._weighed.memory)

    @property
    def copyable(self) -> bool:
        """Whether `state` can be asked for."""
        return self._processed.copyable

    def moved_db(self) -> dict[int, float]:
        """How far gains that follow the sound were moved in the last block, in dB by place in the chain."""
        return self._processed.moved_db()

    def close(self) -> None:
        """Lets go of what its processors hold outside this process. The stem's file is whoever's opened it."""
        self._processed.close()

    def seek(self, frame: int) -> None:
        """Begins anew at a frame, as if nothing had been before."""
        self._seek(min(frame, self._stem.info.frames))
        self._processed.reset(frame)
        self._unprocessed = self._unprocessed[:, :0]
        if self._weighed is not None:
            self._weighed.reset(frame)

    def state(self) -> StripState:
        """What it remembers."""
        state = StripState(self._stem.frame, self._processed.state(), self._unprocessed)
        if self._source is None or self._weighed is None:
            return state
        return state._replace(weighed=self._weighed.state(), source_frame=self._source.frame)

    def resume(self, state: StripState) -> None:
        """Goes on where the state was taken."""
        self._seek(state.frame)
        self._processed.resume(state.processed)
        self._unprocessed = state.unprocessed
        if self._source is not None and self._weighed is not None and state.weighed is not None:
            self._source.seek(state.source_frame)
            self._weighed.resume(state.weighed)

    def read(self, frames: int) -> Block:
        """The next `frames` frames of the delta, float64 [channels, frames]."""
        return self._read_whole(frames)[0] if self._weighed is None else self._weighed.read(frames)

    def _read_whole(self, frames: int) -> tuple[Block, Block]:
        """The next frames of the delta as if the stem were certain, and those of the stem."""
        if self._wet == 0.0:
            stem = read_padded(self._stem, frames)
            return -self._dry * stem, stem
        processed = self._processed.read(frames)
        stem, self._unprocessed = self._unprocessed[:, :frames], self._unprocessed[:, frames:]
        if self._dry == 0.0:
            return self._wet * processed, stem
        return self._wet * processed - self._dry * stem, stem

    def _pull_beside_source(self, frames: int) -> Block:
        assert self._source is not None
        return np.concatenate([*self._read_whole(frames), read_padded(self._source, frames)])

    def _pull(self, frames: int) -> Block:
        block = read_padded(self._stem, frames)
        held = self._unprocessed
        self._unprocessed = np.concatenate([held, block], axis=1) if held.shape[1] else block
        if self._treated is not None:
            block = read_padded(self._treated, frames)
        if self._cleanup:
            block = block + self._cleanup.read(frames)
        return np.concatenate([block, *(read_padded(side, frames) for side in self._sides)]) if self._sides else block

    def _seek(self, frame: int) -> None:
        also = (*self._sides, *([] if self._treated is None else [self._treated]))
        for reader in (self._stem, *also):  # all of one length, and read in step
            reader.seek(frame)
        if self._cleanup is not None:
            self._cleanup.seek(frame)
        if self._source is not None:
            self._source.seek(frame)


class CleanupDelta:
    """What steps of the clean-up take away from what they heard, in time with it: minus the sum of their shares.

    A file for each of `taken_away(steps, strip)`, which `stack` closes. Raises UnbakeError where one is missing or does
    not fit the source.
    """

    def __init__(
        self,
        steps: Sequence[CleanupStep],
        stems: Mapping[str, Path],
        source: AudioInfo,
        stack: ExitStack,
        *,
        strip: str = "",
        held: Held | None = None,
    ) -> None:
        self.info = source
        self._parts = [
            (stack.enter_context(open_stem(name, stems, source, held=held)), share)
            for name, share in taken_away(steps, strip).items()
        ]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def seek(self, frame: int) -> None:
        """Goes to a frame of the source."""
        for reader, _ in self._parts:
            reader.seek(min(frame, self.info.frames))

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames]; exactly zero where nothing was taken away."""
        total = np.zeros((self.info.channels, frames))
        for reader, share in self._parts:
            total -= share * read_padded(reader, frames)
        return total


class Graph:
    """A session as sound. A context manager; `blocks` runs from the first frame to the last, `read` from anywhere.

    `stems` maps the names of `session.stems_used` to their files. With `alone` it gives only what the sum holds
    of these strips, before the master stage. `on_source` is handed every block of the source as it is read, float64
    [channels, frames], which runs ahead of the output by the latency of the master stage. What is `held` of the files
    is not read from them.
    """

    def __init__(
        self,
        session: Session,
        stems: Mapping[str, Path],
        *,
        alone: Iterable[str] | None = None,
        on_source: Callable[[Block], None] | None = None,
        held: Held | None = None,
    ) -> None:
        self._open = ExitStack()
        self._on_source = on_source
        self._heard = 0
        self.frame = 0
        """The next frame that is given."""
        try:
            self._source = self._open.enter_context(open_reader(Path(session.source.path), held=held))
            self.info: AudioInfo = self._source.info
            self._alone = alone is not None
            steps = () if self._alone else session.cleanup
            self._cleanup = CleanupDelta(steps, stems, self._source.info, self._open, held=held)
            names = session.changed if alone is None else tuple(alone)
            apart = [name for name in names if alone is None and session.warped_apart(name)]

            def opened(name: str, part: Part) -> StripDelta:
                strip = session.strips.get(name, Strip())
                return open_strip(
                    name, strip, stems, self._source.info, self._open, alone=self._alone, held=held, part=part
                )

            self._strips = [opened(name, "dry" if name in apart else "whole") for name in names]
            self._apart = [opened(name, "wet") for name in apart]
            master = () if self._alone else session.master
            pull, self._warped = self._sum, alone is None and not session.warp.identity
            if self._warped:
                heard: list[tuple[StripWarp, Sound]] = [(session.strips[one.name].warp, one) for one in self._apart]
                pull = WarpedBus(session.warp, self.info, self._sum, heard, self._open, held).read
                self.info = msgspec.structs.replace(self.info, frames=session.frames)
            self._output = Aligned(Series(build_master(master, self.info)), pull)
            self._open.callback(self._output.close)
        except BaseException:
            self._open.close()
            raise

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Block]:
        """The repaired master, float64 [channels, up to frames]. Raises UnbakeError at a NaN or Inf of the source."""
        for start in range(0, self.info.frames, frames):
            yield self.read(min(frames, self.info.frames - start))

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames]; past the end what the processors ring on with."""
        self.frame += frames
        return self._output.read(frames)

    @property
    def pre_roll(self) -> int:
        """Frames before a place that `seek` hears, so that what comes then is the whole render's to -120 dBFS."""
        return self._output.memory + max((strip.memory for strip in self._strips), default=0)

    def seek(self, frame: int, pre_roll: int | None = None) -> None:
        """Goes to a frame of the source, having heard `pre_roll` frames before it (None: its own), or all there are.

        ValueError outside 0 .. frames of the source, and with a time map: what is warped is heard from its beginning.
        """
        if self._warped:
            raise ValueError("a session with a time map is read from its first frame on")
        if not 0 <= frame <= self.info.frames:
            raise ValueError(f"frame {frame} is outside 0 .. {self.info.frames}")
        start = max(0, frame - (self.pre_roll if pre_roll is None else pre_roll))
        self._source.seek(start)
        self._cleanup.seek(start)
        self.frame = self._heard = start
        for strip in self._strips:
            strip.seek(start)
        self._output.reset(start)
        while self.frame < frame:
            self.read(min(BLOCK_FRAMES, frame - self.frame))

    def moved(self) -> tuple[Moved, ...]:
        """How far gains that follow the sound were moved in the last block."""
        strips = (*self._strips, *self._apart)
        parts = [*((strip.name, strip.moved_db()) for strip in strips), (MASTER, self._output.moved_db())]
        return tuple(Moved(name, place, moved_db) for name, found in parts for place, moved_db in found.items())

    @property
    def copyable(self) -> bool:
        """Whether `state` can be asked for. A plug-in's can't, nor a time map's: who wants to go back has to `seek`."""
        return not self._warped and self._output.copyable and all(strip.copyable for strip in self._strips)

    def state(self) -> GraphState:
        """What it remembers, for `resume` of a graph of the same session, which then goes on identically."""
        strips = tuple(strip.state() for strip in self._strips)
        return GraphState(self.frame, self._heard, strips, self._output.state())

    def resume(self, state: GraphState) -> None:
        """Goes on where the state was taken, with the very same samples."""
        self._source.seek(state.heard)
        self._cleanup.seek(state.heard)
        self.frame, self._heard = state.frame, state.heard
        for strip, before in zip(self._strips, state.strips, strict=True):
            strip.resume(before)
        self._output.resume(state.output)

    def _sum(self, frames: int) -> Block:
        """Source plus deltas; the source itself, to the bit, when nothing is active."""
        source = np.zeros((self.info.channels, frames)) if self._alone else self._read_source(frames)
        if self._cleanup:
            source = source + self._cleanup.read(frames)
        for strip in self._strips:
            source = source + strip.read(frames)
        return source

    def _read_source(self, frames: int) -> Block:
        present = min(frames, self._source.info.frames - self._heard)
        block = read_padded(self._source, frames)
        if present > 0:
            refuse_bad(block, self._heard, self._source.info)
            self._heard += present
            if self._on_source is not None:
                self._on_source(block[:, :present])
        return block

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def open_strip(
    name: str,
    strip: Strip,
    stems: Mapping[str, Path],
    source: AudioInfo,
    stack: ExitStack,
    *,
    alone: bool = False,
    held: Held | None = None,
    part: Part = "whole",
) -> StripDelta:
    """The delta of a strip with its stem and others that it hears, which `stack` closes. Raises as `open_stem` does."""
    if strip.mode == "cancel":
        strip = Strip(mode="cancel", budget=strip.budget)  # the stem is taken out as it is
    for side in strip.sidechains:
        if side not in stems:
            where = f"strips.{name}.chain[{listener(strip, side)}].sidechain"
            raise UnbakeError(f"there is no stem {side}", where=where)
    if strip.treated and strip.treated not in stems:
        raise UnbakeError(f"there is no stem {strip.treated}", where=f"strips.{name}.treated")
    stem, *sides = [
        stack.enter_context(open_stem(each, stems, source, held=held)) for each in (name, *strip.sidechains)
    ]
    treated = stack.enter_context(open_stem(strip.treated, stems, source, held=held)) if strip.treated else None
    whole = stack.enter_context(open_reader(Path(source.path), held=held)) if strip.budget < 1.0 else None
    cleanup = CleanupDelta(strip.cleanup, stems, source, stack, strip=name, held=held)
    delta = StripDelta(name, strip, stem, sides, source=whole, treated=treated, cleanup=cleanup, alone=alone, part=part)
    stack.callback(delta.close)
    return delta


def open_stem(name: str, stems: Mapping[str, Path], source: AudioInfo, *, held: Held | None = None) -> AudioReader:
    """The file of a stem. Raises UnbakeError when `stems` has none of that name or it does not fit the source."""
    if name not in stems:
        raise UnbakeError("there is no such stem for this session", where=f"strips.{name}")
    reader = open_reader(stems[name], held=held)
    for what in ("sample_rate", "channels", "frames"):
        ours, theirs = getattr(source, what), getattr(reader.info, what)
        if ours != theirs:
            reader.close()
            raise UnbakeError(f"{what} is {theirs}, but the source has {ours}", where=stems[name])
    return reader


def build_master(processors: Iterable[Processor], info: AudioInfo) -> list[Stage]:
    """The stages of the active ones of the master, limiters among them; dither is for whoever writes the file.

    Raises UnbakeError naming `master[n]`.
    """
    stages: list[Stage] = []
    for place, processor in enumerate(processors):
        if not processor.active or isinstance(processor, Dither):
            continue
        if isinstance(processor, Limiter):
            limiter = TruePeakLimiter(processor.ceiling_dbtp, info.sample_rate, info.channels)
            limiter.place = place
            stages.append(limiter)
        else:
            stages.extend(build_chain("master", [processor], info.sample_rate, info.speakers, first=place))
    return stages


def read_padded(reader: AudioReader, frames: int) -> Block:
    """The next `frames` frames, with silence after the end of the file."""
    block = reader.read(frames)
    missing = frames - block.shape[1]
    return np.pad(block, ((0, 0), (0, missing))) if missing else block
