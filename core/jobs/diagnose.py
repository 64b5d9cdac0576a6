"""Diagnosis of a master, and presets whose values are measured on it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.audio.hashes import fingerprint
from core.errors import UnbakeError
from core.events import Note, Operation
from core.jobs import sessions
from core.separation.device import GPU_ONLY, Precision, check_device_name, check_precision, resolve_device
from core.session import presets, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from core.diagnosis.findings import Diagnosis
    from core.diagnosis.fitting import FittedPreset
    from core.diagnosis.measure import Measured
    from core.separation.store import StemSet
    from core.session.document import Session
    from core.session.presets import Preset


def diagnose(
    source: Path,
    *,
    model: str | None = None,
    precision: Precision | Literal["auto"] = "auto",
    stems_from: Path | None = None,
    align: bool = False,
    device: str = "auto",
    reference: Path | None = None,
) -> Operation[Diagnosis]:
    """Separates a master (or takes the stems of another tool) and measures what is wrong with it.

    With `reference` the low mids are held against another recording's. Raises UnbakeError.
    """
    check_device_name(device)
    check_precision(precision, resolve_device(device) if precision in GPU_ONLY else device)
    sessions.check_origin(model, precision, stems_from)
    started = time.monotonic()
    reference_db = None if reference is None else (yield from reference_balance(reference))
    session, stems = yield from sessions.new_session(
        source,
        model=model or "starter",
        device=device,
        precision=precision,
        stems_from=stems_from,
        align=align,
    )
    session, stems = yield from sessions.make_stems(session, device=device, taken_in=stems)
    return (yield from _findings(session, sessions.stem_paths(stems), reference_db, started))


def diagnose_stems(session: Session, stems: Mapping[str, Path]) -> Operation[Diagnosis]:
    """The same of a session's source, on stems that lie there, by strip name, the residual among them."""
    return (yield from _findings(session, stems, None, time.monotonic()))


def _findings(
    session: Session, stems: Mapping[str, Path], reference_db: NDArray[np.float64] | None, started: float
) -> Operation[Diagnosis]:
    from core.diagnosis.figures import Context
    from core.diagnosis.findings import Diagnosis, findings
    from core.jobs.inspect import inspect

    source = Path(session.source.path)
    report = yield from inspect(source)
    measured = yield from _measured(source, stems)
    known, _ = presets.all_presets()
    estimated = session.separation.stems_from is None
    return Diagnosis(
        path=os.fspath(source),
        model=session.separation.model,
        estimated=estimated,
        seconds=time.monotonic() - started,
        findings=findings(Context(measured, reference_db, estimated), known),
        faults=tuple(report.faults),
    )


def fit_preset(
    preset: Preset, session: Session, stems: StemSet, *, reference_db: NDArray[np.float64] | None = None
) -> Operation[FittedPreset]:
    """Measures the values that a preset leaves open, on the stems of a session, and says each in a Note.

    `reference_db` is another recording's `reference_balance`.
    """
    fitted = yield from fit_stems(preset, session, sessions.stem_paths(stems), reference_db=reference_db)
    for line in words.of_fits(fitted.values):
        yield Note(line)
    return fitted


def fit_stems(
    preset: Preset,
    session: Session,
    stems: Mapping[str, Path],
    *,
    reference_db: NDArray[np.float64] | None = None,
) -> Operation[FittedPreset]:
    """The same on stems that lie there, by strip name, the residual among them; says nothing of it."""
    from core.diagnosis.figures import Context
    from core.diagnosis.fitting import FittedPreset, fit

    if not preset.fits:
        return FittedPreset(preset)
    measured = yield from _measured(Path(session.source.path), stems)
    return fit(preset, session, Context(measured, reference_db, session.separation.stems_from is None))


_last: tuple[object, Measured] | None = None
"""What was measured last, and of which files: whoever reads a diagnosis soon asks for a preset that it names."""


def _measured(source: Path, stems: Mapping[str, Path]) -> Operation[Measured]:
    from core.diagnosis.measure import measure

    global _last
    of = [(name, path, fingerprint(path)) for name, path in (("", source), *sorted(stems.items()))]
    known = _last
    if known is None or known[0] != of:
        known = _last = of, (yield from measure(source, stems))
    return known[1]


def reference_balance(reference: Path) -> Operation[NDArray[np.float64]]:
    """A recording's balance in third octaves: dB, float64 [bands]. Raises UnbakeError when it is silent, too."""
    from core.diagnosis.balance import third_octaves
    from core.diagnosis.measure import balance_of
    from core.measure.spectrum import to_db

    power = yield from balance_of(reference)
    if not power.any():
        raise UnbakeError("is silent, so it can't be a reference", where=reference)
    return to_db(third_octaves(power))
