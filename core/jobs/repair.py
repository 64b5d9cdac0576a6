"""The main job: a master, a preset, and out comes the repaired master with its proof."""

from __future__ import annotations

import os
import time
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from core.atomic import check_output, same_file, write_text_atomically
from core.audio.outputs import OutputFormat, default_output_path, output_format
from core.audio.probe import probe
from core.errors import UnbakeError, refusal
from core.events import Note, Operation
from core.handover.certificate import (
    Certificate,
    Report,
    as_json,
    as_markdown,
    certifies,
    certify,
    full_report,
    place_beside,
)
from core.handover.page.document import as_html
from core.handover.page.traces import trace
from core.jobs import brought, plugins, sessions
from core.jobs.diagnose import fit_preset, reference_balance
from core.recombine.render import OversPolicy, render
from core.separation.device import GPU_ONLY, Precision, check_device_name, check_precision, resolve_device
from core.separation.store import StemSet
from core.session import files, history, presets, profiles
from core.session.document import Session
from core.session.fits import Value
from core.session.profiles import Profile
from core.session.toml import Origin
from core.strips.comb import warnings_of


class Delivery(msgspec.Struct, frozen=True):
    """Where a render goes and in which form; None takes what the source suggests.

    `profile` is a delivery profile's name or file; `subtype` and `sample_rate` (Hz) win over what it says.
    """

    out: Path | None = None
    report: Path | None = None
    subtype: str | None = None
    overs: OversPolicy | None = None
    force: bool = False
    profile: str | None = None
    sample_rate: int | None = None


def repair(
    source: Path,
    preset_name: str,
    delivery: Delivery,
    *,
    session_path: Path | None = None,
    model: str | None = None,
    precision: Precision | Literal["auto"] = "auto",
    stems_from: Path | None = None,
    align: bool = False,
    device: str = "auto",
    reference: Path | None = None,
) -> Operation[Certificate]:
    """Lays a preset over a session of `source`, separates what it needs, renders, proves.

    Values that the preset leaves open are measured on the stems first, where it can be with `reference` in view.

    With `session_path` of an existing session the preset is laid over that one, otherwise over a fresh session, made
    by `model` in `precision` and saved beside the source; what lay there before stays in its history. Everything that
    can be refused is refused before the first minute of work. Raises UnbakeError.
    """
    started = time.monotonic()
    check_device_name(device)
    check_precision(precision, resolve_device(device) if precision in GPU_ONLY else device)
    preset = presets.find(preset_name)
    if reference is not None and not preset.fits:
        raise UnbakeError(f"preset {preset.name} measures nothing, so there is nothing that a reference could say")
    taken: StemSet | None = None
    own_session = session_path is None
    session_path = session_path or sessions.place_beside(source)
    history.check_free(session_path)
    profile = None if delivery.profile is None else profiles.find(delivery.profile)
    fmt, out = _destination(source, delivery, profile, session_path, stems_from)
    if session_path.exists() and not own_session:
        session = sessions.open_session(session_path)
        if not Path(session.source.path).samefile(source):
            raise UnbakeError(f"is a session of {session.source.path}, not of {source}", where=session_path)
        same_stems = (session.separation.stems_from, session.separation.align)
        other_stems = (stems_from is not None or align) and same_stems != (_absolute(stems_from), align)
        if other_stems or (model is not None and model != session.separation.model):
            raise UnbakeError(
                f"the session has stems of {session.separation.model} already",
                where=session_path,
                remedy="leave --model and --stems-from out, or name a new session",
            )
        if precision not in ("auto", session.separation.precision):
            raise UnbakeError(
                f"the session has its stems in {session.separation.precision}",
                where=session_path,
                remedy=f"unbake session set {session_path} separation.precision={precision}",
            )
    else:
        sessions.check_origin(model, precision, stems_from)
        before = files.load(session_path) if session_path.exists() else None
        if before is None:
            sessions.check_new(session_path, source, force=delivery.force)
        session, taken = yield from sessions.new_session(
            source,
            model=model or "starter",
            device=device,
            precision=precision,
            stems_from=stems_from,
            align=align,
        )
        if before is not None and before.rights:
            session = msgspec.structs.replace(session, rights=before.rights)
        if before is not None and before.changed:
            yield Note(
                f"starting afresh: the edits of {session_path} stay in its history "
                "(unbake session undo brings them back; --session lays a preset over them)"
            )
    _check_brought(session, out, delivery)
    draft = preset.fitted({}).over(session)
    files.check_strips(draft, Origin(preset.origin))
    yield from plugins.trying(draft)
    if preset.cleanup is not msgspec.UNSET:  # what the stems are measured on heard it
        session = session.with_cleanup(preset.cleanup)
    fitted: tuple[Value, ...] = ()
    if preset.fits:
        reference_db = None if reference is None else (yield from reference_balance(reference))
        session, taken = yield from sessions.make_stems(session, device=device, taken_in=taken)
        found = yield from fit_preset(preset, session, taken, reference_db=reference_db)
        preset, fitted = found.preset, found.values
    session = preset.over(session)
    files.check_strips(session, Origin(preset.origin))
    session, stems = yield from sessions.stems_for(session, device=device, taken_in=taken)
    edit = f"repair {preset.name}"
    return (yield from _deliver(session, stems, session_path, edit, fmt, out, delivery, profile, started, fitted))


