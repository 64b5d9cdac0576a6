"""What a spectrogram view draws: levels over time and pitch. How they become colours is left to the app."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.audio.read import open_reader
from core.events import Operation, Progress
from core.measure.spectrum import hann, mean_power, read_windows, to_db

if TYPE_CHECKING:
    from pathlib import Path

    from core.audio.read import AudioReader

WINDOWS_PER_COLUMN: Final = 8
HIGHEST_HZ: Final = 20_000.0
PADDING: Final = 2  # FFTs are so many times as long as windows: a tone between two bins loses 0.4 dB instead of 1.4
_SKIP_FRAMES: Final = 1 << 16


class Spectrogram(msgspec.Struct, frozen=True, eq=False):
    """Levels in dB, float32 [rows, columns], row 0 the lowest; silence reads `spectrum.FLOOR_DB`.

    `freqs_hz` is the centre of each row, float64 [rows], at equal musical distances. `sampled` says that columns were
    too wide for every frame in them to be heard.
    """

    levels_db: NDArray[np.float32]
    freqs_hz: NDArray[np.float64]
    sampled: bool


def spectrogram(
    path: Path,
    first_frame: float,
    last_frame: float,
    columns: int,
    rows: int,
    *,
    low_hz: float = 20.0,
    high_hz: float | None = None,
    fft: int = 4096,
) -> Operation[Spectrogram]:
    """Levels of a stretch of a file in equal columns of time and equal musical rows from `low_hz` to `high_hz`.

    `high_hz` is 20 kHz, or the Nyquist frequency where that is lower, unless given. A column is the loudest of up to
    WINDOWS_PER_COLUMN Hann windows of `fft` frames spread in it, or of all half-overlapped ones where they are no more.
    The power is the mean of all channels; a full-scale sine in every channel reads 0 dB at its row, less at most 1.5 dB
    between two bins of the FFT. Rows finer than the bins are interpolated. Outside the file there is silence; NaN and
    infinite samples count as such. Raises UnbakeError when the file can't be read, ValueError for nothing to draw on.
    """
    with open_reader(path) as reader:
        info = reader.info
        high_hz = min(HIGHEST_HZ, info.sample_rate / 2) if high_hz is None else high_hz
        if columns < 1 or rows < 1 or not 0 < low_hz < high_hz or last_frame < first_frame:
            raise ValueError(f"{rows} x {columns}, {low_hz:g} to {high_hz:g} Hz, {first_frame} to {last_frame}")
        width = (last_frame - first_frame) / columns
        wanted = max(1, math.ceil(2 * width / fft))
        per_column = min(wanted, WINDOWS_PER_COLUMN)
        centres = first_frame + (np.arange(columns * per_column) + 0.5) * (width / per_column)
        starts = np.rint(centres - fft / 2).astype(np.int64)
        window = hann(fft)
        window *= 2.0 / window.sum()
        levels_db = np.empty((rows, columns), np.float32)
        frequencies = _Rows(np.geomspace(low_hz, high_hz, rows + 1), info.sample_rate / (PADDING * fft), PADDING * fft)
        yield from _go_to(reader, min(max(0, int(starts[0])), info.frames))
        windows = read_windows(reader, starts, fft)
        for column in range(columns):
            power = mean_power(np.stack(list(islice(windows, per_column))) * window, PADDING * fft)
            levels_db[:, column] = to_db(frequencies.loudest(power.max(axis=0)))
            yield Progress("spectrogram", column + 1, columns, (last_frame - first_frame) / info.sample_rate)
    return Spectrogram(levels_db, frequencies.centres_hz, per_column < wanted)


class _Rows:
    """Rows between `edges_hz`, rising, over the bins of an FFT of `size` points that lie `bin_hz` apart."""

    def __init__(self, edges_hz: NDArray[np.float64], bin_hz: float, size: int) -> None:
        self.centres_hz = np.sqrt(edges_hz[:-1] * edges_hz[1:])
        bins = size // 2 + 1
        first = np.clip(np.ceil(edges_hz / bin_hz), 0, bins).astype(np.int64)
        self._holding = np.flatnonzero(first[:-1] < first[1:])
        self._stretches = np.stack([first[:-1], first[1:]], axis=1)[self._holding].ravel()
        self._between = self.centres_hz / bin_hz
        self._bins = np.arange(bins)

    def loudest(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest power in each row, among the bins in it and what lies between two of them at its centre."""
        amplitude = np.sqrt(power)
        found = np.interp(self._between, self._bins, amplitude, right=0.0)
        if self._holding.size:
            inside = np.maximum.reduceat(np.append(amplitude, 0.0), self._stretches)[::2]
            found[self._holding] = np.maximum(found[self._holding], inside)
        return np.square(found)


def _go_to(reader: AudioReader, frame: int) -> Operation[None]:
    """Goes to a frame, in steps that can be cancelled where all that lies before must be decoded."""
    if reader.random_access:
        reader.seek(frame)
    while reader.frame < frame:
        reader.read(min(frame - reader.frame, _SKIP_FRAMES))
        yield Progress("reading", reader.frame, frame)
