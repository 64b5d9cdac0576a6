"""What is measured of a master and its stems, one function a figure: how much, where in time, and what would treat it.

Every figure has a limit beyond which it is a finding. Limits are those of practice or were set on recordings; none of
them is a law, so the figure is always told. `excess` is how far beyond it is, which is what presets fit to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from core.diagnosis.balance import CENTRES_HZ, third_octaves
from core.diagnosis.build_up import BuildUp, build_up
from core.diagnosis.sibilants import exceeded_db
from core.measure.spectrum import to_db

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.diagnosis.measure import Measured, Part

MASTER: Final = "master"
BOOM_DB: Final = 12.0
RUMBLE_DB: Final = -15.0
CORRELATION: Final = 0.5
MONO_LU: Final = 3.0
BURIED_LU: Final = -9.0
LOUD_LU: Final = 0.0
NO_VOICE_LU: Final = -20.0
"""A voice that is so far under the rest is none: what networks leave in the stem of an instrumental."""
HARSH_DB: Final = 6.0
SIBILANT_DB: Final = 0.0
DULL_DB: Final = 4.0
SPIKY_DB: Final = 10.0
BRIGHT_DB: Final = 0.0
HUM_DB: Final = 15.0
NOISE_DBFS: Final = -66.0
LOWS, LOW_MIDS, MIDS, PRESENCE, SIBILANTS = 1, 2, 3, 4, 5
"""Places in `measure.REGIONS_HZ`."""
STRETCH_S: Final = 4.0
FEWEST_HITS: Final = 4


class Figure(NamedTuple):
    """One measurement. `excess` is 0 within its limit; `values` are the fields of a processor that treats it."""

    kind: str
    strip: str
    value: float
    unit: str
    limit: float
    excess: float
    detail: str
    stretch: tuple[float, float] | None = None
    """From and to in seconds: where it is at its worst; None where it is the same throughout."""
    values: Callable[[float], dict[str, Any]] | None = None
    """Fields by name for an excess that counts for so much."""


class Context(NamedTuple):
    """What the figures are made of."""

    measured: Measured
    reference_db: NDArray[np.float64] | None = None
    """Balance of a reference in third octaves, dB."""
    estimated: bool = False
    """Whether a network made the stems."""
    treated: tuple[str, ...] = ("bass", "other")
    """Stems that the low mids may be cut on."""


def all_figures(context: Context) -> list[Figure]:
    """Everything that can be measured here, found or not, in the order of the spectrum."""
    return [figure for make in FIGURES for figure in make(context)]


def low_mid_excess(context: Context) -> list[Figure]:
    """The build-up in the low mids of bass and of other (`build_up`)."""
    measured = context.measured
    if "bass" not in measured.parts:
        return []
    both = {"bass", "other"} <= set(context.treated) and "other" in measured.parts
    found = build_up(
        measured.common_of("bass", "other"),
        measured.harmonics,
        measured.sample_rate,
        estimated=context.estimated,
        reference_db=context.reference_db,
        treat_both=both,
    )
    return [_of_build_up(measured, found, name) for name in (("bass", "other") if both else ("bass",))]


def _of_build_up(measured: Measured, found: BuildUp, strip: str) -> Figure:
    if found.cut is None:
        detail = (
            f"{found.excess_db:.1f} dB of build-up is to be expected (chance {found.chance:.0%}), "
            "too uncertain for a cut that would be likely to help"
        )
        return Figure("low_mid_excess", strip, found.excess_db, "dB", found.excess_db, 0.0, detail)
    cut = found.cut
    if strip != "bass" and not found.both:
        return Figure("low_mid_excess", strip, 0.0, "dB", 0.0, 0.0, "the build-up is more likely on the bass alone")
    detail = (
        f"about {found.excess_db:.1f} dB at {cut.freq_hz:.0f} Hz (chance {found.chance:.0%}): {-cut.gain_db:.0f} dB "
        f"less is expected to bring the sum {found.improvement_db:.1f} dB nearer to what it was"
    )
    stretch = _loudest(measured, _share(measured.parts[strip], LOW_MIDS, measured.master))
    fields = {"freq_hz": cut.freq_hz, "q": cut.q}
    return Figure(
        "low_mid_excess", strip, found.excess_db, "dB", 0.0, -cut.gain_db, detail, stretch,
        lambda excess: {**fields, "gain_db": -excess},
    )  # fmt: skip


def bass_boom(context: Context) -> list[Figure]:
    """One note of the bass that stands out."""
    part = context.measured.parts.get("bass")
    peak = None if part is None else _standing_out(part.power, 40.0, 125.0)
    if part is None or peak is None:
        return []
    over_db, freq_hz = peak
    detail = f"{freq_hz:.0f} Hz stands {over_db:.1f} dB over its neighbours in the bass"
    excess = max(0.0, over_db - BOOM_DB)
    stretch = _loudest(context.measured, part.regions[:, LOWS])
    return [
        Figure(
            "bass_boom", "bass", over_db, "dB", BOOM_DB, excess, detail, stretch,
            lambda excess: {"gain_db": -excess, "freq_hz": freq_hz},
        )
    ]  # fmt: skip


def kick_masking(context: Context) -> list[Figure]:
    """How the bass stands against the kick in the kick's own beats."""
    measured = context.measured
    hits = measured.hits
    loudest = max((hit.low_db for hit in hits), default=-math.inf)
    kicks = [hit for hit in hits if hit.low_db > loudest - 12.0]
    if "bass" not in measured.parts or len(kicks) < FEWEST_HITS:
        return []
    over = np.array([hit.bass_db - hit.low_db for hit in kicks])
    value = float(np.median(over))
    worst = kicks[int(over.argmax())].seconds
    power = np.where(_between(40.0, 120.0), third_octaves(measured.parts["drums"].power), 0.0)
    freq_hz = _rounded(float(CENTRES_HZ[power.argmax()]))
    threshold_db = round(float(np.median([hit.low_db for hit in kicks])) - 6.0, 1)
    said = f"{abs(value):.1f} dB {'over' if value > 0 else 'under'} the kick"
    detail = f"from 40 to 120 Hz the bass is {said} in the middle one of {len(kicks)} beats"
    return [
        Figure(
            "kick_masking", "bass", value, "dB", 0.0, max(0.0, value), detail, _around(measured, worst),
            lambda excess: {"range_db": -excess, "freq_hz": freq_hz, "threshold_db": max(-100.0, threshold_db)},
        )
    ]  # fmt: skip