def render_session(
    session_path: Path, delivery: Delivery, *, stems_from: Path | None = None, align: bool = False, device: str = "auto"
) -> Operation[Certificate]:
    """Renders a session from disk as it stands. `stems_from` uses other stems than the session's, for this render.

    Raises UnbakeError when the source is gone or changed, or a strip has no stem.
    """
    session = sessions.load(session_path)
    _, certificate = yield from render_document(
        session, session_path, delivery, stems_from=stems_from, align=align, device=device, edit="render"
    )
    return certificate


def render_document(
    session: Session,
    session_path: Path,
    delivery: Delivery,
    *,
    stems_from: Path | None = None,
    align: bool = False,
    device: str = "auto",
    edit: str | None = None,
) -> Operation[tuple[Session, Certificate]]:
    """Renders a session as it is given, saved at `session_path` or not, and gives it with the hashes of its stems.

    With `edit` it is saved under that name when the hashes are new; without, nothing but the output, its certificate
    and the report are written. `stems_from` uses other stems for this render, which is never saved. Raises UnbakeError
    when the source is gone or changed, or a strip has no stem.
    """
    started = time.monotonic()
    check_device_name(device)
    if align and stems_from is None:
        raise UnbakeError("--align is about the stems of another tool", remedy="give --stems DIR too")
    sessions.check_source(session, session_path)
    source = Path(session.source.path)
    profile = None if delivery.profile is None else profiles.find(delivery.profile)
    fmt, out = _destination(source, delivery, profile, session_path, stems_from)
    _check_brought(session, out, delivery)
    yield from plugins.trying(session)
    if stems_from is None:
        if edit is not None and not session.stem_hashes.keys() >= set(session.stems_used):
            history.check_free(session_path)  # the hashes of its stems will have to be saved
        files.check_strips(session, Origin(str(session_path)))
        rendered, stems = yield from sessions.stems_for(session, device=device)
    else:
        levels = session.separation.sensitivity
        other, taken = yield from sessions.new_session(source, stems_from=stems_from, align=align, sensitivity=levels)
        rendered = msgspec.structs.replace(session, separation=other.separation)
        files.check_strips(rendered, Origin(str(session_path)))
        rendered, own = yield from brought.stems_of(rendered, rendered.stems_used)
        stems = sessions.Stems(taken, own)
    edit = edit if stems_from is None and rendered != session else None
    certificate = yield from _deliver(rendered, stems, session_path, edit, fmt, out, delivery, profile, started)
    return rendered, certificate


def _destination(
    source: Path, delivery: Delivery, profile: Profile | None, session_path: Path, stems_from: Path | None
) -> tuple[OutputFormat, Path]:
    """The output's format and path. What would replace something the engineer needs is refused now, with or without
    `force`: the source, the session and its history, the stems that are read, one output by the other. So
    is a name that is no UTF-8 text: session and certificate, which come after the render, could not hold it.
    """
    for named in (source, session_path, stems_from, delivery.out):
        if named is not None:
            _check_text(named)
    stems = list(stems_from.iterdir()) if stems_from is not None and stems_from.is_dir() else []
    kept = {
        "the session": [session_path, history.path_for(session_path)],
        "a stem that is read": [stem for stem in stems if stem.is_file()],
    }
    if delivery.out is not None:
        _check_place(delivery.out, source, kept, delivery.force)
    fmt = _format(source, delivery, profile)
    out = delivery.out if delivery.out is not None else default_output_path(source, fmt)
    _check_place(out, source, kept, delivery.force)
    beside = place_beside(out)
    if not certifies(beside, out):
        _check_place(beside, source, kept, delivery.force)
    if delivery.report is not None and not same_file(delivery.report, beside):
        _check_place(delivery.report, source, {**kept, "the output": [out]}, delivery.force)
    return fmt, out


