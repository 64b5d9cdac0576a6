"""The warp editor: what the source is above, what it becomes below, and anchors between the two, dragged by keys.

It draws what the desk's state says and asks the desk for edits and for sound. The cursor is the desk's playhead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec
import numpy as np
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from core.errors import UnbakeError
from core.measure import overview as overviews
from core.session import anchors, typed_map
from core.session.document import Session
from core.session.timemap import Drawn, TimeMap, added, removed
from core.warp.maps import grid
from core.warp.rhythm import beats as counting
from core.warp.rhythm.beats import Beats
from core.warp.rhythm.taps import LEAST_TAPS
from tui import actions
from tui.desk import words
from tui.desk.bench import Bench
from tui.desk.timeline import Timeline, clock
from tui.panels import warpwords
from tui.panels.ask import Typed
from tui.panels.grid import GridForm, GridWish, number, tempo
from tui.panels.over import OverDesk
from tui.widgets.line import Line, Piece, spread
from tui.widgets.ruler import Ruler
from tui.widgets.warp import Beat, Marks, Part, Speeds, Warped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.jobs.warping import Rhythm
    from tui.desk.warping import Warping

QUIET = "$foreground 70%"
SOURCE = "source"
DRUMS = ("drums", "drum", "percussion", "kick")
FINE_SECONDS, COARSE_SECONDS = 0.001, 0.01
REACH_SECONDS = 0.5
"""What is stretched on either side of an anchor where nothing is yet, and no beats are known."""
BARS_SHOWN = 4
SECONDS_SHOWN = 8.0
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
    ("warp.zoom_loop", "loop"),
    ("warp.undo",),
    ("warp.remove",),
    ("warp.curve",),
    ("warp.find",),
    ("warp.clear",),
)
"""Actions of the last lines, the most needed first: one and its own title, or two and what they are for."""
LAST_HINTS: tuple[tuple[str, ...], ...] = (("warp.help",), ("warp.close",))


class WarpPanel(OverDesk[None]):
    """Beats, anchors and the map."""

    DEFAULT_CSS = """
    WarpPanel {
        & > Vertical { width: 100%; height: 100%; background: $background; }
        & .title { background: $panel; }
        & #beats { background: $surface; }
        & Ruler { height: 1; }
        & Warped { height: 1fr; min-height: 3; }
        & #place { background: $surface; }
        & .keys { background: $panel; height: LINES; width: 1fr; }
    }
    WarpPanel.-low { & #to, & #to-ruler { display: none; } }
    """.replace("LINES", str(HINT_LINES))
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("warp")]

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
        self._near: WarpPanel.Near | None = None
        self._reading: tuple[str, tuple[int, int], int] | None = None
        self._taps: list[float] = []
        self._drawn_of: tuple[TimeMap, Drawn] | None = None
        self._beats_undone: list[tuple[Rhythm | None, int]] = []
        self._beats_done: list[tuple[Rhythm | None, int]] = []

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
                self._take_taps()
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
        said = warpwords.of_beats(bench.rhythm, finding=finding, find_key=find_key, width=width)
        self.query_one("#beats", Line).show(said)
        held = self.held
        playing = bench.heard.playing
        frame = self.timeline.playhead if held is None or (playing and self._held is None) else held
        read = anchors.reading(self.drawn, frame)
        place = warpwords.of_place(read, self.session, self.beats, held=frame == held, width=width)
        self.query_one("#place", Line).show(place)
        jobs = words.jobs_line(self._desk.jobs, self._desk.said, (), width)
        self.query_one("#going-on", Line).show(jobs)

    def _draw_keys(self) -> None:
        keymap = self._desk.workstation.keymap
        width = self.size.width

        def hint(parts: tuple[str, ...]) -> tuple[str, str]:
            if len(parts) == 3:
                return actions.brief_pair(parts[0], parts[1], keymap), parts[2]
            title = parts[1] if len(parts) == 2 else actions.by_id(parts[0]).title
            return actions.brief(parts[0], keymap), title

        last = [hint(each) for each in LAST_HINTS]
        lines: list[list[tuple[str, str]]] = [[] for _ in range(HINT_LINES)]
        rooms = [width] * HINT_LINES
        rooms[-1] -= sum(len(key) + len(title) + 3 for key, title in last)
        for key, title in map(hint, HINTS):
            for number_, room in enumerate(rooms):
                cells = len(key) + len(title) + 3
                if key and cells <= room:
                    lines[number_].append((key, title))
                    rooms[number_] -= cells
                    break
        lines[-1] += last
        from textual.content import Content

        pieces: list[Piece] = []
        for place, line in enumerate(lines):
            if place:
                pieces.append(("\n", ""))
            for key, title in line:
                pieces += [(f" {key}", "$accent bold"), (f" {title} ", QUIET)]
        self.query_one(".keys", Static).update(Content.assemble(*pieces))

    def _draw_waves(self) -> None:
        timeline, drawn = self.timeline, self.drawn
        upper, lower = self.query_one("#from", Warped), self.query_one("#to", Warped)
        columns = upper.wanted
        if not columns or not timeline.shown:
            return
        low, high = self._columns(columns)
        first, last = timeline.first, timeline.last
        start, end = drawn.target(first), drawn.target(last)
        cells = upper.size.width
        upper.draw(low, high)
        # the column of the source that is heard in each column of the target
        targets = start + (np.arange(columns) + 0.5) * ((end - start) / columns)
        heard = np.array([drawn.source(float(target)) for target in targets])
        from_columns = np.clip((heard - first) * (columns / (last - first)), 0, columns - 1).astype(np.int64)
        lower.draw(low[from_columns], high[from_columns])
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
        inside = [source for source, _ in session.warp.anchors if first <= source < last]
        rhythm = self._bench.rhythm
        attacks = [each for each in rhythm.attacks if first <= each < last] if rhythm is not None else []
        if len(attacks) > cells:
            attacks = []  # a row full of them says nothing
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
            beats=self._beats_in(at, first, last),
            attacks=[at(each) for each in attacks],
            anchors=[at(each) for each in inside if each != held],
            chosen=at(held) if held is not None and first <= held < last else None,
            cursor=at(timeline.playhead) if first <= timeline.playhead <= last else None,
            speeds=speeds,
        )

    def _beats_in(self, at: Callable[[float], float], first: int, last: int) -> list[Beat]:
        beats = self.beats
        if beats is None:
            return []
        return [
            Beat(at(frame), place.bar if place.beat == 1 else None)
            for frame, place in zip(beats.at, beats.places(), strict=True)
            if first <= frame < last
        ]

    def _parts(self, start: float, end: float) -> list[Part]:
        """The speeds between anchors, where they are drawn below: in time of the target."""
        time_map, drawn = self.session.warp, self.drawn
        if not time_map.anchors:
            return []
        edges = [-float("inf"), *(float(target) for _, target in time_map.anchors), float("inf")]
        found = []
        for number_, (low, high) in enumerate(pairwise(edges)):
            if high <= start or low >= end:
                continue
            share_low, share_high = ((min(max(each, start), end) - start) / (end - start) for each in (low, high))
            speed = 1.0
            if 0 < number_ < len(time_map.anchors):
                (s0, t0), (s1, t1) = time_map.anchors[number_ - 1 : number_ + 1]
                speed = (s1 - s0) / (t1 - t0)
            text = anchors.in_percent(speed) if speed != 1.0 else "="
            found.append(Part(share_low, share_high, text, (speed > 1.0) - (speed < 1.0)))
        del drawn
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
        self._go(frame)

    @on(Warped.Wheeled)
    def _wheeled(self, message: Warped.Wheeled) -> None:
        self._look(self.timeline.zoomed(0.5 if message.up else 2.0))

    # ---- going about --------------------------------------------------------------------------------------------

    def _look(self, timeline: Timeline) -> None:
        self._desk.look(timeline)
        self.renew()

    def _go(self, frame: int | None, *, hold: bool = False, none: str = "") -> None:
        """Puts the cursor there, in view; None says what is not there."""
        if frame is None:
            self._say(none)
            return
        self._held = frame if hold else None
        timeline = self.timeline.at(frame)
        if not timeline.first <= timeline.playhead <= timeline.last:
            first = min(max(0, timeline.playhead - timeline.shown // 2), timeline.frames - timeline.shown)
            timeline = Timeline(**{**vars(timeline), "first": first, "last": first + timeline.shown})
        self._look(timeline)

    def _say(self, text: str) -> None:
        self._desk.say(text)
        self._draw_lines()

    def action_warp_back(self) -> None:  # noqa: D102
        self._go(self.timeline.nudged(-1, self.size.width).playhead)

    def action_warp_forward(self) -> None:  # noqa: D102
        self._go(self.timeline.nudged(1, self.size.width).playhead)

    def action_warp_start(self) -> None:  # noqa: D102
        self._go(0)

    def action_warp_end(self) -> None:  # noqa: D102
        self._go(self.timeline.frames)

    def action_warp_beat_before(self) -> None:  # noqa: D102
        self._go(anchors.before(self._beat_frames(), self.timeline.playhead), none="no beat comes before")

    def action_warp_beat_after(self) -> None:  # noqa: D102
        self._go(anchors.after(self._beat_frames(), self.timeline.playhead), none="no beat comes after")

    def action_warp_anchor_before(self) -> None:  # noqa: D102
        places = anchors.sources(self.session.warp)
        self._go(anchors.before(places, self.timeline.playhead), hold=True, none="no anchor comes before")

    def action_warp_anchor_after(self) -> None:  # noqa: D102
        places = anchors.sources(self.session.warp)
        self._go(anchors.after(places, self.timeline.playhead), hold=True, none="no anchor comes after")

    def action_warp_attack_before(self) -> None:  # noqa: D102
        self._go(anchors.before(self._attacks(), self.timeline.playhead), none="no attack comes before")

    def action_warp_attack_after(self) -> None:  # noqa: D102
        self._go(anchors.after(self._attacks(), self.timeline.playhead), none="no attack comes after")

    def action_warp_snap(self) -> None:
        """The cursor on the nearest attack."""
        attacks = self._attacks()
        index = anchors.nearest(attacks, self.timeline.playhead)
        self._go(None if index is None else attacks[index], none="no attacks are known")

    def _beat_frames(self) -> Sequence[int]:
        beats = self.beats
        return () if beats is None else beats.at

    def _attacks(self) -> Sequence[int]:
        rhythm = self._bench.rhythm
        return () if rhythm is None else rhythm.attacks

    def action_warp_zoom_in(self) -> None:  # noqa: D102
        self._look(self.timeline.zoomed(0.5))

    def action_warp_zoom_out(self) -> None:  # noqa: D102
        self._look(self.timeline.zoomed(2.0))

    def action_warp_zoom_loop(self) -> None:
        """The loop, or some bars around the cursor."""
        timeline = self.timeline
        if timeline.loop is not None and timeline.loop.on:
            self._look(timeline.on_loop())
            return
        length = self._bars_frames(BARS_SHOWN)
        first = min(max(0, timeline.playhead - length // 2), max(0, timeline.frames - length))
        last = min(timeline.frames, first + length)
        self._look(Timeline(**{**vars(timeline), "first": first, "last": last}))

    def action_warp_zoom_all(self) -> None:  # noqa: D102
        self._look(self.timeline.all())

    def _bars_frames(self, bars: int) -> int:
        """So many bars in frames; eight seconds where none are known."""
        beats = self.beats
        if beats is None or beats.bpm is None:
            return round(SECONDS_SHOWN * self.rate)
        return round(bars * beats.meter * 60.0 * self.rate / beats.bpm)

    # ---- anchors ------------------------------------------------------------------------------------------------

    def _warp(self, make: Callable[[TimeMap], TimeMap], what: str, merge_key: str | None = None) -> bool:
        done = self._desk.warp(make, what, merge_key)
        self.renew()
        return done

    def _at_hand(self) -> int | None:
        """The anchor that is held, or that is so near to the cursor that it can't be told from it."""
        if self.held is not None:
            return self.held
        places = anchors.sources(self.session.warp)
        index = anchors.nearest(places, self.timeline.playhead)
        near = self.timeline.shown / max(1, self.size.width) / 2
        if index is None or abs(places[index] - self.timeline.playhead) > near:
            return None
        return places[index]

    def action_warp_set(self) -> None:
        """An anchor at the cursor, or hold of the one there."""
        cursor, there = self.timeline.playhead, self._at_hand()
        if there is not None:
            self._go(there, hold=True)
        elif self._warp(lambda time_map: added(time_map, cursor), f"warp: anchor at {clock(cursor, self.rate)}"):
            self._held = cursor
            self.renew()

    def action_warp_remove(self) -> None:
        """Takes the anchor away."""
        there = self._at_hand()
        if there is None:
            self._say("no anchor is here")
            return
        place = anchors.place_of(self.session.warp, there)
        assert place is not None
        self._held = None
        self._warp(lambda time_map: removed(time_map, place), f"warp: no anchor at {clock(there, self.rate)}")

    def _drag(self, frames: int) -> None:
        held = self._at_hand()
        if held is None:
            self._say(f"no anchor is here: {actions.key('warp.set')} sets one at the cursor")
            return
        place = anchors.place_of(self.session.warp, held)
        assert place is not None
        self._put(held, self.session.warp.anchors[place][1] + frames)

    def _put(self, held: int, target: int) -> None:
        """Drags the anchor that is held to a frame of the target."""
        self._held = held
        alone, length, reach = self._alone, self.session.source.frames, self._reach()
        way = "local" if alone else "whole"
        shift = anchors.in_ms(target - held, self.rate)
        self._warp(
            lambda time_map: anchors.dragged(time_map, held, target, length, reach, alone=alone),
            f"warp: {clock(held, self.rate)} moved to {shift} ({way})",
            f"warp {held} {way}",
        )

    def _reach(self) -> int:
        """What is stretched on a side of an anchor where nothing is yet: a beat."""
        beats = self.beats
        seconds = REACH_SECONDS if beats is None or beats.bpm is None else 60.0 / beats.bpm
        return round(seconds * self.rate)

    def action_warp_earlier(self) -> None:  # noqa: D102
        self._drag(-max(1, round(FINE_SECONDS * self.rate)))

    def action_warp_later(self) -> None:  # noqa: D102
        self._drag(max(1, round(FINE_SECONDS * self.rate)))

    def action_warp_much_earlier(self) -> None:  # noqa: D102
        self._drag(-max(1, round(COARSE_SECONDS * self.rate)))

    def action_warp_much_later(self) -> None:  # noqa: D102
        self._drag(max(1, round(COARSE_SECONDS * self.rate)))

    def action_warp_frame_earlier(self) -> None:  # noqa: D102
        self._drag(-1)

    def action_warp_frame_later(self) -> None:  # noqa: D102
        self._drag(1)

    def action_warp_type(self) -> None:
        """A field for where the anchor goes."""
        held = self._at_hand()
        if held is None:
            self._say(f"no anchor is here: {actions.key('warp.set')} sets one at the cursor")
            return
        read = anchors.reading(self.drawn, held)

        def target(text: str) -> int:
            return typed_map.read(f"{held} -> {text}", self.rate).anchors[0][1]

        def taken(text: str | None) -> None:
            if text is not None:
                self._put(held, target(text))

        title = f"where {clock(held, self.rate)} goes: a time (0:12.5), a frame, or by how much (+20ms)"
        self.app.push_screen(Typed(title, clock(round(read.target), self.rate), target), taken)

    def action_warp_default(self) -> None:
        """The anchor where it would be carried without being one."""
        held = self._at_hand()
        if held is None:
            self._say("no anchor is here")
            return
        place = anchors.place_of(self.session.warp, held)
        assert place is not None
        self._held = held
        what = f"warp: {clock(held, self.rate)} between its neighbours"
        self._warp(lambda time_map: added(removed(time_map, place), held), what)

    def action_warp_alone(self) -> None:
        """Local or whole."""
        self._alone = not self._alone
        local = "local: a drag moves only what is up to the next anchors, everything else stays to the sample"
        self._say(local if self._alone else "whole: all that follows an anchor moves along with it")

    def action_warp_curve(self) -> None:
        """Straight or smooth."""
        smooth = self.session.warp.curve == "straight"
        if not self.session.warp.anchors:
            self._say("there are no anchors yet to glide between")
            return
        said = "warp: speeds glide" if smooth else "warp: speed is constant between anchors"
        self._warp(lambda time_map: TimeMap(time_map.anchors, "smooth" if smooth else "straight"), said)

    def action_warp_clear(self) -> None:
        """Takes the map out."""
        if not self.session.warp.anchors:
            self._say("there is no map to take out")
            return
        self._held = None
        self._warp(lambda _: TimeMap(), "time map taken out")

    def action_warp_grid(self) -> None:
        """A form, then the grid."""
        beats, attacks = self._known_beats(), self._attacks()
        if beats is None or not self._desk.editable():
            return

        def taken(wish: GridWish | None) -> None:
            if wish is None:
                return
            made = grid.on_grid(
                beats, bpm=wish.bpm, strength=wish.strength, start=wish.start, swing=wish.swing, off_beats=attacks
            )
            made = TimeMap(made.anchors, self.session.warp.curve)
            to = f" at {wish.bpm:g} BPM" if wish.bpm is not None else ""
            self._warp(lambda _: made, f"warp: {len(beats.at)} beats {wish.strength:.0%} onto a grid{to}")

        assert beats.bpm is not None
        self.app.push_screen(GridForm(beats.bpm, beats.swing), taken)

    def action_warp_steady(self) -> None:
        """Another tempo for all of it."""
        beats = self._known_beats()
        if beats is None or beats.bpm is None or not self._desk.editable():
            return
        own = beats.bpm

        def read(text: str) -> float:
            wanted = tempo(text)
            if wanted is None:
                raise UnbakeError("a tempo is needed", remedy="such as 124.5")
            grid.steady(self.session.source.frames, own, wanted)
            return wanted

        def taken(text: str | None) -> None:
            if text is not None:
                wanted = read(text)
                made = grid.steady(self.session.source.frames, own, wanted)
                self._warp(lambda _: made.time_map, f"warp: from {made.from_bpm:.2f} to {wanted:g} BPM")

        self.app.push_screen(Typed(f"the BPM that all of it is to have; it has {own:.2f}", f"{own:.2f}", read), taken)

    def action_warp_undo(self) -> None:
        """Back one edit of the session, or of the beats where that is newer."""
        self._travel(self._beats_undone, self._beats_done, self._desk.action_edit_undo)

    def action_warp_redo(self) -> None:
        """Forward again."""
        self._travel(self._beats_done, self._beats_undone, self._desk.action_edit_redo)

    def _travel(
        self,
        here: list[tuple[Rhythm | None, int]],
        there: list[tuple[Rhythm | None, int]],
        travel: Callable[[], None],
    ) -> None:
        if here and here[-1][1] == self._stands_at:
            there.append((self._bench.rhythm, self._stands_at))
            self._bench.rhythm = here.pop()[0]
            self._desk.say("the beats as they were" if there is self._beats_done else "the beats again")
        else:
            travel()
        self.renew()

    @property
    def _stands_at(self) -> int:
        """Which edit of the session is the present one."""
        editor = self._bench.editor
        return -1 if editor is None else editor.present.number

    # ---- beats --------------------------------------------------------------------------------------------------

    def _known_beats(self) -> Beats | None:
        """The beats; says what to do where there are none."""
        if self.beats is None:
            finding = self._bench.finding_beats
            find, tap = actions.key("warp.find"), actions.key("warp.tap")
            self._say("the beats are being listened for" if finding else f"no beats: {find} finds, {tap} taps them")
        return self.beats

    def _count(self, make: Callable[[Beats], Beats], said: str) -> None:
        """Puts the beats right."""
        beats, rhythm = self._known_beats(), self._bench.rhythm
        if beats is None or rhythm is None:
            return
        self._set_rhythm(msgspec.structs.replace(rhythm, beats=make(beats)))
        self._say(said)

    def _set_rhythm(self, rhythm: Rhythm) -> None:
        self._beats_undone.append((self._bench.rhythm, self._stands_at))
        self._beats_done.clear()
        self._bench.rhythm = rhythm
        self.renew()

    def _nearest_beat(self) -> int | None:
        beats = self._known_beats()
        return None if beats is None else anchors.nearest(beats.at, self.timeline.playhead)

    def action_warp_find(self) -> None:
        """Finds the beats anew."""
        self._desk.find_beats()
        self._draw_lines()

    def action_warp_half(self) -> None:
        """Every other beat."""
        self._count(counting.halved, "every other beat is counted")

    def action_warp_double(self) -> None:
        """Twice as many."""
        self._count(counting.doubled, "a beat more between every two")

    def action_warp_downbeat(self) -> None:
        """A bar begins at the beat nearest to the cursor."""
        index = self._nearest_beat()
        if index is not None:
            at = index
            self._count(lambda beats: counting.with_downbeat(beats, at), "bars begin here")

    def action_warp_meter(self) -> None:
        """Beats of a bar."""
        beats, index = self._known_beats(), self._nearest_beat()
        if beats is None or index is None:
            return
        at = index

        def read(text: str) -> Beats:
            here = "here" in text
            wanted = round(number(text.replace("here", "")))
            return counting.with_meter(beats, wanted, at if here else None)

        def taken(text: str | None) -> None:
            if text is not None:
                self._count(lambda _: read(text), f"bars of {text.strip()}")

        title = "beats of a bar; with `here` behind it (7 here) only from this beat on"
        self.app.push_screen(Typed(title, str(beats.meter), read), taken)

    def action_warp_number(self) -> None:
        """The number of the first bar."""
        beats = self._known_beats()
        if beats is None:
            return

        def read(text: str) -> int:
            negative = text.strip().startswith("-")
            value = round(number(text.strip().removeprefix("-")))
            return -value if negative else value

        def taken(text: str | None) -> None:
            if text is not None:
                self._count(lambda now: counting.with_first_bar(now, read(text)), f"the first bar is {read(text)}")

        self.app.push_screen(Typed("the number of the first whole bar", str(beats.first_bar), read), taken)

    def action_warp_put_beat(self) -> None:
        """A beat at the cursor."""
        frame = self.timeline.playhead
        self._count(lambda beats: counting.added(beats, frame), f"a beat at {clock(frame, self.rate)}")

    def action_warp_drop_beat(self) -> None:
        """Takes the nearest beat out."""
        index = self._nearest_beat()
        if index is not None:
            at = index
            self._count(lambda beats: counting.removed(beats, at), "the beat is taken out")

    def action_warp_move_beat(self) -> None:
        """The nearest beat comes to the cursor."""
        index, frame = self._nearest_beat(), self.timeline.playhead
        if index is not None:
            at = index
            self._count(lambda beats: counting.moved(beats, at, frame), f"the beat is at {clock(frame, self.rate)}")

    def action_warp_tap(self) -> None:
        """A beat is now."""
        if self._desk.heard_aside:
            self._say("taps are beats of the source: play that")
            return
        seconds = self._desk.tapped()
        if seconds is None:
            self._say(f"nothing plays: {actions.key('warp.toggle')} plays, then tap along")
            return
        self._taps.append(seconds)
        self._say(f"tap {len(self._taps)} at {clock(round(seconds * self.rate), self.rate)}")

    def _take_taps(self) -> None:
        """Makes beats of what was tapped."""
        from core.jobs.warping import rhythm_of_taps

        taps, self._taps = self._taps, []
        if len(taps) < LEAST_TAPS:
            self._say(f"{len(taps)} taps are too few: tap at least {LEAST_TAPS} beats")
            return
        try:
            rhythm, said = rhythm_of_taps(taps, self._attacks(), self.session.source.frames, self.rate)
        except UnbakeError as error:
            self._desk.complain(error)
            return
        self._set_rhythm(rhythm)
        self._say(said)

    # ---- listening ----------------------------------------------------------------------------------------------

    def action_warp_toggle(self) -> None:
        """Plays, or stops; what was tapped becomes beats."""
        self._desk.action_play_toggle()
        if self._taps:
            self._take_taps()
        self.renew()

    def action_warp_source(self) -> None:  # noqa: D102
        self._desk.leave_aside()
        self._desk.action_hear_source()
        self.renew()

    def action_warp_repair(self) -> None:  # noqa: D102
        self._desk.leave_aside()
        self._desk.action_hear_repair()
        self.renew()

    def action_warp_hear(self) -> None:
        """The loop, or some bars from the cursor on, along the map; again, it stops."""
        if self._desk.heard_aside:
            self._desk.leave_aside()
            self.renew()
            return
        timeline, drawn = self.timeline, self.drawn
        if timeline.loop is not None and timeline.loop.on:
            first, last = timeline.loop.first, timeline.loop.last
        else:
            first = timeline.playhead
            last = first + min(self._bars_frames(BARS_SHOWN), round(2 * SECONDS_SHOWN * self.rate))
        start = max(0, round(drawn.target(first)))
        end = min(self.session.frames, round(drawn.target(min(last, timeline.frames))))
        if end <= start:
            self._say("nothing comes after the cursor")
            return
        beats = self.beats
        places = [] if beats is None else list(zip(beats.at, beats.places(), strict=True))
        targets = [(round(drawn.target(frame)), place.beat == 1) for frame, place in places]
        inside = [(frame, bar) for frame, bar in targets if start <= frame < end]
        frames = tuple(frame for frame, _ in inside)
        self._desk.hear_warp(start, end, frames, tuple(frame for frame, bar in inside if bar))
        self._draw_lines()

    def action_warp_click(self) -> None:
        """Clicks or none."""
        self._desk.switch_click()
        self._draw_lines()

    def action_warp_help(self) -> None:
        """Every key, those of the editor first."""
        from tui.panels.help import HelpPanel

        self.app.push_screen(HelpPanel("warp", self.rate))

    def action_warp_close(self) -> None:  # noqa: D102
        self.dismiss(None)
