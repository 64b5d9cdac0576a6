"""Networks against reference packages with the same random weights: how far apart they are, and how fast.

python -m benchmarks.oracle [NAME...] [--time] [--rounds 3] [--threads 2] [--precision bfloat16] [--device cuda]

Networks have their public configurations and hear one chunk of noise. Two distances are given, the root mean square
and the peak of the difference, both over the reference's root mean square. In float32 a root mean square above -80 dB
is a failure; peaks are for the reader, since with random weights some networks give sounds that peak 36 dB above their
mean. Times are the best of the rounds, in which the two take turns. Lower precisions are ours alone: the reference
stays in float32.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from argparse import ArgumentParser
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from models import registry
from models.mdx23c import AUDIO_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from models.weights import Tensors

AGREEMENT = -80.0
"""dB. What differs by less computes the same, rounded in another order."""


class Pair(NamedTuple):
    """A network of ours and its reference, on the CPU, with the same weights.

    Both map `[1, 2, chunk]` to `[1, stems, 2, chunk]`; the reference may leave out an axis of one stem.
    """

    ours: nn.Module
    theirs: nn.Module
    chunk: int


def random_weights(network: nn.Module, same: Mapping[str, str] | None = None) -> Tensors:
    """Tensors for all that a network's checkpoint holds, of a size that keeps signals at theirs.

    Norms and biases are far enough from 1 and 0 that one left out would be seen. Buffers of whole numbers and tables
    that no training changes stay. Names that end like a key of `same` get the tensor that its value names.
    """
    generator = torch.Generator().manual_seed(1)
    tensors: Tensors = {}
    for name, tensor in network.state_dict().items():
        twin = next((to for end, to in (same or {}).items() if name.endswith(end)), None)
        if twin is not None:
            tensors[name] = tensors[twin]
        elif not tensor.is_floating_point() or name.endswith(("freqs", "window")):
            tensors[name] = tensor.clone()
        elif name.endswith("running_var"):
            tensors[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif tensor.dim() > 1:
            tensors[name] = torch.randn(tensor.shape, generator=generator) / tensor[0].numel() ** 0.5
        else:
            tensors[name] = float(not name.endswith(("bias", "mean"))) + 0.2 * torch.randn(
                tensor.shape, generator=generator
            )
    return tensors


def built(architecture: str, stems: int, chunk: int, config: dict[str, Any], tensors: Tensors) -> nn.Module:
    """Our network of a card with this configuration, as the program builds it."""
    card = registry.Card(
        name=architecture.replace("_", "-"),
        architecture=architecture,
        stems=tuple(f"stem{number}" for number in range(stems)),
        sample_rate=44_100,
        chunk=chunk,
        about="",
        licence="",
        source="",
        config=config,
    )
    module = importlib.import_module(registry.ARCHITECTURES[architecture].module)
    return module.build(card, [tensors]).eval().requires_grad_(False)


def ready(theirs: nn.Module, tensors: Tensors) -> nn.Module:
    """The reference with these weights, ready to be asked."""
    theirs.load_state_dict(tensors)
    return theirs.eval().requires_grad_(False)


ROFORMER = {
    "stereo": True,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "dim_head": 64,
    "heads": 8,
    "stft_n_fft": 2048,
    "stft_win_length": 2048,
    "mask_estimator_depth": 2,
    "zero_dc": True,
}
"""What most public configurations of the two RoFormers have in common."""
SHARED_BIAS = {"to_qkv.bias": "linear_62_bias_0", "to_out.0.bias": "linear_64_bias_0"}


def mel_band_roformer(chunk: int, stems: int = 1, **config: Any) -> Pair:
    from pymss_core.modules.bs_roformer import MelBandRoformer

    config = {**ROFORMER, "num_bands": 60, "sample_rate": 44_100, "num_stems": stems, **config}
    # its own reading of the depth is one layer short of the checkpoints
    hidden = {"mlp_hidden_layers": config["mask_estimator_depth"], "match_input_audio_length": True}
    theirs = MelBandRoformer(**config, **hidden)
    tensors = random_weights(theirs)
    ours = built("mel_band_roformer", stems, chunk, config, tensors)
    return Pair(ours, ready(theirs, tensors), chunk)


def bs_roformer(chunk: int, stems: int = 1, **config: Any) -> Pair:
    from pymss_core.modules.bs_roformer import BSRoformer

    config = {**ROFORMER, "num_stems": stems, **config}
    theirs = BSRoformer(**config)
    tensors = random_weights(theirs, SHARED_BIAS)
    ours = built("bs_roformer", stems, chunk, config, tensors)
    return Pair(ours, ready(theirs, tensors), chunk)


def demucs(name: str) -> Pair:
    """A network of Demucs as the built-in card `name` has it; the fine-tuned ones are made like `htdemucs`."""
    from demucs_infer.hdemucs import HDemucs
    from demucs_infer.htdemucs import HTDemucs

    card = registry.find(name)
    kind = HTDemucs if card.architecture == "htdemucs" else HDemucs
    theirs = kind(**{"sources": list(card.stems), **card.config})
    tensors = random_weights(theirs)
    config = {name: value for name, value in card.config.items() if name != "sources"}
    ours = built(card.architecture, len(card.stems), card.chunk, config, tensors)
    return Pair(ours, ready(theirs, tensors), card.chunk)


def mdx23c(name: str) -> Pair:
    """MDX23C as the built-in card `name` has it."""
    from pymss_core.modules.mdx23c_tfc_tdf_v3 import TFC_TDF_net

    card = registry.find(name)
    tables: dict[str, dict[str, Any]] = {"audio": {"num_channels": 2}, "model": {}}
    for key, value in card.config.items():
        tables["audio" if key in AUDIO_KEYS else "model"][key] = value
    tables["training"] = {"instruments": card.stems, "target_instrument": None}
    theirs = TFC_TDF_net(SimpleNamespace(**{key: SimpleNamespace(**table) for key, table in tables.items()}))
    tensors = random_weights(theirs)
    return Pair(built("mdx23c", len(card.stems), card.chunk, card.config, tensors), ready(theirs, tensors), card.chunk)


def scnet(name: str) -> Pair:
    """SCNet as the built-in card `name` has it."""
    from pymss_core.modules.scnet import SCNet

    card = registry.find(name)
    theirs = SCNet(**card.config)
    tensors = random_weights(theirs)
    return Pair(built("scnet", len(card.stems), card.chunk, card.config, tensors), ready(theirs, tensors), card.chunk)


class SideBySide(nn.Module):
    """A reference for one channel, asked for both: with two at once it confuses them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, mix: Tensor) -> Tensor:
        sides = self.network(mix.flatten(0, 1).unsqueeze(1))
        return sides.squeeze(2).unflatten(0, mix.shape[:2]).transpose(1, 2)


