"""Tempo, beats and bars of rhythms whose tempo is known, and what a person can change about them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from core.errors import UnbakeError
from core.warp.rhythm import beats as editing
from core.warp.rhythm.beats import Beats, Place, Section
from core.warp.rhythm.tracking import find_beats
from tests.warp.rhythms import RATE, beats_at, heard, heard_in, laid


def exact(found: Beats, bpm: float) -> bool:
    assert found.bpm is not None
    return abs(found.bpm / bpm - 1.0) < 2e-4


def rock(at: list[int], period: float, middle: float = 0.5) -> list[tuple[float, str]]:
    """Kick and snare in turn, a hat on the beat and one after it."""
    hits: list[tuple[float, str]] = []
    for number, frame in enumerate(at):
        hits += [(frame, "snare" if number % 2 else "kick"), (frame, "hat"), (frame + middle * period, "hat")]
    return hits


@pytest.mark.parametrize("bpm", [60.0, 72.3, 100.1, 120.0, 133.33, 180.0])
@pytest.mark.parametrize("start", [0.0, 6.7])
def test_a_click_track_has_its_tempo_and_every_click(tmp_path: Path, bpm: float, start: float) -> None:
    at = beats_at(bpm, 24.0, start)
    found = find_beats(heard_in(tmp_path, laid(24.0, [(frame, "click") for frame in at]), channels=1))
    assert exact(found, bpm)
    assert found.steady
    assert found.moves() == "steady"
    assert found.confidence > 0.8
    assert np.abs(np.array(found.at) - np.array(at)).max() <= 1
    assert found.candidates[0].bpm == found.bpm
    assert all(0.0 <= each.support <= 1.0 for each in found.candidates)


@pytest.mark.parametrize(("bpm", "middle"), [(90.0, 0.5), (120.0, 0.5), (120.0, 0.6), (100.0, 2 / 3), (140.0, 0.62)])
def test_drums_have_their_tempo_and_their_swing(tmp_path: Path, bpm: float, middle: float) -> None:
    at = beats_at(bpm, 30.0, 0.4)
    found = find_beats(heard_in(tmp_path, laid(30.0, rock(at, 60 * RATE / bpm, middle))))
    assert exact(found, bpm)
    assert found.swing == pytest.approx(middle / (1 - middle), abs=0.02)
    assert np.abs(np.array(found.at) - np.array(at)).max() <= 1


def test_half_and_double_are_offered(tmp_path: Path) -> None:
    at = beats_at(110.0, 24.0)
    found = find_beats(heard_in(tmp_path, laid(24.0, rock(at, 60 * RATE / 110.0))))
    offered = [each.bpm for each in found.candidates]
    assert offered[0] == pytest.approx(110.0, rel=1e-3)
    for other in (55.0, 220.0):
        assert min(abs(each - other) for each in offered) < 0.1


def test_a_range_decides_between_them(tmp_path: Path) -> None:
    at = beats_at(110.0, 24.0)
    sound = heard_in(tmp_path, laid(24.0, rock(at, 60 * RATE / 110.0)))
    assert exact(find_beats(sound, bpm_range=(40.0, 80.0)), 55.0)
    assert exact(find_beats(sound, bpm_range=(180.0, 240.0)), 220.0)
    with pytest.raises(UnbakeError, match="5 to 9000"):
        find_beats(sound, bpm_range=(5.0, 9000.0))


@pytest.mark.parametrize("bpm", [90.0, 132.0])
def test_a_waltz_has_three_beats(tmp_path: Path, bpm: float) -> None:
    at = beats_at(bpm, 30.0)
    hits = [(frame, "hat" if number % 3 else "kick") for number, frame in enumerate(at)]
    found = find_beats(heard_in(tmp_path, laid(30.0, hits)))
    assert exact(found, bpm)
    assert found.sections == (Section(0, 3),)
    assert [place.beat for place in found.places()[:4]] == [1, 2, 3, 1]


@pytest.mark.parametrize("early", [0, 1, 3])
def test_beats_before_the_first_downbeat_are_a_pick_up(tmp_path: Path, early: int) -> None:
    at = beats_at(120.0, 24.0, 1.3)
    hits = [(frame, "click" if (number - early) % 4 else "high") for number, frame in enumerate(at)]
    found = find_beats(heard_in(tmp_path, laid(24.0, hits)))
    assert found.places()[early] == Place(1, 1)
    if early:
        assert found.places()[0] == Place(0, 5 - early)
    assert found.meter == 4


def test_a_meter_that_is_known_is_taken(tmp_path: Path) -> None:
    at = beats_at(120.0, 24.0)
    hits = [(frame, "click" if number % 5 else "high") for number, frame in enumerate(at)]
    sound = heard_in(tmp_path, laid(24.0, hits))
    found = find_beats(sound, meter=5)
    assert found.sections == (Section(0, 5),)
    with pytest.raises(UnbakeError, match="a bar of 0 beats"):
        find_beats(sound, meter=0)


def test_a_tempo_that_moves_is_followed(tmp_path: Path) -> None:
    at, seconds = [], 0.5
    while seconds < 38.0:
        at.append(round(seconds * RATE))
        seconds += 60.0 / (100.0 + 0.8 * seconds)
    hits = [(frame, "snare" if number % 2 else "kick") for number, frame in enumerate(at)]
    found = find_beats(heard_in(tmp_path, laid(40.0, hits)))
    assert not found.steady
    assert found.moves() == "free"
    away = np.abs(np.array(at)[:, None] - np.array(found.at)[None, :]).min(axis=1)
    assert np.count_nonzero(away <= 2) >= len(at) - 2
    course = [each.bpm for each in found.course()]
    assert course[0] == pytest.approx(101.0, abs=3.0)
    assert course[-1] == pytest.approx(129.0, abs=3.0)
    assert all(later > earlier for earlier, later in itertools.pairwise(course))


def test_two_tempi_are_both_found(tmp_path: Path) -> None:
    at = [*range(RATE // 2, 20 * RATE, round(0.6 * RATE)), *range(20 * RATE, 38 * RATE, round(0.45 * RATE))]
    hits = [(frame, "snare" if number % 2 else "kick") for number, frame in enumerate(at)]
    found = find_beats(heard_in(tmp_path, laid(40.0, hits)))
    assert not found.steady
    away = np.abs(np.array(at)[:, None] - np.array(found.at)[None, :]).min(axis=1)
    assert np.count_nonzero(away <= 2) >= 0.95 * len(at)
    assert abs(len(found.at) - len(at)) <= 2


def test_a_drummer_is_steady_and_keeps_every_hit(tmp_path: Path) -> None:
    """Beats lie on what was played, a few milliseconds beside the grid; the tempo is the grid's."""
    rng = np.random.default_rng(6)
    at = [frame + round(rng.normal(0.0, 0.006) * RATE) for frame in beats_at(116.0, 40.0)]
    hits = [(frame, "snare" if number % 2 else "kick") for number, frame in enumerate(at)]
    found = find_beats(heard_in(tmp_path, laid(40.0, hits)))
    assert found.steady
    assert found.bpm == pytest.approx(116.0, rel=5e-4)
    assert np.abs(np.array(found.at) - np.array(at)).max() <= 3


