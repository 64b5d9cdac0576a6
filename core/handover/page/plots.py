"""The plots of a report, each drawn for a wide page and a narrow one from the same figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np

from core.handover.page import numbers, svg
from core.handover.page.markup import Html, element, joined
from core.handover.page.svg import Axis, Key, Panel, Size, Tick
from core.handover.page.traces import Trace, Traces
from core.measure.figures import Band, BandFigures, Figures, Window
from core.measure.levels import to_dbfs

SPAN_DB: Final = 100.0
"""The most that a plot of levels shows under its loudest value."""
WIDE_SPAN_DB: Final = 150.0
"""The same where rounding and dither are to be seen beside the sound."""
LEAST_SPAN_DB: Final = 20.0
STEP_DB: Final = 6.0
"""Waveforms are drawn larger in steps of it, that is by factors of two."""
LOWEST_WAVE_DB: Final = -180.0
AXIS: Final = 44.0
"""Room under a panel for tick labels and the name of the axis."""
GAP: Final = 20.0
B = TypeVar("B", bound=Band)


class Plot(NamedTuple):
    """A drawn plot: its title, what is to be seen in it in a sentence, and the drawings."""

    name: str
    title: str
    says: str
    drawing: Html


def waveform(traces: Traces, *, lengths: str) -> Plot:
    """Source and output over each other, what was changed below them, larger where it is small."""
    difference = traces.difference
    seconds = max(traces.source.seconds, traces.output.seconds)
    loudest = max(_peak(traces.source), _peak(traces.output))
    left = 0.0 if difference is None else _peak(difference)
    if difference is None:
        says = "The output has another sample rate or other channels, so no difference can be drawn."
    elif left == 0.0:
        says = "Nothing is left when one is taken from the other: digital silence."
    else:
        ceiling, most = _ceiling(left), _ceiling(loudest)
        larger = f", drawn {most - ceiling:g}\u00a0dB larger" if most > ceiling else ""
        says = f"The difference (output less source) peaks at {numbers.with_unit(to_dbfs(left), 'dBFS')}{larger}."

    def draw(size: Size) -> Html:
        time = svg.time_axis(seconds, size)
        keys = [Key("area", look, look) for look in ("source", "output", "both")]
        head, top = svg.legend(size, 0.0, "level, dBFS", keys)
        panel = Panel(size.left, top, size.inner, 170.0 * size.tall, time, _amplitudes(loudest))
        parts = [head, svg.grid(panel, labels=difference is None)]
        parts += [_envelope(panel, each, look, seconds) for each, look in _both(traces)]
        if difference is not None:
            key = Key("area", "difference", "difference")
            head, down = svg.legend(size, panel.bottom + GAP - 6.0, "level, dBFS", [key])
            panel = Panel(
                size.left, panel.bottom + GAP - 6.0 + down, size.inner, 100.0 * size.tall, time, _amplitudes(left)
            )
            parts += [head, svg.grid(panel), _envelope(panel, difference, "difference", seconds)]
        return _finished(size, panel, parts, svg.time_title(seconds), "waveform", "Waveform", f"{lengths} {says}")

    return _plot("waveform", "Waveform", f"{lengths} {says}", draw)


def spectra(figures: Figures) -> Plot | None:
    """Level of source and output in every third octave, and by how much it moved. None where both are silent."""
    bands = _audible(figures.bands)
    levels = [each for band in bands for each in (band.a_rms_dbfs, band.b_rms_dbfs) if each is not None]
    if not levels:
        return None
    moved = [(band, _moved(band)) for band in bands]
    says = _most_moved([(band, change) for band, change in moved if change is not None])
    changes = [change for _, change in moved if change is not None]
    range_db = _level_range(levels)
    change_range = min([-1.0, *changes]), max([1.0, *changes])

    def draw(size: Size) -> Html:
        frequency = svg.frequency_axis(size)
        keys = [Key("line", "source", "source"), Key("line", "output", "output")]
        head, top = svg.legend(size, 0.0, "third octaves, dBFS rms", keys)
        panel = Panel(size.left, top, size.inner, 230.0 * size.tall, frequency, svg.level_axis(*range_db, 6))
        parts = [head, svg.grid(panel, labels=False)]
        parts.append(svg.line(panel, ((_middle(band), band.a_rms_dbfs) for band in bands), "source"))
        parts.append(svg.line(panel, ((_middle(band), band.b_rms_dbfs) for band in bands), "output"))
        title = "output against source, dB"
        head, down = svg.legend(size, panel.bottom + GAP - 6.0, title, [Key("bar", "change", "change")])
        lower = svg.level_axis(*change_range, 5, signed=True)
        panel = Panel(size.left, panel.bottom + GAP - 6.0 + down, size.inner, 110.0 * size.tall, frequency, lower)
        parts += [head, svg.grid(panel)]
        parts += [
            svg.bar(panel, band.low_hz, band.high_hz, change, "area change", base=0.0)
            for band, change in moved
            if change is not None
        ]
        return _finished(size, panel, parts, "frequency, Hz", "spectra", "Spectrum before and after", says)

    return _plot("spectra", "Spectrum before and after", says, draw)


def residual_by_band(figures: Figures, predicted: Sequence[Band], unexpected: Sequence[Band]) -> Plot | None:
    """What is left in every third octave when the output is taken from the source; None where nothing is.

    With what the changed strips were to add, `predicted`, and the output less all that was expected of it.
    """
    bands = _audible(figures.bands)
    left = _known(bands)
    if not left:
        return None
    asked = _known(predicted)
    stray = _known(unexpected)
    most, level = max(left, key=lambda each: each[1])
    says = f"Most of it is around {numbers.hertz(_nominal(most))}: {numbers.with_unit(level, 'dBFS rms')}."
    if asked:
        says += " The marks are what the changes were to add, computed once more from the stems."
    if stray:
        worst = numbers.with_unit(max(level for _, level in stray), "dBFS rms")
        says += f" What is not as expected is {worst} at most in any band."
    levels = [level for _, level in [*left, *stray]] + [b.a_rms_dbfs for b in bands if b.a_rms_dbfs is not None]
    range_db = _level_range(levels, WIDE_SPAN_DB)

    def draw(size: Size) -> Html:
        frequency = svg.frequency_axis(size)
        keys = [Key("bar", "difference", "difference"), Key("line", "source", "source")]
        keys += [Key("line", "predicted", "expected")] if asked else []
        keys += [Key("bar", "stray", "not as expected")] if stray else []
        head, top = svg.legend(size, 0.0, "dBFS rms", keys)
        panel = Panel(size.left, top, size.inner, 230.0 * size.tall, frequency, svg.level_axis(*range_db, 6))
        parts = [head, svg.grid(panel)]
        parts += [svg.bar(panel, band.low_hz, band.high_hz, level, "area difference") for band, level in left]
        parts += [
            svg.bar(panel, band.low_hz, band.high_hz, level, "area stray")
            for band, level in stray
            if level > panel.y.low
        ]
        parts.append(svg.line(panel, ((_middle(band), band.a_rms_dbfs) for band in bands), "source"))
        parts += [
            svg.line(panel, [(band.low_hz, level), (band.high_hz, level)], "predicted")
            for band, level in asked
            if level > panel.y.low
        ]
        return _finished(size, panel, parts, "frequency, Hz", "bands", "Difference by band", says)

    return _plot("bands", "Difference by band", says, draw)


def residual_over_time(figures: Figures, seconds: float, channels: int) -> Plot | None:
    """Peak and power of the difference in every window of time, with its worst place; None where nothing is left."""
    levels = [each for window in figures.windows for each in (window.peak_dbfs, window.rms_dbfs) if each is not None]
    if not levels:
        return None
    worst = figures.worst
    says = f"In windows of {numbers.length(figures.window_seconds)}."
    if worst is not None:
        where = ", ".join(part for part in (place_of(worst.seconds), numbers.channel(worst.channel, channels)) if part)
        says = f"The largest sample is {numbers.with_unit(worst.peak_dbfs, 'dBFS')} at {where}. {says}"
    range_db = _level_range(levels if worst is None else [*levels, worst.peak_dbfs])

    def draw(size: Size) -> Html:
        time = svg.time_axis(seconds, size)
        keys = [Key("line", "peak", "peak"), Key("line", "rms", "rms")]
        keys += [] if worst is None else [Key("mark", "worst", "worst place")]
        head, top = svg.legend(size, 0.0, "dBFS", keys)
        panel = Panel(size.left, top, size.inner, 190.0 * size.tall, time, svg.level_axis(*range_db, 6))
        parts = [head, svg.grid(panel)]
        thinned = thin(figures.windows, round(size.inner))
        ends = [*(start for start, _, _ in thinned[1:]), seconds]
        for place, look in ((1, "peak"), (2, "rms")):
            steps = [(at, each[place]) for each, end in zip(thinned, ends, strict=True) for at in (each[0], end)]
            parts.append(svg.line(panel, steps, look))
        if worst is not None:
            at_x, at_y = panel.at_x(worst.seconds), panel.at_y(worst.peak_dbfs)
            parts.append(element("circle", cx=at_x, cy=at_y, r=4.5, class_="worst"))
        return _finished(size, panel, parts, svg.time_title(seconds), "windows", "Difference over time", says)

    return _plot("windows", "Difference over time", says, draw)


def thin(windows: Sequence[Window], columns: int) -> list[tuple[float, float | None, float | None]]:
    """Start, peak and rms of the windows, no more of them than a plot has columns.

    Those that share a column become one: its peak the largest, its power their mean.
    """
    together = max(1, -(-len(windows) // columns))
    thinned: list[tuple[float, float | None, float | None]] = []
    for first in range(0, len(windows), together):
        some = windows[first : first + together]
        peak = max((each.peak_dbfs for each in some if each.peak_dbfs is not None), default=None)
        power = sum(10.0 ** (each.rms_dbfs / 10.0) for each in some if each.rms_dbfs is not None) / len(some)
        thinned.append((some[0].seconds, peak, 10.0 * math.log10(power) if power else None))
    return thinned


def place_of(seconds: float) -> str:
    """A place in time to the millisecond."""
    return numbers.clock(seconds, 3)


def _plot(name: str, title: str, says: str, draw: Callable[[Size], Html]) -> Plot:
    return Plot(name, title, says, joined(draw(size) for size in svg.SIZES))


def _finished(size: Size, panel: Panel, parts: Iterable[Html], along: str, name: str, title: str, says: str) -> Html:
    """The parts over the lowest panel, with the name of its horizontal axis, as one picture."""
    middle = panel.left + panel.width / 2.0
    axis = svg.text(middle, panel.bottom + 38.0, along, anchor="middle", look="title")
    return svg.picture(size, panel.bottom + AXIS, title, says, name, *parts, axis)


def _both(traces: Traces) -> list[tuple[Trace, str]]:
    return [(traces.source, "source"), (traces.output, "output")]


def _peak(trace: Trace) -> float:
    low, high = trace.overview.columns(0, trace.overview.frames, 1)
    return float(np.nanmax(np.abs([low, high, np.zeros(1)])))


def _ceiling(peak: float) -> float:
    """The level in dB that a waveform of that peak is drawn up to."""
    level = max(to_dbfs(peak) or 0.0, LOWEST_WAVE_DB) if peak else 0.0
    return STEP_DB * math.ceil(level / STEP_DB - 1e-6)


def _amplitudes(peak: float) -> Axis:
    """Linear amplitudes, labelled in dBFS: the ceiling, half of it, and silence between them."""
    ceiling = _ceiling(peak)
    edge = 10.0 ** (ceiling / 20.0)
    labels = [(1.0, ceiling), (0.5, ceiling - STEP_DB)]
    ticks = [Tick(sign * share * edge, numbers.decimal(level, 0)) for share, level in labels for sign in (1.0, -1.0)]
    return Axis(-edge, edge, (*ticks, Tick(0.0, f"{numbers.MINUS}∞")))


def _envelope(panel: Panel, trace: Trace, look: str, seconds: float) -> Html:
    """The extremes of a file, a column for each unit of the panel."""
    share = trace.seconds / seconds if seconds else 1.0
    columns = max(1, round(panel.width * share))
    low, high = (np.nan_to_num(each) for each in trace.overview.columns(0, trace.overview.frames, columns))
    return svg.area(panel, low.tolist(), high.tolist(), look, until=share)


def _audible(bands: Iterable[B]) -> list[B]:
    return [band for band in bands if band.low_hz > 0.0 and svg.LOWEST_HZ < _middle(band) < svg.HIGHEST_HZ]


def _known(bands: Iterable[Band]) -> list[tuple[Band, float]]:
    """Third octaves that hold anything, with their levels."""
    return [(band, band.rms_dbfs) for band in _audible(bands) if band.rms_dbfs is not None]


def _middle(band: Band) -> float:
    return math.sqrt(band.low_hz * band.high_hz)


def _nominal(band: Band) -> float:
    return numbers.nominal_hz(band.low_hz, band.high_hz)


def _moved(band: BandFigures) -> float | None:
    """By how much the level of a band rose; None where one of the files has nothing there."""
    if band.a_rms_dbfs is None or band.b_rms_dbfs is None:
        return None
    return band.b_rms_dbfs - band.a_rms_dbfs


def _most_moved(moved: Sequence[tuple[BandFigures, float]]) -> str:
    """The band that moved most, in a sentence."""
    if not moved:
        return "One of the two is digital silence, so no third octave can be held against the other."
    if max(abs(change) for _, change in moved) < 0.05:
        return "No third octave moved by 0.05\u00a0dB or more."
    band, change = max(moved, key=lambda each: abs(each[1]))
    most = numbers.with_unit(change, "dB", signed=True)
    return f"The most that a third octave moved is {most}, around {numbers.hertz(_nominal(band))}."


def _level_range(levels: Sequence[float], most_db: float = SPAN_DB) -> tuple[float, float]:
    """What an axis of levels has to show: all of them, but no more than `most_db`."""
    high = max(levels)
    return max(min(*levels, high - LEAST_SPAN_DB), high - most_db), high
