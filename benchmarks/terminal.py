"""A program in a pseudo-terminal and what it has drawn there, for the benchmarks that watch the app from outside.

`Picture` understands what Textual writes and no more: moves, colours and text of narrow characters.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

COLUMNS, ROWS = 200, 50
TOKEN = re.compile(r"\x1b\[([0-9;?<>=]*)[ -/]*([@-~])|\x1b[^\[]|[\x00-\x1a\x1c-\x1f\x7f]|[^\x00-\x1f\x7f]+")
READ_BYTES = 1 << 16
LEAVE_SECONDS = 30.0


class Picture:
    """Cells with the colours they were written in; "" is a cell that nothing was written to yet."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self.columns, self.rows = columns, rows
        self._cells = [[""] * columns for _ in range(rows)]
        self._colours = [[""] * columns for _ in range(rows)]
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._row = self._column = 0
        self._colour = ""

    def feed(self, data: bytes) -> set[int]:
        """Takes what was written and gives the rows that look different now."""
        text = self._rest + self._decode(data)
        end = text.rfind("\x1b")
        if end >= 0 and TOKEN.match(text, end) is None:  # a sequence whose end is still to come
            text, self._rest = text[:end], text[end:]
        else:
            self._rest = ""
        changed = set()
        for token in TOKEN.finditer(text):
            values, verb = token[1], token[2]
            if verb == "H":
                row, _, column = values.partition(";")
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
            elif verb == "m":
                self._colour = "" if values in ("", "0") else f"{self._colour};{values}"
            elif verb is None and token[0] >= " " and self._write(token[0]):
                changed.add(self._row)
        return changed

    def text(self, row: int) -> str:
        """A row as text."""
        return "".join(cell or " " for cell in self._cells[row])

    def looks(self, row: int) -> str:
        """A row as text and colours."""
        return self.text(row) + "".join(self._colours[row])

    def row_of(self, words: str) -> int | None:
        """The first row that holds some words."""
        return next((row for row in range(self.rows) if words in self.text(row)), None)

    def __contains__(self, words: str) -> bool:
        return self.row_of(words) is not None

    @property
    def whole(self) -> bool:
        """Whether every cell was written."""
        return all(all(row) for row in self._cells)

    def _write(self, text: str) -> bool:
        here = slice(self._column, min(self.columns, self._column + len(text)))
        length = max(0, here.stop - here.start)
        cells, colours = list(text[:length]), [self._colour] * length
        differs = self._cells[self._row][here] != cells or self._colours[self._row][here] != colours
        if differs:
            self._cells[self._row][here] = cells
            self._colours[self._row][here] = colours
        self._column += len(text)
        return differs


class Terminal:
    """A program in a terminal of 200x50; a context manager that ends it."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self.picture = Picture()
        self.bytes = 0
        """How much was written so far."""
        self.began = time.perf_counter()
        self._pid, self._line = pty.fork()
        if not self._pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execve(words[0], list(words), {**environ, "TERM": "xterm-256color"})

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        files = Path(f"/proc/{self._pid}/task").glob("*/children")
        workers = [int(word) for file in files for word in file.read_text().split()]
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._line)
        end = time.perf_counter() + LEAVE_SECONDS
        for worker in workers:  # they leave by themselves, and write into folders until then
            while Path(f"/proc/{worker}").exists():
                time.sleep(0.05)
                if time.perf_counter() > end:
                    os.kill(worker, signal.SIGKILL)

    def type(self, keys: str) -> float:
        """Presses keys; gives when."""
        os.write(self._line, keys.encode())
        return time.perf_counter()

    def read(self, seconds: float) -> tuple[float, set[int]]:
        """Waits so long for something to be written: when it was there, and the rows that look different now."""
        if not select.select([self._line], [], [], max(0.0, seconds))[0]:
            return time.perf_counter(), set()
        try:
            data = os.read(self._line, READ_BYTES)
        except OSError as error:
            raise SystemExit(f"the program in the terminal ended:\n{self.shown()}") from error
        at = time.perf_counter()
        self.bytes += len(data)
        return at, self.picture.feed(data)

    def until(self, condition: Callable[[], object], what: str, seconds: float = 120.0) -> float:
        """Reads until something is on the screen; gives when it was there."""
        at = time.perf_counter()
        end = at + seconds
        while not condition():
            if at > end:
                raise SystemExit(f"waited {seconds:.0f} s for {what}:\n{self.shown()}")
            at, _ = self.read(end - time.perf_counter())
        return at

    def settle(self, seconds: float = 1.0, at_most: float = 120.0) -> float:
        """Reads until nothing was written for so long; gives when the last was."""
        start = last = time.perf_counter()
        while last - start < at_most:
            before = self.bytes
            at, _ = self.read(last + seconds - time.perf_counter())
            if self.bytes == before:
                return last
            last = at
        raise SystemExit(f"the screen is not at rest after {at_most:.0f} s:\n{self.shown()}")

    def shown(self) -> str:
        """The screen as text."""
        return "\n".join(self.picture.text(row).rstrip() for row in range(self.picture.rows))


def private(folder: Path) -> dict[str, str]:
    """An environment with places of unbake's own in a folder."""
    environ = {**os.environ, "UNBAKE_HOME": str(folder / "home"), "UNBAKE_CACHE": str(folder / "cache")}
    environ.pop("NO_COLOR", None)
    return environ
