"""The wire format of protocol buffers, as far as reading needs it: fields by their numbers, without any schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How a field is written."""


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """The number that begins at a position, at most 64 bits of it, and where the next thing begins.

    Raises ValueError where it does not end.
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, position
    raise ValueError("a number that does not end")


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message in their order: the number of each, and an integer or the bytes it holds.

    Bytes are views into `data`. Raises ValueError for what is no message.
    """
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, position = varint(data, position)
            yield number, value
            continue
        if kind == BYTES:
            length, position = varint(data, position)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field of the kind {kind}")
        end = position + length
        if number == 0 or end > len(data):
            raise ValueError("a field that goes beyond the end")
        held = data[position:end]
        yield number, held if kind == BYTES else int.from_bytes(held, "little")
        position = end
