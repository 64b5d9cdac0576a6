"""Taking in a checkpoint of the user's: as the weights of a card that there is, or with a card made for it.

A card is made of a public configuration (`models.public`), or of what the file says of itself. The network is built, so
that every tensor has found its place, before anything is written.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from core import places
from core.atomic import PendingFile, check_room, write_error, write_text_atomically
from core.errors import UnbakeError, os_error
from core.events import Note, Operation, Progress
from core.jobs.models import has_size, path_of
from core.separation.ensembles import all_ensembles
from models import registry
from models import weights as weight_files
from models.registry import Card
from models.weights import Weights

COPIED_BYTES = 1 << 22


class Added(msgspec.Struct, frozen=True):
    """A checkpoint of the user's, in its place. `card` is None where the card was there already."""

    name: str
    architecture: str
    stems: tuple[str, ...]
    weights: str
    card: str | None
    schema: int = 1


def add(
    checkpoint: Path,
    *,
    card: str | None = None,
    config: Path | None = None,
    architecture: str | None = None,
    name: str | None = None,
    link: bool = False,
    force: bool = False,
) -> Operation[Added]:
    """Takes a checkpoint of the user's in: as the weights of a card, or with a card made from its configuration.

    `card` is a card's name or its file, `config` a public YAML configuration; a file of the Demucs programs needs
    neither. The network is built before anything is written. Raises UnbakeError for a file that would run code, and for
    one that is not the network's, with the first tensor that does not fit.
    """
    if card is not None and config is not None:
        raise UnbakeError("a card or a configuration, not both", remedy="leave --card or --config away")
    digest, size = yield from _digest(checkpoint)
    if card is not None:
        made, own_file = _completed(_card_of(card), checkpoint, digest, size), _is_file(card)
    else:
        made, own_file = (yield from _made(checkpoint, digest, size, config, architecture)), True
    if name is not None:
        made = _renamed(made, name)
    _check_name(made, own_file=own_file, force=force)
    item = next(each for each in made.weights if each.sha256 == digest)
    yield from _proved(made, item, checkpoint)
    target = item.path()
    if not has_size(target, size):
        yield from _put(checkpoint, target, digest, size, link=link)
    card_path = _save(made, force=force) if own_file else None
    return Added(made.name, made.architecture, made.stems, str(target), card_path, schema=1)


def _is_file(card: str) -> bool:
    return card.endswith(".toml") or os.sep in card


def _card_of(card: str) -> Card:
    return registry.read_card(Path(card)) if _is_file(card) else registry.find(card)


def _completed(card: Card, checkpoint: Path, digest: str, size: int) -> Card:
    """The card with the file among its weights, where it must be if the card has any."""
    if any(item.sha256 == digest and item.bytes == size for item in card.weights):
        return card
    if card.weights:
        what = f"is none of the files of model {card.name}: its SHA-256 is {digest}"
        raise UnbakeError(what, where=checkpoint, remedy=f"the card says {card.weights[0].sha256}")
    return msgspec.structs.replace(card, weights=(_own_weights(checkpoint, digest, size, _format(checkpoint)),))


def _own_weights(checkpoint: Path, digest: str, size: int, file_format: str) -> Weights:
    place = weight_files.own_place(checkpoint.name, digest)
    return Weights(url=f"file:{place.as_posix()}", sha256=digest, bytes=size, format=file_format)


def _format(checkpoint: Path) -> str:
    """The format a file is in, found by reading it. Raises the error of the format that it should be in."""
    try:
        with checkpoint.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise os_error(error, checkpoint) from error
    if checkpoint.suffix == ".onnx":
        return "onnx"
    if head[:2] == b"\x1f\x8b":
        return "tensorflow"  # whose checkpoints are published as .tar.gz
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 27:
        return "safetensors"
    first: UnbakeError | None = None
    for file_format in ("torch", "demucs", "numpy-pickle"):
        try:
            weight_files.parse(checkpoint, file_format)
        except UnbakeError as error:
            first = first or error
        else:
            return file_format
    assert first is not None
    raise first


def _made(checkpoint: Path, digest: str, size: int, config: Path | None, architecture: str | None) -> Operation[Card]:
    """A card for a checkpoint, from its configuration or from what the file says of itself."""
    yield Progress("reading the checkpoint", 0, 1)
    file_format = _format(checkpoint)
    common: dict[str, Any] = {
        "name": _slug(checkpoint.stem),
        "about": f"Added from {checkpoint.name}{f' with {config.name}' if config else ''}.",
        "licence": registry.NONE_STATED,
        "source": str(checkpoint.absolute()),
        "weights": (_own_weights(checkpoint, digest, size, file_format),),
    }
    if config is not None:
        from models import public

        found = public.parts(public.read(config), str(config), architecture)
        return msgspec.convert({**common, **found._asdict()}, Card)
    if file_format == "demucs":
        return msgspec.convert({**common, **_of_demucs(checkpoint)}, Card)
    raise UnbakeError(
        "the file does not say what network it is of",
        where=checkpoint,
        remedy="give its public configuration with --config, or a card with --card",
    )


