"""What is done about a file when nobody says what: which steps are tried, in which order, and how sure they must be."""

from __future__ import annotations

from pathlib import Path

from core.cleanup.bench import find
from core.cleanup.cleaner import Finding
from core.events import Operation
from core.session.cleaning import Declick, Declip, Decrackle, Deecho, Dehum, Denoise, Dereverb, Step

PROPOSED_FROM = 0.8
"""Confidence from which a step is proposed. An engineer who asks for a step gets it below that, too."""


def proposed(*, for_networks: bool = False) -> tuple[Step, ...]:
    """The steps that are tried, at their defaults but for what is better where only networks hear the outcome.

    What was done to the recording last is undone first: clipping hides under everything that came after it, clicks
    spoil every spectrum that hum and noise are measured in, and a room is heard best without them.
    """
    # a split loses more by the notes that notches take with the hum than by what subtraction leaves of it
    dehum = Dehum(method="subtract") if for_networks else Dehum()
    return (Declip(), Declick(), Decrackle(), dehum, Denoise(), Deecho(), Dereverb())


def findings(path: Path) -> Operation[tuple[Finding, ...]]:
    """What each of the proposed steps finds in a file as it is. Raises UnbakeError where it can't be read."""
    found: list[Finding] = []
    for step in proposed():
        finding = yield from find(path, step)
        found.append(finding)
    return tuple(found)
