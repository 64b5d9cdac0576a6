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

from models.roformer.dense import BLOCK, Dense, dense, gelu_linear, linear

if TYPE_CHECKING:
    from collections.abc import Iterable


SHORTEST = 1e-12
"""Length under which the networks were trained not to stretch a vector."""
SEQUENCES = 65_535
"""How many the attention kernels of a GPU take in one call."""


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
        return normalised(x) * self.gamma


def normalised(x: Tensor) -> Tensor:
    """`[..., dim]` with root mean square 1 over the last axis; zeros stay zeros."""
    dim = x.shape[-1]
    if x.device.type == "cpu":  # where torch's own takes several steps that wait for all threads
        return x * (dim**0.5 / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(SHORTEST))
    return F.rms_norm(x, (dim,), eps=SHORTEST**2 / dim)


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
    """What one pass needs of an `Attention`: queries, keys, values and gates come from `inputs`, gamma is within."""

    inputs: Dense
    outputs: Dense
    heads: int
    inner: int


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
        weight = torch.cat((qkv.weight, gates.weight, spare)) * self.norm.gamma
        return AttentionWeights(
            dense(weight, torch.cat((qkv_bias, gates.bias, spare[:, 0])), dtype),
            dense(out.weight, out.bias, dtype),
            self.heads,
            out.weight.shape[1],
        )


def add_attention(x: Tensor, weights: AttentionWeights, turns: Tensor) -> None:
    """Adds gated attention over sequences `[sequences, length, dim]` to them, in place."""
    heads, inner, dtype = weights.heads, weights.inner, weights.inputs.dtype
    projected = linear(normalised(x).to(dtype), weights.inputs)
    # on a CPU the kernel for float32 is the fastest, whatever the precision of the rest
    attended = torch.float32 if x.device.type == "cpu" else dtype
    query_key = turned(projected[..., : 2 * inner].unflatten(-1, (2 * heads, -1)), turns).to(attended)
    query, key = query_key.transpose(1, 2).chunk(2, dim=1)
    value = projected[..., 2 * inner : 3 * inner].unflatten(-1, (heads, -1)).transpose(1, 2).to(attended)
    found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    gates = projected[..., 3 * inner : 3 * inner + heads].sigmoid().unsqueeze(-1)
    found = (found * gates).flatten(2).to(dtype)
    x.add_(linear(found, weights.outputs))


class FeedForwardWeights(NamedTuple):
    """What one pass needs of a `FeedForward`, the norm's gamma within `up`."""

    up: Dense
    down: Dense


class FeedForward(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"0": Norm(dim), "1": Linear(dim, 4 * dim), "4": Linear(4 * dim, dim)})

    def weights(self, dtype: torch.dtype) -> FeedForwardWeights:
        """The tensors as a pass in `dtype` uses them."""
        up, down = (cast(Linear, self.net[name]) for name in ("1", "4"))
        gamma = cast(Norm, self.net["0"]).gamma
        return FeedForwardWeights(dense(up.weight * gamma, up.bias, dtype), dense(down.weight, down.bias, dtype))


def add_feed_forward(x: Tensor, weights: FeedForwardWeights) -> None:
    """Adds the feed-forward of `[..., dim]` to it, in place."""
    hidden = gelu_linear(normalised(x).to(weights.up.dtype), weights.up)
    x.add_(linear(hidden, weights.down))


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
        for block in x.split(max(1, BLOCK // x.shape[1]) if x.device.type == "cpu" else SEQUENCES):
            for attention, feed in layers:
                add_attention(block, attention, turns)
                add_feed_forward(block, feed)
            if self.norm is not None:
                block.copy_(self.norm(block))
