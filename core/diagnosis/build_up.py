"""How much of a stem's low mids is too much: what was put there, told from what the instrument sounds like.

The question is put as a choice between bells: none, one on the first stem, or the same one on both stems, of many
frequencies, gains and Qs. Each of them says what the stems were before, and four things are asked of that: whether
the harmonics of the first stem's notes fall off as those of an instrument do (`notes`), and whether the balances of the
first stem, of the second and of the whole master are such as music has. What is usual is a Gaussian process over log
frequency (C. Rasmussen and C. Williams, "Gaussian Processes for Machine Learning", 2006): a fall, and bumps of so many
dB and so wide. The cut is then the one that in expectation over all of them brings the sum of the stems nearest to what
it was, and none at all when little is expected of it: clean basses differ by 20 dB here, so this is an estimate.

With a reference, the balance that the master would have had is held against that of the reference in place of what is
usual of masters.

The constants were set on MIDI songs through four sound fonts (54 renders, eight bass programs; 30 of them through the
starter), the usual fall of masters on P. Pestana et al., "Spectral characteristics of popular commercial recordings
1950-2010" (AES 135, 2013), and nothing on what the benchmark measures.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.diagnosis.balance import CENTRES_HZ, third_octaves
from core.session.processors import Bell
from core.strips.eq import response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.diagnosis.notes import Harmonic

    Curves = NDArray[np.float64]
    """float64 [bells, bands]"""

USED: Final = (CENTRES_HZ >= 50.0) & (CENTRES_HZ <= 1600.0)
OCTAVES: Final = np.log2(CENTRES_HZ / 250.0)

FREQS_HZ: Final = 100.0 * 2.0 ** (np.arange(16) / 6.0)
QS: Final = (0.45, 0.65, 0.95, 1.4, 2.1)
FAULTS_DB: Final = np.arange(2.0, 14.1, 1.5)
CUTS_DB: Final = np.arange(-12.0, -0.9, 1.0)

CLIPPED_DB: Final = 12.0
"""An improvement or a harm beyond this is as good or as bad as this."""
HARM: Final = 0.8
"""dB of improvement that a change of a clean master by 1 dB in a third octave is set against."""
WORTH_DB: Final = 1.2
"""The least improvement in expectation that is worth a cut."""
DEEP_DB: Final = 70.0
"""What lies so far below the loudest band is noise, whatever its shape."""


class Usual(NamedTuple):
    """What is usual of a balance in dB over octaves: a fall and a bow, give or take, and bumps by size and width."""

    fall_db: float
    bow_db: float
    fall_sd_db: float
    bumps: tuple[tuple[float, float], ...]
    grain_db: float

    def covariance(self, octaves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of levels at these octaves, whatever the level of the whole."""
        apart = octaves[:, None] - octaves
        spread = 1e4 + self.fall_sd_db**2 * np.outer(octaves, octaves) + self.grain_db**2 * np.eye(len(octaves))
        return spread + sum(size_db**2 * np.exp(-((apart / width) ** 2) / 2.0) for size_db, width in self.bumps)


FIRST: Final = Usual(0.0, -2.7, 3.0, ((3.5, 0.21), (5.0, 0.64)), 1.0)
SECOND: Final = Usual(0.0, -1.0, 3.0, ((4.5, 0.3), (3.5, 1.0)), 2.0)
MASTER: Final = Usual(-1.2, -0.5, 2.5, ((2.0, 0.25), (3.0, 0.8)), 1.5)
OTHER_MASTER: Final = Usual(0.0, 0.0, 3.0, ((4.0, 0.3), (4.0, 1.0)), 1.0)
"""How the balance of one master differs from that of a reference that is another song."""
LIKENESS: Final = (0.05, 0.2, 1.0)
"""Shares of that: a reference may be the same song as well."""
SOURCE_FALL_DB: Final = -9.0
SOURCE_BUMPS: Final = (8.0, 0.94)
SOURCE_GRAIN_DB: Final = 4.5
FILTER_BUMPS: Final = ((1.8, 0.19), (3.5, 1.0))
HARMONIC_GRAIN_DB: Final = 4.0
"""Harmonics: fall an octave; bumps over their number, and grain that goes with it; bumps over frequency; the rest."""


