"""What was open lately, newest first: a small text file in `UNBAKE_HOME`, one path a line."""

from __future__ import annotations

from pathlib import Path

from core import atomic, places
from core.errors import UnbakeError

KEPT = 30


def paths() -> list[Path]:
    """The paths, newest first; none where nothing was noted or the note can't be read."""
    try:
        lines = _file().read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [Path(line) for line in lines if line]


def note(path: Path) -> None:
    """Puts a path on top. A list that can't be written is let go: it is a comfort, not work."""
    kept = [path.absolute(), *(other for other in paths() if other != path.absolute())][:KEPT]
    text = "".join(f"{each}\n" for each in kept)
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes_atomically(_file(), text.encode("utf-8", "surrogateescape"), force=True)
    except (OSError, UnbakeError):
        return


def _file() -> Path:
    return places.home() / "recent"
