"""What the source carries beside its samples is in the output too, and the samples stay as they were."""

import base64
import struct

import numpy as np
import pytest
import soundfile
from mutagen.aiff import AIFF
from mutagen.flac import FLAC, CueSheet, CueSheetTrack, Picture
from mutagen.id3 import APIC, COMM, ID3, TIT2, TPE1, TSRC, TXXX, Encoding
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE
from wavinfo import WavInfoReader

from core.audio.chunks import W64_GUID_TAIL, read_chunks, read_content
from core.audio.formats import integer_bits
from core.audio.probe import probe
from core.audio.quantise import quantise
from core.audio.read import open_reader, read_all
from core.audio.tags import BextLoudness, Metadata, append_chunks, apply_metadata, read_metadata
from core.audio.write import open_writer, output_format
from core.errors import UnbakeError

LOUDNESS = BextLoudness(-14.27, 6.314, -1.0, -9.5, None)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
IXML = b'<?xml version="1.0"?><BWFXML><PROJECT>Unbake</PROJECT><SCENE>12</SCENE></BWFXML>'


def bext(version=1) -> bytes:
    fixed = struct.pack(
        "<256s32s32s10s8sIIH64s",
        *(b"A master", b"Studio", b"REF0001", b"2026-05-04", b"12:34:56"),
        *(48000, 1, version, bytes(range(64))),
    )
    return fixed + bytes(190) + b"A=PCM,F=44100,W=16,M=stereo\r\n"


def cue() -> bytes:
    return struct.pack("<III4sIII", 1, 7, 123, b"data", 0, 0, 123)


def adtl() -> bytes:
    return b"adtl" + b"labl" + struct.pack("<II", 11, 7) + b"Chorus\0\0"


def info_list() -> bytes:
    def entry(name, text):
        return name + struct.pack("<I", len(text)) + text + b"\0" * (len(text) & 1)

    return b"INFO" + entry(b"INAM", b"Song\0") + entry(b"IART", b"Band\0") + entry(b"ISFT", b"A recorder\0")


def id3_tag() -> ID3:
    tags = ID3()
    tags.add(TIT2(encoding=Encoding.UTF8, text=["Song"]))
    tags.add(TPE1(encoding=Encoding.UTF8, text=["Bänd"]))
    tags.add(TSRC(encoding=Encoding.UTF8, text=["GBAYE0000001"]))
    tags.add(COMM(encoding=Encoding.UTF8, lang="eng", desc="", text=["Nice"]))
    tags.add(COMM(encoding=Encoding.UTF8, lang="eng", desc="iTunSMPB", text=[" 00000000 00000840"]))
    tags.add(TXXX(encoding=Encoding.UTF8, desc="REPLAYGAIN_TRACK_GAIN", text=["-7.1 dB"]))
    tags.add(APIC(encoding=Encoding.UTF8, mime="image/png", type=3, desc="Front", data=PNG))
    return tags


def repair(source, out, subtype=None, loudness: BextLoudness | None = LOUDNESS):
    """An output with the source's samples and metadata, as a render makes it."""
    found = probe(source)
    fmt = output_format(found, out, subtype)
    with open_reader(source) as reader, open_writer(out, fmt, frames=found.frames, force=False) as writer:
        block = reader.read(found.frames)
        bits = integer_bits(fmt.subtype)
        if bits is not None:
            writer.write_codes(quantise(block, bits))
        else:
            writer.write(block)
        writer.commit(read_metadata(source), loudness)
    if subtype is None and probe(out).lossless:
        np.testing.assert_array_equal(read_all(out), read_all(source))
    return out


def chunk(path, name) -> bytes | None:
    layout = read_chunks(path)
    assert layout is not None
    found = layout.find(name)
    return None if found is None else read_content(path, found)


