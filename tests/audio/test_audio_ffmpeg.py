"""Lossy formats and what FFmpeg's libraries decode: exact lengths, exact seeks, integers bit for bit, stem files."""

import json
import struct
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from core.audio.probe import probe
from core.audio.quantise import codes_to_float
from core.audio.read import open_reader, read_all, read_blocks, stem_streams
from core.audio.write import open_writer, output_format
from core.errors import UnbakeError

ENCODINGS = [
    ("a.m4a", ["-c:a", "aac"], "MP4", "AAC", False),
    ("a.mp3", ["-c:a", "libmp3lame", "-q:a", "2"], "MP3", "MPEG_LAYER_III", False),
    ("a.ogg", ["-c:a", "libvorbis"], "OGG", "VORBIS", False),
    ("l.m4a", ["-c:a", "alac"], "MP4", "ALAC_24", True),
    ("l.caf", ["-c:a", "alac"], "CAF", "ALAC_24", True),
    ("f.mka", ["-c:a", "flac"], "MATROSKA", "PCM_24", True),
    ("f.flac", [], "FLAC", "PCM_24", True),
]


def lag(late: np.ndarray, original: np.ndarray) -> int:
    """Frames by which one signal is later than the other, by the peak of their cross-correlation."""
    size = 2 * len(original)
    product = np.fft.rfft(late, size) * np.fft.rfft(original, size).conj()
    position = int(np.fft.irfft(product).argmax())
    return position - size if position > size // 2 else position


@pytest.mark.parametrize(("name", "options", "container", "subtype", "lossless"), ENCODINGS)
def test_length_content_and_seek_are_exact(tmp_path, music, ffmpeg, name, options, container, subtype, lossless):
    path = tmp_path / name
    ffmpeg(music, path, *options)
    found = probe(path)
    original = read_all(music)
    assert (found.container, found.subtype, found.lossless) == (container, subtype, lossless)
    assert (found.sample_rate, found.frames) == (44100, original.shape[1])
    with open_reader(path) as reader:
        whole = np.concatenate(list(read_blocks(reader, 10007)), axis=1)
        assert whole.shape == original.shape
        for frame in (0, 1, 1152, 44100, 100_001, found.frames - 1, 5, found.frames):
            reader.seek(frame)
            block = reader.read(3000)
            np.testing.assert_array_equal(block, whole[:, frame : frame + 3000])
            assert block.flags.c_contiguous
    if lossless:
        np.testing.assert_array_equal(whole, original)
    else:
        assert lag(whole[0], original[0]) == 0


def test_opus_is_in_time_and_seeks_exactly(tmp_path, music, ffmpeg):
    for name in ("a.opus", "a.webm"):
        path = tmp_path / name
        ffmpeg(music, path, "-c:a", "libopus", "-b:a", "128k")
        found = probe(path)
        assert (found.subtype, found.sample_rate) == ("OPUS", 48000)
        assert found.frames == pytest.approx(probe(music).seconds * 48000, abs=2)
        whole = read_all(path)
        tone = 0.2 * np.sin(2 * np.pi * 330 * np.arange(whole.shape[1]) / 48000)
        assert np.abs(whole[1] - tone)[2000:-2000].max() < 0.05
        with open_reader(path) as reader:
            for frame in (100_000, found.frames - 1, 7):
                reader.seek(frame)
                np.testing.assert_array_equal(reader.read(2000), whole[:, frame : frame + 2000])


@pytest.mark.parametrize("frames", [1, 1023, 1024, 1025, 44100])
def test_aac_in_mp4_has_the_length_that_ffmpeg_gives_it(tmp_path, ffmpeg, frames):
    source, path = tmp_path / "a.wav", tmp_path / "a.m4a"
    soundfile.write(source, np.full((frames, 1), 0.1), 44100)
    ffmpeg(source, path, "-c:a", "aac")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "s16le", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    assert probe(path).frames == len(decoded) // 2 == frames
    assert read_all(path).shape == (1, frames)


@pytest.mark.parametrize(("bits", "fmt"), [(16, "s16p"), (24, "s32p")])
def test_alac_of_other_programs_is_bit_exact(tmp_path, samples, ffmpeg, bits, fmt):
    codes = samples(f"PCM_{bits}", 2, 20_000)
    source = tmp_path / "a.wav"
    soundfile.write(source, (codes.T << (32 - bits)).astype(np.int32), 48000, f"PCM_{bits}")
    for name in ("a.m4a", "a.caf"):
        ffmpeg(source, tmp_path / name, "-c:a", "alac", "-sample_fmt", fmt)
        assert probe(tmp_path / name).subtype == f"ALAC_{bits}"
        np.testing.assert_array_equal(read_all(tmp_path / name), codes_to_float(codes, bits))


def test_mp3_without_a_length_in_its_header_is_counted(tmp_path, music, ffmpeg):
    path = tmp_path / "a.mp3"
    ffmpeg(music, path, "-c:a", "libmp3lame", "-b:a", "192k", "-write_xing", "0")
    frames = probe(path).frames
    assert frames % 1152 == 0
    assert read_all(path).shape == (2, frames)


def test_flac_without_a_length_in_its_header_is_counted(tmp_path, music):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(music), "-f", "flac", "-"]
    path = tmp_path / "a.flac"
    path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert probe(path).subtype == "PCM_24"
    np.testing.assert_array_equal(read_all(path), read_all(music))


def test_wav_whose_length_was_never_filled_in(tmp_path, riff):
    codes = np.arange(1, 201).reshape(2, 100)
    path = tmp_path / "a.wav"
    path.write_bytes(riff(codes, data_size=0, riff_size=36))
    np.testing.assert_array_equal(read_all(path), codes / 32768)


