"""Plug-ins of the user's: what they do is heard in time, and whatever they do wrong is one line that names them.

The host's process finds a stand-in for pedalboard on its path, whose plug-ins misbehave as their file is called.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.errors import UnbakeError
from core.session.processors import Vst3
from core.strips import plugin_host, plugins
from core.strips.plugins import ELF_MACHINES, FOLDERS, PluginStage, repeats

RATE = 44_100
WHERE = "strips.bass.chain[1]"
ELF = b"\x7fELF" + bytes(14) + ELF_MACHINES.get(platform.machine(), 0).to_bytes(2, "little")

pytestmark = pytest.mark.timeout(60)


def stage_of(path: str, channels: int = 2, **given) -> PluginStage:
    return PluginStage(Vst3(path=path, **given), WHERE, RATE, channels)


def refusal(path: str, channels: int = 2, **given) -> UnbakeError:
    with pytest.raises(UnbakeError) as caught:
        stage_of(path, channels, **given)
    return caught.value


def noise(frames: int, channels: int = 2) -> np.ndarray:
    return (0.1 * np.random.default_rng(3).standard_normal((channels, frames))).astype(np.float32).astype(np.float64)


def through(stage: PluginStage, sound: np.ndarray, sizes: int | tuple[int, ...]) -> np.ndarray:
    """Sound in blocks of some size, less the stated latency."""
    padded = np.pad(sound, ((0, 0), (0, stage.latency)))
    out, at, turn = [], 0, 0
    while at < padded.shape[1]:
        size = sizes if isinstance(sizes, int) else sizes[turn % len(sizes)]
        block = stage.process(padded[:, at : at + size])
        assert block.shape == padded[:, at : at + size].shape
        assert block.dtype == np.float64
        out.append(block)
        at, turn = at + size, turn + 1
    return np.concatenate(out, axis=1)[:, stage.latency :]


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("name", "reported", "measured"),
    [("plain", 0, 0), ("late", 137, 137), ("liar", 64, 0), ("silent_liar", 0, 333), ("bounded", 2000, 2000)],
)
def test_what_passes_sound_on_nulls_whatever_latency_it_reports(plugin, name, reported, measured, channels) -> None:
    stage = stage_of(plugin(name), channels)
    assert stage.plugin_latency == (reported, measured)
    sound = noise(9000, channels)
    assert np.array_equal(through(stage, sound, 4096), sound)
    stage.close()


def test_where_an_impulse_does_not_come_through_the_plugins_word_counts(plugin) -> None:
    stage = stage_of(plugin("smears"))
    assert stage.plugin_latency.measured is None
    assert stage.plugin_latency.stated == 0
    stage.close()


def test_a_plugin_gets_blocks_of_one_size_whatever_those_of_the_graph_are(plugin) -> None:
    stage = stage_of(plugin("blocks"))
    sound = noise(20_000)
    once = through(stage, sound, sound.shape[1] + stage.latency)
    assert not np.array_equal(once, sound)
    for sizes in (64, 4096, 40_961, (1, 700, 3)):
        stage.reset()
        assert np.array_equal(through(stage, sound, sizes), once)
    stage.close()


def test_after_a_reset_nothing_is_left_of_what_was_heard(plugin) -> None:
    stage = stage_of(plugin("late"))
    first = through(stage, noise(3000), 1000)
    stage.process(noise(777))
    stage.reset()
    assert np.array_equal(through(stage, noise(3000), 1000), first)
    stage.close()


def test_parameters_are_set_and_told(plugin) -> None:
    stage = stage_of(plugin("plain"), parameters={"gain_db": -6, "mode": "warm", "bypass": False})
    sound = noise(2000)
    assert through(stage, sound, 512) == pytest.approx(sound * 10 ** (-6 / 20), abs=1e-7)
    told = {parameter.name: parameter for parameter in stage.parameters}
    assert (told["gain_db"].low, told["gain_db"].high, told["gain_db"].unit) == (-60.0, 24.0, "dB")
    assert (told["mode"].shown, told["mode"].choices) == ("warm", ("clean", "warm"))
    stage.close()


@pytest.mark.parametrize(
    ("given", "where", "what"),
    [
        ({"gain": -3.0}, "gain", "no such parameter (did you mean gain_db?)"),
        ({"zzz": 1.0}, "zzz", "no such parameter (it has gain_db, mode, bypass)"),
        ({"gain_db": 99.0}, "gain_db", "is 99.0, outside -60 to 24 dB"),
        ({"gain_db": "loud"}, "gain_db", "must be a number, but it is 'loud'"),
        ({"gain_db": True}, "gain_db", "must be a number, but it is True"),
        ({"gain_db": 13.0}, "gain_db", "is unlucky"),
        ({"mode": "worm"}, "mode", "which it can't be (did you mean warm?)"),
        ({"bypass": 1.0}, "bypass", "must be true or false, but it is 1.0"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named_with_what_would(plugin, given, where, what) -> None:
    line = refusal(plugin("plain"), parameters=given).line()
    assert line.startswith(f"{WHERE}.parameters.{where}: ")
    assert what in line


def test_a_file_of_several_plugins_wants_one_named(plugin) -> None:
    path = plugin("several")
    assert "Left Hand, Right Hand" in refusal(path).line()
    assert refusal(path).where == f"{WHERE}.plugin"
    assert "did you mean Left Hand?" in refusal(path, plugin="left Hand").line()
    stage = stage_of(path, plugin="Right Hand")
    assert stage.name == "Right Hand"
    stage.close()


@pytest.mark.parametrize(
    ("name", "channels", "what"),
    [
        ("instrument", 2, "instrument.vst3 is an instrument, not an effect"),
        ("stereo", 1, "stereo.vst3 does not take 1 channel: "),
        ("no_plugin", 2, "can't be loaded as a VST3 plug-in: Unable to load plugin"),
    ],
)
def test_what_can_not_be_an_insert_here_is_refused_at_its_path(plugin, name, channels, what) -> None:
    error = refusal(plugin(name), channels)
    assert error.where == f"{WHERE}.path"
    assert what in error.what


def test_a_path_is_looked_at_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def where_and_what(path: object) -> str:
        error = refusal(str(path))
        assert error.where == f"{WHERE}.path"
        return error.line()

    monkeypatch.setattr(plugin_host, "spawn", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "there is no plug-in" in where_and_what(tmp_path / "gone.vst3")
    assert FOLDERS[0] in where_and_what("Gone.vst3")
    assert "neither a full path nor the bare name" in where_and_what("folder/Some.vst3")
    (tmp_path / "song.wav").write_bytes(b"RIFF")
    assert "is no VST3 plug-in" in where_and_what(tmp_path / "song.wav")
    (tmp_path / "windows.vst3").write_bytes(b"MZ" + bytes(100))
    assert "is not a program for this machine" in where_and_what(tmp_path / "windows.vst3")
    (tmp_path / "mac.vst3" / "Contents" / "MacOS").mkdir(parents=True)
    assert "it holds MacOS" in where_and_what(tmp_path / "mac.vst3")
    (tmp_path / "empty.vst3").mkdir()
    assert "it holds no program" in where_and_what(tmp_path / "empty.vst3")


def test_a_bare_name_is_found_in_the_usual_folders_and_a_bundle_in_itself(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    program = tmp_path / ".vst3" / "Some.vst3" / "Contents" / f"{platform.machine()}-linux" / "Some.so"
    program.parent.mkdir(parents=True)
    program.write_bytes(ELF)
    assert plugins.find("Some.vst3", WHERE) == tmp_path / ".vst3" / "Some.vst3"
    assert plugins.find("~/.vst3/Some.vst3", WHERE) == tmp_path / ".vst3" / "Some.vst3"


LOUD = np.ones((2, 1024))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("crashes", "the plug-in crashes.vst3 died: aborted (signal 6)"),
        ("says_and_crashes", 'it last said "assertion failed: the tape is torn"'),
        ("hangs", "the plug-in hangs.vst3 did not answer for 1 s, and was ended"),
        ("raises", "raises.vst3 failed: the tape is torn"),
        ("nan", "the plug-in nan.vst3 gave NaN"),
        ("infinite", "the plug-in infinite.vst3 gave infinite samples"),
        ("longer", "longer.vst3 gave 1027 frames of 2 channels for 1024 frames of 2 channels"),
        ("shorter", "shorter.vst3 gave 1019 frames of 2 channels for 1024 frames of 2 channels"),
    ],
)
def test_what_goes_wrong_while_it_plays_is_one_line_and_the_plugin_is_gone(plugin, monkeypatch, name, what) -> None:
    stage = stage_of(plugin(name))
    process = stage._host._popen
    monkeypatch.setattr(plugin_host, "ANSWER_SECONDS", 1.0)
    stage.process(np.zeros((2, 1024)))
    with pytest.raises(UnbakeError) as caught:
        stage.process(LOUD)
    assert caught.value.where == WHERE
    assert what in caught.value.what
    assert process.poll() is not None
    with pytest.raises(UnbakeError, match="is gone"):
        stage.process(LOUD)


@pytest.mark.parametrize(
    ("name", "what"), [("crashes_loading", "died: aborted (signal 6)"), ("hangs_loading", "did not answer for 1 s")]
)
def test_what_goes_wrong_while_it_is_loaded_is_one_line_too(plugin, monkeypatch, name, what) -> None:
    path = plugin(name)
    monkeypatch.setattr(plugin_host, "LOAD_SECONDS", 1.0)
    assert what in refusal(path).what


def test_a_plugin_that_holds_everything_back_is_refused(plugin) -> None:
    assert "gave nothing back" in refusal(plugin("never")).what


def test_without_pedalboard_it_says_what_to_install(plugin, tmp_path, monkeypatch) -> None:
    path = plugin("plain")
    (tmp_path / "without" / "pedalboard").mkdir(parents=True)
    broken = "raise ModuleNotFoundError(\"No module named 'pedalboard'\", name='pedalboard')"
    (tmp_path / "without" / "pedalboard" / "__init__.py").write_text(broken)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    error = refusal(path)
    assert error.what == "plain.vst3 can't be run: that takes pedalboard, which is not installed"
    assert error.remedy == "pip install 'unbake[vst3]'"


def test_its_process_ends_with_the_stage_and_with_whoever_started_it(plugin) -> None:
    stage = stage_of(plugin("plain"))
    process = stage._host._popen
    stage.close()
    assert process.poll() == 0
    stage.close()
    orphan = stage_of(plugin("plain"))
    os.kill(orphan._host._popen.pid, signal.SIGSTOP)  # it can't leave by itself
    os.waitpid(orphan._host._popen.pid, os.WUNTRACED)
    began = time.monotonic()
    orphan.close()
    assert orphan._host._popen.poll() == -signal.SIGKILL
    assert time.monotonic() - began < 5.0


def test_a_hanging_plugin_does_not_outlive_unbake(plugin, monkeypatch) -> None:
    stage = stage_of(plugin("hangs"))
    os.write(stage._host._orders, b"")
    monkeypatch.setattr(plugin_host, "ANSWER_SECONDS", 0.2)
    popen = stage._host._popen
    with pytest.raises(UnbakeError):
        stage.process(LOUD)  # hangs up: the process leaves by itself, in the middle of its sleep
    assert popen.poll() == 0


def test_whether_it_gives_the_same_sound_twice_can_be_told(plugin) -> None:
    assert repeats(Vst3(path=plugin("late")), WHERE, RATE, 2, seconds=0.2)
    assert not repeats(Vst3(path=plugin("random")), WHERE, RATE, 2, seconds=0.2)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """The maker of real bundles that hold the first so many plug-ins of `vst3_plugins.cpp`."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None or importlib.util.find_spec("pedalboard") is None:
        pytest.skip("no C++ compiler or no pedalboard here: no real plug-in to try")
    folder = tmp_path_factory.mktemp("vst3")
    source = Path(__file__).with_name("vst3_plugins.cpp")

    def build(count: int) -> str:
        bundle = folder / f"Real{count}.vst3"
        program = bundle / "Contents" / f"{platform.machine()}-linux" / f"Real{count}.so"
        if not program.exists():
            program.parent.mkdir(parents=True)
            words = ["-O1", "-shared", "-fPIC", "-fvisibility=hidden", f"-DCOUNT={count}"]
            subprocess.run([compiler, *words, "-o", str(program), str(source)], check=True)
        return str(bundle)

    return build


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("name", "latency"), [("Level", 0), ("Late", 137)])
def test_a_real_plugin_nulls_where_it_does_nothing(real, name, latency, channels) -> None:
    stage = stage_of(real(3), channels, plugin=name)
    assert stage.plugin_latency == (latency, latency)
    sound = noise(20_000, channels)
    for sizes in (20_000 + stage.latency, 64, (1, 4096, 700)):
        assert np.array_equal(through(stage, sound, sizes), sound)
        stage.reset()
    stage.close()


