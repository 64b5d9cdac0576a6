"""The separation engine: its cost beside the bare network, memory, joints, a whole song against peers, a kill.

python -m benchmarks.separation [bare memory seams whole kill] [--minutes M] [--models NAME ...]

`whole` and `kill` take public networks at their public size with random weights: the work is the same.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import data_folder, peers, random_networks
from core.events import Operation, finish
from core.separation.plan import ChunkPlan, hop_of
from core.separation.separate import Network, SeparationRequest, registered, separate
from core.separation.store import StemSet, Store
from core.separation.variant import Variant
from models import registry

RATE = 44_100
REAL = ("spleeter-2stems", "starter")
"""Networks whose real weights are here."""


def make_song(path: Path, minutes: float) -> Path:
    """Noise in a file, minute by minute, so that making it takes no memory."""
    rng = np.random.default_rng(1)
    frames = round(minutes * 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as out:
        for start in range(0, frames, 60 * RATE):
            out.write(0.1 * rng.standard_normal((min(60 * RATE, frames - start), 2)))
    return path


def bare(options: Namespace, folder: Path) -> None:
    """A whole separation, stems on disk, against the bare network calls over the same number of chunks."""
    seconds = 60.0 * (options.minutes or 2.0)
    song = make_song(folder / "song.wav", seconds / 60.0)
    for model in options.models or REAL:
        alone = bare_seconds(model, round(seconds * RATE))
        entire = timed(separate, song, SeparationRequest(model, device="cpu"), store=Store(folder / model))
        print(
            f"{model:18} {seconds / 60:g} minutes: whole {seconds / entire:5.1f}x real time, bare network "
            f"{seconds / alone:5.1f}x, ratio {entire / alone:.2f}"
        )


def bare_seconds(model: str, frames: int) -> float:
    """Seconds that a network takes for the chunks of a separation, nothing around it."""
    card = registry.find(model)
    network = registry.load(card, "cpu")
    plan = ChunkPlan(frames, card.chunk, hop_of(card.chunk, card.overlap))
    mix = torch.randn(1, 2, card.chunk, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.inference_mode():
        network(mix)
        start = time.perf_counter()
        for _ in range(plan.count):
            network(mix)
        return time.perf_counter() - start


class Halves(nn.Module):
    """Four stems that cost nothing: what is measured is the engine."""

    def forward(self, mix: Tensor) -> Tensor:
        return mix[:, None] * torch.tensor([0.4, 0.3, 0.2, 0.1])[:, None, None]


def memory(options: Namespace, folder: Path) -> None:
    """Peak memory of a four-stem separation by length, each in a process of its own, less that of a second of sound."""
    least = peak_mb(1 / 60, folder)
    lengths = (5.0, options.minutes or 60.0)
    peaks = [peak_mb(minutes, folder) - least for minutes in lengths]
    for minutes, peak in zip(lengths, peaks, strict=True):
        print(f"{minutes:5g} minutes: {peak:6.0f} MB above the network and the program ({least:.0f} MB)")
    print(f"growth per minute of input: {(peaks[1] - peaks[0]) / (lengths[1] - lengths[0]):.2f} MB")


def peak_mb(minutes: float, folder: Path) -> float:
    """Peak resident memory of a process that separates so many minutes."""
    song = make_song(folder / "song.wav", minutes)
    command = [sys.executable, "-m", "benchmarks.separation", "--child", str(song), str(folder / f"store {minutes}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def child(song: Path, store: Path) -> None:
    """Separates with the network that costs nothing, and says the peak memory in MB."""
    network = Network("halves", ("a", "b", "c", "d"), RATE, 343_980, "1", lambda _device: Halves())
    finish(separate(song, SeparationRequest("halves", device="cpu"), network=network, store=Store(store)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def seams(options: Namespace, folder: Path) -> None:
    """Two runs of a real network whose chunk grids lie half a hop apart: do they differ more at the borders?"""
    song = folder / "song.wav"
    songs = sorted((data_folder(options.data) / "masters").glob("*.flac"))
    join(songs, song)
    for model in options.models or REAL:
        network = registered(model)
        hop = hop_of(network.chunk, network.overlap)
        runs = [
            finish(separate(song, SeparationRequest(model, device="cpu", variant=Variant(shift)), store=Store(folder)))
            for shift in (0, hop // 2)
        ]
        for stem in network.stems:
            one, other = (read_stem(run.stems[stem]) for run in runs)
            at_borders, around = by_place(one - other, one, hop)
            print(
                f"{model:18} {stem:14} difference of the runs to the stem, dB: at the borders {at_borders:6.1f}, "
                f"around them {around:6.1f} ({at_borders - around:+.1f})"
            )


def join(songs: list[Path], out: Path) -> None:
    """The songs of one rate that are there, one after the other: the more chunks, the surer the medians."""
    with soundfile.SoundFile(out, "w", RATE, 2, "PCM_24") as joined:
        for song in songs:
            audio, rate = soundfile.read(song, always_2d=True)
            if rate == RATE and audio.shape[1] == 2:
                joined.write(audio)


def read_stem(path: str) -> NDArray[np.float64]:
    return np.asarray(soundfile.read(path, always_2d=True)[0], np.float64)


def by_place(difference: NDArray[np.float64], stem: NDArray[np.float64], hop: int) -> tuple[float, float]:
    """The difference to the stem in dB, in windows of a 64th of a hop: at the borders, and around them.

    Borders are where chunks of either run begin and end: 0 and half a hop. The second figure is the first plus the
    median of what the windows up to an eighth of a hop away have more: the same music, but no border.
    """
    places = 64
    size = hop // places
    hops = len(stem) // (size * places)
    cut = hops * places * size
    power = [np.square(audio[:cut].reshape(hops * places, -1)).sum(axis=-1) for audio in (difference, stem)]
    levels = 10 * np.log10((power[0] + 1e-12) / (power[1] + 1e-12))
    at_border, around = [], []
    for border in range(places // 2, len(levels) - places // 2, places // 2):
        at_border.append(levels[border - 1 : border + 1].mean())
        around.append(np.concatenate((levels[border - 8 : border - 1], levels[border + 1 : border + 8])).mean())
    level = float(np.median(at_border))
    return level, level + float(np.median(np.subtract(around, at_border)))


def whole(options: Namespace, folder: Path) -> None:
    """The default run of a song, file to stems on disk, against the field's loop over the same network in memory."""
    minutes = options.minutes or 4.0
    song = make_song(folder / "song.wav", minutes)
    for name in options.models or ("htdemucs",):
        card = random_networks.install(name, folder / "home")
        request = SeparationRequest(card.name, device="cpu", precision=options.precision)
        own = timed(separate, song, request, store=Store(folder / name))
        theirs = loop_seconds(card, song)
        print(
            f"{name}, {minutes:g} minutes: ours {own:.0f} s ({minutes * 60 / own:.2f}x real time, {card.overlap:g} "
            f"passes, {options.precision}), the field's loop {theirs:.0f} s ({peers.MSST_PASSES} passes): "
            f"{theirs / own:.2f}x"
        )


