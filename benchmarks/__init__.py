"""Speed and quality, measured side by side in one run. Each module is a program: `python -m benchmarks.NAME`."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(given: Path | None = None) -> Path:
    """The folder of real audio: as given, else UNBAKE_TEST_DATA, else ../shared/data beside the checkout."""
    folder = given or Path(os.environ.get("UNBAKE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        raise SystemExit(f"no test audio in {folder}: give --data DIR or set UNBAKE_TEST_DATA")
    return folder
