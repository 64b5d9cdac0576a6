"""Parameters of the two networks under the names of their public configurations."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=64)]
PAPER_BANDS = (2,) * 24 + (4,) * 12 + (12,) * 8 + (24,) * 8 + (48,) * 8 + (128, 129)
"""Bins of each band in the public networks with transforms of 2048 samples."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both networks have; the defaults are those of the program most public checkpoints were trained with.

    The last group is read because public files have it and then left alone: it steers training (dropout, losses,
    checkpointing), chooses between implementations of the same attention, or is what every separation does anyway.
    """

    dim: Annotated[int, Meta(ge=1, le=4096)]
    depth: Count
    stereo: bool = False
    num_stems: Annotated[int, Meta(ge=1, le=256)] = 1
    time_transformer_depth: Count = 2
    freq_transformer_depth: Count = 2
    linear_transformer_depth: int = 0
    dim_head: Annotated[int, Meta(ge=2, le=1024, multiple_of=2)] = 64
    heads: Count = 8
    stft_n_fft: Annotated[int, Meta(ge=16, le=65_536, multiple_of=2)] = 2048
    stft_hop_length: Annotated[int, Meta(ge=1, le=65_536)] = 512
    stft_win_length: Annotated[int, Meta(ge=16, le=65_536)] = 2048
    stft_normalized: bool = False
    zero_dc: bool = True
    mlp_expansion_factor: Count = 4
    skip_connection: bool = False
    use_pope: bool = False
    use_shared_bias: bool = False

    attn_dropout: Any = None
    ff_dropout: Any = None
    flash_attn: Any = None
    sage_attention: Any = None
    dim_freqs_in: Any = None
    use_torch_checkpoint: Any = None
    match_input_audio_length: Any = None
    multi_stft_resolution_loss_weight: Any = None
    multi_stft_resolutions_window_sizes: Any = None
    multi_stft_hop_size: Any = None
    multi_stft_normalized: Any = None

    def __post_init__(self) -> None:
        if self.linear_transformer_depth:
            raise ValueError("linear_transformer_depth: linear attention is not supported, only 0")
        if self.use_pope:
            raise ValueError("use_pope: polar positions are not supported, only false")
        if self.stft_win_length > self.stft_n_fft:
            raise ValueError("stft_win_length: longer than stft_n_fft")
        if self.stft_hop_length > self.stft_win_length // 2:
            raise ValueError("stft_hop_length: more than half of stft_win_length, which loses samples")

    @property
    def bins(self) -> int:
        """Frequencies of a spectrum, both ends included."""
        return self.stft_n_fft // 2 + 1


class BandSplitConfig(Config, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """BS-RoFormer: bands side by side.

    `mask_estimator_depth` counts linear layers. `use_shared_bias`: one bias for the queries, keys and values of all
    layers and one for their outputs.
    """

    freqs_per_bands: tuple[Annotated[int, Meta(ge=1)], ...] = PAPER_BANDS
    mask_estimator_depth: Count = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(self.freqs_per_bands) != self.bins:
            what = f"{sum(self.freqs_per_bands)} bins where transforms of {self.stft_n_fft} samples give {self.bins}"
            raise ValueError(f"freqs_per_bands: {what}")


class MelBandConfig(Config, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Mel-Band RoFormer: overlapping bands, even on the mel scale up to half of `sample_rate` (Hz).

    `mask_estimator_depth` counts hidden layers, one less than there are linear ones.
    """

    num_bands: Annotated[int, Meta(ge=1, le=4096)] = 60
    sample_rate: Annotated[int, Meta(ge=8000, le=192_000)] = 44_100
    mask_estimator_depth: Annotated[int, Meta(ge=0, le=64)] = 1
