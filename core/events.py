"""What a long operation says while it runs.

Long operations are generators: they yield these values and return their result, and closing one cancels it. Whoever
drives it (a command, a worker process, a test) decides what to show.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import msgspec


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """`done` of `total` units of `stage` are finished; `seconds` of audio those `total` units stand for, if known.

    `in_bytes`: the units are bytes, so that sizes and their rate can be told.
    """

    stage: str
    done: int
    total: int
    seconds: float | None = None
    in_bytes: bool = False


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Something the person should know although the operation goes on."""

    text: str


Event = Progress | Note
T = TypeVar("T")
Operation = Generator[Event, None, T]
"""A long operation that ends in a T."""


def finish(operation: Operation[T]) -> T:
    """Runs an operation to its end without showing anything, and gives its result."""
    while True:
        try:
            next(operation)
        except StopIteration as stop:
            return stop.value
