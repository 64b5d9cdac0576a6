"""What the moving parts of the screen cost on the line and on the CPU: `python -m benchmarks.screen_meters`.

A Textual app runs in a pseudo-terminal of 200x50: 16 meters at 20 frames a second, then nothing for a while, then
waveforms and a playhead. The bytes are counted at the other end of the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from itertools import pairwise
from typing import Any

import numpy as np
from textual.app import App, ComposeResult
from textual.containers import Horizontal

from tui.widgets.meter import Meter
from tui.widgets.ruler import Ruler
from tui.widgets.waveform import Waveform

COLUMNS, ROWS = 200, 50
METERS = 16
FRAMES_PER_SECOND = 20
METER_SECONDS, IDLE_SECONDS = 5.0, 3.0
REDRAWS = 40
SAMPLE_RATE = 48_000
REQUIRED_KB_S = 25.0


class Levels:
    """Peak and RMS in dBFS of a band that plays two beats a second, as a meter's ballistics let them move."""

    def __init__(self, meters: int) -> None:
        self._random = np.random.default_rng(1)
        self._base_db = self._random.uniform(-26, -10, meters)
        self._peak_db = np.full(meters, -60.0)
        self._power = np.zeros(meters)
        self._frame = 0

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """The next frame: peaks fall by 20 dB a second, RMS follows within 0.3 s."""
        beat = self._frame % (FRAMES_PER_SECOND // 2)
        level_db = self._base_db - 0.8 * beat + self._random.normal(0, 1.5, len(self._base_db))
        crest_db = self._random.uniform(6, 12, len(self._base_db))
        self._peak_db = np.maximum(level_db + crest_db, self._peak_db - 20 / FRAMES_PER_SECOND)
        self._power += (10 ** (level_db / 10) - self._power) * (1 / (0.3 * FRAMES_PER_SECOND))
        self._frame += 1
        return self._peak_db, 10 * np.log10(self._power)


class Screenful(App[None]):
    """16 upright meters of 3x8, 16 lying ones of 12x1, a ruler and a waveform of 200x10."""

    CSS = """
    Horizontal { height: 8; }
    #lying { height: 1; }
    .upright { width: 3; margin-right: 1; }
    #wave { height: 10; }
    """

    def __init__(self, say: int) -> None:
        super().__init__()
        self._say = say

    def compose(self) -> ComposeResult:
        with Horizontal():
            for _ in range(METERS):
                yield Meter(vertical=True, classes="upright")
        with Horizontal(id="lying"):
            for _ in range(METERS):
                yield Meter(classes="lying")
        yield Ruler()
        yield Waveform(id="wave")

    def on_ready(self) -> None:
        self.run_worker(self.perform())

    async def perform(self) -> None:
        """One thing after the other; what was written meanwhile is counted between two of these words."""
        await asyncio.sleep(0.5)
        for kind in ("upright", "lying"):
            await self.play(kind)
            self.say("idle")
            await asyncio.sleep(IDLE_SECONDS)
        wave, ruler = self.query_one(Waveform), self.query_one(Ruler)
        random = np.random.default_rng(2)
        self.say("waveform", redraws=REDRAWS)
        started = time.process_time()
        for _ in range(REDRAWS):
            high = random.beta(2, 3, wave.wanted).astype(np.float32)
            wave.draw(-high, high)
            await asyncio.sleep(0.05)
        self.say("ruler", cpu_ms=(time.process_time() - started) * 1000)
        frames = 240 * SAMPLE_RATE
        ruler.span(0, frames, SAMPLE_RATE)
        await asyncio.sleep(0.2)
        self.say("playhead", redraws=REDRAWS)
        started = time.process_time()
        for move in range(REDRAWS):
            ruler.playhead((2 * move + 40) * frames // COLUMNS)
            await asyncio.sleep(0.05)
        self.say("end", cpu_ms=(time.process_time() - started) * 1000)
        self.exit()

    async def play(self, kind: str) -> None:
        """Drives the meters for a while."""
        levels = Levels(METERS)
        meters = list(self.query(f".{kind}").results(Meter))
        self.say(kind)
        started, cpu = time.monotonic(), time.process_time()
        for frame in range(round(METER_SECONDS * FRAMES_PER_SECOND)):
            peaks_db, rms_db = levels.step()
            for meter, peak, rms in zip(meters, peaks_db.tolist(), rms_db.tolist(), strict=True):
                meter.show(peak, rms)
            await asyncio.sleep(max(0.0, started + (frame + 1) / FRAMES_PER_SECOND - time.monotonic()))
        seconds = time.monotonic() - started
        self.say("settle", cpu_ms=(time.process_time() - cpu) * 1000, seconds=seconds)
        await asyncio.sleep(0.3)

    def say(self, word: str, **figures: float) -> None:
        """Tells the counting end what begins now; the figures are about what ended."""
        os.write(self._say, (json.dumps({"word": word, **figures}) + "\n").encode())


def count() -> list[tuple[dict[str, Any], int]]:
    """Runs the app in a terminal: what it said, each with the bytes that followed until it said the next thing."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    hear, say = os.pipe()
    environ = os.environ | {"TERM": "xterm-256color"}
    environ.pop("NO_COLOR", None)
    words = [sys.executable, "-m", "benchmarks.screen_meters", "--say", str(say)]
    app = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, pass_fds=(say,))
    os.close(theirs)
    os.close(say)
    said: list[tuple[dict[str, Any], int]] = []
    while True:
        ready, _, _ = select.select([ours, hear], [], [], 30)
        if not ready:
            app.kill()
            raise SystemExit("the app in the terminal says nothing")
        if ours in ready:
            try:
                written = len(os.read(ours, 1 << 16))
            except OSError:  # the terminal was closed
                break
            if said:
                said[-1] = (said[-1][0], said[-1][1] + written)
        elif heard := os.read(hear, 1 << 12):
            said += [(json.loads(line), 0) for line in heard.decode().splitlines()]
        else:
            break
    os.close(ours)
    app.wait()
    return said


def report(said: list[tuple[dict[str, Any], int]]) -> bool:
    """Prints the figures; whether what is required is met."""
    met = len(said) > 1
    for (what, written), (after, _) in pairwise(said):
        match what["word"]:
            case "upright" | "lying" as kind:
                kb_s = written / after["seconds"] / 1000
                cpu = after["cpu_ms"] / after["seconds"] / FRAMES_PER_SECOND
                met &= kb_s <= REQUIRED_KB_S
                print(f"{METERS} {kind} meters at {FRAMES_PER_SECOND} fps: {kb_s:5.1f} KB/s, {cpu:4.1f} ms CPU a frame")
            case "idle":
                met &= written == 0
                print(f"idle for {IDLE_SECONDS:.0f} s: {written} bytes")
            case "waveform" | "playhead" as kind:
                cpu = after["cpu_ms"] / what["redraws"]
                print(f"{kind}: {written / what['redraws']:7.0f} bytes and {cpu:4.1f} ms CPU a redraw")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--say", type=int, help=argparse.SUPPRESS)
    say = parser.parse_args().say
    if say is not None:
        Screenful(say).run()
        return 0
    met = report(count())
    print(f"required: {REQUIRED_KB_S:.0f} KB/s for the meters, 0 bytes idle: {'met' if met else 'not met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
