"""What the single lines and rows of the desk say, at any width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from core.audio.formats import AudioInfo
from core.audio.hashes import Fingerprint
from core.jobs.opening import Located
from core.session.document import Strip
from core.session.processors import Bell, LowCut
from tui import actions
from tui.desk import words
from tui.desk.bench import Bench
from tui.desk.lanes import Columns, state_of
from tui.panels.panel import wrapped
from tui.paths import short
from tui.theme import for_colours
from tui.widgets.line import Piece, spread
from tui.widgets.rows import cut, fit

LONG = "夜のドライブ 最終マスター v12 アナログ・サミング, as long as mix engineers make them (really).wav"


def bench(name: str = "song.wav", **info: Any) -> Bench:
    stated = {"container": "WAV", "subtype": "PCM_24", "sample_rate": 48_000, "channels": 2, "frames": 48_000 * 252}
    probed = AudioInfo(path=name, speakers=("L", "R"), lossless=True, **{**stated, **info})
    located = Located(Path("/masters") / name, Path("/masters/song.unbake.toml"), False, probed, Fingerprint(0, 0, 0))
    return Bench(located=located)


def said(pieces: list[Piece]) -> str:
    return "".join(text for text, _ in pieces)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200, 300])
@pytest.mark.parametrize("name", ["a.wav", LONG], ids=["short", "long"])
def test_the_header_fits_and_keeps_the_right_end(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "badge", lambda bench: ("rest exact", ""))
    monkeypatch.setattr(words, "saved", lambda bench: ("not saved", ""))
    left, right = words.header(bench(name), width, "H200 12/139 GB")
    line = said(spread(left, right, width))
    assert cell_len(line) == width
    assert line.endswith("rest exact   not saved ")
    assert line.startswith(f" {name[:5]}")


def test_what_the_header_has_no_room_for_is_in_the_jobs_line() -> None:
    found = bench()
    assert words.left_out(found, 200, "H200 12/139 GB") == []
    aside = words.left_out(found, 50, "H200 12/139 GB")
    assert aside == ["H200 12/139 GB"]
    line = said(words.jobs_line(None, "opened", aside, 50))
    assert cell_len(line) == 50
    assert line.startswith(" opened")
    assert line.endswith(f"{aside[0]} ")


def test_a_long_word_in_the_jobs_line_is_cut_before_the_figures() -> None:
    line = said(words.jobs_line(None, "x" * 200, ["-9.1 LUFS"], 60))
    assert cell_len(line) == 60
    assert "…" in line
    assert line.endswith("-9.1 LUFS ")


@pytest.mark.parametrize(
    ("info", "form"),
    [
        ({}, "24 bit 48 kHz stereo"),
        ({"subtype": "FLOAT", "sample_rate": 96_000, "channels": 1}, "32 bit float 96 kHz mono"),
        ({"subtype": "VORBIS", "sample_rate": 44_100, "channels": 6, "lossless": False}, "Vorbis 44.1 kHz 6 channels"),
    ],
)
def test_formats_are_said_as_engineers_say_them(info: dict[str, Any], form: str) -> None:
    probed = bench().located
    assert probed is not None
    stated = {"lossless": True, **info}
    values = {field: getattr(probed.info, field) for field in probed.info.__struct_fields__} | stated
    assert words.form(AudioInfo(**values)) == form


@pytest.mark.parametrize("pane", actions.ALL)
@pytest.mark.parametrize("width", [30, 80, 200])
def test_the_footer_fits_and_always_leads_on(pane: str, width: int) -> None:
    line = said(words.footer(bench(), pane, {}, width))
    assert cell_len(line) <= width
    assert line.endswith(" : palette  ? help ")


def test_the_footer_joins_keys_that_belong_together_and_leaves_out_what_has_none() -> None:
    assert "←→ gain" in said(words.footer(bench(), "lanes", {}, 200))
    assert "←→ value" in said(words.footer(bench(), "chain", {}, 200))
    assert "h/l move" in said(words.footer(bench(), "overview", {}, 200))
    assert "undo" not in said(words.footer(bench(), "lanes", {"edit.undo": ()}, 200))
    assert " Ins/x value" in said(
        words.footer(bench(), "chain", {"value.less": ("insert",), "value.more": ("x",)}, 200)
    )


@pytest.mark.parametrize("width", range(30, 260, 7))
def test_the_columns_of_a_lane_leave_room_for_its_state(width: int) -> None:
    columns = Columns.within(["vocals", "backing vocals of the second chorus"], width)
    assert columns.wave >= 0
    assert columns.meter_at + columns.meter < columns.fader_at
    assert width < 60 or width - columns.fader_at >= 24


def test_a_lane_says_what_is_done_to_its_strip() -> None:
    bell, low_cut = Bell(freq_hz=250, gain_db=-4), LowCut(freq_hz=30)
    assert state_of(Strip(), short=True).text == "neutral"
    assert state_of(Strip(chain=(Bell(freq_hz=250, gain_db=-4, bypass=True),)), short=True).text == "neutral, bypassed"
    assert state_of(Strip(mode="cancel", chain=(bell,)), short=True).text == "cancelled"
    assert state_of(Strip(mode="parallel", blend=0.35), short=True).text == "parallel 35%"
    assert state_of(Strip(chain=(bell,)), short=True).text == "changed  bell 250 Hz -4 dB Q 0.7"
    assert state_of(Strip(chain=(bell, low_cut)), short=True).text == "changed  bell, low cut"
    assert state_of(Strip(chain=(bell, low_cut)), short=False).text == "changed"


@pytest.mark.parametrize("room", range(12))
def test_what_is_cut_ends_in_an_ellipsis_unless_only_blanks_went(room: int) -> None:
    assert cell_len(cut("日本語 song", room)) <= room
    assert cut("ab   ", 4) == "ab  "
    assert cut("abcdef", 4) == "abc…"
    assert fit("12", -4) == "  12"


def test_a_text_is_wrapped_at_its_words_by_cells() -> None:
    assert wrapped("one two 日本語 four", 8) == ["one two", "日本語", "four"]
    assert wrapped("", 8) == []


def test_paths_are_said_from_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert short("/home/anna/masters/song.wav") == "~/masters/song.wav"
    assert short("/home/anna") == "~"
    assert short("/mnt/song.wav") == "/mnt/song.wav"
    assert short("/mnt/caf\udce9.wav") == "/mnt/caf?.wav"


def test_sixteen_colours_begin_with_the_contrast_theme() -> None:
    assert for_colours("dark", "standard") == "contrast"
    assert for_colours("light", "standard") == "light"
    assert for_colours("dark", "256") == "dark"
