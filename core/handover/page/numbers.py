"""Figures as a page shows them: a real minus, no more decimals than anybody can use, the unit beside them."""

from __future__ import annotations

import datetime
import math
import re
from typing import Final

MINUS: Final = "\u2212"
NONE: Final = "–"
"""What stands where there is no figure."""
MONTHS: Final = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
PREFERRED: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0, 10.0)
"""Nominal middles of third octaves (IEC 61260-1)."""


def decimal(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """`−13.6`, or `+0.5` where signs matter; a dash for None. What rounds to nothing has no sign."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def with_unit(value: float | None, unit: str, digits: int = 1, *, signed: bool = False) -> str:
    """The same with its unit, `−13.6 LUFS`; a dash for None."""
    text = decimal(value, digits, signed=signed)
    return text if text == NONE or not unit else f"{text}\u00a0{unit}"


def whole(value: int) -> str:
    """`1 234 567`, with narrow spaces that do not break."""
    return f"{value:,}".replace(",", "\u202f")


def hertz(value: float) -> str:
    """`250 Hz`, `2.5 kHz`."""
    return f"{value:g}\u00a0Hz" if value < 1000.0 else f"{value / 1000.0:g}\u00a0kHz"


def nominal_hz(low_hz: float, high_hz: float) -> float:
    """The nominal middle of the third octave between two edges."""
    middle = math.sqrt(low_hz * high_hz)
    decade = 10.0 ** math.floor(math.log10(middle))
    return decade * min(PREFERRED, key=lambda each: abs(math.log(each * decade / middle)))


def clock(seconds: float, digits: int = 0) -> str:
    """`1:23`, `1:23.456`, `1:02:03`: hours only where there are any."""
    ticks = round(seconds * 10**digits)
    rest, ticks = divmod(ticks, 60 * 10**digits)
    hours, minutes = divmod(rest, 60)
    end = f"{ticks / 10**digits:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02d}:{end}" if hours else f"{minutes}:{end}"


def length(seconds: float) -> str:
    """How long something is: `3:28.041`, below a minute `2.5 s`, below a second `20 ms`."""
    if seconds < 1.0:
        return f"{seconds * 1000.0:.4g}\u00a0ms"
    return f"{round(seconds, 3):g}\u00a0s" if seconds < 60.0 else clock(seconds, 3)


def typeset(words: str) -> str:
    """Words of other parts of the program with the minus of this one, `bass: bell 250 Hz −3 dB`; the name stays."""
    name, colon, said = words.partition(": ")
    if not colon:
        name, said = "", words
    return name + colon + re.sub(r"(?<=\s)-(?=\d)", MINUS, f" {said}")[1:]


def date(iso: str) -> str:
    """`23 November 2026, 13:22 UTC` of an ISO 8601 time; what is none is shown as it is."""
    try:
        when = datetime.datetime.fromisoformat(iso)
    except ValueError:
        return iso
    zone = "" if when.tzinfo is None else f" {when.tzname()}"
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when.hour}:{when.minute:02d}{zone}"


def channel(index: int, channels: int) -> str:
    """`left`, `right`, `channel 3`; nothing for mono."""
    if channels == 1:
        return ""
    return ("left", "right")[index] if channels == 2 else f"channel {index + 1}"
