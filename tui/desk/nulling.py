"""The null panels: opened over the desk, told what is new, and what they have the player do."""

from __future__ import annotations

from pathlib import Path

from core.audio.outputs import default_output_path, output_format
from core.jobs import messages
from tui.desk.proving import Proving
from tui.panels.ask import Typed


class Nulling(Proving):
    """What is left when one sound is taken from another, to be looked at and heard."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._heard_before: tuple[frozenset[str], frozenset[str]] | None = None
        """Solo and mute as they were before a panel had one strip be heard alone."""

    def action_panel_null(self) -> None:
        """The change of the session as an instrument, and the file of its last render."""
        from tui.panels.null import NullPanel

        if self.bench.session is not None:
            self.app.push_screen(NullPanel(self.bench, self), lambda _: self.hear_alone(None))
            self.check_soon()

    def renew_null(self) -> None:
        """What a null panel shows was measured again, or holds no more."""
        from tui.panels.null import NullPanel

        for screen in self.app.screen_stack:
            if isinstance(screen, NullPanel) and screen.composed:
                screen.renew()

    def hear_alone(self, strip: str | None) -> None:
        """Has one strip be heard alone as long as a panel wants it; None has what was heard before."""
        bench = self.bench
        if strip is not None and strip not in bench.sounds:
            return
        if strip is not None:
            self._heard_before = self._heard_before or (bench.solo, bench.mute)
            bench.solo, bench.mute = frozenset({strip}), frozenset()
        elif self._heard_before is not None:
            (bench.solo, bench.mute), self._heard_before = self._heard_before, None
        self.remember()
        self.paint_lanes()
        self.hear_again()

    def action_file_compare(self) -> None:
        """Null test against another file."""
        located = self.bench.located
        if located is None:
            self.editable()
            return
        rendered = self.bench.rendered
        fmt = output_format(located.info, None, None)
        other = default_output_path(located.source, fmt) if rendered is None else rendered.certificate.output

        def taken(path: str | None) -> None:
            if path:
                self.ask(self._compare(located.source, Path(path).expanduser()))

        self.app.push_screen(Typed(f"null test of {located.source.name} against", str(other)), taken)

    async def _compare(self, a: Path, b: Path) -> None:
        from tui.panels.null import ComparisonPanel

        request = messages.NullTest(a=str(a), b=str(b), threshold_dbfs=None, align=True)
        report = await self.jobs.run(request, f"null test against {b.name}", lane="analysis")
        self.app.push_screen(ComparisonPanel(self.bench, self, a, b, report), lambda _: self.hear_alone(None))
