"""What processors of dynamics do to a level that stands still: the curves that editors show.

They are made of the same functions as the stages; attack, release and hold are left out, since nothing moves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from core.session.processors import Compressor, DeEsser, DynamicBell, Gate, Limiter, Processor, TransientShaper
from core.strips.dynamic_eq import KNEE_DB
from core.strips.dynamics import Curve, over_db
from core.strips.transients import FULL_DB, share_of

DYNAMICS = (Compressor, Gate, DeEsser, DynamicBell, TransientShaper, Limiter)
"""The processors that there is such a curve of."""
LOWEST_DB = -60.0
UNDER_THRESHOLD_DB = 20.0
"""As much as is shown below a threshold, at the least."""


class StaticCurve(NamedTuple):
    """Gain over level: `gain_db` [n] at `heard_db` [n], both float64 in dB; `heard` says what is heard.

    `of_levels` says that it is the level of the sound itself, so that heard and gain add up to what comes out.
    `mark_db` is the threshold, None without one.
    """

    heard: str
    heard_db: Curve
    gain_db: Curve
    of_levels: bool
    mark_db: float | None = None


def static_curve(processor: Processor, count: int) -> StaticCurve | None:
    """The curve of a processor of dynamics at `count` levels, two or more; None for any other processor."""
    match processor:
        case Compressor(threshold_db=threshold_db):
            levels = _levels(threshold_db, count)
            over = over_db(levels, threshold_db, processor.knee_db)
            gain = _mixed(processor.makeup_db - (1.0 - 1.0 / processor.ratio) * over, processor.mix)
            return StaticCurve("level in", levels, gain, of_levels=True, mark_db=threshold_db)
        case Gate(threshold_db=threshold_db):
            levels = _levels(threshold_db, count)
            under = over_db(-levels, -threshold_db, processor.knee_db)
            gain = -np.minimum((processor.ratio - 1.0) * under, processor.range_db)
            return StaticCurve("level in", levels, gain, of_levels=True, mark_db=threshold_db)
        case Limiter(ceiling_dbtp=ceiling_db):
            levels = np.linspace(LOWEST_DB, 12.0, count)
            return StaticCurve("peak in", levels, np.minimum(ceiling_db - levels, 0.0), of_levels=True)
        case DynamicBell(threshold_db=threshold_db, range_db=range_db):
            levels = _levels(threshold_db, count)
            if processor.acts == "below":
                past = over_db(-levels, -threshold_db, KNEE_DB)
            else:
                past = over_db(levels, threshold_db, KNEE_DB)
            gain = math.copysign(1.0, range_db) * np.minimum(past, abs(range_db))
            heard = f"{processor.sidechain or 'level'} in the band"
            return StaticCurve(heard, levels, gain, of_levels=False, mark_db=threshold_db)
        case DeEsser(threshold_db=threshold_db):
            levels = np.linspace(-40.0, 6.0, count)
            gain = -np.clip(levels - threshold_db, 0.0, processor.range_db)
            return StaticCurve("sibilants over the rest", levels, gain, of_levels=False, mark_db=threshold_db)
        case TransientShaper():
            levels = np.linspace(-1.5 * FULL_DB, 1.5 * FULL_DB, count)
            gain = processor.attack_db * share_of(levels) + processor.sustain_db * share_of(-levels)
            heard = "dying away (below 0) and beginning"
            return StaticCurve(heard, levels, _mixed(gain, processor.mix), of_levels=False, mark_db=0.0)
        case _:
            return None


def _levels(threshold_db: float, count: int) -> Curve:
    """From well under a threshold to full scale, in whole twenties of dB."""
    lowest_db = min(LOWEST_DB, 20.0 * math.floor((threshold_db - UNDER_THRESHOLD_DB) / 20.0))
    return np.linspace(lowest_db, 0.0, count)


def _mixed(gain_db: Curve, mix: float) -> Curve:
    """The gain of a sound of which a share is treated."""
    with np.errstate(divide="ignore"):
        return gain_db if mix == 1.0 else 20.0 * np.log10(1.0 + mix * (10.0 ** (gain_db / 20.0) - 1.0))
