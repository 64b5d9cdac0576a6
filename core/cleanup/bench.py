"""The bench itself: steps one after another over a file, each on what the one before it made.

What a step takes away is a set of its own in the stem store, keyed by the file it heard and all that it was told: its
one stem, `removed`, is what was there less what the step made of it, and its residual is what is heard on. So a change
of one step does nothing again but that step and those behind it, and where nothing was taken away `removed` is exactly
zero, whatever the sample format.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from core.atomic import write_bytes_atomically
from core.audio.hashes import check_unchanged, fingerprint, hashing
from core.audio.probe import examine, probe
from core.audio.read import AudioReader, open_reader, read_blocks
from core.audio.samples import refuse_bad
from core.audio.speakers import mask_of_speakers
from core.audio.write import OutputFormat, open_writer
from core.cleanup.cleaner import Finding
from core.cleanup.network import Taken, cleaned_by, kept_stem, version_of
from core.cleanup.steps import VERSIONS, cleaner
from core.cleanup.weighing import BESIDE_CLIPPING, LIKE_CLIPPING, beside_clipping, leaves_clipping
from core.events import Operation, Progress
from core.separation.assemble import RESIDUAL, FileTrack
from core.separation.separate import describe, make_folder, put, reuse_or_make, stored_bytes
from core.separation.store import Recipe, StemSet, Store, Unusable
from core.session.cleaning import NOTHING, CleanupStep, NetworkStep
from core.session.parameters import title_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.audio.formats import AudioInfo, Block
    from core.cleanup.cleaner import Cleaner
    from core.separation.assemble import Track

REMOVED = "removed"
FINDING = "finding.json"
"""What was found, beside the files of a set."""
SHARE = "share-1"
NOT_TOLD = ("strength", "apply", "hash", "bypass")
"""Fields of a step that its method doesn't hear of."""


class Done(NamedTuple):
    """One step that was carried out. `made` holds what it took away at full strength; None where that is nothing."""

    step: CleanupStep
    finding: Finding
    made: StemSet | None

    @property
    def removed(self) -> Path | None:
        """The file of what was taken away at full strength: float32, as long as what it heard."""
        return None if self.made is None else Path(self.made.stems[REMOVED])

    @property
    def pinned(self) -> CleanupStep:
        """The step with the hash of what it took away."""
        return msgspec.structs.replace(self.step, hash=NOTHING if self.made is None else self.made.hashes[REMOVED])


class Cleaned(NamedTuple):
    """A file behind the bench: what to hear on from (the file itself where nothing was taken away), and its SHA-256.

    `done` has as many items as there were steps; None stands for those that were bypassed or neutral.
    """

    path: Path
    sha256: str
    done: tuple[Done | None, ...] = ()


class Numbers(AudioReader):
    """A reader that refuses what is not a number, with its place."""

    def read(self, frames: int) -> Block:
        """As `AudioReader.read`. Raises UnbakeError at a NaN or infinite sample, too."""
        start = self.frame
        block = super().read(frames)
        refuse_bad(block, start, self.info)
        return block


def clean(
    path: Path,
    steps: Sequence[CleanupStep],
    *,
    sha256: str | None = None,
    device: str = "auto",
    least_confidence: float = 0.0,
    onward: bool = True,
    store: Store | None = None,
) -> Operation[Cleaned]:
    """Runs the active ones of `steps` over a file, in order; what they did before comes out of the store.

    `sha256` saves hashing the file where the caller vouches for it; `device` is for networks. What is found with less
    than `least_confidence` is left as it is. Without `onward` what is heard behind the last step is not made: `path`
    and `sha256` are of what it heard. Yields Progress and
    Notes. Raises UnbakeError for a file that can't be read, holds samples that are no numbers or changes meanwhile, a
    step that can't be done as asked, and a store without room.
    """
    store = store or Store()
    for step in steps:
        if step.active and isinstance(step, NetworkStep):
            kept_stem(step)  # what can't be is said before anything is done
    before = fingerprint(path)
    if sha256 is None:
        sha256 = yield from hashing(path)
    heard = Cleaned(path, sha256)
    done: list[Done | None] = []
    clipped = False
    for place, step in enumerate(steps):
        if not step.active:
            done.append(None)
            continue
        least = least_confidence
        if clipped and kind_of(step) in LIKE_CLIPPING and least_confidence > BESIDE_CLIPPING:
            least = math.inf
        result = yield from _carried_out(heard, step, device, least, store)
        clipped = clipped or leaves_clipping(result.finding)
        if clipped:
            result = result._replace(finding=beside_clipping(result.finding))
        done.append(result)
        if onward or any(later.active for later in steps[place + 1 :]):
            heard = yield from _behind(heard, result, store)
    check_unchanged(path, before)
    return heard._replace(done=tuple(done))


