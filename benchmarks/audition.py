"""The player with four strips of six processors: real time while a separation runs, and how soon an edit is heard.

python -m benchmarks.audition [--minutes 10]
python -m benchmarks.audition edit [--card NAME]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import psutil
import soundfile

from benchmarks.strips import SIX_BANDS
from core.audio.formats import Block
from core.audition.player import Player
from core.audition.sinks import ClockSink, Feeder, SoundCardSink, choose_device, on_clock, plan
from core.session.document import Separation, Session, Source, Strip

RATE = 44_100
SONG_SECONDS = 120
EDITS = 20
STEMS = ("vocals", "drums", "bass", "other")


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
    strips = {name: Strip(chain=SIX_BANDS) for name in STEMS}
    return Session(source=source, separation=Separation(stems=STEMS), strips=strips), stems


def separate_on_and_on(folder: Path) -> subprocess.Popen[bytes]:
    """Separations of the song one after the other, with the niceness of the app's worker, until it is ended."""
    again = f"{sys.executable} -m tui separate {folder}/song.wav -o {folder}/out --force --quiet"
    # Linux shares the time out by session first, so the niceness of a process in one of its own counts for nothing
    step_back = "{ echo 10 > /proc/self/autogroup; } 2>/dev/null"
    command = f"{step_back}; while rm -rf {folder}/cache; do {again}; done"
    environment = {**os.environ, "UNBAKE_CACHE": str(folder / "cache")}
    return subprocess.Popen(["nice", "-n", "10", "bash", "-c", command], env=environment, start_new_session=True)


class Watched(Feeder):
    """Remembers the last blocks that were taken, and when."""

    taken: list[tuple[float, Block]]

    def take(self) -> Block:
        """As the feeder's."""
        block = super().take()
        self.taken = [*getattr(self, "taken", [])[-200:], (time.monotonic(), block)]
        return block


def edits(folder: Path, card: str | None) -> None:
    """Edits of one fader up and down, each from the call to its first and to its last different sample."""
    session, stems = session_in(folder)
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(SONG_SECONDS * RATE) / RATE).astype(np.float32)[:, None]
    soundfile.write(stems["bass"], 0.1 * np.repeat(tone, 2, axis=1), RATE, subtype="FLOAT")
    soundfile.write(session.source.path, 0.0 * np.repeat(tone, 2, axis=1), RATE, subtype="FLOAT")
    only = {name: Strip(chain=SIX_BANDS) for name in STEMS}
    for name in ("vocals", "drums", "other"):
        soundfile.write(stems[name], 0.0 * np.repeat(tone, 2, axis=1), RATE, subtype="FLOAT")
    values = [
        msgspec.structs.replace(session, strips={**only, "bass": Strip(gain_db=gain_db, chain=SIX_BANDS)})
        for gain_db in (6.0, 12.0)
    ]
    player = Player(values[0], stems)
    player.loop((0, player.info.frames))
    player.play()
    began, ended = [], []
    with Watched(player) as feeder:
        sink = ClockSink(feeder, RATE)
        if card is not None:
            sink = SoundCardSink(feeder, plan(choose_device(card), player.info), lambda: None)
        with sink:
            for number in range(EDITS):
                time.sleep(0.7 + 0.0137 * number)
                before = float(np.abs(feeder.taken[-5][1]).max())
                asked = time.monotonic()
                player.edit(values[(number + 1) % 2], stems)
                time.sleep(0.6)
                after = float(np.abs(feeder.taken[-1][1]).max())
                heard = [(at, block) for at, block in feeder.taken if at >= asked]
                # a change in the height of the tone by so much of the whole change, within one period
                for share, found in ((0.1, began), (0.95, ended)):
                    level = before + share * (after - before)
                    found.append(next(seconds - asked for seconds in _passes(heard, level, up=after > before)))
    latency = sink.latency_s
    for name, found in (("first", began), ("settled", ended)):
        figures = np.array(found) * 1000 + latency * 1000
        median, worst = np.median(figures), figures.max()
        print(f"{name}: median {median:.0f} ms, worst {worst:.0f} ms, {latency * 1000:.0f} ms of it the card's")
    player.close()


def _passes(heard: list[tuple[float, Block]], level: float, *, up: bool) -> Iterator[float]:
    """When periods of the tone come out that are higher (or lower) than a level."""
    period = RATE // 1000 + 1
    for at, block in heard:
        for start in range(0, block.shape[1] - period, period):
            peak = np.abs(block[:, start : start + period]).max()
            if (peak > level) == up:
                yield at + start / RATE


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("load", "edit"), nargs="?", default="load")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--card")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what == "edit":
            edits(folder, options.card)
            return
        player = Player(*session_in(folder))
        player.loop((0, player.info.frames))
        player.play()
        separation = separate_on_and_on(folder)
        this = psutil.Process()
        try:
            with on_clock(player) as playing:
                began, busy = time.monotonic(), sum(this.cpu_times()[:2])
                known = 0
                while (took := time.monotonic() - began) < 60 * options.minutes:
                    time.sleep(1.0)
                    if playing.late > known:
                        print(f"{playing.late - known} underruns before second {took:.0f}", flush=True)
                        known = playing.late
                busy = sum(this.cpu_times()[:2]) - busy
                print(f"{took / 60:.1f} minutes in real time: {playing.late} underruns, {busy / took:.0%} of a core")
        finally:
            os.killpg(separation.pid, 9)
            player.close()


if __name__ == "__main__":
    main()