def test_a_real_plugin_is_set_by_the_names_that_pedalboard_gives(real) -> None:
    stage = stage_of(real(1), parameters={"gain_db": -6.0})
    sound = noise(20_000)
    assert through(stage, sound, 4096) == pytest.approx(sound * 10 ** (-6 / 20), rel=1e-3)
    assert [(each.name, each.low, each.high, each.unit) for each in stage.parameters] == [
        ("gain_db", -24.0, 24.0, "dB")
    ]
    stage.close()


def test_what_a_real_plugin_can_not_be_is_said(real) -> None:
    assert "did you mean gain_db?" in refusal(real(1), parameters={"gain": 1.0}).line()
    assert "outside -24 to 24 dB" in refusal(real(1), parameters={"gain_db": 30.0}).line()
    assert "Level, Late, Fragile" in refusal(real(3)).line()
    six = refusal(real(1), 6)
    assert "Real1.vst3 does not take 6 channels" in six.what
    assert six.where == f"{WHERE}.path"


def test_a_real_plugin_that_crashes_takes_nothing_down(real) -> None:
    stage = stage_of(real(3), plugin="Fragile")
    stage.process(np.zeros((2, 1024)))
    with pytest.raises(UnbakeError, match=r"the plug-in Real3\.vst3 died: segmentation fault \(signal 11\)"):
        stage.process(4 * LOUD)


def test_what_is_no_plugin_inside_is_said(real, tmp_path) -> None:
    program = tmp_path / "Broken.vst3" / "Contents" / f"{platform.machine()}-linux" / "Broken.so"
    program.parent.mkdir(parents=True)
    program.write_bytes(ELF + bytes(100))
    assert "Broken.vst3 can't be loaded as a VST3 plug-in" in refusal(str(tmp_path / "Broken.vst3")).what
