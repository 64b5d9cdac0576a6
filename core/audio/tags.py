"""Metadata from the source into the output: carried as it is within a family of formats, translated between them.

Chunks of WAV, RF64, W64, AIFF and CAF are copied by us (`chunks` finds them); ID3, Vorbis comments and MP4 atoms are
mutagen's. Samples are never touched.
"""

from __future__ import annotations

import base64
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from core.audio import common_tags as common
from core.audio.bext import BextLoudness, with_loudness
from core.audio.chunks import W64_GUID_TAIL, ChunkFile, read_chunks, read_content
from core.audio.common_tags import Picture
from core.audio.integrity import id3_bytes
from core.audio.outputs import OutputFormat
from core.audio.sniff import sniff
from core.errors import UnbakeError, os_error

__all__ = ["BextLoudness", "Metadata", "apply_metadata", "read_metadata"]

_MAX_CHUNK_BYTES = 64 << 20
_MOVED_BYTES = 1 << 20
_W64_HEADER_BYTES = 24

# The frame of the file itself, filler, and what other programs computed from samples that may change.
_NOT_COPIED: dict[str, tuple[bytes, ...]] = {
    "RIFF": (
        *(b"fmt ", b"data", b"fact", b"PEAK", b"ds64", b"slnt", b"wavl"),
        *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"filr", b"FAKE"),
        *(b"levl", b"minf", b"elm1", b"elmo", b"regn", b"umid"),
    ),
    "W64": (b"fmt ", b"data", b"fact", b"junk", b"levl"),
    "AIFF": (b"COMM", b"SSND", b"FVER", b"PEAK", b"FLLR"),
    "CAF": (b"desc", b"data", b"pakt", b"kuki", b"free", b"peak", b"ovvw"),
}
_BYTE_ORDER_FREE = (b"iXML", b"axml", b"_PMX", b"id3 ", b"ID3 ")
_ID3_CHUNKS = (b"id3 ", b"ID3 ")


class Metadata(msgspec.Struct, frozen=True):
    """What a file carries beside its samples.

    `kind` is the family it comes from (RIFF, W64, AIFF, CAF, VORBIS, MP3, MP4, or "" for none); `chunks` are its
    metadata chunks as (name, content), `id3` a whole ID3v2 tag, `comments` Vorbis comments, `cuesheet` a FLAC cue
    sheet, `atoms` mutagen's MP4 tags. `text` and `pictures` are what other families understand of it. `left_out`
    names what could not be read.
    """

    kind: str = ""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    id3: bytes = b""
    comments: tuple[tuple[str, str], ...] = ()
    cuesheet: bytes = b""
    atoms: dict[str, Any] = {}
    text: dict[str, str] = {}
    pictures: tuple[Picture, ...] = ()
    left_out: tuple[str, ...] = ()


def read_metadata(path: str | os.PathLike[str]) -> Metadata:
    """The metadata of an audio file. What can't be read is named in `left_out` and never stops a render.

    UnbakeError when the file itself can't be read.
    """
    from mutagen import MutagenError

    path = Path(path)
    try:
        kind = sniff(path)
        layout = read_chunks(path)
        if layout is not None:
            return _from_chunks(path, layout)
        if kind in ("FLAC", "OGG"):
            return _from_vorbis(path, kind)
        if kind == "MP3":
            return _from_mp3(path)
        if kind == "MP4":
            return _from_mp4(path)
        return _from_ffmpeg(path, kind)
    except MutagenError:
        return Metadata(left_out=("tags that can't be read",))
    except OSError as error:
        raise os_error(error, path) from error


