"""Findings in the light of each other: edges of what was cut off are like those of clicks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from core.cleanup.cleaner import Finding

SURE: Final = 0.8
"""Confidence from which a fault is taken to be there."""
LIKE_CLIPPING: Final = ("declick", "decrackle")
BESIDE_CLIPPING: Final = 0.5
"""The confidence of clicks and ticks in a file that is clipped as well, at the most."""


def weighed(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """What steps found in one file as it is, each in the light of the others.

    Where a wave was cut off it has edges, which are like those of clicks: with clipping found surely, clicks are not.
    """
    found = tuple(found)
    if not any(leaves_clipping(each) or (_clipped(each) and each.confidence >= SURE) for each in found):
        return found
    return tuple(beside_clipping(each) for each in found)


def leaves_clipping(finding: Finding) -> bool:
    """Whether it is of clipping that can't be made anew, so that its edges are there behind the step as well."""
    figures = finding.figures
    return finding.type == "declip" and figures.get("left_samples", 0.0) > figures.get("clipped_samples", 0.0)


def beside_clipping(finding: Finding) -> Finding:
    """What was found in a file that is clipped: clicks and ticks are less sure, all else is as it was."""
    if finding.type not in LIKE_CLIPPING or not finding.found:
        return finding
    return msgspec.structs.replace(
        finding,
        confidence=min(finding.confidence, BESIDE_CLIPPING),
        detail=f"{finding.detail}; they may be edges of the clipping: look again behind declip",
    )


def _clipped(finding: Finding) -> bool:
    return finding.type == "declip" and finding.found
