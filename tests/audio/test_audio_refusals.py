"""What is not an audio file, or not a whole one, is refused in one line that names the file and the reason."""

import os
import struct

import numpy as np
import pytest
import soundfile

from core.audio.hashes import check_unchanged, fingerprint, sha256_file
from core.audio.probe import probe
from core.audio.read import open_reader, read_all
from core.errors import UnbakeError


def refusal(path) -> str:
    with pytest.raises(UnbakeError) as caught:
        probe(path)
    line = caught.value.line()
    assert str(path) in line
    assert "\n" not in line
    return line.removeprefix(str(path))


def test_missing(tmp_path):
    assert "no such file" in refusal(tmp_path / "gone.wav")


def test_standard_input():
    assert "standard input" in refusal("-")


def test_empty(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    assert "empty" in refusal(path)


def test_directory(tmp_path):
    assert "directory" in refusal(tmp_path)


def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in refusal(tmp_path / "fifo")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden(tmp_path, riff):
    path = tmp_path / "secret.wav"
    path.write_bytes(riff(np.ones((1, 10))))
    path.chmod(0)
    assert "permission denied" in refusal(path)


@pytest.mark.parametrize("extension", [".wav", ".flac", ".mp3", ".m4a", ".ogg", ".raw", ".aiff", ""])
def test_text_under_another_name(tmp_path, extension):
    path = tmp_path / f"notes{extension}"
    path.write_text("Take 3 is the one.\n" * 400)
    assert "not an audio file" in refusal(path)


@pytest.mark.parametrize(
    "magic", [b"", b"RIFF", b"fLaC", b"OggS", b"caff", b"FORM", b"\0\0\0\x20ftypM4A ", b"ID3\x04\0\0\0\0\0\0"]
)
def test_noise_behind_a_promising_start(tmp_path, magic):
    path = tmp_path / "noise.wav"
    path.write_bytes(magic + np.random.default_rng(3).bytes(50_000))
    assert refusal(path)


@pytest.mark.parametrize("extension", [".wav", ".rf64", ".w64", ".aiff", ".caf"])
def test_zero_frames(tmp_path, write, extension):
    path = write(tmp_path / f"a{extension}", "PCM_16", np.zeros((2, 0), np.int32))
    assert "0 frames" in refusal(path)


@pytest.mark.parametrize("extension", [".wav", ".rf64", ".w64", ".aiff", ".caf", ".flac", ".m4a"])
@pytest.mark.parametrize("kept", [0.5, 0.9, -2])
def test_truncated(tmp_path, samples, write, extension, kept):
    path = write(tmp_path / f"a{extension}", "PCM_16", samples("PCM_16", 2, 20_001))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept > 0 else kept])
    assert "truncated" in refusal(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.ogg", []), ("a.opus", []), ("a.mp3", []), ("a.m4a", []), ("a.webm", []), ("a.mka", ["-c:a", "flac"])],
)
@pytest.mark.parametrize("kept", [0.5, -10])
def test_truncated_by_other_programs(tmp_path, music, ffmpeg, name, options, kept):
    path = tmp_path / name
    ffmpeg(music, path, *options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept > 0 else kept])
    assert "truncated" in refusal(path)


def test_wav_without_the_end_that_its_header_promises(tmp_path, riff):
    content = riff(np.ones((2, 1000)), [(b"LIST", b"INFOINAM\x06\0\0\0Title\0")])
    path = tmp_path / "a.wav"
    path.write_bytes(content[:-22])
    assert f"promises {len(content)} bytes, the file has {len(content) - 22}" in refusal(path)


def test_wav_without_samples(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 28) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    )
    assert "no chunk of samples" in refusal(path)


def test_too_many_channels(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((10, 9)), 48000)
    assert "9 channels" in refusal(path)


@pytest.mark.parametrize("sample_rate", [7999, 384001])
def test_sample_rates_out_of_range(tmp_path, sample_rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((10, 1)), sample_rate)
    assert f"{sample_rate} Hz" in refusal(path)


@pytest.mark.parametrize("sample_rate", [8000, 384000])
def test_sample_rates_just_in_range(tmp_path, sample_rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((10, 8)), sample_rate)
    assert probe(path).sample_rate == sample_rate


def test_video_without_sound(tmp_path):
    import av

    path = tmp_path / "silent.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "no audio stream" in refusal(path)


def test_one_stream_only(tmp_path, samples, write):
    path = write(tmp_path / "a.wav", "PCM_16", samples("PCM_16", 2, 10))
    with pytest.raises(UnbakeError, match=r"a\.wav: has 1 audio stream, no number 1"):
        open_reader(path, 1)


def test_damage_in_the_middle_of_a_flac(tmp_path, samples, write):
    path = write(tmp_path / "a.flac", "PCM_24", samples("PCM_24", 2, 60_000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(UnbakeError, match=r"a\.flac: .*damaged at frame \d+ of 60000"):
        read_all(path)


def test_a_file_that_shrinks_while_it_is_read(tmp_path, samples, write):
    path = write(tmp_path / "a.wav", "PCM_16", samples("PCM_16", 2, 50_000))
    with open_reader(path) as reader:
        reader.read(1000)
        os.truncate(path, 20_000)
        with pytest.raises(UnbakeError, match=r"a\.wav: changed while it was read"):
            reader.read(49_000)


def test_fingerprints_notice_a_change_and_a_deletion(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    before = fingerprint(path)
    check_unchanged(path, before)
    path.write_bytes(b"three")
    with pytest.raises(UnbakeError, match=r"a\.bin: changed while it was read"):
        check_unchanged(path, before)
    path.unlink()
    with pytest.raises(UnbakeError, match=r"a\.bin: was deleted while it was read"):
        check_unchanged(path, before)


def test_sha256_of_a_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(UnbakeError, match="no such file"):
        sha256_file(tmp_path / "gone")
