"""Processors as data: small frozen values in engineers' units, one class for each `type` a session may name.

What they do to sound lives in `core.strips` and `core.recombine`; here is only what can be written down, its range, and
whether it changes anything.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

Frequency = Annotated[float, Meta(ge=10.0, le=192_000.0, description="Hz; at most 0.49 of the sample rate")]
GainDb = Annotated[float, Meta(ge=-24.0, le=24.0, description="dB")]
Quality = Annotated[float, Meta(ge=0.1, le=40.0, description="Q; centre frequency over bandwidth")]
ShelfSlope = Annotated[float, Meta(ge=0.1, le=1.0, description="shelf slope S; 1 is the steepest without overshoot")]


@cache
def field_limits(kind: type) -> dict[str, tuple[float | None, float | None]]:
    """The lowest and highest value of every number in a struct, by field name; None where it is open."""
    limits: dict[str, tuple[float | None, float | None]] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is Annotated and get_args(hint)[0] in (float, int):
            meta = next(extra for extra in get_args(hint) if isinstance(extra, Meta))
            limits[name] = (meta.ge, meta.le)
        elif hint is float:
            limits[name] = (None, None)
    return limits


class Checked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value whose numbers are checked whenever one is made, not only when it is read from a file."""

    def __post_init__(self) -> None:
        for name, (low, high) in field_limits(type(self)).items():
            value: Any = getattr(self, name)
            if not isinstance(value, (int, float)):
                continue  # unset, or of a type that decoding refuses with its own words
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, not a number that can be used")
            if (low is not None and value < low) or (high is not None and value > high):
                raise ValueError(f"{name} is {value:g}, outside {low:g} to {high:g}")


class Processor(Checked, frozen=True, tag_field="type", kw_only=True):
    """One insert of a chain. `bypass` keeps it in the document and out of the sound."""

    bypass: bool = False

    @property
    def neutral(self) -> bool:
        """Whether its settings leave every sample as it is."""
        return False

    @property
    def active(self) -> bool:
        """Whether it is heard: neither bypassed nor neutral."""
        return not (self.bypass or self.neutral)


class Bell(Processor, frozen=True, tag="bell", kw_only=True):
    """Boost or cut around one frequency (peaking filter of the RBJ Audio EQ Cookbook), minimum phase."""

    freq_hz: Frequency
    gain_db: GainDb = 0.0
    q: Quality = 0.7

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0


class LowShelf(Processor, frozen=True, tag="low_shelf", kw_only=True):
    """Boost or cut below a frequency (RBJ cookbook shelf), half of the gain at `freq_hz`."""

    freq_hz: Frequency
    gain_db: GainDb = 0.0
    slope: ShelfSlope = 0.7

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0


class HighShelf(LowShelf, frozen=True, tag="high_shelf", kw_only=True):
    """Boost or cut above a frequency (RBJ cookbook shelf), half of the gain at `freq_hz`."""


class LowCut(Processor, frozen=True, tag="low_cut", kw_only=True):
    """High-pass, Butterworth, -3 dB at `freq_hz`."""

    freq_hz: Frequency
    slope_db_oct: Literal[6, 12, 18, 24, 30, 36, 42, 48] = 12


class HighCut(LowCut, frozen=True, tag="high_cut", kw_only=True):
    """Low-pass, Butterworth, -3 dB at `freq_hz`."""


class Notch(Processor, frozen=True, tag="notch", kw_only=True):
    """Takes one frequency out altogether (RBJ cookbook notch)."""

    freq_hz: Frequency
    q: Quality = 10.0


class Tilt(Processor, frozen=True, tag="tilt", kw_only=True):
    """Turns the whole spectrum around `freq_hz`: half of `gain_db` up above it, half down below."""

    freq_hz: Frequency
    gain_db: GainDb = 0.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0


class Width(Processor, frozen=True, tag="width", kw_only=True):
    """Scales the side signal of every left-right pair: 0 is mono, 1 as it was, 2 twice as wide."""

    amount: Annotated[float, Meta(ge=0.0, le=2.0, description="side level, 1 is unchanged")] = 1.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.amount == 1.0


class Gain(Processor, frozen=True, tag="gain", kw_only=True):
    """A level change of all channels."""

    gain_db: Annotated[float, Meta(ge=-96.0, le=24.0, description="dB")] = 0.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0


class Limiter(Processor, frozen=True, tag="limiter", kw_only=True):
    """Look-ahead limiter on oversampled peaks; sound below the ceiling passes bit for bit. Master only."""

    ceiling_dbtp: Annotated[float, Meta(ge=-24.0, le=0.0, description="dBTP")] = -1.0


class Dither(Processor, frozen=True, tag="dither", kw_only=True):
    """TPDF dither in place of the automatic one. Master only; bypassed, it turns dithering off.

    `bits` is the word length dithered to, 0 that of the output; `shape` is `flat` (white) or `highpass` (first
    difference: the same power, moved up out of the ear's best range).
    """

    bits: Annotated[int, Meta(ge=0, le=32, description="bits, 0 for those of the output")] = 0
    shape: Literal["flat", "highpass"] = "flat"


StripProcessor = Bell | LowShelf | HighShelf | LowCut | HighCut | Notch | Tilt | Width | Gain
MasterProcessor = Bell | LowShelf | HighShelf | LowCut | HighCut | Notch | Tilt | Width | Gain | Limiter | Dither
HIGHEST_SHARE = 0.49
"""Highest frequency of an equaliser as a share of the sample rate."""
EQUALISERS = (Bell, LowShelf, HighShelf, LowCut, HighCut, Notch, Tilt)


def kinds() -> dict[str, type[Processor]]:
    """Every processor class by the name that sessions give it."""
    return {str(kind.__struct_config__.tag): kind for kind in get_args(MasterProcessor)}
