"""What differs between two sessions, in engineers' words: for the preview of a preset, and for the history."""

from __future__ import annotations

import math
from typing import Any, Literal

from msgspec import Struct

from core.session import words
from core.session.document import RESIDUAL, Brought, Separation, Session, Source, Strip
from core.session.edits import MASTER
from core.session.parameters import Parameter, parameters_of, shown, title_of
from core.session.processors import Processor

_SAME = 4.0
"""Worth of a processor that stays what it is: more than two that change instead."""


class Difference(Struct, frozen=True):
    """One thing that was added, removed or changed, and where: a strip, `master`, `separation`, `source`, `rights`."""

    where: str
    kind: Literal["added", "removed", "changed"]
    what: str

    @property
    def line(self) -> str:
        """`bass: + bell 250 Hz -5 dB Q 0.8`, `bass: gain 0 dB -> -1.5 dB`."""
        sign = {"added": "+ ", "removed": "- ", "changed": ""}[self.kind]
        return f"{self.where}: {sign}{self.what}"


def differences(before: Session, after: Session) -> tuple[Difference, ...]:
    """Everything that makes `after` of `before`: source and separation, then the strips in their order, the master."""
    stems = (*after.separation.stems, *before.separation.stems, RESIDUAL)
    order = [*stems, *after.brought, *before.brought, *before.strips, *after.strips]
    found = [
        *_of_struct("source", before.source, after.source),
        *_of_separation(before.separation, after.separation),
    ]
    found += _of_chain("clean-up", before.cleanup, after.cleanup)
    for name in dict.fromkeys((*before.brought, *after.brought)):
        found += _of_brought(name, before.brought.get(name), after.brought.get(name))
    for name in dict.fromkeys(order):
        found += _of_strip(name, before.strips.get(name, Strip()), after.strips.get(name, Strip()))
    found += _of_chain(MASTER, before.master, after.master)
    if before.rights != after.rights:
        for key in dict.fromkeys((*before.rights, *after.rights)):
            found += _of_value("rights", key, before.rights.get(key), after.rights.get(key))
    return tuple(found)


def _of_separation(before: Separation, after: Separation) -> list[Difference]:
    found = _of_struct("separation", before, after, leave_out="hashes")
    if before.hashes != after.hashes:
        names = dict.fromkeys((*before.hashes, *after.hashes))
        other = [name for name in names if before.hashes.get(name) != after.hashes.get(name)]
        done = "made" if not before.hashes else "forgotten" if not after.hashes else "made anew"
        what = f"stems {', '.join(other)} {done}"
        found.append(Difference("separation", "changed", what))
    return found


def _of_brought(name: str, before: Brought | None, after: Brought | None) -> list[Difference]:
    if before is None or after is None:
        kind, one = ("added", after) if before is None else ("removed", before)
        return [] if one is None else [Difference(name, kind, f"brought: {words.of_brought(name, one)}")]
    return _of_struct(name, before, after, leave_out="hash")


def _of_struct(
    where: str, before: Source | Separation | Brought, after: Source | Separation | Brought, leave_out: str = ""
) -> list[Difference]:
    found: list[Difference] = []
    for name in before.__struct_fields__:
        if name != leave_out:
            found += _of_value(where, name, getattr(before, name), getattr(after, name))
    return found


def _of_value(where: str, name: str, before: Any, after: Any) -> list[Difference]:
    if before == after:
        return []
    title = name.replace("_", " ")
    if before is None or after is None:
        kind = "added" if before is None else "removed"
        return [Difference(where, kind, f"{title} {_plain(after if before is None else before)}")]
    return [Difference(where, "changed", f"{title} {_plain(before)} -> {_plain(after)}")]


