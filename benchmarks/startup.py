"""How long `unbake --help` takes against an empty Python, in turn: `python -m benchmarks.startup`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 20


def took(*words: str) -> float:
    """Wall seconds of one process."""
    start = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    help_times, empty_times = [], []
    for _ in range(ROUNDS):
        empty_times.append(took(sys.executable, "-c", "pass"))
        help_times.append(took(sys.executable, "-m", "tui", "--help"))
    ours, empty = statistics.median(help_times), statistics.median(empty_times)
    print(f"medians of {ROUNDS}: unbake --help {ours * 1000:.0f} ms, empty Python {empty * 1000:.0f} ms")


if __name__ == "__main__":
    main()
