"""The worker process: carries out one request at a time and says how it goes. The app's side is `core.jobs.client`.

The main thread runs operations, a second one listens for cancels and for the end of the app. What libraries print goes
to the file that the app gave as standard output and error, never among the messages.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from core import wire
from core.errors import refusal
from core.events import Operation, Progress
from core.jobs import messages
from core.jobs.messages import Answer, Outcome

STDERR = 2
NICENESS = 10
"""The app's keys and sound go before the work."""
AUTOGROUP = Path("/proc/self/autogroup")
AUTOGROUP_TRIES = 5
PROGRESS_SECONDS = 0.05
"""Shortest time between two messages about one stage."""


def main() -> None:
    """Serves the app at the other end of the two pipes whose descriptors are the arguments, until it leaves."""
    orders, answers = (int(word) for word in sys.argv[1:3])
    step_back()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    for descriptor in (orders, answers):
        os.set_inheritable(descriptor, False)
    from core.jobs.operations import carry_out

    line = Line(orders, answers)
    while (run := line.next_run()) is not None:
        # Only what was said during the job that kills the process is of interest.
        os.ftruncate(STDERR, 0)
        os.lseek(STDERR, 0, os.SEEK_SET)
        pump(run.job, carry_out(run.request), line.say, functools.partial(line.stopped, run.job))
    os._exit(0)  # torch and its threads would take seconds to leave politely


def step_back() -> None:
    """Lets other programs, the app first among them, have the processor before this one."""
    niceness = os.nice(NICENESS)
    # Linux may share the time out by session. This process has one of its own, so its niceness would count for nothing:
    # the session has to be nice.
    for _ in range(AUTOGROUP_TRIES):
        try:
            AUTOGROUP.write_text(str(niceness))
        except BlockingIOError:  # on the whole machine one such change in 0.1 s is allowed
            time.sleep(0.11)
        except OSError:  # not shared out by session, or not Linux
            return
        else:
            return


class Line:
    """The two pipes to the app. `say` belongs to the main thread."""

    def __init__(self, orders: int, answers: int) -> None:
        self._orders, self._answers = orders, answers
        self._runs: SimpleQueue[messages.Run | None] = SimpleQueue()
        self._cancelled = 0
        self._gone = False
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def next_run(self) -> messages.Run | None:
        """The next job, waiting for it; None when the app has left."""
        run = self._runs.get()
        return None if self._gone else run

    def stopped(self, job: int) -> bool:
        """Whether a job that runs is to be closed."""
        return self._gone or self._cancelled == job

    def say(self, answer: Answer) -> None:
        """Sends an answer; where nobody listens any more, `stopped` is true from then on."""
        try:
            wire.write_frame(self._answers, messages.encode(answer))
        except OSError:
            self._gone = True

    def _listen(self) -> None:
        try:
            while (data := wire.read_frame(self._orders)) is not None:
                order = messages.decode_order(data)
                if isinstance(order, messages.Cancel):
                    self._cancelled = order.job
                else:
                    self._runs.put(order)
        finally:
            self._gone = True
            self._runs.put(None)


def pump(
    job: int,
    operation: Operation[Any],
    say: Callable[[Answer], None],
    stopped: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Runs an operation to its end, its failure or its cancelling, and says all of it.

    The first and the last progress of every stage are said, between them one in `PROGRESS_SECONDS`.
    """
    progress = Thinned(job, say, clock)
    try:
        with contextlib.closing(operation):
            outcome = _run(job, operation, progress, say, stopped)
    except BaseException as error:
        outcome = _failure(job, error)
    progress.flush()
    try:
        say(outcome)
    except Exception as error:  # it holds what can't be sent, such as a name that is not valid UTF-8
        say(_failure(job, error))


def _run(
    job: int,
    operation: Operation[Any],
    progress: Thinned,
    say: Callable[[Answer], None],
    stopped: Callable[[], bool],
) -> Outcome:
    while not stopped():
        try:
            event = next(operation)
        except StopIteration as stop:
            return messages.Finished(job, stop.value)
        if isinstance(event, Progress):
            progress.push(event)
        else:
            progress.flush()
            say(messages.Noted(job, event.text))
    return messages.Cancelled(job)


def _failure(job: int, error: BaseException) -> Outcome:
    refused = refusal(error)
    if refused is not None:
        return messages.Failed.by(job, refused)
    text = traceback.format_exception_only(error)[-1].strip()
    return messages.Crashed(job, text, "".join(traceback.format_exception(error)))


class Thinned:
    """Progress on its way out, so much of it as an eye can follow."""

    def __init__(self, job: int, say: Callable[[Answer], None], clock: Callable[[], float]) -> None:
        self._job, self._say, self._clock = job, say, clock
        self._stage: str | None = None
        self._said_at = 0.0
        self._held: Progress | None = None

    def push(self, event: Progress) -> None:
        """Says an event, or holds it until it is due, overtaken, or the last of its stage."""
        now = self._clock()
        if event.stage != self._stage:
            self.flush()
        self._held = event
        if event.stage != self._stage or now - self._said_at >= PROGRESS_SECONDS:
            self._stage, self._said_at = event.stage, now
            self.flush()

    def flush(self) -> None:
        """Says what is held."""
        held, self._held = self._held, None
        if held is not None:
            said = messages.Progressed(self._job, held.stage, held.done, held.total, held.seconds, held.in_bytes)
            self._say(said)