def test_beats_go_on_where_the_drums_rest(tmp_path: Path) -> None:
    at = beats_at(120.0, 40.0)
    hits = [hit for hit in rock(at, RATE / 2) if not 14 * RATE < hit[0] < 22 * RATE]
    found = find_beats(heard_in(tmp_path, laid(40.0, hits)))
    assert exact(found, 120.0)
    assert np.abs(np.array(found.at) - np.array(at)).max() <= 2


@pytest.mark.parametrize("rate", [8000, 192_000])
def test_rates_make_no_difference(tmp_path: Path, rate: int) -> None:
    at = beats_at(126.0, 10.0, rate=rate)
    found = find_beats(heard_in(tmp_path, laid(10.0, [(frame, "click") for frame in at], rate), 1, rate))
    assert exact(found, 126.0)
    assert np.abs(np.array(found.at) - np.array(at)).max() <= 1


def nothing_that_repeats() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    time = np.arange(20 * RATE) / RATE
    return {
        "silence": np.zeros(len(time)),
        "one sample": np.ones(1),
        "noise": 0.1 * rng.standard_normal(len(time)),
        "tone": 0.3 * np.sin(2 * np.pi * 300 * time),
        "one click": laid(20.0, [(RATE, "click")]),
        "clicks at random": laid(20.0, [(frame, "click") for frame in rng.uniform(0, 19 * RATE, 40)]),
    }


@pytest.mark.parametrize("name", list(nothing_that_repeats()))
def test_where_nothing_repeats_there_are_no_beats(tmp_path: Path, name: str) -> None:
    found = find_beats(heard_in(tmp_path, nothing_that_repeats()[name]))
    assert found.bpm is None
    assert found.confidence == 0.0
    assert found.at == found.strengths_db == found.candidates == ()
    assert found.places() == found.course() == []


