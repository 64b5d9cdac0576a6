"""What a certificate holds its figures against: each with its limit, and whether it is within.

What a render did not mean to change has limits; what it did mean to change is told without a verdict.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from core.audio.formats import integer_bits
from core.measure import tell

if TYPE_CHECKING:
    from core.measure.figures import Figures
    from core.recombine.render import Rendered
    from core.session.document import Session

NULL_DBFS: Final = -140.0
PREDICTION_DBFS: Final = -120.0
DITHER_DB: Final = 0.5
DELAY_SAMPLES: Final = 0.02
SPREAD_SAMPLES: Final = 0.05
GAIN_DB: Final = 0.001
COHERENCE: Final = 0.999
PHASE_DEG: Final = 5.0
COMB_DB: Final = 0.5
MAP_SAMPLES: Final = 64.0


class Check(msgspec.Struct, frozen=True):
    """One figure of a render. `limit` says in words what it must be; `passed` is None where it is only told."""

    name: str
    figure: float | None
    unit: str
    limit: str
    passed: bool | None


def checks_of(session: Session, rendered: Rendered, stem_sum_dbfs: float | None, *, stems_known: bool) -> list[Check]:
    """All checks of a render, in the order of the signal path. `stems_known`: their sum was looked at."""
    figures, proof = rendered.figures, rendered.proof
    strict = _must_be_the_source(session, rendered)
    differing = figures.differing_samples
    checks = [
        _held("samples that differ from the source", float(differing), "", "none", strict, differing == 0),
        _within("null against the source", figures.residual.peak_dbfs, "dBFS peak", NULL_DBFS, only=strict),
        _within("null against the source", figures.residual.rms_dbfs, "dBFS rms", NULL_DBFS, only=strict),
    ]
    if proof.quantisation_dbfs is not None:
        bound = proof.quantisation_dbfs
        checks += [
            _within("file less source, deltas and master stage", proof.render_residual_dbfs, "dBFS peak", bound),
            _prediction(rendered, max(PREDICTION_DBFS, bound)),
        ]
    if rendered.noise_dbfs is not None and not rendered.overs.samples:
        checks.append(_dither(rendered, rendered.noise_dbfs))
    if stems_known:
        checks.append(_within("source less stems and residual", stem_sum_dbfs, "dBFS peak", NULL_DBFS))
    return [*checks, *_warp(rendered), *_alignment(figures, strict=strict), *_levels(rendered)]


def _warp(rendered: Rendered) -> list[Check]:
    """Whether the time map was kept to; the figures against the source are those against the source along it."""
    warp = rendered.warp
    if warp is None:
        return []
    checks = []
    if warp.drift is not None and warp.drift.median_frames is not None:
        usual, worst = warp.drift.median_frames, warp.drift.worst_frames
        checks = [
            Check(
                "attacks off the time map, half of them",
                usual,
                "samples",
                f"at most {MAP_SAMPLES:g}",
                usual <= MAP_SAMPLES,
            ),
            Check("attacks off the time map, worst", worst, "samples", "", None),
        ]
    if warp.apart_residual is not None:
        names = ", ".join(f"{name} by {mode}" for name, mode in warp.apart.items())
        checks.append(Check(f"what it makes to warp {names}", warp.apart_residual.rms_dbfs, "dBFS rms", "", None))
    return checks


def _must_be_the_source(session: Session, rendered: Rendered) -> bool:
    """Whether nothing was asked for that would make the file other than the source, and its format holds all of it."""
    fmt, source = rendered.fmt, session.source
    if not session.untouched or rendered.levelling is not None or fmt.sample_rate != source.sample_rate:
        return False
    bits, wanted = integer_bits(fmt.subtype), integer_bits(source.subtype)
    if bits is not None:
        return wanted is not None and bits >= wanted
    return fmt.subtype == "DOUBLE" or (fmt.subtype == "FLOAT" and source.subtype != "DOUBLE" and (wanted or 0) <= 24)


def _prediction(rendered: Rendered, limit: float) -> Check:
    levels = [band.rms_dbfs for band in rendered.prediction if band.rms_dbfs is not None]
    return _within("deltas as predicted, worst third octave", max(levels, default=None), "dBFS rms", limit)


def _dither(rendered: Rendered, noise_dbfs: float) -> Check:
    power = sum(10.0 ** (band.rms_dbfs / 10.0) for band in rendered.prediction if band.rms_dbfs is not None)
    found = 10.0 * math.log10(power) if power else None
    fits = found is not None and abs(found - noise_dbfs) <= DITHER_DB
    return Check("rounding with its dither", found, "dBFS rms", f"{noise_dbfs:.1f} within {DITHER_DB:g} dB", fits)


def _alignment(figures: Figures, *, strict: bool) -> list[Check]:
    delay, spread, gain = figures.delay_samples, figures.delay_spread_samples, figures.gain_db
    checks = [
        _held("delay", delay, "samples", f"under {DELAY_SAMPLES:g}", strict, abs(delay) < DELAY_SAMPLES),
        _held("drift", figures.drift_ppm, "ppm", "none", strict, figures.drift_ppm == 0.0),
        _held("gain", gain, "dB", f"within {GAIN_DB:g}", strict, abs(gain) <= GAIN_DB),
        _held("polarity", float(figures.polarity), "", "the same", strict, figures.polarity == 1),
    ]
    if spread is not None:
        fits = spread < SPREAD_SAMPLES
        checks.append(_held("delays of all windows", spread, "samples", f"within {SPREAD_SAMPLES:g}", strict, fits))
    least = tell.least_alike(figures.bands)
    if least is not None and least.coherence is not None and least.phase_deg is not None:
        where = tell.span(least)
        alike, turned = least.coherence >= COHERENCE, abs(least.phase_deg) < PHASE_DEG
        checks += [
            _held(f"least coherence, {where}", least.coherence, "", f"{COHERENCE:g} or more", strict, alike),
            _held(f"phase, {where}", least.phase_deg, "degrees", f"under {PHASE_DEG:g}", strict, turned),
        ]
    if figures.comb.ripple_db is not None:
        ripple = figures.comb.ripple_db
        checks.append(_held("comb ripple", ripple, "dB", f"under {COMB_DB:g}", strict, ripple < COMB_DB))
    return checks


def _levels(rendered: Rendered) -> list[Check]:
    """What a delivery asked for."""
    asked = rendered.levelling
    if asked is None:
        return []
    checks = []
    if asked.target_lufs is not None:
        wanted = f"{asked.target_lufs:g} LUFS"
        checks.append(Check("integrated loudness", rendered.figures.b.lufs_i, "LUFS", wanted, asked.target_met))
    if asked.ceiling_dbtp is not None:
        peak = rendered.figures.b.true_peak_dbtp
        checks.append(_within("true peak", peak, "dBTP", asked.ceiling_dbtp, tolerance=0.05))
    return checks


def _within(
    name: str, figure: float | None, unit: str, limit: float, *, only: bool = True, tolerance: float = 1e-9
) -> Check:
    """A level that must not be above its limit; nothing at all never is. Without `only` it is merely told."""
    passed = figure is None or figure <= limit + tolerance
    return Check(name, figure, unit, f"at most {limit:.4g}" if only else "", passed if only else None)


def _held(name: str, figure: float, unit: str, limit: str, strict: bool, fits: bool) -> Check:
    """A figure of a file that must be the source; of any other it is told."""
    return Check(name, figure, unit, limit if strict else "", fits if strict else None)
