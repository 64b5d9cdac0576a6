"""How a recording lies inside another one that holds more than it, such as a stem in a master: where, how loud, how up.

Least squares over the whole takes for the stem whatever the rest has in common with it, and is off by decibels where
instruments play the same notes. So excerpts are cut into tiles (a third of an octave of 93 ms), and how much of the
rest there is in each of them is left open: of all levels and delays the most likely one makes the sum of the logarithms
of what is left smallest. Tiles in which the stem stands alone decide, those in which it is buried hardly count. It is
found by least squares that are repeated with each tile weighed by the inverse of what was left in it (P. W. Holland and
R. E. Welsch, "Robust regression using iteratively reweighted least-squares", Commun. Stat. A6, 1977), from the plain
solution by way of that of least magnitudes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES
from core.events import Operation, Progress
from core.measure.bands import Bands
from core.measure.figures import Band
from core.measure.levels import power_to_db
from core.measure.placement import NOT_FOUND, Placed, Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.audio.read import AudioReader

SEGMENT: Final = 4096
SEGMENTS_AT_ONCE: Final = 32
LEAST_FRAMES: Final = 64
"""In less than so much that both hold nothing is looked for."""
EXCERPTS: Final = 30
EXCERPT_SECONDS: Final = 4.0
"""Of longer recordings so many stretches are looked at, spread over what both hold."""
LOWEST_HZ: Final = 30.0
FLOOR: Final = 1e-12
"""Of a tile's power, -120 dB: under what taking out a delay costs, nothing is told apart."""
PLAIN: Final = 10.0
"""How much likelihood (as a logarithm) a simpler placement may cost: whole frames, no drift, the very level."""
EVIDENCE: Final = 50.0
"""How much likelier A has to be with B in it than without, as a logarithm. Other music comes to ten or so, stems of
the same to thousands."""
PLAIN_GAIN_DB: Final = 0.5
"""How near to the very level an estimate has to be for that to be tried."""
ALONE_SHARE: Final = 0.01
"""Of the stem's power: so much of it, where it is nulled best, is what is called standing alone."""


class Given(msgspec.Struct, frozen=True):
    """What the engineer knows and need not be looked for; `delay_samples` and `drift_ppm` as in `Placement`."""

    delay_samples: float | None = None
    drift_ppm: float | None = None
    polarity: int | None = None
    gain_db: float | None = None


class Contained(msgspec.Struct, frozen=True):
    """B in A: A = 10^(gain_db / 20) * polarity * B + the rest, B placed by `delay_samples` and `drift_ppm`.

    `correlation` is that of what was looked at, with the sign of the polarity. `alone_db` is an estimate of how far B
    goes down where it stands alone in A when it is subtracted; None where nothing of it is left.
    """

    delay_samples: float
    drift_ppm: float
    polarity: int
    gain_db: float
    correlation: float
    alone_db: float | None

    @property
    def placement(self) -> Placement:
        """Where B lies, without its level."""
        return Placement(self.delay_samples, self.drift_ppm)


class DepthBand(msgspec.Struct, frozen=True):
    """How far subtracting takes A down between two frequencies; None where nothing was, or nothing is left."""

    low_hz: float
    high_hz: float
    depth_db: float | None


class Depth(msgspec.Struct, frozen=True):
    """RMS of A less a stem, relative to A, over the whole and in thirds of octaves; None where nothing is left."""

    depth_db: float | None
    bands: tuple[DepthBand, ...]


