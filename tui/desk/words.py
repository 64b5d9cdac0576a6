"""What the panes of the desk say, as rows and pieces of text. Pure functions of the desk's state and a width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.session import parameters, words
from core.session.document import RESIDUAL, Session, Strip
from core.session.parameters import Parameter
from core.session.processors import Processor
from tui import actions
from tui.desk.bench import MASTER, Bench, Fader, Insert, RowKey, Value
from tui.desk.timeline import clock
from tui.jobs import Jobs
from tui.widgets.line import Piece
from tui.widgets.rows import Cell, Row

NARROW = 110
"""Columns from which lanes and chain stand side by side."""


def badge(bench: Bench) -> Piece:
    """Whether the repair nulls: the calm centre of the header."""
    session = bench.session
    if session is None:
        return "", ""
    if session.untouched:
        return "identical", "$success bold"
    if bench.needs_stems:
        return "needs stems", "$warning"
    if bench.check is None:
        return ("checking" if bench.checking else "not checked"), "$foreground 60%"
    if bench.check.passed:
        return "rest exact", "$success bold"
    return f"rest {bench.check.rest_dbfs:.1f} dBFS", "$error bold"


def saved(bench: Bench) -> Piece:
    """Whether the session file holds what is on the screen."""
    if bench.editor is None:
        return "", ""
    if bench.read_only:
        return "read only", "$warning"
    if bench.untouched:
        return "new", "$foreground 60%"
    return ("saved", "$foreground 60%") if bench.editor.saved else ("not saved", "$accent")


def header(bench: Bench, width: int, device: str) -> tuple[list[Piece], list[Piece]]:
    """Left and right end of the header; what matters least goes first when there is little room."""
    if bench.located is None:
        return [(" unbake", "bold")], [("o opens a master or a session ", "$foreground 60%")]
    info = bench.located.info
    name = bench.located.source.name
    layout = {1: "mono", 2: "stereo"}.get(info.channels, f"{info.channels} channels")
    form = f"{info.subtype.replace('_', ' ')} {info.sample_rate / 1000:g} kHz {layout}"
    length = clock(info.frames, info.sample_rate, thousandths=width >= NARROW)
    right = [piece for piece in (badge(bench), saved(bench)) if piece[0]]
    optional: list[Piece] = [
        (length, ""),
        (form, "$foreground 60%"),
        (loudness(bench), ""),
        (device, "$foreground 60%"),
    ]
    room = width - 2 - sum(len(text) + 3 for text, _ in right) - min(len(name), max(12, width // 3))
    kept: list[Piece] = []
    for text, style in optional:
        if text and len(text) + 3 <= room:
            kept.append((f"   {text}", style))
            room -= len(text) + 3
    name = name if len(name) <= max(12, width // 3) + max(0, room) else name[: max(11, width // 3 - 1)] + "…"
    return [(f" {name}", "bold"), *kept], [
        (f"{text}   " if number < len(right) - 1 else f"{text} ", style) for number, (text, style) in enumerate(right)
    ]


def loudness(bench: Bench) -> str:
    """LUFS-I, dBTP and LRA of the source."""
    report = bench.report
    if report is None:
        return "measuring" if bench.located is not None else ""
    figures = ((report.lufs_i, "LUFS"), (report.true_peak_dbtp, "dBTP"), (report.lra_lu, "LU"))
    return "  ".join(f"{value:.1f} {unit}" for value, unit in figures if value is not None) or "silence"


def lanes_title(bench: Bench, width: int) -> list[Piece]:
    """The line above the lanes."""
    session = bench.session
    if session is None:
        return [(" stems", "$secondary bold")]
    about = f" {session.separation.model}"
    if not bench.stems:
        about += ", not separated yet: S separates"
    elif bench.stem_sum_dbfs is not None:
        about += f", stems + residual null to {bench.stem_sum_dbfs:.0f} dBFS"
    else:
        about += ", stems + residual are the source"
    return [(" stems", "$secondary bold"), (about[: max(0, width - 7)], "$foreground 60%")]


def lane_rows(bench: Bench, width: int, wave: Callable[[str, int], str]) -> list[Row]:
    """One row a strip. `wave` draws the small waveform of a strip in so many cells, or gives blanks."""
    session = bench.session
    if session is None:
        return []
    rows: list[Row] = []
    small = 0 if width < 60 else min(28, width // 4)
    for number, name in enumerate(bench.names):
        chosen = name == bench.strip
        label = "0" if name == MASTER else str(number + 1) if number < 9 else " "
        mark = Cell("▸" if chosen else " ", "accent", 2)
        head = (mark, Cell(label, "dim", 2), Cell(name, "name", 10))
        waves = (Cell(wave(name, small), "dim" if name == RESIDUAL else "", small), Cell(" ")) if small else ()
        if name == MASTER:
            said = "; ".join(words.of_processor(processor) for processor in session.master) or "no processors"
            fader = (Cell("", "", 18),)
            state = Cell(said, "" if session.master else "dim")
        else:
            strip = session.strips.get(name, Strip())
            fader = _fader(strip)
            state = _state(strip)
        rows.append(Row((*head, *waves, *fader, state), key=name))
    return rows


def _fader(strip: Strip) -> tuple[Cell, ...]:
    gain = Cell(f"{strip.gain_db:+.1f} dB" if strip.gain_db else "0.0 dB", "value" if strip.gain_db else "dim", -9)
    polarity = Cell(" Ø" if strip.polarity == -1 else " ·", "warn" if strip.polarity == -1 else "dim", 3)
    mode = {"replace": "", "parallel": f"{strip.blend:.0%}", "cancel": ""}[strip.mode]
    return gain, polarity, Cell(mode, "accent", 5), Cell(" ")


def _state(strip: Strip) -> Cell:
    if strip.neutral:
        idle = ": all bypassed" if strip.chain else ""
        return Cell(f"neutral{idle}", "dim")
    if strip.mode == "cancel":
        return Cell("cancelled", "warn")
    count = sum(1 for processor in strip.chain if processor.active)
    chain = words.of_processor(next(p for p in strip.chain if p.active)) if count == 1 else f"{count} inserts"
    return Cell(f"changed  {chain}" if count else "changed", "accent")


def chain_title(bench: Bench, width: int) -> list[Piece]:
    """The line above the chain."""
    if bench.session is None or not bench.strip:
        return [(" chain", "$secondary bold")]
    if bench.strip == MASTER:
        return [(" master stage", "$secondary bold"), ("  after the sum, before the file", "$foreground 60%")]
    strip = bench.strip_value
    said = f"  {strip.mode}  {'neutral' if strip.neutral else 'changed'}"
    return [(f" {bench.strip}", "$secondary bold"), (said[: max(0, width - 2 - len(bench.strip))], "$foreground 60%")]


def chain_rows(bench: Bench, width: int) -> list[Row]:
    """The fader's values, then every processor, the open one with its parameters below it."""
    rows: list[Row] = []
    if bench.session is None or not bench.strip:
        return rows
    if bench.strip != MASTER:
        strip = bench.strip_value
        for parameter in parameters.parameters_of(Strip):
            if parameter.name == "blend" and strip.mode != "parallel":
                continue
            rows.append(
                _value_row(
                    Fader(parameter.name), parameter, getattr(strip, parameter.name), "  ", width, bench.sample_rate
                )
            )
    for place, processor in enumerate(bench.chain):
        rows.append(_insert_row(place, processor, place == bench.open_insert))
        if place == bench.open_insert:
            rows += [
                _value_row(
                    Value(place, parameter.name),
                    parameter,
                    getattr(processor, parameter.name),
                    "      ",
                    width,
                    bench.sample_rate,
                )
                for parameter in parameters.parameters_of(type(processor))
                if parameter.name != "bypass"
            ]
    if not bench.chain:
        rows.append(Row((Cell("  no processors: i inserts one, e an equaliser", "dim"),), choice=False))
    return rows


