"""Any keys in any order: nothing raises, the session stays valid, and undo leads back to where it began."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from core.errors import UnbakeError
from core.jobs import messages
from core.session import files, history, toml
from core.session.document import Session
from tui import actions
from tui.desk.screen import Desk
from tui.panels.ask import Ask, Typed
from tui.panels.blind import BlindPanel
from tui.panels.cleanup import CleanupPanel
from tui.panels.form import Form
from tui.panels.panel import Panel
from tui.panels.warp import WarpPanel

sys.path.insert(0, str(Path(__file__).parent))

from tui_in_process import InProcessWorker

PRESSES = 260
TYPED = ("1", "2", "5", "minus", "full_stop", "k", "b", "a", "space", "backspace")
EDITS = ("chain", "values", "edit")
OTHER_DOCUMENTS = ("app.leave", "file.open", "file.demo")
"""What would end the test, or have other values than the one it began with."""


class MoodyWorker(InProcessWorker):
    """Carries out what is quick; of what takes long, some is refused, some is stopped, and some kills its process."""

    rng = random.Random()

    def submit(self, request: messages.Request) -> int:
        if isinstance(request, messages.MakeStems) and request.session.separation.stems_from is not None:
            return super().submit(request)
        long = (messages.MakeStems, messages.ExportStems, messages.Examine, messages.CarryOutCleanup)
        if not isinstance(request, (*long, messages.FindDamage)):
            return super().submit(request)
        number = next(self._numbers)
        answers: list[Callable[[], messages.Answer]] = [
            lambda: messages.Failed.by(number, UnbakeError("can't be done", remedy="do something else")),
            lambda: messages.Died(number, "the worker process died", ""),
            lambda: messages.Crashed(number, "ZeroDivisionError", "Traceback"),
            lambda: messages.Cancelled(number),
        ]
        self._tell(messages.Progressed(number, "separating", 1, 2, 3.0))
        self._tell(self.rng.choice(answers)())
        return number


def keys_for(screen: object, rng: random.Random) -> str:
    """A key that the screen on top has a use for."""
    if isinstance(screen, Typed):
        return rng.choice((*TYPED, "enter", "escape"))
    if isinstance(screen, Ask):
        return rng.choice(("escape", "r", "s", "w", "t", "c"))
    if not isinstance(screen, Desk) and rng.random() < 0.4:
        return "escape"  # or most keys would go into panels
    homes = {Form: "form", Panel: "list", BlindPanel: "blind", WarpPanel: "warp", CleanupPanel: "cleanup"}
    where = next((name for home, name in homes.items() if isinstance(screen, home)), "desk")
    choices = [each for each in actions.ACTIONS if each.where == where and each.id not in OTHER_DOCUMENTS]
    if where == "desk" and rng.random() < 0.5:
        choices = [each for each in choices if each.group in EDITS]  # or most keys would only look
    return rng.choice(rng.choice(choices).keys)


def valid(session: Session) -> bool:
    """Whether a session comes back from its own TOML as it is."""
    text = files.dumps(session)
    return files.from_tables(toml.parse(text, "session"), toml.Origin("session", text)) == session


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_random_keys_leave_a_valid_session_that_undo_takes_back(
    workstation, session_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = MoodyWorker.rng = random.Random(seed)
    for action_id in OTHER_DOCUMENTS:  # the palette leads there too
        monkeypatch.setattr(Desk, f"action_{actions.by_id(action_id).method}", lambda desk: None)
    async with workstation(session_path, size=(100, 30), make_worker=MoodyWorker) as driver:
        desk = await driver.opened()
        start = desk.bench.session
        seen = []
        presses = 0
        while presses < PRESSES:
            # now one by one, now so many at once that some reach a screen they were not meant for
            burst = [keys_for(driver.app.screen, rng) for _ in range(rng.choice((1, 1, 1, 2, 6)))]
            for key in burst:
                driver.app.post_message(events.Key(key, key if len(key) == 1 else None))
            presses += len(burst)
            await driver.pilot.pause()
            await driver.until(lambda: driver.app._key_under_way is None, "the keys")
            if desk.bench.session not in seen:
                seen.append(desk.bench.session)
                assert valid(desk.bench.session)
        while driver.app.screen is not desk:
            if isinstance(driver.app.focused, Input):
                driver.app.focused.value = ""
            await driver.press("escape")
        await driver.until(lambda: desk.jobs.shown is None, "the jobs", 60.0)
        assert len(seen) > 10
        editor = desk.bench.editor
        await driver.until(lambda: editor.journaled, "the journal")
        present = history.load(session_path).present
        assert present is not None
        assert present.session == desk.bench.session
        while editor.present.parent is not None:
            await driver.press("u")
        assert desk.bench.session == start
