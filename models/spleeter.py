"""Spleeter's networks: 2, 4 or 5 stems from magnitude spectrograms, by one U-Net each.

After R. Hennequin, A. Khlif, F. Voituret, M. Moussallam, "Spleeter: a fast and efficient music source separation tool
with pre-trained models", JOSS 5(50), 2020, and the U-Net of A. Jansson et al., ISMIR 2017. Written from the paper, the
public configurations and the shapes of the published arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from core.errors import UnbakeError
from models.building import config_of, fill, where_of
from models.stft import Stft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.registry import Card
    from models.weights import Tensors

WINDOW = 4096
HOP = 1024
BINS = 1024
"""Bins that the network sees: 0 to 11 kHz at 44.1 kHz."""
SEGMENT = 512
"""Spectrogram frames of one segment. The network was trained on exactly so many."""
CHUNK = (SEGMENT - 1) * HOP
"""Samples of one call: with centred frames they make exactly one segment."""
TINY = 1e-10

Extension = Literal["zeros", "average"]
Kind = Literal["unet.unet", "unet.softmax_unet"]
Activation = Literal["LeakyReLU", "ReLU", "ELU"]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters, under the names of the public configurations (`type` and the activations stand in `model` there).

    `mask_extension`: above 11 kHz the mask is nothing ("zeros") or the mean of the frame's mask ("average"). `type`:
    whether each stem's U-Net decides for itself, or all share out each cell ("unet.softmax_unet").
    """

    mask_extension: Extension = "average"
    type: Kind = "unet.unet"
    conv_activation: Activation = "LeakyReLU"
    deconv_activation: Activation = "ReLU"


def activation(name: Activation) -> nn.Module:
    """The module of an activation's name."""
    return {"LeakyReLU": nn.LeakyReLU(0.2), "ReLU": nn.ReLU(), "ELU": nn.ELU()}[name]


def down(inputs: int, outputs: int, active: Activation) -> tuple[nn.Sequential, nn.Sequential]:
    """One stage of the encoder: convolution to half the size, then what the next stage sees of it."""
    convolution = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(inputs, outputs, 5, stride=2))
    return convolution, nn.Sequential(nn.BatchNorm2d(outputs, eps=1e-3), activation(active))


class Crop(nn.Module):
    """Takes the last row and column away: with padding 1 that leaves twice the size, aligned as in training."""

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, rows, columns]` to one row and one column fewer."""
        return x[:, :, :-1, :-1]


def up(inputs: int, outputs: int, active: Activation) -> nn.Sequential:
    """One stage of the decoder, to twice the size. Dropout was for training only."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=1),
        Crop(),
        activation(active),
        nn.BatchNorm2d(outputs, eps=1e-3),
    )


class UNet(nn.Module):
    """Estimates one stem from the mix's magnitudes: `[batch, 2, frames, bins]`, both multiples of 64, to the same."""

    def __init__(self, conv: Activation = "LeakyReLU", deconv: Activation = "ReLU") -> None:
        super().__init__()
        widths = (2, 16, 32, 64, 128, 256, 512)
        for stage in range(1, 7):
            convolution, active = down(widths[stage - 1], widths[stage], conv)
            self.add_module(f"down{stage}_conv", convolution)
            self.add_module(f"down{stage}_act", active)
        for stage, (inputs, outputs) in enumerate(((512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1)), 1):
            self.add_module(f"up{stage}", up(inputs, outputs, deconv))
        self.up7 = nn.Sequential(nn.Conv2d(1, 2, 4, dilation=2, padding=3))

    def forward(self, magnitudes: Tensor) -> Tensor:
        """How much the stem is of each cell, as a logit: float32."""
        skips: list[Tensor] = []
        x = magnitudes
        for stage in range(1, 7):
            # the skips leave before the normalisation
            skips.append(self.get_submodule(f"down{stage}_conv")(x))
            if stage < 6:
                x = self.get_submodule(f"down{stage}_act")(skips[-1])
        x = self.get_submodule("up1")(skips.pop())
        for stage in range(2, 7):
            x = self.get_submodule(f"up{stage}")(torch.cat((skips.pop(), x), dim=1))
        return self.up7(x).float()


class Spleeter(nn.Module):
    """Stems of a stereo chunk by soft masks from one U-Net each, with the mix's own phase.

    Maps float32 `[batch, 2, frames]` at 44.1 kHz to `[batch, stems, 2, frames]`. `frames` is `CHUNK` in use; any length
    works and is cut into segments of 512 spectrogram frames.
    """

    def __init__(self, config: Config = Config(), stems: int = 2) -> None:  # noqa: B008 - it can't change
        super().__init__()
        self.mask_extension = config.mask_extension
        self.exclusive = config.type == "unet.softmax_unet"
        activations = config.conv_activation, config.deconv_activation
        self.instruments = nn.ModuleList(UNet(*activations) for _ in range(stems))
        self.stft = Stft(WINDOW, HOP, pad_mode="constant")

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Power-ratio masks `[batch, stems, 2, bins, frames]` that sum to 1, of magnitudes `[batch, 2, bins, frames]`.

        The mask covers all bins; above the network's range it is what `mask_extension` says.
        """
        batch, channels, bins, frames = magnitudes.shape
        seen = F.pad(magnitudes[:, :, :BINS], (0, -frames % SEGMENT))
        segments = seen.unflatten(3, (-1, SEGMENT)).permute(0, 3, 1, 4, 2).flatten(0, 1).contiguous()
        logits = torch.stack([network(segments) for network in self.instruments], dim=1)
        shares = logits.softmax(dim=1) if self.exclusive else logits.sigmoid()
        power = (shares * segments.unsqueeze(1)).square()
        masks = (power + TINY / len(self.instruments)) / (power.sum(dim=1, keepdim=True) + TINY)
        # [batch * segments, stems, 2, SEGMENT, BINS] back to [batch, stems, 2, BINS, frames]
        masks = masks.unflatten(0, (batch, -1)).permute(0, 2, 3, 5, 1, 4).flatten(4)[..., :frames]
        above = (batch, len(self.instruments), channels, bins - BINS, frames)
        if self.mask_extension == "average":
            return torch.cat((masks, masks.mean(dim=3, keepdim=True).expand(above)), dim=3)
        return torch.cat((masks, masks.new_zeros(above)), dim=3)

    def masked(self, mix: Tensor) -> Tensor:
        """Spectra of the stems: `[batch, 2, frames]` to complex64 `[batch, stems, 2, bins, STFT frames]`."""
        spectrum = self.stft(mix)
        return self.masks(spectrum.abs()) * spectrum.unsqueeze(1)

    def sound(self, spectra: Tensor, frames: int) -> Tensor:
        """Complex `[batch, stems, 2, bins, STFT frames]` to float32 `[batch, stems, 2, frames]`."""
        return self.stft.inverse(spectra, frames)

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, frames]` to `[batch, stems, 2, frames]`; the class says more."""
        return self.sound(self.masked(mix), mix.shape[2])

    def fill(self, tensors: list[Tensors], where: str) -> None:
        """Puts the published arrays in: one file of weights a stem, in the order of stems, or TensorFlow's one."""
        count = len(self.instruments)
        if len(tensors) == 1 and FIRST_VARIABLE in tensors[0]:
            tensors = from_tensorflow(tensors[0], count, where)
        if len(tensors) != count:
            raise UnbakeError(
                f"weights: {len(tensors)} files where Spleeter wants one for each of {count} stems", where=where
            )
        for unet, arrays in zip(self.instruments, tensors, strict=True):
            fill(unet, arrays, where)