def apply_metadata(
    metadata: Metadata, path: str | os.PathLike[str], fmt: OutputFormat, loudness: BextLoudness | None = None
) -> None:
    """Writes into a finished audio file of format `fmt` what its container can hold of `metadata`.

    With `loudness`, the sound is taken as changed: the loudness fields of a `bext` chunk are replaced, and tags that
    describe the old sound (ReplayGain and the like) are left out. UnbakeError when the file can't be written.
    """
    from mutagen import MutagenError

    path = Path(path)
    changed = loudness is not None
    try:
        if fmt.container in ("WAV", "RF64"):
            append_chunks(path, _riff_chunks(metadata, loudness))
        elif fmt.container == "W64":
            append_chunks(path, _w64_chunks(metadata, loudness))
        elif fmt.container == "AIFF":
            append_chunks(path, _aiff_chunks(metadata, changed))
        elif fmt.container == "CAF":
            append_chunks(path, _caf_chunks(metadata))
        elif fmt.container in ("FLAC", "OGG"):
            _to_vorbis(metadata, path, fmt, changed)
        elif fmt.container == "MP3":
            _to_mp3(metadata, path, changed)
        elif fmt.container == "MP4":
            _to_mp4(metadata, path, changed)
    except MutagenError as error:
        raise UnbakeError(f"the metadata can't be written: {error}", where=path) from error
    except OSError as error:
        raise os_error(error, path) from error


def append_chunks(path: Path, chunks: list[tuple[bytes, bytes]]) -> None:
    """Adds chunks to a RIFF, RF64, W64, AIFF or CAF file and corrects its sizes.

    They go to the end, in W64 before the samples: libsndfile takes what follows those for more samples. UnbakeError
    when the file would outgrow its container's 4 GiB; OSError when it can't be written.
    """
    layout = read_chunks(path)
    data = layout.find(layout.data) if layout is not None else None
    if layout is None or data is None or not chunks:
        return
    added = b"".join(_packed(layout, name, content) for name, content in chunks)
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if layout.kind not in ("W64", "CAF"):
            added = b"\0" * (end & 1) + added
        total = end + len(added)
        if layout.kind in ("RIFF", "AIFF") and total - 8 > 0xFFFFFFFF:
            raise UnbakeError("the samples leave no room for the metadata within 4 GiB", where=path)
        if layout.kind == "W64":
            _insert(file, data.start - _W64_HEADER_BYTES, added)
        else:
            file.write(added)
        if layout.kind == "RF64":
            ds64 = layout.find(b"ds64")
            if ds64 is not None:
                file.seek(ds64.start)
                file.write(struct.pack("<Q", total - 8))
        elif layout.kind == "W64":
            file.seek(16)
            file.write(struct.pack("<Q", total))
        elif layout.kind != "CAF":
            file.seek(4)
            file.write(struct.pack(">I" if layout.big_endian else "<I", total - 8))


def _insert(file: BinaryIO, position: int, content: bytes) -> None:
    """Makes room in a file and writes there, moving what follows from its end on."""
    end = file.seek(0, os.SEEK_END)
    while end > position:
        start = max(position, end - _MOVED_BYTES)
        file.seek(start)
        moved = file.read(end - start)
        file.seek(start + len(content))
        file.write(moved)
        end = start
    file.seek(position)
    file.write(content)


def _packed(layout: ChunkFile, name: bytes, content: bytes) -> bytes:
    if layout.kind == "W64":
        guid = name if len(name) == 16 else name + W64_GUID_TAIL
        return guid + struct.pack("<Q", len(content) + 24) + content + b"\0" * (-len(content) % 8)
    if layout.kind == "CAF":
        return name + struct.pack(">q", len(content)) + content
    order = ">I" if layout.big_endian else "<I"
    return name + struct.pack(order, len(content)) + content + b"\0" * (len(content) & 1)


def _from_chunks(path: Path, layout: ChunkFile) -> Metadata:
    kind = "RIFF" if layout.kind == "RF64" else layout.kind
    kept: list[tuple[bytes, bytes]] = []
    left_out: list[str] = []
    for chunk in layout.chunks:
        short = chunk.name[:4]
        if short in _NOT_COPIED[kind] and not (kind == "W64" and chunk.name[4:] != W64_GUID_TAIL):
            continue
        whole = chunk.start + chunk.size <= layout.file_bytes
        foreign = kind == "RIFF" and layout.big_endian and short not in _BYTE_ORDER_FREE
        if not whole or foreign or chunk.size > _MAX_CHUNK_BYTES:
            left_out.append(f"chunk {short.decode('latin-1')!r}")
            continue
        kept.append((chunk.name, read_content(path, chunk)))
    id3 = next((content for name, content in kept if name in _ID3_CHUNKS), b"")
    tags = common.read_id3(id3)
    text = _text_of_chunks(kind, kept)
    if tags is not None:
        text = common.from_id3(tags) | text
    return Metadata(
        kind=kind,
        chunks=tuple(kept),
        id3=id3 if tags is not None else b"",
        text=text,
        pictures=common.id3_pictures(tags) if tags is not None else (),
        left_out=tuple(left_out),
    )


