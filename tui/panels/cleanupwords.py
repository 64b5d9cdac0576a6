"""What the clean-up bench says: its rows and lines, pure functions of what is known.

Steps are known by their annotations and by what they found, never by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.session import parameters, words
from core.session.cleaning import Step, step_kinds
from core.session.parameters import Parameter
from tui import actions
from tui.desk.bench import Insert, Value
from tui.desk.chain import value_row
from tui.desk.taken import SOURCE, Taken
from tui.widgets.line import Piece
from tui.widgets.rows import Cell, Row

if TYPE_CHECKING:
    from core.cleanup.cleaner import Finding

QUIET = "$foreground 65%"
TITLE_CELLS, HEARS_CELLS, SHARE_CELLS, SURE_CELLS, LEVEL_CELLS = 12, 9, 6, 6, 10
VALUE_CELLS = 14
SURE_TEXT = {True: "found", False: "not found"}


class Seen(NamedTuple):
    """A row: what was looked for, by the type of its step."""

    type: str


RowKey = Insert | Value | Seen


class Shown(NamedTuple):
    """What the list is made of. `known` is what came of each step as it is now, `damage` what was looked for."""

    steps: tuple[Step, ...]
    known: tuple[Taken | None, ...]
    damage: Sequence[Finding]
    sure_from: float
    target: str
    chosen: RowKey | None
    unfolded: int | None
    sample_rate: int


def rows(shown: Shown, width: int) -> list[Row]:
    """The steps in order, the values of the one that is unfolded, then what was looked for."""
    found = [_head(shown)] if shown.steps else [_empty(shown)]
    for place, (step, known) in enumerate(zip(shown.steps, shown.known, strict=True)):
        found.append(_step(shown, place, step, known))
        if place == shown.unfolded:
            found += [
                value_row(
                    key := Value(place, parameter.name),
                    parameter,
                    getattr(step, parameter.name),
                    width,
                    chosen=key == shown.chosen,
                    sample_rate=shown.sample_rate,
                    cells=VALUE_CELLS,
                )
                for parameter in values_of(step, shown.target)
            ]
    if shown.damage:
        found.append(Row((Cell(" looked for in the file as it is", "head"),), choice=False))
        found += [_seen(each, shown.sure_from) for each in shown.damage]
    return found


def values_of(step: Step, target: str) -> list[Parameter]:
    """What can be set on a step; who hears it says nothing on a strip, whose chain does."""
    left_out = {"bypass"} if target == SOURCE else {"bypass", "apply"}
    return [each for each in parameters.parameters_of(type(step)) if each.name not in left_out]


def _head(shown: Shown) -> Row:
    cells = [Cell("", "", 4), Cell("step", "dim", TITLE_CELLS)]
    if shown.target == SOURCE:
        cells.append(Cell("heard by", "dim", HEARS_CELLS))
    cells += [
        Cell("share", "dim", -SHARE_CELLS),
        Cell("sure", "dim", -SURE_CELLS),
        Cell("taken", "dim", -LEVEL_CELLS),
        Cell("  found", "dim"),
    ]
    return Row(tuple(cells), choice=False)


def _empty(shown: Shown) -> Row:
    propose, add, presets = (actions.key(f"cleanup.{each}") for each in ("propose", "add", "presets"))
    said = f"  no steps: {propose} looks for damage and proposes, {add} adds one, {presets} takes those of a preset"
    del shown
    return Row((Cell(said, "dim"),), choice=False)


def _step(shown: Shown, place: int, step: Step, known: Taken | None) -> Row:
    quiet = "" if step.active else "dim"
    cells = [
        Cell("  "),
        Cell(f"{place + 1} ", "dim", 2),
        Cell(title_of(step), quiet or "name", TITLE_CELLS),
    ]
    if shown.target == SOURCE:
        master = step.apply == "master"
        cells.append(Cell("master" if master else "networks", quiet or ("accent" if master else ""), HEARS_CELLS))
    finding = known.finding if known is not None else seen_of(shown, step)
    share = parameters.shown(parameters.parameter_of(type(step), "strength"), step.strength, padded=False)
    cells += [
        Cell(share, quiet or ("value" if step.strength < 1.0 else ""), -SHARE_CELLS),
        Cell(_percent(finding) if step.active else "", quiet or _sureness(finding, shown.sure_from), -SURE_CELLS),
        Cell(_taken(step, known), quiet or ("value" if known is not None else "dim"), -LEVEL_CELLS),
        Cell(f"  {found_words(step, known, finding)}", quiet or ("" if known is not None else "dim")),
    ]
    return Row(tuple(cells), key=Insert(place))


def title_of(step: Step) -> str:
    """`dehum`; of a step that is a network, the network's name where it has one yet."""
    text = parameters.text_needed(type(step))
    return (getattr(step, text) if text else "") or parameters.title_of(type(step))


