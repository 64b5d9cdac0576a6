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
from textual.worker import get_current_worker

from core import recent
from core.audio.hashes import fingerprint
from core.errors import UnbakeError
from core.events import Progress
from core.jobs import machine, messages, opening, sessions
from core.separation.store import StemSet
from core.session import history, workspace
from core.session.document import Separation, Session
from core.session.editor import Editor
from core.session.lock import SessionLock, copy_name
from tui import actions
from tui.desk import words
from tui.desk.bench import MASTER, Bench, Fader, Insert, Value, recipe
from tui.desk.chain import chain_rows
from tui.desk.filing import Filing
from tui.desk.keeping import RETRY_SECONDS, Keeper
from tui.desk.messages import AtHand, Glanced, Kept, Located, NotOpened, Opened, Reading, Trouble
from tui.desk.painting import SOURCE, Painting
from tui.desk.timeline import Timeline
from tui.jobs import JobStoppedError, WorkerDiedError
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
WIDTHS = [(0, "-narrow"), (words.NARROW, "-wide")]
HEIGHTS = [(0, "-short"), (30, "-tall"), (45, "-huge")]
"""Classes of the desk by columns and rows of the terminal."""


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
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("desk")]

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        super().__init__(path)
        self._look_only = read_only
        self._lock_held: SessionLock | None = None
        self._keeper: Keeper | None = None
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
        for length, kinds in zip(self.app.size, (WIDTHS, HEIGHTS), strict=True):
            # Textual sees to it only once it has drawn the desk as if it were small
            self.add_class(max(kind for kind in kinds if length >= kind[0])[1])
        self.set_focus(self.query_one("#lanes"))
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
        locate = functools.partial(self._locate, self.bench, path)
        self.run_worker(locate, thread=True, group="opening-files", exclusive=True)

    def _locate(self, bench: Bench, path: Path) -> None:
        try:
            self.post_message(Located(bench, opening.locate(path)))
        except UnbakeError as error:
            self.post_message(NotOpened(bench, error))

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
        bench, lock, copy = self.bench, None, None
        if self._look_only:
            bench.why_read_only = "it was opened so"
        else:
            lock, copy = await self._lock(located.session_path)
        self._lock_held = lock
        load = functools.partial(self._load, bench, located, lock, copy)
        self.run_worker(load, thread=True, group="opening-files", exclusive=True)

    async def _lock(self, path: Path) -> tuple[SessionLock | None, Path | None]:
        """The lock of the session, or of a copy of it; no lock to look only."""
        copy: Path | None = None
        while True:
            lock = SessionLock(copy or path)
            try:
                history.make_folder(path)
                holder = lock.acquire()
            except UnbakeError as error:
                self.complain(error)
                self.bench.why_read_only = error.what
                return None, None
            if holder is None:
                return lock, copy
            other = copy_name(path)
            question = f"{path.name} is open in another workstation ({holder.words()})."
            answers = [Answer("r", "look at it, read only"), Answer("c", f"work on a copy of it, {other.name}")]
            if await self.app.push_screen_wait(Ask(question, answers)) != "c":
                self.bench.why_read_only = "another workstation has this session open; o opens it again"
                return None, None
            copy = other

    def _load(self, bench: Bench, located: opening.Located, lock: SessionLock | None, copy: Path | None) -> None:
        worker, operation = get_current_worker(), opening.load(located, lock, copy)
        try:
            while not worker.is_cancelled:
                event = next(operation)
                if isinstance(event, Progress):
                    self.post_message(Reading(bench, event.done / event.total))
        except StopIteration as stop:
            editor: Editor = stop.value
            remembered, problem = workspace.load(editor.path)
            notes = (*editor.notes, *([problem] if problem else []))
            self.post_message(Opened(bench, editor, remembered, tuple(note.text for note in notes)))
        except UnbakeError as error:
            self.post_message(NotOpened(bench, error))
        finally:
            operation.close()

    @on(Reading)
    def _read_on(self, message: Reading) -> None:
        if self.bench.located is not None:
            self.said = f"reading {self.bench.located.source.name}: {message.share:.0%}"
            self.show_progress()

    @on(NotOpened)
    def _not_opened(self, message: NotOpened) -> None:
        if self._lock_held is not None:
            self._lock_held.release()
            self._lock_held = None
        self.bench.not_opened = message.error
        self.complain(message.error)
        self.say("not opened; o opens another file")
        self.paint()

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        bench, located = self.bench, self.bench.located
        assert located is not None
        bench.read_only = self._lock_held is None
        self._remembered = message.remembered
        self._take(message.editor)
        bench.timeline = bench.timeline.resumed(message.remembered)
        bench.spectrogram = bench.spectrogram or message.remembered.spectrogram
        bench.strip = message.remembered.strip if message.remembered.strip in bench.names else bench.names[0]
        self._settle()
        for note in message.notes:
            self.app.notify(note, timeout=12, markup=False)
        editor = message.editor
        self.say(words.summary(editor.session))
        self.paint()
        note = functools.partial(recent.note, editor.path if editor.path.exists() else located.source)
        self.run_worker(note, thread=True, group="recent")
        self.run_worker(functools.partial(self._look_for_stems, bench, editor.session), thread=True, group="stems")
        if located.exists:
            self.ask(self._vouch(), group="vouching", exclusive=True)
        if editor.recovery is not None and not bench.read_only:
            self.ask(self._recover(), group="asking", once=True)

    def _take(self, editor: Editor) -> None:
        """Works on this editor from now on, whose edits go to the disk."""
        bench = self.bench
        bench.editor = editor
        if not bench.read_only:

            def tell(error: UnbakeError | None) -> None:
                self.post_message(Kept(bench, error))

            self._keeper = Keeper(editor, tell)

    def move_to(self, editor: Editor, lock: SessionLock) -> None:
        """Goes on in another session file than the one that was opened."""
        self._release()
        self._lock_held = lock
        self.bench.off_disk = False
        self._take(editor)
        self.paint()

    async def _recover(self) -> None:
        bench, editor = self.bench, self.bench.editor
        assert editor is not None
        found = editor.recovery
        assert found is not None
        question = f"{editor.path.name} was left without being saved: {found.words()}."
        answers = [
            Answer("r", "take up where it was left"),
            Answer("d", "go on from what was saved; the edits stay in the history"),
        ]
        answer = await self.app.push_screen_wait(Ask(question, answers))
        if self.bench is not bench:
            return
        if answer == "d":
            editor.discard_recovery()
        else:
            editor.recover()
        self.after_edit(words.summary(editor.session))

    def _look_for_stems(self, bench: Bench, session: Session) -> None:
        try:
            found = opening.stems_at_hand(session)
        except UnbakeError as error:
            self.post_message(Trouble(bench, error))
        else:
            self.post_message(AtHand(bench, session, found))

    @on(AtHand)
    def _at_hand(self, message: AtHand) -> None:
        session = self.bench.session
        if session is None or self.bench.recipe != recipe(message.session.separation):
            return
        if message.stems is not None:
            self.adopt(message.stems, message.session.separation)
            self.check_soon()
        elif session.separation.stems_from is not None:
            self.ask(self.make_stems(session, "auto"))

    def close_document(self) -> None:
        """Lets go of what is open."""
        self.workers.cancel_group(self, "opening-files")
        for name in self.bench.overviews:
            self.workers.cancel_group(self, f"overview-{name}")
        if self._check_timer is not None:
            self._check_timer.stop()
        if self._remember_timer is not None:
            self._remember_timer.stop()
            self._write_remembered()
        self._release()
        self.bench = Bench()
        self.forget_drawings()

    def let_go(self) -> bool:
        """Closes what is open without a question; whether all its edits are on the disk."""
        editor = self.bench.editor
        kept = True
        if editor is not None and not (self.bench.read_only or self.bench.untouched):
            try:
                editor.journal()
            except UnbakeError:
                kept = False
        self.close_document()
        return kept

    def _release(self) -> None:
        """Ends the journal's thread and gives the lock back."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        if self._lock_held is not None:
            self._lock_held.release()
            self._lock_held = None

    # ---- stems and figures --------------------------------------------------------------------------------------

    async def make_stems(self, session: Session, device: str) -> None:
        """Gets the stems of a session and shows them; their hashes are pinned in the document."""
        bench = self.bench
        request = messages.MakeStems(session=session, device=device)
        made = await self.jobs.run(request, f"stems of {session.separation.model}")
        if self.bench is not bench:
            self.say(f"the stems of {Path(session.source.path).name} are made")
            return
        if bench.recipe != recipe(session.separation):
            self.say(f"the stems of {session.separation.model} are made, and kept")
            return
        self.adopt(made.stems, made.session.separation)
        self._pin(session, made.session)
        self.say("stems as they were stored" if made.stems.reused else f"stems made on {made.stems.device}")
        self.check_soon()

    def adopt(self, stems: StemSet, separation: Separation) -> None:
        """Shows the stems that the session works on, and that this separation made."""
        self.bench.stems_of = recipe(separation)
        paths = sessions.stem_paths(stems)
        if paths != self.bench.stems:
            self.bench.stems = paths
            self._spectra = {name: known for name, known in self._spectra.items() if name == SOURCE}
            for name, path in paths.items():
                self.scan(name, path)
        self.bench.stem_sum_dbfs = stems.stem_sum_residual_dbfs
        self.paint()

    async def _measure(self) -> None:
        bench, located = self.bench, self.bench.located
        assert located is not None
        bench.measuring = True
        try:
            request = messages.Inspect(path=str(located.source))
            bench.report = await self.jobs.run(request, "measuring", lane="analysis", quiet=True)
        finally:
            bench.measuring = False
            self.paint()

    async def _vouch(self) -> None:
        """Whether the master is the one that the session was made on, which takes reading all of it."""
        bench, session, located = self.bench, self.bench.session, self.bench.located
        assert session is not None
        assert located is not None
        request = messages.CheckSource(session=session, session_path=str(located.session_path))
        try:
            found = fingerprint(located.source)
            await self.jobs.run(request, "reading the source", lane="analysis", quiet=True)
        except WorkerDiedError:
            raise
        except UnbakeError as error:
            bench.source_problem = error
            raise
        else:
            bench.source_problem = None
            bench.located = msgspec.structs.replace(located, found=found)
        finally:
            self.paint()

    def check_soon(self) -> None:
        """Proves the session afresh when nothing was edited for a moment."""
        if self._check_timer is not None:
            self._check_timer.stop()
        self._check_timer = self.set_timer(CHECK_AFTER_SECONDS, self._check_now)

    def _check_now(self) -> None:
        session, located = self.bench.session, self.bench.located
        if located is not None and session is not None and not located.as_found:
            self.ask(self._vouch(), group="vouching", once=True)
        if session is None or session.untouched or self.bench.needs_stems:
            self.bench.checking = False
            self.paint()
            return
        self.bench.checking = True
        self.paint()
        self.ask(self._check(session), group="checking", exclusive=True)

    async def _check(self, session: Session) -> None:
        bench = self.bench
        stems = {name: str(path) for name, path in bench.stems.items()}
        request = messages.CheckDelta(session=session, stems=stems)
        try:
            found = await self.jobs.run(request, "checking the null", lane="analysis", quiet=True)
        except JobStoppedError:
            return
        finally:
            bench.checking = False
            self.paint()
        if bench.session == session:
            bench.check = found
            self.paint()
            for screen in self.app.screen_stack:
                if isinstance(screen, NullPanel):
                    screen.renew()

    # ---- edits --------------------------------------------------------------------------------------------------

    def after_edit(self, said: str) -> None:
        """What follows every change of the document: the journal, the proof, the picture."""
        if self._keeper is not None:
            self._keeper.wake()
        self.bench.check = None
        self._let_go_of_other_stems()
        self._settle()
        self.say(said)
        self.paint()
        self.check_soon()

    def _let_go_of_other_stems(self) -> None:
        """An undo may lead back to where other stems belong."""
        bench = self.bench
        if bench.session is not None and bench.stems and bench.stems_of != bench.recipe:
            bench.stems, bench.stem_sum_dbfs, bench.stems_of = {}, None, None
            look = functools.partial(self._look_for_stems, bench, bench.session)
            self.run_worker(look, thread=True, group="stems")

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

    @on(Kept)
    def _kept(self, message: Kept) -> None:
        error = message.error
        self.bench.off_disk = error is not None
        if error is None:
            self.app.notify("every edit is on the disk again", timeout=8, markup=False)
        else:
            what = f"edits are kept here, but can't be written to the disk: {error.what}"
            remedy = f"{error.remedy}; it is tried again" if error.remedy else "it is tried again"
            self.complain(UnbakeError(what, where=error.where, remedy=f"{remedy} every {RETRY_SECONDS:.0f} s"))
        self.paint_header()

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
        except UnbakeError:
            self.say("where you are could not be noted for the next time")  # costs nothing else

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
