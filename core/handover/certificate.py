"""The certificate of a render: what was done to which file, and the figures that prove that nothing else moved.

It is written as JSON for programs or as Markdown for people, from the same value.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

from core.atomic import same_file
from core.audio.hashes import sha256_file
from core.errors import UnbakeError, os_error
from core.handover.checks import Check, checks_of
from core.measure.figures import Band, Figures, Programme
from core.recombine.delivery import Levelling
from core.recombine.render import OversPolicy, Rendered
from core.recombine.warping import WarpFigures
from core.separation import stems
from core.session import files, words
from core.session.document import Session
from core.session.fits import Value
from core.session.profiles import Profile
from models import registry

SCHEMA = 1
SUFFIX = ".unbake.json"
"""Of the certificate beside an output."""
LIBRARIES: Final = ("numpy", "scipy", "soundfile", "soxr", "av", "torch", "pedalboard")


class LoudnessFigures(msgspec.Struct, frozen=True):
    """Integrated loudness, range and true peak; None where there is nothing to measure (silence, too short)."""

    lufs_i: float | None
    lra_lu: float | None
    true_peak_dbtp: float | None


class BeforeAfter(msgspec.Struct, frozen=True):
    """The source and the written file, each measured as it was read."""

    before: LoudnessFigures
    after: LoudnessFigures


class OversFigures(msgspec.Struct, frozen=True):
    """Samples of the sum beyond full scale, its peak, and what was done about them."""

    samples: int
    peak_dbfs: float | None
    treatment: OversPolicy | None
    trim_db: float


class ProofFigures(msgspec.Struct, frozen=True):
    """The null figures of the second pass; meanings and limits are those of `core.recombine.render.Proof`."""

    identical: bool
    untouched_residual_dbfs: float | None
    render_residual_dbfs: float | None
    quantisation_dbfs: float | None
    stem_sum_residual_dbfs: float | None


class Certificate(msgspec.Struct, frozen=True):
    """Everything a render has to say for itself. The first fields are what `--json` prints.

    `model_caution` is what the model's card warns of; None where it warns of nothing, or no stem of its was used.
    `overlap` (passes) and `precision` are how unbake made the stems; None where it made none. `sample_rate` is that of
    the output, in Hz. `delivery` is what was done for a loudness or a peak that was asked for; None where none was.
    `cleanup` are the steps of the clean-up in words. `fitted` are the preset's values that were measured for this
    render, with the reasons. `warp` is there where the session has a time map.
    """

    output: str
    source: str
    session: str | None
    model: str
    model_caution: str | None
    stems: tuple[str, ...]
    changed: tuple[str, ...]
    container: str
    subtype: str
    dithered: bool
    loudness: BeforeAfter
    overs: OversFigures
    certificate: ProofFigures
    seconds: float
    realtime_factor: float
    passed: bool
    overlap: float | None = None
    precision: str | None = None
    sample_rate: int = 0
    delivery: Levelling | None = None
    fitted: tuple[Value, ...] = ()
    warp: WarpFigures | None = None
    cleanup: tuple[str, ...] = ()
    schema: int = SCHEMA


class Report(msgspec.Struct, frozen=True):
    """A certificate with hashes, the whole document, and who holds the rights.

    `profile` and `overs` are what was asked for beside the session: with them the render can be made again.
    `session_sha256` is of `document`, written as compact JSON with its keys in order, `model_sha256` of the weights
    that made the stems, by model. `figures` are of the source (A) against the output (B), `prediction` the third
    octaves of the output less what was expected of it, `checks` all of them against their limits. None or empty where
    an older unbake took none.
    """

    unbake: str
    made_at: str
    render: Certificate
    output_sha256: str
    source_sha256: str
    stem_sha256: dict[str, str]
    changes: list[str]
    rights: dict[str, Any]
    document: dict[str, Any]
    profile: Profile | None = None
    overs: OversPolicy | None = None
    schema: int = SCHEMA
    figures: Figures | None = None
    prediction: list[Band] = []
    checks: list[Check] = []
    session_sha256: str = ""
    model_sha256: dict[str, list[str]] = {}
    versions: dict[str, str] = {}


def certify(
    session: Session,
    rendered: Rendered,
    *,
    session_path: Path | None,
    stem_sum_residual_dbfs: float | None,
    audio_seconds: float,
    wall_seconds: float,
    fitted: tuple[Value, ...] = (),
) -> Certificate:
    """The certificate of a finished render."""
    return Certificate(
        output=str(Path(rendered.output).absolute()),
        source=session.source.path,
        session=None if session_path is None else str(session_path.absolute()),
        model=session.separation.model,
        model_caution=_caution(session),
        stems=session.separation.stems,
        changed=session.changed,
        container=rendered.fmt.container,
        subtype=rendered.fmt.subtype,
        dithered=rendered.dithered,
        loudness=BeforeAfter(_loudness(rendered.before), _loudness(rendered.figures.b)),
        overs=OversFigures(
            rendered.overs.samples, rendered.overs.peak_dbfs, rendered.overs.treatment, rendered.overs.trim_db
        ),
        certificate=ProofFigures(
            rendered.proof.identical,
            rendered.proof.untouched_residual_dbfs,
            rendered.proof.render_residual_dbfs,
            rendered.proof.quantisation_dbfs,
            stem_sum_residual_dbfs,
        ),
        seconds=wall_seconds,
        realtime_factor=audio_seconds / wall_seconds,
        passed=rendered.proof.holds,
        overlap=session.separation.overlap if _made_here(session) else None,
        precision=session.separation.precision if _made_here(session) else None,
        sample_rate=rendered.fmt.sample_rate,
        delivery=rendered.levelling,
        fitted=fitted,
        warp=rendered.warp,
        cleanup=tuple(words.of_steps(step for step in session.cleanup if step.active)),
    )


def full_report(
    session: Session,
    rendered: Rendered,
    certificate: Certificate,
    version: str,
    *,
    stems_known: bool = False,
    profile: Profile | None = None,
    overs: OversPolicy | None = None,
) -> Report:
    """The certificate with hashes of all files as they lie on disk now, and all figures held against their limits.

    `stems_known`: their sum was looked at. Raises UnbakeError when a file can't be read.
    """
    document = files.to_tables(session)
    return Report(
        unbake=version,
        made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        render=certificate,
        output_sha256=sha256_file(Path(certificate.output)),
        source_sha256=session.source.sha256,
        stem_sha256=session.stem_hashes,
        changes=[*words.of_session(session), *(words.of_brought(*each) for each in session.brought.items())],
        rights=session.rights,
        document=document,
        profile=profile,
        overs=overs,
        figures=rendered.figures,
        prediction=rendered.prediction,
        checks=checks_of(session, rendered, certificate.certificate.stem_sum_residual_dbfs, stems_known=stems_known),
        session_sha256=document_sha256(document),
        model_sha256=_weights_of(session) if _made_here(session) else {},
        versions=_versions(),
    )


def document_sha256(document: dict[str, Any]) -> str:
    """The hash of a document, the same for the same values however they are written."""
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()


def read_report(path: Path) -> Report:
    """A report that `as_json` wrote. Raises UnbakeError for anything else."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise os_error(error, path) from error
    try:
        report = msgspec.json.decode(raw, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        remedy = "repair and render write one beside each output"
        raise UnbakeError(f"is no certificate of unbake ({error})", where=path, remedy=remedy) from error
    if report.schema > SCHEMA:
        raise UnbakeError(f"made by a newer unbake (schema {report.schema}, this one reads {SCHEMA})", where=path)
    return report


def place_beside(out: Path) -> Path:
    """Where the certificate of an output lies: `NAME.unbake.json` beside it.

    `NAME.EXT.unbake.json` where something else has that name, such as the certificate of `NAME` in another format.
    """
    place = out.with_suffix(SUFFIX)
    return place if not place.exists() or certifies(place, out) else out.with_name(out.name + SUFFIX)


def certifies(place: Path, out: Path) -> bool:
    """Whether a certificate of this output lies there."""
    try:
        return same_file(Path(read_report(place).render.output), out)
    except UnbakeError:
        return False


def as_json(report: Report) -> str:
    """The report as indented JSON, dates as ISO 8601 text."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def as_markdown(report: Report) -> str:
    """The report as a page to read or print."""
    render, proof = report.render, report.render.certificate
    before, after = render.loudness.before, render.loudness.after
    lines = [
        f"# {Path(render.output).name}",
        "",
        f"Repaired from `{render.source}` with unbake {report.unbake}, {report.made_at}.",
        "",
        "## What was changed",
        "",
        *([f"- {line}" for line in report.changes] or ["- nothing"]),
        "",
        *(["Measured:", "", *(f"- {line}" for line in words.of_fits(render.fitted)), ""] if render.fitted else []),
        f"Stems by {render.model}{_how(render)}: {', '.join(render.stems) or 'none needed'}.",
        "",
        *([f"Caution: {render.model_caution}.", ""] if render.model_caution else []),
        "## Proof",
        "",
        "| figure | dBFS |",
        "|---|---|",
        f"| written file against source plus changes, computed afresh | {_db(proof.untouched_residual_dbfs)} |",
        f"| the same with the master stage | {_db(proof.render_residual_dbfs)} |",
        f"| most that rounding{' and dither' if render.dithered else ''} can cause | {_db(proof.quantisation_dbfs)} |",
        f"| source against the sum of stems and residual | {_db(proof.stem_sum_residual_dbfs)} |",
        "",
        f"Samples identical to the source: {_yes(proof.identical)}. Proof: {'holds' if render.passed else 'FAILS'}.",
        "",
        *_checks_in_words(report.checks),
        "## Level",
        "",
        "| | before | after |",
        "|---|---|---|",
        f"| integrated loudness, LUFS (BS.1770-4) | {_db(before.lufs_i)} | {_db(after.lufs_i)} |",
        f"| loudness range, LU (EBU Tech 3342) | {_db(before.lra_lu)} | {_db(after.lra_lu)} |",
        f"| true peak, dBTP | {_db(before.true_peak_dbtp)} | {_db(after.true_peak_dbtp)} |",
        "",
        _overs_in_words(render.overs),
        "",
        *([f"Delivery: {render.delivery.why}.", ""] if render.delivery else []),
        "## Files",
        "",
        f"- output: {render.container} {render.subtype}, {render.sample_rate} Hz, SHA-256 `{report.output_sha256}`",
        f"- source: SHA-256 `{report.source_sha256}`",
        *(f"- {name}: SHA-256 `{digest}`" for name, digest in report.stem_sha256.items()),
        *(
            f"- {each['path']}, brought as {name}: SHA-256 `{each['sha256']}`"
            for name, each in report.document.get("brought", {}).items()
        ),
    ]
    if report.rights:
        lines += ["", "## Rights", "", *(f"- {key}: {value}" for key, value in report.rights.items())]
    return "\n".join(lines) + "\n"


def _checks_in_words(checks: list[Check]) -> list[str]:
    if not checks:
        return []
    verdicts = {True: "pass", False: "FAIL", None: "told"}
    rows = [
        f"| {check.name} | {'none' if check.figure is None else f'{check.figure:.6g}'} {check.unit} "
        f"| {check.limit} | {verdicts[check.passed]} |"
        for check in checks
    ]
    return ["| figure | found | limit | |", "|---|---|---|---|", *rows, ""]


def _how(render: Certificate) -> str:
    return "" if render.overlap is None else f" ({render.overlap:g} passes, {render.precision})"


def _made_here(session: Session) -> bool:
    """Whether the render used stems that unbake made."""
    return session.needs_separation(session.stems_used) and session.separation.stems_from is None


def _weights_of(session: Session) -> dict[str, list[str]]:
    """Hashes of the weights of every network that made the stems; none of those that have no weights."""
    choice = stems.choices().get(session.separation.model)
    names = () if choice is None else choice.made_of or (choice.name,)
    cards = registry.cards()
    found = {name: [item.sha256 for item in cards[name].weights] for name in names if name in cards}
    return {name: hashes for name, hashes in found.items() if hashes}


def _versions() -> dict[str, str]:
    """What reckoned: the libraries that decide the last bits."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _caution(session: Session) -> str | None:
    """What is to be known of the stems that were used, if any were and their model is still known."""
    if not _made_here(session):
        return None
    choice = stems.choices().get(session.separation.model)
    return (choice.caution or None) if choice else None


def _loudness(programme: Programme) -> LoudnessFigures:
    return LoudnessFigures(programme.lufs_i, programme.lra_lu, programme.true_peak_dbtp)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _overs_in_words(overs: OversFigures) -> str:
    if not overs.samples:
        return "No sample of the sum was beyond full scale."
    treatment = {
        "trim": f"the whole file was lowered by {-overs.trim_db:.3f} dB",
        "limit": "they were limited",
        "clip": "they were clipped",
        None: "they were kept, since floating point holds them",
    }[overs.treatment]
    return f"{overs.samples} samples of the sum were beyond full scale (peak {_db(overs.peak_dbfs)} dBFS): {treatment}."
