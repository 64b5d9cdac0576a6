"""Terminals of any size, keys without pause, pasted text, clicks everywhere; and mistakes of our own, survived."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events

from core import places
from core.events import Operation
from core.measure import overview
from core.session import history
from core.session.document import Session
from tui.panels import history as history_panel
from tui.panels.ask import Answer, Ask

SIZES = ((20, 5), (1, 1), (400, 100), (3, 40), (300, 2))
OVER: dict[str, list[str]] = {
    "the desk": [],
    "the spectrogram": ["tab", "tab", "v"],
    "separate": ["S"],
    "presets": ["P"],
    "null": ["N"],
    "history": ["H"],
    "models": ["M"],
    "file": ["I"],
    "stem store": ["B"],
    "doctor": ["exclamation_mark"],
    "open": ["o"],
    "render": ["R"],
    "export": ["E"],
    "compare": ["A"],
    "demo": ["O"],
    "help": ["question_mark"],
    "palette": ["colon"],
    "insert": ["i"],
    "a typed value": ["equals_sign"],
    "a filter": ["M", "slash", "x"],
    "a question": ["q"],
}


@pytest.mark.parametrize("over", OVER)
async def test_any_size_and_back_is_as_it_was(workstation, session_path: Path, over: str) -> None:
    async with workstation(session_path, size=(100, 30)) as driver:
        await driver.opened()
        await driver.press("3", "comma", "e")
        await driver.until(lambda: "rest exact" in driver.text(), "the proof")
        await driver.press(*OVER[over])
        await driver.until(lambda: "..." not in driver.text(), "what it shows")
        await driver.pilot.pause(0.2)
        screen, before = driver.app.screen, driver.text()
        for width, height in SIZES:
            await driver.pilot.resize_terminal(width, height)
            await driver.pilot.pause()
            assert driver.app.screen is screen
            lines = driver.text().splitlines()
            assert len(lines) <= height
        await driver.pilot.resize_terminal(100, 30)
        await driver.until(lambda: driver.text() == before, "the picture of before")


async def test_the_desk_is_worked_on_where_nothing_can_be_seen(workstation, session_path: Path) -> None:
    async with workstation(session_path, size=(1, 1)) as driver:
        desk = await driver.opened()
        await driver.press("3", "e", "j", "comma", "tab", "tab", "plus", "v", "tab", "k", "i", "enter", "question_mark")
        await driver.press("escape", "equals_sign", *"-3", "enter", "u", "R", "down", "escape", "W")
        assert desk.bench.session.strips["bass"].chain
        assert desk.bench.editor.saved


def send(app: Any, *keys: str) -> None:
    """Puts keys into the app's queue all at once."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_two_hundred_keys_without_a_pause_are_all_heard(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        start = desk.bench.session
        send(driver.app, "3", *["right"] * 200)
        await driver.until(lambda: desk.bench.session.strips.get("bass") is not None, "the edit")
        await driver.until(lambda: not driver.app._waiting_keys, "the keys")
        assert desk.bench.session.strips["bass"].gain_db == 20.0
        assert len(desk.bench.editor.history.edits) == 2  # a key held down is one step
        await driver.until(lambda: desk.bench.editor.journaled, "the journal")
        await driver.press("u")
        assert desk.bench.session == start


