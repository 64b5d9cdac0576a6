"""From a card and its tensors to a network: the steps that every architecture shares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from core.errors import UnbakeError

if TYPE_CHECKING:
    from torch import nn

    from models.registry import Card
    from models.weights import Tensors

Config = TypeVar("Config", bound=msgspec.Struct)


def where_of(card: Card) -> str:
    """How an error names a card."""
    return f"model card {card.name}"


def config_of(card: Card, kind: type[Config]) -> Config:
    """The card's `config` as an architecture's own struct; the error names the parameter that is wrong."""
    try:
        return msgspec.convert(card.config, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        key = path.rstrip("`").removeprefix("$")
        raise UnbakeError(f"config{key}: {reason}", where=where_of(card)) from error


def only(files: list[Tensors], card: Card) -> Tensors:
    """The tensors of the one file of weights that most networks have."""
    if len(files) != 1:
        raise UnbakeError(f"weights: {len(files)} files where this network has one", where=where_of(card))
    return files[0]


def fill(network: nn.Module, tensors: Tensors, where: str, ignore: str = "") -> None:
    """Puts published tensors into a network; each must find its place and each place its tensor.

    Tensors whose whole name matches the regular expression `ignore` may be missing, or have no place. Raises
    UnbakeError with the first name, in alphabetical order, that does not fit.
    """
    # the counter of training steps is in some published files and not in others
    needless = re.compile(rf".*num_batches_tracked|{ignore}")
    places = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    wanted = {name: shape for name, shape in places.items() if not needless.fullmatch(name)}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items() if not needless.fullmatch(name)}
    if wanted != given:
        odd = min(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        stands, fits = given.get(odd, "missing"), wanted.get(odd, "unknown")
        what = f"tensor {odd} is {stands} in the weights and {fits} in the network"
        raise UnbakeError(f"the weights are not this network's: {what}", where=where)
    network.load_state_dict({name: tensors[name] for name in given}, strict=False)
