"""Gated attention and feed-forward with rotary positions, on blocks of sequences.

After W.-T. Lu, J.-C. Wang, Q. Kong, Y.-N. Hung, "Music Source Separation with Band-Split RoPE Transformer", ICASSP
2024; positions after J. Su et al., "RoFormer", 2021. Modules hold tensors under the names of the public checkpoints;
the arithmetic works in place on float32 blocks that a caller chose small enough for a processor's cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Iterable


TOKENS = 1024
"""Feature vectors that a CPU takes through all layers at a time: what comes between two steps stays in its cache."""
SEQUENCES = 65_535
"""As many as the attention kernels of a GPU take in one call."""


class Linear(nn.Module):
    """Weight `[outputs, inputs]` and bias `[outputs]` of a linear layer, not set before a checkpoint is read."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False) if bias else None


class Norm(nn.Module):
    """Scales the last axis to root mean square `gamma`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(dim), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., dim]` to the same; zeros stay zeros."""
        return normalised(x, self.gamma)


def normalised(x: Tensor, gamma: Tensor | None = None) -> Tensor:
    """`[..., dim]` with root mean square 1 over the last axis, times `gamma`."""
    # networks were trained with 1e-12 as the least length of a vector
    return F.rms_norm(x, x.shape[-1:], gamma, eps=1e-24 / x.shape[-1])


class Rotary(nn.Module):
    """Angles by which pairs of features turn from one position to the next: `freqs` `[dim_head / 2]`, in radians."""

    freqs: Tensor

    def __init__(self, dim_head: int) -> None:
        super().__init__()
        self.register_buffer("freqs", 10_000.0 ** (-torch.arange(0, dim_head, 2) / dim_head))

    def forward(self, length: int) -> Tensor:
        """The turns of positions 0 to `length` - 1 as unit numbers: complex64 `[length, 1, dim_head / 2]`."""
        angles = torch.outer(torch.arange(length, dtype=torch.float32, device=self.freqs.device), self.freqs.float())
        return torch.polar(torch.ones_like(angles), angles).unsqueeze(1)


def turned(pairs: Tensor, turns: Tensor) -> Tensor:
    """Features `[..., length, heads, dim_head]` with each pair of neighbours turned; overwrites them where it can."""
    pairs = pairs.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # the compiler fuses real arithmetic only
        real, imag = pairs.unbind(-1)
        cos, sin = torch.view_as_real(turns).unbind(-1)
        return torch.stack((real * cos - imag * sin, real * sin + imag * cos), dim=-1).flatten(-2)
    return torch.view_as_real(torch.view_as_complex(pairs).mul_(turns)).flatten(-2)


class AttentionWeights(NamedTuple):
    """What one pass needs of an `Attention`: queries, keys, values and gates in one matrix `inputs`."""

    gamma: Tensor
    inputs: Tensor
    bias: Tensor
    outputs: Tensor
    output_bias: Tensor | None
    heads: int


class Attention(nn.Module):
    """Self-attention whose heads are weighted by gates of the input."""

    def __init__(self, dim: int, heads: int, dim_head: int, rotary: Rotary) -> None:
        super().__init__()
        self.heads = heads
        self.rotary_embed = rotary
        self.norm = Norm(dim)
        self.to_qkv = Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_gates = Linear(dim, heads)
        self.to_out = nn.ModuleList([Linear(heads * dim_head, dim, bias=False)])

    def weights(self, dtype: torch.dtype) -> AttentionWeights:
        """The tensors as a pass in `dtype` uses them; made anew each time, which costs little, to hold none twice."""
        qkv, gates, out = self.to_qkv, self.to_gates, cast(Linear, self.to_out[0])
        assert gates.bias is not None
        # kernels are fastest with rows of a multiple of eight, and only even ones can be read as complex numbers
        spare = gates.weight.new_zeros(-(len(qkv.weight) + self.heads) % 8, gates.weight.shape[1])
        qkv_bias = gates.bias.new_zeros(len(qkv.weight)) if qkv.bias is None else qkv.bias
        return AttentionWeights(
            self.norm.gamma,
            torch.cat((qkv.weight, gates.weight, spare)).to(dtype),
            torch.cat((qkv_bias, gates.bias, spare[:, 0])).to(dtype),
            out.weight.to(dtype),
            None if out.bias is None else out.bias.to(dtype),
            self.heads,
        )


def add_attention(x: Tensor, weights: AttentionWeights, turns: Tensor) -> None:
    """Adds gated attention over sequences `[sequences, length, dim]` to them, in place."""
    heads, inner = weights.heads, weights.outputs.shape[1]
    dtype = weights.inputs.dtype
    projected = F.linear(normalised(x, weights.gamma).to(dtype), weights.inputs, weights.bias)
    # on a CPU the kernel for float32 is the fastest, whatever the precision of the rest
    attended = torch.float32 if x.device.type == "cpu" else dtype
    query_key = turned(projected[..., : 2 * inner].unflatten(-1, (2 * heads, -1)), turns).to(attended)
    query, key = query_key.transpose(1, 2).chunk(2, dim=1)
    value = projected[..., 2 * inner : 3 * inner].unflatten(-1, (heads, -1)).transpose(1, 2).to(attended)
    found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    gates = projected[..., 3 * inner : 3 * inner + heads].sigmoid().unsqueeze(-1)
    found = (found * gates).flatten(2).to(dtype)
    x.add_(F.linear(found, weights.outputs, weights.output_bias))


class FeedForwardWeights(NamedTuple):
    """What one pass needs of a `FeedForward`."""

    gamma: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


class FeedForward(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"0": Norm(dim), "1": Linear(dim, 4 * dim), "4": Linear(4 * dim, dim)})

    def weights(self, dtype: torch.dtype) -> FeedForwardWeights:
        """The tensors as a pass in `dtype` uses them."""
        layers = ("1.weight", "1.bias", "4.weight", "4.bias")
        tensors = (self.net.get_parameter(name).to(dtype) for name in layers)
        return FeedForwardWeights(self.net.get_parameter("0.gamma"), *tensors)


def add_feed_forward(x: Tensor, weights: FeedForwardWeights) -> None:
    """Adds the feed-forward of `[..., dim]` to it, in place."""
    hidden = F.linear(normalised(x, weights.gamma).to(weights.up.dtype), weights.up, weights.up_bias)
    x.add_(F.linear(F.gelu(hidden), weights.down, weights.down_bias))


class Transformer(nn.Module):
    """Layers of attention and feed-forward along one axis, with a norm behind them in some networks."""

    def __init__(self, depth: int, dim: int, heads: int, dim_head: int, rotary: Rotary, *, norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(dim, heads, dim_head, rotary), FeedForward(dim)]) for _ in range(depth)
        )
        self.norm = Norm(dim) if norm else None

    def forward(self, x: Tensor, turns: Tensor, dtype: torch.dtype) -> None:
        """Transforms sequences float32 `[sequences, length, dim]` in place, their layers computing in `dtype`."""
        pairs = cast("Iterable[tuple[Attention, FeedForward]]", self.layers)
        layers = [(attention.weights(dtype), feed.weights(dtype)) for attention, feed in pairs]
        for block in x.split(max(1, TOKENS // x.shape[1]) if x.device.type == "cpu" else SEQUENCES):
            for attention, feed in layers:
                add_attention(block, attention, turns)
                add_feed_forward(block, feed)
            if self.norm is not None:
                block.copy_(self.norm(block))
