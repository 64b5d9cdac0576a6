"""A bus on its way along the session's time map, with the strips that another engine carries, and where it came to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.audio.read import open_reader
from core.events import finish
from core.measure.align import estimate
from core.measure.figures import Level
from core.session.timemap import Drawn
from core.warp.engines.modes import PLAIN, warper_of
from core.warp.engines.sound import FileSound
from core.warp.rhythm.attacks import attacks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo, Block
    from core.audio.held import Held
    from core.audio.read import AudioReader
    from core.session.timemap import StripWarp, TimeMap
    from core.warp.engines.sound import Sound

Read = Callable[[int], "Block"]


PROBES: Final = 48
"""Places at which it is measured where the sound went."""
PROBE_SECONDS: Final = 0.02
"""From an attack on, which is where engines hold the speed of the source; and before it, to know it by."""
ATTACK: Final = 4.0
"""How much stronger a sound has to get for a place to be an attack of this file, as a power."""
CLEAR: Final = 0.8
"""Likeness below which a place can't tell where it went."""


class Drift(msgspec.Struct, frozen=True):
    """How far from where the map has them attacks and anchors were found in a file: frames, over `probes` of them."""

    probes: int
    worst_frames: float | None
    median_frames: float | None


class WarpFigures(msgspec.Struct, frozen=True):
    """What a time map did to a render, at the source's rate.

    Speeds are frames of the source per frame of the target. `drift` is measured in the written file; None where that
    has another rate. `apart` are the strips that another engine carried, with its mode, and `apart_residual` what they
    differ by from the same carried along with the master.
    """

    anchors: int
    curve: str
    source_frames: int
    frames: int
    slowest: float
    fastest: float
    attacks: int
    drift: Drift | None
    apart: dict[str, str]
    apart_residual: Level | None


class Pulled:
    """Whatever gives frames in order, as a `Sound`."""

    def __init__(self, channels: int, *reads: Read) -> None:
        self.channels = channels
        self._reads = reads

    def read(self, frames: int) -> Block:
        """The next `frames` frames of all of it together."""
        first, *others = self._reads
        block = first(frames)
        for read in others:
            block = block + read(frames)
        return block


class WarpedBus:
    """W(bus) plus, for every other mode, Wi of what its strips give: `read` gives the sum, in time with the target.

    The source guides all engines. `stack` closes what is opened. Raises UnbakeError as the engines do.
    """

    def __init__(
        self,
        time_map: TimeMap,
        source: AudioInfo,
        bus: Read,
        apart: Iterable[tuple[StripWarp, Sound]],
        stack: ExitStack,
        held: Held | None = None,
    ) -> None:
        attacks = finish(attacks_of(source.path))
        by_mode: dict[StripWarp, list[Read]] = {"linked": [bus]}
        for mode, sound in apart:
            by_mode.setdefault(mode, []).append(sound.read)
        self._warpers = []
        for mode, reads in by_mode.items():
            guide = FileSound(stack.enter_context(open_reader(Path(source.path), held=held)))
            sound = Pulled(source.channels, *reads)
            self._warpers.append(
                finish(warper_of(mode, guide, [sound], time_map, source.frames, source.sample_rate, attacks, PLAIN))
            )
        self.frames = time_map.length(source.frames)

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, frames]; silent after the end."""
        first, *others = [warper.read(frames)[0] for warper in self._warpers]
        for block in others:
            first += block
        return first


def speeds(time_map: TimeMap, frames: int) -> tuple[float, float]:
    """The lowest and the highest speed of a map of a file of `frames` frames."""
    vertices = time_map.vertices(frames)
    found = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(vertices) if b[1] > a[1]] or [1.0]
    return min(found), max(found)


def drift_of(source: AudioReader, result: AudioReader, attacks: NDArray[np.int64], time_map: TimeMap) -> Drift:
    """Where attacks and anchors lie in what became of a file, at its rate, against where the map has them."""
    drawn = Drawn(time_map, source.info.frames)
    rate = source.info.sample_rate
    length = round(PROBE_SECONDS * rate)
    anchors = np.asarray([each for each, _ in time_map.anchors], np.int64)
    places = np.unique(np.concatenate([anchors, attacks]))
    places = places[places < source.info.frames - length]
    if len(places) > PROBES:
        places = places[np.linspace(0, len(places) - 1, PROBES).round().astype(int)]
    off = []
    for place in places.tolist():
        target = round(drawn.target(place))
        if place < length or not 0 <= target < result.info.frames - length:
            continue
        source.seek(place - length)
        result.seek(target)
        # steps from sample to sample tell attacks from what sounds on, which fits wherever it repeats
        ahead, before = np.split(np.diff(source.read(2 * length), prepend=0.0), 2, axis=1)
        if np.square(before).sum() < ATTACK * np.square(ahead).sum():
            continue
        after = np.diff(result.read(length), prepend=0.0)
        lag = estimate(before, after, rate, max_delay_seconds=PROBE_SECONDS / 2)
        if lag.correlation >= CLEAR:
            off.append(abs(lag.delay_samples))
    if not off:
        return Drift(0, None, None)
    return Drift(len(off), max(off), float(np.median(off)))
