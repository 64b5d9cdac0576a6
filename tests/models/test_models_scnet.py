"""SCNet against pymss-core's network with the same weights, its masked variant, and what of a card it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pymss_core.modules.scnet import SCNet
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import UnbakeError
from models import public, scnet
from models.registry import Card

CONFIG: dict[str, Any] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "audio_channels": 2,
    "dims": [4, 8, 12],
    "nfft": 512,
    "hop_size": 128,
    "win_size": 512,
    "normalized": True,
    "band_SR": [0.175, 0.392, 0.433],
    "band_stride": [1, 4, 16],
    "band_kernel": [3, 4, 16],
    "conv_depths": [3, 2, 1],
    "compress": 4,
    "conv_kernel": 3,
    "num_dplayer": 2,
    "expand": 1,
}
CHUNK = 2000
FIELDS: dict[str, Any] = {"sample_rate": 44_100, "about": "A test.", "licence": "none", "source": "nowhere"}


def card(architecture: str = "scnet", stems: int = 4, chunk: int = CHUNK, **changes: Any) -> Card:
    names = tuple(f"stem{number}" for number in range(stems))
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
    return Card(name="tiny", architecture=architecture, stems=names, chunk=chunk, config=config, **FIELDS)


def unlike_new(network: nn.Module) -> nn.Module:
    """The network, ready to be asked, with weights under which every part of it can be heard."""
    for parameter in network.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return network.eval().requires_grad_(False)


def oracle(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return unlike_new(SCNet(**{**CONFIG, **changes}))


class MaskedOracle(nn.Module):
    """The masked variant by what the plain one is made of: masks for the mix, from a spectrum that knows its bins."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.encoder, self.decoder, self.separation_net = plain.encoder, plain.decoder, plain.separation_net
        self.pos_embed_f = nn.Parameter(0.3 * torch.randn(1, 4, 257, 1))
        self.mask_layer = nn.Sequential(
            nn.Conv2d(16, 64, 3, padding="same"), nn.GELU(), nn.Conv2d(64, 16, 1), nn.Tanh()
        )

    def forward(self, mix: Tensor) -> Tensor:
        batch, _, frames = mix.shape
        padded = F.pad(mix, (0, next(n for n in range(1, 257) if (frames + n) % 256 == 128)))
        options: dict[str, Any] = {
            "n_fft": 512,
            "hop_length": 128,
            "normalized": True,
            "window": torch.hann_window(512),
        }
        heard = torch.stft(padded.flatten(0, 1), **options, return_complex=True)
        x = torch.view_as_real(heard).permute(0, 3, 1, 2).reshape(batch, 4, 257, -1) + self.pos_embed_f
        kept: list[tuple[Any, ...]] = []
        for stage in self.encoder:
            x, *rest = stage(x)
            kept.append(tuple(rest))
        x = self.separation_net(x)
        for fusion, dense in self.decoder:
            skip, lengths, before = kept.pop()
            x = dense(fusion(x, skip), lengths, before)
        masks = self.mask_layer(x).unflatten(1, (4, 2, 2)).movedim(3, -1).contiguous()
        masked = torch.view_as_complex(masks) * heard.unflatten(0, (batch, 1, 2))
        return torch.istft(masked.flatten(0, 2), **options, length=frames).unflatten(0, (batch, 4, 2))


def mix(batch: int = 1, frames: int = CHUNK) -> Tensor:
    return 0.2 * torch.randn(batch, 2, frames, generator=torch.Generator().manual_seed(3)) + 0.01


