"""Keys that change the document: strips, chains, values, undo. Every change is a new session value."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.errors import UnbakeError
from core.session import edits, parameters
from core.session.document import Session
from core.session.edits import Change
from core.session.parameters import Parameter
from core.session.processors import Bell, EqualiserBand, Processor
from tui import actions
from tui.desk.bench import MASTER, Fader, Insert, Repeat, RowKey, Value
from tui.desk.moving import Moving
from tui.desk.taken import PINNED
from tui.panels.ask import Typed

if TYPE_CHECKING:
    from core.session.editor import Editor
    from core.session.history import Edit

Make = Callable[[Session, str], Change]
"""An edit of a strip of that name."""


class Editing(Moving):
    """Strips, chains and values."""

    def change(self, make: Make) -> bool:
        """Edits the chosen strip, and remembers how for the repeat."""
        strip = self.bench.strip
        if not self.edit(lambda session: make(session, strip)):
            return False
        self.bench.last_change = Repeat(make, strip)
        return True

    def action_strip_polarity(self) -> None:
        """Inverts the polarity of the chosen strip, or sets it right again."""
        if self._has_fader():
            wanted = -self.bench.strip_value.polarity
            self.change(lambda session, strip: edits.set_strip(session, strip, "polarity", wanted))

    def action_strip_mode(self) -> None:
        """The next mode."""
        if self._has_fader():
            parameter = self._strip_parameter("mode")
            wanted = parameter.choices[
                (parameter.choices.index(self.bench.strip_value.mode) + 1) % len(parameter.choices)
            ]
            self.change(lambda session, strip: edits.set_strip(session, strip, "mode", wanted))

    def action_strip_drop(self) -> None:
        """Takes the chosen stem out again, where it was brought."""
        strip, session = self.bench.strip, self.bench.session
        if session is not None and strip not in session.brought:
            self.say(f"{strip} was not brought: {actions.key('file.bring')} brings a stem of your own")
        else:
            self.edit(lambda now: edits.drop(now, strip))

    def action_strip_reset(self) -> None:
        """Takes every change of the strip away."""
        self.change(edits.reset_strip)

    def action_chain_eq(self) -> None:
        """To the first equaliser, or a new bell."""
        for place, processor in enumerate(self.bench.chain):
            if isinstance(processor, EqualiserBand):
                self.set_focus(self.query_one("#chain"))
                self.to_row(Value(place, "freq_hz"))
                return
        if self.editable():
            self.insert(Bell, focus="freq_hz")

    def action_chain_insert(self) -> None:
        """Chooses a processor and inserts it."""
        if not self.editable():
            return
        from tui.panels.insert import InsertPanel

        kinds = parameters.master_kinds() if self.bench.strip == MASTER else parameters.strip_kinds()

        def chosen(kind: type[Processor] | None) -> None:
            if kind is not None:
                self.insert(kind)

        self.app.push_screen(InsertPanel(kinds), chosen)

    def insert(self, kind: type[Processor], focus: str | None = None) -> None:
        """A new processor after the chosen one, ready to be set."""
        place = self._place()
        at = len(self.bench.chain) if place is None else place + 1
        processor = parameters.new(kind, self.bench.sample_rate)
        if self.change(lambda session, strip: edits.insert(session, strip, at, processor)):
            self.set_focus(self.query_one("#chain"))
            at = min(at, len(self.bench.chain) - 1)
            text = parameters.text_needed(kind)
            focus = focus or text
            self.to_row(Value(at, focus) if focus else Insert(at))
            if text is not None:
                self.action_value_type()

    def action_chain_delete(self) -> None:
        """Takes the chosen processor out."""
        place = self._place(say=True)
        if place is not None and self.change(lambda session, strip: edits.delete(session, strip, place)):
            left = len(self.bench.chain)
            none: RowKey = Insert(0) if self.bench.strip == MASTER else Fader("gain_db")
            self.to_row(Insert(min(place, left - 1)) if left else none)

    def action_chain_bypass(self) -> None:
        """Bypasses the chosen processor, or not."""
        place = self._place(say=True)
        if place is not None:
            self.change(lambda session, strip: edits.toggle_bypass(session, strip, place))

    def action_chain_bypass_all(self) -> None:
        """Bypasses the whole chain, or none of it."""
        if self.bench.chain:
            self.change(edits.bypass_all)

    def action_chain_up(self) -> None:  # noqa: D102
        self._move(-1)

    def action_chain_down(self) -> None:  # noqa: D102
        self._move(1)

    def action_value_less(self) -> None:
        """One fine step down; on the overview, the playhead back."""
        if self.pane == "overview":
            self.action_time_back()
        else:
            self._nudge(-1, coarse=False)

    def action_value_more(self) -> None:
        """One fine step up; on the overview, the playhead on."""
        if self.pane == "overview":
            self.action_time_forward()
        else:
            self._nudge(1, coarse=False)

    def action_value_much_less(self) -> None:  # noqa: D102
        self._nudge(-1, coarse=True)

    def action_value_much_more(self) -> None:  # noqa: D102
        self._nudge(1, coarse=True)

    def action_value_type(self) -> None:
        """A field for a typed value."""
        target = self._target()
        if target is None or not self.editable():
            return
        row, parameter, value = target
        title = f"{parameter.title}, {parameters.possible(parameter, self.bench.sample_rate)}"

        def read(text: str) -> object:
            return parameters.typed(parameter, text, sample_rate=self.bench.sample_rate)

        def taken(text: str | None) -> None:
            if text is not None:
                self._set(row, parameter, read(text))

        self.app.push_screen(Typed(title, parameters.shown(parameter, value), read), taken)

    def action_value_default(self) -> None:
        """The value as it is when nobody touched it."""
        target = self._target()
        if target is not None:
            row, parameter, _ = target
            self._set(row, parameter, parameter.default)

    def action_edit_undo(self) -> None:
        """Back one edit."""
        self._travel("undo")

    def action_edit_redo(self) -> None:
        """Forward one edit."""
        self._travel("redo")

    def action_edit_repeat(self) -> None:
        """The last edit again, on the strip chosen now."""
        if self.bench.last_change is None:
            self.say("nothing to repeat yet")
            return
        make: Make = self.bench.last_change.make  # pyright: ignore[reportAssignmentType]
        strip = self.bench.strip
        self.edit(lambda session: make(session, strip))

    def _travel(self, where: str) -> None:
        editor = self.bench.editor
        if editor is None or not self.editable():
            return
        try:
            edit = self._undo(editor) if where == "undo" else self._redo(editor)
        except UnbakeError as error:
            self.say(error.what)
        else:
            self.after_edit(f"{where}: {edit.what}")

    @staticmethod
    def _undo(editor: Editor) -> Edit:
        """Goes back one edit; what only notes the outcome of a clean-up is none of the engineer's, and goes with it."""
        tree = editor.history
        while tree.present is not None and tree.present.what == PINNED:
            tree = tree.undo()
        tree.undo()  # raises where nothing else comes before
        while (edit := editor.undo()).what == PINNED:
            pass
        return edit

    @staticmethod
    def _redo(editor: Editor) -> Edit:
        """Goes forward one edit, and takes the outcome of its clean-up along."""
        edit = editor.redo()
        with contextlib.suppress(UnbakeError):
            after = editor.history.redo().present
            if after is not None and after.what == PINNED:
                editor.redo()
        return edit

    def _move(self, by: int) -> None:
        place = self._place(say=True)
        if place is None or not 0 <= place + by < len(self.bench.chain):
            return
        if self.change(lambda session, strip: edits.move(session, strip, place, by)):
            self.to_row(Insert(place + by))

    def _nudge(self, steps: int, *, coarse: bool) -> None:
        target = self._target()
        if target is not None:
            row, parameter, value = target
            wanted = parameters.stepped(parameter, value, steps, coarse=coarse, sample_rate=self.bench.sample_rate)
            self._set(row, parameter, wanted)

    def _set(self, row: RowKey, parameter: Parameter, value: object) -> None:
        if isinstance(row, Fader):
            self.change(lambda session, strip: edits.set_strip(session, strip, parameter.name, value))
        else:
            place = row.place
            self.change(lambda session, strip: edits.set_parameter(session, strip, place, parameter.name, value))

    def _target(self) -> tuple[RowKey, Parameter, object] | None:
        """What the value keys act on: the chosen row of the chain, or the gain of the chosen lane."""
        row: RowKey = self.bench.row if self.pane == "chain" else Fader("gain_db")
        if isinstance(row, Fader):
            if not self._has_fader():
                return None
            return row, self._strip_parameter(row.name), getattr(self.bench.strip_value, row.name)
        if row.place >= len(self.bench.chain):
            return None
        processor = self.bench.chain[row.place]
        every = self.bench.parameters(processor)
        if isinstance(row, Insert):
            parameter = next((each for each in every if each.unit == "dB"), every[0])
            row = Value(row.place, parameter.name)
        else:
            name = row.name
            parameter = next((each for each in every if each.name == name), every[0])
        return row, parameter, getattr(processor, parameter.name)

    def _has_fader(self) -> bool:
        if not self.bench.strip:
            self.editable()
            return False
        if self.bench.strip == MASTER:
            self.say(f"the master stage has no fader: {actions.key('chain.insert')} inserts a gain")
            return False
        return True

    def _strip_parameter(self, name: str) -> Parameter:
        return next(each for each in self.bench.strip_parameters if each.name == name)

    def _place(self, *, say: bool = False) -> int | None:
        row = self.bench.row
        if isinstance(row, (Insert, Value)) and row.place < len(self.bench.chain):
            return row.place
        if say:
            self.say(f"choose a processor first: {actions.key('view.pane')} goes to the chain")
        return None
