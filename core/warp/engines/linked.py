"""The linked stretch: a phase vocoder that is one linear operator for every sound that goes through it.

Where it reads and how far it turns the phase of each bin comes from the map and the guide alone, so that sounds that
add up to another still do when they are warped, channels keep the phase they have against each other, and what is not
stretched is the source, sample for sample.

Phases go on as in J. Laroche & M. Dolson, "Improved phase vocoder time-scale modification of audio", IEEE Trans. Speech
Audio Process. 7(3), 1999: bins around a peak are locked to it. The advance of a peak is measured between two frames of
the guide that are one hop apart, in place of a phase unwrapped: J. Bonada, "Automatic technique in frequency domain for
near-lossless time-scale modification of audio", ICMC 2000. Before an attack those bins that it raises are brought home,
to the phase they have in the source, so that the attack comes out as it was (A. Roebel, "A new approach to transient
processing in the phase vocoder", DAFx 2003, resets them); steady partials go through it undisturbed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy import fft, ndimage, signal

from core.warp.engines.course import Course, Held, no_attacks
from core.warp.engines.voicing import LINKED, Voicing
from core.warp.engines.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.session.timemap import TimeMap
    from core.warp.engines.course import Attacks, Run
    from core.warp.engines.sound import Sound

OVERLAP: Final = 6
"""Frames that every sample is part of."""
BLOCK: Final = 1 << 14
"""Frames of target that are made at a time."""
SPLICE_MS: Final = 5.0
"""What is copied and what is stretched, which are alike there, go over into each other within this."""
STEADY: Final = 2.5
"""A partial whose power changes by less than this factor in an attack is none of its."""
PROMINENT: Final = 4.0
"""A partial's power over the mean around it."""
WIDE_HZ: Final = 150.0
"""How far around, on either side."""
HOMEWARD: Final = 9
"""Frames before a hold over which what the attack raises is brought home."""
UNUSED: Final = 3e-6
"""Bins that a band holds less of are left to the others."""
KAISER: Final[Any] = ("kaiser", 11.0)
"""Shape of the filters that part the bands: 110 dB down outside."""
WINDOW: Final = ("kaiser", 7.5)
"""Of analysis and synthesis: side lobes at -56 dB keep the partials of a chord apart."""
THREADS: Final = 2
AT_ONCE: Final = 1
"""Channels that a thread stretches together."""


