"""What a master suffers from, each finding with its figure, its place, and the preset that would treat it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.diagnosis.figures import Context, Figure, all_figures
from core.measure.inspect import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.session.presets import Preset


class Finding(msgspec.Struct, frozen=True):
    """One figure. `found` says whether it is beyond its limit; `presets` are those that name it among their needs.

    `strip` is a stem or "master"; `from_seconds` and `to_seconds` are where it is at its worst, None for throughout.
    """

    kind: str
    strip: str
    found: bool
    value: float
    unit: str
    limit: float
    detail: str
    presets: tuple[str, ...] = ()
    from_seconds: float | None = None
    to_seconds: float | None = None


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What `unbake diagnose --json` prints. `faults` are those of the file itself, as `unbake info` finds them.

    `estimated` says that the stems were estimated by a network, so that what is told of them is an estimate too.
    """

    schema: int = 1
    path: str
    model: str
    estimated: bool
    seconds: float
    findings: tuple[Finding, ...]
    faults: tuple[Fault, ...]

    @property
    def found(self) -> tuple[Finding, ...]:
        """Those beyond their limits."""
        return tuple(finding for finding in self.findings if finding.found)


def findings(context: Context, presets: Iterable[Preset]) -> tuple[Finding, ...]:
    """Every figure that can be measured here, those beyond their limits first."""
    known = list(presets)
    made = [_finding(figure, known) for figure in all_figures(context)]
    return tuple(sorted(made, key=lambda finding: not finding.found))


def _finding(figure: Figure, presets: list[Preset]) -> Finding:
    found = figure.excess > 0.0
    start, end = figure.stretch if figure.stretch is not None and found else (None, None)
    return Finding(
        kind=figure.kind,
        strip=figure.strip,
        found=found,
        value=round(figure.value, 2),
        unit=figure.unit,
        limit=round(figure.limit, 2),
        detail=figure.detail,
        presets=tuple(preset.name for preset in presets if figure.kind in preset.needs.findings) if found else (),
        from_seconds=start,
        to_seconds=end,
    )
