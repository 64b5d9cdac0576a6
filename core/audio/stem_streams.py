"""The names of the streams in a file that carries a mix and its stems (.stem.mp4)."""

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


def stem_streams(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """The audio streams of a file as (index, name), the mix first.

    Names are those of the stem manifest (`moov/udta/stem`) as it spells them; without one, a file of five streams is
    taken as MUSDB orders them, and any other gets numbers. UnbakeError when the file can't be read.
    """
    path = Path(path)
    try:
        kind = sniff(path)
        if kind not in ("MP4", "MATROSKA"):
            return [(0, _MIXTURE)]
        count = _count(path, kind)
        manifest = _manifest(path) if kind == "MP4" else None
    except OSError as error:
        raise os_error(error, path) from error
    names = _manifest_names(manifest, path) if manifest else []
    if len(names) == count - 1:
        return list(enumerate([_MIXTURE, *names]))
    if count == len(_MUSDB):
        return list(enumerate(_MUSDB))
    return [(index, _MIXTURE if index == 0 else f"stem {index}") for index in range(count)]


def _count(path: Path, kind: str) -> int:
    with open_file(path, kind) as container:
        return len(container.streams.audio)


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
                return file.read(size - skip)
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
