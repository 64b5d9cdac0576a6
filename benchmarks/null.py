"""The null test against merely decoding both files, in one run: `python -m benchmarks.null [--data DIR]`."""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks import data_folder
from core.audio.formats import BLOCK_FRAMES
from core.audio.read import open_reader, read_blocks
from core.events import finish
from core.measure.null import null_test

ROUNDS = 3


def decode(*paths: Path) -> float:
    """Seconds that reading the files through takes, one after the other."""
    start = time.perf_counter()
    for path in paths:
        with open_reader(path) as reader:
            for _ in read_blocks(reader, BLOCK_FRAMES):
                pass
    return time.perf_counter() - start


def null(a: Path, b: Path) -> float:
    """Seconds that the null test takes."""
    start = time.perf_counter()
    finish(null_test(a, b))
    return time.perf_counter() - start


def variants(source: Path, folder: Path) -> dict[str, Path]:
    """The second file of each case, made from the first: 16-bit FLAC like it."""
    samples, rate = soundfile.read(source, dtype="int16", always_2d=True)
    noise = np.random.default_rng(1).integers(-3, 4, samples.shape, dtype=np.int16)
    cases = {
        "identical": samples,
        "one sample differs": np.concatenate([samples[:-1], np.bitwise_xor(samples[-1:], 1)]),
        "differs throughout": (np.clip(samples, -32000, 32000) + noise).astype(np.int16),
        "delayed 1000": np.concatenate([np.zeros_like(samples[:1000]), samples[:-1000]]),
    }
    paths = {name: folder / f"{index}.flac" for index, name in enumerate(cases)}
    for name, path in paths.items():
        soundfile.write(path, cases[name], rate, subtype="PCM_16")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with masters/ (default: UNBAKE_TEST_DATA, ../shared/data)")
    data = data_folder(parser.parse_args().data)
    files = ["masters/singularity_Awakening.flac", "multitracks/eif-lithium/mixture.flac"]
    sources = [data / name for name in files if (data / name).is_file()]
    if not sources:
        raise SystemExit(f"no music in {data}: give --data")
    importlib.import_module("scipy.signal")  # 1.5 s that are not what is measured
    print(f"{'file':32} {'case':20} {'decode both':>11} {'null test':>11} {'ratio':>6} {'x real time':>11}")
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            with open_reader(source) as reader:
                seconds = reader.info.seconds
            for case, other in variants(source, Path(folder)).items():
                rounds = [(decode(source, other), null(source, other)) for _ in range(ROUNDS)]
                bare, tested = (min(times) for times in zip(*rounds, strict=True))
                name = source.parent.name if source.stem == "mixture" else source.stem
                times = f"{bare:9.3f} s {tested:9.3f} s {tested / bare:6.2f} {seconds / tested:11.0f}"
                print(f"{name:32} {case:20} {times}")


if __name__ == "__main__":
    main()