@pytest.mark.parametrize(
    ("song", "stem", "bpm"),
    [
        ("trackswitch", "drums", 85.0),
        ("waveform-playlist", "bassdrums", 121.5),
        ("synth-hobo", "mixture", 126.0),
        ("eif-potassium", "mixture", 90.0),
        ("fof-sectoid-feelings", "mixture", 95.0),
    ],
)
def test_real_music_has_the_tempo_it_was_made_with(data: Path, song: str, stem: str, bpm: float) -> None:
    """Made in sequencers, all of them, at a tempo of at most one decimal."""
    found = find_beats(heard(data / "multitracks" / song / f"{stem}.flac"))
    assert found.bpm == pytest.approx(bpm, rel=3e-4)
    assert found.steady
    assert found.confidence > 0.6


def test_speech_has_no_beat(data: Path) -> None:
    assert find_beats(heard(data / "speech" / "198-209-0000.hq.ogg")).bpm is None


def counted(meter: int = 4, first: int = 0, count: int = 12, first_bar: int = 1) -> Beats:
    """Beats at 120 that were found."""
    return Beats(
        sample_rate=RATE,
        frames=RATE * 10,
        at=tuple(RATE // 2 * (number + 1) for number in range(count)),
        strengths_db=(10.0,) * count,
        sections=(Section(first, meter),),
        first_bar=first_bar,
        bpm=120.0,
        confidence=0.9,
        steady=True,
    )


def test_bars_are_counted_from_the_first_downbeat() -> None:
    places = counted(first=2, first_bar=17).places()
    assert places[:4] == [Place(16, 3), Place(16, 4), Place(17, 1), Place(17, 2)]


def test_another_downbeat_shifts_all_bars() -> None:
    for index in (1, 5, 9):
        shifted = editing.with_downbeat(counted(), index)
        assert [place.beat for place in shifted.places()[:5]] == [4, 1, 2, 3, 4]
    assert editing.with_downbeat(counted(first=1), 4).places()[0] == Place(1, 1)


def test_meter_changes_as_a_whole_or_from_a_beat_on() -> None:
    assert [place.beat for place in editing.with_meter(counted(), 3).places()[:4]] == [1, 2, 3, 1]
    later = editing.with_meter(counted(), 3, 6)
    assert later.places()[4:10] == [Place(2, 1), Place(2, 2), Place(3, 1), Place(3, 2), Place(3, 3), Place(4, 1)]
    assert editing.with_first_bar(later, 5).places()[6] == Place(7, 1)
    moved = editing.with_downbeat(later, 8)
    assert moved.places()[8].beat == 1
    assert moved.places()[0] == Place(1, 1)


def test_half_and_double_keep_the_downbeats() -> None:
    half = editing.halved(counted(first=3))
    assert half.bpm == 60.0
    assert half.at == counted().at[1::2]
    assert half.at[half.sections[0].first] == counted().at[3]
    double = editing.doubled(counted(first=3))
    assert double.bpm == 240.0
    assert double.at[::2] == counted().at
    assert double.at[double.sections[0].first] == counted().at[3]
    assert editing.halved(double).at == counted().at
    with pytest.raises(UnbakeError, match="too few"):
        editing.halved(counted(count=6))


def test_one_beat_can_be_moved_added_and_removed() -> None:
    beats = counted(first=3)
    assert editing.moved(beats, 2, beats.at[2] + 500).at[2] == beats.at[2] + 500
    added = editing.added(beats, beats.at[0] + 77)
    assert added.at[:3] == (beats.at[0], beats.at[0] + 77, beats.at[1])
    assert added.at[added.sections[0].first] == beats.at[3]
    removed = editing.removed(beats, 1)
    assert removed.at == beats.at[:1] + beats.at[2:]
    assert removed.at[removed.sections[0].first] == beats.at[3]
    assert removed.bpm == pytest.approx(120.0)
    assert removed.steady
    assert len(removed.strengths_db) == len(removed.at)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda beats: editing.moved(beats, 2, 10), "beat 3 can't be moved to frame 10"),
        (lambda beats: editing.moved(beats, 40, 10), "there is no beat 41"),
        (lambda beats: editing.removed(beats, -1), "there is no beat 0"),
        (lambda beats: editing.added(beats, beats.at[0]), "there is a beat"),
        (lambda beats: editing.added(beats, -1), "outside the file"),
        (lambda beats: editing.with_meter(beats, 0), "a bar of 0 beats"),
        (lambda beats: editing.with_downbeat(beats, 12), "there is no beat 13"),
    ],
)
def test_what_can_not_be_is_refused_in_words(edit, words: str) -> None:
    with pytest.raises(UnbakeError, match=words):
        edit(counted())


def test_all_beats_can_be_removed_and_put_back() -> None:
    beats = counted(count=4)
    for _ in range(4):
        beats = editing.removed(beats, 0)
    assert beats.bpm is None
    assert beats.places() == []
    assert editing.added(beats, 100).places() == [Place(1, 1)]
