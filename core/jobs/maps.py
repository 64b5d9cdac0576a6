"""Time maps for files: from a tempo, a grid, a file, or another recording, with the beats that this takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from core.audio.read import open_reader
from core.errors import UnbakeError
from core.events import Note, Operation
from core.session import typed_map
from core.session.timemap import TimeMap
from core.warp.beats import Beats
from core.warp.exchange import FORMATS, imported
from core.warp.grid import beat_finder, on_grid, steady
from core.warp.onsets import Heard, listen
from core.warp.taps import beats_of
from core.warp.tracking import find_beats

if TYPE_CHECKING:
    from core.audio.formats import AudioInfo

DRUMS: Final = "drums"
UNSURE: Final = 0.5
"""Beats with less confidence are said to be unsure."""


class MapRequest(msgspec.Struct, frozen=True):
    """How a map is made: of `path`, `anchors`, the recording `follow`, a grid, or `to_bpm`, whichever is given.

    `path` is a file in any format of `core.warp.exchange`, `anchors` text as `core.session.typed_map` reads it.
    `straighten` is how strongly beats are brought onto a grid, 0 to 1, of `to_bpm` or their own tempo, with `swing`
    where it is given. `from_bpm` is the tempo of the source where it is known; `taps_seconds` are beats that somebody
    tapped. `beats_from` is the file that beats are found in; of the files that are warped it is that of the drums, or
    else the guide.
    """

    path: str | None = None
    anchors: str | None = None
    follow: str | None = None
    to_bpm: float | None = None
    from_bpm: float | None = None
    straighten: float | None = None
    swing: float | None = None
    taps_seconds: tuple[float, ...] = ()
    beats_from: str | None = None

    def check(self) -> None:
        """Raises UnbakeError for what can't be asked for together, and where nothing is asked for."""
        paced = self.to_bpm is not None or self.straighten is not None
        ways = [self.path is not None, self.anchors is not None, self.follow is not None, paced]
        if sum(ways) != 1:
            said = "no map is named" if not any(ways) else "more than one map is named"
            raise UnbakeError(said, remedy="give one of --to-bpm, --straighten, --map, --anchors, --follow")
        for name, given, other in (
            ("swing", self.swing, self.straighten),
            ("from-bpm", self.from_bpm, self.to_bpm),
        ):
            if given is not None and other is None:
                needs = "straighten" if name == "swing" else "to-bpm"
                raise UnbakeError(f"--{name} does nothing without --{needs}")
        if self.from_bpm is not None and self.straighten is not None:
            raise UnbakeError("--from-bpm does nothing with --straighten", remedy="leave it away")


class Made(msgspec.Struct, frozen=True):
    """A map and, where they were needed, the beats of the source that it was made from, in which file."""

    time_map: TimeMap
    beats: Beats | None = None
    beats_from: str | None = None


def make_map(
    guide: AudioInfo, paths: Sequence[Path], request: MapRequest, *, with_beats: bool = False
) -> Operation[Made]:
    """The map that was asked for, for the files `paths` whose guide is `guide`; its beats, too, if need be.

    Raises UnbakeError where beats are needed and none are found, and as the makers of maps do.
    """
    request.check()
    found = None
    try:
        found = _without_beats(guide, request)
    except typed_map.BeatsNeededError:
        with_beats = True
    if found is None and request.follow is not None:
        with open_reader(guide.path) as reader, open_reader(request.follow) as other:
            followed = yield from follow(reader, other)
        yield Note(f"follows {request.follow}: {followed.words()}")
        found = followed.time_map
    if found is not None and not with_beats:
        return Made(found)
    reference = _reference(guide, paths, request)
    beats, heard = yield from _beats(reference, request)
    yield Note(_told(beats, reference))
    return Made(found or _of_beats(guide, beats, heard, request), beats, str(reference))


def _without_beats(guide: AudioInfo, request: MapRequest) -> TimeMap | None:
    """The map, where it takes neither beats nor another recording. BeatsNeededError where a file turns out to."""
    if request.path is not None:
        return imported(request.path, guide)
    if request.anchors is not None:
        return typed_map.read(request.anchors, guide.sample_rate)
    if request.to_bpm is not None and request.from_bpm is not None:
        return steady(guide.frames, request.from_bpm, request.to_bpm, octaves=False).time_map
    return None


def _reference(guide: AudioInfo, paths: Sequence[Path], request: MapRequest) -> Path:
    if request.beats_from is not None:
        return Path(request.beats_from)
    return next((path for path in paths if path.stem.lower() == DRUMS), Path(guide.path))


def _beats(path: Path, request: MapRequest) -> Operation[tuple[Beats, Heard]]:
    """The beats of a file, as they were tapped or as they are found."""
    with open_reader(path) as reader:
        heard = yield from listen(reader)
    if request.taps_seconds:
        tapped = beats_of(request.taps_seconds, heard.onsets, heard.frames, heard.sample_rate)
        return Beats(sample_rate=heard.sample_rate, frames=heard.frames, at=tapped.beats), heard
    found = find_beats(heard)
    if not found.at:
        raise UnbakeError(
            "no beats were found", where=path, remedy="give --from-bpm, --taps, or --beats-from a clearer file"
        )
    return found, heard


def _told(beats: Beats, path: Path) -> str:
    if beats.bpm is None:
        return f"{len(beats.at)} beats, as tapped"
    sure = "" if beats.confidence >= UNSURE else ", unsure: check them with unbake tempo"
    return f"{len(beats.at)} beats at {beats.bpm:.3f} BPM in {path.name}, confidence {beats.confidence:.2f}{sure}"


def _of_beats(guide: AudioInfo, beats: Beats, heard: Heard, request: MapRequest) -> TimeMap:
    if request.path is not None:
        return imported(request.path, guide, beats)
    if request.anchors is not None:
        return typed_map.read(request.anchors, guide.sample_rate, beat_finder(beats))
    if request.straighten is not None:
        off_beats = heard.onsets.tolist()
        return on_grid(beats, bpm=request.to_bpm, strength=request.straighten, swing=request.swing, off_beats=off_beats)
    assert request.to_bpm is not None
    own_bpm = (
        beats.bpm
        if beats.bpm is not None
        else 60.0 * beats.sample_rate * (len(beats.at) - 1) / (beats.at[-1] - beats.at[0])
    )
    return steady(guide.frames, own_bpm, request.to_bpm).time_map


def format_of(path: Path) -> str:
    """The format of time maps that an extension names. Raises UnbakeError where it names none."""
    name = next((each.name for each in FORMATS.values() if each.extension == path.suffix.lower()), None)
    if name is None:
        known = ", ".join(f"{each.extension} ({each.name})" for each in FORMATS.values())
        raise UnbakeError("the extension names no format of time maps", where=path, remedy=f"one of {known}")
    return name
