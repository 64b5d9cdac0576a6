"""What a waveform view draws: the lowest and the highest sample of every stretch of a file, at every zoom.

An `Overview` is a pyramid of extremes in about 2 MB whatever the length of the file. `scan` fills it on a thread while
others draw from it: first a sketch of the whole file out of short windows, where the format lets one go anywhere at
once, then every sample. Zooms too deep for the pyramid read the samples themselves (`read_columns`). How it is drawn is
left to the app.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from core.audio.read import AudioReader, open_reader, read_blocks
from core.errors import UnbakeError
from core.events import Operation, Progress
from core.measure.levels import to_dbfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from core.audio.formats import Block

    Columns = tuple[NDArray[np.float32], NDArray[np.float32]]
    Indices = NDArray[np.int64]

MAX_BINS: Final = 1 << 17
MIN_BIN_FRAMES: Final = 64
MAX_READ_FRAMES: Final = 1 << 22
"""The longest span that `read_columns` takes; longer ones are the pyramid's."""
SKETCH_PLACES: Final = 1024
SKETCH_FRAMES: Final = 1024  # at each place
SKETCH_STRIDES: Final = (64, 16, 4, 1)  # places: the whole file coarsely first
SKETCH_FROM_FRAMES: Final = 4 * SKETCH_PLACES * SKETCH_FRAMES  # under it, reading everything is as quick
REDRAW_SECONDS: Final = 0.08
_READ_FRAMES: Final = 1 << 15  # a power of two, so that blocks and bins share borders
_BINS_PER_COLUMN: Final = 4  # a bin astride two columns counts in both: at most this share of one


class Overview:
    """Extremes of all channels together of a file of `frames` frames. One thread fills it, any may read it meanwhile.

    NaN and infinite samples count as silence.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.frames_per_bin: int = MIN_BIN_FRAMES
        """Frames under one bin of the finest level, a power of two: columns narrower than it need `read_columns`."""
        while self.frames_per_bin * MAX_BINS < frames:
            self.frames_per_bin *= 2
        self.filled_frames = 0
        """How far from the start `columns` is exact."""
        self._pushed = 0
        bins = -(-frames // self.frames_per_bin)
        self._levels = [_Extremes(bins)]
        while bins > 1:
            bins = (bins + 1) // 2
            self._levels.append(_Extremes(bins))
        self._sketch: _Extremes | None = None

    @property
    def sketched(self) -> bool:
        """Whether columns after `filled_frames` come from a sketch: short windows that miss what lies between them."""
        return self._sketch is not None and self.filled_frames < self.frames

    @property
    def complete(self) -> bool:
        """Whether every frame has been heard."""
        return self.filled_frames >= self.frames

    def columns(self, first_frame: float, last_frame: float, count: int) -> Columns:
        """Lowest and highest sample in each of `count` equal columns of a span: float32 [count] each.

        A column covers every frame that falls in it, and less than a quarter of its width (or one bin of the finest
        level, if that is more) around it. NaN outside the file and where nothing is known yet.
        """
        edges = np.linspace(first_frame, last_frame, count + 1)
        sketch = self._sketch  # before the bins: it goes when they are complete
        low, high, known = self._exact(edges)
        if sketch is not None and not known.all():
            starts, ends, inside = _cells(edges * (SKETCH_PLACES / self.frames), SKETCH_PLACES)
            guess = inside & ~known
            low[guess], high[guess] = sketch.fold(starts[guess], ends[guess])
        return low, high

    def peak_db(self, frame: float, window_frames: float) -> float | None:
        """Peak level in dBFS of the `window_frames` frames around `frame`; None for silence and what is not known yet.

        Never from the sketch, which would show too little.
        """
        low, high, known = self._exact(np.array([frame - window_frames / 2, frame + window_frames / 2]))
        return to_dbfs(max(abs(float(low[0])), abs(float(high[0])))) if known[0] else None

    def push(self, block: Block) -> None:
        """Takes the next frames, float64 [channels, frames], for `publish` to show.

        All but the last must be equally long: a multiple of `frames_per_bin`, or a whole fraction of it.
        """
        low, high = _extremes(block, self.frames_per_bin)
        first = self._pushed // self.frames_per_bin
        self._levels[0].widen(first, low, high)
        self._pushed += block.shape[1]

    def publish(self) -> None:
        """Shows readers all that was pushed."""
        if self._pushed == self.filled_frames:
            return
        first, last = (frame // self.frames_per_bin for frame in (self.filled_frames, self._pushed - 1))
        for finer, coarser in itertools.pairwise(self._levels):
            first, last = first // 2, last // 2
            coarser.gather(finer, first, last + 1)
        self.filled_frames = self._pushed
        if self.complete:
            self._sketch = None

    def sketch(self, reader: AudioReader) -> Iterator[int]:
        """Fills the sketch from short windows all over the file, coarsely first; yields how many were read so far.

        Each stands for the places after it that have not been read themselves. Errors as the reader's.
        """
        sketch = self._sketch = _Extremes(SKETCH_PLACES)
        read: set[int] = set()
        for stride in SKETCH_STRIDES:
            for place in range(0, SKETCH_PLACES, stride):
                if place in read:
                    continue
                reader.seek(self.frames * place // SKETCH_PLACES)
                low, high = _extremes(reader.read(SKETCH_FRAMES), SKETCH_FRAMES)
                sketch.low[place : place + stride], sketch.high[place : place + stride] = low, high
                read.add(place)
                yield len(read)

    def _exact(self, edges: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Columns between `edges`, NaN where not all of their frames have been heard, and where they have."""
        filled = self.filled_frames  # before the bins: what is filled after it is only not used yet
        width = (edges[-1] - edges[0]) / (len(edges) - 1) if len(edges) > 1 else 0.0
        bin_frames = self.frames_per_bin
        level = 0
        while level + 1 < len(self._levels) and 2 * bin_frames * _BINS_PER_COLUMN <= width:
            level, bin_frames = level + 1, 2 * bin_frames
        bins = self._levels[level]
        starts, ends, inside = _cells(edges / bin_frames, len(bins.low))
        inside &= edges[:-1] < self.frames  # the last bin may reach beyond them
        known = inside & (np.minimum(ends * bin_frames, self.frames) <= filled)
        low, high = np.full((2, len(edges) - 1), np.nan, np.float32)
        low[known], high[known] = bins.fold(starts[known], ends[known])
        return low, high, known