def rumble(context: Context) -> list[Figure]:
    """What lies under the lowest notes."""
    master = context.measured.master
    under, lows = (float(master.regions[:, place].sum()) for place in (0, LOWS))
    if under <= 0.0 or lows <= 0.0:
        return []
    value = 10.0 * math.log10(under / lows)
    detail = f"5 to 22 Hz are {value:+.1f} dB against 22 to 120 Hz"
    stretch = _loudest(context.measured, master.regions[:, 0])
    return [
        Figure(
            "rumble", MASTER, value, "dB", RUMBLE_DB, max(0.0, value - RUMBLE_DB), detail, stretch,
            lambda _: {"freq_hz": 30.0},
        )
    ]  # fmt: skip


def low_end_width(context: Context) -> list[Figure]:
    """How left and right go together where there should be one bass."""
    lows = context.measured.lows.astype(np.float64)
    left, right, common = lows.sum(axis=0) if len(lows) else np.zeros(3)
    if min(left, right) <= 0.0:
        return []
    value = float(common / math.sqrt(left * right))
    apart = np.sqrt(lows[:, 0] * lows[:, 1]) - lows[:, 2]
    detail = f"left and right correlate at {value:+.2f} under 120 Hz"
    excess = max(0.0, CORRELATION - value)
    return [
        Figure(
            "low_end_width", MASTER, value, "", CORRELATION, excess, detail, _loudest(context.measured, apart),
            lambda _: {"freq_hz": 120.0},
        )
    ]  # fmt: skip


