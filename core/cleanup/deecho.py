"""Distinct early reflections: found in the cepstrum, taken out by the inverse of the comb that they make.

A file y(t) = x(t) + sum a_i x(t - d_i) has the spectrum X H, with H = 1 + sum a_i exp(-j w d_i). Its logarithm is the
sum of both, and that of H draws a peak of a_i / 2 at the quefrency d_i (B. Bogert, M. Healy and J. Tukey, "The
Quefrency Alanysis of Time Series for Echoes", 1963). What tells a reflection from a pitch, a rhythm or a chorus is that
it is the same in every band, and in every part of the file. The inverse 1 / H runs recursively; it is stable, since the
gains of a channel never add up to 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal
from scipy.ndimage import uniform_filter1d

from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block
from core.audio.read import AudioReader, read_blocks
from core.cleanup.cleaner import Cleaner, Finding
from core.errors import UnbakeError
from core.events import Operation, Progress
from core.session.cleaning import Deecho

Values = NDArray[np.float64]

SHORTEST_S: Final = 0.006
LONGEST_S: Final = 0.1
"""Reflections are looked for between these; one that is given may lie anywhere."""
SECTION_S: Final = 3.0
MOST_SECTIONS: Final = 40
"""A file is heard in so many sections, spread evenly over it: the room does not change."""
FEWEST_SECTIONS: Final = 3
SHORTEST_SECTION_S: Final = 0.5
SMOOTH_HZ: Final = 250.0
"""What of a spectrum is wider than this is colour (twice a moving mean: no reflection over 5 ms loses 5 percent)."""
HIGHEST_HZ: Final = 20_000.0
NOISE: Final = 10.0
"""Bins count by how far they are over so many times the noise of quantisation, where no reflection is."""
DEEPEST: Final = 1e-10
"""And over such a share of the mean power of their section."""
SOUNDING: Final = 0.3
"""Share of the bins that must count, of a section or band that says anything."""
BANDS: Final = 5
LOWEST_SHARE: Final = 0.05
"""The bands begin at this share of the highest frequency: below it lie the pitches."""
MOST_REFLECTIONS: Final = 3
QUIETEST: Final = 0.16
"""Gain of the quietest reflection (-16 dB) in the second weakest band. Clean music and speech stay under it."""
AGREEING: Final = 0.4
"""A section tells of a reflection when it shows such a share of its gain, with its sign,"""
MOST_AGREE: Final = 0.75
"""and such a share of the sections must."""
FLATTEST: Final = 0.3
"""The weakest band shows such a share of what the middle one does."""
MOST_REPEATS: Final = 0.25
"""At twice the delay a reflection's peak is small and negative, where a period, or a rhythm, repeats its own."""
DEPTH: Final = 0.9
"""The gains that were found in a channel add up to no more: its inverse is 60 dB down after 66 repeats."""
WHOLE: Final = 0.05
"""A delay that was found so near to a whole number of frames is one."""
HALF_TAPS: Final = 32
KAISER_BETA: Final = 8.0
STEADIEST: Final = 0.36
"""Of what the bins of a log spectrum differ from each other (standard deviation), such a share changes from section to
section at least: 0.45 to 0.8 in music and speech, 0.3 or less in most oscillators and exact loops, where nothing tells
a reflection from a partial."""
TINY: Final = 1e-30
BESIDE_S: Final = 0.0003
LEAST_BINS: Final = 24
FEWEST_BANDS: Final = 3
MARGIN: Final = 0.03
"""Over the quietest by so much, it is three to one that it is one."""
FURTHER: Final = 0.2
"""Gain of the quietest after the first (-14 dB): what is left of the sound itself must not look like one."""
MOST_UNFOUND: Final = 0.4
"""Confidence in what is not found stays under it."""
SWEEPS: Final = 3
TRIES: Final = 6
"""Peaks that are looked at before none is a reflection."""


class Reflection(NamedTuple):
    """One reflection: its delay in frames, not always whole, and its gain in each channel (negative: inverted)."""

    delay: float
    gains: Values


