"""What stands for a character that a terminal lacks: always as wide, never one that it lacks too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tui.signs import LOOK_ALIKES, GlyphSet, Signs

TUI = Path(__file__).resolve().parent.parent.parent / "tui"
DRAWN = "".join(chr(code) for code in (*range(0x2500, 0x25A0), *range(0x2800, 0x2900)))


def our_own_signs() -> str:
    """Every character beyond ASCII in the app's own sources."""
    return "".join(sorted(set(re.findall(r"[^\x00-\x7f]", "".join(path.read_text() for path in TUI.rglob("*.py"))))))


@pytest.mark.parametrize(
    ("encoding", "glyphs"),
    [("ascii", "ascii"), ("iso8859-1", "ascii"), ("koi8-r", "ascii"), ("nonsense", "ascii"), ("utf-8", "blocks")],
)
def test_everything_written_can_be_encoded_and_is_as_wide(encoding: str, glyphs: str) -> None:
    signs = Signs(encoding, GlyphSet(glyphs))
    assert signs.needed
    for character in our_own_signs() + DRAWN + "éü日本語 ←🎛 \u0301":
        shown = character.translate(signs)
        assert cell_len(shown) == cell_len(character), character
        shown.encode("ascii" if encoding == "nonsense" else encoding)


def test_our_own_signs_have_look_alikes_of_their_own() -> None:
    said = our_own_signs().translate(Signs("ascii", GlyphSet.ASCII))
    assert "?" not in said
    assert said.isascii()


def test_the_console_gets_what_its_font_has() -> None:
    signs = Signs("utf-8", GlyphSet.BLOCKS)
    assert "▸ Ø ◂ … ▇ ⡀ █ ░ │".translate(signs) == "► φ ◄ ~ █ · █ ░ │"


def test_ascii_by_choice_leaves_the_names_of_files_alone() -> None:
    signs = Signs("utf-8", GlyphSet.ASCII)
    assert "▸ Øde ballade – 日本.wav │".translate(signs) == "> /de ballade - 日本.wav |"


def test_a_terminal_that_has_everything_needs_no_table() -> None:
    assert not Signs("UTF-8", GlyphSet.BRAILLE).needed
    assert "▸ Ø ⡀".translate(Signs("utf8", GlyphSet.BRAILLE)) == "▸ Ø ⡀"


def test_look_alikes_are_one_character_for_one() -> None:
    for sign, others in LOOK_ALIKES.items():
        assert others[-1].isascii()
        assert {cell_len(each) for each in (sign, *others)} == {1}, sign
