"""SCNet: three bands of the spectrum, each compressed as much as it can stand, and recurrent layers between.

After W. Tong et al., "SCNet: Sparse Compression Network for Music Source Separation", ICASSP 2024. Written from the
paper and from the names and shapes of the published tensors. The architecture `scnet_masked` is a later variant that
knows at which frequency it is, and gives complex masks of the mix instead of spectra.

Inside, maps are `[batch, bins, time, channels]`: as recurrent layers want them, and for convolutions the order of
memory called channels last.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from core.errors import UnbakeError
from models.building import config_of, fill, only, where_of
from models.norms import EPSILON, standardised
from models.stft import Stft, Window

if TYPE_CHECKING:
    from models.registry import Card
    from models.weights import Tensors

SIDES = 2
PARTS = 2 * SIDES
"""Channels of a stereo spectrum: the real and the imaginary part of each side."""
MASK_WIDTH = 64
"""Channels between the two layers that make masks."""

Count = Annotated[int, Meta(ge=1, le=64)]
Size = Annotated[int, Meta(ge=1, le=65_536)]
Width = Annotated[int, Meta(ge=1, le=4096)]
Share = Annotated[float, Meta(gt=0, lt=1)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network's parameters under their public names, with the defaults of the published program.

    `nfft`, `hop_size` and `win_size` are in samples. `dims` are the channels after each stage; `band_SR` the share of
    the bins that the low, middle and high band have, `band_stride` by how much each is compressed in a stage and
    `band_kernel` from how many bins; `conv_depths` how many convolution modules each band has, `compress` by how much
    they narrow the channels and `conv_kernel` over how many frames they go. `num_dplayer` pairs of recurrent layers
    are `expand` times as wide as what they hear. `sources` are public names, in the order of the card's stems.
    """

    sources: tuple[str, ...] = ()
    audio_channels: Annotated[int, Meta(ge=2, le=2)] = 2
    dims: Annotated[tuple[Width, ...], Meta(min_length=2, max_length=9)] = (4, 32, 64, 128)
    nfft: Annotated[int, Meta(ge=16, le=65_536, multiple_of=2)] = 4096
    hop_size: Size = 1024
    win_size: Size = 4096
    normalized: bool = True
    band_SR: tuple[Share, Share, Share] = (0.175, 0.392, 0.433)  # noqa: N815 - its public name
    band_stride: tuple[Count, Count, Count] = (1, 4, 16)
    band_kernel: tuple[Count, Count, Count] = (3, 4, 16)
    conv_depths: tuple[Count, Count, Count] = (3, 2, 1)
    compress: Annotated[float, Meta(ge=1, le=64)] = 4
    conv_kernel: Count = 3
    num_dplayer: Annotated[int, Meta(ge=2, le=64, multiple_of=2)] = 6
    expand: Annotated[int, Meta(ge=1, le=16)] = 1


class Band(NamedTuple):
    """The bins `start` to `stop` at a stage, to which `before` and `after` zeros are added; compressed, `bins`."""

    start: int
    stop: int
    before: int
    after: int
    bins: int


