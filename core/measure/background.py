"""A loudness meter on a thread of its own, for whoever makes the blocks and should not wait for it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from core.audio.formats import Block
from core.measure.loudness import Loudness, LoudnessMeter

_WAITING = 4
"""Blocks that may wait for the meter: enough to keep it busy, few enough to bound memory."""


class BackgroundMeter:
    """A LoudnessMeter fed through a short queue, as a context manager. A pushed block must not be altered any more."""

    def __init__(self, sample_rate: int, speakers: tuple[str, ...], *, fine: bool = False) -> None:
        self._meter = LoudnessMeter(sample_rate, speakers, fine=fine)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loudness")
        self._queue: deque[Future[None]] = deque()

    def push(self, block: Block) -> None:
        """Takes float64 [channels, frames]; waits only when the meter is several blocks behind."""
        self._queue.append(self._thread.submit(self._meter.push, block))
        while len(self._queue) > _WAITING:
            self._queue.popleft().result()

    def result(self) -> Loudness:
        """The figures of everything pushed."""
        while self._queue:
            self._queue.popleft().result()
        return self._meter.result()

    def __enter__(self) -> BackgroundMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
