"""What the clean-up bench shows: the steps, and a stretch of sound before, after, and what was taken away.

It draws what the desk's state says. Spectrograms are computed on a thread, once for each stretch and list of steps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from core.errors import UnbakeError
from core.session.cleaning import Step, removed_name
from core.session.document import Session
from tui import actions
from tui.desk import taken, words
from tui.desk.bench import MASTER, Bench, Insert, Value
from tui.desk.taken import SOURCE
from tui.desk.timeline import Timeline
from tui.panels import cleanupwords
from tui.panels.cleanupwords import RowKey, Shown
from tui.panels.hints import Hint, hint_lines
from tui.panels.over import OverDesk
from tui.panels.panel import wrapped
from tui.widgets.line import Line, Piece, spread
from tui.widgets.rows import Rows
from tui.widgets.ruler import Ruler
from tui.widgets.spectrogram import SpectrogramView

if TYPE_CHECKING:
    from core.jobs.cleanup_picture import Views
    from tui.desk.cleaning import Cleaning, Part

QUIET = "$foreground 65%"
AROUND_SECONDS = 2.0
"""So much on either side of the playhead is shown and heard where there is no loop."""
MOST_SECONDS = 30.0
"""Of a longer loop so much is shown."""
ABREAST_FROM_CELLS = 108
"""From so many on, before, after and what is taken away stand side by side."""
ABOUT_LINES = 2
HINT_LINES = 2
LOW_LINES = 18
VIEWS = ("before", "after", "removed")
VIEW_TITLES = {"before": "before", "after": "after", "removed": "taken away"}
HINTS: tuple[Hint, ...] = (
    ("cleanup.propose",),
    ("cleanup.add",),
    ("cleanup.carry_out",),
    ("cleanup.before",),
    ("cleanup.after",),
    ("cleanup.removed",),
    ("cleanup.toggle",),
    ("cleanup.less", "cleanup.more", "value"),
    ("cleanup.apply",),
    ("cleanup.bypass",),
    ("cleanup.remove",),
    ("cleanup.up", "cleanup.down", "move"),
    ("cleanup.alone",),
    ("cleanup.view",),
    ("cleanup.target", "stem"),
    ("cleanup.presets",),
    ("cleanup.type",),
    ("cleanup.undo",),
    ("cleanup.loop_first", "cleanup.loop_last", "loop"),
    ("cleanup.back_5", "cleanup.forward_5", "5 s"),
    ("cleanup.flip",),
)
LAST_HINTS: tuple[Hint, ...] = (("cleanup.help",), ("cleanup.stop",))


class Asked(NamedTuple):
    """What a picture is of. `steps` and `files` are what is subtracted; no steps where they were not carried out."""

    path: Path
    span: tuple[int, int]
    size: tuple[int, int]
    steps: tuple[Step, ...] | None
    files: tuple[Path, ...] = ()


class View(Vertical):
    """One of the spectrograms, with its times above."""

    def __init__(self, name: str) -> None:
        super().__init__(id=f"view-{name}")

    def compose(self) -> ComposeResult:
        """What it is, times, levels."""
        yield Line(classes="view-title")
        yield Ruler(compact=True)
        yield SpectrogramView()


class CleanupView(OverDesk[None]):
    """Subclasses give keys."""

    DEFAULT_CSS = """
    CleanupView {
        & > Vertical { width: 100%; height: 100%; background: $background; }
        & .title { background: $panel; }
        & #steps { height: auto; min-height: 3; max-height: 42%; background: $surface; }
        & #about { height: ABOUT; width: 1fr; padding: 0 1; color: $foreground 80%; background: $surface; }
        & #views { height: 1fr; min-height: 4; }
        & View { width: 1fr; height: 1fr; }
        & View.-beside { border-left: solid $panel; }
        & .view-title { background: $panel; }
        & #going-on { background: $surface; }
        & .keys { background: $panel; height: HINTS; width: 1fr; }
    }
    CleanupView.-low {
        & #about { display: none; }
        & #steps { max-height: 34%; }
    }
    """.replace("HINTS", str(HINT_LINES)).replace("ABOUT", str(ABOUT_LINES))

    class Pictured(Message):
        """Spectrograms that were computed."""

        def __init__(self, asked: Asked, views: Views) -> None:
            super().__init__()
            self.asked, self.views = asked, views

    class NotPictured(Message):
        """Spectrograms that can't be had."""

        def __init__(self, error: UnbakeError) -> None:
            super().__init__()
            self.error = error

    def __init__(self, bench: Bench, desk: Cleaning) -> None:
        super().__init__()
        self._bench = bench
        self._desk = desk
        self._on_stem = False
        self._row: RowKey | None = None
        self._unfolded: int | None = None
        self._alone = False
        self._view = "after"
        self._span = stretch(bench.timeline)
        """What is heard over and over."""
        self._drawn = shown_of(self._span, bench.timeline)
        self._asked: Asked | None = None
        self._pictured: CleanupView.Pictured | None = None

    # ---- what there is ------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The document."""
        assert self._bench.session is not None
        return self._bench.session

    @property
    def timeline(self) -> Timeline:
        """The desk's."""
        return self._bench.timeline

    @property
    def target(self) -> str:
        """What is cleaned: the source, or the strip that is chosen on the desk."""
        return self._bench.strip if self._on_stem and self._bench.strip not in ("", MASTER) else SOURCE

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those of the target."""
        return taken.steps_of(self.session, self.target)

    @property
    def place(self) -> int | None:
        """Which step is chosen; None where there is none, or something else is."""
        place = self._row.place if isinstance(self._row, (Insert, Value)) else None
        return place if place is not None and place < len(self.steps) else None

    @property
    def alone(self) -> int | None:
        """The one step that is heard and shown; None for all."""
        return self.place if self._alone else None

    @property
    def composed(self) -> bool:
        """Whether there is anything to draw on yet."""
        return bool(self.query("#steps")) and bool(self.query(SpectrogramView))

    @property
    def shown(self) -> Shown:
        """What the list is made of."""
        from core.cleanup.proposal import PROPOSED_FROM

        target, steps = self.target, self.steps
        path, damage = self._bench.damage.get(target, (None, []))
        return Shown(
            steps=steps,
            known=tuple(self._desk.known_of(target, place) for place in range(len(steps))),
            damage=damage if path == self._desk.heard_by(target) else [],
            sure_from=PROPOSED_FROM,
            target=target,
            chosen=self._row,
            unfolded=self._unfolded,
            sample_rate=self._bench.sample_rate,
        )

    # ---- what is drawn ------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Title, steps, the chosen line in full, pictures, what is going on, keys."""
        with Vertical():
            yield Line(classes="title")
            yield Rows(id="steps")
            yield Static("", id="about", markup=False)
            with Horizontal(id="views"):
                for name in VIEWS:
                    yield View(name)
            yield Line(id="going-on")
            yield Static("", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The first drawing, once there is room."""
        self.set_focus(self.query_one("#steps"))
        self.call_after_refresh(self.renew)

    def on_resize(self) -> None:
        """Everything anew; where there is little room, without what is said of the chosen line."""
        self.set_class(self.size.height < LOW_LINES, "-low")
        self.call_after_refresh(self.renew)

    def on_screen_resume(self) -> None:
        """A form went."""
        self.call_after_refresh(self.renew)

    def renew(self) -> None:
        """Draws everything."""
        if not self._drawable:
            return
        self._settle()
        shown = self.shown
        self._draw_steps(shown)
        self._draw_title(shown)
        self._draw_going_on()
        self._draw_keys()
        self._draw_views()

    def show_progress(self) -> None:
        """The player or a job got on."""
        if self.composed:
            self._desk.seldom(self._draw_moving)

    @property
    def _drawable(self) -> bool:
        return self.is_attached and self.composed and self._bench.session is not None

    def _draw_moving(self) -> None:
        if self._drawable:
            self._draw_title(self.shown)
            self._draw_going_on()
            self._draw_playhead()

    def _settle(self) -> None:
        """Keeps the cursor on a line that there is, and a step unfolded that there is."""
        steps = self.steps
        if self._unfolded is not None and self._unfolded >= len(steps):
            self._unfolded = len(steps) - 1 if steps else None
        keys = [row.key for row in cleanupwords.rows(self.shown, 80) if row.choice]
        if self._row not in keys:
            last = Insert(len(steps) - 1)
            gone = isinstance(self._row, (Insert, Value)) and self._row.place >= len(steps)
            wanted = last if gone and steps else next((key for key in keys), None)
            self._row = wanted if isinstance(wanted, (Insert, Value, cleanupwords.Seen)) else None
        if isinstance(self._row, Insert):
            self._unfolded = self._row.place

    def _draw_steps(self, shown: Shown) -> None:
        shown = shown._replace(chosen=self._row, unfolded=self._unfolded)
        steps = self.query_one("#steps", Rows)
        rows = cleanupwords.rows(shown, self.size.width)
        keys = [row.key for row in rows]
        steps.styles.height = len(rows)
        steps.show(rows, keys.index(self._row) if self._row in keys else 0)
        lines = wrapped(cleanupwords.about_row(shown), max(20, self.size.width - 3))
        if len(lines) > ABOUT_LINES:
            lines = [*lines[: ABOUT_LINES - 1], f"{lines[ABOUT_LINES - 1]} …"]
        self.query_one("#about", Static).update("\n".join(lines))

    def _draw_title(self, shown: Shown) -> None:
        bench = self._bench
        source = None if bench.located is None else bench.located.source
        left = cleanupwords.title(self.target, source, shown, cleaning=bench.cleaning, finding=bench.finding_damage)
        beside = self._desk.heard_beside
        heard = f"playing: {beside}" if beside else "".join(words.listening(bench)[:1])
        right: list[Piece] = [
            (f"{heard}  " if heard else "", "$accent" if bench.heard.playing else QUIET),
            ("step alone " if self._alone else "all steps ", "$warning bold" if self._alone else QUIET),
        ]
        self.query_one(".title", Line).show(spread(left, right, self.size.width))

    def _draw_going_on(self) -> None:
        line = words.jobs_line(self._desk.jobs, self._desk.said, (), self.size.width)
        self.query_one("#going-on", Line).show(line)

    def _draw_keys(self) -> None:
        keymap = self._desk.workstation.keymap
        pieces = hint_lines(HINTS, LAST_HINTS, keymap, self.size.width, HINT_LINES)
        self.query_one(".keys", Static).update(Content.assemble(*pieces))

    # ---- pictures -----------------------------------------------------------------------------------------------

    def _draw_views(self) -> None:
        abreast = self.size.width >= ABREAST_FROM_CELLS and not self._desk.workstation.config.low_bandwidth
        before = [view.display for view in self.query(View)]
        for number, name in enumerate(VIEWS):
            view = self.query_one(f"#view-{name}", View)
            view.display = abreast or name == self._view
            view.set_class(abreast and number > 0, "-beside")
        if before != [view.display for view in self.query(View)]:
            self.call_after_refresh(self._draw_views)  # what came has no size yet
            return
        self._draw_playhead()
        self._want_picture()
        self._draw_picture()

    def _draw_playhead(self) -> None:
        timeline, playing = self.timeline, self._bench.heard.playing
        for view in self.query(View):
            if view.display:
                ruler = view.query_one(Ruler)
                ruler.span(*self._drawn, timeline.sample_rate)
                ruler.playhead(timeline.playhead, exact=not playing)

    def _want_picture(self) -> None:
        path = self._desk.heard_by(self.target)
        size = next(view.query_one(SpectrogramView).wanted for view in self.query(View) if view.display)
        if path is None or not all(size) or self._drawn[0] >= self._drawn[1]:
            return
        parts = self._desk.parts_of(self.target, self.alone)
        asked = asked_for(path, self._drawn, size, parts)
        if asked != self._asked:
            self._asked = asked
            self.run_worker(functools.partial(self._compute, asked), thread=True, group="picture", exclusive=True)

    def _compute(self, asked: Asked) -> None:
        from core.jobs.cleanup_picture import views_of

        worker = get_current_worker()
        files = {removed_name(number): path for number, path in enumerate(asked.files)}
        operation = views_of(asked.path, asked.steps, files, asked.span, *asked.size)
        try:
            while not worker.is_cancelled:
                next(operation)
        except StopIteration as stop:
            self.post_message(self.Pictured(asked, stop.value))
        except UnbakeError as error:
            self.post_message(self.NotPictured(error))
        finally:
            operation.close()

    @on(Pictured)
    def _picture_came(self, message: Pictured) -> None:
        if message.asked == self._asked:
            self._pictured = message
            if self._drawable:
                self._draw_picture()

    @on(NotPictured)
    def _no_picture(self, message: NotPictured) -> None:
        self._desk.complain(message.error)

    def _draw_picture(self) -> None:
        """What is known of the stretch; while another one is computed, nothing is claimed to be it."""
        known = self._pictured
        fits = known is not None and self._asked is not None and known.asked == self._asked
        for name in VIEWS:
            view = self.query_one(f"#view-{name}", View)
            if not view.display:
                continue
            levels = known.views.of(name) if known is not None and fits else None
            picture = view.query_one(SpectrogramView)
            low, high = (20.0, 20_000.0) if known is None else known.views.before.freqs_hz[[0, -1]]
            if levels is not None and known is not None:
                picture.draw(levels.levels_db, low, high, top_db=known.views.top_db)
            else:
                picture.draw([[float("nan")]], low, high)
            view.query_one(".view-title", Line).show(self._view_title(name, there=levels is not None))

    def _view_title(self, name: str, *, there: bool) -> list[Piece]:
        said = ""
        if self._desk.heard_by(self.target) is None:
            said = f"there is no stem yet: {actions.key('panel.separate')} on the desk separates"
        elif not there and self._asked is not None and name != "before" and self._asked.steps is None:
            said = f"not carried out: {actions.key('cleanup.carry_out')} does it"
        elif not there:
            said = "being drawn"
        elif self._asked is not None and self._asked.steps == () and name != "before":
            said = "nothing is taken away"
        which = f" of step {self.alone + 1} alone" if self.alone is not None and name != "before" else ""
        return [(f" {VIEW_TITLES[name]}{which}", "$secondary bold"), (f"  {said}", QUIET)]


def asked_for(path: Path, span: tuple[int, int], size: tuple[int, int], parts: Sequence[Part] | None) -> Asked:
    """The picture of a stretch, with what was taken away from it where that is known."""
    if parts is None:
        return Asked(path, span, size, None)
    return Asked(path, span, size, tuple(part.step for part in parts), tuple(part.path for part in parts))


def stretch(timeline: Timeline) -> tuple[int, int]:
    """The frames that are heard over and over: the loop, or four seconds around the playhead."""
    if timeline.loop is not None and timeline.loop.on:
        return timeline.loop.first, timeline.loop.last
    around = round(AROUND_SECONDS * timeline.sample_rate)
    first = min(max(0, timeline.playhead - around), max(0, timeline.frames - 2 * around))
    return first, min(timeline.frames, first + 2 * around)


def shown_of(span: tuple[int, int], timeline: Timeline) -> tuple[int, int]:
    """What is drawn of a stretch: all of it, or as much of a long one around the playhead as can be read at once."""
    most = round(MOST_SECONDS * timeline.sample_rate)
    if span[1] - span[0] <= most:
        return span
    first = min(max(span[0], timeline.playhead - most // 2), span[1] - most)
    return first, first + most
