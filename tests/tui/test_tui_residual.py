"""The spectrum of a residual and its course over time, cell by cell."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from test_tui_widgets import ASCII, BLOCKS, BRAILLE, dots_of, drawn, resent, terminal  # noqa: F401 - a fixture

from tui.signs import GlyphSet
from tui.widgets.residual import HIGH_HZ, LOW_HZ, BandChart, CourseChart, Scale, label_columns

DECADES = (2.0, 200.0, 2000.0, 48_000.0)
"""Three bands of a decade each, as far as 20 Hz to 20 kHz goes."""
SCALE = Scale(0.0, -60.0)


def third_dots(columns: int) -> list[int]:
    """Where the decades end, in dot columns."""
    return [round(columns * math.log(edge / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ)) for edge in (200.0, 2000.0)]


def test_bars_reach_up_to_the_level_of_their_band() -> None:
    rows = drawn(BandChart(), 20, 3, lambda chart: chart.draw(DECADES, (None,) * 3, (-60.0, -30.0, 0.0), SCALE))
    dots = dots_of([row.replace("⣿ change", " " * 8).replace("⠒ source", " " * 8) for row in rows])
    heights = dots[4:].sum(axis=0)
    first, second = third_dots(40)
    assert set(heights[: first - 1]) == {1}, "at the bottom of the scale there is a dot"
    assert set(heights[first : second - 1]) == {6}
    assert set(heights[second:]) == {8}
    assert not dots[:, first - 1].any(), "a dot between two bars"


def test_the_line_of_the_sound_lies_over_the_bars_and_keeps_their_dots() -> None:
    rows = drawn(BandChart(), 30, 8, lambda chart: chart.draw(DECADES, (-10.0,) * 3, (-30.0, 0.0, None), SCALE))
    assert rows[0].startswith("   0┤")
    assert rows[-2].startswith(" -60┤")
    plot = dots_of([row[5:].replace("⠒ source", " " * 8).replace("⣿ change", " " * 8) for row in rows[:-1]])
    level = 5  # of 28 dots over 60 dB
    line = plot[level]
    first, second = third_dots(50)
    assert line.all(), "from one end to the other"
    assert plot[level + 1 :, second:].sum() == 0, "nothing is left of the third band"
    assert plot[level + 1 :, first : second - 1].all(), "the second one is filled from above the line to the bottom"


def test_what_is_out_of_the_scale_or_unknown_is_not_drawn() -> None:
    levels = (-64.0, None, 20.0)
    rows = drawn(BandChart(), 20, 3, lambda chart: chart.draw(DECADES, levels, levels, SCALE, ("a", "b")))
    dots = dots_of([row.replace("⠒ a", "   ").replace("⣿ b", "   ") for row in rows])
    first, second = third_dots(40)
    assert not dots[:, : second - 1].any()
    assert dots[4:, second:].all(), "over the top it is cut off"
    assert first < second


@pytest.mark.parametrize(("glyphs", "bar", "line"), [(BLOCKS, "█", "·"), (ASCII, "#", ".")])
def test_terminals_without_braille_have_signs_of_their_own(glyphs: GlyphSet, bar: str, line: str) -> None:
    def act(chart: BandChart) -> None:
        chart.draw(DECADES, (-20.0,) * 3, (-40.0,) * 3, SCALE)

    rows = drawn(BandChart(glyphs=glyphs), 40, 8, act)
    assert f"{line} source {bar} change" in rows[0]
    assert line in rows[2]
    assert bar in rows[5]
    assert bar not in rows[2]


def test_frequencies_stand_where_their_bands_are() -> None:
    rows = drawn(BandChart(), 85, 10, lambda chart: chart.draw(DECADES, (None,) * 3, (-60.0, -30.0, 0.0), SCALE))
    columns = 80
    for text, freq_hz in (("100", 100.0), ("1k", 1000.0), ("5k", 5000.0)):
        at = 5 + round(math.log(freq_hz / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ) * (columns - 1))
        assert rows[-1].index(f" {text} ") + 1 == at - len(text) // 2
    assert rows[-1].startswith("  Hz 20")
    assert rows[-1].endswith("20k")


def test_bands_need_an_edge_more_than_levels() -> None:
    for edges in ((0.0, 10.0), (10.0, 0.0, 20.0)):
        with pytest.raises(ValueError, match="edges of 2 and 2 bands"):
            BandChart().draw(edges, (None, None), (None, None), SCALE)
    with pytest.raises(ValueError, match="1 peaks and 0 means"):
        CourseChart().draw((None,), (), 1.0, 1.0, SCALE)


def test_a_course_is_stretched_over_the_time_and_keeps_the_largest_of_what_falls_together() -> None:
    def act(chart: CourseChart) -> None:
        chart.draw((0.0, None, -30.0, -60.0), (-30.0, None, -60.0, None), 1.0, 4.0, SCALE)

    dots = dots_of(drawn(CourseChart(), 20, 2, act))
    assert [int(dots[:, 10 * window : 10 * (window + 1)].sum()) for window in range(4)] == [80, 0, 40, 10]
    assert dots[:, :10].all()
    levels = [-60.0] * 100
    levels[37] = 0.0
    dots = dots_of(drawn(CourseChart(), 5, 2, lambda chart: chart.draw(levels, levels, 0.5, 50.0, SCALE)))
    assert dots.sum(axis=0).tolist() == [1, 1, 1, 8, 1, 1, 1, 1, 1, 1]


def test_a_file_longer_than_its_windows_ends_blank() -> None:
    dots = dots_of(drawn(CourseChart(), 10, 1, lambda chart: chart.draw((0.0,), (0.0,), 1.0, 2.0, SCALE)))
    assert dots.any(axis=0).tolist() == [True] * 10 + [False] * 10


def test_the_last_window_may_be_shorter_than_the_others() -> None:
    dots = dots_of(drawn(CourseChart(), 10, 1, lambda chart: chart.draw((None, 0.0), (None, 0.0), 1.0, 1.25, SCALE)))
    assert dots.any(axis=0).tolist() == [False] * 16 + [True] * 4


def test_the_worst_place_has_a_colour_of_its_own_and_peaks_another_than_rms() -> None:
    chart = CourseChart()
    colours: dict[tuple[int, int], object] = {}

    def act(widget: CourseChart) -> None:
        widget.draw((0.0,) * 4, (-30.0,) * 4, 1.0, 4.0, SCALE, worst_seconds=3.1)
        for row in range(2):
            column = 0
            for segment in widget.render_line(row):
                for _ in segment.text:
                    colours[row, column] = segment.style.color if segment.style else None
                    column += 1

    drawn(chart, 20, 2, act)
    peak, rms, worst = colours[0, 0], colours[1, 0], colours[0, 15]
    assert len({peak, rms, worst}) == 3
    assert colours[1, 15] == worst
    assert [column for column in range(20) if colours[0, column] == worst] == [15]


def test_nothing_to_be_seen_is_said() -> None:
    def act(chart: CourseChart) -> None:
        chart.draw((), (), 0.0, 10.0, SCALE)
        chart.say("told by bands only")

    assert "told by bands only" in drawn(CourseChart(), 40, 3, act)[1]
    assert "⣿" not in "".join(drawn(BandChart(), 40, 6, lambda chart: chart.draw((0.0,), (), (), SCALE)))


def test_another_strip_resends_only_cells_that_differ() -> None:
    def bars(level: float) -> object:
        return lambda chart: chart.draw(DECADES, (-10.0,) * 3, (-30.0, level, None), SCALE)

    same, other = resent(BandChart(), 60, 10, bars(-20.0), bars(-20.0), bars(-30.0))  # type: ignore[arg-type]
    assert same == []
    first, second = third_dots(110)
    assert other
    assert all(5 + first // 2 <= region.x and region.right <= 5 + second // 2 + 1 for region in other)


@pytest.mark.parametrize("glyphs", [BRAILLE, BLOCKS, ASCII])
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (3, 2), (23, 3), (24, 4), (139, 39)])
def test_any_size_is_drawn(glyphs: GlyphSet, columns: int, rows: int) -> None:
    levels = np.linspace(-80.0, 5.0, 31).tolist()
    edges = [17.8 * 10 ** (band / 10) for band in range(32)]
    for widget, act in (
        (BandChart(glyphs=glyphs), lambda chart: chart.draw(edges, levels, levels[::-1], SCALE)),
        (CourseChart(glyphs=glyphs), lambda chart: chart.draw(levels, levels, 0.1, 3.1, SCALE, 1.5)),
    ):
        found = drawn(widget, columns, rows, act)
        assert [len(line) for line in found] == [columns] * rows
        assert any(line.strip() for line in found)


def test_a_scale_has_round_labels_with_room_between_them() -> None:
    assert Scale(0.0, -60.0).labels(7) == {0: "0", 2: "-20", 4: "-40", 6: "-60"}
    assert Scale(-20.0, -80.0).labels(4) == {1: "-40", 3: "-80"}
    for top, bottom in ((0.0, -60.0), (-10.0, -190.0), (-160.0, -220.0), (60.0, -100.0)):
        for rows in range(3, 60):
            places = sorted(Scale(top, bottom).labels(rows))
            assert all(after - before >= 2 for before, after in pairwise(places)), (
                top,
                bottom,
                rows,
            )
            assert not places or 0 <= places[0] <= places[-1] < rows


def test_there_is_no_room_for_a_scale_in_a_narrow_drawing() -> None:
    assert (label_columns(23), label_columns(24)) == (0, 5)
