"""What a preset would change, before anything is: measured values with their reasons, differences, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from textual.app import ComposeResult
from textual.containers import Vertical

from core.errors import UnbakeError
from core.jobs import messages
from core.measure.spectrum import log_frequencies
from core.session import changes, edits, words
from core.session.document import Session
from core.session.presets import Preset
from core.session.processors import Processor
from core.strips.curves import DYNAMICS, static_curve
from core.strips.eq import response_db
from tui.desk.bench import Bench, bands_of, part_of
from tui.jobs import Jobs, JobStoppedError
from tui.panels.panel import Panel, Result, heading, paragraph
from tui.widgets.curve import Curve
from tui.widgets.line import Piece
from tui.widgets.rows import Cell, Row
from tui.widgets.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.diagnosis.fitting import FittedPreset
    from core.session.fits import Value

SIGNS = {"added": ("+", "good"), "removed": ("-", "bad"), "changed": ("~", "accent")}
CURVE_LINES = 9
Spectra = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Frequencies in Hz and levels in dB of stems, by strip name, as far as they are known."""
NO_SPECTRA: Spectra = MappingProxyType({})


def difference(found: changes.Difference) -> Row:
    """What is or would be otherwise, with a sign before it."""
    sign, style = SIGNS[found.kind]
    return Row((Cell("  "), Cell(sign, style, 2), Cell(found.line)), key=found.where)


def measuring(jobs: Jobs, title: str, *, roughly: bool) -> str:
    """How far a measurement is, in words; in tens of per cent over a slow line."""
    job = next((each for each in jobs.on("analysis") if each.title == title), None)
    if job is None or job.share is None:
        return "measuring ..."
    step = 10 if roughly else 1
    return f"measuring ... {round(100 * job.share / step) * step}%"


class Comparing(Panel[Result]):
    """A panel with room for a curve below: that of one session beside that of another, of one strip."""

    DEFAULT_CSS = """
    Comparing {
        & #curves { height: LINES; border-top: solid $panel; display: none; }
    }
    """.replace("LINES", str(CURVE_LINES))

    def __init__(self, sample_rate: int, spectra: Spectra) -> None:
        super().__init__()
        self._sample_rate = sample_rate
        self._spectra = spectra
        self._compared: tuple[Session, Session, str] | None = None

    def below(self) -> ComposeResult:
        """The curves: of equalisers, or of what follows levels."""
        with Vertical(id="curves"):
            yield Curve()
            yield Transfer()

    def compare(self, before: Session, after: Session, strip: str) -> None:
        """Shows what the chain of a strip does and would do; nothing where the two do the same."""
        if strip != edits.MASTER and strip not in edits.strip_names(after):  # such as the clean-up
            self.compare_nothing()
            return
        self._compared = before, after, strip
        chains = edits.chain_of(before, strip), edits.chain_of(after, strip)
        equalised, moving = _equalised(chains), _new_dynamics(chains)
        shows = chains[0] != chains[1] and (equalised or moving is not None)
        curves, gain, moves = self.query_one("#curves"), self.query_one(Curve), self.query_one(Transfer)
        if (curves.display, gain.display, moves.display) != (shows, equalised, not equalised):
            curves.display, gain.display, moves.display = shows, equalised, not equalised
            self.call_after_refresh(self._draw)
        self._draw()

    def compare_nothing(self) -> None:
        """Shows no curve."""
        self._compared = None
        self.query_one("#curves").display = False

    def _fit(self, lines: int) -> None:
        super()._fit(lines + (CURVE_LINES if self.query_one("#curves").display else 0))

    def _draw(self) -> None:
        if self._compared is None or not self.is_mounted:
            return
        before, after, strip = self._compared
        chains = edits.chain_of(before, strip), edits.chain_of(after, strip)
        gain, moves = self.query_one(Curve), self.query_one(Transfer)
        if _equalised(chains) and gain.wanted > 1:
            freqs_hz = log_frequencies(gain.wanted, high_hz=min(20_000.0, 0.49 * self._sample_rate))
            part = part_of((*chains[1], *chains[0]))
            is_db, would_be_db = (
                response_db([band for band in bands_of(chain, part) if band.active], freqs_hz, self._sample_rate)
                for chain in chains
            )
            known = self._spectra.get(strip)
            stem_db = None if known is None else np.interp(np.log(freqs_hz), np.log(known[0]), known[1])
            gain.draw(freqs_hz, would_be_db, stem_db, None, is_db)
        processor = _new_dynamics(chains)
        found = None if processor is None else static_curve(processor, max(2, moves.wanted))
        if found is not None:
            moves.draw(found.heard, found.heard_db, found.gain_db, of_levels=found.of_levels, mark_db=found.mark_db)

    def on_resize(self) -> None:
        """Curves have as many points as there is room for. Textual calls the one of `Panel`, too."""
        self.call_after_refresh(self._draw)


