"""Why two files do not null: each cause with the residual that it alone would leave, and the best null there is.

What a delay, a drift, a gain or a polarity leaves is reckoned from the spectrum of A; what aligning attains is measured
on excerpts of both files; what even a filter leaves comes from their coherence. An estimate, and called one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from core.events import Operation, Progress
from core.measure.figures import BandFigures, Cause, Explanation, Figures, Level
from core.measure.levels import power_to_db, to_amplitude
from core.measure.meters import LevelMeter
from core.measure.placement import UNRELATED, Placed, placement_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.audio.formats import AudioInfo
    from core.audio.read import AudioReader
    from core.measure.cross import CrossSpectrum

EXCERPTS: Final = 8
EXCERPT_SECONDS: Final = 2.0
RELEVANT_DB: Final = 30.0
"""A cause that would leave so much less than there is explains nothing of it."""
FILTERED_DB: Final = 6.0
"""What a filter explains so much more of than aligning does is a filter."""
TIMES: Final = 200
"""At so many moments a drift's delay is reckoned."""
FLAT_HZ: Final = 200.0
FLAT_DB: Final = 2.0
ROUNDING_DB: Final = 0.7
BAND_LIMIT_DB: Final = 25.0
"""From so far on that B lacks the top of the spectrum, it was cut off there."""
BAND_LIMIT_HZ: Final = 9_000.0
LEAST_DELAY: Final = 5e-4  # samples: the estimate's own error on clean music
LEAST_DRIFT_PPM: Final = 0.01
LEAST_GAIN_DB: Final = 1e-4


def explain(
    a: AudioReader,
    b: AudioReader,
    figures: Figures,
    cross: CrossSpectrum,
    powers: tuple[float, float],
    lengths: tuple[int, int],
) -> Operation[Explanation]:
    """The causes, the strongest first. `lengths` are in frames at A's rate; the readers are left anywhere."""
    if figures.residual.rms_dbfs is None or min(powers) <= 0.0 or abs(figures.correlation) < UNRELATED:
        return Explanation(tuple(_of_length(a.info, lengths, powers)))
    ceiling = yield from _ceiling(a, b, figures, lengths)
    filtered_dbfs = _filtered(cross, powers[0])
    causes = [
        *_of_placement(a.info, figures, cross, powers[0], lengths),
        *_of_length(a.info, lengths, powers),
        *_of_what_is_left(a.info, b.info, figures, ceiling, filtered_dbfs),
    ]
    least = figures.residual.rms_dbfs - RELEVANT_DB
    causes = [cause for cause in causes if cause.left_dbfs is None or cause.left_dbfs >= least]
    causes.sort(key=lambda cause: -(math.inf if cause.left_dbfs is None else cause.left_dbfs))
    return Explanation(tuple(causes), ceiling, filtered_dbfs)


def _of_placement(
    info: AudioInfo, figures: Figures, cross: CrossSpectrum, power: float, lengths: tuple[int, int]
) -> list[Cause]:
    """What delay, drift, polarity and gain would each leave by itself."""
    found = []
    delay = figures.delay_samples
    if abs(delay) >= LEAST_DELAY:
        ms = delay / info.sample_rate * 1e3
        words = f"B is {abs(delay):.3f} samples ({abs(ms):.3f} ms) {'later' if delay > 0 else 'earlier'}"
        found.append(Cause("delay", words, power_to_db(power * _left_by_delay(cross, np.array([delay])))))
    if abs(figures.drift_ppm) >= LEAST_DRIFT_PPM:
        at = np.linspace(0.0, min(lengths), TIMES) * figures.drift_ppm * 1e-6
        words = (
            f"B's clock is {abs(figures.drift_ppm):.3f} ppm {'fast' if figures.drift_ppm > 0 else 'slow'}: "
            f"{at[-1]:+.2f} samples over the file"
        )
        found.append(Cause("drift", words, power_to_db(power * _left_by_delay(cross, at))))
    if figures.polarity < 0:
        found.append(Cause("polarity", "B is of opposite polarity", power_to_db(4.0 * power)))
    if abs(figures.gain_db) >= LEAST_GAIN_DB:
        words = f"B is {abs(figures.gain_db):.4f} dB {'louder' if figures.gain_db > 0 else 'quieter'}"
        found.append(Cause("gain", words, power_to_db(power * (1.0 - to_amplitude(figures.gain_db)) ** 2)))
    return found


def _left_by_delay(cross: CrossSpectrum, delays: np.ndarray) -> float:
    """What is left of A's power when it is taken from itself that much later, the mean over `delays`, 0 to 4."""
    omega = 2.0 * np.pi * np.arange(len(cross.power_a)) / cross.size
    whole = float(cross.power_a.sum())
    left = [float(cross.power_a @ (2.0 - 2.0 * np.cos(omega * delay))) for delay in delays.tolist()]
    return float(np.mean(left)) / whole if whole > 0.0 else 0.0


def _of_length(info: AudioInfo, lengths: tuple[int, int], powers: tuple[float, float]) -> list[Cause]:
    if lengths[0] == lengths[1]:
        return []
    longer = int(lengths[1] > lengths[0])
    surplus = abs(lengths[0] - lengths[1])
    words = f"{'AB'[longer]} is {surplus} frames ({surplus / info.sample_rate:.3f} s) longer"
    # As loud as the rest of it: an estimate.
    return [Cause("length", words, power_to_db(powers[longer] * surplus / max(lengths)))]


