"""MDX23C: a U-Net of convolutions over time and frequency with fully connected layers over frequency between them.

After M. Kim, J. H. Lee and S. Jung, "Sound Demixing Challenge 2023 Music Demixing Track Technical Report:
TFC-TDF-UNet v3", arXiv:2306.09382. Written from the report and from the names and shapes of the published tensors.

Public configurations of this network have the numbers of its transform outside their `model` table, in `audio`. A
card's `config` holds both: the `model` table, and of `audio` the keys that `AUDIO_KEYS` names.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from core.errors import UnbakeError
from models.building import config_of, fill, only, where_of
from models.norms import standardised
from models.stft import Stft

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.registry import Card
    from models.weights import Tensors

AUDIO_KEYS = ("n_fft", "hop_length", "dim_f")
"""Keys of a public configuration's `audio` table that belong into a card's `config`."""
CHANNELS = 2

Count = Annotated[int, Meta(ge=1, le=64)]
Width = Annotated[int, Meta(ge=1, le=4096)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network's parameters under their public names.

    `n_fft` and `hop_length` in samples are those of the transform; the network sees its lowest `dim_f` bins, cut into
    `num_subbands` bands that lie beside each other as channels. `num_scales` times the map shrinks by `scale` (time,
    frequency) and its `num_channels` grow by `growth`, with `num_blocks_per_scale` blocks each time; the fully
    connected layers narrow the frequencies by `bottleneck_factor`. `norm` is InstanceNorm, BatchNorm or GroupNorm with
    the number of groups behind it; `act` is gelu, relu or elu, the last with its alpha behind it if that isn't 1.
    """

    n_fft: Annotated[int, Meta(ge=16, le=65_536, multiple_of=2)]
    hop_length: Annotated[int, Meta(ge=1, le=65_536)]
    dim_f: Annotated[int, Meta(ge=1, le=32_769)]
    num_subbands: Count
    num_scales: Annotated[int, Meta(ge=0, le=12)]
    scale: tuple[Count, Count]
    num_blocks_per_scale: Count
    num_channels: Width
    growth: Annotated[int, Meta(ge=0, le=4096)]
    bottleneck_factor: Count
    norm: Annotated[str, Meta(pattern=r"^(InstanceNorm|BatchNorm|GroupNorm[1-9][0-9]{0,3})$")]
    act: Annotated[str, Meta(pattern=r"^(gelu|relu|elu([0-9]+(\.[0-9]+)?)?)$")]


class InstanceNorm(nn.Module):
    """Brings each channel of each example to mean 0 and deviation 1, then scales and shifts it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, time, frequency]` to the same."""
        return standardised(x, (2, 3), self.weight[:, None, None], self.bias[:, None, None]).to(x.dtype)


