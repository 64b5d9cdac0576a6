"""What each request to the worker does and what it gives: the same calls that the command line makes.

The app needs this module only to read results, so it must never come to import torch or scipy by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from core.cleanup.cleaner import Finding
from core.diagnosis.findings import Diagnosis
from core.diagnosis.fitting import FittedPreset
from core.events import Operation, Progress
from core.handover.certificate import Certificate, place_beside, read_report
from core.handover.checks import Check
from core.jobs import cleanups, messages, models, sessions, store
from core.jobs.bring import Found, find
from core.jobs.brought import stems_of
from core.jobs.cleanups import CleanedUp
from core.jobs.demo import Demonstration, demonstrate
from core.jobs.diagnose import diagnose_stems, fit_stems
from core.jobs.doctor import Examination, examine
from core.jobs.repair import Delivery, render_document
from core.jobs.stems import Separated, export_stems
from core.jobs.warp_editor import Rhythm, WarpClip, clip_of, rhythm_of
from core.measure.figures import Band, Figures
from core.measure.inspect import FileReport, inspect_file
from core.measure.null import NullReport, null_test
from core.recombine.check import SessionCheck, check_session
from core.separation.store import StemSet
from core.session.document import RESIDUAL, Session


class Created(msgspec.Struct, frozen=True):
    """A new session and where it lies."""

    session_path: str
    session: Session


class SessionStems(msgspec.Struct, frozen=True):
    """A session with the hashes of its stems pinned, and the stems."""

    session: Session
    stems: StemSet

    @property
    def paths(self) -> dict[str, str]:
        """The files by strip name, the residual among them."""
        return {**self.stems.stems, RESIDUAL: self.stems.residual}


class BroughtStems(msgspec.Struct, frozen=True):
    """A session with the hashes of its brought stems pinned, and their files by strip name."""

    session: Session
    paths: dict[str, str]


class SessionRender(msgspec.Struct, frozen=True):
    """A rendered session, with the hashes of its stems pinned where it needed any, and what proves the written file.

    `figures`, `prediction` and `checks` are those of the report that lies beside the file.
    """

    session: Session
    certificate: Certificate
    figures: Figures
    prediction: list[Band] = []
    checks: list[Check] = []


GIVES: dict[type[messages.Request], Any] = {
    messages.Inspect: FileReport,
    messages.NewSession: Created,
    messages.CheckSource: None,
    messages.MakeStems: SessionStems,
    messages.Bring: Found,
    messages.LayBrought: BroughtStems,
    messages.CarryOutCleanup: CleanedUp,
    messages.FindDamage: list[Finding],
    messages.ExportStems: Separated,
    messages.Render: SessionRender,
    messages.NullTest: NullReport,
    messages.CheckDelta: SessionCheck,
    messages.Diagnose: Diagnosis,
    messages.FitPreset: FittedPreset,
    messages.FindBeats: Rhythm,
    messages.HearWarp: WarpClip,
    messages.Examine: Examination,
    messages.ListStore: store.Holding,
    messages.PruneStore: store.Clearance,
    messages.FetchModel: models.Fetched,
    messages.CheckModels: models.Checked,
    messages.RemoveModel: models.Removed,
    messages.Demo: Demonstration,
}
"""The type of every request's result."""


def typed(request: messages.Request, values: Any) -> Any:
    """The plain values of a result that the worker sent, as what they are. Raises msgspec.ValidationError."""
    return msgspec.convert(values, GIVES[type(request)])


def carry_out(values: Any) -> Operation[Any]:
    """The operation of a request that arrived as plain values.

    Raises UnbakeError as the operation does, and msgspec.ValidationError for values that are no request.
    """
    request = messages.as_request(values)
    match request:
        case messages.Inspect():
            return (yield from inspect_file(Path(request.path)))

        case messages.NewSession():
            session_path, session = yield from sessions.create(
                Path(request.source),
                _path(request.session_path),
                model=request.model,
                stems_from=_path(request.stems_from),
                align=request.align,
                force=request.force,
            )
            return Created(str(session_path), session)

        case messages.CheckSource():
            yield Progress("checking the source", 0, 1)
            sessions.check_source(request.session, _path(request.session_path))
            return None

        case messages.MakeStems():
            yield Progress("checking the source", 0, 1)
            sessions.check_source(request.session)
            session, stems = yield from sessions.make_stems(
                request.session, device=request.device, from_seconds=request.from_seconds
            )
            return SessionStems(session, stems)

        case messages.Bring():
            yield Progress("checking the source", 0, 1)
            sessions.check_source(request.session)
            path, treated = Path(request.path), _path(request.treated)
            return (yield from find(request.session, path, name=request.name, treated=treated))

        case messages.LayBrought():
            session, made = yield from stems_of(request.session, request.session.brought)
            return BroughtStems(session, {name: each.stems[name] for name, each in made.items()})

        case messages.CarryOutCleanup():
            yield Progress("checking the source", 0, 1)
            sessions.check_source(request.session)
            return (yield from cleanups.carry_out(request.session, _paths(request.stems), request.device))

        case messages.FindDamage():
            from core.cleanup.proposal import findings

            return list((yield from findings(Path(request.path))))

        case messages.ExportStems():
            yield Progress("checking the source", 0, 1)
            sessions.check_source(request.session)
            folder = Path(request.folder)
            return (yield from export_stems(request.session, folder, device=request.device, force=request.force))

        case messages.Render():
            delivery = Delivery(
                out=_path(request.out),
                report=_path(request.report),
                subtype=request.subtype,
                overs=request.overs,
                force=request.force,
                profile=request.profile,
                sample_rate=request.sample_rate,
            )
            session, certificate = yield from render_document(
                request.session, Path(request.session_path), delivery, device=request.device
            )
            report = read_report(place_beside(Path(certificate.output)))
            assert report.figures is not None  # of a file that was written just now
            return SessionRender(session, certificate, report.figures, report.prediction, report.checks)

        case messages.NullTest():
            a, b = Path(request.a), Path(request.b)
            return (yield from null_test(a, b, threshold_dbfs=request.threshold_dbfs, align=request.align))

        case messages.CheckDelta():
            return (yield from check_session(request.session, _paths(request.stems)))

        case messages.Diagnose():
            return (yield from diagnose_stems(request.session, _paths(request.stems)))

        case messages.FitPreset():
            return (yield from fit_stems(request.preset, request.session, _paths(request.stems)))

        case messages.FindBeats():
            return (yield from rhythm_of(request.session, _paths(request.stems)))

        case messages.HearWarp():
            stems, span = _paths(request.stems), (request.first, request.last)
            return (yield from clip_of(request.session, stems, *span, request.beats, request.bars))

        case messages.Examine():
            yield Progress("examining this machine", 0, 1)
            return examine()

        case messages.ListStore():
            return store.listing()

        case messages.PruneStore():
            yield Progress("making room", 0, 1)
            limits = {"older_than_days": request.older_than_days, "keep_gb": request.keep_gb}
            return store.prune(request.ids, **limits, all=request.all)

        case messages.FetchModel():
            return (yield from models.fetch(request.name))

        case messages.CheckModels():
            return (yield from models.check(request.names, request.device))

        case messages.RemoveModel():
            yield Progress("removing the weights", 0, 1)
            return models.remove(request.name, card=request.card)

        case messages.Demo():
            return (yield from demonstrate(Path(request.folder), device=request.device, force=request.force))


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _paths(texts: dict[str, str]) -> dict[str, Path]:
    return {name: Path(text) for name, text in texts.items()}
