"""Which frame is heard at a moment, from what a player says of itself every now and then: for who taps along."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

KEPT: Final = 40
"""Words of the player that count; it says something up to 20 times a second."""
JUMP_SECONDS: Final = 0.15
"""What is further off than this is another place."""


class TapClock:
    """Told what a player says, tells what is heard at any moment in between."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._late: deque[float] = deque(maxlen=KEPT)

    def heard(self, frame: int, at_seconds: float) -> None:
        """The player said that it plays a frame, at a moment of a clock that never goes back."""
        late = at_seconds - frame / self._sample_rate
        if self._late and abs(late - median(self._late)) > JUMP_SECONDS:
            self._late.clear()
        self._late.append(late)

    def stop(self) -> None:
        """Nothing is played any more."""
        self._late.clear()

    def seconds(self, at_seconds: float) -> float | None:
        """What of the file, in seconds, is heard at a moment; None where nothing is."""
        if not self._late:
            return None
        # words come late by chance, never early: what is usual is nearer to the truth than the last one
        return max(0.0, at_seconds - median(self._late))
