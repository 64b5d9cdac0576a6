"""Loudness, loudness range and true peak of a stream of blocks: ITU-R BS.1770-4, EBU Tech 3341 and 3342.

Blocks go in, of any size; what is kept of them is one energy per 100 ms, so memory does not grow with the channels'
samples and the answer does not depend on how the stream was cut.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.errors import UnbakeError
from core.measure.levels import power_to_db, to_dbfs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block

ABSOLUTE_GATE_LUFS: Final = -70.0
RELATIVE_GATE_LU: Final = -10.0
RANGE_GATE_LU: Final = -20.0  # EBU Tech 3342
HOPS_PER_SECOND: Final = 10
MOMENTARY_HOPS: Final = 4  # 400 ms; also the gating block of BS.1770, 75 % overlapped
SHORT_TERM_HOPS: Final = 30  # 3 s
OFFSET_LU: Final = -0.691  # makes a 0 dBFS 997 Hz sine in one front channel read -3.01 LUFS
LOWEST_RATE: Final = 4000  # below it the shelf of the K curve lies over the Nyquist frequency

TAPS: Final = 32  # input samples under the interpolator, even
SUB_BLOCK: Final = 16  # samples that are interpolated or skipped together, a power of two
PIECE: Final = 16384  # samples searched at a time: fresh memory for more costs more than the search


class Loudness(msgspec.Struct, frozen=True):
    """What a meter says about a programme; None where there is nothing to say.

    `lufs_i` is None when no 400 ms block is above -70 LUFS, `lra_lu` when fewer than two 3 s windows are (EBU Tech 3342
    asks for a minute or more before a range is worth quoting), peaks and maxima for digital silence.
    """

    lufs_i: float | None
    lra_lu: float | None
    true_peak_dbtp: float | None
    max_momentary_lufs: float | None
    max_short_term_lufs: float | None
    sample_peak_dbfs: float | None


def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """The K curve as second-order sections, float64 [2, 6] (b0 b1 b2 1 a1 a2): high shelf, then high-pass.

    The analogue prototype behind the 48 kHz coefficients of BS.1770-4 tables 1 and 2, put through the bilinear
    transform with its corner pre-warped; at 48 kHz it gives the printed values back. Raises UnbakeError below 4 kHz.
    """
    if sample_rate < LOWEST_RATE:
        raise UnbakeError(f"loudness is not defined at {sample_rate} Hz", remedy=f"use {LOWEST_RATE} Hz or more")
    shelf_k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    shelf_q = 0.7071752369554196
    high = 10.0 ** (3.999843853973347 / 20.0)
    middle = high**0.4996667741545416
    shelf_a0 = 1.0 + shelf_k / shelf_q + shelf_k**2
    pass_q = 0.5003270373238773
    pass_k, printed_k = (math.tan(math.pi * 38.13547087602444 / rate) for rate in (sample_rate, 48_000))
    pass_a0, printed_a0 = (1.0 + k / pass_q + k**2 for k in (pass_k, printed_k))
    # The printed numerator is 1 -2 1, 0.04 dB more than the prototype's, and the offset of -0.691 counts on it.
    gain = printed_a0 / pass_a0
    return np.array(
        [
            [
                (high + middle * shelf_k / shelf_q + shelf_k**2) / shelf_a0,
                2.0 * (shelf_k**2 - high) / shelf_a0,
                (high - middle * shelf_k / shelf_q + shelf_k**2) / shelf_a0,
                1.0,
                2.0 * (shelf_k**2 - 1.0) / shelf_a0,
                (1.0 - shelf_k / shelf_q + shelf_k**2) / shelf_a0,
            ],
            [
                gain,
                -2.0 * gain,
                gain,
                1.0,
                2.0 * (pass_k**2 - 1.0) / pass_a0,
                (1.0 - pass_k / pass_q + pass_k**2) / pass_a0,
            ],
        ]
    )


def channel_weights(speakers: tuple[str, ...]) -> NDArray[np.float64]:
    """The weights G of BS.1770-4, float64 [channels]: front 1, surround 1.41, LFE 0.

    Back channels are the surrounds of a 5.1 file that calls them so (1.41); beside side channels they stand at 135
    degrees, and the back centre always at 180, where table 4 of the standard says 1. Raises UnbakeError for a speaker
    it has no place for.
    """
    surrounds = {"Ls": 1.41, "Rs": 1.41}
    back = 1.0 if surrounds.keys() & set(speakers) else 1.41
    table = {"L": 1.0, "R": 1.0, "C": 1.0, "M": 1.0, "LFE": 0.0, "Cs": 1.0, "Lb": back, "Rb": back} | surrounds
    unknown = [name for name in speakers if name not in table]
    if unknown:
        raise UnbakeError(f"loudness has no weight for speaker {unknown[0]!r}", remedy=f"use {', '.join(table)}")
    return np.array([table[name] for name in speakers])


class LoudnessMeter:
    """Integrated loudness, range, maxima and peaks of one stream.

    `speakers` names the channels in order ("L", "R", "C", "LFE", "Ls", "Rs", "Cs", "Lb", "Rb", "M"). True peak is
    measured with 4x oversampling below 96 kHz, 2x below 192 kHz, and is the sample peak from there on; `fine` looks
    at four times as many places, for who must not miss a peak between them. With `true_peak=False` it is None. With
    `mono_sum` the sum of two channels is metered, too. Raises UnbakeError for unknown speakers and sample rates below
    4 kHz, ValueError for a mono sum of other than two.
    """

    def __init__(
        self,
        sample_rate: int,
        speakers: tuple[str, ...],
        *,
        true_peak: bool = True,
        fine: bool = False,
        mono_sum: bool = False,
    ) -> None:
        weights = channel_weights(speakers)
        if mono_sum and len(speakers) != 2:
            raise ValueError(f"{len(speakers)} channels have no mono sum")
        self._mono_sum = mono_sum
        self._rate = sample_rate
        self._heard = np.flatnonzero(weights)
        self._weights = weights[self._heard]
        self._sos = k_weighting(sample_rate)
        self._state = np.zeros((2, len(self._heard), 2))
        # One second at a time whatever comes in: ten hops fit it exactly at every integer rate.
        self._second = np.zeros((len(speakers), sample_rate))
        self._filled = 0
        self._edges = np.arange(HOPS_PER_SECOND + 1) * sample_rate // HOPS_PER_SECOND
        self._energies: list[NDArray[np.float64]] = []
        """Of every second: weighted energy of its hops, and of those of the mono sum where it is metered."""
        self._peak = 0.0
        self._true_peak = _TruePeak(sample_rate, len(speakers), 4 if fine else 1) if true_peak else None

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames] (1.0 is full scale), any number of frames, and keeps no reference to it.

        Raises UnbakeError for the wrong number of channels and for NaN or infinite samples, within a second of them.
        """
        if block.ndim != 2 or len(block) != len(self._second):
            raise UnbakeError(f"the loudness meter was set up for {len(self._second)} channels, not {block.shape}")
        start = 0
        while start < block.shape[1]:
            taken = min(block.shape[1] - start, self._rate - self._filled)
            self._second[:, self._filled : self._filled + taken] = block[:, start : start + taken]
            self._filled += taken
            start += taken
            if self._filled == self._rate:
                peak = _peak(self._second)
                energies, self._state = self._weigh(self._second, peak, self._edges)
                self._energies.append(energies)
                self._peak = max(self._peak, peak)
                if self._true_peak is not None:
                    self._true_peak.push(self._second, peak)
                self._filled = 0

    def result(self) -> Loudness:
        """What has been pushed so far, as if the programme ended here; pushing may go on afterwards."""
        rest = self._second[:, : self._filled]
        peak = max(self._peak, _peak(rest))
        true_peak = None if self._true_peak is None else self._true_peak.ended(rest, _peak(rest))
        hops = self._hops()[0]
        momentary = self._means(hops, MOMENTARY_HOPS)
        short_term = self._means(hops, SHORT_TERM_HOPS)
        return Loudness(
            lufs_i=integrated_lufs(momentary),
            lra_lu=loudness_range_lu(short_term),
            true_peak_dbtp=None if true_peak is None else to_dbfs(true_peak),
            max_momentary_lufs=_lufs(momentary.max(initial=0.0)),
            max_short_term_lufs=_lufs(short_term.max(initial=0.0)),
            sample_peak_dbfs=to_dbfs(peak),
        )

    def ungated_lufs(self) -> float | None:
        """K-weighted level of all that was pushed, quiet or short as it may be; None for silence.

        The formula of BS.1770-4 without its gates: for a null test's residual, which mostly lies below the -70 LUFS
        gate of a programme.
        """
        energy, frames = sum(float(hops[0].sum()) for hops in self._energies), self._rate * len(self._energies)
        if self._filled:
            rest = self._second[:, : self._filled]
            energy += float(self._weigh(rest, _peak(rest), np.array([0, self._filled]))[0][0, 0])
        return _lufs(energy / (frames + self._filled)) if energy > 0.0 else None

    def mono_loss_lu(self) -> float | None:
        """How much quieter the mean of left and right is on both speakers than left and right, integrated, in LU.

        0 for mono, 3 for two sounds that have nothing in common. None where either is gated, or not metered.
        """
        if not self._mono_sum:
            return None
        stereo, mono = (integrated_lufs(self._means(hops, MOMENTARY_HOPS)) for hops in self._hops())
        return None if stereo is None or mono is None else stereo - mono

    def _hops(self) -> NDArray[np.float64]:
        """Weighted energy of every whole hop so far, and that of the mono sum, float64 [1 or 2, hops]."""
        seconds = [np.zeros((1 + self._mono_sum, 0)), *self._energies]
        whole = int(np.searchsorted(self._edges, self._filled, side="right")) - 1
        if whole:
            edges = self._edges[: whole + 1]
            rest = self._second[:, : edges[-1]]
            seconds.append(self._weigh(rest, _peak(rest), edges)[0])
        return np.concatenate(seconds, axis=1)

    def _weigh(
        self, second: Block, peak: float, edges: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weighted energy of each hop, float64 [1 or 2, hops] as `_hops`, and the filter's state after the last."""
        # After a silent second the ringing of the high-pass is far below anything a float holds; it ends there, so
        # that silence costs nothing.
        if peak == 0.0 and np.abs(self._state).max(initial=0.0) < 1e-60:
            return np.zeros((1 + self._mono_sum, len(edges) - 1)), np.zeros_like(self._state)
        from scipy.signal import sosfilt  # 1.5 s to import: only for those who measure

        heard = second if len(self._heard) == len(second) else second[self._heard]
        filtered, state = sosfilt(self._sos, heard, zi=self._state)
        product = filtered[:1] * filtered[1:] if self._mono_sum else filtered[:0]
        np.square(filtered, out=filtered)
        energies = (self._weights @ np.add.reduceat(filtered, edges[:-1], axis=1))[None]
        if self._mono_sum:
            # Twice the square of half the sum, one for each speaker.
            mono = 0.5 * energies + np.add.reduceat(product, edges[:-1], axis=1)
            energies = np.concatenate([energies, np.maximum(mono, 0.0)])
        return energies, state

    def _means(self, hops: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Mean square of every window of `count` hops, one per hop."""
        if len(hops) < count:
            return np.zeros(0)
        windows = np.lib.stride_tricks.sliding_window_view(hops, count).sum(axis=1)
        edges = np.arange(len(hops) + 1) * self._rate // HOPS_PER_SECOND
        return windows / (edges[count:] - edges[:-count])


def integrated_lufs(momentary: NDArray[np.float64]) -> float | None:
    """Gated loudness of BS.1770-4 from the mean squares of 400 ms blocks, 75 % overlapped; None where all are gated."""
    loud = momentary[momentary > _mean_square(ABSOLUTE_GATE_LUFS)]
    if not loud.size:
        return None
    loud = loud[loud > loud.mean() * 10.0 ** (RELATIVE_GATE_LU / 10.0)]
    return _lufs(float(loud.mean()))


def loudness_range_lu(short_term: NDArray[np.float64]) -> float | None:
    """Loudness range of EBU Tech 3342 from the mean squares of 3 s windows: 95th less 10th percentile after gating."""
    loud = short_term[short_term > _mean_square(ABSOLUTE_GATE_LUFS)]
    if loud.size < 2:
        return None
    loud = np.sort(loud[loud > loud.mean() * 10.0 ** (RANGE_GATE_LU / 10.0)])
    low, high = (loud[round((len(loud) - 1) * share)] for share in (0.10, 0.95))
    return 10.0 * math.log10(high / low)


def _mean_square(lufs: float) -> float:
    return 10.0 ** ((lufs - OFFSET_LU) / 10.0)


def _lufs(mean_square: float) -> float | None:
    level = power_to_db(float(mean_square))
    return None if level is None else level + OFFSET_LU


def _peak(block: Block) -> float:
    """Largest magnitude, 0 for no samples. Raises UnbakeError where there is none because of NaN or infinity."""
    if not block.size:
        return 0.0
    peak = max(float(block.max()), -float(block.min()))
    if not math.isfinite(peak):
        raise UnbakeError("loudness of NaN or infinite samples is not defined", remedy="repair the samples first")
    return peak


@functools.cache
def interpolator(oversampling: int) -> NDArray[np.float64]:
    """Phases between two samples, float64 [oversampling - 1, TAPS]; the phase on the sample is the sample itself.

    A Kaiser-windowed sinc, longer than the example in BS.1770-4 Annex 2 (12 taps a phase): flat within 0.01 dB to 0.42
    of the sample rate. Each phase has unit gain at 0 Hz.
    """
    taps = np.arange(TAPS) - (TAPS // 2 - 1)
    phases = np.arange(1, oversampling)[:, None] / oversampling
    distance = taps[None, :] - phases
    window = np.i0(7.0 * np.sqrt(np.maximum(0.0, 1.0 - (distance / (TAPS / 2)) ** 2)))
    kernel = np.sinc(distance) * window
    return kernel / kernel.sum(axis=1, keepdims=True)


def _around(signal: Block, count: int) -> NDArray[np.float64]:
    """Largest magnitude in each run of `count` sub-blocks, [channels, sub-blocks - count + 1]."""
    peaks = np.abs(signal)
    # Halving is 10 times as fast as a reduction over a short last axis.
    while peaks.shape[1] * SUB_BLOCK > signal.shape[1]:
        peaks = np.maximum(peaks[:, 0::2], peaks[:, 1::2])
    return np.lib.stride_tricks.sliding_window_view(peaks, count, axis=1).max(axis=2)


class _TruePeak:
    """Largest magnitude between the samples, as BS.1770-4 Annex 2 has it, of a stream cut into seconds."""

    def __init__(self, sample_rate: int, channels: int, finer: int = 1) -> None:
        self._oversampling = finer * (4 if sample_rate < 96_000 else 2 if sample_rate < 192_000 else 1)
        self._history = np.zeros((channels, TAPS - 1))
        self._maximum = 0.0
        if self._oversampling > 1:
            kernel = interpolator(self._oversampling)
            self._norm = float(np.abs(kernel).sum(axis=1).max())
            # The same outputs as the sample before plus steps from sample to sample (Abel's summation by parts).
            steps = (np.arange(TAPS) >= TAPS // 2) - np.cumsum(kernel, axis=1)
            self._step_norm = float(np.abs(steps).sum(axis=1).max())
            # All outputs of a sub-block from the samples under it, as one matrix: [SUB_BLOCK + TAPS - 1, outputs].
            self._matrix = np.zeros((SUB_BLOCK + TAPS - 1, SUB_BLOCK, self._oversampling - 1))
            for offset in range(SUB_BLOCK):
                self._matrix[offset : offset + TAPS, offset] = kernel.T
            self._matrix = self._matrix.reshape(SUB_BLOCK + TAPS - 1, -1)

    def push(self, second: Block, peak: float) -> None:
        self._maximum = self._searched(second, max(peak, self._maximum))
        self._history = second[:, second.shape[1] - (TAPS - 1) :].copy()

    def ended(self, rest: Block, peak: float) -> float:
        """The maximum when the stream ends after `rest`, with the last samples' ringing."""
        flushed = np.concatenate([rest, np.zeros((len(rest), TAPS - 1))], axis=1)
        return self._searched(flushed, max(peak, self._maximum))

    def _searched(self, samples: Block, maximum: float) -> float:
        """The larger of `maximum` and what lies between the samples of history and `samples`."""
        if self._oversampling == 1 or maximum == 0.0:
            return maximum
        history = self._history
        for start in range(0, samples.shape[1], PIECE):
            piece = samples[:, start : start + PIECE]
            if self._bound(history, piece) > maximum:
                maximum = self._search(history, piece, maximum)
            history = piece[:, piece.shape[1] - (TAPS - 1) :]
        return maximum

    def _bound(self, history: Block, piece: Block) -> float:
        """What nothing between the samples of a piece can exceed: most of them need no closer look."""
        peak = max(_peak(history), _peak(piece))
        steps = np.diff(piece)
        joint = np.abs(np.diff(history, append=piece[:, :1]))
        step = max(_peak(steps), float(joint.max(initial=0.0)), float(np.abs(piece[:, -1]).max()))
        return min(peak * self._norm, peak + step * self._step_norm)

    def _search(self, history: Block, piece: Block, maximum: float) -> float:
        channels, frames = piece.shape
        blocks = -(-frames // SUB_BLOCK)
        reach = -(-(TAPS - 1) // SUB_BLOCK)
        lead = reach * SUB_BLOCK
        padded = np.zeros((channels, lead + blocks * SUB_BLOCK))
        padded[:, lead - (TAPS - 1) : lead] = history
        padded[:, lead : lead + frames] = piece
        around, steps = (_around(x, reach + 1) for x in (padded, np.diff(padded, axis=1, prepend=0.0)))
        # No output can exceed the largest sample under it times the sum of the kernel's magnitudes; nor, which says
        # more where the low end rules, that sample plus the largest step times the sum of the steps' magnitudes.
        bound = np.minimum(around * self._norm, around + steps * self._step_norm)
        rows, columns = np.nonzero(bound > maximum)
        if not len(rows):
            return maximum
        windows = np.lib.stride_tricks.sliding_window_view(padded, SUB_BLOCK + TAPS - 1, axis=1)
        between = windows[rows, columns * SUB_BLOCK + lead - (TAPS - 1)] @ self._matrix
        return max(maximum, float(between.max()), -float(between.min()))
