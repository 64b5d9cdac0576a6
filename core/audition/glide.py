"""Values that move without a click: weights that ramp from sample to sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Glide:
    """Weights that go to their target in a straight line over some frames, and then rest there exactly."""

    def __init__(self, values: Sequence[float]) -> None:
        self._from = self._to = np.asarray(values, np.float64)
        self._frames = self._done = 0

    @property
    def target(self) -> NDArray[np.float64]:
        """Where it is, or is going: float64 [weights]."""
        return self._to

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self._done < self._frames

    def go(self, values: Sequence[float], frames: int) -> None:
        """Sets out for other values, from wherever it is now, to be there after `frames` frames (0: at once)."""
        now, to = self._at(np.array([self._done]))[:, 0], np.asarray(values, np.float64)
        if np.array_equal(to, self._to):
            return
        self._from, self._to = now, to
        self._frames, self._done = frames, 0

    def next(self, frames: int) -> NDArray[np.float64]:
        """The weights of the next frames: float64 [weights, frames]."""
        values = self._at(np.arange(self._done + 1, self._done + frames + 1))
        self._done = min(self._frames, self._done + frames)
        return values

    def _at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        if not self.moving:
            return np.repeat(self._to[:, np.newaxis], len(steps), axis=1)
        share = np.minimum(steps / self._frames, 1.0)
        values = self._from[:, np.newaxis] + (self._to - self._from)[:, np.newaxis] * share
        values[:, share == 1.0] = self._to[:, np.newaxis]
        return values
