"""Declipping: hard and soft clipping made from clean sound, found blind and made anew, against A-SPADE.

Excerpts of four seconds, one channel, clipped so that 1, 2, 4 and 8% of the samples are over the level, written with
16 bits. Gains are in dB of the SDR over the samples that were over it. Speed is in seconds of sound for one second of
processor time, and of time by the clock, over the whole excerpt, which is clipped nearly throughout.

    python -m benchmarks.cleanup.declip [--data DIR] [--seed 1] [--spade]
"""

from __future__ import annotations

import resource
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import fft

from benchmarks import data_folder
from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.declip import Declipper
from core.events import finish
from core.session.cleaning import Declip

Samples = NDArray[np.float64]
SHARES = (0.01, 0.02, 0.04, 0.08)
SECONDS = 4.0
TONAL = (
    "multitracks/eif-lithium/vocals.flac",
    "multitracks/waveform-playlist/vocals.flac",
    "multitracks/eif-lithium/bass.flac",
    "multitracks/eif-rubidium/bass.flac",
    "multitracks/trackswitch/bass.flac",
    "multitracks/synth-hobo/bass.flac",
    "multitracks/fof-sectoid-feelings/guitar.flac",
    "multitracks/eif-potassium/other.flac",
    "masters/wesnoth_love_theme.flac",
    "masters/singularity_Awakening.flac",
)
MIXES = (
    "mixes/Karissa_Hobbs_-_Lets_Go_Fishin.hq.ogg",
    "mixes/Kevin_MacLeod_-_Vibe_Ace.hq.ogg",
    "multitracks/eif-lithium/mixture.flac",
    "multitracks/synth-hobo/mixture.flac",
    "speech/dfn_clean_freesound_33711.flac",
)
DRUMS = tuple(f"multitracks/{song}/drums.flac" for song in ("eif-lithium", "eif-caesium", "trackswitch", "synth-hobo"))
DAMAGES = ("turned down 3 dB", "dither", "offset", "knee of 0.1", "knee of 0.3")


class Case(NamedTuple):
    """What came of one damaged excerpt."""

    finding: Finding
    gain_db: float
    exact: bool
    find_s: float
    processor_s: float
    clock_s: float


def piano(rate: int = 44_100) -> Samples:
    """Struck, decaying, slightly inharmonic partials: ten chords."""
    when = np.arange(round(SECONDS * rate)) / rate
    rng = np.random.default_rng(5)
    sound = np.zeros(len(when))
    for start in np.arange(0.0, SECONDS, 0.4):
        since = np.maximum(when - start, 0.0)
        for note in rng.choice([48, 52, 55, 60, 64, 67], 3, replace=False):
            base = 440.0 * 2.0 ** ((note - 69) / 12.0)
            for n in range(1, 14):
                freq_hz = base * n * np.sqrt(1.0 + 4e-4 * n * n)
                phase = rng.uniform(0.0, 2.0 * np.pi)
                sound += (
                    np.minimum(since / 0.003, 1.0)
                    * np.exp(-(1.0 + 0.5 * n) * since)
                    / n
                    * np.sin(2.0 * np.pi * freq_hz * since + phase)
                )
    return sound / np.abs(sound).max()


def excerpt(path: Path, rng: np.random.Generator) -> tuple[Samples, int]:
    """Four seconds that are not silent, of the first channel, peaks at 1.0."""
    with soundfile.SoundFile(path) as file:
        rate, frames = file.samplerate, round(SECONDS * file.samplerate)
        loud = 0.0
        sound = np.zeros(frames)
        for _ in range(4):
            file.seek(int(rng.integers(0, file.frames - frames)))
            here = file.read(frames, always_2d=True)[:, 0]
            if np.abs(here).mean() > loud:
                loud, sound = np.abs(here).mean(), here
    return sound / np.abs(sound).max(), rate


