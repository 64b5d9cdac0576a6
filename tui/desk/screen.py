"""The desk: what is worked on, whether it nulls, where in time, which strip, what is done to it.

Its handlers own every change of state. Threads (overviews, spectra, hashing, the journal) post messages; separations,
renders and measurements run in the worker processes. Widgets are told what to draw.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll

from core import recent
from core.errors import UnbakeError
from core.jobs import machine, messages, opening, sessions
from core.separation.store import StemSet
from core.session import workspace
from core.session.document import Session
from core.session.lock import SessionLock, copy_name
from tui import actions
from tui.desk import words
from tui.desk.bench import MASTER, Bench, Fader, Insert, Value
from tui.desk.chain import chain_rows
from tui.desk.filing import Filing
from tui.desk.messages import AtHand, Glanced, Located, Opened, Trouble
from tui.desk.painting import SOURCE, Painting
from tui.desk.timeline import Timeline
from tui.jobs import JobStoppedError
from tui.panels.ask import Answer, Ask
from tui.panels.null import NullPanel
from tui.widgets.curve import Curve
from tui.widgets.line import Line
from tui.widgets.rows import Rows
from tui.widgets.ruler import Ruler
from tui.widgets.spectrogram import SpectrogramView
from tui.widgets.waveform import Waveform

if TYPE_CHECKING:
    from textual.timer import Timer

CHECK_AFTER_SECONDS = 0.4
REMEMBER_SECONDS = 2.0


class OverviewPane(Vertical, can_focus=True, inherit_bindings=False):
    """Ruler and overview: the pane where keys move in time."""


class Desk(Painting, Filing):
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
        & #curve { width: 41%; height: 1fr; }
        & #jobs { background: $surface; }
        & #footer { background: $panel; }
    }
    Desk.-tall { & #overview { height: 9; } & #ruler { height: 2; } }
    Desk.-wide {
        & #body { layout: horizontal; }
        & #strips { width: 1fr; height: 1fr; max-height: 100%; }
        & #findings { display: block; }
        & #bench { width: 43%; max-width: 90; height: 1fr; layout: vertical; border-left: solid $panel; }
        & #curve { width: 1fr; height: 50%; }
    }
    Desk.-wide.-huge { & #overview { height: 12; } }
    Desk.-empty {
        & #overview, & #bench { display: none; }
        & #strips { max-height: 100%; height: 1fr; }
        & .title { background: $background; }
    }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (words.NARROW, "-wide")]  # noqa: RUF012 - as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall"), (45, "-huge")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("desk")]

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        super().__init__(path)
        self._look_only = read_only
        self._lock_held: SessionLock | None = None
        self._check_timer: Timer | None = None
        self._remember_timer: Timer | None = None
        self._remembered = workspace.Workspace()

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
        yield Line(id="jobs")
        yield Line(id="footer")

    # ---- what is open -------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Opens what was asked for; glances at the machine."""
        self.query_one("#lanes").focus()
        self.run_worker(self._glance, thread=True, group="glance")
        self.paint()
        if self.path is not None:
            self.ask(self.open(self.path), group="opening", exclusive=True)
        else:
            self.say("o opens a master or a session, ? shows every key")

    async def open(self, path: Path) -> None:
        """Opens a master or a session in place of what is open."""
        self.close_document()
        self.path = path
        self.say(f"opening {path.name}")
        self.paint()
        self.run_worker(functools.partial(self._locate, path), thread=True, group="opening-files", exclusive=True)

    def _locate(self, path: Path) -> None:
        try:
            self.post_message(Located(opening.locate(path)))
        except UnbakeError as error:
            self.post_message(Trouble(error))

    @on(Located)
    def _located(self, message: Located) -> None:
        located = message.located
        self.bench.located = located
        self.bench.timeline = Timeline.whole(located.info.frames, located.info.sample_rate)
        self.scan(SOURCE, located.source)
        self.paint()
        self.ask(self._take_up(located), group="opening", exclusive=True)
        self.ask(self._measure(), group="measuring", exclusive=True)

    async def _take_up(self, located: opening.Located) -> None:
        """Locks the session, then loads it on a thread; who has it open already is for the engineer to weigh."""
        path = located.session_path
        lock: SessionLock | None = None
        copy: Path | None = None
        if not self._look_only:
            lock, copy = await self._lock(path)
        self._lock_held = lock
        load = functools.partial(self._load, located, lock, copy)
        self.run_worker(load, thread=True, group="opening-files", exclusive=True)

    async def _lock(self, path: Path) -> tuple[SessionLock | None, Path | None]:
        """The lock of the session, or of a copy of it; no lock to look only."""
        copy: Path | None = None
        while True:
            lock = SessionLock(copy or path)
            try:
                holder = lock.acquire()
            except UnbakeError as error:
                self.complain(error)
                return None, copy
            if holder is None:
                return lock, copy
            other = copy_name(path)
            question = f"{path.name} is open in another workstation ({holder.words()})."
            answers = [Answer("r", "look at it, read only"), Answer("c", f"work on a copy of it, {other.name}")]
            if await self.app.push_screen_wait(Ask(question, answers)) != "c":
                return None, None
            copy = other

    def _load(self, located: opening.Located, lock: SessionLock | None, copy: Path | None) -> None:
        try:
            editor = opening.load(located, lock, copy)
            remembered, problem = workspace.load(editor.path)
            notes = (*editor.notes, *([problem] if problem else []))
            self.post_message(Opened(editor, remembered, tuple(note.text for note in notes)))
        except UnbakeError as error:
            if lock is not None:
                lock.release()
            self.post_message(Trouble(error))

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        bench, editor, located = self.bench, message.editor, self.bench.located
        assert located is not None
        bench.editor = editor
        bench.read_only = self._lock_held is None
        self._remembered = message.remembered
        bench.timeline = bench.timeline.resumed(message.remembered)
        bench.spectrogram = bench.spectrogram or message.remembered.spectrogram
        bench.strip = message.remembered.strip if message.remembered.strip in bench.names else bench.names[0]
        self._settle()
        for note in message.notes:
            self.app.notify(note, timeout=12, markup=False)
        self.say(words.summary(editor.session))
        recent.note(editor.path if editor.path.exists() else located.source)
        self.paint()
        self.run_worker(functools.partial(self._look_for_stems, editor.session), thread=True, group="stems")
        if editor.recovery is not None and not bench.read_only:
            self.ask(self._recover(), group="asking")

    async def _recover(self) -> None:
        editor = self.bench.editor
        assert editor is not None
        found = editor.recovery
        assert found is not None
        question = f"{editor.path.name} was left without being saved: {found.words()}."
        answers = [
            Answer("r", "take up where it was left"),
            Answer("d", "go on from what was saved; the edits stay in the history"),
        ]
        if await self.app.push_screen_wait(Ask(question, answers)) == "d":
            editor.discard_recovery()
        else:
            editor.recover()
        self.after_edit(words.summary(editor.session))

    def _look_for_stems(self, session: Session) -> None:
        try:
            found = opening.stems_at_hand(session)
        except UnbakeError as error:
            self.post_message(Trouble(error))
        else:
            self.post_message(AtHand(session, found))

    @on(AtHand)
    def _at_hand(self, message: AtHand) -> None:
        session = self.bench.session
        if session is None or session.source != message.session.source:
            return
        if message.stems is not None:
            self.adopt(message.stems)
            self.check_soon()
        elif session.separation.stems_from is not None:
            self.ask(self.make_stems(session, "auto"))

    def close_document(self) -> None:
        """Lets go of what is open."""
        self.workers.cancel_group(self, "opening-files")
        for name in self.bench.overviews:
            self.workers.cancel_group(self, f"overview-{name}")
        if self._remember_timer is not None:
            self._remember_timer.stop()
        self._write_remembered()
        if self.bench.editor is not None and not self.bench.read_only:
            self._journal()
        if self._lock_held is not None:
            self._lock_held.release()
            self._lock_held = None
        self.bench = Bench()
        self.forget_drawings()

    # ---- stems and figures --------------------------------------------------------------------------------------

    async def make_stems(self, session: Session, device: str) -> None:
        """Gets the stems of a session and shows them; their hashes are pinned in the document."""
        request = messages.MakeStems(session=session, device=device)
        made = await self.jobs.run(request, f"stems of {session.separation.model}")
        self.adopt(made.stems)
        self._pin(session, made.session)
        self.say("stems as they were stored" if made.stems.reused else f"stems made on {made.stems.device}")
        self.check_soon()

    def adopt(self, stems: StemSet) -> None:
        """Shows the stems that the session works on."""
        paths = sessions.stem_paths(stems)
        if paths != self.bench.stems:
            self.bench.stems = paths
            self._spectra = {name: known for name, known in self._spectra.items() if name == SOURCE}
            for name, path in paths.items():
                self.scan(name, path)
        self.bench.stem_sum_dbfs = stems.stem_sum_residual_dbfs
        self.paint()

    async def _measure(self) -> None:
        located = self.bench.located
        if located is not None:
            request = messages.Inspect(path=str(located.source))
            report = await self.jobs.run(request, "measuring", lane="analysis", quiet=True)
            if self.bench.located is located:
                self.bench.report = report
                self.paint()

    def check_soon(self) -> None:
        """Proves the session afresh when nothing was edited for a moment."""
        if self._check_timer is not None:
            self._check_timer.stop()
        self._check_timer = self.set_timer(CHECK_AFTER_SECONDS, self._check_now)

    def _check_now(self) -> None:
        session = self.bench.session
        if session is None or session.untouched or self.bench.needs_stems:
            self.bench.checking = False
            self.paint()
            return
        self.bench.checking = True
        self.paint()
        self.ask(self._check(session), group="checking", exclusive=True)

    async def _check(self, session: Session) -> None:
        stems = {name: str(path) for name, path in self.bench.stems.items()}
        request = messages.CheckDelta(session=session, stems=stems)
        try:
            found = await self.jobs.run(request, "checking the null", lane="analysis", quiet=True)
        except JobStoppedError:
            return
        finally:
            self.bench.checking = False
        if self.bench.session == session:
            self.bench.check = found
            self.paint()
            for screen in self.app.screen_stack:
                if isinstance(screen, NullPanel):
                    screen.renew()

    # ---- edits --------------------------------------------------------------------------------------------------

    def after_edit(self, said: str) -> None:
        """What follows every change of the document: the journal, the proof, the picture."""
        self.bench.check = None
        self._settle()
        self.say(said)
        self.paint()
        self.check_soon()
        self.run_worker(self._journal, thread=True, group="journal")

    def _settle(self) -> None:
        """Keeps strip and row among those that there are."""
        names = self.bench.names
        if self.bench.strip not in names:
            self.bench.strip = names[0] if names else ""
        if self.bench.open_insert is not None and self.bench.open_insert >= len(self.bench.chain):
            self.bench.open_insert = None
        wanted = {path.key for path in chain_rows(self.bench, 80)}
        if self.bench.row not in wanted:
            self.bench.row = Insert(0) if self.bench.strip == MASTER else Fader("gain_db")

    def _journal(self) -> None:
        editor = self.bench.editor
        if editor is None:
            return
        try:
            editor.journal()
        except UnbakeError as error:
            remedy = error.remedy or "make room; the next edit tries again"
            self.post_message(
                Trouble(
                    UnbakeError(
                        f"the edit is kept here but not on disk: {error.what}", where=error.where, remedy=remedy
                    )
                )
            )

    def remember(self) -> None:
        """Notes where the engineer is; written when the desk is left, and every few seconds while things move."""
        if self._remember_timer is None:
            self._remember_timer = self.set_timer(REMEMBER_SECONDS, self._write_remembered)

    def _write_remembered(self) -> None:
        self._remember_timer = None
        editor, timeline = self.bench.editor, self.bench.timeline
        if editor is None or self.bench.read_only:
            return
        self._remembered = msgspec.structs.replace(
            self._remembered,
            markers=timeline.markers,
            loop=timeline.loop,
            playhead=timeline.playhead,
            view=(timeline.first, timeline.last),
            strip=self.bench.strip,
            spectrogram=self.bench.spectrogram,
        )
        try:
            workspace.save(editor.path, self._remembered)
        except UnbakeError as error:
            self.complain(error)

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
