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
from core.session.cleaning import removed_name
from core.session.document import Session
from core.session.edits import Change
from tui.desk import taken
from tui.desk.bench import Bench, recipe
from tui.desk.filing import Filing
from tui.desk.messages import AtHand, Trouble
from tui.desk.painting import SOURCE, Painting
from tui.desk.taken import PINNED, Removed, Taken
from tui.jobs import JobStoppedError, WorkerDiedError

if TYPE_CHECKING:
    from textual.timer import Timer

    from core.jobs.cleanups import CleanedUp

CHECK_AFTER_SECONDS = 0.4
CLEAN_AFTER_SECONDS = 0.7
CLEANING = "cleaning up"


class Proving(Painting, Filing):
    """What is known of the session, and how it comes to be known."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._check_timer: Timer | None = None
        self._clean_timer: Timer | None = None
        self._cleaned_for: object = None

    async def make_stems(self, session: Session, device: str) -> None:
        """Gets the stems of a session and shows them; their hashes are pinned in the document."""
        bench = self.bench
        here = bench.timeline.playhead / session.source.sample_rate
        request = messages.MakeStems(session=session, device=device, from_seconds=here)
        made = await self.jobs.run(request, f"stems of {session.separation.model}")
        if self.bench is not bench:
            self.say(f"the stems of {Path(session.source.path).name} are made")
            return
        if bench.recipe != recipe(session):
            self.say(f"the stems of {session.separation.model} are made, and kept")
            return
        self.adopt(made.stems, made.session)
        self._pin(session, made.session)
        self.say("stems as they were stored" if made.stems.reused else f"stems made on {made.stems.device}")
        self.check_soon()

    def adopt(self, stems: StemSet, session: Session) -> None:
        """Shows the stems that the session works on, made as this one says."""
        self.bench.stems_of = recipe(session)
        paths = sessions.stem_paths(stems)
        if paths != self.bench.stems:
            self.bench.stems, self.bench.diagnosis = paths, None
            self._spectra = {name: known for name, known in self._spectra.items() if name == SOURCE}
            for name, path in paths.items():
                self.scan(name, path)
        self.bench.stem_sum_dbfs = stems.stem_sum_residual_dbfs
        self.clean_up_soon()
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
        self.clean_up_soon()
        self.hear_again()
        self.paint()
        self.check_soon()

    def clean_up_soon(self) -> None:
        """Forgets what steps of the clean-up took away that do otherwise now; what a render needs is carried out anew.

        Once nothing was edited for a moment.
        """
        bench = self.bench
        wanted = self._wanted_removed()
        kept = {name: each for name, each in bench.removed.items() if wanted.get(name) == each.of}
        if kept != bench.removed:
            bench.removed, self._cleaned_for = kept, None
        if self._clean_timer is not None:
            self._clean_timer.stop()
            self._clean_timer = None
        if wanted.keys() - bench.removed.keys() or self.hears_stale:
            self._clean_timer = self.set_timer(CLEAN_AFTER_SECONDS, self._clean_now)

    @property
    def hears_stale(self) -> bool:
        """Whether a clean-up is listened to whose steps were edited since they were carried out."""
        return False

    def _wanted_removed(self) -> dict[str, taken.Deciding]:
        """What a render subtracts for the clean-up, of the steps that are not known to find nothing."""
        bench = self.bench
        return {} if bench.session is None else taken.wanted(bench.session, bench.own_sounds)

    def _clean_now(self) -> None:
        bench = self.bench
        if bench.session is None:
            return
        missing, whole = self._wanted_removed().keys() - bench.removed.keys(), self.hears_stale
        asked = (taken.bare_session(bench.session), tuple(bench.own_sounds.items()), whole)
        # what failed, or was stopped, is not begun again by itself
        if (missing or whole) and asked != self._cleaned_for:
            self._cleaned_for = asked
            self.ask(self.clean_up(whole=whole), group="cleaning", exclusive=True)

    async def clean_up(self, *, whole: bool) -> None:
        """Carries out the clean-up, all of it or only what a render needs; its outcome is pinned in the document."""
        bench, session = self.bench, self.bench.session
        if session is None:
            return
        sounds = bench.own_sounds
        sent = session if whole else taken.without_networks_only(session)
        request = messages.CarryOutCleanup(sent, {name: str(path) for name, path in sounds.items()})
        bench.cleaning = True
        self.paint()
        self.renew_cleanup()
        try:
            done: CleanedUp = await self.jobs.run(request, CLEANING)
        finally:
            bench.cleaning = False
            self.paint()
            self.renew_cleanup()
        if self.bench is not bench:
            return
        self._take_removed(sent, sounds, done)
        if whole:
            self._take_taken(sent, sounds, done)
        self._pin_cleaned(session, done.session)
        self.clean_up_soon()
        self.hear_again()
        self.paint()
        self.renew_cleanup()
        self.check_soon()

    def _take_removed(self, sent: Session, sounds: dict[str, Path], done: CleanedUp) -> None:
        """Notes what a render subtracts."""
        hashes = {
            removed_name(place, target): step.hash
            for target in (taken.SOURCE, *done.session.strips)
            for place, step in enumerate(taken.steps_of(done.session, target))
        }
        for name, of in taken.wanted(sent, sounds).items():
            path = done.paths.get(name)
            self.bench.removed[name] = Removed(of, None if path is None else Path(path), hashes[name])

    def _take_taken(self, sent: Session, sounds: dict[str, Path], done: CleanedUp) -> None:
        """Notes what every step found, and has what it took away measured."""
        known = self.bench.taken
        for target in (taken.SOURCE, *sent.strips):
            for name, of in taken.on_the_bench(sent, sounds, target).items():
                path = Path(done.taken[name]) if name in done.taken else None
                level = known[name].rms_dbfs if name in known and known[name].path == path else None
                if name in done.findings:
                    known[name] = Taken(of, done.findings[name], path, level)
        self.weigh_taken()

    def _pin_cleaned(self, before: Session, after: Session) -> None:
        """Keeps the hashes of what steps took away, but not where a redo would be lost by it."""
        editor = self.bench.editor
        if editor is None or self.bench.read_only:
            return
        try:
            editor.history.redo()
        except UnbakeError:
            said = self.said
            if self.edit(lambda now: Change(taken.pinned(now, before, after), PINNED, "pin")):
                self.say(said)

    def weigh_taken(self) -> None:
        """Measures how much steps of the clean-up take away."""
        raise NotImplementedError

    def renew_cleanup(self) -> None:
        """What a clean-up bench shows is known by now, or is otherwise."""
        raise NotImplementedError

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
        session, located = self.bench.sounding, self.bench.located
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
        if bench.sounding == session:
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
        if session is None or self.bench.recipe != recipe(message.session):
            return
        if message.stems is not None:
            self.adopt(message.stems, message.session)
            self.check_soon()
        elif session.separation.stems_from is not None:
            self.ask(self.make_stems(session, "auto"))

    def let_go_of_other_stems(self) -> None:
        """An undo may lead back to where other stems belong."""
        bench = self.bench
        if bench.session is not None and bench.stems_of != bench.recipe:
            bench.stems, bench.stem_sum_dbfs, bench.stems_of, bench.diagnosis = {}, None, bench.recipe, None
            bench.damage = {target: found for target, found in bench.damage.items() if target == taken.SOURCE}
            look = functools.partial(self.look_for_stems, bench, bench.session)
            self.run_worker(look, thread=True, group="stems")
