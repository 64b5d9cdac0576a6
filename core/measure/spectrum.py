"""What a spectrum view draws: the average level of a stretch of a file over frequency.

Levels are powers, the mean of all channels, with 0 dB for a full-scale sine in every channel. How they are drawn is
left to the app.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from core.audio.read import AudioReader, open_reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from core.audio.formats import Block

FLOOR_DB: Final = -160.0
"""What silence reads; nothing reads less."""
MAX_WINDOWS: Final = 200
WINDOW_SECONDS: Final = 0.33  # the shortest: three hertz from bin to bin
SMOOTHING_OCTAVES: Final = 1.0 / 6.0
LOBE_BINS: Final = 2  # from the summit of a Hann window's spectrum to its first zero
_READ_ON_FRAMES: Final = 1 << 15  # a gap under it costs less to read than to seek over


def log_frequencies(count: int, low_hz: float = 20.0, high_hz: float = 20_000.0) -> NDArray[np.float64]:
    """Frequencies in Hz at equal musical distances, both ends among them: float64 [count]."""
    return np.geomspace(low_hz, high_hz, count)


def average_spectrum(
    path: Path, first_frame: int, last_frame: int, freqs_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Level in dB of a sixth of an octave around each frequency, averaged over a stretch of a file: float64 [n].

    Power in the band, so that pink noise is level, as analysers with fractional octaves show it. Where two bins of the
    FFT to either side are more than the sixth, as below some 100 Hz, the band is as wide as they are. Welch's method
    (IEEE Trans. AU 15, 1967) on Hann windows: half-overlapped in a short stretch, MAX_WINDOWS spread evenly in a longer
    one. Silence, an empty stretch and what lies above the Nyquist frequency read FLOOR_DB; NaN and infinite samples
    count as silence. Raises UnbakeError when the file can't be read; where its format can't go anywhere at once, this
    takes as long as decoding it up to `last_frame`.
    """
    with open_reader(path) as reader:
        rate = reader.info.sample_rate
        first, last = max(0, first_frame), min(last_frame, reader.info.frames)
        if first >= last:
            return np.full(len(freqs_hz), FLOOR_DB)
        size = 1 << math.ceil(math.log2(WINDOW_SECONDS * rate))
        window = hann(min(size, last - first))
        count = min(MAX_WINDOWS, 1 + math.ceil(2 * (last - first) / len(window) - 2))
        starts = np.linspace(first, last - len(window), count).astype(np.int64)
        power = np.zeros(size // 2 + 1)
        for samples in read_windows(reader, starts, len(window)):
            power += mean_power(samples * window, size)
    # twice for the sine, whose mean square is a half, and twice for the half of the spectrum that is not computed
    power *= 4.0 / (count * size * np.square(window).sum())
    power[[0, -1]] /= 2.0
    return to_db(_banded(power, rate / size, freqs_hz, LOBE_BINS * rate / len(window)))


def hann(frames: int) -> NDArray[np.float64]:
    """A Hann window, float64 [frames], without the zeros at its ends, so that one of a single frame is 1."""
    return np.sin(np.pi * (np.arange(frames) + 0.5) / frames) ** 2


def mean_power(windowed: Block, size: int) -> NDArray[np.float64]:
    """Squared magnitudes of an FFT of `size` points, the mean of all channels: [..., channels, n] to [..., bins]."""
    spectra = np.fft.rfft(windowed, size)
    return (np.square(spectra.real) + np.square(spectra.imag)).mean(axis=-2)


def read_windows(reader: AudioReader, starts: Iterable[int], frames: int) -> Iterator[Block]:
    """The `frames` frames from each of `starts`, which must rise, as float64 [channels, frames].

    Starts may lie before the file and windows reach past its end, where there is silence; NaN and infinite samples are
    silence too. Overlapping windows are read once. UnbakeError as the reader raises it.
    """
    held = np.zeros((reader.info.channels, 0))
    for start in starts:
        start = int(start)
        first, last = max(0, start), min(max(0, start + frames), reader.info.frames)
        held = held[:, max(0, first - (reader.frame - held.shape[1])) :]
        if first > reader.frame:
            _go_on(reader, min(first, reader.info.frames))
        if last > reader.frame:
            fresh = reader.read(last - reader.frame)
            held = np.concatenate([held, fresh], axis=1) if held.shape[1] else fresh
        window = np.zeros((reader.info.channels, frames))
        heard = held[:, : max(0, last - first)]
        window[:, first - start : first - start + heard.shape[1]] = heard
        yield window if np.isfinite(window).all() else np.nan_to_num(window, nan=0.0, posinf=0.0, neginf=0.0)


def to_db(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Powers in dB, at least FLOOR_DB."""
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10.0)))


def _go_on(reader: AudioReader, frame: int) -> None:
    gap = frame - reader.frame
    if gap < _READ_ON_FRAMES:
        reader.read(gap)
    else:
        reader.seek(frame)


def _banded(
    power: NDArray[np.float64], bin_hz: float, freqs_hz: NDArray[np.float64], reach_hz: float
) -> NDArray[np.float64]:
    """Power of bins `bin_hz` apart in a band around each frequency, `reach_hz` to either side at least."""
    half = 2.0 ** (SMOOTHING_OCTAVES / 2.0)
    edges_hz = (np.arange(len(power) + 1) - 0.5) * bin_hz
    below = np.concatenate([[0.0], np.cumsum(power)])
    low_hz, high_hz = np.minimum(freqs_hz / half, freqs_hz - reach_hz), np.maximum(freqs_hz * half, freqs_hz + reach_hz)
    return np.interp(high_hz, edges_hz, below) - np.interp(low_hz, edges_hz, below)
