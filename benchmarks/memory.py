"""Peak memory of a whole `unbake repair` on a short and on a long file, each in a process of its own.

python -m benchmarks.memory [--minutes 5 60] [--model starter]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
PRESET = "de-mud-bass-only"
"""A fixed cut: one that measures may leave this material as it is, and then nothing is rendered."""


def make_song(path: Path, minutes: float) -> None:
    """Noise and tones, minute by minute, so that making it takes no memory either."""
    rng = np.random.default_rng(1)
    time = np.arange(RATE * 60) / RATE
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as out:
        for _ in range(round(minutes)):
            tone = 0.1 * np.sin(2 * np.pi * 82 * time) + 0.05 * np.sin(2 * np.pi * 440 * time)
            out.write(tone[:, None] + 0.02 * rng.standard_normal((len(time), 2)))


def peak_mb(minutes: float, model: str) -> tuple[float, float]:
    """Peak resident memory in MB of one repair, and its real-time factor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_song(folder / "song.wav", minutes)
        words = [sys.executable, "-m", "tui", "repair", str(folder / "song.wav"), "--preset", PRESET]
        child = (
            "import resource,subprocess,sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True); "
        )
        child += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.stdout.buffer.write(done.stdout)"
        done = subprocess.run(
            [sys.executable, "-c", child, *words, "--model", model, "--json", "--quiet"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "UNBAKE_CACHE": str(folder / "cache"), "UNBAKE_HOME": str(folder / "home")},
        )
        peak, result = done.stdout.split("\n", 1)
        certificate = json.loads(result)
        if not certificate["changed"]:
            raise SystemExit(f"the preset {PRESET} changed nothing, so a copy was measured")
        return int(peak) / 1024, certificate["realtime_factor"]


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 60.0])
    parser.add_argument("--model", default="starter")
    options = parser.parse_args()
    peaks = []
    for minutes in options.minutes:
        peak, speed = peak_mb(minutes, options.model)
        peaks.append(peak)
        print(f"{minutes:5g} minutes: peak {peak:7.0f} MB, whole repair {speed:5.1f}x real time", flush=True)
    print(f"longest against shortest: {peaks[-1] / peaks[0]:.3f}x")


if __name__ == "__main__":
    main()
