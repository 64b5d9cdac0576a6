"""What a person can set on a strip or a processor: names, units, ranges, steps, and values in and out of words.

All of it is read from the classes themselves (`processors` says how a field states it), so that a processor that is
added there can be edited everywhere without a word here. Changing a session is `edits`.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import tomli_w
from msgspec import Meta, Struct

from core.errors import UnbakeError
from core.session import points, processors
from core.session.points import Points
from core.session.processors import HIGHEST_SHARE, Processor

Kind = Literal["number", "whole", "choice", "switch", "text", "table", "points"]
Value = float | int | str | bool | dict[str, Any] | Points

_KINDS: dict[type, Kind] = {float: "number", int: "whole", bool: "switch", tuple: "points"}
WRITTEN: tuple[Kind, ...] = ("text", "table", "points")
"""Kinds that are typed as a whole, and have no steps."""
_NUMBER = re.compile(r"([+-]?)\s*(\d+(?:[.,]\d*)?|[.,]\d+)\s*(.*)", re.DOTALL)
NOTHING = "none"
_COMMON = ("placement", "bypass")
_MULTIPLES = {"Hz": {"k": 1000, "khz": 1000}, "ms": {"s": 1000}}
_SWITCH = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


class Parameter(Struct, frozen=True):
    """One field that a person can set. Numbers are in the field's own unit, steps of a log scale in octaves."""

    name: str
    title: str
    kind: Kind
    unit: str
    low: float
    high: float
    default: Value
    """What a new one gets: the field's default, or where editing starts when it has none."""
    fine: float
    coarse: float
    scale: Literal["linear", "log"]
    choices: tuple[Value, ...]
    about: str
    decimals: int = 0
    """Decimals that `shown` gives at the least."""
    bare: bool = False
    """Whether it is said without its title among the words of its processor."""
    named: tuple[tuple[Value, str], ...] = ()
    sides: tuple[str, str] | None = None
    """What values below and above zero are called."""
    of_stems: bool = False
    """Whether it is the name of a stem, one of those that a session has."""


@cache
def parameters_of(kind: type[Struct]) -> tuple[Parameter, ...]:
    """Everything that can be set on a class of processor, or on `Strip`, in the order of its fields.

    What every processor (or every equaliser) has comes last, `bypass` at the very end.
    What is of another type (a strip's chain) is left out, and so are texts, tables and points that state no unit.
    Raises TypeError for a number without range, unit or steps, and for a required field without `start`.
    """
    found = [_parameter(kind, field) for field in msgspec.structs.fields(kind)]
    known = [parameter for parameter in found if parameter is not None]
    return tuple(sorted(known, key=lambda each: _COMMON.index(each.name) if each.name in _COMMON else -1))


def parameter_of(kind: type[Struct], name: str) -> Parameter:
    """One parameter by its field's name. Raises UnbakeError when there is none."""
    for parameter in parameters_of(kind):
        if parameter.name == name:
            return parameter
    known = ", ".join(parameter.name for parameter in parameters_of(kind))
    raise UnbakeError(f"the {title_of(kind)} has no {name}", remedy=f"it has {known}")


def _parameter(kind: type[Struct], field: msgspec.structs.FieldInfo) -> Parameter | None:
    base, metas = field.type, []
    if get_origin(base) is Annotated:
        base, *extras = get_args(base)
        metas = [extra for extra in extras if isinstance(extra, Meta)]
    what: Kind | None = "choice" if get_origin(base) is Literal else _KINDS.get(base)
    stated: dict[str, Any] = {key: value for meta in metas for key, value in (meta.extra or {}).items()}
    if what is None and "unit" in stated:
        what = "table" if get_origin(base) is dict else "text" if base is str else _KINDS.get(get_origin(base))
    if what is None:
        return None
    low = next((meta.ge for meta in metas if meta.ge is not None), None)
    high = next((meta.le for meta in metas if meta.le is not None), None)
    if what in ("number", "whole") and (low is None or high is None or not {"unit", "fine", "coarse"} <= set(stated)):
        raise TypeError(f"{kind.__name__}.{field.name} states no range, unit or steps")
    default = stated.get("start") if field.required else field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    if default is None:
        raise TypeError(f"{kind.__name__}.{field.name} states neither a default nor a start")
    fine, scale = stated.get("fine", 1), stated.get("scale", "linear")
    return Parameter(
        name=field.name,
        title=_said(metas, "title") or field.name.replace("_", " "),
        kind=what,
        unit=stated.get("unit", ""),
        low=0.0 if low is None else low,
        high=0.0 if high is None else high,
        default=default,
        fine=fine,
        coarse=stated.get("coarse", 1),
        scale=scale,
        choices=get_args(base) if what == "choice" else (),
        about=_said(metas, "description"),
        decimals=stated.get("decimals", 0 if scale == "log" else _decimals(fine, stated.get("unit", ""))),
        bare=stated.get("bare", False),
        named=tuple(stated.get("named", {}).items()),
        sides=stated.get("sides"),
        of_stems=stated.get("of_stems", False),
    )


