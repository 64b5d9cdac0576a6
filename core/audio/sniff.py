"""Which kind of file the first bytes announce; the name plays no part."""

from __future__ import annotations

from pathlib import Path

from core.audio.integrity import id3_bytes

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")


def sniff(path: Path) -> str:
    """RIFF, BW64, W64, AIFF, CAF, FLAC, OGG, MP4, MATROSKA, WAVPACK, MP3, AAC, or OTHER for anything else.

    OSError when the file can't be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
        if skip := id3_bytes(head[:10]):
            file.seek(skip)
            head = file.read(16)
            return "FLAC" if head[:4] == b"fLaC" else "AAC" if _is_adts(head) else "MP3"
    if head[:4] == b"BW64":
        return "BW64"
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return "RIFF"
    if head[4:8] in _MP4_BOXES:
        return "MP4"
    if _is_adts(head):
        return "AAC"
    if len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:
        return "MP3"
    kinds = {
        b"riff": "W64",
        b"FORM": "AIFF",
        b"caff": "CAF",
        b"fLaC": "FLAC",
        b"OggS": "OGG",
        b"\x1aE\xdf\xa3": "MATROSKA",
        b"wvpk": "WAVPACK",
    }
    return kinds.get(head[:4], "OTHER")


def _is_adts(head: bytes) -> bool:
    return len(head) >= 7 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
