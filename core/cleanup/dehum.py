"""Mains hum: told from notes, followed as it drifts, and taken out line by line.

Hum is there nearly all the time, at one frequency, steady in level, with harmonics that are locked to it. A first pass
learns what never stops in the file (a low quantile of its spectrum over time) and looks for a comb of lines in it near
50 or 60 Hz. Only where there is one, a second pass follows its frequency and a third learns which harmonics are there
and where they pause. Lines are brought down to 0 Hz by long Fourier transforms, smoothed there, brought back at the
file's own rate and subtracted; nothing else changes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, linalg, ndimage, signal

from core.audio.formats import AudioInfo, Block
from core.audio.read import AudioReader
from core.cleanup.cleaner import MOST_PLACES, Cleaner, Finding, Place
from core.errors import UnbakeError
from core.events import Operation, Progress
from core.session.cleaning import Dehum

Reals = NDArray[np.float64]
Complexes = NDArray[np.complex128]

LOWEST_HZ: Final = 10.0
"""Notches closer than that would run into each other."""
MAINS_HZ: Final = (50.0, 60.0)
TAPE: Final = 0.05
"""How far the speed of a tape may be off; hum farther than `EXACT` from mains must show more to be believed."""
EXACT: Final = 0.006
WANDER_HZ: Final = 0.12
"""The fundamental may wander so far from its mean."""

STEADY_SHARE: Final = 0.3
"""What never stops is what the spectrum is over for all but this share of the time."""
PASSING_SHARE: Final = 0.85
"""What comes and goes is seen at this one."""
FRAME_SECONDS: Final = 4.0
SHORTEST_SECONDS: Final = 3.0
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

LOOKS_HZ: Final = 25.0
"""Lines that were brought down to 0 Hz are looked at so often a second."""
STRETCH_SECONDS: Final = 40
"""Files go by in stretches of so many seconds, short ones in one that is shorter."""
MARGIN_SECONDS: Final = 5
"""Of each stretch so much at either end serves only to know the rest."""
WINDOW_SECONDS: Final = 3.0
"""The frequency is measured in such windows, once a second."""
LOCKED: Final = 0.55
"""How like its neighbour in phase and level a line must be from window to window; chance gives 0."""
CERTAIN: Final = 6
"""With so many sure harmonics, weaker ones between them are believed more easily."""
FULL_SHARE: Final = 0.75
"""A comb with such a share of its harmonics up to the highest has all of them; hum of odd ones only stays so."""
STEADY_DB: Final = 3.0
"""Half of the time the level of hum is within so many dB."""
PLUCKED: Final = 0.3
"""Notes that are struck again and again beat so far about their mean level, root mean square, and hum does not."""
TOLD: Final = 4.0
"""Whether a line beats is told where it has so many times the power of what is beside it,"""
TOLD_LINES: Final = 3
"""and by so many such lines."""
MANY: Final = 24
"""A comb of so many lines that keep their phase is told even where none of them can be heard clearly,"""
GRID: Final = 0.002
"""if it is as near to the mains as power grids keep it."""
ASTRAY: Final = 0.6
"""Whatever is off the mains may be a note: it is told, at this confidence, and not taken out unasked."""
EDGE_HALVES: Final = 2
"""Hum is there from the beginning to the end; what is missing there for so many half seconds of sound is a note."""
FAINT: Final = 0.25
"""A fade takes hum along: where there is so little of the usual power, nothing can be told from its absence."""
HEARD_HALVES: Final = 4
"""Half seconds, summed over lines, in which lines must be heard clearly to know how steady they are."""
CLEAR: Final = 30.0
"""Clearly: with so many times the power of what is beside them."""
NOTCH_HZ: Final = (0.75, 2.75)
"""Notches take all out to the first, and nothing from the second on."""
SLOW_SECONDS: Final = (2.0, 6.0)
FADE_SECONDS: Final = 0.05
UNHEARD_DBFS: Final = -90.0


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


class Track(NamedTuple):
    """The fundamental over time: Hz once a second from frame 0, and the cycles that it went through up to there."""

    freqs_hz: Reals
    cycles: Reals

    def cycles_at(self, seconds: Reals) -> Reals:
        """Cycles since frame 0: the frequency goes in straight lines from second to second, level off the ends."""
        whole = np.clip(np.floor(seconds).astype(int), 0, len(self.freqs_hz) - 2)
        part = seconds - whole
        slope = self.freqs_hz[whole + 1] - self.freqs_hz[whole]
        inner = np.clip(part, 0.0, 1.0)
        beyond = np.where(part < 0.0, self.freqs_hz[whole], self.freqs_hz[whole + 1]) * (part - inner)
        return self.cycles[whole] + self.freqs_hz[whole] * inner + 0.5 * slope * inner**2 + beyond


class Lines(NamedTuple):
    """What is taken out: channel by channel which harmonics, their powers, and how the hum pauses."""

    there: NDArray[np.bool_]
    """[channels, harmonics], the first of them the fundamental."""
    powers: Reals
    """Mean squares, [channels, harmonics], 0 where there is none."""
    present: NDArray[np.bool_]
    """Half-second by half-second."""
    faint: NDArray[np.bool_]
    """Half-second by half-second: there is so little beside the lines that the file may be faded in or out there."""
    spread_db: float
    """How far levels are from their median, half of the time; infinite where nothing was clear enough to know."""
    beat: float
    """How far they go about their mean from moment to moment, root mean square: 0 is steady, 0.5 a plucked string."""


class Stretch(NamedTuple):
    """A part of a file, zeros where there is no file: `at` is the frame of its first sample, and may be negative."""

    block: Block
    at: int
    first: int
    last: int


class Dehummer(Cleaner[Dehum]):
    """Takes out hum by zero-phase notches that follow it, or by subtracting sinusoids fitted to it."""

    def find(self) -> Operation[Finding]:
        """Looks for the comb, follows it, and judges whether it is hum.

        Confidence grows with the dB by which its lines stand out together, and shrinks with how far it is from 50 or
        60 Hz, how its level swings and how long it pauses. UnbakeError for a frequency that can't be notched.
        """
        self._hum: tuple[Track, Lines] | None = None
        asked = self.step.freq_hz
        if asked and not LOWEST_HZ <= asked < 0.45 * self.info.sample_rate:
            raise UnbakeError(
                f"no hum can be taken out at {asked:g} Hz",
                where=self.info.path,
                remedy=f"give {LOWEST_HZ:g} to {0.45 * self.info.sample_rate:g} Hz",
            )
        if self.info.seconds < SHORTEST_SECONDS:
            return _none(f"shorter than {SHORTEST_SECONDS:g} s, so hum can't be told from a note")
        steady = yield from self._listen()
        if steady is None:
            return _none("there is no sound")
        comb = _given(steady, asked) if asked else _comb(steady, steady.always)
        if comb is None:
            return _none(_why_not(steady, asked))
        track = yield from self._follow(comb.freq_hz)
        lines = yield from self._lines(track)
        if asked:
            lines = self._as_asked(lines, steady, comb.freq_hz)
        return self._judged(comb, track, lines)

    def blocks(self) -> Iterator[Block]:
        """The file without its hum; where the hum pauses for long, the samples of the file."""
        assert self._hum is not None
        track, lines = self._hum
        bank = _Bank(self.info)
        for stretch in _stretches(self.reader):
            own = slice(stretch.first - stretch.at, stretch.last - stretch.at)
            seconds = stretch.at / self.info.sample_rate + bank.seconds
            mask = _mask(lines.present, stretch.at, stretch.block.shape[1], self.info.sample_rate)
            inside = np.interp(bank.seconds, np.arange(len(mask)) / self.info.sample_rate, mask)
            block = stretch.block[:, own]
            for channel, there in enumerate(lines.there):
                if not there.any() or not mask[own].any():
                    continue
                heard = stretch.block[channel] * (mask > 0.0)
                hum = bank.lines_out(heard, np.flatnonzero(there) + 1, track, seconds, inside, self.step.method)
                block[channel] -= (hum * mask)[own]
            yield block

    def _listen(self) -> Operation[Steady | None]:
        info = self.info
        size = min(FRAME_SECONDS, max(1.0, info.seconds / 4.0))
        frames = round(size * info.sample_rate)
        hop = frames // 2 if info.seconds > 30.0 else max(1, frames // 4)
        top = min(MAINS_HZ[1] * (1 + TAPE) * SEARCH_LINES, 0.45 * info.sample_rate)
        if self.step.freq_hz:
            top = min(max(top, 8 * self.step.freq_hz), 0.45 * info.sample_rate)
        bins = int(top * frames / info.sample_rate) + 1
        window = np.hanning(frames)
        counts = np.zeros((bins, _LEVELS), dtype=np.uint32)
        row = np.arange(bins)
        heard = 0
        for first in range(0, info.frames - frames + 1, hop):
            self.reader.seek(first)
            spectrum = np.asarray(fft.rfft(self.reader.read(frames) * window))[:, :bins]
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

    def _harmonics(self, freq_hz: float) -> int:
        top = min(self.step.up_to_hz, 0.48 * self.info.sample_rate - 4.0)
        return int(top / freq_hz)

    def _follow(self, freq_hz: float) -> Operation[Track]:
        """The frequency once a second, smooth where it is hard to hear."""
        bank, harmonics = _Bank(self.info), max(1, self._harmonics(freq_hz))
        found: list[tuple[float, float]] = []
        for stretch in _stretches(self.reader):
            first, last = (math.ceil(frame / self.info.sample_rate) for frame in (stretch.first, stretch.last))
            lines = np.stack([bank.down(row, np.arange(1, harmonics + 1), freq_hz) for row in stretch.block])
            start = stretch.at / self.info.sample_rate
            found += [_offset(lines, round((second - start) * LOOKS_HZ)) for second in range(first, last)]
            yield Progress("following the hum", stretch.last, self.info.frames, self.info.seconds)
        found += [found[-1]] * max(0, math.ceil(self.info.seconds) + 2 - len(found))
        offsets, weights = np.array(found).T
        freqs = freq_hz + _smoothed(offsets, weights)
        steps = 0.5 * (freqs[1:] + freqs[:-1])
        return Track(freqs, np.concatenate([[0.0], np.cumsum(steps)]))

    def _lines(self, track: Track) -> Operation[Lines]:
        """Which harmonics are there, how loud, and where they pause."""
        mean_hz = float(np.mean(track.freqs_hz))
        harmonics = max(1, self._harmonics(mean_hz))
        bank, numbers = _Bank(self.info), np.arange(1, max(1, harmonics) + 1)
        tally = _Tally(self.info.channels, harmonics, float(np.clip(self.info.seconds / 15.0, 1.0, 2.0)))
        for stretch in _stretches(self.reader):
            start = stretch.at / self.info.sample_rate
            turned = np.stack(
                [
                    bank.turned(bank.down(row, numbers, mean_hz), numbers, mean_hz, track, start + bank.seconds)
                    for row in stretch.block
                ]
            )
            tally.push(turned, start, stretch.first / self.info.sample_rate, stretch.last / self.info.sample_rate)
            yield Progress("counting its harmonics", stretch.last, self.info.frames, self.info.seconds)
        return tally.result()

    def _as_asked(self, lines: Lines, steady: Steady, freq_hz: float) -> Lines:
        """Also what comes and goes, wherever it sounds: whoever gives a frequency wants it out."""
        numbers = np.arange(1, lines.there.shape[1] + 1)
        heights = np.maximum(steady.always, steady.passing)
        stands = np.interp(numbers * freq_hz / steady.bin_hz, np.arange(len(heights)), heights, right=0.0) > LINE_DB
        stands[0] = True
        return lines._replace(there=lines.there | stands, present=np.ones_like(lines.present))

    def _judged(self, comb: Comb, track: Track, lines: Lines) -> Finding:
        asked = bool(self.step.freq_hz)
        mean_hz = float(np.mean(track.freqs_hz))
        count = int(lines.there.any(axis=0).sum())
        share = float(lines.present.mean()) if len(lines.present) else 0.0
        named = f"{mean_hz:.2f} Hz"
        if not count:
            return _none(f"a tone at {named} does not hold its phase, as hum would")
        off = min(abs(mean_hz / mains - 1.0) for mains in MAINS_HZ)
        if not asked:
            if math.isinf(lines.spread_db) and (count < MANY or off > GRID):
                return _none(
                    f"what there is at {named} is nowhere clear enough to tell hum from notes: "
                    "give its frequency if it is hum"
                )
            if STEADY_DB < lines.spread_db < math.inf:
                return _none(
                    f"a tone at {named} swings by {lines.spread_db:.0f} dB as notes do: give its frequency if it is hum"
                )
            if share < 0.5:
                return _none(
                    f"a tone at {named} sounds {100 * share:.0f}% of the time, as a note may: "
                    "give its frequency if it is hum"
                )
            if lines.beat > PLUCKED:
                return _none(
                    f"a tone at {named} is struck again and again, as notes are: give its frequency if it is hum"
                )
            if edge := _edge(lines):
                return _none(f"a tone at {named} {edge}, as a note does: give its frequency if it is hum")
            if count < (2 if off < EXACT else 4):
                return _none(f"a steady tone at {named} has too few harmonics to be hum: give its frequency if it is")
        level = 10.0 * math.log10(float(lines.powers.sum(axis=1).max()) + 1e-20)
        if level < UNHEARD_DBFS and not asked:
            return _none(f"what there is at {named} is under {UNHEARD_DBFS:.0f} dBFS")
        chance = 1.0 / (1.0 + math.exp(-(comb.score_db - 40.0) / 15.0))
        chance *= (0.5 + 0.5 * share) * (1.0 - 0.5 * min(1.0, lines.spread_db / STEADY_DB))
        sure = off < EXACT and not math.isinf(lines.spread_db)
        chance = float(np.clip(chance + 0.3, 0.05, 0.99 if sure else ASTRAY))
        self._hum = (track, lines)
        drift = float(np.ptp(track.freqs_hz)) / 2.0
        words = f"{named} and {count - 1} harmonics, {level:.0f} dBFS"
        if drift >= 0.005:
            words += f", drifts by {drift:.2f} Hz either way"
        if share < 0.99:
            words += f", there {100 * share:.0f}% of the time"
        if off >= EXACT and not asked:
            words += ", off 50 and 60 Hz as on a tape at the wrong speed"
        return Finding(
            type="dehum",
            found=True,
            confidence=0.99 if asked else chance,
            detail=words,
            figures={
                "freq_hz": mean_hz,
                "drift_hz": drift,
                "harmonics": float(count),
                "level_dbfs": level,
                "present_share": share,
                "swing_db": min(lines.spread_db, 99.0),
            },
            places=_places(lines.present, self.info.frames, self.info.sample_rate),
            proposal={"freq_hz": round(mean_hz, 3)},
        )


_WINDOW: Final = round(WINDOW_SECONDS * LOOKS_HZ)
_LEVEL_DB: Final = 1.0
_LEVELS: Final = 180


def _none(why: str) -> Finding:
    return Finding(type="dehum", found=False, confidence=0.0, detail=why)


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


def _comb(steady: Steady, spectrum: Reals, middles: tuple[float, ...] = MAINS_HZ, reach: float = TAPE) -> Comb | None:
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


def _given(steady: Steady, asked: float) -> Comb | None:
    """The comb at a frequency that was given, within half a per cent: any line at all makes one."""
    freqs = asked * np.linspace(0.995, 1.005, 201)
    scores, lines = _scores(steady, np.maximum(steady.always, steady.passing), freqs)
    if not scores.max():
        return None
    near = scores > 0.97 * scores.max()
    return Comb(float(freqs[near].mean()), float(scores.max()), int(lines.max()))


def _why_not(steady: Steady, asked: float) -> str:
    if asked:
        return f"nothing stands out at {asked:g} Hz or its harmonics"
    passing = _comb(steady, steady.passing, reach=0.02)
    if passing is None:
        return "no line at 50 or 60 Hz that is there all the time"
    return f"a tone at {passing.freq_hz:.2f} Hz comes and goes as a note does: give its frequency if it is hum"


def _stretch_seconds(info: AudioInfo) -> int:
    return min(STRETCH_SECONDS, math.ceil(info.seconds) + 2 * MARGIN_SECONDS)


def _stretches(reader: AudioReader) -> Iterator[Stretch]:
    """The file in stretches of 40 s, 30 of them their own."""
    rate, frames = reader.info.sample_rate, reader.info.frames
    size, margin = _stretch_seconds(reader.info) * rate, MARGIN_SECONDS * rate
    for first in range(0, frames, size - 2 * margin):
        at = first - margin
        reader.seek(max(0, at))
        heard = reader.read(min(frames, at + size) - max(0, at))
        block = np.zeros((reader.info.channels, size))
        block[:, max(0, -at) : max(0, -at) + heard.shape[1]] = heard
        yield Stretch(block, at, first, min(frames, first + size - 2 * margin))


class _Bank:
    """Brings lines of a stretch down to 0 Hz, and back."""

    def __init__(self, info: AudioInfo) -> None:
        sample_rate, self._stretch = info.sample_rate, _stretch_seconds(info)
        self._rate, self._frames = sample_rate, self._stretch * sample_rate
        self._looks = round(self._stretch * LOOKS_HZ)
        self.seconds = np.arange(self._looks) / LOOKS_HZ
        ramp = np.sin(0.5 * np.pi * np.minimum(1.0, np.arange(self._frames) / sample_rate)) ** 2
        self._taper = ramp * ramp[::-1]

    def _spectrum(self, row: Reals) -> Complexes:
        return np.asarray(fft.rfft(row * self._taper))

    def _middles(self, numbers: NDArray[np.int64], freq_hz: float) -> NDArray[np.int64]:
        """The bin that each line is brought down by."""
        return np.rint(numbers * freq_hz * self._stretch).astype(int)

    def _band(self, freq_hz: float) -> Reals:
        """What counts as a line: a third of the way to the next ones, 8 Hz at most, with soft edges."""
        apart = np.abs(fft.fftfreq(self._looks, 1.0 / LOOKS_HZ))
        edge = min(8.0, freq_hz / 3.0)
        return np.clip(2.0 * (1.0 - apart / edge), 0.0, 1.0)

    def down(self, row: Reals, numbers: NDArray[np.int64], freq_hz: float) -> Complexes:
        """Lines as [harmonics, looks], complex amplitudes relative to harmonics of a steady `freq_hz`."""
        spectrum = self._spectrum(row)
        offsets = fft.fftfreq(self._looks, 1.0 / self._looks).astype(int)
        bins = self._middles(numbers, freq_hz)[:, None] + offsets
        inside = (bins > 0) & (bins < len(spectrum))
        part = np.where(inside, spectrum[np.clip(bins, 0, len(spectrum) - 1)], 0.0) * self._band(freq_hz)
        return np.asarray(fft.ifft(part, axis=1)) * (2.0 * self._looks / self._frames) * self._slip(numbers, freq_hz)

    def _slip(self, numbers: NDArray[np.int64], freq_hz: float) -> Complexes:
        """From the bins' own frequencies to true harmonics."""
        off = self._middles(numbers, freq_hz) / self._stretch - numbers * freq_hz
        return np.exp(2j * np.pi * np.outer(off, self.seconds))

    def turned(
        self, lines: Complexes, numbers: NDArray[np.int64], freq_hz: float, track: Track, seconds: Reals
    ) -> Complexes:
        """Lines relative to harmonics of the track, whose phases run on from stretch to stretch."""
        lag = track.cycles_at(seconds) - freq_hz * self.seconds
        return lines * np.exp(-2j * np.pi * np.outer(numbers, lag))

    def lines_out(
        self, row: Reals, numbers: NDArray[np.int64], track: Track, seconds: Reals, inside: Reals, method: str
    ) -> Reals:
        """The hum of a stretch: float64 [frames]."""
        freq_hz = float(np.mean(track.freqs_hz))
        lines = self.turned(self.down(row, numbers, freq_hz), numbers, freq_hz, track, seconds)
        there = (inside > 0.5) & self._in_file(row)
        smooth = _notched(lines, there) if method == "notch" else _fitted(lines, numbers, there)
        lag = track.cycles_at(seconds) - freq_hz * self.seconds
        back = smooth * np.exp(2j * np.pi * np.outer(numbers, lag)) / self._slip(numbers, freq_hz)
        part = np.asarray(fft.fft(back, axis=1))
        spectrum = np.zeros(self._frames // 2 + 1, dtype=complex)
        offsets = fft.fftfreq(self._looks, 1.0 / self._looks).astype(int)
        for one, middle in zip(part, self._middles(numbers, freq_hz), strict=True):
            bins = middle + offsets
            good = (bins > 0) & (bins < len(spectrum))
            np.add.at(spectrum, bins[good], one[good])
        return np.asarray(fft.irfft(spectrum * (self._frames / (2.0 * self._looks)), self._frames))

    def _in_file(self, row: Reals) -> NDArray[np.bool_]:
        """Which looks are at sound: before the file and after it there is none."""
        sounding = np.flatnonzero(row)
        if not len(sounding):
            return np.zeros(self._looks, dtype=bool)
        at = self.seconds * self._rate
        return (at >= sounding[0]) & (at <= sounding[-1])


def _notched(lines: Complexes, there: NDArray[np.bool_]) -> Complexes:
    """What is within the notch's width of 0 Hz, known from what is there alone."""
    low, high = NOTCH_HZ
    half = round(0.85 * LOOKS_HZ)
    cut = (low + high) / LOOKS_HZ
    taps = np.kaiser(2 * half + 1, 4.5) * np.sinc(cut * np.arange(-half, half + 1))
    return _averaged(lines, np.broadcast_to(there.astype(float), lines.shape), taps)


def _averaged(lines: Complexes, weights: Reals, taps: Reals) -> Complexes:
    """Means of lines under moving taps, weighted."""
    half = len(taps) // 2
    wide = np.pad(np.stack([lines * weights, weights.astype(complex)]), ((0, 0), (0, 0), (half, half)))
    above, below = signal.oaconvolve(wide, taps[None, None, :], mode="valid", axes=2)
    enough = below.real > 0.25 * taps.sum() * weights.max(initial=1e-300)
    return np.where(enough, above / np.where(enough, below.real, 1.0), 0.0)


def _fitted(lines: Complexes, numbers: NDArray[np.int64], there: NDArray[np.bool_]) -> Complexes:
    """Slow amplitudes, to which moments count less the more music there is near the line."""
    found = np.zeros_like(lines)
    for row, number in enumerate(numbers):
        seconds = float(np.clip(40.0 / number, *SLOW_SECONDS))
        taps = np.hanning(2 * round(0.5 * seconds * LOOKS_HZ) + 1)
        line = lines[row : row + 1]
        near = ndimage.uniform_filter1d(line, round(LOOKS_HZ), axis=1)
        music = ndimage.uniform_filter1d(np.square(np.abs(line - near)), round(0.5 * LOOKS_HZ), axis=1)
        typical = np.median(music[:, there]) if there.any() else 1.0
        weights = there / (music + 0.1 * typical + 1e-20)
        half = len(taps) // 2
        wide = np.pad(np.stack([line * weights, weights.astype(complex)]), ((0, 0), (0, 0), (half, half)))
        above, below = np.stack([[np.convolve(each[0], taps, "valid")] for each in wide])
        found[row] = np.where(there, above[0] / np.maximum(below[0].real, 1e-300), 0.0)
    return found


def _offset(lines: Complexes, look: int) -> tuple[float, float]:
    """By how many Hz the fundamental is off at a look, and how sure that is; lines are [channels, harmonics, looks]."""
    size = _WINDOW
    low = int(np.clip(look - size // 2, 0, lines.shape[2] - size))
    part = lines[:, :, low : low + size] * np.hanning(size)
    spectrum = np.square(np.abs(np.asarray(fft.fft(part, axis=2))))
    apart = np.abs(fft.fftfreq(size, 1.0 / LOOKS_HZ))
    music = np.median(spectrum[:, :, (apart > 1.0) & (apart < 5.0)], axis=2) / math.log(2.0) + 1e-20
    coarse = _COARSE_HZ[int(np.argmax(first := _sum_over_lines(part, music, _turns(12, _COARSE), 0.0, _COARSE_HZ)))]
    fine = _sum_over_lines(part, music, _turns(60, _FINE), float(coarse), _FINE_HZ)
    offset = float(coarse + _FINE_HZ[int(np.argmax(fine))])
    return offset, float(max(0.0, first.max() - np.median(first)) ** 2)


_COARSE: Final = (-WANDER_HZ, WANDER_HZ, 0.004)
_FINE: Final = (-0.006, 0.006, 0.0005)
_COARSE_HZ, _FINE_HZ = (np.arange(low, high + 1e-9, step) for low, high, step in (_COARSE, _FINE))


@functools.cache
def _turns(most: int, grid: tuple[float, float, float]) -> Complexes:
    """What brings the harmonics 1 to `most` to rest at each offset of a grid: [harmonics, looks, offsets]."""
    offsets = np.arange(grid[0], grid[1] + 1e-9, grid[2])
    time = (np.arange(_WINDOW) - _WINDOW // 2) / LOOKS_HZ
    return np.exp(-2j * np.pi * np.arange(1, most + 1)[:, None, None] * np.outer(time, offsets))


def _sum_over_lines(part: Complexes, music: Reals, turns: Complexes, near_hz: float, offsets: Reals) -> Reals:
    """How well each offset, counted from `near_hz`, fits: logarithms summed, so that no single line decides."""
    count = min(len(turns), part.shape[1])
    numbers = np.arange(1, count + 1)
    time = (np.arange(_WINDOW) - _WINDOW // 2) / LOOKS_HZ
    near = part[:, :count] * np.exp(-2j * np.pi * near_hz * np.outer(numbers, time))
    # not through BLAS: its sums depend on how many threads it takes
    lines = np.einsum("cln,lno->clo", near, turns[:count])
    power = (np.square(np.abs(lines)) / music[:, :count, None]).sum(axis=0)
    reached = np.abs(np.outer(numbers, near_hz + offsets)) < 4.0
    return np.log1p(0.25 * np.where(reached, power, 0.0)).sum(axis=0)


def _smoothed(offsets: Reals, weights: Reals) -> Reals:
    """A smooth course through values of unequal weight; those far off it are given up (Whittaker, Tukey's weights)."""
    count = len(offsets)
    if count < 4:
        return np.full(count, np.average(offsets, weights=weights + 1e-12))
    weights = weights / max(float(weights.max()), 1e-12) + 1e-9
    bands = np.zeros((3, count))
    for row in range(count - 2):
        for one, left in enumerate((1.0, -2.0, 1.0)):
            for other, right in enumerate((1.0, -2.0, 1.0)):
                if other >= one:
                    bands[2 - (other - one), row + other] += 3.0 * left * right
    trust = np.ones(count)
    middle = _weighted_median(offsets, weights)
    trust = np.where(np.abs(offsets - middle) < 0.06, 1.0, 1e-6)
    course = offsets
    for _ in range(6):
        system = bands.copy()
        system[2] += weights * trust
        course = linalg.solveh_banded(system, weights * trust * offsets)
        off = np.abs(offsets - course)
        scale = max(0.002, 1.5 * _weighted_median(off, weights))
        trust = np.square(np.clip(1.0 - np.square(off / (4.0 * scale)), 1e-3, 1.0))
    return course


def _weighted_median(values: Reals, weights: Reals) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[min(len(values) - 1, int(np.searchsorted(total, 0.5 * total[-1])))]])


class _Tally:
    """What is known of each line, window by window of so many seconds."""

    def __init__(self, channels: int, harmonics: int, seconds: float) -> None:
        self._size = round(seconds * LOOKS_HZ)
        self._locked = np.zeros((channels, harmonics))
        self._powers: list[NDArray[np.float32]] = []
        self._noises: list[NDArray[np.float32]] = []
        self._windows = 0
        self._levels: list[NDArray[np.float32]] = []
        self._clear: list[NDArray[np.float32]] = []
        self._beats: list[tuple[float, Reals]] = []
        """Window by window: when it begins, and by how much lines beat there, mean squares relative to their power."""

    def push(self, lines: Complexes, start: float, first: float, last: float) -> None:
        """Takes turned lines [channels, harmonics, looks] of a stretch that begins at `start` seconds."""
        low, high = round((first - start) * LOOKS_HZ), round((last - start) * LOOKS_HZ)
        size = self._size
        held = None
        for look in range(low, high - size + 1, size):
            mean, noise = _known(lines[:, :, look : look + size])
            if held is not None:
                product = (mean * held[0].conj()).real / np.sqrt(noise * held[1])
                self._locked += np.clip(product, -4.0, 4.0)
                self._windows += 1
            held = mean, noise
            power = np.square(np.abs(mean))
            self._powers.append(power.astype(np.float32))
            self._noises.append(noise.astype(np.float32))
            beat = _beat(lines[:, :, look : look + size], mean)
            self._beats.append((start + look / LOOKS_HZ, (beat / (power + 1e-18))[:, :16]))
        half = round(0.5 * LOOKS_HZ)
        for look in range(low, high, half):
            mean, noise = _known(lines[:, :, max(0, look - half // 2) : look + half + half // 2 + 1])
            self._levels.append(np.square(np.abs(mean)).astype(np.float32).max(axis=0)[:16])
            self._clear.append(noise.astype(np.float32).max(axis=0)[:16])

    def result(self) -> Lines:
        """What there is of the comb."""
        count = max(1, self._windows)
        chance, locked = 1.0 / math.sqrt(2.0 * count), self._locked / count
        there = locked > max(LOCKED, 4.0 * chance)
        most = int(there.sum(axis=1).max())
        for row, one in zip(there, locked, strict=True):
            sure = np.flatnonzero(row)
            if len(sure) >= CERTAIN:
                # where so many are locked, those between them are of the same hum and need less to be believed
                row |= (one > 1.5 * chance) & (np.arange(len(one)) <= sure[-1])
                if row[: sure[-1] + 1].mean() >= FULL_SHARE:
                    row[: sure[-1] + 1] = True  # the few that are missing are drowned by music
            elif len(sure) < 0.1 * most:
                # in a channel without hum, a line or two may seem locked by chance
                row[:] = False
        usual = self._usual()
        powers = np.where(there, 0.5 * usual, 0.0)
        levels, noise = np.array(self._levels, dtype=float), np.array(self._clear, dtype=float)
        present, spread = _presence(levels, noise, 2.0 * powers.max(axis=0)[:16])
        beside = np.median(noise, axis=1) if noise.size else np.zeros(len(present))
        faint = beside < FAINT * np.median(beside)
        return Lines(there, powers, present, faint, spread, self._depth(there[:, :16], usual[:, :16], present))

    def _usual(self) -> Reals:
        """The power of each line, mostly from where there is little beside it: [channels, harmonics]."""
        if not self._powers:
            return np.zeros_like(self._locked)
        powers, noises = np.array(self._powers, dtype=float), np.array(self._noises, dtype=float)
        usual = np.median(powers, axis=0)
        for _ in range(4):
            weights = 1.0 / np.square(noises + 0.1 * usual + 1e-20)
            usual = (weights * np.maximum(powers - noises, 0.0)).sum(axis=0) / weights.sum(axis=0)
        return usual

    def _depth(self, there: NDArray[np.bool_], usual: Reals, present: NDArray[np.bool_]) -> float:
        """How far lines beat that can be told from music, in windows that they are in from end to end."""
        size = math.ceil(2 * self._size / LOOKS_HZ)
        whole = [beat for at, beat in self._beats if present[int(2 * at) : int(2 * at) + size + 1].all()]
        known = there & (usual > TOLD * np.median(np.array(self._noises), axis=0)[:, :16]) if whole else there & False
        # music makes single lines beat any way, a pluck makes all of them beat alike
        return math.sqrt(max(0.0, float(np.median(np.array(whole)[:, known])))) if known.sum() >= TOLD_LINES else 0.0


def _known(part: Complexes) -> tuple[Complexes, Reals]:
    """Mean of lines over a window, and what the square of that mean would be without them."""
    window = np.hanning(part.shape[2] + 2)[1:-1]
    mean = (part * window).sum(axis=2) / window.sum()
    spectrum = np.square(np.abs(np.asarray(fft.fft(part * window, axis=2)))) / window.sum() ** 2
    apart = np.abs(fft.fftfreq(part.shape[2], 1.0 / LOOKS_HZ))
    around = (apart > 1.9 / (part.shape[2] / LOOKS_HZ)) & (apart < 5.0)
    return mean, np.median(spectrum[:, :, around], axis=2) / math.log(2.0) + 1e-18


def _beat(part: Complexes, mean: Complexes) -> Reals:
    """By how much more the level of lines goes up and down than their phase goes to and fro: mean squares.

    What music adds to a line is as large in phase with it as across, so the difference is the line's own.
    """
    turned = part * np.exp(-1j * np.angle(mean))[..., None]
    off = turned - turned.mean(axis=2, keepdims=True)
    return np.square(off.real).mean(axis=2) - np.square(off.imag).mean(axis=2)


def _presence(levels: Reals, noise: Reals, usual: Reals) -> tuple[NDArray[np.bool_], float]:
    """Where the lines pause, and how much they swing where they can be heard: [halves, lines] in, [halves] out."""
    good = usual > 0.0
    if not good.any() or not len(levels):
        return np.ones(len(levels), dtype=bool), math.inf
    levels, noise, usual = levels[:, good], noise[:, good], usual[good]
    clear = usual / noise
    # a note may drown single lines, a pause silences nearly all: so each has one vote, and none shouts
    odds = np.clip(-clear + 2.0 * np.sqrt(np.minimum(clear * levels / noise, 1e12)), -3.0, 3.0)
    voters = clear > 4.0
    odds = 8.0 * np.where(voters, odds, 0.0).sum(axis=1) / np.maximum(voters.sum(axis=1), 1)
    present = _two_states(odds)
    heard = present[:, None] & (clear > CLEAR)
    if heard.sum() < HEARD_HALVES:
        return present, math.inf
    decibels = 10.0 * np.log10(levels / usual + 1e-9)
    known = [(np.subtract(*np.percentile(decibels[mask, line], [75, 25])) / 2.0, usual[line])
             for line, mask in enumerate(heard.T) if mask.sum() >= HEARD_HALVES]  # fmt: skip
    if not known:
        return present, math.inf
    spreads, powers = np.array(known).T
    # the loudest lines are known best, and are what is heard as hum or as a note
    return present, float(np.average(spreads, weights=powers))


def _edge(lines: Lines) -> str:
    """When the tone begins or ends, in words, if it does so where there is other sound; nothing if it does not."""
    at = np.flatnonzero(lines.present)
    if not len(at):
        return ""
    before, after = (~lines.faint[: at[0]]).sum(), (~lines.faint[at[-1] + 1 :]).sum()
    begins = f"begins at {0.5 * at[0]:.1f} s" if before >= EDGE_HALVES else ""
    ends = f"ends at {0.5 * (at[-1] + 1):.1f} s" if after >= EDGE_HALVES else ""
    return " and ".join(filter(None, (begins, ends)))


def _two_states(odds: Reals, switch: float = 30.0) -> NDArray[np.bool_]:
    """The likeliest course of presence (Viterbi): changing costs, and hum is there until it is shown not to be."""
    scores = np.array([0.0, -switch])
    back = np.zeros((len(odds), 2), dtype=bool)
    for step, gain in enumerate(np.clip(odds, -40.0, 40.0)):
        stay, change = scores, scores[::-1] - switch
        back[step] = change > stay
        scores = np.maximum(stay, change) + np.array([gain, 0.0])
    state = int(np.argmax(scores))
    present = np.zeros(len(odds), dtype=bool)
    for step in range(len(odds) - 1, -1, -1):
        present[step] = state == 0
        if back[step, state]:
            state = 1 - state
    return present


def _mask(present: NDArray[np.bool_], at: int, frames: int, rate: int) -> Reals:
    """1 where hum is, 0 where it pauses, with short ramps outside of it: float64 [frames] from frame `at`."""
    if present.all():
        return np.ones(frames)
    edges = np.flatnonzero(np.diff(np.concatenate([[present[0]], present])))
    times, values = [-1e9], [float(present[0])]
    for edge in edges:
        rising = bool(present[edge])
        second = 0.5 * edge
        times += [second - FADE_SECONDS, second] if rising else [second, second + FADE_SECONDS]
        values += [0.0, 1.0] if rising else [1.0, 0.0]
    return np.interp((at + np.arange(frames)) / rate, times, values)


def _places(present: NDArray[np.bool_], frames: int, rate: int) -> tuple[Place, ...]:
    """Where it is, if it is not everywhere."""
    if present.all():
        return ()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(int)))
    spans = [(round(0.5 * one * rate), min(frames, round(0.5 * other * rate))) for one, other in edges.reshape(-1, 2)]
    return tuple(Place(first, last) for first, last in spans if last > first)[:MOST_PLACES]
