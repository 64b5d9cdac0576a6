"""Stems, figures and the live proof: what is asked of the worker processes, and what becomes of their answers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from textual import on

from core.audio.hashes import fingerprint
from core.errors import UnbakeError
from core.jobs import messages, opening, sessions
from core.separation.store import StemSet
from core.session.document import Separation, Session
from tui.desk.bench import Bench, recipe
from tui.desk.filing import Filing
from tui.desk.messages import AtHand, Trouble
from tui.desk.painting import SOURCE, Painting
from tui.jobs import JobStoppedError, WorkerDiedError

if TYPE_CHECKING:
    from textual.timer import Timer

CHECK_AFTER_SECONDS = 0.4


class Proving(Painting, Filing):
    """What is known of the session, and how it comes to be known."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._check_timer: Timer | None = None

    async def make_stems(self, session: Session, device: str) -> None:
        """Gets the stems of a session and shows them; their hashes are pinned in the document."""
        bench = self.bench
        here = bench.timeline.playhead / session.source.sample_rate
        request = messages.MakeStems(session=session, device=device, from_seconds=here)
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
            self.bench.stems, self.bench.diagnosis = paths, None
            self._spectra = {name: known for name, known in self._spectra.items() if name == SOURCE}
            for name, path in paths.items():
                self.scan(name, path)
        self.bench.stem_sum_dbfs = stems.stem_sum_residual_dbfs
        self.hear_again()
        self.paint()

    def lay_brought(self) -> None:
        """Has the stems that were brought made as the session says, where they are not there so yet."""
        bench, session = self.bench, self.bench.session
        wanted = {} if session is None else {name: each.recipe for name, each in session.brought.items()}
        if session is None or wanted == bench.brought_of:
            return
        bench.brought = {
            name: path for name, path in bench.brought.items() if wanted.get(name) == bench.brought_of[name]
        }
        bench.brought_of = wanted
        if wanted.keys() - bench.brought.keys():
            self.ask(self._lay(session), group="laying", exclusive=True)

    async def _lay(self, session: Session) -> None:
        bench = self.bench
        laid = await self.jobs.run(messages.LayBrought(session=session), "laying brought stems", quiet=True)
        wanted = {name: each.recipe for name, each in session.brought.items()}
        if self.bench is not bench or bench.brought_of != wanted:
            return
        for name, path in laid.paths.items():
            if name not in bench.brought:
                self._spectra.pop(name, None)
                self.scan(name, Path(path))
        bench.brought = {name: Path(path) for name, path in laid.paths.items()}
        self._pin_brought(laid.session)
        self.hear_again()
        self.paint()
        self.check_soon()

    async def measure(self) -> None:
        """Loudness and faults of the master."""
        bench, located = self.bench, self.bench.located
        assert located is not None
        bench.measuring = True
        try:
            request = messages.Inspect(path=str(located.source))
            bench.report = await self.jobs.run(request, "measuring", lane="analysis", quiet=True)
        finally:
            bench.measuring = False
            self.paint()

    async def vouch(self) -> None:
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
        doubtful = located is not None and (self.bench.source_problem is not None or not located.as_found)
        if session is not None and doubtful:
            self.ask(self.vouch(), group="vouching", once=True)
        if session is None or session.untouched or self.bench.needs_stems:
            self.bench.checking = False
            self.paint()
            self.renew_null()
            return
        self.bench.checking = True
        self.paint()
        self.renew_null()
        self.ask(self._check(session), group="checking", exclusive=True)

    async def _check(self, session: Session) -> None:
        bench = self.bench
        stems = {name: str(path) for name, path in bench.sounds.items()}
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
            self.renew_null()

    def look_for_stems(self, bench: Bench, session: Session) -> None:
        """Asks the store for the session's stems, on a thread."""
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

    def let_go_of_other_stems(self) -> None:
        """An undo may lead back to where other stems belong."""
        bench = self.bench
        if bench.session is not None and bench.stems and bench.stems_of != bench.recipe:
            bench.stems, bench.stem_sum_dbfs, bench.stems_of, bench.diagnosis = {}, None, None, None
            look = functools.partial(self.look_for_stems, bench, bench.session)
            self.run_worker(look, thread=True, group="stems")