class Gelu(nn.Module):
    """The Gaussian error linear unit, in place: its input is always a fresh result here."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return torch.ops.aten.gelu_(x)


class Dense(nn.Module):
    """A linear layer over the frequencies of each frame and channel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, time, inputs]` to `[batch, channels, time, outputs]`, channels last in memory in both."""
        frames = x.permute(0, 2, 3, 1).flatten(0, 1)
        out = torch.bmm(self.weight.to(x.dtype).expand(len(frames), -1, -1), frames)
        return out.unflatten(0, (len(x), -1)).permute(0, 3, 1, 2)


class Layers:
    """Makes the pieces the network is of, with the norm and the activation of a configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def norm(self, channels: int) -> nn.Module:
        """What comes before each activation but the last."""
        kind = self.config.norm
        if kind == "InstanceNorm":
            return InstanceNorm(channels)
        if kind == "BatchNorm":
            return nn.BatchNorm2d(channels)
        return nn.GroupNorm(int(kind.removeprefix("GroupNorm")), channels)

    def act(self) -> nn.Module:
        """The activation, in place."""
        kind = self.config.act
        if kind == "gelu":
            return Gelu()
        return nn.ReLU(inplace=True) if kind == "relu" else nn.ELU(float(kind.removeprefix("elu") or 1), inplace=True)

    def before(self, channels: int, layer: nn.Module) -> nn.Sequential:
        """A layer with norm and activation before it."""
        return nn.Sequential(self.norm(channels), self.act(), layer)

    def conv(self, inputs: int, outputs: int) -> nn.Sequential:
        """A convolution over 3 frames and 3 bins."""
        return self.before(inputs, nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))

    def dense(self, channels: int, bins: int) -> nn.Sequential:
        """Two fully connected layers over frequency, through fewer of them."""
        narrow = bins // self.config.bottleneck_factor
        down = self.before(channels, Dense(bins, narrow))
        return nn.Sequential(*down, *self.before(channels, Dense(narrow, bins)))


class Block(nn.Module):
    """Convolution, fully connected layers beside it, convolution; and a short cut past all of it."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, bins: int) -> None:
        super().__init__()
        self.tfc1 = layers.conv(inputs, outputs)
        self.tdf = layers.dense(outputs, bins)
        self.tfc2 = layers.conv(outputs, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, inputs, time, bins]` to `[batch, outputs, time, bins]`."""
        y = self.tfc1(x)
        return self.tfc2(y.add_(self.tdf(y))).add_(self.shortcut(x))


class Blocks(nn.Module):
    """The blocks of one scale, one after the other."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, bins: int) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * layers.config.num_blocks_per_scale
        self.blocks = nn.ModuleList(Block(layers, *pair, bins) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, inputs, time, bins]` to `[batch, outputs, time, bins]`."""
        for block in self.blocks:
            x = block(x)
        return x


class Resize(nn.Module):
    """To a smaller map of more channels, or back, by a convolution whose step is its size."""

    def __init__(self, layers: Layers, kind: Callable[..., nn.Module], inputs: int, outputs: int) -> None:
        super().__init__()
        scale = layers.config.scale
        self.conv = layers.before(inputs, kind(inputs, outputs, scale, scale, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, inputs, time, bins]` to `[batch, outputs, ...]`."""
        return self.conv(x)


class Down(nn.Module):
    """One scale on the way down."""

    def __init__(self, layers: Layers, channels: int, bins: int) -> None:
        super().__init__()
        self.tfc_tdf = Blocks(layers, channels, channels, bins)
        self.downscale = Resize(layers, nn.Conv2d, channels, channels + layers.config.growth)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[batch, channels, time, bins]` to the same, for the way up, and to the next scale's map."""
        x = self.tfc_tdf(x)
        return x, self.downscale(x)


class Up(nn.Module):
    """One scale on the way up, which also hears what the same scale gave on the way down."""

    def __init__(self, layers: Layers, channels: int, bins: int) -> None:
        super().__init__()
        self.upscale = Resize(layers, nn.ConvTranspose2d, channels + layers.config.growth, channels)
        self.tfc_tdf = Blocks(layers, 2 * channels, channels, bins)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """The smaller scale's map and `[batch, channels, time, bins]` to the same."""
        return self.tfc_tdf(torch.cat((self.upscale(x), skip), dim=1))


