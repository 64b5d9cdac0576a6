"""A session rendered to a file, and the proof that nothing else moved.

Two passes: the first writes a temporary file, the second reads it back beside a fresh graph that shares no buffer with
the first. Only then does the file get its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from core.audio.formats import AudioInfo, Block
from core.audio.hashes import check_unchanged, fingerprint
from core.audio.outputs import OutputFormat
from core.audio.positions import at_rate
from core.audio.probe import probe
from core.audio.rates import frames_at
from core.audio.read import open_reader
from core.audio.tags import BextLoudness, read_metadata
from core.audio.write import AudioWriter, check_output, open_writer
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.measure.background import Background
from core.measure.bands import Bands
from core.measure.comparison import WINDOW_SECONDS, Comparison
from core.measure.figures import Band, Figures, Level, Programme
from core.measure.levels import to_dbfs
from core.measure.meters import LevelMeter, ProgrammeMeter
from core.measure.placement import Placed
from core.recombine.delivery import MARGIN_DB, MET_LU, Levelling, ceiling_of, plan
from core.recombine.finish import Finish, Finished
from core.recombine.graph import Graph
from core.recombine.output import BusOutput
from core.recombine.warping import WarpFigures, drift_of, speeds
from core.session.document import Session
from core.session.profiles import Profile
from core.warp.maps.positions import along
from core.warp.rhythm.attacks import attacks_of

OversPolicy = Literal["trim", "limit", "clip"]
PEAK_TOLERANCE_DB: Final = 0.04
"""True peaks over their ceiling by more than this are rendered again, lower."""
MOST_RENDERS: Final = 6


class Overs(msgspec.Struct, frozen=True):
    """Samples of the sum beyond full scale, before anything was done about them."""

    samples: int
    peak_dbfs: float | None
    treatment: OversPolicy | None = None
    trim_db: float = 0.0


class Proof(msgspec.Struct, frozen=True):
    """What the second pass found in the written file.

    `identical`: every sample is the source's. `untouched_residual_dbfs`: peak of the file minus source plus deltas;
    None for nothing at all, and while a master processor other than dither (a treatment of overs, a delivery's gain,
    limiter or sample rate) is active. `render_residual_dbfs`: the same against the whole graph, all of these included.
    `quantisation_dbfs`: what neither may exceed. All three are None for a lossy format, which can't prove anything.
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
    """A finished render. `levelling` is None where neither a profile nor a limiter asked for anything.

    `figures` are of the source (A) and the written file (B), at the file's rate. `prediction` holds the third octaves
    of the written file less what the second pass expected: source, deltas and all that follows them. `noise_dbfs` is
    the rms that the file's own dither must have; None where it has none, or shapes it. With a time map A is the source
    along it, and `warp` what is measured of that.
    """

    output: str
    fmt: OutputFormat
    dithered: bool
    before: Programme
    overs: Overs
    proof: Proof
    figures: Figures
    prediction: list[Band]
    noise_dbfs: float | None = None
    levelling: Levelling | None = None
    warp: WarpFigures | None = None


