"""The blind test on the screen: what is ordered, what is told and what is not, and what the session keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_tui_desk import covers
from tui_player import FakePlayer

from core.audition import abx
from core.audition import messages as player
from core.audition.monitor import Choice
from core.session import history
from core.session.blind import Side
from tui.panels.blind import BlindPanel


@pytest.fixture
def tosses(monkeypatch: pytest.MonkeyPatch) -> list[Side]:
    """What the coin shows, over and over: repair, source, source."""
    shown: list[Side] = []
    coin: list[Side] = ["repair", "source", "source"]

    def toss() -> Side:
        shown.append(coin[len(shown) % 3])
        return shown[-1]

    monkeypatch.setattr("tui.panels.blind.toss", toss)
    monkeypatch.setattr(abx.Abx.answered, "__kwdefaults__", {"next_x": toss})
    return shown


@covers(
    "hear.blind", "blind.source", "blind.repair", "blind.x", "blind.is_source", "blind.is_repair", "blind.toggle",
    "blind.more", "blind.less", "blind.again", "blind.close",
)  # fmt: skip
async def test_a_blind_test_from_the_first_answer_to_the_last(
    workstation,
    session_path: Path,
    make_player: Callable[..., FakePlayer],
    players: list[FakePlayer],
    tosses: list[Side],
) -> None:
    async with workstation(session_path, make_player=make_player, size=(100, 36)) as driver:
        desk = await driver.opened()
        await driver.press("3", "left", "X")
        panel = driver.app.screen
        assert isinstance(panel, BlindPanel)
        (fake,) = players
        fake.tell(player.Heard(source_lufs=-14.0, repair_lufs=-15.0))
        await driver.until(lambda: "A is -14.0 LUFS, B -15.0" in driver.text(), "the match")
        assert fake.last(player.MatchLevels).on
        assert fake.last(player.Blind) == player.Blind("repair", "blind test, 1 of 16: which is X?", 1)
        await driver.press("minus", "minus", "minus", "plus", "minus", "minus")
        assert "1 of 8" in driver.text()
        await driver.press("space")
        assert fake.last(player.Play) == player.Play(True, desk.bench.timeline.region[0])
        fake.tell(player.Heard(playing=True, stream="x"))
        for key, stream in (("a", "source"), ("b", "repair"), ("x", "x")):
            await driver.press(key)
            assert fake.last(player.Choose).stream == stream
        await driver.press("space")
        assert not fake.last(player.Play).playing

        async def heard(stream: Choice, *, playing: bool = True) -> None:
            fake.tell(player.Heard(playing=playing, stream=stream))
            await driver.until(lambda: desk.bench.heard.stream == stream, "the stream")

        await heard("source")
        answers = ["2", "1", "1", "2", "1", "2", "2"]
        for number, key in enumerate(answers, start=2):
            if number == 3:  # the player still says that X is heard, which is the X before
                await driver.press(key)
                assert "listen to X first: x" in driver.notices()
                await heard("source")
                await heard("x", playing=False)
                await driver.press("x", key)  # chosen, and nothing sounds
            await heard("source")
            await driver.press("x")
            await heard("x")
            await driver.press(key, key)  # held down: of the next one nothing was heard yet
            assert fake.last(player.Choose).stream == "source", "or the change of X would be heard"
            assert fake.last(player.Blind).said == f"blind test, {number} of 8: which is X?"
        await driver.press("plus")
        assert "8 of 8" in driver.text(), "the length is fixed by the first answer"
        assert "right" not in driver.text(), "nothing is told before the last"
        fake.tell(player.Judged("source", 7))  # late: that one was answered
        await heard("source")
        await heard("x")
        await driver.press("ctrl+q")
        fake.tell(player.Judged("source", 8))  # while a question lies over the panel
        await driver.until(lambda: len(desk.bench.editor.history.trials) == 8, "the answer")
        await driver.press("escape")
        await driver.until(lambda: "7 of 8 right, p = 0.035" in driver.text(), "the result")
        assert fake.last(player.Blind) == player.Blind(None, "blind test: 7 of 8 right, p = 0.035")
        chosen = fake.orders.count(player.Choose("x"))
        await driver.press("1", "x")
        assert fake.orders.count(player.Choose("x")) == chosen
        await driver.press("enter")
        await heard("source")
        await heard("x")
        await driver.press("1")
        assert "1 answered" in driver.text()
        await driver.press("escape")
        assert fake.orders[-3:] == [player.Choose("repair"), player.Blind(None), player.MatchLevels(True)]
        before = desk.bench.editor.history.trials
        await driver.press("u")
        assert desk.bench.editor.history.trials == before
        await driver.until(lambda: len(history.load(session_path).trials) == 9, "the log")
        assert [trial.of for trial in history.load(session_path).trials] == [8] * 9
        assert all(trial.edit == 1 for trial in before)
        await driver.press("ctrl+r", "X")
        assert "of 1 right, 8 were planned" in driver.text()


async def test_without_a_difference_there_is_nothing_to_tell_apart(
    workstation,
    session_path: Path,
    make_player: Callable[..., FakePlayer],
) -> None:
    async with workstation(session_path, make_player=make_player) as driver:
        await driver.opened()
        await driver.press("X")
        await driver.until(lambda: "source and repair are the same: nothing is changed" in driver.notices(), "notice")


async def test_who_may_only_look_is_told_that_nothing_is_kept(
    workstation,
    session_path: Path,
    make_player: Callable[..., FakePlayer],
    unbake,
) -> None:
    assert unbake("session", "set", session_path, "strips.bass.gain_db=-3").code == 0
    before = history.path_for(session_path).read_bytes()
    async with workstation(session_path, make_player=make_player, read_only=True) as driver:
        await driver.opened()
        await driver.press("X", "1")
        assert "not kept: the session is open to look at only" in driver.text()
    assert history.path_for(session_path).read_bytes() == before


async def test_a_page_marks_where_it_is(
    workstation,
    session_path: Path,
    make_player: Callable[..., FakePlayer],
    players: list[FakePlayer],
) -> None:
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("space")
        (fake,) = players
        fake.tell(player.Marked(4321))
        await driver.until(lambda: fake.last(player.Mark).frames == (4321,), "the marker")
        assert desk.bench.timeline.playhead == 0, "it goes nowhere for that"
        fake.tell(player.Judged("source", 1))  # of no test: passed over
        fake.tell(player.Marked(4321))
        await driver.until(lambda: fake.last(player.Mark).frames == (), "none")


async def test_a_loop_of_the_page_is_the_desks(
    workstation,
    session_path: Path,
    make_player: Callable[..., FakePlayer],
    players: list[FakePlayer],
) -> None:
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("space")
        (fake,) = players
        fake.tell(player.Looped((1000, 9000)))
        await driver.until(lambda: desk.bench.timeline.region == (1000, 9000), "the loop")
        assert fake.last(player.SetLoop).loop == (1000, 9000)
        fake.tell(player.Looped(None))
        await driver.until(lambda: desk.bench.timeline.region == (0, desk.bench.timeline.frames), "no loop")
        assert fake.last(player.SetLoop).loop is None


async def test_another_session_takes_the_player_over_with_its_own_loop_and_markers(
    workstation,
    session_path: Path,
    make_player: Callable[..., FakePlayer],
    players: list[FakePlayer],
    make_song: Callable[..., Path],
    tmp_path: Path,
) -> None:
    other = make_song(tmp_path / "other")
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("space", "home", "left_square_bracket", "apostrophe")
        (fake,) = players
        assert fake.last(player.SetLoop).loop is not None
        assert fake.last(player.Mark).frames
        before = len(fake.orders)
        desk.ask(desk.open(other))
        await driver.until(lambda: desk.bench.located is not None and desk.bench.located.source == other, "the other")
        await driver.opened()
        fake.tell(player.Heard(playing=False))
        since: list[Any] = fake.orders[before:]
        assert since[0] == player.Play(False)
        shown = next(place for place, order in enumerate(since) if isinstance(order, player.Show))
        assert since[shown].session.source.path == str(other)
        assert player.SetLoop(None) in since
        assert since[shown + 2] == player.Mark(())