FIRST_VARIABLE = "conv2d/kernel"


def from_tensorflow(variables: Tensors, count: int, where: str) -> list[Tensors]:
    """The arrays of each of `count` U-Nets, out of the variables of all of them.

    TensorFlow numbers layers of a kind in the order they were made: a stem's seven convolutions, six transposed ones
    and twelve normalisations (six down, six up) follow those of the stem before. Variables of training are passed over.
    """
    if _numbered("conv2d", 7 * count) + "/kernel" in variables:
        raise UnbakeError(f"the weights are of more than {count} stems", where=where)
    return [{name: _variable(variables, *at, where) for name, at in _places(number)} for number in range(count)]


def _places(stem: int) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each array of a stem's U-Net, with the layer and variable it is in TensorFlow."""
    normalised = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for stage in range(1, 8):
        convolution = _numbered("conv2d", 7 * stem + stage - 1)
        module = "up7.0" if stage == 7 else f"down{stage}_conv.1"
        yield f"{module}.weight", (convolution, "kernel")
        yield f"{module}.bias", (convolution, "bias")
    for stage in range(1, 7):
        transposed = _numbered("conv2d_transpose", 6 * stem + stage - 1)
        yield f"up{stage}.0.weight", (transposed, "kernel")
        yield f"up{stage}.0.bias", (transposed, "bias")
        for module, number in ((f"down{stage}_act.0", stage - 1), (f"up{stage}.3", stage + 5)):
            norm = _numbered("batch_normalization", 12 * stem + number)
            for ours, theirs in normalised.items():
                yield f"{module}.{ours}", (norm, theirs)


def _numbered(layer: str, number: int) -> str:
    return f"{layer}_{number}" if number else layer


def _variable(variables: Tensors, layer: str, name: str, where: str) -> Tensor:
    """A variable with its axes in torch's order: a kernel's rows and columns stand last here, and first there."""
    found = variables.get(f"{layer}/{name}")
    if found is None:
        raise UnbakeError(f"the weights are not this network's: they have no {layer}/{name}", where=where)
    return found.permute(3, 2, 0, 1) if found.dim() == 4 else found


def build(card: Card, tensors: list[Tensors]) -> Spleeter:
    """The network of a card, with one file of weights a stem in the order of `card.stems`, or with TensorFlow's one."""
    network = Spleeter(config_of(card, Config), len(card.stems))
    network.fill(tensors, where_of(card))
    return network
