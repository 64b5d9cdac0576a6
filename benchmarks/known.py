"""How much of a known repair a model's stems let through: the matching cut, put on the bass stem that it finds.

For every four-stem excerpt the true bass is boosted by +8 dB at 250 Hz (Q 0.8) and summed into a muddy mix. The
remedies are nothing at all; the best bell on the whole mix, chosen with hindsight from a grid; the matching cut on the
bass stem that the model finds in the muddy mix; and the same cut on the true stems. The figure is the SDR against the
clean mix.

    python -m benchmarks.known [--data DIR] [--model starter]
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from benchmarks import data_folder
from benchmarks.repair import SPEAKERS, best_bell_db, heard, sdr_db
from core.audio.read import read_all
from core.events import finish
from core.jobs import sessions
from core.session.document import Strip
from core.session.processors import Bell
from core.strips.chain import build_strip

STEMS = ("vocals", "drums", "bass", "other")
FAULT = Bell(freq_hz=250.0, gain_db=8.0, q=0.8)
REPAIR = Strip(chain=(Bell(freq_hz=250.0, gain_db=-8.0, q=0.8),))


def measure(excerpt: Path, model: str) -> dict[str, float]:
    """All figures of one excerpt, in dB."""
    true = {name: read_all(excerpt / f"{name}.flac") for name in STEMS}
    rate = soundfile.info(excerpt / "bass.flac").samplerate
    muddy_bass = build_strip("bass", Strip(chain=(FAULT,)), rate, SPEAKERS).process(true["bass"])
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
