"""A whole separation, stems on disk, against the bare network calls over the same number of chunks, in one run.

python -m benchmarks.separation [--minutes 2] [--models starter spleeter-2stems]
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import soundfile
import torch

from core.events import finish
from core.separation.plan import ChunkPlan, hop_of
from core.separation.separate import SeparationRequest, separate
from core.separation.store import Store
from models import registry

RATE = 44_100


def bare(model: str, frames: int, overlap: float | None) -> float:
    """Seconds that the network takes for the chunks of a separation, nothing around it."""
    card = registry.find(model)
    network = registry.load(card, "cpu")
    plan = ChunkPlan(frames, card.chunk, hop_of(card.chunk, overlap or card.overlap))
    mix = torch.randn(1, 2, card.chunk, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.inference_mode():
        network(mix)
        start = time.perf_counter()
        for _ in range(plan.count):
            network(mix)
        return time.perf_counter() - start


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--models", nargs="+", default=["starter", "spleeter-2stems"])
    parser.add_argument("--overlap", type=float, help="passes over the audio (default: the model's own)")
    options = parser.parse_args()
    frames = round(options.minutes * 60 * RATE)
    seconds = frames / RATE
    threads = torch.get_num_threads()
    print(f"{options.minutes:g} minutes, stereo 44.1 kHz, CPU, {threads} threads")
    with tempfile.TemporaryDirectory() as name:
        song = Path(name) / "song.wav"
        soundfile.write(song, np.random.default_rng(1).standard_normal((frames, 2)) * 0.1, RATE, subtype="PCM_16")
        for model in options.models:
            alone = bare(model, frames, options.overlap)
            request = SeparationRequest(model, overlap=options.overlap, device="cpu")
            start = time.perf_counter()
            stems = finish(separate(song, request, store=Store(Path(name) / model)))
            whole = time.perf_counter() - start
            left = stems.stem_sum_residual_dbfs
            print(
                f"  {model:16} whole {seconds / whole:5.1f}x real time, bare network {seconds / alone:5.1f}x, "
                f"ratio {whole / alone:.2f}, stems + residual {'exact' if left is None else f'{left:.0f} dBFS'} off"
            )


if __name__ == "__main__":
    main()