def bandit(name: str) -> Pair:
    """Bandit's BSRNN as the built-in card `name` has it."""
    from pymss_core.modules.bandit.core.model import MultiMaskMultiSourceBandSplitRNNSimple

    card = registry.find(name)
    theirs = MultiMaskMultiSourceBandSplitRNNSimple(**card.config)
    known = {key: value for key, value in theirs.state_dict().items() if "freq_weights/" in key}
    tensors = {**random_weights(theirs), **known}
    ours = built("bsrnn", len(card.stems), card.chunk, card.config, tensors)
    return Pair(ours, SideBySide(ready(theirs, tensors)), card.chunk)


CASES: dict[str, Callable[[], Pair]] = {
    "mel-band-roformer": lambda: mel_band_roformer(352_800, dim=384, depth=6, stft_hop_length=441),
    "bs-roformer": lambda: bs_roformer(352_800, dim=512, depth=12, stft_hop_length=441),
    "bs-roformer-6": lambda: bs_roformer(588_800, 6, dim=256, depth=12, stft_hop_length=512, use_shared_bias=True),
    "htdemucs": lambda: demucs("htdemucs"),
    "htdemucs_6s": lambda: demucs("htdemucs_6s"),
    "hdemucs_mmi": lambda: demucs("hdemucs_mmi"),
    "mdx23c-vocals-hq": lambda: mdx23c("mdx23c-vocals-hq"),
    "mdx23c-musdb18": lambda: mdx23c("mdx23c-musdb18"),
    "mdx23c-drumkit-5": lambda: mdx23c("mdx23c-drumkit-5"),
    "mdx23c-drumkit-6": lambda: mdx23c("mdx23c-drumkit-6"),
    "scnet-small": lambda: scnet("scnet-small"),
    "scnet-large": lambda: scnet("scnet-large"),
    "scnet-xl-ihf": lambda: scnet("scnet-xl-ihf"),
    "bandit-plus": lambda: bandit("bandit-plus"),
}
"""Every network with a public configuration of it."""


