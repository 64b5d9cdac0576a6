"""The workstation in a terminal of 200x50, as an engineer waits for it: `python -m benchmarks.screen`.

First paint against an empty Textual app, keys while a separation runs, an hour-long file that opens, and rest. Parts
can be named: `python -m benchmarks.screen first keys long`.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from benchmarks.terminal import COLUMNS, ROWS, Terminal, private

RATE = 48_000
FIRST_ROUNDS = 9
SONG_MINUTES, LONG_MINUTES = 4.0, 60.0
LONG_ROUNDS = 3
KEYS = "j,j;k,k;><+>-<>>+-"
"""Strips, gains, playhead, zoom: each of them changes the picture wherever it comes in the row."""
KEYS_SECONDS = 20.0
PAUSES_SECONDS = (0.1, 0.3)
LATE_SECONDS = 5.0
LONG_KEYS_SECONDS = 5.0
QUIET_SECONDS, IDLE_SECONDS = 3.0, 5.0
JOBS_ROW = ROWS - 2
PARTS = ("first", "keys", "long")
EMPTY = "from textual.app import App; App().run()"
UNBAKE = "import sys; from tui.__main__ import main; sys.exit(main(sys.argv[1:]))"
REQUIRED = {"first paint": 1.5, "median": 0.05, "99 %": 0.15, "long": 3.0, "idle": 0}


def words(script: str, *arguments: object) -> list[str]:
    """A program as the installed command starts it."""
    return [sys.executable, "-c", script, *map(str, arguments)]


def make_song(path: Path, minutes: float) -> None:
    """Noise under tones, stereo and 24 bit, a minute at a time."""
    rng = np.random.default_rng(1)
    time_s = np.arange(60 * RATE) / RATE
    tones = 0.2 * np.sin(2 * np.pi * 82.4 * time_s) + 0.1 * np.sin(2 * np.pi * 440 * time_s) * (time_s % 2 < 1)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_24") as out:
        for minute in range(round(minutes)):
            level = 0.3 + 0.7 * (minute % 7) / 6
            out.write(level * (tones[:, None] + 0.05 * rng.standard_normal((len(tones), 2))))


# ---- the first paint --------------------------------------------------------------------------------------------


def first_paint(folder: Path) -> bool:
    """Start of the process to the first whole screen, in turn with an empty app; whether what is required is met."""
    empty, ours, furnished = [], [], []
    for _ in range(FIRST_ROUNDS):
        with Terminal(words(EMPTY), private(folder)) as terminal:
            empty.append(terminal.until(lambda: terminal.picture.whole, "an empty app") - terminal.began)
        with Terminal(words(UNBAKE), private(folder)) as terminal:
            ours.append(terminal.until(lambda: terminal.picture.whole, "the frame") - terminal.began)
            furnished.append(terminal.until(lambda: "o opens" in terminal.picture, "the desk") - terminal.began)
    ratio = statistics.median(ours) / statistics.median(empty)
    print(f"first paint, medians of {FIRST_ROUNDS} in turn")
    print(f"  empty Textual app {statistics.median(empty) * 1000:5.0f} ms")
    print(f"  unbake            {statistics.median(ours) * 1000:5.0f} ms   {ratio:.2f} of it")
    print(f"  the whole desk    {statistics.median(furnished) * 1000:5.0f} ms")
    return ratio <= REQUIRED["first paint"]


# ---- keys while a separation runs -------------------------------------------------------------------------------


class Latency(NamedTuple):
    """Seconds from a key to the first change that it makes on the screen, and to the last."""

    first: float
    last: float


def keys(folder: Path, seconds: float) -> bool:
    """Keys while the worker separates with the starter; whether what is required is met."""
    song = folder / "song.wav"
    make_song(song, SONG_MINUTES)
    with Terminal(words(UNBAKE, song), private(folder)) as terminal:
        terminal.until(lambda: "identical" in terminal.picture, "the session")
        terminal.settle()
        at_rest = list(press(terminal, seconds / 2))
        terminal.type("S")
        terminal.until(lambda: "starter" in terminal.picture and "Enter" in terminal.picture, "the form")
        terminal.type("\r")
        terminal.until(lambda: "separating" in terminal.picture.text(JOBS_ROW), "the separation")
        separating = list(press(terminal, seconds))
        if "Esc stops" not in terminal.picture.text(JOBS_ROW):
            raise SystemExit(f"the separation ended before the keys did:\n{terminal.shown()}")
    print(f"{len(separating)} keys, ms from the key to the first and to the last change on the screen")
    for title, found in (("at rest", at_rest), ("separating", separating)):
        first, last = (1000 * np.array([getattr(each, end) for each in found]) for end in Latency._fields)
        print(f"  {title:10}  first {spread(first)}   last {spread(last)}")
    last = np.array([each.last for each in separating])
    return bool(np.median(last) <= REQUIRED["median"] and np.percentile(last, 99) <= REQUIRED["99 %"])


def but_jobs(terminal: Terminal) -> str:
    """What a key may change, and nothing that changes by itself."""
    return "\n".join(terminal.picture.looks(row) for row in range(ROWS) if row != JOBS_ROW)


def press(
    terminal: Terminal, seconds: float, keys: str = KEYS, part: Callable[[Terminal], str] = but_jobs
) -> Iterator[Latency]:
    """Presses keys for a while and gives how long after each a part of the screen looked different."""
    rng = random.Random(1)
    end = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < end:
        pressed = terminal.type(keys[number % len(keys)])
        seen = [at - pressed for at in changes(terminal, pressed + rng.uniform(*PAUSES_SECONDS), part)]
        if not seen:  # later than the next key would come
            seen = [next(changes(terminal, pressed + LATE_SECONDS, part), pressed + LATE_SECONDS) - pressed]
        yield Latency(seen[0], seen[-1])
        number += 1


def changes(terminal: Terminal, until: float, part: Callable[[Terminal], str]) -> Iterator[float]:
    """When a part of the screen changed, up to a time."""
    before = part(terminal)
    while (left := until - time.perf_counter()) > 0:
        at, rows = terminal.read(left)
        if rows and (now := part(terminal)) != before:
            before = now
            yield at


def spread(values: np.ndarray) -> str:
    """Median, 99th percentile and maximum."""
    return f"median {np.median(values):5.1f}  p99 {np.percentile(values, 99):5.1f}  most {values.max():5.1f}"


# ---- an hour opens ----------------------------------------------------------------------------------------------


class Opening(NamedTuple):
    """Seconds from the start of the process, and what was written until all was read, and at rest after it."""

    overview: float
    key: float
    session: float
    read: float
    redraws: int
    bytes: int
    idle_bytes: int


def long_file(folder: Path) -> bool:
    """An hour, with and without --low-bandwidth, then rest; whether what is required is met."""
    song = folder / "hour.wav"
    make_song(song, LONG_MINUTES)
    met = True
    for options in ((), ("--low-bandwidth",)):
        rounds = [open_long(folder, song, *options) for _ in range(LONG_ROUNDS)]
        best = Opening(*(min(values) for values in zip(*rounds, strict=True)))
        most_idle = max(each.idle_bytes for each in rounds)
        print(f"{LONG_MINUTES:.0f} minutes, stereo {RATE} Hz 24 bit{' '.join(('', *options))}, best of {LONG_ROUNDS}")
        print(f"  overview drawn {best.overview:.2f} s, a key answered {best.key:.2f} s, session {best.session:.2f} s")
        print(f"  sharpened {best.redraws} times until {best.read:.1f} s, {best.bytes / 1000:.0f} KB written")
        print(f"  then {most_idle} bytes in {IDLE_SECONDS:.0f} s")
        met &= max(best.overview, best.key) <= REQUIRED["long"] and most_idle <= REQUIRED["idle"]
    with Terminal(words(UNBAKE, song), private(folder)) as terminal:
        terminal.until(lambda: waveform(terminal) is not None, "the overview")
        busy = 1000 * np.array([each.first for each in press(terminal, LONG_KEYS_SECONDS, ">", ruler)])
    print(f"{len(busy)} keys while it is read on, ms from the key to the ruler's change: {spread(busy)}")
    return met


def open_long(folder: Path, song: Path, *options: str) -> Opening:
    """Opens a file whose session was never saved, presses a key as soon as there is something to see, and waits."""
    with Terminal(words(UNBAKE, song, *options), private(folder)) as terminal:
        overview = terminal.until(lambda: waveform(terminal) is not None, "the overview") - terminal.began
        middle = waveform(terminal) or 0
        terminal.type(">")
        key = terminal.until(lambda: "0:05" in ruler(terminal), "a key") - terminal.began
        session = read = 0.0
        redraws = 0
        last = time.perf_counter()
        while time.perf_counter() < last + QUIET_SECONDS or not ended(terminal):
            before = terminal.bytes
            at, changed = terminal.read(0.5)
            if terminal.bytes != before:
                last = at
            if not session and "identical" in terminal.picture:
                session = at - terminal.began
            if any(abs(row - middle) < 3 for row in changed):
                redraws, read = redraws + 1, at - terminal.began
        size = terminal.bytes
        terminal.settle(IDLE_SECONDS)
        return Opening(overview, key, session, read, redraws, size, terminal.bytes - size)


def waveform(terminal: Terminal) -> int | None:
    """The first row that a waveform fills, braille from side to side."""
    dots = [sum("⠀" < glyph <= "⣿" for glyph in terminal.picture.text(row)) for row in range(ROWS)]
    return next((row for row, count in enumerate(dots) if count > 0.9 * COLUMNS), None)


def ruler(terminal: Terminal) -> str:
    """The row of the playhead."""
    row = terminal.picture.row_of("▼")
    return "" if row is None else terminal.picture.text(row)


def ended(terminal: Terminal) -> bool:
    """Whether session and figures are there."""
    return "identical" in terminal.picture and "LUFS" in terminal.picture


def main() -> int:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", choices=PARTS, help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=KEYS_SECONDS, help="how long keys are pressed")
    options = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in options.parts or PARTS:
            print(f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)", flush=True)
            if part == "first":
                met &= first_paint(folder)
            elif part == "keys":
                met &= keys(folder, options.seconds)
            else:
                met &= long_file(folder)
    keys_ms = f"{REQUIRED['median'] * 1000:.0f} ms (median) and {REQUIRED['99 %'] * 1000:.0f} ms (p99)"
    print(
        f"required: first paint {REQUIRED['first paint']}, keys {keys_ms}, an hour {REQUIRED['long']:.0f} s, "
        f"0 bytes at rest: {'met' if met else 'not met'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
