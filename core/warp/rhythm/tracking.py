"""Finds the beats of what was heard: their tempo, their places to the sample, and how sure they are.

How they are counted in bars is left to `bars`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from core.warp.rhythm.bars import bars_of
from core.warp.rhythm.beats import LEAST_BEATS, Beats, Candidate, grid_of
from core.warp.rhythm.steady import LEAST_ATTACKS, pulse_of, reckoned
from core.warp.rhythm.tempogram import FASTEST_BPM, SLOWEST_BPM, TEMPI, check_range, course_of, novelty, tempogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.warp.rhythm.onsets import Heard
    from core.warp.rhythm.tempogram import Tempogram

USUAL_RANGE_BPM: Final = (40.0, 240.0)
TIGHTNESS: Final = 100.0
"""How closely beats keep to the tempo: librosa's own."""
NEAR_SECONDS: Final = 0.025
"""A beat is moved onto an attack that is so near."""
NEARER_SECONDS: Final = 0.012
"""Of several, near ones count more: as a standard deviation."""
NEIGHBOURS: Final = 4
"""Where a beat is to be expected, so many to either side say."""
FASTEST_DOUBLE_BPM: Final = 215.0
SLOWEST_HALF_BPM: Final = 45.0
AS_STRONG: Final = 0.9
"""Where it sounds so much between the beats as on them, and half as much in between, there are twice as many."""
AS_WEAK: Final = 0.15
"""Where every other beat is so much weaker than the rest, there are half as many."""
NEAR_HOPS: Final = 7
CLEARLY_MORE: Final = 1.1
CHANCE: Final = 0.08
"""How alike speech and noise are to themselves at their best tempo."""
SURE: Final = 0.45
LEAST_CONFIDENCE: Final = 0.1
"""Beats that are no surer are none."""
ALSO_SUPPORT: Final = 0.4
"""Tempi are offered whose support is so much of the best one's."""
MOST_CANDIDATES: Final = 6
SAME_TEMPO: Final = 0.02
RATIOS: Final = (0.25, 1 / 3, 0.5, 2 / 3, 0.75, 1.0, 4 / 3, 1.5, 2.0, 3.0, 4.0)
JUMP_OCTAVES: Final = 0.07
"""Where the tempo changes by more than this, another stretch begins."""
SWING_BEGINS, SWING_ENDS = 0.47, 0.72
"""Where in a beat its second half can begin: from before the middle to beyond a triplet."""
SWING_SHARE: Final = 0.2
"""So many beats must be divided for a swing to be told,"""
SWING_SPREAD: Final = 0.03
"""and so evenly: median distance from the usual place, in beats."""


class _Placed(NamedTuple):
    """Beats to the frame."""

    at: NDArray[np.float64]
    strengths_db: NDArray[np.float32]
    sounded: NDArray[np.bool_]
    """Whether an attack was found there."""