def damaged(sound: Samples, level: float, kind: str, rng: np.random.Generator) -> tuple[Samples, Samples, str]:
    """The damage, what it would be without the clipping, and the sample format it is written in."""
    clipped = np.clip(sound, -level, level)
    if kind == "16 bits":
        return clipped / level, sound / level, "PCM_16"
    if kind == "turned down 3 dB":
        return 0.7079 * clipped, 0.7079 * sound, "FLOAT"
    if kind == "dither":
        noise = rng.random(len(sound)) - rng.random(len(sound))
        return np.rint(0.8 * clipped / level * 32768 + noise) / 32768, 0.8 * sound / level, "PCM_16"
    if kind == "offset":
        return clipped + 0.01, sound + 0.01, "FLOAT"
    corner = level * (1.0 - float(kind.split()[-1]))
    soft = corner + (level - corner) * np.tanh((np.abs(sound) - corner) / (level - corner))
    return np.where(np.abs(sound) > corner, np.sign(sound) * soft, sound), sound, "FLOAT"


def measure(sound: Samples, rate: int, share: float, kind: str, folder: Path, rng: np.random.Generator) -> Case:
    """Damages an excerpt, and has it found and made anew."""
    level = float(np.quantile(np.abs(sound), 1.0 - share))
    over = np.abs(sound) > level
    clipped, true, subtype = damaged(sound, level, kind, rng)
    soundfile.write(folder / "a.wav", clipped, rate, subtype=subtype)
    with open_reader(folder / "a.wav") as reader:
        was = reader.read(reader.info.frames)[0]
        step = Declipper(reader, Declip())
        begin = time.process_time()
        finding = finish(step.find())
        find_s = time.process_time() - begin
        begin, clock = time.process_time(), time.perf_counter()
        now = np.concatenate(list(step.blocks()), axis=1)[0]
        processor_s, clock_s = time.process_time() - begin, time.perf_counter() - clock
    under = np.abs(sound) < level * 0.999
    return Case(
        finding,
        sdr_db(true, now, over) - sdr_db(true, was, over),
        bool(np.array_equal(was[under], now[under])),
        find_s,
        processor_s,
        clock_s,
    )


def sdr_db(true: Samples, found: Samples, over: NDArray[np.bool_]) -> float:
    return float(10 * np.log10(np.square(true[over]).sum() / np.square((true - found)[over]).sum()))


