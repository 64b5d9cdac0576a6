"""The two RoFormers against pymss-core with the same random weights, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pymss_core.modules._dsp import mel_filterbank
from pymss_core.modules.bs_roformer import BSRoformer, MelBandRoformer

from benchmarks.oracle import SHARED_BIAS, built, decibels, random_weights
from core.errors import UnbakeError
from models.roformer import bands, dense, transformer
from models.roformer.config import PAPER_BANDS

FRAMES = 3000
SMALL = {
    "dim": 24,
    "depth": 2,
    "stereo": True,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "dim_head": 8,
    "heads": 3,
    "stft_n_fft": 512,
    "stft_hop_length": 128,
    "stft_win_length": 512,
    "zero_dc": True,
}
MEL = {**SMALL, "num_bands": 16}
# widths that the groups pad, one that stands alone, and neighbours that are not in the order of their widths
BANDS = {**SMALL, "freqs_per_bands": (2,) * 8 + (5,) * 5 + (4, 16, 13, 16) + (87, 80)}
MUSIC = 0.1 * torch.randn(2, 2, FRAMES, generator=torch.Generator().manual_seed(3))


def pair(config: dict[str, Any]) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Our network and the reference, with the same weights."""
    if "num_bands" in config:
        hidden = config.get("mask_estimator_depth", 1)
        theirs = MelBandRoformer(**config, mlp_hidden_layers=hidden, match_input_audio_length=True)
    else:
        theirs = BSRoformer(**config)
    tensors = random_weights(theirs, SHARED_BIAS)
    theirs.load_state_dict(tensors)
    return ours(config, tensors), theirs.eval()


def ours(config: dict[str, Any], tensors: dict[str, torch.Tensor], chunk: int = FRAMES) -> torch.nn.Module:
    architecture = "mel_band_roformer" if "num_bands" in config else "bs_roformer"
    return built(architecture, config.get("num_stems", 1), chunk, config, tensors)


def weights(config: dict[str, Any]) -> dict[str, torch.Tensor]:
    return pair(config)[1].state_dict()


