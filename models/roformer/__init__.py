"""BS-RoFormer and Mel-Band RoFormer: complex masks from transformers over time and over frequency bands in turn.

After W.-T. Lu, J.-C. Wang, Q. Kong, Y.-N. Hung, "Music Source Separation with Band-Split RoPE Transformer", ICASSP
2024, and J.-C. Wang, W.-T. Lu, M. Won, "Mel-Band RoFormer for Music Source Separation", ISMIR late-breaking demos,
2023. Written from the papers, the public configurations, and the names and shapes in public checkpoints. There the
two differ in more than their bands: the second has a norm behind every transformer where the first has one at the
end, and one more hidden layer for the same `mask_estimator_depth`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from core.errors import UnbakeError
from models.building import config_of, fill, only, where_of
from models.roformer.bands import consecutive, mel_bands
from models.roformer.config import BandSplitConfig, Config, MelBandConfig
from models.roformer.network import Roformer

if TYPE_CHECKING:
    from models.registry import Card
    from models.weights import Tensors

CONFIGS: dict[str, type[BandSplitConfig | MelBandConfig]] = {
    "bs_roformer": BandSplitConfig,
    "mel_band_roformer": MelBandConfig,
}
SHARED = re.compile(r".*\.(rotary_embed\.freqs|to_qkv\.bias|to_out\.0\.bias)")
"""Tensors that all layers have in common although checkpoints name them once per layer."""


def network_of(config: BandSplitConfig | MelBandConfig) -> Roformer:
    """The network of a configuration, its weights not set. Raises ValueError when its bands are impossible."""
    if isinstance(config, MelBandConfig):
        ranges = mel_bands(config.num_bands, config.stft_n_fft, config.sample_rate)
        return Roformer(config, ranges, mel=True, mask_layers=config.mask_estimator_depth)
    return Roformer(config, consecutive(config.freqs_per_bands), mel=False, mask_layers=config.mask_estimator_depth - 1)


def build(card: Card, files: list[Tensors]) -> Roformer:
    """The network of a card whose architecture is one of `CONFIGS`, from its one file of weights."""
    where = where_of(card)
    tensors = only(files, card)
    config = config_of(card, CONFIGS[card.architecture])
    check_card(card, config)
    try:
        network = network_of(config)
    except ValueError as error:
        raise UnbakeError(f"config.num_bands: {error}", where=where) from error
    fill(network, tensors, where)
    check_shared(network, tensors, where)
    return network


def check_card(card: Card, config: Config) -> None:
    """Refuses a card whose stems or chunk the network can't have."""
    where = where_of(card)
    if config.num_stems != len(card.stems):
        raise UnbakeError(f"config.num_stems: {config.num_stems} where the card has {len(card.stems)}", where=where)
    if card.chunk <= config.stft_n_fft // 2:
        what = f"chunk: {card.chunk} frames are too few for transforms of {config.stft_n_fft}"
        raise UnbakeError(what, where=where)


def check_shared(network: Roformer, tensors: Tensors, where: str) -> None:
    """Refuses weights in which tensors differ that are one in the network."""
    for name, tensor in network.state_dict().items():
        if SHARED.fullmatch(name) and not torch.equal(tensor, tensors[name].to(tensor.dtype)):
            what = f"tensor {name} is not the same as in the other layers"
            raise UnbakeError(f"the weights are not this network's: {what}", where=where)
