"""The sections of a report in the order in which an engineer or a client reads them; each of them can stand alone.

A section is a function of the report and of what was traced, and gives markup, or nothing where it has nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.handover.certificate import Certificate, Report
from core.handover.checks import Check
from core.handover.page import numbers, plots
from core.handover.page.markup import Html, element, joined
from core.handover.page.numbers import NONE, decimal, with_unit
from core.handover.page.plots import Plot
from core.handover.page.traces import Added, Traces
from core.measure.figures import Figures, Programme
from core.recombine.check import CLEANUP
from core.separation.external import MODEL as EXTERNAL
from core.session import toml, words
from core.session.document import RESIDUAL

SHOWN_DIGITS: Final = 12
"""Of a hash, beside a stem; the whole of it stands with the files."""
DECIMALS: Final = {"": 4, "samples": 3, "dB": 3, "degrees": 1}
"""Of figures that are held against a limit, by unit; two of all others."""
FIGURE_SPACE, POINT_SPACE = "\u2007", "\u2008"
"""As wide as a digit, and as a decimal point."""


class Told(NamedTuple):
    """What a page is made of; `traces` is None where only the certificate is at hand."""

    report: Report
    traces: Traces | None = None

    @property
    def figures(self) -> Figures | None:
        """Source against output, where they were measured."""
        return self.report.figures


class Verdict(NamedTuple):
    """What the proof says: in two words, in a sentence, and whether that is as it has to be."""

    short: str
    says: str
    passed: bool


def verdict(render: Certificate) -> Verdict:
    """The proof in one line."""
    proof = render.certificate
    if proof.identical and render.passed:
        return Verdict("Identical", "Every sample of the output is the source’s own.", True)
    if proof.quantisation_dbfs is None and render.passed:
        return Verdict("Not provable", "A lossy format does not keep samples, so none can be held to a bound.", True)
    found = with_unit(proof.render_residual_dbfs, "dBFS", 2)
    allowed = with_unit(proof.quantisation_dbfs, "dBFS", 2)
    causes = "rounding and dither allow" if render.dithered else "rounding allows"
    if not render.passed:
        return Verdict("FAILS", f"The output is {found} off source plus changes; {causes} {allowed}.", False)
    off = "not at all" if proof.render_residual_dbfs is None else f"at most {found}"
    says = f"Read back and computed once more, the output is {off} off source plus changes; {causes} {allowed}."
    return Verdict("Rest exact", says, True)


def head(report: Report) -> Html:
    """Which file, when, by which version, and the verdict before anything else."""
    render, found = report.render, verdict(report.render)
    made = element("time", numbers.date(report.made_at), datetime=report.made_at)
    sign = element("span", "✓" if found.passed else "✗", class_="sign", aria_hidden="true")
    return element(
        "header",
        element("h1", element("bdi", Path(render.output).name)),
        element(
            "p",
            *("Repaired from ", element("bdi", Path(render.source).name), ". Certificate of ", made),
            f", unbake {report.unbake}.",
            class_="made",
        ),
        element(
            "p",
            *(sign, element("strong", f"{found.short}."), " ", element("span", found.says + _outside(report))),
            class_=f"verdict {'holds' if found.passed else 'fails'}",
        ),
    )


def changes(told: Told) -> Html:
    """What was done, in words, with what was measured for it and what was done to the level."""
    render = told.report.render
    parts = [
        _bullets(map(numbers.typeset, told.report.changes))
        if told.report.changes
        else element("p", "Nothing was changed.")
    ]
    if render.fitted:
        parts += [
            element("h3", "Values measured on this recording"),
            _bullets(map(numbers.typeset, words.of_fits(render.fitted))),
        ]
    notes = [f"Delivery: {numbers.typeset(render.delivery.why)}."] if render.delivery and render.delivery.why else []
    if render.overs.samples:
        notes.append(_overs(render))
    if render.model_caution:
        notes.append(f"Caution: {render.model_caution}.")
    return _section("changes", "What was changed", *parts, *(element("p", note) for note in notes))


def waveform(told: Told) -> Html:
    """The two files over time."""
    traces = told.traces
    if traces is None:
        return Html("")
    source, output = (numbers.length(each.seconds) for each in (traces.source, traces.output))
    lengths = f"{source} long." if source == output else f"The source is {source} long, the output {output}."
    return _figure(plots.waveform(traces, lengths=lengths))


def spectra(told: Told) -> Html:
    """The two files over frequency."""
    return _figure(None if told.figures is None else plots.spectra(told.figures))


def residual_by_band(told: Told) -> Html:
    """The difference over frequency."""
    figures = told.figures
    if figures is None:
        return Html("")
    predicted = None if told.traces is None else told.traces.predicted
    return _figure(plots.residual_by_band(figures, predicted or (), told.report.prediction))


def residual_over_time(told: Told) -> Html:
    """The difference over time."""
    figures = told.figures
    if figures is None or not figures.windows:
        return Html("")
    return _figure(plots.residual_over_time(figures, _seconds(told, figures), _number(told.report, "channels") or 2))


def loudness(told: Told) -> Html:
    """Level and image of source and output, and how far each moved."""
    before, after = told.report.render.loudness.before, told.report.render.loudness.after
    a, b = (Programme(), Programme()) if told.figures is None else (told.figures.a, told.figures.b)
    peaks = before.true_peak_dbtp, after.true_peak_dbtp
    ratios = [
        None if peak is None or level is None else peak - level
        for peak, level in zip(peaks, (before.lufs_i, after.lufs_i), strict=True)
    ]
    rows = [
        _compared("Integrated loudness", "LUFS", before.lufs_i, after.lufs_i),
        _compared("Loudness range", "LU", before.lra_lu, after.lra_lu),
        _compared("Loudest 3 s (short-term)", "LUFS", a.max_short_term_lufs, b.max_short_term_lufs),
        _compared("Loudest 400 ms (momentary)", "LUFS", a.max_momentary_lufs, b.max_momentary_lufs),
        _compared("True peak", "dBTP", peaks[0], peaks[1]),
        _compared("Sample peak", "dBFS", a.sample_peak_dbfs, b.sample_peak_dbfs),
        _compared("Peak to loudness (PLR)", "LU", ratios[0], ratios[1]),
        _compared("Correlation, left to right", "", a.correlation, b.correlation, digits=2),
        _compared("Correlation, least of any 400 ms", "", a.least_correlation, b.least_correlation, digits=2),
        _compared("Loss when summed to mono", "LU", a.mono_loss_lu, b.mono_loss_lu),
    ]
    about = "BS.1770-4, EBU Tech 3341 and 3342."
    if not any(rows):
        return _section("loudness", "Loudness and image", element("p", "Too short or too quiet to have any."))
    named = ("", "unit", "before", "after", "change")
    return _section(
        "loudness", "Loudness and image", _table(named, [row for row in rows if row], "figures"), _small(about)
    )


def phase(told: Told) -> Html:
    """How the output lies against the source in time, level and phase."""
    figures = told.figures
    if figures is None:
        return Html("")
    rate = told.report.render.sample_rate
    residual = figures.residual
    if figures.identical:
        left = "nothing: every sample is the same"
    else:
        levels = (with_unit(residual.peak_dbfs, "dBFS peak"), with_unit(residual.rms_dbfs, "dBFS rms"))
        left = ", ".join([*levels, with_unit(residual.lufs, "LUFS")])
    rows = [
        ("Difference", left),
        ("Depth of the null", with_unit(figures.depth_db, "dB against the source")),
        ("Samples that differ", _differing(figures, rate)),
        (
            "Delay of the output",
            f"{with_unit(figures.delay_samples, 'samples', 2, signed=True)}{_in_ms(figures, rate)}",
        ),
        ("Drift", with_unit(figures.drift_ppm, "ppm", 2, signed=True)),
        ("Spread of the delay", with_unit(figures.delay_spread_samples, "samples", 2)),
        ("Polarity", "the same" if figures.polarity == 1 else "inverted"),
        ("Gain of the output", with_unit(figures.gain_db, "dB", 2, signed=True)),
        ("Correlation of both files", decimal(figures.correlation, 4, signed=True)),
        ("Least coherence of a band", _coherence(figures)),
        ("Comb filter", _comb(figures)),
    ]
    said = [[element("th", name, scope="row"), element("td", value)] for name, value in rows if value not in ("", NONE)]
    about = "Delay, drift, polarity, gain, correlation, coherence and comb are estimates from both files."
    return _section("phase", "Phase and alignment", _table((), said, "pairs"), _small(about))


def stems(told: Told) -> Html:
    """Which stems there were, which were changed, and what each adds to the source."""
    render = told.report.render
    brought = _brought(told.report)
    all_names: list[str] = [*render.stems, *([RESIDUAL] if render.stems else []), *render.changed, *brought]
    names = dict.fromkeys(all_names if render.changed else [])
    none = element("p", "No stem was changed, so none was needed.")
    if not render.changed and not render.cleanup:
        return _section("stems", "Stems", none)
    added = {} if told.traces is None else told.traces.added
    rows: list[Sequence[Html]] = []
    if CLEANUP in added:
        what = [element("th", CLEANUP, scope="row"), _cell("state", "of the master")]
        rows.append([*what, *_adds(added[CLEANUP], changed=True), _cell("SHA-256", NONE)])
    for name in names:
        changed = name in render.changed
        digest = told.report.stem_sha256.get(name) or brought.get(name, {}).get("hash") or None
        state = "changed" if changed else "untouched"
        short = NONE if digest is None else digest[:SHOWN_DIGITS]
        rows.append(
            [
                element("th", element("bdi", name), scope="row"),
                _cell("state", f"{state}, brought" if name in brought else state, "" if changed else "dim"),
                *_adds(added.get(name), changed=changed),
                _cell("SHA-256", element("code", short)),
            ]
        )
    total = render.certificate.stem_sum_residual_dbfs
    summed = "" if total is None else f" All stems together are the source to {with_unit(total, 'dBFS')}."
    named = ("stem", "state", "adds, dBFS rms", "adds, dBFS peak", "SHA-256")
    about = (
        f"{_stems_of(render)}.{summed} What a stem adds is the difference that its strip makes to the source, "
        "before the master stage."
    )
    if not render.changed:
        return _section("stems", "Stems", none, *([_table(named, rows, "stacked")] if rows else []))
    return _section("stems", "Stems", _table(named, rows, "stacked"), _small(about))


def proof(told: Told) -> Html:
    """The figures behind the verdict, each with its limit; those that have none stand with the phase."""
    judged = [check for check in told.report.checks if check.passed is not None]
    if not judged:
        return _proof_alone(told)
    rows = [
        [
            element("th", check.name[:1].upper() + check.name[1:], scope="row"),
            _cell("found", with_unit(*_found(check)), "figure"),
            _cell("limit", numbers.typeset(check.limit)),
            _cell("", "✓ within" if check.passed else "✗ outside", "" if check.passed else "fails"),
        ]
        for check in judged
    ]
    return _section("proof", "Proof", _table(("", "found", "limit", ""), rows, "stacked checks"))


def _proof_alone(told: Told) -> Html:
    """The figures of a certificate that held none of them against a limit."""
    found, noise = told.report.render.certificate, " and dither" if told.report.render.dithered else ""
    whole = "The same with master stage and delivery", found.render_residual_dbfs
    rows = [
        ("Output against source plus changes, computed once more", found.untouched_residual_dbfs),
        *([] if found.untouched_residual_dbfs == found.render_residual_dbfs else [whole]),
        (f"Most that rounding{noise} can cause", found.quantisation_dbfs),
        ("Source against the sum of all stems", found.stem_sum_residual_dbfs),
    ]
    said = [
        [element("th", name, scope="row"), element("td", decimal(value, 2), class_="figure")] for name, value in rows
    ]
    about = f"Peaks in dBFS; {NONE} where there is nothing at all, or where it can’t be told."
    return _section("proof", "Proof", _table((), said, "figures"), _small(about))


def files(told: Told) -> Html:
    """Every file with its format and hash."""
    render = told.report.render
    source = told.report.document.get("source", {})
    written = f"{render.container} {render.subtype}, {numbers.whole(render.sample_rate)}\u00a0Hz"
    rows = [
        _file(
            "output", render.output, f"{written}{', dithered' if render.dithered else ''}", told.report.output_sha256
        ),
        _file("source", render.source, _format(source), told.report.source_sha256),
        *(_file("stem", name, "", digest) for name, digest in told.report.stem_sha256.items()),
        *(_file("brought", each["path"], f"as {name}", each["sha256"]) for name, each in _brought(told.report).items()),
        *(_file("weights", name, "", digest) for name, all_of in told.report.model_sha256.items() for digest in all_of),
    ]
    if render.session is not None:
        rows.append(_file("session", render.session, "", None))
    if told.report.session_sha256:
        rows.append(_file("settings", "as below, as compact JSON with keys in order", "", told.report.session_sha256))
    return _section("files", "Files", element("dl", *rows))


def made_with(told: Told) -> Html:
    """Versions and, where somebody wrote them down, rights."""
    render = told.report.render
    by = [f"unbake {told.report.unbake}", *([_stems_of(render)] if render.changed else [])]
    if told.report.profile is not None:
        by.append(f"delivery profile {told.report.profile.name}")
    by += [f"{name} {version}" for name, version in told.report.versions.items()]
    parts = [element("p", "; ".join(by) + ".")]
    if told.report.rights:
        pairs = [[element("th", key, scope="row"), element("td", value)] for key, value in _flat(told.report.rights)]
        parts += [element("h3", "Rights"), _table((), pairs, "pairs")]
    return _section("versions", "Made with", *parts)


def document(told: Told) -> Html:
    """The session in words, and as it stands in its file."""
    report = told.report
    source = f"source: {Path(report.render.source).name}, {_format(report.document.get('source', {}))}"
    lines = [source, *([_stems_of(report.render)] if report.render.changed else [])]
    lines += map(numbers.typeset, report.changes)
    tables = element("pre", element("code", toml.dump(report.document)))
    folded = element("details", element("summary", "Every setting, as the session’s file (TOML) has it"), tables)
    return _section("session", "Session", _bullets(lines), folded)


def sections(told: Told) -> Html:
    """All of them in order."""
    return joined(each(told) for each in ORDER)


ORDER: Final = (
    changes,
    waveform,
    spectra,
    residual_by_band,
    residual_over_time,
    loudness,
    phase,
    stems,
    proof,
    files,
    made_with,
    document,
)


def _section(name: str, title: str, *content: Html) -> Html:
    return element("section", element("h2", title), *content, id=name)


def _figure(plot: Plot | None) -> Html:
    if plot is None:
        return Html("")
    caption = element("figcaption", element("p", plot.says))
    return element("section", element("h2", plot.title), element("figure", plot.drawing, caption), id=plot.name)


def _small(words_of: str) -> Html:
    return element("p", words_of, class_="small")


def _bullets(lines: Iterable[str]) -> Html:
    return element("ul", *(element("li", line) for line in lines))


def _table(named: Sequence[str], rows: Iterable[Sequence[Html]], look: str) -> Html:
    top = [element("thead", element("tr", *(element("th", name, scope="col") for name in named)))] if named else []
    return element("table", *top, element("tbody", *(element("tr", *row) for row in rows)), class_=look)


def _cell(name: str, content: str, look: str = "") -> Html:
    """A cell that says what it is where the table is too narrow to have columns."""
    return element("td", content, class_=look or None, data_name=name)


def _compared(name: str, unit: str, before: float | None, after: float | None, digits: int = 1) -> list[Html]:
    """A row of a figure before and after, with the points of all rows below each other; none where there is neither."""
    if before is None and after is None:
        return []
    change = None if before is None or after is None else after - before
    cells = [_aligned(decimal(before, digits)), _aligned(decimal(after, digits)), decimal(change, 2, signed=True)]
    # the unit has a column of its own, or where there is no room for one stands behind the name
    behind = [element("span", f" {unit}", class_="unit")] if unit else []
    return [
        element("th", name, *behind, scope="row"),
        element("td", unit, class_="unit"),
        *(element("td", cell, class_="figure") for cell in cells),
    ]


def _aligned(text: str) -> str:
    """A figure of one decimal made as wide as those of two."""
    whole, point, parts = text.partition(".")
    if text == NONE:
        return text
    return f"{whole}{point or POINT_SPACE}{parts}{FIGURE_SPACE * (2 - len(parts))}"


def _overs(render: Certificate) -> str:
    overs = render.overs
    treated = {
        "trim": f"the whole file was lowered by {-overs.trim_db:.3f}\u00a0dB",
        "limit": "they were limited",
        "clip": "they were clipped",
        None: "they were kept, since floating point holds them",
    }[overs.treatment]
    peak = with_unit(overs.peak_dbfs, "dBFS", 2, signed=True)
    return f"{numbers.whole(overs.samples)} samples of the sum were beyond full scale (peak {peak}): {treated}."


def _adds(added: Added | None, *, changed: bool) -> list[Html]:
    """What a strip adds, rms and peak."""
    if not changed:
        return [_cell(each, "nothing", "figure dim") for each in ("adds, dBFS rms", "adds, dBFS peak")]
    levels = (None, None) if added is None else (added.rms_dbfs, added.peak_dbfs)
    return [
        _cell("adds, dBFS rms", decimal(levels[0]), "figure"),
        _cell("adds, dBFS peak", decimal(levels[1]), "figure"),
    ]


def _differing(figures: Figures, rate: int) -> str:
    if figures.first_difference is None:
        return "none"
    first = plots.place_of(figures.first_difference / rate)
    return f"{numbers.whole(figures.differing_samples)}, the first at {first}"


def _outside(report: Report) -> str:
    """How many figures are beyond their limits, where any is."""
    count = sum(check.passed is False for check in report.checks)
    if not count:
        return ""
    return f" {count} of the figures {'is' if count == 1 else 'are'} beyond {'its' if count == 1 else 'their'} limit."


def _found(check: Check) -> tuple[float | None, str, int]:
    """The figure of a check, its unit, and how many decimals are of use to anybody."""
    if check.unit == "" and check.figure is not None and check.figure == round(check.figure):
        return check.figure, "", 0
    return check.figure, check.unit, DECIMALS.get(check.unit, 2)


def _in_ms(figures: Figures, rate: int) -> str:
    milliseconds = 1000.0 * figures.delay_samples / rate
    return f" ({with_unit(milliseconds, 'ms', 3, signed=True)})" if abs(milliseconds) >= 0.0005 else ""


def _coherence(figures: Figures) -> str:
    known = [(band.coherence, band) for band in figures.bands if band.coherence is not None and band.low_hz > 0.0]
    if not known:
        return NONE
    least, band = min(known, key=lambda each: each[0])
    around = numbers.nominal_hz(band.low_hz, band.high_hz)
    return f"{decimal(least, 3)}, around {numbers.hertz(around)}"


def _comb(figures: Figures) -> str:
    comb = figures.comb
    if not comb.found:
        return "none found"
    return f"found: {with_unit(comb.delay_ms, 'ms', 2)}, ripple {with_unit(comb.ripple_db, 'dB')}"


def _stems_of(render: Certificate) -> str:
    """Whose stems they are, and how they were made."""
    if render.model == EXTERNAL:
        return "Stems of another tool"
    how = "" if render.overlap is None else f" ({render.overlap:g} passes, {render.precision})"
    return f"Stems by {render.model}{how}"


def _file(what: str, name: str, about: str, digest: str | None) -> Html:
    parts = [element("bdi", name, class_="path")]
    parts += [element("span", about)] if about else []
    parts += [element("span", "SHA-256 ", element("code", digest), class_="hash")] if digest else []
    return joined([element("dt", what), element("dd", *parts)])


def _format(source: dict[str, Any]) -> str:
    """What a source is, of the tables of a session."""
    if not source:
        return ""
    channels = {1: "mono", 2: "stereo"}.get(source["channels"], f"{source['channels']} channels")
    size = f"{numbers.whole(source['frames'])} frames"
    rate = f"{numbers.whole(source['sample_rate'])}\u00a0Hz"
    return f"{source['container']} {source['subtype']}, {rate}, {channels}, {size}"


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Free text of the engineer's as pairs; tables within tables by their key paths."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{before}{key}.")
        else:
            pairs.append((f"{before}{key}", _plain(value)))
    return pairs


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_plain, value)) if isinstance(value, (list, tuple)) else str(value)


def _seconds(told: Told, figures: Figures) -> float:
    """Length of the difference."""
    if told.traces is not None:
        return max(told.traces.source.seconds, told.traces.output.seconds)
    frames, rate = (_number(told.report, key) for key in ("frames", "sample_rate"))
    return frames / rate if frames and rate else figures.windows[-1].seconds + figures.window_seconds


def _brought(report: Report) -> dict[str, dict[str, Any]]:
    """Files of the engineer's that are stems of the session, by name."""
    return report.document.get("brought", {})


def _number(report: Report, key: str) -> int:
    """A number of the source, of the session's tables; 0 where they have none."""
    value = report.document.get("source", {}).get(key, 0)
    return value if isinstance(value, int) else 0
