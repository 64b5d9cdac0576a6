"""Worker processes for tests: each with everything it said kept in order, and ended with the test."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.jobs import messages
from core.jobs.client import Worker

PATIENCE_SECONDS = 120.0


class Desk:
    """A worker, and what it told so far."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.answers: list[messages.Answer] = []
        self._news = threading.Condition()
        self.worker = Worker("test", self._take)

    def _take(self, answer: messages.Answer) -> None:
        with self._news:
            self.answers.append(answer)
            self._news.notify_all()

    def wait(self, wanted: Callable[[messages.Answer], bool]) -> messages.Answer:
        """The first answer that is wanted, told already or still to come."""
        with self._news:
            self._news.wait_for(lambda: any(wanted(answer) for answer in self.answers), PATIENCE_SECONDS)
            return next(answer for answer in self.answers if wanted(answer))

    def of(self, job: int) -> list[messages.Answer]:
        """What was told of a job."""
        return [answer for answer in self.answers if answer.job == job]

    def progress(self, job: int, stage: str = "") -> messages.Answer:
        """The first progress of a job, or of one of its stages."""
        return self.wait(lambda a: isinstance(a, messages.Progressed) and a.job == job and a.stage.startswith(stage))

    def outcome(self, job: int) -> messages.Outcome:
        """How a job ended."""
        ended = self.wait(lambda answer: answer.job == job and isinstance(answer, messages.Outcome))
        assert isinstance(ended, messages.Outcome)
        return ended

    def result(self, request: messages.Request):
        """What a request gives."""
        ended = self.outcome(self.worker.submit(request))
        assert isinstance(ended, messages.Finished), ended
        return ended.result


def wait_until(what: Callable[[], bool]) -> None:
    """Returns when something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A worker that the tests of a module share; its store is under `cache`."""
    places = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("UNBAKE_HOME", str(places / "home"))
        environment.setenv("UNBAKE_CACHE", str(places / "cache"))
        desk = Desk(places / "cache")
        desk.result(messages.ListStore())
    yield desk
    desk.worker.close()


@pytest.fixture
def own_desk(tmp_path: Path) -> Iterator[Desk]:
    """A worker of the test's own, started when it first asks for something."""
    desk = Desk(tmp_path / "cache")
    yield desk
    desk.worker.kill()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for what comes without an answer."""
    return wait_until


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A short 24-bit song, with the two stems that it is the sum of in `stems` beside it."""
    rng = np.random.default_rng(5)
    (tmp_path / "stems").mkdir()
    time_s = np.arange(44_101) / 44_100
    bass = np.rint((0.2 * np.sin(2 * np.pi * 82 * time_s)[:, None] * [0.9, 1.0]) * 2**23) / 2**23
    other = np.rint(0.05 * rng.standard_normal((len(time_s), 2)) * 2**23) / 2**23
    soundfile.write(tmp_path / "stems" / "bass.wav", bass, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "stems" / "other.wav", other, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "song.wav", bass + other, 44_100, subtype="PCM_24")
    return tmp_path / "song.wav"


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file of silence that takes far longer to measure than a test does, on next to no disk."""
    path, data_bytes = tmp_path / "endless.wav", 4_000_000_000
    header = struct.pack("<4sI8sIHHIIHH", b"RIFF", 36 + data_bytes, b"WAVEfmt ", 16, 1, 2, 44_100, 176_400, 4, 16)
    path.write_bytes(header + struct.pack("<4sI", b"data", data_bytes))
    os.truncate(path, 44 + data_bytes)
    return path