class Beliefs(NamedTuple):
    """What is thought before, and how much each measurement counts (tempered likelihoods: they overlap).

    `clean` is the share of masters that are thought to have no fault.
    """

    clean: float
    harmonics: float
    first: float
    second: float
    master: float


OF_STEMS: Final = Beliefs(clean=0.4, harmonics=1.0, first=0.5, second=0.75, master=0.5)
OF_ESTIMATES: Final = Beliefs(clean=0.6, harmonics=0.0, first=0.35, second=0.35, master=1.0)
"""A network's stems have its own balance, and harmonics where it cut: the master itself is to be believed more."""


class BuildUp(NamedTuple):
    """What was found: `cut` is the bell that undoes it, on the first stem or on `both`, None where none is to be made.

    `excess_db` is the gain in expectation of what was put there, 0 for nothing, `chance` the probability that anything
    was; `improvement_db` is what the cut is expected to bring, in dB of the distance from the master as it was.
    """

    cut: Bell | None
    both: bool
    excess_db: float
    chance: float
    improvement_db: float


NONE: Final = BuildUp(None, False, 0.0, 0.0, 0.0)


class _Bells(NamedTuple):
    """Bells, one a row."""

    settings: tuple[tuple[float, float, float], ...]
    gains: NDArray[np.complex128]

    @property
    def db(self) -> Curves:
        return 20.0 * np.log10(np.abs(self.gains))


def build_up(
    common: NDArray[np.complex128],
    harmonics: Sequence[Harmonic],
    sample_rate: int,
    *,
    estimated: bool = False,
    reference_db: NDArray[np.float64] | None = None,
    treat_both: bool = True,
) -> BuildUp:
    """What is too much in the low mids of the first of three parts, or of the first two.

    `common` is complex128 [3, 3, bands], common powers of the first stem, the second, and the rest of the master
    (`balance.BalanceMeter`); `harmonics` are the first stem's. `reference_db` is the balance of another master in
    third octaves (dB, [bands]). `estimated` stems are a network's. With `treat_both` false the second stem is left as
    it is.
    """
    power = np.diagonal(common).T.real
    if power[0][USED].max() <= 0.0:
        return NONE
    faults, cuts = _bells(sample_rate, tuple(FAULTS_DB)), _bells(sample_rate, tuple(CUTS_DB))
    weights = _posterior(faults, common, harmonics, reference_db, OF_ESTIMATES if estimated else OF_STEMS)
    chance = 1.0 - float(weights[0])
    gains_db = np.array([gain_db for _, gain_db, _ in faults.settings])
    excess_db = float(np.concatenate([[0.0], gains_db, gains_db]) @ weights)
    gained = _expected(faults, cuts, common, weights)
    if not treat_both:
        gained[len(cuts.settings) :] = -np.inf
    best = int(gained.argmax())
    if gained[best] < WORTH_DB:
        return BuildUp(None, False, excess_db, chance, 0.0)
    freq_hz, gain_db, q = cuts.settings[best % len(cuts.settings)]
    cut = Bell(freq_hz=float(f"{freq_hz:.3g}"), gain_db=float(gain_db), q=q)
    return BuildUp(cut, best >= len(cuts.settings), excess_db, chance, float(gained[best]))


@lru_cache(maxsize=8)
def _bells(sample_rate: int, gains_db: tuple[float, ...]) -> _Bells:
    settings = tuple((freq_hz, gain_db, q) for freq_hz in FREQS_HZ for gain_db in gains_db for q in QS)
    at_hz = np.minimum(CENTRES_HZ, 0.49 * sample_rate)
    gains = [response([Bell(freq_hz=freq, gain_db=gain, q=q)], at_hz, sample_rate) for freq, gain, q in settings]
    return _Bells(settings, np.array(gains))