def decibels(ours: Tensor, theirs: Tensor) -> float:
    """The peak of the difference over the root mean square of the second, of tensors that hold the same numbers."""
    difference = (ours.double() - theirs.double().reshape(ours.shape)).abs().max()
    return 20.0 * float(torch.log10(difference.clamp_min(1e-30) / theirs.double().square().mean().sqrt()))


def mean_decibels(ours: Tensor, theirs: Tensor) -> float:
    """The root mean square of the difference over that of the second, of tensors that hold the same numbers."""
    difference = (ours.double() - theirs.double().reshape(ours.shape)).square().mean()
    return 10.0 * float(torch.log10(difference.clamp_min(1e-30) / theirs.double().square().mean()))


def seconds(network: nn.Module, mix: Tensor, given: contextlib.AbstractContextManager[Any]) -> tuple[float, Tensor]:
    """How long one call takes, and what it gives."""
    wait = torch.cuda.synchronize if mix.is_cuda else lambda: None
    wait()
    start = time.perf_counter()
    with torch.inference_mode(), given:
        out = network(mix)
    wait()
    return time.perf_counter() - start, out


def report(name: str, *, rounds: int, timed: bool, device: str, precision: torch.dtype) -> bool:
    """Prints a network's line; False when it does not agree."""
    pair = CASES[name]()
    ours, theirs = pair.ours.to(device), pair.theirs.to(device)
    mix = (0.1 * torch.randn(1, 2, pair.chunk, generator=torch.Generator().manual_seed(2))).to(device)
    exact = precision == torch.float32
    times: list[tuple[float, float]] = []
    distance = peak = -torch.inf
    for _ in range(rounds if timed else 1):
        lower = contextlib.nullcontext() if exact else torch.autocast(mix.device.type, precision)
        mine, found = seconds(ours, mix, lower)
        other, expected = seconds(theirs, mix, contextlib.nullcontext())
        times.append((mine, other))
        distance = max(distance, mean_decibels(found, expected))
        peak = max(peak, decibels(found, expected))
    line = f"  {name:20} {distance:7.1f} dB (peak {peak:6.1f})"
    if timed:
        mine, other = (min(column) for column in zip(*times, strict=True))
        line += f", ours {mine:7.2f} s, reference {other:7.2f} s, ratio {other / mine:5.2f}"
    print(line, flush=True)
    return not exact or distance <= AGREEMENT


def main() -> int:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--time", action="store_true", help="time both, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    options = parser.parse_args()
    for name in options.names:
        if name not in CASES:
            parser.error(f"no network is called {name}; known: {', '.join(CASES)}")
    torch.set_num_threads(options.threads)
    print(f"{options.device}, {options.threads} threads, {options.precision}, torch {torch.__version__}")
    agree = [
        report(
            name,
            rounds=options.rounds,
            timed=options.time,
            device=options.device,
            precision=getattr(torch, options.precision),
        )
        for name in options.names or CASES
    ]
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
