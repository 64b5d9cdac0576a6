"""The room: what the terminal and the pages agree on, who has the controls, and what bad pages can't do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from core.audition.clips import Clips
from core.audition.matching import Match
from core.audition.room import Judge, Mark, Page, Room, SetLoop, State
from core.errors import UnbakeError
from core.session.document import Strip
from tests.audition.audition_session import FRAMES, RATE, Heard


class Told(Page):
    """A page that remembers what it was told; one that is `gone` takes nothing."""

    def __init__(self) -> None:
        super().__init__(self.take)
        self.messages: list[dict[str, Any]] = []
        self.gone = False

    def take(self, text: str) -> None:
        if self.gone:
            raise ConnectionResetError
        self.messages.append(json.loads(text))

    def all(self, kind: str) -> list[dict[str, Any]]:
        """What it was told of one kind since the last time."""
        found = [message for message in self.messages if message["type"] == kind]
        self.messages = [message for message in self.messages if message["type"] != kind]
        return found

    def last(self, kind: str) -> dict[str, Any]:
        return self.all(kind)[-1]


@pytest.fixture
def told() -> list[State]:
    return []


@pytest.fixture
async def room(heard: Heard, told: list[State]) -> AsyncIterator[Room]:
    found = Room("a song", told.append)
    await found.show(*heard)
    yield found
    await found.close()


async def entered(room: Room, count: int = 1) -> list[Told]:
    pages = [Told() for _ in range(count)]
    for page in pages:
        await room.enter(page)
    return pages


def choose(stream: str, order: int = 0) -> dict[str, Any]:
    return {"type": "choose", "stream": stream, "order": order}


def louder(heard: Heard, gain_db: float) -> Heard:
    return Heard(msgspec.structs.replace(heard.session, strips={"bass": Strip(gain_db=gain_db)}), heard.stems)


async def test_a_page_learns_everything_when_it_comes(room: Room) -> None:
    await room.matched(Match(-14.0, -12.5))
    await room.overview([0.0, 0.25, 1.0])
    await room.choose("source")
    await room.loop((RATE, 2 * RATE))
    (page,) = await entered(room)
    hello = page.last("hello")
    assert (hello["title"], hello["role"]) == ("a song", "controls")
    assert hello["state"]["stream"] == "source"
    assert hello["state"]["loop"] == [RATE, 2 * RATE]
    clip = page.last("clip")
    assert clip["loops"]
    assert clip["clip"]["first"] == RATE
    assert clip["clip"]["frames"] == FRAMES
    gains = page.last("gains")
    assert gains["lufs"] == [-14.0, -12.5]
    assert gains["gains_db"] == [0.0, -1.5]
    assert page.last("overview")["peaks"] == [0.0, 0.25, 1.0]


async def test_both_sides_hear_of_what_the_other_does(room: Room, told: list[State]) -> None:
    page, other = await entered(room, 2)
    page.messages.clear()
    await room.play(True, 500)
    assert page.last("play") == {"type": "play", "playing": True, "frame": 500, "speed": 1, "order": 1}
    await room.choose("difference")
    assert page.last("choose")["stream"] == "difference"
    await room.matched(Match(-10.0, -12.0))
    await room.match(False)
    assert page.last("gains")["gains_db"] == [0.0, 0.0]
    assert told[-1].stream == "difference"
    other.messages.clear()
    for said in (
        {"type": "at", "frame": 700, "playing": True, "order": 1, "context_rate": 48000.0},
        choose("source", 1),
        {"type": "match", "on": True},
        {"type": "play", "playing": False, "frame": 900},
    ):
        await room.hear(page, json.dumps(said))
    expected = State(playing=False, frame=900, stream="source", match=True, context_rate=48000.0, pages=2)
    assert told[-1] == room.state == expected
    assert [message["type"] for message in other.messages] == ["choose", "gains", "play"]
    assert page.all("choose") == page.all("play") == [], "it is not told what it did itself"
    await room.hear(page, json.dumps({"type": "loop", "first": 100, "last": 5000}))
    assert told[-1].loop == (100, 5000)
    assert page.last("clip")["clip"]["last"] == other.last("clip")["clip"]["last"] == 5000
    await room.hear(page, json.dumps({"type": "loop"}))
    assert told[-1].loop is None


async def test_only_the_first_page_has_the_controls(room: Room, told: list[State]) -> None:
    page, other = await entered(room, 2)
    assert (page.last("hello")["role"], other.last("hello")["role"]) == ("controls", "follows")
    before = room.state
    for said in (choose("source"), {"type": "play", "playing": True}, {"type": "loop"}):
        await room.hear(other, json.dumps(said))
        assert other.last("refused")["why"] == "another page has the controls"
    await room.hear(other, json.dumps({"type": "at", "frame": 3, "playing": True, "order": 0}))
    assert room.state == before, "where a page is that follows is nobody's business"
    assert not other.all("refused")


async def test_who_leaves_hands_the_controls_over(room: Room, told: list[State]) -> None:
    page, second, third = await entered(room, 3)
    await room.play(True)
    await room.leave(page)
    await room.leave(page)
    assert second.last("hello")["role"] == "controls"
    assert third.last("hello")["role"] == "follows"
    assert told[-1].pages == 2
    assert told[-1].playing, "the others play on"
    await room.hear(page, json.dumps(choose("source")))
    assert room.state.stream == "repair", "who has left has no say"
    await room.leave(third)
    await room.leave(second)
    assert (told[-1].pages, told[-1].playing) == (0, False)


async def test_who_follows_is_told_where_to_play(room: Room) -> None:
    page, other = await entered(room, 2)
    await room.hear(page, json.dumps({"type": "at", "frame": 4321, "playing": False, "order": 0}))
    await room.play(True)
    assert page.last("play")["frame"] is None, "it knows better"
    assert other.last("play")["frame"] == 4321


async def test_what_a_page_said_before_it_heard_an_order_changes_nothing(room: Room) -> None:
    (page,) = await entered(room)
    await room.play(True, 1000)
    await room.hear(page, json.dumps({"type": "at", "frame": 7, "playing": False, "order": 0, "suspended": True}))
    assert (room.state.playing, room.state.frame, room.state.suspended) == (True, 1000, True)
    await room.hear(page, json.dumps({"type": "at", "frame": 1200, "playing": True, "order": 1}))
    assert (room.state.playing, room.state.frame, room.state.suspended) == (True, 1200, False)


DEEP = "[" * 1500 + "]" * 1500
BAD = [
    "",
    "\0",
    "[]",
    "null",
    "12",
    '"play"',
    "{}",
    '{"type":"own"}',
    '{"type":"play"}',
    '{"type":"play","playing":1}',
    '{"type":"play","playing":true,"frame":-1}',
    '{"type":"play","playing":true,"frame":1e300}',
    '{"type":"play","playing":true,"frame":9223372036854775807}',
    '{"type":"play","playing":true,"frame":1' + "0" * 3000 + "}",
    '{"type":"choose","stream":"master","order":0}',
    '{"type":"choose","stream":"source","order":0,"also":1}',
    '{"type":"at","frame":NaN,"playing":true,"order":0}',
    '{"type":"at","frame":1,"playing":true,"order":0,"context_rate":-1}',
    '{"type":"choose","stream":' + DEEP + "}",
    '{"type":"choose","more":' + DEEP + ',"order":0,"stream":"source"}',
    '{"type":"play","playing":true',
    "\ud800",
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
async def test_what_is_no_message_is_a_value_error_and_changes_nothing(room: Room, text: str) -> None:
    (page,) = await entered(room)
    before = room.state
    with pytest.raises(ValueError, match=r"."):
        await room.hear(page, text)
    assert room.state == before


async def test_frames_end_with_the_file(room: Room) -> None:
    (page,) = await entered(room)
    await room.hear(page, json.dumps({"type": "play", "playing": True, "frame": 2**53}))
    assert room.state.frame == FRAMES
    await room.hear(page, json.dumps({"type": "at", "frame": 2**53, "playing": True, "order": 0}))
    assert room.state.frame == FRAMES


async def test_a_loop_that_is_none_is_refused(room: Room) -> None:
    (page,) = await entered(room)
    clip = room.clip
    for loop in ((5, 5), (6, 5), (0, FRAMES + 1)):
        with pytest.raises(ValueError, match="no loop from"):
            await room.loop(loop)
        await room.hear(page, json.dumps({"type": "loop", "first": loop[0], "last": loop[1]}))
        assert page.last("refused")["why"].startswith("no loop from")
    assert (room.clip, room.state.loop) == (clip, None)


async def test_a_loop_elsewhere_takes_the_place_along(room: Room) -> None:
    await room.play(False, 10)
    await room.loop((RATE, 2 * RATE))
    assert room.state.frame == RATE
    await room.play(False, RATE + 5)
    await room.loop((0, 2 * RATE))
    assert room.state.frame == RATE + 5


async def test_a_page_that_takes_nothing_is_let_go(room: Room, told: list[State]) -> None:
    page, other = await entered(room, 2)
    page.gone = True
    await room.choose("source")
    assert told[-1].pages == 1
    assert other.last("choose")["stream"] == "source"
    assert other.last("hello")["role"] == "controls"
    other.gone = True
    await room.choose("repair")
    assert told[-1].pages == 0
    third = Told()
    third.gone = True
    await room.enter(third)
    assert told[-1].pages == 0


async def test_an_edit_is_a_new_clip_that_is_made_ready(room: Room, heard: Heard) -> None:
    (page,) = await entered(room)
    old = page.last("clip")["clip"]
    await room.show(*louder(heard, -3.0))
    new = page.last("clip")["clip"]
    assert new["id"] != old["id"]
    for _ in range(500):
        if (new["id"], 0) in room._clips._kept:
            break
        await asyncio.sleep(0.01)
    assert (new["id"], 0) in room._clips._kept, "before any page has asked"
    await room.show(*louder(heard, -3.0))
    assert not page.all("clip"), "the same again is nothing new"


async def test_of_many_edits_only_the_newest_is_made(room: Room, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    (page,) = await entered(room)
    page.messages.clear()
    shown = 0
    show = Clips.show

    def counting(self: Clips, *given: Any) -> Any:
        nonlocal shown
        shown += 1
        return show(self, *given)

    monkeypatch.setattr(Clips, "show", counting)
    await asyncio.gather(*(room.show(*louder(heard, -0.1 * step)) for step in range(1, 40)))
    assert shown <= 2
    assert len(page.all("clip")) <= 2
    last = room.clip
    await room.show(*louder(heard, -0.1 * 39))
    assert room.clip == last


async def test_edits_and_loops_at_once_both_count(room: Room, heard: Heard) -> None:
    await asyncio.gather(
        room.show(*louder(heard, -1.0)), room.loop((5, 500)), room.show(*louder(heard, -2.0)), room.loop((6, 600))
    )
    clip = room.clip
    assert clip is not None
    assert (clip.first, clip.last) == room.state.loop == (6, 600)
    await room.show(*louder(heard, -2.0))
    assert room.clip == clip


async def test_an_edit_that_can_not_be_heard_is_said_and_changes_nothing(room: Room, heard: Heard) -> None:
    clip = room.clip
    assert clip is not None
    with pytest.raises(UnbakeError, match="there is no such stem"):
        await room.show(louder(heard, -3.0).session, {})
    assert room.clip == clip
    await room.loop((0, 100))
    assert room.segment(f"{clip.id.partition('-')[0]}-0-100", 0) is not None


async def test_a_loop_outside_a_shorter_file_is_dropped(room: Room, heard: Heard, told: list[State]) -> None:
    import soundfile

    await room.loop((FRAMES - 10, FRAMES))
    sound = heard.samples("source")[:, :1000].T
    path = f"{heard.session.source.path}.short.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    source = msgspec.structs.replace(heard.session.source, path=path, sha256="other", frames=1000)
    await room.show(msgspec.structs.replace(heard.session, source=source, strips={}), {})
    assert told[-1].loop is None
    assert told[-1].frame <= 1000
    assert room.clip is not None
    assert room.clip.last == 1000


async def test_before_anything_is_shown_a_page_waits(told: list[State]) -> None:
    room = Room("nothing yet", told.append)
    await room.loop((5, 10))
    (page,) = await entered(room)
    assert not page.all("clip")
    await room.hear(page, json.dumps({"type": "play", "playing": True}))
    assert room.segment("x", 0) is None
    await room.close()


# ---- blind tests, markers, the shuttle


async def test_a_blind_test_is_told_to_pages_and_answered_by_the_one_that_has_the_controls(heard: Heard) -> None:
    asked: list[Judge | Mark | SetLoop] = []
    room = Room("a song", asked=asked.append)
    await room.show(*heard)
    page, other = await entered(room, 2)
    judged = {"type": "judge", "answer": "source", "trial": 1}
    await room.hear(page, json.dumps(judged))
    await room.hear(page, json.dumps(choose("x")))
    assert "a blind test has A, B and X" in page.last("refused")["why"]
    assert page.last("choose")["stream"] == "repair", "it is put right"
    with pytest.raises(ValueError, match="blind test only"):
        await room.choose("x")
    await room.hide("repair", "trial 1 of 16", 1)
    told = {"type": "blind", "x": "repair", "said": "trial 1 of 16", "trial": 1, "stream": "repair", "order": 1}
    assert page.last("blind") == told
    for stream in ("x", "difference"):
        await room.hear(page, json.dumps(choose(stream, 1)))
    assert room.state.stream == "x"
    assert other.last("choose")["stream"] == "x"
    (late,) = await entered(room)
    assert late.last("blind")["x"] == "repair"
    await room.hear(other, json.dumps(judged))
    await room.hear(page, json.dumps({**judged, "trial": 2}))
    await room.hear(page, json.dumps(judged))
    assert asked == [Judge("source", 1)], "while there is something to judge, and of that trial"
    await room.hear(page, json.dumps({"type": "match", "on": False}))
    assert room.state.match
    await room.hide("source", "trial 2 of 16", 2)
    assert room.state.stream == "source", "or the change of X would be heard"
    await room.hear(page, json.dumps(choose("x", 2)))
    await room.hide(None)
    assert (room.state.stream, room.state.x) == ("repair", None)
    assert page.last("blind")["stream"] == "repair"
    await room.close()


async def test_of_choices_that_cross_on_the_line_the_terminals_holds(room: Room) -> None:
    page, other = await entered(room, 2)
    await room.choose("source")
    await room.hear(page, json.dumps(choose("difference", 0)))  # it had not heard of the source yet
    assert room.state.stream == "source"
    assert [told["stream"] for told in page.all("choose")] == ["source"]
    await room.hear(page, json.dumps(choose("difference", 1)))
    assert room.state.stream == other.last("choose")["stream"] == "difference"


async def test_a_loop_that_a_page_sets_is_told(heard: Heard) -> None:
    asked: list[Judge | Mark | SetLoop] = []
    room = Room("a song", asked=asked.append)
    await room.show(*heard)
    (page,) = await entered(room)
    for loop in ((100, 5000), (5000, 100)):
        await room.hear(page, json.dumps({"type": "loop", "first": loop[0], "last": loop[1]}))
    await room.hear(page, json.dumps({"type": "loop"}))
    assert asked == [SetLoop(100, 5000), SetLoop()], "and none that was refused"
    await room.close()


async def test_markers_are_shown_and_asked_for(heard: Heard, room: Room) -> None:
    (page,) = await entered(room)
    assert page.last("marks")["marks"] == []
    await room.mark((5, 7000))
    assert page.last("marks")["marks"] == [5, 7000]
    await room.hear(page, json.dumps({"type": "mark", "frame": 9}))
    assert "pages of the workstation" in page.last("refused")["why"]
    asked: list[Judge | Mark | SetLoop] = []
    of_app = Room("a song", asked=asked.append)
    await of_app.show(*heard)
    (page,) = await entered(of_app)
    await of_app.hear(page, json.dumps({"type": "mark", "frame": 9}))
    assert asked == [Mark(9)]
    await of_app.close()


async def test_the_shuttle_steps_through_its_speeds(room: Room) -> None:
    (page,) = await entered(room)
    speeds = []
    for steps in (1, 1, 1, 1, 1, -1, -5, -1, -1):
        await room.shuttle(steps)
        speeds.append(page.last("play")["speed"])
    assert speeds == [1, 2, 4, 8, 8, 4, -4, -8, -8]
    await room.hear(page, json.dumps({"type": "at", "frame": 0, "playing": False, "order": 9}))
    assert (room.state.playing, room.state.speed) == (False, 1), "at the start it stops"
    await room.shuttle(-1)
    assert page.last("play")["speed"] == -1
    await room.hear(page, json.dumps({"type": "play", "playing": True, "frame": 4, "speed": 4}))
    assert room.state.speed == 4
    with pytest.raises(ValueError, match="speed"):
        await room.hear(page, json.dumps({"type": "play", "playing": True, "speed": 3}))