def among(parameter: Parameter, stems: Sequence[str]) -> Parameter:
    """The name of a stem as a choice among stems that there are, or none."""
    return msgspec.structs.replace(parameter, kind="choice", choices=("", *stems))


def _said(metas: list[Meta], what: str) -> str:
    """The title or description nearest to the field: annotations of an alias come first."""
    return next((text for meta in reversed(metas) if (text := getattr(meta, what))), "")


def _decimals(fine: float, unit: str) -> int:
    exponent = Decimal(str(fine)).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent - (2 if unit == "%" else 0))


def new(kind: type[Processor], sample_rate: int) -> Processor:
    """A processor to start from: its defaults, so that it is neutral where it can be, and a frequency that is legal."""
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    starts = {parameter.name: parameter for parameter in parameters_of(kind) if parameter.name in required}
    return kind(**{name: _held(parameter, parameter.default, sample_rate) for name, parameter in starts.items()})


def text_needed(kind: type[Processor]) -> str | None:
    """The text without which a processor is nothing yet, such as the path of a plug-in; None for all others."""
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    texts = (parameter.name for parameter in parameters_of(kind) if parameter.kind == "text")
    return next((name for name in texts if name in required), None)


def strip_kinds() -> tuple[type[Processor], ...]:
    """What can be put into the chain of a strip, in the order in which it is offered."""
    return get_args(processors.StripProcessor)


def master_kinds() -> tuple[type[Processor], ...]:
    """What can be put into the master stage."""
    return get_args(processors.MasterProcessor)


def title_of(kind: type[Struct]) -> str:
    """`low shelf`."""
    return str(kind.__struct_config__.tag or kind.__name__.lower()).replace("_", " ")


def about_of(kind: type[Struct]) -> str:
    """The first sentence of what the class says of itself."""
    text = " ".join((kind.__doc__ or "").replace("`", "").split())
    return re.split(r"(?<=[.!?])\s(?=[A-Z])", text, maxsplit=1)[0]


def highest(parameter: Parameter, sample_rate: int) -> float:
    """The upper end of a number's range; of a frequency at most 0.49 of the sample rate (Hz)."""
    return min(parameter.high, HIGHEST_SHARE * sample_rate) if parameter.unit == "Hz" else parameter.high


def stepped(parameter: Parameter, value: Any, steps: int, *, coarse: bool = False, sample_rate: int) -> Value:
    """The value some steps up (or down, below zero) from `value`, held within the range.

    Numbers move along one grid of fine steps, a coarse step being several of them, so that the way back leads to the
    same number; one that lies between two points goes to the next one first. The grid of a log scale is made of the
    roundest numbers near it. A choice goes to the next or previous one and stays at the ends; a switch goes on or off.
    What is written as a whole has no steps.
    """
    if steps == 0 or parameter.kind in WRITTEN:
        return value
    if parameter.kind == "switch":
        return steps > 0
    if parameter.kind == "choice":
        place = parameter.choices.index(value) + steps
        return parameter.choices[min(max(place, 0), len(parameter.choices) - 1)]
    by = steps * (round(parameter.coarse / parameter.fine) if coarse else 1)
    point, nearest = _grid(parameter, value)
    # A number off the grid counts as the point behind it, seen in the direction of travel.
    if steps > 0:
        nearest += 1
        while point(nearest) > value:
            nearest -= 1
    else:
        nearest -= 1
        while point(nearest) < value:
            nearest += 1
    return _held(parameter, point(nearest + by), sample_rate)


