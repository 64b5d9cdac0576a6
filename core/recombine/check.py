"""The live proof: what a session changes and what it leaves alone, from one pass before anything is rendered.

The sum that a render would take is held against the source plus deltas that are computed a second time, from files
opened anew, through stages built anew, in blocks of another size, so that the two share no buffer. The proof of the
written file itself is left to `render`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from core.audio.formats import AudioInfo, Block
from core.audio.read import AudioReader, open_reader
from core.audio.samples import refuse_bad
from core.events import Operation, Progress
from core.measure.background import Background, M
from core.measure.bands import Bands
from core.measure.course import NO_COURSE, Course, CourseMeter
from core.measure.figures import Band, Level, Place
from core.measure.levels import power_to_db, to_dbfs
from core.measure.meters import LevelMeter
from core.recombine.graph import CleanupDelta, Graph, StripDelta, open_stem, open_strip
from core.recombine.output import overs_of
from core.session.document import RESIDUAL, Session

REST_DBFS: Final = -140.0
"""Peak under which what nobody touched counts as unmoved."""
CLEANUP: Final = "clean-up"
"""What the clean-up of the master is called among strips."""
OTHER_BLOCK_FRAMES: Final = 40_961
NO_CHANGE: Final = Level(None, None, None)


class ChangeBand(msgspec.Struct, frozen=True):
    """RMS of source and change in a third octave; None for nothing at all."""

    low_hz: float
    high_hz: float
    source_rms_dbfs: float | None
    change_rms_dbfs: float | None


class StripChange(msgspec.Struct, frozen=True):
    """What one strip adds to the source: level, third octaves, worst place and course; None for digital silence."""

    name: str
    peak_dbfs: float | None
    rms_dbfs: float | None
    bands: tuple[Band, ...] = ()
    worst: Place | None = None
    course: Course = NO_COURSE

    @property
    def strongest(self) -> Band | None:
        """The third octave in which it adds most."""
        found = [band for band in self.bands if band.rms_dbfs is not None]
        return max(found, key=lambda band: band.rms_dbfs or 0.0, default=None)


class SessionCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a session does to its source, in float64 and before the output's sample format. None is digital silence.

    `identical`: the output is the source, bit for bit. `rest_dbfs`: peak of the sum before the master stage, less
    source and deltas computed apart; None for exactly nothing. `change`, `bands`, `worst` (its largest sample) and
    `course`: the output less the source, master stage included when `master_active`; without an edit there are none.
    `strips`: the changed ones, in the session's order, before them `CLEANUP` where the master is cleaned up.
    `stem_sum_dbfs`: peak of the source less stems and residual, looked at only when all of them were at hand
    (`stem_sum_known`); None for exactly nothing, too. `overs`: samples of the output that the source's sample format
    could not hold (of floats, those above 1.0); `peak_dbfs`: the output's largest.
    """

    identical: bool
    rest_dbfs: float | None
    master_active: bool
    change: Level
    bands: tuple[ChangeBand, ...]
    strips: tuple[StripChange, ...]
    stem_sum_known: bool
    stem_sum_dbfs: float | None
    overs: int
    peak_dbfs: float | None
    worst: Place | None = None
    course: Course = NO_COURSE

    @property
    def passed(self) -> bool:
        """Whether nothing moved that nobody touched."""
        return self.identical or self.rest_dbfs is None or self.rest_dbfs < REST_DBFS


def check_session(session: Session, stems: Mapping[str, Path]) -> Operation[SessionCheck]:
    """Measures a session against its source in one pass, both before the time map; nothing is written.

    `stems` maps at least `session.stems_used` to their files; with all stems and the residual their sum is checked too.
    Raises UnbakeError when a file can't be read, does not fit the source, or holds NaN or infinite samples.
    """
    session = session.unwarped
    with ExitStack() as stack:
        bus = stack.enter_context(Graph(msgspec.structs.replace(session, master=()), stems))
        output = stack.enter_context(Graph(session, stems)) if session.master_active else None
        info = bus.info
        source = stack.enter_context(open_reader(Path(session.source.path)))
        strips = [
            _StripMeter(name, open_strip(name, session.strips[name], stems, info, stack), stack)
            for name in session.changed
        ]
        if cleanup := CleanupDelta(session.cleanup, stems, info, stack):
            strips.insert(0, _StripMeter(CLEANUP, cleanup, stack))
        stem_sum = _StemSum([_open(name, stems, info, stack) for name in _parts(session, stems)])
        change = _ChangeMeter(info, stack) if strips or output else None
        identical, overs, rest, peak, done = True, 0, 0.0, 0.0, 0
        for summed, rendered in _blocks(bus, output):
            frames = summed.shape[1]
            original = source.read(frames)
            expected = original + sum(strip.next(frames) for strip in strips) if strips else original
            if not np.array_equal(summed, expected):
                rest = max(rest, _peak(summed - expected))
            identical = identical and np.array_equal(rendered, original)
            if change is not None:
                change.push(original, rendered)
            stem_sum.push(original)
            overs += overs_of(rendered, info.bits)
            peak = max(peak, _peak(rendered))
            done += frames
            yield Progress("checking", done, info.frames, info.seconds)
        return SessionCheck(
            identical=identical,
            rest_dbfs=to_dbfs(rest),
            master_active=output is not None,
            change=NO_CHANGE if change is None else change.level(),
            bands=() if change is None else change.bands(done),
            strips=tuple(strip.result(done) for strip in strips),
            stem_sum_known=stem_sum.known,
            stem_sum_dbfs=to_dbfs(stem_sum.peak),
            overs=overs,
            peak_dbfs=to_dbfs(peak),
            worst=None if change is None else change.places.worst,
            course=NO_COURSE if change is None else change.places.course(),
        )


