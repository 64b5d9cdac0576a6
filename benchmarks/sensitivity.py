"""What sensitivity does to real stems: error, bleed and artefacts from 0 to 10, where the true stems are known.

Each stem is moved alone, in the four-stem excerpts that are the exact sum of their stems. What a stem holds is told
apart as BSS Eval does (E. Vincent, R. Gribonval, C. Fevotte, IEEE TASLP 14(4), 2006), with a filter of one complex gain
per bin and channel: what all true stems explain of it less what its own does is bleed, what none explains is
artefact; both in dB of what its own explains.

    python -m benchmarks.sensitivity [--data DIR] [--model starter] [--levels 0,2,4,5,6,8,10]
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import numpy as np

from benchmarks import data_folder
from core.audio.read import read_all
from core.events import finish
from core.separation.separate import SeparationRequest
from core.separation.stems import choice, separate

SIZE, HOP = 4096, 1024
WINDOW = np.sin(np.pi * np.arange(SIZE) / SIZE)
TINY = 1e-9
"""Of the power of all regressors: what keeps silent bins from being solved for nothing."""


def spectra(sound: np.ndarray) -> np.ndarray:
    """Complex128 [bins, times, channels] of float64 [channels, frames]."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(sound, ((0, 0), (SIZE, SIZE))), SIZE, axis=-1)
    return np.fft.rfft(windows[:, ::HOP] * WINDOW, axis=-1).transpose(2, 1, 0)


def explained(found: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The part of `found` [bins, times, channels] that `by` [bins, times, regressors] explains, bin by bin."""
    turned = by.conj().transpose(0, 2, 1)
    powers = turned @ by
    size = powers.shape[-1]
    powers += (TINY * np.trace(powers, axis1=1, axis2=2).real[:, None, None] + 1e-12) * np.eye(size)
    return by @ np.linalg.solve(powers, turned @ found)


def figures(true: dict[str, np.ndarray], parts: dict[str, np.ndarray], name: str, found: np.ndarray) -> np.ndarray:
    """SDR over the whole excerpt, bleed and artefacts, in dB."""
    heard = spectra(found)
    own = explained(heard, parts[name])
    every = explained(heard, np.concatenate(list(parts.values()), axis=2))
    sdr = decibels(energy(true[name]), energy(true[name] - found))
    return np.array([sdr, decibels(energy(every - own), energy(own)), decibels(energy(heard - every), energy(own))])


def energy(values: np.ndarray) -> float:
    return float(np.sum(np.abs(values) ** 2))


def decibels(power: float, reference: float) -> float:
    return 10.0 * float(np.log10(max(power, 1e-30) / max(reference, 1e-30)))


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, help="folder with multitracks/ (default: UNBAKE_TEST_DATA, ../shared/data)"
    )
    parser.add_argument("--model", default="starter")
    parser.add_argument("--levels", default="0,2,4,5,6,8,10")
    options = parser.parse_args()
    levels = [float(level) for level in options.levels.split(",")]
    names = choice(options.model).stems
    sums: dict[str, list[np.ndarray]] = {}
    for folder in sorted((data_folder(options.data) / "multitracks").glob("eif-*")):
        if not all((folder / f"{name}.flac").exists() for name in names):
            continue
        true = {name: read_all(folder / f"{name}.flac") for name in names}
        parts = {name: spectra(sound) for name, sound in true.items()}
        for name in names:
            rows = []
            for level in levels:
                request = SeparationRequest(options.model, sensitivity={name: level})
                made = finish(separate(folder / "mixture.flac", request))
                rows.append(figures(true, parts, name, read_all(Path(made.stems[name]))))
            sums.setdefault(name, []).append(np.array(rows))
            tell(f"{folder.name} {name}", levels, np.array(rows))
    for name, found in sums.items():
        tell(f"mean {name}", levels, np.mean(found, axis=0))
    tell("mean", levels, np.mean([each for found in sums.values() for each in found], axis=0))


def tell(title: str, levels: list[float], rows: np.ndarray) -> None:
    """One table of levels and figures."""
    print(f"{title:24}" + "".join(f"{level:8g}" for level in levels), flush=True)
    for what, figure in zip(("SDR dB", "bleed dB", "artefacts dB"), rows.T, strict=True):
        print(f"  {what:22}" + "".join(f"{value:8.1f}" for value in figure), flush=True)


if __name__ == "__main__":
    main()
