"""`unbake tempo`: JSON that others read, words for people, and one line where it can't be."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.warp.rhythms import RATE, beats_at, laid, write

SECONDS = 16.0
BPM = 120.0


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song of drums that begin after 1.3 s, bass and a held chord, its stems beside it."""
    folder = tmp_path_factory.mktemp("tempo")
    (folder / "stems").mkdir()
    at = beats_at(BPM, SECONDS, 1.3)
    time = np.arange(round(SECONDS * RATE)) / RATE
    fade = np.minimum(1.0, time / 2.0)
    stems = {
        "drums": laid(SECONDS, [(frame, "snare" if number % 2 else "kick") for number, frame in enumerate(at)]),
        "other": 0.1 * fade * np.sin(2 * np.pi * 330 * time),
        "vocals": np.zeros(len(time)),
    }
    for name, sound in stems.items():
        write(folder / "stems" / f"{name}.wav", sound)
    return write(folder / "song.wav", sum(stems.values(), np.zeros(len(time))))


def test_json_tells_every_beat(unbake, song: Path) -> None:
    done = unbake("tempo", song, "--json")
    assert done.code == 0, done.err
    told = done.json
    assert told["schema"] == 1
    assert (told["path"], told["sample_rate"], told["frames"]) == (str(song), RATE, round(SECONDS * RATE))
    assert told["bpm"] == pytest.approx(BPM, rel=2e-4)
    assert told["steady"] is True
    assert told["moves"] == "steady"
    assert told["course"] == []
    assert told["reference"] == "mix"
    assert 0.8 < told["confidence"] <= 1.0
    assert told["meter"] == 4
    assert {"bpm", "support"} == set(told["candidates"][0])
    beats = told["beats"]
    assert [beat["frame"] for beat in beats] == pytest.approx(beats_at(BPM, SECONDS, 1.3), abs=4)
    for beat, after in itertools.pairwise(beats):
        assert beat["seconds"] == pytest.approx(beat["frame"] / RATE)
        assert (after["bar"], after["beat"]) in ((beat["bar"], beat["beat"] + 1), (beat["bar"] + 1, 1))
        assert beat["strength"] > 0.0


def test_words_are_a_short_table(unbake, song: Path) -> None:
    done = unbake("tempo", song)
    assert done.code == 0
    assert "120.00" in done.out
    assert "steady" in done.out
    assert "the mix" in done.out
    assert "60.0" in done.out, "half the tempo is offered"
    assert len(done.out.splitlines()) <= 6


def test_the_drum_stem_is_listened_to_where_there_is_one(unbake, song: Path) -> None:
    told = unbake("tempo", song, "--stems-from", song.parent / "stems", "--json").json
    assert told["reference"] == "drums"
    assert list(told["tried"]) == ["drums"]
    assert told["bpm"] == pytest.approx(BPM, rel=2e-4)


def test_silent_drums_are_no_reference(unbake, song: Path, tmp_path: Path) -> None:
    stems = tmp_path / "stems"
    stems.mkdir()
    drums, rate = soundfile.read(song.parent / "stems" / "drums.wav")
    soundfile.write(stems / "percussive.wav", drums, rate, subtype="FLOAT")
    soundfile.write(stems / "drums.wav", 0.0 * drums, rate, subtype="FLOAT")
    told = unbake("tempo", song, "--stems-from", stems, "--json").json
    assert told["reference"] in ("percussive", "mix")
    assert told["tried"]["drums"] == 0.0
    assert told["tried"].keys() == {"drums", "percussive", "mix"}
    assert told["bpm"] == pytest.approx(BPM, rel=2e-4)


@pytest.mark.parametrize(("option", "bpm"), [("--half", 60.0), ("--double", 240.0)])
def test_half_and_double_are_taken_when_asked(unbake, song: Path, option: str, bpm: float) -> None:
    found, taken = (unbake("tempo", song, *words, "--json").json for words in ((), (option,)))
    assert taken["bpm"] == pytest.approx(bpm, rel=2e-4)
    fewer, more = sorted(({beat["frame"] for beat in each["beats"]} for each in (found, taken)), key=len)
    assert fewer <= more
    assert len(more) == pytest.approx(2 * len(fewer), abs=1)


def test_meter_and_range_are_taken(unbake, song: Path) -> None:
    told = unbake("tempo", song, "--meter", "3", "--bpm-range", "50,70", "--json").json
    assert told["meter"] == 3
    assert told["bpm"] == pytest.approx(60.0, rel=2e-4)
    assert max(beat["beat"] for beat in told["beats"]) == 3


@pytest.mark.parametrize("channels", [1, 8])
def test_silence_and_a_single_sample_have_no_beats(unbake, tmp_path: Path, channels: int) -> None:
    for frames in (1, 3 * RATE):
        path = write(tmp_path / f"{frames}.wav", np.zeros(frames), channels)
        done = unbake("tempo", path, "--json")
        assert done.code == 0
        assert done.json["bpm"] is None
        assert done.json["beats"] == done.json["candidates"] == []
        assert done.json["confidence"] == 0.0
        words = unbake("tempo", path)
        assert words.code == 0
        assert "no beats" in words.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--meter", "0"), "a bar of 0 beats"),
        (("--bpm-range", "120"), "two tempi"),
        (("--bpm-range", "140,90"), "two tempi"),
        (("--bpm-range", "1,9000"), "tempi from 1 to 9000 bpm"),
        (("--half", "--double"), "not allowed with"),
        (("--align",), "--stems-from"),
    ],
)
def test_what_can_not_be_is_one_line(unbake, song: Path, words: tuple[str, ...], said: str) -> None:
    done = unbake("tempo", song, *words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("unbake: error:")
    assert len(done.err.strip().splitlines()) == 1
    assert said in done.err


def test_a_sample_that_is_no_number_is_named(unbake, tmp_path: Path) -> None:
    sound = laid(2.0, [(RATE, "click")])
    sound[777] = np.nan
    done = unbake("tempo", write(tmp_path / "bad.wav", sound, 1))
    assert done.code == 2
    assert "frame 777" in done.err
    assert "bad.wav" in done.err


def test_missing_and_damaged_files_are_named(unbake, song: Path, tmp_path: Path) -> None:
    assert unbake("tempo", tmp_path / "none.wav").code == 2
    cut = tmp_path / "cut.wav"
    cut.write_bytes(song.read_bytes()[:30])
    done = unbake("tempo", cut)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1


def test_a_finished_master_of_real_music(unbake, data: Path) -> None:
    told = unbake("tempo", data / "masters" / "singularity_Awakening.flac", "--json").json
    assert told["bpm"] == pytest.approx(120.0, rel=2e-4)
    assert told["steady"] is True
