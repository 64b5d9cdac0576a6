"""What never stops in a file, and the comb of lines in it that may be hum."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from core.audio.read import AudioReader
from core.cleanup.dehum.stretches import Reals
from core.events import Operation, Progress

MAINS_HZ: Final = (50.0, 60.0)
TAPE: Final = 0.05
"""How far the speed of a tape may be off; hum farther than `EXACT` from mains must show more to be believed."""
EXACT: Final = 0.006
STEADY_SHARE: Final = 0.3
"""What never stops is what the spectrum is over for all but this share of the time."""
PASSING_SHARE: Final = 0.85
"""What comes and goes is seen at this one."""
FRAME_SECONDS: Final = 4.0
SEARCH_LINES: Final = 24
AROUND_HZ: Final = 6.0
GUARD_HZ: Final = 0.75
RIVALS: Final = 0.9
"""A line is held against what this share of the spectrum is under, so far around it but for its own foot."""
LINE_DB: Final = 4.0
MOST_LINE_DB: Final = 20.0
"""What one line can count for at the most."""
COMB_DB: Final = 20.0
"""Lines of a comb must make so many dB together."""
_LEVEL_DB: Final = 1.0
_LEVELS: Final = 180


class Steady(NamedTuple):
    """By how many dB the spectrum stands out of its surroundings, bin by bin, at two shares of the time."""

    bin_hz: float
    always: Reals
    passing: Reals


class Comb(NamedTuple):
    """Lines at multiples of one frequency: dB by which they stand out together, and how many do."""

    freq_hz: float
    score_db: float
    lines: int


def listen(reader: AudioReader, freq_hz: float) -> Operation[Steady | None]:
    """What never stops in a file, and what comes and goes; None where there is no sound.

    Looks high enough for mains, and for a comb at `freq_hz` (0: none is asked for).
    """
    info = reader.info
    size = min(FRAME_SECONDS, max(1.0, info.seconds / 4.0))
    frames = round(size * info.sample_rate)
    hop = frames // 2 if info.seconds > 30.0 else max(1, frames // 4)
    top = min(MAINS_HZ[1] * (1 + TAPE) * SEARCH_LINES, 0.45 * info.sample_rate)
    if freq_hz:
        top = min(max(top, 8 * freq_hz), 0.45 * info.sample_rate)
    bins = int(top * frames / info.sample_rate) + 1
    window = np.hanning(frames)
    counts = np.zeros((bins, _LEVELS), dtype=np.uint32)
    row = np.arange(bins)
    heard = 0
    for first in range(0, info.frames - frames + 1, hop):
        reader.seek(first)
        spectrum = np.asarray(fft.rfft(reader.read(frames) * window))[:, :bins]
        power = np.square(np.abs(spectrum)).sum(axis=0) / window.sum() ** 2
        if power.sum() > 1e-12:
            levels = 10.0 * np.log10(power + 1e-20) + 160.0
            counts[row, np.clip(levels / _LEVEL_DB, 0, _LEVELS - 1).astype(int)] += 1
            heard += 1
        yield Progress("listening for hum", first + frames, info.frames, info.seconds)
    if not heard:
        return None
    bin_hz = info.sample_rate / frames
    return Steady(bin_hz, _stands_out(counts, STEADY_SHARE, bin_hz), _stands_out(counts, PASSING_SHARE, bin_hz))


def comb_near_mains(
    steady: Steady, spectrum: Reals, middles: tuple[float, ...] = MAINS_HZ, reach: float = TAPE
) -> Comb | None:
    """The best comb near mains, if it is one."""
    freqs = np.concatenate([np.arange(middle * (1 - reach), middle * (1 + reach), 0.005) for middle in middles])
    scores, lines = _scores(steady, spectrum, freqs)
    off = np.min([np.abs(freqs / middle - 1.0) for middle in middles], axis=0)
    best = int(np.argmax(np.where(off < EXACT, scores, 0.7 * scores)))
    if scores[best] <= 0.0:
        return None
    near = scores > 0.97 * scores[best]
    near &= np.abs(freqs - freqs[best]) < 0.2
    comb = Comb(float(freqs[near].mean()), float(scores[best]), int(lines[best]))
    enough = COMB_DB if off[best] < EXACT else 3.0 * COMB_DB
    few = 2 if off[best] < EXACT else 8
    return comb if comb.score_db >= enough and comb.lines >= few else None


def comb_at(steady: Steady, asked: float) -> Comb | None:
    """The comb at a frequency that was given, within half a per cent: any line at all makes one."""
    freqs = asked * np.linspace(0.995, 1.005, 201)
    scores, lines = _scores(steady, np.maximum(steady.always, steady.passing), freqs)
    if not scores.max():
        return None
    near = scores > 0.97 * scores.max()
    return Comb(float(freqs[near].mean()), float(scores.max()), int(lines.max()))


def why_none(steady: Steady, asked: float) -> str:
    """What there is in place of a comb, in words."""
    if asked:
        return f"nothing stands out at {asked:g} Hz or its harmonics"
    passing = comb_near_mains(steady, steady.passing, reach=0.02)
    if passing is None:
        return "no line at 50 or 60 Hz that is there all the time"
    return f"a tone at {passing.freq_hz:.2f} Hz comes and goes as a note does: give its frequency if it is hum"


def _stands_out(counts: NDArray[np.uint32], share: float, bin_hz: float) -> Reals:
    """By how many dB each bin is over most of what is beside it: music in loops has lines, too, but not one alone."""
    total = np.cumsum(counts, axis=1)
    levels = (total < share * total[:, -1:]).sum(axis=1) * _LEVEL_DB
    reach, guard = max(4, round(AROUND_HZ / bin_hz)), max(2, math.ceil(GUARD_HZ / bin_hz))
    beside = np.ones(2 * reach + 1, dtype=bool)
    beside[reach - guard : reach + guard + 1] = False
    rivals = ndimage.percentile_filter(levels, 100.0 * RIVALS, footprint=beside, mode="nearest")
    return np.where(levels > 0.0, np.clip(levels - rivals, 0.0, MOST_LINE_DB), 0.0)


def _scores(steady: Steady, spectrum: Reals, freqs_hz: Reals) -> tuple[Reals, NDArray[np.int64]]:
    """Sum and number of lines of each fundamental."""
    multiples = np.outer(freqs_hz, np.arange(1, SEARCH_LINES + 1)) / steady.bin_hz
    heights = np.where(
        multiples < len(spectrum) - 1, np.interp(multiples, np.arange(len(spectrum)), spectrum, right=0.0), 0.0
    )
    return np.maximum(heights - LINE_DB / 2.0, 0.0).sum(axis=1), (heights > LINE_DB).sum(axis=1)
