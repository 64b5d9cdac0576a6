"""What the Demucs programs save: a network's tensors, the name of its class and the parameters it is made with.

Such a file names a class of the program that wrote it. Nothing of that name is imported or called here: something inert
stands for it. How a network is made of all this is the business of `models.demucs`.
"""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from core.errors import UnbakeError
from models import weights

if TYPE_CHECKING:
    from pathlib import Path

    import torch


class DemucsTensors(dict[str, "torch.Tensor"]):
    """The tensors of a file, with what it says of its network.

    `kind` is the name of the class ("HTDemucs"), `config` the parameters it was made with: numbers, texts, truth
    values, None, and lists and tables of these.
    """

    def __init__(self, tensors: dict[str, torch.Tensor], kind: str, config: dict[str, Any]) -> None:
        super().__init__(tensors)
        self.kind = kind
        self.config = config


class _Named:
    """Stands for a class inside a pickle: a name to read, not a thing to call."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_args: object) -> object:
        raise pickle.UnpicklingError(f"GLOBAL {self.name} is called")


def _fraction(*parts: object) -> float:
    """Stands for fractions.Fraction, which some files keep the segment's seconds in."""
    if len(str(parts)) > 100 or not all(isinstance(part, int | str) for part in parts):
        raise pickle.UnpicklingError("a fraction of no sensible size")
    return float(Fraction(*parts))  # type: ignore[arg-type]


CLASSES = tuple(
    _Named(f"{package}.{module}.{name}")
    for package in ("demucs", "demucs_infer")
    for module, name in (("htdemucs", "HTDemucs"), ("hdemucs", "HDemucs"), ("demucs", "Demucs"))
)
STAND_INS = (*((named, named.name) for named in CLASSES), (_fraction, "fractions.Fraction"))


def read(path: Path) -> DemucsTensors:
    """The tensors of a file and what it says of its network; a file that would run code is refused."""
    import torch

    found = weights.load_torch(path, STAND_INS)
    if not isinstance(found, dict) or not isinstance(kind := found.get("klass"), _Named):
        raise weights.unreadable("no Demucs network in it", path)
    state, args, config = found.get("state"), found.get("args", ()), found.get("kwargs")
    if not isinstance(state, dict) or not isinstance(config, dict) or len(args) > 1:
        raise weights.unreadable("a Demucs network without its parameters", path)
    if state.get("__quantized"):
        what = "these weights are quantised with DiffQ, which unbake can't read"
        raise UnbakeError(what, where=path, remedy="use the model's file that is not quantised")
    if args:
        config = {"sources": args[0], **config}
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()):
        raise weights.unreadable("more in its state than named tensors", path)
    if not _is_plain(config):
        raise weights.unreadable("more in its parameters than numbers and texts", path)
    return DemucsTensors(dict(state), kind.name.rpartition(".")[2], dict(config))


def _is_plain(value: object) -> bool:
    """Whether a value is one that a TOML card could hold, or None."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(inner) for inner in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)
