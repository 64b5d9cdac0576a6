"""Listening from the command line: what a session needs to be heard, and its ways out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from core.audition.decoded import enterable
from core.audition.matching import Match, measure
from core.audition.monitor import Listening, Monitor, Stream, stretch
from core.audition.picture import peaks_of
from core.audition.pipe import write_wav
from core.audition.player import Player
from core.audition.room import Room
from core.audition.server import Server
from core.audition.sinks import choose_device, on_card
from core.errors import UnbakeError
from core.events import Note, Operation, finish
from core.jobs import sessions
from core.separation.device import check_device_name
from core.session.document import Session

STREAMS: dict[str, Stream] = {
    "source": "source",
    "a": "source",
    "repair": "repair",
    "b": "repair",
    "difference": "difference",
    "n": "difference",
}
"""What a stream may be called; any other name is a strip's."""
LOOK_SECONDS = 0.1


class Programme(msgspec.Struct, frozen=True):
    """What is to be heard: a session with the stems it takes, a stream of it, and from which frame to before which.

    `name` is the stream as it was asked for: a strip's name for a strip alone.
    """

    session: Session
    stems: dict[str, Path]
    listening: Listening
    stream: Stream
    name: str
    first: int
    last: int

    @property
    def whole(self) -> bool:
        """Whether it is all of the file."""
        return (self.first, self.last) == (0, self.session.source.frames)

    @property
    def loop(self) -> tuple[int, int] | None:
        """The stretch, where it is not all of the file."""
        return None if self.whole else (self.first, self.last)


class Played(msgspec.Struct, frozen=True):
    """What was played, and how it went."""

    source: str
    stream: str
    first: int
    last: int
    seconds: float
    underruns: int = 0
    schema: int = 1


def programme(
    path: Path,
    stream: str = "repair",
    *,
    from_seconds: float = 0.0,
    to_seconds: float | None = None,
    device: str = "auto",
) -> Operation[Programme]:
    """Gets what a stream of a session, or of an audio file as it is, takes: its stems, out of the store or made now.

    A strip's name is that strip alone, as repaired. Raises UnbakeError for an unknown stream, times outside the file,
    and as `sessions.stems_for` does.
    """
    check_device_name(device)
    if path.name.endswith(".toml"):
        session = sessions.open_session(path)
    else:
        session = Session(
            source=(yield from sessions.describing_source(path)), separation=sessions.separation_by("starter")
        )
    listening = Listening()
    if stream not in STREAMS:
        strips = session.strip_names
        if stream not in strips:
            known = ", ".join((*STREAMS, *strips))
            raise UnbakeError(f'there is no stream "{stream}"', remedy=f"there are: {known}")
        listening = Listening(solo=frozenset({stream}))
    rate, frames = session.source.sample_rate, session.source.frames
    first = round(from_seconds * rate)
    last = frames if to_seconds is None else min(frames, round(to_seconds * rate))
    if not 0 <= first < last:
        length = f"{frames / rate:.3f} s"
        raise UnbakeError(
            f"nothing lies from {from_seconds:g} s to {last / rate:g} s", where=path, remedy=f"it has {length}"
        )
    session, found = yield from sessions.stems_for(session, device=device, heard=listening.strips)
    name, chosen = STREAMS.get(stream, stream), STREAMS.get(stream, "repair")
    return Programme(session, found.paths, listening, chosen, name, first, last)


def to_pipe(heard: Programme, pipe: BinaryIO) -> Played:
    """Writes the stream as a WAV of 32-bit floats, exactly as the render computes it: nothing is matched.

    Raises BrokenPipeError when who listens has left, and UnbakeError as `Monitor` does.
    """
    began = time.monotonic()
    session = finish(enterable(heard.session)) if heard.first else heard.session
    with Monitor(session, heard.stems, heard.listening) as monitor:
        blocks = (sides.stream(heard.stream) for sides in stretch(monitor, heard.first, heard.last))
        info = monitor.info
        frames = heard.last - heard.first
        write_wav(pipe, blocks, sample_rate=info.sample_rate, speakers=info.speakers, frames=frames)
    return _played(heard, began)


def to_sound_card(heard: Programme, name: str | None, *, match: bool, looped: bool) -> Operation[Played]:
    """Plays on a sound card until the end, or again and again with `looped`; closing it stops.

    Raises UnbakeError where there is no such card, it can't play this file, or it goes away.
    """
    began = time.monotonic()
    device = choose_device(name)
    session = yield from enterable(heard.session)
    gone = False

    def ended() -> None:
        nonlocal gone
        gone = True

    player = Player(session, heard.stems, heard.listening)
    try:
        player.choose(heard.stream)
        player.seek(heard.first)
        player.loop((heard.first, heard.last) if looped else None)
        player.end(heard.last)
        if match:
            found = yield from measure(session, heard.stems, heard.listening, heard.loop)
            player.match(found.source_db, found.repair_db)
        with on_card(player, device, ended) as playing:
            if playing.words:
                yield Note(f"{device.name}: {playing.words}")
            player.play()  # after some silence: a card may swallow the first it is given
            while (player.transport.playing or playing.feeder.position < heard.last) and not gone:
                time.sleep(LOOK_SECONDS)
                if playing.feeder.error is not None:
                    raise playing.feeder.error
            if gone:
                raise UnbakeError("the sound card went away", where=device.name)
            time.sleep(playing.sink.latency_s)
            return _played(heard, began, playing.late)
    finally:
        player.close()


def to_browser(
    heard: Programme, *, host: str, port: int | None, match: bool, told: Callable[[str, str], None]
) -> Operation[Played]:
    """Serves the listening page until it is interrupted; `told` gets its address and the ssh line once it is open.

    Raises UnbakeError when the port is taken.
    """
    began = time.monotonic()
    session = yield from enterable(heard.session)
    level = Match(None, None)
    if match:
        level = yield from measure(session, heard.stems, heard.listening, heard.loop)
    title = Path(heard.session.source.path).name  # a lossy source is entered by another file
    entered = msgspec.structs.replace(heard, session=session)
    asyncio.run(_serve(entered, title, level, host, port, match=match, told=told))
    return _played(heard, began)


async def _serve(
    heard: Programme,
    title: str,
    level: Match,
    host: str,
    port: int | None,
    *,
    match: bool,
    told: Callable[[str, str], None],
) -> None:
    room = Room(title)
    server = Server(room, host=host, port=port)
    await room.loop(heard.loop)
    await room.show(heard.session, heard.stems, heard.listening)
    await room.choose(heard.stream)
    await room.matched(level)
    await room.match(match)
    await server.start()
    told(server.url, server.tunnel)
    await room.overview(await asyncio.to_thread(peaks_of, Path(heard.session.source.path)))
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()
        await room.close()


def _played(heard: Programme, began: float, underruns: int = 0) -> Played:
    seconds = time.monotonic() - began
    return Played(heard.session.source.path, heard.name, heard.first, heard.last, seconds, underruns)
