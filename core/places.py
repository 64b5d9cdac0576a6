"""Where unbake keeps things that are not beside the engineer's own files.

`UNBAKE_HOME` moves user presets, model cards and weights; `UNBAKE_CACHE` moves the stem store. Every package may import
this module; it imports nothing of ours.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """The folder of the user's presets, model cards and weights (not made by asking)."""
    override = os.environ.get("UNBAKE_HOME")
    return Path(override).expanduser() if override else Path(platformdirs.user_data_dir("unbake", appauthor=False))


def cache() -> Path:
    """The folder of the stem store (not made by asking)."""
    override = os.environ.get("UNBAKE_CACHE")
    return Path(override).expanduser() if override else Path(platformdirs.user_cache_dir("unbake", appauthor=False))
