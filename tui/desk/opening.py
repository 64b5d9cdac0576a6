"""What is open: from a path to a session that can be edited, its lock and its journal, and letting go of it again."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from textual import on
from textual.worker import get_current_worker

from core import recent
from core.errors import UnbakeError, refusal
from core.events import Progress
from core.jobs import opening
from core.session import history, workspace
from core.session.editor import Editor
from core.session.lock import SessionLock, copy_name
from tui import actions
from tui.desk import words
from tui.desk.bench import Bench
from tui.desk.cleaning import Cleaning
from tui.desk.keeping import RETRY_SECONDS, Keeper
from tui.desk.messages import Kept, Located, NotOpened, Opened, Reading
from tui.desk.painting import SOURCE
from tui.desk.timeline import Timeline
from tui.panels.ask import Answer, Ask

if TYPE_CHECKING:
    from textual.timer import Timer

REMEMBER_SECONDS = 2.0


class Opening(Cleaning):
    """Opens, keeps and closes the document."""

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        super().__init__(path)
        self._look_only = read_only
        self._lock_held: SessionLock | None = None
        self._keeper: Keeper | None = None
        self._remember_timer: Timer | None = None
        self._remembered = workspace.Workspace()

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
        except Exception as error:
            self._tell_not_opened(bench, error)

    @on(Located)
    def _located(self, message: Located) -> None:
        located = message.located
        self.bench.located = located
        self.bench.timeline = Timeline.whole(located.info.frames, located.info.sample_rate)
        self.scan(SOURCE, located.source)
        self.paint()
        self.ask(self._take_up(located), group="opening", exclusive=True)
        self.ask(self.measure(), group="measuring", exclusive=True)

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
                again = f"{actions.key('file.open')} opens it again"
                self.bench.why_read_only = f"another workstation has this session open; {again}"
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
        except Exception as error:
            self._tell_not_opened(bench, error)
        finally:
            operation.close()

    def _tell_not_opened(self, bench: Bench, error: Exception) -> None:
        """Whatever it was: the desk must not wait on; a mistake of ours goes on to whoever writes it down."""
        refused = refusal(error)
        self.post_message(NotOpened(bench, refused or UnbakeError("a defect of unbake", where=self.path)))
        if refused is None:
            raise error

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
        self.say(f"not opened; {actions.key('file.open')} opens another file")
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
        bench.solo, bench.mute = (
            frozenset(names) & {*bench.names[:-1]} for names in (message.remembered.solo, message.remembered.mute)
        )
        bench.strip = message.remembered.strip if message.remembered.strip in bench.names else bench.names[0]
        self.settle()
        for note in message.notes:
            self.app.notify(note, timeout=12, markup=False)
        editor = message.editor
        self.say(words.summary(editor.session))
        self.paint()
        self.take_over()
        note = functools.partial(recent.note, editor.path if editor.path.exists() else located.source)
        self.run_worker(note, thread=True, group="recent")
        bench.stems_of = bench.recipe
        self.run_worker(functools.partial(self.look_for_stems, bench, editor.session), thread=True, group="stems")
        self.lay_brought()
        self.clean_up_soon()
        if located.exists:
            self.ask(self.vouch(), group="vouching", exclusive=True)
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
        otherwise = "go on from what was saved" if editor.path.exists() else "begin anew"
        question = f"{editor.path.name} was left without being saved: {found.words()}."
        answers = [
            Answer("r", "take up where it was left"),
            Answer("d", f"{otherwise}; the edits stay in the history"),
        ]
        answer = await self.app.push_screen_wait(Ask(question, answers))
        if self.bench is not bench:
            return
        if answer == "d":
            editor.discard_recovery()
        else:
            editor.recover()
        self.after_edit(words.summary(editor.session))

    def close_document(self) -> None:
        """Lets go of what is open."""
        self.workers.cancel_group(self, "opening-files")
        for name in self.bench.overviews:
            self.workers.cancel_group(self, f"overview-{name}")
        for timer in (self._check_timer, self._clean_timer):
            if timer is not None:
                timer.stop()
        if self._remember_timer is not None:
            self._remember_timer.stop()
            self._write_remembered()
        self._release()
        self.stop_listening()
        self.bench = Bench(outlet=self.bench.outlet)
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

    def journal_soon(self) -> None:
        """Has the present edits brought to the disk."""
        if self._keeper is not None:
            self._keeper.wake()

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
            solo=self.bench.solo,
            mute=self.bench.mute,
            spectrogram=self.bench.spectrogram,
        )
        try:
            workspace.save(editor.path, self._remembered)
        except UnbakeError:
            self.say("where you are could not be noted for the next time")  # costs nothing else
