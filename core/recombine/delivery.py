"""How loud a delivery becomes: gain and limiting, found by measuring before anything is written.

The rate is converted first, then the gain moves loudness to the target, then the limiter holds the ceiling. A limiter
changes loudness, and lets through a little of what lies between the samples, so both are measured and set again until
they fit. Peaks are looked for at four times as many places as BS.1770-4 asks for, so that no other meter finds more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from core.events import Operation, Progress
from core.measure.background import Background
from core.measure.loudness import Loudness, LoudnessMeter
from core.recombine.finish import Finish, Finished
from core.recombine.graph import Graph
from core.session.document import Session
from core.session.processors import Limiter
from core.session.profiles import Profile

CLOSE_LU: Final = 0.03
"""How near to its target a loudness is brought; half of 0.1 LU is kept for the encoder and other meters."""
NEAR_LU: Final = 0.05
"""Nearer than this a programme is at its target already, and stays as it is."""
MET_LU: Final = 0.1
MARGIN_DB: Final = 0.005
LIMITER_OVERSHOOT_DB: Final = 0.06
"""What the limiter is set lower to begin with: it mostly lets through less than this."""
MOST_PASSES: Final = 8
SMALLEST_DB: Final = 1e-6


class Levelling(msgspec.Struct, frozen=True):
    """What a delivery did to the level, and why.

    `before`: what was measured at the delivery's rate before gain and limiter. `gain_db` comes before the limiter,
    which holds `limiter_dbtp` (None: it was not needed) and takes `limiting_db` off the highest peak; `trim_db` is a
    last correction after it. `target_met`: whether the written file is within 0.1 LU; None without a target, or
    where there is no loudness. `why` is all of this in words.
    """

    profile: str | None
    target_lufs: float | None
    ceiling_dbtp: float | None
    before_lufs: float | None = None
    before_dbtp: float | None = None
    gain_db: float = 0.0
    limiter_dbtp: float | None = None
    limiting_db: float = 0.0
    trim_db: float = 0.0
    target_met: bool | None = None
    why: str = ""


def ceiling_of(session: Session, profile: Profile | None) -> float | None:
    """The true peak in dBTP that must not be exceeded: the lowest of the profile's and that of a limiter which ends
    the master stage. None where nobody asked for one.
    """
    last = session.master_active[-1] if session.master_active else None
    asked = [last.ceiling_dbtp if isinstance(last, Limiter) else None, profile.ceiling_dbtp if profile else None]
    return min((each for each in asked if each is not None), default=None)


def plan(
    session: Session,
    stems: Mapping[str, Path],
    profile: Profile,
    sample_rate: int,
    *,
    highest_dbtp: float = math.inf,
    margin_db: float = 0.0,
) -> Operation[tuple[Finish, Levelling]]:
    """What has to follow the session's own graph so that it is what `profile` asks for at `sample_rate`.

    `highest_dbtp` is the most that the sample format holds. The limiter keeps `margin_db` below the ceiling, for what
    a lossy format adds to peaks. Measures in at most MOST_PASSES passes, in memory that does not grow. Raises
    UnbakeError as the graph does.
    """
    ceiling = ceiling_of(session, profile)
    finish = Finish(sample_rate)
    asked = Levelling(profile.name, profile.target_lufs, ceiling)
    if profile.target_lufs is None and ceiling is None:
        return finish, msgspec.structs.replace(asked, why=f"{profile.name}: asks nothing of the level")
    found = yield from _measured(session, stems, finish)
    lufs, peak = found.lufs_i, found.true_peak_dbtp
    asked = msgspec.structs.replace(asked, before_lufs=lufs, before_dbtp=peak)
    wanted = 0.0
    if profile.target_lufs is not None and lufs is not None:
        wanted = profile.target_lufs - lufs
        wanted = 0.0 if abs(wanted) <= NEAR_LU else round(wanted, 3)
    if peak is None or ceiling is None:
        return _decided(Finish(sample_rate, gain_db=wanted), asked, profile)
    aim = min(ceiling - margin_db, highest_dbtp)
    most = math.floor((aim - peak + profile.most_limiting_db) * 1000.0) / 1000.0
    if wanted + peak <= aim:
        return _decided(Finish(sample_rate, gain_db=wanted), asked, profile)
    if profile.most_limiting_db == 0.0:
        return _decided(Finish(sample_rate, gain_db=most), asked, profile)
    finish = Finish(sample_rate, gain_db=min(wanted, most), limiter_dbtp=aim - LIMITER_OVERSHOOT_DB)
    target = None if lufs is None else profile.target_lufs
    finish, reached = yield from _settled(session, stems, finish, aim, most, target)
    return _decided(finish, asked, profile, reached)


def _settled(
    session: Session, stems: Mapping[str, Path], finish: Finish, aim: float, most: float, target: float | None
) -> Operation[tuple[Finish, float | None]]:
    """Gain (up to `most` dB) and limiter set again until peak (`aim`) and loudness fit, or for MOST_PASSES passes; and
    the loudness that was measured last.
    """
    last: tuple[float, float] | None = None
    lufs: float | None = None
    for _ in range(MOST_PASSES - 1):
        found = yield from _measured(session, stems, finish)
        lufs, peak, limiter = found.lufs_i, found.true_peak_dbtp, finish.limiter_dbtp
        assert limiter is not None
        excess = 0.0 if peak is None else peak - aim
        gain = finish.gain_db
        if target is not None and lufs is not None and abs(target - lufs) > CLOSE_LU:
            # a deeper limiter gives back less than a dB of loudness for a dB of gain
            slope = 1.0
            if last is not None and abs(finish.gain_db - last[0]) > SMALLEST_DB:
                slope = min(1.0, max(0.2, (lufs - last[1]) / (finish.gain_db - last[0])))
            gain = min(most, round(finish.gain_db + (target - lufs) / slope, 3))
        if excess <= SMALLEST_DB and gain == finish.gain_db:
            break
        if lufs is not None:
            last = (finish.gain_db, lufs)
        lowered = limiter - excess - MARGIN_DB if excess > SMALLEST_DB else limiter
        finish = msgspec.structs.replace(finish, gain_db=gain, limiter_dbtp=lowered)
    return finish, lufs


def _measured(session: Session, stems: Mapping[str, Path], finish: Finish) -> Operation[Loudness]:
    """Loudness and true peak of what would be written, before rounding."""
    done = 0
    with ExitStack() as stack:
        graph = stack.enter_context(Graph(session, stems))
        sound = Finished(graph, finish)
        meter = stack.enter_context(Background(LoudnessMeter(finish.sample_rate, graph.info.speakers, fine=True)))
        for block in sound.blocks():
            meter.push(block)
            done += block.shape[1]
            yield Progress("measuring", done, sound.frames, graph.info.seconds)
        return meter.done().result()


def _decided(
    finish: Finish, asked: Levelling, profile: Profile, reached: float | None = None
) -> tuple[Finish, Levelling]:
    """The decision with its reasons. `reached`: the loudness that comes out, where it is not simply the gain's."""
    limiting = 0.0
    if finish.limiter_dbtp is not None and asked.before_dbtp is not None and asked.ceiling_dbtp is not None:
        limiting = max(0.0, asked.before_dbtp + finish.gain_db - asked.ceiling_dbtp)
    elif asked.before_lufs is not None:
        reached = asked.before_lufs + finish.gain_db
    levelling = msgspec.structs.replace(
        asked, gain_db=finish.gain_db, limiter_dbtp=finish.limiter_dbtp, limiting_db=limiting
    )
    return finish, msgspec.structs.replace(levelling, why=_why(levelling, reached, profile))


