"""Positions inside metadata: cue points and markers, carried to where their music went when the time was warped."""

from __future__ import annotations

import struct
from collections.abc import Callable

Move = Callable[[int], int]
"""From a frame of the source to the frame of the output where its sound is."""

UNMOVABLE = (b"smpl", b"acid", b"strc", b"inst", b"INST", b"mark", b"regn", b"plst", b"ovvw")
"""Chunks that hold positions, loops or a tempo in ways that are not followed here."""


def move_cue(content: bytes, move: Move) -> bytes:
    """A little-endian RIFF `cue ` chunk with its points moved."""
    moved = bytearray(content)
    for start in range(4, len(content) - 23, 24):
        for field in (start + 4, start + 20):
            (frame,) = struct.unpack_from("<I", content, field)
            struct.pack_into("<I", moved, field, _within_32_bits(move(frame)))
    return bytes(moved)


def move_mark(content: bytes, move: Move) -> bytes:
    """An AIFF `MARK` chunk with its markers moved."""
    moved = bytearray(content)
    start = 2
    while start + 7 <= len(content):
        (frame,) = struct.unpack_from(">I", content, start + 2)
        struct.pack_into(">I", moved, start + 2, _within_32_bits(move(frame)))
        name = 1 + content[start + 6]
        start += 6 + name + (name & 1)
    return bytes(moved)


def _within_32_bits(frame: int) -> int:
    return min(max(frame, 0), 0xFFFFFFFF)
