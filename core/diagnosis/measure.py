"""One pass over a master and its stems, side by side: everything the findings and the fits are made of."""

from __future__ import annotations

import heapq
import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.audio.formats import BLOCK_FRAMES
from core.audio.read import open_reader
from core.audio.samples import refuse_bad
from core.diagnosis.balance import BalanceMeter, Windows
from core.diagnosis.hits import Hit, HitMeter
from core.diagnosis.notes import Harmonic, NoteMeter
from core.diagnosis.sibilants import SibilanceMeter
from core.events import Operation, Progress
from core.measure.loudness import LOWEST_RATE, LoudnessMeter
from core.recombine.graph import open_stem
from core.session.document import RESIDUAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo, Block

REGIONS_HZ: Final = (5.0, 22.0, 120.0, 500.0, 2000.0, 5000.0, 9000.0, math.inf)
"""Edges of the regions whose power is kept window by window: rumble, lows, low mids, mids, presence, sibilants, air."""
LOWS_HZ: Final = 120.0
MOST_QUIET: Final = 32
QUIET_SHARE: Final = 0.1
"""Windows of the master whose spectra are kept, to look for hum and noise where there is little else."""


class Part(NamedTuple):
    """What one stem is, over its whole length; None where it is silent or too short to say."""

    lufs: float | None
    power: NDArray[np.float64]
    """In sixths of an octave, float64 [balance.BANDS]."""
    regions: NDArray[np.float32]
    """Power in `REGIONS_HZ` of every window, float32 [windows, 7]."""


class Measured(NamedTuple):
    """A master and its stems in figures. `seconds_a_window` is from one window of `regions` to the next."""

    sample_rate: int
    seconds: float
    channels: int
    seconds_a_window: float
    parts: dict[str, Part]
    """Stems in their order, then the residual."""
    common: NDArray[np.complex128]
    """Common powers of the parts, complex128 [parts, parts, BANDS]."""
    master: Part
    mono_lufs: float | None
    """Loudness of what is left when left and right are added up (and shared out to both again)."""
    lows: NDArray[np.float32]
    """Below 120 Hz, window by window: power of left, of right, and what they have in common, float32 [windows, 3]."""
    side: NDArray[np.float32]
    """Power of the difference of left and right, window by window, float32 [windows]: what is lost in mono."""
    quiet: NDArray[np.float64]
    """Mean power spectrum of the quietest windows, float64 [bins], bins `bin_hz` apart."""
    bin_hz: float
    harmonics: list[Harmonic]
    hits: list[Hit]
    sibilance: NDArray[np.int64]
    """How often sibilants stood so far above the voice's usual level: see `sibilants`."""

    def common_of(self, *stems: str) -> NDArray[np.complex128]:
        """Common powers of these stems and of all the rest together: complex128 [stems + 1, stems + 1, BANDS].

        A stem that is not there is silent.
        """
        names = list(self.parts)
        choose = np.zeros((len(stems) + 1, len(names)))
        choose[-1] = [name not in stems for name in names]
        for row, stem in enumerate(stems):
            if stem in names:
                choose[row, names.index(stem)] = 1.0
        return np.einsum("ip,pqk,jq->ijk", choose, self.common, choose, optimize=True)


def measure(source: Path, stems: Mapping[str, Path]) -> Operation[Measured]:
    """Measures a master and all its stems, the residual among them, in one pass.

    Raises UnbakeError for files that can't be read or do not fit each other, and at NaN or infinite samples.
    """
    with ExitStack() as stack:
        master = stack.enter_context(open_reader(source))
        names = [name for name in stems if name != RESIDUAL] + [name for name in stems if name == RESIDUAL]
        readers = {name: stack.enter_context(open_stem(name, stems, master.info)) for name in names}
        meters = _Meters(master.info, names)
        done = 0
        while done < master.info.frames:
            block = master.read(min(BLOCK_FRAMES, master.info.frames - done))
            refuse_bad(block, done, master.info)
            meters.push(block, {name: reader.read(block.shape[1]) for name, reader in readers.items()})
            done += block.shape[1]
            yield Progress("diagnosing", done, master.info.frames, master.info.seconds)
        return meters.result()


def balance_of(path: Path) -> Operation[NDArray[np.float64]]:
    """Power of a file in sixths of an octave, float64 [BANDS]. Raises UnbakeError when it can't be read."""
    with open_reader(path) as reader:
        windows = Windows(reader.info.sample_rate)
        meter = BalanceMeter(1, reader.info.sample_rate, windows.size)
        done = 0
        while done < reader.info.frames:
            block = reader.read(min(BLOCK_FRAMES, reader.info.frames - done))
            refuse_bad(block, done, reader.info)
            for window in windows.push([block]):
                meter.push(window)
            done += block.shape[1]
            yield Progress("measuring the reference", done, reader.info.frames, reader.info.seconds)
        for window in windows.last():
            meter.push(window)
        return meter.result()[0][0]


