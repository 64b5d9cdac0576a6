"""What a session may name as its model, and stems by it: one network, or an ensemble of several."""

from __future__ import annotations

import contextlib
import difflib
from typing import TYPE_CHECKING

import msgspec

from core.audio.hashes import hashing
from core.errors import UnbakeError
from core.events import Note
from core.separation import ensembles, learnt, sensitivity, together
from core.separation import separate as separation
from core.separation.heard import laid
from core.separation.store import Store, Unusable
from models import registry

if TYPE_CHECKING:
    from pathlib import Path

    from core.events import Operation
    from core.separation.device import Precision
    from core.separation.ensembles import Ensemble
    from core.separation.heard import Heard
    from core.separation.separate import SeparationRequest
    from core.separation.store import Recipe, StemSet
    from models.registry import Card


class Choice(msgspec.Struct, frozen=True):
    """A model or an ensemble, as far as a person chooses by it.

    `overlap` is the passes that serve it best, `licence` every licence that its weights have, `made_of` the models of
    an ensemble (empty for a model). `installed` is whether all weights are here. `caution` is what whoever uses its
    stems must know.
    """

    name: str
    stems: tuple[str, ...]
    overlap: float
    about: str
    licence: str
    installed: bool
    made_of: tuple[str, ...] = ()
    caution: str = ""


def choices() -> dict[str, Choice]:
    """Every model and ensemble by name, models first."""
    found = {name: of_card(card) for name, card in registry.cards().items()}
    return found | {name: of_ensemble(each) for name, each in ensembles.all_ensembles()[0].items()}


def choice(name: str) -> Choice:
    """The model or ensemble of that name. Raises UnbakeError with near matches when there is none."""
    ensemble = ensembles.find(name)
    if ensemble is not None:
        return of_ensemble(ensemble)
    near = difflib.get_close_matches(name, ensembles.all_ensembles()[0], n=1, cutoff=0.8)
    if near and name not in registry.cards():
        raise UnbakeError(f'no model is called "{name}"; did you mean {near[0]}?', remedy="see: unbake models list")
    return of_card(registry.find(name))


def of_card(card: Card) -> Choice:
    """A model as a choice."""
    here = registry.is_installed(card)
    return Choice(card.name, card.stems, card.overlap, card.about, card.licence, here, caution=card.caution)


def of_ensemble(ensemble: Ensemble) -> Choice:
    """An ensemble as a choice; one that takes a model there is no card of is not installed."""
    cards = registry.cards()
    known = [cards[name] for name in ensemble.models if name in cards]
    return Choice(
        name=ensemble.name,
        stems=ensemble.stems,
        overlap=ensemble.overlap,
        about=ensemble.about,
        licence="; ".join(dict.fromkeys(card.licence for card in known)),
        installed=len(known) == len(ensemble.models) and all(registry.is_installed(card) for card in known),
        made_of=ensemble.models,
        caution="; ".join(dict.fromkeys(card.caution for card in known if card.caution)),
    )


def precision_for(name: str, device: str = "auto") -> Precision:
    """The fastest precision that was verified here for a model or every model of an ensemble, else single precision.

    Where `device` is "auto", torch is not imported. Raises UnbakeError for an unknown model.
    """
    ensemble = ensembles.find(name)
    models = (name,) if ensemble is None else ensemble.models
    cards = registry.cards()
    if not all(model in cards for model in models):
        choice(name)
        return "fp32"
    return learnt.settle("auto", device, [registry.network_version(cards[model]) for model in models])


def recipe_of(source_sha256: str, request: SeparationRequest) -> Recipe:
    """What decides the samples of a request.

    Raises UnbakeError for an unknown model or stem, and a sensitivity that can't be.
    """
    ensemble = ensembles.find(request.model)
    if ensemble is not None:
        base = together.recipe_of(source_sha256, request, ensemble)
    else:
        base = separation.recipe_of(source_sha256, request, separation.registered(request.model))
    return sensitivity.recipe_of(base, request.sensitivity)


def separate(
    source: Path, request: SeparationRequest, *, source_sha256: str | None = None, heard: Heard | None = None
) -> Operation[StemSet]:
    """The stems of a file by a model or an ensemble, out of the store or made now.

    As `core.separation.separate.separate` and `core.separation.together.separate_together`, which say more. With a
    sensitivity other stems are made from theirs (`core.separation.sensitivity`). With `heard` networks hear that file,
    and the stems are laid against the source (`core.separation.heard`).
    """
    if heard is not None:
        if source_sha256 is None:
            source_sha256 = yield from hashing(source)
        recipe = msgspec.structs.replace(recipe_of(source_sha256, request), heard=heard.sha256)
        made = yield from separate(heard.path, request, source_sha256=heard.sha256)
        return (yield from laid(source, made, recipe, Store()))
    # what is wrong with a sensitivity is said before a long file is hashed
    if not request.sensitivity or not recipe_of("", request).sensitivity:
        return (yield from _separate(source, request, source_sha256))
    if source_sha256 is None:
        source_sha256 = yield from hashing(source)
    with contextlib.suppress(Unusable):  # it is set aside by who makes it anew
        found = Store().find(recipe_of(source_sha256, request))
        if found is not None:
            caution = choice(request.model).caution
            for text in (*([f"stems by {request.model}: {caution}"] if caution else []), *found.notes):
                yield Note(text)
            return found
    base = yield from _separate(source, request, source_sha256)
    return (yield from sensitivity.applied(source, base, request.sensitivity))


def _separate(source: Path, request: SeparationRequest, source_sha256: str | None) -> Operation[StemSet]:
    """What the network or the ensemble itself gives."""
    ensemble = ensembles.find(request.model)
    if ensemble is not None:
        return (yield from together.separate_together(source, request, ensemble, source_sha256=source_sha256))
    return (yield from separation.separate(source, request, source_sha256=source_sha256))
