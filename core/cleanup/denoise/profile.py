"""What the noise of a recording is: the power of each bin, learnt from where nothing else sounds.

Blindly, it is looked for band by band (a quarter of an octave wide) in cells of about 0.1 s. Noise is the floor under
everything, so that the levels of a band's cells end below in a steep edge: many cells within the scatter that noise has
by chance, next to none under it. The edge of music slopes. Noise is Gaussian, too: within the cells of the edge the
logarithm of the power is 0.577 less in the mean than the logarithm of the mean power (that of an exponential
distribution), where tones and attacks have far less. A band is heard as noise where both is so. Since each band is
looked at by itself, a passage that is quiet in one of them will do, and no pause is needed.

The idea that the lowest levels over time are those of the noise is that of R. Martin, "Noise power spectral density
estimation based on optimal smoothing and minimum statistics" (IEEE Trans. SAP 9/5, 2001); the compensation for looking
only at the low cells is that of a gamma distribution cut off where they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import signal, special

from core.audio.formats import BLOCK_FRAMES
from core.cleanup.denoise.spectra import Padded, spectra, turned, window_frames
from core.errors import UnbakeError
from core.events import Operation, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.audio.read import AudioReader

BANDS_AN_OCTAVE: Final = 4
LEAST_BINS: Final = 6
LEAKED_DB: Final = 6.0
"""What the window leaks into a band from all others has to be so far under what is there, or else it is no floor."""
CELL_WINDOWS: Final = 4
"""Windows, half overlapped, that a cell is the mean of."""
LOWEST_DB: Final = -120.0
"""A cell below it, dBFS of white noise with its density, is digital silence."""
HIGHEST_DB: Final = 6.0
STEPS_A_DB: Final = 4
KEPT_STEPS_A_DB: Final = 2
_RATIO: Final = STEPS_A_DB // KEPT_STEPS_A_DB

LEAST_CELLS: Final = 12
LEAST_SHARE: Final = 0.01
"""The edge is made of so many cells, and of such a share of all that are not silent."""
MOST_BELOW: Final = 0.1
"""For each of them so many may lie in the 6 dB under it,"""
MOST_DEEP: Final = 0.1
"""and of all cells such a share may lie below these: fades and gates."""
BELOW_DB: Final = 6.0
EDGE: Final = (0.02, 0.75)
"""Quantiles of the scatter of noise between which the cells of the edge are counted."""
FLATNESS: Final = -float(np.euler_gamma)
"""Mean logarithm less logarithm of the mean of an exponential distribution."""
FLATNESS_OFF: Final = 0.07
"""How far that of the edge may be off."""
SLOPING_OFF: Final = 0.25
SLOPING_BINS: Final = 7
"""In bands that begin below this bin the spectrum may slope within the band, which is less flat; and a bass that never
stops may look like a floor there, so that they are never sure by themselves."""
SETTLING: Final = 4
SURE_CELLS: Final = 20
SURE_SHARE: Final = 0.1
SURE_SHARE_A_DB: Final = 0.2
SURE_OFF: Final = 0.06
"""Of an edge that is believed by itself: its share of the cells is at least the first, and the second by its width."""
RUN_SHARE: Final = 0.15
RUN_BANDS: Final = 4
RUN_DB: Final = 4.5
RUN_BEND_DB: Final = 2.0
"""Edges of such a share are believed in so many bands side by side whose level changes by no more than the first from
one to the next, and this change itself by no more than the second."""
NEAR_BANDS: Final = 3
APART_DB: Final = 1.5
APART_DB_AN_OCTAVE: Final = 4.0
"""How near, and how far apart in level, the nearest band that is believed may be for others. The lowest band, which is
wide in octaves and less flat, must lie beside it."""
CORRELATED_BINS: Final = 1.5
CORRELATED_WINDOWS: Final = 1.15
"""How many bins, and windows half overlapped, count for one: sums of squared correlations of the sine window."""

MOST_SHAPE: Final = 400.0
"""Of the gamma distribution of a cell: no noise is steadier, and its edge no narrower than the levels that are told."""

SLOPE_DB: Final = (-4.0, 4.0)
"""Per octave: how the spectrum may go on where it could not be heard."""
DOUBT_DB: Final = 1.0
"""Per octave away from the last band that was heard, it is taken to be less by so much."""
SLOPE_OCTAVES: Final = 3.0
SLOPE_SPAN_OCTAVES: Final = 1.0
SMOOTH: Final = 0.03
"""The profile is smoothed over such a share of the frequency."""
SMOOTH_BINS: Final = 2


class Profile(NamedTuple):
    """Steady noise.

    `power` is float64 [channels, bins], the square of the magnitude of a bin over the sum of the squared window: white
    noise has its mean square in every bin. Its channels are middle and side where `middle`. `heard` says of each band
    whether the noise was heard in it, `edges` are the borders of the bands in bins. `signal_power` is the mean square
    of the whole file, noise with it; `cells` the number of cells that a band's noise was learnt from, in the mean.
    """

    power: NDArray[np.float64]
    middle: bool
    edges: NDArray[np.int64]
    heard: NDArray[np.bool_]
    signal_power: float
    cells: float

    @property
    def noise_power(self) -> float:
        """Mean square of the noise, mean over the channels."""
        return mean_square(self.power)

    @property
    def heard_power(self) -> float:
        """The same of the bands alone that it was heard in."""
        heard = np.pad(np.repeat(self.heard, np.diff(self.edges)), 1, mode="edge")
        return mean_square(np.where(heard, self.power, 0.0))


def mean_square(power: NDArray[np.float64]) -> float:
    """Mean square of what has such a spectrum [channels, bins]: the bins between the first and the last count twice."""
    twice = 2.0 * power.sum() - power[:, 0].sum() - power[:, -1].sum()
    return float(twice / (2 * (power.shape[1] - 1)) / len(power))


def band_edges(bins: int) -> NDArray[np.int64]:
    """Borders of the bands, rising, in bins; direct current and the last bin belong to none."""
    edges = [1]
    while edges[-1] < bins - 1:
        edges.append(max(edges[-1] + LEAST_BINS, round(edges[-1] * 2 ** (1 / BANDS_AN_OCTAVE))))
    edges[-1] = bins - 1
    if edges[-1] - edges[-2] < LEAST_BINS:
        del edges[-2]
    return np.array(edges)


def learnt_from(reader: AudioReader, first: int, last: int) -> Operation[Profile]:
    """The noise of a stretch where nothing else sounds, frames `first` up to `last`.

    Raises UnbakeError where the stretch is outside the file, shorter than a window, or digitally silent.
    """
    info = reader.info
    size = window_frames(info.sample_rate)
    named = "the noise profile from_seconds to to_seconds"
    if last > info.frames:
        raise UnbakeError(
            f"{named} ends at {last / info.sample_rate:g} s, behind the end of the file at {info.seconds:g} s"
        )
    if last - first < size:
        raise UnbakeError(
            f"{named} is {1000 * (last - first) / info.sample_rate:.3g} ms long, shorter than a window of "
            f"{1000 * size / info.sample_rate:.3g} ms",
            remedy="choose half a second or more",
        )
    total, count = np.zeros((_seen(info.channels), size // 2 + 1)), 0
    for done, powers, silent in _powers(reader, size, first, last):
        total += powers[:, ~silent].sum(axis=1)
        count += int((~silent).sum())
        yield Progress("learning the noise", done, last - first, (last - first) / info.sample_rate)
    if not total.any():
        raise UnbakeError(f"{named} is digital silence", remedy="choose a stretch in which the noise is heard")
    whole = Whole(size)
    for done, powers, silent in _powers(reader, size, 0, info.frames):
        whole.add(powers, silent)
        yield Progress("listening", done, info.frames, info.seconds)
    edges = band_edges(size // 2 + 1)
    power = _smoothed(total / count)
    middle = whole.middle
    heard = np.ones(len(edges) - 1, dtype=bool)
    return Profile(_chosen(power, middle), middle, edges, heard, whole.signal_power, count / CELL_WINDOWS)


def found_in(reader: AudioReader) -> Operation[Profile | None]:
    """The noise of a file, found blindly; None where no band has a floor of noise, or the file is too short."""
    info = reader.info
    size = window_frames(info.sample_rate)
    levels, whole = Levels(info.channels, size), Whole(size)
    for done, powers, silent in _powers(reader, size, 0, info.frames):
        levels.add(powers, silent)
        whole.add(powers, silent)
        yield Progress("listening for noise", done, info.frames, info.seconds)
    floors = levels.floors()
    if floors is None:
        return None
    power = _smoothed(levels.profile(floors))
    heard = floors.heard
    cells = float(floors.cells[heard].mean())
    return Profile(_chosen(power, whole.middle), whole.middle, levels.edges, heard, whole.signal_power, cells)


class Whole:
    """What is said of the whole file: its mean square, and whether middle and side part a pair better than L and R."""

    def __init__(self, size: int) -> None:
        self._edges = band_edges(size // 2 + 1)
        self._square, self._windows, self._better = 0.0, 0, 0.0

    def add(self, powers: NDArray[np.float64], silent: NDArray[np.bool_]) -> None:
        """Takes powers [seen, windows, bins]."""
        own = powers[:2] if len(powers) == 4 else powers
        self._square += mean_square(own.sum(axis=1))
        self._windows += powers.shape[1]
        if len(powers) == 4 and not silent.all():
            bands = np.add.reduceat(powers[:, ~silent, :-1], self._edges[:-1], axis=2)
            logs = np.log(np.maximum(bands, 1e-16)).sum(axis=(1, 2))
            self._better += float(logs[0] + logs[1] - logs[2] - logs[3])

    @property
    def signal_power(self) -> float:
        """Mean square of the file, mean over the channels."""
        return self._square / max(1, self._windows)

    @property
    def middle(self) -> bool:
        """The pair whose product of powers is smaller holds the sound in fewer cells: noise shows in more of them."""
        return self._better > 0.0


class Floors(NamedTuple):
    """The floor of each band: its level in dB and how many cells it was learnt from, where it is `heard`; elsewhere
    `level_db` is what the noise is no louder than."""

    level_db: NDArray[np.float64]
    heard: NDArray[np.bool_]
    cells: NDArray[np.float64]


class Levels:
    """How often each band had which level, and the mean spectra of the cells that had it."""

    def __init__(self, channels: int, size: int) -> None:
        bins = size // 2 + 1
        self.edges = band_edges(bins)
        bands = len(self.edges) - 1
        self._channels = channels
        self._band_of = np.repeat(np.arange(bands), np.diff(self.edges))
        steps = round((HIGHEST_DB - LOWEST_DB) * STEPS_A_DB)
        self._counts = np.zeros((bands, steps), dtype=np.int64)
        self._flatness = np.zeros((bands, steps))
        kept = round((HIGHEST_DB - LOWEST_DB) * KEPT_STEPS_A_DB)
        self._spectra = np.zeros((kept, _seen(channels), bins - 2))
        per_channel = np.diff(self.edges) * CELL_WINDOWS / (CORRELATED_BINS * CORRELATED_WINDOWS)
        self._shape = np.minimum(per_channel, MOST_SHAPE)
        """Of the gamma distribution that the power of one channel of a cell of noise has."""

    def add(self, powers: NDArray[np.float64], silent: NDArray[np.bool_]) -> None:
        """Takes powers [seen, windows, bins]; windows that are no whole cell, at the end of the file, are left out."""
        cells = powers.shape[1] // CELL_WINDOWS
        if not cells:
            return
        windows = powers[:, : cells * CELL_WINDOWS, 1:-1].reshape(len(powers), cells, CELL_WINDOWS, -1)
        starts, widths = self.edges[:-1] - 1, np.diff(self.edges)
        own = windows[: self._channels]
        mean = np.add.reduceat(own.mean(axis=2), starts, axis=2) / widths
        logs = np.add.reduceat(np.log(np.maximum(own, 1e-30)).mean(axis=2), starts, axis=2) / widths
        flatness = (logs - np.log(np.maximum(mean, 1e-30))).mean(axis=0)
        level_db = 10.0 * np.log10(np.maximum(mean.mean(axis=0), 1e-30))
        sounding = ~np.any(silent[: cells * CELL_WINDOWS].reshape(cells, -1), axis=1)
        taken = (level_db >= LOWEST_DB) & (level_db < HIGHEST_DB) & sounding.reshape(-1, 1)
        taken &= mean.mean(axis=0) > 10.0 ** (LEAKED_DB / 10.0) * self._leaked(powers, cells)
        step = np.clip(((level_db - LOWEST_DB) * STEPS_A_DB).astype(np.int64), 0, self._counts.shape[1] - 1)
        bands = np.broadcast_to(np.arange(len(starts)), step.shape)
        np.add.at(self._counts, (bands[taken], step[taken]), 1)
        np.add.at(self._flatness, (bands[taken], step[taken]), flatness[taken])
        sums = windows.mean(axis=2)
        rows, bins = step * KEPT_STEPS_A_DB // STEPS_A_DB, np.arange(len(self._band_of))
        for cell in range(cells):
            self._spectra[rows[cell, self._band_of], :, bins] += sums[:, cell].T * taken[cell, self._band_of, None]

    def _leaked(self, powers: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
        """What comes into each band of a cell from bins further away than the main lobe, at most: [cells, bands].

        In the spectrum of a sine window a tone d bins away is down by (4 d^2 - 1)^2 in power.
        """
        own = powers[: self._channels, : cells * CELL_WINDOWS].mean(axis=0)
        own = own.reshape(cells, CELL_WINDOWS, -1).mean(axis=1)
        away = np.arange(1 - own.shape[1], own.shape[1])
        lobes = np.where(np.abs(away) > 2, 1.0 / np.square(4.0 * np.square(away) - 1.0), 0.0)
        leaked = np.maximum(signal.oaconvolve(own, lobes[None], axes=1), 0.0)
        leaked = leaked[:, own.shape[1] : 2 * own.shape[1] - 2]
        return np.add.reduceat(leaked, self.edges[:-1] - 1, axis=1) / np.diff(self.edges)

    def floors(self) -> Floors | None:
        """The floor of every band; None where there is none that is surely one of noise.

        Bands whose edge is made of few cells only are believed where they go on from those that are sure: chance and
        dense music make such edges, too, but not at the level of the noise beside them.
        """
        edges = [self._floor(band) for band in range(len(self._counts))]
        level_db, cells, off = (np.array(each) for each in zip(*edges, strict=True))
        share = cells / np.maximum(1, self._counts.sum(axis=1))
        widths_db = np.array([np.ptp(self._edge(0.0, band)) for band in range(len(edges))])
        many = (cells >= SURE_CELLS) & (self.edges[:-1] >= SLOPING_BINS)
        sure = many & (np.abs(off) <= SURE_OFF) & (share >= np.maximum(SURE_SHARE, SURE_SHARE_A_DB * widths_db))
        heard = sure | _in_run(many & (np.abs(off) <= FLATNESS_OFF) & (share >= RUN_SHARE), level_db)
        if not heard.any():
            return None
        octaves = np.log2(np.sqrt(self.edges[:-1] * self.edges[1:]))
        unsure = (cells > 0.0) & ~heard
        while unsure.any():
            away = np.abs(np.subtract.outer(np.arange(len(heard)), np.flatnonzero(heard)))
            nearest = np.flatnonzero(heard)[away.argmin(axis=1)]
            distance = np.where(unsure, away.min(axis=1), len(heard))
            band = int(distance.argmin())
            unsure[band] = False
            apart_db = abs(level_db[band] - level_db[nearest[band]])
            most_db = APART_DB + APART_DB_AN_OCTAVE * abs(octaves[band] - octaves[nearest[band]])
            near = 1 if self.edges[band] < SLOPING_BINS else NEAR_BANDS
            heard[band] = distance[band] <= near and apart_db <= most_db
        lowest_db = np.array([self._lowest_db(band) for band in range(len(edges))])
        return Floors(_gone_on(np.where(heard, level_db, lowest_db), heard, cells, self.edges), heard, cells)

    def profile(self, floors: Floors) -> NDArray[np.float64]:
        """Power of the noise in each bin, float64 [seen, bins].

        Where a band is heard, it is the mean over the cells of its edge, made up for the louder cells that are not
        among them; elsewhere it is what `floors` says, shared out among the channels as it is where it is heard.
        """
        seen, bins = self._spectra.shape[1], len(self._band_of)
        power = np.zeros((seen, bins))
        for band in np.flatnonzero(floors.heard).tolist():
            inside = slice(self.edges[band] - 1, self.edges[band + 1] - 1)
            first, last = _rows(*self._edge(floors.level_db[band], band))
            cells = self._counts[band, first * _RATIO : last * _RATIO].sum()
            low_db, high_db = (_db_of_kept(each) - floors.level_db[band] for each in (first, last))
            share = _mean_between(low_db, high_db, self._shape[band])
            power[:, inside] = self._spectra[first:last, :, inside].sum(axis=0) / (cells * share)
        known = floors.heard[self._band_of]
        shares = power[:, known].mean(axis=1) / power[: self._channels, known].mean()
        centres = np.log(np.sqrt(self.edges[:-1] * self.edges[1:]))
        course = 10.0 ** (np.interp(np.log(np.arange(1, bins + 1)), centres, floors.level_db) / 10.0)
        power[:, ~known] = shares[:, None] * course[~known]
        return np.pad(power, ((0, 0), (1, 1)), mode="edge")

    def _lowest_db(self, band: int) -> float:
        """The level that a hundredth of the cells are below."""
        upto = np.cumsum(self._counts[band])
        if not upto[-1]:
            return -np.inf
        return LOWEST_DB + int(np.searchsorted(upto, max(1.0, LEAST_SHARE * upto[-1]))) / STEPS_A_DB

    def _floor(self, band: int) -> tuple[float, float, float]:
        """The lowest edge that may be one of noise: its level in dB, its number of cells (0 where there is none), and
        how far its flatness is off."""
        counts = self._counts[band]
        total = int(counts.sum())
        if total < LEAST_CELLS:
            return -np.inf, 0.0, 0.0
        upto = np.concatenate([[0], np.cumsum(counts)])
        low, high = (round(STEPS_A_DB * _quantile_db(each, self._shape[band])) for each in EDGE)
        steps = np.arange(len(counts))
        first, last = (np.clip(steps + each, 0, len(counts)) for each in (low, high + 1))
        deep = upto[np.maximum(0, first - round(BELOW_DB * STEPS_A_DB))]
        inside, under = upto[last] - upto[first], upto[first] - deep
        off = self._off(band, first, last)
        least_off = -(SLOPING_OFF if self.edges[band] < SLOPING_BINS else FLATNESS_OFF)
        fits = (inside >= max(LEAST_CELLS, LEAST_SHARE * total)) & (under <= MOST_BELOW * inside)
        fits &= (deep <= MOST_DEEP * total) & (off >= least_off) & (off <= FLATNESS_OFF)
        if not fits.any():
            return -np.inf, 0.0, 0.0
        lowest = int(np.argmax(fits))
        near = slice(lowest, lowest + high - low + 1)
        best = lowest + int(np.argmax(np.where(fits, inside, 0)[near]))
        return self._settled(LOWEST_DB + (best + 0.5) / STEPS_A_DB, band), float(inside[best]), float(off[best])

    def _off(self, band: int, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much flatter than noise the cells of each of these ranges of levels are, in the mean."""
        sums, upto = (np.concatenate([[0], np.cumsum(each[band])]) for each in (self._flatness, self._counts))
        flatness = (sums[last] - sums[first]) / np.maximum(1, upto[last] - upto[first])
        shape = self._shape[band]
        return flatness - (FLATNESS + float(np.log(shape) - special.digamma(shape)))

    def _edge(self, level_db: float, band: int) -> tuple[float, float]:
        """Between which levels the cells of an edge lie, in dB."""
        low, high = (level_db + _quantile_db(each, self._shape[band]) for each in EDGE)
        return low, high

    def _settled(self, level_db: float, band: int) -> float:
        """A level whose edge holds cells of just the mean power that noise of this level has there."""
        middles = 10.0 ** ((LOWEST_DB + (np.arange(self._counts.shape[1]) + 0.5) / STEPS_A_DB) / 10.0)
        for _ in range(SETTLING):
            first, last = (round((each - LOWEST_DB) * STEPS_A_DB) for each in self._edge(level_db, band))
            counts = self._counts[band, max(0, first) : last]
            if not counts.any():
                break
            low_db, high_db = (LOWEST_DB + each / STEPS_A_DB - level_db for each in (first, last))
            mean = float((counts * middles[max(0, first) : last]).sum() / counts.sum())
            level_db = 10.0 * float(np.log10(mean / _mean_between(low_db, high_db, self._shape[band])))
        return level_db


