"""Several estimates of one stem made into one: mean, median, and choices per frequency. Streams of any length."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from core.separation.assemble import Track

SIZE = 4096
"""Frames of a spectrum."""
HOP = SIZE // 4
CROSSFADE_OCTAVES = 1.0 / 3.0


class Mean:
    """The mean of tracks, each with its weight; all weights count relative to their sum."""

    def __init__(self, tracks: Sequence[Track], weights: Sequence[float] | None = None) -> None:
        given = np.asarray([1.0] * len(tracks) if weights is None else weights, np.float64)
        self.tracks, self.weights = tracks, given / given.sum()

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        parts = (track.read(frames) * weight for track, weight in zip(self.tracks, self.weights, strict=True))
        return np.asarray(sum(parts), np.float32)


class Median:
    """The median of tracks, sample for sample: of an even number the mean of the middle two."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = tracks

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        return np.median([track.read(frames) for track in self.tracks], axis=0).astype(np.float32)


class Less:
    """A track less others."""

    def __init__(self, whole: Track, parts: Sequence[Track]) -> None:
        self.whole, self.parts = whole, parts

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        left = self.whole.read(frames).astype(np.float64)
        for part in self.parts:
            left -= part.read(frames)
        return left.astype(np.float32)


class Spectral:
    """Tracks made into one spectrum by spectrum.

    `choose` takes complex128 [tracks, channels, spectra, size / 2 + 1] and gives the same without its first axis, or
    with more channels than the tracks have, where several results belong together. `size` is in frames. The window is
    the root of a Hann window before and after, whose squares at a quarter of its length add up to 2: what `choose`
    leaves alone comes back exactly (weighted overlap-add, R. Crochiere, IEEE TASSP 28(1), 1980).
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        choose: Callable[[NDArray[np.complex128]], NDArray[np.complex128]],
        *,
        size: int = SIZE,
    ) -> None:
        self.tracks, self.choose, self.size, self.hop = tracks, choose, size, size // 4
        self.window = np.sin(np.pi * np.arange(size) / size)
        self.heard: NDArray[np.float64] | None = None
        """The last frames of every track that spectra to come still need: [tracks, channels, size - hop]."""
        self.sum: NDArray[np.float64] | None = None
        """What spectra to come still add to: [channels, size - hop]."""
        self.ready: list[NDArray[np.float32]] = []

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        have = sum(block.shape[1] for block in self.ready)
        while have < frames:
            block = self._next(-(-(frames - have) // self.hop))
            self.ready.append(block)
            have += block.shape[1]
        joined = np.concatenate(self.ready, axis=1)
        self.ready = [joined[:, frames:].copy()]
        return joined[:, :frames]

    def _next(self, hops: int) -> NDArray[np.float32]:
        lead = self.size - self.hop
        first = self.heard is None
        new = np.stack([track.read(hops * self.hop + lead * first) for track in self.tracks]).astype(np.float64)
        if first:
            # behind silence, so that the first frame lies in as many spectra as any other; that silence comes out first
            self.heard = np.zeros((*new.shape[:2], lead))
        return self._add(new)[:, lead * first :]

    def _add(self, new: NDArray[np.float64]) -> NDArray[np.float32]:
        assert self.heard is not None
        audio = np.concatenate((self.heard, new), axis=-1)
        frames = np.lib.stride_tricks.sliding_window_view(audio, self.size, axis=-1)[..., :: self.hop, :]
        spectra = self.choose(np.fft.rfft(frames * self.window, axis=-1))
        blocks = np.fft.irfft(spectra, self.size, axis=-1) * (self.window / 2.0)
        if self.sum is None:
            self.sum = np.zeros((len(blocks), self.size - self.hop))
        total = np.concatenate((self.sum, np.zeros((*self.sum.shape[:-1], new.shape[-1]))), axis=-1)
        for number in range(blocks.shape[-2]):
            total[..., number * self.hop : number * self.hop + self.size] += blocks[..., number, :]
        self.heard = audio[..., new.shape[-1] :]
        self.sum = total[..., new.shape[-1] :]
        return total[..., : new.shape[-1]].astype(np.float32)


def quietest(spectra: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Per bin the value of the least magnitude: bleed that not all estimates have goes."""
    return np.take_along_axis(spectra, np.abs(spectra).argmin(axis=0)[None], axis=0)[0]


def loudest(spectra: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Per bin the value of the greatest magnitude: nothing is missing that one estimate has."""
    return np.take_along_axis(spectra, np.abs(spectra).argmax(axis=0)[None], axis=0)[0]


def by_bands(from_hz: Sequence[float], sample_rate: int) -> Callable[[NDArray[np.complex128]], NDArray[np.complex128]]:
    """One estimate per band: the first from 0 Hz, each from its frequency (rising) to where the next one begins.

    Neighbours are faded over a third of an octave around the joint, their weights always adding up to one.
    """
    freq_hz = np.fft.rfftfreq(SIZE, 1.0 / sample_rate)
    octave = np.log2(np.maximum(freq_hz, 1e-3))
    rises = [np.ones_like(octave)]
    for edge_hz in from_hz[1:]:
        place = np.clip((octave - np.log2(edge_hz)) / CROSSFADE_OCTAVES + 0.5, 0.0, 1.0)
        rises.append(np.sin(np.pi / 2.0 * place) ** 2)
    rises.append(np.zeros_like(octave))
    weights = np.stack([rise - next_rise for rise, next_rise in itertools.pairwise(rises)])
    return lambda spectra: np.einsum("tb,tcsb->csb", weights, spectra)
