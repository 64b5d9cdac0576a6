"""Files warped together along one time map, and what is measured of the outcome.

Maps are made and read by `core.warp`; this carries files along them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from core.atomic import check_output, same_file, write_bytes_atomically
from core.audio.formats import BLOCK_FRAMES, AudioInfo, Block, integer_bits
from core.audio.hashes import check_unchanged
from core.audio.outputs import output_format
from core.audio.probe import probe
from core.audio.quantise import TpdfDither, codes_to_float, count_overs, quantise
from core.audio.read import open_reader
from core.audio.tags import read_metadata
from core.audio.write import AudioWriter, open_writer
from core.errors import UnbakeError, os_error
from core.events import Note, Operation, Progress
from core.jobs import sessions
from core.jobs.maps import MapRequest, format_of, make_map
from core.jobs.opening import stems_at_hand
from core.measure.levels import to_dbfs
from core.recombine.warping import Drift, drift_of, speeds
from core.session import edits, history
from core.session.document import Session
from core.session.timemap import TimeMap, WarpMode
from core.warp.engines.course import no_attacks
from core.warp.engines.modes import PLAIN, Options, check_options, needs_attacks, warper_of
from core.warp.engines.rubberband import Rubberband
from core.warp.engines.sound import FileSound
from core.warp.maps.exchange import TEMPI, exported
from core.warp.maps.positions import along
from core.warp.rhythm.attacks import attacks_of

if TYPE_CHECKING:
    from core.warp.engines.sound import Sound


class Sum(msgspec.Struct, frozen=True):
    """Peak of the guide minus all the other files, in dBFS, before and after the warp; None for nothing at all."""

    before_dbfs: float | None
    after_dbfs: float | None


class Warped(msgspec.Struct, frozen=True):
    """One file that was warped. `peak_dbfs` is of what was written; `drift` is measured in it, read back."""

    path: str
    output: str
    channels: int
    subtype: str
    peak_dbfs: float | None
    overs: int
    drift: Drift


class WarpReport(msgspec.Struct, frozen=True):
    """What `warp_files` did. `source_frames` became `frames`; `sum` is there where others stand beside the guide."""

    mode: WarpMode
    guide: str
    sample_rate: int
    source_frames: int
    frames: int
    anchors: int
    slowest: float
    """The lowest speed, in frames of the source per frame of the target."""
    fastest: float
    attacks: int
    files: list[Warped]
    sum: Sum | None
    seconds: float
    realtime_factor: float
    schema: int = 1


class How(msgspec.Struct, frozen=True):
    """Everything about a warp but its map. `guide` is one of the files or another; the first file where it is None.

    `subtype` is a sample format of WAV, 32-bit float by default. `overs` says what becomes of samples beyond full
    scale in integer formats: refused where it is None.
    """

    mode: WarpMode = "linked"
    guide: str | None = None
    subtype: str = "FLOAT"
    overs: Literal["clip"] | None = None
    options: Options = PLAIN


def warp(
    paths: Sequence[Path],
    folder: Path,
    request: MapRequest,
    how: How,
    *,
    save_map: Path | None = None,
    force: bool = False,
) -> Operation[WarpReport]:
    """Makes the map that is asked for, warps the files along it, and writes it to `save_map`, too.

    Raises UnbakeError as `make_map` and `warp_files` do, before anything is written.
    """
    guide = probe(_guide(paths, how))
    _check_alike(guide, [probe(path) for path in paths])
    name = None if save_map is None else format_of(save_map)
    if save_map is not None:
        check_output(save_map, [*paths, guide.path], force)
    stems = {path.stem: path for path in paths if str(path) != guide.path}
    made = yield from make_map(guide, stems, request, with_beats=name in TEMPI)
    content = None if name is None else exported(name, made.time_map, guide, made.beats)
    report = yield from warp_files(paths, folder, made.time_map, how, force=force)
    if save_map is not None and content is not None:
        write_bytes_atomically(save_map, content, force=force)
    return report


def warp_session(session_path: Path, request: MapRequest | None) -> Operation[Session]:
    """Gives a session on disk the time map that is asked for, or takes it out: one edit of its history.

    Beats are looked for in the stems where they are at hand. Raises UnbakeError as `make_map` does.
    """
    session = sessions.load(session_path)
    time_map = TimeMap()
    if request is not None:
        stems = sessions.stem_paths(stems_at_hand(session))
        time_map = (yield from make_map(probe(session.source.path), stems, request)).time_map
    what = edits.set_warp(session, time_map).what

    def change(before: Session | None) -> Session:
        return edits.set_warp(session if before is None else before, time_map).session

    return history.edit(session_path, change, what)


def warp_files(
    paths: Sequence[Path], folder: Path, time_map: TimeMap, how: How, *, force: bool = False
) -> Operation[WarpReport]:
    """Warps files of one rate and length together, each to NAME.wav in `folder`, which is made if it is missing.

    All appear or none. Raises UnbakeError for files that don't belong together, a map that is not theirs, an output
    that can't be written, or samples that an integer format can't hold.
    """
    started = time.monotonic()
    check_options(how.mode, how.options)
    guide_path = _guide(paths, how)
    infos = [probe(path) for path in paths]
    guide_info = next((info for path, info in zip(paths, infos, strict=True) if path == guide_path), None)
    guide_info = probe(guide_path) if guide_info is None else guide_info
    _check_alike(guide_info, infos)
    frames, rate = guide_info.frames, guide_info.sample_rate
    time_map.check_fits(frames, str(guide_path))
    outs = _outputs(paths, folder, [guide_path, *paths], force=force)
    formats = [output_format(info, out, how.subtype) for info, out in zip(infos, outs, strict=True)]
    with ExitStack() as stack:
        attacks = no_attacks()
        guide = stack.enter_context(open_reader(guide_path))
        if needs_attacks(how.mode) and not time_map.identity:
            attacks = yield from attacks_of(guide_path)
            if not len(attacks[0]):
                without = "slices are cut on an even grid" if how.mode == "beats" else "only anchors are held in place"
                yield Note(f"no attacks were found in {guide_path}: {without}")
        readers = [stack.enter_context(open_reader(path)) for path in paths]
        before = _Summing(guide_path, infos, guide_info.channels)
        sounds: list[Sound] = [before.tap(number, FileSound(reader)) for number, reader in enumerate(readers)]
        warper = yield from warper_of(how.mode, FileSound(guide), sounds, time_map, frames, rate, attacks, how.options)
        if isinstance(warper, Rubberband):
            stack.callback(warper.close)
        _make(folder)
        writers = [
            stack.enter_context(open_writer(out, fmt, frames=warper.frames, force=force))
            for out, fmt in zip(outs, formats, strict=True)
        ]
        tracks = [_Output(writer, how.overs, moved=not time_map.identity) for writer in writers]
        after = _Summing(guide_path, infos, guide_info.channels)
        for start in range(0, warper.frames, BLOCK_FRAMES):
            for number, block in enumerate(warper.read(min(BLOCK_FRAMES, warper.frames - start))):
                after.add(number, tracks[number].write(block))
            done = min(start + BLOCK_FRAMES, warper.frames)
            yield Progress("warping", done, warper.frames, warper.frames / rate)
        tags = []
        for path in paths:
            metadata, dropped = along(read_metadata(path), time_map, frames, rate)
            if dropped:
                yield Note(f"{path.name}: {', '.join(dropped)} can't follow the time map, and are left out")
            tags.append(metadata)
        written = [writer.finish(metadata) for writer, metadata in zip(writers, tags, strict=True)]
        found = []
        for number, (reader, path) in enumerate(zip(readers, written, strict=True)):
            yield Progress("measuring", number, len(written))
            with open_reader(path) as result:
                found.append(drift_of(reader, result, attacks[0], time_map))
        for reader in (guide, *readers):
            check_unchanged(reader.info.path, reader.fingerprint)
        for writer, metadata in zip(writers, tags, strict=True):
            writer.commit(metadata)
    slowest, fastest = speeds(time_map, frames)
    seconds = time.monotonic() - started
    return WarpReport(
        mode=how.mode,
        guide=str(guide_path),
        sample_rate=rate,
        source_frames=frames,
        frames=warper.frames,
        anchors=len(time_map.anchors),
        slowest=slowest,
        fastest=fastest,
        attacks=len(attacks[0]),
        files=[
            Warped(str(path), str(out), info.channels, fmt.subtype, track.peak_dbfs, track.overs, drift)
            for path, out, info, fmt, track, drift in zip(paths, outs, infos, formats, tracks, found, strict=True)
        ],
        sum=None if before.peak is None or after.peak is None else Sum(to_dbfs(before.peak), to_dbfs(after.peak)),
        seconds=seconds,
        realtime_factor=frames / rate / seconds,
    )


def _guide(paths: Sequence[Path], how: How) -> Path:
    """The guide, by the name it has among the files where it is one of them."""
    if how.guide is None:
        return paths[0]
    return next((path for path in paths if same_file(path, Path(how.guide))), Path(how.guide))


def _check_alike(guide: AudioInfo, infos: Sequence[AudioInfo]) -> None:
    """Raises UnbakeError naming the first file that is not of the guide's rate and length."""
    if not guide.frames:
        raise UnbakeError("holds no sound", where=guide.path)
    for info in infos:
        for what, ours, theirs in (
            ("sample rate", guide.sample_rate, info.sample_rate),
            ("length in frames", guide.frames, info.frames),
        ):
            if ours != theirs:
                raise UnbakeError(
                    f"its {what} is {theirs}, but that of the guide {guide.path} is {ours}",
                    where=info.path,
                    remedy="files that are warped together are of one rate and length",
                )


