"""What the warp editor asks of the worker: the beats of a session, and how a stretch of it sounds along its map."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from core import places
from core.atomic import write_bytes_atomically
from core.audio.outputs import output_format
from core.audio.probe import probe
from core.audio.write import open_writer
from core.audition.click import click_track
from core.errors import os_error
from core.events import Operation, Progress
from core.jobs import sessions
from core.recombine.hearing import stretch_of
from core.session.document import Session, Source, audible_key
from core.warp.rhythm.attacks import attacks_of
from core.warp.rhythm.beats import Beats, added
from core.warp.rhythm.taps import beats_of as beats_of_taps

CLIPS_KEPT: Final = 8
CLICK: Final = "click"
"""The stem that the clicks are, beside a stretch that is played."""


class Rhythm(msgspec.Struct, frozen=True):
    """Beats, what they were heard in, how sure each thing was that was listened to, and where sounds begin."""

    beats: Beats
    reference: str
    tried: dict[str, float]
    attacks: tuple[int, ...]


class WarpClip(msgspec.Struct, frozen=True):
    """A stretch that was warped: `source` is a file of it from target frame `first` on, `click` one of its clicks."""

    source: Source
    click: str
    first: int


def rhythm_of(session: Session, stems: Mapping[str, Path]) -> Operation[Rhythm]:
    """The beats of a session's source, heard in its stems where there are any, and its attacks.

    No beats are no error. Raises UnbakeError for files that can't be read.
    """
    from core.jobs.tempo import beats_of  # and with it scipy

    found = yield from beats_of(Path(session.source.path), stems)
    attacks, _ = yield from attacks_of(session.source.path)
    return Rhythm(found.beats, found.reference, found.tried, tuple(attacks.tolist()))


def rhythm_of_taps(
    taps_seconds: Sequence[float], attacks: Sequence[int], frames: int, sample_rate: int
) -> tuple[Rhythm, str]:
    """Beats that were tapped, in place of those that were heard; and what became of the taps, in words.

    Raises UnbakeError for taps that make no beats.
    """
    inside = [min(each, frames / sample_rate) for each in taps_seconds]
    tapped = beats_of_taps(inside, attacks, frames, sample_rate)
    *others, last = tapped.beats
    loose = Beats(
        sample_rate=sample_rate, frames=frames, at=tuple(others), strengths_db=(0.0,) * len(others), confidence=1.0
    )
    late = f"{abs(tapped.late_ms):.0f} ms {'late' if tapped.late_ms >= 0.0 else 'early'}"
    filled = f", {tapped.filled} filled in" if tapped.filled > 0 else ""
    count = f"{len(tapped.beats)} beats of {len(taps_seconds)} taps"
    said = f"{count}, {tapped.snapped} on attacks{filled}; they came {late}"
    return Rhythm(added(loose, last), "taps", {}, tuple(attacks)), said


def beats_path(session_path: Path) -> Path:
    """Where the beats of a session lie that somebody put right: `NAME.unbake.beats` beside it."""
    return session_path.with_name(session_path.name.removesuffix(".toml") + ".beats")


def keep_beats(session_path: Path, rhythm: Rhythm) -> None:
    """Writes beats down for the next time. Raises UnbakeError when they can't be written."""
    write_bytes_atomically(beats_path(session_path), msgspec.json.encode(rhythm), force=True)


def kept_beats(session_path: Path, source: Source) -> Rhythm | None:
    """The beats that were written down for a session; None where there are none, or those of another file."""
    try:
        found = msgspec.json.decode(beats_path(session_path).read_bytes(), type=Rhythm)
    except (OSError, msgspec.MsgspecError):
        return None
    fits = (found.beats.sample_rate, found.beats.frames) == (source.sample_rate, source.frames)
    return found if fits and len(found.beats.at) == len(found.beats.strengths_db) else None


def clip_of(
    session: Session,
    stems: Mapping[str, Path],
    first: int,
    last: int,
    beats: tuple[int, ...],
    bars: tuple[int, ...],
) -> Operation[WarpClip]:
    """Target frames `first` to `last` of a session as a file, and clicks on target frames `beats` as another.

    The same stretch of the same session is made once. Raises UnbakeError as a render does, and when there is no room.
    """
    folder = places.cache() / "heard"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error
    rate, channels = session.source.sample_rate, session.source.channels
    fmt = output_format(probe(session.source.path), folder / "clip.wav", "FLOAT")
    sound = folder / f"{_key(audible_key(session), session.stem_hashes, sorted(stems.items()), first, last)}.wav"
    if not sound.exists():
        blocks = yield from stretch_of(session, stems, first, last)
        with open_writer(sound, fmt, frames=last - first, force=True) as writer:
            for block in blocks:
                writer.write(block)
                yield Progress("warping", writer.frame, last - first, (last - first) / rate)
            writer.finish()
            writer.commit()
    click = folder / f"{_key(beats, bars, first, last, rate, channels)}.click.wav"
    if not click.exists():
        with open_writer(click, fmt, frames=last - first, force=True) as writer:
            writer.write(click_track(last - first, beats, bars, rate, channels, first))
            writer.finish()
            writer.commit()
    for kept in (sound, click):
        kept.touch()
    _make_room(folder)
    return WarpClip((yield from sessions.describing_source(sound)), str(click), first)


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _make_room(folder: Path) -> None:
    """Keeps the clips that were asked for last; one that is being played stays open whatever its name."""
    clips = sorted(folder.glob("*.wav"), key=lambda each: each.stat().st_mtime, reverse=True)
    for clip in clips[2 * CLIPS_KEPT :]:
        clip.unlink(missing_ok=True)
