"""A tempo map: how fast a song goes, beat by beat, apart from any recording of it; and a recording made to follow one.

Counting is in quarter notes from where the map begins, as in MIDI files.
"""

from __future__ import annotations

import itertools
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from core.errors import UnbakeError, os_error
from core.session.timemap import Drawn, TimeMap
from core.session.typed_map import seconds_of
from core.warp.maps.grid import HIGHEST_BPM, check_bpm, first_downbeat

if TYPE_CHECKING:
    from core.warp.rhythm.beats import Beats

TICKS: Final = 960
"""Of a quarter, in the MIDI files that are written."""
DEFAULT_BPM: Final = 120.0
"""Of a MIDI file that states no tempo."""
MOST_MIDI_BYTES: Final = 64 << 20
MOST_CHANGES: Final = 1_000_000
ROUNDING_FRAMES: Final = 1
"""A tempo map made of beats has them where they are to so much."""
AT_ONCE_SECONDS: Final = 0.005
"""A first beat that comes so soon is taken for the beginning: no bar is as short."""
LEADS: Final = (0.5, 0.25, 0.125, 0.0625)
"""What is before the first beat, in quarters, where it is less than a beat."""
_PLAY: Final = 1e-3
"""Where a bar begins is known to so many quarters, or bars, in a file that counts in time."""
HOW: Final = "write a bar or a time, then the tempo, and a time signature if it changes: 1 120 4/4"
_LINE = re.compile(r"(\S+)\s+(\d+(?:\.\d*)?|\.\d+)(?:\s*bpm)?(?:\s+(\d+)/(\d+))?", re.IGNORECASE)
_BAR = re.compile(r"\d{1,6}")


class Change(NamedTuple):
    """From `quarter` on the tempo is `bpm` quarters a minute; with `ramp` it glides evenly to that of the next."""

    quarter: float
    bpm: float
    ramp: bool = False


class Signature(NamedTuple):
    """From `quarter` on bars have `upper` notes, each a `lower`th of a whole one; a bar begins there."""

    quarter: float
    upper: int
    lower: int

    @property
    def quarters(self) -> float:
        """How many quarter notes a bar is long."""
        return 4.0 * self.upper / self.lower


class TempoMap:
    """Tempo changes and time signatures, each rising from quarter 0; the last ones go on for ever.

    Before quarter 0 the first tempo holds. Raises UnbakeError that names the change that can't be.
    """

    def __init__(self, changes: Iterable[Change], signatures: Iterable[Signature] = ()) -> None:
        self.changes = tuple(changes) or (Change(0.0, DEFAULT_BPM),)
        self.signatures = tuple(signatures) or (Signature(0.0, 4, 4),)
        _check(self.changes, self.signatures)
        self._quarters = [change.quarter for change in self.changes]
        self._seconds = [0.0]
        for change, after in itertools.pairwise(self.changes):
            ends = (change.bpm, after.bpm) if change.ramp else (change.bpm, change.bpm)
            self._seconds.append(self._seconds[-1] + 120.0 * (after.quarter - change.quarter) / sum(ends))

    def seconds(self, quarter: float) -> float:
        """When a quarter note comes, in seconds from quarter 0."""
        place = max(0, bisect_right(self._quarters, quarter) - 1)
        change, gain = self.changes[place], self._gain(place) if quarter > 0.0 else 0.0
        ahead = 60.0 * (quarter - change.quarter)
        # the root of gain / 2 * t^2 + bpm * t = ahead that also holds for a gain of 0
        return self._seconds[place] + 2.0 * ahead / (change.bpm + math.sqrt(change.bpm**2 + 2.0 * gain * ahead))

    def quarter(self, seconds: float) -> float:
        """Which quarter note comes then: what `seconds` undoes."""
        place = max(0, bisect_right(self._seconds, seconds) - 1)
        change, gain = self.changes[place], self._gain(place) if seconds > 0.0 else 0.0
        ahead = seconds - self._seconds[place]
        return change.quarter + (change.bpm + 0.5 * gain * ahead) * ahead / 60.0

    def bar(self, number: int) -> float:
        """The quarter at which a bar begins, counted from 1."""
        bars = 1
        for signature, after in itertools.zip_longest(self.signatures, self.signatures[1:]):
            here = signature.quarter + (number - bars) * signature.quarters
            # a bar that a new signature cuts short counts as one
            if after is None or here < after.quarter - _PLAY:
                return here
            bars += math.ceil((after.quarter - signature.quarter) / signature.quarters - _PLAY)
        raise AssertionError

    def _gain(self, place: int) -> float:
        """BPM a second."""
        if not self.changes[place].ramp or place + 1 == len(self.changes):
            return 0.0
        rise = self.changes[place + 1].bpm - self.changes[place].bpm
        return rise / (self._seconds[place + 1] - self._seconds[place])