class Deechoer(Cleaner[Deecho]):
    """Finds up to three reflections and divides them out; a channel without any passes bit for bit."""

    def __init__(self, reader: AudioReader, step: Deecho) -> None:
        super().__init__(reader, step)
        self._reflections: list[Reflection] = []

    def find(self) -> Operation[Finding]:
        """Hears sections of the file. UnbakeError where the delay that was given is less than a frame."""
        given_s = self.step.delay_ms / 1000.0
        if 0.0 < given_s * self.info.sample_rate < 1.0:
            what = f"{self.step.delay_ms:g} ms is less than one frame"
            raise UnbakeError(what, where="delay_ms", remedy="give a longer delay, or 0 to have it found")
        cepstra = yield from _hear(self.reader, max(LONGEST_S, given_s))
        if given_s:
            return self._given(cepstra, given_s)
        found, confidence, why = _search(cepstra, self.info.sample_rate)
        if found and self.step.level_db:
            found = [found[0]._replace(gains=_at_level(found[0].gains, self.step.level_db))]
        self._reflections = found
        return self._finding(confidence, why)

    def blocks(self) -> Iterator[Block]:
        """The file without its reflections."""
        self.reader.seek(0)
        inverses = [_Inverse(self._reflections, channel) for channel in range(self.info.channels)]
        for block in read_blocks(self.reader, BLOCK_FRAMES):
            yield np.stack([inverse.process(each) for inverse, each in zip(inverses, block, strict=True)])

    def _given(self, cepstra: list[_Cepstra], delay_s: float) -> Finding:
        """What an engineer asked for; its polarity, and its level where that was left open, are measured."""
        judged = [each.judge(delay_s) for each in cepstra]
        gains = np.array([each.gain for each in judged])
        if self.step.level_db:
            gains = _at_level(gains, self.step.level_db)
        elif np.abs(gains).max() < QUIETEST:
            return self._finding(0.0, f"nothing stands out at {self.step.delay_ms:g} ms; give its level to have it out")
        else:
            gains = np.clip(np.where(np.abs(gains) < QUIETEST / 2, 0.0, gains), -DEPTH, DEPTH)
        self._reflections = [Reflection(delay_s * self.info.sample_rate, gains)]
        return self._finding(max(each.confidence for each in judged), "")

    def _finding(self, confidence: float, why: str) -> Finding:
        kind = str(self.step.__struct_config__.tag)
        if not self._reflections:
            return Finding(type=kind, found=False, confidence=confidence, detail=why)
        rows = [_told(each, self.info.sample_rate) for each in self._reflections]
        figures: dict[str, float] = {"reflections": float(len(rows))}
        for number, (delay_ms, gain) in enumerate(rows, 1):
            figures |= {f"delay_{number}_ms": delay_ms, f"gain_{number}": gain, f"level_{number}_db": _in_db(gain)}
        words = [
            f"{delay_ms:.2f} ms, {_in_db(gain):.1f} dB{', inverted' if gain < 0 else ''}" for delay_ms, gain in rows
        ]
        noun = "a reflection after " if len(rows) == 1 else f"{len(rows)} reflections after "
        # one reflection can be held fast by its delay and level, more of them not
        proposal = {"delay_ms": rows[0][0], "level_db": min(_in_db(rows[0][1]), -0.01)} if len(rows) == 1 else {}
        return Finding(
            type=kind,
            found=True,
            confidence=confidence,
            detail=noun + "; ".join(words),
            figures=figures,
            proposal={**proposal},
        )


class _Judged(NamedTuple):
    """What speaks for a reflection at one delay in one channel.

    `gain` is the middle band's, `sure` what all bands but one show at least. `alike` says that sections and bands
    agree, and that nothing repeats at twice the delay. `confidence`, 0 to 1: how far `sure` is over what clean sounds
    show, times the share of the sections that agree, less what repeats.
    """

    gain: float
    sure: float
    alike: bool
    confidence: float


