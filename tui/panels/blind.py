"""The blind test (ABX): is the repair heard at all, and how sure is that? Over the desk, while the player plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from core.audition import messages as player
from core.audition.abx import Abx, toss
from core.errors import UnbakeError
from core.session import history
from core.session.blind import LENGTHS, Side, Trial, by_test
from tui import actions
from tui.desk.timeline import clock
from tui.panels.ask import QUIET
from tui.panels.over import OverDesk
from tui.widgets.line import Line
from tui.widgets.rows import Cell, Row, Rows

if TYPE_CHECKING:
    from core.audition.monitor import Choice
    from tui.desk.bench import Bench

SHOWN_TESTS = 5
HEARD: dict[Choice, str] = {
    "source": "A, the source",
    "repair": "B, the repair",
    "x": "X",
    "difference": "the difference",
}
HINTS: dict[str, str] = {
    "blind.source": "A",
    "blind.repair": "B",
    "blind.x": "X",
    "blind.is_source": "X is A",
    "blind.is_repair": "X is B",
    "blind.toggle": "play",
    "blind.close": "leave",
}


class BlindPanel(OverDesk[None]):
    """Plays A, B and X, takes answers, and says what came of them once the last is given.

    `order` tells the player, `keep` writes an answer down.
    """

    DEFAULT_CSS = """
    BlindPanel { align: center middle;
        & > Vertical { width: 90; max-width: 100%; height: auto; max-height: 100%; background: $surface; }
        & .title { background: $panel; }
        & Rows { height: auto; max-height: 1fr; margin: 1 0; }
        & .keys { background: $panel; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("blind")]

    def __init__(self, bench: Bench, order: Callable[[player.Order], bool], keep: Callable[[Trial], None]) -> None:
        super().__init__()
        self._bench = bench
        self._order = order
        self._keep = keep
        self._abx = Abx(history.now(fine=True), toss())
        self._matched_before = bench.heard.match
        self._left_x = True
        """Whether the player was on something else since the trial began: what it said before is of the last X."""
        self._heard_x = False

    def compose(self) -> ComposeResult:
        """Title, what goes on, keys."""
        with Vertical():
            yield Line(classes="title")
            yield Rows(id="blind")
            yield Line(classes="keys")

    def on_mount(self) -> None:
        """Begins with A, equally loud."""
        self.query_one(".title", Line).show([(" blind test", "bold"), ("   which of A and B is X?", QUIET)])
        self._order(player.MatchLevels(True))
        self._ask()
        self.set_focus(None)

    def on_resize(self) -> None:
        """The keys have room, or not."""
        self.show_progress()

    # ---- keys ---------------------------------------------------------------------------------------------------

    def action_blind_source(self) -> None:  # noqa: D102
        self._choose("source")

    def action_blind_repair(self) -> None:  # noqa: D102
        self._choose("repair")

    def action_blind_x(self) -> None:  # noqa: D102
        self._choose("x")

    def action_blind_is_source(self) -> None:  # noqa: D102
        self.judged("source", self._abx.number)

    def action_blind_is_repair(self) -> None:  # noqa: D102
        self.judged("repair", self._abx.number)

    def action_blind_toggle(self) -> None:
        """Plays from the start of the loop, or stops."""
        playing = not self._bench.heard.playing
        self._order(player.Play(playing, self._bench.timeline.region[0] if playing else None))

    def action_blind_more(self) -> None:  # noqa: D102
        self._lengthen(1)

    def action_blind_less(self) -> None:  # noqa: D102
        self._lengthen(-1)

    def action_blind_again(self) -> None:
        """Another test, once this one is over."""
        if self._abx.over:
            self._abx = Abx(history.now(fine=True), toss(), self._abx.of)
            self._ask()

    def action_blind_close(self) -> None:
        """The player forgets X, and plays the repair as loud as before."""
        self._order(player.Choose("repair"))
        self._order(player.Blind(None))
        self._order(player.MatchLevels(self._matched_before))
        self.dismiss(None)

    # ---- the test -----------------------------------------------------------------------------------------------

    def judged(self, answer: Side, trial: int) -> None:
        """An answer, from here or from the listening page. One to another trial, or to an X not heard yet, is none."""
        editor = self._bench.editor
        if editor is None or self._abx.over or trial != self._abx.number:
            return
        if not self._heard_x:
            self.notify(f"listen to X first: {actions.key('blind.x')}", timeout=3, markup=False)
            return
        region = self._bench.timeline.region
        self._abx = self._abx.answered(answer, at=history.now(), edit=editor.present.number, region=region)
        self._keep(self._abx.trials[-1])
        self._ask()

    def _ask(self) -> None:
        """The next trial. It begins on A, or who is on X would hear whether it changed."""
        self._heard_x, self._left_x = False, self._bench.heard.stream != "x"
        self._choose("source")
        result, number = self._abx.result, self._abx.number
        if result is None:
            said = f"blind test, {number} of {self._abx.of}: which is X?"
            self._order(player.Blind(self._abx.x, said, number))
        else:
            self._order(player.Blind(None, f"blind test: {result.words()}"))
        self.show_progress()

    def _choose(self, choice: Choice) -> None:
        if choice == "x" and self._abx.over:
            return
        self._order(player.Choose(choice))

    def _lengthen(self, steps: int) -> None:
        if not self._abx.trials:
            place = LENGTHS.index(self._abx.of) + steps
            self._abx = self._abx.of_length(LENGTHS[max(0, min(len(LENGTHS) - 1, place))])
            self._ask()

    # ---- what is seen -------------------------------------------------------------------------------------------

    def show_progress(self) -> None:
        """Draws what is heard now, and how far the test is."""
        heard = self._bench.heard
        self._left_x = self._left_x or heard.stream != "x"
        self._heard_x = self._heard_x or (self._left_x and heard.playing and heard.stream == "x")
        rows = self.query_one("#blind", Rows)
        shown = self.rows()
        rows.styles.height = len(shown)
        rows.show(shown, -1)
        self.query_one(".keys", Line).show(self._keys())

    def rows(self) -> list[Row]:
        """What goes on, then the tests before."""
        heard, result = self._bench.heard, self._abx.result
        if result is None:
            trial = f"{self._abx.number} of {self._abx.of}"
            more, less = (actions.key(f"blind.{which}") for which in ("more", "less"))
            about = "" if self._abx.trials else f"   {more} {less} more or fewer, before the first answer"
        else:
            trial, about = result.words(), f"   {actions.key('blind.again')} begins another"
        found = [
            _line(
                "trial" if result is None else "result",
                trial,
                "value" if result is None else _sure(result.p_value),
                about,
            ),
            _line(
                "heard",
                f"{HEARD[heard.stream]}{'' if heard.playing else ', stopped'}",
                "accent" if heard.playing else "",
            ),
            _line("between", self._region()),
            _line("loudness", *self._match()),
        ]
        if self._bench.read_only:
            found.append(_line("log", "not kept: the session is open to look at only", "warn"))
        editor = self._bench.editor
        earlier = by_test(() if editor is None else editor.history.trials)
        if earlier:
            found.append(Row((Cell("  kept in the session", "head"),), choice=False))
        for test in reversed(earlier[-SHOWN_TESTS:]):
            # how many were right would tell too early
            going_on = test.began == self._abx.began and result is None
            words = f"{len(test.trials)} answered" if going_on else test.words()
            edits = ", ".join(str(number) for number in test.edits)
            cells = (Cell("  "), Cell(test.began[:16].replace("T", " "), "dim", 18), Cell(words, "", 34))
            found.append(Row((*cells, Cell(f"edit {edits}", "dim")), choice=False))
        return found

    def _region(self) -> str:
        timeline = self._bench.timeline
        first, last = (clock(frame, timeline.sample_rate) for frame in timeline.region)
        return f"{first} and {last}" + ("" if timeline.loop is not None and timeline.loop.on else ", the whole file")

    def _match(self) -> tuple[str, str]:
        heard = self._bench.heard
        source, repair = heard.source_lufs, heard.repair_lufs
        if source is None or repair is None or not heard.match:
            return "not matched yet, or too short to be: one may be louder", "warn"
        return f"matched: A is {source:.1f} LUFS, B {repair:.1f}, the louder one is lowered", ""

    def _keys(self) -> Sequence[tuple[str, str]]:
        pairs = [(actions.key(action), title) for action, title in HINTS.items()]
        return [piece for key, title in pairs for piece in ((f" {key}", "$accent bold"), (f" {title} ", QUIET))]


def check(bench: Bench) -> None:
    """Raises UnbakeError where there are no two things to tell apart."""
    session = bench.sounding
    if session is None:
        raise UnbakeError("nothing is open to be heard")
    if session.untouched or bench.needs_stems:
        missing = "there are no stems yet" if bench.needs_stems else "nothing is changed"
        if bench.needs_cleanup:
            missing = "the clean-up was not carried out yet"
        raise UnbakeError(f"source and repair are the same: {missing}", remedy="repair something first")


def _line(name: str, text: str, style: str = "", about: str = "") -> Row:
    return Row((Cell("  "), Cell(name, "dim", 12), Cell(text, style), Cell(about, "dim")), choice=False)


def _sure(p_value: float | None) -> str:
    return "good" if p_value is not None and p_value < 0.05 else "value"
