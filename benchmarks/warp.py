"""What warping costs and how it sounds, against Rubber Band's command in the same run: `python -m benchmarks.warp`.

`--only cost|memory|sharp|tones|image|null` runs one part. Needs the `rubberband` command for the comparison.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from benchmarks import data_folder
from core.events import finish
from core.session.timemap import TimeMap, WarpMode
from core.warp.engines.course import Attacks, no_attacks
from core.warp.engines.modes import PLAIN, warper_of
from core.warp.engines.rubberband import rubberband
from core.warp.rhythm.attacks import attacks_of

Samples = NDArray[np.float64]
FACTORS = (0.9, 1.07, 1.12)
SECONDS = 12
CHORDS = {
    "440 Hz": (440.0,),
    "110, 165, 220 Hz": (110.0, 164.8, 220.0),
    "A major at 220 Hz": (220.0, 277.18, 329.63),
    "octaves 440 Hz to 7 kHz": (440.0, 880.0, 1760.0, 3520.0, 7040.0),
}


class Array:
    """Samples [channels, frames] as a sound."""

    def __init__(self, samples: Samples) -> None:
        self._samples, self._at, self.channels = samples, 0, len(samples)

    def read(self, frames: int) -> Samples:
        block = self._samples[:, self._at : self._at + frames]
        self._at += frames
        return np.pad(block, ((0, 0), (0, frames - block.shape[1])))


def stretched(frames: int, factor: float) -> TimeMap:
    return TimeMap(((0, 0), (frames, round(frames * factor))))


def warped(
    sounds: Sequence[Samples],
    factor: float,
    rate: int,
    mode: WarpMode = "linked",
    attacks: Attacks | None = None,
    guide: Samples | None = None,
) -> list[Samples]:
    frames = sounds[0].shape[1]
    heard = Array(sounds[0] if guide is None else guide)
    warper = finish(
        warper_of(
            mode, heard, [Array(each) for each in sounds], stretched(frames, factor), frames, rate,
            no_attacks() if attacks is None else attacks, PLAIN,
        )
    )  # fmt: skip
    blocks = [warper.read(min(65_536, warper.frames - start)) for start in range(0, warper.frames, 65_536)]
    return [np.concatenate(each, axis=1) for each in zip(*blocks, strict=True)]


def banded(sound: Samples, factor: float, rate: int, engine: str = "r3") -> Samples:
    frames = sound.shape[1]
    made = finish(rubberband([Array(sound)], stretched(frames, factor), frames, rate, engine=engine))  # type: ignore[arg-type]
    with made:
        return made.read(made.frames)[0]


def excerpts(folder: Path) -> dict[str, Path]:
    found = {path.name: path / "mixture.flac" for path in sorted((folder / "multitracks").iterdir()) if path.is_dir()}
    return found | {path.stem: path for path in sorted((folder / "masters").glob("*.flac"))}


def excerpt(path: Path) -> tuple[Samples, int]:
    """The first seconds of a file, [channels, frames], and its rate."""
    sound, rate = soundfile.read(path, always_2d=True, frames=SECONDS * 44_100)
    return np.ascontiguousarray(sound.T, dtype=np.float64), rate


def onset_envelope(sound: Samples, rate: int) -> tuple[Samples, int]:
    """How much the log spectrum of 12 ms rises, every 3 ms."""
    hop, size = 128, 512
    _, _, spectra = signal.stft(sound, rate, nperseg=size, noverlap=size - hop)
    level = np.log10((np.abs(spectra) ** 2).sum(axis=0) + 1e-9)
    return np.concatenate([[0.0], np.maximum(0.0, np.diff(level, axis=1)).sum(axis=0)]), hop


def crests(envelope: Samples, hop: int, at: NDArray[Any], rate: int) -> Samples:
    """Peak over mean of the envelope in the 100 ms around each onset."""
    reach = round(0.05 * rate / hop)
    found = []
    for place in np.rint(at / hop).astype(int):
        around = envelope[max(0, place - reach) : place + reach]
        near = envelope[max(0, place - 8) : place + 9]
        found.append(near.max() / around.mean() if len(around) == 2 * reach and around.mean() > 0.0 else np.nan)
    return np.asarray(found)


def sharp(folder: Path) -> None:
    print("| recording | onsets | factor | linked | Rubber Band R3 |\n|---|---|---|---|---|")
    everything: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as room:
        for name, path in excerpts(folder).items():
            (sound, rate), place = excerpt(path), Path(room) / f"{name}.wav"
            soundfile.write(place, sound.T, rate, subtype="DOUBLE")
            attacks = finish(attacks_of(place))
            if len(attacks[0]) < 10:
                continue
            before = crests(*onset_envelope(sound, rate), attacks[0], rate)
            for factor in FACTORS:
                row = []
                for made in (warped([sound], factor, rate, attacks=attacks)[0], banded(sound, factor, rate)):
                    after = crests(*onset_envelope(made, rate), attacks[0] * factor, rate)
                    both = ~np.isnan(before) & ~np.isnan(after)
                    row.append(float(after[both].mean() / before[both].mean()))
                everything.append((row[0], row[1]))
                print(f"| {name} | {len(attacks[0])} | {factor} | {row[0]:.3f} | {row[1]:.3f} |", flush=True)
    mean = np.mean(everything, axis=0)
    better = sum(one >= other for one, other in everything)
    print(f"| **all** | | | **{mean[0]:.3f}** | {mean[1]:.3f} |\n")
    print(f"linked is at least as sharp in {better} of {len(everything)}")


def off_tone_db(sound: Samples, tones_hz: Sequence[float], rate: int) -> float:
    """Energy further than 5 Hz from all tones, over all of it; half a second at either end aside."""
    inner = sound[0, rate // 2 : -rate // 2]
    power = np.abs(np.fft.rfft(inner * signal.get_window(("kaiser", 25.0), len(inner)))) ** 2
    off, reach = power.copy(), round(5.0 * len(inner) / rate)
    for hz in tones_hz:
        at = round(hz * len(inner) / rate)
        off[max(0, at - reach) : at + reach + 1] = 0.0
    return float(10.0 * np.log10(off.sum() / power.sum()))


def tones(_: Path) -> None:
    rate = 44_100
    time_s = np.arange(6 * rate) / rate
    print("| tones | factor | linked | Rubber Band R3 |\n|---|---|---|---|")
    for name, chord in CHORDS.items():
        sound = np.asarray([sum(np.sin(2 * np.pi * hz * time_s + hz) for hz in chord)]) * (0.5 / len(chord))
        sound = np.repeat(sound, 2, axis=0)
        for factor in FACTORS:
            ours = off_tone_db(warped([sound], factor, rate)[0], chord, rate)
            theirs = off_tone_db(banded(sound, factor, rate), chord, rate)
            print(f"| {name} | {factor} | {ours:.1f} dB | {theirs:.1f} dB |", flush=True)


def image(folder: Path) -> None:
    """How much the phase between the channels wanders: coherence-weighted, by third of a second and bin."""
    print("| recording | factor | linked | Rubber Band R3 |\n|---|---|---|---|")
    for name in ("eif-lithium", "trackswitch"):
        sound, rate = excerpt(excerpts(folder)[name])
        with tempfile.TemporaryDirectory() as room:
            place = Path(room) / "sound.wav"
            soundfile.write(place, sound.T, rate, subtype="DOUBLE")
            attacks = finish(attacks_of(place))
        for factor in FACTORS:
            ours = _wander(sound, warped([sound], factor, rate, attacks=attacks)[0], factor)
            theirs = _wander(sound, banded(sound, factor, rate), factor)
            print(f"| {name} | {factor} | {ours:.1f} degrees | {theirs:.1f} degrees |", flush=True)


def _wander(before: Samples, after: Samples, factor: float) -> float:
    """The rms change of the phase between left and right, weighted by energy, in degrees."""
    size = 16_384

    def crossed(sound: Samples, at: Samples) -> NDArray[np.complex128]:
        window = np.hanning(size)
        frames = np.stack([sound[:, start : start + size] for start in np.rint(at).astype(int)], axis=1) * window
        spectra = np.fft.rfft(frames)
        return spectra[0] * spectra[1].conj()

    middles = np.arange(2 * size, before.shape[1] - 2 * size, size)
    one = crossed(before, middles - size / 2)
    other = crossed(after, middles * factor - size / 2)
    weight = np.minimum(np.abs(one), np.abs(other))
    turned = np.angle(other * one.conj())
    return float(np.degrees(np.sqrt((weight * turned**2).sum() / weight.sum())))


def null(folder: Path) -> None:
    print("| stems of | linked | R3, one by one |\n|---|---|---|")
    for name in ("eif-lithium", "eif-potassium", "synth-hobo"):
        stems = [
            excerpt(path)[0]
            for path in sorted((folder / "multitracks" / name).glob("*.flac"))
            if path.stem != "mixture"
        ]
        mix = np.sum(stems, axis=0)
        whole, *parts = warped([mix, *stems], 1.07, 44_100, guide=mix)
        theirs, theirs_whole = [banded(stem, 1.07, 44_100) for stem in stems], banded(mix, 1.07, 44_100)
        print(f"| {name} | {_null_db(parts, whole):.0f} dB | {_null_db(theirs, theirs_whole):+.1f} dB |", flush=True)


def _null_db(parts: Sequence[Samples], whole: Samples) -> float:
    left = np.sum(parts, axis=0) - whole
    return float(10.0 * np.log10(np.square(left).mean() / np.square(whole).mean() + 1e-40))


def cost(folder: Path) -> None:
    """Seconds of sound per second of wall time; every engine in turn, three times, the best of each."""
    stems = sorted((folder / "multitracks" / "eif-lithium").glob("*.flac"))
    read = [excerpt(path) for path in stems]
    sounds, rate = [np.tile(sound, 5) for sound, _ in read], read[0][1]
    frames = sounds[0].shape[1]
    attacks = np.arange(5_000, frames, 11_025), np.ones(len(range(5_000, frames, 11_025)))
    runs: dict[str, Callable[[], object]] = {
        f"{mode}, {2 * len(group)} channels": (lambda mode=mode, group=group: warped(group, 1.07, rate, mode, attacks))
        for mode in ("linked", "tones", "texture", "beats", "repitch")
        for group in (sounds[:1], sounds)
    }
    runs |= {
        f"Rubber Band {name}, 2 channels": (lambda name=name: banded(sounds[0], 1.07, rate, name.lower()))
        for name in ("R2", "R3")
    }
    best = dict.fromkeys(runs, 0.0)
    for _ in range(3):
        for name, run in runs.items():
            started = time.monotonic()
            run()
            best[name] = max(best[name], frames / rate / (time.monotonic() - started))
    print("| engine | x real time |\n|---|---|")
    for name, speed in best.items():
        print(f"| {name} | {speed:.1f} |")


def memory(_: Path) -> None:
    """Peak memory of `unbake warp` on ten channels, one minute and ten."""
    for minutes in (1, 10):
        with tempfile.TemporaryDirectory() as room:
            rng = np.random.default_rng(1)
            names = [Path(room) / f"{number}.wav" for number in range(5)]
            for name in names:
                with soundfile.SoundFile(name, "w", 44_100, 2, "PCM_16") as file:
                    for _minute in range(minutes):
                        file.write(0.1 * rng.standard_normal((60 * 44_100, 2)))
            words = [sys.executable, "-m", "benchmarks.warp", "--child", room]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            print(f"{minutes} min: {done.stdout.strip()}", flush=True)


def _child(room: str) -> None:
    from tui.__main__ import main

    names = sorted(Path(room).glob("*.wav"))
    started = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        main(["warp", *map(str, names), "-o", f"{room}/out", "--from-bpm", "120", "--to-bpm", "114", "--quiet"])
    speed = soundfile.info(names[0]).duration / (time.monotonic() - started)
    print(f"{speed:.1f}x real time, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


PARTS: dict[str, Callable[[Path], None]] = {
    "cost": cost,
    "memory": memory,
    "sharp": sharp,
    "tones": tones,
    "image": image,
    "null": null,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warp")
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--only", choices=tuple(PARTS))
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child:
        _child(options.child)
        return
    folder = data_folder(options.data)
    for name, part in PARTS.items():
        if options.only in (None, name):
            print(f"\n## {name}\n", flush=True)
            part(folder)


if __name__ == "__main__":
    main()
