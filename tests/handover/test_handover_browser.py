"""The report in a browser: whole, quiet, nothing over the edge or over anything else, and good on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.handover.certificate import Report
from core.handover.page.document import as_html
from core.handover.page.traces import Traces
from tests.audition.audition_browser import chromium
from tests.handover.handover_reports import make_figures, make_proofs, make_report, make_traces, no_figures

COLLISIONS = """
() => {
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const edge = svg.getBoundingClientRect();
    if (!edge.width) continue;
    const boxes = [...svg.querySelectorAll("text")].map((each) => [each.textContent, each.getBoundingClientRect()]);
    boxes.forEach(([text, box], at) => {
      if (box.left < edge.left - 1 || box.right > edge.right + 1 || box.bottom > edge.bottom + 1) {
        found.push(`${svg.querySelector("title").textContent}: ${text} is over the edge`);
      }
      for (const [other, its] of boxes.slice(at + 1)) {
        const wide = Math.min(box.right, its.right) - Math.max(box.left, its.left);
        const high = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
        if (wide > 0 && high > 3) found.push(`${svg.querySelector("title").textContent}: ${text} over ${other}`);
      }
    });
  }
  return found;
}
"""
LONG = "A very long name of a master that somebody gave it without any break or blank_" * 2


def usual() -> tuple[Report, Traces | None]:
    return make_report(figures=make_figures(), **make_proofs()), make_traces()


def wide_levels() -> tuple[Report, Traces | None]:
    """All names too long, levels of three digits, two hours."""
    bands = [msgspec.structs.replace(each, rms_dbfs=-150.0, b_rms_dbfs=-149.0) for each in make_figures().bands]
    report = make_report(
        figures=make_figures(seconds=7200.0, window_seconds=0.4, bands=bands),
        output=f"/{LONG}.wav",
        source=f"/{LONG}.flac",
        session=f"/{LONG}.unbake.toml",
        stems=(LONG, "other"),
        changed=(LONG,),
        changes=[f"{LONG}: bell 317 Hz -6 dB Q 0.95"],
        stem_sha256={LONG: "c" * 64},
    )
    return report, make_traces(7200.0, rate=50, level=1e-7)


def shortest() -> tuple[Report, Traces | None]:
    return make_report(figures=make_figures(seconds=1 / 44_100)), make_traces(1 / 44_100, rate=44_100)


def silent() -> tuple[Report, Traces | None]:
    return make_report(figures=no_figures()), make_traces(3.3, level=0.0)


def bare() -> tuple[Report, Traces | None]:
    return make_report(), None


CASES = [usual, wide_levels, shortest, silent, bare]


async def opened(browser: Any, file: Path, **context: Any) -> tuple[Any, list[str], list[str]]:
    """The page, what it complained of, and what it asked for beside itself."""
    problems: list[str] = []
    asked: list[str] = []
    page = await (await browser.new_context(**context)).new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(file.as_uri())
    asked.remove(file.as_uri())
    return page, problems, asked


@pytest.mark.parametrize("case", CASES)
async def test_a_browser_shows_the_page_on_any_screen(case: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    report, traces = case()
    file.write_text(as_html(report, traces), encoding="utf-8")
    async with chromium() as browser:
        for width in (1280, 390, 320):
            for scheme in ("light", "dark"):
                view = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
                page, problems, asked = await opened(browser, file, **view)
                assert problems == asked == []
                assert await page.evaluate("document.compatMode") == "CSS1Compat"
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
                assert await page.evaluate(COLLISIONS) == []
                shown = await page.evaluate("[...document.querySelectorAll('svg')].filter((s) => s.clientWidth).length")
                assert shown == await page.evaluate("document.querySelectorAll('figure').length")
                assert await page.locator("h1").is_visible()
                assert not await page.locator("pre").is_visible()


async def test_dark_where_the_screen_is_and_never_on_paper(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(as_html(*usual()), encoding="utf-8")
    ground = "getComputedStyle(document.body).backgroundColor"
    async with chromium() as browser:
        page, *_ = await opened(browser, file, color_scheme="dark")
        assert await page.evaluate(ground) == "rgb(16, 19, 24)"
        await page.emulate_media(media="print", color_scheme="dark")
        assert await page.evaluate(ground) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("paper", ["A4", "Letter"])
async def test_paper_holds_all_of_it_with_the_settings_unfolded_and_no_plot_cut(paper: str, tmp_path: Path) -> None:
    file, printed = tmp_path / "report.html", tmp_path / "report.pdf"
    file.write_text(as_html(*usual()), encoding="utf-8")
    async with chromium() as browser:
        page, *_ = await opened(browser, file)
        await page.pdf(path=printed, format=paper)
        await page.emulate_media(media="print")
        assert await page.locator("pre").is_visible()
        assert await page.evaluate(COLLISIONS) == []
    pages = len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))
    assert 3 <= pages <= 6
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext here (apt-get install poppler-utils)")
    said = subprocess.run(["pdftotext", "-layout", printed, "-"], capture_output=True, check=True, text=True).stdout
    sheets = said.split("\f")[:-1]
    assert len(sheets) == pages
    assert "Night Drive.repaired.wav" in sheets[0]
    assert "Rest exact." in sheets[0]
    assert all(re.search(rf"\b{number} ?/ ?{pages}\b", sheet) for number, sheet in enumerate(sheets, 1))
    assert all("Night Drive.repaired.wav" in sheet.splitlines()[0] for sheet in sheets[1:])
    assert "[strips.bass]" in sheets[-1]
    titles = {"Waveform": 1, "Spectrum before and after": 1, "Difference by band": 1, "Difference over time": 1}
    for title, axes in titles.items():
        sheet = next(sheet for sheet in sheets if re.search(rf"^ *{title}$", sheet, re.MULTILINE))
        after = sheet[sheet.index(title) :]
        assert len(re.findall("frequency, Hz|time, min:s", after)) >= axes, title
