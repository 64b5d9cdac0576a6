"""The page on sessions names every processor with every parameter, and every preset lies in the package."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from core.session.processors import field_limits, kinds

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "sessions.md").read_text(encoding="utf-8")
PAGE_OF_PICTURES = DOCS / "processors.md"
PICTURES = DOCS / "pictures"


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


@pytest.mark.parametrize("name", kinds())
def test_the_page_of_pictures_says_what_a_processor_does(name: str) -> None:
    assert f"`{name}`" in PAGE_OF_PICTURES.read_text(encoding="utf-8")


def test_every_picture_is_shown_is_there_and_is_small() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(pictures/(\w+)\.svg\)", PAGE_OF_PICTURES.read_text(encoding="utf-8"))
    script = PAGE_OF_PICTURES.with_suffix(".py").read_text(encoding="utf-8")
    drawn = re.findall(r"^@picture\ndef (\w+)", script, re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(shown) == set(drawn) == {path.stem for path in PICTURES.iterdir()}
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 300_000


def test_a_picture_is_what_the_stages_do() -> None:
    """The cut at 100 Hz and 24 dB/oct, drawn anew."""
    spec = importlib.util.spec_from_file_location("drawing", PAGE_OF_PICTURES.with_suffix(".py"))
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    points = [re.findall(r"[-\d.]+", text) for text in re.findall(r'points="([^"]+)"', drawing.PICTURES["cuts"]())]
    kept = re.findall(r'points="([^"]+)"', (PICTURES / "cuts.svg").read_text(encoding="utf-8"))
    for found, text in zip(points, kept, strict=True):
        before = [float(each) for each in re.findall(r"[-\d.]+", text)]
        assert [float(each) for each in found] == pytest.approx(before, abs=0.2)
