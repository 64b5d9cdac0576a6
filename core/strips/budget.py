"""The artefact budget: how much of a change may reach the master where the stem estimate is uncertain.

What a network got wrong (bleed, holes, watery noise) is processed along with the stem, and the delta carries it into
the master. Left as it was, the source masks it. So the delta is weighed in every bin of a short-time spectrum by

    weight = budget + (1 - budget) * certainty,    certainty = Es / (Es + Er)

where Es is the energy of the stem estimate and Er that of the rest, source - stem, both under a triangle of five
spectra and five bins. This is the Wiener gain of a stem whose error is as strong as the rest (A. Liutkus and
R. Badeau, ICASSP 2015). It is an estimate of how sure the stem is, not a measure of its error: it says how much of
the sound there is the stem's own, and bleed stands where the rest is strong. It is 1 where the stem is alone.

The weights know the stem and the source, never the delta: in the delta everything is linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.strips.image import pairs_of
from core.strips.stage import Block

SECONDS: Final = 4096 / 44_100
"""Length of a spectrum, taken to the next power of two in frames; a quarter from one to the next."""
REACH: Final = 2
"""How many spectra, and bins, on either side count."""
TRIANGLE: Final = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
SILENCE: Final = 1e-20
"""Energy of a bin added to both, some -200 dBFS: where nothing sounds nothing contradicts the stem."""

Energies = NDArray[np.float64]


class Budget:
    """Weighs a delta by the certainty of its stem, as a stage.

    It takes the channels of the delta, then those of the stem, then those of the source, all in time, and gives those
    of the weighed delta plus `stem_share` times the stem. Channels of a left-right pair have one certainty. The grid of
    spectra is that of the source's frames, wherever one starts. Latency: a spectrum and two steps, 139 ms at 44.1 kHz.
    """

    def __init__(self, budget: float, sample_rate: int, speakers: Sequence[str], *, stem_share: float = 0.0) -> None:
        self._budget, self._stem_share = budget, stem_share
        self._size = 1 << max(8, round(math.log2(SECONDS * sample_rate)))
        self._hop = self._size // 4
        self._channels = len(speakers)
        self._groups = _groups(speakers)
        self._window = np.sin(np.pi * np.arange(self._size) / self._size)  # its squares add up to 2 at a quarter
        self.latency = self._size + REACH * self._hop
        self.memory = 2 * self.latency
        self.start(0)

    def process(self, block: Block) -> Block:
        """The next block float64 [3 * channels, frames]; gives [channels, frames], `latency` frames late."""
        self._heard = np.concatenate([self._heard, block], axis=1)
        while self._heard.shape[1] >= self._size:
            self._next(self._heard[:, : self._size])
            self._heard = self._heard[:, self._hop :]
        frames = block.shape[1]
        ready = np.concatenate(self._ready, axis=1)
        given = ready[:, self._early : self._early + frames]
        self._ready = [ready[:, self._early + frames :]]
        self._early = 0
        if self._stem_share == 0.0:
            return given
        own = np.concatenate([self._own, block[self._channels : 2 * self._channels]], axis=1)
        self._own = own[:, frames:]
        return given + self._stem_share * own[:, :frames]

    def reset(self) -> None:
        """Hears silence before the first frame."""
        self.start(0)

    def start(self, frame: int) -> None:
        """Begins at any frame of the source, on the same grid."""
        self._early = frame % self._hop  # what the grid gives before the first frame that is asked for
        self._heard = np.zeros((3 * self._channels, self._size + self._early))
        self._ready = [np.zeros((self._channels, 0))]
        self._own = np.zeros((self._channels, self.latency))
        self._sum = np.zeros((self._channels, self._size))
        bins = self._size // 2 + 1
        groups = len(self._groups)
        self._deltas = [np.zeros((self._channels, bins), np.complex128)] * REACH
        self._energies = [np.zeros((2, groups, bins))] * (2 * REACH)

    def _next(self, frames: Block) -> None:
        """Hears one more spectrum, and finishes the one `REACH` before it."""
        delta, stem, source = np.split(np.fft.rfft(frames * self._window, axis=1), 3)
        self._deltas = [*self._deltas, delta]
        self._energies = [*self._energies, np.stack([self._energy(stem), self._energy(source - stem)])]
        weighed = self._deltas[0] * self._weights()
        self._deltas, self._energies = self._deltas[1:], self._energies[1:]
        self._sum = self._sum + np.fft.irfft(weighed, self._size, axis=1) * (self._window / 2.0)
        self._ready.append(self._sum[:, : self._hop])
        self._sum = np.concatenate([self._sum[:, self._hop :], np.zeros((self._channels, self._hop))], axis=1)

    def _energy(self, spectrum: NDArray[np.complex128]) -> Energies:
        power = spectrum.real**2 + spectrum.imag**2
        return np.stack([power[group].sum(axis=0) for group in self._groups])

    def _weights(self) -> NDArray[np.float64]:
        """One weight per channel and bin of the spectrum in the middle of those that were heard last."""
        over_time = np.einsum("t,tsgb->sgb", TRIANGLE, np.stack(self._energies))
        padded = np.pad(over_time, ((0, 0), (0, 0), (REACH, REACH)))
        bins = over_time.shape[-1]
        near = np.stack([padded[..., at : at + bins] for at in range(len(TRIANGLE))])
        stem, rest = np.einsum("n,nsgb->sgb", TRIANGLE, near) + SILENCE
        certainty = stem / (stem + rest)
        weights = np.empty((self._channels, bins))
        for group, found in zip(self._groups, certainty, strict=True):
            weights[group] = self._budget + (1.0 - self._budget) * found
        return weights


def _groups(speakers: Sequence[str]) -> list[list[int]]:
    """Channels that have one certainty: pairs, and every other one by itself."""
    pairs = [list(pair) for pair in pairs_of(speakers)]
    paired = {channel for pair in pairs for channel in pair}
    return [*pairs, *([channel] for channel in range(len(speakers)) if channel not in paired)]
