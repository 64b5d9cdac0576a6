"""The two encoders behind `write`: libsndfile for most formats, FFmpeg (PyAV) for MP4.

They write to a path that is thrown away when anything fails; that it appears whole is `write`'s business.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from core.audio import speakers as layouts
from core.audio.formats import Block
from core.audio.outputs import OutputFormat
from core.audio.quantise import Codes, bits_of

EncoderError = (soundfile.SoundFileError, OSError)
"""What an encoder raises when it can't write."""

# Best of what the codec offers that still is smaller than PCM; 0 is libsndfile's highest quality.
_QUALITY = {"VORBIS": 0.1, "OPUS": 0.1, "MPEG_LAYER_III": 0.0}
_AAC_BITS_PER_CHANNEL = 160_000
# One call with a long block overflows the stack in libsndfile's Vorbis encoder.
_SOUND_FRAMES = 4096


class Encoder(Protocol):
    """Appends samples to a file: float64 or integer codes, [channels, frames]."""

    def write(self, block: Block) -> None:
        """Appends float64 samples."""
        ...

    def write_codes(self, codes: Codes) -> None:
        """Appends integers as `quantise` makes them."""
        ...

    def close(self) -> None:
        """Writes what is still held back and closes the file; safe to call twice."""
        ...


def make_encoder(path: Path, fmt: OutputFormat, container: str) -> Encoder:
    """The encoder for a format; `container` is libsndfile's word for WAV (WAV, WAVEX, RF64)."""
    if fmt.container == "MP4":
        return _AvEncoder(path, fmt)
    return _SoundEncoder(path, fmt, container)


class _SoundEncoder:
    def __init__(self, path: Path, fmt: OutputFormat, container: str) -> None:
        options: dict[str, Any] = {}
        if fmt.subtype in _QUALITY:
            options["compression_level"] = _QUALITY[fmt.subtype]
        if fmt.subtype == "MPEG_LAYER_III":
            options["bitrate_mode"] = "CONSTANT"
        self._order = layouts.vorbis_order(fmt.speakers) if fmt.container == "OGG" else None
        self._subtype = fmt.subtype
        self._step = _SOUND_FRAMES if fmt.container in ("OGG", "MP3") else None
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        self._sound = soundfile.SoundFile(
            descriptor, "w", fmt.sample_rate, fmt.channels, fmt.subtype, None, container, closefd=True, **options
        )

    def write(self, block: Block) -> None:
        if self._order is not None:
            block = block[self._order]
        self._store(np.ascontiguousarray(block.T, dtype=np.float64))

    def write_codes(self, codes: Codes) -> None:
        # libsndfile keeps the upper bits of a 32-bit sample.
        self._store(np.ascontiguousarray(codes.T, dtype=np.int32) << (32 - bits_of(self._subtype)))

    def close(self) -> None:
        self._sound.close()

    def _store(self, samples: NDArray[Any]) -> None:
        step = self._step or max(1, len(samples))
        for start in range(0, len(samples), step):
            self._sound.write(samples[start : start + step])


class _AvEncoder:
    def __init__(self, path: Path, fmt: OutputFormat) -> None:
        import av

        self._fmt = fmt
        self._bits = None if fmt.subtype == "AAC" else bits_of(fmt.subtype)
        self._sample = {None: "fltp", 16: "s16p"}.get(self._bits, "s32p")
        self._layout = "mono" if fmt.channels == 1 else "stereo"
        with _as_os_error():
            # The length is kept in units of the movie's time scale: milliseconds, if nothing finer is asked for.
            scale = {"movie_timescale": str(fmt.sample_rate)}
            self._container = av.open(os.fspath(path), "w", format="ipod", options=scale)
            stream: Any = self._container.add_stream("aac" if self._bits is None else "alac", rate=fmt.sample_rate)
            stream.codec_context.format = self._sample
            stream.codec_context.layout = self._layout
            if self._bits is None:
                stream.codec_context.bit_rate = _AAC_BITS_PER_CHANNEL * fmt.channels
            stream.codec_context.open()
        self._stream = stream
        self._unit = stream.codec_context.frame_size
        self._rest: NDArray[Any] | None = None
        self._frame = 0
        self._open = True

    def write(self, block: Block) -> None:
        self._store(block.astype(np.float32))

    def write_codes(self, codes: Codes) -> None:
        if self._sample == "s16p":
            self._store(codes.astype(np.int16))
        else:
            self._store(codes << (32 - (self._bits or 32)))

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        with _as_os_error(), self._container:
            if self._rest is not None and self._rest.shape[1]:
                self._encode(self._rest)
            for packet in self._stream.encode(None):
                self._container.mux(packet)

    def _store(self, samples: NDArray[Any]) -> None:
        # Both codecs take units of one length, and a shorter one at the very end only.
        if self._rest is not None:
            samples = np.concatenate([self._rest, samples], axis=1)
        whole = samples.shape[1] // self._unit * self._unit
        for start in range(0, whole, self._unit):
            self._encode(samples[:, start : start + self._unit])
        self._rest = samples[:, whole:].copy()

    def _encode(self, samples: NDArray[Any]) -> None:
        import av

        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=self._sample, layout=self._layout)
        frame.sample_rate = self._fmt.sample_rate
        frame.pts = self._frame
        self._frame += samples.shape[1]
        with _as_os_error():
            for packet in self._stream.encode(frame):
                self._container.mux(packet)


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error
