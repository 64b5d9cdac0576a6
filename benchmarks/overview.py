"""A waveform's first sketch and its whole pyramid against merely reading the file: `python -m benchmarks.overview`.

The file is an hour (or `--minutes`) of stereo, 48 kHz and 24 bit, made for the purpose.
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import soundfile

from core.events import Progress, finish
from core.measure.overview import Overview, scan
from core.measure.spectrogram import spectrogram
from core.measure.spectrum import average_spectrum, log_frequencies

RATE = 48_000
BLOCK_FRAMES = 65_536
COLUMNS, ROWS = 200, 40
ROUNDS = 3


def make_song(path: Path, minutes: float) -> int:
    """Noise under a tone, minute by minute; gives its length in frames."""
    rng = np.random.default_rng(1)
    tone = 0.3 * np.sin(2 * np.pi * 100 / RATE * np.arange(60 * RATE))
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_24") as out:
        for _ in range(round(minutes)):
            out.write(tone[:, None] + 0.05 * rng.standard_normal((len(tone), 2)))
        return out.frames


def bare(path: Path) -> float:
    """Seconds that soundfile alone takes to read the file."""
    start = time.perf_counter()
    buffer = np.empty((BLOCK_FRAMES, 2))
    with soundfile.SoundFile(path) as sound:
        while len(sound.read(BLOCK_FRAMES, out=buffer)):
            pass
    return time.perf_counter() - start


def timed(work) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pyramid(path: Path, frames: int) -> tuple[float, float, float, float]:
    """Seconds to the first columns, to the whole sketch, to the last sample, and for the slowest drawing meanwhile."""
    overview = Overview(frames)
    first = sketched = drawn = 0.0
    start = time.perf_counter()
    for event in scan(path, overview=overview):
        now = time.perf_counter() - start
        first = first or now
        if isinstance(event, Progress) and event.stage == "sketch":
            sketched = now
        drawn = max(drawn, timed(lambda: overview.columns(0, frames, 2 * COLUMNS)))
    return first, sketched, time.perf_counter() - start, drawn


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        frames = make_song(path, minutes)
        bare(path)  # from here on all of it lies in memory
        rounds = [(bare(path), *pyramid(path, frames)) for _ in range(ROUNDS)]
        reading, first, sketched, whole, drawn = (min(times) for times in zip(*rounds, strict=True))
        picture = min(timed(lambda: finish(spectrogram(path, 0, frames, COLUMNS, ROWS))) for _ in range(ROUNDS))
        average = min(timed(lambda: average_spectrum(path, 0, frames, log_frequencies(200))) for _ in range(ROUNDS))
    print(f"{minutes:g} minutes, stereo {RATE} Hz 24 bit, best of {ROUNDS}")
    rows = {
        "soundfile reads it, nothing else": reading,
        "overview: first columns of the whole": first,
        "overview: whole sketch": sketched,
        "overview: every sample": whole,
        f"spectrogram, {COLUMNS} x {ROWS}": picture,
        "average spectrum": average,
    }
    for title, seconds in rows.items():
        print(f"  {title:38} {seconds:7.3f} s {seconds / reading:6.2f} of reading it")
    print(f"  {f'{2 * COLUMNS} columns drawn meanwhile, slowest':38} {1000 * drawn:7.2f} ms")


if __name__ == "__main__":
    main()