class Laid:
    """B as it lies on A, of A's rate and channels: mono is heard on every channel, and in a mono A the mean of B's."""

    def __init__(self, b: AudioReader, sample_rate: int, channels: int, placement: Placement, start: int = 0) -> None:
        self._folded = channels == 1 and b.info.channels > 1
        self._placed = Placed(b, sample_rate, b.info.channels if self._folded else channels, placement, start=start)

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames]."""
        block = self._placed.read(frames)
        return block.mean(axis=0, keepdims=True) if self._folded else block


def contained(
    a: AudioReader, b: AudioReader, found: Placement, given: Given | None = None
) -> Operation[Contained | None]:
    """How B lies in A, from where `locate` found it or from the start; None where it is not in A.

    A delay of whole frames, no drift and the very level are given where they fit as well as what was found. What is
    `given` stays as it is, and with delay and gain B need only sound somewhere in A. The readers are left anywhere.
    """
    given = given or Given()
    search = _Search(a, b, given)
    candidates = _candidates(search, found)
    search.choose([placement for placement, _ in candidates])
    tried: list[_Fitted] = []
    for number, candidate in enumerate(candidates):
        yield Progress("weighing the stem", number, len(candidates))
        fitted = search.followed(*candidate)
        if fitted is not None:
            tried.append(fitted)
            tried += [whole for whole in [search.whole(fitted)] if whole is not None]
    if not tried:
        return None
    least = min(each.unlikely for each in tried)
    simplest = [each for each in tried if each.unlikely <= least + PLAIN]
    chosen = min(simplest, key=lambda each: each.intricacy)
    known = given.delay_samples is not None and given.gain_db is not None
    return search.told(chosen) if known or chosen.evidence >= EVIDENCE else None


def _candidates(search: _Search, found: Placement) -> list[tuple[Placement, bool]]:
    """Placements to begin from, and whether a drift is to be looked for; the one that was found comes first."""
    given = search.given
    middle = search.middle(found)
    if given.delay_samples is not None:
        return [(Placement(given.delay_samples, given.drift_ppm or 0.0), False)]
    if given.drift_ppm is not None:
        return [(Placement(found.delay_at(middle) - given.drift_ppm * 1e-6 * middle, given.drift_ppm), False)]
    begun: list[tuple[Placement, bool]] = [] if found == NOT_FOUND else [(found, found.drift_ppm != 0.0)]
    if found.drift_ppm != 0.0:
        begun.append((Placement(found.delay_at(middle)), False))
    # Most stems begin where their master does, and of music that repeats no excerpt can tell.
    begun.append((Placement(), False))
    return begun


class _Fitted(msgspec.Struct, frozen=True):
    """A placement with the level that is most likely there. `unlikely` is the logarithm of how unlikely it is."""

    placement: Placement
    level: float
    unlikely: float
    tiles: _Tiles

    @property
    def evidence(self) -> float:
        """How much likelier A is with B in it than without, as a logarithm."""
        return float(np.log(self.tiles.power_a).sum()) - self.unlikely

    @property
    def intricacy(self) -> tuple[bool, bool, float]:
        """What makes one placement less simple than another."""
        delay = self.placement.delay_samples
        return self.placement.drift_ppm != 0.0, delay != round(delay), abs(delay)


class _Search:
    """Two readers, what is given of how they lie, and the excerpts that are held against each other."""

    def __init__(self, a: AudioReader, b: AudioReader, given: Given) -> None:
        self.a, self.b, self.given = a, b, given
        self.rate = a.info.sample_rate
        self._size = SEGMENT
        self._spans: list[tuple[int, int]] = []

    def common(self, placement: Placement) -> tuple[int, int]:
        """The stretch of A in which B lies."""
        frames_b = self.b.info.frames * self.rate / self.b.info.sample_rate
        first, last = -placement.delay_samples, frames_b - placement.delay_samples
        stretch = 1.0 + placement.drift_ppm * 1e-6
        return max(0, math.floor(first / stretch)), min(self.a.info.frames, math.ceil(last / stretch))

    def choose(self, placements: Sequence[Placement]) -> None:
        """Chooses the excerpts of A, the same for all placements, so that what is likely can be told."""
        lows, highs = zip(*(self.common(placement) for placement in placements), strict=True)
        low, high = min(lows), max(highs)
        if high - low < LEAST_FRAMES:
            return
        self._size = min(SEGMENT, 1 << ((high - low).bit_length() - 1))
        segments = max(1, round(EXCERPT_SECONDS * self.rate) // self._size)
        length = segments * self._size
        if high - low <= EXCERPTS * length:
            self._spans = [(low, (high - low) // self._size)]
        else:
            self._spans = [(int(first), segments) for first in np.linspace(low, high - length, EXCERPTS)]

    def middle(self, placement: Placement) -> float:
        """The middle of that stretch, where a delay is best known."""
        return sum(self.common(placement)) / 2.0

    def followed(self, placement: Placement, drifts: bool) -> _Fitted | None:
        """The most likely placement around one, with a drift of its own where it `drifts`."""
        moves = self.given.delay_samples is None and placement != Placement()
        fitted = None
        for _ in range(4 if moves else 1):
            tiles = self._tiles(placement)
            if tiles is None:
                return None
            fit = _most_likely(tiles, self._level_given(), moves=moves, drifts=drifts)
            placement = Placement(placement.delay_samples - fit.late, placement.drift_ppm - fit.drift_ppm)
            fitted = _Fitted(placement, fit.level, fit.unlikely, tiles)
            if abs(fit.late) + abs(fit.drift_ppm) * 1e-6 * self.a.info.frames < 1e-3:
                break
        return fitted

    def whole(self, near: _Fitted) -> _Fitted | None:
        """The same at the nearest whole frame, where both files are of one rate."""
        delay = near.placement.delay_samples
        whole = float(round(delay))
        if near.placement.drift_ppm != 0.0 or whole == delay:
            return None
        if self.b.info.sample_rate != self.rate or self.given.delay_samples is not None:
            return None
        tiles = self._tiles(Placement(whole))
        if tiles is None:
            return None
        fit = _most_likely(tiles, self._level_given(), moves=False, drifts=False)
        return _Fitted(Placement(whole), fit.level, fit.unlikely, tiles)

    def told(self, fitted: _Fitted) -> Contained:
        """What was found in numbers that can be read and typed."""
        placement, tiles, given = fitted.placement, fitted.tiles, self.given
        polarity = given.polarity or (1 if fitted.level >= 0.0 else -1)
        gain_db = 20.0 * math.log10(max(abs(fitted.level), 1e-6)) if given.gain_db is None else given.gain_db
        sign = math.copysign(1.0, fitted.level)
        as_it_is = abs(gain_db) <= PLAIN_GAIN_DB and _unlikely(tiles, sign) <= _unlikely(tiles, fitted.level) + PLAIN
        if given.gain_db is None:
            gain_db = 0.0 if as_it_is else round(gain_db, 4)
        level = polarity * 10.0 ** (gain_db / 20.0)
        return Contained(
            delay_samples=round(placement.delay_samples, 4) if given.delay_samples is None else given.delay_samples,
            drift_ppm=round(placement.drift_ppm, 5) if given.drift_ppm is None else given.drift_ppm,
            polarity=polarity,
            gain_db=gain_db,
            correlation=tiles.correlation,
            alone_db=tiles.alone_db(level),
        )

    def _level_given(self) -> float | None:
        given = self.given
        if given.gain_db is None or given.polarity is None:
            return None
        return given.polarity * 10.0 ** (given.gain_db / 20.0)

    def _tiles(self, placement: Placement) -> _Tiles | None:
        size = self._size
        tiles = _Tiles(self.rate, size)
        for first, segments in self._spans:
            self.a.seek(first)
            laid = Laid(self.b, self.rate, self.a.info.channels, placement, first)
            for at in range(0, segments, SEGMENTS_AT_ONCE):
                frames = min(SEGMENTS_AT_ONCE, segments - at) * size
                tiles.add(_finite(self.a.read(frames)), _finite(laid.read(frames)), first + at * size)
        return tiles if self._spans and tiles.close() else None


class _Tiles:
    """Powers of A and B and what they have in common, in tiles of a segment and a band, over all channels.

    `delayed` is what A has in common with the slope of B, by which B would be changed if it came a frame later, and
    `slopes` the power of that.
    """

    def __init__(self, sample_rate: int, size: int) -> None:
        self._size = size
        self._window = np.hanning(size + 1)[:-1]
        self._omega = 2.0 * np.pi * np.arange(size // 2 + 1) / size
        edges = [0.0, *LOWEST_HZ * 2.0 ** (np.arange(40) / 3.0)]
        bins = np.array([edge for edge in edges if edge < 0.45 * sample_rate]) * size / sample_rate
        self._edges = np.unique(np.round(bins).astype(int))
        self._parts: list[NDArray[np.float64]] = []
        self._frames: list[NDArray[np.float64]] = []

    def add(self, a: Block, b: Block, first: int) -> None:
        """Whole segments of both, of which the first begins at frame `first` of A."""
        shape = (len(a), -1, self._size)
        one, other = (np.fft.rfft(block.reshape(shape) * self._window) for block in (a, b))
        cross, power = one * np.conj(other), np.abs(other) ** 2
        sums = (np.abs(one) ** 2, power, cross.real, -self._omega * cross.imag, self._omega**2 * power)
        self._parts.append(np.stack([np.add.reduceat(each.sum(axis=0), self._edges, axis=-1) for each in sums]))
        self._frames.append(first + self._size * (np.arange(a.shape[1] // self._size) + 0.5))

    def close(self) -> bool:
        """Ends it; whether there is anything of B in anything of A."""
        every = np.concatenate(self._parts, axis=1)
        frames = np.broadcast_to(np.concatenate(self._frames)[:, None], every.shape[1:])
        heard = every[0] > 0.0
        self.power_a, self.power_b, self.shared, self.delayed, self.slopes = every[:, heard]
        self.frames = frames[heard]
        return bool(self.power_b.any())

    @property
    def correlation(self) -> float:
        """The coefficient of A and B over all tiles."""
        return float(self.shared.sum() / math.sqrt(self.power_a.sum() * self.power_b.sum()))

    def left(self, level: float, slope: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
        """The power of every tile of A less `level` times B and `slope` times its slope, at least FLOOR of A's."""
        rest = self.power_a - 2.0 * level * self.shared + level**2 * self.power_b
        rest = rest - 2.0 * slope * self.delayed + slope**2 * self.slopes
        return np.maximum(rest, FLOOR * self.power_a)

    def alone_db(self, level: float) -> float | None:
        """How far B goes down where it stands alone: in the tiles where it goes down furthest, a share of its power."""
        power = level**2 * self.power_b
        heard = power > 0.0
        power, left = power[heard], self.left(level)[heard]
        order = np.argsort(left / power)
        upto = int(np.searchsorted(np.cumsum(power[order]), ALONE_SHARE * power.sum())) + 1
        best = order[:upto]
        return power_to_db(float(left[best].sum() / power[best].sum()))


