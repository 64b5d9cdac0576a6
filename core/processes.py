"""Processes of ours: a program at the other end of two pipes, what it printed, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import BinaryIO, Final, NamedTuple

SAID_LINES: Final = 20
SAID_BYTES: Final = 8192


class Spawned(NamedTuple):
    """A process, the pipe it is told by, the pipe it answers by, and the file that takes what libraries print."""

    popen: subprocess.Popen[bytes]
    orders: int
    answers: int
    log: BinaryIO


def spawn(command: Sequence[str]) -> Spawned:
    """Starts a program with the descriptors of its two pipes as its last arguments.

    It has a session of its own, so that no key pressed in the terminal reaches it. Raises OSError.
    """
    with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as its_own:
        orders_out, orders_in = os.pipe()
        its_own.callback(os.close, orders_out)
        on_failure.callback(os.close, orders_in)
        answers_out, answers_in = os.pipe()
        its_own.callback(os.close, answers_in)
        on_failure.callback(os.close, answers_out)
        log = on_failure.enter_context(tempfile.TemporaryFile())
        popen = subprocess.Popen(
            [*command, str(orders_out), str(answers_in)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(orders_out, answers_in),
            start_new_session=True,
        )
        on_failure.pop_all()
        return Spawned(popen, orders_in, answers_out, log)


def how_it_ended(status: int, said: str, what: str) -> str:
    """The end of a process in words; `what` is what it is called."""
    how = f"{what} ended with exit status {status}"
    if status < 0:
        name = signal.strsignal(-status) or "stopped"
        how = f"{what} died: {name.lower()} (signal {-status})"
    if status == -signal.SIGKILL:
        how += "; the system may have run out of memory"
    return f'{how}; it last said "{said.splitlines()[-1]}"' if said else how


def last_words(log: BinaryIO) -> str:
    """The last lines in a file, without what a terminal would take for commands."""
    size = os.fstat(log.fileno()).st_size
    text = os.pread(log.fileno(), SAID_BYTES, max(0, size - SAID_BYTES)).decode(errors="replace")
    lines = ["".join(char for char in line if char.isprintable()).rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line][-SAID_LINES:])
