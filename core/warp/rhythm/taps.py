"""Beats that a person tapped: freed of what fingers add, and put on the attacks that were meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.audio.samples import place as place_of
from core.errors import UnbakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_TAPS: Final = 4
DOUBLED_SHARE: Final = 0.45
"""A tap that follows so soon, as a share of the beat around it, was not meant."""
MOST_MISSED: Final = 7
NEAR: Final = 4
"""The tempo at a tap is that of so many taps to either side."""
REACH_SECONDS: Final = 0.035
"""An attack is meant by a beat that is so near, once what all taps are early or late by is taken out."""
LATEST_SECONDS: Final = 0.12
"""What all taps may be early or late by."""
LIKELY_SECONDS: Final = 0.06
SHARP_SECONDS: Final = 0.015
_STEP_SECONDS: Final = 0.0025


class Tapped(NamedTuple):
    """Beats made of taps: frames, rising, and how it was done.

    `late_ms` is by how much all taps came after what they meant, before it if negative; `snapped` beats lie on an
    attack; `filled` were not tapped; `doubled` taps were left out.
    """

    beats: tuple[int, ...]
    late_ms: float
    snapped: int
    filled: int
    doubled: int


def beats_of(
    taps_seconds: Sequence[float],
    onsets: Sequence[int] | NDArray[np.int64],
    frames: int,
    sample_rate: int,
    *,
    extend: bool = False,
) -> Tapped:
    """The beats that were meant by taps, one a beat, in a recording of `frames` frames with attacks at `onsets`.

    Each beat is where the taps around it let expect one, or on the attack that is nearest to that. Up to seven beats
    without a tap are filled in; with `extend`, so are those before the first and after the last tap. Raises
    UnbakeError for fewer than four taps, taps outside the recording, and longer gaps.
    """
    taps = np.unique(np.asarray(taps_seconds, np.float64))
    if len(taps) < LEAST_TAPS or not np.isfinite(taps).all():
        raise UnbakeError(f"{len(taps)} taps", remedy=f"tap at least {LEAST_TAPS} beats")
    if taps[0] < 0.0 or taps[-1] * sample_rate > frames:
        outside = taps[0] if taps[0] < 0.0 else taps[-1]
        raise UnbakeError(f"a tap at {outside:.3f} s, outside the recording of {frames / sample_rate:.3f} s")
    meant = _without_doubled(taps)
    numbers = _numbers(meant, sample_rate)
    attacks = np.unique(np.asarray(onsets, np.float64)) / sample_rate
    expected = _expected(meant, numbers)
    late = _lateness(expected, attacks)
    found, on_attack = _snapped(expected - late, attacks)
    if extend:
        found, on_attack = _extended(found, on_attack, attacks, frames / sample_rate)
    inside = (found >= 0.0) & (found * sample_rate <= frames)
    beats = np.unique(np.rint(found[inside] * sample_rate).astype(np.int64))
    return Tapped(
        beats=tuple(int(beat) for beat in beats),
        late_ms=1000.0 * late,
        snapped=int(np.count_nonzero(on_attack[inside])),
        filled=len(beats) - len(meant),
        doubled=len(taps) - len(meant),
    )


def _without_doubled(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without taps that follow another at once: of two such, the one is kept that makes the beat more even."""
    while len(taps) > LEAST_TAPS - 1:
        steps = np.diff(taps)
        shares = steps / _around(steps)
        worst = int(np.argmin(shares))
        if shares[worst] >= DOUBLED_SHARE:
            break
        either = [np.delete(taps, worst), np.delete(taps, worst + 1)]
        taps = min(either, key=lambda rest: float(np.abs(np.diff(rest, 2)).sum()))
    return taps


