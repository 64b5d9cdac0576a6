"""Demucs networks against the package they come from, their files, and the bag."""

from __future__ import annotations

import hashlib
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from demucs_infer.hdemucs import HDemucs
from demucs_infer.htdemucs import HTDemucs
from torch import nn

from core.errors import UnbakeError
from models import demucs, demucs_file, registry, weights
from models.registry import Card

STEMS = ("drums", "bass", "other", "vocals")
TRANSFORMER: dict[str, Any] = {
    "segment": 0.25,
    "channels": 8,
    "nfft": 512,
    "depth": 3,
    "bottom_channels": 16,
    "t_layers": 3,
    "t_heads": 2,
    "dconv_mode": 3,
    "norm_starts": 2,
}
HYBRID: dict[str, Any] = {
    "channels": 4,
    "nfft": 1024,
    "depth": 5,
    "norm_starts": 3,
    "dconv_attn": 3,
    "dconv_lstm": 3,
    "dconv_mode": 3,
}
CHUNK = 11_025


def card(architecture: str = "htdemucs", **changes: Any) -> Card:
    config = TRANSFORMER if architecture == "htdemucs" else HYBRID
    fields = {"stems": STEMS, "sample_rate": 44_100, "chunk": CHUNK, "config": config, **changes}
    return Card(name="tiny", architecture=architecture, about="A test.", licence="none", source="nowhere", **fields)


def oracle(kind: type[nn.Module], config: dict[str, Any], seed: int = 0) -> nn.Module:
    """The package's own network, with weights under which every part of it can be heard."""
    torch.manual_seed(seed)
    network = kind(sources=list(STEMS), **config).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if "gamma" in name or name.endswith("scale"):
            parameter.uniform_(0.2, 0.6)
        elif parameter.dim() == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def mix(frames: int = CHUNK, batch: int = 2) -> torch.Tensor:
    return 0.2 * torch.randn(batch, 2, frames, generator=torch.Generator().manual_seed(3)) + 0.01


def call(network: nn.Module, sound: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(sound)


def decibels(given: torch.Tensor, expected: torch.Tensor) -> float:
    """The peak of the difference relative to the root mean square of what is expected."""
    return 20 * float(torch.log10((given - expected).abs().max() / expected.square().mean().sqrt() + 1e-20))


def same(architecture: str, config: dict[str, Any], frames: int = CHUNK) -> None:
    theirs = oracle(HTDemucs if architecture == "htdemucs" else HDemucs, config)
    ours = demucs.build(card(architecture, config=config, chunk=frames), [theirs.state_dict()]).eval()
    given, expected = call(ours, mix(frames)), call(theirs, mix(frames))
    assert given.shape == expected.shape == (2, 4, 2, frames)
    assert given.dtype == torch.float32
    assert decibels(given, expected) < -90
    assert torch.equal(given, call(ours, mix(frames)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bottom_channels": 0, "t_cross_first": True},
        {"t_emb": "cape", "t_norm_in": False, "t_norm_in_group": True},
        {"t_emb": "scaled", "t_norm_first": False, "t_gelu": False, "t_layer_scale": False},
        {"t_layers": 0, "multi_freqs": [0.25], "multi_freqs_depth": 1, "freq_emb": 0.0},
        {"cac": False, "rewrite": False, "channels_time": 16, "bottom_channels": 0, "t_layers": 0},
    ],
)
def test_the_transformer_agrees_with_the_package(changes):
    same("htdemucs", TRANSFORMER | changes)


def test_a_chunk_shorter_than_the_segment_is_lengthened_by_silence():
    same("htdemucs", TRANSFORMER, frames=9_000)
    same("htdemucs", TRANSFORMER | {"use_train_segment": False}, frames=13_000)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hybrid_old": True},
        {"multi_freqs": [0.25], "multi_freqs_depth": 1, "dconv_mode": 1},
        {"cac": False, "wiener_iters": 1, "end_iters": 1},
        {"hybrid": False, "depth": 4},
    ],
)
def test_the_older_network_agrees_with_the_package(changes):
    # the LSTM hears more than 200 steps in parts
    same("hdemucs", HYBRID | changes, frames=60_000 if not changes else CHUNK)