def render(
    session: Session,
    stems: Mapping[str, Path],
    out: Path,
    fmt: OutputFormat,
    *,
    profile: Profile | None = None,
    overs: OversPolicy | None = None,
    force: bool = False,
) -> Operation[Rendered]:
    """Renders `session` to `out` with its metadata, whole or not at all.

    `stems` maps at least the changed strips to their files. The rate is that of `fmt`; `profile` gives loudness, peak
    and the shape of dither. A true peak over its ceiling is rendered again, lower. Raises UnbakeError when the sum
    exceeds full scale of an integer format and `overs` does not say what to do, when a file can't be read or written,
    or changes meanwhile.
    """
    source = Path(session.source.path)
    check_output(out, [source, *stems.values()], force)
    info = probe(source)
    before_reading = fingerprint(source)
    metadata = read_metadata(source)
    if not session.warp.identity:
        metadata, dropped = along(metadata, session.warp, info.frames, info.sample_rate)
        if dropped:
            yield Note(f"{', '.join(dropped)} of the source can't follow the time map, and are left out")
    if fmt.sample_rate != info.sample_rate:
        metadata, lost = at_rate(metadata, info.sample_rate, fmt.sample_rate)
        if lost:
            yield Note(f"{', '.join(lost)} of the source count in its own frames, and are left out at another rate")

    def bus_for(finish: Finish) -> BusOutput:
        altered = finish.alters(info.sample_rate)
        shape = None if profile is None else profile.dither
        return BusOutput(
            session, fmt.subtype, info.channels, fmt.sample_rate, clip=overs == "clip", altered=altered, shape=shape
        )

    def planned(margin_db: float) -> Operation[tuple[Finish, Levelling | None]]:
        if profile is None:
            ceiling = ceiling_of(session, None)
            return Finish(fmt.sample_rate), None if ceiling is None else Levelling(None, None, ceiling)
        rails = bus_for(Finish(fmt.sample_rate)).rails
        highest = math.inf if rails is None else 20.0 * math.log10(rails[1])
        found, levelling = yield from plan(
            session, stems, profile, fmt.sample_rate, highest_dbtp=highest, margin_db=margin_db
        )
        yield Note(levelling.why)
        return found, levelling

    if not session.warp.identity:
        yield from attacks_of(source)
    report = Overs(0, None)
    treated, renders, margin_db = False, 0, 0.0
    finish, levelling = yield from planned(margin_db)
    while True:
        with open_writer(
            out, fmt, frames=frames_at(session.frames, info.sample_rate, fmt.sample_rate), force=force
        ) as writer:
            bus = bus_for(finish)
            metered = yield from _write(session, stems, info, writer, bus, finish)
            if bus.overs and not treated and overs != "clip" and (overs is not None or bus.word_bits is not None):
                report, finish = _treat(bus, overs, out, finish)
                treated = True
                yield Note(_in_words(report))
                continue
            if not treated:
                report = Overs(bus.overs, to_dbfs(bus.peak), overs if bus.overs else None)
            clipped = bool(bus.overs) and bus.rails is not None
            written = writer.finish(metadata)
            limited = levelling is not None and levelling.ceiling_dbtp is not None
            found = yield from _prove(session, stems, written, bus, finish, clipped=clipped, fine=limited)
            after = found.figures.b
            renders += 1
            excess = _excess_db(levelling, after)
            if levelling is not None and excess > 0.0 and renders < MOST_RENDERS:
                yield Note(f"true peak {excess:.2f} dB over {levelling.ceiling_dbtp:g} dBTP: rendered again, lower")
                if profile is None or treated:
                    finish = msgspec.structs.replace(finish, trim_db=finish.trim_db - excess - MARGIN_DB)
                else:
                    margin_db += excess + MARGIN_DB
                    finish, levelling = yield from planned(margin_db)
                continue
            if levelling is not None and excess > 0.0:
                yield Note(f"true peak still {excess:.2f} dB over {levelling.ceiling_dbtp:g} dBTP")
            check_unchanged(source, before_reading)
            writer.commit(metadata, _for_bext(after))
            levelling = _judged(levelling, finish, after)
            return Rendered(
                output=str(out),
                fmt=fmt,
                dithered=bus.dithered,
                before=metered or found.figures.a,
                overs=report,
                proof=found.proof,
                figures=found.figures,
                prediction=found.prediction,
                noise_dbfs=bus.noise_dbfs,
                levelling=levelling,
                warp=found.warp,
            )


def _excess_db(levelling: Levelling | None, found: Programme) -> float:
    """By how many dB the true peak is over its ceiling, 0 within the tolerance."""
    if levelling is None or levelling.ceiling_dbtp is None or found.true_peak_dbtp is None:
        return 0.0
    excess = found.true_peak_dbtp - levelling.ceiling_dbtp
    return excess if excess > PEAK_TOLERANCE_DB else 0.0


