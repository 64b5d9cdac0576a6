"""Paths as people read and type them. Only the standard library."""

from __future__ import annotations

from pathlib import Path


def short(path: Path | str) -> str:
    """A path from the home folder where it lies there: `~/masters/song.wav`. Bytes that are no text become signs."""
    path = Path(path)
    try:
        text = f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        text = str(path)
    return text.removesuffix("/.").encode("utf-8", "replace").decode()
