"""The null test: what is left when one file is taken from another, how loud, where in the spectrum, and why.

Both files are read block by block, each on a thread of its own; nothing of them is kept but sums and a few seconds
around the loudest moment, from which delay, polarity and gain are estimated.
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.atomic import check_output
from core.audio.formats import BLOCK_FRAMES
from core.audio.outputs import output_format
from core.audio.read import AudioReader, open_reader
from core.audio.samples import find_bad
from core.audio.write import open_writer
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.measure.align import MAX_DELAY_SECONDS, NOTHING_IN_COMMON, SHIFT_TAPS, Alignment, estimate, fractional, shift
from core.measure.levels import power_to_db, to_amplitude, to_dbfs
from core.measure.loudness import LoudnessMeter

if TYPE_CHECKING:
    from pathlib import Path

    from core.audio.formats import AudioInfo, Block

THRESHOLD_DBFS: Final = -90.0
THRESHOLD_16_BIT_DBFS: Final = -84.0  # two steps of 16 bit: rounding with dither on either side
READ_AHEAD: Final = 3  # blocks
EXCERPT_SECONDS: Final = 30
BAND_SEGMENT: Final = 8192
SEGMENTS_AT_ONCE: Final = 4  # stay in the cache
UNRELATED: Final = 0.05
"""Correlation under which two files have nothing in common, so that no delay or polarity is claimed."""
NEAR_ZERO_DELAY: Final = 0.02  # samples; as good as none for gain and correlation
WHOLE_DELAY: Final = 1e-5  # samples; limits a null to about -107 dB, less than the interpolator's own edges cost


class Level(msgspec.Struct, frozen=True):
    """How strong a residual is; None for digital silence.

    `peak_dbfs` is its largest sample, `rms_dbfs` the mean over all channels and frames (1.0 is 0 dBFS), `lufs` its
    integrated loudness (BS.1770-4), or its K-weighted level without gates where all of it lies below the gate.
    """

    peak_dbfs: float | None
    rms_dbfs: float | None
    lufs: float | None


class Band(msgspec.Struct, frozen=True):
    """RMS of the residual between two frequencies; the mean squares of all bands add up to that of the residual."""

    low_hz: float
    high_hz: float
    rms_dbfs: float | None


class NullReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a null test of A against B, in the words of `unbake null --json`.

    `residual`, `bands`, `identical` and `pass_` ("pass" in JSON) are of A - B as the files lie, never aligned; the rest
    of a longer file counts against silence. `delay_samples`, `polarity`, `gain_db` and `correlation` are estimates as
    in `align.Alignment`: positive delay, B is later; positive gain, B is louder. `aligned_residual` is there only when
    it was asked for (UNSET otherwise, and left out of the JSON): A less B with delay, polarity and gain taken out, over
    the frames that both hold.
    """

    schema: int = 1
    identical: bool
    pass_: bool = msgspec.field(name="pass")
    threshold_dbfs: float
    residual: Level
    bands: list[Band]
    delay_samples: float
    polarity: int
    gain_db: float
    correlation: float
    frames_a: int
    frames_b: int
    aligned_residual: Level | msgspec.UnsetType = msgspec.UNSET


def default_threshold_dbfs(a: AudioInfo, b: AudioInfo) -> float:
    """The residual peak that passes by default: -84 dBFS where either file is 16 bit or less, else -90."""
    bits = [info.bits for info in (a, b) if info.bits is not None]
    return THRESHOLD_16_BIT_DBFS if min(bits, default=32) <= 16 else THRESHOLD_DBFS