def _around(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The usual one of the steps around each."""
    wide = np.pad(steps, NEAR, mode="reflect" if len(steps) > NEAR else "edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(wide, 2 * NEAR + 1), axis=1)


def _numbers(taps: NDArray[np.float64], sample_rate: int) -> NDArray[np.int64]:
    """Which beat each tap is, from 0."""
    steps = np.diff(taps)
    usual = _around(steps)
    counts = np.maximum(1, np.rint(steps / usual)).astype(np.int64)
    # where most of the taps around are missed ones, the steps between the others are the beat
    counts = np.maximum(1, np.rint(steps / _around(steps / counts))).astype(np.int64)
    if int(counts.max()) > MOST_MISSED + 1:
        gap = int(np.argmax(counts))
        ends = (place_of(round(float(at) * sample_rate), sample_rate) for at in taps[gap : gap + 2])
        raise UnbakeError(
            f"no taps between {' and '.join(ends)}", remedy="tap that part, too, or the parts on their own"
        )
    return np.concatenate([[0], np.cumsum(counts)])


def _expected(taps: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where each beat is by the taps around it: a line through them, those nearby counting for more."""
    beats = np.arange(numbers[-1] + 1)
    expected = np.empty(len(beats))
    for beat in beats:
        off = (numbers - beat).astype(np.float64)
        reach = max(float(NEAR), float(np.sort(np.abs(off))[min(2, len(off) - 1)])) + 1.0
        weights = np.square(np.maximum(0.0, 1.0 - np.square(off / reach)))
        expected[beat] = _line_at_zero(off, taps, weights)
    return expected


def _line_at_zero(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    mass = weights.sum()
    mean_x, mean_y = (weights @ x) / mass, (weights @ y) / mass
    spread = weights @ np.square(x - mean_x)
    slope = (weights @ ((x - mean_x) * (y - mean_y))) / spread if spread > 0.0 else 0.0
    return float(mean_y - slope * mean_x)


def _lateness(expected: NDArray[np.float64], attacks: NDArray[np.float64]) -> float:
    """By how many seconds all beats are late: what brings most of them onto attacks, little more likely than much."""
    if not len(attacks):
        return 0.0
    tried = np.arange(-LATEST_SECONDS, LATEST_SECONDS + _STEP_SECONDS, _STEP_SECONDS)
    scores = [
        np.exp(-np.square(_off(expected - late, attacks) / SHARP_SECONDS)).sum()
        * np.exp(-0.5 * (late / LIKELY_SECONDS) ** 2)
        for late in tried
    ]
    best = float(tried[int(np.argmax(scores))])
    off = _off(expected - best, attacks)
    near = np.abs(off) <= REACH_SECONDS
    return best - float(np.median(off[near])) if near.any() else 0.0


def _off(beats: NDArray[np.float64], attacks: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much the nearest attack is later than each beat."""
    after = np.minimum(np.searchsorted(attacks, beats), len(attacks) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(attacks[before] - beats) < np.abs(attacks[after] - beats), before, after)
    return attacks[nearest] - beats


def _snapped(beats: NDArray[np.float64], attacks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Beats on attacks where there are some, and which those are."""
    if not len(attacks):
        return beats, np.zeros(len(beats), bool)
    off = _off(beats, attacks)
    near = np.abs(off) <= REACH_SECONDS
    return np.where(near, beats + off, beats), near


def _extended(
    beats: NDArray[np.float64], on_attack: NDArray[np.bool_], attacks: NDArray[np.float64], seconds: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """With beats on to both ends of the recording, each expected from those before it."""
    before, before_on = _onward(-beats[::-1], -attacks[::-1], 0.0)
    after, after_on = _onward(beats, attacks, seconds)
    return (
        np.concatenate([-before[::-1], beats, after]),
        np.concatenate([before_on[::-1], on_attack, after_on]),
    )


def _onward(
    beats: NDArray[np.float64], attacks: NDArray[np.float64], end: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    known = list(beats[-2 * NEAR :])
    snapped: list[bool] = []
    first = len(known)
    while True:
        recent = np.asarray(known[-2 * NEAR :])
        off = np.arange(len(recent), dtype=np.float64) - len(recent)
        at, on = _snapped(np.asarray([_line_at_zero(off, recent, np.ones(len(recent)))]), attacks)
        if at[0] > end or at[0] <= known[-1]:
            return np.asarray(known[first:]), np.asarray(snapped, bool)
        known.append(float(at[0]))
        snapped.append(bool(on[0]))
