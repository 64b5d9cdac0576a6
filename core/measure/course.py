"""How strong a stream is over time, in few enough windows to be sent and drawn, and where it is at its strongest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from core.measure.meters import PeakMeter, loudest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.audio.formats import Block
    from core.measure.figures import Place, Window

MOST_WINDOWS: Final = 600
"""More than any screen has columns for a strip of time, and 11 KB on the wire."""
LEAST_SECONDS: Final = 0.05


class Course(msgspec.Struct, frozen=True):
    """Peak and rms of consecutive windows of one length, the last one cut short; None is digital silence."""

    window_seconds: float
    peak_dbfs: tuple[float | None, ...]
    rms_dbfs: tuple[float | None, ...]

    @classmethod
    def of(cls, windows: Sequence[Window], window_seconds: float) -> Course:
        """The course that the windows of a comparison tell."""
        return cls(
            window_seconds,
            tuple(window.peak_dbfs for window in windows),
            tuple(window.rms_dbfs for window in windows),
        )


NO_COURSE: Final = Course(0.0, (), ())


class CourseMeter:
    """Peak, power, worst place and course of a stream of `frames` frames, however long, that comes in blocks."""

    def __init__(self, sample_rate: int, frames: int) -> None:
        self._rate = sample_rate
        self._window = max(1, round(LEAST_SECONDS * sample_rate), math.ceil(frames / MOST_WINDOWS))
        self._whole = PeakMeter()
        self._here = PeakMeter()
        self._done = 0
        self._windows: list[tuple[float | None, float | None]] = []
        self.worst: Place | None = None
        """The first sample that is as large as any; None for digital silence."""

    @property
    def peak_dbfs(self) -> float | None:
        """The largest sample."""
        return self._whole.peak_dbfs

    @property
    def rms_dbfs(self) -> float | None:
        """The mean over all channels and frames."""
        return self._whole.rms_dbfs

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        start = 0
        while start < block.shape[1]:
            end = start + self._window - self._done % self._window
            self._take(block[:, start:end])
            start = end

    def course(self) -> Course:
        """All windows so far, the one that is not full yet among them."""
        windows = list(self._windows)
        if self._done % self._window:
            windows.append((self._here.peak_dbfs, self._here.rms_dbfs))
        seconds = self._window / self._rate
        return Course(seconds, tuple(peak for peak, _ in windows), tuple(rms for _, rms in windows))

    def _take(self, piece: Block) -> None:
        """Takes what lies within one window."""
        found = PeakMeter()
        found.push(piece)
        if found.peak > self._whole.peak:
            self.worst = loudest(piece, self._done, self._rate)
        self._whole.add(found)
        self._here.add(found)
        self._done += piece.shape[1]
        if self._done % self._window == 0:
            self._windows.append((self._here.peak_dbfs, self._here.rms_dbfs))
            self._here = PeakMeter()
