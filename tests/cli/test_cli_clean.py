"""`unbake clean` and `unbake session clean`: damage found and taken out of files and sessions, and what can't be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 44_100
FRAMES = RATE
LEVEL = 0.5


def tones(frames: int = FRAMES) -> np.ndarray:
    """A chord whose peaks reach 1.3 times `LEVEL` in the left channel and stay under it in the right one."""
    time = np.arange(frames) / RATE
    sound = 0.35 * np.sin(2 * np.pi * 220 * time) + 0.2 * np.sin(2 * np.pi * 331 * time)
    sound = sound + 0.1 * np.sin(2 * np.pi * 587 * time) + 0.002 * np.random.default_rng(5).standard_normal(frames)
    return np.stack([sound, 0.5 * sound], axis=1)


@pytest.fixture(scope="session")
def clipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clipped") / "clipped.wav"
    soundfile.write(path, np.clip(tones(), -LEVEL, LEVEL), RATE, subtype="PCM_16")
    return path


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


def test_clipped_peaks_are_put_back_and_nothing_else_is_touched(unbake, clipped: Path, tmp_path: Path) -> None:
    out, taken = tmp_path / "out.wav", tmp_path / "taken.wav"
    done = unbake("clean", clipped, "-o", out, "--steps", "declip", "--removed", taken, "--json")
    assert done.code == 0
    report = done.json
    before, after = read(clipped), read(out)
    cut = np.abs(before) >= LEVEL - 1e-4
    assert np.array_equal(after[~cut], before[~cut])
    error = np.sum((after[cut] - tones()[cut]) ** 2)
    assert error < 0.05 * np.sum((before[cut] - tones()[cut]) ** 2)
    assert np.abs(before - after - read(taken)).max() < 1e-7
    (step,) = report["steps"]
    assert step["carried_out"]
    assert step["finding"]["type"] == "declip"
    assert step["finding"]["confidence"] > 0.8
    assert step["finding"]["places"]
    assert report["subtype"] == "FLOAT"
    assert not report["identical"]
    assert report["changed_samples"] == np.count_nonzero(after != before)
    assert report["realtime_factor"] > 0.0


def test_what_is_found_surely_is_mended_unasked_and_the_rest_is_told(unbake, clipped: Path, tmp_path: Path) -> None:
    done = unbake("clean", clipped, "-o", tmp_path / "out.wav", "--json")
    assert done.code == 0
    carried_out = {step["finding"]["type"]: step["carried_out"] for step in done.json["steps"]}
    assert carried_out["declip"]
    assert sum(carried_out.values()) == 1
    assert list(carried_out) == ["declip", "declick", "decrackle", "dehum", "denoise", "deecho", "dereverb"]


def test_edges_of_clipping_are_not_claimed_as_clicks(unbake, tmp_path: Path) -> None:
    path = tmp_path / "both.wav"
    rng = np.random.default_rng(2)
    time = np.arange(6 * RATE) / RATE
    sound = 0.4 * np.sin(2 * np.pi * 110 * time) * np.sin(2 * np.pi * 0.5 * time) + 0.2 * np.sin(2 * np.pi * 523 * time)
    for at in rng.integers(RATE, 5 * RATE, 12):
        sound[at : at + 20] += 0.5 * rng.standard_normal(20)
    for most, sure in ((1.0, True), (0.45, False)):
        soundfile.write(path, np.clip(sound, -most, most) / 1.01, RATE, subtype="PCM_24")
        steps = unbake("clean", path, "--find", "--json").json["steps"]
        found = {step["finding"]["type"]: step["finding"] for step in steps}
        assert found["declip"]["found"] is not sure
        assert found["declick"]["found"]
        assert (found["declick"]["confidence"] >= 0.8) is sure
        assert ("behind declip" in found["declick"]["detail"]) is not sure


def test_a_stretch_of_noise_is_named_in_any_order(unbake, tmp_path: Path) -> None:
    path, rng = tmp_path / "noisy.wav", np.random.default_rng(1)
    sound = tones(6 * RATE) + 0.003 * rng.standard_normal((6 * RATE, 2))
    sound[2 * RATE : 4 * RATE] = 0.003 * rng.standard_normal((2 * RATE, 2))
    soundfile.write(path, sound, RATE, subtype="PCM_24")
    outcomes = []
    values = ["--set", "denoise.from_seconds=2.2", "--set", "denoise.to_seconds=3.8"]
    for number, order in enumerate((values, values[2:] + values[:2])):
        out = tmp_path / f"{number}.wav"
        done = unbake("clean", path, "-o", out, "--steps", "denoise", *order, "--json")
        assert done.code == 0, done.err
        assert done.json["steps"][0]["carried_out"]
        outcomes.append(read(out))
    assert np.array_equal(*outcomes)


def test_to_find_writes_nothing(unbake, clipped: Path, tmp_path: Path) -> None:
    for words in (["--removed", tmp_path / "taken.wav"], ["--subtype", "24"], ["--overs", "clip"]):
        done = unbake("clean", clipped, "--find", *words)
        assert done.code == 2
        assert "--find writes nothing" in done.err
    assert not (tmp_path / "taken.wav").exists()


@pytest.mark.parametrize("overs", ["trim", "clip"])
def test_what_is_told_of_overs_is_true_of_the_file(unbake, tmp_path: Path, overs: str) -> None:
    path, out = tmp_path / "hot.wav", tmp_path / "out.wav"
    sound = tones(2 * RATE)
    sound *= 1.3 / np.abs(sound).max()
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    done = unbake("clean", path, "-o", out, "--subtype", "24", "--overs", overs, "--steps", "declick", "--json").json
    differ = int(np.count_nonzero(read(out) != read(path)))
    assert done["changed_samples"] == differ > 0
    assert not done["identical"]
    assert done["clipped"] is (overs == "clip")
    assert (done["trim_db"] < 0.0) is (overs == "trim")


def test_fewer_bits_are_dithered_and_the_same_ones_left(unbake, tmp_path: Path) -> None:
    path, out = tmp_path / "quiet.wav", tmp_path / "out.wav"
    sound = np.full((2 * RATE, 2), 0.25 * 2.0**-15) + 0.2 * np.sin(np.arange(2 * RATE) / 50)[:, None]
    soundfile.write(path, sound, RATE, subtype="PCM_24")
    assert unbake("clean", path, "-o", out, "--subtype", "24").code == 0
    assert np.array_equal(read(out), read(path))
    assert unbake("clean", path, "-o", out, "--force", "--subtype", "16").code == 0
    error = (read(out) - read(path)) * 2**15
    assert np.std(error) == pytest.approx(0.5, abs=0.02)  # rounding, and dither of two steps in triangle
    assert abs(error.mean()) < 0.01


def test_what_is_clipped_all_through_is_left_and_its_edges_too(unbake, tmp_path: Path) -> None:
    path, out = tmp_path / "all.wav", tmp_path / "out.wav"
    time = np.arange(6 * RATE) / RATE
    sound = np.sin(2 * np.pi * 110 * time) + 0.5 * np.sin(2 * np.pi * 523 * time)
    soundfile.write(path, np.clip(30.0 * sound, -0.9, 0.9), RATE, subtype="PCM_24")
    done = unbake("clean", path, "-o", out, "--json")
    assert done.json["identical"], done.json["steps"]
    assert np.array_equal(read(out), read(path))
    found = {step["finding"]["type"]: step["finding"] for step in done.json["steps"]}
    assert found["declip"]["figures"]["left_samples"] > 0.5 * sound.size
    assert not found["decrackle"]["found"] or "behind declip" in found["decrackle"]["detail"]
    # whoever asks for a step gets it
    assert unbake("clean", path, "-o", out, "--force", "--steps", "decrackle", "--json").code == 0


def test_clean_sound_comes_out_sample_for_sample(unbake, tmp_path: Path) -> None:
    path, out = tmp_path / "clean.wav", tmp_path / "out.wav"
    soundfile.write(path, tones(), RATE, subtype="PCM_24")
    done = unbake("clean", path, "-o", out, "--json")
    assert done.json["identical"]
    assert not any(step["carried_out"] for step in done.json["steps"])
    assert np.array_equal(read(out), read(path))


def test_integers_are_dithered_where_something_was_done_and_nowhere_else(unbake, clipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.flac"
    assert unbake("clean", clipped, "-o", out, "--steps", "declip").code == 0
    assert soundfile.info(out).subtype == "PCM_16"
    before, after = read(clipped), read(out)
    assert np.array_equal(after[np.abs(before) < LEVEL - 1e-4], before[np.abs(before) < LEVEL - 1e-4])


def test_peaks_that_integers_can_not_hold_are_refused_or_lowered(unbake, tmp_path: Path) -> None:
    path, out = tmp_path / "hot.wav", tmp_path / "out.flac"
    soundfile.write(path, np.clip(tones() / LEVEL, -1.0, 1.0), RATE, subtype="PCM_16")
    refused = unbake("clean", path, "-o", out, "--steps", "declip")
    assert refused.code == 2
    assert "exceed full scale" in refused.err
    assert not out.exists()
    done = unbake("clean", path, "-o", out, "--steps", "declip", "--overs", "trim", "--json")
    assert done.code == 0
    assert done.json["trim_db"] < -1.0
    assert 0.99 < np.abs(read(out)).max() < 1.0


def test_strength_takes_a_share(unbake, clipped: Path, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.wav", tmp_path / "half.wav"
    assert unbake("clean", clipped, "-o", whole, "--steps", "declip").code == 0
    assert unbake("clean", clipped, "-o", half, "--steps", "declip", "--set", "declip.strength=0.5").code == 0
    before = read(clipped)
    assert np.abs((read(half) - before) - 0.5 * (read(whole) - before)).max() < 1e-7


def test_find_says_and_writes_nothing(unbake, clipped: Path) -> None:
    before = sorted(clipped.parent.iterdir())
    done = unbake("clean", clipped, "--find", "--steps", "declip,dehum", "--json")
    assert done.code == 0
    assert done.json["output"] is None
    assert [step["finding"]["found"] for step in done.json["steps"]] == [True, False]
    assert sorted(clipped.parent.iterdir()) == before


def test_info_and_diagnosis_tell_of_damage(unbake, clipped: Path) -> None:
    report = unbake("info", clipped, "--json").json
    fault = next(fault for fault in report["faults"] if fault["kind"] == "clipping")
    assert fault["confidence"] > 0.8
    assert fault["step"] == "declip"
    assert fault["places"]
    assert "unbake clean --steps declip" in unbake("info", clipped).out


def test_a_preset_with_a_clean_up_renders_proves_and_verifies(unbake, clipped: Path, tmp_path: Path) -> None:
    song, out = tmp_path / "song.wav", tmp_path / "out.wav"
    song.write_bytes(clipped.read_bytes())
    done = unbake("repair", song, "--preset", "hot-master", "-o", out, "--subtype", "float", "--json")
    assert done.code == 0
    assert done.json["passed"]
    assert done.json["cleanup"] == ["declip heard by the master"]
    assert done.json["changed"] == []
    before, after = read(song), read(out)
    assert np.array_equal(after[np.abs(before) < LEVEL - 1e-4], before[np.abs(before) < LEVEL - 1e-4])
    assert np.abs(after).max() > LEVEL
    assert unbake("verify", out).code == 0


def test_a_session_gets_a_clean_up_and_loses_it_again(unbake, clipped: Path, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(clipped.read_bytes())
    session, out = tmp_path / "song.unbake.toml", tmp_path / "out.wav"
    assert unbake("session", "new", song).code == 0
    told = unbake("session", "clean", session, "--apply", "master", "--json").json
    (step,) = told["document"]["cleanup"]
    assert (step["type"], step["apply"], step["hash"]) == ("declip", "master", "")
    assert unbake("render", session, "-o", out, "--json").json["cleanup"] == ["declip heard by the master"]
    pinned = unbake("session", "show", session, "--json").json["document"]["cleanup"][0]["hash"]
    assert len(pinned) == 64
    assert "no stem" in unbake("render", session, "-o", out, "--force").out
    assert unbake("session", "clean", session, "--none", "--steps", "declip").code == 2
    changed = unbake("session", "set", session, "cleanup[0].level_dbfs=-7", "--json").json
    assert changed["document"]["cleanup"][0]["hash"] == ""
    assert unbake("session", "clean", session, "--none").code == 0
    assert unbake("render", session, "-o", out, "--force", "--json").json["certificate"]["identical"]


def test_an_untouched_strip_stays_so_and_a_cleaned_one_is_heard(unbake, song: Path, tmp_path: Path) -> None:
    session, out = tmp_path / "s.unbake.toml", tmp_path / "out.wav"
    new = unbake("session", "new", song, "-o", session, "--stems-from", song.parent / "stems")
    assert new.code == 0
    assert unbake("session", "clean", session, "--strip", "bass", "--steps", "declip").code == 0
    done = unbake("render", session, "-o", out, "--json")
    assert done.json["certificate"]["identical"], "nothing is clipped in the bass"
    assert unbake("session", "clean", session, "--strip", "bass", "--steps", "declip", "--set", "declip.level_dbfs=-14")
    done = unbake("render", session, "-o", out, "--force", "--subtype", "float", "--json")
    assert done.json["changed"] == ["bass"]
    assert done.json["passed"]


def nan(path: Path) -> Path:
    sound = tones(4_000)
    sound[3_000, 1] = np.nan
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "declipp"], 'no step "declipp" (did you mean declip?)'),
        (["--steps", ""], 'no step ""'),
        (["--steps", "declip,declip"], "declip is named twice"),
        (["--steps", "network:nope"], 'no model is called "nope"'),
        (["--steps", "declip", "--preset", "vinyl"], "exclude each other"),
        (["--preset", "vocal-lift"], "has no clean-up"),
        (["--preset", "vinil"], "did you mean vinyl?"),
        (["--steps", "dehum", "--set", "dehum.freq_hz=2000"], "must be <= 1000"),
        (["--steps", "dehum", "--set", "dehum.frequency=50"], "no such key"),
        (["--steps", "dehum", "--set", "declip.strength=1"], "declip is not among the steps"),
        (["--steps", "dehum", "--set", "dehum"], "not an assignment"),
        (["--steps", "dehum", "--set", "dehum.hash=1"], "can't be set"),
        (["--steps", "denoise", "--set", "denoise.from_seconds=3", "--set", "denoise.to_seconds=2"], "from_seconds"),
        (["--steps", "dehum", "--set", "dehum.freq_hz=nan"], "--set: dehum.freq_hz: is nan, not a number"),
        (["--steps", "dehum", "--set", "dehum.method=foo"], "dehum.method: 'foo' is not one of the values it can have"),
        (["--device", "abacus"], "abacus"),
        (["--removed", "out.wav"], "is the output already"),
        (["--subtype", "PCM_99"], "PCM_99"),
    ],
)
def test_what_can_not_be_is_one_line(unbake, clipped: Path, tmp_path: Path, monkeypatch, words, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = unbake("clean", clipped, "-o", "out.wav", *words)
    assert done.code == 2
    assert done.err.startswith("unbake: error:")
    assert done.err.count("\n") == 1
    assert said in done.err
    assert not list(tmp_path.iterdir())


def test_samples_that_are_no_numbers_are_refused_with_their_place(unbake, tmp_path: Path) -> None:
    done = unbake("clean", nan(tmp_path / "nan.wav"), "-o", tmp_path / "out.wav", "--steps", "declip")
    assert done.code == 2
    assert "(frame 3000), channel 2" in done.err
    told = unbake("info", tmp_path / "nan.wav", "--json")
    assert told.code == 0
    assert "nan" in [fault["kind"] for fault in told.json["faults"]]


def test_an_output_that_is_there_and_the_source_itself_are_kept(unbake, clipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    out.write_bytes(b"mine")
    assert unbake("clean", clipped, "-o", out, "--steps", "declip").code == 2
    assert out.read_bytes() == b"mine"
    before = clipped.read_bytes()
    assert unbake("clean", clipped, "-o", clipped, "--force").code == 2
    assert clipped.read_bytes() == before
    assert unbake("clean", clipped).code == 2
