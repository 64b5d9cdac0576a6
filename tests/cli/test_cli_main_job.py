"""The main job from the command line: untouched is bit for bit, what was touched is proven, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from core.session.processors import Bell
from core.strips.eq import sections

LOSSLESS = [
    ("WAV", "PCM_U8", ".wav"),
    ("WAV", "PCM_16", ".wav"),
    ("WAV", "PCM_24", ".wav"),
    ("WAV", "PCM_32", ".wav"),
    ("WAV", "FLOAT", ".wav"),
    ("WAV", "DOUBLE", ".wav"),
    ("RF64", "PCM_24", ".wav"),
    ("W64", "PCM_24", ".w64"),
    ("AIFF", "PCM_S8", ".aiff"),
    ("AIFF", "PCM_16", ".aiff"),
    ("AIFF", "FLOAT", ".aiff"),
    ("FLAC", "PCM_16", ".flac"),
    ("FLAC", "PCM_24", ".flac"),
    ("CAF", "PCM_24", ".caf"),
    ("CAF", "DOUBLE", ".caf"),
]


@pytest.mark.parametrize(("container", "subtype", "extension"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_an_untouched_session_gives_every_sample_back(
    unbake, tmp_path: Path, container: str, subtype: str, extension: str, channels: int
) -> None:
    source = tmp_path / f"song{extension}"
    sound = np.random.default_rng(2).standard_normal((5000, channels)) * 0.3
    sound[:2] = [[0.999], [-1.0]]
    soundfile.write(source, sound, 48_000, format=container, subtype=subtype)
    done = unbake("repair", source, "--preset", "untouched", "--json")
    assert done.code == 0, done.err
    written = Path(done.json["output"])
    assert written == tmp_path / f"song.repaired{extension}"
    assert done.json["certificate"]["identical"] is True
    before, after = soundfile.info(source), soundfile.info(written)
    assert (before.format, before.subtype, before.samplerate) == (after.format, after.subtype, after.samplerate)
    kind = "int32" if subtype.startswith("PCM") else "float64"
    assert np.array_equal(soundfile.read(source, dtype=kind)[0], soundfile.read(written, dtype=kind)[0])


def test_a_repair_is_source_plus_delta_and_nothing_else(unbake, song: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    done = unbake(
        "repair", song, "--preset", "de-mud-bass-only", "--stems-from", song.parent / "stems", "-o", out, "--json"
    )
    assert done.code == 0, done.err
    source, bass = soundfile.read(song)[0], soundfile.read(song.parent / "stems" / "bass.wav")[0]
    cut = signal.sosfilt(sections(Bell(freq_hz=250.0, gain_db=-3.0, q=0.7), 44_100), bass, axis=0)
    written = soundfile.read(out)[0]
    assert np.abs(written - (source + cut - bass)).max() <= 1.5 * 2**-23
    assert np.abs(written - source).max() > 0.01
    proof = done.json["certificate"]
    assert proof["identical"] is False
    assert proof["untouched_residual_dbfs"] <= proof["quantisation_dbfs"] == pytest.approx(-134.95, abs=0.01)
    assert proof["stem_sum_residual_dbfs"] is None or proof["stem_sum_residual_dbfs"] <= -140


def test_the_json_of_a_repair_has_the_names_of_the_contract(unbake, song: Path) -> None:
    done = unbake("repair", song, "--preset", "muddy-low-end", "--stems-from", song.parent / "stems", "--json")
    found = done.json
    assert found["schema"] == 1
    assert found["source"] == str(song)
    assert sorted(found["stems"]) == ["bass", "drums", "other", "vocals"]
    assert found["model"] == "external"
    assert found["changed"] == ["bass"]
    for side in ("before", "after"):
        assert {"lufs_i", "lra_lu", "true_peak_dbtp"} <= set(found["loudness"][side])
    assert found["overs"]["samples"] == 0
    assert isinstance(found["overs"]["peak_dbfs"], float)
    assert found["seconds"] > 0
    assert found["realtime_factor"] > 0


def test_session_new_set_render_gives_the_bytes_of_repair(unbake, song: Path, tmp_path: Path) -> None:
    stems = song.parent / "stems"
    session = tmp_path / "mine.unbake.toml"
    assert unbake("session", "new", song, "-o", session, "--stems-from", stems).code == 0
    chain = 'strips.bass.chain=[{type="bell", freq_hz=250, gain_db=-3, q=0.7}]'
    assert unbake("session", "set", session, chain).code == 0
    assert unbake("render", session, "-o", tmp_path / "one.wav").code == 0
    assert (
        unbake("repair", song, "--preset", "de-mud-bass-only", "--stems-from", stems, "-o", tmp_path / "two.wav").code
        == 0
    )
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


def test_modes_polarity_and_the_residual_are_settings_of_one_sum(unbake, song: Path, tmp_path: Path) -> None:
    session = tmp_path / "s.unbake.toml"
    stems = song.parent / "stems"
    assert unbake("session", "new", song, "-o", session, "--stems-from", stems).code == 0
    source = soundfile.read(song)[0]
    drums = soundfile.read(stems / "drums.wav")[0]
    vocals = soundfile.read(stems / "vocals.wav")[0]
    edits = ["strips.drums.mode=cancel", "strips.vocals.mode=parallel", "strips.vocals.blend=0.5"]
    assert unbake("session", "set", session, *edits, "strips.residual.gain_db=-6").code == 0
    done = unbake("render", session, "-o", tmp_path / "out.wav", "--subtype", "float", "--json")
    assert done.json["changed"] == ["vocals", "drums", "residual"]
    expected = (source - drums + 0.5 * vocals).astype(np.float32)
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0] - expected).max() < 1e-7


def test_undo_brings_the_earlier_session_back(unbake, song: Path, tmp_path: Path) -> None:
    session = tmp_path / "s.unbake.toml"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.bass.gain_db=-2")
    assert unbake("session", "undo", session, "--json").json["changed"] == []
    assert unbake("session", "redo", session, "--json").json["changed"] == ["bass"]
    log = unbake("session", "log", session, "--json").json
    assert [edit["what"] for edit in log["edits"]] == ["new session on song.wav", "set strips.bass.gain_db=-2"]


def test_a_repair_over_an_existing_session_keeps_what_was_there(unbake, song: Path) -> None:
    stems = song.parent / "stems"
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", stems)
    unbake("session", "set", session, "strips.drums.gain_db=-2")
    kept = session.read_text()
    done = unbake("repair", song, "--preset", "de-mud-bass-only", "--stems-from", stems, "--json")
    assert done.json["changed"] == ["bass"]
    unbake("session", "undo", session)
    assert session.read_text() == kept
    done = unbake("repair", song, "--preset", "de-mud-bass-only", "--session", session, "--force", "--json")
    assert done.json["changed"] == ["drums", "bass"]


def test_the_same_repair_can_be_asked_for_twice(unbake, song: Path, tmp_path: Path) -> None:
    words = ("--preset", "tame-drums", "--stems-from", song.parent / "stems", "--session", tmp_path / "s.unbake.toml")
    first = unbake("repair", song, *words, "-o", tmp_path / "out.wav", "--json")
    second = unbake("repair", song, *words, "-o", tmp_path / "out.wav", "--force", "--json")
    assert (first.code, second.code) == (0, 0), second.err
    assert first.json["changed"] == second.json["changed"] == ["drums"]


def test_rights_stay_with_the_source_when_a_repair_starts_afresh(unbake, song: Path) -> None:
    stems = song.parent / "stems"
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", stems)
    unbake("session", "set", session, 'rights.owner="me"', "strips.vocals.gain_db=-2")
    done = unbake("repair", song, "--preset", "de-mud-bass-only", "--stems-from", stems)
    assert "stay in its history" in done.err
    assert unbake("session", "show", session, "--json").json["document"]["rights"] == {"owner": "me"}


def test_a_source_named_in_another_way_is_the_same_source(unbake, song: Path) -> None:
    stems = song.parent / "stems"
    crooked = song.parent / "stems" / ".." / song.name
    first = unbake("session", "new", crooked, "--stems-from", stems, "--json").json
    assert first["document"]["source"]["path"] == str(song)
    done = unbake("repair", crooked, "--preset", "tame-drums", "--stems-from", stems, "--json")
    assert Path(done.json["session"]).name == "song.unbake.toml"


def test_a_render_of_a_session_that_may_not_be_written_leaves_it_alone(unbake, song: Path, tmp_path: Path) -> None:
    session = song.with_name("song.unbake.toml")
    unbake("session", "new", song, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.bass.gain_db=-1")
    before = {path: path.stat().st_mtime_ns for path in song.parent.iterdir()}
    assert unbake("render", session, "-o", tmp_path / "out.wav").code == 0
    assert {path: path.stat().st_mtime_ns for path in song.parent.iterdir()} == before


def test_two_sources_of_one_name_have_sessions_of_their_own(unbake, song: Path) -> None:
    flac = song.with_suffix(".flac")
    soundfile.write(flac, *soundfile.read(song), subtype="PCM_24")
    first = unbake("session", "new", song, "--stems-from", song.parent / "stems", "--json").json["session"]
    second = unbake("session", "new", flac, "--stems-from", song.parent / "stems", "--json").json["session"]
    assert Path(first).name == "song.unbake.toml"
    assert Path(second).name == "song.flac.unbake.toml"


def loud(song: Path) -> Path:
    """The song with a session whose sum exceeds full scale."""
    session = song.with_name("loud.unbake.toml")
    session.unlink(missing_ok=True)
    from tui.__main__ import main

    assert (
        main(["session", "new", str(song), "-o", str(session), "--stems-from", str(song.parent / "stems"), "--quiet"])
        == 0
    )
    assert main(["session", "set", str(session), "strips.bass.gain_db=18", "--quiet"]) == 0
    return session


def test_overs_are_refused_and_nothing_is_written(unbake, song: Path, tmp_path: Path) -> None:
    session = loud(song)
    before = sorted(tmp_path.rglob("*"))
    done = unbake("render", session, "-o", tmp_path / "out.wav")
    assert done.code == 2
    assert "exceed full scale" in done.err
    assert "--overs trim, limit or clip" in done.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("policy", ["trim", "limit", "clip"])
def test_overs_are_treated_as_asked(unbake, song: Path, tmp_path: Path, policy: str) -> None:
    session = loud(song)
    done = unbake("render", session, "-o", tmp_path / "out.wav", "--overs", policy, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["overs"]["samples"] > 0
    assert found["overs"]["peak_dbfs"] > 0
    assert found["overs"]["treatment"] == policy
    assert found["certificate"]["untouched_residual_dbfs"] is None
    assert found["certificate"]["render_residual_dbfs"] <= found["certificate"]["quantisation_dbfs"]
    written = soundfile.read(tmp_path / "out.wav")[0]
    assert np.abs(written).max() <= 1.0
    if policy == "trim":
        assert found["overs"]["trim_db"] == pytest.approx(-found["overs"]["peak_dbfs"], abs=0.002)
        assert np.abs(written).max() > 0.999


def test_float_output_holds_overs(unbake, song: Path, tmp_path: Path) -> None:
    done = unbake("render", loud(song), "-o", tmp_path / "out.wav", "--subtype", "float", "--json")
    assert done.code == 0
    assert done.json["overs"]["samples"] > 0
    assert done.json["overs"]["treatment"] is None
    sound = soundfile.read(tmp_path / "out.wav")[0]
    assert done.json["overs"]["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(sound).max()), abs=1e-4)
    assert done.json["overs"]["peak_dbfs"] > 0


@pytest.mark.parametrize("policy", ["trim", "limit", "clip"])
def test_overs_are_treated_in_float_too_when_asked(unbake, song: Path, tmp_path: Path, policy: str) -> None:
    done = unbake("render", loud(song), "-o", tmp_path / "out.wav", "--subtype", "float", "--overs", policy, "--json")
    assert done.code == 0, done.err
    assert done.json["overs"]["treatment"] == policy
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() <= 1.0


@pytest.mark.parametrize("subtype", ["16", "PCM_U8"])
def test_an_untouched_transfer_to_fewer_bits_is_plain_rounding_and_passes(
    unbake, song: Path, tmp_path: Path, subtype: str
) -> None:
    done = unbake("repair", song, "--preset", "untouched", "--subtype", subtype, "-o", tmp_path / "o.wav", "--json")
    assert done.code == 0, done.err
    assert done.json["dithered"] is False
    proof = done.json["certificate"]
    assert proof["identical"] is False
    assert proof["untouched_residual_dbfs"] <= proof["quantisation_dbfs"]


def test_dither_is_automatic_explicit_or_off(unbake, song: Path, tmp_path: Path) -> None:
    session = tmp_path / "s.unbake.toml"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.bass.gain_db=-1")
    outs = {}
    for name, master in {
        "automatic": "[]",
        "off": '[{type="dither", bypass=true}]',
        "highpass": '[{type="dither", shape="highpass"}]',
        "word": '[{type="dither", bits=20}]',
    }.items():
        unbake("session", "set", session, f"master={master}")
        done = unbake("render", session, "-o", tmp_path / f"{name}.wav", "--json")
        proof = done.json["certificate"]
        assert proof["untouched_residual_dbfs"] <= proof["quantisation_dbfs"]
        outs[name] = (done.json["dithered"], soundfile.read(tmp_path / f"{name}.wav", dtype="int32")[0])
    assert [outs[name][0] for name in outs] == [True, False, True, True]
    assert not np.array_equal(outs["automatic"][1], outs["highpass"][1])
    assert not (outs["word"][1] & 0xFFF).any()  # 20 bits on top of 32
    assert (outs["automatic"][1] & 0xFFF).any()
    unbake("session", "set", session, 'master=[{type="dither", bits=32}]')
    assert "dither to 32 bits, but PCM_24 has 24" in unbake("render", session, "-o", tmp_path / "x.wav").err


def test_renders_are_the_same_bytes_every_time(unbake, song: Path, tmp_path: Path) -> None:
    stems = song.parent / "stems"
    for name in ("one.wav", "two.wav"):
        unbake("repair", song, "--preset", "tame-drums", "--stems-from", stems, "-o", tmp_path / name)
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


def test_the_report_carries_rights_hashes_and_figures(unbake, song: Path, tmp_path: Path) -> None:
    session = tmp_path / "s.unbake.toml"
    unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    unbake("session", "set", session, "strips.bass.gain_db=-1", 'rights.owner="Änne"', "rights.cleared=2026-05-01")
    for report in ("r.json", "r.md"):
        done = unbake("render", session, "-o", tmp_path / "out.wav", "--report", tmp_path / report, "--force")
        assert done.code == 0, done.err
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["rights"] == {"owner": "Änne", "cleared": "2026-05-01"}
    assert set(found["stem_sha256"]) == {"vocals", "drums", "bass", "other", "residual"}
    assert found["render"]["certificate"]["untouched_residual_dbfs"] <= -134
    assert "owner: Änne" in (tmp_path / "r.md").read_text()


def test_whoever_uses_the_starter_is_told_what_it_is(unbake, make_song, tmp_path: Path) -> None:
    song = make_song(tmp_path / "m", frames=20_000)
    caution = "drums, bass and other come from filters, not from a trained network"
    shown = unbake("models", "show", "starter", "--json").json["caution"]
    assert caution in shown
    assert shown in unbake("models", "show", "starter").out
    for report, words in (("r.json", ["--json"]), ("r.md", ["--json", "--force"])):
        done = unbake("repair", song, "--preset", "muddy-low-end", "--report", tmp_path / report, *words)
        assert done.err.count(caution) == 1
        assert done.json["model_caution"] == shown
    assert json.loads((tmp_path / "r.json").read_text())["render"]["model_caution"] == shown
    assert f"Caution: {shown}." in (tmp_path / "r.md").read_text()
    assert unbake("separate", song, "-o", tmp_path / "stems").err.count(caution) == 1


@pytest.mark.parametrize("words", [["untouched"], ["muddy-low-end", "--stems-from", "STEMS"]])
def test_nothing_is_said_of_a_model_that_was_not_used(unbake, song: Path, tmp_path: Path, words: list[str]) -> None:
    stems = str(song.parent / "stems")
    words = [word.replace("STEMS", stems) for word in words]
    done = unbake("repair", song, "--preset", *words, "--report", tmp_path / "r.md", "--json")
    assert done.json["model_caution"] is None
    assert "filters" not in done.err
    assert "Caution" not in (tmp_path / "r.md").read_text()


def test_a_lossy_source_becomes_32_bit_float_of_what_was_decoded(unbake, tmp_path: Path) -> None:
    sound = np.random.default_rng(2).standard_normal((44_100, 2)) * 0.1
    soundfile.write(tmp_path / "song.ogg", sound, 44_100, format="OGG", subtype="VORBIS")
    done = unbake("repair", tmp_path / "song.ogg", "--preset", "untouched", "--json")
    assert Path(done.json["output"]).name == "song.repaired.wav"
    assert done.json["subtype"] == "FLOAT"
    assert done.json["certificate"]["identical"] is True
    assert np.array_equal(
        soundfile.read(tmp_path / "song.ogg", dtype="float32")[0],
        soundfile.read(tmp_path / "song.repaired.wav", dtype="float32")[0],
    )


def test_null_tells_identical_from_changed_by_its_exit_code(unbake, song: Path, tmp_path: Path) -> None:
    unbake("repair", song, "--preset", "untouched", "-o", tmp_path / "same.wav")
    done = unbake("null", song, tmp_path / "same.wav", "--json")
    assert (done.code, done.json["identical"], done.json["pass"]) == (0, True, True)
    assert done.json["residual"] == {"peak_dbfs": None, "rms_dbfs": None, "lufs": None}
    stems = song.parent / "stems"
    unbake("repair", song, "--preset", "tame-drums", "--stems-from", stems, "-o", tmp_path / "other.wav")
    done = unbake("null", song, tmp_path / "other.wav")
    assert done.code == 1
    assert "FAILS" in done.out
    assert unbake("null", song, tmp_path / "other.wav", "--threshold", "0").code == 0
