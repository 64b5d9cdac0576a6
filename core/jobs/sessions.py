"""Sessions made, opened and edited: the steps around the document that need files, models or the stem store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from core.atomic import check_output, same_file
from core.audio.hashes import hashing, sha256_file
from core.audio.probe import probe
from core.errors import UnbakeError
from core.events import Note, Operation, finish
from core.jobs import brought, cleanups, plugins
from core.jobs.cleanups import Removed
from core.measure.align import estimate
from core.separation import stems as stem_sets
from core.separation.external import import_stems
from core.separation.heard import Heard
from core.separation.sensitivity import applied, effective
from core.separation.separate import SeparationRequest
from core.separation.store import StemSet
from core.session import files, history
from core.session.document import RESIDUAL, Brought, Separation, Session, Source
from core.session.toml import Origin

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from core.separation.device import Precision

EXTERNAL = "external"
"""The model of a session whose stems another tool made."""


class Stems(msgspec.Struct, frozen=True):
    """Stems of a session that are at hand: of its separation, where one was needed, and those that were brought.

    `removed` is what its clean-up took away.
    """

    separated: StemSet | None = None
    brought: dict[str, StemSet] = {}
    removed: Removed = Removed()

    @property
    def paths(self) -> dict[str, Path]:
        """Files by strip name, the residual among them, and what the clean-up took away by the name of its step."""
        own = {name: Path(each.stems[name]) for name, each in self.brought.items()}
        return {**_paths(self.separated), **own, **self.removed.paths}

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the files by strip name."""
        own = {name: each.hashes[name] for name, each in self.brought.items()}
        made = {} if self.separated is None else self.separated.hashes
        return {**made, **own, **self.removed.hashes}

    @property
    def stem_sum_residual_dbfs(self) -> float | None:
        """Peak of the source less all that the separation made; None where that is exactly zero, or none was needed."""
        return None if self.separated is None else self.separated.stem_sum_residual_dbfs


def separation_by(model: str, *, device: str = "auto", precision: Precision | Literal["auto"] = "auto") -> Separation:
    """How a session is separated by a model or an ensemble of that name. Raises UnbakeError when there is none.

    The precision that "auto" stands for here and now is written down, so that the session stays what it is.
    """
    choice = stem_sets.choice(model)
    settled = stem_sets.precision_for(model, device) if precision == "auto" else precision
    return Separation(model=choice.name, stems=choice.stems, overlap=choice.overlap, precision=settled)


def request_of(separation: Separation, device: str = "auto", from_seconds: float = 0.0) -> SeparationRequest:
    """What a session asks of the separation."""
    return SeparationRequest(
        model=separation.model,
        stems=separation.stems,
        overlap=separation.overlap,
        device=device,
        precision=separation.precision,
        compiled=separation.compiled,
        from_seconds=from_seconds,
        sensitivity=separation.sensitivity,
    )


def describe_source(path: Path) -> Source:
    """A file as a session names it. Raises UnbakeError for what is not readable audio."""
    return finish(describing_source(path))


def describing_source(path: Path) -> Operation[Source]:
    """As `describe_source`, for files that take their time."""
    info = probe(path)
    return Source(
        path=os.path.normpath(path.absolute()),
        sha256=(yield from hashing(path)),
        sample_rate=info.sample_rate,
        channels=info.channels,
        frames=info.frames,
        container=info.container,
        subtype=info.subtype,
    )


def new_session(
    source: Path,
    *,
    model: str = "starter",
    device: str = "auto",
    precision: Precision | Literal["auto"] = "auto",
    stems_from: Path | None = None,
    align: bool = False,
    sensitivity: Mapping[str, float] | None = None,
) -> Operation[tuple[Session, StemSet | None]]:
    """A session on `source` without an edit. Stems of another tool are taken into the store at once, and given too.

    `device` and `precision` as `separation_by` has them; `sensitivity` is that of another tool's stems.
    Raises UnbakeError for an unreadable source, an unknown model, or stems that do not belong to the source.
    """
    if stems_from is None:
        if align:
            raise UnbakeError("--align is about the stems of another tool", remedy="give --stems-from DIR too")
        separation = separation_by(model, device=device, precision=precision)
        return Session(source=describe_source(source), separation=separation), None
    found = describe_source(source)
    levels = dict(sensitivity or {})
    stems = yield from _import(found, stems_from, align=align, sensitivity=levels)
    separation = Separation(
        model=EXTERNAL,
        stems=tuple(sorted(stems.stems, key=_usual_place)),
        stems_from=str(stems_from.absolute()),
        align=align,
        sensitivity=levels,
        hashes=dict(stems.hashes),
    )
    return Session(source=found, separation=separation), stems


