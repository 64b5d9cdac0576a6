"""The chain of the chosen strip as rows of text: the fader's values, then every processor, the open one with its own.

Pure functions of the desk's state and a width.
"""

from __future__ import annotations

from typing import Any

from core.session import parameters, words
from core.session.document import Strip
from core.session.parameters import Parameter
from core.session.processors import EqualiserBand, Processor
from core.strips.comb import comb_of
from tui import actions
from tui.desk.bench import MASTER, Bench, Fader, Insert, RowKey, Value
from tui.widgets.rows import Cell, Row

VALUE_AT = 16
VALUE_CELLS = 10
RANGE_CELLS = 28
RANGES_FROM_CELLS = 70
"""Narrower than this only the chosen row says what its value can be."""


def chain_rows(bench: Bench, width: int) -> list[Row]:
    """Rows for a pane so wide. The chosen row explains itself as far as there is room."""
    rows: list[Row] = []
    if bench.session is None or not bench.strip:
        return rows
    if bench.strip != MASTER:
        strip = bench.strip_value
        for parameter in bench.strip_parameters:
            if shows(strip, parameter.name, copies=len(parameter.choices) > 1):
                value = getattr(strip, parameter.name)
                rows.append(_value_row(bench, Fader(parameter.name), parameter, value, width))
        rows += _cleanup_rows(strip)
        rows += _comb_rows(bench)
    for place, processor in enumerate(bench.chain):
        rows.append(_insert_row(place, processor, place == bench.open_insert))
        if place == bench.open_insert:
            for parameter in bench.parameters(processor):
                value = getattr(processor, parameter.name)
                rows.append(_value_row(bench, Value(place, parameter.name), parameter, value, width))
    if not bench.chain:
        hint = f"{actions.key('chain.insert')} inserts a processor"
        hint += "" if bench.strip == MASTER else f", {actions.key('chain.eq')} an equaliser"
        rows.append(Row((Cell(f"  {hint}", "dim"),), choice=False))
    return rows


def shows(strip: Strip, name: str, *, copies: bool = False) -> bool:
    """Whether a value of a strip says anything: a share where it is added, a phase where there is EQ.

    A budget does where there is a change to be spent on, a treated copy where there are `copies` to choose from.
    """
    if name == "treated":
        return copies or strip.treated != ""
    if name == "blend":
        return strip.mode == "parallel"
    if name == "budget":
        return not strip.neutral or strip.budget != 1.0
    equalised = any(isinstance(processor, EqualiserBand) for processor in strip.chain)
    return name != "eq_phase" or equalised or strip.eq_phase != "minimum"


def _comb_rows(bench: Bench) -> list[Row]:
    """A warning where what is added in parallel cancels more than it adds."""
    if bench.located is None:
        return []
    info = bench.located.info
    comb = comb_of(bench.strip_value, info.sample_rate, info.speakers)
    return [Row((Cell(f"  {comb.words}", "warn"),), choice=False)] if comb is not None and comb.warned else []


def _insert_row(place: int, processor: Processor, is_open: bool) -> Row:
    said = words.of_processor(processor).removesuffix(" (bypassed)")
    title = parameters.title_of(type(processor))
    rest = said.removeprefix(title).strip()
    state = "bypassed" if processor.bypass else "neutral" if processor.neutral else ""
    cells = (
        Cell("  "),
        Cell(f"{place + 1} ", "dim", 2),
        Cell(title, "dim" if state else "name", VALUE_AT - 4),
        Cell(state, "warn" if processor.bypass else "dim"),
        Cell("  " if state else ""),
        Cell("" if is_open else rest, "dim" if state else ""),
    )
    return Row(cells, key=Insert(place))


def _cleanup_rows(strip: Strip) -> list[Row]:
    """What is done to what the chain hears, before it."""
    if not strip.cleanup:
        return []
    said = words.of_cleanup(strip.cleanup)
    return [Row((Cell(f"  {said}; {actions.key('panel.cleanup')} edits", "dim"),), choice=False)]


def _value_row(bench: Bench, key: RowKey, parameter: Parameter, value: Any, width: int) -> Row:
    return value_row(key, parameter, value, width, chosen=key == bench.row, sample_rate=bench.sample_rate)


def value_row(
    key: object, parameter: Parameter, value: Any, width: int, *, chosen: bool, sample_rate: int, cells: int = 0
) -> Row:
    """A value with its title and what it can be; `cells` are those of the value, where the usual ones are too few."""
    indent = "  " if isinstance(key, Fader) else "    "
    cells = cells or VALUE_CELLS
    wordy = parameter.kind in parameters.WRITTEN  # a path is shown whole
    text = parameters.shown(parameter, value, padded=not wordy).removeprefix(f"{parameter.title} ")
    found = [
        Cell(indent),
        Cell(parameter.title, "", VALUE_AT - len(indent)),
        Cell(text.ljust(cells), "" if value == parameter.default else "value", 0 if wordy else cells),
    ]
    possible = parameters.possible(parameter, sample_rate)
    if chosen:
        about = f"; {parameter.about}" if parameter.about not in ("", possible) and width >= RANGES_FROM_CELLS else ""
        found.append(Cell(f" {possible}{about}", "dim"))
    elif width >= RANGES_FROM_CELLS:
        found.append(Cell(f" {possible}", "dim", RANGE_CELLS))
    return Row(tuple(found), key=key)
