"""Keys that are for the ears: play, shuttle, source, repair and difference, solo and mute. Nothing of the document.

The player is a process of its own, started by the first of these keys; the desk orders, and follows what it says.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core.audition import messages as player
from core.audition.monitor import Choice
from core.audition.monitor import Listening as Ears
from core.errors import UnbakeError
from core.session.document import RESIDUAL
from tui import actions
from tui.desk.bench import MASTER
from tui.desk.editing import Editing
from tui.desk.timeline import Timeline
from tui.panels import blind
from tui.panels.blind import BlindPanel
from tui.panels.outlets import OutletsPanel

if TYPE_CHECKING:
    from core.session.blind import Trial
    from core.session.workspace import Loop


class Listening(Editing):
    """Transport and streams."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._shown: player.Show | None = None

    # ---- orders -------------------------------------------------------------------------------------------------

    def order(self, order: player.Order) -> bool:
        """Tells the player, which is started where there is none yet; gives whether there is anything to hear."""
        if self.bench.session is None:
            self.say("nothing is open to be heard")
            return False
        remote = self.workstation.player
        if remote is None:
            remote = self.workstation.start_player()
            # the sound card of a machine that one came to by ssh plays to an empty room
            remote.order(player.Open("browser" if os.environ.get("SSH_CONNECTION") else "auto"))
            remote.order(player.SetLoop(_of(self.bench.timeline.loop)))
            remote.order(_marks(self.bench.timeline))
            self._shown = None
        self._show(remote)
        remote.order(order)
        return True

    def hear_again(self) -> None:
        """Has the player play what the session is by now, where it plays at all."""
        remote = self.workstation.player
        if remote is not None and self.bench.session is not None:
            self._show(remote)

    def _show(self, remote: player.Orders) -> None:
        show = self.to_show()
        if show != self._shown:
            self._shown = show
            remote.order(show)

    def to_show(self) -> player.Show:
        """What there is to be heard. It is heard before its time map, so that an edit of that is none to the player."""
        session, bench = self.bench.sounding, self.bench
        assert session is not None
        session = session.unwarped
        if bench.needs_stems:
            # until all is there that is needed, both sides are the source
            session = msgspec.structs.replace(session, cleanup=(), strips={})
        ears = Ears(*(frozenset(name for name in names if name in bench.sounds) for names in (bench.solo, bench.mute)))
        return player.Show(session, {name: str(path) for name, path in bench.sounds.items()}, ears)

    def place_of(self, frame: int) -> int:
        """The frame of the source that sounds where the player is."""
        return frame

    def stop_listening(self) -> None:
        """Falls silent, and forgets what was played."""
        self._shown = None
        if self.workstation.player is not None:
            self.workstation.player.order(player.Play(False))

    def take_over(self) -> None:
        """Has a player that is there already go over to what was opened, with its loop and its markers."""
        remote = self.workstation.player
        if remote is not None and self.bench.session is not None:
            remote.order(player.SetLoop(None))
            self._show(remote)
            remote.order(player.SetLoop(_of(self.bench.timeline.loop)))
            remote.order(_marks(self.bench.timeline))
            remote.order(player.Seek(self.bench.timeline.playhead))

    def look(self, timeline: Timeline) -> None:
        """As on the rest of the desk; the player goes where the engineer goes."""
        before = self.bench.timeline
        super().look(timeline)
        remote = self.workstation.player
        if remote is None or before == timeline or self.bench.session is None:
            return
        self._show(remote)  # places are of what is shown
        if _of(before.loop) != _of(timeline.loop):
            remote.order(player.SetLoop(_of(timeline.loop)))
        if before.markers != timeline.markers:
            remote.order(_marks(timeline))
        if before.playhead != timeline.playhead:
            remote.order(player.Seek(timeline.playhead))

    # ---- answers ------------------------------------------------------------------------------------------------

    def heard(self, answer: player.Answer) -> None:
        """Takes in what the player said."""
        match answer:
            case player.Opened():
                self.bench.outlet = answer
                self._say_where(answer)
            case player.Heard():
                self._follow(answer)
            case player.Outlets():
                self.bench.cards = answer
            case player.Judged(answer=side, trial=trial):
                for screen in self.app.screen_stack:
                    if isinstance(screen, BlindPanel):
                        screen.judged(side, trial)
            case player.Looped(loop=loop) if self.bench.editor is not None:
                self.look(self.bench.timeline.looped(loop))
            case player.Marked(frame=frame) if self.bench.editor is not None:
                self.look(self.bench.timeline.marked(frame))
            case player.Looped() | player.Marked():
                pass  # of what was open before
            case player.Refused():
                self.complain(UnbakeError(answer.what, where=answer.where, remedy=answer.remedy))
            case player.Gone(text=text):
                self.bench.heard, self.bench.outlet, self._shown = player.Heard(), None, None
                self.complain(UnbakeError(text, remedy="play again: it starts anew"))

    def _follow(self, heard: player.Heard) -> None:
        before, self.bench.heard = self.bench.heard, heard
        if before.moved != heard.moved:
            self.seldom(self.paint_moved)
        timeline = self.bench.timeline
        place = self.place_of(heard.frame)
        if heard.playing and self._shown is not None and place != timeline.playhead:
            moved = timeline.at(place)
            self.bench.timeline = moved
            if (moved.first, moved.last) == (timeline.first, timeline.last):
                self.seldom(self.paint_playhead)
            else:
                self.seldom(self.paint_time)
            self.remember()

    def _say_where(self, opened: player.Opened) -> None:
        if opened.way == "browser":
            self.app.copy_to_clipboard(opened.tunnel)
            if isinstance(self.app.screen, OutletsPanel):  # which shows it
                return
            again = actions.key("hear.where")
            where = f"{opened.tunnel}\nthen {opened.url}\n(the first is in the clipboard; {again} shows them again)"
            self.app.notify(where, title="listen in a browser: on your own machine", timeout=20, markup=False)
        else:
            self.say(f"listening on {opened.device}")

    def paint_playhead(self) -> None:
        """Draws what moves while it plays."""
        raise NotImplementedError

    def paint_moved(self) -> None:
        """Draws how far the chosen processor moves its gain."""
        raise NotImplementedError

    # ---- keys ---------------------------------------------------------------------------------------------------

    def action_play_toggle(self) -> None:
        """Plays from the playhead, or stops."""
        playing = not self.bench.heard.playing
        self.order(player.Play(playing, self.bench.timeline.playhead if playing else None))

    def action_play_faster(self) -> None:  # noqa: D102
        self.order(player.Shuttle(1))

    def action_play_slower(self) -> None:  # noqa: D102
        self.order(player.Shuttle(-1))

    def action_play_stop(self) -> None:  # noqa: D102
        self.order(player.Play(False))

    def action_hear_source(self) -> None:  # noqa: D102
        self._choose("source")

    def action_hear_repair(self) -> None:  # noqa: D102
        self._choose("repair")

    def action_hear_difference(self) -> None:  # noqa: D102
        self._choose("difference")

    def action_hear_flip(self) -> None:
        """Source or repair, whichever is not heard."""
        self._choose("repair" if self.bench.heard.stream == "source" else "source")

    def action_hear_match(self) -> None:
        """Loudness match on or off."""
        on = not self.bench.heard.match
        if self.order(player.MatchLevels(on)):
            self.say("source and repair are equally loud" if on else "levels are heard as they are")

    def action_hear_blind(self) -> None:
        """Can the repair be told from the source at all?"""
        blind.check(self.bench)
        self.app.push_screen(BlindPanel(self.bench, self.order, self._keep))

    def _keep(self, trial: Trial) -> None:
        editor = self.bench.editor
        if editor is not None and not editor.read_only:
            editor.judge(trial)
            self.journal_soon()

    def action_hear_where(self) -> None:
        """Lists the ways out, and copies the line that brings the page to the engineer's machine."""
        if not self.order(player.Look()):
            return
        outlet = self.bench.outlet
        if outlet is not None and outlet.way == "browser":
            self.app.copy_to_clipboard(outlet.tunnel)
        self.app.push_screen(OutletsPanel(self.bench), self._go_out)

    def _go_out(self, way: player.Open | None) -> None:
        if way is not None:
            self.order(way)

    def action_strip_solo(self) -> None:  # noqa: D102
        self._for_the_ears("solo")

    def action_strip_mute(self) -> None:  # noqa: D102
        self._for_the_ears("mute")

    def action_strip_all_heard(self) -> None:
        """No solo and no mute any more."""
        self._ears(frozenset(), frozenset())

    def _choose(self, stream: Choice) -> None:
        if self.order(player.Choose(stream)):
            self.say(f"heard: {stream}")

    def _for_the_ears(self, which: str) -> None:
        name, bench = self.bench.strip, self.bench
        if name == MASTER or not name:
            self.say(f"choose a stem to {which}")
            return
        if name not in bench.sounds:
            self.say("there are no stems yet to be heard by themselves")
            return
        solo, mute = bench.solo, bench.mute
        if which == "solo":
            solo = solo ^ {name}
        else:
            mute = mute ^ {name}
        self._ears(solo, mute)

    def _ears(self, solo: frozenset[str], mute: frozenset[str]) -> None:
        self.bench.solo, self.bench.mute = solo, mute
        order = [*self.bench.names[:-1]] or [RESIDUAL]
        heard = [name for name in order if name in solo] or [name for name in order if name not in mute]
        said = f"{', '.join(heard) or 'nothing'} (never rendered)" if solo or mute else "everything"
        self.say(f"heard: {said}")
        self.remember()
        self.paint_lanes()
        self.hear_again()

    def paint_lanes(self) -> None:
        """Draws the lanes."""
        raise NotImplementedError


def _marks(timeline: Timeline) -> player.Mark:
    return player.Mark(tuple(marker.frame for marker in timeline.markers))


def _of(loop: Loop | None) -> tuple[int, int] | None:
    return (loop.first, loop.last) if loop is not None and loop.on else None
