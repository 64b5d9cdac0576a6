"""The step: levels are learnt from the whole file, what was clipped is counted, and made anew segment by segment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.audio.formats import Block
from core.audio.read import AudioReader, read_blocks
from core.cleanup.cleaner import MOST_PLACES, Cleaner, Finding, Place
from core.cleanup.declip.detection import LONGEST_SECONDS, Detector, Tops, confidence, runs
from core.cleanup.declip.restoration import frame_size, restore
from core.events import Operation, Progress
from core.session.cleaning import Declip

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOPS: Final = 16
"""A segment is so many half frames: 0.7 s at 44.1 kHz. Levels may change from one to the next."""
TOO_MUCH: Final = 0.5
"""Where more of a segment than this share is at the clip level, nothing is left to make it anew from."""

SAME_DB: Final = 0.02
"""Levels that lie closer are one."""


class _Marked(NamedTuple):
    """A segment, +1 and -1 where it is to be made anew, and how many clipped samples are left as they are."""

    samples: Block
    signs: NDArray[np.int8]
    left: int


class Declipper(Cleaner[Declip]):
    """Finds clipping by flat tops that share a level, and makes the peaks anew from what surrounds them.

    All samples that were not clipped come out bit for bit; those that were are at or beyond what stood there, up to
    18 dB over it, so the outcome may well be over full scale.
    """

    def __init__(self, reader: AudioReader, step: Declip) -> None:
        super().__init__(reader, step)
        self._size = frame_size(self.info.sample_rate)
        self._segment = HOPS * self._size // 2
        self._longest = max(3, round(LONGEST_SECONDS * self.info.sample_rate))
        self._given = 10.0 ** (step.level_dbfs / 20.0) if step.level_dbfs < 0.0 else None
        self._detector = Detector(self.info)
        self._found = False

    def find(self) -> Operation[Finding]:
        """Learns the levels, then counts what lies at them. Confidence: the share of the tops at the likeliest clip
        level that are flat, times the chance that so many flat tops share it by no accident (each two halve the rest).
        """
        self.reader.seek(0)
        done = 0
        for segment in read_blocks(self.reader, self._segment):
            self._detector.learn(segment)
            done += segment.shape[1]
            yield Progress("looking for clipping", done, self.info.frames, self.info.seconds)
        counts, worst = _Counts(self.info.channels, self._size // 2), _Worst()
        done = 0
        for before, here, after in _threes(self._marked()):
            counts.add(here, done)
            worst.add(before, here, after)
            done += here.samples.shape[1]
            yield Progress("counting what is clipped", done, self.info.frames, self.info.seconds)
        counts.end()
        self._found = counts.clipped > 0
        peak = float(np.abs(self._mended(*worst.triple)).max()) if worst.triple is not None else 0.0
        return self._finding(counts, peak)

    def blocks(self) -> Iterator[Block]:
        """One segment at a time."""
        if not self._found:
            self.reader.seek(0)
            yield from read_blocks(self.reader)
            return
        for before, here, after in _threes(self._marked()):
            yield self._mended(before, here, after) if here.signs.any() else here.samples

    def _marked(self) -> Iterator[_Marked]:
        """The whole file, segment by segment, with what is to be made anew."""
        self.reader.seek(0)
        for samples in read_blocks(self.reader, self._segment):
            yield self._mendable(samples, self._signs(samples))

    def _signs(self, samples: Block) -> NDArray[np.int8]:
        """+1 and -1 where samples were clipped, as measured or as told."""
        if self._given is None:
            return self._detector.marks(samples)
        return (samples >= self._given).astype(np.int8) - (samples <= -self._given).astype(np.int8)

    def _mendable(self, samples: Block, signs: NDArray[np.int8]) -> _Marked:
        """Leaves out runs that are too long, and channels where too much is clipped."""
        left = 0
        for channel, marks in enumerate(signs):
            clipped = int(np.count_nonzero(marks))
            if clipped > TOO_MUCH * len(marks):
                marks[:] = 0
                left += clipped
                continue
            first, last = runs(marks != 0) if clipped else (np.zeros(0, np.int64),) * 2
            for start, stop in zip(first, last, strict=True):
                if stop - start > self._longest:
                    signs[channel, start:stop] = 0
                    left += int(stop - start)
        return _Marked(samples, signs, left)

    def _mended(self, before: _Marked | None, here: _Marked, after: _Marked | None) -> Block:
        """A segment made anew. Half a frame is heard on either side; silence where the file ends."""
        half, frames = self._size // 2, here.samples.shape[1]
        short = -frames % half
        context = [_edge(before, slice(-half, None)), here, _edge(after, slice(None, half))]
        sound = np.concatenate([each.samples for each in context if each is not None], axis=1)
        signs = np.concatenate([each.signs for each in context if each is not None], axis=1)
        missing = half - (context[0].samples.shape[1] if context[0] is not None else 0)
        behind = frames + 2 * half + short - sound.shape[1] - missing
        widths = ((0, 0), (missing, behind))
        mended = restore(np.pad(sound, widths), np.pad(signs, widths), self._size)
        return np.ascontiguousarray(mended[:, half : half + frames])

    def _finding(self, counts: _Counts, peak: float) -> Finding:
        tops, band_db = self._detector.best()
        figures = {
            "clipped_samples": float(counts.clipped),
            "clipped_percent": 100.0 * counts.clipped / max(1, counts.frames * self.info.channels),
            "left_samples": float(counts.left),
            "runs": float(counts.runs),
            "longest_frames": float(counts.longest),
            "regions": float(counts.regions),
        }
        if not self._found:
            chance = min(0.49, confidence(tops))
            why = self._why(counts, tops)
            return Finding(type="declip", found=False, confidence=chance, detail=why, figures=figures)
        low, high = counts.range_dbfs()
        figures |= {"level_dbfs": high, "lowest_level_dbfs": low, "peak_dbfs": _dbfs(peak), "soft_db": band_db}
        if self._given is not None:
            del figures["soft_db"]
        return Finding(
            type="declip",
            found=True,
            confidence=1.0 if self._given is not None else confidence(tops),
            detail=self._detail(counts, peak, band_db),
            figures=figures,
            places=tuple(counts.places),
            proposal=self._proposal(counts),
        )

    def _detail(self, counts: _Counts, peak: float, band_db: float) -> str:
        low, high = counts.range_dbfs()
        level = f"{high:.2f} dBFS" if high - low < 0.05 else f"{low:.2f} to {high:.2f} dBFS"
        share = 100.0 * counts.clipped / (counts.frames * self.info.channels)
        kind = "samples at and over" if self._given is not None else "samples clipped at"
        words = [
            f"{counts.clipped} {kind} {level} ({share:.2g}%), in {counts.runs} runs of up to {counts.longest}",
            f"made anew, they reach {_dbfs(peak):+.1f} dBFS where most are",
        ]
        if band_db and self._given is None:
            words.insert(1, f"softly: tops are flat within {band_db:g} dB")
        if counts.left:
            words.append(f"{counts.left} in runs too long, or too dense, are left")
        return "; ".join(words)

    def _proposal(self, counts: _Counts) -> dict[str, float | str]:
        """One level for all, where there is one: the lowest at which anything was clipped, if all lie close to it."""
        low, high = counts.range_dbfs()
        if self._given is not None or high - low > SAME_DB or not -60.0 <= low < 0.0:
            return {}
        return {"level_dbfs": math.floor(low * 1e4) / 1e4}

    def _why(self, counts: _Counts, tops: Tops) -> str:
        if self._given is not None and not counts.left:
            return f"no sample is at or over {self.step.level_dbfs:g} dBFS"
        if counts.left:
            return f"{counts.left} samples are at the clip level, in runs too long or too dense to make anew"
        if tops.flat:
            flat = "1 flat top" if tops.flat == 1 else f"{tops.flat} flat tops at one level"
            return f"no clipping: {flat}, beside {tops.round} round"
        return "no flat tops that share a level"


class _Worst:
    """The segment with the most to make anew, and its neighbours."""

    def __init__(self) -> None:
        self.triple: tuple[_Marked | None, _Marked, _Marked | None] | None = None
        self._clipped = 0

    def add(self, before: _Marked | None, here: _Marked, after: _Marked | None) -> None:
        """Keeps it if it is the worst so far."""
        clipped = int(np.count_nonzero(here.signs))
        if clipped > self._clipped:
            self.triple, self._clipped = (before, here, after), clipped


def _threes(every: Iterator[_Marked]) -> Iterator[tuple[_Marked | None, _Marked, _Marked | None]]:
    """Each with the one before it and the one after it."""
    before, here = None, None
    for after in every:
        if here is not None:
            yield before, here, after
            before = here
        here = after
    if here is not None:
        yield before, here, None


def _edge(marked: _Marked | None, part: slice) -> _Marked | None:
    return None if marked is None else _Marked(marked.samples[:, part], marked.signs[:, part], 0)


def _dbfs(magnitude: float) -> float:
    return 20.0 * math.log10(max(magnitude, 1e-10))


class _Counts:
    """What was clipped: samples, runs, levels and places, as it is counted segment by segment."""

    def __init__(self, channels: int, apart: int) -> None:
        self.clipped = 0
        self.left = 0
        self.runs = 0
        self.longest = 0
        self.regions = 0
        self.frames = 0
        self.levels: dict[tuple[int, int], tuple[float, float]] = {}
        """Lowest and highest magnitude of what was clipped, by channel and sign."""
        self.places: list[Place] = []
        self._apart = apart
        self._open: list[Place | None] = [None] * channels
        self._last = np.zeros(channels, np.int8)

    def add(self, marked: _Marked, start: int) -> None:
        """Takes the segment that begins at frame `start`."""
        self.left += marked.left
        self.frames += marked.samples.shape[1]
        for channel, signs in enumerate(marked.signs):
            for sign in (1, -1):
                at = signs == sign
                if at.any():
                    self._count(channel, sign, at, np.abs(marked.samples[channel, at]))
            for first, last in zip(*runs(signs != 0), strict=True):
                self._place(channel, start + int(first), start + int(last))
            self._last[channel] = signs[-1]

    def end(self) -> None:
        """Nothing more comes."""
        for place in self._open:
            self._close(place)
        self.places.sort(key=lambda place: (place.first, place.channel))
        del self.places[MOST_PLACES:]

    def range_dbfs(self) -> tuple[float, float]:
        """The lowest and the highest level at which anything was clipped."""
        lows, highs = zip(*self.levels.values(), strict=True)
        return _dbfs(min(lows)), _dbfs(max(highs))

    def _count(self, channel: int, sign: int, at: NDArray[np.bool_], heights: NDArray[np.float64]) -> None:
        first, last = runs(at)
        self.clipped += len(heights)
        self.runs += len(first) - int(first[0] == 0 and self._last[channel] == sign)
        self.longest = max(self.longest, int((last - first).max()))
        low, high = self.levels.get((channel, sign), (math.inf, 0.0))
        self.levels[channel, sign] = min(low, float(heights.min())), max(high, float(heights.max()))

    def _place(self, channel: int, first: int, last: int) -> None:
        known = self._open[channel]
        if known is not None and first - known.last <= self._apart:
            first = known.first
        else:
            self._close(known)
        self._open[channel] = Place(first, last, channel)

    def _close(self, place: Place | None) -> None:
        if place is not None:
            self.regions += 1
            if len(self.places) < MOST_PLACES * len(self._open):
                self.places.append(place)
