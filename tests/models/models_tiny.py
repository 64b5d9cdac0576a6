"""A network of a few numbers for tests: each stem is a mixture of the two channels, times `gain`."""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from models.building import config_of, fill, only, where_of
from models.registry import Card
from models.weights import Tensors

AUDIO_KEYS = ("n_fft",)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dim: int
    gain: float = 1.0
    n_fft: int = 16
    num_stems: int | None = None
    dropout: float = 0.0


class Tiny(nn.Module):
    def __init__(self, stems: int, gain: float) -> None:
        super().__init__()
        self.mix = nn.Conv1d(2, 2 * stems, 1)
        self.stems, self.gain = stems, gain

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * self.mix(x).unflatten(1, (self.stems, 2))


def build(card: Card, files: list[Tensors]) -> Tiny:
    network = Tiny(len(card.stems), config_of(card, Config).gain)
    fill(network, only(files, card), where_of(card))
    return network


def tensors(stems: int = 1, value: float = 0.5) -> dict[str, Tensor]:
    return {"mix.weight": torch.full((2 * stems, 2, 1), value), "mix.bias": torch.zeros(2 * stems)}
