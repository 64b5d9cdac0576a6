"""Diagnosis and presets: what is asked of the analysis process for them, and what is laid over the session."""

from __future__ import annotations

from core.errors import UnbakeError
from core.jobs import messages
from core.session import edits, presets
from core.session.presets import Preset
from tui import actions
from tui.desk.nulling import Nulling


class Diagnosing(Nulling):
    """Presets, measured or not, and what calls for them."""

    def action_panel_presets(self) -> None:
        """Lists the presets; applies one."""
        session = self.bench.session
        if session is None:
            self.editable()
            return
        from tui.panels.presets import PresetsPanel

        def chosen(preset: Preset | None) -> None:
            if preset is None or not self.editable():
                return
            if preset.fits:
                self.preview(preset)
            else:
                self.edit(lambda now: edits.lay(now, preset))

        panel = PresetsPanel(session, self.bench.strip, self._spectra, separated=bool(self.bench.stems))
        self.app.push_screen(panel, chosen)

    def action_panel_diagnosis(self) -> None:
        """What is wrong with the master; previews the preset that treats it, or goes there."""
        bench = self.bench
        if bench.session is None:
            self.editable()
            return
        from tui.panels.diagnosis import DiagnosisPanel, Wish

        def wished(wish: Wish | None) -> None:
            if wish is None or self.bench is not bench:
                return
            if wish.seconds is not None:
                self.look(bench.timeline.at(round(wish.seconds * bench.sample_rate)))
            if wish.preset is not None and self.editable():
                self.preview(presets.find(wish.preset))

        if bench.stems and bench.diagnosis is None:
            self.ask(self._diagnose(), group="diagnosing", once=True)
        self.app.push_screen(DiagnosisPanel(bench, self.jobs, roughly=self.workstation.config.low_bandwidth), wished)

    async def _diagnose(self) -> None:
        from tui.panels.diagnosis import JOB_TITLE

        bench, session, stems = self.bench, self.bench.session, dict(self.bench.stems)
        assert session is not None
        if bench.source_problem is not None:
            raise bench.source_problem
        request = messages.Diagnose(session, {name: str(path) for name, path in stems.items()})
        bench.diagnosing = True
        self._show_diagnosis()
        try:
            found = await self.jobs.run(request, JOB_TITLE, lane="analysis")
        finally:
            bench.diagnosing = False
            self._show_diagnosis()
        if stems == bench.stems:
            bench.diagnosis = found
            self._show_diagnosis()
        if self.bench is bench:
            key = actions.key("panel.diagnosis")
            self.say(f"diagnosis: {len(found.found)} of {len(found.findings)} figures beyond their limits; {key} lists")

    def _show_diagnosis(self) -> None:
        from tui.panels.diagnosis import DiagnosisPanel

        for screen in self.app.screen_stack:
            if isinstance(screen, DiagnosisPanel):
                screen.show_progress()

    def preview(self, preset: Preset) -> None:
        """Shows what a preset would change, once what it leaves open is measured; lays it when that is taken."""
        bench = self.bench
        assert bench.session is not None
        preset.check_stems(bench.session)
        if bench.source_problem is not None:
            raise bench.source_problem
        if not bench.stems:
            raise UnbakeError(
                f"preset {preset.name} measures the stems, and there are none yet",
                remedy=f"{actions.key('panel.separate')} separates",
            )
        from tui.panels.preview import PreviewPanel

        def taken(measured: Preset | None) -> None:
            if measured is not None and self.bench is bench and self.editable():
                self.edit(lambda now: edits.lay(now, measured))

        for name in preset.strips:
            self.want_spectrum(name)  # there by the time the values are
        low = self.workstation.config.low_bandwidth
        self.app.push_screen(PreviewPanel(bench, self.jobs, preset, self._spectra, roughly=low), taken)
