"""Gain along points in time: straight in dB, on the frame, wherever one starts and whatever stands before it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from core.errors import UnbakeError
from core.recombine.graph import Graph
from core.session import changes, edits, files, points, words
from core.session.document import Separation, Session, Source, Strip, StripProcessor, audible_key
from core.session.parameters import parameter_of, possible, shown, typed
from core.session.processors import Delay, DynamicBell, Gain, Limiter, MasterProcessor, MonoBelow, TransientShaper
from core.session.toml import Origin
from core.strips.chain import build_strip

RATE = 44_100
FRAMES = 4 * RATE
RIDE = ((1.0, 0.0), (2.0, -12.0), (2.5, -12.0), (3.0, 6.0))


@pytest.fixture
def stems(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(2)
    sound = 0.1 * rng.standard_normal((FRAMES, 2))
    for name in ("bass", "drums", "song"):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
    return {name: tmp_path / f"{name}.wav" for name in ("bass", "drums")}


def session(stems: dict[str, Path], *chain: StripProcessor, master: tuple[MasterProcessor, ...] = ()) -> Session:
    source = Source(str(stems["bass"].with_name("song.wav")), "ab", RATE, 2, FRAMES, "WAV", "FLOAT")
    strips = {"bass": Strip(chain=chain)} if chain else {}
    return Session(source=source, separation=Separation(stems=("drums", "bass")), strips=strips, master=master)


def test_it_goes_straight_in_db_and_holds_its_ends() -> None:
    stage = build_strip("bass", Strip(chain=(Gain(gain_db=-2.0, points=RIDE),)), RATE, ("M",))
    level_db = 20 * np.log10(stage.process(np.ones((1, FRAMES)))[0])
    at = np.round(RATE * np.array([0.0, 0.999, 1.0, 1.25, 1.5, 2.0, 2.3, 2.75, 3.0, 3.9])).astype(int)
    assert level_db[at] == pytest.approx(np.array([0, 0, 0, -3, -6, -12, -12, -3, 6, 6]) - 2.0, abs=1e-9)


LATE: tuple[tuple[StripProcessor, ...], ...] = (
    (),
    (MonoBelow(freq_hz=80.0),),
    (TransientShaper(attack_db=6.0), Delay(frames=-300.5)),
    (DynamicBell(freq_hz=60.0, threshold_db=0.0, range_db=1.0, sidechain="drums"), MonoBelow(freq_hz=200.0)),
)


@pytest.mark.parametrize("before", LATE, ids=["alone", "mono maker", "shaper and delay", "side-chain"])
def test_it_is_on_the_frame_from_any_start_behind_any_latency(
    stems: dict[str, Path], before: tuple[StripProcessor, ...]
) -> None:
    with Graph(session(stems, *before, Gain(points=RIDE)), stems) as graph:
        whole = np.concatenate(list(graph.blocks()), axis=1)
        song, plain = soundfile.read(stems["bass"].with_name("song.wav"))[0].T, 0.0
        if before:
            with Graph(session(stems, *before, Delay(frames=0.0)), stems) as other:
                plain = np.concatenate(list(other.blocks()), axis=1) - song
        treated = soundfile.read(stems["bass"])[0].T + plain
        gain = 10 ** (np.interp(np.arange(FRAMES) / RATE, *np.array(RIDE).T) / 20)
        assert np.abs(whole - song - (treated * gain - soundfile.read(stems["bass"])[0].T)).max() < 1e-9
        for start in (1, 2 * RATE - 7, 3 * RATE):
            graph.seek(start)
            assert np.abs(graph.read(500) - whole[:, start : start + 500]).max() < 1e-6, "as the whole is there"
        state = graph.state()
        ahead = graph.read(700)
        graph.seek(0)
        graph.resume(state)
        assert np.array_equal(graph.read(700), ahead)


def test_blocks_of_any_size_give_the_same_bits(stems: dict[str, Path]) -> None:
    with Graph(session(stems, Gain(points=RIDE)), stems) as graph:
        whole = np.concatenate(list(graph.blocks()), axis=1)
    for size in (64, 4095):
        with Graph(session(stems, Gain(points=RIDE)), stems) as graph:
            assert np.array_equal(np.concatenate(list(graph.blocks(size)), axis=1), whole)


def test_on_the_master_behind_a_limiter(stems: dict[str, Path]) -> None:
    with Graph(session(stems, master=(Limiter(ceiling_dbtp=0.0), Gain(points=RIDE))), stems) as graph:
        whole = np.concatenate(list(graph.blocks()), axis=1)
        graph.seek(2 * RATE)
        assert np.array_equal(graph.read(1000), whole[:, 2 * RATE : 2 * RATE + 1000])
    song = soundfile.read(stems["bass"].with_name("song.wav"))[0].T
    gain = 10 ** (np.interp(np.arange(FRAMES) / RATE, *np.array(RIDE).T) / 20)
    assert np.abs(whole - song * gain).max() < 1e-12


def test_points_of_0_db_alone_are_neutral() -> None:
    assert Gain(points=((0.0, 0.0), (1.0, 0.0))).neutral
    assert Gain(gain_db=0.0).neutral
    assert not Gain(points=((0.0, 0.0), (1.0, -0.1))).neutral


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("[[1, 0], [0.5, -3]]", r"points[1]: is at 0.5 s, not after the one before it at 1 s"),
        ("[[1, 0], [1, -3]]", r"points[1]: is at 1 s, not after the one before it at 1 s"),
        ("[[-0.1, 0]]", r"points[0]: is at -0.1 s, outside 0 to 1000000 s"),
        ("[[nan, 0]]", r"points[0]: is at nan s, outside"),
        ("[[inf, 0]]", r"points[0]: is at inf s, outside"),
        ("[[0, 0], [1, nan]]", r"points[1]: is nan dB, outside -96 to 24 dB"),
        ("[[0, 24.1]]", r"points[0]: is 24.1 dB, outside -96 to 24 dB"),
        ("[[0, -96.5]]", r"points[0]: is -96.5 dB, outside -96 to 24 dB"),
        ("[[0]]", r"points[0]: must be a list of 2, not of 1"),
        ("[[0, 1, 2]]", r"points[0]: must be a list of 2, not of 3"),
        ('[[0, "loud"]]', r"points[0][1]: must be a number"),
        ("3", r"points: must be a list"),
    ],
)
def test_points_that_can_not_be_are_refused_by_key(stems: dict[str, Path], wrong: str, said: str) -> None:
    with pytest.raises(UnbakeError) as caught:
        files.set_values(session(stems), [f'strips.bass.chain[0]={{type="gain", points={wrong}}}'])
    assert f"strips.bass.chain[0].{said}" in caught.value.line()


def test_limits_themselves_can_be() -> None:
    assert Gain(points=((0.0, -96.0), (1e6, 24.0))).points[1] == (1e6, 24.0)


def test_points_come_back_from_toml_one_a_line(stems: dict[str, Path]) -> None:
    document = session(stems, Gain(gain_db=-2.0, points=RIDE))
    text = files.dumps(document)
    assert "    [2.0, -12.0],\n" in text
    assert files.from_tables(files.toml.parse(text, "t"), Origin("t", text)) == document
    assert "points =" not in files.dumps(session(stems, Gain(gain_db=-2.0)))
    assert audible_key(document) != audible_key(session(stems, Gain(gain_db=-2.0)))
    moved = files.set_values(document, ["strips.bass.chain[0].points=[[0, 0], [5, -1]]"])
    assert moved.strips["bass"].chain == (Gain(gain_db=-2.0, points=((0.0, 0.0), (5.0, -1.0))),)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0:00 0, 1:23.5 -3", ((0.0, 0.0), (83.5, -3.0))),
        ("0 -1 dB, 83.25s +2.5db", ((0.0, -1.0), (83.25, 2.5))),
        ("1:02:03 -6", ((3723.0, -6.0),)),
        (" .5 \N{MINUS SIGN}3 ", ((0.5, -3.0),)),
        ("none", ()),
        ("", ()),
    ],
)
def test_points_are_typed(text: str, found: points.Points) -> None:
    assert points.read(text) == found
    assert points.read(points.written(found)) == found


def test_what_is_written_is_exact_to_the_last_digit() -> None:
    odd = ((0.1 + 0.2, -0.30000000000000004), (59.99999999, 1e-7), (60.0, 0.0), (3599.5, -1.25))
    assert points.read(points.written(odd)) == odd
    assert points.written(RIDE) == "0:01 0, 0:02 -12, 0:02.5 -12, 0:03 6"


@pytest.mark.parametrize("text", ["loud", "0:00", "1:23 -3 4", "1:00 0, 0:30 -3", "0 30", "-1 0", "1:2:3:4 0"])
def test_what_can_not_be_typed_is_answered(text: str) -> None:
    with pytest.raises(UnbakeError, match="points"):
        points.read(text)


def test_the_editor_shows_counts_and_takes_them_typed(stems: dict[str, Path]) -> None:
    ride = Gain(gain_db=-2.0, points=RIDE)
    assert words.of_processor(ride) == "gain -2 dB, 4 points"
    assert words.of_processor(Gain(gain_db=-2.0)) == "gain -2 dB"
    parameter = parameter_of(Gain, "points")
    assert (shown(parameter, RIDE, padded=False), shown(parameter, ())) == ("4 points", "none")
    assert typed(parameter, shown(parameter, RIDE), sample_rate=RATE) == RIDE
    assert "1:23.5 -3" in possible(parameter, RATE)
    before = session(stems, ride)
    after = edits.set_parameter(before, "bass", 0, "points", RIDE[:1])
    assert after.what == "bass: gain 1 point"
    louder = edits.set_parameter(before, "bass", 0, "gain_db", 1.0).session
    assert louder.strips["bass"].chain == (msgspec.structs.replace(ride, gain_db=1.0),), "its points are still there"
    lines = [each.line for each in changes.differences(before, after.session)]
    assert lines == ["bass: gain: points 4 points -> 1 point"]
    moved = edits.set_parameter(before, "bass", 0, "points", (*RIDE[:3], (3.5, 6.0))).session
    assert changes.differences(before, moved)[0].line.endswith("0:03 6 -> 0:01 0, 0:02 -12, 0:02.5 -12, 0:03.5 6")
