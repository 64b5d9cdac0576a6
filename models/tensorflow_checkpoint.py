"""Checkpoints of TensorFlow (format V2) in a .tar.gz, read without TensorFlow.

Such a checkpoint is an index, a sorted table in the format of LevelDB whose values are protocol buffers, and shards
with the bare numbers. Nothing is unpacked to disk. Every offset and length is checked, and blocks of the index by their
CRC-32C; the numbers were checked when the archive's own hash was.
"""

from __future__ import annotations

import gzip
import math
import re
import tarfile
import zlib
from typing import TYPE_CHECKING, NamedTuple

from models import protobuf
from models.weights import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from models.weights import Tensors

LARGEST_BYTES = 1 << 30
"""Of a whole archive, unpacked: six times what the largest public one has."""
MAGIC = 0xDB4775248B80FB57
FOOTER_BYTES = 48
TRAILER_BYTES = 5
"""After each block of the table: how it is compressed, and its checksum."""
DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool", 19: "float16",
}  # fmt: skip
"""TensorFlow's numbers of the types that hold numbers. Entries of other types (texts) are left out."""


class Entry(NamedTuple):
    """Where a tensor lies: `size` bytes at `offset` of a shard."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read(path: Path) -> Tensors:
    """The tensors of the one checkpoint in a .tar.gz, by the names of their variables."""
    try:
        index, shards = unpacked(path)
        return {name: tensor(name, entry, shards) for name, entry in entries(index, len(shards)).items()}
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, RecursionError) as error:
        raise unreadable(error, path) from error


class _Bounded:
    """A stream that refuses to give more bytes than are sensible."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self.stream, self.left = stream, most

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("an archive of more than a gigabyte")
        return data


def unpacked(path: Path) -> tuple[memoryview, list[bytearray]]:
    """The index and the shards of the checkpoint in an archive; its other files are passed over.

    Raises ValueError unless there is exactly one checkpoint with all of its shards.
    """
    index: memoryview | None = None
    shards: dict[int, bytearray] = {}
    count = 0
    with gzip.open(path) as stream:
        bounded = _Bounded(stream, LARGEST_BYTES)
        with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                name = member.name.rpartition("/")[2]
                shard = re.fullmatch(r"[^.].*\.data-(\d{5})-of-(\d{5})", name)
                if not member.isreg() or member.issparse() or not (shard or re.fullmatch(r"[^.].*\.index", name)):
                    continue
                if (shard and (int(shard[1]) in shards or count not in (0, int(shard[2])))) or (
                    not shard and index is not None
                ):
                    raise ValueError("more than one checkpoint in it")
                data = contents(archive, member)
                if shard:
                    shards[int(shard[1])], count = data, int(shard[2])
                else:
                    index = memoryview(data)
        while bounded.read(1 << 20):  # to the end, where the checksum of the whole stands
            pass
    if index is None or not shards or sorted(shards) != list(range(count)):
        raise ValueError("no whole checkpoint in it")
    return index, [shards[number] for number in range(count)]


