"""A report as one HTML file.

It needs nothing but itself: no script, no font, no picture from elsewhere, and a policy in its head that would keep a
browser from fetching any. The same report and the same files give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.handover.certificate import Report
from core.handover.page import sections
from core.handover.page.markup import Html, css_string, element, joined
from core.handover.page.traces import Traces

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE: Final = Path(__file__).with_name("page.css")


def as_html(report: Report, traces: Traces | None) -> str:
    """The report as a page; without `traces`, as of a certificate alone, without what is drawn of the files."""
    name = Path(report.render.output).name
    found = sections.verdict(report.render)
    top = joined(
        [
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="generator", content=f"unbake {report.unbake}"),
            element("title", f"{name}: {found.short}"),
            element("style", Html(STYLE.read_text(encoding="utf-8") + _running_head(report, name))),
        ]
    )
    body = element("main", sections.head(report), sections.sections(sections.Told(report, traces)))
    page = element("html", element("head", top), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _running_head(report: Report, name: str) -> str:
    """What stands on top of every printed page but the first."""
    left, right = css_string(name), css_string(f"unbake {report.unbake}")
    return f"@page {{ @top-left {{ content: {left} }} @top-right {{ content: {right} }} }}\n"