class _Meters:
    """All the meters of one pass."""

    def __init__(self, info: AudioInfo, names: list[str]) -> None:
        self._info, self._names = info, names
        self._windows = Windows(info.sample_rate)
        size = self._windows.size
        self._bin_hz = info.sample_rate / size
        edges = np.searchsorted(np.arange(size // 2 + 1) * self._bin_hz, REGIONS_HZ[:-1])
        self._edges = np.minimum(edges, size // 2)
        self._low_bins = slice(1, max(2, math.ceil(LOWS_HZ / self._bin_hz)))
        self._balance = BalanceMeter(len(names), info.sample_rate, size)
        self._master_balance = BalanceMeter(1, info.sample_rate, size)
        self._loudness = {name: _loudness(info, info.speakers) for name in (*names, "", "mono")}
        self._regions: list[NDArray[np.float32]] = []
        self._lows: list[NDArray[np.float32]] = []
        self._side: list[float] = []
        self._quiet: list[tuple[float, int, NDArray[np.float64]]] = []
        windows = 2 * info.frames // size + 1
        self._quiet_most = max(1, min(MOST_QUIET, round(QUIET_SHARE * windows)))
        self._notes = NoteMeter(info.sample_rate, size, windows)
        self._hits = HitMeter(info.sample_rate, info.channels)
        self._sibilance = SibilanceMeter(info.sample_rate, info.channels)
        self._pair = [info.speakers.index(name) for name in ("L", "R") if name in info.speakers]

    def push(self, master: Block, stems: dict[str, Block]) -> None:
        """Takes the next block of everything."""
        for window in self._windows.push([master, *stems.values()]):
            self._push_window(window)
        for name, block in (*stems.items(), ("", master), ("mono", self._mono(master))):
            meter = self._loudness[name]
            if meter is not None:
                meter.push(block)
        if "drums" in stems:
            self._hits.push(stems["drums"], stems.get("bass"))
        if "vocals" in stems:
            self._sibilance.push(stems["vocals"])

    def _push_window(self, window: NDArray[np.float64]) -> None:
        [of_master] = self._master_balance.push(window[:1])
        of_stems = self._balance.push(window[1:])
        power = np.concatenate([of_master[None], of_stems])
        power = (power.real**2 + power.imag**2).sum(axis=1)
        self._regions.append(np.add.reduceat(power, self._edges, axis=1).astype(np.float32))
        if len(self._pair) == 2:
            left, right = (of_master[channel, self._low_bins] for channel in self._pair)
            figures = [np.vdot(left, left).real, np.vdot(right, right).real, np.vdot(left, right).real]
            self._lows.append(np.array(figures, dtype=np.float32))
            side = of_master[self._pair[0]] - of_master[self._pair[1]]
            self._side.append(np.vdot(side, side).real)
        total = float(power[0].sum())
        if total > 0.0:
            entry = (-total, len(self._regions), power[0])
            if len(self._quiet) < self._quiet_most:
                heapq.heappush(self._quiet, entry)
            elif entry > self._quiet[0]:
                heapq.heapreplace(self._quiet, entry)
        if "bass" in self._names:
            self._notes.push(of_stems[self._names.index("bass")])

    def _mono(self, block: Block) -> Block:
        if len(self._pair) < 2:
            return block
        mono = block.copy()
        mono[self._pair] = block[self._pair].mean(axis=0)
        return mono

    def result(self) -> Measured:
        """What was measured."""
        for window in self._windows.last():
            self._push_window(window)
        size, rate = self._windows.size, self._info.sample_rate
        # powers of windows as those of the balance: 0 dB is a full-scale sine in one channel
        scale = 4.0 / (size * (3.0 / 8.0) * size)
        regions = np.array(self._regions, dtype=np.float32).reshape(-1, 1 + len(self._names), len(self._edges)) * scale
        powers, common = self._balance.result()
        [master_power], _ = self._master_balance.result()
        loud = {name: None if meter is None else meter.result().lufs_i for name, meter in self._loudness.items()}
        parts = {name: Part(loud[name], powers[place], regions[:, place + 1]) for place, name in enumerate(self._names)}
        quiet = [power for _, _, power in self._quiet]
        return Measured(
            sample_rate=rate,
            seconds=self._info.seconds,
            channels=self._info.channels,
            seconds_a_window=size / 2 / rate,
            parts=parts,
            common=common,
            master=Part(loud[""], master_power, regions[:, 0]),
            mono_lufs=loud["mono"],
            lows=np.array(self._lows, dtype=np.float32).reshape(-1, 3) * scale,
            side=np.array(self._side, dtype=np.float32) * scale,
            quiet=scale * np.mean(quiet, axis=0) if quiet else np.zeros(size // 2 + 1),
            bin_hz=self._bin_hz,
            harmonics=self._notes.result(),
            hits=self._hits.result(),
            sibilance=self._sibilance.result(),
        )


def _loudness(info: AudioInfo, speakers: tuple[str, ...]) -> LoudnessMeter | None:
    return LoudnessMeter(info.sample_rate, speakers) if info.sample_rate >= LOWEST_RATE else None
