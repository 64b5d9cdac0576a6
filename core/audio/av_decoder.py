"""Decoding with FFmpeg's libraries (PyAV): MP4 with AAC or ALAC, MP3, WebM, and what libsndfile can't do right.

Encoder delay and padding are taken off as FFmpeg does, so that frame counts are exact.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from core.audio import integrity
from core.audio import speakers as layouts
from core.audio.formats import MAX_CHANNELS, AudioInfo, Block, is_lossless
from core.audio.hashes import Fingerprint, fingerprint
from core.errors import UnbakeError, os_error

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_DEMUXERS = {
    "MP4": "mov",
    "MP3": "mp3",
    "AAC": "aac",
    "MATROSKA": "matroska",
    "WAVPACK": "wv",
    "FLAC": "flac",
    "CAF": "caf",
    "RIFF": "wav",
    "BW64": "wav",
    "OGG": "ogg",
}
_CONTAINERS = {"RIFF": "WAV", "BW64": "RF64"}
_LOSSY = {"mp3float": "MPEG_LAYER_III", "mp3": "MPEG_LAYER_III", "mp2float": "MPEG_LAYER_II", "libopus": "OPUS"}
_LOSSY_SLACK_FRAMES = 2048
_UNSAFE_PLANES = 8
_SKIP_MANUAL = 1 << 29
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 2.0**63}
_MASK_BITS = {
    "FL": 0x1,
    "FR": 0x2,
    "FC": 0x4,
    "LFE": 0x8,
    "BL": 0x10,
    "BR": 0x20,
    "FLC": 0x40,
    "FRC": 0x80,
    "BC": 0x100,
    "SL": 0x200,
    "SR": 0x400,
}


def can_decode(kind: str) -> bool:
    """Whether files of that kind (a word of `sniff`) can be given to FFmpeg."""
    return kind in _DEMUXERS


class _Nameless:
    """A file for FFmpeg without a name, from which it would draw conclusions."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by its owner
        self.read = self._file.read
        self.seek = self._file.seek
        self.tell = self._file.tell
        self.close = self._file.close


class AvDecoder:
    """An audio stream being decoded: `read` and `seek` count frames of the decoded audio."""

    def __init__(self, path: str, kind: str, stream: int) -> None:
        self.frame = 0
        self._path = path
        self._kind = kind
        self._stream = stream
        self._open()

    @property
    def random_access(self) -> bool:
        """Whether `seek` goes anywhere at once, without decoding what lies before."""
        counts_frames = self.source.time_base == Fraction(1, self.sample_rate) and not self.source.start_time
        return self._kind == "MP4" and counts_frames and self.source.codec_context.name == "alac"

    def read(self, frames: int) -> Block:
        """The next `frames` frames, float64 [channels, n]; fewer at the end of the stream or where it can't go on."""
        parts: list[Block] = []
        missing = frames
        while missing > 0:
            if self._rest is None or self._rest.shape[1] == 0:
                self._rest = next(self._blocks, None)
                if self._rest is None:
                    break
            parts.append(self._rest[:, :missing])
            self._rest = self._rest[:, missing:]
            missing -= parts[-1].shape[1]
        self.frame += frames - missing
        if not parts:
            return np.zeros((self.channels, 0))
        return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts, axis=1)

    def seek(self, frame: int) -> None:
        """Goes to `frame` exactly: what one decoder makes of a frame can depend on all before, so it decodes up to it.

        Lossless packets in a container that counts frames stand alone, and are gone to at once.
        """
        if frame < self.frame:
            self.close()
            self._open()
        if frame > self.frame and self.random_access:
            self._jump(frame)
        while self.frame < frame:
            if self.read(min(frame - self.frame, 1 << 16)).shape[1] == 0:
                break

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._container.close()
        self._file.close()

    def _open(self) -> None:
        self._file = _Nameless(self._path)
        try:
            self._container = open_container(self._file, self._path, self._kind)
        except UnbakeError:
            self._file.close()
            raise
        try:
            self.source = self._pick()
        except UnbakeError:
            self.close()
            raise
        if self._kind == "CAF":
            # FFmpeg takes the padding of ALAC in CAF off twice; the packets themselves are as long as they should be.
            self.source.codec_context.flags2 |= _SKIP_MANUAL
        self.channels = self.source.codec_context.channels
        self.sample_rate = self.source.codec_context.sample_rate
        self.frame = 0
        self._rest: Block | None = None
        self._blocks = self._decoded()

    def _pick(self) -> Any:
        streams = self._container.streams.audio
        if not streams:
            raise UnbakeError("holds no audio stream", where=self._path)
        if not 0 <= self._stream < len(streams):
            raise UnbakeError(f"has {len(streams)} audio streams, no number {self._stream}", where=self._path)
        return streams[self._stream]

    def _decoded(self, skip_to: int | None = None) -> Iterator[Block]:
        from av.error import FFmpegError

        try:
            for frame in self._frames():
                block = to_block(frame)
                if skip_to is not None:
                    pts = -1 if frame.pts is None else frame.pts
                    if pts > skip_to or pts < 0:
                        raise UnbakeError(f"is damaged near frame {skip_to}", where=self._path)
                    block = block[:, skip_to - pts :]
                    if block.shape[1] == 0:
                        continue
                    skip_to = None
                yield block
        except FFmpegError as error:
            raise UnbakeError(f"is truncated or damaged at frame {self.frame}", where=self._path) from error

    def _frames(self) -> Iterator[av.AudioFrame]:
        import av

        codec = self.source.codec_context
        if codec.channels < _UNSAFE_PLANES or not codec.format.is_planar:
            yield from self._container.decode(self.source)
            return
        # PyAV reads past the list of planes when all eight are taken: interleave them first, samples as they are.
        interleave = av.AudioResampler(format=codec.format.packed.name, layout=codec.layout, rate=codec.sample_rate)
        for frame in self._container.decode(self.source):
            yield from interleave.resample(frame)
        yield from interleave.resample(None)

    def _jump(self, frame: int) -> None:
        self._container.seek(frame, stream=self.source)
        self._rest = None
        self._blocks = self._decoded(skip_to=frame)
        self.frame = frame


