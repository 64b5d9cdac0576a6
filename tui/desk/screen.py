"""The desk: what is worked on, whether it nulls, where in time, which strip, what is done to it.

Its handlers own every change of state. Threads (overviews, spectra, hashing, the journal) post messages; separations,
renders and measurements run in the worker processes. Widgets are told what to draw.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll

from core.jobs import machine
from core.session import workspace
from tui import actions
from tui.desk import words
from tui.desk.bench import MASTER, Fader, Insert, Value
from tui.desk.chain import chain_rows
from tui.desk.messages import Glanced
from tui.desk.opening import Opening
from tui.widgets.curve import Curve
from tui.widgets.line import Line
from tui.widgets.rows import Rows
from tui.widgets.ruler import Ruler
from tui.widgets.spectrogram import SpectrogramView
from tui.widgets.transfer import Transfer
from tui.widgets.waveform import Waveform

WIDTHS = [(0, "-narrow"), (words.NARROW, "-wide")]
HEIGHTS = [(0, "-short"), (30, "-tall"), (45, "-huge")]
"""Classes of the desk by columns and rows of the terminal."""


class OverviewPane(Vertical, can_focus=True, inherit_bindings=False):
    """Ruler and overview: the pane where keys move in time."""


class Desk(Opening):
    """The one main screen."""

    DEFAULT_CSS = """
    Desk { layout: vertical;
        & #header { background: $panel; }
        & .title { background: $surface; }
        & #overview { height: 4; }
        & #ruler { height: 1; }
        & OverviewPane:focus Ruler > .ruler--label { color: $accent; }
        & #waveform, & #spectrogram { height: 1fr; }
        & #spectrogram { display: none; }
        & #body { height: 1fr; layout: vertical; }
        & #strips { height: auto; max-height: 50%; }
        & #lanes-row { height: auto; }
        & #lanes-row { layers: under over; }
        & #meters { layer: over; height: auto; }
        & Meter { width: 1fr; }
        & Meter.-cursor { background: $primary 30%; }
        & Meter.-resting { background: $panel; }
        & #lanes { layer: under; height: auto; width: 1fr; }
        & #lanes-scroll {
            height: auto; max-height: 1fr; scrollbar-size-vertical: 1; scrollbar-background: $surface;
            scrollbar-color: $panel; scrollbar-color-hover: $primary; scrollbar-color-active: $primary;
        }
        & #findings { height: 1fr; display: none; margin-top: 1; overflow: hidden; }
        & #bench { height: 1fr; min-height: 4; layout: horizontal; }
        & #chain-side { width: 1fr; height: 1fr; }
        & #chain { height: 1fr; }
        & #curve, & #transfer { width: 41%; height: 1fr; }
        & #transfer { display: none; }
        & #jobs { background: $surface; }
        & #footer { background: $panel; }
    }
    Desk.-tall { & #overview { height: 9; } & #ruler { height: 2; } }
    Desk.-wide {
        & #body { layout: horizontal; }
        & #strips { width: 1fr; height: 1fr; max-height: 100%; }
        & #findings { display: block; }
        & #bench { width: 43%; max-width: 90; height: 1fr; layout: vertical; border-left: solid $panel; }
        & #curve, & #transfer { width: 1fr; height: 50%; }
    }
    Desk.-wide.-huge { & #overview { height: 12; } }
    Desk.-empty {
        & #overview, & #bench { display: none; }
        & #strips { max-height: 100%; height: 1fr; }
        & .title { background: $background; }
    }
    """
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("desk")]

    def compose(self) -> ComposeResult:
        """The panes."""
        yield Line(id="header")
        with OverviewPane(id="overview"):
            yield Ruler(id="ruler")
            yield Waveform(id="waveform")
            yield SpectrogramView(id="spectrogram")
        with Container(id="body"):
            with Vertical(id="strips"):
                yield Line(id="strips-title", classes="title")
                with VerticalScroll(id="lanes-scroll", can_focus=False), Horizontal(id="lanes-row"):
                    yield Vertical(id="meters")
                    yield Rows(id="lanes", empty=" no stems yet")
                findings = Rows(id="findings")
                findings.can_focus = False
                yield findings
            with Container(id="bench"):
                with Vertical(id="chain-side"):
                    yield Line(id="chain-title", classes="title")
                    yield Rows(id="chain", empty="")
                yield Curve(id="curve")
                yield Transfer(id="transfer")
        yield Line(id="jobs")
        yield Line(id="footer")

    def on_mount(self) -> None:
        """Opens what was asked for; glances at the machine."""
        for length, kinds in zip(self.app.size, (WIDTHS, HEIGHTS), strict=True):
            # Textual sees to it only once it has drawn the desk as if it were small
            self.add_class(max(kind for kind in kinds if length >= kind[0])[1])
        self.set_focus(self.query_one("#lanes"))
        self.run_worker(self._glance, thread=True, group="glance")
        self.paint()
        if self.path is not None:
            self.ask(self.open(self.path), group="opening", exclusive=True)
        else:
            self.say(
                f"{actions.key('file.open')} opens a master or a session, {actions.key('app.help')} shows every key"
            )

    # ---- edits --------------------------------------------------------------------------------------------------

    def after_edit(self, said: str) -> None:
        """What follows every change of the document: the journal, the proof, the picture."""
        self.journal_soon()
        self.bench.check = None
        self.let_go_of_other_stems()
        self.lay_brought()
        self.clean_up_soon()
        self.settle()
        self.say(said)
        self.paint()
        self.check_soon()
        self.hear_again()

    def settle(self) -> None:
        """Keeps strip and row among those that there are."""
        names = self.bench.names
        if self.bench.strip not in names:
            self.bench.strip = names[0] if names else ""
        if self.bench.open_insert is not None and self.bench.open_insert >= len(self.bench.chain):
            self.bench.open_insert = None
        wanted = {path.key for path in chain_rows(self.bench, 80)}
        if self.bench.row not in wanted:
            self.bench.row = Insert(0) if self.bench.strip == MASTER else Fader("gain_db")

    # ---- the mouse, which works too -----------------------------------------------------------------------------

    @on(Waveform.Pointed)
    def _pointed(self, message: Waveform.Pointed) -> None:
        timeline = self.bench.timeline
        cells = max(1, self.query_one("#waveform").size.width)
        frames = sorted(timeline.first + round(cell / cells * timeline.shown) for cell in (message.start, message.cell))
        if message.start == message.cell:
            self.look(dataclasses.replace(timeline, playhead=frames[0]))
        else:
            self.look(dataclasses.replace(timeline, loop=workspace.Loop(frames[0], frames[1], True)))

    @on(Waveform.Wheeled)
    def _wheeled(self, message: Waveform.Wheeled) -> None:
        timeline = self.bench.timeline
        cells = max(1, self.query_one("#waveform").size.width)
        around = timeline.first + round(message.cell / cells * timeline.shown)
        self.look(timeline.zoomed(0.5 if message.up else 2.0, around))

    @on(Rows.Chosen, "#lanes")
    def _lane_clicked(self, message: Rows.Chosen) -> None:
        self.pick(str(message.rows.chosen_key))

    @on(Rows.Chosen, "#chain")
    def _row_clicked(self, message: Rows.Chosen) -> None:
        key = message.rows.chosen_key
        if isinstance(key, (Fader, Insert, Value)):
            self.to_row(key)

    # ---- the machine --------------------------------------------------------------------------------------------

    def _glance(self) -> None:
        self.post_message(Glanced(machine.glance()))

    @on(Glanced)
    def _glanced(self, message: Glanced) -> None:
        self._device = message.device
        self.paint_header()