def _check(changes: tuple[Change, ...], signatures: tuple[Signature, ...]) -> None:
    if len(changes) > MOST_CHANGES or len(signatures) > MOST_CHANGES:
        raise UnbakeError(f"more than {MOST_CHANGES} tempo changes or time signatures")
    for number, change in enumerate(changes, 1):
        try:
            check_bpm(change.bpm)
        except UnbakeError as error:
            raise UnbakeError(f"tempo change {number}: {error.what}", remedy=error.remedy) from error
    for number, signature in enumerate(signatures, 1):
        if not (1 <= signature.upper <= 255 and signature.lower in (1, 2, 4, 8, 16, 32, 64, 128)):
            raise UnbakeError(f"time signature {number} is {signature.upper}/{signature.lower}")
    for name, quarters in (
        ("tempo change", [change.quarter for change in changes]),
        ("time signature", [signature.quarter for signature in signatures]),
    ):
        if quarters[0] != 0.0:
            raise UnbakeError(f"the first {name} is not at the beginning")
        for number, (before, quarter) in enumerate(itertools.pairwise(quarters), 2):
            if quarter <= before:
                raise UnbakeError(f"{name} {number} does not come after the one before it")


def following(tempo_map: TempoMap, beats: Beats, *, at_bar: int | None = None) -> TimeMap:
    """The map that brings each beat of a recording to where a tempo map has it, and the sound between along.

    A beat is a note of the first time signature's lower figure. The recording's first downbeat comes at bar `at_bar`
    of the tempo map, or at the first bar at which nothing of the recording is cut off; second 0 of the tempo map is
    frame 0 of the result. Before the first beat and after the last nothing is stretched. Raises UnbakeError where there
    are fewer than two beats, the first would come before the beginning, or a part would become more than 8 times as
    long or as short.
    """
    if len(beats.at) < 2:
        raise UnbakeError("fewer than two beats are known", remedy="find the beats first, or tap them")
    beat_quarters = 4.0 / tempo_map.signatures[0].lower
    before = first_downbeat(beats)

    def target(bar: int, number: int) -> int:
        quarter = tempo_map.bar(bar) + (number - before) * beat_quarters
        return round(tempo_map.seconds(quarter) * beats.sample_rate)

    if at_bar is None:
        at_bar = 1
        while target(at_bar, 0) < beats.at[0] - ROUNDING_FRAMES:
            at_bar += 1
    elif at_bar < 1 or target(at_bar, 0) < 0:
        raise UnbakeError(
            f"with its first downbeat at bar {at_bar}, the recording would begin before the tempo map does",
            remedy="give a later bar",
        )
    try:
        time_map = TimeMap(tuple((beat, target(at_bar, number)) for number, beat in enumerate(beats.at)))
    except ValueError as error:
        raise UnbakeError(
            f"to follow this tempo map, {error}",
            remedy="check the beats: they may be half or twice those of the map, or one is missing",
        ) from error
    return time_map


def of_warped(time_map: TimeMap, beats: Beats, *, whole_microseconds: bool = False) -> TempoMap:
    """The tempo map of what a recording with these beats becomes, each beat a quarter, exact to a frame.

    Quarter 0 is the first frame of the result; what comes before the first beat is a number of beats of its own, or a
    part of one, unless it is less than 5 ms. With `whole_microseconds` every quarter is as long as MIDI can say. Raises
    UnbakeError where fewer than two beats are left.
    """
    drawn = Drawn(time_map, beats.frames)
    rate = float(beats.sample_rate)
    places = beats.places()
    kept = [number for number, beat in enumerate(beats.at) if drawn.target(beat) > -0.5]
    if len(kept) < 2:
        raise UnbakeError("a tempo map needs two beats at least", remedy="find the beats first, or tap them")
    times = [max(0.0, drawn.target(beats.at[number])) / rate for number in kept]
    if times[0] < AT_ONCE_SECONDS:
        times[0] = 0.0
    lead = _lead(times[0], times[1] - times[0]) if times[0] else 0.0
    grain = 1e-6 if whole_microseconds else None
    changes = [Change(0.0, 60.0 * lead / _grained(times[0], lead, grain))] if lead else []
    start = _grained(times[0], lead, grain)
    for first, step in _runs(times, start, ROUNDING_FRAMES / rate, grain):
        if not changes or not math.isclose(changes[-1].bpm, 60.0 / step, rel_tol=1e-9):
            changes.append(Change(lead + first, 60.0 / step))
    begins = [at for at, number in enumerate(kept) if places[number].beat == 1]
    return TempoMap(changes, _signatures(lead, begins, beats.meter))


