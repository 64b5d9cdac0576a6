"""Bad input: one clear line, exit 2, nothing half-written, the source untouched."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def refused(unbake, folder: Path, *words: object) -> str:
    """The one line on stderr of a command that must be refused and leave everything as it was."""
    before = snapshot(folder)
    done = unbake(*words)
    assert done.code == 2, (done.out, done.err)
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if line.startswith("unbake: error: ")]
    assert len(lines) == 1, done.err
    assert done.err.splitlines()[-1] == lines[0]
    assert snapshot(folder) == before
    return lines[0]


def nan_file(path: Path) -> None:
    sound = np.zeros((1000, 2))
    sound[500, 1] = np.nan
    soundfile.write(path, sound, 44_100, subtype="FLOAT")


def truncated(path: Path) -> None:
    soundfile.write(path, np.zeros((10_000, 2)), 44_100, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:20_000])


SOURCES = {
    "missing.wav": (lambda path: None, "no such file"),
    "empty.wav": (lambda path: path.write_bytes(b""), "empty"),
    "frames.wav": (lambda path: soundfile.write(path, np.zeros((0, 2)), 44_100), "no frames|zero frames|holds no"),
    "text.wav": (lambda path: path.write_text("not audio at all, just words\n" * 50), "not"),
    "folder.wav": (lambda path: path.mkdir(), "directory"),
    "cut.wav": (truncated, "truncated|promises"),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "command",
    [
        ["info", "FILE"],
        ["separate", "FILE", "-o", "DIR/stems"],
        ["repair", "FILE", "--preset", "untouched"],
        ["session", "new", "FILE"],
        ["null", "FILE", "FILE"],
    ],
    ids=lambda words: words[0],
)
def test_a_source_that_is_no_audio_is_refused_by_every_command(unbake, tmp_path: Path, name: str, command) -> None:
    import re

    make, said = SOURCES[name]
    path = tmp_path / name
    make(path)
    words = [word.replace("FILE", str(path)).replace("DIR", str(tmp_path)) for word in command]
    line = refused(unbake, tmp_path, *words)
    assert name in line
    assert re.search(said, line), line


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_source_is_refused(unbake, song: Path) -> None:
    song.chmod(0)
    assert "permission denied" in refused(unbake, song.parent, "info", song)


def test_nan_is_reported_by_info_and_refused_by_repair_and_separate(unbake, tmp_path: Path) -> None:
    nan_file(tmp_path / "nan.wav")
    found = unbake("info", tmp_path / "nan.wav", "--json")
    assert found.code == 0
    assert any(fault["kind"] == "nan" and "500" in fault["detail"] for fault in found.json["faults"])
    for words in (
        ["repair", "--preset", "untouched"],
        ["repair", "--preset", "tame-drums"],
        ["separate", "-o", tmp_path / "out"],
    ):
        assert "sample is NaN at 0:00.011 (frame 500), channel 2" in refused(
            unbake, tmp_path, words[0], tmp_path / "nan.wav", *words[1:]
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "DIR/nowhere/out.wav"], "folder to write to does not exist"),
        (["-o", "DIR"], "is a directory"),
        (["-o", "DIR/song.wav"], "is the source itself"),
        (["-o", "DIR/song.wav", "--force"], "is the source itself"),
        (["-o", "DIR/link.wav", "--force"], "is the source itself"),
        (["-o", "DIR/there.wav"], "exists already"),
        (["-o", "DIR/out.xyz"], "names no format"),
        (["-o", "DIR/out.flac", "--subtype", "float"], "can't be written in FLAC"),
        (["-o", "DIR/out.wav", "--report", "DIR/nowhere/r.md"], "folder to write to does not exist"),
        (["-o", "DIR/out.wav", "--report", "DIR/song.wav", "--force"], "is the source itself"),
        (["-o", "DIR/out.wav", "--report", "DIR/there.wav"], "exists already"),
        (["-o", "DIR/out.wav", "--session", "DIR/nowhere/s.toml"], "folder to write to does not exist"),
        (["-o", "DIR/out.wav", "--session", "DIR/broken.toml"], "not valid TOML"),
        (["-o", "DIR/out.wav", "--model", "tuba-net"], "tuba-net"),
        (["-o", "DIR/out.wav", "--device", "abacus"], "abacus"),
        (["-o", "DIR/out.wav", "--device", "cuda"], "cuda"),
        (["-o", "DIR/out.wav", "--stems-from", "DIR/empty"], "empty"),
        (["-o", "DIR/out.wav", "--stems-from", "DIR/missing"], "missing"),
        (["-o", "DIR/out.wav", "--stems-from", "DIR/stems", "--model", "starter"], "exclude each other"),
        (["-o", "DIR/out.wav", "--align"], "--align is about the stems of another tool"),
    ],
)
def test_a_repair_that_can_not_be_is_refused_before_any_work(unbake, song: Path, words: list[str], said: str) -> None:
    folder = song.parent
    (folder / "empty").mkdir()
    (folder / "link.wav").symlink_to(song)
    (folder / "there.wav").write_bytes(b"keep me")
    (folder / "broken.toml").write_text("[source")
    words = [word.replace("DIR", str(folder)) for word in words]
    if "cuda" in words:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
    assert said in refused(unbake, folder, "repair", song, "--preset", "tame-drums", *words)


def test_an_unknown_preset_and_a_preset_for_other_stems_are_refused(unbake, song: Path) -> None:
    assert "did you mean" in refused(unbake, song.parent, "repair", song, "--preset", "tame-drum")
    stems = song.parent / "stems"
    (stems / "drums.wav").unlink()
    line = refused(unbake, song.parent, "repair", song, "--preset", "tame-drums", "--stems-from", stems)
    assert "needs the stem drums" in line


@pytest.mark.parametrize(
    ("rate", "frames", "channels", "said"),
    [(48_000, 70_001, 2, "48000"), (44_100, 70_000, 2, "70000"), (44_100, 70_001, 1, "channel")],
)
def test_stems_of_another_length_or_rate_are_refused(
    unbake, song: Path, rate: int, frames: int, channels: int, said: str
) -> None:
    stems = song.parent / "stems"
    soundfile.write(stems / "bass.wav", np.zeros((frames, channels)), rate, subtype="FLOAT")
    line = refused(unbake, song.parent, "repair", song, "--preset", "de-mud-bass-only", "--stems-from", stems)
    assert "bass.wav" in line
    assert said in line


def test_a_source_that_changed_or_went_away_is_noticed(unbake, song: Path) -> None:
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", song.parent / "stems")
    sound, rate = soundfile.read(song)
    soundfile.write(song, sound * 0.5, rate, subtype="PCM_24")
    assert "has changed since the session was made" in refused(unbake, song.parent, "render", session)
    song.unlink()
    assert "the source of this session is gone" in refused(unbake, song.parent, "render", session)


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ('model = "external"', "model = 3", "separation.model"),
        ("schema = 1", "schema = 99", "newer unbake"),
        ("[source]", "[sauce]", "sauce"),
        ("overlap = 2.0", "overlap = nan", "separation.overlap"),
    ],
)
def test_a_corrupt_session_is_refused_with_its_line(unbake, song: Path, line: str, replacement: str, said: str) -> None:
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", song.parent / "stems")
    text = session.read_text()
    assert line in text
    session.write_text(text.replace(line, replacement))
    found = refused(unbake, song.parent, "render", session)
    assert said in found
    assert "song.unbake.toml, line " in found


@pytest.mark.parametrize(
    "assignment", ["strips.bass.gain_db=nan", "strips.bass.gain_db=99", "strips.tuba.gain_db=1", "x=1"]
)
def test_a_wrong_edit_changes_nothing(unbake, song: Path, assignment: str) -> None:
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", song.parent / "stems")
    refused(unbake, song.parent, "session", "set", session, "strips.bass.gain_db=-1", assignment)


@pytest.mark.parametrize(
    ("out", "report", "said"),
    [
        ("stems/bass.wav", None, "is a stem that is read"),
        ("out.wav", "stems/bass.wav", "is a stem that is read"),
        ("out.wav", "song.unbake.toml", "is the session"),
        ("out.wav", "song.unbake.history", "is the session"),
        ("out.wav", "out.wav", "is the output"),
    ],
)
def test_force_never_replaces_what_the_engineer_needs(
    unbake, song: Path, out: str, report: str | None, said: str
) -> None:
    folder = song.parent
    stems = folder / "stems"
    unbake("session", "new", song, "--stems-from", stems)
    words = ["--stems-from", stems, "-o", folder / out, "--force"]
    if report is not None:
        words += ["--report", folder / report]
    assert said in refused(unbake, folder, "repair", song, "--preset", "tame-drums", *words)
    session = folder / "song.unbake.toml"
    assert said in refused(unbake, folder, "render", session, *words)


def test_align_without_stems_is_refused_by_render_too(unbake, song: Path) -> None:
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", song.parent / "stems")
    assert "--align is about" in refused(unbake, song.parent, "render", session, "--align")


def test_a_failed_edit_leaves_no_history_behind(unbake, song: Path) -> None:
    (song.parent / "broken.toml").write_text("[source")
    refused(unbake, song.parent, "session", "set", song.parent / "broken.toml", "strips.bass.gain_db=-1")


def test_a_broken_card_of_the_user_does_not_stop_the_others(unbake, song: Path) -> None:
    cards = Path(os.environ["UNBAKE_HOME"]) / "cards"
    cards.mkdir(parents=True)
    (cards / "b.toml").write_text("name = [")
    found = unbake("models", "list", "--json").json
    assert {"starter", "spleeter-2stems"} <= {model["name"] for model in found["models"]}
    assert "b.toml" in found["broken"][0]
    assert unbake("repair", song, "--preset", "untouched").code == 0


@pytest.mark.parametrize(
    "words", [["--keep", "nan"], ["--keep", "-5"], ["--older-than", "-3"], ["--older-than", "soon"]]
)
def test_prune_takes_no_nonsense(unbake, tmp_path: Path, words: list[str]) -> None:
    assert "must be a number, 0 or more" in refused(unbake, tmp_path, "store", "prune", *words)


def test_what_a_source_can_not_take_is_refused_when_it_is_set(unbake, song: Path) -> None:
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", song.parent / "stems")
    high = 'strips.bass.chain=[{type="bell", freq_hz=25000, gain_db=1}]'
    assert "above 21609" in refused(unbake, song.parent, "session", "set", session, high)
    assert "was measured" in refused(unbake, song.parent, "session", "set", session, "source.frames=5")
    kind = refused(unbake, song.parent, "session", "set", session, "strips.bass.mode=swap")
    assert "it can be replace, parallel, cancel" in kind


def test_a_full_disk_is_one_line_and_leaves_nothing(unbake, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(song)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    line = refused(unbake, song.parent, "repair", song, "--preset", "untouched")
    assert "no space left" in line


def test_a_file_with_a_wrong_extension_but_a_right_header_works(unbake, song: Path) -> None:
    disguised = song.rename(song.with_name("song.mp3"))
    done = unbake("repair", disguised, "--preset", "untouched", "--json")
    assert done.code == 0, done.err
    assert done.json["certificate"]["identical"] is True
    assert done.json["output"].endswith("song.repaired.wav")