def _judged(levelling: Levelling | None, finish: Finish, after: Programme) -> Levelling | None:
    """What was decided, with what the written file made of it."""
    if levelling is None:
        return None
    met = None
    if levelling.target_lufs is not None and levelling.before_lufs is not None:
        met = after.lufs_i is not None and abs(after.lufs_i - levelling.target_lufs) <= MET_LU
    return msgspec.structs.replace(
        levelling,
        gain_db=finish.gain_db,
        limiter_dbtp=finish.limiter_dbtp,
        trim_db=finish.trim_db,
        target_met=met,
        why=levelling.why or _limited_in_words(levelling, finish),
    )


def _limited_in_words(levelling: Levelling, finish: Finish) -> str:
    """What was done for the ceiling of the session's own limiter."""
    held = f"the master's limiter holds {levelling.ceiling_dbtp:g} dBTP"
    return held if finish.trim_db == 0.0 else f"{held}, with the whole lowered by {-finish.trim_db:.3f} dB after it"


def _write(
    session: Session,
    stems: Mapping[str, Path],
    info: AudioInfo,
    writer: AudioWriter,
    bus: BusOutput,
    finish: Finish,
) -> Operation[Programme | None]:
    """The first pass: the bus into the temporary file. What the source is at its own rate, if the file has another."""
    done = 0
    with ExitStack() as stack:
        meter = None
        if finish.sample_rate != info.sample_rate or not session.warp.identity:
            meter = stack.enter_context(Background(ProgrammeMeter(info.sample_rate, info.speakers)))
        graph = stack.enter_context(Graph(session, stems, on_source=None if meter is None else meter.push))
        sound = Finished(graph, finish)
        for block in sound.blocks():
            bus.write(block, writer)
            done += block.shape[1]
            yield Progress("rendering", done, sound.frames, info.seconds)
        return None if meter is None else meter.done().result()


class _Found(msgspec.Struct, frozen=True):
    """What the second pass found, as `Rendered` has it."""

    proof: Proof
    figures: Figures
    prediction: list[Band]
    warp: WarpFigures | None


def _prove(
    session: Session,
    stems: Mapping[str, Path],
    written: Path,
    bus: BusOutput,
    finish: Finish,
    *,
    clipped: bool,
    fine: bool,
) -> Operation[_Found]:
    """The second pass: the file read back against a fresh graph and against the source, with a `fine` true peak."""
    done = 0
    worst = 0.0
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(written))
        graph = stack.enter_context(Graph(session, stems))
        sound = Finished(graph, finish)
        source = stack.enter_context(open_reader(Path(session.source.path)))
        rate, channels, total = finish.sample_rate, source.info.channels, sound.frames
        beside = source if rate == source.info.sample_rate else Placed(source, rate, channels)
        if not session.warp.identity:
            bare = msgspec.structs.replace(session, cleanup=(), strips={}, master=())
            beside = Finished(stack.enter_context(Graph(bare, {})), Finish(rate))
        if bus.bound_dbfs is not None and reader.info.frames != total:
            raise UnbakeError(f"the written file has {reader.info.frames} frames instead of {total}", where=written)
        comparison = stack.enter_context(Comparison(rate, source.info.speakers, total, fine=fine))
        prediction = stack.enter_context(Background(Bands(rate, channels, 3)))
        for expected in sound.blocks(max(1, round(WINDOW_SECONDS * rate))):
            frames = expected.shape[1]
            found = reader.read(frames)
            worst = max(worst, _difference(found, expected, bus.rails))
            if found.shape[1] < frames:  # a lossy file may end early
                found = np.pad(found, ((0, 0), (0, frames - found.shape[1])))
            comparison.push(beside.read(frames), found)
            prediction.push(found - (expected if bus.rails is None else np.clip(expected, *bus.rails)))
            done += frames
            yield Progress("proving", done, total, graph.info.seconds)
        figures = comparison.figures()
        left = prediction.done().result(total)
    # At another rate, or along a time map, no sample is the source's, even where they are as many.
    identical = figures.identical and rate == source.info.sample_rate and session.warp.identity
    residual = None if bus.bound_dbfs is None else to_dbfs(worst)
    altered = bool(session.master_active or clipped or finish.alters(session.source.sample_rate))
    proof = Proof(identical, None if altered else residual, residual, bus.bound_dbfs)
    warp = None if session.warp.identity else (yield from _warp_figures(session, stems, written, rate))
    return _Found(proof, msgspec.structs.replace(figures, identical=identical), left, warp)


