"""The warp editor's keys: anchors are set and dragged, beats put right, a grid laid, taps taken, the outcome heard.

What it shows is `warpview`. It asks the desk for edits and for sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual.binding import BindingType

from core.errors import UnbakeError
from core.session import anchors, typed_map
from core.session.timemap import TimeMap, added, removed
from core.warp.maps import grid
from core.warp.maps.within import on_grid_within
from core.warp.rhythm import beats as counting
from core.warp.rhythm.beats import Beats
from core.warp.rhythm.taps import LEAST_TAPS
from tui import actions
from tui.desk.bench import Bench
from tui.desk.timeline import Timeline
from tui.panels.ask import Typed
from tui.panels.grid import GridForm, GridWish, number, tempo
from tui.panels.warpview import WarpView
from tui.panels.warpwords import clock

if TYPE_CHECKING:
    from core.jobs.warp_editor import Rhythm
    from tui.desk.warping import Warping

FINE_SECONDS, COARSE_SECONDS = 0.001, 0.01
REACH_SECONDS = 0.5
"""What is stretched on either side of an anchor where nothing is yet, and no beats are known."""
BARS_SHOWN = 4
SECONDS_SHOWN = 8.0


class WarpPanel(WarpView):
    """Beats, anchors and the map."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("warp")]

    def __init__(self, bench: Bench, desk: Warping) -> None:
        super().__init__(bench, desk)
        self._beats_undone: list[tuple[Rhythm | None, int]] = []
        self._beats_done: list[tuple[Rhythm | None, int]] = []

    # ---- going about --------------------------------------------------------------------------------------------

    def action_warp_back(self) -> None:  # noqa: D102
        self.go(self.timeline.nudged(-1, self.size.width).playhead)

    def action_warp_forward(self) -> None:  # noqa: D102
        self.go(self.timeline.nudged(1, self.size.width).playhead)

    def action_warp_start(self) -> None:  # noqa: D102
        self.go(0)

    def action_warp_end(self) -> None:  # noqa: D102
        self.go(self.timeline.frames)

    def action_warp_beat_before(self) -> None:  # noqa: D102
        self.go(anchors.before(self._beat_frames(), self.timeline.playhead), none="no beat comes before")

    def action_warp_beat_after(self) -> None:  # noqa: D102
        self.go(anchors.after(self._beat_frames(), self.timeline.playhead), none="no beat comes after")

    def action_warp_anchor_before(self) -> None:  # noqa: D102
        places = anchors.sources(self.session.warp)
        self.go(anchors.before(places, self.timeline.playhead), hold=True, none="no anchor comes before")

    def action_warp_anchor_after(self) -> None:  # noqa: D102
        places = anchors.sources(self.session.warp)
        self.go(anchors.after(places, self.timeline.playhead), hold=True, none="no anchor comes after")

    def action_warp_attack_before(self) -> None:  # noqa: D102
        self.go(anchors.before(self._attacks(), self.timeline.playhead), none="no attack comes before")

    def action_warp_attack_after(self) -> None:  # noqa: D102
        self.go(anchors.after(self._attacks(), self.timeline.playhead), none="no attack comes after")

    def action_warp_snap(self) -> None:
        """The cursor on the nearest attack."""
        attacks = self._attacks()
        index = anchors.nearest(attacks, self.timeline.playhead)
        self.go(None if index is None else attacks[index], none="no attacks are known")

    def _beat_frames(self) -> Sequence[int]:
        beats = self.beats
        return () if beats is None else beats.at

    def _attacks(self) -> Sequence[int]:
        rhythm = self._bench.rhythm
        return () if rhythm is None else rhythm.attacks

    def action_warp_loop_first(self) -> None:  # noqa: D102
        self.look(self.timeline.loop_from())

    def action_warp_loop_last(self) -> None:  # noqa: D102
        self.look(self.timeline.loop_to())

    def action_warp_loop(self) -> None:  # noqa: D102
        self.look(self.timeline.loop_switched())

    def action_warp_zoom_in(self) -> None:  # noqa: D102
        self.look(self.timeline.zoomed(0.5))

    def action_warp_zoom_out(self) -> None:  # noqa: D102
        self.look(self.timeline.zoomed(2.0))

    def action_warp_zoom_loop(self) -> None:
        """The loop, or some bars around the cursor."""
        timeline = self.timeline
        if timeline.loop is not None and timeline.loop.on:
            self.look(timeline.on_loop())
            return
        length = self._bars_frames(BARS_SHOWN)
        first = min(max(0, timeline.playhead - length // 2), max(0, timeline.frames - length))
        last = min(timeline.frames, first + length)
        self.look(Timeline(**{**vars(timeline), "first": first, "last": last}))

    def action_warp_zoom_all(self) -> None:  # noqa: D102
        self.look(self.timeline.all())

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
            self.go(there, hold=True)
        elif self._warp(lambda time_map: added(time_map, cursor), f"warp: anchor at {clock(cursor, self.rate)}"):
            self._held = cursor
            self.renew()

    def action_warp_remove(self) -> None:
        """Takes the anchor away."""
        there = self._at_hand()
        if there is None:
            self.say("no anchor is here")
            return
        place = anchors.place_of(self.session.warp, there)
        assert place is not None
        self._held = None
        self._warp(lambda time_map: removed(time_map, place), f"warp: no anchor at {clock(there, self.rate)}")

    def _drag(self, frames: int) -> None:
        held = self._at_hand()
        if held is None:
            self.say(f"no anchor is here: {actions.key('warp.set')} sets one at the cursor")
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
            self.say(f"no anchor is here: {actions.key('warp.set')} sets one at the cursor")
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
            self.say("no anchor is here")
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
        self.say(local if self._alone else "whole: all that follows an anchor moves along with it")

    def action_warp_curve(self) -> None:
        """Straight or smooth."""
        smooth = self.session.warp.curve == "straight"
        if not self.session.warp.anchors:
            self.say("there are no anchors yet to glide between")
            return
        said = "warp: speeds glide" if smooth else "warp: speed is constant between anchors"
        self._warp(lambda time_map: TimeMap(time_map.anchors, "smooth" if smooth else "straight"), said)

    def action_warp_clear(self) -> None:
        """Takes the map out."""
        if not self.session.warp.anchors:
            self.say("there is no map to take out")
            return
        self._held = None
        self._warp(lambda _: TimeMap(), "time map taken out")

    def action_warp_grid(self) -> None:
        """A form, then the grid."""
        beats, attacks, within = self._known_beats(), self._attacks(), None
        if beats is None or not self._desk.editable():
            return
        if self._alone:
            loop = self.timeline.loop
            if loop is None or not loop.on:
                first, last = actions.key("warp.loop_first"), actions.key("warp.loop_last")
                self.say(f"local: {first} and {last} set the loop that is straightened")
                return
            within = loop.first, loop.last

        def taken(wish: GridWish | None) -> None:
            if wish is None:
                return
            if within is not None:
                self._straighten_within(wish, beats, within)
                return
            made = grid.on_grid(
                beats, bpm=wish.bpm, strength=wish.strength, start=wish.start, swing=wish.swing, off_beats=attacks
            )
            made = TimeMap(made.anchors, self.session.warp.curve)
            to = f" at {wish.bpm:g} BPM" if wish.bpm is not None else ""
            self._warp(lambda _: made, f"warp: {len(beats.at)} beats {wish.strength:.0%} onto a grid{to}")

        assert beats.bpm is not None
        self.app.push_screen(GridForm(beats.bpm, beats.swing, local=self._alone), taken)

    def _straighten_within(self, wish: GridWish, beats: Beats, within: tuple[int, int]) -> None:
        """What is in the loop onto a grid of its own, the rest as it is."""
        attacks = self._attacks()
        self._warp(
            lambda time_map: on_grid_within(
                time_map, beats, *within, strength=wish.strength, swing=wish.swing, off_beats=attacks
            ),
            f"warp: the beats of the loop {wish.strength:.0%} onto a grid (local)",
        )

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
            self._desk.keep_beats()
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
            self.say("the beats are being listened for" if finding else f"no beats: {find} finds, {tap} taps them")
        return self.beats

    def _count(self, make: Callable[[Beats], Beats], said: str) -> None:
        """Puts the beats right."""
        beats, rhythm = self._known_beats(), self._bench.rhythm
        if beats is None or rhythm is None:
            return
        self._set_rhythm(msgspec.structs.replace(rhythm, beats=make(beats)))
        self.say(said)

    def _set_rhythm(self, rhythm: Rhythm) -> None:
        self._beats_undone.append((self._bench.rhythm, self._stands_at))
        self._beats_done.clear()
        self._bench.rhythm = rhythm
        self._desk.keep_beats()
        self.renew()

    def _nearest_beat(self) -> int | None:
        beats = self._known_beats()
        return None if beats is None else anchors.nearest(beats.at, self.timeline.playhead)

    def action_warp_find(self) -> None:
        """Finds the beats anew."""
        if self._bench.finding_beats:
            return
        self._beats_undone.append((self._bench.rhythm, self._stands_at))
        self._beats_done.clear()
        self._desk.find_beats(anew=True)
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
            self.say("taps are beats of the source: play that")
            return
        seconds = self._desk.tapped()
        if seconds is None:
            self.say(f"nothing plays: {actions.key('warp.toggle')} plays, then tap along")
            return
        self._taps.append(seconds)
        self.say(f"tap {len(self._taps)} at {clock(round(seconds * self.rate), self.rate)}")

    def take_taps(self) -> None:
        """Makes beats of what was tapped."""
        from core.jobs.warp_editor import rhythm_of_taps

        taps, self._taps = self._taps, []
        if len(taps) < LEAST_TAPS:
            self.say(f"{len(taps)} taps are too few: tap at least {LEAST_TAPS} beats")
            return
        try:
            rhythm, said = rhythm_of_taps(taps, self._attacks(), self.session.source.frames, self.rate)
        except UnbakeError as error:
            self._desk.complain(error)
            return
        self._set_rhythm(rhythm)
        self.say(said)

    # ---- listening ----------------------------------------------------------------------------------------------

    def action_warp_toggle(self) -> None:
        """Plays, or stops; what was tapped becomes beats."""
        self._desk.action_play_toggle()
        if self._taps:
            self.take_taps()
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
            self.say("nothing comes after the cursor")
            return
        beats = self.beats
        places = [] if beats is None else list(zip(beats.at, self.places, strict=True))
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