def _in_run(good: NDArray[np.bool_], level_db: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which bands are good ones among good ones, their levels going on smoothly."""
    found = np.zeros(len(good), dtype=bool)
    for first in range(len(good) - RUN_BANDS + 1):
        run = slice(first, first + RUN_BANDS)
        if good[run].all():
            steps = np.diff(level_db[run])
            smooth = np.abs(steps).max() <= RUN_DB and np.abs(np.diff(steps)).max() <= RUN_BEND_DB
            found[run] |= bool(smooth)
    return found


def _quantile_db(quantile: float, shape: float) -> float:
    """Of a gamma distribution whose mean is 1, in dB."""
    return 10.0 * float(np.log10(special.gammaincinv(shape, quantile) / shape))


def _mean_between(low_db: float, high_db: float, shape: float) -> float:
    """The mean of a gamma distribution whose mean is 1 between two levels."""
    low, high = (shape * 10.0 ** (each / 10.0) for each in (low_db, high_db))
    chance = special.gammainc(shape, high) - special.gammainc(shape, low)
    return float((special.gammainc(shape + 1.0, high) - special.gammainc(shape + 1.0, low)) / chance)


def _rows(low_db: float, high_db: float) -> tuple[int, int]:
    """The rows of spectra that hold all cells between two levels, first and last + 1."""
    low, high = ((each - LOWEST_DB) * KEPT_STEPS_A_DB for each in (low_db, high_db))
    return max(0, math.floor(low)), max(1, math.ceil(high))


def _db_of_kept(row: int) -> float:
    return LOWEST_DB + row / KEPT_STEPS_A_DB


def _gone_on(
    level_db: NDArray[np.float64], heard: NDArray[np.bool_], cells: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Levels of the bands, those that were not heard between or beyond those that were.

    Between them they lie on a straight line over the logarithm of the frequency, beyond them they go on as they went
    last, somewhat lower the further it goes; and nowhere are they louder than the lowest cells were.
    """
    octaves = np.log2(np.sqrt(edges[:-1] * edges[1:]))
    known = np.flatnonzero(heard)
    course = np.interp(octaves, octaves[known], level_db[known])
    for end, beyond in ((known[0], octaves < octaves[known[0]]), (known[-1], octaves > octaves[known[-1]])):
        near = known[np.abs(octaves[known] - octaves[end]) <= SLOPE_OCTAVES]
        span = float(np.ptp(octaves[near]))
        slope = 0.0
        if span > 0.0:
            line = np.polyfit(octaves[near], level_db[near], 1, w=np.sqrt(cells[near]))
            # what is known of little is believed less
            slope = float(np.clip(line[0] * span / (span + SLOPE_SPAN_OCTAVES), *SLOPE_DB))
        away = octaves[beyond] - octaves[end]
        course[beyond] = level_db[end] + slope * away - DOUBT_DB * np.abs(away)
    return np.where(heard, level_db, np.maximum(np.minimum(course, level_db), LOWEST_DB))


def _smoothed(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each bin as the mean of those around it, further around the higher it lies: float64 [seen, bins]."""
    bins = np.arange(power.shape[1])
    reach = np.maximum(SMOOTH_BINS, np.rint(SMOOTH * bins).astype(np.int64))
    reach = np.minimum(reach, np.minimum(bins, bins[::-1]))
    upto = np.pad(np.cumsum(power, axis=1), ((0, 0), (1, 0)))
    return (upto[:, bins + reach + 1] - upto[:, bins - reach]) / (2 * reach + 1)


def _seen(channels: int) -> int:
    """How many channels are looked at: of a pair, middle and side as well."""
    return 4 if channels == 2 else channels


def _chosen(power: NDArray[np.float64], middle: bool) -> NDArray[np.float64]:
    """Of a pair, middle and side or left and right."""
    return power[2:] if middle else power[:2] if len(power) == 4 else power


def _powers(
    reader: AudioReader, size: int, first: int, last: int
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.bool_]]]:
    """Powers of windows half overlapped, in batches of whole cells: (frames done, [seen, windows, bins], silent)."""
    hop = size // 2
    windows = max(0, (last - first - size) // hop + 1)
    batch = CELL_WINDOWS * max(1, BLOCK_FRAMES // (CELL_WINDOWS * hop))
    padded = Padded(reader)
    for at in range(0, windows, batch):
        count = min(batch, windows - at)
        start = first + at * hop
        sound = padded.read(start, start + (count - 1) * hop + size)
        yield start + count * hop, *_powers_of(sound, size, hop)


def _powers_of(sound: Block, size: int, hop: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Powers [seen, windows, bins], and which windows hold more exact zeros than sound [windows]."""
    spectrum = spectra(sound, size, hop)
    if len(spectrum) == 2:
        spectrum = np.concatenate([spectrum, turned(spectrum, middle=True)])
    powers = (np.square(spectrum.real) + np.square(spectrum.imag)) / (size / 2)
    zeros = np.concatenate([[0], np.cumsum(~sound.any(axis=0))])
    starts = hop * np.arange(powers.shape[1])
    return powers, zeros[starts + size] - zeros[starts] > size // 4
