"""Mains hum put into clean music and speech: how near its frequency is found, how much of it goes, what music loses.

    python -m benchmarks.cleanup.dehum [--data DIR] [--seed N] [--seconds N]

Hum drifts by 0.02 Hz either way, up to 4 kHz. "hum" is how much less of it there is: half of what the same music with
the hum and with its opposite differ by, behind the step. "SDR" is the gain of the whole, which counts the music that
goes with it. "music" is the largest change, in dB, of third-octave bands of the music that are cut so as to leave out
3 Hz around every harmonic. The baseline is scipy's iirnotch, zero phase, 2.5 Hz wide, at the nominal harmonics.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from benchmarks import data_folder
from benchmarks.cleanup.declick import db, files, read
from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.dehum import Dehummer
from core.events import finish
from core.session.cleaning import Dehum

Samples = NDArray[np.float64]
CASES = ((49.98, -20, "1/n"), (60.01, -35, "buzz"), (50.02, -50, "1/n"))


class Outcome(NamedTuple):
    found: Finding
    done: Samples
    """[frames, channels]"""
    hum_left: Samples
    """[frames]"""
    speeds: tuple[float, float]


def mains(frames: int, rate: int, freq_hz: float, level_db: float, kind: str, rng: np.random.Generator) -> Samples:
    """Hum [frames]: harmonics of random phase that fall as 1/n, or buzz that falls as 1/sqrt(n), odd ones stronger."""
    time = np.arange(frames) / rate
    freqs = freq_hz + 0.02 * np.sin(2 * np.pi * time / rng.uniform(35, 70) + rng.uniform(0, 6.28))
    phase = 2 * np.pi * np.cumsum(freqs) / rate
    hum = np.zeros(frames)
    for number in range(1, int(min(4000, 0.45 * rate) / freq_hz) + 1):
        height = 1 / number if kind == "1/n" else (1.0 if number % 2 else 0.5) / np.sqrt(number)
        hum += height * np.cos(number * phase + rng.uniform(0, 6.28))
    return hum * 10 ** (level_db / 20) / np.sqrt(np.square(hum).mean())


def dehummed(sound: Samples, hum: Samples, rate: int, step: Dehum) -> Outcome:
    """The step on [frames, channels] with `hum` in all of them."""
    found, done, speeds = carried_out(sound + hum[:, None], rate, step)
    other_found, other, _ = carried_out(sound - hum[:, None], rate, step)
    if not found.found or not other_found.found:
        return Outcome(found, done, hum, speeds)
    return Outcome(found, done, 0.5 * (done - other)[:, 0], speeds)


def carried_out(sound: Samples, rate: int, step: Dehum) -> tuple[Finding, Samples, tuple[float, float]]:
    """What was found, what comes out, and how many times faster than real time finding and doing were (CPU)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        soundfile.write(path, sound, rate, subtype="DOUBLE")
        with open_reader(path) as reader:
            worker, started = Dehummer(reader, step), time.process_time()
            found = finish(worker.find())
            between = time.process_time()
            done = np.concatenate(list(worker.blocks()), axis=1).T if found.found else sound
            ended = time.process_time()
    seconds = len(sound) / rate
    return found, done, (seconds / (between - started), seconds / max(ended - between, 1e-9))


def notched(sound: Samples, rate: int, freq_hz: float) -> Samples:
    for number in range(1, int(min(4000, 0.45 * rate) / freq_hz) + 1):
        sections = signal.iirnotch(number * freq_hz, number * freq_hz / 2.5, rate)
        sound = signal.filtfilt(*sections, sound)
    return sound


def changed(clean: Samples, done: Samples, rate: int, freq_hz: float) -> float:
    """The largest change of a third-octave band beyond 3 Hz of harmonics, in dB, if over -90 dBFS."""
    size = 2 * rate
    _, before = signal.welch(clean, rate, "hann", size)
    freqs, after = signal.welch(done, rate, "hann", size)
    # half the width of the window's foot more, so that bins beside a notch don't see into it
    away = np.abs(freqs - np.rint(freqs / freq_hz) * freq_hz) > 4.0
    worst = 0.0
    for middle in 1000.0 * 2.0 ** (np.arange(-15, 13) / 3):
        band = away & (freqs > middle * 2 ** (-1 / 6)) & (freqs < middle * 2 ** (1 / 6))
        if band.any() and before[band].sum() * 0.5 > 1e-9:
            worst = max(worst, abs(db(after[band].sum() / before[band].sum())))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cleanup.dehum")
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    folder, rng = data_folder(options.data), np.random.default_rng(options.seed)
    rows: dict[tuple[object, ...], list[list[float]]] = {}
    speeds: list[tuple[float, float]] = []
    for path in files(folder):
        sound, rate = read(path)
        sound = sound[: options.seconds * rate]
        for freq_hz, level_db, kind in CASES:
            hum = mains(len(sound), rate, freq_hz, level_db, kind, rng)
            reference = notched(sound[:, 0] + hum, rate, round(freq_hz))
            lost = {"iirnotch": reference - sound[:, 0]}
            for method in ("notch", "subtract"):
                outcome = dehummed(sound, hum, rate, Dehum(method=method))
                lost[method] = outcome.done[:, 0] - sound[:, 0]
                error = abs(outcome.found.figures.get("freq_hz", np.nan) - freq_hz)
                gone = db(np.square(hum).sum() / np.square(outcome.hum_left).sum())
                gain = db(np.square(hum).sum() / np.square(lost[method]).sum())
                music = changed(sound[:, 0], outcome.done[:, 0], rate, freq_hz) if outcome.found.found else 0.0
                row = [float(outcome.found.found), 1000 * error, gone, gain, music]
                rows.setdefault((freq_hz, level_db, kind, method), []).append(row)
                if sound.shape[1] == 2 and outcome.found.found:
                    speeds.append(outcome.speeds)
                print(f"{path.parent.name}/{path.name} {freq_hz} {level_db} {method}: {outcome.found.detail}; "
                      f"hum -{gone:.1f} dB, SDR {gain:+.1f} dB, music {music:.2f} dB", flush=True)  # fmt: skip
            alone = notched(hum, rate, round(freq_hz))
            gone = db(np.square(hum).sum() / np.square(alone).sum())
            gain = db(np.square(hum).sum() / np.square(lost["iirnotch"]).sum())
            music = changed(sound[:, 0], sound[:, 0] + lost["iirnotch"] - alone, rate, freq_hz)
            rows.setdefault((freq_hz, level_db, kind, "iirnotch"), []).append([1.0, 0.0, gone, gain, music])
    print(
        "\n| Hz | dBFS | spectrum | method | found | off, mHz, worst | hum, median | worst | SDR gain | music, worst |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case, figures in rows.items():
        got = np.array(figures)
        hits = got[got[:, 0] > 0]
        print(f"| {' | '.join(map(str, case))} | {len(hits)} of {len(got)} | {hits[:, 1].max():.1f} "
              f"| -{np.median(hits[:, 2]):.1f} | -{hits[:, 2].min():.1f} | {np.median(hits[:, 3]):+.1f} "
              f"| {hits[:, 4].max():.2f} |")  # fmt: skip
    finding, doing = np.median(speeds, axis=0)
    print(f"\nstereo: finding {finding:.0f}x, removal {doing:.0f}x real time, CPU, where there is hum")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, whole files held included")


if __name__ == "__main__":
    main()
