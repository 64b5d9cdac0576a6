"""Two streams held against each other, window of time by window of time: all the figures of the phase lab in one pass.

Who reads the files, and what is made of the figures, is left to others: `null` for any two files, the render for its
proof. Nothing is kept of the sound but sums.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.measure.background import Background
from core.measure.bands import Bands
from core.measure.cross import Alignment, CrossSpectrum
from core.measure.figures import BandFigures, Comb, Figures, Level, Place, Programme, Window
from core.measure.levels import power_to_db
from core.measure.meters import LevelMeter, PeakMeter, ProgrammeMeter, dot, loudest
from core.measure.placement import ALIKE, NOT_FOUND, UNRELATED, Placement, trend
from core.measure.transfer import band_figures, comb_of

if TYPE_CHECKING:
    from core.audio.formats import Block

WINDOW_SECONDS: Final = 2.0
SEGMENT_AT_48K: Final = 8192
SEGMENTS_A_WINDOW: Final = 8
"""Enough where B is much like A; where it is not, every segment there is."""
CLEAR: Final = 0.999
WIDE_SAMPLES: Final = 1024.0
"""How far a window's delay is looked for when there is nothing near: an edit may have moved it."""
SURE: Final = 0.8
"""Correlation from which such a find is believed."""
QUIET: Final = 1e-6
"""Windows whose power is so much less than the loudest one's have no delay to speak of."""
NEAR_ZERO_DELAY: Final = 0.02  # samples; as good as none for gain and correlation


