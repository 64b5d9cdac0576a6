"""Sample rate conversion in a stream, sample-aligned and of exact length (soxr, VHQ).

A frame n of the one rate is the frame n * to / from of the other; the converter takes its own delay out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import soxr

if TYPE_CHECKING:
    from numpy.typing import NDArray


VERSION = f"soxr {soxr.__version__} / {soxr.__libsoxr_version__}"


def converted_length(frames: int, from_rate: int, to_rate: int) -> int:
    """Frames at `to_rate` that cover `frames` frames at `from_rate`: never fewer, so nothing is cut off on the way."""
    return -(-frames * to_rate // from_rate)


def frames_at(frames: int, from_rate: int, to_rate: int) -> int:
    """How long a file is at another rate: round(frames * to / from), halves up, and never nothing of something."""
    rounded = (2 * frames * to_rate + from_rate) // (2 * from_rate)
    return max(rounded, min(frames, 1))


class Converter:
    """Turns a stream of floats [n, channels], of `dtype`, at one rate into exactly `length` frames at another."""

    def __init__(
        self,
        from_rate: int,
        to_rate: int,
        channels: int,
        length: int,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        self.ratio = from_rate / to_rate
        self.channels = channels
        self.left = length
        self.dtype = dtype
        self.stream = (
            None
            if from_rate == to_rate
            else soxr.ResampleStream(from_rate, to_rate, channels, dtype=dtype, quality="VHQ")
        )

    def push(self, frames: NDArray[Any]) -> NDArray[Any]:
        """What came out for the frames that went in; the converter holds some back until `finish`."""
        return self._cut(frames if self.stream is None else self.stream.resample_chunk(np.ascontiguousarray(frames)))

    def finish(self) -> NDArray[Any]:
        """The rest. The signal is taken to be zero after its end, so that its last frames ring out as they should."""
        silence = np.zeros((int(np.ceil((self.left + 1) * self.ratio)) + 1, self.channels), self.dtype)
        return self._cut(silence if self.stream is None else self.stream.resample_chunk(silence, last=True))

    def _cut(self, frames: NDArray[Any]) -> NDArray[Any]:
        frames = frames[: self.left]
        self.left -= len(frames)
        return frames
