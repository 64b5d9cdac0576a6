"""Plots drawn simply: panels with axes whose ticks are where an engineer expects them, curves, bars, legends.

Everything scales with its `viewBox` and takes its colours from the style sheet of the page, by class. A plot is drawn
twice, for a wide page and for a narrow one, since letters that are right on the one are unreadable on the other; the
style sheet shows one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from core.handover.page import numbers
from core.handover.page.markup import Html, element, joined, number

LOWEST_HZ: Final = 17.8
HIGHEST_HZ: Final = 22_387.0
"""Outer edges of the third octaves at 20 Hz and 20 kHz."""
LABEL_CHARACTER: Final = 7.4
"""Width of a letter, about, in units of a plot."""
BAR_GAP: Final = 1.25
OVER_EACH_OTHER: Final = {"both": ("source", "output"), "stray": ("difference", "stray")}
"""What is drawn over what, so that a legend can show the mixture."""


class Size(NamedTuple):
    """Of one rendition, in its own units: `ticks` is how many labels fit side by side, `tall` scales heights."""

    name: Literal["wide", "narrow"]
    width: float
    left: float
    right: float
    ticks: int
    tall: float

    @property
    def inner(self) -> float:
        """Width of a panel."""
        return self.width - self.left - self.right


WIDE: Final = Size("wide", 960.0, 52.0, 14.0, 12, 1.0)
NARROW: Final = Size("narrow", 360.0, 44.0, 10.0, 5, 0.85)
SIZES: Final = (WIDE, NARROW)


class Tick(NamedTuple):
    """A line over the panel; without a label only that."""

    value: float
    label: str = ""


class Axis(NamedTuple):
    """What a direction of a panel stands for."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1; what lies outside is put on the edge."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        return min(1.0, max(0.0, (value - low) / (high - low)))


class Panel(NamedTuple):
    """A rectangle with two axes."""

    left: float
    top: float
    width: float
    height: float
    x: Axis
    y: Axis

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    def at_x(self, value: float) -> float:
        """Where a value of the horizontal axis lies."""
        return self.left + self.width * self.x.share(value)

    def at_y(self, value: float) -> float:
        """Where a value of the vertical axis lies."""
        return self.bottom - self.height * self.y.share(value)


class Key(NamedTuple):
    """One entry of a legend: what is drawn how (the class), and its name."""

    sort: Literal["line", "area", "bar", "mark"]
    look: str
    text: str


def frequency_axis(size: Size) -> Axis:
    """20 Hz to 20 kHz, logarithmic, labelled at 1, 2 and 5."""
    ticks = [
        Tick(decade * step, _hertz(decade * step) if step in labelled else "")
        for decade in (10.0, 100.0, 1000.0, 10_000.0)
        for labelled in ((1, 2, 5) if size.name == "wide" else (1, 2) if decade == 10.0 else (1,),)
        for step in range(1, 10)
        if 20.0 <= decade * step <= 20_000.0
    ]
    return Axis(LOWEST_HZ, HIGHEST_HZ, tuple(ticks), logarithmic=True)


