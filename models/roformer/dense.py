"""Linear layers that are used for many blocks in a row, in the form that is fastest on their device.

On a CPU that is oneDNN's, with the weights in an order of its own and the activation applied to what is still in
registers: with float32 about a tenth faster than torch's linear, which calls another library there. Torch keeps these
operators to itself and its compiler; where their declarations are not the ones known here, its public ones serve.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

BLOCK = 4096
"""Rows that a CPU takes through all steps at a time: what comes between two steps then stays in its cache.

Half as many are a little faster on an idle machine and slower on a busy one, where every step waits for the last core.
"""
KNOWN = {
    "_reorder_linear_weight": "(Tensor self, int? batch_size=None) -> Tensor Y",
    "_linear_pointwise": "(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm) -> Tensor Y",
}


def reorders() -> bool:
    """Whether this torch has the operators, and as they are called here."""
    if not torch.backends.mkldnn.is_available():
        return False
    found = {name: getattr(torch.ops.mkldnn, name, None) for name in KNOWN}
    return all(
        operator is not None and str(operator.default._schema) == f"mkldnn::{name}{KNOWN[name]}"
        for name, operator in found.items()
    )


REORDERS = reorders()


class Dense(NamedTuple):
    """A layer ready for use; `reordered` weights are no longer `[outputs, inputs]`."""

    weight: Tensor
    bias: Tensor | None
    dtype: torch.dtype
    reordered: bool


def dense(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Dense:
    """A layer that computes in `dtype`, of weights `[outputs, inputs]`."""
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    here = weight.device.type == "cpu" and dtype in (torch.float32, torch.bfloat16)
    if REORDERS and here and not torch.compiler.is_compiling():
        return Dense(torch.ops.mkldnn._reorder_linear_weight(weight, BLOCK), bias, dtype, True)
    return Dense(weight, bias, dtype, False)


def linear(x: Tensor, layer: Dense) -> Tensor:
    """`[..., inputs]` to `[..., outputs]`."""
    if layer.reordered:
        return torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, "none", [], None)
    return F.linear(x, layer.weight, layer.bias)


def gelu_linear(x: Tensor, layer: Dense) -> Tensor:
    """`linear` and the Gaussian error linear unit of what it gives."""
    if layer.reordered:
        return torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, "gelu", [], "none")
    return F.gelu(F.linear(x, layer.weight, layer.bias))
