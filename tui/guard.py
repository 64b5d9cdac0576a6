"""The last line of defence: what becomes of an exception that nobody expected.

The document is an immutable value: an edit replaces it in one step, and the journal has it already. So a mistake of
ours in a handler, in an action, in what follows a panel or in a thread leaves at worst a stale picture, and the app
stays up: a notice names the log that holds the traceback. What draws or lays out can't be left out like that, and
Textual has ended the message loop where it happened: a screen that is deaf is worse than none. Then the edits go to the
journal, the terminal is given back as it was found, and one line says where the traceback is.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import traceback
from typing import TYPE_CHECKING, Any, cast

from textual import events
from textual._callback import invoke
from textual.await_complete import AwaitComplete
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import ModalScreen
from textual.timer import Timer, TimerCallback

from core.places import home
from tui.paths import short

if TYPE_CHECKING:
    from tui.app import Workstation


def write_down(error: BaseException) -> str:
    """Puts a traceback into the log of this process, and says where that is, or that it could not be written."""
    now = datetime.datetime.now().astimezone()
    log = home() / "logs" / f"{now:%Y-%m-%d}-{os.getpid()}.log"
    about = f"{now:%Y-%m-%d %H:%M:%S%z}  Python {platform.python_version()}, {platform.platform()}, {sys.argv}\n"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(about + "".join(traceback.format_exception(error)) + "\n")
    except OSError as problem:
        return f"it could not be written to {log}: {(problem.strerror or str(problem)).lower()}"
    return f"written down in {short(log)}"


def in_a_line(error: BaseException) -> str:
    """An exception as one line of text, not too long to be read."""
    return " ".join(traceback.format_exception_only(error)[-1].split())[:400]


class Guarded(MessagePump):
    """A screen whose handlers and timers may fail without the end of its message loop.

    A panel that can't even be put up is taken away again; without its desk there is no app.
    """

    async def _on_message(self, message: Message) -> None:
        try:
            await super()._on_message(message)
        except Exception as error:
            if isinstance(message, (events.Compose, events.Mount)):
                if not isinstance(self, ModalScreen):
                    raise
                self.dismiss()
            self._met(error)

    def set_timer(self, delay: float, callback: TimerCallback | None = None, **words: Any) -> Timer:
        """As Textual's."""
        if callback is None:
            return super().set_timer(delay, **words)

        async def guarded() -> None:
            try:
                await invoke(callback)
            except Exception as error:
                self._met(error)

        return super().set_timer(delay, guarded, **words)

    def _met(self, error: Exception) -> None:
        cast("Workstation", self.app).met(error)

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """As a screen's; told twice (a triple click), it closes itself and not what lies below."""
        if self.app.screen is not self:
            return AwaitComplete()
        return super().dismiss(result)  # pyright: ignore[reportAttributeAccessIssue]