def contents(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytearray:
    """What a file in an archive holds."""
    if member.size > LARGEST_BYTES:
        raise ValueError("an archive of more than a gigabyte")
    file = archive.extractfile(member)
    data = bytearray(file.read() if file else b"")
    if len(data) != member.size:
        raise ValueError(f"{member.name} is cut off")
    return data


def entries(index: memoryview, shards: int) -> dict[str, Entry]:
    """What the index says of each tensor, by name; `shards` is how many there should be. Raises ValueError."""
    found: dict[str, Entry] = {}
    header = False
    for key, value in table(index):
        if key == b"":
            header = True
            said = dict(protobuf.fields(value))
            if said.get(1, 0) != shards or said.get(2, 0) != 0:
                raise ValueError("a checkpoint of more shards than are here, or of a big-endian machine")
            continue
        entry = _entry(value)
        if entry.dtype in DTYPES:
            found[key.decode("utf-8")] = entry
    if not header or not found:
        raise ValueError("a checkpoint without tensors")
    return found


def _entry(value: memoryview) -> Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: tuple[int, ...] = ()
    for number, given in protobuf.fields(value):
        if number in numbers and isinstance(given, int):
            numbers[number] = given
        elif number == 2 and isinstance(given, memoryview):
            shape = tuple(_dimensions(given))
        elif number == 7:
            raise ValueError("a tensor in slices")
    return Entry(numbers[1], shape, numbers[3], numbers[4], numbers[5])


def _dimensions(shape: memoryview) -> Iterator[int]:
    for number, dimension in protobuf.fields(shape):
        if number == 3:
            raise ValueError("a tensor of unknown rank")
        if number == 2 and isinstance(dimension, memoryview):
            size = dict(protobuf.fields(dimension)).get(1, 0)
            if not isinstance(size, int) or size > LARGEST_BYTES:
                raise ValueError("a tensor of no sensible shape")
            yield size


def tensor(name: str, entry: Entry, shards: list[bytearray]) -> torch.Tensor:
    """A tensor with numbers of its own. Raises ValueError where the index and the shards don't agree."""
    import torch

    dtype: torch.dtype = getattr(torch, DTYPES[entry.dtype])
    end = entry.offset + entry.size
    if entry.size != math.prod(entry.shape) * dtype.itemsize:
        raise ValueError(f"{name} has {entry.size} bytes for the shape {entry.shape}")
    if entry.shard >= len(shards) or end > len(shards[entry.shard]):
        raise ValueError(f"{name} lies beyond the end")
    if not entry.size:
        return torch.empty(entry.shape, dtype=dtype)
    return torch.frombuffer(shards[entry.shard][entry.offset : end], dtype=dtype).reshape(entry.shape)


def table(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values of a sorted table in LevelDB's format. Raises ValueError for what is none."""
    if len(data) < FOOTER_BYTES or int.from_bytes(data[-8:], "little") != MAGIC:
        raise ValueError("an index that is no table")
    footer = data[-FOOTER_BYTES:]
    _meta, position = _handle(footer, 0)
    blocks, _ = _handle(footer, position)
    for _last_key, value in pairs(block(data, blocks)):
        yield from pairs(block(data, _handle(value, 0)[0]))


def _handle(data: memoryview, position: int) -> tuple[tuple[int, int], int]:
    """Offset and length of a block, and where the next thing begins."""
    offset, position = protobuf.varint(data, position)
    length, position = protobuf.varint(data, position)
    return (offset, length), position


def block(data: memoryview, handle: tuple[int, int]) -> memoryview:
    """A block of the table, after its checksum was found right."""
    offset, length = handle
    end = offset + length
    if end + TRAILER_BYTES > len(data) - FOOTER_BYTES:
        raise ValueError("a block beyond the end of the index")
    compression, checksum = data[end], int.from_bytes(data[end + 1 : end + TRAILER_BYTES], "little")
    if checksum != masked_crc32c(data[offset : end + 1]):
        raise ValueError("a block of the index is corrupt")
    if compression != 0:
        raise ValueError("an index that is compressed")
    return data[offset:end]


def pairs(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values of a block; each key is written as what it has more than the one before."""
    if len(data) < 4:
        raise ValueError("a block without an end")
    restarts = int.from_bytes(data[-4:], "little")
    end = len(data) - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block without an end")
    position, key = 0, b""
    while position < end:
        shared, position = protobuf.varint(data, position)
        added, position = protobuf.varint(data, position)
        length, position = protobuf.varint(data, position)
        if shared > len(key) or position + added + length > end:
            raise ValueError("a key beyond the end of its block")
        key = key[:shared] + bytes(data[position : position + added])
        position += added
        yield key, data[position : position + length]
        position += length


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


CRC_TABLE = _crc_table()


def masked_crc32c(data: memoryview | bytes) -> int:
    """The CRC-32C of some bytes, turned and shifted the way these tables store it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