def _lead(seconds: float, beat_seconds: float) -> float:
    """In how many quarters to count what comes before the first beat."""
    beats = seconds / beat_seconds
    whole = float(max(1, round(beats)))
    return min((whole, *LEADS), key=lambda lead: abs(math.log(lead / beats)))


def _grained(seconds: float, quarters: float, grain: float | None) -> float:
    """So many quarters that are each a whole number of grains long."""
    if grain is None or not quarters:
        return seconds
    return max(1, round(seconds / quarters / grain)) * grain * quarters


def _runs(times: list[float], start: float, near: float, grain: float | None) -> Iterator[tuple[int, float]]:
    """Stretches of one tempo that are `near` all times: their first beat, and seconds a beat."""
    first = 0
    while first < len(times) - 1:
        low, high = 0.0, math.inf
        last, step = first, 0.0
        for beat in range(first + 1, len(times)):
            count = beat - first
            low = max(low, (times[beat] - near - start) / count)
            high = min(high, (times[beat] + near - start) / count)
            aim = min(max((times[beat] - start) / count, low), high)
            if grain is not None:
                aim = round(aim / grain) * grain
            if not low <= aim <= high:
                break
            last, step = beat, aim
        yield first, step
        start += (last - first) * step
        first = last


def _signatures(lead: float, begins: list[int], meter: int) -> list[Signature]:
    """Bars that begin `lead` quarters after each of these beats, and what is before them as a bar of its own."""
    found: list[Signature] = []
    before = begins[0] if begins else 0
    if lead != int(lead):
        found.append(Signature(0.0, 1, round(4.0 / lead)))
        if before:
            found.append(Signature(lead, before, 4))
    elif (lead + before) % meter:
        found.append(Signature(0.0, int(lead + before) % meter, 4))
    start = lead + before - (int(lead + before) // meter * meter if lead == int(lead) else 0)
    found.append(Signature(start, meter, 4))
    for begin, after in itertools.pairwise(begins):
        if after - begin != found[-1].upper:
            found.append(Signature(lead + begin, after - begin, 4))
    return found


def to_midi(tempo_map: TempoMap, name: str = "tempo map") -> bytes:
    """A standard MIDI file of one track with nothing but tempi and time signatures.

    Kept are both, tempi to a millionth of a second a quarter and places to 1/960 of one; ramps are not: MIDI knows
    none. Raises UnbakeError for a tempo below 3.6 BPM.
    """
    import io

    import mido

    events = [(change.quarter, 1, _set_tempo(change)) for change in tempo_map.changes]
    events += [
        (
            signature.quarter,
            0,
            mido.MetaMessage("time_signature", numerator=signature.upper, denominator=signature.lower),
        )
        for signature in tempo_map.signatures
    ]
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name.encode("latin-1", "replace").decode("latin-1"))])
    ticks = 0
    for quarter, _, message in sorted(events, key=lambda event: event[:2]):
        at = round(quarter * TICKS)
        track.append(message.copy(time=at - ticks))
        ticks = at
    track.append(mido.MetaMessage("end_of_track", time=0))
    file = io.BytesIO()
    mido.MidiFile(type=1, ticks_per_beat=TICKS, tracks=[track]).save(file=file)
    return file.getvalue()


def _set_tempo(change: Change) -> Any:
    import mido

    microseconds = round(60e6 / change.bpm)
    if not 0 < microseconds < 1 << 24:
        raise UnbakeError(f"a tempo of {change.bpm:.4g} BPM is too slow for a MIDI file")
    return mido.MetaMessage("set_tempo", tempo=microseconds)


