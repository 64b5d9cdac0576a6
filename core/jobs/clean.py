"""A file through the clean-up bench to a file: what was found, what was done about it, what that took away."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from core.atomic import check_output, same_file
from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block, integer_bits
from core.audio.hashes import check_unchanged, fingerprint
from core.audio.outputs import OutputFormat, output_format, subtypes_of
from core.audio.probe import probe
from core.audio.quantise import TpdfDither, codes_to_float, quantise
from core.audio.read import open_reader
from core.audio.tags import read_metadata
from core.audio.write import open_writer
from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.jobs import sessions
from core.measure.levels import to_dbfs
from core.recombine.graph import CleanupDelta, read_padded
from core.recombine.output import overs_of
from core.separation.device import check_device_name
from core.session import edits, history, presets
from core.session.cleaning import removed_name
from core.session.typed_steps import steps_of, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.cleanup.bench import Cleaned, Done
    from core.cleanup.cleaner import Finding
    from core.session.cleaning import Apply, Step
    from core.session.document import Session

OversPolicy = Literal["trim", "clip"]


class StepOutcome(msgspec.Struct, frozen=True):
    """One step: what it found, and what it took away by its strength (None for nothing).

    `carried_out` is False where nothing was found, or not surely enough to be proposed.
    """

    finding: Finding
    carried_out: bool
    strength: float
    removed_peak_dbfs: float | None = None
    removed_rms_dbfs: float | None = None


class CleanReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `clean_file` did.

    `changed_samples` counts those of the output, of all channels, that are not the source's, by whatever changed them;
    `identical`: there are none. `peak_dbfs` is the cleaned sound's before it was written, `overs` its samples beyond
    full scale, `trim_db` by how much the whole file was lowered for them; `clipped`: they were cut off instead.
    `removed` is the file of what was taken away, where one was asked for.
    """

    schema: int = 1
    path: str
    output: str | None
    removed: str | None
    sample_rate: int
    channels: int
    frames: int
    subtype: str
    identical: bool
    changed_samples: int
    peak_dbfs: float | None
    overs: int
    trim_db: float
    clipped: bool
    steps: list[StepOutcome]
    seconds: float
    realtime_factor: float


class CleanRequest(msgspec.Struct, frozen=True):
    """What is to be done. Without `steps` and `preset` what is found surely is taken out.

    `steps` as they are typed, `preset` a name or file, `values` assignments such as `denoise.reduction_db=12`.
    `removed` is where what was taken away goes, if anywhere. `overs` says what becomes of samples that the output's
    integers can't hold: refused where it is None.
    """

    steps: str | None = None
    preset: str | None = None
    values: tuple[str, ...] = ()
    removed: Path | None = None
    subtype: str | None = None
    overs: OversPolicy | None = None
    device: str = "auto"


