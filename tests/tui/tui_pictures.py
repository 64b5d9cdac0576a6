"""Pictures of the screen as text and as SVG, the same on every machine, held against those that are kept.

`UNBAKE_PIN=1 pytest tests/tui/test_tui_pictures.py` keeps what is found in place of what was kept.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import NamedTuple

from rich.segment import Segment

from tui.app import Workstation

KEPT = Path(__file__).with_name("pictures")
PIN = "UNBAKE_PIN"
SHOWN_LINES = 12
"""Of what differs in the text, as many lines as a failing test shows."""

CELL = 12.2
"""How wide Rich draws one."""

_NUMBER = re.compile(r'(="\d+\.\d)\d+"')
_TEXT = re.compile(r"<text [^>]*>([^<]*)</text>")
_ENDING = re.compile(r'textLength="([\d.]+)"(>[^<]*[^< ])( +)</text>')
_RECT = re.compile(
    r'<rect fill="(?P<fill>[^"]*)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" width="(?P<width>[\d.]+)"'
    r' height="(?P<height>[\d.]+)"/>'
)


class Picture(NamedTuple):
    """What is on the screen: its lines without blanks at their ends, and an SVG."""

    text: str
    svg: str


def strips(app: Workstation) -> list[list[Segment]]:
    """The lines of the screen as it is, with what shows through from the screens below."""
    return [list(strip) for strip in app.screen._compositor.render_strips()[: app.size.height]]


def taken(app: Workstation) -> Picture:
    """The screen as it is."""
    texts = ("".join(segment.text for segment in strip)[: app.size.width] for strip in strips(app))
    lines = [text.translate(app.signs).rstrip() if app.signs.needed else text.rstrip() for text in texts]
    return Picture("\n".join(lines) + "\n", tidy(app.export_screenshot(title="unbake")))


def tidy(svg: str) -> str:
    """An SVG of Textual's, drawing the same with no more than that takes.

    Without names made of random numbers, web fonts and clip paths; blanks as blanks, which `xml:space` lets begin a
    text; neighbouring grounds of one colour as one, and what all grounds have in common said once;
    no blanks at the end of a text.
    """
    svg = re.sub(r"terminal-\d+-", "", svg)
    svg = re.sub(r"<!--.*?-->|@font-face \{.*?\n    \}", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<clipPath id="line-\d+">.*?</clipPath>', "", svg, flags=re.DOTALL)
    svg = re.sub(r' clip-path="url\(#line-\d+\)"', "", svg)
    svg = svg.replace(' shape-rendering="crispEdges"', "")
    svg = svg.replace("<style>", "<style>rect { shape-rendering: crispEdges }", 1)
    svg = svg.replace("&#160;", " ").replace("<svg ", '<svg xml:space="preserve" ', 1)
    svg = _TEXT.sub(lambda found: found[0] if found[1].strip() else "", svg)
    svg = _ENDING.sub(_without_end, svg)
    svg = _NUMBER.sub(r'\1"', _stacked(_joined(svg)))
    svg = re.sub(r"(/>|</text>)\s*(?=<)", "\\1\n", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _without_end(found: re.Match[str]) -> str:
    """A text without the blanks at its end, and as much shorter."""
    length, text, blanks = found.groups()
    return f'textLength="{float(length) - CELL * len(blanks):.1f}"{text}</text>'


def _joined(svg: str) -> str:
    """The SVG with a ground that goes on in the same colour as one rectangle."""
    kept: list[str] = []
    before: re.Match[str] | None = None
    width = end = 0.0

    def put() -> None:
        if before is not None:
            kept.append(before[0].replace(f'width="{before["width"]}"', f'width="{width:.1f}"'))

    place = 0
    for found in _RECT.finditer(svg):
        between = svg[place : found.start()]
        same = before is not None and (before["fill"], before["y"]) == (found["fill"], found["y"])
        if not (same and not between.strip() and abs(float(found["x"]) - end) < 0.1):
            put()
            kept.append(between)
            before, width = found, 0.0
        width += float(found["width"])
        end = float(found["x"]) + float(found["width"])
        place = found.end()
    put()
    return "".join([*kept, svg[place:]])


def _stacked(svg: str) -> str:
    """The SVG with a ground that goes on in the next line, in the same colour and as wide, as one rectangle."""
    tops: dict[tuple[str, str, str], re.Match[str]] = {}
    ends: dict[re.Match[str], float] = {}
    above: dict[re.Match[str], re.Match[str]] = {}
    for found in _RECT.finditer(svg):
        kind, y = (found["fill"], found["x"], found["width"]), float(found["y"])
        top = tops.get(kind)
        if top is None or not 0.0 <= ends[top] - y < 1.0:
            top = tops[kind] = found
        above[found] = top
        ends[top] = y + float(found["height"])

    def drawn(found: re.Match[str]) -> str:
        if above[found] is not found:
            return ""
        height = ends[found] - float(found["y"])
        return found[0].replace(f'height="{found["height"]}"', f'height="{height:.1f}"')

    by_place = {found.start(): found for found in above}
    return _RECT.sub(lambda found: drawn(by_place[found.start()]), svg)


def differences(name: str, found: Picture) -> str:
    """What a picture has otherwise than the kept one of its name, in words; nothing when they are the same.

    With UNBAKE_PIN set it is kept from now on. Otherwise what was found is written beside what is kept.
    """
    differing = ""
    for suffix, content in ((".txt", found.text), (".svg", found.svg)):
        kept, beside = KEPT / f"{name}{suffix}", KEPT / f"{name}.found{suffix}"
        if os.environ.get(PIN):
            KEPT.mkdir(exist_ok=True)
            kept.write_text(content, encoding="utf-8")
        before = kept.read_text(encoding="utf-8") if kept.exists() else ""
        if before == content:
            beside.unlink(missing_ok=True)
            continue
        beside.write_text(content, encoding="utf-8")
        differing += f"\n{kept.name} is otherwise: {beside}"
        if suffix == ".txt":
            lines = difflib.unified_diff(before.splitlines(), content.splitlines(), "kept", "found", lineterm="", n=0)
            differing += "".join(f"\n    {line}" for line in list(lines)[:SHOWN_LINES])
    return differing
