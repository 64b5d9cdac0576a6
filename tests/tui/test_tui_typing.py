"""Keys that come faster than the screen: none of them goes to where the one before it came from."""

from __future__ import annotations

from pathlib import Path

from textual import events

from core.session.document import Strip
from tui.app import Workstation


def send(app: Workstation, *keys: str) -> None:
    """Puts keys into the app's queue all at once, as a terminal does that was held up."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_a_burst_of_keys_reaches_the_pane_that_the_first_one_chose(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        send(driver.app, "3", "e", "j", "comma", "comma")
        await driver.until(lambda: desk.bench.session.strips.get("bass", Strip()).chain, "the bell")
        await driver.until(lambda: desk.bench.session.strips["bass"].chain[0].gain_db == -2.0, "its gain")
        assert set(desk.bench.session.strips) == {"bass"}


async def test_a_value_typed_in_one_go_is_taken_whole(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        send(driver.app, "3", "equals_sign", "-", "4", ".", "8", "enter")
        await driver.until(lambda: "bass" in desk.bench.session.strips, "the edit")
        assert desk.bench.session.strips["bass"].gain_db == -4.8