async def test_long_files_that_are_read_hold_up_nothing_else(
    workstation, session_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    scan = overview.scan

    def held(*words: Any, **named: Any) -> Operation[Any]:
        go_on.wait(60)
        return (yield from scan(*words, **named))

    monkeypatch.setattr(overview, "scan", held)
    async with workstation(session_path) as driver:
        await driver.until(lambda: driver.desk.bench.stems, "the stems")
        desk = driver.desk
        await driver.press("3", "comma")
        await driver.until(lambda: desk.bench.editor.journaled, "the journal")
        await driver.press("v")
        await driver.until(lambda: desk.query_one("#spectrogram")._shown.cells.any(), "the picture")
        go_on.set()
        await driver.opened()


async def test_a_key_held_down_on_panels_opens_and_closes_no_more_than_it_says(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        for key in ("question_mark", "M", "R", "equals_sign", "o", "colon"):
            send(driver.app, *[key] * 8, *["escape"] * 8)
            await driver.until(lambda: driver.app._key_under_way is None, "the keys")
            await driver.until(lambda: driver.app.screen is desk, "the desk")
        assert desk.is_current


async def test_pasted_text_goes_into_fields_and_nowhere_else(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        start = desk.bench.session

        async def paste(text: str) -> None:
            driver.app.post_message(events.Paste(text))
            await driver.pilot.pause()

        await paste("3pdq\nX\x1b")
        assert desk.bench.session == start
        await driver.press("3", "equals_sign")
        await paste("-4.8\nq\n")
        await driver.press("enter")
        assert desk.bench.session.strips["bass"].gain_db == -4.8
        await driver.press("colon")
        await paste("strips.bass.gain_db=" + "9" * 5_000)
        await driver.press("enter")
        assert desk.bench.session.strips["bass"].gain_db == -4.8
        assert "strips.bass.gain_db" in driver.notices()
        for panel in ("M", "question_mark", "R", "q"):
            await driver.press(panel)
            await paste("x" * 1_000 + "\t\x00\n[bold]")
            await driver.press("escape")
        assert desk.is_current


PLACES = [(x, y) for y in range(0, 30, 2) for x in (0, 1, 7, 25, 49, 60, 80, 99)]


@pytest.mark.parametrize("over", ["the desk", "the spectrogram", "models", "history", "render", "help", "a question"])
async def test_a_mouse_may_click_wheel_and_drag_anywhere(workstation, session_path: Path, over: str) -> None:
    async with workstation(session_path, size=(100, 30)) as driver:
        desk = await driver.opened()
        await driver.press("3", "e", "comma", *OVER[over])
        for number, (x, y) in enumerate(PLACES):
            common = {"widget": None, "x": x, "y": y, "delta_x": 0, "delta_y": 1, "button": 1, "shift": False}
            rest = {"meta": False, "ctrl": False, "screen_x": x, "screen_y": y}
            kinds = [events.MouseMove, events.MouseDown, events.MouseUp]
            if number % 3 == 0:
                kinds += [events.MouseDown, events.MouseUp, events.MouseScrollDown, events.MouseScrollUp]
            for kind in kinds:
                driver.app.post_message(kind(**common, **rest))
            if number % 8 == 0:
                await driver.pilot.pause()
        await driver.pilot.pause()
        while driver.app.screen is not desk:
            await driver.press("escape")
        await driver.press("p")
        assert Session.__name__ in type(desk.bench.session).__name__


async def test_three_clicks_on_a_choice_close_its_panel_and_not_the_desk(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("H")
        await driver.pilot.click("#list", offset=(5, 0), times=3)
        await driver.pilot.pause()
        await driver.press("3", "p")
        assert desk.bench.session.strips["bass"].polarity == -1


# ---- mistakes of our own -------------------------------------------------------------------------------------------


def wrong(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a mistake of ours")


def log() -> str:
    return "".join(path.read_text() for path in (places.home() / "logs").glob("*.log"))


Break = Callable[[Any, pytest.MonkeyPatch], list[str]]


def in_an_action(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(type(desk), "action_loop_toggle", wrong)
    return ["backslash"]


def in_a_panel_that_opens(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(history_panel, "depths", wrong)
    return ["H"]


def in_what_a_panel_shows_first(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("tui.panels.models.ModelsPanel.rows", wrong)
    return ["M"]


def in_a_timer(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(desk, "_check", wrong)
    return ["p", "p"]


def in_what_follows_a_panel(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(desk, "insert", wrong)
    return ["i", "enter"]


def in_a_panels_own_key(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("tui.panels.models.ModelsPanel.choose", wrong)
    return ["M", "enter", "escape"]


def in_a_handler(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(desk, "pick", wrong)
    desk.query_one("#lanes").post_message(desk.query_one("#lanes").Chosen(desk.query_one("#lanes"), 1, False))
    return []


def in_a_thread(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("tui.desk.painting.spectrogram", wrong)
    return ["v"]


def in_what_runs_beside(desk: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(desk.jobs, "run", wrong)
    return ["S", "enter"]


@pytest.mark.parametrize(
    "breaks",
    [
        in_an_action,
        in_a_panel_that_opens,
        in_what_a_panel_shows_first,
        in_a_timer,
        in_what_follows_a_panel,
        in_a_panels_own_key,
        in_a_handler,
        in_a_thread,
        in_what_runs_beside,
    ],
    ids=lambda breaks: breaks.__name__,
)
async def test_a_mistake_of_ours_is_a_notice_and_work_goes_on(
    workstation, session_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: Break
) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma")
        await driver.press(*breaks(desk, monkeypatch))
        await driver.until(lambda: "a mistake of ours" in driver.notices(), "the notice")
        assert "a defect of unbake: ZeroDivisionError" in driver.notices()
        assert "written down in" in driver.notices()
        assert "Traceback" not in driver.text()
        assert "in wrong\n    raise ZeroDivisionError" in log()
        monkeypatch.undo()
        driver.app.defects.clear()
        await driver.press("2", "p")
        assert desk.bench.session.strips["drums"].polarity == -1
        assert desk.bench.session.strips["bass"].gain_db == -1.0
        await driver.until(lambda: desk.bench.editor.journaled, "the journal")


async def test_a_log_that_can_not_be_written_is_said(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        await driver.opened()
        (places.home() / "logs").write_text("in the way")
        driver.app.met(ZeroDivisionError("a mistake of ours"))
        await driver.pilot.pause()
        assert "could not be written to" in driver.notices()
        driver.app.defects.clear()


async def test_a_mistake_where_the_screen_is_drawn_ends_the_app_with_one_line_and_every_edit_on_the_disk(
    workstation, session_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()
        await driver.press("3", "comma")
        monkeypatch.setattr("tui.widgets.rows.Rows.render_line", wrong)
        await driver.press("2")
        await driver.until(lambda: not driver.app.is_running, "the end")
        assert driver.app.return_code == 1
        said = driver.app.last_words
        assert said is not None
        assert "\n" not in said
        assert "ZeroDivisionError: a mistake of ours" in said
        assert "every edit is in the journal" in said
        assert desk.bench.editor is None
        driver.app.defects.clear()
        driver.app._exception = None  # a pilot would raise it
    assert len(history.load(session_path).edits) == 2
    assert "in wrong" in log()


async def test_a_question_is_not_asked_twice_at_once(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        desk = await driver.opened()

        async def ask() -> None:
            await driver.app.push_screen_wait(Ask("well?", [Answer("y", "yes")]))

        desk.ask(ask(), group="asking", once=True)
        desk.ask(ask(), group="asking", once=True)
        await driver.until(lambda: "well?" in driver.text(), "the question")
        await driver.press("y")
        assert driver.app.screen is desk
