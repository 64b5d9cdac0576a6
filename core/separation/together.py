"""Runs an ensemble: every model it takes by itself, through the store, then their estimates made into one set.

What each model gave stays in the store as a set of its own, so that an ensemble that was stopped, or shares a model
with another one, does no model's work twice. The residual is what the stems of the result leave: the sum law holds
whatever was combined.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core.audio.hashes import check_unchanged, fingerprint, hashing
from core.audio.probe import probe
from core.errors import UnbakeError
from core.events import Operation, Progress
from core.separation import learnt
from core.separation.assemble import RESIDUAL, FileTrack
from core.separation.combine import Less, Mean, Median, Spectral, by_bands, loudest, quietest
from core.separation.device import check_device_name, check_precision
from core.separation.plan import hop_of
from core.separation.separate import (
    SeparationRequest,
    describe,
    put,
    registered,
    reuse_or_make,
    separate,
    stored_bytes,
    take_from,
)
from core.separation.store import Recipe, StemSet, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from core.audio.formats import AudioInfo
    from core.separation.assemble import Track
    from core.separation.ensembles import Ensemble, Member, Take
    from core.separation.separate import Network
    from core.separation.variant import Variant

    Find = Callable[[str], Network]


class Pass(NamedTuple):
    """One model over one input in one way. `of` is the stem that is its input, "" for the mix."""

    of: str
    model: str
    overlap: float | None
    variant: Variant


def recipe_of(source_sha256: str, request: SeparationRequest, ensemble: Ensemble, find: Find = registered) -> Recipe:
    """What decides the samples of an ensemble's stems. Refuses stems that it doesn't make, and unknown models."""
    unknown = [stem for stem in request.stems if stem not in ensemble.stems]
    if unknown:
        what = f'the ensemble {ensemble.name} has no stem "{unknown[0]}"'
        raise UnbakeError(what, where="stems", remedy=f"it has: {', '.join(ensemble.stems)}")
    overlap = ensemble.overlap if request.overlap is None else float(request.overlap)
    networks = [find(model) for model in ensemble.models]
    for network in networks:
        hop_of(network.chunk, overlap)
    versions = [network.version for network in networks]
    return Recipe(
        source_sha256=source_sha256,
        model=ensemble.name,
        network_version=ensemble.version(versions),
        stems=tuple(stem for stem in ensemble.stems if stem in request.stems or not request.stems),
        overlap=overlap,
        precision=learnt.settle(request.precision, request.device, versions),
        compiled=request.compiled,
    )


def separate_together(
    source: Path,
    request: SeparationRequest,
    ensemble: Ensemble,
    *,
    source_sha256: str | None = None,
    store: Store | None = None,
    find: Find = registered,
) -> Operation[StemSet]:
    """The stems of a file by an ensemble, out of the store or made now; `find` gives the networks of its models.

    Yields what `core.separation.separate.separate` yields, for one model after the other, then Progress of "writing
    stems". Closing it keeps what the models made. Raises what that raises.
    """
    check_device_name(request.device)
    check_precision(request.precision, request.device)
    store = store or Store()
    before = fingerprint(source)
    info = probe(source)
    recipe_of("", request, ensemble, find)
    if source_sha256 is None:
        source_sha256 = yield from hashing(source)
    recipe = recipe_of(source_sha256, request, ensemble, find)
    run = functools.partial(make, source, request, ensemble, recipe, info, store, find)
    return (yield from reuse_or_make(recipe, store, lambda: run(lambda: check_unchanged(source, before))))


def make(
    source: Path,
    request: SeparationRequest,
    ensemble: Ensemble,
    recipe: Recipe,
    info: AudioInfo,
    store: Store,
    find: Find,
    check_source: Callable[[], None],
) -> Operation[StemSet]:
    """Makes the set of a recipe. The caller holds its lock."""
    superset = store.find_superset(recipe)
    if superset is not None:
        return (yield from take_from(superset, recipe, info, store, check_source))
    request = msgspec.structs.replace(request, precision=recipe.precision)
    takes = needed(ensemble, recipe.stems)
    inputs = {"": (source, recipe.source_sha256)}
    parents = [take for take in takes if ensemble.parts_of(take.stem)]
    for depth in sorted({ensemble.depth_of(take) for take in parents}):
        # stems that others are made from have to be files: a set of their own, as if nothing were made from them
        upper = tuple(take for take in ensemble.takes if ensemble.depth_of(take) <= depth)
        wanted = tuple(take.stem for take in parents if ensemble.depth_of(take) == depth)
        made = yield from separate_together(
            source,
            msgspec.structs.replace(request, stems=wanted),
            msgspec.structs.replace(ensemble, takes=upper),
            source_sha256=recipe.source_sha256,
            store=store,
            find=find,
        )
        inputs |= {stem: (Path(path), made.hashes[stem]) for stem, path in made.stems.items()}
    passes = passes_of(takes, find)
    sets: dict[Pass, StemSet] = {}
    for number, (one, stems) in enumerate(passes.items(), start=1):
        path, sha256 = inputs[one.of]
        asked = msgspec.structs.replace(
            request, model=one.model, stems=stems, overlap=one.overlap or recipe.overlap, variant=one.variant
        )
        operation = separate(path, asked, source_sha256=sha256, network=find(one.model), store=store)
        sets[one] = yield from numbered(operation, f"pass {number} of {len(passes)}, {one.model}")
    folder = store.partial_folder(recipe.key())
    try:
        describe(folder, info, recipe)
        store.check_room(stored_bytes(info, len(recipe.stems)))
        tracks = functools.partial(combined, ensemble, takes, recipe.stems, inputs, sets, info.sample_rate, find)
        last = next(reversed(sets.values()))
        made_by = f"{len(sets)} passes of {', '.join(dict.fromkeys(one.model for one in sets))}"
        return (yield from put(recipe, info, tracks, store, check_source, device=last.device, computed_by=made_by))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def needed(ensemble: Ensemble, stems: tuple[str, ...]) -> list[Take]:
    """The takes that wanted stems are made of: their own, what those are made from, and what is taken out of a rest."""
    wanted = {take.stem for take in ensemble.takes if (ensemble.rest_of(take) or take.stem) in stems}
    for take in ensemble.takes:
        if ensemble.rest_of(take) in stems:
            wanted |= {part.stem for part in ensemble.parts_of(take.stem)}
    for take in reversed(ensemble.takes):
        if take.stem in wanted and take.of:
            wanted.add(take.of)
    return [take for take in ensemble.takes if take.stem in wanted]


def passes_of(takes: list[Take], find: Find) -> dict[Pass, tuple[str, ...]]:
    """The passes that takes are made of, each once, with the stems wanted of it; () for all, where the residual counts.

    Refuses a stem that a model doesn't have before any model has run.
    """
    found: dict[Pass, tuple[str, ...]] = {}
    for take in takes:
        for member in take.members:
            network, stem = find(member.model), member.stem or take.stem
            if stem != RESIDUAL and stem not in network.stems:
                what = f'the model {member.model} has no stem "{stem}"'
                raise UnbakeError(what, where=f"take {take.stem}", remedy=f"it has: {', '.join(network.stems)}")
            for one in passes(take, member, network):
                if stem == RESIDUAL or found.get(one) == ():
                    found[one] = ()
                else:
                    found[one] = tuple(dict.fromkeys((*found.get(one, ()), stem)))
    return found


def passes(take: Take, member: Member, network: Network) -> list[Pass]:
    """The passes whose mean is a member's estimate."""
    variants = member.variants(network.sample_rate)
    return [Pass(take.of, member.model, member.overlap, variant) for variant in variants]


