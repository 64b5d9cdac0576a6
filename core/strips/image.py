"""Level, stereo image and place in time: gain, balance, width, mono below a frequency, delay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import UnbakeError
from core.session.points import Points
from core.session.processors import Placement, Processor, needs_pair
from core.strips.bands import Band, Fir
from core.strips.bands import Delay as FrameDelay
from core.strips.stage import Block, Series, Stage

PAIRS = (("L", "R"), ("Ls", "Rs"), ("Lb", "Rb"))
"""Speakers that belong together as left and right."""


def db_to_gain(gain_db: float) -> float:
    """Linear factor of a level in dB; exactly 1.0 at 0 dB."""
    return 10.0 ** (gain_db / 20.0)


def pairs_of(speakers: Sequence[str]) -> list[tuple[int, int]]:
    """Channel numbers of every left-right pair that is there."""
    return [(speakers.index(left), speakers.index(right)) for left, right in PAIRS if {left, right} <= set(speakers)]


def check_pairs(processor: Processor, speakers: Sequence[str]) -> None:
    """Raises UnbakeError for a processor that needs a left and a right where there are none."""
    paired = needs_pair(processor)
    if paired is not None and not pairs_of(speakers):
        raise UnbakeError(f"{paired} needs a left-right pair, and this file has none")


class Level:
    """One factor per channel: gain, balance and polarity of a strip are all of this kind."""

    latency = 0
    memory = 0

    def __init__(self, factors: NDArray[np.float64]) -> None:
        self._factors = factors[:, np.newaxis]

    def process(self, block: Block) -> Block:
        """Scales a block float64 [channels, frames]."""
        return block * self._factors

    def reset(self) -> None:
        """Nothing is remembered."""


class LevelOverTime:
    """A level in dB that goes from point to point in straight lines, held before the first and after the last.

    Every frame's gain is that of its place in the source, wherever one starts.
    """

    latency = 0
    memory = 0

    def __init__(self, gain_db: float, points: Points, sample_rate: int) -> None:
        self._at = sample_rate * np.array([seconds for seconds, _ in points])
        self._levels_db = gain_db + np.array([level_db for _, level_db in points])
        self._frame = 0

    def process(self, block: Block) -> Block:
        """Scales a block float64 [channels, frames]."""
        frames = np.arange(self._frame, self._frame + block.shape[1])
        self._frame += block.shape[1]
        return block * 10.0 ** (np.interp(frames, self._at, self._levels_db) / 20.0)

    def reset(self) -> None:
        """Begins at the first frame."""
        self._frame = 0

    def start(self, frame: int) -> None:
        """Begins at any frame."""
        self._frame = frame


class PairWidth:
    """Scales the side of every left-right pair by `amount`; other channels pass."""

    latency = 0
    memory = 0

    def __init__(self, amount: float, speakers: Sequence[str]) -> None:
        self._amount = amount
        self._pairs = pairs_of(speakers)

    def process(self, block: Block) -> Block:
        """Widens or narrows a block float64 [channels, frames]."""
        widened = block.copy()
        for left, right in self._pairs:
            mid = (block[left] + block[right]) / 2
            side = (block[left] - block[right]) / 2 * self._amount
            widened[left], widened[right] = mid + side, mid - side
        return widened

    def reset(self) -> None:
        """Nothing is remembered."""


class PairPart:
    """A stage on the mid, the side, the left or the right of every left-right pair; the rest is only delayed.

    What the stage changes is added to both channels, so that of the other part nothing is touched.
    """

    def __init__(self, placement: Placement, speakers: Sequence[str], build: Callable[[int], Stage]) -> None:
        self._placement = placement
        self._lefts, self._rights = (list(channels) for channels in zip(*pairs_of(speakers), strict=True))
        self._stage = build(len(self._lefts))
        self.latency, self.memory = self._stage.latency, self._stage.memory
        self.copyable = getattr(self._stage, "copyable", True)
        self._whole = FrameDelay(self.latency, len(speakers))

    def process(self, block: Block) -> Block:
        """Treats a part of a block float64 [channels, frames], `latency` frames late."""
        treated = self._stage.process(self._part(block))
        whole = self._whole.process(block)
        found = whole.copy()
        if self._placement in ("left", "right"):
            found[self._lefts if self._placement == "left" else self._rights] = treated
            return found
        added = treated - self._part(whole)
        found[self._lefts] += added
        found[self._rights] += added if self._placement == "mid" else -added
        return found

    def _part(self, block: Block) -> Block:
        left, right = block[self._lefts], block[self._rights]
        match self._placement:
            case "mid":
                return (left + right) / 2
            case "side":
                return (left - right) / 2
            case _:
                return left if self._placement == "left" else right

    def reset(self) -> None:
        """Forgets everything heard."""
        self._stage.reset()
        self._whole.reset()


class PairMono:
    """Takes the side of every left-right pair out below a frequency (linear phase); other channels are only delayed."""

    def __init__(self, freq_hz: float, sample_rate: int, speakers: Sequence[str]) -> None:
        self._pairs = pairs_of(speakers)
        self._low = Band(0.0, freq_hz, sample_rate, len(speakers))
        self.latency, self.memory = self._low.latency, self._low.memory

    def process(self, block: Block) -> Block:
        """Narrows a block float64 [channels, frames], `latency` frames late."""
        whole, low = self._low.split(block)
        narrowed = whole.copy()
        for left, right in self._pairs:
            side = (low[left] - low[right]) / 2
            narrowed[left] -= side
            narrowed[right] += side
        return narrowed

    def reset(self) -> None:
        """Forgets everything heard."""
        self._low.reset()


class TimeShift:
    """Moves everything in time, by parts of a frame too; what comes earlier was waited for.

    The fraction is a sinc of 129 taps under a Kaiser window (beta 12): up to 0.9 of Nyquist it is off by -115 dB. Whole
    frames move bit for bit. Its latency is what an unmoved sound would have, and the graph takes that out: the shift
    stays.
    """

    HALF = 64

    def __init__(self, frames: float, channels: int) -> None:
        whole = math.floor(frames)
        self.latency = max(0, -whole)
        parts: list[Stage] = [FrameDelay(max(0, whole), channels)]
        if frames != whole:
            at = np.arange(-self.HALF, self.HALF + 1)
            taps = np.sinc(at - (frames - whole)) * np.kaiser(2 * self.HALF + 1, 12.0)
            self.latency += self.HALF
            parts.append(Fir(taps / taps.sum(), channels))
        self._parts = Series(parts)
        self.memory = self._parts.memory

    def process(self, block: Block) -> Block:
        """Moves a block float64 [channels, frames]."""
        return self._parts.process(block)

    def reset(self) -> None:
        """Forgets everything heard."""
        self._parts.reset()


def fader(gain_db: float, pan: float, polarity: int, speakers: Sequence[str]) -> Level:
    """Gain, balance and polarity of a strip in one factor per channel.

    The balance takes the far side down along a cosine and leaves the near side at 0 dB; centre and LFE stay.
    Raises UnbakeError when a balance is asked of a file without a left-right pair.
    """
    factors = np.full(len(speakers), polarity * db_to_gain(gain_db))
    if pan != 0.0:
        pairs = pairs_of(speakers)
        if not pairs:
            raise UnbakeError("pan needs a left-right pair, and this file is mono")
        far = math.cos(abs(pan) * math.pi / 2) if abs(pan) < 1 else 0.0
        for left, right in pairs:
            factors[left if pan > 0 else right] *= far
    return Level(factors)
