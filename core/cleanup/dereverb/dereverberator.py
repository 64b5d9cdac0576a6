"""The step itself: whether a file is reverberant, and the file without its room, segment by segment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from core.audio.formats import Block
from core.audio.read import AudioReader, read_blocks
from core.cleanup.cleaner import Cleaner, Finding
from core.cleanup.dereverb import room
from core.cleanup.dereverb.frames import Frames, Joiner, Spectra
from core.cleanup.dereverb.prediction import Predictor
from core.cleanup.dereverb.tail import TailSuppressor
from core.events import Operation
from core.separation.device import resolve_device
from core.session.cleaning import Dereverb

SEGMENT_S: Final = 20.0
"""Filters are found anew for each segment: long enough for a filter of 60 numbers, short enough to stay flat."""
CROSSED_S: Final = 1.0
"""Neighbouring segments are crossfaded over so long."""
SHARE_OF_RT60: Final = 0.45
"""Prediction looks back by such a share of the reverberation time: what is older is 27 dB down."""
FEWEST_TAPS: Final = 4
MOST_TAPS: Final = 30
HIGHEST_HZ: Final = 16_000.0
"""Air takes away what is above it before it is late."""
TOGETHER: Final = 2
"""Channels that are predicted from each other: pairs, so that six cost three times as much as two."""

SHORTEST_S: Final = 0.28
"""Dry voices and drums die away faster than this,"""
MARGIN_S: Final = 0.02
"""and it is three to one for a room where it takes so much longer."""
BANDS_TELL: Final = (0.0, 0.6, 0.85, 0.95, 1.0)
"""What decays in so many bands are worth."""
MUSIC_DB: Final = -14.0
"""Who has more bass than this is music, and its reverberation most likely meant."""
MOST_MUSIC: Final = 0.7


class Dereverberator(Cleaner[Dereverb]):
    """Hears the room, then predicts its tail and takes it away."""

    def __init__(self, reader: AudioReader, step: Dereverb) -> None:
        super().__init__(reader, step)
        self._rt60_s = 0.0

    def find(self) -> Operation[Finding]:
        """Measures the reverberation time; where one is given it is taken, and always carried out."""
        heard = yield from room.hear(self.reader)
        confidence = _confidence(heard)
        kind = str(self.step.__struct_config__.tag)
        figures = {"rt60_s": heard.rt60_s, "decays": float(heard.decays)} if heard.rt60_s else {}
        if self.step.rt60_s:
            self._rt60_s = self.step.rt60_s
            measured = f", measured {heard.rt60_s:.2f} s" if heard.rt60_s else ""
            detail = f"RT60 {self._rt60_s:.2f} s as given{measured}"
            return Finding(type=kind, found=True, confidence=confidence, detail=detail, figures=figures)
        if confidence < 0.5:
            return Finding(type=kind, found=False, confidence=confidence, detail=_why(heard), figures=figures)
        self._rt60_s = heard.rt60_s
        detail = f"RT60 {heard.rt60_s:.2f} s, by {heard.decays} decays in {heard.bands} bands"
        if heard.bass_db > MUSIC_DB:
            detail += "; music, where it may be meant"
        proposal: dict[str, float | str] = {"rt60_s": round(heard.rt60_s, 2)}
        return Finding(type=kind, found=True, confidence=confidence, detail=detail, figures=figures, proposal=proposal)

    def blocks(self) -> Iterator[Block]:
        """The file without its tail. The same bits each time on one machine; a GPU's differ in the last ones."""
        if not self._rt60_s:
            self.reader.seek(0)
            yield from read_blocks(self.reader)
            return
        frames = Frames(self.info.sample_rate, self.info.frames)
        channels = self.info.channels
        groups = [slice(first, min(first + TOGETHER, channels)) for first in range(0, channels, TOGETHER)]
        tails = [
            TailSuppressor(frames, self._rt60_s, self.step.reduction_db, each.stop - each.start) for each in groups
        ]
        joiner = Joiner(frames, channels)
        for spectra in self._predicted(frames, groups):
            spectra = np.concatenate([tail.process(spectra[each]) for tail, each in zip(tails, groups, strict=True)])
            yield joiner.push(spectra)

    def _predicted(self, frames: Frames, groups: list[slice]) -> Iterator[Spectra]:
        """The spectra of the whole file, without what was predicted of them, a segment at a time."""
        predictor = Predictor(
            taps=min(max(round(SHARE_OF_RT60 * self._rt60_s / frames.hop_s), FEWEST_TAPS), MOST_TAPS),
            bins=int(np.count_nonzero(frames.hertz <= HIGHEST_HZ)),
            device=resolve_device("auto"),
        )
        segments = max(1, round(frames.count * frames.hop_s / SEGMENT_S))
        edges = np.linspace(0, frames.count, segments + 1).astype(int)
        crossed = round(CROSSED_S / frames.hop_s)
        rising = ((np.arange(crossed) + 0.5) / crossed).astype(np.float32)
        held: Spectra | None = None
        for number, first in enumerate(edges[:-1]):
            last = int(edges[number + 1])
            after = crossed if number + 1 < segments else 0
            heard = frames.read(self.reader, int(first) - predictor.before, last + after)
            clean = np.concatenate([predictor.clean(heard[each]) for each in groups])
            if held is not None:
                clean[:, :, :crossed] = rising * clean[:, :, :crossed] + (1.0 - rising) * held
            held = clean[:, :, last - first :].copy()
            yield clean[:, :, : last - first]


def _confidence(heard: room.Heard) -> float:
    """How far the fastest decays are over those of dry sounds, how many there are and in how many bands."""
    over = min(max((heard.rt60_s - SHORTEST_S) / MARGIN_S, -30.0), 30.0)
    many = heard.decays / (heard.decays + 4.0)
    sure = many * BANDS_TELL[heard.bands] / (1.0 + math.exp(-over))
    return min(sure, MOST_MUSIC) if heard.bass_db > MUSIC_DB else sure


def _why(heard: room.Heard) -> str:
    if not heard.bands:
        return "too few sounds die away to hear a room"
    if heard.rt60_s < SHORTEST_S:
        return f"sounds die away in {heard.rt60_s:.2f} s, faster than a room lets them"
    return f"decays of {heard.rt60_s:.2f} s, but too few of them to tell of a room"
