"""What an audio file is, found from its content and never from its name.

Whether the file is whole is judged by `integrity`; samples are read by `read`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import soundfile

from core.audio import speakers as layouts
from core.audio.formats import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioInfo, is_lossless
from core.errors import UnbakeError, os_error


def probe(path: str | os.PathLike[str], stream: int = 0) -> AudioInfo:
    """What the audio file at `path` is; `stream` counts the audio streams of a file that holds several.

    UnbakeError when there is no such file, it holds no audio, less than its header promises, or more than unbake
    takes (8 channels, 8000 to 384000 Hz).
    """
    check_regular_file(path)
    with open_sound(path) as sound:
        container = "WAV" if sound.format == "WAVEX" else sound.format
        info = AudioInfo(
            path=os.fspath(path),
            container=container,
            subtype=sound.subtype,
            sample_rate=sound.samplerate,
            channels=sound.channels,
            frames=sound.frames,
            speakers=layouts.default_speakers(sound.channels),
            lossless=is_lossless(sound.subtype),
        )
    check_limits(info)
    return info


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


def open_sound(path: str | os.PathLike[str]) -> soundfile.SoundFile:
    """Opens a file with libsndfile by descriptor, so that its name says nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise os_error(error, path) from error
    try:
        return soundfile.SoundFile(descriptor, closefd=True)
    except soundfile.LibsndfileError as error:
        raise UnbakeError("is not an audio file that unbake can read", where=path) from error


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
