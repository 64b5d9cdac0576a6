"""Blind listening tests (ABX): what was answered, and how likely guessing does as well.

A trial plays X, which is the source or the repair, and asks which. Trials lie in the session's history, so they are
undone by nothing, and each names the edit that it was made on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

Side = Literal["source", "repair"]
"""A or B."""
LENGTHS = (8, 10, 12, 16, 20, 24, 32)
"""How many trials a test may have; the number is fixed before the first."""
USUAL_LENGTH = 16


class Trial(Struct, frozen=True, tag="trial"):
    """One answer: what X was and what it was taken for, between which frames, on which edit of the history.

    `test` is when the test began that it belongs to, `at` when the answer was given (ISO 8601, UTC), `of` how many
    trials that test has when it is finished.
    """

    test: str
    of: Annotated[int, Meta(ge=1)]
    at: str
    x: Side
    answer: Side
    edit: Annotated[int, Meta(ge=0)]
    first: Annotated[int, Meta(ge=0)]
    last: Annotated[int, Meta(ge=0)]

    @property
    def right(self) -> bool:
        """Whether X was what it was taken for."""
        return self.x == self.answer


class BlindTest(Struct, frozen=True):
    """The trials of one test, in their order; there is at least one."""

    trials: tuple[Trial, ...]

    @property
    def began(self) -> str:
        """When (ISO 8601, UTC)."""
        return self.trials[0].test

    @property
    def of(self) -> int:
        """How many trials it has when it is finished."""
        return self.trials[0].of

    @property
    def right(self) -> int:
        """Answers that were right."""
        return sum(trial.right for trial in self.trials)

    @property
    def finished(self) -> bool:
        """Whether every trial was answered."""
        return len(self.trials) >= self.of

    @property
    def p_value(self) -> float | None:
        """How likely guessing is right as often; None for a test that was left, for who stops when it suits proves
        nothing."""
        return p_value(self.right, len(self.trials)) if self.finished else None

    @property
    def edits(self) -> tuple[int, ...]:
        """Numbers of the edits that were heard as the repair; one, unless the session was edited meanwhile."""
        return tuple(sorted({trial.edit for trial in self.trials}))

    def words(self) -> str:
        """`12 of 16 right, p = 0.038`, or `3 of 5 right, 16 were planned`."""
        right = f"{self.right} of {len(self.trials)} right"
        if self.p_value is None:
            return f"{right}, {self.of} were planned"
        return f"{right}, p {'= ' if self.p_value >= 0.001 else '< '}{max(0.001, self.p_value):.3f}"


def p_value(right: int, trials: int) -> float:
    """Probability that coin tosses are right at least `right` times of `trials`: the one-sided binomial test at 1/2.

    ValueError unless 0 <= right <= trials.
    """
    if not 0 <= right <= trials:
        raise ValueError(f"{right} right of {trials} trials")
    return sum(math.comb(trials, count) for count in range(right, trials + 1)) / 2**trials


def by_test(trials: Sequence[Trial]) -> list[BlindTest]:
    """Trials by their tests, in the order in which those began to be answered."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.test, []).append(trial)
    return [BlindTest(tuple(each)) for each in found.values()]
