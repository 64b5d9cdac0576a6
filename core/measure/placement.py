"""Where one file lies against another, whatever their rates: head offset, clock drift, polarity and gain.

A few excerpts are read from anywhere in the two files, so that this takes as long for two hours as for ten minutes.
What was found can be applied with `Placed`, which reads B as if it lay on A. The estimate between two blocks of samples
is `align`'s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import soxr

from core.audio.formats import BLOCK_FRAMES
from core.audio.rates import frames_at
from core.events import Operation, Progress
from core.measure.align import SHIFT_TAPS, Alignment, estimate, fractional, whole_delay
from core.measure.levels import to_amplitude
from core.measure.meters import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.audio.read import AudioReader
    from core.measure.figures import Figures

MAX_OFFSET_SECONDS: Final = 30.0
MAX_DRIFT_PPM: Final = 1000.0
COARSE_RATE: Final = 12_000
"""In Hz: head offsets are first looked for at no more than this."""
ANCHOR_SECONDS: Final = 10.0
ANCHORS: Final = 3
LOOKS: Final = 16
"""Places at which A is tried for an anchor: the loudest of them is one."""
POINT_SECONDS: Final = 1.0
POINTS: Final = 16
"""Places at which the delay is measured again to find the drift."""
MOST_LOOKS: Final = 3
ALIKE: Final = 0.5
"""Correlation from which a delay is believed; of what is less alike, most delays must agree."""
AGREED_FRAMES: Final = 1.0
SAME: Final = 0.999
"""Correlation from which no other place can be a better one."""
CLEARLY: Final = 0.02
"""By how much more alike another place than the one at which B lies has to be."""
PROBES: Final = 6
NO_BETTER: Final = 0.9
"""Correlation from which it is not worth looking through all of a long file for a better place."""
UNRELATED: Final = 0.05
"""Correlation under which two files have nothing in common, so that no delay or polarity is claimed."""
SURE_PPM: Final = 20.0
"""How far a drift may be off that three places agree on."""
FARTHEST_OFF: Final = 0.01
"""In samples: delays this near to a line are always among those that it is drawn through."""
NO_DELAY: Final = 1e-5
"""In samples; limits a null to about -107 dB, less than the interpolator's own edges cost."""
NO_DRIFT_FRAMES: Final = 0.02
"""Over the whole file; less is within the estimate's own error."""
RUN_UP_FRAMES: Final = 8192


class Placement(msgspec.Struct, frozen=True):
    """How B lies against A: the moment of A's frame n is B's frame n * (1 + drift_ppm / 1e6) + delay_samples.

    Frames are counted at A's rate. Positive delay: B is later, at the start of A. Positive drift: B's clock ran fast,
    so that it has more frames for the same music. Positive gain: B is louder. `correlation` is that of an excerpt with
    delay and drift taken out, with the sign of the polarity; under UNRELATED all the others say nothing (0, 0, 1, 0).
    """

    delay_samples: float = 0.0
    drift_ppm: float = 0.0
    polarity: int = 1
    gain_db: float = 0.0
    correlation: float = 0.0

    def delay_at(self, frame: float) -> float:
        """By how many frames B is late at a frame of A."""
        return self.delay_samples + self.drift_ppm * 1e-6 * frame


NOT_FOUND: Final = Placement()


def placement_of(figures: Figures) -> Placement:
    """Where B lies, as the figures of the two say it."""
    return Placement(figures.delay_samples, figures.drift_ppm, figures.polarity, figures.gain_db, figures.correlation)


