"""Time maps for files: from a tempo, a grid, a file, or another recording, with the beats that this takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from core.audio.read import open_reader
from core.errors import UnbakeError
from core.events import Note, Operation
from core.jobs.tempo import beats_of
from core.session import typed_map
from core.session.timemap import TimeMap
from core.warp.maps.exchange import FORMATS, imported
from core.warp.maps.follow import follow
from core.warp.maps.grid import beat_finder, check_bpm, on_grid, steady
from core.warp.rhythm.attacks import attacks_of
from core.warp.rhythm.beats import Beats
from core.warp.rhythm.taps import beats_of as beats_of_taps

if TYPE_CHECKING:
    from core.audio.formats import AudioInfo

UNSURE: Final = 0.5
"""Beats with less confidence are said to be unsure."""


class MapRequest(msgspec.Struct, frozen=True):
    """How a map is made: of `path`, `anchors`, the recording `follow`, a grid, or `to_bpm`, whichever is given.

    `path` is a file in any format of `core.warp.maps.exchange`, `anchors` text as `core.session.typed_map` reads it.
    `straighten` is how strongly beats are brought onto a grid, 0 to 1, of `to_bpm` or their own tempo, with `swing`
    where it is given. `from_bpm` is the tempo of the source where it is known; `taps_seconds` are beats that somebody
    tapped. `beats_from` is the file that beats are found in; without, it is a stem of drums, or failing that whatever
    has the clearest beat. With `smooth` the speed glides from anchor to anchor.
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
    smooth: bool = False

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
        for bpm in (self.to_bpm, self.from_bpm):
            if bpm is not None:
                check_bpm(bpm)
        if self.from_bpm is not None and self.straighten is not None:
            raise UnbakeError("--from-bpm does nothing with --straighten", remedy="leave it away")


class Made(msgspec.Struct, frozen=True):
    """A map and, where they were needed, the beats of the source that it was made from."""

    time_map: TimeMap
    beats: Beats | None = None


def make_map(
    guide: AudioInfo, stems: Mapping[str, Path], request: MapRequest, *, with_beats: bool = False
) -> Operation[Made]:
    """The map that was asked for, for the file `guide` whose stems are `stems`; its beats, too, if need be.

    Raises UnbakeError where beats are needed and none are found, and as the makers of maps do.
    """
    request.check()
    found = None
    try:
        found = _without_beats(guide, request)
    except typed_map.BeatsNeededError:
        with_beats = True
    if found is None and request.follow is not None:
        found = yield from _following(guide, request.follow)
    if found is not None and not with_beats:
        return Made(_curved(found, request))
    beats = yield from _beats(guide, stems, request)
    off_beats: Sequence[int] = ()
    if request.swing is not None:
        off_beats = (yield from attacks_of(guide.path))[0].tolist()
    return Made(_curved(found or _of_beats(guide, beats, off_beats, request), request), beats)


def _curved(time_map: TimeMap, request: MapRequest) -> TimeMap:
    return TimeMap(time_map.anchors, "smooth") if request.smooth else time_map


def _without_beats(guide: AudioInfo, request: MapRequest) -> TimeMap | None:
    """The map, where it takes neither beats nor another recording. BeatsNeededError where a file turns out to."""
    if request.path is not None:
        return imported(request.path, guide)
    if request.anchors is not None:
        return typed_map.read(request.anchors, guide.sample_rate)
    if request.to_bpm is not None and request.from_bpm is not None:
        return steady(guide.frames, request.from_bpm, request.to_bpm, octaves=False).time_map
    return None


def _following(guide: AudioInfo, path: str) -> Operation[TimeMap]:
    with open_reader(guide.path) as reader, open_reader(path) as other:
        found = yield from follow(reader, other)
    yield Note(f"{len(found.time_map.anchors)} anchors follow {path}, confidence {found.confidence:.2f}")
    return found.time_map


def _beats(guide: AudioInfo, stems: Mapping[str, Path], request: MapRequest) -> Operation[Beats]:
    """The beats of the guide, as they were tapped or as they are found; says which, and how sure they are."""
    if request.taps_seconds:
        attacks, _ = yield from attacks_of(guide.path)
        tapped = beats_of_taps(request.taps_seconds, attacks, guide.frames, guide.sample_rate)
        yield Note(f"{len(tapped.beats)} beats of {len(request.taps_seconds)} taps, {tapped.snapped} on attacks")
        return Beats(sample_rate=guide.sample_rate, frames=guide.frames, at=tapped.beats)
    if request.beats_from is not None:
        found = yield from beats_of(Path(request.beats_from), {})
        heard_in = request.beats_from
    else:
        found = yield from beats_of(Path(guide.path), stems)
        heard_in = found.reference
    beats = found.beats
    if not beats.at or beats.bpm is None:
        remedy = "give --from-bpm, --taps, or --beats-from a file with clear ones"
        raise UnbakeError("no beats were found", where=request.beats_from or guide.path, remedy=remedy)
    sure = "" if beats.confidence >= UNSURE else ", unsure: unbake tempo says what else it may be"
    yield Note(
        f"{len(beats.at)} beats at {beats.bpm:.3f} BPM heard in {heard_in}, confidence {beats.confidence:.2f}{sure}"
    )
    return beats


def _of_beats(guide: AudioInfo, beats: Beats, off_beats: Sequence[int], request: MapRequest) -> TimeMap:
    if request.path is not None:
        return imported(request.path, guide, beats)
    if request.anchors is not None:
        return typed_map.read(request.anchors, guide.sample_rate, beat_finder(beats))
    if request.straighten is not None:
        return on_grid(beats, bpm=request.to_bpm, strength=request.straighten, swing=request.swing, off_beats=off_beats)
    assert request.to_bpm is not None
    return steady(guide.frames, beats.bpm or _mean_bpm(beats), request.to_bpm).time_map


def _mean_bpm(beats: Beats) -> float:
    return 60.0 * beats.sample_rate * (len(beats.at) - 1) / (beats.at[-1] - beats.at[0])


def format_of(path: Path) -> str:
    """The format of time maps that an extension names. Raises UnbakeError where it names none."""
    name = next((each.name for each in FORMATS.values() if each.extension == path.suffix.lower()), None)
    if name is None:
        known = ", ".join(f"{each.extension} ({each.name})" for each in FORMATS.values())
        raise UnbakeError("the extension names no format of time maps", where=path, remedy=f"one of {known}")
    return name
