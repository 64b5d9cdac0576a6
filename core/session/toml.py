"""TOML in and out of typed values, with errors that name the file, the key path and the line.

Sessions and presets are both read here, so that both complain in the same words.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import tomli_w

from core.errors import UnbakeError, os_error
from core.session.cleaning import Step, step_kinds
from core.session.processors import UNSAID, kinds

T = TypeVar("T")
Steps = tuple[str | int, ...]
"""A key path taken apart: ("strips", "bass", "chain", 1, "freq_hz")."""

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")
_UNSAID = {"bypass": False, **UNSAID}
_ELEMENT = re.compile(r"(\w+)(?:\[(\d+)\]|\.([^ ]+)) (is .+)", re.DOTALL)
"""A complaint of a struct's own about one element of a list or a table."""
_PAIR = re.compile(r"^( +)\[\n +([^\[\]\n]+),\n +([^\[\]\n]+),\n +\]", re.MULTILINE)
"""A list of two inside a list."""
_VERBATIM = ("rights", "parameters")
"""Tables with keys of the engineer's or of a plug-in, one of which may well be a bypass."""
UNKNOWN = "no such key"
NO_CHOICE = "not one of the values it can have"
_ERROR_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


def read_text(path: Path) -> str:
    """The text of a small file the engineer owns; UnbakeError when it can't be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise os_error(error, path) from error
    except UnicodeDecodeError as error:
        raise UnbakeError(f"not a text file (byte {error.start} is not UTF-8)", where=path) from error


def parse(text: str, where: str) -> dict[str, Any]:
    """The tables of a TOML text; UnbakeError with the line when it is not TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, and brackets without end, too
        raise UnbakeError(f"not valid TOML: {str(error).lower()}", where=where) from error


def dump(tables: dict[str, Any]) -> str:
    """Tables as TOML, leaving out None (TOML has no null), empty tables, and fields that say nothing by default."""
    return _PAIR.sub(r"\1[\2, \3]", tomli_w.dumps(_without_nothing(tables)))


def says_nothing(key: str, value: Any) -> bool:
    """Whether a field of a strip or a processor is one that is left out while it is at its default."""
    default = _UNSAID.get(key)
    return default is not None and (list(value) if isinstance(value, tuple) else value) == default


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if item is not None and not says_nothing(key, item)}
        kept = {key: item for key, item in kept.items() if item != {}}
        return {key: item if key in _VERBATIM else _without_nothing(item) for key, item in kept.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nothing(item) for item in value]
    return value


def steps_of(path: str) -> Steps:
    """`strips.bass.chain[1].freq_hz` as ("strips", "bass", "chain", 1, "freq_hz")."""
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise UnbakeError("not a key path such as strips.bass.chain[1].freq_hz", where=path)
        index, key = match.groups()
        steps.append(int(index) if index is not None else key)
        at = match.end()
    if not steps:
        raise UnbakeError("an empty key path")
    return tuple(steps)