def read_midi(path: str | Path) -> TempoMap:
    """The tempo map of a standard MIDI file: set-tempo and time-signature events of all its tracks; no notes.

    Raises UnbakeError where the file can't be read, is none, counts in SMPTE frames, or holds songs on their own
    (format 2).
    """
    import mido

    path = Path(path)
    try:
        if path.stat().st_size > MOST_MIDI_BYTES:
            raise UnbakeError("is too large for a MIDI file", where=path)
        song = mido.MidiFile(path, clip=True)
    except OSError as error:
        if error.errno is None:  # mido's own
            raise UnbakeError(f"is no MIDI file that can be read ({error})", where=path) from error
        raise os_error(error, path) from error
    except (EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnbakeError(f"is damaged, or no MIDI file ({str(error) or 'it ends too soon'})", where=path) from error
    if song.type == 2:
        raise UnbakeError("holds several songs (MIDI format 2)", where=path, remedy="save it as format 0 or 1")
    if song.ticks_per_beat <= 0:
        raise UnbakeError("counts in SMPTE frames, not in beats", where=path)
    try:
        return TempoMap(*_midi_events(song))
    except UnbakeError as error:
        raise UnbakeError(error.what, where=path, remedy=error.remedy) from error


def _midi_events(song: Any) -> tuple[list[Change], list[Signature]]:
    changes, signatures = {0.0: Change(0.0, DEFAULT_BPM)}, {0.0: Signature(0.0, 4, 4)}
    for track in song.tracks:
        ticks = 0
        for message in track:
            ticks += message.time
            quarter = ticks / song.ticks_per_beat
            if message.type == "set_tempo":
                changes[quarter] = Change(quarter, 60e6 / message.tempo if message.tempo else math.inf)
            elif message.type == "time_signature":
                signatures[quarter] = Signature(quarter, message.numerator, message.denominator)
    return [changes[at] for at in sorted(changes)], [signatures[at] for at in sorted(signatures)]


def read_tempo_text(text: str, where: str | None = None) -> TempoMap:
    """A tempo map as people write it: a line for each change, with where it is, the tempo, and a time signature.

    `9 122.5 3/4`: from bar 9 on; `0:31.5 96` or `31.5s 96`: from then on. All lines count in bars, or all in time, the
    first from bar 1 or 0:00; a time signature begins a bar. `#` starts a comment. Raises UnbakeError that names the
    line.
    """
    lines = list(_tempo_lines(text, where))
    if not lines:
        raise UnbakeError("holds no tempo", where=where, remedy=HOW)
    _check_lines(lines, where)
    changes: list[Change] = []
    signatures: list[Signature] = []
    signed, before = lines[0], lines[0]  # the last line with a time signature, and the one before this
    for line in lines:
        if not changes:
            quarter = 0.0
        elif line.in_bars:
            quarter = signatures[-1].quarter + (line.place - signed.place) * signatures[-1].quarters
        else:
            quarter = changes[-1].quarter + (line.place - before.place) * changes[-1].bpm / 60.0
        changes.append(Change(quarter, line.bpm))
        if line.signature or not signatures:
            signatures.append(Signature(quarter, *(line.signature or (4, 4))))
            signed = line
        before = line
    try:
        return TempoMap(changes, signatures)
    except UnbakeError as error:
        raise UnbakeError(error.what, where=where, remedy=error.remedy) from error


class _Line(NamedTuple):
    number: int
    in_bars: bool
    place: float
    """A bar, or seconds."""
    bpm: float
    signature: tuple[int, int] | None


def _tempo_lines(text: str, where: str | None) -> Iterator[_Line]:
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        match = _LINE.fullmatch(said)
        in_bars = match is not None and _BAR.fullmatch(match[1]) is not None
        place = None if match is None else float(match[1]) if in_bars else seconds_of(match[1])
        if match is None or place is None:
            raise UnbakeError(f"line {number} is no tempo: {said[:60]!r}", where=where, remedy=HOW)
        signature = (int(match[3]), int(match[4])) if match[3] else None
        yield _Line(number, in_bars, float(place), float(match[2]), signature)


def _check_lines(lines: list[_Line], where: str | None) -> None:
    before = None
    for line in lines:
        fault = None
        if before is None:
            if line.place != (1.0 if line.in_bars else 0.0):
                fault = "is the first, but does not begin at bar 1 or at 0:00"
        elif line.in_bars != before.in_bars:
            fault = "counts otherwise than the one before it"
        elif line.place <= before.place:
            fault = "does not come after the one before it"
        if not 0.0 < line.bpm <= HIGHEST_BPM:
            fault = f"has a tempo of {line.bpm:g} BPM"
        if fault:
            raise UnbakeError(f"line {line.number} {fault}", where=where, remedy=HOW)
        before = line


def to_tempo_text(tempo_map: TempoMap) -> str:
    """A tempo map as `read_tempo_text` reads it, by time, to a millionth of a second; ramps are not kept."""
    signatures = {signature.quarter: signature for signature in tempo_map.signatures}
    tempi = {change.quarter: change.bpm for change in tempo_map.changes}
    lines: list[str] = []
    bpm = tempo_map.changes[0].bpm
    for quarter in sorted({*signatures, *tempi}):
        bpm = tempi.get(quarter, bpm)
        signature = signatures.get(quarter)
        said = f" {signature.upper}/{signature.lower}" if signature else ""
        lines.append(f"{tempo_map.seconds(quarter):.6f}s {bpm:.9f}{said}\n")
    return "".join(lines)
