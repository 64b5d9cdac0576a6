"""`models add` with the networks that there are: their public configurations, and files that say what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from demucs_infer.htdemucs import HTDemucs

from core.errors import UnbakeError
from core.events import finish
from core.jobs import adding, models
from models import registry
from models.roformer import SHARED, network_of
from models.roformer.config import MelBandConfig

MEL = """
audio: {chunk_size: 2205, sample_rate: 44100, hop_length: 64, min_mean_abs: 0.0}
model:
  dim: 8
  depth: 1
  stereo: true
  num_stems: 1
  time_transformer_depth: 1
  freq_transformer_depth: 1
  num_bands: 6
  dim_head: 4
  heads: 2
  attn_dropout: 0
  flash_attn: true
  dim_freqs_in: 129
  sample_rate: 44100
  stft_n_fft: 256
  stft_hop_length: 64
  stft_win_length: 256
  stft_normalized: false
  mask_estimator_depth: 2
  multi_stft_resolutions_window_sizes: !!python/tuple
  - 4096
  - 2048
training:
  instruments: [vocals, other]
  target_instrument: vocals
  lr: 1.0e-05
inference: {num_overlap: 4}
"""


def random_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Tensors for a network that has none yet; those that all layers share are the same in all of them."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.linspace(0.1, 1.0, tensor.numel()).view_as(tensor)
        if SHARED.fullmatch(name)
        else 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in network.state_dict().items()
    }


@pytest.fixture
def mel(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint of a small Mel-Band RoFormer, as a trainer saves it, and its public configuration."""
    config = MelBandConfig(
        dim=8, depth=1, stereo=True, time_transformer_depth=1, freq_transformer_depth=1, num_bands=6, dim_head=4,
        heads=2, stft_n_fft=256, stft_hop_length=64, stft_win_length=256, mask_estimator_depth=2,
    )  # fmt: skip
    path = tmp_path / "voices.ckpt"
    torch.save({"model_state_dict": random_state(network_of(config)), "best_metric": 3.0}, path)
    (tmp_path / "voices.yaml").write_text(MEL, encoding="utf-8")
    return path, tmp_path / "voices.yaml"


def test_a_roformer_with_its_public_configuration(mel: tuple[Path, Path]) -> None:
    checkpoint, config = mel
    added = finish(adding.add(checkpoint, config=config))
    assert (added.name, added.architecture, added.stems) == ("voices", "mel_band_roformer", ("vocals",))
    checked = finish(models.check(("voices",), "cpu"))
    assert checked.passed, checked.models[0].problem
    assert registry.load(registry.find("voices"))(torch.zeros(2, 2, 2205)).shape == (2, 1, 2, 2205)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("dim: 8", "dim: 16", r"tensor \S+ is \(.*\) in the weights and \(.*\) in the network"),
        ("depth: 1\n", "depth: 2\n", r"tensor layers\.1\.\S+ is missing in the weights"),
        ("num_bands: 6", "num_bands: 5", r"tensor band_split\S+ is \(.*\) in the weights and"),
        ("  heads: 2", "  heads: 2\n  hyper: 3", "config: Object contains unknown field `hyper`"),
        ("num_stems: 1", "num_stems: 2", "model.num_stems: 2 where training names 1"),
    ],
)
def test_a_configuration_of_another_network_is_named(mel: tuple[Path, Path], old: str, new: str, says: str) -> None:
    checkpoint, config = mel
    assert old in MEL
    config.write_text(MEL.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UnbakeError, match=says):
        finish(adding.add(checkpoint, config=config))
    assert "voices" not in registry.cards()


def test_a_file_of_the_demucs_programs_needs_nothing_else(tmp_path: Path) -> None:
    config = {
        "sources": ["drums", "vocals"], "channels": 4, "depth": 2, "nfft": 256, "t_layers": 1, "t_heads": 2,
        "bottom_channels": 8, "dconv_depth": 0, "segment": 0.05, "samplerate": 44_100,
    }  # fmt: skip
    network = HTDemucs(**config)
    path = tmp_path / "955717e8.th"
    torch.save({"klass": HTDemucs, "args": (), "kwargs": config, "state": network.state_dict()}, path)
    added = finish(adding.add(path, name="mine"))
    assert (added.architecture, added.stems) == ("htdemucs", ("drums", "vocals"))
    card = registry.find("mine")
    assert (card.chunk, card.normalise, card.weights[0].format) == (2205, "track", "demucs")
    checked = finish(models.check(("mine",), "cpu"))
    assert checked.passed, checked.models[0].problem


def test_an_onnx_file_wants_a_card(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x07")
    with pytest.raises(UnbakeError, match=r"does not say what network it is of.*--card"):
        finish(adding.add(path))
    with pytest.raises(UnbakeError, match=r"none of the files of model mdx-voc-ft: its SHA-256 is"):
        finish(adding.add(path, card="mdx-voc-ft"))


def test_a_tensorflow_archive_is_known_by_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "4stems.tar.gz"
    path.write_bytes(b"\x1f\x8bnothing")
    card = tmp_path / "card.toml"
    card.write_text(
        'name = "mine"\narchitecture = "spleeter"\nstems = ["vocals", "accompaniment"]\nsample_rate = 44100\n'
        'chunk = 523264\nabout = "Mine."\nlicence = "mine"\nsource = "here"\n',
        encoding="utf-8",
    )
    with pytest.raises(UnbakeError, match=r"4stems.tar.gz: not a readable"):
        finish(adding.add(path, card=str(card)))
