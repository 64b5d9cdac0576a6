"""A certificate held against the files it speaks of, and the render made once more."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from core import places
from core.audio.hashes import hashing
from core.audio.outputs import output_format
from core.audio.probe import probe
from core.errors import UnbakeError, os_error
from core.handover.certificate import SUFFIX, Report, document_sha256, read_report
from core.jobs import plugins, sessions
from core.measure.null import null_test
from core.recombine.render import render
from core.session import files
from core.session.toml import Origin

if TYPE_CHECKING:
    from core.events import Operation
    from core.recombine.render import Rendered
    from core.session.document import Session


LEFT_SECONDS: Final = 86_400.0


class Checked(msgspec.Struct, frozen=True):
    """One thing that a certificate says, and whether it is so; None where that can't be told and need not be."""

    what: str
    passed: bool | None
    detail: str


class Verification(msgspec.Struct, frozen=True):
    """All of them, in the words of `unbake verify --json`."""

    certificate: str
    output: str
    passed: bool
    checks: list[Checked]
    schema: int = 1


def verify(path: Path, *, device: str = "auto") -> Operation[Verification]:
    """Holds a certificate against output, source, session and stems, and renders again. `path` may be the output, too.

    Nothing of it is changed; stems that are no longer in the store are made anew. Raises UnbakeError when it is no
    certificate. What is missing or otherwise is a check that fails, not an error.
    """
    path = _certificate_of(path)
    report = read_report(path)
    render_of = report.render
    output, source = _lies(render_of.output, path), _lies(render_of.source, path)
    as_certified = yield from _same(output, report.output_sha256)
    output_check = _file("output", output, as_certified=as_certified)
    source_check = _file("source", source, as_certified=(yield from _same(source, report.source_sha256)))
    session = files.from_tables(report.document, Origin(str(path)), check=False)
    session = msgspec.structs.replace(session, source=msgspec.structs.replace(session.source, path=str(source)))
    checks = [source_check, _session(report, session), _proof(report), *_figures(report)]
    if not source_check.passed:
        checks.append(Checked("render", None, "can't be made again without the source"))
    else:
        with _room() as folder:
            again = Path(folder) / output.name
            stems_check, rendered = yield from _rendered_again(report, session, again, device)
            checks.append(stems_check)
            if rendered is not None:
                repeated = bool((yield from _same(again, report.output_sha256)))
                checks.append(_repeated(report, repeated=repeated))
                if repeated and as_certified is False:
                    output_check = yield from _other_bytes(output_check, output, again)
    checks.insert(0, output_check)
    passed = all(check.passed is not False for check in checks)
    return Verification(os.fspath(path.absolute()), os.fspath(output), passed, checks)


def _certificate_of(path: Path) -> Path:
    """A file itself, or the certificate that lies beside it where it is an output."""
    for place in (path.with_suffix(SUFFIX), path.with_name(path.name + SUFFIX)):
        if place != path and place.exists() and Path(read_report(place).render.output).name == path.name:
            return place
    return path


def _lies(path: str, certificate: Path) -> Path:
    """Where a file of a certificate lies: where it was, or beside the certificate when both were moved."""
    beside = certificate.parent / Path(path).name
    return beside if not Path(path).exists() and beside.exists() else Path(path)


def _room() -> tempfile.TemporaryDirectory[str]:
    """A folder for the second render, where stems lie: there is room for files of this size.

    What one that was killed left there is removed after a day.
    """
    try:
        places.cache().mkdir(parents=True, exist_ok=True)
        for left in places.cache().glob("verify-*"):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        return tempfile.TemporaryDirectory(dir=places.cache(), prefix="verify-")
    except OSError as error:
        raise os_error(error, places.cache()) from error


def _same(path: Path, sha256: str) -> Operation[bool | None]:
    """Whether a file is the one of this hash; None when it is gone."""
    return None if not path.exists() else (yield from hashing(path)) == sha256