def _held(parameter: Parameter, value: Any, sample_rate: int) -> Any:
    if parameter.kind not in ("number", "whole"):
        return value
    return _typed_as(parameter, min(max(value, parameter.low), highest(parameter, sample_rate)))


def _typed_as(parameter: Parameter, value: float) -> float | int:
    return int(value) if parameter.kind == "whole" else float(value)


def _grid(parameter: Parameter, value: float) -> tuple[Callable[[int], float], int]:
    """The grid of a number, as a function of the point's number, and the point nearest to `value`."""
    if parameter.scale == "log":
        return lambda number: _round_point(number, parameter.fine), round(math.log2(value) / parameter.fine)
    step = Decimal(str(parameter.fine))
    return lambda number: float(number * step), round(Decimal(value) / step)


@cache
def _round_point(number: int, octaves: float) -> float:
    """The point of a log grid: the number with the fewest digits less than half a step from the exact one."""
    exact = 2.0 ** (number * octaves)
    size = math.floor(math.log10(exact))
    for digits, grain in ((1, 1), (2, 1), (3, 5), (3, 1), (4, 5), (4, 1)):
        unit = Decimal(10) ** (size - digits + 1) * grain
        near = round(Decimal(exact) / unit) * unit
        if abs(math.log2(float(near) / exact)) < 0.5 * octaves:
            return float(near)
    return exact


def typed(parameter: Parameter, text: str, *, sample_rate: int) -> Value:
    """The value that a person wrote: `2.5k`, `250 Hz`, `-3db`, `1,5`, `50%`, `30 left`, the name of a choice.

    A bare number is in the unit that is shown, so 50 is 50% where there are percents. A name may be cut short as long
    as it is the only one that begins so. Raises UnbakeError that says what is possible, with range and unit.
    """
    if parameter.kind == "text":
        return next((known for known, name in parameter.named if name == text.strip()), text.strip())
    if parameter.kind == "table":
        return _table(parameter, text)
    if parameter.kind == "points":
        return points.read(text)
    said = " ".join(text.lower().replace("\N{MINUS SIGN}", "-").split())
    value = _SWITCH.get(said) if parameter.kind == "switch" else _named(parameter, said)
    if value is None and parameter.kind != "switch":
        number = _number(parameter, said)
        if parameter.kind == "choice":
            value = next((choice for choice in parameter.choices if choice == number), None)
        elif number is not None and parameter.low <= number <= highest(parameter, sample_rate):
            value = _typed_as(parameter, number) if parameter.kind == "number" or number == int(number) else None
    if value is None:
        raise UnbakeError(f"{parameter.title} must be {possible(parameter, sample_rate)}", where=text.strip() or None)
    return value


def possible(parameter: Parameter, sample_rate: int) -> str:
    """What a parameter can be, in words: `10 Hz to 21.609 kHz`, `flat or highpass`."""
    if parameter.kind == "switch":
        return "on or off"
    if parameter.kind in WRITTEN:
        return {"text": parameter.about, "table": "name=value, name=value"}.get(parameter.kind, points.HOW)
    if parameter.kind == "choice":
        words = [shown(parameter, choice) for choice in parameter.choices]
        return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    ends = (parameter.low, highest(parameter, sample_rate))
    low, high = (_figure(parameter, end, 0).removeprefix("Q ") for end in ends)
    return f"{'a whole number from ' if parameter.kind == 'whole' else ''}{low} to {high}"


