"""Networks that cost nothing and whose answer is known, and files to feed them with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from core.separation.separate import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from core.events import Event, Operation
    from core.separation.store import StemSet

CHUNK = 4096
NULL_LIMIT = 10 ** (-140 / 20)
"""How far stems and residual may be off their source, linear."""


class Split(nn.Module):
    """Every stem is a fixed share of the mix."""

    def __init__(self, shares: Sequence[float]) -> None:
        super().__init__()
        self.shares = torch.tensor(shares, dtype=torch.float32)
        self.calls: list[int] = []

    def forward(self, mix: Tensor) -> Tensor:
        self.calls.append(len(mix))
        return mix[:, None] * self.shares[None, :, None, None]


class Fading(Split):
    """Knows less and less towards the edges of its chunk, as real networks do: the output fades over `fade` frames."""

    def __init__(self, shares: Sequence[float], chunk: int, fade: int) -> None:
        super().__init__(shares)
        ramp = torch.clamp((torch.arange(chunk) + 0.5) / fade, max=1.0)
        self.window = ramp * ramp.flip(0)

    def forward(self, mix: Tensor) -> Tensor:
        return super().forward(mix) * self.window


class Wandering(Split):
    """Gives values that depend on the whole chunk and differ from chunk to chunk, so that a wrong joint shows."""

    def __init__(self, shares: Sequence[float], pause: float = 0.0) -> None:
        super().__init__(shares)
        self.pause = pause

    def forward(self, mix: Tensor) -> Tensor:
        time.sleep(self.pause * len(mix))
        loudness = mix.square().mean(dim=(1, 2), keepdim=True).sqrt()
        return super().forward(torch.tanh(mix * (1.0 + loudness))) * 0.9


def network_of(
    module: nn.Module,
    *,
    stems: Sequence[str] = ("bass", "rest"),
    chunk: int = CHUNK,
    rate: int = 44100,
    version: str = "1",
    load: Callable[[str], nn.Module] | None = None,
) -> Network:
    return Network("fake", tuple(stems), rate, chunk, version, load or (lambda _device: module))


def noise(channels: int, frames: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((channels, frames)) * 0.1


def write_wav(path: Path, block: NDArray[np.floating], rate: int = 44100, subtype: str = "PCM_24") -> Path:
    soundfile.write(path, block.T, rate, subtype=subtype, format="WAV" if path.suffix == ".wav" else None)
    return path


def read_wav(path: str | Path) -> NDArray[np.float64]:
    return np.asarray(soundfile.read(path, dtype="float64", always_2d=True)[0].T, np.float64)


def db(ratio: float) -> float:
    return 20.0 * float(np.log10(max(ratio, 1e-300)))


def collect(operation: Operation[StemSet]) -> tuple[StemSet, list[Event]]:
    """What an operation gives, and all that it says on the way."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(operation))
        except StopIteration as stop:
            return stop.value, events


def null_peak(source: Path, result: StemSet) -> float:
    """The largest difference between a source and the sum of its stems and residual, linear."""
    total = read_wav(result.residual)
    for path in result.stems.values():
        total = total + read_wav(path)
    return float(np.abs(read_wav(source) - total).max())
