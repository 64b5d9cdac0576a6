"""What the commands have in common: driving an operation to its end with a progress bar, and printing its outcome."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from argparse import Namespace
from typing import Any, TypeVar

import msgspec

from core.atomic import size_in_words
from core.events import Note, Operation, Progress

T = TypeVar("T")


def drive(operation: Operation[T], options: Namespace) -> T:
    """Runs an operation and gives its result. Progress and notes go to stderr; Ctrl+C closes it first.

    A bar is drawn on a terminal only; `--quiet` silences both.
    """
    bar = _Bar() if sys.stderr.isatty() and not options.quiet else None
    said: set[str] = set()
    try:
        while True:
            event = next(operation)
            if isinstance(event, Progress):
                if bar is not None:
                    bar.show(event)
            elif isinstance(event, Note) and not options.quiet and event.text not in said:
                said.add(event.text)
                if bar is not None:
                    bar.clear()
                print(f"unbake: {event.text}", file=sys.stderr, flush=True)
    except StopIteration as stop:
        return stop.value
    finally:
        operation.close()
        if bar is not None:
            bar.close()


class _Bar:
    """One line that says what runs, how far it is, how fast against real time, and how long it will take."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
        )
        self._progress = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self._progress.start()
        self._task: Any = None
        self._stage = ""
        self._began = 0.0
        self._first = 0

    def show(self, event: Progress) -> None:
        """Moves the bar; a new stage starts a new one."""
        now = time.monotonic()
        if event.stage != self._stage or self._task is None:
            self.clear()
            self._stage, self._began, self._first = event.stage, now, event.done
            self._task = self._progress.add_task(event.stage, total=event.total, speed="")
        speed, took = "", now - self._began
        share = (event.done - self._first) / event.total if event.total else 0.0
        if event.in_bytes:
            speed = f"{size_in_words(event.done)} of {size_in_words(event.total)}"
        if share > 0 and took > 0.2:
            if event.seconds:
                speed = f"{share * event.seconds / took:.1f}x"
            elif event.in_bytes:
                speed += f", {size_in_words(round((event.done - self._first) / took))}/s"
        self._progress.update(self._task, completed=event.done, total=event.total, speed=speed)

    def clear(self) -> None:
        """Takes the line away, so that other text can be written."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
            self._progress.refresh()

    def close(self) -> None:
        """Ends the drawing."""
        self._progress.stop()


def emit(options: Namespace, value: Any, text: str) -> None:
    """Prints the outcome on stdout: `value` as one JSON object with `--json`, else `text` for people."""
    if options.json:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    elif text:
        sys.stdout.write(text.rstrip("\n") + "\n")


def table(rows: list[tuple[str, ...]], *, indent: str = "") -> str:
    """Rows in columns as wide as their longest cell; the last is wrapped on a terminal and runs free in a pipe."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)] if rows else []
    lines = []
    for row in rows:
        start = indent + "".join(f"{cell:{width}}  " for cell, width in zip(row, widths, strict=False))
        lines.append(_wrapped(row[-1], start))
    return "\n".join(lines)


def _wrapped(text: str, start: str) -> str:
    room = shutil.get_terminal_size().columns
    # a path is not broken, so that it can be copied
    if not sys.stdout.isatty() or len(start) + len(text) <= room or " " not in text or len(start) > room - 20:
        return (start + text).rstrip()
    hanging = " " * len(start)
    return textwrap.fill(
        text, room, initial_indent=start, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def level(value: float | None, unit: str, *, digits: int = 1) -> str:
    """A figure with its unit, or a dash where there is nothing to measure."""
    return "-" if value is None else f"{value:.{digits}f} {unit}"


def duration(seconds: float) -> str:
    """4:12.345, hours in front where there are any."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:06.3f}" if hours else f"{minutes}:{rest:06.3f}"