def null_test(
    a: Path,
    b: Path,
    *,
    threshold_dbfs: float | None = None,
    align: bool = False,
    listen: Path | None = None,
    force: bool = False,
) -> Operation[NullReport]:
    """Subtracts B from A and measures what is left; with `align` also after taking out delay, polarity and gain.

    With `listen` what is left is written there, as 32-bit float, A - B as the files lie, as long as the longer of them.
    Raises UnbakeError when the files have different sample rates or channels, hold NaN or infinite samples, or can't
    be read. Different lengths never pass; a Note says so.
    """
    if threshold_dbfs is not None and math.isnan(threshold_dbfs):
        raise UnbakeError("the threshold is not a number", where=str(threshold_dbfs), remedy="give it in dBFS, as -90")
    with open_reader(a) as reader_a, open_reader(b) as reader_b, ExitStack() as stack:
        info_a, info_b = reader_a.info, reader_b.info
        _comparable(info_a, info_b)
        if info_a.frames != info_b.frames:
            yield Note(_lengths(info_a, info_b))
        threshold = default_threshold_dbfs(info_a, info_b) if threshold_dbfs is None else threshold_dbfs
        total = max(info_a.frames, info_b.frames)
        written = None
        if listen is not None:
            check_output(listen, [a, b], force)
            fmt = output_format(info_a, listen, "FLOAT")
            written = stack.enter_context(open_writer(listen, fmt, frames=total, force=force))
        residual = LevelMeter(info_a)
        bands = OctaveBands(info_a.sample_rate, info_a.channels)
        pair = _Pair(info_a, info_b)
        buffer = np.empty((info_a.channels, BLOCK_FRAMES))
        with _ReadAhead(reader_a) as ahead_a, _ReadAhead(reader_b) as ahead_b:
            for done in range(0, total, BLOCK_FRAMES):
                frames = min(BLOCK_FRAMES, total - done)
                block_a, block_b = ahead_a.next(frames), ahead_b.next(frames)
                if pair.push(block_a, block_b, done):
                    residual.push_silence(frames)
                    if written is not None:
                        written.write(np.zeros_like(block_a))
                else:
                    difference = np.subtract(block_a, block_b, out=buffer[:, :frames])
                    residual.push(difference)
                    bands.push(difference)
                    if written is not None:
                        written.write(difference)
                yield Progress("null test", done + frames, total, total / info_a.sample_rate)
        if written is not None:
            written.commit()
        alignment = pair.alignment(reader_a, reader_b)
        level = residual.level()
        aligned: Level | msgspec.UnsetType = msgspec.UNSET
        if align:
            aligned = level if pair.identical else (yield from _aligned(reader_a, reader_b, alignment))
    peak = residual.peak
    return NullReport(
        identical=pair.identical and info_a.frames == info_b.frames,
        pass_=info_a.frames == info_b.frames and (peak == 0.0 or 20.0 * math.log10(peak) <= threshold),
        threshold_dbfs=threshold,
        residual=level,
        bands=bands.result(total),
        # A millionth of a sample is beyond any estimate; adding 0.0 makes -0.0 plain.
        delay_samples=round(alignment.delay_samples, 6) + 0.0,
        polarity=alignment.polarity,
        gain_db=alignment.gain_db,
        correlation=alignment.correlation,
        frames_a=info_a.frames,
        frames_b=info_b.frames,
        aligned_residual=aligned,
    )


def _comparable(a: AudioInfo, b: AudioInfo) -> None:
    if a.sample_rate != b.sample_rate:
        raise UnbakeError(
            f"sample rates differ: {a.path} has {a.sample_rate} Hz, {b.path} {b.sample_rate} Hz",
            remedy="resample one of them first",
        )
    if a.channels != b.channels:
        raise UnbakeError(f"numbers of channels differ: {a.path} has {a.channels}, {b.path} {b.channels}")


def _lengths(a: AudioInfo, b: AudioInfo) -> str:
    longer = "the second" if b.frames > a.frames else "the first"
    surplus = abs(a.frames - b.frames)
    return (
        f"lengths differ: {a.frames} and {b.frames} frames; {longer} is {surplus} frames "
        f"({surplus / a.sample_rate:.3f} s) longer"
    )


class _ReadAhead:
    """Blocks of a reader, decoded by a thread while the one before is worked on."""

    def __init__(self, reader: AudioReader) -> None:
        self._reader = reader
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="null-read")
        self._queue: deque[Future[Block]] = deque(self._ask() for _ in range(READ_AHEAD))

    def next(self, frames: int) -> Block:
        """The next block, C-contiguous, made `frames` long with silence after the file's end."""
        block = self._queue.popleft().result()
        self._queue.append(self._ask())
        if block.shape[1] < frames:
            block = np.pad(block, ((0, 0), (0, frames - block.shape[1])))
        return block

    def _ask(self) -> Future[Block]:
        return self._thread.submit(self._reader.read, BLOCK_FRAMES)

    def __enter__(self) -> _ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)