def clean_file(source: Path, out: Path | None, request: CleanRequest, *, force: bool = False) -> Operation[CleanReport]:
    """Cleans a file, and writes it to `out` with its metadata; only looks, and writes nothing, where that is None.

    Where nothing is written, every step looks at the file as it is, otherwise at what those before it made of it. The
    output is 32-bit float where the container holds it. Integers are dithered, but for samples that nothing was
    done to and that they hold exactly. Raises UnbakeError as `steps_for` and the bench do, for an output that can't be
    written, for samples that it can't hold, and for what says how to write where nothing is written.
    """
    started = time.monotonic()
    if out is None and (request.removed is not None or request.subtype is not None or request.overs is not None):
        raise UnbakeError(
            "--find writes nothing", where=source, remedy="leave --removed, --subtype and --overs out, or say -o OUT"
        )
    check_device_name(request.device)
    steps, least_confidence = steps_for(request)
    info = probe(source)
    before = fingerprint(source)
    fmt = None if out is None else _format(info, out, request.subtype)
    for place in (out, request.removed):
        if place is not None:
            check_output(place, [source], force)
    if out is not None and request.removed is not None and same_file(out, request.removed):
        raise UnbakeError("is the output already", where=request.removed, remedy="choose another name")
    removed_fmt = None if request.removed is None else _format(info, request.removed, None)
    from core.cleanup import bench

    if out is None:
        cleaned = bench.Cleaned(source, "", (yield from _found(source, steps)))
    else:
        cleaned = yield from bench.clean(
            source, steps, device=request.device, least_confidence=least_confidence, onward=False
        )
    measured = yield from _measure(info, cleaned)
    bits = None if fmt is None else integer_bits(fmt.subtype)
    overs, trim_db, changed = measured.overs(bits), 0.0, 0
    if fmt is not None and out is not None:
        trim_db = _trim_db(overs, measured.peak, fmt, request.overs, out)
        changed = yield from _write(info, cleaned, out, fmt, trim_db, request.removed, removed_fmt, force=force)
    check_unchanged(source, before)
    if overs and not trim_db and bits is None:
        yield Note(f"{overs} samples are beyond full scale, up to {to_dbfs(measured.peak):+.2f} dBFS: floats hold them")
    seconds = time.monotonic() - started
    return CleanReport(
        path=str(source),
        output=None if out is None else str(out),
        removed=None if request.removed is None else str(request.removed),
        sample_rate=info.sample_rate,
        channels=info.channels,
        frames=info.frames,
        subtype=info.subtype if fmt is None else fmt.subtype,
        identical=changed == 0,
        changed_samples=changed,
        peak_dbfs=to_dbfs(measured.peak),
        overs=overs,
        trim_db=trim_db,
        clipped=bool(overs) and bits is not None and not trim_db,
        steps=[
            _outcome(done, measured.taken.get(place)) for place, done in enumerate(cleaned.done) if done is not None
        ],
        seconds=seconds,
        realtime_factor=info.frames / info.sample_rate / seconds,
    )


def clean_session(
    session_path: Path, request: CleanRequest | None, *, apply: Apply | None = None, strip: str | None = None
) -> Operation[Session]:
    """Gives a session on disk the clean-up that is asked for, of its source or of a strip's stem, or takes it out.

    Where no steps are asked for, those are taken that surely find something. `apply` is who hears the source cleaned;
    None as the steps say. One edit of the history. Raises UnbakeError as `clean_file` does, and for an unknown strip.
    """
    session = sessions.load(session_path)
    if strip is not None and apply is not None:
        raise UnbakeError("--apply is about the source's clean-up", remedy="leave it out, or --strip")
    steps: tuple[Step, ...] = ()
    if request is not None:
        check_device_name(request.device)
        steps, least_confidence = steps_for(request)
        if least_confidence > 0.0:
            steps = yield from _surely_found(session, strip, steps, least_confidence, request.device)
        if apply is not None:
            steps = tuple(msgspec.structs.replace(step, apply=apply) for step in steps)
    what = edits.set_cleanup(session, steps, strip).what

    def change(before: Session | None) -> Session:
        return edits.set_cleanup(session if before is None else before, steps, strip).session

    return history.edit(session_path, change, what)


def _surely_found(
    session: Session, strip: str | None, steps: tuple[Step, ...], least_confidence: float, device: str
) -> Operation[tuple[Step, ...]]:
    """Those of the steps that find their fault in the source, or in a strip's stem; each finding is told in a Note."""
    from core.cleanup.bench import clean

    sessions.check_source(session)
    path = Path(session.source.path)
    if strip is not None:
        _, stems = yield from sessions.make_stems(session, device=device)
        files = sessions.stem_paths(stems)
        if strip not in files:
            raise UnbakeError("no such stem", where=strip, remedy=f"there are {', '.join(files)}")
        path = files[strip]
    cleaned = yield from clean(path, steps, device=device, least_confidence=least_confidence, onward=False)
    found = [done for done in cleaned.done if done is not None]
    for done in found:
        yield Note(f"{done.finding.type}: {done.finding.detail}")
    return tuple(step for step, done in zip(steps, found, strict=True) if done.made is not None)


