"""Where sounds begin: one pass over a file for its attacks and for how its spectrum rises over time.

Beats are made of this in `beats`; the phase vocoder holds speed 1 around the attacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import fft

from core.audio.formats import BLOCK_FRAMES
from core.audio.read import read_blocks
from core.audio.samples import refuse_bad
from core.events import Operation, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo, Block
    from core.audio.read import AudioReader

HOP_SECONDS: Final = 256 / 44_100
WINDOW_HOPS: Final = 4
LAG_HOPS: Final = 2
"""A spectrum is held against the one so long before."""
LOWEST_HZ: Final = 30.0
HIGHEST_HZ: Final = 16_000.0
BANDS_AN_OCTAVE: Final = 4
KICK_HZ: Final = 150.0
FLOOR_DB: Final = -90.0
"""What is below it, dB of a full-scale sine, is silence; as is what is `DEPTH_DB` under what was heard lately."""
DEPTH_DB: Final = 60.0
FORGOTTEN_DB_S: Final = 6.0
MOST_RISE_DB: Final = 30.0
"""What one band can count for at most, so that what comes out of silence is no wonder."""

TONE_HOPS: Final = 8
"""Tones are heard so far apart, through windows twice as long."""
TONES_HZ: Final = (65.4, 2093.0)
TONES: Final = 12

RISE_DB: Final = 1.2
"""By how much an attack lifts the spectrum more than is usual around it, mean over the bands."""
USUAL_SHARE: Final = 0.8
"""And by such a share of what is usual: where much goes on, more of it is chance."""
USUAL_HOPS: Final = 64
"""What is usual is the median over so many hops before and after."""
APART_HOPS: Final = 4

KNOWN_HOPS: Final = 5
"""What sounds on is learnt from so many hops."""
SEARCH_HOPS: Final = 4
"""An attack is looked for from so many hops before the summit that it makes,"""
AFTER_HOPS: Final = 2
"""to so many after it."""
LOUD_HOPS: Final = 4
"""How loud an attack is, so many hops say."""
BEFORE_HOPS: Final = SEARCH_HOPS + KNOWN_HOPS - 1
ORDER: Final = 16
"""Of the linear prediction that takes away what sounds on."""
RATIO_DB: Final = 3.0
"""What is not predicted must be so much stronger after an attack than before it."""
LIKELIER: Final = 30.0
"""And the change that much likelier than none, as a logarithm: noise has 25 once in many hours."""
SMOOTH_SECONDS: Final = 0.0005


class Heard(NamedTuple):
    """What a file sounds like to somebody who taps along.

    Hop h of the envelopes is about frame h * hop of the file; they are dB by which the spectrum rose there, mean over
    the bands, and 0 where nothing rises.
    """

    sample_rate: int
    frames: int
    hop: int
    """Frames from one value of the envelopes to the next."""
    envelope: NDArray[np.float32]
    """Of all that is heard, float32 [hops]."""
    low: NDArray[np.float32]
    """Of what is below 150 Hz, as kicks are, float32 [hops]."""
    tones: NDArray[np.float32]
    """How much of each of the twelve tones of an octave sounds, all octaves together, every `TONE_HOPS` hops: float32
    [tones, 12]."""
    onsets: NDArray[np.int64]
    """The frames at which attacks begin, rising, int64 [attacks]."""
    strengths_db: NDArray[np.float32]
    """By how much the spectrum rose there, float32 [attacks]."""
    levels_db: NDArray[np.float32]
    """How loud what begins there is, dB of a full-scale square wave in one channel, float32 [attacks]."""


def listen(reader: AudioReader) -> Operation[Heard]:
    """Hears a file from its beginning to its end; the reader belongs to the caller.

    Channels count by their power, so that what cancels in mono is heard, too. Raises UnbakeError as the reader does,
    and for NaN or infinite samples.
    """
    info = reader.info
    reader.seek(0)
    listener = Listener(info)
    done = 0
    for block in read_blocks(reader, BLOCK_FRAMES):
        refuse_bad(block, done, info)
        listener.push(block)
        done += block.shape[1]
        yield Progress("listening", done, info.frames, info.seconds)
    return listener.result()


class Listener:
    """Takes a file block by block."""

    def __init__(self, info: AudioInfo) -> None:
        self._info = info
        self._hop = max(1, round(HOP_SECONDS * info.sample_rate))
        self._spectra = _Rises(info, self._hop)
        self._tones = _Tones(info, self._hop)
        self._picker = _Picker()
        self._placer = _Placer(info, self._hop)
        self._envelopes: list[NDArray[np.float32]] = []
        self._found: dict[int, tuple[float, float]] = {}

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        self._placer.push(block)
        self._tones.push(block)
        self._take(self._spectra.push(block))

    def result(self) -> Heard:
        """What was heard; afterwards nothing more can be pushed."""
        self._take(self._spectra.last())
        self._place(self._picker.last())
        both = np.concatenate([np.zeros((2, 0), np.float32), *self._envelopes], axis=1)
        if not any(frame < self._hop for frame in self._found):
            # what sounds when the file begins did not rise there
            both[:, : WINDOW_HOPS // 2 + LAG_HOPS] = 0.0
        onsets = sorted(self._found)
        figures = np.array([self._found[frame] for frame in onsets], dtype=np.float32).reshape(-1, 2)
        return Heard(
            sample_rate=self._info.sample_rate,
            frames=self._info.frames,
            hop=self._hop,
            envelope=both[0],
            low=both[1],
            tones=self._tones.result(),
            onsets=np.array(onsets, dtype=np.int64),
            strengths_db=figures[:, 0],
            levels_db=figures[:, 1],
        )

    def _take(self, rises: NDArray[np.float32]) -> None:
        self._envelopes.append(rises)
        self._place(self._picker.push(rises[0]))

    def _place(self, picked: list[tuple[int, float]]) -> None:
        for place, strength in picked:
            frame = self._placer.place(place * self._hop)
            if frame is not None:
                known, _ = self._found.get(frame, (0.0, 0.0))
                self._found[frame] = max(strength, known), self._placer.level_db(frame)


class _Rises:
    """By how much the spectrum of all channels together rises from hop to hop.

    The spectral flux of S. Boeck & G. Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013, in
    dB of a few bands an octave: a band is held against the loudest of its neighbours two hops before.
    """

    def __init__(self, info: AudioInfo, hop: int) -> None:
        self._hop, self._window = hop, WINDOW_HOPS * hop
        self._size = int(fft.next_fast_len(self._window, True) or self._window)
        self._shape = np.hanning(self._window + 2)[1:-1].astype(np.float32)
        self._shape *= 2.0 / self._shape.sum()
        self._edges, kicks = _band_edges(info.sample_rate / self._size, self._size // 2 + 1)
        self._kicks = max(1, kicks)
        self._held = np.zeros((info.channels, self._window // 2), np.float32)
        self._powers = np.zeros((len(self._edges) - 1, LAG_HOPS), np.float32)
        self._loudest_db = FLOOR_DB + DEPTH_DB

    def push(self, block: Block) -> NDArray[np.float32]:
        """All that can be said by now of the whole and of the lows: float32 [2, hops]."""
        self._held = np.concatenate([self._held, block.astype(np.float32)], axis=1)
        hops = max(0, (self._held.shape[1] - self._window) // self._hop + 1)
        power = self._power(hops)
        self._held = self._held[:, hops * self._hop :]
        return self._rises(power)

    def last(self) -> NDArray[np.float32]:
        """The hops whose windows reach past the end of the file: nothing rises there, or silence would click."""
        hops = -(-max(0, self._held.shape[1] - self._window // 2) // self._hop)
        return np.zeros((2, hops), np.float32)

    def _power(self, hops: int) -> NDArray[np.float32]:
        """The power in each band, all channels together: float32 [bands, hops]."""
        power = np.zeros((hops, len(self._edges) - 1), np.float32)
        if not hops:
            return power.T
        for samples in self._held:
            windows = np.lib.stride_tricks.sliding_window_view(samples, self._window)[:: self._hop][:hops]
            spectra: NDArray[np.complex64] = np.asarray(fft.rfft(windows * self._shape, self._size))
            squares = np.square(spectra.real) + np.square(spectra.imag)
            power += np.add.reduceat(squares, self._edges, axis=1)[:, :-1]
        return power.T

    def _rises(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        hops = power.shape[1]
        if not hops:
            return np.zeros((2, 0), np.float32)
        floor = self._floors(power)
        powers = np.concatenate([self._powers, power], axis=1)
        self._powers = powers[:, hops:]
        before = powers[:, :hops].copy()
        np.maximum(before[1:], powers[:-1, :hops], out=before[1:])
        np.maximum(before[:-1], powers[1:, :hops], out=before[:-1])
        rises = np.clip(10.0 * np.log10((power + floor) / (before + floor)), 0.0, MOST_RISE_DB)
        return np.stack([rises.mean(axis=0), rises[: self._kicks].mean(axis=0)])

    def _floors(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """What counts as silence at each hop, as a power."""
        fall_db = FORGOTTEN_DB_S * HOP_SECONDS
        steps = np.arange(1, power.shape[1] + 1)
        level_db = 10.0 * np.log10(power.max(axis=0) + 1e-20)
        loudest_db = np.maximum.accumulate(np.maximum(level_db + fall_db * steps, self._loudest_db)) - fall_db * steps
        self._loudest_db = float(loudest_db[-1])
        return (10.0 ** (np.maximum(loudest_db - DEPTH_DB, FLOOR_DB) / 10.0)).astype(np.float32)


def _band_edges(bin_hz: float, bins: int) -> tuple[NDArray[np.int64], int]:
    """The bins at which bands begin, the last being where the highest ends, and how many bands are kicks."""
    octaves = np.log2(HIGHEST_HZ / LOWEST_HZ)
    edges_hz = LOWEST_HZ * 2.0 ** (np.arange(round(octaves * BANDS_AN_OCTAVE) + 1) / BANDS_AN_OCTAVE)
    edges = np.unique(np.clip(np.rint(edges_hz / bin_hz).astype(np.int64), 1, bins - 1))
    return edges, int(np.count_nonzero(edges * bin_hz < KICK_HZ))


class _Tones:
    """How much of each tone sounds: magnitudes folded into one octave, C first."""

    def __init__(self, info: AudioInfo, hop: int) -> None:
        self._step, self._window = TONE_HOPS * hop, 2 * TONE_HOPS * hop
        self._size = int(fft.next_fast_len(self._window, True) or self._window)
        self._shape = np.hanning(self._window + 2)[1:-1].astype(np.float32)
        freqs_hz = np.fft.rfftfreq(self._size, 1.0 / info.sample_rate)
        low_hz, high_hz = TONES_HZ
        self._bins = np.flatnonzero((freqs_hz >= low_hz) & (freqs_hz <= high_hz))
        tone = np.rint(TONES * np.log2(freqs_hz[self._bins] / low_hz)).astype(np.int64) % TONES
        self._fold = np.eye(TONES, dtype=np.float32)[tone]
        self._held = np.zeros((info.channels, self._window // 2), np.float32)
        self._found: list[NDArray[np.float32]] = []

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        self._held = np.concatenate([self._held, block.astype(np.float32)], axis=1)
        count = max(0, (self._held.shape[1] - self._window) // self._step + 1)
        if not count:
            return
        power = np.zeros((count, len(self._bins)), np.float32)
        for samples in self._held:
            windows = np.lib.stride_tricks.sliding_window_view(samples, self._window)[:: self._step][:count]
            spectra: NDArray[np.complex64] = np.asarray(fft.rfft(windows * self._shape, self._size))[:, self._bins]
            power += np.square(spectra.real) + np.square(spectra.imag)
        self._found.append(np.sqrt(power) @ self._fold)
        self._held = self._held[:, count * self._step :]

    def result(self) -> NDArray[np.float32]:
        """Of all windows that are full, float32 [tones, 12]."""
        return np.concatenate([np.zeros((0, TONES), np.float32), *self._found])


class _Picker:
    """Finds the summits of an envelope that comes bit by bit."""

    def __init__(self) -> None:
        self._held = np.zeros(USUAL_HOPS, np.float32)
        self._first = -USUAL_HOPS

    def push(self, envelope: NDArray[np.float32]) -> list[tuple[int, float]]:
        """Hops and heights of the summits whose neighbours are all known."""
        from scipy.ndimage import maximum_filter1d, median_filter

        self._held = np.concatenate([self._held, envelope])
        count = len(self._held) - 2 * USUAL_HOPS
        if count <= 0:
            return []
        inner = slice(USUAL_HOPS, USUAL_HOPS + count)
        usual = median_filter(self._held, 2 * USUAL_HOPS + 1, mode="nearest")[inner]
        summit = maximum_filter1d(self._held, 2 * APART_HOPS + 1, mode="nearest")[inner]
        here = self._held[inner]
        before = self._held[USUAL_HOPS - 1 : USUAL_HOPS - 1 + count]
        places = np.flatnonzero((here >= summit) & (here > before) & (here > usual * (1.0 + USUAL_SHARE) + RISE_DB))
        found = [(self._first + USUAL_HOPS + int(place), float(here[place])) for place in places]
        self._held = self._held[count:]
        self._first += count
        return found

    def last(self) -> list[tuple[int, float]]:
        """Those at the end of the file."""
        return self.push(np.zeros(USUAL_HOPS, np.float32))


class _Placer:
    """Holds what was last heard, to look for the sample at which an attack begins."""

    def __init__(self, info: AudioInfo, hop: int) -> None:
        self._hop = hop
        self._smooth = max(1, round(SMOOTH_SECONDS * info.sample_rate))
        self._keep = (2 * USUAL_HOPS + WINDOW_HOPS + BEFORE_HOPS + 2) * hop
        self._held = np.zeros((info.channels, BEFORE_HOPS * hop))
        self._first = -BEFORE_HOPS * hop

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        keep = min(self._held.shape[1], self._keep)
        self._first += self._held.shape[1] - keep
        self._held = np.concatenate([self._held[:, self._held.shape[1] - keep :], block], axis=1)

    def place(self, near: int) -> int | None:
        """The frame at which the attack near a frame begins; None where nothing begins."""
        start = near - BEFORE_HOPS * self._hop
        heard = self._held[:, start - self._first : near + AFTER_HOPS * self._hop - self._first]
        search = (BEFORE_HOPS - SEARCH_HOPS) * self._hop
        if heard.shape[1] <= max(search, KNOWN_HOPS * self._hop, ORDER + 1):
            return None
        power = _unpredicted(heard, KNOWN_HOPS * self._hop)
        begin = _beginning(power[search:], self._smooth)
        if begin is None:
            return None
        frame = max(0, start + search + begin)
        return frame if frame >= self._hop or self._dies_away() else None

    def level_db(self, frame: int) -> float:
        """How loud it is from a frame on that was heard lately."""
        begin = frame - self._first
        power = np.square(self._held[:, begin : begin + LOUD_HOPS * self._hop]).sum(axis=0)
        return float(10.0 * np.log10(power.mean() + 1e-20)) if len(power) else -200.0

    def _dies_away(self) -> bool:
        """Whether the file begins with an attack: what sounds from its first frame on may as well go on as it was."""
        power = np.square(self._held[:, -self._first :]).sum(axis=0)
        begin, later = 4 * self._hop, 16 * self._hop
        return float(power[:begin].mean()) > 4.0 * float(power[begin:later].mean() if len(power) > begin else 0.0)


def _unpredicted(heard: Block, known: int) -> NDArray[np.float64]:
    """Power of what the first `known` frames do not let expect, all channels together: float64 [frames].

    Linear prediction by the autocorrelation method (J. Makhoul, "Linear prediction: a tutorial review", Proc. IEEE 63,
    1975), one predictor for all channels.
    """
    from scipy.linalg import solve_toeplitz
    from scipy.signal import lfilter

    shaped = heard[:, :known] * np.hanning(known + 2)[1:-1]
    spectrum = np.fft.rfft(shaped, 2 * known)
    correlation = np.fft.irfft((np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=0))[: ORDER + 1]
    if correlation[0] <= 0.0:
        return np.square(heard).sum(axis=0)
    correlation[0] *= 1.0 + 1e-5
    predictor = solve_toeplitz(correlation[:-1], correlation[1:])
    left = lfilter(np.concatenate([[1.0], -predictor]), [1.0], heard, axis=1)
    return np.square(left).sum(axis=0)


def _beginning(power: NDArray[np.float64], smooth: int) -> int | None:
    """The first sample of an attack in a course of power that ends soon after it; None where nothing begins.

    Where the variance changes most likely: N. Maeda, "A method for reading and checking phase times in auto-processing
    system of seismic wave data", Zisin 38, 1985.
    """
    smoothed = np.convolve(power, np.ones(smooth) / smooth)[: len(power)]
    summit = int(np.argmax(smoothed)) + 1
    course = power[:summit]
    if summit < 4 or not course.any():
        return 0 if course.any() else None
    floor = 1e-12 * float(course.max())
    sums = np.cumsum(course + floor)
    counts = np.arange(1, summit)
    before, after = sums[:-1] / counts, (sums[-1] - sums[:-1]) / (summit - counts)
    likelihood = counts * np.log(before) + (summit - counts) * np.log(np.maximum(after, floor))
    begin = int(np.argmin(likelihood)) + 1
    usual = float(before[begin - 1])
    gain = summit * np.log(sums[-1] / summit) - likelihood[begin - 1]
    if gain < LIKELIER or float(after[begin - 1]) < 10.0 ** (RATIO_DB / 10.0) * usual:
        return None
    return begin
