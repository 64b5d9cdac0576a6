"""What the drawing widgets put on the screen, cell by cell, and that they resend no more than what changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from rich.cells import cell_len
from textual import events
from textual.app import App, ComposeResult
from textual.color import Color
from textual.geometry import Region
from textual.message import Message
from textual.pilot import Pilot

from tui.signs import GlyphSet, choose
from tui.widgets.curve import Curve, fitting_scale
from tui.widgets.drawing import Drawing
from tui.widgets.glyphs import between, pack
from tui.widgets.meter import Meter
from tui.widgets.ruler import Ruler, clock
from tui.widgets.spectrogram import SHADES, SpectrogramView
from tui.widgets.waveform import Waveform

W = TypeVar("W", bound=Drawing)
RATE = 48_000
BRAILLE, BLOCKS, ASCII = GlyphSet.BRAILLE, GlyphSet.BLOCKS, GlyphSet.ASCII


class Stage(App[None]):
    """One widget, and what it says."""

    def __init__(self, widget: Drawing) -> None:
        super().__init__()
        self.widget = widget
        self.heard: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_waveform_pointed(self, message: Waveform.Pointed) -> None:
        self.heard.append(message)

    def on_waveform_wheeled(self, message: Waveform.Wheeled) -> None:
        self.heard.append(message)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with all colours, wherever the tests run."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)


async def stood(pilot: Pilot[None], widget: Drawing, columns: int, rows: int) -> None:
    widget.styles.min_height = 0
    widget.styles.width, widget.styles.height = columns, rows
    await pilot.pause()
    assert tuple(widget.size) == (columns, rows)


def lines(widget: Drawing) -> list[str]:
    return [widget.render_line(row).text for row in range(widget.size.height)]


def drawn(widget: W, columns: int, rows: int, act: Callable[[W], object]) -> list[str]:
    """The lines of a widget of this size after something was done to it."""

    async def run() -> list[str]:
        async with Stage(widget).run_test(size=(140, 40)) as pilot:
            await stood(pilot, widget, columns, rows)
            act(widget)
            await pilot.pause()
            return lines(widget)

    return asyncio.run(run())


def resent(widget: W, columns: int, rows: int, *acts: Callable[[W], object]) -> list[Any]:
    """The regions that each act but the first refreshes, "all" where it is the whole widget."""

    async def run() -> list[Any]:
        async with Stage(widget).run_test(size=(140, 40)) as pilot:
            await stood(pilot, widget, columns, rows)
            acts[0](widget)
            await pilot.pause()
            lines(widget)
            found: list[Any] = []
            own = widget.refresh

            def refresh(*regions: Region, **options: bool) -> Drawing:
                found[-1] += regions or ["all"]
                return own(*regions, **options)

            widget.refresh = refresh  # type: ignore[method-assign]
            for act in acts[1:]:
                found.append([])
                act(widget)
                await pilot.pause()
                lines(widget)
            return found

    return asyncio.run(run())


def steps(glyphs: GlyphSet, *values: float) -> np.ndarray:
    """A value for every cell."""
    return np.repeat(np.array(values, np.float32), glyphs.across)


def dots_of(rows: list[str]) -> np.ndarray:
    """The dots of braille lines."""
    codes = np.array([[0 if glyph == " " else ord(glyph) - 0x2800 for glyph in row] for row in rows])
    bits = [[0, 3], [1, 4], [2, 5], [6, 7]]
    tiles = np.array([[codes >> bit & 1 for bit in pair] for pair in bits], bool)
    return tiles.transpose(2, 0, 3, 1).reshape(codes.shape[0] * 4, codes.shape[1] * 2)


# -- glyphs


@pytest.mark.parametrize(
    ("term", "encoding", "expected"),
    [
        ("xterm-256color", "utf-8", BRAILLE),
        ("tmux-256color", "UTF8", BRAILLE),
        ("", "utf-8", BRAILLE),
        ("linux", "utf-8", BLOCKS),
        ("linux-16color", "UTF-8", BLOCKS),
        ("xterm", "ascii", ASCII),
        ("linux", "ISO-8859-1", ASCII),
        ("xterm", "no such encoding", ASCII),
        ("xterm", None, ASCII),
    ],
)
def test_the_terminal_decides_what_to_draw_with(term: str, encoding: str | None, expected: GlyphSet) -> None:
    assert choose({"TERM": term}, encoding) is expected


def test_dots_are_packed_into_the_cell_they_lie_in() -> None:
    dots = np.zeros((8, 4), bool)
    dots[0, 0] = dots[3, 3] = dots[5, 1] = True
    cells = pack(dots, BRAILLE)
    assert ["".join(map(chr, row)) for row in cells.tolist()] == ["⠁⢀", "⠐ "]
    assert np.array_equal(dots_of(["⠁⢀", "⠐ "]), dots)


# -- waveform

WAVE = (1, 0.5, 0, np.nan, 0.25, 1)


@pytest.mark.parametrize(
    ("glyphs", "expected"),
    [
        (BRAILLE, [["⣿⠶⠒ ⠶⣿"], ["⣿⣤⣀ ⣀⣿", "⣿⠛  ⠉⣿"], ["⣿⣀   ⣿", "⣿⣿⠒ ⣿⣿", "⣿⠉   ⣿"]]),
        (BLOCKS, [["██─ ██"], ["█▄─ ▄█", "█▀  ▀█"], ["█▄   █", "██─ ██", "█▀   █"]]),
        (ASCII, [["##- ##"], ["#.- .#", "#'  '#"], ["#.   #", "##- ##", "#'   #"]]),
    ],
)
def test_a_waveform_is_symmetrical_fills_its_height_and_shows_silence(
    glyphs: GlyphSet, expected: list[list[str]]
) -> None:
    high = steps(glyphs, *WAVE)
    for rows, text in enumerate(expected, 1):
        assert drawn(Waveform(glyphs=glyphs), len(WAVE), rows, lambda wave: wave.draw(-high, high)) == text


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 10])
def test_what_is_symmetrical_looks_symmetrical(rows: int) -> None:
    high = np.random.default_rng(1).uniform(0.001, 1.2, 120).astype(np.float32)
    dots = dots_of(drawn(Waveform(), 60, rows, lambda wave: wave.draw(-high, high)))
    assert np.array_equal(dots, dots[::-1])
    assert np.array_equal(dots[0], high > 1 - 1 / (2 * rows) - 1e-6)


def test_an_offset_is_drawn_where_it_is_and_scale_enlarges() -> None:
    low, high = np.full(4, 0.2, np.float32), np.full(4, 0.45, np.float32)
    assert drawn(Waveform(), 2, 2, lambda wave: wave.draw(low, high)) == ["⣤⣤", "  "]
    assert drawn(Waveform(), 2, 2, lambda wave: wave.draw(low, high, scale=2)) == ["⠿⠿", "  "]


def test_single_samples_make_a_line_without_gaps() -> None:
    samples = np.array([-0.9, 0.9, 0.2, -0.5, 0, 0], np.float32)
    dots = dots_of(drawn(Waveform(), 3, 4, lambda wave: wave.draw(samples, samples)))
    for left, right in zip(dots.T, dots.T[1:], strict=False):
        left_rows, right_rows = np.flatnonzero(left), np.flatnonzero(right)
        assert left_rows[0] <= right_rows[-1] + 1
        assert right_rows[0] <= left_rows[-1] + 1


@pytest.mark.parametrize(("glyphs", "dotted"), [(BRAILLE, "⠂"), (BLOCKS, "·"), (ASCII, ".")])
def test_what_is_not_known_yet_is_a_faint_dotted_line(glyphs: GlyphSet, dotted: str) -> None:
    wave = Waveform(glyphs=glyphs)

    def act(wave: Waveform) -> None:
        half = np.full(wave.wanted, np.nan, np.float32)
        half[: len(half) // 2] = 1
        wave.draw(-half, half)

    rows = drawn(wave, 8, 3, act)
    assert [row[4:] for row in rows] == ["    ", f"{dotted} " * 2, "    "]
    assert all(" " not in row[:4] for row in rows)


def test_a_cell_that_is_half_known_shows_the_half() -> None:
    high = np.array([1, np.nan], np.float32)
    assert drawn(Waveform(), 1, 1, lambda wave: wave.draw(-high, high)) == ["⡇"]


def test_more_columns_than_room_lose_no_peak_and_fewer_are_stretched() -> None:
    high = np.zeros(6000, np.float32)
    high[3210] = 1
    full = dots_of(drawn(Waveform(), 30, 4, lambda wave: wave.draw(-high, high))).all(axis=0)
    assert np.flatnonzero(full).tolist() == [32]
    two = np.array([1, 0.1], np.float32)
    assert drawn(Waveform(), 4, 1, lambda wave: wave.draw(-two, two)) == ["⣿⣿⠶⠶"]


@pytest.mark.parametrize(("glyphs", "expected"), [(BRAILLE, "⣿⣶⣤⣀  ⡀"), (BLOCKS, "██▄▄  ·"), (ASCII, "##=_  .")])
def test_a_lane_draws_amplitudes_upwards(glyphs: GlyphSet, expected: str) -> None:
    amplitude = steps(glyphs, 1, 0.5, 0.2, 0.05, 0, np.nan, np.nan)
    lane = Waveform(compact=True, glyphs=glyphs)
    assert drawn(lane, 7, 1, lambda wave: wave.draw(-amplitude, amplitude / 2)) == [expected]


def test_the_loop_has_a_ground_of_its_own_in_three_runs() -> None:
    wave = Waveform()

    def act(wave: Waveform) -> None:
        high = np.tile(np.array([0.9, 0.1, 0.5, 0], np.float32), 20)
        wave.draw(-high, high)
        wave.select(10, 19)

    async def run() -> None:
        async with Stage(wave).run_test(size=(140, 40)) as pilot:
            await stood(pilot, wave, 40, 4)
            act(wave)
            await pilot.pause()
            for row in range(4):
                runs = list(wave.render_line(row))
                assert [len(text) for text, _, _ in runs] == [10, 10, 20]
                grounds = [style.bgcolor for _, style, _ in runs if style]
                assert grounds[0] == grounds[2] != grounds[1]
            wave.select(None, None)
            await pilot.pause()
            assert all(len(list(wave.render_line(row))) == 1 for row in range(4))

    asyncio.run(run())


def test_a_waveform_resends_only_the_cells_that_differ() -> None:
    high = np.full(80, 0.4, np.float32)
    peak = high.copy()
    peak[20:24] = 1
    again, changed, unchanged = resent(
        Waveform(),
        40,
        4,
        lambda wave: wave.draw(-high, high),
        lambda wave: wave.draw(-high, high),
        lambda wave: wave.draw(-high, peak),
        lambda wave: wave.select(None, None),
    )
    assert (again, unchanged) == ([], [])
    assert changed == [Region(10, 0, 2, 1)]


def test_lowest_and_highest_must_belong_together() -> None:
    with pytest.raises(ValueError, match="shape"):
        Waveform().draw(np.zeros(3), np.zeros(4))


def test_the_mouse_points_drags_and_wheels() -> None:
    wave = Waveform()

    async def run() -> list[Message]:
        app = Stage(wave)
        async with app.run_test(size=(140, 40)) as pilot:
            await stood(pilot, wave, 40, 4)
            await pilot.click(wave, offset=(10, 1), shift=True)
            await pilot.mouse_down(wave, offset=(5, 0))
            await pilot.hover(wave, offset=(5, 2))
            await pilot.hover(wave, offset=(20, 2))
            await pilot.mouse_up(wave, offset=(100, 9))
            await pilot.hover(wave, offset=(3, 3))
            for kind in (events.MouseScrollUp, events.MouseScrollDown):
                wave.post_message(kind(wave, 7, 1, 0, 0, 0, False, False, False))
            await pilot.pause()
            return app.heard

    click, *drag, up, down = asyncio.run(run())
    assert isinstance(click, Waveform.Pointed)
    assert (click.cell, click.start, click.shift, click.done) == (10, 10, True, True)
    assert click.x == pytest.approx(0.25, abs=0.02)
    pointed = [(each.cell, each.start, each.done) for each in drag if isinstance(each, Waveform.Pointed)]
    assert pointed[0] == (20, 5, False)
    assert pointed[-1] == (39, 5, True)
    assert not any(done for _, _, done in pointed[:-1])
    assert [(each.up, each.cell) for each in (up, down) if isinstance(each, Waveform.Wheeled)] == [
        (True, 7),
        (False, 7),
    ]


# -- ruler


def labels(first: int, last: int, columns: int) -> dict[int, str]:
    """The texts of the first row and where they begin."""
    row = drawn(Ruler(), columns, 2, lambda ruler: ruler.span(first, last, RATE))[0]
    return {row.index(text): text for text in row.split()}


def test_times_are_round_and_stand_where_they_are() -> None:
    assert labels(0, 240 * RATE, 120) == {15 * n: f"{n // 2}:{n % 2 * 30:02d}" for n in range(8)}
    assert labels(0, 3 * 3600 * RATE, 120) == {
        20 * n: text for n, text in enumerate(["0:00", "30:00", "1:00:00", "1:30:00", "2:00:00", "2:30:00"])
    }
    start = 84 * RATE + RATE // 4
    assert labels(start, start + 480, 100) == {20 * n: f"1:24.25{2 * n}" for n in range(5)}


def test_the_deepest_zoom_counts_samples() -> None:
    assert labels(4_032_000, 4_032_020, 100) == {25 * n: str(4_032_000 + 5 * n) for n in range(4)}


def test_labels_have_room_whatever_the_span() -> None:
    ruler = Ruler()

    async def run() -> None:
        async with Stage(ruler).run_test(size=(140, 40)) as pilot:
            for columns in (20, 80, 133):
                await stood(pilot, ruler, columns, 2)
                for span in (3, 100, 481, 9_999, RATE, 77 * RATE, 5000 * RATE, 400_000 * RATE):
                    ruler.span(12_345_678, 12_345_678 + span, RATE)
                    row = lines(ruler)[0]
                    assert "  " not in row.strip() or min(map(len, re.findall(" +", row.strip()))) >= 2, row
                    assert columns < 80 or len(row.split()) >= 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("count", "per_second", "places", "text"),
    [
        (0, 48000, 0, "0:00"),
        (60_000, 48_000, 3, "0:01.250"),
        (3750 * 44_100 - 1, 44_100, 0, "1:02:29"),
        (3750, 1, 0, "1:02:30"),
    ],
)
def test_clock(count: int, per_second: int, places: int, text: str) -> None:
    assert clock(count, per_second, places) == text


def test_the_playhead_has_the_second_row_to_itself() -> None:
    def act(ruler: Ruler) -> None:
        ruler.span(0, 240 * RATE, RATE)
        ruler.playhead(84 * RATE + 14_880, exact=True)

    assert drawn(Ruler(), 60, 2, act) == [
        "0:00           1:00           2:00           3:00           "[:60],
        f"{'':21}▼ 1:24.310{'':29}",
    ]
    assert drawn(Ruler(glyphs=ASCII), 60, 2, act)[1].strip() == "v 1:24.310"


def test_the_playhead_keeps_its_time_inside_and_says_on_which_side_it_is_out() -> None:
    def at(frame: int | None, *, columns: int = 30) -> str:
        def act(ruler: Ruler) -> None:
            ruler.span(60 * RATE, 120 * RATE, RATE)
            ruler.playhead(frame)

        return drawn(Ruler(), columns, 2, act)[1]

    assert at(60 * RATE) == "▼ 1:00".ljust(30)
    assert at(119 * RATE) == "1:58 ▼".rjust(30).replace("1:58", "1:59")
    assert at(120 * RATE) == "2:00 ▼".rjust(30)
    assert at(59 * RATE) == "<".ljust(30)
    assert at(121 * RATE) == ">".rjust(30)
    assert at(None) == " " * 30
    assert at(90 * RATE, columns=4) == "  ▼ "


def test_a_playhead_that_stays_in_its_cell_resends_nothing() -> None:
    cell = 4 * RATE
    within, told_again, across, exact, gone = resent(
        Ruler(),
        60,
        2,
        lambda ruler: (ruler.span(0, 60 * cell, RATE), ruler.playhead(10 * cell)),
        lambda ruler: ruler.playhead(11 * cell - 1),
        lambda ruler: (ruler.span(0, 60 * cell, RATE), ruler.loop(None, None), ruler.markers([])),
        lambda ruler: ruler.playhead(11 * cell),
        lambda ruler: ruler.playhead(11 * cell + RATE, exact=True),
        lambda ruler: ruler.playhead(None),
    )
    assert (within, told_again) == ([], [])
    assert across == [Region(10, 1, 7, 1)]
    assert [region.y for region in (*exact, *gone)] == [1, 1]


def test_a_loop_is_drawn_to_scale_with_the_times_on_it() -> None:
    def act(ruler: Ruler) -> None:
        ruler.span(0, 240 * RATE, RATE)
        ruler.loop(60 * RATE, 140 * RATE, on=True)

    row = drawn(Ruler(), 120, 1, act)[0]
    assert row[30] == "["
    assert row[69] == "]"
    assert "".join(row[31:69].split("=")).replace("1:30", "").replace("2:00", "") == "loop"
    assert row[45:49] == "1:30"
    assert row.index("0:30") == 15


def test_a_loop_that_is_off_out_of_sight_or_tiny() -> None:
    def at(first: int | None, last: int | None, *, on: bool = True) -> str:
        def act(ruler: Ruler) -> None:
            ruler.span(60 * RATE, 80 * RATE, RATE)
            ruler.loop(first, last, on)

        return drawn(Ruler(), 20, 1, act)[0]

    assert at(61 * RATE, 75 * RATE, on=False) == " [--loop off--]     "
    assert at(0, 1000 * RATE) == "1:00=loop=1:10======"
    assert at(0, 67 * RATE) == "1:00==]   1:10      "
    assert at(75 * RATE, 75 * RATE + 10) == "1:00      1:10 []   "
    assert at(80 * RATE - 5, 90 * RATE) == "1:00      1:10     ["
    for hidden in (at(None, None), at(0, RATE), at(90 * RATE, 99 * RATE), at(75 * RATE, 75 * RATE)):
        assert not set(hidden) & set("[]=")


def test_markers_have_their_names_where_there_is_room() -> None:
    def act(ruler: Ruler) -> None:
        ruler.span(0, 240 * RATE, RATE)
        ruler.markers([(10 * RATE, "verse"), (56 * RATE, "a long name that has no room"), (500 * RATE, "gone")])

    assert drawn(Ruler(), 120, 1, act)[0].startswith("0:00 ◆verse    0:30         ◆ 1:00 ")
    assert drawn(Ruler(glyphs=ASCII), 120, 1, act)[0].startswith("0:00 'verse    0:30         ' 1:00 ")


def test_a_single_row_has_the_playhead_over_the_rest() -> None:
    def act(ruler: Ruler) -> None:
        ruler.span(0, 240 * RATE, RATE)
        ruler.playhead(64 * RATE)

    row = drawn(Ruler(compact=True), 120, 1, act)[0]
    assert row[32:38] == "▼ 1:04"
    assert "1:00" not in row
    assert "1:30" in row


# -- meter


@pytest.mark.parametrize(
    ("glyphs", "peak_only", "both", "over"),
    [
        (BRAILLE, "━━╸       ", "━━╸    │  ", "━━━━━━━━━!"),
        (BLOCKS, "██▌       ", "██▌    │  ", "█████████!"),
        (ASCII, "##        ", "##     |  ", "#########!"),
    ],
)
def test_a_lying_meter(glyphs: GlyphSet, peak_only: str, both: str, over: str) -> None:
    for levels, text in (((-45.0,), peak_only), ((-15.0, -45.0), both), ((0.1, 0.0), over)):
        assert drawn(Meter(glyphs=glyphs), 10, 1, lambda meter, shown=levels: meter.show(*shown)) == [text]


@pytest.mark.parametrize(
    ("glyphs", "both", "over"),
    [
        (BRAILLE, [" ", "─", " ", "▄", "█", "█"], ["!", "█", "█", "█", "█", "█"]),
        (BLOCKS, [" ", "─", " ", "▄", "█", "█"], ["!", "█", "█", "█", "█", "█"]),
        (ASCII, [" ", "-", " ", ":", "#", "#"], ["!", "#", "#", "#", "#", "#"]),
    ],
)
def test_an_upright_meter(glyphs: GlyphSet, both: list[str], over: list[str]) -> None:
    for levels, rows in (((-15.0, -35.0), both), ((0.5,), over)):
        shown = drawn(Meter(vertical=True, glyphs=glyphs), 2, 6, lambda meter, shown=levels: meter.show(*shown))
        assert shown == [glyph * 2 for glyph in rows]


@pytest.mark.parametrize("level", [None, float("nan"), float("-inf"), -60.0, -90.0])
def test_silence_is_blank(level: float | None) -> None:
    assert drawn(Meter(), 8, 1, lambda meter: meter.show(level, level)) == [" " * 8]


def test_full_scale_is_full_and_not_over() -> None:
    assert drawn(Meter(), 8, 1, lambda meter: meter.show(0.0)) == ["━" * 8]
    assert drawn(Meter(), 8, 1, lambda meter: meter.show(float("inf"))) == ["━" * 7 + "!"]


def test_a_meter_resends_only_cells_that_change() -> None:
    tiny, one = resent(
        Meter(vertical=True),
        3,
        8,
        lambda meter: meter.show(-20.0),
        lambda meter: meter.show(-20.1),
        lambda meter: meter.show(-22.0),
    )
    assert tiny == []
    assert one == [Region(0, 2, 3, 1)]


# -- curve


def bell(freqs_hz: np.ndarray, gain_db: float, q: float) -> np.ndarray:
    detune = freqs_hz / 250 - 250 / freqs_hz
    return gain_db / (1 + (q * detune) ** 2)


def equalised(curve: Curve) -> None:
    freqs = np.geomspace(20, 20_000, curve.wanted)
    gain = bell(freqs, -4.8, 0.9)
    before = -6 * np.log2(freqs / 60).clip(0)
    curve.draw(freqs, gain, before, before + gain)
    curve.mark(250)


PICTURES = {
    BRAILLE: [
        " +6┤⠤⠤⠤⠤⠤⢄⣀     ┊     eq after before ",
        " dB│⢕⢕⢕⢕⢕⢕⢕⠉⠒⠢⣀⢄┊                     ",
        "   │⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⠉⠒⠒⠤⠤⠤⣀⣀               ",
        "  0┤⠉⠉⠉⠉⠉⠉⠑⠒⠤⡀⢕⢕┊⢕⢕⢀⠤⠒⠊⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
        "   │⢕⢕⢕⢕⢕⢕⢕⢕⢕⠈⠢⡀┊⢀⠔⠁⢕⢕⢕⢕⢕⢕⢕⢕⢕⠉⠑⠒⠤⢄⡀   ",
        " -6┤⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⠈◆⠁⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⢕⠈⠉⠒⠢",
        " Hz 20 50  100    500 1k 2k   5k 10k  ",
    ],
    BLOCKS: [
        " +6┤▒▒▒▒▒▒▒     │     eq after before ",
        " dB│░░░░░░░▒▒▒▒░│                     ",
        "   │░░░░░░░░░░░▒▒▒▒▒▒▒▒               ",
        "  0┤▀▀▀▀▀▀▀▀▄▄░░│░░▄▄▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
        "   │░░░░░░░░░░▀▄│▄▀░░░░░░░░░░▒▒▒▒▒▒   ",
        " -6┤░░░░░░░░░░░░■░░░░░░░░░░░░░░░░░░▒▒▒",
        " Hz 20 50  100    500 1k 2k  5k  10k  ",
    ],
    ASCII: [
        " +6+ooooooo     |     eq after before ",
        " dB|:::::::oooo:|                     ",
        "   |:::::::::::oooooooo               ",
        "  0+**********::|::*******************",
        "   |::::::::::**|**::::::::::oooooo   ",
        " -6+::::::::::::@::::::::::::::::::ooo",
        " Hz 20 50  100    500 1k 2k  5k  10k  ",
    ],
}


@pytest.mark.parametrize("glyphs", list(GlyphSet))
def test_an_equaliser_over_spectra_in_a_small_pane(glyphs: GlyphSet) -> None:
    assert drawn(Curve(glyphs=glyphs), 38, 7, equalised) == PICTURES[glyphs]


def test_the_gain_passes_where_its_scale_says() -> None:
    flat = drawn(Curve(), 60, 9, lambda curve: curve.draw([20, 20_000], [0, 0], None, None))
    assert flat[4].startswith("  0┤")
    assert set(flat[4][4:]) == {"⠉"}
    for gain, row in ((6.0, 0), (-6.0, 7)):
        level = drawn(Curve(), 60, 9, lambda curve, gain=gain: curve.draw([20, 20_000], [gain] * 2, None, None))
        assert sum(glyph > "⠀" for glyph in level[row][4:50]) == 46


@pytest.mark.parametrize(("gain_db", "scale"), [(0, 6), (-6, 6), (6.1, 12), (-12, 12), (13, 24), (40, 24)])
def test_the_scale_fits_the_gain(gain_db: float, scale: int) -> None:
    assert fitting_scale(bell(np.geomspace(20, 20_000, 200), gain_db, 2)) == scale
    assert fitting_scale(np.full(200, float(gain_db))) == scale


def test_a_cut_filter_that_runs_off_the_edge_leaves_the_scale_alone() -> None:
    freqs = np.geomspace(20, 20_000, 200)
    cuts = -10 * np.log10(1 + (80 / freqs) ** 8) - 10 * np.log10(1 + (freqs / 12_000) ** 8)
    assert fitting_scale(bell(freqs, -4, 2) + cuts) == 6
    assert fitting_scale(np.full(3, np.nan)) == 6


def test_frequencies_stand_under_their_places() -> None:
    foot = drawn(Curve(), 110, 14, equalised)[-1]
    assert foot.split() == ["Hz", "20", "50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k"]
    for text, freq_hz in (("100", 100), ("1k", 1000), ("5k", 5000)):
        place = 4 + np.log10(freq_hz / 20) / 3 * 105
        assert abs(foot.index(f" {text} ") + 1 + len(text) // 2 - place) <= 1


def test_the_legend_makes_way_for_the_gain_and_names_only_what_is_there() -> None:
    def shelf(curve: Curve) -> None:
        curve.draw([20, 5000, 6000, 20_000], [0, 0, 6, 6], None, [-20, -20, -20, -20])

    rows = drawn(Curve(), 60, 9, shelf)
    assert "eq" not in rows[0]
    assert rows[7].endswith(" eq after ")


def test_silent_spectra_and_gaps_draw_nothing() -> None:
    silent = np.full(4, -np.inf)
    rows = drawn(Curve(), 60, 9, lambda curve: curve.draw([20, 200, 2000, 20_000], None, silent, silent))
    assert {row[4:].strip() for row in rows[1:8]} == {""}
    gap = np.array([0, np.nan, np.nan, 0])
    rows = drawn(Curve(), 60, 9, lambda curve: curve.draw([20, 200, 2000, 20_000], gap, None, None))
    assert rows[4][30] == "⠁"  # the dotted line at 0 dB


def test_an_unchanged_curve_resends_nothing_and_a_mark_its_column() -> None:
    same, moved = resent(Curve(), 38, 7, equalised, equalised, lambda curve: curve.mark(4000))
    assert same == []
    assert [region.y for region in moved] == [0, 1, 2, 3, 4, 5]
    assert all(region.x >= 16 and region.right <= 30 for region in moved), moved


@pytest.mark.parametrize("freqs", [[0, 10], [10, 10], [20, 10], [[1, 2]]])
def test_frequencies_must_rise(freqs: list[Any]) -> None:
    with pytest.raises(ValueError, match="frequencies"):
        Curve().draw(freqs, None, None, None)


def test_levels_must_be_one_a_frequency_and_marks_positive() -> None:
    with pytest.raises(ValueError, match="2"):
        Curve().draw([20, 30], [1.0], None, None)
    with pytest.raises(ValueError, match="Hz"):
        Curve().mark(0)


# -- spectrogram


def rising(view: SpectrogramView) -> None:
    columns, rows = view.wanted
    view.draw(np.linspace(-80, 0, columns) * np.ones((rows, 1)), 20, 20_000)


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "nord", "gruvbox"])
def test_shades_rise_in_lightness_from_the_background_to_what_is_loud(theme: str) -> None:
    view = SpectrogramView()

    async def run() -> list[float]:
        app = Stage(view)
        async with app.run_test(size=(140, 40)) as pilot:
            app.theme = theme
            await stood(pilot, view, 100, 4)
            rising(view)
            await pilot.pause()
            runs = list(view.render_line(1))
            assert len(runs) == SHADES
            assert {text.strip() for text, _, _ in runs} == {""}
            return [Color.from_rich_color(style.bgcolor).brightness for _, style, _ in runs if style]

    brightness = asyncio.run(run())
    falling = brightness[0] > brightness[-1]
    assert brightness == sorted(brightness, reverse=falling)
    assert len(set(brightness)) == SHADES
    assert abs(brightness[-1] - brightness[0]) > 0.5


def test_low_frequencies_are_at_the_bottom_and_two_rows_share_a_cell() -> None:
    view = SpectrogramView()

    async def run() -> None:
        async with Stage(view).run_test(size=(140, 40)) as pilot:
            await stood(pilot, view, 20, 2)
            assert view.wanted == (20, 4)
            view.draw(np.array([[0.0], [-200], [-200], [-200]]), 20, 20_000)
            await pilot.pause()
            assert lines(view) == [" " * 20, "▀" * 20]
            ((_, style, _),) = view.render_line(1)
            ((_, empty, _),) = view.render_line(0)
            assert style is not None
            assert empty is not None
            assert style.color == empty.bgcolor
            assert style.bgcolor not in (None, empty.bgcolor)

    asyncio.run(run())


@pytest.mark.parametrize(("glyphs", "ramp"), [(BLOCKS, " ░▒▓█"), (ASCII, " .:-=+*#%@")])
def test_where_shades_are_missing_characters_grow_heavier(glyphs: GlyphSet, ramp: str) -> None:
    rows = drawn(SpectrogramView(glyphs=glyphs), 100, 4, rising)
    assert rows[1] == "".join(glyph * (100 // len(ramp)) for glyph in ramp)
    assert {row[4:] for row in rows} == {rows[1][4:]}


@pytest.mark.parametrize("variable", ["NO_COLOR", "16 colours"])
def test_without_colours_characters_draw(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR" if variable == "NO_COLOR" else "COLORTERM", "")
    if variable == "16 colours":
        monkeypatch.setenv("TERM", "xterm")
    assert set("".join(drawn(SpectrogramView(), 20, 3, rising))) == set(" .:-=+*#%@")


def test_the_spectrogram_names_frequencies_and_keeps_a_given_top() -> None:
    rows = drawn(SpectrogramView(glyphs=ASCII), 60, 10, rising)
    assert [row[:4] for row in rows] == ["    ", "10k ", "    ", "    ", " 1k ", "    ", "    ", "100 ", "    ", " 20 "]
    loud, quiet = (
        drawn(SpectrogramView(glyphs=ASCII), 3, 1, lambda view, top=top: view.draw([[-40.0]], 20, 20_000, top_db=top))
        for top in (None, 0.0)
    )
    assert (loud, quiet) == (["@@@"], ["+++"])


def test_nothing_but_silence_is_blank() -> None:
    for levels in (np.full((4, 4), -np.inf), np.full((4, 4), np.nan)):
        rows = drawn(SpectrogramView(glyphs=ASCII), 10, 3, lambda view, levels=levels: view.draw(levels, 20, 20_000))
        assert rows == [" " * 10] * 3
    with pytest.raises(ValueError, match="Hz"):
        SpectrogramView().draw(np.zeros((2, 2)), 0, 100)


# -- all of them


def busy(glyphs: GlyphSet) -> list[tuple[Drawing, Callable[[Any], object]]]:
    """Every widget with something to draw."""
    high = np.random.default_rng(1).random(300).astype(np.float32)
    high[100:120] = np.nan

    def wave(widget: Waveform) -> None:
        widget.draw(-high, high, scale=1.5)
        widget.select(1, 3)

    def ruler(widget: Ruler) -> None:
        widget.span(1000, 1000 + 240 * RATE, RATE)
        widget.playhead(120 * RATE)
        widget.loop(RATE, 60 * RATE)
        widget.markers([(70 * RATE, "here")])

    return [
        (Waveform(glyphs=glyphs), wave),
        (Waveform(glyphs=glyphs, compact=True), wave),
        (Ruler(glyphs=glyphs), ruler),
        (Meter(glyphs=glyphs), lambda widget: widget.show(2.0, -12.0)),
        (Meter(glyphs=glyphs, vertical=True), lambda widget: widget.show(2.0, -12.0)),
        (Curve(glyphs=glyphs), equalised_anywhere),
        (SpectrogramView(glyphs=glyphs), lambda widget: widget.draw(np.diag([-40.0, 0, -10, -80]), 20, 20_000)),
    ]


def equalised_anywhere(curve: Curve) -> None:
    freqs = np.geomspace(20, 20_000, 100)
    curve.draw(freqs, bell(freqs, 30, 1), freqs * 0 - 20, freqs * 0 - 30)
    curve.mark(1000)


@pytest.mark.parametrize("glyphs", list(GlyphSet))
def test_every_size_is_filled_with_narrow_glyphs_of_the_set(glyphs: GlyphSet) -> None:
    async def run() -> None:
        for widget, act in busy(glyphs):
            async with Stage(widget).run_test(size=(140, 40)) as pilot:
                for columns, rows in ((0, 0), (1, 1), (9, 0), (0, 3), (2, 4), (60, 9)):
                    await stood(pilot, widget, columns, rows)
                    act(widget)
                    for line in lines(widget):
                        assert len(line) == cell_len(line) == columns
                        if glyphs is ASCII:
                            assert line.isascii()
                        if glyphs is BLOCKS:
                            line.replace("▼", "").encode("cp437")

    asyncio.run(run())


def test_a_resized_widget_draws_what_it_was_given_before() -> None:
    wave = Waveform()
    high = np.array([1, 1, 0.1, 0.1], np.float32)

    async def run() -> None:
        async with Stage(wave).run_test(size=(140, 40)) as pilot:
            wave.draw(-high, high)
            await stood(pilot, wave, 2, 1)
            assert lines(wave) == ["⣿⠶"]
            await stood(pilot, wave, 4, 2)
            assert lines(wave) == ["⣿⣿⣀⣀", "⣿⣿⠉⠉"]

    asyncio.run(run())


def test_another_theme_recolours_what_is_drawn() -> None:
    wave = Waveform()

    async def run() -> None:
        app = Stage(wave)
        async with app.run_test(size=(140, 40)) as pilot:
            await stood(pilot, wave, 10, 2)
            wave.draw([-1, -1], [1, 1])
            await pilot.pause()
            ((text, dark, _),) = wave.render_line(0)
            app.theme = "textual-light"
            await pilot.pause()
            ((same, light, _),) = wave.render_line(0)
            assert text == same
            assert dark is not None
            assert light is not None
            assert dark.bgcolor != light.bgcolor

    asyncio.run(run())


def test_nothing_is_lit_where_top_is_below_bottom() -> None:
    assert not between(np.array([3]), np.array([2]), 8).any()
