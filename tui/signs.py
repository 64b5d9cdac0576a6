"""Which characters a terminal has, and what stands for those it lacks. Only the standard library and Rich's widths.

Everything that is written passes one table, `Signs`: our own text, Textual's, and the names of files. What is drawn
with dots asks for its `GlyphSet` besides.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Mapping
from enum import StrEnum

from rich.cells import cell_len


class GlyphSet(StrEnum):
    """What to draw with."""

    BRAILLE = "braille"
    BLOCKS = "blocks"
    ASCII = "ascii"

    @property
    def across(self) -> int:
        """Dot columns in a cell."""
        return 2 if self is GlyphSet.BRAILLE else 1

    @property
    def down(self) -> int:
        """Dot rows in a cell."""
        return 4 if self is GlyphSet.BRAILLE else 2


def choose(environ: Mapping[str, str], encoding: str | None) -> GlyphSet:
    """The finest set that a terminal with this environment and this encoding of its output shows."""
    if not is_utf8(encoding):
        return GlyphSet.ASCII
    return GlyphSet.BLOCKS if environ.get("TERM", "").startswith("linux") else GlyphSet.BRAILLE


def is_utf8(encoding: str | None) -> bool:
    """Whether text in this encoding can be anything."""
    try:
        return codecs.lookup(encoding or "ascii").name == "utf-8"
    except LookupError:
        return False


LOOK_ALIKES = {
    "▸": "►>", "◂": "◄<", "▶": "►>", "◀": "◄<", "▼": "v", "▲": "^", "Ø": "φ/", "·": ".", "…": "~", "◆": "♦*", "■": "#",
    "●": "•*", "•": "*", "█": "#", "▓": "%", "▒": ":", "░": ".", "▌": "|", "▐": "|", "▀": "'", "▄": "_", "×": "x",
    "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "→": ">", "←": "<", "↑": "^", "↓": "v",
    "►": ">", "◄": "<", "φ": "/", "♦": "*",
}  # fmt: skip
"""What may stand for a sign, one character each: the best first, at last one that every terminal has."""

CONSOLE = frozenset("►◄▲▼♦•↑↓←→")
"""What the Linux console's font has beside the code page 437 as Python knows it."""


class Signs(dict[int, str]):
    """What is written for a character, for `str.translate`: itself, or what is as wide where the terminal lacks it."""

    def __init__(self, encoding: str | None, glyphs: GlyphSet) -> None:
        super().__init__()
        self._encoding = encoding or "ascii"
        self._glyphs = glyphs

    @property
    def needed(self) -> bool:
        """Whether anything at all has to be written otherwise."""
        return self._glyphs is not GlyphSet.BRAILLE or not is_utf8(self._encoding)

    def __missing__(self, code: int) -> str:
        self[code] = found = self._sign(chr(code))
        return found

    def _sign(self, character: str) -> str:
        if self._shows(character):
            return character
        for other in (*LOOK_ALIKES.get(character, ""), *_drawn(character), *unicodedata.normalize("NFKD", character)):
            if cell_len(other) == cell_len(character) and self._shows(other):
                return other
        return "?" * cell_len(character)

    def _shows(self, character: str) -> bool:
        """Whether the encoding has it, and of signs the font too; letters are up to whoever named a file so."""
        if character.isascii():
            return True
        if not _encodes(character, self._encoding):
            return False
        if self._glyphs is GlyphSet.BRAILLE or (character not in LOOK_ALIKES and not _drawn(character)):
            return True
        return self._glyphs is GlyphSet.BLOCKS and (_encodes(character, "cp437") or character in CONSOLE)


def _encodes(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _drawn(character: str) -> str:
    """What may stand for a piece of a line, of a bar or of a picture in dots; nothing for what is none."""
    code = ord(character)
    if 0x2500 <= code <= 0x257F:
        name = unicodedata.name(character)
        if "HORIZONTAL" in name and "VERTICAL" not in name:
            return "─-"
        return "│|" if "VERTICAL" in name and "HORIZONTAL" not in name else "┼+"
    if 0x2580 <= code <= 0x259F:
        lower, left = "▁▂▃▄▅▆▇█".find(character), "▏▎▍▌▋▊▉█".find(character)
        if lower >= 0:
            return "▄_" if lower < 4 else "█#"
        if left >= 0:
            return "▌|" if left < 4 else "█#"
        return "▒:"
    if 0x2800 <= code <= 0x28FF:
        return " " if code == 0x2800 else "·."
    return ""
