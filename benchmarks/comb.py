"""How often the comb detector is wrong on real music: `python -m benchmarks.comb [--data DIR]`.

Ten-second excerpts of every recording are treated as masters are, without a comb in it (false alarms), and with a
delayed copy added before such a treatment (finds).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from benchmarks import data_folder
from core.measure.comparison import Comparison

SECONDS = 10
EXCERPTS = 12
COPIES = ((0.05, 1.0), (0.1, 5.3), (0.3, 12.0), (0.1, 25.0), (-0.2, 0.6))
"""How loud a copy is, and how many milliseconds later."""
Samples = NDArray[np.float64]


def bell(x: Samples, rate: int, freq_hz: float, gain_db: float, q: float) -> Samples:
    amplitude, omega = 10 ** (gain_db / 40), 2 * np.pi * freq_hz / rate
    alpha = np.sin(omega) / (2 * q)
    b = [1 + alpha * amplitude, -2 * np.cos(omega), 1 - alpha * amplitude]
    a = [1 + alpha / amplitude, -2 * np.cos(omega), 1 - alpha / amplitude]
    return np.asarray(sosfilt(np.array([[*b, *a]]) / a[0], x))


def equalised(x: Samples, rate: int, dice: random.Random) -> Samples:
    for _ in range(5):
        x = bell(x, rate, 10 ** dice.uniform(1.6, 4.1), dice.uniform(-9, 9), 10 ** dice.uniform(-0.3, 1))
    return x


def notched(x: Samples, rate: int, dice: random.Random) -> Samples:
    return bell(bell(x, rate, dice.uniform(50, 5000), -24, 20), rate, dice.uniform(50, 5000), -24, 20)


def cut_off(x: Samples, rate: int, dice: random.Random) -> Samples:
    highest = min(15_000.0, 0.45 * rate)
    return np.asarray(sosfilt(butter(4, dice.uniform(highest / 4, highest), fs=rate, output="sos"), x))


def compressed(x: Samples, rate: int, dice: random.Random) -> Samples:
    level = np.asarray(sosfilt(butter(1, dice.uniform(5, 20), fs=rate, output="sos"), np.abs(x).max(axis=0)))
    return 0.3 * x * np.maximum(level, 0.05) ** -0.5


def noisy(x: Samples, _: int, dice: random.Random) -> Samples:
    noise = np.random.default_rng(dice.getrandbits(32)).standard_normal(x.shape)
    return x + noise * x.std() * 0.1


TREATMENTS: dict[str, Callable[[Samples, int, random.Random], Samples]] = {
    "half as loud": lambda x, _, __: 0.5 * x,
    "9 bit": lambda x, _, __: np.round(x * 256) / 256,
    "five bells": equalised,
    "two notches": notched,
    "cut off": cut_off,
    "noise, 20 dB": noisy,
    "compressed": compressed,
    "clipped by 12 dB": lambda x, _, __: np.clip(4 * x, -0.5, 0.5),
}


def found(a: Samples, b: Samples, rate: int) -> tuple[bool, float | None]:
    window = 2 * rate
    with Comparison(rate, ("L", "R")[: len(a)] if len(a) > 1 else ("M",), a.shape[1]) as comparison:
        for start in range(0, a.shape[1], window):
            comparison.push(*(np.ascontiguousarray(x[:, start : start + window]) for x in (a, b)))
        comb = comparison.figures().comb
    return comb.found, comb.delay_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with recordings (default: UNBAKE_TEST_DATA, ../shared/data)")
    data = data_folder(parser.parse_args().data)
    patterns = ("masters/*.flac", "mixes/*.ogg", "multitracks/*/mixture.flac", "speech/*clean*")
    recordings = [path for pattern in patterns for path in sorted(data.glob(pattern))]
    if not recordings:
        raise SystemExit(f"no music in {data}: give --data")
    dice = random.Random(1)
    alarms: dict[str, list[bool]] = {name: [] for name in TREATMENTS}
    finds: dict[str, list[bool]] = {}
    for path in recordings:
        read, rate = soundfile.read(path, always_2d=True)
        samples = np.asarray(read, np.float64)
        for start in list(range(0, max(1, len(samples) - SECONDS * rate), SECONDS * rate))[:EXCERPTS]:
            x = np.ascontiguousarray(samples[start : start + SECONDS * rate].T)
            if x.std() < 1e-4:
                continue
            for name, treat in TREATMENTS.items():
                alarms[name].append(found(x, treat(x, rate, dice), rate)[0])
            for gain, delay_ms in COPIES:
                delay = round(delay_ms * rate / 1e3)
                combed = x.copy()
                combed[:, delay:] += gain * x[:, :-delay]
                for name in ("half as loud", "five bells"):
                    told, at_ms = found(x, TREATMENTS[name](combed, rate, dice), rate)
                    right = told and at_ms is not None and abs(at_ms - delay_ms) < 0.1
                    finds.setdefault(f"{gain:+.2f} after {delay_ms:g} ms, {name}", []).append(right)
    for title, table in (("false alarms", alarms), ("combs found", finds)):
        total = [each for several in table.values() for each in several]
        print(f"{title}: {sum(total)} of {len(total)} ({100 * np.mean(total):.2f}%)")
        for name, several in table.items():
            print(f"  {name:40} {sum(several):4} of {len(several)}")


if __name__ == "__main__":
    main()
