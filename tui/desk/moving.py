"""Keys that change what is looked at, and nothing of the document: time, loop, markers, view, panes, strips."""

from __future__ import annotations

from tui.desk.base import PANES, DeskBase
from tui.desk.bench import MASTER, Fader, Insert, RowKey, Value
from tui.desk.timeline import Timeline
from tui.widgets.rows import Rows


class Moving(DeskBase):
    """Time, view, panes and strips."""

    def look(self, timeline: Timeline) -> None:
        """Shows another place or another span."""
        if timeline != self.bench.timeline:
            self.bench.timeline = timeline
            self.remember()
            self.paint_time()

    def remember(self) -> None:
        """Keeps where the engineer is for the next time."""
        raise NotImplementedError

    def settle(self) -> None:
        """Keeps strip and row among those that there are."""
        raise NotImplementedError

    def columns(self) -> int:
        """Cells that the overview is wide."""
        return max(1, self.size.width)

    def action_time_back(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.nudged(-1, self.columns()))

    def action_time_forward(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.nudged(1, self.columns()))

    def action_time_back_5(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.moved_seconds(-5))

    def action_time_forward_5(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.moved_seconds(5))

    def action_time_start(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.at(0))

    def action_time_end(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.at(self.bench.timeline.frames))

    def action_loop_first(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.loop_from())

    def action_loop_last(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.loop_to())

    def action_loop_toggle(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.loop_switched())

    def action_marker_set(self) -> None:  # noqa: D102
        if self.bench.located is not None:
            self.look(self.bench.timeline.marked())

    def action_marker_previous(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.to_marker(-1))

    def action_marker_next(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.to_marker(1))

    def action_view_zoom_in(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.zoomed(0.5))

    def action_view_zoom_out(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.zoomed(2.0))

    def action_view_loop(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.on_loop())

    def action_view_all(self) -> None:  # noqa: D102
        self.look(self.bench.timeline.all())

    def action_view_follow(self) -> None:
        """Keeps the playhead in view, or not."""
        timeline = self.bench.timeline
        follow = not timeline.follow
        self.look(Timeline(**{**vars(timeline), "follow": follow}))
        self.say("the view follows the playhead" if follow else "the view stays where it is")

    def action_view_spectrogram(self) -> None:
        """Waveform or spectrogram."""
        if self.bench.located is not None:
            self.bench.spectrogram = not self.bench.spectrogram
            self.remember()
            self.paint_time()

    def action_view_pane(self) -> None:  # noqa: D102
        self._to_pane(1)

    def action_view_pane_back(self) -> None:  # noqa: D102
        self._to_pane(-1)

    def action_strip_master(self) -> None:  # noqa: D102
        self.pick(MASTER)

    def action_strip_next(self) -> None:
        """The next strip; in the chain, the next row."""
        self._step(1)

    def action_strip_previous(self) -> None:
        """The strip above; in the chain, the row above."""
        self._step(-1)

    def pick_number(self, number: int) -> None:
        """Chooses a strip by its number, from 1."""
        names = self.bench.names[:-1]
        if number <= len(names):
            self.pick(names[number - 1])
        elif names:
            self.say(f"there are {len(names)} strips")

    def pick(self, name: str) -> None:
        """Chooses a strip."""
        if name in self.bench.names and name != self.bench.strip:
            self.bench.strip = name
            self.bench.open_insert = 0 if self.bench.chain else None
            first: RowKey = Insert(0) if name == MASTER else Fader("gain_db")
            self.to_row(first)
            self.remember()

    def to_row(self, row: RowKey) -> None:
        """Puts the cursor of the chain on a row; a processor opens when it is chosen."""
        self.bench.row = row
        if isinstance(row, (Insert, Value)):
            self.bench.open_insert = row.place
        self.paint()

    def _step(self, by: int) -> None:
        if self.pane == "chain":
            chain = self.query_one("#chain", Rows)
            chain.step(by)
            key = chain.chosen_key
            if isinstance(key, (Fader, Insert, Value)):
                self.to_row(key)
            return
        names = self.bench.names
        if names:
            place = names.index(self.bench.strip) if self.bench.strip in names else 0
            self.pick(names[min(max(place + by, 0), len(names) - 1)])

    def _to_pane(self, by: int) -> None:
        there = [pane for pane in PANES if self.query_one(f"#{pane}").display]
        place = there.index(self.pane) if self.pane in there else 0
        self.set_focus(self.query_one(f"#{there[(place + by) % len(there)]}"))


for _number in range(1, 10):
    setattr(Moving, f"action_strip_pick_{_number}", lambda self, number=_number: self.pick_number(number))
