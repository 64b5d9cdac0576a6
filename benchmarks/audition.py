"""The player under load: real time with four strips of six processors while a separation runs.

python -m benchmarks.audition [--minutes 10]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import psutil
import soundfile

from core.audition.player import Player
from core.audition.sinks import ClockSink, Feeder
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, HighShelf, LowCut, LowShelf, Notch, StripProcessor, Tilt

RATE = 44_100
SONG_SECONDS = 120
STEMS = ("vocals", "drums", "bass", "other")
CHAIN: tuple[StripProcessor, ...] = (
    LowCut(freq_hz=30.0),
    Bell(freq_hz=250.0, gain_db=-4.0),
    Bell(freq_hz=2500.0, gain_db=2.0),
    LowShelf(freq_hz=100.0, gain_db=1.0),
    HighShelf(freq_hz=8000.0, gain_db=-1.0),
    Tilt(freq_hz=1000.0, gain_db=1.0),
    Notch(freq_hz=50.0),
)[:6]


def session_in(folder: Path) -> tuple[Session, dict[str, Path]]:
    """Two minutes of noise in four stems, every one with six processors."""
    rng = np.random.default_rng(1)
    total = np.zeros((SONG_SECONDS * RATE, 2), np.float32)
    stems = {}
    for name in STEMS:
        sound = rng.standard_normal(total.shape, np.float32) * np.float32(0.05)
        stems[name] = folder / f"{name}.wav"
        soundfile.write(stems[name], sound, RATE, subtype="FLOAT")
        total += sound
    soundfile.write(folder / "song.wav", total, RATE, subtype="FLOAT")
    source = Source(str(folder / "song.wav"), "", RATE, 2, len(total), "WAV", "FLOAT")
    strips = {name: Strip(chain=CHAIN) for name in STEMS}
    return Session(source=source, separation=Separation(stems=STEMS), strips=strips), stems


def separate_on_and_on(folder: Path) -> subprocess.Popen[bytes]:
    """Separations of the song one after the other, with the niceness of the app's worker, until it is ended."""
    again = f"{sys.executable} -m tui separate {folder}/song.wav -o {folder}/out --force --quiet"
    command = f"while rm -rf {folder}/cache; do {again}; done"
    environment = {**os.environ, "UNBAKE_CACHE": str(folder / "cache")}
    return subprocess.Popen(["nice", "-n", "10", "bash", "-c", command], env=environment, start_new_session=True)


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        player = Player(*session_in(folder))
        player.loop((0, player.info.frames))
        player.play()
        separation = separate_on_and_on(folder)
        this = psutil.Process()
        try:
            with Feeder(player) as feeder, ClockSink(feeder, RATE):
                began, busy = time.monotonic(), sum(this.cpu_times()[:2])
                while (took := time.monotonic() - began) < 60 * options.minutes:
                    time.sleep(1.0)
                busy = sum(this.cpu_times()[:2]) - busy
                print(
                    f"{took / 60:.1f} minutes in real time: {feeder.underruns} underruns, {busy / took:.0%} of a core"
                )
        finally:
            os.killpg(separation.pid, 9)
            player.close()


if __name__ == "__main__":
    main()
