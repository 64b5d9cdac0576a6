"""Separation from a file to a set of stems in the store: looked up, taken up, or made.

One way for every file: the channel groups are written as the network hears them, the network's stems are appended to
work files as they are finished, and at the end source and stems are read side by side to write the set. Whatever stops
it, the next run of the same recipe goes on where this one was safe.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
import numpy as np

from core.atomic import write_bytes_atomically
from core.audio.formats import BLOCK_FRAMES
from core.audio.hashes import check_unchanged, fingerprint, sha256_file
from core.audio.probe import probe
from core.audio.rates import Converter, converted_length
from core.audio.read import open_reader
from core.audio.samples import refuse_bad
from core.errors import UnbakeError, os_error
from core.events import Note, Operation, Progress
from core.separation import device as devices
from core.separation import engine as engines
from core.separation import learnt, order
from core.separation.assemble import RESIDUAL, assemble, file_tracks, work_tracks
from core.separation.device import Precision
from core.separation.engine import Scale
from core.separation.layout import groups_of
from core.separation.lock import Lock
from core.separation.plan import ChunkPlan, hop_of
from core.separation.store import ABOUT, About, Recipe, StemSet, Store, Unusable, new_entry
from core.separation.variant import Variant
from core.separation.work import State, Work, folder_bytes, read_extended

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import nn

    from core.audio.formats import AudioInfo
    from core.separation.assemble import Track
    from core.separation.layout import Group

Made = TypeVar("Made")
WAIT_SECONDS = 0.5
LEAST_SECONDS = 10.0
"""What runs shorter says nothing about a network's speed."""
SPAN_HOPS = 8
"""How many hops the first span is long when a run begins somewhere in the file."""
LEAST_VARIANCE = 1e-16
"""Of a track quieter than -160 dBFS nothing is brought up."""
SPARE_BYTES = 16 << 20
"""Room for headers, states and other programs beside what a separation is known to need."""


class SeparationRequest(msgspec.Struct, frozen=True):
    """What an engineer asks for.

    `stems` empty means all stems of the model; `overlap` is passes over the audio (1.25 to 16; None for what the
    model's card says), `device` one of auto, cpu, cuda, cuda:N. `precision` "auto" is the
    fastest that was verified for the model on this machine. `compiled` has torch compile the network first.
    `from_seconds` is where to begin: the stems are the same, but what lies there is separated first, then outward.
    `variant` is for ensembles, whose models hear the mix in more than one way. `sensitivity` by stem, 0 to 10, is
    carried out by `core.separation.stems.separate`, which makes other stems from those that are separated here.
    """

    model: str = "starter"
    stems: tuple[str, ...] = ()
    overlap: float | None = None
    device: str = "auto"
    precision: Precision | Literal["auto"] = "fp32"
    compiled: bool = False
    from_seconds: float = 0.0
    variant: Variant = Variant()
    sensitivity: dict[str, float] = {}


class Network(msgspec.Struct, frozen=True):
    """What the separation has to know of a network, and how to get it when it is really needed.

    `stems` is the order of its outputs, `sample_rate` in Hz, `chunk` in frames at that rate, `overlap` in passes;
    `version` changes with every change of the samples it gives. `load(device)` gives the module: float32
    [batch, 2, chunk] to float32 [batch, stems, 2, chunk]. `normalised` networks hear the whole track brought to a mean
    of 0 and a deviation of 1. `caution` is what whoever uses its stems must know.
    """

    name: str
    stems: tuple[str, ...]
    sample_rate: int
    chunk: int
    version: str
    load: Callable[[str], nn.Module]
    overlap: float = 2.0
    caution: str = ""
    normalised: bool = False


def registered(name: str) -> Network:
    """The network of a model card. Does not import torch, and does not ask whether the weights are here."""
    from models import registry

    card = registry.find(name)
    version = registry.network_version(card)
    return Network(
        name=card.name,
        stems=tuple(card.stems),
        sample_rate=card.sample_rate,
        chunk=card.chunk,
        version=version,
        load=lambda device: registry.load(card, device),
        overlap=card.overlap,
        caution=card.caution,
        normalised=card.normalise == "track",
    )