@pytest.mark.parametrize("architecture", ["htdemucs", "hdemucs"])
def test_sixteen_bit_arithmetic_leaves_spectra_and_stems_in_single_precision(architecture):
    config = TRANSFORMER if architecture == "htdemucs" else HYBRID
    theirs = oracle(HTDemucs if architecture == "htdemucs" else HDemucs, config)
    ours: Any = demucs.build(card(architecture), [theirs.state_dict()]).eval()
    seen = []
    ours.stft.register_forward_hook(lambda _module, given, made: seen.extend((given[0].dtype, made.dtype)))
    expected = call(theirs, mix())
    with torch.autocast("cpu", torch.bfloat16):
        given = call(ours, mix())
    assert seen == [torch.float32, torch.complex64]
    assert given.dtype == torch.float32
    assert -90 < decibels(given, expected) < -15


def test_a_file_of_the_demucs_programs_says_what_its_network_is(tmp_path):
    theirs = oracle(HTDemucs, TRANSFORMER)
    kwargs = {**TRANSFORMER, "sources": list(STEMS), "segment": Fraction(1, 4), "spelled_by_nobody": 3}
    path = write(tmp_path / "net.th", theirs, kwargs)
    found = weights.parse(path, "demucs")
    assert isinstance(found, demucs_file.DemucsTensors)
    assert found.kind == "HTDemucs"
    assert found.config == {**kwargs, "segment": 0.25}
    assert {tensor.dtype for tensor in found.values()} == {torch.float16}
    ours = demucs.build(card(config={}), [found]).eval()
    rounded = oracle(HTDemucs, TRANSFORMER)
    rounded.load_state_dict({name: tensor.half().float() for name, tensor in theirs.state_dict().items()})
    assert decibels(call(ours, mix()), call(rounded, mix())) < -90


def test_the_registry_loads_a_pinned_file(tmp_path):
    path = write(tmp_path / "net.th", oracle(HTDemucs, TRANSFORMER), TRANSFORMER)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    item = weights.Weights(url=f"file:{path}", sha256=digest, bytes=len(data), format="demucs")
    network = registry.load(card(weights=(item,)))
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert call(network, mix(batch=1)).shape == (1, 4, 2, CHUNK)


def test_a_file_of_the_other_class_is_read_too(tmp_path):
    found: Any = weights.parse(write(tmp_path / "net.th", oracle(HDemucs, HYBRID), HYBRID), "demucs")
    assert found.kind == "HDemucs"
    demucs.build(card("hdemucs", config={}), [found])


def write(path: Path, network: nn.Module, parameters: object, *, zipped: bool = True, **changes: object) -> Path:
    """Saves a network the way the Demucs programs do: its class by name, its weights as 16-bit floats."""
    state = {name: tensor.half() for name, tensor in network.state_dict().items()}
    package = {"klass": type(network), "args": (), "kwargs": parameters, "state": state, "training_args": {"seed": 42}}
    torch.save(package | changes, path, _use_new_zipfile_serialization=zipped)
    return path


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("place", ["kwargs", "args", "training_args", "state"])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path, place):
    marker = tmp_path / "was-here"
    bomb = Bomb(marker)
    hidden = {"kwargs": {"segment": bomb}, "args": (bomb,), "training_args": bomb, "state": {"a": bomb}}[place]
    network = oracle(HDemucs, HYBRID)
    path = write(tmp_path / "net.th", network, {}, **{place: hidden})
    torch.load(path, weights_only=False)
    assert marker.exists(), "the bomb is no bomb"
    marker.unlink()
    with pytest.raises(UnbakeError, match=r"would run code: they ask for (pathlib|.*getattr)"):
        weights.parse(path, "demucs")
    assert not marker.exists()


