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
    DynamicBell,
    Gain,
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
from core.strips.stage import Block

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
DUCK = DynamicBell(freq_hz=60.0, threshold_db=-40.0, range_db=-6.0)
COMPRESSOR = Compressor(threshold_db=-30.0, ratio=3.0)
CHAINS: dict[str, tuple[StripProcessor, ...]] = {
    "six equaliser bands": SIX_BANDS,
    "six equaliser bands on the side": tuple(msgspec.structs.replace(band, placement="side") for band in SIX_BANDS),
    "dynamic bell (wanted 40)": (DUCK,),
    "transient shaper": (SHAPER,),
    "transient shaper below 150 Hz": (msgspec.structs.replace(SHAPER, high_hz=150.0),),
    "compressor": (COMPRESSOR,),
    "gate": (Gate(threshold_db=-30.0, ratio=3.0),),
    "de-esser": (DeEsser(freq_hz=5500.0, range_db=6.0),),
    "saturation": (Saturation(drive_db=12.0),),
    "mono below 120 Hz": (MonoBelow(freq_hz=120.0),),
    "delay": (Delay(frames=57.33),),
    "gain along points": (Gain(points=((0.0, 0.0), (20.0, -6.0), (40.0, 0.0))),),
    "strip: six bands, shaper, compressor (wanted 40)": (*SIX_BANDS, SHAPER, COMPRESSOR),
}

STRIPS: dict[str, Strip] = {
    **{name: Strip(chain=chain) for name, chain in CHAINS.items()},
    "six equaliser bands, linear phase": Strip(eq_phase="linear", chain=SIX_BANDS),
    "the same without the notch, linear phase": Strip(eq_phase="linear", chain=SIX_BANDS[:-1]),
    "dynamic bell with a side-chain": Strip(chain=(msgspec.structs.replace(DUCK, sidechain="drums"),)),
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
    for name, strip in STRIPS.items():
        given = np.concatenate([sound] * (1 + len(strip.sidechains)))

        def through(strip: Strip = strip, given: Block = given) -> None:
            stage = build_strip("bass", strip, RATE, ("L", "R"))
            for start in range(0, given.shape[1], BLOCK_FRAMES):
                stage.process(given[:, start : start + BLOCK_FRAMES])

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
