"""`unbake verify`: a certificate holds, or says what has changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile


@pytest.fixture
def certificate(unbake, song: Path, tmp_path: Path) -> Path:
    """Of a repair with the stems of another tool, at another loudness."""
    (tmp_path / "mine.toml").write_text('name = "mine"\nabout = "For testing."\n[strips.bass]\ngain_db = -3.0\n')
    path = tmp_path / "song.json"
    words = ("--stems-from", song.parent / "stems", "--profile", "streaming", "--subtype", "24", "--report", path)
    done = unbake("repair", song, "--preset", tmp_path / "mine.toml", "-o", tmp_path / "out.wav", *words)
    assert done.code == 0, done.err
    return path


def checks(done: Any) -> dict[str, bool | None]:
    return {check["what"]: check["passed"] for check in done.json["checks"]}


def test_a_certificate_holds_and_the_render_comes_out_again(unbake, certificate: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    done = unbake("verify", certificate, "--json")
    assert done.code == 0, done.err
    assert done.json["schema"] == 1
    assert done.json["passed"] is True
    assert checks(done) == dict.fromkeys(("output", "source", "session", "proof", "figures", "stems", "render"), True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing is written"
    said = unbake("verify", certificate).out
    assert "verdict" in said
    assert "holds" in said
    assert "made again, byte for byte" in said


def test_a_certificate_that_was_tampered_with_is_told(unbake, certificate: Path) -> None:
    report = json.loads(certificate.read_text())
    report["document"]["strips"]["bass"]["gain_db"] = -1.0
    report["checks"][-1]["passed"] = False
    certificate.write_text(json.dumps(report))
    done = unbake("verify", certificate, "--json")
    assert done.code == 1
    found = checks(done)
    assert (found["document"], found["figures"], found["render"]) == (False, False, False)


def test_what_a_killed_one_left_is_removed_after_a_day(unbake, certificate: Path) -> None:
    cache = Path(os.environ["UNBAKE_CACHE"])
    for name, age_seconds in (("verify-old", 90_000.0), ("verify-new", 60.0)):
        (cache / name).mkdir()
        (cache / name / "out.wav").write_bytes(b"half")
        then = time.time() - age_seconds
        os.utime(cache / name, (then, then))
    assert unbake("verify", certificate).code == 0
    assert [path.name for path in cache.glob("verify-*")] == ["verify-new"]


@pytest.mark.parametrize("preset", ["untouched", "low-end-mono"])
def test_of_any_preset(unbake, song: Path, tmp_path: Path, preset: str) -> None:
    words = ("--stems-from", song.parent / "stems", "--report", tmp_path / "r.json", "--overs", "trim")
    unbake("repair", song, "--preset", preset, "-o", tmp_path / "out.wav", *words)
    done = unbake("verify", tmp_path / "r.json", "--json")
    assert done.code == 0, (done.err, done.json)


def test_an_output_with_other_samples_fails_and_one_with_other_tags_does_not(
    unbake, certificate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.wav"
    with out.open("ab") as file:
        file.write(b"junk\x04\x00\x00\x00tags")
    done = unbake("verify", certificate, "--json")
    assert (done.code, checks(done)["output"]) == (0, True)
    assert "the very samples" in unbake("verify", certificate).out
    sound, rate = soundfile.read(out, dtype="int32")
    sound[1000] += 256
    soundfile.write(out, sound, rate, subtype="PCM_24")
    done = unbake("verify", certificate, "--json")
    assert (done.code, done.json["passed"]) == (1, False)
    assert checks(done)["output"] is False
    assert checks(done)["render"] is True
    out.unlink()
    done = unbake("verify", certificate, "--json")
    assert (done.code, checks(done)["output"]) == (1, False)


def test_a_source_that_changed_or_went_fails(unbake, certificate: Path, song: Path) -> None:
    sound, rate = soundfile.read(song)
    soundfile.write(song, np.roll(sound, 1), rate, subtype="PCM_16")
    for _ in range(2):
        done = unbake("verify", certificate, "--json")
        assert done.code == 1
        assert checks(done)["source"] is False
        assert checks(done)["output"] is True
        assert checks(done)["render"] is None
        song.unlink(missing_ok=True)


def test_other_stems_fail(unbake, certificate: Path, song: Path) -> None:
    stem = song.parent / "stems" / "bass.wav"
    sound, rate = soundfile.read(stem)
    soundfile.write(stem, 0.5 * sound, rate, subtype="FLOAT")
    done = unbake("verify", certificate, "--json")
    assert done.code == 1
    assert checks(done)["stems"] is False
    assert checks(done)["render"] is False
    assert checks(done)["output"] is True


def test_a_session_that_was_edited_since_is_told_and_is_no_fault(unbake, certificate: Path, song: Path) -> None:
    session = json.loads(certificate.read_text())["render"]["session"]
    assert unbake("session", "set", session, "strips.bass.gain_db=-6").code == 0
    done = unbake("verify", certificate, "--json")
    assert (done.code, checks(done)["session"]) == (0, None)
    assert "was edited since" in unbake("verify", certificate).out


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"schema": 1}', "[1, 2]", "\udcff"])
def test_what_is_no_certificate_is_refused_in_one_line(unbake, tmp_path: Path, text: str) -> None:
    (tmp_path / "no.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = unbake("verify", tmp_path / "no.json")
    assert done.code == 2
    assert "no.json" in done.err
    assert "is no certificate of unbake" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_what_is_damaged_or_newer_is_refused(unbake, certificate: Path, song: Path, tmp_path: Path) -> None:
    found = json.loads(certificate.read_text())
    certificate.write_text(json.dumps({**found, "schema": 99}))
    assert "newer unbake" in unbake("verify", certificate).err
    certificate.write_text(json.dumps({**found, "document": {"strips": 3}}))
    done = unbake("verify", certificate)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert unbake("verify", song).code == 2
    assert unbake("verify", tmp_path / "none.json").code == 2


def test_every_render_has_its_certificate_beside_it(unbake, song: Path, tmp_path: Path) -> None:
    session = tmp_path / "s.toml"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.bass.gain_db=-2")
    out = tmp_path / "a.wav"
    assert unbake("render", session, "-o", out).code == 0
    beside = tmp_path / "a.unbake.json"
    first = beside.read_text()
    assert unbake("verify", out).code == 0
    assert unbake("render", session, "-o", tmp_path / "a.flac").code == 0
    assert beside.read_text() == first, "another output's certificate is kept"
    assert (tmp_path / "a.flac.unbake.json").exists()
    assert unbake("verify", tmp_path / "a.flac").code == 0
    unbake("session", "set", session, "strips.bass.gain_db=-4")
    assert unbake("render", session, "-o", out, "--force").code == 0
    assert beside.read_text() != first
    assert unbake("verify", beside).code == 0


def test_what_lies_where_the_certificate_goes_is_kept(unbake, song: Path, tmp_path: Path) -> None:
    for name in ("a.unbake.json", "a.wav.unbake.json"):
        (tmp_path / name).write_text("mine")
    done = unbake("repair", song, "--preset", "untouched", "-o", tmp_path / "a.wav")
    assert done.code == 2
    assert "a.wav.unbake.json" in done.err
    assert not (tmp_path / "a.wav").exists()
    assert (tmp_path / "a.unbake.json").read_text() == "mine"


def test_files_that_were_moved_together_are_found(unbake, song: Path, tmp_path: Path) -> None:
    unbake("repair", song, "--preset", "untouched", "-o", tmp_path / "a.wav")
    folder = tmp_path / "delivered"
    folder.mkdir()
    for name in ("a.wav", "a.unbake.json"):
        (tmp_path / name).rename(folder / name)
    done = unbake("verify", folder / "a.wav", "--json")
    assert done.code == 0, done.json
    assert done.json["output"] == str(folder / "a.wav")
