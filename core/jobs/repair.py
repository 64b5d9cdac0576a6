"""The main job: a master, a preset, and out comes the repaired master with its proof."""

from __future__ import annotations

import time
from importlib import metadata
from pathlib import Path

import msgspec

from core import atomic
from core.audio.outputs import OutputFormat, default_output_path, output_format
from core.audio.probe import probe
from core.audio.write import check_output
from core.errors import UnbakeError
from core.events import Note, Operation
from core.handover.certificate import Certificate, as_json, as_markdown, certify, full_report
from core.jobs import sessions
from core.recombine.render import OversPolicy, render
from core.session import files, history, presets
from core.session.document import Session
from core.session.toml import Origin


class Delivery(msgspec.Struct, frozen=True):
    """Where a render goes and in which form; None takes what the source suggests."""

    out: Path | None = None
    report: Path | None = None
    subtype: str | None = None
    overs: OversPolicy | None = None
    force: bool = False


def repair(
    source: Path,
    preset_name: str,
    delivery: Delivery,
    *,
    session_path: Path | None = None,
    model: str | None = None,
    stems_from: Path | None = None,
    align: bool = False,
    device: str = "auto",
) -> Operation[Certificate]:
    """Lays a preset over a session of `source`, separates what it needs, renders, proves.

    With `session_path` of an existing session the preset is laid over that one, otherwise over a fresh session, which
    is saved beside the source; what lay there before stays in its history. Everything that can be refused is refused
    before the first minute of work. Raises UnbakeError.
    """
    preset = presets.find(preset_name)
    fmt, out = _destination(source, delivery)
    if session_path is not None and session_path.exists():
        session = sessions.open_session(session_path)
        if not Path(session.source.path).samefile(source):
            raise UnbakeError(f"is a session of {session.source.path}, not of {source}", where=session_path)
        if (model is not None and model != session.separation.model) or stems_from is not None:
            raise UnbakeError(
                f"the session has stems of {session.separation.model} already",
                where=session_path,
                remedy="leave --model and --stems-from out, or name a new session",
            )
    else:
        if stems_from is not None and model is not None:
            raise UnbakeError("--model and --stems-from exclude each other")
        session_path = session_path or files.default_path(source)
        if session_path.exists():
            files.load(session_path)  # one that is broken is refused now, not after the work
        else:
            sessions.check_new(session_path, source, force=delivery.force)
        session = yield from sessions.new_session(source, model=model or "starter", stems_from=stems_from, align=align)
    session = preset.over(session)
    return (yield from _deliver(session, session_path, fmt, out, delivery, device, f"repair {preset.name}"))


def render_session(
    session_path: Path, delivery: Delivery, *, stems_from: Path | None = None, align: bool = False, device: str = "auto"
) -> Operation[Certificate]:
    """Renders a session from disk as it stands. `stems_from` uses other stems than the session's, for this render.

    Raises UnbakeError when the source is gone or changed, or a strip has no stem.
    """
    session = sessions.open_session(session_path)
    fmt, out = _destination(Path(session.source.path), delivery)
    if stems_from is not None:
        other = yield from sessions.new_session(Path(session.source.path), stems_from=stems_from, align=align)
        session = msgspec.structs.replace(session, separation=other.separation)
        files.check_strips(session, Origin(str(session_path)))
        return (yield from _deliver(session, None, fmt, out, delivery, device, "render"))
    return (yield from _deliver(session, session_path, fmt, out, delivery, device, "render"))


def _destination(source: Path, delivery: Delivery) -> tuple[OutputFormat, Path]:
    """The output's format and path, refused now rather than after the work."""
    if delivery.out is not None:
        check_output(delivery.out, [source], delivery.force)
    fmt = output_format(probe(source), delivery.out, delivery.subtype)
    out = delivery.out if delivery.out is not None else default_output_path(source, fmt)
    check_output(out, [source], delivery.force)
    if delivery.report is not None:
        check_output(delivery.report, [source, out], delivery.force)
    return fmt, out


def _deliver(
    session: Session,
    session_path: Path | None,
    fmt: OutputFormat,
    out: Path,
    delivery: Delivery,
    device: str,
    what: str,
) -> Operation[Certificate]:
    started = time.monotonic()
    session, stems = yield from sessions.stems_for(session, device=device)
    rendered = yield from render(
        session, sessions.stem_paths(stems), out, fmt, overs=delivery.overs, force=delivery.force
    )
    if session_path is not None:
        history.save(session_path, session, what)
    certificate = certify(
        session,
        rendered,
        session_path=session_path,
        stem_sum_residual_dbfs=None if stems is None else stems.stem_sum_residual_dbfs,
        audio_seconds=session.source.frames / session.source.sample_rate,
        wall_seconds=time.monotonic() - started,
    )
    if delivery.report is not None:
        report = full_report(session, certificate, metadata.version("unbake"))
        text = as_json(report) if delivery.report.suffix.lower() == ".json" else as_markdown(report)
        atomic.write_text_atomically(delivery.report, text, force=delivery.force)
    if not certificate.passed:
        yield Note("the proof FAILS: the written file is not what the session says; please report this as a defect")
    return certificate