class _Fit(msgspec.Struct, frozen=True):
    """The level of B in A, and by how much B is to come later still: frames at the start of A, and a drift."""

    level: float
    late: float
    drift_ppm: float
    unlikely: float


def _most_likely(tiles: _Tiles, level: float | None, *, moves: bool, drifts: bool) -> _Fit:
    """What makes B most likely in A; `level` is not looked for where it is given, nor a delay unless it `moves`."""
    middle, spread = float(tiles.frames.mean()), float(np.ptp(tiles.frames)) or 1.0
    when = (tiles.frames - middle) / spread
    weight = np.full(tiles.frames.shape, 1.0 / tiles.power_a.sum())
    given, level, slope, turn = level, level or 0.0, 0.0, 0.0
    for exponent in (0.0, *(0.5,) * 20, *(1.0,) * 60):
        before = level, slope, turn
        if exponent:
            weight = tiles.left(level, slope + turn * when) ** -exponent
        if given is None:
            level = float((weight * tiles.shared).sum() / (weight * tiles.power_b).sum())
        if moves:
            slope, turn = _slopes(tiles, weight, when, drifts=drifts)
        if exponent == 1.0 and np.allclose(before, (level, slope, turn), rtol=1e-10, atol=1e-14):
            break
    unlikely = float(np.log(tiles.left(level, slope + turn * when)).sum())
    if level == 0.0:
        return _Fit(0.0, 0.0, 0.0, unlikely)
    drift = turn / level / spread
    return _Fit(level, slope / level - drift * middle, drift * 1e6, unlikely)


