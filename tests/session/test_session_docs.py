"""The page on sessions names every processor with every parameter, and every preset lies in the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.session.processors import field_limits, kinds

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", kinds())
def test_the_page_lists_a_processor_with_its_parameters_and_ranges(name: str) -> None:
    row = next((line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]), "")
    kind = kinds()[name]
    for field in kind.__struct_fields__:
        if field != "bypass":
            assert f"`{field}`" in row, f"{name}: {field}"
    for field, (low, high) in field_limits(kind).items():
        if field not in ("bypass", "freq_hz") and low is not None and high is not None:
            assert re.search(rf"`{field}` {low:g} to {high:g}\b", row), f"{name}: {field} {low:g} to {high:g}"
