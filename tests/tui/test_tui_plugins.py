"""A plug-in in the app: inserted by its path, set by typing, shown by the name of its file; what is wrong is said."""

from __future__ import annotations

from pathlib import Path

from core.session.parameters import strip_kinds
from core.session.processors import Vst3
from tui.panels.ask import Typed
from tui.panels.insert import InsertPanel


async def insert(driver) -> None:
    """Inserts a plug-in into the first stem's chain, up to the question for its path."""
    await driver.press("1", "i")
    assert isinstance(driver.app.screen, InsertPanel)
    await driver.press("home", *["j"] * strip_kinds().index(Vst3), "enter")


async def test_a_plugin_is_inserted_by_its_path_and_its_parameters_are_typed(workstation, session_path, plugin) -> None:
    path = plugin("late")
    async with workstation(session_path, size=(140, 40)) as driver:
        desk = await driver.opened()
        await insert(driver)
        assert isinstance(driver.app.screen, Typed)
        assert "full path of a .vst3" in driver.text()
        await driver.press(*path, "enter")
        assert desk.bench.chain == (Vst3(path=path),)
        assert "late.vst3" in driver.text()

        await driver.press("j", "j", "equals_sign", *"gain_db=-6, mode='warm'", "enter")
        assert desk.bench.chain == (Vst3(path=path, parameters={"gain_db": -6, "mode": "warm"}),)
        assert 'gain_db=-6, mode="warm"' in driver.text()
        await driver.until(lambda: desk.bench.check is not None and desk.bench.check.strips, "the check")
        assert desk.bench.check.passed

        await driver.press("right", "comma")  # there is nothing to nudge
        assert desk.bench.chain == (Vst3(path=path, parameters={"gain_db": -6, "mode": "warm"}),)
        await driver.press("backspace")
        assert desk.bench.chain == (Vst3(path=path),)


async def test_a_plugin_without_a_path_does_nothing_and_one_that_is_gone_is_said(
    workstation, session_path: Path
) -> None:
    async with workstation(session_path, size=(140, 40)) as driver:
        desk = await driver.opened()
        await insert(driver)
        await driver.press("escape")
        assert desk.bench.chain == (Vst3(path=""),)
        assert "no plug-in" in driver.text()
        assert desk.bench.session.untouched
        await driver.press("equals_sign", *"/nowhere/Gone.vst3", "enter")
        await driver.until(lambda: "there is no plug-in /nowhere/Gone.vst3" in driver.notices(), "the notice")
        assert desk.bench.chain[0].path == "/nowhere/Gone.vst3"
