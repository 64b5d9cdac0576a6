"""What every part of the desk has in common: its state, how an edit is made, and how it is drawn again."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.message import Message
from textual.screen import Screen

from core.errors import UnbakeError
from core.session.document import Session
from core.session.edits import Change
from tui import actions
from tui.desk.bench import Bench
from tui.desk.messages import About, Trouble
from tui.guard import Guarded
from tui.jobs import Jobs, JobStoppedError

if TYPE_CHECKING:
    from tui.app import Workstation

Work = Coroutine[Any, Any, object]
PANES = ("overview", "lanes", "chain")
SELDOM_SECONDS = 1.0
"""Over a slow line, what moves by itself is drawn again after so long."""


class DeskBase(Guarded, Screen[None]):
    """State and the few ways to change it. Painting is the screen's, actions are the mixins'."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        self.bench = Bench()
        self.said = ""
        self._due: set[Callable[[], None]] = set()
        self._drawn_at: dict[Callable[[], None], float] = {}

    @property
    def workstation(self) -> Workstation:
        """The app, as what it is."""
        return cast("Workstation", self.app)

    @property
    def jobs(self) -> Jobs:
        """The worker processes."""
        assert self.workstation.jobs is not None
        return self.workstation.jobs

    @property
    def pane(self) -> str:
        """The pane that keys go to."""
        focused = self.focused
        return focused.id if focused is not None and focused.id in PANES else "lanes"

    def paint(self) -> None:
        """Draws everything that may have changed."""
        raise NotImplementedError

    def paint_time(self) -> None:
        """Draws the ruler and the overview."""
        raise NotImplementedError

    def editable(self) -> bool:
        """Whether the session can be changed now; says why when it can't."""
        if self.bench.editor is None:
            if self.bench.not_opened is not None:
                self.say(f"not opened: {self.bench.not_opened.what}; {actions.key('file.open')} opens another file")
            else:
                nothing = f"nothing is open: {actions.key('file.open')} opens a file"
                self.say("the file is still being read" if self.bench.located else nothing)
            return False
        if self.bench.read_only:
            self.say(f"read only: {self.bench.why_read_only}")
            return False
        return True

    def edit(self, make: Callable[[Session], Change]) -> bool:
        """Makes a change and keeps it; gives whether anything changed."""
        editor = self.bench.editor
        if editor is None or not self.editable():
            return False
        try:
            change = make(editor.session)
        except UnbakeError as error:
            self.complain(error)
            return False
        if not editor.apply(change):
            return False
        self.after_edit(change.what)
        return True

    def after_edit(self, said: str) -> None:
        """What follows every change of the document: the journal, the proof, the picture."""
        raise NotImplementedError

    def journal_soon(self) -> None:
        """Has what is new in the history brought to the disk."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Says something in the jobs line."""
        self.said = text
        self.show_jobs()

    def show_jobs(self) -> None:
        """Draws the jobs line."""
        raise NotImplementedError

    def show_progress(self) -> None:
        """Draws how far things are."""
        self.seldom(self.show_jobs)

    def seldom(self, draw: Callable[[], None]) -> None:
        """Draws what moves by itself: at once, but over a slow line once a second, and then as it is by then."""
        if not self.workstation.config.low_bandwidth:
            draw()
        elif draw not in self._due:
            left = self._drawn_at.get(draw, -math.inf) + SELDOM_SECONDS - time.monotonic()
            if left <= 0:
                self._draw_due(draw)
            else:
                self._due.add(draw)
                self.set_timer(left, functools.partial(self._draw_due, draw))

    def _draw_due(self, draw: Callable[[], None]) -> None:
        self._due.discard(draw)
        self._drawn_at[draw] = time.monotonic()
        draw()

    def complain(self, error: UnbakeError) -> None:
        """An error as a notice, with what to do about it."""
        self.workstation.complain(error)

    def ask(self, coroutine: Work, group: str = "jobs", *, exclusive: bool = False, once: bool = False) -> None:
        """Runs what takes a while; its errors become notices, a cancelled job a word.

        With `exclusive` it takes the place of what runs in its group, with `once` it gives way to it.
        """
        if once and any(each.group == group and each.node is self and not each.is_finished for each in self.workers):
            coroutine.close()
        else:
            self.run_worker(self._answered(coroutine), group=group, exclusive=exclusive)

    async def _answered(self, coroutine: Work) -> None:
        try:
            await coroutine
        except JobStoppedError:
            self.say("stopped; what was done is kept")
        except Exception as error:
            self.workstation.met(error)
        finally:
            self.show_jobs()

    async def _on_message(self, message: Message) -> None:
        if not (isinstance(message, About) and message.bench is not self.bench):
            await super()._on_message(message)

    def on_trouble(self, message: Trouble) -> None:
        """A thread's error becomes a notice."""
        self.complain(message.error)