def find_beats(
    heard: Heard,
    *,
    bpm_range: tuple[float, float] = USUAL_RANGE_BPM,
    meter: int | None = None,
    bars_from: Heard | None = None,
) -> Beats:
    """The beats of a file; none where nothing repeats.

    `bpm_range` is where the tempo is looked for; `meter` the beats of a bar where that is known. `bars_from`, the whole
    mix where `heard` is its drums, helps to tell where bars begin. Raises UnbakeError for a range without tempi.
    """
    allowed = _allowed(bpm_range)
    none = Beats(sample_rate=heard.sample_rate, frames=heard.frames)
    hops_a_second = heard.sample_rate / heard.hop
    rhythm = novelty(heard.envelope, hops_a_second)
    if np.count_nonzero(rhythm) < LEAST_BEATS:
        return none
    found = tempogram(rhythm, hops_a_second)
    path = course_of(found, allowed)
    bpm = _by_hop(found, path, len(rhythm))
    bpm = _reckoned(heard, found, bpm, bpm_range)
    hops = _tracked(rhythm, bpm, hops_a_second)
    scale = _level(rhythm, hops, bpm, bpm_range)
    if scale != 1.0:
        bpm = scale * bpm
        hops = _tracked(rhythm, bpm, hops_a_second)
    if len(hops) < LEAST_BEATS:
        return none
    placed, starts, period, steady = _placed(
        heard, rhythm, hops, bpm, found, _stretches(heard, found, path, len(rhythm))
    )
    confidence = _confidence(found, path, placed)
    if confidence < LEAST_CONFIDENCE or len(placed.at) < LEAST_BEATS:
        return none
    beats = Beats(
        sample_rate=heard.sample_rate,
        frames=heard.frames,
        at=tuple(int(frame) for frame in np.rint(placed.at)),
        strengths_db=tuple(round(float(strength), 2) for strength in placed.strengths_db),
        bpm=60.0 * heard.sample_rate / period,
        confidence=round(confidence, 3),
        steady=steady,
        candidates=_candidates(found, 60.0 * heard.sample_rate / period, bpm_range),
        swing=_swing(placed.at, heard),
    )
    return bars_of(beats, bars_from or heard, meter, starts)


def snapped(beats: Beats, heard: Heard) -> Beats:
    """Beats without a strength, as `beats.doubled` puts them in, on the attacks that are near them."""
    added = [place for place, strength_db in enumerate(beats.strengths_db) if strength_db == 0.0]
    if not added:
        return beats
    at, strengths_db = list(beats.at), list(beats.strengths_db)
    for place in added:
        found = _near_attacks(np.array([float(at[place])]), heard)
        low, high = at[place - 1] if place else -1, at[place + 1] if place + 1 < len(at) else beats.frames
        if low < found.at[0] < high:
            at[place], strengths_db[place] = int(found.at[0]), round(float(found.strengths_db[0]), 2)
    return msgspec.structs.replace(beats, at=tuple(at), strengths_db=tuple(strengths_db))


def _allowed(bpm_range: tuple[float, float]) -> NDArray[np.bool_]:
    check_range(bpm_range)
    low, high = bpm_range
    allowed = np.logical_and(low <= TEMPI, high >= TEMPI)
    # of a range that is narrower than a step, the nearest one
    allowed[np.abs(TEMPI - (low + high) / 2.0).argmin()] = True
    return allowed


def _by_hop(found: Tempogram, path: NDArray[np.int64], hops: int) -> NDArray[np.float64]:
    """The tempo at every hop, bpm: float64 [hops]."""
    centres = found.centre_hops + found.step_hops * np.arange(len(path))
    return np.interp(np.arange(hops), centres, TEMPI[path])


def _reckoned(
    heard: Heard, found: Tempogram, bpm: NDArray[np.float64], bpm_range: tuple[float, float]
) -> NDArray[np.float64]:
    """Tempi as the grid of the attacks has them, where they are about one tempo."""
    usual = float(np.median(bpm))
    if float(np.ptp(np.log2(bpm))) > JUMP_OCTAVES:
        return bpm
    centre = _clearest(found, (0, len(bpm))) * heard.hop / heard.sample_rate
    seconds = heard.onsets / heard.sample_rate
    factors = reckoned(seconds, heard.strengths_db, heard.levels_db, 60.0 / usual, centre)
    return next((bpm * factor for factor in factors if bpm_range[0] <= usual * factor <= bpm_range[1]), bpm)


def _tracked(rhythm: NDArray[np.float64], bpm: NDArray[np.float64], hops_a_second: float) -> NDArray[np.int64]:
    """The hops on which beats fall, int64 [beats].

    D. Ellis, "Beat tracking by dynamic programming", J. New Music Research 36, 2007.
    """
    from librosa.beat import beat_track

    _, hops = beat_track(
        onset_envelope=rhythm,
        sr=hops_a_second,
        hop_length=1,
        bpm=bpm,
        tightness=TIGHTNESS,
        trim=False,
        units="frames",
    )
    return np.asarray(hops, np.int64)


