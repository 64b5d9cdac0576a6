"""What de-reverberation gives back: `python -m benchmarks.cleanup.dereverb [--data DIR] [--only cost|quality]`.

Dry speech, vocals, drums and a mix are convolved with rooms: image sources up to 80 ms in a random shoebox, then noise
that decays exponentially, the direct sound as loud as it was; a response for each of two microphones ten centimetres
apart. SDR is plain, all channels together, 10 log10(sum ref^2 / sum (x - ref)^2), of the output less
that of the input: `early` against the dry sound convolved with the first 50 ms of the response, `dry` against the dry
sound itself, in time and scaled to fit best (SI-SDR). SRMR is the ratio of slow to fast modulations, after T. Falk, C.
Zheng and W. Chan (IEEE TASLP 18/7, 2010): 23 gammatone bands, 8 modulation bands, not normalised.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from benchmarks import data_folder
from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.dereverb import Dereverberator
from core.events import finish
from core.session.cleaning import Dereverb

Samples = NDArray[np.float64]
SOUND_M_S = 343.0
EARLY_S = 0.05
SECONDS = 20.0
ROOMS = ((0.3, 3.0), (0.5, 0.0), (0.5, 6.0), (0.8, -3.0), (0.8, 3.0), (1.2, 0.0))
"""RT60 in seconds, direct to reverberant energy in dB."""
MATERIAL = (
    "speech/dfn_clean_freesound_33711.flac",
    "speech/198-209-0000.hq.ogg",
    "speech/5703-47212-0000.hq.ogg",
    "multitracks/waveform-playlist/vocals.flac",
    "multitracks/synth-hobo/vocals.flac",
    "multitracks/eif-caesium/vocals.flac",
    "multitracks/eif-lithium/drums.flac",
    "multitracks/eif-lithium/mixture.flac",
)


def response(rng: np.random.Generator, rt60_s: float, rate: int, direct_db: float, channels: int) -> Samples:
    """A room's impulse response from a source to microphones: float64 [channels, frames], direct sound at 0."""
    room = rng.uniform([4.0, 3.0, 2.5], [9.0, 7.0, 4.0])
    source, microphone = room * rng.uniform(0.25, 0.75, 3), room * rng.uniform(0.25, 0.75, 3)
    volume, surface = float(np.prod(room)), 2.0 * float(room[0] * room[1] + room[0] * room[2] + room[1] * room[2])
    reflects = np.sqrt(max(0.1, 1.0 - 0.161 * volume / (surface * rt60_s)))
    steps = np.array(np.meshgrid(*[np.arange(-8, 9)] * 3, *[np.arange(2)] * 3, indexing="ij")).reshape(6, -1).T
    images = (1 - 2 * steps[:, 3:]) * source + 2 * steps[:, :3] * room
    bounces = np.abs(2 * steps[:, :3] - steps[:, 3:]).sum(axis=1)
    time_s = np.arange(round(1.2 * rt60_s * rate)) / rate
    ramp = np.clip((time_s - 0.02) / 0.04, 0.0, 1.0)
    found = np.zeros((channels, len(time_s)))
    for channel in range(channels):
        away = np.linalg.norm(images - microphone - [0.1 * channel, 0.0, 0.0], axis=1)
        late = away - away.min()
        near = late < 0.08 * SOUND_M_S
        direct = np.bincount((late[near] / SOUND_M_S * rate).astype(int), reflects ** bounces[near] / away[near])
        echoes = np.zeros(len(time_s))
        echoes[: len(direct)] = direct[: len(echoes)]
        tail = rng.standard_normal(len(time_s)) * 10.0 ** (-3.0 * time_s / rt60_s)
        joint = (time_s > 0.02) & (time_s < 0.06)
        tail *= np.sqrt(np.mean(echoes[joint] ** 2) / np.mean(tail[joint] ** 2))
        rest = echoes * np.sqrt(1.0 - ramp) + tail * np.sqrt(ramp)
        rest[0] = 0.0
        found[channel] = rest / np.sqrt(np.sum(rest**2)) * 10.0 ** (-direct_db / 20.0)
        found[channel, 0] = 1.0
    return found


def convolved(sound: Samples, responses: Samples) -> Samples:
    rows = [signal.fftconvolve(each, one)[: len(each)] for each, one in zip(sound, responses, strict=True)]
    return np.array(rows)


def sdr_db(reference: Samples, sound: Samples) -> float:
    return float(10 * np.log10(np.sum(reference**2) / (np.sum((sound - reference) ** 2) + 1e-30)))


def fitted_sdr_db(reference: Samples, sound: Samples) -> float:
    """Against the reference scaled to fit best."""
    return sdr_db(np.sum(reference * sound) / np.sum(reference**2) * reference, sound)


