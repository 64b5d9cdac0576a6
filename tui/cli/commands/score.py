"""`unbake score`."""

from __future__ import annotations

from argparse import Namespace

from core.measure.score import Figures, score
from tui.cli.terminal import drive, emit, table


def run(options: Namespace) -> int:
    """Both ratios of every stem, and what the trade calls it."""
    found = drive(score(options.true, options.estimated), options)
    rows = [(stem, f"{_of(figures)}  {found.tier.get(stem, '')}") for stem, figures in found.stems.items()]
    rows += [("mean", _of(found.mean)), ("tracks", str(found.tracks))]
    emit(options, found, table(rows))
    return 0


def _of(figures: Figures) -> str:
    sdr, usdr = ("  -  " if value is None else f"{value:5.2f}" for value in (figures.sdr_db, figures.usdr_db))
    return f"SDR {sdr} dB  uSDR {usdr} dB"
