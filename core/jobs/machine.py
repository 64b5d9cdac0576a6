"""The device that separates and its memory, for a glance: cheap, and without torch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

MEMORY = Path("/proc/meminfo")


def glance() -> str:
    """`H200 12/139 GB` where there is an NVIDIA GPU, else `CPU 5/24 GB`; used and whole memory, in GB."""
    return _gpu() or _processor()


def _gpu() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=name,memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout
        name, used, total = (part.strip() for part in said.splitlines()[0].split(","))
        return f"{name.removeprefix('NVIDIA ')} {int(used) / 1024:.0f}/{int(total) / 1024:.0f} GB"
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None  # a driver that does not answer is a machine without a GPU


def _processor() -> str:
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines() if ":" in line)
        total, free = (int(lines[key].split()[0]) / 1e6 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return "CPU"
    return f"CPU {total - free:.0f}/{total:.0f} GB"