def _level(
    rhythm: NDArray[np.float64],
    hops: NDArray[np.int64],
    bpm: NDArray[np.float64],
    bpm_range: tuple[float, float],
) -> float:
    """By how much the tempo is to be multiplied: 2 where the beats are every other one, 0.5 where they are too many."""
    from scipy.ndimage import maximum_filter1d

    if len(hops) < 2 * LEAST_BEATS:
        return 1.0
    usual = float(np.median(bpm))
    near = maximum_filter1d(rhythm, NEAR_HOPS)
    on, between, quarter = near[hops], near[(hops[1:] + hops[:-1]) // 2], near[(3 * hops[:-1] + hops[1:]) // 4]
    as_strong = between.mean() > max(AS_STRONG * on.mean(), 2.0 * quarter.mean())
    if as_strong and 2.0 * usual <= min(FASTEST_DOUBLE_BPM, bpm_range[1]):
        return 2.0
    weak, strong = sorted((on[::2].mean(), on[1::2].mean()))
    return 0.5 if weak < AS_WEAK * strong and usual / 2.0 >= max(SLOWEST_HALF_BPM, bpm_range[0]) else 1.0


def _placed(
    heard: Heard,
    rhythm: NDArray[np.float64],
    hops: NDArray[np.int64],
    bpm: NDArray[np.float64],
    found: Tempogram,
    within: list[tuple[int, int]],
) -> tuple[_Placed, list[int], float, bool]:
    """Beats on the attacks that are near them, and which of them begin another tempo.

    And the period of the longest stretch, in frames, and whether that is steady and the only one.
    """
    stretches: list[tuple[_Placed, float, bool]] = []
    for start, end in within:
        inside = hops[(hops >= start) & (hops < end)]
        if len(inside):
            usual = float(np.median(bpm[start:end]))
            stretches.append(_placed_stretch(heard, rhythm, inside, (start, end), usual, found))
    _, period, steady = max(stretches, key=lambda stretch: len(stretch[0].at))
    joined = _trimmed(_joined([placed for placed, _, _ in stretches]), heard.frames)
    begins = [stretch[0].at[0] for stretch in stretches[1:]]
    starts = sorted(set(np.searchsorted(joined.at, begins).tolist()) - {0, len(joined.at)})
    return joined, starts, period, steady and len(stretches) == 1


def _stretches(heard: Heard, found: Tempogram, path: NDArray[np.int64], hops: int) -> list[tuple[int, int]]:
    """From hop to hop where the tempo does not jump, and there are enough attacks to tell."""
    jumps = np.flatnonzero(np.abs(np.diff(np.log2(TEMPI[path]))) > JUMP_OCTAVES)
    edges = [0]
    for window in jumps:
        edge = round(found.centre_hops + found.step_hops * (float(window) + 0.5))
        if _attacks_within(heard, edges[-1], edge) >= LEAST_ATTACKS:
            edges.append(edge)
    if len(edges) > 1 and _attacks_within(heard, edges[-1], hops) < LEAST_ATTACKS:
        edges.pop()
    return list(itertools.pairwise([*edges, hops]))


def _attacks_within(heard: Heard, start: int, end: int) -> int:
    first, last = np.searchsorted(heard.onsets, [start * heard.hop, end * heard.hop])
    return int(last - first)


def _placed_stretch(
    heard: Heard,
    rhythm: NDArray[np.float64],
    hops: NDArray[np.int64],
    within: tuple[int, int],
    bpm: float,
    found: Tempogram,
) -> tuple[_Placed, float, bool]:
    """The beats of a stretch, its period in frames, and whether that is steady."""
    rate = heard.sample_rate
    rough = _near_attacks(hops * float(heard.hop), heard, 2.0)
    start, end = (hop * heard.hop for hop in within)
    inside = slice(*np.searchsorted(heard.onsets, [start, end]))
    pulse = pulse_of(
        heard.onsets[inside] / rate,
        heard.strengths_db[inside],
        rough.at[rough.sounded] / rate,
        60.0 / bpm,
        _clearest(found, within) * heard.hop / rate,
    )
    if pulse is None:
        placed = _near_attacks(_expected(_trimmed(rough, heard.frames).at), heard)
        return placed, float(np.median(np.diff(placed.at))) if len(placed.at) > 1 else rate * 60.0 / bpm, False
    period = pulse.period * rate
    near = NEAR_SECONDS * rate
    first = pulse.start * rate + period * np.ceil((start - near - pulse.start * rate) / period)
    count = max(1, int(np.ceil((min(end, heard.frames) + near - first) / period)))
    expected = _livelier(first + period * np.arange(count), period, rhythm, heard.hop)
    placed = _near_attacks(expected, heard)
    if np.count_nonzero(placed.sounded) >= LEAST_BEATS:
        fine = grid_of(placed.at[placed.sounded]).period
        period = fine if abs(fine / period - 1.0) < SAME_TEMPO else period
    return placed, period, True


def _livelier(
    expected: NDArray[np.float64], period: float, rhythm: NDArray[np.float64], hop: int
) -> NDArray[np.float64]:
    """Steady beats, or what is half a beat beside them where more sounds."""
    from scipy.ndimage import maximum_filter1d

    near = maximum_filter1d(rhythm, NEAR_HOPS)
    beside = expected + period / 2.0

    def sounds(at: NDArray[np.float64]) -> float:
        return float(near[np.minimum(np.rint(at / hop).astype(np.int64), len(near) - 1)].mean())

    return beside if sounds(beside) > CLEARLY_MORE * sounds(expected) else expected


def _clearest(found: Tempogram, within: tuple[int, int]) -> float:
    """The hop in a stretch around which the rhythm repeats best."""
    centres = found.centre_hops + found.step_hops * np.arange(len(found.likeness))
    inside = (centres >= within[0]) & (centres <= within[1])
    if not inside.any():
        return sum(within) / 2.0
    return float(centres[inside][found.likeness.max(axis=1)[inside].argmax()])


def _joined(stretches: list[_Placed]) -> _Placed:
    """Stretches one after the other, without beats that come too soon after those of the one before."""
    kept, last = [stretches[0]], float(stretches[0].at[-1])
    for stretch in stretches[1:]:
        usual = float(np.median(np.diff(stretch.at))) if len(stretch.at) > 1 else 0.0
        late = stretch.at > last + usual / 2.0
        if late.any():
            last = float(stretch.at[-1])
            kept.append(_Placed(stretch.at[late], stretch.strengths_db[late], stretch.sounded[late]))
    return _Placed(*(np.concatenate(parts) for parts in zip(*kept, strict=True)))


def _expected(at: NDArray[np.float64]) -> NDArray[np.floating]:
    """Where each beat should be by those around it: the median of what pairs to either side say."""
    said = np.full((2 * NEIGHBOURS + 1, len(at)), np.nan)
    said[0] = at
    for away in range(1, NEIGHBOURS + 1):
        if len(at) > 2 * away:
            said[away, away:-away] = (at[: -2 * away] + at[2 * away :]) / 2.0
    return np.nanmedian(said, axis=0)


def _near_attacks(expected: NDArray[np.floating], heard: Heard, reach: float = 1.0) -> _Placed:
    """Beats moved onto the attack that is strongest and nearest, at most `reach` times as far as is near."""
    near = reach * NEAR_SECONDS * heard.sample_rate
    width = reach * NEARER_SECONDS * heard.sample_rate
    at = expected.astype(np.float64)
    strengths_db = np.zeros(len(expected), np.float32)
    sounded = np.zeros(len(expected), np.bool_)
    lows = np.searchsorted(heard.onsets, expected - near)
    highs = np.searchsorted(heard.onsets, expected + near, side="right")
    for place in np.flatnonzero(highs > lows):
        around = slice(int(lows[place]), int(highs[place]))
        late = heard.onsets[around] - expected[place]
        best = int(np.argmax(heard.strengths_db[around] * np.exp(-0.5 * np.square(late / width))))
        at[place] = heard.onsets[around][best]
        strengths_db[place] = heard.strengths_db[around][best]
        sounded[place] = True
    apart = np.concatenate([[True], np.diff(at) > 1.0])
    return _Placed(at[apart], strengths_db[apart], sounded[apart])


def _trimmed(placed: _Placed, frames: int) -> _Placed:
    """Without the beats at either end at which nothing sounds, and those outside the file; never without any."""
    inside = (placed.at >= 0) & (placed.at < frames)
    if not inside.any():
        return placed
    heard = np.flatnonzero(placed.sounded & inside)
    if len(heard) >= LEAST_BEATS:
        inside[: heard[0]] = False
        inside[heard[-1] + 1 :] = False
    return _Placed(placed.at[inside], placed.strengths_db[inside], placed.sounded[inside])


def _confidence(found: Tempogram, path: NDArray[np.int64], placed: _Placed) -> float:
    """How sure beats are, 0 to 1: by how well the rhythm repeats, and how many of them are on an attack."""
    likeness = found.likeness[np.arange(len(path)), path]
    lively = likeness[likeness > 0.0]
    repeats = float(np.clip((lively.mean() - CHANCE) / (SURE - CHANCE), 0.0, 1.0)) if len(lively) else 0.0
    return repeats * (0.5 + 0.5 * float(placed.sounded.mean()))


def _candidates(found: Tempogram, bpm: float, bpm_range: tuple[float, float]) -> tuple[Candidate, ...]:
    """The tempo itself, its half and double, and what else repeats well, best first."""
    mean = found.likeness.mean(axis=0)

    def support(tempo: float) -> float:
        return round(float(np.interp(np.log2(tempo), np.log2(TEMPI), mean)), 3)

    summits = TEMPI[1:-1][(mean[1:-1] >= mean[:-2]) & (mean[1:-1] > mean[2:])]
    named = [bpm * ratio for ratio in RATIOS]
    tempi = [bpm, bpm / 2.0, bpm * 2.0]
    for summit in sorted(summits, key=support, reverse=True):
        exact = min(named, key=lambda tempo: abs(np.log2(tempo / summit)))
        tempi.append(float(exact if abs(exact / summit - 1.0) < SAME_TEMPO else summit))
    low, high = min(bpm_range[0], bpm), max(bpm_range[1], bpm)
    least = ALSO_SUPPORT * support(bpm)
    offered: dict[float, Candidate] = {round(bpm, 3): Candidate(bpm, support(bpm))}
    for place, tempo in enumerate(tempi):
        usual = low <= tempo <= high and SLOWEST_BPM <= tempo <= FASTEST_BPM
        if usual and (place < 3 or support(tempo) >= least) and round(tempo, 3) not in offered:
            offered[round(tempo, 3)] = Candidate(round(tempo, 3), support(tempo))
    first, *others = offered.values()
    others.sort(key=lambda each: -each.support)
    return (first, *others[: MOST_CANDIDATES - 1])


def _swing(at: NDArray[np.float64], heard: Heard) -> float | None:
    """How much longer the first half of a beat is than the second; None where too few beats are divided."""
    places: list[float] = []
    for start, end in itertools.pairwise(at):
        inside = slice(
            *np.searchsorted(heard.onsets, [start + SWING_BEGINS * (end - start), start + SWING_ENDS * (end - start)])
        )
        if inside.stop > inside.start:
            strongest = int(np.argmax(heard.strengths_db[inside]))
            places.append((float(heard.onsets[inside][strongest]) - start) / (end - start))
    if len(places) < max(LEAST_BEATS, SWING_SHARE * (len(at) - 1)):
        return None
    usual = float(np.median(places))
    if float(np.median(np.abs(np.array(places) - usual))) > SWING_SPREAD:
        return None
    return round(usual / (1.0 - usual), 3)