def _of_demucs(checkpoint: Path) -> dict[str, Any]:
    """What a file of the Demucs programs says of its network."""
    from models import demucs_file, public

    found = demucs_file.read(checkpoint)
    architecture = found.kind.lower()
    registry.known(architecture, registry.ARCHITECTURES, "architecture", where=str(checkpoint))
    rate = int(found.config.get("samplerate", public.SAMPLE_RATE))
    return {
        "architecture": architecture,
        "stems": public.ours(list(found.config["sources"])),
        "sample_rate": rate,
        "chunk": int(float(found.config.get("segment", 10.0)) * rate),
        "normalise": "track",
    }


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._") or "model"


def _renamed(card: Card, name: str) -> Card:
    try:
        return msgspec.convert({**msgspec.to_builtins(card), "name": name}, Card)
    except msgspec.ValidationError as error:
        what = "a model's name is made of a-z, 0-9, dot, dash and underscore"
        raise UnbakeError(what, where=name, remedy="choose another --name") from error


def _check_name(card: Card, *, own_file: bool, force: bool) -> None:
    """Refuses to put a new card in the place of another; of one that ships, or an ensemble, even with `force`."""
    if not own_file:
        return
    for kind, names in (("model that ships with unbake", registry.shipped()), ("ensemble", all_ensembles()[0])):
        if card.name in names and registry.cards().get(card.name) != card:
            raise UnbakeError(f"is the name of a {kind}".replace("a e", "an e"), where=card.name, remedy="give --name")
    if force:
        return
    other = registry.cards().get(card.name)
    if other is not None and other != card:
        remedy = "give it another --name, or use --force"
        raise UnbakeError("there is a model of this name", where=card.name, remedy=remedy)


def _proved(card: Card, item: Weights, checkpoint: Path) -> Operation[None]:
    """Builds the network of a card, with the checkpoint in place of one of its files, if all the others are here."""
    yield Progress("building the network", 0, 1)
    architecture = registry.ARCHITECTURES[card.architecture]
    others = [each for each in card.weights if each is not item]
    if not all(has_size(path_of(each, card), each.bytes) for each in others):
        yield Note(f"{card.name} has {len(card.weights)} files of weights: it is checked when all of them are here")
        weight_files.parse(checkpoint, item.format)
        return
    given: list[Any] = []
    for each in card.weights:
        path = checkpoint if each is item else path_of(each, card)
        if architecture.takes == "paths":
            given.append(path)
        else:
            tensors = weight_files.parse(path, each.format)
            bad = next((key for key, tensor in tensors.items() if not bool(tensor.isfinite().all())), None)
            if bad is not None:
                raise UnbakeError(f"{bad} holds values that are no numbers", where=path, remedy="get the file again")
            given.append(tensors)
    importlib.import_module(architecture.module).build(card, given)


def _put(checkpoint: Path, target: Path, digest: str, size: int, *, link: bool) -> Operation[None]:
    """Copies a file to its place whole or not at all, or links to where it lies."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if link or target.is_symlink():
            target.unlink(missing_ok=True)  # what a link points to is somebody's own file
        if link:
            target.symlink_to(checkpoint.resolve())
            return
    except OSError as error:
        raise os_error(error, target) from error
    check_room(target, size)
    copied = hashlib.sha256()
    with PendingFile(target, force=True) as pending:
        try:
            with checkpoint.open("rb") as source, pending.path.open("wb") as copy:
                done = 0
                while block := source.read(COPIED_BYTES):
                    copied.update(block)
                    copy.write(block)
                    done += len(block)
                    yield Progress("copying the weights", done, size, in_bytes=True)
        except OSError as error:
            raise write_error(error, target, needed_bytes=size) from error
        if copied.hexdigest() != digest:
            raise UnbakeError("was changed while it was read", where=checkpoint, remedy="try again")
        pending.commit()


def _save(card: Card, *, force: bool) -> str:
    """Writes a card among the user's own."""
    path = places.home() / "cards" / f"{card.name}.toml"
    table = {key: value for key, value in msgspec.to_builtins(card).items() if value not in ("", [], {}, ())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, path.parent) from error
    if not (path.exists() and registry.read_card(path) == card):
        write_text_atomically(path, tomli_w.dumps(table), force=force)
    return str(path)


def _digest(path: Path) -> Operation[tuple[str, int]]:
    """SHA-256 in hex and size of a file."""
    digest, done = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            while block := file.read(COPIED_BYTES):
                digest.update(block)
                done += len(block)
                yield Progress("hashing the checkpoint", done, total, in_bytes=True)
    except OSError as error:
        raise os_error(error, path) from error
    if not done:
        raise UnbakeError("is empty", where=path)
    return digest.hexdigest(), done