def _posterior(
    faults: _Bells,
    common: NDArray[np.complex128],
    harmonics: Sequence[Harmonic],
    reference_db: NDArray[np.float64] | None,
    beliefs: Beliefs,
) -> NDArray[np.float64]:
    """Probabilities of: no fault, each bell on the first stem, each on both; float64 [1 + 2 bells]."""
    count = len(faults.settings)
    none = np.zeros((1, len(CENTRES_HZ)))
    changes_db = np.concatenate([none, faults.db])
    first, second = (third_octaves(np.diagonal(common).T.real)[part] for part in (0, 1))
    of_first = beliefs.first * _balance_likelihood(FIRST, first, changes_db)
    if beliefs.harmonics:
        of_first += beliefs.harmonics * _harmonics_likelihood(harmonics, changes_db)
    of_second = beliefs.second * _balance_likelihood(SECOND, second, changes_db)
    logs = np.concatenate([of_first + of_second[0], of_first[1:] + of_second[1:]])
    logs[0] += np.log(beliefs.clean)
    logs[1:] += np.log((1.0 - beliefs.clean) / (2 * count))
    masters_db = _masters_db(faults, common)
    if reference_db is None:
        logs += beliefs.master * _master_likelihood(masters_db)
    else:
        logs += _reference_likelihood(masters_db, reference_db)
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def _balance_likelihood(usual: Usual, power: NDArray[np.float64], changes_db: Curves) -> NDArray[np.float64]:
    """Log likelihood of a balance from which each of the changes was taken: float64 [changes]."""
    used = USED & (power > power[USED].max(initial=0.0) * 10.0 ** (-DEEP_DB / 10.0))
    if used.sum() < 6:
        return np.zeros(len(changes_db))
    return _usual_likelihood(usual, OCTAVES[used], 10.0 * np.log10(power[used]) - changes_db[:, used])


def _usual_likelihood(usual: Usual, at: NDArray[np.float64], levels_db: Curves) -> NDArray[np.float64]:
    return _likelihood(usual.covariance(at), levels_db - usual.fall_db * at - usual.bow_db * at**2)


def _harmonics_likelihood(harmonics: Sequence[Harmonic], changes_db: Curves) -> NDArray[np.float64]:
    """The same of the harmonics of notes, each note of any level of its own."""
    heard = [one for one in harmonics if 50.0 < one.fundamental_hz * one.number < 1600.0]
    if len(heard) < 8:
        return np.zeros(len(changes_db))
    fundamentals, numbers, levels_db = (np.array(column, dtype=float) for column in zip(*heard, strict=True))
    at, number = np.log2(fundamentals * numbers / 250.0), np.log2(numbers)
    apart, numbers_apart = at[:, None] - at, number[:, None] - number
    spread = 1e4 * (fundamentals[:, None] == fundamentals) + HARMONIC_GRAIN_DB**2 * np.eye(len(at))
    size_db, width = SOURCE_BUMPS
    spread += size_db**2 * np.exp(-((numbers_apart / width) ** 2) / 2.0)
    spread += SOURCE_GRAIN_DB**2 * (numbers[:, None] == numbers)
    for size_db, width in FILTER_BUMPS:
        spread += size_db**2 * np.exp(-((apart / width) ** 2) / 2.0)
    changes = np.array([np.interp(at, OCTAVES, change) for change in changes_db])
    return _likelihood(spread, levels_db - SOURCE_FALL_DB * at - changes)


def _masters_db(faults: _Bells, common: NDArray[np.complex128]) -> Curves:
    """Balance of the whole master without the fault, in third octaves: dB, [1 + 2 bells, bands]."""
    undone = _undone(faults)
    whole = np.concatenate([undone, np.ones((len(undone), 1, undone.shape[2]))], axis=1)
    power = np.einsum("hik,ijk,hjk->hk", whole.conj(), common, whole, optimize=True).real
    return 10.0 * np.log10(np.maximum(third_octaves(power), 1e-30))


