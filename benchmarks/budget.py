"""What the artefact budget does to the error of a repair, where the true stems are known.

A repair is made on a stem by a network and, beside it, on the true one. Its error is what lies between the two, in dB
of the change that the true repair makes: 0 dB is as far off as doing nothing. A budget weighs the change linearly, so
two renders tell all of them.

    python -m benchmarks.budget [--data DIR] [--model starter]
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import msgspec
import numpy as np

from benchmarks import data_folder
from core.audio.read import read_all
from core.events import finish
from core.jobs.sessions import describe_source
from core.recombine.graph import Graph
from core.separation.separate import SeparationRequest
from core.separation.stems import choice, separate
from core.session.document import Session, Strip
from core.session.processors import Bell, Compressor, HighShelf

BUDGETS = (1.0, 0.75, 0.5, 0.25, 0.0)
REPAIRS = {
    "gain -6 dB": Strip(gain_db=-6.0),
    "gain +3 dB": Strip(gain_db=3.0),
    "bell 250 Hz -6 dB": Strip(chain=(Bell(freq_hz=250.0, gain_db=-6.0, q=0.8),)),
    "high shelf 5 kHz +4 dB": Strip(chain=(HighShelf(freq_hz=5000.0, gain_db=4.0),)),
    "compressor 4:1": Strip(chain=(Compressor(threshold_db=-30.0, ratio=4.0),)),
    "cancel": Strip(mode="cancel"),
}


def change(song: Session, name: str, strip: Strip, stem: Path) -> np.ndarray:
    """What a repair of a stem adds to its source, float64 [channels, frames]."""
    with Graph(msgspec.structs.replace(song, strips={name: strip}), {name: stem}) as graph:
        made = np.concatenate(list(graph.blocks()), axis=1)
    return made - read_all(song.source.path)


def errors_db(song: Session, name: str, strip: Strip, true: Path, found: Path) -> np.ndarray | None:
    """The error at every budget, in dB of the true change; None where that is nothing."""
    wanted = change(song, name, strip, true)
    power = float(np.sum(wanted**2))
    if power < 1e-6 * float(np.sum(read_all(song.source.path) ** 2)):
        return None
    full, least = (change(song, name, msgspec.structs.replace(strip, budget=budget), found) for budget in (1.0, 0.0))
    off = (budget * full + (1.0 - budget) * least - wanted for budget in BUDGETS)
    return np.array([10.0 * np.log10(max(float(np.sum(each**2)) / power, 1e-30)) for each in off])


def tell(title: str, rows: list[np.ndarray]) -> None:
    """The mean of some cases, and in how many the least error lies at a budget under 1."""
    found = np.array(rows)
    better = np.mean(found.min(axis=1) < found[:, 0] - 0.05)
    figures = "".join(f"{value:9.2f}" for value in found.mean(axis=0))
    print(f"{title:28}{len(rows):6}{figures}{better:9.0%}", flush=True)


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, help="folder with multitracks/ (default: UNBAKE_TEST_DATA, ../shared/data)"
    )
    parser.add_argument("--model", default="starter")
    options = parser.parse_args()
    names = choice(options.model).stems
    cases: dict[tuple[str, str, str], np.ndarray] = {}
    for folder in sorted((data_folder(options.data) / "multitracks").iterdir()):
        if not all((folder / f"{name}.flac").exists() for name in names):
            continue
        mixture = folder / "mixture.flac"
        song = Session(source=describe_source(mixture))
        stems = finish(separate(mixture, SeparationRequest(options.model), source_sha256=song.source.sha256)).stems
        for name in names:
            for title, strip in REPAIRS.items():
                found = errors_db(song, name, strip, folder / f"{name}.flac", Path(stems[name]))
                if found is not None:
                    cases[folder.name, name, title] = found
    print(f"{'error in dB at a budget of':28}{'cases':>6}{''.join(f'{each:9.0%}' for each in BUDGETS)}{'better':>9}")
    tell("all", list(cases.values()))
    for place in range(3):
        for key in dict.fromkeys(case[place] for case in cases):
            tell(f"  {key}", [found for case, found in cases.items() if case[place] == key])


if __name__ == "__main__":
    main()
