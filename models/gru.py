"""A gated recurrent layer in two directions, on a CPU faster than torch runs it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROWS = 2048
"""How many inputs go through the input weights at a time: so many that their gates stay in the cache until used."""


def run(layer: nn.GRU, x: Tensor) -> Tensor:
    """What `layer`, of two directions, makes of `[steps, batch, inputs]`: `[steps, batch, 2 hidden]`.

    On a GPU, in reduced precision and when compiled that is torch's own doing. On a CPU torch first computes the gates
    of all steps, which no cache holds, and then allocates a dozen results a step; here blocks of steps are computed in
    place.
    """
    plain = x.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)
    if x.is_cuda or not plain or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return layer(x)[0]
    result = x.new_empty(*x.shape[:2], 2 * layer.hidden_size)
    ahead, back = result.chunk(2, dim=2)
    _direction(layer, x, ahead, backwards=False)
    _direction(layer, x, back, backwards=True)
    return result


def _direction(layer: nn.GRU, x: Tensor, result: Tensor, *, backwards: bool) -> None:
    """Runs one direction; its states go into `result`, `[steps, batch, hidden]`.

    With r and z the gates of reset and update: n = tanh(W x + b + r (U h + c)), and h becomes n + z (h - n).
    """
    steps, batch, _ = x.shape
    suffix = "_reverse" if backwards else ""
    weights, recurrent, bias, recurrent_bias = (
        getattr(layer, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden, gates = layer.hidden_size, 2 * layer.hidden_size
    bias = torch.cat((bias[:gates] + recurrent_bias[:gates], bias[gates:]))
    block = max(1, ROWS // batch)
    space, candidate = x.new_empty(block * batch, 3 * hidden), x.new_empty(batch, hidden)
    state = x.new_zeros(batch, hidden)
    order = -1 if backwards else 1
    for start in range(0, steps, block)[::order]:
        stop = min(start + block, steps)
        inputs = x[start:stop].flatten(0, 1)
        heard = torch.addmm(bias, inputs, weights.T, out=space[: len(inputs)]).unflatten(0, (-1, batch))
        for step in range(start, stop)[::order]:
            reset_update, new = heard[step - start].split((gates, hidden), dim=1)
            reset, update = reset_update.addmm_(state, recurrent[:gates].T).sigmoid_().chunk(2, dim=1)
            torch.addmm(recurrent_bias[gates:], state, recurrent[gates:].T, out=candidate)
            state = torch.lerp(new.addcmul_(candidate, reset).tanh_(), state, update, out=result[step])
