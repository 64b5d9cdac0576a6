"""Normalisation over whole maps, for tensors whose channels come last in memory."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-5
"""What keeps a norm from dividing by zero: torch's default, with which the networks were trained."""


def standardised(x: Tensor, over: tuple[int, ...], weight: Tensor, bias: Tensor) -> Tensor:
    """`x` at mean 0 and deviation 1 over some dimensions, times `weight` and plus `bias`, which broadcast against it.

    Computed in float32, whatever `x` is, and float32; in the order of memory that `x` has. Torch's own norms would put
    the channels first, or sum up with two digits less.
    """
    mean = x.mean(over, keepdim=True, dtype=torch.float32)
    result = torch.sub(x, mean).square_()
    scale = torch.rsqrt(result.mean(over, keepdim=True) + EPSILON) * weight
    shift = bias - mean * scale
    if torch.compiler.is_compiling():  # which sees for itself what memory it can use again
        return torch.addcmul(shift, x, scale)
    return torch.addcmul(shift, x, scale, out=result)
