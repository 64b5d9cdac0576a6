"""MDX23C against pymss-core's network with the same weights, and what of a card it refuses."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pymss_core.modules.mdx23c_tfc_tdf_v3 import TFC_TDF_net
from torch import nn

from core.errors import UnbakeError
from models import mdx23c, public
from models.registry import Card

AUDIO = {"n_fft": 256, "hop_length": 64, "dim_f": 96}
MODEL: dict[str, Any] = {
    "act": "gelu",
    "norm": "InstanceNorm",
    "bottleneck_factor": 3,
    "growth": 4,
    "num_blocks_per_scale": 2,
    "num_channels": 6,
    "num_scales": 2,
    "num_subbands": 2,
    "scale": [2, 2],
}
CHUNK = 15 * 64


def card(stems: int = 3, chunk: int = CHUNK, **changes: Any) -> Card:
    config = {**AUDIO, **MODEL, **changes}
    fields: dict[str, Any] = {"sample_rate": 44_100, "about": "A test.", "licence": "none", "source": "nowhere"}
    names = tuple(f"stem{number}" for number in range(stems))
    return Card(name="tiny", architecture="mdx23c", stems=names, chunk=chunk, config=config, **fields)


def oracle(stems: int = 3, **changes: Any) -> nn.Module:
    """pymss-core's own network, with weights under which every part of it can be heard."""
    config = {**AUDIO, **MODEL, **changes}
    torch.manual_seed(0)
    network = TFC_TDF_net(
        SimpleNamespace(
            audio=SimpleNamespace(num_channels=2, **{key: config[key] for key in AUDIO}),
            model=SimpleNamespace(**{key: config[key] for key in MODEL}),
            training=SimpleNamespace(
                instruments=list(range(max(stems, 2))), target_instrument="one" if stems == 1 else None
            ),
        )
    )
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() == 1:
            tensor.add_(0.2 * torch.randn_like(tensor))
    return network.eval().requires_grad_(False)


def mix(batch: int = 1) -> torch.Tensor:
    return 0.2 * torch.randn(batch, 2, CHUNK, generator=torch.Generator().manual_seed(3)) + 0.01


def call(network: nn.Module, sound: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(sound)


def decibels(given: torch.Tensor, expected: torch.Tensor) -> float:
    """The peak of the difference relative to the root mean square of what is expected."""
    return 20 * math.log10(float((given - expected).abs().max() / expected.square().mean().sqrt()) + 1e-20)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("stems", "changes"),
    [
        (3, {}),
        (1, {"act": "relu", "norm": "BatchNorm"}),
        (2, {"act": "elu0.7", "norm": "GroupNorm2"}),
        (2, {"act": "elu1", "scale": [1, 2], "num_scales": 3, "num_blocks_per_scale": 1}),
        (2, {"num_subbands": 1, "num_scales": 0, "dim_f": 129}),
        (2, {"growth": 0, "norm": "GroupNorm6"}),
    ],
)
def test_the_stems_are_those_of_pymss_core(stems: int, changes: dict[str, Any], batch: int) -> None:
    theirs = oracle(stems, **changes)
    ours = mdx23c.build(card(stems, **changes), [theirs.state_dict()]).eval()
    given = call(ours, mix(batch))
    assert given.shape == (batch, stems, 2, CHUNK)
    assert given.dtype == torch.float32
    assert decibels(given, call(theirs, mix(batch)).reshape(given.shape)) < -90


def test_every_example_of_a_batch_is_heard_alone() -> None:
    network = mdx23c.build(card(), [oracle().state_dict()]).eval()
    sounds = mix(3)
    together = call(network, sounds)
    for index in range(3):
        assert decibels(together[index], call(network, sounds[index : index + 1])[0]) < -90


@pytest.mark.parametrize("norm", ["InstanceNorm", "BatchNorm", "GroupNorm2"])
def test_reduced_precision_stays_near(norm: str) -> None:
    network = mdx23c.build(card(norm=norm), [oracle(norm=norm).state_dict()]).eval()
    exact = call(network, mix())
    with torch.autocast("cpu", torch.bfloat16):
        rough = call(network, mix())
    assert rough.dtype == torch.float32
    assert -80 < decibels(rough, exact) < -10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "LayerNorm"}, "config.norm: Expected `str` matching regex"),
        ({"norm": "GroupNorm4"}, "config.norm: the groups don't divide"),
        ({"act": "swish"}, "config.act"),
        ({"n_fft": 255}, "config.n_fft"),
        ({"n_fft": "256"}, "config.n_fft: Expected `int`, got `str`"),
        ({"dim_f": 130}, "config.dim_f: more bins than n_fft gives"),
        ({"hop_length": 129}, "config.hop_length"),
        ({"num_subbands": 5}, "config.num_subbands: doesn't divide dim_f"),
        ({"scale": [2, 5]}, "config.scale: 2 times 5 doesn't divide the 48 bins of a band"),
        ({"scale": [2]}, "config.scale"),
        ({"scale": [3, 2]}, "chunk: gives 16 spectra, which 2 times 3 doesn't divide"),
        ({"bottleneck_factor": 13}, "config.bottleneck_factor: more than the 12 bins"),
        ({"num_channels": 0}, "config.num_channels"),
        ({"heads": 8}, "config: Object contains unknown field `heads`"),
    ],
)
def test_a_wrong_configuration_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnbakeError, match=message) as caught:
        mdx23c.build(card(**changes), [{}])
    assert caught.value.where == "model card tiny"


def test_a_missing_parameter_is_named() -> None:
    incomplete = card()
    del incomplete.config["n_fft"]
    with pytest.raises(UnbakeError, match="missing required field `n_fft`"):
        mdx23c.build(incomplete, [{}])


def test_weights_of_another_network_are_named() -> None:
    with pytest.raises(UnbakeError, match=r"shortcut.weight is \(14, 14, 1, 1\) in the weights and \(16, 16, 1, 1\)"):
        mdx23c.build(card(num_channels=8), [oracle().state_dict()])
    tensors = dict(oracle().state_dict())
    del tensors["first_conv.weight"]
    with pytest.raises(UnbakeError, match=r"tensor first_conv.weight is missing in the weights"):
        mdx23c.build(card(), [tensors])
    with pytest.raises(UnbakeError, match="2 files where this network has one"):
        mdx23c.build(card(), [{}, {}])


def test_a_public_configuration_makes_a_card_of_it() -> None:
    """The numbers of the transform come from the table `audio`, as `AUDIO_KEYS` says."""
    tables = {
        "audio": {"chunk_size": CHUNK, "dim_t": 16, "num_channels": 2, "sample_rate": 44_100, **AUDIO},
        "model": MODEL,
        "training": {"instruments": ["kick", "snare", "toms"], "target_instrument": None},
    }
    parts = public.parts(tables, "test.yaml")
    assert parts.architecture == "mdx23c"
    assert parts.config == card().config
