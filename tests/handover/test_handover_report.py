"""`--report X.html`: the page that a render leaves, from the command line and from the workstation."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from core.events import finish
from core.handover.certificate import Report, place_beside, read_report
from core.handover.page.document import as_html
from core.handover.page.traces import Traces, trace
from core.jobs import messages, operations, sessions


def traced(report: Report, session: Path) -> Traces:
    """What was to be drawn of a render, read again."""
    document = sessions.open_session(session)
    _, stems = finish(sessions.stems_for(document, device="cpu"))
    return finish(trace(document, sessions.stem_paths(stems), report.render))


def test_a_repair_leaves_a_page_of_its_certificate_and_its_files(unbake, song: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out.wav", tmp_path / "report.html"
    words = ("--stems-from", song.parent / "stems", "-o", out, "--report", page, "--json")
    done = unbake("repair", song, "--preset", "tame-drums", *words)
    assert done.code == 0, done.err
    said = page.read_text(encoding="utf-8")
    report = read_report(place_beside(out))
    assert said == as_html(report, traced(report, song.with_name("song.unbake.toml")))
    for section in ("changes", "waveform", "loudness", "stems", "proof", "files", "session"):
        assert f'id="{section}"' in said
    for digest in (report.output_sha256, report.source_sha256, *report.stem_sha256.values()):
        assert digest in said
    assert "Rest exact." in said
    assert str(tmp_path) not in re.sub(r'<bdi class="path">.*?</bdi>|<pre>.*?</pre>', "", said, flags=re.DOTALL)


def test_a_page_of_a_session_gives_the_level_of_what_every_strip_adds(unbake, song: Path, tmp_path: Path) -> None:
    session, page = tmp_path / "s.unbake.toml", tmp_path / "report.HTM"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.bass.mode=cancel", "strips.other.gain_db=-6")
    assert unbake("render", session, "-o", tmp_path / "out.wav", "--report", page).code == 0
    report = read_report(place_beside(tmp_path / "out.wav"))
    found = traced(report, session)
    assert found.added.keys() == {"bass", "other"}
    # 0.2 and 0.1 peak as sines, the left channel at 0.7
    power = (0.2**2 + 0.1**2) / 2.0 * (1.0 + 0.7**2) / 2.0
    assert found.added["bass"].rms_dbfs == pytest.approx(10.0 * math.log10(power), abs=0.05)
    assert found.predicted is not None
    assert f"−{-(found.added['bass'].rms_dbfs or 0.0):.1f}</td>" in page.read_text(encoding="utf-8")


def test_with_a_master_stage_no_difference_is_foretold(unbake, song: Path, tmp_path: Path) -> None:
    session = tmp_path / "s.unbake.toml"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.other.gain_db=-6")
    words = ("-o", tmp_path / "out.wav", "--rate", "48000", "--report", tmp_path / "r.html")
    assert unbake("render", session, *words).code == 0
    found = traced(read_report(place_beside(tmp_path / "out.wav")), session)
    assert found.predicted is None
    assert found.difference is None
    assert found.output.seconds == pytest.approx(found.source.seconds, abs=1 / 48_000)
    assert "another sample rate" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_stem_that_was_brought_stands_among_the_others_with_its_file(unbake, song: Path, tmp_path: Path) -> None:
    session, page = tmp_path / "s.unbake.toml", tmp_path / "r.html"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    mine = tmp_path / "my <bass>.wav"
    mine.write_bytes((song.parent / "stems" / "bass.wav").read_bytes())
    brought = unbake("session", "bring", session, mine, "--name", "mine", "--delay", 0, "--polarity", 1, "--gain", 0)
    assert brought.code == 0, brought.err
    assert unbake("render", session, "-o", tmp_path / "out.wav", "--report", page).code == 0
    text = page.read_text(encoding="utf-8")
    row = re.search(r"<tr><th scope=\"row\"><bdi>mine</bdi></th>(.*?)</tr>", text)
    assert row is not None
    assert "changed, brought" in row[1]
    assert len(re.findall("−[0-9.]+</td>", row[1])) == 2
    assert re.search("<code>[0-9a-f]{12}</code>", row[1])
    assert "my &lt;bass&gt;.wav</bdi><span>as mine</span>" in text


def test_the_workstation_leaves_the_same_page(unbake, song: Path, tmp_path: Path) -> None:
    session = tmp_path / "s.unbake.toml"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.other.gain_db=-6")
    pages = []
    out, page = tmp_path / "out.wav", tmp_path / "r.html"
    assert unbake("render", session, "-o", out, "--report", page).code == 0
    pages.append(page.read_text(encoding="utf-8"))
    asked = messages.Render(
        sessions.open_session(session), str(session), out=str(out), report=str(page), force=True, device="cpu"
    )
    finish(operations.carry_out(asked))
    pages.append(page.read_text(encoding="utf-8"))
    made = re.compile(r'<time datetime=".*?</time>')
    assert made.sub("", pages[0]) == made.sub("", pages[1])


def test_a_page_is_not_written_over_without_force(unbake, song: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("mine")
    words = ("--preset", "untouched", "-o", tmp_path / "out.wav", "--report", page)
    done = unbake("repair", song, *words)
    assert done.code == 2
    assert "exists already" in done.err
    assert page.read_text() == "mine"
    assert not (tmp_path / "out.wav").exists()
    assert unbake("repair", song, *words, "--force").code == 0
    assert "Identical." in page.read_text(encoding="utf-8")
