"""Places that metadata counts in frames, moved to another sample rate.

A BWF time reference, cue points and their lengths, sampler loops and AIFF markers are counted anew; what counts in
frames in ways that are not understood here is left out, since at another rate it would be wrong.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

import msgspec

from core.audio.tags import Metadata

_LEFT_OUT: Final = {"RIFF": (b"plst", b"cart", b"R64m"), "CAF": (b"mark", b"regn")}
_BEXT_TIME: Final = 338
"""Where a `bext` chunk has its time reference, 64 bit (EBU Tech 3285)."""

Scale = Callable[[int], int]


def at_rate(metadata: Metadata, from_rate: int, to_rate: int) -> tuple[Metadata, tuple[str, ...]]:
    """Metadata of a file that is converted from one rate to another, in Hz, and what had to be left out."""

    def scale(frame: int) -> int:
        return (2 * frame * to_rate + from_rate) // (2 * from_rate)

    chunks: list[tuple[bytes, bytes]] = []
    lost: list[str] = []
    for name, content in metadata.chunks:
        short = name[:4]
        move = _MOVES.get(metadata.kind, {}).get(short)
        if short in _LEFT_OUT.get(metadata.kind, ()):
            lost.append(f"chunk {short.decode('latin-1')!r}")
        elif short == b"iXML":
            chunks.append((name, _ixml(content, to_rate)))
        elif move is None:
            chunks.append((name, content))
        else:
            try:
                moved = bytearray(content)
                move(moved, scale)
                chunks.append((name, bytes(moved)))
            except struct.error:  # shorter than it says, or beyond what 32 bits count
                lost.append(f"chunk {short.decode('latin-1')!r}")
    if metadata.cuesheet:
        lost.append("the cue sheet")
    kept = msgspec.structs.replace(metadata, chunks=tuple(chunks), cuesheet=b"")
    return kept, tuple(lost)


def _ixml(content: bytes, to_rate: int) -> bytes:
    """An iXML document, whose time stamps name the rate that they count in; only the file's own rate is another."""
    rate = rb"(<FILE_SAMPLE_RATE>)\s*\d+\s*(</FILE_SAMPLE_RATE>)"
    return re.sub(rate, lambda found: found[1] + str(to_rate).encode() + found[2], content)


def _scale_at(content: bytearray, kind: str, at: int, scale: Scale) -> None:
    (frame,) = struct.unpack_from(kind, content, at)
    struct.pack_into(kind, content, at, scale(frame))


def _bext(content: bytearray, scale: Scale) -> None:
    _scale_at(content, "<Q", _BEXT_TIME, scale)


def _cue(content: bytearray, scale: Scale) -> None:
    (points,) = struct.unpack_from("<I", content)
    for point in range(points):
        for offset in (4, 20):  # place in the play order, and in the data chunk
            _scale_at(content, "<I", 4 + 24 * point + offset, scale)


def _list(content: bytearray, scale: Scale) -> None:
    if content[:4] != b"adtl":
        return
    at = 4
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        if name == b"ltxt":
            _scale_at(content, "<I", at + 12, scale)
        at += 8 + size + size % 2


def _smpl(content: bytearray, scale: Scale) -> None:
    (loops,) = struct.unpack_from("<I", content, 28)
    for loop in range(loops):
        for offset in (8, 12):  # start and end
            _scale_at(content, "<I", 36 + 24 * loop + offset, scale)


def _mark(content: bytearray, scale: Scale) -> None:
    (markers,) = struct.unpack_from(">H", content)
    at = 2
    for _ in range(markers):
        _scale_at(content, ">I", at + 2, scale)
        (length,) = struct.unpack_from(">B", content, at + 6)
        at += 6 + 1 + length + (1 - length % 2)


_RIFF_MOVES = {b"bext": _bext, b"cue ": _cue, b"LIST": _list, b"smpl": _smpl}
_MOVES: dict[str, dict[bytes, Callable[[bytearray, Scale], None]]] = {
    "RIFF": _RIFF_MOVES,
    "W64": {b"bext": _bext},
    "AIFF": {b"MARK": _mark},
}
