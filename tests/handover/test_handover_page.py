"""The report as a page: what it says, that nothing in a name breaks out of it, and that it is whole on its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from core.handover.certificate import Report, as_json
from core.handover.page import numbers, plots, svg
from core.handover.page.document import as_html
from core.handover.page.markup import Html, css_string, element
from core.handover.page.sections import verdict
from core.handover.page.traces import Traces
from core.measure.figures import Figures, Place, Window
from tests.handover.handover_reports import (
    CLEAN,
    IDENTICAL,
    NOTHING,
    make_figures,
    make_proofs,
    make_report,
    make_traces,
    no_figures,
    trace_of,
)

VOID = {"meta", "br"}
WHOLE = {
    "changes",
    "waveform",
    "spectra",
    "bands",
    "windows",
    "loudness",
    "phase",
    "stems",
    "proof",
    "files",
    "versions",
    "session",
}


class Read(HTMLParser):
    """A page taken apart; refuses elements that are closed in another order than they were opened."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.names: set[str] = set()
        self.ids: list[str] = []
        self.refers: list[str] = []
        self.links: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        said = dict(attrs)
        self.ids += [said["id"] or ""] if "id" in said else []
        self.refers += (said.get("aria-labelledby") or "").split()
        self.links += [f"{key}={value}" for key, value in attrs if key in ("src", "href", "xlink:href", "style")]
        assert not any(key.startswith("on") for key in said)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.text[tag] = self.text.get(tag, "") + data


def whole() -> tuple[Report, Traces]:
    return make_report(figures=make_figures(), **make_proofs()), make_traces()


def test_a_page_has_every_section_and_needs_nothing_else() -> None:
    page = as_html(*whole())
    read = Read(page)
    assert page.startswith("<!DOCTYPE html>")
    assert set(read.ids) >= WHOLE
    assert len(read.ids) == len(set(read.ids))
    assert set(read.refers) <= set(read.ids)
    assert read.names.isdisjoint({"script", "link", "img", "iframe", "object", "base", "use", "image"})
    assert read.links == []
    assert "@import" not in page
    assert "url(" not in page
    assert not re.search(r"https?:", page)
    assert "default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;" in page


def test_every_plot_says_what_it_is() -> None:
    drawings = re.findall(r"<svg.*?</svg>", as_html(*whole()), re.DOTALL)
    assert len(drawings) == 2 * 4  # for a wide page and for a narrow one
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.attrib["viewBox"]
        assert root.attrib["role"] == "img"
        assert root[0].tag == "title"
        assert root[1].tag == "desc"
        assert len(root[1].text or "") > 20
        words = " ".join(each.text or "" for each in root.iter("text"))
        assert re.search("dBFS|dB", words)
        assert re.search("frequency, Hz|time, min:s", words)


def test_the_figures_are_said_in_engineers_units() -> None:
    text = Read(as_html(*whole())).text["body"]
    for said in (
        "Rest exact.",
        "at most −135.01\u00a0dBFS off source plus changes; rounding and dither allow −134.95\u00a0dBFS",
        "23 November 2026, 13:22 UTC",
        "bass: bell 317 Hz −6 dB Q 0.95",
        "about 8.0 dB at 317 Hz (chance 83%)",
        "streaming: lowered by 0.4 dB",
        "12 samples of the sum were beyond full scale (peak +0.31\u00a0dBFS): the whole file was lowered",
        "The largest sample is −17.9\u00a0dBFS at 3:07.200, right.",
        "The most that a third octave moved is −5.0\u00a0dB, around 250\u00a0Hz.",
        "Most of it is around 250\u00a0Hz: −60.0\u00a0dBFS rms.",
        "found: 1.25\u00a0ms, ripple 3.1\u00a0dB",
        "0.00\u00a0samples",
        "cleared.recording",
        "Stems by starter (2 passes, fp32)",
        "2\u202f187\u202f796, the first at 0:00.000",
        "[strips.bass]",
        "What is not as expected is −144.5\u00a0dBFS rms at most in any band.",
        "1 of the figures is beyond its limit.",
        "Deltas as predicted, worst third octave−144.25\u00a0dBFS rmsat most −134.9✓ within",
        "Samples that differ from the source12none✗ outside",
        "python 3.11.7; numpy 2.3.5",
        "weightsstarterSHA-256 " + "f" * 64,
        "SHA-256 " + "e" * 64,
    ):
        assert said in text, said


def test_the_table_of_loudness_holds_before_after_and_change() -> None:
    page = as_html(*whole())
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index('id="loudness"') : page.index('id="phase"')])
    found = {}
    for row in rows:
        cells = [re.sub("<.*?>|[\u2007\u2008]", "", cell) for cell in re.findall("<t[hd].*?</t[hd]>", row)]
        found[cells[0]] = cells[1:]
    assert found["Integrated loudness LUFS"] == ["LUFS", "−13.6", "−14.0", "−0.42"]
    assert found["True peak dBTP"] == ["dBTP", "−0.4", "−1.0", "−0.59"]
    assert found["Peak to loudness (PLR) LU"] == ["LU", "13.2", "13.0", "−0.17"]
    assert found["Loudest 3 s (short-term) LUFS"] == ["LUFS", "−10.2", "−10.9", "−0.70"]
    assert found["Correlation, least of any 400 ms"] == ["", "0.40", "0.40", "0.00"]