def recipe_of(source_sha256: str, request: SeparationRequest, network: Network) -> Recipe:
    """What decides the samples of the request, with the stems in the model's order.

    Refuses stems that the model doesn't have, and an overlap out of range.
    """
    unknown = [stem for stem in request.stems if stem not in network.stems]
    if unknown:
        what = f'the model {network.name} has no stem "{unknown[0]}"'
        raise UnbakeError(what, where="stems", remedy=f"it has: {', '.join(network.stems)}")
    for stem in network.stems:
        if stem == RESIDUAL or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]*", stem):
            raise UnbakeError(f'"{stem}" can\'t be the name of a stem', where=network.name, remedy="mend its card")
    overlap = network.overlap if request.overlap is None else float(request.overlap)
    hop_of(network.chunk, overlap)
    return Recipe(
        source_sha256=source_sha256,
        model=network.name,
        network_version=network.version,
        stems=tuple(stem for stem in network.stems if stem in request.stems or not request.stems),
        overlap=overlap,
        precision=learnt.settle(request.precision, request.device, [network.version]),
        compiled=request.compiled,
        variant=request.variant.name,
    )


def separate(
    source: Path,
    request: SeparationRequest,
    *,
    source_sha256: str | None = None,
    network: Network | None = None,
    store: Store | None = None,
) -> Operation[StemSet]:
    """The stems of a file, out of the store or made now.

    `source_sha256` saves hashing the file when the caller vouches for it; `network`, when given, stands for the model
    of that name. Yields notes (first of them the model's caution), and Progress of "reading", "separating STEMS"
    (frames of all channel groups, with the seconds of audio), "writing stems" and "checking stems". Closing it keeps
    what was computed in the store, to be taken up by the next call. Raises UnbakeError for an unknown model, stem or
    device, an overlap out of range, a source that holds samples that are no numbers or changes meanwhile, a store
    without room, and a network that fails.
    """
    devices.check_device_name(request.device)
    devices.check_precision(request.precision, request.device)
    if not 0.0 <= request.from_seconds < math.inf:
        raise UnbakeError("must be a time in the file, 0 or later", where=f"from {request.from_seconds:g} s")
    network = network or registered(request.model)
    recipe_of("", request, network)  # what is wrong with the request is said before a long file is hashed
    store = store or Store()
    before = fingerprint(source)
    info = probe(source)
    if network.caution:
        yield Note(f"stems by {network.name}: {network.caution}")
    if source_sha256 is None:
        yield Progress("reading", 0, info.frames, info.seconds)
        source_sha256 = sha256_file(source)
    recipe = recipe_of(source_sha256, request, network)

    def check_source() -> None:
        check_unchanged(source, before)

    def make() -> Operation[StemSet]:
        superset = store.find_superset(recipe)
        if superset is not None:
            return (yield from take_from(superset, recipe, info, store, check_source))
        return (yield from run(recipe, request, network, info, store, check_source))

    return (yield from reuse_or_make(recipe, store, make))


def reuse_or_make(recipe: Recipe, store: Store, make: Callable[[], Operation[Made]]) -> Operation[StemSet | Made]:
    """The set of a recipe out of the store, else what `make` puts there or gives instead, under the recipe's lock."""
    with contextlib.suppress(Unusable):  # it is set aside below, by the one who holds the lock
        found = store.find(recipe)
        if found is not None:
            for text in found.notes:
                yield Note(text)
            return found
    with store.lock(recipe.key()) as lock:
        yield from acquire(lock)
        try:
            found = store.find(recipe)
        except Unusable as unusable:
            aside = store.set_aside(unusable.folder)
            yield Note(f"stored stems can't be used: {unusable.reason}; made again (the old ones are in {aside})")
            found = None
        if found is None:
            return (yield from make())
        for text in found.notes:
            yield Note(text)
        return found


def acquire(lock: Lock) -> Operation[None]:
    """Waits for a lock, saying so; can be cancelled while it waits."""
    if lock.acquire():
        return
    yield Note(f"{lock.holder()} is making these stems: waiting for it")
    while not lock.acquire():
        yield Progress("waiting for another separation", 0, 1)
        time.sleep(WAIT_SECONDS)


def run(
    recipe: Recipe,
    request: SeparationRequest,
    network: Network,
    info: AudioInfo,
    store: Store,
    check_source: Callable[[], None],
) -> Operation[StemSet]:
    """Makes the stems of a recipe, from the start or from where an earlier run stopped. The caller holds the lock."""
    groups = groups_of(info.speakers)
    device = devices.resolve_device(request.device)
    devices.check_precision(recipe.precision, device)
    computed_by = devices.describe_device(device)
    work = Work(store.partial_folder(recipe.key()), groups, recipe.stems)
    try:
        work.open()
        if work.state.computed_by not in ("", computed_by):
            yield Note(f"an earlier run stopped on another device or library ({work.state.computed_by}): starting anew")
            work.reset()
        describe(work.folder, info, recipe)
        store.check_room(max(0, needed_bytes(info, groups, network, len(recipe.stems)) - folder_bytes(work.folder)))
        if work.state.frames == 0:
            length, scales = yield from prepare(info, work, network)
            check_source()
            work.save(State(frames=length, scales=scales, computed_by=computed_by))
        first = min(work.state.frames - 1, int(request.from_seconds * network.sample_rate))
        finding = yield from run_network(recipe, network, device, info, work, first, request.variant)
        if finding is not None:
            auto = request.device == "auto"
            learnt.remember(network.version, computed_by, recipe.precision, finding, auto=auto)
        check_source()
        tracks = functools.partial(work_tracks, work, network.sample_rate, info)
        result = yield from put(recipe, info, tracks, store, check_source, device=device, computed_by=computed_by)
    except BaseException:
        # Without finished frames there is nothing to take up.
        if not work.state.done_frames():
            work.discard()
        raise
    work.discard()
    return result


