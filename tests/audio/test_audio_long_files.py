"""Files past 4 GiB, made sparse: what is found at their far end, and what happens when that end is missing."""

import struct

import numpy as np
import pytest

from core.audio.chunks import W64_GUID_TAIL
from core.audio.probe import probe
from core.audio.read import open_reader
from core.errors import UnbakeError

FRAMES = 600_000_000
"""3.8 hours at 44100 Hz; 4.8 GB of float stereo."""
DATA_BYTES = FRAMES * 8
MARK = np.array([[0.25, -0.5, 0.75], [-1.0, 1.5, -0.125]])
FMT = struct.pack("<HHIIHH", 3, 2, 44100, 44100 * 8, 8, 32)


def rf64() -> bytes:
    head = b"WAVEds64" + struct.pack("<IQQQI", 28, 72 + DATA_BYTES, DATA_BYTES, FRAMES, 0)
    head += b"fmt " + struct.pack("<I", 16) + FMT + b"data" + struct.pack("<I", 0xFFFFFFFF)
    return b"RF64" + struct.pack("<I", 0xFFFFFFFF) + head


def w64() -> bytes:
    riff = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
    head = b"wave" + W64_GUID_TAIL + b"fmt " + W64_GUID_TAIL + struct.pack("<Q", 24 + 16) + FMT
    head += b"data" + W64_GUID_TAIL + struct.pack("<Q", 24 + DATA_BYTES)
    return riff + struct.pack("<Q", 24 + len(head) + DATA_BYTES) + head


def caf() -> bytes:
    desc = struct.pack(">d4sIIIII", 44100.0, b"lpcm", 3, 8, 1, 2, 32)
    data = struct.pack(">4sqI", b"data", DATA_BYTES + 4, 0)
    return b"caff\0\1\0\0" + struct.pack(">4sq", b"desc", len(desc)) + desc + data


@pytest.fixture(params=[("RF64", rf64), ("W64", w64), ("CAF", caf)], ids=lambda param: param[0])
def long_file(request, tmp_path):
    container, head = request.param
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(head())
        file.truncate(len(head()) + DATA_BYTES)
        for frame in (0, FRAMES - 3):
            file.seek(len(head()) + frame * 8)
            file.write(MARK.T.astype("<f4").tobytes())
    assert path.stat().st_blocks * 512 < 1 << 20
    return container, path


def test_the_far_end_is_read(long_file):
    container, path = long_file
    found = probe(path)
    assert (found.container, found.subtype, found.frames) == (container, "FLOAT", FRAMES)
    with open_reader(path) as reader:
        np.testing.assert_array_equal(reader.read(3), MARK)
        reader.seek(FRAMES - 5)
        np.testing.assert_array_equal(reader.read(100), np.concatenate([np.zeros((2, 2)), MARK], axis=1))
        assert reader.frame == FRAMES


def test_a_far_end_that_is_missing_is_seen(long_file):
    _, path = long_file
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 8)
    with pytest.raises(UnbakeError, match="long: is truncated"):
        probe(path)
