"""What denoising gives back: `python -m benchmarks.cleanup.denoise [--data DIR] [--seconds 20] [--seed 1] [--peers]`.

White noise, pink noise, hiss (12 dB more above 8 kHz than below 2 kHz), room tone (12 dB per octave down from 300 Hz)
and a recording of wind are added to clean music and speech. The gain is the SDR of the outcome against the clean sound,
over the whole excerpt, less that of the noisy one. `*` says that nothing was found; what is not found is not changed.
Musical noise is the logarithm of the ratio of the kurtosis of powers, after to before, where nothing but noise sounds
(Y. Uemura et al., IWAENC 2008). `--only gains|known|clean|music|cost` runs one part. `--peers` also runs the package
noisereduce, where it is installed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from benchmarks import data_folder
from benchmarks.repair import sdr_db
from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.denoise.denoiser import Denoiser
from core.cleanup.denoise.profile import learnt_from
from core.cleanup.denoise.suppress import suppressed
from core.events import finish
from core.session.cleaning import Denoise

Samples = NDArray[np.float64]
KINDS = ("white", "pink", "hiss", "room", "wind")
SNRS_DB = (10.0, 15.0, 25.0, 40.0, 60.0)
WIND = "speech/dfn_noise_freesound_573577.flac"
NOT_CLEAN = ("dfn_noise_freesound_573577", "dfn_noisy_snr0")


def sounds(folder: Path) -> dict[str, Path]:
    """All that is clean, by name."""
    found = {path.parent.name: path for path in sorted(folder.glob("multitracks/*/mixture.flac"))}
    for room in ("masters", "mixes", "speech"):
        found |= {path.stem: path for path in sorted((folder / room).iterdir()) if path.stem not in NOT_CLEAN}
    return found


def excerpt(path: Path, seconds: float) -> tuple[Samples, int]:
    """The first seconds of a file, [channels, frames], and its rate."""
    with soundfile.SoundFile(path) as file:
        sound = file.read(round(seconds * file.samplerate), always_2d=True)
        return np.ascontiguousarray(sound.T, dtype=np.float64), file.samplerate


def noise(kind: str, like: Samples, rate: int, snr_db: float, seed: int, folder: Path) -> Samples:
    """Noise as long as a sound and so far under it, other noise in each channel."""
    rng = np.random.default_rng(seed)
    if kind == "wind":
        made = wind(like, rate, folder, seed)
    else:
        freqs_hz = np.fft.rfftfreq(like.shape[1], 1 / rate)
        course = {
            "white": np.ones_like(freqs_hz),
            "pink": np.maximum(freqs_hz, 20.0) ** -0.5,
            "hiss": np.sqrt((1 + (freqs_hz / 2000) ** 2) / (1 + (freqs_hz / 8000) ** 2)),
            "room": 1 / (1 + (freqs_hz / 300) ** 2) + 10 ** (-45 / 20),
        }[kind]
        made = np.fft.irfft(np.fft.rfft(rng.standard_normal(like.shape)) * course, like.shape[1])
    return made * np.sqrt(np.mean(like**2) / np.mean(made**2)) * 10.0 ** (-snr_db / 20.0)


def wind(like: Samples, rate: int, folder: Path, seed: int) -> Samples:
    """The recording, repeated, from another place in each channel."""
    recorded, at_rate = soundfile.read(folder / WIND)
    recorded = signal.resample_poly(recorded, rate, at_rate)
    repeated = np.tile(recorded, like.shape[1] // len(recorded) + 3)
    starts = (np.arange(len(like)) * 0.37 + 0.13 * seed) % 1.0
    return np.stack([repeated[round(start * len(recorded)) :][: like.shape[1]] for start in starts])


def cleaned(sound: Samples, rate: int, step: Denoise | None = None) -> tuple[Finding, Samples, tuple[float, float]]:
    """What was found, what it became, and the CPU seconds of finding and of cleaning."""
    with tempfile.TemporaryDirectory() as room:
        path = Path(room) / "sound.wav"
        soundfile.write(path, sound.T, rate, subtype="DOUBLE")
        with open_reader(path) as reader:
            denoiser = Denoiser(reader, step or Denoise())
            started = time.process_time()
            found = finish(denoiser.find())
            between = time.process_time()
            out = np.concatenate(list(denoiser.blocks()), axis=1) if found.found else sound
            return found, out, (between - started, time.process_time() - between)


def gains(folder: Path, options: argparse.Namespace) -> None:
    """SDR gain of each kind of noise at each level, the noise found blindly."""
    table(folder, options, lambda noisy, _added, rate: tuple(cleaned(noisy, rate)[:2]))


def known(folder: Path, options: argparse.Namespace) -> None:
    """The same where the noise alone is heard in a stretch that is named: what the suppression can do."""

    def way(noisy: Samples, added: Samples, rate: int) -> tuple[Finding, Samples]:
        with tempfile.TemporaryDirectory() as room:
            paths = [Path(room) / f"{name}.wav" for name in ("noise", "noisy")]
            for path, sound in zip(paths, (added, noisy), strict=True):
                soundfile.write(path, sound.T, rate, subtype="DOUBLE")
            with open_reader(paths[0]) as alone, open_reader(paths[1]) as reader:
                learnt = finish(learnt_from(alone, 0, alone.info.frames))
                parts = suppressed(reader, learnt.power, middle=learnt.middle, reduction_db=Denoise().reduction_db)
                return Finding(type="denoise", found=True, confidence=1.0, detail=""), np.concatenate(list(parts), 1)

    table(folder, options, way)


def table(folder: Path, options: argparse.Namespace, way: Any) -> None:
    cases = [(kind, snr_db) for kind in KINDS for snr_db in SNRS_DB]
    print(f"{'gain of SDR, dB':24}" + "".join(f"{kind:>6}{snr_db:3.0f}" for kind, snr_db in cases))
    rows, hit = [], []
    for name, path in sounds(folder).items():
        clean, rate = excerpt(path, options.seconds)
        row, found = [], []
        for number, (kind, snr_db) in enumerate(cases):
            added = noise(kind, clean, rate, snr_db, options.seed + number, folder)
            finding, out = way(clean + added, added, rate)
            row.append(sdr_db(clean, out) - sdr_db(clean, clean + added))
            found.append(finding.found)
        rows.append(row)
        hit.append(found)
        told = (f"{gain:8.2f}{' ' if yes else '*'}" for gain, yes in zip(row, found, strict=True))
        print(f"{name[:24]:24}" + "".join(told), flush=True)
    everything = np.array(rows)
    for title, figures in (("mean", everything.mean(axis=0)), ("worst", everything.min(axis=0))):
        print(f"{title:24}" + "".join(f"{figure:8.2f} " for figure in figures))
    wanted = np.array([[{10.0: 6.0, 25.0: 1.5}.get(snr_db, -0.1) for _, snr_db in cases]])
    reached = (everything >= wanted).sum(axis=0)
    print(f"{'reach 6 / 1.5 / -0.1':24}" + "".join(f"{one:5d}/{len(rows):<3d}" for one in reached))
    print(f"{'found in':24}" + "".join(f"{one:8d} " for one in np.sum(hit, axis=0)))


def clean_files(folder: Path, _options: argparse.Namespace) -> None:
    """What is said of every file as it is, whole."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".flac", ".ogg", ".mp3")]
    for path in paths:
        with open_reader(path) as reader:
            started = time.process_time()
            found = finish(Denoiser(reader, Denoise()).find())
            speed = reader.info.seconds / (time.process_time() - started)
        told = "FOUND" if found.found else "-"
        print(f"{path.relative_to(folder)!s:48} {told:6}{found.confidence:5.2f}  {found.detail}  ({speed:.0f}x)")


