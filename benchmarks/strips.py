"""Processors against real time: each by itself, a whole strip, and a master of four such strips, on one core.

python -m benchmarks.strips
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from core.audio.formats import BLOCK_FRAMES
from core.recombine.graph import Graph
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import (
    Bell,
    Compressor,
    DeEsser,
    Delay,
    Gate,
    HighShelf,
    LowCut,
    LowShelf,
    MonoBelow,
    Notch,
    Saturation,
    StripProcessor,
    TransientShaper,
)
from core.strips.chain import build_strip

RATE = 44_100
SECONDS = 60
BEST_OF = 3
SIX_BANDS: tuple[StripProcessor, ...] = (
    LowCut(freq_hz=30.0),
    Bell(freq_hz=250.0, gain_db=-4.0),
    Bell(freq_hz=2500.0, gain_db=2.0),
    LowShelf(freq_hz=100.0, gain_db=1.0),
    HighShelf(freq_hz=8000.0, gain_db=-1.0),
    Notch(freq_hz=50.0),
)
SHAPER = TransientShaper(attack_db=4.0, sustain_db=-3.0)
COMPRESSOR = Compressor(threshold_db=-30.0, ratio=3.0)
CHAINS: dict[str, tuple[StripProcessor, ...]] = {
    "six equaliser bands": SIX_BANDS,
    "transient shaper": (SHAPER,),
    "transient shaper below 150 Hz": (msgspec.structs.replace(SHAPER, high_hz=150.0),),
    "compressor": (COMPRESSOR,),
    "gate": (Gate(threshold_db=-30.0, ratio=3.0),),
    "de-esser": (DeEsser(freq_hz=5500.0, range_db=6.0),),
    "saturation": (Saturation(drive_db=12.0),),
    "mono below 120 Hz": (MonoBelow(freq_hz=120.0),),
    "delay": (Delay(frames=57.33),),
    "strip: six bands, shaper, compressor (wanted 40)": (*SIX_BANDS, SHAPER, COMPRESSOR),
}


def real_time(run: Callable[[], None]) -> float:
    """How many seconds of sound a second of one core is good for, the best of some runs."""
    took = []
    for _ in range(BEST_OF):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return SECONDS / min(took)


def main() -> None:
    sound = 0.1 * np.random.default_rng(1).standard_normal((2, SECONDS * RATE))
    for name, chain in CHAINS.items():

        def through(chain: tuple[StripProcessor, ...] = chain) -> None:
            stage = build_strip("x", Strip(chain=chain), RATE, ("L", "R"))
            for start in range(0, sound.shape[1], BLOCK_FRAMES):
                stage.process(sound[:, start : start + BLOCK_FRAMES])

        print(f"{name}: {real_time(through):.0f}x")
    with tempfile.TemporaryDirectory() as folder:
        names = ("vocals", "drums", "bass", "other")
        stems = {name: Path(folder) / f"{name}.wav" for name in names}
        for path in (*stems.values(), Path(folder) / "song.wav"):
            soundfile.write(path, sound.T.astype(np.float32), RATE, subtype="FLOAT")
        source = Source(f"{folder}/song.wav", "", RATE, 2, sound.shape[1], "WAV", "FLOAT")
        strips = {name: Strip(chain=(*SIX_BANDS, SHAPER, COMPRESSOR)) for name in names}
        session = Session(source=source, separation=Separation(stems=names), strips=strips)

        def master() -> None:
            with Graph(session, stems) as graph:
                for _ in graph.blocks():
                    pass

        print(f"master of four such strips, files read (wanted 12): {real_time(master):.0f}x")


if __name__ == "__main__":
    main()
