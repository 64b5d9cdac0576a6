"""The lanes as rows of text, a strip each: name, small waveform, room for its meter, fader, and what is done to it.

Pure functions of the desk's state and a width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len

from core.session import parameters, words
from core.session.document import RESIDUAL, Session, Strip
from core.session.parameters import parameter_of
from tui import actions
from tui.desk.bench import MASTER, Bench
from tui.paths import short
from tui.widgets.rows import Cell, Row

Wave = Callable[[str, int, int], Sequence[str]]
"""Draws the waveform of a strip in so many cells and lines, from the top."""

HEAD_CELLS = 4
"""The sign of the cursor and the number."""
FADER_CELLS = 12
WAVE_FROM_CELLS = 24
"""With less room than this beside the fader there is no waveform."""
LONGEST_WAVE = 72


class Columns(NamedTuple):
    """Cells of what is in a lane; `meter_at` is where the meter begins."""

    name: int
    wave: int
    meter: int

    @property
    def meter_at(self) -> int:
        """Cells before the meter."""
        return HEAD_CELLS + self.name + 1 + (self.wave + 1 if self.wave else 0)

    @property
    def fader_at(self) -> int:
        """Cells before the fader."""
        return self.meter_at + self.meter + 1

    @classmethod
    def within(cls, names: Sequence[str], width: int) -> Columns:
        """Names whole as far as there is room, then the waveform a little under half of what is left."""
        roomy = width >= 100
        name = min(max((cell_len(each) for each in names), default=0), 18 if roomy else 12)
        meter = 12 if roomy else 8
        left = width - HEAD_CELLS - max(name, 8) - meter - FADER_CELLS - 3
        wave = 0 if left < WAVE_FROM_CELLS else min(LONGEST_WAVE, left * 55 // 100 if roomy else left * 45 // 100)
        return cls(max(name, 8), wave, meter)


def lane_rows(bench: Bench, width: int, wave: Wave, lines: int = 1) -> list[Row]:
    """One row a strip, of so many lines; the second says what there was no room for in the first."""
    session = bench.session
    if session is None:
        return []
    columns = Columns.within(bench.names, width)
    return [_row(bench, session, number, name, columns, wave, lines) for number, name in enumerate(bench.names)]


def _row(bench: Bench, session: Session, number: int, name: str, columns: Columns, wave: Wave, lines: int) -> Row:
    label = "0" if name == MASTER else str(number + 1) if number < 9 else ""
    style = "dim" if name == RESIDUAL else "wave"
    waves = [
        (Cell(text, style, columns.wave), Cell(" ")) if columns.wave else ()
        for text in _waves(name, columns, wave, lines)
    ]
    meter = Cell("", "", columns.meter + 1)
    if name == MASTER:
        fader, state, more = (Cell("", "", FADER_CELLS),), *_master(session)
    else:
        strip = session.strips.get(name, Strip())
        fader, state, more = _fader(strip), state_of(strip, short=lines == 1), detail_of(strip)
        if name in bench.solo | bench.mute:
            sign = "S" * (name in bench.solo) + "M" * (name in bench.mute)
            state = Cell(f"{sign}  {state.text}", "warn")
    head = (Cell("  "), Cell(label, "dim", 2), Cell(name, "" if name != RESIDUAL else "dim", columns.name), Cell(" "))
    beside = Cell("", "", HEAD_CELLS + columns.name + 1)
    below = [(beside, *waves[line], meter) for line in range(1, lines)]
    if below:
        below[0] = (*below[0], Cell("", "", FADER_CELLS), Cell(more, "dim"))
    return Row((*head, *waves[0], meter, *fader, state), key=name, below=tuple(below))


def _waves(name: str, columns: Columns, wave: Wave, lines: int) -> Sequence[str]:
    return wave(name, columns.wave, lines) if columns.wave else ("",) * lines


def _master(session: Session) -> tuple[Cell, str]:
    said = [words.of_processor(processor) for processor in session.master]
    if not said:
        return Cell("no processors", "dim"), ""
    active = any(processor.active for processor in session.master)
    return Cell(said[0] if len(said) == 1 else f"{said[0]}, {len(said) - 1} more", "accent" if active else "dim"), (
        "; ".join(said[1:])
    )


def _fader(strip: Strip) -> tuple[Cell, ...]:
    gain = Cell(
        parameters.shown(parameter_of(Strip, "gain_db"), strip.gain_db), "value" if strip.gain_db else "dim", -8
    )
    inverted = strip.polarity == -1
    return gain, Cell(" Ø" if inverted else " ·", "warn" if inverted else "dim", 3), Cell(" ")


def state_of(strip: Strip, *, short: bool) -> Cell:
    """Whether a strip is changed, and how; `short` names its processors too."""
    if strip.neutral:
        bypassed = strip.chain and all(processor.bypass for processor in strip.chain)
        return Cell("neutral, bypassed" if bypassed else "neutral", "dim")
    if strip.mode == "cancel":
        return Cell("cancelled", "warn")
    state = "changed"
    if strip.mode == "parallel":
        state = f"parallel {parameters.shown(parameter_of(Strip, 'blend'), strip.blend, padded=False)}"
    active = [processor for processor in (*strip.cleanup, *strip.chain) if processor.active]
    if not short or not active:
        said = ""
    elif len(active) == 1:
        said = words.of_processor(active[0])
    else:
        said = ", ".join(parameters.title_of(type(processor)) for processor in active)
    return Cell(f"{state}  {said}".rstrip(), "accent")


def detail_of(strip: Strip) -> str:
    """Balance and processors of a strip, in full."""
    parts = [words.of_value(strip, "pan", titled=True)] if strip.pan else []
    return "; ".join([*parts, *(words.of_processor(processor) for processor in (*strip.cleanup, *strip.chain))])


def welcome(recent: Sequence[Path]) -> list[Row]:
    """What stands in place of the lanes while nothing is open."""
    keys = (
        ("file.open", "opens a master or a session"),
        ("app.help", "shows every key"),
        ("app.palette", "finds any action by its name"),
        ("panel.doctor", "looks at what this machine has"),
        ("app.leave", "leaves"),
    )
    rows = [
        Row(()),
        Row((Cell("    "), Cell("unbake", "head"))),
        Row((Cell("    "), Cell("repairs one stem of a finished master, and proves that nothing else moved"))),
        Row(()),
        *(Row((Cell("    "), Cell(actions.key(each), "accent", 4), Cell(about))) for each, about in keys),
    ]
    if recent:
        rows += [Row(()), Row((Cell("    "), Cell("lately", "head")))]
        rows += [
            Row((Cell("    "), Cell(short(path.name), "", 40), Cell("  "), Cell(short(path.parent), "dim")))
            for path in recent
        ]
    return [row._replace(choice=False) for row in rows]
