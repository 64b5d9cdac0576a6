"""Ableton Live's warp markers: which second of a file lies on which beat, as Live Sets have them (gzipped XML).

Live publishes no description of it; names and meanings here are those of Sets that Live wrote. A clip goes on before
its first marker and after its last one as fast as beside them, so Live sets a last marker 1/32 of a beat further on.
"""

from __future__ import annotations

import gzip
import io
import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import quoteattr

from core.errors import UnbakeError
from core.session.timemap import TimeMap, straightened
from core.warp.maps.grid import check_bpm
from core.warp.maps.reaper import from_vertices

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from core.audio.formats import AudioInfo

LAST_BEATS: Final = 1.0 / 32.0
"""How far behind the last place that means something Live sets a marker that only says how fast it goes on."""
MOST_BYTES: Final = 1 << 30


class Marker(NamedTuple):
    """A warp marker: a second of the file, and the beat (a quarter note) that it lies on."""

    seconds: float
    beats: float


class _Clip(NamedTuple):
    file: str
    start_beats: float | None
    markers: tuple[Marker, ...]


def to_markers(time_map: TimeMap, info: AudioInfo, bpm: float) -> str:
    """The warp markers of a clip of this file in a Set at `bpm`, in which it plays as the map has it, as XML.

    The elements and their places are those of a Live Set, but only those that say where the sound lies: it is for
    scripts and for copying, not a Set that Live opens. Kept is the whole map, a smooth curve as the straight pieces it
    is drawn with; the clip starts at the first frame of the result.
    """
    check_bpm(bpm)
    time_map.check_fits(info.frames, info.path)
    rate = info.sample_rate
    found = [
        Marker(source / rate, target / rate * bpm / 60.0)
        for source, target in straightened(time_map).vertices(info.frames)
    ]
    found.append(Marker(found[-1].seconds + LAST_BEATS * 60.0 / bpm, found[-1].beats + LAST_BEATS))
    lines = [
        f'<WarpMarker Id="{number}" SecTime="{marker.seconds!r}" BeatTime="{marker.beats!r}" />'
        for number, marker in enumerate(found)
    ]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            "<Ableton><LiveSet>",
            "<MasterTrack><DeviceChain><Mixer>",
            f'<Tempo><Manual Value="{bpm!r}" /></Tempo>',
            "</Mixer></DeviceChain></MasterTrack>",
            "<Tracks><AudioTrack><AudioClip>",
            '<Loop><LoopStart Value="0" /><LoopOn Value="false" /></Loop>',
            '<IsWarped Value="true" />',
            f"<SampleRef><FileRef><Path Value={quoteattr(info.path)} /></FileRef></SampleRef>",
            "<WarpMarkers>",
            *lines,
            "</WarpMarkers>",
            "</AudioClip></AudioTrack></Tracks>",
            "</LiveSet></Ableton>",
            "",
        ]
    )


def read_markers(content: bytes, info: AudioInfo, where: str, bpm: float | None = None) -> TimeMap:
    """The map that the warp markers of this file's clip make in a Live Set, or in a part of its XML.

    `bpm` is the tempo it is to play at: by default the Set's. The clip's start is the first frame of the result; where
    none is stated, nothing is cut off. Raises UnbakeError where there is no such clip, where several are warped
    differently, and where no tempo is known or it changes.
    """
    clips: list[_Clip] = []
    tempo: float | None = None
    for found in _parse(content, where):
        if isinstance(found, _Clip):
            clips.append(found)
        else:
            tempo = found
    bpm = tempo if bpm is None else bpm
    clip = _chosen(clips, info, where)
    if bpm is None or math.isnan(bpm):
        raise UnbakeError(
            "the tempo of the Set changes" if bpm is not None else "states no tempo",
            where=where,
            remedy="say which tempo it is to play at",
        )
    check_bpm(bpm)
    return from_vertices(_vertices(clip, info, bpm, where), info, where)


def _chosen(clips: list[_Clip], info: AudioInfo, where: str) -> _Clip:
    name = PurePath(info.path).name
    named = [clip for clip in clips if PurePath(clip.file.replace("\\", "/")).name == name]
    distinct = list(dict.fromkeys((clip.start_beats, clip.markers) for clip in named or clips))
    if not distinct:
        raise UnbakeError("holds no warped clip", where=where, remedy="switch on Warp for the clip, and save the Set")
    if len(distinct) > 1:
        raise UnbakeError(
            f"holds {len(distinct)} clips that are warped differently",
            where=where,
            remedy=f"leave only the one of {name}",
        )
    start_beats, markers = distinct[0]
    return _Clip(name, start_beats, markers)


