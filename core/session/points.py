"""Automation points: times in seconds and levels in dB, as people write them and as they are checked."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

from core.errors import UnbakeError

Points = tuple[tuple[float, float], ...]
"""Seconds and dB of each; the seconds rise."""

LOWEST_DB, HIGHEST_DB = -96.0, 24.0
LAST_SECONDS = 1e6
NONE = "none"
HOW = "times and levels such as 0:00 0, 1:23.5 -3"
_POINT = re.compile(
    r"((?:\d+:){0,2})(\d+(?:\.\d*)?|\.\d+)\s*s?\s+([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*(?:db)?", re.IGNORECASE
)


def check(points: Sequence[Sequence[float]]) -> None:
    """Raises ValueError that begins with `points[N]` for the first that can't be."""
    before = -math.inf
    for place, (seconds, level_db) in enumerate(points):
        if not 0.0 <= seconds <= LAST_SECONDS:
            raise ValueError(f"points[{place}] is at {seconds:g} s, outside 0 to {LAST_SECONDS:.0f} s")
        if not LOWEST_DB <= level_db <= HIGHEST_DB:
            raise ValueError(f"points[{place}] is {level_db:g} dB, outside {LOWEST_DB:g} to {HIGHEST_DB:g} dB")
        if seconds <= before:
            raise ValueError(f"points[{place}] is at {seconds:g} s, not after the one before it at {before:g} s")
        before = seconds


def read(text: str) -> Points:
    """What a person wrote: `0:00 0, 1:23.5 -3`, minutes (and hours) or plain seconds, then dB; `none` for no points.

    Raises UnbakeError that says what is possible.
    """
    said = text.replace("\N{MINUS SIGN}", "-").strip()
    if said.lower() in ("", NONE):
        return ()
    found: list[tuple[float, float]] = []
    for part in said.split(","):
        match = _POINT.fullmatch(part.strip())
        if match is None:
            raise UnbakeError(f"points must be {HOW}", where=part.strip() or text.strip())
        seconds = Decimal(match[2])
        for place, count in enumerate(reversed(match[1].split(":")[:-1]), 1):
            seconds += Decimal(count) * 60**place
        found.append((float(seconds), float(match[3])))
    try:
        check(found)
    except ValueError as error:
        raise UnbakeError(str(error), where=text.strip()) from error
    return tuple(found)


def written(points: Points) -> str:
    """Points as `read` takes them, to the last digit."""
    parts: list[str] = []
    for seconds, level_db in points:
        minutes, rest = divmod(Decimal(str(seconds)), 60)
        whole, _, part = f"{rest:f}".partition(".")
        fraction = part.rstrip("0")
        time = f"{minutes:.0f}:{whole:0>2}" + (f".{fraction}" if fraction else "")
        parts.append(f"{time} {Decimal(str(level_db)).normalize():f}")
    return ", ".join(parts) or NONE


def counted(points: Points) -> str:
    """`5 points`."""
    return f"{len(points)} point{'' if len(points) == 1 else 's'}" if points else NONE
