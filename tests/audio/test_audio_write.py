"""Outputs appear whole or not at all, in the format that was asked for, and never over a source."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core import atomic
from core.audio.formats import AudioInfo
from core.audio.probe import probe
from core.audio.read import read_all
from core.audio.write import (
    check_output,
    default_output_path,
    open_writer,
    output_format,
    write_bytes_atomically,
    write_text_atomically,
)
from core.errors import UnbakeError


@pytest.fixture
def wav16(info):
    return output_format(info(subtype="PCM_16"), Path("a.wav"), None)


class Interrupted(BaseException):
    """Stands for Ctrl+C."""


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, Interrupted])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.m4a"])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, info, name, failure):
    out = tmp_path / name
    fmt = output_format(info(subtype="PCM_16"), out, None)

    def render():
        with open_writer(out, fmt, frames=1000, force=False) as writer:
            writer.write_codes(np.ones((2, 500), np.int32))
            assert len(list(tmp_path.iterdir())) == 1
            assert not out.exists()
            raise failure

    with pytest.raises(failure):
        render()
    assert list(tmp_path.iterdir()) == []


def test_leaving_without_a_commit_leaves_nothing(tmp_path, wav16):
    with open_writer(tmp_path / "a.wav", wav16, frames=10, force=False) as writer:
        writer.write_codes(np.ones((2, 10), np.int32))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_existing_file_as_it_was(tmp_path, wav16):
    out = tmp_path / "a.wav"
    out.write_bytes(b"precious")

    def render():
        with open_writer(out, wav16, frames=10, force=True) as writer:
            writer.write_codes(np.ones((2, 10), np.int32))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        render()
    assert out.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [out]


def test_too_few_frames_are_not_passed_off_as_a_whole_file(tmp_path, wav16):
    with open_writer(tmp_path / "a.wav", wav16, frames=11, force=False) as writer:
        writer.write_codes(np.ones((2, 10), np.int32))
        with pytest.raises(ValueError, match="10 frames written, 11 announced"):
            writer.commit()
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_is_hidden_and_beside_the_output(tmp_path, wav16):
    with open_writer(tmp_path / "a.wav", wav16, frames=10, force=False):
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".")


def test_a_name_as_long_as_the_file_system_takes(tmp_path, wav16):
    out = tmp_path / ("x" * 251 + ".wav")
    with open_writer(out, wav16, frames=1, force=False) as writer:
        writer.write_codes(np.ones((2, 1), np.int32))
        writer.commit()
    assert probe(out).frames == 1


def test_an_existing_file_is_replaced_by_force_only(tmp_path, wav16):
    out = tmp_path / "a.wav"
    out.write_bytes(b"old")
    out.chmod(0o640)
    with pytest.raises(UnbakeError, match=r"a\.wav: exists already .*--force"):
        open_writer(out, wav16, frames=1, force=False)
    with open_writer(out, wav16, frames=1, force=True) as writer:
        writer.write_codes(np.ones((2, 1), np.int32))
        writer.commit()
    assert probe(out).frames == 1
    assert out.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, wav16, monkeypatch, hard_links):
    if not hard_links:

        def refuse(*_):
            raise PermissionError(1, "no hard links here")

        monkeypatch.setattr(atomic.os, "link", refuse)
    out = tmp_path / "a.wav"
    with open_writer(out, wav16, frames=1, force=False) as writer:
        writer.write_codes(np.ones((2, 1), np.int32))
        out.write_bytes(b"somebody else's")
        with pytest.raises(UnbakeError, match=r"a\.wav: exists already"):
            writer.commit()
    assert out.read_bytes() == b"somebody else's"
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_system_without_hard_links(tmp_path, wav16, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(atomic.os, "link", refuse)
    with open_writer(tmp_path / "a.wav", wav16, frames=1, force=False) as writer:
        writer.write_codes(np.ones((2, 1), np.int32))
        writer.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_the_file_is_durable_before_it_has_its_name(tmp_path, wav16, monkeypatch):
    order = []
    real_fsync, real_link = os.fsync, os.link
    monkeypatch.setattr(atomic.os, "fsync", lambda descriptor: (order.append("fsync"), real_fsync(descriptor)))
    monkeypatch.setattr(atomic.os, "link", lambda *paths: (order.append("link"), real_link(*paths)))
    with open_writer(tmp_path / "a.wav", wav16, frames=1, force=False) as writer:
        writer.write_codes(np.ones((2, 1), np.int32))
        writer.commit()
    assert order == ["fsync", "link", "fsync"]


def test_a_link_goes_on_pointing_where_it_pointed(tmp_path, wav16):
    (tmp_path / "vault").mkdir()
    target, link = tmp_path / "vault" / "a.wav", tmp_path / "link.wav"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with open_writer(link, wav16, frames=1, force=True) as writer:
        writer.write_codes(np.ones((2, 1), np.int32))
        writer.commit()
    assert link.is_symlink()
    assert probe(target).frames == 1


def refused(out, sources=(), force=True) -> str:
    with pytest.raises(UnbakeError) as caught:
        check_output(out, sources, force)
    assert str(out) in caught.value.line()
    return caught.value.line()


def test_outputs_that_are_refused(tmp_path):
    source = tmp_path / "master.wav"
    source.write_bytes(b"source")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sym.wav").symlink_to(source)
    os.link(source, tmp_path / "hard.wav")
    assert "standard output" in refused(Path("-"))
    assert "does not exist" in refused(tmp_path / "none" / "a.wav")
    assert "directory" in refused(tmp_path / "sub")
    for name in ("master.wav", "sym.wav", "hard.wav", "sub/../master.wav"):
        assert "source itself" in refused(tmp_path / name, [source])
    assert "exists already" in refused(source, [], force=False)
    check_output(source, [], force=True)
    check_output(tmp_path / "new.wav", [source], force=False)
    assert source.read_bytes() == b"source"


def test_a_name_that_only_differs_by_its_spelling_is_the_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("master.wav").write_bytes(b"source")
    assert "source itself" in refused(Path("./master.wav"), [tmp_path / "master.wav"])


def test_no_room_is_seen_before_the_work_starts(tmp_path, info, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    fmt = output_format(info(subtype="FLOAT"), tmp_path / "a.wav", None)
    with pytest.raises(UnbakeError, match=r"no space left in this folder: 8\.0 kB needed, 1\.0 kB free") as caught:
        open_writer(tmp_path / "a.wav", fmt, frames=1001, force=False)
    assert str(tmp_path) in caught.value.line()
    open_writer(tmp_path / "a.wav", fmt, frames=125, force=False).close()


DISK_FILLS_UP = """
import resource, sys
from pathlib import Path
import numpy as np
from core.audio.formats import AudioInfo
from core.audio.write import open_writer, output_format
from core.errors import UnbakeError