def _insert_row(place: int, processor: Processor, is_open: bool) -> Row:
    said = words.of_processor(processor).removesuffix(" (bypassed)")
    title = parameters.title_of(type(processor))
    rest = said.removeprefix(title).strip()
    state = "bypassed" if processor.bypass else "neutral" if processor.neutral else ""
    style = "dim" if state else "name"
    return Row(
        (
            Cell(f"{place + 1:>3} ", "dim"),
            Cell(title, style, 11),
            Cell("" if is_open else f"{rest}  ", "dim" if state else ""),
            Cell(state, "warn" if processor.bypass else "dim"),
        ),
        key=Insert(place),
    )


def _value_row(key: RowKey, parameter: Parameter, value: Any, indent: str, width: int, sample_rate: int) -> Row:
    default = value == parameter.default
    text = parameters.shown(parameter, value).removeprefix(f"{parameter.title} ")
    cells = [
        Cell(indent),
        Cell(parameter.title, "", 12),
        Cell(text, "" if default else "value", 12),
    ]
    if width >= 44:
        cells.append(Cell(parameters.possible(parameter, sample_rate), "dim", 24 if width >= 70 else 0))
    if width >= 70:
        cells.append(Cell(parameter.about, "dim"))
    return Row(tuple(cells), key=key)


