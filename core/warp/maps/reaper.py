"""REAPER projects: a time map as the stretch markers of an item, and the tempo map of a project.

What the lines mean is as ReaTeam's "State Chunk Definitions" and X-Raym's "Working with Stretch Markers" have it
(github.com/ReaTeam/Doc); how fast a ramp goes is as in BR_Tempo.cpp of the SWS extension.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Final, NamedTuple

from core.errors import UnbakeError
from core.session.timemap import MOST_ANCHORS, Drawn, TimeMap, straightened
from core.warp.maps.tempo_map import Change, Signature, TempoMap

if TYPE_CHECKING:
    from core.audio.formats import AudioInfo

SOURCES: Final = {".flac": "FLAC", ".mp3": "MP3", ".ogg": "VORBIS", ".opus": "OPUS", ".wv": "WAVPACK"}
"""How an item names its kind of file; WAVE for all others."""
SLOPED_SECONDS: Final = 1e-5
"""A stretch whose speed changes is drawn as straight pieces that are so near to it."""
_SQUARE, _LINEAR = 1, 0


class Marker(NamedTuple):
    """A stretch marker: seconds of the item and of the source, and how the speed changes up to the next one.

    From there to the next marker the speed goes from (1 - `slope`) to (1 + `slope`) times the mean one.
    """

    item_seconds: float
    source_seconds: float
    slope: float = 0.0


def to_project(time_map: TimeMap, info: AudioInfo, tempo_map: TempoMap | None = None) -> str:
    """A project with the file as one item, stretch markers as the map has them, and the tempo map of the result.

    Kept is all of the map that is heard, to the nanosecond: a smooth curve as the straight pieces it is drawn with, a
    cut head as an item that begins later in its file. REAPER stretches with its own engine. Raises UnbakeError where
    nothing of the file is left.
    """
    time_map.check_fits(info.frames, info.path)
    length = time_map.length(info.frames) / info.sample_rate
    name = PurePath(info.path).name
    kind = SOURCES.get(PurePath(info.path).suffix.lower(), "WAVE")
    markers = " + ".join(
        f"{marker.item_seconds:.12g} {marker.source_seconds:.12g}" for marker in _markers(time_map, info)
    )
    return "\n".join(
        [
            '<REAPER_PROJECT 0.1 "6.0" 0',
            *_tempo_lines(tempo_map or TempoMap([])),
            "  <TRACK",
            f"    NAME {_quoted(name)}",
            "    <ITEM",
            "      POSITION 0",
            f"      LENGTH {length:.12g}",
            "      LOOP 0",
            "      BEAT 0",
            f"      NAME {_quoted(name)}",
            "      SOFFS 0",
            "      PLAYRATE 1 1 0 -1 0 0.0025",
            f"      SM {markers}",
            f"      <SOURCE {kind}",
            f"        FILE {_quoted(info.path)}",
            "      >",
            "    >",
            "  >",
            ">",
            "",
        ]
    )


def _markers(time_map: TimeMap, info: AudioInfo) -> list[Marker]:
    vertices = straightened(time_map).vertices(info.frames)
    if vertices[0][1] < 0.0:
        begin = Drawn(straightened(time_map), info.frames).source(0.0)
        vertices = [(begin, 0.0), *(vertex for vertex in vertices if vertex[1] > 0.0)]
    return [Marker(target / info.sample_rate, source / info.sample_rate) for source, target in vertices]


def _tempo_lines(tempo_map: TempoMap) -> Iterator[str]:
    first = tempo_map.signatures[0]
    yield f"  TEMPO {tempo_map.changes[0].bpm:.10g} {first.upper} {first.lower}"
    yield "  <TEMPOENVEX"
    yield from ("    ACT 1 -1", "    VIS 1 0 1", "    LANEHEIGHT 0 0", "    ARM 0", "    DEFSHAPE 1 -1 -1")
    signatures = {signature.quarter: signature for signature in tempo_map.signatures}
    changes = {change.quarter: change for change in tempo_map.changes}
    change = tempo_map.changes[0]
    for quarter in sorted({*signatures, *changes}):
        change = changes.get(quarter, Change(quarter, _bpm_at(tempo_map, quarter), change.ramp))
        signature = signatures.get(quarter)
        shape = _LINEAR if change.ramp else _SQUARE
        said = f" {65536 * signature.lower + signature.upper} 0 1" if signature else ""
        yield f"    PT {tempo_map.seconds(quarter):.12f} {change.bpm:.10f} {shape}{said}"
    yield "  >"


def _bpm_at(tempo_map: TempoMap, quarter: float) -> float:
    step = 1e-3
    return 60.0 * 2.0 * step / (tempo_map.seconds(quarter + step) - tempo_map.seconds(quarter - step))


def _quoted(word: str) -> str:
    """A word as a project has it: in whichever quotation marks it does not hold itself."""
    word = " ".join(word.splitlines())
    for mark in ('"', "'", "`"):
        if mark not in word:
            return f"{mark}{word}{mark}"
    return f"`{word.replace('`', chr(39))}`"


def read_stretch_markers(text: str, info: AudioInfo, where: str) -> TimeMap | None:
    """The map that the stretch markers of an item of this file make; None where no item has any.

    `text` is a project, or the chunk of one item. Where several items have stretch markers, the one that plays a file
    of this name counts. Speeds that change between markers are drawn as straight pieces; outside the markers nothing is
    stretched. Raises UnbakeError for items that begin within their file, have a play rate, or a rate of no sound.
    """
    takes = [take for take in _takes(text, where) if take.markers]
    if len(takes) > 1:
        takes = [take for take in takes if PureWindowsPath(take.file).name == PurePath(info.path).name] or takes
    if len(takes) > 1:
        raise UnbakeError(
            f"{len(takes)} items or takes have stretch markers",
            where=where,
            remedy=f"leave those of {PurePath(info.path).name} alone, or give the chunk of one item",
        )
    if not takes:
        return None
    take = takes[0]
    for value, usual, what in ((take.offset, 0.0, "begins within its file"), (take.rate, 1.0, "has a play rate")):
        if value != usual:
            raise UnbakeError(f"the item {what} ({value:g})", where=where, remedy="glue it first, or undo that")
    return from_markers(take.markers, info, where)


class _Take(NamedTuple):
    file: str
    offset: float
    rate: float
    markers: list[Marker]


def _takes(text: str, where: str) -> Iterator[_Take]:
    """The takes of all items; an item's own lines are its first take."""
    take: _Take | None = None
    for number, words, line in _lines(text):
        try:
            if words[0] in ("<ITEM", "TAKE") or (take is None and words[0] == "SM"):
                if take is not None:
                    yield take
                take = _Take("", 0.0, 1.0, [])
            if take is None:
                continue
            if words[0] == "SM":
                take.markers.extend(_read_markers(words[1:]))
            elif words[0] == "SOFFS":
                take = take._replace(offset=float(words[1]))
            elif words[0] == "PLAYRATE":
                take = take._replace(rate=float(words[1]))
            elif words[0] == "FILE" and not take.file:
                take = take._replace(file=line.strip()[5:].strip().strip("\"'`"))
        except (ValueError, IndexError) as error:
            raise UnbakeError(f"line {number} can't be read: {line.strip()[:60]!r}", where=where) from error
    if take is not None:
        yield take


