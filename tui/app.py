"""The workstation: one Textual app whose first paint needs nothing but Textual.

What the desk is made of (numpy, msgspec, the core) is imported on a thread while the frame is on the screen already.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Static
from textual.worker import WorkerFailed

from core.errors import UnbakeError, refusal
from tui import actions, guard
from tui import config as settings
from tui.keys import KeysInOrder
from tui.signs import GlyphSet, Signs, choose
from tui.theme import THEMES, for_colours

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.driver import Driver

    from core.audition.messages import Answer, Orders
    from tui.desk.screen import Desk
    from tui.jobs import Answered, Jobs, MakeWorker

    MakePlayer = Callable[[Callable[[Answer], None]], Orders]

THREADS = 32
EXIT_DEFECT = 1
EXIT_INTERRUPTED = 130
LEAVE_SECONDS = 6.0
"""How long the app may take to end once it is told to."""
SAID_AGAIN_SECONDS = 12.0
"""A notice stands for so long, and is not given twice meanwhile."""


class Workstation(KeysInOrder[int]):
    """Mastering repair in one screen."""

    TITLE = "unbake"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #frame { height: 1; width: 1fr; background: $panel; color: $foreground; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = []

    class Furnished(Message):
        """The desk's modules are imported."""

    class Heard(Message):
        """The player said something; what it says of the present gives way to newer."""

        def __init__(self, answer: Any) -> None:
            super().__init__()
            self.answer = answer

        def can_replace(self, message: Message) -> bool:
            """Whether this makes an older message needless."""
            if not isinstance(message, type(self)):
                return False
            return type(self.answer).__name__ == type(message.answer).__name__ == "Heard"

    class HungUp(Message):
        """The terminal is gone, or the machine goes down."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        config: settings.Config | None = None,
        read_only: bool = False,
        make_worker: MakeWorker | None = None,
        make_player: MakePlayer | None = None,
        driver_class: type[Driver] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        super().__init__()
        if driver_class is not None:
            self.driver_class = driver_class
        self.path = path
        self.config = config or settings.load()
        self.read_only = read_only
        self.glyphs = GlyphSet(self.config.glyphs or GlyphSet.BRAILLE)
        self.signs = Signs(encoding, self.glyphs)
        self.jobs: Jobs | None = None
        self.defects: list[BaseException] = []
        """Mistakes of ours that were survived, or the one that was not."""
        self.last_words: str | None = None
        """What is to be said on the terminal once it is given back."""
        self._make_worker = make_worker
        self._make_player = make_player
        self.player: Orders | None = None
        """The player's process, once something was to be heard."""
        self._said: dict[str, float] = {}
        self._noted: set[str] = set()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.config.theme
        actions.use(self.config.keys)
        self.set_keymap({action_id: ",".join(keys) for action_id, keys in self.config.keys.items()})
        if self.config.low_bandwidth:
            self.animation_level = "none"

    @property
    def keymap(self) -> actions.Keymap:
        """The user's own keys."""
        return self.config.keys

    def compose(self) -> ComposeResult:
        """The frame that is seen first."""
        yield Static(f" {self.path.name if self.path else 'unbake'}", id="frame", markup=False)

    def on_ready(self) -> None:
        """Imports the desk once the frame is seen."""
        # as many as there may be stems: what is zoomed into or opened does not wait behind the reading of all of them
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        self.run_worker(self._furnish, thread=True)

    def _furnish(self) -> None:
        for module in ("tui.desk.screen", "tui.jobs"):
            importlib.import_module(module)
        self.post_message(self.Furnished())

    def on_workstation_furnished(self) -> None:
        """Puts the desk in place of the frame."""
        from tui.desk.screen import Desk
        from tui.jobs import Jobs
        from tui.widgets.drawing import Drawing

        Drawing.glyphs = self.glyphs
        self.jobs = Jobs(self) if self._make_worker is None else Jobs(self, self._make_worker)
        self.push_screen(Desk(self.path, read_only=self.read_only))
        for problem in self.config.problems:
            self.notify(problem, title="settings", severity="warning", timeout=15, markup=False)

    def on_answered(self, message: Answered) -> None:
        """A worker process said something: the job's state changes here and nowhere else."""
        if self.jobs is None:
            return
        note = self.jobs.take(message.lane, message.answer)
        if note and note not in self._noted:
            self._noted.add(note)
            self.notify(note, timeout=10, markup=False)
        self._show_progress()

    def _show_progress(self) -> None:
        for screen in self.screen_stack:
            show_progress = getattr(screen, "show_progress", None)
            if show_progress is not None:
                show_progress()

    def start_player(self) -> Orders:
        """Starts what plays; its answers come as messages."""
        from core.audition.remote import Remote

        def tell(answer: Any) -> None:
            self.post_message(self.Heard(answer))

        self.player = Remote(tell) if self._make_player is None else self._make_player(tell)
        return self.player

    def on_workstation_heard(self, message: Heard) -> None:
        """The player said something: the desk takes it in."""
        if self._desk is not None:
            self._desk.heard(message.answer)
            self._show_progress()

    def on_unmount(self) -> None:
        """Leaves no process behind."""
        if self.player is not None:
            self.player.close()
        if self.jobs is not None:
            self.jobs.close()

    # ---- what goes wrong ----------------------------------------------------------------------------------------

    def complain(self, error: UnbakeError) -> None:
        """An error as a notice, with what to do about it; not again while it stands there."""
        where = "" if error.where is None else f"{_brief(error.where)}: "
        remedy = f"\n{_brief(error.remedy)}" if error.remedy else ""
        text, now = f"{where}{_brief(error.what)}{remedy}", time.monotonic()
        if now - self._said.get(text, -SAID_AGAIN_SECONDS) < SAID_AGAIN_SECONDS:
            return
        self._said = {said: at for said, at in self._said.items() if now - at < SAID_AGAIN_SECONDS} | {text: now}
        self.notify(text, title="not done", severity="error", timeout=SAID_AGAIN_SECONDS, markup=False)

    def met(self, error: BaseException) -> None:
        """Goes on after an exception that nobody caught: a person's mistake is said, one of ours written down too."""
        refused = refusal(error)
        if refused is None:
            self.defects.append(error)
            what = f"a defect of unbake: {guard.in_a_line(error)}"
            refused = UnbakeError(what, remedy=f"{guard.write_down(error)}; every edit is kept, you can go on")
        self.complain(refused)

    async def run_action(self, action: Any, default_namespace: Any = None, namespaces: Any = None) -> bool:
        """As Textual's; an action that fails has failed, and the app goes on."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:
            self.met(error)
            return True

    def push_screen(self, screen: Any, callback: Callable[[Any], Any] | None = None, *words: Any, **named: Any) -> Any:
        """As Textual's; what follows a panel may fail as an action may."""

        def guarded(result: Any) -> None:
            try:
                assert callback is not None
                callback(result)
            except Exception as error:
                self.met(error)

        return super().push_screen(screen, None if callback is None else guarded, *words, **named)

    def _handle_exception(self, error: Exception) -> None:
        """Textual's last resort. A failed thread or task is survived, anything else ends the app: see `guard`."""
        if isinstance(error, WorkerFailed) and self._desk is not None and not self._exit:
            self.met(error.error)
            return
        if self.last_words is None:
            self.defects.append(error)
            where = guard.write_down(error.error if isinstance(error, WorkerFailed) else error)
            kept = "every edit is in the journal, open the file again" if self._let_go() else "the last edits are lost"
            self.last_words = f"unbake: a defect: {guard.in_a_line(error)}: {where}; {kept}"
        if self._exception is None:  # for a pilot, which raises it
            self._exception = error
            self._exception_event.set()
        self._return_code = EXIT_DEFECT
        self._close_messages_no_wait()

    @property
    def _desk(self) -> Desk | None:
        """The desk, once there is one."""
        if self.jobs is None:
            return None
        from tui.desk.screen import Desk

        return next((screen for screen in self.screen_stack if isinstance(screen, Desk)), None)

    def _let_go(self) -> bool:
        """Journals what is open and gives its lock back, at once; False where edits could not be written."""
        try:
            return self._desk is None or self._desk.let_go()
        except Exception as error:
            guard.write_down(error)
            return False

    # ---- leaving ------------------------------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Ctrl+Q leaves as the key of the desk does: not without asking."""
        if self._desk is None:
            self.exit(0)
        else:
            self._desk.action_app_leave()

    def action_help_quit(self) -> None:
        """Ctrl+C ends nothing: who pressed it is told what does."""
        key = actions.shown(actions.keys_of(actions.by_id("app.leave"), self.keymap)[0])
        stop = actions.shown(actions.keys_of(actions.by_id("job.cancel"), self.keymap)[0])
        self.notify(f"on the desk, {key} leaves and {stop} stops what runs", timeout=5, markup=False)

    def hang_up(self) -> None:
        """Has the app leave by itself, soon and without a question. From any thread, and from a signal handler."""
        loop = self._loop
        if loop is None:
            raise KeyboardInterrupt  # it has not begun, or is over already
        threading.Thread(target=_end_anyway, daemon=True).start()
        loop.call_soon_threadsafe(self.post_message, self.HungUp())

    def on_workstation_hung_up(self) -> None:
        """The journal has every edit; the next time they are offered."""
        self._let_go()
        self.exit(EXIT_INTERRUPTED, EXIT_INTERRUPTED)


