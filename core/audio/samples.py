"""Samples that are no numbers, and where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from core.errors import UnbakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo


class Bad(msgspec.Struct, frozen=True):
    """The first NaN or infinity of a block: which, and its frame and channel in the block, from 0."""

    kind: str
    frame: int
    channel: int

    def words(self, sample_rate: int, start: int = 0) -> str:
        """Where it is in a file whose frame `start` is the block's first, channels counted from 1."""
        return f"sample is {self.kind} at {place(start + self.frame, sample_rate)}, channel {self.channel + 1}"


def find_bad(block: NDArray[np.floating]) -> Bad | None:
    """The earliest NaN or infinite sample of floating-point [channels, frames]; None where there is none."""
    wrong = ~np.isfinite(block)
    frames = np.flatnonzero(wrong.any(axis=0))
    if not frames.size:
        return None
    frame = int(frames[0])
    channel = int(np.flatnonzero(wrong[:, frame])[0])
    return Bad("NaN" if np.isnan(block[channel, frame]) else "infinite", frame, channel)


def refuse_bad(block: NDArray[np.floating], start: int, info: AudioInfo) -> None:
    """Raises UnbakeError with the place where a block of `info`'s file, read at frame `start`, is NaN or infinite."""
    # NaN and infinity survive a sum, and one sum is far cheaper than looking at every sample
    if np.isfinite(block.sum()):
        return
    bad = find_bad(block)
    if bad is not None:
        raise UnbakeError(
            bad.words(info.sample_rate, start),
            where=info.path,
            remedy="unbake info lists such faults; mend the file in an editor first",
        )


def place(frame: int, sample_rate: int) -> str:
    """A position as an engineer finds it: `m:ss.mmm (frame n)`."""
    milliseconds = frame * 1000 // sample_rate
    return f"{milliseconds // 60000}:{milliseconds // 1000 % 60:02d}.{milliseconds % 1000:03d} (frame {frame})"
