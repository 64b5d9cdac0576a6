"""Who listens in browsers, and what they are told: the state that all pages and the terminal share.

The page's own clock plays; the room says what, and passes on what either side does. One page has the controls, the one
that has been there longest; the others follow. Nothing here knows of HTTP: a page is anything that takes text.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from core.audition.clips import Clip, Clips, Segment
from core.audition.matching import Match
from core.audition.monitor import Choice, Listening
from core.audition.player import faster
from core.errors import UnbakeError
from core.recombine.graph import Moved
from core.session.blind import Side
from core.session.document import Session

PREFETCHED: Final = 2
"""Segments that are made ready after an edit: the one that plays and the next."""
Frame = Annotated[int, Meta(ge=0, le=2**53)]
"""Of the source; a page counts no further than 2**53."""


Speed = Literal[-8, -4, -2, -1, 1, 2, 4, 8]
"""Of the shuttle; 1 is how it was recorded."""


class Play(Struct, frozen=True, forbid_unknown_fields=True, tag="play"):
    """Play, or stop, at a frame (None: where it is)."""

    playing: bool
    frame: Frame | None = None
    speed: Speed = 1


class Choose(Struct, frozen=True, forbid_unknown_fields=True, tag="choose"):
    """Flip to another stream. `order` is the number of the last flip that the page was told."""

    stream: Choice
    order: Frame


class SetLoop(Struct, frozen=True, forbid_unknown_fields=True, tag="loop"):
    """Play a stretch again and again; None plays on."""

    first: Frame | None = None
    last: Frame | None = None


class SetMatch(Struct, frozen=True, forbid_unknown_fields=True, tag="match"):
    """Loudness match on or off."""

    on: bool


class Judge(Struct, frozen=True, forbid_unknown_fields=True, tag="judge"):
    """In a trial of a blind test: X is this."""

    answer: Side
    trial: Frame


class Mark(Struct, frozen=True, forbid_unknown_fields=True, tag="mark"):
    """A marker here, or none any more."""

    frame: Frame


class At(Struct, frozen=True, forbid_unknown_fields=True, tag="at"):
    """A page says where it is, and what it plays on: the rate of its context in Hz (0 without one).

    `order` is the number of the last `play` that it was told; what it said before that is out of date.
    """

    frame: Frame
    playing: bool
    order: Frame
    speed: Speed = 1
    suspended: bool = False
    context_rate: Annotated[float, Meta(ge=0, le=1e7)] = 0.0


Said = Play | Choose | SetLoop | SetMatch | Judge | Mark | At
"""What a page may say."""
_DECODER = msgspec.json.Decoder(Said)


class State(Struct, frozen=True):
    """What the terminal and every page agree on.

    `suspended`: the browser keeps the sound back until somebody clicks in the page. `context_rate` in Hz, 0 when there
    is none yet. `x` is what X is while there is a blind test, `said` what pages say of it, `trial` its number;
    `marks` are markers' frames.
    """

    playing: bool = False
    frame: int = 0
    speed: int = 1
    stream: Choice = "repair"
    loop: tuple[int, int] | None = None
    match: bool = True
    x: Side | None = None
    said: str = ""
    trial: int = 0
    marks: tuple[int, ...] = ()
    suspended: bool = False
    context_rate: float = 0.0
    pages: int = 0


class Page:
    """One browser page. `send` puts a text on its line; ConnectionError when the page takes nothing any more."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self.send = send