@pytest.fixture
def tagged_wav(tmp_path, riff):
    path = tmp_path / "tagged.wav"
    codes = np.random.default_rng(0).integers(-32768, 32768, (2, 1001))
    chunks = [
        (b"bext", bext()),
        (b"iXML", IXML),
        (b"cue ", cue()),
        (b"LIST", adtl()),
        (b"LIST", info_list()),
        (b"JUNK", bytes(30)),
        (b"PEAK", bytes(24)),
        (b"axml", b"<odd/>x"),
        (b"smpl", bytes(36)),
    ]
    path.write_bytes(riff(codes, chunks))
    return path


@pytest.mark.parametrize("name", ["out.wav", "out.rf64"])
def test_riff_chunks_survive(tmp_path, tagged_wav, name):
    out = repair(tagged_wav, tmp_path / name)
    for same in (b"iXML", b"cue ", b"axml", b"smpl"):
        assert chunk(out, same) == chunk(tagged_wav, same)
    assert chunk(out, b"JUNK") is None
    assert chunk(out, b"PEAK") is None
    layout = read_chunks(out)
    assert layout is not None
    assert layout.promised_bytes == layout.file_bytes == out.stat().st_size
    assert all(found.start % 2 == 0 for found in layout.chunks)


def test_another_program_reads_the_riff_chunks(tmp_path, tagged_wav):
    theirs = WavInfoReader(str(repair(tagged_wav, tmp_path / "out.wav")))
    assert theirs.bext is not None
    assert theirs.bext.description == "A master"
    assert theirs.bext.originator_date == "2026-05-04"
    assert theirs.bext.time_reference == 48000 + 2**32
    assert theirs.bext.version == 2
    assert theirs.bext.umid == bytes(range(64))
    assert theirs.bext.coding_history.startswith("A=PCM,F=44100")
    assert theirs.bext.loudness_value == pytest.approx(-14.27)
    assert theirs.bext.loudness_range == pytest.approx(6.31)
    assert theirs.bext.max_true_peak == pytest.approx(-1.0)
    assert theirs.bext.max_momentary_loudness == pytest.approx(-9.5)
    assert theirs.bext.max_shortterm_loudness == pytest.approx(327.67)
    assert theirs.ixml is not None
    assert theirs.ixml.project == "Unbake"
    assert theirs.info is not None
    assert theirs.info.title == "Song"
    assert theirs.info.artist == "Band"
    assert theirs.cues is not None
    assert [(one.name, one.position) for one in theirs.cues.cues] == [(7, 123)]
    assert theirs.cues.label_and_note(7)[0] == "Chorus"


def test_bext_stays_as_it_was_when_nothing_changed(tmp_path, tagged_wav):
    out = repair(tagged_wav, tmp_path / "out.wav", loudness=None)
    assert chunk(out, b"bext") == bext()


def test_an_untouched_wav_is_the_same_file_but_for_filler(tmp_path, riff):
    source = tmp_path / "a.wav"
    source.write_bytes(riff(np.arange(-100, 100).reshape(2, 100), [(b"bext", bext()), (b"iXML", IXML)]))
    out = repair(source, tmp_path / "b.wav", loudness=None)
    assert out.read_bytes() == source.read_bytes()


def test_loudness_that_is_unknown_or_absurd_is_marked_unknown(tmp_path, riff):
    source = tmp_path / "a.wav"
    source.write_bytes(riff(np.ones((1, 10)), [(b"bext", bext(version=0)[:602])]))
    out = repair(source, tmp_path / "b.wav", loudness=BextLoudness(float("-inf"), None, float("nan"), -400.0, -23.0))
    content = chunk(out, b"bext")
    assert content is not None
    assert struct.unpack_from("<5h", content, 412) == (0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF, -2300)
    assert struct.unpack_from("<H", content, 346) == (2,)


def test_no_bext_is_invented(tmp_path, riff):
    source = tmp_path / "a.wav"
    source.write_bytes(riff(np.ones((1, 10))))
    assert chunk(repair(source, tmp_path / "b.wav"), b"bext") is None