def mono_loss(context: Context) -> list[Figure]:
    """What goes when left and right are added."""
    measured = context.measured
    if measured.master.lufs is None or measured.mono_lufs is None or measured.channels < 2:
        return []
    value = measured.master.lufs - measured.mono_lufs
    detail = f"in mono it is {value:.1f} LU quieter"
    return [
        Figure(
            "mono_loss", MASTER, value, "LU", MONO_LU, max(0.0, value - MONO_LU), detail,
            _loudest(measured, measured.side),
            lambda excess: {"amount": max(0.0, round(10.0 ** (-excess / 20.0), 2))},
        )
    ]  # fmt: skip


def vocal_level(context: Context) -> list[Figure]:
    """The voice against everything else."""
    levels = _voice_and_rest(context.measured)
    if levels is None:
        return []
    parts, (voice, rest) = context.measured.parts, levels
    value = voice - rest
    detail = f"the voice is {value:+.1f} LU against the rest ({voice:.1f} and {rest:.1f} LUFS)"
    sung = parts["vocals"].regions.sum(axis=1)
    there = sung > 0.01 * sung.max()
    share = sung / np.maximum(context.measured.master.regions.sum(axis=1), 1e-30)
    quietest, loudest = (
        _loudest(context.measured, np.where(there, side, 0.0)) for side in (1.0 / np.maximum(share, 1e-6), share)
    )
    return [
        Figure(
            "vocal_deficit", "vocals", value, "LU", BURIED_LU, max(0.0, BURIED_LU - value), detail, quietest,
            lambda excess: {"gain_db": excess, "blend": 10.0 ** (excess / 20.0) - 1.0},
        ),
        Figure(
            "vocal_surplus", "vocals", value, "LU", LOUD_LU, max(0.0, value - LOUD_LU), detail, loudest,
            lambda excess: {"gain_db": -excess},
        ),
    ]  # fmt: skip


def harshness(context: Context) -> list[Figure]:
    """A resonance of the voice where ears are most sensitive."""
    if _voice_and_rest(context.measured) is None:
        return []
    part = context.measured.parts["vocals"]
    peak = _standing_out(part.power, 2000.0, 5000.0)
    if peak is None:
        return []
    over_db, freq_hz = peak
    detail = f"{freq_hz:.0f} Hz stands {over_db:.1f} dB over its neighbours in the voice"
    stretch = _loudest(context.measured, part.regions[:, PRESENCE])
    return [
        Figure(
            "harshness", "vocals", over_db, "dB", HARSH_DB, max(0.0, over_db - HARSH_DB), detail, stretch,
            lambda excess: {"gain_db": -excess, "freq_hz": freq_hz},
        )
    ]  # fmt: skip


def sibilance(context: Context) -> list[Figure]:
    """How far the loudest sibilants stand out of the voice."""
    value = exceeded_db(context.measured.sibilance, 0.01)
    if value is None or _voice_and_rest(context.measured) is None:
        return []
    part = context.measured.parts["vocals"]
    detail = f"the loudest hundredth of 5 to 9 kHz is {value:+.0f} dB against the voice around it"
    stretch = _loudest(context.measured, part.regions[:, SIBILANTS])
    excess = max(0.0, value - SIBILANT_DB)
    return [
        Figure(
            "sibilance", "vocals", value, "dB", SIBILANT_DB, excess, detail, stretch,
            lambda excess: {"range_db": excess},
        )
    ]  # fmt: skip


def hits(context: Context) -> list[Figure]:
    """How far the drums' hits stand over their bodies."""
    measured = context.measured
    if len(measured.hits) < FEWEST_HITS:
        return []
    crests = np.array([hit.level_db - hit.body_db for hit in measured.hits])
    value = float(np.median(crests))
    detail = f"the middle one of {len(crests)} hits stands {value:.1f} dB over the 150 ms after it"
    flattest, sharpest = (
        _around(measured, measured.hits[int(place)].seconds) for place in (crests.argmin(), crests.argmax())
    )
    return [
        Figure(
            "dullness", "drums", value, "dB", DULL_DB, max(0.0, DULL_DB - value), detail, flattest,
            lambda excess: {"attack_db": excess},
        ),
        Figure(
            "spikiness", "drums", value, "dB", SPIKY_DB, max(0.0, value - SPIKY_DB), detail, sharpest,
            lambda excess: {"attack_db": -excess},
        ),
    ]  # fmt: skip


