"""The tags that every family of formats has, and how each spells them.

Used to carry title, artist and the like into a container of another family; within one family tags are copied as
they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import msgspec

KEYS = ("title", "artist", "album", "date", "comment", "genre", "tracknumber", "isrc", "copyright")
"""The common tags, named as Vorbis comments name them."""

# INFO has an ISRC chunk too, but there it means "source", not the recording code.
_INFO = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "comment": b"ICMT",
    "genre": b"IGNR",
    "tracknumber": b"ITRK",
    "copyright": b"ICOP",
}
_AIFF = {"title": b"NAME", "artist": b"AUTH", "copyright": b"(c) ", "comment": b"ANNO"}
_CAF = {
    "title": "title",
    "artist": "artist",
    "album": "album",
    "date": "recorded date",
    "comment": "comments",
    "genre": "genre",
    "tracknumber": "track number",
    "isrc": "ISRC",
    "copyright": "copyright",
}
_ID3 = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "date": "TDRC",
    "genre": "TCON",
    "tracknumber": "TRCK",
    "isrc": "TSRC",
    "copyright": "TCOP",
}
_MP4 = {
    "title": "\xa9nam",
    "artist": "\xa9ART",
    "album": "\xa9alb",
    "date": "\xa9day",
    "comment": "\xa9cmt",
    "genre": "\xa9gen",
    "copyright": "cprt",
}
_MP4_ISRC = "----:com.apple.iTunes:ISRC"
_FFMPEG = {"track": "tracknumber", "description": "comment", "year": "date"}

# What describes the sound as it was: wrong after a repair.
_STALE_PREFIXES = ("replaygain_", "r128_", "accuraterip", "itunnorm")
# How many frames a decoder drops: true of the source's encoder only.
_NEVER_COPIED = ("itunsmpb",)


class Picture(msgspec.Struct, frozen=True):
    """A picture that a file carries: its MIME type, its kind (3 is the front cover), a description, its bytes."""

    mime: str
    kind: int
    description: str
    data: bytes


def is_stale(name: str, changed: bool) -> bool:
    """Whether a tag of that name must not be carried over; `changed` when the sound is no longer the source's."""
    lowered = name.lower()
    return lowered.startswith(_NEVER_COPIED) or (changed and lowered.startswith(_STALE_PREFIXES))


def decode_text(raw: bytes) -> str:
    """Text of unstated encoding: UTF-8 where it is valid, else Windows-1252, as older programs wrote."""
    raw = raw.split(b"\0", 1)[0]
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace").strip()


def from_info(content: bytes) -> dict[str, str]:
    """Common tags from a LIST chunk; none when it is not an INFO list."""
    if content[:4] != b"INFO":
        return {}
    found: dict[bytes, str] = {}
    position = 4
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        found.setdefault(name, decode_text(content[position + 8 : position + 8 + size]))
        position += 8 + size + (size & 1)
    found.setdefault(b"ITRK", found.get(b"IPRT", ""))
    return _filled((key, found.get(name, "")) for key, name in _INFO.items())


def to_info(text: dict[str, str]) -> bytes:
    """The content of a LIST INFO chunk; empty when nothing fits in it."""
    parts = []
    for key, name in _INFO.items():
        if key in text:
            value = text[key].encode() + b"\0"
            parts.append(name + struct.pack("<I", len(value)) + value + b"\0" * (len(value) & 1))
    return b"INFO" + b"".join(parts) if parts else b""


