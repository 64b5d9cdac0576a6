"""A time map that makes one recording follow another of the same music: a take at another tempo, or one to a click.

What tones sound and begin, and where attacks are, is compared by dynamic time warping from coarse to fine, each step
near the one before it: memory grows with the length alone. M. Mueller, H. Mattes & F. Kurth, "An efficient multiscale
approach to audio synchronization", ISMIR 2006; S. Ewert, M. Mueller & P. Grosche, "High resolution audio
synchronization using chroma onset features", ICASSP 2009.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy import fft

from core.audio.formats import BLOCK_FRAMES
from core.audio.read import read_blocks
from core.audio.samples import refuse_bad
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.session.timemap import STEEPEST, Anchor, TimeMap
from core.warp.onsets import Heard, Listener

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo, Block
    from core.audio.read import AudioReader

LEAST_SECONDS: Final = 2.0
MOST_SECONDS: Final = 4 * 3600.0
HOP_SECONDS: Final = 512 / 44_100
WINDOW_HOPS: Final = 8
TONES_HZ: Final = (100.0, 4000.0)
TONES: Final = 12
COARSE_SECONDS: Final = 0.2
MOST_COARSE: Final = 4000
"""So many steps at most are compared each with each."""
FINER: Final = 4
"""How much finer each level is than the one before it."""
NEAR_STEPS: Final = 4
"""How far from the path of a level the next one looks, in steps of that level."""
SKIPPED: Final = 0.6
"""What it costs to leave out a step at the beginning or the end; unlike steps cost about 1, and like ones 0."""
STALLED: Final = 1.0
"""What it costs, besides, when one recording goes on while the other stands still."""
COARSE_SHARES: Final = (0.5, 0.3, 0.2)
FINE_SHARES: Final = (0.1, 0.6, 0.3)
"""How much the tones that sound count, the tones that begin, and the attacks of all that is heard."""
SURE: Final = 0.12
"""Of all that could be saved by likeness, recordings of other music save less than this."""
EVEN_SECONDS: Final = 0.8
"""The path is evened out over so much to either side."""
NEAR_SECONDS: Final = 0.015
"""Attacks so near to where the path has them are the same."""
LOOSE_SECONDS: Final = 0.003
"""Attacks need not lie nearer than this to the map: no anchor is set for less."""
VAGUE_SECONDS: Final = 0.012
"""What no attack says is known to so much."""
GAP_SECONDS: Final = 0.7
"""Where there is no attack for longer than this, the path is taken."""
FAR_SECONDS: Final = 0.04
"""Attacks may be so far from where the path has them as long as all of them are, the same way."""
LEAST_ATTACKS: Final = 8
EXACT_SECONDS: Final = 0.003
"""Attacks that scatter by more than this around the line between their neighbours are evened out,"""
PLAYED_SECONDS: Final = 1.0
"""over so much to either side: nobody plays, and nothing hears, them better."""
LINGER_SECONDS: Final = 0.1
EVEN_STEPS: Final = 4
COMPRESSED: Final = 1000.0
FLOOR: Final = 1e-5
"""The amplitude of silence."""
ALIKE: Final = 0.6
"""What recordings save that differ in little but the tempo."""
SILENT: Final = 1e-3
"""What is so much softer than the loudest is silence."""


class Followed(NamedTuple):
    """A map that makes a recording follow another one.

    `confidence` is 0 (other music) to 1 (the same sound); `attacks` are so many that both have, between
    `first_seconds` and `last_seconds` of the source: outside, nothing is stretched. `semitones` is by how many the
    other recording sounds higher.
    """

    time_map: TimeMap
    confidence: float
    attacks: int
    first_seconds: float
    last_seconds: float
    semitones: int = 0


class _Sound(NamedTuple):
    """What a recording sounds like: what `Heard` has, and the twelve tones of an octave every `step_seconds`."""

    info: AudioInfo
    heard: Heard
    step_seconds: float
    sounding: NDArray[np.float32]
    """How much of each tone sounds, float32 [steps, 12]."""
    beginning: NDArray[np.float32]
    """How much of each tone begins, float32 [steps, 12]."""

    def transposed(self, semitones: int) -> _Sound:
        """As if it were so much higher."""
        return self._replace(
            sounding=np.roll(self.sounding, semitones, axis=1), beginning=np.roll(self.beginning, semitones, axis=1)
        )


def follow(reader: AudioReader, other: AudioReader) -> Operation[Followed]:
    """The map that brings what `reader` plays to where `other` plays it, counted in frames at the rate of `reader`.

    The first frame of the result is the first of `other`; either may begin or end earlier or later in the music.
    Another key is looked for where the same one does not fit. Raises UnbakeError where the two do not play the same
    music, for silence, for less than 2 s or more than 4 hours, and as the readers do.
    """
    one = yield from _hear(reader)
    two = yield from _hear(other)
    path, saved, semitones = yield from _coarse(one, two)
    if saved < SURE:
        raise UnbakeError(
            f"does not play the same music as {other.info.path}, as far as can be told",
            where=reader.info.path,
            remedy="follow another take of the same song, or make the map from beats",
        )
    if semitones:
        yield Note(f"{other.info.path} sounds {abs(semitones)} semitones {'higher' if semitones > 0 else 'lower'}")
        two = two.transposed(-semitones)
    steps = _steps(one, two)
    for level, (before, step) in enumerate(itertools.pairwise(steps), 1):
        yield Progress("following", level, len(steps))
        path = _refined(path, one, two, before, step)
    yield Progress("following", len(steps), len(steps))
    points = _points(one, two, (path + 0.5) * steps[-1])
    return Followed(
        time_map=TimeMap(_anchors(points, one.info)),
        confidence=min(1.0, saved / ALIKE),
        attacks=int(np.count_nonzero(points[:, 2] != VAGUE_SECONDS)),
        first_seconds=float(points[0, 0]),
        last_seconds=float(points[-1, 0]),
        semitones=semitones,
    )


def _hear(reader: AudioReader) -> Operation[_Sound]:
    info = reader.info
    if not LEAST_SECONDS <= info.seconds <= MOST_SECONDS:
        raise UnbakeError(
            f"is {info.seconds:.3g} s long", where=info.path, remedy="only 2 s to 4 hours can be followed"
        )
    reader.seek(0)
    listener, tones = Listener(info), _Tones(info)
    done = 0
    for block in read_blocks(reader, BLOCK_FRAMES):
        refuse_bad(block, done, info)
        listener.push(block)
        tones.push(block)
        done += block.shape[1]
        yield Progress("listening", done, info.frames, info.seconds)
    sounding, beginning = tones.result()
    if sounding.max(initial=0.0) <= FLOOR:
        raise UnbakeError("is silent", where=info.path)
    return _Sound(info, listener.result(), tones.step_seconds, sounding, beginning)


class _Tones:
    """How much of each of the twelve tones sounds, and begins, of a file that comes block by block."""

    def __init__(self, info: AudioInfo) -> None:
        self._hop = max(1, round(HOP_SECONDS * info.sample_rate))
        self.step_seconds = self._hop / info.sample_rate
        self._window = WINDOW_HOPS * self._hop
        self._size = int(fft.next_fast_len(self._window, True) or self._window)
        self._shape = np.hanning(self._window + 2)[1:-1].astype(np.float32)
        self._shape *= 2.0 / self._shape.sum()
        freqs_hz = np.fft.rfftfreq(self._size, 1.0 / info.sample_rate)
        self._bins = (freqs_hz >= TONES_HZ[0]) & (freqs_hz <= TONES_HZ[1])
        tone = TONES * np.log2(freqs_hz[self._bins] / TONES_HZ[0])
        away = np.abs((tone[:, None] - np.arange(TONES) + TONES / 2) % TONES - TONES / 2)
        self._fold = np.maximum(0.0, 1.0 - away).astype(np.float32)
        self._held = np.zeros((info.channels, self._window // 2), np.float32)
        self._before = np.zeros((2, np.count_nonzero(self._bins)), np.float32)
        self._loudest = FLOOR
        self._found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        self._held = np.concatenate([self._held, block.astype(np.float32)], axis=1)
        count = max(0, (self._held.shape[1] - self._window) // self._hop + 1)
        if not count:
            return
        power = np.zeros((count, len(self._fold)), np.float32)
        for samples in self._held:
            windows = np.lib.stride_tricks.sliding_window_view(samples, self._window)[:: self._hop][:count]
            spectra: NDArray[np.complex64] = np.asarray(fft.rfft(windows * self._shape, self._size))[:, self._bins]
            power += np.square(spectra.real) + np.square(spectra.imag)
        self._held = self._held[:, count * self._hop :]
        magnitudes = np.sqrt(power)
        self._loudest = max(self._loudest, float(magnitudes.max()))
        levels = np.concatenate([self._before, np.log1p(magnitudes * np.float32(COMPRESSED / self._loudest))])
        self._before = levels[-2:]
        rises = np.maximum(0.0, levels[2:] - levels[:-2])
        self._found.append((magnitudes @ self._fold, rises @ self._fold))

    def result(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What sounds and what begins around each step, float32 [steps, 12]."""
        self.push(np.zeros((len(self._held), self._window // 2)))
        nothing = np.zeros((0, TONES), np.float32)
        sounding = np.concatenate([nothing, *(each[0] for each in self._found)])
        beginning = np.concatenate([nothing, *(each[1] for each in self._found)])
        # a tone begins between the two spectra it is told by
        return sounding, np.concatenate([beginning[1:], 0.0 * beginning[:1]])


def _steps(one: _Sound, two: _Sound) -> list[float]:
    """Seconds of a step at each level, the coarsest first."""
    longest = max(one.info.seconds, two.info.seconds)
    steps = [max(COARSE_SECONDS, longest / MOST_COARSE)]
    while steps[-1] > 1.5 * HOP_SECONDS:
        steps.append(max(HOP_SECONDS, steps[-1] / FINER))
    return steps


def _coarse(one: _Sound, two: _Sound) -> Operation[tuple[NDArray[np.int64], float, int]]:
    """The path of the coarsest level, how much of what could be saved it saves, and semitones that `two` is higher."""
    step = _steps(one, two)[0]
    mine = _features(one, step)
    steps = min(_sounding_seconds(one), _sounding_seconds(two)) / step
    yield Progress("comparing", 0, TONES)
    path, saved = _compared(mine, _features(two, step), steps)
    found = [(saved, 0, path)]
    for semitones in (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6) if saved < SURE else ():
        yield Progress("comparing", len(found), TONES)
        path, saved = _compared(mine, _features(two.transposed(-semitones), step), steps)
        found.append((saved, semitones, path))
    yield Progress("comparing", TONES, TONES)
    saved, semitones, path = max(found, key=operator.itemgetter(0))
    return path, saved, semitones


def _compared(mine: NDArray[np.float32], theirs: NDArray[np.float32], steps: float) -> tuple[NDArray[np.int64], float]:
    """The cheapest path of all, and what it saves of what `steps` that are all alike would."""
    low = np.zeros(len(mine), np.int64)
    path, cost = _path(mine, theirs, low, low + len(theirs))
    return path, (SKIPPED * (len(mine) + len(theirs)) - cost) / (2.0 * SKIPPED * steps)


def _refined(path: NDArray[np.int64], one: _Sound, two: _Sound, before: float, step: float) -> NDArray[np.int64]:
    """The path in steps of `step` seconds, near to that in steps of `before` seconds."""
    mine, theirs = _features(one, step), _features(two, step)
    places = (path + 0.5) * (before / step) - 0.5
    slack = NEAR_STEPS * before / step
    rows = np.arange(len(mine))
    last = len(places) - 1 - np.unique(places[::-1, 0], return_index=True)[1]
    row, first = np.unique(places[:, 0], return_index=True)
    low = np.floor(np.interp(rows, row, places[first, 1]) - slack)
    high = np.ceil(np.interp(rows, row, places[last, 1]) + slack) + 1
    low = np.clip(low, 0, len(theirs) - 1).astype(np.int64)
    return _path(mine, theirs, low, np.clip(high, low + 1, len(theirs)).astype(np.int64))[0]


def _features(sound: _Sound, step: float) -> NDArray[np.float32]:
    """What is compared, float32 [steps, features]: the product of two rows is 1 where they are alike, 0 by chance."""
    times = (np.arange(max(1, int(sound.info.seconds / step))) + 0.5) * step
    shares = FINE_SHARES if step < 2.0 * HOP_SECONDS else COARSE_SHARES
    levels = np.log1p(sound.sounding * (COMPRESSED / 10.0 / sound.sounding.max()))
    tones = _smoothed(levels, max(EVEN_STEPS, round(step / sound.step_seconds)))
    begins = _evened(sound.beginning, 1.0 / sound.step_seconds)
    begins = _lingering(_highest(begins, round(step / sound.step_seconds)), round(LINGER_SECONDS / sound.step_seconds))
    hop_seconds = sound.heard.hop / sound.heard.sample_rate
    attacks = _evened(np.stack([sound.heard.envelope, sound.heard.low], axis=1), 2.0 / hop_seconds)
    attacks = _highest(attacks, round(step / hop_seconds))
    found = [
        _directions(_sampled(tones, sound.step_seconds, times), 0.05),
        _directions(_sampled(begins, sound.step_seconds, times), 0.5),
        _deviations(_sampled(attacks, hop_seconds, times)),
    ]
    return np.concatenate([each * np.float32(math.sqrt(share)) for each, share in zip(found, shares, strict=True)], 1)


def _smoothed(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    from scipy.ndimage import uniform_filter1d

    # in float64: the running sums of float32 drift, and become negative in silence
    return uniform_filter1d(values.astype(np.float64), steps, axis=0).astype(np.float32)


def _highest(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    from scipy.ndimage import maximum_filter1d

    return maximum_filter1d(values, steps, axis=0) if steps > 1 else values


def _evened(values: NDArray[np.float32], steps: float) -> NDArray[np.float32]:
    """As large as is usual around each step: loud and soft passages count alike."""
    power = np.square(values).sum(axis=1, keepdims=True)
    usual = np.sqrt(np.maximum(_smoothed(power, max(1, round(steps))), 0.0))
    floor = 0.1 * float(np.sqrt(power.mean())) + 1e-9
    return np.minimum(values / (usual + floor), 4.0).astype(np.float32)


def _lingering(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """What begins fades over so many steps, so that what begins a little apart is a little alike."""
    found = values.copy()
    for step in range(1, min(steps, len(values))):
        fade = np.float32(math.sqrt(1.0 - step / steps))
        np.maximum(found[step:], values[:-step] * fade, out=found[step:])
    return found


def _sampled(values: NDArray[np.float32], step_seconds: float, times: NDArray[np.float64]) -> NDArray[np.float32]:
    places = np.minimum(times / step_seconds, len(values) - 1)
    before = np.minimum(places.astype(np.int64), max(0, len(values) - 2))
    part = (places - before).astype(np.float32)[:, None]
    after = np.minimum(before + 1, len(values) - 1)
    return (values[before] * (1.0 - part) + values[after] * part).astype(np.float32)


def _directions(values: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """Which way each row differs from the usual one, of length 1 but where it hardly does."""
    off = values - values.mean(axis=0)
    length = np.sqrt(np.square(off).sum(axis=1, keepdims=True))
    return (off / (length + floor * length.mean() + 1e-9)).astype(np.float32)


def _deviations(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much each row differs from the usual one, mean length 1."""
    off = values - values.mean(axis=0)
    return (off / (np.sqrt(np.square(off).sum(axis=1).mean()) + 1e-9)).astype(np.float32)


def _path(
    one: NDArray[np.float32], two: NDArray[np.float32], low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """The cheapest way through both, row i of `one` beside rows low[i] to high[i] of `two`, and what it costs."""
    starts = np.concatenate([[0], np.cumsum(high - low)])
    moves = np.zeros(int(starts[-1]), np.uint8)
    path = np.zeros((len(one) + len(two), 2), np.int64)
    count, cost = _compiled()(
        np.ascontiguousarray(one), np.ascontiguousarray(two), low, high, starts, moves, path, SKIPPED, STALLED
    )
    return path[:count][::-1], float(cost)


def find_path(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    starts: NDArray[np.int64],
    moves: NDArray[np.uint8],
    path: NDArray[np.int64],
    skipped: float,
    stalled: float,
) -> tuple[int, float]:
    """Dynamic time warping with steps (1,1), (1,2) and (2,1), and (1,0) and (0,1) at `stalled` more; ends are free.

    Fills `path` from its end backwards and gives how many places it has, and the cost. H. Sakoe & S. Chiba, "Dynamic
    programming algorithm optimization for spoken word recognition", IEEE Trans. ASSP 26, 1978.
    """
    rows, columns, width = len(one), len(two), one.shape[1]
    never = 1e30
    cost, cost1 = np.full(columns, never), np.full(columns, never)
    total, total1, total2 = np.full(columns, never), np.full(columns, never), np.full(columns, never)
    best, row, column = never, 0, 0
    for i in range(rows):
        total[:] = never
        cost[:] = never
        for j in range(low[i], high[i]):
            alike = 0.0
            for k in range(width):
                alike += one[i, k] * two[j, k]
            here = 1.0 - alike
            cost[j] = here
            least, move = never, 0
            if i == 0 or j == 0:
                least = skipped * (i + j) + 2.0 * here
            if i > 0:
                if total1[j] + here + stalled < least:
                    least, move = total1[j] + here + stalled, 2
                if j > 0 and total1[j - 1] + 2.0 * here < least:
                    least, move = total1[j - 1] + 2.0 * here, 1
                if j > 1 and total1[j - 2] + 1.5 * (here + cost[j - 1]) < least:
                    least, move = total1[j - 2] + 1.5 * (here + cost[j - 1]), 4
                if i > 1 and j > 0 and total2[j - 1] + 1.5 * (here + cost1[j]) < least:
                    least, move = total2[j - 1] + 1.5 * (here + cost1[j]), 5
            if j > 0 and total[j - 1] + here + stalled < least:
                least, move = total[j - 1] + here + stalled, 3
            total[j] = least
            moves[starts[i] + j - low[i]] = move
            if i == rows - 1 or j == columns - 1:
                ended = least + skipped * (rows - 1 - i + columns - 1 - j)
                if ended < best:
                    best, row, column = ended, i, j
        cost, cost1 = cost1, cost
        total, total1, total2 = total2, total, total1
    count = 0
    while True:
        path[count, 0], path[count, 1] = row, column
        count += 1
        move = moves[starts[row] + column - low[row]]
        if move == 0:
            return count, best
        row -= 0 if move == 3 else 2 if move == 5 else 1
        column -= 0 if move == 2 else 2 if move == 4 else 1


@functools.cache
def _compiled() -> Callable[..., Any]:
    """`find_path` as machine code, kept on disk."""
    import numba  # half a second: only for those who follow

    table, line = "float32[:,::1]", "int64[::1]"
    signature = f"({table}, {table}, {line}, {line}, {line}, uint8[::1], int64[:,::1], float64, float64)"
    try:
        return numba.njit(signature, nogil=True, cache=True)(find_path)
    except RuntimeError:  # no folder that it could keep it in: then it is compiled every time
        return numba.njit(signature, nogil=True)(find_path)


def _points(one: _Sound, two: _Sound, path: NDArray[np.float64]) -> NDArray[np.float64]:
    """What lies on what: seconds of the one and of the other, and to how many it is known, float64 [points, 3]."""
    heard = path[_sounds(one, path[:, 0]) & _sounds(two, path[:, 1])]
    if len(heard) < 2 or heard[-1, 0] - heard[0, 0] < LEAST_SECONDS / 2.0:
        raise UnbakeError("too little of it is alike to follow", where=one.info.path)
    mine, rows = np.unique(heard[:, 0], return_inverse=True)
    theirs = np.bincount(rows, heard[:, 1]) / np.bincount(rows)
    attacks = one.heard.onsets / one.heard.sample_rate
    attacks = attacks[(attacks >= mine[0] - EVEN_SECONDS) & (attacks <= mine[-1] + EVEN_SECONDS)]
    expected = _line(mine, theirs, attacks, EVEN_SECONDS)
    found, late = _attacks(attacks, expected, two.heard.onsets / two.heard.sample_rate)
    scatter = _scatter(found)
    share = scatter**2 / (scatter**2 + EXACT_SECONDS**2)
    found[:, 1] += share * (_line(found[:, 0], found[:, 1], found[:, 0], PLAYED_SECONDS) - found[:, 1])
    known = np.full(len(found), max(LOOSE_SECONDS, scatter))
    between = _unattacked(found[:, 0], mine)
    between = between[_sounds(one, between)]
    # between attacks the path is off by what it is off at them
    off = np.interp(between, found[:, 0], late) if len(found) else 0.0
    vague = np.stack([between, _line(mine, theirs, between, EVEN_SECONDS) + off], axis=1)
    points = np.concatenate(
        [np.column_stack([found, known]), np.column_stack([vague, np.full(len(vague), VAGUE_SECONDS)])]
    )
    points = points[np.argsort(points[:, 0], kind="stable")]
    return points[_rising(points)]


def _attacks(
    attacks: NDArray[np.float64], expected: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Attacks that both have, float64 [attacks, 2], and by how much later they are than was expected."""
    here, there = _paired(expected, others, FAR_SECONDS)
    # all of them are off by something, where tones of the one grow faster than those of the other
    off = float(np.median(others[there] - expected[here])) if len(here) >= LEAST_ATTACKS else 0.0
    here, there = _paired(expected + off, others, NEAR_SECONDS)
    found = np.stack([attacks[here], others[there]], axis=1)
    rising = _rising(found)
    return found[rising], (others[there] - expected[here])[rising]


def _line(x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """y at places, on lines through what is within `reach` of each, what is nearer counting for more."""
    if not len(at):
        return np.zeros(0)
    starts, ends = np.searchsorted(x, at - reach), np.searchsorted(x, at + reach)
    found = np.empty(len(at))
    for number, (start, end, place) in enumerate(zip(starts, ends, at, strict=True)):
        if end - start < 3:
            start, end = max(0, min(start, len(x) - 3)), min(len(x), max(end, start + 3))
        off = x[start:end] - place
        weights = np.maximum(1e-3, 1.0 - np.abs(off / reach) ** 3) ** 3
        mass = weights.sum()
        mean_x, mean_y = weights @ off / mass, weights @ y[start:end] / mass
        spread = weights @ np.square(off - mean_x)
        slope = weights @ ((off - mean_x) * (y[start:end] - mean_y)) / spread if spread > 0.0 else 1.0
        found[number] = mean_y - slope * mean_x
    return found


def _paired(
    expected: NDArray[np.float64], others: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of those that are each other's nearest, within `reach`."""
    if not len(expected) or not len(others):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.argsort(expected, kind="stable")
    nearest = _nearest(others, expected)
    back = order[_nearest(expected[order], others)]
    mutual = back[nearest] == np.arange(len(expected))
    here = np.flatnonzero(mutual & (np.abs(others[nearest] - expected) <= reach))
    return here, nearest[here]


def _nearest(rising: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.int64]:
    after = np.minimum(np.searchsorted(rising, to), len(rising) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(rising[before] - to) < np.abs(rising[after] - to), before, after)


def _rising(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Those that come after all before them, in both recordings."""
    if not len(points):
        return np.zeros(0, bool)
    highest = np.maximum.accumulate(points[:, 1])
    later = np.concatenate([[True], points[1:, 1] > highest[:-1]])
    return later & np.concatenate([[True], np.diff(points[:, 0]) > 0.0])


def _scatter(found: NDArray[np.float64]) -> float:
    """How far attacks are from the line between their neighbours, in seconds."""
    if len(found) < LEAST_ATTACKS:
        return 0.0
    (a, b), (x, y), (c, d) = found[:-2].T, found[1:-1].T, found[2:].T
    share = (x - a) / (c - a)
    off = y - b - share * (d - b)
    # of three points that scatter alike
    off /= np.sqrt(1.0 + np.square(share) + np.square(1.0 - share))
    return 1.4826 * float(np.median(np.abs(off)))


def _unattacked(attacks: NDArray[np.float64], path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places where there is no attack for longer than `GAP_SECONDS`, half as far apart."""
    found: list[NDArray[np.float64]] = []
    for start, end in itertools.pairwise([path[0], *attacks, path[-1]]):
        parts = int((end - start) / GAP_SECONDS * 2.0)
        if end - start > GAP_SECONDS:
            found.append(start + (end - start) * (np.arange(parts) + 0.5) / parts)
    return np.concatenate([np.zeros(0), *found])


def _sounds(sound: _Sound, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    loudness = sound.sounding.max(axis=1)
    here = loudness[np.minimum((times / sound.step_seconds).astype(np.int64), len(loudness) - 1)]
    return here > loudness.max() * SILENT


def _sounding_seconds(sound: _Sound) -> float:
    loudness = sound.sounding.max(axis=1)
    return max(LEAST_SECONDS, float(np.count_nonzero(loudness > loudness.max() * SILENT)) * sound.step_seconds)


def _anchors(points: NDArray[np.float64], info: AudioInfo) -> tuple[Anchor, ...]:
    """As few of the points as lead past all others as near as they are known, on whole frames."""
    kept = np.flatnonzero(_needed(points))
    found: list[Anchor] = []
    for place in kept:
        anchor = (
            min(max(0, round(points[place, 0] * info.sample_rate)), info.frames),
            round(points[place, 1] * info.sample_rate),
        )
        if anchor[1] < 0:
            continue
        if found:
            source, target = anchor[0] - found[-1][0], anchor[1] - found[-1][1]
            if not (0 < source <= STEEPEST * target and 0 < target <= STEEPEST * source):
                continue
        found.append(anchor)
    return tuple(found)


def _needed(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """D. Douglas & T. Peucker, "Algorithms for the reduction of the number of points required to represent a digitized
    line or its caricature", Cartographica 10, 1973; vertically, each point with its own tolerance.
    """
    needed = np.zeros(len(points), bool)
    needed[[0, -1]] = True
    left = [(0, len(points) - 1)]
    while left:
        start, end = left.pop()
        if end - start < 2:
            continue
        x, y, known = points[start + 1 : end].T
        slope = (points[end, 1] - points[start, 1]) / (points[end, 0] - points[start, 0])
        off = np.abs(y - points[start, 1] - slope * (x - points[start, 0])) / known
        worst = int(np.argmax(off))
        if off[worst] > 1.0:
            middle = start + 1 + worst
            needed[middle] = True
            left += [(start, middle), (middle, end)]
    return needed