class _Cepstra:
    """What the sections of one channel say: log spectra without their colour, and how much each bin counts."""

    def __init__(self, spacing_hz: float, merged: int) -> None:
        self.spacing_hz, self.merged = spacing_hz, merged
        self._fine_hz = spacing_hz / merged
        self._first_hz = self._fine_hz * (merged - 1) / 2
        self._logs: list[NDArray[np.float32]] = []
        self._weights: list[NDArray[np.float32]] = []
        self._bands: list[slice] = []
        self._moves = 0.0

    def add(self, logs: Values, weights: Values) -> None:
        """One section: float64 [bins] each, weights 0 to 1."""
        self._logs.append(logs.astype(np.float32))
        self._weights.append(weights.astype(np.float32))

    def settle(self) -> None:
        """Every section was added: leaves out those that are silent, and divides what sounds into bands."""
        if not self._logs:
            return
        logs, weights = np.array(self._logs, np.float64), np.array(self._weights, np.float64)
        shares = weights.mean(axis=1)
        sounding = shares >= 0.1 * max(shares.max(), 1e-3)
        self._logs, self._weights = list(logs[sounding]), list(weights[sounding])
        if not self._logs:
            return
        counted = logs[sounding] * weights[sounding]
        self._moves = float(np.mean(np.std(counted, axis=0)) / max(float(np.std(counted)), TINY))
        usual = np.median(weights[sounding], axis=0)
        counting = np.flatnonzero(usual > 0.5)
        top = int(counting[-1]) + 1 if len(counting) else 0
        edges = np.linspace(LOWEST_SHARE * top, top, BANDS + 1).astype(int)
        pairs = itertools.pairwise(edges)
        self._bands = [slice(a, b) for a, b in pairs if b - a >= LEAST_BINS and usual[a:b].mean() >= SOUNDING]

    @property
    def tells(self) -> bool:
        """Whether there is enough of it that a reflection could be told from the sound itself."""
        return len(self._logs) >= FEWEST_SECTIONS and len(self._bands) >= FEWEST_BANDS and self._moves >= STEADIEST

    @property
    def top_hz(self) -> float:
        """Where the highest band ends."""
        return self._bands[-1].stop * self.spacing_hz if self._bands else 0.0

    def divide_out(self, delay_s: float, gain: float, before: NDArray[Any]) -> NDArray[Any]:
        """Takes a reflection more out of all sections. `before` is H so far, complex [bins, merged]; returns it now."""
        after = before + gain * self.turn(delay_s)
        change = np.log(np.maximum(np.abs(after), TINY) / np.maximum(np.abs(before), TINY)).mean(axis=1)
        self._logs = [each - change for each in self._logs]
        return after

    def turn(self, delay_s: float) -> NDArray[Any]:
        """What a delay does to every bin before they were merged: complex [bins, merged]."""
        fine = self._fine_hz * np.arange(len(self._logs[0]) * self.merged)
        return np.exp(-2j * np.pi * delay_s * fine).reshape(-1, self.merged)

    def grid(self) -> Values:
        """Quefrencies in seconds, close enough that no peak falls between them."""
        step = 1.0 / (self.spacing_hz * self._size)
        points = np.arange(math.ceil(SHORTEST_S / step), math.floor(LONGEST_S / step))
        return points.astype(np.float64) * step

    @property
    def _size(self) -> int:
        return int(fft.next_fast_len(4 * len(self._logs[0]), True) or 0)

    def over_grid(self) -> Values:
        """Gain that a reflection at each point of the grid would have, by band, the median of the sections.

        float64 [bands, points].
        """
        delays = self.grid()
        first = round(delays[0] * self.spacing_hz * self._size)
        turn = np.exp(2j * np.pi * self._first_hz * delays) / self._droop(delays)
        found = np.empty((len(self._bands), len(self._logs), len(delays)), np.float32)
        for row, (logs, weights) in enumerate(zip(self._logs, self._weights, strict=True)):
            counted = logs * weights
            for band, part in enumerate(self._bands):
                alone = np.zeros(len(counted), np.float32)
                alone[part] = counted[part]
                sums = np.asarray(fft.rfft(alone, self._size))[first : first + len(delays)].conj()
                found[band, row] = 2.0 * (sums * turn).real / max(weights[part].sum(), 1.0)
        return np.median(found, axis=1).astype(np.float64)

    def at(self, delays: Values) -> Values:
        """The same for any delays, and section by section: float64 [sections, bands, delays]."""
        hertz = self._first_hz + self.spacing_hz * np.arange(len(self._logs[0]))
        waves = np.cos(2.0 * np.pi * hertz[:, None] * delays) * (2.0 / self._droop(delays))
        found = np.empty((len(self._logs), len(self._bands), len(delays)))
        for row, (logs, weights) in enumerate(zip(self._logs, self._weights, strict=True)):
            for band, part in enumerate(self._bands):
                found[row, band] = (logs[part] * weights[part]) @ waves[part] / max(weights[part].sum(), 1.0)
        return found

    def judge(self, delay_s: float) -> _Judged:
        """Holds one delay against everything that a reflection is."""
        found = self.at(np.array([delay_s, 2.0 * delay_s])) if self._bands else np.zeros((1, 1, 2))
        bands = np.median(found[:, :, 0], axis=0)
        gain = float(np.median(bands))
        if gain == 0.0:
            return _Judged(0.0, 0.0, False, 0.0)
        shares = np.sort(bands / gain)
        sure = max(0.0, abs(gain) * float(shares[min(1, len(shares) - 1)]))
        agree = float(np.mean(np.median(found[:, :, 0], axis=1) / gain >= AGREEING))
        repeats = float(np.median(found[:, :, 1])) / abs(gain)
        alike = (
            self.tells
            and QUIETEST / 2 <= abs(gain) < 1.0
            and shares[0] >= FLATTEST
            and agree >= MOST_AGREE
            and repeats <= MOST_REPEATS
        )
        stands_out = 1.0 / (1.0 + math.exp(-(sure - QUIETEST) / MARGIN))
        confidence = stands_out * min(1.0, agree / 0.9) * min(1.0, max(0.0, 1.0 - 2.0 * repeats))
        return _Judged(gain, sure, bool(alike), confidence if self.tells else 0.0)

    def _droop(self, delays: Values) -> Values:
        """What merging bins does to a wave over the spectrum."""
        half: Values = np.pi * self._fine_hz * delays
        return np.sinc(self.merged * half / np.pi) / np.sinc(half / np.pi)


