"""What the warp editor shows: the source above, what it becomes below, the speeds between, where one is.

It draws what the desk's state says. The cursor is the desk's playhead.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from core.errors import UnbakeError
from core.measure import overview as overviews
from core.session import anchors
from core.session.document import Session
from core.session.timemap import Drawn, TimeMap
from core.warp.rhythm.beats import Beats
from tui import actions
from tui.desk import words
from tui.desk.bench import Bench
from tui.desk.timeline import Timeline
from tui.panels import warpwords
from tui.panels.hints import hint_lines
from tui.panels.over import OverDesk
from tui.widgets.line import Line, Piece, spread
from tui.widgets.ruler import Ruler
from tui.widgets.warp import Beat, Marks, Part, Speeds, Warped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.warp.rhythm.beats import Place
    from tui.desk.warping import Warping

QUIET = "$foreground 70%"
SOURCE = "source"
DRUMS = ("drums", "drum", "percussion", "kick")
ROUND = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Of many bars, every so many are drawn."""
MOST_SCALE = 8.0
"""What is quieter than -18 dBFS is drawn quiet."""
HINT_LINES = 2
LOW_LINES = 18
HINTS: tuple[tuple[str, ...], ...] = (
    ("warp.set",),
    ("warp.earlier", "warp.later", "1 ms"),
    ("warp.much_earlier", "warp.much_later", "10 ms"),
    ("warp.alone",),
    ("warp.grid",),
    ("warp.steady",),
    ("warp.toggle",),
    ("warp.hear",),
    ("warp.click",),
    ("warp.tap",),
    ("warp.beat_before", "warp.beat_after", "beat"),
    ("warp.anchor_before", "warp.anchor_after", "anchor"),
    ("warp.attack_after", "attack"),
    ("warp.half", "warp.double", "tempo"),
    ("warp.downbeat",),
    ("warp.zoom_in", "warp.zoom_out", "zoom"),
    ("warp.loop_first", "warp.loop_last", "loop"),
    ("warp.undo",),
    ("warp.remove",),
    ("warp.curve",),
    ("warp.find",),
    ("warp.clear",),
)
"""Actions of the last lines, the most needed first: one and its own title, or two and what they are for."""
LAST_HINTS: tuple[tuple[str, ...], ...] = (("warp.help",), ("warp.close",))