def brightness(context: Context) -> list[Figure]:
    """The top of the drums against what is under it."""
    measured = context.measured
    part = measured.parts.get("drums")
    if part is None or measured.sample_rate < 32_000:
        return []
    level_db = to_db(third_octaves(part.power))
    top, under = (_between(low_hz, high_hz) for low_hz, high_hz in ((8000.0, 16_001.0), (1000.0, 7999.0)))
    if level_db[under].max() <= -150.0:
        return []
    value = float(level_db[top].mean() - level_db[under].mean())
    detail = f"third octaves from 8 to 16 kHz are {value:+.1f} dB against those from 1 to 8 kHz in the drums"
    stretch = _loudest(measured, part.regions[:, SIBILANTS + 1])
    return [
        Figure(
            "brightness", "drums", value, "dB", BRIGHT_DB, max(0.0, value - BRIGHT_DB), detail, stretch,
            lambda excess: {"gain_db": -excess},
        )
    ]  # fmt: skip


def hum(context: Context) -> list[Figure]:
    """Lines at the mains' frequency and its multiples where the master is quietest."""
    measured = context.measured
    level_db = to_db(measured.quiet)
    best: tuple[float, float, float] | None = None
    for mains_hz in (50.0, 60.0):
        lines = [mains_hz * number for number in (1, 2, 3, 4, 5) if mains_hz * number < 0.45 * measured.sample_rate]
        over = [_line_db(level_db, line_hz / measured.bin_hz) for line_hz in lines]
        if not over:
            continue
        # three of five lines must be there: notes of the music share one or two
        value = float(np.sort(over)[-3])
        loudest = max(float(level_db[round(line_hz / measured.bin_hz)]) for line_hz in lines)
        if best is None or value > best[0]:
            best = value, mains_hz, loudest
    if best is None or not measured.quiet.any():
        return []
    value, mains_hz, loudest = best
    lines = f"three lines or more of {mains_hz:.0f} Hz"
    detail = f"in the quietest windows {lines} stand {value:.0f} dB out, at up to {loudest:.0f} dBFS"
    return [Figure("hum", MASTER, value, "dB", HUM_DB, max(0.0, value - HUM_DB), detail, _quietest(measured))]


def noise(context: Context) -> list[Figure]:
    """The level that is left where there is next to no music."""
    measured = context.measured
    levels = measured.master.regions.sum(axis=1).astype(np.float64)
    levels = levels[levels > 0.0]
    if len(levels) < 10 or not measured.quiet.any():
        return []
    value = 10.0 * math.log10(float(measured.quiet[1:].sum()) * 0.5)
    usual = 10.0 * math.log10(float(np.quantile(levels, 0.75)) * 0.5)
    if usual - value < 20.0:
        return []  # no pause: what is quietest is music
    detail = f"{value:.0f} dBFS is left in the quietest windows, {usual - value:.0f} dB under the music"
    excess = max(0.0, value - NOISE_DBFS)
    return [Figure("noise", MASTER, value, "dBFS", NOISE_DBFS, excess, detail, _quietest(measured))]


FIGURES: Final[tuple[Callable[[Context], list[Figure]], ...]] = (
    rumble, bass_boom, kick_masking, low_end_width, low_mid_excess, vocal_level, harshness, sibilance, hits, brightness,
    mono_loss, hum, noise,
)  # fmt: skip
BY_FIT: Final[dict[str, Callable[[Context], list[Figure]]]] = {
    "rumble": rumble, "bass_boom": bass_boom, "kick_masking": kick_masking, "low_end_width": low_end_width,
    "low_mid_excess": low_mid_excess, "vocal_deficit": vocal_level, "vocal_surplus": vocal_level,
    "harshness": harshness, "sibilance": sibilance, "dullness": hits, "spikiness": hits, "brightness": brightness,
    "mono_loss": mono_loss,
}  # fmt: skip
"""Which function measures what a preset may name (`core.session.fits`)."""


