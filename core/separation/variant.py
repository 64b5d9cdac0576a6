"""The same mix, heard otherwise: later, upside down, with its sides swapped. Its stems are turned back again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Variant(NamedTuple):
    """How a network hears the mix: `shift` frames of its own rate later, inverted, with left and right swapped."""

    shift: int = 0
    inverted: bool = False
    swapped: bool = False

    @property
    def name(self) -> str:
        """In a word or two; "" for the mix as it is."""
        words = [f"shift {self.shift}"] * bool(self.shift) + ["inverted"] * self.inverted + ["swapped"] * self.swapped
        return ", ".join(words)

    def heard(self, read: Callable[[int, int], NDArray[np.float32]]) -> Callable[[int, int], NDArray[np.float32]]:
        """What gives float32 [2, frames] of the mix from a frame on, as the variant has it."""
        if self == Variant():
            return read
        return lambda start, frames: self.turned(read(start - self.shift, frames))

    def turned(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Polarity and sides of float32 [..., 2, frames] changed; done twice, nothing is changed."""
        if self.swapped:
            audio = audio[..., ::-1, :]
        return -audio if self.inverted else audio