class Comparison:
    """A against B. `push` takes them a window of time at a time; a context manager, for the meters' threads.

    `placement` is where B lies against A, as far as it is known: the third block that is pushed is B moved there, by
    whole frames and by the drift, and what is found of it here is added to that. `frames` from `start` on will come,
    `window` at a time (None: WINDOW_SECONDS of them), which is the most that a segment of the spectra can hold;
    `low` and `high` are the frames of A between which the third block holds B. With `quick` only identity, peak and rms
    are measured, and gain and likeness as the files lie. `fine` is how the true peak of B is looked for.
    """

    def __init__(
        self,
        sample_rate: int,
        speakers: tuple[str, ...],
        frames: int,
        *,
        window: int | None = None,
        placement: Placement = NOT_FOUND,
        start: int = 0,
        low: int = 0,
        high: int | None = None,
        quick: bool = False,
        fine: bool = False,
    ) -> None:
        self._rate = sample_rate
        self._frames = frames
        self._placement = placement
        self._span = low, start + frames if high is None else high
        self._quick = quick
        self._start = self._at = start
        self._differing = 0
        self._first: int | None = None
        self._peak = PeakMeter()
        self._worst: Place | None = None
        self._aa = self._bb = self._ab = 0.0
        """Energies and product of what both hold, B moved."""
        self._energies = [0.0, 0.0]
        self._samples = 0
        self._windows: list[Window] = []
        self._delays: list[tuple[float, Alignment, float]] = []
        self._residual = Background(_ResidualMeter(sample_rate, speakers))
        self._programme_a = Background(ProgrammeMeter(sample_rate, speakers))
        # As long as B is A, so is what its meter knows.
        self._programme_b = Background(ProgrammeMeter(sample_rate, speakers, fine=True)) if fine else None
        longest = round(WINDOW_SECONDS * sample_rate) if window is None else window
        size = min(1 << round(math.log2(SEGMENT_AT_48K * sample_rate / 48_000)), max(16, min(frames, longest)))
        self._cross = CrossSpectrum(1 << (size.bit_length() - 1))

    @property
    def identical(self) -> bool:
        """Whether every sample so far is the same."""
        return self._first is None

    def push(self, a: Block, b: Block, moved: Block | None = None) -> Block | None:
        """Takes a window of A and B, float64 of one shape, finite, and of B moved to where A is (None: B itself).

        Gives A - B, or None where that is nothing. Keeps a reference to what it was given until it is measured.
        """
        start, frames = self._at, a.shape[1]
        self._at += frames
        same = _same(a, b)
        difference = None if same else a - b
        if difference is None:
            self._peak.push_silence(a.size)
            peak = rms = None
        else:
            peak, rms = self._differ(difference, start)
        aa = dot(a, a)
        self._energies[0] += aa
        self._energies[1] += aa if same else dot(b, b)
        self._samples += a.size
        if self._quick:
            self._add_sums(a, a if same else b)
            return difference
        self._programmes(a, b, difference)
        if moved is None:
            moved = a if same else b
        delay = self._likeness(a, moved, start)
        self._windows.append(Window(start / self._rate, peak, rms, delay))
        return difference

    def figures(self, window_seconds: float = WINDOW_SECONDS) -> Figures:
        """All figures of what was pushed. Ends the comparison."""
        frames = self._at - self._start
        level = Level(self._peak.peak_dbfs, self._peak.rms_dbfs, None)
        bands: list[BandFigures] = []
        comb = Comb(found=False)
        a, b = Programme(), Programme()
        placed, left, spread = self._placed()
        if not self._quick:
            residual = self._residual.done()
            level = residual.meter.level() if not self.identical else Level(None, None, None)
            a = self._programme_a.done().result()
            b = a if self._programme_b is None else self._programme_b.done().result()
            bands = band_figures(
                residual.bands.result(frames), self._cross, self._rate, self.powers,
                delay_samples=left, polarity=placed.polarity,
            )  # fmt: skip
            if not self.identical and abs(placed.correlation) >= UNRELATED:
                comb = comb_of(self._cross, self._rate)
        depth = None
        if level.rms_dbfs is not None and (whole := power_to_db(self.powers[0])) is not None:
            depth = level.rms_dbfs - whole
        return Figures(
            identical=self.identical,
            differing_samples=self._differing,
            first_difference=self._first,
            residual=level,
            depth_db=depth,
            worst=self._worst,
            bands=bands,
            windows=self._windows,
            window_seconds=window_seconds,
            # A millionth of a sample is beyond any estimate; adding 0.0 makes -0.0 plain.
            delay_samples=round(placed.delay_samples, 6) + 0.0,
            drift_ppm=round(placed.drift_ppm, 6) + 0.0,
            delay_spread_samples=spread,
            polarity=placed.polarity,
            gain_db=placed.gain_db,
            correlation=placed.correlation,
            comb=comb,
            a=a,
            b=b,
        )

    @property
    def cross(self) -> CrossSpectrum:
        """The spectra of A and of B moved to where A is."""
        return self._cross

    @property
    def powers(self) -> tuple[float, float]:
        """Mean squares of A and B over all frames and channels so far."""
        one, other = (energy / self._samples if self._samples else 0.0 for energy in self._energies)
        return one, other

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *_: object) -> None:
        for meter in (self._residual, self._programme_a, self._programme_b):
            if meter is not None:
                meter.close()

    def _differ(self, difference: Block, start: int) -> tuple[float | None, float | None]:
        """Counts and places a window's residual; its peak and rms in dBFS."""
        self._differing += int(np.count_nonzero(difference))
        if self._first is None:
            self._first = start + int(np.flatnonzero(difference.any(axis=0))[0])
        here = PeakMeter()
        here.push(difference)
        if here.peak > self._peak.peak:
            self._worst = loudest(difference, start, self._rate)
        self._peak.add(here)
        return here.peak_dbfs, here.rms_dbfs

    def _programmes(self, a: Block, b: Block, difference: Block | None) -> None:
        """Hands the window to the meters, which run in threads of their own."""
        if difference is not None and self._programme_b is None:
            self._programme_b = Background(copy.deepcopy(self._programme_a.done()))
        self._programme_a.push(a)
        if self._programme_b is not None:
            self._programme_b.push(b)
        self._residual.push(np.zeros((0, a.shape[1])) if difference is None else difference)

    def _likeness(self, a: Block, b: Block, start: int) -> float | None:
        """Adds a window to the sums of what both files hold; by how much B is late in it, where that can be told."""
        first, last = (max(0, min(a.shape[1], edge - start)) for edge in self._span)
        if last - first < 1:
            return None
        if first or last < a.shape[1]:
            a, b = np.ascontiguousarray(a[:, first:last]), np.ascontiguousarray(b[:, first:last])
        same = b is a or np.array_equal(a, b)
        aa = self._add_sums(a, a if same else b)
        middle = start + (first + last) / 2.0
        if a.shape[1] < self._cross.size and self._frames >= self._cross.size:
            return None
        if same:
            self._cross.add(self._spectra(a, a, SEGMENTS_A_WINDOW))
            if aa == 0.0:
                return None
            self._delays.append((middle, Alignment(0.0, 1, 0.0, 1.0), aa))
            return self._placement.delay_at(middle)
        here = self._spectra(a, b, SEGMENTS_A_WINDOW)
        found = here.alignment()
        if found is None or abs(found.correlation) < CLEAR:
            here = self._spectra(a, b)
            found = here.alignment()
        self._cross.add(here)
        if found is None or abs(found.correlation) < ALIKE:
            found = here.alignment(min(WIDE_SAMPLES, here.size / 4.0))
            if found is None or abs(found.correlation) < SURE:
                return None
        self._delays.append((middle, found, aa))
        return self._placement.delay_at(middle) + found.delay_samples

    def _spectra(self, a: Block, b: Block, most: int | None = None) -> CrossSpectrum:
        """Those of a window's half-overlapped segments, or of `most` of them, spread over it."""
        found = CrossSpectrum(self._cross.size)
        room = max(0, a.shape[1] - found.size)
        count = 1 + 2 * room // found.size
        found.push(a, b, np.linspace(0, room, count if most is None else min(most, count)).astype(np.int64))
        return found

    def _add_sums(self, a: Block, b: Block) -> float:
        """Adds a window to energies and product; its energy of A."""
        aa = dot(a, a)
        self._aa += aa
        self._bb += aa if b is a else dot(b, b)
        self._ab += aa if b is a else dot(a, b)
        return aa

    def _placed(self) -> tuple[Placement, float, float | None]:
        """Where B lies, what of its delay is in the spectra, and how far the windows' delays are apart."""
        placement = self._placement
        if min(self._aa, self._bb) <= 0.0:
            return NOT_FOUND, 0.0, None
        whole = self._cross.alignment()
        zero_lag = max(-1.0, min(1.0, self._ab / math.sqrt(self._aa * self._bb)))
        if self.identical:
            return Placement(0.0, 0.0, 1, 0.0, 1.0), 0.0, 0.0
        if whole is None or abs(whole.correlation) < UNRELATED:
            gain_db = 10.0 * math.log10(self._bb / self._aa)
            if abs(zero_lag) < UNRELATED:
                # Nothing in common: no delay, polarity or gain is claimed but that of the levels.
                return Placement(0.0, 0.0, 1, gain_db, zero_lag), 0.0, None
            gain_db = 20.0 * math.log10(abs(self._ab) / self._aa)
            return (
                msgspec.structs.replace(
                    placement, polarity=1 if zero_lag > 0 else -1, gain_db=gain_db, correlation=zero_lag
                ),
                0.0,
                None,
            )
        late, slope, spread = self._trend(whole)
        drift = placement.drift_ppm + slope * (1e6 + placement.drift_ppm)
        delay = placement.delay_samples + late
        if abs(whole.delay_samples) <= NEAR_ZERO_DELAY and slope == 0.0 and self._ab != 0.0:
            polarity, gain = 1 if self._ab > 0.0 else -1, 20.0 * math.log10(abs(self._ab) / self._aa)
            return Placement(delay, drift, polarity, gain, zero_lag), whole.delay_samples, spread
        return Placement(delay, drift, whole.polarity, whole.gain_db, whole.correlation), whole.delay_samples, spread

    def _trend(self, whole: Alignment) -> tuple[float, float, float | None]:
        """What is left of the delay at the first frame, its slope, and the spread of what that does not explain."""
        loudest = max((power for *_, power in self._delays), default=0.0)
        heard = [(at, found) for at, found, power in self._delays if power >= QUIET * loudest]
        if not heard:
            return whole.delay_samples, 0.0, None
        frames = np.array([at for at, _ in heard])
        delays = np.array([found.delay_samples for _, found in heard])
        offset, slope = trend(frames, delays, float(self._frames))
        spread = float(np.ptp(delays - slope * frames))
        return (offset if slope else whole.delay_samples), slope, spread


class _ResidualMeter:
    """Level and third octaves of the residual, of which silence comes as blocks without channels."""

    def __init__(self, sample_rate: int, speakers: tuple[str, ...]) -> None:
        self.meter = LevelMeter(sample_rate, speakers)
        self.bands = Bands(sample_rate, len(speakers), 3)

    def push(self, block: Block) -> None:
        if not len(block):
            self.meter.push_silence(block.shape[1])
            self.bands.push_silence(block.shape[1])
            return
        self.meter.push(block)
        self.bands.push(block)


def _same(a: Block, b: Block) -> bool:
    # Files that differ mostly differ at once: the first look saves the second.
    return a is b or (np.array_equal(a[:, :512], b[:, :512]) and np.array_equal(a, b))
