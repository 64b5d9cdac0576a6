"""What is written is what is read, sample for sample, in every lossless container and sample format."""

import struct

import numpy as np
import pytest
import soundfile

from core.audio.formats import BLOCK_FRAMES, integer_bits
from core.audio.probe import probe
from core.audio.quantise import codes_to_float, quantise
from core.audio.read import open_reader, read_all, read_blocks
from core.audio.write import open_writer, output_format

WAVE = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
FORMATS = [
    *((".wav", "WAV", subtype) for subtype in WAVE),
    *((".rf64", "RF64", subtype) for subtype in WAVE),
    *((".w64", "W64", subtype) for subtype in WAVE),
    *((".aiff", "AIFF", subtype) for subtype in ("PCM_S8", *WAVE)),
    *((".caf", "CAF", subtype) for subtype in ("PCM_S8", *WAVE[1:])),
    *((".flac", "FLAC", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24")),
]
SHAPES = [(8000, 1, 1), (44100, 2, 5001), (384000, 8, 700), (48000, 3, 257), (96000, 6, 2)]


def expected(subtype, content):
    bits = integer_bits(subtype)
    return content if bits is None else codes_to_float(content, bits)


@pytest.mark.parametrize(("sample_rate", "channels", "frames"), SHAPES)
@pytest.mark.parametrize(("extension", "container", "subtype"), FORMATS)
def test_samples_come_back_exactly(
    tmp_path, samples, write, extension, container, subtype, sample_rate, channels, frames
):
    content = samples(subtype, channels, frames)
    path = write(tmp_path / f"ü test{extension}", subtype, content, sample_rate)

    found = probe(path)
    assert (found.container, found.subtype, found.sample_rate) == (container, subtype, sample_rate)
    assert (found.channels, found.frames, found.lossless) == (channels, frames, True)
    block = read_all(path)
    assert block.dtype == np.float64
    assert block.flags.c_contiguous
    np.testing.assert_array_equal(block, expected(subtype, content))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("sample_rate", "frames"), [(8000, 1), (44100, 4097), (384000, 9000)])
@pytest.mark.parametrize("subtype", ["ALAC_16", "ALAC_24"])
def test_alac_comes_back_exactly(tmp_path, samples, write, subtype, sample_rate, frames, channels):
    content = samples(subtype, channels, frames)
    path = write(tmp_path / "a.m4a", subtype, content, sample_rate)
    found = probe(path)
    assert (found.container, found.subtype, found.sample_rate, found.frames) == ("MP4", subtype, sample_rate, frames)
    np.testing.assert_array_equal(read_all(path), expected(subtype, content))


@pytest.mark.parametrize(("extension", "container", "subtype"), FORMATS)
def test_a_source_is_written_in_its_own_format_again(tmp_path, samples, write, extension, container, subtype):
    content = samples(subtype, 2, 300)
    source = probe(write(tmp_path / f"a{extension}", subtype, content))
    fmt = output_format(source, None, None)
    assert (fmt.container, fmt.subtype) == (container, subtype)
    out = tmp_path / f"b{fmt.extension}"
    with open_reader(source.path) as reader, open_writer(out, fmt, frames=source.frames, force=False) as writer:
        for block in read_blocks(reader, 77):
            bits = integer_bits(subtype)
            if bits is not None:
                writer.write_codes(quantise(block, bits))
            else:
                writer.write(block)
        writer.commit()
    np.testing.assert_array_equal(read_all(out), read_all(source.path))
    assert out.read_bytes() == (tmp_path / f"a{extension}").read_bytes()


@pytest.mark.parametrize("extension", [".wav", ".flac", ".aiff", ".caf", ".w64"])
def test_another_program_reads_the_same_samples(tmp_path, samples, write, extension):
    content = samples("PCM_24", 2, 1000)
    path = write(tmp_path / f"a{extension}", "PCM_24", content)
    theirs, rate = soundfile.read(path, dtype="int32", always_2d=True)
    assert rate == 44100
    np.testing.assert_array_equal(np.asarray(theirs, dtype=np.int32).T >> 8, content)


@pytest.mark.parametrize("extension", [".wav", ".flac", ".aiff", ".w64", ".caf"])
def test_seek_is_exact_and_the_end_is_the_end(tmp_path, samples, write, extension):
    content = samples("PCM_16", 2, 30000)
    path = write(tmp_path / f"a{extension}", "PCM_16", content)
    whole = expected("PCM_16", content)
    with open_reader(path) as reader:
        for frame in (29999, 0, 12345, 4096, 1, 30000):
            reader.seek(frame)
            assert reader.frame == frame
            block = reader.read(5000)
            np.testing.assert_array_equal(block, whole[:, frame : frame + 5000])
            assert block.flags.c_contiguous
        assert reader.read(10).shape == (2, 0)
        assert reader.frame == 30000
        with pytest.raises(ValueError, match="30001"):
            reader.seek(30001)


def test_blocks_have_the_size_asked_for(tmp_path, samples, write):
    content = samples("PCM_16", 2, 2 * BLOCK_FRAMES + 5)
    with open_reader(write(tmp_path / "a.wav", "PCM_16", content)) as reader:
        sizes = [block.shape for block in read_blocks(reader)]
    assert sizes == [(2, BLOCK_FRAMES), (2, BLOCK_FRAMES), (2, 5)]


def test_big_endian_wav_is_read(tmp_path, riff):
    codes = np.array([[-32768, 5, 32767], [1, -1, 0]])
    path = tmp_path / "a.wav"
    path.write_bytes(riff(codes, form=b"RIFX"))
    np.testing.assert_array_equal(read_all(path), codes / 32768)


def test_the_header_decides_and_not_the_name(tmp_path, riff):
    codes = np.arange(-50, 50).reshape(2, 50)
    for name in ("really wav.mp3", "take.raw", "no extension", "a.txt", "späße.flac"):
        path = tmp_path / name
        path.write_bytes(riff(codes))
        assert probe(path).container == "WAV"
        np.testing.assert_array_equal(read_all(path), codes / 32768)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0, 0x7FFFF000])
