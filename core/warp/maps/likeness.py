"""What makes two recordings alike: the tones that sound and begin, the attacks, and the best way through both.

S. Ewert, M. Mueller & P. Grosche, "High resolution audio synchronization using chroma onset features", ICASSP 2009.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy import fft

from core.audio.formats import BLOCK_FRAMES, AudioInfo
from core.audio.read import read_blocks
from core.audio.samples import refuse_bad
from core.errors import UnbakeError
from core.events import Operation, Progress
from core.warp.rhythm.onsets import Heard, Listener

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block
    from core.audio.read import AudioReader

LEAST_SECONDS: Final = 2.0
MOST_SECONDS: Final = 4 * 3600.0
HOP_SECONDS: Final = 512 / 44_100
"""From one spectrum to the next, each through a window of `WINDOW_HOPS` hops."""
WINDOW_HOPS: Final = 8
TONES_HZ: Final = (100.0, 4000.0)
TONES: Final = 12
SKIPPED: Final = 0.6
"""What it costs to leave out a step at the beginning or the end; unlike steps cost about 1, and like ones 0."""
STALLED: Final = 1.0
"""What it costs, besides, when one recording goes on while the other stands still."""
COARSE_SHARES: Final = (0.5, 0.3, 0.2)
FINE_SHARES: Final = (0.1, 0.6, 0.3)
"""How much the tones that sound count, the tones that begin, and the attacks of all that is heard."""
LINGER_SECONDS: Final = 0.1
"""What begins so much apart is still a little alike."""
EVEN_STEPS: Final = 4
"""Tones that sound are averaged over so many hops."""
COMPRESSED: Final = 1000.0
"""How much louder the loudest is than what counts in proportion; above, levels count by their logarithm."""
FLOOR: Final = 1e-5
"""The amplitude of silence."""
SILENT: Final = 1e-3
"""What is so much softer than the loudest is silence."""


class Music(NamedTuple):
    """What a recording sounds like: what `Heard` has, and the twelve tones of an octave every `step_seconds`."""

    info: AudioInfo
    heard: Heard
    step_seconds: float
    sounding: NDArray[np.float32]
    """How much of each tone sounds, float32 [steps, 12]."""
    beginning: NDArray[np.float32]
    """How much of each tone begins, float32 [steps, 12]."""

    def transposed(self, semitones: int) -> Music:
        """As if it were so much higher."""
        return self._replace(
            sounding=np.roll(self.sounding, semitones, axis=1), beginning=np.roll(self.beginning, semitones, axis=1)
        )


def hear(reader: AudioReader) -> Operation[Music]:
    """Hears a file from its beginning to its end; channels count by their power.

    Raises UnbakeError for silence, for less than 2 s or more than 4 hours, for NaN or infinite samples, and as the
    reader does.
    """
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
    return Music(info, listener.result(), tones.step_seconds, sounding, beginning)


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


def sounds(sound: Music, times: NDArray[np.float64], steps: int = 1) -> NDArray[np.bool_]:
    """Whether there is more than silence at times, or anywhere within `steps` around them."""
    loudness = _highest(sound.sounding.max(axis=1), steps)
    here = loudness[np.minimum((times / sound.step_seconds).astype(np.int64), len(loudness) - 1)]
    return here > loudness.max() * SILENT


def sounding_seconds(sound: Music) -> float:
    """How long it is not silent."""
    loudness = sound.sounding.max(axis=1)
    return max(LEAST_SECONDS, float(np.count_nonzero(loudness > loudness.max() * SILENT)) * sound.step_seconds)


def features(sound: Music, step: float) -> NDArray[np.float32]:
    """What is compared, float32 [steps, features]: the product of two rows is 1 where they are alike, 0 by chance."""
    times = (np.arange(max(1, int(sound.info.seconds / step)), dtype=np.float64) + 0.5) * np.float64(step)
    shares = FINE_SHARES if step < 2.0 * HOP_SECONDS else COARSE_SHARES
    levels = np.log1p(sound.sounding * (COMPRESSED / 10.0 / sound.sounding.max()))
    tones = _smoothed(levels, max(EVEN_STEPS, round(step / sound.step_seconds)))
    begins = _evened(sound.beginning, 1.0 / sound.step_seconds)
    begins = _lingering(_highest(begins, round(step / sound.step_seconds)), round(LINGER_SECONDS / sound.step_seconds))
    hop_seconds = sound.heard.hop / sound.heard.sample_rate
    attacks = _evened(np.stack([sound.heard.envelope, sound.heard.low], axis=1), 2.0 / hop_seconds)
    attacks = _highest(attacks, round(step / hop_seconds))
    silent = ~sounds(sound, times, round(step / sound.step_seconds))
    found = [
        _directions(_sampled(tones, sound.step_seconds, times), 0.05, silent),
        _directions(_sampled(begins, sound.step_seconds, times), 0.5, silent),
        _deviations(_sampled(attacks, hop_seconds, times)),
    ]
    weighed = [each * np.float32(math.sqrt(share)) for each, share in zip(found, shares, strict=True)]
    return np.concatenate([*weighed, silent[:, None].astype(np.float32)], axis=1)


def _smoothed(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    from scipy.ndimage import uniform_filter1d

    # in float64: the running sums of float32 drift, and become negative in silence
    return uniform_filter1d(values.astype(np.float64), steps, axis=0).astype(np.float32)


def _highest(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    from scipy.ndimage import maximum_filter1d

    return np.asarray(maximum_filter1d(values, steps, axis=0), np.float32) if steps > 1 else values


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


def _directions(values: NDArray[np.float32], floor: float, silent: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Which way each row differs from the usual one, of length 1 but where it hardly does; 0 in silence."""
    if silent.all():
        return np.zeros_like(values)
    off = np.where(silent[:, None], np.float32(0.0), values - values[~silent].mean(axis=0))
    length = np.sqrt(np.square(off).sum(axis=1, keepdims=True))
    return (off / (length + floor * length[~silent].mean() + 1e-9)).astype(np.float32)


def _deviations(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much each row differs from the usual one, mean length 1."""
    off = values - values.mean(axis=0)
    return (off / (np.sqrt(np.square(off).sum(axis=1).mean()) + 1e-9)).astype(np.float32)


def best_path(
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