def call(module: torch.nn.Module, mix: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return module(mix)


@pytest.fixture(scope="module", params=[MEL, BANDS], ids=["mel", "bands"])
def small(request) -> torch.nn.Module:
    return pair(request.param)[0]


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Groups of bands, and all sequences, in one call each."""
    parts = bands.PerBand.parts
    monkeypatch.setattr(bands.PerBand, "parts", lambda self, device: parts(self, torch.device("meta")))
    monkeypatch.setattr(transformer, "BLOCK", 1 << 30)
    monkeypatch.setattr(dense, "REORDERS", False)


CONFIGS = {
    "mel": MEL,
    "mel, stems, deeper, skips": {
        **MEL,
        "num_stems": 2,
        "depth": 3,
        "time_transformer_depth": 2,
        "freq_transformer_depth": 2,
        "mask_estimator_depth": 2,
        "skip_connection": True,
    },
    "mel without hidden layers": {**MEL, "mask_estimator_depth": 0, "mlp_expansion_factor": 2},
    "mel at another rate": {**MEL, "sample_rate": 48_000, "zero_dc": False},
    "bands": BANDS,
    "bands, stems, shared biases": {**BANDS, "num_stems": 3, "mask_estimator_depth": 3, "use_shared_bias": True},
    "bands, short window, normalised": {
        **BANDS,
        "stft_win_length": 400,
        "stft_hop_length": 100,
        "stft_normalized": True,
        "mlp_expansion_factor": 1,
        "mask_estimator_depth": 1,
        "skip_connection": True,
    },
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_agrees_with_the_reference(config):
    module, theirs = pair(config)
    found = call(module, MUSIC)
    assert found.shape == (2, config.get("num_stems", 1), 2, FRAMES)
    assert found.dtype == torch.float32
    assert decibels(found, call(theirs, MUSIC)) < -100


@pytest.mark.parametrize("config", [CONFIGS["mel, stems, deeper, skips"], CONFIGS["bands, stems, shared biases"]])
def test_agrees_when_computed_as_on_a_gpu(config, as_on_a_gpu):
    module, theirs = pair(config)
    assert decibels(call(module, MUSIC), call(theirs, MUSIC)) < -100


def test_a_network_for_one_channel_hears_both_apart():
    module, theirs = pair({**BANDS, "stereo": False, "num_stems": 2})
    expected = call(theirs, MUSIC.reshape(4, 1, FRAMES)).reshape(2, 2, 2, FRAMES).transpose(1, 2)
    assert decibels(call(module, MUSIC), expected) < -100


@pytest.mark.parametrize("config", [MEL, {**BANDS, "use_shared_bias": True}])
def test_has_the_tensors_of_public_checkpoints(config):
    module, theirs = pair(config)
    mine, public = module.state_dict(), theirs.state_dict()
    assert mine.keys() == public.keys()
    assert all(torch.equal(mine[name], public[name]) for name in public)


@pytest.mark.parametrize(("count", "n_fft", "rate"), [(60, 2048, 44_100), (60, 4096, 44_100), (64, 2048, 48_000)])
def test_mel_bands_are_those_of_the_filter_bank(count, n_fft, rate):
    triangles = mel_filterbank(sr=rate, n_fft=n_fft, n_mels=count) > 0
    triangles[0, 0] = triangles[-1, -1] = True
    bins = np.arange(n_fft // 2 + 1)
    for (start, stop), triangle in zip(bands.mel_bands(count, n_fft, rate), triangles, strict=True):
        assert np.array_equal(bins[triangle], np.arange(start, stop))


def test_groups_of_bands_waste_little():
    for widths in ([8 * width for width in PAPER_BANDS], [4 * (stop - start) for start, stop in mel_ranges()]):
        groups = bands.grouped(widths)
        assert sorted(band for group in groups for band in group.bands) == list(range(len(widths)))
        assert sum(len(group.bands) * group.widths[-1] for group in groups) <= bands.WASTE * sum(widths)
        assert len(groups) <= 12


def mel_ranges() -> bands.Ranges:
    return bands.mel_bands(60, 2048, 44_100)


def test_tensors_may_be_of_half_the_precision():
    tensors = weights(BANDS)
    halves = {name: tensor.half() for name, tensor in tensors.items()}
    rounded = {name: tensor.float() for name, tensor in halves.items()}
    assert torch.equal(call(ours(BANDS, halves), MUSIC), call(ours(BANDS, rounded), MUSIC))


def test_chunks_of_a_batch_are_heard_apart(small):
    both = call(small, MUSIC)
    assert decibels(call(small, MUSIC[1:]), both[1:]) < -100


def test_the_same_chunk_gives_the_same_samples(small):
    assert torch.equal(call(small, MUSIC), call(small, MUSIC))


def test_block_sizes_do_not_matter(small, monkeypatch):
    expected = call(small, MUSIC)
    monkeypatch.setattr(transformer, "BLOCK", 1)
    assert decibels(call(small, MUSIC), expected) < -100


def test_silence_stays_silent(small):
    assert not call(small, torch.zeros(1, 2, FRAMES)).any()


def test_a_faint_chunk_stays_finite(small):
    found = call(small, 1e-20 * MUSIC)
    assert found.isfinite().all()


@pytest.mark.parametrize(("precision", "within"), [(torch.bfloat16, -20.0), (torch.float16, -40.0)])
def test_autocast_lowers_the_precision_of_the_layers_only(small, precision, within):
    exact = call(small, MUSIC)
    with torch.autocast("cpu", precision):
        lower = call(small, MUSIC)
    assert lower.dtype == torch.float32
    assert -90 < decibels(lower, exact) < within


def test_training_keys_of_public_configurations_are_accepted():
    training = {
        "attn_dropout": 0.1,
        "ff_dropout": 0,
        "flash_attn": True,
        "sage_attention": True,
        "dim_freqs_in": 1025,
        "use_torch_checkpoint": False,
        "match_input_audio_length": True,
        "multi_stft_resolution_loss_weight": 1.0,
        "multi_stft_resolutions_window_sizes": [4096, 2048],
        "multi_stft_hop_size": 147,
        "multi_stft_normalized": False,
        "linear_transformer_depth": 0,
        "use_pope": False,
    }
    tensors = weights(MEL)
    assert torch.equal(call(ours({**MEL, **training}, tensors), MUSIC), call(ours(MEL, tensors), MUSIC))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**MEL, "conformer": True}, r"config: Object contains unknown field `conformer`"),
        ({**MEL, "add_value_residual": True}, "unknown field `add_value_residual`"),
        ({**MEL, "freqs_per_bands": [257]}, "unknown field `freqs_per_bands`"),
        ({key: value for key, value in MEL.items() if key != "dim"}, "missing required field `dim`"),
        ({**MEL, "depth": 0}, r"config\.depth: Expected `int` >= 1"),
        ({**MEL, "stereo": "yes"}, r"config\.stereo: Expected `bool`, got `str`"),
        ({**MEL, "dim_head": 7}, r"config\.dim_head: Expected `int` that's a multiple of 2"),
        ({**MEL, "linear_transformer_depth": 1}, "linear_transformer_depth: linear attention is not supported"),
        ({**MEL, "use_pope": True}, "use_pope: polar positions are not supported"),
        ({**MEL, "stft_win_length": 513}, "stft_win_length: longer than stft_n_fft"),
        ({**MEL, "stft_hop_length": 257}, "stft_hop_length: more than half of stft_win_length"),
        ({**MEL, "stft_n_fft": 513}, r"config\.stft_n_fft: Expected `int` that's a multiple of 2"),
        ({**MEL, "num_bands": 200}, r"config\.num_bands: 200 bands are too many for transforms of 512 samples"),
        (
            {**BANDS, "freqs_per_bands": [100, 100]},
            "freqs_per_bands: 200 bins where transforms of 512 samples give 257",
        ),
        ({**BANDS, "freqs_per_bands": [0, 257]}, r"config\.freqs_per_bands\[0\]: Expected `int` >= 1"),
        ({**BANDS, "mask_estimator_depth": 0}, r"config\.mask_estimator_depth: Expected `int` >= 1"),
        ({**MEL, "num_stems": 2}, r"config\.num_stems: 2 where the card has 1"),
    ],
)
def test_impossible_configurations_are_refused_by_name(config, message):
    architecture = "mel_band_roformer" if "num_bands" in config else "bs_roformer"
    with pytest.raises(UnbakeError, match=message):
        built(architecture, 1, FRAMES, config, {})


def test_a_chunk_shorter_than_a_transform_is_refused():
    with pytest.raises(UnbakeError, match="chunk: 256 frames are too few for transforms of 512"):
        ours(MEL, {}, chunk=256)


def test_weights_of_another_network_are_refused_by_tensor():
    tensors = weights(BANDS)
    name = "mask_estimators.0.to_freqs.3.0.2.weight"
    with pytest.raises(UnbakeError, match=rf"tensor {name} is \(5, 96\) in the weights and \(16, 96\) in the network"):
        ours(BANDS, {**tensors, name: torch.zeros(5, 96)})
    missing = {key: tensor for key, tensor in tensors.items() if key != "final_norm.gamma"}
    with pytest.raises(UnbakeError, match=r"tensor final_norm\.gamma is missing in the weights"):
        ours(BANDS, missing)
    with pytest.raises(UnbakeError, match=r"tensor band_split\.extra is \(1,\) in the weights and unknown"):
        ours(BANDS, {**tensors, "band_split.extra": torch.zeros(1)})


def test_shared_tensors_that_differ_are_refused():
    config = {**BANDS, "use_shared_bias": True}
    tensors = weights(config)
    for name in ("layers.1.0.layers.0.0.rotary_embed.freqs", "layers.0.1.layers.0.0.to_out.0.bias"):
        with pytest.raises(UnbakeError, match=r"tensor .* is not the same as in the other layers"):
            ours(config, {**tensors, name: tensors[name] + 0.1})


def test_loading_names_what_does_not_fit(small):
    tensors = small.state_dict()
    name = next(key for key in tensors if key.startswith("band_split"))
    left = {key: tensor for key, tensor in tensors.items() if key != name}
    with pytest.raises(RuntimeError, match=name):
        small.load_state_dict(left)
    with pytest.raises(RuntimeError, match=r"band_split\.extra"):
        small.load_state_dict({**tensors, "band_split.extra": torch.zeros(1)})
    with pytest.raises(RuntimeError, match=rf"{name}: \(7,\) where"):
        small.load_state_dict({**tensors, name: torch.zeros(7)})