out = Path(sys.argv[1])
fmt = output_format(AudioInfo("s", "WAV", "PCM_24", 44100, 2, 1, ("L", "R"), True), out, None)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
codes = np.random.default_rng(0).integers(-(2**23), 2**23, (2, 10_000)).astype(np.int32)
try:
    with open_writer(out, fmt, frames=200_000, force=False) as writer:
        for _ in range(20):
            writer.write_codes(codes)
        writer.commit()
except UnbakeError as error:
    print(error.line())
"""


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.m4a"])
def test_a_disk_that_fills_up_is_said_and_leaves_nothing(tmp_path, name):
    command = [sys.executable, "-c", DISK_FILLS_UP, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert done.stdout.startswith(f"{tmp_path}: no space left in this folder: ")
    assert "needed" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_kind_of_samples_must_fit_the_format(tmp_path, info, wav16):
    with (
        open_writer(tmp_path / "a.wav", wav16, frames=1, force=False) as writer,
        pytest.raises(TypeError, match="PCM_16"),
    ):
        writer.write(np.zeros((2, 1)))
    fmt = output_format(info(subtype="FLOAT"), tmp_path / "b.wav", None)
    with open_writer(tmp_path / "b.wav", fmt, frames=1, force=False) as writer, pytest.raises(TypeError, match="FLOAT"):
        writer.write_codes(np.zeros((2, 1), np.int32))


def test_float_files_do_not_hold_the_time_of_day(tmp_path, write, monkeypatch):
    block = np.full((2, 100), 0.5)
    for name in ("a.wav", "a.rf64", "a.aiff", "a.caf", "a.w64"):
        path = write(tmp_path / name, "FLOAT", block)
        content = path.read_bytes()
        at = content.find(b"PEAK")
        assert at < 0 or content[at + 12 : at + 16] == bytes(4)
        np.testing.assert_array_equal(read_all(path), block)


def test_text_and_bytes_appear_whole(tmp_path):
    path = tmp_path / "session.toml"
    write_text_atomically(path, "name = 'späße'\n", force=False)
    assert path.read_text(encoding="utf-8") == "name = 'späße'\n"
    with pytest.raises(UnbakeError, match=r"session\.toml: exists already"):
        write_bytes_atomically(path, b"other", force=False)
    write_bytes_atomically(path, b"other", force=True)
    assert path.read_bytes() == b"other"
    with pytest.raises(UnbakeError, match="does not exist"):
        write_text_atomically(tmp_path / "none" / "a.toml", "", force=False)
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_can_not_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "session.toml"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UnbakeError, match="no space left in this folder: 3 bytes needed"):
        write_text_atomically(path, "new", force=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("container", "subtype", "out", "asked", "expected"),
    [
        ("WAV", "PCM_24", None, None, ("WAV", "PCM_24")),
        ("FLAC", "PCM_16", None, None, ("FLAC", "PCM_16")),
        ("MP3", "MPEG_LAYER_III", None, None, ("WAV", "FLOAT")),
        ("OGG", "VORBIS", None, None, ("WAV", "FLOAT")),
        ("MP4", "AAC", None, None, ("WAV", "FLOAT")),
        ("MP4", "ALAC_16", None, None, ("MP4", "ALAC_16")),
        ("MP4", "ALAC_32", None, None, ("WAV", "PCM_32")),
        ("CAF", "ALAC_24", None, None, ("CAF", "PCM_24")),
        ("AU", "PCM_16", None, None, ("WAV", "PCM_16")),
        ("WAV", "ULAW", None, None, ("WAV", "FLOAT")),
        ("MP3", "MPEG_LAYER_III", None, "24", ("WAV", "PCM_24")),
        ("RF64", "PCM_24", "a.wav", None, ("RF64", "PCM_24")),
        ("WAV", "PCM_24", "a.flac", None, ("FLAC", "PCM_24")),
        ("WAV", "PCM_U8", "a.flac", None, ("FLAC", "PCM_S8")),
        ("FLAC", "PCM_S8", "a.wav", None, ("WAV", "PCM_U8")),
        ("WAV", "PCM_U8", "a.m4a", None, ("MP4", "ALAC_16")),
        ("WAV", "PCM_24", "a.m4a", None, ("MP4", "ALAC_24")),
        ("WAV", "PCM_24", "A.AIFF", None, ("AIFF", "PCM_24")),
        ("WAV", "FLOAT", "a.w64", None, ("W64", "FLOAT")),
        ("MP3", "MPEG_LAYER_III", "a.mp3", None, ("MP3", "MPEG_LAYER_III")),
        ("MP3", "MPEG_LAYER_III", "a.aiff", None, ("AIFF", "FLOAT")),
        ("MP4", "AAC", "a.m4a", None, ("MP4", "AAC")),
        ("WAV", "PCM_24", "a.ogg", None, ("OGG", "VORBIS")),
        ("WAV", "FLOAT", "a.flac", "pcm_24", ("FLAC", "PCM_24")),
        ("WAV", "FLOAT", "a.wav", "16", ("WAV", "PCM_16")),
        ("WAV", "PCM_24", "a.wav", "Float", ("WAV", "FLOAT")),
        ("WAV", "PCM_24", "a.wav", "double", ("WAV", "DOUBLE")),
        ("WAV", "PCM_24", "a.wav", "32", ("WAV", "PCM_32")),
        ("WAV", "PCM_24", "a.flac", "8", ("FLAC", "PCM_S8")),
        ("WAV", "PCM_24", "a.m4a", "16", ("MP4", "ALAC_16")),
        ("WAV", "PCM_24", "a.m4a", "aac", ("MP4", "AAC")),
    ],
)
def test_the_format_of_the_output(info, container, subtype, out, asked, expected):
    fmt = output_format(info(container, subtype), Path(out) if out else None, asked)
    assert (fmt.container, fmt.subtype) == expected
    assert (fmt.sample_rate, fmt.channels, fmt.speakers) == (44100, 2, ("L", "R"))


@pytest.mark.parametrize(
    ("source", "out", "asked", "words"),
    [
        ({"subtype": "FLOAT"}, "a.flac", None, ("a.flac", "FLAC can't hold FLOAT", "--subtype", "PCM_24")),
        ({"subtype": "PCM_32"}, "a.flac", None, ("a.flac", "FLAC can't hold PCM_32", "--subtype")),
        ({"subtype": "FLOAT"}, "a.m4a", None, ("a.m4a", "MP4 can't hold FLOAT", "ALAC_24", "AAC")),
        ({}, "a.flac", "float", ("a.flac", "--subtype float", "FLAC", "PCM_16")),
        ({}, "a.wav", "17", ("a.wav", "--subtype 17", "PCM_24", "DOUBLE")),
        ({}, "a.mp3", "PCM_16", ("a.mp3", "MP3", "MPEG_LAYER_III")),
        ({}, "a.xyz", None, ("a.xyz", "'.xyz'", ".wav", ".flac")),
        ({}, "noext", None, ("noext", "no extension", ".wav")),
        ({"sample_rate": 96000}, "a.mp3", None, ("a.mp3", "96000 Hz", "48000")),
        ({"sample_rate": 44100}, "a.opus", None, ("a.opus", "44100 Hz", "48000")),
        ({"channels": 6}, "a.mp3", None, ("a.mp3", "2 channels", "6")),
        ({"channels": 6}, "a.m4a", None, ("a.m4a", "2 channels", "6")),
    ],
)
def test_formats_that_can_not_be(info, source, out, asked, words):
    with pytest.raises(UnbakeError) as caught:
        output_format(info(**source), Path(out), asked)
    line = caught.value.line()
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("source", "container", "subtype", "name"),
    [
        ("dir/mix.wav", "WAV", "PCM_24", "mix.repaired.wav"),
        ("dir/Mix v1.2.WAV", "WAV", "PCM_24", "Mix v1.2.repaired.WAV"),
        ("dir/mix.aif", "AIFF", "PCM_24", "mix.repaired.aif"),
        ("dir/mix.flac", "FLAC", "PCM_24", "mix.repaired.flac"),
        ("dir/mix.rf64", "RF64", "PCM_24", "mix.repaired.rf64"),
        ("dir/long.wav", "RF64", "PCM_24", "long.repaired.wav"),
        ("dir/mix.mp3", "MP3", "MPEG_LAYER_III", "mix.repaired.wav"),
        ("dir/mix.raw", "WAV", "PCM_24", "mix.repaired.wav"),
        ("dir/Mix v1.2", "WAV", "PCM_24", "Mix v1.2.repaired.wav"),
        ("dir/mix.stem.mp4", "MP4", "ALAC_16", "mix.stem.repaired.mp4"),
    ],
)
def test_the_name_of_the_output(info, source, container, subtype, name):
    fmt = output_format(info(container, subtype), None, None)
    assert default_output_path(source, fmt) == Path("dir") / name


def test_a_length_that_needs_rf64_or_does_not_fit(tmp_path, info, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**50))
    frames = 2**32 // 6
    fmt = output_format(info(), tmp_path / "a.wav", None)
    with open_writer(tmp_path / "a.wav", fmt, frames=frames, force=False):
        (temporary,) = tmp_path.iterdir()
        assert temporary.read_bytes()[:4] == b"RF64"
    fmt = output_format(info(), tmp_path / "a.aiff", None)
    with pytest.raises(UnbakeError, match=r"a\.aiff: AIFF holds 4 GiB at most"):
        open_writer(tmp_path / "a.aiff", fmt, frames=frames, force=False)


def test_an_info_knows_its_length():
    info = AudioInfo("a", "WAV", "PCM_24", 48000, 2, 72000, ("L", "R"), True)
    assert info.seconds == 1.5
    assert info.bits == 24
