"""`unbake warp` and `unbake session warp`: files and sessions along a time map, and maps that can't be."""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.tags import append_chunks, read_metadata

RATE = 44_100
FRAMES = 4 * RATE
LINEAR = ("linked", "beats", "repitch", "tones", "texture")


def write(path: Path, samples: np.ndarray, subtype: str = "FLOAT", rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def clicks(frames: int = FRAMES, every: int = RATE // 2) -> np.ndarray:
    sound = np.zeros((frames, 2))
    for start in range(every, frames - 2_000, every):
        sound[start : start + 600] = (0.8 * 0.98 ** np.arange(600))[:, None]
    return sound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A master, and the three stems that it is the sum of; `local.map` changes its middle, `longer.map` all of it."""
    rng = np.random.default_rng(4)
    time = np.arange(FRAMES) / RATE
    drums = np.rint(0.5 * clicks() * 2**23) / 2**23
    voice = np.rint(0.1 * np.sin(2 * np.pi * 330 * time)[:, None] * [1.0, 0.7] * 2**23) / 2**23
    other = np.rint(0.01 * rng.standard_normal((FRAMES, 2)) * 2**23) / 2**23
    for name, sound in (("master", drums + voice + other), ("drums", drums), ("voice", voice), ("other", other)):
        write(tmp_path / f"{name}.wav", sound, "PCM_24")
    (tmp_path / "local.map").write_text("0 0\n50000 50000\n80000 84001\n110000 110000\n")
    (tmp_path / "longer.map").write_text(f"# half as fast again\n0 0\n{FRAMES} {FRAMES * 3 // 2}\n")
    return tmp_path


def files(folder: Path) -> list[Path]:
    return [folder / f"{name}.wav" for name in ("master", "drums", "voice", "other")]


def dbfs(samples: np.ndarray) -> float:
    peak = float(np.abs(samples).max())
    return 20 * math.log10(peak) if peak else -math.inf


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, always_2d=True)[0]


@pytest.mark.parametrize("mode", LINEAR)
def test_warped_files_add_up_and_what_is_outside_of_a_local_warp_is_as_it_was(unbake, folder: Path, mode: str) -> None:
    out = folder / "out"
    done = unbake(
        "warp",
        *files(folder),
        "-o",
        out,
        "--map",
        folder / "local.map",
        "--mode",
        mode,
        "--subtype",
        "double",
        "--json",
    )
    assert done.code == 0
    assert (done.json["frames"], done.json["source_frames"], done.json["anchors"]) == (FRAMES, FRAMES, 4)
    master, *stems = (read(out / path.name) for path in files(folder))
    assert dbfs(sum(stems) - master) <= -250
    assert dbfs(sum(stem.mean(axis=1) for stem in stems) - master.mean(axis=1)) <= -250
    assert done.json["sum"]["before_dbfs"] is None
    after = done.json["sum"]["after_dbfs"]
    assert after is None or after <= -250
    source = read(folder / "master.wav")
    assert np.array_equal(master[:50_000], source[:50_000])
    assert np.array_equal(master[110_000:], source[110_000:])
    assert not np.array_equal(master[60_000:100_000], source[60_000:100_000])


def test_a_guide_is_known_by_any_of_its_names(unbake, folder: Path) -> None:
    (folder / "link.wav").symlink_to(folder / "master.wav")
    words = ("warp", *reversed(files(folder)), "-o", folder / "out", "--map", folder / "longer.map")
    done = unbake(*words, "--guide", folder / "link.wav", "--json")
    assert done.json["guide"] == str(folder / "master.wav")
    assert done.json["sum"]["before_dbfs"] is None
    assert done.json["sum"]["after_dbfs"] <= -130


def test_files_of_32_bit_floats_under_the_names_of_what_went_in(unbake, folder: Path) -> None:
    flac = write(folder / "voice.flac", read(folder / "voice.wav"), "PCM_24")
    done = unbake("warp", folder / "master.wav", flac, "-o", folder / "out", "--map", folder / "longer.map", "--json")
    assert done.code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["master.wav", "voice.wav"]
    for path in (folder / "out").iterdir():
        info = soundfile.info(path)
        assert (info.subtype, info.frames, info.samplerate, info.channels) == ("FLOAT", FRAMES * 3 // 2, RATE, 2)


def test_floats_add_up_to_within_their_rounding(unbake, folder: Path) -> None:
    assert unbake("warp", *files(folder), "-o", folder / "out", "--map", folder / "longer.map").code == 0
    master, *stems = (read(folder / "out" / path.name) for path in files(folder))
    assert dbfs(sum(stems) - master) <= -130


def test_a_map_that_moves_nothing_gives_the_very_samples(unbake, folder: Path) -> None:
    (folder / "nothing.map").write_text(f"0 0\n{FRAMES} {FRAMES}\n")
    for subtype in ("float", "24"):
        where = folder / subtype
        words = ("warp", *files(folder), "-o", where, "--map", folder / "nothing.map", "--subtype", subtype)
        assert unbake(*words).code == 0
        assert all(np.array_equal(read(where / path.name), read(path)) for path in files(folder))


@pytest.mark.parametrize("mode", ["linked", "beats"])
def test_anchors_are_on_their_sample(unbake, tmp_path: Path, mode: str) -> None:
    sound = np.zeros((FRAMES, 2))
    at = np.arange(10_000, FRAMES, 15_000)
    sound[at] = 0.7
    write(tmp_path / "clicks.wav", sound)
    anchors = [(int(place), round(place * 1.06) + 50 * (number % 2)) for number, place in enumerate(at)]
    (tmp_path / "m.map").write_text("".join(f"{source} {target}\n" for source, target in anchors))
    words = ("warp", tmp_path / "clicks.wav", "-o", tmp_path / "out", "--map", tmp_path / "m.map", "--mode", mode)
    done = unbake(*words, "--json")
    assert done.code == 0
    found = read(tmp_path / "out" / "clicks.wav")[:, 0]
    for _, target in anchors:
        around = np.abs(found[target - 500 : target + 500])
        assert abs(int(around.argmax()) - 500) <= 1
    assert done.json["files"][0]["drift"]["worst_frames"] <= 1.0


def test_to_a_tempo_that_is_found_or_given(unbake, tmp_path: Path) -> None:
    write(tmp_path / "song.wav", clicks(12 * RATE))
    for more in (("--from-bpm", "120"), ()):
        words = ("warp", tmp_path / "song.wav", "-o", tmp_path / "out", "--to-bpm", "125", *more)
        done = unbake(*words, "--force", "--json")
        assert done.json["frames"] == pytest.approx(12 * RATE * 120 / 125, abs=3)
    assert "BPM heard in mix" in done.err
    found = unbake("tempo", tmp_path / "out" / "song.wav", "--json")
    assert found.json["bpm"] == pytest.approx(125, abs=0.05)


def test_beats_onto_a_grid(unbake, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sound = np.zeros((16 * RATE, 1))
    beats = (np.arange(1, 30) * 0.5 + rng.uniform(-0.02, 0.02, 29)) * RATE
    for beat in beats.astype(int):
        sound[beat : beat + 600, 0] = 0.8 * 0.98 ** np.arange(600)
    write(tmp_path / "loose.wav", sound)
    words = ("warp", tmp_path / "loose.wav", "-o", tmp_path / "out", "--straighten", "100%", "--to-bpm", "120")
    done = unbake(*words, "--save-map", tmp_path / "grid.map", "--json")
    assert done.code == 0
    found = np.abs(read(tmp_path / "out" / "loose.wav")[:, 0])
    starts = np.flatnonzero((found[1:] > 0.5) & (found[:-1] < 0.1))
    steps = np.diff(starts[np.diff(starts, prepend=-9_999) > 4_000])
    assert np.abs(steps - RATE / 2).max() <= 3
    again = unbake("warp", tmp_path / "loose.wav", "-o", tmp_path / "again", "--map", tmp_path / "grid.map")
    assert again.code == 0
    assert (tmp_path / "again" / "loose.wav").read_bytes() == (tmp_path / "out" / "loose.wav").read_bytes()


def test_a_smooth_map_glides_and_keeps_anchors_and_length(unbake, tmp_path: Path) -> None:
    write(tmp_path / "song.wav", clicks())
    anchors = ("--anchors", "0 -> 0, 44100 -> 48000, 88200 -> 90000")
    for name, more in (("straight", ()), ("smooth", ("--smooth",))):
        done = unbake("warp", tmp_path / "song.wav", "-o", tmp_path / name, *anchors, *more, "--json")
        assert done.json["frames"] == FRAMES + 1_800
    one, other = (read(tmp_path / name / "song.wav") for name in ("straight", "smooth"))
    assert not np.array_equal(one, other)
    assert np.array_equal(one[90_000:], other[90_000:])
    assert np.abs(other[47_000:49_000, 0]).argmax() == pytest.approx(1_000, abs=1)


def test_markers_go_along(unbake, tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", clicks(), "PCM_16")
    cue = struct.pack("<III4sIII", 1, 1, RATE, b"data", 0, 0, RATE)
    append_chunks(song, [(b"cue ", cue)])
    (tmp_path / "m.map").write_text(f"0 0\n{FRAMES} {FRAMES * 3 // 2}\n")
    assert unbake("warp", song, "-o", tmp_path / "out", "--map", tmp_path / "m.map").code == 0
    found = dict(read_metadata(tmp_path / "out" / "song.wav").chunks)[b"cue "]
    assert struct.unpack("<III4sIII", found)[-1] == RATE * 3 // 2


def test_typed_anchors_and_taps(unbake, tmp_path: Path) -> None:
    write(tmp_path / "song.wav", clicks(6 * RATE))
    done = unbake("warp", tmp_path / "song.wav", "-o", tmp_path / "a", "--anchors", "0s -> 0s, 1s -> +100ms", "--json")
    assert done.json["frames"] == 6 * RATE + 4_410
    (tmp_path / "taps.txt").write_text("\n".join(f"{0.5 * beat + 0.01 * (-1) ** beat:.3f}" for beat in range(1, 12)))
    words = ("warp", tmp_path / "song.wav", "-o", tmp_path / "b", "--taps", tmp_path / "taps.txt", "--to-bpm", "100")
    done = unbake(*words, "--json")
    assert done.json["frames"] == pytest.approx(6 * RATE * 1.2, rel=1e-3)


@pytest.mark.skipif(shutil.which("rubberband") is None, reason="no rubberband command here")
def test_rubber_band_says_what_it_costs(unbake, folder: Path) -> None:
    words = ("warp", *files(folder), "-o", folder / "out", "--map", folder / "longer.map", "--mode", "rubberband")
    done = unbake(*words, "--json")
    assert done.code == 0
    assert done.json["frames"] == FRAMES * 3 // 2
    assert done.json["sum"]["after_dbfs"] > -60


def test_an_octave_up_along_the_map(unbake, folder: Path) -> None:
    words = ("warp", folder / "voice.wav", "-o", folder / "out", "--map", folder / "longer.map", "--mode", "repitch")
    assert unbake(*words, "--cents", "1200").code == 0
    found = read(folder / "out" / "voice.wav")[:, 0]
    spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found))))
    assert spectrum.argmax() * RATE / len(found) == pytest.approx(330 / 1.5 * 2, abs=1.0)


def test_integers_hold_what_fits_and_the_rest_only_when_told(unbake, tmp_path: Path) -> None:
    loud = np.sign(np.random.default_rng(1).standard_normal((RATE, 2))) * 0.99
    write(tmp_path / "loud.wav", loud)
    (tmp_path / "m.map").write_text(f"0 0\n{RATE} 50000\n")
    words = ("warp", tmp_path / "loud.wav", "-o", tmp_path / "out", "--map", tmp_path / "m.map", "--subtype", "16")
    refused = unbake(*words)
    assert refused.code == 2
    assert "16 bits can't hold; nothing was written" in refused.err
    assert list((tmp_path / "out").iterdir()) == []
    done = unbake(*words, "--overs", "clip", "--json")
    assert (done.code, soundfile.info(tmp_path / "out" / "loud.wav").subtype) == (0, "PCM_16")
    assert done.json["files"][0]["overs"] > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "0 0\n5000 5000\n4000 6000\n",
            "line 3: anchor 3 is at source frame 4000, before the one in front of it at 5000",
        ),
        ("0 0\n5000 5000\n5000 6000\n", "line 3: anchor 3 is at source frame 5000 again"),
        ("0 0\n5000 5000\n6000 5000\n", "line 3: anchor 3 is at target frame 5000 again"),
        (f"0 0\n{FRAMES + 1} {FRAMES}\n", f"anchor 2 is at source frame {FRAMES + 1}, but the file has {FRAMES}"),
        ("0 0\n1000 9000\n", "line 2: between anchors 1 and 2 the sound would become 9 times as long"),
        ("0 0\n9000 1000\n", "line 2: between anchors 1 and 2 the sound would become 0.1111 times as long"),
        ("-5 0\n", "line 1 is not two frame numbers"),
        ("0 0\n5.5 6\n", "line 2 is not two frame numbers"),
        ("# nothing\n", "holds no anchors"),
    ],
)
def test_a_map_that_can_not_be(unbake, folder: Path, text: str, said: str) -> None:
    (folder / "bad.map").write_text(text)
    done = unbake("warp", folder / "master.wav", "-o", folder / "out", "--map", folder / "bad.map")
    assert done.code == 2
    assert done.err.startswith(f"unbake: error: {folder / 'bad.map'}: ")
    assert said in done.err
    assert not (folder / "out").exists()


def test_files_that_do_not_belong_together(unbake, folder: Path) -> None:
    short = write(folder / "short.wav", clicks(FRAMES - 1))
    other = write(folder / "rate.wav", clicks(), rate=48_000)
    same = folder / "more"
    same.mkdir()
    shutil.copy(folder / "voice.wav", same / "voice.wav")
    ends = ("-o", folder / "out", "--map", folder / "longer.map")
    for words, said in (
        ((short,), f"its length in frames is {FRAMES - 1}, but that of the guide"),
        ((other,), "its sample rate is 48000, but that of the guide"),
        ((folder / "voice.wav", same / "voice.wav"), "would be written twice"),
        (("--guide", short), f"but that of the guide {short} is {FRAMES - 1}"),
        (("--mode", "linked", "--cents", "50"), "mode linked keeps the pitch"),
        (("--to-bpm", "100"), "more than one map is named"),
    ):
        done = unbake("warp", folder / "master.wav", *words, *ends)
        assert done.code == 2, words
        assert said in done.err
    assert not (folder / "out").exists()


def test_outputs_that_can_not_be_written(unbake, folder: Path) -> None:
    begins = ("warp", folder / "master.wav", "--map", folder / "longer.map")
    for out, said in (
        (folder, "is the source itself"),
        (folder / "voice.wav", "is a file, not a folder"),
        (folder / "no" / "out", "the folder to write to does not exist"),
        ("-", "not supported"),
    ):
        done = unbake(*begins, "--force", "-o", out)
        assert done.code == 2
        assert said in done.err
    assert unbake(*begins, "-o", folder / "out").code == 0
    again = unbake(*begins, "-o", folder / "out")
    assert (again.code, "exists already" in again.err) == (2, True)


def test_sounds_that_give_nothing_to_go_by(unbake, tmp_path: Path) -> None:
    write(tmp_path / "silence.wav", np.zeros((RATE, 2)))
    write(tmp_path / "noise.wav", 0.1 * np.random.default_rng(3).standard_normal((RATE, 2)))
    write(tmp_path / "one.wav", np.full((1, 2), 0.5))
    write(tmp_path / "eight.wav", 0.1 * np.random.default_rng(3).standard_normal((RATE, 8)))
    none = unbake("warp", tmp_path / "silence.wav", "-o", tmp_path / "out", "--to-bpm", "100")
    assert (none.code, "no beats were found" in none.err) == (2, True)
    (tmp_path / "m.map").write_text(f"0 0\n{RATE} 50000\n")
    words = ("warp", tmp_path / "silence.wav", tmp_path / "noise.wav", tmp_path / "eight.wav")
    assert unbake(*words, "-o", tmp_path / "out", "--map", tmp_path / "m.map").code == 0
    assert not read(tmp_path / "out" / "silence.wav").any()
    assert np.isfinite(read(tmp_path / "out" / "noise.wav")).all()
    assert read(tmp_path / "out" / "eight.wav").shape == (50_000, 8)
    (tmp_path / "one.map").write_text("0 0\n1 3\n")
    words = ("warp", tmp_path / "one.wav", "-o", tmp_path / "out", "--map", tmp_path / "one.map")
    assert unbake(*words).code == 0
    assert len(read(tmp_path / "out" / "one.wav")) == 3


def test_a_session_along_a_map_renders_with_its_proof(unbake, folder: Path) -> None:
    stems = folder / "stems"
    stems.mkdir()
    for name in ("drums", "voice", "other"):
        shutil.move(folder / f"{name}.wav", stems / f"{name}.wav")
    session = folder / "master.unbake.toml"
    assert unbake("session", "new", folder / "master.wav", "--stems-from", stems).code == 0
    said = unbake("session", "warp", session, "--map", folder / "longer.map")
    assert "warp: 2 anchors, 0:04.000 to 0:06.000" in said.out
    bare = unbake("render", session, "-o", folder / "bare.wav", "--subtype", "double", "--json")
    assert (bare.code, bare.json["warp"]["frames"], bare.json["certificate"]["identical"]) == (
        0,
        FRAMES * 3 // 2,
        False,
    )
    plain = ("warp", folder / "master.wav", "-o", folder / "out", "--map", folder / "longer.map")
    assert unbake(*plain, "--subtype", "double").code == 0
    assert np.array_equal(read(folder / "bare.wav"), read(folder / "out" / "master.wav"))
    assert unbake("session", "set", session, "strips.drums.gain_db=-3", "strips.voice.warp=repitch").code == 0
    made = unbake("render", session, "-o", folder / "made.wav", "--json")
    assert made.code == 0
    assert made.json["changed"] == ["drums", "voice"]
    assert made.json["warp"]["apart"] == {"voice": "repitch"}
    assert made.json["warp"]["apart_residual"]["rms_dbfs"] > -60
    assert made.json["certificate"]["untouched_residual_dbfs"] <= made.json["certificate"]["quantisation_dbfs"]
    assert unbake("verify", folder / "made.wav").code == 0
    assert unbake("session", "warp", session, "--none", "--to-bpm", "100").code == 2
    assert unbake("session", "warp", session, "--none").code == 0
    assert "warp:" not in unbake("session", "show", session).out
    assert unbake("session", "undo", session).code == 0
    assert "warp: 2 anchors" in unbake("session", "show", session).out


def test_a_map_for_another_file_is_no_map_of_a_session(unbake, folder: Path) -> None:
    session = folder / "master.unbake.toml"
    assert unbake("session", "new", folder / "master.wav").code == 0
    done = unbake("session", "set", session, f"warp.anchors=[[0, 0], [{FRAMES + 5}, {FRAMES}]]")
    assert done.code == 2
    assert f"anchor 2 is at source frame {FRAMES + 5}, but the file has {FRAMES}" in done.err
    done = unbake("session", "set", session, "warp.anchors=[[0, 0], [100, 90], [90, 100]]")
    assert (done.code, "anchor 3 is at source frame 90" in done.err) == (2, True)
