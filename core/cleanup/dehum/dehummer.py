"""The step: hum is found, followed, told from notes, and taken out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.audio.formats import Block
from core.cleanup.cleaner import MOST_PLACES, Cleaner, Finding, Place
from core.cleanup.dehum.bank import Bank
from core.cleanup.dehum.comb import EXACT, LINE_DB, MAINS_HZ, Comb, Steady, comb_at, comb_near_mains, listen, why_none
from core.cleanup.dehum.lines import Lines, Tally
from core.cleanup.dehum.stretches import LOOKS_HZ, Reals, stretches
from core.cleanup.dehum.tracking import Track, course, offset_at
from core.errors import UnbakeError
from core.events import Operation, Progress
from core.session.cleaning import Dehum

LOWEST_HZ: Final = 10.0
"""Notches closer than that would run into each other."""
SHORTEST_SECONDS: Final = 3.0
STEADY_DB: Final = 3.0
"""Half of the time the level of hum is within so many dB."""
PLUCKED: Final = 0.3
"""Notes that are struck again and again beat so far about their mean level, root mean square, and hum does not."""
MANY: Final = 24
"""A comb of so many lines that keep their phase is told even where none of them can be heard clearly,"""
GRID: Final = 0.002
"""if it is as near to the mains as power grids keep it."""
ASTRAY: Final = 0.6
"""Whatever is off the mains may be a note: it is told, at this confidence, and not taken out unasked."""
EDGE_HALVES: Final = 2
"""Hum is there from the beginning to the end; what is missing there for so many half seconds of sound is a note."""
FADE_SECONDS: Final = 0.05
OVER_SECONDS: Final = 0.5
"""One stretch fades into the next."""
UNHEARD_DBFS: Final = -90.0


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
        steady = yield from listen(self.reader, asked)
        if steady is None:
            return _none("there is no sound")
        comb = comb_at(steady, asked) if asked else comb_near_mains(steady, steady.always)
        if comb is None:
            return _none(why_none(steady, asked))
        track = yield from self._follow(comb.freq_hz)
        lines = yield from self._lines(track)
        if asked:
            lines = self._as_asked(lines, steady, comb.freq_hz)
        return self._judged(comb, track, lines)

    def blocks(self) -> Iterator[Block]:
        """The file without its hum; where the hum pauses for long, the samples of the file."""
        assert self._hum is not None
        track, lines = self._hum
        rate, bank = self.info.sample_rate, Bank(self.info)
        over = round(OVER_SECONDS * rate)
        ramp = np.sin(0.5 * np.pi * (np.arange(over) + 0.5) / over) ** 2
        before = np.zeros((self.info.channels, over))
        for stretch in stretches(self.reader):
            own = slice(stretch.first - stretch.at, stretch.last - stretch.at)
            seconds = stretch.at / rate + bank.seconds
            mask = _mask(lines.present, stretch.at, stretch.block.shape[1], rate)
            inside = np.interp(bank.seconds, np.arange(len(mask)) / rate, mask)
            block, after = stretch.block[:, own], np.zeros_like(before)
            shared = min(over, block.shape[1]) if stretch.first else 0
            for channel, there in enumerate(lines.there):
                if not there.any() or not mask[own.start : own.stop + over].any():
                    continue
                heard = stretch.block[channel] * (mask > 0.0)
                hum = bank.lines_out(heard, np.flatnonzero(there) + 1, track, seconds, inside, self.step.method) * mask
                after[channel] = hum[own.stop : own.stop + over]
                hum = hum[own]
                # what two stretches know of the same moments differs a little
                hum[:shared] += (1.0 - ramp[:shared]) * (before[channel, :shared] - hum[:shared])
                block[channel] -= hum
            before = after
            yield block

    def _harmonics(self, freq_hz: float) -> int:
        top = min(self.step.up_to_hz, 0.48 * self.info.sample_rate - 4.0)
        return int(top / freq_hz)

    def _follow(self, freq_hz: float) -> Operation[Track]:
        """The frequency once a second, smooth where it is hard to hear."""
        bank, harmonics = Bank(self.info), max(1, self._harmonics(freq_hz))
        found: list[tuple[float, float]] = []
        for stretch in stretches(self.reader):
            first, last = (math.ceil(frame / self.info.sample_rate) for frame in (stretch.first, stretch.last))
            lines = np.stack([bank.down(row, np.arange(1, harmonics + 1), freq_hz) for row in stretch.block])
            start = stretch.at / self.info.sample_rate
            found += [offset_at(lines, round((second - start) * LOOKS_HZ)) for second in range(first, last)]
            yield Progress("following the hum", stretch.last, self.info.frames, self.info.seconds)
        beyond = max(0, math.ceil(self.info.seconds) + 2 - len(found))
        offsets, weights = np.array([*found, *[(found[-1][0], 0.0)] * beyond]).T
        freqs = freq_hz + course(offsets, weights, self.info.seconds)
        steps = 0.5 * (freqs[1:] + freqs[:-1])
        return Track(freqs, np.concatenate([[0.0], np.cumsum(steps)]))

    def _lines(self, track: Track) -> Operation[Lines]:
        """Which harmonics are there, how loud, and where they pause."""
        mean_hz = float(np.mean(track.freqs_hz))
        harmonics = max(1, self._harmonics(mean_hz))
        bank, numbers = Bank(self.info), np.arange(1, max(1, harmonics) + 1)
        tally = Tally(self.info.channels, harmonics, float(np.clip(self.info.seconds / 15.0, 1.0, 2.0)))
        for stretch in stretches(self.reader):
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


def _none(why: str) -> Finding:
    return Finding(type="dehum", found=False, confidence=0.0, detail=why)


def _edge(lines: Lines) -> str:
    """When the tone begins or ends, in words, if it does so where there is other sound; nothing if it does not."""
    at = np.flatnonzero(lines.present)
    if not len(at):
        return ""
    before, after = (~lines.faint[: at[0]]).sum(), (~lines.faint[at[-1] + 1 :]).sum()
    begins = f"begins at {0.5 * at[0]:.1f} s" if before >= EDGE_HALVES else ""
    ends = f"ends at {0.5 * (at[-1] + 1):.1f} s" if after >= EDGE_HALVES else ""
    return " and ".join(filter(None, (begins, ends)))


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