def _of_what_is_left(
    a: AudioInfo, b: AudioInfo, figures: Figures, ceiling: Level, filtered_dbfs: float | None
) -> list[Cause]:
    """What explains that the aligned files do not null."""
    left = ceiling.rms_dbfs
    if left is None:
        return []
    found = []
    rounding = _rounding(a, b, figures, left)
    if rounding is not None:
        return [Cause("rounding", rounding, left)]
    if filtered_dbfs is not None and left - filtered_dbfs >= FILTERED_DB:
        words = f"B is filtered (the right equaliser would leave {filtered_dbfs:.1f} dBFS rms)"
        found.append(Cause("filter", words, left))
    limit_hz = _band_limit(figures.bands)
    lossy = [name for name, info in (("A", a), ("B", b)) if not info.lossless]
    rest = left if filtered_dbfs is None else min(left, filtered_dbfs)
    cut = "" if limit_hz is None else f"B has nothing above {limit_hz / 1e3:.1f} kHz"
    if lossy:
        words = f"{' and '.join(lossy)} {'is' if len(lossy) == 1 else 'are'} coded with a loss ({_codecs(a, b)})"
        found.append(Cause("lossy", f"{words}; {cut}" if cut else words, rest))
    elif cut:
        found.append(Cause("lossy", f"{cut}, as after lossy coding or another sample rate", rest))
    else:
        found.append(Cause("noise", "something else: noise, an edit, or processing that no filter undoes", rest))
    return found


def _codecs(a: AudioInfo, b: AudioInfo) -> str:
    return ", ".join(sorted({info.subtype for info in (a, b) if not info.lossless}))


def _rounding(a: AudioInfo, b: AudioInfo, figures: Figures, left_dbfs: float) -> str | None:
    """Which rounding leaves so much, if what is left is as even over frequency as rounding is."""
    if not _white(figures.bands, a.sample_rate):
        return None
    known = {info.bits for info in (a, b) if info.bits is not None} or {16, 20, 24}
    best: tuple[float, str] | None = None
    for bits in known:
        step = 2.0 ** (1 - bits)
        for sides, both in ((1, ""), (2, " in both")):
            # Widrow: the error of rounding is a twelfth of a step squared; with TPDF dither a quarter.
            for share, how in ((1.0 / 12.0, "rounding"), (1.0 / 4.0, "rounding with TPDF dither")):
                off = abs(10.0 * math.log10(sides * share * step * step) - left_dbfs)
                if off <= ROUNDING_DB and (best is None or off < best[0]):
                    best = off, f"{how} to {bits} bit{both}"
    return None if best is None else best[1]


def _white(bands: Sequence[BandFigures], sample_rate: int) -> bool:
    """Whether every hertz of the residual holds as much power."""
    densities = [
        band.rms_dbfs - 10.0 * math.log10(band.high_hz - band.low_hz)
        for band in bands
        if band.rms_dbfs is not None and band.low_hz >= FLAT_HZ and band.high_hz <= 0.45 * sample_rate
    ]
    return len(densities) >= 3 and max(densities) - min(densities) <= 2.0 * FLAT_DB


def _band_limit(bands: Sequence[BandFigures]) -> float | None:
    """From where on B has nothing of what A has, up to the top; None where it has."""
    limit = None
    for band in reversed(bands):
        if band.a_rms_dbfs is None:
            continue
        if band.b_rms_dbfs is not None and band.a_rms_dbfs - band.b_rms_dbfs < BAND_LIMIT_DB:
            break
        limit = band.low_hz
    return limit if limit is not None and limit >= BAND_LIMIT_HZ else None


def _filtered(cross: CrossSpectrum, power: float) -> float | None:
    """What is left of A when the best linear filter is applied to B, in dBFS rms; None for nothing, or no telling."""
    heard = cross.heard()
    whole = float(cross.power_a[heard].sum())
    if cross.count < 8 or whole <= 0.0:
        return None
    return power_to_db(power * float(cross.power_a[heard] @ (1.0 - cross.coherence()[heard])) / whole)


def _ceiling(a: AudioReader, b: AudioReader, figures: Figures, lengths: tuple[int, int]) -> Operation[Level]:
    """The residual of excerpts spread over both files, with B where A is, as loud as leaves the least of A."""
    rate, channels = a.info.sample_rate, max(a.info.channels, b.info.channels)
    # `gain_db` is by least squares of B on A; this is that of A on B.
    gain_db = figures.gain_db - 40.0 * math.log10(max(abs(figures.correlation), UNRELATED))
    placement = msgspec.structs.replace(placement_of(figures), gain_db=gain_db)
    low = max(0.0, -placement.delay_samples)
    high = min(float(lengths[0]), lengths[1] - placement.delay_at(lengths[0]))
    frames = min(round(EXCERPT_SECONDS * rate), max(0, math.floor(high - low)))
    meter = LevelMeter(rate, (a if a.info.channels == channels else b).info.speakers)
    if not frames:
        return meter.level()
    starts = np.unique(np.linspace(math.ceil(low), max(math.ceil(low), high - frames), EXCERPTS).astype(int)).tolist()
    for number, start in enumerate(starts):
        one = Placed(a, rate, channels, start=start).read(frames)
        meter.push(one - Placed(b, rate, channels, placement, start=start, level=True).read(frames))
        yield Progress("explaining", number + 1, len(starts))
    return meter.level()
