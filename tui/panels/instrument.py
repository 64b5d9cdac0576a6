"""A residual as an instrument: its spectrum beside the sound's, its course over time, its worst place to go to.

A list whose lines choose what is drawn. It goes on while something plays, and when what it shows is measured again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.geometry import Size
from textual.widgets import Input

from core.audition import messages as player
from tui import actions
from tui.desk import words
from tui.desk.bench import Bench
from tui.desk.timeline import Timeline
from tui.panels.panel import LINES_AROUND, Panel
from tui.panels.residuals import Residual, choice, columns, course_scale, spectrum_scale
from tui.widgets.line import Line, Piece, spread
from tui.widgets.residual import BandChart, CourseChart, label_columns
from tui.widgets.rows import Row, Rows
from tui.widgets.ruler import Ruler

WIDEST = 200
QUIET = "$foreground 60%"
ABREAST_FROM_COLUMNS = 144
"""From so many on, the drawings stand beside the list."""
LIST_COLUMNS = 92
"""Of the list beside the drawings, at most; it takes half of a screen that is narrower."""
DRAWN_FROM_LINES = 14
"""Lower screens have room for the list only."""
TALL_FROM_LINES = 36
LEAST_DRAWN_LINES = 15
BEFORE_SECONDS = 0.5
"""So much of what comes before the worst place is played, too: an ear wants to hear it come."""


class Ears(Protocol):
    """What an instrument asks of the desk it lies over: to go to a place, and to play."""

    def look(self, timeline: Timeline) -> None:
        """Goes to another place."""
        ...

    def order(self, order: player.Order) -> bool:
        """Tells the player; gives whether there is anything to hear."""
        ...

    def hear_alone(self, strip: str | None) -> None:
        """Has one strip be heard alone; None has what was heard before."""
        ...

    def seldom(self, draw: Callable[[], None]) -> None:
        """Draws what moves by itself: at once, or over a slow line now and then."""
        ...

    def action_play_toggle(self) -> None:
        """Plays from the playhead, or stops."""
        ...

    def action_hear_source(self) -> None:
        """Listens to the source."""
        ...

    def action_hear_repair(self) -> None:
        """Listens to the repair."""
        ...

    def action_hear_difference(self) -> None:
        """Listens to the difference."""
        ...


class Instrument(Panel[None]):
    """Subclasses give `residuals`, `figures`, and say what can be gone to and heard."""

    DEFAULT_CSS = """
    Instrument {
        & > Vertical { max-width: WIDEST; }
        & #instrument { height: 1fr; layout: vertical; }
        & #figures { height: 1fr; }
        & Ruler { height: 1; }
        & CourseChart { height: 4; }
        & BandChart { height: 1fr; }
    }
    Instrument.-abreast {
        & #instrument { layout: horizontal; }
        & #drawings { width: 1fr; }
        & #figures { width: LIST; max-width: 50%; border-left: solid $panel; }
    }
    Instrument.-tall { & Ruler { height: 2; } & CourseChart { height: 30%; } }
    """.replace("WIDEST", str(WIDEST)).replace("LIST", str(LIST_COLUMNS))
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("null")]
    choice_title = "go to the worst"

    def __init__(self, bench: Bench, ears: Ears) -> None:
        super().__init__()
        self._bench = bench
        self._ears = ears
        self._shown = ""
        """The key of the residual that is drawn."""
        self._most: dict[tuple[Size, object], int] = {}
        """The most lines that the list had, by size and view."""

    # ---- what subclasses say ------------------------------------------------------------------------------------

    def residuals(self) -> Sequence[Residual]:
        """What can be looked at, the whole of it first; none where nothing is measured."""
        raise NotImplementedError

    def figures(self) -> Sequence[Row]:
        """What is known beside them."""
        raise NotImplementedError

    @property
    def view(self) -> object:
        """Which of several lists is shown."""
        return None

    @property
    def reachable(self) -> bool:
        """Whether places of what is shown are places of what is open."""
        return True

    @property
    def audible(self) -> bool:
        """Whether what is shown is what the difference would be heard as."""
        return False

    @property
    def seconds(self) -> float:
        """How long what is shown is."""
        return self._bench.timeline.frames / self._bench.sample_rate

    # ---- what is drawn ------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Title, drawings, list and details, keys."""
        with Vertical():
            yield Line(classes="title")
            with Container(id="instrument"):
                with Vertical(id="drawings"):
                    yield BandChart()
                    yield Ruler()
                    yield CourseChart()
                with Vertical(id="figures"):
                    field = Input(placeholder="words that a line must hold", id="filter")
                    field.cursor_blink = False
                    yield field
                    yield Rows(id="list", empty=f"  {self.empty}")
                    yield Rows(id="detail")
            yield Line(classes="keys")

    def begin(self) -> None:
        """The first drawing, once there is room for one."""
        self._arrange()

    @property
    def shown(self) -> Residual | None:
        """What is drawn; the whole of it where what was chosen is not there any more."""
        found = self.residuals()
        return next((each for each in found if each.key == self._shown), found[0] if found else None)

    def rows(self) -> list[Row]:
        """What can be looked at, then the figures."""
        found, shown = self.residuals(), self.shown
        if not found:
            return list(self.figures())
        return [
            columns(self.list.width),
            *(choice(each, shown is not None and each.key == shown.key, self._bench.sample_rate) for each in found),
            *self.figures(),
        ]

    def renew(self, chosen: int | None = None) -> None:
        """Draws afresh what there is by now; the cursor stays on what it was on."""
        key = self.list.chosen_key
        if chosen is None and key is not None:
            keys = [row.key for row in self.let_through()]
            chosen = keys.index(key) if key in keys else 0
        super().renew(chosen)
        self._draw()

    def _step(self, by: int) -> None:
        super()._step(by)
        self._take()

    def _renew_detail(self) -> None:
        super()._renew_detail()
        self._take()

    def _take(self) -> None:
        """Draws what the cursor is on, where that is something to be drawn."""
        key = self.list.chosen_key
        if isinstance(key, str) and key != self._shown:
            self._shown = key
            self.renew(self.list.chosen)

    def _fit(self, lines: int) -> None:
        """An instrument takes the room there is: its drawings what the list leaves, the list what they need."""
        del lines
        height = self.size.height
        self.query_one(Vertical).styles.height = height or None
        # what was there once comes again: drawings that jump with every check would be no instrument
        rows = self._most[self.size, self.view] = max(self._most.get((self.size, self.view), 0), len(self.list.rows))
        left = height - LINES_AROUND - rows
        drawings = max(LEAST_DRAWN_LINES, height // 2, left)
        self.query_one("#drawings").styles.height = "1fr" if self.has_class("-abreast") else drawings

    def on_resize(self) -> None:
        """Textual calls the one of `Panel`, too."""
        self._arrange()

    def _arrange(self) -> None:
        width, height = self.size
        self.set_class(width >= ABREAST_FROM_COLUMNS, "-abreast")
        self.set_class(height >= TALL_FROM_LINES, "-tall")
        self.query_one("#drawings").display = height >= DRAWN_FROM_LINES
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if not self.composed:
            return
        bands, course = self.query_one(BandChart), self.query_one(CourseChart)
        found, shown = self.residuals(), self.shown
        rate = self._bench.sample_rate
        ruler = self.query_one(Ruler)
        ruler.styles.margin = (0, 0, 0, label_columns(course.size.width))
        ruler.span(0, round(self.seconds * rate), rate)
        worst = None if shown is None else shown.worst
        ruler.markers([] if worst is None else [(round(worst.seconds * rate), "worst")])
        if shown is None:
            bands.draw((0.0,), (), (), spectrum_scale(()))
            course.draw((), (), 0.0, 0.0, course_scale(()))
            course.say("")
        else:
            alike = [each for each in found if each.words == shown.words]
            bands.draw(shown.edges_hz, shown.whole_db, shown.left_db, spectrum_scale(alike), shown.words)
            at = None if worst is None else worst.seconds
            told = shown.course
            course.draw(told.peak_dbfs, told.rms_dbfs, told.window_seconds, self.seconds, course_scale(alike), at)
            course.say("" if told.peak_dbfs else "told by bands only, not over time")
        self._draw_moving()

    def _draw_moving(self) -> None:
        """The playhead, and what is heard."""
        if not (self.is_attached and self.composed):
            return  # over a slow line it is drawn later, and the panel may be gone by then
        timeline = self._bench.timeline
        playhead = timeline.playhead if self.reachable else None
        self.query_one(Ruler).playhead(playhead, exact=not self._bench.heard.playing)
        self._draw_title()

    def _draw_title(self) -> None:
        heard = "".join(words.listening(self._bench)[:1])
        if heard and self._bench.solo:
            heard += f", of {', '.join(sorted(self._bench.solo))}"
        left = [(f" {self.title_text}", "bold"), *self.about()]
        right = [(f"{heard} ", "$accent" if self._bench.heard.playing else QUIET)] if heard else []
        self.query_one(".title", Line).show(spread(left, right, self.query_one(".title").size.width))

    def show_progress(self) -> None:
        """The player got on."""
        if self.composed:
            self._ears.seldom(self._draw_moving)

    def _keys(self) -> list[Piece]:
        pieces: list[Piece] = []
        for action_id, title in self.hinted():
            key = actions.brief(action_id, getattr(self.app, "keymap", {}))
            pieces += [(f" {key}", "$accent bold"), (f" {title} ", "$foreground 70%")]
        return pieces

    def hinted(self) -> list[tuple[str, str]]:
        """The keys that do something just now, by action, and what they do."""
        shown = self.shown
        found = []
        if shown is not None and shown.worst is not None and self.reachable:
            found.append(("list.choose", "worst place"))
            if self.audible:
                found.append(("null.hear", "hear it"))
        if self.reachable:
            found.append(("null.toggle", "play"))
        return [*found, ("list.filter", "filter"), ("list.close", "back")]

    # ---- keys ---------------------------------------------------------------------------------------------------

    def choose(self, key: object) -> None:
        """Puts the playhead at the worst place of what is drawn."""
        del key
        frame = self._worst_frame()
        if frame is not None:
            self._ears.look(self._bench.timeline.at(frame))
            self._draw_moving()

    def action_null_hear(self) -> None:
        """Plays the difference from shortly before its worst place on: that of a strip alone where one is drawn."""
        frame, shown = self._worst_frame(), self.shown
        if frame is None or shown is None:
            return
        if not self.audible:
            self.app.notify("the difference that is heard is that of the session, not this one", markup=False)
            return
        self._ears.hear_alone(shown.strip)
        start = max(0, frame - round(BEFORE_SECONDS * self._bench.sample_rate))
        self._ears.look(self._bench.timeline.at(start))
        self._ears.action_hear_difference()
        self._ears.order(player.Play(True, self._bench.timeline.playhead))
        self._draw_moving()

    def action_null_toggle(self) -> None:
        """Plays from the playhead, or stops."""
        if self._playable():
            self._ears.action_play_toggle()

    def action_null_source(self) -> None:
        """Listens to the source."""
        if self._playable():
            self._ears.action_hear_source()

    def action_null_repair(self) -> None:
        """Listens to the repair."""
        if self._playable():
            self._ears.action_hear_repair()

    def _playable(self) -> bool:
        if not self.reachable:
            self.app.notify("it is not as long as what is open: there is no such place to play", markup=False)
        return self.reachable

    def _worst_frame(self) -> int | None:
        """Where what is drawn is at its worst, in frames of what is open; says why where there is no such place."""
        shown = self.shown
        if shown is None or shown.worst is None:
            self.app.notify("no place stands out", markup=False)
            return None
        return round(shown.worst.seconds * self._bench.sample_rate) if self._playable() else None

    def pick_number(self, number: int) -> None:
        """Draws what has this number."""
        found = next((each for each in self.residuals() if each.number == number), None)
        if found is None:
            self.app.notify(self.no_such(number), markup=False)
            return
        keys = [row.key for row in self.list.rows]
        if found.key in keys:
            self.list.choose(keys.index(found.key))
        self._shown = found.key
        self.renew(self.list.chosen)

    def no_such(self, number: int) -> str:
        """What is said to a number that nothing has."""
        return f"nothing has the number {number} here"


for _number in range(10):
    setattr(Instrument, f"action_null_pick_{_number}", lambda self, number=_number: self.pick_number(number))