def _why(levelling: Levelling, reached: float | None, profile: Profile) -> str:
    """The decision in one sentence, and whether it comes to what was asked for."""
    target, ceiling, gain = levelling.target_lufs, levelling.ceiling_dbtp, levelling.gain_db
    lufs, peak = levelling.before_lufs, levelling.before_dbtp
    found = "silence" if peak is None else f"true peak {peak:.2f} dBTP"
    found += ", no loudness that can be measured" if lufs is None else f", {lufs:.2f} LUFS"
    if gain != 0.0:
        done = f"{'raised' if gain > 0.0 else 'lowered'} by {abs(gain):.3f} dB"
        if target is None or lufs is None:
            done += f", since the limiter may take no more than {profile.most_limiting_db:g} dB off the highest peak"
    elif target is not None and lufs is None:
        done = "no gain, since there is no loudness to bring to a target"
    else:
        done = "no gain"
    if ceiling is not None and levelling.limiter_dbtp is not None:
        done += f"; the limiter takes {levelling.limiting_db:.2f} dB off the highest peak for {ceiling:g} dBTP"
    elif ceiling is not None:
        done += f"; no limiter is needed for {ceiling:g} dBTP"
    if target is not None and reached is not None:
        done += f"; comes out at {reached:.2f} LUFS"
        if target - reached > MET_LU:
            done += (
                f", not at {target:g}: that would take more than the {profile.most_limiting_db:g} dB which the profile "
                "lets the limiter take off the highest peak"
            )
    return f"{profile.name}: {found}: {done}"
