"""Time maps that change a tempo: one ratio for the whole file, or beats brought onto an even grid."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from core.errors import UnbakeError
from core.session.timemap import STEEPEST, Anchor, TimeMap
from core.warp.rhythm.beats import Place

if TYPE_CHECKING:
    from core.session.typed_map import FindBeat
    from core.warp.rhythm.beats import Beats

OCTAVES: Final = (1.0, 0.5, 2.0)
"""What a tempo may be taken for: a beat is easily counted twice, or every other one."""
HIGHEST_BPM: Final = 10_000.0
OFF_BEATS: Final = (0.3, 0.85)
"""What lies in this share of a beat is between the beats; what is nearer to one belongs to it."""
HIGHEST_SWING: Final = 4.0

Start = Literal["stay", "bar", "cut"]
"""Where the first beat goes: it stays, or the first downbeat goes to the first bar line from the beginning of the file
at which nothing is cut off, or at which only what comes before the first beat is."""


class Steady(NamedTuple):
    """A map of one ratio, and the tempo that the source was taken to have."""

    time_map: TimeMap
    from_bpm: float


def steady(frames: int, from_bpm: float, to_bpm: float, *, octaves: bool = True) -> Steady:
    """One ratio for a whole file of `frames` frames, so that a tempo of `from_bpm` becomes `to_bpm`.

    With `octaves`, half and twice `from_bpm` are tried, too, and the one nearest to `to_bpm` is taken. Raises
    UnbakeError for tempi that are none, and where the sound would become more than 8 times as long or as short.
    """
    check_bpm(from_bpm)
    check_bpm(to_bpm)
    if octaves:
        from_bpm = nearest_octave(from_bpm, to_bpm)
    stretch = from_bpm / to_bpm
    if not 1.0 / STEEPEST <= stretch <= STEEPEST:
        raise UnbakeError(
            f"from {from_bpm:g} to {to_bpm:g} BPM the sound would become {stretch:.4g} times as long, outside "
            f"{1.0 / STEEPEST:g} to {STEEPEST:g}"
        )
    if not frames:
        return Steady(TimeMap(), from_bpm)
    shortest, longest = math.ceil(frames / STEEPEST), math.floor(frames * STEEPEST)
    target = min(max(round(frames * stretch), shortest), longest)
    return Steady(TimeMap(((0, 0), (frames, target))), from_bpm)


def nearest_octave(from_bpm: float, to_bpm: float) -> float:
    """`from_bpm`, its half or its double: whichever is nearest to `to_bpm` as a ratio."""
    return from_bpm * min(OCTAVES, key=lambda octave: abs(math.log(from_bpm * octave / to_bpm)))


def check_bpm(bpm: float) -> None:
    """Raises UnbakeError for what is no tempo."""
    if not (math.isfinite(bpm) and 0.0 < bpm <= HIGHEST_BPM):
        raise UnbakeError(f"a tempo of {bpm:g} BPM", remedy=f"above 0, up to {HIGHEST_BPM:g}")


def on_grid(
    beats: Beats,
    *,
    bpm: float | None = None,
    strength: float = 1.0,
    start: Start = "stay",
    swing: float | None = None,
    off_beats: Sequence[int] = (),
) -> TimeMap:
    """Beats on an even grid of `bpm`, or of their own mean tempo; what sounds between two of them goes along.

    Of what they are off a grid of their own tempo, the share 1 - `strength` is kept. Before the first beat and after
    the last nothing is stretched, so that a pick-up keeps its distance. With `swing` (the first half of a beat is so
    many times as long as the second: 1 is straight, 2 a triplet), the one of `off_beats` in each beat, frames of
    the source, that is nearest to where they usually lie is brought there as strongly; without, off-beats stay as
    they are in their beat. Raises UnbakeError where there are fewer than two beats, for values out of range, and for
    beats so uneven that a part would become more than 8 times as long or as short.
    """
    if len(beats.at) < 2:
        raise UnbakeError("fewer than two beats are known", remedy="find the beats first, or tap them")
    if not 0.0 <= strength <= 1.0:
        raise UnbakeError(f"a strength of {strength:g}", remedy="0 (as played) to 1 (on the grid)")
    own = (beats.at[-1] - beats.at[0]) / (len(beats.at) - 1)
    period = own
    if bpm is not None:
        check_bpm(bpm)
        period = 60.0 * beats.sample_rate / bpm
    first = _first(beats, period, start)
    loose = (1.0 - strength) * period / own
    goals = [
        first + number * period + loose * (beat - beats.at[0] - number * own) for number, beat in enumerate(beats.at)
    ]
    anchors = [(beat, round(goal)) for beat, goal in zip(beats.at, goals, strict=True)]
    if swing is not None:
        anchors = _swung(anchors, off_beats, swing, strength)
    return _checked(anchors, beats)


def beat_finder(beats: Beats) -> FindBeat:
    """What finds the frame of a bar's beat, as `Beats.places` counts them; parts of a beat in proportion.

    It raises UnbakeError where there is no such bar and beat.
    """
    numbers = {place: number for number, place in enumerate(beats.places())}

    def find(bar: int, beat: float) -> float:
        number = numbers.get(Place(bar, int(beat)))
        if number is None:
            raise UnbakeError(f"there is no beat {int(beat)} in bar {bar}", remedy=_counted(beats))
        after = min(number + 1, len(beats.at) - 1)
        step = beats.at[after] - beats.at[after - 1] if after else 0
        return beats.at[number] + (beat - int(beat)) * step

    return find


def first_downbeat(beats: Beats) -> int:
    """The index of the first beat that begins a bar; where none does, of the one that would be next."""
    places = beats.places()
    for index, place in enumerate(places):
        if place.beat == 1:
            return index
    return len(places)


def _counted(beats: Beats) -> str:
    places = beats.places()
    if not places:
        return "find the beats first"
    first, last = places[0], places[-1]
    return f"they are counted from {first.bar}.{first.beat} to {last.bar}.{last.beat}"


def _first(beats: Beats, period: float, start: Start) -> float:
    """Where the first beat goes."""
    if start == "stay":
        return float(beats.at[0])
    earliest = float(beats.at[0]) if start == "bar" else 0.0
    before = first_downbeat(beats) * period
    bar = beats.meter * period
    # what is nearer than a millionth of a bar is on the line
    return math.ceil((earliest + before) / bar - 1e-6) * bar - before


def _swung(anchors: list[Anchor], off_beats: Sequence[int], swing: float, strength: float) -> list[Anchor]:
    """With anchors at off-beats, so that they come after the share of their beat that `swing` says."""
    if not 1.0 / HIGHEST_SWING <= swing <= HIGHEST_SWING:
        raise UnbakeError(
            f"a swing of {swing:g}", remedy=f"{1.0 / HIGHEST_SWING:g} to {HIGHEST_SWING:g}; 1 is straight, 2 a triplet"
        )
    within = _within(anchors, off_beats)
    shares = sorted(share for each in within.values() for _, share in each)
    usual = shares[len(shares) // 2] if shares else 0.5
    goal = swing / (1.0 + swing)
    found = anchors[:1]
    for place, (anchor, after) in enumerate(itertools.pairwise(anchors)):
        if place in within:
            frame, share = min(within[place], key=lambda each: abs(each[1] - usual))
            share += strength * (goal - share)
            found.append((frame, round(anchor[1] + share * (after[1] - anchor[1]))))
        found.append(after)
    return found


def _within(anchors: list[Anchor], off_beats: Sequence[int]) -> dict[int, list[tuple[int, float]]]:
    """The off-beats of each beat, with the share of it after which they come."""
    found: dict[int, list[tuple[int, float]]] = {}
    for frame in off_beats:
        place = bisect_right(anchors, (frame, math.inf)) - 1
        if 0 <= place < len(anchors) - 1:
            start, end = anchors[place][0], anchors[place + 1][0]
            share = (frame - start) / (end - start)
            if OFF_BEATS[0] <= share <= OFF_BEATS[1]:
                found.setdefault(place, []).append((int(frame), share))
    return found


def _checked(anchors: list[Anchor], beats: Beats) -> TimeMap:
    try:
        time_map = TimeMap(tuple(anchors))
    except ValueError as error:
        raise UnbakeError(f"on this grid, {error}", remedy="check the beats: one may be missing or doubled") from error
    time_map.check_fits(beats.frames)
    return time_map
