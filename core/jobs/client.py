"""The app's side of the worker process: jobs are submitted, queued and cancelled, and what becomes of them is told.

Nothing here blocks the app: a thread of the `Worker`, the courier, starts the process, writes to it and tells the app,
in the order in which things happened; a thread of each process listens to it. What the process does is
`core.jobs.worker`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import BinaryIO, NamedTuple

import msgspec

from core import wire
from core.errors import refusal
from core.jobs import messages
from core.jobs.messages import Answer, Outcome, Request
from core.processes import how_it_ended, last_words, spawn

COMMAND = (sys.executable, "-u", "-P", "-c", "from core.jobs.worker import main; main()")
LEAVE_SECONDS = 2.0
"""How long `close` waits for the process to leave by itself."""


class State(msgspec.Struct, frozen=True):
    """What a worker is at: numbers of jobs. `cancelling`: the running one was asked to stop and has not yet."""

    running: int | None = None
    cancelling: bool = False
    waiting: tuple[int, ...] = ()


class Worker:
    """One worker process and the jobs that wait for it. It is started when there is work, and again after it died.

    `tell` gets every answer, always from one thread that is not the caller's: for each job any number of `Progressed`
    and `Noted`, then exactly one `Outcome`. All methods can be called from any thread.
    """

    def __init__(self, name: str, tell: Callable[[Answer], None]) -> None:
        self._name = name
        self._tell = tell
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        self._cancelling = False
        self._process: _Process | None = None
        self._errands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._carry, name=f"{name} courier", daemon=True).start()

    @property
    def state(self) -> State:
        """What runs and what waits, now."""
        with self._lock:
            running = None if self._running is None else self._running.number
            return State(running, self._cancelling, tuple(job.number for job in self._waiting))

    @property
    def pid(self) -> int | None:
        """The number of the process, while there is one."""
        with self._lock:
            return None if self._process is None else self._process.pid

    def submit(self, request: Request) -> int:
        """Queues a request and gives the number of its job. Jobs run one at a time, in this order."""
        with self._lock:
            number = next(self._numbers)
            try:
                job = _Job(number, request, messages.encode(messages.Run(number, request)))
            except UnicodeEncodeError as error:
                refused = refusal(error)
                if refused is None:
                    raise
                self._answer(messages.Failed.by(number, refused))
                return number
            self._waiting.append(job)
            self._go_on()
            return number

    def cancel(self, number: int) -> None:
        """Drops a job that waits, or asks the process to close the one that runs; nothing for a job that ended.

        The process answers between two steps of its work, until when `state` says `cancelling`.
        """
        with self._lock:
            for job in self._waiting:
                if job.number == number:
                    self._waiting.remove(job)
                    self._answer(messages.Cancelled(number))
                    return
            if self._running is not None and self._running.number == number and self._process is not None:
                self._cancelling = True
                self._do(functools.partial(self._process.write, messages.encode(messages.Cancel(number))))

    def kill(self) -> None:
        """Ends the process now, when it does not answer a `cancel`: its job is cancelled, those that wait go on."""
        with self._lock:
            process = self._let_go()
            self._go_on()
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Cancels all jobs and waits until the process is gone, 2 s or little more, after which it is killed."""
        with self._lock:
            waiting = [job.number for job in self._waiting]
            self._waiting.clear()
            process = self._let_go()
            for number in waiting:
                self._answer(messages.Cancelled(number))
        if process is not None and not process.ended.wait(LEAVE_SECONDS):
            process.kill()
            process.ended.wait(LEAVE_SECONDS)
        told = threading.Event()
        self._do(told.set)
        told.wait(LEAVE_SECONDS)

    def _let_go(self) -> _Process | None:
        """Has done with the process, whose job counts as cancelled. Called under the lock."""
        process, self._process = self._process, None
        if process is not None:
            self._do(process.hang_up)
        if self._running is not None:
            self._end(messages.Cancelled(self._running.number))
        return process

    def _go_on(self) -> None:
        """Gives the process the next job if it is free, and makes one if there is none. Called under the lock."""
        if self._running is not None or not self._waiting:
            return
        self._running = self._waiting.popleft()
        if self._process is None:
            self._process = _Process(self._name, self._heard, self._died)
            self._do(self._process.start)
        self._do(functools.partial(self._process.write, self._running.frame))

    def _end(self, outcome: Outcome) -> None:
        """Has done with the running job. Called under the lock."""
        self._running = None
        self._cancelling = False
        self._answer(outcome)

    def _heard(self, process: _Process, answer: Answer) -> None:
        """Takes what a process said; on its listening thread."""
        job = self._running
        if isinstance(answer, messages.Finished) and job is not None:
            # Outside the lock: the first result imports the modules of all results.
            from core.jobs.operations import typed

            answer = messages.Finished(answer.job, typed(job.request, answer.result))
        with self._lock:
            if process is not self._process or self._running is None or self._running.number != answer.job:
                return  # killed or closed meanwhile
            if isinstance(answer, Outcome):
                self._end(answer)
                self._go_on()
            else:
                self._answer(answer)

    def _died(self, process: _Process, how: str, said: str) -> None:
        """Takes the end of a process that nobody asked for; on its listening thread or the courier."""
        with self._lock:
            if process is not self._process:
                return
            self._process = None
            self._do(process.hang_up)
            if self._running is not None:
                self._end(messages.Died(self._running.number, how, said))
            while self._waiting:
                job = self._waiting.popleft()
                self._answer(messages.Died(job.number, f"{how}, before this job began", said))

    def _answer(self, answer: Answer) -> None:
        self._do(functools.partial(self._tell, answer))

    def _do(self, errand: Callable[[], None]) -> None:
        self._errands.put(errand)

    def _carry(self) -> None:
        """The courier's life."""
        while True:
            errand = self._errands.get()
            try:
                errand()
            except Exception as error:
                # A defect of whoever is told must not end the telling.
                hook = threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
                threading.excepthook(hook)