class _Extremes:
    """Lowest and highest samples of bins in a row: float32, NaN where nothing is known."""

    def __init__(self, bins: int) -> None:
        self.low = np.full(bins, np.nan, np.float32)
        self.high = np.full(bins, np.nan, np.float32)

    def widen(self, first: int, low: NDArray[np.float32], high: NDArray[np.float32]) -> None:
        """Lets the bins from `first` on reach as far as `low` and `high` too."""
        here = slice(first, first + len(low))
        np.fmin(self.low[here], low, out=self.low[here])
        np.fmax(self.high[here], high, out=self.high[here])

    def gather(self, finer: _Extremes, first: int, end: int) -> None:
        """Makes bins `first` to `end` of pairs of finer ones, as far as those are known."""
        pairs = np.arange(0, min(2 * end, len(finer.low)) - 2 * first, 2)
        children = slice(2 * first, 2 * end)
        self.low[first:end] = np.fmin.reduceat(finer.low[children], pairs)
        self.high[first:end] = np.fmax.reduceat(finer.high[children], pairs)

    def fold(self, starts: Indices, ends: Indices) -> Columns:
        """Extremes of bins `starts` to `ends` (each larger than its start), NaN where none of them is known."""
        return _fold(self.low, np.fmin, starts, ends), _fold(self.high, np.fmax, starts, ends)


def scan(path: Path, *, overview: Overview | None = None) -> Operation[Overview]:
    """Fills an overview of a file, `overview` if it is given, from a sketch to the last sample.

    Speaks often enough to be redrawn at about 10 Hz. Raises UnbakeError when the file can't be read, gets shorter
    meanwhile, or has another number of frames than `overview`; ValueError for an overview that is not empty.
    """
    with open_reader(path) as reader:
        frames, seconds = reader.info.frames, reader.info.seconds
        overview = overview or Overview(frames)
        if overview.frames != frames:
            raise UnbakeError(f"has {frames} frames where {overview.frames} were expected", where=path)
        if overview.filled_frames:
            raise ValueError("the overview is filled already")
        due = _Pace()
        if reader.random_access and frames >= SKETCH_FROM_FRAMES:
            for read in overview.sketch(reader):
                if due() or read == SKETCH_PLACES:
                    yield Progress("sketch", read, SKETCH_PLACES, seconds)
            reader.seek(0)
        for block in read_blocks(reader, _READ_FRAMES):
            overview.push(block)
            if due() or reader.frame == frames:
                overview.publish()
                yield Progress("overview", reader.frame, frames, seconds)
        return overview