def _plain(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(_plain(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _of_strip(name: str, before: Strip, after: Strip) -> list[Difference]:
    found = _of_parameters(name, "", before, after)
    cleanup = _of_chain(f"{name} clean-up", before.cleanup, after.cleanup)
    return [*found, *cleanup, *_of_chain(name, before.chain, after.chain)]


def _of_parameters(where: str, label: str, before: Struct, after: Struct) -> list[Difference]:
    """One difference for each field of a strip, or of a processor called `label`."""
    known = {parameter.name: parameter for parameter in parameters_of(type(before))}
    found: list[Difference] = []
    for name in before.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old == new or name in ("chain", "cleanup", "hash"):
            continue
        if name == "bypass":
            what = "bypassed" if new else "back in"
        elif name in known:
            parameter = known[name]
            said = [_brief(parameter, old), _brief(parameter, new)]
            if said[0] == said[1]:  # as many points, elsewhere
                said = [shown(parameter, old), shown(parameter, new)]
            what = f"{parameter.title} {said[0]} -> {said[1]}"
        else:
            what = f"{name} {_plain(old)} -> {_plain(new)}"
        found.append(Difference(where, "changed", f"{label}: {what}" if label else what))
    return found


def _brief(parameter: Parameter, value: Any) -> str:
    return shown(parameter, value, padded=False).removeprefix(f"{parameter.title} ")


def _of_chain(where: str, before: tuple[Processor, ...], after: tuple[Processor, ...]) -> list[Difference]:
    pairs = _pairs(before, after)
    old = {one for one, _ in pairs}
    new = {other for _, other in pairs}
    removed = [place for place in range(len(before)) if place not in old]
    added = [place for place in range(len(after)) if place not in new]
    found: list[Difference] = []
    for place in list(removed):
        moved = next((other for other in added if after[other] == before[place]), None)
        if moved is not None:
            removed.remove(place)
            added.remove(moved)
            what = f"{words.of_processor(before[place])}: place {place + 1} -> {moved + 1}"
            found.append(Difference(where, "changed", what))
    for one, other in pairs:
        found += _of_parameters(where, _label(before[one]), before[one], after[other])
    gone = [Difference(where, "removed", words.of_processor(before[place])) for place in removed]
    come = [Difference(where, "added", words.of_processor(after[place])) for place in added]
    return [*gone, *found, *come]


def _label(processor: Processor) -> str:
    """What a processor is called while something about it changes: `bell 250 Hz`, `limiter`."""
    title = title_of(type(processor))
    frequency = next((parameter for parameter in parameters_of(type(processor)) if parameter.unit == "Hz"), None)
    return title if frequency is None else f"{title} {_brief(frequency, getattr(processor, frequency.name))}"


def _pairs(before: tuple[Processor, ...], after: tuple[Processor, ...]) -> list[tuple[int, int]]:
    """Places of processors that are the same ones, changed or not, in an order that both chains keep.

    Of all ways to pair processors of one type, the one that leaves most as it is and changes the rest least.
    """
    worth = [[0.0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for one in reversed(range(len(before))):
        for other in reversed(range(len(after))):
            together = _likeness(before[one], after[other]) + worth[one + 1][other + 1]
            worth[one][other] = max(together, worth[one + 1][other], worth[one][other + 1])
    pairs: list[tuple[int, int]] = []
    one = other = 0
    while one < len(before) and other < len(after):
        likeness = _likeness(before[one], after[other])
        if likeness and worth[one][other] == likeness + worth[one + 1][other + 1]:
            pairs.append((one, other))
            one, other = one + 1, other + 1
        elif worth[one][other] == worth[one + 1][other]:
            one += 1
        else:
            other += 1
    return pairs


def _likeness(before: Processor, after: Processor) -> float:
    """0 for two types, `_SAME` for two equals, otherwise 1 to 2."""
    if type(before) is not type(after):
        return 0.0
    if before == after:
        return _SAME
    near = [
        _nearness(parameter, getattr(before, parameter.name), getattr(after, parameter.name))
        for parameter in parameters_of(type(before))
    ]
    return 1.0 + sum(near) / len(near)


def _nearness(parameter: Parameter, one: Any, other: Any) -> float:
    """1 for equal values, less for every coarse step between them."""
    if one == other:
        return 1.0
    if parameter.kind not in ("number", "whole"):
        return 0.5
    distance = abs(math.log2(one / other)) if parameter.scale == "log" else abs(one - other)
    return 1.0 / (1.0 + distance / parameter.coarse)
