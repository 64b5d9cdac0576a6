"""How time maps are made: from tempi, a straightened grid, taps, typed lists and tempo maps."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnbakeError
from core.session import typed_map
from core.session.timemap import Drawn, TimeMap
from core.warp.maps.grid import beat_finder, nearest_octave, on_grid, steady
from core.warp.maps.tempo_map import (
    Change,
    Signature,
    TempoMap,
    following,
    of_warped,
    read_midi,
    read_tempo_text,
    to_midi,
    to_tempo_text,
)
from core.warp.rhythm.beats import Beats, Section
from core.warp.rhythm.taps import beats_of

RATE = 44_100


def beats_at(at: list[int], frames: int | None = None, meter: int = 4, downbeat: int = 0) -> Beats:
    return Beats(
        sample_rate=RATE,
        frames=frames if frames is not None else at[-1] + RATE,
        at=tuple(at),
        strengths_db=(0.0,) * len(at),
        sections=(Section(downbeat, meter),),
    )


def played(count: int, bpm: float = 118.0, first: int = 20_000, jitter: int = 600, seed: int = 5) -> list[int]:
    """Beats as a person plays them."""
    rng = np.random.default_rng(seed)
    off = rng.integers(-jitter, jitter + 1, count)
    return [round(first + number * 60 * RATE / bpm) + int(step) for number, step in enumerate(off)]


def test_a_tempo_becomes_another_one() -> None:
    time_map, from_bpm = steady(441_000, 120.0, 126.0)
    assert from_bpm == 120.0
    assert time_map.anchors == ((0, 0), (441_000, 420_000))
    assert steady(441_000, 120.0, 120.0).time_map.identity
    assert steady(1, 90.0, 120.0).time_map.length(1) == 1
    assert steady(0, 90.0, 120.0).time_map == TimeMap()


@pytest.mark.parametrize(
    ("from_bpm", "to_bpm", "taken"), [(60, 118, 120), (174, 90, 87), (140, 150, 140), (60, 84, 60)]
)
def test_the_nearest_octave_of_a_tempo_is_taken_and_said(from_bpm: float, to_bpm: float, taken: float) -> None:
    assert nearest_octave(from_bpm, to_bpm) == taken
    time_map, said = steady(1_000_000, from_bpm, to_bpm)
    assert said == taken
    assert time_map.length(1_000_000) == round(1_000_000 * taken / to_bpm)
    assert steady(1_000_000, from_bpm, to_bpm, octaves=False).from_bpm == from_bpm


@given(st.integers(1, 10**7), st.floats(0.125, 8.0))
def test_any_allowed_ratio_makes_a_map(frames: int, stretch: float) -> None:
    time_map = steady(frames, 100.0 * stretch, 100.0, octaves=False).time_map
    assert abs(time_map.length(frames) - frames * stretch) <= 1


@pytest.mark.parametrize(
    ("from_bpm", "to_bpm", "words"),
    [
        (120.0, 2000.0, "the sound would become 0.12 times as long"),
        (500.0, 20.0, "the sound would become 12.5 times as long, outside 0.125 to 8"),
        (0.0, 100.0, "a tempo of 0 BPM"),
        (100.0, float("nan"), "a tempo of nan BPM"),
        (100.0, float("inf"), "a tempo of inf BPM"),
    ],
)
def test_tempi_that_can_not_be_are_refused(from_bpm: float, to_bpm: float, words: str) -> None:
    with pytest.raises(UnbakeError, match=words):
        steady(1000, from_bpm, to_bpm)


def test_beats_are_brought_onto_a_grid() -> None:
    beats = beats_at(played(64))
    time_map = on_grid(beats, bpm=120.0)
    targets = [target for _, target in time_map.anchors]
    assert targets[0] == beats.at[0]  # the pick-up keeps its distance
    assert set(np.diff(targets)) == {22_050}
    assert Drawn(time_map, beats.frames).target(0) == 0
    assert time_map.length(beats.frames) == targets[-1] + RATE


def test_the_own_tempo_keeps_the_length() -> None:
    beats = beats_at(played(64))
    time_map = on_grid(beats)
    assert time_map.anchors[-1] == (beats.at[-1], beats.at[-1])
    steps = np.diff([target for _, target in time_map.anchors])
    assert steps.max() - steps.min() <= 1


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_the_strength_says_how_much_of_the_play_is_taken_out(strength: float) -> None:
    beats = beats_at(played(64))
    own = (beats.at[-1] - beats.at[0]) / 63
    time_map = on_grid(beats, strength=strength)
    for number, (source, target) in enumerate(time_map.anchors):
        even = beats.at[0] + number * own
        assert target - even == pytest.approx((1.0 - strength) * (source - even), abs=0.51)
    if strength == 0.0:
        assert time_map.identity
        assert on_grid(beats, strength=0.0, bpm=236.0).anchors[-1][1] == pytest.approx(
            beats.at[0] + 63 * 60 * RATE / 236.0, abs=1
        )


def test_bars_begin_on_bar_lines_of_the_file() -> None:
    beats = beats_at(played(33, first=20_000), downbeat=2)
    bar = 4 * 22_050
    later = on_grid(beats, bpm=120.0, start="bar")
    assert later.anchors[2][1] == bar  # a pick-up of two beats comes before the first bar line at which it fits
    assert Drawn(later, beats.frames).target(0) >= 0
    cut = on_grid(beats_at(played(33, first=60_000)), bpm=120.0, start="cut")
    assert cut.anchors[0][1] == 0
    assert Drawn(cut, beats.frames).target(0) == -cut.anchors[0][0]
    assert on_grid(beats_at(played(33, first=60_000)), bpm=120.0, start="bar").anchors[0][1] == bar


def test_swing_stays_unless_another_is_asked_for() -> None:
    at = played(16, jitter=0)
    beats = beats_at(at)
    off_beats = [round(a + 0.6 * (b - a)) for a, b in itertools.pairwise(at)]
    kept = Drawn(on_grid(beats, bpm=120.0), beats.frames)
    for frame, (a, b) in zip(off_beats, itertools.pairwise(at), strict=True):
        share = (kept.target(frame) - kept.target(a)) / (kept.target(b) - kept.target(a))
        assert share == pytest.approx(0.6, abs=1e-4)
    others = [round(a + 0.34 * (b - a)) for a, b in itertools.pairwise(at[:4])] + [at[3] + 30, at[-1] + 500]
    swung = on_grid(beats, bpm=120.0, swing=2.0, off_beats=sorted(off_beats + others))
    assert len(swung.anchors) == 16 + 15
    for (_, before), (frame, target), (_, after) in zip(
        swung.anchors[::2], swung.anchors[1::2], swung.anchors[2::2], strict=False
    ):
        assert frame in off_beats
        assert (target - before) / (after - before) == pytest.approx(2 / 3, abs=1e-4)
    half = on_grid(beats, bpm=120.0, swing=2.0, strength=0.5, off_beats=off_beats)
    assert (half.anchors[1][1] - half.anchors[0][1]) / 22_050 == pytest.approx((0.6 + 2 / 3) / 2, abs=1e-3)


@pytest.mark.parametrize(
    ("beats", "how", "words"),
    [
        (beats_at([100], 1000), {}, "fewer than two beats"),
        (beats_at([100, 200, 300], 1000), {"strength": 1.5}, "a strength of 1.5"),
        (beats_at([100, 200, 300], 1000), {"bpm": 0.0}, "a tempo of 0 BPM"),
        (beats_at([100, 200, 300], 1000), {"swing": 9.0}, "a swing of 9"),
        (beats_at([100, 101, 900], 1000), {}, "would become 400 times as long"),
        (beats_at([100, 22_150, 44_200], 50_000), {"bpm": 2000.0}, "would become 0.06 times as long"),
    ],
)
def test_grids_that_can_not_be_are_refused(beats: Beats, how: dict, words: str) -> None:
    with pytest.raises(UnbakeError, match=words):
        on_grid(beats, **how)


def tapped(true: np.ndarray, seed: int = 1, late: float = 0.04) -> np.ndarray:
    """What fingers make of beats: 30 ms to either side, all of it late."""
    return true + np.random.default_rng(seed).uniform(-0.03, 0.03, len(true)) + late


def rubato(count: int = 80) -> np.ndarray:
    periods = 0.55 * (1.0 + 0.1 * np.sin(np.arange(count) / 15.0))
    return 1.0 + np.cumsum(periods)


@pytest.mark.parametrize("seed", range(4))
def test_taps_find_the_attacks_that_were_meant(seed: int) -> None:
    true = rubato()
    between = (true[:-1] + true[1:]) / 2
    stray = np.random.default_rng(seed).uniform(0, true[-1], 40)
    onsets = np.rint(np.sort(np.concatenate([true, between, stray])) * RATE).astype(int)
    frames = round((true[-1] + 3) * RATE)
    taps = np.delete(tapped(true, seed), [7, 30, 31, 60])
    doubled = np.sort(np.concatenate([taps, taps[[3, 40]] + 0.07]))
    found = beats_of(doubled.tolist(), onsets, frames, RATE)
    assert len(found.beats) == len(true)
    assert (found.doubled, found.filled) == (2, 4)
    assert found.late_ms == pytest.approx(40, abs=6)
    off = np.abs(np.asarray(found.beats) / RATE - true)
    assert np.quantile(off, 0.95) < 0.001
    assert off.max() < 0.05
    assert found.snapped >= 0.97 * len(true)


def test_taps_without_attacks_are_evened_out() -> None:
    true = rubato()
    found = beats_of(tapped(true, late=0.0).tolist(), [], round((true[-1] + 3) * RATE), RATE)
    off = np.asarray(found.beats) / RATE - true
    assert found.snapped == 0
    assert np.sqrt(np.mean(off**2)) < 0.011  # 17 ms as tapped
    assert np.abs(off).max() < 0.03


def test_taps_are_carried_on_only_when_asked() -> None:
    true = rubato()
    frames = round((true[-1] + 0.3) * RATE)
    onsets = np.rint(true * RATE).astype(int)
    some = tapped(true)[20:50].tolist()
    assert len(beats_of(some, onsets, frames, RATE).beats) == 30
    all_of_it = beats_of(some, onsets, frames, RATE, extend=True)
    off = np.abs(np.asarray(all_of_it.beats)[:, None] / RATE - true).min(axis=0)
    assert np.mean(off < 0.001) > 0.95
    assert 0 <= all_of_it.beats[0] < all_of_it.beats[-1] <= frames


@pytest.mark.parametrize(
    ("taps", "words"),
    [
        ([1.0, 1.5, 2.0], "3 taps"),
        ([1.0, 1.0, 1.0, 1.0], "1 taps"),
        ([-1.0, 0.0, 1.0, 2.0], "outside the recording"),
        ([1.0, 2.0, 3.0, 400.0], "outside the recording of 60.000 s"),
        ([1.0, 1.5, 2.0, 2.5, 3.0, 20.0, 20.5, 21.0], r"no taps between 0:03.000 .* and 0:20.000"),
        ([float("nan")] * 5, "taps"),
    ],
)
def test_taps_that_make_no_beats_are_refused(taps: list[float], words: str) -> None:
    with pytest.raises(UnbakeError, match=words):
        beats_of(taps, [], 60 * RATE, RATE)


def test_typed_places_are_times_frames_or_beats() -> None:
    beats = beats_at([100, 22_150, 44_200, 66_250, 88_300, 110_350], downbeat=1)
    find = beat_finder(beats)
    text = (
        "# from the desk\n0:01 -> 0:01.5, 2s → 2500ms\n132300 -> 140000, 1:00:00 -> +20ms\n1:00:05 -> \N{MINUS SIGN}441"
    )
    assert typed_map.read(text, RATE).anchors == (
        (44_100, 66_150),
        (88_200, 110_250),
        (132_300, 140_000),
        (158_760_000, 158_760_882),
        (158_980_500, 158_980_059),
    )
    assert typed_map.read("1.1 -> 0:00.5, 1.2.50 -> +10ms, 2.1 -> +0", RATE, find).anchors == (
        (22_150, 22_050),
        (55_225, 55_666),
        (110_350, 110_350),
    )


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.sampled_from([8000, 44_100, 48_000, 384_000]))
def test_a_written_list_is_read_back_to_the_frame(steps: list[int], rate: int) -> None:
    sources = list(itertools.accumulate(steps))
    time_map = TimeMap(tuple((source, source + 37) for source in sources))
    assert typed_map.read(typed_map.written(time_map, rate), rate) == time_map


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no anchors"),
        ("0:01 0:02", "line 1: '0:01 0:02' has no ->"),
        ("0:01 -> soon", "line 1: 'soon' is no place"),
        ("0:01 -> 0:01\n\n5.1 -> 0:09", "line 3: '5.1' is a bar and a beat, which can't be used here"),
        ("0:01 -> 2.1", "line 1: '2.1' is a bar and a beat"),
        ("0:02 -> 0:02, 0:01 -> 0:03", "anchor 2 is at source frame 44100, before the one in front of it"),
        ("0:01 -> -2s", "anchor 1 .* lies before the beginning"),
    ],
)
def test_typed_lists_that_can_not_be_read_say_where(text: str, words: str) -> None:
    with pytest.raises(UnbakeError, match=words):
        typed_map.read(text, RATE)


def test_a_beat_that_is_not_there_is_named() -> None:
    with pytest.raises(UnbakeError, match=r"line 1: there is no beat 5 in bar 1 \(they are counted from 1.1 to 2.2\)"):
        typed_map.read("1.5 -> 0:09", RATE, beat_finder(beats_at([100, 200, 300, 400, 500, 600])))


def test_a_ramp_takes_the_time_of_its_mean_tempo() -> None:
    ramp = TempoMap([Change(0.0, 100.0, ramp=True), Change(16.0, 140.0)])
    assert ramp.seconds(16.0) == pytest.approx(8.0)
    assert ramp.seconds(17.0) - ramp.seconds(16.0) == pytest.approx(60 / 140)
    assert ramp.seconds(-1.0) == pytest.approx(-60 / 100)  # nothing says that it rose before


@given(
    st.lists(st.tuples(st.floats(0.1, 50.0), st.floats(20.0, 400.0), st.booleans()), min_size=1, max_size=10),
    st.floats(0.0, 300.0),
)
def test_quarters_and_seconds_undo_each_other(course: list[tuple[float, float, bool]], quarter: float) -> None:
    at = itertools.accumulate((step for step, _, _ in course[1:]), initial=0.0)
    made = TempoMap([Change(start, bpm, ramp) for start, (_, bpm, ramp) in zip(at, course, strict=True)])
    assert made.quarter(made.seconds(quarter)) == pytest.approx(quarter, abs=1e-6)


def test_bars_are_counted_through_signatures() -> None:
    made = TempoMap([], [Signature(0.0, 4, 4), Signature(8.0, 7, 8), Signature(14.0, 3, 4)])
    assert [made.bar(number) for number in range(1, 8)] == [0.0, 4.0, 8.0, 11.5, 14.0, 17.0, 20.0]


def test_a_recording_follows_a_tempo_map() -> None:
    beats = beats_at(played(40, bpm=100.0), downbeat=1)
    song = TempoMap([Change(0.0, 120.0), Change(16.0, 90.0)])
    time_map = following(song, beats)
    for number, (source, target) in enumerate(time_map.anchors):
        assert source == beats.at[number]
        assert target == round(song.seconds(number + 3.0) * RATE)  # one beat before bar 2
    later = following(song, beats, at_bar=3)
    assert later.anchors[1][1] == round(song.seconds(8.0) * RATE)
    with pytest.raises(UnbakeError, match="would begin before the tempo map does"):
        following(song, beats, at_bar=1)
    with pytest.raises(UnbakeError, match=r"outside 0\.125 to 8"):
        following(TempoMap([Change(0.0, 1500.0)]), beats)


def test_beats_of_a_compound_bar_are_its_own_notes() -> None:
    song = TempoMap([Change(0.0, 60.0)], [Signature(0.0, 6, 8)])
    time_map = following(song, beats_at([0, 30_000, 60_000], meter=6))
    assert [target for _, target in time_map.anchors] == [0, 22_050, 44_100]


def test_real_midi_files_say_their_tempo(data: Path) -> None:
    songs = {path.stem: read_midi(path) for path in sorted((data / "midi").glob("*.mid"))}
    assert [change.bpm for change in songs["arena-rock"].changes] == pytest.approx([110.0, 140.0], abs=0.001)
    assert songs["arena-rock"].seconds(40.0) == pytest.approx(40 * 60 / 110, abs=1e-4)
    assert songs["math-metal"].signatures[0][1:] == (6, 4)
    assert len(songs["math-metal"].changes) == 40
    assert songs["frantic-boss-battle"].bar(18) == 68.0
    assert songs["frantic-boss-battle"].bar(19) == 68.5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged, or no MIDI file"),
        (b"RIFF....", "MThd not found"),
        (b"MThd\0\0\0\6\0\1\0\1\0\x60", "damaged, or no MIDI file"),
        (b"MThd\0\0\0\6\0\2\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0", "several songs"),
        (b"MThd\0\0\0\6\0\1\0\1\xe7\x28MTrk\0\0\0\4\0\xff\x2f\0", "SMPTE"),
        (b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk\0\0\0\x0b\0\xff\x51\3\0\0\0\0\xff\x2f\0", "tempo change 1"),
    ],
)
def test_files_that_are_no_tempo_maps_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.mid"
    path.write_bytes(content)
    with pytest.raises(UnbakeError, match=words) as refused:
        read_midi(path)
    assert refused.value.where == str(path)


def test_a_missing_midi_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnbakeError, match=r"none\.mid: no such file"):
        read_midi(tmp_path / "none.mid")


def test_damaged_midi_files_never_end_in_a_traceback(tmp_path: Path, data: Path) -> None:
    whole = (data / "midi" / "math-metal.mid").read_bytes()[:3000]
    rng = np.random.default_rng(2)
    path = tmp_path / "x.mid"
    for _ in range(150):
        content = bytearray(whole[: rng.integers(10, len(whole))])
        for place in rng.integers(0, len(content), rng.integers(0, 12)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        with contextlib.suppress(UnbakeError):
            read_midi(path)


def test_tempo_text_counts_in_bars_or_in_time() -> None:
    bars = read_tempo_text("# song\n1 120\n5 90 3/4\n7 100bpm\n")
    assert bars.changes == (Change(0.0, 120.0), Change(16.0, 90.0), Change(22.0, 100.0))
    assert bars.signatures == (Signature(0.0, 4, 4), Signature(16.0, 3, 4))
    times = read_tempo_text("0:00 120\n30s 90\n1:00 60 6/8\n")
    assert [change.quarter for change in times.changes] == [0.0, 60.0, 105.0]
    assert times.signatures[1:] == (Signature(105.0, 6, 8),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "t.tempo: holds no tempo"),
        ("2 120", "t.tempo: line 1 is the first, but does not begin at bar 1"),
        ("1 120\n1 130", "t.tempo: line 2 does not come after"),
        ("1 120\n0:20 130", "t.tempo: line 2 counts otherwise"),
        ("1 0", "t.tempo: line 1 has a tempo of 0 BPM"),
        ("1 120\n\n4 x", "t.tempo: line 3 is no tempo: '4 x'"),
        ("1 120 4/5", "t.tempo: time signature 1 is 4/5"),
    ],
)
def test_tempo_text_that_can_not_be_read_names_the_line(text: str, words: str) -> None:
    with pytest.raises(UnbakeError) as refused:
        read_tempo_text(text, "t.tempo")
    assert refused.value.line().startswith(words)


@st.composite
def warped(draw: st.DrawFn) -> tuple[TimeMap, Beats]:
    """A map and the beats of its recording, bars of some metre among them."""
    steps = draw(st.lists(st.integers(12_000, 40_000), min_size=2, max_size=40))
    at = list(itertools.accumulate(steps, initial=draw(st.integers(0, 60_000))))
    meter = draw(st.integers(2, 7))
    beats = beats_at(at, meter=meter, downbeat=draw(st.integers(0, meter - 1)))
    shift = draw(st.integers(0, 50_000))
    stretch = draw(st.floats(0.6, 1.7))
    jitter = draw(st.integers(0, 900))
    anchors = [(beat, round(shift + (beat - at[0]) * stretch) + number % 2 * jitter) for number, beat in enumerate(at)]
    return TimeMap(tuple(anchors)), beats


@given(warped())
def test_a_tempo_map_of_the_result_has_its_beats_where_they_are(made: tuple[TimeMap, Beats]) -> None:
    time_map, beats = made
    for whole_microseconds in (False, True):
        tempo_map = of_warped(time_map, beats, whole_microseconds=whole_microseconds)
        first = tempo_map.quarter(time_map.anchors[0][1] / RATE)
        whole = round(first * 16) / 16
        begin = int(time_map.anchors[0][1] < 0.005 * RATE)  # a beat at once is the beginning
        for number, (_, target) in list(enumerate(time_map.anchors))[begin:]:
            assert tempo_map.seconds(whole + number) * RATE == pytest.approx(target, abs=1.5)
        places = beats.places()
        downbeats = {whole + number for number, place in enumerate(places) if place.beat == 1}
        bars = {tempo_map.bar(number) for number in range(1, len(places) + 10)}
        assert all(any(abs(downbeat - bar) < 1e-6 for bar in bars) for downbeat in downbeats)


@given(warped())
def test_a_tempo_map_keeps_its_beats_as_a_midi_file_and_as_text(made: tuple[TimeMap, Beats]) -> None:
    import io

    import mido

    from core.warp.maps.tempo_map import _midi_events

    time_map, beats = made
    tempo_map = of_warped(time_map, beats, whole_microseconds=True)
    back = TempoMap(*_midi_events(mido.MidiFile(file=io.BytesIO(to_midi(tempo_map)))))
    assert [change.quarter for change in back.changes] == pytest.approx([each.quarter for each in tempo_map.changes])
    assert [change.bpm for change in back.changes] == pytest.approx([each.bpm for each in tempo_map.changes], rel=1e-9)
    assert back.signatures == tempo_map.signatures
    text = read_tempo_text(to_tempo_text(tempo_map))
    for number in range(len(beats.at)):
        quarter = tempo_map.changes[-1].quarter * number / len(beats.at)
        assert text.seconds(quarter) == pytest.approx(tempo_map.seconds(quarter), abs=5e-5)


def test_a_steady_result_has_one_tempo() -> None:
    beats = beats_at([round(number * 60 * RATE / 117.3) for number in range(400)])
    tempo_map = of_warped(TimeMap(), beats)
    assert len(tempo_map.changes) == 1
    assert tempo_map.changes[0].bpm == pytest.approx(117.3, abs=1e-3)
    midi = of_warped(TimeMap(), beats, whole_microseconds=True)
    assert len(midi.changes) < 40
