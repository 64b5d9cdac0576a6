"""What the player's process makes of its orders, without the process."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from core import wire
from core.audition import messages, process, sinks
from core.audition.matching import Match
from core.audition.monitor import Listening, Monitor
from core.audition.player import Player
from core.audition.process import Live, Station
from core.audition.sinks import ClockSink, Feeder, Playing
from core.errors import UnbakeError
from tests.audition.audition_session import RATE, Heard
from tests.audition.test_audition_sinks import Cards


class Still(ClockSink):
    """A clock that stands still: the test takes the blocks."""

    feeder: Feeder

    def __init__(self, feeder: Feeder) -> None:
        super().__init__(feeder, RATE)
        Still.feeder = feeder

    def _run(self) -> None:
        return


def still(player: Player) -> Playing:
    feeder = Feeder(player)
    return Playing(feeder, Still(feeder))


def shown(heard: Heard) -> messages.Show:
    return messages.Show(heard.session, {name: str(path) for name, path in heard.stems.items()}, Listening())


async def test_the_match_is_heard_while_it_is_on_and_not_while_it_is_off(heard: Heard) -> None:
    live = Live(still)
    await live.obey(messages.Choose("source"))
    await live.show(shown(heard), "song.wav")
    await live.matched(Match(-10.0, -16.0))
    await live.obey(messages.Play(True, 0))
    source = heard.samples("source")

    def gain() -> float:
        block = np.concatenate([Still.feeder.take() for _ in range(20) if not threading.Event().wait(0.02)], axis=1)
        end = Still.feeder.position + Still.feeder.block_frames
        return float(np.abs(block[:, -1000:]).max() / np.abs(source[:, end - 1000 : end]).max())

    assert gain() == pytest.approx(10 ** (-6 / 20), rel=1e-3)
    await live.obey(messages.MatchLevels(False))
    assert gain() == pytest.approx(1.0, rel=1e-3)
    await live.obey(messages.MatchLevels(True))
    assert gain() == pytest.approx(10 ** (-6 / 20), rel=1e-3)
    await live.close()


async def test_a_file_that_breaks_while_it_plays_is_said_once(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(still)
    await live.show(shown(heard), "song.wav")

    def broken(self: Monitor, frames: int) -> None:
        raise UnbakeError("is truncated", where="song.wav")

    monkeypatch.setattr(Monitor, "read", broken)
    await live.obey(messages.Play(True))
    for _ in range(20):
        Still.feeder.take()
        await asyncio.sleep(0.01)
    with pytest.raises(UnbakeError, match="is truncated"):
        live.heard()
    live.heard()
    await live.close()


async def test_of_edits_that_come_faster_than_they_can_be_heard_the_last_is(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    obeyed: list[object] = []

    async def obey(self: Station, order: object) -> None:
        obeyed.append(order)
        await asyncio.sleep(0.2)

    monkeypatch.setattr(Station, "obey", obey)
    out, into = os.pipe()
    orders = [messages.Choose("source"), *[shown(heard)] * 5, messages.Choose("repair"), *[shown(heard)] * 3]
    for order in orders:
        wire.write_frame(into, wire.encode(order))
    os.close(into)
    await process._serve(out, lambda answer: None)
    kinds = [type(order).__name__ for order in obeyed]
    assert kinds == ["Choose", "Show", "Choose", "Show"]


async def test_a_lossy_source_keeps_its_name_on_the_page(heard: Heard) -> None:

    lossy = Path(heard.session.source.path).with_suffix(".mp3")
    soundfile.write(lossy, heard.samples("source").T, RATE, format="MP3")
    frames = soundfile.info(lossy).frames
    source = msgspec.structs.replace(heard.session.source, path=str(lossy), frames=frames, sha256="cd" * 32)
    session = msgspec.structs.replace(heard.session, source=source, strips={})
    station = Station(lambda answer: None)
    await station.obey(messages.Open("browser", port=0))
    await station.obey(messages.Show(session, {}, Listening()))
    assert station._outlet._room.title == lossy.name  # type: ignore[union-attr]
    assert station._shown is not None
    assert station._shown.session.source.path.endswith(".w64")
    await station.close()


async def test_the_source_is_measured_once_for_all_edits(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[float | None] = []
    measure = process.measure

    def noted(*words: object) -> object:
        known.append(words[-1])  # type: ignore[arg-type]
        return measure(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "measure", noted)
    station = Station(lambda answer: None)
    for session in (heard.session, msgspec.structs.replace(heard.session, strips={})):
        await station.obey(msgspec.structs.replace(shown(heard), session=session))
        assert station._measuring is not None
        await station._measuring
    whole = station._match.source_lufs
    assert station._match.repair_lufs == pytest.approx(whole, abs=1e-9)
    await station.obey(messages.SetLoop((0, RATE)))
    await station._measuring
    assert known == [None, whole, None], "another stretch is measured anew"
    assert station._match.source_lufs != whole
    await station.close()


@pytest.fixture
def said() -> list[messages.Answer]:
    return []


async def told(station: Station, said: list[messages.Answer]) -> messages.Heard:
    """What a station says that is heard, once it had time to."""
    telling = asyncio.create_task(station.tell())
    await asyncio.sleep(0.2)
    telling.cancel()
    return next(each for each in reversed(said) if isinstance(each, messages.Heard))


async def test_a_card_is_opened_busy_and_opened_again(
    heard: Heard, said: list[messages.Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "sound_module", lambda: Cards)
    monkeypatch.setattr(Cards, "busy", True)
    station = Station(said.append)
    await station.obey(messages.Open("card", "Babyface"))
    assert said == [messages.Opened("card", device="Babyface Pro")]
    for order in (shown(heard), messages.Play(True)):
        await station.obey(order)
    assert [each.what for each in said[1:] if isinstance(each, messages.Refused)] == [
        "the sound card can't be opened: Device unavailable [PaErrorCode -9985]",
        "nothing can be heard: the sound card is not open",
    ]
    monkeypatch.setattr(Cards, "busy", False)
    await station.obey(messages.Open("card", "Babyface"))
    await station.obey(messages.Play(True))
    found = await told(station, said)
    assert (found.playing, found.context_rate, found.caveat) == (True, 48_000.0, "resampled to 48000 Hz")
    await station.close()


async def test_another_source_is_played_as_things_stand_now(heard: Heard, said: list[messages.Answer]) -> None:
    station = Station(said.append)
    await station.obey(messages.Open("clock"))
    for order in (
        shown(heard),
        messages.Blind("source", "1 of 16", 1),
        messages.Choose("x"),
        messages.SetLoop((1000, 50_000)),
        messages.Choose("repair"),
        messages.Blind(None),
        messages.SetLoop(None),
        messages.MatchLevels(False),
    ):
        await station.obey(order)
    other = msgspec.structs.replace(heard.session.source, sha256="another")
    await station.obey(
        msgspec.structs.replace(shown(heard), session=msgspec.structs.replace(heard.session, source=other))
    )
    outlet = station._outlet
    assert isinstance(outlet, Live)
    assert outlet._player is not None
    transport = outlet._player.transport
    assert (transport.stream, transport.loop) == ("repair", None)
    assert not (await told(station, said)).match
    await station.close()


async def test_the_stream_is_kept_from_one_way_to_the_next(heard: Heard, said: list[messages.Answer]) -> None:
    station = Station(said.append)
    telling = asyncio.create_task(station.tell())
    await station.obey(messages.Open("browser", port=0))
    await station.obey(shown(heard))
    await station.obey(messages.Choose("source"))
    for way in ("clock", "browser", "clock"):
        await station.obey(messages.Open(way, port=0))
        await asyncio.sleep(0.15)
        found = next(each for each in reversed(said) if isinstance(each, messages.Heard))
        assert found.stream == "source"
    telling.cancel()
    await station.close()


async def test_a_loop_outside_the_file_kills_nothing(heard: Heard, said: list[messages.Answer]) -> None:
    station = Station(said.append)
    await station.obey(messages.SetLoop((10**6, 10**7)))
    await station.obey(messages.Open("browser", port=0))
    await station.obey(shown(heard))
    await station.obey(messages.SetLoop((100, 10**7)))
    assert isinstance(station._outlet, process.Served)
    assert station._outlet._room.state.loop == (100, heard.session.source.frames)
    await station.obey(messages.Choose("x"))
    assert said[-1] == messages.Refused("X is heard in a blind test only")
    await station.close()


async def test_figures_of_what_was_heard_before_an_edit_are_not_told(heard: Heard, said: list[messages.Answer]) -> None:
    station = Station(said.append)
    await station.obey(messages.Open("clock"))
    await station.obey(shown(heard))
    assert station._measuring is not None
    await station._measuring
    assert (await told(station, said)).repair_lufs is not None
    edited = msgspec.structs.replace(heard.session, strips={})
    await station.obey(msgspec.structs.replace(shown(heard), session=edited))
    assert not station._measured_last
    await station._measuring
    assert (await told(station, said)).repair_lufs is not None
    await station.close()