def _text_of_chunks(kind: str, chunks: list[tuple[bytes, bytes]]) -> dict[str, str]:
    if kind == "AIFF":
        return common.from_aiff(chunks)
    text: dict[str, str] = {}
    for name, content in chunks:
        if kind == "RIFF" and name == b"LIST":
            text |= common.from_info(content)
        elif kind == "CAF" and name == b"info":
            text |= common.from_caf(content)
    return text


def _from_vorbis(path: Path, kind: str) -> Metadata:
    from mutagen.flac import FLAC
    from mutagen.flac import Picture as FlacPicture

    file: Any
    if kind == "FLAC":
        file = FLAC(path)
        blocks = list(file.pictures)
        cuesheet = file.cuesheet.write() if file.cuesheet is not None else b""
    else:
        file = _open_ogg(path)
        blocks, cuesheet = [], b""
    comments: list[tuple[str, str]] = []
    for key, value in file.tags or ():
        if key.lower() == "metadata_block_picture":
            blocks.append(FlacPicture(base64.b64decode(value)))
        else:
            comments.append((key, value))
    return Metadata(
        kind="VORBIS",
        comments=tuple(comments),
        cuesheet=cuesheet,
        text=common.from_vorbis(comments),
        pictures=tuple(Picture(one.mime, int(one.type), one.desc, one.data) for one in blocks),
    )


def _open_ogg(path: Path) -> Any:
    import mutagen
    from mutagen.oggflac import OggFLAC
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    file = mutagen.File(path, options=[OggVorbis, OggOpus, OggFLAC])
    if file is None:
        raise mutagen.MutagenError("no Ogg stream with tags")
    return file


def _from_mp3(path: Path) -> Metadata:
    from mutagen.id3 import ID3, ID3NoHeaderError

    with path.open("rb") as file:
        size = id3_bytes(file.read(10))
        file.seek(0)
        raw = file.read(size)
    try:
        tags = ID3(path)
    except ID3NoHeaderError:
        return Metadata(kind="MP3")
    return Metadata(kind="MP3", id3=raw, text=common.from_id3(tags), pictures=common.id3_pictures(tags))


def _from_mp4(path: Path) -> Metadata:
    from mutagen.mp4 import MP4

    tags = MP4(path).tags
    if tags is None:
        return Metadata(kind="MP4")
    atoms = {key: list(value) if isinstance(value, list) else value for key, value in tags.items()}
    return Metadata(kind="MP4", atoms=atoms, text=common.from_mp4(tags), pictures=common.mp4_pictures(tags))


def _from_ffmpeg(path: Path, kind: str) -> Metadata:
    from core.audio.av_decoder import can_decode, open_file

    if not can_decode(kind):
        return Metadata()
    with open_file(path, kind) as container:
        return Metadata(text=common.from_ffmpeg(dict(container.metadata)))


def _riff_chunks(metadata: Metadata, loudness: BextLoudness | None) -> list[tuple[bytes, bytes]]:
    chunks: list[tuple[bytes, bytes]] = []
    if metadata.kind == "RIFF":
        for name, content in metadata.chunks:
            if name in _ID3_CHUNKS:
                content = common.fresh_id3(content, loudness is not None)
            elif name == b"bext" and loudness is not None:
                content = with_loudness(content, loudness)
            chunks.append((name, content))
        return chunks
    if metadata.kind == "W64":
        chunks = [(name[:4], content) for name, content in _w64_chunks(metadata, loudness) if name[:4] == b"bext"]
    if info := common.to_info(metadata.text):
        chunks.append((b"LIST", info))
    if id3 := _id3_for_chunk(metadata, loudness is not None):
        chunks.append((b"id3 ", id3))
    return chunks


