"""The figures of the phase lab in words: a name and a line each, for the command line, the panels and the reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.audio.samples import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.measure.figures import BandFigures, Comb, Explanation, Figures, Level, Place, Programme, Window
    from core.measure.null import NullReport

Line = tuple[str, str]
"""What a figure is called, and what it says."""


def of_null(report: NullReport, *, quick: bool = False) -> list[Line]:
    """A null test, without its bands and windows."""
    lines = [
        ("verdict", f"{'passes' if report.pass_ else 'FAILS'} at {report.threshold_dbfs:g} dBFS peak"),
        ("identical", "yes, sample for sample" if report.identical else "no"),
    ]
    if report.first_difference is not None:
        first = place(report.first_difference, report.sample_rate)
        lines.append(("differing", f"{report.differing_samples} samples, the first at {first}"))
    lines.append(("residual", level(report.residual)))
    if report.depth_db is not None:
        lines.append(("null depth", f"{report.depth_db:.1f} dB relative to A"))
    if report.worst is not None:
        lines.append(("worst", worst(report.worst, report.sample_rate)))
    if report.aligned_residual:
        lines.append(("aligned", level(report.aligned_residual)))
    if quick:
        return lines
    lines += of_alignment(report)
    if not report.identical:
        lines += [("comb", comb(report.comb)), *of_explanation(report.explanation)]
    return lines + of_programmes(report.a, report.b)


def of_alignment(figures: Figures) -> list[Line]:
    """Where B lies against A, and how like it is."""
    drift = f"{figures.drift_ppm:+.3f} ppm (positive: B gets later)"
    if figures.delay_spread_samples is not None:
        drift += f"; windows within {figures.delay_spread_samples:.3f} samples"
    lines = [
        ("delay", f"{figures.delay_samples:+.3f} samples (positive: B is later)"),
        ("drift", drift),
        ("gain", f"{figures.gain_db:+.3f} dB (positive: B is louder)"),
        ("polarity", "same" if figures.polarity == 1 else "inverted"),
        ("correlation", f"{figures.correlation:+.6f}"),
    ]
    alike = least_alike(figures.bands)
    if alike is not None and alike.coherence is not None and alike.phase_deg is not None:
        turned = round(alike.phase_deg, 1) + 0.0  # no minus before nothing
        said = f"least {alike.coherence:.4f} at {span(alike)}; phase there {turned:+.1f} degrees"
        lines.append(("coherence", said))
    return lines


def least_alike(bands: Sequence[BandFigures], within_db: float = 40.0) -> BandFigures | None:
    """The band with the least coherence, of those that hold something: at most so far under the strongest of A."""
    heard = [band for band in bands if band.coherence is not None and band.a_rms_dbfs is not None]
    if not heard:
        return None
    strongest = max(band.a_rms_dbfs for band in heard if band.a_rms_dbfs is not None)
    strong = [band for band in heard if band.a_rms_dbfs is not None and band.a_rms_dbfs >= strongest - within_db]
    return min(strong, key=lambda band: band.coherence if band.coherence is not None else 1.0)


def of_explanation(explanation: Explanation) -> list[Line]:
    """Why they do not null, the strongest cause first, and the best null that aligning gives."""
    lines = []
    for number, cause in enumerate(explanation.causes):
        left = "" if cause.left_dbfs is None else f": alone leaves {cause.left_dbfs:.1f} dBFS rms"
        lines.append(("why" if number == 0 else "", cause.detail + left))
    if explanation.ceiling is not None:
        lines.append(("ceiling", f"aligned, at best {level(explanation.ceiling)} (excerpts)"))
    return lines


def of_programmes(a: Programme, b: Programme) -> list[Line]:
    """Level and image of both, and what B changed of it."""
    lines = []
    for name, key, unit, digits in (
        ("loudness", "lufs_i", "LUFS", 2),
        ("range", "lra_lu", "LU", 2),
        ("short-term", "max_short_term_lufs", "LUFS max", 2),
        ("momentary", "max_momentary_lufs", "LUFS max", 2),
        ("true peak", "true_peak_dbtp", "dBTP", 2),
        ("PLR", "plr_lu", "LU", 2),
        ("image", "correlation", "left with right", 3),
        ("", "least_correlation", "at the least (400 ms)", 3),
        ("mono loss", "mono_loss_lu", "LU", 2),
    ):
        one, other = getattr(a, key), getattr(b, key)
        if one is None and other is None:
            continue
        change = "" if one is None or other is None else f" ({other - one:+.{digits}f})"
        lines.append((name, f"{_figure(one, digits)} -> {_figure(other, digits)} {unit}{change}"))
    return lines


def of_bands(bands: Sequence[BandFigures]) -> list[Line]:
    """Third octaves: the residual, A and B, and what B is to A there."""
    lines = []
    for band in bands:
        parts = [
            f"residual {_figure(band.rms_dbfs, 1):>7}",
            f"A {_figure(band.a_rms_dbfs, 1):>6}",
            f"B {_figure(band.b_rms_dbfs, 1):>6} dBFS rms",
        ]
        if band.coherence is not None and band.phase_deg is not None and band.gain_db is not None:
            parts.append(f"coherence {band.coherence:.4f}, phase {band.phase_deg:+6.1f}, gain {band.gain_db:+.2f} dB")
        lines.append(("band", f"{span(band):>15}  {'  '.join(parts)}"))
    return lines


def of_windows(windows: Sequence[Window]) -> list[Line]:
    """The residual over time, and by how much B is late."""
    lines = []
    for window in windows:
        delay = "-" if window.delay_samples is None else f"{window.delay_samples:+.3f} samples"
        peak, rms = (_figure(value, 1) for value in (window.peak_dbfs, window.rms_dbfs))
        lines.append(("window", f"{window.seconds:9.2f} s  peak {peak:>6}  rms {rms:>6} dBFS  delay {delay}"))
    return lines


def level(found: Level) -> str:
    """Peak, rms and loudness."""
    if found.peak_dbfs is None:
        return "none: digital silence"
    loud = "" if found.lufs is None else f", {found.lufs:.1f} LUFS"
    return f"peak {found.peak_dbfs:.1f} dBFS, rms {_figure(found.rms_dbfs, 1)} dBFS{loud}"


def worst(found: Place, sample_rate: int) -> str:
    """The place of the largest difference."""
    return f"{found.peak_dbfs:.1f} dBFS at {place(found.frame, sample_rate)}, channel {found.channel + 1}"


def comb(found: Comb) -> str:
    """Whether there is a comb."""
    if found.ripple_db is None:
        return "can't be told"
    strongest = f"ripple {found.ripple_db:.2f} dB at {found.delay_ms:.2f} ms"
    return f"{strongest}: B has a delayed copy of A in it" if found.found else f"none (strongest {strongest})"


def span(band: BandFigures) -> str:
    """From where to where a band reaches."""
    return f"{hertz(band.low_hz)} - {hertz(band.high_hz)} Hz"


def hertz(freq_hz: float) -> str:
    """A frequency as on a scale: 891, 1.12k."""
    return f"{freq_hz:.0f}" if freq_hz < 1000.0 else f"{freq_hz / 1000.0:.3g}k"


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
