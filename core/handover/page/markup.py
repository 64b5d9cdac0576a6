"""HTML and SVG out of small pieces: whatever is not markup already is escaped, so that no name of a file can break out.

Names may hold anything: what no HTML file can carry (lone surrogates of names that are no text, control characters)
becomes the replacement character.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

Attribute = str | float | None
VOID = frozenset({"br", "meta"})
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Text as markup that shows it; markup stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(_UNWANTED.sub("\ufffd", text)))


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Pieces in a row, each escaped unless it is markup."""
    return Html(escaped(between).join(escaped(part) for part in parts))


def element(name: str, /, *content: str, **attributes: Attribute) -> Html:
    """One element. Of attribute names `_` is `-`, and a `_` at the end is left out; None leaves the attribute out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value if isinstance(value, str) else number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{joined(content)}</{name}>")


def number(value: float) -> str:
    """A coordinate, to a tenth: `12`, `12.5`."""
    return f"{value:.1f}".removesuffix(".0").replace("-0", "0" if abs(value) < 0.05 else "-0")


def css_string(text: str) -> str:
    """Text as a string of a style sheet, whatever is in it."""
    plain = _UNWANTED.sub("\ufffd", text)
    return '"' + "".join(each if each.isalnum() and each.isascii() else f"\\{ord(each):x} " for each in plain) + '"'
