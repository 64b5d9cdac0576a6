"""Clipping: found by flat tops in `detection`, peaks made anew in `restoration`; `declipper` is the step."""

from core.cleanup.declip.declipper import Declipper

__all__ = ["Declipper"]
