"""Time maps as files of other programs: what goes out comes back, and what can't be read says why."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.audio.formats import AudioInfo
from core.errors import UnbakeError
from core.session.timemap import Drawn, TimeMap, straightened
from core.warp.maps.exchange import FORMATS, exported, imported
from core.warp.maps.reaper import Marker, from_markers, read_stretch_markers, read_tempo, to_project
from core.warp.maps.tempo_map import Change, Signature, TempoMap, of_warped
from core.warp.rhythm.beats import Beats, Section

RATE = 44_100


def song(frames: int, path: str = "/music/song.wav") -> AudioInfo:
    return AudioInfo(
        path=path,
        container="WAV",
        subtype="PCM_24",
        sample_rate=RATE,
        channels=2,
        frames=frames,
        speakers=("left", "right"),
        lossless=True,
    )


def beats_at(at: list[int], frames: int, meter: int = 4, downbeat: int = 0) -> Beats:
    return Beats(sample_rate=RATE, frames=frames, at=tuple(at), sections=(Section(downbeat, meter),))


@st.composite
def cases(draw: st.DrawFn) -> tuple[TimeMap, AudioInfo]:
    """Maps with cut heads, silence first, anchors at the ends, steep parts, and of either curve."""
    source, target = draw(st.integers(0, 30_000)), draw(st.integers(0, 30_000))
    anchors = [(source, target)]
    for step in draw(st.lists(st.integers(800, 60_000), min_size=1, max_size=8)):
        source, target = source + step, target + draw(st.integers(step // 6, step * 6))
        anchors.append((source, target))
    curve = draw(st.sampled_from(["straight", "smooth"]))
    return TimeMap(tuple(anchors), curve), song(source + draw(st.sampled_from([0, 1, 44_100])))  # type: ignore[arg-type]


def heard_alike(one: TimeMap, other: TimeMap, frames: int, near: float) -> None:
    """Both lead every frame that is heard to the same place, and are as long."""
    a, b = Drawn(one, frames), Drawn(other, frames)
    assert abs(one.length(frames) - other.length(frames)) <= near
    for number in range(41):
        target = a.target(frames * number / 40)
        if target >= 0.0:
            assert b.target(frames * number / 40) == pytest.approx(target, abs=near)


@pytest.mark.parametrize("name", ["map", "times", "reaper", "ableton"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(case=cases())
def test_maps_come_back_as_they_went(tmp_path: Path, name: str, case: tuple[TimeMap, AudioInfo]) -> None:
    time_map, info = case
    path = tmp_path / f"m{FORMATS[name].extension}"
    path.write_bytes(exported(name, time_map, info))
    back = imported(path, info)
    if name == "times":
        assert back.anchors == time_map.anchors
    else:
        # a piece rounded to whole frames is steeper by so much at its ends
        heard_alike(straightened(time_map), back, info.frames, 0.0 if name == "map" else 9.0)
        inner = {anchor for anchor in time_map.anchors if anchor[1] > 0}
        assert inner <= set(back.anchors)


@pytest.mark.parametrize("name", ["midi", "tempo", "reaper"])
@pytest.mark.parametrize("downbeat", [0, 3])
def test_tempo_maps_come_back_where_the_beats_were(tmp_path: Path, name: str, downbeat: int) -> None:
    at = [30_000 + number * 24_000 + (number % 3) * 350 for number in range(60)]
    info = song(at[-1] + 50_000)
    beats = beats_at(at, info.frames, downbeat=downbeat)
    time_map = TimeMap(
        tuple((beat, 31_000 + round(number * 22_050 * (1 + 0.001 * number))) for number, beat in enumerate(at))
    )
    path = tmp_path / f"m{FORMATS[name].extension}"
    content = exported(name, time_map, info, beats)
    if name == "reaper":
        lines = content.decode().splitlines()
        content = "\n".join(line for line in lines if not line.strip().startswith("SM ")).encode()
    path.write_bytes(content)
    back = imported(path, info, beats)
    for (source, target), (other, came) in zip(time_map.anchors, back.anchors, strict=True):
        assert source == other
        assert abs(came - target) <= 2


def test_what_a_midi_file_holds() -> None:
    import io

    import mido

    info = song(20 * RATE)
    beats = beats_at([11_025 + number * 22_050 for number in range(30)], info.frames, meter=3, downbeat=1)
    content = exported("midi", TimeMap(), info, beats)
    file = mido.MidiFile(file=io.BytesIO(content))
    assert (file.type, len(file.tracks)) == (1, 1)
    # half a beat first, then a pick-up of one
    assert [(message.type, message.time) for message in file.tracks[0]] == [
        ("track_name", 0),
        ("time_signature", 0),
        ("set_tempo", 0),
        ("time_signature", 480),
        ("time_signature", 960),
        ("end_of_track", 0),
    ]
    assert file.tracks[0][0].name == "song"
    assert {message.tempo for message in file if message.type == "set_tempo"} == {500_000}
    assert content == exported("midi", TimeMap(), info, beats)


def test_a_reaper_project_says_what_reaper_reads() -> None:
    info = song(441_000, '/music/my "best" take.flac')
    time_map = TimeMap(((22_050, 0), (66_150, 44_100), (110_250, 96_000), (441_000, 430_000)))
    beats = beats_at([22_050 + number * 22_050 for number in range(15)], info.frames)
    text = to_project(time_map, info, of_warped(time_map, beats))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0].startswith("<REAPER_PROJECT 0.1 ")
    assert sum(line.startswith("<") for line in lines) == lines.count(">")
    assert "SOFFS 0" in lines
    assert "<SOURCE FLAC" in lines
    assert "FILE '/music/my \"best\" take.flac'" in lines
    (markers,) = [line for line in lines if line.startswith("SM ")]
    # position in the item, then in the source
    assert markers == "SM 0 0.5 + 1 1.5 + 2.1768707483 2.5 + 9.75056689342 10"
    points = [line for line in lines if line.startswith("PT ")]
    assert points[0] == "PT 0.000000000000 120.0000000000 1 262148 0 1"
    assert f"LENGTH {430_000 / RATE:.12g}" in lines


def test_reaper_markers_with_slopes_are_drawn() -> None:
    # The example of ReaTeam's "State Chunk Definitions": the first part begins at speed 1 and slows down.
    text = item("a.wav", "SM 0 0 -0.149425287 + 0.574712644 0.5 + 1.348114004 1.273401361")
    info = song(60_000)
    time_map = read_stretch_markers(text, info, "p.rpp")
    assert time_map is not None
    drawn = Drawn(time_map, info.frames)
    assert drawn.target(22_050) == pytest.approx(0.574712644 * RATE, abs=1)
    assert drawn.speed(10) == pytest.approx(1.0, abs=0.03)
    assert drawn.speed(22_000) == pytest.approx(0.87 * (1 - 0.149425287), abs=0.03)
    assert drawn.speed(30_000) == pytest.approx(1.0, abs=1e-3)
    # source = mean speed * ((1 - slope) t + slope t^2) of the way through the item
    u = 0.4
    through = u * 1.149425287 - u * u * 0.149425287
    assert drawn.target(0.5 * RATE * through) == pytest.approx(u * 0.574712644 * RATE, abs=2)


ITEM = (
    '<ITEM\nPOSITION 0\nSOFFS {offset}\nPLAYRATE {rate} 1 0 -1 0 0.0025\n{markers}\n<SOURCE WAVE\nFILE "{file}"\n>\n>\n'
)


def item(file: str = "song.wav", markers: str = "SM 0 0 + 1.1 1", offset: float = 0, rate: float = 1) -> str:
    return ITEM.format(file=file, markers=markers, offset=offset, rate=rate)


def test_the_item_of_this_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "p.rpp"
    path.write_text("<REAPER_PROJECT 0.1\n" + item("C:\\x\\other.wav", "SM 0 0 + 2 1") + item("D:\\y\\song.wav") + ">")
    assert imported(path, song(RATE)).anchors == ((0, 0), (44_100, 48_510))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (item("a.wav") + item("b.wav"), "2 items or takes have stretch markers"),
        (item(offset=1.5), r"the item begins within its file \(1.5\)"),
        (item(rate=1.2), r"the item has a play rate \(1.2\)"),
        (item(markers="SM 0 0 + 1.1"), "line 5 can't be read"),
        (item(markers="SM 0 0 + nan 1"), "line 5 can't be read"),
        (item(markers="SM 0 0 + 1.1 0"), "stretch markers 1 and 2 make no speed"),
        (item(markers="SM 0 0 + 1.1 7"), "goes on to 7.000 s of a file of 1.000 s"),
        (item(markers="SM 0 0 + 9 1"), "would become 9 times as long"),
        ("<REAPER_PROJECT 0.1\n>", "holds neither stretch markers nor a tempo"),
        ("<REAPER_PROJECT 0.1\nTEMPO 120 4 4\n>", "says tempi, which need the beats"),
        ("<REAPER_PROJECT 0.1\n<TEMPOENVEX\nPT 0 x 1\n>\n>", "line 3 is no tempo: 'PT 0 x 1'"),
        ("<REAPER_PROJECT 0.1\n<TEMPOENVEX\nPT 0 120 1\nPT 0 90 1\n>\n>", "tempo change 2 does not come after"),
    ],
)
def test_projects_that_can_not_be_used_say_why(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "p.rpp"
    path.write_text(content)
    with pytest.raises(UnbakeError, match=words) as refused:
        imported(path, song(RATE))
    assert refused.value.where == str(path)


def test_a_tempo_envelope_keeps_ramps_and_signatures() -> None:
    made = TempoMap(
        [Change(0.0, 120.0), Change(8.0, 120.0, ramp=True), Change(16.0, 90.0)],
        [Signature(0.0, 4, 4), Signature(8.0, 3, 4), Signature(14.0, 7, 8)],
    )
    back = read_tempo(to_project(TimeMap(), song(RATE), made), "p.rpp")
    assert back is not None
    assert [(each.upper, each.lower) for each in back.signatures] == [(4, 4), (3, 4), (7, 8)]
    for number in range(40):
        assert back.seconds(number / 2) == pytest.approx(made.seconds(number / 2), abs=1e-6)


def live_set(clips: str, tempo: str = '<Manual Value="100" />', envelopes: str = "", track: str = "MainTrack") -> bytes:
    return gzip.compress(
        f'<?xml version="1.0" encoding="UTF-8"?><Ableton MajorVersion="5"><LiveSet><Tracks><AudioTrack Id="8">{clips}'
        f"</AudioTrack></Tracks><{track}><AutomationEnvelopes><Envelopes>{envelopes}</Envelopes></AutomationEnvelopes>"
        f'<DeviceChain><Mixer><Tempo>{tempo}<AutomationTarget Id="8" /></Tempo>'
        f"</Mixer></DeviceChain></{track}></LiveSet></Ableton>".encode(),
        mtime=0,
    )


def clip(
    markers: tuple[tuple[float, float], ...], file: str = "song.wav", start: float = 0.0, warped: str = "true"
) -> str:
    inner = "".join(
        f'<WarpMarker Id="{number}" SecTime="{seconds}" BeatTime="{beats}" />'
        for number, (seconds, beats) in enumerate(markers)
    )
    return (
        f'<AudioClip Id="0" Time="0"><Loop><LoopStart Value="{start}" /><LoopEnd Value="8" />'
        f'<StartRelative Value="0" /><LoopOn Value="false" /></Loop><IsWarped Value="{warped}" />'
        f'<SampleRef><FileRef><Path Value="/x/{file}" />'
        f"</FileRef></SampleRef><WarpMarkers>{inner}</WarpMarkers></AudioClip>"
    )


MARKERS = ((0.5, 0.0), (2.5, 4.0), (2.5125, 4.03125))
"""120 BPM from 0.5 s, then 150 BPM."""


@pytest.mark.parametrize("track", ["MainTrack", "MasterTrack"])
def test_a_live_set_says_where_its_clip_plays(tmp_path: Path, track: str) -> None:
    path = tmp_path / "x.als"
    path.write_bytes(live_set(clip(MARKERS, "other.wav", 9) + clip(MARKERS) + clip(MARKERS), track=track))
    info = song(4 * RATE)
    time_map = imported(path, info)
    drawn = Drawn(time_map, info.frames)
    # a beat is 0.6 s in the Set, and beat 0 is the clip's start: half a second of the file comes before it
    assert drawn.target(0.5 * RATE) == pytest.approx(0.0, abs=1)
    assert drawn.target(2.5 * RATE) == pytest.approx(4 * 0.6 * RATE, abs=1)
    # after the last marker it goes on at 150 BPM
    assert drawn.target(4.0 * RATE) == pytest.approx((4 + 1.5 * 2.5) * 0.6 * RATE, abs=2)
    assert imported(path, info, bpm=120.0).length(info.frames) == pytest.approx((4 + 1.5 * 2.5) * 0.5 * RATE, abs=2)


def test_bare_warp_markers_cut_nothing_off(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_text(
        '<WarpMarkers><WarpMarker SecTime="0.5" BeatTime="0" /><WarpMarker SecTime="1" BeatTime="1" /></WarpMarkers>'
    )
    time_map = imported(path, song(2 * RATE), bpm=60.0)
    assert time_map.anchors == ((0, 0), (22_050, 44_100), (44_100, 88_200), (88_200, 176_400))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<Ableton><LiveSet>", "is no Live Set or part of one"),
        (live_set("")[:40], "is damaged"),
        (live_set(""), "holds no warped clip"),
        (live_set(clip(MARKERS, warped="false")), "holds no warped clip"),
        (live_set(clip(MARKERS, "a.wav") + clip(MARKERS[:2], "b.wav")), "2 clips that are warped differently"),
        (live_set(clip(MARKERS[:1])), "one warp marker alone"),
        (live_set(clip(((0.5, 1.0), (0.4, 2.0), (0.6, 1.5)))), "warp markers 1 and 2 do not both rise"),
        (live_set(clip((("x", 1.0), (0.4, 2.0)))), "no number where one must be"),  # type: ignore[arg-type]
        (live_set(clip(MARKERS), tempo=""), "states no tempo"),
        (
            live_set(
                clip(MARKERS),
                envelopes='<AutomationEnvelope><EnvelopeTarget><PointeeId Value="8" /></EnvelopeTarget><Events>'
                '<FloatEvent Value="100" /><FloatEvent Value="110" /></Events></AutomationEnvelope>',
            ),
            "the tempo of the Set changes",
        ),
    ],
)
def test_live_sets_that_can_not_be_used_say_why(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.als"
    path.write_bytes(content)
    with pytest.raises(UnbakeError, match=words) as refused:
        imported(path, song(4 * RATE))
    assert refused.value.where == str(path)


def test_a_small_file_that_unpacks_into_far_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.warp.maps.ableton.MOST_BYTES", 1 << 20)
    path = tmp_path / "x.als"
    path.write_bytes(gzip.compress(b"<Ableton>" + b" " * (4 << 20), mtime=0))
    with pytest.raises(UnbakeError, match="larger than any Live Set"):
        imported(path, song(RATE))


def test_a_clip_in_a_set_at_the_tempo_of_the_result() -> None:
    info = song(20 * RATE)
    beats = beats_at([number * 21_000 for number in range(40)], info.frames)
    time_map = TimeMap(((0, 0), (840_000, 882_000)))
    text = exported("ableton", time_map, info, beats).decode()
    assert '<Manual Value="120.0" />' in text
    found = [line for line in text.splitlines() if line.startswith("<WarpMarker ")]
    assert found[0] == '<WarpMarker Id="0" SecTime="0.0" BeatTime="0.0" />'
    assert found[1] == f'<WarpMarker Id="1" SecTime="{840_000 / RATE!r}" BeatTime="{20.0 * 2.0!r}" />'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.map", "0 0\n10 x", "line 2 is not two frame numbers"),
        ("x.map", "0 0\n99999999 99999999", "anchor 2 is at source frame 99999999, but the file has 44100"),
        ("x.txt", "0:00 -> soon", "line 1: 'soon' is no place"),
        ("x.txt", "0:00 -> 0:00, 9:00 -> 9:00", "anchor 2 is at source frame 23814000, but the file has 44100"),
        ("x.tempo", "1 120", "says tempi, which need the beats"),
        ("x.mid", "hello", "no MIDI file"),
        ("x.asd", "hello", "Live's analysis"),
        ("x.bin", "\0\1\2\xff", "is no text|not two frame numbers"),
    ],
)
def test_files_that_can_not_be_used_are_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UnbakeError, match=words) as refused:
        imported(path, song(RATE))
    assert refused.value.where == str(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnbakeError, match=r"none\.map: no such file"):
        imported(tmp_path / "none.map", song(RATE))
    with pytest.raises(UnbakeError, match="is a directory"):
        imported(tmp_path, song(RATE))


def test_what_can_not_be_written_is_refused() -> None:
    info = song(RATE)
    with pytest.raises(UnbakeError, match=r"cubase: is no format of time maps \(one of map, times"):
        exported("cubase", TimeMap(), info)
    with pytest.raises(UnbakeError, match=r"song\.wav: a tempo map needs the beats"):
        exported("midi", TimeMap(), info)
    with pytest.raises(UnbakeError, match="anchor 1 is at source frame 50000, but the file has 44100"):
        exported("map", TimeMap(((50_000, 0),)), info)


def test_bars_and_beats_of_a_typed_file_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("1.1 -> 0:00.1\n1.3 -> +10ms\n")
    beats = beats_at([4410, 15_000, 26_000, 37_000], RATE)
    assert imported(path, song(RATE), beats).anchors == ((4410, 4410), (26_000, 26_441))


@given(st.lists(st.tuples(st.integers(500, 9000), st.floats(0.15, 7.0)), min_size=2, max_size=12))
def test_markers_without_slopes_are_anchors(steps: list[tuple[int, float]]) -> None:
    items = list(itertools.accumulate(round(step * stretch) for step, stretch in steps))
    sources = list(itertools.accumulate(step for step, _ in steps))
    markers = [Marker(at / RATE, source / RATE) for at, source in zip(items, sources, strict=True)]
    assert from_markers(markers, song(sources[-1]), "x").anchors == tuple(zip(sources, items, strict=True))
