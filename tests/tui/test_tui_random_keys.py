"""Any keys in any order: nothing raises, the session stays valid, and undo leads back to where it began."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from core.session import files, toml
from core.session.document import Session
from tui import actions
from tui.desk.screen import Desk
from tui.panels.ask import Ask, Typed
from tui.panels.form import Form
from tui.panels.panel import Panel

PRESSES = 200
TYPED = ("1", "2", "5", "minus", "full_stop", "k", "b", "a", "space", "backspace")
LEFT_OUT = {
    "app.leave",  # ends the test
    "file.open",  # other files are other tests
    "file.demo",
    "panel.doctor",  # imports torch into this process
    "panel.separate",
    "file.export",
    "file.compare",
}


def keys_for(screen: object, rng: random.Random) -> str:
    """A key that the screen on top has a use for."""
    if isinstance(screen, Typed):
        return rng.choice((*TYPED, "enter", "escape"))
    if isinstance(screen, Ask):
        return rng.choice(("escape", "r", "s", "w"))
    if not isinstance(screen, Desk) and rng.random() < 0.4:
        return "escape"  # or most keys would go into panels
    where = "form" if isinstance(screen, Form) else "list" if isinstance(screen, Panel) else "desk"
    choices = [each for each in actions.ACTIONS if each.where == where and each.id not in LEFT_OUT]
    return rng.choice(rng.choice(choices).keys)


def valid(session: Session) -> bool:
    """Whether a session comes back from its own TOML as it is."""
    text = files.dumps(session)
    return files.from_tables(toml.parse(text, "session"), toml.Origin("session", text)) == session


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_random_keys_leave_a_valid_session_that_undo_takes_back(
    workstation, session_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    async with workstation(session_path, size=(100, 30)) as driver:
        desk = await driver.opened()
        start = desk.bench.session
        edited = 0
        for _ in range(PRESSES):
            before = desk.bench.session
            await driver.pilot.press(keys_for(driver.app.screen, rng))
            if desk.bench.session != before:
                edited += 1
                assert valid(desk.bench.session)
        for _ in range(50):
            if isinstance(driver.app.screen, Desk):
                break
            await driver.press("escape")
        await driver.until(lambda: desk.jobs.shown is None, "the jobs", 60.0)
        assert driver.app.screen is desk
        assert edited > 10
        assert driver.app.defects == []
        editor = desk.bench.editor
        while editor.present.parent is not None:
            await driver.press("u")
        assert desk.bench.session == start