def octaves(bands: Sequence[ChangeBand]) -> list[ChangeBand]:
    """Third octaves three by three, for where there is little room: octaves around 1 kHz * 10^(0.3 n)."""
    return [_together(list(few)) for _, few in groupby(bands, lambda band: _octave_of(band.low_hz))]


def _octave_of(low_hz: float) -> int:
    """Which octave a third that begins there belongs to, 0 for that around 1 kHz."""
    third = -18 if low_hz == 0.0 else round(10.0 * math.log10(low_hz / 1000.0) + 0.5)
    return (third + 1) // 3


def _together(bands: Sequence[ChangeBand]) -> ChangeBand:
    levels = ([band.source_rms_dbfs for band in bands], [band.change_rms_dbfs for band in bands])
    sums = (sum(10.0 ** (level / 10.0) for level in each if level is not None) for each in levels)
    source, change = map(power_to_db, sums)
    return ChangeBand(bands[0].low_hz, bands[-1].high_hz, source, change)


def _open(name: str, stems: Mapping[str, Path], source: AudioInfo, stack: ExitStack) -> AudioReader:
    return stack.enter_context(open_stem(name, stems, source))


def _parts(session: Session, stems: Mapping[str, Path]) -> tuple[str, ...]:
    """Names of what adds up to the source; none of them unless all are at hand."""
    names = (*session.separation.stems, RESIDUAL)
    return names if len(names) > 1 and all(name in stems for name in names) else ()


def _blocks(bus: Graph, output: Graph | None) -> Iterator[tuple[Block, Block]]:
    """Blocks of the sum, and of the output, which is the sum itself where there is no master stage."""
    if output is None:
        return ((block, block) for block in bus.blocks())
    return zip(bus.blocks(), output.blocks(), strict=True)


def _on_thread(meter: M, stack: ExitStack) -> Background[M]:
    """A meter beside the pass over the files, since most of a check is FFTs and few machines have but one core."""
    return stack.enter_context(Background(meter))


def _peak(block: Block) -> float:
    return max(float(block.max()), -float(block.min()))


class _StripMeter:
    """The delta of one strip in blocks of its own size, handed out in blocks of any other, and how strong it is."""

    def __init__(self, name: str, delta: StripDelta | CleanupDelta, stack: ExitStack) -> None:
        self._name = name
        self._stem = stem = delta.info
        self._delta = delta
        self._held = np.zeros((stem.channels, 0))
        self._given = 0
        self._places = CourseMeter(stem.sample_rate, stem.frames)
        self._bands = _on_thread(Bands(stem.sample_rate, stem.channels, 3), stack)

    def next(self, frames: int) -> Block:
        """The next frames of the delta. UnbakeError for a stem that holds NaN or infinite samples."""
        while self._held.shape[1] < frames:
            self._held = np.concatenate([self._held, self._delta.read(OTHER_BLOCK_FRAMES)], axis=1)
        block, self._held = self._held[:, :frames], self._held[:, frames:]
        refuse_bad(block, self._given, self._stem)
        self._given += frames
        self._places.push(block)
        self._bands.push(block)
        return block

    def result(self, frames: int) -> StripChange:
        """The figures of `frames` frames, which must be all that were handed out."""
        found, bands = self._places, tuple(self._bands.done().result(frames))
        return StripChange(self._name, found.peak_dbfs, found.rms_dbfs, bands, found.worst, found.course())


class _ChangeMeter:
    """How strong the output less the source is, where in the spectrum, and where in time."""

    def __init__(self, info: AudioInfo, stack: ExitStack) -> None:
        self._level = _on_thread(LevelMeter(info.sample_rate, info.speakers), stack)
        self.places = CourseMeter(info.sample_rate, info.frames)
        self._source = _on_thread(Bands(info.sample_rate, info.channels, 3), stack)
        self._change = _on_thread(Bands(info.sample_rate, info.channels, 3), stack)

    def push(self, source: Block, rendered: Block) -> None:
        change = rendered - source
        self._level.push(change)
        self.places.push(change)
        self._source.push(source)
        self._change.push(change)

    def level(self) -> Level:
        return self._level.done().level()

    def bands(self, frames: int) -> tuple[ChangeBand, ...]:
        """The third octaves of `frames` frames, which must be all that were pushed."""
        pairs = zip(self._source.done().result(frames), self._change.done().result(frames), strict=True)
        return tuple(ChangeBand(a.low_hz, a.high_hz, a.rms_dbfs, b.rms_dbfs) for a, b in pairs)


class _StemSum:
    """What is left of the source when all its parts are taken from it."""

    def __init__(self, parts: list[AudioReader]) -> None:
        self._parts = parts
        self._start = 0
        self.known = bool(parts)
        self.peak = 0.0

    def push(self, source: Block) -> None:
        if not self.known:
            return
        left = source.copy()
        for part in self._parts:
            block = part.read(source.shape[1])
            refuse_bad(block, self._start, part.info)
            left -= block
        self._start += source.shape[1]
        self.peak = max(self.peak, _peak(left))