def bands_of(config: Config, bins: int) -> list[Band]:
    """The three bands of a stage that sees so many bins."""
    low, middle, _ = config.band_SR
    edges = (0, math.ceil(bins * low), math.ceil(bins * (low + middle)), bins)
    found = []
    for (start, stop), stride, kernel in zip(pairwise(edges), config.band_stride, config.band_kernel, strict=True):
        more = kernel - 1 if stride == 1 else (start - stop) % stride
        found.append(Band(start, stop, more // 2, more - more // 2, (stop - start + more - kernel) // stride + 1))
    return found


def stages_of(config: Config) -> list[list[Band]]:
    """The bands of each stage of the encoder."""
    stages, bins = [], config.nfft // 2 + 1
    for _ in config.dims[1:]:
        stages.append(bands_of(config, bins))
        bins = sum(band.bins for band in stages[-1])
    return stages


def convolved(x: Tensor, layer: nn.Module) -> Tensor:
    """`[batch, bins, time, channels]` through a convolution, or another layer that has the channels second."""
    return layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Norm(nn.Module):
    """Brings channels and more, as one, to mean 0 and deviation 1, then scales and shifts each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def rows(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, channels]` normalised over time and channels of each bin."""
        shape = x.shape[2:]
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(x.float(), shape, self.weight.expand(shape), self.bias.expand(shape), EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, channels]` normalised over all but the batch."""
        return standardised(x, (1, 2, 3), self.weight, self.bias)


class AlongTime(nn.Conv1d):
    """A convolution along time, of as many frames as there were."""

    def over(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, channels]` to the same, each bin for itself."""
        weight, padding = self.weight.unsqueeze(2), (0, self.weight.shape[2] // 2)
        out = F.conv2d(x.permute(0, 3, 1, 2), weight, self.bias, padding=padding, groups=self.groups)
        return out.permute(0, 2, 3, 1)


class ConvolutionModule(nn.Module):
    """Residual convolutions along time, for each bin alone."""

    def __init__(self, channels: int, depth: int, compress: float, kernel: int) -> None:
        super().__init__()
        hidden = int(channels / compress)
        self.layers = nn.ModuleList(
            nn.Sequential(
                Norm(channels),
                AlongTime(channels, 2 * hidden, kernel),
                nn.GLU(),
                AlongTime(hidden, hidden, kernel, groups=hidden),
                Norm(hidden),
                nn.SiLU(inplace=True),
                AlongTime(hidden, channels, 1),
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, channels]` to the same."""
        for layer in self.layers:
            norm, gates, gate, smooth, norm2, act, widen = cast("Any", layer)
            y = gate(gates.over(norm.rows(x)))
            y = act(norm2.rows(smooth.over(y)))
            x = F.linear(y, widen.weight[:, :, 0], widen.bias).add_(x)
        return x


class Sparse(nn.Module):
    """Convolutions along frequency whose step compresses each band in its own measure."""

    def __init__(self, config: Config, bands: list[Band], inputs: int, outputs: int) -> None:
        super().__init__()
        self.bands = bands
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1))
            for kernel, stride in zip(config.band_kernel, config.band_stride, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[batch, bins, time, inputs]` to the three bands, `[batch, band.bins, time, outputs]`."""
        return [
            convolved(F.pad(x[:, band.start : band.stop], (0, 0, 0, 0, band.before, band.after)), conv)
            for band, conv in zip(self.bands, self.convs, strict=True)
        ]


class Dense(nn.Module):
    """The way back from three compressed bands to the bins they were made of."""

    def __init__(self, config: Config, bands: list[Band], inputs: int, outputs: int) -> None:
        super().__init__()
        self.bands = bands
        self.convtrs = nn.ModuleList(
            nn.ConvTranspose2d(inputs, outputs, (kernel, 1), (stride, 1))
            for kernel, stride in zip(config.band_kernel, config.band_stride, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, sum of band.bins, time, inputs]` to `[batch, bins, time, outputs]`."""
        found = []
        for part, band, layer in zip(
            x.split([band.bins for band in self.bands], 1), self.bands, self.convtrs, strict=True
        ):
            out, bins = convolved(part, layer), band.stop - band.start
            first = (out.shape[1] - bins) // 2
            found.append(out[:, first : first + bins])
        return torch.cat(found, dim=1)


class Encoder(nn.Module):
    """One stage: the bands compressed, each looked at along time, all mixed."""

    def __init__(self, config: Config, bands: list[Band], inputs: int, outputs: int) -> None:
        super().__init__()
        self.SDlayer = Sparse(config, bands, inputs, outputs)
        self.conv_modules = nn.ModuleList(
            ConvolutionModule(outputs, depth, config.compress, config.conv_kernel) for depth in config.conv_depths
        )
        self.globalconv = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[batch, bins, time, inputs]` to the stage's output and what the decoder hears of it, of one shape."""
        bands = [module(band) for module, band in zip(self.conv_modules, self.SDlayer(x), strict=True)]
        skip = torch.ops.aten.gelu_(torch.cat(bands, dim=1))
        return convolved(skip, self.globalconv), skip


class Fusion(nn.Module):
    """What comes from below and what the encoder gave at this stage, added and gated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Two maps `[batch, bins, time, channels]` to one."""
        # the layer was trained to hear the same map twice: its weights for both, added, do that in half the work
        first, second = self.conv.weight.chunk(2, dim=1)
        total = (x + skip).permute(0, 3, 1, 2)
        return F.glu(F.conv2d(total, first + second, self.conv.bias, padding=1).permute(0, 2, 3, 1))


class Decoder(nn.Sequential):
    """One stage on the way back."""

    def __init__(self, config: Config, bands: list[Band], inputs: int, outputs: int) -> None:
        super().__init__(Fusion(inputs), Dense(config, bands, inputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Two maps `[batch, compressed bins, time, inputs]` to one, `[batch, bins, time, outputs]`."""
        fusion, dense = self
        return dense(fusion(x, skip))


class DualPath(nn.Module):
    """A recurrent layer along frequency, then one along time, each around a short cut."""

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        self.lstm_layers = nn.ModuleList(nn.LSTM(channels, hidden, bidirectional=True) for _ in range(2))
        self.linear_layers = nn.ModuleList(nn.Linear(2 * hidden, channels) for _ in range(2))
        self.norm_layers = nn.ModuleList(Norm(channels) for _ in range(2))

    def path(self, index: int, x: Tensor, along: int) -> Tensor:
        """What the layer `index` adds to `[batch, bins, time, channels]` when it goes along a dimension."""
        normed = self.norm_layers[index](x).movedim(along, 0)
        heard = self.lstm_layers[index](normed.flatten(1, 2))[0]
        return self.linear_layers[index](heard).unflatten(1, normed.shape[1:3]).movedim(0, along)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, channels]` to the same."""
        x = x + self.path(0, x, along=1)
        return x + self.path(1, x, along=2)


def to_spectrum(x: Tensor) -> Tensor:
    """`[batch, bins, time, channels]` to its spectrum along time: half the times and 1, twice the channels."""
    with torch.autocast(x.device.type, enabled=False):
        spectrum = torch.fft.rfft(x.float(), dim=2, norm="ortho")
        return torch.cat((spectrum.real, spectrum.imag), dim=3)


def from_spectrum(x: Tensor) -> Tensor:
    """The inverse of `to_spectrum`, for an even number of times."""
    with torch.autocast(x.device.type, enabled=False):
        return torch.fft.irfft(torch.complex(*x.float().chunk(2, dim=3)), dim=2, norm="ortho")


class Separation(nn.Module):
    """Recurrent layers that hear times and their spectrum in turn."""

    def __init__(self, channels: int, expand: int, layers: int) -> None:
        super().__init__()
        self.dp_modules = nn.ModuleList(DualPath(channels * (1 + n % 2), expand) for n in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, channels]` to the same."""
        x = x.float()
        for number, layer in enumerate(self.dp_modules):
            x = from_spectrum(layer(x)) if number % 2 else to_spectrum(layer(x))
        return x


class ScNet(nn.Module):
    """Stems of a stereo chunk by their spectra.

    Maps float32 `[batch, 2, frames]` to `[batch, stems, 2, frames]`.
    """

    def __init__(self, config: Config, stems: int, window: Window = "ones") -> None:
        super().__init__()
        self.stems = stems
        stages = list(zip(stages_of(config), pairwise(config.dims), strict=True))
        self.encoder = nn.ModuleList(Encoder(config, bands, *width) for bands, width in stages)
        outputs = [stems * PARTS, *config.dims[1:-1]]
        self.decoder = nn.ModuleList(
            Decoder(config, bands, width[1], output)
            for (bands, width), output in reversed(list(zip(stages, outputs, strict=True)))
        )
        self.separation_net = Separation(config.dims[-1], config.expand, config.num_dplayer)
        self.stft = Stft(
            config.nfft, config.hop_size, length=config.win_size, window=window, normalized=config.normalized
        )

    def heard(self, mix: Tensor) -> Tensor:
        """The spectra of `[batch, 2, frames]`, complex64 `[batch, 2, bins, time]`: an even number of them."""
        hops = mix.shape[2] // self.stft.hop + 1
        return self.stft(F.pad(mix, (0, (hops + 1 - hops % 2) * self.stft.hop - mix.shape[2])))

    def estimate(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, 4]` to `[batch, bins, time, 4 stems]`."""
        skips = []
        for stage in self.encoder:
            x, skip = stage(x)
            skips.append(skip)
        x = self.separation_net(x)
        for stage in self.decoder:
            x = stage(x, skips.pop())
        return x

    def of_stems(self, spectra: Tensor) -> Tensor:
        """Spectra of the stems, complex64 `[batch, bins, time, stems, 2]`, from the mix's with one for `stems`."""
        seen = torch.view_as_real(spectra).flatten(3)
        return torch.view_as_complex(self.estimate(seen).float().unflatten(3, (self.stems, SIDES, 2)))

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, frames]` to `[batch, stems, 2, frames]`; the class says more."""
        spectra = self.of_stems(self.heard(mix).permute(0, 2, 3, 1).unsqueeze(3))
        # a frame's bins together, as the inverse transform wants them
        return self.stft.inverse(spectra.permute(0, 3, 4, 2, 1).contiguous().transpose(3, 4), mix.shape[2])


class MaskedScNet(ScNet):
    """SCNet that hears where each bin is, and whose output makes complex masks for the mix's spectrum."""

    def __init__(self, config: Config, stems: int) -> None:
        super().__init__(config, stems, window="hann")
        self.pos_embed_f = nn.Parameter(torch.zeros(1, PARTS, self.stft.bins, 1))
        self.mask_layer = nn.Sequential(
            nn.Conv2d(stems * PARTS, MASK_WIDTH, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(MASK_WIDTH, stems * PARTS, 1),
            nn.Tanh(),
        )

    def estimate(self, x: Tensor) -> Tensor:
        """`[batch, bins, time, 4]` to masks `[batch, bins, time, 4 stems]`."""
        return convolved(super().estimate(x + self.pos_embed_f.permute(0, 2, 3, 1)), self.mask_layer)

    def of_stems(self, spectra: Tensor) -> Tensor:
        """The mix's spectra times the masks."""
        return spectra * super().of_stems(spectra)


def refuse_impossible(config: Config, card: Card) -> None:
    """Raises UnbakeError for numbers that fit no network, or not the card."""
    where = where_of(card)
    if config.sources and len(config.sources) != len(card.stems):
        what = f"stems: {len(card.stems)} where config.sources names {len(config.sources)}"
        raise UnbakeError(what, where=where)
    problems = {
        f"dims: the first is {PARTS}, for two channels": config.dims[0] != PARTS,
        "conv_kernel: must be odd": config.conv_kernel % 2 == 0,
        "compress: more than the channels of a stage": min(config.dims[1:]) < config.compress,
        "win_size: more than nfft": config.win_size > config.nfft,
        "hop_size: more than win_size leaves samples out": config.hop_size > config.win_size,
        "band_SR: the low and the middle band leave nothing": sum(config.band_SR[:2]) >= 1,
    }
    for problem, found in problems.items():
        if found:
            raise UnbakeError(f"config.{problem}", where=where)
    for number, stage in enumerate(stages_of(config)):
        for band, stride, kernel in zip(stage, config.band_stride, config.band_kernel, strict=True):
            if band.bins < 1 or (band.bins - 1) * stride + kernel < band.stop - band.start:
                what = f"config.band_kernel: {kernel} with a stride of {stride} can't take the {band.stop - band.start}"
                raise UnbakeError(f"{what} bins of a band at stage {number + 1}", where=where)


def build(card: Card, files: list[Tensors]) -> ScNet:
    """The network of a card whose architecture is `scnet` or `scnet_masked`."""
    config = config_of(card, Config)
    refuse_impossible(config, card)
    network = (MaskedScNet if card.architecture == "scnet_masked" else ScNet)(config, len(card.stems))
    fill(network, only(files, card), where_of(card))
    return network
