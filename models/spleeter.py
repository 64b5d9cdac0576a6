"""Spleeter's two-stem network: voice and accompaniment from magnitude spectrograms, by one U-Net each.

After R. Hennequin, A. Khlif, F. Voituret, M. Moussallam, "Spleeter: a fast and efficient music source separation tool
with pre-trained models", JOSS 5(50), 2020, and the U-Net of A. Jansson et al., ISMIR 2017. Written from the paper and
the shapes of the published arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from core.errors import UnbakeError
from models.building import config_of, fill, where_of

if TYPE_CHECKING:
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


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`mask_extension`: above 11 kHz the mask is nothing ("zeros") or the mean of the frame's mask ("average")."""

    mask_extension: Extension = "average"


def down(inputs: int, outputs: int) -> tuple[nn.Sequential, nn.Sequential]:
    """One stage of the encoder: convolution to half the size, then what the next stage sees of it."""
    convolution = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(inputs, outputs, 5, stride=2))
    return convolution, nn.Sequential(nn.BatchNorm2d(outputs, eps=1e-3), nn.LeakyReLU(0.2))


class Crop(nn.Module):
    """Takes the last row and column away: with padding 1 that leaves twice the size, aligned as in training."""

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, rows, columns]` to one row and one column fewer."""
        return x[:, :, :-1, :-1]


def up(inputs: int, outputs: int) -> nn.Sequential:
    """One stage of the decoder, to twice the size. Dropout was for training only."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=1),
        Crop(),
        nn.ReLU(),
        nn.BatchNorm2d(outputs, eps=1e-3),
    )


class UNet(nn.Module):
    """Estimates one stem's magnitudes from the mix's: `[batch, 2, frames, bins]`, both multiples of 64, to the same."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 16, 32, 64, 128, 256, 512)
        for stage in range(1, 7):
            convolution, activation = down(widths[stage - 1], widths[stage])
            self.add_module(f"down{stage}_conv", convolution)
            self.add_module(f"down{stage}_act", activation)
        for stage, (inputs, outputs) in enumerate(((512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1)), 1):
            self.add_module(f"up{stage}", up(inputs, outputs))
        self.up7 = nn.Sequential(nn.Conv2d(1, 2, 4, dilation=2, padding=3), nn.Sigmoid())

    def forward(self, magnitudes: Tensor) -> Tensor:
        """The stem's magnitudes, never above the mix's."""
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
        return self.up7(x) * magnitudes


class Spleeter(nn.Module):
    """Two stems of a stereo chunk by soft masks from two U-Nets, with the mix's own phase.

    Maps float32 `[batch, 2, frames]` at 44.1 kHz to `[batch, 2 stems, 2, frames]` (vocals, accompaniment). `frames`
    is `CHUNK` in use; any length works and is cut into segments of 512 spectrogram frames.
    """

    window: Tensor

    def __init__(self, mask_extension: Extension = "average") -> None:
        super().__init__()
        self.mask_extension = mask_extension
        self.instruments = nn.ModuleList(UNet() for _ in range(2))
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Power-ratio masks `[batch, stems, 2, bins, frames]` that sum to 1, of magnitudes `[batch, 2, bins, frames]`.

        The mask covers all bins; above the network's range it is what `mask_extension` says.
        """
        batch, channels, bins, frames = magnitudes.shape
        seen = F.pad(magnitudes[:, :, :BINS], (0, -frames % SEGMENT))
        segments = seen.unflatten(3, (-1, SEGMENT)).permute(0, 3, 1, 4, 2).flatten(0, 1).contiguous()
        power = torch.stack([network(segments).square() for network in self.instruments], dim=1)
        masks = (power + TINY / 2) / (power.sum(dim=1, keepdim=True) + TINY)
        # [batch * segments, stems, 2, SEGMENT, BINS] back to [batch, stems, 2, BINS, frames]
        masks = masks.unflatten(0, (batch, -1)).permute(0, 2, 3, 5, 1, 4).flatten(4)[..., :frames]
        above = (batch, len(self.instruments), channels, bins - BINS, frames)
        if self.mask_extension == "average":
            return torch.cat((masks, masks.mean(dim=3, keepdim=True).expand(above)), dim=3)
        return torch.cat((masks, masks.new_zeros(above)), dim=3)

    def masked(self, mix: Tensor) -> Tensor:
        """Spectra of the stems: `[batch, 2, frames]` to complex64 `[batch, 2 stems, 2, bins, STFT frames]`."""
        spectrum = torch.stft(
            mix.flatten(0, 1), WINDOW, HOP, window=self.window, pad_mode="constant", return_complex=True
        ).unflatten(0, mix.shape[:2])
        return self.masks(spectrum.abs()) * spectrum.unsqueeze(1)

    def sound(self, spectra: Tensor, frames: int) -> Tensor:
        """Complex `[batch, stems, 2, bins, STFT frames]` to float32 `[batch, stems, 2, frames]`."""
        flat = torch.istft(spectra.flatten(0, 2), WINDOW, HOP, window=self.window, length=frames)
        return flat.unflatten(0, spectra.shape[:3])

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, frames]` to `[batch, 2 stems, 2, frames]`; the class says more."""
        return self.sound(self.masked(mix), mix.shape[2])

    def fill(self, tensors: list[Tensors], where: str) -> None:
        """Puts the published arrays in: one file of weights a stem, vocals first."""
        if len(tensors) != len(self.instruments):
            raise UnbakeError(
                f"weights: {len(tensors)} files where Spleeter wants one for each of 2 stems", where=where
            )
        for unet, arrays in zip(self.instruments, tensors, strict=True):
            fill(unet, arrays, where)


def build(card: Card, tensors: list[Tensors]) -> Spleeter:
    """The network of a card, with one file of weights a stem, in the order of `card.stems`."""
    where = where_of(card)
    config = config_of(card, Config)
    network = Spleeter(config.mask_extension)
    if len(card.stems) != len(network.instruments):
        raise UnbakeError(f"stems: {len(card.stems)} where Spleeter gives 2", where=where)
    network.fill(tensors, where)
    return network