class Room:
    """The shared state; all methods but `segment` belong to one event loop.

    `told` hears every state that is new, whoever brought it about; `asked` what only the workstation can do for a page
    (without it, pages are told so), and every loop that a page sets. `show` and `loop` raise UnbakeError as `Monitor`
    does.
    """

    def __init__(
        self,
        title: str,
        told: Callable[[State], None] | None = None,
        asked: Callable[[Judge | Mark | SetLoop], None] | None = None,
    ) -> None:
        self.title = title
        self.state = State()
        self._told = told
        self._asked = asked
        self._clips = Clips()
        self._pages: list[Page] = []
        self._shown: tuple[Session, dict[str, Path], Listening] | None = None
        self._newest: object = None
        self._showing = asyncio.Lock()
        self._match = Match(None, None)
        self._peaks: list[float] = []
        self._order = 0
        self._choices = 0
        self._ahead: asyncio.Task[None] | None = None

    # ---- the terminal's side

    @property
    def clip(self) -> Clip | None:
        """What is played."""
        return self._clips.clip

    async def show(self, session: Session, stems: Mapping[str, Path], listening: Listening | None = None) -> None:
        """Another value of the session: pages fetch it, and go on with the old one until they have it.

        Of several that come close together only the newest is shown. A loop that lies outside the file is dropped.
        """
        given = self._newest = session, dict(stems), listening or Listening()
        async with self._showing:
            if given is not self._newest:
                return
            before, loop = self.clip, self.state.loop
            try:
                await asyncio.to_thread(self._clips.show, *given, loop)
            except ValueError:
                loop = None
                await asyncio.to_thread(self._clips.show, *given, loop)
            self._shown = given
            if self.clip != before:
                self._become(loop=loop, frame=self._inside(self.state.frame))
                self._tell_clip()

    async def loop(self, loop: tuple[int, int] | None) -> None:
        """Another loop. Those without length or outside the file are refused with a ValueError."""
        async with self._showing:
            if self._shown is None:
                self._become(loop=loop)
                return
            clip = await asyncio.to_thread(self._clips.show, *self._shown, loop)
            inside = clip.first <= self.state.frame < clip.last
            self._become(loop=loop, frame=self.state.frame if inside else clip.first)
            self._tell_clip()

    async def matched(self, match: Match) -> None:
        """What is known of loudness by now."""
        self._match = match
        self._tell(self._gains())

    async def overview(self, peaks: Sequence[float]) -> None:
        """What the whole source looks like: peaks, 0 to 1, of stretches of equal length. Pages draw it behind."""
        self._peaks = [round(float(peak), 3) for peak in peaks]
        self._tell(self._overview())

    async def play(self, playing: bool, frame: int | None = None) -> None:
        """Has the pages play or stop, at a frame or where they are."""
        self._play(playing, frame)

    async def shuttle(self, steps: int) -> None:
        """Has the pages play faster by `steps` of 1, 2, 4, 8 times, forwards or backwards."""
        self._play(True, None, faster(self.state.speed if self.state.playing else None, steps))

    async def choose(self, stream: Choice) -> None:
        """Has the pages flip to another stream. ValueError for X outside a blind test."""
        self._choose(stream)

    async def hide(self, x: Side | None, said: str = "", trial: int = 0) -> None:
        """A trial of a blind test: what X is from now on, what pages say of it, its number; None ends the test.

        Who listens to X hears the source then, and the repair after the test.
        """
        stream = self.state.stream
        if stream == "x":
            stream = "repair" if x is None else "source"
        self._choices += 1
        self._become(x=x, said=said, trial=trial, stream=stream)
        self._tell(self._blind())

    async def mark(self, marks: Sequence[int]) -> None:
        """Markers, as pages show them."""
        self._become(marks=tuple(marks))
        self._tell(self._marks())

    async def match(self, on: bool) -> None:
        """Loudness match on or off."""
        self._become(match=on)
        self._tell(self._gains())

    def segment(self, clip_id: str, number: int) -> Segment | None:
        """A segment for a page, from any thread. Raises UnbakeError when a file can't be read."""
        return self._clips.segment(clip_id, number)

    def moved(self) -> tuple[Moved, ...]:
        """How far gains of the repair that follow the sound are moved where the pages are."""
        return self._clips.moved(self.state.frame)

    async def close(self) -> None:
        """Nobody listens any more."""
        if self._ahead is not None:
            self._ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ahead
        await asyncio.to_thread(self._clips.close)

    # ---- the pages' side

    async def enter(self, page: Page) -> None:
        """A page came; the first has the controls."""
        self._pages.append(page)
        self._become(pages=len(self._pages))
        known = (self._hello(page), self._blind(), self._marks(), self._gains(), self._overview(), self._clip_message())
        for message in known:
            self._send(page, _text(message))
        self._prefetch()

    async def leave(self, page: Page) -> None:
        """A page went; the next in line gets the controls."""
        self._let_go(page)

    async def hear(self, page: Page, text: str) -> None:
        """What a page says. Raises ValueError for what is no message; who has no controls is told so."""
        try:
            said = _DECODER.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        if not self._controls(page):
            if not isinstance(said, At):
                self._refuse(page, "another page has the controls")
            return
        match said:
            case At():
                self._at(said)
            case Play():
                self._play(said.playing, said.frame, said.speed, page)
            case Choose():
                self._chosen(said, page)
            case Judge():
                if self.state.x is not None and said.trial == self.state.trial:
                    self._ask(said, page)
            case Mark():
                self._ask(said, page)
            case SetMatch():
                if self.state.x is not None:
                    self._refuse(page, "a blind test is matched in loudness")
                else:
                    await self.match(said.on)
            case SetLoop(first=first, last=last):
                try:
                    await self.loop(None if first is None or last is None else (first, last))
                    if self._asked is not None:
                        self._asked(said)
                except (ValueError, UnbakeError) as error:
                    self._refuse(page, str(error))

    # ---- inside

    def _controls(self, page: Page) -> bool:
        return bool(self._pages) and self._pages[0] is page

    def _become(self, **changes: Any) -> None:
        before, self.state = self.state, msgspec.structs.replace(self.state, **changes)
        if self.state != before and self._told is not None:
            self._told(self.state)

    def _inside(self, frame: int) -> int:
        return min(frame, self.clip.frames) if self.clip is not None else frame

    def _at(self, said: At) -> None:
        heard = {"suspended": said.suspended, "context_rate": said.context_rate}
        if said.order != self._order:  # it had not heard of the last order yet
            self._become(**heard)
        else:
            self._become(frame=self._inside(said.frame), playing=said.playing, speed=said.speed, **heard)

    def _play(self, playing: bool, frame: int | None, speed: int = 1, by: Page | None = None) -> None:
        """Who follows is told the frame in any case; the page that has the controls knows better where it is."""
        here = self._inside(self.state.frame if frame is None else frame)
        if by is None:
            self._order += 1
        self._become(playing=playing, frame=here, speed=speed)
        for page in [page for page in self._pages if page is not by]:
            place = here if frame is not None or not self._controls(page) else None
            order = {"type": "play", "playing": playing, "frame": place, "speed": speed, "order": self._order}
            self._send(page, _text(order))

    def _chosen(self, said: Choose, by: Page) -> None:
        if said.order != self._choices:
            return  # it had not heard of the last flip yet, and will follow that
        if (said.stream == "x" and self.state.x is None) or (said.stream == "difference" and self.state.x is not None):
            self._refuse(by, "a blind test has A, B and X, and nothing else has X")
            self._send(by, _text(self._choice()))
        else:
            self._choose(said.stream, by)

    def _choose(self, stream: Choice, by: Page | None = None) -> None:
        if stream == "x" and self.state.x is None:
            raise ValueError("X is heard in a blind test only")
        if by is None:
            self._choices += 1
        self._become(stream=stream)
        self._tell(self._choice(), but=by)

    def _choice(self) -> dict[str, Any]:
        return {"type": "choose", "stream": self.state.stream, "order": self._choices}

    def _prefetch(self) -> None:
        """Makes ready what the pages are about to fetch; nothing while there is none."""
        if self._ahead is not None:
            self._ahead.cancel()
        self._ahead = asyncio.create_task(self._make_ahead()) if self._pages else None

    async def _make_ahead(self) -> None:
        clip = self.clip
        if clip is None or not clip.segments:
            return
        here = (max(clip.first, min(self.state.frame, clip.last - 1)) - clip.first) // clip.segment_frames
        for number in range(here, min(clip.segments, here + PREFETCHED)):
            with contextlib.suppress(UnbakeError):  # who fetches it is told
                await asyncio.to_thread(self._clips.segment, clip.id, number)

    def _hello(self, page: Page) -> dict[str, Any]:
        role: Literal["controls", "follows"] = "controls" if self._controls(page) else "follows"
        return {
            "type": "hello",
            "title": self.title,
            "role": role,
            "state": self.state,
            "order": self._order,
            "choice_order": self._choices,
        }

    def _clip_message(self) -> dict[str, Any] | None:
        if self.clip is None:
            return None
        return {"type": "clip", "clip": self.clip, "frame": self.state.frame, "loops": self.state.loop is not None}

    def _gains(self) -> dict[str, Any]:
        gains_db = (self._match.source_db, self._match.repair_db) if self.state.match else (0.0, 0.0)
        lufs = (self._match.source_lufs, self._match.repair_lufs)
        return {"type": "gains", "match": self.state.match, "gains_db": gains_db, "lufs": lufs}

    def _overview(self) -> dict[str, Any] | None:
        return {"type": "overview", "peaks": self._peaks} if self._peaks else None

    def _blind(self) -> dict[str, Any]:
        state = self.state
        blind = {"type": "blind", "x": state.x, "said": state.said, "trial": state.trial, "stream": state.stream}
        return {**blind, "order": self._choices}

    def _marks(self) -> dict[str, Any]:
        return {"type": "marks", "marks": self.state.marks}

    def _ask(self, said: Judge | Mark, by: Page) -> None:
        if self._asked is None:
            self._refuse(by, "that is for pages of the workstation: this one only plays")
        else:
            self._asked(said)

    def _refuse(self, page: Page, why: str) -> None:
        self._send(page, _text({"type": "refused", "why": why}))

    def _tell_clip(self) -> None:
        self._tell(self._clip_message())
        self._prefetch()

    def _tell(self, message: dict[str, Any] | None, *, but: Page | None = None) -> None:
        text = _text(message)
        for page in [page for page in self._pages if page is not but]:
            self._send(page, text)

    def _send(self, page: Page, text: str) -> None:
        if not text:
            return
        try:
            page.send(text)
        except ConnectionError:
            self._let_go(page)

    def _let_go(self, page: Page) -> None:
        if page not in self._pages:
            return
        had_controls = self._controls(page)
        self._pages.remove(page)
        self._become(pages=len(self._pages), playing=self.state.playing and bool(self._pages))
        if had_controls and self._pages:
            self._send(self._pages[0], _text(self._hello(self._pages[0])))


def _text(message: dict[str, Any] | None) -> str:
    return msgspec.json.encode(message).decode() if message else ""
