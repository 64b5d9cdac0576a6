"""Tempo and beats of a recording, heard in its drums or in what else has the clearest beat."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from core.errors import UnbakeError
from core.events import Operation, Progress
from core.jobs import sessions
from core.session.document import RESIDUAL
from core.warp.rhythm.attacks import heard_of
from core.warp.rhythm.beats import MOST_METER, Beats, Candidate, TempoAt, doubled, halved
from core.warp.rhythm.tempogram import check_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.warp.rhythm.onsets import Heard

DRUMS: Final = ("drums", "drum", "percussion", "bassdrums", "kick", "beat")
"""What stems with drums are called, the likeliest first."""
MIX: Final = "mix"
GOOD_ENOUGH: Final = 0.3
"""Drums whose beats are less sure than this are held against everything else."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the tempo beforehand: beats of a bar, a range in bpm, and whether to count otherwise.

    Raises UnbakeError for what can't be.
    """

    meter: int | None = None
    bpm_range: tuple[float, float] | None = None
    half: bool = False
    double: bool = False

    def __post_init__(self) -> None:
        if self.meter is not None and not 1 <= self.meter <= MOST_METER:
            raise UnbakeError(f"a bar of {self.meter} beats", where="--meter", remedy=f"1 to {MOST_METER}")
        if self.bpm_range is not None:
            check_range(self.bpm_range)
        if self.half and self.double:
            raise UnbakeError("--half and --double exclude each other")


class Found(msgspec.Struct, frozen=True):
    """Beats, what they were heard in, and how sure they were in everything that was tried."""

    beats: Beats
    reference: str
    tried: dict[str, float]


class CountedBeat(msgspec.Struct, frozen=True):
    """One beat: where it is, how it is counted, and by how many dB the spectrum rises there."""

    frame: int
    seconds: float
    bar: int
    beat: int
    strength: float


class TempoReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `unbake tempo --json` prints. `bpm` is None and `beats` empty where none were found.

    `moves` is "steady", "drifts" or "free"; `course` the tempo of each bar where it is not steady. `reference` is what
    the beats were heard in, and `tried` says how sure they were in each that was listened to.
    """

    schema: int = 1
    path: str
    sample_rate: int
    frames: int
    bpm: float | None
    confidence: float
    steady: bool
    moves: str
    reference: str
    tried: dict[str, float]
    candidates: tuple[Candidate, ...]
    meter: int
    meter_confidence: float
    swing: float | None
    beats: list[CountedBeat]
    course: list[TempoAt]


def find_tempo(
    source: Path,
    wanted: Wanted | None = None,
    *,
    stems_from: Path | None = None,
    align: bool = False,
    model: str | None = None,
    device: str = "auto",
) -> Operation[TempoReport]:
    """Tempo and beats of a file; in its stems where there are any: those of another tool, or of a model.

    Raises UnbakeError for a file that can't be read, and as separation does.
    """
    sessions.check_origin(model, "auto", stems_from)
    stems: Mapping[str, Path] = {}
    if model is not None or stems_from is not None or align:
        session, made = yield from sessions.new_session(
            source, model=model or "starter", device=device, stems_from=stems_from, align=align
        )
        _, made = yield from sessions.make_stems(session, device=device, taken_in=made)
        stems = sessions.stem_paths(made)
    found = yield from beats_of(source, stems, wanted)
    return report(source, found)


def beats_of(source: Path, stems: Mapping[str, Path], wanted: Wanted | None = None) -> Operation[Found]:
    """The beats of a file, in its drum stem, or failing that in whatever has the clearest ones: a stem, or the mix.

    `stems` are files by name; the residual among them is not listened to.
    """
    from core.warp.rhythm.tracking import USUAL_RANGE_BPM, find_beats, snapped

    wanted = wanted or Wanted()
    mix = yield from heard_of(source)

    def beats_in(heard: Heard) -> Operation[Beats]:
        yield Progress("finding beats", 0, 1)
        return find_beats(heard, bpm_range=wanted.bpm_range or USUAL_RANGE_BPM, meter=wanted.meter, bars_from=mix)

    names = {name.lower(): name for name in stems if name != RESIDUAL}
    heard: dict[str, Heard] = {}
    tried: dict[str, Beats] = {}
    drums = next((names[name] for name in DRUMS if name in names), None)
    if drums is not None:
        heard[drums] = yield from heard_of(stems[drums])
        tried[drums] = yield from beats_in(heard[drums])
    if drums is None or tried[drums].confidence < GOOD_ENOUGH:
        for name in names.values():
            if name != drums:
                heard[name] = yield from heard_of(stems[name])
                tried[name] = yield from beats_in(heard[name])
        heard[MIX] = mix
        tried[MIX] = yield from beats_in(mix)
    best = max(tried, key=lambda name: (tried[name].confidence, _sharpness(tried[name])))
    beats = tried[best]
    if wanted.half and beats.at:
        beats = halved(beats)
    if wanted.double and beats.at:
        beats = snapped(doubled(beats), heard[best])
    return Found(beats, best, {name: each.confidence for name, each in tried.items()})


def report(source: Path, found: Found) -> TempoReport:
    """What is told of beats that were found."""
    beats = found.beats
    return TempoReport(
        path=os.fspath(source),
        sample_rate=beats.sample_rate,
        frames=beats.frames,
        bpm=beats.bpm,
        confidence=beats.confidence,
        steady=beats.steady,
        moves=beats.moves(),
        reference=found.reference,
        tried=found.tried,
        candidates=beats.candidates,
        meter=beats.meter,
        meter_confidence=beats.meter_confidence,
        swing=beats.swing,
        beats=[
            CountedBeat(frame, frame / beats.sample_rate, place.bar, place.beat, strength)
            for frame, place, strength in zip(beats.at, beats.places(), beats.strengths_db, strict=True)
        ],
        course=[] if beats.steady else beats.course(),
    )


def _sharpness(beats: Beats) -> float:
    """The usual strength of the attacks on the beats, dB."""
    return sorted(beats.strengths_db)[len(beats.strengths_db) // 2] if beats.strengths_db else 0.0