def take_from(
    superset: StemSet, recipe: Recipe, info: AudioInfo, store: Store, check_source: Callable[[], None]
) -> Operation[StemSet]:
    """Some stems of a set that is here with more of them: the files again, and a residual that holds the rest."""
    yield Note(f"taken from stored stems of the same model: {', '.join(superset.stems)}")
    folder = store.partial_folder(recipe.key())
    try:
        describe(folder, info, recipe)
        store.check_room(stored_bytes(info, len(recipe.stems)))
        tracks = functools.partial(file_tracks, {stem: Path(superset.stems[stem]) for stem in recipe.stems})
        by = f"taken from {Path(superset.folder).name}"
        return (yield from put(recipe, info, tracks, store, check_source, device=superset.device, computed_by=by))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put(
    recipe: Recipe,
    info: AudioInfo,
    tracks: Callable[[], AbstractContextManager[Mapping[str, Track]]],
    store: Store,
    check_source: Callable[[], None],
    *,
    device: str,
    computed_by: str,
    notes: Sequence[str] = (),
) -> Operation[StemSet]:
    """Assembles the files of a recipe from tracks and puts them into the store whole."""
    folder = store.partial_folder(recipe.key()) / "entry"
    try:
        make_folder(folder)
        assembled = yield from assemble(info, folder, tracks)
        check_source()
        entry = new_entry(recipe, info, assembled, device=device, computed_by=computed_by, notes=notes)
        return store.publish(folder, entry)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(info: AudioInfo, work: Work, network: Network) -> Operation[tuple[int, dict[str, Scale]]]:
    """Writes what the network hears of each channel group; gives its length at the network's rate, and its scale.

    Every sample is seen to be a number: a run that would fail in an hour fails here in a second. And what the network
    hears can't change under way.
    """
    length = converted_length(info.frames, info.sample_rate, network.sample_rate)
    done = 0
    loudness = {name: Statistics() for name in work.groups}
    with open_reader(info.path) as reader, work.inputs() as files:
        converters = {
            name: Converter(info.sample_rate, network.sample_rate, len(group.channels), length)
            for name, group in work.groups.items()
        }

        def write(name: str, heard: NDArray[np.float32]) -> None:
            files[name].write(heard.data)
            loudness[name].add(heard)

        while (block := reader.read(BLOCK_FRAMES)).shape[1]:
            refuse_unusable(block, done, info)
            for name, group in work.groups.items():
                frames = np.ascontiguousarray(block[list(group.channels)].T, np.float32)
                write(name, converters[name].push(frames))
            done += block.shape[1]
            yield Progress("reading", done, info.frames, info.seconds)
        for name, converter in converters.items():
            write(name, converter.finish())
    if done != info.frames:
        raise UnbakeError(f"holds {done} frames where its header says {info.frames}", where=info.path)
    return length, {name: each.scale() for name, each in loudness.items()} if network.normalised else {}


class Statistics:
    """Mean and deviation of the mono sum of a signal that comes in blocks, in float64."""

    def __init__(self) -> None:
        self.frames, self.total, self.squares = 0, 0.0, 0.0

    def add(self, block: NDArray[np.float32]) -> None:
        """Counts float32 [n, channels]."""
        mono = block.mean(axis=1, dtype=np.float64)
        self.frames += len(mono)
        self.total += float(mono.sum())
        self.squares += float(mono @ mono)

    def scale(self) -> Scale:
        """What makes the mean 0 and the deviation 1; of silence and of a constant nothing is divided."""
        mean = self.total / max(1, self.frames)
        variance = self.squares / max(1, self.frames) - mean * mean
        return Scale(mean, math.sqrt(variance) if variance > LEAST_VARIANCE else 1.0)