def _equalised(chains: Iterable[Sequence[Processor]]) -> bool:
    return any(band.active for chain in chains for band in bands_of(chain, part_of(chain)))


def _new_dynamics(chains: tuple[Sequence[Processor], Sequence[Processor]]) -> Processor | None:
    """The first processor of dynamics that only the second chain has."""
    found = (each for each in chains[1] if isinstance(each, DYNAMICS) and each.active and each not in chains[0])
    return next(found, None)


class PreviewPanel(Comparing[Preset | None]):
    """Measures what a preset leaves open, shows what it would change, and gives it, with its values, when it is taken.

    Until then nothing is changed; closed while it measures, it stops.
    """

    choice_title = "apply"
    hints: ClassVar[tuple[str, ...]] = ("list.choose", "list.close")

    def __init__(
        self, bench: Bench, jobs: Jobs, preset: Preset, spectra: Spectra = NO_SPECTRA, *, roughly: bool = False
    ) -> None:
        super().__init__(bench.sample_rate, spectra)
        assert bench.session is not None
        self._session = bench.session
        self._strip = bench.strip
        self._stems = {name: str(path) for name, path in bench.stems.items()}
        self._jobs = jobs
        self._preset = preset
        self._roughly = roughly
        self._fitted: FittedPreset | None = None
        self._after: Session | None = None
        self._differences: tuple[changes.Difference, ...] = ()
        self.title_text = f"preset {preset.name}"
        self._job_title = f"measuring for {preset.name}"
        self.empty = "measuring ..."

    def begin(self) -> None:
        """Measures."""
        self.run_worker(self._measure())

    async def _measure(self) -> None:
        request = messages.FitPreset(self._preset, self._session, self._stems)
        try:
            self._fitted = await self._jobs.run(request, self._job_title, lane="analysis", quiet=True)
            assert self._fitted is not None
            self._after = edits.lay(self._session, self._fitted.preset).session
        except JobStoppedError:
            self.dismiss(None)
        except UnbakeError as error:
            self.app.notify(error.line(), severity="error", markup=False)
            self.dismiss(None)
        else:
            self._differences = changes.differences(self._session, self._after)
            self.renew()
            self._choose_strip()

    def _choose_strip(self) -> None:
        """The cursor on what would change on the strip that was chosen on the desk, if anything would."""
        keys = [row.key for row in self.list.rows]
        if self._strip in keys:
            self.list.choose(keys.index(self._strip))
            self._renew_detail()

    def show_progress(self) -> None:
        """The measurement got on."""
        if self._fitted is None and self.composed:
            said = measuring(self._jobs, self._job_title, roughly=self._roughly)
            self.list.show([], empty=f"  {said}")

    def about(self) -> list[Piece]:
        """That nothing is changed yet."""
        return [("  nothing is changed yet", "$foreground 60%")]

    def rows(self) -> list[Row]:
        """Measured values with their reasons, then what they would change."""
        if self._fitted is None or self._after is None:
            return []
        rows = [heading("measured"), *_measured(self._fitted.values, self.room)]
        rows.append(heading("would change"))
        rows += [difference(each) for each in self._differences]
        if not self._differences:
            rows.append(Row((Cell("  nothing: there is nothing here that it would treat", "dim"),)))
        elif all(value.value is None for value in self._fitted.values):
            rows.append(Row((Cell("  that is what it sets without measuring; the rest stays", "dim"),), choice=False))
        return rows

    def detail(self, key: object) -> Sequence[Row]:
        """The curve of the strip that the chosen line is about."""
        if self._after is not None and isinstance(key, str):
            self.compare(self._session, self._after, key)
        else:
            self.compare_nothing()
        return self.unread()

    def choose(self, key: object) -> None:
        """Gives the preset with its values, if they change anything."""
        del key
        if self._fitted is None:
            return
        if not self._differences:
            self.app.notify(f"preset {self._preset.name} would change nothing here", markup=False)
        self.dismiss(self._fitted.preset if self._differences else None)


def _measured(values: Sequence[Value], room: int) -> list[Row]:
    """Every measured figure with the values that follow from it: one that several strips share is said once."""
    rows: list[Row] = []
    for line in words.of_fits(values):
        owner, _, said = line.partition(": ")
        rows += paragraph(owner, said, room, cells=len(owner) + 2)
    return rows