def steps_for(request: CleanRequest) -> tuple[tuple[Step, ...], float]:
    """The steps that are asked for, or those that are tried where none are; and how sure a finding has to be.

    Raises UnbakeError for a step or preset that there isn't, and for a value that can't be.
    """
    if request.steps is not None and request.preset is not None:
        raise UnbakeError("--steps and --preset exclude each other")
    if request.steps is not None:
        return told(steps_of(request.steps), request.values), 0.0
    if request.preset is not None:
        preset = presets.find(request.preset)
        if preset.cleanup is msgspec.UNSET or not preset.cleanup:
            raise UnbakeError("has no clean-up", where=request.preset, remedy="unbake presets list tells which have")
        return told(preset.cleanup, request.values), 0.0
    from core.cleanup.proposal import PROPOSED_FROM, TRIED

    return told(TRIED, request.values), PROPOSED_FROM


def _format(info: AudioInfo, out: Path, subtype: str | None) -> OutputFormat:
    """As asked, else 32-bit float (64 where samples of the source need that), else what the container has."""
    if subtype is not None:
        return output_format(info, out, subtype)
    own = output_format(info, out, None)
    wide = info.subtype == "DOUBLE" or (info.lossless and (info.bits or 0) > 24)
    floats = "DOUBLE" if wide else "FLOAT"
    return output_format(info, out, floats) if floats in subtypes_of(own.container) else own


class _Measured(msgspec.Struct, frozen=True):
    """What was found in the cleaned sound. `taken` is peak and rms in dBFS of each step, by its place."""

    peak: float
    overs_by_bits: dict[int | None, int]
    taken: dict[int, tuple[float | None, float | None]]

    def overs(self, bits: int | None) -> int:
        """Samples beyond what integers of so many bits hold, of floats those above 1.0."""
        return self.overs_by_bits[bits]


def _found(source: Path, steps: Sequence[Step]) -> Operation[tuple[Done | None, ...]]:
    """What each step finds in the file as it is."""
    from core.cleanup.bench import Done
    from core.cleanup.proposal import findings

    told = iter((yield from findings(source, [step for step in steps if step.active])))
    return tuple(Done(step, next(told), None) if step.active else None for step in steps)


def _parts(cleaned: Cleaned) -> dict[int, Done]:
    """Steps that took something away, by their place."""
    return {place: done for place, done in enumerate(cleaned.done) if done is not None and done.removed is not None}


def _delta(info: AudioInfo, cleaned: Cleaned, stack: ExitStack) -> CleanupDelta:
    """What all steps add to the source."""
    steps = [msgspec.structs.replace(done.pinned, apply="master") for done in cleaned.done if done is not None]
    files = {
        removed_name(place): done.removed
        for place, done in enumerate(done for done in cleaned.done if done is not None)
        if done.removed is not None
    }
    return CleanupDelta(steps, files, info, stack)


def _measure(info: AudioInfo, cleaned: Cleaned) -> Operation[_Measured]:
    """One pass over source and what was taken away."""
    parts = _parts(cleaned)
    peaks, squares = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0.0)
    overs: dict[int | None, int] = dict.fromkeys((None, 8, 16, 20, 24, 32), 0)
    peak, done = 0.0, 0
    with ExitStack() as stack:
        source = stack.enter_context(open_reader(info.path))
        readers = {
            place: stack.enter_context(open_reader(part.removed))
            for place, part in parts.items()
            if part.removed is not None
        }
        while (block := source.read(BLOCK_FRAMES)).shape[1]:
            frames = block.shape[1]
            delta = np.zeros_like(block)
            for place, reader in readers.items():
                taken = parts[place].step.strength * read_padded(reader, frames)
                peaks[place] = max(peaks[place], float(np.abs(taken).max()))
                squares[place] += float(np.einsum("ij,ij->", taken, taken))
                delta -= taken
            block = block + delta
            peak = max(peak, float(np.abs(block).max()))
            for bits in overs:
                overs[bits] += overs_of(block, bits)
            done += frames
            yield Progress("measuring", done, info.frames, info.seconds)
    count = max(1, info.frames * info.channels)
    levels = {place: (to_dbfs(peaks[place]), to_dbfs(math.sqrt(squares[place] / count))) for place in parts}
    return _Measured(peak, overs, levels)


