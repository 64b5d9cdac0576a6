"""Steps of the clean-up as they are typed: `declip,network:MODEL`, and `dehum.freq_hz=50` for what they are told."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import msgspec

from core.errors import UnbakeError
from core.session import files
from core.session.cleaning import CleanupStep, NetworkStep, Step, step_kinds
from core.session.toml import Origin

OF_A_NETWORK = "network:"


def steps_of(text: str, where: str = "--steps") -> tuple[Step, ...]:
    """Steps in the order in which they are named. Raises UnbakeError for a name that is none, or comes twice."""
    names = [name.strip() for name in text.split(",")]
    steps = tuple(_step(name, where) for name in names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UnbakeError(f"{twice} is named twice", where=where)
    return steps


def _step(name: str, where: str) -> Any:
    if name.startswith(OF_A_NETWORK):
        return NetworkStep(model=name.removeprefix(OF_A_NETWORK))
    kinds = step_kinds()
    known = [kind for kind in kinds if kind != "network"]
    if name in known:
        return kinds[name]()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}, and {OF_A_NETWORK}MODEL"
    raise UnbakeError(f'there is no step "{name}"', where=where, remedy=hint)


def told(steps: Sequence[Step], assignments: Sequence[str]) -> tuple[Step, ...]:
    """Steps with all of the `STEP.PARAMETER=VALUE` assignments made. Raises UnbakeError naming what is wrong."""
    fields = [msgspec.to_builtins(step) for step in steps]
    changed: list[int] = []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        kind, dot, field = path.strip().partition(".")
        if not (equals and dot):
            raise UnbakeError("not an assignment; write STEP.PARAMETER=VALUE", where=assignment)
        if field in ("hash", "type"):
            raise UnbakeError(f"{field} can't be set", where=assignment)
        places = [place for place, step in enumerate(steps) if _kind_of(step) == kind]
        if not places:
            have = ", ".join(map(_kind_of, steps))
            raise UnbakeError(f"{kind} is not among the steps", where=assignment, remedy=f"they are {have}")
        for place in places:
            fields[place][field] = files.typed_value(text.strip(), assignment)
        changed += places
    # what belongs together, such as the two ends of a stretch, comes in any order
    return tuple(
        Origin("--set").convert(fields[place], type(step), (_kind_of(step),)) if place in changed else step
        for place, step in enumerate(steps)
    )


def _kind_of(step: CleanupStep) -> str:
    return str(step.__struct_config__.tag)
