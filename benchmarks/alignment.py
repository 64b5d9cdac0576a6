"""How exactly delay, drift and polarity are found in noise on real music: `python -m benchmarks.alignment`.

B is A moved (by a sinc in the frequency domain, or resampled by soxr), at times inverted, with white noise 20 dB under
the music added, and written as 32-bit float; the null test is asked what it finds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks import data_folder
from core.events import finish
from core.measure.null import NullReport, null_test

DELAYS = (0.05, 0.1, 0.37, 1.5, 7.77, 100.6, 1000.25, 4321.05, 20_000.0)
DRIFTS_PPM = (1.0, 3.0, 10.0, 50.0, 120.0, 200.0, -1.0, -37.0, -200.0)
SNR_DB = 20.0
FILES = (
    "masters/wesnoth_love_theme.flac",
    "masters/singularity_Awakening.flac",
    "mixes/Karissa_Hobbs_-_Lets_Go_Fishin.hq.ogg",
    "multitracks/eif-lithium/mixture.flac",
    "multitracks/eif-sodium/mixture.flac",
    "multitracks/waveform-playlist/mixture.flac",
)
SECONDS = 240


def delayed(x: NDArray[np.float64], delay: float) -> NDArray[np.float64]:
    """[frames, channels] later by `delay` samples, exactly, with what would wrap round left out."""
    whole, fraction = divmod(delay, 1.0)
    size = 2 * len(x)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * fraction)
    moved = np.fft.irfft(np.fft.rfft(x, size, axis=0) * turn[:, None], size, axis=0)[: len(x)]
    return np.concatenate([np.zeros((int(whole), x.shape[1])), moved])


def tried(folder: Path, a: NDArray[np.float64], b: NDArray[np.float64], rate: int, seed: int) -> NullReport:
    noise = np.random.default_rng(seed).standard_normal(b.shape) * a.std() * 10 ** (-SNR_DB / 20)
    for name, samples in (("a.wav", a), ("b.wav", b + noise)):
        soundfile.write(folder / name, samples, rate, subtype="FLOAT")
    return finish(null_test(folder / "a.wav", folder / "b.wav"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with recordings (default: UNBAKE_TEST_DATA, ../shared/data)")
    data = data_folder(parser.parse_args().data)
    recordings = [data / name for name in FILES if (data / name).is_file()]
    if not recordings:
        raise SystemExit(f"no music in {data}: give --data")
    print(f"{'recording':34} {'delays: worst error':>20} {'drifts: worst error':>20} polarity")
    with tempfile.TemporaryDirectory() as name:
        for path in recordings:
            read, rate = soundfile.read(path, SECONDS * soundfile.info(path).samplerate, always_2d=True)
            a = np.asarray(read, np.float64)
            off, turned = [], []
            for seed, delay in enumerate(DELAYS):
                sign = 1 - 2 * (seed % 2)
                report = tried(Path(name), a, sign * delayed(a, delay), rate, seed)
                off.append(abs(report.delay_samples - delay))
                turned.append(report.polarity == sign)
            drifts = []
            for seed, ppm in enumerate(DRIFTS_PPM):
                sign = 1 - 2 * (seed % 2)
                slower = soxr.resample(a, rate, rate * (1.0 + ppm * 1e-6), "VHQ")
                report = tried(Path(name), a, sign * slower, rate, 100 + seed)
                drifts.append(abs(report.drift_ppm - ppm))
                turned.append(report.polarity == sign)
            where = path.parent.name if path.stem == "mixture" else path.stem[:34]
            print(f"{where:34} {max(off):12.4f} samples {max(drifts):16.3f} ppm {sum(turned)} of {len(turned)}")


if __name__ == "__main__":
    main()
