"""Which container and sample format an output gets: from its name, from what was asked for, from its source.

Writing it is left to `write`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from core.audio.formats import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioInfo, bytes_per_sample, is_lossless
from core.errors import UnbakeError

_SUBTYPES: dict[str, tuple[str, ...]] = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "RF64": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "W64": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "AIFF": ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "CAF": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "MP4": ("ALAC_16", "ALAC_24", "AAC"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
"""What each container can be written with."""

_CONTAINERS = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".bwf": "WAV",
    ".rf64": "RF64",
    ".w64": "W64",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".aifc": "AIFF",
    ".caf": "CAF",
    ".flac": "FLAC",
    ".m4a": "MP4",
    ".mp4": "MP4",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
}

_READ_ONLY_EXTENSIONS = (".mov", ".webm", ".mka", ".mkv", ".aac", ".wv", ".bw64", ".au", ".snd", ".raw")

_EXTENSIONS = {
    "WAV": ".wav",
    "RF64": ".wav",
    "W64": ".w64",
    "AIFF": ".aiff",
    "CAF": ".caf",
    "FLAC": ".flac",
    "MP4": ".m4a",
    "OGG": ".ogg",
    "MP3": ".mp3",
}

_ALIASES: dict[str, tuple[str, ...]] = {
    "8": ("PCM_U8", "PCM_S8"),
    "PCM_8": ("PCM_U8", "PCM_S8"),
    "16": ("PCM_16", "ALAC_16"),
    "24": ("PCM_24", "ALAC_24"),
    "32": ("PCM_32",),
    "32F": ("FLOAT",),
    "F32": ("FLOAT",),
    "FLOAT32": ("FLOAT",),
    "64": ("DOUBLE",),
    "64F": ("DOUBLE",),
    "F64": ("DOUBLE",),
    "FLOAT64": ("DOUBLE",),
    "MP3": ("MPEG_LAYER_III",),
}
"""Friendly names, and which of their meanings a container takes: the first that it can hold."""

_WITHOUT_LOSS: dict[str, tuple[str, ...]] = {
    "PCM_U8": ("PCM_U8", "PCM_S8", "PCM_16", "ALAC_16"),
    "PCM_S8": ("PCM_S8", "PCM_U8", "PCM_16", "ALAC_16"),
    "PCM_16": ("PCM_16", "ALAC_16", "PCM_24"),
    "ALAC_16": ("ALAC_16", "PCM_16", "PCM_24"),
    "ALAC_20": ("ALAC_24", "PCM_24", "PCM_32"),
    "PCM_24": ("PCM_24", "ALAC_24", "PCM_32"),
    "ALAC_24": ("ALAC_24", "PCM_24", "PCM_32"),
    "PCM_32": ("PCM_32", "DOUBLE"),
    "ALAC_32": ("PCM_32", "DOUBLE"),
    "FLOAT": ("FLOAT", "DOUBLE"),
    "DOUBLE": ("DOUBLE",),
}
"""Sample formats that hold every value of a source's, nearest first."""

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RATES = {
    "MPEG_LAYER_III": _MPEG_RATES,
    "AAC": (*_MPEG_RATES, 64000, 88200, 96000),
    "OPUS": (8000, 12000, 16000, 24000, 48000),
}
# FFmpeg's ALAC encoder aborts the process at the end of some multichannel files.
_MAX_CHANNELS = {"MP3": 2, "MP4": 2}


class OutputFormat(msgspec.Struct, frozen=True):
    """What is to be written: container and sample format (names as in AudioInfo), rate in Hz, channels and layout.

    `channel_mask` is set when the container is to state its layout (WAVE speaker bits).
    """

    container: str
    subtype: str
    sample_rate: int
    channels: int
    speakers: tuple[str, ...]
    channel_mask: int | None = None

    @property
    def extension(self) -> str:
        """The usual file name extension, with its dot."""
        return ".opus" if self.subtype == "OPUS" else _EXTENSIONS[self.container]


def containers() -> tuple[str, ...]:
    """Every container that can be written."""
    return tuple(_SUBTYPES)


def subtypes_of(container: str) -> tuple[str, ...]:
    """The sample formats that a container can be written with."""
    return _SUBTYPES[container]


def extension_of(container: str) -> str:
    """The extension by which a container is chosen, with its dot."""
    return next(extension for extension, chosen in _CONTAINERS.items() if chosen == container)


def output_format(
    source: AudioInfo, out: Path | None, subtype: str | None, sample_rate: int | None = None
) -> OutputFormat:
    """The format of an output made from `source`, at `sample_rate` in Hz or at its own.

    The extension of `out` chooses the container and `subtype` the sample format; without them they are the source's
    own, or 32-bit float WAV for a lossy source. UnbakeError, saying what is possible, when the extension is unknown or
    the container can't hold what was asked for, or can't hold the source without a loss and nothing was asked for, and
    for a rate outside 8 to 384 kHz.
    """
    rate = source.sample_rate if sample_rate is None else sample_rate
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise UnbakeError(f"the rate must be {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz, but it is {rate}")
    container = _container_of(out, source) if out is not None else _own_container(source)
    where = out if out is not None else source.path
    if subtype is not None:
        chosen = _named_subtype(subtype, container, source, where)
    else:
        chosen = _nearest_subtype(container, source, out)
    _check_limits(chosen, container, source, where, rate)
    return OutputFormat(
        container=container,
        subtype=chosen,
        sample_rate=rate,
        channels=source.channels,
        speakers=source.speakers,
        channel_mask=source.channel_mask,
    )