def test_the_class_a_file_names_is_never_called(tmp_path):
    # a pickle that makes the network, where the class's name alone should stand
    program = b"cdemucs.htdemucs\nHTDemucs\n(](lU\x05drumsatR."
    path = tmp_path / "net.th"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", program)
        archive.writestr("net/version", "3\n")
        archive.writestr("net/byteorder", "little")
    with pytest.raises(UnbakeError, match=r"not a readable|would run code"):
        weights.parse(path, "demucs")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"klass": "HTDemucs"}, "no Demucs network in it"),
        ({"klass": Fraction}, "no Demucs network in it"),
        ({"state": None}, "without its parameters"),
        ({"kwargs": [1]}, "without its parameters"),
        ({"args": (1, 2)}, "without its parameters"),
        ({"state": {"__quantized": True, "quantized": []}}, "quantised with DiffQ"),
        ({"state": {"a": 1}}, "more in its state than named tensors"),
        ({"kwargs": {"segment": torch.zeros(2)}}, "more in its parameters than numbers and texts"),
        ({"kwargs": {"segment": float("nan")}}, "more in its parameters than numbers and texts"),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path, changes, says):
    path = write(tmp_path / "net.th", oracle(HDemucs, HYBRID), {}, **changes)
    with pytest.raises(UnbakeError, match=says) as caught:
        weights.parse(path, "demucs")
    assert caught.value.where == str(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path / "net.th", oracle(HDemucs, HYBRID), {})
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UnbakeError, match="not a readable file of weights"):
        weights.parse(path, "demucs")
    write(path, oracle(HDemucs, HYBRID), {}, zipped=False)  # a layout of 2019, which none of the published files has
    with pytest.raises(UnbakeError, match="not a readable file of weights"):
        weights.parse(path, "demucs")


def test_card_and_file_must_agree(tmp_path):
    found = weights.parse(write(tmp_path / "net.th", oracle(HTDemucs, TRANSFORMER), TRANSFORMER), "demucs")
    demucs.build(card(config={"multi_freqs": []}), [found])
    with pytest.raises(UnbakeError, match=r"model card tiny: config\.depth: 4 where the file of weights says 3"):
        demucs.build(card(config={"depth": 4}), [found])
    with pytest.raises(UnbakeError, match="a network called HTDemucs where hdemucs is HDemucs"):
        demucs.build(card("hdemucs"), [found])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config": TRANSFORMER | {"channel": 8}}, "config: Object contains unknown field `channel`"),
        ({"config": TRANSFORMER | {"depth": "four"}}, r"config\.depth: Expected `int`, got `str`"),
        ({"config": TRANSFORMER | {"depth": 0}}, r"config\.depth: Expected `int` >= 1"),
        ({"config": TRANSFORMER | {"audio_channels": 1}}, r"config\.audio_channels: Invalid enum value 1"),
        ({"config": TRANSFORMER | {"t_heads": 3}}, "config: no network has these parameters together"),
        ({"config": TRANSFORMER | {"dconv_comp": 9}}, r"config\.dconv_comp: 9.* leaves no channels"),
        (
            {"config": TRANSFORMER | {"norm_groups": 3}},
            "config: no network has these parameters together: num_channels",
        ),
        ({"config": TRANSFORMER | {"t_sin_random_shift": 5}}, r"config\.t_sin_random_shift: Invalid enum value 5"),
        ({"config": TRANSFORMER | {"t_sparse_self_attn": True}}, "sparse attention is more than this network can do"),
        ({"config": TRANSFORMER | {"samplerate": 48_000}}, r"config\.samplerate: 48000 where sample_rate is 44100"),
        ({"config": TRANSFORMER | {"sources": ["a", "b"]}}, "stems: 4 where the network gives 2"),
        ({"stems": ("bass", "drums", "other", "vocals"), "config": TRANSFORMER | {"sources": STEMS}}, "in this order"),
        ({"chunk": CHUNK + 1}, "chunk: 11026 frames where this network was trained on 11025 and takes no more"),
        ({"chunk": 511}, "chunk: 511 frames where this network takes 512 or more"),
        ({"config": TRANSFORMER | {"bag": [[1.0, 1.0]]}}, "1 files of weights and 4 stems"),
        ({"config": TRANSFORMER | {"bag": [[1.0, 1.0, 0.0, 1.0]]}}, "no network gives the stem of column 3"),
        ({"config": TRANSFORMER | {"channels": 16}}, "the weights are not this network's: tensor"),
        ({"config": TRANSFORMER | {"t_layers": 2}}, "is unknown in the network|and unknown in the network"),
    ],
)
def test_a_wrong_card_is_named(changes, says):
    state = oracle(HTDemucs, TRANSFORMER).state_dict()
    with pytest.raises(UnbakeError, match=says) as caught:
        demucs.build(card(**changes), [state])
    assert caught.value.where == "model card tiny"


