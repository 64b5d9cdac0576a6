"""How much of a known reflection is taken out: `python -m benchmarks.cleanup.deecho [--data DIR] [--seed N]`.

To clean music and speech one reflection is added, of either sign, its delay between frames. Reduction is the
energy of damaged - clean over that of cleaned - clean, in dB. The crest is that of the loudest fifty milliseconds
around the strongest attacks (peak over RMS, the median of twenty), in dB off the clean one. `known` is what an inverse
comb with the true delay in whole frames and the true gain reaches: what a plug-in with two knobs does.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import fft, signal

from benchmarks import data_folder
from core.audio.read import open_reader, read_all
from core.cleanup.cleaner import Finding
from core.cleanup.deecho import Deechoer
from core.events import finish
from core.session.cleaning import Deecho

Samples = NDArray[np.float64]
CASES = ((11.3, -6.0, 1), (23.71, -9.0, -1), (37.0, -12.0, 1), (52.46, -6.0, -1), (79.2, -12.0, -1))
"""Delay in ms, level in dB, sign."""
MOST_SECONDS = 60.0


def material(data: Path) -> list[Path]:
    """Clean files, of every kind."""
    found = [
        *sorted((data / "multitracks").glob("*/[dmvo]*.flac")),
        *sorted((data / "speech").glob("*clean*")),
        *sorted((data / "speech").glob("*.ogg")),
        *sorted((data / "masters").glob("*")),
        *sorted((data / "mixes").glob("*")),
    ]
    return [path for path in found if path.suffix in (".flac", ".ogg", ".mp3")]


def delayed(sound: Samples, frames: float) -> Samples:
    """A delay that is not whole, by its phase: float64 [channels, frames]."""
    size = int(fft.next_fast_len(sound.shape[1] + int(frames) + 4096, True) or 0)
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size * frames)
    return np.fft.irfft(np.fft.rfft(sound, size) * turn, size)[:, : sound.shape[1]]


def crest_db(sound: Samples, places: list[int], rate: int) -> float:
    half = round(0.025 * rate)
    parts = [sound[:, max(0, at - half) : at + half] for at in places]
    return float(np.median([20 * np.log10(np.abs(p).max() / np.sqrt(np.mean(p**2) + 1e-30) + 1e-30) for p in parts]))


def attacks(sound: Samples, rate: int) -> list[int]:
    """The twenty strongest, a fifth of a second apart."""
    energy = signal.lfilter([1.0], [1.0, -0.999], np.sum(np.diff(sound, prepend=0.0) ** 2, axis=0))
    found, _ = signal.find_peaks(energy, distance=max(1, rate // 5))
    return sorted(found[np.argsort(-energy[found])][:20].tolist()) or [sound.shape[1] // 2]


def cleaned(path: Path, step: Deecho) -> tuple[Finding, Samples, float, float]:
    """What was found, the sound, and the CPU seconds that finding and cleaning took."""
    with open_reader(path) as reader:
        started = time.process_time()
        cleaner = Deechoer(reader, step)
        finding = finish(cleaner.find())
        middle = time.process_time()
        sound = np.concatenate(list(cleaner.blocks()), axis=1) if finding.found else read_all(path)
        return finding, sound, middle - started, time.process_time() - middle


def reduction_db(clean: Samples, damaged: Samples, output: Samples) -> float:
    return float(10 * np.log10(np.sum((damaged - clean) ** 2) / (np.sum((output - clean) ** 2) + 1e-30)))


def known_db(clean: Samples, damaged: Samples, frames: float, gain: float) -> float:
    comb = np.zeros(round(frames) + 1)
    comb[0], comb[-1] = 1.0, gain
    return reduction_db(clean, damaged, np.asarray(signal.lfilter([1.0], comb, damaged)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="0 takes the fixed cases, others draw their own")
    parser.add_argument("--every", type=int, default=1, help="only every so many files")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    rows, claims, spent, heard = [], [], 0.0, 0.0
    files = material(data_folder(options.data))[:: options.every]
    with tempfile.TemporaryDirectory() as name:
        for number, path in enumerate(files):
            read, rate = soundfile.read(path, always_2d=True)
            sound: Samples = 0.5 * np.asarray(read.T, np.float64)[:, : round(MOST_SECONDS * rate)]
            if np.sqrt(np.mean(sound**2)) < 1e-4:
                continue
            clean_path = Path(name) / "clean.wav"
            soundfile.write(clean_path, sound.T, rate, subtype="PCM_24")
            finding, _, find_s, _ = cleaned(clean_path, Deecho())
            claims.append(finding.confidence if finding.found else 0.0)
            label = f"{path.parent.name}/{path.stem}"[-34:]
            delay_ms, level_db, sign = CASES[number % len(CASES)]
            if options.seed:
                delay_ms, level_db = rng.uniform(10, 80), rng.uniform(-12, -6)
                sign = int(rng.choice([-1, 1]))
            gain, frames = sign * 10 ** (level_db / 20), delay_ms * rate / 1000
            damaged = sound + gain * delayed(sound, frames)
            soundfile.write(Path(name) / "damaged.wav", damaged.T, rate, subtype="PCM_24")
            finding, output, find_s, clean_s = cleaned(Path(name) / "damaged.wav", Deecho())
            spent, heard = spent + find_s, heard + sound.shape[1] / rate
            places = attacks(sound, rate)
            crests = [crest_db(each, places, rate) for each in (sound, damaged, output)]
            got = reduction_db(sound, damaged, output)
            rows.append((got, crests[2] - crests[0], finding.confidence, known_db(sound, damaged, frames, gain)))
            speeds = [sound.shape[1] / rate / max(each, 1e-3) for each in (find_s, clean_s)]
            print(
                f"{label:34} {delay_ms:6.2f} ms {level_db:5.1f} {sign:+d}  {got:6.1f} dB (known {rows[-1][3]:5.1f})"
                f"  crest {crests[0]:5.1f} {crests[1]:5.1f} {crests[2]:5.1f}  {finding.confidence:.2f} {finding.detail}"
                f"  [find {speeds[0]:.0f}x, clean {speeds[1]:.0f}x]",
                flush=True,
            )
    table, clean_claims = np.array(rows), np.array(claims)
    got = table[:, 0]
    print(f"\nreduction: mean {got.mean():.1f} dB, median {np.median(got):.1f}, worst {got.min():.1f}")
    print(
        f"  8 dB or more: {np.sum(got >= 8)} of {len(got)}; known delay in whole frames: mean {table[:, 3].mean():.1f}"
    )
    print(f"crest within 1 dB of the clean one: {np.sum(np.abs(table[:, 1]) <= 1)} of {len(table)}")
    print(f"proposed (0.8 or more): {np.sum(table[:, 2] >= 0.8)} damaged, {np.sum(clean_claims >= 0.8)} clean")
    print(f"found in {np.sum(clean_claims > 0)} clean files of {len(claims)}")
    print(f"finding takes {heard / spent:.0f}x real time (CPU)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MiB, with the sounds under test")


if __name__ == "__main__":
    main()
