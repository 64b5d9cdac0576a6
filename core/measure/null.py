"""The null test of any two files: what is left when one is taken from the other, where, and why.

Both files are read window by window, each on a thread of its own, by `comparison`; before that `placement` looks at a
few places where B lies against A, and after it `explain` says why they do not null. Alignment is reported; what is
subtracted is always B as it lies.
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import numpy as np

from core.atomic import check_output
from core.audio.formats import BLOCK_FRAMES
from core.audio.outputs import output_format
from core.audio.rates import frames_at
from core.audio.read import AudioReader, open_reader
from core.audio.samples import refuse_bad
from core.audio.write import open_writer
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.measure.align import SHIFT_TAPS
from core.measure.comparison import WINDOW_SECONDS, Comparison
from core.measure.explain import explain
from core.measure.figures import Explanation, Figures, Level
from core.measure.meters import LevelMeter
from core.measure.placement import NO_DELAY, NOT_FOUND, Placed, Placement, locate, placement_of

if TYPE_CHECKING:
    from pathlib import Path

    from core.audio.formats import AudioInfo, Block

THRESHOLD_DBFS: Final = -90.0
THRESHOLD_16_BIT_DBFS: Final = -84.0  # two steps of 16 bit: rounding with dither on either side
READ_AHEAD: Final = 2  # windows
WINDOWS_SECONDS: Final = (0.1, 10.0)
"""Windows may be as short and as long."""


class NullReport(Figures, frozen=True, kw_only=True):
    """The result of a null test of A against B, in the words of `unbake null --json`.

    `residual`, `bands`, `identical` and `pass_` ("pass" in JSON) are of A - B as the files lie, never aligned; the rest
    of a longer file counts against silence. `sample_rate` is A's, which B was resampled to where it had another;
    `frames_a` and `frames_b` are those of the files. `aligned_residual` is there only when it was asked for (UNSET
    otherwise, and left out of the JSON): A less B with delay, drift, polarity and gain taken out, over the frames that
    both hold. `start_seconds` is where the passage begins that was looked at.
    """

    schema: int = 1
    pass_: bool = msgspec.field(name="pass")
    threshold_dbfs: float
    sample_rate: int
    frames_a: int
    frames_b: int
    start_seconds: float = 0.0
    explanation: Explanation = Explanation()
    aligned_residual: Level | msgspec.UnsetType = msgspec.UNSET


def default_threshold_dbfs(a: AudioInfo, b: AudioInfo) -> float:
    """The residual peak that passes by default: -84 dBFS where either file is 16 bit or less, else -90."""
    bits = [info.bits for info in (a, b) if info.bits is not None]
    return THRESHOLD_16_BIT_DBFS if min(bits, default=32) <= 16 else THRESHOLD_DBFS


def null_test(
    a: Path,
    b: Path,
    *,
    threshold_dbfs: float | None = None,
    align: bool = False,
    window_seconds: float = WINDOW_SECONDS,
    from_seconds: float = 0.0,
    to_seconds: float | None = None,
    quick: bool = False,
    listen: Path | None = None,
    force: bool = False,
) -> Operation[NullReport]:
    """Subtracts B from A and measures what is left; with `align` also after taking out delay, drift, polarity and gain.

    A B of another rate is resampled to A's (soxr, VHQ), a mono file is held against every channel of the other; Notes
    say so. `window_seconds` is the length of the windows of time. With `from_seconds` and `to_seconds` only that
    passage of both is looked at. With `quick` only identity, peak and rms are measured, and no delay is looked for.
    With `listen` what is left is written there, as 32-bit float, A - B as the files lie. Raises UnbakeError when the
    numbers of channels differ otherwise, a file holds NaN or infinite samples, or can't be read. Different lengths
    never pass; a Note says so.
    """
    if threshold_dbfs is not None and math.isnan(threshold_dbfs):
        raise UnbakeError("the threshold is not a number", where=str(threshold_dbfs), remedy="give it in dBFS, as -90")
    if not WINDOWS_SECONDS[0] <= window_seconds <= WINDOWS_SECONDS[1]:  # nor NaN
        what = f"a window of {window_seconds:g} s is outside {WINDOWS_SECONDS[0]:g} to {WINDOWS_SECONDS[1]:g}"
        raise UnbakeError(what, where="window", remedy=f"the usual one is {WINDOW_SECONDS:g} s")
    with ExitStack() as stack:
        reader_a, reader_b = (stack.enter_context(open_reader(path)) for path in (a, b))
        info_a, info_b = reader_a.info, reader_b.info
        channels, speakers = _channels(info_a, info_b)
        lengths = info_a.frames, frames_at(info_b.frames, info_b.sample_rate, info_a.sample_rate)
        for text in _remarks(info_a, info_b, lengths):
            yield Note(text)
        same_length = abs(lengths[0] - lengths[1]) <= (info_a.sample_rate != info_b.sample_rate)
        threshold = default_threshold_dbfs(info_a, info_b) if threshold_dbfs is None else threshold_dbfs
        start, end = _passage(info_a, max(lengths), from_seconds, to_seconds)
        written = None
        if listen is not None:
            check_output(listen, [a, b], force)
            fmt = output_format(info_a if info_a.channels == channels else info_b, listen, "FLOAT", info_a.sample_rate)
            written = stack.enter_context(open_writer(listen, fmt, frames=end - start, force=force))
        placement = NOT_FOUND if quick else _whole((yield from locate(reader_a, reader_b)))
        low, high = shared(placement, *lengths)
        window = max(1, round(window_seconds * info_a.sample_rate))
        comparison = stack.enter_context(
            Comparison(
                info_a.sample_rate, speakers, end - start,
                window=window, placement=placement, start=start, low=low, high=high, quick=quick,
            )
        )  # fmt: skip
        sides = [
            _side(reader_a, info_a.sample_rate, channels, start),
            _side(reader_b, info_a.sample_rate, channels, start),
        ]
        if placement.delay_samples or placement.drift_ppm:
            again = stack.enter_context(open_reader(b))
            sides.append(Placed(again, info_a.sample_rate, channels, placement, start=start))
        ahead = [stack.enter_context(_ReadAhead(side, start, end, window)) for side in sides]
        for at in range(start, end, window):
            blocks = [each.next() for each in ahead]
            for info, block in zip((info_a, info_b), blocks, strict=False):
                refuse_bad(block, at, msgspec.structs.replace(info, sample_rate=info_a.sample_rate))
            difference = comparison.push(*blocks)
            if not all(map(math.isfinite, comparison.powers)):
                where = (info_a, info_b)[math.isfinite(comparison.powers[0])].path
                raise UnbakeError("samples are too large to be audio", where=where)
            if written is not None:
                written.write(np.zeros_like(blocks[0]) if difference is None else difference)
            done = at + blocks[0].shape[1] - start
            yield Progress("null test", done, end - start, (end - start) / info_a.sample_rate)
        if written is not None:
            written.commit()
        figures = comparison.figures(window_seconds)
        explanation = Explanation()
        aligned: Level | msgspec.UnsetType = figures.residual if align else msgspec.UNSET
        if not (figures.identical or quick):
            explanation = yield from explain(reader_a, reader_b, figures, comparison.cross, comparison.powers, lengths)
            if align:
                aligned = yield from _aligned(reader_a, reader_b, placement_of(figures), lengths, channels, speakers)
    same_form = info_a.sample_rate == info_b.sample_rate and info_a.channels == info_b.channels
    identical = figures.identical and same_length and same_form
    return NullReport(
        **msgspec.structs.asdict(msgspec.structs.replace(figures, identical=identical)),
        pass_=same_length and (figures.residual.peak_dbfs is None or figures.residual.peak_dbfs <= threshold),
        threshold_dbfs=threshold,
        sample_rate=info_a.sample_rate,
        frames_a=info_a.frames,
        frames_b=info_b.frames,
        start_seconds=start / info_a.sample_rate,
        explanation=explanation,
        aligned_residual=aligned,
    )


def shared(placement: Placement, frames_a: int, frames_b: int) -> tuple[int, int]:
    """The frames of A from and up to which B holds something, too."""
    step = 1.0 + placement.drift_ppm * 1e-6
    low = max(0, math.ceil(-placement.delay_samples / step))
    return low, max(low, min(frames_a, math.floor((frames_b - placement.delay_samples) / step)))


def _channels(a: AudioInfo, b: AudioInfo) -> tuple[int, tuple[str, ...]]:
    """How many channels are compared, and which."""
    if a.channels != b.channels and 1 not in (a.channels, b.channels):
        raise UnbakeError(f"numbers of channels differ: {a.path} has {a.channels}, {b.path} {b.channels}")
    wider = b if a.channels == 1 else a
    return wider.channels, wider.speakers


def _remarks(a: AudioInfo, b: AudioInfo, lengths: tuple[int, int]) -> list[str]:
    """What is to be said of two files that are not of one form."""
    said = []
    if a.sample_rate != b.sample_rate:
        above = (
            f"; what it holds above {a.sample_rate / 2:g} Hz is not compared" if b.sample_rate > a.sample_rate else ""
        )
        said.append(f"B is resampled from {b.sample_rate} to {a.sample_rate} Hz (soxr, VHQ){above}")
    if a.channels != b.channels:
        said.append(f"{'A' if a.channels == 1 else 'B'} is mono, and held against every channel of the other")
    surplus = abs(lengths[0] - lengths[1])
    if surplus > (a.sample_rate != b.sample_rate):
        longer = "the second" if lengths[1] > lengths[0] else "the first"
        said.append(
            f"lengths differ: {lengths[0]} and {lengths[1]} frames; {longer} is {surplus} frames "
            f"({surplus / a.sample_rate:.3f} s) longer"
        )
    return said


def _passage(a: AudioInfo, frames: int, from_seconds: float, to_seconds: float | None) -> tuple[int, int]:
    """The first frame that is looked at, and the one after the last."""
    start = round(from_seconds * a.sample_rate)
    end = frames if to_seconds is None else min(frames, round(to_seconds * a.sample_rate))
    if (from_seconds or to_seconds is not None) and not 0 <= start < end:
        what = f"is no passage of {frames / a.sample_rate:.3f} s"
        until = "the end" if to_seconds is None else f"{to_seconds:g} s"
        raise UnbakeError(what, where=f"{from_seconds:g} s to {until}", remedy="--from comes before --to")
    return start, end


def _whole(placement: Placement) -> Placement:
    """The placement in whole frames, which moves B without altering a sample, where there is no drift."""
    if placement.drift_ppm:
        return placement
    return Placement(float(round(placement.delay_samples)), 0.0, placement.polarity, 0.0, placement.correlation)


class _Readable(Protocol):
    def read(self, frames: int) -> Block: ...


def _side(reader: AudioReader, sample_rate: int, channels: int, start: int) -> _Readable:
    """A file at a rate and with so many channels, from a frame on: as it is where it can be."""
    if reader.info.sample_rate == sample_rate and reader.info.channels == channels:
        reader.seek(min(start, reader.info.frames))
        return reader
    return Placed(reader, sample_rate, channels, start=start)


class _ReadAhead:
    """A file's windows, decoded by a thread while the ones before are worked on, with silence after its end."""

    def __init__(self, side: _Readable, start: int, end: int, window: int) -> None:
        self._side = side
        self._sizes = iter([min(window, end - at) for at in range(start, end, window)])
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="null-read")
        self._queue: deque[Future[Block]] = deque()
        for _ in range(READ_AHEAD):
            self._ask()

    def next(self) -> Block:
        """The next window, C-contiguous."""
        block = self._queue.popleft().result()
        self._ask()
        return block

    def _ask(self) -> None:
        frames = next(self._sizes, 0)
        if frames:
            self._queue.append(self._thread.submit(self._read, frames))

    def _read(self, frames: int) -> Block:
        block = self._side.read(frames)
        return block if block.shape[1] == frames else np.pad(block, ((0, 0), (0, frames - block.shape[1])))

    def __enter__(self) -> _ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)


def _aligned(
    a: AudioReader,
    b: AudioReader,
    placement: Placement,
    lengths: tuple[int, int],
    channels: int,
    speakers: tuple[str, ...],
) -> Operation[Level]:
    """The level of A less B with delay, drift, polarity and gain taken out, over the frames both hold.

    Where B goes through an interpolator, its half-length at either end is left out: it has no neighbours there.
    """
    rate = a.info.sample_rate
    low, high = shared(placement, *lengths)
    moved = abs(placement.delay_samples - round(placement.delay_samples)) > NO_DELAY or placement.drift_ppm != 0.0
    # Too short to spare its ends: silence is their neighbour.
    margin = SHIFT_TAPS if moved and high - low > 4 * SHIFT_TAPS else 0
    low, high = low + margin, high - margin
    side, other = _side(a, rate, channels, low), Placed(b, rate, channels, placement, start=low, level=True)
    residual = LevelMeter(rate, speakers)
    for at in range(low, high, BLOCK_FRAMES):
        frames = min(BLOCK_FRAMES, high - at)
        residual.push(side.read(frames) - other.read(frames))
        yield Progress("aligned residual", at + frames - low, high - low)
    return residual.level()
