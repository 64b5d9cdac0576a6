"""The player's process: takes orders from the app, plays, and says what is heard.

One event loop owns the state. Sound goes out on threads of its own (`sinks`), or from the page's own clock (`room`);
loudness is measured on another thread, and only the last measurement that was asked for is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from core import wire
from core.audition import messages
from core.audition.decoded import enterable
from core.audition.matching import Match, measure
from core.audition.messages import Answer, Heard, Judged, Looped, Marked, Opened, Order, Refused, Show
from core.audition.monitor import Choice
from core.audition.picture import peaks_of
from core.audition.player import Player
from core.audition.room import Judge, Mark, Room, SetLoop, State
from core.audition.server import Server
from core.audition.sinks import Device, Playing, choose_device, devices, on_card, on_clock
from core.errors import UnbakeError, refusal
from core.events import Operation, finish
from core.recombine.graph import Moved

KEPT: Final = (messages.SetLoop, messages.Blind, messages.Choose, messages.MatchLevels)
"""Orders that hold until the next of their kind; X can be chosen once it is hidden."""
TOLD_SECONDS: Final = 0.05
"""Shortest time between two words about what is heard."""


def main() -> None:
    """Serves the app at the other end of the two pipes whose descriptors are the arguments, until it leaves."""
    orders, answers = (int(word) for word in sys.argv[1:3])
    for descriptor in (orders, answers):
        os.set_inheritable(descriptor, False)

    def say(answer: Answer) -> None:
        with contextlib.suppress(BrokenPipeError):  # the end of the orders says the same
            wire.write_frame(answers, wire.encode(answer))

    asyncio.run(_serve(orders, say))
    os._exit(0)  # a sound system's threads may not want to leave


async def _serve(orders: int, say: Callable[[Answer], None]) -> None:
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[Order | None]()

    def listen() -> None:
        while (data := wire.read_frame(orders)) is not None:
            loop.call_soon_threadsafe(queue.put_nowait, messages.ORDERS.decode(data))
        loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=listen, name="orders", daemon=True).start()
    station = Station(say)
    telling = asyncio.create_task(station.tell())
    try:
        while (order := await queue.get()) is not None:
            while isinstance(order, Show) and not queue.empty():
                newer = queue.get_nowait()
                if not isinstance(newer, Show):  # of edits that came meanwhile only the last is heard
                    await station.obey(order)
                order = newer
            if order is None:
                break
            await station.obey(order)
    finally:
        telling.cancel()
        await station.close()


class Outlet(Protocol):
    """A way out that is open."""

    async def show(self, show: Show, title: str) -> None:
        """Plays another value of the session; `title` is what the engineer calls its source."""
        ...

    async def obey(self, order: Order) -> None:
        """Carries out an order about transport or stream."""
        ...

    async def matched(self, match: Match) -> None:
        """Uses these gains."""
        ...

    def heard(self) -> Heard:
        """What is heard now, without the loudness. Raises UnbakeError, once, when it can't go on."""
        ...

    async def close(self) -> None:
        """Ends it."""
        ...