class Placed:
    """B as it lies on A: at A's rate and channels, from frame `start` of A on, silent where B has nothing.

    Rate and drift are converted in one step (soxr, VHQ), a delay by part of a frame goes through `align.fractional`;
    without either the samples are the file's own. `level` takes gain and polarity out, too. A mono B is heard on every
    channel. The reader belongs to whoever opened it, and must not be used by others meanwhile.
    """

    def __init__(
        self,
        reader: AudioReader,
        sample_rate: int,
        channels: int,
        placement: Placement = NOT_FOUND,
        *,
        start: int = 0,
        level: bool = False,
    ) -> None:
        self._reader = reader
        self._channels = channels
        self._scale = placement.polarity / to_amplitude(placement.gain_db) if level else 1.0
        step = (1.0 + placement.drift_ppm * 1e-6) * reader.info.sample_rate / sample_rate
        delay = placement.delay_at(start)
        if abs(delay - round(delay)) <= NO_DELAY and placement.drift_ppm == 0.0:
            delay = float(round(delay))
        wanted = (start + delay) * reader.info.sample_rate / sample_rate
        converted = step != 1.0
        run_up = RUN_UP_FRAMES if converted else 0
        ahead = SHIFT_TAPS * math.ceil(step)
        self._at = math.floor(wanted) - run_up - ahead
        """The next native frame that is read, perhaps before the file."""
        skipped = (wanted - self._at) / step
        whole = math.floor(skipped + 1e-9)
        self._fraction = skipped - whole
        if self._fraction < NO_DELAY:
            self._fraction = 0.0
        self._stream = (
            soxr.ResampleStream(
                reader.info.sample_rate * (1.0 + placement.drift_ppm * 1e-6), sample_rate, channels, "float64", "VHQ"
            )
            if converted
            else None
        )
        self._held = np.zeros((channels, 0))
        # A frame and a fraction earlier: what follows delays by what is missing to the next whole frame.
        self._skip(whole - (SHIFT_TAPS if self._fraction else 0))

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames]. UnbakeError as the reader raises it."""
        margin = SHIFT_TAPS if self._fraction else 0
        self._fill(frames + 2 * margin)
        wide = self._held[:, : frames + 2 * margin]
        block = fractional(wide, -self._fraction) if margin else wide
        self._held = self._held[:, frames:]
        return np.ascontiguousarray(block if self._scale == 1.0 else block * self._scale)

    def _skip(self, frames: int) -> None:
        while frames > 0:
            taken = min(frames, BLOCK_FRAMES)
            self._fill(taken)
            self._held = self._held[:, taken:]
            frames -= taken

    def _fill(self, frames: int) -> None:
        parts, have = [self._held], self._held.shape[1]
        while have < frames:
            block = self._native(max(BLOCK_FRAMES // 4, frames - have))
            if self._stream is not None:
                block = self._stream.resample_chunk(np.ascontiguousarray(block.T)).T
            parts.append(block)
            have += block.shape[1]
        if len(parts) > 1:
            self._held = np.concatenate(parts, axis=1)

    def _native(self, frames: int) -> Block:
        """Frames of the file as it is, with silence before and after it."""
        block = read_around(self._reader, self._at, frames)
        self._at += frames
        return block if len(block) == self._channels else np.repeat(block, self._channels, axis=0)


def read_around(reader: AudioReader, first: int, frames: int) -> Block:
    """`frames` frames from `first` on, which may lie before the file; silence where it has none."""
    last = min(first + frames, reader.info.frames)
    at = max(0, first)
    if at >= last:
        return np.zeros((reader.info.channels, frames))
    reader.seek(at)
    block = reader.read(last - at)
    if block.shape[1] == frames:
        return block
    return np.pad(block, ((0, 0), (at - first, frames - (at - first) - block.shape[1])))


def locate(a: AudioReader, b: AudioReader, *, max_offset_seconds: float = MAX_OFFSET_SECONDS) -> Operation[Placement]:
    """Where B lies against A, from excerpts of both. NOT_FOUND where they have nothing in common, or one is silent.

    Offsets are looked for up to `max_offset_seconds`, beyond that only as far as one file lies inside the other; drift
    up to MAX_DRIFT_PPM. The readers are left anywhere. NaN and infinite samples count as silence. A loop or a tone fits
    wherever it repeats: the smallest delay is given.
    """
    search = _Search(a, b)
    yield Progress("looking for the offset", 0, 1)
    found = None
    if search.frames_b < search.frames:
        # What is in the shorter one is in the longer one, too, but not the other way round.
        found = _turned(search, (yield from _Search(b, a).anchor(max_offset_seconds)))
    found = found or (yield from search.anchor(max_offset_seconds))
    return NOT_FOUND if found is None else (yield from _followed(search, *found))


class _Search:
    """Two readers of which excerpts are held against each other, at the rate of the first."""

    def __init__(self, a: AudioReader, b: AudioReader) -> None:
        self.a, self.b = a, b
        self.rate = a.info.sample_rate
        self.channels = max(a.info.channels, b.info.channels)
        self.frames = a.info.frames
        self.frames_b = frames_at(b.info.frames, b.info.sample_rate, self.rate)

    def anchor(self, max_offset_seconds: float) -> Operation[tuple[float, Alignment] | None]:
        """A frame of A, and how B lies there; None where nothing of A was found in B.

        Where B is longer, the loudest place of A is looked for in all of it, too.
        """
        length = min(round(ANCHOR_SECONDS * self.rate), self.frames)
        reach = round(max_offset_seconds * self.rate)
        places = self._loud_places(length)
        tries = [(start, 0) for start in places]
        if self.frames_b > self.frames:
            tries += [(places[0], lag) for lag in range(-places[0], self.frames_b - places[0], max(1, 2 * reach))]
        point = min(round(POINT_SECONDS * self.rate), length)
        # As far as a drift takes the middle of the long excerpt from where most of it fits.
        near = 64 + round((8.0 / COARSE_RATE + ANCHOR_SECONDS / 2.0 * MAX_DRIFT_PPM * 1e-6) * self.rate)
        best: tuple[float, Alignment] | None = None
        for number, (start, around) in enumerate(tries):
            middle = start + (length - point) // 2
            found = self._best(middle, point, start, length, around, reach, near)
            if best is None or abs(found.correlation) > abs(best[1].correlation):
                best = middle + point / 2.0, found
            # Loops are alike in many places, and one is the same.
            if abs(best[1].correlation) >= (SAME if number + 1 < len(places) else NO_BETTER):
                break
            yield Progress("looking for the offset", number + 1, len(tries))
        return best if best is not None and abs(best[1].correlation) >= UNRELATED else None

    def _best(self, middle: int, point: int, start: int, length: int, around: int, reach: int, near: int) -> Alignment:
        """How B lies against `point` frames of A from `middle` on: as it is, unless another place is more like A."""
        here = self.near(middle, point, Placement(), near) if around == 0 else None
        if here is not None and abs(here.correlation) >= SAME:
            likeness = self._likeness(here.delay_samples, point)
            if min(likeness) >= NO_BETTER:
                return here
        there = self.near(middle, point, Placement(self._lag(start, length, around, reach)), near)
        if here is None or abs(here.correlation) < ALIKE or abs(here.delay_samples - there.delay_samples) < 2.0:
            return there
        # What repeats fits as well a period later; the places where it does not tell.
        both = [float(np.mean(self._likeness(each.delay_samples, point))) for each in (here, there)]
        return here if both[0] >= both[1] - CLEARLY else there

    def _likeness(self, delay: float, point: int) -> list[float]:
        """How like B is to A at places spread over both, 0 to 1, if it is so many frames late."""
        low = max(0, math.ceil(-delay))
        high = max(low, min(self.frames, math.floor(self.frames_b - delay)) - point)
        starts = np.linspace(low, high, PROBES).astype(int).tolist()
        return [abs(self.near(start, point, Placement(delay), 64).correlation) for start in starts]

    def near(self, start: int, frames: int, prior: Placement, reach: int) -> Alignment:
        """How B lies against an excerpt of A, within `reach` frames of where `prior` puts it; its delay is in all."""
        one = _excerpt(self.a, self.rate, self.channels, start, frames)
        middle = start + frames / 2.0
        delay = prior.delay_at(middle)
        found = Alignment(0.0, 1, 0.0, 0.0)
        for _ in range(2):
            # As whole frames, so that what is the same is found the same.
            whole = round(delay)
            first = msgspec.structs.replace(prior, delay_samples=whole - prior.drift_ppm * 1e-6 * middle)
            other = _excerpt(self.b, self.rate, self.channels, start, frames, first)
            found = estimate(one, other, self.rate, max_delay_seconds=reach / self.rate)
            delay = whole + found.delay_samples
            if abs(found.delay_samples) < 1.0:
                break
            # Once more with the same music in both, so that nothing is said of what only one of them holds.
            reach = 64
        return msgspec.structs.replace(found, delay_samples=delay)

    def _loud_places(self, length: int) -> list[int]:
        """Where A is loud, among places spread over it, the loudest first."""
        room = self.frames - length
        if room <= 0:
            return [0]
        probe = min(length, self.rate // 2)
        starts = np.unique(np.linspace(0, room, LOOKS).astype(int)).tolist()
        middle = (length - probe) // 2
        powers = {}
        for at in starts:
            block = _excerpt(self.a, self.rate, self.channels, at + middle, probe)
            powers[at] = dot(block, block)
        return sorted(starts, key=lambda at: -powers[at])[:ANCHORS]

    def _lag(self, start: int, length: int, around: int, reach: int) -> int:
        """By how many frames B is late, to within a few of them, from excerpts at a low rate."""
        slow = min(self.rate, COARSE_RATE)
        first, frames, centre, away = (round(n * slow / self.rate) for n in (start, length, around, reach))
        other = _excerpt(self.b, slow, self.channels, first + centre - away, frames + 2 * away)
        one = np.zeros_like(other)
        one[:, away : away + frames] = _excerpt(self.a, slow, self.channels, first, frames)
        found = whole_delay(one, other, away) if one.any() and other.any() else 0
        return around + round(found * self.rate / slow)


def _turned(search: _Search, found: tuple[float, Alignment] | None) -> tuple[float, Alignment] | None:
    """What was found of A in B, as what it says of B in A, at A's rate."""
    if found is None or abs(found[1].correlation) < ALIKE:
        return None
    ratio = search.rate / search.b.info.sample_rate
    frame, alignment = found
    turned = msgspec.structs.replace(
        alignment, delay_samples=-alignment.delay_samples * ratio, gain_db=-alignment.gain_db
    )
    return (frame + alignment.delay_samples) * ratio, turned