class LinkedWarp:
    """A `Warper` of sounds that belong together.

    `guide` is read once, beside `sounds`, all of `frames` frames at `sample_rate`. `attacks` are the guide's.
    """

    def __init__(
        self,
        guide: Sound,
        sounds: Sequence[Sound],
        time_map: TimeMap,
        frames: int,
        sample_rate: int,
        attacks: Attacks,
        voicing: Voicing = LINKED,
    ) -> None:
        hold = round(voicing.hold_ms * sample_rate / 1000.0)
        at, strengths = attacks if voicing.attacks else no_attacks()
        self._course = Course(time_map, frames, sample_rate, at, strengths, hold)
        self.frames = self._course.frames
        self._splice = max(1, round(SPLICE_MS * sample_rate / 1000.0))
        self._guide = Window([guide], frames)
        self._sounds = Window(sounds, frames)
        # what threads take on at a time; little enough to stay in their caches
        self._parts = [slice(first, first + AT_ONCE) for first in range(0, self._sounds.channels, AT_ONCE)]
        self._bands = _bands(voicing, sample_rate, self._course, self._sounds.channels)
        self._slack = max(band.size for band in self._bands)
        self._pool = ThreadPoolExecutor(THREADS)
        self._start = 0
        self._over = np.zeros((self._sounds.channels, 0))

    def read(self, frames: int) -> list[Block]:
        """The next `frames` frames of every sound, float64 [channels, frames]; silent after the end."""
        blocks = [self._over]
        ready = self._over.shape[1]
        while ready < frames:
            blocks.append(self._next())
            ready += BLOCK
        whole = np.concatenate(blocks, axis=1)
        self._over = whole[:, frames:]
        return self._sounds.split(whole[:, :frames])

    def _next(self) -> Block:
        """The next block of target, all channels."""
        start = self._start
        end = self._start = start + BLOCK
        if start >= self.frames:
            return np.zeros((self._sounds.channels, BLOCK))
        near = self._course.runs_within(start - self._splice, end + self._splice)
        copies = [run for run in (run.cut(start, end) for run in near) if run.end > run.start]
        plans = [band.plan(end) for band in self._bands]
        guide, heard = self._excerpts(copies, [plan for plan in plans if len(plan.targets)])
        jobs = []
        for band, plan in zip(self._bands, plans, strict=True):
            if len(plan.targets):
                turns = band.turns(plan, guide)
                jobs += [self._pool.submit(band.add, plan, turns, heard, part, start) for part in self._parts]
        for job in jobs:
            job.result()
        block = np.sum([band.give() for band in self._bands], axis=0)
        self._splice_in(block, heard, near, start)
        for run in copies:
            block[:, run.start - start : run.end - start] = heard.piece(run.start + run.shift, run.end + run.shift)
        block[:, max(0, self.frames - start) :] = 0.0
        return block

    def _excerpts(self, copies: Sequence[Run], plans: Sequence[_Plan]) -> tuple[_Excerpt, _Excerpt]:
        """What a block needs of the guide and of the sounds; what no later one will need is let go of."""
        lows = [run.start + run.shift for run in copies] + [plan.low for plan in plans]
        highs = [run.end + run.shift for run in copies] + [plan.high for plan in plans]
        low, high = min(lows) - self._slack - self._splice, max(highs) + self._splice
        found = _Excerpt(low, self._guide.piece(low, high)), _Excerpt(low, self._sounds.piece(low, high))
        self._guide.forget(low)
        self._sounds.forget(low)
        return found

    def _splice_in(self, block: Block, heard: _Excerpt, runs: Sequence[Run], start: int) -> None:
        """Fades from what is stretched on either side of a run into what is copied."""
        for run in runs:
            for edge, rising, room in ((run.start, True, run.before), (run.end, False, run.after)):
                splice = min(self._splice, room // 2)
                first, last = (edge - splice, edge) if rising else (edge, edge + splice)
                low, high = max(first, start, 0), min(last, start + block.shape[1], self.frames)
                if low >= high:
                    continue
                share = (np.arange(low, high) - first + 0.5) / splice
                weight = share if rising else 1.0 - share
                piece = heard.piece(low + run.shift, high + run.shift)
                block[:, low - start : high - start] += weight * (piece - block[:, low - start : high - start])


class _Excerpt(NamedTuple):
    """Frames of the source from `start` on, float64 [channels, frames]."""

    start: int
    block: Block

    def piece(self, low: int, high: int) -> Block:
        """Source frames `low` to `high`, a view."""
        return self.block[:, low - self.start : high - self.start]

    def windowed(self, starts: NDArray[np.int64], window: NDArray[np.float64]) -> Block:
        """Frames from every start on, under a window, float64 [channels, starts, size]."""
        found = np.empty((len(self.block), len(starts), len(window)))
        for number, start in enumerate((starts - self.start).tolist()):
            np.multiply(self.block[:, start : start + len(window)], window, out=found[:, number])
        return found


class _Plan(NamedTuple):
    """Frames that a band makes next: target and source frame at the middle of each, rising.

    `low` and `high`: what of the source is needed for them.
    """

    targets: NDArray[np.int64]
    sources: NDArray[np.int64]
    low: int
    high: int


class _Band:
    """One range of frequencies with a window of its own: frames of `size`, a hop of `hop`, bins `bins`."""

    def __init__(
        self, size: int, mask: NDArray[np.float64], rate: int, course: Course, channels: int, *, locked: bool
    ) -> None:
        self.size = size
        self.hop = size // OVERLAP
        used = np.flatnonzero(np.abs(mask) > UNUSED)
        self._bins = slice(int(used[0]), int(used[-1]) + 1)
        self._mask = mask[self._bins]
        self._window = _window(size)
        self._closing = _closing(self._window, self.hop)
        self._turn_per_frame = 2.0 * np.pi / size * np.arange(self._bins.start, self._bins.stop)
        self._spread = max(1, round(WIDE_HZ * size / rate))
        self._course = course
        self._locked = locked
        self._next = -(size // 2) // self.hop
        self._last: tuple[int, int] | None = None
        """Target and source frame of the frame before."""
        self._spectrum: NDArray[np.complex128] | None = None
        """The guide's in the last frame that was made."""
        self._turned = np.ones(len(self._mask), complex)
        self._raised: tuple[Held | None, NDArray[np.bool_]] = None, np.zeros(len(self._mask), bool)
        self._sums = np.zeros((channels, 2 * size + BLOCK))

    def plan(self, end: int) -> _Plan:
        """The frames that sound before target frame `end` and were not made yet, those over copied sound left out."""
        last = -(-(end + self.size // 2) // self.hop)
        targets = np.arange(self._next, last, dtype=np.int64) * self.hop
        self._next = last
        half = self.size // 2
        targets = targets[self._course.stretched(targets - half, targets + half)]
        sources = self._course.source(targets)
        if not len(targets):
            return _Plan(targets, sources, 0, 0)
        ahead = int(targets[-1]) + (HOMEWARD + 1) * self.hop
        held = self._course.held_within(int(targets[0]), ahead)
        high = max([int(sources[-1]), *(each.source + half for each in held)]) + half
        low = min([int(sources[0]) - self.hop, *(each.source - half for each in held)]) - half
        return _Plan(targets, sources, low, high)

    def analyse(self, heard: _Excerpt, at: NDArray[np.int64]) -> NDArray[np.complex128]:
        """Spectra [channels, frames, bins used] of a sound around source frames."""
        spectra: Any = fft.rfft(heard.windowed(at - self.size // 2, self._window), axis=-1, overwrite_x=True)
        return spectra[..., self._bins]

    def turns(self, plan: _Plan, guide: _Excerpt) -> NDArray[np.complex128]:
        """By what every bin of every frame of a plan is turned and weighed, complex [frames, bins used]."""
        here = self.analyse(guide, plan.sources)
        before = self.analyse(guide, plan.sources - self.hop)
        last = here[:, :1] if self._spectrum is None else self._spectrum
        lasts = np.concatenate([last, here[:, :-1]], axis=1)
        advances = (lasts * before.conj()).sum(axis=0)
        regions = _regions((here.real**2 + here.imag**2).sum(axis=0), locked=self._locked)
        found = np.empty((len(plan.targets), len(self._mask)), complex)
        for number, (target, source) in enumerate(zip(plan.targets.tolist(), plan.sources.tolist(), strict=True)):
            if self._last is None or target - self._last[0] != self.hop:
                self._turned = np.ones_like(self._turned)
            elif source - self._last[1] != self.hop:
                self._turned = self._go_on(advances[number], *regions[number], self.hop - (source - self._last[1]))
            self._bring_home(target, guide)
            self._last = target, source
            found[number] = self._turned
        self._spectrum = here[:, -1:]
        found *= self._mask
        return found

    def _go_on(
        self, advance: NDArray[np.complex128], peaks: NDArray[np.int64], owner: NDArray[np.int64], late: int
    ) -> NDArray[np.complex128]:
        """The turns of a frame from those of the one before, and by how much each bin went on meanwhile.

        Every bin is turned as its peak, `peaks[owner]`, by what that and its neighbours say. Where the guide is silent
        a bin goes on as a tone in its middle would, over the `late` frames it is behind.
        """
        turned = np.zeros(len(advance) + 2, complex)
        np.multiply(self._turned, advance, out=turned[1:-1])
        at_peaks = turned[peaks] + turned[peaks + 1] + turned[peaks + 2] if self._locked else turned[1:-1]
        size = np.abs(at_peaks)
        if size.all():
            return np.asarray(at_peaks / size, complex)[owner]
        size[size == 0.0] = 1.0
        alone = self._turned[peaks] * np.exp(1j * late * self._turn_per_frame[peaks])
        return np.where(at_peaks == 0.0, alone, at_peaks / size)[owner]

    def _bring_home(self, target: int, guide: _Excerpt) -> None:
        """Turns what the next attack raises back to where it is in the source, over the last frames before its hold."""
        held = self._course.held_from(target)
        if held is None:
            return
        away = max(0, -(-(held.start - target) // self.hop))
        if away > HOMEWARD:
            return
        if self._raised[0] is not held:
            self._raised = held, self._rising(held, guide)
        raised = self._raised[1]
        angle = np.angle(self._turned[raised]) * (away / (away + 1.0))
        self._turned = self._turned.copy()
        self._turned[raised] = np.exp(1j * angle)

    def _rising(self, held: Held, guide: _Excerpt) -> NDArray[np.bool_]:
        """Which bins an attack raises."""
        if held.whole:
            return np.ones(len(self._mask), bool)
        at = np.asarray([held.source - self.size // 2, held.source + self.size // 4], np.int64)
        spectra = self.analyse(guide, at)
        powers = (spectra.real**2 + spectra.imag**2).sum(axis=0)
        before, after = ndimage.maximum_filter1d(powers, 3, axis=-1)
        around = ndimage.uniform_filter1d(powers, 2 * self._spread + 1, axis=-1, mode="nearest")
        steady = (after < STEADY * before) & (before < STEADY * after)
        return ~(steady & (np.minimum(before, after) > PROMINENT * around.min(axis=0)))

    def add(self, plan: _Plan, turns: NDArray[np.complex128], heard: _Excerpt, part: slice, start: int) -> None:
        """Adds the frames of some channels to what was made of them, which begins at target frame `start` - `size`."""
        spectra = self.analyse(_Excerpt(heard.start, heard.block[part]), plan.sources)
        whole = np.zeros((*spectra.shape[:2], self.size // 2 + 1), complex)
        np.multiply(spectra, turns, out=whole[..., self._bins])
        made = np.asarray(fft.irfft(whole, self.size, axis=-1, overwrite_x=True))
        made *= self._closing
        sums = self._sums[part]
        for frame, target in enumerate((plan.targets - self.size // 2 - start + self.size).tolist()):
            sums[:, target : target + self.size] += made[:, frame]

    def give(self) -> Block:
        """The next block of target."""
        given = self._sums[:, self.size : self.size + BLOCK].copy()
        self._sums[:, :-BLOCK] = self._sums[:, BLOCK:]
        self._sums[:, -BLOCK:] = 0.0
        return given


def _window(size: int) -> NDArray[np.float64]:
    return np.asarray(signal.get_window(WINDOW, size), np.float64)


def _closing(window: NDArray[np.float64], hop: int) -> NDArray[np.float64]:
    """The synthesis window with which frames that were cut out by `window` add up to what they came from."""
    places = np.arange(len(window)) % hop
    return window / np.bincount(places, window**2)[places]


def _regions(powers: NDArray[np.float64], *, locked: bool) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For frames of powers [frames, bins]: their peaks, and for every bin the place of the peak that it belongs to.

    Peaks are louder than the two bins on either side; between two of them a region ends half-way. Without locking, or
    in a silent frame, every bin is its own.
    """
    frames, bins = powers.shape
    alone = np.arange(bins), np.arange(bins)
    if not locked:
        return [alone] * frames
    wide = np.pad(powers, ((0, 0), (2, 2)), constant_values=-1.0)
    here = wide[:, 2:-2]
    top = (
        (here > wide[:, 1:-3]) & (here >= wide[:, 3:-1]) & (here > wide[:, :-4]) & (here >= wide[:, 4:]) & (here > 0.0)
    )
    found = []
    for row in top:
        peaks = np.flatnonzero(row)
        if not len(peaks):
            found.append(alone)
            continue
        starts = np.zeros(bins, np.int64)
        starts[(peaks[:-1] + peaks[1:] + 1) // 2] = 1
        found.append((peaks, starts.cumsum()))
    return found


def _window_frames(window_ms: float, sample_rate: int) -> int:
    """The power of two nearest to a window's length, and not below 64."""
    return 1 << max(6, round(math.log2(window_ms * sample_rate / 1000.0)))


def _bands(voicing: Voicing, sample_rate: int, course: Course, channels: int) -> list[_Band]:
    """The bands of a voicing that this rate has anything of.

    They are cut out by linear-phase low-passes whose differences add up to 1. Windowed frames shorten a filter's
    response by their own autocorrelation; that is taken out of it beforehand, so that what is not turned adds up to the
    source.
    """
    sizes = [_window_frames(ms, sample_rate) for ms in voicing.windows_ms]
    reach = min(sizes) // 4
    lows: list[NDArray[np.float64]] = [np.zeros(2 * reach + 1)]
    for crossover_hz in voicing.crossovers_hz:
        share = min(2.0 * crossover_hz / sample_rate, 1.0)
        whole = np.zeros(2 * reach + 1)
        whole[reach] = 1.0
        lows.append(
            whole if share >= 1.0 else np.asarray(signal.firwin(2 * reach + 1, share, window=KAISER), np.float64)
        )
    lows.append(np.zeros(2 * reach + 1))
    lows[-1][reach] = 1.0
    bands = []
    for place, size in enumerate(sizes):
        response = lows[place + 1] - lows[place]
        spectrum = np.fft.rfft(_window(size), 2 * size)
        alike = np.fft.irfft(np.abs(spectrum) ** 2)[: reach + 1]
        alike = alike / alike[0]
        circle = np.zeros(size)
        circle[: reach + 1] = response[reach:] / alike
        circle[-reach:] = response[:reach] / alike[:0:-1]
        mask = np.fft.rfft(circle).real
        if np.abs(mask).max() > UNUSED:
            bands.append(_Band(size, mask, sample_rate, course, channels, locked=voicing.locked))
    return bands