def _format(source: Path, delivery: Delivery, profile: Profile | None) -> OutputFormat:
    """What is written: as typed, else as the profile says, else as the source has it."""
    info = probe(source)
    subtype, sample_rate = delivery.subtype, delivery.sample_rate
    if profile is not None and sample_rate is None:
        sample_rate = profile.sample_rate
    if profile is None or profile.subtype is None or subtype is not None:
        return output_format(info, delivery.out, subtype, sample_rate)
    try:
        return output_format(info, delivery.out, profile.subtype, sample_rate)
    except UnbakeError as error:
        output_format(info, delivery.out, None, sample_rate)  # what is wrong without the profile's word length, too
        what = f"the profile {profile.name} wants {profile.subtype}, which can't be written there"
        remedy = "name another extension, or say --subtype"
        raise UnbakeError(what, where=delivery.out or source, remedy=remedy) from error


def _check_text(path: Path) -> None:
    try:
        os.fspath(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise refusal(error) or error from error


def _check_place(place: Path, source: Path, kept: dict[str, list[Path]], force: bool) -> None:
    for what, paths in kept.items():
        if any(same_file(place, path) for path in paths):
            raise UnbakeError(f"is {what}", where=place, remedy="choose another name")
    check_output(place, [source], force)


def _check_brought(session: Session, out: Path, delivery: Delivery) -> None:
    """Refuses to write over a file of the engineer's that is a stem of the session, with or without `force`."""
    for place in (out, place_beside(out), delivery.report):
        if place is not None and any(same_file(place, Path(each.path)) for each in session.brought.values()):
            raise UnbakeError("is a stem that was brought", where=place, remedy="choose another name")


def _absolute(folder: Path | None) -> str | None:
    return None if folder is None else str(folder.absolute())


def _deliver(
    session: Session,
    stems: sessions.Stems,
    session_path: Path,
    edit: str | None,
    fmt: OutputFormat,
    out: Path,
    delivery: Delivery,
    profile: Profile | None,
    started: float,
    fitted: tuple[Value, ...] = (),
) -> Operation[Certificate]:
    """Renders, saves the session as `edit` (None: it is as it was), certifies, reports.

    `started` is when the whole request began, on the monotonic clock; `fitted` are measured values of the preset.
    """
    if edit is not None:
        history.check_free(session_path)
    for warning in warnings_of(session, probe(Path(session.source.path)).speakers):
        yield Note(warning)
    rendered = yield from render(
        session, stems.paths, out, fmt, profile=profile, overs=delivery.overs, force=delivery.force
    )
    if edit is not None:
        history.save(session_path, session, edit)
    certificate = certify(
        session,
        rendered,
        session_path=session_path,
        stem_sum_residual_dbfs=stems.stem_sum_residual_dbfs,
        audio_seconds=session.source.frames / session.source.sample_rate,
        wall_seconds=time.monotonic() - started,
        fitted=fitted,
    )
    report = full_report(
        session,
        rendered,
        certificate,
        metadata.version("unbake"),
        stems_known=stems.separated is not None,
        profile=profile,
        overs=delivery.overs,
    )
    beside = place_beside(out)
    # the output that it replaces the certificate of was replaced just now
    write_text_atomically(beside, as_json(report), force=delivery.force or certifies(beside, out))
    if delivery.report is not None and not same_file(delivery.report, beside):
        text = yield from _as_told(report, delivery.report, session, sessions.stem_paths(stems))
        write_text_atomically(delivery.report, text, force=delivery.force)
    if not certificate.passed:
        unsteady = plugins.unsteady(session)
        why = "the written file is not what the session says; please report this as a defect"
        if unsteady:
            why = f"{' and '.join(unsteady)} does not give the same sound twice, so the file can't be proved"
        yield Note(f"the proof FAILS: {why}")
    return certificate


def _as_told(report: Report, place: Path, session: Session, stems: dict[str, Path]) -> Operation[str]:
    """The report in the form that the name of its file asks for."""
    match place.suffix.lower():
        case ".json":
            return as_json(report)
        case ".html" | ".htm":
            return as_html(report, (yield from trace(session, stems, report.render)))
        case _:
            return as_markdown(report)