@contextlib.contextmanager
def combined(
    ensemble: Ensemble,
    takes: list[Take],
    stems: tuple[str, ...],
    inputs: Mapping[str, tuple[Path, str]],
    sets: Mapping[Pass, StemSet],
    sample_rate: int,
    find: Find,
) -> Iterator[Mapping[str, Track]]:
    """The stems of the result as tracks."""
    with contextlib.ExitStack() as stack:

        def track(take: Take) -> Track:
            return combine(
                take, [estimate(take, member, sets, find(member.model), stack) for member in take.members], sample_rate
            )

        def result(take: Take) -> Track:
            parts = ensemble.parts_of(take.stem)
            return (
                Less(FileTrack(inputs[take.stem][0], stack), [track(part) for part in parts]) if parts else track(take)
            )

        yield {name: result(take) for take in takes if (name := ensemble.rest_of(take) or take.stem) in stems}


def estimate(
    take: Take, member: Member, sets: Mapping[Pass, StemSet], network: Network, stack: contextlib.ExitStack
) -> Track:
    """What a member makes of the take's stem: the mean over the ways in which it heard the mix."""
    stem = member.stem or take.stem
    found = [sets[one] for one in passes(take, member, network)]
    files = [each.residual if stem == RESIDUAL else each.stems[stem] for each in found]
    tracks = [FileTrack(Path(file), stack) for file in files]
    return tracks[0] if len(tracks) == 1 else Mean(tracks)


def combine(take: Take, estimates: list[Track], sample_rate: int) -> Track:
    """The estimates of a take made into one."""
    if len(estimates) == 1:
        return estimates[0]
    if take.combine == "mean":
        return Mean(estimates, [member.weight for member in take.members])
    if take.combine == "median":
        return Median(estimates)
    if take.combine == "bands":
        return Spectral(estimates, by_bands([member.from_hz for member in take.members], sample_rate))
    return Spectral(estimates, quietest if take.combine == "quietest" else loudest)


def numbered(operation: Operation[StemSet], which: str) -> Operation[StemSet]:
    """An operation whose progress says which of several it is."""
    with contextlib.closing(operation):
        while True:
            try:
                event = next(operation)
            except StopIteration as stop:
                return stop.value
            if isinstance(event, Progress):
                yield msgspec.structs.replace(event, stage=f"{event.stage} ({which})")
            else:
                yield event