def _table(parameter: Parameter, text: str) -> dict[str, Any]:
    """`mix=0.5, mode="warm"`: the inside of an inline table of TOML."""
    inside = "" if text.strip() == NOTHING else text
    try:
        value = tomllib.loads(f"value = {{{inside}}}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise UnbakeError(f"{parameter.title} must be {possible(parameter, 0)}", where=text.strip()) from error
    if not isinstance(value, dict) or not all(isinstance(each, (str, bool, int, float)) for each in value.values()):
        raise UnbakeError(f"{parameter.title} must be numbers, texts, true or false", where=text.strip())
    return value


def _toml(value: Any) -> str:
    return tomli_w.dumps({"value": value}).removeprefix("value = ").strip()


def _named(parameter: Parameter, said: str) -> Value | None:
    names = {name: value for value, name in parameter.named}
    known = dict(parameter.named)
    names |= {shown(parameter, choice): choice for choice in parameter.choices if choice not in known}
    fitting = [name for name in names if said and name.lower().startswith(said)]
    if said in names or len(fitting) == 1:
        return names[said if said in names else fitting[0]]
    return None


def _number(parameter: Parameter, said: str) -> float | None:
    """A number with or without its unit, in the field's own unit; None for anything else."""
    if parameter.unit == "Q":
        said = said.removeprefix("q").strip()
    side = None
    for name, direction in zip(parameter.sides or (), "-+", strict=False):
        for word in (name, name[0]):
            if said.startswith(word) or said.endswith(word):
                said, side = said.removeprefix(word).removesuffix(word).strip(), direction
    match = _NUMBER.fullmatch(said)
    factor = _factor(parameter.unit, match[3]) if match else None
    if match is None or factor is None or (side and match[1]):
        return None
    number = Decimal(match[2].replace(",", ".")) * factor
    return float(-number if "-" in (side, match[1]) and number else number)


def _factor(unit: str, said: str) -> Decimal | None:
    """What a number with the unit `said` is multiplied by to be in a field's own unit; None when it does not fit."""
    said = said.replace(" ", "")
    if said in _MULTIPLES.get(unit, {}):
        return Decimal(_MULTIPLES[unit][said])
    fits = said in ("", unit.lower()) or (len(said) > 1 and unit.lower().startswith(said))
    return (Decimal("0.01") if unit == "%" else Decimal(1)) if fits else None


def shown(parameter: Parameter, value: Any, *, padded: bool = True) -> str:
    """A value as engineers write it: `247 Hz`, `2.5 kHz`, `-4.8 dB`, `Q 0.90`, `24 dB/oct`, `30% left`, `flat`.

    `padded` keeps the zeros that a step may change, so that a figure stands still while it is nudged; without, a number
    is as short as it can be, a path is the name of its file, and points are only counted.
    """
    if parameter.kind == "switch":
        return "on" if value else "off"
    for known, name in parameter.named:
        if known == value:
            return name
    if parameter.kind == "text":
        return value if padded else PurePath(value).name
    if parameter.kind == "points":
        return points.written(value) if padded else points.counted(value)
    if parameter.kind == "table":
        return ", ".join(f"{name}={_toml(each)}" for name, each in value.items()) or NOTHING
    if isinstance(value, str):
        return value.replace("_", " ")
    return _figure(parameter, value, parameter.decimals if padded and parameter.kind != "choice" else 0)


def _figure(parameter: Parameter, value: float, decimals: int) -> str:
    unit = parameter.unit
    if unit == "Hz" and value >= 1000.0:
        return f"{_digits(value / 1000.0, 0)} kHz"
    figure = f"{_digits(value * 100.0, decimals)}%" if unit == "%" else _digits(value, decimals)
    if parameter.sides is not None:
        return figure.removeprefix("-") + (f" {parameter.sides[value > 0]}" if value else "")
    if unit == "dB" and value > 0.0 and parameter.low < 0.0 < parameter.high:
        figure = f"+{figure}"
    if unit == "Q":
        return f"Q {figure}"
    if unit == ":1":
        return f"{figure}:1"
    return figure if unit in ("", "%") else f"{figure} {unit}"


def _digits(number: float, decimals: int) -> str:
    """Up to six significant digits, at least `decimals` after the point."""
    text = f"{number:.6g}"
    if "e" in text:
        text = f"{number:.6f}".rstrip("0").rstrip(".")
    if float(text) == 0.0:
        text = "0"
    whole, _, rest = text.partition(".")
    rest = rest.ljust(decimals, "0")
    return f"{whole}.{rest}" if rest else whole
