"""Public networks at their public size with random weights, installed as a user's own models."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import tomli_w
import torch
from safetensors.torch import save_file
from torch import nn

from models import registry
from models.registry import Card
from models.weights import Weights


def module_of(card: Card) -> nn.Module:
    """A network with the state_dict of the public checkpoints of its architecture, by a package that knows them."""
    torch.manual_seed(1)
    config = dict(card.config)
    if card.architecture == "htdemucs":
        from demucs_infer.htdemucs import HTDemucs

        config.setdefault("sources", list(card.stems))
        return HTDemucs(**config)
    if card.architecture == "mel_band_roformer":
        from pymss_core.modules.bs_roformer import MelBandRoformer

        return MelBandRoformer(**config, mlp_hidden_layers=config.get("mask_estimator_depth", 1))
    if card.architecture == "bs_roformer":
        from pymss_core.modules.bs_roformer import BSRoformer

        return BSRoformer(**config)
    raise SystemExit(f"no random weights for {card.architecture}")


def install(name: str, home: Path) -> Card:
    """Gives the card `name` random weights below `home`, which becomes UNBAKE_HOME."""
    os.environ["UNBAKE_HOME"] = str(home)
    card = registry.find(name)
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{name}.safetensors"
    save_file({key: value.contiguous().clone() for key, value in module_of(card).state_dict().items()}, file)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    weights = Weights(f"file:{file}", digest, file.stat().st_size, "safetensors")
    own = msgspec.structs.replace(card, name=f"random-{name}", weights=(weights,))
    (home / "cards").mkdir(exist_ok=True)
    tables = {key: value for key, value in msgspec.to_builtins(own).items() if key != "config"}
    # TOML has no null: what is not said has its default
    tables["config"] = {key: value for key, value in own.config.items() if value is not None}
    (home / "cards" / f"{own.name}.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    return registry.find(own.name)