class _Job(NamedTuple):
    """A request under its number, and as it goes to the process."""

    number: int
    request: Request
    frame: bytes


class _Process:
    """One run of the worker process. `start`, `write` and `hang_up` belong to the courier, the rest to anybody."""

    def __init__(
        self,
        name: str,
        heard: Callable[[_Process, Answer], None],
        died: Callable[[_Process, str, str], None],
    ) -> None:
        self._name, self._heard, self._died = name, heard, died
        self._popen: subprocess.Popen[bytes] | None = None
        self._orders: int | None = None
        self._killed = False
        self.ended = threading.Event()

    @property
    def pid(self) -> int | None:
        """Its number, once it runs."""
        return None if self._popen is None else self._popen.pid

    def start(self) -> None:
        """Starts the process in a session of its own, so that no key pressed in the terminal reaches it."""
        if self._killed:
            self.ended.set()
            return
        try:
            popen, self._orders, answers, log = spawn(COMMAND)
        except OSError as error:
            self.ended.set()
            self._died(self, f"the worker process can't be started: {error}", "")
            return
        self._popen = popen
        if self._killed:
            popen.kill()
        listen = functools.partial(self._listen, popen, answers, log)
        threading.Thread(target=listen, name=f"{self._name} listener", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Sends a message, if there is anybody to read it."""
        if self._orders is not None:
            with contextlib.suppress(BrokenPipeError):  # the listener hears of its end
                wire.write_frame(self._orders, data)

    def hang_up(self) -> None:
        """Closes the line: the process keeps what it has and leaves."""
        orders, self._orders = self._orders, None
        if orders is not None:
            os.close(orders)

    def kill(self) -> None:
        """Ends the process at once, also one that is just being started."""
        self._killed = True
        if self._popen is not None:
            self._popen.kill()

    def _listen(self, popen: subprocess.Popen[bytes], answers: int, log: BinaryIO) -> None:
        """Hands on what the process says until it is gone, and buries it."""
        problem = None
        with log:
            try:
                while (data := wire.read_frame(answers)) is not None:
                    self._heard(self, messages.decode_answer(data))
            except Exception as error:
                problem = f"the worker process said what can't be read ({error})"
                popen.kill()
            os.close(answers)
            status = popen.wait()
            said = last_words(log)
        self.ended.set()
        self._died(self, problem or how_it_ended(status, said, "the worker process"), said)