def _file(what: str, path: Path, *, as_certified: bool | None) -> Checked:
    if as_certified is None:
        return Checked(what, False, f"{path} is gone")
    state = "is as certified" if as_certified else "has changed since (its SHA-256 differs)"
    return Checked(what, as_certified, f"{path} {state}")


def _session(report: Report, certified: Session) -> Checked:
    """The session may have been worked on since: that is told, and no fault."""
    if report.render.session is None or not (path := Path(report.render.session)).exists():
        return Checked("session", None, "is no longer there; the certificate holds a copy")
    try:
        now = files.load(path)
    except UnbakeError as error:
        return Checked("session", None, f"can't be read any more: {error}")
    kept = ("separation", "brought", "strips", "warp", "master")
    same = all(getattr(now, name) == getattr(certified, name) for name in kept)
    return Checked("session", True if same else None, f"{path} {'is as certified' if same else 'was edited since'}")


def _proof(report: Report) -> Checked:
    proof = report.render.certificate
    if proof.identical:
        return Checked("proof", report.render.passed, "identical to the source, sample for sample")
    figure, bound = proof.render_residual_dbfs, proof.quantisation_dbfs
    if figure is None or bound is None:
        return Checked("proof", report.render.passed, "held when it was made" if report.render.passed else "FAILED")
    return Checked("proof", report.render.passed and figure <= bound, f"{figure:.2f} dBFS, of {bound:.2f} allowed")


def _figures(report: Report) -> list[Checked]:
    """What stands in the certificate itself: its copy of the session, and its figures against their limits."""
    found = []
    if report.session_sha256 and document_sha256(report.document) != report.session_sha256:
        found.append(
            Checked("document", False, "the certificate's copy of the session was altered (its SHA-256 differs)")
        )
    held = [check for check in report.checks if check.passed is not None]
    if held:
        failed = [check for check in held if not check.passed]
        said = "; ".join(f"{check.name}: {check.figure} {check.unit}, {check.limit}" for check in failed)
        what = f"{len(held) - len(failed)} of {len(held)} within their limits"
        found.append(Checked("figures", not failed, f"{what}: {said}" if failed else what))
    return found


def _rendered_again(
    report: Report, session: Session, again: Path, device: str
) -> Operation[tuple[Checked, Rendered | None]]:
    """The stems held against the certificate, and the render; None where it can't be made."""
    try:
        files.check_strips(session, Origin(report.render.session or "the certificate"))
        yield from plugins.trying(session)
        _, stems = yield from sessions.stems_for(session, device=device)
        found = stems.hashes
        other = sorted(name for name, known in report.stem_sha256.items() if found.get(name, known) != known)
        used = f"{len(found)} stems" if found else "none needed"
        detail = f"{', '.join(other)} came out otherwise" if other else f"{used}, as certified" if found else used
        fmt = output_format(probe(Path(session.source.path)), again, report.render.subtype, report.render.sample_rate)
        rendered = yield from render(session, stems.paths, again, fmt, profile=report.profile, overs=report.overs)
    except UnbakeError as error:
        return Checked("render", False, f"can't be made again: {error}"), None
    return Checked("stems", not other, detail), rendered


def _repeated(report: Report, *, repeated: bool) -> Checked:
    if repeated:
        return Checked("render", True, "made again, byte for byte")
    version = metadata.version("unbake")
    why = f"; it was made by unbake {report.unbake}, this is {version}" if version != report.unbake else ""
    return Checked("render", False, f"made again, it comes out otherwise{why}")


def _other_bytes(changed: Checked, output: Path, again: Path) -> Operation[Checked]:
    """What is said of an output with other bytes: whether its samples are those of the render."""
    try:
        found = yield from null_test(again, output)
    except UnbakeError as error:
        return msgspec.structs.replace(changed, detail=f"{changed.detail}: {error}")
    if found.identical:
        return Checked("output", True, f"{output} has other bytes than certified (its tags?), but the very samples")
    peak = found.residual.peak_dbfs
    far = "" if peak is None else f" and is up to {peak:.1f} dBFS off"
    return msgspec.structs.replace(changed, detail=changed.detail + far)