def test_w64_carries_bext(tmp_path, tagged_wav):
    between = repair(tagged_wav, tmp_path / "a.w64")
    again = repair(between, tmp_path / "b.w64")
    layout = read_chunks(again)
    assert layout is not None
    assert layout.promised_bytes == layout.file_bytes
    # libsndfile, which others read with too, must not take the chunk for samples.
    assert soundfile.info(again).frames == 1001
    back = WavInfoReader(str(repair(again, tmp_path / "c.wav")))
    assert back.bext is not None
    assert back.bext.description == "A master"
    assert back.bext.loudness_value == pytest.approx(-14.27)


def test_chunks_after_the_samples_of_a_w64_are_not_samples(tmp_path, samples, write):
    path = write(tmp_path / "a.w64", "PCM_16", samples("PCM_16", 2, 1001))
    before, content = read_all(path), path.read_bytes()
    after = b"bext" + W64_GUID_TAIL + struct.pack("<Q", 24 + 608) + bytes(608)
    grown = bytearray(content + bytes(-len(content) % 8) + after)
    grown[16:24] = struct.pack("<Q", len(grown))
    path.write_bytes(grown)
    np.testing.assert_array_equal(read_all(path), before)


def test_id3_in_wav_survives_without_what_is_no_longer_true(tmp_path, tagged_wav):
    file = WAVE(tagged_wav)
    file.add_tags()
    assert file.tags is not None
    file.tags.update(id3_tag())
    file.save()
    same = WAVE(repair(tagged_wav, tmp_path / "same.wav", loudness=None)).tags
    changed = WAVE(repair(tagged_wav, tmp_path / "changed.wav")).tags
    for tags in (same, changed):
        assert tags is not None
        assert str(tags["TIT2"]) == "Song"
        assert tags["APIC:Front"].data == PNG
        assert "COMM:iTunSMPB:eng" not in tags
    assert same is not None
    assert changed is not None
    assert str(same["TXXX:REPLAYGAIN_TRACK_GAIN"]) == "-7.1 dB"
    assert "TXXX:REPLAYGAIN_TRACK_GAIN" not in changed


@pytest.fixture
def tagged_flac(tmp_path, samples, write):
    path = write(tmp_path / "tagged.flac", "PCM_24", samples("PCM_24", 2, 5000))
    file = FLAC(path)
    file["TITLE"], file["ARTIST"] = "Söng", ["One", "Two"]
    file["ISRC"], file["MY OWN"] = "GBAYE0000001", "kept"
    file["REPLAYGAIN_TRACK_GAIN"] = "-7.1 dB"
    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = PNG, "image/png", 3, "Front"
    file.add_picture(picture)
    sheet = CueSheet(None)
    sheet.media_catalog_number = b"1234567890123"
    sheet.tracks.append(CueSheetTrack(1, 0))
    sheet.tracks.append(CueSheetTrack(170, 5000))
    file.metadata_blocks.append(sheet)
    file.cuesheet = sheet
    file.save()
    return path


def test_flac_comments_pictures_and_cue_sheet_survive(tmp_path, tagged_flac):
    out = FLAC(repair(tagged_flac, tmp_path / "out.flac"))
    assert out["TITLE"] == ["Söng"]
    assert out["ARTIST"] == ["One", "Two"]
    assert out["MY OWN"] == ["kept"]
    assert "REPLAYGAIN_TRACK_GAIN" not in out
    assert (out.pictures[0].data, out.pictures[0].desc) == (PNG, "Front")
    assert isinstance(out.cuesheet, CueSheet)
    assert out.cuesheet.media_catalog_number == b"1234567890123"
    assert [track.start_offset for track in out.cuesheet.tracks] == [0, 5000]
    same = FLAC(repair(tagged_flac, tmp_path / "same.flac", loudness=None))
    assert same["REPLAYGAIN_TRACK_GAIN"] == ["-7.1 dB"]