def _lines(text: str) -> Iterator[tuple[int, list[str], str]]:
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        words = line.split()
        if words:
            yield number, words, line


def _read_markers(words: Sequence[str]) -> Iterator[Marker]:
    for mark, group in itertools.groupby(words, key="+".__eq__):
        if not mark:
            yield Marker(*_finite(group))


def _finite(words: Iterator[str]) -> list[float]:
    numbers = [float(word) for word in words]
    if not 2 <= len(numbers) <= 3 or not all(map(math.isfinite, numbers)):
        raise ValueError(numbers)
    return numbers


def from_markers(markers: Sequence[Marker], info: AudioInfo, where: str) -> TimeMap:
    """The map that stretch markers of a file make. Raises UnbakeError that names the marker."""
    ordered = sorted(markers)
    vertices: list[tuple[float, float]] = []
    for number, (marker, after) in enumerate(itertools.pairwise(ordered), 1):
        source, item = after.source_seconds - marker.source_seconds, after.item_seconds - marker.item_seconds
        if source <= 0.0 or item <= 0.0 or abs(marker.slope) >= 1.0:
            raise UnbakeError(
                f"stretch markers {number} and {number + 1} make no speed that can be played", where=where
            )
        bend = source * abs(marker.slope)
        pieces = max(1, math.ceil(math.sqrt(bend / (4.0 * SLOPED_SECONDS))))
        if len(vertices) + pieces > MOST_ANCHORS:
            raise UnbakeError("the speed changes for too long between the stretch markers", where=where)
        for piece in range(pieces):
            u = piece / pieces
            through = u * (1.0 - marker.slope) + u * u * marker.slope
            vertices.append((marker.source_seconds + source * through, marker.item_seconds + item * u))
    vertices.append((ordered[-1].source_seconds, ordered[-1].item_seconds))
    return from_vertices(vertices, info, where)