def _w64_chunks(metadata: Metadata, loudness: BextLoudness | None) -> list[tuple[bytes, bytes]]:
    bext = b"bext" + W64_GUID_TAIL
    if metadata.kind == "W64":
        chunks = list(metadata.chunks)
    elif metadata.kind == "RIFF":
        chunks = [(bext, content) for name, content in metadata.chunks if name == b"bext"]
    else:
        return []
    if loudness is None:
        return chunks
    return [(name, with_loudness(content, loudness) if name == bext else content) for name, content in chunks]


def _aiff_chunks(metadata: Metadata, changed: bool) -> list[tuple[bytes, bytes]]:
    if metadata.kind == "AIFF":
        return [
            (name, common.fresh_id3(content, changed) if name in _ID3_CHUNKS else content)
            for name, content in metadata.chunks
        ]
    chunks = common.to_aiff(metadata.text)
    if id3 := _id3_for_chunk(metadata, changed):
        chunks.append((b"ID3 ", id3))
    return chunks


def _caf_chunks(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    if metadata.kind == "CAF":
        return list(metadata.chunks)
    info = common.to_caf(metadata.text)
    return [(b"info", info)] if info else []


def _id3_for_chunk(metadata: Metadata, changed: bool) -> bytes:
    if metadata.id3:
        return common.fresh_id3(metadata.id3, changed)
    if not metadata.text and not metadata.pictures:
        return b""
    return common.id3_to_bytes(common.to_id3(metadata.text, metadata.pictures))


def _to_vorbis(metadata: Metadata, path: Path, fmt: OutputFormat, changed: bool) -> None:
    from mutagen.flac import CueSheet
    from mutagen.flac import Picture as FlacPicture

    comments = list(metadata.comments) if metadata.kind == "VORBIS" else common.to_vorbis(metadata.text)
    comments = [(key, value) for key, value in comments if not common.is_stale(key, changed)]
    pictures = []
    for one in metadata.pictures:
        picture = FlacPicture()
        picture.mime, picture.type, picture.desc, picture.data = one.mime, one.kind, one.description, one.data
        pictures.append(picture)
    if not comments and not pictures and not metadata.cuesheet:
        return
    file = _open_commented(path, fmt)
    del file.tags[:]
    file.tags.extend(comments)
    if fmt.container == "FLAC":
        for picture in pictures:
            file.add_picture(picture)
        if metadata.cuesheet:
            file.metadata_blocks.append(CueSheet(metadata.cuesheet))
    else:
        for picture in pictures:
            file.tags.append(("METADATA_BLOCK_PICTURE", base64.b64encode(picture.write()).decode()))
    file.save()


def _open_commented(path: Path, fmt: OutputFormat) -> Any:
    from mutagen.flac import FLAC

    file = FLAC(path) if fmt.container == "FLAC" else _open_ogg(path)
    if file.tags is None:
        file.add_tags()
    return file


def _to_mp3(metadata: Metadata, path: Path, changed: bool) -> None:
    raw = common.fresh_id3(metadata.id3, changed)
    tags = common.read_id3(raw)
    if tags is None:
        tags = common.to_id3(metadata.text, metadata.pictures)
    if len(tags):
        tags.save(path, v2_version=3 if raw[3:4] == b"\x03" else 4)


def _to_mp4(metadata: Metadata, path: Path, changed: bool) -> None:
    from mutagen.mp4 import MP4

    if metadata.kind == "MP4":
        atoms = {key: value for key, value in metadata.atoms.items() if not common.is_stale(_last_word(key), changed)}
    else:
        atoms = common.to_mp4(metadata.text, metadata.pictures)
    if not atoms:
        return
    file = MP4(path)
    if file.tags is None:
        file.add_tags()
    assert file.tags is not None
    file.tags.clear()
    file.tags.update(atoms)
    file.save()


def _last_word(atom: str) -> str:
    return atom.rsplit(":", 1)[-1]
