"""Places that metadata counts in time, moved along a time map.

A time reference, cue points, regions and their lengths, sampler loops, AIFF markers and chapters go where their sound
goes. What lies in a head that is cut off is left out, as is what says how fast the music is, and what counts time in
ways that are not understood here: it would be wrong. `core.audio.positions` does the same for another sample rate.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from core.audio import common_tags
from core.session.timemap import Drawn

if TYPE_CHECKING:
    from core.audio.tags import Metadata
    from core.session.timemap import TimeMap

_BEXT_TIME: Final = 338
"""Where a `bext` chunk has its time reference, 64 bit (EBU Tech 3285)."""
_LEFT_OUT: Final = {
    "RIFF": (b"plst", b"cart", b"R64m", b"acid", b"strc"),
    "W64": (b"plst", b"cart", b"acid", b"strc"),
    "CAF": (b"mark", b"regn", b"midi"),
    "AIFF": (b"MIDI",),
}
_TIMED_ID3: Final = ("SYLT", "ETCO", "MLLT", "SYTC", "ASPI", "SEEK", "POSS")
_TEMPO_TAGS: Final = ("bpm", "tempo", "tbpm", "tmpo")
_CHAPTER: Final = re.compile(r"(CHAPTER\d{1,4})(NAME|URL)?", re.IGNORECASE)
_CLOCK: Final = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2}(?:\.\d{1,6})?)")


class Way:
    """Where frames of a file of `frames` frames at `sample_rate` go along a map."""

    def __init__(self, time_map: TimeMap, frames: int, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.length = time_map.length(frames)
        self._drawn = Drawn(time_map, frames)
        self.begin = round(self._drawn.source(0.0))
        """What frame of the source is the first of the result; below 0 where silence comes first."""

    def frame(self, frame: int) -> int | None:
        """The nearest frame of the result; None for what is cut off."""
        target = round(self._drawn.target(frame))
        return min(target, self.length) if target >= 0 else None

    def seconds(self, seconds: float) -> float | None:
        """As `frame`, to the fraction of one."""
        target = self._drawn.target(seconds * self.sample_rate)
        return min(target, self.length) / self.sample_rate if target > -0.5 else None


def along(metadata: Metadata, time_map: TimeMap, frames: int, sample_rate: int) -> tuple[Metadata, tuple[str, ...]]:
    """Metadata of a file of `frames` frames at `sample_rate` that is warped, and what had to be left out."""
    if time_map.identity:
        return metadata, ()
    way = Way(time_map, frames, sample_rate)
    lost: list[str] = []
    chunks = _chunks(metadata, way, lost)
    comments = _comments(metadata.comments, way, lost)
    id3 = _id3(metadata.id3, way, [] if any(name[:4].lower() == b"id3 " for name, _ in chunks) else lost)
    atoms = {name: value for name, value in metadata.atoms.items() if not _tells_tempo(name)}
    if len(atoms) < len(metadata.atoms):
        lost.append("the tempo")
    if metadata.cuesheet:
        lost.append("the cue sheet")
    kept = msgspec.structs.replace(
        metadata, chunks=tuple(chunks), id3=id3, comments=tuple(comments), atoms=atoms, cuesheet=b""
    )
    return kept, tuple(dict.fromkeys(lost))


def _tells_tempo(name: str) -> bool:
    return name.rsplit(":", 1)[-1].lower() in _TEMPO_TAGS


def _chunks(metadata: Metadata, way: Way, lost: list[str]) -> list[tuple[bytes, bytes]]:
    cues: _Cues | None = None
    if metadata.kind in ("RIFF", "W64"):
        cues = _read_cues([(name[:4], content) for name, content in metadata.chunks], way)
        lost += cues.lost
    found: list[tuple[bytes, bytes]] = []
    for name, content in metadata.chunks:
        short = name[:4]
        try:
            made = None if short in _LEFT_OUT.get(metadata.kind, ()) else _chunk(short, content, cues, way, lost)
        except struct.error:  # shorter than it says, or beyond what 32 bits count
            made = None
        if made is None:
            lost.append(f"chunk {short.decode('latin-1')!r}")
        elif made or not content:
            found.append((name, made))
    return found


def _chunk(short: bytes, content: bytes, cues: _Cues | None, way: Way, lost: list[str]) -> bytes | None:
    """What becomes of a chunk: nothing of it is empty, and None what is not understood."""
    if short in (b"id3 ", b"ID3 "):
        return _id3(content, way, lost)
    if short == b"iXML":
        return _ixml(content, way, lost)
    if short == b"axml":
        # times of objects; without them it only says what the channels are
        return None if re.search(rb"\b(rtime|duration|start)=", content) else content
    if cues is None:
        return _mark(content, way, lost) if short == b"MARK" else content
    if short == b"bext":
        return _bext(content, way, lost)
    if short == b"cue ":
        return None if cues.damaged else cues.written()
    if short == b"LIST":
        return _adtl(content, cues, way) if content[:4] == b"adtl" else content
    if short == b"smpl":
        return _smpl(content, way, lost)
    return content


def _bext(content: bytes, way: Way, lost: list[str]) -> bytes:
    moved = bytearray(content)
    (reference,) = struct.unpack_from("<Q", moved, _BEXT_TIME)
    if reference + way.begin < 0:
        lost.append("the time reference, since the file would begin before midnight")
    struct.pack_into("<Q", moved, _BEXT_TIME, max(0, reference + way.begin))
    return bytes(moved)


class _Cue(NamedTuple):
    point: int
    source: int
    target: int
    rest: bytes
    """Chunk, chunk start and block start as they were."""


class _Cues(NamedTuple):
    """Cue points that are kept, by their number, and what is lost."""

    kept: dict[int, _Cue]
    lost: list[str]
    damaged: bool = False

    def written(self) -> bytes:
        """A `cue ` chunk; empty without any."""
        points = [struct.pack("<II12sI", cue.point, cue.target, cue.rest, cue.target) for cue in self.kept.values()]
        return struct.pack("<I", len(points)) + b"".join(points) if points else b""


def _read_cues(chunks: list[tuple[bytes, bytes]], way: Way) -> _Cues:
    content = next((content for name, content in chunks if name == b"cue "), b"")
    if not content:
        return _Cues({}, [])
    names: dict[int, str] = {}
    lengths: dict[int, int] = {}
    kept: dict[int, _Cue] = {}
    lost: list[str] = []
    try:
        for name, adtl in chunks:
            for kind, note in _notes(adtl) if name == b"LIST" and adtl[:4] == b"adtl" else ():
                (point,) = struct.unpack_from("<I", note)
                if kind == b"labl":
                    names[point] = common_tags.decode_text(note[4:])
                elif kind == b"ltxt":
                    lengths[point] = struct.unpack_from("<I", note, 4)[0]
        (count,) = struct.unpack_from("<I", content)
        for place in range(count):
            point, _, rest, source = struct.unpack_from("<II12sI", content, 4 + 24 * place)
            target = way.frame(source)
            if target is None and way.frame(source + lengths.get(point, 0)):
                target = 0  # a region of which the end is left
            if target is None:
                lost.append(_said("marker", names.get(point, ""), point))
            else:
                kept[point] = _Cue(point, source, target, rest)
    except struct.error:
        return _Cues({}, [], damaged=True)
    return _Cues(kept, lost)


def _said(what: str, name: str, number: int) -> str:
    return f"{what} {name!r}" if name else f"{what} {number}"


def _notes(adtl: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of an associated data list."""
    at = 4
    while at + 8 <= len(adtl):
        kind, size = struct.unpack_from("<4sI", adtl, at)
        yield kind, adtl[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _adtl(content: bytes, cues: _Cues, way: Way) -> bytes:
    made = bytearray(b"adtl")
    for kind, note in _notes(content):
        if kind in (b"labl", b"note", b"ltxt"):
            cue = cues.kept.get(struct.unpack_from("<I", note)[0])
            if cue is None:
                continue
            if kind == b"ltxt":
                (length,) = struct.unpack_from("<I", note, 4)
                end = way.frame(cue.source + length)
                note = note[:4] + struct.pack("<I", max(0, (end or 0) - cue.target)) + note[8:]
        made += kind + struct.pack("<I", len(note)) + note + b"\0" * (len(note) % 2)
    return bytes(made) if len(made) > 4 else b""


def _smpl(content: bytes, way: Way, lost: list[str]) -> bytes:
    (count,) = struct.unpack_from("<I", content, 28)
    loops: list[bytes] = []
    for number in range(count):
        loop = bytearray(content[36 + 24 * number : 60 + 24 * number])
        start, last = struct.unpack_from("<II", loop, 8)
        moved, end = way.frame(start), way.frame(last + 1)
        if moved is None or end is None or end <= moved:
            lost.append(f"loop {number + 1}")
            continue
        struct.pack_into("<II", loop, 8, moved, end - 1)
        loops.append(bytes(loop))
    after = content[36 + 24 * count :]
    return content[:28] + struct.pack("<I", len(loops)) + content[32:36] + b"".join(loops) + after


def _mark(content: bytes, way: Way, lost: list[str]) -> bytes:
    (count,) = struct.unpack_from(">H", content)
    kept: list[bytes] = []
    at = 2
    for _ in range(count):
        number, frame, length = struct.unpack_from(">HIB", content, at)
        text = content[at + 7 : at + 7 + length]
        size = 7 + length + (1 - length % 2)
        target = way.frame(frame)
        if target is None:
            lost.append(_said("marker", common_tags.decode_text(text), number))
        else:
            kept.append(struct.pack(">HI", number, target) + content[at + 6 : at + size])
        at += size
    return struct.pack(">H", len(kept)) + b"".join(kept) if kept else b""


def _ixml(content: bytes, way: Way, lost: list[str]) -> bytes:
    """An iXML document: its time stamps move, its sync points, which count frames, are left out."""
    rate = re.search(rb"<TIMESTAMP_SAMPLE_RATE>\s*(\d{1,7})\s*<", content)
    stamped = way.begin * (int(rate[1]) if rate else way.sample_rate) // way.sample_rate
    content = _moved_stamp(
        content, b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI", b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO", stamped
    )
    content = _moved_stamp(content, b"BWF_TIME_REFERENCE_HIGH", b"BWF_TIME_REFERENCE_LOW", way.begin)
    kept = re.sub(rb"<SYNC_POINT_LIST>.*?</SYNC_POINT_LIST>", b"", content, flags=re.DOTALL)
    if len(kept) < len(content):
        lost.append("the sync points of iXML")
    return kept


def _moved_stamp(content: bytes, high: bytes, low: bytes, by: int) -> bytes:
    """With a count of samples in two elements, of 32 bits each, moved."""
    found = [re.search(rb"<%b>\s*(\d{1,10})\s*</%b>" % (tag, tag), content) for tag in (high, low)]
    if None in found or not by:
        return content
    values = [int(match[1]) for match in found if match]
    total = max(0, (values[0] << 32) + values[1] + by)
    for tag, value in ((high, total >> 32), (low, total & 0xFFFFFFFF)):
        content = re.sub(rb"(<%b>)\s*\d{1,10}\s*(</%b>)" % (tag, tag), rb"\g<1>%d\g<2>" % value, content)
    return content


def _comments(comments: tuple[tuple[str, str], ...], way: Way, lost: list[str]) -> list[tuple[str, str]]:
    """Vorbis comments; chapters are as the Ogg tools write them, CHAPTER001=00:01:02.500."""
    moved: dict[str, str | None] = {}
    for key, value in comments:
        match = _CHAPTER.fullmatch(key)
        clock = _CLOCK.fullmatch(value.strip())
        if match and not match[2] and clock:
            seconds = way.seconds(3600 * int(clock[1]) + 60 * int(clock[2]) + float(clock[3]))
            moved[match[1].upper()] = None if seconds is None else _clock(seconds)
    found: list[tuple[str, str]] = []
    for key, value in comments:
        match = _CHAPTER.fullmatch(key)
        chapter = match[1].upper() if match else ""
        if _tells_tempo(key):
            lost.append("the tempo")
        elif key.upper() == "CUESHEET":
            lost.append("the cue sheet")
        elif chapter not in moved:
            found.append((key, value))
        elif (time := moved[chapter]) is not None:
            found.append((key, value if match and match[2] else time))
        elif match and match[2]:
            lost.append(f"chapter {value!r}")
        elif not any(other.upper() == f"{chapter}NAME" for other, _ in comments):
            lost.append(f"chapter {chapter[7:]}")
    return found


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000.0)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _id3(raw: bytes, way: Way, lost: list[str]) -> bytes:
    """An ID3v2 tag with its chapters moved; byte for byte the same when nothing in it counts time."""
    tags = common_tags.read_id3(raw)
    if tags is None:
        return raw
    timed = [key for key in tags if key[:4] in (*_TIMED_ID3, "TBPM", "TLEN")]
    chapters = tags.getall("CHAP")
    if not timed and not chapters:
        return raw
    for key in timed:
        if key[:4] == "TBPM":
            lost.append("the tempo")
        elif key[:4] != "TLEN":  # the length is in the sound itself
            lost.append(f"ID3 frame {key[:4]!r}")
        del tags[key]
    gone = {chapter.element_id for chapter in chapters if not _moved_chapter(chapter, way)}
    for chapter in chapters:
        if chapter.element_id in gone:
            lost.append(_chapter_name(chapter))
            del tags[chapter.HashKey]
    for contents in tags.getall("CTOC"):
        contents.child_element_ids = [each for each in contents.child_element_ids if each not in gone]
    return common_tags.id3_to_bytes(tags, 3 if raw[3:4] == b"\x03" else 4)


def _moved_chapter(chapter: Any, way: Way) -> bool:
    """Moves mutagen's CHAP frame; false when all of it is cut off."""
    start, end = way.seconds(chapter.start_time / 1000.0), way.seconds(chapter.end_time / 1000.0)
    if end is None or (start is None and end == 0.0):
        return False
    chapter.start_time, chapter.end_time = round(1000.0 * (start or 0.0)), round(1000.0 * end)
    chapter.start_offset = chapter.end_offset = 0xFFFFFFFF  # places in bytes, which are others now
    return True


def _chapter_name(chapter: Any) -> str:
    titles = [str(frame) for frame in chapter.sub_frames.values() if frame.FrameID == "TIT2"]
    return f"chapter {titles[0] if titles else chapter.element_id!r}"