def spade(sound: Samples, signs: NDArray[np.int8], size: int = 2048) -> Samples:
    """A-SPADE (Kitic et al. 2015): frames at three quarters overlap, redundancy 2, one more coefficient a step."""
    frames = np.pad(sound, (size, 2 * size)), np.pad(signs, (size, 2 * size))
    window = np.hanning(size + 1)[:-1]
    starts = [at for at in range(0, len(frames[0]) - size + 1, size // 4) if frames[1][at : at + size].any()]
    total, weight = np.zeros_like(frames[0]), np.zeros_like(frames[0])
    for first in range(0, len(starts), 64):
        batch = starts[first : first + 64]
        was = np.stack([frames[0][at : at + size] for at in batch]) * window
        marks = np.stack([frames[1][at : at + size] for at in batch])
        done, left, x = was.copy(), np.arange(len(batch)), was
        dual = np.zeros((len(batch), size + 1), complex)
        for kept in range(1, 500):
            spectrum = fft.rfft(x, 2 * size, norm="ortho") + dual
            sizes: Samples = np.abs(spectrum)
            least = np.take(np.partition(sizes, -kept, axis=1), [-kept], axis=1)
            z = np.where(sizes >= least, spectrum, 0.0)
            x: Samples = np.asarray(fft.irfft(z - dual, 2 * size, norm="ortho"))[:, :size]
            x = np.where(marks == 0, was, np.where(marks > 0, np.maximum(x, was), np.minimum(x, was)))
            off = fft.rfft(x, 2 * size, norm="ortho") - z
            still = np.sqrt(np.square(np.abs(off)).sum(axis=1)) <= 0.1
            done[left] = x
            dual, going = dual + off, ~still
            x, dual, was, marks, left = x[going], dual[going], was[going], marks[going], left[going]
            if not len(x):
                break
        for at, frame in zip(batch, done, strict=True):
            total[at : at + size] += frame * window
            weight[at : at + size] += window * window
    found = (total / np.maximum(weight, 1e-9))[size : size + len(sound)]
    return np.where(signs != 0, found, sound)


def spade_gain(sound: Samples, share: float) -> tuple[float, float]:
    """Its gain in dB when told which samples were clipped, and its processor time in seconds."""
    level = float(np.quantile(np.abs(sound), 1.0 - share))
    over = np.abs(sound) > level
    clipped = np.clip(sound, -level, level)
    begin = time.process_time()
    found = spade(clipped, (np.sign(sound) * over).astype(np.int8))
    return sdr_db(sound, found, over) - sdr_db(sound, clipped, over), time.process_time() - begin


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, help="folder with multitracks/ (default: UNBAKE_TEST_DATA, ../shared/data)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spade", action="store_true", help="has A-SPADE do the same; slow")
    options = parser.parse_args()
    data, rng = data_folder(options.data), np.random.default_rng(options.seed)
    sounds = {"tonal": {"piano (synthetic)": (piano(), 44_100)}, "mixes, speech": {}, "drums": {}}
    for group, names in zip(sounds, (TONAL, MIXES, DRUMS), strict=True):
        sounds[group] |= {name: excerpt(data / name, rng) for name in names}
    with tempfile.TemporaryDirectory() as name:
        for group, some in sounds.items():
            clipped(group, some, Path(name), rng, with_spade=options.spade)
        damages(sounds["tonal"] | sounds["drums"], Path(name), rng)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def clipped(
    group: str, some: dict[str, tuple[Samples, int]], folder: Path, rng: np.random.Generator, *, with_spade: bool
) -> None:
    """Prints gains and speeds of hard clipping with 16 bits."""
    print(f"\n{group:44}" + "".join(f"{share:>8.0%}" for share in SHARES) + "   processor x, clock x at 8%")
    gains, others = [], []
    for name, (sound, rate) in some.items():
        cases = [measure(sound, rate, share, "16 bits", folder, rng) for share in SHARES]
        gains.append([case.gain_db for case in cases])
        missed = "" if all(case.finding.found for case in cases) else "  NOT FOUND"
        moved = "" if all(case.exact for case in cases) else "  NOT EXACT"
        speed = f"{SECONDS / cases[-1].processor_s:8.1f}{SECONDS / cases[-1].clock_s:8.1f}"
        print(f"{name[-43:]:44}" + "".join(f"{gain:8.1f}" for gain in gains[-1]) + speed + missed + moved)
        if with_spade:
            theirs = [spade_gain(sound, share) for share in SHARES]
            others.append([gain for gain, _ in theirs])
            print(
                f"{'   A-SPADE':44}"
                + "".join(f"{gain:8.1f}" for gain in others[-1])
                + f"{SECONDS / theirs[-1][1]:8.1f}"
            )
    for what, rows in (("", gains), ("A-SPADE ", others)):
        if rows:
            table = np.array(rows)
            print(f"{what + 'mean':44}" + "".join(f"{gain:8.1f}" for gain in table.mean(axis=0)))
            print(f"{what + 'worst':44}" + "".join(f"{gain:8.1f}" for gain in table.min(axis=0)))


def damages(some: dict[str, tuple[Samples, int]], folder: Path, rng: np.random.Generator) -> None:
    """Prints what comes of other ways to clip, at 4%."""
    print(f"\n{'4%, all tonal and drums':32}{'found':>8}{'mean dB':>10}{'worst dB':>10}{'confidence, least':>20}")
    for kind in DAMAGES:
        cases = [measure(sound, rate, 0.04, kind, folder, rng) for sound, rate in some.values()]
        found = [case for case in cases if case.finding.found]
        gains = [case.gain_db for case in cases]
        least = min((case.finding.confidence for case in found), default=0.0)
        print(f"{kind:32}{len(found):>5}/{len(cases)}{np.mean(gains):10.1f}{min(gains):10.1f}{least:20.2f}")


if __name__ == "__main__":
    main()
