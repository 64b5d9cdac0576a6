"""Audio files written whole or not at all: samples go to a hidden temporary file that gets its name at the end.

The format comes from `outputs`, metadata is put in by `tags`, the temporary file is `atomic`'s.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

from core.audio.atomic import (
    PendingFile,
    check_output,
    check_room,
    write_bytes_atomically,
    write_text_atomically,
)
from core.audio.formats import Block, integer_bits
from core.audio.outputs import (
    OutputFormat,
    bytes_per_sample,
    default_output_path,
    is_compressed,
    output_format,
)
from core.audio.quantise import Codes

__all__ = [
    "AudioWriter",
    "OutputFormat",
    "check_output",
    "default_output_path",
    "open_writer",
    "output_format",
    "write_bytes_atomically",
    "write_text_atomically",
]


class AudioWriter:
    """An output being written. A context manager: what is not committed is removed without a trace."""

    def __init__(self, out: Path, fmt: OutputFormat, pending: PendingFile, sound: soundfile.SoundFile) -> None:
        self.out = out
        self.fmt = fmt
        self.frame = 0
        self._pending = pending
        self._sound = sound
        self._bits = integer_bits(fmt.subtype)

    def write(self, block: Block) -> None:
        """Appends float64 [channels, frames]; for floating point and lossy formats only, TypeError otherwise."""
        if self._bits is not None:
            raise TypeError(f"{self.fmt.subtype} takes codes: quantise first")
        self._store(np.ascontiguousarray(block.T))

    def write_codes(self, codes: Codes) -> None:
        """Appends int32 [channels, frames] as `quantise` makes them; for integer formats only, TypeError otherwise."""
        if self._bits is None:
            raise TypeError(f"{self.fmt.subtype} does not take codes")
        self._store(np.ascontiguousarray(codes.T) << (32 - self._bits))

    def commit(self, metadata: object = None) -> None:
        """Finishes the file and gives it its name."""
        self._sound.close()
        self._pending.commit()

    def close(self) -> None:
        """Removes what was not committed; safe to call twice."""
        self._sound.close()
        self._pending.discard()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, samples: np.ndarray) -> None:
        self._sound.write(samples)
        self.frame += len(samples)


def open_writer(out: str | os.PathLike[str], fmt: OutputFormat, *, frames: int, force: bool) -> AudioWriter:
    """Starts an output of `frames` frames."""
    out = Path(out)
    check_output(out, (), force)
    needed = frames * fmt.channels * bytes_per_sample(fmt.subtype)
    check_room(out, needed if not is_compressed(fmt) else needed // 2)
    container = fmt.container
    if container == "WAV":
        if needed > 0xFFFFFFFF - (64 << 20):
            container = "RF64"
        elif fmt.channel_mask is not None:
            container = "WAVEX"
    pending = PendingFile(out, force=force)
    try:
        descriptor = os.open(pending.path, os.O_RDWR)
        sound = soundfile.SoundFile(
            descriptor, "w", fmt.sample_rate, fmt.channels, fmt.subtype, None, container, closefd=True
        )
    except BaseException:
        pending.discard()
        raise
    return AudioWriter(out, fmt, pending, sound)
