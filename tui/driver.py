"""The terminal as the app meets it: what it can't show is replaced, and a line that drops is an end, not a crash.

Textual's own driver takes every byte for UTF-8, goes on asking a terminal that is gone, and waits for ever for one that
takes nothing any more.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import selectors
import sys
from typing import IO, TYPE_CHECKING, Any, cast

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from tui.signs import Signs

if TYPE_CHECKING:
    from tui.app import Workstation

READ_BYTES = 4096
LOOK_SECONDS = 0.1


class Outlet:
    """Where the app writes: through the table of signs, and nowhere once the terminal is gone."""

    def __init__(self, file: IO[str], signs: Signs) -> None:
        self._file = file
        self._signs = signs if signs.needed else None

    def write(self, text: str) -> None:
        """Writes what the terminal can show."""
        shown = text if self._signs is None or text.isascii() else text.translate(self._signs)
        with contextlib.suppress(OSError):
            self._file.write(shown)

    def flush(self) -> None:
        """Sends it."""
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        """The terminal's descriptor."""
        return self._file.fileno()


class TerminalDriver(LinuxDriver):
    """Textual's driver with these three things mended."""

    def __init__(self, app: Workstation, **words: Any) -> None:
        super().__init__(app, **words)
        self._workstation = app
        if isinstance(sys.__stderr__, io.TextIOWrapper):
            sys.__stderr__.reconfigure(errors="replace")  # a name that is no text takes one cell a byte, not six
        self._file = Outlet(cast("IO[str]", self._file), app.signs)

    def run_input_thread(self) -> None:
        """Turns what is typed into events until the app is told to stop, or the terminal is gone."""
        decode = codecs.getincrementaldecoder("utf-8")("ignore").decode
        parser = XTermParser(self._debug)
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                typed = ""
                if selector.select(LOOK_SECONDS):
                    data = self._read()
                    if not data:
                        self._workstation.hang_up()
                        break
                    typed = decode(data)
                try:
                    for event in parser.feed(typed) if typed else parser.tick():
                        self.process_message(event)
                except (ValueError, OverflowError):
                    # half a sequence, as noise on a line makes them: it is dropped with what came along with it
                    parser = XTermParser(self._debug)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, READ_BYTES)
        except OSError:
            return b""
