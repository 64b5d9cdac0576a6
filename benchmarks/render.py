"""A render from stored stems, with every figure of its report, against the bare work in the same run.

The bare work is the strip's filters over the same stem with nothing around them, and merely reading source and stem.

    python -m benchmarks.render [--minutes 5]
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import soundfile

from core.audio.formats import BLOCK_FRAMES
from core.audio.outputs import output_format
from core.audio.probe import probe
from core.audio.read import open_reader, read_blocks
from core.events import finish
from core.jobs import sessions
from core.jobs.repair import Delivery, render_session
from core.recombine.graph import Graph
from core.recombine.render import render
from core.session import files, presets
from core.strips.chain import build_strip

RATE = 44_100
ROUNDS = 3


def make_song(folder: Path, minutes: float) -> Path:
    """A stereo song with two stems of its own, made minute by minute."""
    (folder / "stems").mkdir()
    rng = np.random.default_rng(1)
    outs = {
        "song": soundfile.SoundFile(folder / "song.wav", "w", RATE, 2, "PCM_24"),
        "bass": soundfile.SoundFile(folder / "stems" / "bass.wav", "w", RATE, 2, "FLOAT"),
        "other": soundfile.SoundFile(folder / "stems" / "other.wav", "w", RATE, 2, "FLOAT"),
    }
    for _ in range(round(minutes)):
        bass, other = rng.standard_normal((2, RATE * 60, 2)) * 0.05
        for name, sound in (("song", bass + other), ("bass", bass), ("other", other)):
            outs[name].write(sound)
    for out in outs.values():
        out.close()
    return folder / "song.wav"


def best(work) -> float:
    """Seconds of the fastest of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--preset", default="de-mud-bass-only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        song = make_song(folder, options.minutes)
        session, taken_in = finish(sessions.new_session(song, stems_from=folder / "stems"))
        session = presets.find(options.preset).over(session)
        if not session.changed:
            raise SystemExit(f"the preset {options.preset} changes nothing here, so a copy would be measured")
        session, stems = finish(sessions.stems_for(session, taken_in=taken_in))
        paths = sessions.stem_paths(stems)
        (folder / "s.toml").write_text(files.dumps(session))
        strip = session.strips[session.changed[0]]
        fmt = output_format(probe(song), folder / "out.wav", None)

        def read() -> None:
            for path in (song, paths[session.changed[0]]):
                with open_reader(path) as reader:
                    for _ in read_blocks(reader, BLOCK_FRAMES):
                        pass

        def filters() -> None:
            stage = build_strip("bass", strip, RATE, ("L", "R"))
            block = np.random.default_rng(2).standard_normal((2, BLOCK_FRAMES)) * 0.1
            for _ in range(0, session.source.frames, BLOCK_FRAMES):
                stage.process(block)

        def graph() -> None:
            with Graph(session, paths) as running:
                for _ in running.blocks():
                    pass

        rows = {
            "read source and stem": read,
            "bare filters of the strip": filters,
            "the sum (source + delta), no output": graph,
            "render: file, loudness, overs, proof": lambda: finish(
                render(session, paths, folder / "out.wav", fmt, force=True)
            ),
            "render command, report and hashes too": lambda: finish(
                render_session(
                    folder / "s.toml", Delivery(out=folder / "out2.wav", report=folder / "r.json", force=True)
                )
            ),
        }
        seconds = session.source.frames / RATE
        print(f"{options.minutes:g} minutes, stereo 44.1 kHz 24 bit, preset {options.preset}, best of {ROUNDS}")
        for title, work in rows.items():
            took = best(work)
            print(f"  {title:40} {took:7.2f} s {seconds / took:8.1f}x real time")


if __name__ == "__main__":
    main()