def test_flac_into_everything_else(tmp_path, tagged_flac):
    wav = repair(tagged_flac, tmp_path / "a.wav")
    theirs = WavInfoReader(str(wav), info_encoding="utf-8")
    assert theirs.info is not None
    assert theirs.info.title == "Söng"
    id3 = WAVE(wav).tags
    aiff = AIFF(repair(tagged_flac, tmp_path / "a.aiff")).tags
    mp3 = MP3(repair(tagged_flac, tmp_path / "a.mp3")).tags
    for tags in (id3, aiff, mp3):
        assert tags is not None
        assert str(tags["TIT2"]) == "Söng"
        assert str(tags["TPE1"]) == "One; Two"
        assert str(tags["TSRC"]) == "GBAYE0000001"
        assert tags.getall("APIC")[0].data == PNG
    mp4 = MP4(repair(tagged_flac, tmp_path / "a.m4a")).tags
    assert mp4 is not None
    assert mp4["\xa9nam"] == ["Söng"]
    assert bytes(mp4["----:com.apple.iTunes:ISRC"][0]) == b"GBAYE0000001"
    assert bytes(mp4["covr"][0]) == PNG
    ogg = OggVorbis(repair(tagged_flac, tmp_path / "a.ogg"))
    assert ogg["ARTIST"] == ["One", "Two"]
    assert Picture(base64.b64decode(ogg["metadata_block_picture"][0])).data == PNG
    caf = read_metadata(repair(tagged_flac, tmp_path / "a.caf"))
    assert caf.text["title"] == "Söng"
    assert caf.text["isrc"] == "GBAYE0000001"


def test_ogg_comments_and_pictures_come_back(tmp_path, tagged_flac):
    ogg = repair(tagged_flac, tmp_path / "a.ogg")
    again = FLAC(repair(ogg, tmp_path / "b.flac", "PCM_24"))
    assert again["MY OWN"] == ["kept"]
    assert again.pictures[0].data == PNG


def test_mp3_tags_come_into_the_float_wav(tmp_path, tagged_flac):
    mp3 = repair(tagged_flac, tmp_path / "a.mp3")
    tags = id3_tag()
    tags.save(mp3, v2_version=3)
    before = read_all(mp3)
    out = repair(mp3, tmp_path / "b.wav")
    assert probe(out).subtype == "FLOAT"
    np.testing.assert_array_equal(read_all(out), before)
    found = WAVE(out).tags
    assert found is not None
    assert str(found["TPE1"]) == "Bänd"
    assert found["APIC:Front"].data == PNG
    assert "COMM:iTunSMPB:eng" not in found
    assert read_metadata(out).text["comment"] == "Nice"
    again = MP3(repair(mp3, tmp_path / "c.mp3"))
    assert again.tags is not None
    assert again.tags.version == (2, 3, 0)
    assert str(again.tags["TSRC"]) == "GBAYE0000001"


def test_aiff_chunks_survive(tmp_path, samples, write):
    source = write(tmp_path / "a.aiff", "PCM_24", samples("PCM_24", 1, 333))
    marker = struct.pack(">HHI", 1, 1, 100) + b"\x06Chorus\0"
    texts = [(b"NAME", b"Song"), (b"AUTH", b"Ban"), (b"(c) ", b"2026 me"), (b"ANNO", b"odd"), (b"MARK", marker)]
    append_chunks(source, texts)
    AIFF(source).add_tags()
    file = AIFF(source)
    if file.tags is None:
        file.add_tags()
    assert file.tags is not None
    file.tags.update(id3_tag())
    file.save()
    out = repair(source, tmp_path / "b.aiff")
    for name, content in texts:
        assert chunk(out, name) == content
    found = AIFF(out).tags
    assert found is not None
    assert str(found["TIT2"]) == "Song"
    assert "TXXX:REPLAYGAIN_TRACK_GAIN" not in found
    layout = read_chunks(out)
    assert layout is not None
    assert layout.promised_bytes == layout.file_bytes
    wav = read_metadata(repair(source, tmp_path / "c.wav"))
    assert wav.text["title"] == "Song"
    assert wav.text["copyright"] == "2026 me"


