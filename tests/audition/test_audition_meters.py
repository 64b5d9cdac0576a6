"""How far gains that follow the sound are moved, as it is told with what is heard: on a sound card, and in a page."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from core import wire
from core.audition import messages
from core.audition.clips import METER_SECONDS, Clips
from core.audition.process import Live
from core.audition.room import Room
from core.recombine.graph import Moved
from core.session.document import Strip
from core.session.processors import Bell, Compressor, Gate
from tests.audition.audition_session import FRAMES, RATE, Heard, make_session
from tests.audition.test_audition_process import Still, shown, still

SQUASHED = Strip(chain=(Bell(freq_hz=250.0, gain_db=-1.0), Compressor(threshold_db=-40.0, ratio=4.0)))


@pytest.fixture
def squashed(tmp_path: Path) -> Heard:
    """A session whose bass is compressed, by the second processor of its chain, under a limiter."""
    return make_session(tmp_path, strips={"bass": SQUASHED}, limited=True)


async def test_a_sound_card_tells_while_it_plays(squashed: Heard) -> None:
    live = Live(still)
    await live.show(shown(squashed), "song.wav")
    assert live.heard().moved == ()
    await live.obey(messages.Play(True, 0))
    moved: dict[tuple[str, int], float] = {}
    for _ in range(500):
        Still.feeder.take()
        moved = {(each.strip, each.place): each.moved_db for each in live.heard().moved}
        if moved.get(("bass", 1), 0.0) < -10.0:
            break
        await asyncio.sleep(0.01)
    assert moved.keys() == {("bass", 1), ("master", 0)}
    assert -30.0 < moved["bass", 1] < -10.0
    assert moved["bass", 1] == round(moved["bass", 1], 1)
    await live.obey(messages.Play(False))
    assert live.heard().moved == ()
    await live.close()


def test_what_moved_crosses_the_pipe() -> None:
    heard = messages.Heard(playing=True, moved=(Moved("bass", 1, -3.2), Moved("master", 0, 0.0)))
    assert messages.ANSWERS.decode(wire.encode(heard)) == heard


def test_a_page_is_followed_through_its_segments(squashed: Heard) -> None:
    clips = Clips()
    clip = clips.show(*squashed)
    assert clips.moved(1000) == ()
    segment = clips.segment(clip.id, 0)
    assert segment is not None
    step = round(METER_SECONDS * RATE)
    assert len(segment.moved) == -(-clip.segment_frames // step)
    assert [(each.strip, each.place) for each in clips.moved(0)] == [("bass", 1), ("master", 0)]
    assert clips.moved(step - 1) == segment.moved[0]
    assert clips.moved(step) == segment.moved[1]
    assert clips.moved(clip.segment_frames - 1) == segment.moved[-1]
    assert clips.moved(FRAMES) == ()
    clips.close()


def test_segments_of_a_session_without_them_carry_none(tmp_path: Path) -> None:
    heard = make_session(tmp_path)
    clips = Clips()
    clip = clips.show(*heard)
    segment = clips.segment(clip.id, 0)
    assert segment is not None
    assert segment.moved == ()
    assert clips.moved(0) == ()
    clips.close()


async def test_a_room_tells_of_where_its_pages_are(squashed: Heard) -> None:
    room = Room("song")
    await room.show(*squashed)
    assert room.clip is not None
    room.segment(room.clip.id, 0)
    await room.play(True, RATE)
    moved = {(each.strip, each.place): each.moved_db for each in room.moved()}
    assert moved["bass", 1] < -10.0
    await room.close()


def test_a_gate_is_shut_in_silence_and_open_in_sound(tmp_path: Path) -> None:
    heard = make_session(tmp_path, strips={"bass": Strip(chain=(Gate(threshold_db=-30.0, ratio=10.0),))})
    clips = Clips()
    clip = clips.show(*heard)
    segment = clips.segment(clip.id, 0)
    assert segment is not None
    levels = np.array([moved[0].moved_db for moved in segment.moved])
    assert levels[0] < -10.0
    assert levels[3] > -0.5
    clips.close()
