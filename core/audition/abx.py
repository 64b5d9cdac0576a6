"""A blind test that is going on: what X is, what was answered, when it is over. Pure values; who asks keeps the log."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from core.session.blind import USUAL_LENGTH, BlindTest, Side, Trial

SIDES: Final[tuple[Side, Side]] = ("source", "repair")


def toss() -> Side:
    """A coin that nobody can foresee."""
    return secrets.choice(SIDES)


class Abx(Struct, frozen=True):
    """A test of `of` trials that began at `began` (ISO 8601, UTC); in the present one X is `x`.

    The number of trials is fixed before the first answer, and how many were right is nobody's business before the last:
    who may stop when it suits will sooner or later be right by chance.
    """

    began: str
    x: Side
    of: int = USUAL_LENGTH
    trials: tuple[Trial, ...] = ()

    @property
    def number(self) -> int:
        """Of the present trial, from 1."""
        return min(self.of, len(self.trials) + 1)

    @property
    def over(self) -> bool:
        """Whether every trial was answered."""
        return len(self.trials) >= self.of

    @property
    def result(self) -> BlindTest | None:
        """What came of it, once it is over."""
        return BlindTest(self.trials) if self.over else None

    def of_length(self, of: int) -> Abx:
        """With another number of trials. ValueError after the first answer."""
        if self.trials:
            raise ValueError("a test's length is fixed before its first answer")
        return replace(self, of=of)

    def answered(
        self, answer: Side, *, at: str, edit: int, region: tuple[int, int], next_x: Callable[[], Side] = toss
    ) -> Abx:
        """With an answer, on what was heard: an edit of the history between two frames. ValueError once it is over."""
        if self.over:
            raise ValueError("every trial was answered")
        trial = Trial(self.began, self.of, at, self.x, answer, edit, *region)
        return replace(self, trials=(*self.trials, trial), x=next_x())
