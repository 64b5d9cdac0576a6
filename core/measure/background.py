"""A meter on a thread of its own, for whoever makes the blocks and should not wait for it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from core.audio.formats import Block

WAITING: Final = 2
"""Blocks that may wait for the meter: enough to keep it busy, few enough to bound memory."""


class Meter(Protocol):
    """What takes blocks, float64 [channels, frames]."""

    def push(self, block: Block) -> None:
        """Takes the next block."""
        ...


M = TypeVar("M", bound=Meter)


class Background(Generic[M]):
    """A meter fed through a short queue, as a context manager. A pushed block must not be altered any more."""

    def __init__(self, meter: M) -> None:
        self._meter = meter
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="meter")
        self._queue: deque[Future[None]] = deque()

    def push(self, block: Block) -> None:
        """Takes the next block; waits only when the meter is several behind. Raises what the meter raised at them."""
        self._queue.append(self._thread.submit(self._meter.push, block))
        while len(self._queue) > WAITING:
            self._queue.popleft().result()

    def done(self) -> M:
        """The meter, once it has taken all that was pushed."""
        while self._queue:
            self._queue.popleft().result()
        return self._meter

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Background[M]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
