"""What an audio file is, found from its content and never from its name.

Whether the file is whole is judged by `integrity`; samples are read by `read`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import soundfile

from core.audio import integrity
from core.audio import speakers as layouts
from core.audio.av_decoder import can_decode, probe_av
from core.audio.chunks import W64_GUID_TAIL, ChunkFile, read_chunks, read_content
from core.audio.formats import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    AudioInfo,
    bytes_per_sample,
    is_lossless,
)
from core.audio.sniff import sniff
from core.errors import UnbakeError, os_error

# What libsndfile can't open.
_FOR_FFMPEG = ("MP4", "MATROSKA", "AAC", "WAVPACK", "BW64")
_TAIL_FRAMES = 4096
_WAVE_FORMAT_EXTENSIBLE = 0xFFFE


class Examined(msgspec.Struct, frozen=True):
    """A file that was found whole: what it is, and as which kind FFmpeg is to decode it (None: libsndfile does)."""

    info: AudioInfo
    ffmpeg_kind: str | None = None


def probe(path: str | os.PathLike[str], stream: int = 0) -> AudioInfo:
    """What the audio file at `path` is; `stream` counts the audio streams of a file that holds several.

    UnbakeError when there is no such file, it holds no audio, less than its header promises, or more than unbake
    takes (8 channels, 8000 to 384000 Hz).
    """
    return examine(path, stream).info


def examine(path: str | os.PathLike[str], stream: int = 0) -> Examined:
    """What `probe` finds, and who decodes it. Errors as `probe`."""
    check_regular_file(path)
    try:
        examined = _examine(Path(path), stream)
    except OSError as error:
        raise os_error(error, path) from error
    check_limits(examined.info)
    return examined


def check_regular_file(path: str | os.PathLike[str]) -> None:
    """UnbakeError when `path` is not a file with something in it."""
    if os.fspath(path) == "-":
        raise UnbakeError("reading from standard input is not supported", where="-", remedy="name a file")
    try:
        status = Path(path).stat()
    except OSError as error:
        raise os_error(error, path) from error
    if stat.S_ISDIR(status.st_mode):
        raise UnbakeError("is a directory, not a file", where=path)
    if not stat.S_ISREG(status.st_mode):
        raise UnbakeError("is not a regular file", where=path)
    if status.st_size == 0:
        raise UnbakeError("is empty (0 bytes)", where=path)


def check_limits(info: AudioInfo) -> None:
    """UnbakeError when the file is outside what unbake works on."""
    if info.frames <= 0:
        raise UnbakeError("holds no audio (0 frames)", where=info.path)
    if not 1 <= info.channels <= MAX_CHANNELS:
        raise UnbakeError(f"has {info.channels} channels; unbake takes 1 to {MAX_CHANNELS}", where=info.path)
    if not MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE:
        raise UnbakeError(
            f"has a sample rate of {info.sample_rate} Hz; unbake takes {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz",
            where=info.path,
        )


class SequentialSound(soundfile.SoundFile):
    """A sound file without the seek that soundfile adds after each read, which makes Opus depend on block sizes."""

    def seekable(self) -> bool:
        """False, for soundfile's bookkeeping; `seek` itself works."""
        return False