def _voice_and_rest(measured: Measured) -> tuple[float, float] | None:
    """Loudness of the voice and of all the rest in LUFS; None where there is no voice, or nothing else."""
    parts = measured.parts
    voice = parts["vocals"].lufs if "vocals" in parts else None
    others = [part.lufs for name, part in parts.items() if name != "vocals" and part.lufs is not None]
    if voice is None or not others:
        return None
    rest = 10.0 * math.log10(sum(10.0 ** (lufs / 10.0) for lufs in others))
    return (voice, rest) if voice - rest > NO_VOICE_LU else None


def _standing_out(power: NDArray[np.float64], low_hz: float, high_hz: float) -> tuple[float, float] | None:
    """The third octave within a range that stands highest over its neighbours (1/2 to 1 octave off): dB and Hz."""
    level_db = to_db(third_octaves(power))
    if level_db.max() <= -150.0:
        return None
    best: tuple[float, float] | None = None
    for place in np.flatnonzero(_between(low_hz, high_hz)):
        around = [place + step for step in (-6, -5, -4, -3, 3, 4, 5, 6) if 0 <= place + step < len(level_db)]
        over_db = float(level_db[place] - level_db[around].mean())
        if level_db[place] > level_db.max() - 40.0 and (best is None or over_db > best[0]):
            best = over_db, _rounded(float(CENTRES_HZ[place]))
    return best


def _between(low_hz: float, high_hz: float) -> NDArray[np.bool_]:
    """The bands whose middles lie there."""
    return np.logical_and(low_hz <= CENTRES_HZ, high_hz >= CENTRES_HZ)


def _line_db(level_db: NDArray[np.float64], place: float) -> float:
    """How far a line at a place in bins stands over the middle of what is around it."""
    at = round(place)
    if at < 4 or at + 13 > len(level_db):
        return 0.0
    around = np.concatenate([level_db[max(1, at - 12) : at - 3], level_db[at + 4 : at + 13]])
    return float(level_db[at - 1 : at + 2].max() - np.median(around))


def _share(part: Part, region: int, master: Part) -> NDArray[np.float64]:
    """Power of a stem's region, weighed by its share of the master's, window by window."""
    power = part.regions[:, region].astype(np.float64)
    return power**2 / np.maximum(master.regions[:, region], 1e-30)


def _loudest(measured: Measured, weight: NDArray[Any]) -> tuple[float, float] | None:
    """The stretch of `STRETCH_S` in which a weight is highest, in seconds."""
    if len(weight) == 0 or measured.seconds <= STRETCH_S:
        return None
    windows = max(1, round(STRETCH_S / measured.seconds_a_window))
    sums = np.convolve(weight, np.ones(min(windows, len(weight))), mode="valid")
    start = float(sums.argmax()) * measured.seconds_a_window
    return start, min(start + STRETCH_S, measured.seconds)


def _quietest(measured: Measured) -> tuple[float, float] | None:
    """The stretch around the quietest window that is not silent: where hum and noise are heard."""
    levels = measured.master.regions.sum(axis=1)
    return _around(measured, (float(np.where(levels > 0.0, levels, np.inf).argmin()) + 1.0) * measured.seconds_a_window)


def _around(measured: Measured, seconds: float) -> tuple[float, float] | None:
    if measured.seconds <= STRETCH_S:
        return None
    start = min(max(0.0, seconds - STRETCH_S / 2), measured.seconds - STRETCH_S)
    return start, start + STRETCH_S


def _rounded(freq_hz: float) -> float:
    """Three figures are enough for a frequency."""
    return float(f"{freq_hz:.3g}")
