"""The mud benchmark: a fault put on the bass of a real multitrack, and how near each remedy comes to the clean mix.

For every four-stem excerpt the true bass is boosted by +8 dB at 250 Hz (Q 0.8) and summed into a muddy mix. The
remedies are nothing at all; the best bell on the whole mix, chosen with hindsight from a grid; the matching cut on the
bass stem that the model finds in the muddy mix; and the same cut on the true stems. The figure is the SDR against the
clean mix.

    python -m benchmarks.repair [--data DIR] [--model starter]
"""

from __future__ import annotations

import itertools
import tempfile
from argparse import ArgumentParser
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from benchmarks import data_folder
from core.audio.read import read_all
from core.events import finish
from core.jobs import sessions
from core.recombine.graph import Graph
from core.session.document import Session, Strip
from core.session.processors import Bell
from core.strips.chain import build_strip
from core.strips.eq import sections

STEMS = ("vocals", "drums", "bass", "other")
FAULT = Bell(freq_hz=250.0, gain_db=8.0, q=0.8)
REPAIR = Strip(chain=(Bell(freq_hz=250.0, gain_db=-8.0, q=0.8),))
SPEAKERS = ("L", "R")

GRID_HZ = np.geomspace(80.0, 800.0, 25)
GRID_DB = np.arange(-12.0, 0.1, 0.5)
GRID_Q = (0.2, 0.3, 0.45, 0.6, 0.8, 1.1, 1.5, 2.2, 3.0)


def sdr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-distortion ratio over the whole excerpt, float64 [channels, frames]."""
    error = float(np.sum((reference - estimate) ** 2))
    return 10 * np.log10(float(np.sum(reference**2)) / max(error, 1e-300))


def best_bell_db(clean: np.ndarray, muddy: np.ndarray, rate: int) -> float:
    """SDR of the best bell on the whole mix, found on power spectra (a filter is a product there)."""
    size = 1 << int(np.ceil(np.log2(clean.shape[1] + rate)))
    spectrum, wanted = np.fft.rfft(muddy, size), np.fft.rfft(clean, size)
    freqs = np.fft.rfftfreq(size, 1 / rate)
    # bins under which the filter is as good as constant: narrow where bells are
    edges = np.unique(
        np.searchsorted(freqs, np.concatenate([np.linspace(0, 1500, 3001), np.geomspace(1500, rate / 2, 500)]))
    )
    edges = edges[edges < len(freqs)]
    weight = np.full(len(freqs), 2.0)
    weight[[0, -1]] = 1.0
    power = np.add.reduceat((np.abs(spectrum) ** 2).sum(axis=0) * weight, edges) / size
    cross = np.add.reduceat((spectrum * wanted.conj()).sum(axis=0) * weight, edges) / size
    energy = float(np.sum(clean**2))
    middles = (freqs[edges] + freqs[np.append(edges[1:], len(freqs) - 1)]) / 2
    z = np.exp(-2j * np.pi * middles / rate)
    powers = np.stack([np.ones_like(z), z, z * z])
    best = np.inf
    for freq_hz, gain_db, q in itertools.product(GRID_HZ, GRID_DB, GRID_Q):
        row = sections(Bell(freq_hz=float(freq_hz), gain_db=float(gain_db), q=q), rate)[0]
        response = (row[:3] @ powers) / (row[3:] @ powers)
        error = float(np.sum(np.abs(response) ** 2 * power) - 2 * np.sum((response * cross).real)) + energy
        best = min(best, error)
    return 10 * np.log10(energy / best)


def heard(session: Session, stems: dict[str, Path]) -> np.ndarray:
    """What a session renders to, before it is quantised."""
    with Graph(session, stems) as graph:
        return np.concatenate(list(graph.blocks()), axis=1)


def measure(excerpt: Path, model: str) -> dict[str, float]:
    """All figures of one excerpt, in dB."""
    true = {name: read_all(excerpt / f"{name}.flac") for name in STEMS}
    rate = soundfile.info(excerpt / "bass.flac").samplerate
    fault = build_strip("bass", Strip(chain=(FAULT,)), rate, SPEAKERS)
    muddy_bass = fault.process(true["bass"])
    clean = np.sum([true[name] for name in STEMS], axis=0)
    muddy = clean - true["bass"] + muddy_bass
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(folder / "muddy.wav", muddy.T, rate, subtype="DOUBLE")
        (folder / "stems").mkdir()
        for stem in STEMS:
            sound = muddy_bass if stem == "bass" else true[stem]
            soundfile.write(folder / "stems" / f"{stem}.wav", sound.T, rate, subtype="FLOAT")
        repaired = {}
        for way, stems_from in (("starter", None), ("true stems", folder / "stems")):
            session, taken_in = finish(sessions.new_session(folder / "muddy.wav", model=model, stems_from=stems_from))
            session = msgspec.structs.replace(session, strips={"bass": REPAIR})
            session, stems = finish(sessions.stems_for(session, taken_in=taken_in))
            paths = sessions.stem_paths(stems)
            repaired[way] = sdr_db(clean, heard(session, paths))
            if way == "starter":
                repaired["bass stem"] = sdr_db(muddy_bass, read_all(paths["bass"]))
    return {
        "nothing": sdr_db(clean, muddy),
        "best bell": best_bell_db(clean, muddy, rate),
        "starter": repaired["starter"],
        "true stems": repaired["true stems"],
        "bass stem": repaired["bass stem"],
    }


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, help="folder with multitracks/ (default: UNBAKE_TEST_DATA, ../shared/data)"
    )
    parser.add_argument("--model", default="starter")
    options = parser.parse_args()
    excerpts = sorted(
        folder
        for folder in (data_folder(options.data) / "multitracks").iterdir()
        if all((folder / f"{name}.flac").exists() for name in STEMS)
    )
    rows = {excerpt.name: measure(excerpt, options.model) for excerpt in excerpts}
    columns = list(next(iter(rows.values())))
    print(f"{'SDR in dB':22}" + "".join(f"{column:>12}" for column in columns))
    for name, row in rows.items():
        print(f"{name:22}" + "".join(f"{row[column]:12.2f}" for column in columns))
    means = {column: float(np.mean([row[column] for row in rows.values()])) for column in columns}
    print(f"{'mean':22}" + "".join(f"{means[column]:12.2f}" for column in columns))
    ahead = means["starter"] - means["best bell"]
    print(f"{options.model} against the best bell on the whole mix: {ahead:+.2f} dB in the mean")


if __name__ == "__main__":
    main()
