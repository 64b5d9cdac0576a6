"""What is changed and what the null says of it, for where there is room below the lanes.

Pure functions of the desk's state and a width.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from core.handover.certificate import Certificate
from core.recombine.check import ChangeBand, SessionCheck, octaves
from core.session import words
from core.session.cleaning import CleanupStep
from core.session.document import Session
from tui import actions
from tui.desk.bench import MASTER, Bench
from tui.panels.info import level
from tui.panels.residuals import most_of
from tui.widgets.rows import Cell, Row, fit

ABREAST_FROM_CELLS = 96
"""From so many on, what is changed and what the null says stand side by side."""
NAME_CELLS = 12
FLOOR_DB = -120.0
LONGEST_BAR = 60
BAND_CELLS = 20
LEVEL_CELLS = 8
SOURCE, CHANGE = "─", "━"

Line = tuple[Cell, ...]


def findings(bench: Bench, width: int, height: int) -> list[Row]:
    """Rows that are no choices, as many as there is room for; no heading comes without what it is about."""
    session = bench.session
    if session is None:
        return []
    abreast = width >= ABREAST_FROM_CELLS
    half = width // 2 - 2 if abreast else width
    changes, null, bands = _changes(session), _null(bench), _bands(bench, half)
    if abreast:
        pairs = zip_longest(_within(changes, height), _within([*null, *bands], height), fillvalue=())
        lines = [(*_filled(one, half), Cell("    "), *other) for one, other in pairs]
    else:
        lines = _within([*null, (), *changes, *bands], height)
    return [Row(line, choice=False) for line in lines]


def _within(lines: list[Line], height: int) -> list[Line]:
    kept = lines[:height]
    while kept and (not kept[-1] or kept[-1][0].style == "head"):
        kept.pop()
    return kept


def _filled(line: Line, width: int) -> Line:
    """The cells, the last one cut or padded so that all of them are so wide."""
    if not line:
        return (Cell("", "", width),)
    used = sum(len(fit(cell.text, cell.width)) for cell in line[:-1])
    return (*line[:-1], line[-1]._replace(width=max(1, width - used)))


def _changes(session: Session) -> list[Line]:
    said = [(name, words.of_strip(session.strips[name]).split("; ")) for name in session.changed]
    if session.cleanup:
        said.insert(0, ("clean-up", [f"{words.of_processor(step)}{_heard_by(step)}" for step in session.cleanup]))
    if not session.warp.identity:
        said.append(("warp", [words.of_warp(session).removeprefix("warp: ")]))
    if session.master:
        said.append((MASTER, [words.of_processor(processor) for processor in session.master]))
    if not said:
        return [_head("what is changed"), _line("nothing", "every sample is the source's")]
    lines = [_line(name if not place else "", text) for name, parts in said for place, text in enumerate(parts)]
    return [_head("what is changed"), *lines]


def _heard_by(step: CleanupStep) -> str:
    return "" if step.apply == "master" else ", networks only"


def _null(bench: Bench) -> list[Line]:
    check, certificate = bench.check, bench.certificate
    lines = [_head("null")]
    if bench.sounding is None or bench.sounding.untouched:
        lines.append(_line("identical", "a render is the source, bit for bit", "good"))
    elif check is None:
        lines.append(_line("", missing(bench) or "being checked", "dim"))
    else:
        lines += _checked(check)
    return lines if certificate is None else [*lines, (), *_rendered(certificate)]


def missing(bench: Bench) -> str:
    """What a render needs that is not there yet, in words."""
    if bench.needs_cleanup:
        return "the clean-up is being carried out" if bench.cleaning else "the clean-up was not carried out yet"
    return "a changed strip has no stem yet" if bench.needs_stems else ""


def _checked(check: SessionCheck) -> list[Line]:
    exact = "exact to" if check.passed else "MOVED by"
    rest = "exact to the last bit" if check.rest_dbfs is None else f"{exact} {level(check.rest_dbfs, 'dBFS peak')}"
    lines = [_line("the rest", rest, "good" if check.passed else "bad")]
    if check.change.peak_dbfs is not None:
        change = f"peak {level(check.change.peak_dbfs, 'dBFS')}, rms {level(check.change.rms_dbfs, 'dBFS')}"
        lines.append(_line("the change", change))
    lines += [_line(f"  {strip.name}", f"{_peak(strip.peak_dbfs)}{most_of(strip)}") for strip in check.strips]
    if check.overs:
        lines.append(
            _line(
                "overs", f"{check.overs} samples over full scale: {actions.key('file.render')} asks what to do", "warn"
            )
        )
    return lines


def _bands(bench: Bench, width: int) -> list[Line]:
    if bench.check is None or not bench.check.bands:
        return []
    return [
        (),
        _head("bands: source and change ━, dBFS rms"),
        *(_band(each, width) for each in octaves(bench.check.bands)),
    ]


def _band(band: ChangeBand, width: int) -> Line:
    """An octave with its levels and a bar from -120 dBFS: heavy for the change, light as far as the source reaches."""
    levels = band.source_rms_dbfs, band.change_rms_dbfs
    figures = [Cell("-" if value is None else f"{value:.1f}", "", -LEVEL_CELLS) for value in levels]
    room = min(LONGEST_BAR, max(0, width - BAND_CELLS - LEVEL_CELLS * len(figures) - 4))
    source, change = (_bar_cells(value, room) for value in levels)
    bar = (Cell(CHANGE * change, "accent"), Cell(SOURCE * (source - change), "dim"))
    return (Cell(f"{_edge(band.low_hz)} - {_edge(band.high_hz)} Hz", "dim", -BAND_CELLS), *figures, Cell("  "), *bar)


def _edge(freq_hz: float) -> str:
    return f"{freq_hz:.0f}" if freq_hz < 1000.0 else f"{freq_hz / 1000.0:.1f}k"


def _bar_cells(level_db: float | None, room: int) -> int:
    return 0 if level_db is None else round(room * min(1.0, max(0.0, 1.0 - level_db / FLOOR_DB)))


def _peak(peak_dbfs: float | None) -> str:
    return "nothing: digital silence" if peak_dbfs is None else f"peak {level(peak_dbfs, 'dBFS')}"


def _rendered(certificate: Certificate) -> list[Line]:
    verdict = "identical" if certificate.certificate.identical else "rest exact" if certificate.passed else "FAILS"
    style = "good" if certificate.passed else "bad"
    return [_head("rendered"), _line(verdict, Path(certificate.output).name, style)]


def _head(text: str) -> Line:
    return (Cell(f" {text}", "head"),)


def _line(name: str, text: str, style: str = "") -> Line:
    return Cell("   "), Cell(name, "dim", NAME_CELLS), Cell(text, style)
