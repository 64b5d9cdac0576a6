"""The clean-up bench's side of the desk: what is looked for and carried out, edits of its steps, and what is heard."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from textual import on
from textual.worker import get_current_worker

from core.audio.probe import probe
from core.audition import messages as player
from core.audition.monitor import Choice, Listening
from core.errors import UnbakeError
from core.jobs import messages
from core.session import edits
from core.session.cleaning import Step, removed_name, step_kinds
from core.session.document import Session, Source
from tui.desk import taken
from tui.desk.messages import Trouble, Weighed
from tui.desk.taken import SOURCE
from tui.desk.timeline import Timeline
from tui.desk.warping import Warping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.cleanup.cleaner import Finding
    from core.session.presets import Preset

FINDING = "looking for damage"
STREAMS: dict[Choice, str] = {"source": "before", "repair": "after", "difference": "what is taken away"}


class Part(NamedTuple):
    """A step that was carried out, and the file of what it took away."""

    step: Step
    path: Path


class Beside(NamedTuple):
    """A clean-up that is played in place of the session, and how things were before.

    `target` is what is cleaned, `place` the one step of it that is heard, None for all.
    """

    show: player.Show
    target: str
    place: int | None
    playhead: int
    stream: Choice


class Cleaning(Warping):
    """Clean-up."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._beside: Beside | None = None

    def action_panel_cleanup(self) -> None:
        """The steps of the clean-up, what each finds, and how it looks and sounds."""
        if self.bench.session is None:
            self.editable()
            return
        from tui.panels.cleanup import CleanupPanel

        self.app.push_screen(CleanupPanel(self.bench, self), lambda _: self.leave_beside())

    def renew_cleanup(self) -> None:
        """What a clean-up bench shows is known by now, or is otherwise."""
        from tui.panels.cleanup import CleanupPanel

        for screen in self.app.screen_stack:
            if isinstance(screen, CleanupPanel) and screen.composed:
                screen.renew()

    @property
    def _bench_open(self) -> bool:
        from tui.panels.cleanup import CleanupPanel

        return any(isinstance(screen, CleanupPanel) for screen in self.app.screen_stack)

    # ---- what is wrong ------------------------------------------------------------------------------------------

    def find_damage(self, target: str) -> None:
        """Looks for damage in what a target is, and takes the steps into its list that surely find some."""
        self.ask(self._find_damage(target), group="damage", once=True)

    async def _find_damage(self, target: str) -> None:
        bench, path = self.bench, self.heard_by(target)
        if path is None:
            self.say(no_stem(target))
            return
        if bench.source_problem is not None:
            raise bench.source_problem
        bench.finding_damage = True
        self.renew_cleanup()
        try:
            found: list[Finding] = await self.jobs.run(messages.FindDamage(str(path)), FINDING)
        finally:
            bench.finding_damage = False
            self.renew_cleanup()
        if self.bench is bench and self.heard_by(target) == path:
            bench.damage[target] = path, found
            self._propose(target, found)
            self.renew_cleanup()

    def _propose(self, target: str, found: Sequence[Finding]) -> None:
        from core.cleanup.proposal import PROPOSED_FROM, TRIED

        sure = [each.type for each in found if each.found and each.confidence >= PROPOSED_FROM]
        session = self.bench.session
        have = {kind_of(step) for step in taken.steps_of(session, target)} if session is not None else set()
        new = [step for step in TRIED if kind_of(step) in set(sure) - have]
        if not sure:
            self.say("nothing that is sure enough to be taken out; the list says what was looked for")
        elif not new:
            self.say("what was found is in the list already")
        elif self.bench.read_only:
            self.editable()
        else:
            said = f"+ {', '.join(map(kind_of, new))} (found)"
            self.edit_steps(target, lambda steps: with_new(steps, new), said)

    def heard_by(self, target: str) -> Path | None:
        """The file that a target's clean-up hears; None where its stem is not there."""
        session = self.bench.session
        return None if session is None else taken.heard_by(session, target, self.bench.own_sounds)

    # ---- edits --------------------------------------------------------------------------------------------------

    def edit_steps(self, target: str, make: taken.Make, what: str) -> bool:
        """Edits the list of steps of a target; gives whether anything changed."""
        strip = strip_of(target)
        return self.edit(
            lambda session: edits.set_cleanup(session, make(taken.steps_of(session, target)), strip, what=what)
        )

    def set_step(self, target: str, place: int, name: str, value: object) -> bool:
        """Sets a value of a step."""
        return self.edit(lambda session: edits.set_step(session, place, name, value, strip_of(target)))

    def lay_cleanup(self, target: str, preset: Preset) -> bool:
        """Gives a target the clean-up of a preset, and nothing else of it."""
        if preset.cleanup is msgspec.UNSET:
            return False
        steps = preset.cleanup
        return self.edit_steps(target, lambda _: steps, f"as the preset {preset.name}")

    # ---- what comes of it ---------------------------------------------------------------------------------------

    def carry_out(self) -> None:
        """Carries all steps out."""
        self.ask(self.clean_up(whole=True), group="cleaning", exclusive=True)

    def known_of(self, target: str, place: int) -> taken.Taken | None:
        """What is known of a step as it is now; None where it was not carried out so."""
        session, name = self.bench.session, removed_name(place, target)
        if session is None or name not in self.bench.taken:
            return None
        found = self.bench.taken[name]
        wanted = taken.on_the_bench(session, self.bench.own_sounds, target)
        return found if wanted.get(name) == found.of else None

    def parts_of(self, target: str, place: int | None) -> list[Part] | None:
        """What all active steps of a target took away, or the one at `place`; None where one was not carried out."""
        session = self.bench.session
        if session is None:
            return None
        parts: list[Part] = []
        for number, step in enumerate(taken.steps_of(session, target)):
            if not step.active or place not in (None, number):
                continue
            known = self.known_of(target, number)
            if known is None:
                return None
            if known.path is not None:
                parts.append(Part(as_of_the_master(step), known.path))
        return parts

    def weigh_taken(self) -> None:
        """Measures how much steps took away, on a thread."""
        bench = self.bench
        paths = {each.path for each in bench.taken.values() if each.path is not None and each.rms_dbfs is None}
        if not paths:
            return

        def measure() -> None:
            from core.jobs.cleanup_picture import level_of

            worker = get_current_worker()
            for path in paths:
                operation = level_of(path)
                try:
                    while not worker.is_cancelled:
                        next(operation)
                except StopIteration as stop:
                    self.post_message(Weighed(bench, path, -math.inf if stop.value is None else stop.value))
                except UnbakeError as error:
                    self.post_message(Trouble(bench, error))
                finally:
                    operation.close()

        self.run_worker(measure, thread=True, group="weighing", exclusive=True)

    @on(Weighed)
    def _weighed(self, message: Weighed) -> None:
        for name, each in self.bench.taken.items():
            if each.path == message.path:
                self.bench.taken[name] = each._replace(rms_dbfs=message.rms_dbfs)
        self.renew_cleanup()

    # ---- listening ----------------------------------------------------------------------------------------------

    @property
    def heard_beside(self) -> str:
        """What of a clean-up is played in place of the session, in words; nothing where none is."""
        if self._beside is None:
            return ""
        which = "" if self._beside.place is None else f" step {self._beside.place + 1}"
        return f"{STREAMS.get(self.bench.heard.stream, '')}{which}" + (", before the edit" if self.hears_stale else "")

    @property
    def hears_stale(self) -> bool:
        """Whether a clean-up is listened to whose steps were edited since they were carried out."""
        return self._beside is not None and self.parts_of(self._beside.target, self._beside.place) is None

    def hear_cleanup(self, target: str, place: int | None, stream: Choice, span: tuple[int, int]) -> None:
        """Plays a target before, after or what is taken away, over and over; carries the steps out first if need be."""
        beside = self._beside
        if beside is not None and (beside.target, beside.place) == (target, place):
            self.order(player.Choose(stream))
        elif self.parts_of(target, place) is not None:
            self._hear(target, place, stream, span)
        else:
            self.ask(self._clean_then_hear(target, place, stream, span), group="cleaning", exclusive=True)

    async def _clean_then_hear(self, target: str, place: int | None, stream: Choice, span: tuple[int, int]) -> None:
        bench = self.bench
        await self.clean_up(whole=True)
        if self.bench is bench and self._bench_open:
            self._hear(target, place, stream, span)

    def _hear(self, target: str, place: int | None, stream: Choice, span: tuple[int, int]) -> None:
        show = self._show_of(target, place)
        if show is None:
            return
        self.leave_beside()
        beside = Beside(show, target, place, self.bench.timeline.playhead, self.bench.heard.stream)
        self.order(player.Play(False))
        self._beside = beside
        for order in (player.SetLoop(span), player.Choose(stream), player.Play(True, span[0])):
            self.order(order)
        nothing = "" if show.session.cleanup else ": nothing is taken away, both are the same"
        self.say(f"heard: {STREAMS[stream]}{nothing}")
        self.renew_cleanup()

    def _show_of(self, target: str, place: int | None) -> player.Show | None:
        """A small session on what is cleaned; its clean-up is all that it has."""
        session, path, parts = self.bench.session, self.heard_by(target), self.parts_of(target, place)
        if session is None or path is None or parts is None:
            self.say(no_stem(target) if path is None else "not carried out yet")
            return None
        source = session.source if target == SOURCE else _described(path, session, target)
        small = Session(source=source, cleanup=tuple(part.step for part in parts))
        files = {removed_name(number): str(part.path) for number, part in enumerate(parts)}
        return player.Show(small, files, Listening())

    def clean_up_soon(self) -> None:
        """As on the rest of the desk; a clean-up that is listened to is heard as it is by now."""
        super().clean_up_soon()
        beside = self._beside
        if beside is not None and not self.hears_stale:
            show = self._show_of(beside.target, beside.place)
            self._beside = beside if show is None else beside._replace(show=show)

    def leave_beside(self) -> None:
        """Goes back to the session where a clean-up was played."""
        if self._beside is None:
            return
        before, self._beside = self._beside, None
        timeline = self.bench.timeline = self.bench.timeline.at(before.playhead)
        loop = timeline.loop
        for order in (
            player.Play(False),
            player.SetLoop((loop.first, loop.last) if loop is not None and loop.on else None),
            player.Choose(before.stream),
            player.Seek(before.playhead),
        ):
            self.order(order)
        self.paint_time()
        self.renew_cleanup()

    def to_show(self) -> player.Show:
        """The clean-up while it is played: its source is what is cleaned."""
        return super().to_show() if self._beside is None else self._beside.show

    def heard(self, answer: player.Answer) -> None:
        """As the desk takes it in; a player that went has left the clean-up."""
        if isinstance(answer, player.Gone):
            self._beside = None
        super().heard(answer)

    def look(self, timeline: Timeline) -> None:
        """As on the rest of the desk; who goes elsewhere is done with what was played of a clean-up."""
        if self._beside is not None and timeline != self.bench.timeline:
            self.leave_beside()
        super().look(timeline)

    def stop_listening(self) -> None:
        """As on the rest of the desk."""
        self._beside = None
        super().stop_listening()


