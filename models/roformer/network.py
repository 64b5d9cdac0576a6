"""The network: from a chunk of sound over bands, transformers and masks to stems."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from models.roformer.bands import BandSplit, MaskEstimator, Ranges
from models.roformer.transformer import Attention, Linear, Norm, Rotary, Transformer
from models.stft import Stft

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.roformer.config import Config


class Roformer(nn.Module):
    """Maps float32 `[batch, 2, frames]` to `[batch, stems, 2, frames]`.

    A network for one channel hears both as two sounds. Under autocast the transformers and masks' layers compute in its
    precision; spectra, norms, sums of layers and masks stay in float32.
    """

    def __init__(self, config: Config, ranges: Ranges, *, mel: bool, mask_layers: int) -> None:
        super().__init__()
        self.config = config
        dim, heads, dim_head = config.dim, config.heads, config.dim_head
        per_bin = 4 if config.stereo else 2
        self.rotary = [Rotary(dim_head), Rotary(dim_head)]
        depths = (config.time_transformer_depth, config.freq_transformer_depth)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                Transformer(depth, dim, heads, dim_head, rotary, norm=mel)
                for depth, rotary in zip(depths, self.rotary, strict=True)
            )
            for _ in range(config.depth)
        )
        self.final_norm = None if mel else Norm(dim)
        self.band_split = BandSplit(dim, ranges, per_bin)
        sizes = [dim] + [dim * config.mlp_expansion_factor] * mask_layers
        self.mask_estimators = nn.ModuleList(MaskEstimator(sizes, ranges, per_bin) for _ in range(config.num_stems))
        if config.use_shared_bias:
            self.share_biases(dim, heads * dim_head)
        self.stft = Stft(
            config.stft_n_fft,
            config.stft_hop_length,
            length=config.stft_win_length,
            normalized=config.stft_normalized,
        )

    def share_biases(self, dim: int, inner: int) -> None:
        """Gives all attention the same two biases, under the names that the public checkpoint with them has."""
        self.linear_62_bias_0 = nn.Parameter(torch.empty(3 * inner), requires_grad=False)
        self.linear_64_bias_0 = nn.Parameter(torch.empty(dim), requires_grad=False)
        for module in self.modules():
            if isinstance(module, Attention):
                module.to_qkv.bias = self.linear_62_bias_0
                cast(Linear, module.to_out[0]).bias = self.linear_64_bias_0

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, frames]` to `[batch, stems, 2, frames]`; the class says more."""
        device = mix.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        with torch.autocast(device, enabled=False):
            if self.config.stereo:
                return self.stems(mix.float(), dtype)
            stems = self.stems(mix.float().flatten(0, 1).unsqueeze(1), dtype)
            return stems.unflatten(0, mix.shape[:2]).transpose(1, 2).squeeze(3)

    def stems(self, mix: Tensor, dtype: torch.dtype) -> Tensor:
        """`[batch, channels, frames]` to `[batch, stems, channels, frames]`."""
        # [batch, STFT frames, bins, channels]
        spectrum = self.stft(mix).permute(0, 3, 2, 1).contiguous()
        columns = torch.view_as_real(spectrum).flatten(2)
        features = self.transformed(self.band_split(columns, dtype), dtype)
        masks = (estimator(features, dtype) for estimator in self.mask_estimators)
        return torch.stack([self.sound(spectrum, mask, mix.shape[2]) for mask in masks], dim=1)

    def sound(self, spectrum: Tensor, mask: Tensor, frames: int) -> Tensor:
        """A stem `[batch, channels, frames]`: a mask `[batch, STFT frames, columns]` on the mix's spectrum."""
        masked = torch.view_as_complex(mask.unflatten(2, (*spectrum.shape[2:], 2))).mul_(spectrum)
        if self.config.zero_dc:
            masked[:, :, 0] = 0.0
        return self.stft.inverse(masked.permute(0, 3, 2, 1), frames)

    def transformed(self, features: Tensor, dtype: torch.dtype) -> Tensor:
        """Features `[batch, STFT frames, bands, dim]` after all transformers, along time and along bands in turn."""
        turns = [rotary(length) for rotary, length in zip(self.rotary, features.shape[1:3], strict=True)]
        earlier = None
        for along_time, along_bands in cast("Iterable[tuple[Transformer, Transformer]]", self.layers):
            if earlier is not None:
                features = features + earlier
            for transformer, turn in zip((along_time, along_bands), turns, strict=True):
                features = features.transpose(1, 2).contiguous()
                transformer(features.flatten(0, 1), turn, dtype)
            if self.config.skip_connection:
                earlier = features if earlier is None else earlier + features
        return features if self.final_norm is None else self.final_norm(features)
