"""The page on the diagnosis names every figure, and the presets that treat it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.diagnosis import figures
from core.session import presets
from core.session.fits import FITS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \|(.*)$", PAGE, re.MULTILINE))


def test_the_page_has_a_row_for_every_figure_that_presets_can_fit_to() -> None:
    assert set(FITS) | {"hum", "noise"} == set(ROWS)


@pytest.mark.parametrize("preset", [preset for preset in presets.built_in() if preset.fits], ids=lambda one: one.name)
def test_a_preset_is_named_with_what_it_treats(preset: presets.Preset) -> None:
    for kind in preset.needs.findings:
        assert preset.name in ROWS[kind]


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("rumble", figures.RUMBLE_DB), ("bass_boom", figures.BOOM_DB), ("low_end_width", figures.CORRELATION),
        ("vocal_deficit", figures.BURIED_LU), ("vocal_surplus", figures.LOUD_LU), ("harshness", figures.HARSH_DB),
        ("sibilance", figures.SIBILANT_DB), ("dullness", figures.DULL_DB), ("spikiness", figures.SPIKY_DB),
        ("brightness", figures.BRIGHT_DB), ("mono_loss", figures.MONO_LU), ("hum", figures.HUM_DB),
        ("noise", figures.NOISE_DBFS),
    ],
)  # fmt: skip
def test_limits_are_those_of_the_page(kind: str, limit: float) -> None:
    assert re.search(rf"(over|under) {limit:g}\b", ROWS[kind]), kind
