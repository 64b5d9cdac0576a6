"""Where bars begin, and how many beats they have: a guess from accents and from changes of harmony."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from core.errors import UnbakeError
from core.warp.rhythm.beats import MOST_METER, Section
from core.warp.rhythm.onsets import TONE_HOPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.warp.rhythm.beats import Beats
    from core.warp.rhythm.onsets import Heard

USUAL_METER: Final = 4
OTHER_METERS: Final = (3,)
CLEARER: Final = 1.2
"""Another meter must stand out so many times as clearly as the usual one,"""
CLEAR: Final = 3.0
"""and so many standard errors."""
LEAD: Final = 2.0
"""Where the tempo changes, bars begin anew only if the beat that they begin with leads the next best by so much."""
SURE: Final = 3.0
ATTACK_SHARE: Final = 0.3
"""How much the strength of an attack says: snares are as strong as kicks, and not where bars begin."""
FIRST_SHARE: Final = 1.0
"""What speaks for a recording that begins with a whole bar, in standard errors."""
NEAR_HOPS: Final = 5
LEAST_DB: Final = 1.0
LEAST_UNLIKE: Final = 0.02
"""What differs by less, as a standard deviation, is about the same."""


def bars_of(beats: Beats, mix: Heard, meter: int | None = None, starts: Sequence[int] = ()) -> Beats:
    """The same beats in bars, as `mix` has them: `meter` beats each, or 4, or 3 where that is clearly so.

    Bars begin where basses and harmonies do; `starts` are beats that begin another tempo, from which on they may begin
    elsewhere. Raises UnbakeError for a meter that is none.
    """
    if meter is not None and not 1 <= meter <= MOST_METER:
        raise UnbakeError(f"a bar of {meter} beats", remedy=f"1 to {MOST_METER}")
    accents = _accents(beats, mix)
    parts = list(itertools.pairwise([0, *starts, len(accents)]))
    meters = (meter,) if meter else (USUAL_METER, *OTHER_METERS)
    phases = {each: [_phase(accents[start:end], each) for start, end in parts] for each in meters}
    # the longest part says how many beats a bar has
    longest = max(range(len(parts)), key=lambda part: parts[part][1] - parts[part][0])
    best = meters[0]
    for other in meters[1:]:
        if phases[other][longest].clarity > max(CLEAR, CLEARER * phases[best][longest].clarity):
            best = other
    sections = [Section(phases[best][0].first, best)]
    for (start, _), phase in zip(parts[1:], phases[best][1:], strict=True):
        if phase.lead >= LEAD:
            sections.append(Section(start + phase.first, best))
    found = phases[best][longest]
    sure = float(1.0 - np.exp(-max(0.0, min(found.clarity, found.lead)) / SURE)) if best > 1 else 1.0
    return msgspec.structs.replace(beats, sections=tuple(sections), meter_confidence=round(sure * beats.confidence, 3))


def _accents(beats: Beats, mix: Heard) -> NDArray[np.float64]:
    """How much each beat is like the first of a bar: float64 [beats]."""
    from scipy.ndimage import maximum_filter1d

    lows = maximum_filter1d(mix.low, NEAR_HOPS)
    hops = np.minimum(np.rint(np.array(beats.at) / mix.hop).astype(np.int64), len(lows) - 1)
    tones = _tones(beats, mix)
    pairs = tones[:-1] + tones[1:]
    by_beat, by_pair = np.zeros(len(tones)), np.zeros(len(tones))
    by_beat[1:] = _unlike(tones[1:], tones[:-1])
    by_pair[2:-1] = _unlike(pairs[2:], pairs[:-2])
    attacks = _even(_levels(beats, mix), LEAST_DB)
    harmonies = _even(by_beat, LEAST_UNLIKE) + _even(by_pair, LEAST_UNLIKE)
    return _even(lows[hops], LEAST_DB) + harmonies + ATTACK_SHARE * attacks


def _levels(beats: Beats, mix: Heard) -> NDArray[np.float64]:
    """How loud the attack is that is nearest to each beat, dB: float64 [beats]; 0 for all where there are none."""
    if not len(mix.onsets):
        return np.zeros(len(beats.at))
    at = np.array(beats.at)
    after = np.clip(np.searchsorted(mix.onsets, at), 1, max(1, len(mix.onsets) - 1))
    nearest = np.where(
        at - mix.onsets[after - 1] <= mix.onsets[np.minimum(after, len(mix.onsets) - 1)] - at, after - 1, after
    )
    return mix.levels_db[np.minimum(nearest, len(mix.onsets) - 1)].astype(np.float64)


def _tones(beats: Beats, mix: Heard) -> NDArray[np.float64]:
    """The tones that sound from each beat to the next, the loudest not drowning the others: float64 [beats, 12]."""
    ends = np.append(np.array(beats.at), beats.frames)
    edges = np.minimum(np.rint(ends / mix.hop / TONE_HOPS).astype(np.int64), len(mix.tones))
    sums = np.concatenate([np.zeros((1, mix.tones.shape[1])), np.cumsum(np.sqrt(mix.tones), axis=0, dtype=np.float64)])
    return sums[edges[1:]] - sums[edges[:-1]]


def _unlike(here: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 less the cosine of each two rows."""
    lengths = np.linalg.norm(here, axis=1) * np.linalg.norm(before, axis=1)
    return np.where(lengths > 0.0, 1.0 - np.einsum("ij,ij->i", here, before) / np.maximum(lengths, 1e-30), 0.0)


def _even(values: NDArray[np.floating], least: float) -> NDArray[np.float64]:
    """Values less their mean, in standard deviations, which are `least` where they are less."""
    return (values - values.mean()) / max(float(values.std()), least)


class _Phase(NamedTuple):
    """Which beat is the first of a bar, and by how many standard errors it stands out, and leads the next best."""

    first: int
    clarity: float
    lead: float


def _phase(accents: NDArray[np.float64], meter: int) -> _Phase:
    if meter == 1 or len(accents) < 2 * meter or not accents.any():
        return _Phase(0, 0.0, 0.0)
    error = max(float(accents.std()), 1e-9) * np.sqrt(meter / len(accents))
    scores = np.array([(accents[phase::meter].mean() - accents.mean()) / error for phase in range(meter)])
    scores[0] += FIRST_SHARE
    best, second = np.sort(scores)[::-1][:2]
    return _Phase(int(scores.argmax()), float(best), float(best - second))