def srmr(sound: Samples, rate: int) -> float:
    """Energy of modulations of 4 to 18 Hz over that of 29 to 128 Hz, of the first channel at 16 kHz."""
    common = gcd(rate, 16_000)
    heard = signal.resample_poly(sound[0], 16_000 // common, rate // common)
    erb = np.linspace(21.4 * np.log10(1 + 0.00437 * 125), 21.4 * np.log10(1 + 0.00437 * 6500), 23)
    slow, fast = 0.0, 0.0
    filters = [signal.iirpeak(freq_hz, 2.0, 400.0) for freq_hz in np.geomspace(4.0, 128.0, 8)]
    for freq_hz in (10 ** (erb / 21.4) - 1) / 0.00437:
        band = signal.lfilter(*signal.gammatone(freq_hz, "iir", fs=16_000), heard)
        envelope = signal.decimate(np.abs(np.asarray(signal.hilbert(band))), 40, ftype="fir")
        energies = [float(np.sum(np.asarray(signal.lfilter(*each, envelope)) ** 2)) for each in filters]
        slow, fast = slow + sum(energies[:4]), fast + sum(energies[4:])
    return slow / fast


def cleaned(path: Path, step: Dereverb) -> tuple[Finding, Samples]:
    with open_reader(path) as reader:
        cleaner = Dereverberator(reader, step)
        finding = finish(cleaner.find())
        return finding, np.concatenate(list(cleaner.blocks()), axis=1)


def cost(seconds: float, rt60_s: float) -> None:
    """Time and peak memory for a file of noise and bursts, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        rng = np.random.default_rng(1)
        with soundfile.SoundFile(path, "w", 44_100, 2, subtype="PCM_16") as file:
            for _ in range(round(seconds)):
                file.write(0.1 * rng.standard_normal((44_100, 2)) * np.exp(-np.arange(44_100) / 9000.0)[:, None])
        code = (
            "import resource, sys, time; from pathlib import Path; from core.audio.read import open_reader;"
            "from core.cleanup.dereverb import Dereverberator; from core.events import finish;"
            "from core.session.cleaning import Dereverb\n"
            "with open_reader(sys.argv[1]) as reader:\n"
            "    c = Dereverberator(reader, Dereverb(rt60_s=float(sys.argv[2])))\n"
            "    t, u = time.time(), time.process_time()\n"
            "    finish(c.find()); f = time.process_time() - u\n"
            "    n = sum(b.shape[1] for b in c.blocks()); s = n / reader.info.sample_rate\n"
            "    w, u = time.time() - t, time.process_time() - u\n"
            "    m = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
            "    print(f'{s:.0f} s stereo: {w:.1f} s wall ({s / w:.1f}x), {u:.1f} s CPU ({s / u:.1f}x),"
            " finding {s / f:.0f}x, peak {m:.0f} MiB')\n"
        )
        print(f"RT60 {rt60_s} s:", flush=True, end=" ")
        subprocess.run([sys.executable, "-c", code, str(path), str(rt60_s)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--channels", type=int, default=2, choices=(1, 2))
    parser.add_argument("--only", choices=("cost", "quality"))
    options = parser.parse_args()
    # first, since a child's peak begins at its parent's
    for seconds, rt60_s in ((60.0, 0.8), (240.0, 0.8), (240.0, 1.5)) if options.only != "quality" else ():
        cost(seconds, rt60_s)
    if options.only != "cost":
        quality(data_folder(options.data), options.seed, options.channels)


def quality(data: Path, seed: int, channels: int) -> None:
    rows: list[tuple[str, float, list[float]]] = []
    print(f"{'':34} RT60  DRR   found              SDR early (in)  dry (in)    SRMR")
    for number, name in enumerate(MATERIAL):
        read, rate = soundfile.read(data / name, always_2d=True)
        mono = np.asarray(read.T, np.float64)[:, : round(SECONDS * rate)]
        dry = 0.3 * np.repeat(mono.mean(axis=0, keepdims=True) if len(mono) < channels else mono[:1], channels, axis=0)
        if len(mono) >= channels:
            dry = 0.3 * mono[:channels]
        for row, (rt60_s, direct_db) in enumerate(ROOMS):
            rng = np.random.default_rng([seed, number, row])
            room = response(rng, rt60_s, rate, direct_db, channels)
            wet, early = convolved(dry, room), convolved(dry, room[:, : round(EARLY_S * rate)])
            scale = min(1.0, 0.9 / float(np.abs(wet).max()))
            wet, early, reference = scale * wet, scale * early, scale * dry
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "wet.wav"
                soundfile.write(path, wet.T, rate, subtype="FLOAT")
                finding, output = cleaned(path, Dereverb())
                if not finding.found:
                    _, output = cleaned(path, Dereverb(rt60_s=rt60_s))
            figures = [
                sdr_db(early, output) - sdr_db(early, wet),
                fitted_sdr_db(reference, output) - fitted_sdr_db(reference, wet),
                srmr(output, rate) / srmr(wet, rate),
                float(finding.found),
                finding.confidence,
                finding.figures.get("rt60_s", 0.0),
            ]
            rows.append((name.partition("/")[2], rt60_s, figures))
            print(
                f"{Path(name).parent.name + '/' + Path(name).stem:34.34} {rt60_s:4.1f} {direct_db:4.0f}   "
                f"{figures[5]:4.2f} s ({figures[4]:.2f})  {figures[0]:+5.1f} ({sdr_db(early, wet):4.1f})  "
                f"{figures[1]:+5.1f} ({fitted_sdr_db(reference, wet):4.1f})  SRMR x{figures[2]:.2f} "
                f"({srmr(wet, rate):.1f}, dry {srmr(reference, rate):.1f})",
                flush=True,
            )
    voices = [
        figures for name, rt60_s, figures in rows if 0.5 <= rt60_s <= 0.8 and "drums" not in name and "mix" not in name
    ]
    table = np.array(voices)
    print(f"\nspeech and vocals at RT60 0.5 to 0.8 s ({len(table)} cases):")
    for column, word in ((0, "SDR against early"), (1, "SDR against dry")):
        values = table[:, column]
        print(
            f"  {word}: mean {values.mean():+.1f} dB, worst {values.min():+.1f}, {np.sum(values >= 2)} by 2 dB or more"
        )
    print(f"  SRMR: mean x{table[:, 2].mean():.2f}, worst x{table[:, 2].min():.2f}")
    long = np.array([figures for _, rt60_s, figures in rows if rt60_s >= 0.4])
    print(f"found at RT60 0.5 s and over: {int(long[:, 3].sum())} of {len(long)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MiB, with the sounds under test; {time.process_time():.0f} s CPU")


if __name__ == "__main__":
    main()
