"""The warp editor's side of the desk: beats asked of the worker, edits of the time map, and what is heard along it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.audition import messages as player
from core.audition.monitor import Choice, Listening
from core.audition.tapping import TapClock
from core.errors import UnbakeError
from core.jobs import messages
from core.session import anchors
from core.session.document import Separation, Session, Strip
from core.session.timemap import Drawn, TimeMap
from tui.desk.diagnosing import Diagnosing
from tui.desk.messages import Trouble
from tui.desk.timeline import Timeline

if TYPE_CHECKING:
    from core.jobs.warp_editor import Rhythm, WarpClip

FINDING = "finding the beats"
WARPING = "warping what is to be heard"
BARS_HEARD = 4
SECONDS_HEARD = 8.0
"""Where no beats are known, or bars are as long as that."""
CLICK = "click"


class Aside(NamedTuple):
    """A warped stretch that is played in place of the session, and how things were before.

    `source_of` knows the frame of the source for one of the target; `frames` is how long the stretch is.
    """

    clip: WarpClip
    drawn: Drawn
    frames: int
    playhead: int
    stream: Choice
    match: bool


class Warping(Diagnosing):
    """Time map and beats."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._aside: Aside | None = None
        self._aside_begun = False
        self._tap_clock = TapClock(1)
        self._keeping = threading.Lock()
        self.click = True
        """Whether what is heard warped has clicks."""

    def action_panel_warp(self) -> None:
        """Beats, anchors and a grid over the waveform."""
        if self.bench.session is None:
            self.editable()
            return
        from tui.panels.warp import WarpPanel

        self._tap_clock = TapClock(self.bench.sample_rate)
        self.app.push_screen(WarpPanel(self.bench, self), lambda _: self.leave_aside())
        if self.bench.rhythm is None:
            self._take_kept_beats()
        if self.bench.rhythm is None:
            self.find_beats()

    def _take_kept_beats(self) -> None:
        from core.jobs.warp_editor import kept_beats

        editor, session = self.bench.editor, self.bench.session
        if editor is not None and session is not None:
            self.bench.rhythm = kept_beats(editor.path, session.source)

    def keep_beats(self) -> None:
        """Has beats that were put right written down beside the session."""
        bench, editor = self.bench, self.bench.editor
        if editor is None or bench.read_only:
            return

        def write() -> None:
            from core.jobs.warp_editor import keep_beats

            with self._keeping:  # whoever comes last writes what is known by then
                rhythm = bench.rhythm
                try:
                    if rhythm is not None:
                        keep_beats(editor.path, rhythm)
                except UnbakeError as error:
                    self.post_message(Trouble(bench, error))

        self.run_worker(write, thread=True, group="beats-kept")

    # ---- beats --------------------------------------------------------------------------------------------------

    def find_beats(self, *, anew: bool = False) -> None:
        """Listens for the beats of the source, in its stems where they are there; `anew` in place of those known."""
        self.ask(self._find_beats(anew), group="beats", once=True)

    async def _find_beats(self, anew: bool) -> None:
        bench, session = self.bench, self.bench.session
        assert session is not None
        bench.finding_beats = True
        stems = {name: str(path) for name, path in bench.stems.items()}
        try:
            request = messages.FindBeats(session=session.unwarped, stems=stems)
            found: Rhythm = await self.jobs.run(request, FINDING, lane="analysis")
        finally:
            bench.finding_beats = False
            self.renew_warp()
        if self.bench is bench:
            bench.rhythm = found
            if anew:
                self.keep_beats()
            self.renew_warp()

    def renew_warp(self) -> None:
        """What a warp editor shows is known by now, or is otherwise."""
        from tui.panels.warp import WarpPanel

        for screen in self.app.screen_stack:
            if isinstance(screen, WarpPanel) and screen.composed:
                screen.renew()

    # ---- the map ------------------------------------------------------------------------------------------------

    def warp(self, make: Callable[[TimeMap], TimeMap], what: str | None, merge_key: str | None = None) -> bool:
        """Edits the time map; gives whether anything changed."""
        return self.edit(lambda session: anchors.changed(session, make, what, merge_key))

    # ---- listening ----------------------------------------------------------------------------------------------

    @property
    def heard_aside(self) -> bool:
        """Whether what is heard is a warped stretch."""
        return self._aside is not None

    def hear_warp(self, first: int, last: int, beats: tuple[int, ...], bars: tuple[int, ...]) -> None:
        """Plays target frames `first` to `last` along the map, with clicks on those of `beats`, `bars` among them."""
        self.leave_aside()
        self.ask(self._hear_warp(first, last, beats, bars), group="warp", exclusive=True)

    async def _hear_warp(self, first: int, last: int, beats: tuple[int, ...], bars: tuple[int, ...]) -> None:
        bench, session = self.bench, self.bench.sounding
        assert session is not None
        stems = {name: str(path) for name, path in bench.sounds.items() if name in session.stems_used}
        request = messages.HearWarp(session=session, stems=stems, first=first, last=last, beats=beats, bars=bars)
        clip: WarpClip = await self.jobs.run(request, WARPING, lane="analysis")
        if self.bench is not bench or bench.session is None:
            return
        heard, drawn = bench.heard, Drawn(session.warp, session.source.frames)
        aside = Aside(clip, drawn, last - first, bench.timeline.playhead, heard.stream, heard.match)
        self.order(player.Play(False))
        self._aside, self._aside_begun = aside, False
        loop = bench.timeline.loop
        for order in (
            player.SetLoop((0, aside.frames) if loop is not None and loop.on else None),
            player.MatchLevels(False),
            player.Choose("repair" if self.click else "source"),
            player.Play(True, 0),
        ):
            self.order(order)
        self.say("heard: along the time map" + (", with a click" if self.click else ""))

    def switch_click(self) -> None:
        """Clicks or none, at once where a warped stretch is played."""
        self.click = not self.click
        if self._aside is not None:
            self.order(player.Choose("repair" if self.click else "source"))
        self.say("what is heard warped has a click" if self.click else "what is heard warped has no click")

    def leave_aside(self) -> None:
        """Goes back to the session where a warped stretch was played."""
        if self._aside is None:
            return
        before, self._aside = self._aside, None
        timeline = self.bench.timeline = self.bench.timeline.at(before.playhead)
        loop = timeline.loop
        for order in (
            player.Play(False),
            player.SetLoop((loop.first, loop.last) if loop is not None and loop.on else None),
            player.MatchLevels(before.match),
            player.Choose(before.stream),
            player.Seek(before.playhead),
        ):
            self.order(order)
        self.paint_time()
        self.renew_warp()

    def to_show(self) -> player.Show:
        """The warped stretch while it is played: its source is what was warped, its one stem the clicks."""
        if self._aside is None:
            return super().to_show()
        clip = self._aside.clip
        session = Session(
            source=clip.source,
            separation=Separation(model="external", stems=(CLICK,)),
            strips={CLICK: Strip(mode="parallel", blend=1.0)},
        )
        return player.Show(session, {CLICK: clip.click}, Listening())

    def place_of(self, frame: int) -> int:
        """As the desk has it; of a warped stretch, what of the source it is."""
        if self._aside is None:
            return frame
        return max(0, round(self._aside.drawn.source(self._aside.clip.first + frame)))

    def heard(self, answer: player.Answer) -> None:
        """As the desk takes it in; a warped stretch that was played to its end is left."""
        if isinstance(answer, player.Gone):
            self._aside = None
            self._tap_clock.stop()
        super().heard(answer)
        if not isinstance(answer, player.Heard):
            return
        if answer.playing and answer.speed == 1 and self._aside is None:
            self._tap_clock.heard(answer.frame, time.monotonic())
        else:
            self._tap_clock.stop()
        if self._aside is None:
            return
        if answer.playing:
            self._aside_begun = self._aside_begun or answer.frame < self._aside.frames
        elif self._aside_begun and answer.frame >= self._aside.frames - 1:
            self.leave_aside()

    def tapped(self) -> float | None:
        """What of the source, in seconds, is heard at this moment; None where nothing is."""
        return self._tap_clock.seconds(time.monotonic())

    def look(self, timeline: Timeline) -> None:
        """As on the rest of the desk; who goes elsewhere is done with the warped stretch."""
        if self._aside is not None and timeline.playhead != self.bench.timeline.playhead:
            self.leave_aside()
        super().look(timeline)

    def stop_listening(self) -> None:
        """As on the rest of the desk."""
        self._aside = None
        super().stop_listening()

    def action_play_toggle(self) -> None:
        """As on the rest of the desk; a warped stretch is stopped, and left."""
        if self._aside is not None:
            self.leave_aside()
        else:
            super().action_play_toggle()
