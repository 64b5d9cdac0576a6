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
from textual.await_complete import AwaitComplete
from textual.message import Message
from textual.message_pump import MessagePump

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
    """An exception as one line of text."""
    return " ".join(traceback.format_exception_only(error)[-1].split())


class Guarded(MessagePump):
    """A screen whose handlers may fail without its message loop ending; what makes it a screen at all may not."""

    async def _on_message(self, message: Message) -> None:
        try:
            await super()._on_message(message)
        except Exception as error:
            if isinstance(message, (events.Compose, events.Mount)):
                raise
            cast("Workstation", self.app).met(error)

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """As a screen's; told twice (a triple click), it closes itself and not what lies below."""
        if self.app.screen is not self:
            return AwaitComplete()
        return super().dismiss(result)  # pyright: ignore[reportAttributeAccessIssue]
