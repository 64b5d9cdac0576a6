"""Combing: what a parallel strip takes away from a stem by adding it once more.

A `parallel` strip adds `blend * P(s)` to a master that holds s already. In phase the stem becomes `1 + blend * |P|`
times as strong; where P turns the phase (minimum-phase equalisers, a delay, an all-pass, polarity) it becomes
`|1 + blend * P|`, which is less. The ratio of the two over frequency is the loss that is looked at here. It follows
from settings alone, and holds for a stem that is exactly what the master holds of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.session.document import Session, Strip
from core.session.processors import (
    HIGHEST_SHARE,
    AllPass,
    Delay,
    EqualiserBand,
    Gain,
    MonoBelow,
    Processor,
    Width,
)
from core.strips.bands import band_taps
from core.strips.eq import response
from core.strips.image import db_to_gain, fader, pairs_of

WARN_DB = -3.0
"""A loss deeper than this is warned of: an engineer who adds a stem does not expect to hear half of its power go."""
LEAST_DB = -120.0
"""What is lost by more is gone altogether."""
LOWEST_HZ, HIGHEST_HZ = 20.0, 20_000.0
_POINTS = 4096
_PER_NOTCH = 16
"""Points from one notch of a delay to the next."""
_ROUNDS, _FINER = 7, 16
_LOOKED_AT = 64
_ALIKE_DB = -15.0
"""Between the points of the grid a notch may be far deeper: those at least so deep are all looked at closely."""
_MID, _SIDE = np.array([1.0, 1.0]) / math.sqrt(2.0), np.array([1.0, -1.0]) / math.sqrt(2.0)
_PARTS = {"mid": _MID, "side": _SIDE, "left": np.array([1.0, 0.0]), "right": np.array([0.0, 1.0])}

Curve = NDArray[np.float64]


class Comb(msgspec.Struct, frozen=True):
    """The loss of a parallel strip from 20 Hz to 20 kHz (or to 0.49 of the sample rate).

    `ripple_db`: its least less its most, 0 where it is the same everywhere. `notch_db`: the most of it, 0 to -120.
    `notch_hz`: where, the lowest of several. `part`: of what, "" for all channels, else mid, side, left or right.
    """

    ripple_db: float
    notch_db: float
    notch_hz: float
    part: str = ""

    @property
    def warned(self) -> bool:
        """Whether an engineer should be told."""
        return self.notch_db < WARN_DB

    @property
    def words(self) -> str:
        """One clause that says how deep and where: `combs: ...`, or `cancels: ...` where nothing is left standing."""
        depth = "gone" if self.notch_db <= -60.0 else f"{self.notch_db:.1f} dB"
        depth = f"{self.part} {depth}".lstrip()
        if self.ripple_db < 0.5:
            return f"cancels: {depth} at all frequencies against the same in phase"
        at = f"{self.notch_hz / 1000:.2f} kHz" if self.notch_hz >= 1000.0 else f"{self.notch_hz:.0f} Hz"
        ripple = "" if self.notch_db <= -60.0 else f", ripple {self.ripple_db:.1f} dB"
        return f"combs: {depth} at {at} against the same in phase{ripple}"


def comb_of(strip: Strip, sample_rate: int, speakers: Sequence[str]) -> Comb | None:
    """How a parallel strip combs at a sample rate in Hz; None where it is not parallel, adds nothing or turns no phase.

    What is not linear (dynamics, saturation, plug-ins) counts as its gain of 1, a gain along points as its highest.
    The strip must be one that can run on this source.
    """
    if strip.mode != "parallel" or strip.neutral:
        return None
    linear = tuple(each for each in strip.chain if each.active and isinstance(each, _LINEAR))
    turned = strip.polarity < 0 or any(isinstance(each, (Delay, EqualiserBand)) for each in linear)
    if not turned:
        return None
    plain = Strip(
        gain_db=strip.gain_db,
        pan=strip.pan,
        polarity=strip.polarity,
        mode="parallel",
        blend=strip.blend,
        eq_phase=strip.eq_phase,
        chain=linear,
    )
    return _found(plain, sample_rate, tuple(speakers))


def warnings_of(session: Session, speakers: Sequence[str]) -> list[str]:
    """A sentence for every strip of a session that combs by more than 3 dB, such as `drums, parallel: combs: ...`."""
    found = {name: comb_of(session.strips[name], session.source.sample_rate, speakers) for name in session.changed}
    return [f"{name}, added in parallel, {comb.words}" for name, comb in found.items() if comb and comb.warned]


def loss_db(
    strip: Strip, freqs_hz: NDArray[np.floating], sample_rate: int, speakers: Sequence[str], part: str = ""
) -> Curve:
    """The loss of a parallel strip in dB at frequencies in Hz, 0 and below, of all channels or a part of a pair."""
    at_hz = np.asarray(freqs_hz, np.float64)
    if not part:
        gain = strip.blend * _alike(strip, at_hz, sample_rate)
        return _in_db(np.abs(1.0 + gain), 1.0 + np.abs(gain))
    heard = _PARTS[part]
    added = strip.blend * _on_pair(strip, at_hz, sample_rate, speakers) @ heard
    return _in_db(np.linalg.norm(heard + added, axis=1), np.linalg.norm(np.abs(heard) + np.abs(added), axis=1))


_LINEAR = (EqualiserBand, Delay, Gain, Width, MonoBelow)


def _in_db(found: Curve, in_phase: Curve) -> Curve:
    return 20.0 * np.log10(np.maximum(found / in_phase, db_to_gain(LEAST_DB)))


@lru_cache(maxsize=64)
def _found(strip: Strip, sample_rate: int, speakers: tuple[str, ...]) -> Comb:
    """By settings, since the desk asks whenever it paints."""
    by_part = strip.pan != 0.0 or any(
        isinstance(each, (Width, MonoBelow)) or (isinstance(each, EqualiserBand) and each.placement != "all")
        for each in strip.chain
    )
    parts = tuple(_PARTS) if by_part and pairs_of(speakers) else ("",)
    combs = [_of_part(strip, sample_rate, speakers, part) for part in parts]
    return min(combs, key=lambda comb: comb.notch_db)


def _of_part(strip: Strip, sample_rate: int, speakers: tuple[str, ...], part: str) -> Comb:
    highest = min(HIGHEST_HZ, HIGHEST_SHARE * sample_rate)
    delayed = abs(sum(each.frames for each in strip.chain if isinstance(each, Delay)))
    across = math.ceil(_PER_NOTCH * (highest - LOWEST_HZ) * delayed / sample_rate) + 1
    grid = np.union1d(np.geomspace(LOWEST_HZ, highest, _POINTS), np.linspace(LOWEST_HZ, highest, across + 1))
    losses = loss_db(strip, grid, sample_rate, speakers, part)
    if losses.min() > -0.01:
        return Comb(float(np.ptp(losses)), float(losses.min()), float(grid[losses.argmin()]), part)
    deep = max(float(losses.min()) + 3.0, _ALIKE_DB)
    inner = (losses <= np.append(losses[1:], np.inf)) & (losses <= np.insert(losses[:-1], 0, np.inf))
    places = np.flatnonzero(inner & (losses <= deep))[:_LOOKED_AT]
    low, at, high = grid[np.maximum(places - 1, 0)], grid[places], grid[np.minimum(places + 1, len(grid) - 1)]
    depth = losses[places]
    for _ in range(_ROUNDS):
        tried = np.linspace(low, high, _FINER + 1, axis=1)
        found = loss_db(strip, tried.ravel(), sample_rate, speakers, part).reshape(tried.shape)
        best = found.argmin(axis=1)
        rows = np.arange(len(places))
        better = found[rows, best] < depth
        depth, at = np.where(better, found[rows, best], depth), np.where(better, tried[rows, best], at)
        step = (high - low) / _FINER
        low, high = np.maximum(at - step, LOWEST_HZ), np.minimum(at + step, highest)
    chosen = int(np.flatnonzero(depth <= depth.min() + 0.01)[0])
    return Comb(float(losses.max() - depth[chosen]), float(depth[chosen]), float(at[chosen]), part)


def _alike(strip: Strip, freqs_hz: Curve, sample_rate: int) -> NDArray[np.complex128]:
    """The complex gain of a strip that does the same to all channels."""
    gain = np.full(len(freqs_hz), strip.polarity * db_to_gain(strip.gain_db), np.complex128)
    for each in strip.chain:
        gain *= _gain(each, strip.eq_phase, freqs_hz, sample_rate)
    return gain


def _on_pair(strip: Strip, freqs_hz: Curve, sample_rate: int, speakers: Sequence[str]) -> NDArray[np.complex128]:
    """What a strip makes of a left-right pair: complex [frequencies, 2, 2]."""
    whole = np.broadcast_to(np.eye(2, dtype=np.complex128), (len(freqs_hz), 2, 2)).copy()
    for each in strip.chain:
        gain = _gain(each, strip.eq_phase, freqs_hz, sample_rate)
        if isinstance(each, (Width, MonoBelow)):
            part: str = "side"
        else:
            part = each.placement if isinstance(each, EqualiserBand) else "all"
        if part == "all":
            whole *= gain[:, None, None]
        else:
            onto = np.outer(_PARTS[part], _PARTS[part])
            whole = (np.eye(2) + (gain - 1.0)[:, None, None] * onto) @ whole
    return np.diag(_fader_factors(strip, speakers)) @ whole


def _fader_factors(strip: Strip, speakers: Sequence[str]) -> Curve:
    factors = fader(strip.gain_db, strip.pan, strip.polarity, speakers).process(np.ones((len(speakers), 1)))[:, 0]
    return factors[list(pairs_of(speakers)[0])]


def _gain(processor: Processor, eq_phase: str, freqs_hz: Curve, sample_rate: int) -> NDArray[np.complex128]:
    """The complex gain of a linear processor, on what it acts on; latency is taken out."""
    match processor:
        case Delay(frames=frames):
            return np.exp(-2j * np.pi * freqs_hz * frames / sample_rate)
        case Gain(gain_db=gain_db, points=points):
            highest_db = gain_db + max((level_db for _, level_db in points), default=0.0)
            return np.full(len(freqs_hz), db_to_gain(highest_db), np.complex128)
        case Width(amount=amount):
            return np.full(len(freqs_hz), amount, np.complex128)
        case MonoBelow(freq_hz=freq_hz):
            return _above(freq_hz, freqs_hz, sample_rate)
        case _:
            gain = response([processor], freqs_hz, sample_rate)
            linear = eq_phase == "linear" and not isinstance(processor, AllPass)
            return np.abs(gain).astype(np.complex128) if linear else gain


def _above(freq_hz: float, freqs_hz: Curve, sample_rate: int) -> NDArray[np.complex128]:
    """What a `mono_below` leaves of the side."""
    taps = band_taps(0.0, freq_hz, sample_rate)
    if taps is None:
        return np.zeros(len(freqs_hz), np.complex128)
    points = 4 << len(taps).bit_length()
    padded = np.zeros(points)
    half = len(taps) // 2
    padded[: half + 1], padded[points - half :] = taps[half:], taps[:half]
    below = np.interp(freqs_hz, np.fft.rfftfreq(points, 1.0 / sample_rate), np.fft.rfft(padded).real)
    return (1.0 - below).astype(np.complex128)