def test_caf_chunks_survive(tmp_path, samples, write):
    source = write(tmp_path / "a.caf", "PCM_24", samples("PCM_24", 3, 333))
    info = struct.pack(">I", 2) + b"title\0Song\0artist\0Band\0"
    append_chunks(source, [(b"info", info), (b"uuid", bytes(17)), (b"chan", struct.pack(">III", 113 << 16 | 3, 0, 0))])
    out = repair(source, tmp_path / "b.caf")
    assert chunk(out, b"info") == info
    assert chunk(out, b"uuid") == bytes(17)
    layout = read_chunks(out)
    assert layout is not None
    assert [found.name for found in layout.chunks].count(b"chan") == 1
    assert read_metadata(out).text == {"title": "Song", "artist": "Band"}
    assert repair(source, tmp_path / "c.flac").exists()


def test_mp4_atoms_survive(tmp_path, samples, write):
    source = write(tmp_path / "a.m4a", "ALAC_24", samples("PCM_24", 2, 9000))
    file = MP4(source)
    if file.tags is None:
        file.add_tags()
    assert file.tags is not None
    file.tags["\xa9nam"], file.tags["trkn"], file.tags["cpil"] = ["Song"], [(3, 12)], True
    file.tags["covr"] = [MP4Cover(PNG, MP4Cover.FORMAT_PNG)]
    for name in ("iTunSMPB", "iTunNORM", "MINE"):
        file.tags[f"----:com.apple.iTunes:{name}"] = [MP4FreeForm(b"value")]
    file.save()
    out = MP4(repair(source, tmp_path / "b.m4a")).tags
    assert out is not None
    assert (out["\xa9nam"], out["trkn"], out["cpil"]) == (["Song"], [(3, 12)], True)
    assert out["covr"][0].imageformat == MP4Cover.FORMAT_PNG
    assert "----:com.apple.iTunes:MINE" in out
    assert "----:com.apple.iTunes:iTunSMPB" not in out
    assert "----:com.apple.iTunes:iTunNORM" not in out
    flac = FLAC(repair(source, tmp_path / "c.flac"))
    assert flac["tracknumber"] == ["3/12"]


def test_chunks_that_are_cut_or_foreign_are_named_and_do_not_stop_a_render(tmp_path, riff):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(np.ones((1, 10)), [(b"iXML", IXML), (b"bext", bext())], form=b"RIFX"))
    metadata = read_metadata(path)
    assert metadata.left_out == ("chunk 'bext'",)
    assert dict(metadata.chunks) == {b"iXML": IXML}
    content = bytearray(riff(np.ones((1, 10)), [(b"note", b"12345678")]))
    content[-12:-8] = struct.pack("<I", 5000)
    path.write_bytes(content)
    assert read_metadata(path).left_out == ("chunk 'note'",)
    assert repair(path, tmp_path / "b.wav").exists()


def test_tags_that_are_damaged_do_not_stop_a_render(tmp_path, tagged_flac, riff):
    broken = tmp_path / "a.wav"
    broken.write_bytes(riff(np.ones((1, 10)), [(b"id3 ", b"ID3\x04\0\0\x7f\x7f\x7f\x7fgarbage")]))
    assert repair(broken, tmp_path / "b.wav").exists()
    assert repair(broken, tmp_path / "b.flac").exists()


def test_metadata_that_does_not_fit_is_said(tmp_path, riff):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(np.ones((1, 10))))
    with path.open("r+b") as file:
        file.truncate(0xFFFFFFFF - 10)
        file.seek(4)
        file.write(struct.pack("<I", 0xFFFFFFFF - 18))
        file.seek(40)
        file.write(struct.pack("<I", 0xFFFFFFFF - 10 - 44))
    fmt = output_format(probe(path), tmp_path / "a.wav", None)
    with pytest.raises(UnbakeError, match=r"a\.wav: .*4 GiB"):
        apply_metadata(Metadata(text={"title": "Song"}), path, fmt)
    assert path.stat().st_size == 0xFFFFFFFF - 10


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UnbakeError, match=r"gone\.wav: no such file"):
        read_metadata(tmp_path / "gone.wav")