def read_columns(path: Path, first_frame: float, last_frame: float, count: int) -> Columns:
    """`Overview.columns` read from the samples themselves: every frame counts in the one column that it falls in.

    A column narrower than a frame gives the frame that it lies in. Where a format can't go anywhere at once, this takes
    as long as decoding all that lies before. ValueError for spans over MAX_READ_FRAMES; UnbakeError when the file can't
    be read.
    """
    if last_frame - first_frame > MAX_READ_FRAMES:
        raise ValueError(f"{last_frame - first_frame:.0f} frames are more than the {MAX_READ_FRAMES} that may be read")
    edges = np.linspace(first_frame, last_frame, count + 1)
    low, high = np.full((2, count), np.nan, np.float32)
    with open_reader(path) as reader:
        starts, ends, inside = _frames(edges, reader.info.frames)
        if not inside.any():
            return low, high
        reader.seek(int(starts[inside].min()))
        last = int(ends[inside].max())
        while (at := reader.frame) < last:
            samples = _audible(reader.read(min(_READ_FRAMES, last - at)))
            here = np.flatnonzero(inside & (starts < reader.frame) & (ends > at))
            span = np.maximum(starts[here], at) - at, np.minimum(ends[here], reader.frame) - at
            low[here] = np.fmin(low[here], _fold(_narrow(samples.min(axis=0)), np.fmin, *span))
            high[here] = np.fmax(high[here], _fold(_narrow(samples.max(axis=0)), np.fmax, *span))
    return low, high


class _Pace:
    """Whether it is time to be drawn again."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self) -> bool:
        if time.monotonic() - self._last < REDRAW_SECONDS:
            return False
        self._last = time.monotonic()
        return True


def _cells(edges: NDArray[np.float64], count: int) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """For each column between `edges`, in cells: its first cell, the end after its last, and whether it has any."""
    starts = np.clip(np.floor(edges[:-1]), 0, count).astype(np.int64)
    ends = np.clip(np.maximum(np.ceil(edges[1:]), np.floor(edges[:-1]) + 1), 0, count).astype(np.int64)
    return starts, ends, starts < ends


def _frames(edges: NDArray[np.float64], count: int) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """As `_cells`, but every frame in one column only, or in all that are narrower than it and lie in it."""
    starts, ends = np.ceil(edges[:-1]), np.ceil(edges[1:])
    narrow = starts >= ends
    starts[narrow] = np.floor((edges[:-1] + edges[1:]) / 2)[narrow]
    ends[narrow] = starts[narrow] + 1
    starts, ends = (np.clip(frames, 0, count).astype(np.int64) for frames in (starts, ends))
    return starts, ends, starts < ends


def _fold(values: NDArray[np.float32], pick: np.ufunc, starts: Indices, ends: Indices) -> NDArray[np.float32]:
    """`pick` over each of the stretches `starts` to `ends` of `values`."""
    if not starts.size:
        return np.zeros(0, np.float32)
    # reduceat takes no end past the last value
    longer = np.append(values, np.float32(np.nan))
    return pick.reduceat(longer, np.stack([starts, ends], axis=1).ravel())[::2]


def _extremes(block: Block, bin_frames: int) -> Columns:
    """Lowest and highest sample of all channels in every `bin_frames` frames, float32."""
    at = np.arange(0, block.shape[1], bin_frames)
    low = np.minimum.reduceat(block, at, axis=1).min(axis=0)
    high = np.maximum.reduceat(block, at, axis=1).max(axis=0)
    # NaN and infinity survive the search, and a look at its results is far cheaper than one at every sample
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return _extremes(_audible(block), bin_frames)
    return _narrow(low), _narrow(high)


def _audible(block: Block) -> Block:
    return block if np.isfinite(block).all() else np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


def _narrow(samples: NDArray[np.float64]) -> NDArray[np.float32]:
    """As float32, which can't hold the largest numbers of a float64 file."""
    most = np.finfo(np.float32).max
    return np.clip(samples, -most, most).astype(np.float32)
