"""What a file is, how loud, and what is wrong with it: one pass, each finding with its figure and its place.

NaN and infinite samples are counted, reported, and measured as silence, so that one of them does not take every other
figure with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import numpy as np

from core.audio.read import open_reader, read_blocks, stem_streams
from core.audio.samples import find_bad, place
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.measure.levels import to_dbfs
from core.measure.loudness import LoudnessMeter

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo, Block

Severity = Literal["note", "warning", "error"]

DC_DBFS: Final = -60.0
OPPOSED: Final = -0.5  # correlation
SHORTEST_SECONDS: Final = 0.4  # one gating block of BS.1770
CLIP_RUN: Final = 3  # samples
CLIP_FLOOR: Final = 0.5  # of the channel's peak: plateaus below are the music's own
MANY_RUNS: Final = 10
MAX_LEVELS: Final = 4096  # plateau values told apart per channel
GRID_BITS: Final = 32


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding. `kind` is for programs, `detail` a clause with figures for people.

    Kinds: nan, inf, clipping, true_peak_over, dc, silence, polarity, dual_mono, short, bit_depth, streams; and of
    `core.jobs.inspect` clipping, clicks, crackle, hum, noise, echo, reverb, which a `step` of the clean-up bench mends:
    with a `confidence` from 0 to 1, `figures` by names that tell their unit, and `places` from frame to frame, the
    first thousand, none where it goes through the whole file.
    """

    kind: str
    severity: Severity
    detail: str
    confidence: float | None = None
    figures: dict[str, float] = {}
    places: tuple[tuple[int, int], ...] = ()
    step: str | None = None


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `unbake info --json` prints. Levels are None for silence, loudness also where the file is too short for it.

    `streams` names the audio streams of a file that carries several, of which the first is measured; empty for an
    ordinary file. `correlation` is that of left and right, -1 to 1, None for mono and where either is silent.
    """

    schema: int = 1
    path: str
    format: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int
    seconds: float
    streams: list[str]
    lufs_i: float | None
    lra_lu: float | None
    true_peak_dbtp: float | None
    sample_peak_dbfs: float | None
    correlation: float | None
    faults: list[Fault]


def inspect_file(path: Path) -> Operation[FileReport]:
    """Measures a file and looks for faults. Raises UnbakeError when it can't be read."""
    with open_reader(path) as reader:
        info = reader.info
        streams, unnamed = _streams(path)
        meter = LoudnessMeter(info.sample_rate, info.speakers)
        bad, sums, steps, plateaus = _BadSamples(), _Sums(info), _Grid(), _Plateaus(info.channels)
        done = 0
        for block in read_blocks(reader):
            clean = bad.push(block, done)
            meter.push(clean)
            sums.push(clean)
            steps.push(clean)
            plateaus.push(clean, done, steps.step)
            done += clean.shape[1]
            yield Progress("measuring", done, info.frames, info.seconds)
    if bad.first:
        yield Note("NaN and infinite samples were measured as silence")
    loudness = meter.result()
    faults = [
        *bad.faults(info),
        *sums.silence(),
        *plateaus.faults(info, steps.step),
        *_over(loudness.true_peak_dbtp),
        *sums.offsets(),
        *sums.image(),
        *_short(info),
        *steps.faults(info),
        *unnamed,
    ]
    return FileReport(
        path=info.path,
        format=info.container,
        subtype=info.subtype,
        sample_rate=info.sample_rate,
        channels=info.channels,
        frames=info.frames,
        seconds=info.seconds,
        streams=streams,
        lufs_i=loudness.lufs_i,
        lra_lu=loudness.lra_lu,
        true_peak_dbtp=loudness.true_peak_dbtp,
        sample_peak_dbfs=loudness.sample_peak_dbfs,
        correlation=sums.correlation,
        faults=faults,
    )


def _streams(path: Path) -> tuple[list[str], list[Fault]]:
    """The names of several streams, and what is wrong with them."""
    try:
        names = [name for _, name in stem_streams(path)]
    except UnbakeError as error:
        detail = f"the streams can't be named, since the file {error.what}; the first is measured"
        return [], [Fault("streams", "warning", detail)]
    return (names if len(names) > 1 else []), []


def _over(true_peak_dbtp: float | None) -> list[Fault]:
    if true_peak_dbtp is None or true_peak_dbtp <= 0.0:
        return []
    return [Fault("true_peak_over", "warning", f"true peak is {true_peak_dbtp:+.2f} dBTP, over full scale")]


def _short(info: AudioInfo) -> list[Fault]:
    if info.seconds >= SHORTEST_SECONDS:
        return []
    return [Fault("short", "note", f"{info.seconds * 1000:.0f} ms is too short for loudness, which takes 400 ms")]


