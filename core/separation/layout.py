"""Which channels of a file go through a network together.

The networks hear stereo. A surround file is split into pairs and single channels; the LFE is never separated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIRS = (("L", "R"), ("Ls", "Rs"), ("Lb", "Rb"))
SKIPPED = frozenset({"LFE"})
"""Nothing but rumble below 120 Hz, which no network was trained on: it stays in the residual whole."""


class Group(msgspec.Struct, frozen=True):
    """One network input: `channels` holds the file's channel indexes, two (left, right) or one (fed to both sides)."""

    name: str
    channels: tuple[int, ...]


def groups_of(speakers: Sequence[str]) -> tuple[Group, ...]:
    """The groups of a file whose channels carry these speaker names, in the order of their first channels.

    Pairs whose both sides are there are stereo groups; every other channel but the LFE is a group of its own, also one
    side of a pair whose other side is missing and a name that stands there twice.
    """
    groups: list[Group] = []
    taken: set[int] = set()
    for left, right in PAIRS:
        if speakers.count(left) == 1 and speakers.count(right) == 1:
            pair = (speakers.index(left), speakers.index(right))
            groups.append(Group(f"{left}+{right}", pair))
            taken.update(pair)
    for index, speaker in enumerate(speakers):
        if index not in taken and speaker not in SKIPPED:
            name = speaker if speakers.count(speaker) == 1 else f"{speaker}{index + 1}"
            groups.append(Group(name, (index,)))
    return tuple(sorted(groups, key=lambda group: min(group.channels)))
