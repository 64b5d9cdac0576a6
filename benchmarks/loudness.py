"""The loudness meter, with and without true peak, against real time: `python -m benchmarks.loudness [--data DIR]`."""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

from benchmarks import data_folder
from core.audio.formats import BLOCK_FRAMES, Block
from core.audio.read import open_reader, read_blocks
from core.measure.loudness import LoudnessMeter

ROUNDS = 3


def measure(blocks: list[Block], rate: int, speakers: tuple[str, ...], *, true_peak: bool) -> tuple[float, float]:
    """Seconds on the clock and on the processor that measuring takes."""
    clock, processor = time.perf_counter(), time.thread_time()
    meter = LoudnessMeter(rate, speakers, true_peak=true_peak)
    for block in blocks:
        meter.push(block)
    meter.result()
    return time.perf_counter() - clock, time.thread_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with masters/ (default: UNBAKE_TEST_DATA, ../shared/data)")
    sources = sorted(data_folder(parser.parse_args().data).glob("masters/*.flac"))
    if not sources:
        raise SystemExit("no masters there: give --data")
    importlib.import_module("scipy.signal")  # 1.5 s that are not what is measured
    print(f"{'file':28} {'true peak':>9} {'x real time':>11} {'x by processor time':>19}")
    for source in sources:
        with open_reader(source) as reader:
            info = reader.info
            blocks = list(read_blocks(reader, BLOCK_FRAMES))
        for true_peak in (True, False):
            rounds = [measure(blocks, info.sample_rate, info.speakers, true_peak=true_peak) for _ in range(ROUNDS)]
            clock, processor = (info.seconds / min(times) for times in zip(*rounds, strict=True))
            print(f"{source.stem:28} {'yes' if true_peak else 'no':>9} {clock:11.0f} {processor:19.0f}")


if __name__ == "__main__":
    main()