def refuse_unusable(block: NDArray[np.floating], first_frame: int, info: AudioInfo) -> None:
    """Refuses NaN, infinity and what float32 can't hold: one such sample would spoil chunks of every stem."""
    refuse_bad(block, first_frame, info)
    if block.size and max(block.max(), -block.min()) > np.finfo(np.float32).max:
        raise UnbakeError("holds samples beyond what 32-bit floats can, which networks hear", where=info.path)


def run_network(
    recipe: Recipe, network: Network, device: str, info: AudioInfo, work: Work, first_frame: int, variant: Variant
) -> Operation[learnt.Finding | None]:
    """Fills the work files of every channel group with the network's stems, from `first_frame` outward.

    Gives what was found of the network meanwhile, None where nothing was left to do.
    """
    length = work.state.frames
    plan = ChunkPlan(length + variant.shift, network.chunk, hop_of(network.chunk, recipe.overlap))
    stage, total, done = f"separating {'/'.join(recipe.stems)}", length * len(work.groups), work.state.done_frames()
    if done == total:
        return None
    if done:
        yield Note(f"an earlier run is taken up at {100.0 * done / total:.0f}%")
    yield Progress(stage, done, total, info.seconds)
    engine = engines.Engine(
        network.load(device),
        network.name,
        device,
        stems=len(network.stems),
        wanted=[network.stems.index(stem) for stem in recipe.stems],
        precision=recipe.precision,
        compiled=recipe.compiled,
    )
    began, before, hardware = time.monotonic(), done, work.state.computed_by
    try:
        engine.batch = work.state.batch or known_batch(network, hardware, recipe.precision, plan)
        if not engine.batch:
            engine.fit(plan)
        spans = list(order.outward(length, first_frame, plan.hop * SPAN_HOPS))
        for span in spans:
            for name in work.groups:
                for finished in run_span(engine, plan, work, name, span, variant):
                    if isinstance(finished, Note):
                        yield finished
                    else:
                        done += finished
                        yield Progress(stage, done, total, info.seconds)
    finally:
        batch = engine.batch
        engine.close()
    passes = (done - before) / network.sample_rate * recipe.overlap
    took = time.monotonic() - began
    return learnt.Finding(
        realtime_factor=passes / took if took > LEAST_SECONDS else None,
        batch=batch if device != "cpu" and batch < plan.count else None,
    )


def known_batch(network: Network, hardware: str, precision: Precision, plan: ChunkPlan) -> int:
    """The batch that a device was found to have room for, no larger than the plan needs; 0 where none is known."""
    batch = learnt.known(network.version, hardware).get(precision, learnt.Finding()).batch or 0
    while batch >= 2 * plan.count:
        batch //= 2
    return batch


def run_span(
    engine: engines.Engine, plan: ChunkPlan, work: Work, name: str, span: order.Span, variant: Variant
) -> Generator[Note | int, None, None]:
    """Does what is left of a span in one channel group; says how many frames came to those that are done."""
    left = list(order.left_of(span, work.state.done.get(name, ())))
    if not left:
        return
    channels, scale = len(work.groups[name].channels), work.state.scales.get(name, Scale())
    if variant.inverted:
        scale = scale._replace(mean=-scale.mean)
    with work.writing(name) as files, work.input_file(name).open("rb") as heard:
        read = variant.heard(functools.partial(read_extended, heard, channels, work.state.frames))
        for begin, end in left:
            run = engine.run(plan, read, begin + variant.shift, end + variant.shift, scale)
            with contextlib.closing(run) as events:
                for event in events:
                    if isinstance(event, Note):
                        yield event
                    else:
                        files.write(event.start - variant.shift, variant.turned(event.audio), event.batch)
                        yield event.audio.shape[-1]


def describe(folder: Path, info: AudioInfo, recipe: Recipe) -> None:
    """Makes the folder of a separation, with what the store's listing says of it while it isn't finished."""
    make_folder(folder)
    about = About(Path(info.path).name, recipe.model, recipe.stems)
    write_bytes_atomically(folder / ABOUT, msgspec.json.encode(about), force=True)


def make_folder(folder: Path) -> None:
    """Makes a folder, with those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error


def stored_bytes(info: AudioInfo, stems: int) -> int:
    """Bytes of a finished set: every stem and the residual as 32-bit float."""
    return (stems + 1) * info.channels * info.frames * 4 + SPARE_BYTES


def needed_bytes(info: AudioInfo, groups: Sequence[Group], network: Network, stems: int) -> int:
    """Bytes that a separation takes on disk at its peak: the finished set and the work files it is made of."""
    length = converted_length(info.frames, info.sample_rate, network.sample_rate)
    heard = sum(len(group.channels) for group in groups)
    return stored_bytes(info, stems) + (stems + 1) * heard * length * 4
