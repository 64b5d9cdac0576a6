"""`unbake session bring` and `drop`: stems from outside, found in a master, subtracted, replaced by treated copies."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from core.measure.align import shift
from core.session import files

UNUSUAL = {"delay": 12345.3, "gain_db": -6.0, "polarity": -1, "rate": 48_000}
"""A stem as it comes from another desk: later by a part of a frame, quieter, upside down, at another rate."""


def move(
    stem: Path,
    path: Path,
    *,
    delay: float = 0.0,
    gain_db: float = 0.0,
    polarity: int = 1,
    rate: int | None = None,
    drift_ppm: float = 0.0,
) -> Path:
    """Writes a stem as it would come from elsewhere: `delay` frames later, with 2 s of silence after it."""
    sound, own_rate = soundfile.read(stem, always_2d=True)
    whole = math.floor(delay)
    moved = np.pad(np.asarray(sound.T, np.float64), ((0, 0), (whole, 2 * own_rate)))
    if delay != whole:
        moved = shift(moved, delay - whole)
    moved = moved * polarity * 10.0 ** (gain_db / 20.0)
    wanted = (rate or own_rate) * (1.0 + drift_ppm * 1e-6)
    if wanted != own_rate:
        moved = soxr.resample(moved.T, own_rate, wanted, quality="VHQ").T
    soundfile.write(path, moved.T, rate or own_rate, subtype="FLOAT")
    return path


def sum_of(paths: list[Path]) -> np.ndarray:
    return sum((soundfile.read(path, always_2d=True)[0] for path in paths), np.zeros(1))


def rms_db(block: np.ndarray) -> float:
    power = float(np.mean(np.square(block)))
    return 10.0 * math.log10(power) if power else -math.inf


@pytest.fixture
def real(data: Path, tmp_path: Path, unbake: Callable[..., Any]) -> Callable[[str, str], tuple[Path, Path, np.ndarray]]:
    """The maker of a session on a real mix: the session, one of its stems, and the sum of all others."""

    def make(song: str, stem: str) -> tuple[Path, Path, np.ndarray]:
        folder = data / "multitracks" / song
        session = tmp_path / "song.unbake.toml"
        assert unbake("session", "new", folder / "mixture.flac", "-o", session).code == 0
        others = [each for each in folder.glob("*.flac") if each.stem not in ("mixture", stem)]
        return session, folder / f"{stem}.flac", sum_of(others)

    return make


@pytest.fixture
def session(song: Path, unbake: Callable[..., Any]) -> Path:
    assert unbake("session", "new", song).code == 0
    return song.with_name("song.unbake.toml")


def rendered(unbake: Callable[..., Any], session: Path, tmp_path: Path, *more: object) -> np.ndarray:
    out = tmp_path / "out.wav"
    done = unbake("render", session, "-o", out, "--subtype", "float", "--force", "--json", *more)
    assert done.code == 0, done.err
    return soundfile.read(out, always_2d=True)[0]


@pytest.mark.parametrize(
    ("song", "stem", "least_db", "drift_ppm"),
    [
        ("eif-lithium", "vocals", 65.0, 50.0),
        ("eif-lithium", "drums", 75.0, 0.0),
        ("synth-hobo", "vocals", 55.0, 0.0),
        ("waveform-playlist", "vocals", 55.0, 50.0),
    ],
)
def test_a_real_stem_from_another_desk_is_found_and_nulled(
    real, unbake, tmp_path: Path, song: str, stem: str, least_db: float, drift_ppm: float
) -> None:
    session, true, others = real(song, stem)
    brought = move(true, tmp_path / "theirs.wav", drift_ppm=drift_ppm, **UNUSUAL)
    found = unbake("session", "bring", session, brought, "--name", "theirs", "--json").json
    assert found["delay_samples"] == pytest.approx(12345.3 * (1.0 + drift_ppm * 1e-6), abs=0.005)
    assert found["drift_ppm"] == pytest.approx(drift_ppm, abs=0.005)
    assert found["polarity"] == -1
    assert found["gain_db"] == pytest.approx(6.0, abs=0.02)
    left = rendered(unbake, session, tmp_path) - others
    # the interpolator's own edge lies at 0.98 of the Nyquist frequency; what was above it is left
    heard = soundfile.read(true, always_2d=True)[0]
    assert rms_db(left) - rms_db(heard) < -least_db


@pytest.mark.parametrize(
    ("song", "stem"),
    [("eif-lithium", "bass"), ("eif-potassium", "bass"), ("trackswitch", "bass"), ("eif-sodium", "vocals")],
)
def test_a_real_stem_at_its_own_level_nulls_to_the_last_bit(real, unbake, tmp_path: Path, song: str, stem: str) -> None:
    session, true, others = real(song, stem)
    found = unbake("session", "bring", session, true, "--name", "theirs", "--json").json
    assert (found["delay_samples"], found["drift_ppm"], found["polarity"], found["gain_db"]) == (0.0, 0.0, 1, 0.0)
    assert np.abs(rendered(unbake, session, tmp_path) - others).max() < 1e-7  # -140 dBFS


def test_a_real_stem_that_starts_elsewhere_by_whole_frames_nulls_to_the_last_bit(real, unbake, tmp_path: Path) -> None:
    session, true, others = real("eif-lithium", "drums")
    brought = move(true, tmp_path / "theirs.wav", delay=1_300_000)  # 29.5 s
    found = unbake("session", "bring", session, brought, "--name", "theirs", "--json").json
    assert (found["delay_samples"], found["drift_ppm"], found["gain_db"]) == (1_300_000.0, 0.0, 0.0)
    assert np.abs(rendered(unbake, session, tmp_path) - others).max() < 1e-7


def test_the_level_of_a_stem_is_not_taken_for_that_of_what_plays_along(real, unbake, tmp_path: Path) -> None:
    """Least squares are 3.5 dB off here: the rest plays the same chords."""
    session, true, _ = real("eif-rubidium", "other")
    found = unbake("session", "bring", session, true, "--name", "theirs", "--json").json
    assert abs(found["gain_db"]) < 0.4


def test_another_mix_is_brought_like_a_stem(real, unbake, tmp_path: Path) -> None:
    session, vocals, others = real("eif-lithium", "vocals")
    mix = tmp_path / "instrumental.wav"
    soundfile.write(mix, others, 44_100, subtype="FLOAT")
    found = unbake("session", "bring", session, mix, "--json").json
    assert (found["name"], found["delay_samples"], found["gain_db"]) == ("instrumental", 0.0, 0.0)
    left = rendered(unbake, session, tmp_path) - soundfile.read(vocals, always_2d=True)[0]
    assert np.abs(left).max() < 1e-7


def test_music_that_has_nothing_in_common_is_refused(data: Path, real, unbake) -> None:
    session, _, _ = real("eif-lithium", "vocals")
    before = session.read_bytes()
    for other in ("multitracks/synth-hobo/drums.flac", "masters/wesnoth_love_theme.flac"):
        done = unbake("session", "bring", session, data / other)
        assert done.code == 2
        assert "has nothing in common with the source that could be found (--delay FRAMES and --gain DB" in done.err
    assert session.read_bytes() == before


def test_what_is_known_is_taken_as_it_is(session: Path, song: Path, unbake, tmp_path: Path) -> None:
    bass = song.parent / "stems" / "bass.wav"
    moved = move(bass, tmp_path / "low.wav", delay=100, gain_db=-6.0)
    found = unbake(
        "session", "bring", session, moved, "--delay", 100, "--gain", -2.5, "--polarity", -1, "--drift", 3, "--json"
    ).json
    names = ("delay_samples", "gain_db", "polarity", "drift_ppm")
    assert [found[name] for name in names] == [100.0, -2.5, -1, 3.0]
    brought = files.load(session).brought["low"]
    assert [getattr(brought, name) for name in names] == [100.0, -2.5, -1, 3.0]


def test_a_level_is_found_at_a_place_that_is_known(session: Path, song: Path, unbake, tmp_path: Path) -> None:
    moved = move(song.parent / "stems" / "drums.wav", tmp_path / "hits.wav", delay=100, gain_db=-6.0)
    found = unbake("session", "bring", session, moved, "--delay", 100, "--json").json
    assert found["gain_db"] == pytest.approx(6.0, abs=0.15)
    assert found["delay_samples"] == 100.0


def test_the_edit_is_one_step_and_names_the_stem(session: Path, song: Path, unbake) -> None:
    before = session.read_text()
    shown = unbake("session", "bring", session, song.parent / "stems" / "bass.wav")
    assert shown.code == 0
    assert "bass-2: bass.wav lies in the master like this:" in shown.out  # bass is the network's
    assert "strip bass-2: cancelled" in shown.out
    assert "bass-2 is bass.wav (SHA-256 " in unbake("session", "show", session).out
    assert unbake("session", "log", session, "--json").json["edits"][-1]["what"] == "brought bass-2: cancel"
    assert unbake("session", "undo", session).code == 0
    assert session.read_text() == before
    assert unbake("session", "redo", session).code == 0
    assert unbake("session", "drop", session, "bass-2").code == 0
    assert session.read_text() == before


def test_no_network_is_asked_for_what_was_brought(session: Path, song: Path, unbake, monkeypatch, tmp_path) -> None:
    from core.jobs import sessions

    monkeypatch.setattr(sessions, "make_stems", None)
    unbake("session", "bring", session, song.parent / "stems" / "bass.wav")
    left = rendered(unbake, session, tmp_path) - sum_of(
        [song.parent / "stems" / f"{n}.wav" for n in ("vocals", "drums", "other")]
    )
    assert np.abs(left).max() < 1e-7


def test_a_copy_that_was_not_treated_gives_the_source_bit_for_bit(song: Path, session: Path, unbake, tmp_path) -> None:
    bass = song.parent / "stems" / "bass.wav"
    found = unbake("session", "bring", session, bass, "--name", "low", "--treated", bass, "--json").json
    assert (found["treated"], found["mode"]) == ("low-treated", "replace")
    assert np.array_equal(rendered(unbake, session, tmp_path), soundfile.read(song, always_2d=True)[0])


def test_a_treated_copy_takes_the_place_of_its_stem(song: Path, session: Path, unbake, tmp_path: Path) -> None:
    bass = song.parent / "stems" / "bass.wav"
    low = move(bass, tmp_path / "low.wav", delay=250, gain_db=-3.0, polarity=-1)
    sound, rate = soundfile.read(low, always_2d=True)
    soundfile.write(tmp_path / "low eq.wav", sound * 0.5, rate, subtype="FLOAT")
    words = ("--treated", tmp_path / "low eq.wav", "--delay", 250, "--gain", 3, "--polarity", -1)
    assert unbake("session", "bring", session, low, *words).code == 0
    expected = soundfile.read(song, always_2d=True)[0] - 0.5 * soundfile.read(bass, always_2d=True)[0]
    assert np.abs(rendered(unbake, session, tmp_path) - expected).max() < 1e-7
    assert unbake("session", "set", session, "strips.low.mode=parallel", "strips.low.blend=0.5").code == 0
    expected = soundfile.read(song, always_2d=True)[0] + 0.25 * soundfile.read(bass, always_2d=True)[0]
    assert np.abs(rendered(unbake, session, tmp_path) - expected).max() < 1e-7


def test_another_level_makes_the_stem_again(song: Path, session: Path, unbake, tmp_path: Path) -> None:
    bass = song.parent / "stems" / "bass.wav"
    unbake("session", "bring", session, bass, "--name", "low")
    pinned = files.load(session).brought["low"].hash
    assert unbake("session", "set", session, "brought.low.gain_db=-20").code == 0
    assert files.load(session).brought["low"].hash == ""
    expected = soundfile.read(song, always_2d=True)[0] - 0.1 * soundfile.read(bass, always_2d=True)[0]
    assert np.abs(rendered(unbake, session, tmp_path) - expected).max() < 1e-7
    assert files.load(session).brought["low"].hash not in ("", pinned)


def test_a_mono_stem_lies_on_both_channels(tmp_path: Path, unbake) -> None:
    rng = np.random.default_rng(5)
    voice = 0.2 * rng.standard_normal(88_200) * (np.arange(88_200) % 22_050 > 11_025)
    rest = 0.05 * rng.standard_normal((88_200, 2))
    soundfile.write(tmp_path / "song.wav", rest + voice[:, None], 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "voice.wav", voice, 44_100, subtype="FLOAT")
    session = tmp_path / "song.unbake.toml"
    unbake("session", "new", tmp_path / "song.wav")
    found = unbake("session", "bring", session, tmp_path / "voice.wav", "--json").json
    assert found["gain_db"] == pytest.approx(0.0, abs=0.02)
    left = rendered(unbake, session, tmp_path) - rest
    assert rms_db(left) - rms_db(voice) < -50.0


def test_a_stereo_stem_lies_in_a_mono_master_as_its_mean(make_song, tmp_path: Path, unbake) -> None:
    song = make_song(tmp_path / "mono", channels=1)
    drums, rate = soundfile.read(song.parent / "stems" / "drums.wav")
    soundfile.write(tmp_path / "pair.wav", np.stack([1.5 * drums, 0.5 * drums], axis=1), rate, subtype="FLOAT")
    unbake("session", "new", song)
    session = song.with_name("song.unbake.toml")
    assert unbake("session", "bring", session, tmp_path / "pair.wav", "--delay", 0, "--gain", 0).code == 0
    others = sum_of([song.parent / "stems" / f"{name}.wav" for name in ("vocals", "bass", "other")])
    assert np.abs(rendered(unbake, session, tmp_path) - others).max() < 1e-7


def written(path: Path, sound: np.ndarray, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, sound, 44_100, subtype=subtype)
    return path


NOISE = np.random.default_rng(2).standard_normal((20_000, 2)) * 0.1


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda at: written(at, np.zeros((9000, 2))), "holds nothing but silence"),
        (lambda at: written(at, np.zeros((0, 2))), "no audio"),
        (lambda at: written(at, np.where(np.arange(20_000)[:, None] == 700, np.nan, NOISE)), "sample is NaN at"),
        (lambda at: at, "no such file"),
        (lambda at: written(at, np.tile(NOISE, 2)), "has 4 channels, the source has 2"),
        (lambda at: written(at, NOISE), "has nothing in common with the source"),
    ],
    ids=["silence", "no frames", "NaN", "missing", "4 channels", "noise"],
)
def test_what_is_no_stem_of_the_master_is_refused(session: Path, tmp_path: Path, unbake, make, complaint: str) -> None:
    before = session.read_bytes()
    path = make(tmp_path / "theirs.wav")
    done = unbake("session", "bring", session, path)
    assert done.code == 2
    assert done.err.startswith("unbake: error:")
    assert complaint in done.err
    assert "theirs.wav" in done.err
    assert done.err.count("\n") == 1
    assert session.read_bytes() == before


def test_a_place_outside_the_master_is_refused(session: Path, song: Path, unbake) -> None:
    done = unbake("session", "bring", session, song.parent / "stems" / "bass.wav", "--delay", 1e7, "--gain", 0)
    assert done.code == 2
    assert "nothing of it is in the source with a delay of 1e+07 frames" in done.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--name", "bass"), "bass is the name of another strip"),
        (("--name", "master"), "master is the name of another strip"),
        (("--name", "My Bass"), "can't be the name of a stem"),
        (("--mode", "cancel", "--treated", "x.wav"), "no treated copy is heard"),
        (("--delay", "nan"), "must be a number"),
        (("--polarity", "0"), "--polarity"),
        (("--gain", "500", "--delay", "0"), "gain_db: must be <= 120.0, but it is 500.0"),
    ],
)
def test_options_that_do_not_fit_are_refused(session: Path, song: Path, unbake, words, complaint: str) -> None:
    done = unbake("session", "bring", session, song.parent / "stems" / "bass.wav", *words)
    assert done.code == 2
    assert complaint in done.err


def test_a_name_is_not_taken_twice(session: Path, song: Path, unbake) -> None:
    bass = song.parent / "stems" / "bass.wav"
    assert unbake("session", "bring", session, bass, "--name", "low").code == 0
    done = unbake("session", "bring", session, bass, "--name", "low")
    assert done.code == 2
    assert "low: a stem of this name was brought already" in done.err
    assert unbake("session", "bring", session, bass, "--json").json["name"] == "bass-2"
    assert unbake("session", "bring", session, bass, "--json").json["name"] == "bass-3"


def test_the_file_is_needed_only_where_its_stem_was_removed(session: Path, song: Path, unbake, tmp_path: Path) -> None:
    bass = song.parent / "stems" / "bass.wav"
    kept = bass.read_bytes()
    unbake("session", "bring", session, bass, "--name", "low")
    bass.unlink()
    first = rendered(unbake, session, tmp_path)
    assert unbake("store", "prune", "--all").code == 0
    gone = unbake("render", session, "-o", tmp_path / "no.wav")
    assert gone.code == 2
    assert f"{bass}: the file of the stem low is gone (put it back, set brought.low.path" in gone.err
    bass.write_bytes(kept[:-4] + b"\0\0\0\1")
    changed = unbake("render", session, "-o", tmp_path / "no.wav")
    assert changed.code == 2
    assert "the file of the stem low has changed since it was brought" in changed.err
    elsewhere = tmp_path / "elsewhere.wav"
    elsewhere.write_bytes(kept)
    assert unbake("session", "set", session, f"brought.low.path={elsewhere}").code == 0
    again = rendered(unbake, session, tmp_path)
    assert np.array_equal(first, again)
    assert not (tmp_path / "no.wav").exists()


def test_no_render_writes_over_a_stem_that_was_brought(session: Path, song: Path, unbake) -> None:
    bass = song.parent / "stems" / "bass.wav"
    unbake("session", "bring", session, bass, "--name", "low")
    before = bass.read_bytes()
    done = unbake("render", session, "-o", bass, "--force")
    assert done.code == 2
    assert "is a stem that was brought" in done.err
    assert bass.read_bytes() == before


def test_a_brought_stem_is_heard_alone(session: Path, song: Path, tmp_path: Path) -> None:
    from core.events import finish
    from core.jobs import bring as bringing
    from core.jobs import listen

    bass = song.parent / "stems" / "bass.wav"
    finish(bringing.bring(session, bass, name="low", mode="replace", treated=bass))
    heard = finish(listen.programme(session, "low"))
    with (tmp_path / "heard.wav").open("wb") as pipe:
        listen.to_pipe(heard, pipe)
    assert np.abs(soundfile.read(tmp_path / "heard.wav")[0] - soundfile.read(bass)[0]).max() < 1e-7


def test_a_session_open_in_the_workstation_is_left_alone(session: Path, song: Path, unbake) -> None:
    from core.session.lock import SessionLock

    lock = SessionLock(session)
    lock.acquire()
    done = unbake("session", "bring", session, song.parent / "stems" / "bass.wav")
    lock.release()
    assert done.code == 2
    assert "is open in the workstation" in done.err


def test_the_certificate_names_what_was_brought_and_holds(song: Path, session: Path, unbake, tmp_path: Path) -> None:
    bass = song.parent / "stems" / "bass.wav"
    unbake("session", "bring", session, bass, "--name", "low", "--gain", -20, "--delay", 0)
    rendered(unbake, session, tmp_path, "--report", tmp_path / "report.md")
    brought = files.load(session).brought["low"]
    said = (tmp_path / "report.md").read_text()
    assert f"- low is bass.wav, at -20 dB (SHA-256 {brought.sha256[:12]})" in said
    assert f"- low: SHA-256 `{brought.hash}`" in said
    assert f"- {bass}, brought as low: SHA-256 `{brought.sha256}`" in said
    assert unbake("store", "prune", "--all").code == 0
    done = unbake("verify", tmp_path / "out.wav", "--json")
    assert done.code == 0, done.out
    bass.unlink()
    unbake("store", "prune", "--all")
    done = unbake("verify", tmp_path / "out.wav", "--json")
    assert done.code == 1
    assert "the file of the stem low is gone" in done.out
