"""What a VST3 plug-in costs as an insert, against pedalboard by itself: `python -m benchmarks.plugins FILE`."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from core.session.processors import Vst3
from core.strips.plugins import BLOCK_FRAMES, PluginStage, find

RATE = 44_100
BLOCKS, FRAMES = 20, 65_536
ROUNDS = 5


def real_time(run: Callable[[], object]) -> float:
    """Seconds of sound for a second of work."""
    start = time.perf_counter()
    for _ in range(BLOCKS):
        run()
    return BLOCKS * FRAMES / RATE / (time.perf_counter() - start)


def main() -> None:
    from pedalboard import VST3Plugin

    path, *name = sys.argv[1:]
    sound = 0.1 * np.random.default_rng(1).standard_normal((2, FRAMES))
    start = time.perf_counter()
    stage = PluginStage(Vst3(path=path, plugin="".join(name)), path, RATE, 2)
    print(f"loaded, latency measured: {time.perf_counter() - start:.2f} s; {stage.plugin_latency}")
    bare: Any = VST3Plugin(str(find(path, path)), plugin_name=stage.name)
    single = sound.astype(np.float32)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(real_time(lambda: stage.process(sound)))
        theirs.append(real_time(lambda: bare.process(single, float(RATE), buffer_size=BLOCK_FRAMES, reset=False)))
    stage.close()
    print(f"as an insert {statistics.median(ours):.0f}x real time, in pedalboard {statistics.median(theirs):.0f}x")


if __name__ == "__main__":
    main()