class Station:
    """The state behind the orders: what is shown, the way out, the loudness match."""

    def __init__(self, say: Callable[[Answer], None]) -> None:
        self._say = say
        self._outlet: Outlet | None = None
        self._shown: Show | None = None
        self._title = ""
        self._loop: tuple[int, int] | None = None
        self._stream: Choice = "repair"
        self._blind = messages.Blind(None)
        self._marks = messages.Mark(())
        self._match_on = True
        self._match = Match(None, None)
        self._source_lufs: tuple[object, float | None] = (None, None)
        """Of the source, and of what: an edit does not alter it."""
        self._measuring: asyncio.Task[None] | None = None
        self._measured_last = False
        """Whether the loudness is that of what is heard now."""
        self._not_any_more = threading.Event()
        self._last_told = Heard()

    async def obey(self, order: Order) -> None:
        """Carries out an order; what can't be is said."""
        try:
            match order:
                case messages.Open():
                    await self._open(order)
                case Show():
                    await self._show(order)
                case messages.Look():
                    self._say(await asyncio.to_thread(_outlets))
                case _:
                    if isinstance(order, messages.SetLoop):
                        self._loop = order.loop
                    elif isinstance(order, messages.Choose):
                        self._stream = order.stream
                    elif isinstance(order, messages.Blind):
                        self._blind = order
                    elif isinstance(order, messages.Mark):
                        self._marks = order
                    elif isinstance(order, messages.MatchLevels):
                        self._match_on = order.on
                    if self._outlet is not None:
                        await self._outlet.obey(order)
                    if isinstance(order, messages.SetLoop):
                        self._measure()
        except ValueError as error:  # what no state of the desk should ask for, and no reason to fall silent
            self._refuse(UnbakeError(str(error)))
        except Exception as error:
            refused = refusal(error)
            if refused is None:
                raise
            self._refuse(refused)

    async def tell(self) -> None:
        """Says what is heard whenever it changed, for as long as it is let."""
        while True:
            await asyncio.sleep(TOLD_SECONDS)
            try:
                nowhere = Heard(stream=self._stream, match=self._match_on)
                heard = nowhere if self._outlet is None else self._outlet.heard()
            except UnbakeError as error:
                self._refuse(error)
                continue
            gains = {"source": self._match.source_db, "repair": self._match.repair_db}
            known = self._match if self._measured_last else Match(None, None)
            heard = msgspec.structs.replace(
                heard,
                gain_db=gains.get(heard.stream, 0.0) if heard.match else 0.0,
                source_lufs=known.source_lufs,
                repair_lufs=known.repair_lufs,
            )
            if heard != self._last_told:
                self._last_told = heard
                self._stream, self._match_on = heard.stream, heard.match  # a page may have chosen
                self._say(heard)

    async def close(self) -> None:
        """Ends everything."""
        self._not_any_more.set()
        if self._measuring is not None:
            await self._measuring
        if self._outlet is not None:
            await self._outlet.close()

    async def _open(self, order: messages.Open) -> None:
        before = self._outlet
        if isinstance(before, Served):  # it has the port
            self._outlet = None
            await before.close()
        outlet, opened = await self._way(order)
        if self._outlet is not None:
            await self._outlet.close()
        self._outlet = None  # until it is as the one before was
        try:
            if self._shown is not None:
                await outlet.show(self._shown, self._title)
            for kept in (
                messages.SetLoop(self._loop),
                self._marks,
                self._blind,
                messages.Choose(self._stream),
                messages.MatchLevels(self._match_on),
            ):
                await outlet.obey(kept)
        finally:
            self._outlet = outlet
        await outlet.matched(self._match)
        self._say(opened)

    async def _way(self, order: messages.Open) -> tuple[Outlet, Opened]:
        if order.way in ("auto", "card"):
            try:
                device = await asyncio.to_thread(choose_device, order.device)
            except UnbakeError:
                if order.way == "card":
                    raise
            else:
                return Live(self._on_card(device)), Opened("card", device=device.name)
        if order.way == "clock":
            return Live(on_clock), Opened("clock")
        served = Served(order.port, self._say)
        await served.start()
        return served, Opened("browser", url=served.server.url, tunnel=served.server.tunnel)

    def _on_card(self, device: Device) -> Callable[[Player], Playing]:
        loop = asyncio.get_running_loop()
        gone = UnbakeError("the sound card stopped", where=device.name, remedy="open it again, or listen in a browser")

        def ended() -> None:
            loop.call_soon_threadsafe(self._refuse, gone)

        return lambda player: on_card(player, device, ended)

    async def _show(self, order: Show) -> None:
        entered = await asyncio.to_thread(finish, enterable(order.session))
        if self._shown is not None and self._shown.session.source != entered.source:
            self._match = Match(None, None)
        self._shown = msgspec.structs.replace(order, session=entered)
        self._title = Path(order.session.source.path).name  # a lossy source is entered by another file
        if self._outlet is not None:
            await self._outlet.show(self._shown, self._title)
        self._measure()

    def _measure(self) -> None:
        self._not_any_more.set()
        self._not_any_more = threading.Event()
        self._measured_last = False
        if self._shown is not None:
            self._measuring = asyncio.create_task(self._measured(self._shown, self._loop, self._not_any_more))

    async def _measured(self, shown: Show, loop: tuple[int, int] | None, not_any_more: threading.Event) -> None:
        stems = {name: Path(path) for name, path in shown.stems.items()}
        of = (shown.session.source, loop, shown.listening, shown.stems if shown.listening.strips else None)
        known = self._source_lufs[1] if self._source_lufs[0] == of else None
        operation = measure(shown.session, stems, shown.listening, _inside(loop, shown.session.source.frames), known)
        try:
            match = await asyncio.to_thread(_unless, not_any_more, operation)
        except UnbakeError as error:
            self._refuse(error)
            return
        if match is not None and not not_any_more.is_set():
            self._match, self._measured_last = match, True
            self._source_lufs = of, match.source_lufs
            if self._outlet is not None:
                await self._outlet.matched(match)

    def _refuse(self, error: UnbakeError) -> None:
        self._say(Refused(error.what, error.where, error.remedy))


