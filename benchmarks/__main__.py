"""`python -m benchmarks`: every benchmark that takes minutes rather than an hour, one after the other."""

from __future__ import annotations

import subprocess
import sys

PROGRAMS = (
    "startup",
    "loudness",
    "null",
    "overview",
    "render",
    "strips",
    "seams",
    "separation",
    "known",
    "repair",
    "screen",
    "screen_meters",
)


def main() -> int:
    """Runs each in a process of its own; the first that fails ends it."""
    for program in PROGRAMS:
        print(f"\n== python -m benchmarks.{program}", flush=True)
        if code := subprocess.run([sys.executable, "-m", f"benchmarks.{program}"], check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
