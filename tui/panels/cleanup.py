"""The clean-up bench's keys: damage is looked for, steps are put in order and told what to do, the outcome is heard.

What it shows is `cleanupview`. It asks the desk for edits, for what is carried out, and for sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import UNSET
from textual import on
from textual.binding import BindingType

from core.session import parameters, words
from core.session.cleaning import CleanupStep, step_kinds
from core.session.parameters import Parameter
from tui import actions
from tui.desk.bench import MASTER, Insert, Value
from tui.desk.taken import SOURCE
from tui.panels.ask import Typed
from tui.panels.cleanuplists import CleanupPresets, ModelChosen, StepModels, StepsPanel
from tui.panels.cleanupview import VIEWS, CleanupView, shown_of, stretch
from tui.panels.cleanupwords import RowKey, Seen, values_of
from tui.widgets.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.audition.monitor import Choice
    from core.session.cleaning import Step
    from core.session.presets import Preset
    from tui.desk.bench import Bench
    from tui.desk.cleaning import Cleaning
    from tui.desk.timeline import Timeline

STRENGTH = "strength"
APPLY = "apply"


class CleanupPanel(CleanupView):
    """Steps of the source or of a stem."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("cleanup")]

    def __init__(self, bench: Bench, desk: Cleaning) -> None:
        super().__init__(bench, desk)
        self._stream: Choice = "repair"

    # ---- going about --------------------------------------------------------------------------------------------

    def action_cleanup_next(self) -> None:  # noqa: D102
        self._step(1)

    def action_cleanup_previous(self) -> None:  # noqa: D102
        self._step(-1)

    def _step(self, by: int) -> None:
        steps = self.query_one("#steps", Rows)
        steps.step(by)
        self._to(steps.chosen_key)

    @on(Rows.Chosen, "#steps")
    def _clicked(self, message: Rows.Chosen) -> None:
        self._to(message.rows.chosen_key)

    def _to(self, key: object) -> None:
        if isinstance(key, (Insert, Value, Seen)):
            self._row = key
            if isinstance(key, Insert):
                self._unfolded = key.place
            if self._alone:
                self._desk.leave_beside()
            self.renew()

    def _look(self, timeline: Timeline) -> None:
        self._desk.look(timeline)
        self._span = stretch(self.timeline)
        self._drawn = shown_of(self._span, self.timeline)
        self.renew()

    def action_cleanup_back(self) -> None:  # noqa: D102
        self._nudge_playhead(-1)

    def action_cleanup_forward(self) -> None:  # noqa: D102
        self._nudge_playhead(1)

    def _nudge_playhead(self, by: int) -> None:
        cells = max(1, self.size.width)
        self._look(self.timeline.at(self.timeline.playhead + by * max(1, (self._drawn[1] - self._drawn[0]) // cells)))

    def action_cleanup_back_5(self) -> None:  # noqa: D102
        self._look(self.timeline.moved_seconds(-5))

    def action_cleanup_forward_5(self) -> None:  # noqa: D102
        self._look(self.timeline.moved_seconds(5))

    def action_cleanup_start(self) -> None:  # noqa: D102
        self._look(self.timeline.at(0))

    def action_cleanup_end(self) -> None:  # noqa: D102
        self._look(self.timeline.at(self.timeline.frames))

    def action_cleanup_loop_first(self) -> None:  # noqa: D102
        self._look(self.timeline.loop_from())

    def action_cleanup_loop_last(self) -> None:  # noqa: D102
        self._look(self.timeline.loop_to())

    def action_cleanup_loop(self) -> None:  # noqa: D102
        self._look(self.timeline.loop_switched())

    def action_cleanup_target(self) -> None:
        """The source, or the strip that is chosen on the desk."""
        if not self._on_stem and self._bench.strip in ("", MASTER):
            self.say("the master stage has no clean-up of its own: choose a stem on the desk")
            return
        self._on_stem = not self._on_stem
        self._row = self._unfolded = None
        self._desk.leave_beside()
        self.renew()

    def action_cleanup_view(self) -> None:
        """The next picture."""
        self._view = VIEWS[(VIEWS.index(self._view) + 1) % len(VIEWS)]
        self.renew()

    def action_cleanup_alone(self) -> None:
        """One step, or all."""
        if not self._alone and self.place is None:
            self.say("choose a step first")
            return
        self._alone = not self._alone
        self._desk.leave_beside()
        self.say("the chosen step alone is heard and shown" if self._alone else "all steps are heard and shown")
        self.renew()

    # ---- steps --------------------------------------------------------------------------------------------------

    def action_cleanup_propose(self) -> None:
        """Looks for damage."""
        self._desk.find_damage(self.target)

    def action_cleanup_add(self) -> None:
        """Chooses a kind, and of what needs one a model."""
        if not self._desk.editable():
            return

        def chosen(kind: type[Any] | None) -> None:
            if kind is not None:
                self._add(kind)

        self.app.push_screen(StepsPanel(tuple(step_kinds().values())), chosen)

    def _add(self, kind: type[CleanupStep]) -> None:
        text = parameters.text_needed(kind)
        if text is None:
            self._insert(kind, {})
            return

        def chosen(model: ModelChosen | None) -> None:
            if model is None:
                return
            if model.name:
                self._insert(kind, {text: model.name})
            else:
                self.app.push_screen(Typed("the model, as it is listed", ""), typed)

        def typed(name: str | None) -> None:
            if name:
                self._insert(kind, {text: name.strip()})

        self.app.push_screen(StepModels(), chosen)

    def _insert(self, kind: type[Any], told: dict[str, Any]) -> None:
        """Puts a new step behind the chosen one."""
        at = len(self.steps) if self.place is None else self.place + 1
        step: Step = kind(**told)
        if self._edit(lambda steps: (*steps[:at], step, *steps[at:]), f"+ {words.of_processor(step)}"):
            self._to(Insert(at))

    def action_cleanup_remove(self) -> None:
        """Takes the step out."""
        place = self._chosen()
        if place is not None:
            said = f"- {words.of_processor(self.steps[place])}"
            if self._edit(lambda steps: (*steps[:place], *steps[place + 1 :]), said):
                self._row = Insert(min(place, len(self.steps) - 1)) if self.steps else None
                self.renew()

    def action_cleanup_bypass(self) -> None:
        """Out of the sound, or back in."""
        place = self._chosen()
        if place is not None:
            self._set(place, "bypass", not self.steps[place].bypass)

    def action_cleanup_up(self) -> None:  # noqa: D102
        self._move(-1)

    def action_cleanup_down(self) -> None:  # noqa: D102
        self._move(1)

    def _move(self, by: int) -> None:
        place = self._chosen()
        if place is None or not 0 <= place + by < len(self.steps):
            return

        def moved(steps: tuple[Step, ...]) -> tuple[Step, ...]:
            rest = [*steps[:place], *steps[place + 1 :]]
            return (*rest[: place + by], steps[place], *rest[place + by :])

        said = f"{words.of_processor(self.steps[place])} moved to place {place + by + 1}"
        if self._edit(moved, said):
            self._unfolded = place + by
            self._to(Insert(place + by))

    def action_cleanup_apply(self) -> None:
        """The networks only, or the master too."""
        place = self._chosen()
        if place is None:
            return
        if self.target != SOURCE:
            self.say("the chain of a strip hears all steps of its clean-up")
            return
        parameter = parameters.parameter_of(type(self.steps[place]), APPLY)
        others = [each for each in parameter.choices if each != self.steps[place].apply]
        self._set(place, APPLY, others[0])

    def action_cleanup_presets(self) -> None:
        """The steps of a preset."""
        if not self._desk.editable():
            return

        def chosen(preset: Preset | None) -> None:
            if preset is not None and preset.cleanup is not UNSET:
                self._desk.lay_cleanup(self.target, preset)
                self._row = self._unfolded = None
                self.renew()

        self.app.push_screen(CleanupPresets(), chosen)

    def action_cleanup_undo(self) -> None:  # noqa: D102
        self._desk.action_edit_undo()
        self.renew()

    def action_cleanup_redo(self) -> None:  # noqa: D102
        self._desk.action_edit_redo()
        self.renew()

    # ---- values -------------------------------------------------------------------------------------------------

    def action_cleanup_less(self) -> None:  # noqa: D102
        self._nudge(-1, coarse=False)

    def action_cleanup_more(self) -> None:  # noqa: D102
        self._nudge(1, coarse=False)

    def action_cleanup_much_less(self) -> None:  # noqa: D102
        self._nudge(-1, coarse=True)

    def action_cleanup_much_more(self) -> None:  # noqa: D102
        self._nudge(1, coarse=True)

    def _nudge(self, by: int, *, coarse: bool) -> None:
        held = self._value()
        if held is not None:
            place, parameter, value = held
            rate = self._bench.sample_rate
            wanted = parameters.stepped(parameter, value, by, coarse=coarse, sample_rate=rate)
            self._set(place, parameter.name, wanted)

    def action_cleanup_type(self) -> None:
        """A field for a typed value; on what was found, its step."""
        if isinstance(self._row, Seen):
            kind = step_kinds()[self._row.type]
            self._edit_seen(kind)
            return
        held = self._value()
        if held is None or not self._desk.editable():
            return
        place, parameter, value = held
        rate = self._bench.sample_rate
        title = f"{parameter.title}, {parameters.possible(parameter, rate)}"

        def read(text: str) -> object:
            return parameters.typed(parameter, text, sample_rate=rate)

        def taken(text: str | None) -> None:
            if text is not None:
                self._set(place, parameter.name, read(text))

        self.app.push_screen(Typed(title, parameters.shown(parameter, value), read), taken)

    def _edit_seen(self, kind: type[CleanupStep]) -> None:
        """Puts the step of what was found at the end, whatever is sure enough."""
        if any(type(step) is kind for step in self.steps):
            self.say(f"{parameters.title_of(kind)} is in the list already")
            return
        row, self._row = self._row, None
        self._insert(kind, {})
        if not any(type(step) is kind for step in self.steps):
            self._row = row  # nothing was edited

    def action_cleanup_default(self) -> None:
        """The value as it is when nobody touched it."""
        held = self._value()
        if held is not None:
            place, parameter, _ = held
            self._set(place, parameter.name, parameter.default)

    def _value(self) -> tuple[int, Parameter, Any] | None:
        """What the value keys act on: the chosen value, or the strength of the chosen step."""
        place = self._chosen()
        if place is None:
            return None
        step = self.steps[place]
        name = self._row.name if isinstance(self._row, Value) else STRENGTH
        parameter = next((each for each in values_of(step, self.target) if each.name == name), None)
        return None if parameter is None else (place, parameter, getattr(step, name))

    def _set(self, place: int, name: str, value: object) -> None:
        self._desk.set_step(self.target, place, name, value)
        self.renew()

    def _edit(self, make: Callable[[tuple[Step, ...]], tuple[Step, ...]], what: str) -> bool:
        return self._desk.edit_steps(self.target, make, what)

    def _chosen(self) -> int | None:
        """The chosen step; says what to do where there is none."""
        if self.place is None:
            self.say(f"choose a step first: {actions.key('cleanup.add')} adds one")
        return self.place

    # ---- outcome ------------------------------------------------------------------------------------------------

    def action_cleanup_carry_out(self) -> None:
        """Carries all of it out."""
        if not any(step.active for step in self.steps):
            self.say("there is no step to carry out")
        elif self._stem_is_there():
            self._desk.carry_out()

    def action_cleanup_toggle(self) -> None:
        """Plays, or stops."""
        if self._desk.heard_beside:
            self._desk.leave_beside()
        elif self._bench.heard.playing:
            self._desk.action_play_toggle()
        else:
            self._hear(self._stream)

    def action_cleanup_before(self) -> None:  # noqa: D102
        self._hear("source")

    def action_cleanup_after(self) -> None:  # noqa: D102
        self._hear("repair")

    def action_cleanup_removed(self) -> None:  # noqa: D102
        self._hear("difference")

    def action_cleanup_flip(self) -> None:
        """Before or after, whichever is not heard."""
        self._hear("repair" if self._stream == "source" else "source")

    def _hear(self, stream: Choice) -> None:
        if self._stem_is_there():
            self._stream = stream
            self._desk.hear_cleanup(self.target, self.alone, stream, self._span)
            self.renew()

    def _stem_is_there(self) -> bool:
        there = self._desk.heard_by(self.target) is not None
        if not there:
            self.say(f"there is no stem {self.target} yet: {actions.key('panel.separate')} on the desk separates")
        return there

    # ---- the rest -----------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Says something in the line of what goes on."""
        self._desk.say(text)
        self._draw_going_on()

    def action_cleanup_help(self) -> None:
        """Every key, those of the bench first."""
        from tui.panels.help import HelpPanel

        self.app.push_screen(HelpPanel("cleanup", self._bench.sample_rate))

    def action_cleanup_stop(self) -> None:
        """Stops what runs, after asking; else closes."""
        if self._desk.jobs.shown is not None:
            self._desk.action_job_cancel()
        else:
            self.dismiss(None)

    def action_cleanup_close(self) -> None:  # noqa: D102
        self.dismiss(None)


__all__ = ["CleanupPanel", "RowKey"]