def call(network: nn.Module, sound: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(sound)


def decibels(given: Tensor, expected: Tensor) -> float:
    """The peak of the difference relative to the root mean square of what is expected."""
    return 20 * math.log10(float((given - expected).abs().max() / expected.square().mean().sqrt()) + 1e-20)


@pytest.mark.filterwarnings("ignore:A window was not provided")
@pytest.mark.parametrize(
    ("changes", "batch", "frames"),
    [
        ({}, 1, CHUNK),
        ({}, 2, CHUNK),
        ({}, 1, 128 * 15),
        ({}, 1, 128 * 16),
        ({"sources": ["vocals", "other"], "band_SR": [0.225, 0.372, 0.403], "num_dplayer": 4}, 1, CHUNK),
        (
            {
                "band_SR": [0.23, 0.37, 0.4],
                "band_stride": [1, 4, 4],
                "band_kernel": [3, 4, 4],
                "conv_depths": [3, 3, 3],
                "expand": 2,
                "normalized": False,
            },
            2,
            CHUNK,
        ),
    ],
)
def test_the_stems_are_those_of_pymss_core(changes: dict[str, Any], batch: int, frames: int) -> None:
    theirs = oracle(**changes)
    stems = len(changes.get("sources", CONFIG["sources"]))
    ours = scnet.build(card(stems=stems, chunk=frames, **changes), [theirs.state_dict()]).eval()
    given = call(ours, mix(batch, frames))
    assert given.shape == (batch, stems, 2, frames)
    assert decibels(given, call(theirs, mix(batch, frames))) < -90


@pytest.mark.parametrize("batch", [1, 2])
def test_the_masked_variant_masks_the_mix(batch: int) -> None:
    theirs = unlike_new(MaskedOracle(oracle()))
    ours = scnet.build(card("scnet_masked"), [theirs.state_dict()]).eval()
    given = call(ours, mix(batch))
    assert given.shape == (batch, 4, 2, CHUNK)
    assert decibels(given, call(theirs, mix(batch))) < -90


def test_the_variants_are_told_apart_by_their_weights() -> None:
    with pytest.raises(UnbakeError, match=r"tensor mask_layer.0.bias is missing in the weights"):
        scnet.build(card("scnet_masked"), [oracle().state_dict()])
    masked = MaskedOracle(oracle())
    with pytest.raises(UnbakeError, match=r"tensor mask_layer.0.bias is \(64,\) in the weights and unknown"):
        scnet.build(card(), [masked.state_dict()])


def test_names_of_stems_are_the_cards_own() -> None:
    """Public names only have to be as many, and may be left out."""
    network = scnet.build(card(sources=None), [oracle().state_dict()])
    assert network.stems == 4


def test_reduced_precision_stays_near() -> None:
    network = scnet.build(card(), [oracle().state_dict()]).eval()
    exact = call(network, mix())
    with torch.autocast("cpu", torch.bfloat16):
        rough = call(network, mix())
    assert rough.dtype == torch.float32
    assert -80 < decibels(rough, exact) < -10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ["vocals"]}, "stems: 4 where config.sources names 1"),
        ({"audio_channels": 1}, "config.audio_channels"),
        ({"dims": [2, 8]}, "config.dims: the first is 4, for two channels"),
        ({"dims": [4]}, "config.dims"),
        ({"nfft": 511}, "config.nfft"),
        ({"win_size": 1024}, "config.win_size: more than nfft"),
        ({"hop_size": 513}, "config.hop_size: more than win_size"),
        ({"hop_size": "128"}, "config.hop_size: Expected `int`, got `str`"),
        ({"band_SR": [0.5, 0.6, 0.1]}, "config.band_SR: the low and the middle band leave nothing"),
        ({"band_SR": [0.5, 0.5]}, "config.band_SR"),
        ({"band_stride": [1, 4, 0]}, r"config.band_stride\[2\]: Expected `int` >= 1"),
        ({"band_kernel": [3, 2, 16]}, "config.band_kernel: 2 with a stride of 4 can't take the 31 bins of a band at"),
        ({"band_kernel": [3, 4, 20]}, "config.band_kernel: 20 with a stride of 16"),
        ({"conv_kernel": 4}, "config.conv_kernel: must be odd"),
        ({"compress": 9}, "config.compress: more than the channels"),
        ({"num_dplayer": 3}, "config.num_dplayer"),
        ({"tran_depth": 1}, "config: Object contains unknown field `tran_depth`"),
    ],
)
def test_a_wrong_configuration_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnbakeError, match=message) as caught:
        scnet.build(card(**changes), [{}])
    assert caught.value.where == "model card tiny"


def test_weights_of_another_network_are_named() -> None:
    with pytest.raises(
        UnbakeError, match=r"tensor decoder.0.1.convtrs.0.bias is \(8,\) in the weights and \(16,\) in the"
    ):
        scnet.build(card(dims=[4, 16, 12]), [oracle().state_dict()])
    tensors = dict(oracle().state_dict())
    del tensors["separation_net.dp_modules.1.lstm_layers.0.weight_hh_l0"]
    with pytest.raises(UnbakeError, match=r"lstm_layers.0.weight_hh_l0 is missing in the weights"):
        scnet.build(card(), [tensors])


def test_a_public_configuration_makes_a_card_of_it() -> None:
    tables = {
        "audio": {"chunk_size": CHUNK, "num_channels": 2, "sample_rate": 44_100, "min_mean_abs": 0.0},
        "model": CONFIG,
        "training": {"instruments": CONFIG["sources"], "target_instrument": None},
        "inference": {"normalize": True},
    }
    parts = public.parts(tables, "test.yaml")
    assert (parts.architecture, parts.config, parts.normalise) == ("scnet", card().config, "track")