def _master_likelihood(masters_db: Curves) -> NDArray[np.float64]:
    """Log likelihood of masters as such: [1 + 2 bells]."""
    used = USED & (masters_db[0] > masters_db[0][USED].max() - DEEP_DB)
    if used.sum() < 6:
        return np.zeros(len(masters_db))
    return _usual_likelihood(MASTER, OCTAVES[used], masters_db[:, used])


def _reference_likelihood(masters_db: Curves, reference_db: NDArray[np.float64]) -> NDArray[np.float64]:
    """That of masters that differ from a reference as masters do: [1 + 2 bells]."""
    differences = masters_db[:, USED] - reference_db[USED]
    spread = OTHER_MASTER.covariance(OCTAVES[USED]) - 1e4
    logs = [_likelihood(1e4 + share**2 * spread, differences, normalised=True) for share in LIKENESS]
    return np.logaddexp.reduce(logs) - np.log(len(LIKENESS))


def _likelihood(
    covariance: NDArray[np.float64], found: NDArray[np.float64], *, normalised: bool = False
) -> NDArray[np.float64]:
    """Log density of Gaussian rows, but for what is the same for all of them unless it is `normalised`."""
    root = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(root, found.T)
    log_density = -0.5 * np.square(whitened).sum(axis=0)
    return log_density - np.log(np.diagonal(root)).sum() if normalised else log_density


def _undone(faults: _Bells) -> NDArray[np.complex128]:
    """What both stems are to be multiplied by to be as they were: [1 + 2 bells, 2, bands]."""
    inverse = 1.0 / faults.gains
    one = np.ones_like(inverse)
    on_first, on_both = np.stack([inverse, one], axis=1), np.stack([inverse, inverse], axis=1)
    return np.concatenate([one[:1, None].repeat(2, axis=1), on_first, on_both])


def _expected(
    faults: _Bells, cuts: _Bells, common: NDArray[np.complex128], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each cut, on the first stem and then on both, is expected to bring in dB: float64 [2 cuts].

    The distance from the master as it was is a quadratic form of what each stem is multiplied by; where there was no
    fault it counts how far a cut would change the master in its worst third octave.
    """
    one = np.ones_like(cuts.gains)
    tried = np.concatenate([np.stack([cuts.gains, one], axis=1), np.stack([cuts.gains, cuts.gains], axis=1)])
    wanted = _undone(faults)[1:]
    stems = common[:2, :2]
    left, right = (
        np.einsum("hik,ijk,hjk->h", gains.conj(), stems, gains, optimize=True).real for gains in (tried, wanted)
    )
    seen = np.einsum("ijk,hjk->hik", stems, wanted).reshape(len(wanted), -1)
    distance = left[:, None] - 2.0 * (tried.conj().reshape(len(tried), -1) @ seen.T).real + right
    nothing = np.einsum("hik,ijk,hjk->h", wanted.conj() - 1.0, stems, wanted - 1.0, optimize=True).real
    floor = 1e-6 * max(float(right.max()), 1e-300)
    gained_db = 10.0 * np.log10(np.maximum(nothing, floor) / np.maximum(distance, floor))
    whole = np.concatenate([tried, np.ones((len(tried), 1, tried.shape[2]))], axis=1)
    after = third_octaves(np.einsum("hik,ijk,hjk->hk", whole.conj(), common, whole, optimize=True).real)
    before = third_octaves(common.sum(axis=(0, 1)).real)
    audible = before > 0.0
    moved_db = np.abs(10.0 * np.log10(np.maximum(after[:, audible], 1e-30) / before[audible])).max(axis=1)
    gained = np.clip(gained_db, -CLIPPED_DB, CLIPPED_DB) @ weights[1:]
    return gained - HARM * float(weights[0]) * moved_db
