"""The figures of the phase lab: what is known of two files once they were held against each other.

Values only, cheap to import. `comparison` makes them, from one pass over both files; `null`, the certificate, the
report and the panels show them. A is the file that is trusted (the source), B the one that is tried (the render). None
is digital silence, or what can't be told.
"""

from __future__ import annotations

import msgspec


class Level(msgspec.Struct, frozen=True):
    """How strong a residual is; None for digital silence.

    `peak_dbfs` is its largest sample, `rms_dbfs` the mean over all channels and frames (1.0 is 0 dBFS), `lufs` its
    integrated loudness (BS.1770-4), or its K-weighted level without gates where all of it lies below the gate.
    """

    peak_dbfs: float | None
    rms_dbfs: float | None
    lufs: float | None


class Band(msgspec.Struct, frozen=True):
    """RMS of the residual between two frequencies; the mean squares of all bands add up to that of the residual."""

    low_hz: float
    high_hz: float
    rms_dbfs: float | None


class BandFigures(Band, frozen=True, kw_only=True):
    """A third octave of the residual A - B, and what A and B are to each other there.

    `a_rms_dbfs` and `b_rms_dbfs` are levels of the files themselves. `coherence` is the magnitude-squared coherence, 0
    to 1, `phase_deg` by how much B is ahead of A and `gain_db` how much louder it is, once delay and polarity are taken
    out; None where A or B has nothing to speak of.
    """

    a_rms_dbfs: float | None = None
    b_rms_dbfs: float | None = None
    coherence: float | None = None
    phase_deg: float | None = None
    gain_db: float | None = None


class Window(msgspec.Struct, frozen=True):
    """One window of time, from `seconds` on: the residual in it, and by how many samples B is later there."""

    seconds: float
    peak_dbfs: float | None
    rms_dbfs: float | None
    delay_samples: float | None


class Place(msgspec.Struct, frozen=True):
    """A sample: its frame and channel (from 0), when that is, and how strong the residual is there."""

    frame: int
    channel: int
    seconds: float
    peak_dbfs: float


class Comb(msgspec.Struct, frozen=True):
    """Whether B is A with a delayed copy of itself: the strongest regular ripple of the transfer function from A to B.

    `delay_ms` is the copy's delay, `ripple_db` the ripple's height from trough to crest, `cepstral_peak` the height of
    its peak in the cepstrum (in nepers: that of a copy g times as loud is g). None where the files are too short, or
    too little alike, to tell.
    """

    found: bool
    delay_ms: float | None = None
    ripple_db: float | None = None
    cepstral_peak: float | None = None


class Programme(msgspec.Struct, frozen=True):
    """Level and image of one file.

    Integrated loudness, range and maxima after BS.1770-4 and EBU Tech 3341 and 3342; `plr_lu` is true peak less
    integrated loudness. `correlation` is that of left and right over the whole file, `least_correlation` the least of
    all 400 ms (the quiet ones, 60 dB under the loudest, aside), from `least_correlation_seconds` on; `mono_loss_lu` how
    much quieter the sum of both is, played by both: 0 for mono, 3 for two different sounds. None for other than stereo.
    """

    lufs_i: float | None = None
    lra_lu: float | None = None
    max_short_term_lufs: float | None = None
    max_momentary_lufs: float | None = None
    true_peak_dbtp: float | None = None
    sample_peak_dbfs: float | None = None
    plr_lu: float | None = None
    correlation: float | None = None
    least_correlation: float | None = None
    least_correlation_seconds: float | None = None
    mono_loss_lu: float | None = None


class Cause(msgspec.Struct, frozen=True):
    """A reason why two files do not null: what it is in words, and the residual that it alone would leave, in dBFS rms.

    `kind` is one of delay, drift, polarity, gain, rounding, filter, lossy, noise, length. `left_dbfs` is None where
    that can't be reckoned.
    """

    kind: str
    detail: str
    left_dbfs: float | None


class Explanation(msgspec.Struct, frozen=True):
    """Why two files do not null.

    `ceiling` is the residual of a few excerpts with B where A is, and as loud as leaves the least of it: the best null
    that aligning gives. `filtered_dbfs` is the rms that even the best filter would leave.
    """

    causes: tuple[Cause, ...] = ()
    ceiling: Level | None = None
    filtered_dbfs: float | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Everything is of A - B as the files lie, but for delay, drift, polarity, gain, correlation, coherence,
    phase and comb, which are of B moved to where A is.

    `differing_samples` counts samples (frames times channels), `first_difference` is the frame of the first. `depth_db`
    is the rms of the residual relative to that of A. Positive delay: B is later; positive drift: B gets later and
    later; positive gain: B is louder. `delay_spread_samples` is how far the delays of windows of time (`windows`) lie
    apart once the drift is taken out. `window_seconds` is how long those are.
    """

    identical: bool
    differing_samples: int
    first_difference: int | None
    residual: Level
    depth_db: float | None
    worst: Place | None
    bands: list[BandFigures]
    windows: list[Window]
    window_seconds: float
    delay_samples: float
    drift_ppm: float
    delay_spread_samples: float | None
    polarity: int
    gain_db: float
    correlation: float
    comb: Comb
    a: Programme
    b: Programme