def kurtosis(sound: Samples) -> float:
    """Of the powers of noise: fourth moment over the square of the second, in windows of 1024."""
    parts = np.lib.stride_tricks.sliding_window_view(sound, 1024)[::1024]
    power = np.abs(np.fft.rfft(parts * np.hanning(1024))[:, 5:-5]) ** 2
    return float(np.mean(power**4) / np.mean(power**2) ** 2)


def music(folder: Path, options: argparse.Namespace) -> None:
    """Musical noise: what is left where nothing but noise sounds, ahead of music."""
    clean, rate = excerpt(sounds(folder)["eif-lithium"], 10.0)
    clean = np.concatenate([np.zeros((2, 10 * rate)), clean], axis=1)
    inside = slice(rate, 9 * rate)
    for kind in KINDS[:4]:
        for reduction_db in (10.0, 20.0, 40.0):
            noisy = clean + noise(kind, clean, rate, 15.0, options.seed, folder)
            _, out, _ = cleaned(noisy, rate, Denoise(reduction_db=reduction_db))
            ratio = np.log(kurtosis(out[0, inside]) / kurtosis(noisy[0, inside]))
            down = 10 * np.log10(np.mean(noisy[:, inside] ** 2) / np.mean(out[:, inside] ** 2))
            print(f"{kind:8} reduction {reduction_db:4.0f} dB: {down:6.2f} dB down, log kurtosis ratio {ratio:6.3f}")