def loop_seconds(card: registry.Card, song: Path) -> float:
    """Seconds that the field's loop takes with the package that the field runs the network with."""
    network = random_networks.module_of(card).eval()
    mix = torch.from_numpy(np.asarray(soundfile.read(song, dtype="float32")[0]).T.copy())
    with torch.inference_mode():
        start = time.perf_counter()
        peers.msst(network, mix, card.chunk, len(card.stems))
        return time.perf_counter() - start


def kill(options: Namespace, folder: Path) -> None:
    """A separation killed with signal 9 at half: what the second run costs of a whole one, starts included."""
    song = make_song(folder / "song.wav", options.minutes or 4.0)
    for model in options.models or REAL[:1]:
        entire = run_command(song, model, folder / "one")
        started = start_command(song, model, folder / "two")
        wait_for_half(folder / "two", started)
        started.send_signal(signal.SIGKILL)
        started.wait()
        rest = run_command(song, model, folder / "two")
        print(f"{model:18} whole {entire:.1f} s, resumed after kill -9 at half {rest:.1f} s: {rest / entire:.0%}")


def start_command(song: Path, model: str, cache: Path) -> subprocess.Popen[bytes]:
    """`unbake separate` with a cache of its own."""
    words = ["-m", "tui", "separate", str(song), "-o", f"{cache} stems", "--model", model, "--device", "cpu", "--quiet"]
    environment = {**os.environ, "UNBAKE_CACHE": str(cache)}
    return subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL)


def run_command(song: Path, model: str, cache: Path) -> float:
    """Seconds of a whole `unbake separate`."""
    start = time.perf_counter()
    if start_command(song, model, cache).wait():
        raise SystemExit("the separation failed")
    return time.perf_counter() - start


def wait_for_half(cache: Path, process: subprocess.Popen[bytes]) -> None:
    """Returns when half of the frames are safe on the disk."""
    while process.poll() is None:
        for file in cache.glob("stems/partial/*/state.json"):
            state = json.loads(file.read_bytes())
            done = sum(end - begin for spans in state["done"].values() for begin, end in spans)
            if state["frames"] and done >= state["frames"] / 2:
                return
        time.sleep(0.02)
    raise SystemExit("the run ended before it could be killed")


def timed(operation: Callable[..., Operation[StemSet]], *words: Any, **named: Any) -> float:
    """Seconds that an operation takes."""
    start = time.perf_counter()
    finish(operation(*words, **named))
    return time.perf_counter() - start


PARTS = {"bare": bare, "memory": memory, "seams": seams, "whole": whole, "kill": kill}


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)} (default: bare seams kill)"
    )
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--child", nargs=2, type=Path)
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(unknown)}")
    if options.child:
        child(*options.child)
        return
    print(f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for part in options.parts or ("bare", "seams", "kill"):
        with tempfile.TemporaryDirectory() as name:
            PARTS[part](options, Path(name))


if __name__ == "__main__":
    main()