def from_aiff(chunks: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Common tags from the text chunks of an AIFF file."""
    found: dict[bytes, str] = {}
    for name, content in chunks:
        found.setdefault(name, decode_text(content))
    return _filled((key, found.get(name, "")) for key, name in _AIFF.items())


def to_aiff(text: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """AIFF text chunks."""
    return [(name, text[key].encode()) for key, name in _AIFF.items() if key in text]


def from_caf(content: bytes) -> dict[str, str]:
    """Common tags from the `info` chunk of a CAF file."""
    words = content[4:].split(b"\0")
    found = {decode_text(key).lower(): decode_text(value) for key, value in zip(words[::2], words[1::2], strict=False)}
    return _filled((key, found.get(name.lower(), "")) for key, name in _CAF.items())


def to_caf(text: dict[str, str]) -> bytes:
    """The content of a CAF `info` chunk; empty when there is nothing to say."""
    pairs = [name.encode() + b"\0" + text[key].encode() + b"\0" for key, name in _CAF.items() if key in text]
    return struct.pack(">I", len(pairs)) + b"".join(pairs) if pairs else b""


def from_vorbis(comments: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Common tags from Vorbis comments, several values of one key joined."""
    found: dict[str, list[str]] = {}
    for key, value in comments:
        found.setdefault(key.lower(), []).append(value)
    if "comment" not in found and "description" in found:
        found["comment"] = found["description"]
    return _filled((key, "; ".join(found.get(key, []))) for key in KEYS)


def to_vorbis(text: dict[str, str]) -> list[tuple[str, str]]:
    """Vorbis comments."""
    return [(key.upper(), text[key]) for key in KEYS if key in text]


def from_ffmpeg(metadata: dict[str, str]) -> dict[str, str]:
    """Common tags from what FFmpeg reads of a container that nothing else here reads."""
    return from_vorbis((_FFMPEG.get(key.lower(), key.lower()), value) for key, value in metadata.items())


def from_id3(tags: Any) -> dict[str, str]:
    """Common tags from mutagen's ID3."""
    found = {key: "; ".join(str(word) for word in tags[frame].text) for key, frame in _ID3.items() if frame in tags}
    comments = [frame for frame in tags.getall("COMM") if not is_stale(frame.desc, True)]
    if comments:
        found["comment"] = "; ".join(comments[0].text)
    return _filled(found.items())


def to_id3(text: dict[str, str], pictures: Iterable[Picture]) -> Any:
    """mutagen's ID3 with these tags and pictures."""
    from mutagen import id3

    tags = id3.ID3()
    for key, frame in _ID3.items():
        if key in text:
            tags.add(getattr(id3, frame)(encoding=id3.Encoding.UTF8, text=[text[key]]))
    if "comment" in text:
        tags.add(id3.COMM(encoding=id3.Encoding.UTF8, lang="eng", desc="", text=[text["comment"]]))
    for number, picture in enumerate(pictures):
        tags.add(
            id3.APIC(
                encoding=id3.Encoding.UTF8,
                mime=picture.mime,
                type=picture.kind,
                desc=picture.description or (str(number) if number else ""),
                data=picture.data,
            )
        )
    return tags


def id3_pictures(tags: Any) -> tuple[Picture, ...]:
    """The pictures in mutagen's ID3."""
    return tuple(Picture(frame.mime, int(frame.type), frame.desc, frame.data) for frame in tags.getall("APIC"))


def from_mp4(tags: Any) -> dict[str, str]:
    """Common tags from mutagen's MP4Tags."""
    found = {key: "; ".join(str(word) for word in tags[atom]) for key, atom in _MP4.items() if tags.get(atom)}
    if tags.get("trkn"):
        number, total = tags["trkn"][0]
        found["tracknumber"] = f"{number}/{total}" if total else str(number)
    if tags.get(_MP4_ISRC):
        found["isrc"] = bytes(tags[_MP4_ISRC][0]).decode("utf-8", "replace")
    return _filled(found.items())


def to_mp4(text: dict[str, str], pictures: Iterable[Picture]) -> dict[str, Any]:
    """Atoms for mutagen's MP4Tags; pictures of a kind that MP4 can't hold are left out."""
    from mutagen.mp4 import MP4Cover, MP4FreeForm

    atoms: dict[str, Any] = {atom: [text[key]] for key, atom in _MP4.items() if key in text}
    numbers = [part for part in text.get("tracknumber", "").split("/") if part.strip().isdigit()]
    if numbers:
        atoms["trkn"] = [(int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0)]
    if "isrc" in text:
        atoms[_MP4_ISRC] = [MP4FreeForm(text["isrc"].encode())]
    formats = {"image/jpeg": MP4Cover.FORMAT_JPEG, "image/jpg": MP4Cover.FORMAT_JPEG, "image/png": MP4Cover.FORMAT_PNG}
    covers = [MP4Cover(one.data, formats[one.mime]) for one in pictures if one.mime in formats]
    if covers:
        atoms["covr"] = covers
    return atoms


def mp4_pictures(tags: Any) -> tuple[Picture, ...]:
    """The covers in mutagen's MP4Tags."""
    from mutagen.mp4 import MP4Cover

    mimes = {MP4Cover.FORMAT_PNG: "image/png"}
    covers = tags.get("covr", [])
    return tuple(Picture(mimes.get(one.imageformat, "image/jpeg"), 3, "", bytes(one)) for one in covers)


def read_id3(raw: bytes) -> Any:
    """mutagen's ID3 of a whole ID3v2 tag; None when it can't be read."""
    from mutagen import MutagenError
    from mutagen.id3 import ID3

    try:
        return ID3(BytesIO(raw)) if raw else None
    except MutagenError:
        return None


def id3_to_bytes(tags: Any, version: int = 4) -> bytes:
    """mutagen's ID3 as a whole ID3v2 tag of version 3 or 4, without padding."""
    file = BytesIO()
    tags.save(file, v2_version=version, padding=lambda _: 0)
    return file.getvalue()


def fresh_id3(raw: bytes, changed: bool) -> bytes:
    """An ID3v2 tag without the frames that are no longer true; byte for byte the same when it has none."""
    tags = read_id3(raw)
    if tags is None:
        return raw
    stale = [key for key, frame in tags.items() if is_stale(getattr(frame, "desc", ""), changed)]
    if changed:
        stale += [key for key in tags if key.startswith(("RVA2", "RVAD"))]
    if not stale:
        return raw
    for key in stale:
        del tags[key]
    return id3_to_bytes(tags, 3 if raw[3:4] == b"\x03" else 4)


def _filled(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key: value for key, value in pairs if value}