def create(
    source: Path,
    path: Path | None,
    *,
    model: str | None = None,
    stems_from: Path | None = None,
    align: bool = False,
    force: bool = False,
) -> Operation[tuple[Path, Session]]:
    """A new session on disk, at `path` or beside its source; gives where it lies and the document.

    An existing one is refused without `force`, and with it goes into the history of the new one.
    """
    check_origin(model, "auto", stems_from)
    path = path or place_beside(source)
    check_new(path, source, force=force)
    session, _ = yield from new_session(source, model=model or "starter", stems_from=stems_from, align=align)
    history.save(path, session, f"new session on {source.name}")
    return path, session


def check_origin(model: str | None, precision: Precision | Literal["auto"], stems_from: Path | None) -> None:
    """Refuses what is said of stems that are made here when another tool's are brought."""
    if stems_from is not None and model is not None:
        raise UnbakeError("--model and --stems-from exclude each other")
    if stems_from is not None and precision != "auto":
        raise UnbakeError("--precision is about stems made here", remedy="leave it out, or --stems-from")


def place_beside(source: Path) -> Path:
    """Where the session of a source lies or is to lie.

    `NAME.unbake.toml` beside it, or `NAME.EXT.unbake.toml` when the former is the session of another file.
    Raises UnbakeError when what lies there is broken.
    """
    path = files.default_path(source)
    if path.exists() and not same_file(Path(files.load(path).source.path), source):
        return path.with_name(source.name + files.SUFFIX)
    return path


def check_new(path: Path, source: Path, *, force: bool) -> None:
    """Refuses a place for a new session that is taken (without `force`) or has no folder.

    The default place makes its own folder when it is under `UNBAKE_HOME`.
    """
    if path.exists() or path.parent != files.default_path(source).parent:
        check_output(path, [source], force)


def open_session(path: Path) -> Session:
    """A session from disk whose source is there and is the file it was made on. Raises UnbakeError otherwise."""
    session = load(path)
    check_source(session, path)
    return session


def load(path: Path) -> Session:
    """A session from disk, whatever became of its source. Raises UnbakeError when there is none or it is broken."""
    if not path.exists():
        raise UnbakeError("no such file or folder", where=path, remedy="unbake session new FILE makes one")
    return files.load(path)


def check_source(session: Session, path: Path | None = None) -> None:
    """Refuses a session whose source is gone or is no longer the file it was made on. `path` is where it is saved."""
    source = Path(session.source.path)
    if not source.exists():
        remedy = f"put it back, or set source.path in {path or 'the session'}"
        raise UnbakeError("the source of this session is gone", where=source, remedy=remedy)
    if sha256_file(source) != session.source.sha256:
        raise UnbakeError(
            "the source has changed since the session was made (its SHA-256 differs)",
            where=source,
            remedy="put the old file back, or start anew with unbake session new",
        )


def set_values(path: Path, assignments: list[str]) -> Session:
    """Edits a session on disk by `PATH=VALUE`; the value before stays in its history.

    Choosing another model takes over its stems and overlap and forgets the hashes of the old ones, as another
    sensitivity does, and another placement that of a brought stem. A plug-in that is new or set otherwise is loaded
    once, so that what does not fit is refused here.
    """

    def change(before: Session | None) -> Session:
        if before is None:
            raise UnbakeError("no such file or folder", where=path, remedy="unbake session new FILE makes one")
        after = files.set_values(before, assignments, check=False)
        now, past = after.separation, before.separation
        if now.model != past.model and now.stems == past.stems:
            separation = msgspec.structs.replace(separation_by(now.model), sensitivity=now.sensitivity)
            after = msgspec.structs.replace(after, separation=separation)
        elif effective(now.sensitivity) != effective(past.sensitivity) and now.hashes == past.hashes:
            after = msgspec.structs.replace(after, separation=msgspec.structs.replace(now, hashes={}))
        after = msgspec.structs.replace(after, brought=_replaced(before.brought, after.brought))
        after = cleanups.unpinned(before, after)
        files.check_strips(after, Origin(" ".join(assignments)))
        finish(plugins.trying(after, plugins.used_by(before)))
        return after

    if not path.exists():
        change(None)
    return history.edit(path, change, "set " + " ".join(assignments))


