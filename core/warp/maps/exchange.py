"""Time maps as files of other programs, and back: what there is, by name and by extension."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from core.errors import UnbakeError, os_error
from core.session import timemap, typed_map
from core.warp.maps import ableton, reaper
from core.warp.maps.grid import beat_finder
from core.warp.maps.tempo_map import (
    DEFAULT_BPM,
    TempoMap,
    following,
    of_warped,
    read_midi,
    read_tempo_text,
    to_midi,
    to_tempo_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.audio.formats import AudioInfo
    from core.session.timemap import TimeMap
    from core.warp.rhythm.beats import Beats

MOST_BYTES: Final = 256 << 20


class Format(NamedTuple):
    """A kind of file: its name, the extension it gets, and what of a map it keeps, for a person."""

    name: str
    extension: str
    keeps: str


FORMATS: Final = {
    each.name: each
    for each in (
        Format("map", ".map", "everything, in frames; a smooth curve as short straight pieces"),
        Format("times", ".txt", "the anchors, in times that people read; not whether the curve is smooth"),
        Format("tempo", ".tempo", "the tempo of the result as text, beat by beat; not the sound between the beats"),
        Format("midi", ".mid", "the tempo of the result as a MIDI file, beat by beat; not the sound between the beats"),
        Format(
            "reaper", ".rpp", "everything, as a REAPER project: stretch markers, and the tempo where beats are known"
        ),
        Format("ableton", ".xml", "everything, as the warp markers of an Ableton Live clip; not a Set that Live opens"),
    )
}
TEMPI: Final = ("tempo", "midi")
"""Formats that say tempi, for which beats have to be known."""


def exported(name: str, time_map: TimeMap, info: AudioInfo, beats: Beats | None = None) -> bytes:
    """What a file of the format of this name holds for a map of the file `info`, with its `beats` where they are known.

    UnbakeError for a format that there is not, for tempo maps without beats, and for a map that is not for this file.
    """
    if name not in FORMATS:
        raise UnbakeError("is no format of time maps", where=name, remedy=f"one of {', '.join(FORMATS)}")
    time_map.check_fits(info.frames, info.path)
    counted = beats if beats is not None and len(beats.at) >= 2 else None
    if name == "midi":
        return to_midi(of_warped(time_map, _needed(counted, info), whole_microseconds=True), Path(info.path).stem)
    texts: dict[str, Callable[[], str]] = {
        "map": lambda: timemap.to_text(time_map, info.frames, info.sample_rate),
        "times": lambda: _times(time_map, info),
        "tempo": lambda: to_tempo_text(of_warped(time_map, _needed(counted, info))),
        "reaper": lambda: reaper.to_project(time_map, info, of_warped(time_map, counted) if counted else None),
        "ableton": lambda: ableton.to_markers(time_map, info, _bpm(time_map, counted)),
    }
    return texts[name]().encode()


def imported(
    path: str | Path,
    info: AudioInfo,
    beats: Beats | None = None,
    *,
    bpm: float | None = None,
    at_bar: int | None = None,
) -> TimeMap:
    """The map that a file holds for the file `info`: any of `FORMATS`, a REAPER project, or a Live Set.

    MIDI files, tempo text and projects without stretch markers say tempi: the recording's `beats` follow them, its
    first downbeat at bar `at_bar`. `bpm` is the tempo at which warp markers are to play, by default that of their Set.
    Raises UnbakeError that names the file, and its line or anchor.
    """
    path = Path(path)
    where = str(path)
    content = _content(path)
    begin = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = path.suffix.lower()
    if begin[:4] == b"MThd" or kind in (".mid", ".midi", ".smf"):
        found = _followed(read_midi(path), beats, at_bar, where)
    elif kind == ".asd":
        raise UnbakeError("is Live's analysis of a file, which can't be read", where=where, remedy="give the Live Set")
    elif begin.startswith((b"<REAPER_PROJECT", b"<ITEM", b"<TEMPOENVEX", b"SM ")) or kind == ".rpp":
        text = _text(content, where)
        found = reaper.read_stretch_markers(text, info, where) or _followed(
            _stated(reaper.read_tempo(text, where), where), beats, at_bar, where
        )
    elif begin[:1] == b"<" or content[:2] == b"\x1f\x8b":
        found = ableton.read_markers(content, info, where, bpm)
    elif kind == ".tempo":
        found = _followed(read_tempo_text(_text(content, where), where), beats, at_bar, where)
    else:
        text = _text(content, where)
        if "->" in text or "\N{RIGHTWARDS ARROW}" in text:
            find = beat_finder(beats) if beats is not None and beats.at else None
            found = typed_map.read(text, info.sample_rate, find, where)
        else:
            found = timemap.read_text(text, where)
    found.check_fits(info.frames, where)
    return found


def _times(time_map: TimeMap, info: AudioInfo) -> str:
    written = typed_map.written(time_map, info.sample_rate)
    return written or typed_map.written(timemap.TimeMap(((0, 0), (info.frames, info.frames))), info.sample_rate)


def _needed(beats: Beats | None, info: AudioInfo) -> Beats:
    if beats is None:
        raise UnbakeError("a tempo map needs the beats", where=info.path, remedy="find the beats first, or tap them")
    return beats


def _bpm(time_map: TimeMap, beats: Beats | None) -> float:
    """The tempo of a Set that the warped file fits into: the mean one of its beats."""
    if beats is None:
        return DEFAULT_BPM
    drawn = timemap.Drawn(time_map, beats.frames)
    period = (drawn.target(beats.at[-1]) - drawn.target(beats.at[0])) / (len(beats.at) - 1)
    return round(60.0 * beats.sample_rate / period, 6)


def _followed(tempo_map: TempoMap, beats: Beats | None, at_bar: int | None, where: str) -> TimeMap:
    if beats is None:
        raise typed_map.BeatsNeededError(
            "says tempi, which need the beats", where=where, remedy="find the beats first, or tap them"
        )
    try:
        return following(tempo_map, beats, at_bar=at_bar)
    except UnbakeError as error:
        raise UnbakeError(error.what, where=where, remedy=error.remedy) from error


def _stated(tempo_map: TempoMap | None, where: str) -> TempoMap:
    if tempo_map is None:
        raise UnbakeError("holds neither stretch markers nor a tempo", where=where)
    return tempo_map


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnbakeError(f"is larger than {MOST_BYTES >> 20} MB, which no time map is", where=path)
        return path.read_bytes()
    except OSError as error:
        raise os_error(error, path) from error


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        if b"\0" in content:
            raise UnbakeError("is no text, and no file of a time map that is known here", where=where) from None
        return content.decode("cp1252", "replace")
