"""What a time map promises: where frames go, what it refuses, what text and edits keep, and that size costs little."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnbakeError
from core.session.timemap import (
    LAST_FRAME,
    STEEPEST,
    Anchor,
    Drawn,
    TimeMap,
    added,
    inverse,
    local,
    moved,
    nudged,
    read_text,
    removed,
    room,
    shifted,
    straightened,
    to_text,
)


@st.composite
def anchor_lists(draw: st.DrawFn, most: int = 8, longest: int = 20_000) -> tuple[Anchor, ...]:
    """Anchors at any allowed steepness, those at its very limits among them."""
    source, target = draw(st.integers(0, 5_000)), draw(st.integers(0, 5_000))
    anchors = [(source, target)]
    for step in draw(st.lists(st.integers(1, longest), max_size=most - 1)):
        low, high = -(-step // 8), step * 8
        stretched = draw(st.one_of(st.just(low), st.just(high), st.just(step), st.integers(low, high)))
        source, target = source + step, target + stretched
        anchors.append((source, target))
    return tuple(anchors)


def speeds(time_map: TimeMap, frames: int) -> list[float]:
    pieces = itertools.pairwise(time_map.vertices(frames))
    return [(t1 - t0) / (s1 - s0) for (s0, t0), (s1, t1) in pieces]


def test_a_map_without_anchors_moves_nothing() -> None:
    drawn = Drawn(TimeMap(), 1000)
    assert [drawn.target(frame) for frame in (-5, 0, 0.5, 1000, 2000)] == [-5, 0, 0.5, 1000, 2000]
    assert TimeMap().identity
    assert TimeMap().length(1000) == 1000
    assert TimeMap().length(0) == 0
    assert Drawn(TimeMap(), 0).target(0) == 0


def test_one_anchor_moves_the_whole_sound() -> None:
    later, earlier = TimeMap(((100, 350),)), TimeMap(((350, 100),))
    assert (later.length(1000), earlier.length(1000)) == (1250, 750)
    assert Drawn(later, 1000).target(0) == 250
    assert Drawn(earlier, 1000).source(0) == 250  # what lies before is cut off
    assert earlier.vertices(1000)[0] == (0.0, -250.0)


def test_anchors_at_both_ends_set_the_length() -> None:
    time_map = TimeMap(((0, 0), (1000, 1100)))
    assert time_map.length(1000) == 1100
    drawn = Drawn(time_map, 1000)
    assert drawn.target(500) == pytest.approx(550)
    assert drawn.speed(10) == pytest.approx(1000 / 1100)
    assert drawn.speed(1000) == 1.0
    assert drawn.target(1010) == 1110


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        (((-1, 0),), "anchor 1 (-1 to 0) lies before the beginning"),
        (((0, 0), (10, -2)), "anchor 2 (10 to -2) lies before the beginning"),
        (((0, 0), (10, 10), (10, 12)), "anchor 3 is at source frame 10 again"),
        (((0, 0), (10, 10), (12, 10)), "anchor 3 is at target frame 10 again"),
        (((0, 0), (10, 10), (9, 12)), "anchor 3 is at source frame 9, before the one in front of it at 10"),
        (((0, 0), (10, 10), (11, 7)), "anchor 3 is at target frame 7, before the one in front of it at 10"),
        (((0, 0), (10, 81)), "between anchors 1 and 2 the sound would become 8.1 times as long"),
        (((0, 0), (81, 10)), "between anchors 1 and 2 the sound would become 0.1235 times as long"),
        (((0, 0), (LAST_FRAME + 1, 5)), "beyond the end of any file"),
    ],
)
def test_what_can_not_be_a_map_names_the_anchor(anchors: tuple[Anchor, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        TimeMap(anchors)


def test_a_map_for_another_file_is_refused() -> None:
    time_map = TimeMap(((0, 0), (500, 500), (2000, 2100)))
    with pytest.raises(UnbakeError, match=r"x\.wav: anchor 3 is at source frame 2000, but the file has 1999"):
        time_map.check_fits(1999, "x.wav")
    time_map.check_fits(2000)
    with pytest.raises(UnbakeError, match="nothing of the file would be left"):
        TimeMap(((900, 0),)).check_fits(900)


@given(anchor_lists(), st.sampled_from(["straight", "smooth"]), st.integers(0, 3000))
def test_a_curve_goes_through_its_anchors_within_the_limits_and_back(
    anchors: tuple[Anchor, ...], curve: str, tail: int
) -> None:
    time_map = TimeMap(anchors, curve)  # type: ignore[arg-type]
    frames = anchors[-1][0] + tail
    drawn = Drawn(time_map, frames)
    for source, target in anchors:
        assert drawn.target(source) == target
        assert drawn.source(target) == source
    for slope in speeds(time_map, frames):
        assert 1.0 / STEEPEST - 1e-9 <= slope <= STEEPEST + 1e-9
    for share in range(23):
        frame = frames * share / 22
        assert drawn.source(drawn.target(frame)) == pytest.approx(frame, abs=1e-6)


@given(anchor_lists(), st.integers(0, 5000))
def test_what_is_not_stretched_lands_on_whole_frames(anchors: tuple[Anchor, ...], step: int) -> None:
    last = anchors[-1]
    held = (*anchors, (last[0] + 3000, last[1] + 3000))
    frames = last[0] + 5000
    for curve in ("straight", "smooth"):
        drawn = Drawn(TimeMap(held, curve), frames)  # type: ignore[arg-type]
        assert drawn.target(last[0] + step) == last[1] + step


def test_a_smooth_curve_glides_out_of_and_into_the_speed_of_the_rest() -> None:
    time_map = TimeMap(((100_000, 100_000), (200_000, 212_000), (300_000, 300_000)), "smooth")
    found = speeds(time_map, 400_000)
    assert found[0] == found[-1] == 1.0
    assert found[1] == pytest.approx(1.0, abs=0.01)
    assert found[-2] == pytest.approx(1.0, abs=0.01)
    assert max(abs(b - a) for a, b in itertools.pairwise(found)) < 0.012


@given(anchor_lists(longest=3_000))
def test_a_smooth_map_is_drawn_as_a_straight_one(anchors: tuple[Anchor, ...]) -> None:
    smooth = TimeMap(anchors, "smooth")
    straight = straightened(smooth)
    assert straight.curve == "straight"
    assert set(anchors) <= set(straight.anchors)
    frames = anchors[-1][0]
    one, other = Drawn(smooth, frames), Drawn(straight, frames)
    assert all(abs(one.target(frame) - other.target(frame)) < 9 for frame, _ in straight.anchors)
    assert read_text(to_text(smooth, frames, 48_000), "x") == straight


@given(anchor_lists())
def test_the_inverse_leads_back(anchors: tuple[Anchor, ...]) -> None:
    time_map = TimeMap(anchors)
    assert inverse(inverse(time_map)) == time_map
    there, back = Drawn(time_map, anchors[-1][0]), Drawn(inverse(time_map), anchors[-1][1])
    for share in range(11):
        frame = anchors[-1][0] * share / 10
        assert back.target(there.target(frame)) == pytest.approx(frame, abs=1e-6)


@given(anchor_lists())
def test_text_keeps_every_anchor(anchors: tuple[Anchor, ...]) -> None:
    assert read_text(to_text(TimeMap(anchors), anchors[-1][0], 44_100, ["made by hand"]), "x").anchors == anchors


def test_text_of_a_map_without_anchors_says_that_nothing_moves() -> None:
    assert read_text(to_text(TimeMap(), 900, 44_100), "x").anchors == ((0, 0), (900, 900))
    assert read_text(to_text(TimeMap(), 0, 44_100), "x").anchors == ((0, 0),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "m.txt: holds no anchors"),
        ("# only this\n\n", "m.txt: holds no anchors"),
        ("0 0\n10 x\n", "m.txt: line 2 is not two frame numbers: '10 x'"),
        ("0 0\n10\n", "m.txt: line 2 is not two frame numbers: '10'"),
        ("0 0\n10 -5\n", "m.txt: line 2 is not two frame numbers"),
        ("0 0\n1.5 2\n", "m.txt: line 2 is not two frame numbers"),
        ("0 " + "9" * 5000, "m.txt: line 1 is not two frame numbers"),
        ("0 0\n\n10 10 # first\n5 20\n", "m.txt: line 4: anchor 3 is at source frame 5, before"),
        ("0 0\n10 100\n", "m.txt: line 2: between anchors 1 and 2 the sound would become 10 times"),
    ],
)
def test_text_that_can_not_be_read_names_the_line(text: str, words: str) -> None:
    with pytest.raises(UnbakeError) as refused:
        read_text(text, "m.txt")
    assert refused.value.line().startswith(words)


def test_text_may_come_from_other_systems() -> None:
    assert read_text("\ufeff0\t0\r\n10 11 # one\r\n", "x").anchors == ((0, 0), (10, 11))


def test_large_maps_are_quick() -> None:
    anchors = tuple((4410 * place, 4420 * place) for place in range(100_000))
    begin = time.perf_counter()
    text = to_text(TimeMap(anchors), anchors[-1][0], 44_100)
    assert read_text(text, "x").anchors == anchors
    drawn = Drawn(TimeMap(anchors, "smooth"), anchors[-1][0])
    for frame in range(0, anchors[-1][0], 44_100):
        drawn.source(drawn.target(frame))
    edited = nudged(added(TimeMap(anchors), 6000), 2, 10)
    assert len(removed(edited, 5).anchors) == 100_000
    assert time.perf_counter() - begin < 8.0  # about 1.5 s on a slow core; quadratic would take minutes


THREE = TimeMap(((0, 0), (1000, 1100), (2000, 1900)))


def test_anchors_are_added_where_the_sound_lies() -> None:
    assert added(THREE, 500).anchors == ((0, 0), (500, 550), (1000, 1100), (2000, 1900))
    assert added(THREE, 2500).anchors[-1] == (2500, 2400)
    assert added(TimeMap(), 700).anchors == ((700, 700),)
    assert added(TimeMap((), "smooth"), 700, 650) == TimeMap(((700, 650),), "smooth")
    with pytest.raises(ValueError, match="anchor 2 is at source frame 1000 already"):
        added(THREE, 1000)
    with pytest.raises(ValueError, match="anchor 3 is at target frame 1100, before"):
        added(THREE, 500, 1200)


def test_anchors_are_moved_removed_and_nudged() -> None:
    assert moved(THREE, 1, 1050).anchors[1] == (1000, 1050)
    assert removed(THREE, 1).anchors == ((0, 0), (2000, 1900))
    assert nudged(THREE, 1, -60).anchors[1] == (1000, 1040)
    with pytest.raises(ValueError, match="anchor 3"):
        moved(THREE, 1, 1900)


@given(anchor_lists(), st.data())
def test_a_nudge_stops_where_there_is_no_more_room(anchors: tuple[Anchor, ...], data: st.DataObject) -> None:
    time_map = TimeMap(anchors)
    place = data.draw(st.integers(0, len(anchors) - 1))
    low, high = room(time_map, place)
    assert nudged(time_map, place, -(10**9)).anchors[place][1] == low
    assert nudged(time_map, place, min(10**9, high)).anchors[place][1] <= high
    for beyond in (low - 1, high + 1):
        with pytest.raises(ValueError, match="anchor"):
            moved(time_map, place, beyond)


def test_what_follows_moves_as_one_piece() -> None:
    longer = shifted(THREE, 37, first=1)
    assert longer.anchors == ((0, 0), (1000, 1137), (2000, 1937))
    assert longer.length(5000) == THREE.length(5000) + 37
    assert Drawn(longer, 5000).target(2500) == Drawn(THREE, 5000).target(2500) + 37
    with pytest.raises(ValueError, match="anchor 1"):
        shifted(THREE, -1)


@given(st.sampled_from(["straight", "smooth"]), st.integers(1, 99_999), st.integers(-400, 400))
def test_a_local_edit_of_an_untouched_file_leaves_the_rest(curve: str, source: int, step: int) -> None:
    frames, reach = 100_000, 3000
    target = min(max(source + step, 1), frames - 1)
    try:
        edited = local(TimeMap((), curve), source, target, frames, reach)  # type: ignore[arg-type]
    except ValueError:
        assert min(source, frames - source) < 500  # no room
        return
    drawn = Drawn(edited, frames)
    assert drawn.target(source) == target
    assert edited.length(frames) == frames
    for frame in (0, source - reach, source + reach, frames):
        if abs(frame - source) >= reach:
            assert drawn.target(frame) == frame
    assert local(edited, source, source, frames, reach).identity


def test_a_local_edit_stays_between_the_next_anchors() -> None:
    edited = local(THREE, 1000, 1050, 5000, 100)
    assert edited.anchors == ((0, 0), (1000, 1050), (2000, 1900))
    again = local(edited, 1500, 1480, 5000, 100)  # between stretched neighbours only they can hold the rest
    assert again.anchors == ((0, 0), (1000, 1050), (1500, 1480), (2000, 1900))
    beyond = local(THREE, 3000, 2910, 5000, 400)
    assert beyond.anchors[3:] == ((2600, 2500), (3000, 2910), (3400, 3300))


def test_a_local_edit_near_a_cut_holds_what_is_left() -> None:
    cut = TimeMap(((1000, 0),))
    assert local(cut, 1100, 110, 5000, 400).anchors == ((1000, 0), (1100, 110), (1500, 500))


def test_a_local_edit_at_the_last_frame_may_change_the_length() -> None:
    assert local(TimeMap(), 1000, 1010, 1000, 100).anchors == ((900, 900), (1000, 1010))


def test_a_smooth_curve_that_would_bend_beyond_refuses_a_local_edit() -> None:
    bent = TimeMap(((0, 0), (50_000, 52_000), (100_000, 101_000), (150_000, 155_000)), "smooth")
    with pytest.raises(ValueError, match="moving anchor 3 alone would bend the sound beyond"):
        local(bent, 100_000, 101_500, 200_000, 1000)
    held = TimeMap(((0, 0), (50_000, 50_000), (75_000, 75_900), (100_000, 100_000), (150_000, 155_000)), "smooth")
    with pytest.raises(ValueError, match="anchor 3"):
        local(held, 75_000, 75_000, 200_000, 1000)  # at speed 1 again, the next piece begins otherwise
    assert local(TimeMap(held.anchors[:4], "smooth"), 75_000, 75_100, 200_000, 1000).anchors[2] == (75_000, 75_100)
