"""Reports made by hand, with every figure there is or with none, and traces of sounds that were never written."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from core.handover.certificate import (
    BeforeAfter,
    Certificate,
    LoudnessFigures,
    OversFigures,
    ProofFigures,
    Report,
)
from core.handover.checks import Check
from core.handover.page.traces import Added, Trace, Traces
from core.measure.figures import Band, BandFigures, Comb, Figures, Level, Place, Programme, Window
from core.measure.overview import Overview
from core.recombine.delivery import Levelling
from core.session.fits import Value

CLEAN = ProofFigures(
    identical=False,
    untouched_residual_dbfs=-135.012,
    render_residual_dbfs=-135.012,
    quantisation_dbfs=-134.95,
    stem_sum_residual_dbfs=None,
)
IDENTICAL = ProofFigures(
    identical=True,
    untouched_residual_dbfs=None,
    render_residual_dbfs=None,
    quantisation_dbfs=None,
    stem_sum_residual_dbfs=None,
)
NOTHING = LoudnessFigures(None, None, None)


def make_report(**changes: Any) -> Report:
    """A repair of the bass of a stereo song of 3:28. `changes` go to the certificate or to the report around it."""
    of_report = {key: changes.pop(key) for key in list(changes) if key in Report.__struct_fields__}
    render = Certificate(
        output="/music/Night Drive.repaired.wav",
        source="/music/Night Drive.wav",
        session="/music/Night Drive.unbake.toml",
        model="starter",
        model_caution="bass comes from a filter",
        stems=("vocals", "drums", "bass", "other"),
        changed=("bass",),
        container="WAV",
        subtype="PCM_24",
        dithered=True,
        loudness=BeforeAfter(LoudnessFigures(-13.62, 4.91, -0.41), LoudnessFigures(-14.04, 5.02, -1.0)),
        overs=OversFigures(12, 0.31, "trim", -0.312),
        certificate=CLEAN,
        seconds=25.0,
        realtime_factor=3.8,
        passed=True,
        overlap=2.0,
        precision="fp32",
        sample_rate=44_100,
        delivery=Levelling("streaming", -14.0, -1.0, why="streaming: lowered by 0.4 dB"),
        fitted=(Value("strips.bass.chain[0].gain_db", "low_mid_excess", -6.0, "about 8.0 dB at 317 Hz (chance 83%)"),),
    )
    source = {
        "path": "/music/Night Drive.wav",
        "sha256": "b" * 64,
        "sample_rate": 44_100,
        "channels": 2,
        "frames": 9_173_808,
        "container": "WAV",
        "subtype": "PCM_24",
    }
    report = Report(
        unbake="0.1.0",
        made_at="2026-11-23T13:22:41+00:00",
        render=msgspec.structs.replace(render, **changes),
        output_sha256="a" * 64,
        source_sha256="b" * 64,
        stem_sha256={name: name[0] * 64 for name in ("vocals", "drums", "bass", "other", "residual")},
        changes=["bass: bell 317 Hz -6 dB Q 0.95"],
        rights={"owner": "Label & Sons", "cleared": {"recording": True, "by": ["A", "B"]}},
        document={"schema": 1, "source": source, "strips": {"bass": {"gain_db": 0.0}}},
    )
    return msgspec.structs.replace(report, **of_report)


def make_figures(*, seconds: float = 208.0, window_seconds: float = 2.0, **changes: Any) -> Figures:
    """Source and output of a repair around 250 Hz, with more in the second half."""
    edges = 1000.0 * 10.0 ** ((np.arange(-17, 16) - 0.5) / 10.0)
    bands = [
        BandFigures(
            low,
            high,
            -60.0 - 8.0 * abs(math.log2(middle / 251.19)),
            a_rms_dbfs=-30.0 - 2.0 * abs(math.log2(middle / 80.0)),
            b_rms_dbfs=-30.0 - 2.0 * abs(math.log2(middle / 80.0)) - 5.0 / (1.0 + math.log2(middle / 251.19) ** 2),
            coherence=0.99,
            phase_deg=1.0,
            gain_db=-1.0,
        )
        for low, high in zip(edges.tolist(), edges[1:].tolist(), strict=False)
        for middle in (math.sqrt(low * high),)
    ]
    starts = np.arange(0.0, seconds, window_seconds)
    windows = [
        Window(start, None, None, None)
        if 20.0 <= start < 24.0
        else Window(start, -30.0 + 10.0 * start / seconds, -50.0 + 10.0 * start / seconds, 0.0)
        for start in starts.tolist()
    ]
    programme = Programme(-13.62, 4.91, -10.2, -8.9, -0.41, -0.6, 13.21, 0.91, 0.4, 61.2, 0.2)
    figures = Figures(
        identical=False,
        differing_samples=2_187_796,
        first_difference=22,
        residual=Level(-17.93, -43.91, -40.6),
        depth_db=-21.54,
        worst=Place(int(0.9 * seconds * 44_100), 1, 0.9 * seconds, -17.93),
        bands=bands,
        windows=windows,
        window_seconds=window_seconds,
        delay_samples=-0.0004,
        drift_ppm=0.0,
        delay_spread_samples=0.002,
        polarity=1,
        gain_db=-0.2,
        correlation=0.9966,
        comb=Comb(found=True, delay_ms=1.25, ripple_db=3.1, cepstral_peak=0.2),
        a=programme,
        b=msgspec.structs.replace(programme, lufs_i=-14.04, max_short_term_lufs=-10.9),
    )
    return msgspec.structs.replace(figures, **changes)


def make_proofs(**changes: Any) -> dict[str, Any]:
    """What a report holds beside the figures, once everything was held against its limit."""
    noise = [Band(each.low_hz, each.high_hz, -152.0 + place / 4.0) for place, each in enumerate(make_figures().bands)]
    checks = [
        Check("file less source, deltas and master stage", -135.0123, "dBFS peak", "at most -134.9", True),
        Check("deltas as predicted, worst third octave", -144.25, "dBFS rms", "at most -134.9", True),
        Check("rounding with its dither", -140.51, "dBFS rms", "-140.6 within 0.5 dB", True),
        Check("samples that differ from the source", 12.0, "", "none", False),
        Check("least coherence, 224 - 282 Hz", 0.98157, "", "", None),
    ]
    return {
        "prediction": noise,
        "checks": checks,
        "session_sha256": "e" * 64,
        "model_sha256": {"starter": ["f" * 64]},
        "versions": {"python": "3.11.7", "numpy": "2.3.5"},
        **changes,
    }


def no_figures(windows: int = 1) -> Figures:
    """What is measured of silence against silence."""
    return make_figures(
        identical=True,
        differing_samples=0,
        first_difference=None,
        residual=Level(None, None, None),
        depth_db=None,
        worst=None,
        bands=[BandFigures(0.0, 17.8, None), BandFigures(17.8, 22.4, None), BandFigures(22.4, 22_050.0, None)],
        windows=[Window(2.0 * place, None, None, None) for place in range(windows)],
        delay_spread_samples=None,
        comb=Comb(found=False),
        a=Programme(),
        b=Programme(),
    )


def trace_of(sound: np.ndarray, rate: int) -> Trace:
    """Of a sound [channels, frames]."""
    overview = Overview(sound.shape[1])
    for start in range(0, sound.shape[1], 65_536):
        overview.push(sound[:, start : start + 65_536])
    overview.publish()
    return Trace(overview, sound.shape[1] / rate)


def make_traces(seconds: float = 208.0, *, rate: int = 1000, channels: int = 2, level: float = 0.5) -> Traces:
    """Noise that comes and goes, and an output that is a little quieter."""
    frames = max(1, round(seconds * rate))
    beat = np.abs(np.sin(np.arange(frames) * 12.0 / frames))
    sound = np.random.default_rng(3).uniform(-level, level, (channels, frames)) * beat
    predicted = [Band(each.low_hz, each.high_hz, each.rms_dbfs) for each in make_figures().bands]
    return Traces(
        trace_of(sound, rate),
        trace_of(sound * 0.9, rate),
        trace_of(sound * -0.1, rate),
        {"bass": Added(-17.93, -43.91)},
        predicted,
    )
