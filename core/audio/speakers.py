"""Which channel feeds which loudspeaker: labels, WAVE masks, and the orders that containers keep them in.

The graph sees channels in the order of the WAVE mask, whatever the container's own order is.
"""

from __future__ import annotations

import struct

_BY_COUNT: dict[int, tuple[str, ...]] = {
    1: ("M",),
    2: ("L", "R"),
    3: ("L", "R", "C"),
    4: ("L", "R", "Ls", "Rs"),
    5: ("L", "R", "C", "Ls", "Rs"),
    6: ("L", "R", "C", "LFE", "Ls", "Rs"),
    7: ("L", "R", "C", "LFE", "Cs", "Ls", "Rs"),
    8: ("L", "R", "C", "LFE", "Lb", "Rb", "Ls", "Rs"),
}

_VORBIS_ORDER: dict[int, tuple[str, ...]] = {
    3: ("L", "C", "R"),
    5: ("L", "C", "R", "Ls", "Rs"),
    6: ("L", "C", "R", "Ls", "Rs", "LFE"),
    7: ("L", "C", "R", "Ls", "Rs", "Cs", "LFE"),
    8: ("L", "C", "R", "Ls", "Rs", "Lb", "Rb", "LFE"),
}
"""The order of Vorbis and of Opus mapping family 1, where it is not the WAVE order."""

CAF_USE_BITMAP = 0x10000
"""The layout tag of a CAF `chan` chunk that says "see the bitmap", whose bits are those of a WAVE mask."""

_CAF_TAGS: dict[int, tuple[str, ...]] = {
    108: ("L", "R", "Ls", "Rs"),
    113: ("L", "R", "C"),
    114: ("C", "L", "R"),
    115: ("L", "R", "C", "Cs"),
    116: ("C", "L", "R", "Cs"),
    117: ("L", "R", "C", "Ls", "Rs"),
    118: ("L", "R", "Ls", "Rs", "C"),
    119: ("L", "C", "R", "Ls", "Rs"),
    120: ("C", "L", "R", "Ls", "Rs"),
    121: ("L", "R", "C", "LFE", "Ls", "Rs"),
    122: ("L", "R", "Ls", "Rs", "C", "LFE"),
    123: ("L", "C", "R", "Ls", "Rs", "LFE"),
    124: ("C", "L", "R", "Ls", "Rs", "LFE"),
    125: ("L", "R", "C", "LFE", "Ls", "Rs", "Cs"),
    128: ("L", "R", "C", "LFE", "Ls", "Rs", "Lb", "Rb"),
}
"""Upper half of Apple's channel layout tags, kAudioChannelLayoutTag_Quadraphonic to MPEG_7_1_C."""

_FRONT = {0x1: "L", 0x2: "R", 0x4: "C", 0x8: "LFE"}
_BACK_LEFT, _BACK_RIGHT, _BACK_CENTRE, _SIDE_LEFT, _SIDE_RIGHT = 0x10, 0x20, 0x100, 0x200, 0x400
_SIDES = _SIDE_LEFT | _SIDE_RIGHT


def default_speakers(channels: int) -> tuple[str, ...]:
    """The usual labels for 1 to 8 channels, in WAVE order."""
    return _BY_COUNT[channels]


def speakers_of_mask(mask: int | None, channels: int) -> tuple[str, ...]:
    """Labels for a WAVE channel mask; the usual ones for the count where the mask can't be said in our labels.

    One surround pair is called Ls and Rs wherever the mask puts it (5.1 is written both ways); with two pairs, the
    back one is Lb and Rb.
    """
    if channels == 1 or not mask or mask.bit_count() != channels:
        return default_speakers(channels)
    names = dict(_FRONT) | {_BACK_CENTRE: "Cs", _SIDE_LEFT: "Ls", _SIDE_RIGHT: "Rs"}
    two_pairs = bool(mask & _SIDES)
    names |= {_BACK_LEFT: "Lb" if two_pairs else "Ls", _BACK_RIGHT: "Rb" if two_pairs else "Rs"}
    bits = [1 << position for position in range(32) if mask >> position & 1]
    labels = [names.get(bit) for bit in bits]
    if None in labels:
        return default_speakers(channels)
    return tuple(label for label in labels if label is not None)


def mask_of_speakers(speakers: tuple[str, ...]) -> int:
    """The WAVE channel mask of labels in WAVE order (5.1 with its surrounds at the back, as most files have it)."""
    back = not {"Lb", "Rb", "Cs"} & set(speakers)
    bits = {"M": 0x4, "Cs": _BACK_CENTRE, "Lb": _BACK_LEFT, "Rb": _BACK_RIGHT}
    bits |= {name: bit for bit, name in _FRONT.items()}
    bits |= {"Ls": _BACK_LEFT if back else _SIDE_LEFT, "Rs": _BACK_RIGHT if back else _SIDE_RIGHT}
    return sum(bits[label] for label in speakers)


def caf_layout(content: bytes, channels: int) -> tuple[tuple[str, ...], int | None]:
    """Labels in the file's own order and WAVE mask (None if there is none) from the content of a CAF `chan` chunk."""
    if len(content) < 8:
        return default_speakers(channels), None
    tag, bitmap = struct.unpack_from(">II", content)
    if tag == CAF_USE_BITMAP:
        return speakers_of_mask(bitmap, channels), bitmap
    labels = _CAF_TAGS.get(tag >> 16)
    if tag & 0xFFFF != channels or labels is None or len(labels) != channels:
        return default_speakers(channels), None
    return labels, mask_of_speakers(labels) if labels == default_speakers(channels) and channels > 2 else None


def vorbis_order(speakers: tuple[str, ...]) -> list[int] | None:
    """Where Vorbis keeps each channel: `file_block = block[order]`; None when the orders are the same."""
    theirs = _VORBIS_ORDER.get(len(speakers))
    if theirs is None or set(theirs) != set(speakers):
        return None
    return [speakers.index(label) for label in theirs]


def inverse(order: list[int]) -> list[int]:
    """The order that undoes `order`."""
    return [order.index(position) for position in range(len(order))]
