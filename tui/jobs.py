"""The app's jobs: requests handed to the worker processes, awaited by whoever asked, and told to the jobs line.

Three processes: "device" separates and renders and is the only one that ever imports torch; "analysis" measures and
proves meanwhile; "transfer" fetches weights, and is not even started before. Their answers arrive on threads, which
only post messages; `take` runs in the app's own loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from textual.message import Message

from core.errors import UnbakeError
from core.jobs import messages
from core.jobs.client import Worker

if TYPE_CHECKING:
    from textual.app import App

Lane = Literal["device", "analysis", "transfer"]


class WorkerLike(Protocol):
    """What the app needs of a worker."""

    def submit(self, request: messages.Request) -> int:
        """Queues a request and gives the number of its job."""
        ...

    def cancel(self, number: int) -> None:
        """Asks a job to stop."""
        ...

    def kill(self) -> None:
        """Ends the job that runs, at once."""
        ...

    def close(self) -> None:
        """Ends everything."""
        ...


MakeWorker = Callable[[str, Callable[[messages.Answer], None]], WorkerLike]
LANES: tuple[Lane, ...] = ("device", "analysis", "transfer")


class Answered(Message):
    """A worker said something; progress that was not shown yet gives way to newer progress of the same job."""

    def __init__(self, lane: Lane, answer: messages.Answer) -> None:
        super().__init__()
        self.lane: Lane = lane
        self.answer = answer

    def can_replace(self, message: Message) -> bool:
        """Whether this makes an older message needless."""
        return (
            isinstance(message, Answered)
            and isinstance(self.answer, messages.Progressed)
            and isinstance(message.answer, messages.Progressed)
            and (message.lane, message.answer.job) == (self.lane, self.answer.job)
        )


class JobStoppedError(Exception):
    """The job was cancelled by the engineer."""


class WorkerDiedError(UnbakeError):
    """The process that was at the job is gone; nothing is known of the job itself."""


@dataclass
class Job:
    """A request that is on its way. `quiet` ones are not worth a line of their own."""

    number: int
    lane: Lane
    title: str
    quiet: bool
    ended: asyncio.Future[Any]
    begun: float = field(default_factory=time.monotonic)
    stage: str = ""
    done: int = 0
    total: int = 0
    first_done: int = 0
    seconds: float | None = None
    in_bytes: bool = False
    stopping: bool = False

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1; None when it can't be said."""
        return self.done / self.total if self.total else None

    @property
    def speed(self) -> float | None:
        """Seconds of audio per second since the stage began; None when it can't be said."""
        took = time.monotonic() - self.begun
        if not self.total or self.seconds is None or took < 0.2 or self.done <= self.first_done:
            return None
        return (self.done - self.first_done) / self.total * self.seconds / took

    @property
    def bytes_per_second(self) -> float | None:
        """The rate of a transfer since the stage began; None when it can't be said."""
        took = time.monotonic() - self.begun
        if not self.in_bytes or took < 0.2 or self.done <= self.first_done:
            return None
        return (self.done - self.first_done) / took

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the stage's own pace; None when it can't be said."""
        took = time.monotonic() - self.begun
        if not self.total or took < 0.5 or self.done <= self.first_done:
            return None
        return (self.total - self.done) * took / (self.done - self.first_done)


class Jobs:
    """Every job that runs or waits."""

    def __init__(self, app: App[Any], make_worker: MakeWorker = Worker) -> None:
        self._workers = {lane: make_worker(lane, self._teller(app, lane)) for lane in LANES}
        self._jobs: dict[tuple[Lane, int], Job] = {}

    @staticmethod
    def _teller(app: App[Any], lane: Lane) -> Callable[[messages.Answer], None]:
        def tell(answer: messages.Answer) -> None:
            app.post_message(Answered(lane, answer))

        return tell

    @property
    def shown(self) -> Job | None:
        """The job that the jobs line is about: the longest there of those that are worth a line."""
        return next((job for job in self._jobs.values() if not job.quiet), None)

    def on(self, lane: Lane) -> list[Job]:
        """What runs and waits on a lane."""
        return [job for job in self._jobs.values() if job.lane == lane]

    @property
    def waiting(self) -> int:
        """How many more are worth a line."""
        return max(0, sum(1 for job in self._jobs.values() if not job.quiet) - 1)

    async def run(self, request: messages.Request, title: str, *, lane: Lane = "device", quiet: bool = False) -> Any:
        """The result of a request. Raises UnbakeError when it fails and JobStoppedError when it was cancelled."""
        number = self._workers[lane].submit(request)
        job = Job(number, lane, title, quiet, asyncio.get_running_loop().create_future())
        self._jobs[lane, number] = job
        try:
            return await job.ended
        except asyncio.CancelledError:
            self._workers[lane].cancel(number)
            raise
        finally:
            self._jobs.pop((lane, number), None)

    def take(self, lane: Lane, answer: messages.Answer) -> str | None:
        """Notes an answer; gives a line for the engineer when there is something to say."""
        job = self._jobs.get((lane, answer.job))
        if job is None:
            return None
        match answer:
            case messages.Progressed(stage=stage, done=done, total=total, seconds=seconds):
                if stage != job.stage:
                    job.stage, job.begun, job.first_done = stage, time.monotonic(), done
                job.done, job.total, job.seconds, job.in_bytes = done, total, seconds, answer.in_bytes
            case messages.Noted(text=text):
                return text
            case messages.Finished(result=result):
                self._end(job, result)
            case messages.Cancelled():
                self._end(job, JobStoppedError())
            case messages.Failed():
                self._end(job, answer.error())
            case messages.Crashed(text=text) | messages.Died(text=text):
                remedy = "ask again: it starts anew, what is done is kept"
                self._end(job, WorkerDiedError(text, where=job.title, remedy=remedy))
        return None

    def cancel(self, job: Job) -> None:
        """Asks a job to stop; asked twice, its process is ended at once."""
        if (job.lane, job.number) not in self._jobs:
            return  # it ended while the engineer was asked; what runs now is another
        if job.stopping:
            self._workers[job.lane].kill()
        job.stopping = True
        self._workers[job.lane].cancel(job.number)

    def close(self) -> None:
        """Ends the processes; a separation keeps what it has."""
        for worker in self._workers.values():
            worker.close()

    def _end(self, job: Job, outcome: Any) -> None:
        if job.ended.done():
            return
        if isinstance(outcome, Exception):
            job.ended.set_exception(outcome)
        else:
            job.ended.set_result(outcome)
