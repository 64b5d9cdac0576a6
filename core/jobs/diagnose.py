"""Diagnosis of a master, and presets whose values are measured on it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import UnbakeError
from core.events import Note, Operation
from core.jobs import sessions
from core.separation.device import GPU_ONLY, Precision, check_device_name, check_precision, resolve_device
from core.session import presets, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.diagnosis.findings import Diagnosis
    from core.diagnosis.fitting import FittedPreset
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
    if stems_from is not None and model is not None:
        raise UnbakeError("--model and --stems-from exclude each other")
    session, stems = yield from sessions.new_session(
        source,
        model=model or "starter",
        device=device,
        precision=precision,
        stems_from=stems_from,
        align=align,
    )
    return (yield from diagnose_session(session, device=device, taken_in=stems, reference=reference))


def diagnose_session(
    session: Session, *, device: str = "auto", taken_in: StemSet | None = None, reference: Path | None = None
) -> Operation[Diagnosis]:
    """The same of a session's source, whatever was done to it so far. `taken_in` as `sessions.make_stems` has it."""
    from core.diagnosis.figures import Context
    from core.diagnosis.findings import Diagnosis, findings
    from core.diagnosis.measure import measure
    from core.measure.inspect import inspect_file

    started = time.monotonic()
    source = Path(session.source.path)
    reference_db = None if reference is None else (yield from _balance(reference))
    report = yield from inspect_file(source)
    session, stems = yield from sessions.make_stems(session, device=device, taken_in=taken_in)
    measured = yield from measure(source, sessions.stem_paths(stems))
    known, _ = presets.all_presets()
    return Diagnosis(
        path=os.fspath(source),
        model=session.separation.model,
        estimated=session.separation.stems_from is None,
        seconds=time.monotonic() - started,
        findings=findings(Context(measured, reference_db), known),
        faults=tuple(report.faults),
    )


def fit_preset(
    preset: Preset, session: Session, stems: StemSet, *, reference: Path | None = None
) -> Operation[FittedPreset]:
    """Measures the values that a preset leaves open, on the stems of a session, and says each in a Note."""
    from core.diagnosis.figures import Context
    from core.diagnosis.fitting import FittedPreset, fit
    from core.diagnosis.measure import measure

    if not preset.fits:
        if reference is not None:
            raise UnbakeError(f"preset {preset.name} measures nothing, so there is nothing that a reference could say")
        return FittedPreset(preset)
    reference_db = None if reference is None else (yield from _balance(reference))
    measured = yield from measure(Path(session.source.path), sessions.stem_paths(stems))
    fitted = fit(preset, session, Context(measured, reference_db))
    for line in words.of_fits(fitted.values):
        yield Note(line)
    return fitted


def _balance(reference: Path) -> Operation[NDArray[np.float64]]:
    """A recording's balance in third octaves, in dB."""
    import numpy as np

    from core.diagnosis.balance import third_octaves
    from core.diagnosis.measure import balance_of

    power, _ = yield from balance_of(reference)
    if not power.any():
        raise UnbakeError("is silent, so it can't be a reference", where=reference)
    return 10.0 * np.log10(np.maximum(third_octaves(power), 1e-16))
