"""What a file is and what is wrong with it: its format's faults, and the damage that the clean-up bench can mend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core.events import Note, Operation
from core.measure.inspect import Fault, FileReport, inspect_file

if TYPE_CHECKING:
    from core.cleanup.cleaner import Finding

KINDS = {
    "declip": "clipping",
    "declick": "clicks",
    "decrackle": "crackle",
    "dehum": "hum",
    "denoise": "noise",
    "deecho": "echo",
    "dereverb": "reverb",
}
"""What is wrong where a step finds something to do."""
NO_NUMBERS = frozenset({"nan", "inf"})


def inspect(path: Path) -> Operation[FileReport]:
    """Measures a file and looks for faults, those that the clean-up bench can mend among them.

    Of these only what is found surely enough to be proposed. Raises UnbakeError when the file can't be read.
    """
    from core.cleanup.proposal import PROPOSED_FROM, findings

    report = yield from inspect_file(path)
    if any(fault.kind in NO_NUMBERS for fault in report.faults):
        yield Note(
            "there are samples that are no numbers, so clicks, hum, noise, echoes and reverb were not looked for"
        )
        return report
    found = yield from findings(path)
    sure = [_fault(each) for each in found if each.found and each.confidence >= PROPOSED_FROM]
    # a step says more of clipping than the first look does
    other = [fault for fault in report.faults if not any(fault.kind == each.kind for each in sure)]
    return msgspec.structs.replace(report, faults=[*other, *sure])


def _fault(finding: Finding) -> Fault:
    places = tuple((place.first, place.last) for place in finding.places)
    return Fault(
        KINDS[finding.type],
        "warning",
        finding.detail,
        confidence=finding.confidence,
        figures=finding.figures,
        places=places,
        step=finding.type,
    )
