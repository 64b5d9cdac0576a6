"""Keys for the ears: what is ordered of the player, and how the desk follows what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_tui_desk import covers
from tui_player import FakePlayer

from core.audition import messages as player
from core.audition.monitor import Stream
from core.session import workspace
from tui.app import Workstation
from tui.desk import words


@covers("play.toggle", "play.stop", "play.faster", "play.slower")
async def test_space_plays_from_the_playhead_and_the_desk_follows(
    workstation, session_path: Path, make_player, players: list[FakePlayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        assert players == [], "nothing is started before something is to be heard"
        await driver.press("l", "l", "space")
        here = desk.bench.timeline.playhead
        (fake,) = players
        kinds = [type(order) for order in fake.orders]
        assert kinds == [player.Open, player.SetLoop, player.Mark, player.Show, player.Play]
        assert fake.orders[0] == player.Open("auto")
        assert fake.last(player.Play) == player.Play(True, here)
        shown = fake.last(player.Show)
        assert shown.session == desk.bench.session
        assert set(shown.stems) == set(desk.bench.stems)
        fake.tell(player.Opened("card", device="Babyface"))
        fake.tell(player.Heard(playing=True, frame=here + 4000, peaks=(0.5, 0.5), gain_db=-0.4))
        await driver.until(lambda: desk.bench.timeline.playhead == here + 4000, "the playhead")
        assert "playing: repair, matched -0.4 dB" in driver.text()
        orders = len(fake.orders)
        assert orders == 5, "what the player says itself is not ordered again"
        await driver.press("space")
        assert fake.last(player.Play) == player.Play(False, None)
        await driver.press("L", "J", "K")
        assert fake.orders[-3:] == [player.Shuttle(1), player.Shuttle(-1), player.Play(False)]
    assert players[0].closed


@covers("hear.source", "hear.repair", "hear.difference", "hear.flip", "hear.match")
async def test_streams_are_flipped(workstation, session_path: Path, make_player, players: list[FakePlayer]) -> None:
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("a", "b", "n")
        (fake,) = players
        assert [order.stream for order in fake.orders if isinstance(order, player.Choose)] == [
            "source",
            "repair",
            "difference",
        ]
        flips: list[tuple[Stream, Stream]] = [("repair", "source"), ("source", "repair")]
        for heard, expected in flips:
            fake.tell(player.Heard(stream=heard))
            await driver.until(lambda heard=heard: desk.bench.heard.stream == heard, "the stream")
            await driver.press("x")
            assert fake.last(player.Choose).stream == expected
        await driver.press("g")
        assert fake.last(player.MatchLevels) == player.MatchLevels(False)
        assert "levels are heard as they are" in driver.text()


@covers("strip.solo", "strip.mute", "strip.all_heard")
async def test_solo_and_mute_are_for_the_ears_and_remembered(
    workstation, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        before = desk.bench.session
        await driver.press("2", "s", "1", "m", "space")
        assert (desk.bench.solo, desk.bench.mute) == ({desk.bench.names[1]}, {desk.bench.names[0]})
        ears = players[0].last(player.Show).listening
        assert (ears.solo, ears.mute) == (desk.bench.solo, desk.bench.mute)
        assert desk.bench.session == before, "no part of the document"
        line = next(line for line in driver.text().splitlines() if desk.bench.names[1] in line and "S  neutral" in line)
        assert line
        desk._write_remembered()
        kept, _ = workspace.load(session_path)
        assert (kept.solo, kept.mute) == (desk.bench.solo, desk.bench.mute)
        await driver.press("0", "s")
        assert "choose a stem to solo" in driver.text()
        await driver.press("c")
        assert not desk.bench.solo | desk.bench.mute
        assert not players[0].last(player.Show).listening.strips


async def test_edits_loops_and_places_reach_the_player(
    workstation, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("space")
        (fake,) = players
        await driver.press("3", "left")
        shown = fake.last(player.Show).session
        assert shown == desk.bench.session
        assert shown.strips[desk.bench.strip].gain_db < 0
        await driver.press("home", "left_square_bracket", "l", "l", "l", "right_square_bracket")
        loop = desk.bench.timeline.loop
        assert fake.last(player.SetLoop).loop == (loop.first, loop.last)
        assert fake.last(player.Seek).frame == desk.bench.timeline.playhead
        await driver.press("backslash")
        assert fake.last(player.SetLoop).loop is None


async def test_without_stems_both_sides_are_the_source(
    workstation, song: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(song, make_player=make_player) as driver:
        desk = await driver.opened()
        assert not desk.bench.stems
        await driver.press("3", "left", "space", "s")
        assert desk.bench.needs_stems
        shown = players[0].last(player.Show)
        assert shown.session.strips == {}
        assert "there are no stems yet" in driver.text()


@covers("hear.where")
async def test_the_way_to_the_page_is_said_and_copied(
    workstation, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(session_path, make_player=make_player, size=(118, 36)) as driver:
        await driver.opened()
        await driver.press("G")
        (fake,) = players
        assert [type(order) for order in fake.orders][-1] is player.Look
        assert "the sound cards are being looked for" in driver.text()
        tunnel = "ssh -N -L 8765:127.0.0.1:8765 me@box"
        fake.tell(player.Opened("browser", url="http://127.0.0.1:8765/token/", tunnel=tunnel))
        fake.tell(player.Outlets((("Babyface Pro", 12, 48_000),)))
        await driver.until(lambda: "12 channels, 48000 Hz" in driver.text(), "the card")
        assert f"{tunnel} (in your clipboard)" in driver.text()
        assert "http://127.0.0.1:8765/token/" in driver.text()
        assert driver.app.clipboard == tunnel
        fake.tell(player.Heard(pages=1, suspended=True, context_rate=48_000.0))
        await driver.until(lambda: "it waits for a click" in driver.text(), "the page")
        assert "48000 Hz, resampled by the browser" in driver.text()
        await driver.press("j", "enter")
        assert fake.last(player.Open) == player.Open("card", "Babyface Pro")
        fake.tell(player.Opened("card", device="Babyface Pro"))
        fake.tell(player.Heard(late=3, context_rate=48_000.0, caveat="resampled to 48000 Hz"))
        driver.app.copy_to_clipboard("")
        await driver.until(
            lambda: words.listening(driver.desk.bench)[1:] == ["resampled to 48000 Hz", "3 late"], "late"
        )
        await driver.press("G", "j")
        assert "3 blocks since it was opened" in driver.text()
        assert driver.app.clipboard == ""
        await driver.press("k", "enter")
        assert fake.last(player.Open) == player.Open("browser")
        fake.tell(player.Opened("browser", url="http://127.0.0.1:8765/token/", tunnel=tunnel))
        fake.tell(player.Heard())
        await driver.until(lambda: "8765 ready" in str(words.listening(driver.desk.bench)), "the page again")
        desk = driver.desk
        assert words.listening(desk.bench) == ["stopped: repair", "port 8765 ready"]
        fake.tell(player.Heard(pages=1, suspended=True))
        await driver.until(lambda: "the page waits for a click" in words.listening(desk.bench), "the word")


async def test_a_player_that_refuses_or_dies_is_said(
    workstation, session_path: Path, make_player, players: list[FakePlayer]
) -> None:
    async with workstation(session_path, make_player=make_player) as driver:
        desk = await driver.opened()
        await driver.press("space")
        (fake,) = players
        fake.tell(player.Opened("card", device="Babyface"))
        fake.tell(player.Refused("the sound card stopped", "Babyface", "open it again"))
        await driver.until(lambda: "the sound card stopped" in driver.notices(), "the refusal")
        fake.tell(player.Heard(playing=True, frame=10))
        await driver.until(lambda: desk.bench.heard.playing, "the playing")
        fake.tell(player.Gone("the player died: killed (signal 9)"))
        await driver.until(lambda: "the player died" in driver.notices(), "the death")
        assert not desk.bench.heard.playing
        await driver.press("space")
        assert fake.last(player.Play).playing


def test_only_the_present_gives_way_to_newer() -> None:
    def said(answer: player.Answer) -> Workstation.Heard:
        return Workstation.Heard(answer)

    assert said(player.Heard(frame=2)).can_replace(said(player.Heard(frame=1)))
    assert not said(player.Refused("b")).can_replace(said(player.Refused("a")))
    assert not said(player.Heard()).can_replace(said(player.Refused("a")))


async def test_over_ssh_the_way_out_is_the_browser(
    workstation, session_path: Path, make_player, players: list[FakePlayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22")
    async with workstation(session_path, make_player=make_player) as driver:
        await driver.opened()
        await driver.press("space")
        assert players[0].orders[0] == player.Open("browser")


async def test_with_nothing_open_there_is_nothing_to_hear(workstation, make_player, players: list[FakePlayer]) -> None:
    async with workstation(None, make_player=make_player) as driver:
        await driver.press("space", "s", "a")
        assert "nothing is open to be heard" in driver.text()
        assert players == []
