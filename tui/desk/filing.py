"""Keys that reach beyond the desk: panels, files, jobs, leaving."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from core.errors import UnbakeError
from core.jobs import messages
from core.session import files
from core.session.document import Session
from core.session.editor import Editor
from core.session.edits import Change
from core.session.lock import SessionLock, copy_name
from core.session.toml import Origin
from tui import actions
from tui.desk import taken, words
from tui.desk.listening import Listening
from tui.panels.ask import Answer, Ask, Typed
from tui.theme import THEMES


class Filing(Listening):
    """Panels, files, jobs."""

    async def open(self, path: Path) -> None:
        """Opens a master or a session in place of what is open."""
        raise NotImplementedError

    async def make_stems(self, session: Session, device: str) -> None:
        """Gets the stems of a session and shows them."""
        raise NotImplementedError

    def check_soon(self) -> None:
        """Proves the session afresh when nothing was edited for a moment."""
        raise NotImplementedError

    def renew_null(self) -> None:
        """What a null panel shows was measured again, or holds no more."""
        raise NotImplementedError

    def action_panel_separate(self) -> None:
        """Chooses a model and makes the stems."""
        session = self.bench.session
        if session is None:
            self.editable()
            return
        from tui.panels.separate import SeparateForm, Wanted

        def chosen(wanted: Wanted | None) -> None:
            if wanted is not None:
                self.ask(self._separate(wanted))

        self.app.push_screen(SeparateForm(session, self.bench.read_only), chosen)

    async def _separate(self, wanted: Any) -> None:
        session = self.bench.session
        assert session is not None
        separation = wanted.separation
        if separation != session.separation and self.editable():
            # the hashes of the stems that are pinned belong to what made them
            self.edit(lambda now: Change(_replaced(now, separation=separation), f"stems of {separation.model}", None))
        session = self.bench.session
        assert session is not None
        await self.make_stems(session, wanted.device)

    def action_panel_history(self) -> None:
        """Every edit, as a tree."""
        editor = self.bench.editor
        if editor is None:
            self.editable()
            return
        from tui.panels.history import HistoryPanel

        def chosen(number: int | None) -> None:
            if number is not None and self.editable() and editor.present.number != number:
                editor.go_to(number)
                self.after_edit(f"went to edit {number}")

        self.app.push_screen(HistoryPanel(editor.history), chosen)

    def action_panel_models(self) -> None:
        """The networks."""
        from tui.panels.models import ModelsPanel

        self.app.push_screen(ModelsPanel(self.jobs))

    def action_panel_info(self) -> None:
        """What the file is."""
        from tui.panels.info import InfoPanel

        if self.bench.located is not None:
            self.app.push_screen(InfoPanel(self.bench))

    def action_panel_store(self) -> None:
        """The stem store."""
        from tui.panels.store import StorePanel

        self.app.push_screen(StorePanel(self.jobs))

    def action_panel_doctor(self) -> None:
        """What this machine has."""
        from tui.panels.doctor import DoctorPanel

        self.app.push_screen(DoctorPanel(self.jobs))

    def action_app_help(self) -> None:
        """Every key."""
        from tui.panels.help import HelpPanel

        self.app.push_screen(HelpPanel(self.pane, self.bench.sample_rate))

    def action_app_palette(self) -> None:
        """Finds an action, or takes PATH=VALUE."""
        from tui.panels.palette import PalettePanel

        def chosen(wanted: str | None) -> None:
            if wanted is None:
                return
            if "=" in wanted:
                self.edit(lambda now: Change(files.set_values(now, [wanted]), f"set {wanted}", None))
            else:
                self.call_later(self.run_action, actions.by_id(wanted).method)

        self.app.push_screen(PalettePanel(), chosen)

    def action_app_theme(self) -> None:
        """The next theme."""
        names = [theme.name for theme in THEMES]
        self.app.theme = names[(names.index(self.app.theme) + 1) % len(names)] if self.app.theme in names else names[0]
        self.say(f"theme {self.app.theme}")

    def action_file_open(self) -> None:
        """Chooses a file."""
        from tui.panels.open import OpenPanel

        def chosen(path: Path | None) -> None:
            if path is not None:
                self.ask(self._leave_then_open(path), group="opening", exclusive=True)

        start = self.bench.located.source.parent if self.bench.located is not None else Path.cwd()
        self.app.push_screen(OpenPanel(start), chosen)

    async def _leave_then_open(self, path: Path) -> None:
        if await self.may_leave("open another file"):
            await self.open(path)

    def action_file_save(self) -> None:
        """Writes the session."""
        if self.bench.editor is not None and self.editable():
            self.ask(self.save())

    async def save(self) -> bool:
        """Writes the session; asks first when another program changed the file, and when it can't be written."""
        editor = self.bench.editor
        assert editor is not None
        with contextlib.suppress(UnbakeError):  # saving says so
            editor.journal()
        if editor.changed_on_disk():
            gone = not editor.path.exists()
            what = "is gone" if gone else "was changed by another program"
            question = f"{editor.path.name} {what} since it was opened."
            kept = "what is there now stays in the history"
            answers = [Answer("w", "write it anew" if gone else f"write over it; {kept}")]
            if not gone:
                answers.append(Answer("t", "take over what is there now; what is here stays in the history"))
            answer = await self.app.push_screen_wait(Ask(question, answers))
            if answer is None:
                return False
            if answer == "t":
                editor.refresh()
                self.after_edit(words.summary(editor.session))
                return True
        try:
            editor.save()
        except UnbakeError as error:
            editor = await self._save_copy(editor, error)
        self.say(f"saved {editor.path.name}")
        self.paint()
        return True

    async def _save_copy(self, editor: Editor, error: UnbakeError) -> Editor:
        """Saves beside a session that can't be saved, and goes on there; raises the error where that is not wanted."""
        copy = copy_name(editor.path)
        question = f"{editor.path.name} can't be saved: {error.what}."
        answers = [Answer("c", f"save a copy, {copy.name}, and go on there")]
        if await self.app.push_screen_wait(Ask(question, answers)) is None:
            raise error
        with contextlib.ExitStack() as on_failure:
            lock = on_failure.enter_context(SessionLock(copy))
            lock.acquire()
            other = Editor.create(copy, editor.session, f"copy of {editor.path.name}", lock=lock)
            other.save()
            on_failure.pop_all()
        self.move_to(other, lock)
        return other

    def action_file_render(self) -> None:
        """Renders."""
        session, editor = self.bench.session, self.bench.editor
        if session is None or editor is None:
            self.editable()
            return
        from tui.panels.render import RenderForm, Wanted

        def chosen(wanted: Wanted | None) -> None:
            if wanted is not None:
                self.ask(self._render_as(wanted))

        self.app.push_screen(RenderForm(session), chosen)

    async def _render_as(self, wanted: Any) -> None:
        from tui.panels.render import dither_of, with_dither

        bench, editor = self.bench, self.bench.editor
        assert editor is not None
        if wanted.dither != dither_of(editor.session):
            what = f"master: dither {wanted.dither}"
            self.edit(lambda now: Change(_replaced(now, master=with_dither(now, wanted.dither)), what, None))
        session = editor.session
        request = messages.Render(
            session=session,
            session_path=str(editor.path),
            out=str(wanted.out),
            report=None if wanted.report is None else str(wanted.report),
            subtype=wanted.subtype,
            overs=wanted.overs,
            force=wanted.force,
            profile=wanted.profile,
            sample_rate=wanted.sample_rate,
        )
        rendered = await self.jobs.run(request, "rendering")
        if self.bench is bench:
            bench.rendered = rendered
            self._pin(session, rendered.session)
            self.renew_null()
        proof = rendered.certificate.certificate
        verdict = "identical" if proof.identical else "rest exact" if rendered.certificate.passed else "the proof FAILS"
        self.say(f"{verdict}: {rendered.certificate.output} ({rendered.certificate.realtime_factor:.0f}x real time)")
        self.paint()

    def _pin(self, before: Session, after: Session) -> None:
        """Keeps the hashes of stems and clean-up that a job used, unless those were chosen anew meanwhile."""
        now = self.bench.session
        if now is None or self.bench.read_only:
            return
        made = taken.pinned(now, before, after)
        if now.separation == before.separation:
            made = _replaced(made, separation=after.separation)
        if made != now:
            self.edit(lambda session: Change(made if session == now else session, "stems pinned", "pin"))

    def action_file_export(self) -> None:
        """Stems as WAV into a folder."""
        session = self.bench.session
        if session is None:
            self.editable()
            return
        source = Path(session.source.path)

        def taken(folder: str | None) -> None:
            if folder:
                self.ask(self._export(session, Path(folder).expanduser()))

        self.app.push_screen(
            Typed("export stems and residual into the folder", str(source.with_name(f"{source.stem} stems"))), taken
        )

    async def _export(self, session: Session, folder: Path) -> None:
        request = messages.ExportStems(session=session, folder=str(folder))
        made = await self.jobs.run(request, "exporting stems")
        self.say(f"{len(made.stems) + 1} files in {folder}")

    def action_file_demo(self) -> None:
        """The main job on a song that is already here."""

        def taken(folder: str | None) -> None:
            if folder:
                self.ask(self._demo(Path(folder).expanduser()))

        self.app.push_screen(Typed("the demo, into the folder", str(Path.cwd() / "unbake-demo")), taken)

    async def _demo(self, folder: Path) -> None:
        done = await self.jobs.run(messages.Demo(folder=str(folder)), "demo")
        if await self.may_leave("open the demo"):
            assert done.repaired.session is not None
            await self.open(Path(done.repaired.session))

    def action_file_bring(self) -> None:
        """A stem of the engineer's own."""
        session = self.bench.session
        if session is None or not self.editable():
            self.editable()
            return
        from tui.panels.open import StemPanel

        def chosen(path: Path | None) -> None:
            if path is not None:
                self.ask(self._bring(path))

        self.app.push_screen(StemPanel(Path(session.source.path).parent), chosen)

    async def _bring(self, path: Path) -> None:
        bench, session = self.bench, self.bench.session
        assert session is not None
        found = await self.jobs.run(messages.Bring(session=session, path=str(path)), f"looking for {path.name}")
        if self.bench is not bench:
            self.say(f"{path.name} was found in {Path(session.source.path).name}, which is not open any more")
        elif self.edit(found.change):
            self.pick(found.name)
            self.say(words.of_found(found))

    def _pin_brought(self, laid: Session) -> None:
        """Keeps the hashes of brought stems that were made, of those that are still laid so."""
        now = self.bench.session
        if now is None or self.bench.read_only:
            return
        pinned = {
            name: msgspec.structs.replace(each, hash=laid.brought[name].hash)
            if name in laid.brought and laid.brought[name].recipe == each.recipe
            else each
            for name, each in now.brought.items()
        }
        if pinned != now.brought:
            self.edit(lambda session: Change(_replaced(session, brought=pinned), "stems pinned", "pin"))

    def action_job_cancel(self) -> None:
        """Stops what runs, after asking."""
        job = self.jobs.shown
        if job is not None:
            self.ask(self._stop(job), group="asking", once=True)
        elif self.said:
            self.say("")

    async def _stop(self, job: Any) -> None:
        question = f"Stop {job.title}?" if not job.stopping else f"{job.title} is stopping. End its process at once?"
        if await self.app.push_screen_wait(Ask(question, [Answer("s", "stop; what is done so far is kept")])) == "s":
            self.jobs.cancel(job)
            self.show_jobs()

    def action_app_leave(self) -> None:
        """Leaves."""
        self.ask(self._leave(), group="asking", once=True)

    async def _leave(self) -> None:
        if self.jobs.shown is not None:
            question = f"{self.jobs.shown.title} is running."
            if (
                await self.app.push_screen_wait(
                    Ask(question, [Answer("q", "quit; it goes on where it was when asked again")])
                )
                is None
            ):
                return
        if await self.may_leave("quit"):
            self.close_document()
            self.app.exit(0)

    async def may_leave(self, what: str) -> bool:
        """Whether what is open may be left: saved, or left in its journal, as the engineer says."""
        editor = self.bench.editor
        if editor is None or editor.saved or self.bench.read_only or self.bench.untouched:
            return True
        question = f"{editor.path.name} is not saved."
        answers = [
            Answer("s", f"save it and {what}"),
            Answer("l", f"leave it and {what}: the journal keeps every edit and offers them next time"),
        ]
        answer = await self.app.push_screen_wait(Ask(question, answers))
        if answer == "s":
            return await self.save()
        return answer == "l" and await self._is_kept(what)

    async def _is_kept(self, what: str) -> bool:
        """Whether every edit is on the disk, or the engineer would rather lose those that can't be written."""
        editor = self.bench.editor
        assert editor is not None
        try:
            editor.journal()
        except UnbakeError as error:
            question = f"The last edits can't be written to the disk: {error.what}."
            answers = [Answer("x", f"{what}, and lose them")]
            return await self.app.push_screen_wait(Ask(question, answers)) == "x"
        return True

    def close_document(self) -> None:
        """Lets go of what is open."""
        raise NotImplementedError

    def move_to(self, editor: Editor, lock: SessionLock) -> None:
        """Goes on in another session file than the one that was opened."""
        raise NotImplementedError


def _replaced(session: Session, **fields: Any) -> Session:
    """The session with other values, checked as one that is read from a file."""
    changed = msgspec.structs.replace(session, **fields)
    files.check_strips(changed, Origin("this session"))
    return changed
