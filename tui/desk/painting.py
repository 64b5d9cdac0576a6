"""How the desk is drawn: state in, widgets told what to show; what has to be computed for it is, on threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from textual import on
from textual.containers import VerticalScroll
from textual.worker import get_current_worker

from core import recent
from core.errors import UnbakeError
from core.jobs import opening
from core.measure import overview as overviews
from core.measure.overview import Overview
from core.measure.spectrogram import spectrogram
from core.measure.spectrum import average_spectrum, log_frequencies
from core.strips.curves import DYNAMICS, static_curve
from core.strips.eq import response_db
from tui.desk import words
from tui.desk.base import PANES, DeskBase
from tui.desk.bench import MASTER, Bench
from tui.desk.chain import chain_rows
from tui.desk.findings import findings
from tui.desk.lanes import Columns as LaneColumns
from tui.desk.lanes import lane_rows, welcome
from tui.desk.messages import Columns, Grown, Painted, Spectrum, Trouble
from tui.widgets.curve import Curve
from tui.widgets.lane import lane_text
from tui.widgets.line import Line, spread
from tui.widgets.meter import Meter
from tui.widgets.rows import Rows
from tui.widgets.ruler import Ruler
from tui.widgets.spectrogram import SpectrogramView
from tui.widgets.transfer import Transfer
from tui.widgets.waveform import Waveform

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCE = "source"
METER_SECONDS = 0.3
SPECTRUM_POINTS = 400
FINDINGS_LINES = 6
"""Lines below the lanes that these leave alone before they grow."""
TALLEST_LANE = 3
LATELY = 6


class Painting(DeskBase):
    """Header, overview, lanes, chain, jobs line, footer."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._device = ""
        self._spectra: dict[str, tuple[NDArray, NDArray]] = {}
        self._asked_spectra: set[str] = set()
        self._painted: tuple[tuple[int, int], int, int] | None = None
        self._columns: Columns | None = None

    def forget_drawings(self) -> None:
        """Forgets what was computed for another file."""
        self._spectra.clear()
        self._asked_spectra.clear()
        self._painted = None
        self._columns = None

    def scan(self, name: str, path: Path) -> None:
        """Reads the overview of a file on a thread, which says every now and then that there is more to draw."""
        bench = self.bench
        known = Overview(bench.timeline.frames)
        bench.overviews[name] = known

        def read() -> None:
            worker = get_current_worker()
            operation = overviews.scan(path, overview=known)
            try:
                for _ in operation:
                    if worker.is_cancelled:
                        return
                    self.post_message(Grown(bench, name))
                self.post_message(Grown(bench, name))
            except UnbakeError as error:
                self.post_message(Trouble(bench, error))
            finally:
                operation.close()

        self.run_worker(read, thread=True, group=f"overview-{name}", exclusive=True)

    @on(Grown)
    def _grown(self, message: Grown) -> None:
        if message.name == SOURCE:
            self.seldom(self.paint_wave)
        self.seldom(self.paint_lanes)

    def on_resize(self) -> None:
        """Everything anew, once the panes have their sizes."""
        self.call_after_refresh(self._arrange)

    def on_screen_resume(self) -> None:
        """A panel went: what changed meanwhile."""
        self.call_after_refresh(self.paint)

    def _arrange(self) -> None:
        """Below a panel Textual lays a screen out by the breakpoints of its old size, and not again."""
        if self.app.screen is not self:
            self._refresh_layout(self.app.size)
        self.paint()

    def on_descendant_focus(self) -> None:
        """The footer is about the pane that keys go to."""
        self.paint_titles()
        self._ground_meters()

    def paint(self) -> None:
        """Draws everything that may have changed; widgets see to it that only that is sent."""
        if not self.is_mounted:
            return
        self.set_class(self._empty, "-empty")
        self.paint_header()
        self.paint_time()
        self.paint_lanes()
        self.paint_chain()
        self.paint_titles()
        self.show_jobs()

    @property
    def _empty(self) -> bool:
        """Whether nothing is open nor about to be."""
        return self.bench.located is None and (self.path is None or self.bench.not_opened is not None)

    def paint_header(self) -> None:
        """File, figures, badge."""
        left, right = words.header(self.bench, self.size.width, self._device)
        self.query_one("#header", Line).show(spread(left, right, self.size.width))

    def paint_titles(self) -> None:
        """Titles of the panes, and the keys of the one that has the focus."""
        here = self.pane if self.bench.located is not None else ""
        mark = {pane: ("▌", "$accent") if pane == here else (" ", "") for pane in PANES}
        self.query_one("#strips-title", Line).show([mark["lanes"], *words.lanes_title(self.bench)])
        self.query_one("#chain-title", Line).show([mark["chain"], *words.chain_title(self.bench)])
        keys = self.workstation.config.keys
        self.query_one("#footer", Line).show(words.footer(self.bench, self.pane, keys, self.size.width))

    def show_jobs(self) -> None:
        """What runs, or what was said last."""
        if self.is_mounted:
            width = self.size.width
            aside = [*words.listening(self.bench), *words.left_out(self.bench, width, self._device)]
            self.query_one("#jobs", Line).show(words.jobs_line(self.workstation.jobs, self.said, aside, width))

    def paint_time(self) -> None:
        """Ruler, waveform or spectrogram, meters."""
        timeline = self.bench.timeline
        ruler = self.query_one("#ruler", Ruler)
        ruler.span(timeline.first, timeline.last, timeline.sample_rate)
        ruler.playhead(timeline.playhead if self.bench.located else None, exact=True)
        loop = timeline.loop
        if loop is None:
            ruler.loop(None, None)
        else:
            ruler.loop(loop.first, loop.last, loop.on)
        ruler.markers([(marker.frame, marker.name) for marker in timeline.markers])
        view = self.query_one("#spectrogram")
        if view.display != self.bench.spectrogram:
            self.query_one("#waveform").display = not self.bench.spectrogram
            view.display = self.bench.spectrogram
            self.call_after_refresh(self.paint_time)  # what came has no size yet
        elif self.bench.spectrogram:
            self._want_spectrogram()
        else:
            self.paint_wave()
        self._paint_meters()

    def paint_playhead(self) -> None:
        """The playhead alone, and the meters, which are about where it is."""
        timeline = self.bench.timeline
        self.query_one("#ruler", Ruler).playhead(timeline.playhead, exact=not self.bench.heard.playing)
        self._paint_meters()

    def paint_wave(self) -> None:
        """The waveform of what is in view: from the pyramid, or from the samples themselves when it is too close."""
        wave, timeline = self.query_one("#waveform", Waveform), self.bench.timeline
        known, located = self.bench.overviews.get(SOURCE), self.bench.located
        wanted = wave.wanted
        if known is None or located is None or not wanted or not timeline.shown:
            wave.draw([], [])
            return
        span = (timeline.first, timeline.last)
        if timeline.shown / wanted < known.frames_per_bin and timeline.shown <= overviews.MAX_READ_FRAMES:
            if self._columns is not None and self._columns.span == span and len(self._columns.low) == wanted:
                wave.draw(self._columns.low, self._columns.high)
            else:
                wave.draw(*known.columns(*span, wanted))
                bench = self.bench
                self.run_worker(
                    lambda: self._read_columns(bench, located, span, wanted),
                    thread=True,
                    group="columns",
                    exclusive=True,
                )
        else:
            wave.draw(*known.columns(*span, wanted))
        loop = timeline.loop
        if loop is None or not loop.on or loop.last <= timeline.first or loop.first >= timeline.last:
            wave.select(None, None)
        else:
            wave.select(self._cell_of(loop.first), self._cell_of(loop.last - 1))

    def paint_lanes(self) -> None:
        """One row a strip, taller where there is room; below them what is changed."""
        lanes, names = self.query_one("#lanes", Rows), self.bench.names
        width, lines = lanes.size.width, self._lane_lines(len(names))
        if self._empty:
            rows = welcome(recent.paths()[:LATELY])
        else:
            rows = lane_rows(self.bench, width, self._small_wave, lines)
        lanes.styles.height = max(1, len(rows) * lines)
        chosen = names.index(self.bench.strip) if self.bench.strip in names else 0
        lanes.show(rows, chosen, pitch=lines, empty="  the session opens once the whole file is read")
        scroll = self.query_one("#lanes-scroll", VerticalScroll)
        height, top = scroll.size.height, chosen * lines
        if height and not scroll.scroll_y <= top <= scroll.scroll_y + height - lines:
            scroll.scroll_to(y=max(0, top - height // 2), animate=False)
        self._place_meters(LaneColumns.within(names, width), lines)
        below = self.query_one("#findings", Rows)
        below.show(findings(self.bench, *below.size))

    def _lane_lines(self, count: int) -> int:
        """Lines of a lane: as many as let all of them be seen beside what is below."""
        height = self.query_one("#body").size.height
        room = height - 1 - FINDINGS_LINES if self.has_class("-wide") else height // 2 - 1
        return min(TALLEST_LANE, max(1, room // count)) if count else 1

    def _place_meters(self, columns: LaneColumns, lines: int) -> None:
        """The meters lie over the room that the lanes leave them: narrow widgets, since they move by themselves."""
        meters, names = self.query_one("#meters"), self.bench.names
        if len(meters.children) != len(names):
            meters.remove_children()
            meters.mount_all([Meter() for _ in names])
        meters.styles.offset = (columns.meter_at, 0)
        meters.styles.width = columns.meter
        for meter in meters.children:
            meter.styles.height = lines
            meter.styles.padding = (0, 0, lines - 1, 0)
        self._ground_meters()
        self._paint_meters()

    def _ground_meters(self) -> None:
        """The chosen lane's ground goes on under its meter."""
        focused = self.query_one("#lanes").has_focus
        for name, meter in zip(self.bench.names, self.query_one("#meters").children, strict=False):
            meter.set_class(name == self.bench.strip and focused, "-cursor")
            meter.set_class(name == self.bench.strip and not focused, "-resting")

    def paint_chain(self) -> None:
        """The chain of the chosen strip, and its equaliser over the spectrum."""
        chain = self.query_one("#chain", Rows)
        rows = chain_rows(self.bench, chain.size.width)
        keys = [row.key for row in rows]
        chain.show(rows, keys.index(self.bench.row) if self.bench.row in keys else 0, empty="")
        self._paint_curve()

    def _paint_curve(self) -> None:
        curve, transfer = self.query_one("#curve", Curve), self.query_one("#transfer", Transfer)
        name = SOURCE if self.bench.strip == MASTER else self.bench.strip
        dynamic = isinstance(self.bench.chosen, DYNAMICS)
        equalised = bool(self.bench.equalisers) or self._sound_of(name) is not None
        shows = self.bench.session is not None and not dynamic and equalised
        if (curve.display, transfer.display) != (shows, dynamic):
            curve.display, transfer.display = shows, dynamic
            self.call_after_refresh(self.paint_chain)  # the chain has another width
            return
        if dynamic:
            self._paint_transfer()
            return
        count = curve.wanted
        if self.bench.session is None or not count:
            return
        freqs_hz = log_frequencies(count, high_hz=min(20_000.0, 0.49 * self.bench.sample_rate))
        equalisers = self.bench.equalisers
        gain_db = response_db(equalisers, freqs_hz, self.bench.sample_rate) if equalisers else None
        known = self._spectra.get(name)
        before_db = after_db = None
        if known is not None:
            before_db = np.interp(np.log(freqs_hz), np.log(known[0]), known[1])
            whole = all(band.placement == "all" for band in equalisers)
            after_db = before_db + gain_db if gain_db is not None and gain_db.any() and whole else None
        else:
            self.want_spectrum(name)
        curve.draw(freqs_hz, gain_db, before_db, after_db)
        curve.mark(getattr(self.bench.chosen, "freq_hz", None))

    def _paint_transfer(self) -> None:
        """What the chosen processor of dynamics makes of levels."""
        transfer, chosen = self.query_one("#transfer", Transfer), self.bench.chosen
        found = static_curve(chosen, max(2, transfer.wanted)) if chosen is not None else None
        if found is not None:
            transfer.draw(found.heard, found.heard_db, found.gain_db, of_levels=found.of_levels, mark_db=found.mark_db)
        self.paint_moved()

    def paint_moved(self) -> None:
        """How far the chosen processor moves its gain just now."""
        bench = self.bench
        found = (each.moved_db for each in bench.heard.moved if (each.strip, each.place) == (bench.strip, bench.place))
        self.query_one("#transfer", Transfer).move(next(found, None))

    def want_spectrum(self, name: str) -> None:
        """Measures the spectrum of a strip's stem (or of the source) on a thread, unless it is known or asked for."""
        bench, path = self.bench, self._sound_of(name)
        if path is None or name in self._asked_spectra or name in self._spectra:
            return
        self._asked_spectra.add(name)
        first, last = bench.timeline.region
        freqs_hz = log_frequencies(SPECTRUM_POINTS, high_hz=min(20_000.0, 0.49 * self.bench.sample_rate))

        def measure() -> None:
            try:
                levels_db = average_spectrum(path, first, last, freqs_hz)
            except UnbakeError as error:
                self.post_message(Trouble(bench, error))
            else:
                self.post_message(Spectrum(bench, name, path, freqs_hz, levels_db))

        self.run_worker(measure, thread=True, group="spectrum")

    @on(Spectrum)
    def _measured_spectrum(self, message: Spectrum) -> None:
        self._asked_spectra.discard(message.name)
        if message.path == self._sound_of(message.name):
            self._spectra[message.name] = (message.freqs_hz, message.levels_db)
        self._paint_curve()

    def _want_spectrogram(self) -> None:
        view, timeline, located = (
            self.query_one("#spectrogram", SpectrogramView),
            self.bench.timeline,
            self.bench.located,
        )
        columns, rows = view.wanted
        span = (timeline.first, timeline.last)
        if located is None or not columns or not rows or self._painted == (span, columns, rows):
            return
        self._painted = (span, columns, rows)
        bench = self.bench

        def compute() -> None:
            worker = get_current_worker()
            operation = spectrogram(located.source, *span, columns, rows)
            try:
                opening.check_as_found(located)
                while True:
                    next(operation)
                    if worker.is_cancelled:
                        return
            except StopIteration as stop:
                self.post_message(Painted(bench, span, stop.value))
            except UnbakeError as error:
                self.post_message(Trouble(bench, error))
            finally:
                operation.close()

        self.run_worker(compute, thread=True, group="spectrogram", exclusive=True)

    @on(Painted)
    def _spectrogram_painted(self, message: Painted) -> None:
        timeline, levels = self.bench.timeline, message.levels
        if message.span == (timeline.first, timeline.last):
            self.query_one("#spectrogram", SpectrogramView).draw(levels.levels_db, *levels.freqs_hz[[0, -1]])

    def _read_columns(self, bench: Bench, located: opening.Located, span: tuple[int, int], count: int) -> None:
        try:
            opening.check_as_found(located)
            low, high = overviews.read_columns(located.source, *span, count)
        except UnbakeError as error:
            self.post_message(Trouble(bench, error))
        else:
            self.post_message(Columns(bench, span, low, high))

    @on(Columns)
    def _columns_read(self, message: Columns) -> None:
        self._columns = message
        self.paint_wave()

    def _small_wave(self, name: str, cells: int, lines: int) -> Sequence[str]:
        known, timeline = self.bench.overviews.get(SOURCE if name == MASTER else name), self.bench.timeline
        if known is None or not timeline.shown:
            return ("",) * lines
        glyphs = Waveform.glyphs
        return lane_text(*known.columns(timeline.first, timeline.last, cells * glyphs.across), glyphs, lines)

    def _paint_meters(self) -> None:
        timeline = self.bench.timeline
        window = METER_SECONDS * timeline.sample_rate
        for name, meter in zip(self.bench.names, self.query_one("#meters").query(Meter), strict=False):
            known = self.bench.overviews.get(SOURCE if name == MASTER else name)
            meter.show(None if known is None else known.peak_db(timeline.playhead, window))

    def _sound_of(self, name: str) -> Path | None:
        located = self.bench.located
        if name == SOURCE:
            return None if located is None else located.source
        return self.bench.sounds.get(name)

    def _cell_of(self, frame: int) -> int:
        timeline = self.bench.timeline
        return int((frame - timeline.first) / max(1, timeline.shown) * self.query_one("#waveform").size.width)