def _around(delay_s: float, top_hz: float) -> Values:
    return delay_s + np.linspace(-0.5, 0.5, 33) / top_hz


def _hear(reader: AudioReader, longest_s: float) -> Operation[list[_Cepstra]]:
    """Log spectra of sections of a file, one object for each channel."""
    info = reader.info
    length = round(
        min(max(SECTION_S, 12.0 * longest_s), max(info.seconds / FEWEST_SECTIONS, SHORTEST_SECTION_S))
        * info.sample_rate
    )
    length = max(1, min(length, info.frames))
    count = max(1, min(MOST_SECTIONS, 2 * info.frames // length - 1))
    starts = np.linspace(0, info.frames - length, count).astype(int)
    size = int(fft.next_fast_len(max(length, 16), True) or 0)
    fine_hz = info.sample_rate / size
    merged = max(1, int(1.0 / (4.6 * longest_s) / fine_hz))
    cepstra = [_Cepstra(fine_hz * merged, merged) for _ in range(info.channels)]
    for number, start in enumerate(starts):
        reader.seek(int(start))
        block = reader.read(length)
        for each, samples in zip(cepstra, block, strict=True):
            if samples.any():
                each.add(*_log_spectrum(samples, size, merged, info))
        yield Progress("looking for reflections", number + 1, count, info.seconds)
    for each in cepstra:
        each.settle()
    return cepstra


def _log_spectrum(samples: Values, size: int, merged: int, info: AudioInfo) -> tuple[Values, Values]:
    """Natural logarithm of the magnitude without its colour, and the weight, of bins merged: float64 [bins]."""
    window = np.asarray(signal.get_window("hann", len(samples)), np.float64)
    fine_hz = info.sample_rate / size
    count = int(min(HIGHEST_HZ, 0.475 * info.sample_rate) / fine_hz) // merged * merged
    power = np.abs(np.asarray(fft.rfft(samples * window, size))[:count]) ** 2
    step = 2.0 ** (1 - (info.bits or 16 + 8 * info.lossless))
    energy = float(np.sum(window**2))
    noise = NOISE * energy * step**2 / 12.0 + DEEPEST * energy * float(np.mean(samples**2)) + TINY
    weights = power / (power + noise)
    logs = 0.5 * np.log(power + noise * 1e-2)
    wide = round(SMOOTH_HZ / fine_hz) | 1
    under = _smoothed(weights, wide)
    rough = (logs - _smoothed(logs * weights, wide) / np.maximum(under, TINY)) * weights
    weight = weights.reshape(-1, merged).mean(axis=1)
    return rough.reshape(-1, merged).mean(axis=1) / np.maximum(weight, TINY), weight


def _smoothed(values: Values, wide: int) -> Values:
    return uniform_filter1d(uniform_filter1d(values, wide, mode="nearest"), wide, mode="nearest")


def _search(cepstra: list[_Cepstra], sample_rate: int) -> tuple[list[Reflection], float, str]:
    """Reflections, the strongest first, how sure they are, and where there are none why that is."""
    if not any(each.tells for each in cepstra):
        return [], 0.0, "too short, too quiet, too narrow in band or too steady to tell a reflection from the sound"
    first = _candidate(cepstra, QUIETEST)
    confidence = max((each.confidence for each in first.judged), default=0.0)
    if not first.passes:
        nearest = f"{1000.0 * first.delay_s:.1f} ms, {_in_db(first.height):.0f} dB"
        why = f"nothing from 6 to 100 ms is the same in every band and section (nearest: {nearest})"
        return [], min(confidence, MOST_UNFOUND), why
    combs = [_Comb(each) for each in cepstra]
    delays, following = [], first
    while following.passes and len(delays) < MOST_REFLECTIONS:
        delays.append(following.delay_s)
        for comb, judged in zip(combs, following.judged, strict=True):
            comb.add(following.delay_s, judged.gain if judged.alike else 0.0)
        following = _candidate(cepstra, FURTHER)
    if len(delays) > 1:
        for comb in combs:
            comb.settle()
    gains = np.array([comb.gains for comb in combs])
    found = [Reflection(_whole(delay_s * sample_rate), gains[:, n]) for n, delay_s in enumerate(delays)]
    return _bounded(found), confidence, ""


class _Comb:
    """What was found in one channel so far, divided out of its sections."""

    def __init__(self, cepstra: _Cepstra) -> None:
        self._cepstra = cepstra
        self._delays: list[float] = []
        self._response: NDArray[Any] = np.ones(1)
        self.gains: list[float] = []

    def add(self, delay_s: float, gain: float) -> None:
        """One reflection more; with a gain of 0 it is not in this channel."""
        self._delays.append(delay_s)
        self.gains.append(gain)
        if gain:
            self._response = self._cepstra.divide_out(delay_s, gain, self._response)

    def settle(self) -> None:
        """Corrects every gain by what is left at its delay, since each was found before those after it."""
        for number in [*range(len(self.gains))] * SWEEPS:
            if self.gains[number]:
                left = self._cepstra.judge(self._delays[number]).gain
                self.gains[number] += left
                self._response = self._cepstra.divide_out(self._delays[number], left, self._response)


class _Candidate(NamedTuple):
    """The likeliest delay, what each channel says of it, whether it is a reflection, and how high the peak is."""

    delay_s: float
    judged: list[_Judged]
    passes: bool
    height: float


def _candidate(cepstra: list[_Cepstra], quietest: float) -> _Candidate:
    """Looks at the highest peaks, one after the other, until one is a reflection with such a gain at least."""
    curves = [_second_weakest(each.over_grid()) if each.tells else np.zeros(0) for each in cepstra]
    grid = next(each.grid() for each in cepstra if each.tells)
    heights = np.max([np.abs(each) for each in curves if len(each)], axis=0)
    top = int(np.argmax(heights))
    best = _Candidate(float(grid[top]), [], False, float(heights[top]))
    for _ in range(TRIES):
        peak = int(np.argmax(heights))
        if heights[peak] < quietest / 2:
            break
        delay_s = _refined(cepstra, curves, grid, peak)
        judged = [each.judge(delay_s) for each in cepstra]
        if any(each.alike and each.sure >= quietest for each in judged):
            return _Candidate(delay_s, judged, True, float(heights[peak]))
        best = best if best.judged else best._replace(judged=judged)
        heights = np.where(np.abs(grid - grid[peak]) < BESIDE_S, 0.0, heights)
    return best


def _refined(cepstra: list[_Cepstra], curves: list[Values], grid: Values, peak: int) -> float:
    """The delay in seconds where a peak really is, by the channels that show it."""
    showing = [n for n, curve in enumerate(curves) if len(curve) and abs(curve[peak]) >= QUIETEST / 2]
    top_hz = max(cepstra[n].top_hz for n in showing)
    delays = _around(float(grid[peak]), top_hz)
    height = np.zeros(len(delays))
    for n in showing:
        found = cepstra[n].at(delays)
        height += np.sign(curves[n][peak]) * np.median(found.mean(axis=1), axis=0)
    best = int(np.clip(np.argmax(height), 1, len(delays) - 2))
    left, middle, right = height[best - 1 : best + 2]
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return float(delays[best] + np.clip(shift, -1.0, 1.0) * (delays[1] - delays[0]))


def _second_weakest(bands: Values) -> Values:
    """The gain, with its sign, that all bands but one show at least: float64 [bands, points] to [points]."""
    sign = np.sign(np.median(bands, axis=0))
    return sign * np.maximum(np.sort(bands * sign, axis=0)[1], 0.0)


def _at_level(gains: Values, level_db: float) -> Values:
    """Gains at a level; channels that show next to nothing keep what the others have."""
    strongest = gains[int(np.argmax(np.abs(gains)))]
    usual = -1.0 if strongest < 0.0 else 1.0
    return 10.0 ** (level_db / 20.0) * np.where(np.abs(gains) < QUIETEST / 2, usual, np.sign(gains))


def _whole(delay: float) -> float:
    """Frames, whole ones where that is as good."""
    return float(round(delay)) if abs(delay - round(delay)) <= WHOLE else delay


def _bounded(found: list[Reflection]) -> list[Reflection]:
    """Gains that add up to no more than `DEPTH` in any channel."""
    total = np.sum([np.abs(each.gains) for each in found], axis=0)
    return [each._replace(gains=each.gains * np.minimum(1.0, DEPTH / np.maximum(total, TINY))) for each in found]


def _in_db(gain: float) -> float:
    return 20.0 * math.log10(max(abs(gain), 1e-6))


def _told(reflection: Reflection, sample_rate: int) -> tuple[float, float]:
    """Delay in ms and the gain of the channel that has most of it."""
    strongest = reflection.gains[int(np.argmax(np.abs(reflection.gains)))]
    return 1000.0 * reflection.delay / sample_rate, float(strongest)


class _Inverse:
    """x(n) = y(n) - sum a_i x(n - d_i) on one channel, block after block; a delay between frames by a windowed sinc."""

    def __init__(self, reflections: list[Reflection], channel: int) -> None:
        taps = [(_kernel(each.delay), float(each.gains[channel])) for each in reflections if each.gains[channel]]
        self._taps = [(first, gain * kernel) for (first, kernel), gain in taps]
        self._hop = min((first for first, _ in self._taps), default=0)
        self._memory = max((first + len(kernel) for first, kernel in self._taps), default=0)
        self._past = np.zeros(self._memory)

    def process(self, samples: Values) -> Values:
        """The next frames: float64 [frames]."""
        if not self._taps:
            return samples
        sound = np.concatenate([self._past, samples])
        # as many frames at a time as the shortest delay looks back
        for start in range(self._memory, len(sound), self._hop):
            stop = min(start + self._hop, len(sound))
            for first, kernel in self._taps:
                heard = sound[start - first - len(kernel) + 1 : stop - first]
                sound[start:stop] -= kernel[0] * heard if len(kernel) == 1 else np.convolve(heard, kernel, "valid")
        self._past = sound[len(sound) - self._memory :]
        return sound[self._memory :]


def _kernel(delay: float) -> tuple[int, Values]:
    """The first frame of a delay line's taps, 1 or more, and the taps: a Kaiser-windowed sinc around the delay.

    T. Laakso et al., "Splitting the Unit Delay" (IEEE Signal Processing Magazine 13/1, 1996).
    """
    whole = round(delay)
    if abs(delay - whole) < 1e-6:
        return whole, np.ones(1)
    below = math.floor(delay)
    half = min(HALF_TAPS, below)
    places = np.arange(below - half + 1, below + half + 1)
    off = places - delay
    shape = np.i0(KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (off / half) ** 2))) / np.i0(KAISER_BETA)
    return int(places[0]), np.sinc(off) * shape
