"""The null test against merely decoding both files, in one run, and its memory: `python -m benchmarks.null`.

A master is brought to 96 kHz and repeated to --minutes; B is made from it as each case says. Both are written as 24-bit
FLAC and WAV, and read one after the other by the same reader, before and after every null test.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks import data_folder
from core.audio.formats import BLOCK_FRAMES
from core.audio.read import open_reader, read_blocks
from core.events import finish
from core.measure.null import null_test

ROUNDS = 3
RATE = 96_000
MASTER = "masters/singularity_Awakening.flac"
Samples = NDArray[np.float64]

CASES: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "identical": lambda x, _: x,
    "another level, and noise": lambda x, dice: 0.9 * x + 1e-4 * dice.standard_normal(x.shape),
}
PEAK = """
import sys
from pathlib import Path
from core.events import finish
from core.measure.null import null_test
finish(null_test(Path(sys.argv[1]), Path(sys.argv[2])))
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def decode(*paths: Path) -> float:
    """Seconds that reading the files through takes, one after the other."""
    start = time.perf_counter()
    for path in paths:
        with open_reader(path) as reader:
            for _ in read_blocks(reader, BLOCK_FRAMES):
                pass
    return time.perf_counter() - start


def null(a: Path, b: Path, *, quick: bool) -> float:
    """Seconds that the null test takes."""
    start = time.perf_counter()
    finish(null_test(a, b, quick=quick))
    return time.perf_counter() - start


def minutes_of(source: Path, minutes: float) -> Iterator[Samples]:
    """A master at 96 kHz, again and again, float64 [frames, channels] a minute at a time."""
    read, rate = soundfile.read(source, always_2d=True)
    once = 0.9 * soxr.resample(np.asarray(read, np.float64), rate, RATE, "HQ")
    at, left = 0, round(minutes * 60 * RATE)
    while left:
        frames = min(60 * RATE, left)
        yield once[np.arange(at, at + frames) % len(once)]
        at, left = at + frames, left - frames


def write(source: Path, path: Path, minutes: float, case: str) -> Path:
    dice = np.random.default_rng(1)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_24") as file:
        for samples in minutes_of(source, minutes):
            file.write(np.clip(CASES[case](samples, dice), -1.0, 1.0 - 2.0**-23))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with masters/ (default: UNBAKE_TEST_DATA, ../shared/data)")
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    source = data_folder(options.data) / MASTER
    if not source.is_file():
        raise SystemExit(f"no {source}: give --data")
    importlib.import_module("scipy.signal")  # 1.5 s that are not what is measured
    print(f"{'file':5} {'case':26} {'decode both':>11} {'all figures':>20} {'quick':>20}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ending in ("flac", "wav"):
            a = write(source, folder / f"a.{ending}", options.minutes, "identical")
            for case in CASES:
                b = write(source, folder / f"b.{ending}", options.minutes, case)
                rounds = [(decode(a, b), null(a, b, quick=False), null(a, b, quick=True)) for _ in range(ROUNDS)]
                bare, *tested = (min(times) for times in zip(*rounds, strict=True))
                cells = "".join(f"{seconds:10.2f} s ({seconds / bare:4.2f}x)" for seconds in tested)
                print(f"{ending:5} {case:26} {bare:9.2f} s {cells}")
        for minutes in (1.0, options.minutes):
            pair = [
                write(source, folder / f"{side}.flac", minutes, case) for side, case in zip("ab", CASES, strict=True)
            ]
            done = subprocess.run([sys.executable, "-c", PEAK, *pair], capture_output=True, text=True, check=True)
            print(f"peak memory, {minutes:g} minutes: {float(done.stdout):.0f} MB")


if __name__ == "__main__":
    main()
