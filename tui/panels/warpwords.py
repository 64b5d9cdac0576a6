"""What the warp editor says: its lines as pieces of text, pure functions of what is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.session.anchors import Reading, in_ms, in_percent, nearest
from core.session.document import Session
from tui.widgets.line import Piece
from tui.widgets.ruler import clock as cut_clock

if TYPE_CHECKING:
    from core.jobs.warp_editor import Rhythm
    from core.warp.rhythm.beats import Beats, Place

QUIET = "$foreground 65%"
HEAD = "bold"
UNSURE = 0.5
"""Beats with less confidence are shown as a warning."""


def of_map(session: Session) -> list[Piece]:
    """How many anchors the map has, and what becomes of the length."""
    count, rate = len(session.warp.anchors), session.source.sample_rate
    if not count:
        return [("  no anchors", QUIET)]
    smooth = ", gliding" if session.warp.curve == "smooth" else ""
    said = [(f"  {count} anchor{'s' if count > 1 else ''}{smooth}", "$accent")]
    before, after = clock(session.source.frames, rate), clock(session.frames, rate)
    return [*said, (f"  {before}" if before == after else f"  {before} to {after}", QUIET)]


def of_beats(rhythm: Rhythm | None, moves: str, *, finding: bool, find_key: str, width: int) -> list[Piece]:
    """What the beats were heard in, how sure they are, the tempo and what else it may be, and how they are counted."""
    if rhythm is None:
        return [(" beats  ", HEAD), ("being listened for" if finding else f"{find_key} listens for them", QUIET)]
    beats = rhythm.beats
    if not beats.at or beats.bpm is None:
        return [(" beats  ", HEAD), (f"none were found in {rhythm.reference}: tap them", "$warning")]
    sure = beats.confidence >= UNSURE
    pieces = [
        (" beats  ", HEAD),
        (f"{beats.bpm:.2f} BPM", "$accent bold"),
        (f" {moves}", QUIET),
        (f"  {rhythm.reference} {beats.confidence:.2f}", "$success" if sure else "$warning"),
        ("" if sure else " unsure", "$warning"),
        (f"  {len(beats.at)} beats, {beats.meter} a bar", QUIET),
    ]
    others = [each.bpm for each in beats.candidates if abs(each.bpm / beats.bpm - 1.0) > 0.02][:2]
    maybe = f"  or {' or '.join(f'{bpm:.1f}' for bpm in others)}" if others else ""
    swing = f"  swing {beats.swing:.2f}" if beats.swing is not None and beats.swing > 1.05 else ""
    for text in (maybe, swing):
        if sum(len(each) for each, _ in pieces) + len(text) < width:
            pieces.append((text, QUIET))
    return pieces


def of_place(read: Reading, session: Session, at: str, *, held: bool, width: int) -> list[Piece]:
    """Where the cursor or the anchor that is held is, `at` in bars, where it goes, and how fast it passes."""
    rate = session.source.sample_rate
    anchor = f"anchor {number_of(session, read.source)}" if held else "cursor"
    moved = bool(session.warp.anchors)
    pieces: list[Piece] = [(f" {anchor}  ", "$accent bold" if held else HEAD), (clock(read.source, rate), "")]
    if at:
        pieces.append((f"  {at}", QUIET))
    if not moved:
        return pieces
    pieces += [
        ("  to ", QUIET),
        (clock(round(read.target), rate), ""),
        (f"  {in_ms(read.shift, rate)}", "bold" if round(read.shift) else QUIET),
    ]
    speeds = f"  speed {in_percent(read.before)}, then {in_percent(read.after)}"
    if read.before == read.after:
        speeds = f"  speed {in_percent(read.before)}"
    used = sum(len(text) for text, _ in pieces)
    if used + len(speeds) <= width:
        pieces.append((speeds, QUIET))
    return pieces


def clock(frame: int, sample_rate: int) -> str:
    """A frame as a time to the millisecond, as the rulers beside it have it."""
    return cut_clock(max(0, frame), sample_rate, 3)


def number_of(session: Session, source: int) -> int:
    """Which anchor it is, from 1."""
    return sum(anchor[0] <= source for anchor in session.warp.anchors)


def counted(beats: Beats | None, places: Sequence[Place], frame: int) -> str:
    """Bar and beat of a frame, `5.3`, or `5.3 +12 ms` where it is a little off; nothing where none is known."""
    if beats is None or not beats.at:
        return ""
    index = nearest(beats.at, frame)
    assert index is not None
    place = places[index]
    off_ms = 1000.0 * (frame - beats.at[index]) / beats.sample_rate
    if abs(off_ms) > 30_000.0 / (beats.bpm or 60.0) + 1.0:
        return ""  # before the first beat or after the last
    return f"{place.bar}.{place.beat}" + (f" {off_ms:+.0f} ms" if abs(off_ms) >= 0.5 else "")