@pytest.mark.parametrize(("mask", "channels"), [(0x7, 3), (0x3F, 6), (0x63F, 8)])
@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.flac", "a.mka"])
def test_surround_is_delivered_in_wave_order(tmp_path, info, ffmpeg, name, mask, channels):
    rate, source = 48000, tmp_path / "a.wav"
    tones = [60 if index == 3 else 300 + 200 * index for index in range(channels)]
    time = np.arange(rate) / rate
    block = np.stack([0.3 * np.sin(2 * np.pi * tone * time) for tone in tones])
    fmt = output_format(info(sample_rate=rate, channels=channels, mask=mask), source, "FLOAT")
    with open_writer(source, fmt, frames=rate, force=False) as writer:
        writer.write(block)
        writer.commit()
    opus = ["-c:a", "libopus", "-mapping_family", "1", "-b:a", "768k"] if name in ("a.opus", "a.mka") else []
    ffmpeg(source, tmp_path / name, *opus)
    decoded = read_all(tmp_path / name)
    spectrum = np.abs(np.fft.rfft(decoded[:, :rate] * np.hanning(rate)))
    np.testing.assert_allclose(spectrum.argmax(axis=1), tones, atol=1)
    labels = probe(tmp_path / name).speakers
    assert labels == {3: ("L", "R", "C"), 6: ("L", "R", "C", "LFE", "Ls", "Rs")}.get(
        channels, ("L", "R", "C", "LFE", "Lb", "Rb", "Ls", "Rs")
    )


@pytest.mark.parametrize(
    ("name", "subtype", "sample_rate"),
    [("a.ogg", None, 44100), ("a.opus", None, 48000), ("a.mp3", None, 44100), ("a.m4a", "AAC", 44100)],
)
def test_lossy_outputs_keep_time_and_are_the_same_twice(tmp_path, info, name, subtype, sample_rate):
    frames = 2 * sample_rate + 17
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(frames) / sample_rate)
    block = np.stack([tone, -0.5 * tone])
    fmt = output_format(info(subtype="FLOAT", sample_rate=sample_rate), tmp_path / name, subtype)
    outputs = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        out = tmp_path / folder / name
        with open_writer(out, fmt, frames=frames, force=False) as writer:
            for start in range(0, frames, 30_000):
                writer.write(block[:, start : start + 30_000])
            writer.commit()
        outputs.append(out)
    decoded = read_all(outputs[0])
    assert decoded.shape == block.shape
    assert np.abs(decoded - block)[:, 2000:-2000].max() < 0.02
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_surround_goes_into_ogg_in_its_order(tmp_path, info):
    rate, out = 48000, tmp_path / "a.ogg"
    time = np.arange(rate) / rate
    tones = [300, 500, 700, 60, 900, 1100]
    block = np.stack([0.3 * np.sin(2 * np.pi * tone * time) for tone in tones])
    fmt = output_format(info(subtype="FLOAT", sample_rate=rate, channels=6), out, None)
    with open_writer(out, fmt, frames=rate, force=False) as writer:
        writer.write(block)
        writer.commit()
    theirs = np.asarray(soundfile.read(out, always_2d=True)[0])
    peaks = np.abs(np.fft.rfft(theirs.T * np.hanning(rate))).argmax(axis=1)
    np.testing.assert_allclose(peaks, [300, 700, 500, 900, 1100, 60], atol=1)
    ours = np.abs(np.fft.rfft(read_all(out) * np.hanning(rate))).argmax(axis=1)
    np.testing.assert_allclose(ours, tones, atol=1)


def test_a_real_stem_file_opens_stream_by_stream(stem_file):
    assert stem_streams(stem_file) == [(0, "mixture"), (1, "Drums"), (2, "Bass"), (3, "Other"), (4, "Vox")]
    streams = []
    for index, _ in stem_streams(stem_file):
        with open_reader(stem_file, index) as reader:
            assert reader.info.frames == 268288
            streams.append(reader.read(reader.info.frames))
    mixture, *stems = streams
    # The stems are AAC each, so that their sum is near the mixture and not the mixture.
    error = np.sqrt(np.mean((sum(stems) - mixture) ** 2) / np.mean(mixture**2))
    assert 1e-6 < error < 0.2
    assert not np.array_equal(stems[0], stems[1])
    with pytest.raises(UnbakeError, match=r"5 audio streams, no number 5"):
        open_reader(stem_file, 5)


def test_stem_names_without_a_manifest(tmp_path, music):
    five, two = tmp_path / "five.stem.mp4", tmp_path / "two.mp4"
    for path, count in ((five, 5), (two, 2)):
        maps = [word for _ in range(count) for word in ("-map", "0:a")]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(music), *maps, "-t", "0.1", str(path)]
        subprocess.run(command, check=True)
    assert stem_streams(five) == list(enumerate(["mixture", "drums", "bass", "other", "vocals"]))
    assert stem_streams(two) == [(0, "stream 1"), (1, "stream 2")]
    assert stem_streams(music) == [(0, "stream 1")]


def test_a_broken_stem_manifest_is_named(tmp_path, stem_file):
    content = bytearray(stem_file.read_bytes())
    at = content.index(b'{"mastering_dsp"')
    content[at : at + 1] = b"["
    path = tmp_path / "broken.stem.mp4"
    path.write_bytes(content)
    with pytest.raises(UnbakeError, match=r"broken\.stem\.mp4: .*manifest"):
        stem_streams(path)
    (size,) = struct.unpack(">I", content[at - 8 : at - 4])
    assert json.loads(b"{" + content[at + 1 : at - 8 + size])["version"] == 1
