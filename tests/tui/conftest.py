"""The workstation under a pilot: opened on a short song with true stems, its jobs on threads of the test."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from core.events import Operation, Progress, finish
from core.jobs import operations, sessions
from tui.app import Workstation
from tui.config import Config
from tui.desk.screen import Desk

sys.path.insert(0, str(Path(__file__).parent))

from tui_in_process import InProcessWorker
from tui_player import FakePlayer

Size = tuple[int, int]
SMALL: Size = (80, 24)
LARGE: Size = (200, 50)


class Driver:
    """A pilot that knows the desk and waits for what the app works on."""

    def __init__(self, pilot: Pilot, app: Workstation) -> None:
        self.pilot = pilot
        self.app = app
        self._said: list[str] = []
        notify = app.notify

        def noted(message: str, **words: Any) -> None:
            self._said.append(message)
            notify(message, **words)

        app.notify = noted

    @property
    def desk(self) -> Desk:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, Desk))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        """Waits for something that a thread or a worker brings about."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s for {what}")
            await self.pilot.pause(0.02)
        await self.pilot.pause()

    async def opened(self) -> Desk:
        """The desk once the session can be edited, with its stems where it has any, and its file is measured."""
        await self.until(lambda: any(isinstance(each, Desk) for each in self.app.screen_stack), "the desk")
        desk = self.desk
        await self.until(lambda: desk.bench.editor is not None, "the session")
        await self.until(lambda: desk.bench.report is not None, "the loudness")
        session = desk.bench.session
        if session is not None and session.separation.stems_from is not None:
            await self.until(lambda: desk.bench.stems, "the stems")
        await self.until(lambda: all(each.complete for each in desk.bench.overviews.values()), "the overviews")
        return desk

    def hold_jobs(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """Keeps jobs from getting on until the event is set."""
        go_on = threading.Event()
        carry_out = operations.carry_out

        def held(values: object) -> Operation[object]:
            operation = carry_out(values)
            while not go_on.wait(0.01):
                yield Progress("held", 0, 1)
            return (yield from operation)

        monkeypatch.setattr(operations, "carry_out", held)
        return go_on

    def notices(self) -> str:
        """What all notices so far said."""
        return "\n".join(self._said)

    def text(self) -> str:
        """What is on the screen, as lines of text."""
        screen = self.app.screen
        width, height = self.app.size
        lines = screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line)[:width].rstrip() for line in lines[:height])


Open = Callable[..., AbstractAsyncContextManager[Driver]]


@pytest.fixture
def workstation() -> Open:
    """Opens the app: `async with workstation(path, size=..., config=...) as driver`.

    Its jobs run on threads of the test, or where `make_worker` says. Mistakes that the app survives fail the test.
    """

    @asynccontextmanager
    async def open_(
        path: Path | None = None, *, size: Size = SMALL, config: Config | None = None, **words
    ) -> AsyncIterator[Driver]:
        words.setdefault("make_worker", InProcessWorker)
        app = Workstation(path, config=config or Config(), **words)
        async with app.run_test(size=size, notifications=True) as pilot:
            driver = Driver(pilot, app)
            await driver.until(lambda: any(isinstance(each, Desk) for each in app.screen_stack), "the desk")
            yield driver
            assert not app.defects, app.defects

    return open_


@pytest.fixture
def players() -> list[FakePlayer]:
    """The players that the app started."""
    return []


@pytest.fixture
def make_player(players: list[FakePlayer]) -> Callable[..., FakePlayer]:
    """What the app starts in place of the player's process."""

    def make(tell: Callable[..., None]) -> FakePlayer:
        players.append(FakePlayer(tell))
        return players[-1]

    return make


@pytest.fixture
def session_path(song: Path) -> Path:
    """A saved session on the song with the true stems, without an edit."""
    path, _ = finish(sessions.create(song, None, stems_from=song.parent / "stems"))
    return path
