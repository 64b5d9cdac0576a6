"""Where the chunks of a RIFF, RF64, W64, AIFF or CAF file lie, and what its header promises.

Only headers are read. What the chunks mean is left to `integrity` (is the file whole) and `tags` (metadata).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

W64_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What follows the four letters in most chunk GUIDs of a W64 file."""
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")

# Writers into a pipe can't know the length: these stand for "until the end" (the last one is SoX's).
_UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0x7FFFF000)
_MAX_CHUNKS = 100_000


class Chunk(msgspec.Struct, frozen=True):
    """One chunk: its name (4 bytes; 16 in W64), where its content starts, and its content's size in bytes."""

    name: bytes
    start: int
    size: int


class ChunkFile(msgspec.Struct, frozen=True):
    """The chunks of a file in order.

    `kind` is RIFF, RF64, W64, AIFF or CAF; `data` the name of the chunk that holds the samples; `promised_bytes` how
    long the file is by its header, None where the header leaves it open.
    """

    kind: str
    big_endian: bool
    data: bytes
    chunks: tuple[Chunk, ...]
    promised_bytes: int | None
    file_bytes: int

    def find(self, name: bytes) -> Chunk | None:
        """The first chunk of that name."""
        return next((chunk for chunk in self.chunks if chunk.name == name), None)

    def unpack(self, layout: str, content: bytes, offset: int = 0) -> tuple[int, ...]:
        """`struct.unpack_from` in the byte order of the file."""
        return struct.unpack_from((">" if self.big_endian else "<") + layout, content, offset)


def read_chunks(path: Path) -> ChunkFile | None:
    """The chunks of a file; None when it is of another kind. OSError when it can't be read."""
    with path.open("rb") as file:
        head = file.read(40)
        size = path.stat().st_size
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
            return _riff(file, head, size)
        if head[:16] == _W64_RIFF:
            return _w64(file, head, size)
        if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            return _aiff(file, head, size)
        if head[:4] == b"caff":
            return _caf(file, size)
    return None


def read_content(path: Path, chunk: Chunk) -> bytes:
    """The content of a chunk, as much of it as the file holds. OSError when it can't be read."""
    with path.open("rb") as file:
        file.seek(chunk.start)
        return file.read(chunk.size)


def _riff(file: BinaryIO, head: bytes, file_bytes: int) -> ChunkFile:
    big = head[:4] == b"RIFX"
    order = ">" if big else "<"
    wide = head[:4] in (b"RF64", b"BW64")
    (size32,) = struct.unpack_from(order + "I", head, 4)
    promised = None if size32 in _UNKNOWN_SIZES else size32 + 8
    wide_sizes: dict[bytes, int] = {}
    chunks: list[Chunk] = []
    position = 12
    has_data = False
    while position + 8 <= file_bytes and len(chunks) < _MAX_CHUNKS:
        if has_data and promised is not None and position >= promised:
            break
        file.seek(position)
        header = file.read(8)
        name = header[:4]
        (size,) = struct.unpack_from(order + "I", header, 4)
        start = position + 8
        if wide and name == b"ds64":
            promised, wide_sizes = _ds64(file.read(min(size, 1 << 16)))
        if wide and size == 0xFFFFFFFF:
            size = wide_sizes.get(name, size)
        if name == b"data":
            has_data = True
            if _is_open_ended(file, size, start):
                size, promised = file_bytes - start, None
        chunks.append(Chunk(name, start, size))
        position = start + size + (size & 1)
    return ChunkFile("RF64" if wide else "RIFF", big, b"data", tuple(chunks), promised, file_bytes)


def _ds64(content: bytes) -> tuple[int | None, dict[bytes, int]]:
    if len(content) < 28:
        return None, {}
    riff_size, data_size, _, entries = struct.unpack_from("<QQQI", content)
    sizes = {b"data": data_size}
    for position in range(28, min(28 + 12 * entries, len(content) - 11), 12):
        name, size = struct.unpack_from("<4sQ", content, position)
        sizes[name] = size
    unknown = riff_size in (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    return None if unknown else riff_size + 8, sizes


def _is_open_ended(file: BinaryIO, size: int, start: int) -> bool:
    if size == 0:
        # Nothing recorded, or a length that was never filled in: then samples follow, not another chunk.
        file.seek(start)
        return file.read(4) not in (b"", b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"JUNK")
    return size in _UNKNOWN_SIZES or size == 0xFFFFFFFFFFFFFFFF


def _w64(file: BinaryIO, head: bytes, file_bytes: int) -> ChunkFile:
    (promised,) = struct.unpack_from("<Q", head, 16)
    chunks: list[Chunk] = []
    position = 40
    while position + 24 <= file_bytes and len(chunks) < _MAX_CHUNKS:
        file.seek(position)
        guid, size = struct.unpack("<16sQ", file.read(24))
        if size < 24:
            break
        chunks.append(Chunk(guid, position + 24, size - 24))
        position += (size + 7) & ~7
    return ChunkFile("W64", False, b"data" + W64_GUID_TAIL, tuple(chunks), promised or None, file_bytes)


def _aiff(file: BinaryIO, head: bytes, file_bytes: int) -> ChunkFile:
    (size32,) = struct.unpack_from(">I", head, 4)
    promised = None if size32 in _UNKNOWN_SIZES else size32 + 8
    chunks: list[Chunk] = []
    position = 12
    while position + 8 <= file_bytes and len(chunks) < _MAX_CHUNKS:
        file.seek(position)
        name, size = struct.unpack(">4sI", file.read(8))
        start = position + 8
        if name == b"SSND" and size == 0xFFFFFFFF:
            size, promised = file_bytes - start, None
        chunks.append(Chunk(name, start, size))
        position = start + size + (size & 1)
    return ChunkFile("AIFF", True, b"SSND", tuple(chunks), promised, file_bytes)


def _caf(file: BinaryIO, file_bytes: int) -> ChunkFile:
    chunks: list[Chunk] = []
    position = 8
    while position + 12 <= file_bytes and len(chunks) < _MAX_CHUNKS:
        file.seek(position)
        name, size = struct.unpack(">4sq", file.read(12))
        start = position + 12
        if size < 0:
            size = file_bytes - start
        chunks.append(Chunk(name, start, size))
        position = start + size
    return ChunkFile("CAF", True, b"data", tuple(chunks), None, file_bytes)