def stems_for(
    session: Session, *, device: str = "auto", taken_in: StemSet | None = None, heard: Collection[str] = ()
) -> Operation[tuple[Session, Stems]]:
    """The stems a session's changes need and those that are `heard`, and the session with their hashes pinned.

    No network is asked where none of them is one that it makes. `taken_in` as `make_stems` has it, and so are notes and
    errors; and as `brought.stems_of` has them.
    """
    names = {*session.stems_used, *heard, *(session.brought if heard else ())}
    separated = None
    if session.needs_separation(names):
        session, separated = yield from make_stems(session, device=device, taken_in=taken_in)
    session, own = yield from brought.stems_of(session, names)
    stems = Stems(separated, own)
    session, removed = yield from cleanups.removed_from(session, stems.paths, stems.hashes, device)
    return session, msgspec.structs.replace(stems, removed=removed)


def make_stems(
    session: Session, *, device: str = "auto", taken_in: StemSet | None = None, from_seconds: float = 0.0
) -> Operation[tuple[Session, StemSet]]:
    """The stems of a session, from the store or made now, and the session with their hashes pinned.

    `taken_in` are stems that were taken into the store for this session a moment ago; what lies at `from_seconds` is
    separated first. The caller vouches for the source
    (`check_source`). Stems that differ from the pinned ones are announced in a Note, never silently used.
    """
    separation = session.separation
    if taken_in is not None:
        stems = taken_in
    elif separation.stems_from is not None:
        stems = yield from _import(
            session.source, Path(separation.stems_from), align=separation.align, sensitivity=separation.sensitivity
        )
    else:
        request = request_of(separation, device, from_seconds)
        path, sha256 = Path(session.source.path), session.source.sha256
        session, cleaned = yield from cleanups.heard_by_networks(session, device)
        heard = None if cleaned.sha256 == sha256 else Heard(cleaned.path, cleaned.sha256)
        stems = yield from stem_sets.separate(path, request, source_sha256=sha256, heard=heard)
    for name, pinned in separation.hashes.items():
        if stems.hashes.get(name) not in (None, pinned):
            yield Note(
                f"the stem {name} differs from the one this session was made with "
                f"({stems.hashes[name][:12]} instead of {pinned[:12]}): "
                "another device, library, file or setting made it"
            )
    # what another tool made is known by its files alone
    names = separation.stems or tuple(sorted(stems.stems, key=_usual_place))
    pinned_now = msgspec.structs.replace(separation, stems=names, hashes=dict(stems.hashes))
    return msgspec.structs.replace(session, separation=pinned_now), stems


def stem_paths(stems: Stems | StemSet | None) -> dict[str, Path]:
    """Files of stems by strip name, the residual among them."""
    return stems.paths if isinstance(stems, Stems) else _paths(stems)


def _paths(stems: StemSet | None) -> dict[str, Path]:
    if stems is None:
        return {}
    return {**{name: Path(path) for name, path in stems.stems.items()}, RESIDUAL: Path(stems.residual)}


def _replaced(before: Mapping[str, Brought], after: Mapping[str, Brought]) -> dict[str, Brought]:
    """Brought stems without the hashes of those that are to be made anew, since they are laid otherwise."""
    same = {name for name, each in after.items() if name in before and before[name].recipe == each.recipe}
    return {name: each if name in same else msgspec.structs.replace(each, hash="") for name, each in after.items()}


def _usual_place(stem: str) -> tuple[int, str]:
    """The order in which engineers list stems; unusual ones follow by name."""
    usual = ("vocals", "drums", "bass", "other")
    return (usual.index(stem) if stem in usual else len(usual), stem)


def _import(source: Source, folder: Path, *, align: bool, sensitivity: Mapping[str, float]) -> Operation[StemSet]:
    def offset_of(a, b, sample_rate):
        found = estimate(a, b, sample_rate)
        return found.delay_samples, found.polarity

    path = Path(source.path)
    stems = yield from import_stems(path, folder, align=align, offset_of=offset_of, source_sha256=source.sha256)
    return (yield from applied(path, stems, sensitivity)) if sensitivity else stems