class Live:
    """A sound card, or the clock: a `Player` that is read in real time, from the first session on that is shown."""

    def __init__(self, put_on: Callable[[Player], Playing]) -> None:
        self._put_on = put_on
        self._player: Player | None = None
        self._playing: Playing | None = None
        self._match, self._match_on = Match(None, None), True
        self._running = contextlib.ExitStack()
        self._kept: dict[type, Order] = {}
        """The last order of each kind that a player of another source must be told again."""

    async def show(self, show: Show, title: str) -> None:  # noqa: ARG002 - a sound card shows no title
        """Plays another value of the session, from where it is."""
        stems = {name: Path(path) for name, path in show.stems.items()}
        if self._player is not None and self._player.source == show.session.source:
            await asyncio.to_thread(self._player.edit, show.session, stems, show.listening)
            return
        await self.close()
        self._player = await asyncio.to_thread(Player, show.session, stems, show.listening)
        self._running.callback(self._player.close)
        try:
            for order in [self._kept[kind] for kind in KEPT if kind in self._kept]:
                await self.obey(order)
            playing = await asyncio.to_thread(self._put_on, self._player)
            self._playing = await asyncio.to_thread(self._running.enter_context, playing)
        except BaseException:
            await self.close()
            raise

    async def obey(self, order: Order) -> None:
        """Carries out an order about transport or stream."""
        if isinstance(order, KEPT):
            self._kept[type(order)] = order
        player = self._player
        if player is None:
            if isinstance(order, messages.Shuttle) or (isinstance(order, messages.Play) and order.playing):
                remedy = "choose another way to listen"
                raise UnbakeError("nothing can be heard: the sound card is not open", remedy=remedy)
            return
        match order:
            case messages.Play(playing=playing, frame=frame):
                if frame is not None:
                    player.seek(frame)
                if playing:
                    player.play()
                else:
                    player.pause()
            case messages.Seek(frame=frame):
                player.seek(frame)
            case messages.Shuttle(steps=steps):
                player.shuttle(steps)
            case messages.Choose(stream=stream):
                player.choose(stream)
            case messages.SetLoop(loop=loop):
                player.loop(_inside(loop, player.info.frames))
            case messages.MatchLevels(on=on):
                self._match_on = on
                await self.matched(self._match)
            case messages.Blind(x=x):
                player.hide(x)
            case messages.Mark():
                pass
            case _:
                raise TypeError(f"{type(order).__name__} is no order about what is heard")

    async def matched(self, match: Match) -> None:
        """Uses these gains, while the match is on."""
        self._match = match
        if self._player is not None:
            gains = (match.source_db, match.repair_db) if self._match_on else (0.0, 0.0)
            self._player.match(*gains)

    def heard(self) -> Heard:
        """Where the sound is that leaves the queue now."""
        if self._player is None or self._playing is None:
            return Heard(match=self._match_on)
        feeder = self._playing.feeder
        if feeder.error is not None:
            error, feeder.error = feeder.error, None
            raise error
        transport = self._player.transport
        # a jump is not yet in the queue's blocks: what stands still is where it was put
        frame = min(feeder.position, self._player.info.frames) if transport.playing else transport.frame
        return Heard(
            playing=transport.playing,
            frame=frame,
            speed=transport.speed,
            stream=transport.stream,
            peaks=() if transport.stream == "x" else tuple(float(peak) for peak in feeder.peaks),
            match=self._match_on,
            late=self._playing.late,
            context_rate=float(self._playing.device_rate),
            caveat=self._playing.words,
            moved=_rounded(feeder.moved) if transport.playing else (),
        )

    async def close(self) -> None:
        """Falls silent and closes the files."""
        self._running.close()
        self._player = self._playing = None


