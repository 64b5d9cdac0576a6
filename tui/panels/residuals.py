"""What the null panels show, as values and rows: the change of a session, a written file, two files held together.

Pure functions of what was measured. A `Residual` is one thing that can be looked at, whoever measured it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from core.audio.samples import place
from core.handover.certificate import Certificate
from core.handover.checks import Check
from core.jobs.operations import SessionRender
from core.measure import tell
from core.measure.course import NO_COURSE, Course
from core.measure.figures import Band, Figures, Place
from core.measure.null import NullReport
from core.recombine.check import ChangeBand, SessionCheck, StripChange
from core.session.document import Session
from tui import actions
from tui.panels.info import level
from tui.panels.panel import heading
from tui.paths import short
from tui.widgets.residual import Scale
from tui.widgets.rows import Cell, Row

NAME_CELLS = 16
FIGURE_CELLS = 9
PLACE_CELLS = 15
WHOLE = ""
"""The key of all of it together; strips have their own names."""
PREDICTION = "prediction"


class Residual(NamedTuple):
    """What is left of a sound, by third octaves and over time, under a key that stays when it is measured again.

    `number` is the key that chooses it, None where none does. `edges_hz` has one value more than `whole_db`, the sound,
    and `left_db`. `strip` is the strip that alone makes it.
    """

    key: str
    name: str
    number: int | None
    peak_dbfs: float | None
    rms_dbfs: float | None
    edges_hz: tuple[float, ...]
    whole_db: tuple[float | None, ...]
    left_db: tuple[float | None, ...]
    worst: Place | None
    course: Course
    strip: str | None = None
    words: tuple[str, str] = ("source", "change")

    @property
    def strongest(self) -> tuple[float, float, float] | None:
        """Edges in Hz and level of the band that holds most; None for silence."""
        found = [(level, place) for place, level in enumerate(self.left_db) if level is not None]
        if not found:
            return None
        strongest, place = max(found)
        return self.edges_hz[place], self.edges_hz[place + 1], strongest


# ---- from what was measured -------------------------------------------------------------------------------------


def of_check(check: SessionCheck, names: Sequence[str]) -> list[Residual]:
    """The whole change, then what every changed strip adds; strips have their numbers in the lanes, 1 to 9."""
    edges, source = _edges(check.bands), tuple(band.source_rms_dbfs for band in check.bands)
    change = tuple(band.change_rms_dbfs for band in check.bands)
    level = check.change
    found = [
        Residual(
            WHOLE, "all of it", 0, level.peak_dbfs, level.rms_dbfs, edges, source, change, check.worst, check.course
        )
    ]
    for strip in check.strips:
        place = names.index(strip.name) + 1 if strip.name in names else 10
        left = tuple(band.rms_dbfs for band in strip.bands)
        found.append(
            Residual(
                strip.name, strip.name, place if place < 10 else None, strip.peak_dbfs, strip.rms_dbfs,
                edges, source, left, strip.worst, strip.course, strip.name,
            )
        )  # fmt: skip
    return found


def of_render(rendered: SessionRender) -> list[Residual]:
    """The written file less the source, and what of that was not meant to be."""
    figures, proof = rendered.figures, rendered.certificate.certificate
    found = [_of_figures(figures, "file - source", ("source", "file - source"))]
    if rendered.prediction:
        edges = _edges(rendered.prediction)
        source = tuple(band.a_rms_dbfs for band in figures.bands)
        left = tuple(band.rms_dbfs for band in rendered.prediction)
        if len(source) != len(left):  # no band was measured of a file that is the source
            source = (None,) * len(left)
        words = ("source", "file - predicted")
        found.append(
            Residual(
                PREDICTION, "file - predicted", 1, proof.render_residual_dbfs, sum_of(rendered.prediction),
                edges, source, left, None, NO_COURSE, words=words,
            )
        )  # fmt: skip
    return found


def of_report(report: NullReport) -> list[Residual]:
    """One file less the other."""
    return [_of_figures(report, "A - B", ("A", "A - B"))]


def _of_figures(figures: Figures, name: str, words: tuple[str, str]) -> Residual:
    residual, bands = figures.residual, figures.bands
    return Residual(
        WHOLE, name, 0, residual.peak_dbfs, residual.rms_dbfs, _edges(bands),
        tuple(band.a_rms_dbfs for band in bands), tuple(band.rms_dbfs for band in bands), figures.worst,
        Course.of(figures.windows, figures.window_seconds), words=words,
    )  # fmt: skip


def _edges(bands: Sequence[Band] | Sequence[ChangeBand]) -> tuple[float, ...]:
    """Where bands that follow each other begin and end."""
    return (*(band.low_hz for band in bands), bands[-1].high_hz) if bands else (0.0,)


def sum_of(bands: Sequence[Band]) -> float | None:
    """The rms of all bands together."""
    power = sum(10.0 ** (band.rms_dbfs / 10.0) for band in bands if band.rms_dbfs is not None)
    return 10.0 * math.log10(power) if power else None


def spectrum_scale(residuals: Sequence[Residual]) -> Scale:
    """One scale for the spectra of some, so that they can be compared by eye."""
    weak = [found[2] for each in residuals if (found := each.strongest) is not None]
    return Scale.of((level for each in residuals for level in each.whole_db), weak)


def course_scale(residuals: Sequence[Residual]) -> Scale:
    """One scale for the courses of all."""
    return Scale.of((each.peak_dbfs for each in residuals), (each.rms_dbfs for each in residuals))


# ---- in rows ----------------------------------------------------------------------------------------------------


def columns(width: int) -> Row:
    """What the figures of `choice` are."""
    cells = [Cell("   dBFS", "head", 4 + NAME_CELLS), *(Cell(each, "dim", -FIGURE_CELLS) for each in ("peak", "rms"))]
    if width >= 4 + NAME_CELLS + 2 * FIGURE_CELLS + PLACE_CELLS:
        cells.append(Cell("   worst at", "dim", PLACE_CELLS))
        cells.append(Cell("most in", "dim"))
    return Row(tuple(cells), choice=False)


def choice(residual: Residual, shown: bool, sample_rate: int) -> Row:
    """A thing to look at, with its figures; a dot stands before the one that is drawn."""
    number = " " if residual.number is None else str(residual.number)
    cells = [
        Cell(" "),
        Cell("●" if shown else " ", "accent"),
        Cell(number, "dim", 2),
        Cell(residual.name, "value" if shown else "", NAME_CELLS),
        *(Cell(f"{each:.1f}" if each is not None else "-", "", -FIGURE_CELLS) for each in _levels(residual)),
    ]
    worst, most = residual.worst, residual.strongest
    where = "" if worst is None else f"   {place(round(worst.seconds * sample_rate), sample_rate).partition(' ')[0]}"
    cells.append(Cell(where, "", PLACE_CELLS))
    if most is not None:
        cells.append(Cell(f"{tell.hertz(most[0])} - {tell.hertz(most[1])} Hz"))
    return Row(tuple(cells), key=residual.key)


def _levels(residual: Residual) -> tuple[float | None, float | None]:
    return residual.peak_dbfs, residual.rms_dbfs


def line(name: str, text: str, style: str = "") -> Row:
    """A figure with its name."""
    return Row((Cell("    "), Cell(name, "dim", NAME_CELLS), Cell(text, style)))


def lines(told: Sequence[tuple[str, str]], styles: dict[str, str] | None = None) -> list[Row]:
    """Figures as `core.measure.tell` words them, some in a style of their own."""
    return [line(name, text, (styles or {}).get(name, "")) for name, text in told]


def of_session(
    session: Session,
    check: SessionCheck | None,
    *,
    needs_stems: bool,
    stem_sum_dbfs: float | None,
    unsteady: Sequence[str] = (),
) -> list[Row]:
    """What the live check says, the most important first. `unsteady` plug-ins may not give the same sound twice."""
    rows = []
    if session.untouched:
        rows.append(line("verdict", "identical: nothing is edited, so every sample is the source's", "good"))
    elif needs_stems:
        rows.append(
            line("verdict", f"a changed strip has no stem yet: {actions.key('panel.separate')} separates", "warn")
        )
    elif check is None:
        rows.append(line("verdict", "being checked", "dim"))
    else:
        rows.append(_verdict(check))
        if not check.passed and unsteady:
            what = f"unless {' or '.join(unsteady)} does not give the same sound twice, which would do this"
            rows.append(line("", what, "warn"))
        if check.change.lufs is not None:
            added = "master stage included" if check.master_active else "the repair itself, not an error"
            rows.append(line("the change", f"{level(check.change.lufs, 'LUFS')}; {added}"))
        if check.overs:
            over = f"{check.overs} samples over full scale, peak {level(check.peak_dbfs, 'dBFS', 2)}"
            rows.append(line("overs", over, "warn"))
    if stem_sum_dbfs is not None:
        rows.append(line("stem sum", f"source less stems and residual: {level(stem_sum_dbfs, 'dBFS peak')}"))
    return rows


def _verdict(check: SessionCheck) -> Row:
    if check.identical:
        return line("verdict", "identical: the edits cancel, every sample is the source's", "good")
    if check.passed:
        found = "the last bit" if check.rest_dbfs is None else f"{check.rest_dbfs:.1f} dBFS peak"
        return line("verdict", f"rest exact to {found} (must be under -140)", "good")
    return line("verdict", f"the rest MOVED: {level(check.rest_dbfs, 'dBFS peak')} off source + changes", "bad")


def of_file(rendered: SessionRender, sample_rate: int, *, edited_since: bool) -> list[Row]:
    """What the certificate of a written file says: verdict, checks, levels, alignment."""
    certificate, figures = rendered.certificate, rendered.figures
    rows = _proved(certificate)
    if edited_since:
        rows.append(line("", "the session was edited since: the file is what it was then", "warn"))
    if rendered.checks:
        rows.append(counted(rendered.checks))
    if figures.worst is not None:
        rows.append(line("worst", tell.worst(figures.worst, certificate.sample_rate or sample_rate)))
    rows.append(line("file", short(Path(certificate.output))))
    if rendered.checks:
        rows.append(heading("checks"))
        rows += [checked(each) for each in rendered.checks]
    rows.append(heading("levels: source -> file"))
    rows += lines(tell.of_programmes(figures.a, figures.b))
    rows.append(heading("alignment of the file with the source"))
    rows += lines([*tell.of_alignment(figures), ("comb", tell.comb(figures.comb))])
    return rows


def counted(checks: Sequence[Check]) -> Row:
    """How many checks there are of each kind, and the first that failed."""
    failed = [each.name for each in checks if each.passed is False]
    passed = sum(each.passed is True for each in checks)
    told = f"{passed} pass, {len(checks) - passed - len(failed)} told"
    return line("checks", f"{told}, {len(failed)} FAIL: {failed[0]}" if failed else told, "bad" if failed else "good")


def _proved(certificate: Certificate) -> list[Row]:
    """The proof of a written file."""
    proof = certificate.certificate
    if proof.identical:
        return [line("verdict", "identical to the source, sample for sample", "good")]
    if proof.quantisation_dbfs is None:
        return [line("verdict", "not provable: a lossy format does not keep samples", "warn")]
    residual = "the last bit" if proof.render_residual_dbfs is None else f"{proof.render_residual_dbfs:.2f} dBFS"
    allowed = f"rounding{' + dither' if certificate.dithered else ''} allow {proof.quantisation_dbfs:.2f}"
    if certificate.passed:
        return [line("verdict", f"rest exact to {residual} ({allowed})", "good")]
    return [line("verdict", f"FAILS: {residual} off source + changes ({allowed})", "bad")]


VERDICTS = {True: ("pass", "good"), False: ("FAIL", "bad"), None: ("told", "dim")}


def checked(check: Check) -> Row:
    """A figure held against its limit."""
    verdict, style = VERDICTS[check.passed]
    cells = (
        Cell("    "),
        Cell(verdict, style, 5),
        Cell(_figure(check.figure), "value", -FIGURE_CELLS),
        Cell(f" {check.unit}", "", 11),
        Cell(f" {check.name}"),
        Cell(f"   {check.limit}" if check.limit else "", "dim"),
    )
    return Row(cells)


def _figure(value: float | None) -> str:
    """A figure in as many digits as its limit has; counts as they are."""
    if value is None:
        return "none"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.4g}" if abs(value) >= 0.001 else f"{value:.6f}"


def of_files(a: Path, b: Path, report: NullReport) -> list[Row]:
    """The figures of `unbake null`: the verdict and the reasons for it first, since a small screen shows no more."""
    told, why = tell.of_null(report), tell.of_explanation(report.explanation)
    first = [told[0], *why]
    rest = [each for each in told if each not in first]
    styles = {"verdict": "good" if report.pass_ else "bad", "why": "warn"}
    return [*lines(first, styles), *lines(rest), line("A", short(a)), line("B", short(b))]


def most_of(strip: StripChange) -> str:
    """In which band a strip adds most, after a comma."""
    found = strip.strongest
    return "" if found is None else f", most in {tell.hertz(found.low_hz)} to {tell.hertz(found.high_hz)} Hz"