def jobs_line(jobs: Jobs | None, said: str, width: int) -> list[Piece]:
    """What runs, how far, how fast, how long still; or what was said last."""
    job = None if jobs is None else jobs.shown
    if jobs is None or job is None:
        return [(f" {said}"[:width], "$foreground 60%")]
    pieces: list[Piece] = [(f" {job.title}", "bold"), (f"  {job.stage}" if job.stage != job.title else "", "")]
    if job.share is not None:
        cells = 10 if width < NARROW else 24
        full = round(job.share * cells)
        pieces += [("  ", ""), ("█" * full, "$primary"), ("░" * (cells - full), "$foreground 40%")]
        pieces.append((f" {job.share:.0%}", ""))
    if job.speed is not None:
        pieces.append((f"  {job.speed:.1f}x", "$foreground 60%"))
    if job.seconds_left is not None:
        pieces.append((f"  {clock(round(job.seconds_left), 1, thousandths=False)} left", "$foreground 60%"))
    if job.stopping:
        pieces.append(("  stopping (again: at once)", "$warning"))
    if jobs.waiting:
        pieces.append((f"  +{jobs.waiting} waiting", "$foreground 60%"))
    if not job.stopping:
        pieces.append(("  Esc stops", "$foreground 60%"))
    return pieces


def footer(pane: str, keymap: actions.Keymap, width: int) -> list[Piece]:
    """The keys that matter in a pane, as many as fit; palette and help always do."""
    shown = actions.in_footer(pane)
    last = [action for action in shown if action.id in ("app.palette", "app.help")]
    room = width - sum(_key_width(action, keymap) for action in last)
    kept: list[actions.Action] = []
    for action in shown:
        if action not in last and _key_width(action, keymap) <= room:
            kept.append(action)
            room -= _key_width(action, keymap)
    pieces: list[Piece] = []
    for action in (*kept, *last):
        pieces += [(f" {_key(action, keymap)}", "$accent bold"), (f" {action.title} ", "$foreground 70%")]
    return pieces


def _key(action: actions.Action, keymap: actions.Keymap) -> str:
    return actions.shown(actions.keys_of(action, keymap)[0])


def _key_width(action: actions.Action, keymap: actions.Keymap) -> int:
    return len(_key(action, keymap)) + len(action.title) + 3


def findings(bench: Bench) -> list[Row]:
    """What is changed and what the null says of it, for where there is room below the lanes."""
    session = bench.session
    if session is None:
        return []
    rows = [Row((Cell(" what changed", "head"),), choice=False)]
    said = words.of_session(session) or ["nothing: every sample is the source's"]
    rows += [
        Row((Cell(f"   {text}", "" if session.changed or session.master else "dim"),), choice=False) for text in said
    ]
    check = bench.check
    if check is not None:
        rows += [Row(()), Row((Cell(" null", "head"),), choice=False)]
        rest = "nothing at all" if check.rest_dbfs is None else f"{check.rest_dbfs:.1f} dBFS"
        rows.append(_finding("rest", f"{rest} beside source + changes", "good" if check.passed else "bad"))
        if check.change.peak_dbfs is not None:
            change = f"peak {check.change.peak_dbfs:.1f} dBFS, rms {check.change.rms_dbfs:.1f} dBFS"
            rows.append(_finding("change", change, ""))
        if check.overs:
            rows.append(_finding("overs", f"{check.overs} samples over full scale: R asks what to do", "warn"))
    certificate = bench.certificate
    if certificate is not None:
        rows += [Row(()), Row((Cell(" rendered", "head"),), choice=False)]
        verdict = "identical" if certificate.certificate.identical else "rest exact" if certificate.passed else "FAILS"
        rows.append(_finding(verdict, certificate.output, "good" if certificate.passed else "bad"))
    return [row._replace(choice=False) for row in rows]


def _finding(name: str, text: str, style: str) -> Row:
    return Row((Cell("   "), Cell(name, "dim", 11), Cell(text, style)), choice=False)


def summary(session: Session) -> str:
    """What is changed, in one line."""
    return "  ".join(words.of_session(session)) or "nothing is changed"