def test_a_missing_tensor_is_named():
    state = oracle(HDemucs, HYBRID).state_dict()
    del state["freq_emb.embedding.weight"]
    with pytest.raises(UnbakeError, match=r"tensor freq_emb\.embedding\.weight is missing in the weights"):
        demucs.build(card("hdemucs"), [state])
    with pytest.raises(UnbakeError, match="no file where this network has one"):
        demucs.build(card("hdemucs"), [])


def test_a_bag_takes_each_stem_from_its_networks():
    theirs = [oracle(HTDemucs, TRANSFORMER, seed) for seed in range(2)]
    bag = [[1.0, 0.0, 1.0, 0.0], [3.0, 1.0, 0.0, 0.5]]
    ours = demucs.build(card(config=TRANSFORMER | {"bag": bag}), [one.state_dict() for one in theirs]).eval()
    first, second = (call(one, mix()) for one in theirs)
    given = call(ours, mix())
    assert decibels(given[:, 0], 0.25 * first[:, 0] + 0.75 * second[:, 0]) < -90
    assert decibels(given[:, 1:], torch.stack((second[:, 1], first[:, 2], second[:, 3]), 1)) < -90
    even = demucs.build(card(), [one.state_dict() for one in theirs]).eval()
    assert decibels(call(even, mix()), (first + second) / 2) < -90


def test_a_bag_runs_only_the_networks_that_are_asked_for():
    states = [oracle(HTDemucs, TRANSFORMER, seed).state_dict() for seed in range(2)]
    bag: Any = demucs.build(
        card(config=TRANSFORMER | {"bag": [[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]]}), states
    ).eval()
    every = call(bag, mix())
    bag.networks[0].register_forward_hook(lambda *_: pytest.fail("a network that nobody asked ran"))
    bag.wanted = (1,)
    given = call(bag, mix())
    assert torch.equal(given[:, 1], every[:, 1])
    assert not given[:, (0, 2, 3)].any()


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi"])
def test_the_public_cards_describe_networks_of_their_files_size(name):
    found = registry.find(name)
    kind = demucs.KINDS[found.architecture]
    config = demucs.config_of(found, kind.config)
    demucs.check(config, found)
    demucs.shares_of(config.bag, len(found.weights), len(found.stems), name)
    parameters = {**msgspec.structs.asdict(config), "sources": list(found.stems)}
    del parameters["bag"]
    with torch.device("meta"):
        network = kind.network(**parameters)
    size = 2 * sum(tensor.numel() for tensor in network.state_dict().values())
    assert all(0 < item.bytes - size < 0.01 * size for item in found.weights)
    assert found.chunk == (485_100 if name == "hdemucs_mmi" else 343_980)
    assert found.normalise == "track"
