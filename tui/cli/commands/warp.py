"""`unbake warp`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from core.errors import UnbakeError, os_error
from core.jobs.maps import MapRequest
from core.jobs.warp import How, WarpReport, warp
from core.warp.engines.modes import Options
from tui.cli.terminal import drive, duration, emit, level, table


def run(options: Namespace) -> int:
    """One file, or several that belong together, along one time map."""
    how = How(
        mode=options.mode,
        guide=None if options.guide is None else str(options.guide),
        subtype=options.subtype or "FLOAT",
        overs=options.overs,
        options=Options(cents=options.cents, formants=options.formants, tail=options.tail),
    )
    operation = warp(
        options.files, options.output, map_request(options), how, save_map=options.save_map, force=options.force
    )
    report = drive(operation, options)
    emit(options, report, table(_rows(report)))
    return 0


def map_request(options: Namespace) -> MapRequest:
    """How the map is to be made."""
    return MapRequest(
        path=None if options.map is None else str(options.map),
        anchors=options.anchors,
        follow=None if options.follow is None else str(options.follow),
        to_bpm=options.to_bpm,
        from_bpm=options.from_bpm,
        straighten=None if options.straighten is None else options.straighten / 100.0,
        swing=options.swing,
        taps_seconds=() if options.taps is None else _taps(options.taps),
        beats_from=None if options.beats_from is None else str(options.beats_from),
        smooth=options.smooth,
    )


def _taps(path: Path) -> tuple[float, ...]:
    """Seconds, one a line or with white space between."""
    try:
        return tuple(float(word) for word in path.read_text().split())
    except OSError as error:
        raise os_error(error, path) from error
    except ValueError as error:
        raise UnbakeError("is not a list of seconds", where=path, remedy="one tap a line, such as 12.250") from error


def _rows(report: WarpReport) -> list[tuple[str, ...]]:
    rate = report.sample_rate
    before, after = duration(report.source_frames / rate), duration(report.frames / rate)
    speed = f"{report.fastest:.4f}"
    if report.slowest < report.fastest:
        speed = f"{report.slowest:.4f} to {speed}"
    rows: list[tuple[str, ...]] = [("written", warped.output) for warped in report.files]
    rows += [
        ("length", f"{before} became {after} ({report.source_frames} frames, {report.frames})"),
        ("speed", speed),
        ("mode", f"{report.mode}, guided by {report.guide}"),
    ]
    if report.sum is not None:
        sums = (report.sum.before_dbfs, report.sum.after_dbfs)
        told = ["nothing" if value is None else level(value, "dBFS") for value in sums]
        rows.append(("null", f"guide minus the others: {told[0]} before, {told[1]} after"))
    drifts = [warped.drift for warped in report.files]
    worst = max((drift.worst_frames for drift in drifts if drift.worst_frames is not None), default=None)
    if worst is not None:
        places = sum(drift.probes for drift in drifts)
        rows.append(("attacks", f"{worst:.2f} frames off the map at most, over {places} places"))
    rows.append(("took", f"{report.seconds:.1f} s, {report.realtime_factor:.1f}x real time"))
    return rows