class _BadSamples:
    """Counts NaN and infinite samples, and takes them out."""

    def __init__(self) -> None:
        self.first: dict[str, tuple[int, int]] = {}  # kind to frame and channel
        self._counts = {"nan": 0, "inf": 0}

    def push(self, block: Block, start: int) -> Block:
        """The block itself if it is clean, or a copy with silence in place of what is not a number."""
        if math.isfinite(float(np.einsum("ij->", block))) or np.isfinite(block).all():
            return block
        clean = np.where(np.isfinite(block), block, 0.0)
        for kind, wrong in (("nan", np.isnan(block)), ("inf", np.isinf(block))):
            self._counts[kind] += int(np.count_nonzero(wrong))
            found = find_bad(np.where(wrong, block, 0.0)) if kind not in self.first else None
            if found is not None:
                self.first[kind] = start + found.frame, found.channel
        return clean

    def faults(self, info: AudioInfo) -> list[Fault]:
        names = {"nan": "NaN", "inf": "infinite"}
        return [
            Fault(
                kind,
                "error",
                f"{_count(self._counts[kind], f'{names[kind]} sample')}, first at {place(frame, info.sample_rate)} in "
                f"channel {channel + 1}; measured as silence",
            )
            for kind, (frame, channel) in self.first.items()
        ]


class _Sums:
    """Offsets, silence, and how left and right go together."""

    def __init__(self, info: AudioInfo) -> None:
        self._info = info
        self._total = np.zeros(info.channels)
        self._peak = np.zeros(info.channels)
        self._stereo = [info.speakers.index(name) for name in ("L", "R") if name in info.speakers]
        self._energies = np.zeros(2)
        self._product = 0.0
        self._same = True

    def push(self, block: Block) -> None:
        self._total += block.sum(axis=1)
        self._peak = np.maximum(self._peak, np.maximum(block.max(axis=1), -block.min(axis=1)))
        if len(self._stereo) == 2:
            left, right = (block[index] for index in self._stereo)
            self._energies += [np.einsum("i,i->", side, side) for side in (left, right)]
            self._product += float(np.einsum("i,i->", left, right))
            self._same = self._same and np.array_equal(left, right)

    @property
    def correlation(self) -> float | None:
        if len(self._stereo) < 2 or self._energies.min() <= 0.0:
            return None
        return max(-1.0, min(1.0, self._product / math.sqrt(float(self._energies[0] * self._energies[1]))))

    def silence(self) -> list[Fault]:
        if not self._peak.any():
            return [Fault("silence", "warning", "digital silence throughout")]
        dead = [self._name(channel) for channel, peak in enumerate(self._peak) if peak == 0.0]
        if not dead:
            return []
        return [Fault("silence", "warning", f"digital silence throughout in {' and '.join(dead)}")]

    def offsets(self) -> list[Fault]:
        mean = self._total / max(1, self._info.frames)
        worst = int(np.argmax(np.abs(mean)))
        level = to_dbfs(float(mean[worst]))
        if level is None or level <= DC_DBFS:
            return []
        return [Fault("dc", "warning", f"DC offset of {level:.1f} dBFS ({mean[worst]:+.5f}) in {self._name(worst)}")]

    def image(self) -> list[Fault]:
        if self.correlation is None:
            return []
        if self._same:
            return [Fault("dual_mono", "note", "left and right are identical: mono in a stereo file")]
        if self.correlation >= OPPOSED:
            return []
        detail = f"left and right correlate at {self.correlation:+.2f} over the whole file: they cancel in mono"
        return [Fault("polarity", "warning", detail)]

    def _name(self, channel: int) -> str:
        return f"channel {channel + 1} ({self._info.speakers[channel]})"


class _Grid:
    """The step that all samples are multiples of: what is left of a file's bits."""

    def __init__(self) -> None:
        self._used = 0
        self._fine = False

    def push(self, block: Block) -> None:
        if self._fine:
            return
        scaled = block * 2.0 ** (GRID_BITS - 1)
        if np.abs(scaled).max(initial=0.0) > 2.0**62 or not np.array_equal(scaled, np.rint(scaled)):
            self._fine = True
            return
        self._used |= int(np.bitwise_or.reduce(scaled.astype(np.int64), axis=None))
        self._fine = bool(self._used & 1)

    @property
    def bits(self) -> int:
        """Bits that hold everything seen so far, 1 to 32 (32 also for what is on no grid); 0 for silence."""
        if self._fine:
            return GRID_BITS
        return GRID_BITS + 1 - (self._used & -self._used).bit_length() if self._used else 0

    @property
    def step(self) -> float:
        """The smallest difference of two samples so far."""
        return 2.0 ** (1 - max(1, self.bits))

    def faults(self, info: AudioInfo) -> list[Fault]:
        # One bit less may be chance in a short file; four are not.
        if info.bits is None or not 0 < self.bits <= info.bits - 4:
            return []
        detail = (
            f"{info.bits}-bit file whose low {info.bits - self.bits} bits are always zero: {self.bits} bits are used"
        )
        return [Fault("bit_depth", "note", detail)]


