"""The joints of the separation engine, with a network that knows less and less towards the edges of its chunk.

The stand-in gives its input back, fading in and out over a share of the chunk; the figure is the worst window of 64
frames of what comes out, error against signal, head and tail of the file included.

    python -m benchmarks.seams [--passes 2 2.4 3 4]
"""

from __future__ import annotations

from argparse import ArgumentParser

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.events import Note
from core.separation.engine import Engine
from core.separation.plan import ChunkPlan, hop_of

CHUNK = 523_264  # that of the starter
WINDOW = 64
SHARES = (128, 64, 32)
"""The edges fade over one part in so many of the chunk."""


class Fading(nn.Module):
    """One stem: the mix, with edges that fade over `fade` frames."""

    def __init__(self, fade: int) -> None:
        super().__init__()
        ramp = torch.clamp((torch.arange(CHUNK) + 0.5) / fade, max=1.0)
        self.window = ramp * ramp.flip(0)

    def forward(self, mix: Tensor) -> Tensor:
        return (mix * self.window)[:, None]


def worst_seam_db(passes: float, fade: int) -> float:
    """Error against signal in the worst window of a file of a few chunks, in dB."""
    signal = (0.1 * np.random.default_rng(1).standard_normal((2, round(5.3 * CHUNK)))).astype(np.float32)
    frames = signal.shape[1]

    def read(start: int, count: int) -> NDArray[np.float32]:
        audio = np.zeros((2, count), np.float32)
        low, high = max(0, start), min(frames, start + count)
        audio[:, low - start : high - start] = signal[:, low:high]
        return audio

    engine = Engine(Fading(fade), "stand-in", "cpu", stems=1, wanted=(0,), batch=1)
    plan = ChunkPlan(frames, CHUNK, hop_of(CHUNK, passes))
    parts = [event.audio[0] for event in engine.run(plan, read) if not isinstance(event, Note)]
    error = np.concatenate(parts, axis=1) - signal
    # the last window is cut off the end, not off the grid, so that the tail's last frame is in it
    starts = [*range(0, frames - WINDOW, WINDOW), frames - WINDOW]
    ratios = [np.linalg.norm(error[:, at : at + WINDOW]) / np.linalg.norm(signal[:, at : at + WINDOW]) for at in starts]
    return 20 * float(np.log10(max(ratios)))


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passes", type=float, nargs="+", default=[2.0, 2.4, 3.0, 4.0])
    options = parser.parse_args()
    print(f"worst window of {WINDOW} frames in dB, chunk {CHUNK}")
    print(f"{'edges fade over':>18}" + "".join(f"{f'{passes:g} passes':>12}" for passes in options.passes))
    for share in SHARES:
        figures = [worst_seam_db(passes, CHUNK // share) for passes in options.passes]
        print(f"{f'1/{share} of the chunk':>18}" + "".join(f"{figure:12.1f}" for figure in figures))


if __name__ == "__main__":
    main()
