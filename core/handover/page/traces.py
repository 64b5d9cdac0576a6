"""What a page draws that no certificate holds: the two files over time, and what every strip adds.

Read at the time of the report from the files themselves, in one pass of blocks, into what does not grow with their
length.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.audio.formats import BLOCK_FRAMES
from core.audio.read import open_reader
from core.events import Operation, Progress
from core.handover.certificate import Certificate, ProofFigures
from core.measure.bands import Bands
from core.measure.figures import Band
from core.measure.meters import PeakMeter
from core.measure.overview import Overview
from core.recombine.check import CLEANUP
from core.recombine.graph import CleanupDelta, StripDelta, open_strip
from core.session.document import Session


class Trace(NamedTuple):
    """A file, or a difference of two, over time."""

    overview: Overview
    seconds: float


class Added(NamedTuple):
    """What one strip adds to the source, before the master stage; None for nothing at all."""

    peak_dbfs: float | None
    rms_dbfs: float | None


class Traces(NamedTuple):
    """`difference` is output less source, None where their rates or channels are not the same. `added` goes by the name
    of the strip. `predicted` are third octaves of all that is added, None where a master stage or a delivery follows.
    """

    source: Trace
    output: Trace
    difference: Trace | None
    added: dict[str, Added]
    predicted: list[Band] | None


def trace(session: Session, stems: Mapping[str, Path], render: Certificate) -> Operation[Traces]:
    """Reads source, output and the stems of the changed strips. Raises UnbakeError when one of them can't be read."""
    with ExitStack() as stack:
        source = stack.enter_context(open_reader(Path(session.source.path)))
        written = stack.enter_context(open_reader(Path(render.output)))
        info = source.info
        strips: dict[str, StripDelta | CleanupDelta] = {
            name: open_strip(name, session.strips[name], stems, info, stack) for name in session.changed
        }
        if cleanup := CleanupDelta(session.cleanup, stems, info, stack):
            strips = {CLEANUP: cleanup, **strips}
        meters = {name: PeakMeter() for name in strips}
        alone = strips and _strips_alone(render.certificate)
        bands = Bands(info.sample_rate, info.channels, 3) if alone else None
        comparable = (info.sample_rate, info.channels) == (written.info.sample_rate, written.info.channels)
        before, after = Overview(info.frames), Overview(written.info.frames)
        both = min(info.frames, written.info.frames)
        between = Overview(both) if comparable else None
        total = max(info.frames, written.info.frames)
        for done in range(0, total, BLOCK_FRAMES):
            read, found = source.read(BLOCK_FRAMES), written.read(BLOCK_FRAMES)
            for overview, block in ((before, read), (after, found)):
                if block.shape[1]:
                    overview.push(block)
            shared = min(read.shape[1], found.shape[1])
            if between is not None and shared:
                between.push(found[:, :shared] - read[:, :shared])
            if strips and read.shape[1]:
                change = np.zeros_like(read)
                for name, strip in strips.items():
                    delta = strip.read(read.shape[1])
                    meters[name].push(delta)
                    change += delta
                if bands is not None:
                    bands.push(change)
            yield Progress("drawing", min(done + BLOCK_FRAMES, total), total, total / info.sample_rate)
        for overview in (before, after, between):
            if overview is not None:
                overview.publish()
        return Traces(
            Trace(before, info.seconds),
            Trace(after, written.info.seconds),
            None if between is None else Trace(between, both / info.sample_rate),
            {name: Added(meter.peak_dbfs, meter.rms_dbfs) for name, meter in meters.items()},
            None if bands is None else bands.result(info.frames),
        )


def _strips_alone(proof: ProofFigures) -> bool:
    """Whether the output is the source plus what the strips add, with no master stage or delivery after them."""
    if proof.untouched_residual_dbfs is not None:
        return True
    return proof.render_residual_dbfs is None and proof.quantisation_dbfs is not None
