"""A session in words: what was done to which stem, in the units engineers use."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from core.session.document import Session, Strip
from core.session.presets import Preset, given
from core.session.processors import Processor

_UNITS = {"hz": "Hz", "db": "dB", "dbtp": "dBTP", "ms": "ms", "db_oct": "dB/oct"}


def of_processor(processor: Processor) -> str:
    """`bell 250 Hz -5.0 dB Q 0.8`."""
    name = str(processor.__struct_config__.tag).replace("_", " ")
    values = msgspec.structs.asdict(processor)
    values.pop("bypass")
    words = [name, *(_value(key, value) for key, value in values.items())]
    return " ".join(words) + (" (bypassed)" if processor.bypass else "")


def of_strip(strip: Strip) -> str:
    """`-1.5 dB; bell 250 Hz -5 dB Q 0.8`, or `neutral`."""
    if strip.neutral:
        return "neutral"
    if strip.mode == "cancel":
        return "cancelled"
    parts: list[str] = []
    if strip.mode == "parallel":
        parts.append(f"parallel {strip.blend:.0%}")
    if strip.gain_db:
        parts.append(f"{strip.gain_db:+g} dB")
    if strip.pan:
        parts.append(f"pan {abs(strip.pan):.0%} {'right' if strip.pan > 0 else 'left'}")
    if strip.polarity == -1:
        parts.append("polarity inverted")
    parts.extend(of_processor(processor) for processor in strip.chain)
    return "; ".join(parts) or "unprocessed"


def of_session(session: Session) -> list[str]:
    """One line for each strip that changes something, and one for the master stage when it does."""
    lines = [f"{name}: {of_strip(session.strips[name])}" for name in session.changed]
    if session.master:
        lines.append("master: " + "; ".join(of_processor(processor) for processor in session.master))
    return lines


def of_preset(preset: Preset) -> list[str]:
    """One line for each strip and for the master stage that a preset sets."""
    laid = {name: Strip(**given(patch)) for name, patch in preset.strips.items()}
    lines = [f"{name}: {of_strip(strip)}" for name, strip in laid.items()]
    if preset.master is not UNSET and preset.master:
        lines.append("master: " + "; ".join(of_processor(processor) for processor in preset.master))
    return lines or ["changes nothing"]


def _value(key: str, value: object) -> str:
    if key == "q":
        return f"Q {value:g}"
    if key in ("amount", "bits", "shape", "slope"):
        return f"{key} {value:g}" if isinstance(value, (int, float)) else f"{key} {value}"
    for ending, unit in sorted(_UNITS.items(), key=lambda item: -len(item[0])):
        if key.endswith(ending) and isinstance(value, (int, float)):
            sign = "+" if unit == "dB" else ""
            return f"{value:{sign}g} {unit}"
    return f"{key} {value}"