def seen_of(shown: Shown, step: Step) -> Finding | None:
    """What was found for a step in the file as it is."""
    kind = str(step.__struct_config__.tag)
    return next((each for each in shown.damage if each.type == kind), None)


def found_words(step: Step, known: Taken | None, finding: Finding | None) -> str:
    """What a step found, or why nothing is known of that."""
    if step.bypass:
        return "bypassed"
    if not step.active:
        text = parameters.text_needed(type(step))
        return f"no {text} is named yet" if text and not getattr(step, text) else "strength is 0"
    if known is not None and finding is not None:
        return finding.detail if finding.found else f"nothing: {finding.detail}"
    return "not carried out yet" if finding is None else f"not carried out; {finding.detail}"


def _percent(finding: Finding | None) -> str:
    return "" if finding is None else f"{finding.confidence:.0%}"


def _sureness(finding: Finding | None, sure_from: float) -> str:
    if finding is None or not finding.found:
        return "dim"
    return "good" if finding.confidence >= sure_from else "warn"


def _taken(step: Step, known: Taken | None) -> str:
    """How much was taken away by the strength that the step has, RMS of the whole file."""
    if known is None or not step.active:
        return ""
    if known.path is None or known.rms_dbfs == -math.inf:
        return "nothing"
    return "" if known.rms_dbfs is None else f"{known.rms_dbfs + 20.0 * math.log10(step.strength):.1f} dB"


def _seen(finding: Finding, sure_from: float) -> Row:
    state = SURE_TEXT[finding.found] if not finding.found or finding.confidence >= sure_from else "unsure"
    style = {"found": "good", "unsure": "warn"}.get(state, "dim")
    cells = (
        Cell("", "", 4),
        Cell(finding.type, "name" if finding.found else "dim", TITLE_CELLS),
        Cell(state, style, HEARS_CELLS + SHARE_CELLS - 4),
        Cell(_percent(finding), style, -SURE_CELLS + 1),
        Cell(f"  {finding.detail}", "" if finding.found else "dim"),
    )
    return Row(cells, key=Seen(finding.type))


def about_row(shown: Shown) -> str:
    """What is said of the chosen line in full, below the list."""
    key = shown.chosen
    if isinstance(key, Seen):
        finding = next((each for each in shown.damage if each.type == key.type), None)
        add = actions.key("cleanup.type")
        why = "" if finding is None else f"{finding.type}: {finding.detail}"
        return f"{why}. {about_kind(key.type)} {add} takes it into the list"
    if isinstance(key, (Insert, Value)) and key.place < len(shown.steps):
        step, known = shown.steps[key.place], shown.known[key.place]
        if isinstance(key, Value):
            parameter = parameters.parameter_of(type(step), key.name)
            return f"{parameter.title}: {parameter.about or parameters.possible(parameter, shown.sample_rate)}"
        finding = known.finding if known is not None else seen_of(shown, step)
        return f"{words.of_processor(step)}: {found_words(step, known, finding)}. {about_kind_of(step)}"
    return ""


def about_kind(kind: str) -> str:
    """What a type of step does."""
    return parameters.about_of(step_kinds()[kind])


def about_kind_of(step: Step) -> str:
    """What a step does."""
    return parameters.about_of(type(step))


def title(target: str, source: Path | None, shown: Shown, *, cleaning: bool, finding: bool) -> list[Piece]:
    """What is cleaned, and how far that is."""
    name = source.name if target == SOURCE and source is not None else f"stem {target}"
    active = [known for step, known in zip(shown.steps, shown.known, strict=True) if step.active]
    done = sum(known is not None for known in active)
    if finding:
        state = ("looking for damage", "$accent")
    elif cleaning:
        state = ("being carried out", "$accent")
    elif not active:
        state = ("nothing is done to it", QUIET)
    elif done == len(active):
        state = ("carried out", "$success")
    else:
        state = (f"{done} of {len(active)} steps carried out", "$warning")
    return [(" clean-up", "bold"), (f"  {name}", "$accent bold"), ("  ", ""), state]