def _warp_figures(
    session: Session, stems: Mapping[str, Path], written: Path, sample_rate: int
) -> Operation[WarpFigures]:
    """Where the time map took the sound, as it is found in the written file."""
    source = Path(session.source.path)
    attacks, _ = yield from attacks_of(source)
    drift = None
    if sample_rate == session.source.sample_rate:
        with open_reader(source) as before, open_reader(written) as after:
            drift = drift_of(before, after, attacks, session.warp)
    slowest, fastest = speeds(session.warp, session.source.frames)
    apart = {name: session.strips[name].warp for name in session.changed if session.warped_apart(name)}
    return WarpFigures(
        anchors=len(session.warp.anchors),
        curve=session.warp.curve,
        source_frames=session.source.frames,
        frames=session.frames,
        slowest=slowest,
        fastest=fastest,
        attacks=len(attacks),
        drift=drift,
        apart=apart,
        apart_residual=(yield from _apart_residual(session, stems)) if apart else None,
    )


def _apart_residual(session: Session, stems: Mapping[str, Path]) -> Operation[Level]:
    """What it makes for the sum that some strips are carried by another engine than the master."""
    together = {name: msgspec.structs.replace(strip, warp="linked") for name, strip in session.strips.items()}
    done = 0
    with ExitStack() as stack:
        sums = [
            stack.enter_context(Graph(msgspec.structs.replace(session, strips=strips, master=()), stems))
            for strips in (session.strips, together)
        ]
        info = sums[0].info
        meter = stack.enter_context(Background(LevelMeter(info.sample_rate, info.speakers)))
        for one, other in zip(*(graph.blocks() for graph in sums), strict=True):
            meter.push(one - other)
            done += one.shape[1]
            yield Progress("measuring the warp", done, info.frames, info.seconds)
        return meter.done().level()


def _difference(found: Block, expected: Block, rails: tuple[float, float] | None) -> float:
    """Peak of found minus expected, which the render clamps at the rails where there are any."""
    frames = min(found.shape[1], expected.shape[1])
    if not frames:
        return 0.0
    if rails is not None:
        expected = np.clip(expected, *rails)
    return float(np.abs(found[:, :frames] - expected[:, :frames]).max())


def _treat(bus: BusOutput, policy: OversPolicy | None, out: Path, finish: Finish) -> tuple[Overs, Finish]:
    """What is done about overs, after all the rest. Raises UnbakeError without a policy."""
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
        limited = msgspec.structs.replace(finish, limiter_dbtp=min(highest_dbfs, -0.1))
        return Overs(bus.overs, peak_dbfs, policy), limited
    trim_db = math.floor((highest_dbfs - peak_dbfs) * 1000) / 1000
    return Overs(bus.overs, peak_dbfs, policy, trim_db), msgspec.structs.replace(finish, trim_db=trim_db)


def _in_words(overs: Overs) -> str:
    found = f"{overs.samples} samples exceed full scale (peak {overs.peak_dbfs:+.2f} dBFS)"
    if overs.treatment == "trim":
        return f"{found}: the whole file is lowered by {-overs.trim_db:.3f} dB"
    return f"{found}: limited to just under full scale"


def _for_bext(loudness: Programme) -> BextLoudness:
    return BextLoudness(
        lufs_i=loudness.lufs_i,
        lra_lu=loudness.lra_lu,
        true_peak_dbtp=loudness.true_peak_dbtp,
        max_momentary_lufs=loudness.max_momentary_lufs,
        max_short_term_lufs=loudness.max_short_term_lufs,
    )
