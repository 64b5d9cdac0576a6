"""Meters of a stream that comes in blocks: its peak and power, a residual's level, a programme's level and image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from core.audio.formats import BLOCK_FRAMES
from core.measure.figures import Level, Place, Programme
from core.measure.levels import power_to_db, to_dbfs
from core.measure.loudness import HOPS_PER_SECOND, MOMENTARY_HOPS, LoudnessMeter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import Block

QUIET_DB: Final = -60.0
"""What lies so far under the loudest 400 ms has no image to speak of."""


def dot(a: Block, b: Block) -> float:
    """The sum of products of two blocks of one shape."""
    # Not np.dot: its BLAS calls in threads that fight the decoders for the cores (12 times slower here).
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))


def loudest(block: Block, start: int, sample_rate: int) -> Place:
    """The first of the largest samples of a block that begins at frame `start` and is not silent."""
    magnitude = np.abs(block)
    channel, frame = divmod(int(magnitude.argmax()), block.shape[1])
    at = start + frame
    return Place(at, channel, at / sample_rate, 20.0 * math.log10(float(magnitude[channel, frame])))


class PeakMeter:
    """Peak and mean power of a stream that comes in blocks float64 [channels, frames]."""

    def __init__(self) -> None:
        self.peak = 0.0
        """Largest magnitude so far, linear."""
        self._energy = 0.0
        self._samples = 0

    def push(self, block: Block) -> None:
        """Takes the next block, of one frame at least."""
        self.peak = max(self.peak, float(block.max()), -float(block.min()))
        self._energy += dot(block, block)
        self._samples += block.size

    def push_silence(self, samples: int) -> None:
        """Takes silence of so many samples, all channels together."""
        self._samples += samples

    def add(self, other: PeakMeter) -> None:
        """Takes in all that another one was given."""
        self.peak = max(self.peak, other.peak)
        self._energy += other._energy
        self._samples += other._samples

    @property
    def peak_dbfs(self) -> float | None:
        """The largest sample; None for digital silence."""
        return to_dbfs(self.peak)

    @property
    def rms_dbfs(self) -> float | None:
        """The mean over all channels and frames (1.0 is 0 dBFS); None for digital silence."""
        return power_to_db(self._energy / self._samples) if self.peak else None


class LevelMeter:
    """Peak, power and loudness of a stream that comes in blocks float64 [channels, frames]."""

    def __init__(self, sample_rate: int, speakers: tuple[str, ...]) -> None:
        self._meter = LoudnessMeter(sample_rate, speakers, true_peak=False)
        self._silence = np.zeros((len(speakers), BLOCK_FRAMES))
        self._peak = PeakMeter()

    @property
    def peak(self) -> float:
        """Largest magnitude so far, linear."""
        return self._peak.peak

    def push(self, block: Block) -> None:
        """Takes the next block, of one frame at least."""
        self._peak.push(block)
        self._meter.push(block)

    def push_silence(self, frames: int) -> None:
        """Takes frames of silence, which cost next to nothing."""
        self._peak.push_silence(len(self._silence) * frames)
        for start in range(0, frames, BLOCK_FRAMES):
            self._meter.push(self._silence[:, : frames - start])

    def level(self) -> Level:
        """The figures of everything pushed."""
        if self.peak == 0.0:
            return Level(None, None, None)
        gated = self._meter.result().lufs_i
        return Level(
            peak_dbfs=self._peak.peak_dbfs,
            rms_dbfs=self._peak.rms_dbfs,
            lufs=self._meter.ungated_lufs() if gated is None else gated,
        )


class ProgrammeMeter:
    """Loudness, peaks (true ones as `fine` as the loudness meter has it) and stereo image of a stream of blocks."""

    def __init__(self, sample_rate: int, speakers: tuple[str, ...], *, fine: bool = False) -> None:
        stereo = len(speakers) == 2
        self._loudness = LoudnessMeter(sample_rate, speakers, fine=fine, mono_sum=stereo)
        self._image = _Image(sample_rate) if stereo else None

    def push(self, block: Block) -> None:
        """Takes the next block. UnbakeError at NaN and infinity."""
        self._loudness.push(block)
        if self._image is not None:
            self._image.push(block)

    def result(self) -> Programme:
        """The figures of everything pushed."""
        found = self._loudness.result()
        peak, lufs = found.true_peak_dbtp, found.lufs_i
        whole, least, seconds = (None, None, None) if self._image is None else self._image.result()
        return Programme(
            lufs_i=lufs,
            lra_lu=found.lra_lu,
            max_short_term_lufs=found.max_short_term_lufs,
            max_momentary_lufs=found.max_momentary_lufs,
            true_peak_dbtp=peak,
            sample_peak_dbfs=found.sample_peak_dbfs,
            plr_lu=None if peak is None or lufs is None else peak - lufs,
            correlation=whole,
            least_correlation=least,
            least_correlation_seconds=seconds,
            mono_loss_lu=self._loudness.mono_loss_lu(),
        )


class _Image:
    """Correlation of left and right, of all and of every 400 ms, a hop of 100 ms apart."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._second = np.zeros((2, sample_rate))
        self._filled = 0
        self._edges = np.arange(HOPS_PER_SECOND + 1) * sample_rate // HOPS_PER_SECOND
        self._hops: list[NDArray[np.float64]] = []

    def push(self, block: Block) -> None:
        """Takes float64 [2, frames]."""
        start = 0
        while start < block.shape[1]:
            taken = min(block.shape[1] - start, self._rate - self._filled)
            self._second[:, self._filled : self._filled + taken] = block[:, start : start + taken]
            self._filled += taken
            start += taken
            if self._filled == self._rate:
                self._hops.append(self._sums(self._edges))
                self._filled = 0

    def result(self) -> tuple[float | None, float | None, float | None]:
        """Correlation of all, the least of all 400 ms, and where those begin, in seconds."""
        whole = int(np.searchsorted(self._edges, self._filled, side="right")) - 1
        edges = np.unique(np.append(self._edges[: whole + 1], self._filled))
        rest = [self._sums(edges)] if len(edges) > 1 else []
        hops = np.concatenate([np.zeros((3, 0)), *self._hops, *rest], axis=1)
        if not hops.size:
            return None, None, None
        together = _correlation(hops.sum(axis=1, keepdims=True))[0]
        count = min(MOMENTARY_HOPS, hops.shape[1])
        sums = np.lib.stride_tricks.sliding_window_view(hops, count, axis=1).sum(axis=2)
        power = sums[0] + sums[1]
        found = np.where(power > 10.0 ** (QUIET_DB / 10.0) * power.max(initial=0.0), _correlation(sums), np.nan)
        if np.isnan(together) or np.isnan(found).all():
            return None, None, None
        at = int(np.nanargmin(found))
        return float(together), float(found[at]), at / HOPS_PER_SECOND

    def _sums(self, edges: NDArray[np.int64]) -> NDArray[np.float64]:
        """Energies of left and right and their product between the edges, float64 [3, hops]."""
        left, right = self._second[:, : edges[-1]]
        return np.stack([np.add.reduceat(a * b, edges[:-1]) for a, b in ((left, left), (right, right), (left, right))])


def _correlation(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients, float64 [n], of sums [3, n]; NaN where either side is silent."""
    level = np.sqrt(sums[0] * sums[1])
    return np.divide(sums[2], level, out=np.full_like(level, np.nan), where=level > 0.0).clip(-1.0, 1.0)
