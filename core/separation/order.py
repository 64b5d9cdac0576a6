"""In which order the frames of a signal are separated, and which are left to do. Exact arithmetic on frame numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""Frames from the first number to before the second."""


def outward(length: int, first: int, least: int) -> Iterator[Span]:
    """Spans that cover 0 to `length` once, from frame `first` outward: onward, back, onward again, each twice as long.

    The first ones are `least` frames long. Every joint costs the chunks that lie over it a second time, so the spans
    grow: a song of any length has few. What is left when one end is reached is one span.
    """
    begin = end = min(max(0, first), max(0, length - 1)) // least * least
    size = least
    while begin > 0 or end < length:
        if end < length:
            stop = length if begin == 0 else min(length, end + size)
            yield end, stop
            end = stop
        if begin > 0:
            start = 0 if end == length else max(0, begin - size)
            yield start, begin
            begin = start
        size *= 2


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same frames in as few spans as can be, in rising order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return tuple(found)


def left_of(span: Span, done: Iterable[Span]) -> Iterator[Span]:
    """The parts of a span that `done` doesn't cover, in rising order."""
    begin, end = span
    for low, high in merged(done):
        if high <= begin or low >= end:
            continue
        if begin < low:
            yield begin, low
        begin = high
    if begin < end:
        yield begin, end


def frames_in(spans: Iterable[Span]) -> int:
    """How many frames lie in spans that don't overlap."""
    return sum(end - begin for begin, end in spans)