def from_vertices(vertices: Sequence[tuple[float, float]], info: AudioInfo, where: str) -> TimeMap:
    """A map through places of the source and of the target, in seconds, rising; what comes before target 0 is cut off.

    Raises UnbakeError where they lie outside the file or a part would become more than 8 times as long or as short.
    """
    rate = info.sample_rate
    if vertices[-1][0] * rate > info.frames + rate / 1000.0:
        raise UnbakeError(
            f"goes on to {vertices[-1][0]:.3f} s of a file of {info.seconds:.3f} s",
            where=where,
            remedy="use one that was made for this file",
        )
    anchors: list[tuple[int, int]] = []
    for (s0, t0), (s1, t1) in itertools.pairwise([*vertices, vertices[-1]]):
        if t1 < 0.0 and s1 != s0:
            continue
        if t0 < 0.0:
            s0, t0 = s0 - t0 * ((s1 - s0) / (t1 - t0) if t1 > t0 else 1.0), 0.0
        anchor = min(round(s0 * rate), info.frames), round(t0 * rate)
        if anchor[0] >= 0 and (not anchors or (anchor[0] > anchors[-1][0] and anchor[1] > anchors[-1][1])):
            anchors.append(anchor)
    try:
        return TimeMap(tuple(anchors))
    except ValueError as error:
        raise UnbakeError(str(error), where=where) from error


def read_tempo(text: str, where: str) -> TempoMap | None:
    """The tempo map of a project: its tempo envelope or, without one, its tempo; None for text that has neither.

    Ramps and time signatures are kept, metronome patterns and bars cut short are not. Raises UnbakeError that names the
    line.
    """
    inside = False
    points: list[tuple[float, float, bool]] = []
    signatures: list[tuple[float, int, int]] = []
    project: TempoMap | None = None
    for number, words, line in _lines(text):
        try:
            if words[0] == "TEMPO" and project is None:
                project = TempoMap([Change(0.0, float(words[1]))], [Signature(0.0, int(words[2]), int(words[3]))])
            elif words[0] == "<TEMPOENVEX":
                inside = True
            elif words[0] == ">":
                inside = False
            elif inside and words[0] == "PT":
                seconds, bpm, shape = float(words[1]), float(words[2]), int(words[3])
                points.append((seconds, bpm, shape == _LINEAR))
                if len(words) > 4 and int(words[4]) > 0:
                    signatures.append((seconds, int(words[4]) % 65536, int(words[4]) // 65536))
        except (ValueError, IndexError, UnbakeError) as error:
            raise UnbakeError(f"line {number} is no tempo: {line.strip()[:60]!r}", where=where) from error
    return _timed(points, signatures, project, where) if points else project


def _timed(
    points: list[tuple[float, float, bool]],
    signatures: list[tuple[float, int, int]],
    project: TempoMap | None,
    where: str,
) -> TempoMap:
    """A tempo map of points that count in seconds; what holds before the first of them is the project's."""
    if not all(math.isfinite(seconds) and 0.0 < bpm < math.inf for seconds, bpm, _ in points):
        raise UnbakeError("a tempo that is none", where=where)
    if points[0][0] > 0.0:
        points = [(0.0, project.changes[0].bpm if project else points[0][1], False), *points]
    quarters = {points[0][0]: 0.0}
    changes = [Change(0.0, points[0][1], points[0][2])]
    for (before, bpm, ramp), (seconds, next_bpm, next_ramp) in itertools.pairwise(points):
        quarter = changes[-1].quarter + (seconds - before) * (bpm + (next_bpm if ramp else bpm)) / 120.0
        quarters[seconds] = quarter
        changes.append(Change(quarter, next_bpm, next_ramp))
    bars = [Signature(quarters[seconds], upper, lower) for seconds, upper, lower in signatures]
    if not bars or bars[0].quarter > 0.0:
        bars.insert(0, project.signatures[0] if project else Signature(0.0, 4, 4))
    try:
        return TempoMap(changes, bars)
    except UnbakeError as error:
        raise UnbakeError(error.what, where=where, remedy=error.remedy) from error
