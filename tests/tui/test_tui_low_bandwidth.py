"""Over a slow line, what moves by itself is drawn seldom; what the engineer does is drawn at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.config import Config
from tui.desk import base

SLOW = Config(low_bandwidth=True)


def drawn_lanes(text: str) -> set[str]:
    """The first words of the lines that hold a waveform, without number and cursor."""
    lines = [line.strip(" ▸123456789") for line in text.splitlines() if any("⠀" < glyph <= "⣿" for glyph in line)]
    return {line.partition(" ")[0] for line in lines}


async def test_what_moves_by_itself_is_drawn_at_once_then_seldom_and_at_last_as_it_is(
    workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "SELDOM_SECONDS", 0.3)
    state, drawn = [0], []

    def draw() -> None:
        drawn.append(state[0])

    async with workstation(config=SLOW) as driver:
        for number in range(20):
            state[0] = number
            driver.desk.seldom(draw)
        assert drawn == [0]
        await driver.until(lambda: len(drawn) > 1, "the last state")
        assert drawn == [0, 19]


async def test_over_a_fast_line_everything_is_drawn(workstation) -> None:
    drawn: list[int] = []
    async with workstation() as driver:
        for number in range(20):
            driver.desk.seldom(lambda number=number: drawn.append(number))
    assert drawn == list(range(20))


async def test_the_overview_is_whole_in_the_end_and_keys_are_answered_at_once(workstation, session_path: Path) -> None:
    async with workstation(session_path, config=SLOW) as driver:
        desk = await driver.opened()
        assert desk.app.animation_level == "none"
        await driver.press("3", "comma")
        assert "-1.0 dB" in driver.text()
        await driver.until(lambda: drawn_lanes(driver.text()) >= {"vocals", "drums", "bass", "other"}, "every lane")


async def test_a_file_that_is_being_opened_is_not_taken_for_none(workstation, session_path: Path) -> None:
    async with workstation(session_path) as driver:
        assert not driver.desk.has_class("-empty")
        await driver.opened()
        assert not driver.desk.has_class("-empty")
    async with workstation(session_path.with_name("gone.wav")) as driver:
        await driver.until(lambda: driver.desk.bench.not_opened is not None, "the notice")
        await driver.until(lambda: driver.desk.has_class("-empty"), "what can be done")
