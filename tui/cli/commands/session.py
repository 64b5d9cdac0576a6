"""`unbake session new | show | set | bring | drop | warp | undo | redo | log`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from core.audio.speakers import default_speakers
from core.errors import UnbakeError
from core.jobs import bring as bringing
from core.jobs import sessions
from core.jobs.clean import CleanRequest, clean_session
from core.jobs.maps import MapRequest
from core.jobs.warp import warp_session
from core.measure.contained import DepthBand, Given
from core.session import blind, files, history, words
from core.session.blind import BlindTest
from core.session.document import Session
from core.strips.comb import warnings_of
from tui.cli.commands.warp import map_request
from tui.cli.terminal import drive, emit, table


def new(options: Namespace) -> int:
    """A session without an edit."""
    path, session = drive(
        sessions.create(
            options.file,
            options.output,
            model=options.model,
            stems_from=options.stems_from,
            align=options.align,
            force=options.force,
        ),
        options,
    )
    return _tell(options, str(path), session)


def show(options: Namespace) -> int:
    """What a session says."""
    return _tell(options, str(options.session), files.load(options.session))


def change(options: Namespace) -> int:
    """PATH=VALUE edits."""
    return _tell(options, str(options.session), sessions.set_values(options.session, options.values))


def bring(options: Namespace) -> int:
    """A file of the engineer's as a stem."""
    given = Given(options.delay, options.drift, options.polarity, options.gain)
    session, found = drive(
        bringing.bring(
            options.session,
            options.file,
            name=options.name,
            mode=options.mode,
            treated=options.treated,
            given=given,
        ),
        options,
    )
    brought = found.brought
    value = {
        "schema": 1,
        "session": str(options.session),
        "name": found.name,
        "path": brought.path,
        "delay_samples": brought.delay_samples,
        "drift_ppm": brought.drift_ppm,
        "polarity": brought.polarity,
        "gain_db": brought.gain_db,
        "correlation": found.correlation,
        "alone_db": found.alone_db,
        "depth_db": found.depth.depth_db,
        "bands": found.depth.bands,
        "treated": None if found.treated is None else found.treated[0],
        "mode": session.strips[found.name].mode if found.name in session.strips else "replace",
    }
    emit(options, value, "\n".join(_found_in_words(found, session)))
    return 0


def _found_in_words(found: bringing.Found, session: Session) -> list[str]:
    """What was found, what is made of it, and what that leaves."""
    brought, depth = found.brought, found.depth
    late_s = brought.delay_samples / session.source.sample_rate
    rows = [
        ("delay", f"{brought.delay_samples:.4f} frames ({late_s:+.6f} s); positive: the file is late"),
        ("clock", f"{brought.drift_ppm:+.5f} ppm"),
        ("polarity", "as the master" if brought.polarity == 1 else "inverted"),
        ("gain", f"{brought.gain_db:+.4f} dB, from the file to the master"),
        ("correlation", f"{found.correlation:+.4f}, with the whole master"),
        ("master", f"{_change(depth.depth_db)} with the stem subtracted"),
        ("the stem", f"{_change(found.alone_db)} where it stands alone (estimate)"),
    ]
    deepest = min((band for band in depth.bands if band.depth_db is not None), key=_depth, default=None)
    if deepest is not None:
        where = f"{_change(deepest.depth_db)} from {deepest.low_hz:.0f} to {deepest.high_hz:.0f} Hz"
        rows.append(("most", where))
    strip = session.strips.get(found.name)
    said = [f"{found.name}: {Path(brought.path).name} lies in the master like this:", table(rows)]
    said.append(f"strip {found.name}: {'neutral' if strip is None else words.of_strip(strip)}")
    return said


def _depth(band: DepthBand) -> float:
    return band.depth_db or 0.0


def _change(depth_db: float | None) -> str:
    return "nothing is left" if depth_db is None else f"{depth_db:+.2f} dB"


def drop(options: Namespace) -> int:
    """A brought stem out of a session again."""
    return _tell(options, str(options.session), bringing.drop(options.session, options.name))


def warp(options: Namespace) -> int:
    """A time map for a session, or none."""
    request = map_request(options)
    if options.none and request != MapRequest():
        raise UnbakeError("--none takes the time map out", remedy="leave out --none, or what says which one")
    operation = warp_session(options.session, None if options.none else request)
    return _tell(options, str(options.session), drive(operation, options))


def clean(options: Namespace) -> int:
    """A clean-up for a session or one of its strips, or none."""
    request = CleanRequest(
        steps=options.steps, preset=options.preset, values=tuple(options.values), device=options.device
    )
    if options.none and (request != CleanRequest(device=options.device) or options.apply):
        raise UnbakeError("--none takes the clean-up out", remedy="leave out --none, or what says which one")
    operation = clean_session(
        options.session, None if options.none else request, apply=options.apply, strip=options.strip
    )
    return _tell(options, str(options.session), drive(operation, options))


def undo(options: Namespace) -> int:
    """One edit back."""
    return _tell(options, str(options.session), history.undo(options.session))


def redo(options: Namespace) -> int:
    """One edit forward."""
    return _tell(options, str(options.session), history.redo(options.session))


def log(options: Namespace) -> int:
    """All edits, the present one marked, and every blind test."""
    files.load(options.session)
    found = history.load(options.session)
    rows = [
        (">" if edit.number == found.current else " ", str(edit.number), edit.at, edit.what) for edit in found.edits
    ]
    tests = blind.by_test(found.trials)
    said = [f"blind test of {each.began[:16].replace('T', ' ')}: {each.words()}" for each in tests]
    value = {
        "schema": 1,
        "session": str(options.session),
        "current": found.current,
        "edits": [
            {"number": edit.number, "parent": edit.parent, "at": edit.at, "what": edit.what} for edit in found.edits
        ],
        "blind_tests": [_test(each) for each in tests],
    }
    emit(options, value, "\n".join([table(rows) if rows else "no edits yet", *said]))
    return 0


def _test(test: BlindTest) -> dict[str, object]:
    return {
        "began": test.began,
        "of": test.of,
        "answered": len(test.trials),
        "right": test.right,
        "p_value": test.p_value,
        "edits": test.edits,
        "trials": [
            {"at": each.at, "x": each.x, "answer": each.answer, "first": each.first, "last": each.last}
            for each in test.trials
        ],
    }


def _tell(options: Namespace, path: str, session: Session) -> int:
    warnings = warnings_of(session, default_speakers(session.source.channels))
    value = {
        "schema": 1,
        "session": path,
        "changed": session.changed,
        "words": words.of_session(session),
        "brought": [words.of_brought(*each) for each in session.brought.items()],
        "warnings": warnings,
        "document": files.to_tables(session),
    }
    said = words.of_session(session) or ["nothing is changed"]
    said += [words.of_brought(*each) for each in session.brought.items()]
    said += [f"warning: {each}" for each in warnings]
    emit(options, value, "\n".join([path, *(f"  {line}" for line in said), "", files.dumps(session)]))
    return 0
