"""Markers, regions, loops, chapters and time references go where their sound goes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from mutagen import id3

from core.audio import common_tags
from core.audio.chunks import W64_GUID_TAIL
from core.audio.outputs import output_format
from core.audio.probe import probe
from core.audio.tags import Metadata, apply_metadata, read_metadata
from core.session.timemap import TimeMap
from core.warp.maps.positions import along

RATE = 44_100
FRAMES = 10 * RATE
TWICE = TimeMap(((0, 0), (FRAMES, 2 * FRAMES)))
"""Twice as long."""
CUT = TimeMap(((RATE, 0),))
"""Without the first second."""
LATER = TimeMap(((0, RATE),))
"""After a second of silence."""


def moved(kind: str, name: bytes, content: bytes, time_map: TimeMap) -> tuple[bytes, tuple[str, ...]]:
    metadata, lost = along(Metadata(kind=kind, chunks=((name, content),)), time_map, FRAMES, RATE)
    return (metadata.chunks[0][1] if metadata.chunks else b""), lost


def cue(*frames: int) -> bytes:
    points = [struct.pack("<II4sIII", number, at, b"data", 0, 0, at) for number, at in enumerate(frames, 1)]
    return struct.pack("<I", len(points)) + b"".join(points)


def note(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def label(point: int, text: bytes) -> bytes:
    return note(b"labl", struct.pack("<I", point) + text + b"\0")


def region(point: int, length: int) -> bytes:
    return note(b"ltxt", struct.pack("<II4s4H", point, length, b"rgn ", 0, 0, 0, 0))


def bext(reference: int) -> bytes:
    return bytes(338) + struct.pack("<Q", reference) + b"\x02\0" + bytes(254)


def test_nothing_changes_where_nothing_moves() -> None:
    metadata = Metadata(kind="RIFF", chunks=((b"acid", bytes(24)), (b"plst", b"x")), cuesheet=b"x")
    assert along(metadata, TimeMap(((0, 0), (FRAMES, FRAMES))), FRAMES, RATE) == (metadata, ())


@pytest.mark.parametrize(("kind", "name"), [("RIFF", b"bext"), ("W64", b"bext" + W64_GUID_TAIL)])
def test_the_time_reference_is_that_of_the_first_frame_that_is_left(kind: str, name: bytes) -> None:
    hour = 3600 * RATE
    for time_map, by in ((TWICE, 0), (CUT, RATE), (LATER, -RATE)):
        made, lost = moved(kind, name, bext(hour), time_map)
        assert struct.unpack_from("<Q", made, 338) == (hour + by,)
        assert made[346:] == bext(hour)[346:]
        assert not lost
    made, lost = moved(kind, name, bext(0), LATER)
    assert struct.unpack_from("<Q", made, 338) == (0,)
    assert lost == ("the time reference, since the file would begin before midnight",)


def test_cue_points_go_along_and_those_cut_off_are_named() -> None:
    made, lost = moved("RIFF", b"cue ", cue(RATE, 5 * RATE), TWICE)
    assert made == cue(2 * RATE, 10 * RATE)
    assert not lost
    made, lost = moved("RIFF", b"cue ", cue(RATE // 2, 5 * RATE), CUT)
    assert struct.unpack_from("<III", made) == (1, 2, 4 * RATE)
    assert lost == ("marker 1",)
    assert moved("RIFF", b"cue ", cue(3, 4), CUT) == (b"", ("marker 1", "marker 2"))


def test_labels_and_regions_follow_their_cue_points() -> None:
    adtl = b"adtl" + label(1, b"Count-in") + label(2, b"Verse") + region(2, 2 * RATE) + region(3, RATE)
    info = b"INFO" + b"INAM" + struct.pack("<I", 4) + b"Song"
    metadata = Metadata(
        kind="RIFF",
        chunks=((b"LIST", adtl), (b"cue ", cue(0, 3 * RATE, RATE // 2)), (b"LIST", info)),
    )
    kept, lost = along(metadata, CUT, FRAMES, RATE)
    assert lost == ("marker 'Count-in'",)
    (_, notes), (_, cues), (_, text) = kept.chunks
    assert text == info
    # the end of the third one is left: half a second from the beginning on
    assert struct.unpack_from("<I", cues) == (2,)
    assert struct.unpack_from("<II", cues, 4) == (2, 2 * RATE)
    assert struct.unpack_from("<II", cues, 28) == (3, 0)
    assert notes == b"adtl" + label(2, b"Verse") + region(2, 2 * RATE) + region(3, RATE // 2)
    longer, _ = along(metadata, TWICE, FRAMES, RATE)
    assert region(2, 4 * RATE) in longer.chunks[0][1]


@given(st.lists(st.integers(0, FRAMES), min_size=1, max_size=5), st.integers(1, 8 * FRAMES))
def test_cue_points_stay_in_order_and_in_the_file(frames: list[int], length: int) -> None:
    time_map = TimeMap(((0, 0), (FRAMES, max(FRAMES // 8 + 1, length))))
    made, _ = moved("RIFF", b"cue ", cue(*sorted(frames)), time_map)
    at = [struct.unpack_from("<I", made, 4 + 24 * number + 20)[0] for number in range(len(frames))]
    assert at == sorted(at)
    assert at[-1] <= time_map.length(FRAMES)


def test_loops_keep_both_ends_or_go() -> None:
    head = bytes(28) + struct.pack("<II", 2, 0)
    loops = struct.pack("<6I", 9, 0, 0, RATE - 1, 0, 0) + struct.pack("<6I", 8, 0, 2 * RATE, 3 * RATE - 1, 0, 5)
    made, lost = moved("RIFF", b"smpl", head + loops + b"more", TWICE)
    assert struct.unpack_from("<6I", made, 36) == (9, 0, 0, 2 * RATE - 1, 0, 0)
    assert struct.unpack_from("<6I", made, 60) == (8, 0, 4 * RATE, 6 * RATE - 1, 0, 5)
    assert made[84:] == b"more"
    assert not lost
    made, lost = moved("RIFF", b"smpl", head + loops, CUT)
    assert struct.unpack_from("<I", made, 28) == (1,)
    assert struct.unpack_from("<6I", made, 36) == (8, 0, RATE, 2 * RATE - 1, 0, 5)
    assert lost == ("loop 1",)


def test_markers_of_aiff_go_along() -> None:
    mark = (
        struct.pack(">H", 2) + struct.pack(">HIB", 1, 441, 3) + b"one" + struct.pack(">HIB", 2, 2 * RATE, 4) + b"four\0"
    )
    made, lost = moved("AIFF", b"MARK", mark, CUT)
    assert made == struct.pack(">HHIB", 1, 2, RATE, 4) + b"four\0"
    assert lost == ("marker 'one'",)


def test_ixml_keeps_its_time_stamp_true() -> None:
    text = (
        b"<BWFXML><SPEED><TIMESTAMP_SAMPLE_RATE>48000</TIMESTAMP_SAMPLE_RATE>"
        b"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>0</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>"
        b"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>4294967295</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED>"
        b"<SYNC_POINT_LIST><SYNC_POINT>x</SYNC_POINT></SYNC_POINT_LIST></BWFXML>"
    )
    made, lost = moved("RIFF", b"iXML", text, CUT)
    assert b"_HI>1</" in made
    assert b"_LO>47999</" in made
    assert b"SYNC_POINT" not in made
    assert lost == ("the sync points of iXML",)


def tag(*frames: id3.Frame, version: int = 4) -> bytes:
    tags = id3.ID3()
    for frame in frames:
        tags.add(frame)
    return common_tags.id3_to_bytes(tags, version)


def chapter(name: str, start: int, end: int) -> id3.Frame:
    title = id3.TIT2(encoding=3, text=[name.title()])
    return id3.CHAP(element_id=name, start_time=start, end_time=end, start_offset=9, end_offset=10, sub_frames=[title])


@pytest.mark.parametrize("version", [3, 4])
def test_chapters_of_id3_go_along(version: int) -> None:
    contents = id3.CTOC(element_id="toc", flags=0x03, child_element_ids=["intro", "song"], sub_frames=[])
    raw = tag(
        chapter("intro", 0, 900),
        chapter("song", 900, 5000),
        contents,
        id3.TBPM(encoding=3, text=["120"]),
        id3.TIT2(encoding=3, text=["Song"]),
        version=version,
    )
    kept, lost = along(Metadata(kind="MP3", id3=raw), CUT, FRAMES, RATE)
    tags = common_tags.read_id3(kept.id3)
    (song,) = tags.getall("CHAP")
    assert (song.start_time, song.end_time, song.start_offset) == (0, 4000, 0xFFFFFFFF)
    assert tags["CTOC:toc"].child_element_ids == ["song"]
    assert "TBPM" not in tags
    assert str(tags["TIT2"]) == "Song"
    assert lost == ("the tempo", "chapter 'Intro'")
    assert kept.id3[3] == version
    plain = tag(id3.TIT2(encoding=3, text=["Song"]))
    assert along(Metadata(kind="MP3", id3=plain), CUT, FRAMES, RATE)[0].id3 == plain


def test_chapters_of_vorbis_comments_go_along() -> None:
    comments = (
        ("TITLE", "Song"),
        ("CHAPTER001", "00:00:00.500"),
        ("CHAPTER001NAME", "Count-in"),
        ("chapter002", "00:00:03.250"),
        ("CHAPTER002NAME", "Verse"),
        ("CHAPTER003", "soon"),
        ("BPM", "120"),
        ("CUESHEET", "FILE x"),
    )
    kept, lost = along(Metadata(kind="VORBIS", comments=comments, cuesheet=b"x"), CUT, FRAMES, RATE)
    assert kept.comments == (
        ("TITLE", "Song"),
        ("chapter002", "00:00:02.250"),
        ("CHAPTER002NAME", "Verse"),
        ("CHAPTER003", "soon"),
    )
    assert lost == ("chapter 'Count-in'", "the tempo", "the cue sheet")
    assert kept.cuesheet == b""


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        (Metadata(kind="RIFF", chunks=((b"acid", bytes(24)),)), "chunk 'acid'"),
        (Metadata(kind="RIFF", chunks=((b"plst", bytes(4)),)), "chunk 'plst'"),
        (Metadata(kind="RIFF", chunks=((b"cue ", struct.pack("<I", 3) + bytes(20)),)), "chunk 'cue '"),
        (Metadata(kind="RIFF", chunks=((b"bext", b"short"),)), "chunk 'bext'"),
        (Metadata(kind="RIFF", chunks=((b"axml", b'<a rtime="00:00:01"/>'),)), "chunk 'axml'"),
        (Metadata(kind="AIFF", chunks=((b"MARK", b"\0\x05"),)), "chunk 'MARK'"),
        (Metadata(kind="CAF", chunks=((b"mark", bytes(8)),)), "chunk 'mark'"),
        (Metadata(kind="MP4", atoms={"tmpo": [120]}), "the tempo"),
    ],
)
def test_what_can_not_be_moved_is_left_out_and_named(metadata: Metadata, named: str) -> None:
    kept, lost = along(metadata, TWICE, FRAMES, RATE)
    assert lost == (named,)
    assert not kept.chunks
    assert not kept.atoms


@given(
    st.sampled_from([("RIFF", b"bext"), ("RIFF", b"cue "), ("RIFF", b"LIST"), ("RIFF", b"smpl"), ("RIFF", b"iXML")]),
    st.binary(max_size=80),
    st.integers(0, 3),
)
def test_damaged_chunks_never_end_in_a_traceback(kind: tuple[str, bytes], content: bytes, count: int) -> None:
    begin = {b"LIST": b"adtl", b"cue ": struct.pack("<I", count), b"smpl": bytes(28) + struct.pack("<I", count)}
    chunk = kind[1], begin.get(kind[1], b"") + content
    for time_map in (TWICE, CUT):
        kept, lost = along(Metadata(kind=kind[0], chunks=(chunk, (b"MARK", content))), time_map, FRAMES, RATE)
        assert len(kept.chunks) + len(lost) >= 1
    along(Metadata(kind="AIFF", chunks=((b"MARK", content),), id3=content), CUT, FRAMES, RATE)


def test_what_counts_no_time_stays_byte_for_byte() -> None:
    chunks = ((b"LIST", b"INFO"), (b"axml", b"<plain/>"), (b"_PMX", b"<x/>"), (b"tiny", b""))
    metadata = Metadata(kind="RIFF", chunks=chunks, atoms={"\xa9nam": ["Song"]}, comments=(("ARTIST", "X"),))
    assert along(metadata, TWICE, FRAMES, RATE) == (metadata, ())


def test_a_real_file_keeps_its_markers_where_they_sound(tmp_path: Path) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(source, np.zeros(FRAMES), RATE, subtype="PCM_16")
    adtl = b"adtl" + label(1, b"One") + label(2, b"Two")
    made = Metadata(kind="RIFF", chunks=((b"cue ", cue(RATE // 2, 5 * RATE)), (b"LIST", adtl), (b"bext", bext(RATE))))
    apply_metadata(made, source, output_format(probe(source), None, None))
    metadata, lost = along(read_metadata(source), CUT, FRAMES, RATE)
    soundfile.write(target, np.zeros(CUT.length(FRAMES)), RATE, subtype="PCM_16")
    apply_metadata(metadata, target, output_format(probe(target), None, None))
    found = dict(read_metadata(target).chunks)
    assert struct.unpack_from("<III", found[b"cue "]) == (1, 2, 4 * RATE)
    assert found[b"LIST"] == b"adtl" + label(2, b"Two")
    assert struct.unpack_from("<Q", found[b"bext"], 338) == (2 * RATE,)
    assert lost == ("marker 'One'",)