def test_a_wav_that_was_written_into_a_pipe_ends_where_the_file_ends(tmp_path, riff, size):
    codes = np.arange(1, 201).reshape(2, 100)
    path = tmp_path / "pipe.wav"
    path.write_bytes(riff(codes, data_size=size, riff_size=size + 36 & 0xFFFFFFFF))
    assert probe(path).frames == 100
    np.testing.assert_array_equal(read_all(path), codes / 32768)


@pytest.mark.parametrize("sloppy", [0, 1, 8])
def test_a_riff_size_that_is_a_little_wrong_is_forgiven(tmp_path, riff, sloppy):
    codes = np.arange(1, 201).reshape(2, 100)
    true_size = len(riff(codes)) - 8
    path = tmp_path / "sloppy.wav"
    path.write_bytes(riff(codes, riff_size=true_size + sloppy))
    assert probe(path).frames == 100


@pytest.mark.parametrize(
    ("mask", "speakers"),
    [
        (0x3F, ("L", "R", "C", "LFE", "Ls", "Rs")),
        (0x60F, ("L", "R", "C", "LFE", "Ls", "Rs")),
        (0x13F, None),
        (0, ("L", "R", "C", "LFE", "Ls", "Rs")),
    ],
)
def test_the_channel_mask_survives(tmp_path, info, samples, mask, speakers):
    content = samples("PCM_24", 6, 100)
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    fmt = output_format(info(channels=6, mask=mask), first, "PCM_24")
    for path in (first, second):
        with open_writer(path, fmt, frames=100, force=False) as writer:
            writer.write_codes(content)
            writer.commit()
        found = probe(path)
        assert found.channel_mask == mask
        if speakers is not None:
            assert found.speakers == speakers
        fmt = output_format(found, second, None)
    assert soundfile.info(second).format == "WAVEX"
    np.testing.assert_array_equal(read_all(second), codes_to_float(content, 24))


def test_plain_wav_stays_plain(tmp_path, samples, write):
    path = write(tmp_path / "a.wav", "PCM_24", samples("PCM_24", 6, 100))
    assert soundfile.info(path).format == "WAV"
    assert probe(path).channel_mask is None


def test_flac_surround_becomes_wav_with_its_layout(tmp_path, samples, write):
    source = probe(write(tmp_path / "a.flac", "PCM_16", samples("PCM_16", 8, 100)))
    assert source.speakers == ("L", "R", "C", "LFE", "Lb", "Rb", "Ls", "Rs")
    assert output_format(source, tmp_path / "b.wav", None).channel_mask == 0x63F


def test_caf_states_its_layout(tmp_path, info, samples):
    path = tmp_path / "a.caf"
    fmt = output_format(info(channels=5, mask=0x607), path, "PCM_16")
    with open_writer(path, fmt, frames=10, force=False) as writer:
        writer.write_codes(samples("PCM_16", 5, 10))
        writer.commit()
    found = probe(path)
    assert (found.channel_mask, found.speakers) == (0x607, ("L", "R", "C", "Ls", "Rs"))
    np.testing.assert_array_equal(read_all(path), codes_to_float(samples("PCM_16", 5, 10), 16))


@pytest.mark.parametrize(("tag", "speakers"), [(114, ("C", "L", "R")), (113, ("L", "R", "C")), (999, ("L", "R", "C"))])
def test_caf_layouts_of_other_programs_are_labelled(tmp_path, samples, write, tag, speakers):
    content = samples("PCM_16", 3, 10)
    path = write(tmp_path / "a.caf", "PCM_16", content)
    with path.open("ab") as file:
        file.write(struct.pack(">4sqIII", b"chan", 12, tag << 16 | 3, 0, 0))
    assert probe(path).speakers == speakers
    np.testing.assert_array_equal(read_all(path), codes_to_float(content, 16))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_bw64_is_read(tmp_path, samples, write, subtype):
    content = samples(subtype, 2, 999)
    path = write(tmp_path / "a.rf64", subtype, content)
    path.write_bytes(b"BW64" + path.read_bytes()[4:])
    found = probe(path)
    assert (found.container, found.subtype, found.frames) == ("RF64", subtype, 999)
    np.testing.assert_array_equal(read_all(path), expected(subtype, content))
