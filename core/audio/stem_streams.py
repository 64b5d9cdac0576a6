"""The names of the streams in a file that carries several, such as a mix and its stems (.stem.mp4)."""

from __future__ import annotations

import json
import os
from pathlib import Path

from core.audio.av_decoder import open_file
from core.audio.sniff import sniff
from core.errors import UnbakeError, os_error

_MIXTURE = "mixture"
_MUSDB = (_MIXTURE, "drums", "bass", "other", "vocals")
_CONTAINER_BOXES = (b"moov", b"udta")
_MOST_BYTES = 1 << 20  # of a manifest, whatever a damaged box says of its size


def stem_streams(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """The audio streams of a file as (index, name), the one that `open_reader` opens by itself first.

    With a stem manifest (`moov/udta/stem`) that is the mix, then the stems as it spells them; without one, five streams
    of an MP4 are taken as MUSDB orders them, and all others have their titles or numbers. UnbakeError when the file or
    its manifest can't be read.
    """
    path = Path(path)
    try:
        kind = sniff(path)
        if kind not in ("MP4", "MATROSKA"):
            return [(0, _numbered(0))]
        titles = _titles(path, kind)
        manifest = _manifest(path) if kind == "MP4" else None
    except OSError as error:
        raise os_error(error, path) from error
    names = _manifest_names(manifest, path) if manifest else []
    if len(names) == len(titles) - 1:
        return list(enumerate([_MIXTURE, *names]))
    if kind == "MP4" and len(titles) == len(_MUSDB):
        return list(enumerate(_MUSDB))
    return [(index, title or _numbered(index)) for index, title in enumerate(titles)]


def _numbered(index: int) -> str:
    return f"stream {index + 1}"


def _titles(path: Path, kind: str) -> list[str]:
    """What each audio stream calls itself, "" where it doesn't."""
    with open_file(path, kind) as container:
        return [stream.metadata.get("title", "") for stream in container.streams.audio]


def _manifest(path: Path) -> bytes | None:
    with path.open("rb") as file:
        begin, end = 0, path.stat().st_size
        while begin + 8 <= end:
            file.seek(begin)
            header = file.read(16)
            size, name, skip = int.from_bytes(header[:4], "big"), header[4:8], 8
            if size == 1:
                size, skip = int.from_bytes(header[8:16], "big"), 16
            if size == 0:
                size = end - begin
            if size < skip:
                return None
            if name == b"stem":
                file.seek(begin + skip)
                return file.read(min(size - skip, _MOST_BYTES))
            if name in _CONTAINER_BOXES:
                begin, end = begin + skip, min(end, begin + size)
            else:
                begin += size
    return None


def _manifest_names(manifest: bytes, path: Path) -> list[str]:
    try:
        return [str(stem["name"]) for stem in json.loads(manifest)["stems"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UnbakeError("has a stem manifest that can't be read", where=path) from error
