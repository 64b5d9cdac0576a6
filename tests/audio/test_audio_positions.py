"""Metadata that counts in frames keeps its place in time when the rate is another."""

import struct

import pytest

from core.audio.chunks import W64_GUID_TAIL
from core.audio.positions import at_rate
from core.audio.tags import Metadata


def moved(kind: str, name: bytes, content: bytes) -> bytes:
    metadata, lost = at_rate(Metadata(kind=kind, chunks=((name, content),)), 44_100, 48_000)
    assert lost == ()
    ((found, made),) = metadata.chunks
    assert found == name
    return made


def test_a_time_reference_is_the_same_time_of_day() -> None:
    bext = bytes(338) + struct.pack("<Q", 44_100 * 3600 * 10) + b"\x02\0" + bytes(254)
    for kind, name in (("RIFF", b"bext"), ("W64", b"bext" + W64_GUID_TAIL)):
        made = moved(kind, name, bext)
        assert struct.unpack_from("<Q", made, 338) == (48_000 * 3600 * 10,)
        assert made[346:] == bext[346:]


def test_cue_points_their_lengths_and_loops_move() -> None:
    cue = struct.pack("<I", 2) + b"".join(
        struct.pack("<II4sIII", point, at, b"data", 0, 0, at) for point, at in ((1, 44_100), (2, 441))
    )
    made = moved("RIFF", b"cue ", cue)
    assert [struct.unpack_from("<II4sIII", made, 4 + 24 * point) for point in (0, 1)] == [
        (1, 48_000, b"data", 0, 0, 48_000),
        (2, 480, b"data", 0, 0, 480),
    ]
    labels = b"adtl" + b"labl" + struct.pack("<II", 7, 1) + b"Hi\0\0" + b"ltxt" + struct.pack("<III", 20, 1, 441)
    labels += b"rgn " + bytes(8)
    made = moved("RIFF", b"LIST", labels)
    assert struct.unpack_from("<I", made, 32) == (480,)
    assert (made[:32], made[36:]) == (labels[:32], labels[36:])
    loops = bytes(28) + struct.pack("<II", 1, 0) + struct.pack("<6I", 9, 0, 441, 882, 0, 0)
    assert struct.unpack_from("<6I", moved("RIFF", b"smpl", loops), 36) == (9, 0, 480, 960, 0, 0)


def test_info_is_left_alone() -> None:
    info = b"INFO" + b"INAM" + struct.pack("<I", 4) + b"Song"
    assert moved("RIFF", b"LIST", info) == info


def test_markers_of_aiff_move() -> None:
    mark = (
        struct.pack(">H", 2) + struct.pack(">HIB", 1, 441, 3) + b"one" + struct.pack(">HIB", 2, 44_100, 4) + b"four\0"
    )
    made = moved("AIFF", b"MARK", mark)
    assert struct.unpack_from(">I", made, 4) == (480,)
    assert struct.unpack_from(">I", made, 2 + 10 + 2) == (48_000,)


def test_ixml_says_the_new_rate() -> None:
    text = b"<BWFXML><SPEED><FILE_SAMPLE_RATE>44100</FILE_SAMPLE_RATE></SPEED></BWFXML>"
    assert moved("RIFF", b"iXML", text) == text.replace(b"44100", b"48000")


@pytest.mark.parametrize(
    "metadata",
    [
        Metadata(kind="RIFF", chunks=((b"cue ", struct.pack("<I", 3) + bytes(20)),)),
        Metadata(kind="RIFF", chunks=((b"cue ", struct.pack("<III4sIII", 1, 1, 2**32 - 1, b"data", 0, 0, 0)),)),
        Metadata(kind="CAF", chunks=((b"mark", bytes(8)),)),
        Metadata(kind="VORBIS", cuesheet=b"x"),
    ],
)
def test_what_can_not_be_moved_is_left_out_and_named(metadata: Metadata) -> None:
    kept, lost = at_rate(metadata, 44_100, 48_000)
    assert len(lost) == 1
    assert not kept.chunks
    assert not kept.cuesheet