def words_of(steps: Steps) -> str:
    """The opposite of `steps_of`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def line_of(text: str, steps: Steps) -> int | None:
    """The line (from 1) where a key path is set, or the nearest table or key around it; None for an empty path.

    tomllib keeps no positions, so headers and keys are found by their first words; lines inside multi-line strings
    can at worst point a few lines off, never fail.
    """
    table: Steps = ()
    counts: dict[Steps, int] = {}
    best: tuple[int, int] | None = None

    def consider(found: Steps, number: int) -> None:
        nonlocal best
        if found == steps[: len(found)] and (best is None or len(found) > best[0]):
            best = (len(found), number)

    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            names = _names(header[2])
            table = ()
            for position, name in enumerate(names):
                table = (*table, name)
                last = position == len(names) - 1
                if header[1] == "[[" and last:
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
            consider(table, number)
        elif key := _KEY.match(line):
            consider((*table, *_names(key[1])), number)
    return None if best is None else best[1]


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", dotted))


class Origin:
    """Where a tree of plain values came from, so that a complaint about one of them can say so."""

    def __init__(self, where: str, text: str | None = None) -> None:
        self.where = where
        self.text = text

    def fail(self, what: str, steps: Steps, remedy: str | None = None) -> NoReturn:
        """Raises the UnbakeError for the value at `steps`."""
        line = line_of(self.text, steps) if self.text is not None else None
        place = self.where if line is None else f"{self.where}, line {line}"
        key = words_of(steps)
        raise UnbakeError(f"{key}: {what}" if key else what, where=place, remedy=remedy)

    def convert(self, value: Any, kind: type[T], steps: Steps = ()) -> T:
        """`value` as a `kind`; UnbakeError naming file, line and key when it does not fit."""
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            match = _ERROR_PATH.match(str(error))
            assert match is not None
            path = (match["path"] or "").replace("[...]", "").removeprefix(".")  # which key of a table is not said
            inner = tuple(step for step in (steps_of(path) if path else ()) if step != "...")
            what, field = _plainly(match["what"])
            if element := _ELEMENT.match(what):
                step = element[3] if element[2] is None else int(element[2])
                what, inner = element[4], (*inner, element[1], step)
            found = _look_up(value, inner)
            if isinstance(found, float) and not math.isfinite(found):
                what = f"is {found}, not a number that can be used"
            elif what.startswith(NO_CHOICE):
                what = f"{found!r} is {NO_CHOICE}"
            elif field is None and found is not None and not isinstance(found, (dict, list)):
                what += f", but it is {found!r}"
            hint = _nearest(field, kind, value, inner) if what == UNKNOWN else None
            if what.endswith(NO_CHOICE):
                hint = f"it can be {', '.join(map(str, _choices(kind, value, inner)))}"
            self.fail(what, (*steps, *inner, *([field] if field else [])), hint)


def _plainly(what: str) -> tuple[str, str | None]:
    """msgspec's complaint in an engineer's words, and the field it is about when it names one."""
    if match := re.match(r"Object contains unknown field `(.+)`", what):
        return UNKNOWN, match[1]
    if match := re.match(r"Object missing required field `(.+)`", what):
        return "is missing", match[1]
    if re.match(r"[\w.]+ is .+", what):
        return what, None
    if match := re.match(r"Invalid (?:enum )?value (.+)", what):
        return NO_CHOICE, None
    if match := re.match(r"Expected `(.+?)` (>=|<=|>|<) (.+)", what):
        return f"must be {match[2]} {match[3]}", None
    if match := re.match(r"Expected `array` of length (\d+), got (\d+)", what):
        return f"must be a list of {match[1]}, not of {match[2]}", None
    if match := re.match(r"Expected `(.+?)`, got `(.+?)`", what):
        kinds = {"float": "a number", "int": "a whole number", "str": "text", "array": "a list", "object": "a table"}
        wanted = match[1].removesuffix(" | null")
        return f"must be {kinds.get(wanted, wanted)}", None
    return what, None


def _look_up(value: Any, steps: Steps) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _nearest(field: str | None, kind: type, value: Any, steps: Steps) -> str | None:
    """What may have been meant by an unknown key."""
    if field is None:
        return None
    struct = _owner(kind, _look_up(value, steps), steps)
    if struct is None:
        return None
    owner = (["type"] if struct.__struct_config__.tag_field else []) + list(struct.__struct_encode_fields__)
    near = difflib.get_close_matches(field, owner, n=1)
    return f"did you mean {near[0]}?" if near else f"known keys: {', '.join(owner)}"


def _choices(kind: Any, value: Any, steps: Steps) -> list[Any]:
    """The values that the key at `steps` can have, where they are a closed list."""
    if steps[-1] == "type":
        of_steps = kind == tuple[Step, ...] or "cleanup" in steps
        return list(step_kinds()) if of_steps else sorted(kinds())
    struct = _owner(kind, _look_up(value, steps[:-1]), steps[:-1])
    hint = get_type_hints(struct).get(str(steps[-1])) if struct is not None else None
    literals = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
    return [choice for literal in literals for choice in get_args(literal)]


def _owner(kind: Any, table: Any, steps: Steps) -> type[msgspec.Struct] | None:
    """The struct at `steps` inside `kind`, as far as that can be told."""
    known = {**kinds(), **step_kinds()}
    if isinstance(table, dict) and table.get("type") in known:
        return known[table["type"]]
    for step in steps:
        kind = _inner(kind, step)
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _inner(kind: Any, step: str | int) -> Any:
    """The type at one step inside another, None where that can't be told."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(step, int):
        parts = [part for part in get_args(kind) if part is not Ellipsis]
        return parts[0] if parts else None
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        return get_type_hints(kind).get(names.get(step, step))
    return None