def _trim_db(overs: int, peak: float, fmt: OutputFormat, policy: OversPolicy | None, out: Path) -> float:
    """By how much the whole is lowered for samples that integers can't hold. Raises UnbakeError without a policy."""
    bits = integer_bits(fmt.subtype)
    if not overs or bits is None:
        return 0.0
    peak_dbfs = 20.0 * math.log10(peak)
    if policy is None:
        floats = "FLOAT" in subtypes_of(fmt.container)
        raise UnbakeError(
            f"{overs} samples of the cleaned sound exceed full scale (peak {peak_dbfs:+.2f} dBFS), and {bits} bits "
            "can't hold them; nothing was written",
            where=out,
            remedy=f"say --overs trim or clip, or write {'with --subtype float' if floats else 'a WAV, in float'}",
        )
    if policy == "clip":
        return 0.0
    highest_dbfs = 20.0 * math.log10(1.0 - 2.0 ** (1 - bits))
    return math.floor((highest_dbfs - peak_dbfs) * 1000.0) / 1000.0


def _write(
    info: AudioInfo,
    cleaned: Cleaned,
    out: Path,
    fmt: OutputFormat,
    trim_db: float,
    removed: Path | None,
    removed_fmt: OutputFormat | None,
    *,
    force: bool,
) -> Operation[int]:
    """Writes the cleaned file, and what was taken away: both or neither. Returns how many samples it changed."""
    metadata = read_metadata(info.path)
    bits = integer_bits(fmt.subtype)
    gain = 10.0 ** (trim_db / 20.0)
    dither = TpdfDither(cleaned.sha256.encode(), info.channels)
    changed = 0
    with ExitStack() as stack:
        writer = stack.enter_context(open_writer(out, fmt, frames=info.frames, force=force))
        beside = None
        if removed is not None and removed_fmt is not None:
            beside = stack.enter_context(open_writer(removed, removed_fmt, frames=info.frames, force=force))
        for source, delta in _sides(info, cleaned, stack):
            if beside is not None:
                beside.write(-delta)
            block = source + delta if trim_db == 0.0 else (source + delta) * gain
            if bits is None:
                written = block if fmt.subtype == "DOUBLE" else block.astype(np.float32)
                writer.write(block)
            else:
                noise = dither.block(writer.frame, block.shape[1])
                if trim_db == 0.0:
                    # what nothing was done to stays what it is, where these integers have it
                    noise *= (delta != 0.0) | (np.rint(source * 2.0 ** (bits - 1)) != source * 2.0 ** (bits - 1))
                codes = quantise(block, bits, noise)
                written = codes_to_float(codes, bits)
                writer.write_codes(codes)
            changed += int(np.count_nonzero(written != source))
            yield Progress("writing", writer.frame, info.frames, info.seconds)
        writer.finish(metadata)
        if beside is not None:
            beside.commit()
        writer.commit(metadata)
    return changed


def _sides(info: AudioInfo, cleaned: Cleaned, stack: ExitStack) -> Iterator[tuple[Block, Block]]:
    """Blocks of the source, and of what all steps add to it."""
    source = stack.enter_context(open_reader(info.path))
    delta = _delta(info, cleaned, stack)
    while (block := source.read(BLOCK_FRAMES)).shape[1]:
        yield block, delta.read(block.shape[1])


def _outcome(done: Done, taken: tuple[float | None, float | None] | None) -> StepOutcome:
    peak_dbfs, rms_dbfs = taken or (None, None)
    return StepOutcome(done.finding, done.made is not None, done.step.strength, peak_dbfs, rms_dbfs)