class _Pair:
    """Running sums over both files, and the loudest moment of both."""

    def __init__(self, a: AudioInfo, b: AudioInfo) -> None:
        self._infos = a, b
        self.identical = True
        self._aa = self._bb = self._ab = self._rr = 0.0
        self._loudest: tuple[float, int, Block, Block] | None = None

    def push(self, a: Block, b: Block, start: int) -> bool:
        """Takes the blocks of one shape at `start`; whether they are the same. UnbakeError for NaN and infinity."""
        # Files that differ mostly differ at once: the first look saves the second.
        same = np.array_equal(a[:, :512], b[:, :512]) and np.array_equal(a, b)
        aa = _dot(a, a)
        bb = aa if same else _dot(b, b)
        if not (math.isfinite(aa) and math.isfinite(bb)):
            for info, block in zip(self._infos, (a, b), strict=True):
                bad = find_bad(block)
                if bad is not None:
                    raise UnbakeError(bad.words(info.sample_rate, start), where=info.path, remedy="repair it first")
            raise UnbakeError("samples are too large to be audio", where=self._infos[math.isfinite(aa)].path)
        ab = aa if same else _dot(a, b)
        self.identical &= same
        self._aa, self._bb, self._ab = self._aa + aa, self._bb + bb, self._ab + ab
        self._rr += max(0.0, aa - 2.0 * ab + bb)
        if self._loudest is None or min(aa, bb) > self._loudest[0]:
            self._loudest = min(aa, bb), start, a, b
        return same

    def alignment(self, a: AudioReader, b: AudioReader) -> Alignment:
        """B against A, from the loudest seconds; more of them are read again only where those leave a doubt."""
        if self._loudest is None or min(self._aa, self._bb) == 0.0:
            return NOTHING_IN_COMMON
        if self.identical:
            return Alignment(delay_samples=0.0, polarity=1, gain_db=0.0, correlation=1.0)
        rate = a.info.sample_rate
        near = Alignment(delay_samples=0.0, polarity=1, gain_db=0.0, correlation=1.0)
        # A difference 120 dB down is no delay that could be told from rounding.
        if self._rr > 1e-12 * self._aa:
            _, start, block_a, block_b = self._loudest
            near = estimate(block_a, block_b, rate, max_delay_seconds=BLOCK_FRAMES / 2 / rate)
            likeness = abs(near.correlation)
            if likeness < 0.9 or (likeness < 0.999 and abs(near.delay_samples) > NEAR_ZERO_DELAY):
                # As much before the loudest moment as a delay may be long, so that B holds it too.
                first = max(0, start - round(MAX_DELAY_SECONDS * rate))
                long_a, long_b = (_excerpt(reader, first, EXCERPT_SECONDS * rate) for reader in (a, b))
                near = estimate(long_a, long_b, rate)
        if abs(near.correlation) < UNRELATED:
            zero_lag = max(-1.0, min(1.0, self._ab / math.sqrt(self._aa * self._bb)))
            return Alignment(0.0, 1, 10.0 * math.log10(self._bb / self._aa), zero_lag)
        if abs(near.delay_samples) > NEAR_ZERO_DELAY or self._ab == 0.0:
            return near
        return Alignment(
            delay_samples=near.delay_samples,
            polarity=1 if self._ab > 0.0 else -1,
            gain_db=20.0 * math.log10(abs(self._ab) / self._aa),
            correlation=max(-1.0, min(1.0, self._ab / math.sqrt(self._aa * self._bb))),
        )


def _dot(a: Block, b: Block) -> float:
    # Not np.dot: its BLAS calls in threads that fight the decoders for the cores (12 times slower here).
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))


def _excerpt(reader: AudioReader, first: int, frames: int) -> Block:
    reader.seek(min(first, reader.info.frames))
    return reader.read(frames)


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
        self._energy += _dot(block, block)
        self._samples += block.size

    def push_silence(self, samples: int) -> None:
        """Takes silence of so many samples, all channels together."""
        self._samples += samples

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

    def __init__(self, info: AudioInfo) -> None:
        self._meter = LoudnessMeter(info.sample_rate, info.speakers, true_peak=False)
        self._silence = np.zeros((info.channels, BLOCK_FRAMES))
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
        """Takes at most BLOCK_FRAMES frames of silence, which cost next to nothing."""
        self._peak.push_silence(len(self._silence) * frames)
        self._meter.push(self._silence[:, :frames])

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