def time_axis(seconds: float, size: Size) -> Axis:
    """From the start to `seconds`, with labels at full seconds, minutes or hours."""
    seconds = max(seconds, 1e-9)
    step = next((each for each in _TIME_STEPS if seconds / each <= size.ticks), 3600.0 * math.ceil(seconds / 36_000.0))
    if seconds < 1.0:
        step = nice_step(seconds, size.ticks // 2 + 1)
    values = [step * place for place in range(math.floor(seconds / step + 1e-9) + 1)]
    labels = [_time(value, seconds, step) for value in values]
    return Axis(0.0, seconds, tuple(Tick(value, label) for value, label in zip(values, labels, strict=True)))


def time_title(seconds: float) -> str:
    """What the labels of such an axis are."""
    if seconds < 1.0:
        return "time, ms"
    return "time, min:s" if seconds < 3600.0 else "time, h:min"


def level_axis(low: float, high: float, most: int, *, signed: bool = False) -> Axis:
    """Decibels, linear, with ticks at round numbers; the ends are ticks too."""
    step = nice_step(high - low, most, steps=(1.0, 2.0, 3.0, 6.0, 10.0) if high - low > 4.0 else (1.0, 2.0, 5.0, 10.0))
    low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    values = [low + step * place for place in range(round((high - low) / step) + 1)]
    return Axis(low, high, tuple(Tick(value, numbers.decimal(value, digits, signed=signed)) for value in values))


def nice_step(span: float, most: int, steps: Sequence[float] = (1.0, 2.0, 5.0, 10.0)) -> float:
    """The smallest round step of which at most `most` fit into a span."""
    rough = span / most
    decade = 10.0 ** math.floor(math.log10(rough))
    return next((decade * each for each in steps if decade * each >= rough * (1 - 1e-9)), decade * 10.0)


def grid(panel: Panel, *, labels: bool = True) -> Html:
    """Lines and tick labels of a panel; without `labels` those of the horizontal axis are left to a lower one."""
    parts: list[Html] = []
    for tick in panel.x.ticks:
        x = panel.at_x(tick.value)
        look = "grid" if tick.label else "grid faint"
        parts.append(element("path", d=f"M{number(x)} {number(panel.top)}V{number(panel.bottom)}", class_=look))
        if labels and tick.label:
            anchor = "end" if x + LABEL_CHARACTER * len(tick.label) / 2 > panel.left + panel.width + 12 else "middle"
            parts.append(text(x, panel.bottom + 19.0, tick.label, anchor=anchor))
    for tick in panel.y.ticks:
        y = panel.at_y(tick.value)
        parts.append(
            element("path", d=f"M{number(panel.left)} {number(y)}H{number(panel.left + panel.width)}", class_="grid")
        )
        if tick.label:
            parts.append(text(panel.left - 7.0, y + 4.5, tick.label, anchor="end"))
    return joined(parts)


def text(x: float, y: float, words: str, *, anchor: str = "start", look: str | None = None) -> Html:
    """Letters at a place."""
    return element("text", words, x=x, y=y, class_=look, text_anchor=None if anchor == "start" else anchor)


def path(data: str, look: str) -> Html:
    """A path as it is."""
    return element("path", d=data, class_=look)


def line(panel: Panel, points: Iterable[tuple[float, float | None]], look: str) -> Html:
    """A curve through values; where there is None it is broken, and a value alone is a dot."""
    runs: list[list[str]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append(f"{number(panel.at_x(x))} {number(panel.at_y(y))}")
    data = "".join(f"M{'L'.join(run if len(run) > 1 else run * 2)}" for run in runs if run)
    return path(data, f"line {look}") if data else Html("")


def bar(panel: Panel, low_x: float, high_x: float, value: float, look: str, *, base: float | None = None) -> Html:
    """A bar between two values of the horizontal axis, from `base` (the lower edge) to `value`."""
    left, right = panel.at_x(low_x) + BAR_GAP, panel.at_x(high_x) - BAR_GAP
    top, bottom = sorted((panel.at_y(value), panel.bottom if base is None else panel.at_y(base)))
    width, height = max(right - left, 1.0), max(bottom - top, 0.6)
    return element("rect", x=left, y=top, width=width, height=height, class_=look)


def area(panel: Panel, low: Sequence[float], high: Sequence[float], look: str, *, until: float = 1.0) -> Html:
    """What lies between two rows of values, spread evenly over the panel up to `until` of its width."""
    if not len(low):
        return Html("")
    step = panel.width * until / len(low)
    x = [number(panel.left + step * (place + 0.5)) for place in range(len(low))]
    upper = [f"{at} {number(panel.at_y(value))}" for at, value in zip(x, high, strict=True)]
    lower = [f"{at} {number(panel.at_y(value))}" for at, value in zip(x, low, strict=True)]
    return path(f"M{'L'.join(upper)}L{'L'.join(reversed(lower))}Z", f"area {look}")


def legend(size: Size, top: float, title: str, keys: Sequence[Key]) -> tuple[Html, float]:
    """The row over a panel: what the vertical axis is, and the keys to the right of it; and how high all that is.

    Where they do not fit beside each other they go on in another row.
    """
    parts = [text(0.0, top + 12.0, title, look="title")]
    x, y = LABEL_CHARACTER * len(title) + 20.0, top
    for key in keys:
        wide = 24.0 + LABEL_CHARACTER * len(key.text)
        if x + wide > size.width:
            x, y = 0.0, y + 19.0
        parts += [_swatch(key, x, y + 8.0), text(x + 24.0, y + 12.0, key.text)]
        x += wide + 16.0
    return joined(parts), y - top + 24.0


def picture(size: Size, height: float, title: str, about: str, name: str, *content: Html) -> Html:
    """One rendition of a plot. `title` and `about` are what a screen reader says of it."""
    ids = f"{name}-{size.name}"
    return element(
        "svg",
        element("title", title, id=f"{ids}-title"),
        element("desc", about, id=f"{ids}-about"),
        *content,
        viewBox=f"0 0 {number(size.width)} {number(height)}",
        class_=size.name,
        role="img",
        aria_labelledby=f"{ids}-title {ids}-about",
    )


def _swatch(key: Key, x: float, y: float) -> Html:
    if key.sort == "line":
        return path(f"M{number(x)} {number(y)}h18", f"line {key.look}")
    if key.sort == "mark":
        return element("circle", cx=x + 9.0, cy=y, r=4.5, class_=key.look)
    looks = OVER_EACH_OTHER.get(key.look, (key.look,))
    return joined(element("rect", x=x, y=y - 6.0, width=18, height=12, class_=f"area {look}") for look in looks)


def _time(value: float, seconds: float, step: float) -> str:
    """A label of the axis of a sound so many seconds long."""
    if seconds < 1.0:
        return f"{value * 1000.0:g}"
    if seconds >= 3600.0:  # in steps of whole minutes
        return numbers.clock(value / 60.0)
    return numbers.clock(value, 1 if step < 1.0 else 0)


def _hertz(value: float) -> str:
    return f"{value:g}" if value < 1000.0 else f"{value / 1000.0:g}k"


_TIME_STEPS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
