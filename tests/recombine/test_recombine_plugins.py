"""A plug-in in a session: rendered, proved, checked and listened to like any processor, and refused before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audition.clips import Clips, planar
from core.audition.monitor import Monitor
from core.audition.player import EDIT_PRE_ROLL_SECONDS, Player
from core.errors import UnbakeError
from core.events import finish
from core.recombine.check import check_session
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Gain, Vst3

RATE = 44_100
FRAMES = 70_001
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def session(song: Path, unbake) -> Path:
    path = song.parent / "session.toml"
    made = unbake("session", "new", song, "-o", path, "--stems-from", song.parent / "stems")
    assert made.code == 0, made.err
    return path


def insert(path: str, more: str = "", strip: str = "bass") -> str:
    return f'strips.{strip}.chain[0]={{type="vst3", path="{path}"{more}}}'


def document(song: Path, *chain, master=()) -> tuple[Session, dict[str, Path]]:
    source = Source(str(song), "ab", RATE, 2, FRAMES, "WAV", "PCM_24")
    names = ("vocals", "drums", "bass", "other")
    stems = {name: song.parent / "stems" / f"{name}.wav" for name in names}
    made = Session(
        source=source, separation=Separation(stems=names), strips={"bass": Strip(chain=chain)}, master=master
    )
    return made, stems


@pytest.mark.parametrize("name", ["plain", "late", "liar", "silent_liar"])
def test_a_plugin_that_passes_sound_on_changes_nothing_at_any_latency(unbake, session, song, plugin, name) -> None:
    assert unbake("session", "set", session, insert(plugin(name))).code == 0
    done = unbake("render", session, "-o", song.parent / "out.wav", "--subtype", "FLOAT", "--json")
    assert done.code == 0, done.err
    assert done.json["certificate"]["identical"] is True
    assert done.json["changed"] == ["bass"]


def test_what_a_plugin_does_is_rendered_and_proved(unbake, session, song, plugin) -> None:
    unbake("session", "set", session, insert(plugin("late"), ", parameters={gain_db=-6}"))
    done = unbake("render", session, "-o", song.parent / "out.wav", "--subtype", "FLOAT", "--json")
    assert done.code == 0, done.err
    bass = soundfile.read(song.parent / "stems" / "bass.wav", always_2d=True)[0]
    wanted = soundfile.read(song, always_2d=True)[0] + bass * (10 ** (-6 / 20) - 1)
    assert soundfile.read(song.parent / "out.wav")[0] == pytest.approx(wanted, abs=1e-7)
    assert "vst3 late.vst3 parameters gain_db=-6" in unbake("session", "show", session).out


def test_a_plugin_on_the_master_is_in_time(song, plugin) -> None:
    made, stems = document(song, master=(Vst3(path=plugin("silent_liar")),))
    with Monitor(made, stems) as monitor:
        sides = monitor.read(FRAMES)
    assert np.array_equal(sides.repair, sides.source.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "more", "where", "what"),
    [
        (None, "", "strips.bass.chain[0].path", "there is no plug-in /nowhere/Gone.vst3"),
        ("plain", "parameters={gane_db=1}", "strips.bass.chain[0].parameters.gane_db", "did you mean gain_db?"),
        ("several", "", "strips.bass.chain[0].plugin", "Left Hand, Right Hand"),
        ("instrument", "", "strips.bass.chain[0].path", "is an instrument"),
        ("crashes_loading", "", "strips.bass.chain[0]", "died: aborted (signal 6)"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(unbake, session, song, plugin, name, more, where, what) -> None:
    path = "/nowhere/Gone.vst3" if name is None else plugin(name)
    before = session.read_text()
    refused = unbake("session", "set", session, insert(path, f", {more}" if more else ""))
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"unbake: error: {where}: ")
    assert what in refused.err
    assert session.read_text() == before

    session.write_text(f'{before}\n[[strips.bass.chain]]\ntype = "vst3"\npath = "{path}"\n{more}\n')
    refused = unbake("render", session, "-o", song.parent / "out.wav")
    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith(f"unbake: error: {where}: ")
    assert refused.err.count("error") == 1
    assert not (song.parent / "out.wav").exists()


@pytest.mark.parametrize("name", ["crashes", "nan", "longer"])
def test_a_plugin_that_fails_in_the_middle_leaves_no_file(unbake, session, song, plugin, name) -> None:
    assert unbake("session", "set", session, insert(plugin(name)), 'strips.bass.chain[1]={type="gain"}').code == 0
    # loud enough to wake what is wrong with it, from the middle on
    stem = song.parent / "stems" / "bass.wav"
    sound, _ = soundfile.read(stem, always_2d=True)
    sound[40_000] = 0.95
    other = song.parent / "other"
    other.mkdir()
    for each in (song.parent / "stems").iterdir():
        (other / each.name).write_bytes(each.read_bytes())
    soundfile.write(other / "bass.wav", sound, RATE, subtype="FLOAT")
    before = sorted(path.name for path in song.parent.iterdir())
    failed = unbake("render", session, "--stems-from", other, "-o", song.parent / "out.wav")
    assert failed.code == 2
    assert failed.err.splitlines()[-1].startswith("unbake: error: strips.bass.chain[0]: ")
    assert f"{name}.vst3" in failed.err
    assert sorted(path.name for path in song.parent.iterdir()) == before


def test_a_plugin_that_never_sounds_the_same_fails_the_proof_and_is_named(unbake, session, song, plugin) -> None:
    unbake("session", "set", session, insert(plugin("random")))
    done = unbake("render", session, "-o", song.parent / "out.wav")
    assert done.code == 1
    assert "the proof FAILS: random.vst3 does not give the same sound twice" in done.err
    assert "defect" not in done.err


def test_the_live_check_holds_with_a_plugin_in_the_chain(song, plugin) -> None:
    made, stems = document(song, Vst3(path=plugin("late"), parameters={"gain_db": -3.0}), Gain(gain_db=1.0))
    found = finish(check_session(made, stems))
    assert found.passed
    assert not found.identical


def test_listening_goes_on_where_it_was_although_a_plugins_state_can_not_be_kept(song, plugin) -> None:
    made, stems = document(song, Vst3(path=plugin("late"), parameters={"gain_db": -3.0}))
    with Monitor(made, stems) as monitor:
        assert not monitor.copyable
        wanted = monitor.read(FRAMES).repair.astype(np.float32)
        monitor.seek(30_000)
        assert np.array_equal(monitor.read(5000).repair.astype(np.float32), wanted[:, 30_000:35_000])
    clips = Clips()
    clip = clips.show(made, stems, loop=(10_000, 60_000))
    for number in (0, *range(clip.segments)):
        segment = clips.segment(clip.id, number)
        assert segment is not None
        first, last = clip.bounds(number)
        assert np.array_equal(planar(segment.streams["repair"], 2), wanted[:, first:last])
    clips.close()


def test_a_loop_over_a_plugin_begins_with_what_is_heard_soon(song, plugin, monkeypatch) -> None:
    made, stems = document(song, Vst3(path=plugin("late"), parameters={"gain_db": -3.0}))
    heard: list[int | None] = []
    plain = Monitor.seek

    def seek(self: Monitor, frame: int, pre_roll: int | None = None) -> None:
        heard.append(pre_roll)
        plain(self, frame, pre_roll)

    player = Player(made, stems)
    player.loop((0, 3000))
    player.play()
    monkeypatch.setattr(Monitor, "seek", seek)
    first = player.read(3000)
    second = player.read(3000)
    fade = round(0.005 * RATE)
    assert np.array_equal(second[:, fade:], first[:, fade:])
    assert heard == [round(EDIT_PRE_ROLL_SECONDS * RATE)]
    player.close()


def test_what_a_plugin_remembers_can_not_be_copied(song, plugin) -> None:
    made, stems = document(song, Vst3(path=plugin("plain")))
    with Monitor(made, stems) as monitor, pytest.raises(TypeError, match="can't be copied"):
        monitor.state()


def test_a_plugin_that_crashes_while_it_is_listened_to_is_one_line(song, plugin) -> None:
    made, stems = document(song, Gain(gain_db=24.0), Vst3(path=plugin("crashes")))
    with (
        Monitor(made, stems) as monitor,
        pytest.raises(UnbakeError, match=r"chain\[1\]: the plug-in crashes\.vst3 died"),
    ):
        monitor.read(FRAMES)


def test_a_plugin_can_be_looked_at_before_it_is_used(unbake, plugin) -> None:
    found = unbake("plugin", plugin("silent_liar"), "--json")
    assert found.code == 0, found.err
    assert (found.json["latency_reported"], found.json["latency_measured"]) == (0, 333)
    assert [each["name"] for each in found.json["parameters"]] == ["gain_db", "mode", "bypass"]
    said = unbake("plugin", plugin("smears"), "--channels", "1", "--rate", "96000").out
    for words in (
        "0 frames reported, an impulse could not tell",
        "0.0 dB (-60 to 24)",
        "(clean, warm)",
        "true or false",
    ):
        assert words in said
    refused = unbake("plugin", plugin("several"))
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"unbake: error: {plugin('several')}: the file holds several plug-ins (set plugin")


def test_the_doctor_says_what_runs_plugins(unbake, monkeypatch) -> None:
    from core.jobs import doctor

    assert doctor._plugins().state == "ok"
    monkeypatch.setattr(
        doctor.metadata, "version", lambda name: (_ for _ in ()).throw(doctor.metadata.PackageNotFoundError)
    )
    assert "pip install 'unbake[vst3]'" in doctor._plugins().detail
    assert doctor._plugins().state == "note"
