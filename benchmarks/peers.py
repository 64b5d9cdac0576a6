"""The overlap-add loop that most of the field shares, written down for comparison: in memory, linear fades, a counter.

As the public training repository ZFTurbo/Music-Source-Separation-Training does it by default: the mix is mirrored by a
chunk less a step at both ends, chunks begin every chunk / passes frames, fade linearly over a tenth of the chunk except
at the ends of the file, and the sum is divided by the sum of the fades.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

MSST_PASSES = 4
"""`num_overlap` of its configurations."""


def msst(network: nn.Module, mix: Tensor, chunk: int, stems: int, passes: int = MSST_PASSES, batch: int = 1) -> Tensor:
    """Float32 [2, frames] to [stems, 2, frames] on the network's device."""
    step, fade = chunk // passes, chunk // 10
    border, frames = chunk - step, mix.shape[1]
    mirrored = frames > 2 * border and border > 0
    if mirrored:
        mix = F.pad(mix[None], (border, border), mode="reflect")[0]
    result, counter = torch.zeros(stems, *mix.shape), torch.zeros(stems, *mix.shape)
    ramp = torch.linspace(0.0, 1.0, fade)
    starts = list(range(0, mix.shape[1], step))
    with torch.inference_mode():
        for first in range(0, len(starts), batch):
            parts = [mix[:, start : start + chunk] for start in starts[first : first + batch]]
            wide = [F.pad(part[None], (0, chunk - part.shape[1]), mode="constant")[0] for part in parts]
            found = network(torch.stack(wide))
            for number, (start, part) in enumerate(zip(starts[first : first + batch], parts, strict=True)):
                window = torch.ones(chunk)
                if start:
                    window[:fade] *= ramp
                if start + chunk < mix.shape[1]:
                    window[-fade:] *= ramp.flip(0)
                length = part.shape[1]
                result[..., start : start + length] += found[number, ..., :length] * window[:length]
                counter[..., start : start + length] += window[:length]
    result = torch.nan_to_num(result / counter, nan=0.0)
    return result[..., border : border + frames] if mirrored else result