def _brief(text: str, most: int = 300) -> str:
    """A text without the middle of what no notice has room for."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


@contextlib.contextmanager
def _outside_world(app: Workstation) -> Iterator[None]:
    """What reaches the app by other ways than keys: told to go it goes, and a thread that failed is heard of."""

    def told(*_: object) -> None:
        app.hang_up()

    def failed(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            app.call_later(app.met, args.exc_value)

    # a signal that is ignored (nohup) stays so
    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, told) for number in numbers}
    hook, threading.excepthook = threading.excepthook, failed
    try:
        yield
    finally:
        threading.excepthook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end_anyway() -> None:
    """Whatever hangs (a network drive, a terminal that takes nothing): nobody is there any more to wait for it."""
    time.sleep(LEAVE_SECONDS)
    os._exit(EXIT_INTERRUPTED)


def run(path: Path | None, *, theme: str | None = None, low_bandwidth: bool = False, read_only: bool = False) -> int:
    """Opens the workstation on a master or a session, and gives the exit code."""
    from tui.driver import TerminalDriver

    config = settings.load()
    if theme is not None:
        config = dataclasses.replace(config, theme=theme)
    if low_bandwidth:
        config = dataclasses.replace(config, low_bandwidth=True)
    encoding = getattr(sys.__stderr__, "encoding", None) or "ascii"  # where Textual writes to
    if config.glyphs is None:
        glyphs = choose(os.environ, encoding)
        config = dataclasses.replace(config, glyphs=str(glyphs))
        if glyphs is GlyphSet.ASCII:
            problem = f"this terminal's locale is {encoding}: LANG=C.UTF-8 draws finer, and shows every file's name"
            config = dataclasses.replace(config, problems=(*config.problems, problem))
    app = Workstation(
        path, config=config, read_only=read_only, driver_class=cast("type[Driver]", TerminalDriver), encoding=encoding
    )
    if theme is None:
        app.theme = for_colours(app.theme, app.console.color_system)
    with _outside_world(app):
        app.run()
    if app.last_words is not None:
        print(app.last_words, file=sys.stderr)
    return app.return_code or 0
