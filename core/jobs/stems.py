"""Stems for other programs: a separation out of the store into a folder of the engineer's."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.atomic import PendingFile, check_output, check_room, write_error
from core.errors import UnbakeError, os_error
from core.events import Operation, Progress
from core.jobs.sessions import make_stems
from core.separation.sensitivity import effective
from core.separation.separate import SeparationRequest
from core.separation.stems import separate
from core.separation.store import StemSet
from core.session.document import RESIDUAL, Session


class Separated(msgspec.Struct, frozen=True):
    """Where the stems lie, and what is known of them. `realtime_factor` is of this call, whatever the store gave.

    `overlap` is in passes; it and `precision` are None for stems of another tool. `sensitivity` is by stem, 5 left out.
    """

    model: str
    device: str
    sample_rate: int
    stems: dict[str, str]
    residual: str
    stem_sum_residual_dbfs: float | None
    reused: bool
    seconds: float
    realtime_factor: float
    overlap: float | None
    precision: str | None
    sensitivity: dict[str, float] = {}
    schema: int = 1


def separate_to(
    source: Path,
    folder: Path,
    request: SeparationRequest,
    *,
    force: bool = False,
) -> Operation[Separated]:
    """Separates `source` as asked, and writes NAME.wav for each stem and residual.wav into `folder`.

    The folder is made if it is missing. Raises UnbakeError for an unreadable source, a folder that can't be made, or
    files that are there without `force`.
    """
    started = time.monotonic()
    _check_folder(folder)
    for name in (*request.stems, RESIDUAL):
        _check(folder / f"{name}.wav", source, force)
    found = yield from separate(source, request)
    return (yield from _deliver(found, source, folder, started, force=force, sensitivity=request.sensitivity))


def export_stems(session: Session, folder: Path, *, device: str = "auto", force: bool = False) -> Operation[Separated]:
    """Writes the stems of a session, and the residual, as NAME.wav into `folder`, which is made if missing.

    They come out of the store, from the tool that made them, or are made now. Raises UnbakeError as `separate_to`.
    """
    started = time.monotonic()
    source = Path(session.source.path)
    _check_folder(folder)
    for name in (*session.separation.stems, RESIDUAL):
        _check(folder / f"{name}.wav", source, force)
    _, found = yield from make_stems(session, device=device)
    levels = session.separation.sensitivity
    return (yield from _deliver(found, source, folder, started, force=force, sensitivity=levels))


def _deliver(
    found: StemSet, source: Path, folder: Path, started: float, *, force: bool, sensitivity: Mapping[str, float]
) -> Operation[Separated]:
    files = {**found.stems, RESIDUAL: found.residual}
    for name in files:
        _check(folder / f"{name}.wav", source, force)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error
    check_room(folder / "residual.wav", sum(Path(path).stat().st_size for path in files.values()))
    written = {}
    for number, (name, path) in enumerate(files.items()):
        yield Progress("copying stems", number, len(files))
        written[name] = str(_copy(Path(path), folder / f"{name}.wav", force=force))
    seconds = time.monotonic() - started
    return Separated(
        model=found.model,
        device=found.device,
        sample_rate=found.sample_rate,
        stems={name: path for name, path in written.items() if name != RESIDUAL},
        residual=written[RESIDUAL],
        stem_sum_residual_dbfs=found.stem_sum_residual_dbfs,
        reused=found.reused,
        seconds=seconds,
        realtime_factor=found.frames / found.sample_rate / seconds,
        overlap=found.overlap or None,
        precision=found.precision if found.overlap else None,
        sensitivity=effective(sensitivity),
    )


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UnbakeError("is a file, not a folder", where=folder)
    if not folder.absolute().parent.is_dir():
        raise UnbakeError("the folder to write to does not exist", where=folder, remedy=f"make {folder.parent} first")


def _check(out: Path, source: Path, force: bool) -> None:
    if out.parent.is_dir():
        check_output(out, [source], force)


def _copy(stem: Path, out: Path, *, force: bool) -> Path:
    """A copy of its own, so that nothing done to it reaches the store."""
    with PendingFile(out, force=force) as pending:
        try:
            shutil.copyfile(stem, pending.path)
        except OSError as error:
            raise write_error(error, out, needed_bytes=stem.stat().st_size) from error
        pending.commit()
    return out
