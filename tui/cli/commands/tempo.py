"""`unbake tempo`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from core.jobs.tempo import MIX, Wanted, find_tempo
from tui.cli.terminal import drive, duration, emit, table

if TYPE_CHECKING:
    from core.jobs.tempo import TempoReport

STRAIGHT = 1.05
"""Swing below this is none."""
UNSURE = 0.5


def run(options: Namespace) -> int:
    """Where the beats are; exit 0 also where there are none."""
    wanted = Wanted(meter=options.meter, bpm_range=options.bpm_range, half=options.half, double=options.double)
    operation = find_tempo(
        options.file,
        wanted,
        stems_from=options.stems_from,
        align=options.align,
        model=options.model,
        device=options.device,
    )
    found = drive(operation, options)
    emit(options, found, in_words(found))
    return 0


def in_words(report: TempoReport) -> str:
    """Tempo, beats, bars, and what else it might be."""
    if report.bpm is None:
        listened = " and ".join(report.tried)
        return f"no beats found: nothing repeats clearly enough (listened to {listened})"
    first, last = report.beats[0], report.beats[-1]
    rows = [
        ("tempo", f"{report.bpm:.3f} bpm, {_course(report)}"),
        ("beats", f"{len(report.beats)}, {duration(first.seconds)} to {duration(last.seconds)}"),
        ("bars", _bars(report)),
        ("heard in", f"{_reference(report)}; confidence {report.confidence:.0%}"),
    ]
    if report.swing is not None and report.swing >= STRAIGHT:
        rows.append(("swing", f"{report.swing:.2f} : 1"))
    others = [f"{each.bpm:.2f} ({each.support:.0%})" for each in report.candidates if not _same(each.bpm, report.bpm)]
    if others:
        rows.append(("also", f"{', '.join(others)}; this one {_support(report):.0%}"))
    return table(rows)


def _course(report: TempoReport) -> str:
    if report.steady or not report.course:
        return "steady" if report.steady else "not steady"
    tempi = [each.bpm for each in report.course]
    kind = {"drifts": "drifts", "free": "moves freely"}.get(report.moves, "varies")
    return f"{kind} between {min(tempi):.1f} and {max(tempi):.1f}"


def _bars(report: TempoReport) -> str:
    downbeat = next((beat for beat in report.beats if beat.beat == 1), None)
    if downbeat is None:
        return f"{report.meter} beats each; none begins"
    text = f"{report.meter} beats each, bar {downbeat.bar} at {duration(downbeat.seconds)}"
    return text + (f" (a guess: confidence {report.meter_confidence:.0%})" if report.meter_confidence < UNSURE else "")


def _reference(report: TempoReport) -> str:
    return "the mix" if report.reference == MIX else f"the stem {report.reference}"


def _support(report: TempoReport) -> float:
    return next((each.support for each in report.candidates if _same(each.bpm, report.bpm)), 0.0)


def _same(bpm: float, other: float | None) -> bool:
    return other is not None and abs(bpm / other - 1.0) < 1e-3
