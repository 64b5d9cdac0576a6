"""Whether a file holds what its header promises.

Decoders are lenient with truncated files; a master that lacks its last bars must not pass for a whole one.
"""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from core.audio.chunks import ChunkFile
from core.errors import UnbakeError

# Some writers count the eight bytes of the header itself, or a pad byte that they then leave out.
_SLOPPY_BYTES = 9
_OGG_TAIL_BYTES = 1 << 17
_MP3_SEARCH_BYTES = 1 << 16


class Mp3Promise(msgspec.Struct, frozen=True):
    """What the Xing or Info frame of an MP3 says: MPEG frames, and bytes from that frame on (None: not said)."""

    frames: int
    bytes: int | None
    start: int


def check_chunks(layout: ChunkFile, path: Path) -> None:
    """UnbakeError when a RIFF, RF64, W64, AIFF or CAF file has no samples or ends before its header says."""
    data = layout.find(layout.data)
    if data is None:
        raise UnbakeError("is damaged: it has no chunk of samples", where=path)
    end = max(chunk.start + chunk.size for chunk in layout.chunks)
    promised = layout.promised_bytes
    if data.start + data.size > layout.file_bytes:
        raise truncated(path, data.start + data.size, layout.file_bytes)
    # A lone wrong size after the samples is sloppiness; with the file's own size it is a loss.
    if promised is not None and promised > layout.file_bytes + (1 if end > layout.file_bytes else _SLOPPY_BYTES):
        raise truncated(path, promised, layout.file_bytes)


def check_ogg(path: Path) -> None:
    """UnbakeError when an Ogg file does not end with a whole page that is marked as the last of its stream."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _OGG_TAIL_BYTES))
        tail = file.read()
    position = tail.rfind(b"OggS")
    while position >= 0:
        page = tail[position:]
        if len(page) >= 27 and page[4] == 0:
            table = page[27 : 27 + page[26]]
            whole = len(table) == page[26] and 27 + page[26] + sum(table) <= len(page)
            if whole and page[5] & 4:
                return
            break
        position = tail.rfind(b"OggS", 0, position)
    raise UnbakeError("is truncated: the last page of the Ogg stream is missing", where=path)


def check_mp4(path: Path) -> None:
    """UnbakeError when a top-level box of an MP4 file reaches past the end of the file."""
    size = path.stat().st_size
    position = 0
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length == 0:
                return
            if length < 8:
                return
            position += length
    if position > size:
        raise truncated(path, position, size)


def check_matroska(path: Path) -> None:
    """UnbakeError when the segment of a Matroska or WebM file reaches past the end of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
    header_size, start = _ebml_number(head, 4)
    segment = start + (header_size or 0)
    if head[segment : segment + 4] != bytes.fromhex("18538067"):
        return
    length, start = _ebml_number(head, segment + 4)
    if length is not None and start + length > size:
        raise truncated(path, start + length, size)


def mp3_promise(path: Path) -> Mp3Promise | None:
    """What an MP3's Xing or Info frame says about its length; None when it has none."""
    with path.open("rb") as file:
        start = id3_bytes(file.read(10))
        file.seek(start)
        head = file.read(_MP3_SEARCH_BYTES)
    for position in range(len(head) - 4):
        offset = _xing_offset(head[position : position + 4])
        if offset is None:
            continue
        tag = head[position + offset : position + offset + 16]
        if tag[:4] not in (b"Xing", b"Info") or len(tag) < 16:
            return None
        flags, frames, size = struct.unpack(">III", tag[4:])
        if not flags & 1:
            return None
        return Mp3Promise(frames, size if flags & 2 else None, start + position)
    return None


def check_mp3(path: Path) -> None:
    """UnbakeError when an MP3 is shorter than its Xing or Info frame says."""
    size = path.stat().st_size
    promise = mp3_promise(path)
    if promise is not None and promise.bytes and promise.start + promise.bytes > size:
        raise truncated(path, promise.start + promise.bytes, size)


def truncated(path: Path, promised_bytes: int, file_bytes: int) -> UnbakeError:
    """The error for a file that ends too early."""
    return UnbakeError(
        f"is truncated: its header promises {promised_bytes} bytes, the file has {file_bytes}", where=path
    )


def id3_bytes(head: bytes) -> int:
    """How long the ID3v2 tag is whose first 10 bytes these are; 0 when it is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _xing_offset(header: bytes) -> int | None:
    """Where a Xing tag would lie in the MPEG layer III frame of this header; None when it is no such header."""
    if header[0] != 0xFF or header[1] & 0xE6 != 0xE2 or header[2] >> 4 == 15 or header[2] & 0x0C == 0x0C:
        return None
    mono = header[3] >> 6 == 3
    if header[1] & 0x18 == 0x08:
        return None
    if header[1] & 0x18 == 0x18:
        return 21 if mono else 36
    return 13 if mono else 21


def _ebml_number(content: bytes, position: int) -> tuple[int | None, int]:
    """A variable-length EBML size and where what follows it starts; None for "unknown"."""
    first = content[position] if position < len(content) else 0
    length = 9 - first.bit_length()
    if not 1 <= length <= 8:
        return None, position
    value = int.from_bytes(content[position : position + length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), position + length
