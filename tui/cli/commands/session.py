"""`unbake session new | show | set | undo | redo | log`."""

from __future__ import annotations

from argparse import Namespace

from core.audio.speakers import default_speakers
from core.jobs import sessions
from core.session import blind, files, history, words
from core.session.blind import BlindTest
from core.session.document import Session
from core.strips.comb import warnings_of
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
        "warnings": warnings,
        "document": files.to_tables(session),
    }
    said = words.of_session(session) or ["nothing is changed"]
    said += [f"warning: {each}" for each in warnings]
    emit(options, value, "\n".join([path, *(f"  {line}" for line in said), "", files.dumps(session)]))
    return 0