class _Run(msgspec.Struct):
    """Equal samples, `rise` above the one before them, that the next block may go on with."""

    value: float
    start: int
    length: int
    rise: float


class _Level(msgspec.Struct):
    """The plateaus at one sample value."""

    runs: int
    longest: int
    first: int


class _Plateaus:
    """Runs of three or more equal samples that stand above both their neighbours: flat tops, wherever they were cut.

    Low tones at a coarse step have flat tops of their own, but their neighbours are a step or two away; a cut top's
    neighbours are further off. So below full scale a run counts only when it is left by more than four steps.
    """

    def __init__(self, channels: int) -> None:
        self._open: list[_Run | None] = [None] * channels
        self._levels: list[dict[float, _Level]] = [{} for _ in range(channels)]
        self._extremes = np.zeros((channels, 2))  # lowest, highest

    def push(self, block: Block, start: int, step: float) -> None:
        """Takes the block whose first frame is `start`; `step` is the smallest difference between samples."""
        self._extremes[:, 0] = np.minimum(self._extremes[:, 0], block.min(axis=1))
        self._extremes[:, 1] = np.maximum(self._extremes[:, 1], block.max(axis=1))
        for channel, samples in enumerate(block):
            self._scan(channel, samples, start, step)

    def _scan(self, channel: int, samples: NDArray[np.float64], start: int, step: float) -> None:
        starts = np.concatenate([[0], np.flatnonzero(samples[1:] != samples[:-1]) + 1])
        lengths = np.diff(np.append(starts, len(samples)))
        values = samples[starts]
        magnitudes = np.abs(values)
        # How far each run stands above what comes before and after; a step to the other polarity counts whole.
        signs = np.sign(values)
        rises = magnitudes[1:] - signs[1:] * values[:-1]
        falls = magnitudes[:-1] - signs[:-1] * values[1:]
        before = np.concatenate([[math.inf], rises])
        begun = starts + start
        last = self._open[channel]
        if last is not None:
            if values[0] == last.value:
                lengths[0] += last.length
                begun[0], before[0] = last.start, last.rise
            else:
                self._close(channel, last, abs(last.value) - math.copysign(1.0, last.value) * float(values[0]), step)
                before[0] = magnitudes[0] - signs[0] * last.value
        for index in np.flatnonzero((lengths[:-1] >= CLIP_RUN) & (magnitudes[:-1] > 0.0)):
            run = _Run(float(values[index]), int(begun[index]), int(lengths[index]), float(before[index]))
            self._close(channel, run, float(falls[index]), step)
        self._open[channel] = _Run(float(values[-1]), int(begun[-1]), int(lengths[-1]), float(before[-1]))

    def _close(self, channel: int, run: _Run, fall: float, step: float) -> None:
        """Counts a run that ended, if it is a flat top."""
        levels = self._levels[channel]
        full = abs(run.value) >= 1.0 - step
        stands = min(run.rise, fall) > 0.0 and max(min(run.rise, 2.0), min(fall, 2.0)) > 4.0 * step
        if run.length < CLIP_RUN or run.value == 0.0 or not (full or stands):
            return
        known = levels.get(run.value)
        if known is not None:
            known.runs += 1
            known.longest = max(known.longest, run.length)
        elif len(levels) < MAX_LEVELS:
            levels[run.value] = _Level(1, run.length, run.start)

    def faults(self, info: AudioInfo, step: float) -> list[Fault]:
        for channel, last in enumerate(self._open):
            if last is not None:
                self._close(channel, last, math.inf, step)
        found = [
            (level, value, channel)
            for channel, levels in enumerate(self._levels)
            for value, level in levels.items()
            if self._counts(channel, value, level, step)
        ]
        if not found:
            return []
        runs = sum(level.runs for level, _, _ in found)
        longest = max(level.longest for level, _, _ in found)
        first, _, channel = min(found, key=lambda item: item[0].first)
        loudest = max(abs(value) for _, value, _ in found)
        detail = (
            f"{_count(runs, 'flat top')} of {CLIP_RUN} samples or more at up to {to_dbfs(loudest) or 0.0:.2f} dBFS, "
            f"the longest {longest} samples, first at {place(first.first, info.sample_rate)} in channel {channel + 1}"
        )
        return [Fault("clipping", "warning", detail)]

    def _counts(self, channel: int, value: float, level: _Level, step: float) -> bool:
        """Whether the plateaus at this value are clipping: at full scale, at the channel's extreme, or many at one."""
        if abs(value) >= 1.0 - step:
            return True
        low, high = self._extremes[channel]
        if value in (low, high) and (level.runs > 1 or level.longest > CLIP_RUN):
            return True
        return level.runs >= MANY_RUNS and abs(value) >= CLIP_FLOOR * max(-low, high)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
