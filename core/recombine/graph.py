"""The live sum: source plus what the strips change, then the master stage, block by block.

One graph serves the render, its proof and whoever listens. It opens its own files, so two graphs share no buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block
from core.audio.read import AudioReader, open_reader
from core.audio.samples import refuse_bad
from core.errors import UnbakeError
from core.recombine.limiter import TruePeakLimiter
from core.session.document import Session, Strip
from core.session.processors import Limiter, Processor
from core.strips.chain import build_chain, build_strip
from core.strips.stage import Aligned, Series, Stage


class StripDelta:
    """What one active strip adds to the source: `wet * P(s) - dry * s`, in time with the source.

    The three modes are three settings of it: replace (1, 1), parallel (blend, 0), cancel (0, 1).
    """

    def __init__(self, name: str, strip: Strip, stem: AudioReader) -> None:
        self._wet, self._dry = {"replace": (1.0, 1.0), "parallel": (strip.blend, 0.0), "cancel": (0.0, 1.0)}[strip.mode]
        self._stem = stem
        self._processed = Aligned(build_strip(name, strip, stem.info.sample_rate, stem.info.speakers), self._pull)
        self._unprocessed = np.zeros((stem.info.channels, 0))

    def read(self, frames: int) -> Block:
        """The next `frames` frames of the delta, float64 [channels, frames]."""
        if self._wet == 0.0:
            return -read_padded(self._stem, frames)
        processed = self._processed.read(frames)
        stem, self._unprocessed = self._unprocessed[:, :frames], self._unprocessed[:, frames:]
        if self._dry == 0.0:
            return self._wet * processed
        return processed - stem

    def _pull(self, frames: int) -> Block:
        block = read_padded(self._stem, frames)
        held = self._unprocessed
        self._unprocessed = np.concatenate([held, block], axis=1) if held.shape[1] else block
        return block


class Graph:
    """A session as sound. Use as a context manager; `blocks` runs once from the first frame to the last.

    `stems` maps the names of the session's changed strips to their files, `extra_master` follows the session's own
    master stage. `on_source` is handed every block of the source as it is read, float64 [channels, frames], which runs
    ahead of the output by the latency of the master stage.
    """

    def __init__(
        self,
        session: Session,
        stems: Mapping[str, Path],
        *,
        extra_master: Iterable[Processor] = (),
        on_source: Callable[[Block], None] | None = None,
    ) -> None:
        self._open = ExitStack()
        self._on_source = on_source
        self._heard = 0
        try:
            self._source = self._open.enter_context(open_reader(Path(session.source.path)))
            self.info: AudioInfo = self._source.info
            self._strips = [
                StripDelta(name, session.strips[name], self._open.enter_context(open_stem(name, stems, self.info)))
                for name in session.changed
            ]
            master = (*session.master_active, *extra_master)
            self._output = Aligned(Series(build_master(master, self.info)), self._sum)
        except BaseException:
            self._open.close()
            raise

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Block]:
        """The repaired master, float64 [channels, up to frames]. Raises UnbakeError at a NaN or Inf of the source."""
        for start in range(0, self.info.frames, frames):
            yield self._output.read(min(frames, self.info.frames - start))

    def _sum(self, frames: int) -> Block:
        """Source plus deltas; the source itself, to the bit, when no strip is active."""
        source = self._read_source(frames)
        for strip in self._strips:
            source = source + strip.read(frames)
        return source

    def _read_source(self, frames: int) -> Block:
        present = min(frames, self.info.frames - self._heard)
        block = read_padded(self._source, frames)
        if present > 0:
            refuse_bad(block, self._heard, self.info)
            self._heard += present
            if self._on_source is not None:
                self._on_source(block[:, :present])
        return block

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def open_stem(name: str, stems: Mapping[str, Path], source: AudioInfo) -> AudioReader:
    """The file of a stem. Raises UnbakeError when `stems` has none of that name or it does not fit the source."""
    if name not in stems:
        raise UnbakeError("there is no such stem for this session", where=f"strips.{name}")
    reader = open_reader(stems[name])
    for what in ("sample_rate", "channels", "frames"):
        ours, theirs = getattr(source, what), getattr(reader.info, what)
        if ours != theirs:
            reader.close()
            raise UnbakeError(f"{what} is {theirs}, but the source has {ours}", where=stems[name])
    return reader


def build_master(processors: Iterable[Processor], info: AudioInfo) -> list[Stage]:
    """The stages of the master, limiters among them. Raises UnbakeError naming `master[n]`."""
    stages: list[Stage] = []
    for place, processor in enumerate(processors):
        if isinstance(processor, Limiter):
            stages.append(TruePeakLimiter(processor.ceiling_dbtp, info.sample_rate, info.channels))
        else:
            stages.extend(build_chain("master", [processor], info.sample_rate, info.speakers, first=place))
    return stages


def read_padded(reader: AudioReader, frames: int) -> Block:
    """The next `frames` frames, with silence after the end of the file."""
    block = reader.read(frames)
    missing = frames - block.shape[1]
    return np.pad(block, ((0, 0), (0, missing))) if missing else block