def _outputs(paths: Sequence[Path], folder: Path, sources: Sequence[Path], *, force: bool) -> list[Path]:
    """Where each file goes. Raises UnbakeError when two go to one place, or one can't be written."""
    if folder.exists() and not folder.is_dir():
        raise UnbakeError("is a file, not a folder", where=folder)
    if not folder.absolute().parent.is_dir():
        raise UnbakeError("the folder to write to does not exist", where=folder, remedy=f"make {folder.parent} first")
    outs: dict[Path, Path] = {}
    for path in paths:
        out = folder / f"{path.stem}.wav"
        if out in outs:
            raise UnbakeError(f"would be written twice: {outs[out]} and {path} have one name", where=out)
        outs[out] = path
        if folder.is_dir():
            check_output(out, sources, force)
    return list(outs)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error


class _Output:
    """A file on its way to the disk, with the peak and the overs of what went there."""

    def __init__(self, writer: AudioWriter, overs: Literal["clip"] | None, *, moved: bool) -> None:
        self._writer = writer
        self._bits = integer_bits(writer.fmt.subtype)
        # what is not moved comes out as it went in
        self._dither = TpdfDither(writer.out.name.encode(), writer.fmt.channels) if moved else None
        self._policy = overs
        self._peak = 0.0
        self.overs = 0

    @property
    def peak_dbfs(self) -> float | None:
        """The largest sample, before it was rounded or cut."""
        return to_dbfs(self._peak)

    def write(self, block: Block) -> Block:
        """Appends a block and gives it back as it reads from the file."""
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))
        if self._bits is None:
            self._writer.write(block)
            return block.astype(np.float32).astype(np.float64) if self._writer.fmt.subtype == "FLOAT" else block
        self.overs += count_overs(block, self._bits)
        if self.overs and self._policy is None:
            raise UnbakeError(
                f"is beyond full scale by {to_dbfs(self._peak):+.2f} dBFS, which {self._bits} bits can't hold; nothing "
                "was written",
                where=self._writer.out,
                remedy="write --subtype float, or say --overs clip",
            )
        noise = None if self._dither is None else self._dither.block(self._writer.frame, block.shape[1])
        codes = quantise(block, self._bits, noise)
        self._writer.write_codes(codes)
        return codes_to_float(codes, self._bits)