def peers(folder: Path, options: argparse.Namespace) -> None:
    """The package noisereduce on the same noise, stationary and not, without and with the noise alone for a profile."""
    try:
        import noisereduce  # pyright: ignore[reportMissingImports]
    except ImportError:
        print("noisereduce is not installed here")
        return
    print(f"{'SDR, dB':24}{'case':>10}{'noisy':>8}{'ours':>8}{'theirs':>8}{'steady':>8}{'told':>8}")
    for name, path in sounds(folder).items():
        clean, rate = excerpt(path, options.seconds)
        for kind, snr_db in (("white", 25.0), ("white", 10.0), ("hiss", 25.0)):
            added = noise(kind, clean, rate, snr_db, options.seed, folder)
            noisy = clean + added
            theirs = [
                noisereduce.reduce_noise(y=noisy, sr=rate),
                noisereduce.reduce_noise(y=noisy, sr=rate, stationary=True),
                noisereduce.reduce_noise(y=noisy, sr=rate, stationary=True, y_noise=added),
            ]
            figures = [sdr_db(clean, each) for each in (noisy, cleaned(noisy, rate)[1], *theirs)]
            told = "".join(f"{figure:8.2f}" for figure in figures)
            print(f"{name[:24]:24}{kind:>7}{snr_db:3.0f}" + told, flush=True)


def cost(folder: Path, _options: argparse.Namespace) -> None:
    """Seconds of stereo sound per second of CPU time, and peak memory by length, each in a process of its own."""
    clean, rate = excerpt(sounds(folder)["Joshua_Morin_-_On_the_run"], 30.0)
    noisy = clean + noise("white", clean, rate, 25.0, 1, folder)
    with tempfile.TemporaryDirectory() as room:
        for minutes in (1, 1, 10):
            path = Path(room) / "long.wav"
            with soundfile.SoundFile(path, "w", rate, 2, "PCM_24") as file:
                for _ in range(2 * minutes):
                    file.write(noisy.T)
            command = [sys.executable, "-m", "benchmarks.cleanup.denoise", "--child", str(path)]
            print(f"{minutes:3d} minutes: {subprocess.run(command, check=True, capture_output=True, text=True).stdout}")


def child(path: Path) -> None:
    """Finds and cleans a file, and says what it took; blocks are let go as they come."""
    with open_reader(path) as reader:
        denoiser, seconds = Denoiser(reader, Denoise()), reader.info.seconds
        started = time.process_time()
        finish(denoiser.find())
        between = time.process_time()
        frames = sum(block.shape[1] for block in denoiser.blocks())
        ended = time.process_time()
        assert frames == reader.info.frames
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"found at {seconds / (between - started):.0f}x, cleaned at {seconds / (ended - between):.0f}x real time, "
        f"peak memory {memory:.0f} MB",
        end="",
    )


PARTS = {"gains": gains, "known": known, "clean": clean_files, "music": music, "cost": cost}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    folder = data_folder(options.data)
    for name, part in PARTS.items():
        if not options.peers and options.only in (None, name):
            print(f"\n{(part.__doc__ or '').strip()}")
            part(folder, options)
    if options.peers:
        peers(folder, options)


if __name__ == "__main__":
    main()
