"""Whether cleaning first helps the split: `python -m benchmarks.cleanup.separation [--data DIR] [--cases N]`.

Mixtures of true stems are damaged, then separated as they are and behind the step that is meant for the damage. The
figure is the SDR of every stem against the true one, over the whole excerpt, mean over the stems; and in how many of
them it fell by more than 0.1 dB. What was not found surely enough to be proposed is not cleaned.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from benchmarks import data_folder
from benchmarks.repair import sdr_db
from core.audio.hashes import sha256_file
from core.audio.read import read_all
from core.cleanup import bench
from core.cleanup.proposal import PROPOSED_FROM
from core.events import finish
from core.separation.heard import Heard
from core.separation.separate import SeparationRequest
from core.separation.stems import separate
from core.session.cleaning import Declick, Declip, Deecho, Dehum, Denoise, Dereverb

Samples = NDArray[np.float64]
STEMS = ("vocals", "drums", "bass", "other")


def rms(sound: Samples) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def noisy(snr_db: float):
    def damage(sound: Samples, _rate: int, rng: np.random.Generator) -> Samples:
        return sound + rng.standard_normal(sound.shape) * rms(sound) * 10.0 ** (-snr_db / 20.0)

    return damage


def humming(sound: Samples, rate: int, _rng: np.random.Generator) -> Samples:
    time = np.arange(sound.shape[1]) / rate
    phase = 2.0 * np.pi * np.cumsum(50.03 + 0.02 * np.sin(2.0 * np.pi * time / 15.0)) / rate
    hum = np.sum([np.sin(k * phase + k * k) / k for k in range(1, 80)], axis=0)
    return sound + hum * (rms(sound) * 10.0 ** (-15.0 / 20.0) / rms(hum))


def clipped(sound: Samples, _rate: int, _rng: np.random.Generator) -> Samples:
    level = np.quantile(np.abs(sound), 0.96)
    return np.clip(sound, -level, level)


def clicking(sound: Samples, rate: int, rng: np.random.Generator) -> Samples:
    damaged = sound.copy()
    for at in rng.integers(500, sound.shape[1] - 500, 5 * sound.shape[1] // rate):
        length = int(rng.integers(5, 61))
        loud = np.abs(sound[:, max(0, at - 2000) : at + 2000]).max() + 0.01
        damaged[:, at : at + length] += loud * rng.standard_normal(length) * np.exp(-2.0 * np.arange(length) / length)
    return damaged


def echoing(sound: Samples, rate: int, _rng: np.random.Generator) -> Samples:
    frames = round(0.037 * rate)
    return sound + 0.4 * np.pad(sound, ((0, 0), (frames, 0)))[:, : sound.shape[1]]


def reverberant(sound: Samples, rate: int, rng: np.random.Generator) -> Samples:
    tail = np.arange(round(0.7 * rate)) / rate
    responses = 0.02 * rng.standard_normal((len(sound), len(tail))) * 10.0 ** (-3.0 * tail / 0.6)
    responses[:, 0] = 1.0
    return fftconvolve(sound, responses, axes=1)[:, : sound.shape[1]]


DAMAGES = {
    "noise, 10 dB": (noisy(10.0), Denoise()),
    "noise, 20 dB": (noisy(20.0), Denoise()),
    "noise, 30 dB": (noisy(30.0), Denoise()),
    "hum, 15 dB": (humming, Dehum()),
    "hum, 15 dB, notch": (humming, Dehum(method="notch")),
    "clipped, 4%": (clipped, Declip()),
    "5 clicks a second": (clicking, Declick()),
    "echo, 37 ms, -8 dB": (echoing, Deecho()),
    "room, RT60 0.6 s": (reverberant, Dereverb()),
    "nothing": (lambda sound, _rate, _rng: sound, Denoise()),
}


def measure(
    excerpt: Path, damage: str, model: str, least: float, folder: Path
) -> tuple[float, dict[str, tuple[float, float]]]:
    """How sure the finding was, and SDR of each stem in dB without and with clean-up; the same where none is done."""
    true = {stem: read_all(excerpt / f"{stem}.flac") for stem in STEMS if (excerpt / f"{stem}.flac").exists()}
    rate = soundfile.info(excerpt / "mixture.flac").samplerate
    make, step = DAMAGES[damage]
    path = folder / "damaged.wav"
    sound = make(read_all(excerpt / "mixture.flac"), rate, np.random.default_rng(1))
    soundfile.write(path, sound.T, rate, subtype="FLOAT")
    sha256 = sha256_file(path)
    asked = SeparationRequest(model=model)
    plain = finish(separate(path, asked, source_sha256=sha256))
    cleaned = finish(bench.clean(path, [step], sha256=sha256, least_confidence=least))
    heard = Heard(cleaned.path, cleaned.sha256)
    other = plain if cleaned.path == path else finish(separate(path, asked, source_sha256=sha256, heard=heard))
    stems = [stem for stem in true if stem in plain.stems]
    pairs = {
        stem: (sdr_db(true[stem], read_all(plain.stems[stem])), sdr_db(true[stem], read_all(other.stems[stem])))
        for stem in stems
    }
    (done,) = cleaned.done
    return 0.0 if done is None else done.finding.confidence, pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cases", type=int, default=4, help="as many excerpts")
    parser.add_argument("--only", nargs="*", choices=list(DAMAGES))
    parser.add_argument("--model", default="starter")
    parser.add_argument("--asked", action="store_true", help="clean what was found at any confidence")
    options = parser.parse_args()
    least = 0.0 if options.asked else PROPOSED_FROM
    every = sorted((data_folder(options.data) / "multitracks").iterdir())
    excerpts = [folder for folder in every if all((folder / f"{stem}.flac").exists() for stem in STEMS)]
    print(f"{'damage':20} {'excerpt':18} {'sure':>5}  SDR of stems in dB, as it is -> cleaned first")
    for damage in options.only or DAMAGES:
        gains: list[float] = []
        for excerpt in excerpts[: options.cases]:
            with tempfile.TemporaryDirectory() as folder:
                sure, found = measure(excerpt, damage, options.model, least, Path(folder))
            told = "  ".join(f"{stem} {before:.2f} -> {after:.2f}" for stem, (before, after) in found.items())
            print(f"{damage:20} {excerpt.name:18} {sure:5.0%}  {told}", flush=True)
            gains += [after - before for before, after in found.values()]
        worse = sum(gain < -0.1 for gain in gains)
        print(
            f"{damage:20} {'mean':18}        {np.mean(gains):+.2f} dB; {worse} of {len(gains)} stems worse", flush=True
        )


if __name__ == "__main__":
    main()