@contextlib.contextmanager
def open_file(path: Path, kind: str) -> Iterator[InputContainer]:
    """A file opened by FFmpeg for looking at its header. UnbakeError when it can't be."""
    file = _Nameless(os.fspath(path))
    try:
        with open_container(file, os.fspath(path), kind) as container:
            yield container
    finally:
        file.close()


def open_container(file: Any, path: str, kind: str) -> InputContainer:
    """A file opened by FFmpeg as the kind that `sniff` found. UnbakeError when it can't be."""
    import av
    from av.error import FFmpegError

    try:
        return cast("InputContainer", av.open(file, format=_DEMUXERS[kind], metadata_errors="ignore"))
    except (FFmpegError, ValueError) as error:
        raise UnbakeError("is truncated or damaged: its header can't be read", where=path) from error


def to_block(frame: av.AudioFrame) -> Block:
    """A decoded frame as float64 [channels, frames], integers mapped exactly."""
    name = frame.format.name
    samples = frame.to_ndarray()
    if not name.endswith("p"):
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    block = np.ascontiguousarray(samples, dtype=np.float64)
    kind = name.removesuffix("p")
    if kind == "u8":
        block -= 128.0
    if kind in _FULL_SCALE:
        block /= _FULL_SCALE[kind]
    return block


def probe_av(path: str | os.PathLike[str], kind: str, stream: int) -> AudioInfo:
    """What FFmpeg makes of an audio stream, with its frames counted by decoding it once.

    UnbakeError when there is no such stream or it ends before its header says.
    """
    return _probe(os.fspath(path), kind, stream, fingerprint(path))


@functools.lru_cache(maxsize=256)
def _probe(path: str, kind: str, stream: int, _content: Fingerprint) -> AudioInfo:
    try:
        decoder = AvDecoder(path, kind, stream)
    except OSError as error:
        raise os_error(error, path) from error
    try:
        channels, sample_rate = decoder.channels, decoder.sample_rate
        subtype = _subtype(decoder.source)
        mask = _mask(decoder.source.codec_context.layout)
        promised = _promised_frames(path, kind, decoder.source)
        frames = 0
        while (count := decoder.read(1 << 16).shape[1]) > 0:
            frames += count
    finally:
        decoder.close()
    if promised is not None:
        slack = 0 if is_lossless(subtype) else _LOSSY_SLACK_FRAMES
        if frames < promised - slack:
            raise UnbakeError(f"is truncated or damaged at frame {frames} of {promised}", where=path)
        frames = min(frames, promised)
    return AudioInfo(
        path=path,
        container=_CONTAINERS.get(kind, kind),
        subtype=subtype,
        sample_rate=sample_rate,
        channels=channels,
        frames=frames,
        speakers=layouts.speakers_of_mask(mask, channels) if 1 <= channels <= MAX_CHANNELS else (),
        lossless=is_lossless(subtype),
        channel_mask=mask if channels > 2 else None,
    )


def _promised_frames(path: str, kind: str, source: Any) -> int | None:
    """How many frames the header says there are; None where it only estimates."""
    if source.duration is None or kind not in ("MP4", "CAF", "MP3", "WAVPACK", "FLAC"):
        return None
    if kind == "MP3" and integrity.mp3_promise(Path(path)) is None:
        return None
    frames = source.duration * source.time_base * source.codec_context.sample_rate
    return round(frames) if frames > 0 and frames.denominator == 1 else None


def _subtype(source: Any) -> str:
    codec = source.codec_context.name
    extradata = source.codec_context.extradata or b""
    sample = source.codec_context.format.name.removesuffix("p") if source.codec_context.format else ""
    if codec == "alac":
        # The magic cookie: an atom header of 12 bytes, frame length, version, bits.
        return f"ALAC_{extradata[17] if len(extradata) > 17 else 16}"
    if codec == "flac" or codec.startswith("pcm_s"):
        return {"s16": "PCM_16", "s32": "PCM_24" if _bits(codec, extradata) <= 24 else "PCM_32"}.get(sample, "PCM_16")
    names = {"pcm_u8": "PCM_U8", "pcm_f32le": "FLOAT", "pcm_f64le": "DOUBLE"}
    return names.get(codec) or _LOSSY.get(codec) or codec.upper()


def _bits(codec: str, extradata: bytes) -> int:
    if codec == "flac":
        # STREAMINFO keeps bits - 1 in five bits astride bytes 12 and 13.
        return ((extradata[12] & 1) << 4 | extradata[13] >> 4) + 1 if len(extradata) > 13 else 32
    return 24 if codec.startswith("pcm_s24") else 32


def _mask(layout: Any) -> int:
    mask = 0
    for channel in layout.channels:
        mask |= _MASK_BITS.get(channel.name, 0)
    return mask
