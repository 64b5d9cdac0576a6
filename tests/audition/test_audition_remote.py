"""The player in a process of its own: orders, answers, death and return."""

from __future__ import annotations

import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.audition import messages
from core.audition.messages import Answer, Gone, Heard, Opened, Refused
from core.audition.monitor import Listening
from core.audition.picture import COLUMNS, peaks_of
from core.audition.remote import Remote
from core.session.document import Strip
from tests.audition.audition_session import FRAMES, RATE
from tests.audition.audition_session import Heard as Given


class Ear:
    """What the process said, and waiting for it."""

    def __init__(self) -> None:
        self.said: list[Answer] = []
        self._news = threading.Condition()

    def __call__(self, answer: Answer) -> None:
        with self._news:
            self.said.append(answer)
            self._news.notify_all()

    def until(self, fits: Callable[[Answer], object], seconds: float = 30.0) -> Answer:
        """The first answer from now or before that fits."""
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for answer in self.said:
                    if fits(answer):
                        return answer
                assert self._news.wait(max(0.0, end - time.monotonic())), self.said[-5:]

    def forget(self) -> None:
        with self._news:
            self.said.clear()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def remote(ear: Ear):
    found = Remote(ear)
    yield found
    found.close()


def show(heard: Given, **changes: object) -> messages.Show:
    session = msgspec.structs.replace(heard.session, **changes)
    return messages.Show(session, {name: str(path) for name, path in heard.stems.items()}, Listening())


def playing(answer: Answer) -> bool:
    return isinstance(answer, Heard) and answer.playing and answer.frame > 0


def test_it_plays_in_real_time_and_says_where_it_is(remote: Remote, ear: Ear, heard: Given) -> None:
    remote.order(messages.Open("clock"))
    remote.order(show(heard))
    ear.until(lambda answer: isinstance(answer, Opened) and answer.way == "clock")
    remote.order(messages.Play(True, RATE))
    found = ear.until(lambda answer: playing(answer) and answer.frame > RATE)  # type: ignore[union-attr]
    assert isinstance(found, Heard)
    assert found.frame < 2 * RATE
    assert max(found.peaks) > 0.01
    matched = ear.until(lambda answer: isinstance(answer, Heard) and answer.source_lufs is not None)
    assert isinstance(matched, Heard)
    assert matched.repair_lufs is not None
    assert matched.source_lufs is not None
    assert matched.gain_db == pytest.approx(min(0.0, matched.source_lufs - matched.repair_lufs))
    remote.order(messages.Choose("difference"))
    ear.until(lambda answer: isinstance(answer, Heard) and answer.stream == "difference" and answer.gain_db == 0.0)
    remote.order(messages.Seek(10))
    remote.order(messages.Play(False))
    ear.until(lambda answer: isinstance(answer, Heard) and not answer.playing and 10 <= answer.frame < RATE)
    assert all(answer.late == 0 for answer in ear.said if isinstance(answer, Heard))


def test_an_edit_and_a_loop_reach_what_plays(remote: Remote, ear: Ear, heard: Given) -> None:
    remote.order(messages.Open("clock"))
    remote.order(show(heard))
    remote.order(messages.SetLoop((1000, 1000 + 6 * RATE // 10)))
    remote.order(messages.MatchLevels(False))
    remote.order(messages.Play(True, 1000))
    ear.until(playing)
    time.sleep(1.0)
    assert all(answer.frame <= 1000 + 6 * RATE // 10 for answer in ear.said if isinstance(answer, Heard))
    remote.order(show(heard, strips={"vocals": Strip(mode="cancel"), "bass": Strip(mode="cancel")}))
    ear.until(lambda answer: isinstance(answer, Heard) and answer.repair_lufs is not None)
    remote.order(show(heard, strips={"residual": Strip(mode="cancel"), "guitar": Strip(mode="cancel")}))
    refused = ear.until(lambda answer: isinstance(answer, Refused))
    assert isinstance(refused, Refused)
    assert "no such stem" in refused.what
    ear.forget()
    ear.until(playing)


def test_the_page_is_served_and_told(remote: Remote, ear: Ear, heard: Given) -> None:
    remote.order(messages.Open("browser", port=0))
    remote.order(show(heard))
    opened = ear.until(lambda answer: isinstance(answer, Opened))
    assert isinstance(opened, Opened)
    assert (opened.way, opened.tunnel[:7]) == ("browser", "ssh -N ")
    with urllib.request.urlopen(opened.url, timeout=20) as answer:
        assert b"unbake" in answer.read()


def test_the_picture_behind_is_the_whole_source(heard: Given) -> None:
    peaks = peaks_of(Path(heard.session.source.path))
    sound = np.abs(heard.samples("source")).max(axis=0)
    assert len(peaks) == COLUMNS
    assert max(peaks) == pytest.approx(min(1.0, sound.max()), rel=1e-6)
    assert min(peaks) > 0.05


def test_a_player_that_dies_is_told_and_comes_back_with_what_it_knew(remote: Remote, ear: Ear, heard: Given) -> None:
    remote.order(messages.Open("clock"))
    remote.order(show(heard))
    remote.order(messages.Play(True, 0))
    ear.until(playing)
    assert remote.pid is not None
    os.kill(remote.pid, signal.SIGKILL)
    gone = ear.until(lambda answer: isinstance(answer, Gone))
    assert isinstance(gone, Gone)
    assert "killed (signal 9)" in gone.text
    ear.forget()
    remote.order(messages.Play(True, FRAMES // 2))
    ear.until(lambda answer: playing(answer) and answer.frame >= FRAMES // 2)  # type: ignore[union-attr]


def test_what_can_not_be_opened_is_said(remote: Remote, ear: Ear) -> None:
    remote.order(messages.Open("card", device="no such card"))
    refused = ear.until(lambda answer: isinstance(answer, Refused))
    assert isinstance(refused, Refused)
    assert "sound" in refused.what.lower() or "PortAudio" in refused.what
