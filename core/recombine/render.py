"""A session rendered to a file, and the proof that nothing else moved.

Two passes: the first writes a temporary file, the second reads it back beside a fresh graph that shares no buffer with
the first. Only then does the file get its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block
from core.audio.hashes import check_unchanged, fingerprint
from core.audio.outputs import OutputFormat
from core.audio.probe import probe
from core.audio.read import open_reader
from core.audio.tags import BextLoudness, read_metadata
from core.audio.write import AudioWriter, check_output, open_writer
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.measure.background import BackgroundMeter
from core.measure.levels import to_dbfs
from core.measure.loudness import Loudness
from core.recombine.graph import Graph
from core.recombine.output import BusOutput
from core.session.document import Session
from core.session.processors import Gain, Limiter, Processor

OversPolicy = Literal["trim", "limit", "clip"]


class Overs(msgspec.Struct, frozen=True):
    """Samples of the sum beyond full scale, before anything was done about them."""

    samples: int
    peak_dbfs: float | None
    treatment: OversPolicy | None = None
    trim_db: float = 0.0


class Proof(msgspec.Struct, frozen=True):
    """What the second pass found in the written file.

    `identical`: every sample is the source's. `untouched_residual_dbfs`: peak of the file minus source plus deltas;
    None for nothing at all, and while a master processor other than dither (or a treatment of overs) is active.
    `render_residual_dbfs`: the same against the whole graph, master stage included. `quantisation_dbfs`: what neither
    may exceed. All three are None for a lossy format, which can't prove anything.
    """

    identical: bool
    untouched_residual_dbfs: float | None
    render_residual_dbfs: float | None
    quantisation_dbfs: float | None

    @property
    def holds(self) -> bool:
        """Whether the file is what the document says, to within rounding."""
        if self.quantisation_dbfs is None or self.render_residual_dbfs is None:
            return True
        return self.render_residual_dbfs <= self.quantisation_dbfs + 1e-9


class Rendered(msgspec.Struct, frozen=True):
    """A finished render."""

    output: str
    fmt: OutputFormat
    dithered: bool
    before: Loudness
    after: Loudness
    overs: Overs
    proof: Proof


def render(
    session: Session,
    stems: Mapping[str, Path],
    out: Path,
    fmt: OutputFormat,
    *,
    overs: OversPolicy | None = None,
    force: bool = False,
) -> Operation[Rendered]:
    """Renders `session` to `out` with its metadata, whole or not at all.

    `stems` maps at least the changed strips to their files. Raises UnbakeError when the sum exceeds full scale of an
    integer format and `overs` does not say what to do, when a file can't be read or written, or changes meanwhile.
    """
    source = Path(session.source.path)
    check_output(out, [source, *stems.values()], force)
    info = probe(source)
    before_reading = fingerprint(source)
    metadata = read_metadata(source)

    treatment: tuple[Processor, ...] = ()
    report = Overs(0, None)
    while True:
        with open_writer(out, fmt, frames=info.frames, force=force) as writer:
            bus = BusOutput(session, writer.fmt.subtype, info.channels, clip=overs == "clip")
            before = yield from _write(session, stems, info, writer, bus, treatment)
            if bus.overs and not treatment and overs != "clip" and (overs is not None or bus.word_bits is not None):
                report, treatment = _treat(bus, overs, out)
                yield Note(_in_words(report))
                continue
            if not treatment:
                report = Overs(bus.overs, to_dbfs(bus.peak), overs if bus.overs else None)
            clipped = bool(bus.overs) and bus.rails is not None
            written = writer.finish(metadata)
            proof, after = yield from _prove(session, stems, written, bus, treatment, clipped=clipped)
            check_unchanged(source, before_reading)
            writer.commit(metadata, _for_bext(after))
            return Rendered(str(out), fmt, bus.dithered, before, after, report, proof)


def _write(
    session: Session,
    stems: Mapping[str, Path],
    info: AudioInfo,
    writer: AudioWriter,
    bus: BusOutput,
    treatment: tuple[Processor, ...],
) -> Operation[Loudness]:
    """The first pass: the bus into the temporary file, the source into a loudness meter, whose figures it gives."""
    done = 0
    with ExitStack() as stack:
        meter = stack.enter_context(BackgroundMeter(info.sample_rate, info.speakers))
        graph = stack.enter_context(Graph(session, stems, extra_master=treatment, on_source=meter.push))
        for block in graph.blocks():
            bus.write(block, writer)
            done += block.shape[1]
            yield Progress("rendering", done, info.frames, info.seconds)
        return meter.result()


def _prove(
    session: Session,
    stems: Mapping[str, Path],
    written: Path,
    bus: BusOutput,
    treatment: tuple[Processor, ...],
    *,
    clipped: bool,
) -> Operation[tuple[Proof, Loudness]]:
    """The second pass: the file read back against a fresh graph, and metered."""
    done = 0
    worst = 0.0
    identical = True
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(written))
        graph = stack.enter_context(Graph(session, stems, extra_master=treatment))
        source = stack.enter_context(open_reader(Path(session.source.path)))
        meter = stack.enter_context(BackgroundMeter(reader.info.sample_rate, source.info.speakers))
        total = graph.info.frames
        if bus.bound_dbfs is not None and reader.info.frames != total:
            raise UnbakeError(f"the written file has {reader.info.frames} frames instead of {total}", where=written)
        for expected in graph.blocks(BLOCK_FRAMES):
            found = reader.read(expected.shape[1])
            meter.push(found)
            identical = identical and np.array_equal(found, source.read(expected.shape[1]))
            worst = max(worst, _difference(found, expected, bus.rails))
            done += expected.shape[1]
            yield Progress("proving", done, total, graph.info.seconds)
        after = meter.result()
    residual = None if bus.bound_dbfs is None else to_dbfs(worst)
    altered = bool(session.master_active or treatment or clipped)
    return Proof(identical, None if altered else residual, residual, bus.bound_dbfs), after


def _difference(found: Block, expected: Block, rails: tuple[float, float] | None) -> float:
    """Peak of found minus expected, which the render clamps at the rails where there are any."""
    frames = min(found.shape[1], expected.shape[1])
    if not frames:
        return 0.0
    if rails is not None:
        expected = np.clip(expected, *rails)
    return float(np.abs(found[:, :frames] - expected[:, :frames]).max())


def _treat(bus: BusOutput, policy: OversPolicy | None, out: Path) -> tuple[Overs, tuple[Processor, ...]]:
    """What is done about overs: processors at the end of the master stage. Raises UnbakeError without a policy."""
    peak_dbfs = 20 * math.log10(bus.peak)
    if policy is None:
        raise UnbakeError(
            f"{bus.overs} samples of the sum exceed full scale (peak {peak_dbfs:+.2f} dBFS) and {bus.word_bits} bit "
            "can't hold them; nothing was written",
            where=out,
            remedy="say --overs trim, limit or clip, or write float with --subtype float",
        )
    highest_dbfs = 0.0 if bus.word_bits is None else 20 * math.log10(1.0 - 2.0 ** (1 - bus.word_bits))
    if policy == "limit":
        return Overs(bus.overs, peak_dbfs, policy), (Limiter(ceiling_dbtp=min(highest_dbfs, -0.1)),)
    trim_db = math.floor((highest_dbfs - peak_dbfs) * 1000) / 1000
    return Overs(bus.overs, peak_dbfs, policy, trim_db), (Gain(gain_db=trim_db),)


def _in_words(overs: Overs) -> str:
    found = f"{overs.samples} samples exceed full scale (peak {overs.peak_dbfs:+.2f} dBFS)"
    if overs.treatment == "trim":
        return f"{found}: the whole file is lowered by {-overs.trim_db:.3f} dB"
    return f"{found}: limited to just under full scale"


def _for_bext(loudness: Loudness) -> BextLoudness:
    return BextLoudness(
        lufs_i=loudness.lufs_i,
        lra_lu=loudness.lra_lu,
        true_peak_dbtp=loudness.true_peak_dbtp,
        max_momentary_lufs=loudness.max_momentary_lufs,
        max_short_term_lufs=loudness.max_short_term_lufs,
    )
