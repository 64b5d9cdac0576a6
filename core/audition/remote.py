"""The app's side of the player's process: orders go, answers come, and nothing here waits.

The process is started by the first order and again after it died, with what it has to know: the way out, what is shown,
the loop and the stream.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable

from core import wire
from core.audition import messages
from core.audition.messages import Answer, Gone, Order
from core.processes import Spawned, how_it_ended, last_words, spawn

COMMAND = (sys.executable, "-u", "-P", "-c", "from core.audition.process import main; main()")
LEAVE_SECONDS = 2.0
KEPT = (
    messages.Open,
    messages.Show,
    messages.SetLoop,
    messages.Mark,
    messages.Blind,
    messages.Choose,
    messages.MatchLevels,
)
"""Orders that a new process is told again, in this order, the last of each kind."""


class Remote:
    """One player's process. `tell` gets every answer, from a thread that is not the caller's."""

    def __init__(self, tell: Callable[[Answer], None]) -> None:
        self._tell = tell
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._kept: dict[type, Order] = {}
        self._process: Spawned | None = None
        self._closing = False
        self._courier = threading.Thread(target=self._carry, name="player courier", daemon=True)
        self._courier.start()

    @property
    def pid(self) -> int | None:
        """The number of the process, while there is one."""
        process = self._process
        return None if process is None else process.popen.pid

    def order(self, order: Order) -> None:
        """Hands an order on, from any thread."""
        self._orders.put(order)

    def close(self) -> None:
        """Ends the process, 2 s or little more, after which it is killed."""
        self._closing = True
        self._orders.put(None)
        self._courier.join(2 * LEAVE_SECONDS)

    def _carry(self) -> None:
        while (order := self._orders.get()) is not None:
            if isinstance(order, KEPT):
                self._kept[type(order)] = order
            try:
                if self._process is None:
                    self._start()
                    for kind in KEPT:
                        if kind in self._kept and self._kept[kind] is not order:
                            self._send(self._kept[kind])
                self._send(order)
            except OSError as error:
                self._tell(Gone(f"the player can't be started: {error.strerror or error}"))
            except UnicodeEncodeError:
                self._tell(messages.Refused("a name that is not valid UTF-8", remedy="rename the file"))
        if self._process is not None:
            self._hang_up(self._process)

    def _start(self) -> None:
        self._process = spawn(COMMAND)
        threading.Thread(target=self._listen, args=(self._process,), name="player listener", daemon=True).start()

    def _send(self, order: Order) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(BrokenPipeError):  # the listener hears of its end
                wire.write_frame(process.orders, wire.encode(order))

    def _listen(self, process: Spawned) -> None:
        with process.log:
            try:
                while (data := wire.read_frame(process.answers)) is not None:
                    self._tell(messages.ANSWERS.decode(data))
            except Exception as error:
                process.popen.kill()
                self._tell(messages.Refused(f"the player said what can't be read ({error})"))
            os.close(process.answers)
            status = process.popen.wait()
            said = last_words(process.log)
        if self._process is process:
            self._process = None
        if not self._closing:
            self._tell(Gone(how_it_ended(status, said, "the player")))

    def _hang_up(self, process: Spawned) -> None:
        os.close(process.orders)
        try:
            process.popen.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            process.popen.kill()
