"""What is done about a file when nobody says what: which steps are tried, in which order, and how sure they must be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.cleanup.bench import find
from core.cleanup.cleaner import Finding
from core.cleanup.weighing import SURE, weighed
from core.events import Operation
from core.session.cleaning import Declick, Declip, Decrackle, Deecho, Dehum, Denoise, Dereverb, Step

TRIED: tuple[Step, ...] = (Declip(), Declick(), Decrackle(), Dehum(), Denoise(), Deecho(), Dereverb())
"""The steps that are tried, at their defaults. What was done to the recording last is undone first: clipping hides
under everything that came after it, clicks spoil every spectrum that hum and noise are measured in, and a room is heard
best without them."""
PROPOSED_FROM = SURE
"""Confidence from which a step is proposed. An engineer who asks for a step gets it below that, too."""


def findings(path: Path, steps: Sequence[Step] = TRIED) -> Operation[tuple[Finding, ...]]:
    """What each step finds in the file at `path` as it is, by default each of those that are tried.

    Raises UnbakeError where it can't be read.
    """
    found: list[Finding] = []
    for step in steps:
        finding = yield from find(path, step)
        found.append(finding)
    return weighed(found)