def open_sound(path: str | os.PathLike[str]) -> SequentialSound:
    """Opens a file with libsndfile by descriptor, so that its name says nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise os_error(error, path) from error
    try:
        return SequentialSound(descriptor, closefd=True)
    except soundfile.LibsndfileError as error:
        raise UnbakeError("is not an audio file that unbake can read", where=path) from error


def _examine(path: Path, stream: int) -> Examined:
    kind = sniff(path)
    layout = read_chunks(path)
    _check_whole(path, kind, layout)
    # libsndfile guesses the length of an MP3 that does not state it
    unstated = kind == "MP3" and integrity.mp3_promise(path) is None
    if kind in _FOR_FFMPEG or unstated or (kind == "FLAC" and _is_unusual_flac(path)):
        return Examined(probe_av(path, kind, stream), kind)
    try:
        sound = open_sound(path)
    except UnbakeError:
        if not can_decode(kind):
            raise
        return Examined(probe_av(path, kind, stream), kind)
    with sound:
        # libsndfile gets incompressible ALAC of 20 to 32 bits wrong, and takes a length that was not filled in for 0.
        data = layout.find(layout.data) if layout is not None else None
        unfinished = kind == "RIFF" and sound.frames == 0 and data is not None and data.size > 0
        if sound.subtype.startswith("ALAC") or (sound.format == "MP3") != (kind == "MP3") or unfinished:
            return Examined(probe_av(path, kind, stream), kind)
        if stream != 0:
            raise UnbakeError(f"has 1 audio stream, no number {stream}", where=path)
        info = _info(path, sound, layout)
        if kind in ("FLAC", "OTHER"):
            _check_tail(info, sound)
    return Examined(info)


def _check_whole(path: Path, kind: str, layout: ChunkFile | None) -> None:
    if layout is not None:
        integrity.check_chunks(layout, path)
    elif kind == "OGG":
        integrity.check_ogg(path)
    elif kind == "MP4":
        integrity.check_mp4(path)
    elif kind == "MATROSKA":
        integrity.check_matroska(path)
    elif kind == "MP3":
        integrity.check_mp3(path)


def _info(path: Path, sound: SequentialSound, layout: ChunkFile | None) -> AudioInfo:
    container = "WAV" if sound.format == "WAVEX" else sound.format
    channels = sound.channels
    speakers = layouts.default_speakers(channels) if channels <= MAX_CHANNELS else ()
    mask = None
    if layout is not None:
        speakers, mask = _stated_layout(path, layout, channels, speakers)
    elif container in ("FLAC", "OGG") and 2 < channels <= MAX_CHANNELS:
        mask = layouts.mask_of_speakers(speakers)
    return AudioInfo(
        path=os.fspath(path),
        container=container,
        subtype=sound.subtype,
        sample_rate=sound.samplerate,
        channels=channels,
        frames=min(sound.frames, _frames_in_chunk(sound, layout)) if layout is not None else sound.frames,
        speakers=speakers,
        lossless=is_lossless(sound.subtype),
        channel_mask=mask,
    )


def _frames_in_chunk(sound: SequentialSound, layout: ChunkFile) -> int:
    """How many frames the chunk of samples holds, which libsndfile gets wrong in W64 when more chunks follow."""
    data = layout.find(layout.data)
    if data is None or not (sound.subtype.startswith("PCM") or sound.subtype in ("FLOAT", "DOUBLE")):
        return sound.frames
    prefix = {"AIFF": 8, "CAF": 4}.get(layout.kind, 0)
    return (data.size - prefix) // (sound.channels * bytes_per_sample(sound.subtype))


def _stated_layout(
    path: Path, layout: ChunkFile, channels: int, default: tuple[str, ...]
) -> tuple[tuple[str, ...], int | None]:
    """Labels and WAVE mask from a WAVE format chunk or a CAF layout chunk; the defaults where there is neither."""
    if not default:
        return default, None
    if layout.kind == "CAF":
        chunk = layout.find(b"chan")
        content = read_content(path, chunk) if chunk else b""
        return layouts.caf_layout(content, channels)
    chunk = layout.find(b"fmt " + (W64_GUID_TAIL if layout.kind == "W64" else b""))
    content = read_content(path, chunk) if chunk else b""
    if len(content) < 24 or layout.unpack("H", content)[0] != _WAVE_FORMAT_EXTENSIBLE:
        return default, None
    (mask,) = layout.unpack("I", content, 20)
    return layouts.speakers_of_mask(mask, channels), mask


def _is_unusual_flac(path: Path) -> bool:
    """Whether a FLAC file has a sample size or an unstated length that libsndfile does not handle."""
    with path.open("rb") as file:
        file.seek(integrity.id3_bytes(file.read(10)))
        head = file.read(42)
    if len(head) < 42:
        return False
    packed = int.from_bytes(head[18:26], "big")
    bits = (packed >> 36 & 31) + 1
    total = packed & (1 << 36) - 1
    return bits not in (8, 16, 24) or total == 0


def _check_tail(info: AudioInfo, sound: SequentialSound) -> None:
    """Decodes the last frames, since the header of these formats does not say how many bytes there must be."""
    tail = min(_TAIL_FRAMES, info.frames)
    try:
        sound.seek(info.frames - tail)
        found = len(sound.read(tail))
    except soundfile.SoundFileError:
        found = 0
    if found < tail:
        raise UnbakeError(
            f"is truncated or damaged: its header promises {info.frames} frames, the last ones can't be read",
            where=info.path,
        )
