"""What is done about a file when nobody says what: which steps are tried, in which order, and how sure they must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from core.cleanup.bench import find
from core.cleanup.cleaner import Finding
from core.events import Operation
from core.session.cleaning import Declick, Declip, Decrackle, Deecho, Dehum, Denoise, Dereverb, Step

TRIED: tuple[Step, ...] = (Declip(), Declick(), Decrackle(), Dehum(), Denoise(), Deecho(), Dereverb())
"""The steps that are tried, at their defaults. What was done to the recording last is undone first: clipping hides
under everything that came after it, clicks spoil every spectrum that hum and noise are measured in, and a room is heard
best without them."""
PROPOSED_FROM = 0.8
"""Confidence from which a step is proposed. An engineer who asks for a step gets it below that, too."""
LIKE_CLIPPING = ("declick", "decrackle")
BESIDE_CLIPPING = 0.5
"""The confidence of clicks and ticks in a file that is clipped as well, at the most."""


def findings(path: Path, steps: Sequence[Step] = TRIED) -> Operation[tuple[Finding, ...]]:
    """What each step finds in the file at `path` as it is, by default each of those that are tried.

    Raises UnbakeError where it can't be read.
    """
    found: list[Finding] = []
    for step in steps:
        finding = yield from find(path, step)
        found.append(finding)
    return weighed(found)


def weighed(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """What steps found in one file as it is, each in the light of the others.

    Where a wave was cut off it has edges, which are like those of clicks: with clipping found surely, clicks are not.
    """
    found = tuple(found)
    if not any(each.type == "declip" and each.found and each.confidence >= PROPOSED_FROM for each in found):
        return found
    return tuple(_beside_clipping(each) if each.type in LIKE_CLIPPING and each.found else each for each in found)


def _beside_clipping(finding: Finding) -> Finding:
    return msgspec.structs.replace(
        finding,
        confidence=min(finding.confidence, BESIDE_CLIPPING),
        detail=f"{finding.detail}; they may be edges of the clipping: look again behind declip",
    )