class Served:
    """The listening page."""

    def __init__(self, port: int | None, say: Callable[[Answer], None]) -> None:
        def asked(asks: Judge | Mark | SetLoop) -> None:
            match asks:
                case Judge(answer=answer, trial=trial):
                    say(Judged(answer, trial))
                case Mark(frame=frame):
                    say(Marked(frame))
                case SetLoop(first=first, last=last):
                    say(Looped(None if first is None or last is None else (first, last)))

        self._room = Room("unbake", asked=asked)
        self._drawn = ""
        self._frames: int | None = None
        self.server = Server(self._room, port=port)

    async def start(self) -> None:
        """Opens the port. Raises UnbakeError when it is taken."""
        await self.server.start()

    async def show(self, show: Show, title: str) -> None:
        """Has the pages fetch another value of the session."""
        self._room.title = title
        self._frames = show.session.source.frames
        stems = {name: Path(path) for name, path in show.stems.items()}
        await self._room.show(show.session, stems, show.listening)
        source = show.session.source.path
        if self._drawn != source:
            self._drawn = source
            await self._room.overview(await asyncio.to_thread(peaks_of, Path(source)))

    async def obey(self, order: Order) -> None:
        """Carries out an order about transport or stream."""
        match order:
            case messages.Play(playing=playing, frame=frame):
                await self._room.play(playing, frame)
            case messages.Seek(frame=frame):
                await self._room.play(self._room.state.playing, frame)
            case messages.Shuttle(steps=steps):
                await self._room.shuttle(steps)
            case messages.Choose(stream=stream):
                await self._room.choose(stream)
            case messages.SetLoop(loop=loop):
                await self._room.loop(loop if self._frames is None else _inside(loop, self._frames))
            case messages.MatchLevels(on=on):
                await self._room.match(on)
            case messages.Blind(x=x, said=said, trial=trial):
                await self._room.hide(x, said, trial)
            case messages.Mark(frames=frames):
                await self._room.mark(frames)
            case _:
                return

    async def matched(self, match: Match) -> None:
        """Has the pages use these gains."""
        await self._room.matched(match)

    def heard(self) -> Heard:
        """Where the page with the controls says that it is."""
        state: State = self._room.state
        return Heard(
            playing=state.playing,
            frame=state.frame,
            speed=state.speed,
            stream=state.stream,
            match=state.match,
            pages=state.pages,
            suspended=state.suspended,
            context_rate=state.context_rate,
            moved=_rounded(self._room.moved()) if state.playing else (),
        )

    async def close(self) -> None:
        """Closes the port and every page's line."""
        await self.server.stop()
        await self._room.close()


def _rounded(moved: Iterable[Moved]) -> tuple[Moved, ...]:
    """As finely as a meter shows them, so that what stands still is not told again."""
    return tuple(each._replace(moved_db=round(each.moved_db, 1)) for each in moved)


def _outlets() -> messages.Outlets:
    try:
        return messages.Outlets(tuple((each.name, each.channels, each.sample_rate) for each in devices()))
    except UnbakeError as error:
        return messages.Outlets((), error.line())


def _unless(not_any_more: threading.Event, operation: Operation[Match]) -> Match | None:
    """The result of an operation, run to its end; None where nobody wants it any more."""
    with contextlib.closing(operation):
        while not not_any_more.is_set():
            try:
                next(operation)
            except StopIteration as stop:
                return stop.value
    return None


def _inside(loop: tuple[int, int] | None, frames: int) -> tuple[int, int] | None:
    """A loop cut to the file; None where nothing of it is left."""
    if loop is None:
        return None
    first, last = max(0, loop[0]), min(frames, loop[1])
    return (first, last) if first < last else None
