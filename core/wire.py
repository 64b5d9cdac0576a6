"""Typed values as bytes over a pipe: what the app and its processes speak."""

from __future__ import annotations

import datetime
import os
from typing import Any, Final

import msgspec
from msgspec.msgpack import Ext

_DATES: Final[tuple[type[datetime.datetime | datetime.date | datetime.time], ...]] = (
    datetime.datetime,
    datetime.date,
    datetime.time,
)
_HEADER_BYTES: Final = 4


def encode(message: Any) -> bytes:
    """A value as msgpack. Raises UnicodeEncodeError for text that is no Unicode, such as odd names of files."""
    return msgspec.msgpack.encode(_without_dates(msgspec.to_builtins(message, builtin_types=_DATES)))


def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """What turns bytes of `encode` back into values of a type."""
    return msgspec.msgpack.Decoder(kind, ext_hook=_date)


def write_frame(descriptor: int, data: bytes) -> None:
    """Writes one message to a pipe, its length first. Raises OSError when nobody reads any more."""
    rest = memoryview(len(data).to_bytes(_HEADER_BYTES) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_frame(descriptor: int) -> bytes | None:
    """The next message from a pipe, waiting for it; None when the other side is gone."""
    header = _read(descriptor, _HEADER_BYTES)
    return None if header is None else _read(descriptor, int.from_bytes(header))


def _without_dates(value: Any) -> Any:
    """Plain values with dates as extensions: a session's `rights` may hold some, which msgpack would make text of."""
    if isinstance(value, _DATES):
        return Ext(_DATES.index(type(value)), value.isoformat().encode())
    if isinstance(value, dict):
        return {key: _without_dates(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_dates(item) for item in value]
    return value


def _date(code: int, data: memoryview) -> datetime.datetime | datetime.date | datetime.time:
    return _DATES[code].fromisoformat(bytes(data).decode())


def _read(descriptor: int, size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(descriptor, size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
