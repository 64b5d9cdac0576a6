"""The app as a process of its own in a pseudo-terminal: what it writes, how it ends, and what it leaves behind."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

TOKEN = re.compile(
    r"\x1b\[([0-9;?<>=]*)[ -/]*([@-~])|\x1b\][^\x07]*\x07|\x1b[^\[\]]|[\x00-\x1a\x1c-\x1f\x7f]|[^\x00-\x1f\x7f]+"
)
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


class Terminal:
    """`unbake WORDS` in a terminal, or with `code` what Python does with that before it opens the app."""

    def __init__(
        self,
        *words: object,
        size: tuple[int, int] = (100, 30),
        encoding: str = "utf-8",
        code: str = "",
        before: Callable[[], None] | None = None,
        **environ: str,
    ) -> None:
        self.columns, self.rows = size
        self.written = b""
        self._cells = [[" "] * self.columns for _ in range(self.rows)]
        self._row = self._column = 0
        self._rest = ""
        self._decode = codecs.getincrementaldecoder(encoding)("replace").decode
        self.line, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        self.modes = termios.tcgetattr(theirs)
        program = f"{code}\nimport sys; from tui.__main__ import main; sys.exit(main(sys.argv[1:]))"

        def own_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if before is not None:
                before()

        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={
                **os.environ,
                "COLUMNS": str(self.columns),
                "LINES": str(self.rows),
                "TERM": "xterm-256color",
                **environ,
            },
            start_new_session=True,
            preexec_fn=own_terminal,
        )
        self._theirs = theirs

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        children = self.children()
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.line)
        os.close(self._theirs)
        for child in children:
            gone(child)

    def type(self, keys: str | bytes) -> None:
        os.write(self.line, keys if isinstance(keys, bytes) else keys.encode())

    def read(self, seconds: float) -> None:
        """Takes what is written within a time."""
        if select.select([self.line], [], [], max(0.0, seconds))[0]:
            with contextlib.suppress(OSError):
                data = os.read(self.line, 1 << 16)
                self.written += data
                self._draw(self._decode(data))

    def until(self, condition: Callable[[], object] | str, seconds: float = SECONDS) -> None:
        """Reads until words are on the screen, or something else is true."""
        end = time.monotonic() + seconds
        while not (condition in self.text() if isinstance(condition, str) else condition()):
            if time.monotonic() > end:
                what = repr(condition) if isinstance(condition, str) else "it"
                raise AssertionError(f"waited {seconds} s for {what}; the screen:\n{self.text()}")
            self.read(0.05)

    def ended(self, seconds: float = SECONDS) -> int:
        """The exit code, once it has left."""
        self.until(lambda: self.process.poll() is not None, seconds)
        for _ in range(3):
            self.read(0.05)
        assert self.process.returncode is not None
        return self.process.returncode

    def hang_up(self) -> None:
        """The line drops."""
        os.close(self._theirs)
        os.close(self.line)
        self.line, self._theirs = os.pipe()

    def text(self) -> str:
        """The screen."""
        return "\n".join("".join(row).rstrip() for row in self._cells)

    def said(self) -> str:
        """What was written after the screen was given back, without the sequences."""
        after = self.written.rpartition(b"\x1b[?1049l")[2].decode("utf-8", "replace")
        return "".join(each[0] for each in TOKEN.finditer(after) if not each[0].startswith("\x1b")).replace("\r", "")

    def children(self) -> list[int]:
        """The processes that it started."""
        files = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        with contextlib.suppress(OSError):
            return [int(word) for file in files for word in file.read_text().split()]
        return []

    def _draw(self, text: str) -> None:
        text = self._rest + text
        end = text.rfind("\x1b")
        text, self._rest = (text[:end], text[end:]) if end >= 0 and not TOKEN.match(text, end) else (text, "")
        for token in TOKEN.finditer(text):
            if token[2] == "H":
                row, _, column = token[1].partition(";")
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
            elif token[0] >= " ":
                for character in token[0]:
                    if self._row < self.rows and self._column < self.columns:
                        self._cells[self._row][self._column] = character
                    self._column += 1


def gone(pid: int, seconds: float = 20.0) -> None:
    """Waits until a process has left; one that does not is ended, and fails the test."""
    end = time.monotonic() + seconds
    while _runs(pid):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"process {pid} is still there after {seconds} s")
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
