"""What can be done with models: choosing one by its published figures, fetching its weights, trying it, removing them.

Each is one call for the command line, the app's worker and a test. How a file comes over the network is the business of
`models.fetch`; taking in a checkpoint of the user's that of `core.jobs.adding`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core import places, settings
from core.errors import UnbakeError
from core.events import Operation
from core.jobs.trial import Trial, try_out
from core.separation import ensembles, learnt
from core.separation import stems as stem_sets
from core.separation.device import check_device_name, resolve_device
from core.separation.stems import Choice
from models import registry
from models import weights as weight_files
from models.registry import Card, Score
from models.weights import Weights


class Missing(msgspec.Struct, frozen=True):
    """A file of weights that is not here: where it comes from, its size, and what an earlier fetch left of it."""

    url: str
    bytes: int
    bytes_here: int


class Plan(msgspec.Struct, frozen=True):
    """What fetching a model would bring, for a person to agree to. `missing` is empty when all of it is here."""

    name: str
    about: str
    licence: str
    source: str
    folder: str
    missing: tuple[Missing, ...]

    @property
    def bytes(self) -> int:
        """What is still to be transferred."""
        return sum(each.bytes - each.bytes_here for each in self.missing)


class Fetched(msgspec.Struct, frozen=True):
    """A model whose weights are all here, and which files this call brought."""

    name: str
    licence: str
    files: tuple[str, ...]
    bytes: int
    seconds: float
    schema: int = 1


class Tried(msgspec.Struct, frozen=True):
    """What was found of one model; `problem` when it can't be used as it is."""

    name: str
    device: str
    trials: tuple[Trial, ...] = ()
    problem: str | None = None


class Checked(msgspec.Struct, frozen=True):
    """What was found of several models."""

    models: tuple[Tried, ...]
    passed: bool
    schema: int = 1


class Removed(msgspec.Struct, frozen=True):
    """Files that are gone, and those that stay because other models use them."""

    name: str
    files: tuple[str, ...]
    bytes: int
    kept: tuple[str, ...]
    schema: int = 1


class Speed(msgspec.Struct, frozen=True):
    """How fast a model ran here: seconds of audio per second of one pass, in the precision that `auto` takes."""

    device: str
    precision: str
    realtime_factor: float


class Listed(msgspec.Struct, frozen=True):
    """A model in a list. `bytes` of all its weights."""

    name: str
    architecture: str
    stems: tuple[str, ...]
    jobs: tuple[str, ...]
    sample_rate: int
    installed: bool
    bytes: int
    licence: str
    about: str
    speeds: tuple[Speed, ...]


class Place(msgspec.Struct, frozen=True):
    """A model's place in a ranking."""

    name: str
    value: float
    source: str


class Ranking(msgspec.Struct, frozen=True):
    """Models whose figures can be compared, because metric and test set are the same; the best first."""

    metric: str
    test_set: str
    places: tuple[Place, ...]


class Listing(msgspec.Struct, frozen=True):
    """All models and ensembles, or those for one source or job.

    Then `rankings` has those with comparable figures for it, the longest ranking first; `unranked` the names of the
    others.
    """

    models: tuple[Listed, ...]
    broken: tuple[str, ...]
    ensembles: tuple[Choice, ...] = ()
    source: str | None = None
    rankings: tuple[Ranking, ...] = ()
    unranked: tuple[str, ...] = ()
    schema: int = 1


# ---- listing


def listing(source: str | None = None) -> Listing:
    """All models, or those that give the stem or do the job `source`, ranked by their published figures for it."""
    found, broken = registry.all_cards()
    cards = list(found.values())
    together, problems = ensembles.all_ensembles()
    choices = tuple(stem_sets.of_ensemble(each) for each in together.values())
    broken = (*broken, *problems)
    if source is None:
        return Listing(tuple(listed(card) for card in cards), broken, choices)
    known = {stem for card in cards for stem in card.stems} | set(registry.JOBS)
    registry.known(source, known, "stem or job", remedy="see: unbake models list")
    serving = [card for card in cards if source in card.stems or source in card.jobs]
    rankings = ranked(serving, source)
    placed = {place.name for ranking in rankings for place in ranking.places}
    unranked = tuple(card.name for card in serving if card.name not in placed)
    choices = tuple(choice for choice in choices if source in choice.stems)
    return Listing(tuple(listed(card) for card in serving), broken, choices, source, rankings, unranked)


def members(name: str) -> tuple[str, ...]:
    """The models of an ensemble, or the one model of that name. Raises UnbakeError for an unknown name."""
    ensemble = ensembles.find(name)
    return ensemble.models if ensemble is not None else (registry.find(name).name,)


def listed(card: Card) -> Listed:
    """A card, and what this machine knows of it."""
    return Listed(
        name=card.name,
        architecture=card.architecture,
        stems=card.stems,
        jobs=card.jobs,
        sample_rate=card.sample_rate,
        installed=registry.is_installed(card),
        bytes=sum(item.bytes for item in card.weights),
        licence=card.licence,
        about=card.about,
        speeds=tuple(_speeds(registry.network_version(card))),
    )


def _speeds(network_version: str) -> Iterator[Speed]:
    for device, findings in learnt.load().networks.get(network_version, {}).items():
        precision = learnt.best_precision(network_version, device)
        factor = findings[precision].realtime_factor if precision in findings else None
        if factor is not None:
            yield Speed(device, precision, factor)


