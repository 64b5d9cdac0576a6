"""Clicks and crackle put into clean music and speech: how many are found, how many too many, what the repair is worth.

    python -m benchmarks.cleanup.declick [--data DIR] [--seed N] [--seconds N]

Clicks are 5 to 60 samples at 44.1 kHz, added on one channel, one a second, of four shapes and four levels: their peak
against the peak of the music within 10 ms. SDR is that of the gaps alone. The baseline fills the same gaps by a cubic.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from benchmarks import data_folder
from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.steps import cleaner
from core.events import finish
from core.session.cleaning import CleanupStep, Declick, Decrackle

Samples = NDArray[np.float64]
LEVELS_DB = (-12, -6, 0, 6)
SHAPES: dict[str, Callable[[np.random.Generator, int], Samples]] = {
    "noise": lambda rng, size: rng.standard_normal(size),
    "decaying noise": lambda rng, size: rng.standard_normal(size) * np.exp(-4 * np.arange(size) / size),
    "ringing": lambda rng, size: (
        np.exp(-5 * np.arange(size) / size) * np.cos(2 * np.pi * rng.uniform(1, 3) * np.arange(size) / size)
    ),
    "smooth pulse": lambda _rng, size: np.hanning(size + 2)[1:-1],
}


def read(path: Path) -> tuple[Samples, int]:
    """A whole file, float64 [frames, channels], and its rate."""
    sound, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return np.asarray(sound, dtype=np.float64), rate


def clicked(sound: Samples, rate: int, rng: np.random.Generator) -> tuple[Samples, list[tuple[int, int, str, int]]]:
    """The sound [frames] with clicks, and each one's first frame, length, shape and level."""
    damaged, clicks = sound.copy(), []
    scale = rate / 44_100
    for number, second in enumerate(range(1, int(len(sound) / rate) - 1)):
        shape = list(SHAPES)[number % len(SHAPES)]
        level = LEVELS_DB[number // len(SHAPES) % len(LEVELS_DB)]
        first = second * rate + int(rng.integers(0, rate // 2))
        size = max(2, round(int(rng.integers(5, 61)) * scale))
        peak = np.abs(sound[first - rate // 100 : first + rate // 100]).max()
        if peak < 1e-3:
            continue
        click = SHAPES[shape](rng, size)
        damaged[first : first + size] += click * rng.choice([-1, 1]) * peak * 10 ** (level / 20) / np.abs(click).max()
        clicks.append((first, size, shape, level))
    return damaged, clicks


def carried_out(sound: Samples, rate: int, step: CleanupStep) -> tuple[Finding, Samples, tuple[float, float]]:
    """What a step finds and makes of [frames, channels], and how many times real time, CPU, finding and doing take."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        soundfile.write(path, sound, rate, subtype="DOUBLE")
        with open_reader(path) as reader:
            worker, started = cleaner(reader, step), time.process_time()
            found = finish(worker.find())
            between = time.process_time()
            done = np.concatenate(list(worker.blocks()), axis=1).T if found.found else sound
    seconds = len(sound) / rate
    return found, done, (seconds / (between - started), seconds / (time.process_time() - between + 1e-9))


def db(ratio: float) -> float:
    return 10.0 * float(np.log10(ratio + 1e-20))


def files(folder: Path) -> list[Path]:
    """Finished music and clean speech."""
    found = [*folder.glob("multitracks/*/mixture.flac"), *folder.glob("masters/*"), *folder.glob("mixes/*")]
    return sorted(found) + sorted(path for path in folder.glob("speech/*") if "noise" not in path.name)


def declick(folder: Path, seed: int, seconds: int) -> None:
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, int, bool, list[float]]] = []
    wrong, minutes, speeds = 0, 0.0, []
    for path in files(folder):
        sound, rate = read(path)
        found, _, speed = carried_out(sound, rate, Declick())
        # both channels of one event are one
        wrong += len({place.first // (rate // 100) for place in found.places})
        minutes += len(sound) / rate / 60
        speeds.append(speed[0] * rate / 44_100 * sound.shape[1] / 2)
        mono = np.ascontiguousarray(sound[: seconds * rate, 0])
        damaged, clicks = clicked(mono, rate, rng)
        found, done, _ = carried_out(damaged[:, None], rate, Declick())
        for first, size, shape, level in clicks:
            gap = slice(first, first + size)
            hit = any(place.first < first + size and place.last > first for place in found.places)
            outside = np.r_[first - 60 : first - 2, first + size + 2 : first + size + 60]
            cubic = CubicSpline(outside, damaged[outside])(np.arange(first, first + size))
            power = np.square(mono[gap]).sum() + 1e-12
            figures = [db(power / np.square(one - mono[gap]).sum()) for one in (damaged[gap], done[gap, 0], cubic)]
            rows.append((shape, level, hit, figures))
    print(f"clean: {wrong} found in {minutes:.1f} minutes ({wrong / minutes:.2f} a minute)")
    print(f"finding: {np.median(speeds):.0f}x real time of stereo at 44.1 kHz, CPU, median\n")
    print("| shape | peak, dB of music's | found | SDR of these gaps | after | by a cubic |\n|---|---|---|---|---|---|")
    for shape in SHAPES:
        for level in LEVELS_DB:
            mine = [row for row in rows if row[0] == shape and row[1] == level]
            hits = [row[3] for row in mine if row[2]]
            share = 100 * len(hits) / max(1, len(mine))
            before, after, cubic = np.median(hits, axis=0) if hits else (np.nan,) * 3
            print(f"| {shape} | {level:+d} | {share:.0f}% of {len(mine)} | {before:.1f} | {after:.1f} | {cubic:.1f} |")
    sharp = [row for row in rows if row[0] != "smooth pulse"]
    for level in LEVELS_DB:
        share = np.mean([row[2] for row in sharp if row[1] == level])
        print(f"all but smooth pulses, {level:+d} dB: {100 * share:.1f}%")


def crackled(sound: Samples, rate: int, often: float, level: float, rng: np.random.Generator) -> Samples:
    damaged = sound.copy()
    for first in rng.integers(100, len(sound) - 100, int(often * len(sound) / rate)):
        size = int(rng.integers(1, 6))
        damaged[first : first + size] += level * rng.lognormal(0, 0.6) * rng.standard_normal(size)
    return damaged


def decrackle(folder: Path, seed: int, seconds: int) -> None:
    rng = np.random.default_rng(seed)
    wrong, gains = [], {}
    for path in files(folder):
        sound, rate = read(path)
        if carried_out(sound, rate, Decrackle())[0].found:
            wrong.append(path.name)
        mono = np.ascontiguousarray(sound[: seconds * rate, 0])
        for often, level in ((30, -20), (300, -20), (30, -10), (300, -10)):
            damaged = crackled(mono, rate, often, 10 ** (level / 20) * mono.std(), rng)
            found, done, _ = carried_out(damaged[:, None], rate, Decrackle())
            before, after = (db(np.square(mono).sum() / np.square(one - mono).sum()) for one in (damaged, done[:, 0]))
            gains.setdefault((often, level), []).append((found.found, after - before))
    print(f"\nclean files taken for crackle: {', '.join(wrong) or 'none'}\n")
    print("| ticks a second | dB of music's rms | found | SDR gain, mean | worst |\n|---|---|---|---|---|")
    for (often, level), rows in gains.items():
        got = np.array(rows)
        print(
            f"| {often} | {level} | {100 * got[:, 0].mean():.0f}% | {got[:, 1].mean():+.1f} | {got[:, 1].min():+.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cleanup.declick")
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    folder = data_folder(options.data)
    declick(folder, options.seed, options.seconds)
    decrackle(folder, options.seed, min(30, options.seconds))
    print(
        f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, whole files held included"
    )


if __name__ == "__main__":
    main()
