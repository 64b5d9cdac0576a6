"""The workstation: one Textual app whose first paint needs nothing but Textual.

What the desk is made of (numpy, msgspec, the core) is imported on a thread while the frame is on the screen already.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ComposeResult
from textual.message import Message
from textual.widgets import Static

from tui import config as settings
from tui.theme import THEMES

if TYPE_CHECKING:
    from textual.binding import BindingType

    from tui.jobs import Answered, Jobs, MakeWorker


class Workstation(App[int]):
    """Mastering repair in one screen."""

    TITLE = "unbake"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: $background; color: $foreground; }
    #frame { height: 1; width: 1fr; background: $panel; color: $foreground; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = []

    class Furnished(Message):
        """The desk's modules are imported."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        config: settings.Config | None = None,
        read_only: bool = False,
        make_worker: MakeWorker | None = None,
    ) -> None:
        super().__init__()
        self.path = path
        self.config = config or settings.load()
        self.read_only = read_only
        self.jobs: Jobs | None = None
        self._make_worker = make_worker
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.config.theme
        self.set_keymap({action_id: ",".join(keys) for action_id, keys in self.config.keys.items()})
        if self.config.low_bandwidth:
            self.animation_level = "none"

    def compose(self) -> ComposeResult:
        """The frame that is seen first."""
        yield Static(f" {self.path.name if self.path else 'unbake'}", id="frame", markup=False)

    def on_ready(self) -> None:
        """Imports the desk once the frame is seen."""
        self.run_worker(self._furnish, thread=True)

    def _furnish(self) -> None:
        for module in ("tui.desk.screen", "tui.jobs"):
            importlib.import_module(module)
        self.post_message(self.Furnished())

    def on_workstation_furnished(self) -> None:
        """Puts the desk in place of the frame."""
        from tui.desk.screen import Desk
        from tui.jobs import Jobs

        self.jobs = Jobs(self) if self._make_worker is None else Jobs(self, self._make_worker)
        self.push_screen(Desk(self.path, read_only=self.read_only))
        for problem in self.config.problems:
            self.notify(problem, title="settings", severity="warning", timeout=15, markup=False)

    def on_answered(self, message: Answered) -> None:
        """A worker process said something: the job's state changes here and nowhere else."""
        if self.jobs is None:
            return
        note = self.jobs.take(message.lane, message.answer)
        if note:
            self.notify(note, timeout=10, markup=False)
        for screen in self.screen_stack:
            show_jobs = getattr(screen, "show_jobs", None)
            if show_jobs is not None:
                show_jobs()

    def on_unmount(self) -> None:
        """Leaves no process behind."""
        if self.jobs is not None:
            self.jobs.close()


def run(path: Path | None, *, theme: str | None = None, low_bandwidth: bool = False, read_only: bool = False) -> int:
    """Opens the workstation on a master or a session, and gives the exit code."""
    import dataclasses

    config = settings.load()
    if theme is not None:
        config = dataclasses.replace(config, theme=theme)
    if low_bandwidth:
        config = dataclasses.replace(config, low_bandwidth=True)
    encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
    if encoding.lower().replace("-", "") != "utf8" and sys.__stderr__ is not None:
        # Textual writes to it; what can't be encoded would be drawn as escapes
        sys.__stderr__.reconfigure(encoding="utf-8")  # pyright: ignore[reportAttributeAccessIssue]
        config = dataclasses.replace(
            config,
            glyphs=config.glyphs or "ascii",
            problems=(*config.problems, f"this terminal's locale is {encoding}: set LANG=C.UTF-8 for fine drawings"),
        )
    return Workstation(path, config=config, read_only=read_only).run() or 0