def _vertices(clip: _Clip, info: AudioInfo, bpm: float, where: str) -> list[tuple[float, float]]:
    """Seconds of source and result, from one end of the file to the other."""
    markers = sorted(clip.markers)
    for number, (before, marker) in enumerate(itertools.pairwise(markers), 1):
        if marker.seconds <= before.seconds or marker.beats <= before.beats:
            raise UnbakeError(f"warp markers {number} and {number + 1} do not both rise", where=where)
    if len(markers) < 2:
        raise UnbakeError("one warp marker alone says no tempo", where=where)
    first, last = markers[:2], markers[-2:]
    if len(markers) > 2 and markers[-1].beats - markers[-2].beats <= LAST_BEATS * 1.001:
        markers.pop()
    inner = [marker for marker in markers if 0.0 < marker.seconds < info.seconds]
    course = [_onward(first, 0.0), *inner, _onward(last, info.seconds)]
    start = clip.start_beats if clip.start_beats is not None else min(0.0, course[0].beats)
    return [(marker.seconds, (marker.beats - start) * 60.0 / bpm) for marker in course]


def _onward(pair: Sequence[Marker], seconds: float) -> Marker:
    """What lies on a second as the line through two markers has it."""
    one, other = pair
    speed = (other.beats - one.beats) / (other.seconds - one.seconds)
    # from the marker itself, so that one that lies there stays where it is
    near = one if abs(seconds - one.seconds) < abs(seconds - other.seconds) else other
    return Marker(seconds, near.beats + (seconds - near.seconds) * speed)


def _parse(content: bytes, where: str) -> Iterator[_Clip | float]:
    """Warped clips, and the tempo of the Set: NaN where it changes."""
    from xml.etree.ElementTree import ParseError, iterparse

    stream = gzip.GzipFile(fileobj=io.BytesIO(content)) if content[:2] == b"\x1f\x8b" else io.BytesIO(content)
    bare: list[Marker] = []
    try:
        for _, element in iterparse(_Limited(stream)):
            if element.tag == "AudioClip":
                if (clip := _clip(element)) is not None:
                    yield clip
                bare.clear()
                element.clear()
            elif element.tag == "WarpMarkers":
                bare = _markers(element)
            elif element.tag in ("MasterTrack", "MainTrack"):
                tempo = _tempo(element)
                if tempo is not None:
                    yield tempo
                element.clear()
    except ParseError as error:
        raise UnbakeError(f"is no Live Set or part of one ({error})", where=where) from error
    except (OSError, EOFError, zlib.error) as error:
        raise UnbakeError("is damaged, or larger than any Live Set", where=where) from error
    except (ValueError, TypeError) as error:
        raise UnbakeError("has a value that is no number where one must be", where=where) from error
    if bare:
        yield _Clip("", None, tuple(bare))


class _Limited(io.RawIOBase):
    """A stream that gives up where a small file unpacks into far too much."""

    def __init__(self, stream: io.BufferedIOBase | gzip.GzipFile) -> None:
        self._stream, self._left = stream, MOST_BYTES

    def read(self, size: int = -1, /) -> bytes:
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise OSError
        return block


def _clip(element: Element) -> _Clip | None:
    markers = _markers(element)
    if not markers or _value(element, "IsWarped") == "false":
        return None
    start = _value(element, "Loop/LoopStart")
    start_beats = None if start is None else _number(start)
    if start_beats is not None and _value(element, "Loop/LoopOn") == "true":
        start_beats += _number(_value(element, "Loop/StartRelative") or "0")
    file = _value(element, "SampleRef/FileRef/Path") or _value(element, "SampleRef/FileRef/Name") or ""
    return _Clip(file, start_beats, tuple(markers))


def _markers(element: Element) -> list[Marker]:
    holder = element if element.tag == "WarpMarkers" else element.find("WarpMarkers")
    if holder is None:
        return []
    return [
        Marker(_number(marker.get("SecTime")), _number(marker.get("BeatTime"))) for marker in holder.iter("WarpMarker")
    ]


def _tempo(track: Element) -> float | None:
    tempo = track.find("DeviceChain/Mixer/Tempo")
    manual = None if tempo is None else _value(tempo, "Manual")
    if tempo is None or manual is None:
        return None
    target = tempo.find("AutomationTarget")
    wanted = None if target is None else target.get("Id")
    for envelope in track.iter("AutomationEnvelope"):
        if wanted is not None and _value(envelope, "EnvelopeTarget/PointeeId") == wanted:
            values = {event.get("Value") for event in envelope.iter("FloatEvent")}
            if len(values) > 1:
                return math.nan
            manual = next(iter(values), manual)
    return _number(manual)


def _value(element: Element, path: str) -> str | None:
    found = element.find(path)
    return None if found is None else found.get("Value")


def _number(word: str | None) -> float:
    number = float(word or "")
    if not math.isfinite(number):
        raise ValueError(word)
    return number