def _excerpt(
    reader: AudioReader, sample_rate: int, channels: int, start: int, frames: int, placement: Placement = NOT_FOUND
) -> Block:
    """A stretch of a file at a rate, which may lie before its start or past its end; what is no number is silence."""
    block = Placed(reader, sample_rate, channels, placement, start=start).read(frames)
    return block if np.isfinite(block).all() else np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


def _followed(search: _Search, centre: float, first: Alignment) -> Operation[Placement]:
    """The drift, from delays measured further and further away from a place where it is known.

    A drift blurs what it is measured on, so that all is measured once more with it taken out.
    """
    length = min(round(POINT_SECONDS * search.rate), search.frames)
    # The stretch of A that B holds, too, give or take a drift.
    low = max(0.0, -first.delay_samples)
    high = min(float(search.frames), search.frames_b - first.delay_samples)
    spread = np.linspace(low + length / 2, high - length / 2, POINTS).tolist()
    points = _Points(search, length, centre, first)
    places = [*_outward(centre, search.rate, low, high), *spread]
    for number, place in enumerate(places):
        points.measure(place)
        yield Progress("looking for the drift", number + 1, len(places) + POINTS)
    found = points.placement(high - low)
    for number in range(MOST_LOOKS if found.drift_ppm else 0):
        points = _Points(search, length, centre, first, found)
        for place in spread:
            points.measure(place)
        yield Progress("looking for the drift", len(places) + number + 1, len(places) + MOST_LOOKS)
        before, found = found, points.placement(high - low)
        if abs(found.drift_ppm - before.drift_ppm) * 1e-6 * (high - low) < NO_DRIFT_FRAMES:
            break
    return found