def strip_of(target: str) -> str | None:
    """A target as edits name it."""
    return None if target == SOURCE else target


def no_stem(target: str) -> str:
    """What is said where the stem of a target is not there."""
    return f"there is no stem {target} yet to be cleaned: separate first"


def kind_of(step: Step) -> str:
    """The step's `type`."""
    return str(step.__struct_config__.tag)


def with_new(steps: tuple[Step, ...], new: Sequence[Step]) -> tuple[Step, ...]:
    """Steps with new ones among them, in the order in which steps are proposed."""
    ranks = {kind: rank for rank, kind in enumerate(step_kinds())}
    made = list(steps)
    for each in new:
        behind = (place for place, step in enumerate(made) if ranks[kind_of(step)] > ranks[kind_of(each)])
        made.insert(next(behind, len(made)), each)
    return tuple(made)


def as_of_the_master(step: Step) -> Step:
    """A step as one that is heard, whoever hears it in the session."""
    return msgspec.structs.replace(step, apply="master", hash="")


def _described(path: Path, session: Session, target: str) -> Source:
    """A stem as the source of a session of its own."""
    info = probe(path)
    treated = session.strips[target].treated if target in session.strips else ""
    return Source(
        path=str(path),
        sha256=session.stem_hashes.get(treated or target, str(path)),
        sample_rate=info.sample_rate,
        channels=info.channels,
        frames=info.frames,
        container=info.container,
        subtype=info.subtype,
    )