def _slopes(
    tiles: _Tiles, weight: NDArray[np.float64], when: NDArray[np.float64], *, drifts: bool
) -> tuple[float, float]:
    """By how much of its slope B is to be changed in the middle, and how much more at the end."""
    power, wanted = weight * tiles.slopes, weight * tiles.delayed
    if not drifts:
        total = float(power.sum())
        return (float(wanted.sum()) / total if total > 0.0 else 0.0), 0.0
    sums = np.array([[power.sum(), (power * when).sum()], [(power * when).sum(), (power * when**2).sum()]])
    found = np.linalg.lstsq(sums, np.array([wanted.sum(), (wanted * when).sum()]), rcond=None)[0]
    return float(found[0]), float(found[1])


def _unlikely(tiles: _Tiles, level: float) -> float:
    return float(np.log(tiles.left(level)).sum())


def _finite(block: Block) -> Block:
    return block if np.isfinite(block).all() else np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


def depth(a: AudioReader, stem: AudioReader) -> Operation[Depth]:
    """How far A goes down when a stem of its rate, channels and length is subtracted, sample by sample."""
    info = a.info
    whole, rest = (Bands(info.sample_rate, info.channels, 3) for _ in range(2))
    before = after = 0.0
    done = 0
    a.seek(0)
    stem.seek(0)
    while (block := a.read(BLOCK_FRAMES)).shape[1]:
        left = block - stem.read(block.shape[1])
        before += float(np.einsum("ij,ij->", block, block))
        after += float(np.einsum("ij,ij->", left, left))
        whole.push(block)
        rest.push(left)
        done += block.shape[1]
        yield Progress("measuring the null", done, info.frames, info.seconds)
    pairs = zip(whole.result(done), rest.result(done), strict=True)
    return Depth(
        power_to_db(after / before) if before > 0.0 else None,
        tuple(DepthBand(one.low_hz, one.high_hz, _fall_db(one, other)) for one, other in pairs),
    )


def _fall_db(before: Band, after: Band) -> float | None:
    return None if before.rms_dbfs is None or after.rms_dbfs is None else after.rms_dbfs - before.rms_dbfs
