"""A time map as people write it: `0:12.500 -> 0:12.000, 5.1 -> +20ms`, in times, frames, or bars and beats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from core.errors import UnbakeError
from core.session.timemap import MOST_ANCHORS, Anchor, TimeMap

FindBeat = Callable[[int, float], float]
"""The frame of the source at which a bar's beat lies, both as they are counted; UnbakeError where there is none."""
HOW: Final = "write such as 0:12.500 -> 0:12.000, 5.1 -> +20ms (times, frames, or bar.beat)"
_TIME = re.compile(r"(?:(\d{1,4}):)?(\d{1,6}):(\d{1,2}(?:\.\d{0,9})?)|(\d{1,9}(?:\.\d{0,9})?)\s*(s|ms)", re.IGNORECASE)
_FRAMES = re.compile(r"\d{1,15}")
_BEAT = re.compile(r"(\d{1,6})\.(\d{1,2})(?:\.(\d{2}))?")


class BeatsNeededError(UnbakeError):
    """Something is counted in beats, and none are known."""


def read(text: str, sample_rate: int, find_beat: FindBeat | None = None, where: str | None = None) -> TimeMap:
    """Places of the source in Hz `sample_rate` and where they go, parted by commas or lines; `#` starts a comment.

    A place is a time (`1:02.5`, `12.5s`, `750ms`), a whole frame (`44100`) or, where `find_beat` finds them, a bar and
    beat (`5.3`, or `5.3.50` for half a beat more), on the left only. On the right, `+20ms` or `-100` is so much
    after or before where it was. Raises UnbakeError that names the line or the pair.
    """
    anchors: list[Anchor] = []
    for line, part in _parts(text):
        try:
            anchors.append(_pair(part, sample_rate, find_beat))
        except UnbakeError as error:
            raise type(error)(f"line {line}: {error.what}", where=where or part[:60], remedy=error.remedy) from error
    if not anchors:
        raise UnbakeError("holds no anchors", where=where, remedy=HOW)
    try:
        return TimeMap(tuple(anchors))
    except ValueError as error:
        raise UnbakeError(str(error), where=where) from error


def written(time_map: TimeMap, sample_rate: int) -> str:
    """The anchors as `read` takes them, one a line, exact to the frame."""
    return "".join(
        f"{_time(source, sample_rate)} -> {_time(target, sample_rate)}\n" for source, target in time_map.anchors
    )


def seconds_of(word: str) -> Decimal | None:
    """A time as people write it, `1:02.5`, `1:00:02`, `12.5s` or `750ms`; None for anything else."""
    match = _TIME.fullmatch(word)
    if match is None:
        return None
    if match[4]:
        return Decimal(match[4]) / (1000 if match[5].lower() == "ms" else 1)
    return Decimal(match[3]) + 60 * Decimal(match[2]) + 3600 * Decimal(match[1] or 0)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.lstrip("\ufeff").replace("\N{MINUS SIGN}", "-").splitlines(), 1):
        for part in line.partition("#")[0].split(","):
            if part.strip():
                yield number, part.strip()
        if number > MOST_ANCHORS:
            raise UnbakeError(f"more than {MOST_ANCHORS} lines")


def _pair(part: str, sample_rate: int, find_beat: FindBeat | None) -> Anchor:
    left, arrow, right = part.replace("\N{RIGHTWARDS ARROW}", "->").partition("->")
    if not arrow:
        raise UnbakeError(f"{part[:60]!r} has no ->", remedy=HOW)
    source = _place(left.strip(), sample_rate, find_beat)
    right = right.strip()
    if right[:1] in ("+", "-"):
        step = _place(right[1:].strip(), sample_rate, None)
        return source, source + step if right[0] == "+" else source - step
    return source, _place(right, sample_rate, None)


def _place(word: str, sample_rate: int, find_beat: FindBeat | None) -> int:
    """The nearest frame."""
    if _FRAMES.fullmatch(word):
        return int(word)
    seconds = seconds_of(word)
    if seconds is not None:
        return round(seconds * sample_rate)
    match = _BEAT.fullmatch(word)
    if match is None:
        raise UnbakeError(f"{word[:60]!r} is no place", remedy=HOW)
    if find_beat is None:
        raise BeatsNeededError(
            f"{word!r} is a bar and a beat, which can't be used here",
            remedy="write a time such as 0:12.5, or find the beats first and use bars on the left",
        )
    return round(find_beat(int(match[1]), int(match[2]) + int(match[3] or 0) / 100.0))


def _time(frame: int, sample_rate: int) -> str:
    # a millionth of a second is less than half a frame at any rate there is
    seconds = round(Decimal(frame) / sample_rate, 6)
    minutes, rest = divmod(seconds, 60)
    whole, _, part = f"{rest:f}".partition(".")
    return f"{minutes:.0f}:{whole:0>2}.{part.rstrip('0'):0<3}"
