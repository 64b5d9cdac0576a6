"""The loudness fields of a Broadcast Wave `bext` chunk (EBU Tech 3285, version 2)."""

from __future__ import annotations

import struct

import msgspec

_FIXED_BYTES = 602
_VERSION_OFFSET = 346
_LOUDNESS_OFFSET = 412
_UNKNOWN = 0x7FFF


class BextLoudness(msgspec.Struct, frozen=True):
    """Loudness of a programme: LUFS integrated, LU range, dBTP true peak, LUFS momentary and short-term maxima.

    None where it is not known (silence, or too short to measure).
    """

    lufs_i: float | None = None
    lra_lu: float | None = None
    true_peak_dbtp: float | None = None
    max_momentary_lufs: float | None = None
    max_short_term_lufs: float | None = None


def with_loudness(bext: bytes, loudness: BextLoudness) -> bytes:
    """A little-endian `bext` chunk with these loudness values in it, at version 2 at least; all else as it was."""
    content = bytearray(bext.ljust(_FIXED_BYTES, b"\0"))
    (version,) = struct.unpack_from("<H", content, _VERSION_OFFSET)
    struct.pack_into("<H", content, _VERSION_OFFSET, max(version, 2))
    values = (
        loudness.lufs_i,
        loudness.lra_lu,
        loudness.true_peak_dbtp,
        loudness.max_momentary_lufs,
        loudness.max_short_term_lufs,
    )
    struct.pack_into("<5h", content, _LOUDNESS_OFFSET, *(_hundredths(value) for value in values))
    return bytes(content)


def _hundredths(value: float | None) -> int:
    # Also catches infinities and NaN, which fail every comparison or are outside.
    if value is None or not -327.67 <= value <= 327.66:
        return _UNKNOWN
    return round(value * 100.0)