def find(path: Path, step: CleanupStep) -> Operation[Finding]:
    """What a step would find in a file; a network finds nothing. Raises UnbakeError as `clean` does."""
    if isinstance(step, NetworkStep):
        return Finding(type="network", found=False, confidence=0.0, detail=f"{step.model} is not asked for a finding")
    with tempfile.TemporaryDirectory(prefix="unbake-") as folder, ExitStack() as stack:
        opened = yield from _opened(path, step, Path(folder), stack)
        return (yield from opened.find())


def at_hand(path: Path, steps: Sequence[CleanupStep], sha256: str, store: Store | None = None) -> Cleaned | None:
    """What is heard behind steps as far as the store has it; None where one would have to be carried out.

    Computes nothing. A step that is pinned to nothing is believed. `done` is empty.
    """
    store = store or Store()
    heard = Cleaned(path, sha256)
    with contextlib.suppress(Unusable):  # who asks for it next sets it aside, and says so
        for step in steps:
            if not step.active or step.hash == NOTHING:
                continue
            made = store.find(_recipe_of(heard, step))
            if made is not None and step.strength < 1.0:
                made = store.find(_recipe(heard, step, SHARE, (made.hashes[REMOVED], step.strength)))
            if made is None:
                return None
            heard = heard._replace(path=Path(made.residual), sha256=made.hashes[RESIDUAL])
        return heard
    return None


def kind_of(step: CleanupStep) -> str:
    """The step's `type`."""
    return str(step.__struct_config__.tag)


def _carried_out(
    heard: Cleaned, step: CleanupStep, device: str, least_confidence: float, store: Store
) -> Operation[Done]:
    """A step on what is heard, out of the store or done now."""
    recipe = _recipe_of(heard, step)
    if isinstance(step, NetworkStep):
        make = functools.partial(_by_network, heard, step, recipe, device, store)
    else:
        make = functools.partial(_by_method, heard, step, recipe, least_confidence, store)
    made = yield from reuse_or_make(recipe, store, make)
    if isinstance(made, Finding):
        return Done(step, made, None)
    try:
        finding = msgspec.json.decode((Path(made.folder) / FINDING).read_bytes(), type=Finding)
    except (
        OSError,
        msgspec.DecodeError,
    ):  # killed before it was written, or damaged: what was found can be found again
        finding = yield from find(heard.path, step)
        _keep(finding, made)
    return Done(step, finding, made if finding.confidence >= least_confidence else None)


def _recipe_of(heard: Cleaned, step: CleanupStep) -> Recipe:
    """What decides the samples of a step's own set."""
    version = version_of(step) if isinstance(step, NetworkStep) else VERSIONS[kind_of(step)]
    told = {name: value for name, value in msgspec.structs.asdict(step).items() if name not in NOT_TOLD}
    return _recipe(heard, step, version, told)


def _recipe(heard: Cleaned, step: CleanupStep, version: str, told: Any) -> Recipe:
    """What decides the samples of a set: what is heard, the method, and all that it was told."""
    of = hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()
    return Recipe(heard.sha256, f"clean-{kind_of(step)}", f"{version}-{of}", (REMOVED,))


def _by_method(
    heard: Cleaned, step: CleanupStep, recipe: Recipe, least_confidence: float, store: Store
) -> Operation[StemSet | Finding]:
    """Looks for the fault, and takes it out; only the finding where nothing is done. The caller holds the lock."""
    folder, info = store.partial_folder(recipe.key()), probe(heard.path)
    title = title_of(type(step))
    try:
        describe(folder, info, recipe)
        with ExitStack() as stack:
            opened = yield from _opened(heard.path, step, folder, stack)
            finding = yield from opened.find()
            if not finding.found or finding.confidence < least_confidence:
                return finding

            @contextlib.contextmanager
            def tracks() -> Iterator[Mapping[str, Track]]:
                with open_reader(info.path) as whole:
                    yield {REMOVED: _Removed(whole, opened)}

            made = yield from _put(heard, info, recipe, tracks, store, title)
        _keep(finding, made)
        return made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _by_network(heard: Cleaned, step: NetworkStep, recipe: Recipe, device: str, store: Store) -> Operation[StemSet]:
    """Has a network clean what is heard. The caller holds the lock."""
    kept = yield from cleaned_by(heard.path, heard.sha256, step, device)
    folder, info = store.partial_folder(recipe.key()), probe(heard.path)

    @contextlib.contextmanager
    def tracks() -> Iterator[Mapping[str, Track]]:
        with ExitStack() as stack:
            yield {REMOVED: Taken(heard.path, kept, stack)}

    try:
        describe(folder, info, recipe)
        made = yield from _put(heard, info, recipe, tracks, store, title_of(type(step)))
        detail = f"what {step.model} leaves beside its stem {kept_stem(step)}"
        _keep(Finding(type=kind_of(step), found=True, confidence=1.0, detail=detail), made)
        return made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _behind(heard: Cleaned, done: Done, store: Store) -> Operation[Cleaned]:
    """What is heard on behind a step, at the strength it has."""
    made, step = done.made, done.step
    if made is None:
        return heard
    if step.strength < 1.0:
        told = (made.hashes[REMOVED], step.strength)
        made = yield from reuse_or_make(
            recipe := _recipe(heard, step, SHARE, told), store, lambda: _share(heard, done, recipe, store)
        )
    return heard._replace(path=Path(made.residual), sha256=made.hashes[RESIDUAL])


