"""What panels, forms and questions are: screens over the desk, which is seen through them, darker.

Textual would draw the screen below with Rich whenever anything of the one above is laid out, which takes as long as a
key may; here its lines are taken as they are and only their colours are mixed, each pair of them once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.style import Style as TextualStyle
from textual.visual import RenderOptions, Visual

from tui.guard import Guarded

Result = TypeVar("Result")


class OverDesk(Guarded, ModalScreen[Result]):
    """A screen over another one. Its background's colour lies over what is below, as much as it is opaque."""

    DEFAULT_CSS = "OverDesk { background: $background 50%; }"

    def render(self) -> Visual:  # pyright: ignore[reportIncompatibleMethodOverride] - Textual takes either
        """The screen below."""
        stack = self.app.screen_stack
        return Backdrop(stack[stack.index(self) - 1], self.styles.background)


class Backdrop(Visual):
    """The lines of a screen with a colour over them."""

    def __init__(self, screen: Screen[object], over: Color) -> None:
        self._screen = screen
        self._over = over
        self._mixed: dict[Style, Style] = {}

    def render_strips(self, width: int, height: int | None, style: TextualStyle, options: RenderOptions) -> list[Strip]:
        """As many lines as there is room for; blank ones where the screen below has less."""
        del options
        below = self._screen._compositor.render_strips()[:height]
        strips = [Strip([self._mix(segment) for segment in strip]).adjust_cell_length(width) for strip in below]
        return strips + [Strip.blank(width, style.rich_style)] * ((height or len(strips)) - len(strips))

    def get_optimal_width(self, rules: Mapping[str, object], container_width: int) -> int:
        """All there is."""
        del rules
        return container_width

    def get_height(self, rules: Mapping[str, object], width: int) -> int:
        """That of the screen."""
        del rules, width
        return self._screen.size.height

    def _mix(self, segment: Segment) -> Segment:
        style = segment.style or Style()
        if style not in self._mixed:
            bare = style.clear_meta_and_links()
            self._mixed[style] = bare + Style(color=self._under(style.color), bgcolor=self._under(style.bgcolor))
        return Segment(segment.text, self._mixed[style])

    def _under(self, colour: RichColor | None) -> RichColor | None:
        return None if colour is None else (Color.from_rich_color(colour) + self._over).rich_color