def ranked(cards: list[Card], source: str) -> tuple[Ranking, ...]:
    """The comparable figures of cards for a source, the longest ranking first; a ranking of one ranks nothing."""
    groups: dict[tuple[str, str], list[Place]] = {}
    for card in cards:
        for score in card.scores:
            value = _figure(card, score, source)
            if value is not None and score.test_set != registry.NOT_STATED:
                place = Place(card.name, value, score.source)
                groups.setdefault((score.metric, score.test_set), []).append(place)
    rankings = [
        Ranking(metric, test_set, tuple(sorted(group, key=lambda place: (-place.value, place.name))))
        for (metric, test_set), group in groups.items()
        if len({place.name for place in group}) > 1
    ]
    return tuple(sorted(rankings, key=lambda ranking: (-len(ranking.places), ranking.metric, ranking.test_set)))


def _figure(card: Card, score: Score, source: str) -> float | None:
    """A score's figure for a source: for a job, that of the one stem the model gives, or the mean of all."""
    if source in score.values or source not in card.jobs:
        return score.values.get(source)
    return score.values.get(card.stems[0] if len(card.stems) == 1 else "mean")


# ---- fetching


def plan(name: str) -> Plan:
    """What fetching a model would bring. Cheap: hashes are taken later. Raises UnbakeError for an unknown name."""
    from models import fetch as transfers

    card = registry.find(name)
    missing = []
    for item in card.weights:
        path = path_of(item, card)
        if not item.url.startswith("https://") or has_size(path, item.bytes):
            continue
        missing.append(Missing(item.url, item.bytes, min(transfers.arrived(path), item.bytes)))
    folder = places.home() / "weights"
    return Plan(card.name, card.about, card.licence, card.source, str(folder), tuple(missing))


def fetch(name: str) -> Operation[Fetched]:
    """Brings all weights of a model that are not here, from their own addresses or the mirrors of the settings.

    Raises UnbakeError as `models.fetch.fetch`, and for weights that only come with a package or a file.
    """
    from models import fetch as transfers

    card, began = registry.find(name), time.monotonic()
    mirrors = settings.mirrors(settings.tables())
    files, size = [], 0
    for item in card.weights:
        path = path_of(item, card)
        if not item.url.startswith("https://"):
            weight_files.verified(item)
            continue
        there = has_size(path, item.bytes)
        yield from transfers.fetch(item, name=card.name, mirrors=mirrors)
        if not there:
            files.append(str(path))
            size += item.bytes
    return Fetched(card.name, card.licence, tuple(files), size, time.monotonic() - began)


# ---- trying


def check(names: tuple[str, ...] = (), device: str = "auto") -> Operation[Checked]:
    """Tries models out, those that are installed when none is named: hashes, the network, one chunk through it.

    An ensemble's name stands for its models. What is wrong with one is among the results, and the others are tried all
    the same. Raises UnbakeError only for names and devices that there are not.
    """
    check_device_name(device)
    if device != "auto":
        resolve_device(device)
    asked = dict.fromkeys(member for name in names for member in members(name))
    cards = [registry.find(name) for name in asked] or [
        card for card in registry.cards().values() if registry.is_installed(card)
    ]
    found = []
    for card in cards:
        try:
            hardware, trials = yield from try_out(card, device)
            found.append(Tried(card.name, hardware, trials))
        except UnbakeError as error:
            found.append(Tried(card.name, device, problem=error.line()))
    return Checked(tuple(found), all(each.problem is None for each in found))


# ---- removing


def remove(name: str, *, card: bool = False) -> Removed:
    """Removes a model's weights, and with `card` the user's own card; what other models use stays.

    Raises UnbakeError when there is nothing to remove, and for a card that is built in.
    """
    from models import fetch as transfers

    found = registry.find(name)
    card_path = _own_card(found) if card else None
    folder = places.home() / "weights"
    used = {
        path: other.name
        for other in registry.cards().values()
        if other.name != name
        for path in map(_any_path, other.weights)
        if path is not None
    }
    gone, kept, size = [], [], 0
    for path in filter(None, map(_any_path, found.weights)):
        if path.parent != folder:
            continue  # a package's, or a file that lies where its owner put it
        if path in used and os.path.lexists(path):
            kept.append(f"{path} (used by {used[path]})")
            continue
        with contextlib.suppress(FileNotFoundError):
            size += path.lstat().st_size
            path.unlink()
            gone.append(str(path))
        size += transfers.arrived(path)
        transfers.forget(path)
    if card_path is not None:
        card_path.unlink()
        gone.append(str(card_path))
    if not gone and not kept and not size:
        what = "its weights come with an installed package" if _is_packaged(found) else "none of its weights are here"
        raise UnbakeError(what, where=f"model {name}")
    return Removed(name, tuple(gone), size, tuple(kept))


def _own_card(card: Card) -> Path:
    for path in sorted((places.home() / "cards").glob("*.toml")):
        with contextlib.suppress(UnbakeError):
            if registry.read_card(path).name == card.name:
                return path
    raise UnbakeError("its card is built in", where=f"model {card.name}", remedy="leave --card away")


def _is_packaged(card: Card) -> bool:
    return any(item.url.startswith("package:") for item in card.weights)


def _any_path(item: Weights) -> Path | None:
    try:
        return item.path()
    except UnbakeError:
        return None  # of a package that is not installed


def path_of(item: Weights, card: Card) -> Path:
    """Where a card's file is or would be. Raises UnbakeError, with the card's name, where a package is missing."""
    try:
        return item.path()
    except UnbakeError as error:
        raise UnbakeError(error.what, where=f"model {card.name}", remedy=error.remedy) from error


def has_size(path: Path, size: int) -> bool:
    """Whether a file is there, as far as its size tells."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False