class WarpView(OverDesk[None]):
    """Subclasses give keys, and what follows a tap."""

    DEFAULT_CSS = """
    WarpView {
        & > Vertical { width: 100%; height: 100%; background: $background; }
        & .title { background: $panel; }
        & #beats { background: $surface; }
        & Ruler { height: 1; }
        & Warped { height: 1fr; min-height: 3; }
        & #place { background: $surface; }
        & .keys { background: $panel; height: LINES; width: 1fr; }
    }
    WarpView.-low { & #to, & #to-ruler { display: none; } }
    """.replace("LINES", str(HINT_LINES))

    class Near(Message):
        """The columns of a span that was read from the samples themselves."""

        def __init__(self, name: str, span: tuple[int, int], low: NDArray, high: NDArray) -> None:
            super().__init__()
            self.name, self.span, self.low, self.high = name, span, low, high

    def __init__(self, bench: Bench, desk: Warping) -> None:
        super().__init__()
        self._bench = bench
        self._desk = desk
        self._held: int | None = None
        """The anchor that is dragged, by its frame of the source."""
        self._alone = False
        self._near: WarpView.Near | None = None
        self._reading: tuple[str, tuple[int, int], int] | None = None
        self._taps: list[float] = []
        self._drawn_of: tuple[TimeMap, Drawn] | None = None
        self._counted_of: tuple[Beats, list[Place]] | None = None
        self._moves_of: tuple[Beats, str] | None = None

    # ---- what there is ------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The document."""
        assert self._bench.session is not None
        return self._bench.session

    @property
    def timeline(self) -> Timeline:
        """The desk's."""
        return self._bench.timeline

    @property
    def rate(self) -> int:
        """Hz."""
        return self.timeline.sample_rate

    @property
    def beats(self) -> Beats | None:
        """Those that are known; None where there are none."""
        rhythm = self._bench.rhythm
        return rhythm.beats if rhythm is not None and rhythm.beats.at else None

    @property
    def places(self) -> list[Place]:
        """How each beat is counted."""
        beats = self.beats
        if beats is None:
            return []
        if self._counted_of is None or self._counted_of[0] is not beats:
            self._counted_of = beats, beats.places()
        return self._counted_of[1]

    @property
    def _moves(self) -> str:
        """Whether the tempo is steady, drifts or is free."""
        beats = self.beats
        if beats is None:
            return ""
        if self._moves_of is None or self._moves_of[0] is not beats:
            self._moves_of = beats, beats.moves()
        return self._moves_of[1]

    @property
    def drawn(self) -> Drawn:
        """The map, to be asked where frames go."""
        time_map = self.session.warp
        if self._drawn_of is None or self._drawn_of[0] is not time_map:
            self._drawn_of = time_map, Drawn(time_map, self.session.source.frames)
        return self._drawn_of[1]

    @property
    def held(self) -> int | None:
        """The anchor that is held, or else the one that the cursor is on."""
        for frame in (self._held, self.timeline.playhead):
            if frame is not None and anchors.place_of(self.session.warp, frame) is not None:
                return frame
        return None

    @property
    def composed(self) -> bool:
        """Whether there is anything to draw on yet."""
        return bool(self.query("#place"))

    @property
    def wave_name(self) -> str:
        """Whose waveform is drawn: that of the drums where there are some, else the source's."""
        rhythm = self._bench.rhythm
        names = (rhythm.reference if rhythm is not None else "", *DRUMS)
        return next((name for name in names if name in self._bench.overviews), SOURCE)

    # ---- what is drawn ------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Title, beats, the source, the speeds, what it becomes, where one is, what is going on, keys."""
        with Vertical():
            yield Line(classes="title")
            yield Line(id="beats")
            yield Ruler(id="from-ruler")
            yield Warped(id="from")
            yield Speeds(id="speeds")
            yield Warped(id="to")
            yield Ruler(id="to-ruler")
            yield Line(id="place")
            yield Line(id="going-on")
            yield Static("", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The first drawing, once there is room."""
        self.call_after_refresh(self.renew)

    def on_resize(self) -> None:
        """Everything anew; where there is little room, without what it becomes."""
        self.set_class(self.size.height < LOW_LINES, "-low")
        self.call_after_refresh(self.renew)

    def on_screen_resume(self) -> None:
        """A form went."""
        self.call_after_refresh(self.renew)

    def renew(self) -> None:
        """Draws everything."""
        if not (self.is_attached and self.composed and self._bench.session is not None):
            return
        self._draw_waves()
        self._draw_lines()
        self._draw_keys()

    def show_progress(self) -> None:
        """The player or a job got on."""
        if self.composed:
            if self._taps and not self._bench.heard.playing:
                self.take_taps()
            self._desk.seldom(self._draw_moving)

    def _draw_moving(self) -> None:
        if not (self.is_attached and self.composed and self._bench.session is not None):
            return
        self._draw_waves()
        self._draw_lines()

    def _draw_lines(self) -> None:
        bench, width = self._bench, self.size.width
        finding = bench.finding_beats
        state = "local" if self._alone else "whole"
        heard = "".join(words.listening(bench)[:1])
        if self._desk.heard_aside:
            heard = "playing: warped"
        right: list[Piece] = [
            (f"{len(self._taps)} taps  " if self._taps else "", "$warning bold"),
            (f"{heard}  " if heard else "", "$accent" if bench.heard.playing else QUIET),
            ("click  " if self._desk.click else "no click  ", QUIET),
            (f"{state} ", "$warning bold" if self._alone else QUIET),
        ]
        left = [(" warp", "bold"), *warpwords.of_map(self.session), (f"  {self.wave_name}", QUIET)]
        self.query_one(".title", Line).show(spread(left, right, width))
        find_key = actions.key("warp.find")
        said = warpwords.of_beats(bench.rhythm, self._moves, finding=finding, find_key=find_key, width=width)
        self.query_one("#beats", Line).show(said)
        held = self.held
        playing = bench.heard.playing
        frame = self.timeline.playhead if held is None or (playing and self._held is None) else held
        read = anchors.reading(self.drawn, frame)
        counted = warpwords.counted(self.beats, self.places, read.source)
        place = warpwords.of_place(read, self.session, counted, held=frame == held, width=width)
        self.query_one("#place", Line).show(place)
        jobs = words.jobs_line(self._desk.jobs, self._desk.said, (), width)
        self.query_one("#going-on", Line).show(jobs)

    def _draw_keys(self) -> None:
        keymap = self._desk.workstation.keymap
        pieces = hint_lines(HINTS, LAST_HINTS, keymap, self.size.width, HINT_LINES)
        self.query_one(".keys", Static).update(Content.assemble(*pieces))

    def _draw_waves(self) -> None:
        timeline, drawn = self.timeline, self.drawn
        upper, lower = self.query_one("#from", Warped), self.query_one("#to", Warped)
        columns = upper.wanted
        if not columns or not timeline.shown:
            return
        low, high = self._columns(columns)
        scale = self._scale()
        first, last = timeline.first, timeline.last
        start, end = drawn.target(first), drawn.target(last)
        cells = upper.size.width
        upper.draw(low, high, scale=scale)
        # the column of the source that is heard in each column of the target
        targets = start + (np.arange(columns) + 0.5) * ((end - start) / columns)
        heard = np.array([drawn.source(float(target)) for target in targets])
        from_columns = np.clip((heard - first) * (columns / (last - first)), 0, columns - 1).astype(np.int64)
        lower.draw(low[from_columns], high[from_columns], scale=scale)
        upper.mark(self._marks(lambda frame: (frame - first) / (last - first), first, last, cells))
        lower.mark(self._marks(lambda frame: (drawn.target(frame) - start) / (end - start), first, last, cells, start))
        self.query_one("#speeds", Speeds).show(self._parts(start, end))
        playing = self._bench.heard.playing
        from_ruler, to_ruler = self.query_one("#from-ruler", Ruler), self.query_one("#to-ruler", Ruler)
        from_ruler.span(first, last, timeline.sample_rate)
        from_ruler.playhead(timeline.playhead, exact=not playing)
        loop = timeline.loop
        if loop is None:
            from_ruler.loop(None, None)
        else:
            from_ruler.loop(loop.first, loop.last, loop.on)
        cut_cells = max(0, round(-start / (end - start) * cells)) if start < 0 else 0
        to_ruler.styles.margin = (0, 0, 0, min(cells - 1, cut_cells))
        to_ruler.span(max(0, round(start)), max(1, round(end)), timeline.sample_rate)
        to_ruler.playhead(max(0, round(drawn.target(timeline.playhead))), exact=not playing)

    def _marks(
        self, at: Callable[[float], float], first: int, last: int, cells: int, start: float | None = None
    ) -> Marks:
        timeline, session, held = self.timeline, self.session, self.held
        low, high = (bisect_left(session.warp.anchors, (frame, -1)) for frame in (first, last))
        # of more than there are cells, as many as there are cells: their heads make a row anyway
        inside = [source for source, _ in session.warp.anchors[low : high : max(1, (high - low) // cells)]]
        rhythm = self._bench.rhythm
        attacks = () if rhythm is None else _between(rhythm.attacks, first, last)
        if len(attacks) > cells:
            attacks = ()  # a row full of them says nothing
        speeds = None
        if not session.warp.identity:
            shares = (np.arange(cells) + 0.5) / cells
            if start is None:
                frames = [first + share * (last - first) for share in shares]
            else:
                end = self.drawn.target(last)
                frames = [self.drawn.source(start + share * (end - start)) for share in shares]
            speeds = np.array([self.drawn.speed(frame) for frame in frames])
        return Marks(
            beats=self._beats_in(at, first, last, cells),
            attacks=[at(each) for each in attacks],
            anchors=[at(each) for each in inside if each != held],
            chosen=at(held) if held is not None and first <= held < last else None,
            cursor=at(timeline.playhead) if first <= timeline.playhead <= last else None,
            speeds=speeds,
        )

    def _beats_in(self, at: Callable[[float], float], first: int, last: int, cells: int) -> list[Beat]:
        """The beats in view; where they are many only bars, and of many bars round numbers."""
        beats = self.beats
        if beats is None:
            return []
        low, high = (bisect_left(beats.at, frame) for frame in (first, last))
        seen = list(zip(beats.at[low:high], self.places[low:high], strict=True))
        if len(seen) > cells:
            seen = [each for each in seen if each[1].beat == 1]
        step = next((step for step in ROUND if len(seen) < step * cells / 2), ROUND[-1]) if len(seen) > cells else 1
        return [
            Beat(at(frame), place.bar if place.beat == 1 else None)
            for frame, place in seen
            if step == 1 or place.bar % step == 0
        ]

    def _parts(self, start: float, end: float) -> list[Part]:
        """The speeds between anchors, where they are drawn below: in time of the target."""
        time_map = self.session.warp
        if not time_map.anchors:
            return []
        ahead = max(0, bisect_right(time_map.anchors, start, key=_target) - 1)
        after = bisect_left(time_map.anchors, end, key=_target) + 1
        if after - ahead > self.size.width:
            return []  # no speed would have room
        targets = [float(target) for _, target in time_map.anchors[ahead:after]]
        found = []
        for number_, (low, high) in enumerate(pairwise([-math.inf, *targets, math.inf]), ahead):
            if high <= start or low >= end:
                continue
            share_low, share_high = ((min(max(each, start), end) - start) / (end - start) for each in (low, high))
            speed = 1.0
            if 0 < number_ < len(time_map.anchors):
                (s0, t0), (s1, t1) = time_map.anchors[number_ - 1 : number_ + 1]
                speed = (s1 - s0) / (t1 - t0)
            texts = ("=",) if speed == 1.0 else tuple(anchors.in_percent(speed, places) for places in (2, 1, 0))
            found.append(Part(share_low, share_high, texts, (speed > 1.0) - (speed < 1.0)))
        return found

    def _columns(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The waveform of what is in view; what is too close for the pyramid is read, and drawn roughly till then."""
        name, timeline = self.wave_name, self.timeline
        known, path = self._bench.overviews.get(name), self._path_of(name)
        span = (timeline.first, timeline.last)
        if known is None or path is None:
            return np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32)
        close = timeline.shown / count < known.frames_per_bin and timeline.shown <= overviews.MAX_READ_FRAMES
        if close:
            near = self._near
            if near is not None and (near.name, near.span, len(near.low)) == (name, span, count):
                return near.low, near.high
            if self._reading != (name, span, count):
                self._reading = name, span, count
                read = functools.partial(self._read, name, path, span, count)
                self.run_worker(read, thread=True, group="columns", exclusive=True)
        return known.columns(*span, count)

    def _scale(self) -> float:
        """What brings the loudest sample of what is drawn up to the edge: a quiet stem has attacks, too."""
        known = self._bench.overviews.get(self.wave_name)
        if known is None:
            return 1.0
        low, high = known.columns(0, known.frames, 1)
        peak = float(np.nanmax(np.abs([low, high]), initial=0.0)) if not np.isnan(low).all() else 0.0
        return min(MOST_SCALE, 1.0 / peak) if peak > 0.0 else 1.0

    def _path_of(self, name: str) -> Path | None:
        located = self._bench.located
        return self._bench.sounds.get(name, None if located is None else located.source)

    def _read(self, name: str, path: Path, span: tuple[int, int], count: int) -> None:
        try:
            low, high = overviews.read_columns(path, *span, count)
        except UnbakeError:
            return  # the rough picture stays; whoever plays or renders will say what is wrong
        self.post_message(self.Near(name, span, low, high))

    @on(Near)
    def _near_read(self, message: Near) -> None:
        self._near, self._reading = message, None
        self._draw_waves()

    # ---- the mouse ----------------------------------------------------------------------------------------------

    @on(Warped.Pointed)
    def _pointed(self, message: Warped.Pointed) -> None:
        timeline = self.timeline
        frame = timeline.first + round(message.x * timeline.shown)
        if message.waveform.id == "to":
            start, end = self.drawn.target(timeline.first), self.drawn.target(timeline.last)
            frame = round(self.drawn.source(start + message.x * (end - start)))
        self.go(frame)

    @on(Warped.Wheeled)
    def _wheeled(self, message: Warped.Wheeled) -> None:
        self.look(self.timeline.zoomed(0.5 if message.up else 2.0))

    # ---- going about ---------------------------------------------------------------------------------------------

    def look(self, timeline: Timeline) -> None:
        """Shows another place or span."""
        self._desk.look(timeline)
        self.renew()

    def go(self, frame: int | None, *, hold: bool = False, none: str = "") -> None:
        """Puts the cursor there, in view; None says what is not there."""
        if frame is None:
            self.say(none)
            return
        self._held = frame if hold else None
        timeline = self.timeline.at(frame)
        if not timeline.first <= timeline.playhead <= timeline.last:
            first = min(max(0, timeline.playhead - timeline.shown // 2), timeline.frames - timeline.shown)
            timeline = Timeline(**{**vars(timeline), "first": first, "last": first + timeline.shown})
        self.look(timeline)

    def say(self, text: str) -> None:
        """Says something in the line of what goes on."""
        self._desk.say(text)
        self._draw_lines()

    def take_taps(self) -> None:
        """Makes beats of what was tapped."""
        raise NotImplementedError


def _between(places: Sequence[int], first: int, last: int) -> Sequence[int]:
    return places[bisect_left(places, first) : bisect_left(places, last)]


def _target(anchor: tuple[int, int]) -> int:
    return anchor[1]