@pytest.mark.parametrize(
    ("changes", "short", "said", "passed"),
    [
        ({"certificate": IDENTICAL}, "Identical", "source’s own", True),
        ({}, "Rest exact", "−135.01", True),
        ({"passed": False}, "FAILS", "−135.01\u00a0dBFS off", False),
        ({"dithered": False}, "Rest exact", "rounding allows", True),
        (
            {"certificate": msgspec.structs.replace(CLEAN, quantisation_dbfs=None, render_residual_dbfs=None)},
            "Not provable",
            "lossy",
            True,
        ),
        ({"certificate": msgspec.structs.replace(CLEAN, render_residual_dbfs=None)}, "Rest exact", "not at all", True),
    ],
)
def test_the_verdict_is_that_of_the_proof(changes: dict, short: str, said: str, passed: bool) -> None:
    report = make_report(**changes)
    found = verdict(report.render)
    assert (found.short, found.passed) == (short, passed)
    assert said in found.says
    page = as_html(report, None)
    assert ("verdict fails" in page) is not passed
    assert page.index("verdict") < page.index("What was changed")


NAMES = [
    '"><script>alert(1)</script>',
    "</style><script>alert(1)</script>",
    "R&B <mix> 'final' \"v2\"",
    "caf\udce9 \udcff",
    "tab\there\nand \x00 there\x07",
    "\u202egnp.wav",
    'a\\"}*{display:none}',
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_breaks_out_of_the_page(name: str) -> None:
    report, traces = whole()
    hostile = {name: name}
    render = msgspec.structs.replace(
        report.render,
        output=f"/music/{name}.wav",
        source=f"/music/{name}",
        session=name,
        model=name,
        model_caution=name,
        stems=(name,),
        changed=(name,),
        container=name,
        precision=name,
    )
    report = msgspec.structs.replace(
        report,
        render=render,
        made_at=name,
        unbake=name,
        changes=[f"{name}: {name}"],
        rights={name: hostile},
        stem_sha256=hostile,
        document={"source": {**report.document["source"], "container": name}, "strips": hostile},
    )
    page = as_html(report, traces._replace(added={name: traces.added["bass"]}))
    page.encode()
    read = Read(page)
    assert "script" not in read.names
    assert page.count("</style>") == 1
    shown = name.rsplit("/", 1)[-1] if "/" in name else name
    for unfit in ("\udce9", "\udcff", "\x00", "\x07"):
        shown = shown.replace(unfit, "\ufffd")
    assert shown in read.text["h1"]
    assert re.search(r"@top-left \{ content: \"[^\"\n]*\" \}", read.text["style"])


def test_a_style_sheet_string_holds_anything() -> None:
    assert css_string('a"}\n<\\é') == '"a\\22 \\7d \\a \\3c \\5c \\e9 "'


def test_markup_is_told_from_text_and_tells_attributes() -> None:
    assert element("b", "<i>", Html("<i></i>"), class_='"x"', data_name="&") == (
        '<b class="&quot;x&quot;" data-name="&amp;">&lt;i&gt;<i></i></b>'
    )


@pytest.mark.parametrize("figures", [None, no_figures(), make_figures()])
@pytest.mark.parametrize("traced", [True, False])
def test_a_page_can_be_made_of_whatever_there_is(figures: Figures | None, traced: bool) -> None:
    report = make_report(
        figures=figures, loudness=msgspec.structs.replace(make_report().render.loudness, before=NOTHING)
    )
    page = as_html(report, make_traces(3.0) if traced else None)
    found = set(Read(page).ids)
    assert ("waveform" in found) is traced
    assert ("phase" in found) is (figures is not None)
    assert ("windows" in found) is (figures is not None and not figures.identical)
    assert found >= {"changes", "loudness", "stems", "proof", "files", "session"}
    assert "nan" not in re.sub("[a-z]*nance", "", page.lower())
    assert "None" not in page


def test_figures_without_a_limit_are_not_judged() -> None:
    told = make_proofs()["checks"][-1:]
    page = as_html(make_report(checks=told), None)
    assert "coherence" not in page
    assert "Most that rounding and dither can cause" in page
    assert "beyond its limit" not in page


def test_a_session_without_an_edit_says_that_nothing_was_changed() -> None:
    report = make_report(certificate=IDENTICAL, changed=(), stems=(), changes=[], stem_sha256={}, figures=no_figures())
    silent = trace_of(np.zeros((2, 44_100)), 44_100)
    text = Read(as_html(report, Traces(silent, silent, silent, {}, None))).text["body"]
    for said in ("Nothing was changed.", "digital silence", "No stem was changed", "nothing: every sample is the same"):
        assert said in text


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("frames", [1, 63, 65_537])
def test_the_shortest_files_and_any_number_of_channels_are_drawn(frames: int, channels: int) -> None:
    traces = make_traces(frames / 44_100, rate=44_100, channels=channels)
    assert traces.source.overview.frames == frames
    source = {**make_report().document["source"], "channels": channels, "frames": frames}
    worst = Place(0, channels - 1, 0.0, -17.93)
    figures = make_figures(seconds=frames / 44_100, worst=worst)
    page = as_html(make_report(figures=figures, document={"source": source}), traces)
    assert f"{channels} channels" in page or {1: "mono", 2: "stereo"}[channels] in page
    assert ("0:00.000, channel 8." in page) is (channels == 8)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        for data in re.findall(r' d="([^"]*)"', drawing):
            assert re.fullmatch(r"[MLHVZh0-9. -]+", data), data


def test_two_hours_make_a_page_no_longer_than_two_minutes_do() -> None:
    page = {}
    for seconds in (120.0, 7200.0):
        figures = make_figures(seconds=seconds, window_seconds=0.1)
        page[seconds] = len(as_html(make_report(figures=figures), make_traces(seconds)).encode())
    assert len(make_figures(seconds=7200.0, window_seconds=0.1).windows) == 72_000
    assert page[7200.0] < 1.3 * page[120.0] < 400_000


def test_windows_that_share_a_column_keep_their_peak_and_their_power() -> None:
    windows = [Window(float(place), -40.0, -60.0, None) for place in range(1000)]
    windows[501] = Window(501.0, -3.0, -20.0, None)
    windows[502] = Window(502.0, None, None, None)
    thinned = plots.thin(windows, 100)
    assert len(thinned) == 100
    assert thinned[50] == (500.0, -3.0, pytest.approx(10.0 * np.log10((0.01 + 8e-6) / 10.0)))
    assert thinned[0] == (0.0, -40.0, pytest.approx(-60.0))
    assert plots.thin(windows[502:503], 100) == [(502.0, None, None)]


def test_the_same_report_gives_the_same_bytes_also_from_its_json() -> None:
    report, traces = whole()
    again = msgspec.json.decode(as_json(report), type=Report)
    assert again == report
    assert as_html(report, traces) == as_html(again, make_traces())


def test_a_difference_can_be_told_from_a_wave_by_its_scale() -> None:
    said = plots.waveform(make_traces(), lengths="One.").says
    assert said == "One. The difference (output less source) peaks at −26.0\u00a0dBFS, drawn 18\u00a0dB larger."
    other_rate = plots.waveform(make_traces()._replace(difference=None), lengths="").says
    assert "another sample rate" in other_rate


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (208.0, ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30", "3:00"]),
        (7200.0, ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00"]),
        (2.3, ["0:00.0", "0:00.2", "0:00.4"]),
        (0.5, ["0", "100", "200", "300", "400", "500"]),
    ],
)
def test_time_is_ticked_at_full_seconds_minutes_and_hours(seconds: float, labels: list[str]) -> None:
    axis = svg.time_axis(seconds, svg.WIDE)
    assert [tick.label for tick in axis.ticks][: len(labels)] == labels
    assert len(axis.ticks) <= svg.WIDE.ticks + 1


def test_frequency_is_ticked_at_one_two_and_five() -> None:
    axis = svg.frequency_axis(svg.WIDE)
    labels = [tick.label for tick in axis.ticks if tick.label]
    assert labels == ["20", "50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k"]
    assert axis.share(axis.low) == 0.0
    assert axis.share(632.0) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-54.2, -30.1, ["−60", "−54", "−48", "−42", "−36", "−30"]),
        (-1.0, 1.0, ["−1.0", "−0.5", "0.0", "+0.5", "+1.0"]),
        (-118.0, -18.0, ["−120", "−100", "−80", "−60", "−40", "−20", "0"]),
    ],
)
def test_levels_are_ticked_at_round_decibels(low: float, high: float, labels: list[str]) -> None:
    axis = svg.level_axis(low, high, 5, signed="+1.0" in labels)
    assert [tick.label for tick in axis.ticks] == labels


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (numbers.decimal(-13.64), "−13.6"),
        (numbers.decimal(-0.04, signed=True), "0.0"),
        (numbers.decimal(None), "–"),
        (numbers.decimal(float("nan")), "–"),
        (numbers.clock(3723.4567, 3), "1:02:03.457"),
        (numbers.clock(59.9996, 3), "1:00.000"),
        (numbers.length(2.0), "2\u00a0s"),
        (numbers.length(0.02), "20\u00a0ms"),
        (numbers.hertz(numbers.nominal_hz(281.8, 354.8)), "315\u00a0Hz"),
        (numbers.hertz(numbers.nominal_hz(2818.4, 3548.1)), "3.15\u00a0kHz"),
        (numbers.hertz(numbers.nominal_hz(8912.5, 11220.2)), "10\u00a0kHz"),
        (numbers.date("whenever"), "whenever"),
    ],
)
def test_figures_read_as_engineers_write_them(found: str, expected: str) -> None:
    assert found == expected
