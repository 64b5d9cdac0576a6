"""What the app remembers of a session that is never rendered: where the engineer was, and what was listened to.

It lies beside the session as `NAME.unbake.workspace` (TOML). Losing it costs nothing, so a file that can't be read is
no error; and since solo and mute live here, a forgotten mute can't be rendered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from core import atomic
from core.errors import UnbakeError
from core.events import Note
from core.session import toml

Frame = Annotated[int, Meta(ge=0)]
"""A frame of the source, from 0."""


class Marker(Struct, frozen=True):
    """A named place."""

    frame: Frame
    name: str = ""


class Loop(Struct, frozen=True):
    """A stretch from `first` to `last` (exclusive), played again and again while `on`."""

    first: Frame
    last: Frame
    on: bool = False

    def __post_init__(self) -> None:
        if not self.first < self.last:
            raise ValueError(f"a loop from {self.first} to {self.last} has no length")


class Workspace(Struct, frozen=True):
    """Frames may lie beyond a source that became shorter: who uses them checks that they fit.

    `view` is the stretch that is shown, first to last (exclusive); None the whole file. `strip` is the one that is
    selected, empty for none.
    """

    markers: tuple[Marker, ...] = ()
    loop: Loop | None = None
    playhead: Frame = 0
    view: tuple[Frame, Frame] | None = None
    strip: str = ""
    solo: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()
    spectrogram: bool = False


def path_for(session_path: Path) -> Path:
    """The workspace file of a session file."""
    return session_path.with_name(session_path.name.removesuffix(".toml") + ".workspace")


def load(session_path: Path) -> tuple[Workspace, Note | None]:
    """The workspace of a session; the default where there is none, and with a note where it can't be read.

    Keys that are unknown here (of a newer unbake) are passed over.
    """
    path = path_for(session_path)
    if not path.exists():
        return Workspace(), None
    try:
        text = toml.read_text(path)
        return toml.Origin(str(path), text).convert(toml.parse(text, str(path)), Workspace), None
    except UnbakeError as error:
        return Workspace(), Note(f"{error.line()}: markers, loop and view begin afresh")


def save(session_path: Path, workspace: Workspace) -> None:
    """Writes the workspace of a session, whole or not at all. Raises UnbakeError when it can't be written."""
    tables = msgspec.to_builtins(workspace, order="deterministic")
    atomic.write_text_atomically(path_for(session_path), toml.dump(tables), force=True)
