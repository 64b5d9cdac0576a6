"""`unbake separate` with where it begins, how exactly it reckons, and ensembles; sessions that name one."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.separation import learnt
from core.separation.device import describe_device
from core.separation.learnt import Finding
from models import registry

FAST = ("--model", "spleeter-2stems", "--device", "cpu", "--json")
TWO = """
name = "two"
about = "A voice heard twice."
[[take]]
stem = "vocals"
combine = "quietest"
[[take.from]]
model = "spleeter-2stems"
[[take.from]]
model = "spleeter-2stems"
invert = true
[[take]]
stem = "band"
[[take.from]]
model = "spleeter-2stems"
stem = "accompaniment"
"""


def read(path: str) -> np.ndarray:
    return np.asarray(soundfile.read(path)[0], np.float64)


def test_where_it_begins_changes_nothing_and_how_exactly_it_reckons_does(unbake, make_song, tmp_path: Path) -> None:
    song = make_song(tmp_path / "m", frames=30_000)
    plain = unbake("separate", song, "-o", tmp_path / "one", *FAST).json
    begun = unbake("separate", song, "-o", tmp_path / "two", *FAST, "--from", "0:00.4").json
    assert Path(plain["stems"]["vocals"]).read_bytes() == Path(begun["stems"]["vocals"]).read_bytes()
    half = unbake("separate", song, "-o", tmp_path / "three", *FAST, "--precision", "bf16").json
    one, other = (read(found["stems"]["accompaniment"]) for found in (plain, half))
    assert 0 < np.abs(one - other).max() < 0.1 * np.abs(one).max()
    assert half["stem_sum_residual_dbfs"] is None or half["stem_sum_residual_dbfs"] < -140
    assert len(unbake("store", "list", "--json").json["entries"]) == 2


def test_what_was_verified_is_taken_by_every_command(unbake, make_song, tmp_path: Path) -> None:
    song = make_song(tmp_path / "m", frames=30_000)
    version = registry.network_version(registry.find("spleeter-2stems"))
    hardware = describe_device("cpu")
    learnt.remember(version, hardware, "fp32", Finding(1.0, tried_factor=1.0), auto=True)
    learnt.remember(version, hardware, "bf16", Finding(2.0, -65.0, tried_factor=2.0))
    stems = ("--model", "spleeter-2stems")
    unbake("separate", song, "-o", tmp_path / "stems", *stems, "--json")
    repaired = ("repair", song, "--preset", "vocal-lift", *stems, "--overs", "trim", "--force")
    assert unbake(*repaired).code == 0
    assert len(unbake("store", "list", "--json").json["entries"]) == 1
    assert 'precision = "bf16"' in (song.parent / "song.unbake.toml").read_text()
    assert unbake(*repaired, "--precision", "fp32").code == 0
    assert len(unbake("store", "list", "--json").json["entries"]) == 2
    session = tmp_path / "kept.unbake.toml"
    assert unbake(*repaired, "--session", session).code == 0
    refused = unbake(*repaired, "--session", session, "--precision", "fp32")
    assert (refused.code, "the session has its stems in bf16" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "soon"], "must be a time, such as 95.5 or 1:35.5"),
        (["--from", "-3"], "must be a time"),
        (["--precision", "half"], "invalid choice"),
        (["--precision", "tf32"], "tf32 is a number format of GPUs"),
        (["--precision", "fp16"], "fp16 is a number format of GPUs"),
    ],
)
def test_what_it_can_not_do_is_one_line(unbake, song: Path, tmp_path: Path, words: list[str], says: str) -> None:
    done = unbake("separate", song, "-o", tmp_path / "out", "--device", "cpu", *words)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


def test_an_ensemble_is_named_as_a_model_is(unbake, make_song, tmp_path: Path) -> None:
    folder = Path(os.environ["UNBAKE_HOME"]) / "ensembles"
    folder.mkdir(parents=True)
    (folder / "two.toml").write_text(TWO)
    song = make_song(tmp_path / "m", frames=30_000)
    found = unbake("separate", song, "-o", tmp_path / "stems", "--model", "two", "--device", "cpu", "--json").json
    assert (found["model"], list(found["stems"])) == ("two", ["vocals", "band"])
    assert found["stem_sum_residual_dbfs"] is None or found["stem_sum_residual_dbfs"] < -140
    total = sum(read(path) for path in (*found["stems"].values(), found["residual"]))
    assert np.abs(total - read(str(song))).max() < 1e-7

    session = tmp_path / "s.toml"
    assert unbake("session", "new", song, "-o", session).code == 0
    assert unbake("session", "set", session, "separation.model=two").code == 0
    shown = unbake("session", "show", session, "--json").json
    assert shown["document"]["separation"]["stems"] == ["vocals", "band"]
    assert unbake("session", "set", session, "strips.band.gain_db=-2").code == 0
    done = unbake("render", session, "-o", tmp_path / "out.wav", "--device", "cpu", "--json")
    assert done.code == 0, done.err
    assert done.json["model"] == "two"
    assert done.json["changed"] == ["band"]

    (folder / "bad.toml").write_text(TWO.replace('"two"', '"bad"').replace("quietest", "best"))
    refused = unbake("separate", song, "-o", tmp_path / "no", "--model", "bad")
    assert refused.code == 2
    assert "bad.toml, line 6: take[0].combine" in refused.err
    assert "mean, median, quietest, loudest, bands" in refused.err


def test_ensembles_are_listed_shown_and_fetched_by_their_models(unbake) -> None:
    listed = unbake("models", "list", "--json").json["ensembles"]
    duo = next(each for each in listed if each["name"] == "voice-duo")
    assert duo["made_of"] == ["bs-roformer-viperx-1297", "mel-roformer-kim-ft3"]
    assert duo["installed"] is False
    assert "voice-duo" in unbake("models", "list").out
    assert {each["name"] for each in unbake("models", "list", "--for", "dry", "--json").json["ensembles"]} == {
        "dry-voice"
    }
    shown = unbake("models", "show", "dry-voice")
    assert "mel-roformer-dereverb, made from vocals" in shown.out
    assert "mean of bs-roformer-viperx-1297, mel-roformer-kim-ft3" in unbake("models", "show", "voice-duo").out
    assert "voice-duo" in unbake("models", "list", "--for", "vocals").out
    assert "GPL-3.0" in shown.out
    refused = unbake("models", "fetch", "dry-voice")
    assert refused.code == 2
    assert "mel-roformer-kim, mel-roformer-dereverb: 1.8 GB would be fetched" in refused.err
    assert 'no model is called "voice-dou"; did you mean voice-duo?' in unbake("models", "show", "voice-dou").err


def test_an_ensemble_whose_models_are_not_here_says_so(unbake, song: Path, tmp_path: Path) -> None:
    done = unbake("separate", song, "-o", tmp_path / "out", "--model", "voice-duo", "--device", "cpu")
    assert done.code == 2
    assert "the weights are not on this machine" in done.err
