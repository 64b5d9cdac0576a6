"""BSRNN against pymss-core's Bandit with the same weights, its bands, and what of a card it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pymss_core.modules.bandit.core.model.bsrnn import utils as theirs_bands
from pymss_core.modules.bandit.core.model.bsrnn.core import MultiSourceMultiMaskBandSplitCoreRNN
from pymss_core.modules.bandit.core.model.bsrnn.wrapper import MultiMaskMultiSourceBandSplitRNNSimple
from torch import Tensor, nn

from core.errors import UnbakeError
from models import bsrnn, gru, public
from models.registry import Card

CONFIG: dict[str, Any] = {
    "in_channel": 1,
    "stems": ["speech", "music", "effects"],
    "band_specs": "musical",
    "n_bands": 12,
    "fs": 44_100,
    "require_no_overlap": False,
    "require_no_gap": True,
    "normalize_channel_independently": False,
    "treat_channel_as_feature": True,
    "n_sqm_modules": 2,
    "emb_dim": 6,
    "rnn_dim": 5,
    "bidirectional": True,
    "rnn_type": "GRU",
    "mlp_dim": 7,
    "hidden_activation": "Tanh",
    "hidden_activation_kwargs": None,
    "complex_mask": True,
    "n_fft": 512,
    "win_length": 512,
    "hop_length": 128,
    "window_fn": "hann_window",
    "wkwargs": None,
    "power": None,
    "center": True,
    "normalized": True,
    "pad_mode": "constant",
    "onesided": True,
}
CHUNK = 2000
FIELDS: dict[str, Any] = {"sample_rate": 44_100, "about": "A test.", "licence": "none", "source": "nowhere"}


def card(changes: dict[str, Any] | None = None, stems: tuple[str, ...] = ("speech", "music", "effects")) -> Card:
    """A card with some parameters changed, or with None left out."""
    config = {key: value for key, value in {**CONFIG, **(changes or {})}.items() if value is not None}
    return Card(name="tiny", architecture="bsrnn", stems=stems, chunk=CHUNK, config=config, **FIELDS)


def unlike_new(network: nn.Module) -> nn.Module:
    """The network, ready to be asked, with weights under which every part of it can be heard."""
    for parameter in network.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return network.eval().requires_grad_(False)


def oracle(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return unlike_new(MultiMaskMultiSourceBandSplitRNNSimple(**{**CONFIG, **changes}))


def mix(batch: int = 1) -> Tensor:
    return 0.2 * torch.randn(batch, 2, CHUNK, generator=torch.Generator().manual_seed(3)) + 0.01


def call(network: nn.Module, sound: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(sound)


def side_by_side(network: nn.Module, sound: Tensor) -> Tensor:
    """What the reference gives for each side: it confuses several with each other."""
    sides = call(network, sound.flatten(0, 1).unsqueeze(1))
    return sides.squeeze(2).unflatten(0, (-1, 2)).transpose(1, 2)


def decibels(given: Tensor, expected: Tensor) -> float:
    """The peak of the difference relative to the root mean square of what is expected."""
    return 20 * math.log10(float((given - expected).abs().max() / expected.square().mean().sqrt()) + 1e-20)


@pytest.mark.parametrize(
    ("changes", "batch"),
    [
        ({}, 1),
        ({}, 2),
        ({"rnn_type": "LSTM", "normalized": False, "pad_mode": "reflect", "win_length": 400}, 1),
        ({"stems": ["vocals", "other"], "n_bands": 20, "n_sqm_modules": 1}, 1),
    ],
)
def test_the_stems_are_those_of_pymss_core(changes: dict[str, Any], batch: int) -> None:
    theirs = oracle(**changes)
    stems = tuple(changes.get("stems", CONFIG["stems"]))
    ours = bsrnn.build(card(changes, stems), [theirs.state_dict()]).eval()
    given = call(ours, mix(batch))
    assert given.shape == (batch, len(stems), 2, CHUNK)
    assert given.dtype == torch.float32
    assert decibels(given, side_by_side(theirs, mix(batch))) < -90


class PaperOracle(nn.Module):
    """pymss-core's network on the paper's bands, which it can't make itself when they don't overlap."""

    def __init__(self, source: str, bands: list[tuple[int, int]]) -> None:
        super().__init__()
        torch.manual_seed(0)
        sizes = {key: CONFIG[key] for key in ("n_sqm_modules", "emb_dim", "rnn_dim", "mlp_dim")}
        self.bsrnn = MultiSourceMultiMaskBandSplitCoreRNN(
            in_channel=1, stems=[source], band_specs=bands, overlapping_band=True, n_freq=513, rnn_type="LSTM", **sizes
        )

    def forward(self, mix: Tensor) -> Tensor:
        options: dict[str, Any] = {"n_fft": 1024, "hop_length": 256, "window": torch.hann_window(1024)}
        spectra = torch.stft(mix[:, 0], **options, return_complex=True, pad_mode="constant", normalized=True)
        (found,) = self.bsrnn(spectra[:, None])["spectrogram"].values()
        return torch.istft(found[:, 0], **options, length=CHUNK, normalized=True)[:, None, None]


@pytest.mark.parametrize(
    ("band_specs", "kind"),
    [
        ("musdb:vocals", theirs_bands.VocalBandsplitSpecification),
        ("dnr:vox7", theirs_bands.VocalBandsplitSpecification),
        ("musdb:bass", theirs_bands.BassBandsplitSpecification),
        ("musdb:drums", theirs_bands.DrumBandsplitSpecification),
        ("musdb:other", theirs_bands.OtherBandsplitSpecification),
    ],
)
def test_the_papers_network_has_the_papers_bands(band_specs: str, kind: Any) -> None:
    source = band_specs.partition(":")[2]
    theirs = unlike_new(PaperOracle(source, kind(nfft=1024, fs=44_100).get_band_specs()))
    changes = {"band_specs": band_specs, "n_bands": None, "rnn_type": "LSTM", "stems": None}
    sizes = {"n_fft": 1024, "win_length": 1024, "hop_length": 256}
    ours = bsrnn.build(card({**changes, **sizes}, (source,)), [theirs.state_dict()]).eval()
    assert decibels(call(ours, mix()), side_by_side(theirs, mix())) < -90


@pytest.mark.parametrize("n_fft", [2048, 4096])
@pytest.mark.parametrize("kind", ["vocals", "bass", "drums"])
def test_the_papers_bands(kind: str, n_fft: int) -> None:
    specification = {
        "vocals": theirs_bands.VocalBandsplitSpecification,
        "bass": theirs_bands.BassBandsplitSpecification,
        "drums": theirs_bands.DrumBandsplitSpecification,
    }[kind]
    found = bsrnn.paper_bands(kind, n_fft, 44_100)
    assert found == specification(nfft=n_fft, fs=44_100).get_band_specs()
    assert sum(stop - start for start, stop in found) == n_fft // 2 + 1


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize(("count", "n_fft"), [(12, 512), (48, 2048), (64, 2048), (64, 4096), (128, 8192), (2, 64)])
def test_musical_bands_and_what_each_counts(count: int, n_fft: int, rate: int) -> None:
    theirs = theirs_bands.MusicalBandsplitSpecification(nfft=n_fft, fs=rate, n_bands=count)
    bands = bsrnn.musical_bands(count, n_fft, rate)
    assert bands == theirs.get_band_specs()
    share = bsrnn.shares(bands, n_fft // 2 + 1)
    for (start, stop), expected in zip(bands, theirs.get_freq_weights(), strict=True):
        torch.testing.assert_close(share[start:stop], expected.float())


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (7, 3), (300, 20), (3, 5000)])
def test_the_recurrent_layer_is_torchs(steps: int, batch: int) -> None:
    torch.manual_seed(0)
    layer = nn.GRU(4, 6, bidirectional=True)
    unlike_new(layer)
    x = torch.randn(steps, batch, 4)
    with torch.inference_mode():
        expected = layer(x)[0]
        torch.testing.assert_close(gru.run(layer, x), expected, atol=1e-6, rtol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            rough = gru.run(layer, x)
    assert 0 < float((rough - expected).abs().max()) < 0.1


def test_reduced_precision_stays_near() -> None:
    network = bsrnn.build(card(), [oracle().state_dict()]).eval()
    exact = call(network, mix())
    with torch.autocast("cpu", torch.bfloat16):
        rough = call(network, mix())
    assert rough.dtype == torch.float32
    assert -80 < decibels(rough, exact) < -10


def test_stems_keep_the_names_of_the_file_and_get_those_of_the_card() -> None:
    tensors = [oracle().state_dict()]
    renamed = bsrnn.build(card(stems=("voice", "music", "sound")), tensors).eval()
    assert torch.equal(call(renamed, mix()), call(bsrnn.build(card(), tensors).eval(), mix()))
    # without config.stems the card's names are the file's
    bsrnn.build(card({"stems": None}), tensors)
    with pytest.raises(UnbakeError, match=r"tensor bsrnn.mask_estim.effects.norm_mlp.* and unknown in the network"):
        bsrnn.build(card({"stems": None}, ("speech", "music", "sound")), tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channel": 2}, "config.in_channel: only 1 is supported"),
        ({"complex_mask": False}, "config.complex_mask: only True is supported"),
        ({"hidden_activation": "ReLU"}, "config.hidden_activation: only 'Tanh' is supported"),
        ({"mult_add_mask": True}, "config.mult_add_mask: only False"),
        ({"wkwargs": {"periodic": False}}, "config.wkwargs: only None"),
        ({"bidirectional": False}, "config.bidirectional: only True"),
        ({"band_specs": "tribark"}, "config.band_specs: Invalid enum value 'tribark'"),
        ({"rnn_type": "RNN"}, "config.rnn_type: Invalid enum value 'RNN'"),
        ({"n_bands": None}, "config.n_bands: missing"),
        ({"n_bands": 1}, "config.n_bands"),
        ({"n_fft": 64, "win_length": 64, "hop_length": 16, "band_specs": "musdb:vocals"}, "config.n_fft: 64 is too"),
        ({"win_length": 1024}, "config.win_length: more than n_fft"),
        ({"hop_length": 257}, "config.hop_length: more than half"),
        ({"emb_dim": "6"}, "config.emb_dim: Expected `int`, got `str`"),
        ({"stems": ["speech", "music"]}, "stems: 3 where config.stems names 2"),
        ({"stems": ["speech", "music", "music"]}, "config.stems: a name stands there twice"),
        ({"stems": ["speech", "music", "a.b"]}, "config.stems: not a name"),
        ({"stems": ["speech", "music", "items"]}, "config.stems: not a name"),
        ({"heads": 8}, "config: Object contains unknown field `heads`"),
    ],
)
def test_a_wrong_configuration_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnbakeError, match=message) as caught:
        bsrnn.build(card(changes), [{}])
    assert caught.value.where == "model card tiny"


def test_weights_of_another_network_are_named() -> None:
    tensors = dict(oracle().state_dict())
    with pytest.raises(UnbakeError, match=r"bsrnn.mask_estim.effects.freq_weights/0 is of other bands"):
        bsrnn.build(card(), [{**tensors, "bsrnn.mask_estim.effects.freq_weights/0": torch.ones(3)}])
    with pytest.raises(UnbakeError, match=r"freq_weights/12 is of other bands"):
        bsrnn.build(card(), [{**tensors, "bsrnn.mask_estim.effects.freq_weights/12": torch.ones(3)}])
    with pytest.raises(UnbakeError, match=r"tensor bsrnn.band_split.norm_fc_modules.0.fc.bias is \(6,\) in .* \(8,\)"):
        bsrnn.build(card({"emb_dim": 8}), [tensors])
    del tensors["bsrnn.tf_model.seqband.3.rnn.weight_hh_l0_reverse"]
    with pytest.raises(UnbakeError, match=r"seqband.3.rnn.weight_hh_l0_reverse is missing in the weights"):
        bsrnn.build(card(), [tensors])


def test_a_public_configuration_makes_a_card_of_it() -> None:
    tables = {
        "audio": {"chunk_size": CHUNK, "num_channels": 2, "sample_rate": 44_100, "min_mean_abs": 0.001},
        "model": CONFIG,
        "training": {"instruments": CONFIG["stems"], "target_instrument": None},
    }
    parts = public.parts(tables, "test.yaml")
    assert (parts.architecture, parts.stems, parts.config) == ("bsrnn", card().stems, card().config)