def default_output_path(source_path: str | Path, fmt: OutputFormat) -> Path:
    """NAME.repaired.EXT beside the source; the source's own extension where it fits the format."""
    source = Path(source_path)
    extension = fmt.extension
    if _fits(source.suffix, fmt):
        extension = source.suffix
    known = source.suffix.lower() in _CONTAINERS or source.suffix.lower() in _READ_ONLY_EXTENSIONS
    stem = source.name[: -len(source.suffix)] if known else source.name
    return source.with_name(f"{stem}.repaired{extension}")


def _fits(suffix: str, fmt: OutputFormat) -> bool:
    container = _CONTAINERS.get(suffix.lower())
    if fmt.container == "OGG":
        return container == "OGG" and (suffix.lower() == ".opus") <= (fmt.subtype == "OPUS")
    return container is not None and container in (fmt.container, _EXTENSIONS_SHARED.get(fmt.container))


_EXTENSIONS_SHARED = {"RF64": "WAV"}


def _check_limits(subtype: str, container: str, source: AudioInfo, where: Path | str, sample_rate: int) -> None:
    rates = _RATES.get(subtype)
    if rates is not None and sample_rate not in rates:
        known = ", ".join(str(rate) for rate in rates)
        raise UnbakeError(
            f"{subtype} can't be written at {sample_rate} Hz, only at {known}",
            where=where,
            remedy="choose a lossless format, or one of these rates",
        )
    if source.channels > _MAX_CHANNELS.get(container, source.channels):
        raise UnbakeError(
            f"{container} is written with {_MAX_CHANNELS[container]} channels at most, the source has "
            f"{source.channels}",
            where=where,
            remedy="choose .wav, .flac or .caf",
        )


def _container_of(out: Path, source: AudioInfo) -> str:
    container = _CONTAINERS.get(out.suffix.lower())
    if container is None:
        known = " ".join(sorted(_CONTAINERS))
        what = f"the extension {out.suffix!r} names no format" if out.suffix else "the name has no extension"
        raise UnbakeError(what, where=out, remedy=f"use one of {known}")
    if container == "WAV" and source.container == "RF64":
        return "RF64"
    return container


def _own_container(source: AudioInfo) -> str:
    own = source.container
    holds = any(name in _SUBTYPES.get(own, ()) for name in _WITHOUT_LOSS.get(source.subtype, ()))
    fits = source.channels <= _MAX_CHANNELS.get(own, source.channels)
    return own if source.lossless and holds and fits else "WAV"


def _named_subtype(name: str, container: str, source: AudioInfo, where: Path | str) -> str:
    possible = _SUBTYPES[container]
    wanted = name.strip().upper().replace("-", "_")
    if wanted == "ALAC":
        bits = source.bits or 24
        meanings: tuple[str, ...] = ("ALAC_16",) if bits <= 16 else ("ALAC_24",)
    elif container == "MP4" and wanted in ("PCM_16", "PCM_24"):
        meanings = (f"ALAC_{wanted[4:]}",)
    else:
        meanings = _ALIASES.get(wanted, (wanted,))
    for meaning in meanings:
        if meaning in possible:
            return meaning
    raise UnbakeError(
        f"--subtype {name} can't be written in {container}",
        where=where,
        remedy=f"use one of {', '.join(possible)}, or another extension for the output",
    )


def _nearest_subtype(container: str, source: AudioInfo, out: Path | None) -> str:
    possible = _SUBTYPES[container]
    if out is not None and out.suffix.lower() == ".opus":
        return "OPUS"
    if container in ("OGG", "MP3"):
        return source.subtype if source.subtype in possible else possible[0]
    if source.subtype in possible:
        return source.subtype
    # What a decoder makes of a lossy source is kept as 32-bit float.
    basis = source.subtype if source.lossless else "FLOAT"
    for candidate in _WITHOUT_LOSS[basis]:
        if candidate in possible:
            return candidate
    raise UnbakeError(
        f"{container} can't hold {basis} samples without a loss",
        where=out if out is not None else source.path,
        remedy=f"choose --subtype {' or '.join(possible)}, or another extension",
    )


def size_estimate(fmt: OutputFormat, frames: int) -> int:
    """Bytes that an output of `frames` frames needs: exact but for the header when uncompressed, else a low guess."""
    size = frames * fmt.channels * bytes_per_sample(fmt.subtype)
    if not is_lossless(fmt.subtype):
        return size // 16
    return size // 2 if fmt.container in ("FLAC", "MP4") else size
