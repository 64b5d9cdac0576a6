"""How fast sound dies away in a file: the room's reverberation time, heard without knowing what was played.

A room can't be silent sooner than its reverberation lets it: the fastest decays are its own (R. Ratnam et al., "Blind
estimation of reverberation time", JASA 114/5, 2003). They are taken where a band falls steadily by 15 dB or more, as
H. Löllmann et al. do ("An improved algorithm for blind reverberation time estimation", IWAENC 2010).
"""

from __future__ import annotations

import itertools
import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from core.audio.formats import Block
from core.audio.read import AudioReader
from core.events import Operation, Progress

FRAME_S: Final = 0.023
EDGES_HZ: Final = (500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Below, a few tones make a band; above, many files hold nothing."""
BASS_HZ: Final = 110.0
SECTION_S: Final = 20.0
MOST_SECTIONS: Final = 12
SMOOTH_S: Final = 0.02
RISE_DB: Final = 0.3
"""A level that falls may rise so much from frame to frame."""
LEAST_DB: Final = 15.0
DEPTH_DB: Final = 40.0
"""Decays begin no deeper than this under the loudest of their section."""
SKIPPED_DB: Final = 6.0
"""The direct sound goes first, by so much; what is measured begins below,"""
MEASURED_DB: Final = 18.0
"""and ends here, before noise and the next sound."""
FEWEST_FRAMES: Final = 4
STRAIGHT: Final = 0.9
"""The share of the variance that a straight line explains."""
FASTEST: Final = 0.15
"""The decay that is faster than all but such a share of them is the room's."""
FEWEST_DECAYS: Final = 3

Levels = NDArray[np.float64]


class Heard(NamedTuple):
    """What was heard of a room. `rt60_s` is 0 where there were too few decays."""

    rt60_s: float
    decays: int
    bands: int
    """In how many bands there were enough of them."""
    bass_db: float
    """The power under 110 Hz against all of it."""


def hear(reader: AudioReader) -> Operation[Heard]:
    """Hears sections of a file that are spread evenly over it."""
    info = reader.info
    length = max(1, min(info.frames, round(SECTION_S * info.sample_rate)))
    count = max(1, min(MOST_SECTIONS, -(-info.frames // length)))
    decays: list[list[float]] = [[] for _ in itertools.pairwise(EDGES_HZ)]
    powers = np.zeros(2)
    for number, start in enumerate(np.linspace(0, info.frames - length, count).astype(int)):
        reader.seek(int(start))
        spectrum, hertz, hop_s = _powers(reader.read(length), info.sample_rate)
        powers += spectrum[hertz < BASS_HZ].sum(), spectrum.sum()
        for band, (low, high) in enumerate(itertools.pairwise(EDGES_HZ)):
            inside = (hertz >= low) & (hertz < high)
            if high <= 0.5 * info.sample_rate and inside.any() and spectrum.shape[1] > FEWEST_FRAMES:
                decays[band] += _decays(spectrum[inside].sum(axis=0), hop_s)
        yield Progress("listening to the room", number + 1, count, info.seconds)
    enough = [each for each in decays if len(each) >= FEWEST_DECAYS]
    fastest = [float(np.quantile(each, FASTEST)) for each in enough]
    bass_db = 10.0 * math.log10((powers[0] + 1e-12 * powers[1] + 1e-30) / (powers[1] + 1e-30))
    rt60_s = float(np.median(fastest)) if fastest else 0.0
    return Heard(rt60_s, sum(map(len, enough)), len(enough), bass_db)


def _powers(block: Block, sample_rate: int) -> tuple[Levels, Levels, float]:
    """Power by bin and frame, mean over channels, the bins' frequencies, and seconds from frame to frame."""
    size = 1 << max(5, round(math.log2(FRAME_S * sample_rate)))
    hop = size // 4
    block = np.pad(block, ((0, 0), (0, max(0, size - block.shape[1]))))
    cut = np.lib.stride_tricks.sliding_window_view(block, size, axis=1)[:, ::hop]
    window = np.hanning(size)
    power = np.zeros((size // 2 + 1, cut.shape[1]))
    for channel in cut:
        power += (np.abs(np.fft.rfft(channel * window)) ** 2).T / len(cut)
    return power, np.arange(size // 2 + 1) * sample_rate / size, hop / sample_rate


def _decays(power: Levels, hop_s: float) -> list[float]:
    """Reverberation times in seconds of all straight decays of one band: float64 [frames]."""
    loudest = float(power.max())
    if loudest <= 1e-12:
        return []
    levels = uniform_filter1d(10.0 * np.log10(power + 1e-9 * loudest), max(1, round(SMOOTH_S / hop_s)) | 1)
    falling = np.concatenate([[False], np.diff(levels) < RISE_DB, [False]])
    starts, stops = np.flatnonzero(~falling[:-1] & falling[1:]), np.flatnonzero(falling[:-1] & ~falling[1:])
    top = levels.max() - DEPTH_DB
    found = [
        _time(levels[start : stop + 1], hop_s)
        for start, stop in zip(starts, stops, strict=True)
        if levels[start : stop + 1].max() > top
    ]
    return [each for each in found if each > 0.0]


def _time(levels: Levels, hop_s: float) -> float:
    """RT60 in seconds of one decay, 0 where it is none."""
    levels = levels[int(np.argmax(levels)) :]
    fallen = levels[0] - levels
    span = float(fallen[-1])
    if span < LEAST_DB:
        return 0.0
    first = int(np.argmax(fallen > SKIPPED_DB))
    last = int(np.argmax(fallen > min(0.9 * span, MEASURED_DB)))
    if last - first < FEWEST_FRAMES:
        return 0.0
    part = levels[first:last]
    time = hop_s * (np.arange(len(part)) - 0.5 * (len(part) - 1))
    slope = float(time @ part / (time @ time))
    straight = slope**2 * float(np.mean(time**2)) / max(float(part.var()), 1e-12)
    return -60.0 / slope if slope < 0.0 and straight >= STRAIGHT else 0.0