class OctaveBands:
    """Power of a stream in octaves around 1 kHz, from 0 Hz to the Nyquist frequency.

    Half-overlapped FFTs under the Vorbis window, whose squares add up to one (the condition of Princen & Bradley 1986):
    by Parseval the bands add up to the power of the stream exactly, be it a tone or a single click.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._nyquist = sample_rate / 2.0
        turn = np.pi * (np.arange(BAND_SEGMENT) + 0.5) / BAND_SEGMENT
        self._window = np.sin(np.pi / 2.0 * np.sin(turn) ** 2)
        self._half = BAND_SEGMENT // 2
        self._power = np.zeros(self._half + 1)
        # Buffers are kept: fresh memory for every block costs more than the FFT.
        self._stream = np.zeros((channels, BAND_SEGMENT + BLOCK_FRAMES))
        self._held = self._half
        self._segments = np.empty((SEGMENTS_AT_ONCE, BAND_SEGMENT))
        self._spectra = np.empty((SEGMENTS_AT_ONCE, self._half + 1), dtype=np.complex128)

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]."""
        for start in range(0, block.shape[1], BLOCK_FRAMES):
            self._take(block[:, start : start + BLOCK_FRAMES])

    def _take(self, block: Block) -> None:
        """Adds what fits the buffer beside less than a segment that is left in it, and works off whole segments."""
        self._stream[:, self._held : self._held + block.shape[1]] = block
        self._held += block.shape[1]
        whole = max(0, self._held // self._half - 1)
        for channel in self._stream:
            windows = np.lib.stride_tricks.sliding_window_view(channel, BAND_SEGMENT)[:: self._half][:whole]
            for start in range(0, whole, SEGMENTS_AT_ONCE):
                some = windows[start : start + SEGMENTS_AT_ONCE]
                segments = np.multiply(some, self._window, out=self._segments[: len(some)])
                spectra = np.fft.rfft(segments, out=self._spectra[: len(some)]).view(np.float64)
                power = np.einsum("ij,ij->j", spectra, spectra)
                self._power += power[0::2] + power[1::2]
        used = whole * self._half
        self._stream[:, : self._held - used] = self._stream[:, used : self._held].copy()
        self._held -= used

    def result(self, frames: int) -> list[Band]:
        """The bands as mean squares over `frames` frames and all channels. Ends the stream."""
        self.push(np.zeros((len(self._stream), 2 * self._half)))
        power = self._power / (BAND_SEGMENT * frames * len(self._stream))
        power[1:-1] *= 2.0
        edges = octave_edges(self._nyquist)
        frequencies = np.arange(self._half + 1) * self._nyquist / self._half
        sums = np.bincount(np.searchsorted(edges[1:-1], frequencies, side="right"), power, minlength=len(edges) - 1)
        # An FFT's rounding lies some 300 dB below what is in it; a band that holds only that holds nothing.
        nothing = 1e-26 * float(sums.sum())
        return [
            Band(low, high, power_to_db(value) if value > nothing else None)
            for low, high, value in zip(edges[:-1], edges[1:], sums.tolist(), strict=True)
        ]


def octave_edges(nyquist_hz: float) -> list[float]:
    """Edges of the octaves around 1 kHz * 2^n in Hz, from 0 to the Nyquist frequency.

    The lowest is 22 Hz, or more at high sample rates: every band holds two bins of the FFT at least.
    """
    lowest = 4.0 * nyquist_hz / (BAND_SEGMENT // 2)
    inner = [1000.0 * 2.0 ** (n - 0.5) for n in range(-5, 12)]
    return [0.0, *(round(edge, 3) for edge in inner if lowest <= edge < nyquist_hz), nyquist_hz]


def _aligned(a: AudioReader, b: AudioReader, alignment: Alignment) -> Operation[Level]:
    """The level of A less B with delay, polarity and gain taken out, over the frames both hold.

    For a fraction of a sample, the interpolator's half-length at either end is left out: it has no neighbours there.
    """
    whole = round(alignment.delay_samples)
    fraction = alignment.delay_samples - whole
    if abs(fraction) <= WHOLE_DELAY:
        fraction = 0.0
    scale = alignment.polarity / to_amplitude(alignment.gain_db)
    first = max(0, -whole)
    last = min(a.info.frames, b.info.frames - whole)
    residual = LevelMeter(a.info)
    if fraction and last - first <= 4 * SHIFT_TAPS:
        # Too short to spare its ends: silence is their neighbour.
        residual.push(
            _excerpt(a, first, last - first) - scale * shift(_excerpt(b, first + whole, last - first), -fraction)
        )
        return residual.level()
    margin = SHIFT_TAPS if fraction else 0
    a.seek(first + margin)
    b.seek(first + whole)
    total = last - first - 2 * margin
    wide = np.zeros((b.info.channels, 0))
    for start in range(0, total, BLOCK_FRAMES):
        frames = min(BLOCK_FRAMES, total - start)
        wide = np.concatenate([wide, b.read(frames + 2 * margin - wide.shape[1])], axis=1)
        residual.push(a.read(frames) - scale * (fractional(wide, -fraction) if margin else wide))
        wide = wide[:, frames:]
        yield Progress("aligned residual", start + frames, total)
    return residual.level()