class Mdx23c(nn.Module):
    """Stems of a stereo chunk: the U-Net gives their spectra from the mix's.

    Maps float32 `[batch, 2, frames]` to `[batch, stems, 2, frames]`; the transform must give a number of spectra that
    all scales divide.
    """

    def __init__(self, config: Config, stems: int) -> None:
        super().__init__()
        layers = Layers(config)
        self.stems, self.bands = stems, config.num_subbands
        self.bins = config.dim_f
        bins = [config.dim_f // config.num_subbands // config.scale[1] ** n for n in range(config.num_scales + 1)]
        widths = [config.num_channels + config.growth * n for n in range(config.num_scales + 1)]
        scales = list(zip(widths, bins, strict=True))
        seen = config.num_subbands * CHANNELS * 2
        self.first_conv = nn.Conv2d(seen, widths[0], 1, bias=False)
        self.encoder_blocks = nn.ModuleList(Down(layers, *scale) for scale in scales[:-1])
        self.bottleneck_block = Blocks(layers, widths[-1], *scales[-1])
        self.decoder_blocks = nn.ModuleList(Up(layers, *scale) for scale in reversed(scales[:-1]))
        self.final_conv = nn.Sequential(
            nn.Conv2d(widths[0] + seen, widths[0], 1, bias=False),
            layers.act(),
            nn.Conv2d(widths[0], stems * seen, 1, bias=False),
        )
        self.stft = Stft(config.n_fft, config.hop_length)
        cast("Any", self).to(memory_format=torch.channels_last)

    def banded(self, spectra: Tensor) -> Tensor:
        """Spectra `[batch, 2, bins, time]` as float32 `[batch, 4 bands, time, bins of a band]`, channels last.

        Channels are counted by side, then real and imaginary part, then band.
        """
        parts = torch.view_as_real(spectra[:, :, : self.bins]).unflatten(2, (self.bands, -1))
        # [batch, side, band, bin, time, part] as it will lie in memory: the channels together
        lying = parts.permute(0, 4, 3, 1, 5, 2).flatten(3)
        return lying.permute(0, 3, 1, 2)

    def spectra(self, banded: Tensor) -> Tensor:
        """`[batch, 4 stems bands, time, bins of a band]` as complex64 `[batch, stems, 2, bins, time]`."""
        parts = banded.float().unflatten(1, (self.stems, CHANNELS, 2, self.bands))
        # [batch, stem, side, time, band, bin, part]: a frame's bins lie together, as the inverse transform wants them
        parts = parts.permute(0, 1, 2, 5, 4, 6, 3).flatten(4, 5)
        parts = F.pad(parts, (0, 0, 0, self.stft.bins - self.bins))
        return torch.view_as_complex(parts).transpose(3, 4)

    def unet(self, x: Tensor) -> Tensor:
        """`[batch, channels, time, bins]` to the same."""
        skips: list[Tensor] = []
        for scale in self.encoder_blocks:
            skip, x = scale(x)
            skips.append(skip)
        x = self.bottleneck_block(x)
        for scale in self.decoder_blocks:
            x = scale(x, skips.pop())
        return x

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, frames]` to `[batch, stems, 2, frames]`; the class says more."""
        seen = self.banded(self.stft(mix))
        first = self.first_conv(seen)
        x = self.unet(first).mul_(first)
        x = self.final_conv(torch.cat((seen, x), dim=1))
        return self.stft.inverse(self.spectra(x), mix.shape[2])


def refuse_impossible(config: Config, card: Card) -> None:
    """Raises UnbakeError for numbers that fit no network, or not the card's chunk."""
    times, bins = config.scale
    frames, band = card.chunk // config.hop_length + 1, config.dim_f // config.num_subbands
    smallest = band // bins**config.num_scales
    groups = int((re.search(r"\d+", config.norm) or ["1"])[0])
    problems = {
        "dim_f: more bins than n_fft gives": config.dim_f > config.n_fft // 2 + 1,
        "hop_length: no more than half of n_fft leaves nothing out": 2 * config.hop_length > config.n_fft,
        "num_subbands: doesn't divide dim_f": config.dim_f % config.num_subbands,
        f"scale: {config.num_scales} times {bins} doesn't divide the {band} bins of a band": band
        % bins**config.num_scales,
        f"bottleneck_factor: more than the {smallest} bins of the smallest scale": smallest < config.bottleneck_factor,
        "norm: the groups don't divide num_channels and growth": math.gcd(config.num_channels, config.growth) % groups,
    }
    for problem, found in problems.items():
        if found:
            raise UnbakeError(f"config.{problem}", where=where_of(card))
    if frames % times**config.num_scales:
        what = f"chunk: gives {frames} spectra, which {config.num_scales} times {times} doesn't divide"
        raise UnbakeError(what, where=where_of(card), remedy="take the chunk_size of the network's configuration")


def build(card: Card, files: list[Tensors]) -> Mdx23c:
    """The network of a card."""
    config = config_of(card, Config)
    refuse_impossible(config, card)
    network = Mdx23c(config, len(card.stems))
    fill(network, only(files, card), where_of(card))
    return network
