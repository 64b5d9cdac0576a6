"""A worker without a process: the same operations on a thread of the test, so that a pilot test starts at once."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable

import msgspec

from core.errors import UnbakeError
from core.events import Note, Progress
from core.jobs import messages, operations


class InProcessWorker:
    """What `core.jobs.client.Worker` is to the app."""

    def __init__(self, name: str, tell: Callable[[messages.Answer], None]) -> None:
        del name
        self._tell = tell
        self._numbers = itertools.count(1)
        self._queue: queue.SimpleQueue[tuple[int, messages.Request] | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self.killed = False
        threading.Thread(target=self._carry, daemon=True).start()

    def submit(self, request: messages.Request) -> int:
        number = next(self._numbers)
        self._queue.put((number, request))
        return number

    def cancel(self, number: int) -> None:
        self._cancelled.add(number)

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self._queue.put(None)

    def _carry(self) -> None:
        while (found := self._queue.get()) is not None:
            number, request = found
            operation = operations.carry_out(msgspec.to_builtins(request))
            try:
                while number not in self._cancelled:
                    event = next(operation)
                    if isinstance(event, Progress):
                        answer = messages.Progressed(
                            number, event.stage, event.done, event.total, event.seconds, event.in_bytes
                        )
                        self._tell(answer)
                    elif isinstance(event, Note):
                        self._tell(messages.Noted(number, event.text))
                operation.close()
                self._tell(messages.Cancelled(number))
            except StopIteration as stop:
                self._tell(messages.Finished(number, stop.value))
            except UnbakeError as error:
                self._tell(messages.Failed.by(number, error))
