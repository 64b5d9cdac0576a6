"""Running medians as whole-array minima and maxima, for harmonic-percussive separation on any torch device.

A window's median by sorting costs a sort per cell. Here blocks of 2, 4, 8, ... neighbours are merged into sorted order
for all positions at once, and each merge serves every window that contains the block: 17 cells cost about 60
elementwise operations. The arithmetic only compares, so the medians are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor


def merge(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    """Merges two sorted lists of equally many (a power of two) tensors, cell by cell (Batcher's odd-even merge)."""
    if len(a) == 1:
        return [torch.minimum(a[0], b[0]), torch.maximum(a[0], b[0])]
    even, odd = merge(a[0::2], b[0::2]), merge(a[1::2], b[1::2])
    merged = [even[0]]
    for low, high in zip(even[1:], odd[:-1], strict=True):
        merged += [torch.minimum(low, high), torch.maximum(low, high)]
    return [*merged, odd[-1]]


def running_median(x: Tensor, length: int, dim: int) -> Tensor:
    """The median over `length` neighbours along `dim`, centred, edges repeated; the same shape as `x`.

    `length` is 2^m + 1: 3, 5, 9, 17, 33, ...
    """
    half = (length - 1) // 2
    if half < 1 or half & (half - 1):
        raise ValueError(f"length {length} is not 2^m + 1")
    x = x.movedim(dim, -1)
    cells = x.shape[-1]
    edges = (*x.shape[:-1], half)
    padded = torch.cat((x[..., :1].expand(edges), x, x[..., -1:].expand(edges)), dim=-1)
    block, run = [padded], 1
    while run < half:
        count = block[0].shape[-1] - run
        block = merge([v[..., :count] for v in block], [v[..., run : run + count] for v in block])
        run *= 2
    # Two sorted halves of a window without its last cell: their middle pair, then the last cell held between the two.
    left, right = [v[..., :cells] for v in block], [v[..., half : half + cells] for v in block[::-1]]
    below = above = None
    for a, b in zip(left, right, strict=True):
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        below = low if below is None else torch.maximum(below, low)
        above = high if above is None else torch.minimum(above, high)
    assert below is not None
    assert above is not None
    return torch.minimum(torch.maximum(padded[..., 2 * half :], below), above).movedim(-1, dim)