def _share(heard: Cleaned, done: Done, recipe: Recipe, store: Store) -> Operation[StemSet]:
    """A set of what a step took away, by its strength. The caller holds the lock."""
    folder, info = store.partial_folder(recipe.key()), probe(heard.path)
    assert done.removed is not None
    removed = done.removed

    @contextlib.contextmanager
    def tracks() -> Iterator[Mapping[str, Track]]:
        with ExitStack() as stack:
            yield {REMOVED: _Share(FileTrack(removed, stack), done.step.strength)}

    try:
        describe(folder, info, recipe)
        return (yield from _put(heard, info, recipe, tracks, store, title_of(type(done.step))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(
    heard: Cleaned,
    info: AudioInfo,
    recipe: Recipe,
    tracks: Callable[[], AbstractContextManager[Mapping[str, Track]]],
    store: Store,
    title: str,
) -> Operation[StemSet]:
    """Puts what was taken away into the store, with what is left, under the step's own words."""
    store.check_room(stored_bytes(info, 1))
    before = fingerprint(heard.path)
    operation = put(
        recipe,
        info,
        tracks,
        store,
        lambda: check_unchanged(heard.path, before),
        device="none",
        computed_by=recipe.model,
    )
    with contextlib.closing(operation):
        while True:
            try:
                event = next(operation)
            except StopIteration as stop:
                return stop.value
            if isinstance(event, Progress):
                event = msgspec.structs.replace(event, stage=event.stage.replace("writing stems", title))
            yield event


def _keep(finding: Finding, made: StemSet) -> None:
    write_bytes_atomically(Path(made.folder) / FINDING, msgspec.json.encode(finding), force=True)


def _opened(path: Path, step: CleanupStep, folder: Path, stack: ExitStack) -> Operation[Cleaner[Any]]:
    """A step before a reader that goes anywhere: of the file itself, or of a copy in `folder` where that can't."""
    reader = stack.enter_context(Numbers(examine(path)))
    if reader.random_access:
        return cleaner(reader, step)
    info = reader.info
    mask = mask_of_speakers(info.speakers) if info.channels > 2 else None
    fmt = OutputFormat("WAV", "DOUBLE", info.sample_rate, info.channels, info.speakers, mask)
    make_folder(folder)
    copy = folder / "heard.wav"
    with open_writer(copy, fmt, frames=info.frames, force=True) as writer:
        for block in read_blocks(reader):
            writer.write(block)
            yield Progress("decoding", reader.frame, info.frames, info.seconds)
        writer.commit()
    return cleaner(stack.enter_context(open_reader(copy)), step)


class _Removed:
    """What a step takes away, as a track: the file less the cleaned file."""

    def __init__(self, whole: AudioReader, opened: Cleaner[Any]) -> None:
        self._whole = whole
        self._cleaned = opened.blocks()
        self._held: Block = np.zeros((whole.info.channels, 0))

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        pieces, count = [self._held], self._held.shape[1]
        while count < frames:
            pieces.append(next(self._cleaned))
            count += pieces[-1].shape[1]
        joined = np.concatenate(pieces, axis=1)
        self._held = joined[:, frames:].copy()
        return (self._whole.read(frames) - joined[:, :frames]).astype(np.float32)


class _Share:
    """A share of a track."""

    def __init__(self, track: Track, share: float) -> None:
        self._track = track
        self._share = np.float32(share)

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        return self._track.read(frames) * self._share
