"""The presets: what each would change in the session that is open, applying one, and saving one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from core.errors import UnbakeError
from core.session import changes, presets
from core.session.document import Session
from core.session.edits import MASTER
from core.session.words import of_preset
from tui import actions
from tui.panels.ask import Answer, Ask, Typed
from tui.panels.panel import LARGE_SCREEN_LINES
from tui.panels.preview import NO_SPECTRA, Comparing, Spectra, difference
from tui.widgets.rows import Cell, Row

MEASURES = "measures"


class PresetsPanel(Comparing[presets.Preset]):
    """Gives the preset to lay over the session, or to be measured first. `separated`: there are stems to measure."""

    title_text = "presets"
    choice_title = "apply"
    hints: ClassVar[tuple[str, ...]] = ("list.choose", "list.filter", "list.own", "list.close")
    empty = "no presets"

    def __init__(self, session: Session, strip: str, spectra: Spectra = NO_SPECTRA, *, separated: bool = True) -> None:
        super().__init__(session.source.sample_rate, spectra)
        self._session = session
        self._separated = separated
        self._strip = strip
        self._presets, self._broken = presets.all_presets()

    def rows(self) -> list[Row]:
        """One line a preset; the user's broken files say what is wrong."""
        rows = [
            Row(
                (
                    Cell("  "),
                    Cell(preset.name, "name", 22),
                    Cell(MEASURES if preset.fits else "", "accent", len(MEASURES)),
                    Cell("  yours  " if preset.origin != "built in" else "  ", "accent"),
                    Cell(preset.about),
                ),
                key=preset,
            )
            for preset in self._presets
        ]
        return rows + [Row((Cell("  ! ", "bad"), Cell(problem, "bad")), choice=False) for _, problem in self._broken]

    def detail(self, key: object) -> Sequence[Row]:
        """What it would change, or would measure first."""
        self.compare_nothing()
        if not isinstance(key, presets.Preset):
            return ()
        try:
            key.check_stems(self._session)
            if key.fits:
                return [*self.unread(), *self._unmeasured(key)]
            after = key.over(self._session)
        except UnbakeError as error:
            return [Row((Cell(f"  can't be applied: {error.line()}", "bad"),))]
        found = changes.differences(self._session, after)
        if not found:
            return [*self.unread(), Row((Cell("  would change nothing", "dim"),))]
        if self.size.height >= LARGE_SCREEN_LINES:
            where = [each.where for each in found]
            self.compare(self._session, after, self._strip if self._strip in where else where[0])
        return [*self.unread(), *(difference(each) for each in found[:12])]

    def _unmeasured(self, preset: presets.Preset) -> list[Row]:
        """What a preset measures, and what comes of it."""
        measured = [line for line in of_preset(preset) if line.startswith("measured:")]
        rows = [Row((Cell(f"  {line}", "dim"),)) for line in measured[:6]]
        if self._separated:
            said = f"{actions.key('list.choose')} measures, and shows what it would change before anything is"
            return [*rows, Row((Cell(f"  {said}"),))]
        said = f"there are no stems to measure yet: {actions.key('panel.separate')} on the desk separates"
        return [*rows, Row((Cell(f"  {said}", "warn"),))]

    def choose(self, key: object) -> None:
        """Gives the preset, if it can be applied or measured."""
        if isinstance(key, presets.Preset):
            try:
                key.check_stems(self._session)
                if key.fits and not self._separated:
                    remedy = f"{actions.key('panel.separate')} on the desk separates"
                    raise UnbakeError(f"{key.name} measures stems, and there are none yet", remedy=remedy)
            except UnbakeError as error:
                self.app.notify(error.line(), severity="error", markup=False)
            else:
                self.dismiss(key)

    def action_list_own(self) -> None:
        """Saves what the strips are now as a preset."""
        if not self._session.changed and not self._session.master:
            self.app.notify("nothing is changed, so there is nothing to save", severity="warning")
            return

        def named(name: str | None) -> None:
            if name:
                self.run_worker(self._save(name))

        self.app.push_screen(Typed("save the changed strips as a preset named", "my-preset"), named)

    async def _save(self, name: str) -> None:
        strips = tuple(each for each in self._session.changed if each != MASTER)
        force = False
        while True:
            about = f"{', '.join(strips) or 'master'} of {self._session.source.path.rsplit('/', 1)[-1]}"
            try:
                path = presets.save_own(name, about, self._session, strips, bool(self._session.master), force=force)
            except UnbakeError as error:
                answers = [Answer("r", "replace it")]
                if (
                    force
                    or "exists already" not in error.what
                    or await self.app.push_screen_wait(Ask(error.what, answers)) is None
                ):
                    self.app.notify(error.line(), severity="error", markup=False)
                    return
                force = True
            else:
                self.app.notify(f"saved {path}", markup=False)
                self._presets, self._broken = presets.all_presets()
                self.renew()
                return