class _Summing:
    """The peak of the guide minus all the others, as blocks of each come in; None where they can't be its parts."""

    def __init__(self, guide: Path, infos: Sequence[AudioInfo], channels: int) -> None:
        self._signs = [1.0 if info.path == str(guide) else -1.0 for info in infos]
        others = [info.channels for info, sign in zip(infos, self._signs, strict=True) if sign < 0.0]
        self._possible = len(infos) - len(others) == 1 and len(others) > 1 and all(n in (1, channels) for n in others)
        self._done = [0] * len(infos)
        self._first = 0
        self._held = np.zeros((channels, 0))
        self._peak = 0.0

    @property
    def peak(self) -> float | None:
        """The largest sample so far, linear."""
        return self._peak if self._possible else None

    def tap(self, number: int, sound: Sound) -> Sound:
        """A sound that is added as it is read."""
        return _Tap(self, number, sound) if self._possible else sound

    def add(self, number: int, block: Block) -> None:
        """Takes the next block of a file. What has come of all of them is looked at, and let go of."""
        if not self._possible:
            return
        start = self._done[number] - self._first
        end = start + block.shape[1]
        if end > self._held.shape[1]:
            self._held = np.pad(self._held, ((0, 0), (0, end - self._held.shape[1])))
        self._held[:, start:end] += self._signs[number] * block
        self._done[number] += block.shape[1]
        whole = min(self._done) - self._first
        if whole:
            self._peak = max(self._peak, float(np.abs(self._held[:, :whole]).max()))
            self._held = self._held[:, whole:]
            self._first += whole


class _Tap:
    """A `Sound` that a sum is told of."""

    def __init__(self, summing: _Summing, number: int, sound: Sound) -> None:
        self._summing = summing
        self._number = number
        self._sound = sound
        self.channels = sound.channels

    def read(self, frames: int) -> Block:
        block = self._sound.read(frames)
        self._summing.add(self._number, block)
        return block