class _Points:
    """Delays that were measured at places of A, around a first one or where `prior` says."""

    def __init__(
        self, search: _Search, length: int, centre: float, first: Alignment, prior: Placement | None = None
    ) -> None:
        self._search = search
        self._length = length
        self._start = centre, first
        self._prior = prior
        self._frames: list[float] = []
        self._found: list[Alignment] = []

    def measure(self, place: float) -> None:
        """Adds the delay around a frame of A, if what B has there is like it."""
        start = max(0, min(round(place - self._length / 2), self._search.frames - self._length))
        middle = start + self._length / 2.0
        expected, reach = (self._prior, 64) if self._prior is not None else self._expected(middle)
        point = self._search.near(start, self._length, expected, min(reach, self._length // 2))
        if abs(point.correlation) >= min(ALIKE, abs(self._start[1].correlation) / 2.0) and middle not in self._frames:
            self._frames.append(middle)
            self._found.append(point)

    def placement(self, common: float) -> Placement:
        """The line through what was found; `common` frames are in both files."""
        first = self._start[1]
        if not self._found:
            return Placement(first.delay_samples, 0.0, first.polarity, first.gain_db, first.correlation)
        delays, frames = np.array([each.delay_samples for each in self._found]), np.array(self._frames)
        offset, slope = trend(frames, delays, common)
        agreed = np.abs(delays - offset - slope * frames) <= AGREED_FRAMES
        if abs(first.correlation) < ALIKE and agreed.mean() < 0.5:
            return NOT_FOUND
        return Placement(
            delay_samples=offset,
            drift_ppm=slope * 1e6,
            polarity=-1 if sum(each.polarity for each in self._found) < 0 else 1,
            gain_db=float(np.median([each.gain_db for each in self._found])),
            correlation=float(np.median([each.correlation for each in self._found])),
        )

    def _expected(self, at: float) -> tuple[Placement, int]:
        """Where B is to be looked for at a frame, and how far around it."""
        delays = [each.delay_samples for each in self._found]
        if len(delays) < 3:
            known = [(self._start[0], self._start[1].delay_samples), *zip(self._frames, delays, strict=True)]
            nearest, delay = min(known, key=lambda each: abs(each[0] - at))
            return Placement(delay), 32 + math.ceil(abs(at - nearest) * MAX_DRIFT_PPM * 1e-6)
        offset, slope = line(np.array(self._frames), np.array(delays))
        away = min(abs(frame - at) for frame in self._frames)
        return Placement(offset + slope * at), 32 + math.ceil(away * SURE_PPM * 1e-6)


def _outward(centre: float, rate: int, low: float, high: float) -> list[float]:
    """Frames around `centre`, first near it, then twice as far each time, as far as the stretch goes."""
    places, away = [centre], 2.0 * rate
    while centre - away > low or centre + away < high:
        places += [place for place in (centre - away, centre + away) if low < place < high]
        away *= 2.0
    return places


def trend(frames: NDArray[np.float64], delays: NDArray[np.float64], common: float) -> tuple[float, float]:
    """Offset and slope of delays over time, float64 [n] each, of files that share `common` frames.

    The slope is 0, and the offset the median, where it amounts to nothing, or is within four times the error that the
    scatter of the delays leaves it.
    """
    offset, slope = line(frames, delays)
    spread = float(np.sqrt(np.square(frames - frames.mean()).sum()))
    if len(frames) < 3 or spread == 0.0 or abs(slope) * common <= NO_DRIFT_FRAMES:
        return float(np.median(delays)), 0.0
    off = np.abs(delays - offset - slope * frames)
    near = off[off <= max(4.0 * float(np.median(off)), FARTHEST_OFF)]
    if abs(slope) <= 4.0 * float(np.sqrt(np.square(near).mean())) / spread:
        return float(np.median(delays)), 0.0
    return offset, slope


def line(
    frames: NDArray[np.float64], delays: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Offset and slope of the straight line through delays, float64 [n] each, less those that lie far off it.

    Least squares with `weights` (all alike if None), repeated without the points that lie more than four times the
    median distance off. One point, or none that differ in time, have no slope.
    """
    weights = np.ones(len(frames)) if weights is None else weights
    kept = weights > 0.0
    offset, slope = float(np.median(delays)), 0.0
    for _ in range(4):
        x, y, w = frames[kept], delays[kept], weights[kept]
        if len(x) < 2 or np.ptp(x) == 0.0:
            return offset, slope
        middle = np.average(x, weights=w)
        slope = float(np.sum(w * (x - middle) * y) / np.sum(w * (x - middle) ** 2))
        offset = float(np.average(y, weights=w) - slope * middle)
        off = np.abs(delays - offset - slope * frames)
        kept_now = (off <= max(4.0 * float(np.median(off[kept])), FARTHEST_OFF)) & (weights > 0.0)
        if np.array_equal(kept_now, kept):
            break
        kept = kept_now
    return offset, slope
